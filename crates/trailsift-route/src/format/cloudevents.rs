//! CloudEvents 1.0 in structured mode.

use trailsift_event::Json;

use super::Context;
use super::writer::Object;

pub(super) fn write(out: &mut Object<'_>, context: &Context<'_>) {
    out.text("specversion", "1.0");
    out.text_if("id", context.event.text("eventID"));
    out.raw("data", Json::new(context.record));
}
