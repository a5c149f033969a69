//! What the pages for users say to write and to type, done with the real binary: every route on them is taken without a
//! warning and selects what the page says, and every `sift` command on them runs.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use trailsift_event::{Actor, ActorKind, Credentials};

use super::{text, trailsift};

const README: &str = include_str!("../../README.md");
const SELECTORS: &str = include_str!("../../crates/trailsift-route/SELECTORS.md");
const REFERENCE: &str = include_str!("../../deploy/config/reference.toml");

const ACCOUNT: &str = "[account]\nid = \"111122223333\"\nregion = \"us-east-1\"\n\
    queue_url = \"https://sqs.us-east-1.amazonaws.com/111122223333/trail\"\n\
    buckets = [{ name = \"org-trail\" }]\n";
const SINK: &str = "[sink.siem]\ntype = \"stdout\"\n";

/// Records by name, which becomes their `eventID`: the rest of each, without the braces.
const RECORDS: &[(&str, &str)] = &[
    (
        "alice associates a repository in the console",
        r#""eventSource":"codeguru-reviewer.amazonaws.com","eventName":"AssociateRepository","readOnly":false,"sourceIPAddress":"203.0.113.17","sessionCredentialFromConsole":"true","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/developer/alice","accessKeyId":"ASIAEXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","userName":"developer"},"attributes":{"mfaAuthenticated":"true"}}}"#,
    ),
    (
        "a pipeline lists reviews, which is no console",
        r#""eventSource":"codeguru-reviewer.amazonaws.com","eventName":"ListCodeReviews","readOnly":true,"sourceIPAddress":"10.1.2.3","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/ci/build-7","accessKeyId":"ASIAEXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","userName":"ci"},"attributes":{"mfaAuthenticated":"false"}}}"#,
    ),
    (
        "bob attaches a policy with a key, from afar",
        r#""eventSource":"iam.amazonaws.com","eventName":"AttachUserPolicy","readOnly":false,"sourceIPAddress":"198.51.100.9","userIdentity":{"type":"IAMUser","userName":"bob","arn":"arn:aws:iam::111122223333:user/bob","accessKeyId":"AKIAEXAMPLE"}"#,
    ),
    (
        "bob lists users with a key and MFA, from IPv6 afar",
        r#""eventSource":"iam.amazonaws.com","eventName":"ListUsers","readOnly":true,"sourceIPAddress":"2001:db9::1","userIdentity":{"type":"IAMUser","userName":"bob","arn":"arn:aws:iam::111122223333:user/bob","accessKeyId":"AKIAEXAMPLE","sessionContext":{"attributes":{"mfaAuthenticated":"true"}}}"#,
    ),
    (
        "CloudFormation creates a role for bob",
        r#""eventSource":"iam.amazonaws.com","eventName":"CreateRole","readOnly":false,"sourceIPAddress":"cloudformation.amazonaws.com","userIdentity":{"type":"IAMUser","userName":"bob","arn":"arn:aws:iam::111122223333:user/bob","accessKeyId":"AKIAEXAMPLE","invokedBy":"cloudformation.amazonaws.com","sessionContext":{"attributes":{"mfaAuthenticated":"false"}}}"#,
    ),
    (
        "KMS rotates a key by itself",
        r#""eventSource":"kms.amazonaws.com","eventName":"RotateKey","readOnly":false,"sourceIPAddress":"AWS Internal","userIdentity":{"type":"AWSService","invokedBy":"AWS Internal"}"#,
    ),
    (
        "carol of Identity Center deletes an alias",
        r#""eventSource":"kms.amazonaws.com","eventName":"DeleteAlias","readOnly":false,"sourceIPAddress":"203.0.113.18","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Admin_0123456789abcdef/carol","accessKeyId":"ASIAEXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","userName":"AWSReservedSSO_Admin_0123456789abcdef"},"attributes":{"mfaAuthenticated":"false"}}}"#,
    ),
    (
        "dave who stated his identity stops an instance and may not",
        r#""eventSource":"ec2.amazonaws.com","eventName":"StopInstances","readOnly":false,"sourceIPAddress":"2001:db8::7","errorCode":"Client.UnauthorizedOperation","errorMessage":"You are not authorized","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/ops/s-1","accessKeyId":"ASIAEXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","userName":"ops"},"attributes":{"mfaAuthenticated":"false"},"sourceIdentity":"dave"}}"#,
    ),
    (
        "root signs in and fails",
        r#""eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","readOnly":false,"sourceIPAddress":"192.0.2.44","responseElements":{"ConsoleLogin":"Failure"},"userIdentity":{"type":"Root","arn":"arn:aws:iam::111122223333:root"}"#,
    ),
    (
        "a user signs in and fails with a message alone",
        r#""eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","readOnly":false,"sourceIPAddress":"203.0.113.3","errorMessage":"Failed authentication","responseElements":null,"userIdentity":{"type":"IAMUser","userName":"bob"}"#,
    ),
    (
        "a session of AssumeRoot deletes a bucket policy",
        r#""eventSource":"s3.amazonaws.com","eventName":"DeleteBucketPolicy","readOnly":false,"sourceIPAddress":"203.0.113.19","requestParameters":{"bucketName":"org-trail"},"resources":[{"type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::org-trail"}],"userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-root","accountId":"111122223333","accessKeyId":"ASIAEXAMPLE","sessionContext":{"assumedRoot":"true","attributes":{"mfaAuthenticated":"false"}}}"#,
    ),
    (
        "CloudFormation changes another bucket's policy for root",
        r#""eventSource":"s3.amazonaws.com","eventName":"PutBucketPolicy","readOnly":false,"sourceIPAddress":"cloudformation.amazonaws.com","requestParameters":{"bucketName":"org-trail-2"},"resources":[{"ARN":"arn:aws:s3:::org-trail-2"}],"userIdentity":{"type":"Root","arn":"arn:aws:iam::111122223333:root","invokedBy":"cloudformation.amazonaws.com"}"#,
    ),
    (
        "a function reads an object of the bucket",
        r#""eventSource":"s3.amazonaws.com","eventName":"GetObject","readOnly":true,"sourceIPAddress":"10.1.2.3","requestParameters":{"bucketName":"org-trail","key":"a"},"resources":[{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::org-trail/a"},{"type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::org-trail"}],"userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/reader/f","accessKeyId":"ASIAEXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","userName":"reader"},"attributes":{"mfaAuthenticated":"false"}}}"#,
    ),
    (
        "a function takes Admin with a token",
        r#""eventSource":"sts.amazonaws.com","eventName":"AssumeRoleWithWebIdentity","readOnly":true,"sourceIPAddress":"10.1.2.3","requestParameters":{"roleArn":"arn:aws:iam::111122223333:role/Admin"},"userIdentity":{"type":"WebIdentityUser","userName":"system:serviceaccount:a:b","identityProvider":"token.example.com"}"#,
    ),
    (
        "a function takes another role",
        r#""eventSource":"sts.amazonaws.com","eventName":"AssumeRole","readOnly":true,"sourceIPAddress":"10.1.2.3","requestParameters":{"roleArn":"arn:aws:iam::111122223333:role/AdminReader"},"userIdentity":{"type":"WebIdentityUser","userName":"system:serviceaccount:a:b"}"#,
    ),
    (
        "a function may not take a role",
        r#""eventSource":"sts.amazonaws.com","eventName":"AssumeRole","readOnly":true,"sourceIPAddress":"10.1.2.3","errorCode":"AccessDenied","errorMessage":"not authorized","requestParameters":null,"userIdentity":{"type":"WebIdentityUser","userName":"system:serviceaccount:a:b"}"#,
    ),
];

const CODEGURU: &[&str] = &[
    "alice associates a repository in the console",
    "a pipeline lists reviews, which is no console",
];

/// Writes the records into one trail file and says which of them each route of the configuration selects.
fn selected_by_route(configuration: &str, folder: &Path) -> BTreeMap<String, Vec<String>> {
    let path = folder.join("trailsift.toml");
    fs::write(&path, configuration).expect("written");
    let config = ["--config".as_ref(), path.as_os_str()];

    let output = trailsift([OsStr::new("check")].into_iter().chain(config), b"");
    let said = format!("{}\n{configuration}", text(&output.stderr));
    assert!(output.status.success() && output.stderr.is_empty(), "{said}");

    let routes: toml::Table = configuration.parse().expect("TOML");
    let routes = routes["route"].as_array().expect("routes").iter();
    let names = routes.map(|route| route["name"].as_str().expect("a name").to_owned());
    let file = trail_file();
    names
        .map(|name| {
            let args = ["sift", "--route", &name].map(OsStr::new);
            let output = trailsift(args.into_iter().chain(config), file.as_bytes());
            assert!(output.status.success(), "{name}: {}", text(&output.stderr));
            let events = text(&output.stdout).lines().map(|line| {
                let event: Value = serde_json::from_str(line).expect("an event");
                event["eventID"].as_str().expect("an eventID").to_owned()
            });
            (name, events.collect())
        })
        .collect()
}

fn trail_file() -> String {
    let records = RECORDS.iter().map(|(id, rest)| format!(r#"{{"eventID":"{id}",{rest}}}"#));
    format!(r#"{{"Records":[{}]}}"#, records.collect::<Vec<_>>().join(","))
}

/// The blocks of a language on a page.
fn blocks<'p>(page: &'p str, language: &str) -> Vec<&'p str> {
    let fence = format!("\n```{language}\n");
    page.split(&fence).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

/// Compares what each route selects with what it ought to, and asks that it both selects and leaves something.
fn judge(selected: &BTreeMap<String, Vec<String>>, expected: &[(&str, &[&str])]) {
    let mut differences = String::new();
    for (name, records) in expected {
        let found: &[String] = selected.get(*name).map_or(&[], Vec::as_slice);
        if found != *records {
            writeln!(differences, "{name} selects {found:#?}, not {records:#?}").expect("written");
        }
        assert!(!records.is_empty(), "{name} is not shown selecting anything");
        assert!(records.len() < RECORDS.len() || *name == "everything", "{name} leaves nothing");
    }
    for name in selected.keys().filter(|name| expected.iter().all(|(other, _)| name != other)) {
        writeln!(differences, "nothing is expected of the route {name}").expect("written");
    }
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn every_example_of_a_selector_selects_what_it_is_shown_for_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let examples = blocks(SELECTORS, "toml").join("\n");
    let selected = selected_by_route(&format!("{examples}\n{SINK}{ACCOUNT}"), folder.path());
    let all: Vec<_> = RECORDS.iter().map(|(id, _)| *id).collect();
    judge(
        &selected,
        &[
            ("codeguru-reviewer", CODEGURU),
            (
                "writes",
                &[
                    "bob attaches a policy with a key, from afar",
                    "CloudFormation creates a role for bob",
                    "KMS rotates a key by itself",
                    "carol of Identity Center deletes an alias",
                ],
            ),
            (
                "not-by-a-service",
                &[
                    "alice associates a repository in the console",
                    "bob attaches a policy with a key, from afar",
                    "carol of Identity Center deletes an alias",
                    "dave who stated his identity stops an instance and may not",
                    "root signs in and fails",
                    "a user signs in and fails with a message alone",
                    "a session of AssumeRoot deletes a bucket policy",
                ],
            ),
            (
                "by-a-person",
                &[
                    "alice associates a repository in the console",
                    "bob attaches a policy with a key, from afar",
                    "bob lists users with a key and MFA, from IPv6 afar",
                    "carol of Identity Center deletes an alias",
                    "dave who stated his identity stops an instance and may not",
                    "root signs in and fails",
                    "a user signs in and fails with a message alone",
                    "a session of AssumeRoot deletes a bucket policy",
                ],
            ),
            (
                "from-outside",
                &[
                    "bob attaches a policy with a key, from afar",
                    "bob lists users with a key and MFA, from IPv6 afar",
                    "root signs in and fails",
                ],
            ),
            (
                "failures",
                &[
                    "dave who stated his identity stops an instance and may not",
                    "root signs in and fails",
                    "a user signs in and fails with a message alone",
                    "a function may not take a role",
                ],
            ),
            (
                "denied",
                &[
                    "dave who stated his identity stops an instance and may not",
                    "a function may not take a role",
                ],
            ),
            (
                "root",
                &["root signs in and fails", "a session of AssumeRoot deletes a bucket policy"],
            ),
            (
                "into-admin",
                &["a function takes Admin with a token", "a function may not take a role"],
            ),
            ("trail-bucket-exposed", &["a session of AssumeRoot deletes a bucket policy"]),
            (
                "trail-bucket",
                &[
                    "a session of AssumeRoot deletes a bucket policy",
                    "a function reads an object of the bucket",
                ],
            ),
            (
                "long-term-keys-without-mfa",
                &[
                    "bob attaches a policy with a key, from afar",
                    "CloudFormation creates a role for bob",
                ],
            ),
            ("everything", &all),
        ],
    );
}

#[test]
fn the_pages_name_every_field_and_word_of_an_actor() {
    let fields = Actor::FIELDS.iter().map(|field| format!("actor.{field}"));
    let kinds = ActorKind::ALL.iter().map(|kind| kind.as_str().to_owned());
    let credentials = Credentials::ALL.iter().map(|it| it.as_str().to_owned());
    for name in fields.chain(kinds).chain(credentials) {
        assert!(SELECTORS.contains(&format!("`{name}`")), "SELECTORS.md has no {name}");
        assert!(REFERENCE.contains(&name), "reference.toml has no {name}");
    }
}

#[test]
fn the_routes_of_the_front_page_and_of_the_reference_select_what_they_are_named_for() {
    let folder = tempfile::tempdir().expect("a folder");
    // The front page shows an account's file, then the main one, whose sink's secret is not here, then another route.
    let front = blocks(README, "toml");
    let routes: Vec<_> = front.iter().filter_map(|block| block.split("[sink.").next()).collect();
    let selected = selected_by_route(&format!("{}\n{SINK}", routes.join("\n")), folder.path());
    judge(
        &selected,
        &[
            ("codeguru-reviewer", CODEGURU),
            (
                "changes-not-by-services",
                &[
                    "bob attaches a policy with a key, from afar",
                    "carol of Identity Center deletes an alias",
                ],
            ),
        ],
    );

    let reference = REFERENCE.replace("{ env = \"SIEM_AUTHORIZATION\" }", "{ env = \"PATH\" }");
    judge(
        &selected_by_route(&reference, folder.path()),
        &[
            ("codeguru-reviewer", CODEGURU),
            (
                "changes",
                &[
                    "alice associates a repository in the console",
                    "carol of Identity Center deletes an alias",
                    "dave who stated his identity stops an instance and may not",
                    "a session of AssumeRoot deletes a bucket policy",
                ],
            ),
        ],
    );
}

#[test]
fn every_sift_command_of_the_pages_runs_as_it_stands() {
    let folder = tempfile::tempdir().expect("a folder");
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    std::os::unix::fs::symlink(deploy, folder.path().join("deploy")).expect("a link");
    fs::create_dir(folder.path().join("trail")).expect("a folder");
    fs::write(folder.path().join("trail/records.json"), trail_file()).expect("written");
    let binary = Path::new(env!("CARGO_BIN_EXE_trailsift")).parent().expect("a folder");
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").expect("a path"));

    let mut seen = 0;
    for page in [README, SELECTORS] {
        let consoles = blocks(page, "console");
        let lines = consoles.iter().flat_map(|block| block.lines());
        for line in lines.filter_map(|line| line.strip_prefix("$ ")) {
            if !line.starts_with("trailsift sift ") {
                continue;
            }
            seen += 1;
            let output = Command::new("sh")
                .args(["-c", line])
                .current_dir(folder.path())
                .env("PATH", &path)
                .env_remove("TRAILSIFT_CONFIG")
                .output()
                .expect("a shell");
            let said = text(&output.stderr);
            assert!(output.status.success(), "{line}: {said}");
            assert!(said.contains("selected") && !said.contains("warning"), "{line}: {said}");
        }
    }
    assert!(seen >= 6, "{seen} commands found");
}
