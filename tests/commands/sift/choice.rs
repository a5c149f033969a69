//! Which events are selected, and how they are written.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use trailsift_testkit::trail::{FileSpec, TrailFile};

use super::{file, lines, sift, written};
use crate::text;

/// A file with every kind of event, and its records as another reader has them.
fn everything(records: usize) -> (TrailFile, Vec<Value>) {
    let spec = FileSpec { seed: 11, records, selected_one_in: 10, ..FileSpec::default() };
    let file = TrailFile::generate(&spec);
    let document: Value = serde_json::from_slice(&file.json).expect("JSON");
    let records = document["Records"].as_array().expect("records").clone();
    (file, records)
}

fn selected(args: &[&str], file: &TrailFile) -> Vec<Value> {
    let output = sift(args, &file.json);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn conditions_select_in_place_of_any_route() {
    let (file, records) = everything(2_000);
    let name = |record: &Value| record["eventName"].as_str().unwrap_or_default().to_owned();
    type Wanted<'a> = &'a dyn Fn(&Value) -> bool;
    let cases: [(&[&str], Wanted<'_>); 9] = [
        (&["eventName=List*"], &|it| name(it).starts_with("List")),
        (&["eventName!=List*"], &|it| !name(it).starts_with("List")),
        (&["eventName=*Object"], &|it| name(it).ends_with("Object")),
        (&["eventName=List*", "eventName!=*s"], &|it| {
            name(it).starts_with("List") && !name(it).ends_with('s')
        }),
        (&["errorCode=*"], &|it| !it["errorCode"].is_null()),
        (&["errorCode!=*", "readOnly=false"], &|it| {
            it["errorCode"].is_null() && it["readOnly"] == false
        }),
        (&["userIdentity.type!=AWSService"], &|it| it["userIdentity"]["type"] != "AWSService"),
        (&["eventSource=*"], &|_| true),
        (&["eventName=NoSuchThing"], &|_| false),
    ];
    for (conditions, wanted) in cases {
        let args: Vec<_> = conditions.iter().flat_map(|it| ["--where", *it]).collect();
        let expected: Vec<_> = records.iter().filter(|it| wanted(it)).cloned().collect();
        assert!(selected(&args, &file) == expected, "{conditions:?}");
    }
    // Who is behind an event is not in the record: Root is, and root behind a session is.
    let roots = selected(&["--where", "actor.kind=root"], &file);
    let is_root = |it: &Value| it["userIdentity"].to_string().contains("oot");
    assert!(!roots.is_empty() && roots.iter().all(is_root));
    let is_typed = |it: &&Value| {
        it["userIdentity"]["type"] == "Root" && it["userIdentity"]["invokedBy"].is_null()
    };
    let typed = |them: &[Value]| them.iter().filter(is_typed).count();
    assert_eq!(typed(&roots), typed(&records));
}

#[test]
fn conditions_that_cannot_be_read_are_all_named_before_anything_is_read() {
    let args = ["--where", "eventname=X", "--where", "a=*b*", "--where", "eventSource", "/nowhere"];
    let output = sift(args, b"");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    let errors = text(&output.stderr);
    for part in [
        "trailsift: --where 'eventname=X': ",
        "write eventName",
        "trailsift: --where 'a=*b*': a `*` at both ends is not supported; ",
        "trailsift: --where 'eventSource': there is no `=`; ",
    ] {
        assert!(errors.contains(part), "{errors}");
    }
    assert!(!errors.contains("/nowhere"), "{errors}");
}

#[test]
fn conditions_that_select_nothing_are_warned_of() {
    for (conditions, part) in [
        (vec!["eventNme=X"], "eventNme: CloudTrail's records have no field"),
        (vec!["eventName=A", "eventName=B"], "eventName: equals and equals never hold together"),
        (
            vec!["errorCode=null"],
            "errorCode: `null` is compared as text; for no value write errorCode!=*",
        ),
    ] {
        let args = conditions.iter().flat_map(|it| ["--where", *it]).chain(["--count"]);
        let output = sift(args, b"{\"Records\":[]}");
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "0\n"));
        let errors = text(&output.stderr);
        assert!(errors.contains(&format!("trailsift: warning: --where: {part}")), "{errors}");
    }
    let output = sift(["--where", "eventName=*", "--count", "by=eventNme"], b"{\"Records\":[]}");
    let errors = text(&output.stderr);
    assert!(errors.contains("trailsift: warning: --count by=eventNme: CloudTrail's"), "{errors}");
    assert!(!text(&sift(["--where", "actor.mfa=true"], b"").stderr).contains("warning"));
}

/// A configuration of three routes, by its path.
fn configured(folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("c.toml");
    let route = |name: &str, selector: &str| {
        format!("[[route]]\nname = \"{name}\"\nsinks = [\"s\"]\n[[route.selector]]\n{selector}\n")
    };
    let configuration = [
        route("reviewer", "eventSource = { equals = [\"codeguru-reviewer.amazonaws.com\"] }"),
        route("writes", "readOnly = { equals = [false] }"),
        route("failures", "errorCode = { exists = true }"),
        "[sink.s]\ntype = \"stdout\"\n".to_owned(),
    ];
    fs::write(&path, configuration.concat()).expect("written");
    path
}

#[test]
fn routes_are_chosen_by_name_and_an_unknown_name_is_a_mistake() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = configured(&folder);
    let config = ["--config", config.to_str().expect("text")];
    let (file, records) = everything(2_000);
    let with = |more: &[&'static str]| selected(&[&config, more].concat(), &file);
    let expected = |wanted: fn(&Value) -> bool| -> Vec<Value> {
        records.iter().filter(|it| wanted(it)).cloned().collect()
    };
    let writes = expected(|it| it["readOnly"] == false);
    assert!(with(&["--route", "writes"]) == writes);
    let either = expected(|it| it["readOnly"] == false || !it["errorCode"].is_null());
    assert!(either.len() > writes.len());
    assert!(with(&["--route", "failures", "--route", "writes"]) == either);
    // Conditions replace the routes, and leave the rest of the configuration in effect.
    assert_eq!(with(&["--where", "eventName=*"]).len(), records.len());

    let output = sift([config[0], config[1], "--route", "write", "--route", "x"], b"");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    let all = "`reviewer`, `writes`, `failures`";
    assert_eq!(
        text(&output.stderr),
        format!(
            "trailsift: --route: no route is called `write`; did you mean `writes`? There are {all}\n\
             trailsift: --route: no route is called `x`; there are {all}\n"
        )
    );
    let output = sift(["--route", "writes"], b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("there is only `codeguru-reviewer`"));
    assert_eq!(selected(&["--route", "codeguru-reviewer"], &file).len(), file.selected.len());
}

#[test]
fn every_format_is_one_line_an_event_in_the_files_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = file(7, 300);
    let path = written(folder.path(), &file);
    let name = path.to_str().expect("text");
    let events: Vec<Value> =
        file.selected_records().map(|it| serde_json::from_slice(it).expect("JSON")).collect();
    for format in ["raw", "envelope", "cloudevents", "ocsf", "ecs"] {
        let output = sift([OsStr::new("--format"), OsStr::new(format), path.as_os_str()], b"");
        assert_eq!(output.status.code(), Some(0), "{format}: {}", text(&output.stderr));
        let shown: Vec<Value> = text(&output.stdout)
            .lines()
            .map(|line| serde_json::from_str(line).expect("an event a line"))
            .collect();
        assert_eq!(shown.len(), events.len(), "{format}");
        match format {
            "raw" => assert_eq!(text(&output.stdout), text(&lines(&file))),
            "envelope" => {
                for (shown, event) in shown.iter().zip(&events) {
                    assert_eq!(&shown["event"], event);
                    assert_eq!(shown["trailsift"]["key"], name);
                    assert_eq!(shown["trailsift"]["route"], "codeguru-reviewer");
                }
            }
            _ => {}
        }
    }
    // Nobody knows where standard input comes from.
    let output = sift(["--format", "envelope"], &file.json);
    let first = text(&output.stdout).lines().next().expect("an event");
    let first: Value = serde_json::from_str(first).expect("JSON");
    assert_eq!(first["trailsift"]["key"], Value::Null);
}

#[test]
fn an_event_with_line_breaks_is_one_line_in_every_format() {
    let document =
        "{\"Records\":[{\n\"eventSource\":\"codeguru-reviewer.amazonaws.com\",\r\n\"n\":[1,\n2]}]}";
    for format in ["raw", "envelope", "cloudevents", "ocsf", "ecs"] {
        let output = sift(["--format", format], document.as_bytes());
        assert_eq!(text(&output.stdout).matches('\n').count(), 1, "{format}");
        assert!(!text(&output.stdout).contains('\r'), "{format}");
    }
}

#[test]
fn a_shell_can_complete_what_there_is() {
    for shell in ["bash", "zsh", "fish"] {
        let output = crate::trailsift(["completions", shell], b"");
        let script = text(&output.stdout);
        for word in ["where", "route", "count", "cloudevents"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}
