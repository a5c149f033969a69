use super::calls::{Call, Scene, reviewer};
use super::identity;
use super::{SELECTED_SOURCE, pick, uuid};

/// A call to CodeGuru Reviewer: any of its operations, the console's own among them.
pub(super) fn call(rng: &mut fastrand::Rng, scene: Scene<'_>) -> Call {
    const OPERATIONS: &[(&str, bool)] = &[
        ("AssociateRepository", false),
        ("CreateCodeReview", false),
        ("CreateConnectionToken", false),
        ("DescribeCodeReview", true),
        ("DescribeRecommendationFeedback", true),
        ("DescribeRepositoryAssociation", true),
        ("DisassociateRepository", false),
        ("GetMetricsData", true),
        ("ListCodeReviews", true),
        ("ListRecommendationFeedback", true),
        ("ListRecommendations", true),
        ("ListRepositoryAssociations", true),
        ("ListTagsForResource", true),
        ("ListThirdPartyRepositories", true),
        ("PutRecommendationFeedback", false),
        ("TagResource", false),
        ("UntagResource", false),
    ];
    // JSON may write any character as an escape; the value is the same.
    let source = match rng.u8(..8) {
        0 => r"codeguru\u002dreviewer.amazonaws.com",
        1 => r"\u0063odeguru-reviewer\u002Eamazonaws.com",
        _ => SELECTED_SOURCE,
    };
    let (name, read_only) = OPERATIONS[rng.usize(..OPERATIONS.len())];
    let (request, response) = parameters(rng, scene, name);
    let caller = if rng.u8(..6) == 0 {
        identity::on_behalf(rng, scene.account, scene.at, "codecommit.amazonaws.com")
    } else {
        identity::anybody(rng, scene.account, scene.at)
    };
    reviewer(source, name, read_only, request, response, caller)
}

/// The parameters keep the API's PascalCase, and times are numbers with a fraction.
fn parameters(rng: &mut fastrand::Rng, scene: Scene<'_>, name: &str) -> (String, String) {
    let Scene { account, region, .. } = scene;
    let repository = pick(rng, &["payments", "web-shop", "données", "infra.tools"]);
    let association =
        format!("arn:aws:codeguru-reviewer:{region}:{account}:association:{}", uuid(rng));
    let review = format!("{association}:codereview:PullRequest-{}", rng.u32(1..9000));
    let time = format!("1574826{}.{:03}", rng.u16(100..1000), rng.u16(..1000));
    let null = || "null".to_owned();
    match name {
        "AssociateRepository" => (
            format!(
                r#"{{"Repository":{{"CodeCommit":{{"Name":"{repository}"}}}},"ClientRequestToken":"{}"}}"#,
                uuid(rng)
            ),
            format!(
                r#"{{"RepositoryAssociation":{{"AssociationId":"{}","AssociationArn":"{association}","Name":"{repository}","Owner":"{account}","ProviderType":"CodeCommit","State":"Associating","StateReason":"Pending Repository Association","CreatedTimeStamp":{time},"LastUpdatedTimeStamp":{time}}}}}"#,
                uuid(rng)
            ),
        ),
        "CreateCodeReview" => (
            format!(
                r#"{{"Name":"nightly \"{repository}\" {{main}}","RepositoryAssociationArn":"{association}","Type":{{"RepositoryAnalysis":{{"RepositoryHead":{{"BranchName":"feature\\x"}}}}}}}}"#
            ),
            format!(
                r#"{{"CodeReview":{{"CodeReviewArn":"{review}","RepositoryName":"{repository}","State":"Pending","CreatedTimeStamp":{time},"Metrics":null}}}}"#
            ),
        ),
        "DescribeCodeReview" => (format!(r#"{{"CodeReviewArn":"{review}"}}"#), null()),
        "ListRecommendations" | "ListRecommendationFeedback" => {
            (format!(r#"{{"CodeReviewArn":"{review}","MaxResults":100,"NextToken":null}}"#), null())
        }
        "PutRecommendationFeedback" => (
            format!(
                r#"{{"CodeReviewArn":"{review}","RecommendationId":"{:064x}","Reactions":["ThumbsUp"]}}"#,
                rng.u128(..)
            ),
            "{}".to_owned(),
        ),
        "TagResource" => (
            format!(r#"{{"resourceArn":"{association}","Tags":{{"équipe":"плат\u0444орма"}}}}"#),
            null(),
        ),
        "CreateConnectionToken" | "GetMetricsData" | "ListThirdPartyRepositories" => {
            (null(), null())
        }
        _ => (format!(r#"{{"AssociationArn":"{association}"}}"#), null()),
    }
}
