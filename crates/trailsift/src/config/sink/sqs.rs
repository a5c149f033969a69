//! `type = "sqs"`.

use std::fmt::{self, Write};

use trailsift_aws_sinks::{MessageGroup, SqsSettings};

use super::aws::{AwsConfig, aws};
use crate::config::findings::At;
use crate::config::kinds::OneOf;
use crate::config::names::{QUEUE_URL, judge_queue_host};
use crate::config::print::quoted;
use crate::config::reader::Section;

/// A queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqsConfig {
    /// Where SQS is called and as whom.
    pub aws: AwsConfig,
    /// What is sent where.
    pub settings: SqsSettings,
}

const MESSAGE_GROUP: OneOf<MessageGroup> = OneOf {
    words: &[("account", MessageGroup::Account), ("event", MessageGroup::Event)],
    later: &[],
};

/// What could not be read is reported, so a value that stands in for it is never used.
pub(super) fn sqs(section: &mut Section<'_, '_>) -> SqsConfig {
    let aws = aws(section);
    let queue_url = section.need("queue_url", QUEUE_URL);
    if let Some(queue) = &queue_url
        && aws.endpoint_url.is_none()
    {
        let region = Some(aws.region.as_str()).filter(|region| !region.is_empty());
        if let Err((problem, hint)) = judge_queue_host(&queue.value, region) {
            section.scope.findings.error(queue.place, format!("`queue_url` {problem}"), hint);
        }
    }
    let queue_url = queue_url.map_or_else(String::new, |at| at.value);
    let message_group = message_group(section, queue_url.ends_with(".fifo"), "queue");
    SqsConfig { aws, settings: SqsSettings { queue_url, message_group } }
}

/// Reads what keeps order where there is order: elsewhere it would be a promise that nobody keeps.
pub(super) fn message_group(section: &mut Section<'_, '_>, fifo: bool, what: &str) -> MessageGroup {
    let group: Option<At<MessageGroup>> = section.get("message_group", MESSAGE_GROUP);
    if let Some(group) = &group
        && !fifo
    {
        section.scope.findings.error(
            group.place,
            format!("`message_group` is given, and the {what} is not FIFO"),
            format!("leave it out, or name a {what} that ends in \".fifo\""),
        );
    }
    group.map_or_else(MessageGroup::default, |at| at.value)
}

pub(super) const fn message_group_word(group: MessageGroup) -> &'static str {
    match group {
        MessageGroup::Account => "account",
        MessageGroup::Event => "event",
    }
}

impl SqsConfig {
    /// As keys of TOML.
    pub(in crate::config) fn print(&self, f: &mut impl Write) -> fmt::Result {
        let SqsSettings { queue_url, message_group } = &self.settings;
        writeln!(f, "type = \"sqs\"\nqueue_url = {}", quoted(queue_url))?;
        if queue_url.ends_with(".fifo") {
            writeln!(f, "message_group = \"{}\"", message_group_word(*message_group))?;
        }
        self.aws.print(f)
    }
}
