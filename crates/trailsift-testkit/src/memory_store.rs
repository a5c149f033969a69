use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::fmt::Write as _;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};
use trailsift_core::{Body, LogFile, ObjectStore, OpenObject, Resume, StoreError};

use crate::lock;

#[cfg(test)]
mod tests;

/// What happens to one read of an object.
#[derive(Debug)]
pub enum StoreFault {
    /// `open` answers this error.
    Error(StoreError),
    /// `open` never answers.
    Hang,
    /// The body yields this many bytes, then an [`StoreError::Interrupted`].
    BreakAfter(usize),
    /// The body yields this many bytes and then ends, without an error.
    EndAfter(usize),
    /// The body yields this many bytes, then nothing more, for ever.
    StallAfter(usize),
    /// The body yields all of its bytes, then an [`StoreError::ChecksumMismatch`].
    WrongChecksum,
    /// The body yields `bytes` at a time, each time after waiting for `every`.
    Drip {
        /// The size of a drop.
        bytes: usize,
        /// The pause before each drop.
        every: Duration,
    },
}

/// What was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The entity tag, quotes included. Equal content has equal tags, as in S3.
    pub etag: String,
    /// The version, in a versioned bucket.
    pub version_id: Option<String>,
}

/// One call of `open`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreRequest {
    /// When, by tokio's clock.
    pub at: Instant,
    /// What was asked for.
    pub file: LogFile,
    /// From where.
    pub from: Option<Resume>,
}

/// An honest object store in memory. Clones are handles to the same store.
///
/// Buckets come into being with their first object, unversioned and without an owner; then a
/// request that names an expected owner is not checked, as in LocalStack.
#[derive(Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

type Place = (String, String);
type Rule = Box<dyn FnMut() -> Option<StoreFault> + Send>;

#[derive(Default)]
struct State {
    buckets: HashMap<String, Bucket>,
    faults: HashMap<Place, VecDeque<StoreFault>>,
    rules: HashMap<Place, Rule>,
    requests: Vec<StoreRequest>,
    chunk_size: Option<usize>,
    latency: Option<Duration>,
    versions: u64,
}

#[derive(Default)]
struct Bucket {
    owner: Option<String>,
    versioned: bool,
    objects: BTreeMap<String, Vec<Version>>,
}

#[derive(Clone)]
struct Version {
    stored: Stored,
    /// `None` is a delete marker.
    bytes: Option<Bytes>,
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// A store without buckets.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps every version of the bucket's objects from now on.
    pub fn versioned(&self, bucket: &str) {
        lock(&self.state).bucket(bucket).versioned = true;
    }

    /// Makes the bucket belong to this account: requests that expect another are refused.
    pub fn owned_by(&self, bucket: &str, account: &str) {
        lock(&self.state).bucket(bucket).owner = Some(account.to_owned());
    }

    /// Puts an object.
    pub fn put(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) -> Stored {
        lock(&self.state).put(bucket, key, Some(bytes.into()))
    }

    /// Deletes an object; in a versioned bucket this puts a delete marker, whose version is the
    /// answer.
    pub fn delete(&self, bucket: &str, key: &str) -> Option<Stored> {
        let mut state = lock(&self.state);
        if state.bucket(bucket).versioned {
            return Some(state.put(bucket, key, None));
        }
        state.bucket(bucket).objects.remove(key);
        None
    }

    /// Deletes one version for good.
    pub fn delete_version(&self, bucket: &str, key: &str, version_id: &str) {
        if let Some(versions) = lock(&self.state).bucket(bucket).objects.get_mut(key) {
            versions.retain(|version| version.stored.version_id.as_deref() != Some(version_id));
        }
    }

    /// The next read of this object meets this fault. Several are used up in order.
    pub fn fault(&self, bucket: &str, key: &str, fault: StoreFault) {
        lock(&self.state).faults.entry(place(bucket, key)).or_default().push_back(fault);
    }

    /// Every read of this object for which no fault is scripted meets what the rule says.
    pub fn fault_by(
        &self,
        bucket: &str,
        key: &str,
        rule: impl FnMut() -> Option<StoreFault> + Send + 'static,
    ) {
        lock(&self.state).rules.insert(place(bucket, key), Box::new(rule));
    }

    /// Forgets all faults, rules and the latency.
    pub fn heal(&self) {
        let mut state = lock(&self.state);
        state.faults.clear();
        state.rules.clear();
        state.latency = None;
    }

    /// Bodies come in chunks of this many bytes; otherwise of 64 KiB.
    pub fn chunk_size(&self, bytes: usize) {
        lock(&self.state).chunk_size = Some(bytes.max(1));
    }

    /// From now on every `open` takes this long.
    pub fn latency(&self, latency: Duration) {
        lock(&self.state).latency = Some(latency);
    }

    /// Every request that was made, in order, also those that failed.
    pub fn requests(&self) -> Vec<StoreRequest> {
        lock(&self.state).requests.clone()
    }
}

fn place(bucket: &str, key: &str) -> Place {
    (bucket.to_owned(), key.to_owned())
}

impl State {
    fn bucket(&mut self, name: &str) -> &mut Bucket {
        self.buckets.entry(name.to_owned()).or_default()
    }

    fn put(&mut self, bucket: &str, key: &str, bytes: Option<Bytes>) -> Stored {
        self.versions += 1;
        let number = self.versions;
        let bucket = self.bucket(bucket);
        let version_id = bucket.versioned.then(|| format!("version-{number}"));
        let etag = etag(bytes.as_deref().unwrap_or_default());
        let stored = Stored { etag, version_id };
        let versions = bucket.objects.entry(key.to_owned()).or_default();
        if !bucket.versioned {
            versions.clear();
        }
        versions.push(Version { stored: stored.clone(), bytes });
        stored
    }

    fn next_fault(&mut self, file: &LogFile) -> Option<StoreFault> {
        let place = place(&file.bucket, &file.key);
        match self.faults.get_mut(&place).and_then(VecDeque::pop_front) {
            Some(fault) => Some(fault),
            None => self.rules.get_mut(&place).and_then(|rule| rule()),
        }
    }

    /// The version that the request means, and its bytes.
    fn find(&self, file: &LogFile) -> Result<(Stored, Bytes), StoreError> {
        let missing = |what: &str| StoreError::NotFound(format!("{what}: {file}"));
        let bucket = self.buckets.get(&file.bucket).ok_or_else(|| missing("NoSuchBucket"))?;
        if let (Some(owner), Some(expected)) = (&bucket.owner, &file.expected_owner)
            && owner != expected
        {
            let (expected, message) = (expected.clone(), format!("AccessDenied: {file}"));
            return Err(StoreError::WrongOwner { expected, message });
        }
        let versions = bucket.objects.get(&file.key).map_or(&[][..], Vec::as_slice);
        let version = match &file.version_id {
            Some(id) => versions
                .iter()
                .find(|version| version.stored.version_id.as_ref() == Some(id))
                .ok_or_else(|| StoreError::DeletedVersion(format!("NoSuchVersion: {file}")))?,
            None => versions.last().ok_or_else(|| missing("NoSuchKey"))?,
        };
        match &version.bytes {
            Some(bytes) => Ok((version.stored.clone(), bytes.clone())),
            None => Err(StoreError::DeletedVersion(format!("delete marker: {file}"))),
        }
    }
}

fn etag(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let mut tag = String::with_capacity(34);
    tag.push('"');
    for byte in digest.iter().take(16) {
        // Writing to a String cannot fail.
        write!(tag, "{byte:02x}").unwrap_or_default();
    }
    tag.push('"');
    tag
}

/// How a body ends.
#[derive(Clone, Copy)]
enum End {
    Clean,
    Broken,
    Mismatched,
    Stalled,
}

fn body(bytes: Bytes, chunk_size: usize, pause: Option<Duration>, end: End) -> Body {
    let chunks = stream::unfold(bytes, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        if let Some(pause) = pause {
            sleep(pause).await;
        }
        let chunk = rest.split_to(chunk_size.min(rest.len()));
        Some((Ok(chunk), rest))
    });
    match end {
        End::Clean => chunks.boxed(),
        End::Broken => chunks
            .chain(stream::once(async {
                Err(StoreError::Interrupted("connection reset by the script".to_owned()))
            }))
            .boxed(),
        End::Mismatched => chunks
            .chain(stream::once(async {
                Err(StoreError::ChecksumMismatch("another checksum by the script".to_owned()))
            }))
            .boxed(),
        End::Stalled => chunks.chain(stream::pending()).boxed(),
    }
}

#[async_trait]
impl ObjectStore for MemoryStore {
    async fn open(&self, file: &LogFile, from: Option<&Resume>) -> Result<OpenObject, StoreError> {
        let (fault, latency) = {
            let mut state = lock(&self.state);
            let request =
                StoreRequest { at: Instant::now(), file: file.clone(), from: from.cloned() };
            state.requests.push(request);
            (state.next_fault(file), state.latency)
        };
        if let Some(latency) = latency {
            sleep(latency).await;
        }
        let fault = match fault {
            Some(StoreFault::Error(error)) => return Err(error),
            Some(StoreFault::Hang) => return pending().await,
            fault => fault,
        };
        let (stored, bytes, chunk_size) = {
            let state = lock(&self.state);
            let (stored, bytes) = state.find(file)?;
            (stored, bytes, state.chunk_size.unwrap_or(64 << 10))
        };
        let size = bytes.len() as u64;
        let rest = match from {
            None => bytes,
            Some(resume) if resume.etag != stored.etag => {
                return Err(StoreError::Changed(format!("PreconditionFailed: {file}")));
            }
            Some(resume) => match usize::try_from(resume.offset) {
                // From the start no range is asked for, and an empty object has a start too.
                Ok(offset) if offset == 0 || offset < bytes.len() => bytes.slice(offset..),
                _ => return Err(StoreError::Interrupted(format!("InvalidRange: {file}"))),
            },
        };
        let remaining = rest.len();
        let cut = |at: usize| rest.slice(..at.min(remaining));
        let body = match fault {
            Some(StoreFault::BreakAfter(at)) => body(cut(at), chunk_size, None, End::Broken),
            Some(StoreFault::EndAfter(at)) => body(cut(at), chunk_size, None, End::Clean),
            Some(StoreFault::StallAfter(at)) => body(cut(at), chunk_size, None, End::Stalled),
            Some(StoreFault::WrongChecksum) => body(rest, chunk_size, None, End::Mismatched),
            Some(StoreFault::Drip { bytes, every }) => {
                body(rest, bytes.max(1), Some(every), End::Clean)
            }
            None | Some(StoreFault::Error(_) | StoreFault::Hang) => {
                body(rest, chunk_size, None, End::Clean)
            }
        };
        Ok(OpenObject {
            size: Some(size),
            remaining: Some(remaining as u64),
            etag: Some(stored.etag),
            version_id: stored.version_id,
            body,
        })
    }
}
