//! The caller, as people speak of one.

use super::shown;
use crate::actor::{Actor, ActorKind};

impl Actor<'_> {
    /// The caller, for people: `alice (assumed role Admin, MFA)`, `root of account 111122223333`, or
    /// `cloudformation.amazonaws.com on behalf of alice (assumed role Admin)`. As safe to show and
    /// as short as [`Event::sentence`](crate::Event::sentence), which begins with it.
    pub fn in_words(&self) -> String {
        let service = self.invoked_by.as_deref().filter(|_| self.kind == ActorKind::AwsService);
        let Some(service) = service else { return caller(self) };
        let own_name = self.name.is_none() || self.name == self.invoked_by;
        if own_name && self.session_name.is_none() && self.source_identity.is_none() {
            shown(service)
        } else {
            format!("{} on behalf of {}", shown(service), caller(self))
        }
    }
}

fn caller(actor: &Actor<'_>) -> String {
    let (name, session) = (actor.name.as_deref(), actor.session_name.as_deref());
    // Who assumed the role had to state this one; the session's name was theirs to choose.
    let person = actor.source_identity.as_deref().or(session);
    let account = || actor.account_id.as_deref().map(|id| format!("account {}", shown(id)));
    let is_root = actor.kind == ActorKind::Root;
    let who = if is_root {
        account().map_or_else(|| "root".to_owned(), |account| format!("root of {account}"))
    } else {
        let name = person.or(name).map(shown).or_else(account);
        name.or_else(|| actor.arn.as_deref().map(shown)).unwrap_or_else(|| "somebody".to_owned())
    };
    let behind = match actor.kind {
        ActorKind::AssumedRole | ActorKind::AwsService => match name {
            Some(role) if person.is_some() => Some(format!("assumed role {}", shown(role))),
            _ => Some("assumed role".to_owned()).filter(|_| actor.kind == ActorKind::AssumedRole),
        },
        // A session with root's powers has the name that it was given.
        ActorKind::Root => person.map(|person| format!("session {}", shown(person))),
        ActorKind::IamUser => Some("IAM user".to_owned()),
        ActorKind::FederatedUser => Some("federated user".to_owned()),
        ActorKind::SamlUser => Some("SAML user".to_owned()),
        ActorKind::WebIdentityUser => Some("web identity user".to_owned()),
        ActorKind::IdentityCenterUser => Some("Identity Center user".to_owned()),
        ActorKind::Role => Some("role".to_owned()),
        ActorKind::Directory => Some("directory user".to_owned()),
        ActorKind::AwsAccount | ActorKind::Unknown => None,
    };
    let session = session.filter(|session| person != Some(session));
    let session = session.map(|session| format!("session {}", shown(session)));
    let mfa = Some("MFA".to_owned()).filter(|_| actor.mfa == Some(true));
    let details: Vec<_> = [behind, session, mfa].into_iter().flatten().collect();
    if details.is_empty() { who } else { format!("{who} ({})", details.join(", ")) }
}
