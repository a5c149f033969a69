//! `type = "cloudwatch_logs"`.

use std::fmt::{self, Write};

use trailsift_aws_sinks::CloudWatchLogsSettings;

use super::aws::{AwsConfig, aws};
use crate::config::kinds::Text;
use crate::config::print::quoted;
use crate::config::reader::Section;

/// A stream of a log group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudWatchLogsConfig {
    /// Where CloudWatch Logs is called and as whom.
    pub aws: AwsConfig,
    /// Which stream of which group.
    pub settings: CloudWatchLogsSettings,
}

const LOG_GROUP: Text = Text {
    what: "the name of a log group",
    judge: |text| {
        let allowed = |c: u8| c.is_ascii_alphanumeric() || b"_-/.#".contains(&c);
        match (1..=512).contains(&text.len()) && text.bytes().all(allowed) {
            true => Ok(()),
            false => Err((
                format!("is no name of a log group: {text:?}"),
                "give its bare name (1 to 512 letters, digits and `_-/.#`), no ARN".into(),
            )),
        }
    },
};

const LOG_STREAM: Text = Text {
    what: "the name of a log stream",
    judge: |text| {
        let legal = (1..=512).contains(&text.len())
            && !text.contains([':', '*'])
            && !text.chars().any(char::is_control);
        match legal {
            true => Ok(()),
            false => Err((
                format!("is no name of a log stream: {text:?}"),
                "use 1 to 512 characters without `:` and `*`".into(),
            )),
        }
    },
};

/// What could not be read is reported, so a value that stands in for it is never used.
pub(super) fn cloudwatch_logs(section: &mut Section<'_, '_>) -> CloudWatchLogsConfig {
    let log_group = section.need("log_group", LOG_GROUP);
    CloudWatchLogsConfig {
        aws: aws(section),
        settings: CloudWatchLogsSettings {
            log_group: log_group.map_or_else(String::new, |at| at.value),
            log_stream: section.get_or("log_stream", LOG_STREAM, "trailsift".to_owned()),
        },
    }
}

impl CloudWatchLogsConfig {
    /// As keys of TOML.
    pub(in crate::config) fn print(&self, f: &mut impl Write) -> fmt::Result {
        let CloudWatchLogsSettings { log_group, log_stream } = &self.settings;
        writeln!(f, "type = \"cloudwatch_logs\"\nlog_group = {}", quoted(log_group))?;
        writeln!(f, "log_stream = {}", quoted(log_stream))?;
        self.aws.print(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_streams_are_named_as_the_service_allows() {
        let long = "x".repeat(513);
        for good in ["/aws/trail", "a.b_c-D#1"] {
            assert!((LOG_GROUP.judge)(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "arn:aws:logs:us-east-1:111122223333:log-group:x", &long] {
            assert!((LOG_GROUP.judge)(bad).is_err(), "{bad}");
        }
        for bad in ["", "a:b", "a*", "a\nb", &long] {
            assert!((LOG_STREAM.judge)(bad).is_err(), "{bad}");
        }
        assert!((LOG_STREAM.judge)("zürich 1").is_ok());
    }
}
