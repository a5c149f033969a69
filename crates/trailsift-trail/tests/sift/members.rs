//! Several compressed streams in one object, where the operator lets them be read (F3, F4); and what
//! else of an object's make is noted (F30, F34, F35) or its records differ from its key in (F39, F40).

use bytes::Bytes;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use trailsift_core::Reason;
use trailsift_trail::{MultiMember, Progress, Scratch, SiftLimits, Sifter, Trailing, Traits};

use crate::support::{LIMITS, Sifted, WANTED, gzip, judge, sift, sift_by, wanted, zstd};

/// A frame of which a decoder takes no notice (RFC 8878, section 3.1.2).
const SKIPPABLE: [u8; 11] = [0x5A, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, b'x', b'y', b'z'];
/// The same without content.
const EMPTY_SKIPPABLE: [u8; 8] = [0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0];

fn sift_members(stored: &[u8], multi_member: MultiMember, size: usize) -> Sifted {
    let sifter = Sifter::new(LIMITS, judge()).with_multi_member(multi_member);
    sift_by(sifter, LIMITS, stored.chunks(size))
}

/// What does not depend on how an object is cut; of a damaged one the inflated bytes may.
fn essence(sifted: Sifted) -> impl PartialEq + std::fmt::Debug {
    (sifted.result, sifted.found, sifted.traits)
}

/// The same however it is cut.
#[track_caller]
fn sift_accepting(stored: &[u8]) -> Sifted {
    let whole = sift_members(stored, MultiMember::Accept, usize::MAX);
    for size in [1, 2, 5, 6, 7, 64] {
        let again = sift_members(stored, MultiMember::Accept, size);
        assert_eq!(essence(again), essence(whole.clone()), "by {size}");
    }
    whole
}

fn document() -> String {
    format!(r#"{{"Records":[{},{{"n":1}},{}]}}"#, wanted(1), wanted(2))
}

/// The document in members that are cut at these places.
fn members(plain: &[u8], cuts: &[usize], pack: fn(&[u8]) -> Vec<u8>) -> Vec<Vec<u8>> {
    let mut ends = cuts.to_vec();
    ends.push(plain.len());
    let starts = [0].into_iter().chain(cuts.iter().copied());
    starts.zip(&ends).map(|(start, end)| pack(&plain[start..*end])).collect()
}

#[test]
fn f3_accepted_members_are_one_stream_as_gzip_reads_them() {
    let plain = document();
    let truth = sift(plain.as_bytes());
    let middle = plain.len() / 2;
    for pack in [gzip as fn(&[u8]) -> Vec<u8>, zstd] {
        for cuts in [vec![middle], vec![0], vec![plain.len()], vec![0, 1, 1, middle, plain.len()]] {
            let stored = members(plain.as_bytes(), &cuts, pack).concat();
            let sifted = sift_accepting(&stored);
            assert_eq!(sifted.result, Ok(Progress::Done), "{cuts:?}");
            assert_eq!(sifted.found, truth.found, "{cuts:?}");
            assert!(sifted.traits.has_members && !sifted.traits.is_suspect);
            let flagged = sift_members(&stored, MultiMember::Flag, usize::MAX);
            assert_eq!(flagged.found, truth.found);
            assert!(flagged.traits.is_suspect && flagged.traits.notes().any(|it| it == "suspect"));
            let rejected = sift_members(&stored, MultiMember::Reject, usize::MAX);
            assert_eq!(rejected.reason(), Some(Reason::GzipTrailingMember));
            assert_eq!(rejected.found, []);
        }
    }
    let one = sift_members(&gzip(plain.as_bytes()), MultiMember::Flag, usize::MAX);
    assert_eq!((one.found, one.traits), (truth.found, Traits::default()));
}

#[test]
fn f3_frames_to_skip_are_skipped_where_frames_may_follow_each_other() {
    let plain = document();
    let truth = sift(plain.as_bytes());
    let frames = members(plain.as_bytes(), &[9], zstd);
    for skippable in [&SKIPPABLE[..], &EMPTY_SKIPPABLE] {
        let stored = [skippable, &frames[0], skippable, skippable, &frames[1], skippable].concat();
        let sifted = sift_accepting(&stored);
        assert_eq!((sifted.result, sifted.found), (Ok(Progress::Done), truth.found.clone()));
        let cut = sift_accepting(&stored[..stored.len() - 1]);
        assert_eq!((cut.reason(), cut.found), (Some(Reason::GzipTruncated), vec![]));
    }
}

#[test]
fn f4_zeros_may_pad_the_end_and_nothing_else_may() {
    let plain = document();
    let truth = sift(plain.as_bytes());
    for pack in [gzip as fn(&[u8]) -> Vec<u8>, zstd] {
        let other = if pack(b"")[0] == 0x1F { zstd(b"") } else { gzip(b"") };
        let members = members(plain.as_bytes(), &[20], pack);
        let stored = members.concat();
        for zeros in [1, 5, 512, 100_000] {
            let padded = [&stored[..], &vec![0; zeros]].concat();
            let sifted = sift_accepting(&padded);
            assert_eq!((sifted.result, sifted.found), (Ok(Progress::Done), truth.found.clone()));
            let trailing: Vec<_> = sifted.traits.trailing().collect();
            assert_eq!(trailing, [Trailing::Member, Trailing::Garbage]);
            assert!(sift_members(&padded, MultiMember::Flag, 100).traits.is_suspect);
        }
        for garbage in [
            b"\n".to_vec(),
            b"\x1F".to_vec(),
            b"garbage".to_vec(),
            other,
            [vec![0; 700], b"x".to_vec()].concat(),
            [vec![0; 7], pack(b"")].concat(),
        ] {
            let sifted = sift_accepting(&[stored.clone(), garbage].concat());
            assert_eq!(sifted.reason(), Some(Reason::GzipTrailingMember));
            assert_eq!(sifted.found, []);
            assert!(sifted.traits.has_garbage);
        }
    }
}

#[test]
fn f3_a_damaged_or_cut_member_delivers_nothing_of_the_others() {
    let plain = document();
    for pack in [gzip as fn(&[u8]) -> Vec<u8>, zstd] {
        let members = members(plain.as_bytes(), &[plain.len() - 1], pack);
        let stored = members.concat();
        for length in members[0].len() + 1..stored.len() {
            let cut = sift_members(&stored[..length], MultiMember::Accept, usize::MAX);
            assert_eq!(cut.found, [], "cut at {length}");
            let reasons = [Reason::GzipTruncated, Reason::GzipTrailingMember];
            assert!(cut.reason().is_some_and(|it| reasons.contains(&it)), "cut at {length}");
        }
        let mut damaged = stored.clone();
        *damaged.last_mut().expect("it has a trailer") ^= 1;
        let damaged = sift_accepting(&damaged);
        assert_eq!((damaged.reason(), damaged.found), (Some(Reason::GzipCrc), vec![]));
    }
}

#[test]
fn f5_the_limit_on_inflated_bytes_is_for_all_members_together() {
    let limits = SiftLimits { max_inflated: 1 << 20, ..LIMITS };
    for pack in [gzip as fn(&[u8]) -> Vec<u8>, zstd] {
        let stored = [pack(document().as_bytes()), pack(&[b' '; 10_000]).repeat(200)].concat();
        let sifter = Sifter::new(limits, judge()).with_multi_member(MultiMember::Accept);
        let sifted = sift_by(sifter, limits, [&stored[..]]);
        assert_eq!((sifted.reason(), sifted.found), (Some(Reason::TooLarge), vec![]));
        assert_eq!(sifted.counts.inflated, (1 << 20) + 1);
    }
}

#[test]
fn f5_empty_members_without_number_cost_little_each() {
    let document = document();
    for (empty, last) in [
        (gzip(b""), gzip(document.as_bytes())),
        (zstd(b""), zstd(document.as_bytes())),
        (EMPTY_SKIPPABLE.to_vec(), zstd(document.as_bytes())),
    ] {
        // A quarter of a second; a minute, were each of them to set up a decoder of its own.
        let stored = [empty.repeat(500_000), last].concat();
        let sifted = sift_members(&stored, MultiMember::Accept, 512 << 10);
        assert_eq!(sifted.found, sift(document.as_bytes()).found);
    }
}

#[test]
fn f3_a_later_frame_may_not_ask_for_a_huge_window_either() {
    // Magic, a window of 16 MiB, a size of 1, one raw block: the library decodes that in one go.
    let frame = [0x28, 0xB5, 0x2F, 0xFD, 0x80, 14 << 3, 1, 0, 0, 0, 1 << 3 | 1, 0, 0, b' '];
    let sifted = sift_accepting(&[&zstd(document().as_bytes())[..], &frame].concat());
    assert_eq!((sifted.reason(), sifted.found), (Some(Reason::UnsupportedCodec), vec![]));
}

#[test]
fn the_hash_of_members_is_of_all_that_they_inflate_to() {
    let plain = document();
    let stored = members(plain.as_bytes(), &[5, 50], gzip).concat();
    let sifter = Sifter::new(LIMITS, judge());
    let mut sifter = sifter.with_multi_member(MultiMember::Accept).with_sha256();
    sifter.feed(Bytes::from(stored));
    sifter.end();
    assert_eq!(sifter.run(&mut Scratch::new(0)), Ok(Progress::Done));
    assert_eq!(sifter.sha256(), Some(Sha256::digest(plain).into()));
}

#[test]
fn f30_f34_f35_how_an_object_is_stored_is_noted() {
    let plain = document();
    let marked = format!("\u{feff}{plain}");
    let notes = |stored: &[u8]| {
        let sifted = sift_accepting(stored);
        assert_eq!(sifted.found, sift(plain.as_bytes()).found);
        sifted.traits.notes().collect::<Vec<_>>()
    };
    assert_eq!(notes(&gzip(plain.as_bytes())), [""; 0]);
    assert_eq!(notes(plain.as_bytes()), ["plain_json"]);
    assert_eq!(notes(&zstd(plain.as_bytes())), ["zstd"]);
    assert_eq!(notes(&gzip(marked.as_bytes())), ["byte_order_mark"]);
    assert_eq!(notes(marked.as_bytes()), ["plain_json", "byte_order_mark"]);
    assert_eq!(sift(b"\xEF\xBB{}").traits.notes().collect::<Vec<_>>(), ["plain_json"]);
}

const KEY: &str = "AWSLogs/111122223333/CloudTrail/us-east-1/2025/11/22/a.json.gz";

fn of_version(version: &str, account: &str, region: &str) -> String {
    format!(
        r#"{{"eventVersion":"{version}","eventSource":"{WANTED}","recipientAccountId":"{account}","awsRegion":"{region}"}}"#
    )
}

#[test]
fn f39_f40_selected_records_of_other_versions_accounts_and_regions_are_counted_and_delivered() {
    let records = [
        of_version("1.08", "111122223333", "us-east-1"),
        of_version("2.0", "111122223333", "us-east-1"),
        of_version("1.11", "444455556666", "eu-west-1"),
        of_version("1.11", "444455556666", "us-east-1"),
        of_version("3.1", "1", "x").replace(WANTED, "s3.amazonaws.com"),
    ];
    let plain = format!(r#"{{"Records":[{}]}}"#, records.join(","));
    let sift_as = |key: &str, stored: &[u8]| {
        sift_by(Sifter::new(LIMITS, judge()).with_key(key), LIMITS, [stored])
    };
    let odd = |sifted: &Sifted| {
        let counts = sifted.counts;
        (counts.unknown_major, counts.other_account, counts.other_region)
    };
    let sifted = sift_as(KEY, plain.as_bytes());
    assert_eq!(odd(&sifted), (1, 2, 1));
    let delivered: Vec<_> = sifted.short().into_iter().map(|(index, _)| index).collect();
    assert_eq!(delivered, [0, 1, 2, 3]);
    assert_eq!(odd(&sift_as("somewhere/else.json", plain.as_bytes())), (1, 0, 0));
    // What is taken back does not count.
    let stored = gzip(plain.as_bytes());
    assert_eq!(odd(&sift_as(KEY, &stored[..stored.len() - 1])), (0, 0, 0));
}

proptest! {
    #[test]
    fn f3_damaged_members_deliver_the_truth_or_nothing(
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        at in any::<prop::sample::Index>(),
        bits in 1..=255_u8,
        change in 0..3,
        size in 1..50_usize,
        is_zstd: bool,
    ) {
        let plain = document();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(plain.len())).collect();
        cuts.sort_unstable();
        let pack = if is_zstd { zstd } else { gzip };
        let stored = members(plain.as_bytes(), &cuts, pack).concat();
        let mut damaged = stored.clone();
        let at = at.index(damaged.len());
        match change {
            0 => damaged[at] ^= bits,
            1 => damaged.insert(at, bits),
            _ => drop(damaged.remove(at)),
        }
        let sifted = sift_members(&damaged, MultiMember::Accept, usize::MAX);
        match sifted.result {
            Ok(_) => prop_assert_eq!(&sifted.found, &sift(plain.as_bytes()).found),
            Err(_) => prop_assert_eq!(&sifted.found, &[]),
        }
        let again = sift_members(&damaged, MultiMember::Accept, size);
        prop_assert_eq!(essence(again), essence(sifted));
    }
}
