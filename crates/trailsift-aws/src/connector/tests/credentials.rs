//! Credentials that end, cannot be renewed, or are refused to one account of several.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use futures::TryStreamExt as _;
use trailsift_core::{OpenObject, Resume};

use super::*;
use crate::test_server::Request;

/// What STS answers to AssumeRole: credentials with this token, for so long.
fn session(token: &str, lasts: Duration) -> Answer {
    let end = DateTime::from(SystemTime::now() + lasts).fmt(Format::DateTime).expect("a time");
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

fn denied() -> Answer {
    Answer::new(
        403,
        "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
         <Message>not authorized to perform: sts:AssumeRole</Message></Error>\
         <RequestId>R</RequestId></ErrorResponse>",
    )
}

fn is_for_sts(request: &Request) -> bool {
    request.body.contains("Action=AssumeRole")
}

async fn assuming(server: &TestServer, role: &str) -> Account {
    let mut settings = settings(server.url(), QUEUE_URL);
    settings.role_arn = Some(role.to_owned());
    Connector::over(sdk_config().await).connect(&settings).await
}

/// Longer than the SDK keeps away from an end: credentials with this long to live are used.
const LONG: Duration = Duration::from_secs(3600);
/// Within the seconds before its end in which the SDK renews a session.
const ENDING: Duration = Duration::from_secs(2);

/// STS hands out a new token each time, and S3 takes the newest only, ten bytes at a time.
async fn short_sessions() -> TestServer {
    let sessions = AtomicUsize::new(0);
    TestServer::answering(move |request| {
        if is_for_sts(request) {
            let number = sessions.fetch_add(1, Ordering::SeqCst) + 1;
            return session(&format!("TOKEN{number}"), ENDING);
        }
        let newest = format!("TOKEN{}", sessions.load(Ordering::SeqCst));
        if request.header("x-amz-security-token") != Some(&newest) {
            let text = "<Error><Code>ExpiredToken</Code><Message>has expired</Message></Error>";
            return Answer::new(400, text);
        }
        let answer = match request.header("range") {
            None => Answer::new(200, "0123").announcing(10),
            Some(_) => Answer::new(206, "456789").header("content-range", "bytes 4-9/10"),
        };
        answer.header("etag", "\"e\"")
    })
    .await
}

async fn read(object: OpenObject) -> (Vec<u8>, bool) {
    let (mut body, mut read) = (object.body, Vec::new());
    loop {
        match body.try_next().await {
            Ok(Some(chunk)) => read.extend_from_slice(&chunk),
            Ok(None) => return (read, true),
            Err(_) => return (read, false),
        }
    }
}

#[tokio::test]
async fn a_session_that_ends_while_a_body_is_read_is_renewed_for_the_rest() {
    let server = short_sessions().await;
    let store = assuming(&server, ROLE).await.store;
    let begun = store.open(&file(), None).await.expect("the beginning");
    assert_eq!(read(begun).await, (b"0123".to_vec(), false));
    let resume = Resume { offset: 4, etag: "\"e\"".into() };
    let rest = store.open(&file(), Some(&resume)).await.expect("with the next session");
    assert_eq!(read(rest).await, (b"456789".to_vec(), true));
    let tokens: Vec<_> = server
        .requests()
        .iter()
        .filter(|request| !is_for_sts(request))
        .map(|request| request.header("x-amz-security-token").map(str::to_owned))
        .collect();
    assert_eq!(tokens, [Some("TOKEN1".to_owned()), Some("TOKEN2".to_owned())]);
}

#[tokio::test]
async fn an_expired_token_is_nobodys_fault_and_mends_with_the_next_session() {
    let expired =
        Answer::new(400, "<Error><Code>ExpiredToken</Code><Message>has expired</Message></Error>");
    let answers =
        [session("TOKEN1", ENDING), expired, session("TOKEN2", ENDING), Answer::new(200, "x")];
    let server = TestServer::start(answers).await;
    let store = assuming(&server, ROLE).await.store;
    let error = store.open(&file(), None).await.expect_err("expired");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("ExpiredToken"), "{error}");
    store.open(&file(), None).await.expect("with the next session");
    assert_eq!(server.requests()[3].header("x-amz-security-token"), Some("TOKEN2"));
}

/// AWS's clock is ahead of ours: of a session that we take for valid it takes the later part for
/// expired. Here, the whole of the first.
async fn with_a_late_clock(ever_valid: bool) -> TestServer {
    let sessions = AtomicUsize::new(0);
    TestServer::answering(move |request| {
        if is_for_sts(request) {
            let number = sessions.fetch_add(1, Ordering::SeqCst) + 1;
            return session(&format!("TOKEN{number}"), LONG);
        }
        match (request.header("x-amz-security-token"), request.line().starts_with("GET ")) {
            (Some("TOKEN2"), true) if ever_valid => Answer::new(200, "x"),
            (Some("TOKEN2"), false) if ever_valid => Answer::new(200, ATTRIBUTES),
            (_, true) => {
                Answer::new(400, "<Error><Code>ExpiredToken</Code><Message>m</Message></Error>")
            }
            (_, false) => Answer::new(400, r#"{"__type":"com.amazon#ExpiredTokenException"}"#),
        }
    })
    .await
}

#[tokio::test]
async fn credentials_that_only_aws_takes_for_expired_are_fetched_anew() {
    let server = with_a_late_clock(true).await;
    let account = assuming(&server, ROLE).await;
    account.store.open(&file(), None).await.expect_err("expired");
    account.store.open(&file(), None).await.expect("with new credentials");
    account.queue.status().await.expect("the queue has them too");

    let server = with_a_late_clock(true).await;
    let account = assuming(&server, ROLE).await;
    account.queue.status().await.expect_err("expired");
    account.queue.status().await.expect("with new credentials");
    account.store.open(&file(), None).await.expect("the store has them too");
    assert_eq!(server.requests().iter().filter(|request| is_for_sts(request)).count(), 2);
}

#[tokio::test]
async fn a_source_of_expired_credentials_is_not_asked_at_every_call() {
    let server = with_a_late_clock(false).await;
    let account = assuming(&server, ROLE).await;
    for _ in 0..10 {
        account.store.open(&file(), None).await.expect_err("expired");
        account.queue.status().await.expect_err("expired");
    }
    assert_eq!(server.requests().iter().filter(|request| is_for_sts(request)).count(), 2);
}

#[tokio::test]
async fn while_sts_is_down_a_session_serves_to_its_end_and_the_outage_is_named_after() {
    let next = Arc::new(Mutex::new(session("TOKEN1", LONG)));
    let sts = Arc::clone(&next);
    let server = TestServer::answering(move |request| match is_for_sts(request) {
        true => sts.lock().expect("no panic while it is held").clone(),
        false => Answer::new(200, "x"),
    })
    .await;
    let answer_with = |answer| *next.lock().expect("no panic while it is held") = answer;
    let down = || {
        Answer::new(
            500,
            "<ErrorResponse><Error><Code>InternalFailure</Code></Error></ErrorResponse>",
        )
    };

    let store = assuming(&server, ROLE).await.store;
    store.open(&file(), None).await.expect("the first session");
    answer_with(down());
    store.open(&file(), None).await.expect("the first session, STS or not");

    answer_with(session("TOKEN2", ENDING));
    let store = assuming(&server, ROLE).await.store;
    store.open(&file(), None).await.expect("a session that ends soon");
    answer_with(down());
    let error = store.open(&file(), None).await.expect_err("no session");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("InternalFailure"), "{error}");
    answer_with(session("TOKEN3", LONG));
    store.open(&file(), None).await.expect("STS is back");
}

#[tokio::test]
async fn a_role_denied_to_one_account_leaves_the_other_alone() {
    let server = TestServer::answering(|request| match is_for_sts(request) {
        true if request.body.contains("444455556666") => denied(),
        true => session("TOKEN1", LONG),
        false if request.line().starts_with("GET ") => Answer::new(200, "x"),
        false => Answer::new(200, ATTRIBUTES),
    })
    .await;
    let barred = assuming(&server, "arn:aws:iam::444455556666:role/trailsift").await;
    let allowed = assuming(&server, ROLE).await;
    for _ in 0..2 {
        let error = barred.queue.status().await.expect_err("no credentials");
        assert!(matches!(error, QueueError::Unavailable(_)), "{error:?}");
        assert!(error.to_string().contains("sts:AssumeRole"), "{error}");
        let error = barred.store.open(&file(), None).await.expect_err("no credentials");
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        allowed.queue.status().await.expect("the other account's queue");
        allowed.store.open(&file(), None).await.expect("the other account's bucket");
    }
}

/// Names the server to the process that [`a_tasks_own_credentials_are_renewed`] starts.
const SERVER: &str = "TRAILSIFT_TEST_SERVER";

/// The other process's part: it has an environment of its own, which no other test can have.
#[tokio::test]
async fn in_a_task_with_an_endpoint_for_credentials() {
    let Ok(server) = std::env::var(SERVER) else { return };
    let connector = Connector::load("us-east-1").await;
    let account = connector.connect(&settings(&server, QUEUE_URL)).await;
    for _ in 0..3 {
        account.store.open(&file(), None).await.expect("with the credentials of the moment");
    }
}

#[tokio::test]
async fn a_tasks_own_credentials_are_renewed() {
    let sessions = AtomicUsize::new(0);
    let server = TestServer::answering(move |request| {
        if request.line().starts_with("GET /credentials") {
            let number = sessions.fetch_add(1, Ordering::SeqCst) + 1;
            let end = DateTime::from(SystemTime::now() + ENDING);
            let end = end.fmt(Format::DateTime).expect("a time");
            let session = serde_json::json!({
                "AccessKeyId": "ASIATASK", "SecretAccessKey": "S", "Expiration": end,
                "Token": format!("TOKEN{number}"),
            });
            return Answer::new(200, session.to_string());
        }
        Answer::new(200, "x")
    })
    .await;
    let mut task = tokio::process::Command::new(std::env::current_exe().expect("this test"));
    task.env_clear()
        .env(SERVER, server.url())
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/credentials", server.url()))
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .args([
            "--exact",
            "connector::tests::credentials::in_a_task_with_an_endpoint_for_credentials",
        ])
        .kill_on_drop(true);
    let ended = timeout(PATIENCE, task.output()).await.expect("it ends").expect("it runs");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    let tokens: Vec<_> = server
        .requests()
        .iter()
        .filter_map(|request| request.header("x-amz-security-token").map(str::to_owned))
        .collect();
    assert_eq!(tokens, ["TOKEN1", "TOKEN2", "TOKEN3"]);
}
