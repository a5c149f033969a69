//! `[account]`.

use std::collections::BTreeSet;

use super::findings::At;
use super::kinds::{Flag, ListOf, Such, TableOf, Text};
use super::names::{
    ACCOUNT_ID, BUCKET, ENDPOINT, EXTERNAL_ID, KEY_PREFIX, NAME, QUEUE_URL, REGION, ROLE_ARN,
    is_account_id, judge_queue_host, judge_scheme,
};
use super::reader::Section;
use super::{Account, AllowedAccounts, AllowedBucket};

/// An account as written, its routes not yet looked up.
pub(super) struct AccountDraft {
    pub(super) id: Option<At<String>>,
    pub(super) name: Option<At<String>>,
    pub(super) queue_url: Option<At<String>>,
    pub(super) routes: Option<Vec<At<String>>>,
    /// Absent if a part of it could not be read. Its `routes` are empty.
    pub(super) account: Option<Account>,
}

/// Reads one `[account]`.
pub(super) fn account(section: &mut Section<'_, '_>) -> Option<AccountDraft> {
    let findings = section.scope.findings;
    let before = findings.errors();
    let id = section.need("id", ACCOUNT_ID);
    let name = section.get("name", NAME);
    let region = section.need("region", REGION);
    let queue_url = section.need("queue_url", QUEUE_URL);
    let role_arn = section.get("role_arn", ROLE_ARN);
    let external_id = section.get("external_id", EXTERNAL_ID);
    let buckets = section.need("buckets", ListOf(Such(A_BUCKET, TableOf(bucket))));
    let endpoint_url = section.get("endpoint_url", ENDPOINT);
    let routes = section.get("routes", ListOf(NAME)).map(|routes| routes.value);
    let allow_http = section.get_or("allow_http", Flag, false);

    if let (Some(external_id), None) = (&external_id, &role_arn) {
        findings.error(
            external_id.place,
            "`account.external_id` is given without `account.role_arn`",
            "add the role that demands it, or leave it out",
        );
    }
    let judged = match (&endpoint_url, &queue_url) {
        (Some(endpoint), _) => {
            Some(("endpoint_url", endpoint, judge_scheme(&endpoint.value, allow_http)))
        }
        (None, Some(queue)) => {
            let region = region.as_ref().map(|region| region.value.as_str());
            Some(("queue_url", queue, judge_queue_host(&queue.value, region)))
        }
        (None, None) => None,
    };
    if let Some((key, url, Err((problem, hint)))) = judged {
        findings.error(url.place, format!("`account.{key}` {problem}"), hint);
    }
    if let Some(buckets) = &buckets {
        judge_buckets(section, &buckets.value);
    }
    let whole = match (&id, &region, &queue_url, buckets) {
        (Some(id), Some(region), Some(queue_url), Some(buckets)) => Some(Account {
            id: id.value.clone(),
            name: name.as_ref().unwrap_or(id).value.clone(),
            region: region.value.clone(),
            queue_url: queue_url.value.clone(),
            role_arn: role_arn.map(|at| at.value),
            external_id: external_id.map(|at| at.value),
            buckets: buckets.value.into_iter().map(|bucket| bucket.value).collect(),
            endpoint_url: endpoint_url.map(|at| at.value),
            routes: Vec::new(),
            allow_http,
        }),
        _ => None,
    };
    let account = whole.filter(|_| findings.errors() == before);
    Some(AccountDraft { id, name, queue_url, routes, account })
}

fn judge_buckets(section: &Section<'_, '_>, buckets: &[At<AllowedBucket>]) {
    for (at, bucket) in buckets.iter().enumerate() {
        let same = |other: &At<AllowedBucket>| {
            (&other.value.name, &other.value.prefix) == (&bucket.value.name, &bucket.value.prefix)
        };
        if buckets[..at].iter().any(same) {
            section.scope.findings.error(
                bucket.place,
                format!("the bucket {:?} is listed twice with the same prefix", bucket.value.name),
                "put the accounts of both into one entry",
            );
        }
        let elsewhere = |other: &At<AllowedBucket>| {
            other.value.name == bucket.value.name && other.value.region != bucket.value.region
        };
        if buckets[..at].iter().any(elsewhere) {
            section.scope.findings.error(
                bucket.place,
                format!("the bucket {:?} is listed in two regions", bucket.value.name),
                "a bucket is in one region: name the same one in each of its entries, or in none",
            );
        }
    }
}

/// What stands in the list of buckets.
const A_BUCKET: &str = "a table such as { name = \"org-trail\" }";

/// `*` or an account id.
const ALLOWED_ACCOUNT: Text = Text {
    what: "\"*\" or an account id of 12 digits, in quotes",
    judge: |text| match text == "*" || is_account_id(text) {
        true => Ok(()),
        false => Err((
            format!("is no AWS account id: {text:?}"),
            "an account id has 12 digits; \"*\" allows any account".into(),
        )),
    },
};

fn bucket(section: &mut Section<'_, '_>) -> Option<AllowedBucket> {
    let name = section.need("name", BUCKET);
    let owner = section.get("owner", ACCOUNT_ID).map(|at| at.value);
    let region = section.get("region", REGION).map(|at| at.value);
    let prefix = section.get_or("prefix", KEY_PREFIX, String::new());
    let accounts = section.get("accounts", ListOf(ALLOWED_ACCOUNT));
    let accounts = match accounts {
        None => AllowedAccounts::Any,
        Some(list) => {
            let set: BTreeSet<_> = list.value.into_iter().map(|item| item.value).collect();
            if set.contains("*") && set.len() > 1 {
                section.scope.findings.error(
                    list.place,
                    "`accounts` lists \"*\" and single accounts",
                    "\"*\" already allows any account: keep one or the other",
                );
            }
            if set.contains("*") { AllowedAccounts::Any } else { AllowedAccounts::Set(set) }
        }
    };
    Some(AllowedBucket { name: name?.value, owner, region, prefix, accounts })
}
