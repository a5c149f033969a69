//! The same with a real queue, a real bucket and a compressed quarantine: all that S3 and SQS have to do with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::types::{Event, NotificationConfiguration, QueueConfiguration};
use aws_sdk_sqs::types::QueueAttributeName as Name;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{Picky, configured, gzip, sorted, trail, values};
use crate::text;

const ACCOUNT: &str = "000000000000";
/// How long a notification may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

struct Stack {
    name: String,
    endpoint: String,
    queue_url: String,
    runtime: Runtime,
    s3: aws_sdk_s3::Client,
    sqs: aws_sdk_sqs::Client,
    picky: Picky,
    folder: TempDir,
}

impl Stack {
    /// A bucket that notifies a queue, both named as nobody else's.
    fn create() -> Self {
        let endpoint = std::env::var("AWS_ENDPOINT_URL")
            .expect("AWS_ENDPOINT_URL names LocalStack: run these tests with `cargo xtask test`");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after it").as_nanos();
        let name = format!("replay-{:x}-{}", now & 0xffff_ffff, std::process::id());
        let runtime = Runtime::new().expect("a runtime");
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(&endpoint);
        let config = runtime.block_on(config.load());
        let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build();
        let s3 = aws_sdk_s3::Client::from_conf(s3);
        let sqs = aws_sdk_sqs::Client::new(&config);
        let create = sqs.create_queue().queue_name(&name).attributes(Name::VisibilityTimeout, "60");
        let created = runtime.block_on(create.send()).expect("a queue");
        runtime.block_on(s3.create_bucket().bucket(&name).send()).expect("a bucket");
        let queue = QueueConfiguration::builder()
            .queue_arn(format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"))
            .events(Event::S3ObjectCreated)
            .build()
            .expect("complete");
        let whom = NotificationConfiguration::builder().queue_configurations(queue).build();
        let notify = s3.put_bucket_notification_configuration().bucket(&name);
        runtime.block_on(notify.notification_configuration(whom).send()).expect("notifications");
        let queue_url = created.queue_url.expect("its URL");
        let (picky, folder) = (Picky::start(), tempfile::tempdir().expect("a folder"));
        let stack = Self { name, endpoint, queue_url, runtime, s3, sqs, picky, folder };
        // S3 says hello, which is no notification of an object.
        stack.wait_for(1);
        stack
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the configuration with these settings of the service.
    fn configure(&self, service: &str) {
        let path = |name: &str| self.path(name).display().to_string();
        let config = format!(
            "[service]\nlisten = \"127.0.0.1:0\"\ndata_dir = \"{}\"\nmax_receive = 1\n{service}\n\
             [quarantine]\nsink = \"parked\"\n\
             [account]\nid = \"{ACCOUNT}\"\nname = \"production\"\nregion = \"us-east-1\"\n\
             queue_url = \"{}\"\nendpoint_url = \"{}\"\nbuckets = [{{ name = \"{}\" }}]\n\
             [[route]]\nname = \"codeguru-reviewer\"\nsinks = [\"siem\", \"archive\"]\n\
             selector = [{{ eventSource = {{ equals = [\"codeguru-reviewer.amazonaws.com\"] }} }}]\n\
             [sink.siem]\ntype = \"http\"\nurl = \"{}\"\n\
             [sink.archive]\ntype = \"file\"\npath = \"{}\"\n\
             [sink.parked]\ntype = \"file\"\ncompression = \"gzip\"\npath = \"{}\"\n",
            path("data"),
            self.queue_url,
            self.endpoint,
            self.name,
            self.picky.url,
            path("archive.jsonl"),
            path("quarantine/parked.jsonl"),
        );
        fs::write(self.path("trailsift.toml"), config).expect("written");
    }

    /// Stores a trail file. S3 announces it.
    fn put(&self, name: &str, bytes: Vec<u8>) {
        let key = format!(
            "AWSLogs/{ACCOUNT}/CloudTrail/us-east-1/2026/11/20/\
             {ACCOUNT}_CloudTrail_us-east-1_20261120T1005Z_{name}.json.gz"
        );
        let put = self.s3.put_object().bucket(&self.name).key(key).body(bytes.into());
        self.runtime.block_on(put.send()).expect("an object");
    }

    /// What is in the queue: visible, received by someone.
    fn backlog(&self) -> (usize, usize) {
        let (visible, hidden) =
            (Name::ApproximateNumberOfMessages, Name::ApproximateNumberOfMessagesNotVisible);
        let ask = self.sqs.get_queue_attributes().queue_url(&self.queue_url);
        let ask = ask.attribute_names(visible.clone()).attribute_names(hidden.clone());
        let answer = self.runtime.block_on(ask.send()).expect("its attributes");
        let attributes = answer.attributes.expect("some");
        let count = |name| attributes[name].parse().expect("a number");
        (count(&visible), count(&hidden))
    }

    /// Waits until so many messages can be received.
    fn wait_for(&self, messages: usize) {
        let until = Instant::now() + PATIENCE;
        while self.backlog().0 != messages {
            assert!(Instant::now() < until, "{messages} messages: {:?}", self.backlog());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs the service until its queue is empty.
    fn run(&self) {
        let output = configured(&self.path("trailsift.toml"), &["run", "--until-empty"], b"");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(self.backlog(), (0, 0));
    }

    fn replay(&self) -> (Vec<Value>, String) {
        let output = configured(&self.path("trailsift.toml"), &["replay"], b"");
        let said = text(&output.stderr).to_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
        (values(text(&output.stdout)), said)
    }

    /// Everything that is parked, by reason.
    fn parked(&self) -> Vec<String> {
        let inflated = inflated(&self.path("quarantine/parked.jsonl.gz"));
        let reason = |line: &Value| line["reason"].as_str().expect("a reason").to_owned();
        sorted(values(&inflated).iter().map(reason).collect())
    }

    /// The ids of the events in the file sink.
    fn archived(&self) -> Vec<String> {
        let lines = values(&fs::read_to_string(self.path("archive.jsonl")).expect("there"));
        let id = |event: &Value| event["eventID"].as_str().expect("an id").to_owned();
        sorted(lines.iter().map(id).collect())
    }
}

impl Drop for Stack {
    /// As far as it goes: nobody else has these names.
    fn drop(&mut self) {
        drop(self.runtime.block_on(self.sqs.delete_queue().queue_url(&self.queue_url).send()));
    }
}

fn inflated(path: &Path) -> String {
    let output = std::process::Command::new("zcat").arg(path).output().expect("zcat runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

#[test]
#[ignore = "needs LocalStack: cargo xtask test"]
fn what_is_parked_arrives_once_after_its_cause_is_mended_and_its_neighbours_do_not_come_again() {
    let stack = Stack::create();
    stack.configure("max_record = \"4KiB\"");
    stack.picky.refuse(Some("refused"));
    // One record is refused by one of two sinks, another is too large for any.
    let mut mixed: Value =
        serde_json::from_slice(&trail(&["one", "refused", "large", "two"])).expect("JSON");
    mixed["Records"][2]["requestParameters"] = json!({ "text": "x".repeat(8 << 10) });
    stack.put("mixed", gzip(mixed.to_string().as_bytes()));
    // Another file is read by nobody, for something follows it.
    stack.put("joined", [gzip(&trail(&["three", "four"])), gzip(b"\n")].concat());
    stack.wait_for(3);
    stack.run();
    assert_eq!(sorted(stack.picky.ids()), ["one", "two"]);
    assert_eq!(stack.archived(), ["one", "refused", "two"]);
    let parked = ["gzip_trailing_member", "record_too_large", "sink_rejected"];
    assert_eq!(stack.parked(), parked);

    // What mends these causes announces nothing.
    stack.picky.refuse(None);
    stack.configure("multi_member = \"accept\"");
    let (sent, said) = stack.replay();
    assert_eq!(sent.len(), 2, "{said}");
    assert!(sent.iter().all(|line| line["outcome"] == "sent"), "{sent:?}");
    assert!(said.contains("3 lines: 2 messages sent"), "{said}");
    stack.wait_for(2);
    stack.run();
    let all = ["four", "large", "one", "refused", "three", "two"];
    assert_eq!(sorted(stack.picky.ids()), all);
    assert_eq!(stack.archived(), all);
    assert_eq!(stack.parked(), parked, "nothing new");

    let (sent, said) = stack.replay();
    assert!(sent.is_empty() && said.contains("3 of them replayed before"), "{said}");
    assert_eq!(stack.backlog(), (0, 0));
}
