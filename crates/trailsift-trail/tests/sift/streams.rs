//! Bounds and hand-overs: what is held, what is released early, what a giant costs.

use bytes::Bytes;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use trailsift_core::Reason;
use trailsift_trail::{Found, Progress, Scratch, SiftLimits, Sifter};

use crate::support::{LIMITS, SourceIs, gzip, judge, sift, sift_with, wanted, zstd};

#[test]
fn nothing_can_be_taken_from_a_stream_that_is_not_verified() {
    let plain = format!(r#"{{"Records":[{}]}}"#, wanted(1));
    for stored in [gzip(plain.as_bytes()), zstd(plain.as_bytes())] {
        let mut sifter = Sifter::new(LIMITS, judge());
        for byte in &stored {
            sifter.feed(Bytes::copy_from_slice(&[*byte]));
            assert_eq!(sifter.run(&mut Scratch::new(0)), Ok(Progress::NeedInput));
        }
        sifter.end();
        assert_eq!(sifter.run(&mut Scratch::new(0)), Ok(Progress::Done));
        assert!(sifter.held_bytes() > 0);
        assert_eq!(sifter.take().len(), 1);
    }
}

/// The hash that a sifter takes of an object fed in these chunks, and whether it could be read.
fn sha256(chunks: &[&[u8]]) -> (Option<[u8; 32]>, Option<Reason>) {
    let limits = SiftLimits { max_held: 0, ..LIMITS };
    let mut sifter = Sifter::new(limits, judge()).with_sha256();
    let mut chunks = chunks.iter();
    loop {
        match sifter.run(&mut Scratch::new(0)) {
            Ok(Progress::NeedInput) => match chunks.next() {
                Some(chunk) => sifter.feed(Bytes::copy_from_slice(chunk)),
                None => sifter.end(),
            },
            Ok(Progress::Full) => drop(sifter.take()),
            Ok(Progress::Done) => return (sifter.sha256(), None),
            Err(fault) => return (sifter.sha256(), Some(fault.reason)),
        }
        assert_eq!(sifter.sha256(), None, "it is not at its end");
    }
}

#[test]
fn the_hash_is_of_all_inflated_bytes_however_they_are_stored_and_cut() {
    let records: Vec<_> = (0..20_000).map(wanted).collect();
    let plain = format!("\u{feff}{{\"Records\":[{}]}}\n", records.join(","));
    let expected = Some(<[u8; 32]>::from(Sha256::digest(&plain)));
    for stored in [plain.clone().into_bytes(), gzip(plain.as_bytes()), zstd(plain.as_bytes())] {
        assert_eq!(sha256(&[&stored]), (expected, None));
        for size in [1, 7, 4096, 100_000] {
            assert_eq!(sha256(&stored.chunks(size).collect::<Vec<_>>()), (expected, None));
        }
    }
    // A file that was read to its end has a hash whatever it says; another has none.
    let lost = &plain.as_bytes()[..plain.len() - 4];
    let expected = Some(<[u8; 32]>::from(Sha256::digest(lost)));
    assert_eq!(sha256(&[&gzip(lost)]), (expected, Some(Reason::StructureLost)));
    let stored = gzip(plain.as_bytes());
    assert_eq!(sha256(&[&stored[..stored.len() - 1]]), (None, Some(Reason::GzipTruncated)));
    let mut sifter = Sifter::new(LIMITS, judge());
    sifter.feed(stored.into());
    sifter.end();
    assert_eq!(sifter.run(&mut Scratch::new(0)), Ok(Progress::Done));
    assert_eq!(sifter.sha256(), None, "nobody asked");
}

#[test]
fn what_is_over_the_held_bytes_is_released_early_and_in_order() {
    let records: Vec<_> = (0..500).map(wanted).collect();
    let plain = format!(r#"{{"Records":[{}]}}"#, records.join(","));
    let stored = gzip(plain.as_bytes());
    let whole = sift(&stored);
    let limits = SiftLimits { max_held: 1000, ..LIMITS };
    let mut sifter = Sifter::new(limits, judge());
    sifter.feed(stored.clone().into());
    assert_eq!(sifter.run(&mut Scratch::new(0)), Ok(Progress::Full));
    assert_eq!(sifter.run(&mut Scratch::new(0)), Ok(Progress::Full), "nothing was taken");
    assert!(sifter.held_bytes() < 2000);
    assert_eq!(sift_with(limits, SourceIs::wanted(), [stored.as_slice()]), whole);
    assert_eq!(
        sift_with(SiftLimits { max_held: 0, ..LIMITS }, SourceIs::wanted(), [&stored[..]]),
        whole
    );

    // What was released before the damage showed stays released; what was still held is taken back.
    let cut = sift_with(limits, SourceIs::wanted(), [&stored[..stored.len() - 4]]);
    assert_eq!(cut.reason(), Some(Reason::GzipTruncated));
    assert!(!cut.found.is_empty() && cut.found.len() < 500);
}

#[test]
fn f26_a_million_tiny_records_are_counted() {
    let plain = format!(r#"{{"Records":[{}{{}}]}}"#, "{},".repeat(1_000_000));
    let sifted = sift(&gzip(plain.as_bytes()));
    assert_eq!((sifted.counts.seen, sifted.counts.filtered), (1_000_001, 1_000_001));
}

#[test]
fn f26_a_million_faults_ask_to_be_taken() {
    let plain = format!(r#"{{"Records":[{}1]}}"#, "1,".repeat(100_000));
    let limits = SiftLimits { max_held: 1 << 20, ..LIMITS };
    let mut sifter = Sifter::new(limits, judge());
    sifter.feed(plain.into());
    sifter.end();
    let mut taken = 0;
    while sifter.run(&mut Scratch::new(0)) == Ok(Progress::Full) {
        assert!(sifter.held_bytes() < 2 << 20);
        taken += sifter.take().len();
    }
    assert_eq!(taken + sifter.take().len(), 100_001);
}

#[test]
fn f25_a_string_of_64_mib_anywhere_is_skipped() {
    let giant = "\\\"x".repeat((64 << 20) / 3);
    let limits = SiftLimits { max_inflated: 1 << 30, ..LIMITS };
    for plain in [
        format!(r#"{{"{giant}":1,"Records":[{}]}}"#, wanted(1)),
        format!(r#"{{"a":"{giant}","Records":[{}]}}"#, wanted(1)),
        format!(r#"{{"Records":[{}],"a":["{giant}"]}}"#, wanted(1)),
    ] {
        let sifted = sift_with(limits, SourceIs::wanted(), [plain.as_bytes()]);
        assert_eq!((sifted.result, sifted.found.len()), (Ok(Progress::Done), 1));
    }
    let plain = format!(r#"{{"Records":[{{"a":"{giant}"}},{}]}}"#, wanted(1));
    let sifted = sift_with(limits, SourceIs::wanted(), [gzip(plain.as_bytes()).as_slice()]);
    assert!(matches!(&sifted.found[..], [Found::Fault(fault), Found::Record(_)]
        if fault.reason == Reason::RecordTooLarge && fault.data.len() == 1024));
}

/// What may come of a damaged compressed object: the truth, or nothing and a name for it.
fn truth_or_nothing(stored: &[u8], damaged: &[u8], cut: usize) {
    let truth = sift(stored);
    let sifted = sift(damaged);
    match &sifted.result {
        // The time, the name and such in a gzip header are nobody's business.
        Ok(_) => assert_eq!(sifted.found, truth.found),
        Err(fault) => {
            assert_ne!(fault.reason, Reason::StructureLost);
            assert_eq!(sifted.found, []);
        }
    }
    let again = sift_with(LIMITS, SourceIs::wanted(), damaged.chunks(cut));
    assert_eq!((again.result, again.found), (sifted.result, sifted.found));
}

proptest! {
    #[test]
    fn a_damaged_stream_delivers_the_truth_or_nothing(
        numbers in prop::collection::vec(any::<u32>(), 0..200),
        at in any::<prop::sample::Index>(),
        bits in 1..=255_u8,
        change in 0..3,
        cut in 1..50_usize,
    ) {
        let records: Vec<_> = numbers.iter().map(|number| wanted(*number)).collect();
        let plain = format!(r#"{{"Records":[{}]}}"#, records.join(","));
        for stored in [gzip(plain.as_bytes()), zstd(plain.as_bytes())] {
            let mut damaged = stored.clone();
            let at = at.index(damaged.len());
            match change {
                0 => damaged[at] ^= bits,
                1 => damaged.insert(at, bits),
                _ => {
                    damaged.remove(at);
                }
            }
            truth_or_nothing(&stored, &damaged, cut);
        }
    }

    #[test]
    fn noise_behind_a_gzip_magic_never_panics(noise: Vec<u8>, cut in 1..50_usize) {
        for magic in [&b"\x1F\x8B\x08\0"[..], b"\x28\xB5\x2F\xFD", b""] {
            let stored = [magic, &noise].concat();
            let sifted = sift(&stored);
            prop_assert!(sifted.result.is_err());
            let again = sift_with(LIMITS, SourceIs::wanted(), stored.chunks(cut));
            prop_assert_eq!(again.result, sifted.result);
        }
    }
}

#[test]
fn what_is_there_as_a_whole_and_selects_too_much_is_handed_over_in_parts_with_its_hash() {
    let records: Vec<_> = (0..500).map(wanted).collect();
    let plain = format!(r#"{{"Records":[{}]}}"#, records.join(","));
    let limits = SiftLimits { max_held: plain.len() / 10, ..LIMITS };
    let mut scratch = Scratch::new(64 << 20);
    let mut sifter = Sifter::new(limits, judge()).with_sha256();
    sifter.feed(gzip(plain.as_bytes()).into());
    sifter.end();
    let (mut found, mut parts, mut inflated) = (Vec::new(), 0, 0);
    loop {
        let progress = sifter.run(&mut scratch).expect("it is sound");
        assert!(sifter.held_bytes() <= limits.max_held + LIMITS.max_record);
        assert!(scratch.held_bytes() >= plain.len(), "the core has its memory back");
        assert!(sifter.counts().inflated >= inflated);
        inflated = sifter.counts().inflated;
        found.append(&mut sifter.take());
        if progress == Progress::Done {
            break;
        }
        assert_eq!(sifter.sha256(), None, "it is not at its end");
        parts += 1;
    }
    assert!(parts > 1, "{parts}");
    assert_eq!(found, sift(plain.as_bytes()).found);
    assert_eq!(sifter.sha256(), Some(<[u8; 32]>::from(Sha256::digest(&plain))));
    assert_eq!((sifter.counts().selected, inflated), (500, plain.len() as u64));
}
