//! The validator is known to bite: whatever is planted into a good event is reported.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use trailsift_route::Format;

use crate::validator::{self, Violation};
use crate::{records, render};

/// What is done to a good event, and where the validator has to see it.
type Plant = (&'static str, Change, &'static str);

/// One change to an event.
enum Change {
    /// The value at a pointer, which is made if it is not there.
    Set(Value),
    /// Away with it.
    Remove,
}

fn set(value: impl Into<Value>) -> Change {
    Change::Set(value.into())
}

/// Pointer, change, and a part of the path or message that is reported for it.
fn envelope() -> Vec<Plant> {
    let mut plants = vec![
        ("/event", Change::Remove, "\"event\" is a required"),
        ("/event", set("text"), "/event"),
        ("/event", set(Value::Null), "/event"),
        ("/trailsift", Change::Remove, "\"trailsift\" is a required"),
        ("/more", set(1), "'more' was unexpected"),
        ("/trailsift/more", set(1), "'more' was unexpected"),
        ("/trailsift/actor/more", set(1), "'more' was unexpected"),
        ("/trailsift/index", set("0"), "/trailsift/index"),
        ("/trailsift/index", set(-1), "/trailsift/index"),
        ("/trailsift/index", set(1.5), "/trailsift/index"),
        ("/trailsift/sha256", set("00"), "/trailsift/sha256"),
        ("/trailsift/sha256", set(Value::Null), "/trailsift/sha256"),
        ("/trailsift/bucket", set(1), "/trailsift/bucket"),
        ("/trailsift/routes", set("a"), "/trailsift/routes"),
        ("/trailsift/routes", set(json!(["a", "a"])), "/trailsift/routes"),
        ("/trailsift/summary", set(""), "/trailsift/summary"),
        ("/trailsift/actor/kind", set("wizard"), "/trailsift/actor/kind"),
        ("/trailsift/actor/kind", set(Value::Null), "/trailsift/actor/kind"),
        ("/trailsift/actor/credentials", set("eternal"), "/trailsift/actor/credentials"),
        ("/trailsift/actor/mfa", set("true"), "/trailsift/actor/mfa"),
    ];
    let keys = [
        "account",
        "bucket",
        "key",
        "version_id",
        "etag",
        "index",
        "sha256",
        "route",
        "routes",
        "actor",
    ];
    plants.extend(keys.map(|key| (pointer("/trailsift/", key), Change::Remove, "is a required")));
    let keys =
        ["kind", "name", "arn", "account_id", "credentials", "mfa", "session_name", "invoked_by"];
    plants.extend(
        keys.map(|key| (pointer("/trailsift/actor/", key), Change::Remove, "is a required")),
    );
    plants
}

fn cloudevents() -> Vec<Plant> {
    vec![
        ("/specversion", Change::Remove, "\"specversion\" is a required"),
        ("/specversion", set("0.9"), "the SDK refuses it: "),
        ("/id", Change::Remove, "\"id\" is a required"),
        ("/id", set(""), "/id"),
        ("/id", set(7), "/id"),
        ("/source", Change::Remove, "\"source\" is a required"),
        ("/source", set(""), "/source"),
        ("/source", set("urn:a b"), "/source"),
        ("/source", set("%zz"), "/source"),
        ("/type", Change::Remove, "\"type\" is a required"),
        ("/type", set(""), "/type"),
        ("/type", set(json!([])), "/type"),
        ("/subject", set(""), "/subject"),
        ("/time", set("2019-11-27"), "/time"),
        ("/time", set("2019-11-27T03:46:35"), "/time"),
        ("/time", set("2019-02-30T03:46:35Z"), "/time"),
        ("/time", set("yesterday"), "/time"),
        ("/time", set(1_574_826_395), "/time"),
        ("/dataschema", set("a b"), "/dataschema"),
        ("/datacontenttype", set(""), "/datacontenttype"),
        ("/eventName", set("x"), "the SDK refuses it: "),
        ("/event_name", set("x"), "the SDK refuses it: "),
        ("/eventname", set(json!({})), "/eventname"),
        ("/eventname", set(Value::Null), "/eventname"),
        ("/recordindex", set(3_000_000_000_u32), "/recordindex"),
        ("/recordindex", set(0.5), "/recordindex"),
        ("/subject", set("a\nb"), "/subject"),
        ("/subject", set("a\u{1fffe}b"), "/subject"),
        ("/anamethatistoolongtobeportable", set("x"), "longer than 20"),
    ]
}

fn ocsf() -> Vec<Plant> {
    vec![
        ("/class_uid", Change::Remove, "\"class_uid\" is a required"),
        ("/class_uid", set("6003"), "/class_uid"),
        ("/class_uid", set(6001), "/class_uid"),
        ("/category_uid", set(3), "/category_uid"),
        ("/activity_id", set(7), "/activity_id"),
        ("/activity_id", Change::Remove, "\"activity_id\" is a required"),
        ("/activity_name", set("Fly"), "/activity_name"),
        ("/type_uid", set(600_399), "/type_uid"),
        ("/type_uid", set(6003), "/type_uid"),
        ("/severity_id", Change::Remove, "\"severity_id\" is a required"),
        ("/severity_id", set(42), "/severity_id"),
        ("/time", Change::Remove, "\"time\" is a required"),
        ("/time", set("2019-11-27T03:46:35Z"), "/time"),
        ("/time", set(1.5), "/time"),
        ("/brand_new", set(1), "'brand_new' was unexpected"),
        ("/actor", Change::Remove, "\"actor\" is a required"),
        ("/actor", set(json!({})), "/actor"),
        ("/actor/user/brand_new", set(1), "'brand_new' was unexpected"),
        ("/actor/user/type_id", set("0"), "/actor/user/type_id"),
        ("/actor/session/created_time", set("2019"), "/actor/session/created_time"),
        ("/actor/session/is_mfa", set("false"), "/actor/session/is_mfa"),
        ("/src_endpoint", Change::Remove, "\"src_endpoint\" is a required"),
        ("/src_endpoint", set(json!({})), "/src_endpoint"),
        ("/src_endpoint/ip", set("AWS Internal"), "/src_endpoint/ip"),
        ("/src_endpoint/ip", set(""), "/src_endpoint/ip"),
        ("/api/operation", Change::Remove, "\"operation\" is a required"),
        ("/api/operation", set(Value::Null), "/api/operation"),
        ("/api/service/name", set(1), "/api/service/name"),
        ("/api/request", set(json!({})), "/api/request"),
        ("/api/response/code", set("500"), "/api/response/code"),
        ("/resources", set(json!({})), "/resources"),
        ("/resources/0/uid", set(1), "/resources/0/uid"),
        ("/cloud", Change::Remove, "\"cloud\" is a required"),
        ("/cloud/provider", Change::Remove, "\"provider\" is a required"),
        ("/metadata/version", set("1.7.0"), "/metadata/version"),
        ("/metadata/product", Change::Remove, "\"product\" is a required"),
        ("/metadata/profiles", set(json!(["clouds"])), "/metadata/profiles"),
        ("/metadata/profiles", set("cloud"), "/metadata/profiles"),
        ("/status_id", set(5), "/status_id"),
        ("/unmapped", set("text"), "/unmapped"),
        ("/raw_data", set(json!({})), "/raw_data"),
        ("/raw_data", set("{}"), "/raw_data_size"),
        ("/raw_data_size", set(1), "/raw_data_size"),
        ("/raw_data_hash/value", set("00"), "/raw_data_hash/value"),
        ("/observables/0/value", set("mallory"), "/observables/0"),
        ("/observables/0/name", set("actor.nobody"), "/observables/0"),
        ("/observables/0/type_id", set(2), "/observables/0"),
    ]
}

fn ecs() -> Vec<Plant> {
    let deep = (0..20).fold(json!(1), |inner, _| json!({ "k": inner }));
    let deeper = json!({ "k": deep.clone() });
    vec![
        ("/@timestamp", Change::Remove, "@timestamp is missing"),
        ("/@timestamp", set("2019-11-27"), "/@timestamp"),
        ("/@timestamp", set("2019-02-29T03:46:35Z"), "/@timestamp"),
        ("/@timestamp", set("2019-11-27T24:00:00Z"), "/@timestamp"),
        ("/@timestamp", set(1_574_826_395), "/@timestamp"),
        ("/ecs/version", set("8.11.0"), "/ecs/version"),
        ("/ecs", Change::Remove, "ecs.version is missing"),
        ("/brand_new", set("x"), "no field of the schema"),
        ("/event/brand_new", set("x"), "no field of the schema"),
        ("/event.action", set("x"), "/event/action"),
        ("/event/kind", set("happening"), "/event/kind"),
        ("/event/outcome", set("maybe"), "/event/outcome"),
        ("/event/type", set("info"), "/event/type"),
        ("/event/type", set(json!(["news"])), "/event/type"),
        ("/event/category", set(json!([1])), "/event/category"),
        ("/event/action", set(json!(["a"])), "/event/action"),
        ("/event/action", set(1), "/event/action"),
        ("/event/created", set("now"), "/event/created"),
        ("/event", set("x"), "/event"),
        ("/source/ip", set("AWS Internal"), "/source/ip"),
        ("/source/ip", set("1.2.3.004"), "/source/ip"),
        ("/source/ip", set(""), "/source/ip"),
        ("/source/port", set("443"), "/source/port"),
        ("/related/user", set("alice"), "/related/user"),
        ("/related/ip", set(json!(["x"])), "/related/ip"),
        ("/user/name", set(json!({})), "/user/name"),
        ("/cloud/account/id", set(111), "/cloud/account/id"),
        ("/aws/cloudtrail/read_only", set("false"), "/aws/cloudtrail/read_only"),
        ("/aws/cloudtrail/brand_new", set("x"), "no field of the schema"),
        (
            "/aws/cloudtrail/resources",
            set(json!([{ "name": "x" }])),
            "/aws/cloudtrail/resources/name",
        ),
        ("/aws/cloudtrail/user_identity/session_context/creation_date", set("x"), "creation_date"),
        (
            "/aws/cloudtrail/flattened/request_parameters",
            set("text"),
            "flattened/request_parameters",
        ),
        ("/aws/cloudtrail/flattened/request_parameters", set(deeper), "nested more than 20"),
        (
            "/aws/cloudtrail/flattened/request_parameters",
            set(json!({ "a\0": 1 })),
            "null character",
        ),
        (
            "/aws/cloudtrail/flattened/response_elements",
            set(json!({ "a": "x".repeat(33_000) })),
            "longer than",
        ),
        ("/aws/empty", set(json!({})), "/aws/empty"),
        ("/tags", set("x"), "/tags"),
    ]
}

fn pointer(parent: &str, key: &str) -> &'static str {
    // A few dozen small texts, for the length of a test.
    format!("{parent}{key}").leak()
}

fn apply(event: &mut Value, pointer: &str, change: &Change) {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let mut at = event;
    for name in parent.split('/').skip(1) {
        at = match at {
            Value::Array(elements) => &mut elements[name.parse::<usize>().expect("an index")],
            other => member(other).entry(name).or_insert_with(|| json!({})),
        };
    }
    match change {
        Change::Set(value) => drop(member(at).insert(key.to_owned(), value.clone())),
        Change::Remove => assert!(member(at).remove(key).is_some(), "there is no {pointer}"),
    }
}

fn member(value: &mut Value) -> &mut Map<String, Value> {
    value.as_object_mut().expect("an object")
}

fn bites(format: Format, plants: &[Plant], texts: &[(&str, &str, &str)]) {
    let good = render(format, &records::sample(), 0);
    let mut events = vec![good.clone()];
    for (pointer, change, _) in plants {
        let mut event = serde_json::from_slice(&good).expect("JSON");
        apply(&mut event, pointer, change);
        events.push(Bytes::from(event.to_string()));
    }
    for (from, to, _) in texts {
        let text = std::str::from_utf8(&good).expect("text");
        assert!(text.contains(from), "{}: there is no {from}", format.name());
        events.push(Bytes::from(text.replacen(from, to, 1)));
    }
    let mut wanted: Vec<(String, &str)> =
        plants.iter().map(|(pointer, _, seen)| ((*pointer).to_owned(), *seen)).collect();
    wanted.extend(texts.iter().map(|(_, to, seen)| ((*to).to_owned(), *seen)));
    let found = validator::judge(format, events.into_iter());
    let of = |line| found.iter().filter(move |violation: &&Violation| violation.line == line);
    assert_eq!(of(1).count(), 0, "{}: {:?}", format.name(), of(1).collect::<Vec<_>>());
    for (number, (planted, seen)) in wanted.iter().enumerate() {
        let mut reported = of(number + 2).map(|it| format!("{} {}", it.path, it.message));
        let line = number + 2;
        assert!(
            reported.any(|it| it.contains(seen)),
            "{}: {planted} is not reported as {seen}, but {:?}",
            format.name(),
            of(line).collect::<Vec<_>>()
        );
    }
}

#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn every_planted_violation_of_the_envelope_is_reported() {
    let texts = [
        ("{\"event\":", "{\"event\":{},\"event\":", "stands there twice"),
        ("\"index\":0", "\"index\":0,\"index\":0", "stands there twice"),
        ("\"kind\":", "\"kind\":\"root\",\"kind\":", "stands there twice"),
        ("{\"event\":", "{\"event\":{},,\"event\":", "JSONDecodeError"),
    ];
    bites(Format::Envelope, &envelope(), &texts);
}

#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn every_planted_violation_of_cloudevents_is_reported() {
    let version = "\"specversion\":\"1.0\"";
    let texts = [
        (version, "\"half\":\"\\ud800\",\"specversion\":\"1.0\"", "/half"),
        (version, "\"id\":\"another\",\"specversion\":\"1.0\"", "stands there twice"),
        (version, "\"specversion\":1.0.0", "JSONDecodeError"),
    ];
    bites(Format::CloudEvents, &cloudevents(), &texts);
}

#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn every_planted_violation_of_ocsf_is_reported() {
    let texts = [
        ("\"class_uid\":6003", "\"class_uid\":6003,\"class_uid\":6003", "stands there twice"),
        ("\"class_uid\":6003", "\"class_uid\":6003.5", "/class_uid"),
        ("\"class_uid\":6003", "\"class_uid\":", "JSONDecodeError"),
    ];
    bites(Format::Ocsf, &ocsf(), &texts);
}

#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn every_planted_violation_of_ecs_is_reported() {
    let texts = [
        ("\"ecs\":{", "\"event\":{},\"ecs\":{", "stands there twice"),
        ("\"ecs\":{", "\"ecs\":{{", "JSONDecodeError"),
    ];
    bites(Format::Ecs, &ecs(), &texts);
}
