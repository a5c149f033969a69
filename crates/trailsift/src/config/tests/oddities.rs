//! Selectors that are legal and yet not meant so, near misses that are refused, and what is said
//! about each.

use super::*;

/// A configuration of one route with these lines as its only selector: the first one stands in line
/// 11.
fn with_selector(lines: &str) -> String {
    format!(
        "{ACCOUNT}[[route]]\nname = \"r\"\nsinks = [\"s\"]\n[[route.selector]]\n{lines}\n\
         [sink.s]\ntype = \"stdout\"\n"
    )
}

/// What is found, and whether the configuration is taken all the same.
fn judged(text: &str) -> (bool, Vec<String>) {
    (load_text(text).is_ok(), findings_of(text))
}

#[test]
fn each_near_miss_is_one_warning_at_its_field() {
    let cases = [
        // Fields.
        (
            "evenName = { exists = true }",
            "11:1: `evenName`: CloudTrail's records have no field \"evenName\" (did you mean \"eventName\"?)",
        ),
        (
            "userName = { equals = [\"alice\"] }",
            "11:1: `userName`: CloudTrail's records have no field \"userName\" (did you mean \"userIdentity.sessionContext.sessionIssuer.userName\" or \"userIdentity.userName\"?)",
        ),
        (
            "bucketName = { equals = [\"b\"] }",
            "11:1: `bucketName`: CloudTrail's records have no field \"bucketName\" (what a call was given is a path such as \"requestParameters.bucketName\")",
        ),
        (
            "\"userIdentity.Type\" = { equals = [\"Root\"] }",
            "11:1: `userIdentity.Type`: userIdentity has no field \"Type\" (did you mean \"userIdentity.type\"?)",
        ),
        (
            "\"userIdentity.sessionContext.sessionIssuer.username\" = { equals = [\"Admin\"] }",
            "11:1: `userIdentity.sessionContext.sessionIssuer.username`: userIdentity.sessionContext.sessionIssuer has no field \"username\" (did you mean \"userIdentity.sessionContext.sessionIssuer.userName\"?)",
        ),
        (
            "\"userIdentity.sessionContext.mfaAuthenticated\" = { equals = [\"true\"] }",
            "11:1: `userIdentity.sessionContext.mfaAuthenticated`: userIdentity.sessionContext has no field \"mfaAuthenticated\" (did you mean \"userIdentity.sessionContext.attributes.mfaAuthenticated\"?)",
        ),
        (
            "\"resources.Arn\" = { starts_with = [\"arn:\"] }",
            "11:1: `resources.Arn`: resources has no field \"Arn\" (did you mean \"resources.ARN\"?)",
        ),
        (
            "\"tlsDetails.version\" = { exists = true }",
            "11:1: `tlsDetails.version`: tlsDetails has no field \"version\" (did you mean \"tlsDetails.tlsVersion\"?)",
        ),
        (
            "\"eventName.name\" = { exists = true }",
            "11:1: `eventName.name`: eventName is no object, so nothing is below it (write eventName)",
        ),
        (
            "userIdentity = { equals = [\"Root\"] }",
            "11:1: `userIdentity`: it holds an object, which equals never finds (quote the path of what is in it: \"userIdentity.type\")",
        ),
        (
            "insightDetails = { exists = true }",
            "11:1: `insightDetails`: only Insight files hold it, and these are skipped (remove the selector)",
        ),
        // Sources.
        (
            "eventSource = { equals = [\"codeguru-reviwer.amazonaws.com\"] }",
            "11:1: `eventSource`: no service is known to write \"codeguru-reviwer.amazonaws.com\" (did you mean \"codeguru-reviewer.amazonaws.com\"?)",
        ),
        (
            "eventSource = { equals = [\"codeguru-reviewer\"] }",
            "11:1: `eventSource`: every event source ends in .amazonaws.com, unlike \"codeguru-reviewer\" (write \"codeguru-reviewer.amazonaws.com\")",
        ),
        (
            "eventSource = { equals = [\"CodeGuru-Reviewer.amazonaws.com\"] }",
            "11:1: `eventSource`: event sources are in lower case and without spaces, unlike \"CodeGuru-Reviewer.amazonaws.com\" (write \"codeguru-reviewer.amazonaws.com\")",
        ),
        (
            "eventSource = { equals = [\"codeguru.amazonaws.com\"] }",
            "11:1: `eventSource`: no service is known to write \"codeguru.amazonaws.com\" (did you mean \"codeguru-reviewer.amazonaws.com\"?)",
        ),
        (
            "eventSource = { equals = [\"cloudwatch.amazonaws.com\"] }",
            "11:1: `eventSource`: no service is known to write \"cloudwatch.amazonaws.com\" (did you mean \"monitoring.amazonaws.com\"?)",
        ),
        (
            "eventSource = { equals = [\"iam.aws.amazon.com\"] }",
            "11:1: `eventSource`: every event source ends in .amazonaws.com, unlike \"iam.aws.amazon.com\" (write \"iam.amazonaws.com\")",
        ),
        (
            "eventSource = { starts_with = [\"codegru\"] }",
            "11:1: `eventSource`: no service is known to write \"codegru\" (did you mean \"codeguru\"?)",
        ),
        (
            "eventSource = { ends_with = [\".amazon.com\"] }",
            "11:1: `eventSource`: every event source ends in .amazonaws.com, unlike \".amazon.com\" (write \".amazonaws.com\")",
        ),
        // Values.
        (
            "eventName = { equals = [\"List*\"] }",
            "11:1: `eventName`: the `*` in \"List*\" stands for itself (write starts_with = [\"List\"])",
        ),
        (
            "eventName = { equals = [\"codeguru-reviewer:AssociateRepository\"] }",
            "11:1: `eventName`: an event's name has no service in front, unlike \"codeguru-reviewer:AssociateRepository\" (write \"AssociateRepository\", and eventSource beside it)",
        ),
        (
            "\"userIdentity.type\" = { equals = [\"root\"] }",
            "11:1: `userIdentity.type`: CloudTrail is not known to write \"root\" here (did you mean \"Root\"?)",
        ),
        (
            "\"userIdentity.type\" = { not_equals = [\"AwsService\"] }",
            "11:1: `userIdentity.type`: CloudTrail is not known to write \"AwsService\" here (did you mean \"AWSService\"?)",
        ),
        (
            "eventType = { equals = [\"AwsConsoleSignin\"] }",
            "11:1: `eventType`: CloudTrail is not known to write \"AwsConsoleSignin\" here (did you mean \"AwsConsoleSignIn\"?)",
        ),
        (
            "eventCategory = { equals = [\"Insight\"] }",
            "11:1: `eventCategory`: files of Insight events are skipped, so none is \"Insight\" (remove it)",
        ),
        (
            "eventCategory = { equals = [\"Managment\"] }",
            "11:1: `eventCategory`: CloudTrail is not known to write \"Managment\" here (did you mean \"Management\"?)",
        ),
        (
            "\"userIdentity.sessionContext.attributes.mfaAuthenticated\" = { equals = [\"True\"] }",
            "11:1: `userIdentity.sessionContext.attributes.mfaAuthenticated`: CloudTrail is not known to write \"True\" here (did you mean \"true\"?)",
        ),
        (
            "recipientAccountId = { equals = [\"11112222333\"] }",
            "11:1: `recipientAccountId`: an account id has 12 digits, unlike \"11112222333\" (write it as in \"111122223333\")",
        ),
        (
            "awsRegion = { equals = [\"us_east_1\"] }",
            "11:1: `awsRegion`: \"us_east_1\" has not the form of a region (write it as in \"us-east-1\", without a zone's letter)",
        ),
        (
            "\"userIdentity.arn\" = { equals = [\"user/alice\"] }",
            "11:1: `userIdentity.arn`: \"user/alice\" is no ARN, and equals wants the whole of it (write it in full, or ends_with = [\"…\"])",
        ),
        (
            "errorCode = { equals = [403] }",
            "11:1: `errorCode`: CloudTrail writes this field as a string (equals) (put the values in quotes)",
        ),
        (
            "sourceIPAddress = { equals = [\"10.0.0.0/8\"] }",
            "11:1: `sourceIPAddress`: no address is \"10.0.0.0/8\", which is a network (write cidr = [\"10.0.0.0/8\"])",
        ),
        (
            "sourceIPAddress = { not_cidr = [\"10.1.2.3/8\"] }",
            "11:1: `sourceIPAddress`: 10.1.2.3/8 has bits behind its prefix, which do not count (write \"10.0.0.0/8\")",
        ),
        (
            "userAgent = { cidr = [\"10.0.0.0/8\"] }",
            "11:1: `userAgent`: it never is an address, as cidr wants (addresses are in sourceIPAddress)",
        ),
        (
            "\"actor.kind\" = { exists = false }",
            "11:1: `actor.kind`: every record has it (exists = false selects nothing: remove it)",
        ),
        // Contradictions.
        (
            "eventName = { equals = [\"A\"], not_equals = [\"A\"] }",
            "11:1: `eventName`: equals and not_equals never hold together (the selector selects nothing: remove one of them)",
        ),
        (
            "eventName = { equals = [\"GetX\"], starts_with = [\"List\"] }",
            "11:1: `eventName`: equals and starts_with never hold together (the selector selects nothing: remove one of them)",
        ),
        (
            "errorCode = { starts_with = [\"A\"], exists = false }",
            "11:1: `errorCode`: starts_with and exists = false never hold together (the selector selects nothing: remove one of them)",
        ),
        (
            "eventName = { equals = [\"A\", \"B\"], not_equals = [\"B\"] }",
            "11:1: `eventName`: equals lists \"B\", which not_equals rules out (remove it from one of the two)",
        ),
        (
            "sourceIPAddress = { cidr = [\"10.1.0.0/16\"], not_cidr = [\"10.0.0.0/8\"] }",
            "11:1: `sourceIPAddress`: cidr and not_cidr never hold together (the selector selects nothing: remove one of them)",
        ),
        (
            "readOnly = { equals = [true], not_equals = [true] }",
            "11:1: `readOnly`: equals and not_equals never hold together (the selector selects nothing: remove one of them)",
        ),
        (
            "userIdentity = { exists = false }\n\"userIdentity.type\" = { equals = [\"Root\"] }",
            "12:1: `userIdentity.type`: it is wanted, but \"userIdentity\" is not (nothing has both, so remove one)",
        ),
        // Selectors.
        (
            "eventName = { equals = [\"A\"] }\n[[route.selector]]\neventName = { starts_with = [\"A\"] }",
            "10:1: selector 1: it selects nothing that selector 2 does not (selectors are OR-ed: remove one of the two)",
        ),
        (
            "eventName = { equals = [\"A\"] }\n[[route.selector]]\neventName = { equals = [\"A\"] }",
            "12:1: selector 2: it says the same as selector 1 (selectors are OR-ed: remove one of the two)",
        ),
    ];
    assert!(cases.len() >= 40);
    for (lines, expected) in cases {
        let (is_valid, found) = judged(&with_selector(lines));
        assert_eq!(found, [expected], "{lines}");
        assert!(is_valid, "a warning keeps nobody from running: {lines}");
    }
}

#[test]
fn each_mistake_in_a_network_or_an_actor_is_one_error() {
    let networks =
        "it must be a network such as \"10.0.0.0/8\" or \"2001:db8::/32\", or a single address";
    let cidr = |list: &str| format!("sourceIPAddress = {{ cidr = {list} }}");
    let network = |column: usize, text: &str, remedy: &str| {
        format!(
            "11:{column}: `route.selector.sourceIPAddress.cidr` is no network: {text} ({remedy})"
        )
    };
    for (lines, expected) in [
        (cidr("[\"10.0.0\"]"), network(29, "\"10.0.0\"", networks)),
        (cidr("[\"10.0.0.1\", \"fe80::1%eth0\"]"), network(41, "\"fe80::1%eth0\"", networks)),
        (cidr("[\"010.0.0.1/8\"]"), network(29, "\"010.0.0.1/8\"", networks)),
        (cidr("[\"\"]"), network(29, "\"\"", networks)),
        (cidr("[\"a\\u0007\\\"/8\"]"), network(29, "\"a\\u{7}\\\"/8\"", networks)),
        (
            cidr("[\"10.0.0.0/33\"]"),
            network(
                29,
                "\"10.0.0.0/33\"",
                "behind the slash stands the length of its prefix, from 0 to 32",
            ),
        ),
        (
            cidr("[\"2001:db8::/129\"]"),
            network(
                29,
                "\"2001:db8::/129\"",
                "behind the slash stands the length of its prefix, from 0 to 128",
            ),
        ),
        (
            cidr("[\"10.0.0.0/255.255.0.0\"]"),
            network(
                29,
                "\"10.0.0.0/255.255.0.0\"",
                "write the length of its prefix: \"10.0.0.0/16\"",
            ),
        ),
        (
            cidr("[]"),
            "11:28: `route.selector.sourceIPAddress.cidr` is empty (it must be a list, each item a network such as \"10.0.0.0/8\" or \"2001:db8::/32\", or a single address)".into(),
        ),
        (
            cidr("[10]"),
            "11:29: `route.selector.sourceIPAddress.cidr` must be a network such as \"10.0.0.0/8\" or \"2001:db8::/32\", or a single address, but is an integer (write it as text, in quotes)".into(),
        ),
        (
            cidr("\"10.0.0.0/8\""),
            "11:28: `route.selector.sourceIPAddress.cidr` must be a list, each item a network such as \"10.0.0.0/8\" or \"2001:db8::/32\", or a single address, but is a string (put it in brackets: [ … ])".into(),
        ),
        (
            "sourceIPAddress = { cdir = [\"10.0.0.0/8\"] }".into(),
            "11:21: unknown key `cdir` in `route.selector.sourceIPAddress` (did you mean `cidr`?)".into(),
        ),
        (
            "\"actor.kindd\" = { equals = [\"root\"] }".into(),
            "11:1: `actor.kindd`: an actor has no \"kindd\" (did you mean \"actor.kind\"?)".into(),
        ),
        (
            "\"actor.Account_Id\" = { exists = true }".into(),
            "11:1: `actor.Account_Id`: an actor has no \"Account_Id\" (did you mean \"actor.account_id\"?)".into(),
        ),
        (
            "\"actor.colour\" = { exists = true }".into(),
            "11:1: `actor.colour`: an actor has no \"colour\" (known here: \"kind\", \"name\", \"arn\", \"account_id\", \"credentials\", \"mfa\", \"session_name\", \"invoked_by\", \"source_identity\")".into(),
        ),
        (
            "actor = { exists = true }".into(),
            "11:1: `actor`: the actor is no single value (quote the path of what it has, such as \"actor.kind\")".into(),
        ),
        (
            "Actor = { exists = true }".into(),
            "11:1: `Actor`: no record has this field (write actor)".into(),
        ),
        (
            "\"actor.kind\" = { equals = [\"Root\"] }".into(),
            "11:1: `actor.kind`: actor.kind never is \"Root\" (did you mean \"root\"?)".into(),
        ),
        (
            "\"actor.kind\" = { not_equals = [\"AWSService\"] }".into(),
            "11:1: `actor.kind`: actor.kind never is \"AWSService\" (did you mean \"aws_service\"?)".into(),
        ),
        (
            "\"actor.kind\" = { starts_with = [\"aws-\"] }".into(),
            "11:1: `actor.kind`: actor.kind never is \"aws-\" (known here: \"root\", \"iam_user\", \"assumed_role\", \"federated_user\", \"saml_user\", \"web_identity_user\", \"identity_center_user\", \"aws_service\", \"aws_account\", \"role\", \"directory\", \"unknown\")".into(),
        ),
        (
            "\"actor.credentials\" = { equals = [\"longterm\"] }".into(),
            "11:1: `actor.credentials`: actor.credentials never is \"longterm\" (did you mean \"long_term\"?)".into(),
        ),
        (
            "\"actor.mfa\" = { equals = [\"true\"] }".into(),
            "11:1: `actor.mfa`: trailsift derives this field as a boolean (equals) (write equals = [true] or [false], without quotes)".into(),
        ),
        (
            "\"actor.account_id\" = { equals = [111122223333] }".into(),
            "11:1: `actor.account_id`: trailsift derives this field as a string (equals) (put the values in quotes)".into(),
        ),
    ] {
        let (is_valid, found) = judged(&with_selector(&lines));
        assert_eq!(found, [expected], "{lines}");
        assert!(!is_valid, "{lines}");
    }
}

#[test]
fn networks_and_actors_are_read_and_printed_as_they_are_meant() {
    let config = config_of(&with_selector(
        "sourceIPAddress = { cidr = [\"10.0.0.0/8\", \"192.0.2.1\", \"2001:DB8::/32\", \"::1\"], not_cidr = [\"10.1.0.0/16\"] }\n\
         \"actor.kind\" = { equals = [\"root\", \"iam_user\"] }\n\
         \"actor.mfa\" = { not_equals = [true] }",
    ));
    let printed = config.to_string();
    let networks = "sourceIPAddress = { cidr = [\"10.0.0.0/8\", \"192.0.2.1/32\", \"2001:db8::/32\", \
                    \"::1/128\"], not_cidr = [\"10.1.0.0/16\"] }";
    assert!(printed.contains(networks), "{printed}");
    assert_eq!(config_of(&printed), config);
}

#[test]
fn a_warning_is_shown_as_a_compiler_would() {
    let folder = folder(&[(
        "c.toml",
        &with_selector("eventSource = { equals = [\"codeguru-reviwer.amazonaws.com\"] }"),
    )]);
    let loaded = load_with(&folder.path().join("c.toml"), &environment).expect("valid");
    let shown = loaded.warnings.render(false).replace(&format!("{}/", folder.path().display()), "");
    let expected =
        "warning: `eventSource`: no service is known to write \"codeguru-reviwer.amazonaws.com\"
  --> c.toml:11:1
   |
11 | eventSource = { equals = [\"codeguru-reviwer.amazonaws.com\"] }
   | ^^^^^^^^^^^
   = help: did you mean \"codeguru-reviewer.amazonaws.com\"?

";
    assert_eq!(shown, expected);
}

#[test]
fn what_a_terminal_would_hide_or_reorder_is_printed_as_what_it_is() {
    let path = r"/var/\u202Elnosj\u200B\U000E0041\u0007/zürich.jsonl";
    let text = format!(
        "{ACCOUNT}[[route]]\nname = \"r\"\nsinks = [\"s\"]\n[[route.selector]]\n\
         eventSource = {{ exists = true }}\n[sink.s]\ntype = \"file\"\npath = \"{path}\"\n"
    );
    let config = config_of(&text);
    let printed = config.to_string();
    assert!(printed.contains(path), "{printed}");
    assert_eq!(config_of(&printed), config);
}
