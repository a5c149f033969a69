mod sound;

use super::*;
use crate::spec::Value;

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn values(values: &[&str]) -> Vec<Value> {
    texts(values).into_iter().map(Value::String).collect()
}

fn equals(list: &[&str]) -> Condition {
    Condition::Equals(values(list))
}

fn not_equals(list: &[&str]) -> Condition {
    Condition::NotEquals(values(list))
}

fn starts(list: &[&str]) -> Condition {
    Condition::StartsWith(texts(list))
}

fn not_starts(list: &[&str]) -> Condition {
    Condition::NotStartsWith(texts(list))
}

fn ends(list: &[&str]) -> Condition {
    Condition::EndsWith(texts(list))
}

fn nets(list: &[&str]) -> Vec<ipnet::IpNet> {
    list.iter().map(|net| net.parse().expect("a network")).collect()
}

fn cidr(list: &[&str]) -> Condition {
    Condition::Cidr(nets(list))
}

fn field(path: &str, conditions: Vec<Condition>) -> FieldSpec {
    FieldSpec { path: path.into(), conditions }
}

fn selector(fields: Vec<FieldSpec>) -> SelectorSpec {
    SelectorSpec { fields }
}

fn warnings(selectors: Vec<SelectorSpec>) -> Vec<String> {
    let spec = RouteSpec { name: "r".into(), selectors };
    let warnings = Routes::warnings(std::slice::from_ref(&spec));
    warnings.iter().map(ToString::to_string).collect()
}

/// What is said of one field by itself, without its place.
fn of_one(path: &str, conditions: Vec<Condition>) -> Vec<String> {
    let place = format!("route \"r\", selector 1, field \"{}\": ", path.escape_debug());
    let found = warnings(vec![selector(vec![field(path, conditions)])]);
    found.into_iter().map(|text| text.strip_prefix(&place).expect("its place").to_owned()).collect()
}

#[test]
fn each_oddity_of_a_field_is_said_once_with_its_remedy() {
    let exists = || vec![Condition::Exists(true)];
    let cases: Vec<(&str, Vec<Condition>, &str)> = vec![
        // Names.
        (
            "evenName",
            exists(),
            "CloudTrail's records have no field \"evenName\"; did you mean \"eventName\"?",
        ),
        (
            "userName",
            exists(),
            "CloudTrail's records have no field \"userName\"; did you mean \
             \"userIdentity.sessionContext.sessionIssuer.userName\" or \"userIdentity.userName\"?",
        ),
        (
            "bucketName.x",
            exists(),
            "CloudTrail's records have no field \"bucketName\"; what a call was given is a path such \
             as \"requestParameters.bucketName\"",
        ),
        (
            "a\"\u{7}",
            exists(),
            "CloudTrail's records have no field \"a\\\"\\u{7}\"; what a call was given is a path such \
             as \"requestParameters.a\\\"\\u{7}\"",
        ),
        (
            "userIdentity.Type",
            exists(),
            "userIdentity has no field \"Type\"; did you mean \"userIdentity.type\"?",
        ),
        (
            "userIdentity.sessionContext.atributes.mfaAuthenticated",
            exists(),
            "userIdentity.sessionContext has no field \"atributes\"; did you mean \
             \"userIdentity.sessionContext.attributes.mfaAuthenticated\"?",
        ),
        (
            "userIdentity.mfaAuthenticated",
            exists(),
            "userIdentity has no field \"mfaAuthenticated\"; did you mean \
             \"userIdentity.sessionContext.attributes.mfaAuthenticated\"?",
        ),
        (
            "resources.arn",
            exists(),
            "resources has no field \"arn\"; did you mean \"resources.ARN\"?",
        ),
        (
            "tlsDetails.sni",
            exists(),
            "tlsDetails has no field \"sni\"; known here: \"cipherSuite\", \
             \"clientProvidedHostHeader\", \"keyExchange\", \"tlsVersion\"",
        ),
        (
            "eventName.name",
            exists(),
            "eventName is no object, so nothing is below it; write eventName",
        ),
        (
            "insightDetails.state",
            equals_of("Start"),
            "only Insight files hold it, and these are skipped; remove the selector",
        ),
        // Objects are not values.
        (
            "userIdentity",
            equals_of("Root"),
            "it holds an object, which equals never finds; quote the path of what is in it: \
             \"userIdentity.type\"",
        ),
        (
            "resources",
            vec![starts(&["arn:"])],
            "it holds objects, which starts_with never finds; quote the path of what is in it: \
             \"resources.ARN\"",
        ),
        // Types and networks.
        (
            "errorCode",
            vec![Condition::Equals(vec![Value::Integer(403)])],
            "CloudTrail writes this field as a string (equals); put the values in quotes",
        ),
        (
            "eventName",
            vec![cidr(&["10.0.0.0/8"])],
            "it never is an address, as cidr wants; addresses are in sourceIPAddress",
        ),
        (
            "actor.name",
            vec![Condition::NotCidr(nets(&["10.0.0.0/8"]))],
            "it never is an address, as not_cidr wants; addresses are in sourceIPAddress",
        ),
        (
            "sourceIPAddress",
            vec![cidr(&["10.1.2.3/8", "2001:db8::1/32", "192.0.2.0/24"])],
            "10.1.2.3/8 has bits behind its prefix, which do not count; write \"10.0.0.0/8\" | \
             2001:db8::1/32 has bits behind its prefix, which do not count; write \"2001:db8::/32\"",
        ),
        (
            "sourceIPAddress",
            equals_of("10.0.0.0/8"),
            "no address is \"10.0.0.0/8\", which is a network; write cidr = [\"10.0.0.0/8\"]",
        ),
        // Sources.
        (
            "eventSource",
            vec![not_equals(&["codeguru-reviewr.amazonaws.com", "iam.amazonaws.com"])],
            "no service is known to write \"codeguru-reviewr.amazonaws.com\"; did you mean \
             \"codeguru-reviewer.amazonaws.com\"?",
        ),
        (
            "eventSource",
            vec![starts(&["lamda."])],
            "no service is known to write \"lamda.\"; did you mean \"lambda.\"?",
        ),
        (
            "eventSource",
            vec![ends(&["-reviewer"])],
            "every event source ends in .amazonaws.com, unlike \"-reviewer\"; write \
             \"-reviewer.amazonaws.com\"",
        ),
        // Stars.
        (
            "eventName",
            equals_of("List*"),
            "the `*` in \"List*\" stands for itself; write starts_with = [\"List\"]",
        ),
        (
            "eventName",
            vec![not_equals(&["*Tags"])],
            "the `*` in \"*Tags\" stands for itself; write not_ends_with = [\"Tags\"]",
        ),
        ("eventName", equals_of("*"), "the `*` in \"*\" stands for itself; write exists = true"),
        (
            "eventName",
            equals_of("*Repository*"),
            "the `*` in \"*Repository*\" stands for itself; use starts_with or ends_with",
        ),
        // Words.
        (
            "userIdentity.type",
            equals_of("IamUser"),
            "CloudTrail is not known to write \"IamUser\" here; did you mean \"IAMUser\"?",
        ),
        (
            "userIdentity.type",
            equals_of("Human"),
            "CloudTrail is not known to write \"Human\" here; known here: \"Root\", \"IAMUser\", \
             \"AssumedRole\", \"Role\", \"FederatedUser\", \"SAMLUser\", \"WebIdentityUser\", \
             \"IdentityCenterUser\", \"Directory\", \"AWSAccount\", \"AWSService\", \"Unknown\"",
        ),
        (
            "userIdentity.sessionContext.sessionIssuer.type",
            equals_of("role"),
            "CloudTrail is not known to write \"role\" here; did you mean \"Role\"?",
        ),
        (
            "eventType",
            equals_of("AWSApiCall"),
            "CloudTrail is not known to write \"AWSApiCall\" here; did you mean \"AwsApiCall\"?",
        ),
        (
            "eventType",
            vec![starts(&["Console"])],
            "CloudTrail is not known to write \"Console\" here; known here: \"AwsApiCall\", \
             \"AwsServiceEvent\", \"AwsConsoleAction\", \"AwsConsoleSignIn\", \"AwsVpceEvent\", \
             \"AwsCloudTrailInsight\"",
        ),
        (
            "eventCategory",
            equals_of("Insight"),
            "files of Insight events are skipped, so none is \"Insight\"; remove it",
        ),
        (
            "eventCategory",
            equals_of("management"),
            "CloudTrail is not known to write \"management\" here; did you mean \"Management\"?",
        ),
        (
            "userIdentity.sessionContext.attributes.mfaAuthenticated",
            equals_of("yes"),
            "CloudTrail is not known to write \"yes\" here; known here: \"true\", \"false\"",
        ),
        (
            "tlsDetails.tlsVersion",
            equals_of("TLS1.2"),
            "CloudTrail is not known to write \"TLS1.2\" here; did you mean \"TLSv1.2\"?",
        ),
        // Forms.
        (
            "userIdentity.arn",
            equals_of("alice"),
            "\"alice\" is no ARN, and equals wants the whole of it; write it in full, or ends_with = \
             [\"…\"]",
        ),
        (
            "recipientAccountId",
            equals_of("1111-2222-3333"),
            "an account id has 12 digits, unlike \"1111-2222-3333\"; write it as in \"111122223333\"",
        ),
        (
            "awsRegion",
            equals_of("us-east-1a"),
            "\"us-east-1a\" has not the form of a region; write it as in \"us-east-1\", without a \
             zone's letter",
        ),
        (
            "eventName",
            equals_of("iam:CreateUser"),
            "an event's name has no service in front, unlike \"iam:CreateUser\"; write \
             \"CreateUser\", and eventSource beside it",
        ),
        (
            "eventVersion",
            equals_of("1.8"),
            "minor versions have two digits, unlike \"1.8\"; write \"1.08\"",
        ),
        (
            "eventSource",
            vec![Condition::Exists(false)],
            "every record has it; exists = false selects nothing: remove it",
        ),
    ];
    for (path, conditions, expected) in cases {
        assert_eq!(of_one(path, conditions).join(" | "), expected, "{path}");
    }
}

fn equals_of(value: &str) -> Vec<Condition> {
    vec![equals(&[value])]
}

#[test]
fn conditions_that_cannot_hold_together_are_named() {
    let both = |a: &str, b: &str| {
        format!("{a} and {b} never hold together; the selector selects nothing: remove one of them")
    };
    let cases: Vec<(&str, Vec<Condition>, String)> = vec![
        (
            "eventName",
            vec![equals(&["A", "B"]), not_equals(&["B", "A", "C"])],
            both("equals", "not_equals"),
        ),
        ("eventName", vec![equals(&["Get1"]), not_starts(&["Get"])], both("equals", "not_starts_with")),
        ("eventName", vec![equals(&["Get1"]), starts(&["List"])], both("equals", "starts_with")),
        ("eventName", vec![starts(&["A"]), starts(&["B"])], both("starts_with", "starts_with")),
        (
            "eventName",
            vec![starts(&["ListTags"]), not_starts(&["List"])],
            both("starts_with", "not_starts_with"),
        ),
        ("errorCode", vec![ends(&["s"]), Condition::Exists(false)], both("ends_with", "exists = false")),
        (
            "errorCode",
            vec![Condition::Exists(true), Condition::Exists(false)],
            both("exists = true", "exists = false"),
        ),
        (
            "sourceIPAddress",
            vec![cidr(&["10.1.0.0/16"]), Condition::NotCidr(nets(&["10.0.0.0/8"]))],
            both("cidr", "not_cidr"),
        ),
        (
            "sourceIPAddress",
            vec![equals(&["192.0.2.1"]), cidr(&["10.0.0.0/8"])],
            both("equals", "cidr"),
        ),
        (
            "eventName",
            vec![equals(&["A1", "B1"]), starts(&["A"]), not_equals(&["A1"])],
            "no value of equals satisfies the other conditions; the selector selects nothing: remove \
             values or conditions"
                .to_owned(),
        ),
        (
            "eventName",
            vec![equals(&["A", "B"]), not_equals(&["B"])],
            "equals lists \"B\", which not_equals rules out; remove it from one of the two".to_owned(),
        ),
        (
            "readOnly",
            vec![
                Condition::Equals(vec![Value::Bool(true)]),
                Condition::NotEquals(vec![Value::Bool(true)]),
            ],
            both("equals", "not_equals"),
        ),
    ];
    for (path, conditions, expected) in cases {
        assert_eq!(of_one(path, conditions).join(" | "), expected, "{path}");
    }
    let found = warnings(vec![selector(vec![
        field("userIdentity.invokedBy", equals_of("x")),
        field("userIdentity", vec![Condition::Exists(false)]),
    ])]);
    let expected = "route \"r\", selector 1, field \"userIdentity.invokedBy\": it is wanted, but \
                    \"userIdentity\" is not; nothing has both, so remove one";
    assert_eq!(found, [expected]);
}

#[test]
fn a_selector_that_adds_nothing_is_named_whatever_its_order() {
    let source = || field("eventSource", equals_of("iam.amazonaws.com"));
    let writes = || field("readOnly", vec![Condition::Equals(vec![Value::Bool(false)])]);
    let same = "route \"r\", selector 2: it says the same as selector 1; selectors are OR-ed: remove \
                one of the two";
    let less = |one: usize, other: usize| {
        format!(
            "route \"r\", selector {one}: it selects nothing that selector {other} does not; \
             selectors are OR-ed: remove one of the two"
        )
    };
    let pair = |a: Vec<FieldSpec>, b: Vec<FieldSpec>| warnings(vec![selector(a), selector(b)]);
    assert_eq!(pair(vec![source(), writes()], vec![writes(), source()]), [same]);
    assert_eq!(pair(vec![source(), writes()], vec![source()]), [less(1, 2)]);
    assert_eq!(pair(vec![source()], vec![source(), writes()]), [less(2, 1)]);

    let one = |path: &str, condition: Condition| vec![field(path, vec![condition])];
    let name = |condition: Condition| one("eventName", condition);
    for (narrow, wide) in [
        (name(equals(&["Get1"])), name(starts(&["Get"]))),
        (name(equals(&["Get1"])), name(ends(&["1"]))),
        (name(equals(&["A"])), name(equals(&["A", "B"]))),
        (name(starts(&["ListTags"])), name(starts(&["Get", "List"]))),
        (name(not_equals(&["A", "B"])), name(not_equals(&["A"]))),
        (name(not_starts(&["A"])), name(not_starts(&["AB"]))),
        (name(not_starts(&["A"])), name(not_equals(&["AB"]))),
        (name(starts(&["x"])), name(Condition::Exists(true))),
        (one("errorCode", Condition::Exists(false)), one("errorCode", not_equals(&["A"]))),
        (
            one("requestParameters.name", equals(&["x"])),
            one("requestParameters", Condition::Exists(true)),
        ),
        (
            one("sourceIPAddress", cidr(&["10.1.0.0/16", "10.2.0.0/16"])),
            one("sourceIPAddress", cidr(&["10.0.0.0/8"])),
        ),
        (
            one("sourceIPAddress", equals(&["10.1.2.3"])),
            one("sourceIPAddress", cidr(&["10.0.0.0/8"])),
        ),
        (
            one("sourceIPAddress", Condition::NotCidr(nets(&["10.0.0.0/8"]))),
            one("sourceIPAddress", Condition::NotCidr(nets(&["10.1.0.0/16"]))),
        ),
    ] {
        assert_eq!(pair(narrow.clone(), wide.clone()), [less(1, 2)], "{narrow:?} {wide:?}");
        assert_eq!(pair(wide.clone(), narrow.clone()), [less(2, 1)], "{narrow:?} {wide:?}");
    }
}

/// What would be a false alarm.
#[test]
fn what_may_well_be_meant_so_is_left_alone() {
    let cases: Vec<(&str, Vec<Condition>)> = vec![
        ("eventSource", vec![equals(&["codeguru-security.amazonaws.com"])]),
        ("eventSource", vec![equals(&["codeguru-profiler.amazonaws.com"])]),
        ("eventSource", vec![equals(&["quantumledger.amazonaws.com"])]),
        ("eventSource", vec![starts(&["codeguru"]), ends(&[".amazonaws.com"])]),
        ("requestParameters.Repository.CodeCommit.Name", vec![equals(&["*"])]),
        ("requestParameters.cidrIp", vec![cidr(&["0.0.0.0/0"])]),
        ("responseElements.a.b.c", vec![Condition::Equals(vec![Value::Integer(5)])]),
        ("additionalEventData.MFAUsed", vec![equals(&["No"])]),
        ("resources.ARN", vec![equals(&["arn:aws:logs:us-east-1:111122223333:log-group:x:*"])]),
        // Of several resources one may be each.
        ("resources.type", vec![equals(&["A"]), starts(&["B"])]),
        ("requestParameters.tags", vec![equals(&["A"]), starts(&["B"])]),
        ("userIdentity.type", vec![starts(&["AWS"])]),
        ("userIdentity.accountId", vec![equals(&["ANONYMOUS_PRINCIPAL"])]),
        ("userIdentity.sessionContext.sessionIssuer.type", vec![equals(&["Gremium"])]),
        (
            "userIdentity.sessionContext.assumedRoot",
            vec![Condition::Equals(vec![Value::Bool(true)])],
        ),
        ("userIdentity.sessionContext.assumedRoot", vec![equals(&["true"])]),
        ("userIdentity", vec![Condition::Exists(true)]),
        ("awsRegion", vec![equals(&["us-gov-west-1", "aws-global", "eusc-de-east-1"])]),
        ("eventVersion", vec![equals(&["1.0", "1.08", "1.11"])]),
        ("sourceIPAddress", vec![equals(&["AWS Internal", "10.0.0.1", "ec2.amazonaws.com"])]),
        (
            "sourceIPAddress",
            vec![cidr(&["10.0.0.0/8"]), Condition::NotCidr(nets(&["10.1.0.0/16"]))],
        ),
        ("actor.kind", vec![equals(&["root"])]),
        ("actor.mfa", vec![Condition::NotEquals(vec![Value::Bool(true)])]),
        ("errorCode", vec![Condition::Exists(false)]),
        (
            "errorCode",
            vec![Condition::Equals(vec![Value::Integer(404), Value::String("404".into())])],
        ),
        ("eventName", vec![starts(&["Get"]), not_starts(&["GetObject"])]),
        ("eventName", vec![starts(&["Get"]), starts(&["GetO"])]),
    ];
    for (path, conditions) in cases {
        assert_eq!(of_one(path, conditions), [""; 0], "{path}");
    }
    let built_in = [RouteSpec::codeguru_reviewer()];
    assert_eq!(Routes::warnings(&built_in), []);
    let name = |condition: Condition| selector(vec![field("eventName", vec![condition])]);
    for pair in [
        [name(starts(&["Get"])), name(equals(&["List"]))],
        [name(equals(&["A", "B"])), name(equals(&["B", "C"]))],
        [name(not_equals(&["A"])), name(not_equals(&["B"]))],
        [name(not_starts(&["AB", "D"])), name(not_starts(&["A", "C"]))],
    ] {
        assert_eq!(warnings(pair.to_vec()), [""; 0], "{pair:?}");
    }
}

/// What is an error is not a warning too.
#[test]
fn what_is_refused_is_not_repeated() {
    for path in
        ["eventsource", "UserIdentity.type", "a..b", "eventSource.x", "actor.x", "Actor.kind"]
    {
        let fields = vec![field(path, vec![Condition::Exists(true)])];
        let spec = RouteSpec { name: "r".into(), selectors: vec![selector(fields)] };
        assert_eq!(Routes::warnings(std::slice::from_ref(&spec)), [], "{path}");
        assert_eq!(Routes::compile(&[spec]).expect_err("refused").len(), 1, "{path}");
    }
}

#[test]
fn whatever_the_actor_is_read_from_is_known() {
    for path in trailsift_event::Actor::PATHS {
        let known = matches!(fields::look_up(path), Found::Known { .. });
        assert!(known, "{path}");
    }
}
