//! Reads tables key by key: each key is named once, with its type and its default, where it is
//! used. What a section was asked for is what it knows; the rest are unknown keys.

use toml::de::{DeTable, DeValue};

use super::findings::{At, Findings, Place};

/// Where secrets come from: the process environment, or a test's own.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What every reader can reach.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) findings: &'a Findings,
    pub(super) environment: Environment<'a>,
    pub(super) file: usize,
}

impl Scope<'_> {
    pub(super) fn place(&self, span: std::ops::Range<usize>) -> Place {
        Place { file: self.file, start: span.start, end: span.end }
    }
}

/// A value somewhere in a file.
pub(super) struct Node<'a, 'i> {
    pub(super) scope: Scope<'a>,
    pub(super) value: &'a DeValue<'i>,
    pub(super) place: Place,
    /// Its key with the keys above, for messages.
    pub(super) path: String,
}

impl<'a, 'i> Node<'a, 'i> {
    /// Reports the value as wrong.
    pub(super) fn error(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.scope.findings.error(self.place, message, hint);
    }

    /// Reports the value's type as wrong. Never shows the value.
    pub(super) fn wrong_type(&self, expected: &str) {
        self.wrong_type_with(expected, "write it so");
    }

    /// The same with a remedy.
    pub(super) fn wrong_type_with(&self, expected: &str, hint: &str) {
        let found = type_name(self.value);
        self.error(format!("`{}` must be {expected}, but is {found}", self.path), hint);
    }

    /// The value as a table to read.
    pub(super) fn section(&self) -> Option<Section<'a, 'i>> {
        let DeValue::Table(table) = self.value else { return None };
        Some(Section {
            scope: self.scope,
            table: Some(table),
            place: self.place,
            path: self.path.clone(),
            known: Vec::new(),
            later: Vec::new(),
            missing: Vec::new(),
        })
    }
}

/// How a value is read: what it must look like, and what it becomes.
pub(super) trait Kind {
    /// What it becomes.
    type Value;

    /// What it must look like, as it follows "must be": for messages, and for a schema to grow on.
    fn expected(&self) -> String;

    /// How to write it, for whoever wrote something of another type.
    fn remedy(&self) -> &'static str {
        "write it as text, in quotes"
    }

    /// Reads the value, or reports why not.
    fn read(&self, node: &Node<'_, '_>) -> Option<Self::Value>;
}

/// One table.
pub(super) struct Section<'a, 'i> {
    pub(super) scope: Scope<'a>,
    table: Option<&'a DeTable<'i>>,
    pub(super) place: Place,
    path: String,
    known: Vec<&'static str>,
    /// Keys that only a later version knows what to do with.
    later: Vec<&'static str>,
    /// Keys that must be there and are not, each with what it must be.
    missing: Vec<(&'static str, String)>,
}

impl<'a, 'i> Section<'a, 'i> {
    /// A whole file.
    pub(super) fn root(scope: Scope<'a>, table: &'a DeTable<'i>) -> Self {
        let place = scope.place(0..0);
        Self {
            scope,
            table: Some(table),
            place,
            path: String::new(),
            known: Vec::new(),
            later: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// A table that is not there: all defaults.
    pub(super) fn absent(scope: Scope<'a>, path: &str) -> Self {
        let place = scope.place(0..0);
        Self {
            scope,
            table: None,
            place,
            path: path.to_owned(),
            known: Vec::new(),
            later: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// The value under a key that the section knows.
    pub(super) fn node(&mut self, key: &'static str) -> Option<Node<'a, 'i>> {
        self.known.push(key);
        self.look_up(key)
    }

    fn look_up(&self, key: &str) -> Option<Node<'a, 'i>> {
        let (_, value) = self.table?.iter().find(|(name, _)| name.get_ref() == key)?;
        Some(Node {
            scope: self.scope,
            value: value.get_ref(),
            place: self.scope.place(value.span()),
            path: self.path_of(key),
        })
    }

    /// An optional key.
    pub(super) fn get<K: Kind>(&mut self, key: &'static str, kind: K) -> Option<At<K::Value>> {
        let node = self.node(key)?;
        let value = kind.read(&node)?;
        Some(At { value, place: node.place })
    }

    /// A key with a default.
    pub(super) fn get_or<K: Kind>(
        &mut self,
        key: &'static str,
        kind: K,
        default: K::Value,
    ) -> K::Value {
        self.get(key, kind).map_or(default, |at| at.value)
    }

    /// A key that must be there.
    pub(super) fn need<K: Kind>(&mut self, key: &'static str, kind: K) -> Option<At<K::Value>> {
        let Some(node) = self.node(key) else {
            self.missing.push((key, kind.expected()));
            return None;
        };
        let value = kind.read(&node)?;
        Some(At { value, place: node.place })
    }

    /// Refuses a key of which only a later version knows what to do.
    pub(super) fn not_available(&mut self, key: &'static str, hint: &str) {
        if let Some(node) = self.look_up(key) {
            let message = format!("`{}` is not available in this version", node.path);
            node.error(message, hint);
        }
        self.later.push(key);
    }

    /// Refuses a key that belongs into another file.
    pub(super) fn misplaced(&mut self, key: &'static str, file: &str) {
        if let Some(node) = self.node(key) {
            node.error(format!("`{key}` does not belong here"), format!("move it to {file}"));
        }
    }

    /// Every entry of a table whose keys are free, in the order of the file.
    pub(super) fn entries(&self) -> Vec<(At<String>, Node<'a, 'i>)> {
        let Some(table) = self.table else { return Vec::new() };
        let entry = |(name, value): (
            &toml::Spanned<toml::de::DeString<'i>>,
            &'a toml::Spanned<DeValue<'i>>,
        )| {
            let key =
                At { value: name.get_ref().to_string(), place: self.scope.place(name.span()) };
            let node = Node {
                scope: self.scope,
                value: value.get_ref(),
                place: self.scope.place(value.span()),
                path: self.path_of(&key.value),
            };
            (key, node)
        };
        let mut entries: Vec<_> = table.iter().map(entry).collect();
        entries.sort_by_key(|(key, _)| key.place);
        entries
    }

    /// The same, and the section knows them all.
    pub(super) fn take_entries(&mut self) -> Vec<(At<String>, Node<'a, 'i>)> {
        let entries = self.entries();
        self.table = None;
        entries
    }

    /// Reports every key that nothing asked for, and every one that is missing. A key that is
    /// misspelt is one mistake, not two.
    pub(super) fn finish(self) {
        self.close(|_| true);
    }

    /// The same where not every key that belongs here is known: of the unknown ones only those are
    /// reported that look like a missing one.
    pub(super) fn finish_in_doubt(self) {
        self.close(|is_misspelt| is_misspelt);
    }

    fn close(mut self, reports: impl Fn(bool) -> bool) {
        for (key, _) in self.entries() {
            let name = key.value.as_str();
            if self.known.contains(&name) || self.later.contains(&name) {
                continue;
            }
            let close = closest(&key.value, &self.known);
            let missing = self.missing.iter().position(|(name, _)| Some(*name) == close);
            if !reports(missing.is_some()) {
                continue;
            }
            missing.map(|at| self.missing.remove(at));
            let whereabouts = match self.path.as_str() {
                "" => "at the top level".to_owned(),
                path => format!("in `{path}`"),
            };
            let message = format!("unknown key `{}` {whereabouts}", key.value.escape_debug());
            self.scope.findings.error(key.place, message, nearest(&key.value, &self.known));
        }
        for (key, expected) in &self.missing {
            let message = format!("`{}` is missing", self.path_of(key));
            self.scope.findings.missing(self.place, message, format!("it must be {expected}"));
        }
    }

    fn path_of(&self, key: &str) -> String {
        let key = key.escape_debug();
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }
}

/// The hint for a word that is none of the known ones.
pub(super) fn nearest(word: &str, known: &[&str]) -> String {
    match closest(word, known) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known.is_empty() => "none is known here".to_owned(),
        None => {
            let mut names: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
            names.sort();
            format!("known here: {}", names.join(", "))
        }
    }
}

/// The known word that was probably meant.
pub(crate) fn closest<'n>(word: &str, known: &[&'n str]) -> Option<&'n str> {
    let word = word.to_lowercase();
    known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&word, &name.to_lowercase()), *name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .map(|(_, name)| name)
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
