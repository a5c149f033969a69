//! The conformance suite on LocalStack, and the way of an event through it, byte by byte.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::Value;
use trailsift_aws::Session;
use trailsift_core::Sink;
use trailsift_testkit::conformance::{self, Gap, SinkWorld, batch};
use trailsift_testkit::{FaultProxy, Plan, ProxyAnswer, ProxyRequest};

use crate::support::{eventbridge, logs, session, sns, sqs, write};
use crate::wire::Wire;

/// LocalStack takes details as large as EventBridge did until 2025.
const CALL_BYTES: usize = 256 << 10;

fn localstack() -> String {
    std::env::var("AWS_ENDPOINT_URL").expect("AWS_ENDPOINT_URL names a running LocalStack")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic while it is held")
}

/// A name that no other test run uses.
fn unique(what: &str) -> String {
    format!("trailsift-{what}-{:016x}", fastrand::u64(..))
}

/// A queue of LocalStack that a test reads.
struct Queue {
    client: aws_sdk_sqs::Client,
    url: String,
    arn: String,
    /// How long an empty answer is waited for, in seconds.
    patience: i32,
    arrived: Mutex<Vec<String>>,
}

impl Queue {
    async fn make(session: &Session, name: &str, patience: i32) -> Self {
        let client = aws_sdk_sqs::Client::new(session.config());
        let fifo = name.ends_with(".fifo").then(|| "true".to_owned());
        let attributes = fifo.map(|it| HashMap::from([(QueueAttributeName::FifoQueue, it)]));
        let made = client.create_queue().queue_name(name).set_attributes(attributes).send().await;
        let url = made.expect("a queue").queue_url.expect("its URL");
        let arn = format!("arn:aws:sqs:us-east-1:000000000000:{name}");
        Self { client, url, arn, patience, arrived: Mutex::default() }
    }

    /// The bodies of every message so far.
    async fn read(&self) -> Vec<String> {
        loop {
            let request = self.client.receive_message().queue_url(&self.url);
            let request = request.max_number_of_messages(10).wait_time_seconds(self.patience);
            let messages = request.send().await.expect("messages").messages.unwrap_or_default();
            if messages.is_empty() {
                return lock(&self.arrived).clone();
            }
            for message in messages {
                let receipt = message.receipt_handle.expect("a receipt");
                let request = self.client.delete_message().queue_url(&self.url);
                request.receipt_handle(receipt).send().await.expect("deleted");
                lock(&self.arrived).push(message.body.expect("a body"));
            }
        }
    }
}

/// Where the events are, once they arrived.
enum Arrivals {
    Queue(Queue),
    /// EventBridge hands on values, not bytes: what LocalStack took is noted on its way there.
    Noted(Arc<Mutex<Vec<String>>>),
    Stream(aws_sdk_cloudwatchlogs::Client, String),
}

/// What the proxy does to the next writes.
#[derive(Default)]
struct Faults {
    down: AtomicBool,
    lose_answer: AtomicBool,
    first_only: AtomicBool,
    refused: Mutex<Option<&'static str>>,
    noted: Arc<Mutex<Vec<String>>>,
}

impl Faults {
    fn plan(&self, wire: Wire, request: &ProxyRequest) -> Plan {
        if self.down.load(Ordering::Relaxed) {
            return Plan::Answer(ProxyAnswer::new(503, ""));
        }
        if !wire.is_write(request) {
            return Plan::Pass;
        }
        let entries = wire.entries(&request.body);
        if self.lose_answer.swap(false, Ordering::Relaxed) {
            lock(&self.noted).extend(entries.into_iter().map(|(_, text)| text));
            return Plan::LoseAnswer;
        }
        let first_only = self.first_only.swap(false, Ordering::Relaxed);
        let refused = *lock(&self.refused);
        let keep = |(place, (_, text)): (usize, &(String, String))| {
            let left_out = first_only && place > 0;
            !left_out && !refused.is_some_and(|refused| text.contains(refused))
        };
        let kept: Vec<bool> = entries.iter().enumerate().map(keep).collect();
        if wire == Wire::Logs {
            return Plan::Pass;
        }
        if !kept.contains(&true) {
            let answer = wire.took_nothing();
            return Plan::Answer(wire.answer(answer, &entries, &kept, !first_only));
        }
        let body = match kept.contains(&false) {
            true => wire.keeping(&request.body, &kept),
            false => request.body.clone(),
        };
        let noted = Arc::clone(&self.noted);
        Plan::Rewrite {
            body,
            answer: Box::new(move |upstream| {
                if upstream.status == 200 {
                    let taken = entries.iter().zip(&kept).filter(|(_, kept)| **kept);
                    lock(&noted).extend(taken.map(|((_, text), _)| text.clone()));
                }
                match kept.contains(&false) {
                    true => wire.answer(upstream, &entries, &kept, !first_only),
                    false => upstream,
                }
            }),
        }
    }
}

struct World {
    wire: Wire,
    proxy: FaultProxy,
    faults: Arc<Faults>,
    sink: Arc<dyn Sink>,
    arrivals: Arrivals,
}

impl World {
    async fn new(wire: Wire) -> Self {
        Self::named(wire, "").await
    }

    /// The same with names that end in this: `.fifo` for queues and topics that are.
    async fn named(wire: Wire, suffix: &str) -> Self {
        let direct = session(&localstack()).await;
        let proxy = FaultProxy::start(&localstack()).await;
        let faults = Arc::new(Faults::default());
        let plans = Arc::clone(&faults);
        proxy.plan(move |request| plans.plan(wire, request));
        let through = session(proxy.url()).await;
        let (sink, arrivals) = match wire {
            Wire::Sqs => {
                let queue = Queue::make(&direct, &format!("{}{suffix}", unique("sqs")), 0).await;
                (sqs(&through, &queue.url), Arrivals::Queue(queue))
            }
            Wire::Sns => {
                let queue = Queue::make(&direct, &format!("{}{suffix}", unique("sns")), 1).await;
                let topic = topic(&direct, &format!("{}{suffix}", unique("sns")), &queue).await;
                (sns(&through, &topic), Arrivals::Queue(queue))
            }
            Wire::EventBridge => {
                let noted = Arc::clone(&faults.noted);
                (eventbridge(&through, "default", CALL_BYTES), Arrivals::Noted(noted))
            }
            Wire::Logs => {
                let client = aws_sdk_cloudwatchlogs::Client::new(direct.config());
                let group = unique("logs");
                client.create_log_group().log_group_name(&group).send().await.expect("a group");
                (logs(&through, &group), Arrivals::Stream(client, group))
            }
        };
        Self { wire, proxy, faults, sink, arrivals }
    }
}

/// A topic that hands on to the queue what it is given, without an envelope.
async fn topic(session: &Session, name: &str, queue: &Queue) -> String {
    let client = aws_sdk_sns::Client::new(session.config());
    let fifo = name.ends_with(".fifo").then(|| "true".to_owned());
    let attributes = fifo.map(|it| HashMap::from([("FifoTopic".to_owned(), it)]));
    let made = client.create_topic().name(name).set_attributes(attributes).send().await;
    let topic = made.expect("a topic").topic_arn.expect("its ARN");
    let request = client.subscribe().topic_arn(&topic).protocol("sqs").endpoint(&queue.arn);
    request.attributes("RawMessageDelivery", "true").send().await.expect("a subscription");
    topic
}

/// The messages of a group's stream with their timestamps.
async fn log_events(client: &aws_sdk_cloudwatchlogs::Client, group: &str) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    let mut token = None;
    loop {
        let request = client.get_log_events().log_group_name(group).log_stream_name("trailsift");
        let request = request.start_from_head(true).set_next_token(token.clone());
        let page = match request.send().await {
            Ok(page) => page,
            // Nothing was written yet, so there is no stream.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|it| it.is_resource_not_found_exception()) =>
            {
                return found;
            }
            Err(error) => panic!("no log events: {error:?}"),
        };
        for event in page.events.unwrap_or_default() {
            found.push((event.timestamp.unwrap_or(0), event.message.unwrap_or_default()));
        }
        if page.next_forward_token == token {
            return found;
        }
        token = page.next_forward_token;
    }
}

#[async_trait]
impl SinkWorld for World {
    fn sink(&self) -> Arc<dyn Sink> {
        Arc::clone(&self.sink)
    }

    async fn arrived(&self) -> Vec<String> {
        match &self.arrivals {
            Arrivals::Queue(queue) => queue.read().await,
            Arrivals::Noted(noted) => lock(noted).clone(),
            Arrivals::Stream(client, group) => {
                let events = log_events(client, group).await;
                events.into_iter().map(|(_, text)| text).collect()
            }
        }
    }

    fn lose_next_answer(&self) -> bool {
        self.faults.lose_answer.store(true, Ordering::Relaxed);
        true
    }

    fn break_down(&self) {
        self.faults.down.store(true, Ordering::Relaxed);
    }

    fn recover(&self) {
        self.faults.down.store(false, Ordering::Relaxed);
    }

    fn throttle_next(&self) -> bool {
        let (code, message) = ("ThrottlingException", "Rate exceeded");
        self.proxy.next(Plan::Answer(match self.wire {
            Wire::Sns => ProxyAnswer::aws_xml_error(400, code, message),
            _ => ProxyAnswer::aws_json_error(400, code, message),
        }));
        true
    }

    fn take_first_only(&self) -> bool {
        if self.wire == Wire::Logs {
            return false;
        }
        self.faults.first_only.store(true, Ordering::Relaxed);
        true
    }

    fn refuse(&self, text: &'static str) -> bool {
        if self.wire == Wire::Logs {
            return false;
        }
        *lock(&self.faults.refused) = Some(text);
        true
    }
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn the_sqs_sink_conforms() {
    let gaps = conformance::sink(&World::new(Wire::Sqs).await).await;
    assert_eq!(gaps, []);
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn the_sqs_sink_conforms_with_a_fifo_queue() {
    let gaps = conformance::sink(&World::named(Wire::Sqs, ".fifo").await).await;
    assert_eq!(gaps, []);
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn the_sns_sink_conforms_with_a_fifo_topic() {
    let gaps = conformance::sink(&World::named(Wire::Sns, ".fifo").await).await;
    assert_eq!(gaps, []);
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn the_sns_sink_conforms() {
    let gaps = conformance::sink(&World::new(Wire::Sns).await).await;
    assert_eq!(gaps, []);
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn the_eventbridge_sink_conforms() {
    let gaps = conformance::sink(&World::new(Wire::EventBridge).await).await;
    assert_eq!(gaps, []);
}

/// CloudWatch Logs takes a call whole, but for the times in it: the module's own tests show those.
#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn the_cloudwatch_logs_sink_conforms() {
    let gaps = conformance::sink(&World::new(Wire::Logs).await).await;
    assert_eq!(gaps, [Gap::NeverTakesInPart, Gap::NeverRefusesOne]);
}

/// An event that tempts everybody on its way to change it.
fn odd(time: &str) -> String {
    format!(
        "{{\"eventTime\":\"{time}\",\"eventID\":\"odd\",  \"a\":\"Zürich 東京 \\u0000 \\ud83d\\ude00 \u{7f}\u{85}\",\
         \"b\":1.50,\"twice\":1,\"twice\":2,\"large\":12345678901234567890.10,\"c\":\"<&>'%00+\"}}"
    )
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn an_event_is_read_from_a_queue_as_it_was_sent() {
    let session = session(&localstack()).await;
    for suffix in ["", ".fifo"] {
        let queue = Queue::make(&session, &format!("{}{suffix}", unique("bytes")), 1).await;
        let event = odd("2026-11-16T01:02:03Z");
        let sink = sqs(&session, &queue.url);
        assert_eq!(write(&*sink, &batch([&event])).await, ".");
        assert_eq!(queue.read().await, [event]);
        assert!(sink.check().await.is_ok());
    }
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn an_event_that_is_sent_twice_is_in_a_fifo_queue_once() {
    let session = session(&localstack()).await;
    let queue = Queue::make(&session, &format!("{}.fifo", unique("twice")), 1).await;
    let sink = sqs(&session, &queue.url);
    let event = odd("2026-11-16T01:02:03Z");
    for _ in 0..2 {
        assert_eq!(write(&*sink, &batch([&event])).await, ".");
    }
    assert_eq!(queue.read().await, [event]);
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn an_event_comes_from_a_topic_as_it_was_published() {
    let session = session(&localstack()).await;
    for suffix in ["", ".fifo"] {
        let queue = Queue::make(&session, &format!("{}{suffix}", unique("topic")), 2).await;
        let topic = topic(&session, &format!("{}{suffix}", unique("topic")), &queue).await;
        let event = odd("2026-11-16T01:02:03Z");
        let sink = sns(&session, &topic);
        assert_eq!(write(&*sink, &batch([&event])).await, ".");
        assert_eq!(queue.read().await, [event], "{topic}");
        assert!(sink.check().await.is_ok());
    }
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn an_event_comes_over_a_bus_to_its_rules_targets_with_its_value_and_time() {
    let session = session(&localstack()).await;
    let queue = Queue::make(&session, &unique("bus"), 3).await;
    let client = aws_sdk_eventbridge::Client::new(session.config());
    let bus = unique("bus");
    client.create_event_bus().name(&bus).send().await.expect("a bus");
    let rule = client.put_rule().name("all").event_bus_name(&bus);
    let rule = rule.event_pattern("{\"source\":[\"trailsift\"]}").send().await;
    rule.expect("a rule");
    let target = aws_sdk_eventbridge::types::Target::builder().id("queue").arn(&queue.arn);
    let targets = client.put_targets().event_bus_name(&bus).rule("all");
    targets.targets(target.build().expect("a target")).send().await.expect("a target");

    let sink = eventbridge(&session, &bus, CALL_BYTES);
    let event = "{\"eventTime\":\"2026-11-16T01:02:03Z\",\"a\":\"Zürich \\u0000\",\"n\":[1,2.5]}";
    assert_eq!(write(&*sink, &batch([event])).await, ".");
    let arrived = queue.read().await;
    let [arrived] = &*arrived else { panic!("{arrived:?}") };
    let arrived: Value = serde_json::from_str(arrived).expect("JSON");
    assert_eq!(arrived["detail"], serde_json::from_str::<Value>(event).expect("JSON"));
    assert_eq!(arrived["time"], "2026-11-16T01:02:03Z");
    assert_eq!(arrived["source"], "trailsift");
    assert_eq!(arrived["detail-type"], "CloudTrail event");
    assert!(sink.check().await.is_ok());
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn an_event_is_read_from_a_log_stream_as_it_was_put_at_its_own_time() {
    let session = session(&localstack()).await;
    let client = aws_sdk_cloudwatchlogs::Client::new(session.config());
    let group = unique("bytes");
    client.create_log_group().log_group_name(&group).send().await.expect("a group");
    let now = time::OffsetDateTime::now_utc().replace_nanosecond(0).expect("a whole second");
    let format = &time::format_description::well_known::Rfc3339;
    let event = odd(&now.format(format).expect("a time"));
    let sink = logs(&session, &group);
    assert!(sink.check().await.is_ok(), "the stream is not there yet, and will be made");
    assert_eq!(write(&*sink, &batch([&event])).await, ".");
    let expected = (now.unix_timestamp() * 1000, event);
    assert_eq!(log_events(&client, &group).await, [expected]);
}

/// LocalStack keeps the service's limits of time, but names the rejected events in a way of its own: no
/// event may be lost over that.
#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn events_whose_time_the_service_does_not_take_are_rejected_and_their_neighbours_arrive_once()
{
    let world = World::new(Wire::Logs).await;
    let now = time::OffsetDateTime::now_utc();
    let format = &time::format_description::well_known::Rfc3339;
    let hours = [-1, -24 * 15, 0, 5, -24 * 400, -2, 3, 4];
    let texts = hours.map(|hours| {
        let time = (now + time::Duration::hours(hours)).format(format).expect("a time");
        format!("{{\"eventTime\":\"{time}\",\"eventID\":\"{hours}\"}}")
    });
    let sink = world.decorated(Duration::from_secs(20));
    assert_eq!(write(&*sink, &batch(&texts)).await, ".x.xx.xx");
    let arrived = world.arrived().await;
    for (text, hours) in texts.iter().zip(hours) {
        let is_taken = (-24 * 14..2).contains(&hours);
        assert_eq!(
            arrived.iter().filter(|it| *it == text).count(),
            usize::from(is_taken),
            "{text}"
        );
    }
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn what_is_not_there_fails_its_check_and_condemns_nothing() {
    let session = session(&localstack()).await;
    let absent = unique("absent");
    let queue = format!("{}/000000000000/{absent}", localstack());
    let topic = format!("arn:aws:sns:us-east-1:000000000000:{absent}");
    for sink in [
        sqs(&session, &queue),
        sns(&session, &topic),
        logs(&session, &absent),
        // EventBridge itself acknowledges what is put on no bus at all.
        eventbridge(&session, &absent, CALL_BYTES),
    ] {
        assert_eq!(write(&*sink, &batch(["{}"])).await, "?", "{}", sink.name());
        assert!(sink.check().await.is_err(), "{}", sink.name());
    }
}
