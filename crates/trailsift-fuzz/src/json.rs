//! The other reading of JSON: serde_json's, which knows nothing of ours.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A value, its names in order and as often as they appear.
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// `None` if it has a fraction or an exponent, or is too large.
    Number(Option<i64>),
    /// As bytes, since a lone surrogate is no `str`.
    Text(Vec<u8>),
    Array(Vec<Json>),
    Object(Vec<(Vec<u8>, Json)>),
}

/// Whether this is one JSON value in UTF-8. Numbers of any size and lone surrogates are fine.
pub(crate) fn is_json(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// Reads what [`is_json`]. Recurses: ask for the [`depth`] first.
pub(crate) fn read(text: &str) -> Json {
    let text = text.trim();
    match text.as_bytes().first() {
        Some(b'{') => {
            let members = members(text).expect("it is JSON").into_iter();
            Json::Object(members.map(|(name, value)| (name, read(value.get()))).collect())
        }
        Some(b'[') => {
            let elements = serde_json::from_str::<Vec<&RawValue>>(text).expect("it is JSON");
            Json::Array(elements.into_iter().map(|element| read(element.get())).collect())
        }
        Some(b'"') => {
            let Bytes(bytes) = serde_json::from_str(text).expect("it is JSON");
            Json::Text(bytes)
        }
        Some(b't') => Json::Bool(true),
        Some(b'f') => Json::Bool(false),
        Some(b'n') => Json::Null,
        _ => Json::Number(text.parse().ok()),
    }
}

/// How deeply brackets are nested in what [`is_json`].
pub(crate) fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
    }
    deepest
}

/// The members of an object, their names unescaped; an error if it is none.
pub(crate) fn members(text: &str) -> serde_json::Result<Vec<(Vec<u8>, &RawValue)>> {
    serde_json::from_str(text).map(|Members(members)| members)
}

struct Members<'a>(Vec<(Vec<u8>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Vec<(Vec<u8>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Bytes(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Map).map(Members)
    }
}

struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Bytes, E> {
                Ok(Bytes(text.into()))
            }
        }
        deserializer.deserialize_bytes(Text)
    }
}
