//! What was parked and is announced anew: it is read again, delivered where it can be and parked anew
//! where it cannot, and nothing else of its object is sent.

use std::sync::Arc;

use crate::rig::{
    BUCKET, Rig, SECOND, gzip, key, notification, outlet, selected, texts, trail_file, within,
};
use serde_json::Value;
use trailsift_core::{Reason, SinkError};
use trailsift_testkit::{Answer, ScriptedSink};
use trailsift_trail::{NotifiedObject, Replay, ReplayedRecords, announce};

/// What `trailsift replay` sends for a line of the quarantine.
fn replay(line: &Value, id: &str) -> String {
    let text = |name: &str| line[name].as_str().map(str::to_owned);
    let indexes = line["index"].as_u64().into_iter().collect();
    let records = match line["index"].is_null() {
        true => Vec::new(),
        false => vec![ReplayedRecords { sink: text("sink"), indexes }],
    };
    announce(&[NotifiedObject {
        bucket: text("bucket").expect("a bucket"),
        key: text("key").expect("a key"),
        version_id: text("version_id"),
        etag: text("etag").map(|etag| etag.trim_matches('"').to_owned()),
        size: None,
        event_time: None,
        replay: Some(Replay { id: id.into(), records }),
    }])
}

/// A request for these records of the file.
fn replay_of(key: &str, records: Vec<ReplayedRecords>) -> String {
    announce(&[NotifiedObject {
        bucket: BUCKET.into(),
        key: key.into(),
        version_id: None,
        etag: None,
        size: None,
        event_time: None,
        replay: Some(Replay { id: "0a".into(), records }),
    }])
}

async fn send(rig: &Rig, body: String) {
    rig.queue.send(body);
    within(600 * SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.unbalanced(), None);
}

/// Refuses the event with this id for good, and takes the others.
fn refuse(sink: &ScriptedSink, id: &'static str) {
    sink.answer_by(move |batch| {
        let entries = batch.entries.iter().enumerate();
        let refused = entries.filter(|(_, entry)| entry.record == selected(id).as_bytes());
        let error = || SinkError::poison(Reason::SinkRejected, "no such field");
        Answer::AcceptExcept(refused.map(|(place, _)| (place, error())).collect())
    });
}

/// A rig with three events, of which `siem` refuses the second.
fn with_a_refused_record() -> Rig {
    let rig = Rig::new();
    refuse(&rig.sink, "2");
    rig.deliver("one", &[&selected("1"), &selected("2"), &selected("3")]);
    rig
}

#[tokio::test(start_paused = true)]
async fn a_record_that_a_sink_refused_is_delivered_once_and_its_neighbours_are_not_sent_again() {
    let rig = with_a_refused_record();
    let running = rig.start();
    within(60 * SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.events(), [selected("1"), selected("3")]);
    let line = rig.parked().remove(0);
    assert_eq!(
        (&line["reason"], &line["index"], &line["sink"]),
        (&"sink_rejected".into(), &1.into(), &"siem".into())
    );
    assert!(line["etag"].is_string(), "{line}");

    rig.sink.heal();
    // A queue delivers at least once, and who replays may be interrupted and begin again.
    for _ in 0..2 {
        send(&rig, replay(&line, "0a")).await;
        assert_eq!(rig.events(), [selected("1"), selected("3"), selected("2")]);
    }
    // It is no new object, and its own notification finds it done.
    send(&rig, notification(&[&key("one")])).await;
    assert_eq!((rig.events().len(), rig.parked().len()), (3, 1));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_knows_nothing_does_not_make_a_replay_send_the_neighbours() {
    let rig = with_a_refused_record();
    let running = rig.start();
    within(60 * SECOND, rig.queue.until_empty()).await;
    let line = rig.parked().remove(0);
    running.stop().await;

    let mut other = Rig::new();
    other.store = rig.store.clone();
    let running = other.start();
    send(&other, replay(&line, "0a")).await;
    assert_eq!(other.events(), [selected("2")]);
    // Nor does it note that the rest of the object is done.
    send(&other, notification(&[&key("one")])).await;
    assert_eq!(other.events().len(), 4);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_refused_again_is_parked_again() {
    let rig = with_a_refused_record();
    let running = rig.start();
    within(60 * SECOND, rig.queue.until_empty()).await;
    send(&rig, replay(&rig.parked()[0], "0a")).await;
    assert_eq!((rig.events().len(), rig.parked().len()), (2, 2));
    rig.sink.heal();
    send(&rig, replay(&rig.parked()[1], "0b")).await;
    assert_eq!((rig.events().len(), rig.parked().len()), (3, 2));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn only_the_sink_that_refused_a_record_gets_it() {
    let mut rig = with_a_refused_record();
    let other = ScriptedSink::new("other");
    rig.extra = vec![outlet(Arc::new(other.clone()), true)];
    let running = rig.start();
    within(60 * SECOND, rig.queue.until_empty()).await;
    rig.sink.heal();
    send(&rig, replay(&rig.parked()[0], "0a")).await;
    assert_eq!((rig.events().len(), texts(&other).len()), (3, 3));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_could_not_be_read_is_delivered_once_the_limit_is_raised() {
    let mut rig = Rig::new();
    rig.settings.max_record = 1000;
    let large = selected(&"x".repeat(2000));
    rig.deliver("one", &[&selected("1"), &large, &selected("3")]);
    let running = rig.start();
    within(60 * SECOND, rig.queue.until_empty()).await;
    let line = rig.parked().remove(0);
    assert_eq!((&line["reason"], &line["index"]), (&"record_too_large".into(), &1.into()));
    // While nothing has changed it is parked again.
    send(&rig, replay(&line, "0a")).await;
    assert_eq!((rig.events().len(), rig.parked().len()), (2, 2));
    running.stop().await;

    let mut raised = Rig::new();
    (raised.queue, raised.store) = (rig.queue.clone(), rig.store.clone());
    (raised.ledger, raised.parked) = (rig.ledger.clone(), rig.parked.clone());
    let running = raised.start();
    send(&raised, replay(&raised.parked()[1], "0b")).await;
    assert_eq!((raised.events(), raised.parked().len()), (vec![large], 2));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn places_in_an_object_that_was_overwritten_say_nothing() {
    let rig = with_a_refused_record();
    let running = rig.start();
    within(60 * SECOND, rig.queue.until_empty()).await;
    rig.sink.heal();
    let now = [selected("4"), selected("5")];
    rig.store.put(BUCKET, &key("one"), trail_file(&[&now[0], &now[1]]));
    send(&rig, replay(&rig.parked()[0], "0a")).await;
    // It is an object like any other that nobody has seen.
    assert_eq!(rig.events()[2..], now);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_replay_of_places_that_hold_nothing_selected_sends_nothing() {
    let rig = with_a_refused_record();
    let running = rig.start();
    within(60 * SECOND, rig.queue.until_empty()).await;
    let mut line = rig.parked().remove(0);
    line["index"] = 70.into();
    line["sink"] = Value::Null;
    send(&rig, replay(&line, "0a")).await;
    assert_eq!((rig.events().len(), rig.parked().len()), (2, 1));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_still_damaged_is_parked_again_and_delivered_once_mended() {
    let rig = Rig::new();
    let file = key("one");
    let good = trail_file(&[&selected("1")]);
    rig.store.put(BUCKET, &file, good.slice(..good.len() - 9));
    rig.queue.send(notification(&[&file]));
    let running = rig.start();
    within(60 * SECOND, rig.queue.until_empty()).await;
    // Another notification is no reason for another line, a replay is: its line counts as dealt with.
    send(&rig, notification(&[&file])).await;
    assert_eq!(rig.parked().len(), 1);
    send(&rig, replay(&rig.parked()[0], "0a")).await;
    assert_eq!((rig.events().len(), rig.parked().len()), (0, 2));

    rig.store.put(BUCKET, &file, good);
    for _ in 0..2 {
        send(&rig, replay(&rig.parked()[1], "0b")).await;
        assert_eq!((rig.events(), rig.parked().len()), (vec![selected("1")], 2));
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_beyond_the_damage_of_its_file_is_parked_again_with_the_file() {
    let rig = Rig::new();
    refuse(&rig.sink, "1");
    let file = key("one");
    // The structure is lost behind the second record.
    let text = format!(r#"{{"Records":[{},{}}}]}}"#, selected("1"), selected("2"));
    rig.store.put(BUCKET, &file, gzip(text.as_bytes()));
    rig.queue.send(notification(&[&file]));
    let running = rig.start();
    within(60 * SECOND, rig.queue.until_empty()).await;
    let parked = rig.parked();
    let refused = parked.iter().find(|line| line["reason"] == "sink_rejected").expect("refused");
    rig.sink.heal();
    let (events, lines) = (rig.events().len(), parked.len());
    send(&rig, replay(refused, "0a")).await;
    assert_eq!((rig.events().len(), rig.parked().len()), (events + 1, lines));
    let mut beyond = refused.clone();
    beyond["index"] = 9.into();
    send(&rig, replay(&beyond, "0b")).await;
    assert_eq!((rig.events().len(), rig.parked().len()), (events + 1, lines + 1));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn more_bad_records_than_are_parked_one_by_one_are_parked_as_their_file() {
    let rig = Rig::new();
    let file = key("one");
    let bad = vec!["7"; 150].join(",");
    rig.store.put(BUCKET, &file, gzip(format!(r#"{{"Records":[{bad}]}}"#).as_bytes()));
    let records = vec![ReplayedRecords { sink: None, indexes: (0..150).collect() }];
    let running = rig.start();
    send(&rig, replay_of(&file, records)).await;
    let parked = rig.parked();
    let of_file: Vec<_> = parked.iter().filter(|line| line["index"].is_null()).collect();
    assert_eq!(of_file.len(), 1, "50 of them would be in no line");
    assert_eq!((parked.len(), &of_file[0]["reason"]), (101, &"too_many_bad_records".into()));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_named_ten_thousand_times_over_is_looked_up_once() {
    let rig = Rig::new();
    let all: Vec<String> = (0..20_000).map(|n| selected(&n.to_string())).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let file = key("one");
    rig.store.put(BUCKET, &file, trail_file(&all));
    let records = |n| ReplayedRecords { sink: Some(format!("s{n}")), indexes: [30_000].into() };
    let mut records: Vec<_> = (0..30_000).map(records).collect();
    records.push(ReplayedRecords { sink: Some("siem".into()), indexes: [19_999].into() });
    let running = rig.start();
    send(&rig, replay_of(&file, records)).await;
    assert_eq!(rig.events(), all[19_999..]);
    running.stop().await;
}
