//! The generator's callers, thousands of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use serde_json::value::RawValue;
use trailsift_event::{ActorKind, Event};
use trailsift_testkit::trail::{FileSpec, TrailFile};

use crate::told;

/// The kind by the two fields that decide it for nearly everybody.
fn plain_kind(identity: &Value) -> &'static str {
    let session = &identity["sessionContext"];
    match (identity["type"].as_str(), identity["invokedBy"].as_str()) {
        (_, Some(service)) if service != "signin.amazonaws.com" => "aws_service",
        (Some("Root"), _) => "root",
        _ if session["assumedRoot"] == "true" => "root",
        (Some("FederatedUser"), _) if session["sessionIssuer"]["type"] == "Root" => "root",
        (Some("IAMUser"), _) => "iam_user",
        (Some("AssumedRole"), _) => "assumed_role",
        (Some("FederatedUser"), _) => "federated_user",
        (Some("SAMLUser"), _) => "saml_user",
        (Some("WebIdentityUser"), _) => "web_identity_user",
        (Some("IdentityCenterUser"), _) => "identity_center_user",
        (Some("AWSAccount"), _) => "aws_account",
        (Some("Role"), _) => "role",
        (Some("Directory"), _) => "directory",
        (None | Some("Unknown"), _) if identity["onBehalfOf"].is_object() => "identity_center_user",
        _ => "unknown",
    }
}

#[test]
fn every_generated_caller_is_known_for_what_it_is() {
    let spec = FileSpec { records: 20_000, selected_one_in: 50, ..FileSpec::default() };
    let file = TrailFile::generate(&spec);
    let document: BTreeMap<&str, Vec<&RawValue>> = serde_json::from_slice(&file.json).unwrap();
    let mut kinds = BTreeMap::<_, usize>::new();
    for record in &document["Records"] {
        let record = record.get();
        let identity = &serde_json::from_str::<Value>(record).unwrap()["userIdentity"];
        let actor = Event::new(record.as_bytes()).actor();
        *kinds.entry(actor.kind.as_str()).or_default() += 1;
        let told = told(&actor);
        assert_eq!(actor.kind.as_str(), plain_kind(identity), "{told} of {identity}");
        if let Some(arn) = identity["arn"].as_str().filter(|arn| !arn.is_empty()) {
            let is_hidden = arn.ends_with("/HIDDEN_DUE_TO_SECURITY_REASONS");
            assert_eq!(actor.name.is_none(), is_hidden, "{told} of {identity}");
            assert_eq!(actor.arn.as_deref(), Some(arn));
            assert_eq!(actor.session_name.is_some(), arn.contains(":assumed-role/"), "{told}");
        }
        if !matches!(actor.kind.as_str(), "aws_service" | "unknown") {
            let has_account = !matches!(actor.kind.as_str(), "saml_user" | "web_identity_user");
            assert_eq!(actor.account_id.is_some(), has_account, "{told} of {identity}");
        }
    }
    let all: BTreeSet<_> = ActorKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert!(kinds.keys().copied().eq(all), "{kinds:?}");
}
