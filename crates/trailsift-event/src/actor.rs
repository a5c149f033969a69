//! Who did it: the caller behind a record's `userIdentity`.

mod identity;

use std::borrow::Cow;

use crate::json::Json;
pub use identity::Identity;

/// Who did it, and with which kind of credentials. What the record does not say is `None`.
///
/// Every text in it is a string of `userIdentity` or a part of one, never put together: a record
/// that does not hold the text has no such actor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor<'r> {
    /// What kind of caller it is.
    pub kind: ActorKind,
    /// What kind of caller it is behind whatever service makes the call: as `kind`, but where that is
    /// [`ActorKind::AwsService`] whom the name, ARN, account and session are of. Not in the envelope.
    pub caller: ActorKind,
    /// The user's, role's or service's own name: `userName`, else what the ARN ends with, for a
    /// role's session the role. None where AWS hides what was typed into the field.
    pub name: Option<Cow<'r, str>>,
    /// The caller's ARN.
    pub arn: Option<Cow<'r, str>>,
    /// The account that the caller belongs to: twelve digits, or AWS's word for nobody's.
    pub account_id: Option<Cow<'r, str>>,
    /// The kind of credentials.
    pub credentials: Credentials,
    /// Whether the session was authenticated with MFA.
    pub mfa: Option<bool>,
    /// The name of the role session: often the person behind a role.
    pub session_name: Option<Cow<'r, str>>,
    /// The service that made the call, in its own name or for the caller. Where it is the console's
    /// sign-in (`signin.amazonaws.com`), the caller is the person who signed in.
    pub invoked_by: Option<Cow<'r, str>>,
    /// The person behind a role, as whoever assumed it had to state.
    pub source_identity: Option<Cow<'r, str>>,
    /// Who vouched for the session, where it was had for an identity provider's token:
    /// `accounts.google.com`, or the ARN of the account's own provider.
    pub web_identity_provider: Option<Cow<'r, str>>,
    /// The account of a provider of products that uses the caller's session by temporary delegation
    /// (`invokedByDelegate`). Not in the envelope.
    pub delegate_account_id: Option<Cow<'r, str>>,
}

/// What a field of an actor holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActorValue<'a> {
    /// A text, never empty.
    Text(&'a str),
    /// A boolean.
    Flag(bool),
}

/// What kind of caller it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ActorKind {
    /// The account's root user, or a session that root's credentials or powers are behind.
    Root,
    /// An IAM user.
    IamUser,
    /// A role that somebody or something assumed.
    AssumedRole,
    /// A session of `GetFederationToken`.
    FederatedUser,
    /// Whoever exchanged a SAML assertion for a role.
    SamlUser,
    /// Whoever exchanged an identity provider's token for a role.
    WebIdentityUser,
    /// A user of IAM Identity Center.
    IdentityCenterUser,
    /// An AWS service, in its own name or acting for a caller.
    AwsService,
    /// Another account.
    AwsAccount,
    /// A role that was not assumed by a session.
    Role,
    /// A user of a directory service.
    Directory,
    /// Nothing is known, or a type that is newer than this program.
    #[default]
    Unknown,
}

impl ActorKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Root,
        Self::IamUser,
        Self::AssumedRole,
        Self::FederatedUser,
        Self::SamlUser,
        Self::WebIdentityUser,
        Self::IdentityCenterUser,
        Self::AwsService,
        Self::AwsAccount,
        Self::Role,
        Self::Directory,
        Self::Unknown,
    ];

    /// Its name in events and configurations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::IamUser => "iam_user",
            Self::AssumedRole => "assumed_role",
            Self::FederatedUser => "federated_user",
            Self::SamlUser => "saml_user",
            Self::WebIdentityUser => "web_identity_user",
            Self::IdentityCenterUser => "identity_center_user",
            Self::AwsService => "aws_service",
            Self::AwsAccount => "aws_account",
            Self::Role => "role",
            Self::Directory => "directory",
            Self::Unknown => "unknown",
        }
    }

    /// Texts of which every record of such a caller has at least one in its `userIdentity`, as a
    /// string or a name in it. `None`: a record without any of them may be one.
    pub const fn evidence(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Root => Some(&["Root", "assumedRoot"]),
            Self::IamUser => Some(&["IAMUser"]),
            Self::AssumedRole => Some(&["AssumedRole"]),
            Self::FederatedUser => Some(&["FederatedUser"]),
            Self::SamlUser => Some(&["SAMLUser"]),
            Self::WebIdentityUser => Some(&["WebIdentityUser"]),
            Self::IdentityCenterUser => Some(&["IdentityCenterUser", "onBehalfOf", "credentialId"]),
            Self::AwsService => Some(&["invokedBy", "AWSService"]),
            Self::AwsAccount => Some(&["AWSAccount"]),
            Self::Role => Some(&["Role"]),
            Self::Directory => Some(&["Directory"]),
            Self::Unknown => None,
        }
    }
}

/// The kind of credentials that a call was signed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Credentials {
    /// An access key that lasts until it is deleted.
    LongTerm,
    /// Credentials of a session.
    Temporary,
    /// None that the record names.
    #[default]
    None,
}

impl Credentials {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::LongTerm, Self::Temporary, Self::None];

    /// Its name in events and configurations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LongTerm => "long_term",
            Self::Temporary => "temporary",
            Self::None => "none",
        }
    }
}

impl<'r> Actor<'r> {
    /// The fields of an actor as envelopes and selectors name them, in the envelope's order.
    pub const FIELDS: &'static [&'static str] = &[
        "kind",
        "name",
        "arn",
        "account_id",
        "credentials",
        "mfa",
        "session_name",
        "invoked_by",
        "source_identity",
    ];

    /// Every field of a record that an actor's [`FIELDS`](Self::FIELDS) and its web identity's provider
    /// depend on, from the record's top. Where one is twice in its object, the last counts. Of
    /// `sessionContext` and `onBehalfOf` themselves it counts whether they hold anything.
    pub const PATHS: &'static [&'static str] = identity::PATHS;

    /// The caller that this `userIdentity` describes. Total: whatever the value is, there is an
    /// answer.
    pub fn of(identity: Json<'r>) -> Self {
        let delegate_account_id = identity.text_at(&["invokedByDelegate", "accountId"]);
        let identity = Identity::read(identity);
        Self {
            delegate_account_id,
            kind: identity.kind(),
            caller: identity.behind(),
            name: identity.name(),
            arn: identity.arn(),
            account_id: identity.account_id(),
            credentials: identity.credentials(),
            mfa: identity.mfa(),
            session_name: identity.session_name(),
            invoked_by: identity.invoked_by(),
            source_identity: identity.source_identity(),
            web_identity_provider: identity.web_identity_provider(),
        }
    }

    /// The field of this name, one of [`Actor::FIELDS`]; `None` also where the record does not say.
    pub fn field(&self, name: &str) -> Option<ActorValue<'_>> {
        let text = match name {
            "kind" => Some(self.kind.as_str()),
            "name" => self.name.as_deref(),
            "arn" => self.arn.as_deref(),
            "account_id" => self.account_id.as_deref(),
            "credentials" => Some(self.credentials.as_str()),
            "mfa" => return self.mfa.map(ActorValue::Flag),
            "session_name" => self.session_name.as_deref(),
            "invoked_by" => self.invoked_by.as_deref(),
            "source_identity" => self.source_identity.as_deref(),
            _ => None,
        };
        text.map(ActorValue::Text)
    }
}
