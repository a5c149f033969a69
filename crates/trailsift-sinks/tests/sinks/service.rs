//! A real HTTP server in whose place a test puts what it says.

use std::io::Read;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// One request as it arrived, its body inflated.
pub(crate) struct Received {
    /// The body on the wire.
    pub(crate) raw: Bytes,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

/// What is answered.
pub(crate) enum Answer {
    /// This.
    Reply { status: u16, headers: Vec<(&'static str, String)>, body: Vec<u8> },
    /// Nothing: the connection breaks instead. So a test that loses an answer needs no time to notice, and can give those that
    /// are well as long as the slowest machine takes.
    Lost,
}

pub(crate) fn json(status: u16, body: impl Into<String>) -> Answer {
    let headers = vec![("content-type", "application/json; charset=UTF-8".to_owned())];
    Answer::Reply { status, headers, body: body.into().into_bytes() }
}

/// An answer that no such service gives: something in between does.
pub(crate) fn gateway(status: u16) -> Answer {
    let headers = vec![("content-type", "text/html".to_owned()), ("retry-after", "1".to_owned())];
    Answer::Reply { status, headers, body: b"<html>gateway</html>".to_vec() }
}

type Handler = Arc<dyn Fn(Received) -> Answer + Send + Sync>;

/// The server. It ends when dropped.
pub(crate) struct Service {
    pub(crate) url: String,
    _server: JoinSet<()>,
}

impl Service {
    pub(crate) async fn start(
        handler: impl Fn(Received) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let handler: Handler = Arc::new(handler);
        let app = Router::new()
            .fallback(answer)
            .layer(axum::extract::DefaultBodyLimit::max(64 << 20))
            .with_state(handler);
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, app).await.expect("serves") });
        Self { url, _server: server }
    }
}

async fn answer(
    State(handler): State<Handler>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (raw, body) = (body.clone(), inflate(&headers, &body));
    match handler(Received { raw, method, uri, headers, body }) {
        // As a panic, but nothing is said about it.
        Answer::Lost => std::panic::resume_unwind(Box::new("the answer is lost")),
        Answer::Reply { status, headers, body } => {
            let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
            response.headers_mut().remove(header::CONTENT_TYPE);
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().expect("a header"));
            }
            response
        }
    }
}

fn inflate(headers: &HeaderMap, body: &Bytes) -> Vec<u8> {
    match headers.get("content-encoding").map(|it| it.to_str().unwrap()) {
        None => body.to_vec(),
        Some("gzip") => {
            #[expect(clippy::disallowed_methods, reason = "a request's body, not a trail")]
            let mut decoder = flate2::read::GzDecoder::new(body.as_ref());
            let mut inflated = Vec::new();
            decoder.read_to_end(&mut inflated).expect("gzip");
            inflated
        }
        Some(other) => panic!("content encoding {other}"),
    }
}
