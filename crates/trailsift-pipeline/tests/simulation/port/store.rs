use std::time::Duration;

use futures::StreamExt as _;
use trailsift_core::{LogFile, ObjectStore, OpenObject, Resume, StoreError};
use trailsift_testkit::{MemoryStore, StoreFault};

use super::Line;
use crate::history::{Event, StoreTrouble};
use crate::weather::{Port, Stuck};

/// The object store as one replica reaches it.
#[derive(Debug)]
pub(crate) struct StorePort {
    pub(crate) line: Line,
    pub(crate) account: usize,
    pub(crate) store: MemoryStore,
}

impl StorePort {
    /// What is wrong with the object or with its body, this time.
    fn fault(&self, key: &str) -> Option<StoreFault> {
        let Line { weather, .. } = &self.line;
        if weather.is_stuck(&Stuck::Key(key.to_owned())) {
            return Some(match weather.dice.one_in(2) {
                true => StoreFault::StallAfter(5),
                false => StoreFault::Error(StoreError::KmsDenied("KMS.DisabledException".into())),
            });
        }
        if !weather.strikes(Port::Store) {
            return None;
        }
        let error = |error| Some(StoreFault::Error(error));
        let second = Duration::from_secs(1);
        match weather.dice.below(13) {
            0 => Some(StoreFault::BreakAfter(20)),
            1 => Some(StoreFault::StallAfter(10)),
            2 => Some(StoreFault::EndAfter(15)),
            3 => Some(StoreFault::Drip { bytes: 30, every: 20 * second }),
            4 => error(StoreError::Denied("AccessDenied".into())),
            5 => error(StoreError::NotFound("NoSuchKey".into())),
            6 => error(StoreError::KmsDenied("AccessDenied".into())),
            7 => error(StoreError::Unavailable("InternalError".into())),
            8 => error(StoreError::Throttled { after: Some(8 * second), message: "slow".into() }),
            9 => error(StoreError::Changed("PreconditionFailed".into())),
            10 => error(StoreError::Interrupted("connection reset".into())),
            11 => error(StoreError::WrongRegion { region: None, message: "elsewhere".into() }),
            _ => Some(StoreFault::Drip { bytes: 50, every: second }),
        }
    }
}

#[async_trait::async_trait]
impl ObjectStore for StorePort {
    async fn open(&self, file: &LogFile, from: Option<&Resume>) -> Result<OpenObject, StoreError> {
        let Line { life, ref history, ref weather } = self.line;
        let offset = from.map(|resume| resume.offset);
        // The number of its event is the number of a reading.
        let reading = history.len();
        let (account, wanted) = (self.account, file.clone());
        history.record(Event::Opens { life, account, reading, file: wanted, from: offset });
        let closing = Closing { line: self.line.clone(), reading };
        let fault = self.fault(&file.key);
        let (store, wanted, from) = (self.store.clone(), file.clone(), from.cloned());
        let open = async move {
            if let Some(fault) = fault {
                // Used up by the call that follows at once.
                store.fault(&wanted.bucket, &wanted.key, fault);
            }
            store.open(&wanted, from.as_ref()).await
        };
        let answer = match weather.carry(Port::Store, open).await {
            Some(answer) => answer,
            None => Err(StoreError::Unavailable("no answer in time".into())),
        };
        let what = match &answer {
            Ok(open) => Ok(open.etag.clone()),
            Err(StoreError::NotFound(_)) => Err(StoreTrouble::Missing),
            Err(StoreError::Denied(_) | StoreError::WrongRegion { .. }) => {
                Err(StoreTrouble::Refused)
            }
            Err(StoreError::Changed(_)) => Err(StoreTrouble::Changed),
            Err(_) => Err(StoreTrouble::Other),
        };
        history.record(Event::Opened { life, reading, what });
        let open = answer?;
        // The body lives as long as somebody reads it.
        let body = open.body.inspect(move |_| {
            let _open = &closing;
        });
        Ok(OpenObject { body: body.boxed(), ..open })
    }
}

/// Records the end of a reading, however it ends.
struct Closing {
    line: Line,
    reading: usize,
}

impl Drop for Closing {
    fn drop(&mut self) {
        let Line { life, ref history, .. } = self.line;
        history.record(Event::Closes { life, reading: self.reading });
    }
}
