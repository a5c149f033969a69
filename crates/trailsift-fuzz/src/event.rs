//! What a record says can be told of any bytes; of a well-formed record it is what a plain reading of
//! the rules tells.

use std::borrow::Cow;

use trailsift_event::text::is_unseen;
use trailsift_event::{Actor, ActorKind, ActorValue, Credentials, Event, Outcome};
use trailsift_route::MAX_DEPTH;

use crate::json::{self, Json};

/// The input is a record, or anything else.
pub(crate) fn check(input: &[u8]) {
    let event = Event::new(input);
    let actor = event.actor();
    told_without_a_panic(&event);
    let is_plain = json::is_json(input)
        && std::str::from_utf8(input).is_ok_and(|it| json::depth(it) <= MAX_DEPTH);
    if is_plain {
        let record = json::read(&String::from_utf8_lossy(input));
        holds_the_same_members(&event, &record);
        let identity = last(&record, &["userIdentity"]);
        agrees_with_a_plain_reading(&actor, identity);
        is_made_of_what_is_there(&actor, identity);
    }
}

fn told_without_a_panic(event: &Event<'_>) {
    event.operation();
    let sentence = event.sentence();
    assert!(sentence.len() <= 4096, "{} bytes: {sentence}", sentence.len());
    assert!(!sentence.contains(is_unseen), "{sentence:?}");
    for path in Actor::PATHS {
        event.values(path);
    }
    if let Outcome::Failure { code: None, message: None } = event.outcome() {
        // A sign-in that failed says so under its own name.
        assert!(event.get("responseElements").or(event.get("serviceEventDetails")).is_some());
    }
}

fn holds_the_same_members(event: &Event<'_>, record: &Json) {
    let Json::Object(members) = record else {
        assert_eq!(event.members().count(), 0);
        return;
    };
    let names = members.iter().map(|(name, _)| String::from_utf8_lossy(name));
    assert!(event.members().map(|(name, _)| name).eq(names));
}

/// The rules, one field at a time.
fn agrees_with_a_plain_reading(actor: &Actor<'_>, identity: &Json) {
    let text = |path: &[&str]| text(last(identity, path));
    let caller = caller(identity);
    let (arn, id) = (text(&["arn"]), text(&["principalId"]));
    let issuer = |name| text(&["sessionContext", "sessionIssuer", name]);
    let arn_parts: Option<Vec<_>> = arn.as_deref().and_then(parts_of_arn);
    let resource = arn_parts.as_ref().map(|parts| parts[5]);
    let assumed = resource.and_then(|it| it.strip_prefix("assumed-role/"));

    let acts = text(&["invokedBy"]).is_some_and(|service| service != "signin.amazonaws.com");
    let powers = last(identity, &["sessionContext", "assumedRoot"]);
    let is_root = caller == ActorKind::Root
        || caller == ActorKind::FederatedUser && issuer("type").as_deref() == Some("Root")
        || flag(powers) == Some(true);
    let kind = match (acts, is_root) {
        (true, _) => ActorKind::AwsService,
        (false, true) => ActorKind::Root,
        (false, false) => caller,
    };
    assert_eq!(actor.kind, kind);

    let in_arn = resource.map(|it| match assumed {
        Some(role) => role.split('/').next().unwrap_or_default(),
        None => &it[it.rfind(['/', ':']).map_or(0, |at| at + 1)..],
    });
    let in_arn = || in_arn.filter(|name| !name.is_empty()).map(str::to_owned);
    let behind_colon =
        || id.as_ref()?.split_once(':').map(|(_, it)| it.to_owned()).filter(|it| !it.is_empty());
    let in_issuers_arn = || {
        let arn = issuer("arn")?;
        let resource = parts_of_arn(&arn)?[5];
        let name = match resource.strip_prefix("assumed-role/") {
            Some(role) => role.split('/').next()?,
            None => resource.rsplit(['/', ':']).next()?,
        };
        Some(name.to_owned()).filter(|name| !name.is_empty())
    };
    let candidates = match caller {
        ActorKind::AssumedRole | ActorKind::Role => {
            vec![text(&["userName"]), issuer("userName"), in_arn(), in_issuers_arn()]
        }
        ActorKind::FederatedUser => vec![text(&["userName"]), in_arn(), behind_colon()],
        ActorKind::IdentityCenterUser => {
            vec![text(&["userName"]), text(&["onBehalfOf", "userId"]), in_arn()]
        }
        ActorKind::AwsService => vec![text(&["userName"]), in_arn(), text(&["invokedBy"])],
        _ => vec![text(&["userName"]), in_arn()],
    };
    let name = candidates.into_iter().flatten().next();
    let name = name.filter(|name| name != "HIDDEN_DUE_TO_SECURITY_REASONS");
    assert_eq!(actor.name.as_deref(), name.as_deref());

    let session = assumed.and_then(|it| it.rfind('/').map(|at| it[at + 1..].to_owned()));
    let is_role =
        caller == ActorKind::AssumedRole || id.as_ref().is_some_and(|it| it.starts_with("AROA"));
    let session =
        session.filter(|it| !it.is_empty()).or_else(|| behind_colon().filter(|_| is_role));
    assert_eq!(actor.session_name.as_deref(), session.as_deref());

    let twelve = |it: &String| it.len() == 12 && it.chars().all(|c| c.is_ascii_digit());
    let in_arn = arn_parts.as_ref().map(|it| it[4].to_owned());
    let account = text(&["accountId"])
        .or(in_arn.filter(twelve))
        .or(issuer("accountId"))
        .or(id.clone().filter(twelve));
    assert_eq!(actor.account_id.as_deref(), account.as_deref());

    assert_eq!(actor.credentials, credentials(identity, caller));
    let mfa = last(identity, &["sessionContext", "attributes", "mfaAuthenticated"]);
    assert_eq!(actor.mfa, flag(mfa));
    assert_eq!(actor.arn.as_deref(), arn.as_deref());
    assert_eq!(actor.invoked_by.as_deref(), text(&["invokedBy"]).as_deref());
    let source = text(&["sessionContext", "sourceIdentity"]);
    assert_eq!(actor.source_identity.as_deref(), source.as_deref());
    let provider = text(&["sessionContext", "webIdFederationData", "federatedProvider"]);
    assert_eq!(actor.web_identity_provider.as_deref(), provider.as_deref());
}

fn caller(identity: &Json) -> ActorKind {
    let of_identity_center = holds_anything(last(identity, &["onBehalfOf"]))
        || text(last(identity, &["credentialId"])).is_some();
    match text(last(identity, &["type"])).as_deref().unwrap_or("Unknown") {
        "Root" => ActorKind::Root,
        "IAMUser" => ActorKind::IamUser,
        "AssumedRole" => ActorKind::AssumedRole,
        "FederatedUser" => ActorKind::FederatedUser,
        "SAMLUser" => ActorKind::SamlUser,
        "WebIdentityUser" => ActorKind::WebIdentityUser,
        "IdentityCenterUser" => ActorKind::IdentityCenterUser,
        "AWSService" => ActorKind::AwsService,
        "AWSAccount" => ActorKind::AwsAccount,
        "Role" => ActorKind::Role,
        "Directory" => ActorKind::Directory,
        "Unknown" if of_identity_center => ActorKind::IdentityCenterUser,
        _ => ActorKind::Unknown,
    }
}

fn credentials(identity: &Json, caller: ActorKind) -> Credentials {
    let key = text(last(identity, &["accessKeyId"])).unwrap_or_default();
    let begins = |kinds: [&str; 2]| kinds.iter().any(|kind| key.starts_with(kind));
    let is_temporary_by_type = matches!(
        caller,
        ActorKind::AssumedRole | ActorKind::FederatedUser | ActorKind::IdentityCenterUser
    );
    let has_none_by_type =
        key.is_empty() && matches!(caller, ActorKind::AwsService | ActorKind::AwsAccount);
    let has_session = holds_anything(last(identity, &["sessionContext"]))
        || text(last(identity, &["credentialId"])).is_some();
    if !is_temporary_by_type && begins(["AKIA", "ACCA"]) {
        Credentials::LongTerm
    } else if is_temporary_by_type || begins(["ASIA", "ABIA"]) || has_session && !has_none_by_type {
        Credentials::Temporary
    } else {
        Credentials::None
    }
}

/// What selectors rely on to reject a record without reading it.
fn is_made_of_what_is_there(actor: &Actor<'_>, identity: &Json) {
    let (mut names, mut texts) = (Vec::new(), Vec::new());
    strings(identity, &mut names, &mut texts);
    for field in Actor::FIELDS.iter().filter(|field| !["kind", "credentials"].contains(field)) {
        if let Some(ActorValue::Text(held)) = actor.field(field) {
            assert!(texts.iter().any(|text| text.contains(held)), "{field} {held:?}");
        }
    }
    if let Some(evidence) = actor.kind.evidence() {
        assert!(
            names.iter().chain(&texts).any(|held| evidence.contains(&&**held)),
            "{:?}",
            actor.kind
        );
    }
}

fn strings<'v>(value: &'v Json, names: &mut Vec<Cow<'v, str>>, texts: &mut Vec<Cow<'v, str>>) {
    match value {
        Json::Text(text) => texts.push(String::from_utf8_lossy(text)),
        Json::Array(elements) => elements.iter().for_each(|it| strings(it, names, texts)),
        Json::Object(members) => members.iter().for_each(|(name, value)| {
            names.push(String::from_utf8_lossy(name));
            strings(value, names, texts);
        }),
        _ => {}
    }
}

/// What lies at the path, of several members of a name the last; null where nothing does.
fn last<'v>(value: &'v Json, path: &[&str]) -> &'v Json {
    path.iter().fold(value, |value, name| {
        let Json::Object(members) = value else { return &Json::Null };
        let named = members.iter().rfind(|(other, _)| other == name.as_bytes());
        named.map_or(&Json::Null, |(_, value)| value)
    })
}

fn text(value: &Json) -> Option<String> {
    let Json::Text(text) = value else { return None };
    Some(String::from_utf8_lossy(text).into_owned()).filter(|text| !text.is_empty())
}

fn flag(value: &Json) -> Option<bool> {
    match value {
        Json::Bool(flag) => Some(*flag),
        Json::Text(text) => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}

fn holds_anything(value: &Json) -> bool {
    let Json::Object(members) = value else { return false };
    members.iter().any(|(_, value)| !matches!(value, Json::Null))
}

/// `arn`, partition, service, region, account and resource: fewer are no ARN.
fn parts_of_arn(arn: &str) -> Option<Vec<&str>> {
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    (parts.len() == 6 && parts[0] == "arn").then_some(parts)
}
