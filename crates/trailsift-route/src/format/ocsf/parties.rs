//! `cloud`, `src_endpoint` and `dst_endpoint`: where it was done, and between whom.

use std::net::IpAddr;

use super::fields::Fields;
use super::{HOSTNAME, IP_ADDRESS, UNKNOWN, Writing, account};
use crate::format::writer::Object;

/// How long the schema lets an address be.
const LONGEST_ADDRESS: usize = 40;

pub(super) fn cloud(out: &mut Object<'_>, fields: &Fields<'_, '_>) {
    out.object("cloud", |cloud| {
        cloud.text("provider", "AWS");
        cloud.text_if("region", fields.text(&["awsRegion"]));
        if let Some(id) = fields.text(&["recipientAccountId"]) {
            account(cloud, &id);
        }
    });
}

/// `sourceIPAddress` is an address, a service's name or `AWS Internal`.
pub(super) fn source(out: &mut Object<'_>, writing: &mut Writing<'_, '_>) {
    let source = writing.fields.text(&["sourceIPAddress"]);
    let endpoint = writing.fields.text(&["vpcEndpointId"]);
    let address = source.as_deref().and_then(|source| source.parse().ok());
    out.object("src_endpoint", |out| {
        match (&source, address) {
            (Some(source), Some(address)) => out.text("ip", &ip(source, address)),
            (Some(source), None) => {
                out.text("domain", source);
                if is_aws(source) {
                    out.text("svc_name", source);
                }
            }
            (None, _) => {}
        }
        out.text_if("uid", endpoint.as_deref());
        if source.is_none() && endpoint.is_none() {
            out.text("name", UNKNOWN);
        }
    });
    match (source, address) {
        (Some(source), Some(address)) => {
            writing.observe("src_endpoint.ip", IP_ADDRESS, &ip(&source, address));
        }
        (Some(source), None) if source.contains('.') => {
            writing.observe("src_endpoint.domain", HOSTNAME, &source);
        }
        (None, _) if endpoint.is_none() => {
            writing.notes.push("sourceIPAddress is missing: src_endpoint.name is Unknown");
        }
        _ => {}
    }
}

pub(super) fn destination(out: &mut Object<'_>, fields: &Fields<'_, '_>) {
    out.object_if_any("dst_endpoint", |out| {
        out.text_if("svc_name", fields.text(&["eventSource"]));
        out.text_if("hostname", fields.text(&["tlsDetails", "clientProvidedHostHeader"]));
    });
}

/// The address as the record has it, unless that is too long: some spellings of IPv6 are.
fn ip(source: &str, address: IpAddr) -> String {
    if source.len() <= LONGEST_ADDRESS { source.to_owned() } else { address.to_string() }
}

fn is_aws(source: &str) -> bool {
    source == "AWS Internal" || source.ends_with(".amazonaws.com")
}
