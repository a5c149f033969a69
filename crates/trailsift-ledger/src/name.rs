use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use trailsift_core::{Known, ObjectId, Revision};

/// An object's name as the columns hold it.
pub(crate) struct Name<'a> {
    pub(crate) object: &'a ObjectId,
    pub(crate) kind: &'static str,
    pub(crate) revision: &'a str,
    /// Finds the row: an index over it is a tenth of one over the name. It never stands for the
    /// name, which is compared too. Names of one folder are neighbours in it: objects that arrive
    /// together touch few pages, and a commit writes each page that it touched.
    pub(crate) fingerprint: i64,
}

/// The bits of a fingerprint that tell the names of one folder apart.
const WITHIN_FOLDER: i64 = (1 << 40) - 1;

const VERSION: &str = "version";
const ETAG: &str = "etag";

impl<'a> Name<'a> {
    pub(crate) fn of(object: &'a ObjectId) -> Self {
        let (kind, revision) = match &object.revision {
            Revision::Version(version) => (VERSION, version),
            Revision::Etag(etag) => (ETAG, etag),
        };
        let ObjectId { account, bucket, key, .. } = object;
        let (folder, _) = key.rsplit_once('/').unwrap_or_default();
        let fingerprint = digest(&[account, bucket, folder]) & !WITHIN_FOLDER
            | digest(&[account, bucket, key, kind, revision]) & WITHIN_FOLDER;
        Self { object, kind, revision, fingerprint }
    }

    /// What a row of `settled` must carry for its claim to be believed. A bit that was flipped on
    /// the disk could otherwise make one sink's name another's.
    pub(crate) fn seal_of_end(&self, sinks: &str, parked: Option<&str>) -> i64 {
        let parked = parked.map_or(String::new(), |reason| format!("={reason}"));
        digest(&["end", &self.fingerprint.to_string(), sinks, &parked])
    }

    /// The same of a row of `progress`, where a flipped bit could raise the place.
    pub(crate) fn seal_of_place(&self, sink: &str, below: i64) -> i64 {
        digest(&["place", &self.fingerprint.to_string(), sink, &below.to_string()])
    }
}

/// The revision that these columns name; `None` if no version of this program wrote them.
pub(crate) fn revision(kind: &str, text: String) -> Option<Revision> {
    match kind {
        VERSION => Some(Revision::Version(text)),
        ETAG => Some(Revision::Etag(text)),
        _ => None,
    }
}

/// 64 bits of a SHA-256 over the parts and where each of them ends.
fn digest(parts: &[&str]) -> i64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let hash: [u8; 32] = hash.finalize().into();
    let [a, b, c, d, e, f, g, h, ..] = hash;
    i64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// A place as a column holds it. [`Known::ALL`] is the largest; what lies between is cut down,
/// since what a sink is owed too much costs a duplicate and what it is owed too little an event.
pub(crate) fn place_column(below: u64) -> i64 {
    match below {
        Known::ALL => i64::MAX,
        below => i64::try_from(below).unwrap_or(i64::MAX).min(i64::MAX - 1),
    }
}

/// The place that a column holds.
pub(crate) fn place(column: i64) -> u64 {
    match column {
        i64::MAX => Known::ALL,
        below => u64::try_from(below).unwrap_or(0),
    }
}

/// A figure as a column holds it.
pub(crate) fn figure(figure: u64) -> i64 {
    i64::try_from(figure).unwrap_or(i64::MAX)
}

/// Unix milliseconds; a time beyond what they can say becomes the nearest that they can.
pub(crate) fn millis(at: SystemTime) -> i64 {
    match at.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(error) => {
            let before = i64::try_from(error.duration().as_millis()).unwrap_or(i64::MAX);
            -before
        }
    }
}

/// The time that a column of unix milliseconds holds.
pub(crate) fn time(millis: i64) -> SystemTime {
    let distance = Duration::from_millis(millis.unsigned_abs());
    let time = match millis {
        0.. => UNIX_EPOCH.checked_add(distance),
        _ => UNIX_EPOCH.checked_sub(distance),
    };
    time.unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_times_come_back_and_the_impossible_is_cut_down() {
        for below in [0, 1, 1 << 62, Known::ALL] {
            assert_eq!(place(place_column(below)), below);
        }
        assert_eq!(place(place_column(Known::ALL - 1)), i64::MAX as u64 - 1);
        assert_eq!(place(-1), 0);
        for at in [-1_500, 0, 1_700_000_000_123] {
            assert_eq!(millis(time(at)), at);
        }
        assert_eq!(figure(u64::MAX), i64::MAX);
    }

    #[test]
    fn a_fingerprint_tells_where_each_part_ends() {
        let of = |account: &str, bucket: &str| {
            let (account, bucket) = (account.to_owned(), bucket.to_owned());
            let revision = Revision::Etag(String::new());
            let object = ObjectId { account, bucket, key: String::new(), revision };
            Name::of(&object).fingerprint
        };
        assert_ne!(of("ab", "c"), of("a", "bc"));
        assert_ne!(of("ab", ""), of("", "ab"));
    }

    #[test]
    fn names_of_one_folder_are_neighbours() {
        let of = |key: &str| {
            let (account, bucket, key) = (String::new(), String::new(), key.to_owned());
            let revision = Revision::Etag(String::new());
            Name::of(&ObjectId { account, bucket, key, revision }).fingerprint
        };
        assert_ne!(of("a/b/1"), of("a/b/2"));
        assert_eq!(of("a/b/1") >> 40, of("a/b/2") >> 40);
        assert_ne!(of("a/b/1") >> 40, of("a/c/1") >> 40);
    }
}
