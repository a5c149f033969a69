/// Why something was parked in the quarantine.
///
/// A closed set: it is a metric label and a field of every quarantine line, so operators alert and
/// search on these words. Add to it freely; never rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// The message body is no notification that trailsift knows.
    BadNotification,
    /// An object key in a form-encoded notification does not decode.
    BadKeyEncoding,
    /// The notification names a bucket that this account does not list, or no legal bucket name.
    BucketNotAllowed,
    /// The object is not there (or was deleted before it was read).
    ObjectMissing,
    /// The notified version is a delete marker or was deleted.
    DeletedVersion,
    /// S3 refuses to let us read the object.
    AccessDenied,
    /// The object is in an archive tier and would have to be restored first.
    Archived,
    /// The bucket answers from another region than the configured one.
    WrongRegion,
    /// The bucket belongs to another account than the configured owner.
    BucketOwnerMismatch,
    /// What S3 sends does not match the checksum that S3 names, however often it was tried.
    ChecksumMismatch,
    /// The object could not be read however often it was tried.
    Unreadable,
    /// The object has no bytes.
    EmptyObject,
    /// The compressed stream ends before its end.
    GzipTruncated,
    /// The compressed stream is damaged: checksum, length or coding.
    GzipCrc,
    /// More bytes follow the first gzip member.
    GzipTrailingMember,
    /// The object inflates beyond `max_inflated`.
    TooLarge,
    /// The object is compressed with something other than gzip or zstd.
    UnsupportedCodec,
    /// The object inflates to nothing but white space.
    EmptyJson,
    /// What the object holds is not JSON.
    NotJson,
    /// The JSON document is not an object.
    ToplevelType,
    /// There is no `Records` key, or it is null.
    NoRecords,
    /// `Records` is not an array.
    RecordsType,
    /// There is more than one `Records` key.
    DuplicateRecordsKey,
    /// Bytes follow the JSON document.
    TrailingJson,
    /// The structure of the document is lost: what follows cannot be split into records.
    StructureLost,
    /// A record is not well-formed JSON.
    RecordSyntax,
    /// A record is not an object.
    RecordType,
    /// A record names a field that routes look at more than once.
    DuplicateKey,
    /// `eventSource` is not a string.
    EventSourceType,
    /// A record is nested too deeply.
    TooDeep,
    /// A record is larger than `max_record`.
    RecordTooLarge,
    /// A record is not UTF-8.
    InvalidUtf8,
    /// So many records of a file cannot be read that the rest of them are parked as one: the file.
    TooManyBadRecords,
    /// A sink refuses the event for good.
    SinkRejected,
    /// The event is larger than a sink takes.
    SinkRecordTooLarge,
    /// Working on the message panicked again and again.
    Panic,
}

impl Reason {
    /// Every reason, for whoever must know all of them before one occurs.
    pub const ALL: &'static [Self] = &[
        Self::BadNotification,
        Self::BadKeyEncoding,
        Self::BucketNotAllowed,
        Self::ObjectMissing,
        Self::DeletedVersion,
        Self::AccessDenied,
        Self::Archived,
        Self::WrongRegion,
        Self::BucketOwnerMismatch,
        Self::ChecksumMismatch,
        Self::Unreadable,
        Self::EmptyObject,
        Self::GzipTruncated,
        Self::GzipCrc,
        Self::GzipTrailingMember,
        Self::TooLarge,
        Self::UnsupportedCodec,
        Self::EmptyJson,
        Self::NotJson,
        Self::ToplevelType,
        Self::NoRecords,
        Self::RecordsType,
        Self::DuplicateRecordsKey,
        Self::TrailingJson,
        Self::StructureLost,
        Self::RecordSyntax,
        Self::RecordType,
        Self::DuplicateKey,
        Self::EventSourceType,
        Self::TooDeep,
        Self::RecordTooLarge,
        Self::InvalidUtf8,
        Self::TooManyBadRecords,
        Self::SinkRejected,
        Self::SinkRecordTooLarge,
        Self::Panic,
    ];

    /// The word used in quarantine lines and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadNotification => "bad_notification",
            Self::BadKeyEncoding => "bad_key_encoding",
            Self::BucketNotAllowed => "bucket_not_allowed",
            Self::ObjectMissing => "object_missing",
            Self::DeletedVersion => "deleted_version",
            Self::AccessDenied => "access_denied",
            Self::Archived => "archived",
            Self::WrongRegion => "wrong_region",
            Self::BucketOwnerMismatch => "bucket_owner_mismatch",
            Self::ChecksumMismatch => "checksum_mismatch",
            Self::Unreadable => "unreadable",
            Self::EmptyObject => "empty_object",
            Self::GzipTruncated => "gzip_truncated",
            Self::GzipCrc => "gzip_crc",
            Self::GzipTrailingMember => "gzip_trailing_member",
            Self::TooLarge => "too_large",
            Self::UnsupportedCodec => "unsupported_codec",
            Self::EmptyJson => "empty_json",
            Self::NotJson => "not_json",
            Self::ToplevelType => "toplevel_type",
            Self::NoRecords => "no_records",
            Self::RecordsType => "records_type",
            Self::DuplicateRecordsKey => "duplicate_records_key",
            Self::TrailingJson => "trailing_json",
            Self::StructureLost => "structure_lost",
            Self::RecordSyntax => "record_syntax",
            Self::RecordType => "record_type",
            Self::DuplicateKey => "duplicate_key",
            Self::EventSourceType => "event_source_type",
            Self::TooDeep => "too_deep",
            Self::RecordTooLarge => "record_too_large",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::TooManyBadRecords => "too_many_bad_records",
            Self::SinkRejected => "sink_rejected",
            Self::SinkRecordTooLarge => "sink_record_too_large",
            Self::Panic => "panic",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_reasons_are_listed_and_each_has_a_word_of_its_own() {
        // Each reason has one arm in `as_str`, and the compiler sees to that.
        let arms = include_str!("reason.rs").matches(" => \"").count();
        assert_eq!(Reason::ALL.len(), arms);
        let words: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
    }
}
