use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::Format;

/// Reads AWS's clock off the `Date` of every answer that passes, refusals too.
#[derive(Debug, Default)]
pub(super) struct DateWatch(Mutex<Option<i64>>);

impl DateWatch {
    /// By how many seconds AWS's clock is ahead. Of several answers the nearest one counts: the
    /// others took longer on their way.
    pub(super) fn ahead(&self) -> Option<i64> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn saw(&self, date: &str) {
        let Ok(theirs) = DateTime::from_str(date, Format::HttpDate) else { return };
        let ours = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ours = i64::try_from(ours.as_secs()).unwrap_or(i64::MAX);
        let ahead = theirs.secs().saturating_sub(ours);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none_or(|known| ahead.abs() < known.abs()) {
            *known = Some(ahead);
        }
    }
}

/// The SDK wants interceptors by value.
#[derive(Debug)]
pub(super) struct Watching(pub(super) std::sync::Arc<DateWatch>);

impl Intercept for Watching {
    fn name(&self) -> &'static str {
        "trailsift::diagnosis::Watching"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date") {
            self.0.saw(date);
        }
        Ok(())
    }
}
