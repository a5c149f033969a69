//! `cargo xtask simulate`: the pipeline's simulation over as many seeds as wanted.

use std::process::{ExitCode, Stdio};

use anyhow::Context;
use clap::Args;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::cargo;
use crate::process::Running;
use crate::ui::Ui;

/// The test that lives through the seeds, and the environment variable that says which.
const TEST: &str = "the_seeds_that_are_asked_for";
const SEEDS: &str = "TRAILSIFT_SIMULATE";

#[derive(Args)]
pub(crate) struct Options {
    /// How many seeds, on all cores; of a single one the whole history is shown
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first one
    #[arg(long, default_value_t = 0)]
    from: u64,
}

/// Builds the simulation and runs it. Seeds that break a rule are named, each with how to replay it.
pub(crate) async fn run(ui: &Ui, options: &Options) -> anyhow::Result<ExitCode> {
    let building = ["test", "--package", "trailsift-pipeline", "--test", "simulation", "--no-run"];
    let executables = cargo::build(ui, "compiling the simulation", &building).await?;
    let (_, simulation) = executables
        .into_iter()
        .find(|(name, _)| name == "simulation")
        .context("cargo built no program named simulation")?;
    let Options { seeds, from } = options;
    let mut command = Command::new(simulation);
    command
        .args(["--exact", TEST, "--nocapture"])
        .env(SEEDS, format!("{from}+{seeds}"))
        .env("RUST_BACKTRACE", "0")
        .stdout(Stdio::piped());
    let mut running = Running::spawn(&mut command)?;
    let mut lines = BufReader::new(running.stdout()?).lines();
    let step = ui.counted("living through the seeds", *seeds);
    while let Some(line) = lines.next_line().await? {
        if let Some(lived) = line.strip_prefix("lived ").and_then(|count| count.parse().ok()) {
            step.set(lived);
        } else if !is_of_the_harness(&line) {
            ui.result(&line);
        }
    }
    if !running.wait().await?.success() {
        return Ok(ExitCode::FAILURE);
    }
    step.done("every one of them kept the delivery rules");
    Ok(ExitCode::SUCCESS)
}

/// What every test program says, whatever the test.
fn is_of_the_harness(line: &str) -> bool {
    line.is_empty() || line.starts_with("running ") || line.starts_with("test ")
}
