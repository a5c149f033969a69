//! A world: its replicas, what is sent to them, and what befalls them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use trailsift_core::{Ledger, MessageId, Queue};
use trailsift_pipeline::Ended;
use trailsift_testkit::{FixedClock, MemoryLedger, MemoryQueue, MemoryStore, QueueSettings};

use crate::bugs::Bug;
use crate::dice::Dice;
use crate::history::{Event, History};
use crate::oracle::Breach;
use crate::replica::{Replica, Shared, Stopped, account_name, routes, sum_of};
use crate::script::{
    BUCKET, File, Letter, Named, body, bytes_of, damage, entry, key, other_body, rows,
};
use crate::setup::{MAX_RECORD, Play, SECOND, Setup};
use crate::weather::{Stuck, Weather};

/// How long a backlog may take to drain once nothing fails: waits of up to five minutes end, and
/// leases that were lost.
const DRAINED_WITHIN: Duration = Duration::from_secs(20 * 60);
/// The same where what cannot be read is left to the queue: it is received often before it goes.
const REDRIVEN_WITHIN: Duration = Duration::from_secs(90 * 60);
/// How long the work of the others may take while something is stuck: as long.
const OTHERS_WITHIN: Duration = DRAINED_WITHIN;

pub(crate) struct World {
    setup: Setup,
    dice: Dice,
    weather: Weather,
    history: History,
    store: MemoryStore,
    queues: Vec<MemoryQueue>,
    files: Vec<Arc<File>>,
    /// How many objects were named, so that each invented name is a new one.
    names: usize,
    letters: Arc<Mutex<Vec<Arc<Letter>>>>,
    replicas: Vec<Replica>,
}

impl World {
    pub(crate) fn new(seed: u64, play: Play, bug: Option<Bug>) -> Self {
        let dice = Dice::new(seed);
        let setup = Setup::draw(play, &dice);
        let history = History::new();
        let store = MemoryStore::new();
        if setup.versioned {
            store.versioned(BUCKET);
        }
        let queue = |account| {
            let queue = MemoryQueue::with(QueueSettings {
                visibility_timeout: setup.visibility,
                max_receive_count: setup.redrive.then_some(12),
                shuffle: Some(seed),
                ..QueueSettings::default()
            });
            queue.clock(Arc::new(FixedClock::default()));
            let history = history.clone();
            queue.watch(move |event| {
                history.record(Event::Queue { account, event: event.clone() });
            });
            queue
        };
        let queues: Vec<_> = (0..setup.accounts).map(queue).collect();
        let stuck = (play == Play::Stuck).then(|| match dice.below(4) {
            0 => Stuck::Sink(crate::script::SIEM),
            1 => Stuck::Sink(crate::script::ARCHIVE),
            2 => Stuck::Account(1),
            _ => Stuck::Key(key("f0")),
        });
        let setup = Setup { stuck: stuck.clone(), ..setup };
        let weather = Weather::new(&dice, setup.climate, stuck);
        let shared = Shared {
            setup: setup.clone(),
            weather: weather.clone(),
            history: history.clone(),
            store: store.clone(),
            queues: queues.iter().map(|queue| Arc::new(queue.clone()) as Arc<dyn Queue>).collect(),
            routes: routes(),
            bug,
        };
        let replica = |number| {
            let ledger: Arc<dyn Ledger> = Arc::new(MemoryLedger::seeded(seed + number as u64));
            Replica::new(number, &shared, ledger)
        };
        let replicas = (0..setup.replicas).map(replica).collect();
        let letters = Arc::default();
        let (files, names) = (Vec::new(), 0);
        Self { setup, dice, weather, history, store, queues, files, names, letters, replicas }
    }

    pub(crate) fn setup(&self) -> &Setup {
        &self.setup
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// Puts a file: a new one, or over another one of the same account.
    fn put(&mut self, account: usize, over: Option<usize>) -> usize {
        let number = self.files.len();
        let Setup { large_files, damages, versioned, .. } = self.setup;
        let rows = rows(&self.dice, number, large_files, damages);
        let damage = damages.then(|| damage(&self.dice)).flatten();
        let key =
            over.map_or_else(|| key(&format!("f{number}")), |over| self.files[over].key.clone());
        let stored = self.store.put(BUCKET, &key, bytes_of(&rows, damage));
        debug_assert_eq!(stored.version_id.is_some(), versioned);
        let selected = rows.iter().map(|row| row.text.len()).sum::<usize>();
        let file = Arc::new(File {
            number,
            account,
            key,
            version_id: stored.version_id,
            etag: stored.etag,
            rows,
            damage,
            in_parts: selected > MAX_RECORD / 2,
        });
        self.history.record(Event::Put(Arc::clone(&file)));
        self.files.push(file);
        number
    }

    fn send(&mut self, account: usize, body: String, names: Vec<Named>, unrecognised: bool) {
        let letters = Arc::clone(&self.letters);
        let mut letters = letters.lock().unwrap_or_else(PoisonError::into_inner);
        // Known before it is sent, so that the history has it first.
        let sent_before = letters.iter().filter(|letter| letter.account == account).count();
        let id = MessageId(format!("message-{sent_before}"));
        let letter =
            Arc::new(Letter { account, id: id.clone(), body: body.clone(), names, unrecognised });
        self.history.record(Event::Sent(Arc::clone(&letter)));
        letters.push(letter);
        assert_eq!(self.queues[account].send(body), id);
    }

    /// Sends a message of any kind, about new objects or old ones.
    fn announce(&mut self) {
        let account = self.dice.below(self.setup.accounts);
        if self.dice.one_in(10) {
            let (body, unrecognised) = other_body(&self.dice);
            return self.send(account, body, Vec::new(), unrecognised);
        }
        let (mut entries, mut names) = (Vec::new(), Vec::new());
        for _ in 0..=self.dice.below(3) {
            let mine: Vec<usize> =
                self.files.iter().filter(|f| f.account == account).map(|f| f.number).collect();
            let old = (!mine.is_empty()).then(|| self.dice.among(&mine));
            self.names += 1;
            let number = self.names;
            let (bucket, key, file, named) = match (self.dice.below(20), old) {
                (0, _) => {
                    let key = key(&format!("missing{number}"));
                    (BUCKET, key.clone(), None, Named::Missing(key))
                }
                (1, _) => {
                    let key = key(&format!("foreign{number}"));
                    ("somebody-elses", key.clone(), None, Named::NotAllowed(key))
                }
                (2, _) => {
                    let key = format!("AWSLogs/%zz{number}");
                    (BUCKET, key.clone(), None, Named::BadKey(key))
                }
                (3, _) => {
                    let key = self.dice.among(&["AWSLogs/readme.txt", "elsewhere/file.json.gz"]);
                    (BUCKET, key.to_owned(), None, Named::Skipped)
                }
                // The same object once more.
                (4..=6, Some(old)) => {
                    let file = Arc::clone(&self.files[old]);
                    (BUCKET, file.key.clone(), Some(file), Named::File(old))
                }
                (7, Some(old)) => {
                    let number = self.put(account, Some(old));
                    let file = Arc::clone(&self.files[number]);
                    (BUCKET, file.key.clone(), Some(file), Named::File(number))
                }
                _ => {
                    let number = self.put(account, None);
                    let file = Arc::clone(&self.files[number]);
                    (BUCKET, file.key.clone(), Some(file), Named::File(number))
                }
            };
            let with_etag = self.dice.one_in(2);
            entries.push(entry(bucket, &key, file.as_deref(), with_etag));
            names.push(named);
        }
        let body = body(&entries, self.dice.one_in(4));
        self.send(account, body.clone(), names.clone(), false);
        if self.dice.one_in(6) {
            self.send(account, body, names, false);
        }
    }

    /// One thing happens.
    async fn blow(&mut self) -> Result<(), Breach> {
        let replica = self.dice.below(self.setup.replicas);
        let crashes = !matches!(self.setup.play, Play::Calm | Play::Stuck);
        match self.dice.below(10) {
            0..=3 => self.announce(),
            4 if crashes => self.replicas[replica].crash().await,
            5 if crashes => self.stop(replica).await?,
            6 | 7 if !self.replicas[replica].is_running() => self.replicas[replica].start(),
            8 if self.weather.strikes(crate::weather::Port::Queue) => {
                let letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let letter = &letters[self.dice.below(letters.len())];
                self.queues[letter.account].deliver_again(&letter.id);
            }
            _ => {}
        }
        Ok(())
    }

    /// Lives through the play.
    ///
    /// # Errors
    /// If a rule was broken that time or the metrics tell of; the history tells of the others.
    pub(crate) async fn live(&mut self) -> Result<(), Breach> {
        for _ in 0..3 + self.dice.below(8) {
            self.announce();
        }
        self.replicas.iter_mut().for_each(Replica::start);
        let blows = match self.setup.play {
            Play::Stop => self.dice.below(20),
            _ => 5 + self.dice.below(30),
        };
        for _ in 0..blows {
            sleep(self.dice.up_to(15 * SECOND)).await;
            self.blow().await?;
        }
        if self.setup.play == Play::Stuck {
            self.others_go_on().await?;
        }
        if self.setup.play != Play::Stop {
            self.clear_up_and_drain().await?;
        }
        for replica in 0..self.setup.replicas {
            self.stop(replica).await?;
        }
        Ok(())
    }

    async fn clear_up_and_drain(&mut self) -> Result<(), Breach> {
        self.history.record(Event::FaultsEnd);
        self.weather.clear_up();
        for replica in self.replicas.iter_mut().filter(|replica| !replica.is_running()) {
            replica.start();
        }
        let empty = async {
            for queue in &self.queues {
                queue.until_empty().await;
            }
        };
        let within = if self.setup.redrive { REDRIVEN_WITHIN } else { DRAINED_WITHIN };
        if timeout(within, empty).await.is_err() {
            let left: Vec<_> = self.queues.iter().flat_map(MemoryQueue::in_flight).collect();
            return Err(Breach::new("D7", format!("the backlog does not drain: {left:?}")));
        }
        Ok(())
    }

    /// Whether a message needs what is stuck.
    fn is_stuck(&self, letter: &Letter) -> bool {
        let setup = &self.setup;
        let needs = |named: &Named| match (named, &setup.stuck) {
            (Named::File(number), Some(Stuck::Key(key))) => self.files[*number].key == *key,
            (Named::File(number), Some(Stuck::Sink(sink))) => {
                let key = &self.files[*number].key;
                // Whatever has overwritten it meanwhile counts too.
                self.files.iter().filter(|file| file.key == *key).any(|file| {
                    let second_route = setup.has_second_route(file.account);
                    file.rows.iter().any(|row| row.owed_to(second_route).contains(sink))
                })
            }
            _ => false,
        };
        setup.stuck == Some(Stuck::Account(letter.account)) || letter.names.iter().any(needs)
    }

    async fn others_go_on(&self) -> Result<(), Breach> {
        let begin = Instant::now();
        let letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let others = letters.iter().filter(|letter| !self.is_stuck(letter));
        let mut left: Vec<_> = others.collect();
        loop {
            let deleted: Vec<_> = self.queues.iter().map(MemoryQueue::deleted).collect();
            left.retain(|letter| !deleted[letter.account].contains(&letter.id));
            if left.is_empty() {
                return Ok(());
            }
            if begin.elapsed() > OTHERS_WITHIN {
                let left: Vec<_> = left.iter().map(|letter| (letter.account, &letter.id)).collect();
                let stuck = &self.setup.stuck;
                return Err(Breach::new("D7", format!("{stuck:?} holds up {left:?}")));
            }
            sleep(10 * SECOND).await;
        }
    }

    /// Stops a replica, and judges how it ends.
    async fn stop(&mut self, replica: usize) -> Result<(), Breach> {
        let before = Instant::now();
        let Some(Stopped { ended, registry }) = self.replicas[replica].stop().await else {
            return Ok(());
        };
        let (took, drain) = (before.elapsed(), self.setup.settings.drain_timeout);
        // Best-effort sinks get a second in any case.
        if ended != Ended::Drained || took > drain + SECOND {
            let breach = format!("a drain of {drain:?} took {took:?} and ended {ended:?}");
            return Err(Breach::new("D9", breach));
        }
        let sum = |name, labels: &[(&str, &str)]| sum_of(&registry, name, labels);
        let records = |outcome| sum("trailsift_records_total", &[("outcome", outcome)]);
        let judged = records("selected") + records("filtered") + records("quarantined");
        let notified = sum("trailsift_objects_notified_total", &[]);
        let settled = sum("trailsift_objects_total", &[]);
        let in_flight = sum("trailsift_messages_in_flight", &[]);
        let owed = sum("trailsift_deliveries_total", &[("outcome", "owed")]);
        let delivered = sum("trailsift_deliveries_total", &[]) - owed;
        for (whole, parts, what) in [
            (records("seen"), judged, "records seen"),
            (notified, settled, "objects notified"),
            (owed, delivered, "events owed"),
            (in_flight, 0.0, "messages in flight at the end"),
        ] {
            if (whole - parts).abs() > 0.5 {
                let breach = format!("{whole} {what}, but {parts} accounted for");
                return Err(Breach::new("D6", breach));
            }
        }
        Ok(())
    }
}

/// The account's place, by its name in the quarantine's lines.
pub(crate) fn account_number(name: &str) -> Option<usize> {
    (0..2).find(|number| account_name(*number) == name)
}
