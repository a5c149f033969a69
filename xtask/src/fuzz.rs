//! `cargo xtask fuzz`: the fuzz targets under libFuzzer, guided by the code that an input reaches.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use crate::process::Running;
use crate::ui::Ui;
use crate::{cargo, workspace};

/// What is not instrumented but run for every input, as fast as it can be.
const OPTIMISED: [&str; 2] = ["libfuzzer-sys", "trailsift"];

#[derive(Args)]
pub(crate) struct Options {
    /// One of the folders in crates/trailsift-fuzz/corpus; without it, each in turn
    target: Option<String>,
    /// How long, for each target
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Passed to libFuzzer: -jobs=2, -max_len=65536, or a file to run that input alone
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Builds the targets with coverage and runs them; what they find stays as a regression test.
pub(crate) async fn run(ui: &Ui, options: &Options) -> anyhow::Result<ExitCode> {
    let folder = workspace::root().join("crates/trailsift-fuzz");
    let known = targets(&folder.join("corpus"))?;
    let targets = match &options.target {
        Some(target) if known.contains(target) => vec![target.clone()],
        Some(target) => bail!("{target:?} is no target; there are {}", known.join(", ")),
        None => known,
    };
    let program = build(ui, &folder).await?;
    for target in &targets {
        let regressions = folder.join("regressions").join(target);
        let learnt = workspace::target("fuzz").join(target);
        for folder in [&regressions, &learnt] {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let corpus = folder.join("corpus").join(target);
        let minutes = match options.minutes {
            1 => "a minute".to_owned(),
            minutes => format!("{minutes} minutes"),
        };
        ui.note(&format!("\n{target}, for {minutes}; Ctrl-C ends it sooner"));
        let mut command = tokio::process::Command::new(&program);
        command
            .current_dir(workspace::root())
            .env("TRAILSIFT_FUZZ", target)
            .arg(format!("-dict={}", corpus.with_extension("dict").display()))
            .arg(format!("-artifact_prefix={}/", regressions.display()))
            .arg(format!("-max_total_time={}", options.minutes * 60))
            // Longer inputs only cost time; what takes this much memory or time is a find.
            .args(["-max_len=4096", "-rss_limit_mb=1024", "-timeout=10", "-print_final_stats=1"])
            .args(&options.arguments);
        if options.arguments.iter().all(|argument| argument.starts_with('-')) {
            command.args([&learnt, &corpus, &regressions]);
        }
        if !Running::spawn(&mut command)?.wait().await?.success() {
            ui.note(&format!(
                "\n{target}: a property does not hold. The input is in {}; it runs again with\n    \
                 cargo test --package trailsift-fuzz --test short {target}",
                workspace::shown(&regressions)
            ));
            return Ok(ExitCode::FAILURE);
        }
        ui.note(&format!("\n{target}: nothing found"));
    }
    Ok(ExitCode::SUCCESS)
}

/// The targets are named by their folders, since depending on them would build the whole service.
fn targets(corpus: &Path) -> anyhow::Result<Vec<String>> {
    let mut targets = Vec::new();
    let listed = std::fs::read_dir(corpus);
    for entry in listed.with_context(|| format!("cannot read {}", corpus.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            targets.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    targets.sort();
    Ok(targets)
}

/// Builds beside the usual artefacts: only the workspace's crates are compiled in another way.
async fn build(ui: &Ui, folder: &Path) -> anyhow::Result<PathBuf> {
    let wrapper = folder.join("rustc-with-coverage");
    let wrapper = format!("build.rustc-workspace-wrapper={:?}", wrapper.display().to_string());
    let optimised = OPTIMISED.map(|package| format!("profile.dev.package.{package}.opt-level=2"));
    let mut arguments = vec!["build", "--package", "trailsift-fuzz", "--features", "guided"];
    for config in optimised.iter().chain([&wrapper]) {
        arguments.extend(["--config", config]);
    }
    let executables = cargo::build(ui, "compiling the targets with coverage", &arguments).await?;
    let found = executables.into_iter().find(|(name, _)| name == "guided");
    Ok(found.context("cargo built no program named guided")?.1)
}
