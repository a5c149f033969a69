use std::fmt;

use async_trait::async_trait;
use aws_sdk_firehose::Client;
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::{DeliveryStreamStatus, PutRecordBatchResponseEntry, Record};
use trailsift_aws::{AnswerLimit, Session};
use trailsift_core::{Batch, Limits, Sink, SinkError, WriteOutcome};
use trailsift_delivery::Blame;

use crate::answer::{Verdict, entry_failed, judge, later, unmentioned};
use crate::calls::{AT_ONCE, Answer, Settled, once, pack};

#[cfg(test)]
mod tests;

/// Records in one call.
const MOST_RECORDS: usize = 500;
/// Bytes in one call.
const MOST_BYTES: usize = 4 << 20;
/// Bytes in one record, before the Base64 of the protocol: 1,000 KiB.
const RECORD_BYTES: usize = 1000 << 10;

/// Puts each event as one record, ended by a line break, into a Firehose stream: what Firehose joins to
/// files is JSON Lines then.
///
/// Of a call that is answered in part, exactly the records that have an ID are acknowledged; the others
/// are retried. What Firehose already has when an answer is lost is there twice.
pub struct FirehoseSink {
    name: String,
    stream: String,
    session: Session,
    client: Client,
    blame: Blame,
}

impl fmt::Debug for FirehoseSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirehoseSink")
            .field("name", &self.name)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

impl FirehoseSink {
    /// For the stream of this name. Makes no call.
    pub fn new(name: impl Into<String>, session: &Session, stream: impl Into<String>) -> Self {
        let client = Client::from_conf(
            aws_sdk_firehose::config::Builder::from(&once(session))
                .interceptor(AnswerLimit::USUAL)
                .build(),
        );
        let blame = Blame::new("the stream's source and what stands before it");
        let session = session.clone();
        Self { name: name.into(), stream: stream.into(), session, client, blame }
    }

    async fn put(&self, batch: &Batch, part: &[usize]) -> Answer {
        let mut records = Vec::with_capacity(part.len());
        for entry in part.iter().map(|place| &batch.entries[*place]) {
            let mut line = entry.line().into_owned();
            line.push(b'\n');
            match Record::builder().data(Blob::new(line)).build() {
                Ok(record) => records.push(record),
                Err(error) => {
                    let failed = SinkError::retry("a record cannot be made").because(error);
                    return Answer::Failed(Verdict::Later(failed));
                }
            }
        }
        let put = self.client.put_record_batch().delivery_stream_name(&self.stream);
        match put.set_records(Some(records)).send().await {
            Ok(answer) => results(part, &answer.request_responses),
            Err(error) => Answer::Failed(judge(DOING, &self.session.fault(&error))),
        }
    }
}

const DOING: &str = "cannot put records into the stream";

/// What the answer says of each record. Only a record's ID is an acknowledgement.
fn results(part: &[usize], records: &[PutRecordBatchResponseEntry]) -> Answer {
    if records.len() != part.len() {
        // Which of them is whose is unknown.
        return Answer::Of(part.iter().map(|place| (*place, Err(unmentioned()))).collect());
    }
    let result =
        |record: &PutRecordBatchResponseEntry| match (&record.error_code, &record.record_id) {
            (None, Some(id)) if !id.is_empty() => Ok(()),
            (None, _) => Err(unmentioned()),
            (Some(code), _) => {
                let message = record.error_message.as_deref().unwrap_or_default();
                Err(entry_failed(DOING, code, message, None))
            }
        };
    Answer::Of(part.iter().zip(records).map(|(place, record)| (*place, result(record))).collect())
}

#[async_trait]
impl Sink for FirehoseSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn limits(&self) -> Limits {
        // Less the line break. Each call on its way is in memory in two forms, so only some of them are.
        Limits { bytes: 4 * MOST_BYTES, entry_bytes: RECORD_BYTES - 1, ..Limits::NONE }
    }

    async fn check(&self) -> Result<(), SinkError> {
        let asked = self.client.describe_delivery_stream().delivery_stream_name(&self.stream);
        let answer = asked
            .send()
            .await
            .map_err(|error| later("cannot describe the stream", &self.session.fault(&error)))?;
        match answer.delivery_stream_description().map(|it| it.delivery_stream_status()) {
            Some(DeliveryStreamStatus::Active) => self.blame.check(),
            Some(status) => Err(SinkError::retry(format!(
                "the stream is {}: it takes records once it is ACTIVE",
                status.as_str().escape_debug()
            ))),
            None => Err(SinkError::retry("Firehose does not say how the stream is")),
        }
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        let mut settled = Settled::undecided(batch.entries.len());
        let sizes = batch.entries.iter().map(|entry| entry.data.len() + 1).enumerate();
        let parts = pack(sizes, MOST_RECORDS, MOST_BYTES);
        settled.deliver(parts, AT_ONCE, async |part| self.put(batch, &part).await).await;
        Ok(settled.blaming(&self.blame).outcome())
    }
}
