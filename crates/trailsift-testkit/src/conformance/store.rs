use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use trailsift_core::{LogFile, ObjectStore, OpenObject, Resume, StoreError};

use super::report::{Gap, Report, ensure};

type Checked = Result<(), String>;

/// Makes fresh, empty buckets of one implementation.
#[async_trait]
pub trait StoreFactory: Sync {
    /// A new bucket.
    async fn make(&self, versioned: bool) -> Box<dyn BucketUnderTest>;

    /// What this implementation is known not to do.
    fn gaps(&self) -> &[Gap] {
        &[]
    }
}

/// A bucket and the side entrances that a test needs.
#[async_trait]
pub trait BucketUnderTest: Send + Sync {
    /// The port.
    fn port(&self) -> &dyn ObjectStore;
    /// The bucket's name.
    fn name(&self) -> &str;
    /// The account that owns the bucket.
    fn owner(&self) -> &str;
    /// Puts an object.
    async fn put(&self, key: &str, bytes: Bytes);
    /// Deletes an object; on a versioned bucket this leaves a delete marker.
    async fn delete(&self, key: &str);
    /// Deletes one version for good.
    async fn delete_version(&self, key: &str, version_id: &str);
}

/// Runs every check, each on a bucket of its own.
pub async fn object_store(factory: &dyn StoreFactory) -> Report {
    let mut report = Report::default();
    macro_rules! check {
        ($name:ident, versioned: $versioned:expr) => {{
            let under_test = factory.make($versioned).await;
            report.note(stringify!($name), $name(under_test.as_ref()).await);
        }};
        ($name:ident needs $gap:expr) => {
            if factory.gaps().contains(&$gap) {
                report.skip(stringify!($name), $gap);
            } else {
                check!($name, versioned: false)
            }
        };
    }
    check!(an_object_comes_back_as_it_was_put, versioned: false);
    check!(an_empty_object_has_an_empty_body, versioned: false);
    check!(a_key_of_any_characters_names_its_object, versioned: false);
    check!(a_missing_object_is_not_found, versioned: false);
    check!(a_missing_bucket_is_not_found, versioned: false);
    check!(a_read_goes_on_where_it_broke, versioned: false);
    check!(an_overwritten_object_is_not_resumed, versioned: false);
    check!(a_resume_beyond_the_end_is_an_error, versioned: false);
    check!(a_version_is_read_though_newer_ones_exist, versioned: true);
    check!(a_version_is_resumed_though_newer_ones_exist, versioned: true);
    check!(a_delete_marker_is_a_deleted_version, versioned: true);
    check!(a_deleted_version_is_told_apart_from_a_missing_object, versioned: true);
    check!(the_right_owner_may_be_expected, versioned: false);
    check!(another_owner_is_proved needs Gap::ExpectedOwnerIgnored);
    report
}

const KEY: &str = "AWSLogs/111122223333/CloudTrail/us-east-1/2024/05/06/file.json.gz";

fn file(bucket: &dyn BucketUnderTest, key: &str) -> LogFile {
    LogFile {
        bucket: bucket.name().to_owned(),
        key: key.to_owned(),
        version_id: None,
        expected_owner: None,
    }
}

/// Bytes in which every offset is recognisable.
fn content(size: u32) -> Bytes {
    (0..size.div_ceil(4)).flat_map(u32::to_be_bytes).take(size as usize).collect()
}

async fn open(bucket: &dyn BucketUnderTest, file: &LogFile) -> Result<OpenObject, String> {
    bucket.port().open(file, None).await.map_err(|error| error.to_string())
}

async fn bytes(object: OpenObject) -> Result<Vec<u8>, String> {
    let chunks: Result<Vec<Bytes>, StoreError> = object.body.try_collect().await;
    chunks.map(|chunks| chunks.concat()).map_err(|error| error.to_string())
}

async fn an_object_comes_back_as_it_was_put(bucket: &dyn BucketUnderTest) -> Checked {
    let content = content(300_001);
    bucket.put(KEY, content.clone()).await;
    let object = open(bucket, &file(bucket, KEY)).await?;
    ensure!(object.size == Some(300_001), "{object:?}");
    ensure!(object.remaining == object.size, "{object:?}");
    ensure!(object.version_id.is_none(), "{object:?}");
    let quoted = |tag: &String| tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"');
    ensure!(object.etag.as_ref().is_some_and(quoted), "{object:?}");
    ensure!(bytes(object).await? == content, "other bytes");
    Ok(())
}

async fn an_empty_object_has_an_empty_body(bucket: &dyn BucketUnderTest) -> Checked {
    bucket.put(KEY, Bytes::new()).await;
    let object = open(bucket, &file(bucket, KEY)).await?;
    ensure!(object.size == Some(0) && object.remaining == Some(0), "{object:?}");
    ensure!(bytes(object).await?.is_empty(), "not empty");
    Ok(())
}

async fn a_key_of_any_characters_names_its_object(bucket: &dyn BucketUnderTest) -> Checked {
    let keys = ["a b+c", "a%20b", "a+b", "é/😀", "x=1&y=?#", "a//b", "a'(b)!*~", "a/../b", "./b"];
    for key in keys {
        bucket.put(key, Bytes::from(key.to_owned())).await;
    }
    for key in keys {
        let object = open(bucket, &file(bucket, key)).await.map_err(|e| format!("{key}: {e}"))?;
        ensure!(bytes(object).await? == key.as_bytes(), "{key} names another object");
    }
    Ok(())
}

async fn a_missing_object_is_not_found(bucket: &dyn BucketUnderTest) -> Checked {
    let answer = bucket.port().open(&file(bucket, KEY), None).await;
    ensure!(matches!(answer, Err(StoreError::NotFound(_))), "{answer:?}");
    Ok(())
}

async fn a_missing_bucket_is_not_found(bucket: &dyn BucketUnderTest) -> Checked {
    let mut file = file(bucket, KEY);
    file.bucket = format!("{}-not", file.bucket);
    let answer = bucket.port().open(&file, None).await;
    ensure!(matches!(answer, Err(StoreError::NotFound(_))), "{answer:?}");
    Ok(())
}

/// What a reader knows after it has read `offset` bytes of the object.
async fn resume_at(
    bucket: &dyn BucketUnderTest,
    file: &LogFile,
    offset: u64,
) -> Result<Resume, String> {
    let etag = open(bucket, file).await?.etag.ok_or("no entity tag")?;
    Ok(Resume { offset, etag })
}

async fn a_read_goes_on_where_it_broke(bucket: &dyn BucketUnderTest) -> Checked {
    let content = content(100_000);
    bucket.put(KEY, content.clone()).await;
    let file = file(bucket, KEY);
    for offset in [0, 1, 65_537, 99_999] {
        let resume = resume_at(bucket, &file, offset).await?;
        let answer = bucket.port().open(&file, Some(&resume)).await;
        let object = answer.map_err(|error| format!("at {offset}: {error}"))?;
        ensure!(object.size == Some(100_000), "at {offset}: {object:?}");
        ensure!(object.remaining == Some(100_000 - offset), "at {offset}: {object:?}");
        ensure!(object.etag.as_ref() == Some(&resume.etag), "at {offset}: {object:?}");
        let start = usize::try_from(offset).map_err(|error| error.to_string())?;
        ensure!(bytes(object).await? == content[start..], "at {offset}: other bytes");
    }
    Ok(())
}

async fn an_overwritten_object_is_not_resumed(bucket: &dyn BucketUnderTest) -> Checked {
    bucket.put(KEY, content(1_000)).await;
    let file = file(bucket, KEY);
    let resume = resume_at(bucket, &file, 500).await?;
    bucket.put(KEY, Bytes::from(vec![b'x'; 1_000])).await;
    let answer = bucket.port().open(&file, Some(&resume)).await;
    ensure!(matches!(answer, Err(StoreError::Changed(_))), "{answer:?}");
    Ok(())
}

async fn a_resume_beyond_the_end_is_an_error(bucket: &dyn BucketUnderTest) -> Checked {
    bucket.put(KEY, content(1_000)).await;
    let file = file(bucket, KEY);
    let resume = resume_at(bucket, &file, 1_000).await?;
    let answer = bucket.port().open(&file, Some(&resume)).await;
    ensure!(matches!(answer, Err(StoreError::Interrupted(_))), "{answer:?}");
    Ok(())
}

/// Puts an older and a newer version; the answer names the older one.
async fn older_version(bucket: &dyn BucketUnderTest) -> Result<LogFile, String> {
    bucket.put(KEY, content(1_000)).await;
    let mut file = file(bucket, KEY);
    let version = open(bucket, &file).await?.version_id;
    ensure!(version.is_some(), "no version on a versioned bucket");
    file.version_id = version;
    bucket.put(KEY, Bytes::from_static(b"newer")).await;
    Ok(file)
}

async fn a_version_is_read_though_newer_ones_exist(bucket: &dyn BucketUnderTest) -> Checked {
    let older = older_version(bucket).await?;
    let object = open(bucket, &older).await?;
    ensure!(object.version_id == older.version_id, "{object:?}");
    ensure!(bytes(object).await? == content(1_000), "other bytes");
    let newest = open(bucket, &file(bucket, KEY)).await?;
    ensure!(newest.version_id != older.version_id, "{newest:?}");
    ensure!(bytes(newest).await? == b"newer", "other bytes without a version");
    Ok(())
}

async fn a_version_is_resumed_though_newer_ones_exist(bucket: &dyn BucketUnderTest) -> Checked {
    let older = older_version(bucket).await?;
    let resume = resume_at(bucket, &older, 600).await?;
    let answer = bucket.port().open(&older, Some(&resume)).await;
    let object = answer.map_err(|error| error.to_string())?;
    ensure!(object.version_id == older.version_id, "{object:?}");
    ensure!(bytes(object).await? == content(1_000)[600..], "other bytes");
    Ok(())
}

async fn a_delete_marker_is_a_deleted_version(bucket: &dyn BucketUnderTest) -> Checked {
    let older = older_version(bucket).await?;
    bucket.delete(KEY).await;
    let answer = bucket.port().open(&file(bucket, KEY), None).await;
    ensure!(matches!(answer, Err(StoreError::DeletedVersion(_))), "{answer:?}");
    let object = open(bucket, &older).await?;
    ensure!(bytes(object).await? == content(1_000), "the older version is gone too");
    Ok(())
}

async fn a_deleted_version_is_told_apart_from_a_missing_object(
    bucket: &dyn BucketUnderTest,
) -> Checked {
    let older = older_version(bucket).await?;
    let version = older.version_id.clone().unwrap_or_default();
    bucket.delete_version(KEY, &version).await;
    let answer = bucket.port().open(&older, None).await;
    ensure!(matches!(answer, Err(StoreError::DeletedVersion(_))), "{answer:?}");
    Ok(())
}

async fn the_right_owner_may_be_expected(bucket: &dyn BucketUnderTest) -> Checked {
    bucket.put(KEY, content(10)).await;
    let mut file = file(bucket, KEY);
    file.expected_owner = Some(bucket.owner().to_owned());
    ensure!(bytes(open(bucket, &file).await?).await? == content(10), "other bytes");
    Ok(())
}

async fn another_owner_is_proved(bucket: &dyn BucketUnderTest) -> Checked {
    bucket.put(KEY, content(10)).await;
    let mut file = file(bucket, KEY);
    file.expected_owner = Some("999999999999".to_owned());
    let answer = bucket.port().open(&file, None).await;
    ensure!(matches!(answer, Err(StoreError::WrongOwner { .. })), "{answer:?}");
    Ok(())
}
