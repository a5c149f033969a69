use trailsift_aws::diagnosis::{Identity, Refusal};

use crate::commands::doctor::line::Line;
use crate::config::Account;

/// Beyond this the clock is worth a word.
const CLOCK_WARNS: i64 = 30;
/// Beyond this AWS refuses signatures, of some services at least.
const CLOCK_FAILS: i64 = 300;

const CREDENTIALS: &str = "credentials";
const ROLE: &str = "role";

/// The process's own credentials.
pub(in crate::commands::doctor) fn credentials(asked: &Result<Identity, Refusal>) -> Line {
    match asked {
        Ok(identity) => Line::ok(CREDENTIALS, format!("we are {}", identity.arn)),
        Err(Refusal::Credentials(said)) => Line::fail(
            CREDENTIALS,
            format!("there are none that AWS takes: {said}"),
            "give the process credentials as every AWS tool finds them: a task or instance role, a \
             web identity (EKS), a profile, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ),
        Err(Refusal::Clock(said)) => Line::fail(CREDENTIALS, said.clone(), NTP),
        Err(refusal) => Line::warn(
            CREDENTIALS,
            format!("cannot tell who we are: {refusal}"),
            "let this machine reach STS in the account's region (a VPC without a way out needs an \
             interface endpoint for sts); run needs it only for a role",
        ),
    }
}

/// Whether the account's role can be assumed. `own`: who asks for it.
pub(in crate::commands::doctor) fn role(
    account: &Account,
    own: Option<&Identity>,
    asked: &Result<(), Refusal>,
) -> Option<Line> {
    let role = account.role_arn.as_deref()?;
    Some(match asked {
        Ok(()) => match account.external_id {
            Some(_) => Line::ok(ROLE, format!("{role} is assumed, with its external id")),
            None => Line::ok(ROLE, format!("{role} is assumed")),
        },
        Err(Refusal::Denied(said)) => {
            Line::fail(ROLE, format!("{role} cannot be assumed: {said}"), trust(account, own))
        }
        Err(Refusal::Credentials(said)) => Line::fail(
            ROLE,
            format!("{role} cannot be asked for: {said}"),
            "mend the process's own credentials first",
        ),
        Err(refusal) => Line::fail(
            ROLE,
            format!("{role} cannot be asked for: {refusal}"),
            "let this machine reach STS in the account's region (a VPC without a way out needs an \
             interface endpoint for sts)",
        ),
    })
}

/// What must stand in the role's trust policy. STS says the same of a missing role, a missing trust, a
/// wrong external ID and a missing right of ours.
fn trust(account: &Account, own: Option<&Identity>) -> String {
    let principal = own.map_or_else(|| "(who we are)".to_owned(), |own| principal(&own.arn));
    let (condition, id) = match account.external_id {
        Some(_) => (
            r#","Condition":{"StringEquals":{"sts:ExternalId":"(account.external_id)"}}"#,
            ", and the external id is the one that it demands",
        ),
        None => ("", ", and it demands no external id (else set account.external_id)"),
    };
    format!(
        "see that the role exists{id}; its trust policy needs {{\"Effect\":\"Allow\",\"Principal\":\
         {{\"AWS\":\"{principal}\"}},\"Action\":\"sts:AssumeRole\"{condition}}}, and we need \
         sts:AssumeRole on it"
    )
}

/// The IAM role behind a session: trust policies name roles, not sessions.
fn principal(arn: &str) -> String {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, partition, "sts", _, account, resource] = parts[..] else { return arn.to_owned() };
    let mut words = resource.split('/');
    match (words.next(), words.next()) {
        (Some("assumed-role"), Some(role)) => format!("arn:{partition}:iam::{account}:role/{role}"),
        _ => arn.to_owned(),
    }
}

/// Whether it is the right account that calls come from.
pub(in crate::commands::doctor) fn identity(
    account: &Account,
    asked: &Result<Identity, Refusal>,
) -> Option<Line> {
    // An emulator has one account, whatever the configuration says.
    let identity = asked.as_ref().ok().filter(|_| account.endpoint_url.is_none())?;
    Some(if identity.account == account.id {
        Line::ok("account", format!("calls come from {}, as configured", identity.account))
    } else {
        Line::warn(
            "account",
            format!(
                "calls come from {}, not from {}: {}",
                identity.account, account.id, identity.arn
            ),
            "set role_arn to a role of the account; or, where that is meant, see that the policies of \
             queue, bucket and keys name us",
        )
    })
}

const NTP: &str = "synchronise this machine's clock (NTP): AWS refuses requests that are signed \
                   minutes away from its own time";

/// By how many seconds AWS's clock is ahead of ours.
pub(in crate::commands::doctor) fn clock(ahead: Option<i64>) -> Line {
    let Some(ahead) = ahead else {
        return Line::warn("clock", "cannot tell: AWS did not answer", "see the lines above");
    };
    let off = ahead.abs();
    let which = if ahead > 0 { "late" } else { "early" };
    match off {
        0..=CLOCK_WARNS => Line::ok("clock", format!("within {} s of AWS's", off.max(1))),
        _ if off <= CLOCK_FAILS => {
            Line::warn("clock", format!("this machine's clock is {off} s {which}"), NTP)
        }
        _ => Line::fail("clock", format!("this machine's clock is {off} s {which}"), NTP),
    }
}

/// Whether AWS itself is asked.
pub(in crate::commands::doctor) fn endpoint(account: &Account) -> Option<Line> {
    let endpoint = account.endpoint_url.as_deref()?;
    Some(Line::warn(
        "endpoint",
        format!("every call goes to {endpoint}: an emulator, not AWS"),
        "remove endpoint_url in production; an emulator checks neither rights nor owners",
    ))
}
