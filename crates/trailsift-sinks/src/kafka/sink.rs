use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _};
use tokio::sync::RwLock;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};
use trailsift_core::{Batch, Entry, Limits, Sink, SinkError, WriteOutcome};
use trailsift_delivery::{Blame, answer, facts, replicate};
use trailsift_event::Event;

use super::client::{Context, Credentials, LastHandle};
use super::token::{KafkaTokens, Tokens};
use super::verdict::{Verdict, is_about_the_topic, judge};
use super::{KafkaKey, KafkaSettings};
use crate::BuildError;

/// What is around an event in its message: the key (an identifier of 128 characters at most), the record's
/// framing and the batch's.
const FRAMING: usize = 512;
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
    /// Held by who puts another producer in its place.
    replacement: tokio::sync::Mutex<()>,
    /// Where clients without a password get what they log in with.
    tokens: Option<Tokens>,
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
    pub(super) credentials: Arc<Credentials>,
    /// Behind `client`, for fields are dropped in this order.
    pub(super) _end: Arc<LastHandle>,
}

impl fmt::Debug for KafkaSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSink")
            .field("name", &self.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Why a producer has to go.
#[derive(Clone, Copy, Debug)]
enum Outlived {
    /// It can do nothing more.
    Fatal(RDKafkaErrorCode),
    /// It was made before there was a token.
    Tokenless,
    /// Its token was refused, and there is a newer one.
    Refused,
    /// It was refused: if what it was made with has changed since, another one may not be.
    Doubtful,
}

/// What was not acknowledged, and why; `None` is acknowledged.
type Produced = Vec<Option<KafkaError>>;

impl KafkaSink {
    /// Prepares the client and reads secrets and certificates. Connects in the background.
    ///
    /// # Errors
    /// If the settings do not hold, a secret is missing, or a file of certificates cannot be used.
    pub fn new(name: impl Into<String>, settings: KafkaSettings) -> Result<Self, BuildError> {
        Self::build(name.into(), settings, None)
    }

    /// The same with tokens to log in with (`SASL/OAUTHBEARER`), the settings' own login aside. The first one
    /// is asked for with the first check or write.
    ///
    /// # Errors
    /// As [`KafkaSink::new`].
    pub fn with_tokens(
        name: impl Into<String>,
        settings: KafkaSettings,
        tokens: Arc<dyn KafkaTokens>,
    ) -> Result<Self, BuildError> {
        Self::build(name.into(), KafkaSettings { login: None, ..settings }, Some(tokens))
    }

    fn build(
        sink: String,
        settings: KafkaSettings,
        tokens: Option<Arc<dyn KafkaTokens>>,
    ) -> Result<Self, BuildError> {
        let problems = settings.validate();
        if !problems.is_empty() {
            return Err(BuildError::Settings { sink, problems });
        }
        let tokens = tokens.map(|source| Tokens::new(&sink, source));
        let credentials = Arc::new(Credentials::read(&sink, &settings)?);
        let present = tokens.as_ref().map(Tokens::present);
        let producer = Producer::with(&sink, &settings, credentials, present)?;
        Ok(Self {
            name: sink,
            settings,
            producer: Mutex::new(producer),
            replacement: tokio::sync::Mutex::default(),
            tokens,
            company: RwLock::new(()),
            blame: Blame::new("the topic's max.message.bytes and what validates its messages"),
            is_topic_in_doubt: AtomicBool::new(false),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Producer> {
        // Replaced as a whole, so never half-written.
        self.producer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why this producer should go, if it should.
    fn outlived(&self, producer: &Producer) -> Option<Outlived> {
        if let Some((code, _)) = producer.client.client().fatal_error() {
            return Some(Outlived::Fatal(code));
        }
        if let Some(tokens) = &self.tokens {
            let generation = producer.context.generation.load(Ordering::Relaxed);
            let is_newer = tokens.present().generation() > generation;
            // It asks for its first token when it is made, and then not for ten seconds.
            if generation == 0 && is_newer {
                return Some(Outlived::Tokenless);
            }
            if producer.context.is_login_refused.load(Ordering::Relaxed) {
                if is_newer {
                    return Some(Outlived::Refused);
                }
                tokens.refused();
            }
        }
        let is_refused = producer.context.is_unauthorized.load(Ordering::Relaxed);
        (is_refused && self.settings.may_rotate()).then_some(Outlived::Doubtful)
    }

    /// The producer to use now: a new one where the present one can do nothing more, or was refused and
    /// what it was made with has changed since.
    async fn producer(&self) -> Result<Producer, SinkError> {
        if let Some(tokens) = &self.tokens {
            tokens.first(self.settings.timeout.min(CHECK)).await?;
        }
        let present = self.lock().clone();
        if self.outlived(&present).is_none() {
            return Ok(present);
        }
        let _one_at_a_time = self.replacement.lock().await;
        // Whoever was here before may have done it.
        let present = self.lock().clone();
        match self.outlived(&present) {
            Some(reason) => self.replace(present, reason).await,
            None => Ok(present),
        }
    }

    /// Makes another producer for this reason.
    async fn replace(&self, present: Producer, reason: Outlived) -> Result<Producer, SinkError> {
        if let Outlived::Fatal(code) = reason {
            tracing::warn!(sink = self.name, %code, "the producer is of no more use: starting another one");
        }
        let (name, settings) = (self.name.clone(), self.settings.clone());
        let before = Arc::clone(&present.credentials);
        let tokens = self.tokens.as_ref().map(Tokens::present);
        let renewed = spawn_blocking(move || {
            let credentials = Credentials::read(&name, &settings)?;
            if matches!(reason, Outlived::Doubtful) && credentials == *before {
                return Ok(None);
            }
            Producer::with(&name, &settings, Arc::new(credentials), tokens).map(Some)
        });
        let failed = || SinkError::retry("cannot start another producer");
        let renewed = renewed.await.map_err(|error| failed().because(error))?;
        let renewed: Option<Producer> = match renewed {
            // Perhaps one of two files was written by now: the present one may still do.
            Err(error) if matches!(reason, Outlived::Doubtful) => {
                tracing::debug!(sink = self.name, %error, "what changed cannot be used");
                None
            }
            renewed => renewed.map_err(|error: BuildError| failed().because(error))?,
        };
        let Some(renewed) = renewed else { return Ok(present) };
        if matches!(reason, Outlived::Doubtful | Outlived::Refused) {
            tracing::info!(
                sink = self.name,
                "what the brokers refused has changed: logging in again"
            );
        }
        // Who still waits for the old one's word on events has a handle of it.
        *self.lock() = renewed.clone();
        Ok(renewed)
    }

    /// Takes up certificates that were renewed, before the present ones end.
    async fn take_up_certificates(&self) -> Result<(), SinkError> {
        if self.settings.certificate.is_none() {
            return Ok(());
        }
        let _one_at_a_time = self.replacement.lock().await;
        let present = self.lock().clone();
        self.replace(present, Outlived::Doubtful).await.map(drop)
    }

    /// Hands these entries over and waits for the word on each of them.
    ///
    /// When the client's queue is full, those that are in it go first. If they are other writes', or it
    /// takes too long, the rest is not handed over: the caller comes again, which is what a full queue
    /// asks of it.
    async fn produce(&self, producer: &Producer, entries: &[Entry]) -> Produced {
        let began = Instant::now();
        let full = || Some(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
        let mut produced: Produced = Vec::with_capacity(entries.len());
        while produced.len() < entries.len() {
            if began.elapsed() > self.settings.timeout {
                produced.resize(entries.len(), full());
                break;
            }
            let mut handed_over: Vec<Result<DeliveryFuture, KafkaError>> = Vec::new();
            for entry in &entries[produced.len()..] {
                let event = Event::new(&entry.record);
                let key = match self.settings.key {
                    KafkaKey::Account => facts::owner(entry, &event),
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
                produced.resize(entries.len(), full());
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
            Ok((None | Some(RDKafkaErrorCode::UnknownTopicOrPartition), _)) => {
                Err(SinkError::retry(self.no_topic()))
            }
            Ok((Some(code), _)) => Err(SinkError::retry(format!("topic {topic}: {code}"))),
            Err(error) => Err(self.later(producer, &error)),
        }
    }

    fn note_topic(&self, error: &KafkaError) {
        if is_about_the_topic(error) {
            self.is_topic_in_doubt.store(true, Ordering::Relaxed);
        }
    }

    fn no_topic(&self) -> String {
        format!("topic {} does not exist: create it", self.settings.topic)
    }

    /// It may work later. Names the last trouble with a broker: that a message timed out says little.
    fn later(&self, producer: &Producer, error: &KafkaError) -> SinkError {
        let code = error.rdkafka_error_code();
        let what = match code {
            Some(RDKafkaErrorCode::MessageTimedOut) => {
                format!("the brokers did not acknowledge within {:?}", self.settings.timeout)
            }
            Some(RDKafkaErrorCode::QueueFull) => "the client's queue is full".to_owned(),
            Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
                self.no_topic()
            }
            Some(code) => format!("kafka answers: {code}"),
            None => "the kafka client failed".to_owned(),
        };
        let trouble = producer.context.trouble();
        // A broker's word for it may be any.
        let ended = trouble.as_ref().and_then(|_| producer.credentials.ended(&self.settings));
        let error = match (trouble, ended) {
            (Some(trouble), Some(ended)) => {
                SinkError::retry(format!("{what} ({trouble}; {ended})"))
            }
            (Some(trouble), None) => SinkError::retry(format!("{what} ({trouble})")),
            (None, _) => SinkError::retry(what),
        };
        match self.tokens.as_ref().and_then(Tokens::trouble) {
            Some(missing) => error.because(missing),
            None => error,
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
        self.take_up_certificates().await?;
        let producer = self.producer().await?;
        self.look_up(&producer).await?;
        producer.context.forget_trouble();
        if let Some(missing) = self.tokens.as_ref().and_then(Tokens::trouble) {
            return Err(missing);
        }
        self.blame.check()
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        let producer = self.producer().await?;
        if self.is_topic_in_doubt.load(Ordering::Relaxed) {
            self.look_up(&producer).await?;
            self.is_topic_in_doubt.store(false, Ordering::Relaxed);
        }
        let busy =
            |_| SinkError::retry("the brokers take too long with events that have to go alone");
        let together = timeout(self.settings.timeout, self.company.read()).await.map_err(busy)?;
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
                    self.note_topic(&error);
                    Some(self.later(&producer, &error))
                }
            });
        }
        let mut refused = Vec::new();
        // Where it takes too long, they stay undecided and come again.
        if !suspects.is_empty()
            && let Ok(_alone) = timeout(self.settings.timeout, self.company.write()).await
        {
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
                        Verdict::Later => {
                            self.note_topic(&error);
                            Some(self.later(&producer, &error))
                        }
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
