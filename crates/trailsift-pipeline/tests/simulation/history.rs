//! Everything that happens in a world, in its order and with its time.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;
use trailsift_core::{Entry, Known, LogFile, MessageId, ObjectId, Receipt, Settlement};
use trailsift_testkit::{QueueEvent, QueueOp};

use crate::script::{File, Letter};

/// One process of a replica, from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Life {
    pub(crate) replica: usize,
    pub(crate) number: usize,
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "replica {}.{}", self.replica, self.number)
    }
}

/// What is noted in a ledger.
#[derive(Clone, Debug)]
pub(crate) enum Note {
    Acknowledged { sink: String, below: u64 },
    Settled(Settlement),
}

/// What a caller at a queue is told about one receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It is done; of an extension, until when it holds.
    Done(Option<Instant>),
    LeaseLost,
    Failed,
}

/// Something that happened. What a replica asks and is told stands apart from what it causes at
/// the other end: between the two is where calls get lost.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Put(Arc<File>),
    Sent(Arc<Letter>),
    Starts {
        life: Life,
    },
    Crashes {
        life: Life,
    },
    Stops {
        life: Life,
    },
    Ended {
        life: Life,
        how: String,
    },
    FaultsEnd,

    /// At the queue itself.
    Queue {
        account: usize,
        event: QueueEvent,
    },
    Receives {
        life: Life,
        account: usize,
        max: usize,
    },
    Has {
        life: Life,
        account: usize,
        id: MessageId,
        receipt: Receipt,
        until: Instant,
    },
    Asks {
        life: Life,
        account: usize,
        op: QueueOp,
        receipt: Receipt,
    },
    IsTold {
        life: Life,
        account: usize,
        op: QueueOp,
        receipt: Receipt,
        what: Told,
    },

    Opens {
        life: Life,
        account: usize,
        reading: usize,
        file: LogFile,
        from: Option<u64>,
    },
    Opened {
        life: Life,
        reading: usize,
        what: Result<Option<String>, StoreTrouble>,
    },
    Closes {
        life: Life,
        reading: usize,
    },

    /// The pipeline gives a batch to a sink, with all its decorators.
    Offers {
        life: Life,
        sink: &'static str,
        write: usize,
        entries: Vec<Entry>,
    },
    /// The pipeline is told: these are not acknowledged, the others are.
    Acknowledged {
        life: Life,
        sink: &'static str,
        write: usize,
        but: Vec<usize>,
    },
    /// The pipeline is told that nothing is acknowledged.
    Refused {
        life: Life,
        sink: &'static str,
        write: usize,
    },
    /// The innermost sink has these now.
    Stores {
        sink: &'static str,
        entries: Vec<Entry>,
    },
    /// The innermost sink will never take this one.
    Rejects {
        sink: &'static str,
        entry: Entry,
    },
    /// The innermost sink panics.
    Panics {
        life: Life,
        sink: &'static str,
    },

    Recalls {
        life: Life,
        recall: usize,
        object: ObjectId,
    },
    /// No answer is an error, or nobody who waits for it any more.
    Recalled {
        life: Life,
        recall: usize,
        what: Option<Known>,
    },
    Notes {
        life: Life,
        call: usize,
        object: ObjectId,
        note: Note,
    },
    Noted {
        life: Life,
        call: usize,
        done: bool,
    },
}

/// Why an object could not be opened, where that may be the object's own fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreTrouble {
    Missing,
    Refused,
    Changed,
    Other,
}

/// An event and when it happened, counted from the beginning of the world.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) at: Instant,
    pub(crate) event: Event,
}

/// The history of a world. Clones write into the same one.
#[derive(Clone, Debug)]
pub(crate) struct History {
    begin: Instant,
    events: Arc<Mutex<Vec<Recorded>>>,
}

impl History {
    pub(crate) fn new() -> Self {
        Self { begin: Instant::now(), events: Arc::default() }
    }

    /// Records the event, and says which one of all it is.
    pub(crate) fn record(&self, event: Event) -> usize {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(Recorded { at: Instant::now(), event });
        events.len() - 1
    }

    /// How many events there are: the number that the next one will have.
    pub(crate) fn len(&self) -> usize {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(crate) fn events(&self) -> Vec<Recorded> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The whole history, a line for each event.
    pub(crate) fn tell(&self) -> String {
        let line = |(number, recorded): (usize, Recorded)| {
            let at = recorded.at.duration_since(self.begin);
            format!("{number:6} {:12.3} {}\n", at.as_secs_f64(), Line(&recorded.event, self.begin))
        };
        self.events().into_iter().enumerate().map(line).collect()
    }
}

/// An event as one line: instants from the beginning, entries by their place.
struct Line<'a>(&'a Event, Instant);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = |until: &Instant| until.duration_since(self.1).as_secs_f64();
        match self.0 {
            Event::Put(file) => write!(f, "put {file}"),
            Event::Sent(letter) => write!(f, "sent {letter}"),
            Event::Starts { life } => write!(f, "{life} starts"),
            Event::Crashes { life } => write!(f, "{life} crashes"),
            Event::Stops { life } => write!(f, "{life} is told to stop"),
            Event::Ended { life, how } => write!(f, "{life} has ended: {how}"),
            Event::FaultsEnd => write!(f, "no faults from now on"),
            Event::Opened { life, reading, what } => write!(f, "{life} opened {reading}: {what:?}"),
            Event::Closes { life, reading } => write!(f, "{life} closes {reading}"),
            Event::Acknowledged { life, sink, write, but } => {
                write!(f, "{life} has {write} acknowledged by {sink}, but {but:?}")
            }
            Event::Refused { life, sink, write } => {
                write!(f, "{life} has {write} refused by {sink}")
            }
            Event::Panics { life, sink } => write!(f, "{sink} of {life} panics"),
            Event::Receives { life, account, max } => {
                write!(f, "{life} asks queue {account} for {max}")
            }
            Event::Recalled { life, recall, what } => {
                write!(f, "{life} recalled {recall}: {what:?}")
            }
            Event::Noted { life, call, done } => write!(f, "{life} noted {call}: {done}"),
            Event::Queue { account, event: QueueEvent::Extended { id, receipt, until } } => {
                write!(f, "queue {account}: {id} {} extended until {:.3}", receipt.0, since(until))
            }
            Event::Queue { account, event } => write!(f, "queue {account}: {event:?}"),
            Event::Has { life, id, receipt, until, .. } => {
                write!(f, "{life} has {id} {} until {:.3}", receipt.0, since(until))
            }
            Event::IsTold { life, op, receipt, what: Told::Done(Some(until)), .. } => {
                write!(f, "{life} is told {op:?} {}: until {:.3}", receipt.0, since(until))
            }
            Event::IsTold { life, op, receipt, what, .. } => {
                write!(f, "{life} is told {op:?} {}: {what:?}", receipt.0)
            }
            Event::Asks { life, op, receipt, .. } => write!(f, "{life} asks {op:?} {}", receipt.0),
            Event::Opens { life, reading, file, from, .. } => {
                write!(f, "{life} opens {reading}: {file} from {from:?}")
            }
            Event::Offers { life, sink, write, entries } => {
                write!(f, "{life} offers {write} to {sink}:{}", Places(entries))
            }
            Event::Stores { sink, entries } => write!(f, "{sink} stores{}", Places(entries)),
            Event::Rejects { sink, entry } => {
                write!(f, "{sink} rejects{}", Places(std::slice::from_ref(entry)))
            }
            Event::Recalls { life, recall, object } => {
                write!(f, "{life} recalls {recall}: {object}")
            }
            Event::Notes { life, call, object, note: Note::Acknowledged { sink, below } } => {
                write!(f, "{life} notes {call}: {sink} has {object} below {below}")
            }
            Event::Notes { life, call, object, note: Note::Settled(settlement) } => {
                let Settlement { sinks, parked, .. } = settlement;
                write!(f, "{life} notes {call}: {object} settled, {sinks:?}, parked {parked:?}")
            }
        }
    }
}

struct Places<'a>(&'a [Entry]);

impl fmt::Display for Places<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in self.0 {
            let name = entry.source.key.rsplit('_').next().unwrap_or_default();
            let etag = entry.source.etag.as_deref().unwrap_or_default();
            write!(f, " {name}({})#{}", etag.get(1..5).unwrap_or_default(), entry.index)?;
        }
        Ok(())
    }
}
