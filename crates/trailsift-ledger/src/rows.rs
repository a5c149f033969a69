//! What is asked of the database, each within the caller's transaction.

use std::collections::BTreeSet;
use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension, named_params};
use trailsift_core::{Known, ObjectId, Settlement};

use crate::fault::Fault;
use crate::name::{Name, figure, millis, place, place_column};

/// Which rows are this object's.
macro_rules! of_object {
    () => {
        "account = :account AND bucket = :bucket AND key = :key \
         AND revision_kind = :kind AND revision = :revision"
    };
}

/// The parameters of [`of_object`], and others.
macro_rules! parameters {
    ($name:expr $(, $parameter:literal: $value:expr)* $(,)?) => {
        named_params! {
            ":account": $name.object.account,
            ":bucket": $name.object.bucket,
            ":key": $name.object.key,
            ":kind": $name.kind,
            ":revision": $name.revision,
            $($parameter: $value,)*
        }
    };
}

/// Both tables in one statement, so that both are seen at the same moment.
const RECALL: &str = concat!(
    "SELECT sinks, NULL, parked, seal FROM settled WHERE fingerprint = :fingerprint AND ",
    of_object!(),
    " UNION ALL SELECT sink, below, NULL, seal FROM progress WHERE ",
    of_object!(),
);

const FIND: &str = concat!(
    "SELECT id, sinks, parked, seal FROM settled WHERE fingerprint = :fingerprint AND ",
    of_object!(),
);

/// Without a number it is a new row, with one it takes that row's place.
const WRITE: &str = "INSERT OR REPLACE INTO settled (id, account, bucket, key, revision_kind, revision, \
     sinks, parked, etag, version_id, inflated, seen, selected, quarantined, sha256, first_event, \
     last_event, settled_at, fingerprint, seal) VALUES (:id, :account, :bucket, :key, :kind, \
     :revision, :sinks, :parked, :etag, :version_id, :inflated, :seen, :selected, :quarantined, \
     :sha256, :first_event, :last_event, :settled_at, :fingerprint, :seal)";

const RAISE: &str = "INSERT INTO progress (account, bucket, key, revision_kind, revision, sink, below, \
     noted_at, seal) VALUES (:account, :bucket, :key, :kind, :revision, :sink, :below, :noted_at, :seal) \
     ON CONFLICT DO UPDATE SET below = excluded.below, noted_at = excluded.noted_at, \
     seal = excluded.seal WHERE excluded.below > below";

const HAS_PROGRESS: &str = concat!("SELECT 1 FROM progress WHERE ", of_object!(), " LIMIT 1");

const END_PROGRESS: &str = concat!(
    "DELETE FROM progress WHERE ",
    of_object!(),
    " AND (sink = :sink OR substr(sink, 1, length(:sink) + 1) = :sink || ' ')"
);

const PRUNE_SETTLED: &str = "DELETE FROM settled WHERE id IN \
     (SELECT id FROM settled WHERE settled_at < ?1 ORDER BY settled_at LIMIT ?2)";

const PRUNE_PROGRESS: &str = "DELETE FROM progress \
     WHERE (account, bucket, key, revision_kind, revision, sink) IN \
     (SELECT account, bucket, key, revision_kind, revision, sink FROM progress \
      WHERE noted_at < ?1 ORDER BY noted_at LIMIT ?2)";

/// What is known of the object.
pub(crate) fn recall(connection: &Connection, object: &ObjectId) -> Result<Known, Fault> {
    let name = Name::of(object);
    let mut known = Known::default();
    let mut statement = connection.prepare_cached(RECALL)?;
    let mut rows = statement.query(parameters!(name, ":fingerprint": name.fingerprint))?;
    while let Some(row) = rows.next()? {
        let text: String = row.get(0)?;
        let below: Option<i64> = row.get(1)?;
        let seal: i64 = row.get(3)?;
        if let Some(below) = below {
            if seal != name.seal_of_place(&text, below) {
                return Err(Fault::Seal);
            }
            let noted = known.acknowledged.entry(text).or_default();
            *noted = place(below).max(*noted);
        } else {
            let parked: Option<String> = row.get(2)?;
            for sink in sinks(&name, &text, parked.as_deref(), seal)? {
                known.acknowledged.insert(sink, Known::ALL);
            }
            known.parked = parked;
        }
    }
    Ok(known)
}

/// The sinks of a row of `settled`, if it is as it was written.
fn sinks(
    name: &Name<'_>,
    text: &str,
    parked: Option<&str>,
    seal: i64,
) -> Result<BTreeSet<String>, Fault> {
    if seal != name.seal_of_end(text, parked) {
        return Err(Fault::Seal);
    }
    serde_json::from_str(text).map_err(|_| Fault::Seal)
}

/// Notes that the sink has come so far.
pub(crate) fn acknowledge(
    connection: &Connection,
    object: &ObjectId,
    sink: &str,
    below: u64,
) -> Result<(), Fault> {
    let name = Name::of(object);
    let below = place_column(below);
    connection.prepare_cached(RAISE)?.execute(parameters!(name,
        ":sink": sink,
        ":below": below,
        ":noted_at": millis(SystemTime::now()),
        ":seal": name.seal_of_place(sink, below),))?;
    Ok(())
}

/// Notes the end of the work.
pub(crate) fn settle(
    connection: &Connection,
    object: &ObjectId,
    settlement: &Settlement,
) -> Result<(), Fault> {
    let name = Name::of(object);
    let mut all: BTreeSet<String> = settlement.sinks.iter().cloned().collect();
    let before = find(connection, &name)?;
    if let Some((_, sinks)) = &before {
        all.extend(sinks.iter().cloned());
    }
    let id = before.map(|(id, _)| id);
    write_end(connection, &name, settlement, &all, id)?;
    end_progress(connection, &name, &settlement.sinks)
}

/// The object's row, if it was settled before: its number and its sinks.
fn find(
    connection: &Connection,
    name: &Name<'_>,
) -> Result<Option<(i64, BTreeSet<String>)>, Fault> {
    let mut statement = connection.prepare_cached(FIND)?;
    let row = statement.query_row(parameters!(name, ":fingerprint": name.fingerprint), |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    });
    let row: Option<(i64, String, Option<String>, i64)> = row.optional()?;
    row.map(|(id, text, parked, seal)| Ok((id, sinks(name, &text, parked.as_deref(), seal)?)))
        .transpose()
}

fn write_end(
    connection: &Connection,
    name: &Name<'_>,
    settlement: &Settlement,
    sinks: &BTreeSet<String>,
    id: Option<i64>,
) -> Result<(), Fault> {
    let sinks = serde_json::Value::from_iter(sinks.iter().map(String::as_str)).to_string();
    let parked = settlement.parked.map(|reason| reason.as_str());
    connection.prepare_cached(WRITE)?.execute(parameters!(
        name,
        ":id": id,
        ":sinks": sinks,
        ":parked": parked,
        ":etag": settlement.etag,
        ":version_id": settlement.version_id,
        ":inflated": figure(settlement.inflated),
        ":seen": figure(settlement.seen),
        ":selected": figure(settlement.selected),
        ":quarantined": figure(settlement.quarantined),
        ":sha256": settlement.sha256,
        ":first_event": settlement.first_event.map(millis),
        ":last_event": settlement.last_event.map(millis),
        ":settled_at": millis(settlement.settled_at),
        ":fingerprint": name.fingerprint,
        ":seal": name.seal_of_end(&sinks, parked),
    ))?;
    Ok(())
}

fn end_progress(connection: &Connection, name: &Name<'_>, sinks: &[String]) -> Result<(), Fault> {
    // Most objects have nothing for any sink, so there is nothing to look for sink by sink.
    let has_any = connection.prepare_cached(HAS_PROGRESS)?.exists(parameters!(name))?;
    if !has_any {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(END_PROGRESS)?;
    for sink in sinks {
        statement.execute(parameters!(name, ":sink": sink))?;
    }
    Ok(())
}

/// Deletes the oldest rows from before `cutoff`, at most `limit` of each table. `true` if there may
/// be more.
pub(crate) fn prune(
    connection: &Connection,
    cutoff: SystemTime,
    limit: u32,
) -> Result<bool, Fault> {
    let arguments = (millis(cutoff), limit);
    let settled = connection.prepare_cached(PRUNE_SETTLED)?.execute(arguments)?;
    let progress = connection.prepare_cached(PRUNE_PROGRESS)?.execute(arguments)?;
    Ok(settled.max(progress) >= limit as usize)
}
