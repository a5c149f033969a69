use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use memchr::memmem;

/// An event as it is told from all others: its `eventID`, and a digest of all its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Event {
    id: u128,
    digest: u64,
}

/// The event of these bytes; `None` without an `eventID`.
pub(super) fn event(record: &[u8]) -> Option<Event> {
    const NAME: &[u8] = br#""eventID":""#;
    // The last one is the record's own: parameters come before it.
    let at = memmem::rfind(record, NAME)? + NAME.len();
    let id = record.get(at..)?.split(|byte| *byte == b'"').next()?;
    let mut value = 0_u128;
    for byte in id.iter().filter(|byte| **byte != b'-') {
        let digit = char::from(*byte).to_digit(16)?;
        value = value.checked_mul(16)? | u128::from(digit);
    }
    let mut digest = DefaultHasher::new();
    record.hash(&mut digest);
    Some(Event { id: value, digest: digest.finish() })
}

/// What was delivered.
#[derive(Debug, Default)]
pub(super) struct Tally {
    delivered: Vec<Event>,
    /// Lines that are no event.
    strange: u64,
}

/// How what was delivered differs from what was to be delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// Never delivered.
    pub(super) lost: u64,
    /// Delivered more than once, each time beyond the first counted.
    pub(super) doubled: u64,
    /// Delivered with other bytes.
    pub(super) altered: u64,
    /// Delivered, but in no file, or no event at all.
    pub(super) forged: u64,
}

impl Tally {
    /// One line arrived.
    pub(super) fn add(&mut self, line: &[u8]) {
        match event(line) {
            Some(event) => self.delivered.push(event),
            None => self.strange += 1,
        }
    }

    /// Lines so far.
    pub(super) fn lines(&self) -> u64 {
        self.delivered.len() as u64 + self.strange
    }

    /// Compares with the known answer.
    pub(super) fn difference(&self, expected: &[Event]) -> Difference {
        let mut open: HashMap<u128, (u64, bool)> =
            expected.iter().map(|event| (event.id, (event.digest, false))).collect();
        let mut difference = Difference { forged: self.strange, ..Difference::default() };
        for event in &self.delivered {
            match open.get_mut(&event.id) {
                None => difference.forged += 1,
                Some((_, arrived @ true)) => {
                    let _: &mut bool = arrived;
                    difference.doubled += 1;
                }
                Some((digest, arrived)) => {
                    *arrived = true;
                    difference.altered += u64::from(*digest != event.digest);
                }
            }
        }
        difference.lost = open.values().filter(|(_, arrived)| !arrived).count() as u64;
        difference
    }
}

impl Difference {
    /// Whether every event arrived, once and unchanged.
    pub(super) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: u8, rest: &str) -> Vec<u8> {
        format!(
            r#"{{"requestParameters":{{"eventID":"x"}},"eventID":"{id:08x}-0000-4000-8000-000000000000","a":"{rest}"}}"#
        )
        .into_bytes()
    }

    fn tally(lines: &[Vec<u8>]) -> Tally {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| tally.add(line));
        tally
    }

    #[test]
    fn the_same_events_in_any_order_differ_in_nothing() {
        let expected = [1, 2, 3].map(|id| event(&record(id, "")).unwrap());
        let tally = tally(&[3, 1, 2].map(|id| record(id, "")));
        assert!(tally.difference(&expected).is_none());
        assert_eq!(tally.lines(), 3);
    }

    #[test]
    fn a_lost_a_doubled_an_altered_and_a_forged_event_are_told_apart() {
        let expected = [1, 2, 3].map(|id| event(&record(id, "")).unwrap());
        let lines =
            [record(2, ""), record(2, ""), record(3, "other"), record(4, ""), b"noise".to_vec()];
        let difference = tally(&lines).difference(&expected);
        assert_eq!(difference, Difference { lost: 1, doubled: 1, altered: 1, forged: 2 });
    }
}
