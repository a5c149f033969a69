use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::process::{Running, tied};
use crate::workspace;

/// How long `perf` may take to attach, and to write its data.
const PATIENCE: Duration = Duration::from_secs(60);

/// `perf record` on the processes that are measured, while they work.
pub(super) struct Profile {
    perf: Running,
    data: PathBuf,
}

impl Profile {
    /// Attaches to these processes. The data replace those of an earlier profile of this name.
    ///
    /// # Errors
    /// If there is no `perf`, or the kernel does not allow it.
    pub(super) async fn attach(name: &str, pids: &[u32]) -> anyhow::Result<Self> {
        let folder = workspace::target("bench");
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let data = folder.join(format!("{name}.perf.data"));
        if data.exists() {
            std::fs::remove_file(&data)
                .with_context(|| format!("cannot remove {}", data.display()))?;
        }
        let pids = pids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let mut command = tied("perf");
        command.args(["record", "-F", "1999", "--call-graph", "fp", "-p", &pids, "-o"]).arg(&data);
        let mut perf = Running::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()))?;
        let started = Instant::now();
        // It makes the file once it is attached.
        while !data.exists() {
            if let Some(status) = perf.ended()? {
                bail!(
                    "perf record ended at once ({status}): is perf installed, and \
                     /proc/sys/kernel/perf_event_paranoid low enough?"
                );
            }
            if started.elapsed() > PATIENCE {
                bail!("perf record did not attach within {PATIENCE:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { perf, data })
    }

    /// Ends it and answers where the data are.
    pub(super) async fn end(mut self) -> anyhow::Result<PathBuf> {
        let id = self.perf.id().context("perf record ended by itself")?;
        let pid = Pid::from_raw(i32::try_from(id)?).context("no process id")?;
        kill_process(pid, Signal::INT).context("cannot stop perf")?;
        tokio::time::timeout(PATIENCE, self.perf.wait()).await.context("perf does not stop")??;
        Ok(self.data)
    }
}
