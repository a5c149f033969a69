//! Who did it, in the few words that a column has room for.

use trailsift_event::{Actor, ActorKind, Credentials};

use super::short;

/// The person or service, behind it what lends them their powers: `alice (Admin, MFA)`.
pub(super) fn text(actor: &Actor<'_>) -> String {
    let mut remarks: Vec<&str> = Vec::new();
    let name = name(actor, &mut remarks);
    if actor.mfa == Some(true) {
        remarks.push("MFA");
    }
    if actor.credentials == Credentials::LongTerm {
        remarks.push("long-term key");
    }
    let service = actor.invoked_by.as_deref().map(short).filter(|service| *service != name);
    let via = service.map(|service| format!("via {service}"));
    remarks.extend(via.as_deref());
    match remarks.is_empty() {
        true => name,
        false => format!("{name} ({})", remarks.join(", ")),
    }
}

fn name<'a>(actor: &'a Actor<'_>, remarks: &mut Vec<&'a str>) -> String {
    let name = actor.name.as_deref();
    let person = actor.source_identity.as_deref().or(actor.session_name.as_deref());
    let name = match actor.kind {
        ActorKind::Root => Some("root"),
        _ if person.is_some() => {
            remarks.extend(name.filter(|name| person != Some(name)));
            person
        }
        ActorKind::AwsService => name.or(actor.invoked_by.as_deref()).map(short),
        _ => name,
    };
    let known = name.or(actor.arn.as_deref()).or(actor.account_id.as_deref());
    known.unwrap_or(actor.kind.as_str()).to_owned()
}
