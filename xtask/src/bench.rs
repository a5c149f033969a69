//! `cargo xtask bench`: what the real program costs per file, on everything it does but the network.
//!
//! The program runs as an operator runs it; S3, SQS and the collector are in this process, in
//! memory, over HTTP. Its work is measured from outside and only while it works: from the moment
//! when its first long poll gets messages until the last one is deleted. Every event is compared
//! with the known answer.

mod baseline;
mod config;
mod corpus;
mod idle;
mod machine;
mod proc;
mod profile;
mod replica;
mod report;
mod round;
mod scenario;
mod tally;

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use crate::ui::Ui;
use crate::{cargo, workspace};

use report::Row;
use scenario::Scenario;

#[derive(Args)]
pub(crate) struct Options {
    /// Only these scenarios; may be given several times
    #[arg(long = "scenario", value_name = "NAME", value_parser = scenario::names())]
    scenarios: Vec<String>,
    /// Files in each scenario, instead of each one's own number
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    files: Option<u32>,
    /// Measures each scenario so often and tells the cheapest round
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// So many processes work on one queue
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    replicas: u32,
    /// Measures this program instead of building one; given twice, both in turn
    #[arg(long = "binary", value_name = "PATH")]
    binaries: Vec<PathBuf>,
    /// Records a profile of every scenario with perf, and keeps it
    #[arg(long)]
    profile: bool,
    /// Tells what a process costs that has nothing to do, too: takes 40 s
    #[arg(long)]
    idle: bool,
    /// Writes the table to crates/trailsift/BENCHMARKS.md
    #[arg(long)]
    write: bool,
}

/// Measures; success only if every event of every round arrived, once and unchanged.
pub(crate) async fn run(ui: &Ui, options: &Options) -> anyhow::Result<ExitCode> {
    if cfg!(debug_assertions) {
        optimised(ui).await?;
    }
    let mut binaries = Vec::new();
    for binary in &options.binaries {
        let found = binary.canonicalize();
        binaries.push(found.with_context(|| format!("cannot find {}", binary.display()))?);
    }
    if binaries.is_empty() {
        binaries.push(cargo::build_trailsift(ui, true).await?);
    }
    measure(ui, options, &binaries).await?;
    Ok(ExitCode::SUCCESS)
}

/// Lets an optimised build of this very task do it: an unoptimised server would be what is measured.
async fn optimised(ui: &Ui) -> anyhow::Result<()> {
    let arguments = ["build", "--release", "--package", "xtask", "--no-default-features"];
    let executables = cargo::build(ui, "compiling the bench", &arguments).await?;
    let (_, program) = executables
        .into_iter()
        .find(|(name, _)| name == "xtask")
        .context("cargo built no program named xtask")?;
    let mut command = std::process::Command::new(program);
    // It becomes this process, so that Ctrl-C reaches it and it can tidy up.
    Err(command.args(std::env::args_os().skip(1)).exec()).context("cannot start the bench")
}

async fn measure(ui: &Ui, options: &Options, binaries: &[PathBuf]) -> anyhow::Result<()> {
    let mut report = report::Report::new(ui)?;
    ui.heading("Measuring");
    let chosen = |name| options.scenarios.is_empty() || options.scenarios.iter().any(|n| n == name);
    for scenario in scenario::ALL.iter().filter(|scenario| chosen(scenario.name)) {
        for row in of_scenario(ui, options, binaries, scenario).await? {
            report.add(row);
        }
    }
    if options.idle {
        for binary in binaries {
            let named = (binaries.len() > 1).then(|| workspace::shown(binary));
            report.add_idle(idle::measure(ui, binary).await?, named);
        }
    }
    report.show();
    if options.write {
        report.write()?;
    }
    Ok(())
}

async fn of_scenario(
    ui: &Ui,
    options: &Options,
    binaries: &[PathBuf],
    scenario: &Scenario,
) -> anyhow::Result<Vec<Row>> {
    let files = options.files.map_or(scenario.files, |files| files as usize);
    let corpus = corpus::generate(ui, scenario, files).await?;
    let baseline = baseline::of(&corpus)?;
    let replicas = options.replicas;
    let mut best: Vec<Option<round::Figures>> = vec![None; binaries.len()];
    for number in 1..=options.rounds {
        // In turn, so that a machine that gets slower meanwhile wrongs none of them.
        for (binary, best) in binaries.iter().zip(&mut best) {
            let setting = round::Setting { scenario, corpus: &corpus, binary, number, options };
            let figures = round::run(ui, &setting).await?;
            if best.as_ref().is_none_or(|best| figures.cpu.total < best.cpu.total) {
                *best = Some(figures);
            }
        }
    }
    let rows = binaries.iter().zip(best).filter_map(|(binary, figures)| {
        let binary = (binaries.len() > 1).then(|| workspace::shown(binary));
        Some(Row::new(scenario, &corpus, baseline, figures?, replicas, binary))
    });
    Ok(rows.collect())
}
