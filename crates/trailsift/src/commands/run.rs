//! `trailsift run`: the service.

mod signals;
pub(super) mod wiring;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Level;
use trailsift_core::SystemClock;
use trailsift_delivery::SinkMetrics;
use trailsift_pipeline::{
    Budget, Cpu, Ended, Health, PipelineMetrics, Service, Surroundings, Totals,
};

use crate::admin;
use crate::cli::{GlobalArgs, LogFormat, RunArgs};
use crate::commands::{Exit, load_config};
use crate::config::Config;
use crate::descriptors;
use crate::logging::escaped;
use crate::memory::{self, Fit};
use crate::process;
use signals::Signals;

/// How long the ledger may take to put its log in order.
const LEDGER_END: Duration = Duration::from_secs(1);
/// How long threads that are still busy when everything is decided may keep the process.
const RUNTIME_END: Duration = Duration::from_millis(200);

/// Runs the service until it is told to stop or, with `--until-empty`, until its queues are empty.
///
/// # Errors
/// If it cannot start: a sink that cannot be made, an address that is taken. Where logs are read by
/// machines that is said there, as one more line of theirs.
pub(super) fn run(args: &RunArgs, global: &GlobalArgs) -> anyhow::Result<Exit> {
    let lines_only = global.log_format() == LogFormat::Json && tracing::enabled!(Level::ERROR);
    match start(args, global) {
        Err(error) if lines_only => {
            tracing::error!(error = escaped(&format!("{error:#}")), "failed");
            Ok(Exit::Failed)
        }
        ended => ended,
    }
}

fn start(args: &RunArgs, global: &GlobalArgs) -> anyhow::Result<Exit> {
    let mut config = match load_config(global) {
        Ok(config) => config,
        Err(exit) => return Ok(exit),
    };
    match memory::fit(&config) {
        Fit::Room => {}
        Fit::Tight(why) => tracing::warn!("configuration: {why}"),
        Fit::Above(why) => {
            // Better now than in the middle of the first large file, again and again.
            tracing::error!("configuration: {why}");
            return Ok(Exit::Usage);
        }
    }
    let open_files = descriptors::raise_limit();
    let service = &mut config.service;
    let workers = descriptors::affordable(
        open_files,
        service.workers,
        config.accounts.len(),
        config.sinks.len(),
    );
    if workers < service.workers {
        tracing::warn!(
            open_files,
            workers,
            wanted = service.workers,
            "the limit of open files feeds fewer workers than `service.workers`: raise it (ulimit -n)"
        );
        service.workers = workers;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let exit = runtime.block_on(serve(&config, args.until_empty));
    // A sink that is stuck in a system call must not keep the process beyond its drain.
    runtime.shutdown_timeout(RUNTIME_END);
    exit
}

async fn serve(config: &Config, until_empty: bool) -> anyhow::Result<Exit> {
    // Before anything else, so that an early signal is not lost.
    let signals = Signals::catch().context("cannot catch signals")?;
    let registry = process::registry()?;
    let metrics = PipelineMetrics::register(&registry)?;
    let sink_metrics = SinkMetrics::register(&registry)?;
    let clock = Arc::new(SystemClock);
    let health = Health::default();
    health.register(&registry)?;

    let settings = wiring::settings(&config.service, until_empty);
    let accounts = config.accounts.len();
    let budget = Budget::plan(settings.memory, settings.workers, accounts, settings.max_record);
    let lingering = wiring::Lingering::plan(config, &budget);
    let connector = wiring::connector(config).await;
    let sinks = wiring::sinks(config, lingering, &connector, &sink_metrics).await?;
    let quarantine = wiring::quarantine(
        config,
        &sinks,
        lingering,
        clock.clone(),
        metrics.clone(),
        &sink_metrics,
    )
    .await?;
    let cpu = Cpu::per_core(settings.memory);
    let ledger = wiring::ledger(&config.service, &metrics).await?;
    let service = Service::new(
        wiring::accounts(config, &connector).await?,
        wiring::outlets(config, &sinks),
        quarantine,
        settings,
        Surroundings {
            cpu,
            clock,
            ledger: ledger.clone(),
            metrics: metrics.clone(),
            health: health.clone(),
        },
    );
    let listener = admin::bind(config.service.listen).await?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        // Not as it was configured: of port 0 the kernel makes one that is free.
        listen = %listener.local_addr()?,
        accounts = config.accounts.len(),
        routes = config.routes.len(),
        sinks = config.sinks.len(),
        until_empty,
        "starting"
    );

    let stop = CancellationToken::new();
    // Both end with this function.
    let mut beside = JoinSet::new();
    beside.spawn(admin::serve(listener, registry, health));
    beside.spawn(signals.obey(stop.clone()));
    let ended = service.run(stop).await;
    ledger.flush(LEDGER_END).await;
    Ok(report(&ended, &metrics.totals()))
}

/// The last words: what was done, and why it ended.
fn report(ended: &Ended, totals: &Totals) -> Exit {
    let summary = serde_json::to_string(totals).unwrap_or_default();
    let parked: u64 = totals.quarantined.values().sum();
    let exit = match ended {
        Ended::Drained | Ended::Empty => Exit::Done,
        Ended::Unreachable(accounts) => {
            for (account, error) in accounts {
                tracing::error!(
                    account,
                    error = %error,
                    "queue not reachable within startup_timeout: `error` says why; \
                     check credentials, queue_url, region, role and network"
                );
            }
            Exit::Unreachable
        }
        Ended::Failed(errors) => {
            for error in errors {
                tracing::error!(%error, "failed");
            }
            Exit::Failed
        }
    };
    if parked > 0 {
        tracing::warn!(parked, "something was quarantined: see the quarantine for each");
    }
    tracing::info!(totals = %summary, exit_code = exit.code(), "stopped");
    exit
}
