//! What CloudTrail writes where: the record contents of `eventVersion` 1.11 and before, by the user
//! guide's pages on record contents and on the userIdentity element, and what is derived of it.

use trailsift_event::Actor;

/// A field and what it holds.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
}

/// What a field holds.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// A string.
    Text,
    /// A string that is an address, mostly.
    Address,
    /// A boolean.
    Flag,
    /// A string here, a boolean there.
    Either,
    /// An object of these fields.
    Object(&'static [Field]),
    /// An array of such objects.
    List(&'static [Field]),
    /// Whatever the service likes.
    Free,
    /// Something that stands only in files that are skipped.
    Skipped,
}

/// What is at a path.
pub(crate) enum Found<'p> {
    /// A field that is known. `is_single`: of which a record holds at most one value.
    Known { shape: Shape, is_single: bool },
    /// A place below something free.
    Free,
    /// Nothing: below `parent`, which is empty at the top, there are only `siblings`.
    Unknown { name: &'p str, parent: &'p str, siblings: &'static [Field] },
    /// Nothing: `parent` is a string or a boolean.
    BelowValue { parent: &'p str },
}

const fn text(name: &'static str) -> Field {
    Field { name, shape: Shape::Text }
}

const fn free(name: &'static str) -> Field {
    Field { name, shape: Shape::Free }
}

const fn object(name: &'static str, fields: &'static [Field]) -> Field {
    Field { name, shape: Shape::Object(fields) }
}

/// The names at the top of a record.
pub(crate) const TOP_LEVEL: &[Field] = &[
    free("additionalEventData"),
    free("addendum"),
    text("apiVersion"),
    text("awsRegion"),
    free("edgeDeviceDetails"),
    text("errorCode"),
    text("errorMessage"),
    text("eventCategory"),
    free("eventContext"),
    text("eventID"),
    text("eventName"),
    text("eventSource"),
    text("eventTime"),
    text("eventType"),
    text("eventVersion"),
    Field { name: "insightDetails", shape: Shape::Skipped },
    Field { name: "managementEvent", shape: Shape::Flag },
    Field { name: "readOnly", shape: Shape::Flag },
    text("recipientAccountId"),
    text("requestID"),
    free("requestParameters"),
    Field { name: "resources", shape: Shape::List(RESOURCE) },
    free("responseElements"),
    free("serviceEventDetails"),
    text("sessionCredentialFromConsole"),
    text("sharedEventID"),
    Field { name: "sourceIPAddress", shape: Shape::Address },
    object("tlsDetails", TLS_DETAILS),
    text("userAgent"),
    object("userIdentity", USER_IDENTITY),
    text("vpcEndpointAccountId"),
    text("vpcEndpointId"),
];

const RESOURCE: &[Field] = &[text("ARN"), text("ARNPrefix"), text("accountId"), text("type")];

const TLS_DETAILS: &[Field] = &[
    text("cipherSuite"),
    text("clientProvidedHostHeader"),
    text("keyExchange"),
    text("tlsVersion"),
];

const USER_IDENTITY: &[Field] = &[
    text("type"),
    text("accessKeyId"),
    text("accountId"),
    text("arn"),
    text("credentialId"),
    text("identityProvider"),
    object(
        "inScopeOf",
        &[
            text("credentialsIssuedTo"),
            text("issuerType"),
            text("sourceAccount"),
            text("sourceArn"),
        ],
    ),
    text("invokedBy"),
    object("onBehalfOf", &[text("identityStoreArn"), text("userId")]),
    text("principalId"),
    object("sessionContext", SESSION_CONTEXT),
    text("userName"),
];

const SESSION_CONTEXT: &[Field] = &[
    Field { name: "assumedRoot", shape: Shape::Either },
    object("attributes", &[text("creationDate"), text("ec2IssuedInVpc"), text("mfaAuthenticated")]),
    text("ec2RoleDelivery"),
    text("ec2IssuedInVpc"),
    object("sessionIssuer", SESSION_ISSUER),
    text("sourceIdentity"),
    object("webIdFederationData", &[free("attributes"), text("federatedProvider")]),
];

const SESSION_ISSUER: &[Field] =
    &[text("accountId"), text("arn"), text("principalId"), text("type"), text("userName")];

/// What stands in a field that CloudTrail cut, beside what is left of it.
const OMITTED: &str = "omitted";

/// What is at the path, whose names are not empty.
pub(crate) fn look_up(path: &str) -> Found<'_> {
    if let Some(name) = path.strip_prefix("actor.") {
        let shape = if name == "mfa" { Shape::Flag } else { Shape::Text };
        // Another one is refused.
        return match Actor::FIELDS.contains(&name) {
            true => Found::Known { shape, is_single: true },
            false => Found::Free,
        };
    }
    let (mut siblings, mut is_single, mut start) = (TOP_LEVEL, true, 0);
    loop {
        let end = path[start..].find('.').map_or(path.len(), |dot| start + dot);
        let name = &path[start..end];
        let parent = &path[..start.saturating_sub(1)];
        let Some(field) = siblings.iter().find(|field| field.name == name) else {
            return match name == OMITTED && start > 0 {
                true => Found::Free,
                false => Found::Unknown { name, parent, siblings },
            };
        };
        if end == path.len() {
            return Found::Known { shape: field.shape, is_single };
        }
        start = end + 1;
        siblings = match field.shape {
            Shape::Object(fields) => fields,
            Shape::List(fields) => {
                is_single = false;
                fields
            }
            Shape::Free => return Found::Free,
            Shape::Skipped => return Found::Known { shape: field.shape, is_single },
            Shape::Text | Shape::Address | Shape::Flag | Shape::Either => {
                return Found::BelowValue { parent: &path[..end] };
            }
        };
    }
}

/// The paths of all fields of this name, below the top of a record.
pub(crate) fn paths_of(name: &str) -> Vec<String> {
    fn collect(fields: &[Field], parent: &str, name: &str, found: &mut Vec<String>) {
        for field in fields {
            let path = match parent {
                "" => field.name.to_owned(),
                parent => format!("{parent}.{}", field.name),
            };
            if let Shape::Object(below) | Shape::List(below) = field.shape {
                collect(below, &path, name, found);
            }
            if field.name == name {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    collect(TOP_LEVEL, "", name, &mut found);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(path: &str) -> String {
        match look_up(path) {
            Found::Known { is_single: true, .. } => "one".into(),
            Found::Known { is_single: false, .. } => "many".into(),
            Found::Free => "free".into(),
            Found::Unknown { name, parent, siblings } => {
                format!("no {name} in {parent} of {}", siblings.len())
            }
            Found::BelowValue { parent } => format!("below {parent}"),
        }
    }

    #[test]
    fn every_place_is_known_free_or_nowhere() {
        for (path, expected) in [
            ("eventName", "one"),
            ("userIdentity", "one"),
            ("userIdentity.sessionContext.sessionIssuer.userName", "one"),
            ("resources", "one"),
            ("resources.ARN", "many"),
            ("requestParameters", "one"),
            ("requestParameters.bucketName", "free"),
            ("userIdentity.sessionContext.webIdFederationData.attributes.x.y", "free"),
            ("userIdentity.omitted", "free"),
            ("insightDetails.state", "one"),
            ("actor.kind", "one"),
            ("actor.nobody", "free"),
            ("omitted", "no omitted in  of 32"),
            ("bucketName", "no bucketName in  of 32"),
            ("resources.arn", "no arn in resources of 4"),
            ("userIdentity.sessionContext.x.y", "no x in userIdentity.sessionContext of 7"),
            ("eventName.x.y", "below eventName"),
            ("userIdentity.type.x", "below userIdentity.type"),
        ] {
            assert_eq!(kind(path), expected, "{path}");
        }
    }

    #[test]
    fn a_name_is_found_wherever_it_stands() {
        assert_eq!(paths_of("invokedBy"), ["userIdentity.invokedBy"]);
        assert_eq!(
            paths_of("userName"),
            ["userIdentity.sessionContext.sessionIssuer.userName", "userIdentity.userName"]
        );
        assert_eq!(paths_of("nothing"), [""; 0]);
    }
}
