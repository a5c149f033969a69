//! What AWS and we allow as names, ids and addresses. Decided here, before any request is built.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use super::findings::names_a_secret;
use super::kinds::Text;

/// What is wrong, as it follows the key's name, and the remedy.
type Verdict = Result<(), (String, String)>;

fn refuse(problem: impl Into<String>, hint: impl Into<String>) -> Verdict {
    Err((problem.into(), hint.into()))
}

/// A label of our own: of routes, sinks and accounts, used in metrics and logs.
pub(super) const NAME: Text = Text {
    what: "a name of 1 to 64 letters, digits, `-`, `_` and `.`",
    judge: |text| match is_name(text) {
        true => Ok(()),
        false => {
            refuse(format!("is no name: {text:?}"), "use 1 to 64 letters, digits, `-`, `_` and `.`")
        }
    },
};

/// Whether a text can be a label of our own.
pub(super) fn is_name(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

/// An AWS account id.
pub(super) const ACCOUNT_ID: Text = Text {
    what: "an account id of 12 digits, in quotes",
    judge: |text| match is_account_id(text) {
        true => Ok(()),
        false => refuse(
            format!("is no AWS account id: {text:?}"),
            "an account id has 12 digits: \"111122223333\"",
        ),
    },
};

pub(super) fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|c| c.is_ascii_digit())
}

/// A region's name, by its form: regions appear faster than releases.
pub(super) const REGION: Text = Text {
    what: "a region such as \"us-east-1\"",
    judge: |text| {
        let parts: Vec<_> = text.split('-').collect();
        let legal = match parts.split_last() {
            Some((number, words)) => {
                (1..=2).contains(&number.len())
                    && number.bytes().all(|c| c.is_ascii_digit())
                    && words.len() >= 2
                    && words.iter().all(|word| {
                        !word.is_empty() && word.bytes().all(|c| c.is_ascii_lowercase())
                    })
            }
            None => false,
        };
        match legal {
            true => Ok(()),
            false => refuse(
                format!("is no AWS region: {text:?}"),
                "a region looks like \"us-east-1\"; an availability zone such as \"us-east-1a\" is none",
            ),
        }
    },
};

/// A bucket's name, by S3's naming rules.
pub(super) const BUCKET: Text = Text {
    what: "a bucket name",
    judge: |text| {
        // S3 creates no such names either; a notification is not asked for that much.
        let odd = text.contains("..") || text.parse::<Ipv4Addr>().is_ok();
        match trailsift_trail::bucket_name_is_legal(text) && !odd {
            true => Ok(()),
            false => refuse(
                format!("is no bucket name: {text:?}"),
                "give the bare name (3 to 63 lower case letters, digits, `-` and `.`), no URL or ARN",
            ),
        }
    },
};

/// The beginning of an object key.
pub(super) const KEY_PREFIX: Text = Text {
    what: "the beginning of an object key",
    judge: |text| match text {
        _ if text.starts_with('/') => {
            refuse(format!("begins with a slash: {text:?}"), "object keys do not: leave it away")
        }
        _ if text.len() > 1024 || text.chars().any(char::is_control) => refuse(
            "is no beginning of an object key",
            "use at most 1024 bytes, no control characters",
        ),
        _ => Ok(()),
    },
};

/// The ARN of an IAM role.
pub(super) const ROLE_ARN: Text = Text {
    what: "the ARN of an IAM role",
    judge: |text| {
        let parts: Vec<_> = text.splitn(6, ':').collect();
        let legal = match parts[..] {
            ["arn", partition, "iam", "", account, resource] => {
                partition
                    .strip_prefix("aws")
                    .is_some_and(|rest| rest.bytes().all(|c| c.is_ascii_lowercase() || c == b'-'))
                    && is_account_id(account)
                    && resource.strip_prefix("role/").is_some_and(|name| {
                        !name.is_empty()
                            && name
                                .bytes()
                                .all(|c| c.is_ascii_alphanumeric() || b"+=,.@_/-".contains(&c))
                    })
            }
            _ => false,
        };
        match legal {
            true => Ok(()),
            false => refuse(
                format!("is no ARN of a role: {text:?}"),
                "it looks like \"arn:aws:iam::111122223333:role/trailsift\"",
            ),
        }
    },
};

/// The external id of a role, by the limits of STS.
pub(super) const EXTERNAL_ID: Text = Text {
    what: "an external id",
    judge: |text| {
        let allowed = |c: u8| c.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&c);
        match (2..=1224).contains(&text.len()) && text.bytes().all(allowed) {
            true => Ok(()),
            false => {
                refuse("is no external id", "STS takes 2 to 1224 letters, digits and `_+=,.@:/-`")
            }
        }
    },
};

/// A URL that we send requests to, before it is known whether plain `http` is allowed.
pub(super) const ENDPOINT: Text = Text { what: "an http or https URL", judge: endpoint };

/// A queue's URL, its host not yet judged.
pub(super) const QUEUE_URL: Text = Text {
    what: "the URL of an SQS queue",
    judge: |text| {
        endpoint_form(text)?;
        match queue_of(text) {
            Some(_) => Ok(()),
            None => refuse(
                format!("is no URL of a queue: {text:?}"),
                "it looks like \"https://sqs.us-east-1.amazonaws.com/111122223333/name\"",
            ),
        }
    },
};

/// The owner and the name of the queue in a queue's URL.
fn queue_of(text: &str) -> Option<(String, String)> {
    let url = Url::parse(text).ok()?;
    let mut parts: Vec<_> = url.path_segments()?.map(str::to_owned).collect();
    let (name, owner) = (parts.pop()?, parts.pop()?);
    let stem = name.strip_suffix(".fifo").unwrap_or(&name);
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
    let legal = (1..=80).contains(&name.len()) && !stem.is_empty() && stem.bytes().all(allowed);
    (is_account_id(&owner) && legal).then_some((owner, name))
}

/// Judges the host of a queue's URL where no `endpoint_url` overrides it: it must be SQS itself,
/// in the configured region as far as the host names one.
pub(super) fn judge_queue_host(text: &str, region: Option<&str>) -> Verdict {
    let Ok(url) = Url::parse(text) else { return Ok(()) };
    let host = url.host_str().unwrap_or_default();
    let labels: Vec<_> = host.split('.').collect();
    let is_aws = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".amazonaws.eu"]
        .iter()
        .any(|suffix| host.ends_with(suffix));
    if !is_aws {
        return refuse(
            format!("names a host that is not AWS: {host:?}"),
            "for an emulator, set endpoint_url: then this host is not contacted",
        );
    }
    if url.scheme() != "https" {
        return refuse("must be https", "SQS itself is only reached with https");
    }
    let named = match labels[..] {
        ["sqs" | "sqs-fips", region, "amazonaws" | "api", ..] => Some(region),
        [region, "queue", "amazonaws", ..] => Some(region),
        _ => None,
    };
    match (named, region) {
        (Some(named), Some(region)) if named != region => refuse(
            format!("is a queue in {named:?}, but the region here is {region:?}"),
            "make the two agree",
        ),
        _ => Ok(()),
    }
}

/// Judges plain `http`: it may stay on this machine, or be asked for.
pub(super) fn judge_scheme(text: &str, allow_http: bool) -> Verdict {
    let Ok(url) = Url::parse(text) else { return Ok(()) };
    if url.scheme() == "https" || allow_http || is_loopback(&url) {
        return Ok(());
    }
    refuse(
        "is plain http to another machine: whoever sits between can read and forge what passes",
        "use https, or set allow_http = true for a test",
    )
}

fn endpoint(text: &str) -> Verdict {
    endpoint_form(text)?;
    let Ok(url) = Url::parse(text) else { return Ok(()) };
    if is_forbidden(&url) {
        return refuse(
            "points to an address that nothing may be sent to",
            "link-local and instance metadata addresses are never allowed",
        );
    }
    Ok(())
}

/// The form only. The messages do not repeat what may be a credential.
fn endpoint_form(text: &str) -> Verdict {
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => {
            return refuse(format!("is no URL: {error}"), "it looks like \"https://host/path\"");
        }
    };
    if !matches!(url.scheme(), "https" | "http") {
        return refuse(
            format!("must begin with https:// (or http://), not {:?}", url.scheme()),
            "it looks like \"https://host/path\"",
        );
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse(
            "holds a user name or password",
            "secrets are never literals: use a header with { env = \"NAME\" } or { file = \"…\" }",
        );
    }
    if url.query_pairs().any(|(name, _)| names_a_secret(&name)) {
        return refuse(
            "holds a secret in its query",
            "secrets are never literals: use a header with { env = \"NAME\" } or { file = \"…\" }",
        );
    }
    if url.fragment().is_some() {
        return refuse("has a fragment (`#…`), which no server sees", "leave it away");
    }
    Ok(())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        None => false,
    }
}

/// Addresses from which credentials can be read, or that mean nothing as a destination.
fn is_forbidden(url: &Url) -> bool {
    const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    let forbidden = |address: IpAddr| match address {
        IpAddr::V4(v4) => {
            v4.is_link_local() || v4.is_unspecified() || v4.is_broadcast() || v4.is_multicast()
        }
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6 == METADATA_V6
        }
    };
    match url.host() {
        Some(Host::Ipv4(address)) => forbidden(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => forbidden(address.to_canonical()),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            matches!(
                name,
                "metadata"
                    | "metadata.google.internal"
                    | "instance-data"
                    | "instance-data.ec2.internal"
            )
        }
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(kind: &Text, text: &str) -> bool {
        (kind.judge)(text).is_ok()
    }

    #[test]
    fn names_of_aws_are_judged_by_their_form() {
        for (kind, good, bad) in [
            (
                &ACCOUNT_ID,
                vec!["111122223333"],
                vec!["", "11112222333", "1111222233334", "11112222333a"],
            ),
            (
                &REGION,
                vec![
                    "us-east-1",
                    "us-gov-west-1",
                    "cn-north-1",
                    "eusc-de-east-1",
                    "ap-southeast-5",
                ],
                vec!["", "us-east-1a", "useast1", "US-EAST-1", "us--1", "us-1", "us-east-"],
            ),
            (
                &BUCKET,
                vec!["org-trail", "a.b.c", "123"],
                vec![
                    "",
                    "ab",
                    "Org-trail",
                    "-a-",
                    "a..b",
                    "192.168.1.1",
                    "b.evil.com/",
                    "s3://bucket",
                    "arn:aws:s3:::bucket",
                    "a_b",
                    "bücket",
                ],
            ),
            (
                &ROLE_ARN,
                vec![
                    "arn:aws:iam::111122223333:role/trailsift",
                    "arn:aws-us-gov:iam::111122223333:role/path/to/role",
                ],
                vec![
                    "",
                    "trailsift",
                    "arn:aws:iam::111122223333:user/x",
                    "arn:aws:iam::1:role/x",
                    "arn:aws:sts::111122223333:assumed-role/x/y",
                    "arn:aws:iam::111122223333:role/",
                ],
            ),
            (
                &QUEUE_URL,
                vec![
                    "https://sqs.us-east-1.amazonaws.com/111122223333/trail",
                    "http://localhost:4566/queue/us-east-1/000000000000/trail",
                    "https://sqs.eu-west-1.amazonaws.com/111122223333/trail.fifo",
                ],
                vec![
                    "trail",
                    "arn:aws:sqs:us-east-1:111122223333:trail",
                    "https://sqs.us-east-1.amazonaws.com/trail",
                    "ftp://h/111122223333/trail",
                    "https://u:p@h/111122223333/trail",
                    "https://h/111122223333/a%20b",
                    "https://h/111122223333/.fifo",
                ],
            ),
        ] {
            for text in good {
                assert!(takes(kind, text), "{} must be allowed: {text}", kind.what);
            }
            for text in bad {
                assert!(!takes(kind, text), "{} must be refused: {text}", kind.what);
            }
        }
    }

    #[test]
    fn addresses_that_lead_to_credentials_are_refused_in_every_spelling() {
        for text in [
            "http://169.254.169.254/latest",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://0251.0376.0251.0376/",
            "http://[::ffff:169.254.169.254]/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://169.254.170.2/v2/credentials",
            "https://metadata.google.internal/",
            "https://METADATA.google.internal./",
            "http://0.0.0.0:80/",
            "http://[::]/",
        ] {
            assert!(!takes(&ENDPOINT, text), "{text}");
        }
        for text in ["https://collector.example.com/in", "http://127.0.0.1:9/", "http://[::1]/"] {
            assert!(takes(&ENDPOINT, text), "{text}");
        }
    }

    #[test]
    fn plain_http_stays_on_this_machine_unless_asked_for() {
        for text in ["http://127.9.9.9/", "http://[::1]:80/", "http://localhost./", "https://a.b/"]
        {
            assert!(judge_scheme(text, false).is_ok(), "{text}");
        }
        for text in ["http://10.0.0.1/", "http://localhost.evil.com/", "http://localstack:4566"] {
            assert!(judge_scheme(text, false).is_err(), "{text}");
            assert!(judge_scheme(text, true).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_queue_host_is_sqs_in_the_region() {
        let judge = |host: &str| {
            judge_queue_host(&format!("https://{host}/111122223333/q"), Some("eu-west-1")).is_ok()
        };
        for host in [
            "sqs.eu-west-1.amazonaws.com",
            "eu-west-1.queue.amazonaws.com",
            "sqs.eu-west-1.api.aws",
            "vpce-1-2.sqs.eu-west-1.vpce.amazonaws.com",
            "queue.amazonaws.com",
        ] {
            assert!(judge(host), "{host}");
        }
        for host in
            ["sqs.us-east-1.amazonaws.com", "evil.com", "localhost", "amazonaws.com.evil.io"]
        {
            assert!(!judge(host), "{host}");
        }
    }
}
