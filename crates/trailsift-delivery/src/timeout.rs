use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use trailsift_core::{Batch, Limits, Sink, SinkError, WriteOutcome};

/// Breaks off what takes too long: one write, or one check.
///
/// What a broken-off write did is unknown, so all of it counts as not acknowledged and is sent
/// again: the sink may then hold events twice.
#[derive(Debug)]
pub struct Timeout {
    inner: Arc<dyn Sink>,
    after: Duration,
}

impl Timeout {
    /// Gives each call of `inner` this long.
    pub fn new(inner: Arc<dyn Sink>, after: Duration) -> Self {
        Self { inner, after }
    }

    fn expired(&self) -> SinkError {
        SinkError::retry(format!("the sink gave no answer within {:?}", self.after))
    }
}

#[async_trait]
impl Sink for Timeout {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    async fn check(&self) -> Result<(), SinkError> {
        let check = tokio::time::timeout(self.after, self.inner.check());
        check.await.unwrap_or_else(|_| Err(self.expired()))
    }

    async fn turned(&self) {
        self.inner.turned().await;
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        let write = tokio::time::timeout(self.after, self.inner.write(batch));
        write.await.unwrap_or_else(|_| Err(self.expired()))
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
