//! The sink at AWS, with signatures that are no real ones but hold for one request, as those do.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Mutex;

use trailsift_core::SinkError;
use trailsift_sinks::{DocumentId, Refused, SearchService, Sign, ToSign};

use super::*;
use crate::service::Received;

/// Over all that is signed, and how often was signed before: no two are the same.
fn digest(key: &str, method: &str, path: &str, headers: [&str; 2], body: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    (key, method, path, headers, body).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// What the service expects of a request.
pub(super) fn signature(key: &str, request: &Received) -> String {
    let headers = ["content-type", "content-encoding"].map(|name| request.header(name));
    let path = request.uri.path_and_query().map_or("", |path| path.as_str());
    digest(key, request.method.as_str(), path, headers, &request.raw)
}

#[derive(Debug)]
struct Signer {
    key: Mutex<&'static str>,
    signed: Mutex<usize>,
    heeded: Mutex<Vec<String>>,
}

impl Signer {
    fn new(key: &'static str) -> Arc<Self> {
        Arc::new(Self { key: Mutex::new(key), signed: Mutex::default(), heeded: Mutex::default() })
    }
}

#[async_trait]
impl Sign for Signer {
    async fn sign(&self, request: ToSign<'_>) -> Result<Vec<(&'static str, String)>, SinkError> {
        *self.signed.lock().unwrap() += 1;
        let key = *self.key.lock().unwrap();
        if key.is_empty() {
            return Err(SinkError::retry("no credentials"));
        }
        let header = |name| {
            request.headers.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| *text)
        };
        let headers = ["content-type", "content-encoding"].map(header);
        let path = request.url.splitn(4, '/').nth(3).map(|path| format!("/{path}"));
        let path = path.unwrap_or_default();
        Ok(vec![("authorization", digest(key, request.method, &path, headers, request.body))])
    }

    fn heed(&self, refused: Refused<'_>) -> Option<&'static str> {
        self.heeded.lock().unwrap().push(refused.message.to_owned());
        assert!(refused.date.is_some(), "the service's clock");
        refused.message.contains("signature").then_some("the signature does not fit")
    }
}

async fn cluster() -> Cluster {
    let cluster = Cluster::start().await;
    cluster.state().signing_key = Some("key");
    cluster
}

fn at_aws(cluster: &Cluster, service: SearchService, signer: &Arc<Signer>) -> OpenSearchSink {
    let settings =
        OpenSearchSettings { credentials: SearchCredentials::Aws(service), ..settings(cluster) };
    let signer: Arc<Signer> = Arc::clone(signer);
    OpenSearchSink::signed("search", settings, signer).expect("good settings")
}

#[tokio::test]
async fn each_request_is_signed_as_it_is_sent_also_when_it_is_sent_again() {
    for gzip in [true, false] {
        let (cluster, signer) = (cluster().await, Signer::new("key"));
        let settings = OpenSearchSettings {
            credentials: SearchCredentials::Aws(SearchService::Domain),
            gzip,
            ..settings(&cluster)
        };
        let sink = OpenSearchSink::signed("search", settings, Arc::clone(&signer) as Arc<dyn Sign>);
        let sink = sink.expect("good settings");
        sink.check().await.expect("well");
        let events = batch([event(1), event(2)]);
        cluster.state().lose_next = true;
        sink.write(&events).await.expect("an outcome").failures.pop().expect("a lost answer");
        assert_eq!(acknowledged(&events, &sink.write(&events).await).len(), 2);
        assert_eq!(*signer.signed.lock().unwrap(), 3);
        assert_eq!(cluster.state().documents.len(), 2);
    }
}

#[tokio::test]
async fn a_refused_signature_is_a_retry_with_its_remedy_and_nobodys_poison() {
    let (cluster, signer) = (cluster().await, Signer::new("another"));
    let sink = at_aws(&cluster, SearchService::Domain, &signer);
    let events = batch([event(1), event(2)]);
    for status in [400, 401, 403] {
        let text = "the request signature does not match";
        cluster.state().refusal = Some((status, text));
        let message = only_retries(&sink.write(&events).await.expect("an outcome"), 2);
        let expected = format!("AWS answers {status} to the request: the signature does not fit");
        assert_eq!(message, expected);
        assert_eq!(signer.heeded.lock().unwrap().pop().as_deref(), Some(text));
    }
    let error = sink.check().await.expect_err("not well");
    assert!(error.message.contains("the signature does not fit"), "{error}");
    assert!(cluster.state().documents.is_empty());
    // With the right key everything is well, without anything else being done.
    cluster.state().refusal = None;
    *signer.key.lock().unwrap() = "key";
    assert_eq!(acknowledged(&events, &sink.write(&events).await).len(), 2);
    // Without any, nothing is sent.
    *signer.key.lock().unwrap() = "";
    let requests = cluster.state().requests;
    let message = only_retries(&sink.write(&events).await.expect("an outcome"), 2);
    assert_eq!((message.as_str(), cluster.state().requests), ("no credentials", requests));
}

#[tokio::test]
async fn a_missing_permission_is_named() {
    for (service, permission) in [
        (SearchService::Domain, "es:ESHttpPost"),
        (SearchService::Serverless, "aoss:WriteDocument"),
    ] {
        let (cluster, signer) = (cluster().await, Signer::new("key"));
        cluster.state().refusal = Some((403, "User: arn:… is not authorized to perform: hunter2"));
        let sink = at_aws(&cluster, service, &signer);
        let message = only_retries(&sink.write(&batch([event(1)])).await.expect("an outcome"), 1);
        assert!(message.contains(permission) && !message.contains("hunter2"), "{message}");
    }
}

#[tokio::test]
async fn the_signer_hears_of_a_403_without_a_reason_and_not_of_what_is_wrong_with_a_request() {
    let (cluster, signer) = (cluster().await, Signer::new("key"));
    let sink = at_aws(&cluster, SearchService::Serverless, &signer);
    for (status, kind, heard) in [(400, "parse_exception", 0), (403, "Forbidden", 1)] {
        let answer = format!("{{\"status\":{status},\"error\":{{\"type\":\"{kind}\"}}}}");
        cluster.state().instead = Some((status, answer));
        sink.write(&batch([event(1)])).await.expect("an outcome").failures.pop().expect("refused");
        assert_eq!(signer.heeded.lock().unwrap().len(), heard, "{status}");
    }
}

#[tokio::test]
async fn a_collection_that_takes_no_ids_parks_nothing_and_is_written_to_without_them() {
    let (cluster, signer) = (cluster().await, Signer::new("key"));
    cluster.state().takes_no_ids = true;
    let sink = at_aws(&cluster, SearchService::Serverless, &signer);
    let events = batch([event(1), event(2)]);
    let message = only_retries(&sink.write(&events).await.expect("an outcome"), 2);
    assert!(message.contains("document_id = \"service\""), "{message}");

    let settings = OpenSearchSettings {
        credentials: SearchCredentials::Aws(SearchService::Serverless),
        document_id: DocumentId::Service,
        ..settings(&cluster)
    };
    let sink = OpenSearchSink::signed("search", settings, signer).expect("good settings");
    assert_eq!(acknowledged(&events, &sink.write(&events).await).len(), 2);
    assert_eq!(cluster.state().documents.len(), 2);
}

#[tokio::test]
async fn an_event_that_a_collection_refuses_among_others_is_poison_as_anywhere() {
    let (cluster, signer) = (cluster().await, Signer::new("key"));
    cluster.state().refused = Some("\"n\":2}");
    let sink = at_aws(&cluster, SearchService::Serverless, &signer);
    let events = batch([event(1), event(2), event(3)]);
    let answer = sink.write(&events).await;
    assert_eq!(acknowledged(&events, &answer), [event(1), event(3)]);
    let poison = Disposition::Poison { reason: Reason::SinkRejected };
    assert_eq!(answer.expect("an outcome").failures[0].error.disposition, poison);
}

#[tokio::test]
async fn a_collection_that_has_taken_ids_is_believed_when_it_refuses_every_event_of_a_request() {
    let (cluster, signer) = (cluster().await, Signer::new("key"));
    let sink = at_aws(&cluster, SearchService::Serverless, &signer);
    let good = batch([event(1)]);
    assert_eq!(acknowledged(&good, &sink.write(&good).await).len(), 1);
    // Such as a field of more than 32,766 bytes: of the type that refuses IDs elsewhere.
    cluster.state().every_item = Some((400, "illegal_argument_exception"));
    let outcome = sink.write(&batch([event(2), event(3)])).await.expect("an outcome");
    let found: Vec<_> = outcome.failures.iter().map(|it| it.error.disposition).collect();
    assert_eq!(found, [Disposition::Poison { reason: Reason::SinkRejected }; 2]);
}

#[tokio::test]
async fn a_signer_and_its_settings_belong_together() {
    let cluster = Cluster::start().await;
    let aws = OpenSearchSettings {
        credentials: SearchCredentials::Aws(SearchService::Domain),
        ..settings(&cluster)
    };
    let error = OpenSearchSink::new("search", aws).expect_err("no signer").to_string();
    assert!(error.contains("belong together"), "{error}");
    let signer = Signer::new("key");
    let error = OpenSearchSink::signed("search", settings(&cluster), signer).expect_err("not aws");
    assert!(error.to_string().contains("belong together"), "{error}");
}
