//! `{"event": the record, "trailsift": where it was read and who is behind it}`, as
//! `schemas/envelope.schema.json` describes it.

use trailsift_event::{Actor, ActorValue, Json};

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
        about.text("sha256", &context.sha256());
        about.text_or_null("route", context.routes.first());
        about.array("routes", |routes| context.routes.iter().for_each(|route| routes.text(route)));
        about.text("summary", &context.event.sentence());
        about.object("actor", |out| actor(out, &context.event.actor()));
    });
}

/// Every field, whether or not the record says anything of it.
fn actor(out: &mut Object<'_>, actor: &Actor<'_>) {
    for name in Actor::FIELDS {
        match actor.field(name) {
            Some(ActorValue::Text(text)) => out.text(name, text),
            Some(ActorValue::Flag(flag)) => out.flag(name, flag),
            None => out.null(name),
        }
    }
}
