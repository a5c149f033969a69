//! A process that is killed amid its writes: what was answered is there, and the file is whole.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, io};

use common::{aside, beside, folder, note, noted, object, open};
use trailsift_core::Ledger;

const CHILD_FOLDER: &str = "TRAILSIFT_TEST_LEDGER_KILLED";
const CHILD_FROM: &str = "TRAILSIFT_TEST_LEDGER_FROM";
const ROUNDS: usize = 20;

#[tokio::test]
async fn what_was_answered_survives_kill_9() {
    if let Some(folder) = env::var_os(CHILD_FOLDER) {
        return write_until_killed(PathBuf::from(folder)).await;
    }
    let (_root, folder) = folder();
    let mut random = fastrand::Rng::with_seed(9);
    let mut answered = Vec::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(env::current_exe().expect("this test"))
            .args(["--exact", "what_was_answered_survives_kill_9", "--nocapture"])
            .env(CHILD_FOLDER, &folder)
            .env(CHILD_FROM, (round * 1_000_000).to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let number =
            |line: io::Result<String>| line.ok()?.strip_prefix("noted ")?.parse::<usize>().ok();
        let wanted = random.usize(1..1_500);
        let before = answered.len();
        for line in &mut lines {
            answered.extend(number(line));
            if answered.len() - before >= wanted {
                break;
            }
        }
        child.kill().expect("killed");
        // What it has said before it died counts too.
        answered.extend(lines.filter_map(number));
        child.wait().expect("dead");
        assert!(answered.len() - before >= wanted, "round {round}: the child ended by itself");

        let check: String = beside(&folder)
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .expect("it can be checked");
        assert_eq!(check, "ok", "round {round}");
        let ledger = open(&folder);
        for &number in &answered[before..] {
            let known = ledger.recall(&object(number)).await.expect("known");
            assert_eq!(known, noted(number), "round {round}");
        }
    }
    let ledger = open(&folder);
    for &number in &answered {
        assert_eq!(ledger.recall(&object(number)).await.expect("known"), noted(number));
    }
    assert!(aside(&folder).is_empty());
}

/// Sixteen at once, each saying what it noted in one write.
async fn write_until_killed(folder: PathBuf) {
    let ledger = Arc::new(open(&folder));
    let from: usize = env::var(CHILD_FROM).ok().and_then(|from| from.parse().ok()).unwrap_or(0);
    let next = Arc::new(AtomicUsize::new(from));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (ledger, next) = (Arc::clone(&ledger), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                note(&ledger, number).await.expect("noted");
                let line = format!("noted {number}\n");
                io::stdout().lock().write_all(line.as_bytes()).expect("the parent reads");
            }
        });
    }
    tasks.join_all().await;
}
