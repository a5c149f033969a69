//! `event.category` and `event.type`: what kind of event it is, in the schema's words.

use trailsift_event::{Activity, Operation};

/// Category and types. What the integration classifies (IAM, sign-ins, buckets) is classified as it
/// does; any other call is an event of an API.
pub(super) fn of(source: &str, operation: &Operation<'_>) -> (&'static str, Vec<&'static str>) {
    let name = operation.name.as_deref().unwrap_or_default();
    let kind = kind(operation.activity);
    match (source, name) {
        ("signin.amazonaws.com", _) => ("authentication", vec!["info"]),
        ("sts.amazonaws.com", _) if name.starts_with("AssumeRole") => {
            ("authentication", vec!["info"])
        }
        ("s3.amazonaws.com", "CreateBucket" | "DeleteBucket") => ("file", vec![kind]),
        ("ec2.amazonaws.com", "CreateKeyPair") => ("iam", vec!["admin", "creation"]),
        ("iam.amazonaws.com", _) => ("iam", of_iam(name, operation.activity)),
        _ => ("api", vec![kind]),
    }
}

/// Whose account an operation of IAM is about, and what it does to it: what belongs to a user or a
/// group comes and goes as a change of theirs.
fn of_iam(name: &str, activity: Activity) -> Vec<&'static str> {
    const OF_USERS: &[&str] =
        &["User", "AccessKey", "MFADevice", "LoginProfile", "SSHPublicKey", "ChangePassword"];
    let holder = match name {
        _ if name.contains("Group") => "group",
        _ if OF_USERS.iter().any(|part| name.contains(part)) => "user",
        _ => "admin",
    };
    let is_itself = matches!(name, "CreateUser" | "DeleteUser" | "CreateGroup" | "DeleteGroup");
    let kind = match activity {
        Activity::Read => "info",
        _ if holder == "admin" || is_itself => kind(activity),
        _ => "change",
    };
    vec![holder, kind]
}

fn kind(activity: Activity) -> &'static str {
    match activity {
        Activity::Create => "creation",
        Activity::Update => "change",
        Activity::Delete => "deletion",
        Activity::Read | Activity::Other => "info",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_classified_as_the_integration_does_and_others_as_calls_of_an_api() {
        use Activity::{Create, Delete, Other, Read, Update};
        for (source, name, activity, category, kinds) in [
            ("iam", "AddUserToGroup", Update, "iam", &["group", "change"][..]),
            ("iam", "AttachUserPolicy", Update, "iam", &["user", "change"]),
            ("iam", "ChangePassword", Update, "iam", &["user", "change"]),
            ("iam", "CreateAccessKey", Create, "iam", &["user", "change"]),
            ("iam", "CreateGroup", Create, "iam", &["group", "creation"]),
            ("iam", "CreateUser", Create, "iam", &["user", "creation"]),
            ("iam", "CreateVirtualMFADevice", Create, "iam", &["user", "change"]),
            ("iam", "DeactivateMFADevice", Other, "iam", &["user", "change"]),
            ("iam", "DeleteGroupPolicy", Delete, "iam", &["group", "change"]),
            ("iam", "DeleteUser", Delete, "iam", &["user", "deletion"]),
            ("iam", "ListGroupsForUser", Read, "iam", &["group", "info"]),
            ("iam", "GetUserPolicy", Read, "iam", &["user", "info"]),
            ("iam", "UpdateAccountPasswordPolicy", Update, "iam", &["admin", "change"]),
            ("iam", "CreateRole", Create, "iam", &["admin", "creation"]),
            ("ec2", "CreateKeyPair", Create, "iam", &["admin", "creation"]),
            ("s3", "CreateBucket", Create, "file", &["creation"]),
            ("s3", "DeleteBucket", Delete, "file", &["deletion"]),
            ("s3", "GetObject", Read, "api", &["info"]),
            ("sts", "AssumeRoleWithSAML", Other, "authentication", &["info"]),
            ("sts", "GetCallerIdentity", Read, "api", &["info"]),
            ("signin", "ConsoleLogin", Other, "authentication", &["info"]),
            ("codeguru-reviewer", "AssociateRepository", Create, "api", &["creation"]),
            ("codeguru-reviewer", "DisassociateRepository", Delete, "api", &["deletion"]),
        ] {
            let operation = Operation {
                name: Some(name.into()),
                activity,
                read_only: None,
                resources: Vec::new(),
            };
            let said = of(&format!("{source}.amazonaws.com"), &operation);
            assert_eq!(said, (category, kinds.to_vec()), "{name}");
        }
    }
}
