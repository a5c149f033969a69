//! Tokens by which a client logs in, always ready before it asks for one.
//!
//! librdkafka asks on the thread that also hands out delivery reports, so nobody may make it wait there for
//! the one who makes tokens. A task of the runtime keeps a valid token at hand; who asks gets that one.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use rdkafka::client::OAuthToken;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use trailsift_core::{SinkError, chain};

use super::client::shown;

/// How long a token may be in the making.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long after a failure it is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// What brokers refuse is made anew at most this often.
const REFUSED_AGAIN: Duration = Duration::from_secs(10);

/// A token that brokers take until it ends (`SASL/OAUTHBEARER`, RFC 7628).
#[derive(Clone)]
pub struct KafkaToken {
    /// As it is sent.
    pub value: SecretString,
    /// Whose it is, for the client's own records.
    pub principal: String,
    /// When brokers stop taking it, by this machine's clock.
    pub valid_until: SystemTime,
}

impl KafkaToken {
    /// A token of this principal's, good until then.
    pub fn new(value: String, principal: impl Into<String>, valid_until: SystemTime) -> Self {
        Self { value: value.into(), principal: principal.into(), valid_until }
    }
}

impl fmt::Debug for KafkaToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaToken").field("valid_until", &self.valid_until).finish_non_exhaustive()
    }
}

/// Makes tokens. Called on the runtime, never on a thread of the client's.
#[async_trait]
pub trait KafkaTokens: fmt::Debug + Send + Sync {
    /// A token of now. Called again long before it ends, and every few seconds while it fails; given up
    /// after 30 seconds.
    ///
    /// # Errors
    /// If there is none at the moment. The chain names no secret.
    async fn token(&self) -> Result<KafkaToken, Box<dyn Error + Send + Sync>>;

    /// The brokers refused the last token. The next one should be made of nothing that was kept.
    fn refused(&self) {}
}

/// What is known of the tokens.
#[derive(Debug, Default)]
pub(super) struct State {
    token: Option<KafkaToken>,
    /// How many there have been.
    pub(super) generation: u64,
    /// Why the last attempt failed.
    trouble: Option<String>,
}

impl State {
    fn valid(&self) -> Option<&KafkaToken> {
        self.token.as_ref().filter(|token| token.valid_until > SystemTime::now())
    }
}

/// The present token, for the client to take.
#[derive(Clone, Debug)]
pub(super) struct Present(watch::Receiver<State>);

impl Present {
    /// The token as librdkafka takes it, and which one it is. Waits for nobody.
    pub(super) fn token(&self) -> Result<(OAuthToken, u64), String> {
        let state = self.0.borrow();
        let Some(token) = state.valid() else {
            return Err(state.trouble.clone().unwrap_or_else(|| "there is none yet".to_owned()));
        };
        let end = token.valid_until.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let token = OAuthToken {
            token: token.value.expose_secret().to_owned(),
            principal_name: token.principal.clone(),
            lifetime_ms: i64::try_from(end).unwrap_or(i64::MAX),
        };
        Ok((token, state.generation))
    }

    pub(super) fn generation(&self) -> u64 {
        self.0.borrow().generation
    }
}

/// Keeps a valid token at hand. Its task ends when this is dropped.
#[derive(Debug)]
pub(super) struct Tokens {
    sink: Arc<str>,
    source: Arc<dyn KafkaTokens>,
    state: watch::Sender<State>,
    refused: Arc<Notify>,
    task: Mutex<JoinSet<()>>,
}

impl Tokens {
    pub(super) fn new(sink: &str, source: Arc<dyn KafkaTokens>) -> Self {
        Self {
            sink: sink.into(),
            source,
            state: watch::Sender::default(),
            refused: Arc::default(),
            task: Mutex::default(),
        }
    }

    pub(super) fn present(&self) -> Present {
        Present(self.state.subscribe())
    }

    /// Waits until there has been a token, at most for so long.
    pub(super) async fn first(&self, patience: Duration) -> Result<(), SinkError> {
        self.start();
        let mut state = self.state.subscribe();
        let tried = state.wait_for(|state| state.generation > 0 || state.trouble.is_some());
        match timeout(patience, tried).await {
            Ok(Ok(state)) if state.generation > 0 => Ok(()),
            _ => Err(self.missing()),
        }
    }

    /// What is wrong, if a client could not log in now.
    pub(super) fn trouble(&self) -> Option<SinkError> {
        let is_valid = self.state.borrow().valid().is_some();
        (!is_valid).then(|| self.missing())
    }

    /// The brokers refused the token that the client has.
    pub(super) fn refused(&self) {
        self.refused.notify_one();
    }

    fn missing(&self) -> SinkError {
        let error = SinkError::retry("there is no token to log in with");
        match self.state.borrow().trouble.clone() {
            Some(trouble) => error.because(trouble),
            None => error,
        }
    }

    /// Starts the task, also where it ended by a panic of whoever makes tokens.
    fn start(&self) {
        // A JoinSet is whole whoever panicked beside it.
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        while task.try_join_next().is_some() {}
        if task.is_empty() {
            let renewal = Renewal {
                sink: Arc::clone(&self.sink),
                source: Arc::clone(&self.source),
                state: self.state.clone(),
                refused: Arc::clone(&self.refused),
            };
            task.spawn(renewal.run());
        }
    }
}

struct Renewal {
    sink: Arc<str>,
    source: Arc<dyn KafkaTokens>,
    state: watch::Sender<State>,
    refused: Arc<Notify>,
}

impl Renewal {
    async fn run(self) {
        loop {
            let began = Instant::now();
            let wait = match self.fetch().await {
                Ok(token) => {
                    // Half of its time is left for attempts that fail.
                    let left = token.valid_until.duration_since(SystemTime::now());
                    let half = left.unwrap_or_default() / 2;
                    if self.replace(token) {
                        tracing::info!(
                            sink = &*self.sink,
                            "tokens to log in with can be had again"
                        );
                    }
                    half.max(Duration::from_millis(500))
                }
                Err(trouble) => {
                    let mut is_news = false;
                    self.state.send_modify(|state| {
                        is_news = state.trouble.is_none();
                        state.trouble = Some(trouble.clone());
                    });
                    if is_news {
                        tracing::warn!(
                            sink = &*self.sink,
                            error = trouble,
                            "no token to log in with"
                        );
                    }
                    AGAIN
                }
            };
            // Cancel safety: neither arm has work that could be dropped.
            tokio::select! {
                () = sleep(wait) => {}
                () = self.refused.notified() => {
                    sleep_until(began + REFUSED_AGAIN).await;
                    self.source.refused();
                }
            }
        }
    }

    /// Whether the attempt before this one failed.
    fn replace(&self, token: KafkaToken) -> bool {
        let mut failed_before = false;
        self.state.send_modify(|state| {
            failed_before = state.trouble.take().is_some();
            state.token = Some(token);
            state.generation += 1;
        });
        failed_before
    }

    async fn fetch(&self) -> Result<KafkaToken, String> {
        match timeout(PATIENCE, self.source.token()).await {
            Ok(Ok(token)) if token.valid_until > SystemTime::now() => Ok(token),
            Ok(Ok(_)) => {
                Err("the token had ended before it was used: is this machine's clock right?".into())
            }
            Ok(Err(error)) => Err(shown(&chain(&*error))),
            Err(_) => Err(format!("nobody gave one within {PATIENCE:?}")),
        }
    }
}
