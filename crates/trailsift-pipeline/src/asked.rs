//! The records that a replay asks for, by their places in the file.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use trailsift_trail::Replay;

/// What a replay of records asks for, in a form in which a record is looked up at the same small cost
/// however the request is written. Each record of a file is looked up once for each sink, and whoever
/// may send messages may name a place ten thousand times over, each time for another sink.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Tells this replay from others of the same object, for the log.
    pub(crate) id: String,
    /// Of everything that the request says: another digest is another request.
    pub(crate) digest: u64,
    all: BTreeSet<u64>,
    of_every_sink: BTreeSet<u64>,
    of_sink: BTreeMap<String, BTreeSet<u64>>,
}

impl Asked {
    /// `None` where the replay is of the object as a whole.
    pub(crate) fn of(replay: &Replay) -> Option<Self> {
        if !replay.is_of_records() {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        replay.hash(&mut hasher);
        let mut asked = Self {
            id: replay.id.clone(),
            digest: hasher.finish(),
            all: BTreeSet::new(),
            of_every_sink: BTreeSet::new(),
            of_sink: BTreeMap::new(),
        };
        for records in &replay.records {
            let places = match &records.sink {
                None => &mut asked.of_every_sink,
                Some(sink) => asked.of_sink.entry(sink.clone()).or_default(),
            };
            places.extend(&records.indexes);
            asked.all.extend(&records.indexes);
        }
        Some(asked)
    }

    /// How many records are asked for, each counted once.
    pub(crate) fn count(&self) -> u64 {
        self.all.len() as u64
    }

    /// Whether the record in this place is asked for, on behalf of whomever.
    pub(crate) fn has(&self, index: u64) -> bool {
        self.all.contains(&index)
    }

    /// Whether the record in this place is asked for on behalf of this sink.
    pub(crate) fn has_for(&self, sink: &str, index: u64) -> bool {
        self.of_every_sink.contains(&index)
            || self.of_sink.get(sink).is_some_and(|places| places.contains(&index))
    }
}

#[cfg(test)]
mod tests {
    use trailsift_trail::ReplayedRecords;

    use super::*;

    fn replay(records: &[(Option<&str>, &[u64])]) -> Replay {
        let records = records.iter().map(|(sink, indexes)| ReplayedRecords {
            sink: sink.map(Into::into),
            indexes: indexes.iter().copied().collect(),
        });
        Replay { id: "0a".into(), records: records.collect() }
    }

    #[test]
    fn a_record_is_asked_for_by_its_place_on_behalf_of_its_sink_or_of_all() {
        let replay = replay(&[(Some("siem"), &[3, 7]), (None, &[9]), (Some("siem"), &[1, 3])]);
        let asked = Asked::of(&replay).expect("of records");
        let at = |sink| (0..12).filter(|index| asked.has_for(sink, *index)).collect::<Vec<_>>();
        assert_eq!((at("siem"), at("archive")), (vec![1, 3, 7, 9], vec![9]));
        assert_eq!((0..12).filter(|index| asked.has(*index)).collect::<Vec<_>>(), [1, 3, 7, 9]);
        assert_eq!(asked.count(), 4);
    }

    #[test]
    fn of_an_object_as_a_whole_no_record_is_asked_for() {
        assert!(Asked::of(&replay(&[])).is_none());
    }

    #[test]
    fn another_request_has_another_digest() {
        let of = |records| Asked::of(&replay(records)).expect("of records").digest;
        let first = of(&[(Some("siem"), &[3])]);
        assert_eq!(first, of(&[(Some("siem"), &[3])]));
        assert_ne!(first, of(&[(None, &[3])]));
        assert_ne!(first, of(&[(Some("siem"), &[3, 4])]));
    }
}
