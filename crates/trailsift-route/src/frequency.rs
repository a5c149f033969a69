//! How often a text stands in the records of a busy account: rough, for choosing what to search for.
//!
//! A wrong figure costs time and nothing else. The shares were judged from what CloudTrail documents
//! of each field and from which services call most; nothing here is measured at run time.

/// Of a thousand records, those that hold the text.
pub(crate) type PerMille = u32;

/// In practically every record: searching for it finds nothing out.
pub(crate) const ALWAYS: PerMille = 1000;

/// Texts with the share of the records that hold them. Whatever is part of one is as common at least.
const KNOWN: &[(PerMille, &[&str])] = &[
    (
        ALWAYS,
        &[
            "eventVersion",
            "userIdentity",
            "type",
            "principalId",
            "arn:aws:iam::",
            "accountId",
            "accessKeyId",
            "eventTime",
            "eventSource",
            ".amazonaws.com",
            "eventName",
            "awsRegion",
            "sourceIPAddress",
            "userAgent",
            "aws-",
            "requestParameters",
            "responseElements",
            "null",
            "requestID",
            "eventID",
            "readOnly",
            "true",
            "false",
            "eventType",
            "AwsApiCall",
            "managementEvent",
            "recipientAccountId",
            "eventCategory",
            "Management",
        ],
    ),
    // What comes with a role's session and with a call over TLS.
    (
        600,
        &[
            "AssumedRole",
            "arn:aws:sts::",
            ":assumed-role/",
            "userName",
            "sessionContext",
            "sessionIssuer",
            "attributes",
            "creationDate",
            "mfaAuthenticated",
            "webIdFederationData",
            "ASIA",
            "tlsDetails",
            "tlsVersion",
            "TLSv1.3",
            "TLS_AES_128_GCM_SHA256",
            "cipherSuite",
            "clientProvidedHostHeader",
        ],
    ),
    // The services, the calls and the callers that most records are of, and what comes with these.
    (
        300,
        &[
            "sts.amazonaws.com",
            "kms.amazonaws.com",
            "s3.amazonaws.com",
            "ec2.amazonaws.com",
            "AWSService",
            "IAMUser",
            "AKIA",
            "invokedBy",
            "AWS Internal",
            "AssumeRole",
            "Decrypt",
            "GenerateDataKey",
            "Describe",
            "List",
            "Get",
            "additionalEventData",
            "resources",
            "ARN",
            "AWS::",
            "sharedEventID",
            "vpcEndpointId",
            "vpce-",
            "vpcEndpointAccountId",
            "us-east-1",
            "Boto3/",
            "Botocore/",
            "aws-sdk-",
            "aws-internal/",
        ],
    ),
    (
        100,
        &[
            "logs.amazonaws.com",
            "lambda.amazonaws.com",
            "dynamodb.amazonaws.com",
            "ssm.amazonaws.com",
            "monitoring.amazonaws.com",
            "apiVersion",
            "errorCode",
            "errorMessage",
            "AccessDenied",
            "sessionCredentialFromConsole",
            "console.amazonaws.com",
            "Mozilla/5.0",
            "Create",
            "Put",
            "Update",
            "Delete",
            "inScopeOf",
            "roleArn",
            "roleSessionName",
            "bucketName",
            "keyId",
            "encryptionContext",
            "instancesSet",
            "AwsServiceEvent",
            "serviceEventDetails",
        ],
    ),
];

/// A name that is in no list: of a request's parameters, mostly.
const NAME: PerMille = 20;

/// A value that is in no list: one resource, one call, one person.
const VALUE: PerMille = 5;

/// The octets of a network.
const ADDRESS: PerMille = 50;

/// The share of the records that hold the text as the name of a field.
pub(crate) fn of_name(name: &str) -> PerMille {
    of(name).max(NAME)
}

/// The share of the records that hold the text as a value, or as part of one.
pub(crate) fn of_value(value: &str) -> PerMille {
    of(value).max(VALUE)
}

/// The share of the records that hold the beginning of an address: of a network that somebody knows,
/// for what is looked for is often one's own.
pub(crate) fn of_address(octets: &str) -> PerMille {
    of_value(octets).max(ADDRESS)
}

fn of(text: &str) -> PerMille {
    let known = KNOWN.iter().find(|(_, texts)| texts.iter().any(|known| known.contains(text)));
    let known = known.map_or(0, |(share, _)| *share);
    known.max(by_length(text)).max(by_shape(text))
}

/// Short ones are met by chance, in identifiers and in tokens.
fn by_length(text: &str) -> PerMille {
    match text.len() {
        0 | 1 => ALWAYS,
        2 => 700,
        3 => 100,
        4 => 20,
        _ => 0,
    }
}

/// The account and the region of a file are in each of its records.
fn by_shape(text: &str) -> PerMille {
    let is_account = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_region = text.len() < 16
        && text.bytes().filter(|byte| *byte == b'-').count() >= 2
        && text.ends_with(|last: char| last.is_ascii_digit())
        && text.bytes().rev().skip(1).all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    if is_account || is_region { 300 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_every_record_is_known_and_so_are_its_parts() {
        for text in ["eventSource", "Source", "type", "true", ".amazonaws.com", "arn:aws:", "e"] {
            assert_eq!(of(text), ALWAYS, "{text}");
        }
        for (rare, common) in [
            ("codeguru-reviewer.amazonaws.com", "s3.amazonaws.com"),
            ("AccessDenied", "AssumeRole"),
            ("Root", "IAMUser"),
            ("ap-east-1a", "ap-east-1"),
            ("payroll", "111122223333"),
            ("StopLogging", "Stop"),
        ] {
            assert!(of_value(rare) < of_value(common), "{rare} {common}");
        }
        assert!(of_name("errorCode") < of_name("tlsDetails"));
        assert!(of_name("securityGroupId") < of_name("errorCode"));
    }
}
