//! Answers at once what S3 and SQS would, on connections that stay open.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Pid;
use rustix::thread::gettid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the names of objects end in that hold 4 KiB, or 1 MiB; with a checksum or without.
pub(crate) const SMALL: &str = "small";
pub(crate) const PLAIN: &str = "plain";
pub(crate) const LARGE: &str = "large";
pub(crate) const LARGE_PLAIN: &str = "lplain";

/// A key that no other call asks for: what is remembered of one request is of no use to the next.
pub(crate) fn key(kind: &str) -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!(
        "AWSLogs/111122223333/CloudTrail/us-east-1/2024/05/06/\
         111122223333_CloudTrail_us-east-1_20240506T0705Z_{number:016}_{kind}.json.gz"
    )
}

/// As long as SQS's own.
pub(crate) fn receipt(number: usize) -> String {
    format!("AQEB{number}{}", "x".repeat(400))
}

struct Answers {
    small: Vec<u8>,
    plain: Vec<u8>,
    large: Vec<u8>,
    large_plain: Vec<u8>,
    receive: Vec<u8>,
    delete: Vec<u8>,
    attributes: Vec<u8>,
    nothing: Vec<u8>,
}

impl Answers {
    fn new() -> Self {
        let (small, large) = (noise(4 << 10), noise(1 << 20));
        let messages: Vec<_> = (0..10)
            .map(|number| {
                serde_json::json!({
                    "MessageId": format!("6b1e2b60-0b5e-4a0e-9d0a-00000000000{number}"),
                    "ReceiptHandle": receipt(number),
                    "MD5OfBody": "d41d8cd98f00b204e9800998ecf8427e",
                    "Body": format!("{{\"Records\":[{{\"s3\":\"{}\"}}]}}", "n".repeat(700)),
                    "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1700000000123",
                        "SenderId": "AIDAEXAMPLE"},
                })
            })
            .collect();
        let deleted: Vec<_> =
            (0..10).map(|number| serde_json::json!({"Id": number.to_string()})).collect();
        let json = |value: serde_json::Value| {
            answer("content-type: application/x-amz-json-1.0\r\n", value.to_string().as_bytes())
        };
        Self {
            small: object(&small, true),
            plain: object(&small, false),
            large: object(&large, true),
            large_plain: object(&large, false),
            receive: json(serde_json::json!({"Messages": messages})),
            delete: json(serde_json::json!({"Successful": deleted})),
            attributes: json(serde_json::json!({"Attributes": {"VisibilityTimeout": "30"}})),
            nothing: json(serde_json::json!({})),
        }
    }

    fn to(&self, head: &[u8]) -> &[u8] {
        let has = |word: &str| head.windows(word.len()).any(|window| window == word.as_bytes());
        let line = &head[..head.iter().position(|&byte| byte == b'\r').unwrap_or(head.len())];
        let asks = |word: &str| line.windows(word.len()).any(|window| window == word.as_bytes());
        match () {
            () if asks("_small") => &self.small,
            () if asks("_plain") => &self.plain,
            () if asks("_large") => &self.large,
            () if asks("_lplain") => &self.large_plain,
            () if has("AmazonSQS.ReceiveMessage") => &self.receive,
            () if has("AmazonSQS.DeleteMessageBatch") => &self.delete,
            () if has("AmazonSQS.GetQueueAttributes") => &self.attributes,
            () => &self.nothing,
        }
    }
}

/// Bytes that do not repeat within what any cache holds.
fn noise(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(4);
    (0..length).map(|_| random.u8(..)).collect()
}

fn object(body: &[u8], with_checksum: bool) -> Vec<u8> {
    let mut headers =
        "x-amz-id-2: NiBRTYWM0jJW1c1q9zuY7Ma4IAfmcZZdKqC1r6rHYz0tLvKbXsAdFhHqlCdeAYK\r\n\
         last-modified: Mon, 06 May 2024 07:08:09 GMT\r\n\
         etag: \"9b2cf535f27731c974343645a3985328\"\r\n\
         x-amz-server-side-encryption: AES256\r\n\
         accept-ranges: bytes\r\n\
         content-encoding: gzip\r\n\
         content-type: application/json\r\n"
            .to_owned();
    if with_checksum {
        use aws_smithy_checksums::ChecksumAlgorithm::Crc64Nvme;
        let mut checksum = Crc64Nvme.into_impl();
        checksum.update(body);
        let value = aws_smithy_types::base64::encode(checksum.finalize());
        headers.push_str(&format!(
            "x-amz-checksum-crc64nvme: {value}\r\nx-amz-checksum-type: FULL_OBJECT\r\n"
        ));
    }
    answer(&headers, body)
}

fn answer(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nx-amz-request-id: 4442587FB7D0A2F9\r\n\
         date: Mon, 06 May 2024 07:08:09 GMT\r\nserver: AmazonS3\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Serves on a thread of its own until the process ends.
pub(crate) struct Server {
    pub(crate) url: String,
    thread: Pid,
}

impl Server {
    pub(crate) fn start() -> Self {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                let url = format!("http://{}", listener.local_addr().expect("an address"));
                tell.send(Self { url, thread: gettid() }).expect("somebody waits for it");
                let answers = Arc::new(Answers::new());
                let mut connections = tokio::task::JoinSet::new();
                loop {
                    let (stream, _) = listener.accept().await.expect("a connection");
                    connections.spawn(serve(stream, Arc::clone(&answers)));
                }
            });
        });
        told.recv().expect("it starts")
    }

    /// What its thread has used so far: exact, while it has nothing to answer.
    pub(crate) fn cpu(&self) -> Duration {
        let path = format!("/proc/self/task/{}/schedstat", self.thread.as_raw_nonzero());
        let text = std::fs::read_to_string(path).expect("the kernel counts it");
        let nanoseconds = text.split(' ').next().and_then(|number| number.parse().ok());
        Duration::from_nanos(nanoseconds.expect("a number"))
    }
}

async fn serve(mut stream: TcpStream, answers: Arc<Answers>) {
    stream.set_nodelay(true).expect("a socket");
    let mut bytes = Vec::new();
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
        let whole = end.map(|end| (end, end + length(&bytes[..end])));
        if let Some((end, whole)) = whole.filter(|(_, whole)| bytes.len() >= *whole) {
            if stream.write_all(answers.to(&bytes[..end])).await.is_err() {
                return;
            }
            bytes.drain(..whole);
        } else if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
            return;
        }
    }
}

fn length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head);
    let lengths = head.lines().filter_map(|line| line.split_once(':'));
    lengths
        .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .find_map(|(_, length)| length.trim().parse().ok())
        .unwrap_or(0)
}
