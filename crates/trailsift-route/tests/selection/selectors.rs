//! Routes of selectors: each for itself, what is searched for, and what is refused.

use std::collections::HashSet;

use crate::common::{compile, route};
use trailsift_core::{RouteSet, Selection};
use trailsift_route::{Cost, RouteSpec, Routes, Share};

const CODEGURU: &str = r#"[{"eventSource": {"equals": ["codeguru-reviewer.amazonaws.com"]}}]"#;

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
        // The octets that all addresses of a network share. Any of the networks will do.
        (r#"[{"a": {"cidr": ["198.51.100.0/24"]}}]"#, &["198.51.100."]),
        (r#"[{"a": {"cidr": ["198.51.100.77/23"]}}]"#, &["198.51."]),
        (r#"[{"a": {"cidr": ["198.51.100.7/32"]}}]"#, &["198.51.100.7"]),
        (
            r#"[{"a": {"cidr": ["198.51.100.0/24", "203.0.113.0/25"]}}]"#,
            &["203.0.113.", "198.51.100."],
        ),
        // As rare as a name, if one network is wide.
        (r#"[{"cidrIp": {"cidr": ["198.51.100.0/24", "10.0.0.0/8"]}}]"#, &["cidrIp"]),
        (r#"[{"cidrIp": {"cidr": ["2001:db8::/64"]}}]"#, &["cidrIp"]),
        // What an actor shows in: our words for it stand in no record, and nor does its path.
        (r#"[{"actor.kind": {"equals": ["root"]}}]"#, &["Root"]),
        (r#"[{"actor.kind": {"equals": ["saml_user", "directory"]}}]"#, &["SAMLUser", "Directory"]),
        (r#"[{"actor.kind": {"starts_with": ["saml"]}}]"#, &["SAMLUser"]),
        (
            r#"[{"actor.kind": {"ends_with": ["center_user"]}}]"#,
            &["onBehalfOf", "credentialId", "IdentityCenterUser"],
        ),
        (r#"[{"actor.credentials": {"equals": ["long_term"]}}]"#, &["ACCA", "AKIA"]),
        (r#"[{"actor.mfa": {"equals": [true]}}]"#, &["mfaAuthenticated"]),
        (r#"[{"actor.invoked_by": {"exists": true}}]"#, &["invokedBy"]),
        (r#"[{"actor.source_identity": {"exists": true}}]"#, &["sourceIdentity"]),
        (r#"[{"actor.source_identity": {"equals": ["carol"]}}]"#, &["carol"]),
        (r#"[{"actor.name": {"equals": ["alice", "robert"]}}]"#, &["alice", "robert"]),
        (r#"[{"actor.arn": {"ends_with": [":role/break-glass"]}}]"#, &["break-glass"]),
        (r#"[{"actor.session_name": {"ends_with": ["@example.com"]}}]"#, &["@example.com"]),
        (
            r#"[{"actor.kind": {"equals": ["assumed_role"]}, "actor.name": {"equals": ["Admin"]}}]"#,
            &["Admin"],
        ),
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
        r#"[{"sourceIPAddress": {"not_cidr": ["198.51.100.0/24"]}}]"#,
        r#"[{"actor.kind": {"not_equals": ["aws_service"]}}]"#,
        r#"[{"actor.mfa": {"not_equals": [true]}}]"#,
        // What shows in too many ways, or in nothing.
        r#"[{"sourceIPAddress": {"cidr": ["10.0.0.0/8"]}}]"#,
        r#"[{"sourceIPAddress": {"cidr": ["198.51.100.0/24", "2001:db8::/32"]}}]"#,
        r#"[{"actor.kind": {"equals": ["root", "unknown"]}}]"#,
        r#"[{"actor.kind": {"exists": true}}]"#,
        r#"[{"actor.credentials": {"equals": ["temporary"]}}]"#,
        r#"[{"actor.account_id": {"exists": true}}]"#,
    ] {
        assert_eq!(literals(selectors), [""; 0], "{selectors}");
    }
}

#[test]
fn a_selector_says_what_it_costs() {
    let cost = |selector: &str| {
        let Cost { texts, share } = route("r", selector).selectors[0].cost();
        (texts.join(" "), share)
    };
    for (selector, texts, share) in [
        (CODEGURU, "codeguru-reviewer.amazonaws.com", Share::Rare),
        (r#"[{"errorCode": {"exists": true}}]"#, "errorCode", Share::Some),
        (
            r#"[{"eventSource": {"equals": ["sts.amazonaws.com"]}}]"#,
            "sts.amazonaws.com",
            Share::Many,
        ),
        (r#"[{"actor.kind": {"equals": ["root"]}}]"#, "Root assumedRoot", Share::Rare),
        (r#"[{"actor.mfa": {"equals": [true]}}]"#, "mfaAuthenticated", Share::Many),
        (r#"[{"sourceIPAddress": {"cidr": ["198.51.100.0/24"]}}]"#, "198.51.100.", Share::Rare),
        (r#"[{"actor.kind": {"not_equals": ["root"]}}]"#, "", Share::All),
        (r#"[{"readOnly": {"equals": [false]}}]"#, "", Share::All),
    ] {
        assert_eq!(cost(selector), (texts.to_owned(), share), "{selector}");
    }
}

#[test]
fn routes_of_networks_and_actors_decide_for_themselves() {
    let routes = Routes::compile(&[
        route("root", r#"[{"actor.kind": {"equals": ["root"]}}]"#),
        route("inside", r#"[{"sourceIPAddress": {"cidr": ["10.0.0.0/8"]}}]"#),
        route("outside", r#"[{"sourceIPAddress": {"not_cidr": ["10.0.0.0/8"]}}]"#),
        // Twice wanted is wanted once.
        route(
            "people",
            r#"[{"actor.kind": {"not_equals": ["aws_service"]}}, {"actor.name": {"exists": true}}]"#,
        ),
        route("writes", r#"[{"readOnly": {"equals": [false]}, "actor.name": {"equals": ["alice"]}}]"#),
    ])
    .unwrap();
    let wanted = |routes: &Routes, record: &str| -> Vec<usize> {
        routes.select(record.as_bytes()).unwrap().iter().collect()
    };
    let of_root = r#"{"userIdentity":{"type":"Root"},"sourceIPAddress":"10.0.0.1"}"#;
    let of_alice = r#"{"readOnly":false,"sourceIPAddress":"192.0.2.1","userIdentity":{"type":"IAMUser","userName":"alice"}}"#;
    let of_aws = r#"{"sourceIPAddress":"AWS Internal","userIdentity":{"type":"AWSService"}}"#;
    assert_eq!(wanted(&routes, of_root), [0, 1, 3]);
    assert_eq!(wanted(&routes, of_alice), [2, 3, 4]);
    assert_eq!(wanted(&routes, of_aws), [2]);

    let only = |numbers: &[usize]| {
        let mut allowed = RouteSet::EMPTY;
        numbers.iter().for_each(|number| allowed.insert(*number));
        routes.restricted_to(allowed)
    };
    assert_eq!(wanted(&only(&[0, 2]), of_root), [0]);
    assert_eq!(wanted(&only(&[2, 4]), of_alice), [2, 4]);
    // Where no allowed route asks for the actor, what it is derived from is not looked at.
    let twice = r#"{"userIdentity":{"arn":1,"arn":2},"sourceIPAddress":"10.0.0.1"}"#;
    assert!(routes.select(twice.as_bytes()).is_err());
    assert_eq!(wanted(&only(&[1, 2]), twice), [1]);
}

#[test]
fn each_question_gives_another_digest() {
    let digests: Vec<u64> = [
        r#"[{"a": {"cidr": ["10.0.0.0/8"]}}]"#,
        r#"[{"a": {"not_cidr": ["10.0.0.0/8"]}}]"#,
        r#"[{"a": {"cidr": ["10.0.0.0/9"]}}]"#,
        r#"[{"a": {"cidr": ["::/8"]}}]"#,
        r#"[{"a": {"starts_with": ["10.0.0.0/8"]}}]"#,
        r#"[{"actor.kind": {"equals": ["root"]}}]"#,
        r#"[{"actor.kind": {"not_equals": ["root"]}}]"#,
        r#"[{"actor.kind": {"equals": ["role"]}}]"#,
        r#"[{"actor.name": {"equals": ["root"]}}]"#,
    ]
    .iter()
    .map(|selectors| compile(selectors).digest())
    .collect();
    let different: HashSet<_> = digests.iter().collect();
    assert_eq!(different.len(), digests.len());
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
