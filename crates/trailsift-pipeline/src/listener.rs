use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use trailsift_core::{Message, QueueError, chain};

use crate::backoff::full_jitter;
use crate::service::{Lane, Settings};
use crate::sinks;
use crate::worker;

/// The most that one receive hands out.
const RECEIVE_MAX: usize = 10;
/// How long a worker that is free waits for others, so that one receive serves them all: where messages
/// are worked on that fast, a request for each would cost more than the work.
const COMPANY: Duration = Duration::from_millis(20);
/// How long a receive waits for the first message: SQS' own maximum, for an idle queue costs money
/// per request.
const LONG_POLL: Duration = Duration::from_secs(20);
/// The same where the run ends once the queue is empty: long enough to ask all of the queue's
/// servers, short enough for a person.
const SHORT_POLL: Duration = Duration::from_secs(2);
/// How much of a lease is time enough to extend it, where half of it is less.
const LEFT_AFTER_POLL: Duration = Duration::from_secs(10);
/// How often in a row a queue must look empty to be believed, its counts being approximate.
const EMPTY_LOOKS: u32 = 2;
/// The longest pause after a failed receive.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A receive that was asked for and has not answered yet.
type Receive<'a> = BoxFuture<'a, Result<Vec<Message>, QueueError>>;

/// Receives messages for one account and gives each to a worker, until `stop` or, where asked for,
/// until the queue is empty. Then waits for its workers.
///
/// It asks for as many messages as there are free workers and never holds one back: the queue is
/// the buffer.
pub(crate) async fn listen(
    lane: Arc<Lane>,
    visibility: Duration,
    stop: CancellationToken,
) -> Result<(), QueueError> {
    let free = Arc::new(Semaphore::new(lane.shared.budget.workers_per_account));
    let mut workers = JoinSet::new();
    let mut asked = None;
    // Cancel safety: a receive that is on its way when `stop` wins stays in `asked`.
    let ended = tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        ended = receive_all(&lane, visibility, &free, &mut workers, &mut asked) => ended,
    };
    let working = async {
        while let Some(done) = workers.join_next().await {
            note_end(done);
        }
    };
    match asked {
        Some(receive) => finish_receive(&lane, receive, working).await,
        None => working.await,
    }
    ended
}

/// Lets the workers finish, and meanwhile gives back what the last receive still brings.
///
/// A poll that is cut off goes on at the queue's side: it would take the very messages that a drain
/// gives back, and hide them from everybody for one visibility timeout. So it is heard out for as
/// long as there is work, and a moment longer where messages were given back. A poll that is cut
/// off after that can only hide a message that comes in at that moment.
async fn finish_receive(lane: &Lane, mut receive: Receive<'_>, working: impl Future<Output = ()>) {
    let mut working = pin!(working);
    // Cancel safety: whichever is not done is waited for below, but for the cut-off said above.
    let received = tokio::select! {
        biased;
        received = &mut receive => {
            give_back(lane, received).await;
            return working.await;
        }
        () = &mut working => match lane.shared.deadline.is_cancelled() {
            true => timeout(give_back_step(&lane.shared.settings), receive).await,
            false => return,
        },
    };
    if let Ok(received) = received {
        give_back(lane, received).await;
    }
}

/// How long each step of giving back may take at the end of a drain. Three come one after the other:
/// a worker gives its message back, the last poll is heard out, and what that brings is given back.
/// They must fit, also where the queue answers none of them.
pub(crate) fn give_back_step(settings: &Settings) -> Duration {
    settings.give_back_time() * 3 / 10
}

async fn give_back(lane: &Lane, received: Result<Vec<Message>, QueueError>) {
    let messages = received.unwrap_or_default();
    join_all(messages.iter().map(|message| async {
        // A redelivery of what a worker is still busy with is that worker's.
        if let Some(ticket) = lane.in_flight.enter(message) {
            lane.release(&ticket.lease, Duration::ZERO).await;
        }
    }))
    .await;
}

async fn receive_all<'a>(
    lane: &'a Arc<Lane>,
    visibility: Duration,
    free: &Arc<Semaphore>,
    workers: &mut JoinSet<()>,
    asked: &mut Option<Receive<'a>>,
) -> Result<(), QueueError> {
    let until_empty = lane.shared.settings.until_empty;
    let longest = if until_empty { SHORT_POLL } else { LONG_POLL };
    // A lease counts from when its receive was asked for: a poll must not use it up. Of SQS's usual 30 s
    // that leaves the longest poll.
    let most = (visibility / 2).max(visibility.saturating_sub(LEFT_AFTER_POLL));
    let poll = longest.min(Duration::from_secs(most.as_secs().max(1)));
    let mut failing: Option<(Instant, u32)> = None;
    let mut looked_empty = 0;
    let mut silence = Silence::default();
    loop {
        while let Some(done) = workers.try_join_next() {
            note_end(done);
        }
        let mut permits = free_workers(free, lane.shared.budget.workers_per_account).await;
        let received = asked.insert(lane.account.queue.receive(permits.len(), poll)).await;
        *asked = None;
        let looked = match received {
            Ok(messages) => {
                let empty = messages.is_empty();
                let idle = empty && lane.in_flight.len() == 0;
                if !empty {
                    lane.has_received.store(true, Ordering::Relaxed);
                }
                for message in messages {
                    start(lane, message, visibility, permits.pop(), workers);
                }
                drop(permits);
                lane.listen_for_silence(&mut silence, empty).await;
                if until_empty && empty {
                    sinks::hurry(&lane.shared.dispatcher);
                }
                if until_empty && idle { lane.looks_empty().await } else { Ok(false) }
            }
            Err(error) => Err(error),
        };
        let error = match looked {
            Ok(empty) => {
                failing = None;
                lane.well();
                looked_empty = if empty { looked_empty + 1 } else { 0 };
                if looked_empty == EMPTY_LOOKS {
                    return Ok(());
                }
                continue;
            }
            Err(error) => error,
        };
        let (since, attempt) = failing.map_or((Instant::now(), 1), |(at, n)| (at, n + 1));
        failing = Some((since, attempt));
        lane.ill(&error);
        if until_empty && since.elapsed() > lane.shared.settings.startup_timeout {
            return Err(error);
        }
        sleep(full_jitter(attempt, LONGEST_PAUSE)).await;
    }
}

impl Lane {
    fn well(&self) {
        self.health.receives(None);
        self.shared.metrics.ports.reachable.with_label_values(&[&self.account.name]).set(1);
    }

    fn ill(&self, error: &QueueError) {
        let text = chain(error);
        tracing::warn!(
            account = self.account.name,
            error = %text,
            "nothing received: trying on"
        );
        self.health.receives(Some(text));
        self.shared.metrics.ports.reachable.with_label_values(&[&self.account.name]).set(0);
    }
}

/// How long a queue may hand out nothing before it is asked whether it holds something.
const SILENCE: Duration = Duration::from_secs(60);
/// How long at most it is left alone while it says that it does not: each question is in place of a
/// poll, and nobody hears of a queue that gets stuck before it is asked.
const LONGEST_SILENCE: Duration = Duration::from_secs(5 * 60);
/// How long that answer may take.
const SILENCE_ASKS: Duration = Duration::from_secs(10);

/// Since when receives come back empty, and what the queue says about that.
#[derive(Default)]
struct Silence {
    /// Since when nothing came, or since the last question.
    since: Option<Instant>,
    /// How long to wait for the next question; twice as long after each that changed nothing.
    patience: Option<Duration>,
    /// How often in a row the queue has said that messages are visible after it handed none out.
    contradictions: u32,
}

impl Silence {
    /// Whether it is time to ask the queue.
    fn is_long(&mut self) -> bool {
        let since = self.since.get_or_insert_with(Instant::now);
        let patience = *self.patience.get_or_insert(SILENCE);
        if since.elapsed() < patience {
            return false;
        }
        self.since = None;
        self.patience = Some((2 * patience).min(LONGEST_SILENCE));
        true
    }
}

impl Lane {
    /// Raises the alarm over a queue that says that it holds messages, but hands none out: twice in
    /// a row, a minute apart, for its counts are approximate. The longer it says that it holds none,
    /// the more seldom it is asked.
    ///
    /// At 120,000 messages in flight SQS answers nothing, without an error: a queue that is stuck
    /// looks like one that is empty.
    async fn listen_for_silence(&self, silence: &mut Silence, empty: bool) {
        let was_silent = silence.contradictions > 1;
        if !empty {
            *silence = Silence::default();
        } else if silence.is_long() {
            // A queue that does not answer is no silence: the next receive says what is wrong.
            let status = timeout(SILENCE_ASKS, self.account.queue.status()).await;
            let visible = status.ok().and_then(Result::ok).map(|status| status.visible);
            if visible.is_some_and(|visible| visible > 0) {
                silence.contradictions += 1;
                silence.patience = None;
            } else {
                silence.contradictions = 0;
                if visible.is_some() && !self.shared.settings.until_empty {
                    // The question was in place of a poll: an idle queue costs one request in this time,
                    // whichever it is. What comes meanwhile waits for the next poll.
                    sleep(LONG_POLL).await;
                }
            }
        } else {
            return;
        }
        let is_silent = silence.contradictions > 1;
        let gauge = self.shared.metrics.ports.silent.with_label_values(&[&self.account.name]);
        gauge.set(i64::from(is_silent));
        match (was_silent, is_silent) {
            (false, true) => tracing::warn!(
                account = self.account.name,
                "the queue holds messages but hands none out: too many of them are in flight (SQS \
                 stops at 120,000), or another reader takes them"
            ),
            (true, false) => tracing::info!(account = self.account.name, "the queue is well again"),
            _ => {}
        }
    }

    /// Whether the queue says that it holds nothing, for us or for anybody else.
    async fn looks_empty(&self) -> Result<bool, QueueError> {
        let status = self.account.queue.status().await?;
        Ok(status.visible + status.in_flight + status.delayed == 0)
    }
}

/// Waits for a free worker, and a moment for others: for as many as one receive serves, but never for
/// more than half of all. Takes whoever is free then.
async fn free_workers(free: &Arc<Semaphore>, workers: usize) -> Vec<OwnedSemaphorePermit> {
    let mut permits = Vec::with_capacity(RECEIVE_MAX);
    // The semaphore is never closed; were it, receiving nothing more would be right.
    match Arc::clone(free).acquire_owned().await {
        Ok(permit) => permits.push(permit),
        Err(_) => std::future::pending().await,
    }
    let company = RECEIVE_MAX.min(workers / 2).saturating_sub(1);
    let company = u32::try_from(company).unwrap_or(0);
    // Cancel safety: what was taken of them by the end of the time is free again, and taken below.
    let came = timeout(COMPANY, Arc::clone(free).acquire_many_owned(company)).await;
    if let Ok(Ok(mut company)) = came {
        while let Some(permit) = company.split(1) {
            permits.push(permit);
        }
    }
    while permits.len() < RECEIVE_MAX
        && let Ok(permit) = Arc::clone(free).try_acquire_owned()
    {
        permits.push(permit);
    }
    permits
}

fn start(
    lane: &Arc<Lane>,
    message: Message,
    visibility: Duration,
    permit: Option<OwnedSemaphorePermit>,
    workers: &mut JoinSet<()>,
) {
    let Some(ticket) = lane.in_flight.enter(&message) else {
        lane.shared.metrics.duplicates_suppressed.inc();
        tracing::debug!(
            account = lane.account.name,
            sqs.message_id = %message.id,
            "a redelivery joined the running work"
        );
        return;
    };
    let lane = Arc::clone(lane);
    workers.spawn(async move {
        worker::handle(lane, message, ticket, visibility).await;
        drop(permit);
    });
}

fn note_end(done: Result<(), tokio::task::JoinError>) {
    if let Err(error) = done {
        tracing::error!(%error, "a worker ended abnormally: its message comes again");
    }
}
