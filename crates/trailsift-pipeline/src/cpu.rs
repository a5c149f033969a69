use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::sync::Semaphore;

/// Where work that keeps a core busy runs: never on the threads that drive the network.
#[derive(Clone, Debug)]
pub enum Cpu {
    /// On the caller, so that a simulation on paused time stays deterministic.
    Inline,
    /// On blocking threads, at most so many at once.
    Pool(Arc<Semaphore>),
}

impl Cpu {
    /// A pool as wide as the machine.
    pub fn per_core() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::Pool(Arc::new(Semaphore::new(cores)))
    }

    /// Runs `work` and returns its result. A panic in `work` goes on in the caller.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let Self::Pool(cores) = self else { return work() };
        let core = Arc::clone(cores).acquire_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            // Held to the end of the work, also when the caller was cancelled meanwhile.
            let _core = core;
            work()
        });
        match done.await {
            Ok(result) => result,
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            // The runtime is going away, and with it every task that could care.
            Err(_) => std::future::pending().await,
        }
    }
}
