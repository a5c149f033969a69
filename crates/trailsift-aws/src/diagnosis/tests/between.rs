//! Topics and rules between bucket and queue, and the time that all questions have.

use tokio::time::Instant;

use super::*;

const QUEUE: &str = "arn:aws:sqs:us-east-1:111122223333:trail";
const TOPIC: &str = "arn:aws:sns:eu-west-1:111122223333:trail";

fn subscription(endpoint: &str, arn: &str) -> String {
    format!(
        "<member><SubscriptionArn>{arn}</SubscriptionArn><Protocol>sqs</Protocol><Endpoint>{endpoint}</Endpoint></member>"
    )
}

#[tokio::test]
async fn a_subscription_is_found_on_a_later_page_with_its_filter() {
    let server = TestServer::answering(|request| {
        let body = &request.body;
        if body.contains("GetSubscriptionAttributes") {
            let entry = |key: &str, value: &str| {
                format!("<entry><key>{key}</key><value>{value}</value></entry>")
            };
            let entries = entry("FilterPolicy", "{}") + &entry("FilterPolicyScope", "MessageBody");
            return sts(
                "GetSubscriptionAttributes",
                &format!("<Attributes>{entries}</Attributes>"),
            );
        }
        let (members, next) = match body.contains("NextToken=more") {
            true => (subscription(QUEUE, "arn:s"), ""),
            false => (subscription("arn:other", "arn:o"), "<NextToken>more</NextToken>"),
        };
        let result = format!("<Subscriptions>{members}</Subscriptions>{next}");
        sts("ListSubscriptionsByTopic", &result)
    })
    .await;
    let found = examiner(&server).await.subscription(TOPIC, QUEUE).await.expect("an answer");
    let filter = Filter { scope: FilterScope::Body, policy: "{}".into() };
    assert_eq!(found, Some(Subscription { arn: Some("arn:s".into()), filter: Ok(Some(filter)) }));
    // The topic is asked for in its own region.
    let asked = &server.requests()[0];
    assert!(asked.header("authorization").is_some_and(|it| it.contains("/eu-west-1/sns/")));
}

#[tokio::test]
async fn a_subscription_that_nobody_confirmed_is_none_that_delivers() {
    for (members, expected) in [
        (subscription(QUEUE, "PendingConfirmation"), Some(None)),
        // A second one, confirmed, is what counts.
        (
            subscription(QUEUE, "PendingConfirmation") + &subscription(QUEUE, "arn:s"),
            Some(Some("arn:s")),
        ),
        (String::new(), None),
    ] {
        let result = format!("<Subscriptions>{members}</Subscriptions>");
        let server = TestServer::start([sts("ListSubscriptionsByTopic", &result)]).await;
        let found = examiner(&server).await.subscription(TOPIC, QUEUE).await.expect("an answer");
        assert_eq!(found.as_ref().map(|it| it.arn.as_deref()), expected);
    }
}

#[tokio::test]
async fn a_topic_tells_its_policy_and_its_key_or_why_not() {
    let entry = "<entry><key>Policy</key><value>{}</value></entry>\
        <entry><key>KmsMasterKeyId</key><value>alias/aws/sns</value></entry>";
    let answer = sts("GetTopicAttributes", &format!("<Attributes>{entry}</Attributes>"));
    let server = TestServer::start([answer]).await;
    let facts = examiner(&server).await.topic(TOPIC).await.expect("an answer");
    let kms_key = Some("alias/aws/sns".to_owned());
    assert_eq!(facts, TopicFacts { policy: Some("{}".into()), kms_key });
    for (status, code, expected) in
        [(403, "AuthorizationError", "denied"), (404, "NotFound", "missing")]
    {
        let server = TestServer::start([refused_by_sts(status, code)]).await;
        let found = examiner(&server).await.topic(TOPIC).await.expect_err("refused");
        assert_eq!(word(&found), expected, "{found}");
    }
}

fn eventbridge(request: &Request, target: &str) -> Answer {
    let body = match request.header("x-amz-target").and_then(|it| it.rsplit('.').next()) {
        Some("ListRuleNamesByTarget") => r#"{"RuleNames":["trail"]}"#.to_owned(),
        Some("DescribeRule") => {
            r#"{"Name":"trail","Arn":"arn:r","State":"DISABLED","EventPattern":"{}"}"#.to_owned()
        }
        _ => format!(r#"{{"Targets":[{{"Id":"1","Arn":"arn:o","Input":"x"}},{target}]}}"#),
    };
    Answer::new(200, body)
}

#[tokio::test]
async fn a_rule_tells_its_state_its_pattern_and_what_its_target_gets() {
    for (more, whole, as_role) in [
        ("", true, false),
        (r#","InputPath":"$""#, true, false),
        (r#","InputPath":"$.detail""#, false, false),
        (r#","Input":"x""#, false, false),
        (r#","InputTransformer":{"InputTemplate":"x"}"#, false, false),
        (r#","RoleArn":"arn:role""#, true, true),
    ] {
        let target = format!(r#"{{"Id":"2","Arn":"{QUEUE}"{more}}}"#);
        let server = TestServer::answering(move |request| eventbridge(request, &target)).await;
        let found = examiner(&server).await.rules(QUEUE).await.expect("an answer");
        let pattern = Some("{}".to_owned());
        let (name, arn) = ("trail".to_owned(), "arn:r".to_owned());
        let rule = Rule { name, arn, enabled: false, pattern, whole, as_role };
        assert_eq!(found, Rules { rules: vec![rule], other_buses: None }, "{more}");
    }
}

#[tokio::test]
async fn without_a_rule_the_other_buses_are_named() {
    let server = TestServer::start([
        Answer::new(200, r#"{"RuleNames":[]}"#),
        Answer::new(200, r#"{"EventBuses":[{"Name":"default"},{"Name":"security"}]}"#),
    ])
    .await;
    let found = examiner(&server).await.rules(QUEUE).await.expect("an answer");
    assert_eq!(found.other_buses, Some(Ok(vec!["security".to_owned()])));
    // EventBridge denies with 400.
    let denied = Answer::new(400, r#"{"__type":"AccessDeniedException","message":"no"}"#);
    let server = TestServer::start([denied]).await;
    assert_eq!(word(&examiner(&server).await.rules(QUEUE).await.expect_err("denied")), "denied");
}

#[tokio::test]
async fn no_question_goes_on_beyond_the_time_for_all_of_them() {
    let server = TestServer::start([Answer::new(200, "").announcing(100).hanging()]).await;
    let examiner = examiner(&server).await.until(Instant::now() + Duration::from_millis(50));
    let bucket = examiner.bucket("org-trail", "us-east-1", None);
    let late = "within the time that there was for all questions";
    let refusals = [
        examiner.own_identity().await.expect_err("late").to_string(),
        examiner.queue().await.expect_err("late").to_string(),
        examiner.settling().await.deleted.expect_err("late").to_string(),
        bucket.notifications().await.expect_err("late").to_string(),
        bucket.list("", None).await.expect_err("late").to_string(),
        bucket.read("k").await.expect_err("late").to_string(),
        examiner.subscription(TOPIC, QUEUE).await.expect_err("late").to_string(),
        examiner.rules(QUEUE).await.expect_err("late").to_string(),
    ];
    for refusal in refusals {
        assert!(refusal.contains(late), "{refusal}");
    }
}
