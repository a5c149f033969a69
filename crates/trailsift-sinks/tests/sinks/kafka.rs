//! The Kafka sink against librdkafka's cluster in this process, which keeps what real brokers keep of
//! the protocol.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use tokio::time::Instant;
use trailsift_core::{Disposition, Reason, Sink};
use trailsift_sinks::{KafkaCompression, KafkaKey, KafkaSettings, KafkaSink};
use trailsift_testkit::conformance::{self, Gap, SinkWorld};

use crate::{acknowledged, batch};

mod encrypted;
mod faults;
mod front;

const TOPIC: &str = "trail";
const ALL_BROKERS: i32 = -1;

type Mock = MockCluster<'static, DefaultProducerContext>;
type Command = Box<dyn FnOnce(&Mock) + Send>;

/// The brokers, which only their own thread may touch. They end with the last handle.
#[derive(Clone)]
struct Brokers {
    servers: String,
    commands: SyncSender<Command>,
}

impl Brokers {
    fn new(count: i32) -> Self {
        let (commands, orders) = sync_channel::<Command>(1);
        std::thread::spawn(move || {
            let mock = MockCluster::new(count).expect("a cluster");
            for order in orders {
                order(&mock);
            }
        });
        let mut brokers = Self { servers: String::new(), commands };
        brokers.servers = brokers.tell(|mock| mock.bootstrap_servers());
        brokers
    }

    /// Waits until it is done.
    fn tell<T: Send + 'static>(&self, order: impl FnOnce(&Mock) -> T + Send + 'static) -> T {
        let (done, answer) = sync_channel(1);
        let order = move |mock: &Mock| done.send(order(mock)).expect("somebody waits");
        self.commands.send(Box::new(order)).expect("the brokers live");
        answer.recv().expect("an answer")
    }

    fn down(&self) {
        self.tell(|mock| mock.broker_down(ALL_BROKERS)).expect("down");
    }

    fn up(&self) {
        self.tell(|mock| mock.broker_up(ALL_BROKERS)).expect("up");
    }

    fn delay(&self, answers: Duration) {
        self.tell(move |mock| mock.broker_round_trip_time(ALL_BROKERS, answers)).expect("delayed");
    }

    fn fail_produce<const N: usize>(&self, errors: [RDKafkaRespErr; N]) {
        self.tell(move |mock| mock.request_errors(RDKafkaApiKey::Produce, &errors));
    }

    /// The brokers' answers are lost for a moment: they come late, and the connections break before.
    fn lose_answers(&self) {
        let brokers = self.clone();
        self.delay(Duration::from_millis(900));
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(400));
            brokers.down();
            brokers.delay(Duration::ZERO);
            brokers.up();
        });
    }
}

/// A cluster with one topic, and the sink under test.
struct Cluster {
    brokers: Brokers,
    partitions: i32,
    settings: KafkaSettings,
    sink: OnceLock<Arc<KafkaSink>>,
}

/// A message as it is in the topic.
#[derive(Debug)]
struct Stored {
    partition: i32,
    key: String,
    value: String,
}

impl Cluster {
    fn new(partitions: i32) -> Self {
        Self::of(1, partitions)
    }

    fn of(brokers: i32, partitions: i32) -> Self {
        let brokers = Brokers::new(brokers);
        brokers.tell(move |mock| mock.create_topic(TOPIC, partitions, 1)).expect("a topic");
        let settings = KafkaSettings {
            tls: false,
            timeout: Duration::from_secs(2),
            ..KafkaSettings::new(brokers.servers.split(',').map(str::to_owned).collect(), TOPIC)
        };
        Self { brokers, partitions, settings, sink: OnceLock::new() }
    }

    fn kafka(&self) -> Arc<KafkaSink> {
        let new = || Arc::new(KafkaSink::new("kafka", self.settings.clone()).expect("settings"));
        Arc::clone(self.sink.get_or_init(new))
    }

    /// Everything in the topic. Blocks: a consumer is no future.
    fn stored(&self) -> Vec<Stored> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers.servers)
            .set("group.id", "reader")
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "10")
            .create()
            .expect("a consumer");
        let patience = Duration::from_secs(20);
        let mut wanted = 0;
        let mut all = TopicPartitionList::new();
        for partition in 0..self.partitions {
            let marks = consumer.fetch_watermarks(TOPIC, partition, patience);
            let (low, high) = marks.expect("watermarks");
            assert_eq!(low, 0, "the beginning is still there");
            wanted += high;
            all.add_partition_offset(TOPIC, partition, Offset::Beginning).expect("a partition");
        }
        consumer.assign(&all).expect("assigned");
        let started = Instant::now();
        let mut stored = Vec::new();
        while (stored.len() as i64) < wanted {
            assert!(started.elapsed() < patience, "{} of {wanted} messages", stored.len());
            let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
            let message = message.expect("a message");
            let text = |bytes: Option<&[u8]>| {
                String::from_utf8(bytes.expect("bytes").to_vec()).expect("text")
            };
            stored.push(Stored {
                partition: message.partition(),
                key: text(message.key()),
                value: text(message.payload()),
            });
        }
        stored
    }
}

#[async_trait]
impl SinkWorld for Cluster {
    fn sink(&self) -> Arc<dyn Sink> {
        self.kafka()
    }

    async fn arrived(&self) -> Vec<String> {
        tokio::task::block_in_place(|| self.stored()).into_iter().map(|it| it.value).collect()
    }

    fn lose_next_answer(&self) -> bool {
        self.brokers.lose_answers();
        true
    }

    fn break_down(&self) {
        self.brokers.down();
    }

    fn recover(&self) {
        self.brokers.up();
    }

    fn throttle_next(&self) -> bool {
        let throttled = RDKafkaRespErr::RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED;
        self.brokers.fail_produce([throttled]);
        true
    }

    fn take_first_only(&self) -> bool {
        // By partition, not by place in the batch: see below.
        false
    }

    fn refuse(&self, _: &'static str) -> bool {
        // The cluster looks into no message: see below.
        false
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kafka_sink_conforms() {
    let gaps = [Gap::NeverTakesInPart, Gap::NeverRefusesOne];
    let mut cluster = Cluster::new(3);
    // A slow machine is well, too.
    cluster.settings.timeout = Duration::from_secs(4);
    assert_eq!(conformance::sink(&cluster).await, gaps);
}

fn event(account: &str, id: u32) -> String {
    format!("{{ \"eventID\":\"e-{id}\",\"recipientAccountId\":\"{account}\",\r\n\"n\":1.50 }}")
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_the_events_byte_by_byte_and_their_keys_choose_the_partition() {
    for compression in [
        KafkaCompression::None,
        KafkaCompression::Gzip,
        KafkaCompression::Lz4,
        KafkaCompression::Zstd,
    ] {
        for key in [KafkaKey::Account, KafkaKey::EventId] {
            let mut cluster = Cluster::new(4);
            cluster.settings = KafkaSettings { compression, key, ..cluster.settings };
            let mut sent: Vec<String> =
                (0..40).map(|n| event(&format!("{:012}", n % 8), n)).collect();
            sent.push("[\"no record\"]".to_owned());
            let events = batch(&sent);
            let answer = cluster.kafka().write(&events).await;
            assert_eq!(acknowledged(&events, &answer).len(), 41, "{answer:?}");

            let stored = tokio::task::block_in_place(|| cluster.stored());
            let keys: HashSet<_> = stored.iter().map(|it| it.key.as_str()).collect();
            let places: HashSet<_> =
                stored.iter().map(|it| (it.key.as_str(), it.partition)).collect();
            assert_eq!(keys.len(), places.len(), "a key has one partition: {places:?}");
            match key {
                KafkaKey::Account => {
                    assert_eq!(keys.len(), 9, "{keys:?}");
                    assert!(keys.contains("000000000007") && keys.contains("production"));
                }
                KafkaKey::EventId => assert_eq!(keys.len(), 41, "{keys:?}"),
            }
            let partitions: HashSet<_> = stored.iter().map(|it| it.partition).collect();
            assert!(partitions.len() > 1, "{partitions:?}");
            let mut values: Vec<_> = stored.into_iter().map(|it| it.value).collect();
            values.sort();
            sent.sort();
            assert_eq!(values, sent);
        }
    }
}

/// A batch of messages as it is stored, by what tells brokers a copy from another batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct StoredBatch {
    producer: i64,
    epoch: i16,
    sequence: i32,
    messages: i32,
}

/// The batch at this offset of partition 0, asked for in Kafka's own words (Fetch, version 4), since no
/// client shows what is around messages. `None` behind the last one.
fn batch_at(servers: &str, offset: i64) -> Option<StoredBatch> {
    let text = |text: &str| {
        [&i16::try_from(text.len()).expect("short").to_be_bytes(), text.as_bytes()].concat()
    };
    let body = [
        &[0, 1, 0, 4, 0, 0, 0, 7][..], // Fetch, version, correlation
        &text("test"),
        &(-1_i32).to_be_bytes(), // no replica
        &100_i32.to_be_bytes(),  // waits so many milliseconds
        &1_i32.to_be_bytes(),    // for so many bytes
        &(1_i32 << 20).to_be_bytes(),
        &[0],                 // uncommitted ones too
        &1_i32.to_be_bytes(), // topic
        &text(TOPIC),
        &1_i32.to_be_bytes(), // partition
        &0_i32.to_be_bytes(),
        &offset.to_be_bytes(),
        &(1_i32 << 20).to_be_bytes(),
    ]
    .concat();
    let mut broker = TcpStream::connect(servers).expect("connected");
    broker.write_all(&u32::try_from(body.len()).expect("short").to_be_bytes()).expect("sent");
    broker.write_all(&body).expect("sent");
    let mut length = [0; 4];
    broker.read_exact(&mut length).expect("an answer");
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    broker.read_exact(&mut answer).expect("the whole answer");
    // Correlation, throttling, one topic of this name, one partition, its number.
    let partition = 4 + 4 + 4 + 2 + TOPIC.len() + 4 + 4;
    assert_eq!(answer[partition..partition + 2], [0, 0], "no error");
    // The error, two watermarks, no aborted transactions, the length of what follows.
    let stored = &answer[partition + 2 + 8 + 8 + 4 + 4..];
    (!stored.is_empty()).then(|| StoredBatch {
        producer: i64::from_be_bytes(stored[43..51].try_into().unwrap()),
        epoch: i16::from_be_bytes(stored[51..53].try_into().unwrap()),
        sequence: i32::from_be_bytes(stored[53..57].try_into().unwrap()),
        messages: i32::from_be_bytes(stored[57..61].try_into().unwrap()),
    })
}

/// This cluster keeps the copies of batches that brokers drop: those that a producer has numbered alike.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_again_after_a_lost_answer_bears_the_number_by_which_brokers_drop_it() {
    let mut cluster = Cluster::new(1);
    cluster.settings.timeout = Duration::from_secs(20);
    let sink = cluster.kafka();
    let warm = batch([event("1", 1)]);
    assert_eq!(acknowledged(&warm, &sink.write(&warm).await).len(), 1);
    let events = batch((2..6).map(|n| event("1", n)));
    cluster.brokers.lose_answers();
    let answer = sink.write(&events).await;
    assert_eq!(acknowledged(&events, &answer).len(), 4, "{answer:?}");

    let (mut batches, mut offset) = (Vec::new(), 0);
    while let Some(batch) = batch_at(&cluster.brokers.servers, offset) {
        offset += i64::from(batch.messages);
        batches.push(batch);
    }
    assert_eq!(offset, 9, "the answer was lost, and the events are there twice: {batches:?}");
    assert!(batches.iter().all(|batch| batch.producer >= 0 && batch.sequence >= 0), "{batches:?}");
    let kept: HashSet<_> = batches.iter().copied().collect();
    assert_eq!(kept.iter().map(|batch| batch.messages).sum::<i32>(), 5, "{batches:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_too_large_condemns_nobody_in_it_and_an_event_alone_is_poison() {
    let cluster = Cluster::new(1);
    let sink = cluster.kafka();
    let too_large = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    let events = batch((0..4).map(|n| event("1", n)));
    cluster.brokers.fail_produce([too_large]);
    let answer = sink.write(&events).await;
    assert_eq!(acknowledged(&events, &answer).len(), 4, "{answer:?}");

    let alone = batch([event("1", 10)]);
    cluster.brokers.fail_produce([too_large, too_large]);
    let outcome = sink.write(&alone).await.expect("an outcome");
    let poison = Disposition::Poison { reason: Reason::SinkRecordTooLarge };
    assert_eq!(outcome.failures[0].error.disposition, poison, "{outcome:?}");

    let invalid = RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD;
    cluster.brokers.fail_produce([invalid, invalid]);
    let outcome = sink.write(&alone).await.expect("an outcome");
    let poison = Disposition::Poison { reason: Reason::SinkRejected };
    assert_eq!(outcome.failures[0].error.disposition, poison, "{outcome:?}");
    assert_eq!(tokio::task::block_in_place(|| cluster.stored()).len(), 4, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_the_largest_size_is_taken_whatever_account_and_id_it_names() {
    let compression = KafkaCompression::None;
    for key in [KafkaKey::Account, KafkaKey::EventId] {
        for length in [12, 128, 5_000] {
            let mut cluster = Cluster::new(1);
            cluster.settings = KafkaSettings { compression, key, ..cluster.settings };
            let sink = cluster.kafka();
            let name = "1".repeat(length);
            let mut event = format!(
                "{{\"eventID\":\"{name}\",\"recipientAccountId\":\"{name}\",\"padding\":\""
            );
            event.push_str(&"x".repeat(sink.limits().entry_bytes - event.len() - 2));
            event.push_str("\"}");
            let events = batch([&event]);
            let answer = sink.write(&events).await;
            assert_eq!(acknowledged(&events, &answer).len(), 1, "{key:?} {length}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_refuses_everything_condemns_ten_events_and_its_check_says_so() {
    let cluster = Cluster::new(1);
    let sink = cluster.kafka();
    let too_large = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    cluster.brokers.fail_produce([too_large; 200]);
    let events = batch((0..30).map(|n| event("1", n)));
    let outcome = sink.write(&events).await.expect("an outcome");
    let poison =
        |it: &&trailsift_core::Failure| matches!(it.error.disposition, Disposition::Poison { .. });
    assert_eq!(outcome.failures.len(), 30);
    assert_eq!(outcome.failures.iter().filter(poison).count(), 10, "{outcome:?}");
    let trouble = sink.check().await.expect_err("it takes nothing").to_string();
    assert!(trouble.contains("max.message.bytes"), "{trouble}");

    cluster.brokers.tell(|mock| mock.clear_request_errors(RDKafkaApiKey::Produce));
    let answer = sink.write(&events).await;
    assert_eq!(acknowledged(&events, &answer).len(), 30, "{answer:?}");
    sink.check().await.expect("well again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_whole_service_is_retried_and_named() {
    let cluster = Cluster::new(1);
    let sink = cluster.kafka();
    let events = batch([event("1", 1)]);
    for error in [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
    ] {
        cluster.brokers.fail_produce([error]);
        let outcome = sink.write(&events).await.expect("an outcome");
        assert_eq!(outcome.failures[0].error.disposition, Disposition::RETRY, "{outcome:?}");
    }
    let answer = sink.write(&events).await;
    assert_eq!(acknowledged(&events, &answer).len(), 1, "{answer:?}");

    let missing = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    cluster.brokers.tell(move |mock| mock.topic_error(TOPIC, missing)).expect("set");
    let trouble = sink.check().await.expect_err("no topic").to_string();
    assert!(trouble.contains("topic trail"), "{trouble}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_is_of_no_more_use_is_replaced() {
    let cluster = Cluster::new(1);
    let forbidden = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    cluster.brokers.tell(move |mock| {
        mock.request_errors(RDKafkaApiKey::InitProducerId, &[forbidden]);
    });
    let events = batch([event("1", 1)]);
    let sink = cluster.kafka();
    let outcome = sink.write(&events).await.expect("an outcome");
    assert_eq!(outcome.failures[0].error.disposition, Disposition::RETRY, "{outcome:?}");
    let answer = sink.write(&events).await;
    assert_eq!(acknowledged(&events, &answer).len(), 1, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_are_down_are_named_and_what_waits_arrives_once_they_are_up() {
    let cluster = Cluster::new(1);
    let sink = cluster.kafka();
    let first = batch([event("1", 1)]);
    assert_eq!(acknowledged(&first, &sink.write(&first).await).len(), 1);
    cluster.break_down();
    let waiting = batch([event("1", 2)]);
    let answer = sink.write(&waiting).await;
    let outcome = answer.expect("an outcome");
    let error = &outcome.failures[0].error;
    assert_eq!(error.disposition, Disposition::RETRY);
    assert!(error.message.contains("did not acknowledge within 2s"), "{error}");
    assert!(error.message.contains("127.0.0.1"), "{error}");
    sink.check().await.expect_err("they are down");
    cluster.recover();
    let answer = sink.write(&waiting).await;
    assert_eq!(acknowledged(&waiting, &answer).len(), 1, "{answer:?}");
    sink.check().await.expect("well again");
    assert_eq!(tokio::task::block_in_place(|| cluster.stored()).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_clients_queue_holds_goes_in_turns() {
    let mut cluster = Cluster::new(2);
    cluster.settings.max_message_bytes = 4 << 20;
    let sink = cluster.kafka();
    let large = |n: u32| format!("{{\"eventID\":\"{n}\",\"text\":\"{}\"}}", "x".repeat(3 << 20));
    let events = batch((0..40).map(large));
    let answer = sink.write(&events).await;
    assert_eq!(acknowledged(&events, &answer).len(), 40, "{answer:?}");
    assert_eq!(tokio::task::block_in_place(|| cluster.stored()).len(), 40);
}
