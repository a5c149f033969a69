use tokio::sync::Semaphore;

use super::*;
use crate::testing::{Answer, ScriptedSink, batch, counted, metrics};
use crate::{BatchSettings, Decoration, RetrySettings, decorate};

fn settings(events: usize, bytes: usize) -> BufferSettings {
    BufferSettings { events, bytes }
}

/// A sink that lets as many writes through as it is given permits.
fn gated(gate: &Arc<Semaphore>) -> Arc<ScriptedSink> {
    let gate = Arc::clone(gate);
    ScriptedSink::new(move |_| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.expect("open").forget();
            Answer::Ok(WriteOutcome::default())
        }
    })
}

fn all(sink: &ScriptedSink) -> Vec<String> {
    sink.written().into_iter().flatten().collect()
}

#[tokio::test(start_paused = true)]
async fn it_acknowledges_at_once_and_close_writes_the_rest() {
    let gate = Arc::new(Semaphore::new(0));
    let sink = gated(&gate);
    let metrics = metrics();
    let best = BestEffort::new(sink.clone(), settings(10, 100), &metrics);
    for text in ["1", "2", "3"] {
        assert!(best.write(&batch([text])).await.expect("acknowledged").failures.is_empty());
    }
    gate.add_permits(10);
    best.close().await;
    assert_eq!(all(&sink), ["1", "2", "3"]);
    assert_eq!(counted(&metrics, "dropped"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_dropped_and_counted_also_while_a_write_hangs() {
    let gate = Arc::new(Semaphore::new(0));
    let sink = gated(&gate);
    let metrics = metrics();
    let best = BestEffort::new(sink.clone(), settings(3, 100), &metrics);
    assert!(best.write(&batch(["1", "2"])).await.is_ok());
    tokio::task::yield_now().await;
    assert!(best.write(&batch(["3", "4", "5"])).await.is_ok());
    assert_eq!(counted(&metrics, "dropped"), 2.0);
    gate.add_permits(10);
    best.close().await;
    assert_eq!(all(&sink), ["1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn the_buffer_is_bounded_in_bytes_too() {
    let gate = Arc::new(Semaphore::new(10));
    let metrics = metrics();
    let sink = gated(&gate);
    let best = BestEffort::new(sink.clone(), settings(10, 5), &metrics);
    assert!(best.write(&batch(["123", "456", "78"])).await.is_ok());
    best.close().await;
    assert_eq!(all(&sink), ["123", "78"]);
    assert_eq!(counted(&metrics, "dropped"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_record_beside_its_event_takes_room_too() {
    let gate = Arc::new(Semaphore::new(0));
    let metrics = metrics();
    let sink = gated(&gate);
    let best = BestEffort::new(sink.clone(), settings(10, 10), &metrics);
    let formatted = |texts: &[&'static str]| {
        let mut events = batch(texts);
        for entry in &mut events.entries {
            entry.record = bytes::Bytes::from_static(b"abc");
        }
        events
    };
    // Each takes five bytes: two of its own, and three of its record.
    assert!(best.write(&formatted(&["11", "22", "33"])).await.is_ok());
    assert_eq!(counted(&metrics, "dropped"), 1.0);
    gate.add_permits(10);
    while all(&sink).len() < 2 || best.shared.buffer().bytes > 0 {
        tokio::task::yield_now().await;
    }
    assert!(best.write(&formatted(&["44", "55"])).await.is_ok());
    assert_eq!(counted(&metrics, "dropped"), 1.0);
    best.close().await;
    assert_eq!(all(&sink), ["11", "22", "44", "55"]);
    assert_eq!(best.shared.buffer().bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_cut_off_counts_what_is_lost() {
    let gate = Arc::new(Semaphore::new(0));
    let metrics = metrics();
    let best = BestEffort::new(gated(&gate), settings(10, 100), &metrics);
    assert!(best.write(&batch(["1", "2"])).await.is_ok());
    let closing = timeout(Duration::from_secs(5), best.close()).await;
    assert!(closing.is_err());
    // The writer is aborted, which takes effect at its next turn.
    while counted(&metrics, "dropped") < 2.0 {
        tokio::task::yield_now().await;
    }
    assert!(best.write(&batch(["3"])).await.is_ok());
    assert_eq!(counted(&metrics, "dropped"), 3.0);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_down_frees_its_buffer_when_its_retries_end() {
    let sink = ScriptedSink::new(|_| async { Err(SinkError::retry("down")) });
    let metrics = metrics();
    let retry = RetrySettings { deadline: Duration::from_secs(5), ..RetrySettings::default() };
    let buffer = settings(2, 100);
    let decoration = Decoration { required: false, retry, buffer, ..Decoration::default() };
    let best = decorate(sink, decoration, &metrics);
    for _ in 0..3 {
        assert!(best.write(&batch(["1", "2"])).await.is_ok());
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    best.close().await;
    assert_eq!((counted(&metrics, "failed"), counted(&metrics, "dropped")), (6.0, 0.0));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_waits_for_company_for_long_costs_no_event() {
    let sink = ScriptedSink::new(|_| async { Answer::Ok(WriteOutcome::default()) });
    let metrics = metrics();
    let linger = Duration::from_secs(30);
    let decoration = Decoration {
        required: false,
        batch: BatchSettings { events: 100_000, linger, ..BatchSettings::default() },
        buffer: settings(100, 1 << 20),
        ..Decoration::default()
    };
    let best = decorate(sink.clone(), decoration, &metrics);
    let begun = Instant::now();
    for n in 0..1000 {
        assert!(best.write(&batch([n.to_string()])).await.is_ok());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(begun.elapsed() < linger);
    assert_eq!(counted(&metrics, "dropped"), 0.0);
    best.close().await;
    let mut written = all(&sink);
    written.sort_by_key(|text| text.parse::<u32>().expect("a number"));
    assert_eq!(written, (0..1000).map(|n| n.to_string()).collect::<Vec<_>>());
    // It still gathers: half of the buffer at a time.
    assert!(sink.written().len() <= 40, "{}", sink.written().len());
}

/// A best-effort sink whose batches wait for company for half a minute.
fn lingering(
    sink: Arc<ScriptedSink>,
    buffer: BufferSettings,
    metrics: &SinkMetrics,
) -> Arc<dyn Sink> {
    let batch = BatchSettings {
        events: 100_000,
        linger: Duration::from_secs(30),
        ..BatchSettings::default()
    };
    let decoration = Decoration { required: false, batch, buffer, ..Decoration::default() };
    decorate(sink, decoration, metrics)
}

#[tokio::test(start_paused = true)]
async fn a_write_of_more_than_half_a_buffer_waits_for_no_company() {
    let sink = ScriptedSink::new(|_| async { Answer::Ok(WriteOutcome::default()) });
    let metrics = metrics();
    let best = lingering(sink.clone(), settings(10, 1 << 20), &metrics);
    for _ in 0..3 {
        assert!(best.write(&batch(["1", "2", "3", "4", "5", "6"])).await.is_ok());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!((counted(&metrics, "dropped"), all(&sink).len()), (0.0, 18));
}

#[tokio::test(start_paused = true)]
async fn a_close_waits_for_no_company() {
    // Handed on already, or not even looked at.
    for pause in [Duration::from_secs(1), Duration::ZERO] {
        let sink = ScriptedSink::new(|_| async { Answer::Ok(WriteOutcome::default()) });
        let metrics = metrics();
        let best = lingering(sink.clone(), settings(10, 1 << 20), &metrics);
        assert!(best.write(&batch(["1"])).await.is_ok());
        tokio::time::sleep(pause).await;
        assert!(best.write(&batch(["2"])).await.is_ok());
        let closing = timeout(Duration::from_secs(1), best.close()).await;
        assert!(closing.is_ok(), "after {pause:?}");
        let mut written = all(&sink);
        written.sort();
        assert_eq!((counted(&metrics, "dropped"), written), (0.0, vec!["1".into(), "2".into()]));
    }
}
