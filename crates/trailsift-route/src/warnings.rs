//! What is probably not meant so: selectors that can never match, or that add nothing.
//!
//! All of this is judged by what CloudTrail is known to write, and CloudTrail learns new words before
//! we do. So nothing here is refused, and a record is selected as if nobody had warned.

mod logic;
#[cfg(test)]
mod tests;
mod values;

use std::fmt;

use crate::check::Place;
use crate::fields::{self, Found, Shape};
use crate::routes::Routes;
use crate::spec::{Condition, FieldSpec, RouteSpec, SelectorSpec};
use crate::words;

/// Something about a selector that is probably not meant so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteWarning {
    /// The route's name.
    pub route: String,
    /// The selector's place in its route, counted from 1.
    pub selector: usize,
    /// The path of the field, unless it is the whole selector.
    pub field: Option<String>,
    /// What is odd. Text of the configuration is escaped in it.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for RouteWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { route, selector, field, problem, remedy } = self;
        let (route, selector, field) = (Some(&**route), Some(*selector), field.as_deref());
        write!(f, "{}{problem}; {remedy}", Place { route, selector, field })
    }
}

/// A problem and its remedy.
#[derive(Debug, PartialEq, Eq)]
struct Odd {
    problem: String,
    remedy: String,
}

impl Odd {
    fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into() }
    }
}

impl Routes {
    /// What is probably not meant so in these routes, by route and selector: fields that CloudTrail
    /// does not write, values that it never gives them, conditions that contradict each other, and
    /// selectors that select nothing more than another one of their route. The routes need not be
    /// free of errors, but what [`Routes::compile`] refuses is not repeated here.
    pub fn warnings(specs: &[RouteSpec]) -> Vec<RouteWarning> {
        specs.iter().flat_map(of_route).collect()
    }
}

fn of_route(route: &RouteSpec) -> Vec<RouteWarning> {
    let mut warnings = Vec::new();
    let mut add = |selector: usize, field: Option<&str>, odd: Odd| {
        warnings.push(RouteWarning {
            route: route.name.clone(),
            selector,
            field: field.map(str::to_owned),
            problem: odd.problem,
            remedy: odd.remedy,
        });
    };
    let mut hopeless = vec![false; route.selectors.len()];
    for (index, selector) in route.selectors.iter().enumerate() {
        for field in &selector.fields {
            of_field(field).into_iter().for_each(|odd| add(index + 1, Some(&field.path), odd));
        }
        let contradictions = logic::contradictions(selector);
        hopeless[index] = !contradictions.is_empty();
        let dead = logic::dead_values(selector).into_iter().filter(|_| !hopeless[index]);
        for (path, odd) in contradictions.into_iter().chain(dead) {
            add(index + 1, Some(path), odd);
        }
    }
    for (index, selector) in route.selectors.iter().enumerate() {
        if hopeless[index] {
            continue;
        }
        let others = route.selectors.iter().enumerate().filter(|(other, _)| !hopeless[*other]);
        if let Some(odd) = of_repetition(index, selector, others) {
            add(index + 1, None, odd);
        }
    }
    warnings.sort_by_key(|warning| warning.selector);
    warnings
}

/// A selector of which another one selects everything already. Of two that select the same the later
/// one is odd.
fn of_repetition<'s>(
    index: usize,
    selector: &SelectorSpec,
    others: impl Iterator<Item = (usize, &'s SelectorSpec)>,
) -> Option<Odd> {
    for (other, spec) in others {
        if other == index || selector.fields.is_empty() || !logic::implies(selector, spec) {
            continue;
        }
        let is_same = logic::implies(spec, selector);
        if is_same && other > index {
            continue;
        }
        let problem = match is_same {
            true => format!("it says the same as selector {}", other + 1),
            false => format!("it selects nothing that selector {} does not", other + 1),
        };
        return Some(Odd::new(problem, "selectors are OR-ed: remove one of the two"));
    }
    None
}

fn of_field(field: &FieldSpec) -> Vec<Odd> {
    let path = field.path.as_str();
    if path.split('.').any(str::is_empty) {
        return Vec::new();
    }
    let shape = match fields::look_up(path) {
        Found::Known { shape, .. } => shape,
        Found::Free => Shape::Free,
        Found::Unknown { name, parent, siblings } => {
            return of_unknown(path, name, parent, siblings).into_iter().collect();
        }
        Found::BelowValue { parent } => {
            let is_refused = parent == "eventSource";
            let problem = format!("{parent} is no object, so nothing is below it");
            let odd = Odd::new(problem, format!("write {parent}"));
            return if is_refused { Vec::new() } else { vec![odd] };
        }
    };
    match shape {
        Shape::Skipped => {
            let problem = "only Insight files hold it, and these are skipped";
            return vec![Odd::new(problem, "remove the selector")];
        }
        Shape::Object(below) | Shape::List(below) => {
            let is_compared = |it: &&Condition| !matches!(it, Condition::Exists(_));
            let compared = field.conditions.iter().find(is_compared);
            let odd = compared.map(|condition| {
                let what = if matches!(shape, Shape::List(_)) { "objects" } else { "an object" };
                let problem =
                    format!("it holds {what}, which {} never finds", condition.operator());
                let example = below.first().map_or("", |field| field.name);
                Odd::new(problem, format!("quote the path of what is in it: \"{path}.{example}\""))
            });
            return odd.into_iter().collect();
        }
        _ => {}
    }
    field.conditions.iter().flat_map(|condition| values::of(path, shape, condition)).collect()
}

fn of_unknown(path: &str, name: &str, parent: &str, siblings: &[fields::Field]) -> Option<Odd> {
    let names = siblings.iter().map(|field| field.name);
    let is_refused =
        parent.is_empty() && names.clone().chain(["actor"]).any(|it| it.eq_ignore_ascii_case(name));
    if is_refused {
        return None;
    }
    let shown = words::shown(name);
    let problem = match parent {
        "" => format!("CloudTrail's records have no field {shown}"),
        parent => format!("{parent} has no field {shown}"),
    };
    let rest = path.strip_prefix(parent).map_or(path, |rest| rest.trim_start_matches('.'));
    let rest = rest.strip_prefix(name).unwrap_or_default().escape_debug();
    let at = |name: &str| match parent {
        "" => format!("\"{name}{rest}\""),
        parent => format!("\"{parent}.{name}{rest}\""),
    };
    let elsewhere: Vec<_> = fields::paths_of(name).iter().map(|it| format!("\"{it}\"")).collect();
    let remedy = if let Some(meant) = words::closest(name, names.clone()) {
        format!("did you mean {}?", at(meant))
    } else if !elsewhere.is_empty() {
        format!("did you mean {}?", elsewhere.join(" or "))
    } else if parent.is_empty() {
        let example = words::shown(&format!("requestParameters.{name}"));
        format!("what a call was given is a path such as {example}")
    } else {
        words::hint(name, names)
    };
    Some(Odd::new(problem, remedy))
}
