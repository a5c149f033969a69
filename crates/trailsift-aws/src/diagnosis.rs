//! Questions for a diagnosis: how an account is set up at AWS, answered as plain facts.
//!
//! Nothing here judges: what a fact means, and what to do about it, is the caller's. Every question
//! is read-only. Most of them need rights that the service itself does not; where such a right is
//! missing, the answer is an error that says so.

mod bucket;
mod clock;
mod identity;
mod limit;
mod queue;
mod refusal;
mod rules;
#[cfg(test)]
mod tests;
mod topic;

use std::sync::Arc;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::interceptors::SharedInterceptor;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use tokio::time::Instant;

pub use bucket::{BucketExaminer, BucketFacts, Listed, Listing, Notification, ObjectFacts, Target};
pub use identity::Identity;
pub use queue::{QueueFacts, Redrive, Settling};
pub use refusal::Refusal;
pub use rules::{Rule, Rules};
pub use topic::{Filter, FilterScope, Subscription, TopicFacts};

use crate::connector::CONNECT_TIMEOUT;
use crate::{Account, AccountSettings, Connector, Fault, Session, SessionSettings};
use clock::{DateWatch, Watching};
use limit::Limit;

/// Until an answer, with the SDK's retries: somebody sits and waits for it.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(20);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(8);

/// Asks AWS about one account. Made by [`Connector::examiner`].
pub struct Examiner {
    settings: AccountSettings,
    /// With the process's own credentials.
    own: Session,
    /// With the account's: the role's where there is one.
    session: Session,
    /// The ports that the service would use.
    account: Account,
    watch: Arc<DateWatch>,
    limit: Limit,
}

impl std::fmt::Debug for Examiner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Examiner").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Connector {
    /// Somebody to ask about an account. Makes no call, as [`Self::session`].
    pub async fn examiner(&self, settings: &AccountSettings) -> Examiner {
        let mut asked = SessionSettings {
            region: settings.region.clone(),
            role_arn: None,
            external_id: None,
            endpoint_url: settings.endpoint_url.clone(),
        };
        let own = Box::pin(self.session(&asked)).await;
        asked.role_arn.clone_from(&settings.role_arn);
        asked.external_id.clone_from(&settings.external_id);
        let session = Box::pin(self.session(&asked)).await;
        Examiner {
            settings: settings.clone(),
            own,
            session,
            account: Box::pin(self.connect(settings)).await,
            watch: Arc::default(),
            limit: Limit::default(),
        }
    }
}

impl Examiner {
    /// The same, for whom no question goes on beyond this moment: what has no answer by then is
    /// unavailable.
    #[must_use]
    pub fn until(self, deadline: Instant) -> Self {
        Self { limit: Limit::at(deadline), ..self }
    }

    /// What looks at the clock in each answer.
    fn watching(&self) -> SharedInterceptor {
        SharedInterceptor::new(Watching(Arc::clone(&self.watch)))
    }

    /// By how many seconds AWS's clock is ahead of ours, as far as an answer has said so. Right to
    /// about a second and a round trip.
    pub fn clock_ahead(&self) -> Option<i64> {
        self.watch.ahead()
    }
}

/// How long a question may take.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build()
}

/// What a failed question of one of the sessions says.
fn refused<E>(session: &Session, error: &SdkError<E, HttpResponse>) -> Refusal
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let fault = session.fault(error);
    match refusal::credentials_trouble(error) {
        true => Refusal::Credentials(fault.text),
        false => Refusal::of(fault),
    }
}

/// The fault of an error of which the session must know.
fn fault<E>(session: &Session, error: &SdkError<E, HttpResponse>) -> Fault
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    session.fault(error)
}
