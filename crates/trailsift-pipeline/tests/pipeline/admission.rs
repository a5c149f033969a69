//! Who may make us read what: notifications that mix allowed and other objects, or many of them.

use std::io::Write;
use std::sync::{Arc, Mutex};

use trailsift_core::StoreError;
use trailsift_testkit::StoreFault;

use crate::rig::{BUCKET, Rig, SECOND, key, notification, notification_in, selected, trail_file};

/// What was logged while this is alive, on the thread of its test.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no writer panics").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn start(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt().json().with_writer(move || log.clone());
        tracing::subscriber::set_default(subscriber.finish())
    }

    /// The lines whose message begins like this.
    fn lines(&self, message: &str) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.0.lock().expect("no writer panics").clone());
        let text = text.expect("UTF-8");
        let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        lines
            .filter(|line: &serde_json::Value| {
                let said = line["fields"]["message"].as_str();
                said.is_some_and(|said| said.starts_with(message))
            })
            .collect()
    }
}

/// A message that names these objects, each a bucket and a key.
fn mixed(objects: &[(&str, &str)]) -> String {
    let mut body: serde_json::Value =
        serde_json::from_str(&notification_in(BUCKET, &[])).expect("JSON");
    for (bucket, key) in objects {
        let one: serde_json::Value =
            serde_json::from_str(&notification_in(bucket, &[key])).expect("JSON");
        let entries = body["Records"].as_array_mut().expect("an array");
        entries.push(one["Records"][0].clone());
    }
    body.to_string()
}

#[tokio::test(start_paused = true)]
async fn f48_f65_a_bucket_that_is_not_allowed_is_parked_and_its_neighbours_are_read() {
    let mut rig = Rig::new();
    let (one, two) = (key("one"), key("two"));
    rig.store.put(BUCKET, &one, trail_file(&[&selected("1")]));
    rig.store.put(BUCKET, &two, trail_file(&[&selected("2")]));
    rig.store.put("evil-trail", &one, trail_file(&[&selected("forged")]));
    // The allowed one is late: the message must wait for it, whatever its neighbours came to.
    rig.store.fault(BUCKET, &two, StoreFault::Error(StoreError::Unavailable("503".into())));
    let sent = rig.queue.send(mixed(&[
        (BUCKET, &one),
        ("evil-trail", &one),
        ("b.evil.com/", "forged\n{\"level\":\"INFO\"}"),
        (BUCKET, &two),
    ]));
    let log = Log::default();
    let _guard = log.start();
    rig.run_until_empty().await;
    let mut events = rig.events();
    events.sort();
    assert_eq!(events, [selected("1"), selected("2")]);
    assert!(rig.store.requests().iter().all(|request| request.file.bucket == BUCKET));
    assert_eq!(rig.queue.deleted(), std::slice::from_ref(&sent));
    let parked = rig.parked();
    assert!(parked.iter().all(|line| line["reason"] == "bucket_not_allowed"));
    for bucket in ["evil-trail", "b.evil.com/"] {
        assert!(parked.iter().any(|line| line["bucket"] == bucket), "{bucket}");
    }
    let labels = [("outcome", "quarantined"), ("reason", "bucket_not_allowed")];
    assert!(rig.metric("trailsift_objects_total", &labels) >= 2.0);
    // The log says who sent it, and nobody writes into it.
    let lines = log.lines("security: ");
    assert!(!lines.is_empty());
    for line in &lines {
        let fields = &line["fields"];
        assert_eq!(fields["sqs.sender_id"], "AIDATESTSENDER");
        assert_eq!(fields["sqs.message_id"], sent.0);
    }
    let named: Vec<_> =
        lines.iter().filter_map(|line| line["fields"]["s3.bucket"].as_str()).collect();
    assert!(named.contains(&"evil-trail") && named.contains(&"b.evil.com/"), "{named:?}");
    let injected = log
        .lines("quarantined")
        .iter()
        .any(|line| line["fields"]["s3.key"].as_str().is_some_and(|key| key.contains('\n')));
    assert!(!injected);
}

#[tokio::test(start_paused = true)]
async fn f65_under_redrive_too_the_log_names_the_sender_of_a_foreign_bucket() {
    let mut rig = Rig::with_queue(trailsift_testkit::QueueSettings {
        max_receive_count: Some(2),
        ..Default::default()
    });
    rig.redrive = true;
    rig.queue.send(notification_in("evil-trail", &[&key("x")]));
    let log = Log::default();
    let _guard = log.start();
    rig.run_until_empty().await;
    assert_eq!((rig.store.requests().len(), rig.queue.deleted().len()), (0, 0));
    assert_eq!(log.lines("security: ")[0]["fields"]["sqs.sender_id"], "AIDATESTSENDER");
}

#[tokio::test(start_paused = true)]
async fn f50_a_notification_of_a_hundred_objects_keeps_its_lease_until_all_are_settled() {
    let mut rig = Rig::new();
    let keys: Vec<_> = (0..100).map(|n| key(&format!("n{n}"))).collect();
    let expected: Vec<_> = (0..100).map(|n| selected(&format!("{n:03}"))).collect();
    for (key, event) in keys.iter().zip(&expected) {
        rig.store.put(BUCKET, key, trail_file(&[event]));
    }
    // Far longer than the 30 s for which a delivery hides a message.
    rig.store.latency(3 * SECOND);
    let sent = rig.queue.send(notification(&keys.iter().map(String::as_str).collect::<Vec<_>>()));
    rig.run_until_empty().await;
    let mut events = rig.events();
    events.sort();
    assert_eq!(events, expected, "each once");
    assert_eq!(rig.store.requests().len(), 100, "nothing is read again");
    assert_eq!(rig.queue.deleted(), [sent]);
    assert!(rig.metric("trailsift_lease_extensions_total", &[]) > 0.0);
    assert!(rig.metric("trailsift_leases_lost_total", &[]) < 1.0);
}
