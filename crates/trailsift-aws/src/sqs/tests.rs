use tokio::time::timeout;

use super::*;
use crate::test_server::{Answer, PATIENCE, TestServer};

const ATTRIBUTES: &str = r#"{"Attributes":{"VisibilityTimeout":"300","RedrivePolicy":
    "{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:1:dlq\",\"maxReceiveCount\":\"7\"}",
    "ApproximateNumberOfMessages":"4","ApproximateNumberOfMessagesNotVisible":"5",
    "ApproximateNumberOfMessagesDelayed":"6"}}"#;

fn receipts(count: usize) -> Vec<Receipt> {
    (0..count).map(|number| Receipt(format!("r{number}"))).collect()
}

/// An error as SQS answers it: the JSON protocol's type in the body, and the query protocol's
/// code in a header.
fn error(status: u16, json: &str, query: Option<&str>, message: &str) -> Answer {
    let body = format!(r#"{{"__type":"{json}","message":"{message}"}}"#);
    let answer = Answer::new(status, body).header("content-type", "application/x-amz-json-1.0");
    match query {
        Some(code) => answer.header("x-amzn-query-error", &format!("{code};Sender")),
        None => answer,
    }
}

fn kind(error: &QueueError) -> &'static str {
    match error {
        QueueError::LeaseLost(_) => "lease_lost",
        QueueError::NotFound(_) => "not_found",
        QueueError::Denied(_) => "denied",
        QueueError::Throttled(_) => "throttled",
        QueueError::Rejected(_) => "rejected",
        QueueError::Unavailable(_) => "unavailable",
        _ => "other",
    }
}

#[tokio::test]
async fn errors_are_told_apart_by_meaning() {
    let sqs = "com.amazonaws.sqs#";
    let query = "AWS.SimpleQueueService.";
    let table = [
        (400, "ReceiptHandleIsInvalid", Some("ReceiptHandleIsInvalid"), "bad", "lease_lost"),
        (400, "MessageNotInflight", Some("MessageNotInflight"), "bad", "lease_lost"),
        (400, "MessageNotInflight", None, "bad", "lease_lost"),
        (
            400,
            "InvalidParameterValueException",
            Some("InvalidParameterValue"),
            "Value AQEB for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.",
            "lease_lost",
        ),
        (
            400,
            "InvalidParameterValueException",
            Some("InvalidParameterValue"),
            "Value AQEB for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.",
            "lease_lost",
        ),
        (
            400,
            "InvalidParameterValueException",
            Some("InvalidParameterValue"),
            "Value 43200 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds].",
            "rejected",
        ),
        (
            400,
            "InvalidParameterValueException",
            Some("InvalidParameterValue"),
            "Value 99999 for parameter VisibilityTimeout is invalid.",
            "rejected",
        ),
        (
            400,
            "QueueDoesNotExist",
            Some("AWS.SimpleQueueService.NonExistentQueue"),
            "The specified queue does not exist.",
            "not_found",
        ),
        (400, "QueueDoesNotExist", None, "gone", "not_found"),
        (403, "AccessDeniedException", Some("AccessDenied"), "not authorized", "denied"),
        (403, "UnrecognizedClientException", None, "The security token is invalid.", "denied"),
        (400, "KmsAccessDenied", Some("KMS.AccessDeniedException"), "kms:Decrypt", "denied"),
        (400, "KmsDisabled", Some("KMS.DisabledException"), "disabled", "denied"),
        (400, "KmsThrottled", Some("KMS.ThrottlingException"), "slow", "throttled"),
        (403, "RequestThrottled", Some("RequestThrottled"), "slow", "throttled"),
        (400, "ThrottlingException", None, "Rate exceeded", "throttled"),
        (403, "OverLimit", Some("OverLimit"), "120000", "throttled"),
        (
            400,
            "UnsupportedOperation",
            Some("AWS.SimpleQueueService.UnsupportedOperation"),
            "no",
            "rejected",
        ),
        (400, "ExpiredTokenException", None, "expired", "unavailable"),
        (500, "InternalFailure", None, "oops", "unavailable"),
        (400, "SomethingNew", None, "who knows", "unavailable"),
    ];
    for (status, json, query_code, message, expected) in table {
        let answer = error(status, &format!("{sqs}{json}"), query_code, message);
        let server = TestServer::start([answer]).await;
        let queue = server.account().await.queue;
        let receipt = Receipt("AQEB".to_owned());
        let found = queue.extend(&receipt, Duration::from_secs(30)).await.expect_err("an error");
        assert_eq!(kind(&found), expected, "{json}: {found}");
        let text = found.to_string();
        assert!(text.contains(message) && text.contains("REQ1"), "{text}");
        assert!(!text.contains(sqs) && !text.contains(query), "{text}");
    }
}

#[tokio::test]
async fn an_answer_without_a_code_is_known_by_its_status() {
    for (status, expected) in [(429, "throttled"), (502, "unavailable"), (403, "unavailable")] {
        let server = TestServer::start([Answer::new(status, "<html>proxy</html>")]).await;
        let found = server.account().await.queue.status().await.expect_err("an error");
        assert_eq!(kind(&found), expected, "{status}: {found}");
    }
}

#[tokio::test]
async fn the_status_is_read_whole() {
    let server = TestServer::start([Answer::new(200, ATTRIBUTES)]).await;
    let status = server.account().await.queue.status().await.expect("an answer");
    let expected = QueueStatus {
        visibility_timeout: Duration::from_secs(300),
        max_receive_count: Some(7),
        visible: 4,
        in_flight: 5,
        delayed: 6,
    };
    assert_eq!(status, expected);
}

#[test]
fn a_redrive_policy_counts_in_numbers_or_strings() {
    for (policy, expected) in [
        (r#"{"maxReceiveCount":5}"#, Some(5)),
        (r#"{"maxReceiveCount":"5"}"#, Some(5)),
        (r#"{"maxReceiveCount":-1}"#, None),
        (r#"{}"#, None),
        ("nonsense", None),
    ] {
        assert_eq!(max_receive_count(policy), expected, "{policy}");
    }
}

#[tokio::test]
async fn a_receive_asks_for_the_lease_that_it_reports() {
    let message = r#"{"Messages":[
        {"MessageId":"m1","ReceiptHandle":"r1","Body":"one","Attributes":
            {"ApproximateReceiveCount":"3","SentTimestamp":"1700000000123","SenderId":"AIDA"}},
        {"MessageId":"m2","ReceiptHandle":"r2","Body":"two"},
        {"MessageId":"m3","Body":"no receipt"},
        {"ReceiptHandle":"r4","Body":"no id"},
        {"MessageId":"m5","ReceiptHandle":"r5"}]}"#;
    let server = TestServer::start([Answer::new(200, ATTRIBUTES), Answer::new(200, message)]).await;
    let queue = server.account().await.queue;
    let asked_at = Instant::now();
    let messages = queue.receive(10, Duration::from_millis(1999)).await.expect("an answer");
    // What cannot be settled is left to redelivery; the others are not lost over it.
    assert_eq!(messages.len(), 2);
    let first = &messages[0];
    assert_eq!((first.id.0.as_str(), first.receive_count), ("m1", 3));
    let sent_at = std::time::SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    assert_eq!(first.sent_at, Some(sent_at));
    assert_eq!(first.sender_id.as_deref(), Some("AIDA"));
    assert!(first.received_at >= asked_at);
    assert_eq!(first.lease_until, first.received_at + Duration::from_secs(300));
    assert_eq!((messages[1].receive_count, messages[1].sent_at), (1, None));

    queue.receive(3, Duration::ZERO).await.expect("an answer");
    let requests = server.requests();
    assert_eq!(requests.len(), 3, "the settings are looked up once");
    let asked = |number: usize| {
        serde_json::from_str::<serde_json::Value>(&requests[number].body).expect("JSON")
    };
    assert_eq!(asked(1)["VisibilityTimeout"], 300);
    assert_eq!(asked(1)["WaitTimeSeconds"], 1, "at most the wait");
    assert_eq!(asked(1)["MaxNumberOfMessages"], 10);
    assert_eq!(asked(2)["WaitTimeSeconds"], 0);
    assert_eq!(asked(2)["MaxNumberOfMessages"], 3);
}

#[tokio::test]
async fn messages_that_are_incomplete_are_counted_and_those_that_can_be_settled_handed_on() {
    let message = r#"{"Messages":[
        {"MessageId":"m1","ReceiptHandle":"r1","Body":"b","Attributes":{"ApproximateReceiveCount":"3"}},
        {"MessageId":"m2","ReceiptHandle":"r2","Body":"without attributes"},
        {"MessageId":"m3","ReceiptHandle":"r3","Body":"without the count","Attributes":{}},
        {"MessageId":"m4","Body":"no receipt"},
        {"ReceiptHandle":"r5","Body":"no id"},
        {"MessageId":"m6","ReceiptHandle":"r6"}]}"#;
    let server = TestServer::start([Answer::new(200, ATTRIBUTES), Answer::new(200, message)]).await;
    let queue = server.account().await.queue;
    assert_eq!(queue.incomplete(), Incomplete::default());
    for round in 1..=2 {
        let messages = queue.receive(10, Duration::ZERO).await.expect("an answer");
        let counts: Vec<_> = messages.iter().map(|message| message.receive_count).collect();
        assert_eq!(counts, [3, 1, 1]);
        assert_eq!(queue.incomplete(), Incomplete { left: 3 * round, bare: 2 * round });
    }
}

#[tokio::test]
async fn a_signature_of_another_time_is_no_denial_and_names_the_remedy() {
    for message in [
        "Signature expired: 20240506T070809Z is now earlier than 20240506T075809Z",
        "Signature not yet current: 20240506T070809Z is still later than 20240506T060809Z",
    ] {
        let answer = error(403, "com.amazonaws.sqs#InvalidSignatureException", None, message);
        let server = TestServer::start([answer]).await;
        let found = server.account().await.queue.status().await.expect_err("refused");
        assert_eq!(kind(&found), "unavailable", "{found}");
        assert!(found.to_string().contains("synchronise it (NTP)"), "{found}");
    }
}

#[tokio::test]
async fn a_queue_that_hides_nothing_is_asked_for_thirty_seconds() {
    let none = Answer::new(200, r#"{"Attributes":{"VisibilityTimeout":"0"}}"#);
    let server = TestServer::start([none, Answer::new(200, "{}")]).await;
    let queue = server.account().await.queue;
    let status = queue.status().await.expect("an answer");
    assert_eq!(status.visibility_timeout, Duration::from_secs(30));
    queue.receive(1, Duration::ZERO).await.expect("an answer");
    let receive = &server.requests()[1].body;
    assert!(receive.contains(r#""VisibilityTimeout":30"#), "{receive}");
}

#[tokio::test]
async fn a_receive_needs_the_queues_settings_first() {
    let denied = error(403, "AccessDeniedException", Some("AccessDenied"), "no");
    let server = TestServer::start([denied]).await;
    let received = server.account().await.queue.receive(1, Duration::ZERO).await;
    assert!(matches!(received, Err(QueueError::Denied(_))), "{received:?}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn an_old_visibility_timeout_is_looked_up_again_and_kept_while_that_fails() {
    let shorter = r#"{"Attributes":{"VisibilityTimeout":"30"}}"#;
    let server = TestServer::start([
        Answer::new(200, ATTRIBUTES),
        error(500, "InternalFailure", None, "oops"),
        Answer::new(200, shorter),
    ])
    .await;
    let queue = server.account().await.queue;
    let seconds = async || queue.visibility().await.expect("known by now").as_secs();
    let use_and_grow_old = || {
        queue.use_visibility();
        grow_old(&queue);
    };
    assert_eq!(seconds().await, 300);
    use_and_grow_old();
    assert_eq!(seconds().await, 300);
    assert_eq!(seconds().await, 300);
    assert_eq!(server.requests().len(), 2, "a failed lookup is not repeated at once");
    use_and_grow_old();
    assert_eq!(seconds().await, 30);
}

fn grow_old(queue: &SqsQueue) {
    let mut learned = queue.visibility.lock().expect("no panic while it is held");
    let learned = learned.as_mut().expect("known by now");
    learned.at = learned.at.checked_sub(SETTINGS_AGE).expect("a machine up for minutes");
}

#[tokio::test]
async fn an_idle_queue_costs_its_long_polls_only() {
    let (nothing, shorter) = ("{}", r#"{"Attributes":{"VisibilityTimeout":"30"}}"#);
    let message = r#"{"Messages":[{"MessageId":"m","ReceiptHandle":"r","Body":"b"}]}"#;
    let answers = [ATTRIBUTES, nothing, nothing, message, shorter, nothing];
    let server = TestServer::start(answers.map(|answer| Answer::new(200, answer))).await;
    let queue = server.account().await.queue;
    let poll = async || {
        let messages = queue.receive(10, MAX_WAIT).await.expect("an answer");
        grow_old(&queue);
        messages
    };
    assert!(poll().await.is_empty());
    assert!(poll().await.is_empty());
    // What comes after hours is leased by what was asked for with it, and that is looked up next.
    let message = poll().await.remove(0);
    assert_eq!(message.lease_until, message.received_at + Duration::from_secs(300));
    assert!(poll().await.is_empty());
    assert!(poll().await.is_empty());
    let asked: Vec<_> = server
        .requests()
        .iter()
        .map(|request| request.header("x-amz-target").expect("an action").to_owned())
        .collect();
    let (status, receive) = ("AmazonSQS.GetQueueAttributes", "AmazonSQS.ReceiveMessage");
    assert_eq!(asked, [status, receive, receive, receive, status, receive, receive]);
    assert!(server.requests()[5].body.contains(r#""VisibilityTimeout":30"#));
}

#[tokio::test]
async fn an_extension_counts_from_its_request_and_is_never_shorter_than_promised() {
    let server = TestServer::start([Answer::new(200, "{}")]).await;
    let queue = server.account().await.queue;
    let asked_at = Instant::now();
    let by = Duration::from_millis(1500);
    let until = queue.extend(&Receipt("r".into()), by).await.expect("an answer");
    assert!(asked_at + by <= until && until <= Instant::now() + by);
    queue.release(&Receipt("r".into()), Duration::ZERO).await.expect("an answer");
    queue.release(&Receipt("r".into()), Duration::from_secs(99_999)).await.expect("an answer");
    let seconds: Vec<_> = server.requests().iter().map(|r| r.body.clone()).collect();
    assert!(seconds[0].contains(r#""VisibilityTimeout":2"#), "{}", seconds[0]);
    assert!(seconds[1].contains(r#""VisibilityTimeout":0"#), "{}", seconds[1]);
    assert!(seconds[2].contains(r#""VisibilityTimeout":43200"#), "{}", seconds[2]);
}

#[tokio::test]
async fn a_batch_delete_answers_each_receipt_in_its_place() {
    let answer = r#"{"Successful":[{"Id":"3"},{"Id":"0"}],"Failed":[
        {"Id":"1","Code":"InternalError","SenderFault":false,"Message":"try again"},
        {"Id":"2","Code":"ReceiptHandleIsInvalid","SenderFault":true,"Message":"stale"}]}"#;
    let server = TestServer::start([Answer::new(200, answer)]).await;
    let results = server.account().await.queue.delete(&receipts(5)).await.expect("an answer");
    assert_eq!(results.len(), 5);
    assert!(results[0].is_ok() && results[3].is_ok());
    let text = |place: usize| results[place].as_ref().expect_err("a failure").to_string();
    assert!(text(1).starts_with("the queue is unavailable: InternalError"), "{}", text(1));
    assert!(text(2).contains("sender fault"), "{}", text(2));
    assert!(matches!(results[2], Err(QueueError::LeaseLost(_))));
    assert!(matches!(results[4], Err(QueueError::Unavailable(_))), "the answer leaves it out");
}

#[tokio::test]
async fn an_empty_or_oversized_batch_makes_no_call() {
    let server = TestServer::start([Answer::new(200, "{}")]).await;
    let queue = server.account().await.queue;
    assert!(queue.delete(&[]).await.expect("nothing to do").is_empty());
    assert!(matches!(queue.delete(&receipts(11)).await, Err(QueueError::Rejected(_))));
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_silent_server_is_given_up_in_seconds() {
    let silent = Answer::new(200, "").announcing(10).hanging();
    let server = TestServer::start([silent]).await;
    let queue = server.account().await.queue;
    let receipt = Receipt("r".into());
    let extended = queue.extend(&receipt, Duration::from_secs(30));
    let found = timeout(PATIENCE, extended).await.expect("it gives up").expect_err("no answer");
    assert_eq!(kind(&found), "unavailable", "{found}");
}

fn outgoing(count: usize) -> Vec<Outgoing> {
    let message =
        |n| Outgoing { body: format!("body {n}"), deduplication: format!("deduplication-{n}") };
    (0..count).map(message).collect()
}

#[tokio::test]
async fn a_batch_send_answers_each_message_in_its_place() {
    let answer = r#"{"Successful":[{"Id":"2","MessageId":"m2","MD5OfMessageBody":"-"},
        {"Id":"0","MessageId":"m0","MD5OfMessageBody":"-"}],
        "Failed":[{"Id":"1","Code":"InternalError","Message":"again","SenderFault":false}]}"#;
    let server = TestServer::start([Answer::new(200, answer)]).await;
    let queue = server.account().await.queue;
    let results = queue.send(&outgoing(4)).await.expect("an answer");
    let ids: Vec<_> = results.iter().map(|result| result.as_ref().ok().map(|id| &*id.0)).collect();
    assert_eq!(ids, [Some("m0"), None, Some("m2"), None]);
    assert!(matches!(results[1], Err(QueueError::Unavailable(_))));
    let request = server.requests().remove(0);
    assert_eq!(request.header("x-amz-target"), Some("AmazonSQS.SendMessageBatch"));
    let body = &request.body;
    assert!(body.contains("body 3") && !body.contains("MessageGroupId"), "{body}");
    assert!(queue.send(&[]).await.expect("nothing to do").is_empty());
    assert!(matches!(queue.send(&outgoing(11)).await, Err(QueueError::Rejected(_))));
}

#[tokio::test]
async fn a_fifo_queue_is_told_a_group_and_what_a_message_is_known_by() {
    let server = TestServer::start([Answer::new(200, r#"{"Successful":[],"Failed":[]}"#)]).await;
    let url = "https://sqs.us-east-1.trailsift.invalid/000000000000/trail.fifo";
    let queue = crate::test_server::account(server.url(), url).await.queue;
    let results = queue.send(&outgoing(1)).await.expect("an answer");
    assert!(matches!(results[..], [Err(QueueError::Unavailable(_))]), "{results:?}");
    let body = server.requests().remove(0).body;
    assert!(body.contains("trailsift-replay") && body.contains("deduplication-0"), "{body}");
}

/// Whatever stands where SQS should be: an answer without end is not read into memory.
#[tokio::test]
async fn an_answer_larger_than_any_of_sqs_is_broken_off() {
    let endless = vec![b' '; 70 << 20];
    let server = TestServer::start([Answer::new(200, endless)]).await;
    let queue = server.account().await.queue;
    let refused = queue.delete(&receipts(1)).await;
    let Err(QueueError::Unavailable(said)) = refused else { panic!("{refused:?}") };
    assert!(said.contains("length limit exceeded"), "{said}");
}
