//! Whom sinks trust over HTTPS: a server that cannot prove who it is gets neither an event nor a secret.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use trailsift_core::Sink;
use trailsift_sinks::{
    Connection, HttpSettings, HttpSink, OpenSearchSettings, OpenSearchSink, OtlpSettings, OtlpSink,
    SecretSource, SplunkSettings, SplunkSink,
};

/// An authority of one's own.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Not the name of those it signs for: that would be one that signed for itself.
        params.distinguished_name.push(DnType::CommonName, "an authority");
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for this name, which ends with that year, and its key.
    pub(crate) fn issue(&self, name: &str, last_year: i32) -> (Certificate, KeyPair) {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("a certificate"), key)
    }

    /// A server whose certificate for this name ends with that year. Answers 200 to whatever comes.
    async fn serve(&self, name: &str, last_year: i32) -> Server {
        let (certificate, key) = self.issue(name, last_year);
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .expect("a certificate and its key");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let requests = Arc::<AtomicUsize>::default();
        let mut tasks = JoinSet::new();
        let seen = Arc::clone(&requests);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(answer(acceptor.clone(), stream, Arc::clone(&seen)));
            }
        });
        Server { url: format!("https://localhost:{port}"), requests, _tasks: tasks }
    }
}

async fn answer(acceptor: TlsAcceptor, stream: TcpStream, requests: Arc<AtomicUsize>) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let mut buffer = vec![0; 16 << 10];
    if stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
        requests.fetch_add(1, Ordering::SeqCst);
        let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.ok();
        // The rest of the request, so that the answer is not lost to a reset.
        while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    }
}

struct Server {
    url: String,
    requests: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Server {
    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Every sink over HTTP, at this server.
fn sinks(url: &str, ca_file: Option<PathBuf>) -> Vec<Box<dyn Sink>> {
    let connection = Connection { ca_file: ca_file.clone(), ..Connection::new(url) };
    let http = HttpSettings { ca_file, ..HttpSettings::new(url) };
    let splunk = SplunkSettings {
        connection: connection.clone(),
        acknowledge: false,
        ..SplunkSettings::new(url, SecretSource::Env("PATH".into()))
    };
    let search =
        OpenSearchSettings { connection: connection.clone(), ..OpenSearchSettings::new(url) };
    let otlp = OtlpSettings { connection, ..OtlpSettings::new(url) };
    vec![
        Box::new(HttpSink::new("http", http).expect("good settings")),
        Box::new(SplunkSink::new("splunk", splunk).expect("good settings")),
        Box::new(OpenSearchSink::new("search", search).expect("good settings")),
        Box::new(OtlpSink::new("otlp", otlp).expect("good settings")),
    ]
}

/// Why each sink does not talk to the server.
async fn refusals(server: &Server, ca_file: Option<PathBuf>) -> Vec<String> {
    let mut refusals = Vec::new();
    for sink in sinks(&server.url, ca_file) {
        let error = sink.check().await.expect_err("nobody to be trusted");
        assert!(error.message.starts_with("cannot connect to https://localhost:"), "{error}");
        let mut text = String::new();
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            text.push_str(&format!("{error}; "));
            cause = error.source();
        }
        refusals.push(text);
    }
    assert_eq!(server.requests(), 0, "not one request was sent");
    refusals
}

fn written(pem: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, pem).expect("written");
    (folder, path)
}

#[tokio::test]
async fn a_server_of_a_private_authority_is_trusted_where_that_is_configured() {
    let authority = Authority::new();
    let server = authority.serve("localhost", 2099).await;
    // Among others, and with text around it, as bundles have it.
    let bundle = format!("# Example CA\n{}\n{}", Authority::new().pem, authority.pem);
    let (_folder, path) = written(&bundle);
    for sink in sinks(&server.url, Some(path)) {
        sink.check().await.expect("trusted");
    }
    assert_eq!(server.requests(), 4);
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_is_refused() {
    let server = Authority::new().serve("localhost", 2099).await;
    let (_folder, other) = written(&Authority::new().pem);
    for ca_file in [None, Some(other)] {
        for text in refusals(&server, ca_file).await {
            // A wrong authority of the same name shows as a wrong signature.
            assert!(text.contains("UnknownIssuer") || text.contains("BadSignature"), "{text}");
        }
    }
}

#[tokio::test]
async fn an_expired_certificate_and_one_for_another_name_are_refused_though_the_issuer_is_trusted()
{
    let authority = Authority::new();
    let (_folder, path) = written(&authority.pem);
    for (name, last_year, expected) in
        [("localhost", 2021, "expired"), ("siem.example.com", 2099, "not valid for name")]
    {
        let server = authority.serve(name, last_year).await;
        for text in refusals(&server, Some(path.clone())).await {
            assert!(text.contains(expected), "{text}");
        }
    }
}

#[test]
fn a_file_without_certificates_is_named() {
    let (_folder, path) = written("not PEM\n");
    for path in [path, PathBuf::from("/nowhere/ca.pem")] {
        let connection =
            Connection { ca_file: Some(path.clone()), ..Connection::new("https://h/") };
        let problem = connection.validate().remove(0);
        assert_eq!(problem.key, "ca_file");
        assert!(problem.to_string().contains(path.to_str().unwrap()), "{problem}");
    }
}
