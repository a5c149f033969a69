use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

/// How many requests are served together at most.
const MOST: usize = 256;
/// Between the beginnings of two groups at least this, where many ask at once. Waking a thread, locking
/// the file and writing its pages cost as much for a group as for one request; who waits spends a
/// hundred times as long on the network.
const PACE: Duration = Duration::from_millis(2);

/// Takes requests in groups.
///
/// One that comes alone is served at once, and so is each of a caller that waits for one answer before
/// it asks for the next. Only where several came together last time are others waited for.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    /// When the last group began, if it was more than one request.
    crowded: Option<Instant>,
}

impl Groups {
    /// This request and those that wait behind it. Sleeps for [`PACE`] at most.
    pub(crate) fn gather<T>(&mut self, first: T, others: &Receiver<T>) -> Vec<T> {
        if let Some(began) = self.crowded {
            // Not a wait for the next request: each would wake this thread.
            thread::sleep(PACE.saturating_sub(began.elapsed()));
        }
        let began = Instant::now();
        let mut group = vec![first];
        group.extend(others.try_iter().take(MOST - 1));
        self.crowded = (group.len() > 1).then_some(began);
        group
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn what_waits_is_taken_in_its_order_up_to_a_limit() {
        let (sender, receiver) = sync_channel(2 * MOST);
        (1..MOST + 3).for_each(|number| sender.send(number).expect("room"));
        let mut groups = Groups::default();
        assert_eq!(groups.gather(0, &receiver), (0..MOST).collect::<Vec<_>>());
        assert!(groups.crowded.is_some());
        let next = receiver.recv().expect("more");
        assert_eq!(groups.gather(next, &receiver), [MOST, MOST + 1, MOST + 2]);
    }

    #[test]
    fn who_comes_alone_is_not_held_up_for_company() {
        let (sender, receiver) = sync_channel(1);
        let mut groups = Groups::default();
        sender.send(2).expect("room");
        assert_eq!(groups.gather(1, &receiver), [1, 2]);
        // Once more after a crowd, in vain.
        assert_eq!(groups.gather(3, &receiver), [3]);
        assert!(groups.crowded.is_none(), "the next one is served at once");
    }
}
