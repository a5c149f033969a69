use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_sdk_s3::config::endpoint::{DefaultResolver, EndpointFuture, Params, ResolveEndpoint};
use aws_smithy_types::endpoint::Endpoint;

/// The SDK's endpoints, remembered by bucket.
///
/// The SDK evaluates its rules anew for every object, for it remembers one endpoint by all that it
/// was asked for with, the key included. No rule looks at the key; all else but the bucket is
/// the same for every read of one client. So a client must have a resolver of its own.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    sdk: DefaultResolver,
    /// One for each bucket that is allowed, at most.
    by_bucket: Mutex<HashMap<String, Endpoint>>,
}

impl Endpoints {
    fn by_bucket(&self) -> MutexGuard<'_, HashMap<String, Endpoint>> {
        self.by_bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolveEndpoint for Endpoints {
    fn resolve_endpoint<'a>(&'a self, params: &'a Params) -> EndpointFuture<'a> {
        let bucket = params.bucket().unwrap_or_default();
        if let Some(endpoint) = self.by_bucket().get(bucket) {
            return EndpointFuture::ready(Ok(endpoint.clone()));
        }
        EndpointFuture::new(async move {
            let endpoint = self.sdk.resolve_endpoint(params).await?;
            self.by_bucket().insert(bucket.to_owned(), endpoint.clone());
            Ok(endpoint)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(bucket: &str, key: &str) -> Params {
        let params = Params::builder().region("eu-west-1".to_owned());
        params.bucket(bucket.to_owned()).key(key.to_owned()).build().expect("parameters")
    }

    #[tokio::test]
    async fn a_buckets_endpoint_is_the_sdks_own_whichever_object_was_asked_for_first() {
        let endpoints = Endpoints::default();
        let ours = async |params: Params| endpoints.resolve_endpoint(&params).await;
        for key in ["AWSLogs/1/a", "AWSLogs/2/b c", "é"] {
            for bucket in ["trail", "other-trail", "with.dots", "express--euw1-az1--x-s3"] {
                let params = asked(bucket, key);
                let expected = DefaultResolver::new().resolve_endpoint(&params).await;
                assert_eq!(ours(params).await.expect("ours"), expected.expect("the SDK's"));
            }
        }
        assert_eq!(endpoints.by_bucket().len(), 4, "nothing is remembered by key");
    }

    #[tokio::test]
    async fn a_bucket_without_endpoint_is_refused_every_time() {
        let endpoints = Endpoints::default();
        for _ in 0..2 {
            let params = asked("arn:aws:s3:nonsense", "k");
            endpoints.resolve_endpoint(&params).await.expect_err("no such bucket");
        }
        assert!(endpoints.by_bucket().is_empty());
    }
}
