use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How much of a stalled answer comes through: its head, and the beginning of its body.
const LET_THROUGH: usize = 4096;

/// Stands before a server and lets everything through, except for the answers to certain requests:
/// they stop in the middle, and their connections stay open.
pub(crate) struct StallingProxy {
    port: u16,
    stalled: Arc<AtomicUsize>,
    _server: JoinSet<()>,
}

impl StallingProxy {
    /// Stalls the answers to requests that begin with `stall`, such as `GET /bucket/`.
    pub(crate) async fn start(server: &str, stall: &str) -> Self {
        let upstream = server.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let stall = stall.as_bytes().to_vec();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let stalled = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&stalled);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                let server = TcpStream::connect(&upstream).await.expect("the server is there");
                let (stall, count) = (stall.clone(), Arc::clone(&count));
                connections.spawn(async move { drop(relay(client, server, &stall, &count).await) });
            }
        });
        Self { port, stalled, _server: accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How many answers are stalled.
    pub(crate) fn stalled(&self) -> usize {
        self.stalled.load(Ordering::Relaxed)
    }
}

/// A request without a body, as all of those that are stalled, comes in one piece.
async fn relay(
    client: TcpStream,
    server: TcpStream,
    stall: &[u8],
    stalled: &AtomicUsize,
) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let stalls = AtomicBool::new(false);
    let requests = async {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = from_client.read(&mut buffer).await?;
            if read == 0 {
                return to_server.shutdown().await;
            }
            if buffer[..read].starts_with(stall) {
                stalls.store(true, Ordering::Relaxed);
            }
            to_server.write_all(&buffer[..read]).await?;
        }
    };
    let answers = async {
        let mut buffer = vec![0; 64 << 10];
        let mut left = LET_THROUGH;
        loop {
            let mut read = from_server.read(&mut buffer).await?;
            if stalls.load(Ordering::Relaxed) {
                read = read.min(left);
                left -= read;
            }
            if read == 0 && left > 0 {
                return to_client.shutdown().await;
            }
            to_client.write_all(&buffer[..read]).await?;
            if left == 0 {
                stalled.fetch_add(1, Ordering::Relaxed);
                return std::future::pending().await;
            }
        }
    };
    tokio::try_join!(requests, answers).map(drop)
}
