//! What is held in memory, which the outside cannot see.

use std::io::Write as _;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use trailsift_core::{RecordFault, RouteSet, Selection};

use super::window::STEP;
use super::*;

const LIMITS: SiftLimits =
    SiftLimits { max_inflated: 1 << 30, max_record: 1 << 20, max_held: 1 << 20 };

#[derive(Debug)]
struct Nothing;

impl Selection for Nothing {
    fn digest(&self) -> u64 {
        0
    }

    fn literals(&self) -> &[Vec<u8>] {
        &[]
    }

    fn select(&self, _: &[u8]) -> Result<RouteSet, RecordFault> {
        Ok(RouteSet::EMPTY)
    }
}

/// `open`, `body` over and over for about so many bytes, `close`.
fn gzip(open: &str, body: &[u8], length: usize, close: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(open.as_bytes()).unwrap();
    let block = body.repeat((48 << 10) / body.len());
    for _ in 0..length.div_ceil(block.len()) {
        encoder.write_all(&block).unwrap();
    }
    encoder.write_all(close.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// The most bytes that the sifter ever held while this was sifted, but for codec and input.
fn most_memory(limits: SiftLimits, stored: &[u8]) -> (usize, Result<Progress, ObjectFault>) {
    let mut sifter = Sifter::new(limits, Judge::new(Arc::new(Nothing)));
    let mut chunks = stored.chunks(8 << 10);
    let mut most = 0;
    loop {
        let result = sifter.run(&mut Scratch::new(0));
        most = most.max(sifter.window.capacity() + sifter.held_bytes() + sifter.head.capacity());
        match result {
            Ok(Progress::NeedInput) => match chunks.next() {
                Some(chunk) => sifter.feed(Bytes::copy_from_slice(chunk)),
                None => sifter.end(),
            },
            Ok(Progress::Full) => drop(sifter.take()),
            over => return (most, over),
        }
    }
}

#[test]
fn memory_is_bounded_by_the_record_limit_whatever_the_file_holds() {
    let usual = STEP + 3 * PREFIX;
    let record = (LIMITS.max_record + STEP) * 5 / 4 + 3 * PREFIX;
    for (open, body, close, bound, is_done) in [
        ("", &b"\0"[..], "", usual, false),
        ("", b" ", "", usual, false),
        (r#"{"Records":["#, b"\t\n", "]}", usual, true),
        (r#"{"Records":["#, b"{},", "{}]}", usual, true),
        (r#"{"Records":["#, b"[", "", record, false),
        (r#"{"a":"#, b"[", "", usual, false),
        (r#"{"Records":[{"a":""#, b"x\\\"", r#""},{}]}"#, record + 200, true),
        (r#"{"Records":[{},1"#, b"1", ",{}]}", record + 200, true),
        (r#"{"Records":[],"a":""#, b"x\\\"", r#""}"#, usual, true),
        (r#"{""#, b"x\\\"", r#"":0,"Records":[]}"#, usual, true),
    ] {
        let (most, result) = most_memory(LIMITS, &gzip(open, body, 32 << 20, close));
        let name = &open[..open.len().min(24)];
        assert!(most <= bound, "{name}: {most} bytes of at most {bound}");
        assert_eq!(result.is_ok(), is_done, "{name}: {result:?}");
    }
}

#[test]
fn a_small_file_takes_little_memory_and_a_bomb_no_more_than_its_limit_of_work() {
    let small = gzip(&format!(r#"{{"Records":[{}{{}}]}}"#, "{},".repeat(5000)), b" ", 0, "");
    let (most, result) = most_memory(LIMITS, &small);
    assert!(most <= 34 << 10, "{most} bytes");
    assert_eq!(result, Ok(Progress::Done));

    let limits = SiftLimits { max_inflated: 1 << 20, ..LIMITS };
    let bomb = gzip("{\"", b"x", 200 << 20, "");
    let mut sifter = Sifter::new(limits, Judge::new(Arc::new(Nothing)));
    sifter.feed(bomb.into());
    assert_eq!(
        sifter.run(&mut Scratch::new(0)).map_err(|fault| fault.reason),
        Err(Reason::TooLarge)
    );
    assert_eq!(sifter.counts().inflated, (1 << 20) + 1);
}
