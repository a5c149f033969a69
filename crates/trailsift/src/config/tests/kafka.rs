//! The settings of the sink `kafka`, which every build judges.

use super::*;

const KAFKA: &str =
    "type = \"kafka\"\nbrokers = [\"broker-1.example.com:9093\"]\ntopic = \"trail\"\n";
const PASSWORD: &str = "{ env = \"SIEM_AUTHORIZATION\" }";
/// A certificate for nobody in particular, its key with a passphrase, and the key of another one.
const CERTIFICATE: &str = include_str!("kafka/client.pem");
const KEY: &str = include_str!("kafka/client.key");
const OTHER_KEY: &str = include_str!("kafka/other.key");
const PLAIN_KEY: &str = include_str!("kafka/plain.key");
const ENDED: &str = include_str!("kafka/ended.pem");

fn sink(keys: &str) -> String {
    format!(
        "{ACCOUNT}[[route]]\nname = \"r\"\nsinks = [\"s\"]\nselector = [{{ eventID = {{ exists = true }} }}]\n[sink.s]\n{keys}"
    )
}

/// What is wrong beside the one thing that a build without Kafka says of all of them.
fn wrong(keys: &str) -> Vec<String> {
    let mut lines = findings_of(&sink(keys));
    lines.retain(|line| !line.contains("has no Kafka"));
    lines
}

#[test]
fn every_mistake_is_named_with_its_remedy() {
    let sasl = |rest: &str| format!("{KAFKA}sasl = {{ mechanism = \"PLAIN\", {rest} }}\n");
    for (keys, expected) in [
        (KAFKA.replace(":9093", ""), "is no broker"),
        (KAFKA.replace("9093", "0"), "is no broker"),
        (KAFKA.replace("broker-1", "sasl://broker-1"), "is no broker"),
        (KAFKA.replace("[\"broker-1.example.com:9093\"]", "[]"), "is empty"),
        (KAFKA.replace("\"trail\"", "\"a trail\""), "is no name of a topic"),
        (format!("{KAFKA}tls = false\n"), "allow_plaintext"),
        (
            format!("{KAFKA}tls = false\nallow_plaintext = true\nca_file = \"/ca.pem\"\n"),
            "has no meaning",
        ),
        (
            format!("{KAFKA}ca_file = \"/nowhere/ca.pem\"\n"),
            "`ca_file` /nowhere/ca.pem cannot be read",
        ),
        (format!("{KAFKA}ca_file = \"Cargo.toml\"\n"), "holds no certificate"),
        (format!("{KAFKA}key = \"eventID\"\n"), "must be \"account\" or \"event_id\""),
        (sasl("username = \"u\", password = \"hunter2\""), "is a literal secret"),
        (sasl("username = \"\", password = { env = \"SIEM_AUTHORIZATION\" }"), "is empty"),
        (sasl("username = \"u\""), "password"),
    ] {
        let lines = wrong(&keys);
        assert!(lines.len() == 1 && lines[0].contains(expected), "{keys}: {lines:#?}");
        assert!(!lines[0].contains("hunter2"), "{lines:#?}");
    }
    for loopback in ["localhost", "127.0.0.1", "[::1]"] {
        let keys = KAFKA.replace("broker-1.example.com", loopback) + "tls = false\n";
        assert_eq!(wrong(&keys), [""; 0]);
    }
    assert_eq!(wrong(&sasl(&format!("username = {PASSWORD}, password = {PASSWORD}"))), [""; 0]);
}

#[test]
fn a_certificate_and_its_key_are_looked_at() {
    let files = [
        ("client.pem", CERTIFICATE),
        ("client.key", KEY),
        ("plain.key", PLAIN_KEY),
        ("other.key", OTHER_KEY),
        ("ended.pem", ENDED),
    ];
    let folder = folder(&files);
    let here = folder.path().display().to_string();
    let pair = |cert: &str, key: &str| {
        format!("{KAFKA}cert_file = \"{here}/{cert}\"\nkey_file = \"{here}/{key}\"\n")
    };
    let passphrase = format!("key_password = {PASSWORD}\n");
    assert_eq!(wrong(&pair("client.pem", "plain.key")), [""; 0]);
    assert_eq!(wrong(&(pair("client.pem", "client.key") + &passphrase)), [""; 0]);
    let alone = |key: &str| format!("{KAFKA}{key} = \"{here}/client.pem\"\n");
    for (keys, expected) in [
        (pair("client.pem", "other.key"), "other.key does not belong to cert_file"),
        (pair("client.pem", "client.key"), "client.key has a passphrase: say where it is"),
        (pair("client.pem", "client.pem"), "client.pem holds no private key"),
        (pair("plain.key", "plain.key"), "plain.key holds no certificate"),
        (pair("client.pem", "none.key"), "none.key cannot be read"),
        (alone("cert_file"), "belong together"),
        (alone("key_file"), "belong together"),
        (format!("{KAFKA}{passphrase}"), "belong together"),
        (pair("client.pem", "plain.key") + "key_password = \"hunter2\"\n", "is a literal secret"),
        (
            pair("client.pem", "plain.key") + "tls = false\nallow_plaintext = true\n",
            "has no meaning with tls = false",
        ),
        (pair("ended.pem", "plain.key"), "ended.pem ended on 2021-01-01: renew it"),
    ] {
        let lines = wrong(&keys);
        assert!(lines.len() == 1 && lines[0].contains(expected), "{keys}: {lines:#?}");
        assert!(!lines[0].contains("hunter2"), "{lines:#?}");
    }
}

#[test]
fn what_logs_in_to_amazon_msk_is_looked_at() {
    let msk = |rest: &str| format!("{KAFKA}sasl = {{ mechanism = \"AWS_MSK_IAM\"{rest} }}\n");
    let region = ", region = \"us-east-1\"";
    for host in [
        "b-1.trail.abc123.c2.kafka.us-east-1.amazonaws.com",
        "boot-abc123.c1.kafka-serverless.us-east-1.amazonaws.com",
        "vpce.example.com",
    ] {
        assert_eq!(wrong(&msk(region).replace("broker-1.example.com", host)), [""; 0]);
    }
    let far = "b-1.trail.abc123.c2.kafka.eu-west-1.amazonaws.com";
    for (keys, expected) in [
        (msk(""), "needs `region`"),
        (msk(region).replace("broker-1.example.com", far), "make the two agree"),
        (msk(&format!("{region}, username = \"u\"")), "`username` has no meaning"),
        (msk(&format!("{region}, password = {PASSWORD}")), "`password` has no meaning"),
        (msk(&format!("{region}, external_id = \"shared\"")), "without `role_arn`"),
        (msk(region) + "tls = false\nallow_plaintext = true\n", "has no meaning with tls = false"),
        (
            format!(
                "{KAFKA}sasl = {{ mechanism = \"PLAIN\", username = \"u\", password = {PASSWORD}{region} }}\n"
            ),
            "`region` has no meaning without",
        ),
        (msk(region).replace("AWS_MSK_IAM", "GSSAPI"), "must be \"PLAIN\""),
    ] {
        let lines = wrong(&keys);
        assert!(lines.len() == 1 && lines[0].contains(expected), "{keys}: {lines:#?}");
    }
}

#[cfg(not(feature = "kafka"))]
#[test]
fn a_build_without_kafka_says_so_and_how_to_get_one_with_it() {
    let lines = findings_of(&sink(KAFKA));
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("this build of trailsift has no Kafka"), "{lines:#?}");
    assert!(lines[0].contains("--features kafka"), "{lines:#?}");
}

#[cfg(feature = "kafka")]
mod with_kafka {
    use super::*;

    #[test]
    fn what_is_printed_is_what_was_read() {
        let folder = folder(&[
            ("ca.pem", "-----BEGIN CERTIFICATE-----\n"),
            ("client.pem", CERTIFICATE),
            ("client.key", KEY),
        ]);
        let here = folder.path().display().to_string();
        let all = format!(
            "{KAFKA}key = \"event_id\"\ncompression = \"zstd\"\nmax_message = \"4MiB\"\ntimeout = \"10s\"\n\
             ca_file = \"{here}/ca.pem\"\ncert_file = \"{here}/client.pem\"\nkey_file = \"{here}/client.key\"\n\
             key_password = {PASSWORD}\n\
             sasl = {{ mechanism = \"SCRAM-SHA-256\", username = \"u\", password = {PASSWORD} }}\n"
        );
        let role = "role_arn = \"arn:aws:iam::111122223333:role/msk\", external_id = \"shared\"";
        let msk = format!(
            "{KAFKA}sasl = {{ mechanism = \"AWS_MSK_IAM\", region = \"eu-west-1\", {role} }}\n"
        );
        let own =
            format!("{KAFKA}sasl = {{ mechanism = \"AWS_MSK_IAM\", region = \"eu-west-1\" }}\n");
        for keys in [KAFKA, &all, &msk, &own] {
            let config = config_of(&sink(keys));
            let printed = config.to_string();
            assert!(!printed.contains("hunter2"), "{printed}");
            assert_eq!(config_of(&printed), config);
        }
    }

    #[test]
    fn the_reference_and_the_schema_name_the_defaults() {
        let (_, after) = SAMPLES[2].1.split_once("# [sink.events]\n").expect("the block");
        let (block, _) = after.split_once("\n\n").expect("its end");
        let keys: String = block.lines().map(|line| format!("{}\n", &line[2..])).collect();
        let keys: String = keys
            .lines()
            .filter(|line| !line.starts_with("Amazon MSK"))
            .map(|line| format!("{line}\n"))
            .collect();
        let folder = folder(&[
            ("ca.pem", "-----BEGIN CERTIFICATE-----\n"),
            ("client.pem", CERTIFICATE),
            ("client.key", KEY),
        ]);
        let here = folder.path().display().to_string();
        let keys = keys.replace("/etc/trailsift", &here);
        let SinkKind::Kafka(written) = &config_of(&sink(&keys)).sinks["s"].kind.clone() else {
            panic!("kafka")
        };
        let SinkKind::Kafka(default) = &config_of(&sink(KAFKA)).sinks["s"].kind.clone() else {
            panic!("kafka")
        };
        let mut same = default.clone();
        same.settings.brokers.clone_from(&written.settings.brokers);
        same.settings.topic.clone_from(&written.settings.topic);
        same.settings.ca_file.clone_from(&written.settings.ca_file);
        same.settings.certificate.clone_from(&written.settings.certificate);
        same.settings.login.clone_from(&written.settings.login);
        assert_eq!(written, &same);
        assert!(written.settings.login.is_some() && written.settings.ca_file.is_some());
        let certificate = written.settings.certificate.as_ref().expect("a certificate");
        assert!(certificate.key_password.is_some());

        let printed: toml::Table = config_of(&sink(KAFKA)).to_string().parse().expect("TOML");
        let printed = serde_json::to_value(&printed["sink"]["s"]).expect("JSON");
        let schema: serde_json::Value =
            serde_json::from_str(crate::commands::schema::SCHEMA).expect("JSON");
        let described = &schema["definitions"]["kafka_sink"]["properties"];
        let described = described.as_object().expect("properties");
        let defaults: Vec<_> =
            described.iter().filter_map(|(key, it)| Some((key, it.get("default")?))).collect();
        assert_eq!(defaults.len(), 6);
        for (key, default) in defaults {
            let sizes = |value: &serde_json::Value| ByteSize::parse(value.as_str()?);
            let alike = &printed[key] == default
                || sizes(default).is_some_and(|size| Some(size) == sizes(&printed[key]));
            assert!(alike, "{key}: {default} is not {}", printed[key]);
        }
    }
}
