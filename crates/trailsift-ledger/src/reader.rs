use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender};

use trailsift_core::{Known, LedgerError, ObjectId};

use crate::fault::Remedy;
use crate::rows;
use crate::writer::{Answer, Request, Slot};

/// A question for the reader.
pub(crate) struct Question {
    pub(crate) object: ObjectId,
    pub(crate) answer: Answer<Known>,
}

/// Answers until no sender is left. A write-ahead log lets it read while the writer writes.
pub(crate) fn run(questions: &Receiver<Question>, slot: &Arc<Slot>, writer: &SyncSender<Request>) {
    for Question { object, answer } in questions {
        // Whoever has given up does not need an answer.
        if !answer.is_closed() {
            let known = recall(&object, slot, writer).map_err(LedgerError);
            drop(answer.send(known));
        }
    }
}

fn recall(object: &ObjectId, slot: &Slot, writer: &SyncSender<Request>) -> Result<Known, String> {
    // A writer whose queue is full finds out by itself.
    let ask_to_reopen = || drop(writer.try_send(Request::Reopen));
    let mut held = slot.lock();
    let Some(connection) = &*held else {
        drop(held);
        ask_to_reopen();
        return Err("the ledger is not open".to_owned());
    };
    rows::recall(connection, object).map_err(|fault| {
        if fault.remedy() != Remedy::Wait {
            *held = None;
            if fault.remedy() == Remedy::Rebuild {
                slot.damaged.store(true, Ordering::Relaxed);
            }
            drop(held);
            ask_to_reopen();
        }
        format!("the ledger cannot be read: {fault}")
    })
}
