use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use trailsift_core::{
    Clock, Ledger, LogFile, MessageId, ObjectStore, Queue, QueueStatus, Selection, chain,
};
use trailsift_route::Format;
use trailsift_trail::{Judge, MultiMember};

use crate::acker::Acker;
use crate::admission::AllowedBucket;
use crate::attempts::Attempts;
use crate::backoff::full_jitter;
use crate::books::Books;
use crate::budget::Budget;
use crate::concern::queue_concerns;
use crate::cpu::Cpu;
use crate::dispatcher::{Dispatcher, Outlet};
use crate::health::{AccountHealth, Health, account_part};
use crate::lease::InFlight;
use crate::listener::listen;
use crate::metrics::PipelineMetrics;
use crate::parked::Parked;
use crate::pass::reading_of;
use crate::quarantine::Quarantine;
use crate::readable::Readable;
use crate::sinks;
use crate::turns::Turns;
use crate::watched::watched;
use crate::wholes::Wholes;

/// How often a queue from which messages come is asked how many it has left.
const BACKLOG_INTERVAL: Duration = Duration::from_secs(60);
/// How long that answer may take.
const BACKLOG_ASKS: Duration = Duration::from_secs(10);
/// The longest pause between two attempts to reach a queue at the start.
const CONNECT_PAUSE: Duration = Duration::from_secs(5);
/// How much of the drain is kept for giving messages back: a fifth, at most this.
const GIVE_BACK: Duration = Duration::from_secs(3);
/// The least that best-effort sinks get to write out what they buffer.
const CLOSE_AT_LEAST: Duration = Duration::from_secs(1);
/// A queue that says less than this hides messages too briefly to work on them.
const LEAST_VISIBILITY: Duration = Duration::from_secs(1);

/// How the service runs: the `[service]` section.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The byte budget for objects in flight.
    pub memory: usize,
    /// Messages in flight at most, over all accounts.
    pub workers: usize,
    /// How long to try to reach the first queue.
    pub startup_timeout: Duration,
    /// How long a drain may take in all.
    pub drain_timeout: Duration,
    /// After how many failures of its own an object is parked.
    pub max_receive: u32,
    /// A file that inflates beyond this many bytes is parked.
    pub max_inflated: u64,
    /// A record beyond this many bytes is parked.
    pub max_record: usize,
    /// What becomes of a file of more than one compressed stream.
    pub multi_member: MultiMember,
    /// Whether the ledger gets the SHA-256 of each file's inflated bytes.
    pub hash_objects: bool,
    /// End once every queue is empty and everything is settled.
    pub until_empty: bool,
}

impl Settings {
    /// How much of the drain is kept for giving back what is not settled.
    pub(crate) fn give_back_time(&self) -> Duration {
        (self.drain_timeout / 5).min(GIVE_BACK)
    }
}

/// One account: its queue, its objects, and what of them is wanted.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name in logs and metrics.
    pub name: String,
    /// Where its notifications come from.
    pub queue: Arc<dyn Queue>,
    /// Where its files are.
    pub store: Arc<dyn ObjectStore>,
    /// The buckets that may be read.
    pub buckets: Vec<AllowedBucket>,
    /// The routes of this account.
    pub selection: Arc<dyn Selection>,
}

/// What the pipeline runs on and reports to.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Where inflating and scanning run.
    pub cpu: Cpu,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// What outlives the process of what was done.
    pub ledger: Arc<dyn Ledger>,
    /// What is counted.
    pub metrics: PipelineMetrics,
    /// What readiness says.
    pub health: Health,
}

/// Why the service ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop and did in time: what was not settled was given back, or comes again when
    /// its lease ends where the queue did not answer.
    Drained,
    /// The queues are empty and everything is settled.
    Empty,
    /// No account's queue could be reached within `startup_timeout`: each with its error.
    Unreachable(BTreeMap<String, String>),
    /// Something went wrong that this process cannot mend: named here.
    Failed(Vec<String>),
}

/// The whole pipeline, ready to run.
#[derive(Debug)]
pub struct Service {
    accounts: Vec<Account>,
    shared: Arc<Shared>,
}

/// What all accounts share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) budget: Budget,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) cpu: Cpu,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: PipelineMetrics,
    pub(crate) health: Health,
    pub(crate) message_attempts: Attempts<MessageId>,
    /// Cancelled when a drain's time for work is over: give back what is not settled.
    pub(crate) deadline: CancellationToken,
    failure: Mutex<Option<String>>,
    failed: CancellationToken,
}

impl Shared {
    /// A failure after which going on is useless: drain and end.
    pub(crate) fn fail(&self, error: &str) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert_with(|| error.to_owned());
        self.failed.cancel();
    }
}

/// One account at work.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) account: Account,
    pub(crate) shared: Arc<Shared>,
    pub(crate) health: Arc<AccountHealth>,
    pub(crate) acker: Acker,
    pub(crate) judge: Judge,
    /// What tells progress that was made under this configuration from other progress.
    pub(crate) reading: u64,
    pub(crate) wholes: Wholes,
    pub(crate) in_flight: InFlight,
    pub(crate) turns: Turns<LogFile>,
    pub(crate) object_attempts: Attempts<LogFile>,
    pub(crate) parked: Parked,
    /// Whether a message came since the queue was last asked for its backlog.
    pub(crate) has_received: AtomicBool,
}

impl Service {
    /// Puts the pipeline together. Nothing is contacted yet.
    pub fn new(
        accounts: Vec<Account>,
        outlets: Vec<Outlet>,
        quarantine: Quarantine,
        settings: Settings,
        surroundings: Surroundings,
    ) -> Self {
        let Surroundings { cpu, clock, ledger, metrics, health } = surroundings;
        let books = Books::new(ledger, metrics.clone());
        let (lanes, max_record) = (accounts.len(), settings.max_record);
        let formatted = outlets.iter().filter(|it| it.formatter.format() != Format::Raw).count();
        let budget = Budget::plan(settings.memory, settings.workers, lanes, max_record)
            .formatting(formatted, lanes, max_record);
        let dispatcher = Dispatcher::new(
            outlets,
            quarantine,
            books,
            Arc::clone(&clock),
            metrics.clone(),
            &budget,
            &cpu,
        );
        let shared = Shared {
            settings,
            budget,
            dispatcher,
            cpu,
            clock,
            metrics,
            health,
            message_attempts: Attempts::default(),
            deadline: CancellationToken::new(),
            failure: Mutex::new(None),
            failed: CancellationToken::new(),
        };
        Self { accounts, shared: Arc::new(shared) }
    }

    /// Runs until `order` is cancelled, until the queues are empty where `until_empty` is set, or
    /// until nothing more can be done. Returns within `drain_timeout` after
    /// the order, and a second for best-effort sinks.
    pub async fn run(self, order: CancellationToken) -> Ended {
        let Self { accounts, shared } = self;
        let stop = order.child_token();
        let (reached, first_reached) = watch::channel(false);
        let mut lanes = JoinSet::new();
        for account in accounts {
            shared.health.set(&account_part(&account.name), Some("not reached yet".into()));
            lanes.spawn(run_account(account, Arc::clone(&shared), reached.clone(), stop.clone()));
        }
        drop(reached);
        let mut checks = JoinSet::new();
        checks.spawn(shared.cpu.clone().tidy());
        for sink in sinks::watched(&shared.dispatcher) {
            checks.spawn(sinks::watch(sink, shared.health.clone()));
        }

        let mut ended = LanesEnded::default();
        // Cancel safety: what was joined when another arm wins is in `ended`.
        // An order goes first: where it ends idle lanes at once, it is a drain all the same.
        let by_itself = tokio::select! {
            biased;
            () = stop.cancelled() => false,
            () = shared.failed.cancelled() => false,
            () = join_lanes(&mut lanes, &shared, &mut ended) => true,
            () = no_account_in_time(first_reached, shared.settings.startup_timeout) => {
                stop.cancel();
                true
            }
        };
        let close_by = Instant::now() + shared.settings.drain_timeout;
        if by_itself {
            join_lanes(&mut lanes, &shared, &mut ended).await;
        } else {
            stop.cancel();
            drain(&mut lanes, &shared, close_by, &mut ended).await;
        }
        checks.shutdown().await;
        sinks::close(&shared.dispatcher, close_by.max(Instant::now() + CLOSE_AT_LEAST)).await;
        let failure = shared.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        summarise(ended, failure, order.is_cancelled())
    }
}

/// How the accounts ended: those that never answered, those that stopped answering.
#[derive(Debug, Default)]
struct LanesEnded {
    unreachable: BTreeMap<String, String>,
    failed: Vec<String>,
    served: usize,
}

enum AccountEnded {
    Served,
    Unreachable(String, String),
    Failed(String),
}

async fn join_lanes(lanes: &mut JoinSet<AccountEnded>, shared: &Shared, all: &mut LanesEnded) {
    while let Some(ended) = lanes.join_next().await {
        match ended {
            Ok(AccountEnded::Served) => all.served += 1,
            Ok(AccountEnded::Unreachable(account, error)) => {
                all.unreachable.insert(account, error);
            }
            Ok(AccountEnded::Failed(error)) => all.failed.push(error),
            // Others would go on, and nobody would notice: better to end, and be started again.
            Err(error) => shared.fail(&format!("an account's task ended abnormally: {error}")),
        }
    }
}

fn summarise(ended: LanesEnded, failure: Option<String>, ordered: bool) -> Ended {
    let LanesEnded { mut unreachable, mut failed, served } = ended;
    failed.extend(failure);
    if ordered {
        // Told to stop while still trying: that is no failure.
        unreachable.clear();
    }
    if served == 0 && failed.is_empty() && !unreachable.is_empty() {
        return Ended::Unreachable(unreachable);
    }
    failed.extend(unreachable.into_iter().map(|(name, error)| format!("account {name}: {error}")));
    match (failed.is_empty(), ordered) {
        (false, _) => Ended::Failed(failed),
        (true, true) => Ended::Drained,
        (true, false) => Ended::Empty,
    }
}

/// Lets the workers finish, then has them give back what is left, then leaves.
async fn drain(
    lanes: &mut JoinSet<AccountEnded>,
    shared: &Shared,
    close_by: Instant,
    ended: &mut LanesEnded,
) {
    tracing::info!(seconds = shared.settings.drain_timeout.as_secs(), "draining");
    // Cancel safety: what was joined so far is in `ended`, the others are joined below.
    tokio::select! {
        biased;
        () = join_lanes(lanes, shared, ended) => return,
        () = sinks::hurry_on(&shared.dispatcher) => {}
        () = sleep_until(close_by - shared.settings.give_back_time()) => {}
    }
    tracing::warn!("the drain's time is over: giving back what is not settled");
    shared.deadline.cancel();
    if timeout_at(close_by, join_lanes(lanes, shared, ended)).await.is_ok() {
        return;
    }
    lanes.abort_all();
    let left = "the drain deadline passed before every message was given back: \
                those left come again when their leases end";
    ended.failed.push(left.into());
}

async fn no_account_in_time(mut first_reached: watch::Receiver<bool>, startup_timeout: Duration) {
    let reached = async { drop(first_reached.wait_for(|reached| *reached).await) };
    if timeout(startup_timeout, reached).await.is_ok() {
        // Reached, or every account gave up by itself: either way there is nothing to time out.
        std::future::pending().await
    }
}

/// Reaches the account's queue, then listens to it to the end.
async fn run_account(
    account: Account,
    shared: Arc<Shared>,
    reached: watch::Sender<bool>,
    stop: CancellationToken,
) -> AccountEnded {
    let account = watched(account, &shared.metrics.ports);
    shared.metrics.account(&account.name);
    let name = account.name.clone();
    let mut last_error = "no answer yet".to_owned();
    let connecting = connect(&account, &shared, &mut last_error);
    let connected = tokio::select! {
        biased;
        () = stop.cancelled() => None,
        status = connecting => status,
    };
    let Some(status) = connected else {
        return AccountEnded::Unreachable(name, last_error);
    };
    reached.send_replace(true);
    drop(reached);
    note_queue(&account, &status, &shared);
    let health = Arc::new(shared.health.of_account(&name));
    let readable = Arc::new(Readable::new(Arc::clone(&account.store), Arc::clone(&health)));
    let account = Account { store: Arc::clone(&readable) as _, ..account };
    let (acker, acking) = Acker::new(Arc::clone(&account.queue), Arc::clone(&health));
    let judge = Judge::new(Arc::clone(&account.selection));
    let reading = reading_of(&*account.selection, &shared.settings);
    let in_flight = InFlight::of_account(&name);
    let lane = Arc::new(Lane {
        account,
        shared: Arc::clone(&shared),
        health,
        acker,
        judge,
        reading,
        wholes: Wholes::new(&shared.budget),
        in_flight,
        turns: Turns::default(),
        object_attempts: Attempts::default(),
        parked: Parked::default(),
        has_received: AtomicBool::new(false),
    });
    let visibility = status.visibility_timeout.max(LEAST_VISIBILITY);
    // When the workers are done nobody waits for the acker: what it still has in hand was given
    // back, and a slow delete must not keep the drain. Nor for the backlog: it is only shown.
    let listened = tokio::select! {
        biased;
        listened = listen(Arc::clone(&lane), visibility, stop) => listened,
        never = acking => match never {},
        never = watch_backlog(&lane) => match never {},
        never = readable.forget_in_time() => match never {},
    };
    match listened {
        Ok(()) => AccountEnded::Served,
        Err(error) => AccountEnded::Failed(format!("account {name}: {error}")),
    }
}

/// Has the queue say once a minute how much it holds, for the metric of that; a queue from which nothing
/// comes is asked by the listener already, ever more seldom.
async fn watch_backlog(lane: &Lane) -> Infallible {
    loop {
        sleep(BACKLOG_INTERVAL).await;
        if lane.has_received.swap(false, Ordering::Relaxed) {
            // Whoever wants to know why it does not answer has it from the receives.
            drop(timeout(BACKLOG_ASKS, lane.account.queue.status()).await);
        }
    }
}

/// Asks until the queue answers. `None` where the run gives up on it.
async fn connect(
    account: &Account,
    shared: &Shared,
    last_error: &mut String,
) -> Option<QueueStatus> {
    let give_up = Instant::now() + shared.settings.startup_timeout;
    let mut attempt = 0;
    loop {
        attempt += 1;
        let error = match account.queue.status().await {
            Ok(status) => return Some(status),
            Err(error) => error,
        };
        let text = chain(&error);
        if text != *last_error {
            tracing::warn!(
                account = account.name,
                error = %text,
                "queue not reachable yet: trying on"
            );
        }
        shared.health.set(&account_part(&account.name), Some(text.clone()));
        shared.metrics.ports.reachable.with_label_values(&[&account.name]).set(0);
        *last_error = text;
        if shared.settings.until_empty && Instant::now() >= give_up {
            return None;
        }
        sleep(full_jitter(attempt, CONNECT_PAUSE)).await;
    }
}

fn note_queue(account: &Account, status: &QueueStatus, shared: &Shared) {
    tracing::info!(
        account = account.name,
        visible = status.visible,
        visibility_timeout_seconds = status.visibility_timeout.as_secs(),
        max_receive_count = status.max_receive_count,
        workers = shared.budget.workers_per_account,
        "listening"
    );
    shared.metrics.ports.reachable.with_label_values(&[&account.name]).set(1);
    for concern in queue_concerns(status, shared.settings.max_receive) {
        tracing::warn!(account = account.name, "{concern}: {}", concern.remedy());
    }
}
