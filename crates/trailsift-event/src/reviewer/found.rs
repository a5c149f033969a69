//! Resources as they are found in parameters and responses, each once.

use std::borrow::Cow;
use std::collections::HashSet;

use percent_encoding::percent_decode_str;

use super::{ASSOCIATION, CODE_REVIEW, CODECOMMIT_REPOSITORY, RECOMMENDATION, REPOSITORY};
use super::{text, texts};
use crate::json::Json;
use crate::operation::{MOST_RESOURCES, Resource};

/// The API's names for those who host repositories.
const PROVIDERS: [&str; 5] =
    ["CodeCommit", "GitHub", "Bitbucket", "GitHubEnterpriseServer", "S3Bucket"];

/// In the ARN of a code review, between the ARN of its association and its own id.
const REVIEW_PART: &str = ":codereview:";
const ASSOCIATION_PART: &str = ":association:";

/// What has been found, kind by kind.
#[derive(Default)]
pub(super) struct Found<'r> {
    recommendations: Vec<Resource<'r>>,
    code_reviews: Vec<Resource<'r>>,
    repositories: Vec<Resource<'r>>,
    associations: Vec<Resource<'r>>,
    connections: Vec<Resource<'r>>,
    buckets: Vec<Resource<'r>>,
    keys: Vec<Resource<'r>>,
    others: Vec<Resource<'r>>,
}

impl<'r> Found<'r> {
    pub(super) fn recommendation(&mut self, id: Option<Cow<'r, str>>) {
        add(&mut self.recommendations, Resource { name: id, ..Resource::default() });
    }

    /// The recommendations that a list is asked for.
    pub(super) fn recommendations_of_filter(&mut self, request: Json<'r>, ids: &str) {
        add_all(&mut self.recommendations, texts(request, ids), &Resource::default());
    }

    /// A code review, and the association that its ARN begins with.
    pub(super) fn code_review(&mut self, arn: Option<Cow<'r, str>>, name: Option<Cow<'r, str>>) {
        let (arn, id) = arn_or_id(arn);
        if let Some(arn) = &arn
            && let Some(at) = arn.find(REVIEW_PART)
        {
            self.association(Some(part(arn, 0, at)), None);
        }
        add(&mut self.code_reviews, Resource { name: name.or(id), arn, ..Resource::default() });
    }

    pub(super) fn association(&mut self, arn: Option<Cow<'r, str>>, id: Option<Cow<'r, str>>) {
        let (arn, name) = arn_or_id(arn);
        add(&mut self.associations, Resource { name: id.or(name), arn, ..Resource::default() });
    }

    /// What an ARN alone names: an association, a code review, or what is not known here.
    pub(super) fn by_arn(&mut self, arn: Option<Cow<'r, str>>) {
        let (arn, name) = arn_or_id(arn);
        let has = |part| arn.as_ref().is_some_and(|arn| arn.contains(part));
        if has(REVIEW_PART) {
            self.code_review(arn, None);
        } else if has(ASSOCIATION_PART) {
            self.association(arn, None);
        } else {
            add(&mut self.others, Resource { name, arn, ..Resource::default() });
        }
    }

    /// A repository. One without a name is none.
    pub(super) fn repository(
        &mut self,
        name: Option<Cow<'r, str>>,
        owner: Option<Cow<'r, str>>,
        provider: Option<Cow<'r, str>>,
    ) {
        let provider = provider.map(canonical);
        if name.is_some() {
            add(&mut self.repositories, Resource { name, owner, provider, ..Resource::default() });
        }
    }

    /// The repositories that a list is asked for by name; whose they are and who hosts them where
    /// the list is of one owner's, or of one host's.
    pub(super) fn repositories_of_filter(&mut self, request: Json<'r>, names: &str) {
        let only = |filters: [&str; 2]| {
            let mut values = filters.into_iter().flat_map(|filter| texts(request, filter));
            values.next().filter(|_| values.next().is_none())
        };
        let (owner, provider) =
            (only(["Owner", "Owners"]), only(["ProviderType", "ProviderTypes"]));
        let like = Resource { owner, provider: provider.map(canonical), ..Resource::default() };
        add_all(&mut self.repositories, texts(request, names), &like);
    }

    pub(super) fn connection(&mut self, arn: Option<Cow<'r, str>>) {
        let (arn, name) = arn_or_id(arn);
        add(&mut self.connections, Resource { name, arn, ..Resource::default() });
    }

    pub(super) fn bucket(&mut self, name: Option<Cow<'r, str>>) {
        add(&mut self.buckets, Resource { name, ..Resource::default() });
    }

    /// The KMS key of these details: an id, an alias or an ARN.
    pub(super) fn key(&mut self, details: Option<Json<'r>>) {
        let (arn, name) = arn_or_id(details.and_then(|it| text(it, "KMSKeyId")));
        add(&mut self.keys, Resource { name, arn, ..Resource::default() });
    }

    /// Everything that was found, with what ARNs say of names and accounts.
    pub(super) fn finish(self) -> Vec<Resource<'r>> {
        let kinds = [
            (Some(RECOMMENDATION), self.recommendations),
            (Some(CODE_REVIEW), self.code_reviews),
            (Some(REPOSITORY), self.repositories),
            (Some(ASSOCIATION), self.associations),
            (Some("AWS::CodeStarConnections::Connection"), self.connections),
            (Some("AWS::S3::Bucket"), self.buckets),
            (Some("AWS::KMS::Key"), self.keys),
            (None, self.others),
        ];
        let all =
            kinds.into_iter().flat_map(|(kind, found)| found.into_iter().map(move |it| (kind, it)));
        all.map(|(kind, resource)| finished(kind, resource)).collect()
    }
}

fn finished<'r>(kind: Option<&'static str>, mut resource: Resource<'r>) -> Resource<'r> {
    let kind = match resource.provider.as_deref() {
        Some("CodeCommit") => Some(CODECOMMIT_REPOSITORY),
        _ => kind,
    };
    resource.kind = kind.map(Cow::Borrowed);
    if let Some(arn) = &resource.arn {
        resource.account_id = account_in(arn);
        if resource.name.is_none() {
            let id = [REVIEW_PART, ASSOCIATION_PART]
                .iter()
                .find_map(|part| Some(arn.find(part)? + part.len()));
            resource.name = id.filter(|at| *at < arn.len()).map(|at| part(arn, at, arn.len()));
        }
    } else if kind == Some(CODECOMMIT_REPOSITORY) {
        resource.account_id = resource.owner.clone().filter(|owner| is_account(owner));
    }
    resource
}

/// Adds the resource, or what it tells of one that is known already: the request and the response
/// speak of the same thing unless they contradict each other.
fn add<'r>(list: &mut Vec<Resource<'r>>, new: Resource<'r>) {
    if new.name.is_none() && new.arn.is_none() {
        return;
    }
    let agrees = |old: &&mut Resource<'r>| {
        let pairs = [
            (&old.name, &new.name),
            (&old.arn, &new.arn),
            (&old.provider, &new.provider),
            (&old.owner, &new.owner),
        ];
        pairs.iter().all(|(old, new)| old.is_none() || new.is_none() || old == new)
    };
    let Some(old) = list.iter_mut().find(agrees) else {
        list.push(new);
        return;
    };
    old.name = old.name.take().or(new.name);
    old.arn = old.arn.take().or(new.arn);
    old.provider = old.provider.take().or(new.provider);
    old.owner = old.owner.take().or(new.owner);
}

/// Adds one resource for each of these names, each once, up to [`MOST_RESOURCES`]. They may be as many
/// as a record has room for, so they are not compared one by one.
fn add_all<'r>(
    list: &mut Vec<Resource<'r>>,
    names: impl Iterator<Item = Cow<'r, str>>,
    like: &Resource<'r>,
) {
    let mut known: HashSet<_> = list.iter().filter_map(|it| it.name.clone()).collect();
    for name in names {
        if list.len() >= MOST_RESOURCES {
            break;
        }
        if known.insert(name.clone()) {
            list.push(Resource { name: Some(name), ..like.clone() });
        }
    }
}

/// The API's own spelling of a provider.
fn canonical(provider: Cow<'_, str>) -> Cow<'_, str> {
    let known = PROVIDERS.iter().find(|known| known.eq_ignore_ascii_case(&provider));
    known.map_or(provider, |known| Cow::Borrowed(*known))
}

/// An ARN, or what stands in the place of one. In the path of a request an ARN is percent-encoded,
/// and CloudTrail may show it so.
fn arn_or_id(text: Option<Cow<'_, str>>) -> (Option<Cow<'_, str>>, Option<Cow<'_, str>>) {
    let Some(text) = text else { return (None, None) };
    if text.starts_with("arn:") {
        return (Some(text), None);
    }
    match percent_decode_str(&text).decode_utf8() {
        Ok(decoded) if decoded.starts_with("arn:") => {
            (Some(Cow::Owned(decoded.into_owned())), None)
        }
        _ => (None, Some(text)),
    }
}

/// A part of the text, borrowed where the text is.
fn part<'r>(text: &Cow<'r, str>, from: usize, to: usize) -> Cow<'r, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[from..to]),
        Cow::Owned(text) => Cow::Owned(text[from..to].to_owned()),
    }
}

/// `arn:partition:service:region:ACCOUNT:…`.
fn account_in<'r>(arn: &Cow<'r, str>) -> Option<Cow<'r, str>> {
    let account = arn.split(':').nth(4).filter(|account| is_account(account))?;
    let from = arn.split(':').take(4).map(|part| part.len() + 1).sum();
    Some(part(arn, from, from + account.len()))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}
