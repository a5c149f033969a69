//! Records that cannot be read well enough to decide: parked under a name, never filtered.

use crate::common::{compile, selects};
use trailsift_core::{Reason, Selection};
use trailsift_route::MAX_DEPTH;

const SELECTORS: &str = r#"[
    {"eventSource": {"equals": ["codeguru-reviewer.amazonaws.com"]}},
    {"userIdentity.type": {"equals": ["Root"]}, "resources.ARN": {"exists": true}}
]"#;

fn fault(record: &str) -> Reason {
    match selects(SELECTORS, record) {
        Err(fault) => fault.reason,
        Ok(selected) => panic!("{record}: {selected}"),
    }
}

#[test]
fn a_record_that_is_no_object_is_a_fault() {
    for record in ["null", "1", "-1", "\"x\"", "[]", "true", "[{}]"] {
        assert_eq!(fault(record), Reason::RecordType, "{record}");
    }
}

#[test]
fn a_field_that_routes_look_at_must_not_appear_twice() {
    for record in [
        r#"{"eventSource":"s3.amazonaws.com","eventSource":"codeguru-reviewer.amazonaws.com"}"#,
        r#"{"eventSource":"codeguru-reviewer.amazonaws.com","eventSource":"s3.amazonaws.com"}"#,
        r#"{"eventSource":"s3.amazonaws.com","event\u0053ource":"codeguru-reviewer.amazonaws.com"}"#,
        r#"{"userIdentity":{"type":"Root","type":"IAMUser"}}"#,
        r#"{"userIdentity":{"type":"Root"},"x":0,"userIdentity":null}"#,
        r#"{"resources":[{"ARN":"a"},{"ARN":"b","\u0041RN":"c"}]}"#,
        r#"{"resources":[[{"x":1}],[{"ARN":null,"ARN":null}]]}"#,
    ] {
        assert_eq!(fault(record), Reason::DuplicateKey, "{record}");
    }
    for record in [
        // In different objects, or where no route looks.
        r#"{"resources":[{"ARN":"a"},{"ARN":"b"}]}"#,
        r#"{"eventName":"a","eventName":"b"}"#,
        r#"{"type":"Root","userIdentity":{"type":"Root","arn":1,"arn":2}}"#,
        r#"{"requestParameters":{"eventSource":1,"eventSource":2}}"#,
    ] {
        assert_eq!(selects(SELECTORS, record), Ok(false), "{record}");
    }
}

#[test]
fn a_field_that_the_actor_is_derived_from_must_not_appear_twice() {
    const BY_KIND: &str = r#"[{"actor.kind": {"equals": ["root"]}}]"#;
    const BY_TYPE: &str = r#"[{"userIdentity.type": {"equals": ["Root"]}}]"#;
    for record in [
        r#"{"userIdentity":{"type":"IAMUser","userName":"alice","userName":"bob"}}"#,
        r#"{"userIdentity":{"type":"IAMUser","invokedBy":null,"invoked\u0042y":"ec2.amazonaws.com"}}"#,
        r#"{"userIdentity":{"sessionContext":{"assumedRoot":"true","assumedRoot":"false"}}}"#,
        r#"{"userIdentity":{"sessionContext":{},"sessionContext":{"assumedRoot":"true"}}}"#,
        r#"{"userIdentity":{"sessionContext":{"sessionIssuer":{"type":"Role","type":"Root"}}}}"#,
    ] {
        let by_kind = selects(BY_KIND, record).map_err(|fault| fault.reason);
        assert_eq!(by_kind, Err(Reason::DuplicateKey), "{record}");
        assert_eq!(selects(BY_TYPE, record), Ok(false), "{record}");
    }
    let twice = r#"{"userIdentity":{"type":"Root"},"user\u0049dentity":{"type":"IAMUser"}}"#;
    for selectors in [BY_KIND, BY_TYPE] {
        let reason = selects(selectors, twice).map_err(|fault| fault.reason);
        assert_eq!(reason, Err(Reason::DuplicateKey), "{selectors}");
    }
    // What no actor depends on.
    for record in [
        r#"{"userIdentity":{"type":"Root","x":1,"x":2}}"#,
        r#"{"userIdentity":{"type":"Root","sessionContext":{"attributes":{"x":1,"x":2}}}}"#,
        r#"{"userIdentity":{"type":"Root"},"requestParameters":{"type":1,"type":2}}"#,
    ] {
        assert_eq!(selects(BY_KIND, record), Ok(true), "{record}");
    }
}

#[test]
fn an_event_source_that_is_no_string_is_a_fault() {
    for source in
        ["null", "5", "true", "{}", "[\"codeguru-reviewer.amazonaws.com\"]", "{\"a\":\"b\"}", "[]"]
    {
        let record = format!("{{\"eventSource\":{source}}}");
        assert_eq!(fault(&record), Reason::EventSourceType, "{record}");
    }
    // Only the record's own, and only where a route looks at it.
    assert_eq!(selects(SELECTORS, r#"{"x":{"eventSource":null}}"#), Ok(false));
    assert_eq!(selects(r#"[{"a": {"equals": [1]}}]"#, r#"{"eventSource":null,"a":1}"#), Ok(true));
    let inner = r#"[{"x.eventSource": {"equals": [1]}}]"#;
    assert_eq!(selects(inner, r#"{"x":{"eventSource":1},"eventSource":null}"#), Ok(true));
}

#[test]
fn nesting_is_bounded_at_every_place_and_costs_no_stack() {
    let nest = |before: &str, open: &str, close: &str, count: usize| {
        format!("{{{before}{}1{}}}", open.repeat(count), close.repeat(count))
    };
    for (before, open, close) in [
        ("\"x\":", "[", "]"),
        ("\"x\":", "{\"x\":", "}"),
        ("\"resources\":", "[", "]"),
        ("\"resources\":", "{\"ARN\":", "}"),
        ("\"userIdentity\":", "{\"type\":", "}"),
    ] {
        let just = nest(before, open, close, MAX_DEPTH - 1);
        assert_eq!(selects(SELECTORS, &just), Ok(false), "{before}{open}");
        for count in [MAX_DEPTH, 100_000, 1_000_000] {
            let deep = nest(before, open, close, count);
            assert_eq!(fault(&deep), Reason::TooDeep, "{before}{open} {count}");
        }
    }
    assert_eq!(fault(&"[".repeat(1_000_000)), Reason::RecordType);
    assert_eq!(fault(&"{\"resources\":".repeat(1_000_000)), Reason::TooDeep);
}

#[test]
fn a_record_that_is_not_utf8_is_a_fault() {
    let routes = compile(SELECTORS);
    for record in [&b"{\"x\":\"\xff\"}"[..], b"{\"x\":\"\xed\xa0\x80\"}", b"\xff", b"{\"\xc3\":1}"]
    {
        assert_eq!(routes.select(record).map_err(|fault| fault.reason), Err(Reason::InvalidUtf8));
    }
}

#[test]
fn a_malformed_record_never_leaves_as_an_event() {
    let good = r#"{"eventSource":"codeguru-reviewer.amazonaws.com","x":[1,{"y":"z"}]}"#;
    assert_eq!(selects(SELECTORS, good), Ok(true));
    for (part, wrong) in [
        ("[1", "[1,"),
        ("[1", "[,1"),
        ("[1", "[01"),
        ("[1", "[1."),
        ("[1", "[.5"),
        ("[1", "[1e"),
        ("[1", "[-"),
        ("[1", "[+1"),
        ("[1", "[0x1"),
        ("[1", "[1 2"),
        ("[1", "[tru"),
        ("[1", "[nulll"),
        ("[1", "[NaN"),
        ("[1", "[''"),
        ("[1", "[\u{feff}1"),
        ("[1", "[1/**/"),
        ("\"z\"", "\"z\n\""),
        ("\"z\"", "\"z\u{0}\""),
        ("\"z\"", "\"z"),
        ("\"z\"", "\"\\x\""),
        ("\"z\"", "\"\\u12g4\""),
        ("\"z\"", "\"\\u12\""),
        ("\"z\"", ""),
        ("\"y\":", "\"y\""),
        ("\"y\":", "y:"),
        ("\"y\":", "1:"),
        ("\"y\":", "\"y\"::"),
        ("\"z\"}", "\"z\",}"),
        ("}]}", "}]]"),
        ("}]}", "}}}"),
        ("}]}", "}]"),
        ("}]}", "}]}}"),
        ("}]}", "}]} {}"),
        ("}]}", "}],}"),
        (",\"x\"", "\"x\""),
        (",\"x\"", ",,\"x\""),
    ] {
        assert!(good.contains(part), "{part}");
        let record = good.replacen(part, wrong, 1);
        assert_eq!(fault(&record), Reason::RecordSyntax, "{record}");
    }
    for record in ["", " ", "{", "}", "{\"", "{\"a\\", "x", "\u{feff}{}"] {
        assert_eq!(fault(record), Reason::RecordSyntax, "{record}");
    }
}

#[test]
fn a_fault_names_the_byte() {
    let detail = |record| selects(SELECTORS, record).expect_err("a fault").detail;
    assert_eq!(detail(r#"{"a":1,}"#), "expected a name in quotes at byte 7 of the record");
    assert_eq!(detail(r#"{"eventSource":7}"#), "eventSource at byte 15 of the record is no string");
    assert_eq!(
        detail(r#"{"eventSource":"a","eventSource":"b"}"#),
        "\"eventSource\" appears again before byte 33 of the record"
    );
}
