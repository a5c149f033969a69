//! Values that CloudTrail never gives a field, and operators that make no sense on it.

use super::Odd;
use crate::check;
use crate::cidr::parse_network;
use crate::fields::Shape;
use crate::sources;
use crate::spec::{Condition, IpNet, Value};
use crate::words;

/// Fields of few words.
const WORDS: [(&str, &[&str], Completeness); 7] = [
    ("eventCategory", &["Management", "Data", "NetworkActivity", "Insight"], Completeness::All),
    (
        "eventType",
        &[
            "AwsApiCall",
            "AwsServiceEvent",
            "AwsConsoleAction",
            "AwsConsoleSignIn",
            "AwsVpceEvent",
            "AwsCloudTrailInsight",
        ],
        Completeness::All,
    ),
    (
        "userIdentity.type",
        &[
            "Root",
            "IAMUser",
            "AssumedRole",
            "Role",
            "FederatedUser",
            "SAMLUser",
            "WebIdentityUser",
            "IdentityCenterUser",
            "Directory",
            "AWSAccount",
            "AWSService",
            "Unknown",
        ],
        Completeness::All,
    ),
    (
        "userIdentity.sessionContext.sessionIssuer.type",
        &["Role", "IAMUser", "Root"],
        Completeness::Some,
    ),
    (
        "userIdentity.sessionContext.attributes.mfaAuthenticated",
        &["true", "false"],
        Completeness::All,
    ),
    ("sessionCredentialFromConsole", &["true"], Completeness::All),
    ("tlsDetails.tlsVersion", &["TLSv1.3", "TLSv1.2", "TLSv1.1", "TLSv1"], Completeness::Some),
];

/// Whether a field of few words has any but these.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Completeness {
    All,
    /// There are others, so only a word that is nearly one of these is odd.
    Some,
}

/// Words of events whose files are skipped, with the kind of the files.
const SKIPPED: [(&str, &str, &str); 4] = [
    ("eventCategory", "Insight", "Insight"),
    ("eventCategory", "NetworkActivity", "network activity"),
    ("eventType", "AwsCloudTrailInsight", "Insight"),
    ("eventType", "AwsVpceEvent", "network activity"),
];

/// Fields that every record has.
const ALWAYS: [&str; 8] = [
    "actor.credentials",
    "actor.kind",
    "awsRegion",
    "eventID",
    "eventName",
    "eventSource",
    "eventTime",
    "eventVersion",
];

/// Fields that hold an ARN.
const ARNS: [&str; 4] = [
    "actor.arn",
    "resources.ARN",
    "userIdentity.arn",
    "userIdentity.sessionContext.sessionIssuer.arn",
];

/// Fields that hold the id of an account.
const ACCOUNTS: [&str; 6] = [
    "actor.account_id",
    "recipientAccountId",
    "resources.accountId",
    "userIdentity.accountId",
    "userIdentity.sessionContext.sessionIssuer.accountId",
    "vpcEndpointAccountId",
];

/// Fields of names and identifiers, in which nobody writes a `*`.
const STARLESS: [&str; 17] = [
    "actor.account_id",
    "actor.arn",
    "actor.credentials",
    "actor.kind",
    "actor.name",
    "actor.session_name",
    "awsRegion",
    "errorCode",
    "eventCategory",
    "eventName",
    "eventSource",
    "eventType",
    "recipientAccountId",
    "sourceIPAddress",
    "userIdentity.arn",
    "userIdentity.principalId",
    "userIdentity.userName",
];

/// What is odd about asking this of a field of this shape.
pub(super) fn of(path: &str, shape: Shape, condition: &Condition) -> Vec<Odd> {
    let operator = condition.operator();
    let one = |odd: Option<Odd>| odd.into_iter().collect();
    match condition {
        Condition::Exists(false) if ALWAYS.contains(&path) => {
            one(Some(Odd::new("every record has it", "exists = false selects nothing: remove it")))
        }
        Condition::Exists(_) => Vec::new(),
        Condition::Cidr(networks) | Condition::NotCidr(networks) => match shape {
            Shape::Address | Shape::Free => networks.iter().filter_map(of_network).collect(),
            _ => one(Some(Odd::new(
                format!("it never is an address, as {operator} wants"),
                "addresses are in sourceIPAddress",
            ))),
        },
        Condition::Equals(values) | Condition::NotEquals(values) => {
            let texts: Vec<_> = values.iter().filter_map(Value::as_text).collect();
            match texts.is_empty() {
                true => one(of_type(path, shape, operator)),
                false => texts.iter().filter_map(|text| of_value(path, operator, text)).collect(),
            }
        }
        Condition::StartsWith(starts) | Condition::NotStartsWith(starts) => {
            starts.iter().filter_map(|start| of_start(path, operator, start)).collect()
        }
        Condition::EndsWith(ends) | Condition::NotEndsWith(ends) => {
            ends.iter().filter_map(|end| of_end(path, operator, end)).collect()
        }
    }
}

fn of_network(network: &IpNet) -> Option<Odd> {
    let meant = network.trunc();
    let problem = format!("{network} has bits behind its prefix, which do not count");
    (meant != *network).then(|| Odd::new(problem, format!("write \"{meant}\"")))
}

/// Values none of which is a string. Who lists both may not know, and has the right one in any case.
fn of_type(path: &str, shape: Shape, operator: &str) -> Option<Odd> {
    let is_text = matches!(shape, Shape::Text | Shape::Address);
    // Where the type matters more, another one is refused.
    let is_odd = is_text && !check::is_always_string(path);
    let problem = format!("CloudTrail writes this field as a string ({operator})");
    is_odd.then(|| Odd::new(problem, "put the values in quotes"))
}

fn of_value(path: &str, operator: &str, text: &str) -> Option<Odd> {
    of_star(path, operator, text)
        .or_else(|| of_word(path, text))
        .or_else(|| slip(path, text, sources::of_whole))
        .or_else(|| of_form(path, text))
}

fn of_start(path: &str, operator: &str, start: &str) -> Option<Odd> {
    of_star(path, operator, start)
        .or_else(|| of_part(path, start, |word| word.starts_with(start)))
        .or_else(|| slip(path, start, sources::of_start))
}

fn of_end(path: &str, operator: &str, end: &str) -> Option<Odd> {
    of_star(path, operator, end)
        .or_else(|| of_part(path, end, |word| word.ends_with(end)))
        .or_else(|| slip(path, end, sources::of_end))
}

fn slip(path: &str, text: &str, of: fn(&str) -> Option<sources::Slip>) -> Option<Odd> {
    let (problem, remedy) = of(text).filter(|_| path == "eventSource")?;
    Some(Odd { problem, remedy })
}

/// Patterns of shells do not work here, and read as if they did.
fn of_star(path: &str, operator: &str, text: &str) -> Option<Odd> {
    if !STARLESS.contains(&path) || !text.contains('*') {
        return None;
    }
    let negative = if operator.starts_with("not_") { "not_" } else { "" };
    let start = text.strip_suffix('*').filter(|rest| !rest.contains('*'));
    let end = text.strip_prefix('*').filter(|rest| !rest.contains('*'));
    let remedy = match (start, end) {
        (Some(""), _) if negative.is_empty() => "write exists = true".to_owned(),
        (Some(""), _) => "write exists = false".to_owned(),
        (Some(start), _) => {
            format!("write {negative}starts_with = [\"{}\"]", start.escape_debug())
        }
        (_, Some(end)) => format!("write {negative}ends_with = [\"{}\"]", end.escape_debug()),
        _ => format!("use {negative}starts_with or {negative}ends_with"),
    };
    Some(Odd::new(format!("the `*` in {} stands for itself", words::shown(text)), remedy))
}

fn words_of(path: &str) -> Option<(&'static [&'static str], Completeness)> {
    let known = WORDS.iter().find(|(field, ..)| *field == path)?;
    Some((known.1, known.2))
}

fn of_word(path: &str, text: &str) -> Option<Odd> {
    let (known, completeness) = words_of(path)?;
    if let Some(kind) = skipped(path, text) {
        let problem =
            format!("files of {kind} events are skipped, so none is {}", words::shown(text));
        return Some(Odd::new(problem, "remove it"));
    }
    let is_odd = !known.contains(&text)
        && (completeness == Completeness::All
            || words::closest(text, known.iter().copied()).is_some());
    let problem = format!("CloudTrail is not known to write {} here", words::shown(text));
    is_odd.then(|| Odd::new(problem, words::hint(text, known.iter().copied())))
}

fn skipped(path: &str, text: &str) -> Option<&'static str> {
    let skipped = SKIPPED.iter().find(|(field, word, _)| *field == path && *word == text);
    skipped.map(|(_, _, kind)| *kind)
}

/// A beginning or an end that no word of the field has.
fn of_part(path: &str, text: &str, has: impl Fn(&str) -> bool) -> Option<Odd> {
    let (known, _) = words_of(path).filter(|(_, it)| *it == Completeness::All)?;
    let remedy = || {
        let known: Vec<_> = known.iter().map(|word| format!("\"{word}\"")).collect();
        format!("known here: {}", known.join(", "))
    };
    let problem = format!("CloudTrail is not known to write {} here", words::shown(text));
    (!known.iter().any(|word| has(word))).then(|| Odd::new(problem, remedy()))
}

/// Values that are not of the form that the field always has.
fn of_form(path: &str, text: &str) -> Option<Odd> {
    let shown = words::shown(text);
    if ARNS.contains(&path) && !text.starts_with("arn:") {
        let problem = format!("{shown} is no ARN, and equals wants the whole of it");
        return Some(Odd::new(problem, "write it in full, or ends_with = [\"…\"]"));
    }
    if ACCOUNTS.contains(&path) && looks_like_an_account(text) {
        let problem = format!("an account id has 12 digits, unlike {shown}");
        return Some(Odd::new(problem, "write it as in \"111122223333\""));
    }
    match path {
        "awsRegion" if !is_region(text) => {
            let problem = format!("{shown} has not the form of a region");
            Some(Odd::new(problem, "write it as in \"us-east-1\", without a zone's letter"))
        }
        "eventName" if text.contains(':') => {
            let problem = format!("an event's name has no service in front, unlike {shown}");
            let name = text.rsplit(':').next().unwrap_or_default().escape_debug();
            Some(Odd::new(problem, format!("write \"{name}\", and eventSource beside it")))
        }
        "eventVersion" => {
            let (major, minor) = text.split_once('.')?;
            let is_short = minor.len() == 1 && minor != "0";
            let problem = format!("minor versions have two digits, unlike {shown}");
            is_short.then(|| Odd::new(problem, format!("write \"{major}.0{minor}\"")))
        }
        "sourceIPAddress" if text.contains('/') && parse_network(text).is_some() => {
            let problem = format!("no address is {shown}, which is a network");
            Some(Odd::new(problem, format!("write cidr = [{shown}]")))
        }
        _ => None,
    }
}

/// Digits and what people write between them, but no account's id. Some records have a word there.
fn looks_like_an_account(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || b"- ".contains(&byte));
    digits > 0 && is_number && !(digits == 12 && text.len() == 12)
}

/// By its form alone: regions appear faster than releases.
fn is_region(text: &str) -> bool {
    let Some((words, number)) = text.rsplit_once('-') else { return false };
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|it| it.is_ascii_lowercase());
    let is_number = (1..=2).contains(&number.len()) && number.bytes().all(|it| it.is_ascii_digit());
    text == "aws-global"
        || words.split('-').count() >= 2 && words.split('-').all(is_word) && is_number
}
