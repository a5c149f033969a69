//! What is said of selectors holds of records: random ones, selected in earnest.

use proptest::prelude::*;
use serde_json::{Map, json};
use trailsift_core::Selection as _;

use super::*;
use crate::spec::IpNet;

const PATHS: [&str; 7] = [
    "errorCode",
    "eventName",
    "readOnly",
    "requestParameters",
    "requestParameters.a",
    "resources.ARN",
    "sourceIPAddress",
];

const TEXTS: [&str; 8] = ["A", "AB", "ABC", "B", "BC", "10.1.2.3", "10.2.0.1", "192.0.2.1"];

fn a_text() -> impl Strategy<Value = String> {
    prop::sample::select(&TEXTS[..]).prop_map(str::to_owned)
}

fn some<T: fmt::Debug>(one: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<T>> {
    prop::collection::vec(one, 1..4)
}

fn a_condition(path: &'static str) -> BoxedStrategy<Condition> {
    let value = || a_text().prop_map(Value::String);
    let net = || {
        let nets = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "192.0.2.0/24", "0.0.0.0/0"];
        prop::sample::select(nets.map(|net| net.parse::<IpNet>().expect("a network")).to_vec())
    };
    if path == "readOnly" {
        let value = || any::<bool>().prop_map(|value| vec![Value::Bool(value)]);
        return prop_oneof![
            value().prop_map(Condition::Equals),
            value().prop_map(Condition::NotEquals),
            any::<bool>().prop_map(Condition::Exists),
        ]
        .boxed();
    }
    prop_oneof![
        some(value()).prop_map(Condition::Equals),
        some(value()).prop_map(Condition::NotEquals),
        some(a_text()).prop_map(Condition::StartsWith),
        some(a_text()).prop_map(Condition::NotStartsWith),
        some(a_text()).prop_map(Condition::EndsWith),
        some(a_text()).prop_map(Condition::NotEndsWith),
        some(net()).prop_map(Condition::Cidr),
        some(net()).prop_map(Condition::NotCidr),
        any::<bool>().prop_map(Condition::Exists),
    ]
    .boxed()
}

fn a_selector() -> impl Strategy<Value = SelectorSpec> {
    let field = prop::sample::select(&PATHS[..]).prop_flat_map(|path| {
        let conditions = prop::collection::vec(a_condition(path), 1..3);
        conditions.prop_map(move |conditions| field(path, conditions))
    });
    prop::collection::vec(field, 1..3).prop_map(selector)
}

/// A record as CloudTrail would write it: one value where one belongs, any where any may be.
fn a_record() -> impl Strategy<Value = String> {
    let any_value = || {
        prop_oneof![
            Just(json!(null)),
            Just(json!({})),
            a_text().prop_map(|text| json!(text)),
            prop::collection::vec(a_text(), 0..3).prop_map(|texts| json!(texts)),
        ]
    };
    let text = || prop::option::of(a_text());
    let arns = prop::collection::vec(text(), 0..3);
    let parameters = prop_oneof![any_value(), any_value().prop_map(|value| json!({"a": value}))];
    let read_only = prop::option::of(any::<bool>());
    (text(), text(), text(), arns, parameters, read_only).prop_map(
        |(name, error, from, arns, parameters, read_only)| {
            let mut record = Map::new();
            let mut put = |name: &str, value: Option<serde_json::Value>| {
                value.and_then(|value| record.insert(name.to_owned(), value))
            };
            put("eventName", name.map(Into::into));
            put("errorCode", error.map(Into::into));
            put("sourceIPAddress", from.map(Into::into));
            put("readOnly", read_only.map(Into::into));
            put("requestParameters", Some(parameters));
            put("resources", Some(arns.iter().map(|arn| json!({"ARN": arn})).collect()));
            serde_json::Value::Object(record).to_string()
        },
    )
}

fn selects(selector: &SelectorSpec, record: &str) -> bool {
    let spec = RouteSpec { name: "r".into(), selectors: vec![selector.clone()] };
    let routes = Routes::compile(&[spec]).expect("legal");
    !routes.select(record.as_bytes()).expect("a record").is_empty()
}

fn a_strange_text() -> impl Strategy<Value = String> {
    let known = prop::sample::select(
        &[
            "",
            ".",
            "actor",
            "actor.",
            "actor.kind",
            "eventSource",
            "userIdentity.sessionContext.",
            "codeguru-reviewer.amazonaws.com",
            "ü",
            "\u{202e}",
            "\u{7}",
            "*",
            "10.0.0.0/8",
            "1.8",
        ][..],
    );
    let part = prop_oneof![known.prop_map(str::to_owned), "\\PC{0,8}", "[a-zA-Z.*:/-]{0,12}"];
    prop::collection::vec(part, 1..3).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// Whatever a configuration says: an answer that a terminal can show.
    #[test]
    fn no_selector_makes_the_judges_panic(
        paths in prop::collection::vec(a_strange_text(), 1..3),
        text in a_strange_text(),
    ) {
        let values = || vec![Value::String(text.clone())];
        let texts = || vec![text.clone()];
        let conditions = vec![
            Condition::Equals(values()),
            Condition::NotEquals(values()),
            Condition::StartsWith(texts()),
            Condition::NotStartsWith(texts()),
            Condition::EndsWith(texts()),
            Condition::NotEndsWith(texts()),
            Condition::Cidr(Vec::new()),
            Condition::Exists(false),
        ];
        for condition in conditions {
            let one = |path: &String| field(path, vec![condition.clone()]);
            let selectors = vec![selector(paths.iter().map(one).collect()); 2];
            let spec = RouteSpec { name: text.clone(), selectors };
            let warnings = Routes::warnings(std::slice::from_ref(&spec));
            let errors = Routes::compile(std::slice::from_ref(&spec)).err().unwrap_or_default();
            let shown = warnings.iter().map(ToString::to_string);
            for text in shown.chain(errors.iter().map(ToString::to_string)) {
                prop_assert!(!text.chars().any(char::is_control), "{:?}", text);
            }
        }
    }

    /// A contradiction is one: nothing is selected, however many records are tried.
    #[test]
    fn a_selector_that_contradicts_itself_selects_nothing(
        selector in a_selector(),
        records in prop::collection::vec(a_record(), 16),
    ) {
        let contradictions = logic::contradictions(&selector);
        for record in records {
            let is_selected = selects(&selector, &record);
            prop_assert!(contradictions.is_empty() || !is_selected, "{}", record);
        }
    }

    /// Whatever the narrower selector selects, the wider one does.
    #[test]
    fn a_selector_that_implies_another_selects_no_more(
        one in a_selector(),
        other in a_selector(),
        records in prop::collection::vec(a_record(), 8),
    ) {
        // Most pairs have nothing to do with each other: one that has more conditions always has.
        let mut both = one.clone();
        both.fields.extend(other.fields.clone());
        prop_assert!(logic::implies(&both, &other));
        for (narrow, wide) in [(&one, &other), (&other, &one), (&one, &one), (&both, &one)] {
            if logic::implies(narrow, wide) {
                for record in &records {
                    prop_assert!(!selects(narrow, record) || selects(wide, record), "{}", record);
                }
            }
        }
    }
}
