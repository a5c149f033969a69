#![doc = include_str!("../README.md")]

mod bench;
mod cargo;
#[cfg(feature = "localstack")]
mod demo;
#[cfg(feature = "localstack")]
mod deploy;
mod fuzz;
#[cfg(feature = "localstack")]
mod http;
#[cfg(feature = "localstack")]
mod localstack;
#[cfg(feature = "localstack")]
mod moto;
mod process;
#[cfg(feature = "localstack")]
mod python;
mod simulate;
#[cfg(feature = "localstack")]
mod test;
mod ui;
#[cfg(feature = "localstack")]
mod validators;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::ui::Ui;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tasks of the trailsift workspace", long_about = None)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    #[cfg(feature = "localstack")]
    /// Shows trailsift do its whole job on a LocalStack of its own, and checks the result
    Demo(demo::Options),
    #[cfg(feature = "localstack")]
    /// Runs every test, those that need LocalStack, moto or the formats' validators included
    Test(test::Options),
    /// Feeds the parsers of untrusted input with what libFuzzer makes of their corpus
    Fuzz(fuzz::Options),
    /// Runs the pipeline through seeded faults and checks the delivery rules
    Simulate(simulate::Options),
    /// Measures the real program against S3, SQS and a collector in memory
    Bench(bench::Options),
    #[cfg(feature = "localstack")]
    /// Starts LocalStack as the other tasks do, and keeps it until Ctrl-C
    Localstack,
    /// Becomes another program that dies together with its parent
    #[command(hide = true)]
    Tied {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Task::Tied { command } = &cli.task {
        return failed(&process::become_tied(command));
    }
    // One thread only: a child that dies with its parent dies with the *thread* that made it.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let code = runtime.block_on(async {
        tokio::select! {
            result = perform(cli.task) => match result {
                Ok(code) => code,
                Err(error) => failed(&error),
            },
            // Cancel safety: dropping the task stops its children; there is nothing to save.
            code = interrupted() => code,
        }
    });
    // What still computes in the background must not hold up the end.
    runtime.shutdown_timeout(Duration::from_millis(100));
    code
}

async fn perform(task: Task) -> anyhow::Result<ExitCode> {
    let ui = Ui::new();
    match task {
        #[cfg(feature = "localstack")]
        Task::Demo(options) => demo::run(&ui, &options).await,
        #[cfg(feature = "localstack")]
        Task::Test(options) => test::run(&ui, &options).await,
        Task::Simulate(options) => simulate::run(&ui, &options).await,
        Task::Fuzz(options) => fuzz::run(&ui, &options).await,
        Task::Bench(options) => bench::run(&ui, &options).await,
        #[cfg(feature = "localstack")]
        Task::Localstack => {
            let localstack = localstack::start(&ui).await?;
            ui.note(&format!("LocalStack is at {}; Ctrl-C stops it.", localstack.endpoint()));
            ui.note(&format!(
                "For other programs: {}",
                localstack::environment(localstack.endpoint())
                    .map(|(name, value)| format!("{name}={value}"))
                    .join(" ")
            ));
            std::future::pending().await
        }
        Task::Tied { .. } => unreachable!("handled before the runtime starts"),
    }
}

/// Waits for Ctrl-C or SIGTERM, and answers with the exit code that shells expect of it.
async fn interrupted() -> ExitCode {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let (mut interrupt, mut terminate) =
        match (listen(SignalKind::interrupt()), listen(SignalKind::terminate())) {
            (Ok(interrupt), Ok(terminate)) => (interrupt, terminate),
            (Err(error), _) | (_, Err(error)) => return failed(&error),
        };
    // Cancel safety: waiting for a signal takes nothing; the process ends after either.
    tokio::select! {
        _ = interrupt.recv() => ExitCode::from(130),
        _ = terminate.recv() => ExitCode::from(143),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    ui::complain(&format!("{error:#}"));
    ExitCode::FAILURE
}
