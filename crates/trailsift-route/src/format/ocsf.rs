//! OCSF, class API Activity (6003), as Amazon maps CloudTrail to it: FORMATS.md has the table.

mod actor;
mod fields;
mod parties;
mod resources;

use trailsift_event::{Activity, Actor, Operation, Outcome};

use super::moment::Moment;
use super::writer::Object;
use super::{Context, known};
use fields::Fields;

/// The version of the schema that events follow.
const VERSION: &str = "1.8.0";

/// What stands where the schema wants a name and the record has none. `metadata.debug` says so.
const UNKNOWN: &str = "Unknown";

/// What the schema calls an AWS account.
const AWS_ACCOUNT: (i64, &str) = (10, "AWS Account");

/// What is written, and what there is to say about it in the end.
struct Writing<'c, 'r> {
    fields: Fields<'c, 'r>,
    /// What the schema asks for and the record does not have.
    notes: Vec<&'static str>,
    observables: Vec<Observable>,
}

/// Something to search events for.
struct Observable {
    /// The attribute that holds it.
    name: String,
    kind: (i64, &'static str),
    value: String,
}

const HOSTNAME: (i64, &str) = (1, "Hostname");
const IP_ADDRESS: (i64, &str) = (2, "IP Address");
const USER_NAME: (i64, &str) = (4, "User Name");
const RESOURCE_UID: (i64, &str) = (10, "Resource UID");
const CREDENTIAL_UID: (i64, &str) = (19, "User Credential ID");

impl Writing<'_, '_> {
    fn observe(&mut self, name: impl Into<String>, kind: (i64, &'static str), value: &str) {
        self.observables.push(Observable { name: name.into(), kind, value: value.to_owned() });
    }
}

pub(super) fn write(out: &mut Object<'_>, context: &Context<'_>) {
    let event = &context.event;
    let operation = event.operation();
    let fields = Fields::new(event);
    let mut writing = Writing { fields, notes: Vec::new(), observables: Vec::new() };
    classification(out, &operation, &mut writing);
    time(out, &mut writing);
    status(out, context);
    out.text("message", &event.sentence());
    api(out, &mut writing);
    let actor = event.actor();
    actor::write(out, &actor, &mut writing);
    parties::cloud(out, &writing.fields);
    parties::source(out, &mut writing);
    parties::destination(out, &writing.fields);
    out.object_if_any("http_request", |request| {
        request.text_if("user_agent", writing.fields.text(&["userAgent"]));
    });
    resources::write(out, &operation, event.values("resources"), &mut writing);
    metadata(out, context, &actor, &writing);
    observables(out, &writing.observables);
    out.object_if_any("unmapped", |unmapped| writing.fields.rest(unmapped));
    raw_data(out, context);
}

fn classification(out: &mut Object<'_>, operation: &Operation<'_>, writing: &mut Writing<'_, '_>) {
    out.integer("category_uid", 6);
    out.text("category_name", "Application Activity");
    out.integer("class_uid", 6003);
    out.text("class_name", "API Activity");
    let (activity, caption) = match (operation.activity, &operation.name) {
        (Activity::Create, _) => (1, "Create"),
        (Activity::Read, _) => (2, "Read"),
        (Activity::Update, _) => (3, "Update"),
        (Activity::Delete, _) => (4, "Delete"),
        (Activity::Other, Some(_)) => (99, "Other"),
        (Activity::Other, None) => (0, UNKNOWN),
    };
    out.integer("activity_id", activity);
    // Of what the schema does not know, the source's own word is the name.
    let own = operation.name.as_deref().filter(|_| activity == 99);
    out.text("activity_name", own.unwrap_or(caption));
    out.integer("type_uid", 600_300 + activity);
    out.text("type_name", &format!("API Activity: {caption}"));
    out.integer("severity_id", 1);
    out.text("severity", "Informational");
    if operation.name.is_none() {
        writing.notes.push("eventName is missing: api.operation is Unknown");
    }
}

fn time(out: &mut Object<'_>, writing: &mut Writing<'_, '_>) {
    let time = writing.fields.moment(&["eventTime"]);
    if time.is_none() {
        writing.notes.push("eventTime is missing or no time of RFC 3339: time is 0");
    }
    out.integer("time", time.unwrap_or(Moment::EPOCH).millis());
    if let Some(time) = time {
        out.text("time_dt", &time.to_string());
    }
}

fn status(out: &mut Object<'_>, context: &Context<'_>) {
    let (id, caption) = match context.event.outcome() {
        Outcome::Success => (1, "Success"),
        Outcome::Failure { .. } => (2, "Failure"),
    };
    out.integer("status_id", id);
    out.text("status", caption);
    out.text_if("status_code", context.event.text("errorCode"));
    out.text_if("status_detail", context.event.text("errorMessage"));
}

fn api(out: &mut Object<'_>, writing: &mut Writing<'_, '_>) {
    let fields = &writing.fields;
    out.object("api", |api| {
        api.text("operation", fields.text(&["eventName"]).as_deref().unwrap_or(UNKNOWN));
        api.text_if("version", fields.text(&["apiVersion"]));
        // The schema wants a request's id; without one its parameters stay unmapped.
        if let Some(id) = fields.text(&["requestID"]) {
            api.object("request", |request| {
                request.text("uid", &id);
                if let Some(parameters) = fields.any(&["requestParameters"]) {
                    request.value("data", parameters);
                }
            });
        }
        api.object_if_any("response", |response| {
            response.text_if("error", fields.text(&["errorCode"]));
            if let Some(message) = fields.text(&["errorMessage"]) {
                response.text("error_message", &message);
                response.text("message", &message);
            }
            if let Some(elements) = fields.any(&["responseElements"]) {
                response.value("data", elements);
            }
        });
        api.object_if_any("service", |service| {
            service.text_if("name", fields.text(&["eventSource"]));
        });
    });
}

fn metadata(
    out: &mut Object<'_>,
    context: &Context<'_>,
    actor: &Actor<'_>,
    writing: &Writing<'_, '_>,
) {
    let fields = &writing.fields;
    out.object("metadata", |metadata| {
        metadata.text("version", VERSION);
        metadata.array_if_any("profiles", |profiles| {
            profiles.text("cloud");
            profiles.text("datetime");
        });
        metadata.object("product", |product| {
            product.text("name", "CloudTrail");
            product.text("vendor_name", "AWS");
            product.text_if("version", fields.text(&["eventVersion"]));
            product.object_if_any("feature", |feature| {
                feature.text_if("name", fields.text(&["eventCategory"]));
            });
        });
        metadata.text_if("uid", fields.text(&["eventID"]));
        metadata.text_if("correlation_uid", fields.text(&["sharedEventID"]));
        metadata.text_if("event_code", fields.text(&["eventType"]));
        metadata.text_if("original_time", fields.text(&["eventTime"]));
        metadata.text_if("log_name", known(context.origin.bucket));
        metadata.text_if("log_source", known(context.origin.key));
        // What is derived, and has no attribute of its own: root behind a federated user, for one.
        metadata.array_if_any("tags", |tags| {
            let mut tag = |name, value| {
                tags.object(|tag| {
                    tag.text("name", name);
                    tag.text("value", value);
                });
            };
            tag("actor.kind", actor.kind.as_str());
            tag("actor.credentials", actor.credentials.as_str());
            context.routes.iter().for_each(|route| tag("route", route));
        });
        metadata.array_if_any("debug", |debug| {
            for note in &writing.notes {
                debug.text(note);
            }
        });
    });
}

fn observables(out: &mut Object<'_>, observables: &[Observable]) {
    out.array_if_any("observables", |array| {
        for Observable { name, kind: (id, caption), value } in observables {
            array.object(|observable| {
                observable.text("name", name);
                observable.integer("type_id", *id);
                observable.text("type", caption);
                observable.text("value", value);
            });
        }
    });
}

fn raw_data(out: &mut Object<'_>, context: &Context<'_>) {
    let record = context.record;
    out.text("raw_data", &String::from_utf8_lossy(record));
    out.integer("raw_data_size", i64::try_from(record.len()).unwrap_or(i64::MAX));
    out.object("raw_data_hash", |hash| {
        hash.integer("algorithm_id", 3);
        hash.text("algorithm", "SHA-256");
        hash.text("value", &context.sha256());
    });
}

/// The account of this id.
fn account(out: &mut Object<'_>, id: &str) {
    let (kind, caption) = AWS_ACCOUNT;
    out.object("account", |account| {
        account.text("uid", id);
        account.integer("type_id", kind);
        account.text("type", caption);
    });
}

#[cfg(test)]
mod tests;
