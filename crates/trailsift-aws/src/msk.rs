//! Tokens by which clients of Kafka log in to Amazon MSK with credentials of AWS (`SASL/OAUTHBEARER`).
//!
//! As the libraries of AWS make them: <https://github.com/aws/aws-msk-iam-sasl-signer-python>.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_smithy_types::base64;

use crate::{Presigned, Session, Signer, SigningError};

/// The name that signatures know the service by.
const SERVICE: &str = "kafka-cluster";
/// How long a token is good for logging in: what the libraries of AWS ask for.
const LIFE: Duration = Duration::from_secs(900);
/// Who made it, for the cluster's records. Not signed, as MSK expects it.
const USER_AGENT: &str = concat!("&User-Agent=trailsift%2F", env!("CARGO_PKG_VERSION"));

/// Makes tokens for the clusters of a session's region. Clones share its credentials.
#[derive(Clone, Debug)]
pub struct MskTokens {
    signer: Signer,
    url: String,
}

/// A token: as good as a password until it ends.
#[derive(Clone, PartialEq, Eq)]
pub struct MskToken {
    /// As it is sent.
    pub value: String,
    /// When MSK stops taking it: after 15 minutes, or with the credentials that signed it. By this machine's
    /// clock.
    pub valid_until: SystemTime,
}

impl fmt::Debug for MskToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MskToken").field("valid_until", &self.valid_until).finish_non_exhaustive()
    }
}

impl Session {
    /// What makes tokens for the clusters of Amazon MSK in this region.
    pub fn msk_tokens(&self) -> MskTokens {
        let signer = self.signer(SERVICE);
        // Also in China and GovCloud: nobody calls it.
        let host = format!("kafka.{}.amazonaws.com", signer.region());
        MskTokens { url: format!("https://{host}/?Action=kafka-cluster%3AConnect"), signer }
    }
}

impl MskTokens {
    /// A token of now. Makes no call but for credentials.
    ///
    /// # Errors
    /// If there are no credentials.
    pub async fn token(&self) -> Result<MskToken, SigningError> {
        self.token_at(SystemTime::now()).await
    }

    async fn token_at(&self, now: SystemTime) -> Result<MskToken, SigningError> {
        let Presigned { mut url, valid_until } =
            self.signer.presign_at(now, "GET", &self.url, LIFE).await?;
        url.push_str(USER_AGENT);
        // The alphabet for URLs, without padding (RFC 4648, 5).
        let value = base64::encode(url).replace('+', "-").replace('/', "_").replace('=', "");
        Ok(MskToken { value, valid_until })
    }

    /// MSK refused a token, and does not say why: the next one is made with credentials that are fetched
    /// anew (at most every 30 seconds).
    pub fn refused(&self) {
        self.signer.heed("UnrecognizedClientException", "", None);
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use aws_credential_types::Credentials;
    use aws_sdk_s3::config::SharedCredentialsProvider;

    use super::*;
    use crate::test_server::sdk_config;
    use crate::{Connector, SessionSettings};

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    async fn tokens(session_token: Option<&str>, end: Option<SystemTime>) -> MskTokens {
        let session_token = session_token.map(str::to_owned);
        let credentials = Credentials::new("AKIDEXAMPLE", SECRET, session_token, end, "test");
        let provider = SharedCredentialsProvider::new(credentials);
        let config = sdk_config().await.into_builder().credentials_provider(provider).build();
        let settings = SessionSettings {
            region: "us-east-1".to_owned(),
            role_arn: None,
            external_id: None,
            endpoint_url: None,
        };
        Connector::over(config).session(&settings).await.msk_tokens()
    }

    /// 2015-08-30T12:36:00Z.
    fn then() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_440_938_160)
    }

    /// What `aws-msk-iam-sasl-signer-python` 1.0.2 (PyPI, Apache-2.0; with botocore 1.42.34) returns for these
    /// credentials at this time, by `generate_auth_token_from_credentials_provider("us-east-1", …)`.
    const THEIRS: [(Option<&str>, &str); 2] = [
        (
            None,
            "aHR0cHM6Ly9rYWZrYS51cy1lYXN0LTEuYW1hem9uYXdzLmNvbS8_QWN0aW9uPWthZmthLWNsdXN0ZXIlM0FDb25uZWN0JlgtQW16LUFsZ29yaXRobT1BV1M0LUhNQUMtU0hBMjU2JlgtQW16LUNyZWRlbnRpYWw9QUtJREVYQU1QTEUlMkYyMDE1MDgzMCUyRnVzLWVhc3QtMSUyRmthZmthLWNsdXN0ZXIlMkZhd3M0X3JlcXVlc3QmWC1BbXotRGF0ZT0yMDE1MDgzMFQxMjM2MDBaJlgtQW16LUV4cGlyZXM9OTAwJlgtQW16LVNpZ25lZEhlYWRlcnM9aG9zdCZYLUFtei1TaWduYXR1cmU9YzQxM2E4M2JjNjRhMzM5ZTMxYTVlNWU5ZWQ5OWQ3NzhmZjg0MzIwNmI0Mjc1NDBjYWZhNTEyMmMwMWUzZTk5MyZVc2VyLUFnZW50PWF3cy1tc2staWFtLXNhc2wtc2lnbmVyLXB5dGhvbiUyRjEuMC4y",
        ),
        (
            Some("TOKEN/=="),
            "aHR0cHM6Ly9rYWZrYS51cy1lYXN0LTEuYW1hem9uYXdzLmNvbS8_QWN0aW9uPWthZmthLWNsdXN0ZXIlM0FDb25uZWN0JlgtQW16LUFsZ29yaXRobT1BV1M0LUhNQUMtU0hBMjU2JlgtQW16LUNyZWRlbnRpYWw9QUtJREVYQU1QTEUlMkYyMDE1MDgzMCUyRnVzLWVhc3QtMSUyRmthZmthLWNsdXN0ZXIlMkZhd3M0X3JlcXVlc3QmWC1BbXotRGF0ZT0yMDE1MDgzMFQxMjM2MDBaJlgtQW16LUV4cGlyZXM9OTAwJlgtQW16LVNpZ25lZEhlYWRlcnM9aG9zdCZYLUFtei1TZWN1cml0eS1Ub2tlbj1UT0tFTiUyRiUzRCUzRCZYLUFtei1TaWduYXR1cmU9ODYxNTAzYWI1YzczYTIxMjM2NTM4MTQ5YmZmNWNkNzAyYjdhMGVmZjY2MzkwNGVkY2Y5NTE0ZTEzYThlMzE2OSZVc2VyLUFnZW50PWF3cy1tc2staWFtLXNhc2wtc2lnbmVyLXB5dGhvbiUyRjEuMC4y",
        ),
    ];

    /// The parts of the URL in a token, sorted: who reads it goes by their names.
    fn parts(token: &str) -> Vec<String> {
        assert!(!token.contains(['+', '/', '=']), "{token}");
        let padding = "=".repeat(token.len().wrapping_neg() % 4);
        let usual = token.replace('-', "+").replace('_', "/") + &padding;
        let url = String::from_utf8(base64::decode(usual).expect("base64")).expect("text");
        let mut parts: Vec<_> = url.split(['?', '&']).map(str::to_owned).collect();
        parts.sort_unstable();
        parts
    }

    #[tokio::test]
    async fn a_token_is_that_of_the_library_of_aws_but_for_its_name() {
        for (session_token, theirs) in THEIRS {
            let ours = tokens(session_token, None).await.token_at(then()).await.expect("a token");
            assert_eq!(ours.valid_until, then() + LIFE);
            let is_name = |part: &String| part.starts_with("User-Agent=");
            let (mut ours, mut theirs) = (parts(&ours.value), parts(theirs));
            let names: Vec<_> = ours.extract_if(.., |part| is_name(part)).collect();
            assert_eq!(names, [format!("User-Agent=trailsift%2F{}", env!("CARGO_PKG_VERSION"))]);
            theirs.retain(|part| !is_name(part));
            assert_eq!(ours, theirs);
        }
    }

    #[tokio::test]
    async fn a_token_ends_with_its_credentials_and_shows_itself_to_nobody() {
        let end = SystemTime::now() + Duration::from_secs(300);
        let tokens = tokens(Some("T"), Some(end)).await;
        let token = tokens.token().await.expect("a token");
        assert_eq!(token.valid_until, end);
        let shown = format!("{tokens:?} {token:?}");
        assert!(!shown.contains(SECRET) && !shown.contains(&token.value), "{shown}");
        tokens.refused();
        tokens.token().await.expect("another one");
    }
}
