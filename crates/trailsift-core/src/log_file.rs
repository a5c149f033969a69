/// One trail object to read, already admitted: its bucket, prefix, account and kind are allowed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogFile {
    /// The bucket, a legal name from the account's allow-list.
    pub bucket: String,
    /// The key exactly as S3 stores it, decoded as its notification's shape demands.
    pub key: String,
    /// The notified version; then exactly this one is read. Absent on unversioned buckets.
    pub version_id: Option<String>,
    /// The account that must own the bucket (`x-amz-expected-bucket-owner`), where configured.
    pub expected_owner: Option<String>,
}

impl std::fmt::Display for LogFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key.escape_debug())?;
        match &self.version_id {
            Some(version) => write!(f, "?versionId={}", version.escape_debug()),
            None => Ok(()),
        }
    }
}
