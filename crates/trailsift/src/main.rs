//! trailsift: sifts CloudTrail buckets for the events that matter, and delivers them.

use std::process::ExitCode;

use trailsift::cli::Cli;
use trailsift::commands::{self, Exit};

/// A read through the SDK is hundreds of small allocations: with this one, a small file takes about a
/// sixth less of CPU than with glibc's, and what a burst took is given back sooner.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::of_this_process();
    let logging = trailsift::logging::init(cli.global.log_format(), cli.global.verbose);
    let code = match commands::dispatch(cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            commands::complain(&format!("{error:#}"));
            Exit::Failed.into()
        }
    };
    logging.end();
    code
}
