/// What a worker needs besides the records that it holds: the inflater's window and buffers.
const FIXED_BYTES: usize = 512 * 1024;
/// How many stored bytes travel to the CPU pool at once.
const CHUNK_BYTES: usize = 512 * 1024;

/// How the byte budget `memory` is divided: every worker owns an equal share for good.
///
/// No pool, so nobody waits for memory and no stuck sink, account or object can take another's
/// share. A share holds one chunk of stored bytes, the inflater, one unfinished record and the
/// selected records of one file; what a file selects beyond that leaves before the file's end is
/// verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How many workers each account gets.
    pub workers_per_account: usize,
    /// How many stored bytes are read before they are sifted.
    pub chunk_bytes: usize,
    /// How many bytes of selected records one worker holds.
    pub held_bytes: usize,
}

impl Budget {
    /// The least share that one worker can do with.
    pub const fn least_share(max_record: usize) -> usize {
        FIXED_BYTES + CHUNK_BYTES + 2 * max_record
    }

    /// Divides `memory` among at most `workers` workers of `accounts` accounts. Each account gets
    /// at least one worker; where the shares would be too small there are fewer workers.
    pub fn plan(memory: usize, workers: usize, accounts: usize, max_record: usize) -> Self {
        let accounts = accounts.max(1);
        let affordable = (memory / Self::least_share(max_record)).max(1);
        let workers_per_account = (workers.min(affordable) / accounts).max(1);
        let share = memory / (workers_per_account * accounts);
        let held = share.saturating_sub(FIXED_BYTES + CHUNK_BYTES + max_record);
        Self { workers_per_account, chunk_bytes: CHUNK_BYTES, held_bytes: held.max(max_record) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn the_default_budget_carries_the_default_workers() {
        let budget = Budget::plan(256 * MIB, 64, 1, MIB);
        assert_eq!((budget.workers_per_account, budget.held_bytes), (64, 2 * MIB));
        assert_eq!(Budget::plan(256 * MIB, 64, 4, MIB).workers_per_account, 16);
    }

    #[test]
    fn little_memory_means_fewer_workers_and_never_none() {
        assert_eq!(Budget::plan(32 * MIB, 64, 1, MIB).workers_per_account, 10);
        let tiny = Budget::plan(MIB, 64, 3, MIB);
        assert_eq!((tiny.workers_per_account, tiny.held_bytes), (1, MIB));
    }
}
