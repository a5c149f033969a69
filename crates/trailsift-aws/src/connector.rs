use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::SharedCredentialsProvider;
use aws_types::origin::Origin;

use crate::keys::Keys;
use crate::sessions::Sessions;
use crate::{S3Store, Session, SessionSettings, SqsQueue};

#[cfg(test)]
mod tests;

/// The name of every session and the application's name in the user agent: stable, so that the
/// accounts' own trails and policies can name it.
pub(crate) const NAME: &str = "trailsift";

pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where one account's queue and buckets are and how to get in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSettings {
    /// The account's number; for logs only.
    pub id: String,
    /// The region of the queue, and of the buckets for which no other is named.
    pub region: String,
    /// By bucket: its region, where it is another one.
    pub bucket_regions: BTreeMap<String, String>,
    /// Every region that the configuration mentions. Where S3 says that a bucket is in one of
    /// these, it is asked for there; never in any other.
    pub known_regions: BTreeSet<String>,
    /// The queue. Its host is not contacted: the region, or `endpoint_url`, decides.
    pub queue_url: String,
    /// The role to assume; without one the process's own credentials are used.
    pub role_arn: Option<String>,
    /// What the role's trust policy asks for as its external ID.
    pub external_id: Option<String>,
    /// Where every call goes, STS included, instead of AWS: an emulator.
    pub endpoint_url: Option<String>,
}

/// An account's ports, ready to use.
#[derive(Debug)]
pub struct Account {
    /// The queue.
    pub queue: SqsQueue,
    /// The buckets.
    pub store: S3Store,
}

/// Hands out clients. One per process: it holds what the environment says about credentials,
/// proxies and endpoints.
pub struct Connector {
    base: SdkConfig,
    /// The process's own credentials.
    sessions: Sessions,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    /// Reads the environment as every AWS tool does: variables, profiles, container and instance
    /// metadata. Missing credentials show at the first call, not here.
    ///
    /// `region` serves the calls that get credentials and belong to no account yet; naming it keeps
    /// the SDK from asking the instance metadata for one, which takes seconds where there is none.
    pub async fn load(region: &str) -> Self {
        let mut loader =
            aws_config::defaults(BehaviorVersion::latest()).region(Region::new(region.to_owned()));
        if let Ok(name) = AppName::new(NAME) {
            loader = loader.app_name(name);
        }
        Self::over(loader.retry_config(RetryConfig::standard().with_max_attempts(3)).load().await)
    }

    /// Over what was loaded elsewhere: credentials, proxies, how often the SDK retries.
    pub fn over(base: SdkConfig) -> Self {
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build();
        let sessions = Sessions::default();
        let base = base.into_builder().timeout_config(timeouts).identity_cache(sessions.clone());
        Self { base: base.build(), sessions }
    }

    /// The region and the credentials of one account or sink. Makes no call, except that a profile or
    /// an assumed role may read local files.
    ///
    /// An assumed role's credentials are cached and renewed before they expire.
    pub async fn session(&self, settings: &SessionSettings) -> Session {
        let mut config = self.base.to_builder().region(Region::new(settings.region.clone()));
        if let Some(endpoint) = &settings.endpoint_url {
            config = config.endpoint_url(endpoint);
            // Without its origin a variable such as AWS_ENDPOINT_URL_SQS would win over it.
            config.insert_origin("endpoint_url", Origin::shared_config());
        }
        let mut config = config.build();
        let mut sessions = self.sessions.clone();
        if let Some(role) = &settings.role_arn {
            let mut role = AssumeRoleProvider::builder(role).session_name(NAME).configure(&config);
            if let Some(id) = &settings.external_id {
                role = role.external_id(id);
            }
            let provider = SharedCredentialsProvider::new(role.build().await);
            // A cache of its own: what one account has to forget, the others need not fetch anew.
            sessions = Sessions::default();
            let config_of_role = config.into_builder().credentials_provider(provider);
            config = config_of_role.identity_cache(sessions.clone()).build();
        }
        let keys = Keys::new(config.credentials_provider(), sessions.clone());
        Session { config, sessions, keys }
    }

    /// Clients for one account. Makes no call, as [`Self::session`].
    pub async fn connect(&self, settings: &AccountSettings) -> Account {
        let session = self
            .session(&SessionSettings {
                region: settings.region.clone(),
                role_arn: settings.role_arn.clone(),
                external_id: settings.external_id.clone(),
                endpoint_url: settings.endpoint_url.clone(),
            })
            .await;
        let Session { config, sessions, .. } = &session;
        tracing::debug!(
            account = settings.id,
            region = settings.region,
            endpoint_url = settings.endpoint_url,
            assumes_role = settings.role_arn.is_some(),
            "connecting"
        );
        let queue_url = match &settings.endpoint_url {
            Some(endpoint) => queue_url_at(endpoint, &settings.queue_url),
            None => settings.queue_url.clone(),
        };
        Account {
            queue: SqsQueue::new(config, sessions, &queue_url),
            store: S3Store::new(
                config,
                sessions,
                &settings.bucket_regions,
                &settings.known_regions,
            ),
        }
    }
}

/// A queue's URL as the emulator at `endpoint` would write it. AWS reads no more than the path, but LocalStack
/// takes a region from a host that it does not know.
pub fn queue_url_at(endpoint: &str, queue_url: &str) -> String {
    let path = queue_url.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
    match path {
        Some((_host, path)) => format!("{}/{path}", endpoint.trim_end_matches('/')),
        None => queue_url.to_owned(),
    }
}
