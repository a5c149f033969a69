//! The derived actor. How it is derived is tested where it is; here, that selectors see it.

use super::Case;

const ROOT: &str = r#"[{"actor.kind": {"equals": ["root"]}}]"#;
const SERVICE: &str = r#"[{"actor.kind": {"equals": ["aws_service"]}}]"#;
const PEOPLE: &str =
    r#"[{"actor.kind": {"not_equals": ["aws_service", "aws_account", "unknown"]}}]"#;
const UNKNOWN: &str = r#"[{"actor.kind": {"equals": ["unknown"]}}]"#;
const LONG_TERM: &str = r#"[{"actor.credentials": {"equals": ["long_term"]}}]"#;
const NO_MFA: &str = r#"[{"actor.mfa": {"not_equals": [true]}}]"#;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    // Every kind.
    ("root", ROOT, r#"{"userIdentity":{"type":"Root"}}"#, true),
    ("root behind a session", ROOT, r#"{"userIdentity":{"type":"AssumedRole","sessionContext":{"assumedRoot":"true"}}}"#, true),
    ("root behind a federated user", ROOT, r#"{"userIdentity":{"type":"FederatedUser","sessionContext":{"sessionIssuer":{"type":"Root"}}}}"#, true),
    ("a service in root's name", ROOT, r#"{"userIdentity":{"type":"Root","invokedBy":"support.amazonaws.com"}}"#, false),
    ("a user is not root", ROOT, r#"{"userIdentity":{"type":"IAMUser","userName":"Root"}}"#, false),
    ("root's name elsewhere", ROOT, r#"{"type":"Root","requestParameters":{"userIdentity":{"type":"Root"}}}"#, false),
    ("a user", r#"[{"actor.kind": {"equals": ["iam_user"]}}]"#, r#"{"userIdentity":{"type":"IAMUser"}}"#, true),
    ("a role's session", r#"[{"actor.kind": {"equals": ["assumed_role"]}}]"#, r#"{"userIdentity":{"type":"AssumedRole"}}"#, true),
    ("a federated user", r#"[{"actor.kind": {"equals": ["federated_user"]}}]"#, r#"{"userIdentity":{"type":"FederatedUser"}}"#, true),
    ("a SAML user", r#"[{"actor.kind": {"equals": ["saml_user"]}}]"#, r#"{"userIdentity":{"type":"SAMLUser"}}"#, true),
    ("a web identity user", r#"[{"actor.kind": {"equals": ["web_identity_user"]}}]"#, r#"{"userIdentity":{"type":"WebIdentityUser"}}"#, true),
    ("an Identity Center user", r#"[{"actor.kind": {"equals": ["identity_center_user"]}}]"#, r#"{"userIdentity":{"type":"IdentityCenterUser"}}"#, true),
    ("a service", SERVICE, r#"{"userIdentity":{"type":"AWSService","invokedBy":"ec2.amazonaws.com"}}"#, true),
    ("a service acting for a role", SERVICE, r#"{"userIdentity":{"type":"AssumedRole","invokedBy":"ec2.amazonaws.com"}}"#, true),
    ("an account", r#"[{"actor.kind": {"equals": ["aws_account"]}}]"#, r#"{"userIdentity":{"type":"AWSAccount"}}"#, true),
    ("a role", r#"[{"actor.kind": {"equals": ["role"]}}]"#, r#"{"userIdentity":{"type":"Role"}}"#, true),
    ("a directory", r#"[{"actor.kind": {"equals": ["directory"]}}]"#, r#"{"userIdentity":{"type":"Directory"}}"#, true),
    ("a type of the future", UNKNOWN, r#"{"userIdentity":{"type":"Android"}}"#, true),
    ("no identity", UNKNOWN, "{}", true),
    ("a null identity", UNKNOWN, r#"{"userIdentity":null}"#, true),
    ("an identity that is a string", UNKNOWN, r#"{"userIdentity":"Root"}"#, true),
    ("an identity that is an array", UNKNOWN, r#"{"userIdentity":[{"type":"Root"}]}"#, true),
    ("an identity that is a number", ROOT, r#"{"userIdentity":0}"#, false),
    ("a type that is a number", UNKNOWN, r#"{"userIdentity":{"type":5}}"#, true),
    ("kinds are OR-ed", r#"[{"actor.kind": {"equals": ["root", "iam_user"]}}]"#, r#"{"userIdentity":{"type":"IAMUser"}}"#, true),
    ("a beginning of a kind", r#"[{"actor.kind": {"starts_with": ["aws_"]}}]"#, r#"{"userIdentity":{"type":"AWSAccount"}}"#, true),
    ("an end of a kind", r#"[{"actor.kind": {"ends_with": ["_user"]}}]"#, r#"{"userIdentity":{"type":"SAMLUser"}}"#, true),
    ("another end of a kind", r#"[{"actor.kind": {"ends_with": ["_user"]}}]"#, r#"{"userIdentity":{"type":"AssumedRole"}}"#, false),
    ("a kind is always there", r#"[{"actor.kind": {"exists": true}}]"#, "{}", true),
    ("and never not", r#"[{"actor.kind": {"exists": false}}]"#, "{}", false),
    ("a person", PEOPLE, r#"{"userIdentity":{"type":"AssumedRole"}}"#, true),
    ("a service for a person", PEOPLE, r#"{"userIdentity":{"type":"AssumedRole","invokedBy":"ec2.amazonaws.com"}}"#, false),
    ("nobody", PEOPLE, r#"{"userIdentity":null}"#, false),
    // Credentials and MFA.
    ("a user's key", LONG_TERM, r#"{"userIdentity":{"type":"IAMUser","accessKeyId":"AKIAIOSFODNN7EXAMPLE"}}"#, true),
    ("a session's key", LONG_TERM, r#"{"userIdentity":{"type":"IAMUser","accessKeyId":"ASIAIOSFODNN7EXAMPLE"}}"#, false),
    ("an escaped key", LONG_TERM, r#"{"userIdentity":{"type":"IAMUser","accessKeyId":"\u0041KIAIOSFODNN7EXAMPLE"}}"#, true),
    ("a session", r#"[{"actor.credentials": {"equals": ["temporary"]}}]"#, r#"{"userIdentity":{"type":"AssumedRole"}}"#, true),
    ("no credentials", r#"[{"actor.credentials": {"equals": ["none"]}}]"#, r#"{"userIdentity":{"type":"AWSService"}}"#, true),
    ("credentials are always there", r#"[{"actor.credentials": {"exists": true}}]"#, "{}", true),
    ("with MFA", r#"[{"actor.mfa": {"equals": [true]}}]"#, r#"{"userIdentity":{"sessionContext":{"attributes":{"mfaAuthenticated":"true"}}}}"#, true),
    ("with MFA as a boolean", r#"[{"actor.mfa": {"equals": [true]}}]"#, r#"{"userIdentity":{"sessionContext":{"attributes":{"mfaAuthenticated":true}}}}"#, true),
    ("without MFA", NO_MFA, r#"{"userIdentity":{"sessionContext":{"attributes":{"mfaAuthenticated":"false"}}}}"#, true),
    ("MFA is not known", NO_MFA, r#"{"userIdentity":{}}"#, true),
    ("MFA that is not known is not false", r#"[{"actor.mfa": {"equals": [false]}}]"#, r#"{"userIdentity":{}}"#, false),
    ("MFA that is not known is absent", r#"[{"actor.mfa": {"exists": false}}]"#, r#"{"userIdentity":{}}"#, true),
    ("MFA that is false is there", r#"[{"actor.mfa": {"exists": true}}]"#, r#"{"userIdentity":{"sessionContext":{"attributes":{"mfaAuthenticated":"false"}}}}"#, true),
    // Texts.
    ("a user by name", r#"[{"actor.name": {"equals": ["alice"]}}]"#, r#"{"userIdentity":{"type":"IAMUser","userName":"alice"}}"#, true),
    ("a user by the ARN's end", r#"[{"actor.name": {"equals": ["alice"]}}]"#, r#"{"userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/dev/alice"}}"#, true),
    ("a user by an escaped name", r#"[{"actor.name": {"equals": ["alice"]}}]"#, r#"{"user\u0049dentity":{"type":"IAMUser","userName":"\u0061lice"}}"#, true),
    ("a role by the beginning of its name", r#"[{"actor.name": {"starts_with": ["AWSReservedSSO_"]}}]"#, r#"{"userIdentity":{"type":"AssumedRole","sessionContext":{"sessionIssuer":{"userName":"AWSReservedSSO_Admin"}}}}"#, true),
    ("a name that is not theirs", r#"[{"actor.name": {"not_equals": ["alice"]}}]"#, r#"{"userIdentity":{"type":"IAMUser","userName":"alice"}}"#, false),
    ("a name that AWS hides", r#"[{"actor.name": {"exists": true}}]"#, r#"{"userIdentity":{"type":"IAMUser","userName":"HIDDEN_DUE_TO_SECURITY_REASONS"}}"#, false),
    ("an empty name is none", r#"[{"actor.name": {"exists": false}}]"#, r#"{"userIdentity":{"type":"IAMUser","userName":""}}"#, true),
    ("an ARN's end", r#"[{"actor.arn": {"ends_with": [":root"]}}]"#, r#"{"userIdentity":{"type":"Root","arn":"arn:aws:iam::111122223333:root"}}"#, true),
    ("an account by its id", r#"[{"actor.account_id": {"equals": ["111122223333"]}}]"#, r#"{"userIdentity":{"arn":"arn:aws:iam::111122223333:user/x"}}"#, true),
    ("another account", r#"[{"actor.account_id": {"not_equals": ["111122223333"]}}]"#, r#"{"recipientAccountId":"111122223333","userIdentity":{"accountId":"444455556666"}}"#, true),
    ("a session by its name", r#"[{"actor.session_name": {"equals": ["bob@example.com"]}}]"#, r#"{"userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/Admin/bob@example.com"}}"#, true),
    ("a session by its id", r#"[{"actor.session_name": {"ends_with": ["@example.com"]}}]"#, r#"{"userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLE:bob@example.com"}}"#, true),
    ("whoever a service acts for", r#"[{"actor.invoked_by": {"equals": ["ec2.amazonaws.com"]}}]"#, r#"{"userIdentity":{"type":"AssumedRole","invokedBy":"ec2.amazonaws.com"}}"#, true),
    ("no service behind it", r#"[{"actor.invoked_by": {"exists": false}}]"#, r#"{"userIdentity":{"type":"AssumedRole","invokedBy":""}}"#, true),
    ("the person behind a role", r#"[{"actor.source_identity": {"equals": ["carol"]}}]"#, r#"{"userIdentity":{"sessionContext":{"sourceIdentity":"carol"}}}"#, true),
    ("nobody behind a role", r#"[{"actor.source_identity": {"exists": true}}]"#, r#"{"userIdentity":{"sessionContext":{}}}"#, false),
    ("a name that happens to be an address", r#"[{"actor.session_name": {"cidr": ["192.0.2.0/24"]}}]"#, r#"{"userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/Admin/192.0.2.17"}}"#, true),
    ("a name that is no address", r#"[{"actor.session_name": {"not_cidr": ["192.0.2.0/24"]}}]"#, r#"{"userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/Admin/bob"}}"#, true),
    // Beside other fields, operators and selectors.
    ("the actor and a field", r#"[{"actor.kind": {"equals": ["root"]}, "readOnly": {"equals": [false]}}]"#, r#"{"readOnly":false,"userIdentity":{"type":"Root"}}"#, true),
    ("the actor and not the field", r#"[{"actor.kind": {"equals": ["root"]}, "readOnly": {"equals": [false]}}]"#, r#"{"readOnly":true,"userIdentity":{"type":"Root"}}"#, false),
    ("the field and not the actor", r#"[{"actor.kind": {"equals": ["root"]}, "readOnly": {"equals": [false]}}]"#, r#"{"readOnly":false,"userIdentity":{"type":"IAMUser"}}"#, false),
    ("two fields of the actor", r#"[{"actor.kind": {"equals": ["iam_user"]}, "actor.name": {"starts_with": ["a"]}}]"#, r#"{"userIdentity":{"type":"IAMUser","userName":"alice"}}"#, true),
    ("one of two fields of the actor", r#"[{"actor.kind": {"equals": ["iam_user"]}, "actor.name": {"starts_with": ["b"]}}]"#, r#"{"userIdentity":{"type":"IAMUser","userName":"alice"}}"#, false),
    ("two operators on the actor", r#"[{"actor.name": {"starts_with": ["a"], "not_equals": ["alice"]}}]"#, r#"{"userIdentity":{"userName":"alice"}}"#, false),
    ("the actor or a field", r#"[{"actor.kind": {"equals": ["root"]}}, {"eventName": {"equals": ["StopLogging"]}}]"#, r#"{"eventName":"StopLogging"}"#, true),
    ("the second actor that is asked for", r#"[{"actor.kind": {"equals": ["root"]}}, {"actor.name": {"equals": ["alice"]}}]"#, r#"{"userIdentity":{"userName":"alice"}}"#, true),
    ("the identity both ways", r#"[{"actor.kind": {"equals": ["root"]}, "userIdentity.type": {"equals": ["Root"]}}]"#, r#"{"userIdentity" : { "type" : "Root" } }"#, true),
    ("what contradicts itself", r#"[{"actor.kind": {"equals": ["root"], "not_equals": ["root"]}}]"#, r#"{"userIdentity":{"type":"Root"}}"#, false),
    ("a member of that name is not the actor", ROOT, r#"{"actor":{"kind":"root"}}"#, false),
    ("from outside, by a person", r#"[{"sourceIPAddress": {"not_cidr": ["10.0.0.0/8"]}, "actor.kind": {"not_equals": ["aws_service"]}}]"#, r#"{"sourceIPAddress":"203.0.113.9","userIdentity":{"type":"IAMUser"}}"#, true),
];
