use std::sync::Arc;

use bytes::Bytes;
use trailsift_core::{Batch, Entry, Limits, Sink, SinkError, WriteOutcome};
use trailsift_route::Format;

/// Takes each record out of what its format made of it, so that whatever is behind, and the oracle,
/// sees the records.
#[derive(Debug)]
pub(crate) struct Unpacked {
    pub(crate) format: Format,
    pub(crate) sink: Arc<dyn Sink>,
}

impl Unpacked {
    fn record(&self, event: &Bytes) -> Bytes {
        let text = std::str::from_utf8(event).expect("UTF-8");
        let (begin, end) = match self.format {
            Format::Raw => return event.clone(),
            Format::Envelope => {
                let end = text.rfind(",\"trailsift\":{\"account\":\"").expect("an envelope");
                ("{\"event\":".len(), end)
            }
            Format::CloudEvents => {
                let data = "\"datacontenttype\":\"application/json\"";
                let about = text.find(data).expect("a cloud event");
                let data = text[about..].find(",\"data\":").expect("its data");
                (about + data + ",\"data\":".len(), text.len() - 1)
            }
            other => unreachable!("no world has {other:?}"),
        };
        event.slice(begin..end)
    }
}

#[async_trait::async_trait]
impl Sink for Unpacked {
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
        let unpack = |entry: &Entry| Entry { data: self.record(&entry.data), ..entry.clone() };
        let entries = batch.entries.iter().map(unpack).collect();
        self.sink.write(&Batch { entries, more_follows: batch.more_follows }).await
    }

    async fn close(&self) {
        self.sink.close().await;
    }
}
