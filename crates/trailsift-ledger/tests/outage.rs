//! Fault F119: while the file is locked, full or out of reach, each call fails soon; afterwards it works.

mod common;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use common::{beside, database, folder, note, noted, object, open, settings, until, wal_bytes};
use futures::future::join_all;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use trailsift_core::Ledger;
use trailsift_ledger::{OpenError, SqliteLedger};

/// Notes the object again and again until it is noted.
async fn until_noted(ledger: &SqliteLedger, number: usize) {
    let noted = async {
        while note(ledger, number).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), noted).await.expect("it recovers");
}

#[tokio::test]
async fn a_locked_ledger_fails_writes_and_answers_recalls() {
    for lock in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"] {
        let (_root, folder) = folder();
        let ledger = open(&folder);
        note(&ledger, 1).await.expect("noted");
        let other = beside(&folder);
        other.execute_batch(lock).expect("locked");
        let error = note(&ledger, 2).await.expect_err("locked").to_string();
        assert!(error.contains("locked"), "{error}");
        assert_eq!(ledger.recall(&object(1)).await.expect("known"), noted(1));
        other.execute_batch("ROLLBACK").expect("unlocked");
        note(&ledger, 2).await.expect("noted");
        assert_eq!(ledger.recall(&object(2)).await.expect("known"), noted(2));
    }
}

#[tokio::test]
async fn a_ledger_that_is_locked_at_the_start_works_once_it_is_free() {
    let (_root, folder) = folder();
    drop(open(&folder));
    until("the log is copied", || wal_bytes(&folder) == 0);
    let other = beside(&folder);
    other
        .execute_batch("PRAGMA locking_mode = exclusive; BEGIN EXCLUSIVE; DELETE FROM progress")
        .expect("locked");
    let error = SqliteLedger::open(&folder, settings()).expect_err("locked");
    assert!(matches!(error, OpenError::Locked { .. }), "{error:?}");
    let (ledger, error) = SqliteLedger::open_or_retry(&folder, settings()).expect("a ledger");
    assert!(matches!(error, Some(OpenError::Locked { .. })), "{error:?}");
    note(&ledger, 1).await.expect_err("locked");
    ledger.recall(&object(1)).await.expect_err("locked");
    drop(other);
    until_noted(&ledger, 1).await;
    assert_eq!(ledger.recall(&object(1)).await.expect("known"), noted(1));
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_an_error_and_is_used_once_it_can_be() {
    let (_root, folder) = folder();
    let parent = folder.parent().expect("a parent");
    fs::write(parent, "a file in its place").expect("written");
    let error = SqliteLedger::open(&folder, settings()).expect_err("no folder");
    assert!(matches!(error, OpenError::Folder { .. }), "{error:?}");
    let (ledger, error) = SqliteLedger::open_or_retry(&folder, settings()).expect("a ledger");
    assert!(error.is_some());
    let error = note(&ledger, 1).await.expect_err("no folder").to_string();
    assert!(error.contains("folder cannot be used"), "{error}");
    fs::remove_file(parent).expect("removed");
    until_noted(&ledger, 1).await;
    assert_eq!(ledger.recall(&object(1)).await.expect("known"), noted(1));
}

#[tokio::test]
async fn a_recall_alone_brings_the_ledger_back() {
    let (_root, folder) = folder();
    let parent = folder.parent().expect("a parent");
    fs::write(parent, "a file in its place").expect("written");
    let (ledger, _) = SqliteLedger::open_or_retry(&folder, settings()).expect("a ledger");
    fs::remove_file(parent).expect("removed");
    let recalled = async {
        while ledger.recall(&object(1)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), recalled).await.expect("it recovers");
}

#[cfg(unix)]
#[tokio::test]
async fn the_folder_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let (_root, folder) = folder();
    drop(open(&folder));
    let mode = fs::metadata(&folder).expect("a folder").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn requests_beyond_the_queue_are_refused_at_once() {
    let (_root, folder) = folder();
    let ledger = open(&folder);
    note(&ledger, 1).await.expect("noted");
    let other = beside(&folder);
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let answers = join_all((0..3_000).map(|number| note(&ledger, number))).await;
    let refused = answers.iter().filter(|answer| {
        answer.as_ref().is_err_and(|error| error.to_string().contains("requests wait"))
    });
    assert!(refused.count() >= 3_000 - 1_024 - 1_024, "the queue is not bounded");
    assert!(answers.iter().all(Result::is_err), "noted though it is locked");
    other.execute_batch("ROLLBACK").expect("unlocked");
    until_noted(&ledger, 1).await;
}

#[tokio::test]
async fn two_ledgers_on_one_file_know_what_the_other_noted() {
    let (_root, folder) = folder();
    let ledgers = [open(&folder), open(&folder)];
    let notes = (0..300).map(|number| note(&ledgers[number % 2], number));
    assert!(join_all(notes).await.iter().all(Result::is_ok));
    for number in 0..300 {
        let known = ledgers[(number + 1) % 2].recall(&object(number)).await.expect("known");
        assert_eq!(known, noted(number));
    }
}

#[tokio::test]
async fn a_dropped_ledger_leaves_one_file_that_holds_everything() {
    let (_root, folder) = folder();
    common::filled(&folder, 30).await;
    let copy = folder.join("copy");
    fs::create_dir(&copy).expect("a folder");
    fs::copy(database(&folder), database(&copy)).expect("copied");
    let ledger = open(&copy);
    for number in 0..30 {
        assert_eq!(ledger.recall(&object(number)).await.expect("known"), noted(number));
    }
}

const CHILD_FOLDER: &str = "TRAILSIFT_TEST_LEDGER_FULL";

/// A file may not grow beyond a limit of the process: writes fail as on a full disk.
#[tokio::test]
async fn a_full_disk_fails_writes_and_loses_nothing() {
    if let Some(folder) = env::var_os(CHILD_FOLDER) {
        return fill_the_disk(&PathBuf::from(folder)).await;
    }
    let (_root, folder) = folder();
    let test = "a_full_disk_fails_writes_and_loses_nothing";
    // The shell, so that the signal which announces the limit is ignored.
    let script = format!("trap '' XFSZ; exec \"$0\" --exact {test} --nocapture");
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .arg(env::current_exe().expect("this test"))
        .env(CHILD_FOLDER, &folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let lines: Vec<String> = lines.map_while(Result::ok).collect();
    let output = child.wait_with_output().expect("it ends");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{lines:?} {errors}");
    assert!(lines.iter().any(|line| line.contains("1 passed")), "{lines:?}");
}

async fn fill_the_disk(folder: &Path) {
    let ledger = open(folder);
    let mut last = 0;
    while wal_bytes(folder) < 400_000 {
        note(&ledger, last).await.expect("noted");
        last += 1;
    }
    let unlimited = getrlimit(Resource::Fsize);
    let limit = Rlimit { current: Some(wal_bytes(folder)), maximum: unlimited.maximum };
    setrlimit(Resource::Fsize, limit).expect("limited");
    let mut refused = 0;
    for number in last..last + 200 {
        refused += u32::from(note(&ledger, number).await.is_err());
    }
    assert!(refused > 150, "{refused} of 200 were refused");
    for number in 0..last {
        assert_eq!(ledger.recall(&object(number)).await.expect("known"), noted(number));
    }
    setrlimit(Resource::Fsize, unlimited).expect("unlimited");
    until_noted(&ledger, last).await;
    for number in 0..=last {
        assert_eq!(ledger.recall(&object(number)).await.expect("known"), noted(number));
    }
    assert!(common::aside(folder).is_empty(), "a full disk is no damage");
}
