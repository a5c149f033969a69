use std::iter;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender};

use rusqlite::Connection;
use trailsift_core::{Known, LedgerError, ObjectId};

use crate::fault::{Fault, Remedy};
use crate::group::Groups;
use crate::rows;
use crate::writer::{Answer, Request, Slot};

/// A question for the reader.
pub(crate) struct Question {
    pub(crate) object: ObjectId,
    pub(crate) answer: Answer<Known>,
}

/// Answers until no sender is left. A write-ahead log lets it read while the writer writes.
pub(crate) fn run(questions: &Receiver<Question>, slot: &Arc<Slot>, writer: &SyncSender<Request>) {
    let mut groups = Groups::default();
    while let Ok(first) = questions.recv() {
        let mut group = groups.gather(first, questions);
        // Whoever has given up does not need an answer.
        group.retain(|question| !question.answer.is_closed());
        let mut known = Vec::with_capacity(group.len());
        // An error answers those that nothing is known of yet.
        let error = recall(&group, &mut known, slot, writer).err().unwrap_or_default();
        let known = known.into_iter().map(Ok).chain(iter::repeat(Err(error)));
        for (question, known) in group.into_iter().zip(known) {
            drop(question.answer.send(known.map_err(LedgerError)));
        }
    }
}

/// Adds what is known of each object, in the order of the questions, up to the first error.
fn recall(
    questions: &[Question],
    known: &mut Vec<Known>,
    slot: &Slot,
    writer: &SyncSender<Request>,
) -> Result<(), String> {
    // A writer whose queue is full finds out by itself.
    let ask_to_reopen = || drop(writer.try_send(Request::Reopen));
    let mut held = slot.lock();
    let Some(connection) = &*held else {
        drop(held);
        ask_to_reopen();
        return Err("the ledger is not open".to_owned());
    };
    recall_at_once(connection, questions, known).map_err(|fault| {
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

/// In one transaction: locking the log, and finding out who wrote to it, is most of what a recall
/// costs. The transaction begins after all were asked for, so it sees whatever was noted before that.
fn recall_at_once(
    connection: &Connection,
    questions: &[Question],
    known: &mut Vec<Known>,
) -> Result<(), Fault> {
    let transaction = connection.unchecked_transaction()?;
    for question in questions {
        known.push(rows::recall(&transaction, &question.object)?);
    }
    // It has nothing to commit, and ends where it is dropped, too.
    Ok(transaction.finish()?)
}
