use std::io;
use std::process;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// SIGTERM and SIGINT, caught from the moment this exists.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Catches both signals.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The first signal orders a drain. The second one ends the process at once, with the exit code
    /// that a shell would show for it.
    pub(super) async fn obey(mut self, drain: CancellationToken) {
        let name = if self.next().await == 15 { "SIGTERM" } else { "SIGINT" };
        tracing::info!(signal = name, "stopping: a second signal ends at once");
        drain.cancel();
        let number = self.next().await;
        tracing::warn!("second signal: ending now, messages in flight come again");
        process::exit(128 + number);
    }

    async fn next(&mut self) -> i32 {
        // Cancel safety: a signal that is not taken here is taken by the next call.
        tokio::select! {
            _ = self.terminate.recv() => 15,
            _ = self.interrupt.recv() => 2,
        }
    }
}
