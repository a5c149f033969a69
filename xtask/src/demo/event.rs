use serde_json::Value;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// An event in one short line: when, what, who and where. Nothing in it can move the cursor.
pub(super) fn line(record: &[u8]) -> String {
    let Ok(event) = serde_json::from_slice::<Value>(record) else {
        return format!("not JSON: {}", shortened(&String::from_utf8_lossy(record), 100));
    };
    let field = |name: &str| event[name].as_str().unwrap_or("-").to_owned();
    let time = field("eventTime");
    format!(
        "{} {} {} {} {}",
        column(&time, 20),
        column(&field("eventName"), 32),
        column(&who(&event["userIdentity"]), 38),
        column(&field("recipientAccountId"), 12),
        shortened(&field("awsRegion"), 20),
    )
}

/// The text in so many cells of a terminal: some characters take two.
fn column(text: &str, cells: usize) -> String {
    let text = shortened(text, cells);
    let padding = cells.saturating_sub(text.width());
    format!("{text}{:padding$}", "")
}

/// The shortest telling name: what a person would look for first.
fn who(identity: &Value) -> String {
    let kind = identity["type"].as_str();
    let name = identity["invokedBy"]
        .as_str()
        .map(|service| format!("via {service}"))
        .or_else(|| {
            let (_, name) = identity["arn"].as_str()?.rsplit_once(':')?;
            Some(name.strip_prefix("assumed-role/").unwrap_or(name).to_owned())
        })
        .or_else(|| Some(identity["userName"].as_str()?.to_owned()))
        .or_else(|| Some(identity["onBehalfOf"]["userId"].as_str()?.to_owned()))
        .or_else(|| Some(format!("account {}", identity["accountId"].as_str()?)));
    match (kind, name) {
        (Some("AssumedRole"), Some(name)) => name,
        (Some(kind), Some(name)) => format!("{kind} {name}"),
        (Some(kind), None) => kind.to_owned(),
        (None, name) => name.unwrap_or_else(|| "nobody named".to_owned()),
    }
}

fn shortened(text: &str, most: usize) -> String {
    let escaped: String = text.chars().flat_map(char::escape_debug).collect();
    if escaped.width() <= most {
        return escaped;
    }
    let mut room = most.saturating_sub(1);
    let fits = escaped.chars().take_while(|c| {
        let cells = c.width().unwrap_or(0);
        let fits = cells <= room;
        room = room.saturating_sub(cells);
        fits
    });
    fits.chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_when_what_who_and_where() {
        let record = br#"{"eventTime":"2026-01-15T00:05:09Z","eventName":"ListCodeReviews","awsRegion":"eu-west-1","recipientAccountId":"111122223333","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/ci/alice"}}"#;
        let line = line(record);
        let words: Vec<_> = line.split_whitespace().collect();
        let expected =
            ["2026-01-15T00:05:09Z", "ListCodeReviews", "ci/alice", "111122223333", "eu-west-1"];
        assert_eq!(words, expected);
    }

    #[test]
    fn text_of_an_event_cannot_steer_the_terminal() {
        let hostile = "{\"eventName\":\"\\u001b[2J\\nforged\",\"userIdentity\":null}";
        assert!(!line(hostile.as_bytes()).contains(char::is_control));
        assert!(!line(b"\x1b[2J").contains(char::is_control));
    }
}
