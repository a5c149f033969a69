//! Brokers that ask who their client is: for a certificate, or for a token.

use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::SystemTime;

use tokio::time::sleep;
use trailsift_core::SinkError;
use trailsift_sinks::{BuildError, KafkaCertificate, KafkaToken, KafkaTokens, SecretSource};

use super::front::{Accepted, Front, Login, Rules, authority_of};
use super::*;
use crate::certificates::Authority;

const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster behind its front, and a folder for what its client shows.
struct Guarded {
    cluster: Cluster,
    front: Front,
    folder: tempfile::TempDir,
}

impl Guarded {
    async fn new(rules: Rules) -> Self {
        let cluster = Cluster::new(1);
        let authority = Authority::new();
        let front = Front::new(&authority, &cluster.brokers.servers, rules).await;
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), &authority.pem).expect("written");
        Self { cluster, front, folder }
    }

    fn path(&self, file: &str) -> std::path::PathBuf {
        self.folder.path().join(file)
    }

    fn settings(&self) -> KafkaSettings {
        KafkaSettings {
            tls: true,
            brokers: vec![self.front.servers.clone()],
            ca_file: Some(self.path("ca.pem")),
            timeout: Duration::from_secs(20),
            ..self.cluster.settings.clone()
        }
    }

    fn with_certificate(&self) -> KafkaSettings {
        let certificate = KafkaCertificate {
            cert_file: self.path("cert.pem"),
            key_file: self.path("key.pem"),
            key_password: None,
        };
        KafkaSettings { certificate: Some(certificate), ..self.settings() }
    }

    fn stored(&self) -> usize {
        tokio::task::block_in_place(|| self.cluster.stored()).len()
    }
}

/// Writes a certificate of this authority, and its key.
fn show(folder: &Path, authority: &Authority, last_year: i32) {
    let (certificate, key) = authority.issue("trailsift", last_year);
    std::fs::write(folder.join("cert.pem"), certificate.pem()).expect("written");
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).expect("written");
}

/// The error and its causes.
fn chain(error: &SinkError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// For what is refused: how long it is tried.
fn brief(settings: KafkaSettings) -> KafkaSettings {
    KafkaSettings { timeout: Duration::from_secs(2), ..settings }
}

/// Writes one event, which has to arrive.
async fn deliver(sink: &KafkaSink, id: u32) {
    let events = batch([event("1", id)]);
    let answer = sink.write(&events).await;
    assert_eq!(acknowledged(&events, &answer).len(), 1, "{answer:?}");
}

/// The same of a sink that may have to try again.
async fn deliver_at_last(sink: &KafkaSink, id: u32) {
    let events = batch([event("1", id)]);
    let began = Instant::now();
    loop {
        let answer = sink.write(&events).await;
        if acknowledged(&events, &answer).len() == 1 {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{answer:?}");
        sleep(Duration::from_millis(100)).await;
    }
}

async fn until_well(sink: &KafkaSink) {
    let began = Instant::now();
    while let Err(error) = sink.check().await {
        assert!(began.elapsed() < PATIENCE, "still ill: {}", chain(&error));
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_lets_in_who_has_a_certificate_of_its_authority() {
    let clients = Authority::new();
    let rules = Rules { clients: Some(authority_of(&clients.pem)), ..Rules::default() };
    let guarded = Guarded::new(rules).await;
    show(guarded.folder.path(), &clients, 2090);
    let sink = KafkaSink::new("kafka", guarded.with_certificate()).expect("settings");
    sink.check().await.expect("let in");
    deliver(&sink, 1).await;
    assert_eq!(guarded.stored(), 1);
}

/// `client.pem` and `client.key` were made by OpenSSL 3: `openssl pkcs8 -topk8 -v2 aes256`, `openssl req -x509`.
#[tokio::test(flavor = "multi_thread")]
async fn kafka_lets_in_who_has_a_key_with_a_passphrase_and_a_wrong_passphrase_is_named() {
    let (certificate, key) = (include_str!("client.pem"), include_str!("client.key"));
    let rules = Rules { clients: Some(authority_of(certificate)), ..Rules::default() };
    let guarded = Guarded::new(rules).await;
    std::fs::write(guarded.path("cert.pem"), certificate).expect("written");
    std::fs::write(guarded.path("key.pem"), key).expect("written");
    std::fs::write(guarded.path("passphrase"), "open sesame\n").expect("written");
    let mut settings = guarded.with_certificate();
    let error = KafkaSink::new("kafka", settings.clone()).expect_err("no passphrase");
    let error = error.source().expect("which file").to_string();
    assert!(
        error.contains("key.pem has a passphrase: say where it is with key_password"),
        "{error}"
    );

    let passphrase = SecretSource::File(guarded.path("passphrase"));
    settings.certificate.as_mut().expect("one").key_password = Some(passphrase);
    let sink = KafkaSink::new("kafka", settings.clone()).expect("settings");
    sink.check().await.expect("let in");
    deliver(&sink, 1).await;

    std::fs::write(guarded.path("passphrase"), "open barley").expect("written");
    let error = KafkaSink::new("kafka", settings.clone()).expect_err("wrong").to_string();
    assert!(error.contains("key.pem: is key_password its passphrase?"), "{error}");
    assert!(!error.contains("barley"), "{error}");

    // What only OpenSSL can compare.
    std::fs::write(guarded.path("passphrase"), "open sesame").expect("written");
    show(guarded.folder.path(), &Authority::new(), 2090);
    std::fs::write(guarded.path("key.pem"), key).expect("written");
    let error = KafkaSink::new("kafka", settings).expect_err("mixed up").to_string();
    assert!(error.contains("does not belong to cert_file"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_refuses_who_has_no_certificate_or_another_ones() {
    let clients = Authority::new();
    let rules = Rules { clients: Some(authority_of(&clients.pem)), ..Rules::default() };
    let guarded = Guarded::new(rules).await;
    show(guarded.folder.path(), &Authority::new(), 2090);
    for settings in [guarded.settings(), guarded.with_certificate()] {
        let sink = KafkaSink::new("kafka", brief(settings)).expect("settings");
        let events = batch([event("1", 1)]);
        let outcome = sink.write(&events).await.expect("an outcome");
        let error = &outcome.failures[0].error;
        assert_eq!(error.disposition, Disposition::RETRY);
        assert!(error.message.contains("localhost"), "{error}");
        let trouble = sink.check().await.expect_err("nobody it knows").to_string();
        assert!(trouble.to_lowercase().contains("ssl"), "{trouble}");
    }
    assert_eq!(guarded.stored(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_kafka_that_ended_is_named_and_a_renewed_one_is_taken_up() {
    let clients = Authority::new();
    let rules = Rules { clients: Some(authority_of(&clients.pem)), ..Rules::default() };
    let guarded = Guarded::new(rules).await;
    show(guarded.folder.path(), &clients, 2021);
    let settings = brief(guarded.with_certificate());
    let sink = KafkaSink::new("kafka", settings).expect("it may be renewed");
    let trouble = sink.check().await.expect_err("it has ended").to_string();
    assert!(trouble.contains("cert.pem ended on 2021-01-01: renew it"), "{trouble}");
    let events = batch([event("1", 1)]);
    let outcome = sink.write(&events).await.expect("an outcome");
    let error = &outcome.failures[0].error;
    assert!(error.message.contains("ended on 2021-01-01"), "{error}");

    // Half of it renewed changes nothing, and breaks nothing.
    let (certificate, key) = clients.issue("trailsift", 2090);
    std::fs::write(guarded.path("cert.pem"), certificate.pem()).expect("written");
    sink.check().await.expect_err("still the old one");
    std::fs::write(guarded.path("key.pem"), key.serialize_pem()).expect("written");
    until_well(&sink).await;
    deliver_at_last(&sink, 1).await;
}

#[tokio::test]
async fn a_key_that_is_not_the_certificates_is_named_before_kafka_is_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    show(folder.path(), &authority, 2090);
    let (_, other) = authority.issue("trailsift", 2090);
    std::fs::write(folder.path().join("key.pem"), other.serialize_pem()).expect("written");
    let certificate = KafkaCertificate {
        cert_file: folder.path().join("cert.pem"),
        key_file: folder.path().join("key.pem"),
        key_password: None,
    };
    let settings = KafkaSettings {
        certificate: Some(certificate),
        ..KafkaSettings::new(vec!["localhost:9093".into()], TOPIC)
    };
    let error = KafkaSink::new("kafka", settings).expect_err("mixed up");
    assert!(matches!(error, BuildError::Certificate { .. }), "{error:?}");
    let error = error.source().expect("which file").to_string();
    assert!(error.contains("key.pem does not belong to cert_file"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_of_an_unknown_authority_get_no_event() {
    let guarded = Guarded::new(Rules::default()).await;
    std::fs::write(guarded.path("ca.pem"), &Authority::new().pem).expect("written");
    let sink = KafkaSink::new("kafka", brief(guarded.settings())).expect("settings");
    let trouble = sink.check().await.expect_err("nobody to be trusted").to_string();
    assert!(trouble.contains("certificate verify failed"), "{trouble}");
    assert_eq!(guarded.stored(), 0);
}

/// Makes tokens that end so soon. Brokers take them for longer, so that a slow machine changes nothing.
#[derive(Debug)]
struct Mint {
    life: Duration,
    accepted: Accepted,
    made: AtomicUsize,
    refused: AtomicUsize,
    fails: AtomicBool,
    hangs_from: Option<usize>,
}

impl Mint {
    fn new(life: Duration) -> Self {
        Self {
            life,
            accepted: Accepted::default(),
            made: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            fails: AtomicBool::new(false),
            hangs_from: None,
        }
    }

    fn rules(&self, session: Duration) -> Rules {
        Rules { tokens: Some((Arc::clone(&self.accepted), session)), ..Rules::default() }
    }
}

#[async_trait]
impl KafkaTokens for Mint {
    async fn token(&self) -> Result<KafkaToken, Box<dyn Error + Send + Sync>> {
        if self.fails.load(Ordering::SeqCst) {
            return Err("the role cannot be assumed".into());
        }
        let number = self.made.fetch_add(1, Ordering::SeqCst);
        if self.hangs_from.is_some_and(|from| number >= from) {
            std::future::pending::<()>().await;
        }
        let value = format!("token-{number}");
        self.accepted.lock().unwrap().insert(value.clone(), Instant::now() + 10 * PATIENCE);
        Ok(KafkaToken::new(value, "trailsift", SystemTime::now() + self.life))
    }

    fn refused(&self) {
        self.refused.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_lets_in_who_has_a_token_and_nobody_shows_it() {
    let mint = Arc::new(Mint::new(Duration::from_secs(900)));
    let guarded = Guarded::new(mint.rules(Duration::ZERO)).await;
    let sink = KafkaSink::with_tokens("kafka", guarded.settings(), mint).expect("settings");
    deliver(&sink, 1).await;
    sink.check().await.expect("let in");
    assert_eq!(guarded.stored(), 1);
    let logins = guarded.front.logins();
    assert!(logins.iter().all(|login| login.is_accepted && login.token == "token-0"), "{logins:?}");
    assert!(!format!("{sink:?}").contains("token-0"), "{sink:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_at_kafka_goes_on_with_a_newer_token_before_the_old_one_ends() {
    let mint = Arc::new(Mint::new(Duration::from_secs(4)));
    let guarded = Guarded::new(mint.rules(Duration::from_secs(2))).await;
    let sink = KafkaSink::with_tokens("kafka", guarded.settings(), mint).expect("settings");
    let began = Instant::now();
    for id in 0.. {
        deliver_at_last(&sink, id).await;
        let logins = guarded.front.logins();
        assert!(logins.iter().all(|login| login.is_accepted), "{logins:?}");
        let on_one_connection = |first: &Login| {
            logins
                .iter()
                .any(|login| login.connection == first.connection && login.token != first.token)
        };
        if logins.iter().any(on_one_connection) {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{logins:?}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_for_kafka_events_wait_and_the_reason_is_told() {
    let mint = Arc::new(Mint::new(Duration::from_secs(900)));
    mint.fails.store(true, Ordering::SeqCst);
    let guarded = Guarded::new(mint.rules(Duration::ZERO)).await;
    let tokens: Arc<dyn KafkaTokens> = mint.clone();
    let sink = KafkaSink::with_tokens("kafka", guarded.settings(), tokens).expect("settings");
    let trouble = sink.check().await.expect_err("no token");
    assert_eq!(trouble.disposition, Disposition::RETRY);
    let text = chain(&trouble);
    assert_eq!(text, "there is no token to log in with: the role cannot be assumed");
    let error = sink.write(&batch([event("1", 1)])).await.expect_err("no token");
    assert_eq!(error.disposition, Disposition::RETRY);

    mint.fails.store(false, Ordering::SeqCst);
    until_well(&sink).await;
    deliver_at_last(&sink, 1).await;
    assert!(guarded.stored() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_token_holds_up_no_delivery_at_kafka() {
    let mint = Mint { hangs_from: Some(1), ..Mint::new(Duration::from_secs(4)) };
    let guarded = Guarded::new(mint.rules(Duration::ZERO)).await;
    let sink = KafkaSink::with_tokens("kafka", guarded.settings(), Arc::new(mint));
    let sink = sink.expect("settings");
    deliver_at_last(&sink, 0).await;
    let began = Instant::now();
    let mut id = 1;
    // A delivery that waited for the token would take longer than the sink's patience of 20 seconds: the
    // one who makes it has 30. The connection outlives the token; whoever connects anew could not log in.
    let trouble = loop {
        deliver(&sink, id).await;
        if let Err(error) = sink.check().await {
            break chain(&error);
        }
        assert!(began.elapsed() < PATIENCE, "the token should have ended");
        id += 1;
        sleep(Duration::from_millis(100)).await;
    };
    assert!(trouble.contains("there is no token to log in with"), "{trouble}");
    deliver(&sink, id + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_kafka_refuses_is_made_anew() {
    let mint = Arc::new(Mint::new(Duration::from_secs(900)));
    let guarded = Guarded::new(mint.rules(Duration::ZERO)).await;
    let tokens: Arc<dyn KafkaTokens> = mint.clone();
    let sink =
        KafkaSink::with_tokens("kafka", brief(guarded.settings()), tokens).expect("settings");
    deliver_at_last(&sink, 1).await;
    mint.accepted.lock().unwrap().clear();
    guarded.front.hang_up();
    let began = Instant::now();
    let error = loop {
        match sink.check().await {
            Err(error) if error.message.contains("Access denied") => break error,
            answer => assert!(began.elapsed() < PATIENCE, "{answer:?}"),
        }
        sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(error.disposition, Disposition::RETRY);
    until_well(&sink).await;
    deliver_at_last(&sink, 2).await;
    assert!(mint.refused.load(Ordering::SeqCst) > 0);
    let logins = guarded.front.logins();
    assert!(logins.iter().any(|login| !login.is_accepted), "{logins:?}");
}
