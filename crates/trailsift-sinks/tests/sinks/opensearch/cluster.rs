//! A cluster that checks what OpenSearch's and Elasticsearch's bulk API checks, and answers as it does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde::Deserialize;

use crate::service::{Answer, Received, Service, gateway, json};

/// How it is set up, how it misbehaves, and what it has.
#[derive(Default)]
pub(super) struct State {
    pub(super) authorization: String,
    pub(super) down: bool,
    pub(super) lose_next: bool,
    pub(super) throttle_next: bool,
    /// Of the next request only the first event is taken.
    pub(super) first_only: bool,
    pub(super) refused: Option<&'static str>,
    /// What each item answers instead: a status and a type of error.
    pub(super) every_item: Option<(u16, &'static str)>,
    /// What is answered to a bulk request instead.
    pub(super) instead: Option<(u16, String)>,
    /// Items that the answer leaves out.
    pub(super) forgets: usize,
    pub(super) largest_request: usize,
    /// As Serverless's collections of time series.
    pub(super) takes_no_ids: bool,
    /// What a request must be signed with; nothing is checked without it.
    pub(super) signing_key: Option<&'static str>,
    /// How a request is refused that is not, or whatever its signature is: status, message.
    pub(super) refusal: Option<(u16, &'static str)>,
    /// By index and id, in the order of their arrival.
    pub(super) documents: Vec<((String, String), String)>,
    pub(super) requests: usize,
    /// The operation of the last item.
    pub(super) op: String,
}

pub(super) struct Cluster {
    state: Arc<Mutex<State>>,
    service: Service,
}

impl Cluster {
    pub(super) async fn start() -> Self {
        let state = State { largest_request: 1 << 20, ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let service = Service::start(move |request| answer(&mut shared.lock().unwrap(), &request));
        Self { state, service: service.await }
    }

    pub(super) fn url(&self) -> &str {
        &self.service.url
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn error(status: u16, kind: &str) -> Answer {
    let reason = "a reason that repeats the document";
    json(
        status,
        format!(
            "{{\"error\":{{\"type\":\"{kind}\",\"reason\":\"{reason}\"}},\"status\":{status}}}"
        ),
    )
}

fn answer(state: &mut State, request: &Received) -> Answer {
    if let Some(key) = state.signing_key {
        let expected = super::signed::signature(key, request);
        if request.header("authorization") != expected || state.refusal.is_some() {
            let mismatch =
                "The request signature we calculated does not match the signature you provided.";
            let (status, message) = state.refusal.unwrap_or((403, mismatch));
            return json(status, format!("{{\"message\":\"{message}\"}}"));
        }
    } else if request.header("authorization") != state.authorization {
        return error(401, "security_exception");
    }
    if state.down {
        return gateway(503);
    }
    match request.uri.path() {
        "/" if request.method == "GET" => json(200, "{\"tagline\":\"You know\"}"),
        "/_bulk" if request.method == "POST" => bulk(state, request),
        _ => error(405, "illegal_argument_exception"),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    #[serde(rename = "_index")]
    index: String,
    #[serde(rename = "_id")]
    id: Option<String>,
}

fn bulk(state: &mut State, request: &Received) -> Answer {
    state.requests += 1;
    if std::mem::take(&mut state.throttle_next) {
        return error(429, "circuit_breaking_exception");
    }
    if let Some((status, body)) = &state.instead {
        return json(*status, body.clone());
    }
    if request.header("content-type") != "application/x-ndjson" {
        return error(406, "media_type_header_exception");
    }
    if request.body.len() > state.largest_request {
        return gateway(413);
    }
    let body = std::str::from_utf8(&request.body).expect("UTF-8");
    if !body.ends_with('\n') {
        // The bulk request must be terminated by a newline.
        return error(400, "illegal_argument_exception");
    }
    let lines: Vec<&str> = body.lines().collect();
    assert_eq!(lines.len() % 2, 0, "an action and a document for each event");
    let mut items = Vec::new();
    for pair in lines.chunks(2) {
        let Ok(action) = serde_json::from_str::<BTreeMap<String, Target>>(pair[0]) else {
            return error(400, "illegal_argument_exception");
        };
        let (op, target) = action.into_iter().next().expect("one action");
        let id = target.id.as_deref();
        assert!(id.is_none_or(|id| !id.is_empty() && id.len() <= 512), "{id:?}");
        let first_only = state.first_only && !items.is_empty();
        let result = match (first_only, state.every_item) {
            (true, _) => Err((429, "es_rejected_execution_exception")),
            (false, Some(error)) => Err(error),
            (false, None) => document(state, &op, &target, pair[1]),
        };
        items.push(match result {
            Ok(status) => format!("{{\"{op}\":{{\"status\":{status}}}}}"),
            Err((status, kind)) => {
                format!("{{\"{op}\":{{\"status\":{status},\"error\":{{\"type\":\"{kind}\"}}}}}}")
            }
        });
        state.op = op;
    }
    state.first_only = false;
    if std::mem::take(&mut state.lose_next) {
        return Answer::Lost;
    }
    items.truncate(items.len() - state.forgets.min(items.len()));
    let errors = items.iter().any(|item| item.contains("error"));
    // The filter of the answer is the sink's, and all that it needs.
    let query = request.uri.query().unwrap_or_default();
    let query = query.replace("%2A", "*");
    assert!(query.starts_with("filter_path=") && query.contains("items.*.status"), "{query}");
    json(200, format!("{{\"errors\":{errors},\"items\":[{}]}}", items.join(",")))
}

fn document(
    state: &mut State,
    op: &str,
    target: &Target,
    text: &str,
) -> Result<u16, (u16, &'static str)> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
    if !target.index.chars().all(legal) || target.index.starts_with(['-', '_', '.']) {
        return Err((400, "invalid_index_name_exception"));
    }
    // Looked at, not read: numbers may be of any size.
    let is_json = serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
    let is_object = is_json && text.starts_with('{');
    if !is_object || state.refused.is_some_and(|refused| text.contains(refused)) {
        return Err((400, "document_parsing_exception"));
    }
    if state.takes_no_ids && target.id.is_some() {
        return Err((400, "illegal_argument_exception"));
    }
    let id = target.id.clone().unwrap_or_else(|| format!("made up {}", state.documents.len()));
    let key = (target.index.clone(), id);
    let found = state.documents.iter().position(|(known, _)| *known == key);
    match (op, found) {
        ("create", Some(_)) => Err((409, "version_conflict_engine_exception")),
        ("index", Some(at)) => {
            state.documents[at].1 = text.to_owned();
            Ok(200)
        }
        ("create" | "index", None) => {
            state.documents.push((key, text.to_owned()));
            Ok(201)
        }
        _ => panic!("operation {op}"),
    }
}
