//! `trailsift replay`: announces what is parked to the queues anew, once its cause is mended.
//!
//! It asks for a second reading and delivers nothing by itself: what a line of the quarantine claims about
//! an event is never believed. [`line`] reads the lines, [`packed`] unpacks them first, [`plan`] makes one
//! message of all that name an object, [`journal`] remembers what was sent.

mod journal;
mod line;
mod packed;
mod plan;
mod report;
mod source;

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, stdout};
use std::time::SystemTime;

use anyhow::Context as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use trailsift_aws::SqsQueue;
use trailsift_core::chain;

use super::run::wiring;
use super::{Exit, complain, counted, load_config, put, say};
use crate::cli::{GlobalArgs, ReplayArgs};
use crate::config::{Account, Config};
use journal::Journal;
use line::{About, Line, Record};
use plan::Outgoing;
use report::Fate;

/// SQS takes ten messages at once.
const BATCH: usize = 10;
/// And so many bytes, also where a queue keeps the limit that all had before 2025.
const BATCH_BYTES: usize = 256 * 1024;

/// Sends what is to be replayed.
///
/// # Errors
/// If standard output or the journal cannot be written.
pub(super) fn replay(args: &ReplayArgs, global: &GlobalArgs) -> anyhow::Result<Exit> {
    let config = match load_config(global) {
        Ok(config) => config,
        Err(exit) => return Ok(exit),
    };
    let accounts = match chosen(&config, &args.accounts) {
        Ok(accounts) => accounts,
        Err(problem) => return Ok(wrong(&problem)),
    };
    let paths = match args.paths.is_empty() {
        false => args.paths.clone(),
        true => match source::configured(&config) {
            Ok(paths) => paths,
            Err(problem) => return Ok(wrong(&problem)),
        },
    };
    let journal = args.journal.clone().unwrap_or_else(|| source::journal(&config));
    let journal = if args.dry_run { Journal::look(&journal) } else { Journal::open(&journal) }?;
    let found = source::read(&paths);
    found.unfinished.iter().chain(&found.failures).for_each(|what| complain(what));

    let matching: Vec<&Line> =
        found.lines.iter().filter(|line| args.matches(line, &accounts)).collect();
    let is_due = |line: &&Line| args.again || !journal.has(&line.digest);
    let due: Vec<&Line> = matching.iter().copied().filter(is_due).collect();
    let (ours, strange): (Vec<&Line>, Vec<&Line>) =
        due.iter().copied().partition(|line| nobody_for(line, &config).is_none());
    let mut plan = plan::plan(&ours, &found.lines, args.latest);
    let strange = strange.iter();
    plan.refused
        .extend(strange.filter_map(|line| Some((line.place.clone(), nobody_for(line, &config)?))));
    let messages = plan.messages;
    for (place, why) in &plan.refused {
        complain(&format!("{place}: cannot be replayed: {why}"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut sender = Sender { config: &config, journal, out: Out::new(args.json), failed: 0 };
    match args.dry_run {
        true => messages.iter().try_for_each(|it| sender.out.show(it, &Fate::Planned))?,
        false => runtime.block_on(sender.send_all(&messages))?,
    }
    say(&summary(args, &matching, &due, &messages, plan.refused.len(), sender.failed));
    let is_well = found.failures.is_empty() && plan.refused.is_empty() && sender.failed == 0;
    Ok(if is_well { Exit::Done } else { Exit::Failed })
}

fn wrong(problem: &str) -> Exit {
    complain(problem);
    Exit::Usage
}

/// The names of the accounts that were asked for; none: all of them.
fn chosen(config: &Config, wanted: &[String]) -> Result<Vec<String>, String> {
    let named = |wanted: &String| {
        let is = |account: &&Account| account.name == *wanted || account.id == *wanted;
        let account = config.accounts.iter().find(is).map(|account| account.name.clone());
        account.ok_or_else(|| format!("--account {wanted}: the configuration has no such account"))
    };
    wanted.iter().map(named).collect()
}

/// Why nobody would take what this line asks for: it is settled all the same, and nobody would know.
fn nobody_for(line: &Line, config: &Config) -> Option<String> {
    let Some(account) = config.accounts.iter().find(|known| known.name == line.account) else {
        return Some(format!("the configuration has no account {}", line.account));
    };
    let About::Object { record: Some(Record { sink: Some(sink), .. }), .. } = &line.about else {
        return None;
    };
    let mut routes = config.routes.iter().filter(|route| account.routes.contains(&route.name));
    let is_fed = routes.any(|route| route.sinks.contains(sink));
    (!is_fed).then(|| {
        format!(
            "no route of {} leads to the sink {sink}: if it has another name now, put that into the line",
            account.name
        )
    })
}

fn summary(
    args: &ReplayArgs,
    matching: &[&Line],
    due: &[&Line],
    messages: &[Outgoing],
    refused: usize,
    failed: usize,
) -> String {
    let lines = counted(matching.len(), "line");
    let before = match matching.len() - due.len() {
        0 => String::new(),
        before => format!(", {before} of them replayed before (--again sends them, too)"),
    };
    let sent = match args.dry_run {
        true => format!("{} would be sent", counted(messages.len(), "message")),
        false => format!("{} sent", counted(messages.len() - failed, "message")),
    };
    let failed = if failed == 0 { String::new() } else { format!(", {failed} not sent") };
    let refused = match refused {
        0 => String::new(),
        refused => format!(", {} cannot be replayed", counted(refused, "line")),
    };
    format!("trailsift: {lines}{before}: {sent}{failed}{refused}")
}

impl ReplayArgs {
    /// Whether the line is one of those that were asked for.
    fn matches(&self, line: &Line, accounts: &[String]) -> bool {
        let is_one_of = |all: &[String], one: &String| all.is_empty() || all.contains(one);
        // A line without a time that can be read is not left out by one.
        let is_recent = self.since.is_none_or(|since| line.time.is_none_or(|time| time >= since));
        let object = match &line.about {
            About::Object { object, .. } => Some(object),
            About::Message => None,
        };
        let is_in = self
            .bucket
            .as_ref()
            .is_none_or(|bucket| object.is_some_and(|object| object.bucket == *bucket));
        let is_key = |key: &str, wanted: &str| match wanted.strip_suffix('*') {
            Some(prefix) => key.starts_with(prefix),
            None => key == wanted,
        };
        let is_named = self
            .key
            .as_ref()
            .is_none_or(|wanted| object.is_some_and(|object| is_key(&object.key, wanted)));
        is_one_of(&self.reasons, &line.reason)
            && is_one_of(accounts, &line.account)
            && is_recent
            && is_in
            && is_named
    }
}

/// Where results are shown.
struct Out {
    json: bool,
}

impl Out {
    fn new(json: bool) -> Self {
        Self { json: json || !stdout().is_terminal() }
    }

    /// Whoever reads the results may have gone: the messages are sent all the same.
    fn show(&self, message: &Outgoing, fate: &Fate) -> anyhow::Result<()> {
        let line = match self.json {
            true => report::json_line(message, fate),
            false => report::text_line(message, fate),
        };
        put(format!("{line}\n").as_bytes()).context("standard output cannot be written")?;
        Ok(())
    }
}

struct Sender<'c> {
    config: &'c Config,
    journal: Journal,
    out: Out,
    failed: usize,
}

impl Sender<'_> {
    /// Sends every message to its account's queue, and notes each batch before the next one is sent.
    async fn send_all(&mut self, messages: &[Outgoing]) -> anyhow::Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let connector = wiring::connector(self.config).await;
        let mut by_account: BTreeMap<&str, Vec<&Outgoing>> = BTreeMap::new();
        for message in messages {
            by_account.entry(&message.account).or_default().push(message);
        }
        for (name, messages) in by_account {
            let account = self.config.accounts.iter().find(|account| account.name == name);
            let account = account.context("an account of the configuration")?;
            let settings = wiring::account_settings(self.config, account);
            let queue = connector.connect(&settings).await.queue;
            for batch in batches(&messages) {
                self.send(&queue, batch).await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self, queue: &SqsQueue, batch: &[&Outgoing]) -> anyhow::Result<()> {
        let outgoing = |message: &&Outgoing| trailsift_aws::Outgoing {
            body: message.body.clone(),
            deduplication: message.id.clone(),
        };
        let outgoing: Vec<_> = batch.iter().map(outgoing).collect();
        let fates: Vec<Fate> = match queue.send(&outgoing).await {
            Ok(results) => {
                let fate = |result: Result<_, _>| match result {
                    Ok(trailsift_core::MessageId(id)) => Fate::Sent(id),
                    Err(error) => Fate::Failed(chain(&error)),
                };
                results.into_iter().map(fate).collect()
            }
            Err(error) => vec![Fate::Failed(chain(&error)); batch.len()],
        };
        let mut sent = Vec::new();
        for (message, fate) in batch.iter().zip(&fates) {
            if let Fate::Sent(id) = fate {
                sent.extend(message.lines.iter().map(|line| (line.as_str(), id.as_str())));
            }
        }
        let now = OffsetDateTime::from(SystemTime::now()).format(&Rfc3339)?;
        let noted = self.journal.note(&now, &sent);
        for (message, fate) in batch.iter().zip(&fates) {
            self.out.show(message, fate)?;
            if let Fate::Failed(error) = fate {
                self.failed += 1;
                complain(&format!("the queue of {}: {error}", message.account));
            }
        }
        noted
    }
}

/// As many messages at once as SQS takes.
fn batches<'a, 'm>(messages: &'a [&'m Outgoing]) -> impl Iterator<Item = &'a [&'m Outgoing]> {
    let mut rest = messages;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |message: &&&Outgoing| {
            bytes += message.body.len();
            bytes <= BATCH_BYTES
        };
        // One alone goes whatever its size: it came through this queue before.
        let count = rest.iter().take(BATCH).take_while(fits).count().max(1).min(rest.len());
        let (batch, after) = rest.split_at(count);
        rest = after;
        (!batch.is_empty()).then_some(batch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::What;

    #[test]
    fn a_batch_holds_ten_messages_or_as_many_as_fit_and_one_at_least() {
        let message = |bytes: usize| Outgoing {
            account: "a".into(),
            body: "x".repeat(bytes),
            id: "0a".into(),
            what: What::Message { message_id: "m".into() },
            reasons: std::collections::BTreeSet::new(),
            lines: Vec::new(),
        };
        for (sizes, expected) in [
            (vec![1; 23], vec![10, 10, 3]),
            (vec![100 << 10; 5], vec![2, 2, 1]),
            (vec![1, 900 << 10, 900 << 10, 1], vec![1, 1, 1, 1]),
            (vec![], vec![]),
        ] {
            let messages: Vec<_> = sizes.into_iter().map(message).collect();
            let messages: Vec<&Outgoing> = messages.iter().collect();
            let found: Vec<usize> = batches(&messages).map(<[_]>::len).collect();
            assert_eq!(found, expected);
        }
    }
}
