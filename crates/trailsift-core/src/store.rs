use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::{Disposition, LogFile, Reason};

/// The bytes of an object as stored, in order. It ends with the object, or with an error after
/// which nothing more comes. A stream that ends early without an error is possible too: the reader
/// compares with [`OpenObject::remaining`].
pub type Body = BoxStream<'static, Result<Bytes, StoreError>>;

/// An object that answered.
pub struct OpenObject {
    /// The size of the whole object as stored, in bytes.
    pub size: Option<u64>,
    /// How many bytes the body will have: the size, less where it was resumed.
    pub remaining: Option<u64>,
    /// The entity tag of what is being read, quotes included as S3 sends them.
    pub etag: Option<String>,
    /// The version that is being read, on a versioned bucket.
    pub version_id: Option<String>,
    /// The bytes.
    pub body: Body,
}

impl fmt::Debug for OpenObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenObject")
            .field("size", &self.size)
            .field("remaining", &self.remaining)
            .field("etag", &self.etag)
            .field("version_id", &self.version_id)
            .finish_non_exhaustive()
    }
}

/// Where to go on reading, and of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The first byte wanted.
    pub offset: u64,
    /// The entity tag that must still hold, or the answer is [`StoreError::Changed`].
    pub etag: String,
}

/// Where trail files are: S3, or something that keeps the same promises.
///
/// The fetcher calls it, for many files at once. `open` gives up by itself on a server that does
/// not answer; the body has no deadline of its own, the fetcher sets one.
#[async_trait]
pub trait ObjectStore: fmt::Debug + Send + Sync {
    /// Asks for the object, from its start or from where a broken read can be resumed.
    async fn open(&self, file: &LogFile, from: Option<&Resume>) -> Result<OpenObject, StoreError>;
}

/// What went wrong at the object store, by meaning. The text names the service's own words.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No such object or bucket.
    #[error("the object is missing: {0}")]
    NotFound(String),
    /// The version is a delete marker, or deleted.
    #[error("the version is deleted: {0}")]
    DeletedVersion(String),
    /// Not allowed; S3 says the same of a missing object to callers without `s3:ListBucket`.
    #[error("access is denied, or the object is missing and s3:ListBucket is not granted: {0}")]
    Denied(String),
    /// The bucket is proved to belong to another account than the expected one: allowed, but for the
    /// owner. Somebody else has the bucket's name, or the notification was meant to deceive.
    #[error("the bucket does not belong to account {expected}: {message}")]
    WrongOwner {
        /// The account that should own it.
        expected: String,
        /// The service's words.
        message: String,
    },
    /// The key that encrypts the object cannot be used.
    #[error("the object's KMS key cannot be used: {0}")]
    KmsDenied(String),
    /// The bucket is in another region.
    #[error("the bucket is in another region ({}): {message}", region.as_deref().unwrap_or("not named"))]
    WrongRegion {
        /// The region that the service names.
        region: Option<String>,
        /// The service's words.
        message: String,
    },
    /// The object is archived and must be restored first.
    #[error("the object is archived: {0}")]
    Archived(String),
    /// The entity tag no longer matches: the object was overwritten.
    #[error("the object changed while it was read: {0}")]
    Changed(String),
    /// The service asks us to slow down.
    #[error("the object store throttles: {message}")]
    Throttled {
        /// How long it asks us to wait.
        after: Option<Duration>,
        /// The service's words.
        message: String,
    },
    /// The body broke off or stalled.
    #[error("the body was interrupted: {0}")]
    Interrupted(String),
    /// The body came to its end, but is not what the service's own checksum promises. Which bytes
    /// are wrong is unknown, so it cannot be resumed.
    #[error("the body does not match its checksum: {0}")]
    ChecksumMismatch(String),
    /// Everything else, also what nobody recognises.
    #[error("the object store is unavailable: {0}")]
    Unavailable(String),
}

impl StoreError {
    /// The word for it in metric labels: a closed set.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::DeletedVersion(_) => "deleted_version",
            Self::Denied(_) => "access_denied",
            Self::WrongOwner { .. } => "bucket_owner_mismatch",
            Self::KmsDenied(_) => "kms_denied",
            Self::WrongRegion { .. } => "wrong_region",
            Self::Archived(_) => "archived",
            Self::Changed(_) => "changed",
            Self::Throttled { .. } => "throttled",
            Self::Interrupted(_) => "interrupted",
            Self::ChecksumMismatch(_) => "checksum_mismatch",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// What to do, and under which name to park the object once its attempts are spent.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::DeletedVersion(_) => Disposition::Poison { reason: Reason::DeletedVersion },
            Self::Archived(_) => Disposition::Poison { reason: Reason::Archived },
            Self::WrongOwner { .. } => Disposition::Poison { reason: Reason::BucketOwnerMismatch },
            Self::Throttled { after, .. } => Disposition::Retry { after: *after },
            _ => Disposition::RETRY,
        }
    }

    /// The name under which an object goes to the quarantine when this error outlives its attempts.
    /// `None` where the fault is not the object's, so that retrying never ends.
    pub fn exhausted(&self) -> Option<Reason> {
        match self {
            Self::NotFound(_) => Some(Reason::ObjectMissing),
            Self::DeletedVersion(_) => Some(Reason::DeletedVersion),
            Self::Denied(_) => Some(Reason::AccessDenied),
            Self::WrongRegion { .. } => Some(Reason::WrongRegion),
            Self::Archived(_) => Some(Reason::Archived),
            Self::WrongOwner { .. } => Some(Reason::BucketOwnerMismatch),
            Self::ChecksumMismatch(_) => Some(Reason::ChecksumMismatch),
            Self::Changed(_) => Some(Reason::Unreadable),
            // The network's fault, the service's, or the key's, and with it every object's.
            Self::KmsDenied(_)
            | Self::Interrupted(_)
            | Self::Throttled { .. }
            | Self::Unavailable(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_the_objects_fault_never_parks_it() {
        let text = String::new;
        let throttled =
            StoreError::Throttled { after: Some(Duration::from_secs(7)), message: text() };
        let expected = Disposition::Retry { after: Some(Duration::from_secs(7)) };
        assert_eq!(throttled.disposition(), expected);
        for error in [
            throttled,
            StoreError::KmsDenied(text()),
            StoreError::Interrupted(text()),
            StoreError::Unavailable(text()),
        ] {
            assert_eq!(error.exhausted(), None, "{error:?}");
            assert!(matches!(error.disposition(), Disposition::Retry { .. }), "{error:?}");
        }
    }

    #[test]
    fn what_never_mends_is_parked_at_once_and_what_may_mend_after_its_attempts() {
        let text = String::new;
        let owner = StoreError::WrongOwner { expected: text(), message: text() };
        let region = StoreError::WrongRegion { region: None, message: text() };
        for (error, reason, at_once) in [
            (owner, Reason::BucketOwnerMismatch, true),
            (StoreError::DeletedVersion(text()), Reason::DeletedVersion, true),
            (StoreError::Archived(text()), Reason::Archived, true),
            (StoreError::NotFound(text()), Reason::ObjectMissing, false),
            (StoreError::Denied(text()), Reason::AccessDenied, false),
            (region, Reason::WrongRegion, false),
            (StoreError::Changed(text()), Reason::Unreadable, false),
            (StoreError::ChecksumMismatch(text()), Reason::ChecksumMismatch, false),
        ] {
            assert_eq!(error.exhausted(), Some(reason), "{error:?}");
            let poison = error.disposition() == Disposition::Poison { reason };
            assert_eq!(poison, at_once, "{error:?}");
        }
    }
}
