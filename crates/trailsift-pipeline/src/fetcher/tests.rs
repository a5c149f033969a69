use prometheus::Registry;
use trailsift_testkit::{MemoryStore, StoreFault};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const CHUNK: usize = 512 << 10;

fn file() -> LogFile {
    LogFile { bucket: "b".into(), key: "k".into(), version_id: None, expected_owner: None }
}

fn store(size: usize) -> MemoryStore {
    let store = MemoryStore::new();
    store.put("b", "k", vec![b'x'; size]);
    store
}

fn metrics() -> PipelineMetrics {
    PipelineMetrics::register(&Registry::new()).expect("a fresh registry")
}

#[tokio::test(start_paused = true)]
async fn what_the_bytes_go_through_between_two_reads_is_not_counted_against_the_body() {
    let (store, metrics, file) = (store(4 * CHUNK), metrics(), file());
    store.fault("b", "k", StoreFault::Drip { bytes: 64 << 10, every: SECOND });
    let mut reading = Reading::open(&store, &file, &metrics).await.expect("it opens");
    let mut length = 0;
    while !reading.is_ended() {
        let parts = reading.next(CHUNK).await.expect("no fault");
        length += parts.iter().map(Bytes::len).sum::<usize>();
        // A sink takes its time, longer than any deadline of a body.
        sleep(3600 * SECOND).await;
    }
    assert_eq!(length, 4 * CHUNK);
    assert_eq!(metrics.ports.body_timeouts.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_object_past_its_deadline_is_not_resumed() {
    let (store, metrics, file) = (store(64 * CHUNK), metrics(), file());
    store.fault("b", "k", StoreFault::Drip { bytes: 64 << 10, every: 14 * SECOND });
    let mut reading = Reading::open(&store, &file, &metrics).await.expect("it opens");
    let begun = Instant::now();
    let error = loop {
        match reading.next(CHUNK).await {
            Ok(parts) if !parts.is_empty() => {}
            Ok(_) => panic!("64 KiB in 14 s take 7,168 s, and 2,648 are granted"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::Interrupted(_)), "{error}");
    // The 59th drop came after 826 s and had earned 4 s each: 836 are granted, not the next one's 840.
    assert_eq!(begun.elapsed(), 836 * SECOND);
    assert_eq!((metrics.ports.body_timeouts.get(), store.requests().len()), (1, 1));
}

/// Each part keeps the buffer alive that it was read into: a body in crumbs would take a hundred times its
/// size.
#[tokio::test(start_paused = true)]
async fn small_parts_of_a_body_are_copied_together() {
    let (store, metrics, file) = (store(100_000), metrics(), file());
    store.fault("b", "k", StoreFault::Drip { bytes: 10, every: Duration::from_millis(1) });
    let mut reading = Reading::open(&store, &file, &metrics).await.expect("it opens");
    let parts = reading.next(CHUNK).await.expect("no fault");
    assert_eq!(parts.iter().map(Bytes::len).collect::<Vec<_>>(), [100_000]);
    assert!(reading.is_ended());
}

#[tokio::test]
async fn an_object_that_is_read_whole_comes_in_one_piece_with_its_end() {
    let (metrics, file) = (metrics(), file());
    for size in [CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7] {
        let store = store(size);
        let mut reading = Reading::open(&store, &file, &metrics).await.expect("it opens");
        let parts = reading.whole(Vec::new(), size, CHUNK).await.expect("no fault");
        assert_eq!(parts.iter().map(Bytes::len).collect::<Vec<_>>(), [size]);
        assert!(reading.is_ended());
    }
}

#[tokio::test]
async fn an_object_that_is_larger_than_it_said_is_not_read_on_and_on() {
    let (store, metrics, file) = (store(16 * CHUNK), metrics(), file());
    let mut reading = Reading::open(&store, &file, &metrics).await.expect("it opens");
    let mut length = 0;
    let parts = reading.whole(Vec::new(), CHUNK + 1, CHUNK).await.expect("no fault");
    length += parts.iter().map(Bytes::len).sum::<usize>();
    assert!(length <= 4 * CHUNK && !reading.is_ended(), "{length}");
    while !reading.is_ended() {
        length +=
            reading.next(CHUNK).await.expect("no fault").iter().map(Bytes::len).sum::<usize>();
    }
    assert_eq!(length, 16 * CHUNK);
}
