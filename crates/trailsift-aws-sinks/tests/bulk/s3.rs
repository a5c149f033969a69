//! What the S3 sink asks, and what it makes of answers that an emulator does not give.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use trailsift_aws_sinks::{LineCompression, S3Body, S3Sink, S3SinkSettings};
use trailsift_core::{Batch, Disposition, Sink};
use trailsift_testkit::conformance::batch;
use trailsift_testkit::{FaultProxy, Plan, ProxyAnswer, ProxyRequest};

use crate::support::{answering, error, records, session, session_with, some, write};

pub(crate) fn settings(bucket: &str) -> S3SinkSettings {
    S3SinkSettings {
        bucket: bucket.to_owned(),
        owner: None,
        prefix: "events/region={region}/date={yyyy}-{MM}-{dd}/".parse().expect("a template"),
        body: S3Body::JsonLines(LineCompression::None),
        kms_key_id: None,
        part_bytes: S3SinkSettings::USUAL_PART,
    }
}

async fn sink_at(server: &FaultProxy, settings: S3SinkSettings) -> S3Sink {
    S3Sink::new("lake", &session(server.url()).await, settings)
}

async fn sink(server: &FaultProxy) -> S3Sink {
    sink_at(server, settings("lake")).await
}

/// S3's answer to a whole object.
pub(crate) fn stored() -> ProxyAnswer {
    ProxyAnswer::new(200, "").header("etag", "\"0cc175b9c0f1b6a831c399e269772661\"")
}

fn s3_error(status: u16, code: &str, message: &str) -> ProxyAnswer {
    let body = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    ProxyAnswer::new(status, body).header("content-type", "application/xml")
}

#[tokio::test]
async fn an_object_is_written_in_one_call_that_names_owner_key_and_checksum() {
    let server = answering(stored()).await;
    let settings = S3SinkSettings {
        owner: Some("111122223333".into()),
        kms_key_id: Some("alias/lake".into()),
        ..settings("lake")
    };
    let sink = sink_at(&server, settings).await;
    let events = some(3);
    assert_eq!(write(&sink, &events).await, "...");
    assert_eq!(write(&sink, &events).await, "...");
    assert!(sink.check().await.is_ok());
    let requests = server.requests();
    let [put, again, head] = &requests[..] else { panic!("{requests:?}") };
    let key = put.target.strip_prefix("/lake/events/region%3Dus-east-1/date%3D2026-11-16/");
    assert!(key.is_some_and(|key| key.split('?').next().unwrap().ends_with(".jsonl")), "{put:?}");
    assert_eq!((&*put.method, &put.target), ("PUT", &again.target), "the same events, one object");
    let lines: Vec<_> =
        events.entries.iter().map(|it| String::from_utf8(it.data.to_vec()).unwrap()).collect();
    assert_eq!(put.text(), lines.join("\n") + "\n");
    for (name, value) in [
        ("x-amz-expected-bucket-owner", "111122223333"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "alias/lake"),
        ("content-type", "application/x-ndjson"),
    ] {
        assert_eq!(put.header(name), Some(value), "{name}");
    }
    assert!(put.header("x-amz-checksum-crc32").is_some(), "{put:?}");
    assert_eq!(put.header("content-encoding"), None);
    assert_eq!(head.method, "HEAD");
    assert_eq!(head.header("x-amz-expected-bucket-owner"), Some("111122223333"));
}

#[tokio::test]
async fn of_several_partitions_those_that_were_written_are_acknowledged() {
    let server = FaultProxy::alone(|request| match request.target.contains("eu-west-1") {
        true => s3_error(503, "SlowDown", "Please reduce your request rate."),
        false => stored(),
    })
    .await;
    let regions = ["us-east-1", "eu-west-1", "us-east-1", "ap-south-1", "eu-west-1"];
    let events = records((0..).zip(regions));
    assert_eq!(write(&sink(&server).await, &events).await, ".?..?");
    assert_eq!(server.requests().len(), 3, "one object for each partition, each tried once");
}

#[tokio::test]
async fn no_answer_of_s3_condemns_an_event() {
    let redirect = || {
        s3_error(301, "PermanentRedirect", "use the specified endpoint")
            .header("x-amz-bucket-region", "eu-west-1")
    };
    let troubles = [
        (s3_error(503, "SlowDown", "reduce your rate").header("retry-after", "7"), "SlowDown"),
        (s3_error(500, "InternalError", "try again"), "InternalError"),
        (
            s3_error(403, "AccessDenied", "Access Denied"),
            "it may be that 111122223333 does not own it",
        ),
        (
            s3_error(403, "AccessDenied", "User is not authorized to perform: kms:GenerateDataKey"),
            "kms:GenerateDataKey",
        ),
        (s3_error(400, "KMS.DisabledException", "the key is disabled"), "KMS.DisabledException"),
        (s3_error(400, "ExpiredToken", "The provided token has expired."), "ExpiredToken"),
        (s3_error(404, "NoSuchBucket", "The specified bucket does not exist"), "NoSuchBucket"),
        (s3_error(400, "InvalidArgument", "is too long"), "InvalidArgument"),
        (s3_error(400, "EntityTooLarge", "too large"), "EntityTooLarge"),
        (s3_error(400, "NeverHeardOf", "?"), "NeverHeardOf"),
        (redirect(), "it is in eu-west-1: set the sink's region"),
        (ProxyAnswer::new(502, "<html>"), "502"),
    ];
    for (answer, said) in troubles {
        let server = answering(answer.clone()).await;
        let settings = S3SinkSettings { owner: Some("111122223333".into()), ..settings("lake") };
        let sink = sink_at(&server, settings).await;
        let found = error(&sink, &some(2)).await;
        assert!(found.message.starts_with("cannot write to the bucket lake: "), "{found}");
        assert!(found.message.contains(said), "{found}");
        let after = (said == "SlowDown").then_some(Duration::from_secs(7));
        assert_eq!(found.disposition, Disposition::Retry { after }, "{found}");
        assert_eq!(server.requests().len(), 1, "{said}: tried once");
        assert!(sink.check().await.is_err(), "{said}");
    }
    let server = FaultProxy::start("http://127.0.0.1:1").await;
    server.plan(|_| Plan::Cut);
    assert_eq!(write(&sink(&server).await, &some(2)).await, "??");
}

#[tokio::test]
async fn an_answer_that_names_nothing_stored_is_no_receipt() {
    for friendly in ["", "<html>", "OK"] {
        let answer = ProxyAnswer::new(200, friendly).header("content-type", "text/html");
        let server = answering(answer).await;
        let found = error(&sink(&server).await, &some(2)).await;
        assert!(found.message.contains("is not that of S3"), "{found}");
        assert_eq!(found.disposition, Disposition::RETRY, "{found}");
    }
    // The same for a part, and for the object that parts are put together to.
    type Asked = fn(&ProxyRequest) -> bool;
    let asked: [Asked; 2] = [
        |request| request.target.contains("partNumber=2"),
        |request| request.method == "POST" && request.target.contains("uploadId="),
    ];
    for asked in asked {
        let friendly = ["", "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>"];
        for body in friendly {
            let answer =
                move |request: &ProxyRequest| asked(request).then(|| ProxyAnswer::new(200, body));
            let (server, parts) = bucket_of_parts(answer).await;
            let sink = sink_at(&server, in_parts()).await;
            assert_eq!(write(&sink, &large()).await, "?????????");
            assert_eq!(parts.lock().unwrap().aborted, ["up-1"]);
        }
    }
}

/// A bucket that takes uploads in parts, and goes wrong where it is told to.
#[derive(Default)]
struct Parts {
    parts: BTreeMap<u32, Vec<u8>>,
    began: usize,
    ended: Vec<String>,
    aborted: Vec<String>,
}

type Shared = Arc<Mutex<Parts>>;

async fn bucket_of_parts(
    trouble: impl Fn(&ProxyRequest) -> Option<ProxyAnswer> + Send + Sync + 'static,
) -> (FaultProxy, Shared) {
    let shared = Shared::default();
    let parts = Arc::clone(&shared);
    let server = FaultProxy::alone(move |request| {
        let mut parts = parts.lock().expect("no panic while it is held");
        let query = request.target.split_once('?').map_or("", |(_, query)| query);
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
        };
        if request.method == "DELETE" {
            parts.aborted.push(value("uploadId").expect("an upload"));
        }
        if let Some(answer) = trouble(request) {
            return answer;
        }
        match (&*request.method, value("partNumber")) {
            ("POST", _) if query.starts_with("uploads") => {
                parts.began += 1;
                ProxyAnswer::new(
                    200,
                    "<InitiateMultipartUploadResult><UploadId>up-1</UploadId>\
                     </InitiateMultipartUploadResult>",
                )
            }
            ("PUT", Some(number)) => {
                parts.parts.insert(number.parse().expect("a number"), request.body.clone());
                ProxyAnswer::new(200, "")
                    .header("etag", &format!("\"etag-{number}\""))
                    .header("x-amz-checksum-crc32", "AAAAAA==")
            }
            ("POST", _) => {
                parts.ended.push(request.text());
                ProxyAnswer::new(
                    200,
                    "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>",
                )
            }
            ("DELETE", _) => ProxyAnswer::new(204, ""),
            _ => panic!("{request:?}"),
        }
    })
    .await;
    (server, shared)
}

/// Twelve mebibytes and a bit in nine events.
pub(crate) fn large() -> Batch {
    let mut text = String::new();
    let events = (0..9).map(|n| {
        text.clear();
        text.push_str(&format!("{{\"awsRegion\":\"us-east-1\",\"n\":{n},\"x\":\""));
        let mut state = n + 1_u32;
        while text.len() < (4 << 20) / 3 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.push_str(&format!("{state:08x}"));
        }
        text.push_str("\"}");
        text.clone()
    });
    batch(events)
}

pub(crate) fn lines(batch: &Batch) -> Vec<u8> {
    let line = |data: &Bytes| [data.as_ref(), b"\n"].concat();
    batch.entries.iter().flat_map(|entry| line(&entry.data)).collect()
}

fn in_parts() -> S3SinkSettings {
    S3SinkSettings {
        part_bytes: S3SinkSettings::SMALLEST_PART,
        owner: Some("111122223333".into()),
        kms_key_id: Some("alias/lake".into()),
        ..settings("lake")
    }
}

#[tokio::test]
async fn a_large_object_is_sent_in_parts_that_are_put_together_in_their_order() {
    let (server, parts) = bucket_of_parts(|_| None).await;
    let events = large();
    let sink = sink_at(&server, in_parts()).await;
    assert_eq!(write(&sink, &events).await, ".........");
    let parts = parts.lock().unwrap();
    assert_eq!((parts.began, parts.parts.len(), parts.aborted.len()), (1, 3, 0));
    assert!(parts.parts.values().flatten().copied().eq(lines(&events)), "the object's bytes");
    let end = &parts.ended[0];
    let places: Vec<_> = (1..=3)
        .map(|n| {
            let part = format!("<PartNumber>{n}</PartNumber>");
            assert!(end.contains(&format!("etag-{n}")), "{end}");
            end.find(&part).expect("each part")
        })
        .collect();
    assert!(places.is_sorted(), "{end}");
    assert_eq!(end.matches("<ChecksumCRC32>").count(), 3, "{end}");
    for request in server.requests() {
        let owner = request.header("x-amz-expected-bucket-owner");
        assert_eq!(owner, Some("111122223333"), "{}", request.target);
        let begins = request.target.contains("uploads");
        let key = request.header("x-amz-server-side-encryption-aws-kms-key-id");
        assert_eq!(key, begins.then_some("alias/lake"), "{}", request.target);
    }
}

#[tokio::test]
async fn an_upload_that_does_not_come_to_its_end_acknowledges_nothing_and_is_removed() {
    type Trouble = fn(&ProxyRequest) -> Option<ProxyAnswer>;
    let troubles: [(&str, Trouble); 4] = [
        ("cannot send a part", |request| {
            let second = request.target.contains("partNumber=2");
            second.then(|| s3_error(503, "SlowDown", "slow"))
        }),
        ("cannot end", |request| {
            let ends = request.method == "POST" && request.target.contains("uploadId=");
            ends.then(|| s3_error(500, "InternalError", "oops"))
        }),
        // S3 may answer 200 before it knows, and then say in the body that it failed.
        ("cannot end", |request| {
            let ends = request.method == "POST" && request.target.contains("uploadId=");
            ends.then(|| s3_error(200, "InternalError", "oops"))
        }),
        // Nothing that goes wrong with the removal hides why it was needed.
        ("cannot send a part", |request| match &*request.method {
            "PUT" => Some(s3_error(403, "AccessDenied", "no")),
            "DELETE" => Some(s3_error(403, "AccessDenied", "no")),
            _ => None,
        }),
    ];
    for (said, trouble) in troubles {
        let (server, parts) = bucket_of_parts(trouble).await;
        let found = error(&sink_at(&server, in_parts()).await, &large()).await;
        assert!(found.message.starts_with(said), "{found}");
        assert!(matches!(found.disposition, Disposition::Retry { .. }), "{found}");
        assert_eq!(parts.lock().unwrap().aborted, ["up-1"], "{said}");
    }
    let begins = |request: &ProxyRequest| {
        request.target.contains("uploads").then(|| s3_error(403, "AccessDenied", "no"))
    };
    let (server, parts) = bucket_of_parts(begins).await;
    let found = error(&sink_at(&server, in_parts()).await, &large()).await;
    assert!(found.message.starts_with("cannot begin a multipart upload"), "{found}");
    assert!(parts.lock().unwrap().aborted.is_empty(), "there is nothing to remove");
}

/// S3 that begins uploads, answers no part, and remembers what it was asked.
#[derive(Clone, Debug, Default)]
struct Stalls(Arc<Mutex<Vec<String>>>);

impl HttpConnector for Stalls {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let asked = format!("{} {}", request.method(), request.uri());
        self.0.lock().expect("no panic while it is held").push(asked.clone());
        HttpConnectorFuture::new(async move {
            if asked.contains("partNumber") {
                std::future::pending::<()>().await;
            }
            let body = "<InitiateMultipartUploadResult><UploadId>up-1</UploadId>\
                        </InitiateMultipartUploadResult>";
            let status = 200.try_into().expect("a status");
            Ok(HttpResponse::new(status, SdkBody::from(body)))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_stalls_is_removed_and_the_write_ends_in_its_time() {
    let stalls = Stalls::default();
    let connector = SharedHttpConnector::new(stalls.clone());
    let client = http_client_fn(move |_, _| connector.clone());
    let session = session_with("http://localhost:1", Some(client)).await;
    let sink = S3Sink::new("lake", &session, in_parts());
    let started = tokio::time::Instant::now();
    assert_eq!(write(&sink, &large()).await, "?????????");
    assert!(started.elapsed() < S3Sink::LONGEST_WRITE, "{:?}", started.elapsed());
    let asked = stalls.0.lock().unwrap();
    let removed = asked.iter().filter(|it| it.starts_with("DELETE") && it.contains("up-1"));
    assert_eq!(removed.count(), 1, "{asked:?}");
}
