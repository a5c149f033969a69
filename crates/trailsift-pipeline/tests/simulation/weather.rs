//! What befalls the calls between a replica and the things it works with.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use crate::dice::Dice;

/// What is at the other end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    Queue,
    Store,
    Sink,
    Quarantine,
    Ledger,
}

/// Something that never works until the weather clears up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stuck {
    Sink(&'static str),
    Account(usize),
    Key(String),
}

/// How often, of a hundred calls, something goes wrong at a port.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Climate {
    pub(crate) queue: usize,
    pub(crate) store: usize,
    pub(crate) sink: usize,
    pub(crate) quarantine: usize,
    pub(crate) ledger: usize,
    /// The longest way of a request, and of its answer.
    pub(crate) latency: Duration,
    /// The longest time that a slow sink takes for a write, every tenth one.
    pub(crate) slow_sink: Duration,
}

/// The faults of a world, for as long as there are any.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    pub(crate) dice: Dice,
    now: Arc<Mutex<Now>>,
    cleared: Arc<Notify>,
}

#[derive(Debug)]
struct Now {
    climate: Climate,
    stuck: Option<Stuck>,
    clear: bool,
}

/// What happens to one call.
struct Fate {
    there: Duration,
    back: Duration,
    request_lost: bool,
    answer_lost: bool,
    /// It waits for better weather.
    held: bool,
    /// It goes on although its caller has gone.
    detached: bool,
}

impl Weather {
    pub(crate) fn new(dice: &Dice, climate: Climate, stuck: Option<Stuck>) -> Self {
        let now = Now { climate, stuck, clear: false };
        let cleared = Arc::new(Notify::new());
        Self { dice: dice.clone(), now: Arc::new(Mutex::new(now)), cleared }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing fails from now on, what was held goes on, and nothing takes long.
    pub(crate) fn clear_up(&self) {
        let mut now = self.now();
        now.climate = Climate { latency: now.climate.latency, ..Climate::default() };
        now.stuck = None;
        now.clear = true;
        drop(now);
        self.cleared.notify_waiters();
    }

    pub(crate) async fn until_clear(&self) {
        let cleared = self.cleared.notified();
        if !self.now().clear {
            cleared.await;
        }
    }

    pub(crate) fn is_stuck(&self, part: &Stuck) -> bool {
        self.now().stuck.as_ref() == Some(part)
    }

    /// Whether something goes wrong at this port now.
    pub(crate) fn strikes(&self, port: Port) -> bool {
        let climate = self.now().climate;
        let chance = match port {
            Port::Queue => climate.queue,
            Port::Store => climate.store,
            Port::Sink => climate.sink,
            Port::Quarantine => climate.quarantine,
            Port::Ledger => climate.ledger,
        };
        chance > 0 && self.dice.percent(chance)
    }

    fn fate(&self, port: Port) -> Fate {
        let Climate { latency, slow_sink, .. } = self.now().climate;
        let mut fate = Fate {
            there: self.dice.up_to(latency),
            back: self.dice.up_to(latency),
            request_lost: false,
            answer_lost: false,
            held: false,
            detached: self.dice.one_in(2),
        };
        if port == Port::Sink && !slow_sink.is_zero() && self.dice.one_in(10) {
            fate.there += self.dice.up_to(slow_sink);
        }
        if !self.strikes(port) {
            return fate;
        }
        let wait = Duration::from_secs(5);
        match self.dice.below(6) {
            0 => fate.request_lost = true,
            1 => fate.answer_lost = true,
            // As long as its client's own timeout allows.
            2 => (fate.request_lost, fate.there) = (true, wait),
            3 => (fate.answer_lost, fate.back) = (true, wait),
            4 => fate.there += self.dice.up_to(wait),
            // No client's timeout ends a write: its decorators, or patience, must.
            _ if port == Port::Sink => fate.held = true,
            _ => fate.back += self.dice.up_to(wait),
        }
        fate
    }

    /// Takes a call to the other end, and its answer back. `None`: no answer came in time, and
    /// nobody knows what has become of the call.
    pub(crate) async fn carry<T: Send + 'static>(
        &self,
        port: Port,
        call: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let Fate { there, back, request_lost, answer_lost, held, detached } = self.fate(port);
        let weather = self.clone();
        let journey = async move {
            pass(there).await;
            if request_lost {
                return None;
            }
            if held {
                weather.until_clear().await;
            }
            let answer = call.await;
            pass(back).await;
            (!answer_lost).then_some(answer)
        };
        if detached {
            #[expect(clippy::disallowed_methods, reason = "a request outlives who sent it")]
            let journey = tokio::spawn(journey);
            journey.await.expect("what is called does not panic")
        } else {
            journey.await
        }
    }
}

async fn pass(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}
