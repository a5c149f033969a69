//! What is older than the retention goes, bit by bit, while calls go on.

mod common;

use std::path::Path;
use std::time::{Duration, SystemTime};

use common::{beside, folder, note, noted, object, settlement, until};
use trailsift_core::{Ledger, Settlement};
use trailsift_ledger::{LedgerSettings, SqliteLedger};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn rows(folder: &Path, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    beside(folder).query_row(&sql, [], |row| row.get(0)).expect("counted")
}

#[tokio::test]
async fn old_entries_go_and_others_stay() {
    let (_root, folder) = folder();
    let ledger = common::open(&folder);
    let long_ago = SystemTime::now() - 60 * DAY;
    let old = Settlement { settled_at: long_ago, ..settlement(&["siem"]) };
    let all = (0..1_800).map(|number| object(10_000 + number)).collect::<Vec<_>>();
    let notes = all.iter().map(|object| ledger.settled(object, &old));
    for chunk in notes.collect::<Vec<_>>().chunks_mut(600) {
        futures::future::try_join_all(chunk.iter_mut()).await.expect("noted");
    }
    for number in 0..90 {
        note(&ledger, number).await.expect("noted");
    }
    drop(ledger);
    let middle = &object(45).key;
    beside(&folder)
        .execute("UPDATE progress SET noted_at = noted_at - 60 * 86400000 WHERE key < ?1", [middle])
        .expect("aged");

    let ledger =
        SqliteLedger::open(&folder, LedgerSettings { retention: 30 * DAY }).expect("opened");
    // Calls go on while old entries are deleted.
    for number in 90..180 {
        note(&ledger, number).await.expect("noted");
    }
    until("the old entries are gone", || {
        rows(&folder, "settled") == 120 && rows(&folder, "progress") == 45
    });
    for number in 0..180 {
        let known = ledger.recall(&object(number)).await.expect("known");
        let aged = number % 3 == 0 && number < 45;
        assert!(
            known == noted(number) || aged && known.acknowledged.is_empty(),
            "{number}: {known:?}"
        );
    }
    assert!(ledger.recall(&all[0]).await.expect("known").acknowledged.is_empty());
}

#[tokio::test]
async fn a_retention_longer_than_time_itself_keeps_everything() {
    let (_root, folder) = folder();
    let settings = LedgerSettings { retention: Duration::MAX };
    let ledger = SqliteLedger::open(&folder, settings).expect("opened");
    note(&ledger, 1).await.expect("noted");
    assert_eq!(ledger.recall(&object(1)).await.expect("known"), noted(1));
}
