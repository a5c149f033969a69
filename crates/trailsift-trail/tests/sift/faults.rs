//! The catalogue of bad objects, row by row (F1 to F36), as far as it concerns the sifter.

use std::sync::Arc;

use trailsift_core::{Reason, RecordFault, RouteSet, Selection};
use trailsift_trail::{Found, SiftLimits, Trailing};

use crate::support::{LIMITS, SourceIs, WANTED, gzip, sift, sift_with, wanted, zstd};

/// The document as it is, in gzip and in zstd.
fn stored_forms(plain: &[u8]) -> [Vec<u8>; 3] {
    [plain.to_vec(), gzip(plain), zstd(plain)]
}

/// The document is parked as a whole, under this reason, and shows its stored start.
#[track_caller]
fn refused(plain: impl AsRef<[u8]>, reason: Reason) {
    for stored in stored_forms(plain.as_ref()) {
        let sifted = sift(&stored);
        let fault = sifted.result.expect_err("the document is bad");
        assert_eq!(fault.reason, reason, "{fault}");
        assert_eq!(fault.data.as_ref(), &stored[..stored.len().min(1024)]);
        assert_eq!((sifted.found, sifted.counts.seen), (vec![], 0));
    }
}

/// The document is read to its end; what is found is this.
#[track_caller]
fn finds(plain: impl AsRef<[u8]>, expected: &[(u64, Result<&str, Reason>)]) {
    for stored in stored_forms(plain.as_ref()) {
        let sifted = sift(&stored);
        assert_eq!(sifted.result, Ok(trailsift_trail::Progress::Done));
        let expected: Vec<_> =
            expected.iter().map(|(index, found)| (*index, found.map(str::as_bytes))).collect();
        assert_eq!(sifted.short(), expected);
    }
}

/// The structure is lost: what stands before is found, the rest is shown.
#[track_caller]
fn lost(plain: impl AsRef<[u8]>, before: &[&str], rest: &str) {
    for stored in stored_forms(plain.as_ref()) {
        let sifted = sift(&stored);
        let fault = sifted.result.clone().expect_err("the structure is lost");
        assert_eq!(
            (fault.reason, fault.data.escape_ascii().to_string()),
            (Reason::StructureLost, rest.as_bytes().escape_ascii().to_string()),
            "{fault}"
        );
        let found: Vec<_> = sifted.short().into_iter().map(|(_, found)| found).collect();
        let before: Vec<_> = before.iter().map(|record| Ok(record.as_bytes())).collect();
        assert_eq!(found, before);
    }
}

fn records(elements: &[&str]) -> String {
    format!(r#"{{"Records":[{}]}}"#, elements.join(","))
}

#[test]
fn f3_f4_nothing_may_follow_the_compressed_stream() {
    let plain = records(&[&wanted(0)]);
    let (gzip, zstd) = (gzip(plain.as_bytes()), zstd(plain.as_bytes()));
    let skippable = [0x5A, 0x2A, 0x4D, 0x18, 1, 0, 0, 0, b'x'];
    for (first, then, kind) in [
        (&gzip, &gzip[..], "another gzip member"),
        (&zstd, &zstd, "another zstd frame"),
        (&gzip, &zstd, "another zstd frame"),
        (&zstd, &skippable, "a skippable zstd frame"),
        (&gzip, b"\0", "garbage"),
        (&gzip, &[0; 512], "garbage"),
        (&zstd, b"\n", "garbage"),
    ] {
        let stored = [first, then].concat();
        for cut in [first.len(), first.len() + 1, stored.len()] {
            let (one, two) = stored.split_at(cut);
            let sifted = sift_with(LIMITS, SourceIs::wanted(), [one, two]);
            let fault = sifted.result.expect_err("something follows");
            assert_eq!(fault.reason, Reason::GzipTrailingMember);
            assert!(fault.detail.starts_with(kind), "{fault}");
            assert_eq!(sifted.found, []);
            let is_same = first[0] == then[0] || then == skippable;
            let expected = if is_same { Trailing::Member } else { Trailing::Garbage };
            assert_eq!(sifted.traits.trailing().collect::<Vec<_>>(), [expected], "{kind}");
        }
    }
    let sifted = sift(&[&skippable, &zstd[..]].concat());
    assert_eq!(sifted.reason(), Some(Reason::GzipTrailingMember));
}

#[test]
fn f5_a_bomb_ends_at_the_limit() {
    let limits = SiftLimits { max_inflated: 1 << 20, ..LIMITS };
    let inside = format!("{}{}", records(&[&wanted(0)]), " ".repeat(1 << 20));
    for plain in [vec![0; 30 << 20], vec![b' '; 30 << 20], inside.into_bytes()] {
        for stored in [gzip(&plain), zstd(&plain)] {
            let sifted = sift_with(limits, SourceIs::wanted(), [stored.as_slice()]);
            assert_eq!((sifted.reason(), sifted.found), (Some(Reason::TooLarge), vec![]));
            assert_eq!(sifted.counts.inflated, (1 << 20) + 1);
        }
    }
    let mut exact = records(&[&wanted(0)]);
    exact.push_str(&" ".repeat((1 << 20) - exact.len()));
    for stored in stored_forms(exact.as_bytes()) {
        assert_eq!(sift_with(limits, SourceIs::wanted(), [stored.as_slice()]).found.len(), 1);
    }
}

#[test]
fn f6_to_f13_a_document_of_another_kind_is_refused() {
    let nested = gzip(records(&[&wanted(0)]).as_bytes());
    assert_eq!(sift(&gzip(&nested)).reason(), Some(Reason::NotJson)); // F6
    assert_eq!(sift(b"").reason(), Some(Reason::EmptyObject)); // F7
    assert_eq!(sift(&gzip(b"")).reason(), Some(Reason::EmptyJson)); // F8
    refused(" \r\n\t", Reason::EmptyJson);
    refused("\u{feff} ", Reason::EmptyJson);
    finds(r#"{"Records":[]}"#, &[]); // F9
    finds("\n{ \"Records\" :\t[ \r ] } ", &[]);
    for text in ["{}", r#"{"a":{"Records":[{}]}}"#, r#"{"records":[]}"#, r#"{"Records":null}"#] {
        refused(text, Reason::NoRecords); // F10, F11
    }
    for value in [r#"{"a":[]}"#, r#""[]""#, "1", "false", "-0.5e3"] {
        refused(format!(r#"{{"Records":{value}}}"#), Reason::RecordsType); // F12
    }
    for text in ["[{}]", "[", "\"x\"", "null", "true", "-1.5", " 0 "] {
        refused(text, Reason::ToplevelType); // F13
    }
    for text in ["nul", "2026-03-01 text", "<xml/>", "}", "-", "\u{feff}\u{feff}{}", "{]", "\\"] {
        refused(text, Reason::NotJson);
    }
}

#[test]
fn f14_records_may_stand_anywhere_among_other_keys() {
    let record = wanted(7);
    for text in [
        format!(r#"{{"x":1,"Records":[{record}],"y":2}}"#),
        format!(r#"{{"a":[{{"Records":[1]}},"]"],"b":"\"}}","Records":[{record}],"c":{{}}}}"#),
        format!(r#"{{"":true , "R":0,"Recordss":{{"n":null}},"R\u0065cord\u0073" : [{record}]}}"#),
        format!("{{\"\\\"Records\\\"\":-1e400,\n\"Records\"\n:\n[\n{record}\n]\n}}\n"),
        format!(r#"{{"Records\u0000":1,"Record":2,"Records":[{record}],"records":[{{}}]}}"#),
    ] {
        finds(text, &[(0, Ok(&record))]);
    }
}

#[test]
fn f15_two_records_keys_deliver_nothing() {
    for second in [r#""Records":[]"#, r#""Re\u0063ords":null"#, r#""Records":"#] {
        refused(
            format!(r#"{{"Records":[{}],"x":{{}},{second}}}"#, wanted(0)),
            Reason::DuplicateRecordsKey,
        );
    }
}

#[test]
fn f16_a_broken_record_is_parked_and_its_neighbours_delivered() {
    let (first, last) = (wanted(1), wanted(2));
    for broken in [
        format!(r#"{{"eventSource":"{WANTED}" "a":1}}"#),
        format!(r#"{{"eventSource":"{WANTED}","a":tru}}"#),
        format!(r#"{{"eventSource":"{WANTED}",}}"#),
        format!(r#"{{"eventSource":"{WANTED}","a":[1}},{{"b":2]}}"#),
        format!("{{\"eventSource\":\"{WANTED}\",\"a\":\"\x01\"}}"), // F29
        r#"{"eventSource":"\u00"}"#.to_owned(),
    ] {
        finds(
            records(&[&first, &broken, &last]),
            &[(0, Ok(&first)), (1, Err(Reason::RecordSyntax)), (2, Ok(&last))],
        );
    }
    // Nobody looks into a record that cannot be wanted.
    finds(records(&[&first, r#"{"a":tru}"#, &last]), &[(0, Ok(&first)), (2, Ok(&last))]);
}

#[test]
fn f16_where_the_structure_is_lost_the_records_before_are_delivered() {
    let (first, last) = (wanted(1), wanted(2));
    let open = r#"{"Records":["#;
    for rest in [
        format!(r#"{{"a":[1,2}},{last}]}}"#),
        format!(r#"{{"a":1],{last}]}}"#),
        format!(r#"{{[}}],{last}]}}"#),
        format!(r#"{{"a":\"x\"}},{last}]}}"#),
        format!(r#"{{"a":"x}},{last}]}}"#),
        format!(r#"{{"a":{{,{last}]}}"#),
        r#"{"a":"b\"#.to_owned(),
        "\"text".to_owned(),
        "nul".to_owned(),
    ] {
        lost(format!("{open}{first},{rest}"), &[&first], &rest);
    }
    for rest in [
        format!("{last}]}}"),
        format!("x,{last}]}}"),
        format!("}},{last}]}}"),
        format!(r#""x",{last}]}}"#),
        ":".to_owned(),
        String::new(),
    ] {
        lost(format!("{open}{first} {rest}"), &[&first], &rest);
    }
    for rest in [format!(",{last}]}}"), "]}".to_owned(), "}".to_owned(), String::new()] {
        lost(format!("{open}{first},{rest}"), &[&first], &rest);
    }
    for rest in ["", ",", ",}", "]", r#","a"}"#, r#","a":}"#, r#","a":[}"#, r#","a":nul}"#] {
        lost(format!("{open}{first}]{rest}"), &[&first], rest);
    }
}

#[test]
fn f16_the_rest_is_shown_up_to_its_first_kib_however_it_is_cut() {
    let record = wanted(1);
    let rest = format!(r#"{{"a":[1,2}},{}"#, "x".repeat(5000));
    let plain = format!(r#"{{"Records":[{record},{rest}"#);
    lost(&plain, &[&record], &rest[..1024]);
    let whole = sift(plain.as_bytes());
    let limits = SiftLimits { max_record: 60, ..LIMITS };
    for size in [1, 7, 1000] {
        assert_eq!(sift_with(LIMITS, SourceIs::wanted(), plain.as_bytes().chunks(size)), whole);
        let long = format!(r#"{{"Records":[{record},{{"a":"{}"#, "x".repeat(300_000));
        let cut = sift_with(limits, SourceIs::wanted(), long.as_bytes().chunks(size));
        let fault = cut.result.expect_err("the record has no end");
        let start = long.find(r#"{"a""#).expect("it is there");
        assert_eq!(fault.data.as_ref(), &long.as_bytes()[start..start + 1024]);
    }
}

#[test]
fn f16_a_lost_structure_in_a_damaged_stream_delivers_nothing() {
    let plain = format!(r#"{{"Records":[{},x]] {}"#, wanted(1), "y".repeat(1000));
    let stored = gzip(plain.as_bytes());
    let cut = sift(&stored[..stored.len() - 1]);
    assert_eq!((cut.reason(), cut.found), (Some(Reason::GzipTruncated), vec![]));
    let more = sift(&[&stored[..], b"\0"].concat());
    assert_eq!((more.reason(), more.found), (Some(Reason::GzipTrailingMember), vec![]));
}

/// Wants all, looks at nothing.
#[derive(Debug)]
struct Lax;

impl Selection for Lax {
    fn digest(&self) -> u64 {
        0
    }

    fn literals(&self) -> &[Vec<u8>] {
        &[]
    }

    fn select(&self, _: &[u8]) -> Result<RouteSet, RecordFault> {
        let mut routes = RouteSet::EMPTY;
        routes.insert(63);
        Ok(routes)
    }
}

#[test]
fn f16_f27_nothing_malformed_leaves_even_if_the_selection_wants_it() {
    let plain = b"{\"Records\":[{\"a\":tru},{},{\"\xFF\":1},{\"a\" 1}]}";
    let sifted = sift_with(LIMITS, Arc::new(Lax), [&plain[..]]);
    assert_eq!(
        sifted.short(),
        [
            (0, Err(Reason::RecordSyntax)),
            (1, Ok(&b"{}"[..])),
            (2, Err(Reason::InvalidUtf8)),
            (3, Err(Reason::RecordSyntax)),
        ]
    );
}

#[test]
fn f17_elements_that_are_no_objects_are_parked_one_by_one() {
    let record = wanted(1);
    for (element, reason) in [
        ("null", Reason::RecordType),
        ("1", Reason::RecordType),
        ("-1.5E+3", Reason::RecordType),
        (r#""x]\"},{""#, Reason::RecordType),
        ("[]", Reason::RecordType),
        (r#"[{"a":[]}]"#, Reason::RecordType),
        ("01", Reason::RecordSyntax),
        ("garbage", Reason::RecordSyntax),
    ] {
        finds(
            records(&[element, &record, element]),
            &[(0, Err(reason)), (1, Ok(&record)), (2, Err(reason))],
        );
    }
}

#[test]
fn f18_f20_the_selection_names_what_it_cannot_judge() {
    let twice = format!(r#"{{"eventSource":"{WANTED}","eventSource":"x"}}"#);
    let number = format!(r#"{{"eventSource":1,"a":"{WANTED}"}}"#);
    finds(
        records(&[&twice, &number]),
        &[(0, Err(Reason::DuplicateKey)), (1, Err(Reason::EventSourceType))],
    );
}

#[test]
fn f19_f21_f22_f23_only_the_field_decides_after_unescaping() {
    let escaped = r#"{"eventSource":"codeguru\u002dreviewer.amazonaws.com"}"#;
    let long = r#"{"eventSource":"\u0063odeguru-reviewer.amazonaws\u002Ecom"}"#;
    let elsewhere = format!(r#"{{"eventSource":"s3.amazonaws.com","userAgent":"{WANTED}"}}"#);
    let inner = format!(r#"{{"eventSource":"s3","p":{{"eventSource":"{WANTED}"}}}}"#);
    let none = format!(r#"{{"userAgent":"{WANTED}"}}"#);
    let cased = r#"{"eventSource":"CodeGuru-Reviewer.amazonaws.com"}"#;
    let dotted = format!(r#"{{"eventSource":"{WANTED}."}}"#);
    finds(
        records(&[escaped, &elsewhere, &inner, long, &none, cased, &dotted]),
        &[(0, Ok(escaped)), (3, Ok(long))],
    );
}

#[test]
fn f24_depth_costs_no_stack_and_is_the_selections_to_cap() {
    let limits = SiftLimits { max_record: 8 << 20, ..LIMITS };
    let (open, close) = ("[".repeat(1_000_000), "]".repeat(1_000_000));
    let deep = format!(r#"{{"eventSource":"{WANTED}","a":{open}{close}}}"#);
    let plain = records(&[&deep]);
    let sifted = sift_with(limits, SourceIs::wanted(), [plain.as_bytes()]);
    assert_eq!(sifted.short(), [(0, Ok(deep.as_bytes()))]);
    let open = "[{\"a\":".repeat(1_000_000);
    lost(format!(r#"{{"Records":[{open}"#), &[], &open[..1024]);
    refused("[".repeat(1_000_000), Reason::ToplevelType);
    refused(format!(r#"{{"x":{open}"#), Reason::NotJson);
    let deep = format!(r#"{{"x":{}{},"Records":[]}}"#, "[".repeat(1 << 20), "]".repeat(1 << 20));
    finds(deep, &[]);
}

#[test]
fn f25_a_record_over_the_limit_is_parked_with_its_start_and_the_next_go_on() {
    let record = wanted(1);
    let limits = SiftLimits { max_record: 2000, ..LIMITS };
    for (length, is_parked) in [(1999, false), (2000, false), (2001, true), (3_000_000, true)] {
        let frame = format!(r#"{{"eventSource":"{WANTED}","a":""}}"#).len();
        let fill = "x".repeat(length - frame);
        let large = format!(r#"{{"eventSource":"{WANTED}","a":"{fill}"}}"#);
        assert_eq!(large.len(), length);
        let plain = records(&[&record, &large, &record]);
        for stored in stored_forms(plain.as_bytes()) {
            let sifted = sift_with(limits, SourceIs::wanted(), [stored.as_slice()]);
            assert_eq!(sifted.result, Ok(trailsift_trail::Progress::Done));
            match &sifted.found[..] {
                [Found::Record(_), Found::Record(middle), Found::Record(last)] if !is_parked => {
                    assert_eq!((middle.bytes.as_ref(), last.index), (large.as_bytes(), 2));
                }
                [Found::Record(_), Found::Fault(middle), Found::Record(last)] if is_parked => {
                    assert_eq!(middle.reason, Reason::RecordTooLarge);
                    assert_eq!(middle.data.as_ref(), &large.as_bytes()[..1024]);
                    assert_eq!(last.index, 2);
                }
                found => panic!("{length}: {found:?}"),
            }
        }
    }
}

#[test]
fn f27_f28_text_that_is_not_utf8_is_parked_and_lone_surrogates_pass() {
    let mut broken = wanted(1).into_bytes();
    broken.insert(2, 0xFF);
    let surrogate = format!(r#"{{"eventSource":"{WANTED}","a":"\ud800 \u0000"}}"#);
    let [open, close] = [&br#"{"Records":["#[..], b"]}"];
    let plain = [open, &broken, b",", surrogate.as_bytes(), close].concat();
    finds(plain, &[(0, Err(Reason::InvalidUtf8)), (1, Ok(&surrogate))]);
}

#[test]
fn f30_f31_one_byte_order_mark_is_stripped_and_utf16_refused() {
    let record = wanted(1);
    finds(format!("\u{feff}{}", records(&[&record])), &[(0, Ok(&record))]);
    for mark in [&b""[..], b"\xFF\xFE"] {
        let utf16 = records(&[&record]).encode_utf16().flat_map(u16::to_le_bytes).collect();
        refused([mark.to_vec(), utf16].concat(), Reason::NotJson);
    }
}

#[test]
fn f32_more_documents_are_refused() {
    let one = records(&[&wanted(1)]);
    refused(format!("{one}\n{one}"), Reason::TrailingJson);
    refused(format!("{one}]"), Reason::TrailingJson);
    refused(format!("{one}\0"), Reason::TrailingJson);
    refused(format!("{}\n{}\n", wanted(1), wanted(2)), Reason::TrailingJson);
}

#[test]
fn f33_numbers_and_odd_white_space_pass_byte_for_byte() {
    let record = format!(
        "{{ \"n\" : [1574826395.662,1e400 ,-0,123456789012345678901234567890],\r\n\t\"eventSource\":\n\"{WANTED}\"\n}}"
    );
    finds(format!("{{\"Records\":[\n {record}\t, {{ }} ]}}"), &[(0, Ok(&record))]);
}

#[test]
fn f35_other_codecs_are_named() {
    for (magic, codec) in [
        (&b"BZh91AY&SY"[..], "bzip2"),
        (b"\xFD7zXZ\0\0\x04", "xz"),
        (b"PK\x03\x04\x14\0\0\0", "zip"),
        (b"\x04\x22\x4D\x18\x64\x40\xA7", "lz4"),
        (b"\xFF\x06\0\0sNaPpY", "snappy"),
        (b"7z\xBC\xAF\x27\x1C", "7z"),
        (b"\x1F\x9D\x90", "compress"),
    ] {
        let fault = sift(magic).result.expect_err("nobody can read it");
        assert_eq!(fault.reason, Reason::UnsupportedCodec);
        assert!(fault.detail.contains(codec), "{fault}");
    }
}

#[test]
fn f35_a_zstd_frame_with_a_huge_window_is_refused_not_allocated() {
    let plain = records(&[&wanted(1)]);
    let frame = |window_log: u8| {
        // Magic, no checksum and no size, window; one raw block, the last.
        let header = u32::try_from(plain.len()).expect("it is short") << 3 | 1;
        let start = [0x28, 0xB5, 0x2F, 0xFD, 0, (window_log - 10) << 3];
        [&start[..], &header.to_le_bytes()[..3], plain.as_bytes()].concat()
    };
    assert_eq!(sift(&frame(23)).found.len(), 1);
    let mut no_content = zstd(plain.as_bytes());
    no_content.truncate(4);
    // In a single segment: the content, of 9 MiB as it says, is the window.
    no_content.extend([0xA0, 0, 0, 0x90, 0, 0, 0, 0]);
    for stored in [frame(24), no_content] {
        let fault = sift(&stored).result.expect_err("the window is too large");
        assert_eq!(fault.reason, Reason::UnsupportedCodec, "{fault}");
        assert!(fault.detail.contains("8 MiB"), "{fault}");
    }
}
