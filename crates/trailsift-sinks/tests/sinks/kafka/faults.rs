//! Brokers and topics that come and go, and clients that can do nothing more.

use futures::future::join_all;
use tokio::time::sleep;

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);
/// The sink's own, where an answer has to come at once on a slow machine too.
const PATIENT: Duration = Duration::from_secs(10);

/// Writes until every event is acknowledged, as the decorators do.
async fn deliver(sink: &KafkaSink, events: &trailsift_core::Batch) {
    let began = Instant::now();
    let mut left = events.entries.clone();
    while !left.is_empty() {
        let batch = trailsift_core::Batch { entries: left, more_follows: false };
        let failed: Vec<_> = match sink.write(&batch).await {
            Ok(outcome) => outcome.failures.into_iter().map(|it| (it.index, it.error)).collect(),
            Err(_) => {
                left = batch.entries;
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        for (_, error) in &failed {
            assert_eq!(error.disposition, Disposition::RETRY, "{error}");
        }
        assert!(began.elapsed() < PATIENCE, "{failed:?}");
        left = failed.into_iter().map(|(index, _)| batch.entries[index].clone()).collect();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_ends_a_kafka_producer_costs_no_event_and_blames_none() {
    for error in [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
    ] {
        let mut cluster = Cluster::new(1);
        cluster.settings.timeout = PATIENT;
        let sink = cluster.kafka();
        deliver(&sink, &batch([event("1", 0)])).await;
        cluster.brokers.fail_produce([error]);
        // Together, as a sink is written to.
        let writes = (1..9).map(|id| {
            let sink = Arc::clone(&sink);
            async move { deliver(&sink, &batch([event("1", id)])).await }
        });
        join_all(writes).await;
        sink.check().await.expect("well");
        let stored = tokio::task::block_in_place(|| cluster.stored());
        let kept: HashSet<_> = stored.iter().map(|it| it.value.as_str()).collect();
        assert_eq!(kept.len(), 9, "{error:?}: {stored:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_there_is_named_and_not_made_and_its_events_arrive_once_it_is() {
    let mut cluster = Cluster::new(1);
    cluster.settings.topic = "elsewhere".to_owned();
    cluster.settings.timeout = PATIENT;
    let sink = cluster.kafka();
    let trouble = sink.check().await.expect_err("no topic").to_string();
    assert_eq!(trouble, "topic elsewhere does not exist: create it");
    let events = batch([event("1", 1)]);
    let failed = match sink.write(&events).await {
        Ok(mut outcome) => outcome.failures.remove(0).error,
        Err(error) => error,
    };
    assert_eq!(failed.disposition, Disposition::RETRY);
    assert!(failed.message.contains("topic"), "{failed}");
    sink.check().await.expect_err("nobody made it");
    cluster.brokers.tell(|mock| mock.create_topic("elsewhere", 1, 1)).expect("a topic");
    deliver(&sink, &events).await;
    sink.check().await.expect("well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kafka_partition_whose_leader_is_down_holds_up_no_other() {
    let mut cluster = Cluster::of(2, 2);
    cluster.settings.key = KafkaKey::EventId;
    cluster.settings.timeout = PATIENT;
    let sink = cluster.kafka();
    for broker in 1..=2 {
        let lead = move |mock: &Mock| mock.partition_leader(TOPIC, broker - 1, Some(broker));
        cluster.brokers.tell(lead).expect("a leader");
    }
    deliver(&sink, &batch((0..20).map(|id| event("1", id)))).await;
    cluster.brokers.tell(|mock| mock.broker_down(1)).expect("down");
    let events = batch((20..60).map(|id| event("1", id)));
    let answer = sink.write(&events).await;
    let arrived = acknowledged(&events, &answer);
    assert!(!arrived.is_empty() && arrived.len() < 40, "{answer:?}");
    cluster.brokers.tell(|mock| mock.broker_up(1)).expect("up");
    let left: Vec<_> =
        answer.expect("an outcome").failures.into_iter().map(|it| it.index).collect();
    let entries = left.into_iter().map(|index| events.entries[index].clone()).collect();
    deliver(&sink, &trailsift_core::Batch { entries, more_follows: false }).await;
    let stored = tokio::task::block_in_place(|| cluster.stored());
    let kept: HashSet<_> = stored.into_iter().map(|it| it.value).collect();
    assert_eq!(kept.len(), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_brokers_that_restart_one_after_the_other_cost_no_event() {
    let mut cluster = Cluster::of(3, 3);
    cluster.settings.key = KafkaKey::EventId;
    let sink = cluster.kafka();
    let mut id = 0;
    for broker in 1..=3 {
        let next = broker % 3 + 1;
        let move_to = move |leader: i32| {
            move |mock: &Mock| {
                (0..3)
                    .for_each(|it| mock.partition_leader(TOPIC, it, Some(leader)).expect("moved"));
            }
        };
        cluster.brokers.tell(move_to(broker));
        deliver(&sink, &batch((id..id + 20).map(|id| event("1", id)))).await;
        cluster.brokers.tell(move |mock| mock.broker_down(broker)).expect("down");
        let during = batch((id + 20..id + 40).map(|id| event("1", id)));
        let brokers = cluster.brokers.clone();
        let (_, ()) = tokio::join!(deliver(&sink, &during), async move {
            sleep(Duration::from_millis(300)).await;
            brokers.tell(move_to(next));
        });
        cluster.brokers.tell(move |mock| mock.broker_up(broker)).expect("up");
        id += 40;
    }
    let stored = tokio::task::block_in_place(|| cluster.stored());
    let kept: HashSet<_> = stored.into_iter().map(|it| it.value).collect();
    assert_eq!(kept.len(), 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_whose_writer_gave_up_at_kafka_are_not_acknowledged_and_the_next_are() {
    let mut cluster = Cluster::new(1);
    cluster.settings.timeout = PATIENT;
    let sink = cluster.kafka();
    deliver(&sink, &batch([event("1", 0)])).await;
    cluster.brokers.delay(Duration::from_millis(600));
    let given_up = batch([event("1", 1)]);
    tokio::time::timeout(Duration::from_millis(100), sink.write(&given_up))
        .await
        .expect_err("no answer yet");
    cluster.brokers.delay(Duration::ZERO);
    deliver(&sink, &batch([event("1", 2)])).await;
    // Closing waits for what nobody waits for any more.
    sink.close().await;
    assert_eq!(tokio::task::block_in_place(|| cluster.stored()).len(), 3);
}
