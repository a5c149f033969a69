//! The client of librdkafka, and what it says by itself.

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::FutureProducer;
use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::sink::Producer;
use super::token::Present;
use super::{
    KafkaCertificate, KafkaCompression, KafkaMechanism, KafkaPair, KafkaSettings, KafkaUser,
};
use crate::{BuildError, SecretSource};

/// The memory of messages that are on their way, those included that their callers gave up.
const QUEUE_KIBIBYTES: u32 = 64 << 10;
/// How long trouble with a broker explains why something failed.
const FRESH: Duration = Duration::from_secs(120);
/// The longest passphrase: OpenSSL's own limit, behind which librdkafka would read.
const LONGEST_PASSPHRASE: usize = 1_023;
/// The longest text of librdkafka's, or of a broker's, that is passed on.
const LONGEST_TEXT: usize = 300;

/// What a client was made with: secrets and files as last read.
#[derive(PartialEq)]
pub(super) struct Credentials {
    login: Option<Login>,
    key_password: Option<Secret>,
    certificate: Option<KafkaPair>,
}

#[derive(PartialEq)]
struct Login {
    username: Secret,
    password: Secret,
}

struct Secret(SecretString);

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl Credentials {
    /// Blocks while it reads files.
    pub(super) fn read(sink: &str, settings: &KafkaSettings) -> Result<Self, BuildError> {
        let secret = |source: &SecretSource| {
            let secret = source.resolve().map(Secret);
            secret.map_err(|source| BuildError::Secret { sink: sink.to_owned(), source })
        };
        let login = settings.login.as_ref().map(|login| {
            let username = match &login.username {
                KafkaUser::Plain(name) => Secret(name.clone().into()),
                KafkaUser::Secret(source) => secret(source)?,
            };
            Ok(Login { username, password: secret(&login.password)? })
        });
        let files = settings.certificate.as_ref();
        let certificate = files.map(|files| {
            files.read().map_err(|source| BuildError::Certificate { sink: sink.to_owned(), source })
        });
        let key_password = files.and_then(|files| files.key_password.as_ref()).map(secret);
        let key_password = key_password.transpose()?;
        if key_password.as_ref().is_some_and(|it| it.0.expose_secret().len() > LONGEST_PASSPHRASE) {
            let problem = format!("key_password is longer than {LONGEST_PASSPHRASE} bytes");
            return Err(BuildError::Kafka { sink: sink.to_owned(), problem });
        }
        Ok(Self { login: login.transpose()?, certificate: certificate.transpose()?, key_password })
    }

    /// What is wrong with the certificate by now.
    pub(super) fn ended(&self, settings: &KafkaSettings) -> Option<String> {
        let (files, pair) = (settings.certificate.as_ref()?, self.certificate.as_ref()?);
        files.ended(pair, OffsetDateTime::now_utc())
    }
}

impl KafkaSettings {
    /// Whether what a client is made with can change while the process runs.
    pub(super) fn may_rotate(&self) -> bool {
        let login = self.login.as_ref().is_some_and(|login| {
            let name = match &login.username {
                KafkaUser::Plain(_) => false,
                KafkaUser::Secret(source) => source.may_rotate(),
            };
            name || login.password.may_rotate()
        });
        login || self.certificate.is_some()
    }
}

impl Producer {
    /// Blocks while it reads certificates.
    pub(super) fn with(
        sink: &str,
        settings: &KafkaSettings,
        credentials: Arc<Credentials>,
        tokens: Option<Present>,
    ) -> Result<Self, BuildError> {
        let config = config(settings, &credentials, tokens.is_some());
        let context = Context::new(sink, tokens);
        let client: FutureProducer<Context> =
            config.create_with_context(context.clone()).map_err(|error| {
                let problem = match error {
                    // Its value may be a secret.
                    KafkaError::ClientConfig(_, problem, key, _) => format!("{key}: {problem}"),
                    other => other.to_string(),
                };
                let hint = hint(settings, &problem).unwrap_or_default();
                BuildError::Kafka {
                    sink: sink.to_owned(),
                    problem: shown(&problem) + &shown(&hint),
                }
            })?;
        let _end = Arc::new(LastHandle(Some(client.clone())));
        Ok(Self { client, context, credentials, _end })
    }
}

/// The last handle of a client. Whoever drops it waits for the client's threads, which may be looking up a name
/// or connecting: no thread of the runtime does, for leases are extended there.
pub(super) struct LastHandle(Option<FutureProducer<Context>>);

impl Drop for LastHandle {
    fn drop(&mut self) {
        let client = self.0.take();
        if let Ok(runtime) = Handle::try_current() {
            drop(runtime.spawn_blocking(move || drop(client)));
        }
    }
}

/// OpenSSL does not say which file it cannot use, nor what helps.
fn hint(settings: &KafkaSettings, problem: &str) -> Option<String> {
    if problem.contains("ssl.ca.location") {
        return settings.ca_file.as_ref().map(|path| format!(" (ca_file {})", path.display()));
    }
    let KafkaCertificate { cert_file, key_file, key_password } = settings.certificate.as_ref()?;
    let (cert_file, key_file) = (cert_file.display(), key_file.display());
    if problem.contains("key values mismatch") || problem.contains("key type mismatch") {
        return Some(format!(
            " (key_file {key_file} does not belong to cert_file {cert_file}: name the key that the certificate was \
             made for)"
        ));
    }
    if problem.contains("ssl.key.location") {
        let remedy = match key_password {
            Some(_) => ": is key_password its passphrase?",
            None => "",
        };
        return Some(format!(" (key_file {key_file}{remedy})"));
    }
    let is_certificate = problem.contains("ssl.certificate.location");
    is_certificate.then(|| format!(" (cert_file {cert_file})"))
}

fn config(settings: &KafkaSettings, credentials: &Credentials, tokens: bool) -> ClientConfig {
    let mut config = ClientConfig::new();
    let milliseconds = settings.timeout.as_millis();
    let has_login = tokens || credentials.login.is_some();
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
        // A misspelt topic is not to be made by the brokers: it would swallow events. And that it is not
        // there is known before its messages time out, which says nothing.
        .set("allow.auto.create.topics", "false")
        .set("topic.metadata.propagation.max.ms", (milliseconds / 2).min(30_000).to_string())
        // After an outage nobody waits for longer than this, and a message has several attempts.
        .set("reconnect.backoff.max.ms", (milliseconds / 4).clamp(100, 2_000).to_string())
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
            match (settings.tls, has_login) {
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
    if let Some(certificate) = &settings.certificate {
        config
            .set("ssl.certificate.location", certificate.cert_file.to_string_lossy())
            .set("ssl.key.location", certificate.key_file.to_string_lossy());
    }
    if let Some(passphrase) = &credentials.key_password {
        config.set("ssl.key.password", passphrase.0.expose_secret());
    }
    if tokens {
        config.set("sasl.mechanism", "OAUTHBEARER");
    } else if let (Some(login), Some(secrets)) = (&settings.login, &credentials.login) {
        let mechanism = match login.mechanism {
            KafkaMechanism::Plain => "PLAIN",
            KafkaMechanism::ScramSha256 => "SCRAM-SHA-256",
            KafkaMechanism::ScramSha512 => "SCRAM-SHA-512",
        };
        config
            .set("sasl.mechanism", mechanism)
            .set("sasl.username", secrets.username.0.expose_secret())
            .set("sasl.password", secrets.password.0.expose_secret());
    }
    config
}

/// Text that is not ours, for a log or an error.
pub(super) fn shown(text: &str) -> String {
    let escaped = text.escape_debug();
    escaped.take(LONGEST_TEXT).collect()
}

/// Hears what librdkafka's threads have to say, and gives them tokens.
#[derive(Clone)]
pub(super) struct Context {
    sink: Arc<str>,
    /// The brokers do not let us in, or not where we want to go.
    pub(super) is_unauthorized: Arc<AtomicBool>,
    /// They do not let us in.
    pub(super) is_login_refused: Arc<AtomicBool>,
    trouble: Arc<Mutex<Option<(Instant, String)>>>,
    tokens: Option<Present>,
    /// The last token that the client was given.
    pub(super) generation: Arc<AtomicU64>,
}

impl Context {
    fn new(sink: &str, tokens: Option<Present>) -> Self {
        let generation = tokens.as_ref().map_or(0, Present::generation);
        Self {
            sink: sink.into(),
            is_unauthorized: Arc::default(),
            is_login_refused: Arc::default(),
            trouble: Arc::default(),
            tokens,
            generation: Arc::new(generation.into()),
        }
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
        self.is_login_refused.store(false, Ordering::Relaxed);
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    /// Asked for when four fifths of a token's time are over, and every ten seconds after an error. Must not
    /// wait: this thread hands out the delivery reports.
    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        let tokens = self.tokens.as_ref().ok_or("this client logs in without tokens")?;
        let (token, generation) = tokens.token()?;
        self.generation.store(generation, Ordering::Relaxed);
        Ok(token)
    }

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
        let is_login_refused = matches!(
            code,
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed)
        );
        // A certificate is refused in many words.
        let may_be_certificate =
            matches!(code, Some(RDKafkaErrorCode::SSL | RDKafkaErrorCode::BrokerTransportFailure));
        let has_no_rights = matches!(
            code,
            Some(
                RDKafkaErrorCode::ClusterAuthorizationFailed
                    | RDKafkaErrorCode::TopicAuthorizationFailed
            )
        );
        if is_login_refused {
            self.is_login_refused.store(true, Ordering::Relaxed);
        }
        if is_login_refused || may_be_certificate || has_no_rights {
            self.is_unauthorized.store(true, Ordering::Relaxed);
        }
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        // That all brokers are down follows from the trouble with each, which says more.
        if code != Some(RDKafkaErrorCode::AllBrokersDown) || trouble.is_none() {
            *trouble = Some((Instant::now(), reason));
        }
    }
}
