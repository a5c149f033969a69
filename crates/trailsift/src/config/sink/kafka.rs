//! `type = "kafka"`, which every build reads and only some can write to.

use std::fmt::{self, Write};
use std::net::IpAddr;
use std::path::Path;

use trailsift_sinks::{
    KafkaCompression, KafkaKey, KafkaLogin, KafkaMechanism, KafkaSettings, KafkaUser, SecretSource,
};

use super::secret::{Secret, printed};
use crate::config::findings::Place;
use crate::config::kinds::{FilePath, Flag, ListOf, OneOf, Size, Span, TableOf, Text};
use crate::config::print::quoted;
use crate::config::reader::{Kind, Node, Section};
use crate::config::{ByteSize, duration_text};

/// A topic of a Kafka cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaConfig {
    /// What is written, and where.
    pub settings: KafkaSettings,
    /// Whether connections beyond this machine may go unencrypted.
    pub allow_plaintext: bool,
}

const BROKER: Text = Text {
    what: "a broker, such as \"broker-1.example.com:9093\"",
    judge: |text| match host_of(text) {
        Some(_) => Ok(()),
        None => Err((
            format!("is no broker: {text:?}"),
            "it looks like \"broker-1.example.com:9093\"".into(),
        )),
    },
};

const TOPIC: Text = Text {
    what: "the name of a topic",
    judge: |text| {
        let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        match (1..=249).contains(&text.len()) && text.chars().all(legal) {
            true => Ok(()),
            false => Err((
                format!("is no name of a topic: {text:?}"),
                "use 1 to 249 letters, digits, `.`, `_` and `-`".into(),
            )),
        }
    },
};

const KEY: OneOf<KafkaKey> =
    OneOf { words: &[("account", KafkaKey::Account), ("event_id", KafkaKey::EventId)], later: &[] };

const COMPRESSION: OneOf<KafkaCompression> = OneOf {
    words: &[
        ("none", KafkaCompression::None),
        ("gzip", KafkaCompression::Gzip),
        ("lz4", KafkaCompression::Lz4),
        ("zstd", KafkaCompression::Zstd),
    ],
    later: &[],
};

const MECHANISM: OneOf<KafkaMechanism> = OneOf {
    words: &[
        ("PLAIN", KafkaMechanism::Plain),
        ("SCRAM-SHA-256", KafkaMechanism::ScramSha256),
        ("SCRAM-SHA-512", KafkaMechanism::ScramSha512),
    ],
    later: &[],
};

const USERNAME: Text = Text {
    what: "the name of a user",
    judge: |text| match !text.is_empty() && !text.contains(char::is_control) {
        true => Ok(()),
        false => Err(("is empty or holds a control character".into(), String::new())),
    },
};

/// The host of `host:port`.
fn host_of(broker: &str) -> Option<&str> {
    let (host, port) = broker.rsplit_once(':')?;
    let odd = |c: char| c.is_whitespace() || c.is_control() || ",/@".contains(c);
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    (is_port && !host.is_empty() && !host.contains(odd)).then_some(host)
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// As the sinks over HTTP judge theirs; whether each certificate is one, librdkafka says at the start.
fn judge_authorities(path: &Path) -> Result<(), String> {
    let shown = path.display().to_string();
    let shown = shown.escape_debug();
    let pem = std::fs::read(path).map_err(|cause| {
        format!("{shown} cannot be read ({cause}): it must be a file of certificates in PEM")
    })?;
    let begin = b"-----BEGIN CERTIFICATE-----";
    match pem.windows(begin.len()).any(|part| part == begin) {
        true => Ok(()),
        false => Err(format!("{shown} holds no certificate in PEM")),
    }
}

/// What could not be read is reported, so a value that stands in for it is never used.
pub(super) fn kafka(section: &mut Section<'_, '_>, kind: Place) -> KafkaConfig {
    let findings = section.scope.findings;
    if !cfg!(feature = "kafka") {
        findings.error(
            kind,
            "this build of trailsift has no Kafka",
            "build it with `cargo build --release --features kafka`",
        );
    }
    let brokers = section.need("brokers", ListOf(BROKER));
    let topic = section.need("topic", TOPIC);
    let default = KafkaSettings::new(Vec::new(), "");
    let tls = section.get("tls", Flag);
    let allow_plaintext = section.get_or("allow_plaintext", Flag, false);
    let ca_file = section.get("ca_file", FilePath);
    let is_encrypted = tls.as_ref().is_none_or(|tls| tls.value);
    let brokers = brokers.map_or_else(Vec::new, |at| at.value);
    let is_far = |broker: &str| host_of(broker).is_some_and(|host| !is_loopback(host));
    if let Some(tls) = tls.filter(|tls| !tls.value && !allow_plaintext)
        && brokers.iter().any(|broker| is_far(&broker.value))
    {
        findings.error(
            tls.place,
            "`tls` is off for another machine: whoever sits between can read and forge what passes",
            "leave it on, or set allow_plaintext = true for a test",
        );
    }
    if let Some(file) = ca_file.as_ref().filter(|_| !is_encrypted) {
        findings.error(file.place, "`ca_file` has no meaning with tls = false", "leave it out");
    }
    if let Some(file) = ca_file.as_ref().filter(|_| is_encrypted)
        && let Err(problem) = judge_authorities(&file.value)
    {
        findings.error(file.place, format!("`ca_file` {problem}"), "");
    }
    let timeout = Span::seconds(1, 600);
    let sizes = ByteSize::new(1 << 10)..=ByteSize::mebibytes(64);
    let usual = ByteSize::new(default.max_message_bytes as u64);
    let max_message = section.get_or("max_message", Size(sizes), usual);
    let settings = KafkaSettings {
        brokers: brokers.into_iter().map(|at| at.value).collect(),
        topic: topic.map_or_else(String::new, |at| at.value),
        key: section.get_or("key", KEY, default.key),
        compression: section.get_or("compression", COMPRESSION, default.compression),
        max_message_bytes: usize::try_from(max_message.bytes()).unwrap_or(usize::MAX),
        timeout: section.get_or("timeout", timeout, default.timeout),
        tls: is_encrypted,
        ca_file: ca_file.map(|at| at.value),
        login: section.get("sasl", TableOf(login)).map(|at| at.value),
    };
    KafkaConfig { settings, allow_plaintext }
}

fn login(section: &mut Section<'_, '_>) -> Option<KafkaLogin> {
    let mechanism = section.need("mechanism", MECHANISM);
    let username = section.need("username", User);
    let password = section.need("password", Secret);
    Some(KafkaLogin {
        mechanism: mechanism?.value,
        username: username?.value,
        password: password?.value,
    })
}

/// A name as it is, or where it is to be found.
struct User;

impl Kind for User {
    type Value = KafkaUser;

    fn expected(&self) -> String {
        format!("{}, or {}", USERNAME.expected(), Secret.expected())
    }

    fn read(&self, node: &Node<'_, '_>) -> Option<KafkaUser> {
        match node.value {
            toml::de::DeValue::String(_) => USERNAME.read(node).map(KafkaUser::Plain),
            toml::de::DeValue::Table(_) => Secret.read(node).map(KafkaUser::Secret),
            _ => {
                node.wrong_type(&self.expected());
                None
            }
        }
    }
}

fn word<T: Copy + PartialEq>(words: &OneOf<T>, value: T) -> &'static str {
    words.words.iter().find(|(_, of)| *of == value).map_or("", |(word, _)| word)
}

impl KafkaConfig {
    /// As keys of TOML.
    pub(in crate::config) fn print(&self, f: &mut impl Write) -> fmt::Result {
        let settings = &self.settings;
        let brokers: Vec<_> = settings.brokers.iter().map(|broker| quoted(broker)).collect();
        writeln!(f, "type = \"kafka\"\nbrokers = [{}]", brokers.join(", "))?;
        writeln!(f, "topic = {}", quoted(&settings.topic))?;
        writeln!(f, "key = \"{}\"", word(&KEY, settings.key))?;
        writeln!(f, "compression = \"{}\"", word(&COMPRESSION, settings.compression))?;
        let max_message = ByteSize::new(settings.max_message_bytes as u64);
        writeln!(f, "max_message = \"{max_message}\"")?;
        writeln!(f, "timeout = \"{}\"", duration_text(settings.timeout))?;
        writeln!(f, "tls = {}\nallow_plaintext = {}", settings.tls, self.allow_plaintext)?;
        if let Some(path) = &settings.ca_file {
            writeln!(f, "ca_file = {}", quoted(&path.to_string_lossy()))?;
        }
        if let Some(KafkaLogin { mechanism, username, password }) = &settings.login {
            let mechanism = word(&MECHANISM, *mechanism);
            let username = match username {
                KafkaUser::Plain(name) => quoted(name),
                KafkaUser::Secret(source) => printed(source),
            };
            let password: &SecretSource = password;
            writeln!(
                f,
                "sasl = {{ mechanism = \"{mechanism}\", username = {username}, password = {} }}",
                printed(password)
            )?;
        }
        Ok(())
    }
}
