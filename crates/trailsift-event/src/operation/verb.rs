//! What the first word of an operation's name promises. Only what is certain: whether `StartQuery`
//! changes anything, or `PutObject` creates or replaces, its name does not say.

use super::Activity;

const VERBS: &[(Activity, &[&str])] = &[
    (Activity::Read, &["Get", "List", "Describe", "Head", "Lookup", "Search", "Select", "Scan"]),
    (Activity::Create, &["Create", "Allocate", "Register", "Copy", "Clone"]),
    (
        Activity::Update,
        &[
            "Update",
            "Modify",
            "Put",
            "Set",
            "Change",
            "Rename",
            "Tag",
            "Untag",
            "Enable",
            "Disable",
            "Attach",
            "Detach",
            "Associate",
            "Disassociate",
            "Add",
            "Remove",
            "Authorize",
            "Revoke",
        ],
    ),
    (Activity::Delete, &["Delete", "Deregister", "Terminate", "Release", "Purge"]),
];

/// Operations that keep to no verb, or not to theirs.
const EXCEPTIONS: &[(Activity, &[&str])] = &[
    (Activity::Create, &["RunInstances", "RunTask"]),
    (
        Activity::Other,
        &[
            "PutEvents",
            "PutImage",
            "PutItem",
            "PutLogEvents",
            "PutMetricData",
            "PutObject",
            "PutRecord",
            "PutRecordBatch",
            "PutRecords",
        ],
    ),
];

/// What an operation of this name does, by its verb: `Create` of `CreateTrail`, `Get` of
/// `BatchGetImage` and `AdminGetUser`.
pub(super) fn activity(name: &str) -> Activity {
    if let Some((activity, _)) = EXCEPTIONS.iter().find(|(_, names)| names.contains(&name)) {
        return *activity;
    }
    let name = behind(name, "Batch").or_else(|| behind(name, "Admin")).unwrap_or(name);
    let of_verb =
        VERBS.iter().find(|(_, verbs)| verbs.iter().any(|verb| behind(name, verb).is_some()));
    of_verb.map_or(Activity::Other, |(activity, _)| *activity)
}

/// What stands behind this word, if the name begins with it: `Set` is no word of `Setup`.
fn behind<'n>(name: &'n str, word: &str) -> Option<&'n str> {
    name.strip_prefix(word).filter(|rest| !rest.starts_with(|c: char| c.is_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_is_a_whole_word_and_others_promise_nothing() {
        for (name, expected) in [
            ("GetObject", Activity::Read),
            ("ListFunctions20150331", Activity::Read),
            ("BatchGetImage", Activity::Read),
            ("AdminGetUser", Activity::Read),
            ("Scan", Activity::Read),
            ("CreateTrail", Activity::Create),
            ("RunInstances", Activity::Create),
            ("RunQuery", Activity::Other),
            ("AdminCreateUser", Activity::Create),
            ("PutRolePolicy", Activity::Update),
            ("PutObject", Activity::Other),
            ("UntagResource", Activity::Update),
            ("DeleteTrail", Activity::Delete),
            ("DeregisterImage", Activity::Delete),
            ("StartQuery", Activity::Other),
            ("ConsoleLogin", Activity::Other),
            ("Setup", Activity::Other),
            ("Listen", Activity::Other),
            ("createTrail", Activity::Other),
            ("Batch", Activity::Other),
            ("", Activity::Other),
            ("GetÄnderung", Activity::Read),
        ] {
            assert_eq!(activity(name), expected, "{name}");
        }
    }
}
