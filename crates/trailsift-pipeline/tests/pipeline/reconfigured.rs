//! An object that comes again under another configuration: what was noted under the old one must not
//! hide what is owed under the new one.

use std::sync::Arc;

use crate::rig::{
    BUCKET, Rig, SECOND, filtered, gzip, key, notification, outlet, selected, texts, within,
};
use trailsift_core::SinkError;
use trailsift_pipeline::Ended;
use trailsift_route::{Condition, FieldSpec, RouteSpec, Routes, SelectorSpec, Value};
use trailsift_testkit::{Answer, ScriptedSink};
use trailsift_trail::MultiMember;

/// The same world after a restart: what is configured and counted is new.
fn restarted(rig: &Rig) -> Rig {
    let mut again = Rig::new();
    again.queue = rig.queue.clone();
    again.store = rig.store.clone();
    again.sink = rig.sink.clone();
    again.parked = rig.parked.clone();
    again.ledger = rig.ledger.clone();
    again
}

/// The events of CodeGuru Reviewer, and those of S3.
fn wider() -> RouteSpec {
    let mut route = RouteSpec::codeguru_reviewer();
    let s3 = Condition::Equals(vec![Value::String("s3.amazonaws.com".into())]);
    let field = FieldSpec { path: "eventSource".into(), conditions: vec![s3] };
    route.selectors.push(SelectorSpec { fields: vec![field] });
    route
}

#[tokio::test(start_paused = true)]
async fn a_route_that_is_widened_during_an_outage_gets_all_that_it_selects() {
    let mut rig = Rig::new();
    let other = ScriptedSink::new("other");
    other.answer_by(|_| Answer::Fail(SinkError::retry("down")));
    rig.extra = vec![outlet(Arc::new(other.clone()), true)];
    rig.deliver("one", &[&filtered("s3"), &selected("1")]);
    let running = rig.start();
    within(60 * SECOND, other.until_writes(2)).await;
    assert_eq!(running.stop().await, Ended::Drained);
    assert_eq!((rig.events(), rig.queue.deleted().len()), (vec![selected("1")], 0));

    other.heal();
    let mut again = restarted(&rig);
    again.extra = rig.extra.clone();
    again.selection = Arc::new(Routes::compile(&[wider()]).expect("a route"));
    again.run_until_empty().await;
    let both = [filtered("s3"), selected("1")];
    assert_eq!(texts(&other), both);
    assert!(both.iter().all(|event| again.events().contains(event)), "{:?}", again.events());
}

#[tokio::test(start_paused = true)]
async fn a_bad_record_of_an_object_that_could_not_be_read_before_is_parked() {
    let rig = Rig::new();
    let bad = r#"{"eventSource":"codeguru-reviewer.amazonaws.com",}"#;
    let text = format!(r#"{{"Records":[{},{bad},{}]}}"#, selected("1"), selected("2"));
    let (head, tail) = text.as_bytes().split_at(40);
    let file = key("one");
    rig.store.put(BUCKET, &file, [gzip(head), gzip(tail)].concat());
    rig.queue.send(notification(&[&file]));
    let running = rig.start();
    within(60 * SECOND, rig.queue.until_empty()).await;
    running.stop().await;
    assert_eq!((rig.parked().len(), rig.events().len()), (1, 0), "two members are rejected");

    let mut again = restarted(&rig);
    again.settings.multi_member = MultiMember::Accept;
    again.queue.send(notification(&[&file]));
    again.run_until_empty().await;
    assert_eq!(again.events(), [selected("1"), selected("2")]);
    let parked = again.parked();
    assert_eq!((parked.len(), parked[1]["data"].as_str()), (2, Some(bad)));
}

#[tokio::test(start_paused = true)]
async fn records_that_were_too_large_are_delivered_once_the_limit_is_raised() {
    let mut rig = Rig::new();
    rig.settings.max_record = 4096;
    let large = format!(r#"{{"pad":"{}","#, "x".repeat(5000));
    let mut records: Vec<_> =
        (0..150).map(|n| selected(&n.to_string()).replacen('{', &large, 1)).collect();
    records.push(selected("good"));
    let texts: Vec<_> = records.iter().map(String::as_str).collect();
    let file = rig.deliver("one", &texts);
    let running = rig.start();
    within(60 * SECOND, rig.queue.until_empty()).await;
    running.stop().await;
    // A hundred lines of their own, and one that tells of the others.
    assert_eq!((rig.parked().len(), rig.events()), (101, vec![selected("good")]));

    let mut again = restarted(&rig);
    again.queue.send(notification(&[&file]));
    again.run_until_empty().await;
    assert_eq!(again.parked().len(), 101);
    assert!(records.iter().all(|record| again.events().contains(record)));
}

#[tokio::test(start_paused = true)]
async fn under_the_same_configuration_a_restart_sends_nothing_twice() {
    let mut rig = Rig::new();
    let other = ScriptedSink::new("other");
    other.answer_by(|_| Answer::Fail(SinkError::retry("down")));
    rig.extra = vec![outlet(Arc::new(other.clone()), true)];
    rig.deliver("one", &[&filtered("s3"), &selected("1")]);
    let running = rig.start();
    within(60 * SECOND, other.until_writes(2)).await;
    running.stop().await;

    other.heal();
    let mut again = restarted(&rig);
    again.extra = rig.extra.clone();
    again.run_until_empty().await;
    assert_eq!((again.sink.stored().len(), other.stored().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn bad_records_beyond_the_hundredth_are_told_of_also_where_the_structure_is_lost() {
    let mut rig = Rig::new();
    let bad: Vec<_> = (0..150).map(|n| n.to_string()).collect();
    let text = format!(r#"{{"Records":[{},{{"a":[1,2}},{{}}]}}"#, bad.join(","));
    let file = key("one");
    rig.store.put(BUCKET, &file, gzip(text.as_bytes()));
    rig.queue.send(notification(&[&file]));
    rig.run_until_empty().await;
    let parked = rig.parked();
    let last = &parked[100];
    assert_eq!((parked.len(), last["reason"].as_str()), (101, Some("structure_lost")));
    let error = last["error"].as_str().expect("a text");
    assert!(error.contains("50 records besides the 100 parked ones"), "{error}");
}
