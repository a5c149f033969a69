//! Indexer acknowledgement: each request gets a number in its channel, and polls tell which of them
//! the indexer has.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::Instant;
use trailsift_core::{Disposition, SinkError};

use super::LONGEST_ANSWER;
use super::answer::DISABLED;
use crate::wire::{Reply, Wire, explain};

/// Requests of one channel. Every number that a channel ever gave is remembered, so it is replaced
/// before they are many.
const CHANNEL_LIFE: usize = 10_000;

/// Waits for the indexer.
pub(super) struct Acks {
    timeout: Duration,
    poll: Duration,
    /// Whether the token acknowledges at all, as far as is known.
    enabled: AtomicBool,
    current: Mutex<Arc<Channel>>,
    /// Held by whoever asks that. When asking failed last, and how.
    asking: tokio::sync::Mutex<Option<(Instant, Disposition, String)>>,
    /// A channel that no event is sent in: asking about a number may use it up.
    probe: Channel,
}

/// A space of numbers at the indexer.
pub(super) struct Channel {
    id: String,
    state: Mutex<State>,
    /// Whoever holds it asks for all that wait; not before this instant.
    turn: tokio::sync::Mutex<Instant>,
}

#[derive(Default)]
struct State {
    waiting: BTreeMap<u64, oneshot::Sender<Result<(), SinkError>>>,
    /// Every number of this channel so far.
    seen: HashSet<u64>,
    /// What went wrong when last asked.
    trouble: Option<String>,
}

/// What became of a request that the collector took.
pub(super) enum Awaited {
    /// The indexer has its events.
    Acknowledged,
    /// Nobody knows.
    Not(SinkError),
}

/// An answer to a poll: of each number whether the indexer has it, or what is wrong.
#[derive(Deserialize)]
struct Polled {
    acks: Option<HashMap<u64, bool>>,
    code: Option<u16>,
}

/// Takes back the number of a write that ends, however it ends.
struct Registered<'c> {
    channel: &'c Channel,
    id: u64,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.channel.state().waiting.remove(&self.id);
    }
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
            current: Mutex::new(Arc::new(Channel::new())),
            asking: tokio::sync::Mutex::default(),
            probe: Channel::new(),
        }
    }

    /// The channel to send in.
    pub(super) fn channel(&self) -> Arc<Channel> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.state().seen.len() >= CHANNEL_LIFE {
            *current = Arc::new(Channel::new());
        }
        Arc::clone(&current)
    }

    /// From now on another channel than this one: its numbers can no longer be trusted.
    fn retire(&self, channel: &Arc<Channel>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current, channel) {
            *current = Arc::new(Channel::new());
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

    /// Waits until the indexer has the request of this number. All who wait share the polls: one of
    /// them asks for all, and when it is done or gone another one does.
    pub(super) async fn wait(&self, channel: &Arc<Channel>, id: u64, wire: &Wire) -> Awaited {
        let deadline = Instant::now() + self.timeout;
        let Some((mut settled, _registered)) = channel.register(id) else {
            // Two indexers behind one address count by themselves, and so does one that was
            // restarted: a `true` for this number may be about other events.
            self.retire(channel);
            channel.abandon();
            return Awaited::Not(ambiguous());
        };
        loop {
            // Cancel safety: a poll that is dropped midway may have used up its answers, and then
            // those who wait for them run out of time: written again, never taken for written.
            tokio::select! {
                biased;
                result = &mut settled => return Awaited::from(result),
                () = tokio::time::sleep_until(deadline) => {
                    self.retire(channel);
                    return Awaited::Not(self.late(channel));
                }
                () = self.take_turn(channel, wire) => {}
            }
        }
    }

    /// Asks for all that wait, once it is this caller's turn and time.
    async fn take_turn(&self, channel: &Channel, wire: &Wire) {
        let mut next = channel.turn.lock().await;
        tokio::time::sleep_until(*next).await;
        *next = Instant::now() + self.poll;
        let ids: Vec<u64> = channel.state().waiting.keys().copied().collect();
        if ids.is_empty() {
            return;
        }
        let trouble = match channel.ask(&ids, wire).await {
            Ok(reply) => match polled(&reply) {
                Some(Polled { acks: Some(acks), .. }) => {
                    channel.acknowledge(&acks);
                    None
                }
                Some(Polled { code: Some(14), .. }) => {
                    channel.fail(|| self.disabled());
                    None
                }
                _ => Some(wire.later(&reply, unknown(&reply)).await.message),
            },
            Err(error) => Some(error.message),
        };
        channel.state().trouble = trouble;
    }

    fn late(&self, channel: &Channel) -> SinkError {
        let why = match &channel.state().trouble {
            Some(trouble) => format!("asking for it fails: {trouble}"),
            None => "look at Splunk's queues; behind a load balancer, requests must stick to one indexer"
                .to_owned(),
        };
        let timeout = self.timeout;
        SinkError::retry(format!("the indexer did not acknowledge within {timeout:?}: {why}"))
    }
}

impl From<Result<Result<(), SinkError>, oneshot::error::RecvError>> for Awaited {
    fn from(result: Result<Result<(), SinkError>, oneshot::error::RecvError>) -> Self {
        match result {
            Ok(Ok(())) => Self::Acknowledged,
            Ok(Err(error)) => Self::Not(error),
            Err(_) => Self::Not(ambiguous()),
        }
    }
}

fn ambiguous() -> SinkError {
    SinkError::retry(
        "the indexer gave the same ackId twice: it was restarted, or there is a load balancer whose \
         requests must stick to one indexer",
    )
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
    fn new() -> Self {
        Self { id: uuid(), state: Mutex::default(), turn: tokio::sync::Mutex::new(Instant::now()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request as one of this channel.
    pub(super) fn mark(&self, request: RequestBuilder) -> RequestBuilder {
        request.header("X-Splunk-Request-Channel", &self.id)
    }

    /// `None` if the number was there before.
    fn register(
        &self,
        id: u64,
    ) -> Option<(oneshot::Receiver<Result<(), SinkError>>, Registered<'_>)> {
        let mut state = self.state();
        if !state.seen.insert(id) {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        state.waiting.insert(id, sender);
        Some((receiver, Registered { channel: self, id }))
    }

    async fn ask(&self, ids: &[u64], wire: &Wire) -> Result<Reply, SinkError> {
        let mut url = wire.below("/services/collector/ack");
        url.query_pairs_mut().append_pair("channel", &self.id);
        let body = serde_json::json!({ "acks": ids }).to_string();
        let request = self.mark(wire.request(Method::POST, url));
        wire.send(request.header(CONTENT_TYPE, "application/json").body(body), LONGEST_ANSWER).await
    }

    fn acknowledge(&self, acks: &HashMap<u64, bool>) {
        let mut state = self.state();
        for (id, _) in acks.iter().filter(|(_, has)| **has) {
            if let Some(sender) = state.waiting.remove(id) {
                // Whoever has stopped waiting is written again.
                sender.send(Ok(())).ok();
            }
        }
    }

    fn fail(&self, error: impl Fn() -> SinkError) {
        for (_, sender) in std::mem::take(&mut self.state().waiting) {
            sender.send(Err(error())).ok();
        }
    }

    /// Gives up all that wait.
    fn abandon(&self) {
        self.fail(ambiguous);
    }
}

/// A random UUID (version 4). It is no secret: whoever polls needs the token.
fn uuid() -> String {
    let random = fastrand::u128(..);
    let bits = random & !(0xf << 76) & !(0x3 << 62) | 4 << 76 | 2 << 62;
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

    #[test]
    fn a_number_is_given_once_for_a_channel_also_after_it_was_acknowledged() {
        let channel = Channel::new();
        let (mut first, registered) = channel.register(3).expect("new");
        channel.acknowledge(&HashMap::from([(3, true), (4, true)]));
        assert!(first.try_recv().expect("settled").is_ok());
        drop(registered);
        assert!(channel.register(3).is_none());
        let (mut second, _registered) = channel.register(4).expect("new");
        channel.acknowledge(&HashMap::from([(4, false)]));
        assert!(second.try_recv().is_err(), "not yet");
    }

    #[test]
    fn worn_channels_are_replaced() {
        let acks = Acks::new(Duration::from_secs(1), Duration::from_secs(1));
        let first = acks.channel();
        first.state().seen.extend(0..CHANNEL_LIFE as u64);
        let second = acks.channel();
        assert_ne!(first.id, second.id);
        acks.retire(&first);
        assert_eq!(acks.channel().id, second.id, "no longer the current one");
        acks.retire(&second);
        assert_ne!(acks.channel().id, second.id);
    }
}
