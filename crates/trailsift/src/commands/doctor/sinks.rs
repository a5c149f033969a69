//! Whether each sink could be written to, by its own check, built as the service builds it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use futures::future::join_all;
use prometheus::Registry;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use trailsift_aws::Connector;
use trailsift_core::Sink;
use trailsift_delivery::SinkMetrics;

use super::line::{Line, Section};
use super::machine::writable;
use crate::commands::run::wiring;
use crate::config::{Config, SinkKind};

const CHECK: &str = "reachable";
/// One section for each of the named sinks.
pub(super) async fn sections(
    config: &Config,
    names: Vec<&str>,
    connector: &Connector,
    deadline: Instant,
) -> Vec<Section> {
    let mut wanted = config.clone();
    wanted.sinks.retain(|name, _| names.contains(&name.as_str()));
    let built = match build(&wanted, connector).await {
        Ok(built) => built,
        Err(error) => {
            let line =
                Line::fail(CHECK, format!("a sink cannot be made: {error:#}"), "mend its entry");
            return vec![Section { subject: "sinks".to_owned(), lines: vec![line] }];
        }
    };
    let checks = wanted.sinks.iter().filter_map(|(name, sink)| {
        let built = built.get(name)?;
        Some(async move {
            let asked = async {
                match &sink.kind {
                    SinkKind::File(file) => folder(file.path.clone()).await,
                    SinkKind::Stdout => Ok("its reader is found by writing only".to_owned()),
                    _ => ask(&**built).await,
                }
            };
            let found = timeout_at(deadline, asked).await;
            let found = found.unwrap_or_else(|_| Err("it does not answer in time".to_owned()));
            let line = judge(found, &sink.kind, sink.required);
            Section { subject: format!("sink {name}"), lines: vec![line] }
        })
    });
    join_all(checks).await
}

async fn build(
    config: &Config,
    connector: &Connector,
) -> anyhow::Result<BTreeMap<String, std::sync::Arc<dyn Sink>>> {
    let metrics = SinkMetrics::register(&Registry::new())?;
    wiring::sinks(config, wiring::Lingering::ALONE, connector, &metrics).await
}

/// A running service holds the file: it is not asked to let go.
async fn folder(path: PathBuf) -> Result<String, String> {
    let looked = spawn_blocking(move || {
        let folder = path.parent().unwrap_or(Path::new("."));
        if path.is_dir() {
            return Err(format!("{} is a folder", path.display()));
        }
        writable(folder).map(|()| format!("{} can be written", folder.display()))
    });
    looked.await.unwrap_or_else(|error| Err(error.to_string()))
}

async fn ask(sink: &dyn Sink) -> Result<String, String> {
    match sink.check().await {
        Ok(()) => Ok("it answers".to_owned()),
        Err(error) => Err(format!("{:#}", anyhow::Error::new(error))),
    }
}

fn judge(found: Result<String, String>, kind: &SinkKind, required: bool) -> Line {
    let why = match found {
        Ok(text) => return Line::ok(CHECK, text),
        Err(why) => why,
    };
    let remedy = remedy(kind);
    match required {
        true => Line::fail(
            CHECK,
            why,
            format!(
                "{remedy}. Until then messages wait for this sink: no event that it is owed is settled without it"
            ),
        ),
        false => Line::warn(
            CHECK,
            why,
            format!("{remedy}. Until then events are dropped for this best-effort sink"),
        ),
    }
}

/// What to look at. The right to be asked is often another than the one to write.
fn remedy(kind: &SinkKind) -> &'static str {
    match kind {
        SinkKind::Stdout => "see what reads standard output",
        SinkKind::File(_) => "let `path` be in a folder that this user may write to",
        SinkKind::Http(_) => {
            "see that `url` is right, that this machine reaches it, and that its credentials are valid"
        }
        SinkKind::SplunkHec(_) => {
            "see that `url` leads to the collector (port 8088), that it is enabled and the token valid; where              `acknowledge` is true, that the token has indexer acknowledgement"
        }
        SinkKind::OpenSearch(_) => {
            "see that `url` leads to the cluster and that the user may write to the index"
        }
        SinkKind::Otlp(_) => {
            "see that `url` ends with the receiver's path for logs (/v1/logs), and that its headers let us in"
        }
        SinkKind::Kafka(_) => {
            "see that this machine reaches every broker, that the topic exists, and that the user may describe it and              write to it"
        }
        SinkKind::S3(_) => {
            "see that the bucket exists, in `region` and `owner`'s, and that the sink's credentials (`role_arn`) allow              s3:ListBucket, which this asks for, and s3:PutObject"
        }
        SinkKind::Kinesis(_) => {
            "see that the stream exists in `region`, and that the sink's credentials (`role_arn`) allow              kinesis:DescribeStreamSummary, which this asks for, and kinesis:PutRecords"
        }
        SinkKind::Firehose(_) => {
            "see that the stream exists in `region` and is active, and that the sink's credentials (`role_arn`) allow              firehose:DescribeDeliveryStream, which this asks for, and firehose:PutRecordBatch"
        }
        SinkKind::Sqs(_) => {
            "see that the queue exists in `region`, and that the sink's credentials (`role_arn`) allow              sqs:GetQueueAttributes, which this asks for, and sqs:SendMessage"
        }
        SinkKind::Sns(_) => {
            "see that the topic exists, and that the sink's credentials (`role_arn`) allow sns:GetTopicAttributes,              which this asks for, and sns:Publish"
        }
        SinkKind::EventBridge(_) => {
            "see that the bus exists in `region`, and that the sink's credentials (`role_arn`) allow              events:DescribeEventBus, which this asks for, and events:PutEvents"
        }
        SinkKind::CloudWatchLogs(_) => {
            "see that the log group exists in `region`, and that the sink's credentials (`role_arn`) allow              logs:DescribeLogStreams, which this asks for, logs:CreateLogStream and logs:PutLogEvents"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::line::Level;

    #[test]
    fn only_a_sink_that_messages_wait_for_fails() {
        let judged = |found, required| judge(found, &SinkKind::Stdout, required).level;
        assert_eq!(judged(Ok("it answers".into()), true), Level::Ok);
        assert_eq!(judged(Err("401".into()), true), Level::Fail);
        assert_eq!(judged(Err("401".into()), false), Level::Warn);
    }
}
