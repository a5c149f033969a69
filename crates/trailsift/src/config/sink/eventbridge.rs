//! `type = "eventbridge"`.

use std::fmt::{self, Write};

use trailsift_aws_sinks::EventBridgeSettings;

use super::aws::{AwsConfig, arn, aws, judge_region};
use crate::config::ByteSize;
use crate::config::kinds::{Size, Text};
use crate::config::print::quoted;
use crate::config::reader::Section;

/// An event bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventBridgeConfig {
    /// Where EventBridge is called and as whom.
    pub aws: AwsConfig,
    /// What is put where, under which names.
    pub settings: EventBridgeSettings,
}

const EVENT_BUS: Text = Text {
    what: "the name or ARN of an event bus",
    judge: |text| match is_bus(text) {
        true => Ok(()),
        false => Err((
            format!("is neither an event bus's name nor its ARN: {text:?}"),
            "it looks like \"trail\" or \"arn:aws:events:us-east-1:111122223333:event-bus/trail\""
                .into(),
        )),
    },
};

fn is_bus(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"/.-_".contains(&c);
    let is_name = |name: &str| (1..=256).contains(&name.len()) && name.bytes().all(allowed);
    match arn(text, "events") {
        Some(arn) => arn.resource.strip_prefix("event-bus/").is_some_and(is_name),
        None => is_name(text),
    }
}

const SOURCE: Text = Text {
    what: "an event source",
    judge: |text| {
        if text.to_ascii_lowercase().starts_with("aws.") {
            let hint = "use a name of your own, such as \"trailsift\"";
            return Err((format!("belongs to AWS: {text:?}"), hint.into()));
        }
        is_label(text, 256)
    },
};

/// EventBridge accepts longer ones, and throws the events away.
const DETAIL_TYPE: Text = Text { what: "a detail type", judge: |text| is_label(text, 128) };

fn is_label(text: &str, most: usize) -> Result<(), (String, String)> {
    match (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        true => Ok(()),
        false => Err((
            format!("has not 1 to {most} characters, or control characters: {text:?}"),
            "shorten it".into(),
        )),
    }
}

/// What could not be read is reported, so a value that stands in for it is never used.
pub(super) fn eventbridge(section: &mut Section<'_, '_>) -> EventBridgeConfig {
    let aws = aws(section);
    let event_bus = section.get("event_bus", EVENT_BUS);
    if let Some(bus) = &event_bus {
        judge_region(section, "event_bus", bus, arn(&bus.value, "events"), &aws);
    }
    let sizes = ByteSize::new(4 << 10)..=ByteSize::mebibytes(1);
    let max_call = section.get_or("max_call", Size(sizes), ByteSize::mebibytes(1));
    EventBridgeConfig {
        aws,
        settings: EventBridgeSettings {
            event_bus: event_bus.map_or_else(|| "default".to_owned(), |at| at.value),
            source: section.get_or("source", SOURCE, "trailsift".to_owned()),
            detail_type: section.get_or("detail_type", DETAIL_TYPE, "CloudTrail event".to_owned()),
            call_bytes: usize::try_from(max_call.bytes()).unwrap_or(usize::MAX),
        },
    }
}

impl EventBridgeConfig {
    /// As keys of TOML.
    pub(in crate::config) fn print(&self, f: &mut impl Write) -> fmt::Result {
        let EventBridgeSettings { event_bus, source, detail_type, call_bytes } = &self.settings;
        writeln!(f, "type = \"eventbridge\"\nevent_bus = {}", quoted(event_bus))?;
        writeln!(f, "source = {}\ndetail_type = {}", quoted(source), quoted(detail_type))?;
        writeln!(f, "max_call = \"{}\"", ByteSize::new(*call_bytes as u64))?;
        self.aws.print(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bus_is_named_or_has_an_arn() {
        for good in
            ["default", "a/b.c-d_E", "arn:aws:events:eu-west-1:111122223333:event-bus/trail"]
        {
            assert!(is_bus(good), "{good}");
        }
        for bad in [
            "",
            "a b",
            "arn:aws:events:eu-west-1:111122223333:rule/trail",
            "arn:aws:sns:eu-west-1:111122223333:event-bus/trail",
            "arn:aws:events:eu-west-1:111122223333:event-bus/",
        ] {
            assert!(!is_bus(bad), "{bad}");
        }
    }

    #[test]
    fn names_that_eventbridge_would_refuse_or_throw_away_are_refused_here() {
        let long = "x".repeat(129);
        assert!((SOURCE.judge)(&long).is_ok());
        assert!((DETAIL_TYPE.judge)(&long).is_err());
        for bad in ["", "aws.s3", "AWS.x", "a\nb"] {
            assert!((SOURCE.judge)(bad).is_err(), "{bad}");
        }
    }
}
