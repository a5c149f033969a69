use std::sync::Arc;

use trailsift_core::{Known, Ledger, LedgerError, ObjectId, Settlement};

use super::Line;
use crate::history::{Event, Note};
use crate::weather::Port;

/// A ledger as its replica reaches it: a disk that may be slow or full.
#[derive(Debug)]
pub(crate) struct LedgerPort {
    pub(crate) line: Line,
    pub(crate) ledger: Arc<dyn Ledger>,
}

impl LedgerPort {
    async fn carry<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, LedgerError>> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let answer = self.line.weather.carry(Port::Ledger, call).await;
        answer.unwrap_or_else(|| Err(LedgerError("disk full".into())))
    }

    async fn note(&self, object: &ObjectId, note: Note) -> Result<(), LedgerError> {
        let Line { life, ref history, .. } = self.line;
        let call = history.len();
        let event = Event::Notes { life, call, object: object.clone(), note: plain(&note) };
        history.record(event);
        let unanswered = |line: &Line| line.record(Event::Noted { life, call, done: false });
        let mut waiting = Waiting { line: &self.line, given_up: Some(unanswered) };
        let (ledger, object) = (Arc::clone(&self.ledger), object.clone());
        let answer = self
            .carry(async move {
                match note {
                    Note::Acknowledged { sink, below } => {
                        ledger.acknowledged(&object, &sink, below).await
                    }
                    Note::Settled(settlement) => ledger.settled(&object, &settlement).await,
                }
            })
            .await;
        waiting.given_up = None;
        history.record(Event::Noted { life, call, done: answer.is_ok() });
        answer
    }
}

/// The note by the sink's name alone. The pipeline notes progress for a sink together with what
/// feeds it, which no world changes.
fn plain(note: &Note) -> Note {
    match note {
        Note::Acknowledged { sink, below } => {
            let name = sink.split_once(' ').map_or(sink.as_str(), |(name, _)| name);
            Note::Acknowledged { sink: name.to_owned(), below: *below }
        }
        Note::Settled(_) => note.clone(),
    }
}

/// Somebody who waits for an answer, and may give up.
struct Waiting<'a, F: FnOnce(&Line) -> usize> {
    line: &'a Line,
    given_up: Option<F>,
}

impl<F: FnOnce(&Line) -> usize> Drop for Waiting<'_, F> {
    fn drop(&mut self) {
        self.given_up.take().map(|record| record(self.line));
    }
}

#[async_trait::async_trait]
impl Ledger for LedgerPort {
    async fn recall(&self, object: &ObjectId) -> Result<Known, LedgerError> {
        let Line { life, ref history, .. } = self.line;
        let recall = history.len();
        history.record(Event::Recalls { life, recall, object: object.clone() });
        let unanswered = |line: &Line| line.record(Event::Recalled { life, recall, what: None });
        let mut waiting = Waiting { line: &self.line, given_up: Some(unanswered) };
        let (ledger, object) = (Arc::clone(&self.ledger), object.clone());
        let answer = self.carry(async move { ledger.recall(&object).await }).await;
        waiting.given_up = None;
        let what = answer.as_ref().ok().cloned();
        history.record(Event::Recalled { life, recall, what });
        answer
    }

    async fn acknowledged(
        &self,
        object: &ObjectId,
        sink: &str,
        below: u64,
    ) -> Result<(), LedgerError> {
        self.note(object, Note::Acknowledged { sink: sink.to_owned(), below }).await
    }

    async fn settled(&self, object: &ObjectId, settlement: &Settlement) -> Result<(), LedgerError> {
        self.note(object, Note::Settled(settlement.clone())).await
    }
}
