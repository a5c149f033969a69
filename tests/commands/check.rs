use std::fs;
use std::path::{Path, PathBuf};

use super::{text, trailsift};

fn deployed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/config")
}

#[test]
fn a_good_configuration_is_summed_up() {
    let output = trailsift(["check".as_ref(), "--config".as_ref(), deployed().as_os_str()], b"");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let out = text(&output.stdout);
    assert!(out.contains("account     demo (123456789012, us-east-1): trailsift-trail"), "{out}");
    assert!(out.contains("route       codeguru-reviewer → stdout"), "{out}");
    let cost = "\n    cost      searches for \"codeguru-reviewer.amazonaws.com\" (rare): other \
                records are skipped at full speed\n";
    assert!(out.contains(cost), "{out}");
    assert!(out.contains("ledger      in /var/lib/trailsift/ledger, for 14d"), "{out}");
}

#[test]
fn five_mistakes_are_five_errors_and_exit_code_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trailsift.toml");
    let configuration = "[service]\nlisen = \"127.0.0.1:9180\"\nworkers = 0\n\
         [sink.stdout]\ntype = \"stdot\"\n\
         [account]\nid = \"12\"\nregion = \"us-east-1\"\n\
         queue_url = \"https://sqs.us-east-1.amazonaws.com/111122223333/trail\"\n\
         buckets = [{ name = \"s3://org-trail\" }]\n";
    fs::write(&path, configuration).expect("written");
    for command in ["check", "run"] {
        let args =
            ["--log-format", "text", command, "--config"].map(AsRef::<std::ffi::OsStr>::as_ref);
        let output = trailsift(args.into_iter().chain([path.as_os_str()]), b"");
        assert_eq!(output.status.code(), Some(2), "{command}");
        assert_eq!(text(&output.stdout), "");
        let errors = text(&output.stderr);
        for place in [":2:1\n", ":3:11\n", ":5:8\n", ":7:6\n", ":10:21\n"] {
            assert!(errors.contains(&format!("--> {}{place}", path.display())), "{place} {errors}");
        }
        assert_eq!(errors.matches("error: ").count(), 5, "{errors}");
        assert!(!errors.contains('\u{1b}'), "no colour in a pipe: {errors}");
    }
}

#[test]
fn a_selector_that_never_matches_or_is_dear_is_named_and_the_exit_code_stays_0() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trailsift.toml");
    let configuration = "[[route]]\nname = \"r\"\nsinks = [\"s\"]\n[[route.selector]]\n\
         eventSource = { equals = [\"codeguru-reviewer\"] }\n[[route.selector]]\n\
         readOnly = { equals = [false] }\nsourceIPAddress = { not_cidr = [\"10.0.0.0/8\"] }\n\
         [sink.s]\ntype = \"stdout\"\n[account]\nid = \"111122223333\"\n\
         region = \"us-east-1\"\n\
         queue_url = \"https://sqs.us-east-1.amazonaws.com/111122223333/trail\"\n\
         buckets = [{ name = \"org-trail\" }]\n";
    fs::write(&path, configuration).expect("written");
    let args = ["check", "--config"].map(AsRef::<std::ffi::OsStr>::as_ref);
    let output = trailsift(args.into_iter().chain([path.as_os_str()]), b"");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let warnings = text(&output.stderr);
    let warning = format!(
        "warning: `eventSource`: every event source ends in .amazonaws.com, unlike \
         \"codeguru-reviewer\"\n --> {}:5:1\n",
        path.display()
    );
    assert!(warnings.contains(&warning), "{warnings}");
    assert!(warnings.contains("= help: write \"codeguru-reviewer.amazonaws.com\"\n"), "{warnings}");
    let out = text(&output.stdout);
    assert!(out.contains("is valid, with 1 warning\n"), "{out}");
    assert!(out.contains("\n    cost      selector 2 has nothing to search for: every"), "{out}");
}

#[test]
fn what_check_prints_is_a_configuration_that_says_the_same() {
    let print = |path: &Path| {
        let args = ["check", "--print", "--config"].map(AsRef::<std::ffi::OsStr>::as_ref);
        let output = trailsift(args.into_iter().chain([path.as_os_str()]), b"");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        output.stdout
    };
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("printed.toml");
    let printed = print(&deployed());
    fs::write(&copy, &printed).expect("written");
    assert_eq!(text(&print(&copy)), text(&printed));
}

#[test]
fn wrong_usage_is_exit_code_2_and_help_is_0() {
    for (args, code) in [
        (vec!["no-such-command"], 2),
        (vec![], 2),
        (vec!["check", "--no-such-option"], 2),
        (vec!["sift", "--route", "x"], 2),
        (vec!["--config", "/nowhere/at/all", "check"], 2),
        (vec!["check", "--config", "/nowhere/at/all"], 2),
        (vec!["--help"], 0),
        (vec!["sift", "--help"], 0),
        (vec!["--version"], 0),
    ] {
        assert_eq!(trailsift(&args, b"").status.code(), Some(code), "{args:?}");
    }
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = trailsift(["completions", shell], b"");
        assert_eq!(output.status.code(), Some(0), "{shell}");
        assert!(text(&output.stdout).contains("until-empty"), "{shell}");
    }
}
