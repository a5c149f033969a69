//! Buckets in other regions than the account's: followed only where the configuration mentions it.

use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;

use super::*;
use crate::connector::{AccountSettings, Connector};
use crate::test_server::{QUEUE_URL, sdk_config, settings};

/// The region that a request is signed for.
fn signed_for(request: &Request) -> String {
    let signature = request.header("authorization").expect("a signature");
    let scope = signature.split("Credential=").nth(1).expect("a credential");
    scope.split('/').nth(2).expect("a region").to_owned()
}

/// A server with one bucket in each of these regions, that sends everybody else there.
async fn buckets(regions: &'static [(&'static str, &'static str)]) -> TestServer {
    TestServer::answering(|request| {
        let bucket = request.line().split('/').nth(1).expect("a bucket");
        let (_, region) = regions.iter().find(|(name, _)| *name == bucket).expect("a known bucket");
        match signed_for(request) == *region {
            true => object("hello"),
            false => {
                error(301, "PermanentRedirect", "elsewhere").header("x-amz-bucket-region", region)
            }
        }
    })
    .await
}

fn mentioning(server: &TestServer, regions: &[&str]) -> AccountSettings {
    let known_regions = regions.iter().map(|region| (*region).to_owned()).collect();
    AccountSettings { known_regions, ..settings(server.url(), QUEUE_URL) }
}

async fn store(settings: &AccountSettings) -> S3Store {
    Connector::over(sdk_config().await).connect(settings).await.store
}

fn in_bucket(bucket: &str) -> LogFile {
    LogFile { bucket: bucket.into(), ..file() }
}

async fn asked(server: &TestServer) -> Vec<String> {
    server.requests().iter().map(signed_for).collect()
}

#[tokio::test]
async fn a_bucket_is_asked_for_in_its_configured_region() {
    let server = buckets(&[("org-trail", "eu-west-1"), ("team-trail", "us-east-1")]).await;
    let mut settings = mentioning(&server, &[]);
    settings.bucket_regions = [("org-trail".to_owned(), "eu-west-1".to_owned())].into();
    let store = store(&settings).await;
    store.open(&in_bucket("org-trail"), None).await.expect("found at once");
    store.open(&in_bucket("team-trail"), None).await.expect("found at once");
    assert_eq!(asked(&server).await, ["eu-west-1", "us-east-1"]);
}

#[tokio::test]
async fn a_redirect_to_a_mentioned_region_is_followed_and_remembered_for_that_bucket() {
    let server = buckets(&[("org-trail", "eu-west-1"), ("team-trail", "us-east-1")]).await;
    let store = store(&mentioning(&server, &["us-east-1", "eu-west-1"])).await;
    store.open(&in_bucket("org-trail"), None).await.expect("found in the other region");
    store.open(&in_bucket("org-trail"), Some(&resume(0))).await.expect("found at once");
    store.open(&in_bucket("team-trail"), None).await.expect("found at once");
    assert_eq!(asked(&server).await, ["us-east-1", "eu-west-1", "eu-west-1", "us-east-1"]);
}

#[tokio::test]
async fn a_signature_for_the_wrong_region_leads_to_the_right_one() {
    let server = TestServer::answering(|request| match signed_for(request).as_str() {
        "eu-west-2" => object("hello"),
        region => error(
            400,
            "AuthorizationHeaderMalformed",
            &format!("the region '{region}' is wrong; expecting 'eu-west-2'"),
        ),
    })
    .await;
    let store = store(&mentioning(&server, &["eu-west-2"])).await;
    store.open(&file(), None).await.expect("found in the other region");
    assert_eq!(asked(&server).await, ["us-east-1", "eu-west-2"]);
}

#[tokio::test]
async fn a_region_that_nobody_mentioned_is_never_asked_and_the_error_says_what_to_add() {
    let server = buckets(&[("org-trail", "me-south-1")]).await;
    let store = store(&mentioning(&server, &["us-east-1", "eu-west-1"])).await;
    let found = store.open(&in_bucket("org-trail"), None).await.expect_err("refused");
    assert_eq!(kind(&found), "wrong_region");
    let text = found.to_string();
    assert!(text.contains(r#"add region = "me-south-1" to this bucket's entry"#), "{text}");
    assert_eq!(asked(&server).await, ["us-east-1"]);
}

#[tokio::test]
async fn regions_that_send_to_each_other_are_asked_once_and_not_believed() {
    let server = TestServer::answering(|request| {
        let other = if signed_for(request) == "us-east-1" { "eu-west-1" } else { "us-east-1" };
        error(301, "PermanentRedirect", "elsewhere").header("x-amz-bucket-region", other)
    })
    .await;
    let store = store(&mentioning(&server, &["us-east-1", "eu-west-1"])).await;
    for _ in 0..2 {
        let found = store.open(&file(), None).await.expect_err("refused");
        assert_eq!(kind(&found), "wrong_region");
    }
    assert_eq!(asked(&server).await, ["us-east-1", "eu-west-1", "us-east-1", "eu-west-1"]);
}

#[tokio::test]
async fn a_bucket_that_has_moved_is_found_again() {
    let home = Arc::new(Mutex::new("eu-west-1"));
    let there = Arc::clone(&home);
    let server = TestServer::answering(move |request| {
        let region = *there.lock().expect("no panic while it is held");
        match signed_for(request) == region {
            true => object("hello"),
            false => {
                error(301, "PermanentRedirect", "elsewhere").header("x-amz-bucket-region", region)
            }
        }
    })
    .await;
    let store = store(&mentioning(&server, &["us-east-1", "eu-west-1"])).await;
    store.open(&file(), None).await.expect("found in the other region");
    *home.lock().expect("no panic while it is held") = "us-east-1";
    store.open(&file(), None).await.expect("found at home");
    store.open(&file(), None).await.expect("found at once");
    let expected = ["us-east-1", "eu-west-1", "eu-west-1", "us-east-1", "us-east-1"];
    assert_eq!(asked(&server).await, expected);
}

/// Answers 301 for every host but one, and notes the hosts.
#[derive(Clone, Debug, Default)]
struct Wire(Arc<Mutex<Vec<String>>>);

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let host = request.uri().split('/').nth(2).unwrap_or_default().to_owned();
        let is_there = host == "org-trail.s3.eu-west-1.amazonaws.com";
        self.0.lock().expect("no panic while it is held").push(host);
        let status = StatusCode::try_from(if is_there { 200 } else { 301 }).expect("a status");
        let mut response = HttpResponse::new(status, SdkBody::from("hello"));
        if !is_there {
            response.headers_mut().insert("x-amz-bucket-region", "eu-west-1");
        }
        HttpConnectorFuture::ready(Ok(response))
    }
}

impl HttpClient for Wire {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

#[tokio::test]
async fn at_aws_the_hosts_of_the_two_regions_are_asked() {
    let wire = Wire::default();
    let loaded = sdk_config().await;
    // Not what was loaded as it is: that knows the environment's AWS_ENDPOINT_URL, where one is set.
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(loaded.credentials_provider().expect("credentials"))
        .http_client(wire.clone())
        .build();
    let mut settings = settings("", QUEUE_URL);
    settings.endpoint_url = None;
    settings.known_regions = ["eu-west-1".to_owned()].into();
    let store = Connector::over(config).connect(&settings).await.store;
    store.open(&in_bucket("org-trail"), None).await.expect("found in the other region");
    let hosts = wire.0.lock().expect("no panic while it is held").clone();
    let expected = ["org-trail.s3.us-east-1.amazonaws.com", "org-trail.s3.eu-west-1.amazonaws.com"];
    assert_eq!(hosts, expected);
}
