use bytes::Bytes;
use trailsift_core::Record;

/// How an event is written for a sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// The record's own bytes, untouched.
    #[default]
    Raw,
}

impl Format {
    /// The format with this name in a configuration.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "raw" => Some(Self::Raw),
            _ => None,
        }
    }

    /// The names that [`Format::parse`] knows, for an error message.
    pub const fn names() -> &'static [&'static str] {
        &["raw"]
    }

    /// The event: one JSON value. A raw one shares the record's memory.
    pub fn render(self, record: &Record) -> Bytes {
        match self {
            Self::Raw => record.bytes.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use trailsift_core::RouteSet;

    use super::*;

    #[test]
    fn every_listed_name_is_a_format_and_no_other() {
        for name in Format::names() {
            assert!(Format::parse(name).is_some(), "{name}");
        }
        assert_eq!(Format::parse("RAW"), None);
        assert_eq!(Format::parse(""), None);
    }

    #[test]
    fn a_raw_event_is_the_record_byte_for_byte() {
        let bytes = Bytes::from_static(b"{ \"n\": 1574826395.6620, \"t\":\"\\ud800\\/\" }");
        let record = Record { index: 7, bytes: bytes.clone(), routes: RouteSet::EMPTY };
        let event = Format::Raw.render(&record);
        assert_eq!(event, bytes);
        assert_eq!(event.as_ptr(), bytes.as_ptr(), "not even copied");
    }
}
