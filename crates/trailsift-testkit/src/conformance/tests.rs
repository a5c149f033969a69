//! The suites are worth something only if they catch an implementation that breaks its promise.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;
use trailsift_core::{
    LogFile, Message, ObjectStore, OpenObject, Queue, QueueError, QueueStatus, Receipt, Resume,
    StoreError,
};

use super::*;
use crate::{MemoryQueue, MemoryStore, QueueSettings};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    SaysDeletedAndKeeps,
    ExtendsNothing,
    ReleasesNothing,
    LeasesLongerThanTheQueue,
    ReturnsMoreThanAsked,
    PollsWithoutWaiting,
    IgnoresTheOffset,
    IgnoresTheEntityTag,
    IgnoresTheVersion,
    CallsEverythingDenied,
}

#[derive(Debug)]
struct Liar<T> {
    honest: T,
    lie: Lie,
}

#[async_trait]
impl Queue for Liar<MemoryQueue> {
    async fn status(&self) -> Result<QueueStatus, QueueError> {
        self.honest.status().await
    }

    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Message>, QueueError> {
        let max = if self.lie == Lie::ReturnsMoreThanAsked { 10 } else { max };
        let wait = if self.lie == Lie::PollsWithoutWaiting { Duration::ZERO } else { wait };
        let mut messages = self.honest.receive(max, wait).await?;
        if self.lie == Lie::LeasesLongerThanTheQueue {
            messages.iter_mut().for_each(|message| message.lease_until += Duration::from_secs(1));
        }
        Ok(messages)
    }

    async fn extend(&self, receipt: &Receipt, by: Duration) -> Result<Instant, QueueError> {
        if self.lie == Lie::ExtendsNothing {
            return Ok(Instant::now() + by);
        }
        self.honest.extend(receipt, by).await
    }

    async fn release(&self, receipt: &Receipt, after: Duration) -> Result<(), QueueError> {
        if self.lie == Lie::ReleasesNothing {
            return Ok(());
        }
        self.honest.release(receipt, after).await
    }

    async fn delete(
        &self,
        receipts: &[Receipt],
    ) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        if self.lie == Lie::SaysDeletedAndKeeps {
            return Ok(receipts.iter().map(|_| Ok(())).collect());
        }
        self.honest.delete(receipts).await
    }
}

#[async_trait]
impl QueueUnderTest for Liar<MemoryQueue> {
    fn port(&self) -> &dyn Queue {
        self
    }
    async fn send(&self, body: &str) {
        self.honest.send(body);
    }
    async fn dead_letters(&self) -> Vec<String> {
        self.honest.dead_letters().into_iter().map(|letter| letter.body).collect()
    }
}

#[async_trait]
impl ObjectStore for Liar<MemoryStore> {
    async fn open(&self, file: &LogFile, from: Option<&Resume>) -> Result<OpenObject, StoreError> {
        let (mut file, mut from) = (file.clone(), from.cloned());
        match (self.lie, &mut from) {
            (Lie::IgnoresTheOffset, Some(from)) => from.offset = 0,
            (Lie::IgnoresTheEntityTag, Some(from)) => {
                from.etag = self.honest.open(&file, None).await?.etag.unwrap_or_default();
            }
            (Lie::IgnoresTheVersion, _) => file.version_id = None,
            _ => {}
        }
        let answer = self.honest.open(&file, from.as_ref()).await;
        match self.lie {
            Lie::CallsEverythingDenied => {
                answer.map_err(|error| StoreError::Denied(error.to_string()))
            }
            _ => answer,
        }
    }
}

#[async_trait]
impl BucketUnderTest for Liar<MemoryStore> {
    fn port(&self) -> &dyn ObjectStore {
        self
    }
    fn name(&self) -> &str {
        "b"
    }
    fn owner(&self) -> &str {
        "111122223333"
    }
    async fn put(&self, key: &str, bytes: Bytes) {
        self.honest.put("b", key, bytes);
    }
    async fn delete(&self, key: &str) {
        self.honest.delete("b", key);
    }
    async fn delete_version(&self, key: &str, version_id: &str) {
        self.honest.delete_version("b", key, version_id);
    }
}

#[async_trait]
impl QueueFactory for Lie {
    async fn make(&self, settings: QueueSettings) -> Box<dyn QueueUnderTest> {
        Box::new(Liar { honest: MemoryQueue::with(settings), lie: *self })
    }
}

#[async_trait]
impl StoreFactory for Lie {
    async fn make(&self, versioned: bool) -> Box<dyn BucketUnderTest> {
        let store = MemoryStore::new();
        if versioned {
            store.versioned("b");
        }
        Box::new(Liar { honest: store, lie: *self })
    }

    fn gaps(&self) -> &[Gap] {
        &[Gap::ExpectedOwnerIgnored]
    }
}

fn assert_caught(report: &Report, check: &str, lie: Lie) {
    let failed = format!("FAILED {check}:");
    assert!(report.to_string().contains(&failed), "{lie:?} is not caught by {check}: {report}");
}

#[tokio::test(start_paused = true)]
async fn a_lying_queue_is_caught() {
    for (lie, check) in [
        (Lie::SaysDeletedAndKeeps, "a_deleted_message_never_comes_back"),
        (Lie::ExtendsNothing, "an_extended_lease_hides_the_message_for_longer"),
        (Lie::ReleasesNothing, "a_released_message_comes_back_at_once"),
        (Lie::LeasesLongerThanTheQueue, "a_message_arrives_with_all_it_carries"),
        (Lie::ReturnsMoreThanAsked, "a_receive_returns_no_more_than_asked_for"),
        (Lie::PollsWithoutWaiting, "an_empty_queue_answers_nothing_and_no_error"),
    ] {
        assert_caught(&queue(&lie).await, check, lie);
    }
}

#[tokio::test]
async fn a_lying_store_is_caught() {
    for (lie, check) in [
        (Lie::IgnoresTheOffset, "a_read_goes_on_where_it_broke"),
        (Lie::IgnoresTheEntityTag, "an_overwritten_object_is_not_resumed"),
        (Lie::IgnoresTheVersion, "a_version_is_read_though_newer_ones_exist"),
        (Lie::CallsEverythingDenied, "a_missing_object_is_not_found"),
    ] {
        assert_caught(&object_store(&lie).await, check, lie);
    }
}
