use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::{ffi::OsString, fs};

use serde_json::Value;

use super::{check, helped, lines, read, root, text, tools};

fn chart() -> PathBuf {
    root().join("deploy/helm/trailsift")
}

/// The values that the chart is tried with, by name.
fn cases() -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(chart().join("ci")).expect("a folder");
    let mut cases: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.file_name().expect("a name").to_string_lossy().into_owned(), path))
        .collect();
    cases.sort();
    assert!(cases.len() >= 3, "{cases:?}");
    cases
}

fn case(wanted: &str) -> PathBuf {
    cases().into_iter().find(|(name, _)| name == wanted).expect("there").1
}

fn helm(command: &[&str], values: &Path, set: &[&str]) -> Output {
    let mut arguments: Vec<OsString> = vec!["helm".into()];
    arguments.extend(command.iter().map(OsString::from));
    arguments.extend([chart().into(), "--values".into(), values.into()]);
    for set in set {
        arguments.extend(["--set".into(), set.into()]);
    }
    helped(&arguments, b"")
}

/// What `helm template` makes of these values, or why not.
fn rendered(values: &Path, set: &[&str]) -> Result<String, String> {
    let output = helm(&["template", "release", "--namespace", "audit"], values, set);
    match output.status.success() {
        true => Ok(text(&output.stdout).to_owned()),
        false => Err(text(&output.stderr).to_owned()),
    }
}

fn manifests(rendered: &str) -> Vec<Value> {
    serde_json::from_str(&tools(&["manifests"], rendered.as_bytes())).expect("JSON")
}

fn violations(rendered: &str) -> Vec<Value> {
    lines(&tools(&["violations"], rendered.as_bytes()))
}

fn kinds(manifests: &[Value]) -> BTreeSet<&str> {
    manifests.iter().map(|manifest| manifest["kind"].as_str().expect("a kind")).collect()
}

fn find<'m>(manifests: &'m [Value], kind: &str) -> &'m Value {
    let found = manifests.iter().find(|manifest| manifest["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind}"))
}

/// The pods: that of the workload and that of `helm test`.
fn pods(manifests: &[Value]) -> Vec<&Value> {
    let specs = manifests.iter().filter_map(|manifest| match manifest["kind"].as_str()? {
        "StatefulSet" | "Deployment" => Some(&manifest["spec"]["template"]["spec"]),
        "Pod" => Some(&manifest["spec"]),
        _ => None,
    });
    let specs: Vec<_> = specs.collect();
    assert_eq!(specs.len(), 2);
    specs
}

#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn kubernetes_keda_and_the_prometheus_operator_take_what_the_chart_renders() {
    for (name, values) in cases() {
        let lint = helm(&["lint", "--strict"], &values, &[]);
        assert!(lint.status.success(), "{name}: {}", text(&lint.stdout));
        let rendered = rendered(&values, &[]).unwrap_or_else(|said| panic!("{name}: {said}"));
        assert_eq!(violations(&rendered), Vec::<Value>::new(), "{name}");
    }
}

#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn what_is_wrong_in_a_manifest_is_found() {
    let values = case("everything-values.yaml");
    let rendered = rendered(&values, &[]).expect("it renders");
    for (right, wrong, object) in [
        ("readOnlyRootFilesystem:", "readOnlyRootFilesystems:", "StatefulSet/"),
        ("maxReplicaCount:", "maxReplicas:", "ScaledObject/"),
        ("scrapeTimeout:", "scrapeTimeOut:", "ServiceMonitor/"),
        ("expr:", "expression:", "PrometheusRule/"),
        ("unhealthyPodEvictionPolicy: AlwaysAllow", "minAvailable: []", "PodDisruptionBudget/"),
    ] {
        assert!(rendered.contains(right), "{right}");
        let said = violations(&rendered.replace(right, wrong));
        let found = said.iter().any(|it| it["object"].as_str().expect("text").starts_with(object));
        assert!(found, "{wrong}: {said:?}");
    }
}

#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn every_switch_has_its_object_and_none_comes_unasked() {
    let of = |name: &str| manifests(&rendered(&case(name), &[]).expect("it renders"));
    let always = ["ConfigMap", "Pod", "Service"];
    let with = |more: &[&'static str]| always.iter().chain(more).copied().collect::<BTreeSet<_>>();
    assert_eq!(
        kinds(&of("minimal-values.yaml")),
        with(&["PodDisruptionBudget", "ServiceAccount", "StatefulSet"])
    );
    assert_eq!(kinds(&of("without-volumes-values.yaml")), with(&["Deployment"]));
    let everything = of("everything-values.yaml");
    let optional = [
        "NetworkPolicy",
        "PodDisruptionBudget",
        "PrometheusRule",
        "ScaledObject",
        "ServiceAccount",
        "ServiceMonitor",
        "StatefulSet",
        "TriggerAuthentication",
    ];
    assert_eq!(kinds(&everything), with(&optional));
    // KEDA says how many.
    assert_eq!(find(&everything, "StatefulSet")["spec"]["replicas"], Value::Null);
    let triggers = &find(&everything, "ScaledObject")["spec"]["triggers"];
    assert_eq!(triggers.as_array().expect("triggers").len(), 2);
}

#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn the_rules_of_the_chart_are_those_of_deploy_prometheus() {
    let values = case("everything-values.yaml");
    let manifests = manifests(&rendered(&values, &[]).expect("it renders"));
    let groups = find(&manifests, "PrometheusRule")["spec"]["groups"].as_array().expect("groups");
    let mut expected = Vec::new();
    for file in ["alerts.yml", "recording.yml"] {
        let rules = self::manifests(&read(Path::new("deploy/prometheus").join(file)));
        expected.extend(rules[0]["groups"].as_array().expect("groups").clone());
    }
    assert_eq!(groups, &expected);
}

#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn the_dashboard_of_the_chart_is_that_of_deploy_grafana() {
    let manifests = manifests(&rendered(&case("everything-values.yaml"), &[]).expect("it renders"));
    let mut maps = manifests.iter().filter(|manifest| manifest["kind"] == "ConfigMap");
    let dashboard = maps.find_map(|map| map["data"]["trailsift.json"].as_str()).expect("there");
    assert_eq!(dashboard.trim(), read("deploy/grafana/trailsift.json").trim());
}

#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn trailsift_takes_the_rendered_configuration_without_a_warning() {
    for (name, values) in cases() {
        let manifests = manifests(&rendered(&values, &[]).expect("it renders"));
        let mut data = manifests.iter().filter_map(|manifest| manifest["data"].as_object());
        let config = data.find(|data| data.contains_key("trailsift.toml")).expect("files");
        for pod in pods(&manifests) {
            let folder = tempfile::tempdir().expect("a folder");
            let volumes = pod["volumes"].as_array().expect("volumes");
            let volume = volumes.iter().find(|volume| volume["name"] == "config").expect("there");
            let items = volume["configMap"]["items"].as_array().expect("items");
            assert_eq!(items.len(), config.len(), "{name}: every file is mounted");
            let mut all = String::new();
            for item in items {
                let path = folder.path().join(item["path"].as_str().expect("a path"));
                fs::create_dir_all(path.parent().expect("a folder")).expect("made");
                let content = config[item["key"].as_str().expect("a key")].as_str().expect("text");
                // A secret's file is not here.
                let secret = folder.path().join("secret");
                fs::write(&secret, "placeholder").expect("written");
                let here = format!("file = {secret:?}");
                let content =
                    content.replace("file = \"/run/secrets/collector/authorization\"", &here);
                fs::write(&path, &content).expect("written");
                all.push_str(&content);
            }
            let output = check(folder.path(), &all);
            let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
            assert_eq!(output.status.code(), Some(0), "{name}: {said}");
            assert!(said.contains(" is valid\n"), "{name}: {said}");
            assert!(all.contains("listen = \"0.0.0.0:9180\""), "probes reach it");
        }
    }
}

#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn every_pod_is_locked_down_and_has_time_to_drain() {
    for (name, values) in cases() {
        let manifests = manifests(&rendered(&values, &[]).expect("it renders"));
        for pod in pods(&manifests) {
            let security = &pod["securityContext"];
            assert_eq!(security["runAsNonRoot"], true, "{name}");
            assert_eq!(security["runAsUser"], 65532, "{name}: the image's user");
            assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault", "{name}");
            assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
            for container in pod["containers"].as_array().expect("containers") {
                let security = &container["securityContext"];
                assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
                assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
                assert_eq!(security["capabilities"]["drop"][0], "ALL", "{name}");
                assert!(container["resources"]["limits"]["memory"].is_string(), "{name}");
            }
        }
        // What judges the configuration is the same image, so it must get to the same nodes.
        let [one, other] = pods(&manifests)[..] else { panic!("{name}") };
        for place in ["nodeSelector", "tolerations"] {
            assert_eq!(one[place], other[place], "{name}");
        }
        let service = &pods(&manifests).into_iter().find(|pod| pod["restartPolicy"] != "Never");
        let service = service.expect("the workload's");
        assert!(service["terminationGracePeriodSeconds"].as_u64().expect("seconds") > 25, "{name}");
        let container = &service["containers"][0];
        for (probe, path) in
            [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
        {
            assert_eq!(container[probe]["httpGet"]["path"], path, "{name}");
        }
    }
}

#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn what_cannot_go_together_is_refused_with_the_reason() {
    let values = case("minimal-values.yaml");
    for (set, reason) in [
        ("persistence.enabled=false", "the quarantine's folder would be lost"),
        ("terminationGracePeriodSeconds=25", "must be above config.service.drain_timeout (25 s)"),
        ("config.service.drain_timeout=1m", "must be above config.service.drain_timeout (60 s)"),
        ("config.toml=[ service ]", "its keys belong under config.service"),
        ("config.toml=workers=5", "begins with a key"),
        (
            "config.service.memory=449MiB",
            "(512 MiB) must be config.service.memory (449 MiB) and 64",
        ),
        (
            "resources.limits.memory=319Mi",
            "(319 MiB) must be config.service.memory (256 MiB) and 64",
        ),
        ("commonLabels.app\\.kubernetes\\.io/name=other", "'app.kubernetes.io/name'"),
        ("config.accounts=null", "name at least one account"),
        ("keda.enabled=true", "keda.enabled needs keda.queues"),
        ("config.service.listen=127.0.0.1:9180", "/config/service/listen"),
        ("replica=3", "'replica' not allowed"),
        ("persistence.accessModes={ReadWriteMany}", "/persistence/accessModes/0"),
        ("serviceAccount.roleArn=trailsift", "/serviceAccount/roleArn"),
    ] {
        let said = rendered(&values, &[set]).expect_err(set);
        assert!(said.contains(reason), "{set}: {said}");
    }
}

/// The paths of all values: `image.tag`. What has no names of its own, or names that the user gives, ends a path.
fn paths(value: &Value, path: &str, found: &mut Vec<String>) {
    match value.as_object() {
        Some(members) if !members.is_empty() && path != "resources" && path != "config.service" => {
            for (name, value) in members {
                let dot = if path.is_empty() { "" } else { "." };
                paths(value, &format!("{path}{dot}{name}"), found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn the_charts_page_names_every_value_and_no_other() {
    let values = &manifests(&read("deploy/helm/trailsift/values.yaml"))[0];
    let mut expected = Vec::new();
    paths(values, "", &mut expected);
    let page = read("deploy/helm/trailsift/README.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let told: BTreeSet<_> = rows.map(|(value, _)| value.to_owned()).collect();
    assert_eq!(told, expected.into_iter().collect());
}
