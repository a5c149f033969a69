use std::pin::pin;

use bytes::Bytes;
use futures::poll;
use prometheus::Registry;
use tokio::time::{Instant, sleep};
use trailsift_core::{MessageId, Receipt};
use trailsift_testkit::{Answer, FixedClock, MemoryLedger, ScriptedSink};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn message() -> Message {
    Message {
        id: MessageId("m".into()),
        receipt: Receipt("r".into()),
        body: String::new(),
        receive_count: 1,
        sent_at: None,
        sender_id: None,
        received_at: Instant::now(),
        lease_until: Instant::now() + 30 * SECOND,
    }
}

fn route() -> RouteSet {
    let mut routes = RouteSet::EMPTY;
    routes.insert(0);
    routes
}

/// A dispatcher with one sink that is best effort, its events in the format `envelope`.
fn dispatcher(sink: &ScriptedSink, cpu: &Cpu) -> Dispatcher {
    let metrics = PipelineMetrics::register(&Registry::new()).expect("a fresh registry");
    let clock = Arc::new(FixedClock::default());
    let outlet = Outlet {
        sink: Arc::new(sink.clone()),
        formatter: Formatter::new(Format::Envelope, ["r".to_owned()]),
        routes: route(),
        required: false,
    };
    Dispatcher::new(
        vec![outlet],
        Quarantine::redrive(clock.clone(), metrics.clone()),
        Books::new(Arc::new(MemoryLedger::new()), metrics.clone()),
        clock,
        metrics,
        &Budget::plan(64 << 20, 8, 1, 1 << 20).formatting(1, 1, 1 << 20),
        cpu,
    )
}

/// Records that are too much to be written on the caller's thread.
fn records() -> Vec<Found> {
    let record = |index| {
        let bytes = format!("{{\"n\":{index},\"text\":\"{}\"}}", "x".repeat(1_000));
        Found::Record(Record { index, bytes: Bytes::from(bytes), routes: route() })
    };
    (0..40).map(record).collect()
}

fn provenance() -> Provenance {
    let source = Source {
        account: "production".into(),
        bucket: "b".into(),
        key: "k".into(),
        version_id: None,
        etag: None,
    };
    let known = Known::default();
    Provenance { source: Arc::new(source), id: None, known, reading: 0, replay: None }
}

#[tokio::test(start_paused = true)]
async fn a_best_effort_sink_is_not_blamed_for_the_time_that_rendering_takes() {
    let sink = ScriptedSink::new("lake");
    let (cpu, core) = Cpu::one_busy_core().await;
    let (dispatcher, from, message) = (dispatcher(&sink, &cpu), provenance(), message());
    let body_parked = AtomicBool::new(false);
    let origin = Origin {
        account: "production",
        message: &message,
        entry: None,
        body_parked: &body_parked,
        more_follows: false,
    };
    let mut delivery = pin!(dispatcher.deliver(records(), &from, origin));
    assert!(poll!(&mut delivery).is_pending());
    // Every core has other work for a minute.
    sleep(60 * SECOND).await;
    assert!(poll!(&mut delivery).is_pending());
    drop(core);
    delivery.await.expect("a best-effort sink holds nothing back");
    assert_eq!(sink.acknowledged().len(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_best_effort_sink_that_hangs_is_left_after_a_second() {
    let sink = ScriptedSink::new("lake");
    sink.answer_by(|_| Answer::Hang);
    let (dispatcher, from, message) = (dispatcher(&sink, &Cpu::Inline), provenance(), message());
    let body_parked = AtomicBool::new(false);
    let origin = Origin {
        account: "production",
        message: &message,
        entry: None,
        body_parked: &body_parked,
        more_follows: false,
    };
    let began = Instant::now();
    dispatcher.deliver(records(), &from, origin).await.expect("nothing is held back");
    assert_eq!(began.elapsed(), BEST_EFFORT);
    assert_eq!(sink.writes().len(), 1);
}
