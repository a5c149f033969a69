//! What was done, and to what.

use std::borrow::Cow;

use crate::event::Event;

/// What was done, and to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<'r> {
    /// `eventName`.
    pub name: Option<Cow<'r, str>>,
    /// What kind of thing it does.
    pub activity: Activity,
    /// Whether it only reads: what the record says, else what is known of the operation.
    pub read_only: Option<bool>,
    /// What it concerns, the most telling first.
    pub resources: Vec<Resource<'r>>,
}

/// What kind of thing an operation does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Activity {
    /// Something comes into being.
    Create,
    /// Something is looked at.
    Read,
    /// Something is changed.
    Update,
    /// Something goes away.
    Delete,
    /// Something else, or nobody knows.
    #[default]
    Other,
}

/// Something that an operation concerns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource<'r> {
    /// What it is, as CloudFormation names types where it has one: `AWS::S3::Bucket`.
    pub kind: Option<Cow<'r, str>>,
    /// Its name or id.
    pub name: Option<Cow<'r, str>>,
    /// Its ARN.
    pub arn: Option<Cow<'r, str>>,
    /// The account that owns it.
    pub account_id: Option<Cow<'r, str>>,
    /// Who hosts it, of a repository: `CodeCommit`, `GitHub`, `Bitbucket` …
    pub provider: Option<Cow<'r, str>>,
}

impl<'r> Operation<'r> {
    /// What this event did.
    pub fn of(event: &Event<'r>) -> Self {
        Self {
            name: event.text("eventName"),
            activity: Activity::default(),
            read_only: event.get("readOnly").and_then(|it| it.flag()),
            resources: Vec::new(),
        }
    }
}
