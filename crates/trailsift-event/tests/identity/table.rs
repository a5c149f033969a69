//! Every kind of caller that AWS documents, and what is wrong in ways that AWS never was.

use trailsift_event::{Actor, ActorKind, ActorValue, Credentials, Event, Json};

use crate::told;

/// The sample that AWS publishes in CodeGuru Reviewer's guide, "Logging CodeGuru Reviewer API calls".
const PUBLISHED: &[u8] = include_bytes!("../fixtures/associate_repository.json");

#[track_caller]
fn check(cases: &[(&str, &str, &str)]) {
    for (what, identity, expected) in cases {
        let json = serde_json::from_str::<serde_json::Value>(identity);
        assert!(json.is_ok(), "{what}: {json:?}");
        assert_eq!(told(&Actor::of(Json::new(identity.as_bytes()))), *expected, "{what}");
    }
}

#[test]
fn the_published_sample_is_a_role_that_somebody_assumed() {
    // Its key is a placeholder that AWS puts everywhere, of the long-term kind.
    assert_eq!(
        told(&Event::new(PUBLISHED).actor()),
        "kind=assumed_role name=TestRole \
         arn=arn:aws:sts::123456789012:assumed-role/TestRole/TestSession \
         account_id=123456789012 credentials=temporary mfa=false session_name=TestSession"
    );
}

#[test]
fn root_is_told_by_its_type_its_issuer_or_its_powers() {
    check(&[
        (
            "the console of the root user",
            r#"{"type":"Root","principalId":"111122223333","arn":"arn:aws:iam::111122223333:root","accountId":"111122223333","accessKeyId":"","sessionContext":{"attributes":{"mfaAuthenticated":"true","creationDate":"2026-01-15T00:00:00Z"}}}"#,
            "kind=root name=root arn=arn:aws:iam::111122223333:root account_id=111122223333 credentials=temporary mfa=true",
        ),
        (
            "an access key of root in an account with an alias",
            r#"{"type":"Root","principalId":"111122223333","arn":"arn:aws:iam::111122223333:root","accountId":"111122223333","accessKeyId":"AKIAIOSFODNN7EXAMPLE","userName":"acme-prod"}"#,
            "kind=root name=acme-prod arn=arn:aws:iam::111122223333:root account_id=111122223333 credentials=long_term",
        ),
        (
            "a session of AssumeRoot",
            r#"{"type":"Root","principalId":"111122223333","arn":"arn:aws:iam::111122223333:root","accountId":"111122223333","accessKeyId":"ASIAIOSFODNN7EXAMPLE","sessionContext":{"attributes":{"creationDate":"2026-01-15T00:00:00Z","mfaAuthenticated":"false"},"assumedRoot":"true"}}"#,
            "kind=root name=root arn=arn:aws:iam::111122223333:root account_id=111122223333 credentials=temporary mfa=false",
        ),
        (
            "root's powers under another type",
            r#"{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/Break/Glass","sessionContext":{"assumedRoot":true}}"#,
            "kind=root name=Break arn=arn:aws:sts::111122223333:assumed-role/Break/Glass account_id=111122223333 credentials=temporary session_name=Glass",
        ),
        (
            "a session that root asked GetFederationToken for",
            r#"{"type":"FederatedUser","principalId":"111122223333:carol","arn":"arn:aws:sts::111122223333:federated-user/carol","accountId":"111122223333","accessKeyId":"ASIAIOSFODNN7EXAMPLE","sessionContext":{"sessionIssuer":{"type":"Root","principalId":"111122223333","arn":"arn:aws:iam::111122223333:root","accountId":"111122223333"}}}"#,
            "kind=root name=carol arn=arn:aws:sts::111122223333:federated-user/carol account_id=111122223333 credentials=temporary",
        ),
        (
            "no powers of root",
            r#"{"type":"IAMUser","userName":"bob","sessionContext":{"assumedRoot":"false","sessionIssuer":{"type":"Root"}}}"#,
            "kind=iam_user name=bob credentials=temporary",
        ),
        (
            "empty powers, as OpenSearch Serverless writes them",
            r#"{"type":"IAMUser","userName":"bob","sessionContext":{"assumedRoot":"","sourceIdentity":""}}"#,
            "kind=iam_user name=bob credentials=temporary",
        ),
    ]);
}

#[test]
fn an_iam_users_key_tells_how_long_it_lasts() {
    check(&[
        (
            "an access key",
            r#"{"type":"IAMUser","principalId":"AIDAJ45Q7YFFAREXAMPLE","arn":"arn:aws:iam::123456789012:user/Alice","accountId":"123456789012","accessKeyId":"AKIAIOSFODNN7EXAMPLE","userName":"Alice"}"#,
            "kind=iam_user name=Alice arn=arn:aws:iam::123456789012:user/Alice account_id=123456789012 credentials=long_term",
        ),
        (
            "a session",
            r#"{"type":"IAMUser","accessKeyId":"ASIAIOSFODNN7EXAMPLE","userName":"Alice"}"#,
            "kind=iam_user name=Alice credentials=temporary",
        ),
        (
            "a credential for one service, and a bearer token",
            r#"{"type":"IAMUser","accessKeyId":"ACCAIOSFODNN7EXAMPLE","userName":"Alice"}"#,
            "kind=iam_user name=Alice credentials=long_term",
        ),
        (
            "a bearer token of STS",
            r#"{"type":"IAMUser","accessKeyId":"ABIAIOSFODNN7EXAMPLE","userName":"Alice"}"#,
            "kind=iam_user name=Alice credentials=temporary",
        ),
        (
            "an empty key, as in AWS's own sample",
            r#"{"type":"IAMUser","accountId":"123456789012","accessKeyId":"","userName":"Alice"}"#,
            "kind=iam_user name=Alice account_id=123456789012 credentials=none",
        ),
        (
            "a key that AWS has hidden, in a session",
            r#"{"type":"IAMUser","accessKeyId":"access-key","userName":"Alice","sessionContext":{"sessionIssuer":{}}}"#,
            "kind=iam_user name=Alice credentials=temporary",
        ),
        (
            "a bearer token of a service",
            r#"{"type":"IAMUser","userName":"Alice","credentialId":"EXAMPLE"}"#,
            "kind=iam_user name=Alice credentials=temporary",
        ),
        (
            "a session of which nothing is said",
            r#"{"type":"IAMUser","userName":"Alice","sessionContext":{"attributes":null}}"#,
            "kind=iam_user name=Alice credentials=none",
        ),
        (
            "a name with a path, in the ARN alone",
            r#"{"type":"IAMUser","arn":"arn:aws-cn:iam::123456789012:user/division/team/Zo\u00eb"}"#,
            "kind=iam_user name=Zoë arn=arn:aws-cn:iam::123456789012:user/division/team/Zoë account_id=123456789012 credentials=none",
        ),
        (
            "a sign-in that failed",
            r#"{"type":"IAMUser","accountId":"123456789012","accessKeyId":"","userName":"HIDDEN_DUE_TO_SECURITY_REASONS"}"#,
            "kind=iam_user account_id=123456789012 credentials=none",
        ),
        (
            "a hidden name is not looked up elsewhere",
            r#"{"type":"IAMUser","arn":"arn:aws:iam::123456789012:user/Alice","userName":"HIDDEN_DUE_TO_SECURITY_REASONS"}"#,
            "kind=iam_user arn=arn:aws:iam::123456789012:user/Alice account_id=123456789012 credentials=none",
        ),
        (
            "an old record of the console",
            r#"{"type":"IAMUser","userName":"Mary_Major","accessKeyId":"ASIAIOSFODNN7EXAMPLE","sessionContext":{"sessionIssuer":{},"webIdFederationData":{},"attributes":{"mfaAuthenticated":"false","creationDate":"2019-06-18T22:28:31Z"}},"invokedBy":"signin.amazonaws.com"}"#,
            "kind=iam_user name=Mary_Major credentials=temporary mfa=false invoked_by=signin.amazonaws.com",
        ),
    ]);
}

#[test]
fn an_assumed_role_is_named_by_the_role_and_its_session() {
    check(&[
        (
            "a role",
            r#"{"type":"AssumedRole","principalId":"AROAIDPPEZS35WEXAMPLE:MySession","arn":"arn:aws:sts::123456789012:assumed-role/RoleToBeAssumed/MySession","accountId":"123456789012","accessKeyId":"ASIAIOSFODNN7EXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROAIDPPEZS35WEXAMPLE","arn":"arn:aws:iam::123456789012:role/RoleToBeAssumed","accountId":"123456789012","userName":"RoleToBeAssumed"},"attributes":{"mfaAuthenticated":"true","creationDate":"20131102T010628Z"},"sourceIdentity":"alice@example.com"}}"#,
            "kind=assumed_role name=RoleToBeAssumed arn=arn:aws:sts::123456789012:assumed-role/RoleToBeAssumed/MySession account_id=123456789012 credentials=temporary mfa=true session_name=MySession source_identity=alice@example.com",
        ),
        (
            "only the ARN",
            r#"{"type":"AssumedRole","arn":"arn:aws:sts::123456789012:assumed-role/Admin/alice@example.com"}"#,
            "kind=assumed_role name=Admin arn=arn:aws:sts::123456789012:assumed-role/Admin/alice@example.com account_id=123456789012 credentials=temporary session_name=alice@example.com",
        ),
        (
            "only the issuer's ARN, and the session in the principal's id",
            r#"{"type":"AssumedRole","principalId":"AROAIDPPEZS35WEXAMPLE:i-0abc","sessionContext":{"sessionIssuer":{"type":"Role","arn":"arn:aws:iam::123456789012:role/service-role/Worker","accountId":"123456789012"}}}"#,
            "kind=assumed_role name=Worker account_id=123456789012 credentials=temporary session_name=i-0abc",
        ),
        (
            "an ARN with a colon too many, as OpenSearch Serverless documents it",
            r#"{"type":"AssumedRole","principalId":"AROA123456789EXAMPLE:user-role","arn":"arn:aws::sts::111122223333:assumed-role/Admin/user-role","accountId":"111122223333","accessKeyId":"access-key","userName":"","sessionContext":{"sessionIssuer":{"userName":"Admin"}},"credentialId":""}"#,
            "kind=assumed_role name=Admin arn=arn:aws::sts::111122223333:assumed-role/Admin/user-role account_id=111122223333 credentials=temporary session_name=user-role",
        ),
        (
            "a role for a web identity's token",
            r#"{"type":"AssumedRole","arn":"arn:aws:sts::123456789012:assumed-role/ci/build","sessionContext":{"sessionIssuer":{"type":"Role","userName":"ci"},"webIdFederationData":{"federatedProvider":"arn:aws:iam::123456789012:oidc-provider/token.example.com","attributes":{}}}}"#,
            "kind=assumed_role name=ci arn=arn:aws:sts::123456789012:assumed-role/ci/build account_id=123456789012 credentials=temporary session_name=build web_identity_provider=arn:aws:iam::123456789012:oidc-provider/token.example.com",
        ),
        (
            "a role on behalf of a user of Identity Center stays a role",
            r#"{"type":"AssumedRole","arn":"arn:aws:sts::123456789012:assumed-role/Q/app","onBehalfOf":{"userId":"94482488-3041-7026-18f3-be45837cd0e4","identityStoreArn":"arn:aws:identitystore::123456789012:identitystore/d-9067642ac7"}}"#,
            "kind=assumed_role name=Q arn=arn:aws:sts::123456789012:assumed-role/Q/app account_id=123456789012 credentials=temporary session_name=app",
        ),
        (
            "only the principal's id, masked as in CodeGuru Reviewer's sample",
            r#"{"type":"AssumedRole","principalId":"AAAAAAAAAEXAMPLE:TestSession"}"#,
            "kind=assumed_role credentials=temporary session_name=TestSession",
        ),
        (
            "an ARN without a session",
            r#"{"type":"AssumedRole","arn":"arn:aws:sts::123456789012:assumed-role/Admin"}"#,
            "kind=assumed_role name=Admin arn=arn:aws:sts::123456789012:assumed-role/Admin account_id=123456789012 credentials=temporary",
        ),
    ]);
}

#[test]
fn federated_users_are_named_by_whoever_federates_them() {
    check(&[
        (
            "GetFederationToken",
            r#"{"type":"FederatedUser","principalId":"123456789012:dave","arn":"arn:aws:sts::123456789012:federated-user/dave","accountId":"123456789012","accessKeyId":"ASIAIOSFODNN7EXAMPLE","sessionContext":{"sessionIssuer":{"type":"IAMUser","principalId":"AIDAJ45Q7YFFAREXAMPLE","arn":"arn:aws:iam::123456789012:user/broker","accountId":"123456789012","userName":"broker"},"attributes":{"mfaAuthenticated":"false"}}}"#,
            "kind=federated_user name=dave arn=arn:aws:sts::123456789012:federated-user/dave account_id=123456789012 credentials=temporary mfa=false",
        ),
        (
            "named in the principal's id alone",
            r#"{"type":"FederatedUser","principalId":"123456789012:dave"}"#,
            "kind=federated_user name=dave credentials=temporary",
        ),
        (
            "AssumeRoleWithSAML",
            r#"{"type":"SAMLUser","principalId":"SampleUkh1i4+ExamplexL/jEvs=:SamlExample","userName":"SamlExample","identityProvider":"SampleUkh1i4+ExamplexL/jEvs="}"#,
            "kind=saml_user name=SamlExample credentials=none",
        ),
        (
            "AssumeRoleWithWebIdentity",
            r#"{"type":"WebIdentityUser","principalId":"accounts.google.com:application-id.apps.googleusercontent.com:user-id","userName":"user-id","identityProvider":"accounts.google.com"}"#,
            "kind=web_identity_user name=user-id credentials=none",
        ),
    ]);
}

#[test]
fn a_service_acts_in_its_own_name_or_for_whoever_called_it() {
    check(&[
        (
            "in its own name",
            r#"{"type":"AWSService","invokedBy":"autoscaling.amazonaws.com"}"#,
            "kind=aws_service name=autoscaling.amazonaws.com credentials=none invoked_by=autoscaling.amazonaws.com",
        ),
        (
            "with a name of its own",
            r#"{"type":"AWSService","userName":"AWSServiceRoleForX","accessKeyId":"ASIAIOSFODNN7EXAMPLE","invokedBy":"x.amazonaws.com"}"#,
            "kind=aws_service name=AWSServiceRoleForX credentials=temporary invoked_by=x.amazonaws.com",
        ),
        (
            "an event of the service itself",
            r#"{"accountId":"123456789012","invokedBy":"AWS Internal"}"#,
            "kind=aws_service account_id=123456789012 credentials=none invoked_by=AWS Internal",
        ),
        (
            "for a role's session, which stays the one who asked",
            r#"{"type":"AssumedRole","principalId":"AROAIDPPEZS35WEXAMPLE:alice","arn":"arn:aws:sts::123456789012:assumed-role/Admin/alice","accountId":"123456789012","accessKeyId":"ASIAIOSFODNN7EXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","userName":"Admin"},"attributes":{"mfaAuthenticated":"true"},"sourceIdentity":"alice"},"invokedBy":"cloudformation.amazonaws.com"}"#,
            "kind=aws_service name=Admin arn=arn:aws:sts::123456789012:assumed-role/Admin/alice account_id=123456789012 credentials=temporary mfa=true session_name=alice invoked_by=cloudformation.amazonaws.com source_identity=alice",
        ),
        (
            "for root: what root did not do itself",
            r#"{"type":"Root","arn":"arn:aws:iam::123456789012:root","sessionContext":{"assumedRoot":"true"},"invokedBy":"AWS Internal"}"#,
            "kind=aws_service name=root arn=arn:aws:iam::123456789012:root account_id=123456789012 credentials=temporary invoked_by=AWS Internal",
        ),
        (
            "for a type that is newer than this program",
            r#"{"type":"Robot","userName":"r2","invokedBy":"robots.amazonaws.com"}"#,
            "kind=aws_service name=r2 credentials=none invoked_by=robots.amazonaws.com",
        ),
        (
            "the sign-in as a service of its own",
            r#"{"type":"AWSService","invokedBy":"signin.amazonaws.com"}"#,
            "kind=aws_service name=signin.amazonaws.com credentials=none invoked_by=signin.amazonaws.com",
        ),
        (
            "nobody named",
            r#"{"type":"AWSService","invokedBy":"","sessionContext":{"attributes":{}}}"#,
            "kind=aws_service credentials=none",
        ),
    ]);
}

#[test]
fn behind_a_service_there_is_still_a_caller_of_a_kind() {
    for (identity, kind, caller) in [
        (
            r#"{"type":"Root","invokedBy":"x.amazonaws.com"}"#,
            ActorKind::AwsService,
            ActorKind::Root,
        ),
        (
            r#"{"type":"AssumedRole","invokedBy":"AWS Internal","sessionContext":{"assumedRoot":"true"}}"#,
            ActorKind::AwsService,
            ActorKind::Root,
        ),
        (
            r#"{"type":"IAMUser","invokedBy":"AWS Internal"}"#,
            ActorKind::AwsService,
            ActorKind::IamUser,
        ),
        (r#"{"type":"AWSService"}"#, ActorKind::AwsService, ActorKind::AwsService),
        (r#"{"invokedBy":"AWS Internal"}"#, ActorKind::AwsService, ActorKind::Unknown),
        (r#"{"type":"Role","invokedBy":"signin.amazonaws.com"}"#, ActorKind::Role, ActorKind::Role),
    ] {
        let actor = Actor::of(Json::new(identity.as_bytes()));
        assert_eq!((actor.kind, actor.caller), (kind, caller), "{identity}");
    }
}

#[test]
fn users_of_identity_center_are_told_by_type_or_by_what_only_they_have() {
    check(&[
        (
            "AWS's sample",
            r#"{"type":"IdentityCenterUser","accountId":"123456789012","onBehalfOf":{"userId":"544894e8-80c1-707f-60e3-3ba6510dfac1","identityStoreArn":"arn:aws:identitystore::123456789012:identitystore/d-9067642ac7"},"credentialId":"EXAMPLEVHULjJdTUdPJfofVa1sufHDoj7aYcOYcxFVllWR_Whr1fEXAMPLE"}"#,
            "kind=identity_center_user name=544894e8-80c1-707f-60e3-3ba6510dfac1 account_id=123456789012 credentials=temporary",
        ),
        (
            "as it was until July 2025",
            r#"{"type":"Unknown","principalId":"123456789012","arn":"","accountId":"123456789012","accessKeyId":"","userName":"alice@example.com","onBehalfOf":{"userId":"544894e8-80c1-707f-60e3-3ba6510dfac1"},"credentialId":"EXAMPLE"}"#,
            "kind=identity_center_user name=alice@example.com account_id=123456789012 credentials=temporary",
        ),
        (
            "without a type",
            r#"{"accountId":"123456789012","onBehalfOf":{"userId":"544894e8"}}"#,
            "kind=identity_center_user name=544894e8 account_id=123456789012 credentials=temporary",
        ),
        (
            "a token and nothing else",
            r#"{"credentialId":"EXAMPLE"}"#,
            "kind=identity_center_user credentials=temporary",
        ),
        (
            "on behalf of nobody",
            r#"{"type":"","onBehalfOf":{"userId":null},"credentialId":""}"#,
            "kind=unknown credentials=none",
        ),
    ]);
}

#[test]
fn other_kinds_pass_with_what_they_say() {
    check(&[
        (
            "another account's session",
            r#"{"type":"AWSAccount","principalId":"AROAIDPPEZS35WEXAMPLE:cross","accountId":"444455556666"}"#,
            "kind=aws_account account_id=444455556666 credentials=none session_name=cross",
        ),
        (
            "another account's user",
            r#"{"type":"AWSAccount","principalId":"AIDAQRSTUVWXYZEXAMPLE","accountId":"444455556666","accessKeyId":"AKIAIOSFODNN7EXAMPLE"}"#,
            "kind=aws_account account_id=444455556666 credentials=long_term",
        ),
        (
            "anybody, at a public bucket",
            r#"{"type":"AWSAccount","principalId":"","accountId":"anonymous"}"#,
            "kind=aws_account account_id=anonymous credentials=none",
        ),
        (
            "a role without a session",
            r#"{"type":"Role","arn":"arn:aws:iam::123456789012:role/path/Auditor"}"#,
            "kind=role name=Auditor arn=arn:aws:iam::123456789012:role/path/Auditor account_id=123456789012 credentials=none",
        ),
        (
            "another account without a key, whatever session there is",
            r#"{"type":"AWSAccount","accountId":"444455556666","sessionContext":{"attributes":{"mfaAuthenticated":"false"}}}"#,
            "kind=aws_account account_id=444455556666 credentials=none mfa=false",
        ),
        (
            "another account with a masked key and a session",
            r#"{"type":"AWSAccount","accessKeyId":"access-key","sessionContext":{"attributes":{}}}"#,
            "kind=aws_account credentials=temporary",
        ),
        (
            "a role that only its issuer names",
            r#"{"type":"Role","sessionContext":{"sessionIssuer":{"userName":"Auditor"}}}"#,
            "kind=role name=Auditor credentials=temporary",
        ),
        (
            "a role of AWS's own, and an id that is no account's",
            r#"{"type":"Role","principalId":"12345","arn":"arn:aws:iam::aws:role/Theirs"}"#,
            "kind=role name=Theirs arn=arn:aws:iam::aws:role/Theirs credentials=none",
        ),
        (
            "a directory",
            r#"{"type":"Directory","userName":"corp\\alice","accountId":"123456789012"}"#,
            r"kind=directory name=corp\alice account_id=123456789012 credentials=none",
        ),
        (
            "what AWS does not know either",
            r#"{"type":"Unknown","principalId":"123456789012","userName":"x"}"#,
            "kind=unknown name=x account_id=123456789012 credentials=none",
        ),
        (
            "a type that is newer than this program",
            r#"{"type":"QuantumUser","arn":"arn:aws:quantum:us-east-1:123456789012:cat:alive","accessKeyId":"ASIAIOSFODNN7EXAMPLE"}"#,
            "kind=unknown name=alive arn=arn:aws:quantum:us-east-1:123456789012:cat:alive account_id=123456789012 credentials=temporary",
        ),
        ("types are told apart by case", r#"{"type":"root"}"#, "kind=unknown credentials=none"),
        (
            "no type",
            r#"{"principalId":"123456789012","sessionContext":{"attributes":{"mfaAuthenticated":true}}}"#,
            "kind=unknown account_id=123456789012 credentials=temporary mfa=true",
        ),
    ]);
}

#[test]
fn whatever_it_is_there_is_an_answer() {
    const NOBODY: &str = "kind=unknown credentials=none";
    check(&[
        ("null", "null", NOBODY),
        ("nothing in it", "{}", NOBODY),
        ("no object", r#"["type","Root"]"#, NOBODY),
        ("a text", r#""Root""#, NOBODY),
        ("a number", "-1.5e300", NOBODY),
        (
            "numbers, booleans and objects for texts",
            r#"{"type":1,"userName":2,"principalId":true,"arn":{},"accountId":123456789012,"accessKeyId":["AKIA"],"invokedBy":7,"credentialId":{"a":1},"onBehalfOf":"u"}"#,
            NOBODY,
        ),
        (
            "texts for objects",
            r#"{"type":"AssumedRole","sessionContext":"sessionIssuer","onBehalfOf":[{"userId":"u"}]}"#,
            "kind=assumed_role credentials=temporary",
        ),
        (
            "what is below it is wrong",
            r#"{"type":"IAMUser","sessionContext":{"attributes":[],"sessionIssuer":5,"assumedRoot":1,"sourceIdentity":{},"webIdFederationData":true}}"#,
            "kind=iam_user credentials=temporary",
        ),
        (
            "a flag in words of its own",
            r#"{"type":"IAMUser","sessionContext":{"attributes":{"mfaAuthenticated":"yes"}}}"#,
            "kind=iam_user credentials=temporary",
        ),
        (
            "everything empty",
            r#"{"type":"","userName":"","principalId":"","arn":"","accountId":"","accessKeyId":"","invokedBy":"","sessionContext":{}}"#,
            NOBODY,
        ),
        (
            "ARNs that end too soon",
            r#"{"type":"AssumedRole","arn":"arn:aws:sts::123456789012:assumed-role/","principalId":"AROAEXAMPLE:"}"#,
            "kind=assumed_role arn=arn:aws:sts::123456789012:assumed-role/ account_id=123456789012 credentials=temporary",
        ),
        (
            "no ARN at all",
            r#"{"type":"IAMUser","arn":"Alice/Bob"}"#,
            "kind=iam_user arn=Alice/Bob credentials=none",
        ),
        (
            "a key of letters that are not Latin",
            r#"{"type":"IAMUser","accessKeyId":"Ключ"}"#,
            "kind=iam_user credentials=none",
        ),
        (
            "the last of two counts, also where it is null",
            r#"{"type":"Root","type":"IAMUser","userName":"alice","userName":null}"#,
            "kind=iam_user credentials=none",
        ),
        (
            "spelt with escapes",
            r#"{"\u0074ype":"\u0049AMUser","arn":"arn:aws:iam::123456789012:user\/Alice"}"#,
            "kind=iam_user name=Alice arn=arn:aws:iam::123456789012:user/Alice account_id=123456789012 credentials=none",
        ),
    ]);
    assert_eq!(Event::new(b"{}").actor(), Actor::default());
    assert_eq!(Event::new(br#"{"userIdentity":null}"#).actor(), Actor::default());
}

#[test]
fn the_fields_are_the_envelopes() {
    let actor = Event::new(PUBLISHED).actor();
    assert_eq!(actor.field("mfa"), Some(ActorValue::Flag(false)));
    assert_eq!(actor.field("invoked_by"), None);
    assert_eq!(actor.field("web_identity_provider"), None);
    assert_eq!(actor.field("Kind"), None);
    let nobody = Actor::default();
    let known = Actor::FIELDS.iter().filter(|name| nobody.field(name).is_some());
    assert_eq!(known.collect::<Vec<_>>(), ["kind", "credentials"].iter().collect::<Vec<_>>());
    assert_eq!(nobody.kind, ActorKind::Unknown);
    assert_eq!(nobody.credentials, Credentials::None);
}
