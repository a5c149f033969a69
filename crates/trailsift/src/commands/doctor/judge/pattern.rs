//! What an event pattern of EventBridge, or a filter policy of SNS, lets through of what S3 says when a
//! trail file is put: as much of their language as can be judged without an event.

use serde_json::Value;

use super::notification::EVENTS;
use super::policy::is_like;

/// What the events are that are let through, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// S3's event through EventBridge.
    EventBridge,
    /// S3's notification as the body of a message of SNS.
    Body,
    /// The attributes of that message: S3 gives it none.
    Attributes,
}

/// The bucket that the events are about.
#[derive(Clone, Copy, Debug)]
pub(in crate::commands::doctor) struct About<'a> {
    pub(in crate::commands::doctor) bucket: &'a str,
    pub(in crate::commands::doctor) region: &'a str,
    /// Its account, where it is known.
    pub(in crate::commands::doctor) owner: Option<&'a str>,
}

/// What is let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// What is about keys with one of these beginnings and endings, and is one of these events of S3.
    Keys { keys: Vec<(String, String)>, events: Vec<&'static str> },
    /// Nothing, because of this field.
    Nothing(String),
    /// It depends on this field, in a way that is not understood here.
    Unclear(String),
}

/// What is known of a field.
enum Field<'a> {
    Is(&'a str),
    /// It says how the file was put: by which of [`EVENTS`].
    How([&'static str; 2]),
    Key,
    Absent,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Yes,
    No,
    Unclear,
}

/// What a pattern or filter, a JSON document, lets through.
pub(super) fn reach(pattern: &str, form: Form, about: &About<'_>) -> Reach {
    let Ok(pattern @ Value::Object(_)) = serde_json::from_str::<Value>(pattern) else {
        return Reach::Unclear("the whole of it".to_owned());
    };
    let mut walk = Walk {
        form,
        about,
        keys: vec![(String::new(), String::new())],
        events: EVENTS.to_vec(),
        nothing: None,
        unclear: None,
    };
    walk.down(&pattern, "");
    match (walk.nothing, walk.unclear) {
        (Some(field), _) => Reach::Nothing(field),
        (None, Some(field)) => Reach::Unclear(field),
        (None, None) => Reach::Keys { keys: walk.keys, events: walk.events },
    }
}

struct Walk<'a> {
    form: Form,
    about: &'a About<'a>,
    keys: Vec<(String, String)>,
    events: Vec<&'static str>,
    /// The first field that lets nothing through.
    nothing: Option<String>,
    /// The first one that is not understood.
    unclear: Option<String>,
}

impl Walk<'_> {
    fn down(&mut self, pattern: &Value, path: &str) {
        for (name, value) in pattern.as_object().into_iter().flatten() {
            let path = match path {
                "" => name.clone(),
                above => format!("{above}.{name}"),
            };
            match value {
                _ if name.starts_with('$') => self.note(Holds::Unclear, &path),
                Value::Object(_) => self.down(value, &path),
                Value::Array(conditions) => self.field(conditions, &path),
                _ => self.note(Holds::Unclear, &path),
            }
        }
    }

    fn field(&mut self, conditions: &[Value], path: &str) {
        let holds = match self.known(path) {
            Field::Is(text) => any(conditions, Some(text)),
            Field::Absent => any(conditions, None),
            Field::Unknown => Holds::Unclear,
            Field::How(names) => {
                let each = names.map(|name| any(conditions, Some(name)));
                let let_through = |event: &&str| {
                    EVENTS.iter().zip(each).any(|(it, holds)| it == event && holds != Holds::No)
                };
                self.events.retain(let_through);
                match each {
                    [Holds::No, Holds::No] => Holds::No,
                    _ if each.contains(&Holds::Unclear) => Holds::Unclear,
                    _ => Holds::Yes,
                }
            }
            Field::Key => match conditions.iter().map(key).collect() {
                Some(keys) => {
                    self.keys = keys;
                    Holds::Yes
                }
                None => Holds::Unclear,
            },
        };
        self.note(holds, path);
    }

    fn note(&mut self, holds: Holds, path: &str) {
        let place = match holds {
            Holds::Yes => return,
            Holds::No => &mut self.nothing,
            Holds::Unclear => &mut self.unclear,
        };
        place.get_or_insert_with(|| path.to_owned());
    }

    fn known(&self, path: &str) -> Field<'_> {
        let About { bucket, region, owner } = *self.about;
        match (self.form, path) {
            (Form::Attributes, _) => Field::Absent,
            (Form::EventBridge, "source") => Field::Is("aws.s3"),
            (Form::EventBridge, "detail-type") => Field::Is("Object Created"),
            (Form::EventBridge, "region") | (Form::Body, "Records.awsRegion") => Field::Is(region),
            (Form::EventBridge, "account") => owner.map_or(Field::Unknown, Field::Is),
            (Form::EventBridge, "detail.bucket.name") | (Form::Body, "Records.s3.bucket.name") => {
                Field::Is(bucket)
            }
            (Form::EventBridge, "detail.object.key") | (Form::Body, "Records.s3.object.key") => {
                Field::Key
            }
            (Form::EventBridge, "detail.reason") => {
                Field::How(["PutObject", "CompleteMultipartUpload"])
            }
            (Form::Body, "Records.eventSource") => Field::Is("aws:s3"),
            (Form::Body, "Records.eventName") => {
                Field::How(["ObjectCreated:Put", "ObjectCreated:CompleteMultipartUpload"])
            }
            _ => Field::Unknown,
        }
    }
}

/// Whether one of the conditions holds for a field's text. `None`: there is no such field.
fn any(conditions: &[Value], text: Option<&str>) -> Holds {
    let each = conditions.iter().map(|condition| one(condition, text));
    each.fold(Holds::No, |all, one| match (all, one) {
        (Holds::Yes, _) | (_, Holds::Yes) => Holds::Yes,
        (Holds::Unclear, _) | (_, Holds::Unclear) => Holds::Unclear,
        _ => Holds::No,
    })
}

fn one(condition: &Value, text: Option<&str>) -> Holds {
    let when = |holds| if holds { Holds::Yes } else { Holds::No };
    let Some((operator, value)) = condition.as_object().and_then(|it| it.iter().next()) else {
        return when(text.is_some() && condition.as_str() == text);
    };
    if operator == "exists" {
        return value.as_bool().map_or(Holds::Unclear, |wanted| when(wanted == text.is_some()));
    }
    let Some(text) = text else { return Holds::No };
    match (operator.as_str(), value.as_str()) {
        ("prefix", Some(prefix)) => when(text.starts_with(prefix)),
        ("suffix", Some(suffix)) => when(text.ends_with(suffix)),
        ("equals-ignore-case", Some(other)) => when(text.eq_ignore_ascii_case(other)),
        ("wildcard", Some(pattern)) if !pattern.contains(['?', '\\']) => {
            when(is_like(pattern, text))
        }
        ("anything-but", _) => {
            let others = match value {
                Value::Array(others) => others.as_slice(),
                one => std::slice::from_ref(one),
            };
            match any(others, Some(text)) {
                Holds::Yes => Holds::No,
                Holds::No => Holds::Yes,
                Holds::Unclear => Holds::Unclear,
            }
        }
        _ => Holds::Unclear,
    }
}

/// A condition on the key, as its beginning and its ending. `None`: it is put in another way.
fn key(condition: &Value) -> Option<(String, String)> {
    let (operator, value) = condition.as_object()?.iter().next()?;
    let text = value.as_str();
    match (operator.as_str(), text) {
        ("prefix", Some(prefix)) => Some((prefix.to_owned(), String::new())),
        ("suffix", Some(suffix)) => Some((String::new(), suffix.to_owned())),
        ("wildcard", Some(pattern)) if !pattern.contains(['?', '\\']) => {
            let (prefix, suffix) = pattern.split_once('*')?;
            (!suffix.contains('*')).then(|| (prefix.to_owned(), suffix.to_owned()))
        }
        ("exists", _) if value.as_bool() == Some(true) => Some((String::new(), String::new())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ABOUT: About<'_> =
        About { bucket: "org-trail", region: "us-east-1", owner: Some("999988887777") };

    fn keys(keys: &[(&str, &str)]) -> Reach {
        let keys = keys.iter().map(|&(prefix, suffix)| (prefix.to_owned(), suffix.to_owned()));
        Reach::Keys { keys: keys.collect(), events: EVENTS.to_vec() }
    }

    fn nothing(field: &str) -> Reach {
        Reach::Nothing(field.to_owned())
    }

    fn unclear(field: &str) -> Reach {
        Reach::Unclear(field.to_owned())
    }

    #[test]
    fn patterns_of_eventbridge() {
        let all = keys(&[("", "")]);
        let table = [
            (json!({ "source": ["aws.s3"], "detail-type": ["Object Created"] }), all.clone()),
            (json!({ "source": [{ "prefix": "aws." }] }), all.clone()),
            (json!({ "source": ["aws.ec2"] }), nothing("source")),
            (json!({ "detail-type": ["Object Deleted"] }), nothing("detail-type")),
            (json!({ "detail-type": [{ "anything-but": ["Object Deleted"] }] }), all.clone()),
            (json!({ "account": ["999988887777"], "region": ["us-east-1"] }), all.clone()),
            (json!({ "region": ["eu-west-1"] }), nothing("region")),
            (json!({ "detail": { "bucket": { "name": ["other", "org-trail"] } } }), all.clone()),
            (
                json!({ "detail": { "bucket": { "name": ["other"] } } }),
                nothing("detail.bucket.name"),
            ),
            (json!({ "detail": { "bucket": { "name": [{ "wildcard": "org-*" }] } } }), all.clone()),
            (
                json!({ "detail": { "object": { "key": [{ "prefix": "AWSLogs/" }, { "suffix": ".gz" }] } } }),
                keys(&[("AWSLogs/", ""), ("", ".gz")]),
            ),
            (
                json!({ "detail": { "object": { "key": [{ "wildcard": "AWSLogs/*.json.gz" }] } } }),
                keys(&[("AWSLogs/", ".json.gz")]),
            ),
            (
                json!({ "detail": { "object": { "key": [{ "wildcard": "AWSLogs/*/CloudTrail/*" }] } } }),
                unclear("detail.object.key"),
            ),
            (
                json!({ "detail": { "object": { "size": [{ "numeric": [">", 0] }] } } }),
                unclear("detail.object.size"),
            ),
            (
                json!({ "detail": { "reason": ["PutObject"] } }),
                Reach::Keys { keys: vec![(String::new(), String::new())], events: vec![EVENTS[0]] },
            ),
            (json!({ "detail": { "reason": ["CopyObject"] } }), nothing("detail.reason")),
            (json!({ "$or": [{ "source": ["aws.s3"] }] }), unclear("$or")),
            // What lets nothing through does so whatever else there is.
            (json!({ "$or": [{}], "source": ["x"] }), nothing("source")),
            (json!([]), unclear("the whole of it")),
        ];
        for (pattern, expected) in table {
            let found = reach(&pattern.to_string(), Form::EventBridge, &ABOUT);
            assert_eq!(found, expected, "{pattern}");
        }
        let nobodys = About { owner: None, ..ABOUT };
        let pattern = json!({ "account": ["1"] }).to_string();
        assert_eq!(reach(&pattern, Form::EventBridge, &nobodys), unclear("account"));
    }

    #[test]
    fn filters_of_sns() {
        let name = |name: &str| {
            json!({ "Records": { "s3": { "bucket": { "name": [name] } } } }).to_string()
        };
        assert_eq!(reach(&name("org-trail"), Form::Body, &ABOUT), keys(&[("", "")]));
        assert_eq!(reach(&name("x"), Form::Body, &ABOUT), nothing("Records.s3.bucket.name"));
        let put = json!({ "Records": { "eventName": [{ "prefix": "ObjectCreated:" }],
            "s3": { "object": { "key": [{ "prefix": "AWSLogs/" }] } } } });
        assert_eq!(reach(&put.to_string(), Form::Body, &ABOUT), keys(&[("AWSLogs/", "")]));
        // S3 gives its messages no attributes.
        let kind = json!({ "kind": ["trail"] }).to_string();
        assert_eq!(reach(&kind, Form::Attributes, &ABOUT), nothing("kind"));
        let none = json!({ "kind": [{ "exists": false }] }).to_string();
        assert_eq!(reach(&none, Form::Attributes, &ABOUT), keys(&[("", "")]));
    }
}
