//! What a world is like, drawn from its seed.

use std::time::Duration;

use trailsift_core::Limits;
use trailsift_delivery::{BatchSettings, BufferSettings, Decoration, RetrySettings};
use trailsift_pipeline::Settings;
use trailsift_route::Format;

use crate::dice::Dice;
use crate::weather::{Climate, Stuck};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// A record beyond this is parked.
pub(crate) const MAX_RECORD: usize = 1000;

/// The course of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Play {
    /// Faults at every port, crashes and restarts; then none, until the queues are empty; then a
    /// stop.
    Storm,
    /// The same faults, and a stop amid them.
    Stop,
    /// No fault at all, though everything takes its time.
    Calm,
    /// No fault but crashes and restarts.
    Crashes,
    /// One sink, account or object never works, and the work of all others must go on.
    Stuck,
}

impl Play {
    pub(crate) const ALL: [Self; 5] =
        [Self::Storm, Self::Stop, Self::Calm, Self::Crashes, Self::Stuck];

    /// The play of a seed: storms half of the time.
    pub(crate) fn of(seed: u64) -> Self {
        match seed % 8 {
            0 => Self::Stop,
            1 => Self::Calm,
            2 => Self::Crashes,
            3 => Self::Stuck,
            _ => Self::Storm,
        }
    }
}

/// Everything about a world that does not change in it.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) play: Play,
    pub(crate) replicas: usize,
    pub(crate) accounts: usize,
    pub(crate) visibility: Duration,
    pub(crate) redrive: bool,
    pub(crate) versioned: bool,
    /// Whether files are larger than what a worker may hold.
    pub(crate) large_files: bool,
    /// How events are written for the sinks.
    pub(crate) format: Format,
    /// Whether files may be damaged, and records faulty.
    pub(crate) damages: bool,
    pub(crate) settings: Settings,
    /// The decorators of the required sinks and of the quarantine; `None`: bare sinks.
    pub(crate) decoration: Option<Decoration>,
    pub(crate) climate: Climate,
    pub(crate) stuck: Option<Stuck>,
}

impl Setup {
    pub(crate) fn draw(play: Play, dice: &Dice) -> Self {
        let stormy = matches!(play, Play::Storm | Play::Stop);
        // Some worlds have trouble at one port only, which leaves the others without an excuse.
        let one_port = dice.one_in(3).then(|| dice.below(5));
        let chance = |port: usize| match one_port {
            _ if !stormy => 0,
            Some(one) if one != port => 0,
            _ => dice.among(&[0, 3, 10, 25]),
        };
        let latency = dice.among(&[0, 0, 20, 300]);
        let climate = Climate {
            queue: chance(0),
            store: chance(1),
            sink: chance(2),
            quarantine: chance(3),
            ledger: chance(4),
            latency: Duration::from_millis(latency),
            slow_sink: dice.among(&[0, 0, 3, 40]) * SECOND,
        };
        let accounts = if play == Play::Stuck { 2 } else { 1 + dice.below(2) };
        let tiny = dice.one_in(2);
        // A stuck sink keeps one worker: the others' work needs another.
        let workers = dice.among(if play == Play::Stuck { &[4, 8] } else { &[1, 2, 8] });
        let settings = Settings {
            memory: 256 << 20,
            workers,
            startup_timeout: 60 * SECOND,
            drain_timeout: dice.among(&[2, 5, 25]) * SECOND,
            max_receive: dice.among(&[2, 5]),
            max_inflated: 1 << 20,
            max_record: MAX_RECORD,
            hash_objects: false,
            multi_member: trailsift_trail::MultiMember::Reject,
            until_empty: false,
        };
        let settings = match tiny {
            // The share of a worker is then the least that one can do with.
            true => Settings { memory: workers * 1_050_600 * 4 / 3, ..settings },
            false => settings,
        };
        let mut decoration = dice.one_in(2).then(|| decoration(dice));
        if let Some(decoration) = decoration.as_mut().filter(|_| !stormy) {
            // A timeout is a fault.
            decoration.timeout = None;
        }
        let large_files = tiny && dice.one_in(2);
        let damages = dice.one_in(2);
        // Formats take of what a worker may hold: what is released early then must have been too much.
        let format = match tiny && !large_files {
            true => Format::Raw,
            false if dice.one_in(3) => dice.among(&[Format::Envelope, Format::CloudEvents]),
            false => Format::Raw,
        };
        Self {
            play,
            replicas: 1 + dice.below(2),
            accounts,
            visibility: dice.among(&[5, 10, 30]) * SECOND,
            redrive: stormy && dice.one_in(6),
            versioned: dice.one_in(3),
            large_files,
            format,
            damages,
            settings,
            decoration,
            climate,
            stuck: None,
        }
    }

    /// Whether the second account gets only what the first route selects.
    pub(crate) fn has_second_route(&self, account: usize) -> bool {
        account == 0
    }

    /// What one write takes, where decorators see to it.
    pub(crate) fn limits(&self) -> Limits {
        match self.decoration {
            Some(_) => Limits { events: 4, ..Limits::NONE },
            None => Limits::NONE,
        }
    }

    pub(crate) fn best_effort(&self) -> Decoration {
        let buffer = BufferSettings { events: 50, bytes: 1 << 20 };
        Decoration { required: false, buffer, ..self.decoration.unwrap_or_default() }
    }
}

fn decoration(dice: &Dice) -> Decoration {
    let batch = BatchSettings {
        events: dice.among(&[1, 3, 10]),
        linger: Duration::from_millis(dice.among(&[0, 200])),
        in_flight: dice.among(&[1, 4]),
        callers: 3,
        ..BatchSettings::default()
    };
    let retry = RetrySettings { deadline: dice.among(&[2, 60]) * SECOND, ..Default::default() };
    let timeout = dice.one_in(2).then(|| dice.among(&[5, 50]) * SECOND);
    Decoration { batch, retry, timeout, ..Decoration::default() }
}
