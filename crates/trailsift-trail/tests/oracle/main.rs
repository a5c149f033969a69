//! The sifter, with real routes, against serde_json and a plain reading of the rules: on records as
//! a trail holds them, rewritten in every way that JSON allows and in some that it does not.
//!
//! An ordinary test run judges about 50,000 records. For a million:
//! `TRAILSIFT_ORACLE_RECORDS=1000000 cargo test --release -p trailsift-trail --test oracle -- --nocapture`.
//! A failure names the seed of its document; `TRAILSIFT_ORACLE_SEED` begins with that one.

mod judge;
mod panel;
mod write;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use fastrand::Rng;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::de::IgnoredAny;
use trailsift_core::{Reason, Selection as _};
use trailsift_route::{RouteSpec, Routes};
use trailsift_trail::{Counts, Found, Judge, Progress, Scratch, SiftLimits, Sifter};

use judge::Verdict;
use write::Document;

const RECORDS: u64 = 50_000;
const LIMITS: SiftLimits =
    SiftLimits { max_inflated: 64 << 20, max_record: 1 << 20, max_held: 64 << 20 };

/// Routes under test.
struct Panel {
    specs: Vec<RouteSpec>,
    judge: Judge,
    literals: Vec<Vec<u8>>,
}

impl Panel {
    fn new(specs: Vec<RouteSpec>) -> Self {
        let routes = Routes::compile(&specs).expect("they are right");
        let literals = routes.literals().to_vec();
        Self { specs, judge: Judge::new(Arc::new(routes)), literals }
    }

    /// Whether a search must have let the element through.
    fn is_read(&self, element: &[u8]) -> bool {
        let holds = |literal: &Vec<u8>| memchr::memmem::find(element, literal).is_some();
        self.literals.is_empty() || self.literals.iter().any(holds)
    }
}

/// What was seen, by name: a test that tests nothing is not to pass.
#[derive(Default)]
struct Tally(BTreeMap<String, u64>);

impl Tally {
    fn count(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_default() += 1;
    }
}

fn from_env(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

fn gzip(rng: &mut Rng, plain: &[u8]) -> Vec<u8> {
    let level = [0, 1, 6][rng.usize(..3)];
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(plain).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything")
}

/// Sifts it whole.
fn at_once(panel: &Panel, scratch: &mut Scratch, stored: &[u8]) -> (Vec<Found>, Counts) {
    let mut sifter = Sifter::new(LIMITS, panel.judge.clone());
    sifter.feed(Bytes::copy_from_slice(stored));
    sifter.end();
    assert_eq!(sifter.run(scratch), Ok(Progress::Done));
    (sifter.take(), sifter.counts())
}

/// Sifts it in pieces of any size.
fn in_pieces(panel: &Panel, rng: &mut Rng, stored: &[u8]) -> (Vec<Found>, Counts) {
    let mut sifter = Sifter::new(LIMITS, panel.judge.clone());
    let (mut scratch, mut rest) = (Scratch::new(0), stored);
    let most = [7, 200, 5000, 100_000][rng.usize(..4)];
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(rng.usize(1..=most).min(rest.len()));
        sifter.feed(Bytes::copy_from_slice(piece));
        assert_eq!(sifter.run(&mut scratch), Ok(Progress::NeedInput));
        rest = behind;
    }
    sifter.end();
    assert_eq!(sifter.run(&mut scratch), Ok(Progress::Done));
    (sifter.take(), sifter.counts())
}

/// Holds what was found against the verdicts, element by element.
fn compare(
    panel: &Panel,
    document: &Document,
    verdicts: &[Verdict],
    found: &[Found],
    counts: Counts,
    tally: &mut Tally,
) {
    let mut found = found.iter().peekable();
    for (index, ((element, what), verdict)) in document.elements.iter().zip(verdicts).enumerate() {
        let shown = || String::from_utf8_lossy(element);
        let index = index as u64;
        let this = found.next_if(|found| match found {
            Found::Record(record) => record.index == index,
            Found::Fault(fault) => fault.index == index,
        });
        match this {
            Some(Found::Record(record)) => {
                assert_eq!(verdict.faults, [], "record {index}: {}", shown());
                assert!(record.bytes == element, "record {index} byte for byte: {}", shown());
                let routes: Vec<usize> = record.routes.iter().collect();
                assert_eq!(routes, verdict.routes, "record {index}: {}", shown());
                tally.count(format!("selected, {what}"));
            }
            Some(Found::Fault(fault)) => {
                let (reason, detail) = (fault.reason, &fault.detail);
                let is_named = verdict.faults.contains(&reason);
                assert!(is_named, "record {index}, {reason}: {detail}: {}", shown());
                assert!(fault.data == element, "record {index} byte for byte: {}", shown());
                tally.count(format!("parked, {reason}"));
            }
            None => {
                assert_eq!(verdict.routes, [] as [usize; 0], "record {index}: {}", shown());
                // A record that holds nothing that is searched for is not looked into.
                let is_right = verdict.faults.is_empty()
                    || element.starts_with(b"{") && !panel.is_read(element);
                assert!(is_right, "record {index} has {:?}: {}", verdict.faults, shown());
                tally.count("filtered");
            }
        }
    }
    assert_eq!(found.next(), None, "there is no such record");
    assert_eq!(counts.seen, document.elements.len() as u64);
    assert_eq!(counts.seen, counts.selected + counts.filtered + counts.quarantined);
}

/// serde_json sees the same elements, where it takes the document for JSON.
fn is_what_serde_json_sees(document: &Document) -> bool {
    let Ok(text) = std::str::from_utf8(&document.plain) else { return false };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        return false;
    }
    let members = judge::members(text);
    let records = members.iter().find(|(name, _)| **name == *b"Records").expect("it is there");
    let elements = judge::elements(records.1);
    let ours = document.elements.iter().map(|(element, _)| element.as_slice());
    assert!(elements.iter().map(|element| element.as_bytes()).eq(ours));
    true
}

#[test]
fn what_is_found_is_what_serde_json_and_the_rules_say() {
    let records = from_env("TRAILSIFT_ORACLE_RECORDS").unwrap_or(RECORDS);
    let first = from_env("TRAILSIFT_ORACLE_SEED").unwrap_or(1);
    let panels =
        [panel::one(), panel::twenty(), panel::twenty_reading_all(), panel::twenty_deriving()];
    let panels = panels.map(Panel::new);
    assert!(panels[..2].iter().all(|panel| !panel.literals.is_empty()));
    assert_eq!(panels[2].literals, [] as [Vec<u8>; 0]);
    let mut scratch = Scratch::new(64 << 20);
    let (mut tally, mut seen, mut bytes) = (Tally::default(), 0, 0);
    for seed in first.. {
        if seen >= records {
            break;
        }
        let _named = Named(seed);
        let mut rng = Rng::with_seed(seed);
        let most = [3, 30, 300, 2000][usize::try_from(seed % 4).expect("it is small")];
        let document = Document::generate(&mut rng, most);
        let plain = &document.plain;
        seen += document.elements.len() as u64;
        bytes += plain.len();
        document.elements.iter().for_each(|(_, what)| tally.count(*what));
        if is_what_serde_json_sees(&document) {
            tally.count("documents that are JSON");
        }
        let zipped = gzip(&mut rng, plain);
        // The judging is what takes the time: one of the larger panels must do for a document.
        let larger = rng.usize(1..panels.len());
        for panel in [&panels[0], &panels[larger]] {
            let judged = |(element, _): &(Vec<u8>, _)| judge::judge(element, &panel.specs);
            let verdicts: Vec<Verdict> = document.elements.iter().map(judged).collect();
            let (found, counts) = at_once(panel, &mut scratch, &zipped);
            compare(panel, &document, &verdicts, &found, counts, &mut tally);
            assert_eq!(in_pieces(panel, &mut rng, &zipped), (found.clone(), counts));
            let stored = match rng.u8(..2) {
                0 => zstd::encode_all(plain.as_slice(), 1).expect("a Vec takes everything"),
                _ => plain.clone(),
            };
            let (again, counts) = in_pieces(panel, &mut rng, &stored);
            assert!(again == found && counts.inflated == plain.len() as u64);
        }
    }
    println!("{seen} records, {bytes} bytes, seeds from {first}");
    tally.0.iter().for_each(|(what, count)| println!("{count:>9}  {what}"));
    if records < RECORDS {
        return;
    }
    for what in ["as it is", "shuffled", "spaced", "broken into lines", "with names added"] {
        assert!(tally.0.contains_key(&format!("selected, {what}")), "{what}");
    }
    for what in ["escaped here and there", "escaped throughout", "all of it"] {
        assert!(tally.0.contains_key(&format!("selected, {what}")), "{what}");
    }
    for reason in [
        Reason::RecordType,
        Reason::RecordSyntax,
        Reason::InvalidUtf8,
        Reason::DuplicateKey,
        Reason::EventSourceType,
    ] {
        assert!(tally.0.contains_key(&format!("parked, {reason}")), "{reason}");
    }
}

/// Says which document it was when a test fails.
struct Named(u64);

#[expect(clippy::print_stderr, reason = "a failing test says how to see it again")]
impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("TRAILSIFT_ORACLE_SEED={}", self.0);
        }
    }
}
