//! The promises of the port, on real files; and any sequence of calls against the ledger in memory.

mod common;

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use async_trait::async_trait;
use common::{folder, open};
use futures::future::join_all;
use proptest::collection::vec;
use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;
use trailsift_core::{Known, Ledger, ObjectId, Reason, Revision, Settlement};
use trailsift_ledger::{FILE_NAME, LedgerRow, SqliteLedger, read};
use trailsift_testkit::MemoryLedger;
use trailsift_testkit::conformance::{self, LedgerFactory, LedgerUnderTest};

struct Files;

struct File {
    ledger: SqliteLedger,
    folder: PathBuf,
    _root: TempDir,
}

#[async_trait]
impl LedgerFactory for Files {
    async fn make(&self) -> Box<dyn LedgerUnderTest> {
        let (root, folder) = folder();
        Box::new(File { ledger: open(&folder), folder, _root: root })
    }
}

#[async_trait]
impl LedgerUnderTest for File {
    fn port(&self) -> &dyn Ledger {
        &self.ledger
    }

    async fn reopen(&mut self) {
        // The successor opens while the predecessor may still be closing, as in a restart.
        self.ledger = open(&self.folder);
    }
}

#[tokio::test]
async fn keeps_the_promises_of_the_port() {
    conformance::ledger(&Files).await.assert_passed();
}

#[tokio::test]
async fn once_flushed_the_database_holds_everything_by_itself() {
    let (_root, folder) = folder();
    let ledger = open(&folder);
    for number in 0..100 {
        let settled = common::settlement(&["siem"]);
        ledger.settled(&common::object(number), &settled).await.expect("noted");
    }
    let size = |name: &str| folder.join(name).metadata().expect("a file").len();
    let log = format!("{FILE_NAME}-wal");
    assert!(size(&log) > 0);
    ledger.flush(Duration::from_secs(10)).await;
    assert_eq!(size(&log), 0);
    assert!(size(FILE_NAME) > 100 * 200);
    assert!(ledger.recall(&common::object(7)).await.expect("it answers").has_all("siem"));
}

/// They are served in groups: an answer that is another's would say that an event is delivered which is not.
#[tokio::test]
async fn each_of_many_who_ask_at_once_hears_of_its_own_object_and_of_what_it_has_noted() {
    let (_root, folder) = folder();
    let ledger = open(&folder);
    let of_one = |number: usize| {
        let ledger = &ledger;
        async move {
            let object = common::object(number);
            let before = ledger.recall(&object).await.expect("an answer");
            assert_eq!(before, Known::default(), "{number}");
            // Some stop waiting, with each round others of the group.
            if number.is_multiple_of(5) {
                assert!(futures::poll!(pin!(ledger.recall(&object))).is_pending());
                return;
            }
            let below = number as u64 + 1;
            ledger.acknowledged(&object, "siem", below).await.expect("noted");
            let known = ledger.recall(&object).await.expect("an answer");
            assert_eq!(known.acknowledged, [("siem".to_owned(), below)].into());
        }
    };
    // More than a group is, and fewer than may wait.
    join_all((0..900).map(of_one)).await;
}

#[tokio::test]
async fn a_flush_waits_for_nobody_for_long() {
    let (_root, folder) = folder();
    let ledger = open(&folder);
    let other = Connection::open(folder.join(FILE_NAME)).expect("it opens");
    other.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    // Its turn comes before the flush's, and it waits for the lock until it fails.
    let (object, settlement) = (common::object(1), common::settlement(&["siem"]));
    let mut noting = pin!(ledger.settled(&object, &settlement));
    assert!(futures::poll!(noting.as_mut()).is_pending());
    tokio::select! {
        biased;
        () = ledger.flush(Duration::from_millis(100)) => {}
        noted = noting => panic!("the flush has waited for as long as a write: {noted:?}"),
    }
}

#[derive(Clone, Debug)]
enum Step {
    Acknowledged { object: usize, sink: usize, below: u64 },
    Settled { object: usize, settlement: Settlement },
    Reopen,
}

const OBJECTS: [(&str, &str); 4] =
    [("main", "k"), ("other", "k"), ("main", "k\0"), ("main", "'k\"")];
const SINKS: [&str; 3] = ["siem", "a\"b", ""];

fn object(number: usize) -> ObjectId {
    let (account, key) = OBJECTS[number];
    let revision = Revision::Version("v".to_owned());
    ObjectId { account: account.to_owned(), bucket: "b".to_owned(), key: key.to_owned(), revision }
}

fn any_settlement() -> impl Strategy<Value = Settlement> {
    let parked = prop_oneof![Just(None), Just(Some(Reason::GzipCrc)), Just(Some(Reason::NotJson))];
    (vec(0..SINKS.len(), 0..4), parked, any::<u32>(), any::<Option<[u8; 32]>>()).prop_map(
        |(sinks, parked, figure, sha256)| Settlement {
            etag: None,
            version_id: Some("v".to_owned()),
            sinks: sinks.into_iter().map(|sink| SINKS[sink].to_owned()).collect(),
            parked,
            inflated: figure.into(),
            sha256,
            seen: figure.into(),
            selected: 0,
            quarantined: 0,
            first_event: None,
            last_event: Some(std::time::UNIX_EPOCH - Duration::from_millis(5)),
            settled_at: std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 33),
        },
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    let objects = 0..OBJECTS.len();
    let place = prop_oneof![4 => 0..50_u64, 1 => Just(Known::ALL)];
    prop_oneof![
        5 => (objects.clone(), 0..SINKS.len(), place)
            .prop_map(|(object, sink, below)| Step::Acknowledged { object, sink, below }),
        3 => (objects, any_settlement())
            .prop_map(|(object, settlement)| Step::Settled { object, settlement }),
        1 => Just(Step::Reopen),
    ]
}

async fn apply(ledger: &dyn Ledger, step: &Step) {
    let answer = match step {
        Step::Acknowledged { object: number, sink, below } => {
            ledger.acknowledged(&object(*number), SINKS[*sink], *below).await
        }
        Step::Settled { object: number, settlement } => {
            ledger.settled(&object(*number), settlement).await
        }
        Step::Reopen => Ok(()),
    };
    answer.expect("noted");
}

async fn compare(ledger: &SqliteLedger, folder: &std::path::Path, model: &MemoryLedger) {
    for number in 0..OBJECTS.len() {
        let object = object(number);
        let known = ledger.recall(&object).await.expect("known");
        assert_eq!(known, model.entry(&object).known, "of {object}");
    }
    let mut settled = 0;
    read(folder, |row| {
        let LedgerRow::Settled(row) = row else { return };
        let expected = model.entry(&row.object).settlement.expect("the model has it too");
        let figures = [row.inflated, row.seen, row.selected, row.quarantined];
        let expected_figures =
            [expected.inflated, expected.seen, expected.selected, expected.quarantined];
        assert_eq!(figures, expected_figures);
        assert_eq!((&row.sinks, row.sha256), (&expected.sinks, expected.sha256));
        assert_eq!((&row.etag, &row.version_id), (&expected.etag, &expected.version_id));
        assert_eq!((row.first_event, row.last_event), (expected.first_event, expected.last_event));
        assert_eq!(row.settled_at, expected.settled_at);
        settled += 1;
    })
    .expect("it can be read");
    let entries = model.entries();
    assert_eq!(settled, entries.values().filter(|entry| entry.settlement.is_some()).count());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn knows_what_the_ledger_in_memory_knows(steps in vec(any_step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (_root, folder) = folder();
            let model = MemoryLedger::new();
            let mut ledger = open(&folder);
            for step in &steps {
                if matches!(step, Step::Reopen) {
                    ledger = open(&folder);
                }
                apply(&ledger, step).await;
                apply(&model, step).await;
            }
            compare(&ledger, &folder, &model).await;
        });
    }

    #[test]
    fn calls_at_once_end_where_they_would_one_by_one(steps in vec(any_step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (_root, folder) = folder();
            let model = MemoryLedger::new();
            let ledger = open(&folder);
            // They are queued in this order: each is sent at its first poll.
            join_all(steps.iter().map(|step| apply(&ledger, step))).await;
            for step in &steps {
                apply(&model, step).await;
            }
            compare(&ledger, &folder, &model).await;
        });
    }
}
