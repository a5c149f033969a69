//! What became of each message, for a person or a program.

use serde_json::{Value, json};

use super::plan::{Outgoing, What};
use crate::commands::counted;
use crate::logging::escaped;

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The queue has it, under this id.
    Sent(String),
    /// It would be sent.
    Planned,
    /// It could not be sent, or nobody knows.
    Failed(String),
}

impl Fate {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Sent(_) => "sent",
            Self::Planned => "would_send",
            Self::Failed(_) => "failed",
        }
    }
}

/// One line for a program. A message that is only planned is shown as it would be sent.
pub(super) fn json_line(message: &Outgoing, fate: &Fate) -> String {
    let mut line = json!({
        "outcome": fate.as_str(),
        "account": message.account,
        "replay": message.id,
        "lines": message.lines.len(),
        "reasons": message.reasons,
    });
    match &message.what {
        What::Message { message_id } => line["received_as"] = message_id.as_str().into(),
        What::Object { object, whole, records } => {
            line["bucket"] = object.bucket.as_str().into();
            line["key"] = object.key.as_str().into();
            line["version_id"] = object.version_id.clone().map_or(Value::Null, Value::String);
            line["whole"] = (*whole).into();
            line["records"] = (*records).into();
        }
    }
    match fate {
        Fate::Sent(id) => line["message_id"] = id.as_str().into(),
        Fate::Planned => line["body"] = message.body.as_str().into(),
        Fate::Failed(error) => line["error"] = error.as_str().into(),
    }
    line.to_string()
}

/// One line for a person.
pub(super) fn text_line(message: &Outgoing, fate: &Fate) -> String {
    let outcome = fate.as_str().replace('_', " ");
    let reasons: Vec<&str> = message.reasons.iter().map(String::as_str).collect();
    let what = match &message.what {
        What::Message { message_id } => format!("message {message_id} as it was received"),
        What::Object { object, whole, records } => {
            let counted = usize::try_from(*records).map_or_else(
                |_| format!("{records} records"),
                |records| counted(records, "record"),
            );
            let asked = match (whole, records) {
                (true, 0) => String::new(),
                (true, _) => format!(" and {counted}"),
                (false, _) => format!(" ({counted})"),
            };
            let version = object.version_id.as_ref().map(|version| format!("?versionId={version}"));
            let version = version.unwrap_or_default();
            format!("s3://{}/{}{version}{asked}", object.bucket, object.key)
        }
    };
    let error = match fate {
        Fate::Failed(error) => format!(": {error}"),
        Fate::Sent(_) | Fate::Planned => String::new(),
    };
    let (account, reasons) = (&message.account, reasons.join(","));
    escaped(&format!("{outcome:<10}  {account:<16}  {reasons:<22}  {what}{error}"))
}

#[cfg(test)]
mod tests {
    use super::super::line::Object;
    use super::*;

    fn message(what: What) -> Outgoing {
        Outgoing {
            account: "production".into(),
            body: "the body".into(),
            id: "0a".into(),
            what,
            reasons: ["gzip_crc".to_owned(), "sink_rejected".to_owned()].into(),
            lines: vec!["d1".into(), "d2".into()],
        }
    }

    fn object(whole: bool, records: u64) -> What {
        let object = Object {
            bucket: "org-trail".into(),
            key: "a\u{1b}[31m\nb".into(),
            version_id: Some("v".into()),
            etag: None,
        };
        What::Object { object, whole, records }
    }

    #[test]
    fn a_line_for_a_person_stays_one_line_without_commands_for_its_terminal() {
        let line = text_line(&message(object(true, 1)), &Fate::Sent("m".into()));
        assert!(line.starts_with("sent ") && line.contains("gzip_crc,sink_rejected"), "{line}");
        assert!(line.contains("versionId=v and 1 record"), "{line}");
        assert!(!line.contains(['\u{1b}', '\n']), "{line:?}");
        let line = text_line(&message(object(false, 2)), &Fate::Failed("denied\n".into()));
        assert!(line.contains("(2 records): denied") && !line.contains('\n'), "{line:?}");
        let line = text_line(&message(What::Message { message_id: "m1".into() }), &Fate::Planned);
        assert!(line.starts_with("would send") && line.contains("message m1"), "{line}");
    }

    #[test]
    fn a_line_for_a_program_says_everything_once() {
        let line = json_line(&message(object(true, 1)), &Fate::Sent("m".into()));
        let line: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(line["outcome"], "sent");
        assert_eq!((&line["lines"], &line["message_id"]), (&2.into(), &"m".into()));
        assert!(line["body"].is_null());
        let planned = json_line(&message(object(true, 1)), &Fate::Planned);
        let planned: Value = serde_json::from_str(&planned).expect("JSON");
        assert_eq!(planned["body"], "the body");
    }
}
