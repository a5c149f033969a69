//! What a sifter finds depends on the object's bytes alone, and is what serde_json finds.

use std::io::{Read as _, Write as _};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::value::RawValue;
use trailsift_core::{Reason, Record, RecordFault, RouteSet, Selection};
use trailsift_route::{MAX_DEPTH, RouteSpec, Routes};
use trailsift_trail::{
    Counts, FaultyRecord, Found, Judge, ObjectFault, Progress, Scratch, SiftLimits, Sifter,
};

use crate::input::{choices, pieces};
use crate::json::{self, Json};
use crate::selector::wants;

const LIMITS: SiftLimits =
    SiftLimits { max_inflated: 1 << 20, max_record: 1 << 20, max_held: 1 << 20 };
/// What is shown of something too large to be shown whole.
const SHOWN: usize = 1024;

/// The built-in routes, which reject by literals; and the same without.
#[derive(Debug)]
struct ReadingAll(Routes);

impl Selection for ReadingAll {
    fn digest(&self) -> u64 {
        0
    }

    fn literals(&self) -> &[Vec<u8>] {
        &[]
    }

    fn select(&self, record: &[u8]) -> Result<RouteSet, RecordFault> {
        self.0.select(record)
    }
}

static ROUTE: LazyLock<RouteSpec> = LazyLock::new(RouteSpec::codeguru_reviewer);
static REJECTING: LazyLock<Arc<Routes>> = LazyLock::new(|| {
    let routes = Routes::compile(std::slice::from_ref(&*ROUTE));
    Arc::new(routes.expect("the built-in route is legal"))
});
static READING: LazyLock<Arc<ReadingAll>> =
    LazyLock::new(|| Arc::new(ReadingAll(Routes::clone(&REJECTING))));

/// What a sifter made of an object.
#[derive(Debug, PartialEq)]
struct Sifted {
    result: Result<Progress, ObjectFault>,
    found: Vec<Found>,
    counts: Counts,
}

/// The input is an object as stored.
pub(crate) fn check(input: &[u8]) {
    let whole = sift(LIMITS, [input]);
    assert_eq!(sift(LIMITS, pieces(input, choices(input))), whole, "cut otherwise");
    assert_eq!(sift(LIMITS, input.chunks(1)), whole, "cut into bytes");
    assert_eq!(sift_at_once(LIMITS, input), whole, "inflated at once");
    let delivers = match &whole.result {
        Ok(_) => true,
        Err(fault) => fault.reason == Reason::StructureLost,
    };
    assert!(delivers || whole.found.is_empty(), "nothing is delivered from {:?}", whole.result);
    let early = sift(SiftLimits { max_held: 0, ..LIMITS }, [input]);
    if delivers {
        assert_eq!(early, whole, "taken early");
    } else {
        assert_eq!(early.result, whole.result);
    }
    if whole.result.is_ok() && whole.counts.inflated > 0 {
        let less = SiftLimits { max_inflated: whole.counts.inflated - 1, ..LIMITS };
        let reason = sift(less, [input]).result.map_err(|fault| fault.reason);
        assert_eq!(reason, Err(Reason::TooLarge), "one byte over");
    }
    if is_compressed(input) {
        is_read_as_inflated(input, &whole);
    } else {
        stands_in(input, &whole);
        is_read_as_json(input, &whole);
        let packed = if choices(input).bool() { gzip(input) } else { zstd(input) };
        let whole = sift(LIMITS, [packed.as_slice()]);
        assert_eq!(sift_at_once(LIMITS, &packed), whole, "inflated at once");
        is_read_as_inflated(&packed, &whole);
    }
}

fn sift<'a>(limits: SiftLimits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Sifted {
    sift_for(READING.clone(), limits, pieces)
}

fn sift_for<'a>(
    selection: Arc<dyn Selection>,
    limits: SiftLimits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Sifted {
    run(Sifter::new(limits, Judge::new(selection)), Scratch::new(0), limits, pieces)
}

/// The whole object is there before it is looked at.
fn sift_at_once(limits: SiftLimits, object: &[u8]) -> Sifted {
    let mut sifter = Sifter::new(limits, Judge::new(READING.clone()));
    sifter.feed(Bytes::copy_from_slice(object));
    sifter.end();
    // Judged by a selection without literals, what is inflated at once has to fit `max_held` too.
    run(sifter, Scratch::new(1 << 24), limits, [])
}

fn run<'a>(
    mut sifter: Sifter,
    mut scratch: Scratch,
    limits: SiftLimits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Sifted {
    let mut found = Vec::new();
    let mut pieces = pieces.into_iter();
    let result = loop {
        let progress = sifter.run(&mut scratch);
        let bound = limits.max_held + limits.max_record + 2 * SHOWN;
        assert!(sifter.held_bytes() <= bound, "{} bytes are held", sifter.held_bytes());
        match progress {
            Ok(Progress::NeedInput) => match pieces.next() {
                Some(piece) => sifter.feed(Bytes::copy_from_slice(piece)),
                None => sifter.end(),
            },
            Ok(Progress::Full) => found.append(&mut sifter.take()),
            over => break over,
        }
    };
    assert_eq!(sifter.run(&mut scratch), result, "an object that is over stays over");
    found.append(&mut sifter.take());
    let mut counts = sifter.counts();
    if let Err(fault) = &result {
        // How much had been fed and inflated when the fault was noticed depends on the pieces.
        counts.stored = 0;
        if fault.reason == Reason::GzipCrc {
            counts.inflated = 0;
        }
    }
    assert_eq!(counts.seen, counts.selected + counts.filtered + counts.quarantined);
    let records = found.iter().filter(|found| matches!(found, Found::Record(_))).count() as u64;
    assert_eq!((records, found.len() as u64 - records), (counts.selected, counts.quarantined));
    Sifted { result, found, counts }
}

/// What is found stands in the document, in order, and each record is a record that is wanted.
fn stands_in(plain: &[u8], sifted: &Sifted) {
    let mut from = 0;
    for found in &sifted.found {
        let (Found::Record(Record { bytes, .. }) | Found::Fault(FaultyRecord { data: bytes, .. })) =
            found;
        let mut windows = plain[from..].windows(bytes.len().max(1));
        let at = windows.position(|window| window == bytes);
        from += at.expect("what is found stands in the document") + bytes.len();
        if let Found::Record(record) = found {
            assert!(json::is_json(bytes), "what leaves is JSON");
            assert!(!record.routes.is_empty());
        }
    }
}

/// Where serde_json takes the document, the records are its records.
fn is_read_as_json(plain: &[u8], sifted: &Sifted) {
    let text = plain.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(plain);
    if !json::is_json(text) {
        return;
    }
    let text = std::str::from_utf8(text).expect("it is JSON");
    let Some(elements) = elements(text) else {
        assert!(sifted.result.is_err(), "there is no one array Records");
        return;
    };
    agrees(&elements, sifted, LIMITS.max_record);
    let max_record = choices(plain).usize(1..100);
    let limits = SiftLimits { max_record, ..LIMITS };
    agrees(&elements, &sift(limits, pieces(plain, choices(plain))), max_record);
    rejects_rightly(&elements, &sift_for(REJECTING.clone(), LIMITS, [plain]), sifted);
}

/// The elements of `Records`, if it is there once and an array.
fn elements(text: &str) -> Option<Vec<&str>> {
    let members = json::members(text).ok()?;
    let mut records = members.iter().filter(|(name, _)| name == b"Records");
    let (Some((_, records)), None) = (records.next(), records.next()) else { return None };
    let elements: Vec<&RawValue> = serde_json::from_str(records.get()).ok()?;
    Some(elements.into_iter().map(RawValue::get).collect())
}

fn agrees(elements: &[&str], sifted: &Sifted, max_record: usize) {
    assert_eq!(sifted.result, Ok(Progress::Done));
    assert_eq!(sifted.counts.seen, elements.len() as u64);
    let mut found = sifted.found.iter().peekable();
    for (element, at) in elements.iter().zip(0..) {
        let is_here = |found: &&Found| match found {
            Found::Record(record) => record.index == at,
            Found::Fault(fault) => fault.index == at,
        };
        let fault = |fault: &FaultyRecord| (fault.reason, fault.data.len());
        match (found.next_if(is_here), judge(element, max_record)) {
            (None, Verdict::Filtered) => {}
            (Some(Found::Record(record)), Verdict::Selected) => {
                assert_eq!(record.bytes, element.as_bytes());
            }
            (Some(Found::Fault(it)), Verdict::Faulty(reasons)) => {
                let whole = element.len();
                let shown = if whole > max_record { whole.min(SHOWN) } else { whole };
                assert!(reasons.contains(&it.reason), "{:?} of {element:?}", fault(it));
                assert_eq!(it.data, &element.as_bytes()[..shown]);
            }
            (found, verdict) => panic!("{element:?} is {verdict:?}, but found was {found:?}"),
        }
    }
    assert_eq!(found.next(), None, "nothing else is found");
}

#[derive(Debug)]
enum Verdict {
    Selected,
    Filtered,
    /// For one of these reasons.
    Faulty(Vec<Reason>),
}

/// What is to become of an element, which is JSON.
fn judge(element: &str, max_record: usize) -> Verdict {
    if element.len() > max_record {
        return Verdict::Faulty(vec![Reason::RecordTooLarge]);
    }
    if !element.starts_with('{') {
        return Verdict::Faulty(vec![Reason::RecordType]);
    }
    let mut reasons = Vec::new();
    if json::depth(element) > MAX_DEPTH {
        reasons.push(Reason::TooDeep);
    }
    let members = json::members(element).expect("it is an object");
    let mut sources = members.iter().filter(|(name, _)| name == b"eventSource");
    if sources.clone().count() > 1 {
        reasons.push(Reason::DuplicateKey);
    }
    if sources.any(|(_, value)| !value.get().starts_with('"')) {
        reasons.push(Reason::EventSourceType);
    }
    if !reasons.is_empty() {
        return Verdict::Faulty(reasons);
    }
    let source = members.into_iter().filter(|(name, _)| name == b"eventSource");
    let record = Json::Object(source.map(|(name, it)| (name, json::read(it.get()))).collect());
    if wants(&ROUTE, &record, element) { Verdict::Selected } else { Verdict::Filtered }
}

/// Rejecting by literals only spares looking into what has none.
fn rejects_rightly(elements: &[&str], rejecting: &Sifted, reading: &Sifted) {
    let literal = "codeguru-reviewer.amazonaws.com";
    let stays = |found: &&Found| match found {
        Found::Record(_) => true,
        Found::Fault(fault) => {
            let at = usize::try_from(fault.index).expect("it is an index");
            !elements[at].starts_with('{') || elements[at].contains(literal)
        }
    };
    assert!(rejecting.found.iter().filter(stays).eq(reading.found.iter().filter(stays)));
    assert!(rejecting.found.iter().all(|found| reading.found.contains(found)));
}

fn is_compressed(stored: &[u8]) -> bool {
    stored.starts_with(&[0x1F, 0x8B]) || stored.starts_with(&[0x28, 0xB5, 0x2F, 0xFD])
}

/// A compressed object is read as another decoder reads it, whole or not at all.
fn is_read_as_inflated(stored: &[u8], sifted: &Sifted) {
    let reason = sifted.result.as_ref().err().map(|fault| fault.reason);
    let of_stream = [
        Reason::GzipTruncated,
        Reason::GzipCrc,
        Reason::GzipTrailingMember,
        Reason::UnsupportedCodec,
        Reason::TooLarge,
    ];
    if reason.is_some_and(|reason| of_stream.contains(&reason)) {
        return;
    }
    let plain = if stored[0] == 0x1F { gunzip(stored) } else { unzstd(stored) };
    let plain = plain.expect("what is read is whole");
    assert_eq!(sifted.counts.inflated, plain.len() as u64);
    stands_in(&plain, sifted);
    // Of a plain object the first bytes also tell that it is none, or something else.
    let again = sift(LIMITS, [plain.as_slice()]);
    let other = again.result.as_ref().err().map(|fault| fault.reason);
    let is_binary = plain.iter().take(2).any(|byte| *byte == 0)
        || matches!(plain.as_slice(), [0x1F | 0x28, ..] | [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..]);
    let tells =
        is_binary || plain.is_empty() || other.is_some_and(|reason| of_stream.contains(&reason));
    if !tells {
        let result = |sifted: &Sifted| sifted.result.clone().map_err(|it| (it.reason, it.detail));
        assert_eq!(result(&again), result(sifted));
        assert_eq!(again.found, sifted.found);
        assert_eq!(Counts { stored: sifted.counts.stored, ..again.counts }, sifted.counts);
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything")
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::encode_all(plain, 1).expect("a Vec takes everything")
}

/// The one member, if nothing follows it.
#[expect(clippy::disallowed_methods, reason = "what follows is looked at")]
fn gunzip(stored: &[u8]) -> Option<Vec<u8>> {
    let mut decoder = flate2::bufread::GzDecoder::new(stored);
    let mut plain = Vec::new();
    decoder.by_ref().take(LIMITS.max_inflated).read_to_end(&mut plain).ok()?;
    let is_over = decoder.read(&mut [0]).ok()? == 0;
    (is_over && decoder.into_inner().is_empty()).then_some(plain)
}

/// The one frame, if nothing follows it.
fn unzstd(stored: &[u8]) -> Option<Vec<u8>> {
    let mut decoder = zstd::Decoder::with_buffer(stored).ok()?.single_frame();
    let mut plain = Vec::new();
    decoder.by_ref().take(LIMITS.max_inflated).read_to_end(&mut plain).ok()?;
    let is_over = decoder.read(&mut [0]).ok()? == 0;
    (is_over && decoder.finish().is_empty()).then_some(plain)
}
