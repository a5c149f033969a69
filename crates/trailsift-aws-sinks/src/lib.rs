#![doc = include_str!("../README.md")]

mod answer;
mod calls;
mod facts;
mod firehose;
mod kinesis;
mod s3;

pub use calls::LONGEST_WRITE;
pub use firehose::FirehoseSink;
pub use kinesis::{KinesisSettings, KinesisSink, PartitionKey};
pub use s3::{
    KeyTemplate, LineCompression, ParquetCompression, S3Body, S3Sink, S3SinkSettings, TemplateError,
};
