//! How much of an answer is read: the SDK takes all that comes into memory.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextMut;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use http_body_util::Limited;

/// Breaks off answers that are larger than the service ever sends, of whatever stands where the service
/// should be. What the call did is then as unknown as without an answer.
///
/// An interceptor for the client of a service.
#[derive(Clone, Copy, Debug)]
pub struct AnswerLimit {
    bytes: usize,
    refusals_only: bool,
}

impl AnswerLimit {
    /// For calls that answer whether they did what they were asked for: no answer is near 4 MiB.
    pub const USUAL: Self = Self { bytes: 4 << 20, refusals_only: false };
    /// For calls that fetch messages (ten of 1 MiB each, and every character of them escaped) or list keys.
    pub(crate) const LARGE: Self = Self { bytes: 64 << 20, refusals_only: false };
    /// For calls that fetch objects, which are read piece by piece and bounded by whoever reads them.
    pub(crate) const OBJECTS: Self = Self { bytes: 4 << 20, refusals_only: true };
}

// The hint spares each request the look, at all other of its nineteen steps, whether this is disabled:
// of a small file that is a hundredth of all CPU.
#[dyn_dispatch_hint]
impl Intercept for AnswerLimit {
    fn name(&self) -> &'static str {
        "trailsift::AnswerLimit"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        if self.refusals_only && response.status().is_success() {
            return Ok(());
        }
        let body = std::mem::replace(response.body_mut(), SdkBody::taken());
        let bytes = self.bytes;
        *response.body_mut() =
            body.map(move |body| SdkBody::from_body_1_x(Limited::new(body, bytes)));
        Ok(())
    }
}
