//! JSON strings as bytes: finding their end, and what they say; and text from outside as it may be
//! shown.

/// How many bytes at the start of `bytes` mean themselves in a JSON string: up to the first quote,
/// backslash or control character.
#[inline(always)]
pub fn plain_len(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let special = special(*word);
        if special != 0 {
            return index * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..b' ');
    words.len() * 8 + tail.iter().position(special).unwrap_or(tail.len())
}

/// The top bit of each byte that is a quote, a backslash or a control character, up to the first
/// such byte; those above it may be flagged for nothing, for a difference borrows from them.
#[inline(always)]
fn special(word: [u8; 8]) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const TOPS: u64 = ONES << 7;
    let word = u64::from_le_bytes(word);
    let quotes = (word ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
    let backslashes = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    let controls = word.wrapping_sub(ONES * b' ' as u64);
    (quotes | backslashes | controls) & !word & TOPS
}

/// What the inside of a well-formed JSON string says, in UTF-8 except for lone surrogates, which
/// become the three bytes that UTF-8 would have for them (WTF-8). No text from a configuration
/// holds those, so that they differ from everything and still have a beginning and an end.
pub fn unescape(inside: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        text.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let Some((escape, after)) = rest.split_first() else { break };
        rest = after;
        match escape {
            b'b' => text.push(0x08),
            b'f' => text.push(0x0c),
            b'n' => text.push(b'\n'),
            b'r' => text.push(b'\r'),
            b't' => text.push(b'\t'),
            b'u' => {
                let unit = hex4(rest);
                rest = rest.get(4..).unwrap_or_default();
                let low = match rest {
                    [b'\\', b'u', digits @ ..] if (0xd800..0xdc00).contains(&unit) => {
                        Some(hex4(digits)).filter(|low| (0xdc00..0xe000).contains(low))
                    }
                    _ => None,
                };
                if let Some(low) = low {
                    rest = rest.get(6..).unwrap_or_default();
                    push(&mut text, 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
                } else {
                    push(&mut text, unit);
                }
            }
            itself => text.push(*itself),
        }
    }
    text.extend_from_slice(rest);
    text
}

fn hex4(digits: &[u8]) -> u32 {
    let digits = digits.iter().take(4);
    digits.fold(0, |unit, digit| unit << 4 | char::from(*digit).to_digit(16).unwrap_or(0))
}

fn push(text: &mut Vec<u8>, code: u32) {
    if let Some(char) = char::from_u32(code) {
        text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
    } else {
        // Only surrogates come here, and they have 16 bits.
        let [_, _, high, low] = code.to_be_bytes();
        text.extend([0xe0 | high >> 4, 0x80 | (high & 0x0f) << 2 | low >> 6, 0x80 | low & 0x3f]);
    }
}

/// The text without what a terminal may obey and nobody sees: text from outside must not be able to
/// forge a line, or move the cursor of whoever reads it.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unseen(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether a character is one that nobody sees but that may change what is seen: control characters,
/// those that reorder or break the text around them, and those without a shape of their own, some of
/// which are letters (Unicode's `Default_Ignorable_Code_Point`, and what else is blank but no space).
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_mean_what_json_says() {
        for (inside, text) in [
            (r"", "".as_bytes()),
            (r"plain", b"plain"),
            (r#"\"\\\/\b\f\n\r\t"#, b"\"\\/\x08\x0c\n\r\t"),
            (r"codeguru\u002dreviewer", b"codeguru-reviewer"),
            (r"\u00E9\u00e9", "éé".as_bytes()),
            (r"\ud83d\ude00", "😀".as_bytes()),
            (r"\u0000x", b"\0x"),
            (r"\\u002d", br"\u002d"),
            (r"\ud800", b"\xed\xa0\x80"),
            (r"\udfff!", b"\xed\xbf\xbf!"),
            (r"\ud800\ud83d\ude00", b"\xed\xa0\x80\xf0\x9f\x98\x80"),
            (r"\ud800\u0041", b"\xed\xa0\x80A"),
            (r"\ud800\n", b"\xed\xa0\x80\n"),
        ] {
            assert_eq!(unescape(inside.as_bytes()), text, "{inside}");
        }
    }

    #[test]
    fn text_from_outside_stays_on_its_line() {
        let hostile = "a\nb\u{1b}[31m\u{202e}\u{2028}\u{200b}\u{ad}\u{3164}\u{fe0f}\u{e0041}é";
        let shown = r"a\nb\u{1b}[31m\u{202e}\u{2028}\u{200b}\u{ad}\u{3164}\u{fe0f}\u{e0041}é";
        assert_eq!(escaped(hostile), shown);
    }

    proptest! {
        #[test]
        fn plain_bytes_are_counted_as_one_by_one(bytes in prop::collection::vec(
            prop_oneof![8 => b' '..=b'~', 2 => any::<u8>()], 0..40,
        )) {
            let special = |byte: &u8| *byte == b'"' || *byte == b'\\' || *byte < b' ';
            let slow = bytes.iter().position(special).unwrap_or(bytes.len());
            prop_assert_eq!(plain_len(&bytes), slow);
        }

        #[test]
        fn serde_json_reads_the_same(text in any::<String>(), all in any::<bool>()) {
            let json = if all {
                let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
                units.collect::<String>()
            } else {
                let json = serde_json::to_string(&text).unwrap();
                json[1..json.len() - 1].to_owned()
            };
            prop_assert_eq!(unescape(json.as_bytes()), text.as_bytes());
        }
    }
}
