//! `trailsift doctor`: asks AWS, this machine and every sink whether the service can do its work, and
//! says for each answer what it means and what to do.
//!
//! Asking ([`ask`]), judging ([`judge`]) and showing ([`show`]) are apart: what a fact means is decided
//! by pure functions.

mod ask;
mod disk;
mod files;
mod judge;
mod line;
mod machine;
mod show;
mod sinks;

use anyhow::Context as _;
use futures::future::LocalBoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use tokio::time::Instant;

use super::run::wiring;
use super::{Exit, complain, counted, load_config, say};
use crate::cli::{DoctorArgs, GlobalArgs};
use crate::config::{Account, Config, Quarantine, closest, duration_text};
use line::Section;
use show::{Awaited, Shown};

/// How many sections are worked on at once: an account costs some thirty questions, most of them while
/// others wait.
const AT_ONCE: usize = 64;

/// Asks and reports.
///
/// # Errors
/// If standard output cannot be written, or the asking cannot be begun.
pub(super) fn doctor(args: &DoctorArgs, global: &GlobalArgs) -> anyhow::Result<Exit> {
    let config = match load_config(global) {
        Ok(config) => config,
        Err(exit) => return Ok(exit),
    };
    let accounts = match chosen(&config, &args.account) {
        Ok(accounts) => accounts,
        Err(problem) => {
            complain(&problem);
            return Ok(Exit::Usage);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let exit = runtime.block_on(examine(&config, &accounts, args));
    // A check that is stuck in a system call keeps nobody.
    runtime.shutdown_background();
    exit
}

async fn examine(
    config: &Config,
    accounts: &[&Account],
    args: &DoctorArgs,
) -> anyhow::Result<Exit> {
    let deadline = Instant::now() + args.timeout;
    let connector = &wiring::connector(config).await;
    let sinks = sinks_of(config, accounts);
    let mut work: Vec<(String, LocalBoxFuture<'_, Vec<Section>>)> = Vec::new();
    let machine = machine::section(config, deadline).map(|section| vec![section]);
    work.push(("this machine".to_owned(), machine.boxed_local()));
    for &account in accounts {
        let section = ask::section(config, account, connector, deadline);
        let name = format!("account {}", account.name);
        work.push((name, section.map(|section| vec![section]).boxed_local()));
    }
    work.push((
        counted(sinks.len(), "sink"),
        sinks::sections(config, sinks, connector, deadline).boxed_local(),
    ));
    let awaited = &Awaited::of(work.iter().map(|(name, _)| name.clone()).collect());
    // All of them at once, and each in its place.
    let work = work.into_iter().map(|(name, section)| async move {
        let sections = section.await;
        awaited.came(&name);
        sections
    });
    let mut asked = stream::iter(work).buffered(AT_ONCE).flat_map(stream::iter).boxed_local();
    let mut shown = Shown::start(args.json, awaited.bar());
    while let Some(section) = asked.next().await {
        let goes_on = shown.section(&section).context("standard output cannot be written")?;
        if !goes_on {
            break;
        }
    }
    drop(asked);
    if Instant::now() >= deadline {
        let timeout = duration_text(args.timeout);
        say(&format!("not everything answered within {timeout}: --timeout gives it longer"));
    }
    Ok(if shown.finish() { Exit::Failed } else { Exit::Done })
}

/// The accounts that were asked for, by name or number; all of them if none was.
fn chosen<'c>(config: &'c Config, wanted: &[String]) -> Result<Vec<&'c Account>, String> {
    let is = |account: &Account, name: &String| account.name == *name || account.id == *name;
    for name in wanted {
        if !config.accounts.iter().any(|account| is(account, name)) {
            let names: Vec<&str> = config.accounts.iter().map(|it| it.name.as_str()).collect();
            let meant = match closest(name, &names) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("there are {}", names.join(", ")),
            };
            return Err(format!("there is no account {name}: {meant}"));
        }
    }
    let is_wanted =
        |account: &&Account| wanted.is_empty() || wanted.iter().any(|name| is(account, name));
    Ok(config.accounts.iter().filter(is_wanted).collect())
}

/// The sinks that these accounts' records may go to, the quarantine's among them.
fn sinks_of<'c>(config: &'c Config, accounts: &[&Account]) -> Vec<&'c str> {
    let routes = config
        .routes
        .iter()
        .filter(|route| accounts.iter().any(|account| account.routes.contains(&route.name)));
    let fed: Vec<&str> = routes.flat_map(|route| route.sinks.iter().map(String::as_str)).collect();
    let is_used = |name: &&str| {
        fed.contains(name) || matches!(&config.quarantine, Quarantine::Sink(parks) if parks == name)
    };
    config.sinks.keys().map(String::as_str).filter(is_used).collect()
}
