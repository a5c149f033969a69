//! Who did it, in the few words that a column has room for.

use std::borrow::Cow;

use trailsift_event::text::is_unseen;
use trailsift_event::{Actor, ActorKind, Credentials};
use unicode_width::UnicodeWidthChar as _;

use super::short;

/// What only root is called.
const ROOT: &str = "root";

/// The person or service, behind it what lends them their powers: `alice (Admin, MFA)`.
pub(super) fn text(actor: &Actor<'_>) -> String {
    let mut remarks: Vec<Cow<'_, str>> = Vec::new();
    let name = name(actor, &mut remarks);
    if actor.mfa == Some(true) {
        remarks.push("MFA".into());
    }
    if actor.credentials == Credentials::LongTerm {
        remarks.push("long-term key".into());
    }
    // A user may be called like the service that acts for them.
    let is_itself = matches!(actor.caller, ActorKind::AwsService | ActorKind::Unknown);
    let service = actor.invoked_by.as_deref().map(|service| word(short(service)));
    let service = service.filter(|service| !is_itself || *service != name);
    remarks.extend(service.map(|service| format!("via {service}").into()));
    match remarks.is_empty() {
        true => name.into_owned(),
        false => format!("{name} ({})", remarks.join(", ")),
    }
}

fn name<'a>(actor: &'a Actor<'_>, remarks: &mut Vec<Cow<'a, str>>) -> Cow<'a, str> {
    let name = actor.name.as_deref();
    let person = actor.source_identity.as_deref().or(actor.session_name.as_deref());
    let name = match actor.caller {
        ActorKind::Root => return ROOT.into(),
        // Another account's sessions and users are called as it likes.
        ActorKind::AwsAccount if actor.account_id.is_some() => {
            remarks.extend(person.or(name).map(word));
            actor.account_id.as_deref()
        }
        _ if person.is_some() => {
            remarks.extend(name.filter(|name| person != Some(name)).map(word));
            person
        }
        ActorKind::AwsService => name.or(actor.invoked_by.as_deref()).map(short),
        ActorKind::Unknown if actor.kind == ActorKind::AwsService => {
            name.or(actor.invoked_by.as_deref().map(short))
        }
        _ => name,
    };
    let known = name.or(actor.arn.as_deref()).or(actor.account_id.as_deref());
    known.map_or(actor.kind.as_str().into(), word)
}

/// The name as it is if it is one word; else in quotes, so that nobody can be called what we say
/// of others. Letters that take no room of their own make another word of it and hardly show.
fn word(name: &str) -> Cow<'_, str> {
    let is_letter = |c: char| c.is_alphanumeric() && !is_unseen(c) && c.width() != Some(0);
    let is_plain = |c: char| is_letter(c) || "-_./:@+=*#%$&~".contains(c);
    match name.chars().all(is_plain) && !name.eq_ignore_ascii_case(ROOT) {
        true => name.into(),
        false => format!("\"{name}\"").into(),
    }
}
