use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How much of a stalled answer comes through: its head, and the beginning of its body.
const LET_THROUGH: usize = 4096;

/// Stands before a server and lets everything through, except for the answers to certain requests:
/// they stop in the middle, and their connections stay open, until there are enough of them.
pub(crate) struct StallingProxy {
    port: u16,
    stalled: watch::Receiver<usize>,
    _server: JoinSet<()>,
}

impl StallingProxy {
    /// Stalls the answers to requests that begin with `stall`, such as `GET /bucket/`, until there
    /// are so many of them; then they all go on at once, and no other one stalls.
    pub(crate) async fn start(server: &str, stall: &str, enough: usize) -> Self {
        let upstream = server.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let stall = stall.as_bytes().to_vec();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (count, stalled) = watch::channel(0);
        let count = Arc::new(count);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                let server = TcpStream::connect(&upstream).await.expect("the server is there");
                let (stall, count) = (stall.clone(), Arc::clone(&count));
                connections.spawn(async move {
                    drop(relay(client, server, &stall, &count, enough).await);
                });
            }
        });
        Self { port, stalled, _server: accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How many answers have stalled.
    pub(crate) fn stalled(&self) -> usize {
        *self.stalled.borrow()
    }
}

/// A request without a body, as all of those that are stalled, comes in one piece.
async fn relay(
    client: TcpStream,
    server: TcpStream,
    stall: &[u8],
    stalled: &watch::Sender<usize>,
    enough: usize,
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
        let mut let_through = 0;
        loop {
            let read = from_server.read(&mut buffer).await?;
            if read == 0 {
                return to_client.shutdown().await;
            }
            let mut rest = &buffer[..read];
            if stalls.load(Ordering::Relaxed) && let_through < LET_THROUGH {
                let (first, second) = rest.split_at(rest.len().min(LET_THROUGH - let_through));
                to_client.write_all(first).await?;
                (let_through, rest) = (let_through + first.len(), second);
                if let_through == LET_THROUGH {
                    stalled.send_modify(|count| *count += 1);
                    // The sender is there as long as this is.
                    drop(stalled.subscribe().wait_for(|count| *count >= enough).await);
                }
            }
            to_client.write_all(rest).await?;
        }
    };
    tokio::try_join!(requests, answers).map(drop)
}
