//! Callers of every kind, as they are and as they ought not to be, and what may be asked of them.

use crate::oracle::{Tree, scalar};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use trailsift_event::{Actor, ActorKind, Credentials};
use trailsift_route::{Condition, FieldSpec, Value};

const TYPES: &[&str] = &[
    "Root",
    "IAMUser",
    "AssumedRole",
    "FederatedUser",
    "SAMLUser",
    "WebIdentityUser",
    "IdentityCenterUser",
    "AWSService",
    "AWSAccount",
    "Role",
    "Directory",
    "Unknown",
    "Newcomer",
    "",
];
const NAMES: &[&str] = &["alice", "bob", "Admin", "a/\"b", "HIDDEN_DUE_TO_SECURITY_REASONS", ""];
const ARNS: &[&str] = &[
    "arn:aws:iam::111122223333:user/dev/alice",
    "arn:aws:iam::111122223333:root",
    "arn:aws:sts::111122223333:assumed-role/Admin/bob",
    "arn:aws:sts::111122223333:federated-user/alice",
    "alice",
];
const IDS: &[&str] = &["AROAEXAMPLE:bob", "111122223333", "444455556666:alice", "AIDAEXAMPLE"];
const ACCOUNTS: &[&str] = &["111122223333", "444455556666", ""];
const KEYS: &[&str] = &["AKIAEXAMPLE", "ASIAEXAMPLE", "ACCAEXAMPLE", "AKI", ""];
const SERVICES: &[&str] = &["ec2.amazonaws.com", "signin.amazonaws.com", "AWS Internal", ""];
const FLAGS: &[&str] = &["true", "false", "maybe"];

/// Members of an object, any of them missing, in any order, hardly ever one twice.
fn members(list: Vec<(&'static str, BoxedStrategy<Tree>)>) -> BoxedStrategy<Tree> {
    let list: Vec<_> = list
        .into_iter()
        .map(|(name, value)| prop::option::of(value.prop_map(move |it| (name.to_owned(), it))))
        .collect();
    let members = list.prop_map(|list| list.into_iter().flatten().collect::<Vec<_>>());
    let twice = prop::option::weighted(0.03, any::<prop::sample::Index>());
    (members, twice)
        .prop_map(|(mut members, twice)| {
            if let Some(twice) = twice.filter(|_| !members.is_empty()) {
                members.push(members[twice.index(members.len())].clone());
            }
            members
        })
        .prop_shuffle()
        .prop_map(Tree::Object)
        .boxed()
}

fn one_of(texts: &'static [&'static str]) -> BoxedStrategy<Tree> {
    let text = prop::sample::select(texts).prop_map(|text| Tree::Scalar(Json::from(text)));
    or_odd(text.boxed())
}

/// Now and then something that AWS would not write there.
fn or_odd(usual: BoxedStrategy<Tree>) -> BoxedStrategy<Tree> {
    let scalar = || scalar().prop_map(Tree::Scalar);
    prop_oneof![
        14 => usual,
        1 => scalar(),
        1 => prop::collection::vec(scalar(), 0..2).prop_map(Tree::Array),
    ]
    .boxed()
}

/// A value of `userIdentity`.
pub(crate) fn identity() -> BoxedStrategy<Tree> {
    let flag = || prop_oneof![Just(Tree::Scalar(json!(true))), one_of(FLAGS)].boxed();
    let issuer = members(vec![
        ("type", one_of(TYPES)),
        ("userName", one_of(NAMES)),
        ("arn", one_of(ARNS)),
        ("accountId", one_of(ACCOUNTS)),
    ]);
    let session = members(vec![
        ("assumedRoot", flag()),
        ("sourceIdentity", one_of(NAMES)),
        ("attributes", or_odd(members(vec![("mfaAuthenticated", flag())]))),
        ("sessionIssuer", or_odd(issuer)),
        ("x", one_of(NAMES)),
    ]);
    or_odd(members(vec![
        ("type", one_of(TYPES)),
        ("userName", one_of(NAMES)),
        ("arn", one_of(ARNS)),
        ("principalId", one_of(IDS)),
        ("accountId", one_of(ACCOUNTS)),
        ("accessKeyId", one_of(KEYS)),
        ("invokedBy", one_of(SERVICES)),
        ("credentialId", one_of(NAMES)),
        ("onBehalfOf", or_odd(members(vec![("userId", one_of(NAMES))]))),
        ("sessionContext", or_odd(session)),
        ("x", one_of(NAMES)),
    ]))
}

/// Something asked of the derived actor.
pub(crate) fn field() -> impl Strategy<Value = FieldSpec> {
    prop::sample::select(Actor::FIELDS).prop_flat_map(|name| {
        let condition = match name {
            "kind" => of_words(ActorKind::ALL.map(ActorKind::as_str).to_vec()),
            "credentials" => of_words(Credentials::ALL.map(Credentials::as_str).to_vec()),
            "mfa" => of_flags(),
            "arn" => of_texts([ARNS, &["assumed-role", "333:root"]].concat()),
            "account_id" => of_texts(ACCOUNTS.to_vec()),
            "invoked_by" => of_texts(SERVICES.to_vec()),
            _ => of_texts([NAMES, &["al", "b"]].concat()),
        };
        prop::collection::vec(condition, 1..3)
            .prop_map(move |conditions| FieldSpec { path: format!("actor.{name}"), conditions })
    })
}

fn of_flags() -> BoxedStrategy<Condition> {
    let flags = || any::<bool>().prop_map(|flag| vec![Value::Bool(flag)]);
    prop_oneof![
        flags().prop_map(Condition::Equals),
        flags().prop_map(Condition::NotEquals),
        any::<bool>().prop_map(Condition::Exists),
    ]
    .boxed()
}

/// Words of a closed set, and their beginnings and ends: others are refused.
fn of_words(words: Vec<&'static str>) -> BoxedStrategy<Condition> {
    let list = |part: fn(&str) -> &str| {
        let part = prop::sample::select(words.clone()).prop_map(move |it| part(it).to_owned());
        prop::collection::vec(part, 1..4).boxed()
    };
    let values = || list(|word| word).prop_map(|it| it.into_iter().map(Value::String).collect());
    let (starts, ends) = (list(|word| &word[..2]), list(|word| &word[word.len() - 2..]));
    prop_oneof![
        4 => values().prop_map(Condition::Equals),
        2 => values().prop_map(Condition::NotEquals),
        1 => starts.clone().prop_map(Condition::StartsWith),
        1 => starts.prop_map(Condition::NotStartsWith),
        1 => ends.clone().prop_map(Condition::EndsWith),
        1 => ends.prop_map(Condition::NotEndsWith),
        1 => any::<bool>().prop_map(Condition::Exists),
    ]
    .boxed()
}

fn of_texts(texts: Vec<&'static str>) -> BoxedStrategy<Condition> {
    let texts: Vec<_> = texts.into_iter().filter(|text| !text.is_empty()).collect();
    let texts = prop::sample::select(texts).prop_map(str::to_owned);
    let texts = prop::collection::vec(texts, 1..3).boxed();
    let values = |texts: Vec<String>| texts.into_iter().map(Value::String).collect();
    prop_oneof![
        3 => texts.clone().prop_map(move |texts| Condition::Equals(values(texts))),
        1 => texts.clone().prop_map(move |texts| Condition::NotEquals(values(texts))),
        1 => texts.clone().prop_map(Condition::StartsWith),
        1 => texts.clone().prop_map(Condition::NotStartsWith),
        1 => texts.clone().prop_map(Condition::EndsWith),
        1 => texts.prop_map(Condition::NotEndsWith),
        1 => any::<bool>().prop_map(Condition::Exists),
    ]
    .boxed()
}
