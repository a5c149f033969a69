//! Whatever looks at the bytes, and however they are cut: what is seen is what reading them one by
//! one shows.

use super::nested::Text;
use super::*;

/// What is looked at together.
const BLOCK: usize = 64;

/// Reproducible noise.
struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % bound
    }

    /// Bytes of one of several mixtures, in some of which few brackets close.
    fn bytes(&mut self, length: usize) -> Vec<u8> {
        // The last but one are what a comparison of too few or too many bits takes for a token.
        const MIXTURES: [&[u8]; 9] = [
            br#"{}[]"\x"#,
            br#"{{{[[[}]""x"#,
            br#"{}[]""""xxxxxxxxxxxxxxxx"#,
            br#"{[}]"\\\\\\\\\\\\\"#,
            br#"xxxxxxxxxxxxxxxxxxxxxxxxxxxx"\"#,
            br#"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"{}[]"#,
            b"{}[][{}]",
            b"{[\"\\\x1b\x3b\x1d\x3d\xdb\xfb\xdd\xfd\xa2\xdc\x02\x5c\x7c\x22\0",
            b"",
        ];
        let mixture = MIXTURES[self.below(MIXTURES.len())];
        let one = |noise: &mut Self| match mixture {
            [] => u8::try_from(noise.below(256)).unwrap(),
            some => some[noise.below(some.len())],
        };
        (0..length).map(|_| one(self)).collect()
    }

    /// What may follow a value's first byte: now and then so many brackets that it takes long.
    fn body(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        let deep = self.below(2) * self.below(80);
        body.extend((0..deep).map(|_| if self.below(2) == 0 { b'{' } else { b'[' }));
        for _ in 0..self.below(4) {
            let length = self.below(150);
            body.extend(self.bytes(length));
        }
        body
    }
}

/// How a value was read: as far as this, with this result, and the state if it goes on.
type Seen = (usize, Scan, Option<Nested>, Option<bool>);

fn read(opener: u8, parts: &[&[u8]], scan: impl Fn(&mut Nested, &[u8]) -> (usize, Scan)) -> Seen {
    let mut nested = Nested::begin(opener);
    let mut behind = 0;
    for part in parts {
        let (used, result) = scan(&mut nested, part);
        behind += used;
        match result {
            Scan::More => assert_eq!(used, part.len()),
            Scan::End => return (behind, result, None, Some(nested.has_backslash)),
            Scan::Lost(_) => return (behind, result, None, None),
        }
    }
    (behind, Scan::More, Some(nested), None)
}

#[track_caller]
fn all_agree(opener: u8, body: &[u8], cuts: impl Iterator<Item = usize>) {
    let expected = read(opener, &[body], Nested::scan_bytes);
    if let (used, Scan::End, _, has_backslash) = expected {
        assert_eq!(has_backslash, Some(body[..used].contains(&b'\\')));
    }
    for cut in cuts {
        let (one, two) = body.split_at(cut);
        for lanes in Lanes::all() {
            let seen = read(opener, &[one, two], |nested, bytes| lanes.scan(nested, bytes));
            let shown = body.escape_ascii();
            assert_eq!(seen, expected, "{lanes:?}, cut at {cut}: {}{shown}", char::from(opener));
        }
    }
}

#[test]
fn noise_is_read_alike_by_all_instructions_at_any_cut_and_alignment() {
    let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
    let mut ends = 0;
    for number in 0..100_000 {
        let opener = br#"{[""#[number % 3];
        let body = noise.body();
        let from = noise.below(body.len().clamp(1, BLOCK));
        let body = body.get(from..).unwrap_or_default();
        let (a, b) = (noise.below(body.len() + 1), noise.below(body.len() + 1));
        all_agree(opener, body, [0, a, b].into_iter());
        if number % 64 == 0 {
            all_agree(opener, body, 0..=body.len());
        }
        let (used, scan, ..) = read(opener, &[body], Nested::scan_bytes);
        ends += usize::from(scan == Scan::End && used > BLOCK);
    }
    assert!(ends > 1_000, "only {ends} values are over behind their first block");
}

#[test]
fn backslashes_escape_each_other_across_the_border_of_a_block() {
    for before in 0..BLOCK + 2 {
        for run in 0..2 * BLOCK + 2 {
            let mut body = vec![b' '; before];
            body.push(b'"');
            body.extend(vec![b'\\'; run]);
            // Behind an even number of backslashes the string is over, and so is the value; behind
            // an odd one the next quote ends it, and the bracket behind that the value.
            body.extend_from_slice(br#""}":""}"#);
            body.extend_from_slice(&[b'}'; BLOCK]);
            let over = before + 1 + run + if run % 2 == 0 { 2 } else { 7 };
            let seen = read(b'{', &[&body], Nested::scan_bytes);
            assert_eq!(seen, (over, Scan::End, None, Some(run > 0)), "{before}, {run}");
            all_agree(b'{', &body, [0, before + run, before + run + 1, BLOCK].into_iter());
        }
    }
}

#[test]
fn a_string_or_a_depth_of_any_length_is_read_alike() {
    for length in (0..5 * BLOCK).chain([10_000, 10_001]) {
        let string =
            [&b"\""[..], &b"{]\\\""[..length % 5], &vec![b'}'; length], b"\":{}}]"].concat();
        all_agree(b'[', &string, [0, length / 2, length].into_iter());
        let deep = [vec![b'['; length], vec![b']'; length], b"}]".to_vec()].concat();
        all_agree(b'{', &deep, [0, length, length + length / 2].into_iter());
        assert_eq!(
            read(b'{', &[&deep], Nested::scan_bytes),
            (2 * length + 1, Scan::End, None, Some(false))
        );
        let crossed = [vec![b'{'; length], vec![b']'; length], b"}]".to_vec()].concat();
        all_agree(b'{', &crossed, [0, length].into_iter());
    }
}

#[test]
fn a_backslash_outside_a_string_is_named_where_it_stands() {
    for at in 0..3 * BLOCK {
        for (opener, rest) in [(b'{', &br#"\"}"#[..]), (b'[', br#"\\]"#), (b'{', br#"\}]"#)] {
            let body = [&vec![b' '; at], rest, &[b'}'; 2 * BLOCK]].concat();
            all_agree(opener, &body, [0, at, at + 1].into_iter());
            let seen = read(opener, &[&body], |nested, bytes| Lanes::detect().scan(nested, bytes));
            assert_eq!(seen, (at, Scan::Lost("a backslash outside a string"), None, None));
        }
    }
}

/// All that a scanner says of a document, and what it knows at its end.
fn split(lanes: Lanes, parts: &[&[u8]]) -> (Vec<Event>, Result<u64, SplitFault>, Option<u64>) {
    let mut splitter = Splitter { lanes, ..Splitter::new() };
    let mut events = Vec::new();
    let mut result = Ok(0);
    'parts: for part in parts {
        let mut rest = *part;
        loop {
            let from = splitter.offset();
            match splitter.next(rest) {
                Ok(Event::More) => continue 'parts,
                Ok(event) => events.push(event),
                Err(fault) => {
                    result = Err(fault);
                    break 'parts;
                }
            }
            rest = &rest[usize::try_from(splitter.offset() - from).unwrap()..];
        }
    }
    if result.is_ok() {
        result = splitter.finish().map(|()| splitter.offset());
    }
    (events, result, splitter.open_element())
}

#[test]
fn a_document_is_split_alike_by_all_instructions_at_any_cut() {
    let mut noise = Noise(0x2545_F491_4F6C_DD1D);
    let mut elements = 0;
    for number in 0..3_000 {
        let mut document = br#"{"a":["\\",{}],"Records":["#.to_vec();
        for _ in 0..noise.below(6) {
            let pad = "x".repeat(noise.below(100));
            let record = match noise.below(8) {
                0 => "{}".to_owned(),
                1 => format!(r#"["{pad}\"]",{{}}]"#),
                2 => format!(r#"{{"{pad}":"\\","b":[[{{}}],"}}"]}}"#),
                3 => format!(r#""{pad}\\\"""#),
                4 => "-1.5e3".to_owned(),
                5 => format!(r#"{{"{pad}":{{"{pad}":[]}}}}"#),
                6 => format!(r#"{{"{pad}":"{}"}}"#, r"\".repeat(noise.below(70) * 2)),
                _ => String::from_utf8_lossy(&noise.body()).into_owned(),
            };
            document.extend_from_slice(record.as_bytes());
            document.extend_from_slice([",", " ,\n", ", "][noise.below(3)].as_bytes());
        }
        document.extend_from_slice(br#"{"end":1}],"z":[{"\"":"}"}]} "#);
        let expected = split(Lanes::all()[0], &[&document]);
        elements += expected.0.len();
        for event in &expected.0 {
            if let Event::Element { start, end, has_backslash, .. } = *event {
                let [start, end] = [start, end].map(|at| usize::try_from(at).unwrap());
                assert_eq!(has_backslash, document[start..end].contains(&b'\\'));
            }
        }
        let cuts = if number % 50 == 0 { 0..document.len() } else { 0..1 };
        for cut in cuts.chain([noise.below(document.len())]) {
            let (one, two) = document.split_at(cut);
            for lanes in Lanes::all() {
                let shown = document.escape_ascii();
                assert_eq!(split(lanes, &[one, two]), expected, "{lanes:?}, {cut}: {shown}");
            }
        }
    }
    assert!(elements > 5_000, "only {elements} elements");
}

#[test]
fn a_value_that_is_cut_knows_where_it_stands() {
    let text = |body: &str| {
        let body = format!("{}{body}", " ".repeat(2 * BLOCK - body.len()));
        let seen =
            read(b'{', &[body.as_bytes()], |nested, bytes| Lanes::detect().scan(nested, bytes));
        seen.2.map(|nested| nested.text)
    };
    assert_eq!(text(r#""""#), Some(Text::Tokens));
    assert_eq!(text(r#""\\"#), Some(Text::String));
    assert_eq!(text(r#""\\\"#), Some(Text::Escape));
}
