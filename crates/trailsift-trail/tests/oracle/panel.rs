//! The routes to measure and to test with: what a security team asks of its trail.

use trailsift_route::Condition::{
    Cidr, EndsWith, Equals, Exists, NotCidr, NotEquals, NotStartsWith, StartsWith,
};
use trailsift_route::{Condition, FieldSpec, IpNet, RouteSpec, SelectorSpec, Value};

/// One selector of a route: its fields.
type Fields<'f> = &'f [(&'f str, Condition)];

fn route(name: &str, selectors: &[Fields<'_>]) -> RouteSpec {
    let selectors = selectors.iter().map(|fields| {
        let fields = fields.iter().map(|(path, condition)| FieldSpec {
            path: (*path).to_owned(),
            conditions: vec![condition.clone()],
        });
        SelectorSpec { fields: fields.collect() }
    });
    RouteSpec { name: name.to_owned(), selectors: selectors.collect() }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn strings(list: &[&str]) -> Vec<Value> {
    texts(list).into_iter().map(Value::String).collect()
}

fn is(list: &[&str]) -> Condition {
    Equals(strings(list))
}

fn starts(list: &[&str]) -> Condition {
    StartsWith(texts(list))
}

fn networks(list: &[&str]) -> Vec<IpNet> {
    list.iter().filter_map(|network| network.parse().ok()).collect()
}

/// The built-in route alone.
pub(crate) fn one() -> Vec<RouteSpec> {
    vec![RouteSpec::codeguru_reviewer()]
}

/// Twenty routes on various fields. Each can be searched for, and next to nothing of an ordinary
/// trail is selected, although many of its records hold a text that is searched for.
pub(crate) fn twenty() -> Vec<RouteSpec> {
    let name = |names: &[&str]| ("eventName", is(names));
    let source = |names: &[&str]| ("eventSource", is(names));
    let writes = ("readOnly", Equals(vec![Value::Bool(false)]));
    let no_service = ("userIdentity.type", NotEquals(strings(&["AWSService"])));
    let no_reads = ("eventName", NotStartsWith(texts(&["Describe", "Get", "List"])));
    vec![
        RouteSpec::codeguru_reviewer(),
        route("root", &[&[("actor.kind", is(&["root"])), name(&["ConsoleLogin"])]]),
        route("failed", &[&[("errorCode", Exists(true)), source(&["iam.amazonaws.com"])]]),
        route("denied", &[&[("errorCode", starts(&["Client.Unauthorized"])), no_service]]),
        route("keys", &[&[name(&["CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey"])]]),
        route(
            "roles",
            &[
                &[name(&["AttachRolePolicy", "UpdateAssumeRolePolicy"])],
                &[("requestParameters.policyArn", EndsWith(texts(&["AdministratorAccess"])))],
            ],
        ),
        route(
            "no-mfa",
            &[&[name(&["ConsoleLogin"]), ("additionalEventData.MFAUsed", is(&["No"]))]],
        ),
        route("trail", &[&[name(&["StopLogging", "DeleteTrail", "PutEventSelectors"])]]),
        route("behalf", &[&[("actor.invoked_by", is(&["codebuild.amazonaws.com"]))]]),
        route("person", &[&[("actor.session_name", is(&["mallory@example.com"]))]]),
        route(
            "address",
            &[&[("sourceIPAddress", Cidr(networks(&["192.0.2.0/24"]))), writes.clone()]],
        ),
        route("bucket", &[&[("requestParameters.bucketName", is(&["payroll"]))]]),
        route("glass", &[&[("requestParameters.roleArn", EndsWith(texts(&["break-glass"])))]]),
        route(
            "groups",
            &[&[
                name(&["AuthorizeSecurityGroupIngress"]),
                ("requestParameters.ipPermissions.items.ipRanges.items.cidrIp", is(&["0.0.0.0/0"])),
            ]],
        ),
        route("agent", &[&[("userAgent", starts(&["Pacu", "kali", "aws-nuke"])), no_reads]]),
        route("directory", &[&[("actor.kind", is(&["directory", "saml_user"]))]]),
        route("endpoint", &[&[("vpcEndpointId", is(&["vpce-0a1b2c3d"]))]]),
        route("key", &[&[("resources.ARN", EndsWith(texts(&["3c5e8a47f0d1"])))]]),
        route("reviews", &[&[name(&["CreateCodeReview"]), writes]]),
        route("insight", &[&[("eventCategory", is(&["Insight"])), ("eventID", Exists(true))]]),
    ]
}

/// Twenty routes of which one holds nothing to search for: every record must be read.
pub(crate) fn twenty_reading_all() -> Vec<RouteSpec> {
    let mut routes = twenty();
    routes.pop();
    let writes = Equals(vec![Value::Bool(false)]);
    let usual = NotEquals(strings(&["AwsApiCall", "AwsServiceEvent", "AwsConsoleSignIn"]));
    routes.push(route("odd-writes", &[&[("readOnly", writes), ("eventType", usual)]]));
    routes
}

/// Twenty routes of which one asks for the actor of nearly every record, and hardly ever gets the
/// one it wants.
pub(crate) fn twenty_deriving() -> Vec<RouteSpec> {
    let mut routes = twenty();
    routes.pop();
    let outside = NotCidr(networks(&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]));
    let nobody = [
        ("actor.kind", is(&["unknown"])),
        ("actor.credentials", is(&["temporary"])),
        ("sourceIPAddress", outside),
    ];
    routes.push(route("nobody", &[&nobody]));
    routes
}
