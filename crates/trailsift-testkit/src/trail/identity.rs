use super::key::timestamp;
use super::{alphanumeric, capitals, pick};

/// Who called, as `userIdentity` and the fields beside it tell.
pub(super) struct Caller {
    /// The value of `userIdentity`, JSON.
    pub(super) identity: String,
    /// The value of `sourceIPAddress`, no JSON.
    pub(super) source_ip: String,
    /// The value of `userAgent`, no JSON.
    pub(super) user_agent: String,
    /// Whether the call came from the console with the console's credentials.
    pub(super) console: bool,
}

const PEOPLE: &[&str] = &["alice", "bob", "zoë", "naïve.user", "jörg", "太郎"];
const ROLES: &[&str] = &["Deployer", "ReadOnly", "AWSReservedSSO_Admin_0123456789abcdef", "ci"];
const SERVICES: &[&str] = &[
    "lambda.amazonaws.com",
    "ecs-tasks.amazonaws.com",
    "config.amazonaws.com",
    "autoscaling.amazonaws.com",
    "ec2.amazonaws.com",
];
const AGENTS: &[&str] = &[
    "aws-cli/2.22.4 md/awscrt#0.23.4 ua/2.0 os/linux#6.1.0 md/arch#x86_64 lang/python#3.12.6",
    "Boto3/1.42.34 md/Botocore#1.42.34 ua/2.1 os/linux lang/python#3.11.7 cfg/retry-mode#legacy",
    "[S3Console/0.4, aws-internal/3 aws-sdk-java/1.12.750]",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0 Safari/537.36",
    "APN/1.0 HashiCorp/1.0 Terraform/1.9.5 (+https://www.terraform.io) \"quoted\\agent\"",
];

/// Somebody, as often as each kind is met.
pub(super) fn anybody(rng: &mut fastrand::Rng, account: &str, at: i64) -> Caller {
    match rng.u32(..100) {
        0..46 => assumed_role(rng, account, at),
        46..68 => service(pick(rng, SERVICES)),
        68..84 => iam_user(rng, account),
        84..88 => federated(rng, account, at),
        88..91 => {
            let name = pick(rng, SERVICES);
            on_behalf(rng, account, at, name)
        }
        91..94 => identity_center(rng, account),
        94..96 => root(rng, account, at),
        96..98 => other_account(rng),
        98 => {
            let identity = rarity(rng, account, at);
            person(rng, identity)
        }
        _ => person(rng, "null".to_owned()),
    }
}

/// A service acting for a role: `invokedBy`, address and agent all name the service.
pub(super) fn on_behalf(rng: &mut fastrand::Rng, account: &str, at: i64, service: &str) -> Caller {
    let mut caller = assumed_role(rng, account, at);
    caller.identity.truncate(caller.identity.len() - 1);
    caller.identity.push_str(&format!(r#","invokedBy":"{service}"}}"#));
    Caller {
        source_ip: service.to_owned(),
        user_agent: service.to_owned(),
        console: false,
        ..caller
    }
}

/// A service in its own name.
pub(super) fn service(name: &str) -> Caller {
    Caller {
        identity: format!(r#"{{"type":"AWSService","invokedBy":"{name}"}}"#),
        source_ip: name.to_owned(),
        user_agent: name.to_owned(),
        console: false,
    }
}

/// A role that somebody assumed; the session may be web identity's, or carry a source identity.
pub(super) fn assumed_role(rng: &mut fastrand::Rng, account: &str, at: i64) -> Caller {
    let (role, who) = (pick(rng, ROLES), pick(rng, PEOPLE));
    let principal = principal(account, role);
    let session = match rng.u8(..3) {
        0 => format!("{who}@example.com"),
        1 => format!("i-{:017x}", rng.u64(..) >> 4),
        _ => format!("session-{}", alphanumeric(rng, 8)),
    };
    let web = if rng.u8(..12) == 0 {
        r#""webIdFederationData":{"federatedProvider":"arn:aws:iam::aws:oidc","attributes":{}},"#
    } else {
        ""
    };
    let source =
        if rng.u8(..10) == 0 { format!(r#","sourceIdentity":"{who}""#) } else { String::new() };
    let identity = format!(
        r#"{{"type":"AssumedRole","principalId":"AROA{principal}:{session}","arn":"arn:aws:sts::{account}:assumed-role/{role}/{session}","accountId":"{account}","accessKeyId":"ASIA{key}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROA{principal}","arn":"arn:aws:iam::{account}:role/{role}","accountId":"{account}","userName":"{role}"}},{web}"attributes":{{"creationDate":"{created}","mfaAuthenticated":"{mfa}"}}{source}}}}}"#,
        key = capitals(rng, 16),
        created = timestamp(at - rng.i64(60..3600)),
        mfa = rng.bool(),
    );
    person(rng, identity)
}

/// The same role or user of an account has the same id in every record.
fn principal(account: &str, name: &str) -> String {
    let mix = |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte));
    let seed = account.bytes().chain(name.bytes()).fold(0, mix);
    capitals(&mut fastrand::Rng::with_seed(seed), 17)
}

fn iam_user(rng: &mut fastrand::Rng, account: &str) -> Caller {
    let name = match rng.u8(..20) {
        0 => "HIDDEN_DUE_TO_SECURITY_REASONS",
        _ => pick(rng, PEOPLE),
    };
    let kind = if rng.u8(..4) == 0 { "ASIA" } else { "AKIA" };
    let key = match rng.u8(..16) {
        0 => String::new(),
        _ => format!("{kind}{}", capitals(rng, 16)),
    };
    let identity = format!(
        r#"{{"type":"IAMUser","principalId":"AIDA{}","arn":"arn:aws:iam::{account}:user/{name}","accountId":"{account}","accessKeyId":"{key}","userName":"{name}"}}"#,
        principal(account, name),
    );
    person(rng, identity)
}

fn root(rng: &mut fastrand::Rng, account: &str, at: i64) -> Caller {
    let identity = format!(
        r#"{{"type":"Root","principalId":"{account}","arn":"arn:aws:iam::{account}:root","accountId":"{account}","accessKeyId":"","sessionContext":{{"attributes":{{"mfaAuthenticated":"true","creationDate":"{}"}}}}}}"#,
        timestamp(at - 300),
    );
    person(rng, identity)
}

fn federated(rng: &mut fastrand::Rng, account: &str, at: i64) -> Caller {
    let who = pick(rng, PEOPLE);
    let identity = format!(
        r#"{{"type":"FederatedUser","principalId":"{account}:{who}","arn":"arn:aws:sts::{account}:federated-user/{who}","accountId":"{account}","accessKeyId":"ASIA{}","sessionContext":{{"sessionIssuer":{{"type":"IAMUser","principalId":"AIDA{}","arn":"arn:aws:iam::{account}:user/broker","accountId":"{account}","userName":"broker"}},"attributes":{{"mfaAuthenticated":"false","creationDate":"{}"}}}}}}"#,
        capitals(rng, 16),
        principal(account, "broker"),
        timestamp(at - 900),
    );
    person(rng, identity)
}

fn identity_center(rng: &mut fastrand::Rng, account: &str) -> Caller {
    let identity = format!(
        r#"{{"type":"IdentityCenterUser","accountId":"{account}","onBehalfOf":{{"userId":"{user}","identityStoreArn":"arn:aws:identitystore::{account}:identitystore/d-9067028cf5"}},"credentialId":"{credential}"}}"#,
        user = super::uuid(rng),
        credential = alphanumeric(rng, 36),
    );
    person(rng, identity)
}

fn other_account(rng: &mut fastrand::Rng) -> Caller {
    let identity = format!(
        r#"{{"type":"AWSAccount","principalId":"AROA{}:cross","accountId":"{}"}}"#,
        capitals(rng, 17),
        rng.u64(100_000_000_000..1_000_000_000_000),
    );
    person(rng, identity)
}

/// What is met once in a thousand records, if ever. Takes nothing from `rng`: whatever is added here,
/// every other record of a seed stays as it was.
fn rarity(rng: &fastrand::Rng, account: &str, at: i64) -> String {
    let mut aside = fastrand::Rng::with_seed(rng.get_seed().rotate_left(32));
    let (who, created) = (pick(&mut aside, PEOPLE), timestamp(at - 600));
    let key = capitals(&mut aside, 16);
    let root = format!(
        r#""principalId":"{account}","arn":"arn:aws:iam::{account}:root","accountId":"{account}""#
    );
    let session =
        format!(r#""attributes":{{"creationDate":"{created}","mfaAuthenticated":"false"}}"#);
    match aside.u8(..11) {
        0 => r#"{"type":"Unknown"}"#.to_owned(),
        // AssumeRoot, by which an organization's administrators act as a member's root.
        1 => format!(
            r#"{{"type":"Root",{root},"accessKeyId":"ASIA{key}","sessionContext":{{{session},"assumedRoot":"true"}}}}"#
        ),
        // GetFederationToken, asked for by root.
        2 => format!(
            r#"{{"type":"FederatedUser","principalId":"{account}:{who}","arn":"arn:aws:sts::{account}:federated-user/{who}","accountId":"{account}","accessKeyId":"ASIA{key}","sessionContext":{{"sessionIssuer":{{"type":"Root",{root}}},{session}}}}}"#
        ),
        3 => format!(r#"{{"type":"Root",{root},"invokedBy":"AWS Internal"}}"#),
        4 => format!(
            r#"{{"type":"Role","principalId":"AROA{}","arn":"arn:aws:iam::{account}:role/audit/ReadOnly","accountId":"{account}"}}"#,
            principal(account, "ReadOnly"),
        ),
        5 => format!(
            r#"{{"type":"Directory","principalId":"{account}","accountId":"{account}","userName":"corp\\{who}"}}"#
        ),
        // The console until about 2020.
        6 => format!(
            r#"{{"type":"IAMUser","principalId":"AIDA{}","arn":"arn:aws:iam::{account}:user/{who}","accountId":"{account}","accessKeyId":"ASIA{key}","userName":"{who}","sessionContext":{{"sessionIssuer":{{}},"webIdFederationData":{{}},{session}}},"invokedBy":"signin.amazonaws.com"}}"#,
            principal(account, who),
        ),
        // Identity Center until July 2025.
        7 => format!(
            r#"{{"type":"Unknown","principalId":"{account}","arn":"","accountId":"{account}","accessKeyId":"","userName":"{who}","onBehalfOf":{{"userId":"{}","identityStoreArn":"arn:aws:identitystore::{account}:identitystore/d-9067028cf5"}},"credentialId":"{key}"}}"#,
            super::uuid(&mut aside),
        ),
        8 => format!(
            r#"{{"accountId":"{account}","onBehalfOf":{{"userId":"{}"}},"credentialId":"{key}"}}"#,
            super::uuid(&mut aside),
        ),
        // Somebody without credentials, at a public bucket.
        9 => r#"{"type":"AWSAccount","principalId":"","accountId":"anonymous"}"#.to_owned(),
        // A type that nobody knows yet.
        _ => format!(
            r#"{{"type":"AgentUser","principalId":"AGNT{key}","arn":"arn:aws:iam::{account}:agent/{who}","accountId":"{account}","accessKeyId":"ASIA{key}"}}"#
        ),
    }
}

/// The SAML or web identity that exchanges its token for a role.
pub(super) fn token_bearer(rng: &mut fastrand::Rng) -> (&'static str, Caller) {
    let who = pick(rng, PEOPLE);
    if rng.bool() {
        let identity = format!(
            r#"{{"type":"SAMLUser","principalId":"{}:{who}","userName":"{who}","identityProvider":"{}"}}"#,
            alphanumeric(rng, 27),
            alphanumeric(rng, 27),
        );
        ("AssumeRoleWithSAML", person(rng, identity))
    } else {
        let identity = format!(
            r#"{{"type":"WebIdentityUser","principalId":"arn:aws:iam::aws:oidc:sts.amazonaws.com:repo:example/app:ref:refs/heads/main","userName":"repo:example/app:ref:refs/heads/main","identityProvider":"token.{who}.example.com/é"}}"#,
        );
        ("AssumeRoleWithWebIdentity", person(rng, identity))
    }
}

/// A caller from the outside: an address of the documentation's ranges, some program.
fn person(rng: &mut fastrand::Rng, identity: String) -> Caller {
    let agent = rng.usize(..AGENTS.len());
    let source_ip = match rng.u8(..24) {
        0 => "AWS Internal".to_owned(),
        1 => format!("2001:db8::{:x}", rng.u16(..)),
        _ => format!("198.51.100.{}", rng.u8(..)),
    };
    Caller { identity, source_ip, user_agent: AGENTS[agent].to_owned(), console: agent == 3 }
}
