//! What selectors rely on: what an actor depends on, and where its texts are from.

use std::borrow::Cow;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use trailsift_event::{Actor, ActorKind, Event, Json};

use crate::told;

const ROOT: &str = "userIdentity.";

/// Texts that rules ask for, or take apart.
const TEXTS: &[&str] = &[
    "",
    "Root",
    "IAMUser",
    "AssumedRole",
    "FederatedUser",
    "SAMLUser",
    "WebIdentityUser",
    "IdentityCenterUser",
    "AWSService",
    "AWSAccount",
    "Role",
    "Directory",
    "Unknown",
    "QuantumUser",
    "true",
    "false",
    "alice",
    "HIDDEN_DUE_TO_SECURITY_REASONS",
    "signin.amazonaws.com",
    "lambda.amazonaws.com",
    "AKIAIOSFODNN7EXAMPLE",
    "ASIAIOSFODNN7EXAMPLE",
    "AROAIDPPEZS35WEXAMPLE:session",
    "111122223333",
    "111122223333:carol",
    "arn:aws:iam::111122223333:root",
    "arn:aws:iam::111122223333:user/path/\u{e9}ve",
    "arn:aws:sts::111122223333:assumed-role/Admin/alice",
    "arn:aws:sts::111122223333:federated-user/carol",
];

fn known_paths() -> Vec<Vec<String>> {
    let paths = Actor::PATHS.iter().map(|path| path.strip_prefix(ROOT).expect("below it"));
    paths.map(|path| path.split('.').map(str::to_owned).collect()).collect()
}

/// A `userIdentity` of known fields with likely and unlikely values, and of known names elsewhere.
fn identities() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        8 => prop::sample::select(TEXTS).prop_map(Value::from),
        1 => "[a-z:/\\\\\"\u{e9}-]{0,12}".prop_map(Value::from),
    ];
    let value = prop_oneof![
        12 => text,
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i32>().prop_map(Value::from),
        1 => prop::sample::select(vec![json!(null), json!({}), json!([]), json!(["Root"])]),
    ];
    let mut names: Vec<_> = known_paths().concat();
    names.push("else".to_owned());
    let path = prop_oneof![
        6 => prop::sample::select(known_paths()),
        1 => prop::collection::vec(prop::sample::select(names), 1..5),
    ];
    prop::collection::vec((path, value), 0..12).prop_map(|fields| {
        let mut identity = json!({});
        for (path, value) in fields {
            set(&mut identity, &path, value);
        }
        identity
    })
}

fn set(place: &mut Value, path: &[String], value: Value) {
    let Some((name, rest)) = path.split_first() else {
        *place = value;
        return;
    };
    if !place.is_object() {
        *place = json!({});
    }
    let members = place.as_object_mut().expect("an object");
    set(members.entry(name).or_insert(Value::Null), rest, value);
}

/// What is left if all is taken away that no path names.
fn pruned(value: &Value, path: &str) -> Value {
    let Value::Object(members) = value else { return value.clone() };
    let below = format!("{path}.");
    if !Actor::PATHS.iter().any(|known| known.starts_with(&below)) {
        return value.clone();
    }
    let is_named = |name: &str| {
        let path = format!("{path}.{name}");
        let below = format!("{path}.");
        Actor::PATHS.iter().any(|known| *known == path || known.starts_with(&below))
    };
    let kept = members.iter().filter(|(name, _)| is_named(name));
    let kept = kept.map(|(name, value)| (name.clone(), pruned(value, &format!("{path}.{name}"))));
    let mut kept: Map<_, _> = kept.collect();
    let holds_anything = |members: &Map<String, Value>| members.values().any(|it| !it.is_null());
    if Actor::PATHS.contains(&path) && holds_anything(members) && !holds_anything(&kept) {
        // It counts whether it holds anything, not what.
        kept.insert("something".to_owned(), json!(1));
    }
    kept.into()
}

fn told_of(identity: &Value) -> String {
    told(&Actor::of(Json::new(identity.to_string().as_bytes())))
}

/// Every string and every name.
fn strings<'v>(value: &'v Value, names: &mut Vec<&'v str>, texts: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(elements) => elements.iter().for_each(|it| strings(it, names, texts)),
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            names.push(name);
            strings(value, names, texts);
        }),
        _ => {}
    }
}

/// The same value, every character of its strings and names an escape.
fn escaped(value: &Value) -> String {
    let text = |text: &str| {
        let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
        format!("\"{}\"", units.collect::<String>())
    };
    match value {
        Value::String(it) => text(it),
        Value::Array(elements) => {
            format!("[{}]", elements.iter().map(escaped).collect::<Vec<_>>().join(", "))
        }
        Value::Object(members) => {
            let members =
                members.iter().map(|(name, it)| format!("{} : {}", text(name), escaped(it)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn nothing_but_the_paths_counts(identity in identities()) {
        prop_assert_eq!(told_of(&identity), told_of(&pruned(&identity, "userIdentity")));
    }

    #[test]
    fn every_text_is_a_part_of_one_string(identity in identities()) {
        let (mut names, mut texts) = (Vec::new(), Vec::new());
        strings(&identity, &mut names, &mut texts);
        let json = identity.to_string();
        let Actor {
            kind: _, caller: _, credentials: _, mfa: _,
            name, arn, account_id, session_name, invoked_by, source_identity, web_identity_provider, delegate_account_id,
        } = Actor::of(Json::new(json.as_bytes()));
        let held = [
            name, arn, account_id, session_name, invoked_by, source_identity, web_identity_provider,
            delegate_account_id,
        ];
        for held in held.into_iter().flatten() {
            prop_assert!(!held.is_empty());
            prop_assert!(texts.iter().any(|text| text.contains(&*held)), "{} in {}", held, json);
        }
    }

    #[test]
    fn a_kind_leaves_evidence(identity in identities()) {
        let (mut names, mut texts) = (Vec::new(), Vec::new());
        strings(&identity, &mut names, &mut texts);
        let json = identity.to_string();
        let kind = Actor::of(Json::new(json.as_bytes())).kind;
        if let Some(evidence) = kind.evidence() {
            let mut held = names.iter().chain(&texts);
            prop_assert!(held.any(|held| evidence.contains(held)), "{:?} of {}", kind, json);
        } else {
            prop_assert_eq!(kind, ActorKind::Unknown);
        }
    }

    #[test]
    fn escapes_change_nothing(identity in identities()) {
        let escaped = escaped(&identity);
        prop_assert_eq!(told(&Actor::of(Json::new(escaped.as_bytes()))), told_of(&identity));
    }

    #[test]
    fn whatever_the_bytes_are_there_is_an_answer(
        identity in identities(),
        at in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(
            prop_oneof![prop::sample::select(b"{}[]\",:\\u ".to_vec()), any::<u8>()], 0..4,
        ),
    ) {
        let mut record = json!({"userIdentity": identity}).to_string().into_bytes();
        let at = at.index(record.len());
        let end = (at + bytes.len()).min(record.len());
        record.splice(at..end, bytes);
        told(&Event::new(&record).actor());
        told(&Event::new(&record[..at]).actor());
    }
}

#[test]
fn each_path_counts() {
    let bases = [
        json!({}),
        json!({"type": "FederatedUser"}),
        json!({"type": "AssumedRole"}),
        json!({"onBehalfOf": {"else": 1}}),
    ];
    for (known, path) in Actor::PATHS.iter().zip(known_paths()) {
        let values = TEXTS.iter().map(|text| json!(text)).chain([json!({"else": 1})]);
        let counts = values.clone().any(|value| {
            bases.iter().any(|base| {
                let mut changed = base.clone();
                set(&mut changed, &path, value.clone());
                told_of(&changed) != told_of(base)
            })
        });
        assert!(counts, "{known} changes nothing");
    }
}

#[test]
fn nothing_is_copied_from_a_record_without_escapes() {
    let record: &[u8] = include_bytes!("../fixtures/associate_repository.json");
    let actor = Event::new(record).actor();
    for text in [actor.name, actor.arn, actor.account_id, actor.session_name] {
        assert!(matches!(text, Some(Cow::Borrowed(_))), "{text:?}");
    }
}
