use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _};
use tokio::sync::RwLock;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use trailsift_core::{Batch, Entry, Limits, Sink, SinkError, WriteOutcome};
use trailsift_delivery::{Blame, answer, facts, replicate};
use trailsift_event::Event;

use super::client::{Context, Credentials};
use super::verdict::{Verdict, is_about_the_topic, judge};
use super::{KafkaKey, KafkaLogin, KafkaSettings};
use crate::BuildError;

/// What is around an event in its message: the key, the record's framing and the batch's.
const FRAMING: usize = 512;
/// The longest account that is a key, as is an event's own identifier; they are twelve digits. A longer
/// one would not be covered by [`FRAMING`], and have a good event refused for its size.
const LONGEST_KEY: usize = 128;
/// The events that one write hands over at most.
const MOST_EVENTS: usize = 10_000;
/// How long a check waits for an answer.
const CHECK: Duration = Duration::from_secs(10);
/// How long the end of the process waits for messages that nobody waits for any more.
const FLUSH: Duration = Duration::from_secs(5);

/// Produces one message per event, its bytes as they are.
///
/// `Ok` means that all in-sync replicas have it (`acks=all`). The producer is idempotent: what it
/// sends again by itself, because an answer was lost or a broker changed, is there once. Only an event
/// that was not acknowledged within `timeout`, and is written again by the decorators, may be there
/// twice.
pub struct KafkaSink {
    name: String,
    settings: KafkaSettings,
    producer: Mutex<Producer>,
    /// Held for writing by who sends a message that must share its batch with no other.
    company: RwLock<()>,
    blame: Blame,
    /// The client may remember of the topic what is no longer so: it would refuse messages by itself.
    is_topic_in_doubt: AtomicBool,
}

/// A client, and what it was made with. Its clones share the client.
#[derive(Clone)]
pub(super) struct Producer {
    pub(super) client: FutureProducer<Context>,
    pub(super) context: Context,
    pub(super) credentials: Option<Arc<Credentials>>,
}

impl fmt::Debug for KafkaSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSink")
            .field("name", &self.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What was not acknowledged, and why; `None` is acknowledged.
type Produced = Vec<Option<KafkaError>>;

impl KafkaSink {
    /// Prepares the client and reads the secrets. Connects in the background.
    ///
    /// # Errors
    /// If the settings do not hold, a secret is missing, or a file of certificates cannot be used.
    pub fn new(name: impl Into<String>, settings: KafkaSettings) -> Result<Self, BuildError> {
        let sink = name.into();
        let problems = settings.validate();
        if !problems.is_empty() {
            return Err(BuildError::Settings { sink, problems });
        }
        let producer = Producer::new(&sink, &settings)?;
        Ok(Self {
            name: sink,
            settings,
            producer: Mutex::new(producer),
            company: RwLock::new(()),
            blame: Blame::new("the topic's max.message.bytes and what validates its messages"),
            is_topic_in_doubt: AtomicBool::new(false),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Producer> {
        // Replaced as a whole, so never half-written.
        self.producer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The producer to use now: a new one where the present one can do nothing more, or was refused and
    /// the password has changed since.
    async fn producer(&self) -> Result<Producer, SinkError> {
        let present = self.lock().clone();
        let fatal = present.client.client().fatal_error();
        let refused = present.context.is_unauthorized.load(Ordering::Relaxed);
        let may_help = refused && self.settings.login.as_ref().is_some_and(KafkaLogin::may_rotate);
        if fatal.is_none() && !may_help {
            return Ok(present);
        }
        if let Some((code, _)) = &fatal {
            tracing::warn!(sink = self.name, %code, "the producer is of no more use: starting another one");
        }
        let (name, settings) = (self.name.clone(), self.settings.clone());
        let before = present.credentials.clone();
        let renewed = spawn_blocking(move || {
            let credentials = settings.login.as_ref().map(Credentials::read).transpose();
            let credentials = credentials
                .map_err(|source| BuildError::Secret { sink: name.clone(), source })?
                .map(Arc::new);
            if fatal.is_none() && credentials == before {
                return Ok(None);
            }
            Producer::with(&name, &settings, credentials).map(Some)
        });
        let failed = || SinkError::retry("cannot start another producer");
        let renewed = renewed.await.map_err(|error| failed().because(error))?;
        let Some(renewed) = renewed.map_err(|error| failed().because(error))? else {
            return Ok(present);
        };
        if refused {
            tracing::info!(sink = self.name, "the password changed: logging in again");
        }
        let old = std::mem::replace(&mut *self.lock(), renewed.clone());
        // The last handle of a client waits for its thread.
        drop(spawn_blocking(move || drop((old, present))));
        Ok(renewed)
    }

    /// Hands these entries over and waits for the word on each of them.
    ///
    /// When the client's queue is full, those that are in it go first. If they are other writes', the
    /// rest is not handed over: the caller comes again, which is what a full queue asks of it.
    async fn produce(&self, producer: &Producer, entries: &[Entry]) -> Produced {
        let mut produced: Produced = Vec::with_capacity(entries.len());
        while produced.len() < entries.len() {
            let mut handed_over: Vec<Result<DeliveryFuture, KafkaError>> = Vec::new();
            for entry in &entries[produced.len()..] {
                let event = Event::new(&entry.record);
                let key = match self.settings.key {
                    KafkaKey::Account => facts::account(&event)
                        .filter(|account| account.len() <= LONGEST_KEY)
                        .unwrap_or(Cow::Borrowed(entry.source.account.as_str())),
                    KafkaKey::EventId => facts::id(entry, &event),
                };
                let topic = self.settings.topic.as_str();
                let record = FutureRecord::to(topic).key(key.as_ref()).payload(entry.data.as_ref());
                match producer.client.send_result(record) {
                    Ok(delivery) => handed_over.push(Ok(delivery)),
                    Err((error, _)) if is_full(&error) => break,
                    Err((error, _)) => handed_over.push(Err(error)),
                }
            }
            if handed_over.is_empty() {
                let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
                produced.resize(entries.len(), Some(full));
            }
            for delivery in handed_over {
                produced.push(match delivery {
                    Ok(delivery) => match delivery.await {
                        Ok(Ok(_)) => None,
                        Ok(Err((error, _))) => Some(error),
                        Err(_) => Some(KafkaError::Canceled),
                    },
                    Err(error) => Some(error),
                });
            }
        }
        produced
    }

    /// Sends an entry that was refused in company: the brokers refuse a batch as a whole, whoever in it
    /// they mean.
    async fn produce_alone(&self, producer: &Producer, entry: &Entry) -> Option<KafkaError> {
        let started = Instant::now();
        // What was given up by its caller may still be on its way.
        while producer.client.in_flight_count() > 0 {
            if started.elapsed() > self.settings.timeout {
                return Some(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.produce(producer, std::slice::from_ref(entry)).await.pop().flatten()
    }

    /// Asks the brokers for the topic, and so puts right what the client remembers of it.
    async fn look_up(&self, producer: &Producer) -> Result<(), SinkError> {
        let (asked, topic) = (producer.clone(), self.settings.topic.clone());
        let patience = self.settings.timeout.min(CHECK);
        let found = spawn_blocking(move || {
            let metadata = asked.client.client().fetch_metadata(Some(&topic), patience)?;
            let found = metadata.topics().iter().find(|found| found.name() == topic);
            let problem = found.and_then(|found| found.error()).map(RDKafkaErrorCode::from);
            Ok((problem, found.is_some_and(|found| !found.partitions().is_empty())))
        });
        let ended_early = "asking for the topic ended early";
        let found = found.await.map_err(|error| SinkError::retry(ended_early).because(error))?;
        let topic = &self.settings.topic;
        match found {
            Ok((None, true)) => Ok(()),
            Ok((None, false)) => {
                Err(SinkError::retry(format!("topic {topic} has no partitions: create it")))
            }
            Ok((Some(code), _)) => Err(SinkError::retry(format!("topic {topic}: {code}"))),
            Err(error) => Err(self.later(producer, &error)),
        }
    }

    /// It may work later. Names the last trouble with a broker: that a message timed out says little.
    fn later(&self, producer: &Producer, error: &KafkaError) -> SinkError {
        let code = error.rdkafka_error_code();
        let what = match code {
            Some(RDKafkaErrorCode::MessageTimedOut) => {
                format!("the brokers did not acknowledge within {:?}", self.settings.timeout)
            }
            Some(RDKafkaErrorCode::QueueFull) => "the client's queue is full".to_owned(),
            Some(code) => format!("kafka answers: {code}"),
            None => "the kafka client failed".to_owned(),
        };
        match producer.context.trouble() {
            Some(trouble) => SinkError::retry(format!("{what} ({trouble})")),
            None => SinkError::retry(what),
        }
    }
}

fn is_full(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
}

#[async_trait]
impl Sink for KafkaSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn limits(&self) -> Limits {
        let entry_bytes = self.settings.max_message_bytes - FRAMING;
        Limits { events: MOST_EVENTS, bytes: usize::MAX, entry_bytes }
    }

    /// Asks for the topic: a broker answers, lets us in, and the topic has partitions.
    async fn check(&self) -> Result<(), SinkError> {
        let producer = self.producer().await?;
        self.look_up(&producer).await?;
        producer.context.forget_trouble();
        self.blame.trouble().map_or(Ok(()), |trouble| Err(SinkError::retry(trouble)))
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        let producer = self.producer().await?;
        if self.is_topic_in_doubt.swap(false, Ordering::Relaxed)
            && let Err(error) = self.look_up(&producer).await
        {
            tracing::debug!(sink = self.name, error = %error, "the topic is still in doubt");
        }
        let together = self.company.read().await;
        let produced = self.produce(&producer, &batch.entries).await;
        drop(together);
        let mut settled: Vec<Option<SinkError>> = Vec::with_capacity(produced.len());
        let mut suspects = Vec::new();
        let mut accepted = false;
        for (index, error) in produced.into_iter().enumerate() {
            settled.push(match error {
                None => {
                    accepted = true;
                    None
                }
                Some(error) => {
                    if !matches!(judge(&error), Verdict::Later) {
                        suspects.push(index);
                    }
                    if is_about_the_topic(&error) {
                        self.is_topic_in_doubt.store(true, Ordering::Relaxed);
                    }
                    Some(self.later(&producer, &error))
                }
            });
        }
        let mut refused = Vec::new();
        if !suspects.is_empty() {
            let _alone = self.company.write().await;
            let started = Instant::now();
            for index in suspects {
                // The others stay undecided, and come again.
                if started.elapsed() > self.settings.timeout {
                    break;
                }
                settled[index] = match self.produce_alone(&producer, &batch.entries[index]).await {
                    None => {
                        accepted = true;
                        None
                    }
                    Some(error) => match judge(&error) {
                        Verdict::Later => Some(self.later(&producer, &error)),
                        Verdict::Refused(reason) => {
                            refused.push(index);
                            let code = error.rdkafka_error_code();
                            let code = code.map_or_else(String::new, |code| code.to_string());
                            let what = format!("kafka answers to this event alone: {code}");
                            Some(SinkError::poison(reason, what))
                        }
                    },
                };
            }
        }
        let to_blame = self.blame.divide(accepted, refused.len());
        if let Some(trouble) = self.blame.trouble().filter(|_| !accepted) {
            let innocent = refused.split_off(to_blame);
            let errors = replicate(SinkError::retry(trouble), innocent.len());
            for (index, error) in innocent.into_iter().zip(errors) {
                settled[index] = Some(error);
            }
        }
        if accepted {
            producer.context.forget_trouble();
        }
        answer(settled)
    }

    /// Every caller knows what became of its events by now. What they gave up may still be on its way;
    /// it has a moment.
    async fn close(&self) {
        let producer = self.lock().clone();
        let flushed = spawn_blocking(move || producer.client.flush(FLUSH)).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::debug!(sink = self.name, "messages that nobody waits for are left unsent");
        }
    }
}
