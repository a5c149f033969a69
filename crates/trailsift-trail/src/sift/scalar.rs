/// Reads a number or one of the three literals, byte by byte, and knows whether it is one.
///
/// The grammar is RFC 8259's, sections 3 and 6: what serde_json takes for a scalar, no more.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scalar {
    /// In a literal: the bytes still to come.
    Literal { word: &'static [u8], rest: &'static [u8] },
    /// In a number.
    Number(Number),
    /// No JSON scalar whatever follows.
    Garbage,
}

/// Where in a number the last byte stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

impl Scalar {
    /// The scalar that begins with this byte.
    pub(super) fn begin(first: u8) -> Self {
        let literal = |word: &'static [u8]| Self::Literal { word, rest: &word[1..] };
        match first {
            b't' => literal(b"true"),
            b'f' => literal(b"false"),
            b'n' => literal(b"null"),
            b'-' => Self::Number(Number::Minus),
            b'0' => Self::Number(Number::Zero),
            b'1'..=b'9' => Self::Number(Number::Integer),
            _ => Self::Garbage,
        }
    }

    /// Takes the next byte, which is not a delimiter.
    pub(super) fn push(&mut self, byte: u8) {
        *self = match *self {
            Self::Literal { word, rest: [next, rest @ ..] } if *next == byte => {
                Self::Literal { word, rest }
            }
            Self::Number(number) => number.push(byte).map_or(Self::Garbage, Self::Number),
            _ => Self::Garbage,
        };
    }

    /// Whether what was read so far is a whole scalar.
    pub(super) fn is_whole(self) -> bool {
        match self {
            Self::Literal { rest, .. } => rest.is_empty(),
            Self::Number(number) => matches!(
                number,
                Number::Zero | Number::Integer | Number::Fraction | Number::ExponentDigits
            ),
            Self::Garbage => false,
        }
    }

    /// Whether it is the whole literal `null`.
    pub(super) fn is_null(self) -> bool {
        matches!(self, Self::Literal { word: b"null", rest: [] })
    }
}

impl Number {
    fn push(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus, b'1'..=b'9') | (Self::Integer, b'0'..=b'9') => Self::Integer,
            (Self::Zero | Self::Integer, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Integer | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::ExponentSign,
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => {
                Self::ExponentDigits
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scalar_is_whole_exactly_when_serde_json_takes_it() {
        let alphabet = b"-01.eE+9tnul";
        let mut texts: Vec<Vec<u8>> = alphabet.iter().map(|byte| vec![*byte]).collect();
        for length in 1..5 {
            for text in texts.clone().iter().filter(|text| text.len() == length) {
                texts.extend(alphabet.iter().map(|byte| [text.as_slice(), &[*byte]].concat()));
            }
        }
        texts.extend([b"true", b"nul1", b"null"].map(|text| text.to_vec()));
        texts.extend([b"false".to_vec(), b"-12.5e+07".to_vec(), b"nulll".to_vec()]);
        for text in texts {
            let mut scalar = Scalar::begin(text[0]);
            text[1..].iter().for_each(|byte| scalar.push(*byte));
            let oracle = serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_ok();
            assert_eq!(scalar.is_whole(), oracle, "{}", text.escape_ascii());
            assert_eq!(scalar.is_null(), text == b"null");
        }
    }
}
