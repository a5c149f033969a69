//! One string, or one value in brackets, skipped byte by byte: at its end, and where the processor has
//! no better way.

use memchr::memchr2;

/// A value that begins with a quote or a bracket, and how far it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nested {
    pub(super) opener: u8,
    /// Brackets open, of either kind. A count, not a stack: a million levels cost nothing.
    pub(super) depth: u64,
    /// Braces opened less braces closed.
    pub(super) braces: i64,
    /// Whether a backslash is read.
    pub(super) has_backslash: bool,
    pub(super) text: Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// Outside strings.
    Tokens,
    /// In a string.
    String,
    /// In a string, behind a backslash.
    Escape,
}

/// What came of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// All used; the value goes on.
    More,
    /// The last byte used is the value's last.
    End,
    /// Nobody can say where this value ends: the byte behind the used ones shows it.
    Lost(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Other,
    Quote,
    Brace,
    BraceEnd,
    Bracket,
    BracketEnd,
    Backslash,
}

static CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    classes[b'"' as usize] = Class::Quote;
    classes[b'{' as usize] = Class::Brace;
    classes[b'}' as usize] = Class::BraceEnd;
    classes[b'[' as usize] = Class::Bracket;
    classes[b']' as usize] = Class::BracketEnd;
    classes[b'\\' as usize] = Class::Backslash;
    classes
};

impl Nested {
    /// Behind the value's first byte.
    pub(super) fn begin(opener: u8) -> Self {
        let (depth, braces, text) = match opener {
            b'"' => (0, 0, Text::String),
            b'{' => (1, 1, Text::Tokens),
            _ => (1, 0, Text::Tokens),
        };
        Self { opener, depth, braces, has_backslash: false, text }
    }

    /// Whether it is an object rather than an array or a string.
    pub(super) fn is_object(&self) -> bool {
        self.opener == b'{'
    }

    /// Whether it is one that ends with a bracket.
    pub(super) fn is_in_brackets(&self) -> bool {
        self.depth > 0
    }

    /// Reads on byte by byte: what every other way must agree with. Returns how many bytes are used.
    pub(super) fn scan_bytes(&mut self, bytes: &[u8]) -> (usize, Scan) {
        let mut at = 0;
        loop {
            if self.text != Text::Tokens {
                let is_escaped = self.text == Text::Escape;
                match string_end(bytes, at, is_escaped, &mut self.has_backslash) {
                    Ok(behind) => at = behind,
                    Err(text) => {
                        self.text = text;
                        return (bytes.len(), Scan::More);
                    }
                }
                self.text = Text::Tokens;
                if self.depth == 0 {
                    return (at, Scan::End);
                }
            }
            loop {
                let Some(byte) = bytes.get(at) else { return (at, Scan::More) };
                match CLASSES[usize::from(*byte)] {
                    Class::Other => {}
                    Class::Quote => {
                        at += 1;
                        self.text = Text::String;
                        break;
                    }
                    Class::Brace => {
                        self.depth += 1;
                        self.braces += 1;
                    }
                    Class::Bracket => self.depth += 1,
                    Class::BraceEnd | Class::BracketEnd => {
                        self.depth -= 1;
                        self.braces -= i64::from(*byte == b'}');
                        if self.depth == 0 {
                            // Both brackets of a pair lie two apart in ASCII.
                            if *byte != self.opener + 2 || self.braces != 0 {
                                return (at, Scan::Lost("brackets do not match"));
                            }
                            return (at + 1, Scan::End);
                        }
                    }
                    // Either the backslash escapes a quote or a string begins here: to guess is to
                    // take text for records or records for text.
                    Class::Backslash => return (at, Scan::Lost("a backslash outside a string")),
                }
                at += 1;
            }
        }
    }
}

/// Behind the closing quote of the string that `at` is in; or what the string stands at.
fn string_end(
    bytes: &[u8],
    mut at: usize,
    is_escaped: bool,
    has_backslash: &mut bool,
) -> Result<usize, Text> {
    if is_escaped {
        if at == bytes.len() {
            return Err(Text::Escape);
        }
        at += 1;
    }
    loop {
        match quote_or_backslash(bytes, at) {
            None => return Err(Text::String),
            Some(found) if bytes[found] == b'"' => return Ok(found + 1),
            Some(found) => {
                *has_backslash = true;
                if found + 1 == bytes.len() {
                    return Err(Text::Escape);
                }
                at = found + 2;
            }
        }
    }
}

/// Where the next quote or backslash is. Most strings of a trail are shorter than what it costs to
/// call a vectorised search, so the first words are looked at here.
#[inline(always)]
fn quote_or_backslash(bytes: &[u8], from: usize) -> Option<usize> {
    const WORDS: usize = 4;
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
    const BACKSLASHES: u64 = u64::from_ne_bytes([b'\\'; 8]);
    // The lowest bit set is exact: a borrow only ever runs upwards.
    let zeroes = |word: u64| word.wrapping_sub(LOW) & !word & HIGH;
    let mut at = from;
    for _ in 0..WORDS {
        let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else { break };
        let word = u64::from_le_bytes(*word);
        let found = zeroes(word ^ QUOTES) | zeroes(word ^ BACKSLASHES);
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    memchr2(b'"', b'\\', bytes.get(at..)?).map(|found| at + found)
}
