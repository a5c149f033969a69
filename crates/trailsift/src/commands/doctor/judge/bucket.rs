use trailsift_aws::diagnosis::{BucketFacts, Refusal};

use crate::commands::doctor::line::Line;

const BUCKET: &str = "bucket";
const OWNER: &str = "owner";
const REGION: &str = "region";

/// What is known of a bucket that the configuration names.
#[derive(Clone, Debug)]
pub(in crate::commands::doctor) struct Existence<'a> {
    pub(in crate::commands::doctor) name: &'a str,
    pub(in crate::commands::doctor) owner: Option<&'a str>,
    /// The region that it is asked for in.
    pub(in crate::commands::doctor) region: &'a str,
    /// Whether the configuration mentions the region that it is said to be in.
    pub(in crate::commands::doctor) follows: bool,
    /// The answer to a question that names the owner.
    pub(in crate::commands::doctor) asked: &'a Result<BucketFacts, Refusal>,
    /// The answer to the same without the owner, where the first was a denial.
    pub(in crate::commands::doctor) whoever: Option<&'a Result<BucketFacts, Refusal>>,
}

/// Whether the bucket is there, where it is meant to be, and whose.
pub(in crate::commands::doctor) fn existence(known: &Existence<'_>) -> Vec<Line> {
    let name = known.name;
    match known.asked {
        Ok(facts) => {
            let mut lines = vec![Line::ok(BUCKET, format!("{name} is there"))];
            lines.extend(region(known, facts.region.as_deref()));
            lines.push(owner(known));
            lines
        }
        Err(Refusal::Elsewhere { region: named, text }) => match named {
            Some(_) => region(known, named.as_deref()).into_iter().collect(),
            None => vec![Line::fail(
                REGION,
                format!("{name} is in another region than {}: {text}", known.region),
                "name the bucket's region in its entry of `buckets`",
            )],
        },
        Err(Refusal::Missing(said)) => vec![Line::fail(
            BUCKET,
            format!("{name} does not exist: {said}"),
            "see that the name in `buckets` is right; if the bucket was deleted, make it again or remove the entry, \
             before somebody else takes the name",
        )],
        Err(Refusal::Denied(said)) => match (known.owner, known.whoever) {
            (Some(owner), Some(Ok(_))) => vec![Line::fail(
                OWNER,
                format!("{name} does not belong to account {owner}"),
                "somebody else may have its name: find out whose it is before you change `owner`; trailsift reads \
                 nothing from it meanwhile",
            )],
            _ => vec![Line::untold(
                BUCKET,
                "whether it exists, and whose it is",
                "s3:ListBucket on the bucket",
                said,
            )],
        },
        Err(refusal @ Refusal::Credentials(_)) => {
            vec![Line::fail(BUCKET, refusal.to_string(), "mend the credentials first")]
        }
        Err(refusal) => vec![Line::fail(
            BUCKET,
            refusal.to_string(),
            "see that this machine reaches S3 in the bucket's region: network, proxy, VPC endpoint",
        )],
    }
}

fn region(known: &Existence<'_>, named: Option<&str>) -> Option<Line> {
    let named = named?;
    let remedy = format!("add region = \"{named}\" to the bucket's entry in `buckets`");
    Some(if named == known.region {
        Line::ok(REGION, format!("it is in {named}, as configured"))
    } else if known.follows {
        Line::warn(
            REGION,
            format!("it is in {named}, and asked for in {} first", known.region),
            remedy,
        )
    } else {
        Line::fail(REGION, format!("it is in {named}, and asked for in {}", known.region), remedy)
    })
}

fn owner(known: &Existence<'_>) -> Line {
    match known.owner {
        Some(owner) => Line::ok(OWNER, format!("it belongs to {owner}, as configured")),
        None => Line::warn(
            OWNER,
            "no owner is configured: if the bucket is deleted, whoever takes its name can feed us events",
            "add owner = \"(the bucket's account)\" to its entry in `buckets`",
        ),
    }
}
