#![doc = include_str!("../README.md")]

mod answer;
mod calls;
mod cloudwatch_logs;
mod eventbridge;
mod firehose;
mod kinesis;
mod message;
mod s3;
mod sns;
mod sqs;

pub use calls::LONGEST_WRITE;
pub use cloudwatch_logs::{CloudWatchLogsSettings, CloudWatchLogsSink};
pub use eventbridge::{EventBridgeSettings, EventBridgeSink};
pub use firehose::FirehoseSink;
pub use kinesis::{KinesisSettings, KinesisSink, PartitionKey};
pub use message::MessageGroup;
pub use s3::{
    KeyTemplate, LineCompression, ParquetCompression, S3Body, S3Sink, S3SinkSettings, TemplateError,
};
pub use sns::{SnsSettings, SnsSink};
pub use sqs::{SqsSettings, SqsSink};
