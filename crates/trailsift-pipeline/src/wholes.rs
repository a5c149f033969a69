use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::budget::Budget;

/// How long an object waits for the room to be read whole. Then it is read in pieces, which takes
/// twice the time of a core, but no room. Where room comes and goes, some is free again by then; where
/// others' bodies drip or their sinks are stuck, every object waits in vain.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long an object waits for the room for a window, without which it cannot be read.
const WINDOW_PATIENCE: Duration = Duration::from_secs(5);

/// What inflating zstd may take besides what every worker has room for: the largest window of a frame
/// that is read, and blocks.
const ZSTD_BYTES: usize = 9 << 20;

/// The bytes that an account has beyond what every worker has room for: for objects that are read
/// whole although they are larger, since an object that is sifted at once, and not in pieces, costs
/// half; and for the windows of zstd, in which CloudTrail writes nothing, but others may.
#[derive(Debug)]
pub(crate) struct Wholes {
    bytes: Arc<Semaphore>,
    /// Somebody waited in vain, and no room came back since.
    stuck: Arc<AtomicBool>,
    /// What a worker has room for by itself.
    own: usize,
    largest: usize,
    window: usize,
}

/// The room for one object, until it is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    /// How large the object is, as stored.
    pub(crate) bytes: usize,
    _taken: OwnedSemaphorePermit,
    stuck: Arc<AtomicBool>,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.stuck.store(false, Ordering::Relaxed);
    }
}

impl Wholes {
    pub(crate) fn new(budget: &Budget) -> Self {
        let pool = budget.whole_pool_bytes.min(Semaphore::MAX_PERMITS);
        Self {
            bytes: Arc::new(Semaphore::new(pool)),
            stuck: Arc::default(),
            own: budget.chunk_bytes,
            largest: budget.whole_bytes.min(pool),
            window: ZSTD_BYTES.min(pool),
        }
    }

    /// The room for an object of this size to be read whole. `None`: it needs none, or gets none.
    pub(crate) async fn room_for(&self, size: Option<u64>) -> Option<Room> {
        let bytes = usize::try_from(size?).ok()?;
        if bytes <= self.own || bytes > self.largest {
            return None;
        }
        let patience = if self.stuck.load(Ordering::Relaxed) { Duration::ZERO } else { PATIENCE };
        let room = self.take(bytes, patience).await;
        if room.is_none() {
            self.stuck.store(true, Ordering::Relaxed);
        }
        room
    }

    /// The room for a window of zstd. `None`: there is none at present.
    pub(crate) async fn room_for_window(&self) -> Option<Room> {
        self.take(self.window, WINDOW_PATIENCE).await
    }

    async fn take(&self, bytes: usize, patience: Duration) -> Option<Room> {
        let taking = Arc::clone(&self.bytes).acquire_many_owned(u32::try_from(bytes).ok()?);
        let taken = timeout(patience, taking).await.ok()?.ok()?;
        Some(Room { bytes, _taken: taken, stuck: Arc::clone(&self.stuck) })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const MIB: usize = 1 << 20;

    fn wholes() -> Wholes {
        Wholes::new(&Budget::plan(64 * MIB, 8, 2, MIB))
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_that_finds_no_room_does_not_wait_for_long() {
        let wholes = wholes();
        let size = Some(2 * MIB as u64);
        let first = wholes.room_for(size).await.expect("4 MiB are free");
        let second = wholes.room_for(size).await.expect("2 MiB are free");
        let asked = Instant::now();
        assert!(wholes.room_for(size).await.is_none());
        assert_eq!(asked.elapsed(), PATIENCE);
        // Nor does the next one: it would wait for the same room.
        assert!(wholes.room_for(size).await.is_none());
        assert_eq!(asked.elapsed(), PATIENCE);
        drop(first);
        assert_eq!(wholes.room_for(size).await.expect("2 MiB are free").bytes, 2 * MIB);
        drop(second);
    }

    #[tokio::test(start_paused = true)]
    async fn windows_are_bounded_and_one_finds_room_however_little_there_is() {
        for (memory, at_once) in [(256 * MIB, 3), (64 * MIB, 1), (4 * MIB, 1)] {
            let wholes = Wholes::new(&Budget::plan(memory, 8, 1, MIB));
            let mut windows = Vec::new();
            while let Some(window) = wholes.room_for_window().await {
                windows.push(window);
            }
            assert_eq!(windows.len(), at_once, "{memory}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_objects_between_a_workers_own_room_and_the_largest_take_any() {
        let wholes = wholes();
        let begun = Instant::now();
        for (size, takes) in [
            (0, false),
            (512 << 10, false),
            ((512 << 10) + 1, true),
            (4 * MIB, true),
            (4 * MIB + 1, false),
            (usize::MAX, false),
        ] {
            assert_eq!(wholes.room_for(Some(size as u64)).await.is_some(), takes, "{size}");
        }
        assert!(wholes.room_for(None).await.is_none());
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
