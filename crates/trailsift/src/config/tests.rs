use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;
use trailsift_route::Format;

use super::*;

mod kafka;
mod mistakes;
mod oddities;
mod schema;
mod siem;
mod sinks_at_aws;

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
    assert_eq!(findings.without_remedy(), [""; 0], "{findings}");
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
fn every_region_that_is_mentioned_is_known_and_a_buckets_own_is_printed() {
    let buckets = r#"[{ name = "org-trail", region = "eu-west-1" }, { name = "team-trail" }]"#;
    let text = ACCOUNT.replace(r#"[{ name = "org-trail" }]"#, buckets);
    let config = config_of(&text);
    assert_eq!(config.regions().into_iter().collect::<Vec<_>>(), ["eu-west-1", "us-east-1"]);
    let regions: Vec<_> = config.accounts[0].buckets.iter().map(|b| b.region.as_deref()).collect();
    assert_eq!(regions, [Some("eu-west-1"), None]);
    assert_eq!(config_of(&config.to_string()), config);
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
        "[sink.a]\ntype = \"splunk_hec\"\nurl = \"https://h/\"\ntoken = { env = \"T\" }\nzzzzzzzz = 1\n",
        "[sink.a]\ntype = \"opensearch\"\nurl = \"https://h/\"\nzzzzzzzz = 1\n",
        "[sink.a]\ntype = \"otlp\"\nurl = \"https://h/\"\nzzzzzzzz = 1\n",
        "[sink.a]\ntype = \"kafka\"\nbrokers = [\"b:1\"]\ntopic = \"t\"\nzzzzzzzz = 1\n",
        "[sink.a]\ntype = \"kafka\"\nbrokers = [\"b:1\"]\ntopic = \"t\"\nsasl = { zzzzzzzz = 1 }\n",
        "[sink.a]\ntype = \"s3\"\nbucket = \"b\"\nzzzzzzzz = 1\n",
        "[sink.a]\ntype = \"kinesis\"\nstream = \"s\"\nzzzzzzzz = 1\n",
        "[sink.a]\ntype = \"firehose\"\nstream = \"s\"\nzzzzzzzz = 1\n",
        "[sink.a]\ntype = \"sqs\"\nzzzzzzzz = 1\n",
        "[sink.a]\ntype = \"sns\"\nzzzzzzzz = 1\n",
        "[sink.a]\ntype = \"eventbridge\"\nzzzzzzzz = 1\n",
        "[sink.a]\ntype = \"cloudwatch_logs\"\nzzzzzzzz = 1\n",
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

/// `sessionCredentialFromConsole` is called like a secret and is none: a mistake in a selector is shown.
#[test]
fn what_is_wrong_in_a_selector_is_shown() {
    let text = "[[route]]\nname = \"r\"\nsinks = [\"s\"]\n[[route.selector]]\n\
                sessionCredentialFromConsole = { equals = [true] }\n[sink.s]\ntype = \"stdout\"\n";
    let findings = load_text(text).expect_err("a boolean where CloudTrail writes a string");
    let shown = findings.render(false);
    assert!(shown.contains("| sessionCredentialFromConsole = { equals = [true] }"), "{shown}");
}

#[test]
fn sift_needs_neither_accounts_nor_secrets() {
    let main = SAMPLES[2].1.split("\n[account]").next().expect("a first part");
    let main = main.replace("SIEM_AUTHORIZATION", "NOT_SET_ANYWHERE");
    let folder = folder(&[("trailsift.toml", &main), ("accounts/a.toml", "broken")]);
    let config = load_for_sift(folder.path()).expect("valid");
    let names: Vec<_> = config.routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["codeguru-reviewer", "changes"]);
}

#[test]
fn files_of_several_members_are_rejected_unless_the_service_says_otherwise() {
    assert_eq!(config_of(ACCOUNT).service.multi_member, MultiMember::Reject);
    for (word, meaning) in [
        ("reject", MultiMember::Reject),
        ("flag", MultiMember::Flag),
        ("accept", MultiMember::Accept),
    ] {
        let text = format!("[service]\nmulti_member = \"{word}\"\n");
        let config = config_of(&format!("{ACCOUNT}{text}"));
        assert_eq!(config.service.multi_member, meaning);
        assert_eq!(config_of(&config.to_string()), config);
        let folder = folder(&[("trailsift.toml", &text)]);
        assert_eq!(load_for_sift(folder.path()).expect("valid").multi_member, meaning);
    }
    let wrong = findings_of(&format!("{ACCOUNT}[service]\nmulti_member = \"allow\"\n"));
    let expected = "must be \"reject\" or \"flag\" or \"accept\"";
    assert!(wrong.len() == 1 && wrong[0].contains(expected), "{wrong:?}");
}

#[test]
fn every_format_is_taken_by_its_name_and_printed() {
    assert_eq!(config_of(ACCOUNT).sinks["stdout"].format, Format::Raw);
    for format in Format::ALL {
        let text = format!(
            "{ACCOUNT}[[route]]\nname = \"r\"\nsinks = [\"s\"]\n\
             selector = [{{ eventSource = {{ exists = true }} }}]\n\
             [sink.s]\ntype = \"stdout\"\nformat = \"{}\"\n",
            format.name()
        );
        let config = config_of(&text);
        assert_eq!(config.sinks["s"].format, format);
        assert_eq!(config_of(&config.to_string()), config);
    }
}

#[test]
fn a_compressed_files_path_may_have_its_ending_or_not_and_is_the_same_file() {
    let route = "[[route]]\nname = \"r\"\nselector = [{ eventID = { exists = true } }]\n";
    let file = |name: &str, path: &str, compression: &str| {
        format!(
            "[sink.{name}]\ntype = \"file\"\npath = \"/logs/{path}\"\ncompression = \"{compression}\"\n"
        )
    };
    for (path, compression, written) in [
        ("e.jsonl", "none", "e.jsonl"),
        ("e.jsonl", "gzip", "e.jsonl.gz"),
        ("e.jsonl.gz", "gzip", "e.jsonl.gz"),
        ("e.jsonl.zst", "zstd", "e.jsonl.zst"),
    ] {
        let sink = file("s", path, compression);
        let config = config_of(&format!("{ACCOUNT}{route}sinks = [\"s\"]\n{sink}"));
        let SinkKind::File(found) = &config.sinks["s"].kind else { panic!("a file") };
        assert_eq!(found.settings().active(), Some(Path::new("/logs").join(written)));
        assert_eq!(config_of(&config.to_string()), config);
    }
    let both = file("s", "e.jsonl", "gzip") + &file("t", "e.jsonl.gz", "gzip");
    let found = findings_of(&format!("{ACCOUNT}{route}sinks = [\"s\", \"t\"]\n{both}"));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("the sink `s` already writes to this file"), "{found:#?}");
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
