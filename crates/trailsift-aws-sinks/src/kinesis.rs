use std::fmt;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, PutRecordsResultEntry};
use trailsift_aws::{AnswerLimit, Session};
use trailsift_core::{Batch, Entry, Limits, Sink, SinkError, WriteOutcome};
use trailsift_delivery::{Blame, facts};
use trailsift_event::Event;

use crate::answer::{entry_failed, judge, later, unmentioned};
use crate::calls::{AT_ONCE, Answer, Settled, once, pack};

#[cfg(test)]
mod tests;

/// The settings of a [`KinesisSink`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KinesisSettings {
    /// The stream's name or ARN.
    pub stream: String,
    /// What decides to which shard an event goes.
    pub partition_key: PartitionKey,
    /// The most bytes that the stream takes as one record, its partition key included: 1 MiB unless the
    /// stream is set to more, [`Self::LARGEST_RECORD`] at most.
    pub record_bytes: usize,
}

impl KinesisSettings {
    /// What a stream takes unless it was set to more.
    pub const USUAL_RECORD: usize = 1 << 20;
    /// What a stream can be set to.
    pub const LARGEST_RECORD: usize = 10 << 20;
}

/// What decides to which shard an event goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionKey {
    /// Each event by itself, by its `eventID`: shards fill evenly.
    EventId,
    /// All events of an account go to one shard, whose throughput they share.
    Account,
}

/// Records in one call.
const MOST_RECORDS: usize = 500;
/// Bytes in one call, partition keys included. Kinesis takes 10 MiB now and took 5 before, which
/// emulators still do; only a record that is larger alone needs more.
const MOST_BYTES: usize = 5 << 20;
/// A partition key of ours has at most this many bytes.
const KEY_BYTES: usize = 128;

/// Puts each event as one record into a Kinesis data stream.
///
/// The record is the event's bytes, without a line break. Of a call that is answered in part, exactly
/// the records that have a sequence number are acknowledged; the others are retried, so the order of
/// events is not kept. What Kinesis itself already has when an answer is lost is there twice: consumers
/// know it by its `eventID`.
pub struct KinesisSink {
    name: String,
    settings: KinesisSettings,
    session: Session,
    client: Client,
    blame: Blame,
}

impl fmt::Debug for KinesisSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KinesisSink")
            .field("name", &self.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl KinesisSink {
    /// Makes no call.
    pub fn new(name: impl Into<String>, session: &Session, settings: KinesisSettings) -> Self {
        let client = Client::from_conf(
            aws_sdk_kinesis::config::Builder::from(&once(session))
                .interceptor(AnswerLimit::USUAL)
                .build(),
        );
        let blame = Blame::new("the stream's limit for a record against max_record");
        Self { name: name.into(), settings, session: session.clone(), client, blame }
    }

    /// The stream as the service wants it named: name, ARN.
    fn stream(&self) -> (Option<String>, Option<String>) {
        let stream = Some(self.settings.stream.clone());
        match self.settings.stream.starts_with("arn:") {
            true => (None, stream),
            false => (stream, None),
        }
    }

    fn key(&self, entry: &Entry) -> String {
        let event = Event::new(&entry.record);
        let key = match self.settings.partition_key {
            PartitionKey::EventId => facts::id(entry, &event),
            PartitionKey::Account => facts::owner(entry, &event),
        };
        key.into_owned()
    }

    async fn put(&self, batch: &Batch, part: &[usize]) -> Answer {
        let mut records = Vec::with_capacity(part.len());
        for entry in part.iter().map(|place| &batch.entries[*place]) {
            let record = PutRecordsRequestEntry::builder()
                .data(Blob::new(entry.data.to_vec()))
                .partition_key(self.key(entry));
            match record.build() {
                Ok(record) => records.push(record),
                Err(error) => {
                    let failed = SinkError::retry("a record cannot be made").because(error);
                    return Answer::Failed(crate::answer::Verdict::Later(failed));
                }
            }
        }
        let (name, arn) = self.stream();
        let put = self.client.put_records().set_stream_name(name).set_stream_arn(arn);
        match put.set_records(Some(records)).send().await {
            Ok(answer) => results(part, &answer.records),
            Err(error) => {
                let fault = self.session.fault(&error);
                Answer::Failed(judge(DOING, &fault))
            }
        }
    }
}

const DOING: &str = "cannot put records into the stream";

/// What the answer says of each record. Only a sequence number is an acknowledgement.
fn results(part: &[usize], records: &[PutRecordsResultEntry]) -> Answer {
    if records.len() != part.len() {
        // Which of them is whose is unknown.
        return Answer::Of(part.iter().map(|place| (*place, Err(unmentioned()))).collect());
    }
    let result =
        |record: &PutRecordsResultEntry| match (&record.error_code, &record.sequence_number) {
            (None, Some(number)) if !number.is_empty() => Ok(()),
            (None, _) => Err(unmentioned()),
            (Some(code), _) => {
                let message = record.error_message.as_deref().unwrap_or_default();
                Err(entry_failed(DOING, code, message, None))
            }
        };
    Answer::Of(part.iter().zip(records).map(|(place, record)| (*place, result(record))).collect())
}

#[async_trait]
impl Sink for KinesisSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn limits(&self) -> Limits {
        let entry_bytes = self.settings.record_bytes.saturating_sub(KEY_BYTES);
        // Each call on its way is in memory in two forms, so only some of them are.
        Limits { bytes: 4 * MOST_BYTES, entry_bytes, ..Limits::NONE }
    }

    async fn check(&self) -> Result<(), SinkError> {
        let (name, arn) = self.stream();
        let asked = self.client.describe_stream_summary().set_stream_name(name).set_stream_arn(arn);
        let answer = asked
            .send()
            .await
            .map_err(|error| later("cannot describe the stream", &self.session.fault(&error)))?;
        use aws_sdk_kinesis::types::StreamStatus::{Active, Updating};
        match answer.stream_description_summary().map(|it| it.stream_status()) {
            Some(Active | Updating) => self.blame.check(),
            Some(status) => Err(SinkError::retry(format!(
                "the stream is {}: it takes records once it is ACTIVE",
                status.as_str().escape_debug()
            ))),
            None => Err(SinkError::retry("Kinesis does not say how the stream is")),
        }
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        let mut settled = Settled::undecided(batch.entries.len());
        let sizes = batch.entries.iter().map(|entry| entry.data.len() + KEY_BYTES).enumerate();
        let parts = pack(sizes, MOST_RECORDS, MOST_BYTES);
        settled.deliver(parts, AT_ONCE, async |part| self.put(batch, &part).await).await;
        Ok(settled.blaming(&self.blame).outcome())
    }
}
