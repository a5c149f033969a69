//! Indexer acknowledgement: each request gets a number in its channel, and polls tell whether the
//! indexer has it.
//!
//! Numbers are counted for each channel and by each indexer alone, from its start on. So a `true` for a number
//! says nothing about events unless the channel has had no others: those of an earlier request that another
//! indexer has under the same number, of one whose answer was lost, or of the time before a restart. Therefore
//! **each request has a channel of its own**, and whichever indexer says `true` in it, says it about these events.
//!
//! Splunk forgets a channel that was idle for ten minutes (`ackIdleCleanup` and `maxIdleTime` in its
//! inputs.conf) and keeps up to a million (`max_number_of_ack_channel` in its limits.conf): 1,600 requests a
//! second, of which a sink makes no more than some tens.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Deserialize;
use tokio::time::Instant;
use trailsift_core::{Disposition, SinkError};

use super::LONGEST_ANSWER;
use super::answer::DISABLED;
use crate::wire::{Reply, Wire, explain};

/// Waits for the indexer.
pub(super) struct Acks {
    timeout: Duration,
    poll: Duration,
    /// Whether the token acknowledges at all, as far as is known.
    enabled: AtomicBool,
    /// Held by whoever asks that. When asking failed last, and how.
    asking: tokio::sync::Mutex<Option<(Instant, Disposition, String)>>,
    /// A channel that no event is sent in: asking about a number may use it up.
    probe: Channel,
}

/// A space of numbers at the indexer, for one request: it is used up when that is sent.
pub(super) struct Channel {
    id: String,
}

/// An answer to a poll: of each number whether the indexer has it, or what is wrong.
#[derive(Deserialize)]
struct Polled {
    acks: Option<HashMap<u64, bool>>,
    code: Option<u16>,
}

impl fmt::Debug for Acks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acks")
            .field("timeout", &self.timeout)
            .field("poll", &self.poll)
            .finish_non_exhaustive()
    }
}

impl Acks {
    pub(super) fn new(timeout: Duration, poll: Duration) -> Self {
        Self {
            timeout,
            poll,
            enabled: AtomicBool::new(false),
            asking: tokio::sync::Mutex::default(),
            probe: Channel::new(),
        }
    }

    /// Makes sure that the token acknowledges before anything is sent that it would index without
    /// ever acknowledging it. Asks once for all who want to know, and so a load balancer has set its
    /// cookie before the first event comes.
    pub(super) async fn ensure_enabled(&self, wire: &Wire) -> Result<(), SinkError> {
        let began = Instant::now();
        if self.enabled.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut failed = self.asking.lock().await;
        if self.enabled.load(Ordering::Relaxed) {
            return Ok(());
        }
        // Nobody waits for one failure after the other.
        if let Some((at, disposition, message)) = failed.as_ref()
            && *at >= began
        {
            let (disposition, message) = (*disposition, message.clone());
            return Err(SinkError { disposition, message, source: None });
        }
        let asked = self.check(wire).await;
        if let Err(error) = &asked {
            *failed = Some((Instant::now(), error.disposition, error.message.clone()));
        }
        asked
    }

    /// Asks whether the token acknowledges.
    pub(super) async fn check(&self, wire: &Wire) -> Result<(), SinkError> {
        let reply = self.probe.ask(&[0], wire).await?;
        match polled(&reply) {
            Some(Polled { code: Some(14), .. }) => return Err(self.disabled()),
            Some(Polled { acks: Some(_), .. }) => {}
            // A channel that it does not know yet is an answer, too.
            Some(Polled { code: Some(10 | 11), .. }) if reply.status == StatusCode::BAD_REQUEST => {
            }
            _ => return Err(wire.later(&reply, unknown(&reply)).await),
        }
        self.enabled.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Notes that the token does not acknowledge.
    pub(super) fn disabled(&self) -> SinkError {
        self.enabled.store(false, Ordering::Relaxed);
        SinkError::retry(DISABLED)
    }

    /// Waits until an indexer has the one request of this channel, by the number that it was given.
    ///
    /// # Errors
    /// If nobody knows: the events are to be written again.
    ///
    /// Cancel safety: a question that is dropped midway may have used up its answer; who asked has stopped
    /// waiting then, and writes again.
    pub(super) async fn wait(
        &self,
        channel: Channel,
        id: u64,
        wire: &Wire,
    ) -> Result<(), SinkError> {
        let deadline = Instant::now() + self.timeout;
        let mut trouble = None;
        while Instant::now() < deadline {
            // Asked once at least, and for the last time when the time is up.
            tokio::time::sleep_until(deadline.min(Instant::now() + self.poll)).await;
            trouble = match channel.ask(&[id], wire).await {
                Ok(reply) => match polled(&reply) {
                    Some(Polled { acks: Some(acks), .. }) if acks.get(&id) == Some(&true) => {
                        return Ok(());
                    }
                    Some(Polled { acks: Some(_), .. }) => None,
                    Some(Polled { code: Some(14), .. }) => return Err(self.disabled()),
                    _ => Some(wire.later(&reply, unknown(&reply)).await.message),
                },
                Err(error) => Some(error.message),
            };
        }
        Err(self.late(trouble))
    }

    fn late(&self, trouble: Option<String>) -> SinkError {
        let why = match trouble {
            Some(trouble) => format!("asking for it fails: {trouble}"),
            None => "look at Splunk's queues; behind a load balancer, questions reach the right indexer \
                     sooner where requests stick to one"
                .to_owned(),
        };
        let timeout = self.timeout;
        SinkError::retry(format!("the indexer did not acknowledge within {timeout:?}: {why}"))
    }
}

/// What to say of an answer that is none to a poll.
fn unknown(reply: &Reply) -> String {
    match reply.status.is_success() {
        true => "the answer is not that of an HTTP Event Collector: check the url".to_owned(),
        false => explain(reply.status),
    }
}

fn polled(reply: &Reply) -> Option<Polled> {
    serde_json::from_slice(reply.body.as_deref()?).ok()
}

impl Channel {
    /// One that nobody has used.
    pub(super) fn new() -> Self {
        Self { id: uuid() }
    }

    /// A request as one of this channel.
    pub(super) fn mark(&self, request: RequestBuilder) -> RequestBuilder {
        request.header("X-Splunk-Request-Channel", &self.id)
    }

    async fn ask(&self, ids: &[u64], wire: &Wire) -> Result<Reply, SinkError> {
        let mut url = wire.below("/services/collector/ack");
        url.query_pairs_mut().append_pair("channel", &self.id);
        let body = serde_json::json!({ "acks": ids }).to_string();
        let request = self.mark(wire.request(Method::POST, url));
        wire.send(request.header(CONTENT_TYPE, "application/json").body(body), LONGEST_ANSWER).await
    }
}

/// A random UUID (version 4). It is no secret: whoever polls needs the token.
///
/// Of the operating system's randomness, for two processes with one channel would take each other's
/// acknowledgements for their own.
fn uuid() -> String {
    static KEYS: LazyLock<[RandomState; 2]> = LazyLock::new(Default::default);
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let [high, low] = [&KEYS[0], &KEYS[1]].map(|key| u128::from(key.hash_one(number)));
    let bits = (high << 64 | low) & !(0xf << 76) & !(0x3 << 62) | 4 << 76 | 2 << 62;
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_a_random_uuid() {
        let ids: Vec<String> = (0..100).map(|_| uuid()).collect();
        for id in &ids {
            assert_eq!((id.len(), &id[14..15]), (36, "4"), "{id}");
            assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
        }
        assert_ne!(ids[0], ids[1]);
    }
}
