//! What a person at a terminal sees.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::{Value, json};

use super::{command, file, lines, written};
use crate::text;

/// A terminal: our end, and the one that a process writes to.
fn pseudo_terminal() -> (File, File) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("its other end");
    let other = ptsname(&ours, Vec::new()).expect("its name").into_string().expect("text");
    let other = File::options().read(true).write(true).open(other).expect("its other end");
    (File::from(ours), other)
}

/// What appears on a terminal of so many columns as the command's standard output, and its exit code.
fn shown(mut command: Command, columns: u16) -> (String, Option<i32>) {
    let (mut ours, stdout) = pseudo_terminal();
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&stdout, size).expect("a size");
    let child = command.env("TERM", "xterm").stdin(Stdio::null()).stdout(stdout).spawn();
    drop(command);
    let mut shown = Vec::new();
    let mut part = [0; 4096];
    // When the last process has closed the other end, reading fails.
    while let Ok(count @ 1..) = ours.read(&mut part) {
        shown.extend_from_slice(&part[..count]);
    }
    let status = child.expect("trailsift starts").wait().expect("trailsift ends");
    (text(&shown).replace("\r\n", "\n"), status.code())
}

/// `sift` on a terminal: neither its width nor its colours come from whoever runs the tests.
fn at_terminal(args: &[&OsStr]) -> Command {
    let mut command = command(args);
    command.env_remove("COLUMNS").env_remove("NO_COLOR").stderr(Stdio::null());
    command
}

fn document(records: &[Value]) -> String {
    json!({"Records": records}).to_string()
}

fn record(name: &str, more: Value) -> Value {
    let mut record = json!({
        "eventTime": "2026-11-20T10:00:00Z", "eventName": name,
        "eventSource": "codeguru-reviewer.amazonaws.com", "sourceIPAddress": "203.0.113.7",
        "userIdentity": {"type": "Root"},
    });
    let (Value::Object(all), Value::Object(more)) = (&mut record, more) else { unreachable!() };
    all.extend(more);
    record
}

#[test]
fn a_terminal_sees_one_table_of_all_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("a.json"), document(&[])).expect("written");
    let hostile = record("Hostile\n\u{1b}[2J", json!({"errorCode": "AccessDenied"}));
    fs::write(path("b.json"), document(&[record("ListCodeReviews", json!({})), hostile]))
        .expect("written");
    fs::write(path("c.json"), document(&[record("TagResource", json!({}))])).expect("written");

    let (table, code) = shown(at_terminal(&[folder.path().as_os_str()]), 130);
    assert_eq!(code, Some(0));
    let colourless =
        table.replace("\u{1b}[1m", "").replace("\u{1b}[31m", "").replace("\u{1b}[0m", "");
    let lines: Vec<_> = colourless.lines().collect();
    assert_eq!(lines.len(), 4, "{table}");
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(lines[0]), ["time", "action", "who", "from", "result"]);
    for (line, name, result) in [
        (lines[1], ":ListCodeReviews", "ok"),
        (lines[2], ":Hostile\\n\\u{1b}[2J", "AccessDenied"),
        (lines[3], ":TagResource", "ok"),
    ] {
        let words = words(line);
        assert!(words[1].starts_with("codegur") && words[1].ends_with(name), "{line}");
        assert_eq!(words[0], "2026-11-20T10:00:00Z");
        assert_eq!(words[2..], ["root", "203.0.113.7", result]);
        assert!(line.chars().count() <= 130);
        assert_eq!(
            line.find("root"),
            lines[0].find("who").map(|at| at + line.matches('…').count() * 2)
        );
    }
    assert!(table.contains("\u{1b}[1mroot") && table.contains("\u{1b}[31mAccessDenied"), "{table}");

    let mut plain = at_terminal(&[folder.path().as_os_str()]);
    plain.env("NO_COLOR", "1");
    assert_eq!(shown(plain, 130).0, colourless);
    for columns in ["0", "", "x", "-1"] {
        let mut plain = at_terminal(&[folder.path().as_os_str()]);
        plain.env("NO_COLOR", "1").env("COLUMNS", columns);
        assert_eq!(shown(plain, 130).0, colourless, "COLUMNS={columns}");
    }
    let mut wide = at_terminal(&[folder.path().as_os_str()]);
    wide.env("COLUMNS", usize::MAX.to_string());
    assert!(shown(wide, 130).0.contains(" codeguru-reviewer:Hostile\\n\\u{1b}[2J "));
    let mut narrow = at_terminal(&[folder.path().as_os_str()]);
    narrow.env("NO_COLOR", "1").env("COLUMNS", "60");
    let (table, _) = shown(narrow, 130);
    assert!(table.lines().all(|line| line.chars().count() <= 60), "{table}");
}

#[test]
fn a_terminal_sees_nothing_of_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.json");
    fs::write(&path, document(&[])).expect("written");
    assert_eq!(shown(at_terminal(&[path.as_os_str()]), 80), (String::new(), Some(0)));
}

#[test]
fn a_terminal_sees_lines_where_they_are_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = file(5, 100);
    let path = written(folder.path(), &file);
    for args in [["--json", "--json"].as_slice(), &["--format", "raw"]] {
        let args: Vec<_> = args[..].iter().map(OsStr::new).chain([path.as_os_str()]).collect();
        let args = if args[0] == args[1] { &args[1..] } else { &args[..] };
        assert_eq!(shown(at_terminal(args), 80).0, text(&lines(&file)), "{args:?}");
    }
    let args = [OsStr::new("--format"), OsStr::new("envelope"), path.as_os_str()];
    let (events, _) = shown(at_terminal(&args), 80);
    assert_eq!(events.lines().count(), file.selected.len());
    assert!(events.lines().all(|line| line.starts_with("{\"event\":{")), "{events}");
}

#[test]
fn a_terminal_sees_counts_as_a_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.json");
    let failed = json!({"errorCode": "AccessDenied\u{1b}[2J"});
    let records = [vec![record("A", json!({})); 12], vec![record("B", failed); 2]];
    fs::write(&path, document(&records.concat())).expect("written");
    let by = |more: &[&'static str]| {
        let args: Vec<_> = more.iter().map(OsStr::new).chain([path.as_os_str()]).collect();
        let mut command = at_terminal(&args);
        command.env("NO_COLOR", "");
        shown(command, 80).0
    };
    let table = "count  errorCode\n   12  -\n    2  AccessDenied\\u{1b}[2J\n";
    assert_eq!(by(&["--count", "by=errorCode"]), table);
    let lines = by(&["--count=by=eventName", "--json"]);
    assert_eq!(lines, "{\"eventName\":\"A\",\"count\":12}\n{\"eventName\":\"B\",\"count\":2}\n");
    assert_eq!(by(&["--count"]), "14\n");
}

#[test]
fn a_terminal_sees_files_rate_and_time_left_until_the_summary() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = written(folder.path(), &file(1, 8_000));
    let (mut terminal, stderr) = pseudo_terminal();
    let mut child = command(&[path.as_os_str(), OsStr::new("-")])
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .expect("trailsift starts");
    // The bar is drawn ten times a second while standard input is awaited.
    let mut shown = String::new();
    let is_drawn = |shown: &str| {
        let rates = shown.split(" files  ").skip(1).filter_map(|part| part.split_once(" MB/s  "));
        rates.filter(|(rate, _)| rate.parse::<u64>().is_ok_and(|rate| rate > 0)).any(|(_, rest)| {
            rest.split_once(" left").is_some_and(|(time, _)| !time.is_empty() && time.len() < 8)
        })
    };
    while !is_drawn(&shown) {
        let mut part = [0; 4096];
        let count = terminal.read(&mut part).expect("a bar with a rate and the time left");
        shown.push_str(&String::from_utf8_lossy(&part[..count]));
    }
    child.stdin.take().expect("piped").write_all(&file(2, 30).gzip()).expect("written");
    while !shown.contains("speed ") {
        let mut part = [0; 4096];
        let count = terminal.read(&mut part).expect("a summary");
        shown.push_str(&String::from_utf8_lossy(&part[..count]));
    }
    assert!(shown.contains("files     2"), "{shown:?}");
    assert_eq!(child.wait().expect("trailsift ends").code(), Some(0));
}
