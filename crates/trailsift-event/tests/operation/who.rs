//! The caller in words.

use trailsift_event::Event;

#[test]
fn every_kind_of_caller_has_its_words() {
    const ROLE: &str = r#""arn":"arn:aws:sts::111122223333:assumed-role/Admin/alice",
        "accountId":"111122223333","sessionContext":{"attributes":{"mfaAuthenticated":"true"},
        "sessionIssuer":{"type":"Role","userName":"Admin"}}"#;
    for (identity, words) in [
        (format!(r#""type":"AssumedRole",{ROLE}"#), "alice (assumed role Admin, MFA)"),
        (
            format!(r#""type":"AssumedRole","invokedBy":"cloudformation.amazonaws.com",{ROLE}"#),
            "cloudformation.amazonaws.com on behalf of alice (assumed role Admin, MFA)",
        ),
        (
            format!(r#""type":"AssumedRole",{ROLE}"#)
                .replace("\"attributes\"", r#""sourceIdentity":"alice.smith","attributes""#),
            "alice.smith (assumed role Admin, session alice, MFA)",
        ),
        (
            r#""type":"AssumedRole","sessionContext":{"sessionIssuer":{"userName":"Admin"}}"#
                .to_owned(),
            "Admin (assumed role)",
        ),
        (r#""type":"Root","accountId":"111122223333""#.to_owned(), "root of account 111122223333"),
        (
            r#""type":"Root","accountId":"111122223333",
                "sessionContext":{"attributes":{"mfaAuthenticated":"true"}}"#
                .to_owned(),
            "root of account 111122223333 (MFA)",
        ),
        (
            r#""type":"AssumedRole","accountId":"111122223333",
                "arn":"arn:aws:sts::111122223333:assumed-role/R/breakglass",
                "sessionContext":{"assumedRoot":"true"}"#
                .to_owned(),
            "root of account 111122223333 (session breakglass)",
        ),
        (r#""type":"Root""#.to_owned(), "root"),
        (r#""type":"IAMUser","userName":"bob""#.to_owned(), "bob (IAM user)"),
        (
            r#""type":"IAMUser","userName":"bob","invokedBy":"athena.amazonaws.com""#.to_owned(),
            "athena.amazonaws.com on behalf of bob",
        ),
        (
            r#""type":"FederatedUser","arn":"arn:aws:sts::1:federated-user/bob""#.to_owned(),
            "bob (federated user)",
        ),
        (r#""type":"SAMLUser","userName":"bob""#.to_owned(), "bob (SAML user)"),
        (r#""type":"WebIdentityUser","userName":"bob""#.to_owned(), "bob (web identity user)"),
        (
            r#""type":"IdentityCenterUser","onBehalfOf":{"userId":"94482488"}"#.to_owned(),
            "94482488 (Identity Center user)",
        ),
        (r#""type":"AWSService","invokedBy":"ec2.amazonaws.com""#.to_owned(), "ec2.amazonaws.com"),
        (r#""type":"AWSService","accountId":"1""#.to_owned(), "account 1"),
        (r#""type":"AWSAccount","accountId":"444455556666""#.to_owned(), "account 444455556666"),
        (r#""type":"Role","arn":"arn:aws:iam::1:role/x/R""#.to_owned(), "R (role)"),
        (r#""type":"Directory","userName":"bob""#.to_owned(), "bob (directory user)"),
        (r#""type":"Martian","userName":"zork""#.to_owned(), "zork"),
        (r#""type":"Martian""#.to_owned(), "somebody"),
        (
            r#""type":"IAMUser","userName":"HIDDEN_DUE_TO_SECURITY_REASONS""#.to_owned(),
            "somebody (IAM user)",
        ),
        (
            r#""type":"IAMUser","userName":"root (MFA)\u202e\n""#.to_owned(),
            r#""root (MFA)\u{202e}\n" (IAM user)"#,
        ),
    ] {
        let record = format!(r#"{{"userIdentity":{{{identity}}}}}"#);
        let event = Event::new(record.as_bytes());
        assert_eq!(event.actor().in_words(), words, "{record}");
        assert_eq!(event.sentence(), format!("{words} made a call"));
    }
}
