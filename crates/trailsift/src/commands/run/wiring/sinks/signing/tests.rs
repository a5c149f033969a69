//! Against a service that makes each signature again from the secret, with what arrived.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};
use tokio::task::JoinSet;
use trailsift_core::{Batch, Disposition, Sink as _};
use trailsift_sinks::DocumentId;
use trailsift_testkit::conformance::batch;

use super::*;

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const AMZ_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");
const HTTP_DATE: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// How the service behaves, and what it has.
struct Service {
    service: &'static str,
    /// By so many seconds its clock is ahead of ours.
    ahead: i64,
    /// Something on the way changes a byte of each body.
    tampered: bool,
    /// What it took: compressed bodies, each with its signature.
    taken: Vec<(String, Bytes)>,
    /// What it answered to anything else, by signature.
    refused: Vec<String>,
}

type Shared = Arc<Mutex<Service>>;

/// What is wrong with a request.
fn judge(
    service: &Service,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<String, String> {
    let text = |name: &str| headers.get(name).map_or("", |it| it.to_str().expect("text"));
    let now = OffsetDateTime::now_utc() + time::Duration::seconds(service.ahead);
    let date = PrimitiveDateTime::parse(text("x-amz-date"), AMZ_DATE).expect("a date");
    let date = date.assume_utc();
    if (now - date).abs() > time::Duration::minutes(5) {
        return Err(format!("Signature expired: {} is now earlier than …", text("x-amz-date")));
    }
    let authorization = text("authorization");
    let names = authorization.split("SignedHeaders=").nth(1).expect("names of headers");
    let names: Vec<_> = names.split(',').next().expect("a list").split(';').collect();
    for needed in ["host", "x-amz-content-sha256", "x-amz-date"] {
        assert!(names.contains(&needed), "{names:?}");
    }
    assert!(!names.contains(&"content-length"), "Serverless refuses it: {names:?}");
    let given = names.iter().filter(|name| !name.starts_with("x-amz-") && **name != "host");
    let given = given.map(|name| (*name, text(name)));
    let identity = Credentials::new(KEY, SECRET, None, None, "test").into();
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name(service.service)
        .time(SystemTime::from(date))
        .settings(settings)
        .build()
        .expect("parameters")
        .into();
    let url = format!("http://{}{uri}", text("host"));
    let request = SignableRequest::new(method.as_str(), url, given, SignableBody::Bytes(body));
    let (expected, _) = sign(request.expect("a request"), &params).expect("signed").into_parts();
    let expected = expected.headers().find(|(name, _)| *name == "authorization");
    match expected.expect("a signature").1 == authorization {
        true => Ok(authorization.to_owned()),
        false => Err(
            "The request signature we calculated does not match the signature you provided. Check \
                      your AWS Secret Access Key and signing method."
                .to_owned(),
        ),
    }
}

async fn answer(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut service = shared.lock().expect("no panic");
    let mut arrived = body.to_vec();
    if let (true, Some(last)) = (service.tampered, arrived.last_mut()) {
        *last ^= 1;
    }
    let now = OffsetDateTime::now_utc() + time::Duration::seconds(service.ahead);
    let date = now.format(HTTP_DATE).expect("a date");
    match judge(&service, &method, &uri, &headers, &arrived) {
        Err(message) => {
            service.refused.push(message.clone());
            let body = serde_json::json!({ "message": message }).to_string();
            (StatusCode::FORBIDDEN, [("date", date)], body).into_response()
        }
        Ok(_) if uri.path() == "/" => match service.service {
            "aoss" => StatusCode::NOT_FOUND.into_response(),
            _ => ([("content-type", "application/json")], "{}").into_response(),
        },
        Ok(signature) => {
            service.taken.push((signature, body));
            "{\"errors\":false,\"items\":[{\"create\":{\"status\":201}}]}".into_response()
        }
    }
}

struct World {
    shared: Shared,
    sink: OpenSearchSink,
    _server: JoinSet<()>,
}

impl World {
    async fn start(service: SearchService, secret: &str, gzip: bool) -> Self {
        let word = match service {
            SearchService::Domain => "es",
            SearchService::Serverless => "aoss",
        };
        let shared = Arc::new(Mutex::new(Service {
            service: word,
            ahead: 0,
            tampered: false,
            taken: Vec::new(),
            refused: Vec::new(),
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.expect("it serves") });

        let mut settings = OpenSearchSettings {
            credentials: SearchCredentials::Aws(service),
            document_id: DocumentId::Service,
            gzip,
            ..OpenSearchSettings::new(url)
        };
        settings.connection.timeout = Duration::from_secs(60);
        let aws = SearchAws { region: "us-east-1".to_owned(), role_arn: None, external_id: None };
        let credentials = Credentials::new(KEY, secret, None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-north-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        let sink = search("search", settings, &aws, &Connector::over(config)).await;
        Self { shared, sink: sink.expect("good settings"), _server: server }
    }

    fn service(&self) -> MutexGuard<'_, Service> {
        self.shared.lock().expect("no panic")
    }

    /// Writes one event: nothing, or why it is to be written again.
    async fn write(&self, batch: &Batch) -> Option<String> {
        let failure = self.sink.write(batch).await.expect("an outcome").failures.pop()?;
        assert!(matches!(failure.error.disposition, Disposition::Retry { .. }), "{failure:?}");
        Some(failure.error.message)
    }
}

fn event() -> Batch {
    batch(["{\"eventID\":\"1\",\"eventTime\":\"2026-01-31T23:59:59Z\"}"])
}

#[tokio::test]
async fn domains_and_collections_take_what_is_signed_compressed_or_not() {
    for service in [SearchService::Domain, SearchService::Serverless] {
        for gzip in [true, false] {
            let world = World::start(service, SECRET, gzip).await;
            world.sink.check().await.expect("well");
            assert_eq!(world.write(&event()).await, None);
            let service = world.service();
            assert_eq!((service.taken.len(), service.refused.len()), (1, 0));
            assert_eq!(service.taken[0].1.starts_with(b"\x1f\x8b"), gzip);
        }
    }
}

#[tokio::test]
async fn a_body_that_is_changed_on_its_way_is_refused_and_written_again() {
    let world = World::start(SearchService::Domain, SECRET, true).await;
    world.service().tampered = true;
    let message = world.write(&event()).await.expect("refused");
    assert!(message.contains("the signature does not fit"), "{message}");
    assert!(world.service().taken.is_empty());
    world.service().tampered = false;
    assert_eq!(world.write(&event()).await, None);
}

#[tokio::test]
async fn a_wrong_secret_is_named_and_never_shown() {
    let world = World::start(SearchService::Domain, "another", true).await;
    let message = world.write(&event()).await.expect("refused");
    assert!(message.contains("look at the region, at the secret key"), "{message}");
    assert!(!message.contains("another") && !format!("{:?}", world.sink).contains("another"));
    let error = world.sink.check().await.expect_err("not well");
    assert!(error.message.contains("the signature does not fit"), "{error}");
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_corrected_by_the_services() {
    for ahead in [-3_600, 3_600] {
        let world = World::start(SearchService::Domain, SECRET, true).await;
        world.service().ahead = ahead;
        let message = world.write(&event()).await.expect("refused");
        assert!(message.contains("synchronise it (NTP)"), "{message}");
        assert_eq!(world.write(&event()).await, None, "by {ahead} seconds");
    }
}
