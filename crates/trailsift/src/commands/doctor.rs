//! `trailsift doctor`: asks AWS, this machine and every sink whether the service can do its work, and
//! says for each answer what it means and what to do.
//!
//! Asking ([`ask`]), judging ([`judge`]) and showing ([`show`]) are apart: what a fact means is decided
//! by pure functions.

mod ask;
mod files;
mod judge;
mod line;
mod machine;
mod show;
mod sinks;

use anyhow::Context as _;
use futures::StreamExt as _;
use futures::stream::{self, LocalBoxStream};

use super::run::wiring;
use super::{Exit, complain, load_config};
use crate::cli::{DoctorArgs, GlobalArgs};
use crate::config::{Account, Config, Quarantine, closest};
use line::Section;
use show::Shown;

/// How many accounts are asked about at once.
const AT_ONCE: usize = 4;

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
    let exit = runtime.block_on(examine(&config, &accounts, args.json));
    // A check that is stuck in a system call keeps nobody.
    runtime.shutdown_background();
    exit
}

async fn examine(config: &Config, accounts: &[&Account], json: bool) -> anyhow::Result<Exit> {
    let connector = wiring::connector(config).await;
    let sinks = sinks_of(config, accounts);
    let mut asked: LocalBoxStream<'_, Section> = stream::once(machine::section(config))
        .chain(
            stream::iter(accounts)
                .map(|account| ask::section(config, account, &connector))
                .buffered(AT_ONCE),
        )
        .chain(stream::once(sinks::sections(config, sinks, &connector)).flat_map(stream::iter))
        .boxed_local();
    let mut shown = Shown::start(json, accounts.len());
    while let Some(section) = asked.next().await {
        let goes_on = shown.section(&section).context("standard output cannot be written")?;
        if !goes_on {
            break;
        }
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
