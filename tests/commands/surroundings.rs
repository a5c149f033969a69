//! What the program makes of surroundings that are not as usual: no standard output, variables that
//! are empty or wrong, a configuration that no machine can run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::{text, trailsift};

const RECORDS: &[u8] = br#"{"Records":[{"eventSource":"codeguru-reviewer.amazonaws.com"}]}"#;

/// One account whose queue nobody will ask, and where its service keeps its data.
fn account(folder: &Path) -> PathBuf {
    let path = folder.join("trailsift.toml");
    let configuration = format!(
        "[service]\nlisten = \"127.0.0.1:0\"\ndata_dir = \"{}\"\n[account]\nid = \"111122223333\"\n\
         region = \"us-east-1\"\nqueue_url = \"http://127.0.0.1:9/111122223333/trail\"\n\
         endpoint_url = \"http://127.0.0.1:9\"\nbuckets = [{{ name = \"org-trail\" }}]\n",
        folder.join("data").display()
    );
    fs::write(&path, configuration).expect("written");
    path
}

/// A file with one selected event.
fn trail_file(folder: &Path) -> PathBuf {
    let path = folder.join("events.json");
    fs::write(&path, RECORDS).expect("written");
    path
}

/// Runs trailsift by a shell that first does this to its descriptors.
fn redirected(redirection: &str, args: &[&str]) -> Output {
    Command::new("sh")
        .arg("-c")
        .arg(format!("exec \"$0\" \"$@\" {redirection}"))
        .arg(env!("CARGO_BIN_EXE_trailsift"))
        .args(args)
        .env_remove("TRAILSIFT_CONFIG")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output()
        .expect("a shell")
}

#[test]
fn without_a_standard_output_no_command_claims_to_have_written_to_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (events, config) = (trail_file(folder.path()), account(folder.path()));
    let (events, config) = (events.display().to_string(), config.display().to_string());
    let commands: [&[&str]; 5] = [
        &["sift", &events],
        &["sift", "--count", &events],
        &["check", "--config", &config],
        &["schema"],
        &["completions", "bash"],
    ];
    for redirection in [">&-", ">/dev/full"] {
        for args in commands {
            let output = redirected(redirection, args);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{args:?} {redirection}: {said}");
            assert!(said.contains("standard output cannot be written: "), "{args:?}: {said}");
        }
    }
}

/// The runtime puts `/dev/null` in its place, which takes every event and keeps none.
#[test]
fn a_sink_on_a_closed_standard_output_acknowledges_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = account(folder.path()).display().to_string();
    let output = redirected(">&-", &["run", "--until-empty", "--config", &config]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let line: Value = serde_json::from_str(said.trim_end()).expect("one line of JSON");
    assert_eq!((&line["level"], &line["message"]), (&"ERROR".into(), &"failed".into()));
    let error = line["error"].as_str().expect("what failed");
    assert!(error.contains("sink stdout cannot write to standard output"), "{error}");
    assert!(error.contains("closed"), "{error}");
}

#[test]
fn what_ends_the_service_is_a_line_of_its_log_and_a_sentence_for_people() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = account(folder.path()).display().to_string();
    // A file where a folder is wanted.
    fs::write(folder.path().join("data"), "").expect("written");
    let end = |format: &str| {
        let output = trailsift(["--log-format", format, "run", "--config", &config], b"");
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
        text(&output.stderr).to_owned()
    };
    let log = end("json");
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).expect("nothing but lines of JSON");
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
    }
    assert!(log.contains(r#""message":"failed""#) && log.contains("service.data_dir"), "{log}");
    let said = end("text");
    assert!(said.contains("trailsift: the quarantine in "), "{said}");
}

#[test]
fn an_empty_variable_names_no_configuration_and_an_empty_option_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = trail_file(folder.path());
    let sift = |config: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trailsift"));
        command.arg("sift").arg(&events).args(config).env("TRAILSIFT_CONFIG", "");
        command.stdin(Stdio::null()).output().expect("it runs")
    };
    let output = sift(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let output = sift(&["--config", ""]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}

#[test]
fn levels_that_cannot_be_read_are_named_and_empty_ones_are_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = trail_file(folder.path());
    let said = |levels: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trailsift"));
        command.arg("sift").arg(&events).env_remove("TRAILSIFT_CONFIG").env("RUST_LOG", levels);
        let output = command.stdin(Stdio::null()).output().expect("it runs");
        assert_eq!(output.status.code(), Some(0));
        text(&output.stderr).to_owned()
    };
    assert!(said("trailsift=loud").contains("RUST_LOG is left out: it cannot be read"));
    for legal in ["", "off", "warn,trailsift=debug"] {
        assert!(!said(legal).contains("RUST_LOG"), "{legal:?}");
    }
}

#[test]
fn a_budget_that_no_machine_can_run_with_is_no_valid_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("accounts")).expect("a folder");
    fs::write(folder.path().join("trailsift.toml"), "[service]\nmemory = \"4MiB\"\n")
        .expect("written");
    for id in ["111122223333", "444455556666"] {
        let account = format!(
            "[account]\nid = \"{id}\"\nregion = \"us-east-1\"\nbuckets = [{{ name = \"org-trail\" }}]\n\
             queue_url = \"https://sqs.us-east-1.amazonaws.com/{id}/trail\"\n"
        );
        fs::write(folder.path().join(format!("accounts/{id}.toml")), account).expect("written");
    }
    let config = folder.path().display().to_string();
    for command in ["check", "run"] {
        let output = trailsift([command, "--config", &config], b"");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{command}: {said}");
        assert!(said.contains("does not feed one worker of each of the 2 accounts"), "{said}");
        assert!(output.stdout.is_empty());
    }
}
