use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use tokio::time::{Instant, sleep, timeout_at};
use trailsift_core::{Body, LogFile, ObjectStore, Resume, StoreError};

use crate::metrics::PipelineMetrics;

#[cfg(test)]
mod tests;

/// How often one read is resumed before it is given up.
const RESUMES: u32 = 3;
/// How long a body may send nothing before it counts as broken.
const STALL: Duration = Duration::from_secs(30);
/// How long one chunk (512 KiB, unless the object ends) may take: a body that drips is broken too.
const FILL: Duration = Duration::from_secs(120);
/// How long an object may keep its worker waiting for bytes altogether, whatever mends in between,
const GRACE: Duration = Duration::from_secs(10 * 60);
/// and a second more for each of these many bytes that have come.
const BYTES_PER_SECOND: u64 = 16 << 10;
/// A part of a body below this is copied to its neighbours: however little of it is used, it keeps a
/// whole buffer of the connection alive.
const SMALL: usize = 16 << 10;
/// The pause before the first resume; it doubles.
const PAUSE: Duration = Duration::from_millis(200);

/// One read of one object, mended where the connection breaks: the bytes it yields are those of a
/// single version of the object, from its start, without a gap.
pub(crate) struct Reading<'a> {
    store: &'a dyn ObjectStore,
    file: &'a LogFile,
    metrics: &'a PipelineMetrics,
    body: Body,
    resumes: u32,
    /// How many bytes came so far.
    offset: u64,
    /// How long the body was waited for so far. What the bytes go through between two calls, sinks
    /// among it, is no fault of the body's.
    waited: Duration,
    /// The body came to its end; a stream must not be polled after that.
    ended: bool,
    pub(crate) size: Option<u64>,
    pub(crate) etag: Option<String>,
    pub(crate) version_id: Option<String>,
}

impl<'a> Reading<'a> {
    /// Asks for the object from its start.
    pub(crate) async fn open(
        store: &'a dyn ObjectStore,
        file: &'a LogFile,
        metrics: &'a PipelineMetrics,
    ) -> Result<Self, StoreError> {
        let open = store.open(file, None).await?;
        Ok(Self {
            store,
            file,
            metrics,
            body: open.body,
            resumes: 0,
            offset: 0,
            waited: Duration::ZERO,
            ended: false,
            size: open.size,
            etag: open.etag,
            version_id: open.version_id,
        })
    }

    /// What came so far and the rest of the object, if all of it is no more than `size` bytes. It is
    /// read in chunks of about `chunk`, but is one piece of memory, which is no larger than it is.
    pub(crate) async fn whole(
        &mut self,
        came: Vec<Bytes>,
        size: usize,
        chunk: usize,
    ) -> Result<Vec<Bytes>, StoreError> {
        let mut joined = BytesMut::with_capacity(size);
        let mut beyond = Vec::new();
        let mut parts = came;
        loop {
            for part in parts {
                if part.len() <= size - joined.len() && beyond.is_empty() {
                    joined.extend_from_slice(&part);
                } else {
                    beyond.push(part);
                }
            }
            // What is beyond it says that it is larger than was said: then it is not read on.
            if self.ended || !beyond.is_empty() {
                return Ok([joined.freeze()].into_iter().chain(beyond).collect());
            }
            parts = self.next(chunk).await?;
        }
    }

    /// Whether the object came to its end: there are no further bytes.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    /// The next bytes, about `wanted` of them unless the object ends; none at its end.
    pub(crate) async fn next(&mut self, wanted: usize) -> Result<Vec<Bytes>, StoreError> {
        let mut parts = Vec::new();
        let mut small = BytesMut::new();
        let mut length = 0;
        let mut fill_by = Instant::now() + FILL;
        while length < wanted && !self.ended {
            let asked = Instant::now();
            let give_up = fill_by.min(asked + STALL).min(asked + self.patience());
            let came = timeout_at(give_up, self.body.next()).await;
            self.waited += asked.elapsed();
            match came {
                Ok(Some(Ok(part))) => {
                    self.offset += part.len() as u64;
                    length += part.len();
                    if part.len() < SMALL {
                        small.extend_from_slice(&part);
                    } else {
                        if !small.is_empty() {
                            parts.push(small.split().freeze());
                        }
                        parts.push(part);
                    }
                }
                // All of it came, and some of it is wrong: there is nothing to go on from.
                Ok(Some(Err(error @ StoreError::ChecksumMismatch(_)))) => return Err(error),
                Ok(Some(Err(error))) => self.resume(error).await?,
                Ok(None) if self.size.is_some_and(|size| self.offset < size) => {
                    let short = format!("the body ended after {} bytes", self.offset);
                    self.resume(StoreError::Interrupted(short)).await?;
                }
                Ok(None) => self.ended = true,
                Err(_) => {
                    self.metrics.ports.body_timeouts.inc();
                    let slow = format!("the body stalled or dripped at byte {}", self.offset);
                    self.resume(StoreError::Interrupted(slow)).await?;
                    fill_by = Instant::now() + FILL;
                }
            }
        }
        if !small.is_empty() {
            parts.push(small.freeze());
        }
        Ok(parts)
    }

    /// Reads what is left and gives it to nobody, for the sake of the checksum that the store compares
    /// at its end: what looks like a damaged object may be damage on the way.
    ///
    /// # Errors
    /// If the checksum does not match. Where it cannot be asked for, the bytes stand.
    pub(crate) async fn vouch(&mut self) -> Result<(), StoreError> {
        while !self.ended && !self.patience().is_zero() {
            let asked = Instant::now();
            let came = timeout_at(asked + STALL.min(self.patience()), self.body.next()).await;
            self.waited += asked.elapsed();
            match came {
                Ok(Some(Ok(part))) => self.offset += part.len() as u64,
                Ok(Some(Err(error @ StoreError::ChecksumMismatch(_)))) => return Err(error),
                Ok(Some(Err(_)) | None) | Err(_) => break,
            }
        }
        Ok(())
    }

    /// What is left of the object's deadline.
    fn patience(&self) -> Duration {
        let earned = Duration::from_secs(self.offset / BYTES_PER_SECOND);
        (GRACE + earned).saturating_sub(self.waited)
    }

    /// Goes on where the body broke off, of the very same object; or passes `broken` on.
    async fn resume(&mut self, mut broken: StoreError) -> Result<(), StoreError> {
        while self.resumes < RESUMES && !self.patience().is_zero() {
            let Some(etag) = self.etag.clone() else { break };
            sleep(PAUSE * 2u32.pow(self.resumes)).await;
            self.resumes += 1;
            self.metrics.resumes.inc();
            let from = Resume { offset: self.offset, etag };
            tracing::debug!(file = %self.file, offset = self.offset, error = %broken, "resuming");
            match self.store.open(self.file, Some(&from)).await {
                Ok(open) if open.etag.is_some() && open.etag != self.etag => {
                    self.metrics.ports.etag_changed.inc();
                    return Err(StoreError::Changed("another entity tag answered".into()));
                }
                Ok(open) => {
                    self.body = open.body;
                    return Ok(());
                }
                Err(error @ (StoreError::Interrupted(_) | StoreError::Unavailable(_))) => {
                    broken = error;
                }
                Err(error) => {
                    if matches!(error, StoreError::Changed(_)) {
                        self.metrics.ports.etag_changed.inc();
                    }
                    return Err(error);
                }
            }
        }
        Err(broken)
    }
}
