//! `actor.kind` and its siblings: paths that are in no record, but derived from its `userIdentity`.

use trailsift_event::{Actor, ActorKind, ActorValue, Credentials, Identity, Json};

use crate::asked::{Asked, Value};
use crate::bits::Bits;

/// What a record has at each of [`Actor::PATHS`].
pub(crate) type Values<'r> = [Option<Json<'r>>; Actor::PATHS.len()];

/// The field of the actor that a path names, as [`Actor::FIELDS`] has it. No record has a member
/// `actor` of its own.
pub(crate) fn field(path: &str) -> Option<&'static str> {
    let wanted = path.strip_prefix("actor.")?;
    Actor::FIELDS.iter().find(|field| **field == wanted).copied()
}

/// Notes what the actor behind these values is of what is asked of its fields.
pub(crate) fn note(asked: &[(&str, Asked)], values: &Values<'_>, found: &mut Bits) {
    let identity = Identity::of_values(values);
    for (field, asked) in asked {
        identity.field(field, |value| match value {
            ActorValue::Text(text) => asked.note(&Value::Text(text.as_bytes()), found),
            ActorValue::Flag(flag) => asked.note(&Value::Bool(flag), found),
        });
    }
}

/// A name that stands in every record in which the field is there at all.
pub(crate) fn name_behind(field: &str) -> Option<&'static str> {
    match field {
        "mfa" => Some("mfaAuthenticated"),
        "invoked_by" => Some("invokedBy"),
        "source_identity" => Some("sourceIdentity"),
        _ => None,
    }
}

/// What a field holds whose words are ours, and so stand in no record.
pub(crate) enum Word {
    Kind(ActorKind),
    Credentials(Credentials),
}

impl Word {
    /// Every word that the field can hold; none for a field that holds the record's own texts.
    pub(crate) fn all_of(field: &str) -> Option<Vec<Self>> {
        match field {
            "kind" => Some(ActorKind::ALL.into_iter().map(Self::Kind).collect()),
            "credentials" => Some(Credentials::ALL.into_iter().map(Self::Credentials).collect()),
            _ => None,
        }
    }

    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Kind(kind) => kind.as_str(),
            Self::Credentials(credentials) => credentials.as_str(),
        }
    }

    /// Texts of which every record that it is derived from has one.
    pub(crate) fn evidence(&self) -> Option<&'static [&'static str]> {
        match self {
            Self::Kind(kind) => kind.evidence(),
            // Both are beginnings of keys. A session shows in too many ways.
            Self::Credentials(Credentials::LongTerm) => Some(&["AKIA", "ACCA"]),
            Self::Credentials(_) => None,
        }
    }
}
