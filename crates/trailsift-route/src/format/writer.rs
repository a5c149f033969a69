//! JSON, written member by member; what stands in the record is copied as it stands there.

use trailsift_event::Json;

use super::portable::{self, is_portable};

/// An object that is being written.
pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

/// An array that is being written.
pub(super) struct Array<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl Object<'_> {
    /// Writes an object whose members are `members`' work. Says whether it has any.
    pub(super) fn write(out: &mut Vec<u8>, members: impl FnOnce(&mut Object<'_>)) -> bool {
        out.push(b'{');
        let mut object = Object { out, is_empty: true };
        members(&mut object);
        let is_empty = object.is_empty;
        out.push(b'}');
        !is_empty
    }

    /// A string.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        string(self.out, value);
    }

    /// A string, if there is one.
    pub(super) fn text_if(&mut self, name: &str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value {
            self.text(name, value.as_ref());
        }
    }

    /// A string, or null.
    pub(super) fn text_or_null(&mut self, name: &str, value: Option<impl AsRef<str>>) {
        match value {
            Some(value) => self.text(name, value.as_ref()),
            None => self.null(name),
        }
    }

    /// `null`.
    pub(super) fn null(&mut self, name: &str) {
        self.name(name);
        self.out.extend_from_slice(b"null");
    }

    /// A boolean.
    pub(super) fn flag(&mut self, name: &str, value: bool) {
        self.name(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// An integer.
    pub(super) fn integer(&mut self, name: &str, value: i64) {
        self.name(name);
        self.out.extend_from_slice(value.to_string().as_bytes());
    }

    /// A value of the record, byte for byte.
    pub(super) fn raw(&mut self, name: &str, value: Json<'_>) {
        self.name(name);
        self.out.extend_from_slice(value.raw());
    }

    /// A value of the record as every reader takes it: byte for byte, or where one might refuse it
    /// (see [`is_portable`]), its text as a string.
    pub(super) fn value(&mut self, name: &str, value: Json<'_>) {
        if is_portable(value, portable::MAX_DEPTH) {
            self.raw(name, value);
        } else {
            self.text(name, &String::from_utf8_lossy(value.raw()));
        }
    }

    /// An object.
    pub(super) fn object(&mut self, name: &str, members: impl FnOnce(&mut Object<'_>)) {
        self.name(name);
        Object::write(self.out, members);
    }

    /// An object, if it gets any member.
    pub(super) fn object_if_any(&mut self, name: &str, members: impl FnOnce(&mut Object<'_>)) {
        let (before, was_empty) = (self.out.len(), self.is_empty);
        self.name(name);
        if !Object::write(self.out, members) {
            self.out.truncate(before);
            self.is_empty = was_empty;
        }
    }

    /// An array.
    pub(super) fn array(&mut self, name: &str, elements: impl FnOnce(&mut Array<'_>)) {
        self.name(name);
        Array::write(self.out, elements);
    }

    /// An array, if it gets any element.
    pub(super) fn array_if_any(&mut self, name: &str, elements: impl FnOnce(&mut Array<'_>)) {
        let (before, was_empty) = (self.out.len(), self.is_empty);
        self.name(name);
        if !Array::write(self.out, elements) {
            self.out.truncate(before);
            self.is_empty = was_empty;
        }
    }

    fn name(&mut self, name: &str) {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        string(self.out, name);
        self.out.push(b':');
    }
}

impl Array<'_> {
    /// Writes an array whose elements are `elements`' work. Says whether it has any.
    fn write(out: &mut Vec<u8>, elements: impl FnOnce(&mut Array<'_>)) -> bool {
        out.push(b'[');
        let mut array = Array { out, is_empty: true };
        elements(&mut array);
        let is_empty = array.is_empty;
        out.push(b']');
        !is_empty
    }

    /// A string.
    pub(super) fn text(&mut self, value: &str) {
        self.next();
        string(self.out, value);
    }

    /// An object.
    pub(super) fn object(&mut self, members: impl FnOnce(&mut Object<'_>)) {
        self.next();
        Object::write(self.out, members);
    }

    fn next(&mut self) {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    let written = serde_json::to_writer(out, text);
    written.unwrap_or_else(|error| unreachable!("a text is written to memory: {error}"));
}
