//! The templates, really deployed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{Capability, Parameter, StackStatus};
use aws_sdk_s3::types::FilterRuleName;

use super::read;

/// How long a stack may take.
const PATIENCE: Duration = Duration::from_secs(120);

struct Stack {
    name: String,
    client: Client,
    outputs: BTreeMap<String, String>,
    /// Types by logical name.
    resources: BTreeMap<String, String>,
}

/// A name that nobody else has.
fn unique(what: &str) -> String {
    format!("deploy-{what}-{:08x}", fastrand::u32(..))
}

async fn configuration() -> aws_config::SdkConfig {
    assert!(std::env::var_os("AWS_ENDPOINT_URL").is_some(), "AWS_ENDPOINT_URL names a LocalStack");
    aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await
}

impl Stack {
    /// Deploys the template and waits until all of it is there.
    async fn deploy(template: &str, name: &str, parameters: &[(&str, &str)]) -> Self {
        let client = Client::new(&configuration().await);
        let parameters = parameters.iter().map(|(key, value)| {
            Parameter::builder().parameter_key(*key).parameter_value(*value).build()
        });
        let create = client
            .create_stack()
            .stack_name(name)
            .template_body(read(format!("deploy/cloudformation/{template}")))
            .set_parameters(Some(parameters.collect()))
            .capabilities(Capability::CapabilityIam);
        create.send().await.expect("accepted");
        let until = Instant::now() + PATIENCE;
        let stack = loop {
            let answer = client.describe_stacks().stack_name(name).send().await.expect("described");
            let stack = answer.stacks().first().expect("the stack").clone();
            match stack.stack_status() {
                Some(StackStatus::CreateComplete) => break stack,
                Some(StackStatus::CreateInProgress) if Instant::now() < until => {}
                other => panic!("{name}: {other:?} {:?}", stack.stack_status_reason()),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        let outputs = stack.outputs().iter().filter_map(|output| {
            Some((output.output_key()?.to_owned(), output.output_value()?.to_owned()))
        });
        let outputs = outputs.collect();
        let described = client.describe_stack_resources().stack_name(name).send().await;
        let resources = described
            .expect("described")
            .stack_resources()
            .iter()
            .map(|resource| {
                let (name, kind) = (resource.logical_resource_id(), resource.resource_type());
                (name.expect("a name").to_owned(), kind.expect("a type").to_owned())
            })
            .collect();
        Self { name: name.to_owned(), client, outputs, resources }
    }

    fn count(&self, kind: &str) -> usize {
        self.resources.values().filter(|it| *it == kind).count()
    }

    /// Deletes it, as far as LocalStack can: it looks at no condition then, and stumbles over what is not there. Nobody else has
    /// its name.
    async fn remove(self) {
        drop(self.client.delete_stack().stack_name(&self.name).send().await);
    }
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn a_bucket_made_by_the_ingest_template_announces_the_prefix_alone() {
    let name = unique("ingest");
    let trail = "arn:aws:cloudtrail:us-east-1:000000000000:trail/organization";
    let parameters = [
        ("BucketName", name.as_str()),
        ("QueueName", &name),
        ("KeyPrefix", "org/AWSLogs/"),
        ("TrailArn", trail),
        ("ExpireAfterDays", "30"),
        ("VisibilityTimeout", "60"),
        ("MaxReceiveCount", "20"),
        ("MessageRetention", "345600"),
    ];
    let stack = Stack::deploy("ingest.yaml", &name, &parameters).await;
    let configuration = configuration().await;
    let s3 = aws_sdk_s3::config::Builder::from(&configuration).force_path_style(true).build();
    let s3 = aws_sdk_s3::Client::from_conf(s3);
    let answer = s3.get_bucket_notification_configuration().bucket(&name).send().await;
    let answer = answer.expect("the bucket");
    let [to_queue] = answer.queue_configurations() else { panic!("{answer:?}") };
    assert_eq!(to_queue.queue_arn(), stack.outputs["QueueArn"]);
    let rules = to_queue.filter().and_then(|it| it.key()).expect("a filter").filter_rules();
    let rules: Vec<_> = rules.iter().map(|rule| (rule.name(), rule.value())).collect();
    // The service writes the name of the rule with a capital, the SDK without.
    let [(Some(rule), Some("org/AWSLogs/"))] = rules[..] else { panic!("{rules:?}") };
    assert_eq!(rule.as_str().to_lowercase(), FilterRuleName::Prefix.as_str());
    let policy = s3.get_bucket_policy().bucket(&name).send().await.expect("a policy");
    assert!(policy.policy().expect("text").contains(trail));
    assert!(!stack.outputs.contains_key("NotificationCommand"));
    let sqs = aws_sdk_sqs::Client::new(&configuration);
    let answer = sqs
        .get_queue_attributes()
        .queue_url(&stack.outputs["QueueUrl"])
        .attribute_names(aws_sdk_sqs::types::QueueAttributeName::All)
        .send();
    let attributes = answer.await.expect("the queue");
    let attribute = |name: &str| {
        let all = attributes.attributes().expect("attributes");
        all.iter().find(|(key, _)| key.as_str() == name).expect("there").1.as_str()
    };
    assert_eq!(attribute("VisibilityTimeout"), "60");
    assert_eq!(attribute("MessageRetentionPeriod"), "345600");
    assert!(attribute("RedrivePolicy").contains(&stack.outputs["DeadLetterQueueArn"]));
    stack.remove().await;
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn for_a_bucket_that_exists_the_ingest_template_makes_the_queues_and_says_the_rest() {
    let name = unique("found");
    let parameters = [
        ("BucketName", name.as_str()),
        ("QueueName", &name),
        ("CreateBucket", "false"),
        ("KeyPrefix", "AWSLogs/"),
    ];
    let stack = Stack::deploy("ingest.yaml", &name, &parameters).await;
    assert_eq!(stack.count("AWS::S3::Bucket"), 0);
    assert_eq!(stack.count("AWS::SQS::Queue"), 2);
    let command = &stack.outputs["NotificationCommand"];
    let json = command.split('\'').nth(1).expect("in quotes");
    let notification: serde_json::Value = serde_json::from_str(json).expect("JSON");
    let to_queue = &notification["QueueConfigurations"][0];
    assert_eq!(to_queue["QueueArn"], stack.outputs["QueueArn"].as_str());
    assert_eq!(to_queue["Filter"]["Key"]["FilterRules"][0]["Value"], "AWSLogs/");
    stack.remove().await;
}

const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:trailsift";
const KEY: &str = "arn:aws:kms:us-east-1:000000000000:key/12345678-1234-1234-1234-123456789012";

/// What every service needs.
const LEAST: [(&str, &str); 4] = [
    ("Image", "trailsift:0.1.0"),
    ("ConfigArn", "arn:aws:secretsmanager:us-east-1:000000000000:secret:trailsift-AbCdEf"),
    ("VpcId", "vpc-12345678"),
    ("SubnetIds", "subnet-12345678,subnet-87654321"),
];

/// LocalStack's free edition has no ECS, no scaling and no metric filters: it notes those and makes the rest, that is roles,
/// policies, the log group, the security group and alarms.
#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn the_service_template_makes_what_its_parameters_ask_for_and_nothing_else() {
    let least = Stack::deploy("service.yaml", &unique("least"), &LEAST).await;
    assert_eq!(least.count("AWS::IAM::Policy"), 0, "{:?}", least.resources);
    assert_eq!(least.count("AWS::IAM::Role"), 2);
    assert_eq!(least.count("AWS::ApplicationAutoScaling::ScalingPolicy"), 0);
    assert_eq!(least.count("AWS::CloudWatch::Alarm"), 3);
    assert_eq!(least.count("AWS::ECS::Cluster"), 1);
    least.remove().await;

    let all = [
        ("ImageRepositoryArn", "arn:aws:ecr:us-east-1:000000000000:repository/trailsift"),
        ("ClusterName", "default"),
        ("Secret1Name", "SIEM_TOKEN"),
        ("Secret1Arn", "arn:aws:secretsmanager:us-east-1:000000000000:secret:siem-AbCdEf"),
        ("Secret2Name", "SEARCH_PASSWORD"),
        ("Secret2Arn", "arn:aws:ssm:us-east-1:000000000000:parameter/search"),
        ("SecretsKmsKeyArn", KEY),
        ("ExtraEgressPort", "9093"),
        ("ExtraEgressCidr", "10.0.0.0/8"),
        ("MetricsSecurityGroupId", "sg-12345678"),
        ("QueueArn", QUEUE),
        ("QueueName", "trailsift"),
        ("DeadLetterQueueName", "trailsift-dead"),
        ("BucketName", "org-trail"),
        ("KeyPrefix", "AWSLogs/o-example/"),
        ("TrailKmsKeyArn", KEY),
        ("QueueKmsKeyArn", KEY),
        ("AllowDoctor", "true"),
        ("AssumeRoleArns", "arn:aws:iam::111122223333:role/a,arn:aws:iam::444455556666:role/b"),
        ("SinkBucketName", "lake"),
        (
            "SinkQueueArns",
            "arn:aws:sqs:us-east-1:000000000000:parked,arn:aws:sqs:us-east-1:000000000000:out.fifo",
        ),
        ("SinkTopicArns", "arn:aws:sns:us-east-1:000000000000:topic"),
        ("SinkStreamArns", "arn:aws:kinesis:us-east-1:000000000000:stream/s"),
        ("SinkDeliveryStreamArns", "arn:aws:firehose:us-east-1:000000000000:deliverystream/d"),
        ("SinkEventBusArns", "arn:aws:events:us-east-1:000000000000:event-bus/default"),
        (
            "SinkLogGroupArns",
            "arn:aws:logs:us-east-1:000000000000:log-group:a,arn:aws:logs:us-east-1:000000000000:log-group:b",
        ),
        ("SinkKmsKeyArns", KEY),
        ("AlarmTopicArn", "arn:aws:sns:us-east-1:000000000000:alarms"),
    ];
    let parameters = [&LEAST[..], &all[..]].concat();
    let all = Stack::deploy("service.yaml", &unique("all"), &parameters).await;
    assert_eq!(all.count("AWS::IAM::Policy"), 17, "{:?}", all.resources);
    assert_eq!(all.count("AWS::ApplicationAutoScaling::ScalingPolicy"), 1);
    assert_eq!(all.count("AWS::CloudWatch::Alarm"), 5);
    assert_eq!(all.count("AWS::ECS::Cluster"), 0);
    all.remove().await;
}
