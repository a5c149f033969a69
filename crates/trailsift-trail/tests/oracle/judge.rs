//! What serde_json and a plain reading of the rules say about a record.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use trailsift_core::Reason;
use trailsift_event::{Actor, ActorValue, Event};
use trailsift_route::{Condition, IpNet, RouteSpec, Value};

/// What is to come of a record.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// The numbers of the routes that want it, if nothing is wrong with it.
    pub(crate) routes: Vec<usize>,
    /// Everything by which it may be parked.
    pub(crate) faults: Vec<Reason>,
}

/// Judges one element of `Records`.
pub(crate) fn judge(element: &[u8], specs: &[RouteSpec]) -> Verdict {
    let parked = |reason| Verdict { routes: Vec::new(), faults: vec![reason] };
    let Ok(text) = std::str::from_utf8(element) else { return parked(Reason::InvalidUtf8) };
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        return parked(Reason::RecordSyntax);
    }
    if !text.starts_with('{') {
        return parked(Reason::RecordType);
    }
    let mut verdict = Verdict { routes: Vec::new(), faults: Vec::new() };
    // Opened once: all paths begin here.
    let members = members(text);
    let mut asks_for_actor = false;
    for (number, spec) in specs.iter().enumerate() {
        // Everything is looked at, for any of it may be a fault.
        let mut is_wanted = false;
        for selector in &spec.selectors {
            let mut holds_all = true;
            for field in &selector.fields {
                let path: Vec<&str> = field.path.split('.').collect();
                let derived;
                let mut values = Vec::new();
                if let ["actor", name] = path[..] {
                    derived = of_actor(element, name);
                    values.extend(derived.as_deref());
                    asks_for_actor = true;
                } else {
                    look(&members, &path, &mut values, &mut verdict.faults);
                }
                holds_all &= field.conditions.iter().all(|condition| holds(condition, &values));
                if field.path == "eventSource" {
                    let sources = members.iter().filter(|(name, _)| **name == *b"eventSource");
                    if sources.into_iter().any(|(_, value)| !value.starts_with('"')) {
                        verdict.faults.push(Reason::EventSourceType);
                    }
                }
            }
            is_wanted |= holds_all;
        }
        if is_wanted {
            verdict.routes.push(number);
        }
    }
    if asks_for_actor {
        // Everything that the actor is derived from is looked at, too.
        for path in Actor::PATHS {
            let path: Vec<&str> = path.split('.').collect();
            look(&members, &path, &mut Vec::new(), &mut verdict.faults);
        }
    }
    verdict
}

/// A field of the actor behind the record, written as JSON. How actors are derived is judged where
/// it is done; here, that routes see them.
fn of_actor(element: &[u8], name: &str) -> Option<String> {
    match Event::new(element).actor().field(name)? {
        ActorValue::Text(text) => serde_json::to_string(text).ok(),
        ActorValue::Flag(flag) => Some(flag.to_string()),
    }
}

type Members<'a> = Vec<(Cow<'a, [u8]>, &'a str)>;

/// All values at the path but nulls, arrays opened; and a fault for each name on it that is there
/// twice.
fn look<'a>(
    members: &Members<'a>,
    path: &[&str],
    values: &mut Vec<&'a str>,
    faults: &mut Vec<Reason>,
) {
    let [name, rest @ ..] = path else { return };
    let mut named = members.iter().filter(|(other, _)| **other == *name.as_bytes());
    if let Some((_, value)) = named.next() {
        enter(value, rest, values, faults);
    }
    if let Some((_, value)) = named.next() {
        faults.push(Reason::DuplicateKey);
        enter(value, rest, values, faults);
    }
}

fn enter<'a>(value: &'a str, path: &[&str], values: &mut Vec<&'a str>, faults: &mut Vec<Reason>) {
    match value.as_bytes()[0] {
        b'[' => elements(value).iter().for_each(|it| enter(it, path, values, faults)),
        b'n' => {}
        _ if path.is_empty() => values.push(value),
        b'{' => look(&members(value), path, values, faults),
        _ => {}
    }
}

fn holds(condition: &Condition, values: &[&str]) -> bool {
    let any_text = |wanted: &[String], test: fn(&[u8], &[u8]) -> bool| {
        let mut texts = values.iter().filter_map(|value| text(value));
        texts.any(|text| wanted.iter().any(|it| test(&text, it.as_bytes())))
    };
    let any_equal = |wanted: &[Value]| {
        values.iter().any(|value| {
            wanted.iter().any(|it| match it {
                Value::String(wanted) => text(value).is_some_and(|it| *it == *wanted.as_bytes()),
                Value::Bool(wanted) => *value == wanted.to_string(),
                Value::Integer(wanted) => value.parse() == Ok(*wanted),
            })
        })
    };
    let any_address = |networks: &[IpNet]| {
        let mut texts = values.iter().filter_map(|value| text(value));
        texts.any(|text| {
            let text = std::str::from_utf8(&text);
            text.is_ok_and(|text| networks.iter().any(|network| lies_in(text, network)))
        })
    };
    match condition {
        Condition::Equals(wanted) => any_equal(wanted),
        Condition::NotEquals(wanted) => !any_equal(wanted),
        Condition::StartsWith(wanted) => any_text(wanted, <[u8]>::starts_with),
        Condition::NotStartsWith(wanted) => !any_text(wanted, <[u8]>::starts_with),
        Condition::EndsWith(wanted) => any_text(wanted, <[u8]>::ends_with),
        Condition::NotEndsWith(wanted) => !any_text(wanted, <[u8]>::ends_with),
        Condition::Cidr(networks) => any_address(networks),
        Condition::NotCidr(networks) => !any_address(networks),
        Condition::Exists(wanted) => values.is_empty() != *wanted,
    }
}

/// Whether the text is an address of the network. One that is written `::ffff:192.0.2.1` is two.
fn lies_in(text: &str, network: &IpNet) -> bool {
    let Ok(address) = text.parse::<IpAddr>() else { return false };
    let mapped = match address {
        IpAddr::V6(v6) if text.contains('.') => v6.to_ipv4_mapped().map(IpAddr::V4),
        _ => None,
    };
    network.contains(&address) || mapped.is_some_and(|v4| network.contains(&v4))
}

/// A string's bytes, or `None` for any other value. As bytes, for serde_json takes half a surrogate
/// pair only so.
fn text(value: &str) -> Option<Cow<'_, [u8]>> {
    value
        .starts_with('"')
        .then(|| serde_json::from_str(value).map(|Text(text)| text).expect("JSON"))
}

/// An array's elements as they stand.
pub(crate) fn elements(array: &str) -> Vec<&str> {
    let elements: Vec<&RawValue> = serde_json::from_str(array).expect("it is an array");
    elements.into_iter().map(RawValue::get).collect()
}

/// An object's names, unescaped, with their values as they stand, in order.
pub(crate) fn members(object: &str) -> Members<'_> {
    serde_json::from_str(object).map(|Object(members)| members).expect("it is an object")
}

struct Object<'a>(Members<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(name), value)) = map.next_entry::<_, &RawValue>()? {
                    members.push((name, value.get()));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Map).map(Object)
    }
}

struct Text<'a>(Cow<'a, [u8]>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Cow<'de, [u8]>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(bytes))
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(Cow::Owned(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Bytes).map(Text)
    }
}
