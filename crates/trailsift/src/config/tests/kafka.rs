//! The settings of the sink `kafka`, which every build judges.

use super::*;

const KAFKA: &str =
    "type = \"kafka\"\nbrokers = [\"broker-1.example.com:9093\"]\ntopic = \"trail\"\n";
const PASSWORD: &str = "{ env = \"SIEM_AUTHORIZATION\" }";

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
        let folder = folder(&[("ca.pem", "-----BEGIN CERTIFICATE-----\n")]);
        let authorities = folder.path().join("ca.pem").display().to_string();
        let all = format!(
            "{KAFKA}key = \"event_id\"\ncompression = \"zstd\"\nmax_message = \"4MiB\"\ntimeout = \"10s\"\n\
             ca_file = \"{authorities}\"\n\
             sasl = {{ mechanism = \"SCRAM-SHA-256\", username = \"u\", password = {PASSWORD} }}\n"
        );
        for keys in [KAFKA, &all] {
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
        let folder = folder(&[("ca.pem", "-----BEGIN CERTIFICATE-----\n")]);
        let authorities = folder.path().join("ca.pem").display().to_string();
        let keys = keys.replace("/etc/trailsift/ca.pem", &authorities);
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
        same.settings.login.clone_from(&written.settings.login);
        assert_eq!(written, &same);
        assert!(written.settings.login.is_some() && written.settings.ca_file.is_some());

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
