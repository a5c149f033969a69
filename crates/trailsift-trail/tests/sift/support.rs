use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use trailsift_core::{Reason, RecordFault, RouteSet, Selection};
use trailsift_trail::{
    Counts, Found, Judge, ObjectFault, Progress, Scratch, SiftLimits, Sifter, Traits,
};

pub(crate) const WANTED: &str = "codeguru-reviewer.amazonaws.com";
pub(crate) const LIMITS: SiftLimits =
    SiftLimits { max_inflated: 64 << 20, max_record: 1 << 20, max_held: 64 << 20 };

/// Route 0 wants the records of [`WANTED`].
#[derive(Debug)]
pub(crate) struct SourceIs(Vec<Vec<u8>>);

impl SourceIs {
    pub(crate) fn wanted() -> Arc<Self> {
        Arc::new(Self(vec![WANTED.into()]))
    }

    /// The same choice, without a literal to reject by.
    pub(crate) fn reading_all() -> Arc<Self> {
        Arc::new(Self(Vec::new()))
    }
}

impl Selection for SourceIs {
    fn digest(&self) -> u64 {
        0
    }

    fn literals(&self) -> &[Vec<u8>] {
        &self.0
    }

    fn select(&self, record: &[u8]) -> Result<RouteSet, RecordFault> {
        let mut routes = RouteSet::EMPTY;
        if is_wanted(record)? {
            routes.insert(0);
        }
        Ok(routes)
    }
}

/// The oracle's answer: whether the top-level `eventSource` is the wanted one.
pub(crate) fn is_wanted(record: &[u8]) -> Result<bool, RecordFault> {
    let fault = |reason, detail: String| RecordFault { reason, detail };
    if let Err(error) = std::str::from_utf8(record) {
        return Err(fault(Reason::InvalidUtf8, error.to_string()));
    }
    let members =
        members(record).map_err(|error| fault(Reason::RecordSyntax, error.to_string()))?;
    let mut sources = members.iter().filter(|(key, _)| key == b"eventSource");
    let source = sources.next();
    if sources.next().is_some() {
        return Err(fault(Reason::DuplicateKey, "there are several".into()));
    }
    let Some((_, source)) = source else { return Ok(false) };
    match serde_json::from_str::<Text>(source.get()) {
        Ok(Text(text)) => Ok(text == WANTED.as_bytes()),
        Err(error) => Err(fault(Reason::EventSourceType, error.to_string())),
    }
}

/// An object's keys, unescaped, with their values, as serde_json reads them. The keys are bytes,
/// since it takes a lone surrogate as bytes only.
pub(crate) fn members(json: &[u8]) -> serde_json::Result<Vec<(Vec<u8>, &RawValue)>> {
    serde_json::from_slice(json).map(|Members(members)| members)
}

struct Members<'a>(Vec<(Vec<u8>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Vec<(Vec<u8>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(key), value)) = map.next_entry()? {
                    members.push((key, value));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Map).map(Members)
    }
}

/// A string's bytes.
struct Text(Vec<u8>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(bytes.to_vec()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.into()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// What a sifter made of an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sifted {
    pub(crate) result: Result<Progress, ObjectFault>,
    pub(crate) found: Vec<Found>,
    pub(crate) counts: Counts,
    pub(crate) traits: Traits,
}

impl Sifted {
    /// Found records and faults in short: index and either the bytes or the reason.
    pub(crate) fn short(&self) -> Vec<(u64, Result<&[u8], Reason>)> {
        let mut short = Vec::new();
        for found in &self.found {
            short.push(match found {
                Found::Record(record) => (record.index, Ok(record.bytes.as_ref())),
                Found::Fault(fault) => (fault.index, Err(fault.reason)),
            });
        }
        short
    }

    /// What does not depend on how the object was cut: how much had been fed and inflated when a
    /// fault was noticed does.
    pub(crate) fn comparable(&self) -> (&Result<Progress, ObjectFault>, &[Found], Counts, Traits) {
        let mut counts = self.counts;
        if self.result.is_err() {
            (counts.stored, counts.inflated) = (0, 0);
        }
        (&self.result, &self.found, counts, self.traits)
    }

    pub(crate) fn reason(&self) -> Option<Reason> {
        self.result.as_ref().err().map(|fault| fault.reason)
    }
}

pub(crate) fn sift_with<'a>(
    limits: SiftLimits,
    selection: Arc<dyn Selection>,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Sifted {
    let chunks: Vec<&[u8]> = chunks.into_iter().collect();
    let judge = Judge::new(selection);
    let sifted = sift_by(Sifter::new(limits, judge.clone()), limits, chunks.iter().copied());
    let at_once = sift_at_once(Sifter::new(limits, judge), chunks);
    assert_eq!(sifted.comparable(), at_once.comparable(), "piece by piece, and at once");
    sifted
}

/// Lets this sifter, made with these limits, work on an object in chunks.
pub(crate) fn sift_by<'a>(
    mut sifter: Sifter,
    limits: SiftLimits,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Sifted {
    let mut found = Vec::new();
    let mut chunks = chunks.into_iter();
    let mut scratch = Scratch::new(0);
    let result = loop {
        match sifter.run(&mut scratch) {
            Ok(Progress::NeedInput) => match chunks.next() {
                Some(chunk) => sifter.feed(Bytes::copy_from_slice(chunk)),
                None => sifter.end(),
            },
            Ok(Progress::Full) => {
                assert!(sifter.held_bytes() >= limits.max_held);
                found.append(&mut sifter.take());
                assert_eq!(sifter.held_bytes(), 0);
            }
            over => break over,
        }
    };
    assert_eq!(sifter.run(&mut scratch), result, "an object that is over stays over");
    found.append(&mut sifter.take());
    let counts = sifter.counts();
    assert_eq!(counts.seen, counts.selected + counts.filtered + counts.quarantined);
    let records = found.iter().filter(|found| matches!(found, Found::Record(_))).count() as u64;
    assert_eq!((records, found.len() as u64 - records), (counts.selected, counts.quarantined));
    Sifted { result, found, counts, traits: sifter.traits() }
}

/// The same object, fed whole and read by way of a scratch.
pub(crate) fn sift_at_once(mut sifter: Sifter, chunks: Vec<&[u8]>) -> Sifted {
    chunks.into_iter().for_each(|chunk| sifter.feed(Bytes::copy_from_slice(chunk)));
    sifter.end();
    let mut scratch = Scratch::new(64 << 20);
    let mut found = Vec::new();
    let result = loop {
        let progress = sifter.run(&mut scratch);
        found.append(&mut sifter.take());
        if progress != Ok(Progress::Full) {
            break progress;
        }
    };
    Sifted { result, found, counts: sifter.counts(), traits: sifter.traits() }
}

/// What the tests' records are judged by.
pub(crate) fn judge() -> Judge {
    Judge::new(SourceIs::wanted())
}

pub(crate) fn sift(stored: &[u8]) -> Sifted {
    sift_with(LIMITS, SourceIs::wanted(), [stored])
}

pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything")
}

pub(crate) fn zstd(plain: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).expect("level 1 exists");
    encoder.include_checksum(true).expect("a checksum can be had");
    encoder.write_all(plain).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything")
}

/// A record that is selected, told apart by its number.
pub(crate) fn wanted(number: u32) -> String {
    format!(r#"{{"eventSource":"{WANTED}","n":{number}}}"#)
}
