//! Fault F119: whatever became of the file, work goes on, and nothing is known that was never noted.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{
    aside, beside, database, filled, folder, note, noted, object, open, settlement, until,
};
use trailsift_core::Ledger;
use trailsift_ledger::{FILE_NAME, LedgerRow, OpenError, SqliteLedger, read};

const NOTES: usize = 120;

/// That of every object the truth is known, or less. A failed call is allowed: it costs a duplicate.
async fn nothing_false_is_known(ledger: &SqliteLedger, what: &str) {
    for number in 0..NOTES {
        let Ok(known) = ledger.recall(&object(number)).await else { continue };
        for (sink, below) in &known.acknowledged {
            let truth = noted(number).owed_from(sink);
            assert!(truth >= *below, "{what}: of object {number}: {known:?}");
        }
        assert_eq!(known.parked, None, "{what}: of object {number}");
    }
}

/// That after a few calls, of which some find the damage, everything is noted and known again.
async fn works_again(ledger: &SqliteLedger, what: &str) {
    for number in NOTES..NOTES + 20 {
        let mut tries = 0;
        while note(ledger, number).await.is_err()
            || ledger.recall(&object(number)).await.ok() != Some(noted(number))
        {
            tries += 1;
            assert!(tries < 6, "{what}: object {number} is not remembered");
        }
    }
}

/// Opens a copy of `original` on which `harm` was done.
async fn survives(original: &Path, what: &str, harm: impl FnOnce(&mut Vec<u8>)) -> Vec<String> {
    let (_root, folder) = folder();
    fs::create_dir_all(&folder).expect("a folder");
    let mut bytes = fs::read(database(original)).expect("a ledger");
    harm(&mut bytes);
    fs::write(database(&folder), bytes).expect("written");
    let ledger = open(&folder);
    nothing_false_is_known(&ledger, what).await;
    works_again(&ledger, what).await;
    nothing_false_is_known(&ledger, what).await;
    drop(ledger);
    let settled_and_readable = read(&folder, |_| {}).is_ok();
    assert!(
        settled_and_readable || aside(&folder).is_empty(),
        "{what}: the new file is damaged too"
    );
    aside(&folder)
}

#[tokio::test]
async fn a_truncated_file_is_begun_anew() {
    let (_root, original) = folder();
    filled(&original, NOTES).await;
    let length = fs::read(database(&original)).expect("a ledger").len();
    for keep in [0, 1, 15, 16, 50, 99, 100, 511, 4_095, 4_096, 4_097, length / 2, length - 1] {
        let aside =
            survives(&original, &format!("cut to {keep}"), |bytes| bytes.truncate(keep)).await;
        // A file of a few bytes is as good as an empty one.
        assert!(aside.len() == 1 || keep < 16, "cut to {keep}: {aside:?}");
    }
}

#[tokio::test]
async fn a_file_of_anything_else_is_moved_aside_and_kept() {
    let (_root, original) = folder();
    filled(&original, 3).await;
    let mut random = fastrand::Rng::with_seed(119);
    let noise: Vec<u8> = (0..50_000).map(|_| random.u8(..)).collect();
    for garbage in [b"{}\n".to_vec(), vec![0; 8_192], noise] {
        let aside = survives(&original, "garbage", |bytes| *bytes = garbage).await;
        assert_eq!(aside.len(), 1);
    }
}

#[tokio::test]
async fn no_flipped_bit_makes_anything_known_that_was_not_noted() {
    let (_root, original) = folder();
    filled(&original, NOTES).await;
    let length = fs::read(database(&original)).expect("a ledger").len();
    let mut random = fastrand::Rng::with_seed(119);
    let header = (0..100).step_by(2);
    let anywhere: Vec<usize> = (0..100).map(|_| random.usize(0..length)).collect();
    for place in header.chain(anywhere) {
        let bit = random.u8(0..8);
        // A version of the schema that is not known yet is not ours to judge.
        if (60..64).contains(&place) {
            continue;
        }
        survives(&original, &format!("bit {bit} of byte {place}"), |bytes| {
            bytes[place] ^= 1 << bit
        })
        .await;
    }
}

#[tokio::test]
async fn a_row_that_was_changed_is_damage() {
    for change in [
        "UPDATE progress SET below = below + 1",
        "UPDATE progress SET sink = 'archive'",
        "UPDATE settled SET sinks = '[\"archive\",\"siem\",\"third\"]'",
        "UPDATE settled SET sinks = '[]'",
        "UPDATE settled SET parked = 'not_json'",
        "UPDATE settled SET revision = '00000000000000000000000000000bad', fingerprint = 1",
    ] {
        let (_root, folder) = folder();
        filled(&folder, NOTES).await;
        beside(&folder).execute_batch(change).expect("changed");
        let ledger = open(&folder);
        nothing_false_is_known(&ledger, change).await;
        works_again(&ledger, change).await;
    }
}

#[tokio::test]
async fn a_deleted_row_is_forgotten_and_the_rest_stands() {
    let (_root, folder) = folder();
    filled(&folder, NOTES).await;
    let ledger = open(&folder);
    let deleted = beside(&folder)
        .execute("DELETE FROM settled WHERE key = ?1", [&object(1).key])
        .expect("deleted");
    assert_eq!(deleted, 1);
    let forgotten = ledger.recall(&object(1)).await.expect("no damage");
    assert!(forgotten.acknowledged.is_empty());
    assert_eq!(ledger.recall(&object(2)).await.expect("no damage"), noted(2));
}

#[tokio::test]
async fn a_database_of_something_else_is_moved_aside_and_kept() {
    for (foreign, sql) in [
        ("of another program", "CREATE TABLE t (a); INSERT INTO t VALUES (1)"),
        ("marked by another", "PRAGMA application_id = 7; CREATE TABLE settled (a)"),
    ] {
        let (_root, folder) = folder();
        fs::create_dir_all(&folder).expect("a folder");
        beside(&folder).execute_batch(sql).expect("made");
        let ledger = open(&folder);
        works_again(&ledger, foreign).await;
        assert_eq!(aside(&folder).len(), 1, "{foreign}");
    }
    for harm in
        ["DROP TABLE progress", "ALTER TABLE settled DROP COLUMN sha256", "DROP VIEW objects"]
    {
        let (_root, folder) = folder();
        filled(&folder, 3).await;
        let drop_view = "DROP VIEW objects;";
        let harm = if harm.contains("COLUMN") { format!("{drop_view}{harm}") } else { harm.into() };
        beside(&folder).execute_batch(&harm).expect("harmed");
        let ledger = open(&folder);
        works_again(&ledger, &harm).await;
        assert_eq!(aside(&folder).len(), 1, "{harm}");
    }
}

#[tokio::test]
async fn somebodys_own_index_is_left_and_no_foreign_trigger_runs() {
    let (_root, folder) = folder();
    filled(&folder, NOTES).await;
    let own = "CREATE INDEX mine ON settled (key); CREATE TRIGGER theirs AFTER INSERT ON settled \
               BEGIN DELETE FROM settled; END";
    beside(&folder).execute_batch(own).expect("made");
    let ledger = open(&folder);
    works_again(&ledger, "a trigger").await;
    assert_eq!(ledger.recall(&object(1)).await.expect("no damage"), noted(1));
    assert!(aside(&folder).is_empty());
}

#[tokio::test]
async fn a_newer_schema_is_left_as_it_is() {
    let (_root, folder) = folder();
    filled(&folder, 3).await;
    beside(&folder).execute_batch("PRAGMA user_version = 99").expect("marked");
    let before = fs::read(database(&folder)).expect("a ledger");
    let error = SqliteLedger::open(&folder, common::settings()).expect_err("not opened");
    assert!(matches!(error, OpenError::Newer { found: 99, known: 1, .. }), "{error:?}");
    assert!(error.to_string().contains("run the newer version"), "{error}");
    assert!(aside(&folder).is_empty());
    assert!(fs::read(database(&folder)).expect("a ledger") == before);
}

#[tokio::test]
async fn only_the_newest_damaged_ledgers_are_kept() {
    let (_root, folder) = folder();
    fs::create_dir_all(&folder).expect("a folder");
    for number in 0..6 {
        fs::write(database(&folder), format!("garbage {number}")).expect("written");
        drop(open(&folder));
        until("the log is copied", || common::wal_bytes(&folder) == 0);
    }
    let kept = aside(&folder);
    let texts: Vec<String> =
        kept.iter().map(|name| fs::read_to_string(folder.join(name)).expect("kept")).collect();
    assert_eq!(texts, ["garbage 3", "garbage 4", "garbage 5"]);
}

/// Runs it as another process: closing the file here would take SQLite's locks along.
fn shell(script: &str, file: &Path) {
    let done = Command::new("sh").arg("-c").arg(script).arg(file).status().expect("a shell");
    assert!(done.success(), "{script}");
}

#[tokio::test]
async fn damage_found_at_run_time_begins_a_new_file() {
    for harm in [
        "head -c 100000 /dev/urandom | dd of=\"$0\" bs=4096 seek=1 conv=notrunc 2>/dev/null",
        "head -c 100000 /dev/zero | dd of=\"$0\" bs=4096 seek=1 conv=notrunc 2>/dev/null",
        "head -c 100 /dev/urandom | dd of=\"$0\" conv=notrunc 2>/dev/null",
        ": > \"$0\"",
    ] {
        let (_root, folder) = folder();
        filled(&folder, NOTES).await;
        let ledger = open(&folder);
        note(&ledger, 1).await.expect("noted");
        shell(harm, &database(&folder));
        nothing_false_is_known(&ledger, harm).await;
        works_again(&ledger, harm).await;
        drop(ledger);
        until("the log is copied", || common::wal_bytes(&folder) == 0);
        works_again(&open(&folder), harm).await;
    }
}

#[tokio::test]
async fn a_deleted_file_is_begun_anew() {
    let (_root, folder) = folder();
    let ledger = open(&folder);
    note(&ledger, 1).await.expect("noted");
    fs::remove_file(database(&folder)).expect("deleted");
    note(&ledger, 2).await.expect("noted in the new file");
    assert_eq!(ledger.recall(&object(2)).await.expect("known"), noted(2));
    assert!(ledger.recall(&object(1)).await.expect("known").acknowledged.is_empty());
    let mut rows = Vec::new();
    read(&folder, |row| rows.push(row)).expect("it can be read");
    assert!(matches!(&rows[..], [LedgerRow::Settled(row)] if row.object == object(2)), "{rows:?}");
}

#[tokio::test]
async fn a_deleted_folder_is_made_again() {
    let (_root, folder) = folder();
    let ledger = open(&folder);
    note(&ledger, 1).await.expect("noted");
    fs::remove_dir_all(&folder).expect("deleted");
    note(&ledger, 2).await.expect("noted in the new file");
    assert_eq!(ledger.recall(&object(2)).await.expect("known"), noted(2));
}

#[tokio::test]
async fn a_damaged_log_costs_at_most_what_is_in_it() {
    let (_root, original) = folder();
    filled(&original, NOTES / 2).await;
    let ledger = open(&original);
    for number in NOTES / 2..NOTES {
        note(&ledger, number).await.expect("noted");
    }
    // As a crash would leave it: copied by another process, so that no lock is let go here.
    let wal = original.join(format!("{FILE_NAME}-wal"));
    let (crashed, log) = (original.join("crashed"), original.join("crashed-wal"));
    shell(&format!("cp \"$0\" {}", crashed.display()), &database(&original));
    shell(&format!("cp \"$0\" {}", log.display()), &wal);
    let (main, log) = (fs::read(crashed).expect("copied"), fs::read(log).expect("copied"));
    assert!(log.len() > 50_000, "{} bytes of log", log.len());
    let mut random = fastrand::Rng::with_seed(119);
    for round in 0..40 {
        let (_root, folder) = folder();
        fs::create_dir_all(&folder).expect("a folder");
        let mut log = log.clone();
        let place = random.usize(0..log.len());
        if round % 2 == 0 {
            log.truncate(place);
        } else {
            log[place] ^= 1 << random.u8(0..8);
        }
        fs::write(database(&folder), &main).expect("written");
        fs::write(folder.join(format!("{FILE_NAME}-wal")), log).expect("written");
        let what = format!("round {round}, byte {place} of the log");
        let ledger = open(&folder);
        nothing_false_is_known(&ledger, &what).await;
        for number in 0..NOTES / 2 {
            let known = ledger.recall(&object(number)).await.expect("the database is whole");
            assert_eq!(known, noted(number), "{what}");
        }
        works_again(&ledger, &what).await;
        assert!(aside(&folder).is_empty(), "{what}");
    }
}

#[tokio::test]
async fn two_ledgers_on_one_file_both_go_on_when_one_of_them_finds_damage() {
    let (_root, folder) = folder();
    let ledgers = [open(&folder), open(&folder)];
    for number in 0..NOTES {
        note(&ledgers[number % 2], number).await.expect("noted");
    }
    beside(&folder).execute_batch("UPDATE settled SET sinks = '[]'").expect("changed");
    for ledger in &ledgers {
        nothing_false_is_known(ledger, "two").await;
        works_again(ledger, "two").await;
    }
    for number in 500..520 {
        let settlement = settlement(&["siem"]);
        ledgers[0].settled(&object(number), &settlement).await.expect("noted");
        let known = ledgers[1].recall(&object(number)).await.expect("known");
        assert!(known.has_all("siem"), "one writes to another file than the other reads");
    }
    assert_eq!(aside(&folder).len(), 1);
}
