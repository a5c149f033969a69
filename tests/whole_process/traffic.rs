use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use trailsift_testkit::trail::{FileSpec, TrailFile};

use crate::stack::{Stack, Stored};

/// What lies under this prefix is announced by S3 itself, everything else by [`Stack::announce`].
pub(crate) const ANNOUNCED: &str = "announced/";

/// Objects that are put into a bucket, with the answer.
pub(crate) struct Traffic<'a> {
    stack: &'a Stack,
    state: Mutex<State>,
}

struct State {
    rng: fastrand::Rng,
    seed: u64,
    sent: Vec<Sent>,
    messages: usize,
}

/// One object and what is to become of it.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// The number of the message that announced it.
    pub(crate) message: usize,
    pub(crate) stored: Stored,
    pub(crate) records: u64,
    /// Its size after inflation, and the SHA-256 of that.
    pub(crate) inflated: u64,
    pub(crate) sha256: [u8; 32],
    /// What is to be delivered of it, in the file's order.
    pub(crate) selected: Vec<Vec<u8>>,
    /// Why the file is to be parked instead.
    pub(crate) damage: Option<&'static str>,
}

impl<'a> Traffic<'a> {
    /// The same seed gives the same files in the same messages.
    pub(crate) fn new(stack: &'a Stack, seed: u64) -> Self {
        let rng = fastrand::Rng::with_seed(seed);
        Self {
            stack,
            state: Mutex::new(State {
                rng,
                seed: seed.wrapping_mul(1 << 20),
                sent: Vec::new(),
                messages: 0,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts one to four objects and announces them with one message, or two with `again`: the same
    /// message twice.
    pub(crate) async fn send(&self, again: bool) {
        let (files, by_s3) = {
            let mut state = self.state();
            let count = if state.rng.bool() { 1 } else { state.rng.usize(2..=4) };
            let by_s3 = count == 1 && !again && state.rng.bool();
            let prefix = if by_s3 { ANNOUNCED } else { "" };
            state.messages += 1;
            ((0..count).map(|_| state.file(prefix)).collect::<Vec<_>>(), by_s3)
        };
        let mut objects = Vec::new();
        for (key, stored, mut sent) in files {
            sent.stored = self.stack.put(&key, stored).await;
            objects.push(sent.stored.clone());
            self.state().sent.push(sent);
        }
        if !by_s3 {
            for _ in 0..=usize::from(again) {
                self.stack.announce(&objects).await;
            }
        }
    }

    /// Announces an object of before once more.
    pub(crate) async fn repeat(&self) {
        let object = {
            let State { rng, sent, .. } = &mut *self.state();
            rng.choice(sent.iter()).map(|sent| sent.stored.clone())
        };
        if let Some(object) = object {
            self.stack.announce(&[object]).await;
        }
    }

    /// Keeps at least `outstanding` events on their way, as `delivered` counts them, until `stop`.
    /// Now and then a message is sent twice, or an object announced once more.
    pub(crate) async fn flow(
        &self,
        outstanding: usize,
        delivered: impl Fn() -> usize,
        stop: CancellationToken,
    ) {
        // Looked at between two messages only: what is put must be announced.
        while !stop.is_cancelled() {
            if self.events() < delivered() + outstanding {
                let (again, repeat) = {
                    let mut state = self.state();
                    (state.rng.u8(..20) == 0, state.rng.u8(..20) == 0)
                };
                self.send(again).await;
                if repeat {
                    self.repeat().await;
                }
            } else {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    pub(crate) fn events(&self) -> usize {
        self.state().sent.iter().map(|sent| sent.selected.len()).sum()
    }

    pub(crate) fn messages(&self) -> usize {
        self.state().messages
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.state().sent.clone()
    }
}

impl State {
    /// Every twelfth file is damaged, and would be selected whole.
    fn file(&mut self, prefix: &str) -> (String, Vec<u8>, Sent) {
        self.seed = self.seed.wrapping_add(1);
        let damaged = self.rng.u8(..12) == 0;
        let spec = FileSpec {
            seed: self.seed,
            records: if damaged { 15 } else { self.rng.usize(1..80) },
            selected_one_in: if damaged { 1 } else { 5 },
            ..FileSpec::default()
        };
        let file = TrailFile::generate(&spec);
        let mut stored = file.gzip();
        let damage = damaged.then(|| damage(&mut stored, self.rng.u8(..3)));
        let selected = match damage {
            Some(_) => Vec::new(),
            None => file.selected_records().map(<[u8]>::to_vec).collect(),
        };
        let key = spec.key(prefix);
        let nowhere = Stored { key: key.clone(), size: 0, etag: String::new(), version_id: None };
        let sent = Sent {
            message: self.messages,
            stored: nowhere,
            records: file.records,
            inflated: file.json.len() as u64,
            sha256: Sha256::digest(&file.json).into(),
            selected,
            damage,
        };
        (key, stored, sent)
    }
}

/// Damages a file; returns the reason for which it will be parked.
fn damage(stored: &mut Vec<u8>, how: u8) -> &'static str {
    match how {
        0 => {
            stored.truncate(stored.len() * 2 / 3);
            "gzip_truncated"
        }
        1 => {
            let trailer = stored.len() - 8;
            stored[trailer] ^= 1;
            "gzip_crc"
        }
        _ => {
            stored.extend(stored.clone());
            "gzip_trailing_member"
        }
    }
}

/// Which object each event is of. Every event of the traffic is there once.
pub(crate) fn owners(sent: &[Sent]) -> HashMap<&[u8], usize> {
    let mut owners = HashMap::new();
    for (object, sent) in sent.iter().enumerate() {
        for event in &sent.selected {
            assert!(owners.insert(event.as_slice(), object).is_none(), "an event of two objects");
        }
    }
    owners
}

/// The damaged objects by key.
pub(crate) fn damaged(sent: &[Sent]) -> HashMap<&[u8], usize> {
    let damaged = sent.iter().enumerate().filter(|(_, sent)| sent.damage.is_some());
    damaged.map(|(object, sent)| (sent.stored.key.as_bytes(), object)).collect()
}
