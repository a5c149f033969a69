//! The Kinesis sink on moto.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::ShardIteratorType;
use serde_json::{Value, json};
use trailsift_core::Sink;
use trailsift_testkit::conformance::{self, Gap, SinkWorld, batch};
use trailsift_testkit::{Plan, ProxyAnswer, ProxyRequest};

use crate::streams::kinesis;
use crate::support::{Troubles, moto, session, some, unique, write};

struct KinesisWorld {
    troubles: Troubles,
    sink: Arc<dyn Sink>,
    client: Client,
    stream: String,
}

fn is_put(request: &ProxyRequest) -> bool {
    request.header("x-amz-target").is_some_and(|target| target.ends_with(".PutRecords"))
}

impl KinesisWorld {
    async fn new() -> Self {
        let stream = unique("trail");
        let client = Client::new(session(&moto()).await.config());
        client.create_stream().stream_name(&stream).shard_count(3).send().await.expect("made");
        let troubles = Troubles::between(&moto(), is_put).await;
        let sink = kinesis(troubles.proxy.url(), &stream).await;
        Self { troubles, sink, client, stream }
    }

    /// Every record with its shard.
    async fn records(&self) -> Vec<(String, Vec<u8>)> {
        let shards = self.client.list_shards().stream_name(&self.stream).send().await;
        let mut records = Vec::new();
        for shard in shards.expect("shards").shards() {
            let id = shard.shard_id();
            let from = self.client.get_shard_iterator().stream_name(&self.stream).shard_id(id);
            let from = from.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await;
            let mut next = from.expect("an iterator").shard_iterator;
            while let Some(iterator) = next {
                let got = self.client.get_records().shard_iterator(iterator).send().await;
                let got = got.expect("records");
                let end = got.records().is_empty() && got.millis_behind_latest() == Some(0);
                let of_shard = |it: &aws_sdk_kinesis::types::Record| {
                    (id.to_owned(), it.data().as_ref().to_vec())
                };
                records.extend(got.records().iter().map(of_shard));
                next = got.next_shard_iterator.filter(|_| !end);
            }
        }
        records
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
            let failed = json!({
                "ErrorCode": "ProvisionedThroughputExceededException",
                "ErrorMessage": "Rate exceeded for shard",
            });
            let results = answer["Records"].as_array_mut().expect("results");
            results.extend(std::iter::repeat_n(failed, left));
            answer["FailedRecordCount"] = left.into();
            ProxyAnswer { body: answer.to_string().into_bytes(), ..upstream }
        }),
    }
}

#[async_trait]
impl SinkWorld for KinesisWorld {
    fn sink(&self) -> Arc<dyn Sink> {
        Arc::clone(&self.sink)
    }

    async fn arrived(&self) -> Vec<String> {
        let text = |(_, data)| String::from_utf8(data).expect("text");
        self.records().await.into_iter().map(text).collect()
    }

    fn lose_next_answer(&self) -> bool {
        self.troubles.once(|_| Plan::LoseAnswer);
        true
    }

    fn break_down(&self) {
        self.troubles.always(ProxyAnswer::aws_json_error(500, "InternalFailure", "down"));
    }

    fn recover(&self) {
        self.troubles.none();
    }

    fn throttle_next(&self) -> bool {
        self.troubles.once(|_| {
            Plan::Answer(ProxyAnswer::aws_json_error(
                400,
                "ProvisionedThroughputExceededException",
                "Rate exceeded",
            ))
        });
        true
    }

    fn take_first_only(&self) -> bool {
        self.troubles.once(first_only);
        true
    }

    fn refuse(&self, _: &'static str) -> bool {
        // Kinesis looks into no record.
        false
    }
}

#[tokio::test]
#[ignore = "needs moto: cargo xtask test"]
async fn the_kinesis_sink_conforms() {
    let gaps = conformance::sink(&KinesisWorld::new().await).await;
    assert_eq!(gaps, [Gap::NeverRefusesOne]);
}

#[tokio::test]
#[ignore = "needs moto: cargo xtask test"]
async fn events_arrive_byte_for_byte_spread_over_the_shards() {
    let world = KinesisWorld::new().await;
    let odd = batch(["{\n \"a\" : \"é\\u0000\\n\",\r\n\"b\":1.50 }"]);
    assert_eq!(write(&*world.sink, &odd).await, ".");
    assert_eq!(world.records().await[0].1, odd.entries[0].data);
    assert_eq!(write(&*world.sink, &some(600)).await, ".".repeat(600));
    let records = world.records().await;
    assert_eq!(records.len(), 601);
    let mut shards: Vec<_> = records.iter().map(|(shard, _)| shard).collect();
    shards.sort();
    shards.dedup();
    assert_eq!(shards.len(), 3);
}

#[tokio::test]
#[ignore = "needs moto: cargo xtask test"]
async fn a_stream_that_is_not_there_is_waited_for() {
    let sink = kinesis(&moto(), &unique("nowhere")).await;
    assert!(sink.check().await.is_err());
    assert_eq!(write(&*sink, &some(2)).await, "??");
}
