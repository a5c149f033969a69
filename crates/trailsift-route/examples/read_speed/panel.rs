//! The routes to measure with: what a security team asks of its trail.

use trailsift_route::Condition::{
    Cidr, EndsWith, Equals, Exists, NotCidr, NotEquals, NotStartsWith, StartsWith,
};
use trailsift_route::{Condition, FieldSpec, IpNet, RouteSpec, SelectorSpec, Value};

/// One selector of a route: its fields.
type Fields<'f> = &'f [(&'f str, Condition)];

fn route(name: impl Into<String>, selectors: &[Fields<'_>]) -> RouteSpec {
    let selectors = selectors.iter().map(|fields| {
        let fields = fields.iter().map(|(path, condition)| FieldSpec {
            path: (*path).to_owned(),
            conditions: vec![condition.clone()],
        });
        SelectorSpec { fields: fields.collect() }
    });
    RouteSpec { name: name.into(), selectors: selectors.collect() }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn strings(list: &[&str]) -> Vec<Value> {
    texts(list).into_iter().map(Value::String).collect()
}

fn networks(list: &[&str]) -> Vec<IpNet> {
    list.iter().filter_map(|network| network.parse().ok()).collect()
}

/// A question that no literal answers: every record must be read.
pub(crate) fn writes() -> RouteSpec {
    let by_service = NotEquals(strings(&["AWSService"]));
    let writes = Equals(vec![Value::Bool(false)]);
    route("writes", &[&[("readOnly", writes), ("userIdentity.type", by_service)]])
}

/// Twenty routes on various fields, all of which but the last have literals.
pub(crate) fn twenty() -> Vec<RouteSpec> {
    let source = |names: &[&str]| ("eventSource", Equals(strings(names)));
    let name = |names: &[&str]| ("eventName", Equals(strings(names)));
    let mut routes = vec![
        RouteSpec::codeguru_reviewer(),
        route("root", &[&[("userIdentity.type", Equals(strings(&["Root"])))]]),
        route("denied", &[&[("errorCode", StartsWith(texts(&["AccessDenied", "Unauthorized"])))]]),
        route("failed", &[&[("errorCode", Exists(true)), source(&["ssm.amazonaws.com"])]]),
        route("role-changes", &[&[name(&["PutRolePolicy", "AttachRolePolicy", "CreateRole"])]]),
        route("keys", &[&[name(&["CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey"])]]),
        route(
            "logins",
            &[&[
                name(&["ConsoleLogin"]),
                ("additionalEventData.MFAUsed", Equals(strings(&["No"]))),
            ]],
        ),
        route("trail", &[&[name(&["StopLogging", "DeleteTrail", "UpdateTrail"])]]),
        route(
            "admins",
            &[&[
                (
                    "userIdentity.sessionContext.sessionIssuer.userName",
                    StartsWith(texts(&["AWSReservedSSO_Admin"])),
                ),
                ("readOnly", Equals(vec![Value::Bool(false)])),
            ]],
        ),
        route(
            "without-mfa",
            &[&[
                (
                    "userIdentity.sessionContext.attributes.mfaAuthenticated",
                    Equals(strings(&["false"])),
                ),
                source(&["iam.amazonaws.com"]),
            ]],
        ),
        route("one-address", &[&[("sourceIPAddress", StartsWith(texts(&["203.0.113."])))]]),
        route("one-bucket", &[&[("requestParameters.bucketName", Equals(strings(&["payroll"])))]]),
        route(
            "one-role",
            &[&[("requestParameters.roleArn", EndsWith(texts(&["role-break-glass"])))]],
        ),
        route(
            "one-key",
            &[&[
                ("resources.ARN", EndsWith(texts(&["3c5e8a47f0d1"]))),
                source(&["kms.amazonaws.com"]),
            ]],
        ),
        route(
            "open-groups",
            &[&[
                name(&["AuthorizeSecurityGroupIngress"]),
                ("requestParameters.cidrIp", Equals(strings(&["0.0.0.0/0"]))),
            ]],
        ),
        route(
            "terraform",
            &[&[
                ("userAgent", StartsWith(texts(&["APN/1.0 HashiCorp"]))),
                ("eventName", NotStartsWith(texts(&["Describe", "Get", "List"]))),
            ]],
        ),
        route("web-identity", &[&[("userIdentity.type", Equals(strings(&["WebIdentityUser"])))]]),
        route("endpoint", &[&[("vpcEndpointId", Equals(strings(&["vpce-0a1b2c3d"])))]]),
        route("other-region", &[&[("awsRegion", Equals(strings(&["ap-east-1", "me-south-1"])))]]),
    ];
    routes.push(writes());
    routes
}

/// What people do from elsewhere: of every record it is asked who is behind it.
pub(crate) fn people_outside() -> RouteSpec {
    let inside = networks(&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "2001:db8::/32"]);
    let no_person = NotEquals(strings(&["aws_service", "aws_account", "unknown"]));
    route("people", &[&[("sourceIPAddress", NotCidr(inside)), ("actor.kind", no_person)]])
}

/// The twenty, of which some ask for networks and for actors instead: all but the last have literals.
pub(crate) fn twenty_of_actors() -> Vec<RouteSpec> {
    let kind = |kinds: &[&str]| ("actor.kind", Equals(strings(kinds)));
    let mut routes = twenty();
    routes.truncate(12);
    routes.extend([
        route("actor-root", &[&[kind(&["root"])]]),
        route("federated", &[&[kind(&["saml_user", "web_identity_user", "federated_user"])]]),
        route("alice", &[&[("actor.name", Equals(strings(&["alice"])))]]),
        route("session", &[&[("actor.session_name", EndsWith(texts(&["@example.org"])))]]),
        route("behalf", &[&[("actor.invoked_by", Equals(strings(&["codebuild.amazonaws.com"])))]]),
        route("office", &[&[("sourceIPAddress", Cidr(networks(&["203.0.113.0/24"])))]]),
        route(
            "keys-outside",
            &[&[
                ("actor.credentials", Equals(strings(&["long_term"]))),
                ("sourceIPAddress", NotCidr(networks(&["10.0.0.0/8", "203.0.113.0/24"]))),
            ]],
        ),
        people_outside(),
    ]);
    routes
}

/// As many routes as there can be: the twenty, and one for each of other services and buckets.
pub(crate) fn sixty_four() -> Vec<RouteSpec> {
    let mut routes = twenty();
    for number in routes.len()..64 {
        let source = format!("service-{number}.amazonaws.com");
        let bucket = format!("bucket-{number}");
        routes.push(route(
            format!("other-{number}"),
            &[
                &[("eventSource", Equals(strings(&[&source])))],
                &[("requestParameters.bucketName", Equals(strings(&[&bucket])))],
                &[("requestParameters.tableName", StartsWith(texts(&[&bucket])))],
            ],
        ));
    }
    routes
}
