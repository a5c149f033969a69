//! `select` against a plain reading of the same record by `serde_json`.

use crate::common::compile;
use crate::identities;
use crate::plain::wants;
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::{Value as Json, json};
use trailsift_core::{Reason, Selection};
use trailsift_event::Actor;
use trailsift_route::{Condition, FieldSpec, RouteSpec, Routes, SelectorSpec, Value};

/// A record as it is to be written: members in any order, names as often as they come.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    Scalar(Json),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

/// How strings are written.
#[derive(Clone, Copy, Debug)]
enum Spelling {
    Plain,
    /// Slashes escaped, as some writers do.
    Slashes,
    /// The first character as `\u`.
    First,
    /// All characters as `\u`.
    All,
}

fn spelling() -> impl Strategy<Value = Spelling> {
    use Spelling::{All, First, Plain, Slashes};
    prop::sample::select(&[Plain, Plain, Slashes, Slashes, First, All][..])
}

/// Addresses, and what looks like one.
const ADDRESSES: &[&str] = &[
    "192.0.2.7",
    "192.0.2.77",
    "192.0.1.2",
    "10.1.2.3",
    "198.51.100.4",
    "::ffff:192.0.2.7",
    "::ffff:c000:207",
    "::192.0.2.7",
    "2001:db8::1",
    "2001:DB8::A",
    "2001:db8::1%lo",
    "192.0.2.007",
    "192.0.2.7.x",
    "AWS Internal",
];
const NETWORKS: &[&str] = &[
    "192.0.2.0/24",
    "192.0.2.7/32",
    "192.0.2.7/31",
    "192.0.0.0/16",
    "198.51.96.0/20",
    "10.0.0.0/8",
    "0.0.0.0/0",
    "2001:db8::/32",
    "::ffff:192.0.2.0/120",
    "::/0",
];

/// Few and short, so that generated conditions meet generated records; some are worth a search.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[ab]{0,3}",
        1 => "[ab/\"\\\\é😀\u{1}]{0,3}",
        4 => prop::sample::select(&["payroll", "payrolls", "x/payroll", "pay\"rolls", "Root"][..])
            .prop_map(str::to_owned),
        4 => prop::sample::select(ADDRESSES).prop_map(str::to_owned),
    ]
}

fn name() -> impl Strategy<Value = String> {
    const NAMES: [&str; 7] = ["p", "q", "r", "é\"", "errorCode", "bucketName", "bucketNames"];
    prop::sample::select(&NAMES[..]).prop_map(str::to_owned)
}

pub(crate) fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        1 => Just(Json::Null),
        2 => any::<bool>().prop_map(Json::from),
        2 => (-2i64..3).prop_map(Json::from),
        1 => prop_oneof![Just(json!(1.5)), Just(json!(u64::MAX)), Just(json!(i64::MIN))],
        5 => text().prop_map(Json::from),
    ]
}

fn record() -> impl Strategy<Value = Tree> {
    let value = scalar().prop_map(Tree::Scalar).prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Tree::Array),
            prop::collection::vec((name(), inner), 0..3).prop_map(Tree::Object),
        ]
    });
    let members = prop::collection::vec((name(), value.clone()), 0..4);
    let text = text().prop_map(|text| Tree::Scalar(Json::from(text)));
    let source = prop::option::of(prop_oneof![9 => text, 1 => value]);
    let identity = prop::option::weighted(0.7, identities::identity());
    let at = || any::<prop::sample::Index>();
    (members, source, at(), identity, at()).prop_map(|(mut members, source, at, identity, then)| {
        let at = at.index(members.len() + 1);
        source.into_iter().for_each(|it| members.insert(at, ("eventSource".to_owned(), it)));
        let at = then.index(members.len() + 1);
        identity.into_iter().for_each(|it| members.insert(at, ("userIdentity".to_owned(), it)));
        Tree::Object(members)
    })
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => text().prop_map(Value::String),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => prop_oneof![-2i64..3, Just(i64::MIN)].prop_map(Value::Integer),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    let values = || prop::collection::vec(value(), 1..3);
    let texts = || prop::collection::vec(text().prop_filter("empty", |it| !it.is_empty()), 1..3);
    let networks = || {
        let network = prop::sample::select(NETWORKS).prop_map(|text| text.parse().unwrap());
        prop::collection::vec(network, 1..3)
    };
    prop_oneof![
        values().prop_map(Condition::Equals),
        values().prop_map(Condition::NotEquals),
        texts().prop_map(Condition::StartsWith),
        texts().prop_map(Condition::NotStartsWith),
        texts().prop_map(Condition::EndsWith),
        texts().prop_map(Condition::NotEndsWith),
        networks().prop_map(Condition::Cidr),
        networks().prop_map(Condition::NotCidr),
        any::<bool>().prop_map(Condition::Exists),
    ]
}

fn field() -> impl Strategy<Value = FieldSpec> {
    let path = prop::collection::vec(name(), 1..4).prop_map(|names| names.join("."));
    let anywhere = (path, prop::collection::vec(condition(), 1..3));
    let source = prop::collection::vec(text(), 1..3).prop_map(|texts| {
        let values = texts.into_iter().map(Value::String).collect();
        ("eventSource".to_owned(), vec![Condition::Equals(values)])
    });
    let in_record = prop_oneof![2 => anywhere, 1 => source]
        .prop_map(|(path, conditions)| FieldSpec { path, conditions });
    prop_oneof![2 => in_record, 1 => identities::field()]
}

fn routes() -> impl Strategy<Value = Vec<RouteSpec>> {
    let selector = prop::collection::vec(field(), 1..3).prop_map(|fields| SelectorSpec { fields });
    let selectors = prop::collection::vec(selector, 1..3).boxed();
    prop_oneof![
        7 => prop::collection::vec(selectors.clone(), 1..4),
        1 => prop_oneof![Just(20_usize), Just(64)]
            .prop_flat_map(move |count| prop::collection::vec(selectors.clone(), count)),
    ]
    .prop_map(|routes| {
        let named = routes.into_iter().enumerate();
        named.map(|(n, selectors)| RouteSpec { name: n.to_string(), selectors }).collect()
    })
}

/// Writes JSON in one of its many ways, with spaces here and there.
fn write(tree: &Tree, spelling: Spelling, out: &mut String) {
    match tree {
        Tree::Scalar(Json::String(text)) => write_text(text, spelling, out),
        Tree::Scalar(other) => out.push_str(&other.to_string()),
        Tree::Array(elements) => {
            out.push_str("[ ");
            for (n, element) in elements.iter().enumerate() {
                out.push_str(if n > 0 { " ,\n" } else { "" });
                write(element, spelling, out);
            }
            out.push(']');
        }
        Tree::Object(members) => {
            out.push('{');
            for (n, (name, value)) in members.iter().enumerate() {
                out.push_str(if n > 0 { "," } else { "\t" });
                write_text(name, spelling, out);
                out.push_str(" : ");
                write(value, spelling, out);
            }
            out.push_str(" }");
        }
    }
}

fn write_text(text: &str, spelling: Spelling, out: &mut String) {
    let units =
        |text: &str| text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect::<String>();
    let plain = |text: &str| {
        let json = Json::from(text).to_string();
        json[1..json.len() - 1].to_owned()
    };
    let first = text.chars().next().map_or(0, char::len_utf8);
    let inside = match spelling {
        Spelling::Plain => plain(text),
        Spelling::Slashes => plain(text).replace('/', "\\/"),
        Spelling::First => units(&text[..first]) + &plain(&text[first..]),
        Spelling::All => units(text),
    };
    out.extend(["\"", &inside, "\""]);
}

/// The text with each `\u` escape of a printable character replaced by that character. Escaped
/// backslashes are none here: no generated text has one before a `u`.
fn spelt_out(written: &str) -> String {
    let mut parts = written.split("\\u");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_at(4);
        let code = u32::from_str_radix(code, 16).unwrap();
        out.extend(char::from_u32(code).filter(|char| matches!(char, ' '..='~')));
        out.push_str(rest);
    }
    out
}

/// What is wrong with a record, for those who look at this path.
fn faults(tree: &Tree, path: &[&str]) -> Vec<Reason> {
    match (tree, path) {
        (Tree::Array(elements), _) => elements.iter().flat_map(|it| faults(it, path)).collect(),
        (Tree::Object(members), [name, rest @ ..]) => {
            let named: Vec<_> = members.iter().filter(|(other, _)| other == name).collect();
            let below = named.iter().flat_map(|(_, value)| faults(value, rest));
            let twice = (named.len() > 1).then_some(Reason::DuplicateKey);
            below.chain(twice).collect()
        }
        _ => Vec::new(),
    }
}

/// What is wrong with a record, for those who look at all these routes' fields.
fn faults_for(record: &Tree, routes: &[RouteSpec]) -> Vec<Reason> {
    let fields = routes.iter().flat_map(|route| &route.selectors).flat_map(|it| &it.fields);
    let mut paths: Vec<&str> = fields.map(|field| field.path.as_str()).collect();
    if paths.iter().any(|path| path.starts_with("actor.")) {
        // Whatever the actor is derived from.
        paths.extend(Actor::PATHS);
    }
    let split = |path: &&str| faults(record, &path.split('.').collect::<Vec<_>>());
    let mut all: Vec<_> = paths.iter().flat_map(split).collect();
    let Tree::Object(members) = record else { return all };
    let sources = members.iter().filter(|(name, _)| name == "eventSource");
    let is_text = |tree: &Tree| matches!(tree, Tree::Scalar(Json::String(_)));
    if paths.contains(&"eventSource") && !sources.map(|(_, it)| it).all(is_text) {
        all.push(Reason::EventSourceType);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn select_agrees_with_a_plain_reading(
        specs in routes(), record in record(), spelling in spelling(),
    ) {
        let routes = Routes::compile(&specs).unwrap();
        let mut written = String::new();
        write(&record, spelling, &mut written);
        let faults = faults_for(&record, &specs);
        let selected: Vec<_> = match routes.select(written.as_bytes()) {
            Ok(selected) => selected.iter().collect(),
            Err(fault) => {
                prop_assert!(faults.contains(&fault.reason), "{:?}: {}", fault, written);
                return Ok(());
            }
        };
        prop_assert_eq!(&faults, &[], "{}", &written);
        let read: Json = serde_json::from_str(&written).unwrap();
        let wanted: Vec<_> = (0..specs.len()).filter(|n| wants(&specs[*n], &read)).collect();
        prop_assert_eq!(&selected, &wanted, "{}", written);
    }

    /// A search before `select` rejects nothing that a route wants, by whatever it is wanted.
    #[test]
    fn what_is_selected_holds_a_literal_spelt_one_way_or_another(
        specs in routes(), record in record(), spelling in spelling(),
    ) {
        let mut written = String::new();
        write(&record, spelling, &mut written);
        let spelt_out = spelt_out(&written);
        for spec in specs {
            let routes = Routes::compile(std::slice::from_ref(&spec)).unwrap();
            let literals = routes.literals();
            let read: Json = serde_json::from_str(&written).unwrap();
            if faults_for(&record, std::slice::from_ref(&spec)).is_empty() && wants(&spec, &read) {
                let held = |literal: &Vec<u8>| {
                    memchr::memmem::find(spelt_out.as_bytes(), literal).is_some()
                };
                let passes = literals.is_empty() || literals.iter().any(held);
                prop_assert!(passes, "{:?} of {:?}: {}", literals, spec, written);
            }
        }
    }

    /// Well-formed is what `serde_json` calls well-formed, however a record is damaged.
    #[test]
    fn well_formed_means_what_serde_json_means(
        record in record(),
        edits in prop::collection::vec(
            (any::<prop::sample::Index>(), prop_oneof![
                prop::sample::select(&b"{}[]\":,\\u0123456789-+.eE \t\r\n\0tfnaxd"[..]), any::<u8>(),
            ], 0u8..3),
            0..4,
        ),
    ) {
        let mut written = String::new();
        write(&record, Spelling::Plain, &mut written);
        let mut bytes = written.into_bytes();
        for (at, byte, edit) in edits {
            let at = at.index(bytes.len());
            match edit {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => {}
            }
        }
        let looks_at = compile(r#"[{"p.q": {"exists": true}, "q": {"equals": ["a", 1]}}]"#);
        for routes in [looks_at, compile(r#"[{"nowhere": {"exists": true}}]"#)] {
            let reason = routes.select(&bytes).err().map(|fault| fault.reason);
            let Ok(text) = std::str::from_utf8(&bytes) else {
                prop_assert_eq!(reason, Some(Reason::InvalidUtf8));
                continue;
            };
            let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
            let is_object = text.trim_start().starts_with('{');
            match reason {
                None | Some(Reason::DuplicateKey | Reason::EventSourceType) if is_object => {
                    prop_assert!(is_json || reason.is_some(), "{}", text);
                }
                Some(Reason::RecordSyntax) => prop_assert!(!is_json, "{}", text),
                Some(Reason::RecordType) => prop_assert!(!is_object, "{}", text),
                other => prop_assert!(false, "{:?}: {}", other, text),
            }
        }
    }
}
