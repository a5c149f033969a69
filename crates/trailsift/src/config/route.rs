//! `[[route]]` and its selectors.

use toml::de::DeValue;
use trailsift_route::{Condition, FieldSpec, RouteSpec, Routes, SelectorSpec, Value};

use super::findings::{At, Findings, Place};
use super::kinds::{Flag, ListOf, TableOf};
use super::names::NAME;
use super::reader::{Kind, Node, Section};

/// A route as written, its references not yet looked up.
pub(super) struct RouteDraft {
    pub(super) place: Place,
    pub(super) name: Option<At<String>>,
    /// Absent if a part of it could not be read.
    pub(super) selectors: Option<Vec<SelectorSpec>>,
    pub(super) sinks: Vec<At<String>>,
}

/// Reads one `[[route]]`.
pub(super) fn route(section: &mut Section<'_, '_>) -> Option<RouteDraft> {
    Some(RouteDraft {
        place: section.place,
        name: section.need("name", NAME),
        selectors: selectors(section),
        sinks: section.need("sinks", ListOf(NAME)).map_or_else(Vec::new, |sinks| sinks.value),
    })
}

fn selectors(section: &mut Section<'_, '_>) -> Option<Vec<SelectorSpec>> {
    let findings = section.scope.findings;
    let Some(node) = section.node("selector") else {
        findings.missing(
            section.place,
            "the route has no selector",
            "add [[route.selector]] with a line such as eventSource = { equals = [\"iam.amazonaws.com\"] }",
        );
        return None;
    };
    let before = findings.errors();
    let list = ListOf(TableOf(selector)).read(&node)?;
    let specs = list.into_iter().map(|selector| selector.value).collect();
    (findings.errors() == before).then_some(specs)
}

fn selector(section: &mut Section<'_, '_>) -> Option<SelectorSpec> {
    let entries = section.take_entries();
    if entries.is_empty() {
        section.scope.findings.missing(
            section.place,
            "the selector names no field",
            "eventSource = { exists = true } selects every record that has one",
        );
    }
    let fields = entries.iter().filter_map(|(path, node)| field(path, node)).collect();
    Some(SelectorSpec { fields })
}

fn field(path: &At<String>, node: &Node<'_, '_>) -> Option<FieldSpec> {
    let findings = node.scope.findings;
    if path.value == "actor" || path.value.starts_with("actor.") {
        let message = format!("`{}` is not available in this version", path.value.escape_debug());
        findings.error(path.place, message, "select on \"userIdentity.type\" and its siblings");
        return None;
    }
    let Some(mut section) = node.section() else {
        let expected = "a table of operators such as { equals = [\"…\"] }";
        node.wrong_type(expected);
        return None;
    };
    if let Some((key, _)) = section
        .entries()
        .into_iter()
        .find(|(key, inner)| !OPERATORS.contains(&key.value.as_str()) && inner.section().is_some())
    {
        findings.error(
            key.place,
            format!(
                "unknown operator `{}` for `{}`",
                key.value.escape_debug(),
                path.value.escape_debug()
            ),
            format!(
                "to select on a nested field, quote its path: \"{}.{}\" = {{ … }}",
                path.value.escape_debug(),
                key.value.escape_debug()
            ),
        );
        return None;
    }
    let before = findings.errors();
    let conditions = conditions(&mut section);
    section.finish();
    let field = FieldSpec { path: path.value.clone(), conditions };
    if findings.errors() == before {
        judge(&field, path, findings);
    }
    Some(field)
}

/// Lets the route crate judge the field by itself, so that its words stand at the field's place.
fn judge(field: &FieldSpec, path: &At<String>, findings: &Findings) {
    let selectors = vec![SelectorSpec { fields: vec![field.clone()] }];
    let spec = RouteSpec { name: "route".into(), selectors };
    for error in Routes::compile(&[spec]).err().into_iter().flatten() {
        let message = format!("`{}`: {}", path.value.escape_debug(), error.problem);
        findings.error(path.place, message, error.remedy);
    }
}

const OPERATORS: [&str; 7] = [
    "equals",
    "not_equals",
    "starts_with",
    "not_starts_with",
    "ends_with",
    "not_ends_with",
    "exists",
];

fn conditions(section: &mut Section<'_, '_>) -> Vec<Condition> {
    let mut conditions = Vec::new();
    let mut add = |condition: Option<Condition>| conditions.extend(condition);
    add(values(section, "equals").map(Condition::Equals));
    add(values(section, "not_equals").map(Condition::NotEquals));
    add(texts(section, "starts_with").map(Condition::StartsWith));
    add(texts(section, "not_starts_with").map(Condition::NotStartsWith));
    add(texts(section, "ends_with").map(Condition::EndsWith));
    add(texts(section, "not_ends_with").map(Condition::NotEndsWith));
    add(section.get("exists", Flag).map(|exists| Condition::Exists(exists.value)));
    section.not_available("cidr", "select on sourceIPAddress with starts_with");
    conditions
}

fn values(section: &mut Section<'_, '_>, key: &'static str) -> Option<Vec<Value>> {
    let list = section.get(key, ListOf(AnyValue))?;
    Some(list.value.into_iter().map(|item| item.value).collect())
}

fn texts(section: &mut Section<'_, '_>, key: &'static str) -> Option<Vec<String>> {
    let list = section.get(key, ListOf(AnyText))?;
    Some(list.value.into_iter().map(|item| item.value).collect())
}

/// A string, a boolean or an integer.
struct AnyValue;

impl Kind for AnyValue {
    type Value = Value;

    fn expected(&self) -> String {
        "a string, a boolean or an integer".into()
    }

    fn read(&self, node: &Node<'_, '_>) -> Option<Value> {
        match node.value {
            DeValue::String(text) => Some(Value::String(text.to_string())),
            DeValue::Boolean(value) => Some(Value::Bool(*value)),
            DeValue::Integer(number) => {
                let value = i64::from_str_radix(number.as_str(), number.radix()).ok();
                if value.is_none() {
                    node.error(format!("`{}` is out of range", node.path), "integers have 64 bits");
                }
                value.map(Value::Integer)
            }
            _ => {
                node.wrong_type(&self.expected());
                None
            }
        }
    }
}

/// A string of any content.
struct AnyText;

impl Kind for AnyText {
    type Value = String;

    fn expected(&self) -> String {
        "a string".into()
    }

    fn read(&self, node: &Node<'_, '_>) -> Option<String> {
        match node.value {
            DeValue::String(text) => Some(text.to_string()),
            _ => {
                node.wrong_type(&self.expected());
                None
            }
        }
    }
}
