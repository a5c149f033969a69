use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::trailsift::RUN;

/// A collector that cannot be relied upon: it keeps whatever has once arrived, but answers as it
/// pleases.
pub(crate) struct Adversary {
    port: u16,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

/// A batch that the collector has.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    /// Which run of the service sent it.
    pub(crate) run: u32,
    pub(crate) lines: Vec<Vec<u8>>,
    /// Whether it was answered with success. If not, sending it again is right.
    pub(crate) answered: bool,
}

/// What it has answered so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manners {
    pub(crate) well: u32,
    pub(crate) slow: u32,
    pub(crate) refused: u32,
    pub(crate) lost: u32,
}

struct Shared {
    state: Mutex<State>,
    /// How many batches have arrived.
    arrivals: watch::Sender<usize>,
}

struct State {
    rng: fastrand::Rng,
    faulty: bool,
    manners: Manners,
    arrived: Vec<Arrived>,
}

#[derive(Clone, Copy)]
enum Manner {
    Well,
    /// Keeps it at once, answers later.
    SlowToAnswer(Duration),
    /// Keeps it later.
    SlowToKeep(Duration),
    /// 503: not kept.
    Refuse,
    /// Kept, but the connection ends without an answer.
    Lose,
}

impl Adversary {
    /// Well-behaved until [`Adversary::turn`] says otherwise.
    pub(crate) async fn start(seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let state = State {
            rng: fastrand::Rng::with_seed(seed),
            faulty: false,
            manners: Manners::default(),
            arrived: Vec::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), arrivals: watch::Sender::new(0) });
        let mut server = JoinSet::new();
        let serving = Arc::clone(&shared);
        server.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let shared = Arc::clone(&serving);
                // A client that is killed amid its request is no matter.
                connections.spawn(async move { drop(shared.serve(stream).await) });
            }
        });
        Self { port, shared, _server: server }
    }

    /// From now on it misbehaves, or no longer does.
    pub(crate) fn turn(&self, faulty: bool) {
        self.shared.state().faulty = faulty;
    }

    /// The section of a sink of this name that sends everything here, small batches at a time.
    pub(crate) fn sink(&self, name: &str) -> String {
        format!(
            "[sink.{name}]\ntype = \"http\"\nurl = \"http://127.0.0.1:{}/ingest\"\n\
             batch = {{ events = 20, linger = \"20ms\" }}\n\
             headers = {{ X-Run = {{ env = \"{RUN}\" }} }}\n",
            self.port
        )
    }

    /// Every batch that has arrived, in this order.
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.shared.state().arrived.clone()
    }

    /// How many events have arrived, each as often as it did.
    pub(crate) fn events(&self) -> usize {
        self.shared.state().arrived.iter().map(|batch| batch.lines.len()).sum()
    }

    pub(crate) fn manners(&self) -> Manners {
        self.shared.state().manners
    }

    /// Waits for the next batch: it is kept, and not answered yet.
    pub(crate) async fn next_arrival(&self) {
        let mut arrivals = self.shared.arrivals.subscribe();
        arrivals.changed().await.expect("it lives");
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One connection: requests of HTTP/1.1 with a length, one after the other.
    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut buffer = Vec::new();
        loop {
            let head = loop {
                if let Some(at) = buffer.windows(4).position(|end| end == b"\r\n\r\n") {
                    break String::from_utf8_lossy(&buffer[..at]).to_ascii_lowercase();
                }
                if stream.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
            };
            let header = |name: &str| {
                head.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<usize>().ok())
            };
            let start = head.len() + 4;
            let end = start + header("content-length:").unwrap_or(0);
            while buffer.len() < end {
                if stream.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
            }
            let rest = buffer.split_off(end);
            let body = buffer.split_off(start);
            buffer = rest;
            let run = header("x-run:").and_then(|run| u32::try_from(run).ok()).expect("a run");
            if head.starts_with("post ") {
                let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                let lines = lines.map(<[u8]>::to_vec).collect();
                if !self.answer(&mut stream, run, lines).await? {
                    return Ok(());
                }
            } else {
                respond(&mut stream, "200 OK").await?;
            }
        }
    }

    /// Whether the connection goes on.
    async fn answer(
        &self,
        stream: &mut TcpStream,
        run: u32,
        lines: Vec<Vec<u8>>,
    ) -> std::io::Result<bool> {
        let manner = self.state().manner();
        match manner {
            Manner::Well => {
                let place = self.keep(run, lines);
                self.accept(stream, place).await?;
            }
            Manner::SlowToAnswer(pause) => {
                let place = self.keep(run, lines);
                tokio::time::sleep(pause).await;
                self.accept(stream, place).await?;
            }
            Manner::SlowToKeep(pause) => {
                tokio::time::sleep(pause).await;
                let place = self.keep(run, lines);
                self.accept(stream, place).await?;
            }
            Manner::Refuse => respond(stream, "503 Service Unavailable").await?,
            Manner::Lose => {
                self.keep(run, lines);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns the batch's place.
    fn keep(&self, run: u32, lines: Vec<Vec<u8>>) -> usize {
        let mut state = self.state();
        state.arrived.push(Arrived { run, lines, answered: false });
        let count = state.arrived.len();
        drop(state);
        self.arrivals.send_replace(count);
        count - 1
    }

    async fn accept(&self, stream: &mut TcpStream, place: usize) -> std::io::Result<()> {
        // Before the answer: once it is out, the service may rely on it.
        self.state().arrived[place].answered = true;
        respond(stream, "200 OK").await
    }
}

impl State {
    fn manner(&mut self) -> Manner {
        let pause = Duration::from_millis(self.rng.u64(1..500));
        let (manner, count) = match self.rng.u8(..100) {
            0..8 if self.faulty => (Manner::SlowToAnswer(pause), &mut self.manners.slow),
            8..14 if self.faulty => (Manner::SlowToKeep(pause), &mut self.manners.slow),
            14..24 if self.faulty => (Manner::Refuse, &mut self.manners.refused),
            24..32 if self.faulty => (Manner::Lose, &mut self.manners.lost),
            _ => (Manner::Well, &mut self.manners.well),
        };
        *count += 1;
        manner
    }
}

async fn respond(stream: &mut TcpStream, status: &str) -> std::io::Result<()> {
    stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await
}
