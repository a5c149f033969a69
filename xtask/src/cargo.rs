//! Building with progress.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::process::Running;
use crate::ui::Ui;
use crate::workspace;

/// The cargo that runs us.
pub(crate) fn command() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace::root());
    command
}

/// Runs a building cargo command and returns the executables it made, by target name.
pub(crate) async fn build(
    ui: &Ui,
    label: &str,
    arguments: &[&str],
) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let step = ui.step(label);
    let mut command = command();
    command
        .args(arguments)
        .arg("--message-format=json-render-diagnostics")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut cargo = Running::spawn(&mut command)?;
    let mut messages = BufReader::new(cargo.stdout()?).lines();
    let mut reports = BufReader::new(cargo.stderr()?).lines();

    let mut crates = 0;
    let mut executables = Vec::new();
    let collect = async {
        while let Some(line) = messages.next_line().await? {
            let message: Value = serde_json::from_str(&line).unwrap_or_default();
            if message["reason"] == "compiler-artifact" {
                crates += 1;
                let name = message["target"]["name"].as_str().unwrap_or_default();
                step.detail(&format!("{name} ({crates} built)"));
                if let Some(path) = message["executable"].as_str() {
                    executables.push((name.to_owned(), PathBuf::from(path)));
                }
            }
        }
        anyhow::Ok(())
    };
    let mut said = Vec::new();
    let listen = async {
        while let Some(line) = reports.next_line().await? {
            if line.trim_start().starts_with("Blocking waiting") {
                step.detail(line.trim());
            }
            said.push(line);
        }
        anyhow::Ok(())
    };
    tokio::try_join!(collect, listen)?;
    if !cargo.wait().await?.success() {
        drop(step);
        let errors = &said[said.len().saturating_sub(60)..];
        bail!("cargo {} failed:\n{}", arguments.join(" "), errors.join("\n"));
    }
    step.done(&format!("{crates} crates"));
    Ok(executables)
}

/// Builds the program trailsift, if wanted as it is released, and returns where it is.
pub(crate) async fn build_trailsift(ui: &Ui, release: bool) -> anyhow::Result<PathBuf> {
    let mut arguments = vec!["build", "--package", "trailsift", "--bin", "trailsift"];
    arguments.extend(release.then_some("--release"));
    let executables = build(ui, "compiling trailsift", &arguments).await?;
    let found = executables.into_iter().find(|(name, _)| name == "trailsift");
    Ok(found.context("cargo built no program named trailsift")?.1)
}
