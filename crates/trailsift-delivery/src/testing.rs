//! Sinks that do what a test says.

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use prometheus::Registry;
use prometheus::core::Collector as _;
use trailsift_core::{Batch, Entry, Limits, Sink, SinkError, Source, WriteOutcome};

use crate::SinkMetrics;

pub(crate) type Answer = Result<WriteOutcome, SinkError>;
type Script = Box<dyn Fn(Batch) -> BoxFuture<'static, Answer> + Send + Sync>;

/// Answers each write as its script says, and remembers what it was given.
pub(crate) struct ScriptedSink {
    limits: Limits,
    script: Script,
    written: Mutex<Vec<Vec<String>>>,
}

impl fmt::Debug for ScriptedSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScriptedSink")
    }
}

impl ScriptedSink {
    pub(crate) fn new<F>(script: impl Fn(Batch) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        Self::limited(Limits::NONE, script)
    }

    pub(crate) fn limited<F>(
        limits: Limits,
        script: impl Fn(Batch) -> F + Send + Sync + 'static,
    ) -> Arc<Self>
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let script: Script = Box::new(move |batch| Box::pin(script(batch)));
        Arc::new(Self { limits, script, written: Mutex::default() })
    }

    /// Every batch that came, as text.
    pub(crate) fn written(&self) -> Vec<Vec<String>> {
        self.written.lock().unwrap().clone()
    }
}

#[async_trait]
impl Sink for ScriptedSink {
    fn name(&self) -> &str {
        "scripted"
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    async fn check(&self) -> Result<(), SinkError> {
        Ok(())
    }

    async fn write(&self, batch: &Batch) -> Answer {
        self.written.lock().unwrap().push(batch.entries.iter().map(text).collect());
        (self.script)(batch.clone()).await
    }
}

pub(crate) fn text(entry: &Entry) -> String {
    String::from_utf8_lossy(&entry.data).into_owned()
}

pub(crate) fn batch<T: ToString>(texts: impl IntoIterator<Item = T>) -> Batch {
    let source = Arc::new(Source {
        account: "production".into(),
        bucket: "org-trail".into(),
        key: "AWSLogs/1.json.gz".into(),
        version_id: None,
        etag: None,
    });
    let entry = |(index, text): (usize, T)| {
        let data = Bytes::from(text.to_string());
        Entry { record: data.clone(), data, index: index as u64, source: Arc::clone(&source) }
    };
    let entries = texts.into_iter().enumerate().map(entry).collect();
    Batch { entries, more_follows: false }
}

pub(crate) fn metrics() -> SinkMetrics {
    SinkMetrics::register(&Registry::new()).expect("a fresh registry")
}

/// The events of all sinks that ended like this.
pub(crate) fn counted(metrics: &SinkMetrics, outcome: &str) -> f64 {
    metrics
        .events
        .collect()
        .iter()
        .flat_map(|family| family.get_metric())
        .filter(|metric| metric.get_label().iter().any(|label| label.value() == outcome))
        .map(|metric| metric.get_counter().get_value())
        .sum()
}

/// The indexes that an answer acknowledges.
pub(crate) fn acknowledged(count: usize, answer: &Answer) -> Vec<usize> {
    match answer {
        Err(_) => Vec::new(),
        Ok(outcome) => (0..count)
            .filter(|i| outcome.failures.iter().all(|failure| failure.index != *i))
            .collect(),
    }
}
