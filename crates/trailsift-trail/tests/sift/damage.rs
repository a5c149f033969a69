//! Compressed objects cut at every byte and with every bit flipped (F1, F2).

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use std::io::Write as _;

use trailsift_core::Reason;
use trailsift_trail::Progress;

use crate::support::{LIMITS, Sifted, SourceIs, sift, sift_with, wanted, zstd};

/// A compressed object by name.
type Fixture = (&'static str, Vec<u8>);

const TEXT: u8 = 1;
const HEADER_CRC: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;

const STORED: u8 = 0;
const FIXED: u8 = 1;
const DYNAMIC: u8 = 2;

/// A document with a few selected records among others.
fn document(records: u32) -> Vec<u8> {
    let records: Vec<_> = (0..records)
        .map(|n| if n % 3 == 0 { wanted(n * 7919) } else { format!(r#"{{"n":[{n},"x"]}}"#) })
        .collect();
    format!(r#"{{"Records":[{}]}}"#, records.join(",")).into_bytes()
}

/// A gzip member with these header flags (RFC 1952), whose first block is of this type (RFC 1951).
fn gzip_with(plain: &[u8], flags: u8, block: u8) -> Vec<u8> {
    let mut stored = vec![0x1F, 0x8B, 8, flags, 0x12, 0x34, 0x56, 0x67, 0, 3];
    if flags & EXTRA != 0 {
        stored.extend([6, 0, b'T', b'S', 2, 0, 0xAB, 0xCD]);
    }
    if flags & NAME != 0 {
        stored.extend(b"trail.json\0");
    }
    if flags & COMMENT != 0 {
        stored.extend(b"a comment\0");
    }
    if flags & HEADER_CRC != 0 {
        stored.extend(&crc(&stored).to_le_bytes()[..2]);
    }
    let level = match block {
        STORED => Compression::none(),
        FIXED => Compression::fast(),
        _ => Compression::best(),
    };
    let mut deflate = DeflateEncoder::new(Vec::new(), level);
    deflate.write_all(plain).expect("a Vec takes everything");
    let deflated = deflate.finish().expect("a Vec takes everything");
    assert_eq!(deflated[0] >> 1 & 3, block, "the encoder chose another block type");
    stored.extend(deflated);
    stored.extend(crc(plain).to_le_bytes());
    stored.extend(u32::try_from(plain.len()).expect("it is short").to_le_bytes());
    stored
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn zstd_with(plain: &[u8], has_checksum: bool, has_size: bool) -> Vec<u8> {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 19).expect("level 19 exists");
    encoder.include_checksum(has_checksum).expect("a checksum can be had");
    let size = has_size.then_some(plain.len() as u64);
    encoder.set_pledged_src_size(size).expect("a size can be said");
    encoder.include_contentsize(has_size).expect("a size can be had");
    encoder.write_all(plain).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything")
}

/// What has a checksum over its content.
fn checked() -> Vec<Fixture> {
    let (short, long) = (document(2), document(60));
    let all = TEXT | HEADER_CRC | EXTRA | NAME | COMMENT;
    vec![
        ("stored blocks", gzip_with(&short, 0, STORED)),
        ("fixed block", gzip_with(&short, 0, FIXED)),
        ("dynamic block", gzip_with(&long, 0, DYNAMIC)),
        ("header with a name", gzip_with(&short, NAME, FIXED)),
        ("header with everything", gzip_with(&short, all, FIXED)),
        ("header with everything but a checksum", gzip_with(&short, all & !HEADER_CRC, FIXED)),
        ("zstd", zstd_with(&long, true, false)),
        ("zstd with its size", zstd_with(&long, true, true)),
    ]
}

/// What cannot vouch for its content: only its structure is checked.
fn unchecked() -> Vec<Fixture> {
    let long = document(60);
    vec![
        ("zstd without a checksum", zstd_with(&long, false, false)),
        ("zstd with its size alone", zstd_with(&long, false, true)),
    ]
}

/// Sifts it at once and byte by byte, which must come to the same.
#[track_caller]
fn sift_both_ways(stored: &[u8], name: &str) -> Sifted {
    let at_once = sift(stored);
    let byte_by_byte = sift_with(LIMITS, SourceIs::wanted(), stored.chunks(1));
    assert_eq!(at_once.result, byte_by_byte.result, "{name}");
    assert_eq!(at_once.found, byte_by_byte.found, "{name}");
    at_once
}

#[test]
fn f1_an_object_cut_at_any_byte_is_truncated_and_delivers_nothing() {
    for (name, stored) in checked().into_iter().chain(unchecked()) {
        let whole = sift_both_ways(&stored, name);
        assert_eq!(whole.result, Ok(Progress::Done), "{name}");
        assert!(!whole.found.is_empty(), "{name}");
        for length in 0..stored.len() {
            let name = format!("{name}, cut at {length}");
            let cut = sift_both_ways(&stored[..length], &name);
            let reason = if length == 0 { Reason::EmptyObject } else { Reason::GzipTruncated };
            assert_eq!((cut.reason(), &cut.found[..]), (Some(reason), &[][..]), "{name}");
        }
    }
}

#[test]
fn f2_an_object_with_any_bit_flipped_delivers_what_it_held_or_nothing() {
    for (name, stored) in checked() {
        let whole = sift(&stored);
        let is_gzip = stored[0] == 0x1F;
        for bit in 0..stored.len() * 8 {
            let name = format!("{name}, bit {bit}");
            let mut damaged = stored.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let sifted = sift_both_ways(&damaged, &name);
            match sifted.reason() {
                // Neither the time nor a name is part of the content; but nothing else is left out.
                None => assert_eq!(sifted.found, whole.found, "{name}"),
                Some(reason) => {
                    assert_eq!(sifted.found, [], "{name}");
                    let expected = match bit / 8 {
                        // Without its magic number it is something else, which is no JSON either.
                        0..2 if is_gzip => vec![Reason::NotJson],
                        0..4 if !is_gzip => vec![Reason::NotJson, Reason::GzipTrailingMember],
                        _ => vec![
                            Reason::GzipCrc,
                            Reason::GzipTruncated,
                            Reason::GzipTrailingMember,
                            Reason::UnsupportedCodec,
                        ],
                    };
                    assert!(expected.contains(&reason), "{name}: {reason}");
                }
            }
            let is_trailer = bit / 8 >= stored.len() - if is_gzip { 8 } else { 4 };
            if is_trailer {
                assert_eq!(sifted.reason(), Some(Reason::GzipCrc), "{name}");
            }
        }
    }
}

#[test]
fn f2_a_flipped_bit_in_a_gzip_header_counts_only_where_it_means_something() {
    let stored = gzip_with(&document(2), 0, FIXED);
    for byte in [4, 5, 6, 7, 8, 9] {
        let mut changed = stored.clone();
        changed[byte] ^= 0xFF;
        assert_eq!(sift(&changed), sift(&stored), "time, extra flags and system say nothing");
    }
    let stored = gzip_with(&document(2), HEADER_CRC, FIXED);
    for byte in 4..12 {
        let mut changed = stored.clone();
        changed[byte] ^= 1;
        let sifted = sift(&changed);
        assert_eq!((sifted.reason(), sifted.found), (Some(Reason::GzipCrc), vec![]), "byte {byte}");
    }
}

#[test]
fn f2_what_carries_no_checksum_is_read_alike_however_it_is_cut() {
    for (name, stored) in unchecked() {
        for bit in 0..stored.len() * 8 {
            let mut damaged = stored.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            // What S3 stores it vouches for itself; here no damage may panic, or be read in two ways.
            sift_both_ways(&damaged, &format!("{name}, bit {bit}"));
        }
    }
    assert_eq!(sift(&zstd(&document(60))).found, sift(&document(60)).found);
}
