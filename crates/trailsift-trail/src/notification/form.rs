//! The form encoding of keys in S3 event notifications.

/// Decodes a key: `+` is a space, then `%XX` is a byte. Strict: what does not decode to UTF-8 is an
/// error and never a guess, for a guessed key is another object.
///
/// Source: "The `s3` key … is URL encoded", Amazon S3 user guide, event message structure.
pub(super) fn decode(key: &str) -> Result<String, String> {
    let mut decoded = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => decoded.push(b' '),
            b'%' => {
                let [high, low, after @ ..] = after else {
                    return Err("a % of the key is not followed by two digits".to_owned());
                };
                let (Some(high), Some(low)) = (hex(*high), hex(*low)) else {
                    return Err("a % of the key is not followed by two hex digits".to_owned());
                };
                decoded.push(high << 4 | low);
                rest = after;
            }
            other => decoded.push(*other),
        }
    }
    String::from_utf8(decoded).map_err(|_| "the key does not decode to UTF-8".to_owned())
}

/// Encodes a key as S3 does.
pub(super) fn encode(key: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b' ' => encoded.push('+'),
            b'/' | b'-' | b'_' | b'.' | b'*' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                encoded.push(char::from(byte));
            }
            other => {
                let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
                encoded.extend(['%', digit(other >> 4), digit(other & 0xF)]);
            }
        }
    }
    encoded
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_escape_decodes_to_the_byte_it_names() {
        for (encoded, key) in [
            ("plain/key.gz", "plain/key.gz"),
            ("a+b", "a b"),
            ("a%2Bb", "a+b"),
            ("a%2bb", "a+b"),
            ("a%20b", "a b"),
            ("100%25", "100%"),
            ("a%252Bb", "a%2Bb"),
            ("%C3%A9t%C3%A9", "été"),
            ("%F0%9F%90%98", "🐘"),
            ("été", "été"),
            ("%00", "\0"),
            ("", ""),
        ] {
            assert_eq!(decode(encoded).as_deref(), Ok(key), "{encoded}");
        }
    }

    #[test]
    fn what_does_not_decode_is_refused() {
        for encoded in
            ["%", "%2", "a%", "%zz", "%2G", "%+1", "% 1", "%é1", "%FF", "%C3", "%ED%A0%80"]
        {
            assert!(decode(encoded).is_err(), "{encoded}");
        }
    }

    proptest! {
        #[test]
        fn encoding_then_decoding_gives_the_key_back(key in any::<String>()) {
            prop_assert_eq!(decode(&encode(&key)), Ok(key));
        }

        #[test]
        fn decoding_never_panics(text in "[%+a-fA-F0-9é]{0,20}") {
            let _result: Result<String, String> = decode(&text);
        }
    }
}
