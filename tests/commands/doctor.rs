//! `trailsift doctor` as a user runs it.

mod localstack;
mod refusals;

use std::process::{Command, Output};

use serde_json::Value;

use crate::text;

const PAGE: &str = include_str!("../../crates/trailsift/DOCTOR.md");

/// One line of the report.
#[derive(Debug)]
pub(crate) struct Line {
    level: String,
    subject: String,
    check: String,
    /// Text and remedy.
    words: String,
}

/// A report, and the exit code.
#[derive(Debug)]
pub(crate) struct Report {
    lines: Vec<Line>,
    code: Option<i32>,
    stderr: String,
}

impl Report {
    /// Runs `doctor --json` with credentials that every emulator takes.
    fn of(config: &str, more: &[&str]) -> Self {
        let output = doctor(config, &[&["--json"], more].concat());
        let lines = text(&output.stdout).lines().map(|line| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            let of = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
            Line {
                level: of("level"),
                subject: of("subject"),
                check: of("check"),
                words: format!("{} | {}", of("text"), of("remedy")),
            }
        });
        let lines: Vec<Line> = lines.collect();
        for Line { check, .. } in &lines {
            assert!(PAGE.contains(&format!("| `{check}` |")), "DOCTOR.md does not explain {check}");
        }
        let stderr = text(&output.stderr).to_owned();
        Self { lines, code: output.status.code(), stderr }
    }

    /// One line of this check is of this level and holds these words; and nothing else fails.
    #[track_caller]
    fn assert(&self, check: &str, level: &str, words: &str) {
        let of_check: Vec<_> = self.lines.iter().filter(|line| line.check == check).collect();
        let found = of_check.iter().any(|line| line.level == level && line.words.contains(words));
        assert!(found, "{check} is not {level} with {words:?}: {of_check:#?}\n{}", self.stderr);
        let fails: Vec<_> = self.lines.iter().filter(|line| line.level == "fail").collect();
        assert!(fails.iter().all(|line| line.check == check), "{fails:#?}");
        assert_eq!(self.code, Some(i32::from(!fails.is_empty())), "{}", self.stderr);
    }

    /// The checks of the lines that are not as they should be.
    fn complaints(&self) -> Vec<&str> {
        let unwell = self.lines.iter().filter(|line| line.level != "ok");
        unwell.map(|line| line.check.as_str()).collect()
    }
}

fn doctor(config: &str, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trailsift"))
        .args(["doctor", "--config", config])
        .args(more)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env_remove("AWS_PROFILE")
        .env_remove("TRAILSIFT_CONFIG")
        .env_remove("RUST_LOG")
        .output()
        .expect("trailsift starts")
}

/// Two accounts where nobody listens.
fn configured() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let accounts = folder.path().join("accounts");
    std::fs::create_dir(&accounts).expect("a folder");
    let service = format!("[service]\ndata_dir = \"{}\"\n", folder.path().join("data").display());
    std::fs::write(folder.path().join("trailsift.toml"), service).expect("a file");
    for (id, name) in [("111122223333", "production"), ("444455556666", "staging")] {
        let account = format!(
            "[account]\nid = \"{id}\"\nname = \"{name}\"\nregion = \"us-east-1\"\n\
             queue_url = \"http://127.0.0.1:9/{id}/trail\"\nendpoint_url = \"http://127.0.0.1:9\"\n\
             buckets = [{{ name = \"org-trail\" }}]\n"
        );
        std::fs::write(accounts.join(format!("{name}.toml")), account).expect("a file");
    }
    let path = folder.path().display().to_string();
    (folder, path)
}

#[test]
fn a_wrong_configuration_and_an_unknown_account_are_wrong_usage() {
    let (folder, config) = configured();
    let output = doctor(&config, &["--account", "producton"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("did you mean production?"), "{}", text(&output.stderr));
    std::fs::write(folder.path().join("trailsift.toml"), "[service]\nworker = 3\n")
        .expect("a file");
    let output = doctor(&config, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
}

#[test]
fn an_account_that_cannot_be_reached_fails_and_only_the_chosen_one_is_asked_about() {
    let (_folder, config) = configured();
    let report = Report::of(&config, &["--account", "staging"]);
    assert_eq!(report.code, Some(1), "{}", report.stderr);
    assert!(report.stderr.contains("failures"), "{}", report.stderr);
    let subjects: Vec<&str> = report.lines.iter().map(|line| line.subject.as_str()).collect();
    assert!(subjects.contains(&"account staging") && subjects.contains(&"this machine"));
    assert!(!subjects.contains(&"account production"), "{subjects:?}");
    let queue = report.lines.iter().find(|line| line.check == "queue").expect("the line");
    assert_eq!(queue.level, "fail");
    assert!(queue.words.contains("network"), "{queue:?}");
}
