//! `cargo xtask test`: every test of the workspace, against a LocalStack, and with moto and the validators of event formats
//! where they are needed.

mod told;

use std::process::ExitCode;

use clap::Args;

use self::told::Failures;
use crate::ui::Ui;
use crate::{cargo, localstack, moto, validators};

/// Neither the person's profiles nor the machine's role is for tests.
const NO_PROFILES: [(&str, &str); 3] = [
    ("AWS_CONFIG_FILE", "/dev/null"),
    ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

#[derive(Args)]
pub(crate) struct Options {
    /// Only this package's tests; may be repeated
    #[arg(long, short)]
    package: Vec<String>,
    /// Without documentation tests
    #[arg(long)]
    no_doc: bool,
    /// Passed to the test programs: a filter, --nocapture, --test-threads …
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Builds the tests while LocalStack and moto start and the validators are installed, then runs them. The exit code is theirs.
pub(crate) async fn run(ui: &Ui, options: &Options) -> anyhow::Result<ExitCode> {
    let mut scope: Vec<&str> = Vec::new();
    for package in &options.package {
        scope.extend(["--package", package]);
    }
    if scope.is_empty() {
        scope.push("--workspace");
    }
    let mut building = vec!["test", "--all-targets", "--no-run"];
    building.extend(&scope);
    let needed = |packages: &[&str]| {
        scope.contains(&"--workspace") || packages.iter().any(|package| scope.contains(package))
    };
    let (validated, mocked) = (needed(&validators::PACKAGES), needed(&moto::PACKAGES));
    let deploying = needed(&validators::DEPLOYING);
    // One after the other: each keeps a core busy, and cargo builds meanwhile.
    let validators = async {
        let validators = if validated { Some(validators::python(ui).await?) } else { None };
        let deploy = if deploying { Some(validators::of_deployment(ui).await?) } else { None };
        Ok((validators, deploy))
    };
    let moto = async { if mocked { moto::start(ui).await.map(Some) } else { Ok(None) } };
    let (localstack, moto, (validators, deploy), _) = tokio::try_join!(
        localstack::start(ui),
        moto,
        validators,
        cargo::build(ui, "compiling the tests", &building)
    )?;
    if let Some(log) = localstack.log() {
        ui.note(&format!("LocalStack's log is {log}"));
    }

    let mut runs = vec![vec!["test", "--all-targets", "--no-fail-fast"]];
    if !options.no_doc {
        runs.push(vec!["test", "--doc", "--no-fail-fast"]);
    }
    let (mut failed, mut failures) = (Vec::new(), Failures::default());
    for mut arguments in runs {
        arguments.extend(&scope);
        // A documentation test that is ignored is not meant to compile.
        let all = if arguments.contains(&"--doc") { None } else { Some("--include-ignored") };
        arguments.push("--");
        arguments.extend(all);
        arguments.extend(options.arguments.iter().map(String::as_str));
        let shown = format!("cargo {}", arguments.join(" "));
        ui.note(&format!("\n$ {shown}"));
        let mut command = cargo::command();
        for name in localstack::foreign_settings() {
            command.env_remove(name);
        }
        command
            .args(&arguments)
            .envs(NO_PROFILES)
            .envs(localstack::environment(localstack.endpoint()))
            .envs(moto.iter().map(|moto| (moto::VARIABLE, moto.url())))
            .envs(validators.iter().map(|python| (validators::VARIABLE, python)))
            .envs(deploy.iter().map(|python| (validators::DEPLOY_VARIABLE, python)));
        if !failures.of(ui, &mut command).await?.success() {
            failed.push(shown);
        }
    }
    if failed.is_empty() {
        ui.note("\nEvery test passed.");
        return Ok(ExitCode::SUCCESS);
    }
    failures.say(ui);
    if let Some(log) = localstack.log() {
        ui.note(&format!("LocalStack's log is {log}"));
    }
    ui.note(&format!("Some tests failed: {}", failed.join(" and ")));
    Ok(ExitCode::FAILURE)
}
