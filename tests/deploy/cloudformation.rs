use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::{ffi::OsStr, fs};

use serde_json::{Value, json};

use super::{DRAIN_SECONDS, check, read, root, run, text, tool, tools};

const TEMPLATES: [&str; 2] = ["ingest.yaml", "service.yaml"];

fn template(name: &str) -> Value {
    let path = root().join("deploy/cloudformation").join(name);
    serde_json::from_str(&tools(&["template".as_ref(), path.as_os_str()], b"")).expect("JSON")
}

fn resources(template: &Value) -> impl Iterator<Item = (&String, &Value)> {
    template["Resources"].as_object().expect("resources").iter()
}

/// Every statement of every policy that a role gets, by its id.
fn statements(template: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for (name, resource) in resources(template) {
        let properties = &resource["Properties"];
        let documents = match resource["Type"].as_str().expect("a type") {
            "AWS::IAM::Policy" | "AWS::IAM::ManagedPolicy" => vec![&properties["PolicyDocument"]],
            "AWS::IAM::Role" => {
                let inline = properties["Policies"].as_array().into_iter().flatten();
                inline.map(|policy| &policy["PolicyDocument"]).collect()
            }
            _ => continue,
        };
        for statement in
            documents.into_iter().flat_map(|it| it["Statement"].as_array().expect("some"))
        {
            let sid = statement["Sid"].as_str().unwrap_or_else(|| panic!("{name}: no Sid"));
            let before = found.insert(sid.to_owned(), statement.clone());
            assert!(before.is_none(), "{sid} is there twice");
        }
    }
    found
}

fn actions(statement: &Value) -> Vec<&str> {
    match &statement["Action"] {
        Value::String(action) => vec![action],
        actions => actions
            .as_array()
            .expect("a list")
            .iter()
            .map(|it| it.as_str().expect("text"))
            .collect(),
    }
}

#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn cfn_lint_finds_nothing_in_the_templates() {
    let lint = |path: &Path| tool("cfn-lint", &[OsStr::new("--"), path.as_os_str()], b"");
    let folder = tempfile::tempdir().expect("a folder");
    for (name, right, wrong) in [
        (TEMPLATES[0], "RedrivePolicy:", "RedrivingPolicy:"),
        (TEMPLATES[1], "StopTimeout: !Ref StopTimeout", "StopTimeout: !Ref StopTime"),
    ] {
        let path = root().join("deploy/cloudformation").join(name);
        let output = lint(&path);
        assert!(output.status.success(), "{name}: {}", text(&output.stdout));
        let planted = folder.path().join(name);
        let template = fs::read_to_string(&path).expect("text");
        assert!(template.contains(right), "{name}");
        fs::write(&planted, template.replace(right, wrong)).expect("written");
        assert!(!lint(&planted).status.success(), "{name}: {wrong} is not found");
    }
}

#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn no_role_may_do_more_than_its_statements_spell_out() {
    for name in TEMPLATES {
        for (sid, statement) in statements(&template(name)) {
            assert_eq!(statement["Effect"], "Allow", "{sid}");
            for action in actions(&statement) {
                assert!(!action.contains('*'), "{sid}: {action}");
            }
            // ECR's token is of no repository, so there is nothing to name.
            let anything = statement["Resource"] == "*";
            assert_eq!(anything, sid == "LogInToEcr", "{sid}: {}", statement["Resource"]);
            // A key is for what AWS does with it on our behalf, never for us.
            if actions(&statement).iter().any(|action| action.starts_with("kms:")) {
                let through = &statement["Condition"]["StringEquals"]["kms:ViaService"];
                assert!(!through.is_null(), "{sid}");
            }
        }
    }
}

/// The names of all parameters (and resources) that a value refers to.
fn referred(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let names = text.split("${").skip(1).filter_map(|rest| rest.split_once('}'));
            found.extend(names.map(|(name, _)| name.to_owned()));
        }
        Value::Array(values) => values.iter().for_each(|value| referred(value, found)),
        Value::Object(members) => {
            found.extend(members.get("Ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|value| referred(value, found));
        }
        _ => {}
    }
}

#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn no_parameter_widens_a_right() {
    let mut template = template("service.yaml");
    let mut names = BTreeSet::new();
    for statement in statements(&template).values() {
        referred(&statement["Resource"], &mut names);
    }
    let parameters = template["Parameters"].as_object_mut().expect("parameters");
    let parameters = parameters.iter_mut().filter(|(name, _)| names.contains(*name));
    let mut planted = 0;
    for (_, parameter) in parameters {
        parameter["Default"] = "*".into();
        planted += 1;
    }
    assert!(planted >= 20, "{names:?}");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("service.json");
    fs::write(&path, template.to_string()).expect("written");
    let output = tool("cfn-lint", &["--".as_ref(), path.as_os_str()], b"");
    let refused = text(&output.stdout).matches("allowed by AllowedPattern").count();
    assert_eq!(refused, planted, "{}", text(&output.stdout));
}

#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn no_task_starts_before_its_rights() {
    let template = template("service.yaml");
    let awaited = template["Resources"]["Service"]["Metadata"]["StartsAfter"].as_array();
    let awaited = awaited.expect("policies");
    let policies: Vec<_> =
        resources(&template).filter(|(_, it)| it["Type"] == "AWS::IAM::Policy").collect();
    assert_eq!(awaited.len(), policies.len());
    for (name, policy) in policies {
        let reference = json!({ "Fn::If": [policy["Condition"], { "Ref": name }, ""] });
        assert!(awaited.contains(&reference), "{name}");
    }
}

#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn both_templates_allow_the_same_reading() {
    let (ingest, service) =
        (statements(&template("ingest.yaml")), statements(&template("service.yaml")));
    for (sid, statement) in &ingest {
        assert_eq!(actions(statement), actions(&service[sid]), "{sid}");
    }
}

#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn the_task_is_locked_down_and_has_time_to_drain() {
    let template = template("service.yaml");
    let stop = &template["Parameters"]["StopTimeout"];
    for bound in ["Default", "MinValue"] {
        assert!(stop[bound].as_u64().expect("seconds") > DRAIN_SECONDS);
    }
    let containers = &template["Resources"]["TaskDefinition"]["Properties"]["ContainerDefinitions"];
    // Without a mode ECS drops lines, which may be events.
    let mode = &containers[1]["LogConfiguration"]["Options"]["mode"];
    assert_eq!(mode, &json!({ "Ref": "LogMode" }), "{}", containers[1]["Name"]);
    assert_eq!(template["Parameters"]["LogMode"]["Default"], "blocking");
    for container in containers.as_array().expect("containers") {
        let name = container["Name"].as_str().expect("a name");
        assert_eq!(container["ReadonlyRootFilesystem"], true, "{name}");
        assert!(container["Privileged"].is_null(), "{name}");
        let dropped =
            container["LinuxParameters"]["Capabilities"]["Drop"].as_array().expect("some");
        match name {
            // It gives the data folder to the user of the image.
            "config" => assert!(dropped.len() == 13 && !dropped.contains(&"CHOWN".into())),
            _ => {
                assert_eq!(dropped, &["ALL"], "{name}");
                assert_eq!(container["User"], "65532:65532", "{name}");
            }
        }
    }
}

/// What the helper does before the start, with these folders in place of its own and no user to give them to.
fn lay_down(configuration: &str, folder: &Path) {
    let template = template("service.yaml");
    let containers = &template["Resources"]["TaskDefinition"]["Properties"]["ContainerDefinitions"];
    let script = containers[0]["Command"][2].as_str().expect("a script");
    let script = script.replace("/etc/trailsift", &folder.display().to_string());
    let (script, gives_away) = script.split_once("chown -R 65532:65532").expect("the last line");
    assert!(gives_away.ends_with("/var/lib/trailsift\n"), "{gives_away}");
    let mut command = Command::new("sh");
    let output =
        run(command.args(["-euc", script]).env("TRAILSIFT_CONFIGURATION", configuration), b"");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "", "nothing of it gets into the log");
}

#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn the_configuration_gets_into_the_task_as_one_file_or_as_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let sample = read("deploy/config/samples/one-account-to-a-file.toml");
    lay_down(&sample, folder.path());
    let output = check(folder.path(), &sample);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));

    let folder = tempfile::tempdir().expect("a folder");
    let mut packing = Command::new("sh");
    packing.args(["-euc", "tar -czf - trailsift.toml accounts | base64"]);
    let output = run(packing.current_dir(root().join("deploy/config")), b"");
    assert!(output.status.success(), "{}", text(&output.stderr));
    lay_down(text(&output.stdout), folder.path());
    assert!(folder.path().join("accounts/123456789012.toml").exists());
    let output = check(folder.path(), "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}
