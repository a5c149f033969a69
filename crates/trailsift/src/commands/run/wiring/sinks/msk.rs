//! Credentials of AWS as what the Kafka sink logs in with: it knows nothing of AWS.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use trailsift_aws::{Connector, MskTokens, SessionSettings};
use trailsift_sinks::{BuildError, KafkaSettings, KafkaSink, KafkaToken, KafkaTokens};

use crate::config::MskIam;

/// A sink that logs in to Amazon MSK.
pub(super) async fn sink(
    name: &str,
    settings: KafkaSettings,
    msk: &MskIam,
    connector: &Connector,
) -> Result<KafkaSink, BuildError> {
    let session = SessionSettings {
        region: msk.region.clone(),
        role_arn: msk.role_arn.clone(),
        external_id: msk.external_id.clone(),
        endpoint_url: None,
    };
    let tokens = connector.session(&session).await.msk_tokens();
    KafkaSink::with_tokens(name, settings, Arc::new(Msk(tokens)))
}

#[derive(Debug)]
struct Msk(MskTokens);

#[async_trait]
impl KafkaTokens for Msk {
    async fn token(&self) -> Result<KafkaToken, Box<dyn Error + Send + Sync>> {
        let token = self.0.token().await?;
        // Whose it is, MSK reads from the signature.
        Ok(KafkaToken::new(token.value, "aws", token.valid_until))
    }

    fn refused(&self) {
        self.0.refused();
    }
}
