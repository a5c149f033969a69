//! Everything that leaves this machine is encrypted, unless the configuration says otherwise in so many
//! words: each key that takes an address is tried.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::{text, trailsift};

/// The keys that take an address, by table of the schema: the rest of the table, and the key with a value
/// of which `ADDRESS` is the part that tells where.
const ADDRESSES: [(&str, &str, &str, &str); 14] = [
    ("account", "endpoint_url", "", "endpoint_url = \"ADDRESS\""),
    ("account", "queue_url", "", "queue_url = \"ADDRESS/111122223333/trail\""),
    ("http_sink", "url", "", "url = \"ADDRESS/\""),
    ("splunk_hec_sink", "url", "token = { env = \"PATH\" }", "url = \"ADDRESS\""),
    ("opensearch_sink", "url", "", "url = \"ADDRESS\""),
    ("otlp_sink", "url", "", "url = \"ADDRESS/v1/logs\""),
    ("s3_sink", "endpoint_url", "bucket = \"lake\"", "endpoint_url = \"ADDRESS\""),
    ("sqs_sink", "endpoint_url", QUEUE, "endpoint_url = \"ADDRESS\""),
    ("sqs_sink", "queue_url", "", "queue_url = \"ADDRESS/111122223333/events\""),
    (
        "sns_sink",
        "endpoint_url",
        "topic_arn = \"arn:aws:sns:us-east-1:111122223333:events\"",
        "endpoint_url = \"ADDRESS\"",
    ),
    ("kinesis_sink", "endpoint_url", "stream = \"events\"", "endpoint_url = \"ADDRESS\""),
    ("firehose_sink", "endpoint_url", "stream = \"events\"", "endpoint_url = \"ADDRESS\""),
    ("eventbridge_sink", "endpoint_url", "", "endpoint_url = \"ADDRESS\""),
    (
        "cloudwatch_logs_sink",
        "endpoint_url",
        "log_group = \"events\"",
        "endpoint_url = \"ADDRESS\"",
    ),
];

const QUEUE: &str = "queue_url = \"https://sqs.us-east-1.amazonaws.com/111122223333/events\"";

/// A configuration in which the table has these keys.
fn config(table: &str, keys: &str) -> String {
    let is_aws = ["s3", "sqs", "sns", "kinesis", "firehose", "eventbridge", "cloudwatch_logs"];
    let account = |queue: &str, more: &str| {
        format!(
            "[account]\nid = \"111122223333\"\nregion = \"us-east-1\"\n{queue}\n{more}\n\
             buckets = [{{ name = \"org-trail\" }}]\n"
        )
    };
    let queue = "queue_url = \"https://sqs.us-east-1.amazonaws.com/111122223333/trail\"";
    if table == "account" {
        return if keys.contains("queue_url") { account(keys, "") } else { account(queue, keys) };
    }
    let kind = table.trim_end_matches("_sink");
    let region = if is_aws.contains(&kind) { "region = \"us-east-1\"\n" } else { "" };
    format!(
        "{}[[route]]\nname = \"r\"\nsinks = [\"s\"]\nselector = [{{ a = {{ exists = true }} }}]\n\
         [sink.s]\ntype = \"{kind}\"\n{region}{keys}\n",
        account(queue, "")
    )
}

/// Whether `check` takes the configuration, and what it says.
fn checked(config: &str) -> (bool, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("c.toml");
    fs::write(&path, config).expect("written");
    let output = trailsift(["check", "--config", &path.display().to_string()], b"");
    let said = format!("{}{}", text(&output.stderr), text(&output.stdout));
    (output.status.code() == Some(0), said)
}

#[test]
fn plain_http_to_another_machine_is_refused_wherever_an_address_is_taken() {
    for (table, key, more, given) in ADDRESSES {
        let keys = |address: &str| format!("{more}\n{}", given.replace("ADDRESS", address));
        for plain in ["http://collector.example.com", "http://10.0.0.7:8088"] {
            let (taken, said) = checked(&config(table, &keys(plain)));
            assert!(!taken && said.contains(key), "{table}.{key}: {said}");
            assert!(said.contains("http"), "{table}.{key}: {said}");
        }
        // What other tools take for an address is none here.
        for strange in ["ftp://collector.example.com", "collector.example.com"] {
            let (taken, said) = checked(&config(table, &keys(strange)));
            assert!(!taken, "{table}.{key} = {strange}: {said}");
        }
        // This machine may be spoken to in the clear, and others where somebody says so.
        if key != "queue_url" {
            for (address, consent) in [
                ("http://127.0.0.1:4566", ""),
                ("http://collector.example.com", "allow_http = true"),
            ] {
                let (taken, said) =
                    checked(&config(table, &format!("{}\n{consent}", keys(address))));
                assert!(taken, "{table}.{key}: {said}");
            }
        }
    }
}

#[test]
fn the_table_of_addresses_has_every_key_of_the_schema_that_takes_one() {
    let output = trailsift(["schema"], b"");
    let schema: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let definitions = schema["definitions"].as_object().expect("definitions");
    let mut tables: Vec<(&str, &Value)> =
        definitions.iter().map(|(name, table)| (name.as_str(), table)).collect();
    let account = &schema["properties"]["account"];
    let account = account["$ref"].as_str().map_or(account, |reference| {
        schema.pointer(reference.trim_start_matches('#')).expect("a reference to itself")
    });
    tables.push(("account", account));
    let mut found = BTreeSet::new();
    for (name, table) in tables {
        let Some(properties) = table["properties"].as_object() else { continue };
        let addresses = properties.keys().filter(|key| *key == "url" || key.ends_with("_url"));
        found.extend(addresses.map(|key| (name, key.as_str())));
    }
    let tried: BTreeSet<_> = ADDRESSES.iter().map(|(table, key, ..)| (*table, *key)).collect();
    assert_eq!(found, tried);
}
