//! Whatever the record holds, there is an answer, and nothing in it is made up.

use proptest::prelude::*;
use serde_json::{Map, Value};
use trailsift_event::{Event, text::is_unseen};

const NAMES: [&str; 44] = [
    "AssociationArn",
    "AssociationId",
    "RepositoryAssociationArn",
    "CodeReviewArn",
    "RecommendationId",
    "RecommendationIds",
    "resourceArn",
    "Repository",
    "CodeCommit",
    "Bitbucket",
    "GitHubEnterpriseServer",
    "S3Bucket",
    "Name",
    "Owner",
    "ConnectionArn",
    "BucketName",
    "RepositoryAssociation",
    "CodeReview",
    "RepositoryName",
    "ProviderType",
    "ProviderTypes",
    "RepositoryNames",
    "Names",
    "Owners",
    "KMSKeyDetails",
    "KMSKeyId",
    "S3RepositoryDetails",
    "S3BucketRepository",
    "SourceCodeType",
    "RepositoryAnalysis",
    "Type",
    "Details",
    "RecommendationFeedback",
    "Tags",
    "TagKeys",
    "repository",
    "codeCommit",
    "name",
    "associationArn",
    "ARN",
    "accountId",
    "type",
    "ARNPrefix",
    "x",
];

const OPERATIONS: [&str; 18] = [
    "AssociateRepository",
    "CreateCodeReview",
    "CreateConnectionToken",
    "DescribeCodeReview",
    "DescribeRecommendationFeedback",
    "DescribeRepositoryAssociation",
    "DisassociateRepository",
    "GetMetricsData",
    "ListCodeReviews",
    "ListRecommendationFeedback",
    "ListRecommendations",
    "ListRepositoryAssociations",
    "ListTagsForResource",
    "ListThirdPartyRepositories",
    "PutRecommendationFeedback",
    "TagResource",
    "UntagResource",
    "DoSomethingNew",
];

fn leaf() -> impl Strategy<Value = Value> {
    let arn = "arn:aws:codeguru-reviewer:us-west-2:111122223333:association:6eda";
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        Just(arn.into()),
        Just(format!("{arn}:codereview:PR-7").into()),
        Just(arn.replace(':', "%3A").into()),
        "(arn(:|%3A)){0,1}[a-zé%:\u{202e}\" \\\\]{0,12}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ]
}

fn parameters() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(5, 60, 8, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => prop::collection::vec((prop::sample::select(&NAMES[..]), inner), 0..8).prop_map(|members| {
                let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
                Value::Object(members.collect::<Map<_, _>>())
            }),
        ]
    })
}

/// Every string in the value, names of members included.
fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| strings(value, found)),
        Value::Object(members) => {
            for (name, value) in members {
                found.push(name.clone());
                strings(value, found);
            }
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nothing_is_invented(
        name in prop::sample::select(&OPERATIONS[..]),
        of_reviewer in any::<bool>(),
        request in parameters(),
        response in parameters(),
        resources in parameters(),
        error in leaf(),
        identity in parameters(),
    ) {
        let source = if of_reviewer { "codeguru-reviewer.amazonaws.com" } else { "s3.amazonaws.com" };
        let record = serde_json::json!({
            "eventSource": source, "eventName": name, "requestParameters": request,
            "responseElements": response, "resources": resources, "errorCode": error,
            "userIdentity": identity,
        });
        let bytes = record.to_string();
        let event = Event::new(bytes.as_bytes());
        let operation = event.operation();

        let mut texts = Vec::new();
        strings(&record, &mut texts);
        let decoded = |text: &String| {
            let text = percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
            Some(text).filter(|text| text.starts_with("arn:"))
        };
        texts.extend(texts.iter().filter_map(decoded).collect::<Vec<_>>());
        for resource in &operation.resources {
            for said in [&resource.name, &resource.arn, &resource.account_id, &resource.owner] {
                let Some(said) = said else { continue };
                prop_assert!(!said.is_empty());
                prop_assert!(texts.iter().any(|text| text.contains(said.as_ref())), "{said:?} in {bytes}");
            }
            if let Some(provider) = &resource.provider {
                let provider = provider.to_ascii_lowercase();
                let holds = |text: &String| text.to_ascii_lowercase().contains(&provider);
                prop_assert!(texts.iter().any(holds), "{provider:?} in {bytes}");
            }
            prop_assert!(resource.name.is_some() || resource.arn.is_some());
        }
        if record["resources"].is_null() {
            for (at, resource) in operation.resources.iter().enumerate() {
                prop_assert!(!operation.resources[..at].contains(resource), "{resource:?} in {bytes}");
            }
        }
        let sentence = event.sentence();
        prop_assert!(sentence.len() <= 4096 && !sentence.chars().any(is_unseen), "{sentence:?}");
    }

    #[test]
    fn whatever_the_bytes_are_there_is_a_sentence(
        bytes in prop::collection::vec(prop_oneof![
            Just(b"\"eventName\":".to_vec()), Just(b"\"requestParameters\":".to_vec()),
            Just(b"\"codeguru-reviewer.amazonaws.com\"".to_vec()), Just(b"\"eventSource\":".to_vec()),
            Just(b"{".to_vec()), Just(b"}".to_vec()), Just(b"[".to_vec()), Just(b"\"".to_vec()),
            Just(b"\"CodeReviewArn\":\"arn".to_vec()), Just(b",".to_vec()), prop::collection::vec(any::<u8>(), 0..3),
        ], 0..30),
    ) {
        let bytes = bytes.concat();
        let event = Event::new(&bytes);
        prop_assert!(!event.sentence().is_empty());
        prop_assert_eq!(event.operation(), event.operation());
    }
}
