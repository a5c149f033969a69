//! What a message of `trailsift replay` says besides naming an object, and how one is written.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::members::Members;
use super::{NotifiedObject, form};

/// An id is a digest in hexadecimal digits.
const MAX_ID: usize = 64;
/// So many characters of the parser's error are told.
const MAX_ERROR: usize = 200;

/// The object is announced anew because something of it is in the quarantine.
///
/// It names places in the object and never what stands there, so that whoever forges one can have
/// events sent again, but none that is not in the object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// Tells this replay from others of the same object: hexadecimal digits, at most 64.
    pub id: String,
    /// The records that are asked for; none: the object as a whole, as if it were new.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<ReplayedRecords>,
}

/// Records that are asked for again, on behalf of one sink or of all.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayedRecords {
    /// The sink that did not take them; `None`: every sink that they are routed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink: Option<String>,
    /// Their places in the file, counted from 0.
    pub indexes: BTreeSet<u64>,
}

impl Replay {
    /// Whether it asks for some records only, not for the object as a whole.
    pub fn is_of_records(&self) -> bool {
        !self.records.is_empty()
    }

    /// How many records are asked for, each counted once.
    pub fn asked(&self) -> u64 {
        let all: BTreeSet<_> = self.records.iter().flat_map(|it| &it.indexes).collect();
        all.len() as u64
    }
}

/// The member `trailsift` of an entry: `{"replay":{"id":…,"records":[…]}}`.
pub(super) fn of_entry(entry: &Members<'_>) -> Result<Option<Replay>, String> {
    if !entry.has("trailsift") {
        return Ok(None);
    }
    let ours = entry.object("trailsift")?;
    let replay = ours.present("replay").ok_or("trailsift has no replay")?;
    let replay: Replay = serde_json::from_str(replay).map_err(|error| {
        // It may quote what is there, which may be as long as the message.
        let error: String = error.to_string().chars().take(MAX_ERROR).collect();
        format!("trailsift.replay cannot be read: {error}")
    })?;
    let is_id = (1..=MAX_ID).contains(&replay.id.len())
        && replay.id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_id {
        return Err("trailsift.replay has no id of hexadecimal digits".to_owned());
    }
    if replay.records.iter().any(|records| records.indexes.is_empty()) {
        return Err("trailsift.replay asks for no record of a sink".to_owned());
    }
    Ok(Some(replay))
}

/// A message that announces these objects as S3 does, each with its replay where it has one.
///
/// [`decode`](super::decode) reads it as the same objects. Another reader of S3's notifications takes
/// it for one that tells of new objects.
pub fn announce(objects: &[NotifiedObject]) -> String {
    let records: Vec<Value> = objects.iter().map(entry).collect();
    json!({ "Records": records }).to_string()
}

fn entry(announced: &NotifiedObject) -> Value {
    let mut object = json!({ "key": form::encode(&announced.key) });
    if let Some(version) = &announced.version_id {
        object["versionId"] = version.as_str().into();
    }
    if let Some(etag) = &announced.etag {
        object["eTag"] = etag.as_str().into();
    }
    if let Some(size) = announced.size {
        object["size"] = size.into();
    }
    let mut entry = json!({
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": { "bucket": { "name": announced.bucket }, "object": object },
    });
    if let Some(replay) = &announced.replay {
        entry["trailsift"] = json!({ "replay": replay });
    }
    entry
}
