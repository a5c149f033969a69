use futures::TryStreamExt;
use tokio::time::timeout;

use super::*;
use crate::conformance::{self, BucketUnderTest, StoreFactory};

struct Fakes;
struct FakeBucket(MemoryStore);

const OWNER: &str = "111122223333";

#[async_trait]
impl StoreFactory for Fakes {
    async fn make(&self, versioned: bool) -> Box<dyn BucketUnderTest> {
        let store = MemoryStore::new();
        store.owned_by("b", OWNER);
        if versioned {
            store.versioned("b");
        }
        Box::new(FakeBucket(store))
    }
}

#[async_trait]
impl BucketUnderTest for FakeBucket {
    fn port(&self) -> &dyn ObjectStore {
        &self.0
    }
    fn name(&self) -> &str {
        "b"
    }
    fn owner(&self) -> &str {
        OWNER
    }
    async fn put(&self, key: &str, bytes: Bytes) {
        self.0.put("b", key, bytes);
    }
    async fn delete(&self, key: &str) {
        self.0.delete("b", key);
    }
    async fn delete_version(&self, key: &str, version_id: &str) {
        self.0.delete_version("b", key, version_id);
    }
}

fn file() -> LogFile {
    LogFile { bucket: "b".into(), key: "k".into(), version_id: None, expected_owner: None }
}

fn store() -> MemoryStore {
    let store = MemoryStore::new();
    store.put("b", "k", "0123456789");
    store
}

async fn read(store: &MemoryStore) -> (Vec<u8>, Option<StoreError>) {
    let mut body = store.open(&file(), None).await.expect("the object opens").body;
    let mut bytes = Vec::new();
    loop {
        match body.try_next().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => return (bytes, None),
            Err(error) => return (bytes, Some(error)),
        }
    }
}

#[tokio::test]
async fn keeps_the_promises_of_the_port() {
    let report = conformance::object_store(&Fakes).await;
    report.assert_passed();
    assert!(report.skipped().is_empty(), "{report}");
}

#[tokio::test]
async fn a_fault_hits_one_read_and_a_rule_the_others() {
    let store = store();
    store.fault_by("b", "k", || Some(StoreFault::Error(StoreError::Denied("no".into()))));
    store.fault("b", "k", StoreFault::BreakAfter(4));
    let (bytes, error) = read(&store).await;
    assert_eq!(bytes, b"0123");
    assert!(matches!(error, Some(StoreError::Interrupted(_))), "{error:?}");
    for _ in 0..2 {
        let answer = store.open(&file(), None).await;
        assert!(matches!(answer, Err(StoreError::Denied(_))), "{answer:?}");
    }
    store.heal();
    assert_eq!(read(&store).await.0, b"0123456789");
    assert_eq!(store.requests().len(), 4);
}

#[tokio::test]
async fn a_body_may_end_early_without_a_word() {
    let store = store();
    store.fault("b", "k", StoreFault::EndAfter(3));
    let (bytes, error) = read(&store).await;
    assert_eq!(bytes, b"012");
    assert!(error.is_none(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_body_stalls_or_drips_and_an_open_hangs() {
    let (store, hour) = (store(), Duration::from_secs(3600));
    store.fault("b", "k", StoreFault::StallAfter(3));
    assert!(timeout(hour, read(&store)).await.is_err());
    store.fault("b", "k", StoreFault::Hang);
    assert!(timeout(hour, read(&store)).await.is_err());
    store.fault("b", "k", StoreFault::Drip { bytes: 2, every: Duration::from_secs(1) });
    let started = Instant::now();
    assert_eq!(read(&store).await.0, b"0123456789");
    assert_eq!(started.elapsed(), Duration::from_secs(5));
}

#[tokio::test]
async fn bodies_come_in_the_chunks_that_were_asked_for() {
    let store = store();
    store.chunk_size(4);
    let body = store.open(&file(), None).await.expect("open").body;
    let chunks: Vec<Bytes> = body.try_collect().await.expect("a clean body");
    assert_eq!(chunks, ["0123", "4567", "89"]);
}

#[tokio::test]
async fn equal_content_has_equal_tags_and_versions_differ() {
    let store = MemoryStore::new();
    store.versioned("b");
    let (first, second) = (store.put("b", "k", "x"), store.put("b", "k", "x"));
    assert_eq!(first.etag, second.etag);
    assert_ne!(first.version_id, second.version_id);
}
