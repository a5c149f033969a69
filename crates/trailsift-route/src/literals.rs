//! What every selected record must hold, so that others need not be read.

use std::borrow::Cow;

use crate::actor::{self, Word};
use crate::cidr;
use crate::frequency::{self, ALWAYS, PerMille};
use crate::spec::{Condition, FieldSpec, IpNet, RouteSpec, SelectorSpec, Value};

/// What selecting costs: which records must be read at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// What is searched for in a file's bytes. A record that holds none of these texts is passed over
    /// without being read. Empty: every record is read.
    pub texts: Vec<String>,
    /// How many records of a busy account hold one of them.
    pub share: Share,
}

/// How many records of a busy account must be read: a guess, by what CloudTrail writes most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Share {
    /// Next to none.
    Rare,
    /// Up to a quarter.
    Some,
    /// More than that, and not all.
    Many,
    /// All of them: there is nothing to search for.
    All,
}

impl SelectorSpec {
    /// What this selector alone would cost. Routes that share an account cost what their selectors
    /// cost together: as soon as one has nothing to search for, every record is read.
    pub fn cost(&self) -> Cost {
        match of_selector(self) {
            None => Cost { texts: Vec::new(), share: Share::All },
            Some(Set { texts, share }) => {
                let texts = texts.into_iter().map(Cow::into_owned).collect();
                Cost { texts, share: Share::of(share) }
            }
        }
    }
}

impl Share {
    fn of(share: PerMille) -> Self {
        match share {
            0..80 => Self::Rare,
            80..280 => Self::Some,
            _ => Self::Many,
        }
    }
}

/// With how many shorter literals one is compared.
const MOST_COMPARED: usize = 500;

/// Byte strings of which every record that any of these routes selects has at least one, unless it
/// spells them with `\u` escapes. Empty if there is no such set, or none that would reject anything.
pub(crate) fn required<'s>(routes: impl Iterator<Item = &'s RouteSpec>) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for selector in routes.flat_map(|route| &route.selectors) {
        match of_selector(selector) {
            Some(set) => all.extend(set.texts),
            None => return Vec::new(),
        }
    }
    all.sort_unstable_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    all.dedup();
    let mut needed: Vec<Cow<'_, str>> = Vec::new();
    for literal in all {
        // A record that has the longer one has the shorter one in it. Beyond some hundreds looking for
        // that costs more than it saves.
        let known = &needed[..needed.len().min(MOST_COMPARED)];
        if !known.iter().any(|shorter| literal.contains(shorter.as_ref())) {
            needed.push(literal);
        }
    }
    needed.into_iter().map(|literal| literal.into_owned().into_bytes()).collect()
}

/// Texts of which a record must hold one, and how many records do.
struct Set<'s> {
    texts: Vec<Cow<'s, str>>,
    share: PerMille,
}

impl<'s> Set<'s> {
    fn of_name(name: &'s str) -> Self {
        Self { texts: vec![name.into()], share: frequency::of_name(name) }
    }

    /// Texts of values; none if there are none to search for.
    fn of_values(texts: Option<Vec<&'s str>>) -> Option<Self> {
        let texts = texts?;
        let share = texts.iter().map(|text| frequency::of_value(text)).sum();
        Some(Self { texts: texts.into_iter().map(Cow::Borrowed).collect(), share })
    }
}

/// What is asked of a selected record is asked all at once: one thing is enough to search for. It is
/// the one that the fewest records hold, and of equals the one whose shortest text is longest.
fn of_selector(selector: &SelectorSpec) -> Option<Set<'_>> {
    let sets = selector.fields.iter().flat_map(of_field);
    let sets = sets.filter(|set| !set.texts.is_empty() && set.share < ALWAYS);
    let shortest = |set: &Set<'_>| set.texts.iter().map(|text| text.len()).min();
    sets.min_by(|a, b| a.share.cmp(&b.share).then(shortest(b).cmp(&shortest(a))))
}

/// The values of the field's conditions, each a set, and the names on its path, each a set of one: a
/// positive condition holds of no record that lacks one of these.
fn of_field(field: &FieldSpec) -> Vec<Set<'_>> {
    let is_required = field.conditions.iter().any(is_positive);
    let derived = actor::field(&field.path);
    let names: Vec<&str> = match derived {
        // What is derived has no names of its own.
        Some(derived) => actor::name_behind(derived).into_iter().collect(),
        None => field.path.split('.').filter(|name| is_plain(name)).collect(),
    };
    let names = names.into_iter().filter(|_| is_required).map(Set::of_name);
    let values =
        field.conditions.iter().filter_map(|condition| match derived.and_then(Word::all_of) {
            Some(words) => of_words(&words, condition),
            None => of_values(condition),
        });
    names.chain(values).collect()
}

/// Whether it holds only where there is a value.
pub(crate) fn is_positive(condition: &Condition) -> bool {
    match condition {
        Condition::Equals(_)
        | Condition::StartsWith(_)
        | Condition::EndsWith(_)
        | Condition::Cidr(_) => true,
        Condition::Exists(is_wanted) => *is_wanted,
        Condition::NotEquals(_)
        | Condition::NotStartsWith(_)
        | Condition::NotEndsWith(_)
        | Condition::NotCidr(_) => false,
    }
}

fn of_values(condition: &Condition) -> Option<Set<'_>> {
    match condition {
        Condition::Equals(values) => Set::of_values(values.iter().map(of_value).collect()),
        Condition::StartsWith(values) | Condition::EndsWith(values) => {
            Set::of_values(values.iter().map(|value| most_telling_part(value)).collect())
        }
        Condition::Cidr(networks) => of_networks(networks),
        _ => None,
    }
}

fn of_value(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => most_telling_part(text),
        Value::Bool(_) | Value::Integer(_) => None,
    }
}

/// The octets that all addresses of a network have in their texts.
fn of_networks(networks: &[IpNet]) -> Option<Set<'static>> {
    let texts: Vec<String> = networks.iter().map(cidr::octets).collect::<Option<_>>()?;
    let share = texts.iter().map(|text| frequency::of_address(text)).sum();
    Some(Set { texts: texts.into_iter().map(Cow::Owned).collect(), share })
}

/// What shows that a derived field holds one of the words for which the condition holds.
fn of_words(words: &[Word], condition: &Condition) -> Option<Set<'static>> {
    let holds = |word: &&Word| {
        let word = word.as_str();
        match condition {
            Condition::Equals(values) => {
                values.iter().any(|value| matches!(value, Value::String(text) if text == word))
            }
            Condition::StartsWith(values) => values.iter().any(|text| word.starts_with(text)),
            Condition::EndsWith(values) => values.iter().any(|text| word.ends_with(text)),
            Condition::NotEquals(values) => {
                !values.iter().any(|value| matches!(value, Value::String(text) if text == word))
            }
            Condition::NotStartsWith(values) => !values.iter().any(|text| word.starts_with(text)),
            Condition::NotEndsWith(values) => !values.iter().any(|text| word.ends_with(text)),
            Condition::Cidr(_) => false,
            Condition::Exists(is_wanted) => *is_wanted,
            Condition::NotCidr(_) => true,
        }
    };
    let evidence = words.iter().filter(holds).map(Word::evidence).collect::<Option<Vec<_>>>();
    Set::of_values(evidence.map(|evidence| evidence.concat()))
}

/// Of the parts of the text that JSON writes as they are, unless with `\u`, the one to search for.
fn most_telling_part(text: &str) -> Option<&str> {
    let parts = text.split(|char| !is_plain_char(char)).filter(|part| !part.is_empty());
    let share = |part: &&str| frequency::of_value(part);
    parts.min_by(|a, b| share(a).cmp(&share(b)).then(b.len().cmp(&a.len())))
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_plain_char)
}

/// Whether JSON writes the character as it is, unless with `\u`.
fn is_plain_char(char: char) -> bool {
    matches!(char, ' '..='~') && !matches!(char, '"' | '\\' | '/')
}
