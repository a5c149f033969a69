use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const SAMPLES: [(&str, &str); 3] = [
    ("trailsift.toml", include_str!("../../../../deploy/config/trailsift.toml")),
    (
        "accounts/123456789012.toml",
        include_str!("../../../../deploy/config/accounts/123456789012.toml"),
    ),
    ("reference.toml", include_str!("../../../../deploy/config/reference.toml")),
];

const ACCOUNT: &str = r#"
[account]
id = "111122223333"
region = "us-east-1"
queue_url = "https://sqs.us-east-1.amazonaws.com/111122223333/trail"
buckets = [{ name = "org-trail" }]
"#;

fn environment(name: &str) -> Option<String> {
    match name {
        "SIEM_AUTHORIZATION" => Some("Bearer hunter2".into()),
        "EMPTY" => Some(String::new()),
        "BROKEN" => Some("hunter2\nX-Forged: 1".into()),
        _ => None,
    }
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("written");
    }
    folder
}

fn load_text(text: &str) -> Result<Loaded, Box<Findings>> {
    let folder = folder(&[("c.toml", text)]);
    load_with(&folder.path().join("c.toml"), &environment)
}

/// The findings as `line:column: message (hint)`.
fn findings_of(text: &str) -> Vec<String> {
    let folder = folder(&[("c.toml", text)]);
    let path = folder.path().join("c.toml");
    let findings = match load_with(&path, &environment) {
        Ok(loaded) => loaded.warnings,
        Err(findings) => *findings,
    };
    let prefix = format!("{}:", path.display());
    let lines = findings.lines().into_iter();
    lines.map(|(_, line)| line.strip_prefix(&prefix).unwrap_or(&line).to_owned()).collect()
}

fn config_of(text: &str) -> Config {
    match load_text(text) {
        Ok(loaded) => loaded.config,
        Err(findings) => panic!("{findings}"),
    }
}

#[test]
fn an_account_alone_takes_every_default() {
    let config = config_of(ACCOUNT);
    assert_eq!(config.service.listen, ([127, 0, 0, 1], 9180).into());
    assert_eq!(config.service.affordable_workers(), 64);
    assert_eq!(
        config.quarantine,
        Quarantine::Folder(Path::new("/var/lib/trailsift/quarantine").into())
    );
    assert_eq!(config.routes.len(), 1);
    assert_eq!(config.routes[0].spec, RouteSpec::codeguru_reviewer());
    assert_eq!(config.routes[0].sinks, ["stdout"]);
    assert!(matches!(config.sinks["stdout"].kind, SinkKind::Stdout));
    assert!(config.sinks["stdout"].required);
    assert_eq!(config.accounts[0].name, "111122223333");
    assert_eq!(config.accounts[0].routes, ["codeguru-reviewer"]);
    assert_eq!(config.accounts[0].buckets[0].accounts, AllowedAccounts::Any);
}

#[test]
fn every_sample_is_valid_without_a_warning() {
    let deployed = folder(&SAMPLES);
    for path in [deployed.path().to_owned(), deployed.path().join("reference.toml")] {
        match load_with(&path, &environment) {
            Ok(loaded) => assert_eq!(loaded.warnings.render(false), ""),
            Err(findings) => panic!("{findings}"),
        }
    }
}

#[test]
fn the_reference_names_the_defaults() {
    let reference = config_of(SAMPLES[2].1);
    let defaults = config_of(ACCOUNT);
    assert_eq!(reference.service, defaults.service);
    assert_eq!(reference.sinks["screen"], defaults.sinks["stdout"]);
    let SinkKind::Http(written) = &reference.sinks["siem"].kind else { panic!("http") };
    let shortest = format!(
        "{ACCOUNT}[sink.siem]\ntype = \"http\"\nurl = \"https://collector.example.com/ingest\"\n"
    );
    let SinkKind::Http(default) = &config_of(&shortest).sinks["siem"].kind.clone() else {
        panic!("http")
    };
    let written = HttpConfig { headers: default.headers.clone(), ..written.clone() };
    assert_eq!(&written, default);
}

/// Every key that any section reads is in the reference: a section that is asked for a key that
/// the reference lacks would show it among the known ones.
#[test]
fn the_reference_names_every_key() {
    let reference = SAMPLES[2].1;
    for section in [
        "[service]\nzzzzzzzz = 1\n",
        "[quarantine]\nzzzzzzzz = 1\n",
        "[sink.a]\ntype = \"stdout\"\nzzzzzzzz = 1\n",
        "[sink.a]\ntype = \"stdout\"\nbatch = { zzzzzzzz = 1 }\n",
        "[sink.a]\ntype = \"stdout\"\nretry = { zzzzzzzz = 1 }\n",
        "[sink.a]\ntype = \"file\"\npath = \"x\"\nzzzzzzzz = 1\n",
        "[sink.a]\ntype = \"file\"\npath = \"x\"\nrotate = { zzzzzzzz = 1 }\n",
        "[sink.a]\ntype = \"http\"\nurl = \"https://h/\"\nzzzzzzzz = 1\n",
        "[[route]]\nname = \"r\"\nsinks = [\"s\"]\nzzzzzzzz = 1\nselector = [{ a = { exists = true } }]\n[sink.s]\ntype = \"stdout\"\n",
        "[[route]]\nname = \"r\"\nsinks = [\"s\"]\nselector = [{ a = { zzzzzzzz = true } }]\n[sink.s]\ntype = \"stdout\"\n",
        "[account]\nzzzzzzzz = 1\n",
        "[account]\nbuckets = [{ name = \"abc\", zzzzzzzz = 1 }]\n",
    ] {
        let lines = findings_of(section);
        let line = lines.iter().find(|line| line.contains("zzzzzzzz")).expect("an unknown key");
        let (_, known) = line.split_once("known here: ").expect("a list");
        for key in known.trim_end_matches(')').split(", ") {
            let key = key.trim_matches('`');
            assert!(reference.contains(key), "{key} is not in the reference");
        }
    }
}

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
            "[service]\nhash_objects = true\n",
            "9:16: `service.hash_objects = true` is not available in this version",
        ),
        (
            "[service]\nmax_record = \"2MiB\"\nmax_inflated = \"1MiB\"\nmemory = \"1GiB\"\n",
            "8:1: `service.max_record` (2MiB) is above `service.max_inflated` (1MiB)",
        ),
        (
            "[service]\nmemory = \"2MiB\"\n",
            "8:1: `service.memory` (2MiB) feeds not even one worker (a worker needs twice max_record and 1MiB: 3MiB)",
        ),
        (
            "[service]\nmemory = \"30MiB\"\n",
            "8:1: `service.memory` (30MiB) feeds 10 of the 64 workers: no more will run",
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
            "[sink.stdout]\ntype = \"kinesis\"\n",
            "9:8: `sink.stdout.type` \"kinesis\" is not available in this version",
        ),
        (
            "[sink.stdout]\ntype = \"htp\"\n",
            "9:8: `sink.stdout.type` must be \"stdout\" or \"file\" or \"http\", not \"htp\" (did you mean `http`?)",
        ),
        (
            "[sink.stdout]\ntpye = \"stdout\"\n",
            "9:1: unknown key `tpye` in `sink.stdout` (did you mean `type`?)",
        ),
        (
            "[sink.stdout]\ntype = \"stdout\"\nformat = \"envelope\"\n",
            "10:10: `sink.stdout.format` \"envelope\" is not available in this version",
        ),
        (
            "[sink.stdout]\ntype = \"stdout\"\ntimeout = \"1s\"\n",
            "10:1: unknown key `timeout` in `sink.stdout`",
        ),
        (
            "[sink.stdout]\ntype = \"file\"\n",
            "8:1: `sink.stdout.path` is missing (it must be a path)",
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
            "[[route]]\nname = \"r\"\nsinks = [\"s\"]\nselector = [{ eventSource = { cidr = [\"10.0.0.0/8\"] } }]\n[sink.s]\ntype = \"stdout\"\n",
            "11:38: `route.selector.eventSource.cidr` is not available in this version",
        ),
        (
            "[[route]]\nname = \"r\"\nsinks = [\"s\"]\nselector = [{ \"actor.kind\" = { equals = [\"root\"] } }]\n[sink.s]\ntype = \"stdout\"\n",
            "11:15: `actor.kind` is not available in this version",
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
            "5:13: `account.queue_url` is a queue in \"us-east-1\", but the account's region is \"eu-west-1\"",
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

#[test]
fn accounts_do_not_share_an_id_a_name_or_a_queue() {
    let named = ACCOUNT.replace("region", "name = \"a\"\nregion");
    let folder =
        folder(&[("trailsift.toml", ""), ("accounts/1.toml", &named), ("accounts/2.toml", &named)]);
    let findings = load_with(folder.path(), &environment).expect_err("duplicates");
    let lines: Vec<_> = findings.lines().into_iter().map(|(_, line)| line).collect();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines.iter().all(|line| line.contains("accounts/2.toml:") && line.contains("taken")));
}

#[test]
fn a_folder_and_a_single_file_say_the_same() {
    let main = SAMPLES[2].1.split("\n[account]").next().expect("a first part");
    let account = &SAMPLES[2].1[main.len()..];
    let folder = folder(&[
        ("trailsift.toml", main),
        ("accounts/production.toml", account),
        ("accounts/.hidden.toml", "not toml"),
        ("accounts/notes.txt", "not toml"),
        ("accounts/folder.toml/x", "not toml"),
        ("other.toml", "not toml"),
    ]);
    let from_folder = load_with(folder.path(), &environment).expect("valid").config;
    assert_eq!(from_folder, config_of(SAMPLES[2].1));
}

#[test]
fn the_printed_configuration_says_the_same() {
    for text in [ACCOUNT, SAMPLES[2].1] {
        let config = config_of(text);
        let printed = config.to_string();
        assert_eq!(config_of(&printed), config, "{printed}");
    }
    let odd = format!(
        "{ACCOUNT}[[route]]\nname = \"r\"\nsinks = [\"a.b\"]\n[[route.selector]]\n\
         \"a.\\\"b\\\\\" = {{ equals = [\"\\u0001\\n'\\\"\", -5, true] }}\n\
         [sink.\"a.b\"]\ntype = \"file\"\npath = \"o'\\\"dd\"\n"
    );
    let config = config_of(&odd);
    assert_eq!(config_of(&config.to_string()), config);
}

#[test]
fn no_secret_is_ever_shown() {
    let folder = folder(&[("token", "hunter2\n")]);
    let file = folder.path().join("token").display().to_string();
    let text =
        SAMPLES[2].1.replace("{ env = \"SIEM_AUTHORIZATION\" }", &format!("{{ file = {file:?} }}"));
    for text in [SAMPLES[2].1, &text] {
        let loaded = load_text(text).expect("valid");
        assert!(!format!("{loaded:?}{:#?}{}", loaded.config, loaded.config).contains("hunter"));
    }
    for broken in [
        "[sink.s]\nheaders = { Authorization = \"hunter2\n",
        "[sink.s]\nheaders = { Authorization = hunter2 }\n",
        "[sink.s]\nheaders.Authorization = 'hunter2'\nx = \n",
        "[sink.s]\nurl = \"https://me:hunter2@h/\"\ntype = \n",
        "[sink.s]\nurl = \"https://me:hunter2@h/\"\ntype = \"http\"\n",
        "[sink.s]\nurl = \"https://h/?token=hunter2\"\ntype = \"http\"\n",
        "[sink.s]\npassword = \"hunter2\"\ntype = \"http\"\n",
        "[sink.s]\ntoken = { value = [\"hunter2\"] }\ntype = \"http\"\n",
    ] {
        let findings = load_text(broken).expect_err("broken");
        let shown = format!("{findings:?}{}{:?}", findings.render(true), findings.lines());
        assert!(!shown.contains("hunter"), "{broken}\n{shown}");
    }
}

#[test]
fn a_syntax_error_hides_what_only_follows_from_it() {
    let found = findings_of(
        "[service]\nworkers = \nmax_receive = \"x\"\n[account]\nid = \"1\"\nid = \"2\"\n",
    );
    let places: Vec<_> = found.iter().filter_map(|line| line.split_once(": ")).collect();
    let lines: Vec<_> = places.iter().map(|(place, _)| *place).collect();
    assert_eq!(lines, ["2:11", "3:15", "5:6", "6:1"], "{found:#?}");
}

#[test]
fn files_that_are_missing_or_unreadable_are_named() {
    let nowhere = load_with(Path::new("/nowhere/at/all"), &environment).expect_err("missing");
    assert!(nowhere.render(false).contains("--> /nowhere/at/all"), "{nowhere}");

    let empty = folder(&[("x", "")]);
    let findings = load_with(empty.path(), &environment).expect_err("no trailsift.toml");
    assert_eq!(findings.errors(), 1, "{findings}");
    assert!(findings.render(false).contains("trailsift.toml is missing"), "{findings}");

    let no_account = folder(&[("trailsift.toml", "")]);
    let findings = load_with(no_account.path(), &environment).expect_err("no account");
    assert!(findings.render(false).contains("add a file accounts/NAME.toml"), "{findings}");

    let misplaced =
        folder(&[("trailsift.toml", ""), ("accounts/a.toml", "[service]\nworkers = 1\n")]);
    let findings = load_with(misplaced.path(), &environment).expect_err("misplaced");
    assert!(findings.render(false).contains("`service` does not belong here"), "{findings}");
    assert!(findings.render(false).contains("the file has no [account]"), "{findings}");

    let latin = folder(&[("trailsift.toml", "")]);
    fs::write(latin.path().join("trailsift.toml"), b"# ok\n# \xe4\n").expect("written");
    let findings = load_with(latin.path(), &environment).expect_err("not UTF-8");
    assert!(findings.render(false).contains("line 2 is not UTF-8"), "{findings}");
}

#[cfg(unix)]
#[test]
fn a_file_that_anyone_may_change_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;

    let folder = folder(&[("c.toml", ACCOUNT)]);
    let path = folder.path().join("c.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("changed");
    let loaded = load_with(&path, &environment).expect("valid");
    assert_eq!(loaded.warnings.warnings(), 1);
    assert!(loaded.warnings.render(false).contains("anyone on this machine may change this file"));
}

#[test]
fn sift_needs_neither_accounts_nor_secrets() {
    let main = SAMPLES[2].1.split("\n[account]").next().expect("a first part");
    let main = main.replace("SIEM_AUTHORIZATION", "NOT_SET_ANYWHERE");
    let folder = folder(&[("trailsift.toml", &main), ("accounts/a.toml", "broken")]);
    let config = load_for_sift(folder.path()).expect("valid");
    let names: Vec<_> = config.routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["codeguru-reviewer", "changes-by-people"]);
}

#[test]
fn more_routes_than_a_set_holds_are_refused() {
    let mut text = format!("{ACCOUNT}[sink.s]\ntype = \"stdout\"\n");
    for number in 0..65 {
        text.push_str(&format!(
            "[[route]]\nname = \"r{number}\"\nsinks = [\"s\"]\n\
             selector = [{{ eventSource = {{ exists = true }} }}]\n"
        ));
    }
    let found = findings_of(&text);
    assert!(found[0].contains("there are 65 routes, at most 64 are possible"), "{found:#?}");
    assert_eq!(found.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever is cut out of, doubled in, or put into a sample: an answer, never a panic, never a
    /// secret.
    #[test]
    fn no_text_makes_the_reader_panic(
        sample in 0..SAMPLES.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), "\\PC{0,6}|[\\[\\]{}=\"'\\\\,.\n\r\t#]{0,4}|[\u{0}-\u{1f}]"), 1..6),
    ) {
        let mut text = SAMPLES[sample].1.to_owned();
        for (from, length, put) in edits {
            let from = text.floor_char_boundary(from.index(text.len().max(1)));
            let to = text.floor_char_boundary((from + length.index(40)).min(text.len()));
            text.replace_range(from..to, &put);
        }
        let findings = match load_text(&text) {
            Ok(loaded) => {
                prop_assert_eq!(config_of(&loaded.config.to_string()), loaded.config);
                loaded.warnings
            }
            Err(findings) => *findings,
        };
        prop_assert!(!findings.render(true).contains("hunter"));
        let plain = findings.render(false);
        prop_assert!(plain.chars().all(|c| c == '\n' || !c.is_control()), "{:?}", plain);
    }
}
