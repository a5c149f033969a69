//! What every sink promises, whatever stands behind it. Each case runs through the decorators, as
//! the service does.

use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use prometheus::Registry;
use trailsift_core::{Disposition, Limits, Reason, Sink};
use trailsift_sinks::{
    BatchSettings, BufferSettings, Decoration, FileSettings, FileSink, HttpSettings, HttpSink,
    RetrySettings, SinkMetrics, StdoutSink, decorate,
};

use crate::collector::{Collector, Fault, events};
use crate::{acknowledged, batch};

/// A sink, the world behind it, and ways to break that world.
#[async_trait]
trait World {
    fn sink(&self) -> Arc<dyn Sink>;
    /// Every event that arrived, duplicates included.
    async fn arrived(&self) -> Vec<String>;
    /// The next write arrives, but the sink does not hear of it. False where that cannot be.
    fn lose_next_answer(&self) -> bool;
    /// The next writes fail and deliver nothing, until [`World::recover`].
    fn break_down(&self);
    fn recover(&self);
    /// The next write is refused because there were too many. False where that cannot be.
    fn throttle_next(&self) -> bool;
    /// Events that contain this are refused for good. False where nothing is ever refused.
    fn refuse(&self, text: &'static str) -> bool;
}

fn settings() -> Decoration {
    let linger = Duration::from_millis(5);
    Decoration {
        batch: BatchSettings { events: 4, bytes: 1 << 16, linger, in_flight: 3, callers: 5 },
        retry: RetrySettings {
            deadline: Duration::from_secs(20),
            base: Duration::from_millis(2),
            cap: Duration::from_millis(20),
        },
        timeout: None,
        required: true,
        buffer: BufferSettings::default(),
    }
}

fn decorated(world: &dyn World) -> Arc<dyn Sink> {
    let metrics = SinkMetrics::register(&Registry::new()).expect("a fresh registry");
    decorate(world.sink(), settings(), &metrics)
}

fn numbered(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("{{\"event\":{n}}}")).collect()
}

fn times(arrived: &[String], text: &str) -> usize {
    arrived.iter().filter(|event| event.as_str() == text).count()
}

async fn delivers_everything_once_when_nothing_fails(world: &dyn World) {
    let sink = decorated(world);
    sink.check().await.expect("reachable");
    let batches: Vec<_> = (0..8).map(|n| batch(numbered(n * 10..n * 10 + 10))).collect();
    let writes = batches.iter().map(|batch| sink.write(batch));
    for (batch, answer) in batches.iter().zip(futures::future::join_all(writes).await) {
        assert_eq!(acknowledged(batch, &answer).len(), 10);
    }
    let mut arrived = world.arrived().await;
    arrived.sort();
    let mut sent = numbered(0..80);
    sent.sort();
    assert_eq!(arrived, sent);
    sink.close().await;
}

async fn a_lost_answer_costs_a_duplicate_and_never_an_event(world: &dyn World) {
    if !world.lose_next_answer() {
        return;
    }
    let (sink, events) = (decorated(world), batch(numbered(100..103)));
    assert_eq!(acknowledged(&events, &sink.write(&events).await).len(), 3);
    let arrived = world.arrived().await;
    for event in numbered(100..103) {
        assert!(times(&arrived, &event) >= 1, "{event} is lost");
    }
    sink.close().await;
}

async fn refused_events_are_poison_and_their_neighbours_arrive_once(world: &dyn World) {
    if !world.refuse("\"event\":202") {
        return;
    }
    let (sink, events) = (decorated(world), batch(numbered(200..209)));
    let outcome = sink.write(&events).await.expect("an outcome");
    assert_eq!(outcome.failures.len(), 1);
    assert_eq!(outcome.failures[0].index, 2);
    let poison = Disposition::Poison { reason: Reason::SinkRejected };
    assert_eq!(outcome.failures[0].error.disposition, poison);
    let arrived = world.arrived().await;
    for (index, event) in numbered(200..209).iter().enumerate() {
        assert_eq!(times(&arrived, event), usize::from(index != 2), "{event}");
    }
    sink.close().await;
}

async fn throttling_delays_and_loses_nothing(world: &dyn World) {
    if !world.throttle_next() {
        return;
    }
    let (sink, events) = (decorated(world), batch(numbered(300..303)));
    assert_eq!(acknowledged(&events, &sink.write(&events).await).len(), 3);
    let arrived = world.arrived().await;
    assert!(numbered(300..303).iter().all(|event| times(&arrived, event) == 1));
    sink.close().await;
}

async fn an_outage_acknowledges_nothing_and_the_backlog_drains_after_it(world: &dyn World) {
    let (sink, events) = (decorated(world), batch(numbered(400..410)));
    world.break_down();
    let write = sink.write(&events);
    let early = tokio::time::timeout(Duration::from_millis(200), write).await;
    assert!(early.is_err(), "{early:?}");
    let (again, ()) = tokio::join!(sink.write(&events), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.recover();
    });
    assert_eq!(acknowledged(&events, &again).len(), 10);
    let arrived = world.arrived().await;
    for event in numbered(400..410) {
        assert!(times(&arrived, &event) >= 1, "{event} is lost");
    }
    sink.close().await;
}

async fn what_is_larger_than_the_sink_takes_is_poison_and_never_sent(world: &dyn World) {
    let most = world.sink().limits().entry_bytes;
    if most == usize::MAX {
        return;
    }
    let large = format!("\"{}\"", "x".repeat(most));
    let (sink, events) = (decorated(world), batch(["[500]", &large, "[501]"]));
    let answer = sink.write(&events).await;
    assert_eq!(acknowledged(&events, &answer), ["[500]", "[501]"]);
    let reason = Reason::SinkRecordTooLarge;
    let disposition = answer.expect("an outcome").failures[0].error.disposition;
    assert_eq!(disposition, Disposition::Poison { reason });
    assert_eq!(times(&world.arrived().await, &large), 0);
    sink.close().await;
}

async fn conforms(world: &dyn World) {
    delivers_everything_once_when_nothing_fails(world).await;
    a_lost_answer_costs_a_duplicate_and_never_an_event(world).await;
    refused_events_are_poison_and_their_neighbours_arrive_once(world).await;
    throttling_delays_and_loses_nothing(world).await;
    an_outage_acknowledges_nothing_and_the_backlog_drains_after_it(world).await;
    what_is_larger_than_the_sink_takes_is_poison_and_never_sent(world).await;
}

struct HttpWorld {
    collector: Collector,
    down: Arc<Mutex<bool>>,
    refused: Arc<Mutex<Option<&'static str>>>,
}

#[async_trait]
impl World for HttpWorld {
    fn sink(&self) -> Arc<dyn Sink> {
        let settings = HttpSettings {
            timeout: Duration::from_millis(500),
            limits: Limits { events: 100, bytes: 1 << 16, entry_bytes: 64 },
            ..HttpSettings::new(&self.collector.url)
        };
        Arc::new(HttpSink::new("http", settings).expect("good settings"))
    }

    async fn arrived(&self) -> Vec<String> {
        self.collector.taken()
    }

    fn lose_next_answer(&self) -> bool {
        self.collector.fail([Fault::LostAnswer]);
        true
    }

    fn break_down(&self) {
        *self.down.lock().unwrap() = true;
    }

    fn recover(&self) {
        *self.down.lock().unwrap() = false;
    }

    fn throttle_next(&self) -> bool {
        self.collector.fail([Fault::Status(429, vec![("retry-after", "1".into())])]);
        true
    }

    fn refuse(&self, text: &'static str) -> bool {
        *self.refused.lock().unwrap() = Some(text);
        true
    }
}

#[tokio::test]
async fn the_http_sink_conforms() {
    let world = HttpWorld {
        collector: Collector::start().await,
        down: Arc::default(),
        refused: Arc::default(),
    };
    let (down, refused) = (Arc::clone(&world.down), Arc::clone(&world.refused));
    world.collector.judge(move |request| {
        if *down.lock().unwrap() {
            return Some(503);
        }
        let text = refused.lock().unwrap().as_ref().copied()?;
        events(request).iter().any(|event| event.contains(text)).then_some(400)
    });
    conforms(&world).await;
}

struct FileWorld {
    folder: tempfile::TempDir,
}

impl FileWorld {
    fn path(&self) -> PathBuf {
        self.folder.path().join("out/events.jsonl")
    }
}

#[async_trait]
impl World for FileWorld {
    fn sink(&self) -> Arc<dyn Sink> {
        Arc::new(FileSink::new("file", FileSettings::new(self.path())).expect("good settings"))
    }

    async fn arrived(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path()).expect("the file");
        text.lines().map(str::to_owned).collect()
    }

    fn lose_next_answer(&self) -> bool {
        // The module's own tests fail the sync after the write.
        false
    }

    fn break_down(&self) {
        // Works for root too, unlike taking rights away: a folder stands where the file should.
        std::fs::rename(self.path(), self.folder.path().join("aside")).expect("moved");
        std::fs::create_dir(self.path()).expect("made");
    }

    fn recover(&self) {
        std::fs::remove_dir(self.path()).expect("removed");
        std::fs::rename(self.folder.path().join("aside"), self.path()).expect("moved back");
    }

    fn throttle_next(&self) -> bool {
        false
    }

    fn refuse(&self, _: &'static str) -> bool {
        false
    }
}

#[tokio::test]
async fn the_file_sink_conforms() {
    conforms(&FileWorld { folder: tempfile::tempdir().expect("a folder") }).await;
}

#[derive(Clone, Default)]
struct StdoutWorld(Arc<Mutex<Pipe>>);

#[derive(Default)]
struct Pipe {
    bytes: Vec<u8>,
    down: bool,
    lose_answer: bool,
}

impl Write for StdoutWorld {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut pipe = self.0.lock().unwrap();
        if pipe.down {
            return Err(ErrorKind::StorageFull.into());
        }
        pipe.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.0.lock().unwrap().lose_answer) {
            true => Err(io::Error::other("who knows")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl World for StdoutWorld {
    fn sink(&self) -> Arc<dyn Sink> {
        let out = Box::new(self.clone());
        Arc::new(StdoutSink::with_writer("stdout", out).expect("a thread"))
    }

    async fn arrived(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().bytes.clone()).expect("text");
        text.lines().map(str::to_owned).collect()
    }

    fn lose_next_answer(&self) -> bool {
        self.0.lock().unwrap().lose_answer = true;
        true
    }

    fn break_down(&self) {
        self.0.lock().unwrap().down = true;
    }

    fn recover(&self) {
        self.0.lock().unwrap().down = false;
    }

    fn throttle_next(&self) -> bool {
        false
    }

    fn refuse(&self, _: &'static str) -> bool {
        false
    }
}

#[tokio::test]
async fn the_stdout_sink_conforms() {
    conforms(&StdoutWorld::default()).await;
}
