//! One event in one sentence, for people.

mod who;

use std::borrow::Cow;

use crate::event::{Event, Outcome};
use crate::json::Json;
use crate::operation::{MOST_RESOURCES, Operation, Resource};
use crate::reviewer::{self, Act};
use crate::text::is_unseen;

/// The most that is shown of one text of the record, in bytes.
const LONGEST_TEXT: usize = 200;

/// How many things of a kind are named before the rest is only counted.
const MOST_NAMED: usize = 3;

/// What such an error code has in it, whatever the service calls it, in small letters.
const DENIALS: [&str; 4] = ["accessdenied", "unauthorized", "notauthorized", "forbidden"];

impl Event<'_> {
    /// Who did what to what, and whether it failed: `alice (assumed role Admin, MFA) associated
    /// CodeCommit repository payments`, or `… was denied to call CreateTrail of
    /// cloudtrail.amazonaws.com (AccessDenied)`.
    ///
    /// Text of the record cannot break the line, reorder it or pass for the sentence's own words:
    /// what is more than one plain word stands in quotes, escaped. At most 4 KiB, however long the
    /// record's texts are: those are cut with `…`.
    pub fn sentence(&self) -> String {
        let operation = self.operation();
        let deed = Deed::of(self, &operation);
        let who = self.actor().in_words();
        let Deed { past, bare, object } = deed;
        match self.outcome() {
            Outcome::Success => format!("{who} {past} {object}"),
            Outcome::Failure { code: Some(code), .. } if is_denial(&code) => {
                format!("{who} was denied to {bare} {object} ({})", shown(&code))
            }
            Outcome::Failure { code, message } => {
                let why = code.or(message).map(|why| format!(" ({})", shown(&why)));
                format!("{who} failed to {bare} {object}{}", why.unwrap_or_default())
            }
        }
    }
}

/// What was done: `associated`, `associate`, `CodeCommit repository payments`.
struct Deed {
    past: &'static str,
    bare: &'static str,
    object: String,
}

impl Deed {
    fn of(event: &Event<'_>, operation: &Operation<'_>) -> Self {
        match Act::of(event) {
            Some(act) => Self::of_reviewer(act, event, &Things(&operation.resources)),
            None => Self::of_any(event, operation),
        }
    }

    fn of_reviewer(act: Act, event: &Event<'_>, things: &Things<'_>) -> Self {
        let (past, bare) = match act {
            Act::AssociateRepository => ("associated", "associate"),
            Act::CreateCodeReview | Act::CreateConnectionToken => ("asked for", "ask for"),
            Act::DescribeCodeReview
            | Act::DescribeRecommendationFeedback
            | Act::DescribeRepositoryAssociation
            | Act::GetMetricsData => ("looked at", "look at"),
            Act::DisassociateRepository => ("disassociated", "disassociate"),
            Act::ListCodeReviews
            | Act::ListRecommendationFeedback
            | Act::ListRecommendations
            | Act::ListRepositoryAssociations
            | Act::ListTagsForResource
            | Act::ListThirdPartyRepositories => ("listed", "list"),
            Act::PutRecommendationFeedback => ("gave feedback on", "give feedback on"),
            Act::TagResource => ("tagged", "tag"),
            Act::UntagResource => ("removed", "remove"),
        };
        let object = match act {
            Act::AssociateRepository | Act::DisassociateRepository => {
                things.what_is_reviewed().unwrap_or_else(|| "a repository".to_owned())
            }
            Act::CreateCodeReview => join(things.code_review(), " of ", things.what_is_reviewed()),
            Act::DescribeCodeReview => join(things.code_review(), " of ", things.repository()),
            Act::DescribeRecommendationFeedback => {
                format!("the feedback on {}", things.recommendation())
            }
            Act::DescribeRepositoryAssociation => match things.repository() {
                Some(repository) => format!("the association of {repository}"),
                None => things.association().unwrap_or_else(|| "an association".to_owned()),
            },
            Act::ListCodeReviews => {
                join("the code reviews", " of ", several(things.repositories()))
            }
            Act::ListRecommendationFeedback if things.has(reviewer::RECOMMENDATION) => {
                format!("the feedback on {}", things.recommendation())
            }
            Act::ListRecommendationFeedback => format!("the feedback on {}", things.code_review()),
            Act::ListRecommendations => format!("the recommendations of {}", things.code_review()),
            Act::ListRepositoryAssociations => {
                join("the repository associations", " of ", several(things.repositories()))
            }
            Act::ListTagsForResource => format!("the tags of {}", things.tagged()),
            Act::PutRecommendationFeedback => things.recommendation(),
            Act::TagResource => join(things.tagged(), " with ", several(tags(event))),
            Act::UntagResource => {
                let noun = if tags(event).count() == 1 { "the tag" } else { "the tags" };
                let tags = join(noun, " ", several(tags(event)));
                format!("{tags} from {}", things.tagged())
            }
            Act::CreateConnectionToken => "a connection token of CodeGuru Reviewer".to_owned(),
            Act::GetMetricsData => "the metrics of CodeGuru Reviewer".to_owned(),
            Act::ListThirdPartyRepositories => {
                "the third-party repositories of CodeGuru Reviewer".to_owned()
            }
        };
        Self { past, bare, object }
    }

    fn of_any(event: &Event<'_>, operation: &Operation<'_>) -> Self {
        let source = event.text("eventSource").map(|source| shown(&source));
        let resources = several(operation.resources.iter().filter_map(named));
        let (past, bare, call, of) = match &operation.name {
            Some(name) => ("called", "call", shown(name), " of "),
            None => ("made", "make", "a call".to_owned(), " to "),
        };
        Self { past, bare, object: join(join(call, of, source), " on ", resources) }
    }
}

/// The resources of an event of CodeGuru Reviewer, in words.
struct Things<'a>(&'a [Resource<'a>]);

impl Things<'_> {
    fn has(&self, kind: &str) -> bool {
        self.named(kind).next().is_some()
    }

    fn named(&self, kind: &str) -> impl Iterator<Item = String> {
        let of_kind = self.0.iter().filter(move |it| it.kind.as_deref() == Some(kind));
        of_kind.filter_map(named)
    }

    fn one(&self, kind: &str, noun: &str) -> Option<String> {
        self.named(kind).next().map(|name| format!("{noun} {name}"))
    }

    fn repository(&self) -> Option<String> {
        self.repositories().next()
    }

    fn repositories(&self) -> impl Iterator<Item = String> {
        let is_repository = |it: &&Resource<'_>| {
            let kinds = [reviewer::REPOSITORY, reviewer::CODECOMMIT_REPOSITORY];
            it.kind.as_deref().is_some_and(|kind| kinds.contains(&kind))
        };
        self.0.iter().filter(is_repository).filter_map(repository)
    }

    fn association(&self) -> Option<String> {
        self.one(reviewer::ASSOCIATION, "association")
    }

    fn code_review(&self) -> String {
        let name = self.one(reviewer::CODE_REVIEW, "code review");
        name.unwrap_or_else(|| "a code review".to_owned())
    }

    /// The repository of an association, by the association where only that is known.
    fn what_is_reviewed(&self) -> Option<String> {
        self.repository().or_else(|| self.association())
    }

    /// The recommendations of a code review.
    fn recommendation(&self) -> String {
        let names = several(self.named(reviewer::RECOMMENDATION));
        let recommendation = names.map(|names| format!("recommendation {names}"));
        let code_review = Some(self.code_review()).filter(|_| self.has(reviewer::CODE_REVIEW));
        join(recommendation.unwrap_or_else(|| "a recommendation".to_owned()), " of ", code_review)
    }

    /// What is given as the ARN of something that has tags.
    fn tagged(&self) -> String {
        let code_review = self.one(reviewer::CODE_REVIEW, "code review");
        let known = code_review.or_else(|| self.association());
        let any = || self.0.iter().find_map(named);
        known.or_else(any).unwrap_or_else(|| "a resource".to_owned())
    }
}

/// Any resource by its name or its ARN.
fn named(resource: &Resource<'_>) -> Option<String> {
    resource.name.as_deref().or(resource.arn.as_deref()).map(shown)
}

/// `CodeCommit repository payments`, `GitHub repository acme/payments`.
fn repository(repository: &Resource<'_>) -> Option<String> {
    let name = repository.name.as_deref()?;
    // An account owns everything in CodeCommit, so it tells nothing.
    let owner = repository.owner.as_deref().filter(|_| repository.account_id.is_none());
    let name = match owner {
        Some(owner) => shown(&format!("{owner}/{name}")),
        None => shown(name),
    };
    Some(match repository.provider.as_deref() {
        Some(provider) => format!("{} repository {name}", shown(provider)),
        None => format!("repository {name}"),
    })
}

/// The keys of the tags that are put on something or taken from it: tag values may be anything, and
/// keys tell what it is about.
fn tags(event: &Event<'_>) -> impl Iterator<Item = String> {
    let request = event.get("requestParameters");
    let put = request.and_then(|request| request.get_any_case("Tags"));
    let put = put.into_iter().flat_map(Json::members).map(|(key, _)| key);
    let taken = request.into_iter().flat_map(|request| reviewer::texts(request, "TagKeys"));
    put.chain(taken).map(|key| shown(&key))
}

fn is_denial(code: &str) -> bool {
    let code = code.to_ascii_lowercase();
    DENIALS.iter().any(|denial| code.contains(denial))
}

/// `a`, `a and b`, `a, b, c and 2 more`; `None` of none. Where some may have been left out, how many
/// there are is not told.
fn several(mut texts: impl Iterator<Item = String>) -> Option<String> {
    let mut named: Vec<_> = texts.by_ref().take(MOST_NAMED).collect();
    let last = match texts.count() {
        0 => named.pop()?,
        more if named.len() + more >= MOST_RESOURCES => "many more".to_owned(),
        more => format!("{more} more"),
    };
    Some(if named.is_empty() { last } else { format!("{} and {last}", named.join(", ")) })
}

fn join<'a>(text: impl Into<Cow<'a, str>>, between: &str, more: Option<String>) -> String {
    let text = text.into();
    match more {
        Some(more) => format!("{text}{between}{more}"),
        None => text.into_owned(),
    }
}

/// A text of the record as it may stand in a sentence: as it is if it is one plain word, else in
/// quotes and escaped; long ones cut.
fn shown(text: &str) -> String {
    // Some letters are blank.
    let is_plain = |c: char| c.is_alphanumeric() && !is_unseen(c) || "-_./:@+=*#%$&~".contains(c);
    let is_word = text.chars().all(is_plain);
    let mut out = String::new();
    for c in text.chars() {
        if out.len() >= LONGEST_TEXT {
            out.push('…');
            break;
        }
        match c {
            c if is_unseen(c) => out.extend(c.escape_default()),
            '"' | '\\' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    if is_word { out } else { format!("\"{out}\"") }
}
