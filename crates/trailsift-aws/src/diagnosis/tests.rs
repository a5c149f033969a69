mod between;

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_s3::config::SharedCredentialsProvider;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use trailsift_core::{QueueError, StoreError};

use super::*;
use crate::test_server::{Answer, QUEUE_URL, Request, TestServer, sdk_config, settings};

const ROLE: &str = "arn:aws:iam::111122223333:role/trailsift";
const OWNER: &str = "999988887777";
const NO_REGION: Option<String> = None;

async fn examiner(server: &TestServer) -> Examiner {
    Connector::over(sdk_config().await).examiner(&settings(server.url(), QUEUE_URL)).await
}

fn sts(action: &str, result: &str) -> Answer {
    Answer::new(
        200,
        format!(
            "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>{result}\
             </{action}Result></{action}Response>"
        ),
    )
}

fn refused_by_sts(status: u16, code: &str) -> Answer {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error>\
         <RequestId>R</RequestId></ErrorResponse>"
    );
    Answer::new(status, body)
}

fn refused_by_s3(status: u16, code: &str, message: &str) -> Answer {
    let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    Answer::new(status, body)
}

fn word(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Denied(_) => "denied",
        Refusal::Missing(_) => "missing",
        Refusal::Elsewhere { .. } => "elsewhere",
        Refusal::Credentials(_) => "credentials",
        Refusal::Clock(_) => "clock",
        Refusal::Unavailable(_) => "unavailable",
    }
}

#[tokio::test]
async fn who_we_are_is_what_sts_says() {
    let answer = sts(
        "GetCallerIdentity",
        "<Arn>arn:aws:iam::111122223333:user/u</Arn><UserId>U</UserId><Account>111122223333</Account>",
    );
    let server = TestServer::start([answer]).await;
    let identity = examiner(&server).await.own_identity().await.expect("an answer");
    assert_eq!(identity.account, "111122223333");
    assert_eq!(identity.arn, "arn:aws:iam::111122223333:user/u");
}

#[tokio::test]
async fn refusals_of_sts_are_told_apart() {
    for (status, code, expected) in [
        (403, "InvalidClientTokenId", "credentials"),
        (403, "ExpiredToken", "credentials"),
        (403, "SignatureDoesNotMatch", "credentials"),
        (403, "RequestExpired", "clock"),
        (403, "AccessDenied", "denied"),
        (503, "ServiceUnavailable", "unavailable"),
    ] {
        let server = TestServer::start([refused_by_sts(status, code)]).await;
        let found = examiner(&server).await.own_identity().await.expect_err("refused");
        assert_eq!(word(&found), expected, "{found}");
        assert!(found.to_string().contains(code), "{found}");
    }
}

/// Where no credentials are to be had.
#[derive(Debug)]
struct Nobody;

impl ProvideCredentials for Nobody {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("no providers")))
    }
}

#[tokio::test]
async fn no_credentials_are_no_outage() {
    let server = TestServer::start([Answer::new(200, "")]).await;
    let nobody = SharedCredentialsProvider::new(Nobody);
    let base = sdk_config().await.into_builder().credentials_provider(nobody).build();
    let examiner = Connector::over(base).examiner(&settings(server.url(), QUEUE_URL)).await;
    let found = examiner.own_identity().await.expect_err("no credentials");
    assert_eq!(word(&found), "credentials", "{found}");
    assert!(server.requests().is_empty());
}

/// STS answers for the process; and for the role, as it is told to.
async fn with_role(external_id: Option<&str>, assumed: Answer) -> (TestServer, Examiner) {
    let server = TestServer::answering(move |request: &Request| {
        match request.body.contains("Action=AssumeRole") {
            true => assumed.clone(),
            false => sts("GetCallerIdentity", "<Arn>a</Arn><Account>1</Account>"),
        }
    })
    .await;
    let mut settings = settings(server.url(), QUEUE_URL);
    settings.role_arn = Some(ROLE.into());
    settings.external_id = external_id.map(str::to_owned);
    let examiner = Connector::over(sdk_config().await).examiner(&settings).await;
    (server, examiner)
}

#[tokio::test]
async fn a_role_is_asked_for_as_the_service_asks_for_it() {
    let end = SystemTime::now() + Duration::from_secs(3600);
    let end = DateTime::from(end).fmt(Format::DateTime).expect("a time");
    let credentials = format!(
        "<Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>S</SecretAccessKey>\
         <SessionToken>T</SessionToken><Expiration>{end}</Expiration></Credentials>"
    );
    let (server, examiner) = with_role(Some("s3cret"), sts("AssumeRole", &credentials)).await;
    examiner.assume_role().await.expect("assumed");
    examiner.identity().await.expect("an answer");
    let requests = server.requests();
    let body = &requests[0].body;
    for part in ["RoleSessionName=trailsift", "ExternalId=s3cret", "role%2Ftrailsift"] {
        assert!(body.contains(part), "{body}");
    }
    let last = requests.last().expect("a request");
    assert_eq!(last.header("x-amz-security-token"), Some("T"), "{}", last.head);
}

#[tokio::test]
async fn a_role_that_does_not_trust_us_is_denied_and_its_account_without_credentials() {
    let (_server, examiner) = with_role(None, refused_by_sts(403, "AccessDenied")).await;
    assert_eq!(word(&examiner.assume_role().await.expect_err("denied")), "denied");
    assert_eq!(word(&examiner.identity().await.expect_err("no credentials")), "credentials");
    examiner.own_identity().await.expect("the process itself is somebody");
}

#[tokio::test]
async fn the_clock_is_read_off_answers_and_refusals() {
    for (ahead, status) in [(0_i64, 200), (40, 200), (-400, 403)] {
        let seconds = i64::try_from(
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after it").as_secs(),
        );
        let theirs = DateTime::from_secs(seconds.expect("small") + ahead);
        let date = theirs.fmt(Format::HttpDate).expect("a date");
        let answer = match status {
            200 => sts("GetCallerIdentity", "<Arn>a</Arn><Account>1</Account>"),
            _ => refused_by_sts(403, "SignatureDoesNotMatch"),
        };
        let server = TestServer::start([answer.header("date", &date)]).await;
        let examiner = examiner(&server).await;
        assert_eq!(examiner.clock_ahead(), None);
        drop(examiner.own_identity().await);
        let found = examiner.clock_ahead().expect("a date");
        assert!((found - ahead).abs() <= 2, "{found} is not about {ahead}");
    }
}

#[tokio::test]
async fn a_queue_tells_everything_and_zero_is_zero() {
    let attributes = r#"{"Attributes":{"QueueArn":"arn:aws:sqs:us-east-1:1:trail",
        "VisibilityTimeout":"0","MessageRetentionPeriod":"345600","KmsMasterKeyId":"alias/k",
        "Policy":"{}","FifoQueue":"true","ApproximateNumberOfMessages":"4",
        "ApproximateNumberOfMessagesNotVisible":"5",
        "RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:1:dead\",\"maxReceiveCount\":7}"}}"#;
    let server = TestServer::start([Answer::new(200, attributes)]).await;
    let facts = examiner(&server).await.queue().await.expect("an answer");
    let dead_letter_arn = "arn:aws:sqs:us-east-1:1:dead".to_owned();
    assert_eq!(
        facts,
        QueueFacts {
            arn: "arn:aws:sqs:us-east-1:1:trail".into(),
            visibility_timeout: Duration::ZERO,
            redrive: Some(Redrive { dead_letter_arn, max_receive_count: Some(7) }),
            retention: Some(Duration::from_secs(345_600)),
            kms_key: Some("alias/k".into()),
            policy: Some("{}".into()),
            fifo: true,
            visible: 4,
            in_flight: 5,
        }
    );
}

#[tokio::test]
async fn the_dead_letter_queue_is_asked_for_by_its_arn() {
    let gone =
        Answer::new(400, r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no"}"#);
    let server = TestServer::start([gone]).await;
    let examiner = examiner(&server).await;
    let asked = examiner.dead_letter_queue("arn:aws:sqs:us-east-1:444455556666:dead").await;
    assert!(matches!(asked, Err(QueueError::NotFound(_))), "{asked:?}");
    let body = &server.requests()[0].body;
    assert!(body.contains(&format!("{}/444455556666/dead", server.url())), "{body}");
    let asked = examiner.dead_letter_queue("arn:aws:sns:us-east-1:1:topic").await;
    assert!(matches!(asked, Err(QueueError::Rejected(_))), "{asked:?}");
}

#[tokio::test]
async fn another_owners_bucket_answers_only_to_those_who_do_not_care() {
    let server =
        TestServer::answering(|request| match request.header("x-amz-expected-bucket-owner") {
            Some(_) => Answer::new(403, ""),
            None => Answer::new(200, "").header("x-amz-bucket-region", "eu-west-1"),
        })
        .await;
    let bucket = examiner(&server).await.bucket("org-trail", "us-east-1", Some(OWNER));
    assert_eq!(word(&bucket.exists().await.expect_err("refused")), "denied");
    let facts = bucket.exists_whoever_owns_it().await.expect("an answer");
    assert_eq!(facts.region.as_deref(), Some("eu-west-1"));
    let asked = server.requests();
    assert_eq!(asked[0].header("x-amz-expected-bucket-owner"), Some(OWNER));
}

#[tokio::test]
async fn answers_of_a_bucket_without_a_body_are_known_by_their_status() {
    for (status, region, expected, named) in [
        (301, Some("eu-west-1"), "elsewhere", Some("eu-west-1".to_owned())),
        (400, Some("eu-west-1"), "elsewhere", Some("eu-west-1".to_owned())),
        (403, None, "denied", NO_REGION),
        (404, None, "missing", NO_REGION),
        (503, None, "unavailable", NO_REGION),
    ] {
        let mut answer = Answer::new(status, "");
        if let Some(region) = region {
            answer = answer.header("x-amz-bucket-region", region);
        }
        let server = TestServer::start([answer]).await;
        let bucket = examiner(&server).await.bucket("org-trail", "us-east-1", None);
        let found = bucket.exists().await.expect_err("refused");
        assert_eq!(word(&found), expected, "{status}: {found}");
        if let Refusal::Elsewhere { region, .. } = found {
            assert_eq!(region, named);
        }
    }
}

#[tokio::test]
async fn notifications_of_every_kind_are_read_with_their_filters() {
    let body = "<NotificationConfiguration>\
        <QueueConfiguration><Id>a</Id><Queue>arn:q</Queue><Event>s3:ObjectCreated:*</Event>\
        <Filter><S3Key><FilterRule><Name>Prefix</Name><Value>AWSLogs/</Value></FilterRule>\
        <FilterRule><Name>suffix</Name><Value>.gz</Value></FilterRule></S3Key></Filter></QueueConfiguration>\
        <TopicConfiguration><Topic>arn:t</Topic><Event>s3:ObjectCreated:Put</Event></TopicConfiguration>\
        <CloudFunctionConfiguration><CloudFunction>arn:f</CloudFunction><Event>s3:ObjectRemoved:*</Event>\
        </CloudFunctionConfiguration><EventBridgeConfiguration></EventBridgeConfiguration>\
        </NotificationConfiguration>";
    let server = TestServer::start([Answer::new(200, body)]).await;
    let bucket = examiner(&server).await.bucket("org-trail", "us-east-1", Some(OWNER));
    let found = bucket.notifications().await.expect("an answer");
    let plain = |to, events: &[&str]| Notification {
        to,
        events: events.iter().map(|&event| event.to_owned()).collect(),
        prefix: String::new(),
        suffix: String::new(),
    };
    let queue = plain(Target::Queue("arn:q".into()), &["s3:ObjectCreated:*"]);
    assert_eq!(
        found,
        [
            Notification { prefix: "AWSLogs/".into(), suffix: ".gz".into(), ..queue },
            plain(Target::Topic("arn:t".into()), &["s3:ObjectCreated:Put"]),
            plain(Target::Function("arn:f".into()), &["s3:ObjectRemoved:*"]),
            plain(Target::EventBridge, &[]),
        ]
    );
    let denied = refused_by_s3(403, "AccessDenied", "no s3:GetBucketNotification");
    let server = TestServer::start([denied]).await;
    let bucket = examiner(&server).await.bucket("org-trail", "us-east-1", None);
    assert_eq!(word(&bucket.notifications().await.expect_err("refused")), "denied");
}

#[tokio::test]
async fn a_listing_tells_folders_and_objects() {
    let body = "<ListBucketResult><IsTruncated>true</IsTruncated>\
        <Contents><Key>a/x</Key><LastModified>2026-11-22T10:00:00.000Z</LastModified></Contents>\
        <CommonPrefixes><Prefix>a/b/</Prefix></CommonPrefixes></ListBucketResult>";
    let server = TestServer::start([Answer::new(200, body)]).await;
    let bucket = examiner(&server).await.bucket("org-trail", "us-east-1", Some(OWNER));
    let found = bucket.list("a/", Some("a/a")).await.expect("an answer");
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_341_600);
    assert_eq!(
        found,
        Listing {
            folders: vec!["a/b/".into()],
            objects: vec![Listed { key: "a/x".into(), modified: Some(modified) }],
            truncated: true,
        }
    );
    let asked = &server.requests()[0];
    for part in ["prefix=a%2F", "delimiter=%2F", "start-after=a%2Fa"] {
        assert!(asked.line().contains(part), "{}", asked.line());
    }
    assert_eq!(asked.header("x-amz-expected-bucket-owner"), Some(OWNER));
}

#[tokio::test]
async fn reading_tells_the_key_of_kms_and_whether_it_may_be_used() {
    let answer = Answer::new(206, [0x1f, 0x8b, 8])
        .header("content-range", "bytes 0-2/3")
        .header("x-amz-server-side-encryption", "aws:kms")
        .header("x-amz-server-side-encryption-aws-kms-key-id", "arn:k");
    let server = TestServer::start([answer]).await;
    let bucket = examiner(&server).await.bucket("org-trail", "us-east-1", None);
    let facts = bucket.read("a/x").await.expect("an answer");
    assert_eq!(facts.kms_key.as_deref(), Some("arn:k"));
    assert_eq!(facts.begins, [0x1f, 0x8b, 8]);

    let message = "User: u is not authorized to perform: kms:Decrypt on resource: k";
    for (answer, is_expected) in [
        (refused_by_s3(403, "AccessDenied", message), true),
        (refused_by_s3(400, "KMS.DisabledException", "disabled"), true),
        (refused_by_s3(403, "AccessDenied", "Access Denied"), false),
    ] {
        let server = TestServer::start([answer]).await;
        let bucket = examiner(&server).await.bucket("org-trail", "us-east-1", None);
        let found = bucket.read("a/x").await.expect_err("refused");
        assert_eq!(matches!(found, StoreError::KmsDenied(_)), is_expected, "{found}");
    }
}
