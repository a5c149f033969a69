//! OCSF, class API Activity (6003).

use super::Context;
use super::writer::Object;

pub(super) fn write(out: &mut Object<'_>, context: &Context<'_>) {
    out.integer("class_uid", 6003);
    out.text("raw_data", &String::from_utf8_lossy(context.record));
}
