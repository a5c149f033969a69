//! `actor`: who did it.

use trailsift_event::{Actor, Credentials};

use super::{CREDENTIAL_UID, UNKNOWN, USER_NAME, Writing, account};
use crate::format::writer::Object;

/// The schema wants an actor to have something, and a user to have a name, an id or an account.
pub(super) fn write(out: &mut Object<'_>, actor: &Actor<'_>, writing: &mut Writing<'_, '_>) {
    let fields = &writing.fields;
    let text = |path: &[&str]| fields.text(&[&["userIdentity"], path].concat());
    let said = |path: &[&str], said| fields.text_said(&[&["userIdentity"], path].concat(), said);

    let service = text(&["invokedBy"]);
    let kind = text(&["type"]);
    let arn = text(&["arn"]);
    let principal = text(&["principalId"]);
    // A user has two ids in the schema; a third one stays unmapped.
    let is_full = arn.is_some() && principal.is_some();
    let on_behalf_of = if is_full { None } else { text(&["onBehalfOf", "userId"]) };
    let access_key = text(&["accessKeyId"]);
    let credential = access_key.clone().or_else(|| text(&["credentialId"]));
    // What the actor's name and account are taken from.
    for path in [&["userName"][..], &["sessionContext", "sessionIssuer", "userName"]] {
        said(path, actor.name.as_deref());
    }
    for path in [&["accountId"][..], &["sessionContext", "sessionIssuer", "accountId"]] {
        said(path, actor.account_id.as_deref());
    }

    let mut ids =
        [arn.as_deref(), principal.as_deref(), on_behalf_of.as_deref()].into_iter().flatten();
    let (id, other_id) = (ids.next(), ids.next());
    let is_known = id.or(actor.name.as_deref()).or(actor.account_id.as_deref()).is_some();
    let is_told = is_known || kind.is_some() || credential.is_some();
    let name = actor.name.as_deref().or((!is_known).then_some(UNKNOWN));

    out.object("actor", |out| {
        out.text_if("app_name", service.as_deref());
        if is_told || service.is_none() {
            out.object("user", |user| {
                user.text_if("name", name);
                user.text_if("uid", id);
                user.text_if("uid_alt", other_id);
                // Normalized types have normalized names: CloudTrail's own word asks for "Other".
                let kind = kind.as_deref().unwrap_or(UNKNOWN);
                user.text("type", kind);
                user.integer("type_id", if kind == UNKNOWN { 0 } else { 99 });
                if let Some(id) = &actor.account_id {
                    account(user, id);
                }
                user.array_if_any("programmatic_credentials", |credentials| {
                    if let Some(id) = &credential {
                        credentials.object(|it| {
                            let kind = if access_key.is_some() { "Access Key" } else { "Token" };
                            it.text("type", kind);
                            it.text("uid", id);
                        });
                    }
                });
            });
        }
        out.object_if_any("session", |session| {
            let attribute = |name| ["userIdentity", "sessionContext", "attributes", name];
            if let Some(created) = fields.moment(&attribute("creationDate")) {
                session.integer("created_time", created.millis());
                session.text("created_time_dt", &created.to_string());
            }
            if let Some(mfa) = fields.flag(&attribute("mfaAuthenticated")) {
                session.flag("is_mfa", mfa);
            }
            session.text_if("issuer", text(&["sessionContext", "sessionIssuer", "arn"]));
            if actor.session_name.is_some() {
                session.text_if("uid", actor.session_name.as_deref());
                session.text_if("uid_alt", arn.as_deref());
            }
            if actor.credentials == Credentials::Temporary {
                session.text_if("credential_uid", credential.as_deref());
            }
        });
        out.object_if_any("idp", |idp| {
            let web = ["sessionContext", "webIdFederationData", "federatedProvider"];
            idp.text_if("name", text(&["identityProvider"]).or_else(|| text(&web)));
            idp.text_if("uid", text(&["onBehalfOf", "identityStoreArn"]));
        });
    });

    if !is_known && (is_told || service.is_none()) {
        writing.notes.push("userIdentity names nobody: actor.user.name is Unknown");
    }
    if let Some(name) = &actor.name {
        writing.observe("actor.user.name", USER_NAME, name);
    }
    if let Some(id) = &credential {
        writing.observe("actor.user.programmatic_credentials[0].uid", CREDENTIAL_UID, id);
    }
}
