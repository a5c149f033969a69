//! A collector that is not there for a while, and another one that never comes: S3 and SQS are served
//! from memory.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::any;
use rustix::process::Signal;
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use trailsift_stub::{Checksum, Stub, notification};
use trailsift_testkit::MemoryQueue;
use trailsift_testkit::trail::{FileSpec, TrailFile};

use crate::stack::eventually;
use crate::trailsift::{Place, Trailsift};

const BUCKET: &str = "outage-trail";
const FILES: u64 = 40;

/// How often each line arrived.
type Arrived = Arc<Mutex<HashMap<Vec<u8>, usize>>>;

async fn collect(State(arrived): State<Arrived>, body: Bytes) -> StatusCode {
    let mut arrived = arrived.lock().expect("not poisoned");
    for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        *arrived.entry(line.to_vec()).or_default() += 1;
    }
    StatusCode::OK
}

/// A port that is ours, but refuses connections as long as nobody listens there.
fn closed_port() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
    let port = socket.local_addr().expect("bound").port();
    (socket, port)
}

/// The value of the metric's only series that is labelled so.
async fn metric(trailsift: &Trailsift, name: &str, labels: &[&str]) -> f64 {
    let Some((200, page)) = trailsift.get("/metrics").await else { return 0.0 };
    let is_meant =
        |line: &&str| line.starts_with(name) && labels.iter().all(|it| line.contains(it));
    let values = page.lines().filter(is_meant).filter_map(|line| line.rsplit(' ').next());
    values.filter_map(|value| value.parse::<f64>().ok()).sum()
}

#[tokio::test]
async fn a_collector_that_is_away_gets_everything_once_when_it_is_back_and_one_that_never_comes_costs_nobody()
 {
    let stub = Stub::start().expect("a port");
    let queue = MemoryQueue::new();
    let queue_url = stub.add_queue("trail", queue.clone());
    let ((away, port), (_nobody, nowhere)) = (closed_port(), closed_port());
    let (mut expected, mut owing) = (HashMap::new(), 0);
    for seed in 1..=FILES {
        let spec = FileSpec { seed, records: 30, selected_one_in: 10, ..FileSpec::default() };
        let file = TrailFile::generate(&spec);
        owing += u64::from(file.selected_records().next().is_some());
        expected.extend(file.selected_records().map(|record| (record.to_vec(), 1)));
        let (key, stored) = (spec.key(""), file.gzip());
        let size = stored.len();
        let put = stub.put(BUCKET, &key, stored, Checksum::None);
        queue.send(notification(BUCKET, &key, size, &put.etag));
    }
    assert!(expected.len() > 40, "{} events", expected.len());
    let sink = |name: &str, port: u16, more: &str| {
        format!(
            "[sink.{name}]\ntype = \"http\"\nurl = \"http://127.0.0.1:{port}/ingest\"\n\
             retry = {{ deadline = \"2s\" }}\n{more}\n"
        )
    };
    let sections = format!(
        "[[route]]\nname = \"codeguru-reviewer\"\nsinks = [\"siem\", \"lake\"]\n[[route.selector]]\n\
         eventSource = {{ equals = [\"codeguru-reviewer.amazonaws.com\"] }}\n{}{}",
        sink("siem", port, ""),
        sink("lake", nowhere, "required = false"),
    );
    let endpoint = stub.endpoint();
    let place = Place { queue_url: &queue_url, endpoint: &endpoint, bucket: BUCKET };
    let trailsift = Trailsift::configure_at(&place, "", &sections);
    let running = trailsift.run(&[]);

    // Long enough for messages to be given back, and to come again, several times.
    let failed = ["sink=\"siem\"", "outcome=\"failed\""];
    eventually("every event has been given back three times", async || {
        let failed = metric(&trailsift, "trailsift_sink_events_total{", &failed).await;
        (failed >= 3.0 * expected.len() as f64).then_some(())
    })
    .await;
    let deleted = queue.deleted().len() as u64;
    assert_eq!(deleted, FILES - owing, "only what owes nobody anything is done");
    eventually("it is not ready, and says why", async || {
        let (status, reasons) = trailsift.get("/readyz").await?;
        (status == 503 && reasons.contains("siem")).then_some(())
    })
    .await;

    let arrived = Arrived::default();
    let router = Router::new().route("/ingest", any(collect)).with_state(Arc::clone(&arrived));
    let listener = away.listen(1024).expect("it is ours");
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, router).await.expect("it serves") });

    queue.until_empty().await;
    // The other one is never there, and everything was offered to it.
    eventually("what the other one did not get is counted", async || {
        let mut lost = 0.0;
        for outcome in ["failed", "dropped"] {
            let labels = ["sink=\"lake\"".to_owned(), format!("outcome=\"{outcome}\"")];
            let labels = labels.each_ref().map(String::as_str);
            lost += metric(&trailsift, "trailsift_sink_events_total{", &labels).await;
        }
        (lost >= expected.len() as f64).then_some(())
    })
    .await;
    running.signal(Signal::TERM);
    let ended = running.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(ended.logged("events of a best-effort sink are lost").is_some(), "{}", ended.log);
    assert!(trailsift.parked().is_empty());
    // Nobody listened while it was away, so nothing can be there twice.
    let arrived = arrived.lock().expect("not poisoned");
    assert!(*arrived == expected, "{} events of {}", arrived.len(), expected.len());
}
