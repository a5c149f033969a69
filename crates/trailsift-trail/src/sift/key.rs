/// Compares a top-level key with `Records`, after unescaping it, without keeping it.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyMatcher {
    /// How many characters agree; `None` once one did not.
    matched: Option<usize>,
    escape: Escape,
}

#[derive(Clone, Copy, Debug)]
enum Escape {
    None,
    Backslash,
    Hex { digits: u8, value: u32 },
}

/// What a byte did to the key.
pub(super) enum KeyStep {
    /// The key goes on.
    More,
    /// The closing quote: whether the key is `Records`.
    End { is_records: bool },
    /// No JSON string has this byte here.
    Invalid,
}

const RECORDS: &[u8] = b"Records";

impl KeyMatcher {
    /// Right after the opening quote.
    pub(super) const fn new() -> Self {
        Self { matched: Some(0), escape: Escape::None }
    }

    /// Takes the key's next byte.
    pub(super) fn push(&mut self, byte: u8) -> KeyStep {
        match self.escape {
            Escape::None => match byte {
                b'"' => return KeyStep::End { is_records: self.matched == Some(RECORDS.len()) },
                b'\\' => self.escape = Escape::Backslash,
                0..0x20 => return KeyStep::Invalid,
                _ => self.character(u32::from(byte)),
            },
            Escape::Backslash => {
                self.escape = Escape::None;
                match byte {
                    b'u' => self.escape = Escape::Hex { digits: 0, value: 0 },
                    // None of the short escapes spells a letter.
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.matched = None,
                    _ => return KeyStep::Invalid,
                }
            }
            Escape::Hex { digits, value } => {
                let Some(digit) = char::from(byte).to_digit(16) else { return KeyStep::Invalid };
                let value = value << 4 | digit;
                if digits == 3 {
                    self.escape = Escape::None;
                    self.character(value);
                } else {
                    self.escape = Escape::Hex { digits: digits + 1, value };
                }
            }
        }
        KeyStep::More
    }

    fn character(&mut self, code: u32) {
        self.matched = self
            .matched
            .filter(|at| RECORDS.get(*at).is_some_and(|want| u32::from(*want) == code))
            .map(|at| at + 1);
    }
}
