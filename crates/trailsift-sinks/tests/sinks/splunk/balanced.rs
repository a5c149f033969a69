//! Two indexers behind one address and a balancer without sticky sessions, each of which counts by itself, restarts
//! and forgets, while answers are lost, and requests are repeated on the way.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use fastrand::Rng;
use futures::future::join_all;
use serde_json::Value;
use trailsift_core::Sink;
use trailsift_sinks::{Connection, SecretSource, SplunkSettings, SplunkSink};

use super::indexer::TOKEN;
use crate::service::{Answer, Received, Service, json};
use crate::{acknowledged, batch};

/// Enough for each fault to meet each other one; each takes about half a second.
const SEEDS: u64 = 8;

#[derive(Default)]
struct OneIndexer {
    /// By channel: the events of each number, which are in memory only until they are indexed.
    channels: HashMap<String, Vec<Vec<String>>>,
    /// What it says `true` for. It goes on saying so, as one that was not asked might.
    said: HashSet<(String, u64)>,
    indexed: HashSet<String>,
}

struct Balancer {
    rng: Rng,
    faults: bool,
    indexers: [OneIndexer; 2],
    lost: usize,
    restarts: usize,
    repeats: usize,
}

impl Balancer {
    fn chance(&mut self, of: usize) -> bool {
        self.faults && self.rng.usize(..of) == 0
    }

    fn answer(&mut self, request: &Received) -> Answer {
        if self.chance(25) {
            let at = self.rng.usize(..2);
            // What it had not indexed is gone, and it counts from 0.
            self.indexers[at].channels.clear();
            self.indexers[at].said.clear();
            self.restarts += 1;
        }
        match request.uri.path() {
            "/services/collector/event" => self.events(request),
            "/services/collector/ack" => self.acks(request),
            path => panic!("{path}"),
        }
    }

    fn events(&mut self, request: &Received) -> Answer {
        let channel = request.header("x-splunk-request-channel").to_owned();
        let body = serde_json::Deserializer::from_slice(&request.body).into_iter::<Value>();
        let events: Vec<String> =
            body.map(|event| event.expect("JSON")["event"].to_string()).collect();
        let mut number = self.take(&channel, &events);
        if self.chance(8) {
            // The balancer had no answer in time, and asks the other one, or the same one again.
            self.repeats += 1;
            number = self.take(&channel, &events);
        }
        if self.chance(6) {
            self.lost += 1;
            return Answer::Lost;
        }
        json(200, format!("{{\"text\":\"Success\",\"code\":0,\"ackId\":{number}}}"))
    }

    fn take(&mut self, channel: &str, events: &[String]) -> usize {
        let at = self.rng.usize(..2);
        let requests = self.indexers[at].channels.entry(channel.to_owned()).or_default();
        requests.push(events.to_vec());
        requests.len() - 1
    }

    fn acks(&mut self, request: &Received) -> Answer {
        let query = request.uri.query().unwrap_or_default();
        let channel = query.strip_prefix("channel=").expect("a channel").to_owned();
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        let asked = body["acks"].as_array().expect("numbers").iter();
        let asked: Vec<u64> = asked.map(|id| id.as_u64().expect("a number")).collect();
        let now = self.rng.bool();
        let lost = self.chance(10);
        let at = self.rng.usize(..2);
        let indexer = &mut self.indexers[at];
        let mut answers = Vec::new();
        for id in asked {
            let place = usize::try_from(id).expect("small");
            let events = indexer.channels.get(&channel).and_then(|it| it.get(place));
            if let (Some(events), true) = (events, now) {
                indexer.indexed.extend(events.iter().cloned());
                indexer.said.insert((channel.clone(), id));
            }
            let has = indexer.said.contains(&(channel.clone(), id));
            answers.push(format!("\"{id}\":{has}"));
        }
        if lost {
            self.lost += 1;
            return Answer::Lost;
        }
        json(200, format!("{{\"acks\":{{{}}}}}", answers.join(",")))
    }

    fn has(&self, event: &str) -> bool {
        self.indexers.iter().any(|indexer| indexer.indexed.contains(event))
    }
}

#[tokio::test]
async fn what_counts_as_written_is_indexed_whatever_two_indexers_and_a_balancer_do() {
    let (mut written, mut lost, mut restarts, mut repeats) = (0, 0, 0, 0);
    for seed in 0..SEEDS {
        let state = Arc::new(Mutex::new(Balancer {
            rng: Rng::with_seed(seed),
            faults: true,
            indexers: Default::default(),
            lost: 0,
            restarts: 0,
            repeats: 0,
        }));
        let shared = Arc::clone(&state);
        let service =
            Service::start(move |request| shared.lock().expect("no panic").answer(&request)).await;
        let state = || -> MutexGuard<'_, Balancer> { state.lock().expect("no panic") };
        let folder = tempfile::tempdir().expect("a folder");
        let token = folder.path().join("token");
        std::fs::write(&token, TOKEN).expect("written");
        let sink = SplunkSink::new(
            "splunk",
            SplunkSettings {
                connection: Connection {
                    timeout: Duration::from_secs(20),
                    ..Connection::new(&service.url)
                },
                ack_timeout: Duration::from_millis(150),
                ack_poll: Duration::from_millis(5),
                ..SplunkSettings::new(&service.url, SecretSource::File(token))
            },
        )
        .expect("good settings");

        let mut waiting: Vec<_> = (0..48).map(|n| batch([3 * n, 3 * n + 1, 3 * n + 2])).collect();
        let deadline = Instant::now() + Duration::from_secs(120);
        let mut rounds = 0;
        while !waiting.is_empty() {
            assert!(Instant::now() < deadline, "{} batches are left, seed {seed}", waiting.len());
            // A few rounds with faults; without them the rest is written, too.
            state().faults = rounds < 3;
            rounds += 1;
            let answers = join_all(waiting.iter().map(|batch| sink.write(batch))).await;
            let mut left = Vec::new();
            for (batch, answer) in waiting.into_iter().zip(&answers) {
                let taken = acknowledged(&batch, answer);
                for event in &taken {
                    assert!(state().has(event), "{event} counts as written, seed {seed}");
                }
                written += taken.len();
                if taken.is_empty() {
                    left.push(batch);
                }
            }
            waiting = left;
        }
        let state = state();
        lost += state.lost;
        restarts += state.restarts;
        repeats += state.repeats;
    }
    let all = usize::try_from(SEEDS).expect("few") * 48 * 3;
    assert_eq!(written, all);
    assert!(lost > 0 && restarts > 0 && repeats > 0, "{lost} {restarts} {repeats}");
}
