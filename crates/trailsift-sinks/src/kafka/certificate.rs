//! The certificate by which a client shows who it is, judged before any broker does.
//!
//! OpenSSL has the last word. This only says in good time, and by its name, which file is of no use.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use secrecy::{ExposeSecret, SecretString};
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

use crate::SecretSource;

/// A certificate of one's own, for brokers that ask for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaCertificate {
    /// The certificate in PEM, followed by those between it and its authority.
    pub cert_file: PathBuf,
    /// Its private key in PEM.
    pub key_file: PathBuf,
    /// The passphrase of the key, where it has one.
    pub key_password: Option<SecretSource>,
}

/// Why a certificate cannot be shown to anybody. Names the file and the remedy, and nothing of a key.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error(
        "{key} {} cannot be read: it must be a file in PEM that this process may read",
        Shown(path)
    )]
    Unreadable {
        /// The setting that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{key} {} {problem}", Shown(path))]
    Unfit {
        /// The setting that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong, and what helps.
        problem: &'static str,
    },
    /// The key is another certificate's.
    #[error(
        "key_file {} does not belong to cert_file {}: name the key that the certificate was made for, and the \
         certificate itself first in its file",
        Shown(key_file),
        Shown(cert_file)
    )]
    Mismatch {
        /// The file of the key.
        key_file: PathBuf,
        /// The file of the certificate.
        cert_file: PathBuf,
    },
}

/// A path as it may stand in a log.
struct Shown<'a>(&'a Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().to_string().escape_debug().fmt(f)
    }
}

/// What the files of a certificate hold.
pub struct KafkaPair {
    cert: Vec<u8>,
    key: SecretString,
}

impl fmt::Debug for KafkaPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KafkaPair")
    }
}

impl PartialEq for KafkaPair {
    fn eq(&self, other: &Self) -> bool {
        self.cert == other.cert && self.key.expose_secret() == other.key.expose_secret()
    }
}

impl KafkaPair {
    /// When the certificate ends, where that can be told.
    pub fn not_after(&self) -> Option<OffsetDateTime> {
        not_after(&CertificateDer::from_pem_slice(&self.cert).ok()?)
    }
}

impl KafkaCertificate {
    /// Reads both files, and whether they belong together. Blocks. Of a key with a passphrase, whether it is
    /// the right key is left to the client.
    ///
    /// # Errors
    /// If one of them cannot be used.
    pub fn read(&self) -> Result<KafkaPair, CertificateError> {
        let read = |key, path: &Path| {
            std::fs::read(path).map_err(|source| CertificateError::Unreadable {
                key,
                path: path.into(),
                source,
            })
        };
        let unfit =
            |key, path: &Path, problem| CertificateError::Unfit { key, path: path.into(), problem };
        let cert = read("cert_file", &self.cert_file)?;
        let key = read("key_file", &self.key_file)?;
        let certificate = CertificateDer::from_pem_slice(&cert).map_err(|_| {
            let problem = "holds no certificate in PEM: convert it (openssl x509 -inform der, openssl pkcs12)";
            unfit("cert_file", &self.cert_file, problem)
        })?;
        let wrong_key = |problem| unfit("key_file", &self.key_file, problem);
        let key = String::from_utf8(key).map_err(|_| {
            wrong_key(
                "is not in PEM: convert it (openssl pkey -inform der, openssl pkcs12 -nocerts)",
            )
        })?;
        let is_encrypted =
            key.contains("BEGIN ENCRYPTED PRIVATE KEY") || key.contains("Proc-Type: 4,ENCRYPTED");
        if is_encrypted {
            if self.key_password.is_none() {
                return Err(wrong_key("has a passphrase: say where it is with key_password"));
            }
            return Ok(KafkaPair { cert, key: key.into() });
        }
        let private = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| {
            wrong_key("holds no private key in PEM: it begins with -----BEGIN PRIVATE KEY-----")
        })?;
        // What rustls does not know, OpenSSL may: only what is certain is held against the files.
        if let Ok(private) = aws_lc_rs::default_provider().key_provider.load_private_key(private) {
            let pair = CertifiedKey::new(vec![certificate.into_owned()], Arc::clone(&private));
            if let Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) = pair.keys_match() {
                let (key_file, cert_file) = (self.key_file.clone(), self.cert_file.clone());
                return Err(CertificateError::Mismatch { key_file, cert_file });
            }
        }
        Ok(KafkaPair { cert, key: key.into() })
    }

    /// When a certificate that was read has ended by now: what is wrong, and what helps.
    pub fn ended(&self, pair: &KafkaPair, now: OffsetDateTime) -> Option<String> {
        let end = pair.not_after().filter(|end| *end < now)?;
        let cert_file = Shown(&self.cert_file);
        Some(format!("cert_file {cert_file} ended on {}: renew it, brokers refuse it", end.date()))
    }
}

/// The end of a certificate's validity (RFC 5280, 4.1.2.5).
fn not_after(certificate: &[u8]) -> Option<OffsetDateTime> {
    const INTEGER: u8 = 0x02;
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;

    let (_, certificate, _) = element(certificate)?;
    let (_, mut rest, _) = element(certificate)?;
    let (tag, _, behind) = element(rest)?;
    if tag == VERSION {
        rest = behind;
    }
    // The serial number, the signature's algorithm, the issuer.
    for expected in [INTEGER, SEQUENCE, SEQUENCE] {
        let (tag, _, behind) = element(rest)?;
        rest = (tag == expected).then_some(behind)?;
    }
    let (_, validity, _) = element(rest)?;
    let (_, _, end) = element(validity)?;
    let (tag, text, _) = element(end)?;
    let digits = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let year: i32 = digits.get(..2)?.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, digits.get(2..)?)
        }
        GENERALIZED_TIME => (digits.get(..4)?.parse().ok()?, digits.get(4..)?),
        _ => return None,
    };
    let number = |at: usize| rest.get(at..at + 2)?.parse::<u8>().ok();
    let date =
        Date::from_calendar_date(year, Month::try_from(number(0)?).ok()?, number(2)?).ok()?;
    let time = Time::from_hms(number(4)?, number(6)?, number(8)?).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc())
}

/// The tag and content of the first element in DER, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (length.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn made(last_year: i32) -> (String, String) {
        let mut params = CertificateParams::new(["trailsift".to_owned()]).expect("a name");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(last_year, 1, 31);
        let key = KeyPair::generate().expect("a key");
        (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
    }

    fn written(cert: &str, key: &str) -> (tempfile::TempDir, KafkaCertificate) {
        let folder = tempfile::tempdir().expect("a folder");
        let (cert_file, key_file) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        std::fs::write(&cert_file, cert).expect("written");
        std::fs::write(&key_file, key).expect("written");
        (folder, KafkaCertificate { cert_file, key_file, key_password: None })
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_file_and_the_remedy() {
        let (cert, key) = made(2090);
        let (_, other) = made(2090);
        let encrypted =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        for (cert, key, expected) in [
            (&*cert, &*other, "does not belong to cert_file"),
            (&*cert, &*cert, "holds no private key in PEM"),
            (&*key, &*key, "holds no certificate in PEM"),
            ("", &*key, "holds no certificate in PEM"),
            (&*cert, encrypted, "say where it is with key_password"),
        ] {
            let (folder, files) = written(cert, key);
            let error = files.read().expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
            assert!(error.contains(&folder.path().display().to_string()), "{error}");
            let body = other.lines().nth(1).expect("a line");
            assert!(!error.contains(body) && !error.contains("AAAA"), "{error}");
        }
        let (folder, mut files) = written(&cert, &key);
        files.read().expect("a pair");
        files.key_file = folder.path().join("none.pem");
        let error = files.read().expect_err("missing").to_string();
        assert!(error.contains("none.pem cannot be read"), "{error}");
    }

    #[test]
    fn a_chain_begins_with_the_certificate_of_the_key() {
        let ((leaf, key), (above, _)) = (made(2090), made(2090));
        let (_folder, files) = written(&format!("{leaf}{above}"), &key);
        files.read().expect("the first is the key's");
        let (_folder, files) = written(&format!("{above}{leaf}"), &key);
        assert!(matches!(files.read(), Err(CertificateError::Mismatch { .. })));
    }

    #[test]
    fn the_end_of_a_certificate_is_known_in_both_of_its_notations() {
        for year in [2030, 2049, 2050, 2090] {
            let (cert, key) = made(year);
            let (_folder, files) = written(&cert, &key);
            let pair = files.read().expect("a pair");
            let end = pair.not_after().expect("an end");
            assert_eq!((end.year(), end.month(), end.day()), (year, Month::January, 31));
            let day = time::Duration::DAY;
            assert_eq!(files.ended(&pair, end - day), None);
            let ended = files.ended(&pair, end + day).expect("it has ended");
            assert!(
                ended.contains(&format!("cert.pem ended on {year}-01-31: renew it")),
                "{ended}"
            );
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end_and_harms_nobody() {
        let (cert, _) = made(2090);
        let der = CertificateDer::from_pem_slice(cert.as_bytes()).expect("a certificate");
        for length in 0..der.len() {
            not_after(&der[..length]);
            let mut broken = der.to_vec();
            broken[length] ^= 0xff;
            not_after(&broken);
        }
        assert_eq!(not_after(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
