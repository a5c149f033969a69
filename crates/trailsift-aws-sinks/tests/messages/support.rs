//! Sessions, sinks and batches.

use std::sync::Arc;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use trailsift_aws::{Connector, Session, SessionSettings};
use trailsift_aws_sinks::{
    CloudWatchLogsSettings, CloudWatchLogsSink, EventBridgeSettings, EventBridgeSink, MessageGroup,
    SnsSettings, SnsSink, SqsSettings, SqsSink,
};
use trailsift_core::{Batch, Disposition, Sink, SinkError, WriteOutcome};
use trailsift_testkit::conformance::batch;

/// A session whose every call goes to this endpoint, with the role if one is named.
pub(crate) async fn session_as(endpoint: &str, region: &str, role_arn: Option<&str>) -> Session {
    let credentials = Credentials::new("test", "test", None, None, "test");
    let base = aws_config::defaults(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .region(Region::new("eu-north-1"))
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .load()
        .await;
    let settings = SessionSettings {
        region: region.to_owned(),
        role_arn: role_arn.map(str::to_owned),
        external_id: role_arn.map(|_| "the-external-id".to_owned()),
        endpoint_url: Some(endpoint.to_owned()),
    };
    Connector::over(base).session(&settings).await
}

pub(crate) async fn session(endpoint: &str) -> Session {
    session_as(endpoint, "us-east-1", None).await
}

pub(crate) const QUEUE_URL: &str = "https://sqs.us-east-1.amazonaws.com/111122223333/events";
pub(crate) const TOPIC_ARN: &str = "arn:aws:sns:us-east-1:111122223333:events";

pub(crate) fn sqs(session: &Session, queue_url: &str) -> Arc<dyn Sink> {
    let message_group = MessageGroup::Account;
    let settings = SqsSettings { queue_url: queue_url.to_owned(), message_group };
    Arc::new(SqsSink::new("sqs", session, settings))
}

pub(crate) fn sns(session: &Session, topic_arn: &str) -> Arc<dyn Sink> {
    let settings = SnsSettings {
        topic_arn: topic_arn.to_owned(),
        message_group: MessageGroup::Event,
        message_bytes: SnsSettings::MESSAGE_BYTES,
    };
    Arc::new(SnsSink::new("sns", session, settings))
}

pub(crate) fn eventbridge(session: &Session, bus: &str, call_bytes: usize) -> Arc<dyn Sink> {
    let settings = EventBridgeSettings {
        event_bus: bus.to_owned(),
        source: "trailsift".to_owned(),
        detail_type: "CloudTrail event".to_owned(),
        call_bytes,
    };
    Arc::new(EventBridgeSink::new("eventbridge", session, settings))
}

pub(crate) fn logs(session: &Session, group: &str) -> Arc<dyn Sink> {
    let settings =
        CloudWatchLogsSettings { log_group: group.to_owned(), log_stream: "trailsift".to_owned() };
    Arc::new(CloudWatchLogsSink::new("logs", session, settings))
}

/// One of each, all at this endpoint.
pub(crate) async fn every_sink(endpoint: &str) -> Vec<Arc<dyn Sink>> {
    let session = session(endpoint).await;
    vec![
        sqs(&session, QUEUE_URL),
        sns(&session, TOPIC_ARN),
        eventbridge(&session, "default", EventBridgeSettings::CALL_BYTES),
        logs(&session, "group"),
    ]
}

/// Records with these eventIDs.
pub(crate) fn records(ids: impl IntoIterator<Item = u32>) -> Batch {
    batch(ids.into_iter().map(|id| {
        format!(
            "{{\"eventTime\":\"2026-11-16T01:02:03Z\",\"eventID\":\"id-{id}\",\
             \"recipientAccountId\":\"111122223333\"}}"
        )
    }))
}

/// What became of each entry: `.` acknowledged, `?` to be retried, `L` too large, `x` rejected.
pub(crate) fn verdict(batch: &Batch, answer: Result<WriteOutcome, SinkError>) -> String {
    use trailsift_core::Reason::{SinkRecordTooLarge, SinkRejected};
    let mut letters = vec!['.'; batch.entries.len()];
    let failures = match answer {
        Ok(outcome) => outcome.failures,
        Err(SinkError { disposition: Disposition::Retry { .. }, .. }) => {
            return "?".repeat(batch.entries.len());
        }
        Err(error) => panic!("not to be retried: {error:?}"),
    };
    for failure in failures {
        letters[failure.index] = match failure.error.disposition {
            Disposition::Retry { .. } => '?',
            Disposition::Poison { reason: SinkRecordTooLarge } => 'L',
            Disposition::Poison { reason: SinkRejected } => 'x',
            _ => '!',
        };
    }
    letters.into_iter().collect()
}

/// What is sent in these events, and what became of them.
pub(crate) async fn write(sink: &dyn Sink, batch: &Batch) -> String {
    verdict(batch, sink.write(batch).await)
}
