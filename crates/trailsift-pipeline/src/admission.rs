use std::collections::BTreeSet;

use trailsift_core::{LogFile, Reason};
use trailsift_trail::{KeyClass, LogKind, NotifiedObject, bucket_name_is_legal, classify};

/// One bucket that an account may read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedBucket {
    /// Its name.
    pub name: String,
    /// The account that must own it; sent along with every request.
    pub owner: Option<String>,
    /// What the key must begin with; empty allows every key.
    pub prefix: String,
    /// The accounts that the key may name.
    pub accounts: AllowedKeys,
}

/// The accounts whose files are read, as the object key names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedKeys {
    /// Every account's.
    Any,
    /// These accounts' only.
    Only(BTreeSet<String>),
}

/// What becomes of a notified object, decided before any request is made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is to be read.
    Read(LogFile),
    /// It is none of our business: acknowledge and count it under this name.
    Skip(&'static str),
    /// It should never have been sent here: park it, and never ask S3 for it.
    Refuse(Reason, String),
}

/// Decides by bucket, prefix, account and kind alone.
///
/// A bucket that is not listed is refused rather than skipped: whoever sends its name wants us to
/// read (or to believe) something that the operator did not allow.
pub(crate) fn admit(object: &NotifiedObject, buckets: &[AllowedBucket]) -> Admission {
    if !bucket_name_is_legal(&object.bucket) {
        return Admission::Refuse(
            Reason::BucketNotAllowed,
            "the notification names no legal bucket name".into(),
        );
    }
    let mut listed = buckets.iter().filter(|bucket| bucket.name == object.bucket).peekable();
    if listed.peek().is_none() {
        return Admission::Refuse(
            Reason::BucketNotAllowed,
            format!("bucket {} is not in this account's `buckets`", object.bucket),
        );
    }
    let in_prefix: Vec<_> =
        listed.filter(|bucket| object.key.starts_with(&bucket.prefix)).collect();
    if in_prefix.is_empty() {
        return Admission::Skip("prefix_not_allowed");
    }
    let key = match classify(&object.key) {
        KeyClass::Folder => return Admission::Skip("folder_marker"),
        KeyClass::Foreign => return Admission::Skip("key_mismatch"),
        KeyClass::Trail(key) => key,
    };
    let allowed = in_prefix.into_iter().find(|bucket| match &bucket.accounts {
        AllowedKeys::Any => true,
        AllowedKeys::Only(accounts) => accounts.contains(key.account),
    });
    let Some(allowed) = allowed else { return Admission::Skip("account_not_allowed") };
    if key.kind != LogKind::CloudTrail {
        return Admission::Skip(key.kind.as_str());
    }
    Admission::Read(LogFile {
        bucket: object.bucket.clone(),
        key: object.key.clone(),
        version_id: object.version_id.clone(),
        expected_owner: allowed.owner.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "logs/AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/20/\
                       111122223333_CloudTrail_us-east-1_20261120T1005Z_abcdefghijklmnop.json.gz";

    fn bucket(prefix: &str, accounts: &[&str]) -> AllowedBucket {
        AllowedBucket {
            name: "org-trail".into(),
            owner: Some("999988887777".into()),
            prefix: prefix.into(),
            accounts: if accounts == ["*"] {
                AllowedKeys::Any
            } else {
                AllowedKeys::Only(accounts.iter().map(ToString::to_string).collect())
            },
        }
    }

    fn decide(bucket_name: &str, key: &str, buckets: &[AllowedBucket]) -> Admission {
        let object = NotifiedObject {
            bucket: bucket_name.into(),
            key: key.into(),
            version_id: Some("v1".into()),
            etag: None,
            size: None,
            event_time: None,
            replay: None,
        };
        admit(&object, buckets)
    }

    #[test]
    fn an_allowed_log_file_is_read_with_its_version_and_owner() {
        let Admission::Read(file) = decide("org-trail", KEY, &[bucket("", &["*"])]) else {
            panic!("admitted")
        };
        assert_eq!((file.key.as_str(), file.version_id.as_deref()), (KEY, Some("v1")));
        assert_eq!(file.expected_owner.as_deref(), Some("999988887777"));
    }

    #[test]
    fn an_unlisted_bucket_is_refused_and_everything_else_is_skipped() {
        let any = [bucket("", &["*"])];
        for name in ["evil", "org-trail.evil.com/", "arn:aws:s3:::org-trail", "", "ORG-TRAIL"] {
            assert!(
                matches!(decide(name, KEY, &any), Admission::Refuse(Reason::BucketNotAllowed, _)),
                "{name}"
            );
        }
        let table = [
            (KEY, bucket("other/", &["*"]), "prefix_not_allowed"),
            (KEY, bucket("", &["444455556666"]), "account_not_allowed"),
            ("logs/README.txt", bucket("", &["*"]), "key_mismatch"),
            ("logs/", bucket("", &["*"]), "folder_marker"),
            ("logs/../AWSLogs/x.json.gz", bucket("", &["*"]), "key_mismatch"),
        ];
        for (key, allowed, skip) in table {
            assert_eq!(decide("org-trail", key, &[allowed]), Admission::Skip(skip), "{key}");
        }
    }

    #[test]
    fn f37_only_files_of_events_are_read_and_the_others_are_named_by_their_kind() {
        for (folder, kind) in [
            ("CloudTrail-Digest", "digest"),
            ("CloudTrail-Insight", "insight"),
            ("CloudTrail-NetworkActivity", "network_activity"),
            ("CloudTrail-Aggregated", "aggregated"),
            ("CloudTrail-Tomorrow", "unknown"),
            ("vpcflowlogs", "unknown"),
        ] {
            let key = KEY.replace("/CloudTrail/", &format!("/{folder}/"));
            assert_ne!(key, KEY);
            let decided = decide("org-trail", &key, &[bucket("", &["*"])]);
            assert_eq!(decided, Admission::Skip(kind), "{folder}");
        }
    }

    #[test]
    fn f38_a_trail_whose_prefix_ends_with_a_slash_is_read() {
        let key = KEY.replace("logs/", "logs//");
        assert_ne!(key, KEY);
        for prefix in ["", "logs", "logs/", "logs//"] {
            let decided = decide("org-trail", &key, &[bucket(prefix, &["111122223333"])]);
            assert!(matches!(decided, Admission::Read(file) if file.key == key), "{prefix}");
        }
    }

    #[test]
    fn f115_f116_no_name_but_a_listed_one_is_ever_asked_for() {
        let any = [bucket("", &["*"])];
        for name in [
            "https://evil.com/org-trail",
            "arn:aws:s3:us-east-1:111122223333:accesspoint/org-trail",
            "arn:aws:s3-object-lambda:us-east-1:111122223333:accesspoint/x",
            "org-trail/",
            "org-trail/AWSLogs",
            "org-trail?x=",
            "org-trail#",
            "org-trail@evil.com",
            "org-trail\n",
            "org-trail\0",
            "org-trail.",
            "169.254.169.254",
            "localhost",
            "org_trail",
            "org-trail--x-s3",
            "org-trai",
            "org-trail2",
        ] {
            let decided = decide(name, KEY, &any);
            assert!(matches!(decided, Admission::Refuse(Reason::BucketNotAllowed, _)), "{name}");
        }
        // Whatever is listed elsewhere: prefix and account must be those of one and the same entry.
        let split = [bucket("a/", &["111122223333"]), bucket("logs/", &["444455556666"])];
        assert_eq!(decide("org-trail", KEY, &split), Admission::Skip("account_not_allowed"));
    }

    #[test]
    fn one_bucket_may_be_listed_for_several_prefixes() {
        let buckets = [bucket("a/", &["*"]), bucket("logs/", &["111122223333"])];
        assert!(matches!(decide("org-trail", KEY, &buckets), Admission::Read(_)));
    }
}
