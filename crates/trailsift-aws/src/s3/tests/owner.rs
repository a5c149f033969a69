//! A bucket of another owner: S3 says no more than AccessDenied, so it has to be proved.

use super::*;

const OWNER: &str = "999988887777";

fn owned_file() -> LogFile {
    LogFile { expected_owner: Some(OWNER.into()), version_id: Some("v1".into()), ..file() }
}

/// A bucket that refuses GetObject, and answers HeadObject with one status to those who name the
/// expected owner and with another to those who do not.
async fn refusing(named: u16, not_named: u16) -> TestServer {
    TestServer::answering(move |request| {
        match (request.line().starts_with("HEAD "), request.header("x-amz-expected-bucket-owner")) {
            (false, _) => error(403, "AccessDenied", "Access Denied"),
            (true, Some(_)) => Answer::new(named, ""),
            (true, None) => Answer::new(not_named, ""),
        }
    })
    .await
}

#[tokio::test]
async fn another_owners_bucket_is_proved_by_asking_with_and_without_the_owner() {
    let server = refusing(403, 200).await;
    let opened = server.account().await.store.open(&owned_file(), None).await;
    let found = opened.expect_err("refused");
    assert_eq!(kind(&found), "wrong_owner", "{found}");
    let text = found.to_string();
    assert!(text.starts_with("the bucket does not belong to account 999988887777"), "{text}");
    assert!(text.contains("AccessDenied") && text.contains("REQ1/HOST1"), "{text}");

    let requests = server.requests();
    let asked: Vec<_> = requests
        .iter()
        .map(|request| {
            let method = request.line().split(' ').next().expect("a method");
            (method, request.header("x-amz-expected-bucket-owner"))
        })
        .collect();
    assert_eq!(asked, [("GET", Some(OWNER)), ("HEAD", None), ("HEAD", Some(OWNER))]);
    for request in &requests {
        assert!(request.line().contains("/org-trail/AWSLogs/1/a%20b%2Bc/%C3%A9.json.gz"));
        assert!(request.line().contains("versionId=v1"), "{}", request.line());
    }
}

#[tokio::test]
async fn a_denial_is_the_owners_only_where_nothing_else_explains_it() {
    for (named, not_named, why) in [
        (403, 403, "nobody may read, whoever owns the bucket"),
        (200, 200, "the policy was changed just now, or a key of KMS is to blame"),
        (200, 403, "the policy is being changed"),
        (500, 200, "the second question was not answered"),
        (403, 500, "the first question was not answered"),
        (403, 404, "the object is missing"),
    ] {
        let server = refusing(named, not_named).await;
        let opened = server.account().await.store.open(&owned_file(), None).await;
        let found = opened.expect_err("refused");
        assert_eq!(kind(&found), "denied", "{why}: {found}");
        assert!(server.requests().len() <= 3, "{why}");
    }
}

#[tokio::test]
async fn without_an_expected_owner_a_denial_asks_nothing_more() {
    let server = refusing(403, 200).await;
    let opened = server.account().await.store.open(&file(), None).await;
    assert_eq!(kind(&opened.expect_err("refused")), "denied");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_key_of_kms_that_is_denied_says_nothing_about_the_owner() {
    let message = "User: u is not authorized to perform: kms:Decrypt on resource: k";
    let server = TestServer::start([error(403, "AccessDenied", message)]).await;
    let opened = server.account().await.store.open(&owned_file(), None).await;
    assert_eq!(kind(&opened.expect_err("refused")), "kms_denied");
    assert_eq!(server.requests().len(), 1);
}
