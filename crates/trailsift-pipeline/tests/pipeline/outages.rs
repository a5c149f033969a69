//! A sink that is down, for minutes and for hours, behind the decorators that the service puts around
//! it: nothing is lost, nothing piles up, and what waits arrives when it is back.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use prometheus::Registry;
use tokio::time::{Instant, sleep};
use trailsift_core::{Batch, Limits, Sink, SinkError, WriteOutcome};
use trailsift_delivery::{
    BatchSettings, BufferSettings, Decoration, RetrySettings, SinkMetrics, decorate,
};
use trailsift_testkit::{Answer, QueueEvent, QueueSettings, ScriptedSink};

use crate::rig::{Rig, SECOND, outlet, selected, texts, within};

const MINUTE: Duration = Duration::from_secs(60);
/// Messages that wait for a batch, at most: half of the rig's workers.
const CALLERS: usize = 4;

/// How a sink is down.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Down {
    /// It says so at once.
    Refuses,
    /// It never answers.
    Hangs,
}

impl Down {
    fn answer(self) -> Answer {
        match self {
            Self::Refuses => Answer::Fail(SinkError::retry("503")),
            Self::Hangs => Answer::Hang,
        }
    }
}

/// Weighs what is at the sink.
#[derive(Debug)]
struct Weighed {
    sink: ScriptedSink,
    /// Events now, and at most so far.
    scale: Arc<Mutex<(usize, usize)>>,
}

/// Takes its weight from the scale, however the write ends.
struct Weight<'a>(&'a Mutex<(usize, usize)>, usize);

impl Drop for Weight<'_> {
    fn drop(&mut self) {
        self.0.lock().expect("not poisoned").0 -= self.1;
    }
}

#[async_trait]
impl Sink for Weighed {
    fn name(&self) -> &str {
        self.sink.name()
    }

    fn limits(&self) -> Limits {
        self.sink.limits()
    }

    async fn check(&self) -> Result<(), SinkError> {
        self.sink.check().await
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        let count = batch.entries.len();
        {
            let mut scale = self.scale.lock().expect("not poisoned");
            scale.0 += count;
            scale.1 = scale.1.max(scale.0);
        }
        let _weight = Weight(&self.scale, count);
        self.sink.write(batch).await
    }
}

/// The sink as the service uses it, with every default.
fn decorated(sink: Arc<dyn Sink>, required: bool, metrics: &SinkMetrics) -> Arc<dyn Sink> {
    let batch = BatchSettings { callers: CALLERS, ..BatchSettings::default() };
    let buffer = BufferSettings { events: 20, ..BufferSettings::default() };
    let timeout = Some(30 * SECOND);
    let retry = RetrySettings::default();
    decorate(sink, Decoration { batch, retry, timeout, required, buffer }, metrics)
}

fn metrics(registry: &Registry) -> SinkMetrics {
    SinkMetrics::register(registry).expect("a fresh registry")
}

/// The events that ended like this at a sink, by the metric that an operator sees.
fn ended(registry: &Registry, sink: &str, outcome: &str) -> f64 {
    let families = registry.gather();
    let events = families.iter().find(|family| family.name() == "trailsift_sink_events_total");
    let is_meant = |metric: &&prometheus::proto::Metric| {
        metric.get_label().iter().all(|label| [sink, outcome].contains(&label.value()))
    };
    let events = events.expect("registered").get_metric().iter().filter(is_meant);
    events.map(|metric| metric.get_counter().get_value()).sum()
}

/// How many leases ended although nobody gave the message back.
fn run_out(rig: &Rig) -> usize {
    let mut leased = BTreeSet::new();
    let mut run_out = 0;
    for recorded in rig.queue.history() {
        match recorded.event {
            QueueEvent::Received { id, .. } => run_out += usize::from(!leased.insert(id.0)),
            QueueEvent::Released { id, .. } | QueueEvent::Deleted { id, .. } => {
                leased.remove(&id.0);
            }
            _ => {}
        }
    }
    run_out
}

/// Everything that is owed arrives, its messages are gone, and nothing else has happened.
async fn an_outage_costs_nothing(how: Down, lasts: Duration, seed: u64) {
    // Pauses have jitter.
    fastrand::seed(seed);
    let queue = QueueSettings {
        visibility_timeout: 30 * SECOND,
        max_receive_count: Some(1000),
        ..QueueSettings::default()
    };
    let mut rig = Rig::with_queue(queue);
    let (registry, scale) = (Registry::new(), Arc::default());
    let weighed = Weighed { sink: rig.sink.clone(), scale: Arc::clone(&scale) };
    rig.sink_front = Some(decorated(Arc::new(weighed), true, &metrics(&registry)));
    let running = rig.start();

    rig.deliver("before", &[&selected("before")]);
    within(MINUTE, rig.queue.until_empty()).await;
    rig.sink.answer_by(move |_| how.answer());
    rig.sink.refuse_checks(Some("503"));
    let began = Instant::now();
    let mut files = 0;
    while began.elapsed() < lasts {
        // A file every ten seconds: far more than the workers could wait with.
        rig.deliver(&files.to_string(), &[&selected(&files.to_string())]);
        files += 1;
        sleep(10 * SECOND).await;
    }
    // Nothing is acknowledged, deleted or parked, and no more is in hand than there are workers.
    assert_eq!((rig.events().len(), rig.queue.deleted().len()), (1, 1), "{how:?}");
    assert!(rig.parked().is_empty() && rig.queue.dead_letters().is_empty(), "{how:?}");
    assert_eq!(rig.queue.visible().len() + rig.queue.in_flight().len(), files, "{how:?}");
    let in_flight = rig.metric("trailsift_messages_in_flight", &[]);
    assert!(in_flight <= rig.settings.workers as f64, "{in_flight} in flight");
    let (_, most) = *scale.lock().expect("not poisoned");
    assert!(most <= rig.settings.workers, "{most} events at the sink at once");
    assert!(rig.health.troubles().contains_key("sink siem"), "readiness tells of it");

    rig.sink.heal();
    rig.sink.refuse_checks(None);
    let healed = Instant::now();
    within(2 * 60 * MINUTE, rig.queue.until_empty()).await;
    assert!(healed.elapsed() < 30 * MINUTE, "{how:?}: drained after {:?}", healed.elapsed());
    sleep(2 * MINUTE).await;
    assert_eq!(rig.health.troubles(), Default::default(), "ready again");
    running.stop().await;

    let events = rig.events();
    let different: BTreeSet<_> = events.iter().collect();
    assert_eq!(different.len(), files + 1, "{how:?}: every event arrived");
    // The sink took nothing while it was down, so hardly anything is there twice: a message that is
    // given back leaves its events in a batch that others still wait for, and comes again with them.
    // No more of these are on their way than the batches hold that are.
    let twice = rig.sink.stored().len() - files - 1;
    let on_their_way = BatchSettings::default().in_flight * CALLERS;
    assert!(twice <= on_their_way, "{how:?}: {twice} duplicates");
    assert!(rig.parked().is_empty() && rig.queue.dead_letters().is_empty());
    assert_eq!(rig.metric("trailsift_leases_lost_total", &[]), 0.0, "leases are kept or released");
    assert_eq!(run_out(&rig), 0, "{how:?}: no lease ran out");
    assert_eq!(rig.unbalanced(), None);
    assert_eq!(ended(&registry, "siem", "delivered"), (files + 1 + twice) as f64);
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_without_the_sink_cost_nothing() {
    for seed in 0..4 {
        an_outage_costs_nothing(Down::Refuses, 10 * MINUTE, seed).await;
        an_outage_costs_nothing(Down::Hangs, 10 * MINUTE, seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_hours_without_the_sink_cost_nothing() {
    an_outage_costs_nothing(Down::Refuses, 120 * MINUTE, 1).await;
    an_outage_costs_nothing(Down::Hangs, 120 * MINUTE, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_best_effort_sink_that_is_down_holds_nothing_back_and_says_what_it_dropped() {
    for how in [Down::Refuses, Down::Hangs] {
        let mut rig = Rig::new();
        let registry = Registry::new();
        let lake = ScriptedSink::new("lake");
        lake.answer_by(move |_| how.answer());
        let best_effort = decorated(Arc::new(lake.clone()), false, &metrics(&registry));
        rig.extra.push(outlet(Arc::clone(&best_effort), false));
        let running = rig.start();
        for n in 0..120 {
            let delivered = Instant::now();
            rig.deliver(&n.to_string(), &[&selected(&n.to_string())]);
            within(5 * SECOND, rig.sink.until_acknowledged(n + 1)).await;
            assert!(delivered.elapsed() < 3 * SECOND, "{how:?}: {:?}", delivered.elapsed());
            sleep(5 * SECOND).await;
        }
        // Ten minutes are over: nothing waits, and what the sink did not get is counted, but for what
        // is still in its buffer.
        within(SECOND, rig.queue.until_empty()).await;
        let lost = ended(&registry, "lake", "dropped") + ended(&registry, "lake", "failed");
        assert!((100.0..=120.0).contains(&lost), "{how:?}: {lost} lost");

        lake.heal();
        // Writes that hang are given up within half a minute, and their room is free again.
        sleep(2 * MINUTE).await;
        for n in 120..130 {
            rig.deliver(&n.to_string(), &[&selected(&n.to_string())]);
        }
        within(MINUTE, rig.queue.until_empty()).await;
        running.stop().await;
        within(10 * MINUTE, best_effort.close()).await;
        let lost = ended(&registry, "lake", "dropped") + ended(&registry, "lake", "failed");
        let arrived = texts(&lake).len() as f64;
        assert_eq!(arrived + lost, 130.0, "{how:?}: every event arrived or is counted as lost");
        assert!(arrived >= 10.0, "{how:?}: what came after the outage arrived");
        assert_eq!((rig.events().len(), rig.sink.stored().len()), (130, 130));
    }
}
