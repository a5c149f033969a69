//! Which values of a record every reader of JSON takes, and takes in the same way.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use trailsift_event::Json;

/// How deep a value may be nested for [`is_portable`], where nobody asks for less: many readers
/// refuse a document that is deeper than 100 or 128.
pub(super) const MAX_DEPTH: usize = 96;

/// How long a number may be: Elasticsearch refuses more than 1,000 characters, Python 4,300.
const LONGEST_NUMBER: usize = 500;

/// Whether every reader of JSON takes this value, and takes it in the same way: no name stands in an
/// object twice, no string holds half a surrogate pair, every number fits a double and is no longer
/// than 500 characters, and objects and arrays are nested no deeper than `max_depth`.
///
/// JSON allows all of that (RFC 8259 sections 4, 8.2, 6 and 9), and so may a record; a store that
/// refuses it refuses the whole event.
pub(super) fn is_portable(value: Json<'_>, max_depth: usize) -> bool {
    let mut reader = serde_json::Deserializer::from_slice(value.raw());
    let is_read = Strict { depth: max_depth }.deserialize(&mut reader).and_then(|()| reader.end());
    is_read.is_ok() && !has_long_number(value.raw())
}

/// Whether a number in well-formed JSON is longer than [`LONGEST_NUMBER`].
fn has_long_number(json: &[u8]) -> bool {
    let (mut length, mut in_string, mut is_escaped) = (0, false, false);
    json.iter().any(|byte| {
        match byte {
            b'"' if !is_escaped => in_string = !in_string,
            b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E' if !in_string => {
                length += 1;
                return length > LONGEST_NUMBER;
            }
            _ => {}
        }
        is_escaped = *byte == b'\\' && !is_escaped;
        length = 0;
        false
    })
}

/// Reads a value and keeps nothing of it.
#[derive(Clone, Copy)]
struct Strict {
    /// How many levels there may still be.
    depth: usize,
}

impl Strict {
    fn inner<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deep"))?;
        Ok(Self { depth })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value that every reader takes")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while elements.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("a name stands there twice"));
            }
            members.next_value_seed(inner)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> bool {
        is_portable(Json::new(text.as_bytes()), 3)
    }

    #[test]
    fn usual_values_are_portable() {
        for text in [
            "null",
            "true",
            r#""\ud83d\ude00""#,
            "1574826395.6620",
            "123456789012345678901234567890",
            &format!(r#"["{}\"{}",0.{}]"#, "1".repeat(900), "1".repeat(900), "1".repeat(490)),
            "{}",
            r#"{"a":{"a":[1,"",null]},"b":[]}"#,
        ] {
            assert!(check(text), "{text}");
        }
    }

    #[test]
    fn what_readers_refuse_or_read_differently_is_not() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"[{"a":1,"\u0061":2}]"#,
            r#""\ud83d""#,
            r#"{"\udc00":1}"#,
            "1e999",
            &format!(r#"{{"a":"","b":0.{}}}"#, "1".repeat(500)),
            "[[[[]]]]",
            r#"{"a":{"b":{"c":{}}}}"#,
            "{} {}",
        ] {
            assert!(!check(text), "{text}");
        }
    }
}
