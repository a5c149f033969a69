//! A record's bytes in, its fate out.

use std::sync::Arc;

use memchr::memmem::Finder;
use trailsift_core::{Reason, RecordFault, RouteSet, Selection};

use crate::claims::{Claims, Oddities};

/// Rejects by search what cannot be selected, and has the rest judged.
#[derive(Debug)]
pub(super) struct Judge {
    selection: Arc<dyn Selection>,
    claims: Claims,
    literals: Vec<Finder<'static>>,
    escape: Finder<'static>,
    /// The characters of the literals, by their code; those beyond ASCII share the last place.
    spells: [bool; 129],
}

impl Judge {
    pub(super) fn new(selection: Arc<dyn Selection>) -> Self {
        let literals = selection.literals();
        let mut spells = [false; 129];
        for byte in literals.iter().flatten() {
            spells[usize::from(*byte).min(128)] = true;
        }
        let literals = literals.iter().map(|literal| Finder::new(literal).into_owned()).collect();
        let claims = Claims::default();
        Self { selection, claims, literals, escape: Finder::new(br"\u").into_owned(), spells }
    }

    /// What the records are compared with.
    pub(super) fn compare_with(&mut self, claims: Claims) {
        self.claims = claims;
    }

    /// The routes that want the record, which goes from `{` to `}` and balances; and what is odd
    /// about it if one does.
    ///
    /// # Errors
    /// If the selection might have wanted it but cannot judge it, or wants it malformed.
    pub(super) fn judge(&self, record: &[u8]) -> Result<(RouteSet, Oddities), RecordFault> {
        if !self.may_match(record) {
            return Ok((RouteSet::EMPTY, Oddities::default()));
        }
        let routes = self.selection.select(record)?;
        if routes.is_empty() {
            return Ok((routes, Oddities::default()));
        }
        // A selection reads strictly by contract. What leaves is checked here all the same: wanted
        // records are few, and a malformed one would break its consumers.
        Ok((routes, self.look_through(record)?))
    }

    /// Whether the record holds a literal, as it is or escaped. Errs only towards yes.
    fn may_match(&self, record: &[u8]) -> bool {
        self.literals.is_empty()
            || self.literals.iter().any(|literal| literal.find(record).is_some())
            || self.escape.find_iter(record).any(|at| self.may_spell(&record[at + 2..]))
    }

    /// Whether the four digits of a `\u` escape may be a character of a literal. Broken ones may.
    fn may_spell(&self, digits: &[u8]) -> bool {
        let code = digits.first_chunk::<4>().and_then(|digits| {
            digits.iter().try_fold(0, |code, digit| {
                Some(code << 4 | char::from(*digit).to_digit(16)? as usize)
            })
        });
        code.is_none_or(|code: usize| self.spells[code.min(128)])
    }

    /// What is odd about the record, which must be one JSON object in UTF-8. Neither recursion nor
    /// a limit of depth.
    fn look_through(&self, record: &[u8]) -> Result<Oddities, RecordFault> {
        let fault = |reason, detail| RecordFault { reason, detail };
        let text = std::str::from_utf8(record).map_err(|error| {
            let at = error.valid_up_to();
            fault(Reason::InvalidUtf8, format!("not UTF-8 at byte {at} of the record"))
        })?;
        let not_json =
            |error| fault(Reason::RecordSyntax, format!("not JSON: {error} of the record"));
        self.claims.compare(text).map_err(not_json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Literals(Vec<Vec<u8>>);

    impl Selection for Literals {
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
        Judge::new(Arc::new(Literals(literals))).may_match(record.as_bytes())
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
