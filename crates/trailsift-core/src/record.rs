use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::RouteSet;

/// A selected record: its bytes exactly as they stand in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in `Records`, counted from 0.
    pub index: u64,
    /// From its opening brace to its closing one, untouched.
    pub bytes: Bytes,
    /// The routes that selected it, at least one.
    pub routes: RouteSet,
}

/// Where records come from: one read of one object. Shared by all records of that read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The configured account (a label, not what the file claims).
    pub account: String,
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The version that was read.
    pub version_id: Option<String>,
    /// The entity tag of what was read.
    pub etag: Option<String>,
}

/// One event on its way to a sink: formatted, and still knowing where it came from.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What the sink is to write: one JSON value. Line-oriented sinks write [`Entry::line`].
    pub data: Bytes,
    /// The record as it stands in its file, whatever the format made of it: sinks read identifiers
    /// and times from it. Of what is no record, such as a line of the quarantine, the same as `data`.
    pub record: Bytes,
    /// The record's place in its file.
    pub index: u64,
    /// The file.
    pub source: Arc<Source>,
}

impl Entry {
    /// The data as one line, without its final line break.
    ///
    /// JSON allows line breaks only between tokens, where removing them changes no value; a format
    /// never yields anything but JSON, so this cannot touch a string.
    pub fn line(&self) -> Cow<'_, [u8]> {
        let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
        if self.data.contains(&b'\n') || self.data.contains(&b'\r') {
            Cow::Owned(self.data.iter().copied().filter(|byte| !is_break(byte)).collect())
        } else {
            Cow::Borrowed(&self.data)
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn entry(data: &'static [u8]) -> Entry {
        let source = Source {
            account: "a".into(),
            bucket: "b".into(),
            key: "k".into(),
            version_id: None,
            etag: None,
        };
        let data = Bytes::from_static(data);
        Entry { record: data.clone(), data, index: 0, source: Arc::new(source) }
    }

    #[test]
    fn a_line_loses_its_breaks_and_nothing_else() {
        let pretty = entry(b"{\r\n  \"a\\n\":\t1.50\n}");
        assert_eq!(pretty.line().as_ref(), b"{  \"a\\n\":\t1.50}");
        let plain = entry(b"{\"a\":1}");
        assert!(matches!(plain.line(), Cow::Borrowed(_)));
    }
}
