use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use hyper::Request;
use hyper::body::Incoming;
use trailsift_testkit::{MemoryQueue, MemoryStore, Stored};

use crate::counts::Counters;
use crate::server::{Answer, Server, Service};
use crate::{Counts, s3, sqs};

/// The account in the path of every queue's URL.
const ACCOUNT: &str = "000000000000";

/// Which checksum S3 keeps of an object, and names to a reader who asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// None: objects that were put before 2025.
    None,
    /// The one that a recent SDK sends.
    Crc32,
    /// The one that S3 itself makes where the writer sent none.
    #[default]
    Crc64Nvme,
}

impl Checksum {
    /// The header and its value.
    fn of(self, bytes: &[u8]) -> Option<(&'static str, String)> {
        match self {
            Self::None => None,
            Self::Crc32 => {
                // The 32 bits are the lower ones.
                let sum = crc_fast::checksum(CrcAlgorithm::Crc32IsoHdlc, bytes).to_be_bytes();
                Some(("x-amz-checksum-crc32", STANDARD.encode(&sum[4..])))
            }
            Self::Crc64Nvme => {
                let sum = crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes).to_be_bytes();
                Some(("x-amz-checksum-crc64nvme", STANDARD.encode(sum)))
            }
        }
    }
}

/// A running server. It ends when dropped.
#[derive(Debug)]
pub struct Stub {
    server: Server,
    shared: Arc<Shared>,
}

/// What all requests share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) store: MemoryStore,
    pub(crate) counters: Counters,
    queues: Mutex<HashMap<String, MemoryQueue>>,
    actions: Mutex<BTreeSet<String>>,
    /// By entity tag, for equal content has equal ones.
    checksums: Mutex<HashMap<String, (&'static str, String)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn queue(&self, name: &str) -> Option<MemoryQueue> {
        lock(&self.queues).get(name).cloned()
    }

    /// Notes what IAM would have to allow for a request.
    pub(crate) fn asks_for(&self, action: impl Into<String>) {
        lock(&self.actions).insert(action.into());
    }

    pub(crate) fn checksum(&self, etag: &str) -> Option<(&'static str, String)> {
        lock(&self.checksums).get(etag).cloned()
    }
}

#[derive(Clone)]
struct Front(Arc<Shared>);

impl Service for Front {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        match request.headers().get("x-amz-target") {
            Some(target) => {
                let target = target.to_str().unwrap_or_default().to_owned();
                sqs::answer(&self.0, &target, request.into_body()).await
            }
            None => s3::answer(&self.0, &request).await,
        }
    }
}

impl Stub {
    /// Starts on a free port of loopback, on a thread named `trailsift-stub`, without buckets and
    /// without queues.
    ///
    /// # Errors
    /// If there is no free port, or no thread to be had.
    pub fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let server = Server::start("trailsift-stub", Front(Arc::clone(&shared)))?;
        Ok(Self { server, shared })
    }

    /// The endpoint of both services: `http://127.0.0.1:port`.
    pub fn endpoint(&self) -> String {
        self.server.url()
    }

    /// Serves this queue under that name, and answers its URL. Messages are sent, and faults
    /// scripted, through the queue itself.
    pub fn add_queue(&self, name: &str, queue: MemoryQueue) -> String {
        lock(&self.shared.queues).insert(name.to_owned(), queue);
        format!("{}/{ACCOUNT}/{name}", self.endpoint())
    }

    /// The objects: to make buckets versioned or owned, to delete, and to script faults.
    pub fn store(&self) -> &MemoryStore {
        &self.shared.store
    }

    /// Puts an object with a checksum that readers may ask for. Bytes are served as they are, never
    /// copied.
    pub fn put(
        &self,
        bucket: &str,
        key: &str,
        bytes: impl Into<Bytes>,
        checksum: Checksum,
    ) -> Stored {
        let bytes = bytes.into();
        let checksum = checksum.of(&bytes);
        let stored = self.shared.store.put(bucket, key, bytes);
        if let Some(checksum) = checksum {
            lock(&self.shared.checksums).insert(stored.etag.clone(), checksum);
        }
        stored
    }

    /// What IAM would have had to allow for all that was asked so far, refused requests included:
    /// `sqs:ReceiveMessage`, `s3:GetObject` and so on. What the stub does not know begins with `unknown`.
    pub fn actions(&self) -> BTreeSet<String> {
        lock(&self.shared.actions).clone()
    }

    /// What was asked so far.
    pub fn counts(&self) -> Counts {
        self.shared.counters.now()
    }
}
