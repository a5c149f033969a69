use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::sessions::Sessions;

/// Credentials this near their end are not used any more, as the SDK's own cache has it.
const MARGIN: Duration = Duration::from_secs(10);
/// How long credentials without an end are used before their source is asked again: the SDK's figure.
const UNLIMITED: Duration = Duration::from_secs(15 * 60);
/// For an answer of whoever hands out credentials, retries included.
const PATIENCE: Duration = Duration::from_secs(20);

/// The credentials of a session, for signing by hand. The SDK's cache serves its own clients only.
///
/// Fetched by the first who needs them, while others wait; renewed before they end, and when the service
/// took them for expired ([`Sessions::heed`]). Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    provider: Option<SharedCredentialsProvider>,
    sessions: Sessions,
    held: Arc<Mutex<Option<Held>>>,
}

#[derive(Debug)]
struct Held {
    credentials: Credentials,
    until: SystemTime,
    renewed: Option<Instant>,
}

impl Keys {
    /// Nothing is fetched yet.
    pub(crate) fn new(provider: Option<SharedCredentialsProvider>, sessions: Sessions) -> Self {
        Self { provider, sessions, held: Arc::default() }
    }

    /// Credentials that are valid at this time, and when they end where they do.
    ///
    /// Cancel safety: dropped while it waits it has changed nothing.
    pub(crate) async fn at(&self, now: SystemTime) -> Result<Credentials, CredentialsError> {
        let mut held = self.held.lock().await;
        // Read before the fetch, so that what is to be forgotten meanwhile is not kept.
        let renewed = self.sessions.renewed();
        if let Some(held) = &*held
            && held.renewed == renewed
            && now < held.until
        {
            return Ok(held.credentials.clone());
        }
        let Some(provider) = &self.provider else {
            return Err(CredentialsError::not_loaded("no source of credentials is configured"));
        };
        let fetched = timeout(PATIENCE, provider.provide_credentials());
        let credentials =
            fetched.await.map_err(|_| CredentialsError::provider_timed_out(PATIENCE))??;
        let until = credentials.expiry().map_or(now + UNLIMITED, |end| end - MARGIN);
        *held = Some(Held { credentials: credentials.clone(), until, renewed });
        Ok(credentials)
    }
}
