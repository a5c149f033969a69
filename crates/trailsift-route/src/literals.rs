//! What every selected record must hold, so that others need not be read.

use crate::spec::{Condition, RouteSpec, SelectorSpec, Value};

/// Byte strings of which every record that any of these routes selects has at least one, unless it
/// spells them with `\u` escapes. Empty if there is no such set.
pub(crate) fn required<'s>(routes: impl Iterator<Item = &'s RouteSpec>) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for selector in routes.flat_map(|route| &route.selectors) {
        match of_selector(selector) {
            Some(values) => all.extend(values),
            None => return Vec::new(),
        }
    }
    all.sort_unstable_by_key(|literal: &&str| (literal.len(), *literal));
    let mut needed: Vec<&str> = Vec::new();
    for literal in all {
        // A record that has the longer one has the shorter one in it.
        if !needed.iter().any(|shorter| literal.contains(shorter)) {
            needed.push(literal);
        }
    }
    needed.into_iter().map(|literal| literal.as_bytes().to_vec()).collect()
}

/// The values of the selector's most telling condition: the one whose shortest value is longest.
fn of_selector(selector: &SelectorSpec) -> Option<Vec<&str>> {
    let conditions = selector.fields.iter().flat_map(|field| &field.conditions);
    let usable = conditions.filter_map(of_condition);
    let shortest = |values: &Vec<&str>| values.iter().map(|value| value.len()).min();
    usable.max_by_key(shortest)
}

fn of_condition(condition: &Condition) -> Option<Vec<&str>> {
    let values: Vec<&str> = match condition {
        Condition::Equals(values) => values.iter().map(of_value).collect::<Option<_>>()?,
        Condition::StartsWith(values) | Condition::EndsWith(values) => {
            values.iter().map(String::as_str).collect()
        }
        _ => return None,
    };
    values.iter().all(|value| is_literal(value)).then_some(values)
}

fn of_value(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        Value::Bool(_) | Value::Integer(_) => None,
    }
}

/// Whether JSON writes the text as it is, unless with `\u`.
fn is_literal(text: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\' | b'/');
    !text.is_empty() && text.bytes().all(plain)
}
