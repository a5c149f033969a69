use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;
use trailsift_trail::Scratch;

use crate::budget::Budget;

/// What a simulation inflates at once, in bytes.
const INLINE: usize = 1 << 20;
/// After how long without work the cores keep nothing any more.
const IDLE: Duration = Duration::from_secs(10);
/// How many inflated bytes a brief job may see: a tenth of a millisecond's work, or two.
pub(crate) const BRIEF_BYTES: usize = 128 << 10;

/// Where work that keeps a core busy runs: never on the threads that drive the network.
#[derive(Clone, Debug)]
pub enum Cpu {
    /// On the caller, so that a simulation on paused time stays deterministic.
    Inline,
    /// On blocking threads, at most so many at once.
    Pool(Pool),
}

/// As many jobs at once as there are cores, and what each keeps from one to the next.
#[derive(Clone, Debug)]
pub struct Pool {
    cores: Arc<Semaphore>,
    scratches: Arc<Scratches>,
    one_shot_bytes: usize,
}

/// What is kept from one job to the next.
#[derive(Debug, Default)]
struct Scratches {
    /// One for each core at most.
    kept: Mutex<Vec<Scratch>>,
    /// One for each thread that ever did a brief job at the same time as others, small ones.
    brief: Mutex<Vec<Scratch>>,
    /// How many jobs there were so far.
    jobs: AtomicU64,
}

impl Pool {
    fn new(width: usize, one_shot_bytes: usize) -> Self {
        let cores = Arc::new(Semaphore::new(width));
        Self { cores, scratches: Arc::default(), one_shot_bytes }
    }

    /// Does one job with the scratch of a core that is free. One that panics loses its scratch.
    fn work<T>(&self, job: impl FnOnce(&mut Scratch) -> T) -> T {
        self.scratches.jobs.fetch_add(1, Ordering::Relaxed);
        with_one_of(&self.scratches.kept, self.one_shot_bytes, job)
    }
}

fn with_one_of<T>(
    scratches: &Mutex<Vec<Scratch>>,
    limit: usize,
    job: impl FnOnce(&mut Scratch) -> T,
) -> T {
    let mut scratch = lock(scratches).pop().unwrap_or_else(|| Scratch::new(limit));
    let result = job(&mut scratch);
    lock(scratches).push(scratch);
    result
}

fn lock(scratches: &Mutex<Vec<Scratch>>) -> MutexGuard<'_, Vec<Scratch>> {
    scratches.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cpu {
    /// A pool as wide as the machine. Each core keeps what it takes to inflate an object at once:
    /// the [`Budget`]'s part of `memory` bytes.
    pub fn per_core(memory: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::Pool(Pool::new(cores, Budget::one_shot_bytes(memory, cores)))
    }

    /// A pool of one core, which is busy as long as the permit is held.
    #[cfg(test)]
    pub(crate) async fn one_busy_core() -> (Self, tokio::sync::OwnedSemaphorePermit) {
        let pool = Pool::new(1, INLINE);
        let core = Arc::clone(&pool.cores).acquire_owned().await.expect("never closed");
        (Self::Pool(pool), core)
    }

    /// Runs work that is over in a fraction of a millisecond here and now: [`BRIEF_BYTES`] inflated
    /// at most.
    pub(crate) fn run_briefly<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        match self {
            Self::Inline => work(&mut Scratch::new(BRIEF_BYTES)),
            Self::Pool(pool) => with_one_of(&pool.scratches.brief, BRIEF_BYTES, work),
        }
    }

    /// Gives back what the cores keep whenever there was nothing to do for a while. Never returns.
    pub(crate) async fn tidy(self) {
        let Self::Pool(pool) = self else { return std::future::pending().await };
        let mut seen = 0;
        loop {
            sleep(IDLE).await;
            let jobs = pool.scratches.jobs.load(Ordering::Relaxed);
            if jobs == std::mem::replace(&mut seen, jobs) {
                lock(&pool.scratches.kept).clear();
            }
        }
    }

    /// Runs `work` and returns its result. A panic in `work` goes on in the caller.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Scratch) -> T + Send + 'static,
    ) -> T {
        let Self::Pool(pool) = self else { return work(&mut Scratch::new(INLINE)) };
        let core = Arc::clone(&pool.cores).acquire_owned().await;
        let pool = pool.clone();
        let done = tokio::task::spawn_blocking(move || {
            // Held to the end of the work, also when the caller was cancelled meanwhile.
            let _core = core;
            pool.work(work)
        });
        match done.await {
            Ok(result) => result,
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            // The runtime is going away, and with it every task that could care.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Work that says that it has begun, then waits until it is told to end.
    fn job(
        began: &mpsc::SyncSender<u32>,
        number: u32,
    ) -> (mpsc::SyncSender<()>, impl FnOnce(&mut Scratch) -> u32 + Send + 'static) {
        let (end, ended) = mpsc::sync_channel(1);
        let began = began.clone();
        let work = move |_: &mut Scratch| {
            began.send(number).expect("the test listens");
            ended.recv().expect("the test ends it");
            number
        };
        (end, work)
    }

    #[tokio::test]
    async fn a_pool_runs_no_more_jobs_at_once_than_it_is_wide() {
        let pool = Pool::new(2, 0);
        let cores = Arc::clone(&pool.cores);
        let cpu = Cpu::Pool(pool);
        let (began, begins) = mpsc::sync_channel(8);
        let mut jobs = tokio::task::JoinSet::new();
        let mut ends = Vec::new();
        for number in 0..4 {
            let (end, work) = job(&began, number);
            ends.push(end);
            let cpu = cpu.clone();
            jobs.spawn(async move { cpu.run(work).await });
            tokio::task::yield_now().await;
            if number < 2 {
                assert_eq!(begins.recv(), Ok(number));
            }
            // Whoever has begun still has its core: nothing is left for the others.
            assert_eq!(cores.available_permits(), 1usize.saturating_sub(number as usize));
        }
        assert!(begins.try_recv().is_err());
        ends.iter().for_each(|end| end.send(()).expect("it waits"));
        let mut results = jobs.join_all().await;
        results.sort_unstable();
        assert_eq!((results, cores.available_permits()), (vec![0, 1, 2, 3], 2));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_cores_keep_goes_when_there_was_nothing_to_do_for_a_while() {
        let pool = Pool::new(1, 1 << 20);
        let kept = Arc::clone(&pool.scratches);
        let kept = || lock(&kept.kept).len();
        let cpu = Cpu::Pool(pool.clone());
        let mut tidying = std::pin::pin!(cpu.tidy());
        assert!(futures::poll!(&mut tidying).is_pending());
        for (works, left) in [(true, 1), (true, 1), (false, 0), (false, 0), (true, 1)] {
            if works {
                pool.work(|_| ());
            }
            tokio::time::advance(IDLE).await;
            assert!(futures::poll!(&mut tidying).is_pending());
            assert_eq!(kept(), left, "{works}");
        }
    }

    #[tokio::test]
    async fn work_whose_caller_has_gone_still_has_its_core() {
        let pool = Pool::new(1, 0);
        let cores = Arc::clone(&pool.cores);
        let cpu = Cpu::Pool(pool);
        let (began, begins) = mpsc::sync_channel(1);
        let (end, work) = job(&began, 0);
        {
            let mut caller = std::pin::pin!(cpu.run(work));
            assert!(futures::poll!(&mut caller).is_pending());
            begins.recv().expect("it begins");
        }
        assert_eq!(cores.available_permits(), 0);
        end.send(()).expect("it waits");
        drop(cores.acquire().await.expect("free once the work has ended"));
    }

    #[tokio::test]
    async fn a_panic_in_the_work_goes_on_in_its_caller() {
        use futures::FutureExt as _;

        for cpu in [Cpu::Inline, Cpu::Pool(Pool::new(1, 0))] {
            let work = cpu.run(|_| panic!("as a decoder might"));
            let caught = std::panic::AssertUnwindSafe(work).catch_unwind().await;
            let panic: Box<dyn std::any::Any + Send> =
                caught.map(|()| "it returned").expect_err("it panics");
            assert_eq!(panic.downcast_ref(), Some(&"as a decoder might"));
            assert_eq!(cpu.run(|_| 1).await, 1);
        }
    }
}
