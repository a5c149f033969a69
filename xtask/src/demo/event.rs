use serde_json::Value;

/// An event in one short line: when, what, who and where. Nothing in it can move the cursor.
pub(super) fn line(record: &[u8]) -> String {
    let Ok(event) = serde_json::from_slice::<Value>(record) else {
        return format!("not JSON: {}", shortened(&String::from_utf8_lossy(record), 100));
    };
    let field = |name: &str| event[name].as_str().unwrap_or("-").to_owned();
    let time = field("eventTime");
    format!(
        "{}  {:<32} {:<38} {} {}",
        time.get(11..19).unwrap_or(&time).escape_debug(),
        shortened(&field("eventName"), 32),
        shortened(&who(&event["userIdentity"]), 38),
        shortened(&field("recipientAccountId"), 12),
        shortened(&field("awsRegion"), 20),
    )
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
    if escaped.chars().count() <= most {
        return escaped;
    }
    escaped.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_when_what_who_and_where() {
        let record = br#"{"eventTime":"2026-01-15T00:05:09Z","eventName":"ListCodeReviews","awsRegion":"eu-west-1","recipientAccountId":"111122223333","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/ci/alice"}}"#;
        let line = line(record);
        let words: Vec<_> = line.split_whitespace().collect();
        let expected = ["00:05:09", "ListCodeReviews", "ci/alice", "111122223333", "eu-west-1"];
        assert_eq!(words, expected);
    }

    #[test]
    fn text_of_an_event_cannot_steer_the_terminal() {
        let hostile = "{\"eventName\":\"\\u001b[2J\\nforged\",\"userIdentity\":null}";
        assert!(!line(hostile.as_bytes()).contains(char::is_control));
        assert!(!line(b"\x1b[2J").contains(char::is_control));
    }
}
