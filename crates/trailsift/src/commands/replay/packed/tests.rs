use std::io::Write as _;

use flate2::write::GzEncoder;

use super::*;

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(text.as_bytes()).expect("in memory");
    encoder.finish().expect("in memory")
}

fn zstd(text: &str) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).expect("in memory");
    encoder.include_checksum(true).expect("a setting");
    encoder.write_all(text.as_bytes()).expect("in memory");
    encoder.finish().expect("in memory")
}

fn unpacked(stored: &[u8]) -> (String, Option<String>) {
    let Unpacked { text, fault } = unpack(stored).expect("compressed");
    (String::from_utf8(text).expect("text"), fault)
}

#[test]
fn every_stream_is_read_of_either_coding_and_of_both() {
    for (one, two) in [(gzip as fn(&str) -> Vec<u8>, gzip as fn(&str) -> Vec<u8>), (zstd, zstd)] {
        // A line may begin in one stream and end in the next.
        assert_eq!(unpacked(&[one("a\nb"), two("c\nd\n")].concat()), ("a\nbc\nd\n".into(), None));
    }
    assert_eq!(unpacked(&[zstd("a\n"), gzip("b\n")].concat()), ("a\nb\n".into(), None));
    // A frame that holds nothing, as tools leave them before and between others.
    let nothing = [&[0x53, 0x2A, 0x4D, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
    let frames = [nothing.clone(), zstd("a\n"), nothing, zstd("")].concat();
    assert_eq!(unpacked(&frames), ("a\n".into(), None));
}

#[test]
fn what_is_not_compressed_is_left_alone() {
    for plain in [&b""[..], b"{\"a\":1}\n", b"\x1f", b"\x28\xb5", b"PAR1"] {
        assert_eq!(unpack(plain), None, "{plain:?}");
    }
}

#[test]
fn wherever_it_is_cut_off_the_whole_streams_alone_are_read_and_the_byte_is_named() {
    for pack in [gzip, zstd] {
        let (one, two) = (pack("a\nb\nc"), pack("d\ne\n"));
        let whole = [&one[..], &two[..]].concat();
        for end in one.len() + 1..whole.len() {
            let (text, fault) = unpacked(&whole[..end]);
            // Of the line that goes on in the stream that is cut off nothing is known.
            assert_eq!(text, "a\nb\n", "{end}");
            let fault = fault.expect("a fault");
            let expected =
                format!("begins at byte {} is cut off by the end, byte {end}:", one.len());
            assert!(fault.contains(&expected), "{end}: {fault}");
        }
        for end in 4..one.len() {
            let (text, fault) = unpacked(&one[..end]);
            assert_eq!(text, "", "{end}");
            assert!(
                fault.is_some_and(|fault| fault.contains("begins at byte 0 is cut off")),
                "{end}"
            );
        }
    }
}

#[test]
fn whatever_bit_is_wrong_no_line_is_read_that_was_not_written_and_none_is_left_out_in_silence() {
    for pack in [gzip, zstd] {
        let (one, two) = (pack("a\n"), pack("{\"b\":1}\n{\"c\":2}\n"));
        for bit in 0..two.len() * 8 {
            let mut stored = [&one[..], &two[..]].concat();
            stored[one.len() + bit / 8] ^= 1 << (bit % 8);
            let (text, fault) = unpacked(&stored);
            // Some bits of a header say nothing of the text, such as those of its time.
            let is_whole = text == "a\n{\"b\":1}\n{\"c\":2}\n";
            assert!(is_whole || (text == "a\n" && fault.is_some()), "{bit}: {text} {fault:?}");
        }
    }
}

#[test]
fn what_follows_and_is_not_compressed_is_named() {
    let stored = [&gzip("a\n")[..], b"{\"b\":1}\n"].concat();
    let (text, fault) = unpacked(&stored);
    assert_eq!(text, "a\n");
    let expected = format!("begins at byte {} is neither gzip nor zstd", gzip("a\n").len());
    assert!(fault.is_some_and(|fault| fault.contains(&expected)));
}

#[test]
fn more_than_fits_into_memory_is_refused_and_what_came_before_is_kept() {
    let stored = [gzip("a\nb\n"), zstd(&"c\n".repeat(10_000)), gzip("d\n")].concat();
    let Unpacked { text, fault } = unpack_within(&stored, 100).expect("compressed");
    assert_eq!(text, b"a\nb\n");
    assert!(fault.is_some_and(|fault| fault.contains("inflates beyond")));
    assert_eq!(unpack_within(&stored, 20_006).expect("compressed").fault, None);
}
