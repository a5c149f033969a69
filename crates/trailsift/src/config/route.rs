//! `[[route]]` and its selectors.

use std::net::IpAddr;

use toml::de::DeValue;
use trailsift_route::{
    Condition, FieldSpec, IpNet, RouteSpec, Routes, SelectorSpec, Value, parse_network,
};

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
    let name = section.need("name", NAME);
    let written = selectors(section);
    if let Some(written) = &written {
        warn(written, section.scope.findings);
    }
    Some(RouteDraft {
        place: section.place,
        name,
        selectors: written.map(|written| written.into_iter().map(|it| it.value.spec).collect()),
        sinks: sinks(section),
    })
}

fn sinks(section: &mut Section<'_, '_>) -> Vec<At<String>> {
    let Some(node) = section.node("sinks") else {
        section.scope.findings.missing(
            section.place,
            "the route has no sinks",
            "add sinks = [\"NAME\"], each of them the NAME of a [sink.NAME]",
        );
        return Vec::new();
    };
    ListOf(NAME).read(&node).unwrap_or_default()
}

/// A selector, and where each of its fields is named.
struct Written {
    spec: SelectorSpec,
    fields: Vec<At<String>>,
}

fn selectors(section: &mut Section<'_, '_>) -> Option<Vec<At<Written>>> {
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
    (findings.errors() == before).then_some(list)
}

fn selector(section: &mut Section<'_, '_>) -> Option<Written> {
    let entries = section.take_entries();
    if entries.is_empty() {
        section.scope.findings.missing(
            section.place,
            "the selector names no field",
            "eventSource = { exists = true } selects every record that has one",
        );
    }
    let fields = entries.iter().filter_map(|(path, node)| field(path, node)).collect();
    let paths = entries.into_iter().map(|(path, _)| path).collect();
    Some(Written { spec: SelectorSpec { fields }, fields: paths })
}

/// Lets the route crate say what is probably not meant so, each at its field's or its selector's
/// place.
fn warn(written: &[At<Written>], findings: &Findings) {
    let selectors = written.iter().map(|selector| selector.value.spec.clone()).collect();
    let spec = RouteSpec { name: "route".into(), selectors };
    for warning in Routes::warnings(&[spec]) {
        let Some(selector) = written.get(warning.selector - 1) else { continue };
        let named = warning
            .field
            .as_ref()
            .and_then(|path| selector.value.fields.iter().find(|written| written.value == *path));
        let (place, subject) = match named {
            Some(path) => (path.place, format!("`{}`", path.value.escape_debug())),
            None => (selector.place, format!("selector {}", warning.selector)),
        };
        findings.warning(place, format!("{subject}: {}", warning.problem), warning.remedy);
    }
}

fn field(path: &At<String>, node: &Node<'_, '_>) -> Option<FieldSpec> {
    let findings = node.scope.findings;
    let Some(mut section) = node.section() else {
        let expected = "a table of operators such as { equals = [\"…\"] }";
        let hint = match node.value {
            DeValue::Array(_) => "write { equals = … } around the list",
            _ => "write { equals = [ … ] } around the value",
        };
        node.wrong_type_with(expected, hint);
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

const OPERATORS: [&str; 9] = [
    "equals",
    "not_equals",
    "starts_with",
    "not_starts_with",
    "ends_with",
    "not_ends_with",
    "cidr",
    "not_cidr",
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
    add(networks(section, "cidr").map(Condition::Cidr));
    add(networks(section, "not_cidr").map(Condition::NotCidr));
    add(section.get("exists", Flag).map(|exists| Condition::Exists(exists.value)));
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

fn networks(section: &mut Section<'_, '_>, key: &'static str) -> Option<Vec<IpNet>> {
    let list = section.get(key, ListOf(Network))?;
    Some(list.value.into_iter().map(|item| item.value).collect())
}

/// An IP network, or an address, which is the network of itself.
struct Network;

impl Kind for Network {
    type Value = IpNet;

    fn expected(&self) -> String {
        "a network such as \"10.0.0.0/8\" or \"2001:db8::/32\", or a single address".into()
    }

    fn read(&self, node: &Node<'_, '_>) -> Option<IpNet> {
        let DeValue::String(text) = node.value else {
            node.wrong_type_with(&self.expected(), self.remedy());
            return None;
        };
        let network = parse_network(text);
        if network.is_none() {
            let message = format!("`{}` is no network: {}", node.path, shown(text));
            node.error(message, why_no_network(text));
        }
        network
    }
}

/// What to do about a text that is no network.
fn why_no_network(text: &str) -> String {
    let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
    let Ok(address) = address.parse::<IpAddr>() else {
        return format!("it must be {}", Network.expected());
    };
    let mask = prefix.parse::<IpAddr>().ok();
    match mask.and_then(|mask| IpNet::with_netmask(address, mask).ok()) {
        Some(network) => format!("write the length of its prefix: \"{network}\""),
        None => {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            format!("behind the slash stands the length of its prefix, from 0 to {bits}")
        }
    }
}

/// The text in quotes, escaped, and cut where it is long.
fn shown(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
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
                node.wrong_type_with(&self.expected(), "give each value by itself");
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
                node.wrong_type_with(&self.expected(), self.remedy());
                None
            }
        }
    }
}
