use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, ServerSideEncryption,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::timeout::TimeoutConfig;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::{Instant, timeout, timeout_at};
use trailsift_aws::{AnswerLimit, Session};
use trailsift_core::{Batch, Limits, Reason, Sink, SinkError, WriteOutcome};

use crate::answer::{Verdict, later};
use crate::calls::{Answer, BEGIN_WITHIN, Settled, once};

mod body;
mod parquet;
mod row;
mod template;

use body::{Object, Objects, objects};
pub use template::{KeyTemplate, TemplateError};

/// The settings of an [`S3Sink`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3SinkSettings {
    /// The bucket.
    pub bucket: String,
    /// The account that must own the bucket; S3 refuses every call if another one does.
    pub owner: Option<String>,
    /// Where in the bucket an event belongs.
    pub prefix: KeyTemplate,
    /// What the objects hold.
    pub body: S3Body,
    /// The KMS key that objects are encrypted with; without one the bucket's own default decides.
    pub kms_key_id: Option<String>,
    /// An object beyond this many bytes is sent in parts of this size. At least [`Self::SMALLEST_PART`].
    pub part_bytes: usize,
}

impl S3SinkSettings {
    /// S3 takes no smaller part, except for the last one.
    pub const SMALLEST_PART: usize = 5 << 20;
    /// The part's size unless another one is wanted.
    pub const USUAL_PART: usize = 8 << 20;
}

/// What objects hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum S3Body {
    /// One event a line.
    JsonLines(LineCompression),
    /// Apache Parquet: one row an event, with the columns that people search by.
    Parquet(ParquetCompression),
}

/// How JSON Lines are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineCompression {
    /// Not at all.
    None,
    /// One gzip member.
    Gzip,
    /// One Zstandard frame.
    Zstd,
}

/// How the pages of a Parquet file are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParquetCompression {
    /// Not at all.
    None,
    /// Snappy.
    Snappy,
    /// Gzip.
    Gzip,
}

impl S3Body {
    /// What the objects' keys end with, without a leading dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::JsonLines(LineCompression::None) => "jsonl",
            Self::JsonLines(LineCompression::Gzip) => "jsonl.gz",
            Self::JsonLines(LineCompression::Zstd) => "jsonl.zst",
            Self::Parquet(_) => "parquet",
        }
    }

    /// Compressed bodies are objects of their own kind: with a `Content-Encoding` many clients would
    /// inflate them on the way and contradict their names.
    const fn media_type(self) -> &'static str {
        match self {
            Self::JsonLines(LineCompression::None) => "application/x-ndjson",
            Self::JsonLines(LineCompression::Gzip) => "application/gzip",
            Self::JsonLines(LineCompression::Zstd) => "application/zstd",
            Self::Parquet(_) => "application/vnd.apache.parquet",
        }
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// One request: at most one part, or a whole object that is no larger.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// One object with all its parts; the longest batch has eight of the usual size. Less than what a message
/// waits for after the longest linger, so that an upload that comes to no end is removed before it is given up.
const OBJECT_TIMEOUT: Duration = Duration::from_secs(25);
/// The removal of what was sent of an object.
const ABORT_TIMEOUT: Duration = Duration::from_secs(5);
/// What encoding the longest batch takes at worst: a slow core compresses some mebibytes a second.
const ENCODING: Duration = Duration::from_secs(30);
/// One object, its removal included. Whole ones are one request of at most [`CALL_TIMEOUT`].
const LONGEST_OBJECT: Duration = OBJECT_TIMEOUT.saturating_add(ABORT_TIMEOUT);
/// Objects of one write that are on their way at the same time.
const OBJECTS_AT_ONCE: usize = 4;
/// Parts of one object that are on their way at the same time.
const PARTS_AT_ONCE: usize = 4;

/// Writes each batch as one object for each partition that its events belong into.
///
/// An object's key is its partition, and a hash of where its events come from and of their bytes. So a
/// write that is repeated overwrites what it wrote before, to the byte, and no batch ever overwrites
/// another. S3's answer to the last request of an object is the acknowledgement of its events; those of
/// other partitions are not held up by it.
///
/// Nothing that S3 says is an event's fault: every failure is retried.
pub struct S3Sink {
    name: String,
    settings: S3SinkSettings,
    session: Session,
    client: Client,
}

impl fmt::Debug for S3Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Sink")
            .field("name", &self.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl S3Sink {
    /// The longest that one write takes.
    pub const LONGEST_WRITE: Duration =
        ENCODING.saturating_add(BEGIN_WITHIN).saturating_add(LONGEST_OBJECT);

    /// Makes no call.
    pub fn new(name: impl Into<String>, session: &Session, settings: S3SinkSettings) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(CALL_TIMEOUT)
            .operation_timeout(CALL_TIMEOUT)
            .build();
        let config = aws_sdk_s3::config::Builder::from(&once(session))
            .timeout_config(timeouts)
            .interceptor(AnswerLimit::USUAL)
            // An emulator's host has no subdomain per bucket.
            .force_path_style(session.config().endpoint_url().is_some())
            .build();
        let client = Client::from_conf(config);
        Self { name: name.into(), settings, session: session.clone(), client }
    }

    /// What a failed call means for the events.
    fn failed<E>(&self, doing: &str, error: &SdkError<E, HttpResponse>) -> SinkError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let fault = self.session.fault(error);
        let bucket = &self.settings.bucket;
        let mut failed = later(&format!("{doing} the bucket {bucket}"), &fault);
        if let Some(region) = &fault.region
            && fault.status != Some(403)
            && self.session.config().region().is_some_and(|ours| ours.as_ref() != region.as_str())
        {
            let region = region.escape_debug();
            failed.message.push_str(&format!("; it is in {region}: set the sink's region"));
        } else if fault.status == Some(403)
            && let Some(owner) = &self.settings.owner
        {
            failed.message.push_str(&format!("; it may be that {owner} does not own it"));
        }
        failed
    }

    /// The object, whole or in parts.
    async fn put(&self, object: &Object) -> Result<(), SinkError> {
        if object.bytes.len() > self.part_bytes() {
            return self.put_in_parts(object).await;
        }
        let settings = &self.settings;
        let put = self
            .client
            .put_object()
            .bucket(&settings.bucket)
            .set_expected_bucket_owner(settings.owner.clone())
            .key(&object.key)
            .content_type(settings.body.media_type())
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(settings.kms_key_id.clone())
            .body(ByteStream::from(object.bytes.clone()));
        let answer = put.send().await.map_err(|error| self.failed("cannot write to", &error))?;
        self.receipt(answer.e_tag()).map(drop)
    }

    /// The entity tag without which nothing counts as written: S3 names what it stored, a gateway in
    /// between that is friendly to everybody does not.
    fn receipt<'a>(&self, tag: Option<&'a str>) -> Result<&'a str, SinkError> {
        tag.filter(|tag| !tag.is_empty()).ok_or_else(|| {
            SinkError::retry(format!(
                "the answer for the bucket {} is not that of S3, for it has no ETag: nothing of it \
                 counts as written",
                self.settings.bucket
            ))
        })
    }

    fn part_bytes(&self) -> usize {
        self.settings.part_bytes.max(S3SinkSettings::SMALLEST_PART)
    }

    fn encryption(&self) -> Option<ServerSideEncryption> {
        self.settings.kms_key_id.is_some().then_some(ServerSideEncryption::AwsKms)
    }

    /// A large object. What was sent of it is removed if it does not come to an end; only if this
    /// future is dropped, or the removal fails, parts stay until a lifecycle rule of the bucket removes them.
    async fn put_in_parts(&self, object: &Object) -> Result<(), SinkError> {
        let late = |_| SinkError::retry("S3 did not take all parts of an object in time");
        let deadline = Instant::now() + OBJECT_TIMEOUT;
        let upload = timeout_at(deadline, self.begin(object)).await.map_err(late)??;
        let sent = timeout_at(deadline, self.send_parts(object, &upload)).await;
        let sent = sent.unwrap_or_else(|elapsed| Err(late(elapsed)));
        if sent.is_err() {
            self.abort(object, &upload).await;
        }
        sent
    }

    /// The ID of a new upload.
    async fn begin(&self, object: &Object) -> Result<String, SinkError> {
        let settings = &self.settings;
        let create = self
            .client
            .create_multipart_upload()
            .bucket(&settings.bucket)
            .set_expected_bucket_owner(settings.owner.clone())
            .key(&object.key)
            .content_type(settings.body.media_type())
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(settings.kms_key_id.clone());
        let created = create.send().await;
        let created =
            created.map_err(|error| self.failed("cannot begin a multipart upload to", &error))?;
        let nameless = || SinkError::retry("S3 began a multipart upload and did not name it");
        created.upload_id.ok_or_else(nameless)
    }

    async fn send_parts(&self, object: &Object, upload: &str) -> Result<(), SinkError> {
        let size = self.part_bytes();
        let starts = (0..object.bytes.len()).step_by(size);
        let parts = (1..).zip(starts).map(|(number, start)| {
            let end = object.bytes.len().min(start + size);
            self.send_part(object, upload, number, object.bytes.slice(start..end))
        });
        let parts = stream::iter(parts).buffered(PARTS_AT_ONCE).try_collect().await?;
        let complete = self
            .client
            .complete_multipart_upload()
            .bucket(&self.settings.bucket)
            .set_expected_bucket_owner(self.settings.owner.clone())
            .key(&object.key)
            .upload_id(upload)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build());
        let completed = complete.send().await;
        let completed =
            completed.map_err(|error| self.failed("cannot end a multipart upload to", &error))?;
        self.receipt(completed.e_tag()).map(drop)
    }

    async fn send_part(
        &self,
        object: &Object,
        upload: &str,
        number: i32,
        bytes: Bytes,
    ) -> Result<CompletedPart, SinkError> {
        let part = self
            .client
            .upload_part()
            .bucket(&self.settings.bucket)
            .set_expected_bucket_owner(self.settings.owner.clone())
            .key(&object.key)
            .upload_id(upload)
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(ByteStream::from(bytes));
        let sent = part.send().await;
        let sent = sent.map_err(|error| self.failed("cannot send a part to", &error))?;
        self.receipt(sent.e_tag())?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.e_tag)
            .set_checksum_crc32(sent.checksum_crc32)
            .build())
    }

    async fn abort(&self, object: &Object, upload: &str) {
        let abort = self
            .client
            .abort_multipart_upload()
            .bucket(&self.settings.bucket)
            .set_expected_bucket_owner(self.settings.owner.clone())
            .key(&object.key)
            .upload_id(upload);
        let error = match timeout(ABORT_TIMEOUT, abort.send()).await {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => {
                let fault = self.session.fault(&error);
                // It came to an end after all, and only its answer was lost.
                if fault.code == "NoSuchUpload" {
                    return;
                }
                fault.text
            }
            Err(_) => format!("S3 gave no answer within {ABORT_TIMEOUT:?}"),
        };
        tracing::warn!(
            sink = self.name,
            s3.bucket = self.settings.bucket,
            s3.key = object.key,
            error,
            "the parts of an unfinished upload stay in the bucket: a lifecycle rule \
             (AbortIncompleteMultipartUpload) removes them"
        );
    }
}

#[async_trait]
impl Sink for S3Sink {
    fn name(&self) -> &str {
        &self.name
    }

    fn limits(&self) -> Limits {
        Limits::NONE
    }

    async fn check(&self) -> Result<(), SinkError> {
        let head = self
            .client
            .head_bucket()
            .bucket(&self.settings.bucket)
            .set_expected_bucket_owner(self.settings.owner.clone());
        head.send().await.map_err(|error| self.failed("cannot see", &error))?;
        Ok(())
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        let (entries, settings) = (batch.entries.clone(), self.settings.clone());
        let encode = move || objects(&entries, &settings.prefix, settings.body);
        let encoded = tokio::task::spawn_blocking(encode).await;
        let Objects { objects, no_text } = encoded
            .map_err(|error| SinkError::retry("encoding the batch ended early").because(error))?
            .map_err(|error| SinkError::retry("the batch cannot be encoded").because(error))?;
        let mut settled = Settled::undecided(batch.entries.len()).with_longest_call(LONGEST_OBJECT);
        for index in no_text {
            let no_text = "the event is not UTF-8, which a text in Parquet must be";
            settled.settle(index, Err(SinkError::poison(Reason::SinkRejected, no_text)));
        }
        let parts = objects.iter().map(|object| object.indexes.clone()).collect();
        let put = async |part: Vec<usize>| {
            let Some(object) = objects.iter().find(|object| object.indexes == part) else {
                return Answer::Of(Vec::new());
            };
            match self.put(object).await {
                Ok(()) => Answer::Of(part.into_iter().map(|index| (index, Ok(()))).collect()),
                Err(error) => Answer::Failed(Verdict::Later(error)),
            }
        };
        settled.deliver(parts, OBJECTS_AT_ONCE, put).await;
        Ok(settled.outcome())
    }
}
