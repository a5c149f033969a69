//! The rules by which `userIdentity` tells who it is.
//!
//! What AWS says of its fields:
//! <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html>.

use std::borrow::Cow;

use super::{ActorKind, ActorValue, Credentials};
use crate::json::{Json, Kind};

/// The fields that [`Identity::read`] looks at, from the record's top, in the order in which
/// [`Identity::of_values`] takes them.
pub(super) const PATHS: &[&str] = &[
    "userIdentity.type",
    "userIdentity.userName",
    "userIdentity.principalId",
    "userIdentity.arn",
    "userIdentity.accountId",
    "userIdentity.accessKeyId",
    "userIdentity.invokedBy",
    "userIdentity.credentialId",
    "userIdentity.onBehalfOf",
    "userIdentity.onBehalfOf.userId",
    "userIdentity.sessionContext",
    "userIdentity.sessionContext.assumedRoot",
    "userIdentity.sessionContext.sourceIdentity",
    "userIdentity.sessionContext.attributes.mfaAuthenticated",
    "userIdentity.sessionContext.sessionIssuer.type",
    "userIdentity.sessionContext.sessionIssuer.userName",
    "userIdentity.sessionContext.sessionIssuer.arn",
    "userIdentity.sessionContext.sessionIssuer.accountId",
    "userIdentity.sessionContext.webIdFederationData.federatedProvider",
];

/// The console's sign-in. It acts for nobody: it is how a person acts, and old records name it.
const SIGN_IN: &str = "signin.amazonaws.com";

/// What AWS writes in place of a name that nobody has: it may be a password in the wrong field.
const HIDDEN: &str = "HIDDEN_DUE_TO_SECURITY_REASONS";

/// `userIdentity`, read once, of which each field of the [`Actor`](super::Actor) can be had by itself.
#[derive(Debug, Default)]
pub struct Identity<'r> {
    kind: Option<Json<'r>>,
    user_name: Option<Json<'r>>,
    principal_id: Option<Json<'r>>,
    arn: Option<Json<'r>>,
    account_id: Option<Json<'r>>,
    access_key_id: Option<Json<'r>>,
    invoked_by: Option<Json<'r>>,
    credential_id: Option<Json<'r>>,
    on_behalf_of: Option<Json<'r>>,
    session_context: Option<Json<'r>>,
    session: Session<'r>,
    issuer: Issuer<'r>,
}

/// `sessionContext`.
#[derive(Debug, Default)]
struct Session<'r> {
    assumed_root: Option<Json<'r>>,
    source_identity: Option<Json<'r>>,
    mfa: Option<Json<'r>>,
    issuer: Option<Json<'r>>,
    web_identity_provider: Option<Json<'r>>,
}

/// `sessionContext.sessionIssuer`: whose credentials the session was had for.
#[derive(Debug, Default)]
struct Issuer<'r> {
    kind: Option<Json<'r>>,
    user_name: Option<Json<'r>>,
    arn: Option<Json<'r>>,
    account_id: Option<Json<'r>>,
}

impl<'r> Identity<'r> {
    /// Finds the fields. Of several of one name the last counts, as everywhere.
    pub(super) fn read(identity: Json<'r>) -> Self {
        let mut found = Self::default();
        for (name, value) in identity.members() {
            match name.as_ref() {
                "type" => found.kind = Some(value),
                "userName" => found.user_name = Some(value),
                "principalId" => found.principal_id = Some(value),
                "arn" => found.arn = Some(value),
                "accountId" => found.account_id = Some(value),
                "accessKeyId" => found.access_key_id = Some(value),
                "invokedBy" => found.invoked_by = Some(value),
                "credentialId" => found.credential_id = Some(value),
                "onBehalfOf" => found.on_behalf_of = Some(value),
                "sessionContext" => found.session_context = Some(value),
                _ => {}
            }
        }
        found.session = found.session_context.map(Session::read).unwrap_or_default();
        found.issuer = found.session.issuer.map(Issuer::read).unwrap_or_default();
        found
    }

    /// What was found at each of [`Actor::PATHS`](super::Actor::PATHS), in their order, by a reader that
    /// passed over them anyway: the same as from the whole. Arrays on the way hold nothing, and no
    /// name is there twice.
    pub fn of_values(values: &[Option<Json<'r>>; PATHS.len()]) -> Self {
        let [
            kind,
            user_name,
            principal_id,
            arn,
            account_id,
            access_key_id,
            invoked_by,
            credential_id,
            on_behalf_of,
            _,
            session_context,
            assumed_root,
            source_identity,
            mfa,
            issuer_kind,
            issuer_name,
            issuer_arn,
            issuer_account_id,
            web_identity_provider,
        ] = *values;
        let issuer = Issuer {
            kind: issuer_kind,
            user_name: issuer_name,
            arn: issuer_arn,
            account_id: issuer_account_id,
        };
        let session =
            Session { assumed_root, source_identity, mfa, issuer: None, web_identity_provider };
        Self {
            kind,
            user_name,
            principal_id,
            arn,
            account_id,
            access_key_id,
            invoked_by,
            credential_id,
            on_behalf_of,
            session_context,
            session,
            issuer,
        }
    }

    /// Hands over the field of this name, as [`Actor::field`](super::Actor::field) has it; hands over
    /// nothing if there is none.
    pub fn field(&self, name: &str, take: impl FnOnce(ActorValue<'_>)) {
        let text = match name {
            "kind" => return take(ActorValue::Text(self.kind().as_str())),
            "credentials" => return take(ActorValue::Text(self.credentials().as_str())),
            "mfa" => {
                if let Some(mfa) = self.mfa() {
                    take(ActorValue::Flag(mfa));
                }
                return;
            }
            "name" => self.name(),
            "arn" => self.arn(),
            "account_id" => self.account_id(),
            "session_name" => self.session_name(),
            "invoked_by" => self.invoked_by(),
            "source_identity" => self.source_identity(),
            _ => None,
        };
        if let Some(text) = text {
            take(ActorValue::Text(&text));
        }
    }

    /// Who is behind the call: a service that makes it, else root, else what the type says.
    pub(super) fn kind(&self) -> ActorKind {
        if text(self.invoked_by).is_some_and(|service| service != SIGN_IN) {
            return ActorKind::AwsService;
        }
        self.behind()
    }

    /// Who is behind the call, whoever makes it: root, else what the type says.
    pub(super) fn behind(&self) -> ActorKind {
        let caller = self.caller();
        if self.is_root(caller) { ActorKind::Root } else { caller }
    }

    /// What the type says of the caller, whoever acts for it and whatever is behind it.
    fn caller(&self) -> ActorKind {
        match text(self.kind).as_deref() {
            Some("Root") => ActorKind::Root,
            Some("IAMUser") => ActorKind::IamUser,
            Some("AssumedRole") => ActorKind::AssumedRole,
            Some("FederatedUser") => ActorKind::FederatedUser,
            Some("SAMLUser") => ActorKind::SamlUser,
            Some("WebIdentityUser") => ActorKind::WebIdentityUser,
            Some("IdentityCenterUser") => ActorKind::IdentityCenterUser,
            Some("AWSService") => ActorKind::AwsService,
            Some("AWSAccount") => ActorKind::AwsAccount,
            Some("Role") => ActorKind::Role,
            Some("Directory") => ActorKind::Directory,
            // Until July 2025 Identity Center's own events called its users `Unknown`.
            None | Some("Unknown") if self.is_of_identity_center() => ActorKind::IdentityCenterUser,
            _ => ActorKind::Unknown,
        }
    }

    fn is_of_identity_center(&self) -> bool {
        says_something(self.on_behalf_of) || text(self.credential_id).is_some()
    }

    fn is_root(&self, caller: ActorKind) -> bool {
        let by_root = || text(self.issuer.kind).as_deref() == Some("Root");
        match caller {
            ActorKind::Root => true,
            ActorKind::FederatedUser if by_root() => true,
            _ => self.session.assumed_root.and_then(Json::flag_or_word) == Some(true),
        }
    }

    pub(super) fn name(&self) -> Option<Cow<'r, str>> {
        let from_arn = || part(text(self.arn), name_in_arn);
        let name = text(self.user_name).or_else(|| match self.caller() {
            ActorKind::AssumedRole | ActorKind::Role => text(self.issuer.user_name)
                .or_else(from_arn)
                .or_else(|| part(text(self.issuer.arn), name_in_arn)),
            ActorKind::FederatedUser => {
                from_arn().or_else(|| part(text(self.principal_id), behind_colon))
            }
            ActorKind::IdentityCenterUser => {
                self.on_behalf_of.and_then(|user| user.text_at(&["userId"])).or_else(from_arn)
            }
            ActorKind::AwsService => from_arn().or_else(|| text(self.invoked_by)),
            _ => from_arn(),
        });
        name.filter(|name| name != HIDDEN)
    }

    pub(super) fn arn(&self) -> Option<Cow<'r, str>> {
        text(self.arn)
    }

    pub(super) fn account_id(&self) -> Option<Cow<'r, str>> {
        text(self.account_id)
            .or_else(|| part(text(self.arn), account_in_arn))
            .or_else(|| text(self.issuer.account_id))
            .or_else(|| text(self.principal_id).filter(|id| is_account(id)))
    }

    /// By the type where it has but one kind, whatever the key looks like (AWS's own samples write
    /// `AKIA…` on a role); else by the key, whose first letters tell: see
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html>.
    pub(super) fn credentials(&self) -> Credentials {
        let key = text(self.access_key_id);
        let has_session =
            || says_something(self.session_context) || text(self.credential_id).is_some();
        match (self.caller(), key.as_deref().and_then(|key| key.get(..4))) {
            (
                ActorKind::AssumedRole | ActorKind::FederatedUser | ActorKind::IdentityCenterUser,
                _,
            ) => Credentials::Temporary,
            (_, Some("AKIA" | "ACCA")) => Credentials::LongTerm,
            (_, Some("ASIA" | "ABIA")) => Credentials::Temporary,
            (ActorKind::AwsService | ActorKind::AwsAccount, _) if key.is_none() => {
                Credentials::None
            }
            _ if has_session() => Credentials::Temporary,
            _ => Credentials::None,
        }
    }

    pub(super) fn mfa(&self) -> Option<bool> {
        self.session.mfa?.flag_or_word()
    }

    pub(super) fn session_name(&self) -> Option<Cow<'r, str>> {
        part(text(self.arn), session_in_arn).or_else(|| {
            let id = text(self.principal_id)?;
            let is_role = self.caller() == ActorKind::AssumedRole || id.starts_with("AROA");
            part(Some(id).filter(|_| is_role), behind_colon)
        })
    }

    pub(super) fn invoked_by(&self) -> Option<Cow<'r, str>> {
        text(self.invoked_by)
    }

    pub(super) fn source_identity(&self) -> Option<Cow<'r, str>> {
        text(self.session.source_identity)
    }

    /// An empty `webIdFederationData` is in many records of sessions that no token was given for.
    pub(super) fn web_identity_provider(&self) -> Option<Cow<'r, str>> {
        text(self.session.web_identity_provider)
    }
}

impl<'r> Session<'r> {
    fn read(context: Json<'r>) -> Self {
        let mut found = Self::default();
        for (name, value) in context.members() {
            match name.as_ref() {
                "assumedRoot" => found.assumed_root = Some(value),
                "sourceIdentity" => found.source_identity = Some(value),
                "attributes" => found.mfa = value.get("mfaAuthenticated"),
                "sessionIssuer" => found.issuer = Some(value),
                "webIdFederationData" => {
                    found.web_identity_provider = value.get("federatedProvider");
                }
                _ => {}
            }
        }
        found
    }
}

impl<'r> Issuer<'r> {
    fn read(issuer: Json<'r>) -> Self {
        let mut found = Self::default();
        for (name, value) in issuer.members() {
            match name.as_ref() {
                "type" => found.kind = Some(value),
                "userName" => found.user_name = Some(value),
                "arn" => found.arn = Some(value),
                "accountId" => found.account_id = Some(value),
                _ => {}
            }
        }
        found
    }
}

/// A string that is not empty.
fn text(value: Option<Json<'_>>) -> Option<Cow<'_, str>> {
    value?.text().filter(|text| !text.is_empty())
}

/// Whether it is an object that holds more than nulls.
fn says_something(value: Option<Json<'_>>) -> bool {
    let mut members = value.into_iter().flat_map(Json::members);
    members.any(|(_, value)| value.kind() != Kind::Null)
}

/// The part of the text that `find` finds, unless it is empty.
fn part<'r>(text: Option<Cow<'r, str>>, find: fn(&str) -> Option<&str>) -> Option<Cow<'r, str>> {
    let part = match text? {
        Cow::Borrowed(text) => Cow::Borrowed(find(text)?),
        Cow::Owned(text) => Cow::Owned(find(&text)?.to_owned()),
    };
    Some(part).filter(|part| !part.is_empty())
}

/// The last two of `arn:partition:service:region:account:resource`.
fn ends_of_arn(arn: &str) -> Option<(&str, &str)> {
    let mut parts = arn.strip_prefix("arn:")?.splitn(5, ':').skip(3);
    Some((parts.next()?, parts.next()?))
}

fn account_in_arn(arn: &str) -> Option<&str> {
    ends_of_arn(arn).map(|(account, _)| account).filter(|account| is_account(account))
}

/// `user/path/NAME`, `role/path/NAME`, `federated-user/NAME`, `assumed-role/NAME/session`, `root`.
fn name_in_arn(arn: &str) -> Option<&str> {
    let (_, resource) = ends_of_arn(arn)?;
    match resource.strip_prefix("assumed-role/") {
        Some(role) => role.split('/').next(),
        None => resource.rsplit(['/', ':']).next(),
    }
}

/// `assumed-role/name/SESSION`.
fn session_in_arn(arn: &str) -> Option<&str> {
    let (_, resource) = ends_of_arn(arn)?;
    let (_, session) = resource.strip_prefix("assumed-role/")?.rsplit_once('/')?;
    Some(session)
}

/// `AROA…:SESSION`, `account:NAME`.
fn behind_colon(principal_id: &str) -> Option<&str> {
    principal_id.split_once(':').map(|(_, name)| name)
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}
