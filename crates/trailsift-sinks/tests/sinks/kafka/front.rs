//! What real brokers have in front of what librdkafka's cluster has: TLS with a demand for the client's
//! certificate, and a login by token.
//!
//! Everything else passes. Brokers name themselves in their answers, so there the front puts its own place
//! for theirs; both are nine letters and a port.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf, split,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::certificates::Authority;

const SASL_HANDSHAKE: i16 = 17;
const API_VERSIONS: i16 = 18;
const SASL_AUTHENTICATE: i16 = 36;
const SASL_AUTHENTICATION_FAILED: i16 = 58;

/// Whom brokers let in.
#[derive(Default)]
pub(super) struct Rules {
    /// Who vouches for clients' certificates, where they need one.
    pub(super) clients: Option<CertificateDer<'static>>,
    /// Which tokens are taken at the moment, where clients need one; and for how long a login holds.
    pub(super) tokens: Option<(Accepted, Duration)>,
}

/// The brokers, as their clients see them.
pub(super) struct Front {
    pub(super) servers: String,
    logins: Arc<Mutex<Vec<Login>>>,
    connections: Arc<Mutex<JoinSet<()>>>,
    _listener: JoinSet<()>,
}

/// An attempt to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) connection: usize,
    pub(super) token: String,
    pub(super) is_accepted: bool,
}

impl Front {
    /// In front of the one broker at this place, with a certificate for `localhost`.
    pub(super) async fn new(authority: &Authority, broker: &str, rules: Rules) -> Self {
        let (certificate, key) = authority.issue("localhost", 2090);
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder();
        let config = match &rules.clients {
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.clone()).expect("an authority");
                let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
                config.with_client_cert_verifier(verifier.expect("a verifier"))
            }
            None => config.with_no_client_auth(),
        };
        let config = config.with_single_cert(vec![certificate.der().clone()], private);
        let acceptor = TlsAcceptor::from(Arc::new(config.expect("a certificate and its key")));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (_, behind) = broker.rsplit_once(':').expect("an address");
        let place = Arc::new(Place { behind: behind.parse().expect("a port"), front: port });
        let (logins, connections) = (Arc::default(), Arc::<Mutex<JoinSet<()>>>::default());
        let tokens = rules.tokens.map(Arc::new);
        let mut tasks = JoinSet::new();
        let (seen, all) = (Arc::clone(&logins), Arc::clone(&connections));
        tasks.spawn(async move {
            let mut number = 0;
            while let Ok((stream, _)) = listener.accept().await {
                number += 1;
                let connection = Connection {
                    number,
                    place: Arc::clone(&place),
                    tokens: tokens.clone(),
                    logins: Arc::clone(&seen),
                };
                let acceptor = acceptor.clone();
                all.lock().unwrap().spawn(async move {
                    let Ok(client) = acceptor.accept(stream).await else { return };
                    // It ends as connections do: one of both sides goes.
                    connection.serve(client).await.ok();
                });
            }
        });
        Self { servers: format!("localhost:{port}"), logins, connections, _listener: tasks }
    }

    pub(super) fn logins(&self) -> Vec<Login> {
        self.logins.lock().unwrap().clone()
    }

    /// Breaks all connections.
    pub(super) fn hang_up(&self) {
        self.connections.lock().unwrap().abort_all();
    }
}

/// The authority whose certificate this is.
pub(super) fn authority_of(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate").into_owned()
}

struct Place {
    behind: u16,
    front: u16,
}

impl Place {
    fn replace(&self, frame: &mut [u8]) {
        let place =
            |host: &str, port: u16| [host.as_bytes(), &i32::from(port).to_be_bytes()].concat();
        let (old, new) = (place("127.0.0.1", self.behind), place("localhost", self.front));
        for at in 0..frame.len().saturating_sub(old.len() - 1) {
            if frame[at..].starts_with(&old) {
                frame[at..at + new.len()].copy_from_slice(&new);
            }
        }
    }
}

/// Tokens and when each ends.
pub(super) type Accepted = Arc<Mutex<HashMap<String, Instant>>>;

struct Connection {
    number: usize,
    place: Arc<Place>,
    tokens: Option<Arc<(Accepted, Duration)>>,
    logins: Arc<Mutex<Vec<Login>>>,
}

impl Connection {
    async fn serve(self, client: impl AsyncRead + AsyncWrite + Send + 'static) -> io::Result<()> {
        let broker = TcpStream::connect(("127.0.0.1", self.place.behind)).await?;
        let (from_client, to_client) = split(client);
        let (from_broker, to_broker) = split(broker);
        let (answers, queue) = mpsc::channel(16);
        let versions = Arc::<Mutex<HashSet<[u8; 4]>>>::default();
        let place = Arc::clone(&self.place);
        // Whichever ends takes the others with it.
        tokio::select! {
            ended = self.requests(from_client, to_broker, answers.clone(), &versions) => ended,
            ended = pass_answers(from_broker, answers, &versions, &place) => ended,
            ended = send(queue, to_client) => ended,
        }
    }

    async fn requests(
        &self,
        mut client: ReadHalf<impl AsyncRead>,
        mut broker: WriteHalf<TcpStream>,
        answers: mpsc::Sender<Vec<u8>>,
        versions: &Mutex<HashSet<[u8; 4]>>,
    ) -> io::Result<()> {
        let mut is_in = self.tokens.is_none();
        loop {
            let request = frame(&mut client).await?;
            let number = |at: usize| i16::from_be_bytes([request[at], request[at + 1]]);
            let (key, version) = (number(0), number(2));
            let correlation: [u8; 4] = request[4..8].try_into().unwrap();
            match (key, self.tokens.as_deref()) {
                (SASL_HANDSHAKE, Some(_)) => {
                    let mut answer = [&correlation[..], &[0, 0, 0, 0, 0, 1, 0, 11]].concat();
                    answer.extend_from_slice(b"OAUTHBEARER");
                    answers.send(answer).await.ok();
                }
                (SASL_AUTHENTICATE, Some((tokens, session))) => {
                    let token = token(&request);
                    is_in =
                        tokens.lock().unwrap().get(&token).is_some_and(|end| *end > Instant::now());
                    let connection = self.number;
                    self.logins.lock().unwrap().push(Login {
                        connection,
                        token,
                        is_accepted: is_in,
                    });
                    let mut answer = correlation.to_vec();
                    if is_in {
                        // No error, no message, nothing to say, and how long it holds.
                        answer.extend_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0, 0]);
                    } else {
                        let message = b"[a1b2]: Access denied";
                        answer.extend_from_slice(&SASL_AUTHENTICATION_FAILED.to_be_bytes());
                        answer.extend_from_slice(
                            &i16::try_from(message.len()).unwrap().to_be_bytes(),
                        );
                        answer.extend_from_slice(message);
                        answer.extend_from_slice(&[0; 4]);
                    }
                    if version > 0 {
                        let session = i64::try_from(session.as_millis()).unwrap();
                        answer.extend_from_slice(&session.to_be_bytes());
                    }
                    answers.send(answer).await.ok();
                }
                (API_VERSIONS, _) => {
                    // Later versions are laid out in another way; the client tries them first.
                    if self.tokens.is_some() && version < 3 {
                        versions.lock().unwrap().insert(correlation);
                    }
                    write(&mut broker, &request).await?;
                }
                // As brokers do with who has not logged in.
                _ if !is_in => return Ok(()),
                _ => write(&mut broker, &request).await?,
            }
        }
    }
}

async fn pass_answers(
    mut broker: ReadHalf<TcpStream>,
    answers: mpsc::Sender<Vec<u8>>,
    versions: &Mutex<HashSet<[u8; 4]>>,
    place: &Place,
) -> io::Result<()> {
    loop {
        let mut answer = frame(&mut broker).await?;
        place.replace(&mut answer);
        if versions.lock().unwrap().remove(&answer[..4]) {
            // After the correlation and no error: the number of calls, and each with its versions.
            let count = u32::from_be_bytes(answer[6..10].try_into().unwrap()) + 2;
            answer[6..10].copy_from_slice(&count.to_be_bytes());
            let mut calls = Vec::new();
            for key in [SASL_HANDSHAKE, SASL_AUTHENTICATE] {
                calls.extend_from_slice(&key.to_be_bytes());
                calls.extend_from_slice(&[0, 0, 0, 1]);
            }
            answer.splice(10..10, calls);
        }
        if answers.send(answer).await.is_err() {
            return Ok(());
        }
    }
}

async fn send(
    mut queue: mpsc::Receiver<Vec<u8>>,
    mut client: WriteHalf<impl AsyncWrite>,
) -> io::Result<()> {
    while let Some(answer) = queue.recv().await {
        write(&mut client, &answer).await?;
    }
    Ok(())
}

async fn frame(from: &mut ReadHalf<impl AsyncRead>) -> io::Result<Vec<u8>> {
    let length = from.read_u32().await?;
    let mut frame = vec![0; length as usize];
    from.read_exact(&mut frame).await?;
    Ok(frame)
}

async fn write(to: &mut WriteHalf<impl AsyncWrite>, frame: &[u8]) -> io::Result<()> {
    to.write_u32(u32::try_from(frame.len()).expect("a frame")).await?;
    to.write_all(frame).await?;
    to.flush().await
}

/// The token of a client's first message (RFC 7628, 3.1).
fn token(request: &[u8]) -> String {
    let text = String::from_utf8_lossy(request);
    let (_, token) = text.split_once("\u{1}auth=Bearer ").expect("a token");
    token.split_once('\u{1}').expect("its end").0.to_owned()
}
