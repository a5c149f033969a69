use anyhow::Context;
use clap::CommandFactory;
use clap_complete::generate;

use super::{Exit, put};
use crate::cli::{Cli, CompletionsArgs};

/// Prints the completion script of a shell.
pub(super) fn completions(args: CompletionsArgs) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "trailsift", &mut script);
    put(&script).context("standard output cannot be written")?;
    Ok(Exit::Done)
}
