use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use trailsift_stub::Stub;

use super::config::{self, Places};
use super::scenario::Scenario;
use crate::process::{Running, into_log};
use crate::workspace;

/// How long a process may take to ask for its first messages, and to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// The other connections, the admin page and the rest of a start.
const SETTLING: Duration = Duration::from_millis(250);
/// How often something is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// Where processes write; removed with everything in it when dropped.
///
/// # Errors
/// If it cannot be made.
pub(super) fn temporary_folder() -> anyhow::Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("trailsift-bench-").tempdir();
    folder.context("cannot make a temporary folder")
}

/// Waits until every process asks for messages: then it has started.
pub(super) async fn started(replicas: &mut [Replica], stub: &Stub) -> anyhow::Result<()> {
    let started = Instant::now();
    while stub.counts().receive < replicas.len() as u64 {
        for replica in replicas.iter_mut() {
            replica.is_alive()?;
        }
        if started.elapsed() > PATIENCE {
            let words = replicas.first().map(Replica::last_words).unwrap_or_default();
            bail!("trailsift did not ask for messages within {PATIENCE:?}:\n{words}");
        }
        tokio::time::sleep(LOOK).await;
    }
    tokio::time::sleep(SETTLING).await;
    Ok(())
}

/// A running process of the program.
pub(super) struct Replica {
    running: Running,
    pub(super) pid: u32,
    log: PathBuf,
}

impl Replica {
    /// Starts it in a folder of its own.
    pub(super) fn start(
        binary: &Path,
        folder: &Path,
        scenario: &Scenario,
        places: &Places<'_>,
    ) -> anyhow::Result<Self> {
        let config = config::write(folder, scenario, places)?;
        let log = folder.join("trailsift.log");
        let (out, err) = into_log(&log)?;
        let running = Running::spawn(config::command(binary, &config).stdout(out).stderr(err))?;
        let pid = running.id().context("trailsift ended at once")?;
        Ok(Self { running, pid, log })
    }

    /// # Errors
    /// If it has ended by itself.
    pub(super) fn is_alive(&mut self) -> anyhow::Result<()> {
        match self.running.ended()? {
            None => Ok(()),
            Some(status) => bail!("trailsift ended by itself ({status}):\n{}", self.last_words()),
        }
    }

    /// The end of its log.
    pub(super) fn last_words(&self) -> String {
        workspace::tail(&self.log, 20)
    }

    /// Ends it as an orchestrator does.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.pid)?).context("no process id")?;
        kill_process(pid, Signal::TERM).context("cannot stop trailsift")?;
        let ended = tokio::time::timeout(PATIENCE, self.running.wait());
        let status = ended.await.context("trailsift does not stop")??;
        if !status.success() {
            bail!("trailsift ended with {status}:\n{}", self.last_words());
        }
        Ok(())
    }
}
