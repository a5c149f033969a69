//! Conditions that contradict each other, and selectors that imply each other. Everything that is
//! said here holds of any record whatever; what is not sure is not said.

use ipnet::IpNet;

use super::Odd;
use crate::cidr::{Address, Networks};
use crate::fields::{self, Found, Shape};
use crate::literals::is_positive;
use crate::spec::{Condition, SelectorSpec, Value};
use crate::words;

/// The conditions of a selector that cannot hold together, each with its field's path: of a selector
/// that has one, no record is ever selected.
pub(super) fn contradictions(selector: &SelectorSpec) -> Vec<(&str, Odd)> {
    let mut found = Vec::new();
    let mut paths: Vec<&str> = selector.fields.iter().map(|field| field.path.as_str()).collect();
    paths.sort_unstable();
    paths.dedup();
    for path in &paths {
        let conditions = conditions_of(selector, path);
        let odd = of_one_field(path, &conditions).or_else(|| {
            let is_wanted = conditions.iter().any(|condition| is_positive(condition));
            let parent = paths.iter().find(|parent| {
                is_below(path, parent)
                    && conditions_of(selector, parent).contains(&&Condition::Exists(false))
            });
            let parent = parent.filter(|_| is_wanted)?;
            let problem = format!("it is wanted, but {} is not", words::shown(parent));
            Some(Odd::new(problem, "nothing has both, so remove one"))
        });
        found.extend(odd.map(|odd| (*path, odd)));
    }
    found
}

/// Values of `equals` that another condition of the same field rejects, while others remain.
pub(super) fn dead_values(selector: &SelectorSpec) -> Vec<(&str, Odd)> {
    let mut found = Vec::new();
    for field in &selector.fields {
        let is_single = is_single(&field.path);
        for condition in &field.conditions {
            let Condition::Equals(values) = condition else { continue };
            let others = || conditions_of(selector, &field.path).into_iter();
            // By place, not by content: that would be all values again for each of them.
            let rejecting = |value: &Value| {
                let mut others = others().filter(|other| !std::ptr::eq(*other, condition));
                others.find(|other| rejects(other, value, is_single))
            };
            let dead = values.iter().filter_map(|value| Some((value, rejecting(value)?)));
            found.extend(dead.map(|(value, other)| {
                let value = match value {
                    Value::String(text) => words::shown(text),
                    Value::Bool(value) => value.to_string(),
                    Value::Integer(value) => value.to_string(),
                };
                let other = other.operator();
                let problem = format!("equals lists {value}, which {other} rules out");
                (field.path.as_str(), Odd::new(problem, "remove it from one of the two"))
            }));
        }
    }
    found
}

/// Whether a record holds at most one value there: not where services write what they like, or where
/// an array belongs.
fn is_single(path: &str) -> bool {
    match fields::look_up(path) {
        Found::Known { shape: Shape::Free | Shape::List(_), .. } => false,
        Found::Known { is_single, .. } => is_single,
        _ => false,
    }
}

fn conditions_of<'s>(selector: &'s SelectorSpec, path: &str) -> Vec<&'s Condition> {
    let fields = selector.fields.iter().filter(|field| field.path == path);
    fields.flat_map(|field| &field.conditions).collect()
}

fn is_below(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent).is_some_and(|rest| rest.starts_with('.'))
}

fn of_one_field(path: &str, conditions: &[&Condition]) -> Option<Odd> {
    let is_single = is_single(path);
    let name = |condition: &Condition| match condition {
        Condition::Exists(wanted) => format!("exists = {wanted}"),
        other => other.operator().to_owned(),
    };
    let clash = |a: &Condition, b: &Condition| {
        let problem = format!("{} and {} never hold together", name(a), name(b));
        Odd::new(problem, "the selector selects nothing: remove one of them")
    };
    for (at, a) in conditions.iter().enumerate() {
        let mut others = conditions.iter().enumerate().filter(|(other, _)| *other != at);
        if let Some((_, b)) = others.find(|(_, b)| excludes(b, a, is_single)) {
            return Some(clash(a, b));
        }
    }
    // Each of the listed values may fall to another condition.
    let (listed, values) = conditions.iter().find_map(|condition| match condition {
        Condition::Equals(values) if !values.is_empty() => Some((*condition, values)),
        _ => None,
    })?;
    let others = || conditions.iter().filter(|other| **other != listed);
    let falls = |value: &Value| others().any(|other| rejects(other, value, is_single));
    values.iter().all(falls).then(|| {
        let problem = "no value of equals satisfies the other conditions";
        Odd::new(problem, "the selector selects nothing: remove values or conditions")
    })
}

/// Whether no record satisfies both, `positive` being positive. Where a path may have several
/// values, different ones may satisfy two positive conditions.
fn excludes(condition: &Condition, positive: &Condition, is_single: bool) -> bool {
    if !is_positive(positive) {
        return false;
    }
    if *condition == Condition::Exists(false) {
        return true;
    }
    let starts = |text: &str, starts: &[String]| starts.iter().any(|it| text.starts_with(&**it));
    let ends = |text: &str, ends: &[String]| ends.iter().any(|it| text.ends_with(&**it));
    match (positive, condition) {
        (Condition::Equals(values), _) => {
            !values.is_empty() && values.iter().all(|it| rejects(condition, it, is_single))
        }
        (Condition::StartsWith(texts), Condition::NotStartsWith(others)) => {
            !texts.is_empty() && texts.iter().all(|text| starts(text, others))
        }
        (Condition::EndsWith(texts), Condition::NotEndsWith(others)) => {
            !texts.is_empty() && texts.iter().all(|text| ends(text, others))
        }
        (Condition::Cidr(nets), Condition::NotCidr(others)) => {
            !nets.is_empty() && nets.iter().all(|net| is_within(net, others))
        }
        (Condition::StartsWith(texts), Condition::StartsWith(others)) if is_single => {
            let meet = |text: &String| {
                starts(text, others) || others.iter().any(|it| it.starts_with(&**text))
            };
            !texts.iter().any(meet)
        }
        (Condition::EndsWith(texts), Condition::EndsWith(others)) if is_single => {
            let meet =
                |text: &String| ends(text, others) || others.iter().any(|it| it.ends_with(&**text));
            !texts.iter().any(meet)
        }
        _ => false,
    }
}

/// Whether the condition fails wherever the value is the one that another condition found.
fn rejects(condition: &Condition, value: &Value, is_single: bool) -> bool {
    let text = value.as_text();
    let starts =
        |starts: &[String]| text.is_some_and(|it| starts.iter().any(|s| it.starts_with(&**s)));
    let ends = |ends: &[String]| text.is_some_and(|it| ends.iter().any(|e| it.ends_with(&**e)));
    let is_in = |nets: &[IpNet]| text.is_some_and(|it| address_in(it, nets));
    match condition {
        Condition::NotEquals(values) => values.contains(value),
        Condition::NotStartsWith(texts) => starts(texts),
        Condition::NotEndsWith(texts) => ends(texts),
        Condition::NotCidr(nets) => is_in(nets),
        Condition::Equals(values) => is_single && !values.contains(value),
        Condition::StartsWith(texts) => is_single && !starts(texts),
        Condition::EndsWith(texts) => is_single && !ends(texts),
        Condition::Cidr(nets) => is_single && !is_in(nets),
        Condition::Exists(wanted) => !wanted,
    }
}

fn address_in(text: &str, networks: &[IpNet]) -> bool {
    let networks = Networks::new(networks);
    Address::read(text.as_bytes()).is_some_and(|address| networks.contain(address))
}

fn is_within(network: &IpNet, others: &[IpNet]) -> bool {
    others.iter().any(|other| other.trunc().contains(&network.trunc()))
}

/// Whether whatever the one selects, the other selects too.
pub(super) fn implies(one: &SelectorSpec, other: &SelectorSpec) -> bool {
    let follows = |path: &str, wanted: &Condition| {
        let same = conditions_of(one, path);
        let from_below = *wanted == Condition::Exists(true)
            && one.fields.iter().any(|field| {
                is_below(&field.path, path) && field.conditions.iter().any(is_positive)
            });
        from_below || same.iter().any(|given| condition_implies(given, wanted))
    };
    let mut asked = other.fields.iter().flat_map(|field| {
        field.conditions.iter().map(|condition| (field.path.as_str(), condition))
    });
    asked.all(|(path, wanted)| follows(path, wanted))
}

/// Whether at one path the one holds only where the other does.
fn condition_implies(one: &Condition, other: &Condition) -> bool {
    let each = |values: &[Value], holds: &dyn Fn(&str) -> bool| {
        values.iter().all(|value| value.as_text().is_some_and(holds))
    };
    match (one, other) {
        (one, Condition::Exists(true)) => is_positive(one),
        (Condition::Exists(false), other) => !is_positive(other),
        (Condition::Equals(a), Condition::Equals(b)) => a.iter().all(|value| b.contains(value)),
        (Condition::Equals(a), Condition::StartsWith(b)) => {
            each(a, &|text| b.iter().any(|start| text.starts_with(&**start)))
        }
        (Condition::Equals(a), Condition::EndsWith(b)) => {
            each(a, &|text| b.iter().any(|end| text.ends_with(&**end)))
        }
        (Condition::Equals(a), Condition::Cidr(b)) => each(a, &|text| address_in(text, b)),
        (Condition::StartsWith(a), Condition::StartsWith(b)) => {
            a.iter().all(|text| b.iter().any(|start| text.starts_with(&**start)))
        }
        (Condition::EndsWith(a), Condition::EndsWith(b)) => {
            a.iter().all(|text| b.iter().any(|end| text.ends_with(&**end)))
        }
        (Condition::Cidr(a), Condition::Cidr(b)) => a.iter().all(|net| is_within(net, b)),
        // What is excluded may only shrink.
        (Condition::NotEquals(a), Condition::NotEquals(b)) => {
            b.iter().all(|value| a.contains(value))
        }
        (Condition::NotStartsWith(a), Condition::NotStartsWith(b)) => {
            b.iter().all(|text| a.iter().any(|start| text.starts_with(&**start)))
        }
        (Condition::NotStartsWith(a), Condition::NotEquals(b)) => {
            each(b, &|text| a.iter().any(|start| text.starts_with(&**start)))
        }
        (Condition::NotEndsWith(a), Condition::NotEndsWith(b)) => {
            b.iter().all(|text| a.iter().any(|end| text.ends_with(&**end)))
        }
        (Condition::NotEndsWith(a), Condition::NotEquals(b)) => {
            each(b, &|text| a.iter().any(|end| text.ends_with(&**end)))
        }
        (Condition::NotCidr(a), Condition::NotCidr(b)) => b.iter().all(|net| is_within(net, a)),
        _ => false,
    }
}
