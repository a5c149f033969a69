use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::{mpsc, oneshot};
use trailsift_core::SinkError;

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

/// A thread that owns something whose calls block: a file, a pipe. Jobs run one after the other.
///
/// A thread of its own rather than the runtime's blocking pool, since a write into a full pipe can
/// block for ever, and a runtime waits for its pool when it ends. This thread nobody waits for: it
/// ends when the worker was dropped and the job at hand returns, or with the process.
#[derive(Debug)]
pub(crate) struct Worker<S> {
    jobs: mpsc::Sender<Job<S>>,
}

impl<S: Send + 'static> Worker<S> {
    pub(crate) fn start(state: S) -> io::Result<Self> {
        // Waiting callers hold their own jobs; the channel needs room for no more than the next.
        let (jobs, queue) = mpsc::channel(1);
        std::thread::Builder::new()
            .name("trailsift-sink".into())
            .spawn(move || work(state, queue))?;
        Ok(Self { jobs })
    }

    /// Runs the job on the thread. A job whose caller has gone before its turn is left out: it has
    /// done nothing then, so nothing is written twice for its sake.
    ///
    /// # Errors
    /// If the job panicked: what it did is unknown.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut S) -> R + Send + 'static,
    ) -> Result<R, SinkError> {
        let (reply, answer) = oneshot::channel();
        let job: Job<S> = Box::new(move |state| {
            if reply.is_closed() {
                return;
            }
            // The caller may go while the job runs; then nobody is left to be told.
            drop(reply.send(job(state)));
        });
        let failed = || SinkError::retry("the thread that writes failed, the outcome is unknown");
        self.jobs.send(job).await.map_err(|_| failed())?;
        answer.await.map_err(|_| failed())
    }
}

fn work<S>(mut state: S, mut queue: mpsc::Receiver<Job<S>>) {
    while let Some(job) = queue.blocking_recv() {
        // Unwind safety: a state may be left in the middle of a job only in ways that its next job
        // mends: the appender opens its file anew, standard output ends the broken line.
        if catch_unwind(AssertUnwindSafe(|| job(&mut state))).is_err() {
            tracing::error!("writing panicked; the events count as not written");
        }
    }
}
