//! A real HTTP server that takes events, and misbehaves on demand.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// One request as it arrived, its body inflated.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// What to do with the next request instead of taking it.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Answer with this status, take nothing.
    Status(u16, Vec<(&'static str, String)>),
    /// Take the events, and break the connection instead of answering.
    LostAnswer,
    /// Never answer, take nothing.
    Silent,
    /// Take the events and say so, then trickle an endless body.
    Trickle,
}

type Judge = Arc<dyn Fn(&Request) -> Option<u16> + Send + Sync>;

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    requests: Vec<Request>,
    taken: Vec<String>,
    faults: VecDeque<Fault>,
    judge: Option<Judge>,
}

/// The server. It ends when dropped.
pub(crate) struct Collector {
    pub(crate) url: String,
    shared: Shared,
    _server: JoinSet<()>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/ingest", listener.local_addr().expect("an address"));
        let shared = Shared::default();
        let app = Router::new().fallback(answer).with_state(shared.clone());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, app).await.expect("serves") });
        Self { url, shared, _server: server }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.shared.0.lock().unwrap()
    }

    /// What the next requests meet, one fault each.
    pub(crate) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.inner().faults.extend(faults);
    }

    /// Answers with the status that the judge names, and takes nothing then.
    pub(crate) fn judge(&self, judge: impl Fn(&Request) -> Option<u16> + Send + Sync + 'static) {
        self.inner().judge = Some(Arc::new(judge));
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.inner().requests.clone()
    }

    /// The events that were taken, in order, duplicates included.
    pub(crate) fn taken(&self) -> Vec<String> {
        self.inner().taken.clone()
    }
}

async fn answer(
    State(shared): State<Shared>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = Request { method, body: inflate(&headers, &body), headers };
    let (fault, judge) = {
        let mut inner = shared.0.lock().unwrap();
        inner.requests.push(request.clone());
        (inner.faults.pop_front(), inner.judge.clone())
    };
    match fault {
        Some(Fault::Status(status, headers)) => {
            let mut response = StatusCode::from_u16(status).unwrap().into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, HeaderValue::from_str(&value).unwrap());
            }
            return response;
        }
        Some(Fault::Silent) => return std::future::pending().await,
        Some(Fault::LostAnswer) => {
            shared.take(&request);
            // As a panic, but nothing is said about it: the connection breaks.
            std::panic::resume_unwind(Box::new("the answer is lost"));
        }
        Some(Fault::Trickle) => {
            shared.take(&request);
            let drops = futures::stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
            });
            return Response::new(Body::from_stream(drops));
        }
        None => {}
    }
    // Judges look at events, and only a POST has any.
    let judge = judge.filter(|_| request.method == Method::POST);
    if let Some(status) = judge.and_then(|judge| judge(&request)) {
        return StatusCode::from_u16(status).unwrap().into_response();
    }
    if request.method == Method::POST {
        shared.take(&request);
    }
    StatusCode::NO_CONTENT.into_response()
}

impl Shared {
    fn take(&self, request: &Request) {
        self.0.lock().unwrap().taken.extend(events(request));
    }
}

/// The events in a request, checked to be what its content type says.
pub(crate) fn events(request: &Request) -> Vec<String> {
    match request.headers["content-type"].to_str().unwrap() {
        "application/x-ndjson" => {
            assert!(request.body.ends_with('\n'));
            request.body.lines().map(str::to_owned).collect()
        }
        "application/json" => {
            let values: Vec<&serde_json::value::RawValue> =
                serde_json::from_str(&request.body).expect("a JSON array");
            values.iter().map(|value| value.get().to_owned()).collect()
        }
        other => panic!("content type {other}"),
    }
}

fn inflate(headers: &HeaderMap, body: &Bytes) -> String {
    if headers.get("content-encoding").is_none() {
        return String::from_utf8(body.to_vec()).unwrap();
    }
    #[expect(clippy::disallowed_methods, reason = "a request's body, not a trail")]
    let mut decoder = flate2::read::GzDecoder::new(body.as_ref());
    let mut text = String::new();
    decoder.read_to_string(&mut text).expect("gzip");
    text
}
