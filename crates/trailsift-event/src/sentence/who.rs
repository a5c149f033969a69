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
        let in_its_own_name = match self.caller {
            ActorKind::AwsService => self.name.is_none() || self.name == self.invoked_by,
            // What calls itself nothing else is the service's own.
            ActorKind::Unknown => self.name.is_none(),
            // A user may be called like the service.
            _ => false,
        };
        if in_its_own_name && self.session_name.is_none() && self.source_identity.is_none() {
            shown(service)
        } else {
            format!("{} on behalf of {}", shown(service), caller(self))
        }
    }
}

/// The caller behind whatever service makes the call. Everybody but a service has the kind beside the
/// name: names are chosen by those who bear them.
fn caller(actor: &Actor<'_>) -> String {
    let (name, session) = (actor.name.as_deref(), actor.session_name.as_deref());
    let source = actor.source_identity.as_deref();
    let account = || actor.account_id.as_deref().map(|id| format!("account {}", shown(id)));
    let is_role = matches!(actor.caller, ActorKind::AssumedRole | ActorKind::AwsService);
    // Who assumed a role had to state the source; the session's name was theirs to choose.
    let person = source.or(session).filter(|_| is_role);
    let who = match actor.caller {
        ActorKind::Root => Some(match account() {
            Some(account) => format!("root of {account}"),
            None => "root".to_owned(),
        }),
        // Of another account's callers no name is vouched for.
        ActorKind::AwsAccount => account(),
        _ => person.or(name).map(shown).or_else(account),
    };
    let who = who.or_else(|| actor.arn.as_deref().map(shown));
    let kind = match actor.caller {
        ActorKind::AssumedRole | ActorKind::AwsService => match name {
            Some(role) if person.is_some() => Some(format!("assumed role {}", shown(role))),
            _ => Some("assumed role".to_owned()).filter(|_| actor.caller == ActorKind::AssumedRole),
        },
        ActorKind::Root => {
            let federated = name.filter(|_| is_federated(actor));
            federated.map(|name| format!("federated user {}", shown(name)))
        }
        ActorKind::IamUser => Some("IAM user".to_owned()),
        ActorKind::FederatedUser => Some("federated user".to_owned()),
        ActorKind::SamlUser => Some("SAML user".to_owned()),
        ActorKind::WebIdentityUser => Some("web identity user".to_owned()),
        ActorKind::IdentityCenterUser => Some("Identity Center user".to_owned()),
        ActorKind::Role => Some("role".to_owned()),
        ActorKind::Directory => Some("directory user".to_owned()),
        ActorKind::AwsAccount => name.map(|name| format!("called {}", shown(name))),
        ActorKind::Unknown => name.map(|_| "unknown kind".to_owned()),
    };
    let besides = |what: &str, text: Option<&str>| {
        text.filter(|text| person != Some(text)).map(|text| format!("{what} {}", shown(text)))
    };
    let delegate = actor.delegate_account_id.as_deref();
    let details = [
        kind,
        besides("source identity", source),
        besides("session", session),
        delegate.map(|account| format!("used by account {}", shown(account))),
        Some("MFA".to_owned()).filter(|_| actor.mfa == Some(true)),
    ];
    let details: Vec<_> = details.into_iter().flatten().collect();
    let who = who.unwrap_or_else(|| "somebody".to_owned());
    if details.is_empty() { who } else { format!("{who} ({})", details.join(", ")) }
}

/// Whether it is a session of `GetFederationToken`, which bears the name that it was given.
fn is_federated(actor: &Actor<'_>) -> bool {
    actor.arn.as_deref().is_some_and(|arn| arn.contains(":federated-user/"))
}
