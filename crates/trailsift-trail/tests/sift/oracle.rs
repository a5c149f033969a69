//! The sifter against serde_json, on documents that are right and on ones that are not quite.

use proptest::prelude::*;
use proptest::sample::Index;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use trailsift_core::Reason;
use trailsift_trail::{Found, Progress, SiftLimits};

use crate::support::{
    LIMITS, Sifted, SourceIs, WANTED, gzip, is_wanted, members, sift, sift_with, zstd,
};

/// The elements of `Records`, where serde_json takes the document and finds exactly one such array.
fn elements(plain: &[u8]) -> Option<Vec<&str>> {
    if !is_json(plain) {
        return None; // serde_json is lax about strings that it is asked for as bytes
    }
    let members = members(plain).ok()?;
    let mut records = members.iter().filter(|(key, _)| key == b"Records");
    let (Some((_, records)), None) = (records.next(), records.next()) else { return None };
    let elements: Vec<&RawValue> = serde_json::from_str(records.get()).ok()?;
    Some(elements.into_iter().map(RawValue::get).collect())
}

/// What must be found among the elements.
fn expected<'a>(elements: &[&'a str], limit: usize) -> Vec<(u64, Result<&'a [u8], Reason>)> {
    let judged = elements.iter().zip(0..).filter_map(|(element, index)| {
        if element.len() > limit {
            return Some((index, Err(Reason::RecordTooLarge)));
        }
        if !element.starts_with('{') {
            return Some((index, Err(Reason::RecordType)));
        }
        match is_wanted(element.as_bytes()) {
            Ok(true) => Some((index, Ok(element.as_bytes()))),
            Ok(false) => None,
            Err(fault) => Some((index, Err(fault.reason))),
        }
    });
    judged.collect()
}

#[track_caller]
fn agrees(sifted: &Sifted, elements: &[&str], limit: usize) {
    assert_eq!(sifted.result, Ok(Progress::Done));
    let expected: Vec<_> = expected(elements, limit);
    assert_eq!(sifted.short(), expected);
    assert_eq!(sifted.counts.seen, elements.len() as u64);
    for found in &sifted.found {
        if let Found::Fault(fault) = found {
            let element = elements[usize::try_from(fault.index).expect("it is an index")];
            let shown = if element.len() > limit { element.len().min(1024) } else { element.len() };
            assert_eq!(fault.data.as_ref(), &element.as_bytes()[..shown]);
        }
    }
}

/// Rejecting by literals changes nothing but that records without one are not looked into.
#[track_caller]
fn rejects_rightly(rejecting: &Sifted, reading: &Sifted, elements: &[&str]) {
    let holds_literal = |(index, found): &(u64, Result<&[u8], Reason>)| {
        let element = elements[usize::try_from(*index).expect("it is an index")];
        found.is_ok() || !element.starts_with('{') || element.contains(WANTED)
    };
    let kept = |sifted: &Sifted| -> Vec<_> {
        let kept = sifted.short().into_iter().filter(holds_literal);
        kept.map(|(index, found)| (index, found.map(<[u8]>::to_vec))).collect()
    };
    assert_eq!(kept(rejecting), kept(reading));
}

/// All that can be said of any document.
fn is_right(plain: &[u8], sizes: &[usize]) -> Result<(), TestCaseError> {
    let sifted = sift_with(LIMITS, SourceIs::reading_all(), [plain]);
    if let Some(elements) = elements(plain) {
        agrees(&sifted, &elements, LIMITS.max_record);
        let rejecting = sift_with(LIMITS, SourceIs::wanted(), [plain]);
        rejects_rightly(&rejecting, &sifted, &elements);
    } else if is_json(plain) {
        prop_assert!(sifted.result.is_err(), "there is no Records array");
        prop_assert_eq!(&sifted.found, &[]);
    }
    let mut from = 0;
    for found in &sifted.found {
        let bytes = bytes(found);
        let at = find(&plain[from..], bytes);
        prop_assert!(at.is_some(), "what is found stands in the document, in order");
        from += at.unwrap_or(0) + bytes.len();
        if let Found::Record(record) = found {
            prop_assert!(is_json(&record.bytes));
            prop_assert_eq!(is_wanted(&record.bytes), Ok(true));
        }
    }
    let mut sizes = sizes.iter().copied().cycle();
    let mut rest = plain;
    let chunks = std::iter::from_fn(|| {
        let size = sizes.next()?.min(rest.len());
        let (chunk, tail) = rest.split_at(size);
        rest = tail;
        (!chunk.is_empty()).then_some(chunk)
    });
    prop_assert_eq!(&sift_with(LIMITS, SourceIs::reading_all(), chunks), &sifted);
    let inner = |sifted: &Sifted| (sifted.found.clone(), sifted.counts.seen);
    let fault = |sifted: &Sifted| sifted.result.clone().map_err(|e| (e.reason, e.detail));
    for stored in [gzip(plain), zstd(plain)] {
        let again = sift_with(LIMITS, SourceIs::reading_all(), [stored.as_slice()]);
        // Nothing at all is an empty object when plain, empty JSON when compressed.
        if !plain.is_empty()
            && sifted.reason() != Some(Reason::UnsupportedCodec)
            && !is_binary(plain)
        {
            prop_assert_eq!(fault(&again), fault(&sifted));
            prop_assert_eq!(inner(&again), inner(&sifted));
        }
    }
    Ok(())
}

fn is_json(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// Whether the first bytes alone say that a plain object is no JSON.
fn is_binary(plain: &[u8]) -> bool {
    plain.iter().take(2).any(|byte| *byte == 0)
        || matches!(plain, [0x1F | 0x28, ..] | [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..])
}

fn bytes(found: &Found) -> &[u8] {
    match found {
        Found::Record(record) => &record.bytes,
        Found::Fault(fault) => &fault.data,
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => "[ \\n\\r\\t]{1,3}"]
}

fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-zA-Z .:-]{0,12}",
        "[{}\\[\\],:]{1,4}",
        Just("ü€😀\u{2028}".to_owned()),
        prop::sample::select(vec![
            r#"\""#,
            r"\\",
            r"\/",
            r"\n",
            r"\u0000",
            r"\ud800",
            r"\uD83D\ude00",
            r"\u002d",
        ])
        .prop_map(str::to_owned),
        Just(WANTED.to_owned()),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn source() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just(format!("\"{WANTED}\"")),
        2 => Just(r#""codeguru\u002Dreviewer.amazonaws.com""#.to_owned()),
        1 => Just(r#""\u0063odeguru-reviewer.amazonaws.co\u006d""#.to_owned()),
        4 => Just(r#""s3.amazonaws.com""#.to_owned()),
        1 => Just("null".to_owned()),
        1 => string(),
    ]
}

fn value() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        prop::sample::select(vec![
            "0",
            "-0",
            "1e400",
            "1574826395.662",
            "-12.50E+007",
            "98765432109876543210",
            "true",
            "false",
            "null",
            "{}",
            "[]",
        ])
        .prop_map(str::to_owned),
        string(),
    ];
    scalar.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![list('[', inner.clone(), ']'), list('{', member(key(), inner), '}'),]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => string(),
        1 => Just(r#""eventSource""#.to_owned()),
        1 => Just(r#""Records""#.to_owned()),
    ]
}

fn member(
    key: impl Strategy<Value = String>,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    (key, space(), space(), value).prop_map(|(key, a, b, value)| format!("{key}{a}:{b}{value}"))
}

fn list(
    open: char,
    element: impl Strategy<Value = String>,
    close: char,
) -> impl Strategy<Value = String> {
    prop::collection::vec((space(), element, space()), 0..5).prop_map(move |elements| {
        let elements: Vec<_> =
            elements.iter().map(|(a, element, b)| format!("{a}{element}{b}")).collect();
        format!("{open}{}{close}", elements.join(","))
    })
}

fn record() -> impl Strategy<Value = String> {
    let other = prop_oneof![member(string(), value()), member(key(), value())];
    let source = source().prop_map(|source| format!(r#""eventSource": {source}"#));
    (prop::collection::vec(other, 0..4), prop::option::weighted(0.9, source), any::<Index>())
        .prop_map(|(mut members, source, at)| {
            if let Some(source) = source {
                members.insert(at.index(members.len() + 1), source);
            }
            format!("{{{}}}", members.join(","))
        })
}

/// A document with one `Records` array, and now and then another key of that name.
fn document() -> impl Strategy<Value = String> {
    let element = prop_oneof![9 => record(), 1 => value()];
    let name = prop_oneof![9 => Just(r#""Records""#), 1 => Just(r#""R\u0065cord\u0073""#)];
    let records = member(name.prop_map(str::to_owned), list('[', element, ']'));
    let others = || prop::collection::vec(member(key_beside(), value()), 0..3);
    (space(), others(), records, others(), space()).prop_map(|(a, mut all, records, after, b)| {
        all.push(records);
        all.extend(after);
        format!("{a}{{{}}}{b}", all.join(&format!(",{a}")))
    })
}

fn key_beside() -> impl Strategy<Value = String> {
    prop_oneof![
        40 => string(),
        2 => Just(r#""records""#.to_owned()),
        2 => Just(r#""Records ""#.to_owned()),
        1 => Just(r#""Records""#.to_owned()),
    ]
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![Just(vec![1]), prop::collection::vec(1..40_usize, 1..8)]
}

#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Cut(Index),
    Swap(Index, Index),
}

fn change() -> impl Strategy<Value = Change> {
    let byte = || {
        prop_oneof![
            4 => prop::sample::select(br#"{}[]",:\ "0n"#.to_vec()),
            1 => any::<u8>(),
        ]
    };
    prop_oneof![
        (any::<Index>(), byte()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<Index>(), byte()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        any::<Index>().prop_map(Change::Remove),
        any::<Index>().prop_map(Change::Cut),
        (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Change::Swap(a, b)),
    ]
}

fn apply(change: &Change, plain: &mut Vec<u8>) {
    match change {
        _ if plain.is_empty() => {}
        Change::Set(at, byte) => {
            let at = at.index(plain.len());
            plain[at] = *byte;
        }
        Change::Insert(at, byte) => plain.insert(at.index(plain.len() + 1), *byte),
        Change::Remove(at) => {
            plain.remove(at.index(plain.len()));
        }
        Change::Cut(at) => plain.truncate(at.index(plain.len() + 1)),
        Change::Swap(a, b) => {
            let length = plain.len();
            plain.swap(a.index(length), b.index(length));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(1024)))]

    #[test]
    fn records_are_those_of_serde_json(document in document(), sizes in sizes()) {
        is_right(document.as_bytes(), &sizes)?;
    }

    #[test]
    fn a_mutated_document_yields_well_formed_records_or_none(
        document in document(),
        changes in prop::collection::vec(change(), 1..4),
        sizes in sizes(),
    ) {
        let mut plain = document.into_bytes();
        changes.iter().for_each(|change| apply(change, &mut plain));
        is_right(&plain, &sizes)?;
    }

    #[test]
    fn brackets_and_quotes_at_random_are_read_as_serde_json_reads_them(
        tokens in prop::collection::vec(
            prop::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"", "\\", "\"a\":", "{\"eventSource\":", "},{", "1",
                "\"codeguru-reviewer.amazonaws.com\"", "\"Records\":[", "null", " ",
            ]),
            0..24,
        ),
        is_framed: bool,
        sizes in sizes(),
    ) {
        let text = tokens.concat();
        let plain = if is_framed { format!("{{\"Records\":[{text}]}}") } else { text };
        is_right(plain.as_bytes(), &sizes)?;
    }

    #[test]
    fn a_limit_on_records_parks_the_long_ones_only(
        document in document(),
        max_record in 1..200_usize,
        sizes in sizes(),
    ) {
        let plain = document.as_bytes();
        if let Some(elements) = elements(plain) {
            let limits = SiftLimits { max_record, ..LIMITS };
            let sifted = sift_with(limits, SourceIs::reading_all(), plain.chunks(sizes[0]));
            agrees(&sifted, &elements, max_record);
        }
    }
}

#[test]
fn a_document_cut_anywhere_or_split_anywhere_is_read_alike() {
    let plain = format!(
        "\u{feff}{{\"a\\\"\":[\"\\\\\",{{}}],\"R\\u0065cords\":[ {{\"eventSource\":\"{WANTED}\"}} ,\n-1.5e3,\"\\\"]\",{{\"a\":[[],\"\\u00fc\\\\\"],\"eventSource\":\"codeguru\\u002dreviewer.amazonaws.com\"}}],\"z\":tru"
    );
    let whole = format!("{plain}e}}\n");
    assert_eq!(sift(whole.as_bytes()).found.len(), 4);
    for length in 0..=whole.len() {
        let part = &whole.as_bytes()[..length];
        let expected = sift(part);
        assert_eq!(sift_with(LIMITS, SourceIs::wanted(), part.chunks(1)), expected);
        for stored in [part.to_vec(), gzip(part), zstd(part)] {
            let expected = sift(&stored);
            for cut in 0..stored.len() {
                let (one, two) = stored.split_at(cut);
                let sifted = sift_with(LIMITS, SourceIs::wanted(), [one, two]);
                assert_eq!(sifted, expected, "{length} bytes, cut at {cut}");
            }
        }
    }
}
