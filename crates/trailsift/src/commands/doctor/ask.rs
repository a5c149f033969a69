//! The questions about one account, in the order in which their answers explain each other.

use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;
use std::time::SystemTime;

use futures::FutureExt as _;
use futures::future::{Either, LocalBoxFuture, Shared, join, join_all, select};
use tokio::time::Instant;
use trailsift_aws::Connector;
use trailsift_aws::diagnosis::{BucketExaminer, Examiner, QueueFacts, Refusal};
use trailsift_core::QueueError;

use super::files::{Sought, look};
use super::judge::{self, About, Existence, OurQueue, Topic, Wanted, Ways};
use super::line::{Line, Section};
use crate::commands::run::wiring;
use crate::config::{Account, AllowedBucket, Config, Quarantine};

/// What the queue says of itself: asked for once, and of use for every bucket.
type AskedQueue<'a> = Shared<LocalBoxFuture<'a, Rc<Result<QueueFacts, QueueError>>>>;

/// Asks everything about an account. What does not depend on one another is asked at once.
pub(super) async fn section(
    config: &Config,
    account: &Account,
    connector: &Connector,
    deadline: Instant,
) -> Section {
    let subject = format!("account {}", account.name);
    let examiner = connector.examiner(&wiring::account_settings(config, account)).await;
    let examiner = &examiner.until(deadline);
    let asked = examiner.queue().map(Rc::new).boxed_local().shared();
    let buckets = account.buckets.iter().map(|bucket| {
        let asked = asked.clone();
        async move {
            let lines = Box::pin(bucket_lines(config, account, bucket, examiner, asked)).await;
            lines.into_iter().map(|line| named(line, account, bucket)).collect()
        }
    });
    let rest = join(queue(config, examiner, asked.clone()), join_all(buckets));
    let mut lines: Vec<Line> = judge::endpoint(account).into_iter().collect();
    // Whoever we are not has nothing to say: what was asked meanwhile is given up, and was only read.
    let (who, rest) = match select(pin!(who(account, examiner)), pin!(rest)).await {
        Either::Left(((who, true), rest)) => (who, Some(rest.await)),
        Either::Left(((who, false), _)) => (who, None),
        Either::Right((rest, who)) => match who.await {
            (who, true) => (who, Some(rest)),
            (who, false) => (who, None),
        },
    };
    lines.extend(who);
    if let Some((queue, buckets)) = rest {
        lines.extend(queue);
        lines.extend(buckets.into_iter().flat_map(|lines: Vec<Line>| lines));
    }
    lines.push(judge::clock(examiner.clock_ahead()));
    Section { subject, lines }
}

/// Says who we are, and whether there is any use in going on.
async fn who(account: &Account, examiner: &Examiner) -> (Vec<Line>, bool) {
    let (own, assumed) = join(examiner.own_identity(), examiner.assume_role()).await;
    let mut lines = vec![judge::credentials(&own)];
    if let Err(Refusal::Credentials(_) | Refusal::Clock(_)) = own {
        return (lines, false);
    }
    lines.extend(judge::role(account, own.as_ref().ok(), &assumed));
    if account.role_arn.is_some() {
        if assumed.is_err() {
            return (lines, false);
        }
        lines.extend(judge::identity(account, &examiner.identity().await));
    } else {
        lines.extend(judge::identity(account, &own));
    }
    (lines, true)
}

async fn queue(config: &Config, examiner: &Examiner, asked: AskedQueue<'_>) -> Vec<Line> {
    let parks = config.quarantine != Quarantine::Redrive;
    let asked = asked.await;
    let mut lines = judge::queue(&asked, config.service.max_receive, parks);
    let Ok(facts) = &*asked else { return lines };
    let dead_letters = async {
        let arn = &facts.redrive.as_ref()?.dead_letter_arn;
        Some(judge::dead_letters(arn, &examiner.dead_letter_queue(arn).await))
    };
    let (dead_letters, settling) = join(dead_letters, examiner.settling()).await;
    lines.extend(dead_letters);
    lines.push(judge::settling(&settling));
    lines
}

async fn bucket_lines(
    config: &Config,
    account: &Account,
    bucket: &AllowedBucket,
    examiner: &Examiner,
    queue: AskedQueue<'_>,
) -> Vec<Line> {
    let region = bucket.region.as_deref().unwrap_or(&account.region);
    let asked_in = |region: &str| examiner.bucket(&bucket.name, region, bucket.owner.as_deref());
    let (mut there, mut place) = (asked_in(region), region);
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
        (_, Some(named)) if follows => {
            there = asked_in(named);
            place = named;
        }
        (Ok(_), _) => {}
        // What is only not to be listed may still be read and announced.
        (Err(Refusal::Denied(_)), _) if !matches!(whoever, Some(Ok(_))) => {}
        _ => return lines,
    }
    let about = About { bucket: &bucket.name, region: place, owner: bucket.owner.as_deref() };
    let (announced, read) =
        join(announced(bucket, &about, &there, examiner, queue), read(account, bucket, &there))
            .await;
    lines.extend(announced);
    lines.extend(read);
    lines
}

async fn announced(
    bucket: &AllowedBucket,
    about: &About<'_>,
    there: &BucketExaminer,
    examiner: &Examiner,
    queue: AskedQueue<'_>,
) -> Vec<Line> {
    let (asked, queue) = join(there.notifications(), queue).await;
    let ours = queue.as_ref().as_ref().ok();
    let ours = ours.map(|facts| OurQueue { arn: &facts.arn, policy: facts.policy.as_deref() });
    let ways = match (&asked, ours) {
        (Ok(found), Some(ours)) => ways(judge::wanted(found, ours), ours.arn, examiner).await,
        _ => Ways::default(),
    };
    judge::notification(&asked, ours, &ways, about, &bucket.prefix)
}

/// What lies between the bucket and the queue.
async fn ways(wanted: Wanted, queue_arn: &str, examiner: &Examiner) -> Ways {
    let topics = wanted.topics.into_iter().map(|arn| async move {
        let asked = join(examiner.topic(&arn), examiner.subscription(&arn, queue_arn));
        let (facts, subscription) = asked.await;
        Topic { arn, facts, subscription }
    });
    let rules = async {
        match wanted.rules {
            true => Some(examiner.rules(queue_arn).await),
            false => None,
        }
    };
    let (topics, rules) = join(join_all(topics), rules).await;
    Ways { topics, rules }
}

async fn read(account: &Account, bucket: &AllowedBucket, there: &BucketExaminer) -> Vec<Line> {
    let now = SystemTime::now();
    let sought = Sought {
        prefix: &bucket.prefix,
        account: &account.id,
        region: &account.region,
        accounts: &bucket.accounts,
        now,
    };
    let found = look(there, &sought).await;
    let mut lines = vec![judge::files(&found, &bucket.prefix, now)];
    let Ok(found) = found else { return lines };
    if let Some(newest) = &found.newest {
        lines.push(judge::reading(&newest.key, &there.read(&newest.key).await));
    }
    lines.extend(judge::digests(&found));
    lines
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
