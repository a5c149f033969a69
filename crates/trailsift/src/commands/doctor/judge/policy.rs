//! Whether a queue's policy lets somebody send, or a topic's: as much of IAM's language as such policies use.

use serde_json::Value;

pub(super) const SEND: &str = "sqs:sendmessage";
pub(super) const PUBLISH: &str = "sns:publish";
/// What nobody but the service should do with its queue, and what it is called.
const TAKING: [&str; 4] =
    ["sqs:receivemessage", "sqs:deletemessage", "sqs:changemessagevisibility", "sqs:purgequeue"];

/// A service that may be the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    S3,
    Sns,
    EventBridge,
}

impl Sender {
    pub(super) const fn principal(self) -> &'static str {
        match self {
            Self::S3 => "s3.amazonaws.com",
            Self::Sns => "sns.amazonaws.com",
            Self::EventBridge => "events.amazonaws.com",
        }
    }
}

/// What the policy says to one sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    /// It may send.
    Allowed {
        /// Only on behalf of one account.
        account: bool,
        /// Only on behalf of one bucket, topic or rule.
        source: bool,
    },
    /// It may not.
    NotAllowed,
    /// It depends on what is not understood here.
    Unclear,
}

/// Who asks to send, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) sender: Sender,
    /// `sqs:sendmessage` or `sns:publish`: in lower case, as IAM tells no other.
    pub(super) action: &'static str,
    /// The ARN of the queue or topic.
    pub(super) resource: &'a str,
    /// The bucket or topic, where it is known.
    pub(super) source_arn: Option<&'a str>,
    /// The account that owns the source, where it is known.
    pub(super) source_account: Option<&'a str>,
}

/// How far a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Yes { account: bool, source: bool },
    No,
    Unknown,
}

/// What the policy, a JSON document, says to this request. No policy allows nothing: the sender is a
/// service, also where bucket and queue are the same account's.
pub(super) fn sending(policy: Option<&str>, request: &Request<'_>) -> Sending {
    let Some(policy) = policy else { return Sending::NotAllowed };
    let Ok(policy) = serde_json::from_str::<Value>(policy) else { return Sending::Unclear };
    let mut best = Sending::NotAllowed;
    for statement in listed(&policy["Statement"]) {
        let Some(concerned) = concerns(statement, request) else {
            best = Sending::Unclear;
            continue;
        };
        if !concerned {
            continue;
        }
        let holds = conditions(&statement["Condition"], request);
        match (statement["Effect"].as_str(), holds) {
            (_, Holds::No) => {}
            (Some("Deny"), Holds::Yes { .. }) => return Sending::NotAllowed,
            (Some("Deny"), Holds::Unknown) => return Sending::Unclear,
            (_, Holds::Unknown) => {
                if best == Sending::NotAllowed {
                    best = Sending::Unclear;
                }
            }
            (_, Holds::Yes { account, source }) => {
                // The widest statement decides who else could send.
                best = match best {
                    Sending::Allowed { account: a, source: s } => {
                        Sending::Allowed { account: a && account, source: s && source }
                    }
                    _ => Sending::Allowed { account, source },
                };
            }
        }
    }
    best
}

/// Whether the statement is about this sender, this action and this queue. `None`: it is put in a way
/// that is not understood here.
fn concerns(statement: &Value, request: &Request<'_>) -> Option<bool> {
    if ["NotPrincipal", "NotAction", "NotResource"].iter().any(|key| !statement[*key].is_null()) {
        return None;
    }
    let principal = &statement["Principal"];
    let is_everybody = |value: &Value| listed(value).any(|it| it.as_str() == Some("*"));
    let names =
        |value: &Value| listed(value).any(|it| it.as_str() == Some(request.sender.principal()));
    let is_ours = is_everybody(principal)
        || is_everybody(&principal["AWS"])
        || is_everybody(&principal["Service"])
        || names(&principal["Service"]);
    let covers = |value: &Value, text: &str| {
        listed(value).filter_map(Value::as_str).any(|pattern| is_like(pattern, text))
    };
    let action = &statement["Action"];
    let lower: Vec<String> =
        listed(action).filter_map(Value::as_str).map(str::to_ascii_lowercase).collect();
    let sends = lower.iter().any(|pattern| is_like(pattern, request.action));
    let resource = &statement["Resource"];
    let here = resource.is_null() || covers(resource, request.resource);
    Some(is_ours && sends && here)
}

fn conditions(condition: &Value, request: &Request<'_>) -> Holds {
    let (mut account, mut source) = (false, false);
    let mut unknown = false;
    let operators = condition.as_object().into_iter().flatten();
    for (operator, keys) in operators {
        let operator = operator.strip_suffix("IfExists").unwrap_or(operator);
        for (key, values) in keys.as_object().into_iter().flatten() {
            let given = match key.to_ascii_lowercase().as_str() {
                "aws:sourcearn" => {
                    source = true;
                    request.source_arn
                }
                "aws:sourceaccount" => {
                    account = true;
                    request.source_account
                }
                // Services send over TLS.
                "aws:securetransport" => Some("true"),
                _ => {
                    unknown = true;
                    continue;
                }
            };
            // A source that nobody knows is taken for the one that is meant.
            let Some(given) = given else { continue };
            let mut patterns = listed(values).map(|value| match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            let holds = match operator {
                "StringEquals" | "Bool" | "StringEqualsIgnoreCase" => {
                    patterns.any(|it| it.eq_ignore_ascii_case(given))
                }
                "StringLike" | "ArnLike" | "ArnEquals" => patterns.any(|it| is_like(&it, given)),
                "StringNotEquals" => !patterns.any(|it| it == given),
                "StringNotLike" | "ArnNotLike" | "ArnNotEquals" => {
                    !patterns.any(|it| is_like(&it, given))
                }
                _ => {
                    unknown = true;
                    continue;
                }
            };
            if !holds {
                return Holds::No;
            }
        }
    }
    if unknown { Holds::Unknown } else { Holds::Yes { account, source } }
}

/// What a queue's policy lets everybody do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Open {
    /// Send messages.
    pub(super) sends: bool,
    /// Receive, hide or delete messages, or empty the queue.
    pub(super) takes: bool,
    /// Something denies something to everybody, on conditions that are not understood here.
    pub(super) perhaps_denied: bool,
}

/// What the policy lets everybody do, wherever they are and whoever they act for.
pub(super) fn open(policy: Option<&str>) -> Open {
    let mut open = Open::default();
    let policy = policy.and_then(|policy| serde_json::from_str::<Value>(policy).ok());
    for statement in policy.iter().flat_map(|policy| listed(&policy["Statement"])) {
        // Services send for somebody, and TLS keeps nobody away.
        let keys = statement["Condition"].as_object().into_iter().flatten();
        let mut keys = keys.filter_map(|(_, keys)| keys.as_object()).flatten();
        let is_bound = keys.any(|(key, _)| !key.eq_ignore_ascii_case("aws:securetransport"));
        let principal = &statement["Principal"];
        let is_everybody = [principal, &principal["AWS"]]
            .into_iter()
            .any(|value| listed(value).any(|it| it.as_str() == Some("*")));
        if statement["Effect"].as_str() == Some("Deny") {
            open.perhaps_denied |= is_bound && (is_everybody || principal.is_null());
            continue;
        }
        if !is_everybody || is_bound {
            continue;
        }
        let covers = |action: &str| {
            listed(&statement["Action"])
                .filter_map(Value::as_str)
                .any(|pattern| is_like(&pattern.to_ascii_lowercase(), action))
        };
        open.sends |= covers(SEND);
        open.takes |= TAKING.iter().any(|action| covers(action));
    }
    open
}

/// The ARNs that the policy names as whom a service may send for, each in full.
pub(super) fn sources(policy: Option<&str>, sender: Sender) -> Vec<String> {
    let policy = policy.and_then(|policy| serde_json::from_str::<Value>(policy).ok());
    let kind = format!(":{}:", sender.principal().split('.').next().unwrap_or_default());
    let mut found = Vec::new();
    for statement in policy.iter().flat_map(|policy| listed(&policy["Statement"])) {
        if statement["Effect"].as_str() != Some("Allow") {
            continue;
        }
        let operators = statement["Condition"].as_object().into_iter().flatten();
        for (key, values) in operators.filter_map(|(_, keys)| keys.as_object()).flatten() {
            if !key.eq_ignore_ascii_case("aws:SourceArn") {
                continue;
            }
            let named = listed(values).filter_map(Value::as_str);
            let whole = named.filter(|arn| arn.contains(&kind) && !arn.contains(['*', '?']));
            found.extend(whole.map(str::to_owned));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// A value, or each of a list of them.
fn listed(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(values) => Box::new(values.iter()),
        Value::Null => Box::new(std::iter::empty()),
        one => Box::new(std::iter::once(one)),
    }
}

/// IAM's wildcards: `*` is any text, `?` any one character.
pub(super) fn is_like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut here) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while here < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, here));
                at += 1;
            }
            Some(c) if *c == '?' || *c == text[here] => {
                at += 1;
                here += 1;
            }
            _ => match star {
                Some((star_at, begun)) => {
                    star = Some((star_at, begun + 1));
                    at = star_at + 1;
                    here = begun + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const QUEUE: &str = "arn:aws:sqs:us-east-1:111122223333:trail";
    const BUCKET: &str = "arn:aws:s3:::org-trail";

    fn asked(statements: &Value) -> Sending {
        let policy = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
        let request = Request {
            sender: Sender::S3,
            action: SEND,
            resource: QUEUE,
            source_arn: Some(BUCKET),
            source_account: Some("999988887777"),
        };
        sending(Some(&policy), &request)
    }

    fn allow(condition: &Value) -> Value {
        json!({ "Effect": "Allow", "Principal": { "Service": "s3.amazonaws.com" },
                "Action": "sqs:SendMessage", "Resource": QUEUE, "Condition": condition })
    }

    #[test]
    fn a_policy_is_read_as_aws_reads_it() {
        let insecure = json!({ "Effect": "Deny", "Principal": "*", "Action": "sqs:*",
            "Resource": QUEUE, "Condition": { "Bool": { "aws:SecureTransport": "false" } } });
        let both = json!({ "ArnEquals": { "aws:SourceArn": BUCKET },
                           "StringEquals": { "aws:SourceAccount": "999988887777" } });
        let bound = Sending::Allowed { account: true, source: true };
        let table = [
            (json!([allow(&both), insecure]), bound),
            (json!(allow(&both)), bound),
            (json!([allow(&json!({}))]), Sending::Allowed { account: false, source: false }),
            (
                json!([allow(
                    &json!({ "ArnLike": { "aws:SourceArn": ["x", "arn:aws:s3:*:*:org-*"] } })
                )]),
                Sending::Allowed { account: false, source: true },
            ),
            (
                json!([allow(&json!({ "ArnLike": { "AWS:SourceArn": "arn:aws:s3:::other" } }))]),
                Sending::NotAllowed,
            ),
            (
                json!([allow(&json!({ "StringEquals": { "aws:SourceAccount": "123456789012" } }))]),
                Sending::NotAllowed,
            ),
            // The wider statement lets others in.
            (
                json!([allow(&both), allow(&json!({}))]),
                Sending::Allowed { account: false, source: false },
            ),
            (json!([]), Sending::NotAllowed),
            (
                json!([{ "Effect": "Allow", "Principal": "*", "Action": ["SQS:Send*"], "Resource": "*",
                    "Condition": { "StringEquals": { "aws:SourceAccount": ["999988887777"] } } }]),
                Sending::Allowed { account: true, source: false },
            ),
            (
                json!([{ "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::1:root" },
                    "Action": "sqs:*", "Resource": QUEUE }]),
                Sending::NotAllowed,
            ),
            (
                json!([{ "Effect": "Allow", "Principal": { "Service": ["sns.amazonaws.com"] },
                    "Action": "sqs:SendMessage", "Resource": QUEUE }]),
                Sending::NotAllowed,
            ),
            (
                json!([{ "Effect": "Allow", "Principal": { "Service": "s3.amazonaws.com" },
                    "Action": "sqs:ReceiveMessage", "Resource": QUEUE }]),
                Sending::NotAllowed,
            ),
            (
                json!([allow(&json!({ "StringEquals": { "aws:SourceOrgID": "o-1" } }))]),
                Sending::Unclear,
            ),
            (
                json!([allow(&both), { "Effect": "Deny", "Principal": "*", "Action": "sqs:*",
                    "Resource": QUEUE }]),
                Sending::NotAllowed,
            ),
            (
                json!([allow(&both), { "Effect": "Deny", "NotPrincipal": { "AWS": "x" },
                    "Action": "sqs:*", "Resource": QUEUE }]),
                Sending::Unclear,
            ),
            (
                json!([allow(&both), { "Effect": "Deny", "Principal": "*", "Action": "sqs:SendMessage",
                    "Resource": QUEUE, "Condition": { "ArnNotLike": { "aws:SourceArn": BUCKET } } }]),
                bound,
            ),
        ];
        for (statements, expected) in table {
            assert_eq!(asked(&statements), expected, "{statements}");
        }
        let request = Request {
            sender: Sender::S3,
            action: SEND,
            resource: QUEUE,
            source_arn: None,
            source_account: None,
        };
        assert_eq!(sending(None, &request), Sending::NotAllowed);
        assert_eq!(sending(Some("{"), &request), Sending::Unclear);
    }

    #[test]
    fn what_everybody_may_do_is_seen() {
        let of = |statements: Value| open(Some(&json!({ "Statement": statements }).to_string()));
        let allow = |principal: Value, action: &str, condition: Value| {
            json!({ "Effect": "Allow", "Principal": principal, "Action": action, "Resource": QUEUE,
                    "Condition": condition })
        };
        let sends = Open { sends: true, ..Open::default() };
        let tls = json!({ "Bool": { "aws:SecureTransport": "true" } });
        let owner = json!({ "StringEquals": { "aws:SourceAccount": "1" } });
        let s3 = json!({ "Service": "s3.amazonaws.com" });
        assert_eq!(of(json!([allow(json!("*"), "sqs:SendMessage", json!({}))])), sends);
        assert_eq!(of(json!([allow(json!({ "AWS": ["*"] }), "SQS:Send*", tls)])), sends);
        assert_eq!(of(json!([allow(json!("*"), "sqs:SendMessage", owner)])), Open::default());
        assert_eq!(of(json!([allow(s3, "sqs:SendMessage", json!({}))])), Open::default());
        let all = of(json!([allow(json!("*"), "sqs:*", json!({}))]));
        assert_eq!(all, Open { sends: true, takes: true, perhaps_denied: false });
        let deny = json!({ "Effect": "Deny", "Principal": "*", "Action": "sqs:*",
            "Condition": { "StringNotEquals": { "aws:PrincipalOrgID": "o-1" } } });
        let both = of(json!([allow(json!("*"), "sqs:SendMessage", json!({})), deny]));
        assert_eq!(both, Open { perhaps_denied: true, ..sends });
        assert_eq!(open(None), Open::default());
    }

    #[test]
    fn the_topics_that_a_policy_names_are_found() {
        let topic = "arn:aws:sns:us-east-1:1:trail";
        let statement = |arns: Value| {
            json!({ "Effect": "Allow", "Principal": { "Service": "sns.amazonaws.com" },
                "Action": "sqs:SendMessage", "Resource": QUEUE,
                "Condition": { "ArnEquals": { "aws:SourceArn": arns } } })
        };
        let policy = json!({ "Statement": [
            statement(json!([topic, "arn:aws:sns:us-east-1:1:*"])), statement(json!(BUCKET)) ] });
        assert_eq!(sources(Some(&policy.to_string()), Sender::Sns), [topic]);
        assert_eq!(sources(None, Sender::Sns), Vec::<String>::new());
    }

    #[test]
    fn wildcards_match_as_in_iam() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("sqs:*", "sqs:sendmessage", true),
            ("sqs:send*", "sqs:sendmessage", true),
            ("*message", "sqs:sendmessage", true),
            ("s?s:*m*ss*", "sqs:sendmessage", true),
            ("sqs:send", "sqs:sendmessage", false),
            ("arn:aws:s3:::a", "arn:aws:s3:::ab", false),
            ("?", "", false),
        ] {
            assert_eq!(is_like(pattern, text), expected, "{pattern} {text}");
        }
    }
}
