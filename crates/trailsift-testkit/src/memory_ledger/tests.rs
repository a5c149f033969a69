use std::time::SystemTime;

use tokio::time::timeout;
use trailsift_core::Revision;

use super::*;

fn object(key: &str) -> ObjectId {
    let revision = Revision::Etag("e".into());
    ObjectId { account: "a".into(), bucket: "b".into(), key: key.into(), revision }
}

fn settlement(sinks: &[&str]) -> Settlement {
    Settlement {
        etag: Some("e".to_owned()),
        version_id: None,
        sinks: sinks.iter().map(|&sink| sink.to_owned()).collect(),
        parked: None,
        inflated: 1,
        sha256: None,
        seen: 1,
        selected: 1,
        quarantined: 0,
        first_event: None,
        last_event: None,
        settled_at: SystemTime::UNIX_EPOCH,
    }
}

#[tokio::test]
async fn a_refused_call_notes_nothing_and_a_lost_answer_notes_all() {
    let ledger = MemoryLedger::new();
    let (refused, lost) = (object("refused"), object("lost"));
    ledger.fail_next(LedgerOp::Acknowledged, "busy");
    ledger.fault(LedgerOp::Acknowledged, LedgerFault::LoseAnswer(LedgerError("reset".into())));
    let error = ledger.acknowledged(&refused, "siem", 3).await.expect_err("refused");
    assert_eq!(error.to_string(), "busy");
    ledger.acknowledged(&lost, "siem", 3).await.expect_err("lost");
    assert_eq!(ledger.entry(&refused), LedgerEntry::default());
    assert_eq!(ledger.entry(&lost).known.owed_from("siem"), 3);
    let events: Vec<_> = ledger.history().into_iter().map(|line| line.event).collect();
    let noted = LedgerEvent::Acknowledged { sink: "siem".into(), below: 3, told: false };
    assert_eq!(events, [LedgerEvent::Failed(LedgerOp::Acknowledged), noted]);
}

#[tokio::test]
async fn history_tells_a_recall_that_answered_from_one_that_failed() {
    let ledger = MemoryLedger::new();
    let id = object("k");
    ledger.settled(&id, &settlement(&["siem"])).await.expect("no fault");
    ledger.fault(LedgerOp::Recall, LedgerFault::LoseAnswer(LedgerError("reset".into())));
    ledger.recall(&id).await.expect_err("lost");
    let known = ledger.recall(&id).await.expect("no fault");
    assert!(known.has_all("siem"));
    let events: Vec<_> = ledger.history().into_iter().map(|line| line.event).skip(1).collect();
    assert_eq!(events, [LedgerEvent::Failed(LedgerOp::Recall), LedgerEvent::Recalled(known)]);
}

#[tokio::test]
async fn settlements_add_up_their_sinks_and_the_last_one_stands() {
    let ledger = MemoryLedger::new();
    let id = object("k");
    ledger.settled(&id, &settlement(&["b", "a"])).await.expect("no fault");
    let later = Settlement { seen: 9, ..settlement(&["c", "a"]) };
    ledger.clone().settled(&id, &later).await.expect("no fault");
    let held = ledger.entries().remove(&id).and_then(|entry| entry.settlement);
    assert_eq!(held, Some(Settlement { seen: 9, ..settlement(&["a", "b", "c"]) }));
    ledger.forget();
    assert!(ledger.entries().is_empty());
    assert_eq!(ledger.history().len(), 2);
}

#[tokio::test]
async fn a_rule_stands_until_it_is_healed_and_yields_to_what_is_scripted() {
    let ledger = MemoryLedger::new();
    ledger.fault_by(|op, object| {
        let refused = op == LedgerOp::Recall && object.key == "bad";
        refused.then(|| LedgerFault::Refuse(LedgerError("rule".into())))
    });
    ledger.fail_next(LedgerOp::Recall, "script");
    let error = ledger.recall(&object("good")).await.expect_err("scripted");
    assert_eq!(error.to_string(), "script");
    ledger.recall(&object("good")).await.expect("no fault");
    for _ in 0..2 {
        ledger.recall(&object("bad")).await.expect_err("by the rule");
    }
    ledger.heal();
    ledger.recall(&object("bad")).await.expect("healed");
}

/// How many of 64 dropped calls were carried out.
async fn carried_out(ledger: &MemoryLedger) -> usize {
    let wait = Duration::from_secs(1);
    for number in 0..64 {
        let id = object(&number.to_string());
        timeout(wait, ledger.acknowledged(&id, "siem", 1)).await.expect_err("too slow");
    }
    assert_eq!(ledger.history().len(), 64);
    ledger.entries().len()
}

#[tokio::test(start_paused = true)]
async fn a_coin_decides_what_becomes_of_a_dropped_call() {
    let slow = || {
        let ledger = MemoryLedger::seeded(7);
        ledger.latency(LedgerOp::Acknowledged, Duration::from_secs(2));
        ledger
    };
    let count = carried_out(&slow()).await;
    assert!((1..64).contains(&count), "{count} of 64");
    assert_eq!(carried_out(&slow()).await, count, "the same seed tosses otherwise");
    let hung = MemoryLedger::seeded(7);
    hung.fault_by(|_, _| Some(LedgerFault::Hang));
    assert_eq!(carried_out(&hung).await, count);
}

#[tokio::test(start_paused = true)]
async fn latency_passes_before_a_call_is_carried_out() {
    let ledger = MemoryLedger::new();
    ledger.latency(LedgerOp::Settled, Duration::from_secs(3));
    let began = Instant::now();
    let id = object("k");
    let settlement = settlement(&["siem"]);
    let settled = async {
        ledger.settled(&id, &settlement).await.expect("no fault");
    };
    let ((), ()) = tokio::join!(settled, ledger.until_settled(1));
    assert_eq!(ledger.history()[0].at - began, Duration::from_secs(3));
}
