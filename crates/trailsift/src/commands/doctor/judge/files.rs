use std::time::{Duration, SystemTime};

use trailsift_aws::diagnosis::{ObjectFacts, Refusal};
use trailsift_core::StoreError;

use crate::commands::doctor::files::{Digests, Found};
use crate::commands::doctor::line::Line;
use crate::config::duration_text;

/// CloudTrail writes about every five minutes where anything happens at all.
const OLD: Duration = Duration::from_secs(6 * 60 * 60);

const FILES: &str = "files";
const READ: &str = "read";
const DIGEST: &str = "digest";

/// Whether trail files arrive.
pub(in crate::commands::doctor) fn files(
    asked: &Result<Found, Refusal>,
    prefix: &str,
    now: SystemTime,
) -> Line {
    let below = match prefix {
        "" => "in the bucket".to_owned(),
        prefix => format!("below \"{}\"", prefix.escape_debug()),
    };
    let found = match asked {
        Ok(found) => found,
        Err(Refusal::Denied(said)) => {
            return Line::warn(
                FILES,
                format!("cannot tell whether files arrive, nor read one: {said}"),
                "allow s3:ListBucket on the bucket to whoever runs doctor. run does without, but then S3 answers 403 \
                 for a missing file too, and nobody can tell missing from denied",
            );
        }
        Err(refusal) => {
            let text = format!("cannot tell whether files arrive: {refusal}");
            return Line::warn(FILES, text, "see the lines above");
        }
    };
    let Some(newest) = &found.newest else {
        let (looked, remedy) = match found.complete {
            true => (
                "there is no trail file",
                "see that a trail writes to this bucket, that it is logging (aws cloudtrail get-trail-status), and that \
             `prefix` is the one under which it writes",
            ),
            false => (
                "doctor found no trail file, and did not look everywhere",
                "narrow `prefix` in `buckets`, or see yourself that a trail writes there",
            ),
        };
        return Line::warn(FILES, format!("{looked} {below}"), remedy);
    };
    let age = newest.modified.and_then(|at| now.duration_since(at).ok()).unwrap_or_default();
    // Nobody needs its seconds, nor after two hours its minutes.
    let unit = if age.as_secs() < 7200 { 60 } else { 3600 };
    let age = Duration::from_secs(age.as_secs() / unit * unit);
    let text = match age.is_zero() {
        true => "less than a minute old".to_owned(),
        false => format!("{} old", duration_text(age)),
    };
    if age > OLD {
        let which = if found.complete {
            "the newest trail file"
        } else {
            "the newest trail file that doctor found"
        };
        return Line::warn(
            FILES,
            format!("{which} {below} is {text}"),
            "see that the trail is logging (aws cloudtrail get-trail-status); in an account where nothing happens this is \
             as it should be",
        );
    }
    Line::ok(FILES, format!("a trail file {below} is {text}"))
}

/// Whether one of the files can be read, key of KMS and all.
pub(in crate::commands::doctor) fn reading(
    key: &str,
    asked: &Result<ObjectFacts, StoreError>,
) -> Line {
    let key = key.escape_debug();
    match asked {
        Ok(facts) if facts.begins.starts_with(&[0x1f, 0x8b]) => {
            let how = match (&facts.kms_key, facts.encryption.as_deref()) {
                (Some(kms_key), _) => format!("; it is encrypted with {kms_key}, which we may use"),
                (None, Some(encryption)) => format!("; it is encrypted with {encryption}"),
                (None, None) => String::new(),
            };
            Line::ok(READ, format!("{key} can be read{how}"))
        }
        Ok(_) => Line::warn(
            READ,
            format!(
                "{key} can be read, but is not compressed with gzip, as CloudTrail's own files are"
            ),
            "find out who put it there; it is read all the same",
        ),
        Err(error) => {
            let remedy = match error {
                StoreError::KmsDenied(_) => {
                    "allow kms:Decrypt on the key that the trail encrypts with, in our policy and in the key's own"
                }
                StoreError::Denied(_) => {
                    "allow s3:GetObject (and s3:GetObjectVersion on a versioned bucket) on the bucket's keys, in our policy \
                     and, from another account, in the bucket's too"
                }
                StoreError::WrongOwner { .. } => "see the line about the owner",
                StoreError::WrongRegion { .. } => {
                    "name the bucket's region in its entry of `buckets`"
                }
                StoreError::NotFound(_) => {
                    "a lifecycle rule may have removed it just now: run doctor again"
                }
                StoreError::Archived(_) => {
                    "let the lifecycle rule leave files in a class that can be read at once for two weeks at least"
                }
                _ => {
                    "run doctor again; if it stays so, see the network between this machine and S3"
                }
            };
            Line::fail(READ, format!("{key} cannot be read: {error}"), remedy)
        }
    }
}

/// Whether CloudTrail writes digests: the proof that no file was changed or removed.
pub(in crate::commands::doctor) fn digests(found: &Found) -> Option<Line> {
    Some(match &found.digests {
        Digests::NotAsked => return None,
        Digests::Seen => Line::ok(DIGEST, "digest files of the last day are there"),
        Digests::None(folder) => Line::warn(
            DIGEST,
            format!(
                "there is no digest file of the last day below {}: without them nobody can prove that no file was changed \
                 or removed",
                folder.escape_debug()
            ),
            "enable log file validation: aws cloudtrail update-trail --name TRAIL --enable-log-file-validation",
        ),
    })
}
