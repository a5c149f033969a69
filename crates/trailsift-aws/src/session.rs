use aws_config::SdkConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::keys::Keys;
use crate::sessions::Sessions;
use crate::{Fault, Signer};

/// Where calls go and under whose credentials: what a client of any service is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// The region that is called.
    pub region: String,
    /// The role to assume; without one the process's own credentials are used.
    pub role_arn: Option<String>,
    /// What the role's trust policy asks for as its external ID.
    pub external_id: Option<String>,
    /// Where every call goes, STS included, instead of AWS: an emulator.
    pub endpoint_url: Option<String>,
}

/// A region and the credentials to call it with, cached and renewed for every client that is made
/// from it. Clones share them.
#[derive(Clone, Debug)]
pub struct Session {
    pub(crate) config: SdkConfig,
    pub(crate) sessions: Sessions,
    pub(crate) keys: Keys,
}

impl Session {
    /// What the client of a service is made from.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// What signs requests to a service by this name in the session's region, for services that are called
    /// without a client of their own. The name is the one that signatures know: `es`, `kafka-cluster`.
    pub fn signer(&self, service: impl Into<String>) -> Signer {
        Signer::new(self, service.into())
    }

    /// What a failed call of such a client says. If its credentials had expired, the next call gets
    /// new ones.
    pub fn fault<E>(&self, error: &SdkError<E, HttpResponse>) -> Fault
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let fault = Fault::of(error);
        self.sessions.heed(&fault);
        fault
    }
}
