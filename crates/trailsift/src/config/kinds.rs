//! How single values are read.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use toml::de::DeValue;

use super::ByteSize;
use super::findings::At;
use super::reader::{Kind, Node, Section, nearest};
use super::units::{duration_text, parse_duration};

/// `true` or `false`.
pub(super) struct Flag;

impl Kind for Flag {
    type Value = bool;

    fn expected(&self) -> String {
        "true or false".into()
    }

    fn remedy(&self) -> &'static str {
        "write true or false, without quotes"
    }

    fn read(&self, node: &Node<'_, '_>) -> Option<bool> {
        match node.value {
            DeValue::Boolean(value) => Some(*value),
            _ => wrong(self, node),
        }
    }
}

/// A whole number in a range.
pub(super) struct Integer(pub(super) RangeInclusive<u32>);

impl Kind for Integer {
    type Value = u32;

    fn expected(&self) -> String {
        format!("a whole number from {} to {}", self.0.start(), self.0.end())
    }

    fn remedy(&self) -> &'static str {
        "write its digits alone, without quotes and unit"
    }

    fn read(&self, node: &Node<'_, '_>) -> Option<u32> {
        let DeValue::Integer(number) = node.value else { return wrong(self, node) };
        let value = i128::from_str_radix(number.as_str(), number.radix()).ok();
        in_range(self, node, value.and_then(|value| u32::try_from(value).ok()), &self.0)
    }
}

/// A duration in a range: `"30s"`.
pub(super) struct Span(pub(super) RangeInclusive<Duration>);

impl Span {
    pub(super) const fn seconds(from: u64, to: u64) -> Self {
        Self(Duration::from_secs(from)..=Duration::from_secs(to))
    }
}

impl Kind for Span {
    type Value = Duration;

    fn expected(&self) -> String {
        let (from, to) = (duration_text(*self.0.start()), duration_text(*self.0.end()));
        format!("a duration from \"{from}\" to \"{to}\"")
    }

    fn remedy(&self) -> &'static str {
        "write it with its unit, in quotes: \"30s\""
    }

    fn read(&self, node: &Node<'_, '_>) -> Option<Duration> {
        let DeValue::String(text) = node.value else { return wrong(self, node) };
        let Some(value) = parse_duration(text) else {
            node.error(
                format!("`{}` is no duration: {text:?}", node.path),
                "write a whole number and a unit: \"250ms\", \"30s\", \"5m\", \"1h\", \"7d\"",
            );
            return None;
        };
        in_range(self, node, Some(value), &self.0)
    }
}

/// A size in a range: `"64MiB"`.
pub(super) struct Size(pub(super) RangeInclusive<ByteSize>);

impl Kind for Size {
    type Value = ByteSize;

    fn expected(&self) -> String {
        format!("a size from \"{}\" to \"{}\"", self.0.start(), self.0.end())
    }

    fn remedy(&self) -> &'static str {
        "write it with its unit, in quotes: \"64MiB\""
    }

    fn read(&self, node: &Node<'_, '_>) -> Option<ByteSize> {
        let DeValue::String(text) = node.value else { return wrong(self, node) };
        let Some(value) = ByteSize::parse(text) else {
            node.error(
                format!("`{}` is no size: {text:?}", node.path),
                "write a whole number and a unit: \"512KiB\", \"64MiB\", \"1GiB\"",
            );
            return None;
        };
        in_range(self, node, Some(value), &self.0)
    }
}

/// Text that something else judges. The judge answers with what is wrong and the remedy.
pub(super) struct Text {
    /// What it must be, as it follows "must be".
    pub(super) what: &'static str,
    /// What is wrong with a text, and how to mend it.
    pub(super) judge: fn(&str) -> Result<(), (String, String)>,
}

impl Kind for Text {
    type Value = String;

    fn expected(&self) -> String {
        self.what.into()
    }

    fn read(&self, node: &Node<'_, '_>) -> Option<String> {
        let DeValue::String(text) = node.value else { return wrong(self, node) };
        match (self.judge)(text) {
            Ok(()) => Some(text.to_string()),
            Err((problem, hint)) => {
                node.error(format!("`{}` {problem}", node.path), hint);
                None
            }
        }
    }
}

/// A path, absolute or from the working directory.
pub(super) struct FilePath;

impl Kind for FilePath {
    type Value = PathBuf;

    fn expected(&self) -> String {
        "a path".into()
    }

    fn read(&self, node: &Node<'_, '_>) -> Option<PathBuf> {
        let DeValue::String(text) = node.value else { return wrong(self, node) };
        if text.is_empty() || text.contains('\0') {
            let message = format!("`{}` is no path: {text:?}", node.path);
            node.error(message, "write one such as \"/var/lib/trailsift\"");
            return None;
        }
        Some(PathBuf::from(text.as_ref()))
    }
}

/// Text that parses into something.
pub(super) struct Parsed<T> {
    what: &'static str,
    value: std::marker::PhantomData<fn() -> T>,
}

impl<T> Parsed<T> {
    pub(super) const fn new(what: &'static str) -> Self {
        Self { what, value: std::marker::PhantomData }
    }
}

impl<T: FromStr<Err: Display>> Kind for Parsed<T> {
    type Value = T;

    fn expected(&self) -> String {
        self.what.into()
    }

    fn read(&self, node: &Node<'_, '_>) -> Option<T> {
        let DeValue::String(text) = node.value else { return wrong(self, node) };
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                let message = format!("`{}` does not parse ({error}): {text:?}", node.path);
                node.error(message, format!("it must be {}", self.what));
                None
            }
        }
    }
}

/// One of a few words.
pub(super) struct OneOf<T: 'static> {
    /// The words and what they mean.
    pub(super) words: &'static [(&'static str, T)],
    /// Words that only a later version knows.
    pub(super) later: &'static [&'static str],
}

impl<T: Copy> Kind for OneOf<T> {
    type Value = T;

    fn expected(&self) -> String {
        let words: Vec<_> = self.words.iter().map(|(word, _)| format!("{word:?}")).collect();
        words.join(" or ")
    }

    fn read(&self, node: &Node<'_, '_>) -> Option<T> {
        let DeValue::String(text) = node.value else { return wrong(self, node) };
        if let Some((_, value)) = self.words.iter().find(|(word, _)| word == text) {
            return Some(*value);
        }
        if self.later.contains(&text.as_ref()) {
            let message = format!("`{}` {text:?} is not available in this version", node.path);
            node.error(message, format!("available: {}", self.expected()));
            return None;
        }
        let known: Vec<_> = self.words.iter().map(|(word, _)| *word).collect();
        node.error(
            format!("`{}` must be {}, not {text:?}", node.path, self.expected()),
            nearest(text, &known),
        );
        None
    }
}

/// A list, all items of one kind; at least one.
pub(super) struct ListOf<K>(pub(super) K);

impl<K: Kind> Kind for ListOf<K> {
    type Value = Vec<At<K::Value>>;

    fn expected(&self) -> String {
        format!("a list, each item {}", self.0.expected())
    }

    /// The items that could be read: the others are reported.
    fn read(&self, node: &Node<'_, '_>) -> Option<Self::Value> {
        let DeValue::Array(items) = node.value else {
            node.wrong_type_with(&self.expected(), "put it in brackets: [ … ]");
            return None;
        };
        if items.is_empty() {
            node.error(
                format!("`{}` is empty", node.path),
                format!("it must be {}", self.expected()),
            );
            return None;
        }
        let read = |item: &toml::Spanned<DeValue<'_>>| {
            let place = node.scope.place(item.span());
            let item =
                Node { scope: node.scope, value: item.get_ref(), place, path: node.path.clone() };
            self.0.read(&item).map(|value| At { value, place })
        };
        Some(items.iter().filter_map(read).collect())
    }
}

/// The same kind, told by an example.
pub(super) struct Such<K>(pub(super) &'static str, pub(super) K);

impl<K: Kind> Kind for Such<K> {
    type Value = K::Value;

    fn expected(&self) -> String {
        self.0.into()
    }

    fn remedy(&self) -> &'static str {
        self.1.remedy()
    }

    fn read(&self, node: &Node<'_, '_>) -> Option<Self::Value> {
        self.1.read(node)
    }
}

/// A table, read by a function; its unknown keys are reported.
pub(super) struct TableOf<F>(pub(super) F);

impl<T, F: Fn(&mut Section<'_, '_>) -> Option<T>> Kind for TableOf<F> {
    type Value = T;

    fn expected(&self) -> String {
        "a table".into()
    }

    fn read(&self, node: &Node<'_, '_>) -> Option<T> {
        let Some(mut section) = node.section() else {
            let hint = match node.value {
                DeValue::Array(_) => format!(
                    "write it once: a heading in single brackets is [{}], in double ones it begins a list",
                    node.path
                ),
                _ => format!("write a heading, [{}], or {{ key = value }}", node.path),
            };
            node.wrong_type_with(&self.expected(), &hint);
            return None;
        };
        let value = (self.0)(&mut section);
        section.finish();
        value
    }
}

fn wrong<K: Kind, T>(kind: &K, node: &Node<'_, '_>) -> Option<T> {
    node.wrong_type_with(&kind.expected(), kind.remedy());
    None
}

fn in_range<K: Kind, T: PartialOrd>(
    kind: &K,
    node: &Node<'_, '_>,
    value: Option<T>,
    range: &RangeInclusive<T>,
) -> Option<T> {
    let value = value.filter(|value| range.contains(value));
    if value.is_none() {
        node.error(
            format!("`{}` is out of range", node.path),
            format!("it must be {}", kind.expected()),
        );
    }
    value
}
