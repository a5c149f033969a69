//! What each sink asks its service, and in whose name.

use std::sync::Arc;

use serde_json::Value;
use trailsift_aws_sinks::{EventBridgeSettings, MessageGroup, SqsSettings, SqsSink};
use trailsift_core::Sink;
use trailsift_testkit::conformance::batch;
use trailsift_testkit::{FaultProxy, ProxyAnswer, ProxyRequest};

use crate::support::{
    QUEUE_URL, TOPIC_ARN, eventbridge, logs, records, session, session_as, sns, sqs, write,
};
use crate::wire::Wire;

/// Takes nothing, and is asked so that the requests can be looked at.
async fn server() -> FaultProxy {
    FaultProxy::alone(|_| ProxyAnswer::new(503, "")).await
}

fn body(request: &ProxyRequest) -> Value {
    serde_json::from_slice(&request.body).expect("JSON")
}

#[tokio::test]
async fn a_message_is_the_event_and_nothing_else() {
    let server = server().await;
    let session = session(server.url()).await;
    let odd = "{\"eventID\":\"1\",\"a\":\"Zürich \u{85}\u{fffe}\",\n\"b\":1.50}";
    write(&*sqs(&session, QUEUE_URL), &batch([odd])).await;
    write(&*sns(&session, TOPIC_ARN), &batch([odd])).await;
    let requests = server.requests();
    let sent = "{\"eventID\":\"1\",\"a\":\"Zürich \u{85}\\ufffe\",\n\"b\":1.50}";
    let sqs = &body(&requests[0]);
    assert_eq!(sqs["QueueUrl"], format!("{}/111122223333/events", server.url()));
    assert_eq!(sqs["Entries"], serde_json::json!([{"Id": "0", "MessageBody": sent}]));
    let entries = Wire::Sns.entries(&requests[1].body);
    assert_eq!(entries, [("0".to_owned(), sent.to_owned())]);
    assert!(!requests[1].text().contains("Attribute"));
}

#[tokio::test]
async fn a_fifo_queue_knows_events_by_their_ids_and_keeps_accounts_in_order() {
    let server = server().await;
    let session = session(server.url()).await;
    let queue_url = format!("{QUEUE_URL}.fifo");
    for (message_group, group) in
        [(MessageGroup::Account, "111122223333"), (MessageGroup::Event, "id-7")]
    {
        let settings = SqsSettings { queue_url: queue_url.clone(), message_group };
        write(&SqsSink::new("sqs", &session, settings), &records(7..8)).await;
        let sent = body(server.requests().last().expect("a request"));
        assert_eq!(sent["Entries"][0]["MessageDeduplicationId"], "id-7");
        assert_eq!(sent["Entries"][0]["MessageGroupId"], group);
    }
    write(&*sns(&session, &format!("{TOPIC_ARN}.fifo")), &records(7..8)).await;
    let sent = server.requests().last().expect("a request").text();
    assert!(sent.contains("member.1.MessageDeduplicationId=id-7"), "{sent}");
    assert!(sent.contains("member.1.MessageGroupId=id-7"), "{sent}");
    // Elsewhere there is no such thing: SQS would refuse or, worse, reorder.
    write(&*sqs(&session, QUEUE_URL), &records(7..8)).await;
    let sent = server.requests().last().expect("a request").text();
    assert!(!sent.contains("Group") && !sent.contains("Deduplication"), "{sent}");
}

/// What is parked of messages that name no object is all at the same place: none. A FIFO queue takes
/// what has one ID once, and throws the others away.
#[tokio::test]
async fn lines_of_a_quarantine_about_one_place_are_different_messages_of_a_fifo_queue() {
    let server = server().await;
    let sink = sqs(&session(server.url()).await, &format!("{QUEUE_URL}.fifo"));
    let mut lines = batch(["1", "2"].map(|message| {
        format!("{{\"reason\":\"bad_notification\",\"message_id\":\"{message}\"}}")
    }));
    let mut nowhere = (*lines.entries[0].source).clone();
    (nowhere.bucket, nowhere.key) = Default::default();
    let nowhere = Arc::new(nowhere);
    for line in &mut lines.entries {
        (line.source, line.index) = (Arc::clone(&nowhere), 0);
    }
    write(&*sink, &lines).await;
    write(&*sink, &lines).await;
    let ids = server.requests().into_iter().map(|request| {
        let entries = body(&request)["Entries"].clone();
        [0, 1].map(|place| entries[place]["MessageDeduplicationId"].to_string())
    });
    let ids: Vec<_> = ids.collect();
    assert_ne!(ids[0][0], ids[0][1]);
    assert_eq!(ids[0], ids[1], "the same lines again");
}

#[tokio::test]
async fn an_account_in_a_fifo_queue_is_sent_in_order_call_by_call() {
    let server = FaultProxy::alone(|request: &ProxyRequest| {
        let entries = Wire::Sqs.entries(&request.body);
        let taken = entries.iter().map(
            |(id, _)| serde_json::json!({"Id": id, "MessageId": "m", "MD5OfMessageBody": "x"}),
        );
        let taken: Vec<_> = taken.collect();
        ProxyAnswer::new(200, serde_json::json!({"Successful": taken, "Failed": []}).to_string())
    })
    .await;
    let sink = sqs(&session(server.url()).await, &format!("{QUEUE_URL}.fifo"));
    assert_eq!(write(&*sink, &records(0..25)).await, ".".repeat(25));
    let sent = server.requests();
    let ids: Vec<_> = sent.iter().flat_map(|it| Wire::Sqs.entries(&it.body)).collect();
    let ids: Vec<u32> = ids.into_iter().map(|(id, _)| id.parse().expect("a place")).collect();
    assert_eq!(ids, (0..25).collect::<Vec<_>>());
    assert_eq!(sent.len(), 3);
}

#[tokio::test]
async fn an_entry_on_the_bus_has_the_events_own_time_and_bytes() {
    let server = server().await;
    let session = session(server.url()).await;
    let sink = eventbridge(&session, "default", EventBridgeSettings::CALL_BYTES);
    let text = "{\"eventTime\":\"2026-11-16T01:02:03Z\",  \"n\":1.50}";
    let ancient = "{\"eventTime\":\"0000-01-01T00:00:00Z\"}";
    assert_eq!(write(&*sink, &batch([text, "{}", "[1]", ancient])).await, "??x?");
    let sent = body(&server.requests()[0]);
    let entry = &sent["Entries"][0];
    assert_eq!(entry["Detail"], text);
    assert_eq!(entry["Time"], 1_794_790_923);
    assert_eq!(entry["Source"], "trailsift");
    assert_eq!(entry["DetailType"], "CloudTrail event");
    assert_eq!(entry["EventBusName"], "default");
    assert!(entry.get("Resources").is_none());
    // Without a time EventBridge takes its own.
    assert!(sent["Entries"][1].get("Time").is_none());
    assert_eq!(sent["Entries"].as_array().map(Vec::len), Some(3));
    assert!(sent["Entries"][2].get("Time").is_none());
    // By its ARN the bus may be another account's: it is asked for.
    let arn = "arn:aws:events:us-east-1:111122223333:event-bus/default";
    write(&*eventbridge(&session, arn, EventBridgeSettings::CALL_BYTES), &batch([text])).await;
    let asked = server.requests().pop().expect("a request");
    assert_eq!(asked.header("x-amz-target"), Some("AWSEvents.DescribeEventBus"));
    assert_eq!(body(&asked)["Name"], arn);
}

#[tokio::test]
async fn a_log_event_has_the_events_own_time() {
    let server = server().await;
    let sink = logs(&session(server.url()).await, "/a/b");
    write(&*sink, &batch(["{\"eventTime\":\"2026-11-16T01:02:03.5Z\"}"])).await;
    let sent = body(&server.requests()[0]);
    assert_eq!(sent["logGroupName"], "/a/b");
    assert_eq!(sent["logStreamName"], "trailsift");
    assert_eq!(sent["logEvents"][0]["timestamp"], 1_794_790_923_500_i64);
    assert!(sent.get("sequenceToken").is_none());
}

#[tokio::test]
async fn a_sink_with_a_role_assumes_it_with_its_external_id_in_its_region_and_again_when_it_expires()
 {
    let server = FaultProxy::alone(|request: &ProxyRequest| {
        if request.text().contains("Action=AssumeRole") {
            return ProxyAnswer::new(
                200,
                "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                 <AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId>\
                 <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
                 <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
                 </AssumeRoleResult></AssumeRoleResponse>",
            )
            .header("content-type", "text/xml");
        }
        match request.header("x-amz-target") {
            Some(_) => ProxyAnswer::aws_json_error(400, "ExpiredTokenException", "expired"),
            None => ProxyAnswer::aws_xml_error(403, "ExpiredToken", "expired"),
        }
    })
    .await;
    let role = "arn:aws:iam::999988887777:role/writer";
    let session = session_as(server.url(), "eu-west-3", Some(role)).await;
    let sinks: [(&str, Arc<dyn Sink>); 4] = [
        ("sqs", sqs(&session, QUEUE_URL)),
        ("sns", sns(&session, TOPIC_ARN)),
        ("events", eventbridge(&session, "default", EventBridgeSettings::CALL_BYTES)),
        ("logs", logs(&session, "g")),
    ];
    for (service, sink) in sinks {
        assert_eq!(write(&*sink, &records(0..1)).await, "?", "{service}");
        let requests = server.requests();
        let signed = requests.last().and_then(|it| it.header("authorization")).expect("signed");
        assert!(signed.contains("Credential=ASIAROLE/"), "{signed}");
        assert!(signed.contains(&format!("/eu-west-3/{service}/")), "{signed}");
    }
    let requests = server.requests();
    let assumed: Vec<_> =
        requests.iter().filter(|it| it.text().contains("Action=AssumeRole")).collect();
    // Once at first, and once more because they had expired.
    assert_eq!(assumed.len(), 2);
    for request in assumed {
        assert!(request.text().contains("ExternalId=the-external-id"), "{}", request.text());
        assert!(request.text().contains("RoleSessionName=trailsift"), "{}", request.text());
        let signed = request.header("authorization").expect("signed");
        assert!(signed.contains("/eu-west-3/sts/"), "{signed}");
    }
}
