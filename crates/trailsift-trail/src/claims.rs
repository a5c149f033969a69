//! Whether a record agrees with the key of its file, and whether its version is a known one.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::key::{KeyClass, classify};

/// The major version of the records that are known: the first part of their `eventVersion`.
const KNOWN_MAJOR: &str = "1";

/// What a file's key claims of every record in it; nothing, where it is not of CloudTrail's layout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    account_and_region: Option<(String, String)>,
}

/// What is odd about a record that is delivered all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Oddities {
    /// Its `eventVersion` is not 1.x.
    pub(crate) unknown_major: bool,
    /// Its `recipientAccountId` is not the account of the key.
    pub(crate) other_account: bool,
    /// Its `awsRegion` is not the region of the key.
    pub(crate) other_region: bool,
}

impl Claims {
    /// What this key claims.
    pub(crate) fn of_key(key: &str) -> Self {
        let account_and_region = match classify(key) {
            KeyClass::Trail(key) => Some((key.account.to_owned(), key.region.to_owned())),
            KeyClass::Folder | KeyClass::Foreign => None,
        };
        Self { account_and_region }
    }

    /// What is odd about this record. A field that is absent or null says nothing; where one stands
    /// twice, each of the two must agree.
    ///
    /// # Errors
    /// If the record is not one well-formed JSON object. There is no limit of depth, and no
    /// recursion.
    pub(crate) fn compare(&self, record: &str) -> serde_json::Result<Oddities> {
        let mut json = serde_json::Deserializer::from_str(record);
        let (oddities, is_checked) = Comparison(self).deserialize(&mut json)?;
        json.end()?;
        if !is_checked {
            serde_json::from_str::<IgnoredAny>(record)?;
        }
        Ok(oddities)
    }
}

/// A field that is looked at.
enum Field {
    Version,
    Account,
    Region,
    Other,
}

impl Field {
    fn of(name: &[u8]) -> Self {
        match name {
            b"eventVersion" => Self::Version,
            b"recipientAccountId" => Self::Account,
            b"awsRegion" => Self::Region,
            _ => Self::Other,
        }
    }
}

/// The name of a member.
struct Name {
    field: Field,
    was_escaped: bool,
}

/// Yields what is odd, and whether every name was checked to the letter.
struct Comparison<'c>(&'c Claims);

impl<'de> DeserializeSeed<'de> for Comparison<'_> {
    type Value = (Oddities, bool);

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Comparison<'_> {
    type Value = (Oddities, bool);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut odd = Oddities::default();
        let mut is_checked = true;
        let claimed = self.0.account_and_region.as_ref();
        while let Some(Name { field, was_escaped }) = map.next_key_seed(FieldName)? {
            is_checked &= !was_escaped;
            match field {
                Field::Version => {
                    let is_known = |version: &str| version.split('.').next() == Some(KNOWN_MAJOR);
                    odd.unknown_major |= differs(map.next_value()?, is_known);
                }
                Field::Account => {
                    let value = map.next_value()?;
                    let is_claimed =
                        |(account, _): &(String, _)| differs(value, |it| it == account);
                    odd.other_account |= claimed.is_some_and(is_claimed);
                }
                Field::Region => {
                    let value = map.next_value()?;
                    let is_claimed = |(_, region): &(_, String)| differs(value, |it| it == region);
                    odd.other_region |= claimed.is_some_and(is_claimed);
                }
                Field::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok((odd, is_checked))
    }
}

/// Whether the value says something, and not what is expected.
fn differs(value: &RawValue, is_expected: impl FnOnce(&str) -> bool) -> bool {
    let json = value.get();
    let inside = json.strip_prefix('"').and_then(|json| json.strip_suffix('"'));
    match inside {
        Some(text) if !text.contains('\\') => !is_expected(text),
        Some(_) => !serde_json::from_str::<String>(json).is_ok_and(|text| is_expected(&text)),
        None => json != "null",
    }
}

/// Reads a name as bytes: serde_json takes a lone surrogate as nothing else. It then also lets control
/// characters pass, which only shows where nothing was unescaped.
struct FieldName;

impl<'de> DeserializeSeed<'de> for FieldName {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<Name, D::Error> {
        name.deserialize_bytes(self)
    }
}

impl<'de> Visitor<'de> for FieldName {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_bytes<E: Error>(self, name: &'de [u8]) -> Result<Name, E> {
        match name.iter().any(|byte| *byte < b' ') {
            true => Err(E::custom("a control character in a name")),
            false => Ok(Name { field: Field::of(name), was_escaped: false }),
        }
    }

    fn visit_bytes<E: Error>(self, name: &[u8]) -> Result<Name, E> {
        Ok(Name { field: Field::of(name), was_escaped: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims::of_key("logs/AWSLogs/111122223333/CloudTrail/us-east-1/2025/11/22/a.json.gz")
    }

    fn odd(record: &str) -> Oddities {
        claims().compare(record).expect("an object")
    }

    #[test]
    fn f40_a_record_is_compared_with_the_account_and_region_of_its_key() {
        let none = Oddities::default();
        let same = r#"{"recipientAccountId":"111122223333","awsRegion":"us-east-1"}"#;
        let other = r#"{"recipientAccountId":"444455556666","awsRegion":"eu-west-1"}"#;
        let [account, region] = ["other_account", "other_region"];
        assert_eq!(odd(same), none);
        assert_eq!(odd(other), Oddities { other_account: true, other_region: true, ..none });
        for (record, expected) in [
            ("{}", ""),
            (r#"{"recipientAccountId":null,"awsRegion":null}"#, ""),
            (r#"{"x":{"recipientAccountId":"444455556666"},"r":[{"awsRegion":"x"}]}"#, ""),
            (r#"{"recipientAccountId":"1111\u00322223333","aws\u0052egion":"us-east-1"}"#, ""),
            (r#"{"recipientAccountId":111122223333}"#, account),
            (r#"{"recipientAccountId":""}"#, account),
            (r#"{"aws\u0052egion":"eu-west-1"}"#, region),
            (r#"{"awsRegion":["us-east-1"]}"#, region),
            (r#"{"awsRegion":"\ud800"}"#, region),
            // Twice: a reader may take either.
            (r#"{"awsRegion":"us-east-1","awsRegion":"x"}"#, region),
            (r#"{"awsRegion":"x","awsRegion":"us-east-1"}"#, region),
        ] {
            let expected = Oddities {
                other_account: expected == account,
                other_region: expected == region,
                ..none
            };
            assert_eq!(odd(record), expected, "{record}");
            assert_eq!(Claims::of_key("a.json").compare(record).expect("an object"), none);
        }
    }

    #[test]
    fn f39_a_version_is_known_by_its_major_part_alone() {
        for version in [r#""1.08""#, r#""1.11""#, r#""1.999""#, r#""1""#, r#""\u0031.0""#, "null"] {
            let record = format!(r#"{{"eventVersion":{version}}}"#);
            assert!(!odd(&record).unknown_major, "{version}");
        }
        for version in [r#""2.0""#, r#""0.9""#, r#""11.0""#, r#"" 1.0""#, r#""""#, "1.08", "{}"] {
            let record = format!(r#"{{"eventVersion":{version}}}"#);
            assert!(odd(&record).unknown_major, "{version}");
        }
        assert!(!odd(r#"{"tlsDetails":{"eventVersion":"2.0"}}"#).unknown_major);
    }

    #[test]
    fn every_well_formed_object_is_taken_and_nothing_else() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        let escaped = r#"{"a\n\u0001":1,"\u0061wsRegion":"us-east-1"}"#;
        for record in
            [r#"{"\ud800":"\ud800","n":1e400}"#, &deep, " { } ", escaped, "{\"\u{7f}\":1}"]
        {
            assert_eq!(odd(record), Oddities::default());
        }
        for record in [
            "",
            "[]",
            "7",
            "{",
            "{}x",
            r#"{"a":tru}"#,
            r#"{"awsRegion":tru}"#,
            "{\"a\0\":1}",
            "{\"\\x\":1}",
            "{\"awsRegion\n\":1}",
            "{\"\\u0061\u{1}\":1}",
            "{\"\\u0061\":1,\"b\u{1}\":1}",
        ] {
            assert!(claims().compare(record).is_err(), "{record}");
        }
    }
}
