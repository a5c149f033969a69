//! A record as a whole.

use std::borrow::Cow;

use crate::actor::Actor;
use crate::json::{Json, Kind};
use crate::operation::Operation;

/// One record, its top-level members known by name.
#[derive(Clone, Debug)]
pub struct Event<'r> {
    members: Vec<(Cow<'r, str>, Json<'r>)>,
}

/// How a call went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<'r> {
    /// Nothing says that it failed.
    Success,
    /// It failed.
    Failure {
        /// `errorCode`, such as `AccessDenied`.
        code: Option<Cow<'r, str>>,
        /// `errorMessage`.
        message: Option<Cow<'r, str>>,
    },
}

impl<'r> Event<'r> {
    /// The event in these bytes: an element of `Records`.
    pub fn new(record: &'r [u8]) -> Self {
        Self { members: Json::new(record).members().collect() }
    }

    /// Its top-level members in their order, duplicates and nulls included.
    pub fn members(&self) -> impl Iterator<Item = (&str, Json<'r>)> {
        self.members.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// The top-level member of this name, unless it is null; of several the last one.
    pub fn get(&self, name: &str) -> Option<Json<'r>> {
        let named = self.members.iter().rfind(|(known, _)| known == name);
        named.map(|(_, value)| *value).filter(|value| value.kind() != Kind::Null)
    }

    /// The top-level string of this name, unless it is empty.
    pub fn text(&self, name: &str) -> Option<Cow<'r, str>> {
        self.get(name)?.text().filter(|text| !text.is_empty())
    }

    /// Every value at this path, in the record's order: the names from the top of the record, joined
    /// by dots. Arrays, also arrays of arrays, stand for each of their elements; nulls are left out.
    /// Selectors read paths in the same way.
    pub fn values(&self, path: &str) -> Vec<Json<'r>> {
        let mut names = path.split('.');
        let top = names.next().and_then(|name| self.get(name));
        names.fold(one_by_one(top.into_iter()), |values, name| {
            one_by_one(values.into_iter().filter_map(|value| value.get(name)))
        })
    }

    /// Who did it, and with which kind of credentials.
    pub fn actor(&self) -> Actor<'r> {
        self.get("userIdentity").map_or_else(Actor::default, Actor::of)
    }

    /// What was done, to what.
    pub fn operation(&self) -> Operation<'r> {
        Operation::of(self)
    }

    /// How it went. A failed sign-in may have neither `errorCode` nor `errorMessage`: its response, or
    /// for IAM Identity Center its `serviceEventDetails`, says `Failure` under the event's own name.
    /// What is no string is told as it stands.
    pub fn outcome(&self) -> Outcome<'r> {
        let said = |name| {
            let value = self.get(name)?;
            let text = value.text().unwrap_or_else(|| String::from_utf8_lossy(value.raw()));
            Some(text).filter(|text| !text.is_empty())
        };
        let (code, message) = (said("errorCode"), said("errorMessage"));
        if code.is_none() && message.is_none() && !self.is_failed_sign_in() {
            return Outcome::Success;
        }
        Outcome::Failure { code, message }
    }

    fn is_failed_sign_in(&self) -> bool {
        let Some(name) = self.text("eventName") else { return false };
        let parts = ["responseElements", "serviceEventDetails"].into_iter();
        let mut said = parts.filter_map(|part| self.get(part)?.text_at(&[&name]));
        said.any(|said| said == "Failure")
    }
}

/// The values, with the elements of an array in its place and without nulls.
fn one_by_one<'r>(values: impl Iterator<Item = Json<'r>>) -> Vec<Json<'r>> {
    values.flat_map(Json::flat).filter(|value| value.kind() != Kind::Null).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_failed_if_anything_says_so() {
        let outcome = |record: &str| match Event::new(record.as_bytes()).outcome() {
            Outcome::Success => None,
            Outcome::Failure { code, message } => {
                Some([code, message].map(|it| it.map(Cow::into_owned).unwrap_or_default()))
            }
        };
        let failed = |code: &str, message: &str| Some([code.to_owned(), message.to_owned()]);
        for (record, expected) in [
            (r#"{}"#, None),
            (r#"{"errorCode":null,"errorMessage":""}"#, None),
            (r#"{"errorCode":"AccessDenied"}"#, failed("AccessDenied", "")),
            (r#"{"errorMessage":"No username found"}"#, failed("", "No username found")),
            (r#"{"errorCode":404}"#, failed("404", "")),
            (
                r#"{"eventName":"ConsoleLogin","responseElements":{"ConsoleLogin":"Failure"}}"#,
                failed("", ""),
            ),
            (r#"{"eventName":"ConsoleLogin","responseElements":{"ConsoleLogin":"Success"}}"#, None),
            (r#"{"eventName":"ConsoleLogin","responseElements":"Failure"}"#, None),
            (
                r#"{"eventName":"SwitchRole","responseElements":{"SwitchRole":"Failure"}}"#,
                failed("", ""),
            ),
            // IAM Identity Center's sign-in: a wrong password.
            (
                r#"{"eventName":"CredentialVerification","responseElements":null,
                    "serviceEventDetails":{"CredentialVerification":"Failure"}}"#,
                failed("", ""),
            ),
            (
                r#"{"eventName":"CredentialChallenge",
                    "serviceEventDetails":{"CredentialChallenge":"Success"}}"#,
                None,
            ),
            (r#"{"eventName":"GetX","responseElements":{"State":"Failure"}}"#, None),
        ] {
            assert_eq!(outcome(record), expected, "{record}");
        }
    }

    #[test]
    fn a_path_walks_objects_and_arrays() {
        let event = Event::new(
            br#"{"a":[{"b":1},{"b":[null,[2,[]],{"c":3}]},4,{"b":null},{"b":{"c":5}}],
                "n":null,"e":[],"s":"x","a.b":6,"o":{"":7}}"#,
        );
        for (path, values) in [
            ("a.b", vec!["1", "2", r#"{"c":3}"#, r#"{"c":5}"#]),
            ("a.b.c", vec!["3", "5"]),
            (
                "a",
                vec![
                    r#"{"b":1}"#,
                    r#"{"b":[null,[2,[]],{"c":3}]}"#,
                    "4",
                    r#"{"b":null}"#,
                    r#"{"b":{"c":5}}"#,
                ],
            ),
            ("s", vec![r#""x""#]),
            ("o.", vec!["7"]),
            ("s.t", vec![]),
            ("n", vec![]),
            ("e", vec![]),
            ("A.b", vec![]),
            ("", vec![]),
            (".", vec![]),
        ] {
            let found = event.values(path);
            let found: Vec<_> = found.iter().map(|value| value.raw()).collect();
            let values: Vec<_> = values.into_iter().map(str::as_bytes).collect();
            assert_eq!(found, values, "{path}");
        }
    }

    #[test]
    fn arrays_may_be_nested_deeper_than_the_stack() {
        // Whoever reads the rest of the record again at each level never ends.
        let depth = 1_000_000;
        let record = format!(r#"{{"a":{}1{}}}"#, "[".repeat(depth), "]".repeat(depth));
        let event = Event::new(record.as_bytes());
        assert_eq!(event.values("a"), [Json::new(b"1")]);
    }
}
