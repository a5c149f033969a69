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
async fn f115_cloudtrails_own_notification_of_an_illegal_bucket_name_is_parked_and_its_sender_named()
 {
    let mut rig = Rig::new();
    let keys = serde_json::json!({"s3Bucket": "b.evil.com/", "s3ObjectKey": [key("x"), key("y")]});
    rig.queue.send(keys.to_string());
    let log = Log::default();
    let _guard = log.start();
    rig.run_until_empty().await;
    assert_eq!((rig.store.requests().len(), rig.parked().len()), (0, 1));
    assert_eq!(rig.parked()[0]["reason"], "bucket_not_allowed");
    assert_eq!(log.lines("security: ")[0]["fields"]["sqs.sender_id"], "AIDATESTSENDER");
}

#[tokio::test(start_paused = true)]
async fn f45_f51_every_shape_asks_for_the_exact_key_and_version_that_it_names() {
    // As S3 stores it; only the S3 event encodes it.
    let odd = format!("a+b %2B/%zz/é🐘/{}", key("one"));
    let encoded = odd.replace('%', "%25").replace('+', "%2B").replace(' ', "+");
    let encoded = encoded.replace('é', "%C3%A9");
    assert!(encoded.starts_with("a%2Bb+%252B/%25zz/%C3%A9🐘/AWSLogs/"));
    let s3 = notification(&[&encoded]).replace(r#""size":1"#, r#""size":1,"versionId":"v1""#);
    let eventbridge = serde_json::json!({
        "detail-type": "Object Created", "source": "aws.s3",
        "detail": {"bucket": {"name": BUCKET}, "object": {"key": odd, "version-id": "v1"}},
    });
    let cloudtrail = serde_json::json!({"s3Bucket": BUCKET, "s3ObjectKey": [odd]});
    let bare = [(s3, true), (eventbridge.to_string(), true), (cloudtrail.to_string(), false)];
    let in_sns = bare.clone().map(|(body, is_versioned)| {
        let envelope = serde_json::json!({"Type": "Notification", "Message": body});
        (envelope.to_string(), is_versioned)
    });
    for (body, is_versioned) in bare.into_iter().chain(in_sns) {
        let mut rig = Rig::new();
        rig.store.versioned(BUCKET);
        let version = rig.store.put(BUCKET, &odd, trail_file(&[&selected("1")])).version_id;
        let version = version.expect("a versioned bucket");
        rig.store.put(BUCKET, &odd, trail_file(&[&selected("2")]));
        rig.queue.send(
            body.replace(r#""v1""#, &format!("\"{version}\""))
                .replace(r#"\"v1\""#, &format!(r#"\"{version}\""#)),
        );
        rig.run_until_empty().await;
        let requests = rig.store.requests();
        let asked: Vec<_> = requests.iter().map(|request| &*request.file.key).collect();
        assert_eq!(asked, [&*odd], "{body}");
        let expected = if is_versioned { "1" } else { "2" };
        assert_eq!(rig.events(), [selected(expected)], "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn f46_f47_f51_f53_what_is_no_notification_is_parked_with_its_body_and_deleted() {
    let inner = serde_json::json!({"Type": "Notification", "Message": notification(&[&key("x")])});
    let nested = serde_json::json!({"Type": "Notification", "Message": inner.to_string()});
    let brackets = "[".repeat(1 << 20);
    let future = notification(&[&key("x")]).replace("\"2.1\"", "\"3.0\"");
    assert_ne!(future, notification(&[&key("x")]));
    for (body, reason) in [
        (nested.to_string(), "bad_notification"),
        (r#"{"Type":"Notification","Message":"no JSON"}"#.into(), "bad_notification"),
        (r#"{"Type":"Notification","Message":{}}"#.into(), "bad_notification"),
        ("no JSON".into(), "bad_notification"),
        (" ".into(), "bad_notification"),
        (brackets, "bad_notification"),
        (future, "bad_notification"),
        (notification(&["AWSLogs/%zz"]), "bad_key_encoding"),
        (notification(&["AWSLogs/%ff"]), "bad_key_encoding"),
    ] {
        let mut rig = Rig::new();
        let sent = rig.queue.send(body.clone());
        rig.run_until_empty().await;
        let parked = rig.parked();
        let shown = &body[..body.len().min(80)];
        assert_eq!((parked.len(), &parked[0]["reason"]), (1, &reason.into()), "{shown}");
        assert_eq!(parked[0]["body"], body, "{shown}");
        assert_eq!(rig.queue.deleted(), [sent], "{shown}");
        assert!(rig.store.requests().is_empty(), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn f53_a_newer_minor_version_of_notifications_is_read() {
    for version in ["2.5", "2.99"] {
        let mut rig = Rig::new();
        rig.store.put(BUCKET, &key("one"), trail_file(&[&selected("1")]));
        let quoted = format!("\"{version}\"");
        rig.queue.send(notification(&[&key("one")]).replace("\"2.1\"", &quoted));
        rig.run_until_empty().await;
        assert_eq!(rig.events(), [selected("1")], "{version}");
    }
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
