use crate::rendering::GROWTH;

/// What a worker needs besides the records that it holds: the inflater's window and buffers.
const FIXED_BYTES: usize = 512 * 1024;
/// How many stored bytes travel to the CPU pool at once.
const CHUNK_BYTES: usize = 512 * 1024;
/// The largest object, as stored, that is read whole: trail files are a tenth of what they inflate
/// to, and what inflates beyond [`ONE_SHOT_BYTES`] is inflated in pieces anyway.
const WHOLE_BYTES: usize = 4 << 20;
/// The largest object, inflated, that a core inflates at once. The largest files that CloudTrail
/// writes have 10 to 12 MiB.
const ONE_SHOT_BYTES: usize = 16 << 20;

/// How the byte budget `memory` is divided: three quarters among the workers, one eighth among the
/// cores, one eighth among the accounts.
///
/// Every worker owns an equal share for good: nobody waits for memory that it cannot do without, and
/// no stuck sink, account or object can take another's share. A share holds one chunk of stored
/// bytes, the inflater, one unfinished record and the selected records of one file; what a file
/// selects beyond that leaves before the file's end is verified.
///
/// Where sinks have formats, events take memory besides their records'. Of what a worker holds each
/// such sink has an equal part then ([`Budget::formatting`]), for as many events as it can take at once;
/// and from the accounts' part comes a room for each of these sinks, for events that are larger.
///
/// The rest is for speed alone. What the cores have holds one inflated object each, for objects that
/// are inflated at once; what the accounts have holds the stored bytes of such objects that are larger
/// than a chunk. An object that finds no room is read in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How many workers each account gets.
    pub workers_per_account: usize,
    /// How many stored bytes are read before they are sifted.
    pub chunk_bytes: usize,
    /// How many bytes of selected records one worker holds.
    pub held_bytes: usize,
    /// How many stored bytes of objects that are read whole one account holds beyond its workers'
    /// shares.
    pub whole_pool_bytes: usize,
    /// The largest object, as stored, that is read whole.
    pub whole_bytes: usize,
    /// How many bytes of formatted events each worker holds for each sink that has a format.
    pub portion_bytes: usize,
    /// How many bytes of larger events each sink that has a format holds, whoever they are of.
    pub large_bytes: usize,
}

impl Budget {
    /// The least `memory` that one worker can do with.
    pub const fn least_memory(max_record: usize) -> usize {
        let share = Self::least_share(max_record);
        share + share.div_ceil(3)
    }

    /// The least share that one worker can do with.
    const fn least_share(max_record: usize) -> usize {
        FIXED_BYTES + CHUNK_BYTES + 2 * max_record
    }

    /// The largest object, inflated, that each of so many cores inflates at once.
    pub fn one_shot_bytes(memory: usize, cores: usize) -> usize {
        (memory / 8 / cores.max(1)).min(ONE_SHOT_BYTES)
    }

    /// Divides `memory` among at most `workers` workers of `accounts` accounts. Each account gets
    /// at least one worker, also where there is too little memory for that; where the shares would be
    /// too small there are fewer workers.
    pub fn plan(memory: usize, workers: usize, accounts: usize, max_record: usize) -> Self {
        let accounts = accounts.max(1);
        let shared = memory - memory / 4;
        let affordable = (shared / Self::least_share(max_record)).max(1);
        let workers_per_account = (workers.min(affordable) / accounts).max(1);
        let share = shared / (workers_per_account * accounts);
        let held = share.saturating_sub(FIXED_BYTES + CHUNK_BYTES + max_record);
        Self {
            workers_per_account,
            chunk_bytes: CHUNK_BYTES,
            held_bytes: held.max(max_record),
            whole_pool_bytes: memory / 8 / accounts,
            whole_bytes: WHOLE_BYTES,
            portion_bytes: 0,
            large_bytes: 0,
        }
    }

    /// The same for so many sinks that have a format other than the record's own bytes: no worker
    /// less, but records leave in smaller parts. `plan` was asked for the same `accounts` and
    /// `max_record`.
    pub fn formatting(self, sinks: usize, accounts: usize, max_record: usize) -> Self {
        if sinks == 0 {
            return self;
        }
        let part = self.held_bytes / (sinks + 1);
        let pool = self.whole_pool_bytes * accounts.max(1);
        let large = max_record.saturating_mul(GROWTH).min(pool / 2 / sinks);
        Self {
            held_bytes: part,
            portion_bytes: part,
            large_bytes: large,
            whole_pool_bytes: (pool - large * sinks) / accounts.max(1),
            ..self
        }
    }

    /// How many messages may wait for each of so many sinks to fill its batch, at least 1: half of an
    /// account's workers for all of them, however long a batch lingers.
    pub fn lingering_per_sink(&self, sinks: usize) -> usize {
        (self.workers_per_account / (2 * sinks.max(1))).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn the_default_budget_carries_the_default_workers() {
        let budget = Budget::plan(256 * MIB, 64, 1, MIB);
        assert_eq!((budget.workers_per_account, budget.held_bytes), (64, MIB));
        assert_eq!(Budget::plan(256 * MIB, 64, 4, MIB).workers_per_account, 16);
    }

    #[test]
    fn little_memory_means_fewer_workers_and_never_none() {
        assert_eq!(Budget::plan(32 * MIB, 64, 1, MIB).workers_per_account, 8);
        let tiny = Budget::plan(MIB, 64, 3, MIB);
        assert_eq!((tiny.workers_per_account, tiny.held_bytes), (1, MIB));
    }

    #[test]
    fn all_parts_together_are_no_more_than_the_budget() {
        for (memory, workers, accounts, cores) in [
            (256 * MIB, 64, 1, 2),
            (64 * MIB, 64, 3, 64),
            (1 << 30, 300, 7, 1),
            (12 * MIB, 2, 3, 4),
        ] {
            let plain = Budget::plan(memory, workers, accounts, MIB);
            for sinks in [0, 1, 3, 20] {
                let budget = plain.formatting(sinks, accounts, MIB);
                let held = budget.held_bytes + sinks * budget.portion_bytes;
                let share = FIXED_BYTES + budget.chunk_bytes + MIB + held;
                let workers = accounts * budget.workers_per_account * share;
                let wholes = accounts * budget.whole_pool_bytes + sinks * budget.large_bytes;
                let cores = cores * Budget::one_shot_bytes(memory, cores);
                let sum = workers + wholes + cores;
                assert!(sum <= memory, "{sum} of {memory} with {sinks}");
                assert_eq!(budget.workers_per_account, plain.workers_per_account);
            }
        }
    }

    #[test]
    fn sinks_with_formats_share_what_a_worker_holds() {
        let plain = Budget::plan(256 * MIB, 64, 1, MIB);
        assert_eq!(plain.formatting(0, 1, MIB), plain);
        let budget = plain.formatting(3, 1, MIB);
        assert_eq!((budget.held_bytes, budget.portion_bytes), (MIB / 4, MIB / 4));
        assert_eq!((budget.large_bytes, budget.whole_pool_bytes), (16 * MIB / 3, 16 * MIB + 1));
        let little = Budget::plan(64 * MIB, 16, 1, MIB).formatting(4, 1, MIB);
        assert_eq!((little.large_bytes, little.whole_pool_bytes), (MIB, 4 * MIB));
    }

    #[test]
    fn the_least_memory_of_a_worker_is_enough_for_one() {
        for max_record in [1, 4096, MIB, 3 * MIB + 1] {
            let least = Budget::least_memory(max_record);
            assert!((least - least / 4) / Budget::least_share(max_record) == 1, "{max_record}");
            let all = 5 * least;
            assert_eq!(Budget::plan(all, 64, 5, max_record).workers_per_account, 1);
            assert!(Budget::plan(all, 64, 1, max_record).workers_per_account >= 5);
        }
    }
}
