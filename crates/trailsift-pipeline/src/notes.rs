use trailsift_core::LogFile;
use trailsift_trail::{Counts, Traits};

use crate::quarantine::Parcel;
use crate::service::Lane;

/// The note of a file with selected records of another major version than the known one.
const UNKNOWN_MAJOR: &str = "unknown_major";

impl Lane {
    /// Counts what was unusual about a file that is settled, and says aloud what a person should
    /// look into. Nothing of it kept a record from being delivered, but for what follows the
    /// compressed stream where that is rejected.
    pub(crate) fn note(&self, file: &LogFile, traits: Traits, counts: &Counts, was_read: bool) {
        let account = self.account.name.as_str();
        let metrics = &self.shared.metrics;
        for trailing in traits.trailing() {
            metrics.gzip_trailing.with_label_values(&[trailing.as_str()]).inc();
        }
        if !was_read {
            return;
        }
        for note in traits.notes() {
            metrics.files_noted.with_label_values(&[account, note]).inc();
        }
        for (field, count) in
            [("recipientAccountId", counts.other_account), ("awsRegion", counts.other_region)]
        {
            if count > 0 {
                metrics.mismatches.with_label_values(&[account, field]).inc_by(count);
            }
        }
        if traits.is_suspect {
            tracing::warn!(
                account,
                s3.bucket = file.bucket,
                s3.key = %file.key.escape_debug(),
                "several compressed streams in one file were read as one: some readers see the first only"
            );
        }
        if counts.unknown_major > 0 {
            metrics.files_noted.with_label_values(&[account, UNKNOWN_MAJOR]).inc();
            tracing::warn!(
                account,
                s3.bucket = file.bucket,
                s3.key = %file.key.escape_debug(),
                records = counts.unknown_major,
                "delivered, but their eventVersion is not 1.x: fields may have another meaning"
            );
        }
    }
}

/// Says that somebody announces objects of a bucket that the account does not list: who may send to
/// the queue is then too many, or the list too short. Said before it is parked, since under the
/// queue's redrive policy it never is.
pub(crate) fn warn_of_refused(parcel: &Parcel<'_>) {
    tracing::error!(
        account = parcel.account,
        sqs.message_id = %parcel.message.id,
        sqs.sender_id = parcel.message.sender_id.as_deref(),
        s3.bucket = %parcel.bucket.unwrap_or_default().escape_debug(),
        s3.key = %parcel.key.unwrap_or_default().escape_debug(),
        error = %parcel.error.escape_debug(),
        "security: a notification names a bucket that is not in this account's `buckets`"
    );
}
