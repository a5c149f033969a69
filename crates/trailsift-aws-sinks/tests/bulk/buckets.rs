//! The S3 sink on LocalStack.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use trailsift_aws_sinks::{LineCompression, ParquetCompression, S3Body, S3Sink, S3SinkSettings};
use trailsift_core::Sink;
use trailsift_testkit::conformance::{self, Gap, SinkWorld};
use trailsift_testkit::{Plan, ProxyAnswer, ProxyRequest};

use crate::s3::{large, lines, settings};
use crate::support::{Troubles, localstack, session, some, unique, write};

/// A client of S3 that no trouble stands before.
pub(crate) async fn s3(endpoint: &str) -> Client {
    let session = session(endpoint).await;
    let config = aws_sdk_s3::config::Builder::from(session.config()).force_path_style(true).build();
    Client::from_conf(config)
}

/// Every object of a bucket, by its key.
pub(crate) async fn objects(client: &Client, bucket: &str) -> Vec<(String, Vec<u8>)> {
    let mut objects = Vec::new();
    let mut pages = client.list_objects_v2().bucket(bucket).into_paginator().send();
    while let Some(page) = pages.next().await {
        for object in page.expect("a page").contents() {
            let key = object.key().expect("a key");
            let got = client.get_object().bucket(bucket).key(key).send().await.expect("got");
            let bytes = got.body.collect().await.expect("a body").into_bytes();
            objects.push((key.to_owned(), bytes.to_vec()));
        }
    }
    objects
}

/// The events in an object, by what its name says.
fn events_of((key, bytes): &(String, Vec<u8>)) -> Vec<String> {
    if key.ends_with(".parquet") {
        let reader = SerializedFileReader::new(Bytes::from(bytes.clone())).expect("Parquet");
        let rows = reader.get_row_iter(None).expect("rows");
        let event = |row: Row| {
            let (_, event) = row.into_columns().pop().expect("columns");
            let Field::Str(text) = event else { panic!("{event:?}") };
            text
        };
        return rows.map(|row| event(row.expect("a row"))).collect();
    }
    lines_of(key, bytes).lines().map(str::to_owned).collect()
}

fn lines_of(key: &str, bytes: &[u8]) -> String {
    let mut text = String::new();
    if key.ends_with(".gz") {
        #[expect(clippy::disallowed_methods, reason = "the sink under test writes one member")]
        let mut decoder = flate2::bufread::GzDecoder::new(bytes);
        decoder.read_to_string(&mut text).expect("gzip of text");
        assert!(decoder.into_inner().is_empty(), "one member");
    } else if key.ends_with(".zst") {
        text = String::from_utf8(zstd::stream::decode_all(bytes).expect("zstd")).expect("text");
    } else {
        text = String::from_utf8(bytes.to_vec()).expect("text");
    }
    text
}

fn is_put(request: &ProxyRequest) -> bool {
    request.method == "PUT"
}

struct S3World {
    troubles: Troubles,
    sink: Arc<dyn Sink>,
    client: Client,
    bucket: String,
}

impl S3World {
    async fn new(change: impl FnOnce(S3SinkSettings) -> S3SinkSettings) -> Self {
        let bucket = unique("lake");
        let client = s3(&localstack()).await;
        client.create_bucket().bucket(&bucket).send().await.expect("a bucket");
        let troubles = Troubles::between(&localstack(), is_put).await;
        let session = session(troubles.proxy.url()).await;
        let sink = Arc::new(S3Sink::new("lake", &session, change(settings(&bucket))));
        Self { troubles, sink, client, bucket }
    }
}

#[async_trait]
impl SinkWorld for S3World {
    fn sink(&self) -> Arc<dyn Sink> {
        Arc::clone(&self.sink)
    }

    async fn arrived(&self) -> Vec<String> {
        objects(&self.client, &self.bucket).await.iter().flat_map(events_of).collect()
    }

    fn lose_next_answer(&self) -> bool {
        self.troubles.once(|_| Plan::LoseAnswer);
        true
    }

    fn break_down(&self) {
        self.troubles.always(ProxyAnswer::aws_xml_error(503, "ServiceUnavailable", "down"));
    }

    fn recover(&self) {
        self.troubles.none();
    }

    fn throttle_next(&self) -> bool {
        self.troubles.once(|_| {
            Plan::Answer(
                ProxyAnswer::aws_xml_error(503, "SlowDown", "slow").header("retry-after", "1"),
            )
        });
        true
    }

    fn take_first_only(&self) -> bool {
        // An object is taken whole; what becomes of several partitions, tests by hand-written answers say.
        false
    }

    fn refuse(&self, _: &'static str) -> bool {
        // S3 looks into no object.
        false
    }
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn the_s3_sink_conforms() {
    for body in [
        S3Body::JsonLines(LineCompression::Gzip),
        S3Body::JsonLines(LineCompression::Zstd),
        S3Body::Parquet(ParquetCompression::Snappy),
    ] {
        let world = S3World::new(|settings| S3SinkSettings { body, ..settings }).await;
        let gaps = [Gap::NoLimit, Gap::NeverTakesInPart, Gap::NeverRefusesOne];
        let mut found = conformance::sink(&world).await;
        found.sort_by_key(|gap| gaps.iter().position(|known| known == gap));
        assert_eq!(found, gaps, "{body:?}");
    }
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn a_lost_answer_leaves_one_object_with_every_event_once() {
    let world = S3World::new(|settings| settings).await;
    let events = some(4);
    assert!(world.lose_next_answer());
    let sink = world.decorated(Duration::from_secs(20));
    assert_eq!(write(&*sink, &events).await, "....");
    let puts = world.troubles.proxy.requests().into_iter().filter(is_put).count();
    assert_eq!(puts, 2, "it was sent again");
    let objects = objects(&world.client, &world.bucket).await;
    assert_eq!(objects.len(), 1, "{objects:?}");
    assert_eq!(objects[0].1, lines(&events));
    assert!(
        objects[0].0.starts_with("events/region=us-east-1/date=2026-11-16/"),
        "{}",
        objects[0].0
    );
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn a_large_object_arrives_in_parts_byte_for_byte_or_leaves_nothing_behind() {
    let part_bytes = S3SinkSettings::SMALLEST_PART;
    let world = S3World::new(|settings| S3SinkSettings { part_bytes, ..settings }).await;
    let events = large();
    world.troubles.once(|_| Plan::Answer(ProxyAnswer::aws_xml_error(503, "SlowDown", "slow")));
    assert_eq!(write(&*world.sink, &events).await, "?????????");
    let unfinished = world.client.list_multipart_uploads().bucket(&world.bucket).send().await;
    assert!(unfinished.expect("a list").uploads().is_empty(), "the parts are removed");
    assert!(objects(&world.client, &world.bucket).await.is_empty());
    assert_eq!(write(&*world.sink, &events).await, ".........");
    let objects = objects(&world.client, &world.bucket).await;
    assert_eq!(objects.len(), 1);
    assert!(objects[0].1 == lines(&events), "the object's bytes");
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn a_bucket_that_is_not_there_is_waited_for() {
    let session = session(&localstack()).await;
    let bucket = unique("lake");
    let sink = S3Sink::new("lake", &session, settings(&bucket));
    assert!(sink.check().await.is_err());
    assert_eq!(write(&sink, &some(2)).await, "??");
    let client = s3(&localstack()).await;
    client.create_bucket().bucket(&bucket).send().await.expect("a bucket");
    sink.check().await.expect("it is there now");
    assert_eq!(write(&sink, &some(2)).await, "..");
}
