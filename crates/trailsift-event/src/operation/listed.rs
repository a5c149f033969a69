//! What the record itself lists as concerned: its member `resources`.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{MOST_RESOURCES, Resource};
use crate::event::Event;

/// Adds each resource that the record lists by name or ARN, up to [`MOST_RESOURCES`]. Of one that is
/// known by its ARN already, only what was not known is taken.
pub(super) fn add<'r>(event: &Event<'r>, resources: &mut Vec<Resource<'r>>) {
    let most = resources.len() + MOST_RESOURCES;
    let with_arn = resources.iter().enumerate().rev();
    let known: HashMap<Cow<'_, str>, usize> =
        with_arn.filter_map(|(index, old)| Some((old.arn.clone()?, index))).collect();
    for entry in event.values("resources") {
        let text = |name| entry.get_any_case(name)?.text().filter(|text| !text.is_empty());
        let listed = Resource {
            kind: text("type"),
            // Calls that concern many objects of a bucket have what the ARNs begin with.
            name: text("ARNPrefix"),
            arn: text("ARN"),
            account_id: text("accountId"),
            ..Resource::default()
        };
        let same = listed.arn.as_ref().and_then(|arn| known.get(arn));
        if let Some(old) = same.and_then(|index| resources.get_mut(*index)) {
            old.account_id = old.account_id.take().or(listed.account_id);
        } else if resources.len() < most && (listed.name.is_some() || listed.arn.is_some()) {
            resources.push(listed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(resources: &str) -> Vec<Resource<'_>> {
        let record = format!(r#"{{"eventSource":"s3.amazonaws.com","resources":{resources}}}"#);
        let record: &'static str = record.leak();
        Event::new(record.as_bytes()).operation().resources
    }

    #[test]
    fn either_spelling_of_its_members_is_read_and_whatever_is_there() {
        let resource =
            |kind: &'static str, name: &'static str, arn: &'static str, account: &'static str| {
                let text =
                    |text: &'static str| Some(text).filter(|text| !text.is_empty()).map(Into::into);
                let [kind, name, arn, account_id] = [kind, name, arn, account].map(text);
                Resource { kind, name, arn, account_id, ..Resource::default() }
            };
        let all = r#"[{"ARN":"arn:aws:s3:::b","accountId":"111122223333","type":"AWS::S3::Bucket"},
            {"type":"AWS::S3::Object","ARNPrefix":"arn:aws:s3:::b/x"},
            {"arn":"arn:aws:iam::1:role/r","accountID":"444455556666"}]"#;
        assert_eq!(
            listed(all),
            [
                resource("AWS::S3::Bucket", "", "arn:aws:s3:::b", "111122223333"),
                resource("AWS::S3::Object", "arn:aws:s3:::b/x", "", ""),
                resource("", "", "arn:aws:iam::1:role/r", "444455556666"),
            ]
        );
        assert_eq!(listed(r#"{"ARN":"a"}"#), [resource("", "", "a", "")]);
        for nothing in [
            "null",
            "[]",
            "[[],{}]",
            "7",
            r#""arn:aws:s3:::b""#,
            r#"[{"ARN":7,"type":"T","accountId":"1"}]"#,
        ] {
            assert_eq!(listed(nothing), [], "{nothing}");
        }
    }
}
