//! What a sink gets to see of a record.

mod cloudevents;
mod ecs;
mod envelope;
mod moment;
mod ocsf;
mod portable;
#[cfg(test)]
mod sample;
mod writer;

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use trailsift_core::{Record, RouteSet, Source};
use trailsift_event::Event;

use writer::Object;

/// How an event is written for a sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// The record's own bytes, untouched.
    #[default]
    Raw,
    /// The record's own bytes, and beside them where they were read and who is behind them.
    Envelope,
    /// CloudEvents 1.0, structured mode.
    CloudEvents,
    /// OCSF, class API Activity.
    Ocsf,
    /// Elastic Common Schema, as Elastic's aws.cloudtrail integration names its fields.
    Ecs,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 5] =
        [Self::Raw, Self::Envelope, Self::CloudEvents, Self::Ocsf, Self::Ecs];

    /// Its name in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Envelope => "envelope",
            Self::CloudEvents => "cloudevents",
            Self::Ocsf => "ocsf",
            Self::Ecs => "ecs",
        }
    }

    /// The format with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// Where a record was read. What is empty or absent is not known: a file has no bucket.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    /// The configured account.
    pub account: Option<&'a str>,
    /// The bucket.
    pub bucket: Option<&'a str>,
    /// The key, or the path of a file.
    pub key: Option<&'a str>,
    /// The version that was read.
    pub version_id: Option<&'a str>,
    /// The entity tag of what was read, without its quotes.
    pub etag: Option<&'a str>,
}

impl<'a> From<&'a Source> for Origin<'a> {
    fn from(source: &'a Source) -> Self {
        Self {
            account: Some(&source.account),
            bucket: Some(&source.bucket),
            key: Some(&source.key),
            version_id: source.version_id.as_deref(),
            etag: source.etag.as_deref().map(|etag| etag.trim_matches('"')),
        }
    }
}

/// Writes records in one format. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Formatter {
    format: Format,
    /// The names of all routes, by number.
    routes: Arc<[String]>,
}

/// What a format may draw on.
struct Context<'a> {
    event: Event<'a>,
    record: &'a [u8],
    /// The record's place in its file.
    index: u64,
    origin: Origin<'a>,
    /// The names of the routes that lead it to this sink, in the configuration's order.
    routes: Vec<&'a str>,
}

impl Context<'_> {
    /// SHA-256 of the record's bytes, in lowercase hexadecimal digits.
    fn sha256(&self) -> String {
        hex(&Sha256::digest(self.record))
    }
}

/// What is known of an origin's part.
fn known(part: Option<&str>) -> Option<&str> {
    part.filter(|part| !part.is_empty())
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    bytes.iter().flat_map(digits).map(char::from).collect()
}

impl Formatter {
    /// A formatter for routes of these names: a route's number is its place.
    pub fn new(format: Format, routes: impl Into<Arc<[String]>>) -> Self {
        Self { format, routes: routes.into() }
    }

    /// What it writes.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// The event: one JSON value, without a line break but where the record has one. A raw one
    /// shares the record's memory; that of a large record has eight times its size and some KiB at
    /// most. `routes` are those that lead it to this sink.
    pub fn render(&self, record: &Record, routes: RouteSet, origin: Origin<'_>) -> Bytes {
        let write = match self.format {
            Format::Raw => return record.bytes.clone(),
            Format::Envelope => envelope::write,
            Format::CloudEvents => cloudevents::write,
            Format::Ocsf => ocsf::write,
            Format::Ecs => ecs::write,
        };
        let names = routes.iter().filter_map(|route| self.routes.get(route));
        let context = Context {
            event: Event::new(&record.bytes),
            record: &record.bytes,
            index: record.index,
            origin,
            routes: names.map(String::as_str).collect(),
        };
        let mut out = Vec::with_capacity(record.bytes.len() * 3);
        Object::write(&mut out, |object| write(object, &context));
        // It may have to wait for its sink, and takes no more memory then than it needs.
        out.shrink_to_fit();
        out.into()
    }
}

#[cfg(test)]
mod tests;
