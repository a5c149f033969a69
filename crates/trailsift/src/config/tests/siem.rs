//! Sinks that speak HTTP to what teams search their events with.

use super::*;

fn sink(keys: &str) -> String {
    format!(
        "{ACCOUNT}[[route]]\nname = \"r\"\nsinks = [\"s\"]\n\
         selector = [{{ eventID = {{ exists = true }} }}]\n[sink.s]\n{keys}"
    )
}

const SPLUNK: &str = "type = \"splunk_hec\"\nurl = \"https://h:8088\"\n";
const SEARCH: &str = "type = \"opensearch\"\nurl = \"https://h:9200\"\n";
const AWS: &str = "aws = { region = \"us-east-1\" }\n";
const SERVERLESS: &str = "aws = { region = \"us-east-1\", service = \"aoss\", \
     role_arn = \"arn:aws:iam::111122223333:role/search\", external_id = \"a-word\" }\n";
const OTLP: &str = "type = \"otlp\"\nurl = \"https://h/v1/logs\"\n";
const SECRET: &str = "{ env = \"SIEM_AUTHORIZATION\" }";

#[test]
fn what_is_printed_reads_as_the_same() {
    for keys in [
        format!("{SPLUNK}token = {SECRET}\n"),
        format!(
            "{SPLUNK}token = {SECRET}\nindex = \"a\"\nhost = \"b\"\nsource = \"c\"\nsourcetype = \"d\"\n\
             acknowledge = false\nack_timeout = \"2m\"\ncompression = \"none\"\n"
        ),
        SEARCH.to_owned(),
        format!("{SEARCH}username = \"u\"\npassword = {SECRET}\nop = \"index\"\nindex = \"t\"\n"),
        format!("{SEARCH}api_key = {SECRET}\nindex = \"t-{{account}}-{{region}}\"\n"),
        format!("{SEARCH}{AWS}"),
        format!("{SEARCH}document_id = \"service\"\n{SERVERLESS}"),
        format!("{OTLP}headers = {{ api-key = {SECRET}, x-tenant = \"t\" }}\ntimeout = \"7s\"\n"),
    ] {
        let config = config_of(&sink(&keys));
        let printed = config.to_string();
        assert!(!printed.contains("hunter2"), "{printed}");
        assert_eq!(config_of(&printed), config, "{printed}");
    }
}

#[test]
fn mistakes_are_named_with_their_remedies_and_no_secret_is_shown() {
    for (keys, expected) in [
        (SPLUNK.to_owned(), "`sink.s.token` is missing"),
        (format!("{SPLUNK}token = \"hunter2\"\n"), "`sink.s.token` is a literal secret"),
        (format!("{SPLUNK}token = 7\n"), "`sink.s.token` must be { env"),
        (format!("{SPLUNK}token = {SECRET}\nhost = \"\"\n"), "`sink.s.host` is empty"),
        (format!("{SPLUNK}token = {SECRET}\nack_timeout = \"1h\"\n"), "is out of range"),
        (
            format!("{SPLUNK}token = {SECRET}\n").replace("8088", "8088/services/collector/event"),
            "leave out /services/collector",
        ),
        (SEARCH.replace("https", "http"), "`url` is plain http to another machine"),
        (SEARCH.replace("9200", "9200/_bulk"), "leave out /_bulk"),
        (format!("{SEARCH}index = \"Trail\"\n"), "makes no legal name of an index"),
        (format!("{SEARCH}index = \"t-{{year}}\"\n"), "unknown place {year}"),
        (format!("{SEARCH}username = \"u\"\n"), "`username` is given without `password`"),
        (format!("{SEARCH}password = {SECRET}\n"), "`password` is given without `username`"),
        (
            format!("{SEARCH}username = \"u\"\npassword = {SECRET}\napi_key = {SECRET}\n"),
            "`api_key` is given beside",
        ),
        (format!("{SEARCH}password = \"hunter2\"\nusername = \"u\"\n"), "is a literal secret"),
        (format!("{SEARCH}{SERVERLESS}"), "`document_id` is missing"),
        (format!("{SEARCH}aws = {{ service = \"es\" }}\n"), "`sink.s.aws.region` is missing"),
        (
            format!("{SEARCH}aws = {{ region = \"us-east-1\", external_id = \"a-word\" }}\n"),
            "`external_id` is given without `role_arn`",
        ),
        (format!("{SEARCH}{AWS}api_key = {SECRET}\n"), "other credentials beside it"),
        (format!("{SEARCH}{AWS}username = \"u\"\n"), "other credentials beside it"),
        (
            format!("{SEARCH}{AWS}").replace("h:9200", "search-t.eu-west-1.es.amazonaws.com"),
            "`url` is in \"eu-west-1\" at \"es\", but `aws` signs for \"us-east-1\" at \"es\"",
        ),
        (
            format!("{SEARCH}{AWS}").replace("h:9200", "c.us-east-1.aoss.amazonaws.com"),
            "`url` is in \"us-east-1\" at \"aoss\"",
        ),
        (format!("{SEARCH}op = \"update\"\n"), "must be \"create\" or \"index\""),
        (format!("{SEARCH}ca_file = \"/nowhere/ca.pem\"\n"), "`ca_file` /nowhere/ca.pem cannot be"),
        (format!("{SEARCH}ca_file = \"Cargo.toml\"\n"), "holds no certificate"),
        (
            format!("{OTLP}headers = {{ Content-Type = \"x\" }}\n"),
            "`content-type` is the sink's own",
        ),
        (format!("{OTLP}headers = {{ Api-Key = \"hunter2\" }}\n"), "is a literal secret"),
        (OTLP.replace("https://h", "https://169.254.169.254"), "link-local"),
    ] {
        let lines = findings_of(&sink(&keys));
        assert!(lines.len() == 1 && lines[0].contains(expected), "{keys}: {lines:#?}");
        let folder = folder(&[("c.toml", &sink(&keys))]);
        let findings = load_with(&folder.path().join("c.toml"), &environment).expect_err("one");
        let shown = findings.render(false);
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
