//! Whom the clients trust: a server that cannot prove who it is gets neither a signature nor a key.

use std::sync::Arc;

use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use futures::future::BoxFuture;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use trailsift_core::{LogFile, ObjectStore as _, Queue as _, QueueError, StoreError};

use crate::connector::{Account, Connector};
use crate::test_server::{
    Answer, Connection, PATIENCE, QUEUE_URL, TestServer, sdk_config, settings,
};

/// A certificate that its own server has signed.
struct Identity {
    pem: String,
    acceptor: TlsAcceptor,
}

impl Identity {
    fn new(name: &str, last_year: i32) -> Self {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .expect("a certificate and its key");
        Self { pem: certificate.pem(), acceptor: TlsAcceptor::from(Arc::new(config)) }
    }

    async fn serve(&self) -> TestServer {
        let acceptor = self.acceptor.clone();
        let accept = move |stream: TcpStream| {
            let accepting = acceptor.accept(stream);
            async move { accepting.await.ok().map(|tls| Box::new(tls) as Box<dyn Connection>) }
        };
        TestServer::over(accept, |_| Answer::new(200, "hello").header("etag", "\"e\"")).await
    }
}

/// The ports of an account at this server over TLS; it trusts this certificate besides, or nothing
/// but what the machine trusts.
async fn account(server: &TestServer, trusted: Option<&str>) -> Account {
    let mut config = sdk_config().await;
    if let Some(pem) = trusted {
        let trust = TrustStore::empty().with_pem_certificate(pem);
        let context = TlsContext::builder().with_trust_store(trust).build().expect("a context");
        let client = Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(context)
            .build_https();
        config = config.into_builder().http_client(client).build();
    }
    let url = server.url().replace("http://127.0.0.1", "https://localhost");
    Connector::over(config).connect(&settings(&url, QUEUE_URL)).await
}

fn file() -> LogFile {
    LogFile { bucket: "trail".into(), key: "k".into(), version_id: None, expected_owner: None }
}

async fn refused(server: &TestServer, trusted: Option<&str>) -> String {
    let account = account(server, trusted).await;
    let status = timeout(PATIENCE, account.queue.status()).await.expect("it gives up");
    let error = status.expect_err("nobody to be trusted");
    assert!(matches!(error, QueueError::Unavailable(_)), "{error:?}");
    let open = timeout(PATIENCE, account.store.open(&file(), None)).await.expect("it gives up");
    let error = open.expect_err("nobody to be trusted");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(server.requests().is_empty(), "not one request was sent");
    error.to_string()
}

#[tokio::test]
async fn a_certificate_that_is_trusted_and_valid_is_accepted() {
    let identity = Identity::new("localhost", 2099);
    let server = identity.serve().await;
    let account = account(&server, Some(&identity.pem)).await;
    account.store.open(&file(), None).await.expect("an answer");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_self_signed_certificate_is_refused() {
    let server = Identity::new("localhost", 2099).serve().await;
    let text = refused(&server, None).await;
    assert!(text.contains("UnknownIssuer"), "{text}");
}

#[tokio::test]
async fn an_expired_certificate_is_refused_though_its_issuer_is_trusted() {
    let identity = Identity::new("localhost", 2021);
    let server = identity.serve().await;
    let text = refused(&server, Some(&identity.pem)).await;
    assert!(text.contains("expired"), "{text}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let identity = Identity::new("s3.example.com", 2099);
    let server = identity.serve().await;
    let text = refused(&server, Some(&identity.pem)).await;
    assert!(text.contains("not valid for name"), "{text}");
}

/// Answers whatever comes in first with these bytes, then hangs up.
fn saying(
    bytes: &'static [u8],
) -> impl Fn(TcpStream) -> BoxFuture<'static, Option<Box<dyn Connection>>> {
    move |mut stream| {
        Box::pin(async move {
            stream.read_u8().await.ok()?;
            stream.write_all(bytes).await.ok()?;
            // What is closed with bytes unread is reset, and then the answer might not arrive.
            stream.shutdown().await.ok()?;
            while stream.read_u8().await.is_ok() {}
            None
        })
    }
}

/// A ServerHello of TLS 1.0 (RFC 2246, 7.4.1.3): no session, TLS_RSA_WITH_AES_128_CBC_SHA.
const TLS_1_0: &[u8] = &[
    0x16, 0x03, 0x01, 0x00, 0x2a, 0x02, 0x00, 0x00, 0x26, 0x03, 0x01, // lengths and versions
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    0x00, 0x00, 0x2f, 0x00,
];

#[tokio::test]
async fn a_server_of_tls_1_0_is_refused() {
    let server = TestServer::over(saying(TLS_1_0), |_| Answer::new(200, "")).await;
    let text = refused(&server, None).await;
    assert!(text.contains("peer is incompatible"), "{text}");
}

#[tokio::test]
async fn a_server_without_tls_is_refused_at_an_https_endpoint() {
    let plain = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let server = TestServer::over(saying(plain), |_| Answer::new(200, "")).await;
    let text = refused(&server, None).await;
    assert!(text.contains("corrupt message") || text.contains("InvalidContentType"), "{text}");
}
