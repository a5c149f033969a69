//! Whether an account's files can be read at all: what readiness says of S3.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};
use trailsift_core::{LogFile, ObjectStore, OpenObject, Resume, StoreError, chain};

use crate::health::AccountHealth;

/// How many reads in a row must be refused until that is no single object's fault.
const IN_A_ROW: u32 = 3;
/// How long a refusal says something of other files. Longer than whatever was refused waits until it is
/// tried again, so that it is not forgotten in between.
const LAPSE: Duration = Duration::from_secs(15 * 60);
const LAPSE_CHECK: Duration = Duration::from_secs(60);

/// A store that tells the account's health how reading fares. Asks nothing by itself: an account of which
/// nothing is read is as well as its queue.
///
/// Each bucket is judged by itself, for one that is read says nothing of another that is refused. They
/// are those of the allow-list, so they are few.
#[derive(Debug)]
pub(crate) struct Readable {
    store: Arc<dyn ObjectStore>,
    health: Arc<AccountHealth>,
    /// Whether there is anything in `refused`: the usual read looks at no more than this.
    is_refused: AtomicBool,
    refused: Mutex<BTreeMap<String, Refused>>,
}

/// The refusals of a bucket since it was last read.
#[derive(Debug)]
struct Refused {
    in_a_row: u32,
    last: Instant,
    /// The latest one, where they are enough to say that it is not one object's fault.
    trouble: Option<String>,
}

impl Readable {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, health: Arc<AccountHealth>) -> Self {
        let refused = Mutex::default();
        Self { store, health, is_refused: AtomicBool::new(false), refused }
    }

    fn note_refusal(&self, bucket: &str, error: &StoreError) {
        let least = match error {
            // Every object's fault: it is never given up, so without an alarm nobody would hear of it.
            StoreError::KmsDenied(_) => 1,
            StoreError::Denied(_)
            | StoreError::WrongOwner { .. }
            | StoreError::WrongRegion { .. }
            | StoreError::Unavailable(_) => IN_A_ROW,
            // These say something about the object, or pass by themselves.
            _ => return,
        };
        self.change(|refused| {
            let last = Instant::now();
            let none = Refused { in_a_row: 0, last, trouble: None };
            let of_bucket = refused.entry(bucket.to_owned()).or_insert(none);
            of_bucket.in_a_row = of_bucket.in_a_row.saturating_add(1);
            of_bucket.last = last;
            if of_bucket.in_a_row >= least {
                of_bucket.trouble = Some(chain(error));
            }
        });
    }

    /// Forgets refusals that nothing has followed for long. What was refused is settled by now, or gone:
    /// if it was all that somebody announced, no read might ever come to say that all is well.
    pub(crate) async fn forget_in_time(&self) -> Infallible {
        loop {
            sleep(LAPSE_CHECK).await;
            if self.is_refused.load(Ordering::Relaxed) {
                self.change(|refused| refused.retain(|_, it| it.last.elapsed() < LAPSE));
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Refused>)) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut refused);
        self.is_refused.store(!refused.is_empty(), Ordering::Relaxed);
        let troubles: Vec<&str> = refused.values().filter_map(|it| it.trouble.as_deref()).collect();
        // Under the lock, so that the last word is the last one said.
        self.health.reads((!troubles.is_empty()).then(|| troubles.join("; ")));
    }
}

#[async_trait]
impl ObjectStore for Readable {
    async fn open(&self, file: &LogFile, from: Option<&Resume>) -> Result<OpenObject, StoreError> {
        let opened = self.store.open(file, from).await;
        match &opened {
            Ok(_) if self.is_refused.load(Ordering::Relaxed) => {
                self.change(|refused| drop(refused.remove(&file.bucket)));
            }
            Ok(_) => {}
            Err(error) => self.note_refusal(&file.bucket, error),
        }
        opened
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use futures::stream;
    use tokio::time::timeout;

    use super::*;
    use crate::Health;

    /// Answers what it is told to, in order.
    #[derive(Debug)]
    struct Told(Mutex<Vec<Option<StoreError>>>);

    #[async_trait]
    impl ObjectStore for Told {
        async fn open(&self, _: &LogFile, _: Option<&Resume>) -> Result<OpenObject, StoreError> {
            match self.0.lock().expect("no panic").remove(0) {
                Some(error) => Err(error),
                None => Ok(OpenObject {
                    size: None,
                    remaining: None,
                    etag: None,
                    version_id: None,
                    body: stream::empty().boxed(),
                }),
            }
        }
    }

    fn readable(answers: Vec<Option<StoreError>>) -> (Readable, Health) {
        let health = Health::default();
        let of_account = Arc::new(health.of_account("production"));
        (Readable::new(Arc::new(Told(Mutex::new(answers))), of_account), health)
    }

    fn file_in(bucket: &str) -> LogFile {
        LogFile { bucket: bucket.into(), key: "k".into(), version_id: None, expected_owner: None }
    }

    /// After each answer, from this bucket: is the account well?
    async fn well_after_each(answers: Vec<(&str, Option<StoreError>)>) -> Vec<bool> {
        let (buckets, answers): (Vec<_>, Vec<_>) = answers.into_iter().unzip();
        let (store, health) = readable(answers);
        let mut well = Vec::new();
        for bucket in buckets {
            drop(store.open(&file_in(bucket), None).await);
            well.push(health.troubles().is_empty());
        }
        well
    }

    async fn well_after(answers: Vec<Option<StoreError>>) -> Vec<bool> {
        let answers = answers.into_iter().map(|answer| ("org-trail", answer));
        well_after_each(answers.collect()).await
    }

    #[tokio::test]
    async fn a_key_that_may_not_be_used_makes_the_account_unready_until_a_file_is_read() {
        let denied = || Some(StoreError::KmsDenied("kms:Decrypt".into()));
        assert_eq!(
            well_after(vec![None, denied(), denied(), None]).await,
            [true, false, false, true]
        );
    }

    #[tokio::test]
    async fn only_reads_that_are_refused_one_after_the_other_make_it_unready() {
        let denied = || Some(StoreError::Denied("403".into()));
        let well =
            well_after(vec![denied(), denied(), None, denied(), denied(), denied(), None]).await;
        assert_eq!(well, [true, true, true, true, true, false, true]);
    }

    #[tokio::test]
    async fn what_is_one_objects_fault_says_nothing_about_the_account() {
        let missing = || Some(StoreError::NotFound("404".into()));
        let slow = || Some(StoreError::Throttled { after: None, message: "503".into() });
        let archived = || Some(StoreError::Archived("glacier".into()));
        let answers = vec![missing(), missing(), missing(), missing(), slow(), archived(), slow()];
        assert!(well_after(answers).await.into_iter().all(|well| well));
    }

    #[tokio::test]
    async fn a_bucket_that_is_read_does_not_hide_another_that_is_refused() {
        let denied = || ("new-trail", Some(StoreError::Denied("403".into())));
        let read = |bucket| (bucket, None);
        let old = "org-trail";
        let answers =
            vec![denied(), read(old), denied(), read(old), denied(), read(old), read("new-trail")];
        let well = well_after_each(answers).await;
        assert_eq!(well, [true, true, true, true, false, false, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_that_nothing_follows_does_not_make_it_unready_for_ever() {
        let denied = || Some(StoreError::KmsDenied("kms:Decrypt".into()));
        let (store, health) = readable(vec![denied(), denied()]);
        drop(store.open(&file_in("org-trail"), None).await);
        drop(timeout(LAPSE - 2 * LAPSE_CHECK, store.forget_in_time()).await);
        drop(store.open(&file_in("org-trail"), None).await);
        drop(timeout(LAPSE - 2 * LAPSE_CHECK, store.forget_in_time()).await);
        assert!(!health.troubles().is_empty(), "it is refused again and again");
        drop(timeout(LAPSE, store.forget_in_time()).await);
        assert!(health.troubles().is_empty());
    }
}
