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
            "athena.amazonaws.com on behalf of bob (IAM user)",
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
        (r#""type":"Martian","userName":"zork""#.to_owned(), "zork (unknown kind)"),
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

#[test]
fn nobody_can_pass_for_root_for_a_service_or_for_another_account() {
    let words = |identity: &str| {
        let record = format!(r#"{{"userIdentity":{{{identity}}}}}"#);
        Event::new(record.as_bytes()).actor().in_words()
    };
    for (identity, expected) in [
        // Root, whose name is the account's alias, or `root`, which a user may be called too.
        (
            r#""type":"Root","userName":"acme","accountId":"111122223333","invokedBy":"athena.amazonaws.com""#,
            "athena.amazonaws.com on behalf of root of account 111122223333",
        ),
        (
            r#""type":"IAMUser","userName":"root","accountId":"111122223333","invokedBy":"athena.amazonaws.com""#,
            "athena.amazonaws.com on behalf of root (IAM user)",
        ),
        (
            r#""type":"AssumedRole","invokedBy":"athena.amazonaws.com",
                "arn":"arn:aws:sts::111122223333:assumed-role/R/s","sessionContext":{"assumedRoot":"true"}"#,
            "athena.amazonaws.com on behalf of root of account 111122223333 (session s)",
        ),
        // What acts for a user who is called like it still acts for a user.
        (
            r#""type":"IAMUser","userName":"athena.amazonaws.com","invokedBy":"athena.amazonaws.com""#,
            "athena.amazonaws.com on behalf of athena.amazonaws.com (IAM user)",
        ),
        (
            r#""type":"IAMUser","userName":"HIDDEN_DUE_TO_SECURITY_REASONS","invokedBy":"x.amazonaws.com""#,
            "x.amazonaws.com on behalf of somebody (IAM user)",
        ),
        (
            r#""type":"AWSAccount","accountId":"444455556666","invokedBy":"x.amazonaws.com""#,
            "x.amazonaws.com on behalf of account 444455556666",
        ),
        (r#""accountId":"1","invokedBy":"AWS Internal""#, r#""AWS Internal""#),
        // The session of another account's role is named by that account.
        (
            r#""type":"AWSAccount","principalId":"AROAEXAMPLE:root","accountId":"444455556666""#,
            "account 444455556666 (session root)",
        ),
        (
            r#""type":"AWSAccount","userName":"root","accountId":"444455556666""#,
            "account 444455556666 (called root)",
        ),
        (r#""type":"Unknown","userName":"ec2.amazonaws.com""#, "ec2.amazonaws.com (unknown kind)"),
        // The session is the account's own, and who uses it is a provider of products.
        (
            r#""type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/Admin/444455556666",
                "accountId":"111122223333","invokedByDelegate":{"accountId":"444455556666"}"#,
            "444455556666 (assumed role Admin, used by account 444455556666)",
        ),
        // A user keeps the name, whatever else stands there.
        (
            r#""type":"IAMUser","userName":"bob","sessionContext":{"sourceIdentity":"alice"}"#,
            "bob (IAM user, source identity alice)",
        ),
        (
            r#""type":"FederatedUser","arn":"arn:aws:sts::111122223333:federated-user/carol",
                "sessionContext":{"sessionIssuer":{"type":"Root"}}"#,
            "root of account 111122223333 (federated user carol)",
        ),
    ] {
        assert_eq!(words(identity), expected, "{identity}");
    }
}
