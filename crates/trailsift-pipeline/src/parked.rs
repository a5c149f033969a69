use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use trailsift_core::{MessageId, Reason};

/// How many lines are remembered at most.
const CAPACITY: usize = 100_000;

/// Remembers which lines of the quarantine messages that are not deleted yet have already.
///
/// A message comes again for as long as one of its objects cannot be settled, for hours if a sink is
/// down. What was parked of it for want of content (an entry that cannot be read, an object that is
/// missing, refused or none of ours) has no revision by which the ledger could know it, and would be
/// parked anew each time. The memory is this process's alone; forgetting (a restart, or more than
/// 100,000 lines of undeleted messages) only means one more line.
#[derive(Debug, Default)]
pub(crate) struct Parked(Mutex<Messages>);

/// The place of the entry in the message (none: the message as a whole) and why it is parked: the
/// same object can be missing first and refused later.
pub(crate) type Line = (Option<usize>, Reason);

#[derive(Debug, Default)]
struct Messages {
    lines: HashMap<MessageId, Lines>,
    count: usize,
}

#[derive(Debug, Default)]
struct Lines {
    of: HashSet<Line>,
    /// Whether one of them holds the message's body. If none does, nothing counts as parked.
    have_body: bool,
}

impl Parked {
    /// Whether the quarantine has this line, and the message's body with it or with another.
    pub(crate) fn has(&self, message: &MessageId, line: Line) -> bool {
        let messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = messages.lines.get(message);
        lines.is_some_and(|lines| lines.have_body && lines.of.contains(&line))
    }

    /// Notes that the quarantine has this line.
    pub(crate) fn note(&self, message: &MessageId, line: Line, has_body: bool) {
        let mut messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if messages.count >= CAPACITY {
            let other = messages.lines.keys().find(|other| *other != message);
            let victim = other.unwrap_or(message).clone();
            messages.forget(&victim);
        }
        let lines = messages.lines.entry(message.clone()).or_default();
        lines.have_body |= has_body;
        if lines.of.insert(line) {
            messages.count += 1;
        }
    }

    /// Forgets what was parked of a message that is deleted.
    pub(crate) fn deleted(&self, message: &MessageId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).forget(message);
    }
}

impl Messages {
    fn forget(&mut self, message: &MessageId) {
        if let Some(lines) = self.lines.remove(message) {
            self.count -= lines.of.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MISSING: Reason = Reason::ObjectMissing;

    fn id(number: usize) -> MessageId {
        MessageId(number.to_string())
    }

    #[test]
    fn a_line_is_known_by_its_entry_and_reason_until_its_message_is_deleted() {
        let parked = Parked::default();
        let line = (Some(3), MISSING);
        parked.note(&id(1), line, true);
        assert!(parked.has(&id(1), line));
        assert!(!parked.has(&id(1), (Some(3), Reason::AccessDenied)));
        assert!(!parked.has(&id(1), (Some(4), MISSING)));
        assert!(!parked.has(&id(1), (None, MISSING)));
        assert!(!parked.has(&id(2), line));
        parked.deleted(&id(1));
        assert!(!parked.has(&id(1), line));
    }

    #[test]
    fn lines_count_only_once_one_of_them_has_the_body() {
        let parked = Parked::default();
        parked.note(&id(1), (Some(0), MISSING), false);
        assert!(!parked.has(&id(1), (Some(0), MISSING)));
        parked.note(&id(1), (Some(1), MISSING), true);
        assert!(parked.has(&id(1), (Some(0), MISSING)));
    }

    #[test]
    fn memory_is_bounded() {
        let parked = Parked::default();
        for number in 0..CAPACITY / 8 {
            (0..10).for_each(|n| parked.note(&id(number), (Some(n), MISSING), true));
        }
        (0..2 * CAPACITY).for_each(|n| parked.note(&id(0), (Some(n), MISSING), true));
        let messages = parked.0.lock().expect("not poisoned");
        assert!(messages.count <= CAPACITY);
        let lines: usize = messages.lines.values().map(|lines| lines.of.len()).sum();
        assert_eq!(messages.count, lines);
    }
}
