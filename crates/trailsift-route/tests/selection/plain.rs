//! What selectors mean, written as plainly as can be, on what `serde_json` reads.

use std::net::IpAddr;

use serde_json::Value as Json;
use trailsift_event::{Actor, ActorValue};
use trailsift_route::{Condition, IpNet, RouteSpec, Value};

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
    let any_address = |networks: &[IpNet]| {
        let mut texts = values.iter().filter_map(|value| value.as_str());
        texts.any(|text| networks.iter().any(|network| lies_in(text, network)))
    };
    match condition {
        Condition::Equals(wanted) => any_equal(wanted),
        Condition::NotEquals(wanted) => !any_equal(wanted),
        Condition::StartsWith(wanted) => any_text(wanted, |text, it| text.starts_with(it)),
        Condition::NotStartsWith(wanted) => !any_text(wanted, |text, it| text.starts_with(it)),
        Condition::EndsWith(wanted) => any_text(wanted, |text, it| text.ends_with(it)),
        Condition::NotEndsWith(wanted) => !any_text(wanted, |text, it| text.ends_with(it)),
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

/// Whether the route selects the record, which has no fault.
pub(crate) fn wants(route: &RouteSpec, record: &Json) -> bool {
    route.selectors.iter().any(|selector| {
        selector.fields.iter().all(|field| {
            let derived = field.path.strip_prefix("actor.").map(|name| of_actor(record, name));
            let mut values = Vec::new();
            match &derived {
                Some(value) => values.extend(value),
                None => values_at(record, &field.path.split('.').collect::<Vec<_>>(), &mut values),
            }
            field.conditions.iter().all(|condition| holds(condition, &values))
        })
    })
}

/// A field of the actor behind the record, from the identity written anew.
fn of_actor(record: &Json, name: &str) -> Option<Json> {
    let identity = record.get("userIdentity").map_or_else(|| "null".to_owned(), Json::to_string);
    match Actor::of(trailsift_event::Json::new(identity.as_bytes())).field(name)? {
        ActorValue::Text(text) => Some(text.into()),
        ActorValue::Flag(flag) => Some(flag.into()),
    }
}
