//! Who did it: the caller behind a record's `userIdentity`.

use std::borrow::Cow;

use crate::json::Json;

/// Who did it, and with which kind of credentials. What the record does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor<'r> {
    /// What kind of caller it is.
    pub kind: ActorKind,
    /// The user's, role's or service's own name.
    pub name: Option<Cow<'r, str>>,
    /// The caller's ARN.
    pub arn: Option<Cow<'r, str>>,
    /// The account that the caller belongs to.
    pub account_id: Option<Cow<'r, str>>,
    /// The kind of credentials.
    pub credentials: Credentials,
    /// Whether the session was authenticated with MFA.
    pub mfa: Option<bool>,
    /// The name of the role session: often the person behind a role.
    pub session_name: Option<Cow<'r, str>>,
    /// The service that made the call, in its own name or for the caller.
    pub invoked_by: Option<Cow<'r, str>>,
    /// The person behind a role, as whoever assumed it had to state.
    pub source_identity: Option<Cow<'r, str>>,
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
    /// The caller that this `userIdentity` describes. Total: whatever the value is, there is an
    /// answer.
    pub fn of(identity: Json<'r>) -> Self {
        Self { arn: identity.text_at(&["arn"]), ..Self::default() }
    }
}
