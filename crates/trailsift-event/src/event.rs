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

    /// Who did it, and with which kind of credentials.
    pub fn actor(&self) -> Actor<'r> {
        self.get("userIdentity").map_or_else(Actor::default, Actor::of)
    }

    /// What was done, to what.
    pub fn operation(&self) -> Operation<'r> {
        Operation::of(self)
    }

    /// How it went. A failed sign-in has an `errorMessage` and no `errorCode`.
    pub fn outcome(&self) -> Outcome<'r> {
        let (code, message) = (self.text("errorCode"), self.text("errorMessage"));
        if code.is_none() && message.is_none() {
            return Outcome::Success;
        }
        Outcome::Failure { code, message }
    }
}
