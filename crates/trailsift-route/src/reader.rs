//! One pass over a record: it is checked as a whole, and looked into where routes look.
//!
//! Hand-written rather than `serde_json`, because three things must hold at once: strings that are
//! not looked at may hold lone surrogates and numbers of any size; a name that appears twice among
//! those looked at is a fault; and nothing is allocated per value. The tests compare it with
//! `serde_json` on mutated records: both take the same texts as well-formed.

use std::borrow::Cow;

use trailsift_core::{Reason, RecordFault};

use crate::plan::{EVENT_SOURCE, Find, Plan};
use crate::spec::Value;
use crate::text::{plain_len, unescape};

/// How deeply a record may be nested, its own braces counted: deeper ones are a fault. CloudTrail's
/// own stay below 30. It also bounds the recursion where arrays lie in a path.
pub const MAX_DEPTH: usize = 512;

/// Reads one record.
pub(crate) struct Reader<'r> {
    plan: &'r Plan,
    bytes: &'r [u8],
    at: usize,
    depth: usize,
    /// Per depth one bit: whether the container opened there is an object. Only for skipping, which
    /// does not recurse.
    objects: [u64; MAX_DEPTH / 64],
    found: Vec<bool>,
    /// Per node the number of the last object in which its name was seen.
    seen_in: Vec<u64>,
    objects_entered: u64,
}

/// A string as it stands in the record.
#[derive(Clone, Copy)]
struct Text<'r> {
    inside: &'r [u8],
    escaped: bool,
}

impl<'r> Text<'r> {
    fn bytes(self) -> Cow<'r, [u8]> {
        if self.escaped { Cow::Owned(unescape(self.inside)) } else { Cow::Borrowed(self.inside) }
    }
}

/// A value that conditions can compare with.
enum Scalar<'r> {
    Text(&'r [u8]),
    Bool(bool),
    /// `None` for one that no configuration can name: a fraction, or too large.
    Number(Option<i64>),
}

impl<'r> Reader<'r> {
    /// The finds of the plan that the record holds.
    pub(crate) fn read(plan: &'r Plan, record: &'r [u8]) -> Result<Vec<bool>, RecordFault> {
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
            found: vec![false; plan.finds.len()],
            seen_in: vec![0; plan.nodes.len()],
            objects_entered: 0,
        };
        reader.record()?;
        Ok(reader.found)
    }

    fn record(&mut self) -> Result<(), RecordFault> {
        match self.next_token() {
            Some(b'{') => self.object(0)?,
            Some(b'[' | b'"' | b't' | b'f' | b'n' | b'-' | b'0'..=b'9') => {
                let detail = "the record is not a JSON object".to_owned();
                return Err(RecordFault { reason: Reason::RecordType, detail });
            }
            _ => return Err(self.syntax("a record")),
        }
        match self.next_token() {
            None => Ok(()),
            Some(_) => Err(self.syntax("the end of the record")),
        }
    }

    /// Reads the object at the opening brace, whose names `node` knows.
    fn object(&mut self, node: usize) -> Result<(), RecordFault> {
        let plan = self.plan;
        self.open(true)?;
        self.objects_entered += 1;
        let this = self.objects_entered;
        if self.next_token() == Some(b'}') {
            self.close();
            return Ok(());
        }
        loop {
            let name = self.name()?;
            let name = name.bytes();
            let mut children = plan.nodes[node].children.iter().copied();
            match children.find(|child| plan.nodes[*child].name.as_bytes() == name.as_ref()) {
                Some(child) => {
                    if std::mem::replace(&mut self.seen_in[child], this) == this {
                        return Err(self.duplicate(&plan.nodes[child].name));
                    }
                    self.value(child)?;
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
    fn value(&mut self, node: usize) -> Result<(), RecordFault> {
        let plan = self.plan;
        let first = self.next_token();
        if plan.nodes[node].is_event_source && !matches!(first, None | Some(b'"')) {
            let detail = format!("{EVENT_SOURCE} at byte {} of the record is no string", self.at);
            return Err(RecordFault { reason: Reason::EventSourceType, detail });
        }
        match first {
            Some(b'{') => {
                self.note(node, None);
                if plan.nodes[node].children.is_empty() { self.skip() } else { self.object(node) }
            }
            Some(b'[') => self.elements(node),
            Some(b'"') => {
                let text = self.string()?;
                if !plan.nodes[node].finds.is_empty() {
                    self.note(node, Some(&Scalar::Text(&text.bytes())));
                }
                Ok(())
            }
            Some(b't') => {
                self.note(node, Some(&Scalar::Bool(true)));
                self.word("true")
            }
            Some(b'f') => {
                self.note(node, Some(&Scalar::Bool(false)));
                self.word("false")
            }
            Some(b'n') => self.word("null"),
            Some(b'-' | b'0'..=b'9') => {
                let number = self.number()?;
                self.note(node, Some(&Scalar::Number(number)));
                Ok(())
            }
            _ => Err(self.syntax("a value")),
        }
    }

    /// Reads the array at the opening bracket: each element as if it stood in the array's place.
    fn elements(&mut self, node: usize) -> Result<(), RecordFault> {
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

    /// Notes what the value is of what is asked at the node. `None` stands for an object.
    fn note(&mut self, node: usize, value: Option<&Scalar<'_>>) {
        let plan = self.plan;
        for place in &plan.nodes[node].finds {
            self.found[*place] |= match (&plan.finds[*place], value) {
                (Find::Any, _) => true,
                (Find::Equal(values), Some(value)) => values.iter().any(|it| equal(it, value)),
                (Find::Start(values), Some(Scalar::Text(text))) => {
                    values.iter().any(|it| text.starts_with(it.as_bytes()))
                }
                (Find::End(values), Some(Scalar::Text(text))) => {
                    values.iter().any(|it| text.ends_with(it.as_bytes()))
                }
                _ => false,
            };
        }
    }

    /// Checks a value that nobody looks at, and everything in it, without recursion.
    fn skip(&mut self) -> Result<(), RecordFault> {
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
                Some(b'"') => drop(self.string()?),
                Some(b't') => self.word("true")?,
                Some(b'f') => self.word("false")?,
                Some(b'n') => self.word("null")?,
                Some(b'-' | b'0'..=b'9') => drop(self.number()?),
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
    fn open(&mut self, is_object: bool) -> Result<(), RecordFault> {
        if self.depth == MAX_DEPTH {
            let detail = format!("nested more than {MAX_DEPTH} deep at byte {}", self.at);
            return Err(RecordFault { reason: Reason::TooDeep, detail });
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
    fn name(&mut self) -> Result<Text<'r>, RecordFault> {
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

    /// Reads the string at the quote.
    fn string(&mut self) -> Result<Text<'r>, RecordFault> {
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain_len(&self.bytes[self.at..]);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    let inside = &self.bytes[start..self.at];
                    self.at += 1;
                    return Ok(Text { inside, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
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
    fn number(&mut self) -> Result<Option<i64>, RecordFault> {
        let start = self.at;
        if self.bytes[start] == b'-' {
            self.at += 1;
        }
        if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        let mut whole = true;
        if self.bytes.get(self.at) == Some(&b'.') {
            whole = false;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            whole = false;
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let number = || std::str::from_utf8(&self.bytes[start..self.at]).ok()?.parse().ok();
        Ok(if whole { number() } else { None })
    }

    fn digits(&mut self) -> Result<(), RecordFault> {
        let rest = &self.bytes[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.syntax("a digit"));
        }
        self.at += count;
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), RecordFault> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.syntax("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    /// The first byte of the next token, to which it moves.
    fn next_token(&mut self) -> Option<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    #[cold]
    fn syntax(&self, expected: &str) -> RecordFault {
        let detail = format!("expected {expected} at byte {} of the record", self.at);
        RecordFault { reason: Reason::RecordSyntax, detail }
    }

    #[cold]
    fn duplicate(&self, name: &str) -> RecordFault {
        let detail = format!("\"{name}\" appears again before byte {} of the record", self.at);
        RecordFault { reason: Reason::DuplicateKey, detail }
    }
}

fn equal(wanted: &Value, value: &Scalar<'_>) -> bool {
    match (wanted, value) {
        (Value::String(wanted), Scalar::Text(text)) => wanted.as_bytes() == *text,
        (Value::Bool(wanted), Scalar::Bool(value)) => wanted == value,
        (Value::Integer(wanted), Scalar::Number(Some(value))) => wanted == value,
        _ => false,
    }
}
