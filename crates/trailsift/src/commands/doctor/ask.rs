//! The questions about one account, in the order in which their answers explain each other.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use futures::future::join;
use trailsift_aws::Connector;
use trailsift_aws::diagnosis::{BucketExaminer, Examiner, Notification, QueueFacts, Refusal};
use trailsift_core::{Queue as _, QueueError, Receipt};

use super::files::{Sought, look};
use super::judge::{self, Existence, OurQueue};
use super::line::{Line, Section};
use crate::commands::run::wiring;
use crate::config::{Account, AllowedBucket, Config, Quarantine};

/// A receipt that no message ever had: the queue refuses it, unless it refuses us.
const NO_RECEIPT: &str = "trailsift-doctor";

/// Asks everything about an account.
pub(super) async fn section(config: &Config, account: &Account, connector: &Connector) -> Section {
    let subject = format!("account {}", account.name);
    let examiner = connector.examiner(&wiring::account_settings(config, account)).await;
    let mut lines: Vec<Line> = judge::endpoint(account).into_iter().collect();
    if who(&mut lines, account, &examiner).await {
        let parks = config.quarantine != Quarantine::Redrive;
        let asked = examiner.queue().await;
        lines.extend(judge::queue(&asked, config.service.max_receive, parks));
        if let Ok(facts) = &asked {
            queue(&mut lines, facts, &examiner).await;
        }
        let facts = asked.ok();
        for bucket in &account.buckets {
            let of_bucket = bucket_lines(config, account, bucket, &examiner, facts.as_ref()).await;
            lines.extend(of_bucket.into_iter().map(|line| named(line, account, bucket)));
        }
    }
    lines.push(judge::clock(examiner.clock_ahead()));
    Section { subject, lines }
}

/// Says who we are. Returns whether there is any use in going on.
async fn who(lines: &mut Vec<Line>, account: &Account, examiner: &Examiner) -> bool {
    let own = examiner.own_identity().await;
    lines.push(judge::credentials(&own));
    if let Err(Refusal::Credentials(_) | Refusal::Clock(_)) = own {
        return false;
    }
    let assumed = examiner.assume_role().await;
    let line = judge::role(account, own.as_ref().ok(), &assumed);
    lines.extend(line);
    if account.role_arn.is_some() {
        if assumed.is_err() {
            return false;
        }
        lines.extend(judge::identity(account, &examiner.identity().await));
    } else {
        lines.extend(judge::identity(account, &own));
    }
    true
}

async fn queue(lines: &mut Vec<Line>, facts: &QueueFacts, examiner: &Examiner) {
    if let Some(redrive) = &facts.redrive {
        let arn = &redrive.dead_letter_arn;
        lines.push(judge::dead_letters(arn, &examiner.dead_letter_queue(arn).await));
    }
    let queue = &examiner.account().queue;
    let receipt = [Receipt(NO_RECEIPT.to_owned())];
    let (extended, deleted) =
        join(queue.extend(&receipt[0], Duration::from_secs(1)), queue.delete(&receipt)).await;
    let deleted: Result<(), QueueError> =
        deleted.and_then(|answers| answers.into_iter().next().unwrap_or(Ok(())));
    lines.push(judge::settling(&[
        ("sqs:ChangeMessageVisibility", extended.map(drop)),
        ("sqs:DeleteMessage", deleted),
    ]));
}

async fn bucket_lines(
    config: &Config,
    account: &Account,
    bucket: &AllowedBucket,
    examiner: &Examiner,
    queue: Option<&QueueFacts>,
) -> Vec<Line> {
    let region = bucket.region.as_deref().unwrap_or(&account.region);
    let asked_in = |region: &str| examiner.bucket(&bucket.name, region, bucket.owner.as_deref());
    let mut there = asked_in(region);
    let asked = there.exists().await;
    let denied = matches!(asked, Err(Refusal::Denied(_)));
    let whoever = match denied && bucket.owner.is_some() {
        true => Some(there.exists_whoever_owns_it().await),
        false => None,
    };
    // An answer may lead us only where the configuration does.
    let named = match &asked {
        Ok(facts) => facts.region.clone(),
        Err(Refusal::Elsewhere { region, .. }) => region.clone(),
        Err(_) => None,
    };
    let elsewhere = named.filter(|named| named != region);
    let follows = elsewhere.as_ref().is_some_and(|named| config.regions().contains(named));
    let mut lines = judge::existence(&Existence {
        name: &bucket.name,
        owner: bucket.owner.as_deref(),
        region,
        follows,
        asked: &asked,
        whoever: whoever.as_ref(),
    });
    match (&asked, &elsewhere) {
        (_, Some(named)) if follows => there = asked_in(named),
        (Ok(_), _) => {}
        // What is only not to be listed may still be read and announced.
        (Err(Refusal::Denied(_)), _) if !matches!(whoever, Some(Ok(_))) => {}
        _ => return lines,
    }
    announced(&mut lines, bucket, &there, queue).await;
    read(&mut lines, account, bucket, &there).await;
    lines
}

async fn announced(
    lines: &mut Vec<Line>,
    bucket: &AllowedBucket,
    there: &BucketExaminer,
    queue: Option<&QueueFacts>,
) {
    let ours = queue.map(|facts| OurQueue { arn: &facts.arn, policy: facts.policy.as_deref() });
    let asked: Result<Vec<Notification>, Refusal> = there.notifications().await;
    lines.push(judge::notification(&asked, ours, &bucket.name, &bucket.prefix));
    if let (Ok(found), Some(ours)) = (&asked, ours) {
        lines.extend(judge::sender(ours, found, &bucket.name, bucket.owner.as_deref()));
    }
}

async fn read(
    lines: &mut Vec<Line>,
    account: &Account,
    bucket: &AllowedBucket,
    there: &BucketExaminer,
) {
    let now = SystemTime::now();
    let sought = Sought {
        prefix: &bucket.prefix,
        account: &account.id,
        region: &account.region,
        accounts: &bucket.accounts,
        now,
    };
    let found = look(there, &sought).await;
    lines.push(judge::files(&found, &bucket.prefix, now));
    let Ok(found) = found else { return };
    if let Some(newest) = &found.newest {
        lines.push(judge::reading(&newest.key, &there.read(&newest.key).await));
    }
    lines.extend(judge::digests(&found));
}

/// The line with its bucket's name, where an account has several entries.
fn named(line: Line, account: &Account, bucket: &AllowedBucket) -> Line {
    let mut entries: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in &account.buckets {
        *entries.entry(&entry.name).or_default() += 1;
    }
    if account.buckets.len() == 1 {
        return line;
    }
    let text = match entries[bucket.name.as_str()] {
        1 => format!("{}: {}", bucket.name, line.text),
        _ => format!("{}/{}: {}", bucket.name, bucket.prefix.escape_debug(), line.text),
    };
    Line { text, ..line }
}
