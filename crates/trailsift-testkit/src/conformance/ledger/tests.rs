//! The suite on the fake, and on liars that it must catch.

use std::sync::Mutex;

use trailsift_core::LedgerError;

use super::*;
use crate::{MemoryLedger, lock};

/// What a liar does instead.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    None,
    AnswersAnErrorForWhatItDoesNotKnow,
    ForgetsWithTheProcess,
    LowersPlaces,
    CutsPlacesTo32Bits,
    SaysSettledAndNotesNothing,
    SettlesForEverybody,
    ReplacesSinks,
    ForgetsProgressWhenSettled,
    KeepsWhatWasFedOtherwise,
    ReopensWhatIsAcknowledgedAfterwards,
    RefusesTimesBefore1970,
    TakesVersionsForEntityTags,
    CutsTextAtNul,
    FoldsCase,
    PutsPartsTogether,
    ForgetsOnWhoseBehalf,
    ForgetsWhatIsParked,
    KeepsWhatWasParked,
    SplitsSinksAtCommas,
    AnswersBeforeItNotes,
    SettlesHalfWhenDropped,
}

/// A call that a liar has answered and not yet carried out.
type Owed = (ObjectId, String, u64);

#[derive(Debug)]
struct Liar {
    honest: MemoryLedger,
    lie: Lie,
    owed: Mutex<Option<Owed>>,
}

impl Liar {
    /// The name under which the liar files this object.
    fn name(&self, object: &ObjectId) -> ObjectId {
        let cut = |text: &str| text.split('\0').next().unwrap_or_default().to_owned();
        let ObjectId { account, bucket, key, revision } = object.clone();
        match (self.lie, revision) {
            (Lie::ForgetsOnWhoseBehalf, _) => ObjectId { account: String::new(), ..object.clone() },
            (Lie::TakesVersionsForEntityTags, Revision::Version(text)) => {
                etag(&bucket, &key, &text)
            }
            (Lie::CutsTextAtNul, Revision::Etag(text)) => etag(&bucket, &cut(&key), &text),
            (Lie::FoldsCase, Revision::Etag(text)) => etag(&bucket, &key.to_lowercase(), &text),
            (Lie::PutsPartsTogether, Revision::Etag(text)) => {
                etag("", &(account + &bucket + &key + &text), "")
            }
            _ => object.clone(),
        }
    }
}

#[async_trait]
impl Ledger for Liar {
    async fn recall(&self, object: &ObjectId) -> Result<Known, LedgerError> {
        let object = self.name(object);
        let known = self.honest.recall(&object).await?;
        if self.lie == Lie::AnswersAnErrorForWhatItDoesNotKnow && known == Known::default() {
            return Err(LedgerError(format!("{object} is not found")));
        }
        let owed = lock(&self.owed).take();
        if let Some((object, sink, below)) = owed {
            self.honest.acknowledged(&object, &sink, below).await?;
        }
        Ok(known)
    }

    async fn acknowledged(
        &self,
        object: &ObjectId,
        sink: &str,
        below: u64,
    ) -> Result<(), LedgerError> {
        let object = self.name(object);
        match self.lie {
            Lie::LowersPlaces => {
                let mut others = self.honest.entry(&object).known.acknowledged;
                others.insert(sink.to_owned(), below);
                self.honest.forget();
                for (sink, below) in others {
                    self.honest.acknowledged(&object, &sink, below).await?;
                }
                Ok(())
            }
            Lie::CutsPlacesTo32Bits => {
                self.honest.acknowledged(&object, sink, below & 0xffff_ffff).await
            }
            Lie::ReopensWhatIsAcknowledgedAfterwards => {
                if self.honest.entry(&object).known.has_all(sink) {
                    self.honest.forget();
                }
                self.honest.acknowledged(&object, sink, below).await
            }
            Lie::AnswersBeforeItNotes => {
                *lock(&self.owed) = Some((object, sink.to_owned(), below));
                Ok(())
            }
            _ => self.honest.acknowledged(&object, sink, below).await,
        }
    }

    async fn settled(&self, object: &ObjectId, settlement: &Settlement) -> Result<(), LedgerError> {
        let object = self.name(object);
        let mut settlement = settlement.clone();
        let before = self.honest.entry(&object).known;
        match self.lie {
            Lie::SaysSettledAndNotesNothing => return Ok(()),
            Lie::SettlesForEverybody => settlement.sinks.extend(before.acknowledged.into_keys()),
            Lie::ReplacesSinks => {
                self.honest.forget();
                for (sink, below) in before.acknowledged {
                    if below < Known::ALL {
                        self.honest.acknowledged(&object, &sink, below).await?;
                    }
                }
            }
            Lie::ForgetsProgressWhenSettled => self.honest.forget(),
            Lie::KeepsWhatWasFedOtherwise => {
                self.honest.settled(&object, &settlement).await?;
                for (sink, below) in before.acknowledged {
                    self.honest.acknowledged(&object, &sink, below).await?;
                }
                return Ok(());
            }
            Lie::RefusesTimesBefore1970
                if settlement.first_event.is_some_and(|at| at < SystemTime::UNIX_EPOCH) =>
            {
                return Err(LedgerError("before 1970".to_owned()));
            }
            Lie::SplitsSinksAtCommas => {
                let split = settlement.sinks.iter().flat_map(|sink| sink.split(','));
                settlement.sinks = split.map(str::to_owned).collect();
            }
            Lie::ForgetsWhatIsParked => settlement.parked = None,
            Lie::KeepsWhatWasParked => {
                let first = self.honest.entry(&object).settlement.and_then(|first| first.parked);
                settlement.parked = first.or(settlement.parked);
            }
            Lie::SettlesHalfWhenDropped => {
                let first = settlement.sinks.iter().take(1).cloned().collect();
                let half = Settlement { sinks: first, ..settlement.clone() };
                self.honest.settled(&object, &half).await?;
                tokio::task::yield_now().await;
            }
            _ => {}
        }
        self.honest.settled(&object, &settlement).await
    }
}

#[async_trait]
impl LedgerUnderTest for Liar {
    fn port(&self) -> &dyn Ledger {
        self
    }

    async fn reopen(&mut self) {
        if self.lie == Lie::ForgetsWithTheProcess {
            self.honest.forget();
        }
    }
}

#[async_trait]
impl LedgerFactory for Lie {
    async fn make(&self) -> Box<dyn LedgerUnderTest> {
        Box::new(Liar { honest: MemoryLedger::new(), lie: *self, owed: Mutex::default() })
    }
}

#[tokio::test]
async fn the_ledger_in_memory_keeps_the_promises_of_the_port() {
    let report = ledger(&Lie::None).await;
    report.assert_passed();
    assert_eq!(report.passed().len(), 18, "{report}");
}

#[tokio::test]
async fn a_lying_ledger_is_caught() {
    for (lie, check) in [
        (
            Lie::AnswersAnErrorForWhatItDoesNotKnow,
            "an_object_never_heard_of_is_no_error_and_nothing_is_known",
        ),
        (Lie::ForgetsWithTheProcess, "what_was_acknowledged_outlives_the_process"),
        (Lie::LowersPlaces, "the_higher_place_stands"),
        (Lie::CutsPlacesTo32Bits, "places_of_any_size_are_kept"),
        (Lie::SaysSettledAndNotesNothing, "what_is_settled_outlives_the_process"),
        (Lie::SettlesForEverybody, "a_settled_object_leaves_other_sinks_as_they_were"),
        (Lie::ForgetsProgressWhenSettled, "a_settled_object_leaves_other_sinks_as_they_were"),
        (Lie::KeepsWhatWasFedOtherwise, "settling_a_sink_ends_its_progress_however_it_was_fed"),
        (Lie::ReplacesSinks, "settling_again_adds_sinks"),
        (Lie::ReopensWhatIsAcknowledgedAfterwards, "nothing_takes_back_what_is_settled"),
        (Lie::RefusesTimesBefore1970, "settlements_of_any_figures_are_taken"),
        (Lie::TakesVersionsForEntityTags, "revisions_of_one_object_are_told_apart"),
        (Lie::CutsTextAtNul, "objects_are_told_apart_whatever_their_names"),
        (Lie::FoldsCase, "objects_are_told_apart_whatever_their_names"),
        (Lie::PutsPartsTogether, "objects_are_told_apart_whatever_their_names"),
        (Lie::ForgetsOnWhoseBehalf, "objects_are_told_apart_whatever_their_names"),
        (Lie::ForgetsWhatIsParked, "the_latest_settlement_says_why_the_object_is_parked"),
        (Lie::KeepsWhatWasParked, "the_latest_settlement_says_why_the_object_is_parked"),
        (Lie::SplitsSinksAtCommas, "sinks_are_told_apart_whatever_their_names"),
        (Lie::AnswersBeforeItNotes, "an_answered_call_is_known_at_once"),
        (Lie::AnswersBeforeItNotes, "calls_for_one_object_at_once_all_count"),
        (Lie::ReplacesSinks, "calls_for_one_object_at_once_all_count"),
        (Lie::ForgetsProgressWhenSettled, "calls_for_many_objects_at_once_all_count"),
        (Lie::SettlesHalfWhenDropped, "a_dropped_call_is_carried_out_whole_or_not_at_all"),
    ] {
        let report = ledger(&lie).await.to_string();
        let failed = format!("FAILED {check}:");
        assert!(report.contains(&failed), "{lie:?} is not caught by {check}: {report}");
    }
}
