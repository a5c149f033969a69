//! The fields of a record, and which of them have found a place.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use trailsift_event::{Event, Json, Kind};

use crate::format::moment::Moment;
use crate::format::writer::Object;

/// A record whose fields are taken one by one; [`Fields::rest`] writes those that nobody took.
pub(super) struct Fields<'c, 'r> {
    event: &'c Event<'r>,
    /// Where the taken values begin in the record: no two values begin at the same byte.
    taken: RefCell<BTreeSet<*const u8>>,
}

impl<'c, 'r> Fields<'c, 'r> {
    pub(super) fn new(event: &'c Event<'r>) -> Self {
        Self { event, taken: RefCell::default() }
    }

    /// The value at the end of these names, unless it is null. It is not taken by this.
    pub(super) fn at(&self, path: &[&str]) -> Option<Json<'r>> {
        let (top, below) = path.split_first()?;
        self.event.get(top)?.at(below)
    }

    /// Takes a value.
    pub(super) fn take(&self, value: Json<'r>) {
        self.taken.borrow_mut().insert(value.raw().as_ptr());
    }

    /// Takes the string at the end of these names; there is none if it is empty or no string.
    pub(super) fn text(&self, path: &[&str]) -> Option<Cow<'r, str>> {
        let value = self.at(path)?;
        let text = value.text().filter(|text| !text.is_empty())?;
        self.take(value);
        Some(text)
    }

    /// Takes the string at the end of these names if another one already says it.
    pub(super) fn text_said(&self, path: &[&str], said: Option<&str>) {
        if let Some(value) = self.at(path)
            && said.is_some_and(|said| value.text().is_some_and(|text| text == said))
        {
            self.take(value);
        }
    }

    /// Takes the boolean at the end of these names, also one that is written as a string.
    pub(super) fn flag(&self, path: &[&str]) -> Option<bool> {
        let value = self.at(path)?;
        let flag = value.flag_or_word()?;
        self.take(value);
        Some(flag)
    }

    /// Takes the time at the end of these names.
    pub(super) fn moment(&self, path: &[&str]) -> Option<Moment> {
        let value = self.at(path)?;
        let moment = Moment::parse(&value.text()?)?;
        self.take(value);
        Some(moment)
    }

    /// Takes whatever stands at the end of these names.
    pub(super) fn any(&self, path: &[&str]) -> Option<Json<'r>> {
        let value = self.at(path)?;
        self.take(value);
        Some(value)
    }

    /// Writes what nobody took, each under its own name and within the objects that it stands in. An
    /// array of which something was left is written as a whole. Nulls are left out, and of equal
    /// names only the last is known.
    pub(super) fn rest(&self, out: &mut Object<'_>) {
        let members = self.event.members().map(|(name, value)| (Cow::Borrowed(name), value));
        self.rest_of(members.collect(), out);
    }

    fn rest_of(&self, members: Vec<(Cow<'_, str>, Json<'r>)>, out: &mut Object<'_>) {
        let names = members.iter().enumerate().map(|(index, (name, _))| (name.as_ref(), index));
        let last: HashMap<&str, usize> = names.collect();
        for (index, (name, value)) in members.iter().enumerate() {
            if last.get(name.as_ref()) != Some(&index) || self.is_done(*value) {
                continue;
            }
            if value.kind() == Kind::Object && self.is_partly_taken(*value) {
                out.object_if_any(name, |inner| self.rest_of(value.members().collect(), inner));
            } else {
                out.value(name, *value);
            }
        }
    }

    /// Whether nothing of the value is left.
    fn is_done(&self, value: Json<'r>) -> bool {
        let is_taken = || self.taken.borrow().contains(&value.raw().as_ptr());
        match value.kind() {
            Kind::Null => true,
            _ if is_taken() => true,
            Kind::Object if self.is_partly_taken(value) => {
                value.members().all(|(_, member)| self.is_done(member))
            }
            Kind::Array if self.is_partly_taken(value) => {
                value.flat().all(|element| self.is_done(element))
            }
            _ => false,
        }
    }

    /// Whether something within the value is taken. This ends every descent: what is taken lies in a
    /// few objects, and however many arrays.
    fn is_partly_taken(&self, value: Json<'r>) -> bool {
        self.taken.borrow().range(value.raw().as_ptr_range()).next().is_some()
    }
}
