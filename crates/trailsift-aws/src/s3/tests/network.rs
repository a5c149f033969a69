//! Storms, wrong clocks, names that do not resolve, objects that change under a reader.

use std::time::SystemTime;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use futures::future::join_all;
use tokio::time::timeout;

use super::*;
use crate::connector::Connector;
use crate::test_server::{PATIENCE, QUEUE_URL, retrying_sdk_config, settings};

#[tokio::test]
async fn a_storm_of_slow_down_is_not_amplified_by_retries() {
    let server = TestServer::start([error(503, "SlowDown", "Please reduce your request rate.")]);
    let server = server.await;
    // The SDK's tokens for retries are shared by all clients of one service and region: a region of
    // this test's own.
    let mut settings = settings(server.url(), QUEUE_URL);
    settings.region = "eu-storm-1".to_owned();
    let store = Connector::over(retrying_sdk_config().await).connect(&settings).await.store;
    let files = vec![file(); 200];
    for _ in 0..2 {
        for opened in join_all(files.iter().map(|file| store.open(file, None))).await {
            assert_eq!(kind(&opened.expect_err("throttled")), "throttled");
        }
    }
    // 500 tokens pay for 100 retries, of 800 that were possible.
    let requests = server.requests().len();
    assert!((400..=500).contains(&requests), "{requests}");
}

#[tokio::test]
async fn an_overwritten_object_is_not_spliced_to_what_was_read_of_the_old_one() {
    let changed = error(412, "PreconditionFailed", "the entity tag does not match");
    let newer = Answer::new(200, "abcdefghij").header("etag", "\"newer\"");
    let server = TestServer::start([object("0123").announcing(10), changed, newer]).await;
    let store = server.account().await.store;
    let mut body = store.open(&file(), None).await.expect("the older object").body;
    let mut read = Vec::new();
    while let Ok(Some(chunk)) = body.try_next().await {
        read.extend_from_slice(&chunk);
    }
    assert_eq!(read, b"0123");
    let found = store.open(&file(), Some(&resume(4))).await.expect_err("overwritten");
    assert_eq!(kind(&found), "changed", "{found}");
    let newer = store.open(&file(), None).await.expect("the newer object");
    assert_eq!(newer.etag.as_deref(), Some("\"newer\""));
    let bytes: Vec<Bytes> = newer.body.try_collect().await.expect("a whole body");
    assert_eq!(bytes.concat(), b"abcdefghij");
    let requests = server.requests();
    let ranges: Vec<_> =
        requests.iter().map(|r| (r.header("range"), r.header("if-match"))).collect();
    assert_eq!(ranges, [(None, None), (Some("bytes=4-"), Some(ETAG)), (None, None)]);
}

/// The time of day, `ahead` of this machine's, in one of the two forms in use.
fn time(ahead: Duration, format: Format) -> String {
    DateTime::from(SystemTime::now() + ahead).fmt(format).expect("a time that can be written")
}

/// When a request was signed, in an order that texts have too.
fn signed_at(request: &Request) -> String {
    request.header("x-amz-date").expect("a signed request").to_owned()
}

/// S3 with a clock an hour ahead of ours, which takes nothing that was signed long ago. Where it
/// `tells`, its answers have a date, as AWS's always do.
async fn an_hour_ahead(tells: bool) -> TestServer {
    const HOUR: Duration = Duration::from_secs(3600);
    TestServer::answering(move |request| {
        let oldest = time(HOUR - Duration::from_secs(300), Format::DateTime);
        let answer = match signed_at(request) > oldest.replace(['-', ':'], "") {
            true => object("hello"),
            false => error(403, "RequestTimeTooSkewed", "The difference is too large."),
        };
        if tells { answer.header("date", &time(HOUR, Format::HttpDate)) } else { answer }
    })
    .await
}

#[tokio::test]
async fn a_wrong_clock_is_corrected_by_what_the_answers_say() {
    let server = an_hour_ahead(true).await;
    let settings = settings(server.url(), QUEUE_URL);
    let store = Connector::over(retrying_sdk_config().await).connect(&settings).await.store;
    store.open(&file(), None).await.expect("signed anew with the server's time");
    assert_eq!(server.requests().len(), 2);
    store.open(&file(), None).await.expect("signed with the server's time at once");
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_wrong_clock_that_cannot_be_corrected_is_named_with_its_remedy() {
    let server = an_hour_ahead(false).await;
    let found = server.account().await.store.open(&file(), None).await.expect_err("refused");
    assert_eq!(kind(&found), "unavailable", "it must not use up the object's attempts");
    let text = found.to_string();
    assert!(text.contains("RequestTimeTooSkewed"), "{text}");
    assert!(text.contains("clock may be wrong: synchronise it (NTP)"), "{text}");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_unavailable_and_says_so() {
    // Too long for a name: known without asking a name server, which may be slow, or silent.
    let endpoint = format!("http://{}.invalid:9", "s".repeat(64));
    let account = crate::test_server::account(&endpoint, QUEUE_URL).await;
    let opened = timeout(PATIENCE, account.store.open(&file(), None)).await.expect("it gives up");
    let found = opened.expect_err("there is no such name");
    assert_eq!(kind(&found), "unavailable");
    assert!(found.to_string().contains("dns error"), "{found}");
}

#[tokio::test]
async fn a_connection_that_is_reset_is_unavailable_before_the_headers_and_interrupted_after() {
    let closed = TestServer::over(|_| async { None }, |_| Answer::new(200, "")).await;
    let found = closed.account().await.store.open(&file(), None).await.expect_err("closed");
    assert_eq!(kind(&found), "unavailable", "{found}");
    let (opened, _) = open(object("01").announcing(10), &file(), None).await;
    let body: Result<Vec<Bytes>, StoreError> = opened.expect("headers").body.try_collect().await;
    assert_eq!(kind(&body.expect_err("cut off")), "interrupted");
}
