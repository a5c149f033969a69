//! `cargo xtask demo`: the whole job on real S3 and SQS calls, checked against a known answer.
//!
//! Three accounts in three regions, each with a stack of the very template that an operator
//! deploys, and a bucket full of seeded trail files. The real program runs until its queues are
//! empty; then everything that it said and delivered is compared with what the generator knows.

mod config;
mod event;
mod verdict;
mod watch;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use futures::stream::{self, StreamExt, TryStreamExt};
use trailsift_testkit::trail::{Fleet, FleetSpec};

use crate::deploy::{Site, Stack};
use crate::localstack::{self, LocalStack};
use crate::ui::Ui;
use crate::{cargo, workspace};

/// The accounts: id, name and region.
const ACCOUNTS: [(&str, &str, &str); 3] = [
    ("111122223333", "production", "us-east-1"),
    ("444455556666", "research", "eu-central-1"),
    ("777788889999", "sandbox", "ap-southeast-2"),
];
/// Uploads at a time.
const UPLOADS: usize = 16;
/// How long S3 may take to announce what was uploaded.
const ANNOUNCING: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(crate) struct Options {
    /// Keep LocalStack and a running trailsift for a look, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Generates other files; the same seed gives the same ones
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many good trail files, over all accounts
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(3..=100_000))]
    files: u32,
}

/// One account with its stack and what is in its bucket.
pub(crate) struct Account {
    pub(crate) name: &'static str,
    pub(crate) site: Site,
    pub(crate) stack: Stack,
    pub(crate) fleet: Fleet,
}

/// Runs the demo; success only if every figure and every byte agrees.
pub(crate) async fn run(ui: &Ui, options: &Options) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let run = run_name();
    let folder = workspace::target("demo").join(&run);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;

    ui.heading("Setting up");
    let (localstack, program, fleets) = tokio::try_join!(
        localstack::start(ui),
        cargo::build_trailsift(ui, false),
        generate(ui, options, &run)
    )?;

    let accounts = deploy(ui, &localstack, &run, fleets).await?;
    let result = perform(ui, options, &program, &folder, &accounts, &localstack, started).await;
    if localstack.is_somebody_elses() {
        clean_up(ui, &accounts).await;
    }
    Ok(if result? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Fills the buckets, runs the program on them and judges it.
async fn perform(
    ui: &Ui,
    options: &Options,
    program: &Path,
    folder: &Path,
    accounts: &[Account],
    localstack: &LocalStack,
    started: Instant,
) -> anyhow::Result<bool> {
    upload(ui, accounts).await?;
    announced(ui, accounts).await?;
    let config = config::write(folder, accounts, localstack.endpoint())?;
    ui.note(&format!("  ✓ configuration: {}", workspace::shown(&config.folder)));

    ui.note("");
    ui.heading("Running trailsift until its queues are empty");
    let outcome = watch::run(ui, program, &config, accounts).await?;
    let agrees = verdict::judge(ui, accounts, &config, &outcome).await?;
    ui.note(&format!("\ntrailsift's log: {}", workspace::shown(&config.log)));
    let ledger = config.ledger.join(trailsift_ledger::FILE_NAME);
    ui.note(&format!(
        "what it did for which object: {}, an SQLite file",
        workspace::shown(&ledger)
    ));
    let word = if agrees { "Everything agrees" } else { "Something differs" };
    let took = started.elapsed().as_secs_f64();
    ui.note(&format!("{word}; {took:.0} s in all, this task's own compiling not counted."));
    if options.keep {
        keep(ui, program, &config, accounts, localstack).await?;
    }
    Ok(agrees)
}

/// A name that no other run has, fit for buckets.
fn run_name() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seconds = now.map(|time| time.as_secs()).unwrap_or_default();
    format!("{seconds:x}-{:x}", std::process::id())
}

fn bucket(run: &str, name: &str) -> String {
    format!("trailsift-demo-{name}-{run}")
}

/// Generates each account's bucket, on another thread.
async fn generate(ui: &Ui, options: &Options, run: &str) -> anyhow::Result<Vec<Fleet>> {
    let step = ui.step("generating trail files");
    let total = usize::try_from(options.files)?;
    let specs = ACCOUNTS.iter().enumerate().map(|(index, (_, name, _))| FleetSpec {
        seed: options.seed.wrapping_mul(ACCOUNTS.len() as u64).wrapping_add(index as u64),
        bucket: bucket(run, name),
        files: total / ACCOUNTS.len() + usize::from(index < total % ACCOUNTS.len()),
        ..FleetSpec::default()
    });
    let mut fleets = Vec::new();
    for spec in specs {
        fleets.push(tokio::task::spawn_blocking(move || Fleet::generate(&spec)).await?);
    }
    let records: u64 = fleets.iter().map(|fleet| fleet.expected.records).sum();
    step.done(&format!("{total} files with {records} records, seed {}", options.seed));
    Ok(fleets)
}

/// Deploys the template once per account, all at the same time.
async fn deploy(
    ui: &Ui,
    localstack: &LocalStack,
    run: &str,
    fleets: Vec<Fleet>,
) -> anyhow::Result<Vec<Account>> {
    let step = ui.step("deploying ingest.yaml");
    let deployments = ACCOUNTS.iter().zip(fleets).map(|((id, name, region), fleet)| {
        let step = &step;
        async move {
            let site = Site::new(localstack.endpoint(), id, region);
            let stack = site.deploy(&bucket(run, name), step).await?;
            anyhow::Ok(Account { name, site, stack, fleet })
        }
    });
    let accounts = futures::future::try_join_all(deployments).await?;
    step.done(&format!("{} stacks", accounts.len()));
    Ok(accounts)
}

async fn upload(ui: &Ui, accounts: &[Account]) -> anyhow::Result<()> {
    let total: usize = accounts.iter().map(|account| account.fleet.objects.len()).sum();
    let step = ui.counted("uploading", total as u64);
    stream::iter(accounts)
        .flat_map(|account| {
            stream::iter(&account.fleet.objects).map(move |object| (account, object))
        })
        .map(|(account, object)| {
            account.site.put(&account.stack.bucket, &object.key, object.stored.clone())
        })
        .buffer_unordered(UPLOADS)
        .try_for_each(|()| {
            step.advance();
            std::future::ready(Ok(()))
        })
        .await?;
    step.done(&format!("{total} objects"));
    Ok(())
}

/// Waits until the queues hold a message for every object: the program ends once they are empty,
/// so it must not be faster than the notifications.
async fn announced(ui: &Ui, accounts: &[Account]) -> anyhow::Result<()> {
    let total: usize = accounts.iter().map(|account| account.fleet.objects.len()).sum();
    let step = ui.counted("waiting for notifications", total as u64);
    let started = Instant::now();
    loop {
        let mut sent = 0;
        let mut complete = true;
        for account in accounts {
            let visible = account.site.backlog(&account.stack.queue_url).await?.visible;
            // One more per bucket: S3's test message.
            complete &= visible > account.fleet.objects.len() as u64;
            sent += visible;
        }
        step.set(sent.min(total as u64));
        if complete {
            step.done(&format!("{sent} messages"));
            return Ok(());
        }
        if started.elapsed() > ANNOUNCING {
            bail!(
                "the queues got {sent} messages for {total} objects within {} s: \
                 the buckets' notifications do not work",
                ANNOUNCING.as_secs()
            );
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Leaves everything running until Ctrl-C.
async fn keep(
    ui: &Ui,
    program: &Path,
    config: &config::Written,
    accounts: &[Account],
    localstack: &LocalStack,
) -> anyhow::Result<()> {
    let mut service = watch::serve(program, config)?;
    let account = &accounts[0];
    let endpoint = localstack.endpoint();
    ui.result(&format!(
        "\nLocalStack and trailsift keep running. Have a look:\n\
         \n  curl -s {listen}/readyz\
         \n  curl -s {listen}/metrics | grep ^trailsift_\
         \n  tail -f {events}\
         \n  sqlite3 -readonly {ledger} 'SELECT * FROM objects LIMIT 5'\
         \n  cat {config}/accounts/*.toml\
         \n  aws --endpoint-url {endpoint} s3 ls --recursive s3://{bucket}\
         \n      (with AWS_ACCESS_KEY_ID={id} AWS_SECRET_ACCESS_KEY=test AWS_REGION={region})\n\
         \nCtrl-C stops both.",
        listen = config.listen_url(),
        events = workspace::shown(&config.events),
        ledger = workspace::shown(&config.ledger.join(trailsift_ledger::FILE_NAME)),
        config = workspace::shown(&config.folder),
        bucket = account.stack.bucket,
        id = account.site.account,
        region = account.site.region,
    ));
    let status = service.wait().await?;
    bail!("trailsift ended by itself ({status}): see {}", workspace::shown(&config.log));
}

/// Somebody else's LocalStack gets back what it had. A failure is worth a line, no more.
async fn clean_up(ui: &Ui, accounts: &[Account]) {
    let step = ui.step("removing the stacks");
    for account in accounts {
        if let Err(error) = account.site.remove(&account.stack).await {
            ui.note(&format!("    {} is left behind: {error:#}", account.stack.bucket));
        }
    }
    step.done("");
}
