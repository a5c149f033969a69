mod choice;
mod counts;
mod terminal;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use trailsift_testkit::trail::{FileSpec, Fleet, FleetSpec, TrailFile};

use super::{text, trailsift};

fn file(seed: u64, records: usize) -> TrailFile {
    TrailFile::generate(&FileSpec { seed, records, selected_one_in: 20, ..FileSpec::default() })
}

fn lines(file: &TrailFile) -> Vec<u8> {
    file.selected_records().flat_map(|record| [record, b"\n"].concat()).collect()
}

/// `sift`, to be given more than arguments and standard input.
fn command(args: &[&OsStr]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trailsift"));
    command.arg("sift").args(args).env_remove("TRAILSIFT_CONFIG");
    command
}

/// A file of so many records in a folder, by its path.
fn written(folder: &Path, file: &TrailFile) -> PathBuf {
    let path = folder.join("events.json.gz");
    fs::write(&path, file.gzip()).expect("written");
    path
}

fn sift<P: AsRef<OsStr>>(args: impl IntoIterator<Item = P>, stdin: &[u8]) -> std::process::Output {
    let mut all = vec![OsStr::new("sift").to_owned()];
    all.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
    trailsift(all, stdin)
}

#[test]
fn every_coding_of_a_file_yields_its_selected_records_byte_for_byte() {
    let file = file(1, 400);
    let expected = lines(&file);
    assert!(!expected.is_empty());
    let zstd = zstd::encode_all(file.json.as_slice(), 3).expect("compressed");
    let folder = tempfile::tempdir().expect("a folder");
    for (name, stored) in [("gzip", file.gzip()), ("zstd", zstd), ("plain", file.json.clone())] {
        // Told apart by content: the names say nothing, and a named file is always read.
        let path = folder.path().join(name);
        fs::write(&path, &stored).expect("written");
        let output = sift([&path], b"");
        assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), text(&expected), "{name}");

        for args in [vec![], vec!["-"]] {
            let output = sift(args, &stored);
            assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output.stderr));
            assert_eq!(text(&output.stdout), text(&expected), "{name}");
        }
    }
    let output = sift(["--count"], &file.gzip());
    assert_eq!(text(&output.stdout), format!("{}\n", file.selected.len()));
    let summary = text(&output.stderr);
    assert!(summary.contains("files     1\nrecords   400\n"), "{summary}");
    assert!(summary.contains(&format!("selected  {}\n", file.selected.len())), "{summary}");
}

#[test]
fn a_synchronised_bucket_yields_exactly_its_selected_records() {
    let spec =
        FleetSpec { files: 40, records_per_file: 50, selected_one_in: 40, ..FleetSpec::default() };
    let fleet = Fleet::generate(&spec);
    let folder = tempfile::tempdir().expect("a folder");
    for object in fleet.objects.iter().filter(|object| !object.key.ends_with('/')) {
        let path = folder.path().join(&object.key);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, &object.stored).expect("written");
    }
    let output = sift([folder.path()], b"");
    let summary = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "damaged files are named: {summary}");
    let mut found: Vec<&[u8]> =
        output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    found.sort();
    assert_eq!(found, fleet.expected.selected_records);
    for reason in fleet.expected.quarantined.keys() {
        assert!(summary.contains(reason), "{reason}: {summary}");
    }
    for (kind, count) in &fleet.expected.skipped {
        if !matches!(*kind, "key_mismatch" | "folder_marker") {
            assert!(summary.contains(&format!("{count} {kind}")), "{kind}: {summary}");
        }
    }
}

#[test]
fn links_and_pipes_in_a_folder_are_not_read_and_counted_as_skipped() {
    let folder = tempfile::tempdir().expect("a folder");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let path = written(elsewhere.path(), &file(3, 20));
    std::os::unix::fs::symlink(path, folder.path().join("link.json.gz")).expect("a link");
    let pipe = Command::new("mkfifo").arg(folder.path().join("pipe.json.gz")).status();
    assert!(pipe.expect("it runs").success());
    let output = sift([folder.path()], b"");
    assert_eq!(output.status.code(), Some(0));
    let summary = text(&output.stderr);
    assert!(summary.contains("files     0; skipped: 1 link, 1 special"), "{summary}");
}

#[test]
fn a_bad_file_is_named_and_the_others_still_run_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, last) = (file(1, 200), file(2, 200));
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("written");
        path
    };
    let mut cut = file(3, 200).gzip();
    cut.truncate(cut.len() / 2);
    let paths = [
        write("z.json.gz", &first.gzip()),
        write("bad.json.gz", &cut),
        folder.path().join("missing.json.gz"),
        write("a.json.gz", &last.gzip()),
    ];
    let output = sift(&paths, b"");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, [lines(&first), lines(&last)].concat(), "the order of the arguments");
    let errors = text(&output.stderr);
    assert!(errors.contains("bad.json.gz: gzip_truncated: "), "{errors}");
    assert!(errors.contains("missing.json.gz: cannot be read: "), "{errors}");
    assert!(errors.contains("bad: 1 gzip_truncated, 1 unreadable"), "{errors}");
}

#[test]
fn a_bad_record_is_named_and_its_neighbours_come_out() {
    let good = r#"{"eventSource":"codeguru-reviewer.amazonaws.com"}"#;
    let bad = r#"{"eventSource":"codeguru-reviewer.amazonaws.com","eventSource":"x"}"#;
    let document = format!("{{\"Records\":[{good},{bad},\n{good}]}}");
    let output = sift(["-"], document.as_bytes());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), format!("{good}\n{good}\n"));
    let errors = text(&output.stderr);
    assert!(errors.contains("-: record 1: duplicate_key: "), "{errors}");
}

#[test]
fn a_record_with_line_breaks_is_still_one_line() {
    let document = "{\"Records\":[{\r\n  \"eventSource\": \"codeguru-reviewer.amazonaws.com\",\n \"n\": 1.50\n}]}";
    let output = sift(["-"], document.as_bytes());
    assert_eq!(
        text(&output.stdout),
        "{  \"eventSource\": \"codeguru-reviewer.amazonaws.com\", \"n\": 1.50}\n"
    );
}

#[test]
fn the_routes_of_a_configuration_replace_the_built_in_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("c.toml");
    // No account, and a secret that is not there: sift needs neither.
    let configuration = "[[route]]\nname = \"all\"\nsinks = [\"s\"]\n\
        [[route.selector]]\neventName = { exists = true }\n\
        [sink.s]\ntype = \"http\"\nurl = \"https://h/\"\n\
        headers = { Authorization = { env = \"TRAILSIFT_TEST_NOT_SET\" } }\n";
    fs::write(&path, configuration).expect("written");
    let file = file(1, 50);
    let args = ["--count".as_ref(), "--config".as_ref(), path.as_os_str()];
    let output = sift(args, &file.json);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "50\n");

    fs::write(&path, "[[route]]\nname = 5\n").expect("written");
    let output = sift(["--config".as_ref(), path.as_os_str()], &file.json);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn f3_several_streams_in_a_file_are_read_where_the_configuration_says_so() {
    let file = file(3, 100);
    let (head, tail) = file.json.split_at(file.json.len() / 2);
    let stored = [head, tail].map(|part| zstd::encode_all(part, 3).expect("compressed")).concat();
    let output = sift(["--json"], &stored);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert!(text(&output.stderr).contains("gzip_trailing_member"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trailsift.toml");
    fs::write(&path, "[service]\nmulti_member = \"accept\"\n").expect("written");
    let output = sift(["--json".as_ref(), "--config".as_ref(), path.as_os_str()], &stored);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), text(&lines(&file)));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let file =
        TrailFile::generate(&FileSpec { records: 2000, selected_one_in: 1, ..FileSpec::default() });
    for number in 0..8 {
        fs::write(folder.path().join(format!("{number}.json")), &file.json).expect("written");
    }
    let mut child = command(&[folder.path().as_os_str()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("trailsift starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("trailsift ends");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn a_stream_is_not_read_on_for_a_reader_that_is_gone() {
    let record = r#"{"eventSource":"codeguru-reviewer.amazonaws.com"},"#.repeat(1000);
    for args in [["--json"].as_slice(), &["--format", "ocsf"]] {
        let args: Vec<_> = args.iter().map(OsStr::new).collect();
        let mut child = command(&args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("trailsift starts");
        drop(child.stdout.take());
        let mut stdin = child.stdin.take().expect("standard input");
        stdin.write_all(br#"{"Records":["#).expect("taken");
        // Three times what a thread holds before it writes.
        let fed =
            (0..(24 << 20) / record.len()).find_map(|_| stdin.write_all(record.as_bytes()).err());
        assert!(fed.is_some(), "{args:?}: all was read");
        drop(stdin);
        let output = child.wait_with_output().expect("trailsift ends");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "");
    }
}

#[test]
fn more_events_than_a_thread_may_hold_come_out_whole_and_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let spec = |seed| FileSpec { seed, records: 9000, selected_one_in: 1, ..FileSpec::default() };
    let files: Vec<_> = (0..3).map(|seed| TrailFile::generate(&spec(seed))).collect();
    for (number, file) in files.iter().enumerate() {
        let day = folder.path().join(format!("day-{number}"));
        fs::create_dir(&day).expect("a folder");
        fs::write(day.join("events.json"), &file.json).expect("written");
    }
    let output = sift([folder.path()], b"");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let expected: Vec<u8> = files.iter().flat_map(lines).collect();
    assert!(output.stdout == expected, "{} of {} bytes", output.stdout.len(), expected.len());
}

#[test]
fn text_from_a_file_cannot_reach_the_terminal_as_commands() {
    let bad =
        "{\"Records\":[{\"eventSource\":\"codeguru-reviewer.amazonaws.com\",\"a\u{1b}[2J\":1,}]}";
    let output = sift(["-"], bad.as_bytes());
    assert_eq!(output.status.code(), Some(1));
    assert!(!output.stderr.contains(&0x1b), "{}", text(&output.stderr));
    let odd = Path::new("/nowhere/\u{1b}[2Jx");
    assert!(!sift([odd], b"").stderr.contains(&0x1b));
}

/// Someone who follows the output sees the events of a file as whole lines when it is read, not when
/// everything is.
#[test]
fn events_are_written_line_by_line_before_the_next_file_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (file(1, 400), file(2, 400));
    let path = written(folder.path(), &first);
    let mut child = command(&[path.as_os_str(), OsStr::new("-")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("trailsift starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    for record in first.selected_records() {
        let mut line = Vec::new();
        stdout.read_until(b'\n', &mut line).expect("read");
        assert_eq!(text(&line), text(&[record, b"\n"].concat()));
    }
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(&second.gzip()).expect("written");
    drop(stdin);
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).expect("read");
    assert_eq!(text(&rest), text(&lines(&second)));
    assert_eq!(child.wait().expect("trailsift ends").code(), Some(0));
}
