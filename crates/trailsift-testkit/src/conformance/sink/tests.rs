//! The suite on a sink in memory, and on liars that it must catch.

use std::mem::take;
use std::sync::Mutex;

use tokio::time::Instant;
use trailsift_core::{Disposition, Failure, Limits, Reason};

use super::*;
use crate::lock;

/// What a liar does instead.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    None,
    SaysThatItIsUnwell,
    SendsTwice,
    AcknowledgesBeforeItSends,
    RefusesNothingToDo,
    SendsNothingAsAnEvent,
    UnescapesText,
    TrimsSpace,
    LosesWhatIsSentAtOnce,
    PromisesLargerEvents,
    PromisesLargerBatches,
    PromisesMoreEvents,
    BelievesAnAnswerInPart,
    DisbelievesAnAnswerInPart,
    CondemnsTheRestOfAnAnswerInPart,
    CountsFromOne,
    CondemnsWhatGotNoAnswer,
    CondemnsWhatIsThrottled,
    RefusesTheNeighboursToo,
    KeepsSilentAboutTheRefused,
    RetriesTheRefused,
    AcknowledgesWhileDown,
    CondemnsWhileDown,
    StaysUnwell,
    IsStuckOnceDropped,
    SendsAllOfItAgain,
    AcknowledgesAtTheDeadline,
    NeverGivesUp,
    SendsWhatIsTooLarge,
    AnswersBeforeTheOutageEnds,
}

const LIMITS: Limits = Limits { events: 10, bytes: 4096, entry_bytes: 1024 };

/// A service in memory, and a sink that lies about it.
#[derive(Clone, Debug)]
struct World {
    lie: Lie,
    service: Arc<Mutex<Service>>,
    /// What else it can do; the gaps otherwise.
    able: bool,
}

#[derive(Debug, Default)]
struct Service {
    arrived: Vec<String>,
    late: Vec<String>,
    down: bool,
    was_down: bool,
    lose_answer: bool,
    throttle: bool,
    first_only: bool,
    refused: Vec<&'static str>,
    writing: u32,
    stuck: bool,
}

impl World {
    fn new(lie: Lie) -> Self {
        Self { lie, service: Arc::default(), able: true }
    }

    fn lies(&self, lie: Lie) -> bool {
        self.lie == lie
    }

    fn able(&self, change: impl FnOnce(&mut Service)) -> bool {
        if self.able {
            change(&mut lock(&self.service));
        }
        self.able
    }

    /// What the service does with one write, and what the sink makes of its answer.
    fn serve(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        let rejected = || SinkError::poison(Reason::SinkRejected, "refused");
        let mut service = lock(&self.service);
        if service.down {
            return match self.lie {
                Lie::AcknowledgesWhileDown => Ok(WriteOutcome::default()),
                Lie::CondemnsWhileDown => Err(rejected()),
                _ => Err(SinkError::retry("the service is down")),
            };
        }
        if take(&mut service.throttle) {
            return match self.lie {
                Lie::CondemnsWhatIsThrottled => Err(rejected()),
                _ => Err(SinkError::retry("too many")),
            };
        }
        let first_only = take(&mut service.first_only);
        let lose_answer = take(&mut service.lose_answer);
        let alone = service.writing == 1 || !self.lies(Lie::LosesWhatIsSentAtOnce);
        let mut failures = Vec::new();
        for (index, entry) in batch.entries.iter().enumerate() {
            let mut text = String::from_utf8_lossy(&entry.data).into_owned();
            let too_large = text.len() > LIMITS.entry_bytes;
            let refused = service.refused.iter().any(|refused| text.contains(refused));
            let others = self.lies(Lie::RefusesTheNeighboursToo)
                && batch.entries.iter().any(|other| {
                    let other = String::from_utf8_lossy(&other.data);
                    service.refused.iter().any(|refused| other.contains(refused))
                });
            let error = match self.lie {
                _ if too_large && self.lie != Lie::SendsWhatIsTooLarge => {
                    Some(SinkError::poison(Reason::SinkRecordTooLarge, "too large"))
                }
                _ if index >= LIMITS.events => Some(SinkError::retry("too many")),
                Lie::KeepsSilentAboutTheRefused if refused => continue,
                Lie::RetriesTheRefused if refused => Some(SinkError::retry("refused")),
                _ if refused || others => Some(rejected()),
                Lie::BelievesAnAnswerInPart if first_only && index > 0 => continue,
                Lie::CondemnsTheRestOfAnAnswerInPart if first_only && index > 0 => Some(rejected()),
                _ if first_only && index > 0 => Some(SinkError::retry("not taken")),
                _ => None,
            };
            if let Some(error) = error {
                let index = index + usize::from(self.lies(Lie::CountsFromOne));
                failures.push(Failure { index, error });
                continue;
            }
            match self.lie {
                Lie::UnescapesText => text = text.replace("\\/", "/"),
                Lie::TrimsSpace => text = text.replace("  ", " "),
                Lie::SendsTwice => service.arrived.push(text.clone()),
                _ => {}
            }
            match self.lie {
                Lie::AcknowledgesBeforeItSends => service.late.push(text),
                _ if alone => service.arrived.push(text),
                _ => {}
            }
        }
        if batch.bytes() > LIMITS.bytes {
            return Err(SinkError::retry("the batch is too large"));
        }
        if lose_answer {
            return match self.lie {
                Lie::CondemnsWhatGotNoAnswer => Err(rejected()),
                _ => Err(SinkError::retry("no answer")),
            };
        }
        if first_only && self.lies(Lie::DisbelievesAnAnswerInPart) {
            return Err(SinkError::retry("some were not taken"));
        }
        Ok(WriteOutcome { failures })
    }
}

/// Holds the sink's one connection; a liar never gives it back unless the write comes to its end.
struct Writing<'a>(&'a World, bool);

impl<'a> Writing<'a> {
    fn new(world: &'a World) -> Self {
        lock(&world.service).writing += 1;
        Self(world, false)
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let mut service = lock(&self.0.service);
        service.writing -= 1;
        service.stuck |= !self.1 && self.0.lies(Lie::IsStuckOnceDropped);
    }
}

#[async_trait]
impl Sink for World {
    fn name(&self) -> &str {
        "memory"
    }

    fn limits(&self) -> Limits {
        match self.lie {
            _ if !self.able => Limits::NONE,
            Lie::PromisesLargerEvents => Limits { entry_bytes: 2048, ..LIMITS },
            Lie::PromisesLargerBatches => Limits { bytes: 5000, ..LIMITS },
            Lie::PromisesMoreEvents => Limits { events: 11, ..LIMITS },
            _ => LIMITS,
        }
    }

    async fn check(&self) -> Result<(), SinkError> {
        let service = lock(&self.service);
        let unwell =
            self.lies(Lie::SaysThatItIsUnwell) || (service.was_down && self.lies(Lie::StaysUnwell));
        if unwell { Err(SinkError::retry("unwell")) } else { Ok(()) }
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        if batch.entries.is_empty() {
            match self.lie {
                Lie::RefusesNothingToDo => return Err(SinkError::retry("nothing to do")),
                Lie::SendsNothingAsAnEvent => lock(&self.service).arrived.push(String::new()),
                _ => {}
            }
            return Ok(WriteOutcome::default());
        }
        if lock(&self.service).stuck {
            std::future::pending::<()>().await;
        }
        let mut writing = Writing::new(self);
        tokio::time::sleep(Duration::from_millis(2)).await;
        let answer = self.serve(batch);
        writing.1 = true;
        answer
    }
}

/// The least that stands around a sink in the service: batches of 4, and patience.
#[derive(Debug)]
struct Patient {
    world: World,
    patience: Duration,
}

impl Patient {
    /// Writes these again and again. What is left over when the patience has run out fails.
    async fn persist(&self, batch: &Batch, open: Vec<usize>, failures: &mut Vec<Failure>) {
        let started = Instant::now();
        let mut open = open;
        loop {
            let entries = open.iter().map(|index| batch.entries[*index].clone()).collect();
            let offered = Batch { entries, more_follows: false };
            let mut again = Vec::new();
            let named: Vec<(usize, SinkError)> = match self.world.write(&offered).await {
                Ok(outcome) => outcome
                    .failures
                    .into_iter()
                    .map(|f| (open[f.index.min(open.len() - 1)], f.error))
                    .collect(),
                Err(SinkError { disposition, message, .. }) => {
                    let error =
                        || SinkError { disposition, message: message.clone(), source: None };
                    open.iter().map(|index| (*index, error())).collect()
                }
            };
            let spent = started.elapsed() >= self.patience && !self.world.lies(Lie::NeverGivesUp)
                || self.world.lies(Lie::AnswersBeforeTheOutageEnds);
            let some_fail = !named.is_empty();
            for (index, error) in named {
                let retry = matches!(error.disposition, Disposition::Retry { .. });
                if retry && !spent {
                    again.push(index);
                } else if !(retry && self.world.lies(Lie::AcknowledgesAtTheDeadline)) {
                    failures.push(Failure { index, error });
                }
            }
            if again.is_empty() {
                return;
            }
            if !(some_fail && self.world.lies(Lie::SendsAllOfItAgain)) {
                open = again;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[async_trait]
impl Sink for Patient {
    fn name(&self) -> &str {
        "patient"
    }

    fn limits(&self) -> Limits {
        Limits::NONE
    }

    async fn check(&self) -> Result<(), SinkError> {
        self.world.check().await
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        if batch.entries.is_empty() {
            return self.world.write(batch).await;
        }
        let limit = self.world.limits().entry_bytes;
        let mut failures = Vec::new();
        let mut open: Vec<usize> = Vec::new();
        for (index, entry) in batch.entries.iter().enumerate() {
            if entry.data.len() > limit && !self.world.lies(Lie::SendsWhatIsTooLarge) {
                let error = SinkError::poison(Reason::SinkRecordTooLarge, "too large");
                failures.push(Failure { index, error });
            } else {
                open.push(index);
            }
        }
        for part in open.chunks(4) {
            self.persist(batch, part.to_vec(), &mut failures).await;
        }
        failures.sort_by_key(|failure| failure.index);
        Ok(WriteOutcome { failures })
    }
}

#[async_trait]
impl SinkWorld for World {
    fn sink(&self) -> Arc<dyn Sink> {
        Arc::new(self.clone())
    }

    fn decorated(&self, patience: Duration) -> Arc<dyn Sink> {
        Arc::new(Patient { world: self.clone(), patience })
    }

    async fn arrived(&self) -> Vec<String> {
        lock(&self.service).arrived.clone()
    }

    fn lose_next_answer(&self) -> bool {
        self.able(|service| service.lose_answer = true)
    }

    fn break_down(&self) {
        let mut service = lock(&self.service);
        (service.down, service.was_down) = (true, true);
    }

    fn recover(&self) {
        lock(&self.service).down = false;
    }

    fn throttle_next(&self) -> bool {
        self.able(|service| service.throttle = true)
    }

    fn take_first_only(&self) -> bool {
        self.able(|service| service.first_only = true)
    }

    fn refuse(&self, text: &'static str) -> bool {
        self.able(|service| service.refused.push(text))
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_in_memory_keeps_the_promises_of_the_port() {
    let report = sink_report(&World::new(Lie::None)).await;
    report.assert_passed();
    assert_eq!(report.passed().len(), 18, "{report}");
}

#[tokio::test(start_paused = true)]
async fn what_a_world_cannot_do_is_named() {
    let world = World { able: false, ..World::new(Lie::None) };
    let gaps = [
        Gap::NoLimit,
        Gap::NeverTakesInPart,
        Gap::AnswersAreNeverLost,
        Gap::NeverThrottles,
        Gap::NeverRefusesOne,
    ];
    assert_eq!(sink(&world).await, gaps);
}

#[tokio::test(start_paused = true)]
async fn a_lying_sink_is_caught() {
    for (lie, check) in [
        (Lie::SaysThatItIsUnwell, "everything_arrives_once_when_nothing_fails"),
        (Lie::SendsTwice, "everything_arrives_once_when_nothing_fails"),
        (Lie::AcknowledgesBeforeItSends, "everything_arrives_once_when_nothing_fails"),
        (Lie::AcknowledgesBeforeItSends, "every_byte_of_an_event_arrives"),
        (Lie::RefusesNothingToDo, "an_empty_batch_is_no_error_and_sends_nothing"),
        (Lie::SendsNothingAsAnEvent, "an_empty_batch_is_no_error_and_sends_nothing"),
        (Lie::UnescapesText, "every_byte_of_an_event_arrives"),
        (Lie::TrimsSpace, "every_byte_of_an_event_arrives"),
        (Lie::LosesWhatIsSentAtOnce, "writes_at_once_do_not_disturb_each_other"),
        (Lie::PromisesLargerEvents, "a_batch_at_the_limits_is_taken"),
        (Lie::PromisesLargerBatches, "a_batch_at_the_limits_is_taken"),
        (Lie::PromisesMoreEvents, "a_batch_at_the_limits_is_taken"),
        (Lie::BelievesAnAnswerInPart, "what_is_acknowledged_of_a_write_in_part_has_arrived"),
        (
            Lie::CondemnsTheRestOfAnAnswerInPart,
            "what_is_acknowledged_of_a_write_in_part_has_arrived",
        ),
        (Lie::CountsFromOne, "what_is_acknowledged_of_a_write_in_part_has_arrived"),
        (
            Lie::DisbelievesAnAnswerInPart,
            "what_is_taken_in_part_is_completed_and_the_rest_is_not_sent_again",
        ),
        (
            Lie::SendsAllOfItAgain,
            "what_is_taken_in_part_is_completed_and_the_rest_is_not_sent_again",
        ),
        (Lie::CondemnsWhatGotNoAnswer, "an_answer_that_is_lost_condemns_no_event"),
        (Lie::CondemnsWhatGotNoAnswer, "a_lost_answer_costs_a_duplicate_and_never_an_event"),
        (Lie::CondemnsWhatIsThrottled, "throttling_condemns_no_event"),
        (Lie::CondemnsWhatIsThrottled, "throttling_delays_and_loses_nothing"),
        (Lie::RefusesTheNeighboursToo, "a_refused_event_is_poison_and_its_neighbours_are_not"),
        (
            Lie::RefusesTheNeighboursToo,
            "refused_events_are_poison_and_their_neighbours_arrive_once",
        ),
        (Lie::KeepsSilentAboutTheRefused, "a_refused_event_is_poison_and_its_neighbours_are_not"),
        (Lie::RetriesTheRefused, "a_refused_event_is_poison_and_its_neighbours_are_not"),
        (Lie::RetriesTheRefused, "refused_events_are_poison_and_their_neighbours_arrive_once"),
        (Lie::AcknowledgesWhileDown, "an_outage_acknowledges_nothing_and_condemns_no_event"),
        (Lie::CondemnsWhileDown, "an_outage_acknowledges_nothing_and_condemns_no_event"),
        (Lie::StaysUnwell, "an_outage_acknowledges_nothing_and_condemns_no_event"),
        (Lie::IsStuckOnceDropped, "a_dropped_write_leaves_the_sink_well"),
        (Lie::AnswersBeforeTheOutageEnds, "the_backlog_of_an_outage_drains_after_it"),
        (
            Lie::AcknowledgesAtTheDeadline,
            "what_fails_until_the_deadline_is_given_back_and_not_acknowledged",
        ),
        (Lie::NeverGivesUp, "what_fails_until_the_deadline_is_given_back_and_not_acknowledged"),
        (Lie::SendsWhatIsTooLarge, "what_is_larger_than_the_sink_takes_is_poison_and_never_sent"),
    ] {
        let report = sink_report(&World::new(lie)).await.to_string();
        let failed = format!("FAILED {check}:");
        assert!(report.contains(&failed), "{lie:?} is not caught by {check}: {report}");
    }
}
