//! `select` against a plain reading of the same record by `serde_json`.

use crate::common::compile;
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::{Map, Value as Json, json};
use trailsift_core::{Reason, Selection};
use trailsift_route::{Condition, FieldSpec, RouteSpec, Routes, SelectorSpec, Value};

/// Few and short, so that generated conditions meet generated records.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[ab]{0,3}",
        1 => "[ab/\"\\\\é😀\u{1}]{0,3}",
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just("p".to_owned()), Just("q".to_owned()), Just("é\"".to_owned())]
}

fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        1 => Just(Json::Null),
        2 => any::<bool>().prop_map(Json::from),
        2 => (-2i64..3).prop_map(Json::from),
        1 => prop_oneof![Just(json!(1.5)), Just(json!(u64::MAX)), Just(json!(i64::MIN))],
        5 => text().prop_map(Json::from),
    ]
}

fn record() -> impl Strategy<Value = Json> {
    let value = scalar().prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::btree_map(name(), inner, 0..3)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    });
    let members = prop::collection::btree_map(name(), value, 0..4);
    (members, prop::option::of(text())).prop_map(|(members, source)| {
        let mut members: Map<String, Json> = members.into_iter().collect();
        members.extend(source.map(|it| ("eventSource".to_owned(), Json::from(it))));
        Json::Object(members)
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
    prop_oneof![
        values().prop_map(Condition::Equals),
        values().prop_map(Condition::NotEquals),
        texts().prop_map(Condition::StartsWith),
        texts().prop_map(Condition::NotStartsWith),
        texts().prop_map(Condition::EndsWith),
        texts().prop_map(Condition::NotEndsWith),
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
    prop_oneof![2 => anywhere, 1 => source]
        .prop_map(|(path, conditions)| FieldSpec { path, conditions })
}

fn routes() -> impl Strategy<Value = Vec<RouteSpec>> {
    let selector = prop::collection::vec(field(), 1..3).prop_map(|fields| SelectorSpec { fields });
    let selectors = prop::collection::vec(selector, 1..3);
    prop::collection::vec(selectors, 1..4).prop_map(|routes| {
        let named = routes.into_iter().enumerate();
        named.map(|(n, selectors)| RouteSpec { name: n.to_string(), selectors }).collect()
    })
}

/// Writes JSON in one of its many ways: spaces, and `\u` escapes where `escape` says so.
fn write(json: &Json, escape: bool, out: &mut String) {
    match json {
        Json::String(text) => write_text(text, escape, out),
        Json::Array(elements) => {
            out.push_str("[ ");
            for (n, element) in elements.iter().enumerate() {
                out.push_str(if n > 0 { " ,\n" } else { "" });
                write(element, escape, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (n, (name, value)) in members.iter().enumerate() {
                out.push_str(if n > 0 { "," } else { "\t" });
                write_text(name, escape, out);
                out.push_str(" : ");
                write(value, escape, out);
            }
            out.push_str(" }");
        }
        other => out.push_str(&other.to_string()),
    }
}

fn write_text(text: &str, escape: bool, out: &mut String) {
    if escape {
        out.push('"');
        text.encode_utf16().for_each(|unit| out.push_str(&format!("\\u{unit:04X}")));
        out.push('"');
    } else {
        out.push_str(&Json::from(text).to_string());
    }
}

/// All values at the path but nulls, arrays opened.
fn values_at<'v>(value: &'v Json, path: &[&str], found: &mut Vec<&'v Json>) {
    match (value, path) {
        (Json::Array(elements), _) => elements.iter().for_each(|it| values_at(it, path, found)),
        (Json::Null, []) => {}
        (value, []) => found.push(value),
        (Json::Object(members), [name, rest @ ..]) => {
            members.get(*name).into_iter().for_each(|it| values_at(it, rest, found));
        }
        _ => {}
    }
}

fn holds(condition: &Condition, values: &[&Json]) -> bool {
    let any_text = |wanted: &[String], test: fn(&str, &str) -> bool| {
        let mut texts = values.iter().filter_map(|value| value.as_str());
        texts.any(|text| wanted.iter().any(|it| test(text, it)))
    };
    let any_equal = |wanted: &[Value]| {
        values.iter().any(|value| {
            wanted.iter().any(|it| match it {
                Value::String(text) => value.as_str() == Some(text),
                Value::Bool(wanted) => value.as_bool() == Some(*wanted),
                Value::Integer(wanted) => value.as_i64() == Some(*wanted),
            })
        })
    };
    match condition {
        Condition::Equals(wanted) => any_equal(wanted),
        Condition::NotEquals(wanted) => !any_equal(wanted),
        Condition::StartsWith(wanted) => any_text(wanted, |text, it| text.starts_with(it)),
        Condition::NotStartsWith(wanted) => !any_text(wanted, |text, it| text.starts_with(it)),
        Condition::EndsWith(wanted) => any_text(wanted, |text, it| text.ends_with(it)),
        Condition::NotEndsWith(wanted) => !any_text(wanted, |text, it| text.ends_with(it)),
        Condition::Exists(wanted) => values.is_empty() != *wanted,
    }
}

fn wants(route: &RouteSpec, record: &Json) -> bool {
    route.selectors.iter().any(|selector| {
        selector.fields.iter().all(|field| {
            let mut values = Vec::new();
            values_at(record, &field.path.split('.').collect::<Vec<_>>(), &mut values);
            field.conditions.iter().all(|condition| holds(condition, &values))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn select_agrees_with_a_plain_reading(
        specs in routes(), record in record(), escape in any::<bool>(),
    ) {
        let routes = Routes::compile(&specs).unwrap();
        let mut written = String::new();
        write(&record, escape, &mut written);
        let wanted: Vec<_> = (0..specs.len()).filter(|n| wants(&specs[*n], &record)).collect();
        let selected: Vec<_> = routes.select(written.as_bytes()).unwrap().iter().collect();
        prop_assert_eq!(&selected, &wanted, "{}", written);

        // A literal search before it would have rejected none of these.
        let literals = routes.literals();
        let bytes = written.as_bytes();
        let held = |literal: &Vec<u8>| memchr::memmem::find(bytes, literal).is_some();
        prop_assert!(
            selected.is_empty()
                || literals.is_empty()
                || literals.iter().any(held)
                || written.contains("\\u"),
            "{}", written
        );
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
        write(&record, false, &mut written);
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
                None | Some(Reason::DuplicateKey) if is_object => {
                    prop_assert!(is_json || reason.is_some(), "{}", text);
                }
                Some(Reason::RecordSyntax) => prop_assert!(!is_json, "{}", text),
                Some(Reason::RecordType) => prop_assert!(!is_object, "{}", text),
                other => prop_assert!(false, "{:?}: {}", other, text),
            }
        }
    }
}
