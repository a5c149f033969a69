use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tokio::process::Command;

use super::scenario::Scenario;
use crate::process::tied;

/// The account and bucket of every scenario.
pub(super) const ACCOUNT: &str = "111122223333";
pub(super) const BUCKET: &str = "bench-trail";

/// Where the program finds what it needs.
pub(super) struct Places<'a> {
    pub(super) endpoint: &'a str,
    pub(super) queue_url: &'a str,
    pub(super) collector: &'a str,
}

/// Writes the configuration of one process into its folder and answers the file's path.
pub(super) fn write(
    folder: &Path,
    scenario: &Scenario,
    places: &Places<'_>,
) -> anyhow::Result<PathBuf> {
    let path = folder.join("trailsift.toml");
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&path, text(folder, scenario, places)))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn text(folder: &Path, scenario: &Scenario, places: &Places<'_>) -> String {
    let string = |value: &str| toml::Value::String(value.to_owned()).to_string();
    let data = string(&folder.join("data").to_string_lossy());
    let Places { endpoint, queue_url, collector } = places;
    let mut text = format!(
        "[service]\nlisten = \"127.0.0.1:0\"\ndata_dir = {data}\nhash_objects = {}\n\n\
         [sink.collector]\ntype = \"http\"\nurl = {}\nformat = \"raw\"\n\n\
         [account]\nid = \"{ACCOUNT}\"\nname = \"bench\"\nregion = \"us-east-1\"\n\
         queue_url = {}\nendpoint_url = {}\nbuckets = [{{ name = \"{BUCKET}\" }}]\n",
        scenario.hash_objects,
        string(&format!("{collector}/ingest")),
        string(queue_url),
        string(endpoint),
    );
    let selectors = std::iter::once(SELECTING).chain(OTHERS.iter().copied()).take(scenario.routes);
    for (number, selector) in selectors.enumerate() {
        // Writing to a String cannot fail.
        write!(
            text,
            "\n[[route]]\nname = \"route-{number}\"\nsinks = [\"collector\"]\n\
             [[route.selector]]\n{selector}\n"
        )
        .unwrap_or_default();
    }
    text
}

const SELECTING: &str = "eventSource = { equals = [\"codeguru-reviewer.amazonaws.com\"] }";

/// What other teams ask for. Nothing that is generated matches; some of it is near to it.
const OTHERS: [&str; 19] = [
    "eventSource = { equals = [\"guardduty.amazonaws.com\"] }",
    "eventName = { equals = [\"DeleteTrail\", \"StopLogging\", \"UpdateTrail\"] }",
    "eventSource = { equals = [\"kms.amazonaws.com\"] }\neventName = { equals = [\"DisableKey\", \"ScheduleKeyDeletion\"] }",
    "\"userIdentity.type\" = { equals = [\"Root\"] }\neventName = { equals = [\"CreateAccessKey\"] }",
    "errorCode = { equals = [\"AccessDenied\"] }\neventSource = { equals = [\"organizations.amazonaws.com\"] }",
    "sourceIPAddress = { starts_with = [\"192.0.2.\"] }",
    "eventSource = { equals = [\"s3.amazonaws.com\"] }\neventName = { starts_with = [\"DeleteBucket\"] }",
    "eventSource = { equals = [\"ec2.amazonaws.com\"] }\neventName = { starts_with = [\"AuthorizeSecurityGroup\"] }",
    "\"requestParameters.bucketName\" = { starts_with = [\"finance-\"] }",
    "awsRegion = { equals = [\"ap-northeast-3\"] }",
    "userAgent = { starts_with = [\"sqlmap\"] }",
    "eventName = { equals = [\"ConsoleLogin\"] }\nawsRegion = { equals = [\"us-gov-west-1\"] }",
    "\"userIdentity.sessionContext.sessionIssuer.userName\" = { equals = [\"BreakGlass\"] }",
    "eventSource = { equals = [\"iam.amazonaws.com\"] }\neventName = { starts_with = [\"Attach\"] }",
    "\"resources.ARN\" = { ends_with = [\":key/00000000-0000-0000-0000-000000000000\"] }",
    "eventType = { equals = [\"AwsConsoleAction\"] }",
    "\"userIdentity.accountId\" = { equals = [\"000000000001\"] }",
    "eventSource = { equals = [\"secretsmanager.amazonaws.com\"] }\neventName = { equals = [\"GetSecretValue\"] }",
    "eventSource = { equals = [\"lambda.amazonaws.com\"] }\neventName = { starts_with = [\"UpdateFunctionCode\"] }",
];

/// The program as a service, with nothing of this machine's AWS settings.
pub(super) fn command(program: &Path, config: &Path) -> Command {
    let mut command = tied(program);
    command.args(["run", "--log-format", "json", "--config"]).arg(config);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("AWS_") || text.starts_with("TRAILSIFT_") {
            command.env_remove(&name);
        }
    }
    command
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    command
}
