use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{ResponseChecksumValidation, StalledStreamProtectionConfig};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use futures::{StreamExt, stream};
use trailsift_core::{Body, LogFile, ObjectStore, OpenObject, Resume, StoreError};

use crate::connector::CONNECT_TIMEOUT;
use crate::fault::{Fault, chain, one_line};
use crate::limit::AnswerLimit;
use crate::sessions::Sessions;

mod classify;
mod endpoints;
#[cfg(test)]
mod localstack_tests;
mod regions;
#[cfg(test)]
mod tests;

pub(crate) use classify::classify;
use endpoints::Endpoints;
use regions::Regions;

/// Until the first byte of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Until the headers of an answer, the SDK's retries included. The body has no deadline here.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(40);
/// How long a body may yield nothing. The SDK's own default has changed before.
const STALL: Duration = Duration::from_secs(20);

/// The buckets of one account.
///
/// The SDK ends a body that stays under 1 byte per second for 20 seconds while it is read; faster
/// drips are the reader's to judge. Where S3 knows a checksum of the whole object, a read from its start is
/// checked against it; a resumed read cannot be, and asks for none.
pub struct S3Store {
    regions: Regions,
    sessions: Sessions,
}

impl std::fmt::Debug for S3Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Store").finish_non_exhaustive()
    }
}

impl S3Store {
    pub(crate) fn new(
        config: &SdkConfig,
        sessions: &Sessions,
        bucket_regions: &BTreeMap<String, String>,
        known_regions: &BTreeSet<String>,
    ) -> Self {
        let regions = Regions::new(config, bucket_regions.clone(), known_regions, client);
        Self { regions, sessions: sessions.clone() }
    }

    /// One question in one region.
    async fn ask(
        &self,
        region: &str,
        file: &LogFile,
        from: Option<&Resume>,
    ) -> Result<OpenObject, StoreError> {
        let client = self.regions.client(region);
        match get(&client, file, from).await {
            Ok(answer) => read(answer, from),
            Err(fault) => {
                self.sessions.heed(&fault);
                Err(refused(&client, file, fault).await)
            }
        }
    }
}

pub(crate) fn client(config: &SdkConfig) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    let config_of_s3 = aws_sdk_s3::config::Builder::from(config)
        .timeout_config(timeouts)
        .stalled_stream_protection(
            StalledStreamProtectionConfig::enabled().grace_period(STALL).build(),
        )
        .response_checksum_validation(ResponseChecksumValidation::WhenSupported)
        .endpoint_resolver(Endpoints::default())
        .interceptor(AnswerLimit::OBJECTS)
        // An emulator's host has no subdomain per bucket.
        .force_path_style(config.endpoint_url().is_some())
        .build();
    Client::from_conf(config_of_s3)
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn open(&self, file: &LogFile, from: Option<&Resume>) -> Result<OpenObject, StoreError> {
        let asked = self.regions.of(&file.bucket);
        let opened = self.ask(&asked, file, from).await;
        let (region, message) = match opened {
            Err(StoreError::WrongRegion { region, message }) => (region, message),
            other => return other,
        };
        let Some(named) = region.clone().filter(|named| self.regions.allow(&asked, named)) else {
            let remedy = region.as_deref().unwrap_or("the bucket's region");
            let message = format!("{message}; add region = \"{remedy}\" to this bucket's entry");
            return Err(StoreError::WrongRegion { region, message });
        };
        let opened = self.ask(&named, file, from).await;
        if !matches!(opened, Err(StoreError::WrongRegion { .. })) {
            tracing::info!(
                s3.bucket = file.bucket,
                region = named,
                "the bucket is in another region: asking there from now on"
            );
            self.regions.learn(&file.bucket, &named);
        }
        opened
    }
}

async fn get(
    client: &Client,
    file: &LogFile,
    from: Option<&Resume>,
) -> Result<GetObjectOutput, Fault> {
    let request = client
        .get_object()
        .bucket(&file.bucket)
        .key(&file.key)
        .set_version_id(file.version_id.clone())
        .set_expected_bucket_owner(file.expected_owner.clone());
    let answer = match from {
        None => request.send().await,
        Some(resume) => {
            let mut request = request.if_match(&resume.etag);
            // From the start there is nothing to skip, and S3 refuses every range of an empty
            // object.
            if resume.offset > 0 {
                request = request.range(format!("bytes={}-", resume.offset));
            }
            // A checksum of the whole object would be held against a part of it.
            let parts = aws_sdk_s3::config::Builder::new()
                .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
            request.customize().config_override(parts).send().await
        }
    };
    answer.map_err(|error| Fault::of(&error))
}

fn read(answer: GetObjectOutput, from: Option<&Resume>) -> Result<OpenObject, StoreError> {
    let extent = Extent::of(&answer, from)?;
    Ok(OpenObject {
        size: extent.size,
        remaining: extent.remaining,
        etag: answer.e_tag,
        version_id: answer.version_id,
        body: body(answer.body),
    })
}

/// What a failed GetObject means, told apart by a question of our own where S3's answer is too
/// short to say: another owner's bucket is a plain 403.
async fn refused(client: &Client, file: &LogFile, fault: Fault) -> StoreError {
    let message = fault.text.clone();
    match (classify(fault, file), &file.expected_owner) {
        (StoreError::Denied(_), Some(owner)) if is_anothers(client, file, owner).await => {
            StoreError::WrongOwner { expected: owner.clone(), message }
        }
        (error, _) => error,
    }
}

/// Whether the expected owner is all that stands between us and the object: without it S3 answers,
/// and with it still refuses. One question alone could be answered differently for another reason,
/// such as a policy that was changed just now, or a key of KMS, which is not asked for metadata.
async fn is_anothers(client: &Client, file: &LogFile, owner: &str) -> bool {
    let ask = |owner: Option<String>| {
        let request = client.head_object().bucket(&file.bucket).key(&file.key);
        request.set_version_id(file.version_id.clone()).set_expected_bucket_owner(owner).send()
    };
    if ask(None).await.is_err() {
        return false;
    }
    match ask(Some(owner.to_owned())).await {
        Ok(_) => false,
        Err(error) => matches!(classify(Fault::of(&error), file), StoreError::Denied(_)),
    }
}

/// Which part of the object the answer holds.
#[derive(Debug, PartialEq, Eq)]
struct Extent {
    size: Option<u64>,
    remaining: Option<u64>,
}

impl Extent {
    /// # Errors
    /// If a resumed read was not answered by exactly what is missing.
    fn of(answer: &GetObjectOutput, from: Option<&Resume>) -> Result<Self, StoreError> {
        let length = answer.content_length.and_then(|length| u64::try_from(length).ok());
        let Some(resume) = from else {
            if let Some(range) = &answer.content_range {
                let text = format!("asked for the whole object, got '{range}'");
                return Err(StoreError::Interrupted(one_line(&text)));
            }
            return Ok(Self { size: length, remaining: length });
        };
        if answer.e_tag.as_deref().is_some_and(|etag| etag != resume.etag) {
            let text = "the answer to If-Match has another entity tag";
            return Err(StoreError::Changed(text.to_owned()));
        }
        let Some(range) = answer.content_range.as_deref() else {
            if resume.offset == 0 {
                return Ok(Self { size: length, remaining: length });
            }
            let text = "the answer to a range is the whole object";
            return Err(StoreError::Interrupted(text.to_owned()));
        };
        match content_range(range) {
            // An end before the object's shows later, as a body shorter than what remains.
            Some((start, size)) if start == resume.offset => {
                let remaining = size.map_or(length, |size| size.checked_sub(start));
                Ok(Self { size, remaining })
            }
            _ => {
                let text = format!("asked for bytes from {}, got '{range}'", resume.offset);
                Err(StoreError::Interrupted(one_line(&text)))
            }
        }
    }
}

/// The start and the whole size in a `Content-Range`, such as `bytes 5-9/10`; the size may be `*`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end): (u64, u64) = (start.parse().ok()?, end.parse().ok()?);
    let size = if size == "*" { None } else { Some(size.parse().ok()?) };
    (start <= end && size.is_none_or(|size| end < size)).then_some((start, size))
}

/// The body's bytes, until its end or its first error.
fn body(bytes: ByteStream) -> Body {
    stream::unfold(Some(bytes), |bytes| async {
        let mut bytes = bytes?;
        match bytes.next().await? {
            Ok(chunk) => Some((Ok(chunk), Some(bytes))),
            Err(error) => Some((Err(broken(&error)), None)),
        }
    })
    .boxed()
}

fn broken(error: &(dyn Error + 'static)) -> StoreError {
    let text = one_line(&chain(error));
    match is_checksum_mismatch(error) {
        true => StoreError::ChecksumMismatch(text),
        false => StoreError::Interrupted(text),
    }
}

/// Known by its type, not by its words, wherever the SDK has wrapped it.
fn is_checksum_mismatch(error: &(dyn Error + 'static)) -> bool {
    error.is::<aws_smithy_checksums::body::validate::Error>()
        || error.source().is_some_and(is_checksum_mismatch)
}
