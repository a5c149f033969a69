//! Signatures of AWS for a sink over HTTP: it knows nothing of AWS.

use std::sync::Arc;

use async_trait::async_trait;
use trailsift_aws::{Connector, Refusal, SessionSettings, Signer, Unsigned};
use trailsift_core::SinkError;
use trailsift_sinks::{
    BuildError, OpenSearchSettings, OpenSearchSink, Refused, SearchCredentials, SearchService,
    Sign, ToSign,
};

use crate::config::SearchAws;

#[cfg(test)]
mod tests;

/// A sink that writes to a domain or a collection at AWS.
pub(super) async fn search(
    name: &str,
    settings: OpenSearchSettings,
    aws: &SearchAws,
    connector: &Connector,
) -> Result<OpenSearchSink, BuildError> {
    let session = SessionSettings {
        region: aws.region.clone(),
        role_arn: aws.role_arn.clone(),
        external_id: aws.external_id.clone(),
        endpoint_url: None,
    };
    let service = match settings.credentials {
        SearchCredentials::Aws(SearchService::Serverless) => "aoss",
        _ => "es",
    };
    let signer = connector.session(&session).await.signer(service);
    OpenSearchSink::signed(name, settings, Arc::new(ByAws(signer)))
}

#[derive(Debug)]
struct ByAws(Signer);

#[async_trait]
impl Sign for ByAws {
    async fn sign(&self, request: ToSign<'_>) -> Result<Vec<(&'static str, String)>, SinkError> {
        let ToSign { method, url, headers, body } = request;
        let signed = self.0.sign(&Unsigned { method, url, headers, body }).await;
        // Both are retried: keys come back, and a request that cannot be signed is no event's fault.
        signed.map_err(|error| SinkError::retry(error.to_string()).because(error))
    }

    fn heed(&self, refused: Refused<'_>) -> Option<&'static str> {
        self.0.heed(refused.code, refused.message, refused.date).map(Refusal::remedy)
    }
}
