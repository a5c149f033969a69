//! `type = "firehose"`.

use std::fmt::{self, Write};

use super::aws::{AwsConfig, aws};
use crate::config::kinds::Text;
use crate::config::print::quoted;
use crate::config::reader::Section;

/// A Firehose stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirehoseConfig {
    /// Where Firehose is called and as whom.
    pub aws: AwsConfig,
    /// The stream's name.
    pub stream: String,
}

const STREAM: Text = Text {
    what: "the name of a Firehose stream",
    judge: |text| {
        let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
        match (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            true => Ok(()),
            false => Err((
                format!("is no name of a Firehose stream: {text:?}"),
                "give its bare name (1 to 64 letters, digits, `-`, `_` and `.`), no ARN".into(),
            )),
        }
    },
};

/// What could not be read is reported, so a value that stands in for it is never used.
pub(super) fn firehose(section: &mut Section<'_, '_>) -> FirehoseConfig {
    let stream = section.need("stream", STREAM);
    FirehoseConfig { aws: aws(section), stream: stream.map_or_else(String::new, |at| at.value) }
}

impl FirehoseConfig {
    /// As keys of TOML.
    pub(in crate::config) fn print(&self, f: &mut impl Write) -> fmt::Result {
        writeln!(f, "type = \"firehose\"\nstream = {}", quoted(&self.stream))?;
        self.aws.print(f)
    }
}
