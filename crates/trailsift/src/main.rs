//! trailsift: sifts CloudTrail buckets for the events that matter, and delivers them.

use std::process::ExitCode;

use clap::Parser;
use trailsift::cli::Cli;
use trailsift::commands::{self, Exit};

fn main() -> ExitCode {
    let cli = Cli::parse();
    trailsift::logging::init(cli.global.log_format(), cli.global.verbose);
    match commands::dispatch(cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            commands::complain(&format!("{error:#}"));
            Exit::Failed.into()
        }
    }
}
