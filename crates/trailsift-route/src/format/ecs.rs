//! Elastic Common Schema, as Elastic's aws.cloudtrail integration names its fields.

use super::Context;
use super::writer::Object;

pub(super) fn write(out: &mut Object<'_>, context: &Context<'_>) {
    out.object("event", |event| {
        event.text("original", &String::from_utf8_lossy(context.record));
    });
}
