//! An event as a person wants to see it: when, what, who with which credentials, from where.

use serde_json::Value;

use crate::logging::escaped;

/// How much of a text from an event is shown, in characters.
const LONGEST: usize = 120;

/// Appends the event as one line. What is not there is shown as a dash.
///
/// An event may hold what selection passes and this view cannot hold, such as the number `1e999`
/// or half a surrogate pair: then it says so, rather than that a field is not there.
pub(super) fn append(out: &mut Vec<u8>, record: &[u8]) {
    let event: Value = match serde_json::from_slice(record) {
        Ok(event) => event,
        Err(error) => {
            let line = format!("an event that cannot be shown in a line ({error}): see --json\n");
            return out.extend_from_slice(line.as_bytes());
        }
    };
    let text = |pointer: &str| shown(event.pointer(pointer).and_then(Value::as_str));
    let outcome = event.get("errorCode").and_then(Value::as_str);
    let outcome =
        outcome.map_or_else(String::new, |code| format!("  failed: {}", shown(Some(code))));
    let line = format!(
        "{}  {}  {}  by {} ({})  from {}{outcome}\n",
        text("/eventTime"),
        text("/awsRegion"),
        text("/eventName"),
        who(&event),
        credentials(&event),
        text("/sourceIPAddress"),
    );
    out.extend_from_slice(line.as_bytes());
}

fn who(event: &Value) -> String {
    let identity =
        |key: &str| event.pointer(&format!("/userIdentity/{key}")).and_then(Value::as_str);
    let known = ["arn", "invokedBy", "principalId", "accountId", "type"];
    shown(known.into_iter().find_map(identity))
}

/// By the prefix of the access key: `ASIA` marks temporary credentials, `AKIA` long-term ones.
fn credentials(event: &Value) -> &'static str {
    let key = event.pointer("/userIdentity/accessKeyId").and_then(Value::as_str);
    match key.map(|key| key.get(..4)) {
        Some(Some("ASIA")) => "temporary credentials",
        Some(Some("AKIA")) => "long-term credentials",
        _ => "no access key",
    }
}

fn shown(text: Option<&str>) -> String {
    match text {
        None | Some("") => "-".into(),
        Some(text) => escaped(&text.chars().take(LONGEST).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_shown_is_not_shown_as_missing() {
        for value in ["1e999", r#""\ud800""#] {
            let line = line(&format!(r#"{{"eventName":"X","requestParameters":{value}}}"#));
            assert!(line.contains("see --json") && !line.contains("no access key"), "{line}");
        }
    }

    fn line(record: &str) -> String {
        let mut out = Vec::new();
        append(&mut out, record.as_bytes());
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn an_event_tells_when_what_who_and_from_where() {
        let record = r#"{"eventTime":"2026-11-20T10:00:00Z","awsRegion":"us-east-1",
            "eventName":"AssociateRepository","sourceIPAddress":"203.0.113.7","errorCode":"AccessDenied",
            "userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/ci/x",
            "accessKeyId":"ASIAEXAMPLE"}}"#;
        assert_eq!(
            line(record),
            "2026-11-20T10:00:00Z  us-east-1  AssociateRepository  \
             by arn:aws:sts::111122223333:assumed-role/ci/x (temporary credentials)  \
             from 203.0.113.7  failed: AccessDenied\n"
        );
    }

    #[test]
    fn an_event_cannot_forge_a_line_or_move_the_cursor() {
        let line = line(r#"{"eventName":"a\nb\u001b[2J","userIdentity":null}"#);
        assert_eq!(line, "-  -  a\\nb\\u{1b}[2J  by - (no access key)  from -\n");
    }
}
