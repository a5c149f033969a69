//! How many files and connections this process may have open, and what it does about too few.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the process has open whatever it does: the runtime, logs, locks, the ledger, the queues' polls.
const BASE: u64 = 32;
/// What the admin port may take.
const ADMIN: u64 = crate::admin::CONNECTIONS as u64;
/// What one sink may take: its batches in flight, its check, a rotated file.
const PER_SINK: u64 = 16;
/// What one worker may take: the read of an object, and a call to the queue.
const PER_WORKER: u64 = 2;

/// Raises the limit as far as this process may, and returns it. `None` where there is none.
pub(crate) fn raise_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files stays as it is");
            current
        }
    }
}

/// How many of `workers` that limit feeds, at least one for each account.
///
/// Idle connections are kept for the next request, so workers without a limit would in the end hold
/// every descriptor with connections to S3, and none would be left to delete a message with.
pub(crate) fn affordable(
    limit: Option<u64>,
    workers: usize,
    accounts: usize,
    sinks: usize,
) -> usize {
    let Some(limit) = limit else { return workers };
    let taken = BASE + ADMIN + PER_SINK.saturating_mul(sinks as u64);
    let fed = limit.saturating_sub(taken) / PER_WORKER;
    workers.min(usize::try_from(fed).unwrap_or(usize::MAX).max(accounts).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_descriptors_mean_fewer_workers_and_never_none() {
        assert_eq!(affordable(None, 64, 1, 1), 64);
        assert_eq!(affordable(Some(1024), 64, 1, 3), 64);
        assert_eq!(affordable(Some(1024), 1000, 1, 3), 440);
        assert_eq!(affordable(Some(256), 64, 1, 2), 64);
        assert_eq!(affordable(Some(200), 64, 1, 2), 36);
        assert_eq!(affordable(Some(32), 64, 1, 2), 1);
        assert_eq!(affordable(Some(32), 64, 3, 2), 3);
    }
}
