//! What gzip and deflate allow, forbid, and leave to their readers: the library that inflates at once
//! and the one that inflates in pieces must come to one answer.

use std::io::Write as _;

use flate2::write::{DeflateEncoder, GzEncoder};
use flate2::{Compression, Crc};
use trailsift_core::Reason;
use trailsift_trail::{MultiMember, Progress, Sifter};

use crate::deflate::{
    Bits, codes, dynamic_header_of_one_end, dynamic_text, empty_fixed_blocks, lengths, stored_tail,
};
use crate::support::{LIMITS, Sifted, gzip, judge, sift, sift_at_once, sift_by, wanted};

const TEXT: u8 = 1;
const HEADER_CRC: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;

fn document() -> Vec<u8> {
    let records: Vec<_> = (0..12).map(|n| format!(r#"{{"n":{n}}},{}"#, wanted(n))).collect();
    format!(r#"{{"Records":[{}]}}"#, records.join(",")).into_bytes()
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn deflate(plain: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(plain).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything")
}

/// A gzip member of a header, a deflate stream and the trailer that `plain` asks for.
fn member(header: &[u8], deflated: &[u8], plain: &[u8]) -> Vec<u8> {
    let size = u32::try_from(plain.len()).expect("it is short");
    [header, deflated, &crc(plain).to_le_bytes(), &size.to_le_bytes()].concat()
}

fn header(flags: u8) -> Vec<u8> {
    vec![0x1F, 0x8B, 8, flags, 0, 0, 0, 0, 0, 255]
}

/// A plain header.
const PLAIN: [u8; 10] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255];

#[test]
fn every_header_that_rfc_1952_allows_is_read_and_no_other() {
    let plain = document();
    let (deflated, truth) = (deflate(&plain, 6), sift(&plain).found);
    let sum = |bytes: Vec<u8>, wrong: u8| {
        let sum = crc(&bytes).to_le_bytes();
        [&bytes[..], &[sum[0] ^ wrong, sum[1]]].concat()
    };
    let put = |flags, rest: &[u8]| [&header(flags)[..], rest].concat();
    let long = [&[0xFF, 0xFF][..], &[b'x'; 0xFFFF]].concat();
    let good = [
        put(TEXT, b""),
        put(NAME, b"\0"),
        put(NAME, &[&[b'n'; 70_000][..], b"\0"].concat()),
        put(NAME, b"\x1F\x8B\x08\0"),
        put(COMMENT, b"\xFF\n\0"),
        put(EXTRA, b"\0\0"),
        put(EXTRA, &long),
        put(EXTRA, b"\x02\0ab"),
        put(EXTRA | NAME | COMMENT | TEXT, b"\x01\0ename\0comment\0"),
        sum(put(HEADER_CRC, b""), 0),
        sum(put(HEADER_CRC | EXTRA | NAME | COMMENT, b"\x01\0ename\0comment\0"), 0),
    ];
    for header in good {
        let sifted = sift(&member(&header, &deflated, &plain));
        assert_eq!((&sifted.result, &sifted.found), (&Ok(Progress::Done), &truth), "{header:?}");
    }
    let mut bad = vec![
        sum(put(HEADER_CRC, b""), 1),
        sum(put(HEADER_CRC | NAME, b"name\0"), 0x80),
        put(NAME, b"has no end"),
        put(COMMENT, b"has no end"),
        put(EXTRA, b"\xFF\xFFhas no end"),
    ];
    // Flags that are reserved, and methods that are not deflate.
    bad.extend([0x20, 0x40, 0x80, 0xE0].map(|flag| put(flag, b"")));
    bad.extend([0, 7, 9, 255].map(|method| {
        let mut header = header(0);
        header[2] = method;
        header
    }));
    for header in bad {
        let sifted = sift(&member(&header, &deflated, &plain));
        let refused = matches!(
            sifted.reason(),
            Some(
                Reason::GzipCrc
                    | Reason::GzipTruncated
                    | Reason::UnsupportedCodec
                    | Reason::NotJson
            )
        );
        assert!(refused && sifted.found.is_empty(), "{header:?}: {:?}", sifted.result);
    }
}

#[test]
fn whatever_follows_a_member_is_seen_also_where_its_size_is_repeated() {
    let plain = document();
    let whole = gzip(&plain);
    let size = &whole[whole.len() - 4..];
    let other = {
        // Of the same size, so that the object ends in the size of its first member.
        let text = String::from_utf8(plain.clone()).expect("text").replace("\"n\":1,", "\"n\":7,");
        gzip(text.as_bytes())
    };
    let tails: [&[u8]; 12] = [
        b"\0",
        &[0; 4],
        &[0; 100],
        b"x",
        b"\x1F",
        b"\x1F\x8B",
        size,
        &[&[0; 8], size].concat(),
        &[b"garbage", size].concat(),
        &whole,
        &other,
        &gzip(b""),
    ];
    for tail in tails {
        let stored = [&whole[..], tail].concat();
        let sifted = sift(&stored);
        assert_eq!(sifted.reason(), Some(Reason::GzipTrailingMember), "{tail:?}");
        assert_eq!(sifted.found, [], "{tail:?}");
        for policy in [MultiMember::Accept, MultiMember::Flag] {
            let sifter = || Sifter::new(LIMITS, judge()).with_multi_member(policy);
            let pieces = sift_by(sifter(), LIMITS, stored.chunks(100));
            let whole = sift_at_once(sifter(), vec![&stored]);
            assert_eq!(pieces.comparable(), whole.comparable(), "{tail:?}");
        }
    }
}

#[test]
fn a_trailer_that_lies_about_the_size_or_the_sum_delivers_nothing() {
    let plain = document();
    let whole = gzip(&plain);
    let at = whole.len() - 4;
    let size = u32::try_from(plain.len()).expect("it is short");
    for lie in [0, 1, size - 1, size + 1, size * 2, size + (1 << 24), u32::MAX, 1 << 31] {
        let stored = [&whole[..at], &lie.to_le_bytes()].concat();
        let sifted = sift(&stored);
        assert_eq!((sifted.reason(), sifted.found), (Some(Reason::GzipCrc), vec![]), "{lie}");
    }
    for bit in 0..32 {
        let mut stored = whole.clone();
        stored[at - 4 + bit / 8] ^= 1 << (bit % 8);
        let sifted = sift(&stored);
        assert_eq!((sifted.reason(), sifted.found), (Some(Reason::GzipCrc), vec![]), "bit {bit}");
    }
}

#[test]
fn the_size_of_a_member_may_stand_in_the_middle_of_it() {
    // Stored as it is, the document holds its own size; what the text then is says serde_json.
    let mut plain = document();
    plain.splice(0..1, *b"{\"a\":\"size\",");
    let size = u32::try_from(plain.len()).expect("it is short").to_le_bytes();
    plain[6..10].copy_from_slice(&size);
    for level in [0, 6] {
        let sifted = sift(&member(&PLAIN, &deflate(&plain, level), &plain));
        assert_eq!((sifted.result, sifted.found), (sift(&plain).result, sift(&plain).found));
    }
    // And in a header, where it says nothing.
    let plain = document();
    let size = u32::try_from(plain.len()).expect("it is short").to_le_bytes();
    let extra = [&header(EXTRA)[..], &[4, 0], &size].concat();
    let sifted = sift(&member(&extra, &deflate(&plain, 6), &plain));
    assert_eq!((sifted.result, sifted.found), (Ok(Progress::Done), sift(&plain).found));
}

#[test]
fn stored_and_empty_blocks_are_read_alike() {
    let plain = document();
    let truth = sift(&plain).found;
    let stored_block = |bytes: &[u8], is_last: bool| {
        let length = u16::try_from(bytes.len()).expect("it is short");
        [&[u8::from(is_last)][..], &length.to_le_bytes(), &(!length).to_le_bytes(), bytes].concat()
    };
    let empty = stored_block(b"", false);
    let middle = plain.len() / 2;
    let halves = [
        empty.repeat(3),
        stored_block(&plain[..middle], false),
        empty.repeat(1000),
        stored_block(&plain[middle..], false),
        stored_block(b"", true),
    ];
    let flushed = {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
        for part in plain.chunks(10) {
            encoder.write_all(part).expect("a Vec takes everything");
            encoder.flush().expect("a Vec takes everything");
        }
        encoder.finish().expect("a Vec takes everything")
    };
    for stored in [
        member(&PLAIN, &halves.concat(), &plain),
        member(&PLAIN, &deflate(&plain, 0), &plain),
        // Fixed blocks without content before everything: three bits and a seven-bit end each.
        member(&PLAIN, &[empty_fixed_blocks(), deflate(&plain, 9)].concat(), &plain),
        flushed,
    ] {
        let sifted = sift(&stored);
        assert_eq!((&sifted.result, &sifted.found), (&Ok(Progress::Done), &truth));
        for cut in 0..stored.len() {
            assert_eq!(sift(&stored[..cut]).found, [], "cut at {cut}");
        }
    }
    let nothing = sift(&member(&PLAIN, &stored_block(b"", true), b""));
    assert_eq!((nothing.reason(), nothing.found), (Some(Reason::EmptyJson), vec![]));
    let mut wrong = stored_block(&plain, true);
    wrong[3] ^= 1;
    let wrong = sift(&member(&PLAIN, &wrong, &plain));
    assert_eq!((wrong.reason(), wrong.found), (Some(Reason::GzipCrc), vec![]));
}

/// Both ways, which may differ: at once, and in pieces.
fn both(stored: &[u8]) -> [Sifted; 2] {
    let sifter = || Sifter::new(LIMITS, judge());
    [sift_at_once(sifter(), vec![stored]), sift_by(sifter(), LIMITS, stored.chunks(1))]
}

#[test]
fn crafted_codes_that_both_libraries_know_are_read_alike() {
    let plain = document();
    let truth = sift(&plain).found;
    let good = [
        ("no distances", dynamic_text(&plain, &lengths(257, &[]), &[0], |_| {})),
        ("one distance, unused", dynamic_text(&plain, &lengths(257, &[]), &[1], |_| {})),
        ("two distances", dynamic_text(&plain, &lengths(286, &[285]), &[1, 1], |_| {})),
        ("as many as there are", dynamic_text(&plain, &lengths(286, &[285]), &[0; 30], |_| {})),
    ];
    for (name, deflated) in good {
        let sifted = sift(&member(&PLAIN, &deflated, &plain));
        assert_eq!((&sifted.result, &sifted.found), (&Ok(Progress::Done), &truth), "{name}");
    }
    let cut = |mut lengths: Vec<u32>, symbol: usize, length| {
        lengths[symbol] = length;
        lengths
    };
    let bad = [
        ("incomplete", dynamic_text(&plain, &cut(lengths(257, &[]), 200, 0), &[0], |_| {})),
        ("too full", dynamic_text(&plain, &cut(lengths(257, &[]), 200, 1), &[0], |_| {})),
        ("distances too full", dynamic_text(&plain, &lengths(257, &[]), &[1, 1, 1], |_| {})),
        ("distances incomplete", dynamic_text(&plain, &lengths(257, &[]), &[2, 2, 2], |_| {})),
        ("no end", dynamic_text(&plain, &[&[8; 256][..], &[0]].concat(), &[0], |_| {})),
        ("repeats nothing", {
            let mut bits = Bits::default();
            bits.put(0b101, 3);
            bits.put(0, 14 - 4);
            bits.put(15, 4);
            // Symbols 16 (repeat the last) and 0 have a code of one bit each; the first is a repeat.
            for symbol in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15] {
                bits.put(u32::from(symbol == 16 || symbol == 0), 3);
            }
            bits.code(1, 1);
            bits.put(0, 32);
            bits.bytes
        }),
        ("repeats too often", {
            let mut bits = Bits::default();
            bits.put(0b101, 3);
            bits.put(0, 14 - 4);
            bits.put(15, 4);
            for symbol in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15] {
                bits.put(u32::from(symbol == 18 || symbol == 1), 3);
            }
            // 138 zeros, and again, for 258 symbols.
            (0..2).for_each(|_| {
                bits.code(1, 1);
                bits.put(127, 7);
            });
            (0..2).for_each(|_| bits.put(0, 32));
            bits.bytes
        }),
        ("a reserved block", vec![0b111]),
        ("too far back", {
            let mut bits = Bits::default();
            bits.put(0b011, 3);
            bits.code(0b000_0001, 7);
            bits.code(4, 5);
            bits.put(0, 32);
            bits.bytes
        }),
    ];
    for (name, deflated) in bad {
        let sifted = sift(&member(&PLAIN, &deflated, &plain));
        assert!(sifted.result.is_err() && sifted.found.is_empty(), "{name}: {:?}", sifted.result);
    }
}

/// Streams whose checksum and size are right and which RFC 1951 forbids: by name, the text that a
/// lenient reader makes of them, and the deflate stream.
fn forbidden() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let plain = document();
    let doubled = |from: &[u8], count: usize| {
        // Spaces at the end, copied once more.
        [from, &vec![b' '; count]].concat()
    };
    let spaced = doubled(&plain, 300);
    let long = doubled(&plain, 259);
    let literals = lengths(257, &[]);
    let with_copy = lengths(258, &[257]);
    let far = [&plain[..], &vec![b' '; 30_000]].concat();
    let far_copied = doubled(&far, 3);
    // The fixed codes of RFC 1951, section 3.2.6.
    let fixed_text = |bits: &mut Bits, text: &[u8]| {
        for byte in text {
            match u32::from(*byte) {
                byte @ 0..144 => bits.code(0x30 + byte, 8),
                byte => bits.code(0x190 + byte - 144, 9),
            }
        }
    };
    let fixed = |text: &[u8], more: &dyn Fn(&mut Bits)| {
        let mut bits = Bits::default();
        bits.put(0b011, 3);
        fixed_text(&mut bits, text);
        more(&mut bits);
        bits.code(0, 7);
        bits.bytes
    };
    let copy_of_3 = |bits: &mut Bits| {
        let codes = codes(&with_copy);
        bits.code(codes[257], with_copy[257]);
    };
    let after_an_end = {
        // A block whose only code is its end, written as the code that does not exist.
        let mut bits = dynamic_header_of_one_end();
        bits.put(1, 1);
        bits.put(0b001, 3);
        stored_tail(&mut bits, &plain);
        bits.bytes
    };
    vec![
        ("287 literals", plain.clone(), dynamic_text(&plain, &lengths(287, &[]), &[0], |_| {})),
        ("288 literals", plain.clone(), dynamic_text(&plain, &lengths(288, &[]), &[0], |_| {})),
        ("31 distances", plain.clone(), dynamic_text(&plain, &literals, &[0; 31], |_| {})),
        ("32 distances", plain.clone(), dynamic_text(&plain, &literals, &[0; 32], |_| {})),
        ("length 286 in a fixed block", long.clone(), {
            fixed(&long[..long.len() - 258], &|bits| {
                bits.code(0xC6, 8);
                bits.code(0, 5);
            })
        }),
        ("length 287 in a fixed block", long.clone(), {
            fixed(&long[..long.len() - 258], &|bits| {
                bits.code(0xC7, 8);
                bits.code(0, 5);
            })
        }),
        ("distance 30 in a fixed block", far_copied.clone(), {
            fixed(&far, &|bits| {
                bits.code(1, 7);
                bits.code(30, 5);
                bits.put(0, 13);
            })
        }),
        ("distance 31 in a fixed block", far_copied.clone(), {
            fixed(&far, &|bits| {
                bits.code(1, 7);
                bits.code(31, 5);
                bits.put(0, 13);
            })
        }),
        ("a distance that has no code", spaced.clone(), {
            let text = &spaced[..spaced.len() - 3];
            dynamic_text(text, &with_copy, &[1], |bits| {
                copy_of_3(bits);
                bits.code(1, 1);
            })
        }),
        ("a distance where there are none", spaced.clone(), {
            let text = &spaced[..spaced.len() - 3];
            dynamic_text(text, &with_copy, &[0], |bits| {
                copy_of_3(bits);
                bits.code(0, 1);
            })
        }),
        ("an end that has no code", plain.clone(), after_an_end),
    ]
}

/// Where the library that inflates at once is the more lenient one: it reads what the RFC forbids and
/// gzip, zlib and the reader in pieces refuse. No encoder writes such, and the two never read two
/// different texts, for the other one reads none.
#[test]
fn what_rfc_1951_forbids_is_read_at_once_where_its_checksum_is_right_and_refused_in_pieces() {
    for (name, plain, deflated) in forbidden() {
        let stored = member(&PLAIN, &deflated, &plain);
        let [at_once, in_pieces] = both(&stored);
        assert_eq!(at_once.result, Ok(Progress::Done), "{name}");
        assert_eq!(at_once.found, sift(&plain).found, "{name}");
        let refused = (in_pieces.reason(), in_pieces.found);
        assert_eq!(refused, (Some(Reason::GzipCrc), vec![]), "{name}");
    }
}
