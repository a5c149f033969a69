use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use async_trait::async_trait;

use crate::Reason;

/// Names bytes that never change, on behalf of one account: one revision of one object.
///
/// A name alone will not do: the object may be overwritten, and then it is another one. Two objects
/// with equal content are still two, and so is one object that two accounts are notified of, for
/// their routes may differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// The configured account on whose behalf it is read.
    pub account: String,
    /// The bucket.
    pub bucket: String,
    /// The key as S3 stores it.
    pub key: String,
    /// Which of the bytes that were ever stored there.
    pub revision: Revision,
}

/// What tells one revision of an object from the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Revision {
    /// The version of an object in a versioned bucket.
    Version(String),
    /// The entity tag without its quotes, where there is no version.
    Etag(String),
}

/// The version of what was put while versioning was suspended: it is overwritten in place, so it
/// names no revision.
const NULL_VERSION: &str = "null";

impl Revision {
    /// The version where there is one, else the entity tag (with or without quotes). `None` where
    /// there is neither: of such an object nothing can be remembered.
    pub fn of(version_id: Option<&str>, etag: Option<&str>) -> Option<Self> {
        let version = version_id.filter(|version| !version.is_empty() && *version != NULL_VERSION);
        let etag = etag.map(|etag| etag.trim_matches('"')).filter(|etag| !etag.is_empty());
        match (version, etag) {
            (Some(version), _) => Some(Self::Version(version.to_owned())),
            (None, Some(etag)) => Some(Self::Etag(etag.to_owned())),
            (None, None) => None,
        }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key.escape_debug())?;
        match &self.revision {
            Revision::Version(version) => write!(f, "?versionId={}", version.escape_debug()),
            Revision::Etag(etag) => write!(f, " (ETag {})", etag.escape_debug()),
        }
    }
}

/// What the ledger knows of one revision of an object. The default is: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// By sink: it has acknowledged every record that it was owed whose place in the file is below
    /// this. [`Known::ALL`] means that it is owed nothing more.
    pub acknowledged: BTreeMap<String, u64>,
    /// The reason ([`Reason::as_str`]) for which the object as a whole is in the quarantine, by the
    /// latest settlement. Its cause may be mended one day, and then sinks are owed what was not
    /// readable before.
    pub parked: Option<String>,
}

impl Known {
    /// Beyond every place in a file.
    pub const ALL: u64 = u64::MAX;

    /// The place from which on this sink is owed the object's records: 0 for one never heard of.
    pub fn owed_from(&self, sink: &str) -> u64 {
        self.acknowledged.get(sink).copied().unwrap_or(0)
    }

    /// Whether this sink is owed nothing more of the object.
    pub fn has_all(&self, sink: &str) -> bool {
        self.owed_from(sink) == Self::ALL
    }
}

/// The end of the work on one revision of an object: what is kept as evidence that it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The entity tag of what was read, where the store named one.
    pub etag: Option<String>,
    /// The version that was read, on a versioned bucket.
    pub version_id: Option<String>,
    /// The sinks that are owed nothing more of it.
    pub sinks: Vec<String>,
    /// Why the object as a whole is in the quarantine; `None` where it was read to its end.
    pub parked: Option<Reason>,
    /// Bytes after inflation.
    pub inflated: u64,
    /// SHA-256 of the inflated bytes, where it was asked for and the object was read to its end.
    pub sha256: Option<[u8; 32]>,
    /// Records seen: selected, filtered and quarantined ones.
    pub seen: u64,
    /// Records that a route selected.
    pub selected: u64,
    /// Records parked because they cannot be read.
    pub quarantined: u64,
    /// The earliest `eventTime` of its selected records, if one could be read.
    pub first_event: Option<SystemTime>,
    /// The latest one.
    pub last_event: Option<SystemTime>,
    /// When the work ended, by the clock of the machine.
    pub settled_at: SystemTime,
}

/// What has been done for which object: it outlives the process, and spares a redelivery from
/// sending anything twice.
///
/// It never makes an event safe, it only tells that one is: a ledger that forgets costs duplicates,
/// one that remembers what did not happen costs events. So a write may be lost, but what a call has
/// acknowledged must have happened before it was called. Each method returns within seconds, if
/// need be with an error, and once it has returned `Ok` the fact survives the process. Calls for
/// different objects may run concurrently; a call that is dropped may or may not be carried out.
#[async_trait]
pub trait Ledger: fmt::Debug + Send + Sync {
    /// What is known of the object. An object never heard of is no error.
    async fn recall(&self, object: &ObjectId) -> Result<Known, LedgerError>;

    /// Notes that the sink has acknowledged every record that it was owed whose place in the file
    /// is below `below`. Never takes back what was noted before: the higher place stands. A sink may
    /// be given with more words behind a space, which tell one way of feeding it from others: that
    /// is a name of its own, until the sink without them is settled.
    async fn acknowledged(
        &self,
        object: &ObjectId,
        sink: &str,
        below: u64,
    ) -> Result<(), LedgerError>;

    /// Notes the end of the work: the named sinks are owed nothing more, however they are fed; what
    /// was noted of others stands. Of an object settled before, the sinks are added to those noted then; the rest is
    /// replaced.
    async fn settled(&self, object: &ObjectId, settlement: &Settlement) -> Result<(), LedgerError>;
}

/// The ledger cannot be asked or written to. Nobody waits for it: work goes on without.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LedgerError(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_the_version_or_else_the_entity_tag() {
        let (version, etag) = (Revision::Version("v1".into()), Revision::Etag("abc".into()));
        assert_eq!(Revision::of(Some("v1"), Some("\"abc\"")), Some(version));
        assert_eq!(Revision::of(None, Some("\"abc\"")), Some(etag.clone()));
        assert_eq!(Revision::of(None, Some("abc")), Some(etag.clone()));
        assert_eq!(Revision::of(Some(""), Some("abc")), Some(etag));
        assert_eq!(Revision::of(None, None), None);
        assert_eq!(Revision::of(None, Some("\"\"")), None);
    }

    #[test]
    fn the_null_version_names_no_revision_for_it_is_overwritten_in_place() {
        let of = |etag| Revision::of(Some("null"), Some(etag));
        assert_ne!(of("\"abc\""), of("\"def\""));
        assert_eq!(Revision::of(Some("null"), None), None);
    }

    #[test]
    fn an_unknown_sink_is_owed_everything() {
        let acknowledged = [("a".into(), 3), ("b".into(), Known::ALL)].into();
        let known = Known { acknowledged, parked: None };
        assert_eq!([known.owed_from("a"), known.owed_from("c")], [3, 0]);
        assert!(known.has_all("b") && !known.has_all("a") && !known.has_all("c"));
    }
}
