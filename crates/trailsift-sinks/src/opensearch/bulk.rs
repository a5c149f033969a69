use std::collections::BTreeMap;

use serde::Deserialize;
use trailsift_core::{Reason, SinkError};

use super::{BulkOp, DocumentId, Naming, SearchService};

/// What of an answer is asked for. Of an error its type alone: its reason repeats the document.
pub(super) const FILTER: &str = "errors,status,error.type,items.*.status,items.*.error.type";

/// The most that such an answer can be. Whether Serverless heeds the filter is documented nowhere.
pub(super) fn longest_answer(events: usize, service: Option<SearchService>) -> usize {
    let each = match service {
        Some(SearchService::Serverless) => 2048,
        _ => 256,
    };
    (64 << 10) + events.saturating_mul(each)
}

#[derive(Deserialize)]
struct Bulk {
    /// Each under the name of what was to be done.
    items: Vec<BTreeMap<String, Item>>,
}

/// What became of one event.
#[derive(Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Item {
    status: u16,
    error: Option<Fault>,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
struct Fault {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// The results of all events, by their places; `None` if the answer is none of the bulk API.
/// `errors` is not looked at: each event has its own status.
pub(super) fn read(body: &[u8]) -> Option<Vec<Item>> {
    let bulk: Bulk = serde_json::from_slice(body).ok()?;
    let only = |item: BTreeMap<String, Item>| match item.len() {
        1 => item.into_values().next(),
        _ => None,
    };
    bulk.items.into_iter().map(only).collect()
}

/// The type of the error of a request as a whole.
pub(super) fn kind_of(body: Option<&[u8]>) -> String {
    #[derive(Deserialize)]
    struct Whole {
        error: Option<Fault>,
    }
    let whole: Option<Whole> = body.and_then(|body| serde_json::from_slice(body).ok());
    shown(whole.and_then(|whole| whole.error).as_ref())
}

pub(super) fn settle(
    items: Vec<Item>,
    naming: Naming,
    service: Option<SearchService>,
) -> Vec<Option<SinkError>> {
    if takes_no_ids(&items, naming, service) {
        let text = "Serverless refuses every event of the request: collections of time series and of vectors take no \
                    IDs of ours, set document_id = \"service\"";
        return items.iter().map(|_| Some(SinkError::retry(text))).collect();
    }
    items.into_iter().map(|item| judge(&item, naming.op)).collect()
}

/// Whether it is the IDs that are refused ("Document ID is not supported in create/index operation request"),
/// under a type that is an event's fault elsewhere. All of them are then; one event alone may be to blame itself.
/// With no `service` there is no doubt: the collection has taken IDs before.
fn takes_no_ids(items: &[Item], naming: Naming, service: Option<SearchService>) -> bool {
    let is_refused = |item: &Item| {
        let kind = item.error.as_ref().and_then(|error| error.kind.as_deref());
        item.status == 400 && kind == Some("illegal_argument_exception")
    };
    service == Some(SearchService::Serverless)
        && naming.id == DocumentId::Event
        && items.len() > 1
        && items.iter().all(is_refused)
}

/// Types of errors that are about the document. What else the cluster calls 400 is about the index.
const OF_THE_DOCUMENT: [&str; 7] = [
    "document_parsing_exception",
    "mapper_parsing_exception",
    "parsing_exception",
    "parse_exception",
    "x_content_parse_exception",
    "strict_dynamic_mapping_exception",
    // A keyword of more than 32,766 bytes, more fields than an index may have, no `@timestamp`.
    "illegal_argument_exception",
];

fn judge(item: &Item, op: BulkOp) -> Option<SinkError> {
    let kind = item.error.as_ref().and_then(|error| error.kind.as_deref()).unwrap_or_default();
    let text = |hint: &str| {
        let kind = shown(item.error.as_ref());
        format!("the cluster answers {} ({kind}) for the event{hint}", item.status)
    };
    let later = |hint| Some(SinkError::retry(text(hint)));
    match item.status {
        200 | 201 if item.error.is_none() => None,
        409 if op == BulkOp::Create && kind == "version_conflict_engine_exception" => None,
        400 if OF_THE_DOCUMENT.contains(&kind) => {
            Some(SinkError::poison(Reason::SinkRejected, text("")))
        }
        400 => later(": check index and op"),
        403 if kind == "cluster_block_exception" => later(
            ": the index is blocked, often because disks are full; free some and lift the block",
        ),
        401 | 403 => later(": give the role the right to write to it (create_doc, or index)"),
        404 => later(": create the index, or allow that it is created by itself"),
        _ => later(""),
    }
}

/// A type of error as it may be shown: the cluster's own word, or none.
fn shown(error: Option<&Fault>) -> String {
    let kind = error.and_then(|error| error.kind.as_deref()).unwrap_or_default();
    let is_word = kind.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_');
    match is_word && !kind.is_empty() && kind.len() <= 64 {
        true => kind.to_owned(),
        false => "without a type".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use trailsift_core::Disposition;

    use super::*;

    fn item(status: u16, kind: Option<&str>) -> Item {
        Item { status, error: kind.map(|kind| Fault { kind: Some(kind.into()) }) }
    }

    #[test]
    fn each_documented_result_has_its_meaning() {
        let poison = Some(Disposition::Poison { reason: Reason::SinkRejected });
        let retry = Some(Disposition::RETRY);
        for (status, kind, op, expected) in [
            (201, None, BulkOp::Create, None),
            (200, None, BulkOp::Index, None),
            (409, Some("version_conflict_engine_exception"), BulkOp::Create, None),
            (409, Some("version_conflict_engine_exception"), BulkOp::Index, retry),
            (409, Some("other_exception"), BulkOp::Create, retry),
            (409, None, BulkOp::Create, retry),
            (400, Some("mapper_parsing_exception"), BulkOp::Create, poison),
            (400, Some("document_parsing_exception"), BulkOp::Create, poison),
            (400, Some("strict_dynamic_mapping_exception"), BulkOp::Index, poison),
            (400, Some("illegal_argument_exception"), BulkOp::Index, poison),
            (400, Some("invalid_index_name_exception"), BulkOp::Index, retry),
            (400, Some("index_closed_exception"), BulkOp::Create, retry),
            (400, None, BulkOp::Create, retry),
            (403, Some("cluster_block_exception"), BulkOp::Create, retry),
            (403, Some("security_exception"), BulkOp::Create, retry),
            (404, Some("index_not_found_exception"), BulkOp::Create, retry),
            (429, Some("es_rejected_execution_exception"), BulkOp::Create, retry),
            (503, Some("unavailable_shards_exception"), BulkOp::Create, retry),
            (500, Some("illegal_state_exception"), BulkOp::Create, retry),
            (200, Some("strange_exception"), BulkOp::Create, retry),
            (299, None, BulkOp::Create, retry),
        ] {
            let error = judge(&item(status, kind), op);
            let found = error.as_ref().map(|error| error.disposition);
            assert_eq!(found, expected, "{status} {kind:?} {op:?}");
        }
    }

    #[test]
    fn what_the_cluster_calls_a_type_is_shown_only_if_it_is_a_word() {
        let text = |kind: &str| judge(&item(500, Some(kind)), BulkOp::Create).unwrap().message;
        assert_eq!(
            text("shard_exception"),
            "the cluster answers 500 (shard_exception) for the event"
        );
        for odd in ["password: hunter2", "a\nb", "", &"a".repeat(65)] {
            assert!(text(odd).contains("(without a type)"), "{odd}");
        }
    }

    #[test]
    fn an_answer_is_read_whole_or_not_at_all() {
        let good = br#"{"errors":true,"items":[{"create":{"status":201}},
            {"create":{"status":400,"error":{"type":"mapper_parsing_exception"}}}]}"#;
        let items = read(good).expect("two results");
        assert_eq!(items, [item(201, None), item(400, Some("mapper_parsing_exception"))]);
        for bad in [
            r#"{}"#,
            r#"{"errors":false}"#,
            r#"{"items":[{}]}"#,
            r#"{"items":[{"create":{"status":201},"index":{"status":201}}]}"#,
            r#"{"items":[{"create":{}}]}"#,
            r#"{"items":[{"create":{"status":201}}"#,
            "<html>",
        ] {
            assert_eq!(read(bad.as_bytes()), None, "{bad}");
        }
    }
}
