//! An HTTP Event Collector that checks what Splunk's checks, and answers as Splunk's does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::service::{Answer, Received, Service, gateway, json};

pub(super) const TOKEN: &str = "11111111-2222-3333-4444-555555555555";

/// How it is set up, how it misbehaves, and what it has.
pub(super) struct State {
    /// The tokens that it knows.
    pub(super) token: String,
    /// Whether the token acknowledges.
    pub(super) acknowledges: bool,
    /// How often it must be asked for a request until it has it.
    pub(super) polls_needed: usize,
    pub(super) down: bool,
    pub(super) lose_next: bool,
    pub(super) throttle_next: bool,
    /// So many indexers behind a balancer that knows its callers by a cookie, and else takes turns.
    pub(super) balanced: Option<usize>,
    turns: usize,
    pub(super) refused: Option<&'static str>,
    pub(super) largest_request: usize,
    /// What arrived: each event in its bytes.
    pub(super) events: Vec<String>,
    /// The labels of the last event.
    pub(super) labels: String,
    pub(super) posts: usize,
    pub(super) polls: usize,
    pub(super) channels: HashMap<String, Channel>,
}

#[derive(Default)]
pub(super) struct Channel {
    next: u64,
    /// How often it must still be asked for each request.
    waiting: HashMap<u64, usize>,
}

pub(super) struct Indexer {
    state: Arc<Mutex<State>>,
    service: Service,
}

impl Indexer {
    pub(super) async fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            token: TOKEN.into(),
            acknowledges: true,
            polls_needed: 2,
            down: false,
            lose_next: false,
            throttle_next: false,
            balanced: None,
            turns: 0,
            refused: None,
            largest_request: 1 << 20,
            events: Vec::new(),
            labels: String::new(),
            posts: 0,
            polls: 0,
            channels: HashMap::new(),
        }));
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

fn says(status: u16, code: u16, text: &str) -> Answer {
    json(status, format!("{{\"text\":\"{text}\",\"code\":{code}}}"))
}

fn answer(state: &mut State, request: &Received) -> Answer {
    let Some(indexers) = state.balanced else { return indexer(state, request, "") };
    let cookie = request.header("cookie").strip_prefix("AWSALB=");
    state.turns += usize::from(cookie.is_none());
    let turn = (state.turns % indexers).to_string();
    let which = cookie.map_or(turn, str::to_owned);
    let mut answer = indexer(state, request, &which);
    if let Answer::Reply { headers, .. } = &mut answer {
        headers.push(("set-cookie", format!("AWSALB={which}; Path=/")));
    }
    answer
}

/// The answer of one of the indexers, of which each counts by itself.
fn indexer(state: &mut State, request: &Received, which: &str) -> Answer {
    let path = request.uri.path();
    if path == "/services/collector/health" {
        return match state.down {
            true => says(503, 18, "HEC is unhealthy, queues are full"),
            false => says(200, 17, "HEC is healthy"),
        };
    }
    let authorization = request.header("authorization");
    if authorization.is_empty() {
        return says(401, 2, "Token is required");
    }
    let Some(token) = authorization.strip_prefix("Splunk ") else {
        return says(401, 3, "Invalid authorization");
    };
    if token != state.token {
        return says(403, 4, "Invalid token");
    }
    assert_eq!(request.method, "POST");
    match path {
        "/services/collector/event" => events(state, request, which),
        "/services/collector/ack" => acks(state, request, which),
        _ => {
            json(404, "{\"text\":\"The requested URL was not found on this server.\",\"code\":404}")
        }
    }
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.concat().bytes().all(|c| c.is_ascii_hexdigit())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the collector's members, some of them only checked")]
struct Event<'e> {
    time: Option<&'e RawValue>,
    host: Option<String>,
    source: Option<String>,
    sourcetype: Option<String>,
    index: Option<String>,
    #[serde(borrow)]
    event: Option<&'e RawValue>,
}

fn events(state: &mut State, request: &Received, indexer: &str) -> Answer {
    state.posts += 1;
    if std::mem::take(&mut state.throttle_next) || state.down {
        return says(503, 9, "Server is busy");
    }
    if request.body.len() > state.largest_request {
        return gateway(413);
    }
    let channel = request.header("x-splunk-request-channel");
    if state.acknowledges && channel.is_empty() {
        return says(400, 10, "Data channel is missing");
    }
    if !channel.is_empty() && !is_uuid(channel) {
        return says(400, 11, "Invalid data channel");
    }
    if request.body.is_empty() {
        return says(400, 5, "No data");
    }
    let body = std::str::from_utf8(&request.body).expect("UTF-8");
    let parsed = serde_json::Deserializer::from_str(body).into_iter::<&RawValue>();
    for (number, whole) in parsed.enumerate() {
        let refuse = |code, text: &str| {
            json(
                400,
                format!(
                    "{{\"text\":\"{text}\",\"code\":{code},\"invalid-event-number\":{number}}}"
                ),
            )
        };
        let Ok(whole) = whole else { return refuse(6, "Invalid data format") };
        let Ok(event) = serde_json::from_str::<Event<'_>>(whole.get()) else {
            return refuse(6, "Invalid data format");
        };
        let Some(data) = event.event else { return refuse(12, "Event field is required") };
        if data.get() == "\"\"" {
            return refuse(13, "Event field cannot be blank");
        }
        if event.index.is_some_and(|index| index != "main") {
            return refuse(7, "Incorrect index");
        }
        if let Some(time) = event.time {
            let (seconds, fraction) = time.get().split_once('.').expect("milliseconds");
            assert!(seconds.parse::<u64>().is_ok() && fraction.len() == 3, "{time}");
        }
        if state.refused.is_some_and(|text| data.get().contains(text)) {
            // Those before it are indexed.
            return refuse(6, "Invalid data format");
        }
        state.events.push(data.get().to_owned());
        state.labels = whole.get().replace(data.get(), "…");
    }
    if std::mem::take(&mut state.lose_next) {
        return Answer::Lost;
    }
    if !state.acknowledges {
        return says(200, 0, "Success");
    }
    let channel_state = state.channels.entry(format!("{indexer}{channel}")).or_default();
    let id = channel_state.next;
    channel_state.next += 1;
    channel_state.waiting.insert(id, state.polls_needed);
    json(200, format!("{{\"text\":\"Success\",\"code\":0,\"ackId\":{id}}}"))
}

fn acks(state: &mut State, request: &Received, indexer: &str) -> Answer {
    state.polls += 1;
    if !state.acknowledges {
        return says(400, 14, "ACK is disabled");
    }
    let query = request.uri.query().unwrap_or_default();
    let Some(channel) = query.strip_prefix("channel=") else {
        return says(400, 10, "Data channel is missing");
    };
    if !is_uuid(channel) {
        return says(400, 11, "Invalid data channel");
    }
    #[derive(Deserialize)]
    struct Asked {
        acks: Vec<u64>,
    }
    let Ok(asked) = serde_json::from_slice::<Asked>(&request.body) else {
        return says(400, 6, "Invalid data format");
    };
    if state.down {
        return says(503, 9, "Server is busy");
    }
    let known = state.channels.get_mut(&format!("{indexer}{channel}"));
    let waiting = known.map(|channel| &mut channel.waiting);
    let answers = match waiting {
        None => asked.acks.iter().map(|id| (*id, false)).collect::<Vec<_>>(),
        Some(waiting) => asked
            .acks
            .iter()
            .map(|id| {
                let Some(left) = waiting.get_mut(id) else { return (*id, false) };
                *left = left.saturating_sub(1);
                let has = *left == 0;
                if has {
                    // It is told once.
                    waiting.remove(id);
                }
                (*id, has)
            })
            .collect(),
    };
    let answers: Vec<_> = answers.iter().map(|(id, has)| format!("\"{id}\":{has}")).collect();
    json(200, format!("{{\"acks\":{{{}}}}}", answers.join(",")))
}
