//! One pass over a record: it is checked as a whole, and looked into where routes look.
//!
//! Hand-written rather than `serde_json`, because three things must hold at once: strings that are
//! not looked at may hold lone surrogates and numbers of any size; a name that appears twice among
//! those looked at is a fault; and nothing is allocated per value. The tests compare it with
//! `serde_json` on mutated records: both take the same texts as well-formed.

use std::borrow::Cow;

use trailsift_core::{Reason, RecordFault};

use crate::actor::Values;
use crate::asked::Value;
use crate::bits::Bits;
use crate::plan::{EVENT_SOURCE, Plan};
use trailsift_event::Json;
use trailsift_event::text::{plain_len, unescape};

/// How deeply a record may be nested, its own braces counted: deeper ones are a fault. CloudTrail's
/// own stay below 30. It also bounds the recursion where arrays lie in a path.
pub const MAX_DEPTH: usize = 512;

/// Reads one record.
pub(crate) struct Reader<'r, 'v> {
    plan: &'r Plan,
    bytes: &'r [u8],
    at: usize,
    depth: usize,
    /// Per depth one bit: whether the container opened there is an object. Only for skipping, which
    /// does not recurse.
    objects: [u64; MAX_DEPTH / 64],
    found: Bits,
    of_actor: &'v mut Values<'r>,
    /// Whether the string that was read last holds an escape.
    was_escaped: bool,
    fault: Option<RecordFault>,
}

/// The record has a fault, which [`Reader::fault`] holds. An error of no size lets what is read fifty
/// times a record be answered in registers.
struct Stop;

impl<'r, 'v> Reader<'r, 'v> {
    /// The finds of the plan that the record holds, but for those that are derived. Of what the actor
    /// is derived from, the values are put into `of_actor` if the plan asks for one.
    pub(crate) fn read(
        plan: &'r Plan,
        record: &'r [u8],
        of_actor: &'v mut Values<'r>,
    ) -> Result<Bits, RecordFault> {
        if let Err(error) = std::str::from_utf8(record) {
            let detail = format!("no UTF-8 at byte {} of the record", error.valid_up_to());
            return Err(RecordFault { reason: Reason::InvalidUtf8, detail });
        }
        let mut reader = Self {
            plan,
            bytes: record,
            at: 0,
            depth: 0,
            objects: [0; MAX_DEPTH / 64],
            found: Bits::new(plan.finds),
            of_actor,
            was_escaped: false,
            fault: None,
        };
        let end = reader.record();
        match (end, reader.fault) {
            (Ok(()), None) => Ok(reader.found),
            (_, fault) => Err(fault.unwrap_or_else(|| unreachable!("whoever stops says why"))),
        }
    }

    fn record(&mut self) -> Result<(), Stop> {
        match self.next_token() {
            Some(b'{') => self.object(0)?,
            Some(b'[' | b'"' | b't' | b'f' | b'n' | b'-' | b'0'..=b'9') => {
                let detail = "the record is not a JSON object".to_owned();
                return Err(self.stop(Reason::RecordType, detail));
            }
            _ => return Err(self.syntax("a record")),
        }
        match self.next_token() {
            None => Ok(()),
            Some(_) => Err(self.syntax("the end of the record")),
        }
    }

    /// Reads the object at the opening brace, whose names `node` knows.
    fn object(&mut self, node: usize) -> Result<(), Stop> {
        let plan = self.plan;
        let known = &plan.nodes[node];
        let mut seen = Bits::new(known.children_count);
        self.open(true)?;
        if self.next_token() == Some(b'}') {
            self.close();
            return Ok(());
        }
        loop {
            let name = self.name()?;
            match known.children.get(&self.said(name)) {
                Some(child) => {
                    if !seen.insert(child.number) {
                        return Err(self.duplicate(&plan.nodes[child.node].name));
                    }
                    let start = self.at;
                    self.value(child.node)?;
                    if let Some(of_actor) = child.of_actor
                        && of_actor.depth == self.depth
                    {
                        let value = Json::new(&self.bytes[start..self.at]);
                        self.of_actor[of_actor.number] = Some(value);
                    }
                }
                None => self.skip()?,
            }
            match self.next_token() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.close();
                    return Ok(());
                }
                _ => return Err(self.syntax("`,` or `}`")),
            }
        }
    }

    /// Reads the value of a name that is looked at, or an element of it.
    ///
    /// It calls itself for arrays and for names below names, so [`MAX_DEPTH`] bounds it.
    fn value(&mut self, node: usize) -> Result<(), Stop> {
        let plan = self.plan;
        let first = self.next_token();
        if plan.nodes[node].is_event_source && !matches!(first, None | Some(b'"')) {
            let detail = format!("{EVENT_SOURCE} at byte {} of the record is no string", self.at);
            return Err(self.stop(Reason::EventSourceType, detail));
        }
        match first {
            Some(b'{') => {
                self.note(node, &Value::Object);
                if plan.nodes[node].children_count == 0 { self.skip() } else { self.object(node) }
            }
            Some(b'[') => self.elements(node),
            Some(b'"') => {
                let text = self.string()?;
                if plan.nodes[node].asked.anything {
                    self.note(node, &Value::Text(&self.said(text)));
                }
                Ok(())
            }
            Some(b't') => {
                self.note(node, &Value::Bool(true));
                self.word("true")
            }
            Some(b'f') => {
                self.note(node, &Value::Bool(false));
                self.word("false")
            }
            Some(b'n') => self.word("null"),
            Some(b'-' | b'0'..=b'9') => {
                let number = self.number()?;
                self.note(node, &Value::Number(number));
                Ok(())
            }
            _ => Err(self.syntax("a value")),
        }
    }

    /// Reads the array at the opening bracket: each element as if it stood in the array's place.
    fn elements(&mut self, node: usize) -> Result<(), Stop> {
        self.open(false)?;
        if self.next_token() == Some(b']') {
            self.close();
            return Ok(());
        }
        loop {
            self.value(node)?;
            match self.next_token() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.close();
                    return Ok(());
                }
                _ => return Err(self.syntax("`,` or `]`")),
            }
        }
    }

    /// Notes what the value is of what is asked at the node.
    #[inline]
    fn note(&mut self, node: usize, value: &Value<'_>) {
        self.plan.nodes[node].asked.note(value, &mut self.found);
    }

    /// Checks a value that nobody looks at, and everything in it, without recursion.
    fn skip(&mut self) -> Result<(), Stop> {
        let outside = self.depth;
        loop {
            match self.next_token() {
                Some(b'{') => {
                    self.open(true)?;
                    if self.next_token() == Some(b'}') {
                        self.close();
                    } else {
                        self.name()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.open(false)?;
                    if self.next_token() == Some(b']') {
                        self.close();
                    } else {
                        continue;
                    }
                }
                Some(b'"') => _ = self.string()?,
                Some(b't') => self.word("true")?,
                Some(b'f') => self.word("false")?,
                Some(b'n') => self.word("null")?,
                Some(b'-' | b'0'..=b'9') => _ = self.number()?,
                _ => return Err(self.syntax("a value")),
            }
            // A value has ended; so may the containers around it.
            loop {
                if self.depth == outside {
                    return Ok(());
                }
                match (self.in_object(), self.next_token()) {
                    (true, Some(b'}')) | (false, Some(b']')) => self.close(),
                    (in_object, Some(b',')) => {
                        self.at += 1;
                        if in_object {
                            self.name()?;
                        }
                        break;
                    }
                    (true, _) => return Err(self.syntax("`,` or `}`")),
                    (false, _) => return Err(self.syntax("`,` or `]`")),
                }
            }
        }
    }

    /// Steps into the container at the cursor.
    fn open(&mut self, is_object: bool) -> Result<(), Stop> {
        if self.depth == MAX_DEPTH {
            let detail = format!("nested more than {MAX_DEPTH} deep at byte {}", self.at);
            return Err(self.stop(Reason::TooDeep, detail));
        }
        let (word, bit) = (self.depth / 64, 1 << (self.depth % 64));
        if is_object {
            self.objects[word] |= bit;
        } else {
            self.objects[word] &= !bit;
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Steps over the closing bracket at the cursor.
    fn close(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    fn in_object(&self) -> bool {
        let depth = self.depth - 1;
        self.objects[depth / 64] & (1 << (depth % 64)) != 0
    }

    /// Reads a name and its colon.
    #[inline(always)]
    fn name(&mut self) -> Result<&'r [u8], Stop> {
        if self.next_token() != Some(b'"') {
            return Err(self.syntax("a name in quotes"));
        }
        let name = self.string()?;
        if self.next_token() != Some(b':') {
            return Err(self.syntax("`:`"));
        }
        self.at += 1;
        Ok(name)
    }

    /// Reads the string at the quote. In line, like what reads names: a record has a hundred of them, of
    /// a dozen bytes each, and a call costs as much.
    #[inline(always)]
    fn string(&mut self) -> Result<&'r [u8], Stop> {
        self.at += 1;
        let start = self.at;
        self.was_escaped = false;
        loop {
            self.at += plain_len(&self.bytes[self.at..]);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    let inside = &self.bytes[start..self.at];
                    self.at += 1;
                    return Ok(inside);
                }
                Some(b'\\') => {
                    self.was_escaped = true;
                    self.at += match &self.bytes[self.at + 1..] {
                        [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
                        [b'u', digits @ ..]
                            if digits.len() >= 4
                                && digits[..4].iter().all(u8::is_ascii_hexdigit) =>
                        {
                            6
                        }
                        _ => return Err(self.syntax("an escape")),
                    };
                }
                Some(_) => return Err(self.syntax("a string without control characters")),
                None => return Err(self.syntax("the end of a string")),
            }
        }
    }

    /// Reads the number at the cursor, by RFC 8259's grammar.
    fn number(&mut self) -> Result<&'r [u8], Stop> {
        let start = self.at;
        if self.bytes[start] == b'-' {
            self.at += 1;
        }
        if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(&self.bytes[start..self.at])
    }

    fn digits(&mut self) -> Result<(), Stop> {
        let rest = &self.bytes[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.syntax("a digit"));
        }
        self.at += count;
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), Stop> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.syntax("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    /// The first byte of the next token, to which it moves.
    #[inline(always)]
    fn next_token(&mut self) -> Option<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// What the string that was read last says.
    #[inline]
    fn said(&self, inside: &'r [u8]) -> Cow<'r, [u8]> {
        if self.was_escaped { Cow::Owned(unescape(inside)) } else { Cow::Borrowed(inside) }
    }

    #[cold]
    fn syntax(&mut self, expected: &str) -> Stop {
        let detail = format!("expected {expected} at byte {} of the record", self.at);
        self.stop(Reason::RecordSyntax, detail)
    }

    #[cold]
    fn duplicate(&mut self, name: &str) -> Stop {
        let detail = format!("\"{name}\" appears again before byte {} of the record", self.at);
        self.stop(Reason::DuplicateKey, detail)
    }

    #[cold]
    fn stop(&mut self, reason: Reason, detail: String) -> Stop {
        self.fault = Some(RecordFault { reason, detail });
        Stop
    }
}
