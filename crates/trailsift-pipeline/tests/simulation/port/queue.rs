use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use trailsift_core::{Message, Queue, QueueError, QueueStatus, Receipt};
use trailsift_testkit::QueueOp;

use super::Line;
use crate::history::{Event, Told};
use crate::weather::{Port, Stuck};

/// A queue as one replica reaches it.
#[derive(Debug)]
pub(crate) struct QueuePort {
    pub(crate) line: Line,
    pub(crate) account: usize,
    pub(crate) queue: Arc<dyn Queue>,
}

fn unavailable() -> QueueError {
    QueueError::Unavailable("InternalError".into())
}

impl QueuePort {
    async fn carry<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, QueueError>> + Send + 'static,
    ) -> Result<T, QueueError> {
        if self.line.weather.is_stuck(&Stuck::Account(self.account)) {
            sleep(Duration::from_secs(5)).await;
            return Err(unavailable());
        }
        self.line.weather.carry(Port::Queue, call).await.unwrap_or_else(|| Err(unavailable()))
    }

    fn asks(&self, op: QueueOp, receipt: &Receipt) {
        let Line { life, .. } = self.line;
        let receipt = receipt.clone();
        self.line.record(Event::Asks { life, account: self.account, op, receipt });
    }

    fn is_told(
        &self,
        op: QueueOp,
        receipt: &Receipt,
        answer: Result<Option<Instant>, &QueueError>,
    ) {
        let what = match answer {
            Ok(until) => Told::Done(until),
            Err(QueueError::LeaseLost(_)) => Told::LeaseLost,
            Err(_) => Told::Failed,
        };
        let Line { life, .. } = self.line;
        let receipt = receipt.clone();
        self.line.record(Event::IsTold { life, account: self.account, op, receipt, what });
    }

    /// Whether a queue's odder fault happens, one time in so many of its faults.
    fn oddly(&self, one_in: usize) -> bool {
        self.line.weather.strikes(Port::Queue) && self.line.weather.dice.one_in(one_in)
    }
}

#[async_trait::async_trait]
impl Queue for QueuePort {
    async fn status(&self) -> Result<QueueStatus, QueueError> {
        let queue = Arc::clone(&self.queue);
        self.carry(async move { queue.status().await }).await
    }

    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Message>, QueueError> {
        let Line { life, .. } = self.line;
        let account = self.account;
        self.line.record(Event::Receives { life, account, max });
        let asked_at = Instant::now();
        let queue = Arc::clone(&self.queue);
        let mut messages = self.carry(async move { queue.receive(max, wait).await }).await?;
        for message in &mut messages {
            // The port promises that a lease counts from when it was asked for.
            let visibility = message.lease_until - message.received_at;
            message.received_at = asked_at;
            message.lease_until = asked_at + visibility;
            let (id, receipt) = (message.id.clone(), message.receipt.clone());
            self.line.record(Event::Has { life, account, id, receipt, until: message.lease_until });
        }
        Ok(messages)
    }

    async fn extend(&self, receipt: &Receipt, by: Duration) -> Result<Instant, QueueError> {
        self.asks(QueueOp::Extend, receipt);
        let asked_at = Instant::now();
        let answer = if self.oddly(4) {
            Err(QueueError::LeaseLost("taken away".into()))
        } else {
            let (queue, receipt) = (Arc::clone(&self.queue), receipt.clone());
            self.carry(async move { queue.extend(&receipt, by).await }).await
        };
        let answer = answer.map(|_| asked_at + by);
        self.is_told(QueueOp::Extend, receipt, answer.as_ref().map(|until| Some(*until)));
        answer
    }

    async fn release(&self, receipt: &Receipt, after: Duration) -> Result<(), QueueError> {
        self.asks(QueueOp::Release, receipt);
        let (queue, released) = (Arc::clone(&self.queue), receipt.clone());
        let answer = self.carry(async move { queue.release(&released, after).await }).await;
        self.is_told(QueueOp::Release, receipt, answer.as_ref().map(|()| None));
        answer
    }

    async fn delete(
        &self,
        receipts: &[Receipt],
    ) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        receipts.iter().for_each(|receipt| self.asks(QueueOp::Delete, receipt));
        // Some of a batch may fail by themselves.
        let fails = |_| match self.oddly(2) {
            true if self.line.weather.dice.one_in(4) => Err(QueueError::Rejected("no".into())),
            true => Err(unavailable()),
            false => Ok(()),
        };
        let mut answers: Vec<_> = receipts.iter().map(fails).collect();
        let good = receipts.iter().zip(&answers).filter(|(_, answer)| answer.is_ok());
        let good: Vec<Receipt> = good.map(|(receipt, _)| receipt.clone()).collect();
        if !good.is_empty() {
            let queue = Arc::clone(&self.queue);
            let mut deleted =
                self.carry(async move { queue.delete(&good).await }).await?.into_iter();
            for answer in answers.iter_mut().filter(|answer| answer.is_ok()) {
                *answer = deleted.next().expect("an answer for each");
            }
        }
        for (receipt, answer) in receipts.iter().zip(&answers) {
            self.is_told(QueueOp::Delete, receipt, answer.as_ref().map(|()| None));
        }
        Ok(answers)
    }
}
