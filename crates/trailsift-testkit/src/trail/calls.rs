use super::identity::{self, Caller};
use super::{alphanumeric, capitals, pick, uuid};

/// What was called, with everything that differs from service to service.
pub(super) struct Call {
    /// The value of `eventSource` as JSON writes it between the quotes, escapes included.
    pub(super) source: &'static str,
    /// The value of `eventName`.
    pub(super) name: String,
    /// The value of `readOnly`.
    pub(super) read_only: bool,
    /// The value of `eventType`.
    pub(super) kind: &'static str,
    /// The value of `requestParameters`, JSON.
    pub(super) request: String,
    /// The value of `responseElements`, JSON.
    pub(super) response: String,
    /// Members that only some events have, JSON, each with a comma before it.
    pub(super) extra: String,
    /// Who called.
    pub(super) caller: Caller,
}

/// Where and when a call is made.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) account: &'a str,
    pub(super) region: &'a str,
    /// Seconds since 1970.
    pub(super) at: i64,
}

impl Call {
    /// A call that only reads and answers nothing.
    fn read(source: &'static str, name: &str, request: String, caller: Caller) -> Self {
        Self {
            source,
            name: name.to_owned(),
            read_only: true,
            kind: "AwsApiCall",
            request,
            response: "null".to_owned(),
            extra: String::new(),
            caller,
        }
    }

    fn write(
        source: &'static str,
        name: &str,
        request: String,
        response: String,
        caller: Caller,
    ) -> Self {
        Self { read_only: false, response, ..Self::read(source, name, request, caller) }
    }
}

/// Any call that the answer does *not* select, as often as each is met in a busy account.
pub(super) fn ordinary(rng: &mut fastrand::Rng, scene: Scene<'_>) -> Call {
    match rng.u32(..1000) {
        0..260 => assume_role(rng, scene),
        260..460 => decrypt(rng, scene),
        460..620 => describe(rng, scene),
        620..720 => get_bucket(rng, scene),
        720..800 => logs(rng, scene),
        800..860 => lambda(rng, scene),
        860..890 => put_role_policy(rng, scene),
        890..910 => console_login(rng, scene),
        910..930 => token_exchange(rng, scene),
        930..950 => denied(rng, scene),
        950..965 => service_event(rng, scene),
        965..980 => floats(rng, scene),
        980..990 => sibling(rng, scene),
        _ => look_alike(rng, scene),
    }
}

fn assume_role(rng: &mut fastrand::Rng, scene: Scene<'_>) -> Call {
    let account = scene.account;
    let service =
        pick(rng, &["lambda.amazonaws.com", "ecs-tasks.amazonaws.com", "config.amazonaws.com"]);
    let role = pick(rng, &["Worker", "TaskExecution", "AWSServiceRoleForConfig"]);
    let session = alphanumeric(rng, 16);
    let request = format!(
        r#"{{"roleArn":"arn:aws:iam::{account}:role/{role}","roleSessionName":"{session}","durationSeconds":3600}}"#
    );
    let response = format!(
        r#"{{"credentials":{{"accessKeyId":"ASIA{}","sessionToken":"{}","expiration":"Jan 15, 2026, 9:00:00 PM"}},"assumedRoleUser":{{"assumedRoleId":"AROA{}:{session}","arn":"arn:aws:sts::{account}:assumed-role/{role}/{session}"}}}}"#,
        capitals(rng, 16),
        alphanumeric(rng, 120),
        capitals(rng, 17),
    );
    let mut call = Call::write(
        "sts.amazonaws.com",
        "AssumeRole",
        request,
        response,
        identity::service(service),
    );
    call.read_only = true;
    call.extra = format!(
        r#","resources":[{{"accountId":"{account}","type":"AWS::IAM::Role","ARN":"arn:aws:iam::{account}:role/{role}"}}],"sharedEventID":"{}""#,
        uuid(rng),
    );
    call
}

fn decrypt(rng: &mut fastrand::Rng, scene: Scene<'_>) -> Call {
    let Scene { account, region, at } = scene;
    let key = uuid(rng);
    let request = format!(
        r#"{{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","encryptionContext":{{"aws:s3:arn":"arn:aws:s3:::data-{account}/tenant={}/part-{:05}.parquet"}}}}"#,
        rng.u16(..),
        rng.u32(..99_999),
    );
    let name = pick(rng, &["Decrypt", "GenerateDataKey"]);
    let caller = identity::on_behalf(rng, account, at, "s3.amazonaws.com");
    let mut call = Call::read("kms.amazonaws.com", name, request, caller);
    call.extra = format!(
        r#","resources":[{{"accountId":"{account}","type":"AWS::KMS::Key","ARN":"arn:aws:kms:{region}:{account}:key/{key}"}}]"#
    );
    call
}

fn describe(rng: &mut fastrand::Rng, scene: Scene<'_>) -> Call {
    let ids: Vec<String> = (0..rng.usize(1..8))
        .map(|_| format!(r#"{{"instanceId":"i-{:017x}"}}"#, rng.u64(..) >> 4))
        .collect();
    let name = pick(rng, &["DescribeInstances", "DescribeVolumes", "DescribeTags", "DescribeVpcs"]);
    let request = format!(
        r#"{{"maxResults":1000,"instancesSet":{{"items":[{}]}},"filterSet":{{"items":[{{"name":"tag:équipe","valueSet":{{"items":[{{"value":"платформа"}}]}}}}]}}}}"#,
        ids.join(","),
    );
    let caller = identity::anybody(rng, scene.account, scene.at);
    Call::read("ec2.amazonaws.com", name, request, caller)
}

fn get_bucket(rng: &mut fastrand::Rng, scene: Scene<'_>) -> Call {
    let bucket = format!("data-{}", rng.u16(..));
    let name = pick(rng, &["GetBucketAcl", "GetBucketLocation", "GetBucketPolicyStatus"]);
    let request = format!(
        r#"{{"bucketName":"{bucket}","Host":"s3.{}.amazonaws.com","acl":""}}"#,
        scene.region
    );
    let caller = identity::anybody(rng, scene.account, scene.at);
    let mut call = Call::read("s3.amazonaws.com", name, request, caller);
    call.extra = format!(
        r#","additionalEventData":{{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0.0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"{}=","bytesTransferredOut":{}.0}},"resources":[{{"accountId":"{}","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::{bucket}"}}],"vpcEndpointId":"vpce-{:08x}""#,
        alphanumeric(rng, 75),
        rng.u16(..),
        scene.account,
        rng.u32(..),
    );
    call
}

fn logs(rng: &mut fastrand::Rng, scene: Scene<'_>) -> Call {
    let request = format!(
        r#"{{"logGroupName":"/aws/lambda/job-{}","logStreamName":"2026/01/15/[$LATEST]{:032x}"}}"#,
        rng.u8(..),
        rng.u128(..),
    );
    let caller = identity::assumed_role(rng, scene.account, scene.at);
    let mut call =
        Call::write("logs.amazonaws.com", "CreateLogStream", request, "null".to_owned(), caller);
    call.extra = r#","apiVersion":"20140328""#.to_owned();
    call
}

fn lambda(rng: &mut fastrand::Rng, scene: Scene<'_>) -> Call {
    let name = pick(rng, &["GetFunction20150331v2", "ListTags20170331", "GetPolicy20150331v2"]);
    let request = format!(
        r#"{{"functionName":"arn:aws:lambda:{}:{}:function:job-{}"}}"#,
        scene.region,
        scene.account,
        rng.u8(..),
    );
    let caller = identity::anybody(rng, scene.account, scene.at);
    Call::read("lambda.amazonaws.com", name, request, caller)
}

/// A policy document: JSON in a JSON string, every quote escaped, brackets inside.
fn put_role_policy(rng: &mut fastrand::Rng, scene: Scene<'_>) -> Call {
    let document = format!(
        r#"{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Action\":[\"s3:Get*\"],\"Resource\":\"arn:aws:s3:::data-{}/*\",\"Condition\":{{\"StringLike\":{{\"s3:prefix\":[\"a\\\\b/*\",\"}}]\"]}}}}}}]}}"#,
        rng.u16(..),
    );
    let request = format!(
        r#"{{"roleName":"Worker-{}","policyName":"inline","policyDocument":"{document}"}}"#,
        rng.u8(..),
    );
    let caller = identity::anybody(rng, scene.account, scene.at);
    Call::write("iam.amazonaws.com", "PutRolePolicy", request, "null".to_owned(), caller)
}

fn console_login(rng: &mut fastrand::Rng, scene: Scene<'_>) -> Call {
    let caller = identity::anybody(rng, scene.account, scene.at);
    let mut call = Call::write(
        "signin.amazonaws.com",
        "ConsoleLogin",
        "null".to_owned(),
        r#"{"ConsoleLogin":"Success"}"#.to_owned(),
        caller,
    );
    call.kind = "AwsConsoleSignIn";
    call.extra = r#","additionalEventData":{"LoginTo":"https://console.aws.amazon.com/console/home?state=hashArgs%23&isauthcode=true","MobileVersion":"No","MFAUsed":"Yes"}"#.to_owned();
    call
}

fn token_exchange(rng: &mut fastrand::Rng, scene: Scene<'_>) -> Call {
    let (name, caller) = identity::token_bearer(rng);
    let request = format!(
        r#"{{"roleArn":"arn:aws:iam::{}:role/ci","roleSessionName":"ci","durationSeconds":900}}"#,
        scene.account,
    );
    let response = format!(
        r#"{{"credentials":{{"accessKeyId":"ASIA{}","expiration":"Jan 15, 2026, 9:00:00 PM","sessionToken":"{}"}},"subject":"repo:example/app","audience":"sts.amazonaws.com"}}"#,
        capitals(rng, 16),
        alphanumeric(rng, 120),
    );
    let mut call = Call::write("sts.amazonaws.com", name, request, response, caller);
    call.read_only = true;
    call
}

fn denied(rng: &mut fastrand::Rng, scene: Scene<'_>) -> Call {
    let Scene { account, region, .. } = scene;
    let caller = identity::anybody(rng, account, scene.at);
    let mut call = Call::read("ssm.amazonaws.com", "GetParameter", "null".to_owned(), caller);
    call.extra = format!(
        r#","errorCode":"AccessDenied","errorMessage":"User: arn:aws:sts::{account}:assumed-role/ci/s is not authorized to perform: ssm:GetParameter on resource: \"arn:aws:ssm:{region}:{account}:parameter/caf\u00e9\" because no identity-based policy allows it \ud83d\ude45""#
    );
    call
}

/// What a service does by itself: no request, no answer, details of its own.
fn service_event(rng: &mut fastrand::Rng, scene: Scene<'_>) -> Call {
    let mut call = Call::read(
        "kms.amazonaws.com",
        "RotateKey",
        "null".to_owned(),
        identity::service("AWS Internal"),
    );
    call.caller.identity =
        format!(r#"{{"accountId":"{}","invokedBy":"AWS Internal"}}"#, scene.account);
    call.read_only = false;
    call.kind = "AwsServiceEvent";
    call.extra =
        format!(r#","serviceEventDetails":{{"rotationType":"AUTOMATIC","keyId":"{}"}}"#, uuid(rng));
    call
}

/// Numbers that lose their form when somebody parses and prints them again.
fn floats(rng: &mut fastrand::Rng, scene: Scene<'_>) -> Call {
    let request = format!(
        r#"{{"startTime":15748{:05}.6{:02},"period":60,"threshold":1.50,"big":1234567890123456789012,"small":1E-7}}"#,
        rng.u32(..100_000),
        rng.u8(..100),
    );
    let caller = identity::anybody(rng, scene.account, scene.at);
    Call::read("monitoring.amazonaws.com", "GetMetricData", request, caller)
}

/// The other two CodeGurus.
fn sibling(rng: &mut fastrand::Rng, scene: Scene<'_>) -> Call {
    let caller = identity::anybody(rng, scene.account, scene.at);
    if rng.bool() {
        let request = r#"{"profilingGroupName":"codeguru-reviewer"}"#.to_owned();
        let source = "codeguru-profiler.amazonaws.com";
        Call::write(source, "ConfigureAgent", request, "null".to_owned(), caller)
    } else {
        let request = format!(r#"{{"scanName":"codeguru-reviewer-{}"}}"#, rng.u8(..));
        Call::read("codeguru-security.amazonaws.com", "GetScan", request, caller)
    }
}

/// Events of other services that name CodeGuru Reviewer somewhere: none of them is its own.
fn look_alike(rng: &mut fastrand::Rng, scene: Scene<'_>) -> Call {
    let Scene { account, region, at } = scene;
    let anybody = identity::anybody(rng, account, at);
    match rng.u8(..5) {
        0 | 1 => {
            let reviewer = super::SELECTED_SOURCE;
            let caller = identity::on_behalf(rng, account, at, reviewer);
            let request = format!(
                r#"{{"repositoryName":"app-{}","filePath":"src/main.py","commitSpecifier":"{:040x}"}}"#,
                rng.u8(..),
                rng.u128(..),
            );
            Call::read("codecommit.amazonaws.com", "GetFile", request, caller)
        }
        2 => {
            let request = r#"{"name":"reviews","eventPattern":"{\"source\":[\"aws.codeguru-reviewer\"],\"detail\":{\"eventSource\":[\"codeguru-reviewer.amazonaws.com\"]}}","state":"ENABLED"}"#;
            let response =
                format!(r#"{{"ruleArn":"arn:aws:events:{region}:{account}:rule/reviews"}}"#);
            Call::write("events.amazonaws.com", "PutRule", request.to_owned(), response, anybody)
        }
        3 => {
            let request = r#"{"lookupAttributes":[{"attributeKey":"EventSource","attributeValue":"codeguru-reviewer.amazonaws.com"}]}"#;
            Call::read("cloudtrail.amazonaws.com", "LookupEvents", request.to_owned(), anybody)
        }
        _ => {
            let request = r#"{"filter":{"eventSource":"codeguru-reviewer.amazonaws.com","eventName":"CreateCodeReview"}}"#;
            Call::read("securityhub.amazonaws.com", "GetFindings", request.to_owned(), anybody)
        }
    }
}

/// A call that the answer selects: `source` is CodeGuru Reviewer's name, escaped or not.
pub(super) fn reviewer(
    source: &'static str,
    name: &str,
    read_only: bool,
    request: String,
    response: String,
    caller: Caller,
) -> Call {
    Call { read_only, ..Call::write(source, name, request, response, caller) }
}
