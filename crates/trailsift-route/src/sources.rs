//! The names by which services sign their events: what stands before `.amazonaws.com` in an
//! `eventSource`. Only for telling a slip: a source that is not here is as good as any other unless
//! it is a letter or two away from one that is.

use crate::words;

/// What every event source ends in.
const SUFFIX: &str = ".amazonaws.com";

/// Sorted. From the endpoints and signing names of AWS's public service models, and from what the
/// user guides say of console, sign-in and retired services.
#[rustfmt::skip]
const KNOWN: &[&str] = &[
    "a4b", "access-analyzer", "account", "acm", "acm-pca", "aco-automation", "aiops", "airflow",
    "airflow-serverless", "amazonmq", "amplify", "amplifybackend", "amplifyuibuilder", "aoss",
    "apigateway", "app-integrations", "appconfig", "appconfigdata", "appfabric", "appflow",
    "application-autoscaling", "application-cost-profiler", "application-signals",
    "applicationinsights", "appmesh", "apprunner", "appstream", "appstream2", "appsync", "apptest",
    "aps", "arc-region-switch", "arc-zonal-shift", "artifact", "athena", "auditmanager",
    "autoscaling", "autoscaling-plans", "aws-marketplace", "awsssoportal", "b2bi", "backup",
    "backup-gateway", "backup-search", "backup-storage", "batch", "bcm-dashboards",
    "bcm-data-exports", "bcm-pricing-calculator", "bcm-recommended-actions", "bedrock",
    "bedrock-agentcore", "bedrock-mantle", "billing", "billingconductor", "billingconsole",
    "braket", "budgets", "bugbust", "cases", "cassandra", "ce", "chatbot", "chime", "cleanrooms",
    "cleanrooms-ml", "cloud9", "cloudcontrolapi", "clouddirectory", "cloudformation", "cloudfront",
    "cloudfront-keyvaluestore", "cloudhsm", "cloudsearch", "cloudsearchdomain", "cloudshell",
    "cloudtrail", "cloudtrail-data", "codeartifact", "codebuild", "codecatalyst", "codecommit",
    "codeconnections", "codedeploy", "codeguru-profiler", "codeguru-reviewer", "codeguru-security",
    "codepipeline", "codestar", "codestar-connections", "codestar-notifications", "codewhisperer",
    "cognito-identity", "cognito-idp", "cognito-sync", "comprehend", "comprehendmedical",
    "compute-optimizer", "config", "connect", "connect-campaigns", "consolemobile",
    "controlcatalog", "controltower", "cost-optimization-hub", "cur", "databrew", "dataexchange",
    "datapipeline", "datasync", "datazone", "dax", "dbqms", "deadline", "deepcomposer", "deeplens",
    "deepracer", "detective", "devicefarm", "devops-guru", "directconnect", "discovery", "dlm",
    "dms", "docdb-elastic", "drs", "ds", "ds-data", "dsql", "dynamodb", "ebs", "ec2",
    "ec2-instance-connect", "ec2messages", "ecr", "ecr-public", "ecs", "eks", "eks-auth",
    "elastic-inference", "elasticache", "elasticbeanstalk", "elasticfilesystem",
    "elasticloadbalancing", "elasticmapreduce", "elastictranscoder", "emr-containers",
    "emr-serverless", "entityresolution", "es", "events", "evidently", "evs", "finspace",
    "finspace-api", "firehose", "fis", "fms", "forecast", "frauddetector", "freetier", "fsx",
    "gamelift", "gameliftstreams", "geo", "geo-places", "geo-routes", "glacier",
    "globalaccelerator", "glue", "grafana", "greengrass", "groundstation", "guardduty", "health",
    "healthlake", "honeycode", "iam", "identitystore", "imagebuilder", "importexport", "inspector",
    "inspector-scan", "inspector2", "internetmonitor", "invoicing", "iot", "iotanalytics",
    "iotdata", "iotdeviceadvisor", "iotevents", "ioteventsdata", "iotfleetwise",
    "iotmanagedintegrations", "iotroborunner", "iotsecuredtunneling", "iotsitewise",
    "iotthingsgraph", "iottwinmaker", "iotwireless", "iq", "ivs", "ivschat", "kafka",
    "kafkaconnect", "kendra", "kendra-ranking", "kinesis", "kinesisanalytics", "kinesisvideo",
    "kms", "lakeformation", "lambda", "launchwizard", "lex", "license-manager",
    "license-manager-linux-subscriptions", "license-manager-user-subscriptions", "lightsail",
    "logs", "lookoutequipment", "lookoutmetrics", "lookoutvision", "m2", "machinelearning", "macie",
    "macie2", "mail-manager", "managedblockchain", "managedblockchain-query",
    "marketplacecommerceanalytics", "mediaconnect", "mediaconvert", "medialive", "mediapackage",
    "mediapackage-vod", "mediapackagev2", "mediastore", "mediatailor", "medical-imaging",
    "memorydb", "mgh", "mgn", "migrationhub-config", "migrationhub-orchestrator",
    "migrationhub-strategy", "mobileanalytics", "mobilehub", "mobiletargeting", "monitoring",
    "monitron", "mpa", "neptune-db", "neptune-graph", "network-firewall", "networkflowmonitor",
    "networkmanager", "networkmonitor", "nimble", "notifications", "notifications-contacts",
    "nova-act", "oam", "observabilityadmin", "odb", "oidc", "omics", "opsworks", "opsworks-cm",
    "organizations", "osis", "outposts", "panorama", "partnercentral", "partnercentral-account",
    "partnercentral-benefits", "partnercentral-channel", "partnercentral-selling",
    "payment-cryptography", "payments", "pca-connector-ad", "pca-connector-scep", "pcs",
    "personalize", "pi", "pinpoint", "pipes", "polly", "pricing", "profile", "proton",
    "purchaseorders", "q", "qapps", "qbusiness", "qldb", "qldb-session", "quicksight", "ram",
    "rbin", "rds", "rds-data", "redshift", "redshift-data", "redshift-serverless",
    "refactor-spaces", "rekognition", "repostspace", "resiliencehub", "resource-explorer-2",
    "resource-groups", "rhelkb", "robomaker", "rolesanywhere", "route53",
    "route53-recovery-cluster", "route53-recovery-control-config", "route53-recovery-readiness",
    "route53domains", "route53globalresolver", "route53profiles", "route53resolver", "rtbfabric",
    "rum", "s3", "s3-object-lambda", "s3-outposts", "s3express", "s3tables", "s3vectors",
    "sagemaker", "sagemaker-geospatial", "savingsplans", "scheduler", "schemas", "scn", "sdb",
    "secretsmanager", "security-ir", "securityagent", "securityhub", "securitylake",
    "serverlessrepo", "servicecatalog", "servicecatalog-appregistry", "servicediscovery",
    "servicequotas", "ses", "shield", "signer", "signin", "simspaceweaver", "sms", "sms-voice",
    "snow-device-management", "snowball", "sns", "social-messaging", "sqlworkbench", "sqs", "ssm",
    "ssm-contacts", "ssm-guiconnect", "ssm-incidents", "ssm-quicksetup", "ssm-sap", "ssmmessages",
    "sso", "sso-directory", "sso-oauth", "states", "storagegateway", "sts", "support", "supportapp",
    "supportplans", "sustainability", "swf", "synthetics", "tagging", "tax", "textract",
    "thinclient", "timestream", "timestream-influxdb", "tnb", "transcribe", "transfer", "transform",
    "translate", "trustedadvisor", "user-subscriptions", "uxc", "vendor-insights",
    "verifiedpermissions", "voiceid", "vpc-lattice", "waf", "waf-regional", "wafv2", "wam",
    "wellarchitected", "wickr", "wisdom", "workdocs", "worklink", "workmail", "workmailmessageflow",
    "workspaces", "workspaces-instances", "workspaces-web", "xray",
];

/// Names that people call a service by, and the one that its events have.
const CALLED: &[(&str, &str)] = &[
    ("apigatewayv2", "apigateway"),
    ("aurora", "rds"),
    ("bedrock-runtime", "bedrock"),
    ("cloudhsmv2", "cloudhsm"),
    ("cloudwatch", "monitoring"),
    ("cloudwatchlogs", "logs"),
    ("codeguru", "codeguru-reviewer"),
    ("cognito", "cognito-idp"),
    ("console", "signin"),
    ("docdb", "rds"),
    ("documentdb", "rds"),
    ("efs", "elasticfilesystem"),
    ("elasticsearch", "es"),
    ("elb", "elasticloadbalancing"),
    ("elbv2", "elasticloadbalancing"),
    ("email", "ses"),
    ("emr", "elasticmapreduce"),
    ("eventbridge", "events"),
    ("keyspaces", "cassandra"),
    ("location", "geo"),
    ("memory-db", "memorydb"),
    ("mq", "amazonmq"),
    ("msk", "kafka"),
    ("mwaa", "airflow"),
    ("neptune", "rds"),
    ("opensearch", "es"),
    ("sesv2", "ses"),
    ("stepfunctions", "states"),
    ("systemsmanager", "ssm"),
    ("vpc", "ec2"),
];

/// What is wrong with a text, and how to mend it.
pub(crate) type Slip = (String, String);

/// Why no event is known to come from this source, if it looks like a slip.
pub(crate) fn of_whole(source: &str) -> Option<Slip> {
    let lower = source.trim().to_ascii_lowercase();
    // China's: nobody lists them.
    if source.ends_with(".amazonaws.com.cn") {
        return None;
    }
    let shown = words::shown(source);
    let Some(name) = lower.strip_suffix(SUFFIX) else {
        let name = lower.split('.').next().unwrap_or_default();
        let name = meant(name).or_else(|| is_known(name).then_some(name));
        let remedy = match name {
            Some(name) => format!("write \"{name}{SUFFIX}\""),
            None => format!("write the source in full, such as \"iam{SUFFIX}\""),
        };
        return Some((format!("every event source ends in {SUFFIX}, unlike {shown}"), remedy));
    };
    let meant = meant(name);
    let corrected = format!("{}{SUFFIX}", meant.unwrap_or(name));
    if source != lower {
        let problem = format!("event sources are in lower case and without spaces, unlike {shown}");
        return Some((problem, format!("write \"{}\"", corrected.escape_debug())));
    }
    meant.map(|_| unknown(&shown, &corrected))
}

/// The same of the beginning of a source.
pub(crate) fn of_start(start: &str) -> Option<Slip> {
    let lower = start.to_ascii_lowercase();
    let shown = words::shown(start);
    if start != lower {
        let remedy = format!("write \"{}\"", lower.escape_debug());
        return Some((format!("event sources are in lower case, unlike {shown}"), remedy));
    }
    if KNOWN.iter().any(|known| format!("{known}{SUFFIX}").starts_with(start)) {
        return None;
    }
    let (name, rest) = start.split_at(start.find('.').unwrap_or(start.len()));
    let whole = meant(name).map(|meant| format!("{meant}{rest}"));
    let corrected = whole.or_else(|| beginning_meant(start).map(str::to_owned))?;
    Some(unknown(&shown, &corrected))
}

/// The beginning of a known name that this one, which begins none, probably stands for.
fn beginning_meant(start: &str) -> Option<&'static str> {
    let lengths = || [start.len() + 1, start.len(), start.len() - 1].into_iter();
    let beginnings = KNOWN.iter().flat_map(|known| lengths().filter_map(|end| known.get(..end)));
    let is_near = |known: &&str| strsim::damerau_levenshtein(start, known) == 1;
    // Short ones are near to many.
    let nearest = beginnings.filter(|_| start.len() >= 6).filter(is_near);
    nearest.min_by_key(|known| (std::cmp::Reverse(known.len()), *known))
}

/// The same of the end of a source.
pub(crate) fn of_end(end: &str) -> Option<Slip> {
    let lower = end.to_ascii_lowercase();
    let shown = words::shown(end);
    let is_end = SUFFIX.ends_with(&lower) || lower.ends_with(SUFFIX) || lower.ends_with(".cn");
    if !is_end {
        let stem = lower.trim_end_matches(".com").trim_end_matches(".amazon");
        let stem = stem.trim_end_matches(".aws").trim_end_matches(".amazonaws");
        let remedy = format!("write \"{}{SUFFIX}\"", stem.escape_debug());
        return Some((format!("every event source ends in {SUFFIX}, unlike {shown}"), remedy));
    }
    let remedy = || format!("write \"{}\"", lower.escape_debug());
    (end != lower).then(|| (format!("event sources are in lower case, unlike {shown}"), remedy()))
}

fn unknown(shown: &str, corrected: &str) -> Slip {
    let problem = format!("no service is known to write {shown}");
    (problem, format!("did you mean \"{}\"?", corrected.escape_debug()))
}

fn is_known(name: &str) -> bool {
    KNOWN.binary_search(&name).is_ok()
}

/// The known name that this one, which is not known, probably stands for.
fn meant(name: &str) -> Option<&'static str> {
    if is_known(name) {
        return None;
    }
    if let Some((_, known)) = CALLED.iter().find(|(called, _)| *called == name) {
        return Some(known);
    }
    let most = if name.len() < 6 { 1 } else { 2 };
    // What differs more in length is further away: a configuration may hold thousands of values.
    let alike = KNOWN.iter().filter(|known| known.len().abs_diff(name.len()) <= most);
    let near = alike.map(|known| (strsim::damerau_levenshtein(name, known), *known));
    let near = near.filter(|(distance, known)| *distance <= most && is_slip(name, known));
    near.min().map(|(_, known)| known)
}

/// Whether a name this near to a known one is that one, misspelt, and not another service.
fn is_slip(name: &str, known: &str) -> bool {
    // Of three letters many are names: only those that change places are a slip.
    let letters = |name: &str| {
        let mut letters: Vec<_> = name.chars().collect();
        letters.sort_unstable();
        letters
    };
    let is_short = name.len() <= 3 || known.len() <= 3;
    let is_other = is_short && name.len() == known.len() && letters(name) != letters(known);
    // A service's next version differs in its number alone.
    let unnumbered = |name: &str| {
        let name = name.trim_end_matches(|last: char| last.is_ascii_digit());
        name.strip_suffix('v').unwrap_or(name).to_owned()
    };
    let is_next =
        name.ends_with(|last: char| last.is_ascii_digit()) && unnumbered(name) == unnumbered(known);
    known.len() > 2 && !is_other && !is_next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_names_are_sorted_and_many() {
        assert!(KNOWN.len() > 400, "{}", KNOWN.len());
        assert!(KNOWN.is_sorted_by(|a, b| a < b));
        assert!(CALLED.is_sorted_by(|a, b| a < b));
        for (called, known) in CALLED {
            assert!(is_known(known) && !is_known(called), "{called}");
        }
    }

    #[test]
    fn a_known_source_is_no_slip_and_neither_is_one_that_is_far_from_all() {
        for name in KNOWN {
            assert_eq!(of_whole(&format!("{name}{SUFFIX}")), None, "{name}");
            assert_eq!(of_start(name), None, "{name}");
        }
        for name in ["inspector3", "wafv3", "abc", "quantumledger", "s3-new-thing", "ec3"] {
            assert_eq!(of_whole(&format!("{name}{SUFFIX}")), None, "{name}");
        }
        assert_eq!(of_whole("s3.amazonaws.com.cn"), None);
        for start in ["codeguru", "code", "s3.", "iam.amazonaws", "i", "", "quantum"] {
            assert_eq!(of_start(start), None, "{start}");
        }
        for end in [".amazonaws.com", "-reviewer.amazonaws.com", "amazonaws.com", ".com.cn", "m"] {
            assert_eq!(of_end(end), None, "{end}");
        }
    }

    #[test]
    fn a_slip_is_named_with_what_was_meant() {
        for (source, problem, remedy) in [
            (
                "codeguru-reviwer.amazonaws.com",
                "no service is known to write \"codeguru-reviwer.amazonaws.com\"",
                "did you mean \"codeguru-reviewer.amazonaws.com\"?",
            ),
            (
                "cloudwatch.amazonaws.com",
                "no service is known to write \"cloudwatch.amazonaws.com\"",
                "did you mean \"monitoring.amazonaws.com\"?",
            ),
            (
                "iamm.amazonaws.com",
                "no service is known to write \"iamm.amazonaws.com\"",
                "did you mean \"iam.amazonaws.com\"?",
            ),
            (
                "IAM.amazonaws.com",
                "event sources are in lower case and without spaces, unlike \"IAM.amazonaws.com\"",
                "write \"iam.amazonaws.com\"",
            ),
            (
                "lamdba.amazonaws.com ",
                "event sources are in lower case and without spaces, unlike \"lamdba.amazonaws.com \"",
                "write \"lambda.amazonaws.com\"",
            ),
            (
                "codeguru-reviewer",
                "every event source ends in .amazonaws.com, unlike \"codeguru-reviewer\"",
                "write \"codeguru-reviewer.amazonaws.com\"",
            ),
            (
                "efs.aws.amazon.com",
                "every event source ends in .amazonaws.com, unlike \"efs.aws.amazon.com\"",
                "write \"elasticfilesystem.amazonaws.com\"",
            ),
            (
                "example.com",
                "every event source ends in .amazonaws.com, unlike \"example.com\"",
                "write the source in full, such as \"iam.amazonaws.com\"",
            ),
        ] {
            assert_eq!(of_whole(source), Some((problem.to_owned(), remedy.to_owned())), "{source}");
        }
        let (_, remedy) = of_start("codegru-reviewer.").expect("a slip");
        assert_eq!(remedy, "did you mean \"codeguru-reviewer.\"?");
        let (_, remedy) = of_start("codegru").expect("a slip");
        assert_eq!(remedy, "did you mean \"codeguru\"?");
        let (_, remedy) = of_start("Codeguru").expect("a slip");
        assert_eq!(remedy, "write \"codeguru\"");
        let (_, remedy) = of_end("-reviewer").expect("a slip");
        assert_eq!(remedy, "write \"-reviewer.amazonaws.com\"");
        assert!(of_end("-Reviewer.amazonaws.com").is_some());
    }
}
