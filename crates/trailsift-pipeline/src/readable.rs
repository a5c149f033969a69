//! Whether an account's files can be read at all: what readiness says of S3.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use trailsift_core::{LogFile, ObjectStore, OpenObject, Resume, StoreError};

use crate::dispatcher::chain;
use crate::health::AccountHealth;

/// How many reads in a row must be refused until that is no single object's fault.
const IN_A_ROW: u32 = 3;

/// A store that tells the account's health how reading fares. Asks nothing by itself: an account of which
/// nothing is read is as well as its queue.
#[derive(Debug)]
pub(crate) struct Readable {
    store: Arc<dyn ObjectStore>,
    health: Arc<AccountHealth>,
    refused: AtomicU32,
}

impl Readable {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, health: Arc<AccountHealth>) -> Self {
        Self { store, health, refused: AtomicU32::new(0) }
    }

    fn note(&self, error: &StoreError) {
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
        let in_a_row = self.refused.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if in_a_row >= least {
            self.health.reads(Some(chain(error)));
        }
    }
}

#[async_trait]
impl ObjectStore for Readable {
    async fn open(&self, file: &LogFile, from: Option<&Resume>) -> Result<OpenObject, StoreError> {
        let opened = self.store.open(file, from).await;
        match &opened {
            Ok(_) => {
                if self.refused.swap(0, Ordering::Relaxed) > 0 {
                    self.health.reads(None);
                }
            }
            Err(error) => self.note(error),
        }
        opened
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::StreamExt as _;
    use futures::stream;

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

    /// After each answer: is the account well?
    async fn well_after(answers: Vec<Option<StoreError>>) -> Vec<bool> {
        let health = Health::default();
        let of_account = Arc::new(health.of_account("production"));
        let count = answers.len();
        let store = Readable::new(Arc::new(Told(Mutex::new(answers))), of_account);
        let file = LogFile {
            bucket: "org-trail".into(),
            key: "k".into(),
            version_id: None,
            expected_owner: None,
        };
        let mut well = Vec::new();
        for _ in 0..count {
            drop(store.open(&file, None).await);
            well.push(health.troubles().is_empty());
        }
        well
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
}
