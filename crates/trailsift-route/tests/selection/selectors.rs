//! What selectors mean, case by case.

use crate::common::{compile, route, selects};
use trailsift_core::{RouteSet, Selection};
use trailsift_route::{RouteSpec, Routes};

const CODEGURU: &str = r#"[{"eventSource": {"equals": ["codeguru-reviewer.amazonaws.com"]}}]"#;

/// Selectors, a record, and whether they select it.
const CASES: &[(&str, &str, bool)] = &[
    // The built-in route: the top-level field, exactly, after unescaping.
    (CODEGURU, r#"{"eventSource":"codeguru-reviewer.amazonaws.com"}"#, true),
    (CODEGURU, " {\"a\":1,\r\n\t\"eventSource\" : \"codeguru-reviewer.amazonaws.com\" } ", true),
    (CODEGURU, r#"{"eventSource":"codeguru\u002dreviewer.amazonaws.com"}"#, true),
    (CODEGURU, r#"{"event\u0053ource":"\u0063odeguru-reviewer.amazonaws.com"}"#, true),
    (CODEGURU, r#"{"eventSource":"CodeGuru-Reviewer.amazonaws.com"}"#, false),
    (CODEGURU, r#"{"eventSource":"codeguru-reviewer.amazonaws.com."}"#, false),
    (CODEGURU, r#"{"eventSource":" codeguru-reviewer.amazonaws.com"}"#, false),
    (CODEGURU, r#"{"eventSource":"codeguru-reviewer.amazonaws.com.cn"}"#, false),
    (CODEGURU, r#"{"eventSource":"codeguru-security.amazonaws.com"}"#, false),
    (CODEGURU, r#"{"EventSource":"codeguru-reviewer.amazonaws.com"}"#, false),
    (
        CODEGURU,
        r#"{"eventSource":"kms.amazonaws.com","userIdentity":{"invokedBy":"codeguru-reviewer.amazonaws.com"}}"#,
        false,
    ),
    (
        CODEGURU,
        r#"{"requestParameters":{"eventSource":"codeguru-reviewer.amazonaws.com"},"eventSource":"s3.amazonaws.com"}"#,
        false,
    ),
    (
        CODEGURU,
        r#"{"userAgent":"{\"eventSource\":\"codeguru-reviewer.amazonaws.com\"}","eventSource":"s3.amazonaws.com"}"#,
        false,
    ),
    // A record without the field is filtered by a positive operator, and it is no fault.
    (CODEGURU, r#"{"eventCategory":"Insight"}"#, false),
    (CODEGURU, "{}", false),
    // Values are OR-ed, conditions and fields AND-ed, selectors OR-ed.
    (r#"[{"n": {"equals": ["a", "b"]}}]"#, r#"{"n":"b"}"#, true),
    (r#"[{"n": {"equals": ["a", "b"]}}]"#, r#"{"n":"c"}"#, false),
    (r#"[{"n": {"starts_with": ["List"], "ends_with": ["s"]}}]"#, r#"{"n":"ListTags"}"#, true),
    (r#"[{"n": {"starts_with": ["List"], "ends_with": ["s"]}}]"#, r#"{"n":"ListTag"}"#, false),
    (r#"[{"a": {"equals": [1]}, "b": {"equals": [2]}}]"#, r#"{"b":2,"a":1}"#, true),
    (r#"[{"a": {"equals": [1]}, "b": {"equals": [2]}}]"#, r#"{"b":2,"a":2}"#, false),
    (r#"[{"a": {"equals": [1]}}, {"b": {"equals": [2]}}]"#, r#"{"b":2,"a":2}"#, true),
    (r#"[{"a": {"equals": [1]}}, {"b": {"equals": [2]}}]"#, r#"{"b":1,"a":2}"#, false),
    // Strings: beginnings and ends, of what they say.
    (r#"[{"n": {"starts_with": ["Delete", "Put"]}}]"#, r#"{"n":"PutObject"}"#, true),
    (r#"[{"n": {"starts_with": ["Put"]}}]"#, r#"{"n":"\u0050utObject"}"#, true),
    (r#"[{"n": {"starts_with": ["PutObject"]}}]"#, r#"{"n":"Put"}"#, false),
    (r#"[{"n": {"ends_with": [".amazonaws.com"]}}]"#, r#"{"n":"iam.amazonaws.com"}"#, true),
    (r#"[{"n": {"ends_with": [".amazonaws.com"]}}]"#, r#"{"n":"amazonaws.com"}"#, false),
    (r#"[{"n": {"equals": ["a/b\"\\é😀"]}}]"#, r#"{"n":"a\/b\"\\\u00e9\ud83d\ude00"}"#, true),
    (r#"[{"n": {"equals": [""]}}]"#, r#"{"n":""}"#, true),
    (r#"[{"n": {"equals": [""]}}]"#, r#"{}"#, false),
    // Negative operators: none of the values, and an absent or null field satisfies them.
    (r#"[{"n": {"not_equals": ["a", "b"]}}]"#, r#"{"n":"c"}"#, true),
    (r#"[{"n": {"not_equals": ["a", "b"]}}]"#, r#"{"n":"b"}"#, false),
    (r#"[{"n": {"not_equals": ["a"]}}]"#, r#"{"n":7}"#, true),
    (r#"[{"n": {"not_equals": ["a"]}}]"#, r#"{}"#, true),
    (r#"[{"n": {"not_equals": ["a"]}}]"#, r#"{"n":null}"#, true),
    (r#"[{"n": {"not_starts_with": ["List", "Get"]}}]"#, r#"{"n":"GetObject"}"#, false),
    (r#"[{"n": {"not_starts_with": ["List", "Get"]}}]"#, r#"{"n":"PutObject"}"#, true),
    (r#"[{"n": {"not_ends_with": ["s"]}}]"#, r#"{"n":"Tags"}"#, false),
    (r#"[{"n": {"not_ends_with": ["s"]}}]"#, r#"{"n":"Tag"}"#, true),
    (r#"[{"n": {"starts_with": ["a"], "not_equals": ["ab"]}}]"#, r#"{"n":"ab"}"#, false),
    (r#"[{"n": {"starts_with": ["a"], "not_equals": ["ab"]}}]"#, r#"{"n":"ac"}"#, true),
    // Types are never converted.
    (r#"[{"readOnly": {"equals": [false]}}]"#, r#"{"readOnly":false}"#, true),
    (r#"[{"readOnly": {"equals": [false]}}]"#, r#"{"readOnly":true}"#, false),
    (r#"[{"readOnly": {"equals": [false]}}]"#, r#"{"readOnly":"false"}"#, false),
    (r#"[{"n": {"equals": [5]}}]"#, r#"{"n":5}"#, true),
    (r#"[{"n": {"equals": [5]}}]"#, r#"{"n":"5"}"#, false),
    (r#"[{"n": {"equals": [5]}}]"#, r#"{"n":5.0}"#, false),
    (r#"[{"n": {"equals": [5]}}]"#, r#"{"n":50}"#, false),
    (r#"[{"n": {"equals": [-5]}}]"#, r#"{"n":-5}"#, true),
    // Integers are exact where floats are not.
    (r#"[{"n": {"equals": [9007199254740993]}}]"#, r#"{"n":9007199254740993}"#, true),
    (r#"[{"n": {"equals": [9007199254740993]}}]"#, r#"{"n":9007199254740992}"#, false),
    (r#"[{"n": {"equals": [9223372036854775807]}}]"#, r#"{"n":9223372036854775808}"#, false),
    // Presence: null counts as absent, everything else as present.
    (r#"[{"errorCode": {"exists": true}}]"#, r#"{"errorCode":"AccessDenied"}"#, true),
    (r#"[{"errorCode": {"exists": true}}]"#, r#"{"errorCode":""}"#, true),
    (r#"[{"errorCode": {"exists": true}}]"#, r#"{"errorcode":"x"}"#, false),
    (r#"[{"errorCode": {"exists": true}}]"#, r#"{"errorCode":null}"#, false),
    (r#"[{"errorCode": {"exists": false}}]"#, r#"{"errorCode":null}"#, true),
    (r#"[{"errorCode": {"exists": false}}]"#, r#"{"errorCode":0}"#, false),
    (r#"[{"a": {"exists": true}}]"#, r#"{"a":{}}"#, true),
    (r#"[{"a": {"exists": true}}]"#, r#"{"a":[]}"#, false),
    (r#"[{"a": {"exists": true}}]"#, r#"{"a":[null]}"#, false),
    (r#"[{"a": {"exists": true}}]"#, r#"{"a":[null,[false]]}"#, true),
    // Paths walk objects, and arrays by any element.
    (
        r#"[{"userIdentity.type": {"equals": ["Root"]}}]"#,
        r#"{"userIdentity":{"type":"Root"}}"#,
        true,
    ),
    (
        r#"[{"userIdentity.type": {"equals": ["Root"]}}]"#,
        r#"{"userIdentity":null,"type":"Root"}"#,
        false,
    ),
    (r#"[{"userIdentity.type": {"equals": ["Root"]}}]"#, r#"{"userIdentity.type":"Root"}"#, false),
    (r#"[{"userIdentity.type": {"not_equals": ["Root"]}}]"#, r#"{"userIdentity":"Root"}"#, true),
    (
        r#"[{"resources.ARN": {"ends_with": [":b"]}}]"#,
        r#"{"resources":[{"ARN":"x:a"},{"ARN":"x:b"}]}"#,
        true,
    ),
    (
        r#"[{"resources.ARN": {"not_ends_with": [":b"]}}]"#,
        r#"{"resources":[{"ARN":"x:a"},{"ARN":"x:b"}]}"#,
        false,
    ),
    (r#"[{"resources.ARN": {"equals": ["a"]}}]"#, r#"{"resources":{"ARN":["b",["a"]]}}"#, true),
    (r#"[{"resources.ARN": {"equals": ["a"]}}]"#, r#"{"resources":[[[{"ARN":"a"}]]]}"#, true),
    (
        r#"[{"resources.t": {"equals": ["x"]}, "resources.u": {"equals": ["y"]}}]"#,
        r#"{"resources":[{"t":"x","u":"-"},{"t":"-","u":"y"}]}"#,
        true,
    ),
    // A name that is looked at both for itself and for what is below it.
    (r#"[{"a": {"exists": true}, "a.b": {"equals": [1]}}]"#, r#"{"a":{"b":1}}"#, true),
    (r#"[{"a": {"equals": ["x"]}}, {"a.b": {"equals": [1]}}]"#, r#"{"a":["x",{"b":2}]}"#, true),
    // What nobody looks at may be anything that is well-formed.
    (
        r#"[{"n": {"equals": [5]}}]"#,
        r#"{"x":1e400,"y":123456789012345678901234567890,"n":5}"#,
        true,
    ),
    (r#"[{"n": {"equals": [5]}}]"#, r#"{"x":"\ud800","\udfff":[{"z":"\u0000"}],"n":5}"#, true),
    (r#"[{"n": {"equals": [5]}}]"#, r#"{"x":1,"x":2,"y":{"n":1,"n":2},"n":5}"#, true),
    (r#"[{"n": {"starts_with": ["a"]}}]"#, r#"{"n":"a\ud800"}"#, true),
    (r#"[{"n": {"ends_with": ["z"]}}]"#, r#"{"n":"\udc00z"}"#, true),
    (r#"[{"n": {"equals": ["\ufffd"]}}]"#, r#"{"n":"\ud800"}"#, false),
    (r#"[{"n": {"not_equals": ["\ufffd"]}}]"#, r#"{"n":"\ud800"}"#, true),
];

#[test]
fn selectors_select_what_the_table_says() {
    for (selectors, record, expected) in CASES {
        assert_eq!(selects(selectors, record), Ok(*expected), "{selectors}\n{record}");
    }
}

#[test]
fn the_built_in_route_is_the_one_of_the_table() {
    assert_eq!(RouteSpec::codeguru_reviewer(), route("codeguru-reviewer", CODEGURU));
}

#[test]
fn each_route_decides_for_itself_and_a_restriction_keeps_the_numbers() {
    let routes = Routes::compile(&[
        route("writes", r#"[{"readOnly": {"equals": [false]}}]"#),
        route("codeguru", CODEGURU),
        route("root", r#"[{"userIdentity.type": {"equals": ["Root"]}}]"#),
    ])
    .unwrap();
    assert_eq!(routes.names(), ["writes", "codeguru", "root"]);
    let record = br#"{"eventSource":"codeguru-reviewer.amazonaws.com","readOnly":false}"#;
    let wanted = |routes: &Routes, record: &[u8]| -> Vec<usize> {
        routes.select(record).unwrap().iter().collect()
    };
    assert_eq!(wanted(&routes, record), [0, 1]);

    let mut allowed = RouteSet::EMPTY;
    allowed.insert(1);
    allowed.insert(2);
    let fewer = routes.restricted_to(allowed);
    assert_eq!(fewer.names(), routes.names());
    assert_eq!(wanted(&fewer, record), [1]);
    // What only a disallowed route looks at is no longer a fault.
    let twice = br#"{"readOnly":false,"readOnly":true}"#;
    assert!(routes.select(twice).is_err());
    assert_eq!(wanted(&fewer, twice), [0; 0]);
    // A restriction never widens an earlier one.
    let mut first = RouteSet::EMPTY;
    first.insert(0);
    first.insert(2);
    assert_eq!(wanted(&fewer.restricted_to(first), record), [0; 0]);
    assert_eq!(fewer.restricted_to(RouteSet::EMPTY).select(record), Ok(RouteSet::EMPTY));
    assert_eq!(format!("{fewer:?}"), r#"Routes(["codeguru", "root"])"#);
}

#[test]
fn literals_are_the_rarest_texts_that_every_selected_record_must_hold() {
    let literals = |selectors: &str| {
        let texts = compile(selectors).literals().to_vec().into_iter();
        texts.map(|it| String::from_utf8(it).unwrap()).collect::<Vec<_>>()
    };
    for (selectors, expected) in [
        (CODEGURU, &["codeguru-reviewer.amazonaws.com"][..]),
        // Of equals the condition whose shortest value is longest.
        (r#"[{"a": {"equals": ["payroll"]}, "b": {"starts_with": ["payrolls"]}}]"#, &["payrolls"]),
        (
            r#"[{"a": {"ends_with": ["payroll", "abc"]}, "b": {"equals": ["holidays"]}}]"#,
            &["holidays"],
        ),
        // A common value is worth less than a rare one, whatever its length, and less than a rare name.
        (
            r#"[{"eventSource": {"equals": ["sts.amazonaws.com"]}, "eventName": {"equals": ["Tagging"]}}]"#,
            &["Tagging"],
        ),
        (
            r#"[{"eventSource": {"equals": ["sts.amazonaws.com"]}, "errorCode": {"exists": true}}]"#,
            &["errorCode"],
        ),
        (
            r#"[{"awsRegion": {"equals": ["eu-west-1"]}, "a.scanName": {"starts_with": ["x"]}}]"#,
            &["scanName"],
        ),
        // Many values are as common as all of them together.
        (
            r#"[{"scanName": {"equals": ["aaaaa", "bbbbb", "ccccc", "ddddd", "eeeee"]}}]"#,
            &["scanName"],
        ),
        // A name that must be there, on the way to the value as well.
        (r#"[{"scanDetails.id": {"exists": true}}]"#, &["scanDetails"]),
        (r#"[{"scanName": {"equals": [7, "abcdef"]}}]"#, &["scanName"]),
        (r#"[{"errorCode": {"equals": [""]}}]"#, &["errorCode"]),
        (r#"[{"scanName": {"starts_with": ["é"], "not_equals": ["é"]}}]"#, &["scanName"]),
        // The part of a value that JSON writes in one way only.
        (r#"[{"a": {"equals": ["prod/payroll"]}}]"#, &["payroll"]),
        (r#"[{"a": {"starts_with": ["APN/1.0 HashiCorp/"]}}]"#, &["1.0 HashiCorp"]),
        (r#"[{"a": {"equals": ["say \"friends\""]}}]"#, &["friends"]),
        (r#"[{"a": {"equals": ["caf\u00e9-terrace\u007f"]}}]"#, &["-terrace"]),
        // Every selector must have one.
        (
            r#"[{"a": {"equals": ["payroll"]}}, {"errorCode": {"exists": true}}]"#,
            &["payroll", "errorCode"],
        ),
        // The shorter one finds what the longer one finds.
        (r#"[{"a": {"equals": ["payrolls"]}}, {"a": {"ends_with": ["payroll"]}}]"#, &["payroll"]),
    ] {
        assert_eq!(literals(selectors), expected, "{selectors}");
    }
    for selectors in [
        // Names that stand in every record, and values that do.
        r#"[{"readOnly": {"equals": [false]}}]"#,
        r#"[{"eventID": {"exists": true}}]"#,
        r#"[{"eventSource": {"ends_with": [".amazonaws.com"]}}]"#,
        r#"[{"eventType": {"equals": ["AwsApiCall"]}}]"#,
        // One selector without a literal is enough.
        r#"[{"a": {"equals": ["payroll"]}}, {"b": {"equals": [7]}}]"#,
        // What must not be there, or need not.
        r#"[{"scanName": {"exists": false}}]"#,
        r#"[{"scanName": {"not_equals": ["payroll"]}}]"#,
        r#"[{"scanName": {"not_starts_with": ["payroll"], "not_ends_with": ["payroll"]}}]"#,
    ] {
        assert_eq!(literals(selectors), [""; 0], "{selectors}");
    }
}

#[test]
fn every_mistake_is_named_with_its_place_and_remedy() {
    let errors = |specs: &[RouteSpec]| -> Vec<String> {
        let errors = Routes::compile(specs).expect_err("mistakes");
        errors.iter().map(ToString::to_string).collect()
    };
    let one = |selectors: &str| -> String {
        let mut errors = errors(&[route("r", selectors)]);
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors.remove(0)
    };
    for (selectors, message) in [
        (
            "[]",
            r#"route "r": there is no selector, so it selects nothing; add one, such as eventSource = { equals = ["iam.amazonaws.com"] }"#,
        ),
        (
            "[{}]",
            r#"route "r", selector 1: there is no field; to select every record, write eventID = { exists = true }"#,
        ),
        (
            r#"[{"a": {}}]"#,
            r#"route "r", selector 1, field "a": there is no condition; add an operator such as equals, or remove the field"#,
        ),
        (
            r#"[{"a": {"equals": [1]}}, {"b": {"not_equals": []}}]"#,
            r#"route "r", selector 2, field "b": not_equals has no values; list at least one"#,
        ),
        (
            r#"[{"a": {"ends_with": ["x", ""]}}]"#,
            r#"route "r", selector 1, field "a": ends_with has an empty value, which every string matches; write exists = true or false if that is meant"#,
        ),
        (
            r#"[{"a..b": {"exists": true}}]"#,
            r#"route "r", selector 1, field "a..b": a name in the path is empty; write the names from the top of the record, joined by single dots"#,
        ),
        (
            r#"[{"": {"exists": true}}]"#,
            r#"route "r", selector 1, field "": a name in the path is empty; write the names from the top of the record, joined by single dots"#,
        ),
        (
            r#"[{"eventsource": {"equals": ["x"]}}]"#,
            r#"route "r", selector 1, field "eventsource": no record has this field; write eventSource"#,
        ),
        (
            r#"[{"useridentity.type": {"equals": ["x"]}}]"#,
            r#"route "r", selector 1, field "useridentity.type": no record has this field; write userIdentity"#,
        ),
        (
            r#"[{"actor.kind": {"equals": ["root"]}}]"#,
            r#"route "r", selector 1, field "actor.kind": CloudTrail writes no actor, and selecting by a derived one is not supported; select by userIdentity.type and its neighbours"#,
        ),
        (
            r#"[{"readOnly": {"equals": ["false"]}}]"#,
            r#"route "r", selector 1, field "readOnly": CloudTrail writes this field as a boolean (equals); write equals = [true] or [false], without quotes"#,
        ),
        (
            r#"[{"recipientAccountId": {"not_equals": [111122223333]}}]"#,
            r#"route "r", selector 1, field "recipientAccountId": CloudTrail writes this field as a string (not_equals); put the values in quotes"#,
        ),
    ] {
        assert_eq!(one(selectors), message);
    }
    assert_eq!(errors(&[]), ["there is no route; name at least one"]);
    let many: Vec<_> = (0..65).map(|n| route(&n.to_string(), CODEGURU)).collect();
    assert_eq!(
        errors(&many),
        ["65 routes are more than 64; merge routes that feed the same sinks"]
    );
    assert_eq!(
        errors(&[route("", CODEGURU), route("a\u{1b}", CODEGURU), route("a\u{1b}", "[{}]")]),
        [
            r#"route "": the name is empty; name it: sinks and metrics refer to it"#,
            r#"route "a\u{1b}": the name is taken; give each route its own name"#,
            r#"route "a\u{1b}", selector 1: there is no field; to select every record, write eventID = { exists = true }"#,
        ]
    );
}
