//! Signature Version 4 for services that are called without a client of the SDK.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SignatureLocation, SigningInstructions,
    SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use sha2::{Digest as _, Sha256};

use crate::keys::Keys;
use crate::sessions::Sessions;
use crate::{Fault, Session};

#[cfg(test)]
mod tests;

/// A request as it will be sent: the signature holds for nothing else.
#[derive(Clone, Copy)]
pub struct Unsigned<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// The whole URL. Its host, with the port where that is not the scheme's own, is what is signed as
    /// `Host`. Its query should have everything percent-encoded but letters, digits and `-_.~`: services
    /// encode what is left before they compare, but not all that stands in between does.
    pub url: &'a str,
    /// The headers to sign, besides `Host` and those of the signature. Not those that a proxy or the
    /// client may change or add: `content-length`, `connection`, `user-agent`.
    pub headers: &'a [(&'a str, &'a str)],
    /// The bytes on the wire: compressed, if they are sent so.
    pub body: &'a [u8],
}

/// A URL whose signature is part of it: as good as a password until it ends.
#[derive(Clone)]
pub struct Presigned {
    /// The whole URL.
    pub url: String,
    /// When the service stops taking it: after the time that was asked for, or with the credentials that
    /// signed it, whichever comes first. By this machine's clock.
    pub valid_until: SystemTime,
}

impl fmt::Debug for Presigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presigned").field("valid_until", &self.valid_until).finish_non_exhaustive()
    }
}

/// No signature could be made.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// There are no credentials at the moment; whoever hands them out may answer again.
    #[error("no credentials to sign a request to {service} with")]
    Credentials {
        /// The service that was to be called.
        service: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The request is none that can be sent: its URL or a header is malformed.
    #[error("the request to {service} cannot be signed")]
    Request {
        /// The service that was to be called.
        service: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// Why a service refuses a request that is signed, where that is not a matter of permissions: trying
/// again with a new signature may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The time of the signature is too far from the service's. The next one is made by the service's clock.
    Clock,
    /// The credentials have ended. The next signature is made with new ones.
    Expired,
    /// The service does not know the credentials: they were deleted, or are of another partition, or the
    /// region is not enabled. The next signature is made with new ones.
    Unknown,
    /// The signature does not fit the request: the secret is wrong, the region or the service's name is
    /// another one, or something on the way changes requests.
    Mismatch,
}

impl Refusal {
    /// What is wrong and what helps, in words.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Clock => {
                "the signature's time is refused: this machine's clock may be wrong; synchronise it (NTP)"
            }
            Self::Expired => "the credentials have expired: new ones are fetched",
            Self::Unknown => {
                "the credentials are not known there: they may be deleted, or the region not enabled"
            }
            Self::Mismatch => {
                "the signature does not fit: look at the region, at the secret key, and for a proxy that changes \
                 requests"
            }
        }
    }
}

/// The seconds that clocks may differ by: services allow five minutes, and the answer was on its way for a while.
const MOST_SKEW: u64 = 240;
/// A body above this is hashed on a thread that may be busy for as long as that takes.
const SMALL_BODY: usize = 256 << 10;

/// Signs requests to one service with a session's credentials.
///
/// Each signature holds for about five minutes and one request, so a request that is sent again is signed
/// again. Clones share what is known of the service's clock.
#[derive(Clone)]
pub struct Signer {
    service: String,
    region: String,
    keys: Keys,
    sessions: Sessions,
    /// By how many seconds the service's clock is ahead of ours, as its last complaint showed.
    ahead: Arc<AtomicI64>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut signer = f.debug_struct("Signer");
        signer.field("service", &self.service).field("region", &self.region);
        signer.finish_non_exhaustive()
    }
}

impl Signer {
    pub(crate) fn new(session: &Session, service: String) -> Self {
        let region = session.config.region().map(ToString::to_string).unwrap_or_default();
        Self {
            service,
            region,
            keys: session.keys.clone(),
            sessions: session.sessions.clone(),
            ahead: Arc::default(),
        }
    }

    /// The region that signatures are for.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The headers to add to the request, by their names in lower case: `authorization`, `x-amz-date`,
    /// `x-amz-content-sha256` and, with temporary credentials, `x-amz-security-token`.
    ///
    /// # Errors
    /// If there are no credentials, or the request is malformed.
    pub async fn sign(
        &self,
        request: &Unsigned<'_>,
    ) -> Result<Vec<(&'static str, String)>, SigningError> {
        self.sign_at(SystemTime::now(), request).await
    }

    async fn sign_at(
        &self,
        now: SystemTime,
        request: &Unsigned<'_>,
    ) -> Result<Vec<(&'static str, String)>, SigningError> {
        // Whether they have ended is a matter of AWS's clock, too.
        let credentials = self.credentials(self.corrected(now)).await?;
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let body = match request.body.len() > SMALL_BODY {
            false => SignableBody::Bytes(request.body),
            true => {
                let copy = request.body.to_vec();
                let hash = tokio::task::spawn_blocking(move || Sha256::digest(&copy));
                let hash = hash.await.map_err(|error| self.malformed(error))?;
                SignableBody::Precomputed(hash.iter().map(|byte| format!("{byte:02x}")).collect())
            }
        };
        let signed = self.instructions(now, settings, credentials, request, body)?;
        let (headers, _) = signed.into_parts();
        Ok(headers.into_iter().map(|header| (header.name(), header.value().to_owned())).collect())
    }

    /// The URL with its signature as parameters, for whoever has it to send until `expires_in` has passed
    /// (AWS takes at most a week). The request it stands for has no body and no header but `Host`.
    ///
    /// # Errors
    /// If there are no credentials, or the URL is malformed.
    pub async fn presign(
        &self,
        method: &str,
        url: &str,
        expires_in: Duration,
    ) -> Result<Presigned, SigningError> {
        self.presign_at(SystemTime::now(), method, url, expires_in).await
    }

    pub(crate) async fn presign_at(
        &self,
        now: SystemTime,
        method: &str,
        url: &str,
        expires_in: Duration,
    ) -> Result<Presigned, SigningError> {
        let credentials = self.credentials(now).await?;
        let end = now + expires_in;
        let valid_until = credentials.expiry().map_or(end, |expiry| expiry.min(end));
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(expires_in);
        let request = Unsigned { method, url, headers: &[], body: &[] };
        let body = SignableBody::empty();
        // What is signed holds the session's token, and whoever signs it tells the log at its lowest level.
        let signed = tracing::dispatcher::with_default(&tracing::Dispatch::none(), || {
            self.instructions(now, settings, credentials, &request, body)
        })?;
        let mut carrier =
            http::Request::get(url).body(()).map_err(|error| self.malformed(error))?;
        signed.apply_to_request_http1x(&mut carrier);
        Ok(Presigned { url: carrier.uri().to_string(), valid_until })
    }

    /// Looks at the refusal of a signed request: at its code (without one, empty), its message, and the
    /// answer's `Date`. None is a matter of permissions, or of something else altogether.
    ///
    /// The next signature heeds it: the time is corrected, or the credentials are fetched anew (at most
    /// every 30 seconds). So it does where no reason is named, as OpenSearch Serverless names none: by the
    /// answer's `Date` if that is minutes away, else with new credentials.
    pub fn heed(&self, code: &str, message: &str, date: Option<&str>) -> Option<Refusal> {
        self.heed_at(SystemTime::now(), code, message, date)
    }

    fn heed_at(
        &self,
        now: SystemTime,
        code: &str,
        message: &str,
        date: Option<&str>,
    ) -> Option<Refusal> {
        let fault = Fault::of_entry(code, message);
        let theirs = date.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
        let ahead = theirs.map(|theirs| theirs.secs().saturating_sub(seconds(now)));
        // Not every service says why; where the clocks differ by so much, no signature holds.
        let known = self.ahead.load(Ordering::Relaxed);
        let is_far = ahead.is_some_and(|ahead| ahead.abs_diff(known) > MOST_SKEW);
        if fault.is_about_time() || is_far {
            if let Some(ahead) = ahead {
                self.ahead.store(ahead, Ordering::Relaxed);
            }
            return Some(Refusal::Clock);
        }
        if code.is_empty() && message.is_empty() {
            // They may have ended, or not: it costs little to find out.
            self.sessions.forget();
            return None;
        }
        // The JSON services name it by a code of their own or, as gateways do, in the message alone.
        if fault.is_about_expiry() || fault.mentions(&["token included in the request is expired"])
        {
            self.sessions.forget();
            return Some(Refusal::Expired);
        }
        let unknown = ["token included in the request is invalid"];
        if matches!(&*fault.code, "UnrecognizedClientException" | "InvalidClientTokenId")
            || fault.mentions(&unknown)
        {
            self.sessions.forget();
            return Some(Refusal::Unknown);
        }
        let mismatch = [
            "request signature we calculated does not match",
            "credential should be scoped to",
            "signature is not valid",
        ];
        let is_mismatch = matches!(
            &*fault.code,
            "InvalidSignatureException" | "SignatureDoesNotMatch" | "IncompleteSignatureException"
        );
        (is_mismatch || fault.mentions(&mismatch)).then_some(Refusal::Mismatch)
    }

    async fn credentials(&self, now: SystemTime) -> Result<Credentials, SigningError> {
        self.keys.at(now).await.map_err(|error| SigningError::Credentials {
            service: self.service.clone(),
            source: error.into(),
        })
    }

    fn instructions(
        &self,
        now: SystemTime,
        settings: SigningSettings,
        credentials: Credentials,
        request: &Unsigned<'_>,
        body: SignableBody<'_>,
    ) -> Result<SigningInstructions, SigningError> {
        let identity = Identity::from(credentials);
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(self.corrected(now))
            .settings(settings)
            .build()
            .map_err(|error| self.malformed(error))?
            .into();
        let headers = request.headers.iter().copied();
        let signable = SignableRequest::new(request.method, request.url, headers, body)
            .map_err(|error| self.malformed(error))?;
        let (signed, _) =
            sign(signable, &params).map_err(|error| self.malformed(error))?.into_parts();
        Ok(signed)
    }

    /// The time by the service's clock.
    fn corrected(&self, now: SystemTime) -> SystemTime {
        let ahead = self.ahead.load(Ordering::Relaxed);
        let seconds = Duration::from_secs(ahead.unsigned_abs());
        let corrected = if ahead < 0 { now.checked_sub(seconds) } else { now.checked_add(seconds) };
        corrected.unwrap_or(now)
    }

    fn malformed(&self, error: impl Into<Box<dyn Error + Send + Sync>>) -> SigningError {
        SigningError::Request { service: self.service.clone(), source: error.into() }
    }
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(since).unwrap_or(i64::MAX)
}
