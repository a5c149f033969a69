//! `type = "kinesis"`.

use std::fmt::{self, Write};

use trailsift_aws_sinks::{KinesisSettings, PartitionKey};

use super::aws::{AwsConfig, aws};
use crate::config::ByteSize;
use crate::config::kinds::{OneOf, Size, Text};
use crate::config::names::is_account_id;
use crate::config::print::quoted;
use crate::config::reader::Section;

/// A Kinesis data stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KinesisConfig {
    /// Where Kinesis is called and as whom.
    pub aws: AwsConfig,
    /// What is written.
    pub settings: KinesisSettings,
}

const STREAM: Text = Text {
    what: "the name or ARN of a Kinesis data stream",
    judge: |text| match is_stream(text) {
        true => Ok(()),
        false => Err((
            format!("is neither a stream's name nor its ARN: {text:?}"),
            "it looks like \"trail\" or \"arn:aws:kinesis:us-east-1:111122223333:stream/trail\""
                .into(),
        )),
    },
};

fn is_stream(text: &str) -> bool {
    let parts: Vec<_> = text.splitn(6, ':').collect();
    match parts[..] {
        ["arn", partition, "kinesis", region, account, stream] => {
            partition.starts_with("aws")
                && !region.is_empty()
                && is_account_id(account)
                && stream.strip_prefix("stream/").is_some_and(is_name)
        }
        _ => is_name(text),
    }
}

fn is_name(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    (1..=128).contains(&text.len()) && text.bytes().all(allowed)
}

const PARTITION_KEY: OneOf<PartitionKey> = OneOf {
    words: &[("event_id", PartitionKey::EventId), ("account", PartitionKey::Account)],
    later: &[],
};

/// What could not be read is reported, so a value that stands in for it is never used.
pub(super) fn kinesis(section: &mut Section<'_, '_>) -> KinesisConfig {
    let aws = aws(section);
    let stream = section.need("stream", STREAM);
    if let Some(stream) = &stream
        && let Some(region) = stream.value.split(':').nth(3)
        && region != aws.region
        && !aws.region.is_empty()
    {
        section.scope.findings.error(
            stream.place,
            format!("`stream` is in {region:?}, but the sink's region is {:?}", aws.region),
            "make the two agree",
        );
    }
    let usual = ByteSize::mebibytes(1);
    let sizes = ByteSize::new(1 << 10)..=ByteSize::mebibytes(10);
    let max_record = section.get_or("max_record", Size(sizes), usual);
    KinesisConfig {
        aws,
        settings: KinesisSettings {
            stream: stream.map_or_else(String::new, |at| at.value),
            partition_key: section.get_or("partition_key", PARTITION_KEY, PartitionKey::EventId),
            record_bytes: usize::try_from(max_record.bytes()).unwrap_or(usize::MAX),
        },
    }
}

impl KinesisConfig {
    /// As keys of TOML.
    pub(in crate::config) fn print(&self, f: &mut impl Write) -> fmt::Result {
        let settings = &self.settings;
        writeln!(f, "type = \"kinesis\"\nstream = {}", quoted(&settings.stream))?;
        let key = match settings.partition_key {
            PartitionKey::EventId => "event_id",
            PartitionKey::Account => "account",
        };
        writeln!(f, "partition_key = \"{key}\"")?;
        writeln!(f, "max_record = \"{}\"", ByteSize::new(settings.record_bytes as u64))?;
        self.aws.print(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_named_or_has_an_arn() {
        for good in ["trail", "a.b-c_D", "arn:aws-cn:kinesis:cn-north-1:111122223333:stream/t"] {
            assert!(is_stream(good), "{good}");
        }
        let long = "x".repeat(129);
        for bad in [
            "",
            "a b",
            "a/b",
            &long,
            "arn:aws:kinesis:us-east-1:111122223333:t",
            "arn:aws:kinesis:us-east-1:1:stream/t",
            "arn:aws:firehose:us-east-1:111122223333:deliverystream/t",
        ] {
            assert!(!is_stream(bad), "{bad}");
        }
    }
}
