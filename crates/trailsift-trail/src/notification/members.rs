//! JSON objects read one level at a time, and never with two members of one name.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of one JSON object, their values not read yet.
///
/// A name that appears twice refuses the object. Readers differ in which of the two they take, so
/// whoever can write a message could show one object to an auditor and another to us. AWS never
/// writes one.
pub(super) struct Members<'j>(BTreeMap<String, &'j RawValue>);

impl<'j> Members<'j> {
    /// Reads one level of `json`, which must be an object. Errors are for a person.
    pub(super) fn parse(json: &'j str) -> Result<Self, String> {
        if !json.trim_start().starts_with('{') {
            // The usual stranger: said in words instead of the parser's.
            return match serde_json::from_str::<&RawValue>(json) {
                Ok(value) => Err(format!("{} instead of a JSON object", kind(value.get()))),
                Err(error) => Err(format!("not JSON: {error}")),
            };
        }
        serde_json::from_str(json).map_err(|error| format!("not a JSON object: {error}"))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The string with this name; `None` if it is absent or null.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, String> {
        let Some(value) = self.present(name) else { return Ok(None) };
        text(value).map(Some).map_err(|found| format!("{name} is {found}"))
    }

    pub(super) fn required_text(&self, name: &str) -> Result<String, String> {
        self.text(name)?.ok_or_else(|| format!("{name} is missing"))
    }

    /// The whole number with this name; `None` if it is absent or null.
    pub(super) fn count(&self, name: &str) -> Result<Option<u64>, String> {
        let Some(value) = self.present(name) else { return Ok(None) };
        match serde_json::from_str(value) {
            Ok(count) => Ok(Some(count)),
            Err(_) => Err(format!("{name} is not a whole number: {}", kind(value))),
        }
    }

    pub(super) fn object(&self, name: &str) -> Result<Members<'j>, String> {
        let value = self.present(name).ok_or_else(|| format!("{name} is missing"))?;
        Members::parse(value).map_err(|detail| format!("{name} is {detail}"))
    }

    /// The elements of the array with this name, not read yet.
    pub(super) fn array(&self, name: &str) -> Result<Vec<&'j str>, String> {
        let value = self.present(name).ok_or_else(|| format!("{name} is missing"))?;
        match serde_json::from_str::<Vec<&'j RawValue>>(value) {
            Ok(elements) => Ok(elements.into_iter().map(RawValue::get).collect()),
            Err(_) => Err(format!("{name} is {} instead of an array", kind(value))),
        }
    }

    /// The value with this name, not read yet; `None` if it is absent or null.
    pub(super) fn present(&self, name: &str) -> Option<&'j str> {
        self.0.get(name).map(|value| value.get()).filter(|value| *value != "null")
    }
}

/// Reads a JSON string; the error says what is there instead.
pub(super) fn text(json: &str) -> Result<String, String> {
    serde_json::from_str(json).map_err(|_| match kind(json) {
        "a string" => "a string that is no text (a lone surrogate)".to_owned(),
        other => format!("{other} instead of a string"),
    })
}

/// What a JSON value is, by its first character.
fn kind(json: &str) -> &'static str {
    match json.trim_start().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
            let shown = name.chars().take(64).collect::<String>();
            if members.insert(name, value).is_some() {
                let message = format!("the key \"{}\" appears twice", shown.escape_debug());
                return Err(A::Error::custom(message));
            }
        }
        Ok(Members(members))
    }
}
