//! `{"event": the record, "trailsift": where it was read and who is behind it}`.

use trailsift_event::Json;

use super::Context;
use super::writer::Object;

pub(super) fn write(out: &mut Object<'_>, context: &Context<'_>) {
    out.raw("event", Json::new(context.record));
    out.object("trailsift", |about| {
        let origin = context.origin;
        about.text_or_null("account", origin.account);
        about.text_or_null("bucket", origin.bucket);
        about.text_or_null("key", origin.key);
        about.text_or_null("version_id", origin.version_id);
        about.text_or_null("etag", origin.etag);
        about.integer("index", i64::try_from(context.index).unwrap_or(i64::MAX));
        about.text_or_null("route", context.routes.first());
    });
}
