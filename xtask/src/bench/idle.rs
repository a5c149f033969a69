use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use trailsift_stub::{Collector, Counts, Stub};
use trailsift_testkit::MemoryQueue;

use super::config::Places;
use super::proc::{Cpu, Memory};
use super::replica::{self, Replica, temporary_folder};
use super::scenario;
use crate::ui::Ui;

/// Two long polls.
const WINDOW: Duration = Duration::from_secs(40);

/// What a process costs while its queue is empty.
#[derive(Clone, Debug)]
pub(super) struct Idle {
    pub(super) window: Duration,
    pub(super) cpu: Cpu,
    /// At the end, in bytes.
    pub(super) resident: u64,
    pub(super) counts: Counts,
}

pub(super) async fn measure(ui: &Ui, binary: &Path) -> anyhow::Result<Idle> {
    let stub = Stub::start().context("cannot start S3 and SQS")?;
    let queue_url = stub.add_queue("trail", MemoryQueue::new());
    let collector = Collector::start(|_| {})?;
    let folder = temporary_folder()?;
    let (endpoint, collector) = (stub.endpoint(), collector.url());
    let places = Places { endpoint: &endpoint, queue_url: &queue_url, collector: &collector };
    let mut replicas = [Replica::start(binary, folder.path(), &scenario::SMALL, &places)?];
    replica::started(&mut replicas, &stub).await?;

    let step = ui.counted("watching it do nothing", WINDOW.as_secs());
    let (counts, cpu) = (stub.counts(), Cpu::of(replicas[0].pid)?);
    for second in 1..=WINDOW.as_secs() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        step.set(second);
    }
    let idle = Idle {
        window: WINDOW,
        cpu: Cpu::of(replicas[0].pid)?.since(cpu),
        resident: Memory::of(replicas[0].pid)?.resident,
        counts: stub.counts() - counts,
    };
    replicas[0].stop().await?;
    step.done(&format!("{} requests", idle.counts.requests()));
    Ok(idle)
}
