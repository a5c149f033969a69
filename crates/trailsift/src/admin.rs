//! What operators and orchestrators ask over HTTP: `/livez`, `/readyz`, `/metrics`.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus::{Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use trailsift_pipeline::Health;

/// How many connections are served at once; one more ends the oldest. Clients that never finish a
/// request can so not keep a probe waiting.
pub(crate) const CONNECTIONS: usize = 64;
/// How long a client may take to send its request's head: against clients that never finish it.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may last in all.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
/// How large a request's head may be.
const HEADER_BYTES: usize = 16 * 1024;

#[derive(Clone)]
struct Admin {
    registry: Registry,
    health: Health,
}

/// Opens the port. Serve it with [`serve`].
///
/// # Errors
/// If the address cannot be bound.
pub(crate) async fn bind(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listen).await.with_context(|| {
        format!("cannot listen on {listen} (`service.listen`): is another trailsift running?")
    })
}

/// Answers until it is dropped.
pub(crate) async fn serve(listener: TcpListener, registry: Registry, health: Health) {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Admin { registry, health });
    let mut connections = JoinSet::new();
    let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        while connections.try_join_next().is_some() {}
        oldest_first.retain(|connection| !connection.is_finished());
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, as a rule: others will be freed.
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(500)).await;
                continue;
            }
        };
        if oldest_first.len() >= CONNECTIONS
            && let Some(oldest) = oldest_first.pop_front()
        {
            oldest.abort();
        }
        let service = TowerToHyperService::new(router.clone());
        oldest_first.push_back(connections.spawn(async move {
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
            server.max_buf_size(HEADER_BYTES).keep_alive(false);
            let connection = server.serve_connection(TokioIo::new(stream), service);
            // A client that went away or took too long is not our concern.
            drop(timeout(CONNECTION_TIMEOUT, connection).await);
        }));
    }
}

async fn readyz(State(admin): State<Admin>) -> Response {
    let troubles = admin.health.troubles();
    if troubles.is_empty() {
        return "ready\n".into_response();
    }
    let body = serde_json::json!({ "ready": false, "reasons": troubles });
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    match TextEncoder::new().encode_to_string(&admin.registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        answer
    }

    #[tokio::test]
    async fn answers_liveness_readiness_and_metrics() {
        let registry = Registry::new();
        let metrics = trailsift_pipeline::PipelineMetrics::register(&registry).expect("fresh");
        assert_eq!(metrics.totals().files, 0);
        let health = Health::default();
        let listener = bind("127.0.0.1:0".parse().expect("an address")).await.expect("binds");
        let address = listener.local_addr().expect("bound");
        let mut server = JoinSet::new();
        server.spawn(serve(listener, registry, health.clone()));

        assert!(ask(address, "/livez").await.starts_with("HTTP/1.1 200"));
        assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        health.set("sink siem", Some("401".into()));
        let unready = ask(address, "/readyz").await;
        assert!(unready.starts_with("HTTP/1.1 503"), "{unready}");
        assert!(unready.contains(r#"{"ready":false,"reasons":{"sink siem":"401"}}"#), "{unready}");
        assert!(ask(address, "/metrics").await.contains("trailsift_lease_extensions_total 0"));
        assert!(ask(address, "/other").await.starts_with("HTTP/1.1 404"));
    }

    #[tokio::test]
    async fn a_client_that_never_finishes_its_request_is_cut_off() {
        let listener = bind("127.0.0.1:0".parse().expect("an address")).await.expect("binds");
        let address = listener.local_addr().expect("bound");
        let mut server = JoinSet::new();
        server.spawn(serve(listener, Registry::new(), Health::default()));
        let mut clients = Vec::new();
        for begun in ["", "G", "GET /livez HTTP/1.1\r\nX: "] {
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            stream.write_all(begun.as_bytes()).await.expect("it reads");
            clients.push(stream);
        }
        for mut stream in clients {
            let mut answer = Vec::new();
            let read = timeout(2 * CONNECTION_TIMEOUT, stream.read_to_end(&mut answer)).await;
            drop(read.expect("it is not waited for"));
            assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", answer.escape_ascii());
        }
    }

    #[tokio::test]
    async fn an_endless_request_is_refused_and_probes_are_answered_meanwhile() {
        let listener = bind("127.0.0.1:0".parse().expect("an address")).await.expect("binds");
        let address = listener.local_addr().expect("bound");
        let mut server = JoinSet::new();
        server.spawn(serve(listener, Registry::new(), Health::default()));
        for part in ["X: y\r\n".repeat(50_000), "x".repeat(500_000)] {
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            stream.write_all(b"GET /livez HTTP/1.1\r\n").await.expect("it reads");
            // It hangs up in the middle; how soon that is felt is up to the kernel.
            drop(stream.write_all(part.as_bytes()).await);
            let mut answer = Vec::new();
            let read = timeout(Duration::from_secs(60), stream.read_to_end(&mut answer)).await;
            drop(read.expect("it does not wait for the end"));
            assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", answer.escape_ascii());
            assert!(ask(address, "/livez").await.starts_with("HTTP/1.1 200"));
        }
        // A body is neither wanted nor waited for.
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let head = b"POST /livez HTTP/1.1\r\nContent-Length: 1000000000000\r\n\r\n";
        stream.write_all(head).await.expect("it reads");
        let mut answer = [0; 12];
        let read = timeout(Duration::from_secs(60), stream.read_exact(&mut answer)).await;
        read.expect("at once").expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 405");
    }

    #[tokio::test]
    async fn a_probe_is_answered_while_slow_clients_hold_every_place() {
        let listener = bind("127.0.0.1:0".parse().expect("an address")).await.expect("binds");
        let address = listener.local_addr().expect("bound");
        let mut server = JoinSet::new();
        server.spawn(serve(listener, Registry::new(), Health::default()));
        let mut slow = Vec::new();
        for _ in 0..2 * CONNECTIONS {
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            stream.write_all(b"GET /livez HTTP/1.1\r\nX: ").await.expect("it reads");
            slow.push(stream);
        }
        let answer = timeout(Duration::from_secs(60), ask(address, "/livez")).await;
        assert!(answer.expect("in time").starts_with("HTTP/1.1 200"));
    }
}
