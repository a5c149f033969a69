//! Signatures of requests, made by whoever knows the keys: this crate knows none, nor how they are made.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Request, StatusCode};
use serde::Deserialize;
use trailsift_core::SinkError;

/// How long a signature may take: its keys may have to be fetched first.
pub(crate) const LONGEST_SIGNING: Duration = Duration::from_secs(20);

/// A request as it is about to be sent.
#[derive(Clone, Copy, Debug)]
pub struct ToSign<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// The whole URL, percent-encoded.
    pub url: &'a str,
    /// The headers that say how the body is to be read. `Host` is the URL's.
    pub headers: &'a [(&'a str, &'a str)],
    /// The bytes on the wire.
    pub body: &'a [u8],
}

/// An answer that refuses a signed request.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// The service's code, as a header or the body names it; often empty.
    pub code: &'a str,
    /// The service's message; often empty.
    pub message: &'a str,
    /// The time by the service's clock.
    pub date: Option<&'a str>,
}

/// Signs each request of a sink just before it is sent, one that is sent again too.
#[async_trait]
pub trait Sign: fmt::Debug + Send + Sync {
    /// The headers that carry the signature, by their names in lower case.
    ///
    /// # Errors
    /// If there is no signature, with what to do about it.
    async fn sign(&self, request: ToSign<'_>) -> Result<Vec<(&'static str, String)>, SinkError>;

    /// Looks at a refusal: what is wrong with the signature and what helps, in words of its own (the
    /// answer's may repeat anything), or nothing if it is about something else. The next signature heeds it.
    fn heed(&self, refused: Refused<'_>) -> Option<&'static str>;
}

/// Adds the signature.
pub(super) async fn apply(signer: &dyn Sign, request: &mut Request) -> Result<(), SinkError> {
    // Whoever checks it encodes everything but letters, digits and `-_.~`, and not everybody in between does.
    if let Some(query) = request.url().query().map(|query| query.replace('*', "%2A")) {
        request.url_mut().set_query(Some(&query.replace('+', "%20")));
    }
    let text = |name: HeaderName| {
        let value = request.headers().get(&name)?.to_str().ok()?.to_owned();
        Some((name, value))
    };
    let headers: Vec<_> = [CONTENT_TYPE, CONTENT_ENCODING].into_iter().filter_map(text).collect();
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let signing = signer.sign(ToSign {
        method: request.method().as_str(),
        url: request.url().as_str(),
        headers: &headers,
        body: request.body().and_then(|body| body.as_bytes()).unwrap_or_default(),
    });
    let late = || SinkError::retry(format!("there was no signature within {LONGEST_SIGNING:?}"));
    let signed = tokio::time::timeout(LONGEST_SIGNING, signing).await.map_err(|_| late())??;
    for (name, value) in signed {
        let unfit = || SinkError::retry(format!("the signature's {name} fits into no header"));
        let mut value = HeaderValue::from_str(&value).map_err(|error| unfit().because(error))?;
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
    }
    Ok(())
}

/// What a refusal says in its body: the gateways of AWS write either.
#[derive(Default, Deserialize)]
struct Said {
    #[serde(alias = "Message")]
    message: Option<String>,
}

/// What is wrong with the signature, if that is what an answer refuses.
pub(super) fn refusal(
    signer: &dyn Sign,
    status: StatusCode,
    headers: &HeaderMap,
    body: Option<&[u8]>,
) -> Option<&'static str> {
    if !matches!(status.as_u16(), 400 | 401 | 403) {
        return None;
    }
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    // Such as `InvalidSignatureException:http://internal.amazon.com/…`.
    let code = text("x-amzn-errortype").and_then(|code| code.split(':').next());
    let said: Said = body.and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
    if status == StatusCode::BAD_REQUEST && code.is_none() && said.message.is_none() {
        // The service's own word on what was sent; whoever checks signatures names himself, or says 403.
        return None;
    }
    signer.heed(Refused {
        code: code.unwrap_or_default(),
        message: said.message.as_deref().unwrap_or_default(),
        date: text(DATE.as_str()),
    })
}
