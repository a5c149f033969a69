//! What the queue is asked how often, and what the time of a backlog depends on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prometheus::Registry;
use tokio::time::{Instant, sleep};
use trailsift_core::{Message, Queue, QueueError, QueueStatus, Reason, Receipt, Sink, SinkError};
use trailsift_delivery::{BatchSettings, Decoration, SinkMetrics, decorate};
use trailsift_pipeline::Budget;
use trailsift_testkit::{Answer, MemoryQueue, ScriptedSink};

use crate::rig::{
    BUCKET, Rig, SECOND, filtered, gzip, key, notification, selected, trail_file, within,
};

/// How far away the queue is.
const WAY: Duration = Duration::from_millis(4);

/// A queue that is a little way off, and counts what it is asked.
#[derive(Debug)]
struct CountingQueue {
    queue: MemoryQueue,
    asked: Arc<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    receives: AtomicUsize,
    deletes: AtomicUsize,
    others: AtomicUsize,
}

impl Asked {
    fn counts(&self) -> (usize, usize, usize) {
        let count = |number: &AtomicUsize| number.load(Ordering::Relaxed);
        (count(&self.receives), count(&self.deletes), count(&self.others))
    }
}

async fn ask(count: &AtomicUsize) {
    count.fetch_add(1, Ordering::Relaxed);
    sleep(WAY).await;
}

#[async_trait::async_trait]
impl Queue for CountingQueue {
    async fn status(&self) -> Result<QueueStatus, QueueError> {
        ask(&self.asked.others).await;
        self.queue.status().await
    }

    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Message>, QueueError> {
        ask(&self.asked.receives).await;
        self.queue.receive(max, wait).await
    }

    async fn extend(&self, receipt: &Receipt, by: Duration) -> Result<Instant, QueueError> {
        ask(&self.asked.others).await;
        self.queue.extend(receipt, by).await
    }

    async fn release(&self, receipt: &Receipt, after: Duration) -> Result<(), QueueError> {
        ask(&self.asked.others).await;
        self.queue.release(receipt, after).await
    }

    async fn delete(
        &self,
        receipts: &[Receipt],
    ) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        ask(&self.asked.deletes).await;
        self.queue.delete(receipts).await
    }
}

/// A rig as it runs by default, with a queue that counts.
fn counting_rig() -> (Rig, Arc<Asked>) {
    let mut rig = Rig::new();
    (rig.settings.memory, rig.settings.workers) = (256 << 20, 64);
    let asked = Arc::<Asked>::default();
    let queue = CountingQueue { queue: rig.queue.clone(), asked: Arc::clone(&asked) };
    rig.queue_front = Some(Arc::new(queue));
    (rig, asked)
}

/// Files of one record each. Returns what is selected of them.
fn backlog(rig: &Rig, files: usize, is_selected: impl Fn(usize) -> bool) -> Vec<String> {
    let mut wanted = Vec::new();
    for n in 0..files {
        let (name, id) = (key(&format!("{n:05}")), format!("{n:05}"));
        let record = if is_selected(n) { selected(&id) } else { filtered(&id) };
        rig.store.put(BUCKET, &name, trail_file(&[&record]));
        rig.queue.send(notification(&[&name]));
        wanted.extend(is_selected(n).then_some(record));
    }
    wanted
}

#[tokio::test(start_paused = true)]
async fn an_idle_queue_costs_a_request_in_twenty_seconds() {
    let (rig, asked) = counting_rig();
    let running = rig.start();
    sleep(3600 * SECOND).await;
    let (receives, deletes, others) = asked.counts();
    // One of each to begin with.
    assert!(receives + others <= 182, "{receives}, {others}");
    // After 1, 3 and 7 minutes, and every five.
    assert!(deletes == 0 && others <= 14, "{deletes}, {others}");
    sleep(23 * 3600 * SECOND).await;
    let (receives, _, others) = asked.counts();
    assert!(receives + others <= 24 * 180 + 2, "{receives}, {others}");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_backlog_takes_a_tenth_of_a_receive_and_a_tenth_of_a_delete_for_each_file() {
    let (rig, asked) = counting_rig();
    let files = 3000;
    backlog(&rig, files, |_| false);
    let running = rig.start();
    within(60 * SECOND, rig.queue.until_empty()).await;
    let (receives, deletes, others) = asked.counts();
    assert!(receives <= files / 10 + 5, "{receives} receives");
    assert!(deletes <= files / 10 + 5, "{deletes} deletes");
    assert_eq!(others, 1);
    running.stop().await;
}

/// A sink in front of the rig's with the longest `linger` that the configuration allows.
fn lingering(sink: &ScriptedSink, callers: usize) -> Arc<dyn Sink> {
    let batch = BatchSettings { linger: 30 * SECOND, callers, ..BatchSettings::default() };
    let metrics = SinkMetrics::register(&Registry::new()).expect("a fresh registry");
    let decoration = Decoration { batch, ..Decoration::default() };
    decorate(Arc::new(sink.clone()), decoration, &metrics)
}

#[tokio::test(start_paused = true)]
async fn the_objects_of_a_message_and_the_parts_of_a_file_wait_for_one_linger_in_all() {
    let mut rig = Rig::new();
    rig.sink_front = Some(lingering(&rig.sink, usize::MAX));
    let names: Vec<_> = (0..20).map(|n| key(&format!("{n:05}"))).collect();
    let mut wanted = Vec::new();
    for (n, name) in names.iter().enumerate() {
        wanted.push(selected(&format!("{n:05}")));
        rig.store.put(BUCKET, name, trail_file(&[&wanted[n]]));
    }
    // Selects twice what a worker may hold.
    let padding = "x".repeat(rig.settings.max_record / 2);
    let large: Vec<_> = (0..200).map(|n| selected(&format!("large-{n:05}-{padding}"))).collect();
    let budget =
        Budget::plan(rig.settings.memory, rig.settings.workers, 1, rig.settings.max_record);
    assert!(large.iter().map(String::len).sum::<usize>() > 2 * budget.held_bytes);
    rig.store.put(
        BUCKET,
        &key("large"),
        trail_file(&large.iter().map(String::as_str).collect::<Vec<_>>()),
    );
    let mut all: Vec<_> = names.iter().map(String::as_str).collect();
    let name = key("large");
    all.push(&name);
    rig.queue.send(notification(&all));
    wanted.extend(large);
    let running = rig.start();
    within(31 * SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.events(), wanted);
    running.stop().await;
}

/// The longest `linger` that the configuration allows, and an event in each file.
#[tokio::test(start_paused = true)]
async fn a_backlog_does_not_wait_for_the_linger_of_a_sink() {
    let linger = 30 * SECOND;
    let (mut rig, _) = counting_rig();
    let files = 3000;
    let wanted = backlog(&rig, files, |_| true);
    let settings = &rig.settings;
    let budget = Budget::plan(settings.memory, settings.workers, 1, settings.max_record);
    let callers = budget.lingering_per_sink(2);
    rig.sink_front = Some(lingering(&rig.sink, callers));
    let running = rig.start();
    let begun = Instant::now();
    within(60 * SECOND, rig.sink.until_acknowledged(files - callers)).await;
    let took = begun.elapsed();
    assert!(took < 10 * SECOND, "{took:?}");
    // The last few are not enough for a batch that goes at once.
    within(60 * SECOND, rig.queue.until_empty()).await;
    assert!(begun.elapsed() <= took + linger + SECOND, "{:?}", begun.elapsed());
    let mut events = rig.events();
    events.sort();
    assert_eq!(events, wanted);
    running.stop().await;
}

/// A sink that refuses every event of a file for good, and a quarantine that waits for company.
#[tokio::test(start_paused = true)]
async fn what_a_message_has_to_park_waits_for_one_linger_in_all() {
    let mut rig = Rig::new();
    rig.parked_front = Some(lingering(&rig.parked, usize::MAX));
    rig.sink.answer_by(|batch| {
        let refusal = |index| (index, SinkError::poison(Reason::SinkRejected, "too old"));
        Answer::AcceptExcept((0..batch.entries.len()).map(refusal).collect())
    });
    let records: Vec<_> = (0..500).map(|n| selected(&format!("{n:05}"))).collect();
    let records: Vec<_> = records.iter().map(String::as_str).collect();
    rig.store.put(BUCKET, &key("refused"), trail_file(&records));
    rig.store.put(BUCKET, &key("faulty"), trail_file(&["1", "2", "3"]));
    let bad: Vec<_> = (0..20).map(|n| key(&format!("{n:05}"))).collect();
    for name in &bad {
        rig.store.put(BUCKET, name, gzip(b"{}"));
    }
    let mut all = vec![key("refused"), key("faulty")];
    all.extend(bad);
    rig.queue.send(notification(&all.iter().map(String::as_str).collect::<Vec<_>>()));
    let running = rig.start();
    within(31 * SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.parked().len(), 523);
    assert!(rig.parked.writes().len() <= 40, "{} writes", rig.parked.writes().len());
    running.stop().await;
    assert_eq!(rig.unbalanced(), None);
}
