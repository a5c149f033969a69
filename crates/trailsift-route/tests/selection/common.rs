//! Routes written as a configuration would write them, for short tables.

use serde_json::Value as Json;
use trailsift_core::{RecordFault, RouteSet, Selection};
use trailsift_route::{Condition, FieldSpec, RouteSpec, Routes, SelectorSpec, Value};

/// A route from its selectors, such as `[{"eventSource": {"equals": ["x"]}}]`.
pub(crate) fn route(name: &str, selectors: &str) -> RouteSpec {
    let selectors: Vec<serde_json::Map<String, Json>> = serde_json::from_str(selectors).unwrap();
    let selectors = selectors.into_iter().map(|fields| {
        let fields = fields.into_iter().map(|(path, conditions)| {
            let conditions = conditions.as_object().unwrap().iter();
            let conditions = conditions.map(|(operator, values)| condition(operator, values));
            FieldSpec { path, conditions: conditions.collect() }
        });
        SelectorSpec { fields: fields.collect() }
    });
    RouteSpec { name: name.to_owned(), selectors: selectors.collect() }
}

pub(crate) fn compile(selectors: &str) -> Routes {
    match Routes::compile(&[route("r", selectors)]) {
        Ok(routes) => routes,
        Err(errors) => panic!("{selectors}: {errors:?}"),
    }
}

/// Whether a route of these selectors wants the record.
pub(crate) fn selects(selectors: &str, record: &str) -> Result<bool, RecordFault> {
    compile(selectors).select(record.as_bytes()).map(|routes| routes != RouteSet::EMPTY)
}

fn condition(operator: &str, values: &Json) -> Condition {
    let texts = || values.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned());
    let any = || {
        values.as_array().unwrap().iter().map(|value| match value {
            Json::String(text) => Value::String(text.clone()),
            Json::Bool(value) => Value::Bool(*value),
            number => Value::Integer(number.as_i64().unwrap()),
        })
    };
    let networks = || texts().map(|text| text.parse().unwrap()).collect();
    match operator {
        "equals" => Condition::Equals(any().collect()),
        "not_equals" => Condition::NotEquals(any().collect()),
        "starts_with" => Condition::StartsWith(texts().collect()),
        "not_starts_with" => Condition::NotStartsWith(texts().collect()),
        "ends_with" => Condition::EndsWith(texts().collect()),
        "not_ends_with" => Condition::NotEndsWith(texts().collect()),
        "cidr" => Condition::Cidr(networks()),
        "not_cidr" => Condition::NotCidr(networks()),
        "exists" => Condition::Exists(values.as_bool().unwrap()),
        other => panic!("no operator {other}"),
    }
}
