use std::collections::BTreeMap;
use std::path::Path;

use trailsift_core::{ObjectId, Revision};
use trailsift_ledger::{LedgerRow, SettledRow, read};
use trailsift_trail::event_time;

use crate::stack::Stack;
use crate::traffic::Sent;

/// What the quarantine is called in the ledger.
const QUARANTINE: &str = "[quarantine]";

/// Where the ledger of this data folder and the answer differ. Every object must be settled once,
/// for all sinks, with its own figures; and nothing else may be there.
pub(crate) fn differences(
    data_dir: &Path,
    stack: &Stack,
    sinks: &[&str],
    sent: &[Sent],
) -> Vec<String> {
    let mut rows = BTreeMap::<ObjectId, SettledRow>::new();
    let mut differences = Vec::new();
    let opened = read(data_dir, |row| match row {
        LedgerRow::Settled(row) => {
            if let Some(before) = rows.insert(row.object.clone(), *row) {
                differences.push(format!("{} is settled twice", before.object));
            }
        }
        LedgerRow::Progress { object, sink, .. } => {
            differences.push(format!("{object} is settled, but not for {sink}"));
        }
    });
    opened.expect("the ledger can be read");
    for sent in sent {
        let object = ObjectId {
            account: "production".to_owned(),
            bucket: stack.bucket.clone(),
            key: sent.stored.key.clone(),
            revision: match &sent.stored.version_id {
                Some(version) => Revision::Version(version.clone()),
                None => Revision::Etag(sent.stored.etag.clone()),
            },
        };
        match rows.remove(&object) {
            Some(row) => differences.extend(differs(&row, sinks, sent)),
            None => differences.push(format!("{object} is not settled")),
        }
    }
    differences.extend(rows.keys().map(|object| format!("{object} was never put")));
    differences
}

fn differs(row: &SettledRow, sinks: &[&str], sent: &Sent) -> Option<String> {
    let mut holders: Vec<_> = sinks.iter().copied().chain([QUARANTINE]).collect();
    holders.sort_unstable();
    let agrees = match sent.damage {
        // How much of it was seen before the damage is nobody's business. What is beyond it is still
        // owed to everybody, should it ever be read.
        Some(reason) => row.parked.as_deref() == Some(reason) && row.sinks.is_empty(),
        None => {
            let times = || sent.selected.iter().filter_map(|event| event_time(event));
            row.parked.is_none()
                && row.sinks == holders
                && (row.seen, row.selected, row.quarantined)
                    == (sent.records, sent.selected.len() as u64, 0)
                && row.inflated == sent.inflated
                && row.sha256 == Some(sent.sha256)
                && (row.first_event, row.last_event) == (times().min(), times().max())
        }
    };
    let (records, selected) = (sent.records, sent.selected.len());
    (!agrees).then(|| format!("of {records} records, {selected} selected, it says {row:?}"))
}
