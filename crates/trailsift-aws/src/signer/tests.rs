use std::sync::Mutex;

use aws_config::SdkConfig;
use aws_sdk_s3::config::SharedCredentialsProvider;
use tokio::time::advance;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::*;
use crate::test_server::{Answer, TestServer, sdk_config};
use crate::{Connector, SessionSettings};

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// 2015-08-30T12:36:00Z, the time of AWS's own examples.
fn then() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_440_938_160)
}

fn settings() -> SessionSettings {
    SessionSettings {
        region: "us-east-1".to_owned(),
        role_arn: None,
        external_id: None,
        endpoint_url: None,
    }
}

async fn with(credentials: Credentials) -> SdkConfig {
    let provider = SharedCredentialsProvider::new(credentials);
    sdk_config().await.into_builder().credentials_provider(provider).build()
}

async fn signer(service: &str, secret: &str, key: &str, token: Option<&str>) -> Signer {
    let credentials = Credentials::new(key, secret, token.map(str::to_owned), None, "test");
    Connector::over(with(credentials).await).session(&settings()).await.signer(service)
}

fn header<'a>(headers: &'a [(&'static str, String)], name: &str) -> &'a str {
    headers.iter().find_map(|(known, value)| (*known == name).then_some(&**value)).unwrap_or("")
}

fn signature(authorization: &str) -> &str {
    authorization.rsplit_once("Signature=").expect("a signature").1
}

/// The example "GET Object" of
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.
#[tokio::test]
async fn a_request_is_signed_as_the_documentation_shows_it() {
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let signer = signer("s3", secret, "AKIAIOSFODNN7EXAMPLE", None).await;
    let request = Unsigned {
        method: "GET",
        url: "https://examplebucket.s3.amazonaws.com/test.txt",
        headers: &[("range", "bytes=0-9")],
        body: b"",
    };
    let at = UNIX_EPOCH + Duration::from_secs(1_369_353_600);
    let headers = signer.sign_at(at, &request).await.expect("a signature");
    assert_eq!(
        header(&headers, "authorization"),
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
         SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, \
         Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    );
    assert_eq!(header(&headers, "x-amz-date"), "20130524T000000Z");
}

/// What botocore 1.42's `SigV4Auth` makes of the same requests with the hash of the body in a header.
#[tokio::test]
async fn requests_are_signed_as_botocore_signs_them() {
    let ndjson = ("content-type", "application/x-ndjson");
    let long =
        "https://abc.us-east-1.aoss.amazonaws.com/_bulk?filter_path=errors%2Citems.%2A.status";
    for (service, token, url, headers, body, expected) in [
        (
            "es",
            None,
            "https://search-trail.us-east-1.es.amazonaws.com/_bulk",
            &[ndjson][..],
            &b"{\"index\":{}}\n{\"a\":1}\n"[..],
            "a28a5f7cfbf56a395de6ebd27a3d7cf6e00a6dfbcb70129f62d4a6bbc6d4842d",
        ),
        (
            "aoss",
            Some("TOKEN/=="),
            long,
            &[ndjson, ("content-encoding", "gzip")],
            &[0x1f, 0x8b, 8, 0, 255, 254],
            "123ffbe4a274e381869adcdfbd541c0e25da5aefb1a5581a807312f509d42916",
        ),
        (
            "es",
            Some("TOKEN"),
            "http://localhost:9200/%3Clogs-%7Bnow%2Fd%7D%3E/_bulk",
            &[],
            b"",
            "d6d4f447e1d4ef30f9fd63b7969ccf5c68a4cb85ec01ccda5b7893a39adbdaba",
        ),
    ] {
        let signer = signer(service, SECRET, KEY, token).await;
        let request = Unsigned { method: "POST", url, headers, body };
        let signed = signer.sign_at(then(), &request).await.expect("a signature");
        assert_eq!(signature(header(&signed, "authorization")), expected, "{url}");
        assert_eq!(header(&signed, "x-amz-security-token"), token.unwrap_or_default());
        assert_eq!(header(&signed, "x-amz-content-sha256").len(), 64);
    }
}

#[tokio::test]
async fn a_large_body_is_signed_as_a_small_one_by_its_hash() {
    let signer = signer("es", SECRET, KEY, None).await;
    let body = vec![b'x'; SMALL_BODY + 1];
    let request =
        Unsigned { method: "POST", url: "https://e.example/_bulk", headers: &[], body: &body };
    let signed = signer.sign_at(then(), &request).await.expect("a signature");
    // `head -c 262145 /dev/zero | tr '\0' x | sha256sum`
    let hash = "9408817bc040328d1c403ff97e94cea3dfd3a361b2fb7ecc7af75ff3a5157139";
    assert_eq!(header(&signed, "x-amz-content-sha256"), hash);
    let whole = SignableBody::Bytes(&body);
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let credentials = signer.credentials(then()).await.expect("credentials");
    let direct = signer.instructions(then(), settings, credentials, &request, whole);
    let (direct, _) = direct.expect("a signature").into_parts();
    let direct = direct.iter().find(|header| header.name() == "authorization");
    assert_eq!(header(&signed, "authorization"), direct.expect("a header").value());
}

/// What botocore's `SigV4QueryAuth` makes of it.
#[tokio::test]
async fn a_url_is_presigned_as_botocore_presigns_it() {
    let url = "https://kafka.us-east-1.amazonaws.com/?Action=kafka-cluster%3AConnect";
    for (token, expected) in [
        (None, "c413a83bc64a339e31a5e5e9ed99d778ff843206b427540cafa5122c01e3e993"),
        (Some("TOKEN/=="), "861503ab5c73a21236538149bff5cd702b7a0eff663904edcf9514e13a8e3169"),
    ] {
        let signer = signer("kafka-cluster", SECRET, KEY, token).await;
        let limit = Duration::from_secs(900);
        let made = signer.presign_at(then(), "GET", url, limit).await.expect("a URL");
        let parameters: Vec<_> = made.url.split(['?', '&']).collect();
        assert_eq!(parameters[0], "https://kafka.us-east-1.amazonaws.com/");
        for parameter in [
            "Action=kafka-cluster%3AConnect",
            "X-Amz-Algorithm=AWS4-HMAC-SHA256",
            "X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fkafka-cluster%2Faws4_request",
            "X-Amz-Date=20150830T123600Z",
            "X-Amz-Expires=900",
            "X-Amz-SignedHeaders=host",
            &format!("X-Amz-Signature={expected}"),
        ] {
            assert!(parameters.contains(&parameter), "{parameter} in {}", made.url);
        }
        let encoded = token.map(|_| "X-Amz-Security-Token=TOKEN%2F%3D%3D");
        assert!(encoded.is_none_or(|token| parameters.contains(&token)), "{}", made.url);
        assert_eq!(made.valid_until, then() + limit);
        assert!(!format!("{made:?}").contains("Signature"), "{made:?}");
    }
}

#[tokio::test]
async fn a_presigned_url_ends_with_the_credentials_that_signed_it() {
    let end = SystemTime::now() + Duration::from_secs(600);
    let credentials = Credentials::new(KEY, SECRET, Some("T".to_owned()), Some(end), "test");
    let session = Connector::over(with(credentials).await).session(&settings()).await;
    let signer = session.signer("kafka-cluster");
    let made = signer.presign("GET", "https://k.example/", Duration::from_secs(900)).await;
    assert_eq!(made.expect("a URL").valid_until, end);
}

/// A signer whose role this server gives.
async fn in_a_role(server: &TestServer) -> Signer {
    let settings = SessionSettings {
        role_arn: Some("arn:aws:iam::111122223333:role/search".to_owned()),
        endpoint_url: Some(server.url().to_owned()),
        ..settings()
    };
    Connector::over(sdk_config().await).session(&settings).await.signer("es")
}

/// The answer of a role that is taken on for an hour.
fn assumed(token: &str) -> Answer {
    let end = DateTime::from(SystemTime::now() + Duration::from_secs(3600));
    let end = end.fmt(Format::DateTime).expect("a time");
    Answer::new(
        200,
        format!(
            "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId>\
             <SecretAccessKey>S</SecretAccessKey><SessionToken>{token}</SessionToken>\
             <Expiration>{end}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
        ),
    )
}

#[tokio::test]
async fn a_role_is_not_assumed_for_each_signature_because_this_machines_clock_is_hours_ahead() {
    let server = TestServer::start(["1", "2", "3", "4"].map(assumed)).await;
    let signer = in_a_role(&server).await;
    let request = Unsigned { method: "GET", url: "https://e.example/", headers: &[], body: b"" };
    let true_time = SystemTime::now();
    let ours = true_time + Duration::from_secs(2 * 3600);
    signer.sign_at(ours, &request).await.expect("a signature");
    let date = DateTime::from(true_time).fmt(Format::HttpDate).expect("a date");
    assert_eq!(signer.heed_at(ours, "", "", Some(&date)), Some(Refusal::Clock));
    for _ in 0..3 {
        signer.sign_at(ours, &request).await.expect("a signature");
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_role_is_assumed_once_for_all_signatures_of_a_session() {
    let server = TestServer::start([assumed("ONE"), assumed("TWO"), assumed("THREE")]).await;
    let settings = SessionSettings {
        role_arn: Some("arn:aws:iam::111122223333:role/search".to_owned()),
        external_id: Some("shared-secret".to_owned()),
        endpoint_url: Some(server.url().to_owned()),
        ..settings()
    };
    let session = Connector::over(sdk_config().await).session(&settings).await;
    let request = Unsigned { method: "GET", url: "https://e.example/", headers: &[], body: b"" };
    let token = async |signer: &Signer| {
        let headers = signer.sign(&request).await.expect("a signature");
        header(&headers, "x-amz-security-token").to_owned()
    };
    let (first, second) = (session.signer("es"), session.signer("aoss"));
    // At once, too: whoever comes second waits for the first one's answer.
    let (one, other) = futures::join!(token(&first), token(&second));
    assert_eq!((&*one, &*other), ("ONE", "ONE"));
    assert!(server.requests()[0].body.contains("ExternalId=shared-secret"));

    // What the service takes for expired is fetched anew, though not again and again.
    let expired = "The security token included in the request is expired";
    assert_eq!(first.heed("", expired, None), Some(Refusal::Expired));
    assert_eq!(token(&first).await, "TWO");
    assert_eq!(first.heed("ExpiredTokenException", "", None), Some(Refusal::Expired));
    assert_eq!(token(&second).await, "TWO");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn credentials_are_forgotten_at_most_every_thirty_seconds() {
    let sessions = Sessions::default();
    sessions.forget();
    let first = sessions.renewed();
    sessions.forget();
    assert_eq!(sessions.renewed(), first);
    advance(Duration::from_secs(31)).await;
    sessions.forget();
    assert!(sessions.renewed() > first);
}

#[tokio::test]
async fn without_credentials_nothing_is_signed_and_the_service_is_named() {
    let server = TestServer::start([Answer::new(403, "<ErrorResponse/>")]).await;
    let signer = in_a_role(&server).await;
    let request = Unsigned { method: "GET", url: "https://e.example/", headers: &[], body: b"" };
    let error = signer.sign(&request).await.expect_err("no credentials");
    assert!(matches!(error, SigningError::Credentials { .. }), "{error:?}");
    assert_eq!(error.to_string(), "no credentials to sign a request to es with");
    assert!(error.source().is_some());
}

#[tokio::test]
async fn what_is_no_request_is_not_signed() {
    let signer = signer("es", SECRET, KEY, None).await;
    let request = Unsigned { method: "GET", url: "not a url", headers: &[], body: b"" };
    let error = signer.sign(&request).await.expect_err("malformed");
    assert!(matches!(error, SigningError::Request { .. }), "{error:?}");
    let error = signer.presign("GET", "not a url", Duration::from_secs(1)).await;
    assert!(matches!(error, Err(SigningError::Request { .. })), "{error:?}");
    assert!(!format!("{signer:?}").contains(SECRET), "{signer:?}");
}

#[tokio::test]
async fn after_a_refused_time_signatures_go_by_the_services_clock() {
    let signer = signer("es", SECRET, KEY, None).await;
    let request = Unsigned { method: "GET", url: "https://e.example/", headers: &[], body: b"" };
    let date = async || {
        let headers = signer.sign_at(then(), &request).await.expect("a signature");
        header(&headers, "x-amz-date").to_owned()
    };
    let early = "Signature not yet current: 20150830T123600Z is still later than …";
    let refused =
        |message: &str, date| signer.heed_at(then(), "InvalidSignatureException", message, date);
    assert_eq!(refused(early, Some("no date")), Some(Refusal::Clock));
    assert_eq!(date().await, "20150830T123600Z", "nothing is known of its clock");
    assert_eq!(refused(early, Some("Sun, 30 Aug 2015 12:06:00 GMT")), Some(Refusal::Clock));
    assert_eq!(date().await, "20150830T120600Z");
    let late = "Signature expired: 20150830T120600Z is now earlier than …";
    assert_eq!(refused(late, Some("Sun, 30 Aug 2015 13:36:00 GMT")), Some(Refusal::Clock));
    assert_eq!(date().await, "20150830T133600Z");
}

/// As Serverless refuses whatever it refuses: `{"status":403,"error":{"reason":"403 Forbidden",…}}`.
#[tokio::test]
async fn a_refusal_that_names_no_reason_is_about_time_where_the_clocks_show_it() {
    let signer = signer("aoss", SECRET, KEY, None).await;
    let refused = |date| signer.heed_at(then(), "", "", Some(date));
    assert_eq!(refused("Sun, 30 Aug 2015 12:39:00 GMT"), None, "three minutes are allowed");
    assert_eq!(refused("Sun, 30 Aug 2015 12:06:00 GMT"), Some(Refusal::Clock));
    let request = Unsigned { method: "GET", url: "https://e.example/", headers: &[], body: b"" };
    let headers = signer.sign_at(then(), &request).await.expect("a signature");
    assert_eq!(header(&headers, "x-amz-date"), "20150830T120600Z");
    assert_eq!(refused("Sun, 30 Aug 2015 12:06:00 GMT"), None, "it is about something else now");
}

#[tokio::test]
async fn after_a_refusal_that_names_no_reason_credentials_are_fetched_anew() {
    let signer = signer("aoss", SECRET, KEY, None).await;
    let denied = "User: arn:aws:iam::111122223333:role/trailsift is not authorized to perform: …";
    assert_eq!(signer.heed("", denied, None), None);
    assert_eq!(signer.sessions.renewed(), None, "they are known, and not enough");
    assert_eq!(signer.heed("", "", None), None);
    assert!(signer.sessions.renewed().is_some());
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let signer = signer("es", SECRET, KEY, None).await;
    for (code, message, expected) in [
        ("InvalidSignatureException", "", Some(Refusal::Mismatch)),
        (
            "",
            "The request signature we calculated does not match the signature you provided. Check your \
             AWS Secret Access Key and signing method. Consult the service documentation for details.",
            Some(Refusal::Mismatch),
        ),
        ("", "Credential should be scoped to a valid region. ", Some(Refusal::Mismatch)),
        ("", "The security token included in the request is invalid.", Some(Refusal::Unknown)),
        ("com.amazon#UnrecognizedClientException", "", Some(Refusal::Unknown)),
        ("com.amazon#ExpiredTokenException", "", Some(Refusal::Expired)),
        (
            "",
            "User: arn:aws:iam::111122223333:role/trailsift is not authorized to perform: es:ESHttpPost",
            None,
        ),
        ("AccessDeniedException", "", None),
        ("", "", None),
    ] {
        assert_eq!(signer.heed(code, message, None), expected, "{code}: {message}");
    }
}

/// What everybody logs, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.lock().expect("whole").push_str(&format!("{field}={value:?} "));
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn no_log_of_any_level_holds_a_secret_of_a_signature() {
    const TOKEN: &str = "SessionTokenOfARole";
    let log = Log::default();
    let _logging = tracing::subscriber::set_default(log.clone());
    tracing::trace!("the log is read");
    let signer = signer("kafka-cluster", SECRET, KEY, Some(TOKEN)).await;
    let url = "https://k.example/?Action=kafka-cluster%3AConnect";
    let made = signer.presign("GET", url, Duration::from_secs(900)).await.expect("a URL");
    assert!(made.url.contains(TOKEN));
    let request =
        Unsigned { method: "POST", url: "https://e.example/_bulk", headers: &[], body: b"event" };
    signer.sign(&request).await.expect("a signature");
    let logged = log.0.lock().expect("whole").clone();
    assert!(logged.contains("the log is read"), "{logged}");
    let signature = made.url.rsplit_once("X-Amz-Signature=").expect("a signature").1;
    for secret in [TOKEN, SECRET, &signature[..64], "event"] {
        assert!(!logged.contains(secret), "{secret} in {logged}");
    }
}
