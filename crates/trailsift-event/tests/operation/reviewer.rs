//! Each operation of CodeGuru Reviewer, with parameters and a response as its API has them.

use trailsift_event::{Activity, Event};

use crate::{event, line, lines, sentence};

const A: &str = "arn:aws:codeguru-reviewer:us-west-2:111122223333:association:6eda8e7a";

struct Case {
    name: &'static str,
    request: String,
    response: String,
    activity: Activity,
    resources: Vec<String>,
    /// Behind `alice (assumed role Admin, MFA) `.
    sentence: &'static str,
    /// Behind `alice (assumed role Admin, MFA) was denied to `.
    denied: &'static str,
}

fn association() -> String {
    format!(
        "AWS::CodeGuruReviewer::RepositoryAssociation name=6eda8e7a arn={A} account=111122223333"
    )
}

fn code_review(id: &str) -> String {
    format!("CodeReview name={id} arn={A}:codereview:{id} account=111122223333")
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    let null = || "null".to_owned();
    vec![
        Case {
            name: "AssociateRepository",
            request: r#"{"Repository":{"CodeCommit":{"Name":"payments"}},"ClientRequestToken":"t",
                "Tags":{"team":"x"},"KMSKeyDetails":{"KMSKeyId":"alias/reviews","EncryptionOption":"CUSTOMER_MANAGED_CMK"}}"#
                .to_owned(),
            response: format!(
                r#"{{"RepositoryAssociation":{{"AssociationId":"6eda8e7a","AssociationArn":"{A}","Name":"payments",
                "Owner":"111122223333","ProviderType":"CodeCommit","State":"Associating",
                "CreatedTimeStamp":1574826395.662,"KMSKeyDetails":{{"KMSKeyId":"alias/reviews"}}}},"Tags":{{"team":"x"}}}}"#
            ),
            activity: Activity::Create,
            resources: vec![
                "AWS::CodeCommit::Repository name=payments account=111122223333 provider=CodeCommit owner=111122223333".to_owned(),
                association(),
                "AWS::KMS::Key name=alias/reviews".to_owned(),
            ],
            sentence: "associated CodeCommit repository payments",
            denied: "associate CodeCommit repository payments",
        },
        Case {
            name: "CreateCodeReview",
            request: format!(
                r#"{{"Name":"nightly","RepositoryAssociationArn":"{A}",
                "Type":{{"RepositoryAnalysis":{{"RepositoryHead":{{"BranchName":"main"}}}},"AnalysisTypes":["Security"]}}}}"#
            ),
            response: format!(
                r#"{{"CodeReview":{{"Name":"nightly","CodeReviewArn":"{A}:codereview:RepositoryAnalysis-nightly",
                "RepositoryName":"payments","Owner":"acme","ProviderType":"GitHub","State":"Pending",
                "AssociationArn":"{A}","Metrics":null}}}}"#
            ),
            activity: Activity::Create,
            resources: vec![
                format!("CodeReview name=nightly arn={A}:codereview:RepositoryAnalysis-nightly account=111122223333"),
                "Repository name=payments provider=GitHub owner=acme".to_owned(),
                association(),
            ],
            sentence: "asked for code review nightly of GitHub repository acme/payments",
            denied: "ask for code review nightly of association 6eda8e7a",
        },
        Case {
            name: "CreateConnectionToken",
            request: null(),
            response: null(),
            activity: Activity::Create,
            resources: vec![],
            sentence: "asked for a connection token of CodeGuru Reviewer",
            denied: "ask for a connection token of CodeGuru Reviewer",
        },
        Case {
            name: "DescribeCodeReview",
            request: format!(r#"{{"CodeReviewArn":"{A}:codereview:PullRequest-7"}}"#),
            response: null(),
            activity: Activity::Read,
            resources: vec![code_review("PullRequest-7"), association()],
            sentence: "looked at code review PullRequest-7",
            denied: "look at code review PullRequest-7",
        },
        Case {
            name: "DescribeRecommendationFeedback",
            request: format!(
                r#"{{"CodeReviewArn":"{A}:codereview:PullRequest-7","RecommendationId":"9f86d0","UserId":"bob"}}"#
            ),
            response: null(),
            activity: Activity::Read,
            resources: vec![
                "Recommendation name=9f86d0".to_owned(),
                code_review("PullRequest-7"),
                association(),
            ],
            sentence: "looked at the feedback on recommendation 9f86d0 of code review PullRequest-7",
            denied: "look at the feedback on recommendation 9f86d0 of code review PullRequest-7",
        },
        Case {
            name: "DescribeRepositoryAssociation",
            request: format!(r#"{{"AssociationArn":"{}"}}"#, A.replace(':', "%3A")),
            response: null(),
            activity: Activity::Read,
            resources: vec![association()],
            sentence: "looked at association 6eda8e7a",
            denied: "look at association 6eda8e7a",
        },
        Case {
            name: "DisassociateRepository",
            request: format!(r#"{{"AssociationArn":"{A}"}}"#),
            response: format!(
                r#"{{"RepositoryAssociation":{{"AssociationId":"6eda8e7a","AssociationArn":"{A}","Name":"scans",
                "Owner":"111122223333","ProviderType":"S3Bucket","State":"Disassociating",
                "S3RepositoryDetails":{{"BucketName":"codeguru-reviewer-scans"}}}}}}"#
            ),
            activity: Activity::Delete,
            resources: vec![
                "Repository name=scans provider=S3Bucket owner=111122223333".to_owned(),
                association(),
                "AWS::S3::Bucket name=codeguru-reviewer-scans".to_owned(),
            ],
            sentence: "disassociated S3Bucket repository 111122223333/scans",
            denied: "disassociate association 6eda8e7a",
        },
        Case {
            name: "GetMetricsData",
            request: null(),
            response: null(),
            activity: Activity::Read,
            resources: vec![],
            sentence: "looked at the metrics of CodeGuru Reviewer",
            denied: "look at the metrics of CodeGuru Reviewer",
        },
        Case {
            name: "ListCodeReviews",
            request: r#"{"Type":"PullRequest","ProviderTypes":["CodeCommit"],"RepositoryNames":["a","b","a"],"MaxResults":10}"#
                .to_owned(),
            response: null(),
            activity: Activity::Read,
            resources: ["a", "b"]
                .map(|name| format!("AWS::CodeCommit::Repository name={name} provider=CodeCommit"))
                .to_vec(),
            sentence: "listed the code reviews of CodeCommit repository a and CodeCommit repository b",
            denied: "list the code reviews of CodeCommit repository a and CodeCommit repository b",
        },
        Case {
            name: "ListRecommendationFeedback",
            request: format!(
                r#"{{"CodeReviewArn":"{A}:codereview:PullRequest-7","RecommendationIds":["r1","r2"]}}"#
            ),
            response: null(),
            activity: Activity::Read,
            resources: vec![
                "Recommendation name=r1".to_owned(),
                "Recommendation name=r2".to_owned(),
                code_review("PullRequest-7"),
                association(),
            ],
            sentence: "listed the feedback on recommendation r1 and r2 of code review PullRequest-7",
            denied: "list the feedback on recommendation r1 and r2 of code review PullRequest-7",
        },
        Case {
            name: "ListRecommendations",
            request: format!(
                r#"{{"CodeReviewArn":"{A}%3acodereview%3aPullRequest-7","NextToken":null}}"#,
                A = A.replace(':', "%3a")
            ),
            response: null(),
            activity: Activity::Read,
            resources: vec![code_review("PullRequest-7"), association()],
            sentence: "listed the recommendations of code review PullRequest-7",
            denied: "list the recommendations of code review PullRequest-7",
        },
        Case {
            name: "ListRepositoryAssociations",
            request: r#"{"ProviderType":["GitHub"],"Owner":"acme","Name":["web"]}"#.to_owned(),
            response: null(),
            activity: Activity::Read,
            resources: vec!["Repository name=web provider=GitHub owner=acme".to_owned()],
            sentence: "listed the repository associations of GitHub repository acme/web",
            denied: "list the repository associations of GitHub repository acme/web",
        },
        Case {
            name: "ListTagsForResource",
            request: format!(r#"{{"resourceArn":"{}"}}"#, A.replace(':', "%3A")),
            response: null(),
            activity: Activity::Read,
            resources: vec![association()],
            sentence: "listed the tags of association 6eda8e7a",
            denied: "list the tags of association 6eda8e7a",
        },
        Case {
            name: "ListThirdPartyRepositories",
            request: null(),
            response: null(),
            activity: Activity::Read,
            resources: vec![],
            sentence: "listed the third-party repositories of CodeGuru Reviewer",
            denied: "list the third-party repositories of CodeGuru Reviewer",
        },
        Case {
            name: "PutRecommendationFeedback",
            request: format!(
                r#"{{"codeReviewArn":"{A}:codereview:PullRequest-7","recommendationId":"9f86d0","reactions":["ThumbsUp"]}}"#
            ),
            response: "{}".to_owned(),
            activity: Activity::Update,
            resources: vec![
                "Recommendation name=9f86d0".to_owned(),
                code_review("PullRequest-7"),
                association(),
            ],
            sentence: "gave feedback on recommendation 9f86d0 of code review PullRequest-7",
            denied: "give feedback on recommendation 9f86d0 of code review PullRequest-7",
        },
        Case {
            name: "TagResource",
            request: format!(r#"{{"resourceArn":"{A}","Tags":{{"équipe":"платформа","cost center":"7"}}}}"#),
            response: null(),
            activity: Activity::Update,
            resources: vec![association()],
            sentence: "tagged association 6eda8e7a with équipe and \"cost center\"",
            denied: "tag association 6eda8e7a with équipe and \"cost center\"",
        },
        Case {
            name: "UntagResource",
            request: format!(r#"{{"resourceArn":"{A}","tagKeys":["a","b","c","d","e"]}}"#),
            response: null(),
            activity: Activity::Update,
            resources: vec![association()],
            sentence: "removed the tags a, b, c and 2 more from association 6eda8e7a",
            denied: "remove the tags a, b, c and 2 more from association 6eda8e7a",
        },
    ]
}

#[test]
fn each_of_the_seventeen_is_known_by_name() {
    let cases = cases();
    assert_eq!(cases.len(), 17);
    for case in cases {
        let record = event(case.name, &case.request, &case.response);
        let operation = Event::new(record.as_bytes()).operation();
        let resources: Vec<_> = operation.resources.iter().map(line).collect();
        assert_eq!(operation.name.as_deref(), Some(case.name));
        assert_eq!(operation.activity, case.activity, "{}", case.name);
        assert_eq!(operation.read_only, Some(case.activity == Activity::Read), "{}", case.name);
        assert_eq!(resources, case.resources, "{}", case.name);
        let alice = "alice (assumed role Admin, MFA)";
        assert_eq!(sentence(&record), format!("{alice} {}", case.sentence));

        let denied = event(case.name, &case.request, "null");
        let denied = denied.replacen('{', r#"{"errorCode":"AccessDeniedException","#, 1);
        let expected = format!("{alice} was denied to {} (AccessDeniedException)", case.denied);
        assert_eq!(sentence(&denied), expected);
    }
}

#[test]
fn without_parameters_each_still_has_a_sentence() {
    for case in cases() {
        let record = event(case.name, "null", "null");
        assert_eq!(lines(&record), [""; 0], "{}", case.name);
        let words = sentence(&record);
        let first = case.sentence.split(' ').next().expect("a word");
        assert!(words.starts_with(&format!("alice (assumed role Admin, MFA) {first} ")), "{words}");
        assert!(!words.ends_with(' ') && !words.contains("  "), "{words}");
    }
}

#[test]
fn capitals_do_not_matter() {
    let lower = r#"{"repository":{"gitHubEnterpriseServer":{"name":"web","owner":"acme",
        "connectionArn":"arn:aws:codestar-connections:us-west-2:111122223333:connection/c1"}}}"#;
    let upper = r#"{"Repository":{"GitHubEnterpriseServer":{"Name":"web","Owner":"acme",
        "ConnectionArn":"arn:aws:codestar-connections:us-west-2:111122223333:connection/c1"}}}"#;
    let [lower, upper] = [lower, upper].map(|it| event("AssociateRepository", it, "null"));
    assert_eq!(
        lines(&upper),
        [
            "Repository name=web provider=GitHubEnterpriseServer owner=acme",
            "AWS::CodeStarConnections::Connection arn=arn:aws:codestar-connections:us-west-2:111122223333:connection/c1 account=111122223333",
        ]
    );
    assert_eq!(lines(&lower), lines(&upper));
    assert_eq!(sentence(&lower), sentence(&upper));
}

#[test]
fn the_published_sample_is_understood() {
    let record = include_str!("../fixtures/associate_repository.json");
    let arn = "arn:aws:codeguru-reviewer:us-west-2:123456789012:association:6eda8e7a-319a-4750-bca8-7f73a816fadc";
    // AWS's sample answers with another name than it was asked with, so there are two.
    assert_eq!(
        lines(record),
        [
            "AWS::CodeCommit::Repository name=repository-name provider=CodeCommit".to_owned(),
            "AWS::CodeCommit::Repository name=TestRepository account=123456789012 provider=CodeCommit owner=123456789012".to_owned(),
            format!("AWS::CodeGuruReviewer::RepositoryAssociation name=6eda8e7a-319a-4750-bca8-7f73a816fadc arn={arn} account=123456789012"),
        ]
    );
    assert_eq!(
        sentence(record),
        "TestSession (assumed role TestRole) associated CodeCommit repository repository-name"
    );
}

#[test]
fn source_code_in_a_bucket_is_a_repository_and_its_bucket() {
    let request = format!(
        r#"{{"Name":"scan","RepositoryAssociationArn":"{A}","Type":{{"RepositoryAnalysis":{{"SourceCodeType":
        {{"S3BucketRepository":{{"Name":"scans","Details":{{"BucketName":"codeguru-reviewer-scans",
        "CodeArtifacts":{{"SourceCodeArtifactsObjectKey":"src.zip"}}}}}}}}}}}}}}"#
    );
    let record = event("CreateCodeReview", &request, "null");
    assert_eq!(
        lines(&record),
        [
            "CodeReview name=scan".to_owned(),
            "Repository name=scans provider=S3Bucket".to_owned(),
            association(),
            "AWS::S3::Bucket name=codeguru-reviewer-scans".to_owned(),
        ]
    );
}
