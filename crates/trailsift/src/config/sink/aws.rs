//! What sinks at AWS have in common.

use std::fmt::{self, Write};

use crate::config::findings::At;
use crate::config::kinds::Flag;
use crate::config::names::{ENDPOINT, EXTERNAL_ID, REGION, ROLE_ARN, is_account_id, judge_scheme};
use crate::config::print::quoted;
use crate::config::reader::Section;

/// Where a service of AWS is called, and under whose credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsConfig {
    /// The region of what is written to.
    pub region: String,
    /// The role to take on first.
    pub role_arn: Option<String>,
    /// The external id that the role demands; only with a role.
    pub external_id: Option<String>,
    /// Where every call goes instead of AWS.
    pub endpoint_url: Option<String>,
    /// Whether `http` is allowed beyond this machine.
    pub allow_http: bool,
}

/// Reads the keys that every sink at AWS has.
pub(super) fn aws(section: &mut Section<'_, '_>) -> AwsConfig {
    let findings = section.scope.findings;
    let region = section.need("region", REGION);
    let role_arn = section.get("role_arn", ROLE_ARN);
    let external_id = section.get("external_id", EXTERNAL_ID);
    let endpoint_url = section.get("endpoint_url", ENDPOINT);
    let allow_http = section.get_or("allow_http", Flag, false);
    if let (Some(external_id), None) = (&external_id, &role_arn) {
        findings.error(
            external_id.place,
            "`external_id` is given without `role_arn`",
            "add the role that demands it, or leave it out",
        );
    }
    if let Some(endpoint) = &endpoint_url
        && let Err((problem, hint)) = judge_scheme(&endpoint.value, allow_http)
    {
        findings.error(endpoint.place, format!("`endpoint_url` {problem}"), hint);
    }
    AwsConfig {
        region: region.map_or_else(String::new, |at| at.value),
        role_arn: role_arn.map(|at| at.value),
        external_id: external_id.map(|at| at.value),
        endpoint_url: endpoint_url.map(|at| at.value),
        allow_http,
    }
}

/// The parts of an ARN of a service that has regions and accounts in it.
pub(super) struct Arn<'t> {
    pub(super) region: &'t str,
    pub(super) resource: &'t str,
}

/// Takes an ARN of this service apart.
pub(super) fn arn<'t>(text: &'t str, service: &str) -> Option<Arn<'t>> {
    let parts: Vec<_> = text.splitn(6, ':').collect();
    let ["arn", partition, found, region, account, resource] = parts[..] else { return None };
    let legal = partition.starts_with("aws")
        && found == service
        && !region.is_empty()
        && is_account_id(account);
    legal.then_some(Arn { region, resource })
}

/// Reports an ARN that is in another region than its sink.
pub(super) fn judge_region(
    section: &Section<'_, '_>,
    key: &str,
    text: &At<String>,
    arn: Option<Arn<'_>>,
    aws: &AwsConfig,
) {
    if let Some(Arn { region, .. }) = arn
        && region != aws.region
        && !aws.region.is_empty()
    {
        section.scope.findings.error(
            text.place,
            format!("`{key}` is in {region:?}, but the sink's region is {:?}", aws.region),
            "make the two agree",
        );
    }
}

impl AwsConfig {
    /// As keys of TOML.
    pub(in crate::config) fn print(&self, f: &mut impl Write) -> fmt::Result {
        writeln!(f, "region = {}", quoted(&self.region))?;
        let optional = [
            ("role_arn", &self.role_arn),
            ("external_id", &self.external_id),
            ("endpoint_url", &self.endpoint_url),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                writeln!(f, "{name} = {}", quoted(value))?;
            }
        }
        writeln!(f, "allow_http = {}", self.allow_http)
    }
}
