use std::error::Error as _;
use std::sync::atomic::{AtomicU32, Ordering};

use trailsift_core::{Failure, Reason};

use super::*;
use crate::testing::{Answer, ScriptedSink, acknowledged, batch, counted, metrics, text};
use crate::{Metered, Timed, Timeout};

fn settings(deadline: u64) -> RetrySettings {
    RetrySettings { deadline: Duration::from_secs(deadline), ..RetrySettings::default() }
}

/// Answers the n-th write, counted from 1, with what the script says.
fn by_attempt(script: impl Fn(u32, Batch) -> Answer + Send + Sync + 'static) -> Arc<ScriptedSink> {
    let attempts = AtomicU32::new(0);
    ScriptedSink::new(move |batch| {
        let answer = script(attempts.fetch_add(1, Ordering::SeqCst) + 1, batch);
        async move { answer }
    })
}

fn failing(indexes: &[usize]) -> Answer {
    let failures = indexes
        .iter()
        .map(|index| Failure { index: *index, error: SinkError::retry("busy") })
        .collect();
    Ok(WriteOutcome { failures })
}

#[tokio::test(start_paused = true)]
async fn only_entries_that_failed_are_sent_again() {
    let sink = by_attempt(|attempt, _| match attempt {
        1 => failing(&[1, 3]),
        2 => failing(&[1]),
        _ => Ok(WriteOutcome::default()),
    });
    let metrics = metrics();
    let retry = Retry::new(sink.clone(), settings(300), &metrics);
    let answer = retry.write(&batch(["a", "b", "c", "d"])).await;
    assert_eq!(acknowledged(4, &answer), [0, 1, 2, 3]);
    assert_eq!(sink.written(), [vec!["a", "b", "c", "d"], vec!["b", "d"], vec!["d"]]);
    assert_eq!(counted(&metrics, "retried"), 3.0);
}

#[tokio::test(start_paused = true)]
async fn poison_passes_through_while_its_neighbours_are_retried() {
    let sink = by_attempt(|attempt, batch| {
        let mut failures = Vec::new();
        for (index, entry) in batch.entries.iter().enumerate() {
            if text(entry) == "bad" {
                let error = SinkError::poison(Reason::SinkRejected, "refused");
                failures.push(Failure { index, error });
            } else if attempt == 1 {
                failures.push(Failure { index, error: SinkError::retry("busy") });
            }
        }
        Ok(WriteOutcome { failures })
    });
    let retry = Retry::new(sink.clone(), settings(300), &metrics());
    let outcome = retry.write(&batch(["a", "bad", "c"])).await.expect("an outcome");
    assert_eq!(outcome.failures.len(), 1);
    assert_eq!(outcome.failures[0].index, 1);
    let poison = Disposition::Poison { reason: Reason::SinkRejected };
    assert_eq!(outcome.failures[0].error.disposition, poison);
    assert_eq!(sink.written()[1], ["a", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_fatal_error_is_not_tried_again() {
    let sink = by_attempt(|_, _| Err(SinkError::fatal("gone")));
    let retry = Retry::new(sink.clone(), settings(300), &metrics());
    let error = retry.write(&batch(["a", "b"])).await.expect_err("fatal");
    assert_eq!((error.disposition, error.to_string().as_str()), (Disposition::Fatal, "gone"));
    assert_eq!(sink.written().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_at_its_deadline_and_says_so() {
    let started = Instant::now();
    let sink = by_attempt(|_, _| Err(SinkError::retry("down")));
    let metrics = metrics();
    let retry = Arc::new(Retry::new(sink.clone(), settings(300), &metrics));
    let metered = Metered::new(retry, &metrics);
    let outcome = metered.write(&batch(["a", "b"])).await.expect("an outcome");
    assert!(started.elapsed() <= Duration::from_secs(300), "{:?}", started.elapsed());
    assert!(started.elapsed() > Duration::from_secs(240), "{:?}", started.elapsed());
    let error = &outcome.failures[1].error;
    let attempts = sink.written().len();
    let begin = format!("gave up after {attempts} attempts in ");
    assert!(error.to_string().starts_with(&begin), "{error}");
    assert_eq!(error.disposition, Disposition::RETRY);
    assert_eq!(error.source().expect("a cause").to_string(), "down");
    assert_eq!(counted(&metrics, "failed"), 2.0);
}

#[tokio::test(start_paused = true)]
async fn the_time_that_the_sink_names_is_waited_out() {
    let started = Instant::now();
    let named = Duration::from_secs(90);
    let sink = by_attempt(move |attempt, _| match attempt {
        1 => Err(SinkError::retry_after(Some(named), "throttled")),
        _ => Ok(WriteOutcome::default()),
    });
    let retry = Retry::new(sink, settings(300), &metrics());
    let answer = retry.write(&batch(["a"])).await;
    assert_eq!(acknowledged(1, &answer), [0]);
    let waited = started.elapsed();
    assert!(waited >= named && waited < named + Duration::from_secs(1), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_named_time_beyond_the_deadline_is_handed_on_at_once() {
    let started = Instant::now();
    let named = Some(Duration::from_secs(3600));
    let sink = by_attempt(move |_, _| Err(SinkError::retry_after(named, "throttled")));
    let retry = Retry::new(sink, settings(300), &metrics());
    let outcome = retry.write(&batch(["a"])).await.expect("an outcome");
    let error = &outcome.failures[0].error;
    assert_eq!(error.disposition, Disposition::Retry { after: named });
    assert_eq!(error.to_string(), "gave up after 1 attempt in 0.0 s");
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_never_answers_is_broken_off_and_tried_again() {
    let attempts = AtomicU32::new(0);
    let sink = ScriptedSink::new(move |_| {
        let first = attempts.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if first {
                std::future::pending::<()>().await;
            }
            Ok(WriteOutcome::default())
        }
    });
    let metrics = metrics();
    let timeout = Arc::new(Timeout::new(sink.clone(), Duration::from_secs(10)));
    let timed = Arc::new(Timed::new(timeout, &metrics));
    let retry = Retry::new(timed, settings(300), &metrics);
    let answer = retry.write(&batch(["a"])).await;
    assert_eq!(acknowledged(1, &answer), [0]);
    assert_eq!(sink.written().len(), 2);
    let seconds = metrics.seconds.with_label_values(&["scripted"]);
    assert_eq!((seconds.get_sample_count(), seconds.get_sample_sum()), (2, 10.0));
}

#[test]
fn waits_stay_below_their_ceiling_and_use_all_of_it() {
    let settings = RetrySettings::default();
    for attempts in 1..200 {
        let ceiling = Duration::from_millis(200).saturating_mul(1 << (attempts - 1).min(20));
        assert!(settings.wait(attempts, None) <= ceiling.min(settings.cap));
    }
    let longest = (0..1000).map(|_| settings.wait(50, None)).max().expect("some");
    let shortest = (0..1000).map(|_| settings.wait(50, None)).min().expect("some");
    assert!(longest > settings.cap.mul_f64(0.8) && shortest < settings.cap.mul_f64(0.2));
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_fails_again_and_again_is_not_well_until_it_acknowledges_something() {
    let broken = Arc::new(AtomicU32::new(0));
    let state = Arc::clone(&broken);
    let sink = ScriptedSink::new(move |batch: Batch| {
        let answer = match state.load(Ordering::SeqCst) {
            0 => Ok(WriteOutcome::default()),
            1 => Err(SinkError::retry("cannot write").because(std::io::Error::other("no disk"))),
            // All but the last: one acknowledgement shows that it works.
            _ => failing(&(0..batch.entries.len() - 1).collect::<Vec<_>>()),
        };
        async move { answer }
    });
    // Short waits, so that attempts go on up to the deadline.
    let settings = RetrySettings { cap: Duration::from_secs(1), ..settings(30) };
    let retry = Retry::new(sink, settings, &metrics());
    let write = async |texts: &[&str]| retry.write(&batch(texts.iter().copied())).await;
    retry.check().await.expect("nothing was tried yet");
    assert_eq!(acknowledged(1, &write(&["a"]).await), [0]);

    broken.store(1, Ordering::SeqCst);
    let texts = ["b"];
    let mut writing = std::pin::pin!(write(&texts));
    tokio::select! {
        _ = &mut writing => panic!("it is tried for 30 s"),
        () = tokio::time::sleep(Duration::from_secs(9)) => {}
    }
    retry.check().await.expect("a passing fault");
    assert_eq!(acknowledged(1, &writing.await), [] as [usize; 0]);
    assert_eq!(acknowledged(1, &write(&["c"]).await), [] as [usize; 0]);
    let error = retry.check().await.expect_err("it goes on failing").to_string();
    assert!(error.starts_with("nothing was acknowledged for "), "{error}");
    assert!(error.ends_with(" s: cannot write: no disk"), "{error}");

    broken.store(2, Ordering::SeqCst);
    assert_eq!(acknowledged(2, &write(&["d", "e"]).await), [0, 1]);
    retry.check().await.expect("well again");

    broken.store(1, Ordering::SeqCst);
    assert_eq!(acknowledged(1, &write(&["f"]).await), [] as [usize; 0]);
    retry.check().await.expect_err("a bad spell");
    tokio::time::sleep(Duration::from_secs(600)).await;
    retry.check().await.expect("nothing is known any more");
}

#[tokio::test(start_paused = true)]
async fn who_watches_is_told_of_each_turn_once_and_of_no_passing_fault() {
    let broken = Arc::new(AtomicU32::new(0));
    let state = Arc::clone(&broken);
    let sink = ScriptedSink::new(move |_| {
        let answer = match state.load(Ordering::SeqCst) {
            0 => Ok(WriteOutcome::default()),
            _ => Err(SinkError::retry("cannot write")),
        };
        async move { answer }
    });
    // Each write is one attempt.
    let retry = Retry::new(sink, settings(0), &metrics());
    let write = async || drop(retry.write(&batch(["a"])).await);
    let told = async |seconds| {
        let started = Instant::now();
        let turned = tokio::time::timeout(Duration::from_secs(seconds), retry.turned()).await;
        turned.is_ok().then(|| started.elapsed().as_secs())
    };
    let attempts_and_told = async |seconds| {
        let mut told = std::pin::pin!(told(seconds));
        // The watcher waits before anything happens.
        assert!(futures::poll!(&mut told).is_pending());
        write().await;
        told.await
    };
    assert_eq!(attempts_and_told(60).await, None, "it is well as before");

    broken.store(1, Ordering::SeqCst);
    let seconds = attempts_and_told(60).await;
    assert_eq!(seconds, Some(10), "nothing was acknowledged for ten seconds");
    assert_eq!(told(60).await, Some(0), "nobody has asked yet");
    retry.check().await.expect_err("a bad spell");
    assert_eq!(attempts_and_told(60).await, None, "it is as bad as before");

    broken.store(0, Ordering::SeqCst);
    assert_eq!(attempts_and_told(60).await, Some(0), "it is well again");
    retry.check().await.expect("well again");

    broken.store(1, Ordering::SeqCst);
    assert_eq!(attempts_and_told(9).await, None, "not long enough");
    broken.store(0, Ordering::SeqCst);
    assert_eq!(attempts_and_told(60).await, None, "it has passed");
}
