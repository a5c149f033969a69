//! The stub keeps the promises of both ports, asked by the real clients.
//!
//! Those take their credentials from the environment, as every AWS tool does. A test cannot set
//! that for itself without unsafe code, so each runs in a process of its own.

use std::process::Command;

use async_trait::async_trait;
use bytes::Bytes;
use trailsift_aws::{Account, AccountSettings, Connector};
use trailsift_core::{ObjectStore, Queue};
use trailsift_stub::{Checksum, Counts, Stub};
use trailsift_testkit::conformance::{
    self, BucketUnderTest, QueueFactory, QueueUnderTest, StoreFactory,
};
use trailsift_testkit::{MemoryQueue, QueueSettings};

const CHILD: &str = "TRAILSIFT_STUB_TEST_CHILD";

/// Whether this process is the one that has the credentials. If not, it has run that one, and the
/// test of this name succeeded there.
fn has_credentials(test: &str) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let mut child = Command::new(std::env::current_exe().expect("this program"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            child.env_remove(name);
        }
    }
    child.env(CHILD, "1").env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    child.env("AWS_EC2_METADATA_DISABLED", "true");
    let child = child.args(["--exact", test, "--nocapture"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}\n{}", String::from_utf8_lossy(&child.stderr));
    assert!(said.contains("1 passed"), "no test is named {test}:\n{said}");
    false
}

async fn account(stub: &Stub, queue_url: &str) -> Account {
    let settings = AccountSettings {
        id: "111122223333".to_owned(),
        region: "us-east-1".to_owned(),
        bucket_regions: [].into(),
        known_regions: [].into(),
        queue_url: queue_url.to_owned(),
        role_arn: None,
        external_id: None,
        endpoint_url: Some(stub.endpoint()),
    };
    Connector::load("us-east-1").await.connect(&settings).await
}

struct Stubs;

struct QueueOfStub {
    account: Account,
    queue: MemoryQueue,
    _stub: Stub,
}

#[async_trait]
impl QueueFactory for Stubs {
    async fn make(&self, settings: QueueSettings) -> Box<dyn QueueUnderTest> {
        let stub = Stub::start().expect("it starts");
        let queue = MemoryQueue::with(settings);
        let url = stub.add_queue("trail", queue.clone());
        Box::new(QueueOfStub { account: account(&stub, &url).await, queue, _stub: stub })
    }
}

#[async_trait]
impl QueueUnderTest for QueueOfStub {
    fn port(&self) -> &dyn Queue {
        &self.account.queue
    }

    async fn send(&self, body: &str) {
        self.queue.send(body);
    }

    async fn dead_letters(&self) -> Vec<String> {
        self.queue.dead_letters().into_iter().map(|letter| letter.body).collect()
    }
}

const BUCKET: &str = "org-trail";
const OWNER: &str = "999988887777";

struct BucketOfStub {
    account: Account,
    stub: Stub,
}

struct Checked(Checksum);

#[async_trait]
impl StoreFactory for Checked {
    async fn make(&self, versioned: bool) -> Box<dyn BucketUnderTest> {
        let stub = Stub::start().expect("it starts");
        stub.store().owned_by(BUCKET, OWNER);
        if versioned {
            stub.store().versioned(BUCKET);
        }
        let url = stub.add_queue("trail", MemoryQueue::new());
        let account = account(&stub, &url).await;
        Box::new(BucketWithSum { bucket: BucketOfStub { account, stub }, checksum: self.0 })
    }
}

struct BucketWithSum {
    bucket: BucketOfStub,
    checksum: Checksum,
}

#[async_trait]
impl BucketUnderTest for BucketWithSum {
    fn port(&self) -> &dyn ObjectStore {
        &self.bucket.account.store
    }

    fn name(&self) -> &str {
        BUCKET
    }

    fn owner(&self) -> &str {
        OWNER
    }

    async fn put(&self, key: &str, bytes: Bytes) {
        self.bucket.stub.put(BUCKET, key, bytes, self.checksum);
    }

    async fn delete(&self, key: &str) {
        self.bucket.stub.store().delete(BUCKET, key);
    }

    async fn delete_version(&self, key: &str, version_id: &str) {
        self.bucket.stub.store().delete_version(BUCKET, key, version_id);
    }
}

#[tokio::test]
async fn the_queue_keeps_the_promises_of_its_port() {
    if !has_credentials("the_queue_keeps_the_promises_of_its_port") {
        return;
    }
    let report = conformance::queue(&Stubs).await;
    println!("{report}");
    assert!(report.skipped().is_empty(), "{report}");
    report.assert_passed();
}

#[tokio::test]
async fn the_store_keeps_the_promises_of_its_port_with_any_checksum() {
    if !has_credentials("the_store_keeps_the_promises_of_its_port_with_any_checksum") {
        return;
    }
    for checksum in [Checksum::None, Checksum::Crc32, Checksum::Crc64Nvme] {
        let report = conformance::object_store(&Checked(checksum)).await;
        println!("{checksum:?}: {report}");
        assert!(report.skipped().is_empty(), "{report}");
        report.assert_passed();
    }
}

#[tokio::test]
async fn requests_are_counted_by_operation() {
    if !has_credentials("requests_are_counted_by_operation") {
        return;
    }
    let stub = Stub::start().expect("it starts");
    let queue = MemoryQueue::new();
    let url = stub.add_queue("trail", queue.clone());
    let Account { queue: port, store } = account(&stub, &url).await;
    let object = stub.put(BUCKET, "key", "0123456789", Checksum::Crc32);
    queue.send(trailsift_stub::notification(BUCKET, "key", 10, &object.etag));

    let file = trailsift_core::LogFile {
        bucket: BUCKET.to_owned(),
        key: "key".to_owned(),
        version_id: None,
        expected_owner: None,
    };
    let message = port.receive(10, std::time::Duration::ZERO).await.expect("an answer").remove(0);
    store.open(&file, None).await.expect("the object");
    port.extend(&message.receipt, std::time::Duration::from_secs(60)).await.expect("a lease");
    let deleted = port.delete(&[message.receipt]).await.expect("an answer");
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");

    let expected = Counts {
        get_object: 1,
        object_bytes: 10,
        receive: 1,
        received_messages: 1,
        delete: 1,
        deleted_receipts: 1,
        change_visibility: 1,
        changed_receipts: 1,
        // The visibility timeout is asked for before the first receive.
        get_attributes: 1,
        ..Counts::default()
    };
    assert_eq!(stub.counts(), expected);
}
