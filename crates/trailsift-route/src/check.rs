//! What is wrong with routes before they select anything. A route that can never match would be
//! silent for ever, so what is known to be a mistake is refused, with its remedy.

use std::collections::HashSet;
use std::fmt;

use trailsift_core::RouteSet;
use trailsift_event::{Actor, ActorKind, Credentials};

use crate::fields::TOP_LEVEL;
use crate::spec::{Condition, FieldSpec, RouteSpec, Value};
use crate::words;

/// Fields that CloudTrail writes as booleans, and the one that is derived as one.
const BOOLEANS: [&str; 3] = ["actor.mfa", "managementEvent", "readOnly"];

/// Fields that CloudTrail writes as strings although they look like something else, and
/// `eventSource`, of which any other type is a fault. What is derived of the actor is a string too.
const STRINGS: [&str; 6] = [
    "eventSource",
    "eventVersion",
    "recipientAccountId",
    "sessionCredentialFromConsole",
    "userIdentity.accountId",
    "userIdentity.sessionContext.attributes.mfaAuthenticated",
];

/// One thing that is wrong with a route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}{problem}; {remedy}", place = self.place())]
pub struct RouteError {
    /// The route's name, unless the mistake is in no single one.
    pub route: Option<String>,
    /// The selector's place in its route, counted from 1.
    pub selector: Option<usize>,
    /// The path of the field.
    pub field: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl RouteError {
    fn place(&self) -> Place<'_> {
        let Self { route, selector, field, .. } = self;
        Place { route: route.as_deref(), selector: *selector, field: field.as_deref() }
    }
}

/// A place in the routes, in words, with what parts it from what is said about it.
pub(crate) struct Place<'e> {
    pub(crate) route: Option<&'e str>,
    pub(crate) selector: Option<usize>,
    pub(crate) field: Option<&'e str>,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { route, selector, field } = self;
        if let Some(route) = route {
            write!(f, "route \"{}\"", route.escape_debug())?;
        }
        if let Some(selector) = selector {
            write!(f, ", selector {selector}")?;
        }
        if let Some(field) = field {
            write!(f, ", field \"{}\"", field.escape_debug())?;
        }
        if route.is_some() { f.write_str(": ") } else { Ok(()) }
    }
}

/// Everything that is wrong with the routes.
pub(crate) fn errors(specs: &[RouteSpec]) -> Vec<RouteError> {
    let mut errors = Vec::new();
    let mut add = |route: Option<&RouteSpec>, selector, field: Option<&str>, wrong: Wrong| {
        let route = route.map(|route| route.name.clone());
        let field = field.map(str::to_owned);
        let Wrong(problem, remedy) = wrong;
        errors.push(RouteError { route, selector, field, problem, remedy });
    };
    if specs.is_empty() {
        add(None, None, None, Wrong::new("there is no route", "name at least one"));
    }
    if specs.len() > RouteSet::MAX {
        let problem = format!("{} routes are more than {}", specs.len(), RouteSet::MAX);
        add(None, None, None, Wrong::new(problem, "merge routes that feed the same sinks"));
    }
    let mut names = HashSet::new();
    for spec in specs {
        if spec.name.is_empty() {
            let wrong = Wrong::new("the name is empty", "name it: sinks and metrics refer to it");
            add(Some(spec), None, None, wrong);
        } else if !names.insert(&spec.name) {
            let wrong = Wrong::new("the name is taken", "give each route its own name");
            add(Some(spec), None, None, wrong);
        }
        if spec.selectors.is_empty() {
            let wrong = Wrong::new(
                "there is no selector, so it selects nothing",
                "add one, such as eventSource = { equals = [\"iam.amazonaws.com\"] }",
            );
            add(Some(spec), None, None, wrong);
        }
        for (number, selector) in (1..).zip(&spec.selectors) {
            if selector.fields.is_empty() {
                let wrong = Wrong::new(
                    "there is no field",
                    "to select every record, write eventID = { exists = true }",
                );
                add(Some(spec), Some(number), None, wrong);
            }
            for field in &selector.fields {
                for wrong in of_field(field) {
                    add(Some(spec), Some(number), Some(&field.path), wrong);
                }
            }
        }
    }
    errors
}

/// A problem and its remedy.
struct Wrong(String, String);

impl Wrong {
    fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self(problem.into(), remedy.into())
    }
}

fn of_field(field: &FieldSpec) -> Vec<Wrong> {
    let mut wrongs: Vec<_> = of_path(&field.path).into_iter().collect();
    if field.conditions.is_empty() {
        let remedy = "add an operator such as equals, or remove the field";
        wrongs.push(Wrong::new("there is no condition", remedy));
    }
    wrongs.extend(field.conditions.iter().filter_map(of_values));
    wrongs.extend(field.conditions.iter().filter_map(|it| of_type(&field.path, it)));
    wrongs
}

fn of_path(path: &str) -> Option<Wrong> {
    if path.split('.').any(str::is_empty) {
        let remedy = "write the names from the top of the record, joined by single dots";
        return Some(Wrong::new("a name in the path is empty", remedy));
    }
    let top = path.split('.').next().unwrap_or_default();
    if top == "actor" {
        return of_actor(path);
    }
    if path.starts_with("eventSource.") {
        return Some(Wrong::new("eventSource is a string", "write eventSource alone"));
    }
    let mut known = TOP_LEVEL.iter().map(|field| field.name).chain(["actor"]);
    let meant = known.find(|known| known.eq_ignore_ascii_case(top))?;
    (meant != top).then(|| Wrong::new("no record has this field", format!("write {meant}")))
}

/// No record has a field of this name: what is below it is derived, and all that can be is known.
fn of_actor(path: &str) -> Option<Wrong> {
    let Some(name) = path.strip_prefix("actor.") else {
        let problem = "the actor is no single value";
        return Some(Wrong::new(problem, "quote the path of what it has, such as \"actor.kind\""));
    };
    if Actor::FIELDS.contains(&name) {
        return None;
    }
    let problem = format!("an actor has no {}", words::shown(name));
    let remedy = match words::closest(name, Actor::FIELDS.iter().copied()) {
        Some(meant) => format!("did you mean \"actor.{meant}\"?"),
        None => words::hint(name, Actor::FIELDS.iter().copied()),
    };
    Some(Wrong::new(problem, remedy))
}

fn of_values(condition: &Condition) -> Option<Wrong> {
    let operator = condition.operator();
    let (count, has_empty) = match condition {
        Condition::Equals(values) | Condition::NotEquals(values) => (values.len(), false),
        Condition::StartsWith(values)
        | Condition::NotStartsWith(values)
        | Condition::EndsWith(values)
        | Condition::NotEndsWith(values) => (values.len(), values.iter().any(String::is_empty)),
        Condition::Cidr(networks) | Condition::NotCidr(networks) => (networks.len(), false),
        Condition::Exists(_) => return None,
    };
    if count == 0 {
        return Some(Wrong::new(format!("{operator} has no values"), "list at least one"));
    }
    let problem = format!("{operator} has an empty value, which every string matches");
    has_empty.then(|| Wrong::new(problem, "write exists = true or false if that is meant"))
}

/// Comparing with a type or a word that the field never has would never match.
fn of_type(path: &str, condition: &Condition) -> Option<Wrong> {
    let operator = condition.operator();
    let writer = if path.starts_with("actor.") { "trailsift derives" } else { "CloudTrail writes" };
    let never_bool = match condition {
        Condition::Equals(values) | Condition::NotEquals(values) => {
            let is_string = |value: &Value| matches!(value, Value::String(_));
            if is_always_string(path) && !values.iter().all(is_string) {
                let problem = format!("{writer} this field as a string ({operator})");
                return Some(Wrong::new(problem, "put the values in quotes"));
            }
            let is_bool = |value: &Value| matches!(value, Value::Bool(_));
            !values.iter().all(is_bool)
        }
        Condition::Exists(_) => false,
        _ => true,
    };
    if BOOLEANS.contains(&path) && never_bool {
        let problem = format!("{writer} this field as a boolean ({operator})");
        return Some(Wrong::new(problem, "write equals = [true] or [false], without quotes"));
    }
    of_word(path, condition)
}

/// Words that a derived field of few words never has. Those sets are our own, so nothing else will
/// ever be in them.
fn of_word(path: &str, condition: &Condition) -> Option<Wrong> {
    let known: Vec<_> = match path {
        "actor.kind" => ActorKind::ALL.iter().map(|kind| kind.as_str()).collect(),
        "actor.credentials" => Credentials::ALL.iter().map(|kind| kind.as_str()).collect(),
        _ => return None,
    };
    let is_word = |text: &str| known.contains(&text);
    let has_start = |text: &str| known.iter().any(|word| word.starts_with(text));
    let has_end = |text: &str| known.iter().any(|word| word.ends_with(text));
    let strange = match condition {
        Condition::Equals(values) | Condition::NotEquals(values) => {
            values.iter().filter_map(Value::as_text).find(|text| !is_word(text))
        }
        Condition::StartsWith(starts) | Condition::NotStartsWith(starts) => {
            starts.iter().map(String::as_str).find(|text| !has_start(text))
        }
        Condition::EndsWith(ends) | Condition::NotEndsWith(ends) => {
            ends.iter().map(String::as_str).find(|text| !has_end(text))
        }
        Condition::Cidr(_) | Condition::NotCidr(_) | Condition::Exists(_) => None,
    }?;
    let problem = format!("{path} never is {}", words::shown(strange));
    Some(Wrong::new(problem, words::hint(strange, known.iter().copied())))
}

/// Whether a value of any other type is an error.
pub(crate) fn is_always_string(path: &str) -> bool {
    let is_text = |name: &str| Actor::FIELDS.contains(&name) && name != "mfa";
    STRINGS.contains(&path) || path.strip_prefix("actor.").is_some_and(is_text)
}
