//! What is asked of the values at one place, and what a value answers.

use std::collections::HashMap;

use crate::bits::Bits;
use crate::cidr::{Address, Networks};
use crate::spec::{self, Condition, IpNet};
use crate::table::Table;

/// A value at a place where routes look.
pub(crate) enum Value<'v> {
    /// What a string says: UTF-8, lone surrogates aside.
    Text(&'v [u8]),
    Bool(bool),
    /// As it stands in the record.
    Number(&'v [u8]),
    Object,
}

/// Something that a value may be. Routes that ask the same share it.
#[derive(PartialEq)]
pub(crate) enum Find {
    Equal(Vec<spec::Value>),
    Start(Vec<String>),
    End(Vec<String>),
    Within(Vec<IpNet>),
    Any,
}

impl Find {
    /// What the condition asks for, and whether it is to be found or not to be.
    pub(crate) fn of(condition: &Condition) -> (Self, bool) {
        match condition.clone() {
            Condition::Equals(values) => (Self::Equal(values), true),
            Condition::NotEquals(values) => (Self::Equal(values), false),
            Condition::StartsWith(values) => (Self::Start(values), true),
            Condition::NotStartsWith(values) => (Self::Start(values), false),
            Condition::EndsWith(values) => (Self::End(values), true),
            Condition::NotEndsWith(values) => (Self::End(values), false),
            Condition::Cidr(networks) => (Self::Within(networks), true),
            Condition::NotCidr(networks) => (Self::Within(networks), false),
            Condition::Exists(wanted) => (Self::Any, wanted),
        }
    }
}

/// What can be found at a place, by the numbers of the finds.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Whether anything is asked of the value itself.
    pub(crate) anything: bool,
    /// Found if there is a value, of whatever type.
    any: Option<usize>,
    /// Found if it is this string. Routes may ask for many: they are not tried one by one.
    texts: Table<Vec<usize>>,
    starts: Vec<(Vec<u8>, usize)>,
    ends: Vec<(Vec<u8>, usize)>,
    booleans: Vec<(bool, usize)>,
    integers: Vec<(i64, usize)>,
    networks: Vec<(Networks, usize)>,
}

impl Asked {
    /// What these finds, each with its number, ask.
    pub(crate) fn new(finds: Vec<(Find, usize)>) -> Self {
        let anything = !finds.is_empty();
        let mut texts: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        let (mut any, mut starts, mut ends) = (None, Vec::new(), Vec::new());
        let (mut booleans, mut integers, mut networks) = (Vec::new(), Vec::new(), Vec::new());
        let with = |texts: Vec<String>, number| {
            texts.into_iter().map(move |text| (text.into_bytes(), number))
        };
        for (find, number) in finds {
            match find {
                Find::Any => any = Some(number),
                Find::Within(nets) => networks.push((Networks::new(&nets), number)),
                Find::Start(texts) => starts.extend(with(texts, number)),
                Find::End(texts) => ends.extend(with(texts, number)),
                Find::Equal(values) => {
                    for value in values {
                        match value {
                            spec::Value::String(text) => {
                                texts.entry(text.into_bytes()).or_default().push(number);
                            }
                            spec::Value::Bool(value) => booleans.push((value, number)),
                            spec::Value::Integer(value) => integers.push((value, number)),
                        }
                    }
                }
            }
        }
        Self {
            anything,
            any,
            texts: Table::new(texts.into_iter()),
            starts,
            ends,
            booleans,
            integers,
            networks,
        }
    }

    /// Notes which of the finds the value is.
    pub(crate) fn note(&self, value: &Value<'_>, found: &mut Bits) {
        let mut found = |number: &usize| {
            found.insert(*number);
        };
        self.any.iter().for_each(&mut found);
        match value {
            Value::Text(text) => {
                self.texts.get(text).into_iter().flatten().for_each(&mut found);
                let starts = self.starts.iter().filter(|(start, _)| text.starts_with(start));
                let ends = self.ends.iter().filter(|(end, _)| text.ends_with(end));
                starts.chain(ends).for_each(|(_, number)| found(number));
                if !self.networks.is_empty()
                    && let Some(address) = Address::read(text)
                {
                    let around = self.networks.iter().filter(|(nets, _)| nets.contain(address));
                    around.for_each(|(_, number)| found(number));
                }
            }
            Value::Bool(value) => {
                let same = self.booleans.iter().filter(|(wanted, _)| wanted == value);
                same.for_each(|(_, number)| found(number));
            }
            Value::Number(digits) if !self.integers.is_empty() => {
                // None is one that no configuration can name: a fraction, an exponent, too large.
                let value = std::str::from_utf8(digits).ok().and_then(|it| it.parse::<i64>().ok());
                let same = self.integers.iter().filter(|(wanted, _)| Some(*wanted) == value);
                same.for_each(|(_, number)| found(number));
            }
            Value::Number(_) | Value::Object => {}
        }
    }
}
