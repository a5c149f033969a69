//! A view of JSON that is known to be well-formed: nothing is copied, nothing is parsed before it is
//! asked for, numbers never. On bytes that are no JSON it finds less, and still ends.

use std::borrow::Cow;

use crate::text::{plain_len, unescape};

/// One JSON value, as it stands in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<'r>(&'r [u8]);

/// What a value is, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`, or nothing at all.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number of any size.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl<'r> Json<'r> {
    /// The value that these bytes are, white space around it aside.
    pub fn new(bytes: &'r [u8]) -> Self {
        Self(bytes.trim_ascii())
    }

    /// Its bytes, untouched, without white space around them.
    pub fn raw(self) -> &'r [u8] {
        self.0
    }

    /// What it is.
    pub fn kind(self) -> Kind {
        match self.0.first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            _ => Kind::Null,
        }
    }

    /// What the string says; `None` if it is no string. Half a surrogate pair, which no text can
    /// hold, becomes U+FFFD, once for each of its three bytes.
    pub fn text(self) -> Option<Cow<'r, str>> {
        let inside = self.0.strip_prefix(b"\"")?;
        let inside = inside.strip_suffix(b"\"").unwrap_or(inside);
        Some(said(inside))
    }

    /// The boolean; `None` if it is none.
    pub fn flag(self) -> Option<bool> {
        match self.0 {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// The boolean, also one that is written as a string, as AWS writes some of them.
    pub fn flag_or_word(self) -> Option<bool> {
        self.flag().or_else(|| self.text()?.parse().ok())
    }

    /// The members of the object in their order; none if it is no object.
    pub fn members(self) -> Members<'r> {
        Members { rest: self.inside(b'{') }
    }

    /// The elements of the array in their order; none if it is no array.
    pub fn elements(self) -> Elements<'r> {
        Elements { rest: self.inside(b'[') }
    }

    /// The value; of an array its elements, and of arrays among them theirs, all in their order. Once
    /// through the bytes, however deep arrays are nested.
    pub fn flat(self) -> Flat<'r> {
        Flat { rest: self.0 }
    }

    /// The member of this name, unless it is null. Of several the last one, which is what most
    /// readers of JSON take.
    pub fn get(self, name: &str) -> Option<Json<'r>> {
        self.last_of(|known| known == name)
    }

    /// As [`Json::get`], whichever letters of the name are capitals: services and their versions
    /// differ in whether they write `Name` or `name`.
    pub fn get_any_case(self, name: &str) -> Option<Json<'r>> {
        self.last_of(|known| known.eq_ignore_ascii_case(name))
    }

    fn last_of(self, is_named: impl Fn(&str) -> bool) -> Option<Json<'r>> {
        let named = self.members().filter(|(known, _)| is_named(known)).last();
        named.map(|(_, value)| value).filter(|value| value.kind() != Kind::Null)
    }

    /// What lies at the end of these names, unless it is null.
    pub fn at(self, names: &[&str]) -> Option<Json<'r>> {
        names.iter().try_fold(self, |value, name| value.get(name))
    }

    /// The string at the end of these names, unless it is empty.
    pub fn text_at(self, names: &[&str]) -> Option<Cow<'r, str>> {
        self.at(names)?.text().filter(|text| !text.is_empty())
    }

    fn inside(self, opening: u8) -> &'r [u8] {
        match self.0 {
            [first, rest @ .., b'}' | b']'] if *first == opening => rest,
            _ => &[],
        }
    }
}

/// The members of an object: name and value.
#[derive(Clone, Debug)]
pub struct Members<'r> {
    rest: &'r [u8],
}

impl<'r> Iterator for Members<'r> {
    type Item = (Cow<'r, str>, Json<'r>);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = between(self.rest).strip_prefix(b"\"")?;
        let name = &rest[..string_len(rest)];
        let rest = rest[name.len()..].strip_prefix(b"\"")?.trim_ascii_start();
        let rest = rest.strip_prefix(b":")?.trim_ascii_start();
        let (value, rest) = rest.split_at(value_len(rest));
        self.rest = rest;
        (!value.is_empty()).then(|| (said(name), Json::new(value)))
    }
}

/// The elements of an array.
#[derive(Clone, Debug)]
pub struct Elements<'r> {
    rest: &'r [u8],
}

impl<'r> Iterator for Elements<'r> {
    type Item = Json<'r>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = between(self.rest);
        let (value, rest) = rest.split_at(value_len(rest));
        self.rest = rest;
        (!value.is_empty()).then(|| Json::new(value))
    }
}

/// The values of an array, with those of its arrays in their place.
#[derive(Clone, Debug)]
pub struct Flat<'r> {
    rest: &'r [u8],
}

impl<'r> Iterator for Flat<'r> {
    type Item = Json<'r>;

    fn next(&mut self) -> Option<Self::Item> {
        let between = |byte: &u8| byte.is_ascii_whitespace() || b"[],".contains(byte);
        let at = self.rest.iter().position(|byte| !between(byte))?;
        let rest = &self.rest[at..];
        let (value, rest) = rest.split_at(value_len(rest));
        self.rest = rest;
        (!value.is_empty()).then(|| Json::new(value))
    }
}

/// What follows the comma, if there is one.
fn between(rest: &[u8]) -> &[u8] {
    let rest = rest.trim_ascii_start();
    rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start()
}

/// What the inside of a string says.
fn said(inside: &[u8]) -> Cow<'_, str> {
    if inside.contains(&b'\\') {
        Cow::Owned(String::from_utf8_lossy(&unescape(inside)).into_owned())
    } else {
        String::from_utf8_lossy(inside)
    }
}

/// How long the string is that begins here, behind its opening quote, up to its closing one.
fn string_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        at += plain_len(&bytes[at..]);
        match bytes.get(at) {
            None | Some(b'"') => return at.min(bytes.len()),
            Some(b'\\') => at = bytes.len().min(at + 2),
            Some(_) => at += 1,
        }
    }
}

/// How long the value is that begins here. Brackets are counted, not remembered, so depth costs
/// nothing.
fn value_len(bytes: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += 1;
                at += string_len(&bytes[at..]);
                at = bytes.len().min(at + 1);
                if depth == 0 {
                    return at;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                if depth <= 1 {
                    return if depth == 0 { at } else { at + 1 };
                }
                depth -= 1;
            }
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// Reads a value by nothing but this view; numbers by `serde_json`, which knows them.
    fn read(json: Json<'_>) -> Value {
        match json.kind() {
            Kind::Null => Value::Null,
            Kind::Bool => json.flag().into(),
            Kind::Number => serde_json::from_slice(json.raw()).expect("a number"),
            Kind::String => json.text().expect("a string").into(),
            Kind::Array => json.elements().map(read).collect(),
            Kind::Object => {
                json.members().map(|(name, it)| (name.into_owned(), read(it))).collect()
            }
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[{}\\[\\]\",:\\\\ a]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn serde_json_reads_the_same(value in any_json(), pretty in any::<bool>()) {
            let text = if pretty {
                serde_json::to_string_pretty(&value).unwrap()
            } else {
                value.to_string()
            };
            prop_assert_eq!(read(Json::new(text.as_bytes())), serde_json::from_str::<Value>(&text).unwrap());
        }

        #[test]
        fn whatever_the_bytes_are_reading_ends(bytes in prop::collection::vec(
            prop_oneof![Just(b'{'), Just(b'}'), Just(b'['), Just(b']'), Just(b'"'), Just(b'\\'),
                Just(b','), Just(b':'), Just(b'a'), Just(b' '), any::<u8>()], 0..60,
        )) {
            fn walk(json: Json<'_>) -> usize {
                json.members().map(|(_, it)| walk(it)).sum::<usize>()
                    + json.elements().map(walk).sum::<usize>()
                    + json.flat().count()
                    + json.text().map_or(0, |text| text.len())
            }
            walk(Json::new(&bytes));
        }
    }

    #[test]
    fn the_last_of_equal_names_counts_and_null_is_absent() {
        let json = Json::new(br#"{"a":1,"b":null,"\u0061":{"c":"x\ud800"},"d":""}"#);
        assert_eq!(json.text_at(&["a", "c"]).as_deref(), Some("x\u{fffd}\u{fffd}\u{fffd}"));
        assert_eq!((json.get("b"), json.get("e"), json.at(&["a", "c", "f"])), (None, None, None));
        assert_eq!(json.text_at(&["d"]), None);
    }

    #[test]
    fn depth_costs_nothing() {
        let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
        assert_eq!(Json::new(&deep).elements().count(), 1);
    }
}
