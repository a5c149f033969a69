//! What every selected record must hold, so that others need not be read.

use crate::frequency::{self, ALWAYS, PerMille};
use crate::spec::{Condition, FieldSpec, RouteSpec, SelectorSpec, Value};

/// Byte strings of which every record that any of these routes selects has at least one, unless it
/// spells them with `\u` escapes. Empty if there is no such set, or none that would reject anything.
pub(crate) fn required<'s>(routes: impl Iterator<Item = &'s RouteSpec>) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for selector in routes.flat_map(|route| &route.selectors) {
        match of_selector(selector) {
            Some(set) => all.extend(set.texts),
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

/// Texts of which a record must hold one, and how many records do.
struct Set<'s> {
    texts: Vec<&'s str>,
    share: PerMille,
}

/// What is asked of a selected record is asked all at once: one thing is enough to search for. It is
/// the one that the fewest records hold, and of equals the one whose shortest text is longest.
fn of_selector(selector: &SelectorSpec) -> Option<Set<'_>> {
    let sets = selector.fields.iter().flat_map(of_field).filter(|set| set.share < ALWAYS);
    let shortest = |set: &Set<'_>| set.texts.iter().map(|text| text.len()).min();
    sets.min_by(|a, b| a.share.cmp(&b.share).then(shortest(b).cmp(&shortest(a))))
}

/// The values of the field's conditions, each a set, and the names on its path, each a set of one: a
/// positive condition holds of no record that lacks one of these.
fn of_field(field: &FieldSpec) -> impl Iterator<Item = Set<'_>> {
    let is_positive = |condition: &Condition| match condition {
        Condition::Equals(_)
        | Condition::StartsWith(_)
        | Condition::EndsWith(_)
        | Condition::Cidr(_) => true,
        Condition::Exists(is_wanted) => *is_wanted,
        Condition::NotEquals(_)
        | Condition::NotStartsWith(_)
        | Condition::NotEndsWith(_)
        | Condition::NotCidr(_) => false,
    };
    let is_required = field.conditions.iter().any(is_positive);
    let names = field.path.split('.').filter(move |name| is_required && is_plain(name));
    let names = names.map(|name| Set { texts: vec![name], share: frequency::of_name(name) });
    names.chain(field.conditions.iter().filter_map(of_values))
}

fn of_values(condition: &Condition) -> Option<Set<'_>> {
    let texts: Vec<&str> = match condition {
        Condition::Equals(values) => values.iter().map(of_value).collect::<Option<_>>()?,
        Condition::StartsWith(values) | Condition::EndsWith(values) => {
            values.iter().map(|value| most_telling_part(value)).collect::<Option<_>>()?
        }
        _ => return None,
    };
    let share = texts.iter().map(|text| frequency::of_value(text)).sum();
    Some(Set { texts, share })
}

fn of_value(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => most_telling_part(text),
        Value::Bool(_) | Value::Integer(_) => None,
    }
}

/// Of the parts of the text that JSON writes as they are, unless with `\u`, the one to search for.
fn most_telling_part(text: &str) -> Option<&str> {
    let parts = text.split(|char| !is_plain_char(char)).filter(|part| !part.is_empty());
    let share = |part: &&str| frequency::of_value(part);
    parts.min_by(|a, b| share(a).cmp(&share(b)).then(b.len().cmp(&a.len())))
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_plain_char)
}

/// Whether JSON writes the character as it is, unless with `\u`.
fn is_plain_char(char: char) -> bool {
    matches!(char, ' '..='~') && !matches!(char, '"' | '\\' | '/')
}
