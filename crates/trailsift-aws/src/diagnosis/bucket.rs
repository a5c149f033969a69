use std::time::SystemTime;

use aws_config::Region;
use aws_sdk_s3::Client;
use aws_sdk_s3::types::{Event, FilterRuleName, NotificationConfigurationFilter};
use trailsift_core::{LogFile, StoreError};

use super::limit::Limit;
use super::{Examiner, Refusal, fault, refused, timeouts};
use crate::s3::{classify, client};
use crate::{AnswerLimit, Session};

/// Asks about one bucket, in one region. Made by [`Examiner::bucket`].
pub struct BucketExaminer {
    session: Session,
    client: Client,
    name: String,
    owner: Option<String>,
    limit: Limit,
}

impl std::fmt::Debug for BucketExaminer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BucketExaminer").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A bucket that answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketFacts {
    /// Where it says that it is.
    pub region: Option<String>,
}

/// One entry of a bucket's notification configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Who is told.
    pub to: Target,
    /// Of what, such as `s3:ObjectCreated:*`. Empty for EventBridge, which is told of everything.
    pub events: Vec<String>,
    /// Only of keys that begin so.
    pub prefix: String,
    /// Only of keys that end so.
    pub suffix: String,
}

/// Who is told of a bucket's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The queue with this ARN.
    Queue(String),
    /// The topic of SNS with this ARN.
    Topic(String),
    /// The Lambda function with this ARN.
    Function(String),
    /// The default bus of EventBridge.
    EventBridge,
}

/// A part of what a bucket holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The prefixes up to the next slash, where folders were asked for.
    pub folders: Vec<String>,
    /// The objects.
    pub objects: Vec<Listed>,
    /// Whether there is more.
    pub truncated: bool,
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// When it was put.
    pub modified: Option<SystemTime>,
}

/// An object that could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectFacts {
    /// `AES256`, `aws:kms` and others, as S3 says it.
    pub encryption: Option<String>,
    /// The key of KMS that it is encrypted with.
    pub kms_key: Option<String>,
    /// Its first bytes, at most sixteen.
    pub begins: Vec<u8>,
}

impl Examiner {
    /// Somebody to ask about a bucket in this region, which belongs to `owner` where that is known:
    /// then every question fails where it does not.
    pub fn bucket(&self, name: &str, region: &str, owner: Option<&str>) -> BucketExaminer {
        let config = self.session.config().to_builder();
        let config = config.region(Region::new(region.to_owned())).build();
        let config = client(&config).config().to_builder().timeout_config(timeouts());
        BucketExaminer {
            session: self.session.clone(),
            client: Client::from_conf(config.interceptor(AnswerLimit::LARGE).build()),
            name: name.to_owned(),
            owner: owner.map(str::to_owned),
            limit: self.limit,
        }
    }
}

impl BucketExaminer {
    /// Whether it is there: `s3:ListBucket`, asked for with the owner.
    ///
    /// # Errors
    /// [`Refusal::Denied`] may mean another owner; see [`Self::exists_whoever_owns_it`].
    pub async fn exists(&self) -> Result<BucketFacts, Refusal> {
        self.head(self.owner.clone()).await
    }

    /// The same without the owner: where only this is answered, the bucket is another account's.
    ///
    /// # Errors
    /// As [`Self::exists`].
    pub async fn exists_whoever_owns_it(&self) -> Result<BucketFacts, Refusal> {
        self.head(None).await
    }

    async fn head(&self, owner: Option<String>) -> Result<BucketFacts, Refusal> {
        let request = self.client.head_bucket().bucket(&self.name).set_expected_bucket_owner(owner);
        let asked = async { request.send().await.map_err(|error| refused(&self.session, &error)) };
        let answer = self.limit.of(asked).await?;
        Ok(BucketFacts { region: answer.bucket_region })
    }

    /// Whom it tells of what: `s3:GetBucketNotification`.
    ///
    /// # Errors
    /// If it is not answered.
    pub async fn notifications(&self) -> Result<Vec<Notification>, Refusal> {
        let request = self.client.get_bucket_notification_configuration().bucket(&self.name);
        let request = request.set_expected_bucket_owner(self.owner.clone());
        let asked = async { request.send().await.map_err(|error| refused(&self.session, &error)) };
        let answer = self.limit.of(asked).await?;
        let mut found = Vec::new();
        for queue in answer.queue_configurations() {
            let to = Target::Queue(queue.queue_arn().to_owned());
            found.push(notification(to, queue.events(), queue.filter()));
        }
        for topic in answer.topic_configurations() {
            let to = Target::Topic(topic.topic_arn().to_owned());
            found.push(notification(to, topic.events(), topic.filter()));
        }
        for function in answer.lambda_function_configurations() {
            let to = Target::Function(function.lambda_function_arn().to_owned());
            found.push(notification(to, function.events(), function.filter()));
        }
        if answer.event_bridge_configuration().is_some() {
            found.push(notification(Target::EventBridge, &[], None));
        }
        Ok(found)
    }

    /// What lies under a prefix, up to the next slash: `s3:ListBucket`. At most one page, in the order
    /// of the keys, from behind `after` on.
    ///
    /// # Errors
    /// If it is not answered.
    pub async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Listing, Refusal> {
        let request = self.client.list_objects_v2().bucket(&self.name).prefix(prefix);
        let request = request.delimiter("/").set_start_after(after.map(str::to_owned));
        let request = request.set_expected_bucket_owner(self.owner.clone());
        let asked = async { request.send().await.map_err(|error| refused(&self.session, &error)) };
        let answer = self.limit.of(asked).await?;
        let folders = answer.common_prefixes().iter().filter_map(|it| it.prefix.clone());
        let objects = answer.contents().iter().filter_map(|object| {
            let modified = object.last_modified.and_then(|at| SystemTime::try_from(at).ok());
            Some(Listed { key: object.key.clone()?, modified })
        });
        Ok(Listing {
            folders: folders.collect(),
            objects: objects.collect(),
            truncated: answer.is_truncated.unwrap_or(false),
        })
    }

    /// Reads the beginning of an object: `s3:GetObject`, and `kms:Decrypt` where it is encrypted so.
    ///
    /// # Errors
    /// As the service's own reads.
    pub async fn read(&self, key: &str) -> Result<ObjectFacts, StoreError> {
        self.limit.of(self.read_at_leisure(key)).await
    }

    async fn read_at_leisure(&self, key: &str) -> Result<ObjectFacts, StoreError> {
        let request = self.client.get_object().bucket(&self.name).key(key).range("bytes=0-15");
        let answer = request.set_expected_bucket_owner(self.owner.clone()).send().await;
        let answer = answer.map_err(|error| {
            let file = LogFile {
                bucket: self.name.clone(),
                key: key.to_owned(),
                version_id: None,
                expected_owner: self.owner.clone(),
            };
            classify(fault(&self.session, &error), &file)
        })?;
        let encryption = answer.server_side_encryption.map(|it| it.as_str().to_owned());
        let kms_key = answer.ssekms_key_id;
        let body = answer.body.collect().await;
        let body = body.map_err(|error| StoreError::Interrupted(error.to_string()))?;
        let begins = body.into_bytes().iter().take(16).copied().collect();
        Ok(ObjectFacts { encryption, kms_key, begins })
    }
}

fn notification(
    to: Target,
    events: &[Event],
    filter: Option<&NotificationConfigurationFilter>,
) -> Notification {
    let rules = filter.and_then(|filter| filter.key()).map(|key| key.filter_rules());
    let value = |name: FilterRuleName| {
        let rules = rules.unwrap_or_default().iter();
        // S3 takes the names in any case, and gives them back as it likes.
        let mut named = rules.filter(|rule| {
            rule.name().is_some_and(|it| it.as_str().eq_ignore_ascii_case(name.as_str()))
        });
        named.find_map(|rule| rule.value().map(str::to_owned)).unwrap_or_default()
    };
    Notification {
        to,
        events: events.iter().map(|event| event.as_str().to_owned()).collect(),
        prefix: value(FilterRuleName::Prefix),
        suffix: value(FilterRuleName::Suffix),
    }
}
