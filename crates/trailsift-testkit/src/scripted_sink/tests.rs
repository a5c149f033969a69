use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use trailsift_core::{Disposition, Reason, Source};

use super::*;

fn batch(data: &[&'static str]) -> Batch {
    let source = Arc::new(Source {
        account: "a".into(),
        bucket: "b".into(),
        key: "k".into(),
        version_id: None,
        etag: None,
    });
    let entry = |(index, data): (usize, &&'static str)| Entry {
        data: Bytes::from_static(data.as_bytes()),
        record: Bytes::from_static(data.as_bytes()),
        index: index as u64,
        source: Arc::clone(&source),
    };
    Batch { entries: data.iter().enumerate().map(entry).collect(), more_follows: false }
}

fn names(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| String::from_utf8_lossy(&entry.data).into_owned()).collect()
}

#[tokio::test]
async fn accepts_unless_told_otherwise() {
    let sink = ScriptedSink::new("siem");
    let outcome = sink.write(&batch(&["1", "2"])).await.expect("accepted");
    assert!(outcome.failures.is_empty());
    assert_eq!(names(&sink.acknowledged()), ["1", "2"]);
    assert_eq!(sink.name(), "siem");
    sink.check().await.expect("reachable");
    sink.refuse_checks(Some("down"));
    assert_eq!(sink.check().await.expect_err("refused").to_string(), "down");
}

#[tokio::test]
async fn what_it_rejects_is_not_acknowledged() {
    let sink = ScriptedSink::new("siem");
    let poison = || SinkError::poison(Reason::SinkRejected, "no");
    sink.answer(Answer::AcceptExcept(vec![(1, poison())]));
    sink.answer(Answer::Fail(SinkError::retry("busy")));
    sink.answer(Answer::LoseAnswer(SinkError::retry("reset")));
    let outcome = sink.write(&batch(&["1", "2", "3"])).await.expect("a part of it");
    assert_eq!(outcome.failures.len(), 1);
    assert_eq!(outcome.failures[0].index, 1);
    let failed = sink.write(&batch(&["4"])).await.expect_err("failed");
    assert_eq!(failed.disposition, Disposition::RETRY);
    sink.write(&batch(&["5"])).await.expect_err("lost");
    assert_eq!(names(&sink.acknowledged()), ["1", "3"]);
    assert_eq!(names(&sink.stored()), ["1", "3", "5"]);
    assert_eq!(sink.writes().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_held_write_waits_and_a_dropped_one_acknowledges_nothing() {
    let sink = ScriptedSink::new("siem");
    sink.answer_by(|_| Answer::Hold);
    let (first, second) = (batch(&["1"]), batch(&["2"]));
    let dropped = timeout(Duration::from_secs(9), sink.write(&first)).await;
    assert!(dropped.is_err());
    assert_eq!(sink.held(), 0);
    let let_go = async {
        sink.until_held(1).await;
        sink.let_go();
    };
    let (written, ()) = tokio::join!(sink.write(&second), let_go);
    assert!(written.expect("accepted").failures.is_empty());
    assert_eq!(names(&sink.acknowledged()), ["2"]);
}

#[tokio::test]
#[should_panic(expected = "is beyond")]
async fn a_batch_beyond_the_limits_fails_the_test() {
    let limits = Limits { events: 1, ..Limits::NONE };
    let outcome = ScriptedSink::with_limits("siem", limits).write(&batch(&["1", "2"])).await;
    assert!(outcome.is_ok());
}
