//! CodeGuru Reviewer: its operations by name, and what their parameters and responses concern.
//!
//! The shapes are those of its API, version 2019-09-19:
//! <https://docs.aws.amazon.com/codeguru/latest/reviewer-api/API_Operations.html>. Three more
//! operations are the console's own and documented nowhere.

mod found;

use std::borrow::Cow;

use crate::event::Event;
use crate::json::{Json, Kind};
use crate::operation::{Activity, Resource};
use found::Found;

/// The service's `eventSource`. Others only look like it (`codeguru-security`, `codeguru-profiler`).
const EVENT_SOURCE: &str = "codeguru-reviewer.amazonaws.com";

/// How many members of `Repository` are looked at, of which a call has one.
const MOST_PROVIDERS: usize = 8;

/// Types of resources: CloudFormation's where it has one.
pub(crate) const ASSOCIATION: &str = "AWS::CodeGuruReviewer::RepositoryAssociation";
pub(crate) const CODE_REVIEW: &str = "CodeReview";
pub(crate) const RECOMMENDATION: &str = "Recommendation";
pub(crate) const REPOSITORY: &str = "Repository";
pub(crate) const CODECOMMIT_REPOSITORY: &str = "AWS::CodeCommit::Repository";

/// An operation that is known by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    AssociateRepository,
    CreateCodeReview,
    CreateConnectionToken,
    DescribeCodeReview,
    DescribeRecommendationFeedback,
    DescribeRepositoryAssociation,
    DisassociateRepository,
    GetMetricsData,
    ListCodeReviews,
    ListRecommendationFeedback,
    ListRecommendations,
    ListRepositoryAssociations,
    ListTagsForResource,
    ListThirdPartyRepositories,
    PutRecommendationFeedback,
    TagResource,
    UntagResource,
}

impl Act {
    /// What this event is, if it is one of CodeGuru Reviewer and its name is known.
    pub(crate) fn of(event: &Event<'_>) -> Option<Self> {
        let name = event.text("eventName").filter(|_| is_of_reviewer(event))?;
        Some(match name.as_ref() {
            "AssociateRepository" => Self::AssociateRepository,
            "CreateCodeReview" => Self::CreateCodeReview,
            "CreateConnectionToken" => Self::CreateConnectionToken,
            "DescribeCodeReview" => Self::DescribeCodeReview,
            "DescribeRecommendationFeedback" => Self::DescribeRecommendationFeedback,
            "DescribeRepositoryAssociation" => Self::DescribeRepositoryAssociation,
            "DisassociateRepository" => Self::DisassociateRepository,
            "GetMetricsData" => Self::GetMetricsData,
            "ListCodeReviews" => Self::ListCodeReviews,
            "ListRecommendationFeedback" => Self::ListRecommendationFeedback,
            "ListRecommendations" => Self::ListRecommendations,
            "ListRepositoryAssociations" => Self::ListRepositoryAssociations,
            "ListTagsForResource" => Self::ListTagsForResource,
            "ListThirdPartyRepositories" => Self::ListThirdPartyRepositories,
            "PutRecommendationFeedback" => Self::PutRecommendationFeedback,
            "TagResource" => Self::TagResource,
            "UntagResource" => Self::UntagResource,
            _ => return None,
        })
    }

    /// What it does. It reads only if this is [`Activity::Read`].
    pub(crate) const fn activity(self) -> Activity {
        match self {
            Self::AssociateRepository | Self::CreateCodeReview | Self::CreateConnectionToken => {
                Activity::Create
            }
            Self::DisassociateRepository => Activity::Delete,
            Self::PutRecommendationFeedback | Self::TagResource | Self::UntagResource => {
                Activity::Update
            }
            Self::DescribeCodeReview
            | Self::DescribeRecommendationFeedback
            | Self::DescribeRepositoryAssociation
            | Self::GetMetricsData
            | Self::ListCodeReviews
            | Self::ListRecommendationFeedback
            | Self::ListRecommendations
            | Self::ListRepositoryAssociations
            | Self::ListTagsForResource
            | Self::ListThirdPartyRepositories => Activity::Read,
        }
    }
}

fn is_of_reviewer(event: &Event<'_>) -> bool {
    event.text("eventSource").is_some_and(|source| source == EVENT_SOURCE)
}

/// What an event of CodeGuru Reviewer concerns, by its parameters and its response, the most telling
/// first: recommendation, code review, repository, association, connection, bucket, key. Nothing of
/// another service's event. Parameters are read the same way whatever the operation's name is, so
/// that a new operation is understood as far as it is like the others.
pub(crate) fn resources<'r>(event: &Event<'r>, act: Option<Act>) -> Vec<Resource<'r>> {
    let mut found = Found::default();
    if is_of_reviewer(event) {
        // The caller's own words first: a failed call has no others.
        for part in ["requestParameters", "responseElements"] {
            if let Some(part) = event.get(part) {
                read(part, &mut found);
            }
        }
        if let (Some(act), Some(request)) = (act, event.get("requestParameters")) {
            read_name(act, request, &mut found);
        }
    }
    found.finish()
}

/// A parameter `Name` is another thing's in each operation that has one.
fn read_name<'r>(act: Act, request: Json<'r>, found: &mut Found<'r>) {
    match act {
        Act::CreateCodeReview => found.code_review(None, text(request, "Name")),
        Act::ListRepositoryAssociations => found.repositories_of_filter(request, "Name"),
        _ => {}
    }
}

/// Takes up what the parameters, or a response, name at their top.
fn read<'r>(part: Json<'r>, found: &mut Found<'r>) {
    found.recommendation(text(part, "RecommendationId"));
    found.recommendations_of_filter(part, "RecommendationIds");
    found.code_review(text(part, "CodeReviewArn"), None);
    found.association(text(part, "AssociationArn"), None);
    found.association(text(part, "RepositoryAssociationArn"), None);
    found.by_arn(text(part, "ResourceArn"));
    for names in ["RepositoryNames", "Names"] {
        found.repositories_of_filter(part, names);
    }
    found.key(object(part, "KMSKeyDetails"));
    if let Some(repository) = object(part, "Repository") {
        // A union: it has one member. What has more than the API ever had is not compared in full.
        for (provider, it) in repository.members().take(MOST_PROVIDERS) {
            if it.kind() == Kind::Object {
                found.repository(text(it, "Name"), text(it, "Owner"), Some(provider));
                found.connection(text(it, "ConnectionArn"));
                found.bucket(text(it, "BucketName"));
            }
        }
    }
    if let Some(kind) = object(part, "Type") {
        let analysis = object(kind, "RepositoryAnalysis");
        read_source_code(analysis.and_then(|it| object(it, "SourceCodeType")), found);
    }
    if let Some(it) = object(part, "RepositoryAssociation") {
        found.association(text(it, "AssociationArn"), text(it, "AssociationId"));
        found.repository(text(it, "Name"), text(it, "Owner"), text(it, "ProviderType"));
        found.connection(text(it, "ConnectionArn"));
        found.bucket(object(it, "S3RepositoryDetails").and_then(|it| text(it, "BucketName")));
        found.key(object(it, "KMSKeyDetails"));
    }
    if let Some(it) = object(part, "CodeReview") {
        found.code_review(text(it, "CodeReviewArn"), text(it, "Name"));
        found.repository(text(it, "RepositoryName"), text(it, "Owner"), text(it, "ProviderType"));
        found.association(text(it, "AssociationArn"), None);
        read_source_code(object(it, "SourceCodeType"), found);
    }
    if let Some(it) = object(part, "RecommendationFeedback") {
        found.recommendation(text(it, "RecommendationId"));
        found.code_review(text(it, "CodeReviewArn"), None);
    }
}

/// What is reviewed, where it lies in a bucket.
fn read_source_code<'r>(source_code: Option<Json<'r>>, found: &mut Found<'r>) {
    if let Some(it) = source_code.and_then(|it| object(it, "S3BucketRepository")) {
        found.repository(text(it, "Name"), None, Some(Cow::Borrowed("S3Bucket")));
        found.bucket(object(it, "Details").and_then(|it| text(it, "BucketName")));
    }
}

/// The member of this name, if it is an object.
fn object<'r>(json: Json<'r>, name: &str) -> Option<Json<'r>> {
    json.get_any_case(name).filter(|it| it.kind() == Kind::Object)
}

/// The string of this name, unless it is empty.
fn text<'r>(json: Json<'r>, name: &str) -> Option<Cow<'r, str>> {
    json.get_any_case(name)?.text().filter(|text| !text.is_empty())
}

/// The strings of the array of this name, or the one string.
pub(crate) fn texts<'r>(
    json: Json<'r>,
    name: &str,
) -> impl Iterator<Item = Cow<'r, str>> + use<'r> {
    let values = json.get_any_case(name).into_iter().flat_map(Json::flat);
    values.filter_map(Json::text).filter(|text| !text.is_empty())
}
