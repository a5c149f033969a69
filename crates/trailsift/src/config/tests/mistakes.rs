//! Each mistake, and what is said about it.

use super::*;

#[test]
fn five_mistakes_are_five_errors_with_their_places() {
    let main = r#"[service]
drain_timout = "25s"
workers = "many"

[[route]]
name = "all"
sinks = ["seim"]
[[route.selector]]
eventSource = { exists = true }

[sink.siem]
type = "http"
url = "https://collector.example.com/ingest"
headers = { Authorization = "Bearer hunter2" }
"#;
    let account = ACCOUNT.replace("us-east-1\"\nqueue", "us-east\"\nqueue");
    let folder = folder(&[("trailsift.toml", main), ("accounts/a.toml", &account)]);
    let findings = load_with(folder.path(), &environment).expect_err("mistakes");
    assert_eq!(findings.errors(), 5);
    let shown = findings.render(false).replace(&format!("{}/", folder.path().display()), "");
    let expected = r#"error: unknown key `drain_timout` in `service`
 --> trailsift.toml:2:1
  |
2 | drain_timout = "25s"
  | ^^^^^^^^^^^^
  = help: did you mean `drain_timeout`?

error: `service.workers` must be a whole number from 1 to 4096, but is a string
 --> trailsift.toml:3:11
  |
3 | workers = "many"
  |           ^^^^^^
  = help: write its digits alone, without quotes and unit

error: there is no sink `seim`
 --> trailsift.toml:7:10
  |
7 | sinks = ["seim"]
  |          ^^^^^^
  = help: did you mean `siem`?; or add [sink.seim]

error: the header `Authorization` is a literal secret
  --> trailsift.toml:14:29
   |
14 | headers = { Authorization = **************** }
   |                             ^^^^^^^^^^^^^^^^
   = help: secrets are never literals: use { env = "NAME" } or { file = "/run/secrets/x" }

error: `account.region` is no AWS region: "us-east"
 --> accounts/a.toml:4:10
  |
4 | region = "us-east"
  |          ^^^^^^^^^
  = help: a region looks like "us-east-1"; an availability zone such as "us-east-1a" is none

"#;
    assert_eq!(shown, expected);
    let coloured = findings.render(true);
    assert!(coloured.contains("\u{1b}[1;31merror\u{1b}[0m"), "{coloured}");
}

/// Each mistake alone: the text that is added to a valid account, and what is said about it.
#[test]
fn each_mistake_has_one_error_with_its_remedy() {
    let route = "[[route]]\nname = \"r\"\nsinks = [\"s\"]\nselector = [{ eventSource = { exists = true } }]\n";
    let http = "[sink.s]\ntype = \"http\"\nurl = \"https://h/\"\n";
    let cases = [
        ("[servise]\n", "8:2: unknown key `servise` at the top level (did you mean `service`?)"),
        ("[service]\nlisten = \"localhost\"\n", "9:10: `service.listen` does not parse"),
        (
            "[service]\ndrain_timeout = 25\n",
            "9:17: `service.drain_timeout` must be a duration from \"0s\" to \"1h\", but is an integer",
        ),
        (
            "[service]\nhash_objects = \"yes\"\n",
            "9:16: `service.hash_objects` must be true or false, but is a string (write true or false, without quotes)",
        ),
        (
            "[service]\nmemory = 64\n",
            "9:10: `service.memory` must be a size from \"1MiB\" to \"1TiB\", but is an integer (write it with its unit, in quotes: \"64MiB\")",
        ),
        (
            "[[service]]\nworkers = 1\n",
            "8:1: `service` must be a table, but is an array (write it once: a heading in single brackets is [service],",
        ),
        (
            "[service]\n[service]\n",
            "9:2: duplicate key (keep one of them: each key and each [heading] stands once)",
        ),
        (
            "[sink.s]\ntype = \"file\"\npath = \"\"\n",
            "10:8: `sink.s.path` is no path: \"\" (write one such as \"/var/lib/trailsift\")",
        ),
        (
            "[service]\ndrain_timeout = \"2 weeks\"\n",
            "9:17: `service.drain_timeout` is no duration: \"2 weeks\" (write a whole number and a unit",
        ),
        (
            "[service]\ndrain_timeout = \"2h\"\n",
            "9:17: `service.drain_timeout` is out of range (it must be a duration from \"0s\" to \"1h\")",
        ),
        (
            "[service]\nmax_receive = -1\n",
            "9:15: `service.max_receive` is out of range (it must be a whole number from 1 to 1000)",
        ),
        (
            "[service]\nmax_receive = 99999999999999999999\n",
            "9:15: `service.max_receive` is out of range",
        ),
        (
            "[service]\nledger_retention = \"1m\"\n",
            "9:20: `service.ledger_retention` is out of range (it must be a duration from \"1h\" to \"3650d\")",
        ),
        (
            "[service]\nmax_record = \"2MiB\"\nmax_inflated = \"1MiB\"\nmemory = \"1GiB\"\n",
            "8:1: `service.max_record` (2MiB) is above `service.max_inflated` (1MiB)",
        ),
        (
            "[service]\nmemory = \"2MiB\"\n",
            "8:1: `service.memory` (2MiB) feeds not even one worker (with this max_record a worker needs 4MiB)",
        ),
        (
            "[service]\nmemory = \"30MiB\"\n",
            "8:1: `service.memory` (30MiB) feeds 7 of the 64 workers: no more will run",
        ),
        (
            "[quarantine]\nsink = \"parked\"\n",
            "9:8: there is no sink `parked` (add [sink.parked] with type",
        ),
        (
            "[quarantine]\npolicy = \"drop\"\n",
            "9:10: `quarantine.policy` must be \"redrive\", not \"drop\"",
        ),
        (
            "[quarantine]\nsink = \"stdout\"\npolicy = \"redrive\"\n[sink.stdout]\ntype = \"stdout\"\n",
            "10:10: `quarantine.sink` and `quarantine.policy` contradict each other",
        ),
        (
            "[quarantine]\nsink = \"s\"\n[sink.s]\ntype = \"stdout\"\nrequired = false\n",
            "9:8: the quarantine's sink `s` is best effort",
        ),
        ("[history]\n", "8:1: `history` is not available in this version"),
        (
            "[sink.history]\ntype = \"stdout\"\n",
            "8:7: the sink `history` is not available in this version",
        ),
        (
            "[sink.s]\ntype = \"stdout\"\n",
            "8:7: no route uses the sink `s` (without any [[route]], events go to standard output: add a route)",
        ),
        (
            "[sink.stdout]\ntype = \"history\"\n",
            "9:8: `sink.stdout.type` \"history\" is not available in this version",
        ),
        (
            "[sink.stdout]\ntype = \"s3\"\nbucket = \"logs\"\nregion = \"us-east-1\"\nprefix = \"a/{day}/\"\n",
            "12:10: `sink.stdout.prefix` has no field \"day\": there are {account}, {region}, {source}, {yyyy}, {MM}, {dd} and {HH} (it looks like \"trailsift/",
        ),
        (
            "[sink.stdout]\ntype = \"s3\"\nbucket = \"logs\"\nregion = \"us-east-1\"\ncompression = \"snappy\"\n",
            "12:15: JSON Lines cannot be packed with \"snappy\" (use \"gzip\", \"zstd\" or \"none\", or body = \"parquet\")",
        ),
        (
            "[sink.stdout]\ntype = \"s3\"\nbucket = \"logs\"\nregion = \"us-east-1\"\nbody = \"parquet\"\ncompression = \"zstd\"\n",
            "13:15: Parquet cannot be packed with \"zstd\" here (use \"snappy\", \"gzip\" or \"none\")",
        ),
        (
            "[sink.stdout]\ntype = \"s3\"\nbucket = \"logs\"\nregion = \"us-east-1\"\npart_size = \"1MiB\"\n",
            "12:13: `sink.stdout.part_size` is out of range (it must be a size from \"5MiB\" to \"64MiB\")",
        ),
        (
            "[sink.stdout]\ntype = \"s3\"\nbucket = \"logs\"\nregion = \"us-east-1\"\nkms_key_id = \"a b\"\n",
            "12:14: `sink.stdout.kms_key_id` is no KMS key",
        ),
        (
            "[sink.stdout]\ntype = \"kinesis\"\nregion = \"us-east-1\"\nstream = \"arn:aws:kinesis:eu-west-1:111122223333:stream/t\"\n",
            "11:10: `stream` is in \"eu-west-1\", but the sink's region is \"us-east-1\" (make the two agree)",
        ),
        (
            "[sink.stdout]\ntype = \"kinesis\"\nregion = \"us-east-1\"\nstream = \"a b\"\n",
            "11:10: `sink.stdout.stream` is neither a stream's name nor its ARN: \"a b\"",
        ),
        (
            "[sink.stdout]\ntype = \"firehose\"\nregion = \"us-east-1\"\nstream = \"arn:aws:firehose:us-east-1:111122223333:deliverystream/t\"\n",
            "11:10: `sink.stdout.stream` is no name of a Firehose stream",
        ),
        (
            "[sink.stdout]\ntype = \"htp\"\n",
            "9:8: `sink.stdout.type` must be \"stdout\" or \"file\" or \"http\" or ",
        ),
        (
            "[sink.stdout]\ntpye = \"stdout\"\n",
            "9:1: unknown key `tpye` in `sink.stdout` (did you mean `type`?)",
        ),
        (
            "[sink.stdout]\ntype = \"stdout\"\nformat = \"cloudevent\"\n",
            "10:10: `sink.stdout.format` must be \"raw\" or \"envelope\" or \"cloudevents\" or \"ocsf\" or \"ecs\", not \"cloudevent\" (did you mean `cloudevents`?)",
        ),
        (
            "[sink.stdout]\ntype = \"stdout\"\ntimeout = \"1s\"\n",
            "10:1: unknown key `timeout` in `sink.stdout`",
        ),
        (
            "[sink.stdout]\ntype = \"stdout\"\nbatch = { linger = \"31s\" }\n",
            "10:20: `sink.stdout.batch.linger` is out of range (it must be a duration from \"0s\" to \"30s\")",
        ),
        (
            "[sink.stdout]\ntype = \"file\"\n",
            "8:1: `sink.stdout.path` is missing (it must be a path)",
        ),
        (
            "[sink.s]\ntype = \"file\"\npath = \"/e.jsonl.zst\"\ncompression = \"gzip\"\n",
            "10:8: `path` ends in .zst, but the compression is another one: change either (it looks like",
        ),
        (
            "[sink.stdout]\ntype = \"file\"\npath = \"/\"\n",
            "10:8: `path` must name a file, not a folder",
        ),
        (
            "[sink.stdout]\ntype = \"http\"\nurl = \"ftp://h/\"\n",
            "10:7: `sink.stdout.url` must begin with https:// (or http://), not \"ftp\"",
        ),
        (
            "[sink.stdout]\ntype = \"http\"\nurl = \"http://10.0.0.1/\"\n",
            "10:7: `url` is plain http to another machine",
        ),
        (
            "[sink.stdout]\ntype = \"http\"\nurl = \"http://169.254.169.254/\"\nallow_http = true\n",
            "10:7: `sink.stdout.url` points to an address that nothing may be sent to",
        ),
        (
            "[sink.stdout]\ntype = \"http\"\nurl = \"https://h/\"\ntimeout = \"5s\"\nconnect_timeout = \"6s\"\n",
            "12:19: `connect_timeout` is above `timeout`",
        ),
        (
            "[sink.stdout]\ntype = \"http\"\nurl = \"https://h/\"\ncompression = \"zstd\"\n",
            "11:15: `sink.stdout.compression` must be \"none\" or \"gzip\", not \"zstd\"",
        ),
        (
            "[[route]]\nname = \"r\"\nsinks = [\"s\"]\n[sink.s]\ntype = \"stdout\"\n",
            "8:1: the route has no selector",
        ),
        (
            "[[route]]\nname = \"r\"\n[[route.selector]]\neventID = { exists = true }\n",
            "8:1: the route has no sinks (add sinks = [\"NAME\"], each of them the NAME of a [sink.NAME])",
        ),
        (
            "[[route]]\nname = \"r\"\nsinks = [\"s\"]\nselector = [{ eventSource = \"iam\" }]\n[sink.s]\ntype = \"stdout\"\n",
            "11:29: `route.selector.eventSource` must be a table of operators",
        ),
        (
            "[[route]]\nname = \"r\"\nsinks = [\"s\"]\nselector = [{ userIdentity.type = { equals = [\"Root\"] } }]\n[sink.s]\ntype = \"stdout\"\n",
            "11:28: unknown operator `type` for `userIdentity` (to select on a nested field, quote its path: \"userIdentity.type\"",
        ),
        (
            "[[route]]\nname = \"r\"\nsinks = [\"s\"]\nselector = [{ readOnly = { equals = [\"false\"] } }]\n[sink.s]\ntype = \"stdout\"\n",
            "11:15: `readOnly`: CloudTrail writes this field as a boolean",
        ),
    ];
    for (text, expected) in cases {
        let found = findings_of(&format!("{ACCOUNT}\n{text}"));
        assert_eq!(found.len(), 1, "{text}\n{found:#?}");
        assert!(found[0].starts_with(expected), "{text}\n{found:#?}\n{expected}");
    }
    for (header, expected) in [
        ("X-Api-Key = \"hunter2\"", "the header `X-Api-Key` is a literal secret"),
        (
            "X-Amz-Security-Token = \"hunter2\"",
            "the header `X-Amz-Security-Token` is a literal secret",
        ),
        ("Authorization = [\"hunter2\"]", "`sink.s.headers.Authorization` must be a string, "),
        (
            "Authorization = { env = \"hunter 2\" }",
            "`sink.s.headers.Authorization.env` is no name of an environment variable",
        ),
        (
            "Authorization = { env = \"NOT_SET\" }",
            "the environment variable NOT_SET is not set, or is no text",
        ),
        ("Authorization = { env = \"EMPTY\" }", "the environment variable EMPTY is empty"),
        (
            "Authorization = { env = \"BROKEN\" }",
            "the environment variable BROKEN holds a character that no header may hold",
        ),
        ("Authorization = { file = \"/nowhere/x\" }", "the secret file /nowhere/x cannot be read"),
        ("Authorization = { file = \"/\" }", "the secret file / is no file of at most 64KiB"),
        ("Authorization = { env = \"A\", file = \"b\" }", "a secret has `env` or `file`, not both"),
        ("Authorization = { value = \"hunter2\" }", "unknown key `value`"),
        ("X-Auth = \"hunter2\"", "the header `X-Auth` is a literal secret"),
        ("X-Forward = \"Bearer hunter2\"", "the header `X-Forward` is a literal secret"),
        ("Host = \"h\"", "the header `Host` is the sink's own"),
        ("\"a b\" = \"h\"", "\"a b\" is no header name"),
    ] {
        let text = format!("{ACCOUNT}\n{route}{http}headers = {{ {header} }}\n");
        let found = findings_of(&text);
        assert!(found.len() == 1 && found[0].contains(expected), "{header}\n{found:#?}");
        let shown = load_text(&text).expect_err("a mistake").render(true);
        assert!(!shown.contains("hunter"), "{shown}");
    }
}

#[test]
fn each_mistake_in_an_account_has_one_error() {
    for (from, to, expected) in [
        (
            "id = \"111122223333\"",
            "id = 111122223333",
            "3:6: `account.id` must be an account id of 12 digits, in quotes, but is an integer",
        ),
        (
            "id = \"111122223333\"\n",
            "",
            "2:1: `account.id` is missing (it must be an account id of 12 digits, in quotes)",
        ),
        (
            "region = ",
            "regoin = ",
            "4:1: unknown key `regoin` in `account` (did you mean `region`?)",
        ),
        (
            "region = \"us-east-1\"",
            "region = \"eu-west-1\"",
            "5:13: `account.queue_url` is a queue in \"us-east-1\", but the region here is \"eu-west-1\"",
        ),
        (
            "https://sqs.us-east-1.amazonaws.com",
            "http://sqs.us-east-1.amazonaws.com",
            "5:13: `account.queue_url` must be https",
        ),
        (
            "sqs.us-east-1.amazonaws.com",
            "localhost:4566",
            "5:13: `account.queue_url` names a host that is not AWS",
        ),
        (
            "/trail\"",
            "/trail\"\nendpoint_url = \"http://localstack:4566\"",
            "6:16: `account.endpoint_url` is plain http to another machine",
        ),
        (
            "/trail\"",
            "/trail\"\nendpoint_url = \"http://[fe80::1]/\"",
            "6:16: `account.endpoint_url` points to an address",
        ),
        (
            "/trail\"",
            "/trail\"\nexternal_id = \"abc\"",
            "6:15: `account.external_id` is given without `account.role_arn`",
        ),
        (
            "/trail\"",
            "/trail\"\nrole_arn = \"trailsift\"",
            "6:12: `account.role_arn` is no ARN of a role",
        ),
        (
            "/trail\"",
            "/trail\"\nroutes = [\"codeguru\"]",
            "6:11: there is no route `codeguru` (known here: `codeguru-reviewer`)",
        ),
        ("/trail\"", "/trail\"\nroutes = []", "6:10: `account.routes` is empty"),
        ("org-trail", "s3://org-trail", "6:21: `account.buckets.name` is no bucket name"),
        ("[{ name = \"org-trail\" }]", "[]", "6:11: `account.buckets` is empty"),
        (
            "{ name = \"org-trail\" }",
            "{ name = \"org-trail\" }, { name = \"org-trail\" }",
            "6:36: the bucket \"org-trail\" is listed twice with the same prefix",
        ),
        (
            "\"org-trail\"",
            "\"org-trail\", region = \"eu-west\"",
            "6:43: `account.buckets.region` is no AWS region",
        ),
        (
            "{ name = \"org-trail\" }",
            "{ name = \"org-trail\" }, { name = \"org-trail\", prefix = \"a\", region = \"eu-west-1\" }",
            "6:36: the bucket \"org-trail\" is listed in two regions",
        ),
        (
            "\"org-trail\"",
            "\"org-trail\", accounts = [\"*\", \"111122223333\"]",
            "6:45: `accounts` lists \"*\" and single accounts",
        ),
        (
            "\"org-trail\"",
            "\"org-trail\", prefix = \"/a\"",
            "6:43: `account.buckets.prefix` begins with a slash",
        ),
    ] {
        let text = ACCOUNT.replace(from, to);
        assert_ne!(text, ACCOUNT);
        let found = findings_of(&text);
        assert_eq!(found.len(), 1, "{to}\n{found:#?}");
        assert!(found[0].starts_with(expected), "{found:#?}\n{expected}");
    }
}
