//! `type = "kafka"`, which every build reads and only some can write to.

use std::fmt::{self, Write};
use std::net::IpAddr;
use std::path::Path;

use time::OffsetDateTime;
use trailsift_sinks::{
    KafkaCertificate, KafkaCompression, KafkaKey, KafkaLogin, KafkaMechanism, KafkaSettings,
    KafkaUser, SecretSource,
};

use super::secret::{Secret, printed};
use crate::config::findings::{At, Findings, Place};
use crate::config::kinds::{FilePath, Flag, ListOf, OneOf, Size, Span, TableOf, Text};
use crate::config::names::{EXTERNAL_ID, REGION, ROLE_ARN};
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
    /// Whose credentials of AWS log in, where the cluster is Amazon MSK with IAM.
    pub msk: Option<MskIam>,
}

/// Credentials of AWS that log in to Amazon MSK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MskIam {
    /// The cluster's region.
    pub region: String,
    /// The role to take on first.
    pub role_arn: Option<String>,
    /// The external id that the role demands; only with a role.
    pub external_id: Option<String>,
}

/// How a client logs in.
enum Sasl {
    Password(KafkaLogin),
    Msk(MskIam),
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

/// A mechanism with a password, or that of Amazon MSK, which its own libraries know by this name.
const MECHANISM: OneOf<Option<KafkaMechanism>> = OneOf {
    words: &[
        ("PLAIN", Some(KafkaMechanism::Plain)),
        ("SCRAM-SHA-256", Some(KafkaMechanism::ScramSha256)),
        ("SCRAM-SHA-512", Some(KafkaMechanism::ScramSha512)),
        (MSK, None),
    ],
    later: &[],
};
const MSK: &str = "AWS_MSK_IAM";

const USERNAME: Text = Text {
    what: "the name of a user",
    judge: |text| match !text.is_empty() && !text.contains(char::is_control) {
        true => Ok(()),
        false => Err((
            "is empty or holds a control character".into(),
            "write it as the brokers know it".into(),
        )),
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
        let hint = "name a file of certificates in PEM that the user of trailsift may read";
        findings.error(file.place, format!("`ca_file` {problem}"), hint);
    }
    let certificate = certificate(section, is_encrypted);
    let sasl = section.get("sasl", TableOf(sasl));
    if let Some(sasl) = &sasl
        && let Sasl::Msk(msk) = &sasl.value
    {
        judge_msk(findings, sasl.place, msk, is_encrypted, &brokers);
    }
    let (login, msk) = match sasl.map(|at| at.value) {
        Some(Sasl::Password(login)) => (Some(login), None),
        Some(Sasl::Msk(msk)) => (None, Some(msk)),
        None => (None, None),
    };
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
        certificate,
        login,
    };
    KafkaConfig { settings, allow_plaintext, msk }
}

/// The client's own certificate. That it has ended is no error: it may be renewed while the service runs.
fn certificate(section: &mut Section<'_, '_>, is_encrypted: bool) -> Option<KafkaCertificate> {
    let findings = section.scope.findings;
    let cert_file = section.get("cert_file", FilePath);
    let key_file = section.get("key_file", FilePath);
    let key_password = section.get("key_password", Secret);
    let place = cert_file.as_ref().or(key_file.as_ref()).map(|at| at.place);
    let place = place.or(key_password.as_ref().map(|at| at.place))?;
    if !is_encrypted {
        let problem = "a certificate (`cert_file`, `key_file`) has no meaning with tls = false";
        findings.error(place, problem, "leave it out");
        return None;
    }
    let (Some(cert_file), Some(key_file)) = (cert_file, key_file) else {
        let problem = "`cert_file` and `key_file` belong together";
        findings.error(place, problem, "give both, or neither and no `key_password`");
        return None;
    };
    let certificate = KafkaCertificate {
        cert_file: cert_file.value,
        key_file: key_file.value,
        key_password: key_password.map(|at| at.value),
    };
    match certificate.read() {
        Ok(pair) => {
            if let Some(ended) = certificate.ended(&pair, OffsetDateTime::now_utc()) {
                findings.warning(
                    place,
                    ended,
                    "a running service takes up a renewed one by itself",
                );
            }
        }
        Err(problem) => {
            let cause = std::error::Error::source(&problem);
            let cause = cause.map_or_else(String::new, |cause| format!(" ({cause})"));
            let hint =
                "name a certificate and its own key, in PEM, that the user of trailsift may read";
            findings.error(place, format!("{problem}{cause}"), hint);
        }
    }
    Some(certificate)
}

/// The region in the name of a broker of Amazon MSK: `b-1.name.id.c2.kafka.us-east-1.amazonaws.com`, and
/// `boot-id.c2.kafka-serverless.us-east-1.amazonaws.com`.
fn region_of(broker: &str) -> Option<&str> {
    let (name, _) = host_of(broker)?.split_once(".amazonaws.com")?;
    let (rest, region) = name.rsplit_once('.')?;
    (rest.ends_with(".kafka") || rest.ends_with(".kafka-serverless")).then_some(region)
}

fn judge_msk(
    findings: &Findings,
    place: Place,
    msk: &MskIam,
    is_encrypted: bool,
    brokers: &[At<String>],
) {
    if !is_encrypted {
        let problem =
            format!("`{MSK}` has no meaning with tls = false: the token would be anybody's");
        findings.error(place, problem, "leave tls on");
    }
    for broker in brokers {
        if let Some(region) = region_of(&broker.value).filter(|region| *region != msk.region) {
            findings.error(
                broker.place,
                format!("the broker is in {region:?}, but `sasl` signs for {:?}", msk.region),
                "make the two agree",
            );
        }
    }
}

fn sasl(section: &mut Section<'_, '_>) -> Option<Sasl> {
    let findings = section.scope.findings;
    let mechanism = section.need("mechanism", MECHANISM);
    let is_msk = mechanism.as_ref().is_some_and(|mechanism| mechanism.value.is_none());
    let region = section.get("region", REGION);
    let role_arn = section.get("role_arn", ROLE_ARN);
    let external_id = section.get("external_id", EXTERNAL_ID);
    if is_msk {
        let (username, password) = (section.get("username", User), section.get("password", Secret));
        let username = username.map(|at| ("username", at.place));
        for (key, place) in username.into_iter().chain(password.map(|at| ("password", at.place))) {
            let problem = format!("`{key}` has no meaning with {MSK}");
            findings.error(place, problem, "leave it out: credentials of AWS log in");
        }
        if let (Some(external_id), None) = (&external_id, &role_arn) {
            findings.error(
                external_id.place,
                "`external_id` is given without `role_arn`",
                "add the role that demands it, or leave it out",
            );
        }
        let Some(region) = region else {
            findings.error(
                mechanism?.place,
                format!("`{MSK}` needs `region`"),
                "name the cluster's region, such as region = \"us-east-1\"",
            );
            return None;
        };
        return Some(Sasl::Msk(MskIam {
            region: region.value,
            role_arn: role_arn.map(|at| at.value),
            external_id: external_id.map(|at| at.value),
        }));
    }
    let Some(mechanism) = mechanism else {
        // Which keys belong to it is unknown.
        section.get("username", User);
        section.get("password", Secret);
        return None;
    };
    let others = [("region", region), ("role_arn", role_arn), ("external_id", external_id)];
    for (key, value) in others {
        if let Some(value) = value {
            findings.error(
                value.place,
                format!("`{key}` has no meaning without mechanism = \"{MSK}\""),
                "leave it out",
            );
        }
    }
    let username = section.need("username", User);
    let password = section.need("password", Secret);
    Some(Sasl::Password(KafkaLogin {
        mechanism: mechanism.value?,
        username: username?.value,
        password: password?.value,
    }))
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
        if let Some(KafkaCertificate { cert_file, key_file, key_password }) = &settings.certificate
        {
            writeln!(f, "cert_file = {}", quoted(&cert_file.to_string_lossy()))?;
            writeln!(f, "key_file = {}", quoted(&key_file.to_string_lossy()))?;
            if let Some(passphrase) = key_password {
                writeln!(f, "key_password = {}", printed(passphrase))?;
            }
        }
        if let Some(MskIam { region, role_arn, external_id }) = &self.msk {
            write!(f, "sasl = {{ mechanism = \"{MSK}\", region = {}", quoted(region))?;
            for (key, value) in [("role_arn", role_arn), ("external_id", external_id)] {
                if let Some(value) = value {
                    write!(f, ", {key} = {}", quoted(value))?;
                }
            }
            writeln!(f, " }}")?;
        }
        if let Some(KafkaLogin { mechanism, username, password }) = &settings.login {
            let mechanism = word(&MECHANISM, Some(*mechanism));
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
