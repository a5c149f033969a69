//! `aws.cloudtrail`: what the integration keeps of a record beyond the common schema.

use std::collections::HashSet;

use trailsift_event::{Json, Kind};

use super::Fields;
use crate::format::moment::Moment;
use crate::format::portable::is_portable;
use crate::format::writer::Object;

/// How deep Elasticsearch lets a flattened object be.
const FLATTENED_DEPTH: usize = 20;

/// How long a term may be, in bytes: a flattened object that is shorter holds none that is longer.
const LONGEST_TERM: usize = 32_766;

/// Free-form members: what the integration calls them.
const FREE_FORM: [(&str, &str); 4] = [
    ("requestParameters", "request_parameters"),
    ("responseElements", "response_elements"),
    ("additionalEventData", "additional_eventdata"),
    ("serviceEventDetails", "service_event_details"),
];

pub(super) fn write(out: &mut Object<'_>, fields: &Fields<'_, '_>) {
    for (name, field) in [
        ("event_version", "eventVersion"),
        ("event_category", "eventCategory"),
        ("event_type", "eventType"),
        ("error_code", "errorCode"),
        ("error_message", "errorMessage"),
        ("request_id", "requestID"),
        ("api_version", "apiVersion"),
        ("recipient_account_id", "recipientAccountId"),
        ("shared_event_id", "sharedEventID"),
        ("vpc_endpoint_id", "vpcEndpointId"),
    ] {
        out.text_if(name, fields.text(&[field]));
    }
    // Keywords, although the record has booleans.
    for (name, field) in [
        ("management_event", "managementEvent"),
        ("session_credential_from_console", "sessionCredentialFromConsole"),
    ] {
        out.text_if(name, fields.flag(&[field]).map(word));
    }
    if let Some(read_only) = fields.flag(&["readOnly"]) {
        out.flag("read_only", read_only);
    }
    out.object_if_any("user_identity", |it| user_identity(it, fields));
    out.object_if_any("console_login", |it| console_login(it, fields));
    resources(out, fields);
    for (member, name) in FREE_FORM {
        if let Some(value) = fields.at(&[member]) {
            out.text(name, &String::from_utf8_lossy(value.raw()));
        }
    }
    out.object_if_any("flattened", |flattened| {
        for (member, name) in FREE_FORM.into_iter().chain([("insightDetails", "insight_details")]) {
            if let Some(value) = fields.at(&[member]).filter(|value| is_flattenable(*value)) {
                flattened.raw(name, value);
            }
        }
    });
}

fn user_identity(out: &mut Object<'_>, fields: &Fields<'_, '_>) {
    for (name, field) in [
        ("type", "type"),
        ("arn", "arn"),
        ("access_key_id", "accessKeyId"),
        ("invoked_by", "invokedBy"),
    ] {
        out.text_if(name, fields.text(&["userIdentity", field]));
    }
    out.object_if_any("session_context", |session| {
        let attribute = |name| ["userIdentity", "sessionContext", "attributes", name];
        session.text_if("mfa_authenticated", fields.flag(&attribute("mfaAuthenticated")).map(word));
        let created = fields.text(&attribute("creationDate"));
        if let Some(created) = created.and_then(|created| Moment::parse(&created)) {
            session.text("creation_date", &created.to_string());
        }
        session.object_if_any("session_issuer", |issuer| {
            for (name, field) in [
                ("type", "type"),
                ("principal_id", "principalId"),
                ("arn", "arn"),
                ("account_id", "accountId"),
            ] {
                let path = ["userIdentity", "sessionContext", "sessionIssuer", field];
                issuer.text_if(name, fields.text(&path));
            }
        });
    });
}

/// What a sign-in to the console says of itself. `No` is no, and anything else a reason.
fn console_login(out: &mut Object<'_>, fields: &Fields<'_, '_>) {
    if fields.text(&["eventName"]).as_deref() != Some("ConsoleLogin") {
        return;
    }
    let text = |name| fields.text(&["additionalEventData", name]);
    out.object_if_any("additional_eventdata", |data| {
        data.text_if("login_to", text("LoginTo"));
        for (name, field) in [("mobile_version", "MobileVersion"), ("mfa_used", "MFAUsed")] {
            if let Some(said) = text(field) {
                data.flag(name, said != "No");
            }
        }
    });
}

/// The record's own list, each resource once.
fn resources(out: &mut Object<'_>, fields: &Fields<'_, '_>) {
    let mut known = HashSet::new();
    out.array_if_any("resources", |array| {
        for listed in fields.event.values("resources") {
            let [arn, account, kind] = [&["ARN", "arn"][..], &["accountId"], &["type"]]
                .map(|names| names.iter().find_map(|name| listed.text_at(&[name])));
            let is_empty = arn.is_none() && account.is_none() && kind.is_none();
            if is_empty || !known.insert((arn.clone(), account.clone(), kind.clone())) {
                continue;
            }
            array.object(|resource| {
                resource.text_if("arn", arn);
                resource.text_if("account_id", account);
                resource.text_if("type", kind);
            });
        }
    });
}

fn word(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

/// Whether Elasticsearch takes the value as a flattened object. One that it does not take would cost
/// the whole event; its text and `event.original` hold it all the same.
fn is_flattenable(value: Json<'_>) -> bool {
    let raw = value.raw();
    // A key must not hold a null character, which JSON cannot write but as this escape.
    let has_null = || raw.windows(6).any(|part| part == br"\u0000");
    value.kind() == Kind::Object
        && raw.len() < LONGEST_TERM
        && !has_null()
        && is_portable(value, FLATTENED_DEPTH)
}
