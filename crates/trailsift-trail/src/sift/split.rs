//! Bytes in, spans of records out: the one place that knows where a record begins and ends.
//!
//! A resumable scanner that keeps no byte and never recurses: its whole memory is the state below,
//! whatever the depth, the size of a string or the cut between two calls. Outside `Records` it
//! follows the grammar of JSON; inside an element it only follows strings and counts brackets, for
//! what an element holds is looked at when somebody wants it.

#[cfg(target_arch = "x86_64")]
mod blocks;
mod lanes;
mod nested;
#[cfg(test)]
mod tests;

use trailsift_core::Reason;

use super::key::{KeyMatcher, KeyStep};
use super::scalar::Scalar;
use lanes::Lanes;
use nested::{Nested, Scan};

/// What the scanner came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Every byte is looked at; more are needed.
    More,
    /// An element of `Records`, from its first byte to behind its last one.
    Element {
        start: u64,
        end: u64,
        kind: ElementKind,
        /// Whether a backslash stands in it. Without one nothing in it is escaped.
        has_backslash: bool,
    },
    /// `Records` is closed; `end` is behind its bracket.
    RecordsEnd { end: u64 },
}

/// What an element of `Records` is, as far as its first and last bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ElementKind {
    /// From `{` to `}`.
    Object,
    /// An array, a string, a number, a boolean or null.
    NotObject,
    /// Neither, like `nul` or `01`.
    Garbage,
}

/// The document breaks a rule, and cannot be split further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SplitFault {
    pub(super) reason: Reason,
    pub(super) detail: String,
    /// Where the part begins that could not be split.
    pub(super) from: u64,
}

#[derive(Debug)]
enum State {
    /// Before the document; so many bytes of a byte order mark are read.
    Mark(usize),
    Begin,
    FirstKey,
    NextKey,
    Key(KeyMatcher),
    Colon {
        is_records: bool,
    },
    Value {
        is_records: bool,
    },
    AfterValue,
    FirstElement,
    NextElement,
    AfterElement,
    Inside(Role, Shape),
    /// Behind the document.
    Tail,
}

/// Whose value is being read.
#[derive(Clone, Copy, Debug)]
enum Role {
    /// The whole document's, which is no object.
    Document,
    /// A top-level key's.
    Member { is_records: bool },
    /// `Records`': an element that began at [`Splitter::start`].
    Element,
}

/// How the value goes on.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Nested(Nested),
    Scalar(Scalar),
}

/// What came of a byte between values.
enum Token {
    /// It is not used up: a new state looks at it.
    NotUsed,
    Used,
    /// A value begins with it. Only one that is cut becomes a part of the state: most are not.
    Value(Role),
}

/// Where `Records` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Records {
    Ahead,
    Open,
    Closed { end: u64 },
}

const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// The scanner. Offsets count the inflated bytes from 0, a byte order mark included.
#[derive(Debug)]
pub(super) struct Splitter {
    offset: u64,
    state: State,
    /// Where the last element began.
    start: u64,
    /// Whether the last value that is over holds a backslash.
    has_backslash: bool,
    records: Records,
    has_mark: bool,
    lanes: Lanes,
}

impl Splitter {
    pub(super) fn new() -> Self {
        Self {
            offset: 0,
            start: 0,
            has_backslash: false,
            state: State::Mark(0),
            records: Records::Ahead,
            has_mark: false,
            lanes: Lanes::detect(),
        }
    }

    /// Whether the document begins with a byte order mark.
    pub(super) fn has_mark(&self) -> bool {
        self.has_mark
    }

    /// How many bytes are looked at.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the element began that is not yet at its end.
    pub(super) fn open_element(&self) -> Option<u64> {
        match self.state {
            State::Inside(Role::Element, _) => Some(self.start),
            _ => None,
        }
    }

    /// Goes on until something is found or `bytes`, the ones from [`Self::offset`] on, are used up.
    ///
    /// # Errors
    /// If the document breaks a rule. Nothing may be asked of the scanner afterwards.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Result<Event, SplitFault> {
        let mut rest = bytes;
        let mut value = match self.state {
            State::Inside(role, Shape::Nested(nested)) => {
                Some((role, self.nested(role, nested, rest)?))
            }
            State::Inside(role, Shape::Scalar(scalar)) => {
                Some((role, self.scalar(role, scalar, rest)))
            }
            _ => None,
        };
        loop {
            if let Some((role, (used, end))) = value.take() {
                self.offset += used as u64;
                rest = &rest[used..];
                match (role, end) {
                    (_, None) => return Ok(Event::More),
                    (Role::Element, Some(kind)) => {
                        self.state = State::AfterElement;
                        let Self { start, offset: end, has_backslash, .. } = *self;
                        return Ok(Event::Element { start, end, kind, has_backslash });
                    }
                    (_, Some(kind)) => self.value_ends(role, kind)?,
                }
            }
            let Some((&byte, tail)) = rest.split_first() else { return Ok(Event::More) };
            let is_space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
            if is_space && !matches!(self.state, State::Mark(_) | State::Key(_)) {
                self.offset += 1;
                rest = tail;
                continue;
            }
            let token = self.token(byte)?;
            if matches!(token, Token::NotUsed) {
                continue;
            }
            self.offset += 1;
            rest = tail;
            if let Token::Value(role) = token {
                value = Some((
                    role,
                    match byte {
                        b'{' | b'[' | b'"' => self.nested(role, Nested::begin(byte), rest)?,
                        _ => self.scalar(role, Scalar::begin(byte), rest),
                    },
                ));
            } else if self.records == (Records::Closed { end: self.offset }) {
                return Ok(Event::RecordsEnd { end: self.offset });
            }
        }
    }

    /// Judges the document at the end of its bytes.
    pub(super) fn finish(&mut self) -> Result<(), SplitFault> {
        match self.state {
            State::Tail if self.records == Records::Ahead => {
                Err(self.fault(Reason::NoRecords, "the document has no key Records".into()))
            }
            State::Tail => Ok(()),
            State::Mark(0 | 3) | State::Begin => {
                Err(self.fault(Reason::EmptyJson, "there is nothing but white space".into()))
            }
            State::Inside(Role::Document, Shape::Scalar(scalar)) if scalar.is_whole() => {
                Err(self.toplevel())
            }
            _ => Err(self.broken(format!("the document ends unfinished at byte {}", self.offset))),
        }
    }

    /// Takes one byte between values.
    fn token(&mut self, byte: u8) -> Result<Token, SplitFault> {
        self.state = match (&mut self.state, byte) {
            (State::Mark(read), _) => {
                if *read < 3 && byte == BYTE_ORDER_MARK[*read] {
                    *read += 1;
                    self.has_mark = *read == BYTE_ORDER_MARK.len();
                    return Ok(Token::Used);
                }
                if !matches!(*read, 0 | 3) {
                    return Err(self.unexpected(byte, "a byte order mark or {"));
                }
                self.state = State::Begin;
                return Ok(Token::NotUsed);
            }
            (State::Begin, b'{') => State::FirstKey,
            (State::Begin, b'[' | b'"') => return Err(self.toplevel()),
            (State::Begin, _) => match Scalar::begin(byte) {
                Scalar::Garbage => return Err(self.unexpected(byte, "{")),
                _ => return Ok(Token::Value(Role::Document)),
            },
            (State::FirstKey | State::AfterValue, b'}') => State::Tail,
            (State::FirstKey | State::NextKey, b'"') => State::Key(KeyMatcher::new()),
            (State::FirstKey, _) => return Err(self.unexpected(byte, "a key or }")),
            (State::NextKey, _) => return Err(self.unexpected(byte, "a key")),
            (State::Key(key), _) => match key.push(byte) {
                KeyStep::More => return Ok(Token::Used),
                KeyStep::End { is_records: true } if self.records != Records::Ahead => {
                    return Err(self.fault(
                        Reason::DuplicateRecordsKey,
                        format!("a second key Records ends at byte {}", self.offset),
                    ));
                }
                KeyStep::End { is_records } => State::Colon { is_records },
                KeyStep::Invalid => return Err(self.unexpected(byte, "a character of a key")),
            },
            (State::Colon { is_records }, b':') => State::Value { is_records: *is_records },
            (State::Colon { .. }, _) => return Err(self.unexpected(byte, ":")),
            (State::Value { is_records: true }, b'[') => {
                self.records = Records::Open;
                State::FirstElement
            }
            (State::Value { is_records: true }, b'{' | b'"') => return Err(self.records_type()),
            (State::Value { is_records }, _) => {
                let role = Role::Member { is_records: *is_records };
                return self.begins(role, byte, "a value");
            }
            (State::AfterValue, b',') => State::NextKey,
            (State::AfterValue, _) => return Err(self.unexpected(byte, ", or }")),
            (State::FirstElement | State::AfterElement, b']') => {
                self.records = Records::Closed { end: self.offset + 1 };
                State::AfterValue
            }
            (State::FirstElement | State::NextElement, _) => {
                self.start = self.offset;
                return self.begins(Role::Element, byte, "a record");
            }
            (State::AfterElement, b',') => State::NextElement,
            (State::AfterElement, _) => return Err(self.unexpected(byte, ", or ]")),
            (State::Tail, _) => {
                return Err(self.fault(
                    Reason::TrailingJson,
                    format!("more follows the document at byte {}", self.offset),
                ));
            }
            (State::Inside(..), _) => unreachable!("values are read before tokens"),
        };
        Ok(Token::Used)
    }

    /// A value begins with this byte, if one can.
    fn begins(&self, role: Role, byte: u8, expected: &str) -> Result<Token, SplitFault> {
        match byte {
            b'}' | b']' | b',' | b':' | b'\\' => Err(self.unexpected(byte, expected)),
            _ => Ok(Token::Value(role)),
        }
    }

    fn nested(
        &mut self,
        role: Role,
        mut nested: Nested,
        bytes: &[u8],
    ) -> Result<(usize, Option<ElementKind>), SplitFault> {
        let (used, scan) = self.lanes.scan(&mut nested, bytes);
        match scan {
            Scan::More => {
                self.state = State::Inside(role, Shape::Nested(nested));
                Ok((used, None))
            }
            Scan::End => {
                self.has_backslash = nested.has_backslash;
                let is_object = nested.is_object();
                let kind = if is_object { ElementKind::Object } else { ElementKind::NotObject };
                Ok((used, Some(kind)))
            }
            Scan::Lost(what) => {
                self.state = State::Inside(role, Shape::Nested(nested));
                Err(self.broken(format!("{what} at byte {}", self.offset + used as u64)))
            }
        }
    }

    fn scalar(
        &mut self,
        role: Role,
        mut scalar: Scalar,
        bytes: &[u8],
    ) -> (usize, Option<ElementKind>) {
        self.has_backslash = false;
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' | b'"' | b'\\' | b'[' | b']' | b'{'
                | b'}' => {
                    self.state = State::Inside(role, Shape::Scalar(scalar));
                    let whole = scalar.is_whole();
                    let kind = if whole { ElementKind::NotObject } else { ElementKind::Garbage };
                    return (at, Some(kind));
                }
                _ => scalar.push(*byte),
            }
        }
        self.state = State::Inside(role, Shape::Scalar(scalar));
        (bytes.len(), None)
    }

    /// A value outside `Records` is over, and [`Self::offset`] is behind it.
    fn value_ends(&mut self, role: Role, kind: ElementKind) -> Result<(), SplitFault> {
        if kind == ElementKind::Garbage {
            return Err(self.broken(format!("the value before byte {} is no JSON", self.offset)));
        }
        match role {
            Role::Document => Err(self.toplevel()),
            Role::Member { is_records: true } => Err(self.records_type()),
            Role::Member { .. } | Role::Element => {
                self.state = State::AfterValue;
                Ok(())
            }
        }
    }

    fn records_type(&self) -> SplitFault {
        match self.state {
            State::Inside(_, Shape::Scalar(scalar)) if scalar.is_null() => {
                self.fault(Reason::NoRecords, "Records is null".into())
            }
            _ => self.fault(Reason::RecordsType, "Records is not an array".into()),
        }
    }

    fn toplevel(&self) -> SplitFault {
        self.fault(Reason::ToplevelType, "the document is not an object".into())
    }

    fn unexpected(&self, byte: u8, expected: &str) -> SplitFault {
        let found = byte.escape_ascii();
        self.broken(format!("expected {expected} at byte {}, found '{found}'", self.offset))
    }

    /// The grammar is broken here: no JSON at all as long as no record can have been seen.
    fn broken(&self, detail: String) -> SplitFault {
        match self.records {
            Records::Ahead => self.fault(Reason::NotJson, detail),
            Records::Open | Records::Closed { .. } => self.fault(Reason::StructureLost, detail),
        }
    }

    fn fault(&self, reason: Reason, detail: String) -> SplitFault {
        let from = match (self.open_element(), self.records) {
            (Some(start), _) => start,
            (None, Records::Closed { end }) => end,
            (None, _) => self.offset,
        };
        SplitFault { reason, detail, from }
    }
}
