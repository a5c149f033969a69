use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::task::JoinSet;

use crate::delivery::{KEY, selected, some_file, sorted};
use crate::stack::Stack;
use crate::trailsift::Trailsift;

/// A collector that keeps what it accepted.
pub(crate) struct Collector {
    port: u16,
    seen: Seen,
    _server: JoinSet<()>,
}

type Seen = Arc<Mutex<Vec<(HeaderMap, Vec<Vec<u8>>, Option<StatusCode>)>>>;
type Answer = dyn Fn(usize, &[Vec<u8>]) -> Option<StatusCode> + Send + Sync;

impl Collector {
    /// Answers by the number of the request and its lines; `None` never answers.
    pub(crate) async fn start(
        answer: impl Fn(usize, &[Vec<u8>]) -> Option<StatusCode> + Send + Sync + 'static,
    ) -> Self {
        let seen = Seen::default();
        let answer: Arc<Answer> = Arc::new(answer);
        let router =
            Router::new().route("/ingest", post(collect)).with_state((Arc::clone(&seen), answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { port, seen, _server: server }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/ingest", self.port)
    }

    pub(crate) fn requests(&self) -> usize {
        self.seen.lock().expect("not poisoned").len()
    }

    /// The headers and bodies of all requests; line breaks in a body are left out.
    pub(crate) fn bodies(&self) -> Vec<(HeaderMap, Vec<u8>)> {
        let seen = self.seen.lock().expect("not poisoned");
        seen.iter().map(|(headers, lines, _)| (headers.clone(), lines.concat())).collect()
    }

    /// The lines of the requests that were answered with success.
    pub(crate) fn accepted(&self) -> Vec<Vec<u8>> {
        let seen = self.seen.lock().expect("not poisoned");
        let accepted = seen.iter().filter(|(_, _, status)| *status == Some(StatusCode::OK));
        accepted.flat_map(|(_, lines, _)| lines.clone()).collect()
    }
}

async fn collect(
    State((seen, answer)): State<(Seen, Arc<Answer>)>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let lines: Vec<_> =
        body.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(<[u8]>::to_vec).collect();
    let status = {
        let mut seen = seen.lock().expect("not poisoned");
        let status = answer(seen.len(), &lines);
        seen.push((headers, lines, status));
        status
    };
    match status {
        Some(status) => status,
        None => std::future::pending().await,
    }
}

pub(crate) fn http_sink(url: &str, more: &str) -> String {
    format!(
        "[[route]]\nname = \"codeguru-reviewer\"\nsinks = [\"siem\"]\n[[route.selector]]\n\
         eventSource = {{ equals = [\"codeguru-reviewer.amazonaws.com\"] }}\n\
         [sink.siem]\ntype = \"http\"\nurl = \"{url}\"\n{more}\n"
    )
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn an_outage_and_an_expired_token_only_delay_and_no_secret_is_logged() {
    let stack = Stack::create("outage", 30).await;
    let collector = Collector::start(|request, _| match request {
        0 => Some(StatusCode::SERVICE_UNAVAILABLE),
        1 => Some(StatusCode::UNAUTHORIZED),
        _ => Some(StatusCode::OK),
    })
    .await;
    let headers = "headers = { Authorization = { env = \"TEST_TOKEN\" } }";
    let trailsift = Trailsift::configure(&stack, "", &http_sink(&collector.url(), headers));
    let file = some_file(9);
    stack.put(KEY, file.gzip()).await;
    let ended = trailsift.run_until_empty().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert_eq!(sorted(collector.accepted()), sorted(selected(&file)));
    let seen = collector.seen.lock().expect("not poisoned");
    assert!(seen.iter().all(|(headers, ..)| headers["authorization"] == "very-secret-token"));
    assert!(!ended.log.contains("very-secret-token"));
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn the_event_that_a_collector_refuses_is_parked_and_the_others_arrive() {
    let stack = Stack::create("refused", 30).await;
    let file = some_file(10);
    let mut expected = selected(&file);
    let refused = expected.remove(expected.len() / 2);
    let bad = refused.clone();
    let collector = Collector::start(move |_, lines| {
        Some(if lines.contains(&bad) { StatusCode::BAD_REQUEST } else { StatusCode::OK })
    })
    .await;
    let trailsift = Trailsift::configure(&stack, "", &http_sink(&collector.url(), ""));
    stack.put(KEY, file.gzip()).await;
    let ended = trailsift.run_until_empty().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert_eq!(sorted(collector.accepted()), sorted(expected));
    let parked = trailsift.parked();
    assert_eq!(parked.len(), 1);
    assert_eq!(parked[0]["reason"], "sink_rejected");
    assert_eq!(parked[0]["data"].as_str().map(str::as_bytes), Some(refused.as_slice()));
    assert_eq!(ended.totals()["quarantined"]["sink_rejected"], 1);
}
