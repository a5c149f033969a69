//! `SplunkSink` against a collector that checks what Splunk's checks.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use trailsift_core::{Disposition, Limits, Reason, Sink, WriteOutcome};
use trailsift_sinks::{Connection, SecretSource, SplunkSettings, SplunkSink};
use trailsift_testkit::conformance::{self, Gap, SinkWorld};

use crate::{acknowledged, batch};

mod balanced;
mod indexer;

use indexer::{Indexer, TOKEN};

/// The folder holds the token; it must live as long as the settings are used to build a sink.
fn settings(indexer: &Indexer) -> (tempfile::TempDir, SplunkSettings) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    std::fs::write(&path, TOKEN).expect("written");
    let settings = SplunkSettings {
        connection: Connection {
            timeout: Duration::from_secs(20),
            ..Connection::new(indexer.url())
        },
        ack_timeout: Duration::from_secs(20),
        ack_poll: Duration::from_millis(5),
        ..SplunkSettings::new(indexer.url(), SecretSource::File(path))
    };
    (folder, settings)
}

fn sink(settings: SplunkSettings) -> SplunkSink {
    SplunkSink::new("splunk", settings).expect("good settings")
}

fn only_retries(outcome: &WriteOutcome, count: usize) -> String {
    assert_eq!(outcome.failures.len(), count, "{outcome:?}");
    for failure in &outcome.failures {
        assert!(matches!(failure.error.disposition, Disposition::Retry { .. }), "{outcome:?}");
    }
    outcome.failures[0].error.message.clone()
}

struct World {
    indexer: Indexer,
    _folder: tempfile::TempDir,
    settings: SplunkSettings,
}

impl World {
    async fn start(acknowledge: bool) -> Self {
        let indexer = Indexer::start().await;
        indexer.state().acknowledges = acknowledge;
        let (folder, settings) = settings(&indexer);
        let settings = SplunkSettings {
            acknowledge,
            limits: Limits { events: 100, bytes: 1 << 16, entry_bytes: 512 },
            ..settings
        };
        Self { indexer, _folder: folder, settings }
    }
}

#[async_trait]
impl SinkWorld for World {
    fn sink(&self) -> Arc<dyn Sink> {
        Arc::new(sink(self.settings.clone()))
    }

    async fn arrived(&self) -> Vec<String> {
        self.indexer.state().events.clone()
    }

    fn lose_next_answer(&self) -> bool {
        self.indexer.state().lose_next = true;
        true
    }

    fn break_down(&self) {
        self.indexer.state().down = true;
    }

    fn recover(&self) {
        self.indexer.state().down = false;
    }

    fn throttle_next(&self) -> bool {
        self.indexer.state().throttle_next = true;
        true
    }

    fn take_first_only(&self) -> bool {
        false
    }

    fn refuse(&self, _: &'static str) -> bool {
        // Neighbours arrive twice: `a_refused_event_is_poison_and_its_neighbours_arrive`.
        false
    }
}

#[tokio::test]
async fn the_splunk_sink_conforms_with_and_without_acknowledgement() {
    for acknowledge in [true, false] {
        let world = World::start(acknowledge).await;
        let gaps = [Gap::NeverTakesInPart, Gap::NeverRefusesOne];
        assert_eq!(conformance::sink(&world).await, gaps);
    }
}

#[tokio::test]
async fn an_event_stands_beside_its_labels() {
    let indexer = Indexer::start().await;
    let (_folder, settings) = settings(&indexer);
    let events = batch(["{\"eventTime\":\"2026-01-31T23:59:59Z\",\n\"a\": 1.50}"]);
    let settings = SplunkSettings { index: Some("main".into()), ..settings };
    assert_eq!(acknowledged(&events, &sink(settings).write(&events).await).len(), 1);
    assert_eq!(
        indexer.state().labels,
        "{\"time\":1769903999.000,\"sourcetype\":\"aws:cloudtrail\",\"index\":\"main\",\
         \"source\":\"s3://org-trail/AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/16/1.json.gz\",\
         \"event\":…}"
    );
}

#[tokio::test]
async fn what_the_indexer_does_not_acknowledge_in_time_is_not_written() {
    let indexer = Indexer::start().await;
    indexer.state().polls_needed = usize::MAX;
    let (_folder, settings) = settings(&indexer);
    // Long enough for a busy machine: the second attempt has to be in time.
    let sink = sink(SplunkSettings { ack_timeout: Duration::from_secs(3), ..settings });
    let events = batch(["1", "2"]);
    let outcome = sink.write(&events).await.expect("an outcome");
    let message = only_retries(&outcome, 2);
    assert!(message.contains("did not acknowledge within 3s"), "{message}");
    assert!(indexer.state().polls > 2);
    // The next attempt is in a new channel: a late answer about the first says nothing about it.
    indexer.state().polls_needed = 1;
    assert_eq!(acknowledged(&events, &sink.write(&events).await).len(), 2);
    assert_eq!(indexer.state().channels.len(), 2);
}

#[tokio::test]
async fn nothing_is_sent_with_a_token_that_never_acknowledges() {
    let indexer = Indexer::start().await;
    indexer.state().acknowledges = false;
    let (_folder, settings) = settings(&indexer);
    let sink = sink(settings);
    let events = batch(["1"]);
    for _ in 0..3 {
        let message = only_retries(&sink.write(&events).await.expect("an outcome"), 1);
        assert!(message.contains("set acknowledge = false"), "{message}");
    }
    let error = sink.check().await.expect_err("not well");
    assert!(error.message.contains("turn it on in Splunk"), "{error}");
    assert_eq!(indexer.state().posts, 0);
    // Once it does, everything is well; and when it stops, one request finds out.
    indexer.state().acknowledges = true;
    sink.check().await.expect("well");
    assert_eq!(acknowledged(&events, &sink.write(&events).await), ["1"]);
    indexer.state().acknowledges = false;
    for _ in 0..3 {
        only_retries(&sink.write(&events).await.expect("an outcome"), 1);
    }
    assert_eq!(indexer.state().posts, 2);
}

#[tokio::test]
async fn a_token_that_wants_acknowledgement_says_so() {
    let indexer = Indexer::start().await;
    let (_folder, settings) = settings(&indexer);
    let sink = sink(SplunkSettings { acknowledge: false, ..settings });
    let outcome = sink.write(&batch(["1"])).await.expect("an outcome");
    let message = only_retries(&outcome, 1);
    assert!(message.contains("set acknowledge = true"), "{message}");
}

#[tokio::test]
async fn each_request_has_a_channel_of_its_own_and_is_asked_for_there() {
    let indexer = Indexer::start().await;
    indexer.state().polls_needed = 4;
    let (_folder, settings) = settings(&indexer);
    let sink = sink(settings);
    sink.check().await.expect("well");
    let before = indexer.state().polls;
    let batches: Vec<_> = (0..30).map(|n| batch([n])).collect();
    let answers = futures::future::join_all(batches.iter().map(|batch| sink.write(batch))).await;
    for (batch, answer) in batches.iter().zip(&answers) {
        assert_eq!(acknowledged(batch, answer).len(), 1, "{answer:?}");
    }
    assert_eq!(indexer.state().channels.len(), 30);
    assert_eq!(indexer.state().polls - before, 120, "who was acknowledged asks no more");
}

#[tokio::test]
async fn an_indexer_is_asked_once_at_least_however_short_the_time() {
    let indexer = Indexer::start().await;
    indexer.state().polls_needed = 1;
    let (_folder, settings) = settings(&indexer);
    let poll = Duration::from_secs(60);
    let sink =
        sink(SplunkSettings { ack_timeout: Duration::from_millis(20), ack_poll: poll, ..settings });
    let events = batch(["1"]);
    assert_eq!(acknowledged(&events, &sink.write(&events).await), ["1"]);
}

#[tokio::test]
async fn behind_a_balancer_with_sticky_sessions_polls_go_where_the_events_went() {
    let indexer = Indexer::start().await;
    indexer.state().balanced = Some(3);
    let (_folder, settings) = settings(&indexer);
    let sink = sink(settings);
    let batches: Vec<_> = (0..20).map(|n| batch([n])).collect();
    let answers = futures::future::join_all(batches.iter().map(|batch| sink.write(batch)));
    for (batch, answer) in batches.iter().zip(answers.await) {
        assert_eq!(acknowledged(batch, &answer).len(), 1, "{answer:?}");
    }
    assert_eq!(indexer.state().events.len(), 20);
    let state = indexer.state();
    let at: std::collections::HashSet<_> = state.channels.keys().map(|name| &name[..1]).collect();
    assert_eq!((at.len(), state.channels.len()), (1, 20), "all channels at one indexer");
}

#[tokio::test]
async fn a_refused_event_is_poison_and_its_neighbours_arrive() {
    for acknowledge in [true, false] {
        let indexer = Indexer::start().await;
        {
            let mut state = indexer.state();
            (state.refused, state.acknowledges) = (Some("bad"), acknowledge);
        }
        let (_folder, settings) = settings(&indexer);
        let sink = sink(SplunkSettings { acknowledge, ..settings });
        let events = batch(["1", "2", "\"bad\"", "4", "\"bad too\"", "6"]);
        let answer = sink.write(&events).await;
        assert_eq!(acknowledged(&events, &answer), ["1", "2", "4", "6"]);
        for failure in answer.expect("an outcome").failures {
            let poison = Disposition::Poison { reason: Reason::SinkRejected };
            assert_eq!(failure.error.disposition, poison);
            assert!(!failure.error.message.contains("bad"), "{}", failure.error);
        }
        let state = indexer.state();
        for event in ["1", "2", "4", "6"] {
            assert!(state.events.iter().any(|it| it == event), "{:?}", state.events);
        }
        assert_eq!(state.posts, 7, "the number spares the search: one more for each to be sure");
    }
}

#[tokio::test]
async fn a_collector_that_refuses_everything_is_to_blame_itself() {
    let indexer = Indexer::start().await;
    indexer.state().refused = Some("");
    let (_folder, settings) = settings(&indexer);
    let sink = sink(settings);
    let outcome = sink.write(&batch(0..40)).await.expect("an outcome");
    let poison = outcome
        .failures
        .iter()
        .filter(|failure| matches!(failure.error.disposition, Disposition::Poison { .. }));
    assert_eq!((poison.count(), outcome.failures.len()), (10, 40));
    let error = sink.check().await.expect_err("not well");
    assert!(error.message.contains("refused"), "{error}");
}

#[tokio::test]
async fn an_index_that_the_token_may_not_write_to_is_nobodys_poison() {
    let indexer = Indexer::start().await;
    let (_folder, settings) = settings(&indexer);
    let sink = sink(SplunkSettings { index: Some("other".into()), ..settings });
    let message = only_retries(&sink.write(&batch(["1", "2"])).await.expect("an outcome"), 2);
    assert!(message.contains("code 7") && message.contains("allow the index"), "{message}");
}

#[tokio::test]
async fn what_is_too_large_together_is_sent_apart() {
    let indexer = Indexer::start().await;
    indexer.state().largest_request = 1_000;
    let (_folder, settings) = settings(&indexer);
    let text = |n: usize| format!("\"{}\"", "x".repeat(n));
    let events = batch([text(400), text(400), text(2_000), text(400)]);
    let answer = sink(settings).write(&events).await;
    assert_eq!(acknowledged(&events, &answer).len(), 3, "{answer:?}");
    let failures = answer.expect("an outcome").failures;
    let poison = Disposition::Poison { reason: Reason::SinkRecordTooLarge };
    assert_eq!((failures[0].index, failures[0].error.disposition), (2, poison));
}

#[tokio::test]
async fn a_rotated_token_is_picked_up_and_never_shown() {
    let indexer = Indexer::start().await;
    let (folder, settings) = settings(&indexer);
    assert!(!format!("{settings:?}").contains(TOKEN));
    let sink = sink(settings);
    assert!(!format!("{sink:?}").contains(TOKEN));
    indexer.state().token = "fresh".into();
    let events = batch(["1"]);
    let outcome = sink.write(&events).await.expect("an outcome");
    only_retries(&outcome, 1);
    assert!(!format!("{outcome:?}").contains(TOKEN));
    sink.check().await.expect_err("the token is wrong");
    std::fs::write(folder.path().join("token"), "fresh\n").expect("written");
    let outcome = sink.write(&events).await.expect("an outcome");
    let at_once = Disposition::Retry { after: Some(Duration::ZERO) };
    assert_eq!(outcome.failures[0].error.disposition, at_once);
    assert_eq!(acknowledged(&events, &sink.write(&events).await), ["1"]);
    indexer.state().down = true;
    let error = sink.check().await.expect_err("its queues are full");
    assert!(error.message.contains("queues are full"), "{error}");
}

#[test]
fn the_path_that_the_sink_adds_is_not_in_the_url() {
    let token = || SecretSource::Env("PATH".into());
    let settings = SplunkSettings::new("https://h:8088/services/collector/event", token());
    let problems = settings.validate();
    assert_eq!(problems[0].key, "url");
    let error = SplunkSink::new("splunk", settings).expect_err("refused").to_string();
    assert!(error.contains("leave out /services/collector"), "{error}");
    assert!(SplunkSettings::new("https://proxy/splunk/", token()).validate().is_empty());
}
