use bytes::Bytes;
use futures::TryStreamExt;

use super::*;
use crate::test_server::{Answer, Request, TestServer};

mod network;
mod owner;
mod region;

const ETAG: &str = "\"9b2cf535f27731c974343645a3985328\"";

fn file() -> LogFile {
    LogFile {
        bucket: "org-trail".into(),
        key: "AWSLogs/1/a b+c/é.json.gz".into(),
        version_id: None,
        expected_owner: None,
    }
}

/// An error as S3 answers it.
fn error(status: u16, code: &str, message: &str) -> Answer {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
         <Message>{message}</Message><RequestId>REQ1</RequestId><HostId>HOST1</HostId></Error>"
    );
    Answer::new(status, body)
        .header("x-amz-id-2", "HOST1")
        .header("content-type", "application/xml")
}

fn object(body: &str) -> Answer {
    Answer::new(200, body).header("etag", ETAG)
}

fn part(range: &str, body: &str) -> Answer {
    Answer::new(206, body).header("etag", ETAG).header("content-range", range)
}

async fn open(
    answer: Answer,
    file: &LogFile,
    from: Option<&Resume>,
) -> (Result<OpenObject, StoreError>, Request) {
    let server = TestServer::start([answer]).await;
    let opened = server.account().await.store.open(file, from).await;
    (opened, server.requests().remove(0))
}

fn resume(offset: u64) -> Resume {
    Resume { offset, etag: ETAG.to_owned() }
}

fn kind(error: &StoreError) -> &'static str {
    match error {
        StoreError::NotFound(_) => "not_found",
        StoreError::DeletedVersion(_) => "deleted_version",
        StoreError::Denied(_) => "denied",
        StoreError::KmsDenied(_) => "kms_denied",
        StoreError::WrongRegion { .. } => "wrong_region",
        StoreError::Archived(_) => "archived",
        StoreError::Changed(_) => "changed",
        StoreError::Throttled { .. } => "throttled",
        StoreError::WrongOwner { .. } => "wrong_owner",
        StoreError::Interrupted(_) => "interrupted",
        StoreError::ChecksumMismatch(_) => "checksum_mismatch",
        StoreError::Unavailable(_) => "unavailable",
        _ => "other",
    }
}

#[tokio::test]
async fn errors_are_told_apart_by_meaning() {
    let table = [
        (404, "NoSuchKey", "The specified key does not exist.", "not_found"),
        (404, "NoSuchBucket", "The specified bucket does not exist", "not_found"),
        (404, "NoSuchVersion", "The specified version does not exist.", "deleted_version"),
        (400, "InvalidArgument", "Invalid version id specified", "not_found"),
        (400, "InvalidArgument", "something else", "unavailable"),
        (400, "KeyTooLongError", "Your key is too long", "not_found"),
        (403, "AccessDenied", "Access Denied", "denied"),
        (
            403,
            "AccessDenied",
            "User: u is not authorized to perform: kms:Decrypt on resource: k",
            "kms_denied",
        ),
        (
            403,
            "AccessDenied",
            "The ciphertext refers to a customer master key that does not exist",
            "kms_denied",
        ),
        (400, "KMS.DisabledException", "k is disabled.", "kms_denied"),
        (400, "KMS.KMSInvalidStateException", "k is pending deletion.", "kms_denied"),
        (400, "KMS.ThrottlingException", "Rate exceeded", "throttled"),
        (
            400,
            "InvalidRequest",
            "The object was stored using a form of Server Side Encryption.",
            "kms_denied",
        ),
        (
            403,
            "InvalidObjectState",
            "The operation is not valid for the object's storage class",
            "archived",
        ),
        (
            301,
            "PermanentRedirect",
            "must be addressed using the specified endpoint",
            "wrong_region",
        ),
        (
            400,
            "AuthorizationHeaderMalformed",
            "the region 'us-east-1' is wrong; expecting 'eu-west-1'",
            "wrong_region",
        ),
        (412, "PreconditionFailed", "At least one of the pre-conditions did not hold", "changed"),
        (416, "InvalidRange", "The requested range is not satisfiable", "interrupted"),
        (503, "SlowDown", "Please reduce your request rate.", "throttled"),
        (503, "ServiceUnavailable", "Service is unable to handle request.", "throttled"),
        (403, "RequestTimeTooSkewed", "The difference is too large.", "unavailable"),
        (400, "ExpiredToken", "The provided token has expired.", "unavailable"),
        (403, "InvalidAccessKeyId", "The key does not exist in our records.", "unavailable"),
        (403, "SignatureDoesNotMatch", "The signature does not match.", "unavailable"),
        (500, "InternalError", "We encountered an internal error.", "unavailable"),
        (400, "SomethingNew", "who knows", "unavailable"),
    ];
    for (status, code, message, expected) in table {
        let (opened, _) = open(error(status, code, message), &file(), None).await;
        let found = opened.expect_err("an error");
        assert_eq!(kind(&found), expected, "{status} {code}: {found}");
        let text = found.to_string();
        for part in [code, message, "request REQ1/HOST1"] {
            assert!(text.contains(part), "{part} is missing: {text}");
        }
    }
}

#[tokio::test]
async fn an_answer_without_a_body_is_known_by_its_status() {
    for (status, expected) in [
        (301, "wrong_region"),
        (403, "denied"),
        (404, "not_found"),
        (412, "changed"),
        (416, "interrupted"),
        (429, "throttled"),
        (500, "unavailable"),
        (503, "throttled"),
    ] {
        let (opened, _) = open(Answer::new(status, ""), &file(), None).await;
        let found = opened.expect_err("an error");
        assert_eq!(kind(&found), expected, "{status}: {found}");
    }
}

#[tokio::test]
async fn a_delete_marker_is_a_deleted_version() {
    for status in [404, 405] {
        let answer = error(status, "NoSuchKey", "gone").header("x-amz-delete-marker", "true");
        let found = open(answer, &file(), None).await.0.expect_err("an error");
        assert_eq!(kind(&found), "deleted_version", "{status}: {found}");
    }
}

#[tokio::test]
async fn a_wrong_region_names_the_right_one() {
    let region = async |answer: Answer| match open(answer, &file(), None).await.0 {
        Err(StoreError::WrongRegion { region, .. }) => region,
        other => panic!("{other:?}"),
    };
    let redirect = || error(301, "PermanentRedirect", "elsewhere");
    let named = redirect().header("x-amz-bucket-region", "eu-west-1");
    assert_eq!(region(named).await.as_deref(), Some("eu-west-1"));
    assert_eq!(region(redirect()).await, None);
    let forged = redirect().header("x-amz-bucket-region", "evil.example.com/");
    assert_eq!(region(forged).await, None);
    let malformed = error(
        400,
        "AuthorizationHeaderMalformed",
        "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-2'",
    );
    assert_eq!(region(malformed).await.as_deref(), Some("eu-west-2"));
}

#[tokio::test]
async fn a_throttle_carries_the_wait_that_s3_named() {
    let answer = error(503, "SlowDown", "slow down").header("retry-after", "7");
    let found = open(answer, &file(), None).await.0.expect_err("an error");
    let expected = Duration::from_secs(7);
    assert!(
        matches!(found, StoreError::Throttled { after: Some(after), .. } if after == expected),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_denial_names_the_expected_owner_as_a_possible_cause() {
    let mut file = file();
    file.expected_owner = Some("999988887777".to_owned());
    let (opened, request) = open(error(403, "AccessDenied", "Access Denied"), &file, None).await;
    assert_eq!(request.header("x-amz-expected-bucket-owner"), Some("999988887777"));
    let text = opened.expect_err("an error").to_string();
    assert!(text.contains("or the bucket does not belong to account 999988887777"), "{text}");
    assert!(text.contains("s3:ListBucket"), "{text}");
}

#[tokio::test]
async fn texts_from_s3_cannot_break_a_log_line() {
    let answer = error(400, "Odd&#10;Code", "a&#10;{\"level\":\"error\"}&#27;[31m");
    let text = open(answer, &file(), None).await.0.expect_err("an error").to_string();
    assert!(!text.contains('\n') && !text.contains('\u{1b}'), "{text:?}");
    assert!(text.contains("\\n"), "{text}");
}

#[tokio::test]
async fn a_request_pins_version_and_key_exactly() {
    let mut file = file();
    file.version_id = Some("3HL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY".to_owned());
    let answer = object("hello").header("x-amz-version-id", "v1");
    let (opened, request) = open(answer, &file, None).await;
    let line = request.line();
    assert!(line.contains("/org-trail/AWSLogs/1/a%20b%2Bc/%C3%A9.json.gz?"), "{line}");
    assert!(line.contains("versionId=3HL4kqtJlcpXroDTDmJ%2BrmSpXd3dIbrHY"), "{line}");
    assert_eq!(request.header("range"), None);
    assert_eq!(request.header("x-amz-expected-bucket-owner"), None);
    let object = opened.expect("an object");
    assert_eq!(object.size, Some(5));
    assert_eq!(object.remaining, Some(5));
    assert_eq!(object.etag.as_deref(), Some(ETAG));
    assert_eq!(object.version_id.as_deref(), Some("v1"));
    let bytes: Vec<Bytes> = object.body.try_collect().await.expect("a body");
    assert_eq!(bytes.concat(), b"hello");
}

#[tokio::test]
async fn f36_the_stored_bytes_arrive_as_they_are_whatever_their_coding_is_said_to_be() {
    let gzip = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for stored in [&gzip[..], b"{\"Records\":[]}"] {
        for coding in [None, Some("gzip"), Some("br"), Some("aws-chunked"), Some("zstd, gzip")] {
            let mut answer = Answer::new(200, stored).header("etag", ETAG);
            if let Some(coding) = coding {
                answer = answer.header("content-encoding", coding);
            }
            let (opened, request) = open(answer, &file(), None).await;
            let asked = request.header("accept-encoding").unwrap_or("identity");
            assert_eq!(asked, "identity", "nobody is asked to code it anew");
            let object = opened.expect("an object");
            assert_eq!(object.size, Some(stored.len() as u64), "{coding:?}");
            let bytes: Vec<Bytes> = object.body.try_collect().await.expect("a body");
            assert_eq!(bytes.concat(), stored, "{coding:?}");
        }
    }
}

#[tokio::test]
async fn a_part_is_no_answer_to_a_request_for_the_whole() {
    let part = Answer::new(206, "lo").header("etag", ETAG).header("content-range", "bytes 3-4/5");
    let (opened, _) = open(part, &file(), None).await;
    let error = opened.expect_err("not the whole");
    assert!(matches!(error, StoreError::Interrupted(_)), "{error}");
}

#[tokio::test]
async fn a_resumed_read_is_pinned_to_the_entity_tag() {
    let (opened, request) = open(part("bytes 3-9/10", "3456789"), &file(), Some(&resume(3))).await;
    assert_eq!(request.header("range"), Some("bytes=3-"));
    assert_eq!(request.header("if-match"), Some(ETAG));
    assert_eq!(request.header("x-amz-checksum-mode"), None);
    let object = opened.expect("a part");
    assert_eq!((object.size, object.remaining), (Some(10), Some(7)));
    let (opened, request) = open(object_of_ten(), &file(), Some(&resume(0))).await;
    assert_eq!(request.header("range"), None);
    assert_eq!(request.header("if-match"), Some(ETAG));
    assert_eq!(opened.expect("an object").remaining, Some(10));
}

fn object_of_ten() -> Answer {
    object("0123456789")
}

#[tokio::test]
async fn an_answer_that_is_not_the_missing_part_is_no_continuation() {
    let other = |answer: Answer| answer.header("etag", "\"other\"");
    let table = [
        (object_of_ten(), "interrupted"),
        (part("bytes 0-9/10", "0123456789"), "interrupted"),
        (part("bytes 4-9/10", "456789"), "interrupted"),
        (part("bytes */10", ""), "interrupted"),
        (part("nonsense", "3456789"), "interrupted"),
        (part("bytes 3-99/10", "3456789"), "interrupted"),
        (other(Answer::new(206, "3456789").header("content-range", "bytes 3-9/10")), "changed"),
    ];
    for (answer, expected) in table {
        let shown = format!("{answer:?}");
        let found = open(answer, &file(), Some(&resume(3))).await.0.expect_err("refused");
        assert_eq!(kind(&found), expected, "{found} for {shown}");
    }
}

#[tokio::test]
async fn a_part_that_ends_early_leaves_the_rest_missing() {
    let (opened, _) = open(part("bytes 3-5/10", "345"), &file(), Some(&resume(3))).await;
    let object = opened.expect("a part");
    assert_eq!(object.remaining, Some(7), "the reader sees that 4 of 7 are missing");
}

#[tokio::test]
async fn a_body_shorter_than_announced_is_interrupted() {
    let (opened, _) = open(object("0123").announcing(10), &file(), None).await;
    let mut body = opened.expect("the headers").body;
    let mut read = Vec::new();
    let found = loop {
        match body.try_next().await {
            Ok(Some(chunk)) => read.extend_from_slice(&chunk),
            Ok(None) => panic!("a clean end after {read:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(read, b"0123");
    assert_eq!(kind(&found), "interrupted", "{found}");
    assert!(body.try_next().await.expect("no second error").is_none());
}

#[tokio::test]
async fn a_body_that_does_not_match_its_checksum_is_told_apart_from_a_broken_one() {
    let (opened, request) =
        open(object("hello").header("x-amz-checksum-crc32", "AAAAAA=="), &file(), None).await;
    assert_eq!(request.header("x-amz-checksum-mode"), Some("ENABLED"));
    let body: Result<Vec<Bytes>, StoreError> =
        opened.expect("the headers").body.try_collect().await;
    let found = body.expect_err("another checksum");
    assert_eq!(kind(&found), "checksum_mismatch", "{found}");
    assert!(found.to_string().contains("hecksum"), "{found}");
}

#[tokio::test]
async fn a_part_is_not_held_against_the_checksum_of_the_whole() {
    let answer = part("bytes 3-9/10", "3456789").header("x-amz-checksum-crc32", "AAAAAA==");
    let (opened, _) = open(answer, &file(), Some(&resume(3))).await;
    let bytes: Vec<Bytes> = opened.expect("a part").body.try_collect().await.expect("a body");
    assert_eq!(bytes.concat(), b"3456789");
}

#[test]
fn content_ranges_are_read_strictly() {
    for (text, expected) in [
        ("bytes 5-9/10", Some((5, Some(10)))),
        ("bytes 5-9/*", Some((5, None))),
        ("bytes 9-5/10", None),
        ("bytes 5-10/10", None),
        ("bytes 5-9", None),
        ("items 5-9/10", None),
        ("bytes -5/10", None),
        ("", None),
    ] {
        assert_eq!(content_range(text), expected, "{text}");
    }
}
