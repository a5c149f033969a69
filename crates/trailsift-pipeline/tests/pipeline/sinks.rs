//! Sinks that are stuck, slow, picky or broken: delivery rules D1 and D7.

use std::sync::Arc;

use crate::rig::{Rig, SECOND, filtered, outlet, selected, texts, within};
use prometheus::Registry;
use tokio::time::{Instant, sleep};
use trailsift_core::{Batch, Limits, Reason, Sink, SinkError, WriteOutcome};
use trailsift_delivery::{BatchSettings, Decoration, SinkMetrics, decorate};
use trailsift_testkit::{Answer, QueueSettings, ScriptedSink};

#[tokio::test(start_paused = true)]
async fn a_stuck_sink_does_not_stop_files_that_need_no_sink() {
    let rig = Rig::new();
    rig.sink.answer_by(|_| Answer::Hold);
    for n in 0..20 {
        rig.deliver(&n.to_string(), &[&selected(&n.to_string())]);
    }
    let running = rig.start();
    sleep(5 * SECOND).await;
    assert_eq!(rig.sink.held(), rig.settings.workers);
    for n in 20..70 {
        rig.deliver(&n.to_string(), &[&filtered("1")]);
    }
    sleep(600 * SECOND).await;
    assert_eq!(rig.queue.deleted().len(), 50);
    // One message goes on waiting, so that the sink's recovery is noticed at once; those that come
    // again wait a few seconds each, which never takes all workers.
    for _ in 0..60 {
        sleep(61 * SECOND).await;
        assert!((1..rig.settings.workers).contains(&rig.sink.held()), "{}", rig.sink.held());
    }
    assert!(rig.events().is_empty() && rig.parked().is_empty());

    rig.sink.heal();
    within(SECOND, rig.sink.until_acknowledged(1)).await;
    within(600 * SECOND, rig.queue.until_empty()).await;
    let mut events = rig.events();
    events.sort();
    events.dedup();
    assert_eq!((events.len(), rig.sink.acknowledged().len()), (20, 20));
    assert_eq!(rig.unbalanced(), None);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_down_for_hours_does_not_delay_files_that_need_none() {
    let rig = Rig::with_queue(QueueSettings { shuffle: Some(1), ..Default::default() });
    rig.sink.answer_by(|_| Answer::Hang);
    let running = rig.start();
    // Far more than eight workers can wait for, be it only for a few seconds each.
    for n in 0..600 {
        rig.deliver(&format!("stuck-{n}"), &[&selected("1")]);
        sleep(4 * SECOND).await;
    }
    let done = || rig.metric("trailsift_objects_total", &[("outcome", "done")]);
    for n in 0..8 {
        let before = done();
        rig.deliver(&format!("free-{n}"), &[&filtered("1")]);
        within(60 * SECOND, async {
            while done() == before {
                sleep(SECOND).await;
            }
        })
        .await;
    }
    rig.sink.heal();
    // One write of the outage, at most, is waited for ten minutes, in case it is the one.
    within(1200 * SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.events().len(), 600);
    running.stop().await;
    assert_eq!(rig.unbalanced(), None);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_sink_does_not_stop_the_files_of_an_account_with_one_worker() {
    let mut rig = Rig::new();
    rig.settings.workers = 1;
    rig.sink.answer_by(|_| Answer::Hang);
    for n in 0..20 {
        rig.deliver(&format!("stuck-{n}"), &[&selected(&n.to_string())]);
    }
    let running = rig.start();
    within(60 * SECOND, rig.sink.until_writes(1)).await;
    for n in 0..20 {
        rig.deliver(&format!("free-{n}"), &[&filtered("1")]);
    }
    sleep(900 * SECOND).await;
    assert_eq!(rig.queue.deleted().len(), 20);
    rig.sink.heal();
    within(1200 * SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.events().len(), 20);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stuck_quarantine_does_not_stop_good_files() {
    let mut rig = Rig::new();
    rig.settings.workers = 4;
    rig.parked.answer_by(|_| Answer::Hang);
    for _ in 0..6 {
        rig.queue.send("not a notification");
    }
    let bad = r#"{"eventSource":"codeguru-reviewer.amazonaws.com",}"#;
    rig.deliver("bad", &[bad, bad, &selected("0")]);
    let running = rig.start();
    sleep(SECOND).await;
    for n in 1..20 {
        rig.deliver(&n.to_string(), &[&selected(&n.to_string())]);
    }
    within(120 * SECOND, rig.sink.until_acknowledged(20)).await;
    sleep(3600 * SECOND).await;
    assert_eq!((rig.events().len(), rig.queue.deleted().len()), (20, 19));
    rig.parked.heal();
    within(1200 * SECOND, rig.queue.until_empty()).await;
    assert_eq!((rig.events().len(), rig.parked().len()), (20, 8));
    running.stop().await;
    assert_eq!(rig.unbalanced(), None);
}

#[tokio::test(start_paused = true)]
async fn a_slow_sink_that_goes_on_acknowledging_is_waited_for_by_everybody() {
    let rig = Rig::new();
    rig.sink.answer_by(|_| Answer::Hold);
    for n in 0..7 {
        rig.deliver(&n.to_string(), &[&selected(&n.to_string())]);
    }
    let running = rig.start();
    within(SECOND, rig.sink.until_held(7)).await;
    // Another message is acknowledged every 50 s: nobody gives up on this sink.
    for n in 7..14 {
        sleep(50 * SECOND).await;
        rig.sink.answer(Answer::Accept);
        rig.deliver(&n.to_string(), &[&selected(&n.to_string())]);
        sleep(SECOND).await;
    }
    assert_eq!((rig.sink.held(), rig.sink.writes().len()), (7, 14));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stuck_sink_does_not_keep_events_from_another_one() {
    let mut rig = Rig::new();
    rig.sink.answer_by(|_| Answer::Hang);
    let lake = ScriptedSink::new("lake");
    rig.extra.push(outlet(Arc::new(lake.clone()), true));
    for n in 0..30 {
        rig.deliver(&n.to_string(), &[&selected(&n.to_string())]);
    }
    let running = rig.start();
    within(3600 * SECOND, async {
        loop {
            let mut events = texts(&lake);
            events.sort();
            events.dedup();
            if events.len() == 30 {
                return;
            }
            sleep(SECOND).await;
        }
    })
    .await;
    assert!(rig.queue.deleted().is_empty());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_sinks_retry_after_is_obeyed_up_to_an_hour() {
    for (asked, granted) in [(20, 20), (45, 45), (5 * 60, 60)] {
        let rig = Rig::new();
        let busy = SinkError::retry_after(Some(asked * 60 * SECOND), "429");
        rig.sink.answer(Answer::Fail(busy));
        rig.deliver("one", &[&selected("1")]);
        let running = rig.start();
        within(2 * 3600 * SECOND, rig.queue.until_empty()).await;
        let writes = rig.sink.writes();
        let pause = writes[1].at.duration_since(writes[0].at);
        // Not before it was granted, and soon after.
        let granted = granted * 60 * SECOND;
        assert!(pause >= granted && pause < granted + 60 * SECOND, "{pause:?} for {granted:?}");
        assert_eq!(writes.len(), 2);
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_best_effort_sink_holds_nothing_back() {
    type Script = fn() -> Answer;
    let scripts: [(&str, Script); 4] = [
        ("fails", || Answer::Fail(SinkError::retry("down"))),
        ("is gone", || Answer::Fail(SinkError::fatal("gone"))),
        ("refuses", || {
            let refusal = SinkError::poison(Reason::SinkRejected, "400");
            Answer::AcceptExcept(vec![(0, refusal)])
        }),
        ("hangs", || Answer::Hang),
    ];
    for (how, script) in scripts {
        let mut rig = Rig::new();
        let best_effort = ScriptedSink::new("lake");
        best_effort.answer_by(move |_| script());
        rig.extra.push(outlet(Arc::new(best_effort.clone()), false));
        for n in 0..20 {
            rig.deliver(&n.to_string(), &[&selected(&n.to_string())]);
        }
        let begun = Instant::now();
        let totals = rig.run_until_empty().await;
        assert!(begun.elapsed() < 60 * SECOND, "a sink that {how} took {:?}", begun.elapsed());
        assert_eq!((totals.files, totals.objects_retried), (20, 0), "a sink that {how}");
        assert_eq!((rig.queue.deleted().len(), rig.events().len()), (20, 20));
        assert_eq!(best_effort.writes().len(), 20);
        assert!(rig.parked().is_empty(), "a sink that {how}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_leaves_no_message_counted_as_in_flight() {
    let rig = Rig::new();
    // The work panics, and in the end the parking of it too: the worker itself dies.
    rig.parked.answer_by(|_| panic!("a bug in the quarantine's sink"));
    rig.queue.send("no notification at all");
    let running = rig.start();
    sleep(3600 * SECOND).await;
    assert!(rig.metric("trailsift_panics_total", &[]) >= 5.0);
    assert!(rig.metric("trailsift_messages_in_flight", &[]) <= 1.0);
    assert!(rig.queue.deleted().is_empty());
    rig.parked.heal();
    within(600 * SECOND, rig.queue.until_empty()).await;
    sleep(SECOND).await;
    assert_eq!(rig.unbalanced(), None);
    assert_eq!(rig.parked().len(), 1);
    running.stop().await;
}

/// A sink that is well as far as anybody can tell, but for a check that never ends.
#[derive(Debug)]
struct NeverChecked(ScriptedSink);

#[async_trait::async_trait]
impl Sink for NeverChecked {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn limits(&self) -> Limits {
        self.0.limits()
    }

    async fn check(&self) -> Result<(), SinkError> {
        std::future::pending().await
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        self.0.write(batch).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_whose_check_hangs_is_not_ready_and_its_events_flow() {
    let mut rig = Rig::new();
    rig.sink_front = Some(Arc::new(NeverChecked(rig.sink.clone())));
    rig.deliver("one", &[&selected("1")]);
    let running = rig.start();
    sleep(SECOND).await;
    assert_eq!(rig.health.troubles()["sink siem"], "not checked yet");
    for _ in 0..10 {
        sleep(60 * SECOND).await;
        assert_eq!(rig.health.troubles()["sink siem"], "the check does not end");
    }
    assert_eq!(rig.events(), [selected("1")]);
    running.stop().await;
}

/// A collector that takes two seconds for a batch.
#[derive(Debug)]
struct Slow(ScriptedSink);

#[async_trait::async_trait]
impl Sink for Slow {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn limits(&self) -> Limits {
        self.0.limits()
    }
    async fn check(&self) -> Result<(), SinkError> {
        Ok(())
    }
    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        sleep(2 * SECOND).await;
        self.0.write(batch).await
    }
    async fn close(&self) {}
}

/// The longest `linger` that the configuration allows.
#[tokio::test(start_paused = true)]
async fn a_batch_that_lingers_for_half_a_minute_is_waited_for_and_sent_once() {
    let mut rig = Rig::new();
    let metrics = SinkMetrics::register(&Registry::new()).expect("a fresh registry");
    let batch = BatchSettings { linger: 30 * SECOND, ..BatchSettings::default() };
    let decoration = Decoration { batch, ..Decoration::default() };
    rig.sink_front = Some(decorate(Arc::new(Slow(rig.sink.clone())), decoration, &metrics));
    let running = rig.start();
    for n in 0..8 {
        rig.deliver(&n.to_string(), &[&selected(&n.to_string())]);
        sleep(SECOND).await;
    }
    within(60 * SECOND, rig.queue.until_empty()).await;
    running.stop().await;
    let mut events = rig.events();
    events.sort();
    assert_eq!(events, (0..8).map(|n| selected(&n.to_string())).collect::<Vec<_>>());
    let put_off = rig.metric("trailsift_objects_total", &[("outcome", "retried")]);
    assert!(put_off < 0.5, "put off {put_off} times");
}

/// A collector answers 401 to each `POST` and is friendly otherwise (fault F92).
#[tokio::test(start_paused = true)]
async fn a_sink_that_refuses_everything_is_not_ready_ten_seconds_later_and_ready_once_it_takes_an_event()
 {
    let mut rig = Rig::new();
    let metrics = SinkMetrics::register(&Registry::new()).expect("a fresh registry");
    rig.sink_front = Some(decorate(Arc::new(rig.sink.clone()), Decoration::default(), &metrics));
    rig.sink.answer_by(|_| Answer::Fail(SinkError::retry("the collector answers 401")));
    let running = rig.start();
    sleep(45 * SECOND).await;
    assert_eq!(rig.health.troubles().get("sink siem"), None);
    rig.deliver("one", &[&selected("1")]);
    sleep(9 * SECOND).await;
    assert_eq!(rig.health.troubles().get("sink siem"), None, "a passing fault");
    sleep(3 * SECOND).await;
    let trouble = rig.health.troubles()["sink siem"].clone();
    assert!(trouble.ends_with(" s: the collector answers 401"), "{trouble}");
    rig.sink.heal();
    within(120 * SECOND, rig.queue.until_empty()).await;
    sleep(2 * SECOND).await;
    assert_eq!(rig.health.troubles().get("sink siem"), None, "an event was taken");
    running.stop().await;
}
