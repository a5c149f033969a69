//! A record's bytes in, its fate out.

use std::sync::Arc;

use aho_corasick::{AhoCorasick, packed};
use memchr::memmem::Finder;
use trailsift_core::{Reason, RecordFault, RouteSet, Selection};

use crate::claims::{Claims, Oddities};

/// A selection made ready for sifting: build it once, and share it by cloning.
///
/// It rejects by search what cannot be selected, and has the rest judged.
#[derive(Clone, Debug)]
pub struct Judge(Arc<Ready>);

#[derive(Debug)]
struct Ready {
    selection: Arc<dyn Selection>,
    literals: Literals,
    escape: Finder<'static>,
    /// The characters of the literals, by their code; those beyond ASCII share the last place.
    spells: [bool; 129],
}

/// How the literals are searched for.
#[derive(Debug)]
enum Literals {
    /// There are none: every record is read.
    None,
    One(Box<Finder<'static>>),
    Few(packed::Searcher),
    Many(AhoCorasick),
}

impl Literals {
    fn new(literals: &[Vec<u8>]) -> Self {
        match literals {
            [] => Self::None,
            // Every record holds nothing.
            _ if literals.iter().any(Vec::is_empty) => Self::None,
            [one] => Self::One(Box::new(Finder::new(one).into_owned())),
            _ => match packed::Searcher::new(literals) {
                Some(searcher) => Self::Few(searcher),
                // Too large an automaton cannot be built; then every record is read.
                None => AhoCorasick::new(literals).map_or(Self::None, Self::Many),
            },
        }
    }

    fn may_be_in(&self, record: &[u8]) -> bool {
        match self {
            Self::None => true,
            Self::One(finder) => finder.find(record).is_some(),
            Self::Few(searcher) => searcher.find(record).is_some(),
            Self::Many(automaton) => automaton.is_match(record),
        }
    }
}

impl Judge {
    /// Prepares the search for the selection's literals.
    pub fn new(selection: Arc<dyn Selection>) -> Self {
        let literals = selection.literals();
        let mut spells = [false; 129];
        for byte in literals.iter().flatten() {
            spells[usize::from(*byte).min(128)] = true;
        }
        let literals = Literals::new(literals);
        let escape = Finder::new(br"\u").into_owned();
        Self(Arc::new(Ready { selection, literals, escape, spells }))
    }

    /// Whether every record is read, for want of something to search for.
    pub(super) fn reads_all(&self) -> bool {
        matches!(self.0.literals, Literals::None)
    }

    /// The routes that want the record, which goes from `{` to `}` and balances; and what is odd
    /// about it if one does, measured by what the object's key claims. Without a backslash there is
    /// no escape to look for.
    ///
    /// # Errors
    /// If the selection might have wanted it but cannot judge it, or wants it malformed.
    pub(super) fn judge(
        &self,
        record: &[u8],
        has_backslash: bool,
        claims: &Claims,
    ) -> Result<(RouteSet, Oddities), RecordFault> {
        if !self.may_match(record, has_backslash) {
            return Ok((RouteSet::EMPTY, Oddities::default()));
        }
        let routes = self.0.selection.select(record)?;
        if routes.is_empty() {
            return Ok((routes, Oddities::default()));
        }
        // A selection reads strictly by contract. What leaves is checked here all the same: wanted
        // records are few, and a malformed one would break its consumers.
        Ok((routes, look_through(record, claims)?))
    }

    /// Whether the record holds a literal, as it is or escaped. Errs only towards yes.
    fn may_match(&self, record: &[u8], has_backslash: bool) -> bool {
        self.0.literals.may_be_in(record)
            || has_backslash
                && self.0.escape.find_iter(record).any(|at| self.may_spell(&record[at + 2..]))
    }

    /// Whether the four digits of a `\u` escape may be a character of a literal. Broken ones may.
    fn may_spell(&self, digits: &[u8]) -> bool {
        let code = digits.first_chunk::<4>().and_then(|digits| {
            digits.iter().try_fold(0, |code, digit| {
                Some(code << 4 | char::from(*digit).to_digit(16)? as usize)
            })
        });
        code.is_none_or(|code: usize| self.0.spells[code.min(128)])
    }
}

/// What is odd about the record, which must be one JSON object in UTF-8. Neither recursion nor a
/// limit of depth.
fn look_through(record: &[u8], claims: &Claims) -> Result<Oddities, RecordFault> {
    let fault = |reason, detail| RecordFault { reason, detail };
    let text = std::str::from_utf8(record).map_err(|error| {
        let at = error.valid_up_to();
        fault(Reason::InvalidUtf8, format!("not UTF-8 at byte {at} of the record"))
    })?;
    let not_json = |error| fault(Reason::RecordSyntax, format!("not JSON: {error} of the record"));
    claims.compare(text).map_err(not_json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Spelt(Vec<Vec<u8>>);

    impl Selection for Spelt {
        fn digest(&self) -> u64 {
            0
        }

        fn literals(&self) -> &[Vec<u8>] {
            &self.0
        }

        fn select(&self, _: &[u8]) -> Result<RouteSet, RecordFault> {
            Ok(RouteSet::EMPTY)
        }
    }

    fn may_match(literals: &[&str], record: &str) -> bool {
        let literals = literals.iter().map(|literal| literal.as_bytes().to_vec()).collect();
        let judge = Judge::new(Arc::new(Spelt(literals)));
        judge.may_match(record.as_bytes(), record.contains('\\'))
    }

    #[test]
    fn only_a_literal_or_an_escape_that_could_spell_one_is_read() {
        assert!(may_match(&["abc-"], r#"{"a":"abc-"}"#));
        assert!(may_match(&["abc-"], r#"{"a":"abc\u002D"}"#));
        assert!(may_match(&["abc-"], r#"{"a":"\u0061bc-"}"#));
        assert!(may_match(&["abc-"], r#"{"a":"abc\\\u002d"}"#));
        assert!(may_match(&["abc-"], r#"{"a":"\u00"}"#));
        assert!(may_match(&["äbc"], r#"{"a":"\u00e4bc"}"#));
        assert!(may_match(&["nothing", "x"], r#"{"a":"x"}"#));
        assert!(may_match(&[], "{}"));
        assert!(!may_match(&["abc-"], r#"{"a":"ABC-"}"#));
        assert!(!may_match(&["abc-"], r#"{"a":"b\u003d\ud83d\ude00"}"#));
    }
}
