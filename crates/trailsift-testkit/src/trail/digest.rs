use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::key::{Delivery, timestamp};

/// A trail file as its digest lists it.
pub(super) struct Listed {
    pub(super) key: String,
    /// SHA-256 of the inflated bytes, lowercase hex.
    pub(super) hash: String,
    /// Seconds since 1970.
    pub(super) delivered: i64,
}

impl Listed {
    pub(super) fn new(key: &str, json: &[u8], delivered: i64) -> Self {
        Self { key: key.to_owned(), hash: hex(&Sha256::digest(json)), delivered }
    }
}

/// An hourly digest, a starting one: it has no predecessor. Its hashes are true, and since it has
/// no signature (that is metadata of the object), nobody can take it for AWS's own.
pub(super) fn digest(bucket: &str, key: &str, delivery: &Delivery<'_>, files: &[Listed]) -> String {
    let mut listed = String::new();
    for (index, file) in files.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let newest = timestamp(file.delivered - 60);
        let oldest = timestamp(file.delivered - 900);
        let Listed { key, hash, .. } = file;
        listed.push_str(&format!(
            r#"{comma}{{"s3Bucket":"{bucket}","s3Object":"{key}","hashValue":"{hash}","hashAlgorithm":"SHA-256","newestEventTime":"{newest}","oldestEventTime":"{oldest}"}}"#
        ));
    }
    format!(
        r#"{{"awsAccountId":"{account}","digestStartTime":"{start}","digestEndTime":"{end}","digestS3Bucket":"{bucket}","digestS3Object":"{key}","digestPublicKeyFingerprint":"{fingerprint}","digestSignatureAlgorithm":"SHA256withRSA","newestEventTime":"{end}","oldestEventTime":"{start}","previousDigestS3Bucket":null,"previousDigestS3Object":null,"previousDigestHashValue":null,"previousDigestHashAlgorithm":null,"previousDigestSignature":null,"logFiles":[{listed}]}}"#,
        account = delivery.account,
        start = timestamp(delivery.at - 3600),
        end = timestamp(delivery.at),
        fingerprint = &hex(&Sha256::digest(delivery.account.as_bytes()))[..32],
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap_or_else(|error| unreachable!("a string grows: {error}"));
        text
    })
}
