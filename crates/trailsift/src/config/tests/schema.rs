//! The JSON Schema says what the reader does: the same keys, defaults, words and limits.

use serde_json::{Map, Value};
use trailsift_route::Format;

use super::*;
use crate::commands::schema::SCHEMA;

fn schema() -> Value {
    serde_json::from_str(SCHEMA).expect("JSON")
}

/// The part of the schema at a pointer, references followed.
fn at(pointer: &str) -> Value {
    let schema = schema();
    let part = schema.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is not there"));
    match part.get("$ref").and_then(Value::as_str) {
        Some(reference) => at(reference.strip_prefix('#').expect("a reference to itself")),
        None => part.clone(),
    }
}

fn properties(pointer: &str) -> Map<String, Value> {
    at(pointer)["properties"].as_object().expect("properties").clone()
}

const ROUTE: &str = "[[route]]\nname = \"r\"\nsinks = [\"s\"]\n";
const URL: &str = "url = \"https://h/\"\n";
const SINK: &str = "[sink.s]\ntype = \"stdout\"\n";
const QUEUE: &str = "queue_url = \"https://sqs.us-east-1.amazonaws.com/111122223333/q.fifo\"\n";
const TOPIC: &str = "topic_arn = \"arn:aws:sns:us-east-1:111122223333:t.fifo\"\n";
const AWS: &str = "region = \"us-east-1\"\n";

const TOPIC_OF_KAFKA: &str = "brokers = [\"b:9093\"]\ntopic = \"t\"\n";

/// Every table: where the schema describes it, and a configuration in which `KEYS` stands for more
/// of its keys.
fn tables() -> Vec<(&'static str, String)> {
    let account = ACCOUNT.replace("id = ", "KEYS\nid = ");
    let bucket = ACCOUNT.replace("name = \"org-trail\"", "name = \"org-trail\", KEYS");
    let selector = "selector = [{ a = { exists = true } }]\n";
    let with = |text: &str| format!("{ACCOUNT}{text}");
    let sink = |kind: &str, more: &str| with(&format!("[sink.s]\ntype = \"{kind}\"\n{more}"));
    vec![
        ("/properties/service", with("[service]\nKEYS\n")),
        ("/properties/quarantine", with("[quarantine]\nKEYS\n")),
        ("/properties/route/items", with(&format!("{ROUTE}KEYS\n{selector}{SINK}"))),
        ("/properties/account", account),
        ("/properties/account/properties/buckets/items", bucket),
        (
            "/definitions/condition",
            with(&format!("{ROUTE}selector = [{{ a = {{ KEYS }} }}]\n{SINK}")),
        ),
        ("/definitions/stdout_sink", sink("stdout", "KEYS\n")),
        ("/definitions/file_sink", sink("file", "path = \"x\"\nKEYS\n")),
        (
            "/definitions/file_sink/properties/rotate",
            sink("file", "path = \"x\"\nrotate = { KEYS }\n"),
        ),
        ("/definitions/http_sink", sink("http", "url = \"https://h/\"\nKEYS\n")),
        (
            "/definitions/splunk_hec_sink",
            sink(
                "splunk_hec",
                "url = \"https://h/\"\ntoken = { env = \"SIEM_AUTHORIZATION\" }\nKEYS\n",
            ),
        ),
        ("/definitions/opensearch_sink", sink("opensearch", "url = \"https://h/\"\nKEYS\n")),
        (
            "/definitions/opensearch_sink/properties/aws",
            // A collection of Serverless wants it said.
            sink(
                "opensearch",
                "url = \"https://h/\"\ndocument_id = \"event\"\n\
                 aws = { region = \"us-east-1\", KEYS }\n",
            ),
        ),
        ("/definitions/otlp_sink", sink("otlp", "url = \"https://h/\"\nKEYS\n")),
        ("/definitions/kafka_sink", sink("kafka", &format!("{TOPIC_OF_KAFKA}KEYS\n"))),
        (
            "/definitions/kafka_sink/properties/sasl",
            sink("kafka", &format!("{TOPIC_OF_KAFKA}sasl = {{ KEYS }}\n")),
        ),
        ("/definitions/s3_sink", sink("s3", &format!("bucket = \"logs\"\n{AWS}KEYS\n"))),
        ("/definitions/kinesis_sink", sink("kinesis", &format!("stream = \"s\"\n{AWS}KEYS\n"))),
        ("/definitions/firehose_sink", sink("firehose", &format!("stream = \"s\"\n{AWS}KEYS\n"))),
        ("/definitions/sqs_sink", sink("sqs", &format!("{QUEUE}{AWS}KEYS\n"))),
        ("/definitions/sns_sink", sink("sns", &format!("{TOPIC}{AWS}KEYS\n"))),
        ("/definitions/eventbridge_sink", sink("eventbridge", &format!("{AWS}KEYS\n"))),
        (
            "/definitions/cloudwatch_logs_sink",
            sink("cloudwatch_logs", &format!("log_group = \"g\"\n{AWS}KEYS\n")),
        ),
        ("/definitions/batch", sink("stdout", "batch = { KEYS }\n")),
        (
            "/definitions/object_batch",
            sink("s3", &format!("bucket = \"logs\"\n{AWS}batch = {{ KEYS }}\n")),
        ),
        ("/definitions/retry", sink("stdout", "retry = { KEYS }\n")),
    ]
}

#[test]
fn the_schema_names_the_keys_that_the_reader_takes_and_no_other() {
    for (pointer, text) in tables() {
        let lines = findings_of(&text.replace("KEYS", "zzzzzzzz = 1"));
        let line = lines.iter().find(|line| line.contains("zzzzzzzz")).expect("an unknown key");
        let (_, known) = line.split_once("known here: ").expect("a list");
        let mut known: Vec<_> =
            known.trim_end_matches(')').split(", ").map(|key| key.trim_matches('`')).collect();
        known.sort_unstable();
        let described = properties(pointer);
        let mut described: Vec<_> = described.keys().map(String::as_str).collect();
        described.sort_unstable();
        assert_eq!(described, known, "{pointer}");
        assert_eq!(at(pointer)["additionalProperties"], Value::Bool(false), "{pointer}");
    }
}

#[test]
fn everything_in_the_schema_is_described() {
    fn walk(part: &Value, path: &str) {
        let Some(part) = part.as_object() else { return };
        for (name, value) in part.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            let path = format!("{path}.{name}");
            // Within a selector's closed sets the operators are described by the condition.
            let is_described = value.get("description").is_some() || value.get("$ref").is_some();
            assert!(is_described || path.contains("actor."), "{path} has no description");
            walk(value, &path);
        }
        for (name, value) in
            part.get("definitions").and_then(Value::as_object).into_iter().flatten()
        {
            let is_list = ["values", "texts", "networks"].contains(&name.as_str());
            assert!(is_list || value.get("description").is_some(), "{name} has no description");
            walk(value, name);
        }
        part.get("items").into_iter().for_each(|items| walk(items, path));
    }
    walk(&schema(), "");
}

/// What the schema says to be the default is what a configuration without the key has.
#[test]
fn the_schema_names_the_defaults() {
    let text = format!(
        "{ACCOUNT}[[route]]\nname = \"r\"\nsinks = [\"f\", \"h\", \"o\", \"s3\", \"kinesis\", \"firehose\", \
         \"sqs\", \"sns\", \"bus\", \"logs\", \
         \"splunk\", \"search\", \"otlp\"]\n\
         selector = [{{ eventID = {{ exists = true }} }}]\n[sink.o]\ntype = \"stdout\"\n\
         [sink.f]\ntype = \"file\"\npath = \"x\"\n[sink.h]\ntype = \"http\"\nurl = \"https://h/\"\n\
         [sink.s3]\ntype = \"s3\"\nbucket = \"logs\"\n{AWS}\
         [sink.kinesis]\ntype = \"kinesis\"\nstream = \"s\"\n{AWS}\
         [sink.firehose]\ntype = \"firehose\"\nstream = \"s\"\n{AWS}\
         [sink.sqs]\ntype = \"sqs\"\n{QUEUE}{AWS}[sink.sns]\ntype = \"sns\"\n{TOPIC}{AWS}\
         [sink.bus]\ntype = \"eventbridge\"\n{AWS}\
         [sink.logs]\ntype = \"cloudwatch_logs\"\nlog_group = \"g\"\n{AWS}\
         [sink.splunk]\ntype = \"splunk_hec\"\n{URL}token = {{ env = \"SIEM_AUTHORIZATION\" }}\n\
         [sink.search]\ntype = \"opensearch\"\n{URL}[sink.otlp]\ntype = \"otlp\"\n{URL}"
    );
    let printed: toml::Table = config_of(&text).to_string().parse().expect("TOML");
    let printed = serde_json::to_value(printed).expect("JSON");
    let mut compared = 0;
    for (pointer, place) in [
        ("/properties/service", "/service"),
        ("/properties/account", "/account"),
        ("/properties/account/properties/buckets/items", "/account/buckets/0"),
        ("/definitions/stdout_sink", "/sink/o"),
        ("/definitions/file_sink", "/sink/f"),
        ("/definitions/http_sink", "/sink/h"),
        ("/definitions/splunk_hec_sink", "/sink/splunk"),
        ("/definitions/opensearch_sink", "/sink/search"),
        ("/definitions/otlp_sink", "/sink/otlp"),
        ("/definitions/s3_sink", "/sink/s3"),
        ("/definitions/kinesis_sink", "/sink/kinesis"),
        ("/definitions/firehose_sink", "/sink/firehose"),
        ("/definitions/sqs_sink", "/sink/sqs"),
        ("/definitions/sns_sink", "/sink/sns"),
        ("/definitions/eventbridge_sink", "/sink/bus"),
        ("/definitions/cloudwatch_logs_sink", "/sink/logs"),
        ("/definitions/batch", "/sink/o/batch"),
        ("/definitions/object_batch", "/sink/s3/batch"),
        ("/definitions/retry", "/sink/o/retry"),
    ] {
        for name in properties(pointer).keys() {
            let described = at(&format!("{pointer}/properties/{name}"));
            if name == "batch" {
                // Which of the tables it is depends on the type of the sink.
                for (key, described) in described["properties"].as_object().expect("keys") {
                    let effective = &printed.pointer(place).expect("a sink")["batch"][key];
                    let default = &described["default"];
                    assert!(same(default, effective), "{place}: {default} is not {effective}");
                }
            }
            let Some(default) = described.get("default") else { continue };
            let effective = printed.pointer(&format!("{place}/{name}"));
            let effective = effective.unwrap_or_else(|| panic!("{place}/{name} is not printed"));
            assert!(same(default, effective), "{place}/{name}: {default} is not {effective}");
            compared += 1;
        }
    }
    assert!(compared > 25, "only {compared} defaults");
}

/// Durations and sizes may be written in several ways.
fn same(one: &Value, other: &Value) -> bool {
    let durations = |value: &Value| parse_duration(value.as_str()?);
    let sizes = |value: &Value| ByteSize::parse(value.as_str()?);
    one == other
        || durations(one).is_some_and(|it| Some(it) == durations(other))
        || sizes(one).is_some_and(|it| Some(it) == sizes(other))
}

/// Of each key with a closed set of words the reader takes these and no other; of each number what
/// lies in its limits.
#[test]
fn the_schema_names_the_words_and_limits() {
    let is_taken = |text: &str, key: &str, value: &str| {
        let text = text.replace("KEYS", &format!("{key} = {value}"));
        // Whether a word goes together with the rest is not asked here.
        let of_the_rest = |line: &String| line.contains("feeds") || line.contains("no route uses");
        let lines = findings_of(&text);
        !lines.iter().any(|line| line.contains(key) && !of_the_rest(line))
    };
    let mut words_seen = 0;
    for (pointer, text) in tables() {
        for (key, described) in properties(pointer) {
            let described = match described.get("$ref") {
                Some(_) => at(&format!("{pointer}/properties/{key}")),
                None => described,
            };
            for word in described.get("enum").and_then(Value::as_array).into_iter().flatten() {
                assert!(is_taken(&text, &key, &word.to_string()), "{pointer}: {key} = {word}");
                words_seen += 1;
            }
            if let Some(words) = described.get("enum").and_then(Value::as_array) {
                let text = text.replace("KEYS", &format!("{key} = \"zzzzzzzz\""));
                let lines = findings_of(&text);
                let line = lines.iter().find(|line| line.contains("zzzzzzzz")).expect("a finding");
                for word in words {
                    assert!(line.contains(&word.to_string()), "{pointer}: {line}");
                }
                assert_eq!(line.matches(" or ").count() + 1, words.len(), "{pointer}: {line}");
            }
            let limit = |name: &str| described.get(name).and_then(Value::as_i64);
            for (name, outside) in [("minimum", -1), ("maximum", 1)] {
                let Some(limit) = limit(name) else { continue };
                assert!(is_taken(&text, &key, &limit.to_string()), "{pointer}: {key} = {limit}");
                let beyond = (limit + outside).to_string();
                assert!(!is_taken(&text, &key, &beyond), "{pointer}: {key} = {beyond}");
            }
        }
    }
    assert!(words_seen >= 12, "{words_seen}");
}

#[test]
fn the_schema_names_the_formats_and_the_sinks() {
    let formats: Vec<_> = Format::ALL.iter().map(|format| Value::from(format.name())).collect();
    assert_eq!(at("/definitions/format")["enum"], Value::from(formats));
    let types = at("/definitions/sink/properties/type")["enum"].clone();
    let defined = types.as_array().expect("types").iter().map(|name| {
        let name = name.as_str().expect("a name");
        at(&format!("/definitions/{name}_sink/properties/type"))["const"].clone()
    });
    assert_eq!(types, defined.collect::<Value>());
}
