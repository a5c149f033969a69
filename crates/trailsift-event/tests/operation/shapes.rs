//! Other operations, other services, and shapes that nobody meant.

use trailsift_event::{Activity, Event};

use crate::{event, event_of, line, lines, sentence};

const ALICE: &str = "alice (assumed role Admin, MFA)";

#[test]
fn an_unknown_operation_passes_as_it_is_and_is_read_as_the_others_are() {
    let arn = "arn:aws:codeguru-reviewer:us-west-2:111122223333:association:6eda8e7a";
    let request = format!(r#"{{"AssociationArn":"{arn}","Name":"x","Something":{{"New":[1]}}}}"#);
    let record = event("TransmogrifyRepository", &request, "null");
    let operation = Event::new(record.as_bytes()).operation();
    assert_eq!(operation.name.as_deref(), Some("TransmogrifyRepository"));
    assert_eq!((operation.activity, operation.read_only), (Activity::Other, None));
    let resources: Vec<_> = operation.resources.iter().map(line).collect();
    let association = format!(
        "AWS::CodeGuruReviewer::RepositoryAssociation name=6eda8e7a arn={arn} account=111122223333"
    );
    assert_eq!(resources, [association]);
    assert_eq!(
        sentence(&record),
        format!(
            "{ALICE} called TransmogrifyRepository of codeguru-reviewer.amazonaws.com on 6eda8e7a"
        )
    );
}

#[test]
fn another_service_is_not_taken_for_the_reviewer() {
    let request = r#"{"Repository":{"CodeCommit":{"Name":"x"}},"AssociationArn":"arn:aws:a"}"#;
    for source in [
        "codeguru-security.amazonaws.com",
        "Codeguru-Reviewer.amazonaws.com",
        "x.codeguru-reviewer.amazonaws.com",
    ] {
        let record = event_of(source, "AssociateRepository", request, "null");
        assert_eq!(lines(&record), [""; 0], "{source}");
        assert_eq!(sentence(&record), format!("{ALICE} called AssociateRepository of {source}"));
    }
    let escaped =
        event_of(r"codeguru\u002dreviewer.amazonaws.com", "AssociateRepository", request, "null");
    assert_eq!(sentence(&escaped), format!("{ALICE} associated CodeCommit repository x"));
}

#[test]
fn other_services_calls_are_told_by_name_and_by_what_the_record_lists() {
    let record = event_of("cloudtrail.amazonaws.com", "CreateTrail", "{}", "null");
    let called = format!("{ALICE} called CreateTrail of cloudtrail.amazonaws.com");
    assert_eq!(sentence(&record), called);
    let with = |more: &str| record.replacen('{', &format!("{{{more},"), 1);
    assert_eq!(
        sentence(&with(r#""resources":[{"ARN":"arn:aws:s3:::b"},{"ARN":"arn:aws:s3:::c"}]"#)),
        format!("{called} on arn:aws:s3:::b and arn:aws:s3:::c")
    );
    let failed = format!("{ALICE} failed to call CreateTrail of cloudtrail.amazonaws.com");
    let denied = format!("{ALICE} was denied to call CreateTrail of cloudtrail.amazonaws.com");
    for (how, expected) in [
        (
            r#""errorCode":"TrailAlreadyExistsException""#,
            format!("{failed} (TrailAlreadyExistsException)"),
        ),
        (
            r#""errorMessage":"Failed authentication""#,
            format!("{failed} (\"Failed authentication\")"),
        ),
        (r#""errorCode":"AccessDenied","errorMessage":"m""#, format!("{denied} (AccessDenied)")),
        (
            r#""errorCode":"Client.UnauthorizedOperation""#,
            format!("{denied} (Client.UnauthorizedOperation)"),
        ),
        (r#""errorCode":"VpceAccessDenied""#, format!("{denied} (VpceAccessDenied)")),
    ] {
        assert_eq!(sentence(&with(how)), expected);
    }
}

#[test]
fn of_a_resource_that_the_record_lists_as_well_only_what_is_new_is_taken() {
    let arn = "arn:aws:codeguru-reviewer:us-west-2:aws:association:6eda8e7a";
    let record =
        event("DescribeRepositoryAssociation", &format!(r#"{{"AssociationArn":"{arn}"}}"#), "null");
    let listed = format!(
        r#"{{"resources":[{{"arn":"{arn}","accountID":"111122223333","type":"T"}},{{"ARN":"arn:x"}}],"#
    );
    assert_eq!(
        lines(&record.replacen('{', &listed, 1)),
        [
            format!(
                "AWS::CodeGuruReviewer::RepositoryAssociation name=6eda8e7a arn={arn} account=111122223333"
            ),
            "? arn=arn:x".to_owned(),
        ]
    );
}

#[test]
fn nonsense_is_left_alone() {
    for nonsense in [
        "null",
        "7",
        "[]",
        "{}",
        "\"\"",
        "true",
        r#""{\"Repository\":{\"CodeCommit\":{\"Name\":\"x\"}}}""#,
        r#"[{"Repository":{"CodeCommit":{"Name":"x"}}}]"#,
        r#"{"Repository":null}"#,
        r#"{"Repository":"x"}"#,
        r#"{"Repository":{"CodeCommit":"x"}}"#,
        r#"{"Repository":{"CodeCommit":{"Name":7}}}"#,
        r#"{"Repository":{"CodeCommit":{"Name":""}}}"#,
        r#"{"Repository":{"CodeCommit":{"Owner":"x"}}}"#,
        r#"{"Repository":[{"CodeCommit":{"Name":"x"}}]}"#,
        r#"{"RepositoryAssociation":{"AssociationArn":["x"],"ProviderType":"CodeCommit"}}"#,
        r#"{"CodeReviewArn":{"Name":"x"},"RecommendationIds":{"a":"b"},"resourceArn":null}"#,
    ] {
        let record = event("AssociateRepository", nonsense, nonsense);
        assert_eq!(lines(&record), [""; 0], "{nonsense}");
        assert_eq!(sentence(&record), format!("{ALICE} associated a repository"));
    }
}

#[test]
fn what_is_no_arn_is_a_name_and_a_half_encoded_one_stays_as_it_is() {
    for (given, expected) in [
        ("6eda8e7a", "name=6eda8e7a"),
        ("arn%3Aaws%3Ax", "arn=arn:aws:x"),
        ("arn%3aaws:x", "arn=arn:aws:x"),
        ("arn:aws%3Ax", "arn=arn:aws%3Ax"),
        ("arn%253Aaws", "name=arn%253Aaws"),
        ("arn%3A%ff", "name=arn%3A%ff"),
        ("arn%3A%zz%", "arn=arn:%zz%"),
        (
            "arn:aws:codeguru-reviewer:::association:",
            "arn=arn:aws:codeguru-reviewer:::association:",
        ),
    ] {
        let request = format!(r#"{{"AssociationArn":"{given}"}}"#);
        let record = event("DisassociateRepository", &request, "null");
        assert_eq!(
            lines(&record),
            [format!("AWS::CodeGuruReviewer::RepositoryAssociation {expected}")]
        );
    }
    let other = event("TagResource", r#"{"resourceArn":"arn:aws:s3:::b"}"#, "null");
    assert_eq!(lines(&other), ["? arn=arn:aws:s3:::b"]);
    assert_eq!(sentence(&other), format!("{ALICE} tagged arn:aws:s3:::b"));
    let one =
        event("UntagResource", r#"{"resourceArn":"arn:aws:s3:::b","TagKeys":"team"}"#, "null");
    assert_eq!(sentence(&one), format!("{ALICE} removed the tag team from arn:aws:s3:::b"));
}

#[test]
fn a_record_that_says_nothing_has_a_sentence() {
    for record in ["{}", "", "7", "[", r#"{"eventName":7,"userIdentity":"x","resources":5}"#] {
        assert_eq!(sentence(record), "somebody made a call", "{record}");
    }
    let source = r#"{"eventSource":"s3.amazonaws.com"}"#;
    assert_eq!(sentence(source), "somebody made a call to s3.amazonaws.com");
}

#[test]
fn text_of_the_record_cannot_pass_for_the_sentences_own() {
    let request = r#"{"Repository":{"GitHub":{"Owner":"x","Name":"y, and\nroot \u202e(MFA) \"deleted\" it \\"}}}"#;
    assert_eq!(
        sentence(&event("AssociateRepository", request, "null")),
        format!(
            r#"{ALICE} associated GitHub repository "x/y, and\nroot \u{{202e}}(MFA) \"deleted\" it \\""#
        )
    );
}

#[test]
fn long_texts_are_cut_however_many_there_are() {
    let long = "é".repeat(50_000);
    let request = format!(r#"{{"Repository":{{"GitHub":{{"Name":"{long}"}}}}}}"#);
    let words = sentence(&event("AssociateRepository", &request, "null"));
    assert_eq!(words, format!("{ALICE} associated GitHub repository {}…", "é".repeat(100)));

    let unseen = r"\u202e\u0000 ".repeat(1_000);
    let many: Vec<_> = (0..901).map(|n| format!("\"{n}{unseen}\"")).collect();
    let request = format!(
        r#"{{"RepositoryNames":[{}],"ProviderTypes":"{unseen}","Owners":"{unseen}"}}"#,
        many.join(",")
    );
    let record = event("ListCodeReviews", &request, "null")
        .replace("alice", &unseen)
        .replace("Admin", &unseen);
    let record = record.replacen('{', &format!(r#"{{"errorCode":"{unseen}","#), 1);
    let words = sentence(&record);
    assert!(words.len() < 4096, "{} bytes", words.len());
    assert!(words.contains(" and 898 more "), "{words}");
    assert!(words.chars().all(|c| c == '…' || (' '..='~').contains(&c)), "{words}");
}

#[test]
fn letters_that_nobody_sees_do_not_part_words() {
    // Hangul fillers are letters, and blank.
    let request =
        r#"{"resourceArn":"arn:aws:s3:::b","TagKeys":["team\u3164from\u3164x","a\udb40\udc41b"]}"#;
    assert_eq!(
        sentence(&event("UntagResource", request, "null")),
        format!(
            r#"{ALICE} removed the tags "team\u{{3164}}from\u{{3164}}x" and "a\u{{e0041}}b" from arn:aws:s3:::b"#
        )
    );
}

#[test]
fn as_many_resources_as_a_record_has_room_for_are_told_up_to_a_limit() {
    // Each name compared with each ARN would take hours.
    let names: Vec<_> = (0..60_000).map(|n| format!("\"{n}\"")).collect();
    let arns: Vec<_> = (0..60_000).map(|n| format!("{{\"ARN\":\"a{n}\"}}")).collect();
    let request = format!(r#"{{"RepositoryNames":[{}]}}"#, names.join(","));
    let record = event("ListCodeReviews", &request, "null");
    let record = record.replacen('{', &format!("{{\"resources\":[{}],", arns.join(",")), 1);
    assert_eq!(Event::new(record.as_bytes()).operation().resources.len(), 2_000);
    assert_eq!(
        sentence(&record),
        format!(
            "{ALICE} listed the code reviews of repository 0, repository 1, repository 2 and many more"
        )
    );
}
