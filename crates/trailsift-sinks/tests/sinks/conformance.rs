//! The conformance suite of sinks on standard output, files and HTTP collectors.

use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use trailsift_core::{Limits, Sink};
use trailsift_sinks::{FileSettings, FileSink, HttpSettings, HttpSink, StdoutSink};
use trailsift_testkit::conformance::{self, Gap, SinkWorld};

use crate::collector::{Collector, Fault, events};

struct HttpWorld {
    collector: Collector,
    down: Arc<Mutex<bool>>,
    refused: Arc<Mutex<Option<&'static str>>>,
}

#[async_trait]
impl SinkWorld for HttpWorld {
    fn sink(&self) -> Arc<dyn Sink> {
        let settings = HttpSettings {
            timeout: Duration::from_secs(20),
            limits: Limits { events: 100, bytes: 1 << 16, entry_bytes: 512 },
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

    fn take_first_only(&self) -> bool {
        false
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
    assert_eq!(conformance::sink(&world).await, [Gap::NeverTakesInPart]);
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
impl SinkWorld for FileWorld {
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

    fn take_first_only(&self) -> bool {
        false
    }

    fn refuse(&self, _: &'static str) -> bool {
        false
    }
}

#[tokio::test]
async fn the_file_sink_conforms() {
    let world = FileWorld { folder: tempfile::tempdir().expect("a folder") };
    let gaps = [
        Gap::NoLimit,
        Gap::NeverTakesInPart,
        Gap::AnswersAreNeverLost,
        Gap::NeverThrottles,
        Gap::NeverRefusesOne,
    ];
    assert_eq!(conformance::sink(&world).await, gaps);
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
impl SinkWorld for StdoutWorld {
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

    fn take_first_only(&self) -> bool {
        false
    }

    fn refuse(&self, _: &'static str) -> bool {
        false
    }
}

#[tokio::test]
async fn the_stdout_sink_conforms() {
    let gaps = [Gap::NoLimit, Gap::NeverTakesInPart, Gap::NeverThrottles, Gap::NeverRefusesOne];
    assert_eq!(conformance::sink(&StdoutWorld::default()).await, gaps);
}
