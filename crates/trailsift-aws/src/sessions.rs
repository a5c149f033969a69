use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_smithy_runtime_api::client::identity::{
    IdentityFuture, ResolveCachedIdentity, SharedIdentityCache, SharedIdentityResolver,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use tokio::time::Instant;

use crate::fault::Fault;

/// How long new credentials are believed in, whatever AWS says of them: with a source that goes on
/// handing out expired ones, asking more often helps nobody.
const BELIEVED: Duration = Duration::from_secs(30);

/// The SDK's cache of credentials, and a way to make it forget them.
///
/// The SDK uses credentials until this machine's clock says that they end. Where that clock is late,
/// AWS says so first; without this, every call would fail from then until the clock agrees.
/// Clones are handles to the same cache.
#[derive(Clone, Debug)]
pub(crate) struct Sessions(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    cache: SharedIdentityCache,
    renewed: Option<Instant>,
}

impl Default for Sessions {
    fn default() -> Self {
        let cache = IdentityCache::lazy().build();
        Self(Arc::new(Mutex::new(State { cache, renewed: None })))
    }
}

impl Sessions {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at a failed call: if its credentials had expired, the next call gets new ones.
    pub(crate) fn heed(&self, fault: &Fault) {
        if fault.is_about_expiry() {
            self.forget();
        }
    }

    /// The next call gets new credentials; not if those of today are newer than [`BELIEVED`].
    pub(crate) fn forget(&self) {
        let mut state = self.state();
        if state.renewed.is_some_and(|renewed| renewed.elapsed() < BELIEVED) {
            return;
        }
        tracing::debug!("credentials that should still be valid have expired: fetching new ones");
        *state = State { cache: IdentityCache::lazy().build(), renewed: Some(Instant::now()) };
    }

    /// When credentials were last forgotten: what was fetched before is not to be used after.
    pub(crate) fn renewed(&self) -> Option<Instant> {
        self.state().renewed
    }
}

impl ResolveCachedIdentity for Sessions {
    fn resolve_cached_identity<'a>(
        &'a self,
        resolver: SharedIdentityResolver,
        components: &'a RuntimeComponents,
        config: &'a ConfigBag,
    ) -> IdentityFuture<'a> {
        let cache = self.state().cache.clone();
        IdentityFuture::new(async move {
            cache.resolve_cached_identity(resolver, components, config).await
        })
    }
}
