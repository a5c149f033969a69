//! The client of librdkafka, and what it says by itself.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::sink::Producer;
use super::{KafkaCompression, KafkaLogin, KafkaMechanism, KafkaSettings, KafkaUser};
use crate::{BuildError, SecretError};

/// The memory of messages that are on their way, those included that their callers gave up.
const QUEUE_KIBIBYTES: u32 = 64 << 10;
/// How long trouble with a broker explains why something failed.
const FRESH: Duration = Duration::from_secs(120);
/// The longest text of librdkafka's, or of a broker's, that is passed on.
const LONGEST_TEXT: usize = 300;

/// Name and password as last read.
pub(super) struct Credentials {
    username: SecretString,
    password: SecretString,
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        self.username.expose_secret() == other.username.expose_secret()
            && self.password.expose_secret() == other.password.expose_secret()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl Credentials {
    /// Blocks while it reads files.
    pub(super) fn read(login: &KafkaLogin) -> Result<Self, SecretError> {
        let username = match &login.username {
            KafkaUser::Plain(name) => name.clone().into(),
            KafkaUser::Secret(source) => source.resolve()?,
        };
        Ok(Self { username, password: login.password.resolve()? })
    }
}

impl KafkaLogin {
    /// Whether it can change while the process runs.
    pub(super) fn may_rotate(&self) -> bool {
        let name = match &self.username {
            KafkaUser::Plain(_) => false,
            KafkaUser::Secret(source) => source.may_rotate(),
        };
        name || self.password.may_rotate()
    }
}

impl Producer {
    pub(super) fn new(sink: &str, settings: &KafkaSettings) -> Result<Self, BuildError> {
        let credentials = settings.login.as_ref().map(Credentials::read).transpose();
        let credentials = credentials
            .map_err(|source| BuildError::Secret { sink: sink.to_owned(), source })?
            .map(Arc::new);
        Self::with(sink, settings, credentials)
    }

    pub(super) fn with(
        sink: &str,
        settings: &KafkaSettings,
        credentials: Option<Arc<Credentials>>,
    ) -> Result<Self, BuildError> {
        let context = Context::new(sink);
        let config = config(settings, credentials.as_deref());
        let client = config.create_with_context(context.clone()).map_err(|error| {
            let problem = match error {
                // Its value may be a secret.
                KafkaError::ClientConfig(_, problem, key, _) => format!("{key}: {problem}"),
                other => other.to_string(),
            };
            // OpenSSL does not say which file it cannot use.
            let file = settings.ca_file.as_ref().filter(|_| problem.contains("ssl.ca.location"));
            let file =
                file.map_or_else(String::new, |path| format!(" (ca_file {})", path.display()));
            BuildError::Kafka { sink: sink.to_owned(), problem: shown(&(problem + &file)) }
        })?;
        Ok(Self { client, context, credentials })
    }
}

fn config(settings: &KafkaSettings, credentials: Option<&Credentials>) -> ClientConfig {
    let mut config = ClientConfig::new();
    let milliseconds = settings.timeout.as_millis();
    config
        .set("bootstrap.servers", settings.brokers.join(","))
        .set("client.id", "trailsift")
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("message.timeout.ms", milliseconds.to_string())
        // A broker that does not answer leaves time for another attempt.
        .set("request.timeout.ms", (milliseconds / 2).to_string())
        .set("socket.timeout.ms", (milliseconds / 2).clamp(100, 60_000).to_string())
        .set("socket.keepalive.enable", "true")
        // After an outage nobody waits for longer than this.
        .set("reconnect.backoff.max.ms", "2000")
        // Batches come ready-made; a moment is enough to hand one over.
        .set("linger.ms", "2")
        .set("queue.buffering.max.kbytes", QUEUE_KIBIBYTES.to_string())
        .set("message.max.bytes", settings.max_message_bytes.to_string())
        // As Kafka's own clients choose the partition of a key.
        .set("partitioner", "murmur2_random")
        .set(
            "compression.type",
            match settings.compression {
                KafkaCompression::None => "none",
                KafkaCompression::Gzip => "gzip",
                KafkaCompression::Lz4 => "lz4",
                KafkaCompression::Zstd => "zstd",
            },
        )
        .set(
            "security.protocol",
            match (settings.tls, credentials.is_some()) {
                (true, true) => "sasl_ssl",
                (true, false) => "ssl",
                (false, true) => "sasl_plaintext",
                (false, false) => "plaintext",
            },
        )
        .set_log_level(RDKafkaLogLevel::Info);
    if let Some(path) = &settings.ca_file {
        config.set("ssl.ca.location", path.to_string_lossy());
    }
    if let (Some(login), Some(credentials)) = (&settings.login, credentials) {
        let mechanism = match login.mechanism {
            KafkaMechanism::Plain => "PLAIN",
            KafkaMechanism::ScramSha256 => "SCRAM-SHA-256",
            KafkaMechanism::ScramSha512 => "SCRAM-SHA-512",
        };
        config
            .set("sasl.mechanism", mechanism)
            .set("sasl.username", credentials.username.expose_secret())
            .set("sasl.password", credentials.password.expose_secret());
    }
    config
}

/// Text that is not ours, for a log or an error.
fn shown(text: &str) -> String {
    let escaped = text.escape_debug();
    escaped.take(LONGEST_TEXT).collect()
}

/// Hears what librdkafka's threads have to say.
#[derive(Clone)]
pub(super) struct Context {
    sink: Arc<str>,
    /// The brokers do not let us in.
    pub(super) is_unauthorized: Arc<AtomicBool>,
    trouble: Arc<Mutex<Option<(Instant, String)>>>,
}

impl Context {
    fn new(sink: &str) -> Self {
        Self { sink: sink.into(), is_unauthorized: Arc::default(), trouble: Arc::default() }
    }

    /// The last trouble with a broker, if it may still be there.
    pub(super) fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = trouble.as_ref().filter(|(since, _)| since.elapsed() < FRESH);
        fresh.map(|(_, trouble)| trouble.clone())
    }

    pub(super) fn forget_trouble(&self) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.is_unauthorized.store(false, Ordering::Relaxed);
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let (sink, message) = (&*self.sink, shown(message));
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(sink, facility, "kafka: {message}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(sink, facility, "kafka: {message}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(sink, facility, "kafka: {message}"),
        }
    }

    /// Of a client that goes on trying by itself: it explains why a write fails, and the write says it.
    fn error(&self, error: KafkaError, reason: &str) {
        let reason = shown(reason);
        tracing::debug!(sink = &*self.sink, %error, reason, "kafka has trouble");
        let code = error.rdkafka_error_code();
        if matches!(
            code,
            Some(
                RDKafkaErrorCode::Authentication
                    | RDKafkaErrorCode::SaslAuthenticationFailed
                    | RDKafkaErrorCode::ClusterAuthorizationFailed
                    | RDKafkaErrorCode::TopicAuthorizationFailed
            )
        ) {
            self.is_unauthorized.store(true, Ordering::Relaxed);
        }
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        // That all brokers are down follows from the trouble with each, which says more.
        if code != Some(RDKafkaErrorCode::AllBrokersDown) || trouble.is_none() {
            *trouble = Some((Instant::now(), reason));
        }
    }
}
