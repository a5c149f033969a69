use tokio::time::timeout;
use trailsift_core::{LogFile, ObjectStore as _, Queue as _, QueueError, StoreError};

use super::*;
use crate::test_server::{
    Answer, PATIENCE, QUEUE_URL, TestServer, retrying_sdk_config, sdk_config, settings,
};

mod credentials;

const ATTRIBUTES: &str = r#"{"Attributes":{"VisibilityTimeout":"30"}}"#;
const ROLE: &str = "arn:aws:iam::111122223333:role/trailsift";

fn assumed() -> Answer {
    Answer::new(
        200,
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleResult><AssumedRoleUser><AssumedRoleId>A:trailsift</AssumedRoleId>\
         <Arn>arn:aws:sts::111122223333:assumed-role/trailsift/trailsift</Arn></AssumedRoleUser>\
         <Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>S</SecretAccessKey>\
         <SessionToken>TOKEN</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>\
         </Credentials></AssumeRoleResult></AssumeRoleResponse>",
    )
}

fn file() -> LogFile {
    LogFile { bucket: "trail".into(), key: "k".into(), version_id: None, expected_owner: None }
}

#[tokio::test]
async fn every_call_goes_to_the_endpoint_and_the_queue_urls_host_is_not_contacted() {
    let server = TestServer::start([Answer::new(200, ATTRIBUTES), Answer::new(200, "x")]).await;
    let account = server.account().await;
    account.queue.status().await.expect("an answer");
    account.store.open(&file(), None).await.expect("an answer");
    let requests = server.requests();
    assert_eq!(requests[0].line(), "POST / HTTP/1.1");
    let queue_url = format!("{}/000000000000/trail", server.url());
    assert!(requests[0].body.contains(&queue_url), "{}", requests[0].body);
    assert_eq!(requests[1].line(), "GET /trail/k?x-id=GetObject HTTP/1.1");
    let signed = requests[1].header("authorization").expect("a signature");
    assert!(signed.contains("/us-east-1/s3/"), "signed for the account's region: {signed}");
}

#[test]
fn the_path_of_a_queue_url_is_kept_at_an_endpoint() {
    for (queue_url, expected) in [
        ("https://sqs.us-east-1.amazonaws.com/1/q", "http://e:1/1/q"),
        ("http://nowhere:4566/queue/us-east-1/1/q", "http://e:1/queue/us-east-1/1/q"),
        ("no URL", "no URL"),
    ] {
        assert_eq!(queue_url_at("http://e:1/", queue_url), expected);
    }
}

#[tokio::test]
async fn a_role_is_assumed_once_at_the_endpoint_with_its_external_id() {
    let answers = [assumed(), Answer::new(200, ATTRIBUTES), Answer::new(200, "x")];
    let server = TestServer::start(answers).await;
    let mut settings = settings(server.url(), QUEUE_URL);
    settings.role_arn = Some(ROLE.to_owned());
    settings.external_id = Some("shared-secret".to_owned());
    let account = Connector::over(sdk_config().await).connect(&settings).await;
    account.queue.status().await.expect("an answer");
    account.store.open(&file(), None).await.expect("an answer");
    let requests = server.requests();
    assert_eq!(requests.len(), 3, "the credentials are shared and cached");
    for expected in ["Action=AssumeRole&", "RoleSessionName=trailsift", "ExternalId=shared-secret"]
    {
        assert!(requests[0].body.contains(expected), "{}", requests[0].body);
    }
    for request in &requests[1..] {
        assert_eq!(request.header("x-amz-security-token"), Some("TOKEN"));
        assert!(request.header("authorization").is_some_and(|auth| auth.contains("ASIAROLE")));
    }
}

#[tokio::test]
async fn a_role_that_may_not_be_assumed_is_no_fault_of_the_object() {
    let denied = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
                  <Message>not authorized to perform: sts:AssumeRole</Message></Error>\
                  <RequestId>R</RequestId></ErrorResponse>";
    let server = TestServer::start([Answer::new(403, denied)]).await;
    let mut settings = settings(server.url(), QUEUE_URL);
    settings.role_arn = Some(ROLE.to_owned());
    let account = Connector::over(sdk_config().await).connect(&settings).await;
    let error = account.store.open(&file(), None).await.expect_err("no credentials");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("not authorized to perform: sts:AssumeRole"), "{error}");
    let error = account.queue.status().await.expect_err("no credentials");
    assert!(matches!(error, QueueError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("sts:AssumeRole"), "{error}");
}

#[tokio::test]
async fn nobody_listening_is_unavailable_and_names_the_cause() {
    let account = crate::test_server::account("http://127.0.0.1:1", QUEUE_URL).await;
    let status = timeout(PATIENCE, account.queue.status()).await.expect("it gives up");
    let error = status.expect_err("nobody listens");
    assert!(matches!(error, QueueError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("onnect"), "{error}");
    let open = timeout(PATIENCE, account.store.open(&file(), None)).await.expect("it gives up");
    let error = open.expect_err("nobody listens");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    let text = error.to_string();
    assert!(!text.contains("SECRETTEST") && !text.contains("AKIATEST"), "{text}");
}

#[tokio::test]
async fn a_passing_fault_is_retried_and_a_receive_never_is() {
    let busy = || Answer::new(500, "{}");
    let answers = [busy(), Answer::new(200, ATTRIBUTES), busy(), busy(), Answer::new(200, "x")];
    let server = TestServer::start(answers).await;
    let settings = settings(server.url(), QUEUE_URL);
    let account = Connector::over(retrying_sdk_config().await).connect(&settings).await;
    account.queue.status().await.expect("the second answer");
    assert_eq!(server.requests().len(), 2);
    let received = account.queue.receive(1, Duration::ZERO).await;
    assert!(matches!(received, Err(QueueError::Unavailable(_))), "{received:?}");
    assert_eq!(server.requests().len(), 3);
    account.store.open(&file(), None).await.expect("the fifth answer");
    assert_eq!(server.requests().len(), 5);
}
