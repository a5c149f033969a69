use std::sync::Arc;
use std::time::Duration;

use trailsift_core::{
    Disposition, Known, LogFile, ObjectId, Reason, Revision, Settlement, Source, StoreError, chain,
};
use trailsift_trail::{Counts, NotifiedObject, ObjectFault, Replay};

use crate::admission::{Admission, admit};
use crate::asked::Asked;
use crate::backoff::full_jitter;
use crate::dispatcher::{Origin, Undelivered, parcel_of};
use crate::notes::warn_of_refused;
use crate::pass::{Broken, Read, Replayed};
use crate::quarantine::Parcel;
use crate::service::Lane;
use crate::spans;

/// How often a missing object is asked for: a notification can overtake nothing, but a version can
/// be replicated late.
const MISSING_ATTEMPTS: u32 = 3;
/// The longest wait before a message whose object failed comes again.
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);
/// The least wait after a refusal: somebody has to change a policy, and all attempts must not be
/// spent within the minute in which one is being changed.
const REFUSED_WAIT: Duration = Duration::from_secs(60);
/// The name under which an object is skipped that the ledger knows to be done.
const DUPLICATE: &str = "duplicate";
/// The least wait before a message comes again whose object another message's work is stuck with.
const BUSY_WAIT: Duration = Duration::from_secs(10);
/// The longest wait that the other side is granted when it asks for one.
const LONGEST_ASKED: Duration = Duration::from_secs(60 * 60);

/// What became of one object of a message.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Read to its end; every selected record is settled.
    Done,
    /// None of our business.
    Skipped(&'static str),
    /// Parked as a whole, durably.
    Quarantined(Reason),
    /// Not settled: the message must come again, not before this long.
    Retry { after: Duration, error: String, fatal: bool },
}

impl Lane {
    /// Does everything that one notified object asks for.
    pub(crate) async fn settle(&self, object: &NotifiedObject, origin: Origin<'_>) -> Outcome {
        let file = match admit(object, &self.account.buckets) {
            Admission::Read(file) => file,
            Admission::Skip(kind) => return Outcome::Skipped(kind),
            Admission::Refuse(reason, error) => {
                let source = self.source_of_notified(object);
                return self.park_once(origin, parcel_of(&source, origin, reason, error)).await;
            }
        };
        // The second of two messages about one object waits for the first, and then finds it done.
        // By name alone: of two notifications one may name the version and the other not.
        let place = LogFile { version_id: None, ..file.clone() };
        let Some(_turn) = self.turns.take(&place).await else {
            return Outcome::Retry {
                after: full_jitter(origin.message.receive_count, LONGEST_WAIT).max(BUSY_WAIT),
                error: format!("{file}: another message's work on the same object goes on"),
                fatal: false,
            };
        };
        let revision = Revision::of(file.version_id.as_deref(), object.etag.as_deref());
        let notified = self.recall(self.object_id(&file, revision)).await;
        let asks_for_records = object.replay.as_ref().is_some_and(Replay::is_of_records);
        let is_done = notified.as_ref().is_some_and(|(_, known)| self.is_done(known));
        if is_done && !asks_for_records {
            return self.duplicate(&file);
        }
        let read = match self.read(&file, object, notified, origin).await {
            Ok(read) => read,
            Err(Broken::Duplicate) => return self.duplicate(&file),
            Err(Broken::Undelivered(Undelivered { what, fatal, after })) => {
                let after = full_jitter(origin.message.receive_count, LONGEST_WAIT)
                    .max(after.min(LONGEST_ASKED));
                return Outcome::Retry { after, error: what, fatal };
            }
            Err(Broken::Store(error)) => return self.not_read(&file, &error, origin).await,
        };
        if let Some(asked) = &read.from.replay {
            return self.replayed(&file, &read, asked, origin).await;
        }
        let outcome = match &read.fault {
            None => Outcome::Done,
            // Its line in the quarantine counts as dealt with: there must be another.
            Some(fault) if object.replay.is_some() => {
                self.park_once(origin, parcel_of_object(&read, fault, origin)).await
            }
            // It is read again in case the cause has been mended; it has not.
            Some(fault) if read.from.known.parked.as_deref() == Some(fault.reason.as_str()) => {
                return self.duplicate(&file);
            }
            Some(fault) => self.park(parcel_of_object(&read, fault, origin)).await,
        };
        if !matches!(outcome, Outcome::Retry { .. }) {
            self.object_attempts.settled(&file);
            self.shared.metrics.balance.count_records(&self.account.name, &read.counts);
            spans::note_counts(&read.counts);
            let was_read = read.fault.is_none() || read.counts.seen > 0;
            self.note(&file, read.traits, &read.counts, was_read);
            self.enter(&read).await;
        }
        outcome
    }

    /// The end of a replay of records: those are delivered, or parked anew, and nothing else is said of
    /// the object.
    async fn replayed(
        &self,
        file: &LogFile,
        read: &Read,
        request: &Asked,
        origin: Origin<'_>,
    ) -> Outcome {
        let Replayed { records, faulty } = read.replayed;
        let (asked, found) = (request.count(), records + faulty);
        let outcome = match &read.fault {
            // Some of them may be beyond the damage, where nobody can look, or too many to be parked.
            Some(fault) if found < asked => {
                self.park_once(origin, parcel_of_object(read, fault, origin)).await
            }
            _ => Outcome::Done,
        };
        if !matches!(outcome, Outcome::Retry { .. }) {
            self.object_attempts.settled(file);
            let counts =
                Counts { seen: found, selected: records, quarantined: faulty, ..Counts::default() };
            self.shared.metrics.balance.count_records(&self.account.name, &counts);
            macro_rules! say {
                ($say:ident, $what:literal) => {
                    tracing::$say!(
                        account = self.account.name,
                        sqs.message_id = %origin.message.id,
                        s3.bucket = file.bucket,
                        s3.key = %file.key.escape_debug(),
                        replay = request.id,
                        asked,
                        records,
                        faulty,
                        $what
                    )
                };
            }
            match found < asked {
                false => say!(info, "records replayed"),
                true => say!(warn, "records replayed, but not all that were asked for are there"),
            }
        }
        outcome
    }

    pub(crate) fn object_id(&self, file: &LogFile, revision: Option<Revision>) -> Option<ObjectId> {
        Some(ObjectId {
            account: self.account.name.clone(),
            bucket: file.bucket.clone(),
            key: file.key.clone(),
            revision: revision?,
        })
    }

    pub(crate) async fn recall(&self, id: Option<ObjectId>) -> Option<(ObjectId, Known)> {
        let id = id?;
        let known = self.shared.dispatcher.books.recall(&id).await;
        Some((id, known))
    }

    pub(crate) fn is_done(&self, known: &Known) -> bool {
        self.shared.dispatcher.owes_nothing(known)
    }

    fn duplicate(&self, file: &LogFile) -> Outcome {
        self.shared.metrics.duplicates_suppressed.inc();
        self.object_attempts.settled(file);
        tracing::debug!(
            account = self.account.name,
            s3.bucket = file.bucket,
            s3.key = %file.key.escape_debug(),
            "done before: nothing of it is owed to any sink"
        );
        Outcome::Skipped(DUPLICATE)
    }

    /// Tells the ledger that the object is done.
    async fn enter(&self, read: &Read) {
        let Some(id) = &read.from.id else { return };
        let Source { etag, version_id, .. } = &*read.from.source;
        let settlement = Settlement {
            etag: etag.clone(),
            version_id: version_id.clone(),
            sinks: self.shared.dispatcher.served(read.fault.is_none()),
            parked: read.fault.as_ref().map(|fault| fault.reason),
            inflated: read.counts.inflated,
            sha256: read.sha256,
            seen: read.counts.seen,
            selected: read.counts.selected,
            quarantined: read.counts.quarantined,
            first_event: read.times.first(),
            last_event: read.times.last(),
            settled_at: self.shared.clock.now(),
        };
        self.shared.dispatcher.books.settled(id, &settlement).await;
    }

    /// Parks what says nothing of an object's content: a message, an entry, an object that was not
    /// read. A message that comes again for another object's sake leaves no second line of it.
    pub(crate) async fn park_once(&self, origin: Origin<'_>, parcel: Parcel<'_>) -> Outcome {
        let (message, line) = (&origin.message.id, (origin.entry, parcel.reason));
        if self.parked.has(message, line) {
            return Outcome::Quarantined(parcel.reason);
        }
        let has_body = parcel.body.is_some();
        let outcome = self.park(parcel).await;
        if let Outcome::Quarantined(_) = outcome {
            self.parked.note(message, line, has_body);
        }
        outcome
    }

    /// Parks a whole object or message.
    async fn park(&self, parcel: Parcel<'_>) -> Outcome {
        let (reason, attempt) = (parcel.reason, parcel.message.receive_count);
        if reason == Reason::BucketNotAllowed {
            warn_of_refused(&parcel);
        }
        match self.shared.dispatcher.quarantine.park(parcel).await {
            Ok(()) => Outcome::Quarantined(reason),
            Err(error) => Outcome::Retry {
                after: full_jitter(attempt, LONGEST_WAIT).max(error.after()),
                error: chain(&error),
                fatal: false,
            },
        }
    }

    /// Decides what a failed read means: again later, or parked once the object itself has failed
    /// often enough.
    async fn not_read(&self, file: &LogFile, error: &StoreError, origin: Origin<'_>) -> Outcome {
        let least = match (error, error.disposition()) {
            (StoreError::Denied(_) | StoreError::WrongRegion { .. }, _) => REFUSED_WAIT,
            (_, Disposition::Retry { after }) => after.unwrap_or_default().min(LONGEST_ASKED),
            _ => Duration::ZERO,
        };
        let wait = |attempt| full_jitter(attempt, LONGEST_WAIT).max(least);
        let (reason, after) = match (error.disposition(), error.exhausted()) {
            (Disposition::Poison { reason }, _) => (Some(reason), Duration::ZERO),
            (_, Some(reason)) => {
                let limit = match error {
                    StoreError::NotFound(_) => {
                        MISSING_ATTEMPTS.min(self.shared.settings.max_receive)
                    }
                    _ => self.shared.settings.max_receive,
                };
                let (attempt, after) = self.object_attempts.failed(file, wait);
                ((attempt >= limit).then_some(reason), after)
            }
            (_, None) => (None, wait(origin.message.receive_count)),
        };
        if let Some(reason) = reason {
            let source = self.source(file, None, file.version_id.clone());
            let error = chain(error);
            // Its attempts stay spent until the message is deleted: another object of it may need more
            // of them, and both must be settled at the same delivery.
            return self.park_once(origin, parcel_of(&source, origin, reason, error)).await;
        }
        let error = format!("{file}: {}", chain(error));
        Outcome::Retry { after, error, fatal: false }
    }

    pub(crate) fn source(
        &self,
        file: &LogFile,
        etag: Option<String>,
        version_id: Option<String>,
    ) -> Arc<Source> {
        Arc::new(Source {
            account: self.account.name.clone(),
            bucket: file.bucket.clone(),
            key: file.key.clone(),
            version_id,
            etag,
        })
    }

    fn source_of_notified(&self, object: &NotifiedObject) -> Source {
        Source {
            account: self.account.name.clone(),
            bucket: object.bucket.clone(),
            key: object.key.clone(),
            version_id: object.version_id.clone(),
            etag: None,
        }
    }
}

/// What is parked of an object that was read and is at fault as a whole.
fn parcel_of_object<'a>(read: &'a Read, fault: &'a ObjectFault, origin: Origin<'a>) -> Parcel<'a> {
    Parcel {
        data: Some(&fault.data),
        ..parcel_of(&read.from.source, origin, fault.reason, fault.detail.clone())
    }
}
