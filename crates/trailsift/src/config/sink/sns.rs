//! `type = "sns"`.

use std::fmt::{self, Write};

use trailsift_aws_sinks::SnsSettings;

use super::aws::{AwsConfig, arn, aws, judge_region};
use super::sqs::{message_group, message_group_word};
use crate::config::ByteSize;
use crate::config::kinds::{Size, Text};
use crate::config::print::quoted;
use crate::config::reader::Section;

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnsConfig {
    /// Where SNS is called and as whom.
    pub aws: AwsConfig,
    /// What is published where.
    pub settings: SnsSettings,
}

const TOPIC_ARN: Text = Text {
    what: "the ARN of an SNS topic",
    judge: |text| match is_topic(text) {
        true => Ok(()),
        false => Err((
            format!("is no ARN of a topic: {text:?}"),
            "it looks like \"arn:aws:sns:us-east-1:111122223333:trail\"".into(),
        )),
    },
};

fn is_topic(text: &str) -> bool {
    let Some(topic) = arn(text, "sns") else { return false };
    let name = topic.resource.strip_suffix(".fifo").unwrap_or(topic.resource);
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
    (1..=256).contains(&topic.resource.len()) && !name.is_empty() && name.bytes().all(allowed)
}

/// What could not be read is reported, so a value that stands in for it is never used.
pub(super) fn sns(section: &mut Section<'_, '_>) -> SnsConfig {
    let aws = aws(section);
    let topic_arn = section.need("topic_arn", TOPIC_ARN);
    if let Some(topic) = &topic_arn {
        judge_region(section, "topic_arn", topic, arn(&topic.value, "sns"), &aws);
    }
    let topic_arn = topic_arn.map_or_else(String::new, |at| at.value);
    let usual = ByteSize::new(SnsSettings::MESSAGE_BYTES as u64);
    let sizes = ByteSize::new(1 << 10)..=ByteSize::mebibytes(1);
    let max_message = section.get_or("max_message", Size(sizes), usual);
    SnsConfig {
        aws,
        settings: SnsSettings {
            message_group: message_group(section, topic_arn.ends_with(".fifo"), "topic"),
            topic_arn,
            message_bytes: usize::try_from(max_message.bytes()).unwrap_or(usize::MAX),
        },
    }
}

impl SnsConfig {
    /// As keys of TOML.
    pub(in crate::config) fn print(&self, f: &mut impl Write) -> fmt::Result {
        let SnsSettings { topic_arn, message_group, message_bytes } = &self.settings;
        writeln!(f, "type = \"sns\"\ntopic_arn = {}", quoted(topic_arn))?;
        if topic_arn.ends_with(".fifo") {
            writeln!(f, "message_group = \"{}\"", message_group_word(*message_group))?;
        }
        writeln!(f, "max_message = \"{}\"", ByteSize::new(*message_bytes as u64))?;
        self.aws.print(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_an_arn() {
        for good in [
            "arn:aws:sns:us-east-1:111122223333:trail",
            "arn:aws-cn:sns:cn-north-1:111122223333:a_b-C.fifo",
        ] {
            assert!(is_topic(good), "{good}");
        }
        for bad in [
            "",
            "trail",
            "arn:aws:sns:us-east-1:1:trail",
            "arn:aws:sns::111122223333:trail",
            "arn:aws:sqs:us-east-1:111122223333:trail",
            "arn:aws:sns:us-east-1:111122223333:trail:6d0e",
            "arn:aws:sns:us-east-1:111122223333:.fifo",
        ] {
            assert!(!is_topic(bad), "{bad}");
        }
    }
}
