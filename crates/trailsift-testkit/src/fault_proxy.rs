//! A reverse proxy that stands between a client and an emulator, and goes wrong as told.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::lock;

/// One request, as the client sent it.
#[derive(Clone, Debug)]
pub struct ProxyRequest {
    /// `POST`.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names as they came.
    pub headers: Vec<(String, String)>,
    /// Whole.
    pub body: Vec<u8>,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct ProxyAnswer {
    /// The HTTP status.
    pub status: u16,
    /// Without those of framing, which are the proxy's own.
    pub headers: Vec<(String, String)>,
    /// Whole.
    pub body: Vec<u8>,
}

/// What becomes of a request.
pub enum Plan {
    /// It is forwarded, and its answer handed back.
    Pass,
    /// The connection is closed; nothing is forwarded.
    Cut,
    /// It is forwarded; instead of the answer the connection is closed.
    LoseAnswer,
    /// It is answered here; nothing is forwarded.
    Answer(ProxyAnswer),
    /// It is forwarded with another body, and the answer handed back as made of the upstream's.
    Rewrite {
        /// What is forwarded in place of the body.
        body: Vec<u8>,
        /// Makes the answer.
        answer: Box<dyn FnOnce(ProxyAnswer) -> ProxyAnswer + Send>,
    },
}

type Handler = Box<dyn Fn(&ProxyRequest) -> Plan + Send + Sync>;

struct State {
    upstream: Option<String>,
    next: Mutex<VecDeque<Plan>>,
    handler: Mutex<Handler>,
    requests: Mutex<Vec<ProxyRequest>>,
}

/// Forwards HTTP/1.1 to an upstream, one request for each connection, unless it is told otherwise. It
/// lives until it is dropped, within the runtime that started it.
pub struct FaultProxy {
    url: String,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

impl ProxyRequest {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The body as text, whatever it is.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl ProxyAnswer {
    /// An answer without headers of its own.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// An error as the JSON services of AWS spell it.
    pub fn aws_json_error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "__type": code, "message": message }).to_string();
        Self::new(status, body).header("content-type", "application/x-amz-json-1.1")
    }

    /// An error as the services of AWS that answer in XML spell it.
    pub fn aws_xml_error(status: u16, code: &str, message: &str) -> Self {
        let body = format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}\
             </Message></Error><RequestId>REQ1</RequestId></ErrorResponse>"
        );
        Self::new(status, body).header("content-type", "text/xml")
    }

    /// The same answer with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl FaultProxy {
    /// Forwards to `upstream`, such as `http://127.0.0.1:4566`.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start(upstream: &str) -> Self {
        Self::with(Some(upstream), |_| Plan::Pass).await
    }

    /// Answers by itself: there is nothing behind it.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn alone(
        answer: impl Fn(&ProxyRequest) -> ProxyAnswer + Send + Sync + 'static,
    ) -> Self {
        Self::with(None, move |request| Plan::Answer(answer(request))).await
    }

    async fn with(
        upstream: Option<&str>,
        handler: impl Fn(&ProxyRequest) -> Plan + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(State {
            upstream: upstream
                .map(|url| url.trim_start_matches("http://").trim_end_matches('/').to_owned()),
            next: Mutex::default(),
            handler: Mutex::new(Box::new(handler)),
            requests: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                connections.spawn(async move {
                    // A client that went away is the client's own business.
                    serve(stream, &state).await.unwrap_or_default();
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { url, state, _tasks: tasks }
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What the next request of all gets, after those that were named before.
    pub fn next(&self, plan: Plan) {
        lock(&self.state.next).push_back(plan);
    }

    /// What every request gets from now on for which [`FaultProxy::next`] names nothing.
    pub fn plan(&self, handler: impl Fn(&ProxyRequest) -> Plan + Send + Sync + 'static) {
        *lock(&self.state.handler) = Box::new(handler);
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<ProxyRequest> {
        lock(&self.state.requests).clone()
    }
}

async fn serve(mut stream: TcpStream, state: &State) -> io::Result<()> {
    let Some(request) = read_request(&mut stream).await? else { return Ok(()) };
    let next = lock(&state.next).pop_front();
    let plan = next.unwrap_or_else(|| lock(&state.handler)(&request));
    lock(&state.requests).push(request.clone());
    let answer = match plan {
        Plan::Cut => return Ok(()),
        Plan::Answer(answer) => answer,
        Plan::Pass => forward(state, &request).await?,
        Plan::LoseAnswer => {
            forward(state, &request).await?;
            return Ok(());
        }
        Plan::Rewrite { body, answer } => {
            answer(forward(state, &ProxyRequest { body, ..request }).await?)
        }
    };
    let mut head = format!("HTTP/1.1 {} Status\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let length = answer.body.len();
    head.push_str(&format!("content-length: {length}\r\nconnection: close\r\n\r\n"));
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&answer.body).await?;
    stream.shutdown().await
}

/// Headers that each hop sets for itself.
fn is_framing(name: &str) -> bool {
    ["content-length", "transfer-encoding", "connection", "keep-alive", "expect"]
        .iter()
        .any(|own| name.eq_ignore_ascii_case(own))
}

async fn forward(state: &State, request: &ProxyRequest) -> io::Result<ProxyAnswer> {
    let upstream = state.upstream.as_ref().ok_or_else(|| io::Error::other("no upstream"))?;
    let mut stream = TcpStream::connect(upstream).await?;
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
    for (name, value) in request.headers.iter().filter(|(name, _)| !is_framing(name)) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let length = request.body.len();
    head.push_str(&format!("content-length: {length}\r\nconnection: close\r\n\r\n"));
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&request.body).await?;
    let bare = request.method == "HEAD";
    let (head, body) =
        read_message(&mut stream, bare).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut answer = ProxyAnswer::new(
        head.first.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(502),
        body,
    );
    answer.headers = head.headers.into_iter().filter(|(name, _)| !is_framing(name)).collect();
    Ok(answer)
}

async fn read_request(stream: &mut TcpStream) -> io::Result<Option<ProxyRequest>> {
    let Some((head, body)) = read_message(stream, false).await? else { return Ok(None) };
    let mut words = head.first.split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    Ok(Some(ProxyRequest { method: word(), target: word(), headers: head.headers, body }))
}

struct Head {
    first: String,
    headers: Vec<(String, String)>,
}

/// A head and the body that it announces; `None` if the connection ends before a head does. `bare`: no
/// body follows, whatever the head announces.
async fn read_message(stream: &mut TcpStream, bare: bool) -> io::Result<Option<(Head, Vec<u8>)>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default().to_owned();
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.trim().to_owned()))
    };
    let headers: Vec<_> = lines.filter_map(header).collect();
    let mut body = bytes.split_off(end + 4);
    if find(&headers, "expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    if bare {
        body.clear();
    } else if find(&headers, "transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        body = read_chunks(stream, body).await?;
    } else {
        let length = find(&headers, "content-length").and_then(|value| value.parse().ok());
        fill(stream, &mut body, length.unwrap_or(0)).await?;
    }
    Ok(Some((Head { first, headers }, body)))
}

async fn read_chunks(stream: &mut TcpStream, mut rest: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = loop {
            if let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
                break end;
            }
            let have = rest.len();
            fill(stream, &mut rest, have + 1).await?;
        };
        let size = String::from_utf8_lossy(&rest[..line]).into_owned();
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
        fill(stream, &mut rest, line + 2 + size + 2).await?;
        body.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest.drain(..line + 2 + size + 2);
        if size == 0 {
            return Ok(body);
        }
    }
}

/// Reads until there are so many bytes.
async fn fill(stream: &mut TcpStream, bytes: &mut Vec<u8>, length: usize) -> io::Result<()> {
    while bytes.len() < length {
        if stream.read_buf(bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

fn find<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    let found = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests;
