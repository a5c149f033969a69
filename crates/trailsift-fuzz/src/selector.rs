//! Selectors decide as a plain reading of the record would, and never on a record that is none.

use std::net::IpAddr;
use std::sync::LazyLock;

use trailsift_core::{Reason, RecordFault, RouteSet, Selection};
use trailsift_event::{Actor, ActorValue, Event};
use trailsift_route::{
    Condition, FieldSpec, IpNet, MAX_DEPTH, RouteSpec, Routes, SelectorSpec, Value,
};

use crate::json::{self, Json};

/// One route for every question, and the way to ask them all at once.
struct Panel {
    specs: Vec<RouteSpec>,
    together: Routes,
    alone: Vec<Routes>,
}

static PANEL: LazyLock<Panel> = LazyLock::new(|| {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let strings = |list: &[&str]| texts(list).into_iter().map(Value::String).collect::<Vec<_>>();
    let mixed = || {
        let values =
            [Value::Bool(false), Value::Integer(0), Value::Integer(-7), Value::Integer(i64::MIN)];
        strings(&["", "a"]).into_iter().chain(values).collect::<Vec<_>>()
    };
    let networks = |networks: &[&str]| -> Vec<IpNet> {
        networks.iter().map(|network| network.parse().expect("it is one")).collect()
    };
    let sources = || strings(&["codeguru-reviewer.amazonaws.com", "a"]);
    let selectors = [
        vec![("eventSource", vec![Condition::Equals(sources())])],
        vec![
            ("eventSource", vec![Condition::EndsWith(texts(&[".com", "é"]))]),
            ("a", vec![Condition::Exists(true)]),
        ],
        vec![("eventSource", vec![Condition::NotEquals(sources())])],
        vec![("a", vec![Condition::Equals(mixed())])],
        vec![("a", vec![Condition::NotEquals(mixed())])],
        vec![(
            "a.b",
            vec![
                Condition::StartsWith(texts(&["a", "\u{1F600}"])),
                Condition::NotEndsWith(texts(&["b"])),
            ],
        )],
        vec![("a.b", vec![Condition::NotStartsWith(texts(&["a/\"\\"]))])],
        vec![
            ("a.b.c", vec![Condition::Exists(true)]),
            ("a.b", vec![Condition::EndsWith(texts(&["\n", "x"]))]),
        ],
        vec![("a.b.c", vec![Condition::Exists(false)])],
        vec![("é\".", vec![Condition::Exists(true)])],
        vec![("a", vec![Condition::Cidr(networks(&["192.0.2.0/24", "198.51.96.0/20"]))])],
        vec![("a", vec![Condition::Cidr(networks(&["2001:db8::/32", "::ffff:192.0.2.0/120"]))])],
        vec![("a.b", vec![Condition::NotCidr(networks(&["0.0.0.0/0", "::/0"]))])],
        vec![("actor.kind", vec![Condition::Equals(strings(&["root", "identity_center_user"]))])],
        vec![("actor.kind", vec![Condition::NotEquals(strings(&["aws_service", "unknown"]))])],
        vec![("actor.credentials", vec![Condition::Equals(strings(&["long_term"]))])],
        vec![
            ("actor.name", vec![Condition::StartsWith(texts(&["a", "\u{1F600}"]))]),
            ("actor.session_name", vec![Condition::Exists(false)]),
        ],
        vec![("actor.arn", vec![Condition::EndsWith(texts(&["root", "/a"]))])],
        vec![("actor.account_id", vec![Condition::NotEquals(strings(&["111122223333"]))])],
        vec![(
            "actor.mfa",
            vec![Condition::Exists(true), Condition::NotEquals(vec![Value::Bool(true)])],
        )],
        vec![
            ("actor.invoked_by", vec![Condition::Exists(true)]),
            ("eventSource", vec![Condition::Equals(sources())]),
        ],
        vec![("actor.source_identity", vec![Condition::Exists(true)])],
        vec![("userIdentity.type", vec![Condition::Equals(strings(&["Root"]))])],
    ];
    let specs = selectors.into_iter().enumerate().filter_map(|(number, fields)| {
        let fields = fields.into_iter();
        let fields =
            fields.map(|(path, conditions)| FieldSpec { path: path.to_owned(), conditions });
        let selectors = vec![SelectorSpec { fields: fields.collect() }];
        let spec = RouteSpec { name: number.to_string(), selectors };
        // What a configuration may not ask is not asked here either.
        Routes::compile(std::slice::from_ref(&spec)).is_ok().then_some(spec)
    });
    let specs: Vec<_> = specs.collect();
    let compile = |specs: &[RouteSpec]| Routes::compile(specs).expect("each was compiled before");
    let alone = specs.iter().map(|spec| compile(std::slice::from_ref(spec))).collect();
    Panel { together: compile(&specs), alone, specs }
});

/// The input is a record.
pub(crate) fn check(input: &[u8]) {
    let panel = &*PANEL;
    let together = panel.together.select(input);
    for (number, routes) in panel.alone.iter().enumerate() {
        let alone = routes.select(input);
        alone_is_as_together(number, &alone, &together);
        literals_reject_rightly(input, routes, &alone);
        agrees_with_a_plain_reading(input, &panel.specs[number..=number], &alone);
    }
    agrees_with_a_plain_reading(input, &panel.specs, &together);
}

/// A route decides by itself. Only a name that another one looks at may be a fault for that one alone.
fn alone_is_as_together(
    number: usize,
    alone: &Result<RouteSet, RecordFault>,
    together: &Result<RouteSet, RecordFault>,
) {
    match (alone, together) {
        (Ok(alone), Ok(together)) => assert_eq!(alone.contains(0), together.contains(number)),
        (Err(_), Err(_)) => {}
        (Ok(_), Err(fault)) => assert!(
            matches!(fault.reason, Reason::DuplicateKey | Reason::EventSourceType),
            "only together: {fault:?}"
        ),
        (Err(fault), Ok(_)) => panic!("only alone: {fault:?}"),
    }
}

/// What is selected has a literal of its route, or an escape that may spell one.
fn literals_reject_rightly(
    input: &[u8],
    routes: &Routes,
    selected: &Result<RouteSet, RecordFault>,
) {
    let holds = |part: &[u8]| input.windows(part.len()).any(|window| window == part);
    let literals = routes.literals();
    if selected.as_ref().is_ok_and(|routes| !routes.is_empty()) && !literals.is_empty() {
        assert!(holds(br"\u") || literals.iter().any(|literal| holds(literal)));
    }
}

fn agrees_with_a_plain_reading(
    input: &[u8],
    specs: &[RouteSpec],
    selected: &Result<RouteSet, RecordFault>,
) {
    let reason = selected.as_ref().err().map(|fault| fault.reason);
    let Ok(text) = std::str::from_utf8(input) else {
        assert_eq!(reason, Some(Reason::InvalidUtf8));
        return;
    };
    if !json::is_json(input) {
        // Whatever is found first: a fault is one in any case.
        assert!(reason.is_some_and(|reason| reason != Reason::InvalidUtf8), "{text:?} is no JSON");
        return;
    }
    if !text.trim_start().starts_with('{') {
        assert_eq!(reason, Some(Reason::RecordType), "{text:?}");
        return;
    }
    let is_deep = json::depth(text) > MAX_DEPTH;
    if is_deep && reason == Some(Reason::TooDeep) {
        return;
    }
    assert!(!is_deep || reason.is_some(), "{text:?} is too deep");
    let record = json::read(text);
    let faults = faults(&record, specs);
    match selected {
        Err(fault) => assert!(faults.contains(&fault.reason), "{fault:?} in {text:?}"),
        Ok(selected) => {
            assert_eq!(faults, [], "{text:?}");
            for (number, spec) in specs.iter().enumerate() {
                let wants = wants(spec, &record, text);
                assert_eq!(selected.contains(number), wants, "{spec:?} of {text:?}");
            }
        }
    }
}

/// What is wrong with a well-formed record, for those who look at these fields.
fn faults(record: &Json, specs: &[RouteSpec]) -> Vec<Reason> {
    let fields = specs.iter().flat_map(|spec| &spec.selectors).flat_map(|it| &it.fields);
    let mut paths: Vec<_> = fields.map(|field| field.path.as_str()).collect();
    if paths.iter().any(|path| path.starts_with("actor.")) {
        // Whatever the actor is derived from.
        paths.extend(Actor::PATHS);
    }
    let mut faults = Vec::new();
    for path in paths.into_iter().map(|path| path.split('.').collect::<Vec<_>>()) {
        if has_twice(record, &path) {
            faults.push(Reason::DuplicateKey);
        }
        if path == ["eventSource"] && has_other_than_text(record, "eventSource") {
            faults.push(Reason::EventSourceType);
        }
    }
    faults
}

/// Whether an object on the way has the next name more than once.
fn has_twice(value: &Json, path: &[&str]) -> bool {
    match (value, path) {
        (Json::Array(elements), _) => elements.iter().any(|element| has_twice(element, path)),
        (Json::Object(members), [name, rest @ ..]) => {
            let mut named = members.iter().filter(|(other, _)| other == name.as_bytes());
            named.clone().count() > 1 || named.any(|(_, value)| has_twice(value, rest))
        }
        _ => false,
    }
}

fn has_other_than_text(record: &Json, name: &str) -> bool {
    let Json::Object(members) = record else { return false };
    let mut named = members.iter().filter(|(other, _)| other == name.as_bytes());
    named.any(|(_, value)| !matches!(value, Json::Text(_)))
}

/// Whether a record without faults is selected. `text` is what was read as `record`: of that, who is
/// behind it can be told.
pub(crate) fn wants(spec: &RouteSpec, record: &Json, text: &str) -> bool {
    spec.selectors.iter().any(|selector| {
        selector.fields.iter().all(|field| {
            let derived = field.path.strip_prefix("actor.").map(|name| of_actor(text, name));
            let mut values = Vec::new();
            match &derived {
                Some(value) => values.extend(value),
                None => values_at(record, &field.path.split('.').collect::<Vec<_>>(), &mut values),
            }
            field.conditions.iter().all(|condition| holds(condition, &values))
        })
    })
}

/// A field of the actor behind the record. That actors are told rightly is another target's.
fn of_actor(text: &str, name: &str) -> Option<Json> {
    match Event::new(text.as_bytes()).actor().field(name)? {
        ActorValue::Text(text) => Some(Json::Text(text.into())),
        ActorValue::Flag(flag) => Some(Json::Bool(flag)),
    }
}

/// All values at the path but nulls, arrays opened.
fn values_at<'v>(value: &'v Json, path: &[&str], found: &mut Vec<&'v Json>) {
    match (value, path) {
        (Json::Array(elements), _) => elements.iter().for_each(|it| values_at(it, path, found)),
        (Json::Null, []) => {}
        (value, []) => found.push(value),
        (Json::Object(members), [name, rest @ ..]) => {
            let named = members.iter().filter(|(other, _)| other == name.as_bytes());
            named.for_each(|(_, value)| values_at(value, rest, found));
        }
        _ => {}
    }
}

fn holds(condition: &Condition, values: &[&Json]) -> bool {
    let any_text = |wanted: &[String], test: fn(&[u8], &[u8]) -> bool| {
        values.iter().any(|value| match value {
            Json::Text(text) => wanted.iter().any(|wanted| test(text, wanted.as_bytes())),
            _ => false,
        })
    };
    let any_equal = |wanted: &[Value]| {
        values.iter().any(|value| {
            wanted.iter().any(|wanted| match (wanted, value) {
                (Value::String(wanted), Json::Text(text)) => wanted.as_bytes() == text,
                (Value::Bool(wanted), Json::Bool(value)) => wanted == value,
                (Value::Integer(wanted), Json::Number(value)) => Some(*wanted) == *value,
                _ => false,
            })
        })
    };
    let any_address = |networks: &[IpNet]| {
        values.iter().any(|value| match value {
            Json::Text(text) => std::str::from_utf8(text)
                .is_ok_and(|text| networks.iter().any(|network| lies_in(text, network))),
            _ => false,
        })
    };
    match condition {
        Condition::Equals(wanted) => any_equal(wanted),
        Condition::NotEquals(wanted) => !any_equal(wanted),
        Condition::StartsWith(wanted) => any_text(wanted, <[u8]>::starts_with),
        Condition::NotStartsWith(wanted) => !any_text(wanted, <[u8]>::starts_with),
        Condition::EndsWith(wanted) => any_text(wanted, <[u8]>::ends_with),
        Condition::NotEndsWith(wanted) => !any_text(wanted, <[u8]>::ends_with),
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
