use std::collections::HashMap;

use proptest::prelude::*;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use trailsift_core::{Disposition, Failure};

use super::*;
use crate::testing::{Answer, ScriptedSink, acknowledged, batch, metrics, text};

const LINGER: Duration = Duration::from_millis(200);

fn settings(events: usize, bytes: usize, in_flight: usize) -> BatchSettings {
    BatchSettings { events, bytes, linger: LINGER, in_flight, ..Default::default() }
}

fn taking() -> Arc<ScriptedSink> {
    ScriptedSink::new(|_| async { Answer::Ok(WriteOutcome::default()) })
}

#[tokio::test(start_paused = true)]
async fn entries_of_many_callers_travel_together() {
    let sink = taking();
    let batching = Batching::new(sink.clone(), settings(500, 1000, 4), &metrics());
    let started = Instant::now();
    let batches: Vec<Batch> = (0..30).map(|caller| batch([caller, 100 + caller])).collect();
    let writes = batches.iter().map(|batch| batching.write(batch));
    for answer in join_all(writes).await {
        assert_eq!(acknowledged(2, &answer), [0, 1]);
    }
    assert_eq!(sink.written().len(), 1);
    assert_eq!(sink.written()[0].len(), 60);
    assert_eq!(started.elapsed(), LINGER);
}

#[tokio::test(start_paused = true)]
async fn a_write_goes_on_until_the_last_of_its_callers_has_gone() {
    // It tells when it has been waited for to its end, as a sink does that is tried again and again.
    let finished = Arc::new(Mutex::new(0));
    let count = Arc::clone(&finished);
    let sink = ScriptedSink::new(move |_| {
        let count = Arc::clone(&count);
        async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            *count.lock().unwrap() += 1;
            Answer::Ok(WriteOutcome::default())
        }
    });
    let batching = Batching::new(sink.clone(), settings(500, 1000, 4), &metrics());
    let (one, other) = (batch(["one"]), batch(["other"]));
    let give_up = |after| Duration::from_secs(after);
    for (patience, writes_finished) in [([1, 90], 1), ([1, 2], 1), ([70, 90], 2)] {
        let first = tokio::time::timeout(give_up(patience[0]), batching.write(&one));
        let second = tokio::time::timeout(give_up(patience[1]), batching.write(&other));
        drop(futures::join!(first, second));
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!(*finished.lock().unwrap(), writes_finished, "{patience:?}");
    }
    assert_eq!(sink.written().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_does_not_linger() {
    let sink = taking();
    let batching = Batching::new(sink.clone(), settings(3, 1000, 4), &metrics());
    let started = Instant::now();
    let answer = batching.write(&batch(0..9)).await;
    assert_eq!(acknowledged(9, &answer).len(), 9);
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert!(sink.written().iter().all(|batch| batch.len() == 3));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_enough_callers_wait_for_does_not_linger() {
    let sink = taking();
    let settings = BatchSettings { callers: 3, ..settings(500, 1000, 1) };
    let batching = Batching::new(sink.clone(), settings, &metrics());
    let started = Instant::now();
    let batches: Vec<Batch> = (0..7).map(|caller| batch([caller, 100 + caller])).collect();
    let took = join_all(batches.iter().map(async |batch| {
        let answer = batching.write(batch).await;
        assert_eq!(acknowledged(2, &answer), [0, 1]);
        started.elapsed()
    }))
    .await;
    // Two batches of three callers; the seventh waits for company in vain.
    assert_eq!(took[..6], [Duration::ZERO; 6]);
    assert_eq!(took[6], LINGER);
    assert_eq!(sink.written().iter().map(Vec::len).collect::<Vec<_>>(), [6, 6, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_of_whom_more_follows_waits_for_no_company_and_takes_along_who_does() {
    let sink = taking();
    let batching = Batching::new(sink.clone(), settings(500, 1000, 1), &metrics());
    let started = Instant::now();
    let (patient, last) = (batch(["patient"]), batch(["last"]));
    let urgent = Batch { more_follows: true, ..batch(["urgent"]) };
    let together = futures::join!(batching.write(&patient), batching.write(&urgent));
    assert_eq!((acknowledged(1, &together.0).len(), acknowledged(1, &together.1).len()), (1, 1));
    assert_eq!(started.elapsed(), Duration::ZERO);
    // That haste is over.
    assert_eq!(acknowledged(1, &batching.write(&last).await), [0]);
    assert_eq!(started.elapsed(), LINGER);
    assert_eq!(sink.written().iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_goes_when_somebody_is_in_a_hurry_and_later_callers_wait_again() {
    let sink = taking();
    let batching = Batching::new(sink.clone(), settings(500, 1000, 1), &metrics());
    batching.hurry();
    let started = Instant::now();
    let (one, two, late) = (batch(["one"]), batch(["two"]), batch(["late"]));
    let hurrying = async {
        tokio::time::sleep(LINGER / 4).await;
        batching.hurry();
    };
    let (first, second, ()) = futures::join!(batching.write(&one), batching.write(&two), hurrying);
    assert_eq!((acknowledged(1, &first).len(), acknowledged(1, &second).len()), (1, 1));
    assert_eq!(started.elapsed(), LINGER / 4);
    assert_eq!(acknowledged(1, &batching.write(&late).await), [0]);
    assert_eq!(started.elapsed(), LINGER / 4 + LINGER);
    assert_eq!(sink.written().iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_batch_on_its_way_grows_beyond_its_callers() {
    let slow = Duration::from_secs(1);
    let sink = ScriptedSink::new(move |_| async move {
        tokio::time::sleep(slow).await;
        Answer::Ok(WriteOutcome::default())
    });
    let settings = BatchSettings { callers: 2, ..settings(500, 1000, 1) };
    let batching = Batching::new(sink.clone(), settings, &metrics());
    let batches: Vec<Batch> = (0..12).map(|caller| batch([caller])).collect();
    join_all(batches.iter().map(|batch| batching.write(batch))).await;
    assert_eq!(sink.written().iter().map(Vec::len).collect::<Vec<_>>(), [2, 10]);
}

#[tokio::test(start_paused = true)]
async fn lingers_of_callers_overlap() {
    let sink = taking();
    let batching = Batching::new(sink.clone(), settings(500, 1000, 1), &metrics());
    let started = Instant::now();
    let write = async |after: u64| {
        tokio::time::sleep(Duration::from_millis(after)).await;
        let answer = batching.write(&batch([after])).await;
        assert!(answer.is_ok());
    };
    join_all((0..20).map(|caller| write(caller * 5))).await;
    assert_eq!(started.elapsed(), LINGER);
    assert_eq!(sink.written().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_batch_does_not_hold_up_the_next() {
    let gate = Arc::new(Semaphore::new(0));
    let sink = {
        let gate = Arc::clone(&gate);
        ScriptedSink::new(move |batch| {
            let gate = Arc::clone(&gate);
            async move {
                if text(&batch.entries[0]) == "slow" {
                    gate.acquire().await.expect("open").forget();
                }
                Answer::Ok(WriteOutcome::default())
            }
        })
    };
    let batching = Batching::new(sink, settings(1, 1000, 2), &metrics());
    let (slow, quick) = (batch(["slow"]), batch(["quick"]));
    let mut slow = batching.write(&slow);
    tokio::select! {
        biased;
        _ = &mut slow => panic!("the slow write is held"),
        answer = batching.write(&quick) => assert_eq!(acknowledged(1, &answer), [0]),
    }
    gate.add_permits(1);
    assert_eq!(acknowledged(1, &slow.await), [0]);
}

#[tokio::test(start_paused = true)]
async fn an_entry_larger_than_the_sink_takes_is_poison_and_its_neighbours_go() {
    let limits = Limits { events: 10, bytes: 100, entry_bytes: 5 };
    let sink = ScriptedSink::limited(limits, |_| async { Answer::Ok(WriteOutcome::default()) });
    let batching = Batching::new(sink.clone(), settings(500, 1000, 4), &metrics());
    let outcome = batching.write(&batch(["12345", "123456", "1"])).await.expect("an outcome");
    assert_eq!(outcome.failures.len(), 1);
    let Failure { index, error } = &outcome.failures[0];
    assert_eq!(*index, 1);
    let reason = Reason::SinkRecordTooLarge;
    assert_eq!(error.disposition, Disposition::Poison { reason });
    assert_eq!(error.to_string(), "the event has 6 bytes, the sink takes at most 5");
    assert_eq!(sink.written(), [["12345", "1"]]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_sink_acknowledges_nothing_and_the_next_write_works() {
    let sink = ScriptedSink::new(|batch| async move {
        if text(&batch.entries[0]) == "panic" {
            std::panic::resume_unwind(Box::new(()));
        }
        Answer::Ok(WriteOutcome::default())
    });
    let batching = Batching::new(sink, settings(500, 1000, 4), &metrics());
    let outcome = batching.write(&batch(["panic", "2"])).await.expect("an outcome");
    let dispositions = outcome.failures.iter().map(|failure| failure.error.disposition);
    assert_eq!(dispositions.collect::<Vec<_>>(), [Disposition::RETRY; 2]);
    assert_eq!(acknowledged(1, &batching.write(&batch(["fine"])).await), [0]);
}

#[tokio::test(start_paused = true)]
async fn entries_of_a_caller_that_went_are_not_sent() {
    let sink = taking();
    let batching = Batching::new(sink.clone(), settings(500, 1000, 4), &metrics());
    let (gone, stays) = (batch(["gone"]), batch(["stays"]));
    let gone = tokio::time::timeout(Duration::from_millis(50), batching.write(&gone));
    let (gone, stays) = tokio::join!(gone, batching.write(&stays));
    assert!(gone.is_err());
    assert_eq!(acknowledged(1, &stays), [0]);
    assert_eq!(sink.written(), [["stays"]]);
}

#[tokio::test(start_paused = true)]
async fn nothing_stays_in_memory_of_callers_that_gave_up_but_what_is_on_its_way() {
    let in_flight = 2;
    let sink = ScriptedSink::new(|_| std::future::pending::<Answer>());
    let batching = Batching::new(sink, settings(2, 1000, in_flight), &metrics());
    let mut sources = Vec::new();
    for caller in 0..200 {
        // One batch each, and one entry more.
        let batch = batch([caller, caller, caller]);
        sources.push(Arc::downgrade(&batch.entries[0].source));
        let given_up = tokio::time::timeout(5 * LINGER, batching.write(&batch)).await;
        assert!(given_up.is_err());
    }
    let kept = sources.iter().filter(|source| source.strong_count() > 0).count();
    assert!(kept <= in_flight, "the entries of {kept} callers that gave up are kept");
}

#[tokio::test(start_paused = true)]
async fn callers_that_waited_for_a_slow_batch_travel_together_also_without_linger() {
    let sink = ScriptedSink::new(|_| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Answer::Ok(WriteOutcome::default())
    });
    let group_commit = BatchSettings { linger: Duration::ZERO, ..settings(10, 1000, 1) };
    let batching = Batching::new(sink.clone(), group_commit, &metrics());
    let batches: Vec<Batch> = (0..41).map(|caller| batch([caller])).collect();
    let answers = join_all(batches.iter().map(|batch| batching.write(batch))).await;
    assert!(answers.iter().all(|answer| acknowledged(1, answer) == [0]));
    let sizes: Vec<usize> = sink.written().iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 10, 10, 10, 10]);
}

#[tokio::test(start_paused = true)]
async fn close_writes_what_lingers_at_once_and_refuses_more() {
    let sink = taking();
    let batching = Batching::new(sink, settings(500, 1000, 4), &metrics());
    let started = Instant::now();
    let (one, two) = (batch([1]), batch([2]));
    let (answer, ()) = tokio::join!(batching.write(&one), batching.close());
    assert_eq!(acknowledged(1, &answer), [0]);
    assert_eq!(started.elapsed(), Duration::ZERO);
    let error = batching.write(&two).await.expect_err("closed");
    assert_eq!(error.to_string(), "the sink is closed");
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_cut_off_leaves_its_callers_unacknowledged() {
    let sink = ScriptedSink::new(|_| std::future::pending::<Answer>());
    let batching = Batching::new(sink, settings(1, 1000, 4), &metrics());
    let close = tokio::time::timeout(Duration::from_secs(5), batching.close());
    let batches = batch([1, 2]);
    let (answer, closed) = tokio::join!(batching.write(&batches), close);
    assert!(closed.is_err());
    assert_eq!(acknowledged(2, &answer), Vec::<usize>::new());
}

/// One caller of the property test.
#[derive(Clone, Debug)]
struct Caller {
    starts_after: u64,
    gives_up_after: Option<u64>,
    sizes: Vec<usize>,
}

fn caller() -> impl Strategy<Value = Caller> {
    let sizes = prop::collection::vec(6..30_usize, 0..12);
    (0..80_u64, prop::option::weighted(0.3, 0..120_u64), sizes).prop_map(
        |(starts_after, gives_up_after, sizes)| Caller { starts_after, gives_up_after, sizes },
    )
}

/// What the sink decided about an entry: `None` took it.
type Decisions = Arc<Mutex<HashMap<String, Option<Disposition>>>>;

/// Decides by chance, slowly, and now and then for the whole batch, by panic, or fatally.
fn moody(
    limits: Limits,
    seed: u64,
    decisions: Decisions,
    most: BatchSettings,
) -> Arc<ScriptedSink> {
    let random = Mutex::new(fastrand::Rng::with_seed(seed));
    ScriptedSink::limited(limits, move |batch| {
        assert!(!batch.entries.is_empty() && batch.entries.len() <= most.events.min(limits.events));
        assert!(batch.bytes() <= most.bytes || batch.entries.len() == 1);
        assert!(batch.entries.iter().all(|entry| entry.data.len() <= limits.entry_bytes));
        let mut random = random.lock().unwrap().fork();
        let decisions = Arc::clone(&decisions);
        async move {
            tokio::time::sleep(Duration::from_millis(random.u64(0..40))).await;
            let decide = |entry: &trailsift_core::Entry, decision| {
                let before = decisions.lock().unwrap().insert(text(entry), decision);
                assert!(before.is_none(), "{} was written twice", text(entry));
            };
            let whole = match random.u8(0..10) {
                0 | 1 => Some(Disposition::RETRY),
                2 => Some(Disposition::Fatal),
                _ => None,
            };
            if let Some(disposition) = whole {
                batch.entries.iter().for_each(|entry| decide(entry, Some(disposition)));
                if random.bool() && disposition == Disposition::RETRY {
                    std::panic::resume_unwind(Box::new(()));
                }
                return Err(SinkError { disposition, message: "moody".into(), source: None });
            }
            let mut failures = Vec::new();
            for (index, entry) in batch.entries.iter().enumerate() {
                let decision = match random.u8(0..6) {
                    0 => Some(Disposition::Poison { reason: Reason::SinkRejected }),
                    1 => Some(Disposition::RETRY),
                    _ => None,
                };
                decide(entry, decision);
                if let Some(disposition) = decision {
                    let error = SinkError { disposition, message: "moody".into(), source: None };
                    failures.push(Failure { index, error });
                }
            }
            Ok(WriteOutcome { failures })
        }
    })
}

async fn act(batching: &Batching, number: usize, caller: &Caller) -> Option<(Batch, Answer)> {
    let texts = caller.sizes.iter().enumerate().map(|(place, size)| {
        let head = format!("{number}-{place}-");
        format!("{head}{}", "x".repeat(size.saturating_sub(head.len())))
    });
    let batch = batch(texts);
    tokio::time::sleep(Duration::from_millis(caller.starts_after)).await;
    let patience = caller.gives_up_after.map_or(Duration::from_secs(3600), Duration::from_millis);
    match tokio::time::timeout(patience, batching.write(&batch)).await {
        Ok(answer) => Some((batch, answer)),
        Err(_) => {
            assert!(caller.gives_up_after.is_some(), "caller {number} was never answered");
            None
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_entry_of_every_caller_is_settled_as_the_sink_decided(
        callers in prop::collection::vec(caller(), 1..12),
        (events, bytes, in_flight, at_once) in (1..9_usize, 1..80_usize, 1..4_usize, 1..6_usize),
        linger in 0..60_u64,
        seed in any::<u64>(),
    ) {
        let limits = Limits { events: 6, bytes: usize::MAX, entry_bytes: 25 };
        let linger = Duration::from_millis(linger);
        let settings = BatchSettings { events, bytes, linger, in_flight, callers: at_once };
        let decisions = Decisions::default();
        let sink = moody(limits, seed, Arc::clone(&decisions), settings);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let answers = runtime.block_on(async {
            let batching = Batching::new(sink, settings, &metrics());
            let acts = callers.iter().enumerate().map(|(n, caller)| act(&batching, n, caller));
            let answers = join_all(acts).await;
            batching.close().await;
            answers
        });
        let decisions = decisions.lock().unwrap();
        for (batch, answer) in answers.into_iter().flatten() {
            let settled = settle(batch.entries.len(), answer);
            for (entry, error) in batch.entries.iter().zip(settled) {
                let got = error.map(|error| error.disposition);
                if entry.data.len() > limits.entry_bytes {
                    let reason = Reason::SinkRecordTooLarge;
                    prop_assert_eq!(got, Some(Disposition::Poison { reason }));
                    prop_assert!(!decisions.contains_key(&text(entry)));
                } else {
                    prop_assert_eq!(Some(&got), decisions.get(&text(entry)), "{}", text(entry));
                }
            }
        }
    }
}
