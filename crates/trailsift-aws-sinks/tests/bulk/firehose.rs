//! The Firehose sink on moto, which writes what it is given to moto's S3.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_firehose::Client;
use aws_sdk_firehose::types::{
    BufferingHints, CompressionFormat, EncryptionConfiguration, ExtendedS3DestinationConfiguration,
};
use serde_json::{Value, json};
use trailsift_core::Sink;
use trailsift_testkit::conformance::{self, Gap, SinkWorld, batch};
use trailsift_testkit::{Plan, ProxyAnswer, ProxyRequest};

use crate::buckets::{objects, s3};
use crate::streams::firehose;
use crate::support::{Troubles, moto, session, some, unique, write};

struct FirehoseWorld {
    troubles: Troubles,
    sink: Arc<dyn Sink>,
    s3: aws_sdk_s3::Client,
    bucket: String,
}

fn is_put(request: &ProxyRequest) -> bool {
    request.header("x-amz-target").is_some_and(|target| target.ends_with(".PutRecordBatch"))
}

impl FirehoseWorld {
    async fn new() -> Self {
        let (stream, bucket) = (unique("trail"), unique("delivered"));
        let s3 = s3(&moto()).await;
        s3.create_bucket().bucket(&bucket).send().await.expect("a bucket");
        let destination = ExtendedS3DestinationConfiguration::builder()
            .role_arn("arn:aws:iam::123456789012:role/firehose")
            .bucket_arn(format!("arn:aws:s3:::{bucket}"))
            // Moto describes a stream with these only if they were named.
            .compression_format(CompressionFormat::Uncompressed)
            .buffering_hints(BufferingHints::builder().build())
            .encryption_configuration(EncryptionConfiguration::builder().build());
        let client = Client::new(session(&moto()).await.config());
        let create = client
            .create_delivery_stream()
            .delivery_stream_name(&stream)
            .extended_s3_destination_configuration(destination.build().expect("a destination"));
        Box::pin(create.send()).await.expect("made");
        let troubles = Troubles::between(&moto(), is_put).await;
        let sink = firehose(troubles.proxy.url(), &stream).await;
        Self { troubles, sink, s3, bucket }
    }

    /// What Firehose wrote, one object after the other.
    async fn delivered(&self) -> String {
        let objects = objects(&self.s3, &self.bucket).await;
        let bytes: Vec<u8> = objects.into_iter().flat_map(|(_, bytes)| bytes).collect();
        String::from_utf8(bytes).expect("text")
    }
}

/// The request with its first record only, and the answer that says so of the whole.
fn first_only(request: &ProxyRequest) -> Plan {
    let mut body: Value = serde_json::from_slice(&request.body).expect("JSON");
    let records = body["Records"].as_array().expect("records").clone();
    body["Records"] = json!([records[0]]);
    let left = records.len() - 1;
    Plan::Rewrite {
        body: body.to_string().into_bytes(),
        answer: Box::new(move |upstream| {
            let mut answer: Value = serde_json::from_slice(&upstream.body).expect("JSON");
            let failed =
                json!({"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."});
            let results = answer["RequestResponses"].as_array_mut().expect("results");
            results.extend(std::iter::repeat_n(failed, left));
            answer["FailedPutCount"] = left.into();
            ProxyAnswer { body: answer.to_string().into_bytes(), ..upstream }
        }),
    }
}

#[async_trait]
impl SinkWorld for FirehoseWorld {
    fn sink(&self) -> Arc<dyn Sink> {
        Arc::clone(&self.sink)
    }

    async fn arrived(&self) -> Vec<String> {
        self.delivered().await.lines().map(str::to_owned).collect()
    }

    fn lose_next_answer(&self) -> bool {
        self.troubles.once(|_| Plan::LoseAnswer);
        true
    }

    fn break_down(&self) {
        self.troubles.always(ProxyAnswer::aws_json_error(503, "ServiceUnavailableException", ""));
    }

    fn recover(&self) {
        self.troubles.none();
    }

    fn throttle_next(&self) -> bool {
        self.troubles.once(|_| {
            Plan::Answer(ProxyAnswer::aws_json_error(400, "LimitExceededException", "slow down"))
        });
        true
    }

    fn take_first_only(&self) -> bool {
        self.troubles.once(first_only);
        true
    }

    fn refuse(&self, _: &'static str) -> bool {
        // Firehose looks into no record that is put directly.
        false
    }
}

#[tokio::test]
#[ignore = "needs moto: cargo xtask test"]
async fn the_firehose_sink_conforms() {
    let gaps = conformance::sink(&FirehoseWorld::new().await).await;
    assert_eq!(gaps, [Gap::NeverRefusesOne]);
}

#[tokio::test]
#[ignore = "needs moto: cargo xtask test"]
async fn what_firehose_joins_is_json_lines() {
    let world = FirehoseWorld::new().await;
    let events = batch(["{\n \"a\": \"é\\n\"\r\n}", "{\"b\":1.50}"]);
    assert_eq!(write(&*world.sink, &events).await, "..");
    assert_eq!(world.delivered().await, "{ \"a\": \"é\\n\"}\n{\"b\":1.50}\n");
}

#[tokio::test]
#[ignore = "needs moto: cargo xtask test"]
async fn a_stream_that_is_not_there_is_waited_for() {
    let sink = firehose(&moto(), &unique("nowhere")).await;
    assert!(sink.check().await.is_err());
    assert_eq!(write(&*sink, &some(2)).await, "??");
}
