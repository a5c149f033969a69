use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::future::join_all;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use trailsift_core::{
    Batch, Clock, Disposition, Entry, Message, Reason, Sink, SinkError, Source, chain,
};

use crate::metrics::PipelineMetrics;
use crate::patience::{GivenUp, Patience, Share};

/// Where goes what can be neither delivered nor retried: written durably before the message may be
/// deleted, with the reason and where it came from.
#[derive(Clone, Debug)]
pub struct Quarantine {
    place: Place,
    clock: Arc<dyn Clock>,
    metrics: PipelineMetrics,
}

#[derive(Clone, Debug)]
enum Place {
    Sink(Arc<dyn Sink>, Arc<Patience>),
    Redrive,
}

/// What is to be parked: a message, an object of it, or one record of that.
#[derive(Clone, Debug)]
pub(crate) struct Parcel<'a> {
    pub(crate) reason: Reason,
    /// What exactly is wrong, for a person.
    pub(crate) error: String,
    pub(crate) account: &'a str,
    pub(crate) message: &'a Message,
    /// The message's body, unless another line has it.
    pub(crate) body: Option<&'a str>,
    pub(crate) bucket: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
    pub(crate) version_id: Option<&'a str>,
    /// The entity tag of what was read, if it was read.
    pub(crate) etag: Option<&'a str>,
    pub(crate) index: Option<u64>,
    /// The sink that refuses the record; `None` where it is nobody's in particular.
    pub(crate) sink: Option<&'a str>,
    /// The record, or the first KiB of what cannot be read.
    pub(crate) data: Option<&'a [u8]>,
    /// Its message has more to deliver or to park, but only once this is parked.
    pub(crate) more_follows: bool,
}

/// How many parcels of a message are parked side by side: for each, its line is in memory.
const AT_ONCE: usize = 64;

/// One line of the quarantine, as the operator's page documents it.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    reason: &'static str,
    error: &'a str,
    account: &'a str,
    message_id: &'a str,
    body: Option<&'a str>,
    bucket: Option<&'a str>,
    key: Option<&'a str>,
    version_id: Option<&'a str>,
    /// Of what was read: absent where nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<&'a str>,
    index: Option<u64>,
    /// Of a record that one sink refuses; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    sink: Option<&'a str>,
    data: Option<std::borrow::Cow<'a, str>>,
    /// `base64` where `data` is not text; absent where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_encoding: Option<&'static str>,
}

/// The parcel is not in the quarantine: its message must not be deleted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotParked {
    #[error("the quarantine cannot be written: {0}")]
    Write(String),
    #[error("the quarantine's sink takes no line as large: {0}")]
    TooLarge(String),
    #[error("the quarantine {0}")]
    GivenUp(GivenUp),
    #[error("left to the queue's redrive policy ({0})")]
    LeftToRedrive(Reason),
}

impl NotParked {
    /// The least wait before the message comes again.
    pub(crate) fn after(&self) -> Duration {
        match self {
            Self::GivenUp(given_up) => given_up.pause(),
            Self::Write(_) | Self::TooLarge(_) | Self::LeftToRedrive(_) => Duration::ZERO,
        }
    }
}

impl Quarantine {
    /// Parks into a sink: by default a file sink in the data folder.
    pub fn sink(sink: Arc<dyn Sink>, clock: Arc<dyn Clock>, metrics: PipelineMetrics) -> Self {
        let patience = Patience::new(Share { workers: 1, sinks: 1 });
        Self { place: Place::Sink(sink, Arc::new(patience)), clock, metrics }
    }

    /// Parks nothing: the message stays, and the queue's redrive policy moves it in the end.
    pub fn redrive(clock: Arc<dyn Clock>, metrics: PipelineMetrics) -> Self {
        Self { place: Place::Redrive, clock, metrics }
    }

    /// The same, where messages wait for it as `share` says.
    pub(crate) fn with_share(self, share: Share) -> Self {
        let place = match self.place {
            Place::Sink(sink, _) => Place::Sink(sink, Arc::new(Patience::new(share))),
            Place::Redrive => Place::Redrive,
        };
        Self { place, ..self }
    }

    /// The sink that holds the parcels, if there is one.
    pub(crate) fn as_sink(&self) -> Option<&Arc<dyn Sink>> {
        match &self.place {
            Place::Sink(sink, _) => Some(sink),
            Place::Redrive => None,
        }
    }

    /// Parks the parcel. `Ok` means durable. A quarantine that acknowledges nothing is waited for as
    /// any sink is. Of a record whose line its sink does not take for its size, the beginning is parked and
    /// where the rest is: it would come again for ever otherwise.
    pub(crate) async fn park(&self, mut parcel: Parcel<'_>) -> Result<(), NotParked> {
        match (self.write(&parcel).await, parcel.index, parcel.data) {
            (Err(NotParked::TooLarge(_)), Some(_), Some(data)) if data.len() > BEGINNING => {
                parcel.error.push_str(CUT);
                parcel.data = Some(beginning(data));
                self.write(&parcel).await?;
            }
            (written, ..) => written?,
        }
        self.note(&parcel);
        Ok(())
    }

    /// Parks each, and answers in their order. Side by side, so that the quarantine's sink writes them as
    /// few batches, and the message waits for the company of others once.
    pub(crate) async fn park_all(&self, parcels: Vec<Parcel<'_>>) -> Vec<Result<(), NotParked>> {
        let mut answers = Vec::with_capacity(parcels.len());
        let mut parcels = parcels.into_iter().peekable();
        while parcels.peek().is_some() {
            let mut group: Vec<_> = parcels.by_ref().take(AT_ONCE).collect();
            let others_follow = parcels.peek().is_some();
            // The last one alone says so, or it would not find the others of its group there.
            let last = group.len() - 1;
            for (place, parcel) in group.iter_mut().enumerate() {
                parcel.more_follows = place == last && (others_follow || parcel.more_follows);
            }
            answers.extend(join_all(group.into_iter().map(|parcel| self.park(parcel))).await);
        }
        answers
    }

    async fn write(&self, parcel: &Parcel<'_>) -> Result<(), NotParked> {
        let (sink, patience) = match &self.place {
            Place::Sink(sink, patience) => (sink, patience),
            Place::Redrive => return Err(NotParked::LeftToRedrive(parcel.reason)),
        };
        let line = self.line(parcel)?;
        let entry = Entry {
            record: line.clone(),
            data: line,
            index: parcel.index.unwrap_or(0),
            source: Arc::new(Source {
                account: parcel.account.to_owned(),
                bucket: parcel.bucket.unwrap_or_default().to_owned(),
                key: parcel.key.unwrap_or_default().to_owned(),
                version_id: parcel.version_id.map(ToOwned::to_owned),
                etag: None,
            }),
        };
        let batch = Batch { entries: vec![entry], more_follows: parcel.more_follows };
        // Cancel safety: a parcel whose write is given up is not parked; it comes again with its
        // message, and at worst is there twice.
        let outcome = tokio::select! {
            biased;
            outcome = sink.write(&batch) => outcome,
            given_up = patience.run_out() => return Err(NotParked::GivenUp(given_up)),
        };
        let outcome = outcome.map_err(|error| not_written(&error))?;
        if let Some(failure) = outcome.failures.first() {
            return Err(not_written(&failure.error));
        }
        patience.renew();
        Ok(())
    }

    fn line(&self, parcel: &Parcel<'_>) -> Result<Bytes, NotParked> {
        let data = parcel.data.map(|data| match std::str::from_utf8(data) {
            Ok(text) => (std::borrow::Cow::Borrowed(text), None),
            Err(_) => (std::borrow::Cow::Owned(BASE64.encode(data)), Some("base64")),
        });
        let (data, data_encoding) = data.map_or((None, None), |(data, enc)| (Some(data), enc));
        let line = Line {
            time: rfc3339(self.clock.now()),
            reason: parcel.reason.as_str(),
            error: &parcel.error,
            account: parcel.account,
            message_id: &parcel.message.id.0,
            body: parcel.body,
            bucket: parcel.bucket,
            key: parcel.key,
            version_id: parcel.version_id,
            etag: parcel.etag,
            index: parcel.index,
            sink: parcel.sink,
            data,
            data_encoding,
        };
        serde_json::to_vec(&line).map(Bytes::from).map_err(|e| NotParked::Write(e.to_string()))
    }

    fn note(&self, parcel: &Parcel<'_>) {
        self.metrics.quarantined.with_label_values(&[parcel.reason.as_str()]).inc();
        tracing::warn!(
            account = parcel.account,
            sqs.message_id = %parcel.message.id,
            sqs.sender_id = parcel.message.sender_id.as_deref(),
            s3.bucket = %parcel.bucket.unwrap_or_default().escape_debug(),
            s3.key = %parcel.key.unwrap_or_default().escape_debug(),
            index = parcel.index,
            reason = parcel.reason.as_str(),
            error = %parcel.error.escape_debug(),
            "quarantined"
        );
    }
}

/// So much is parked of a record whose whole the quarantine's sink does not take.
const BEGINNING: usize = 1 << 10;
const CUT: &str = " (cut: the quarantine's sink takes no line as large)";

/// Its first KiB, without a character that is cut in the middle.
fn beginning(record: &[u8]) -> &[u8] {
    let most = &record[..record.len().min(BEGINNING)];
    match std::str::from_utf8(most) {
        // No length is told where the end alone is at fault.
        Err(error) if error.error_len().is_none() => &most[..error.valid_up_to()],
        _ => most,
    }
}

fn not_written(error: &SinkError) -> NotParked {
    match error.disposition {
        Disposition::Poison { reason: Reason::SinkRecordTooLarge } => {
            NotParked::TooLarge(chain(error))
        }
        _ => NotParked::Write(chain(error)),
    }
}

/// The nearest time that a calendar has: a clock that went wrong must not stop a parcel.
fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let since = time::Duration::try_from(since).ok();
    let time = since.and_then(|since| OffsetDateTime::UNIX_EPOCH.checked_add(since));
    let text = time.and_then(|time| time.format(&Rfc3339).ok());
    text.unwrap_or_else(|| "9999-12-31T23:59:59Z".into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_beginning_of_a_record_is_text_where_the_record_is() {
        let text = format!("{}ü{}", "x".repeat(BEGINNING - 1), "y".repeat(9));
        assert_eq!(beginning(text.as_bytes()), "x".repeat(BEGINNING - 1).as_bytes());
        let mut bytes = text.replace('ü', "uu").into_bytes();
        assert_eq!(beginning(&bytes).len(), BEGINNING);
        bytes[5] = 0xff;
        assert_eq!(beginning(&bytes).len(), BEGINNING);
        assert_eq!(beginning(b"short"), b"short");
    }

    #[test]
    fn a_clock_that_went_wrong_dates_a_parcel_all_the_same() {
        let epoch = SystemTime::UNIX_EPOCH;
        let ahead = |seconds| epoch + Duration::from_secs(seconds);
        assert_eq!(rfc3339(ahead(1_700_000_000)), "2023-11-14T22:13:20Z");
        assert_eq!(rfc3339(epoch - Duration::from_secs(1)), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(ahead(1 << 40)), "9999-12-31T23:59:59Z");
        assert_eq!(rfc3339(ahead(i64::MAX as u64)), "9999-12-31T23:59:59Z");
    }
}
