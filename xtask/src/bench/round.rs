use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use trailsift_core::Queue as _;
use trailsift_stub::{Checksum, Collector, Counts, Stub, notification};
use trailsift_testkit::MemoryQueue;

use super::Options;
use super::config::{BUCKET, Places};
use super::corpus::Corpus;
use super::proc::{Cpu, Memory, own_threads};
use super::profile::Profile;
use super::replica::{self, LOOK, Replica, temporary_folder};
use super::scenario::Scenario;
use super::tally::{Difference, Tally};
use crate::ui::{Step, Ui};
use crate::workspace;

/// Without any progress for so long, something is stuck.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a process still does after its last delete belongs to its work.
const AFTERMATH: Duration = Duration::from_millis(250);

/// One round to run.
pub(super) struct Setting<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) corpus: &'a Corpus,
    pub(super) binary: &'a Path,
    pub(super) number: u32,
    pub(super) options: &'a Options,
}

/// What a round cost, all processes together.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    /// Of the work alone: start and end of the processes do not count.
    pub(super) cpu: Cpu,
    /// From the first message to the last delete.
    pub(super) took: Duration,
    /// Of the process that had the most, in bytes.
    pub(super) peak: u64,
    /// Before the first message, of the process that had the most, in bytes.
    pub(super) idle: u64,
    /// What was asked meanwhile.
    pub(super) counts: Counts,
    /// Events delivered.
    pub(super) delivered: u64,
    /// CPU time of S3 and SQS in this process.
    pub(super) stub: Duration,
}

/// Runs the program on the corpus, once.
pub(super) async fn run(ui: &Ui, setting: &Setting<'_>) -> anyhow::Result<Figures> {
    let Setting { scenario, corpus, options, .. } = setting;
    let stub = Stub::start().context("cannot start S3 and SQS")?;
    let mut bodies = Vec::with_capacity(corpus.files.len());
    for file in &corpus.files {
        let stored = stub.put(BUCKET, &file.key, file.stored.clone(), Checksum::Crc64Nvme);
        bodies.push(notification(BUCKET, &file.key, file.stored.len(), &stored.etag));
    }
    let queue = MemoryQueue::new();
    let queue_url = stub.add_queue("trail", queue.clone());
    let tally = Arc::new(Mutex::new(Tally::default()));
    let told = Arc::clone(&tally);
    let collector = Collector::start(move |line| lock(&told).add(line))?;

    let folder = temporary_folder()?;
    let (endpoint, collector_url) = (stub.endpoint(), collector.url());
    let places = Places { endpoint: &endpoint, queue_url: &queue_url, collector: &collector_url };
    let mut replicas = Vec::new();
    for number in 0..options.replicas {
        let folder = folder.path().join(format!("replica-{number}"));
        replicas.push(Replica::start(setting.binary, &folder, scenario, &places)?);
    }
    replica::started(&mut replicas, &stub).await?;

    let idle = memory(&replicas)?.iter().map(|memory| memory.resident).max().unwrap_or_default();
    let step = ui.counted(
        &format!("{}: round {} of {}", scenario.name, setting.number, options.rounds),
        corpus.files.len() as u64,
    );
    let profile = match options.profile && setting.number == 1 {
        true => Some(profile(setting, &replicas).await?),
        false => None,
    };
    let (counts, stub_cpu) = (stub.counts(), own_threads("trailsift-stub"));
    let (cpu, started) = (cpu(&replicas)?, Instant::now());
    for body in bodies {
        queue.send(body);
    }
    let took = drained(&step, &queue, &mut replicas, started, corpus.files.len()).await?;
    tokio::time::sleep(AFTERMATH).await;
    let figures = Figures {
        cpu: self::cpu(&replicas)?.since(cpu),
        took,
        peak: memory(&replicas)?.iter().map(|memory| memory.peak).max().unwrap_or_default(),
        idle,
        counts: stub.counts() - counts,
        delivered: lock(&tally).lines(),
        stub: own_threads("trailsift-stub").saturating_sub(stub_cpu),
    };
    if let Some(profile) = profile {
        let data = workspace::shown(&profile.end().await?);
        ui.note(&format!("    a profile: perf report --no-children -i {data}"));
    }
    for replica in &mut replicas {
        replica.stop().await?;
    }
    let difference = lock(&tally).difference(&corpus.expected);
    if !difference.is_none() {
        drop(step);
        let Difference { lost, doubled, altered, forged } = difference;
        bail!(
            "{}: of {} events {lost} are lost, {doubled} doubled, {altered} altered, {forged} \
             forged; the log ends with:\n{}",
            scenario.name,
            corpus.expected.len(),
            replicas.iter().map(Replica::last_words).collect::<Vec<_>>().join("\n"),
        );
    }
    let each = figures.cpu.total.as_secs_f64() * 1e6 / corpus.files.len() as f64;
    step.done(&format!("{each:.0} µs of CPU per file, {} events", figures.delivered));
    Ok(figures)
}

async fn profile(setting: &Setting<'_>, replicas: &[Replica]) -> anyhow::Result<Profile> {
    let pids: Vec<u32> = replicas.iter().map(|replica| replica.pid).collect();
    let binary = setting.binary.file_name().unwrap_or_default().to_string_lossy();
    Profile::attach(&format!("{}-{binary}", setting.scenario.name), &pids).await
}

fn lock(tally: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cpu(replicas: &[Replica]) -> anyhow::Result<Cpu> {
    replicas.iter().try_fold(Cpu::default(), |sum, replica| Ok(sum.plus(Cpu::of(replica.pid)?)))
}

fn memory(replicas: &[Replica]) -> anyhow::Result<Vec<Memory>> {
    replicas.iter().map(|replica| Memory::of(replica.pid)).collect()
}

/// Waits until the queue is empty, and answers how long that took.
async fn drained(
    step: &Step,
    queue: &MemoryQueue,
    replicas: &mut [Replica],
    started: Instant,
    total: usize,
) -> anyhow::Result<Duration> {
    let follow = async {
        let (mut left, mut changed) = (u64::MAX, Instant::now());
        loop {
            tokio::time::sleep(LOOK).await;
            let status = queue.status().await?;
            let now_left = status.visible + status.in_flight;
            if now_left != left {
                (left, changed) = (now_left, Instant::now());
                step.set(total as u64 - left);
            }
            for replica in replicas.iter_mut() {
                replica.is_alive()?;
            }
            if changed.elapsed() > PATIENCE {
                let words = replicas.first().map(Replica::last_words).unwrap_or_default();
                bail!("no message was deleted for {PATIENCE:?}, {left} are left:\n{words}");
            }
        }
    };
    // Cancel safety: whichever ends first is the answer, and neither holds anything.
    tokio::select! {
        () = queue.until_empty() => Ok(started.elapsed()),
        failed = follow => failed,
    }
}
