use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use bytes::Bytes;
use trailsift_core::ObjectStore;
use trailsift_testkit::conformance::{self, BucketUnderTest, Gap, StoreFactory};

use crate::S3Store;
use crate::test_server::{QUEUE_URL, account, localstack, sdk_config, unique};

struct LocalStack {
    endpoint: String,
    client: Client,
}

struct Bucket {
    client: Client,
    store: S3Store,
    name: String,
}

impl LocalStack {
    async fn reach() -> Self {
        let endpoint = localstack();
        let config = sdk_config().await.into_builder();
        let config = config.endpoint_url(&endpoint).region(aws_config::Region::new("us-east-1"));
        let config = aws_sdk_s3::config::Builder::from(&config.build()).force_path_style(true);
        Self { endpoint, client: Client::from_conf(config.build()) }
    }
}

#[async_trait]
impl StoreFactory for LocalStack {
    async fn make(&self, versioned: bool) -> Box<dyn BucketUnderTest> {
        let (client, name) = (self.client.clone(), unique());
        client.create_bucket().bucket(&name).send().await.expect("a bucket");
        if versioned {
            let status = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled);
            let request = client.put_bucket_versioning().bucket(&name);
            request.versioning_configuration(status.build()).send().await.expect("versions");
        }
        let store = account(&self.endpoint, QUEUE_URL).await.store;
        Box::new(Bucket { client, store, name })
    }

    fn gaps(&self) -> &[Gap] {
        &[Gap::ExpectedOwnerIgnored]
    }
}

#[async_trait]
impl BucketUnderTest for Bucket {
    fn port(&self) -> &dyn ObjectStore {
        &self.store
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn owner(&self) -> &str {
        "000000000000"
    }

    async fn put(&self, key: &str, bytes: Bytes) {
        let request = self.client.put_object().bucket(&self.name).key(key);
        request.body(bytes.into()).send().await.expect("put");
    }

    async fn delete(&self, key: &str) {
        let request = self.client.delete_object().bucket(&self.name).key(key);
        request.send().await.expect("deleted");
    }

    async fn delete_version(&self, key: &str, version_id: &str) {
        let request = self.client.delete_object().bucket(&self.name).key(key);
        request.version_id(version_id).send().await.expect("deleted");
    }
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn keeps_the_promises_of_the_port() {
    let report = conformance::object_store(&LocalStack::reach().await).await;
    println!("{report}");
    report.assert_passed();
}
