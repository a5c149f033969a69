//! What was done, and to what.

mod listed;
mod verb;

use std::borrow::Cow;

use crate::event::Event;
use crate::json::Json;
use crate::reviewer;

/// How many resources of a kind, and of those that the record itself lists, are told. Real calls
/// concern no more than some hundreds.
pub(crate) const MOST_RESOURCES: usize = 1_000;

/// What was done, and to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<'r> {
    /// `eventName`.
    pub name: Option<Cow<'r, str>>,
    /// What kind of thing it does: by what is known of the operation, else by the verb that its name
    /// begins with. Never at odds with what the record says of `readOnly`.
    pub activity: Activity,
    /// Whether it only reads: what the record says, else what is known of the operation. A verb is
    /// no proof, so of other services' operations it is not known.
    pub read_only: Option<bool>,
    /// What it concerns, the most telling first: what parameters and response of CodeGuru Reviewer
    /// name, then the record's `resources`. Each has a name or an ARN. A record may have room for a
    /// hundred thousand: of each kind, and of the record's own list, no more than 1,000 are told.
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

/// Something that an operation concerns. Every name, ARN, account and owner is a string of the
/// record, part of one, or what a percent-encoded one says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource<'r> {
    /// What it is, as the record or CloudFormation names its type (`AWS::S3::Bucket`); what
    /// CloudFormation has no name for is a `CodeReview`, a `Recommendation` or a `Repository`.
    pub kind: Option<Cow<'r, str>>,
    /// Its name or id.
    pub name: Option<Cow<'r, str>>,
    /// Its ARN.
    pub arn: Option<Cow<'r, str>>,
    /// The account that owns it.
    pub account_id: Option<Cow<'r, str>>,
    /// Who hosts it, of a repository: `CodeCommit`, `GitHub`, `Bitbucket`, `GitHubEnterpriseServer`,
    /// `S3Bucket`, in this spelling whichever the record has, or one that is new.
    pub provider: Option<Cow<'r, str>>,
    /// Whose it is at its host, of a repository: an account, an organization, a user.
    pub owner: Option<Cow<'r, str>>,
}

impl<'r> Operation<'r> {
    /// What this event did.
    pub fn of(event: &Event<'r>) -> Self {
        let name = event.text("eventName");
        let act = reviewer::Act::of(event);
        let said = event.get("readOnly").and_then(Json::flag_or_word);
        let likely = match act {
            Some(act) => act.activity(),
            None => name.as_deref().map_or(Activity::Other, verb::activity),
        };
        let activity = match said {
            Some(true) => Activity::Read,
            Some(false) if likely == Activity::Read => Activity::Other,
            _ => likely,
        };
        let mut resources = reviewer::resources(event, act);
        listed::add(event, &mut resources);
        let read_only = said.or(act.map(|act| act.activity() == Activity::Read));
        Self { name, activity, read_only, resources }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_records_word_on_reading_stands_above_every_guess() {
        for (source, name, said, activity, read_only) in [
            ("cloudtrail", "CreateTrail", "null", Activity::Create, None),
            ("cloudtrail", "CreateTrail", "false", Activity::Create, Some(false)),
            ("ec2", "CreateTrail", "true", Activity::Read, Some(true)),
            ("kms", "Decrypt", "true", Activity::Read, Some(true)),
            ("kms", "Decrypt", r#""true""#, Activity::Read, Some(true)),
            ("kms", "Decrypt", "1", Activity::Other, None),
            ("sts", "GetSessionToken", "null", Activity::Read, None),
            ("sts", "GetSessionToken", "false", Activity::Other, Some(false)),
            ("codeguru-reviewer", "ListCodeReviews", "null", Activity::Read, Some(true)),
            ("codeguru-reviewer", "ListCodeReviews", "false", Activity::Other, Some(false)),
            ("codeguru-reviewer", "AssociateRepository", "null", Activity::Create, Some(false)),
            ("codeguru-security", "AssociateRepository", "null", Activity::Update, None),
            ("codeguru-reviewer", "GetSomethingNew", "null", Activity::Read, None),
        ] {
            let record = format!(
                r#"{{"eventSource":"{source}.amazonaws.com","eventName":"{name}","readOnly":{said}}}"#
            );
            let operation = Event::new(record.as_bytes()).operation();
            assert_eq!(
                (operation.activity, operation.read_only),
                (activity, read_only),
                "{record}"
            );
            assert_eq!(operation.name.as_deref(), Some(name));
        }
    }
}
