//! The command line.

mod replay;
mod sift;

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

pub use replay::ReplayArgs;
pub use sift::{Count, SiftArgs};

use crate::config::{DEFAULT_PATH, parse_duration};

const EXIT_CODES: &str = "\
Exit codes:
  0  done; also after SIGTERM or SIGINT, when the drain kept its deadline
  1  something failed, named on standard error
  2  wrong usage or configuration
  3  no account could be reached in time
  130, 143  ended by a second SIGINT or SIGTERM";

const SCHEMA_HELP: &str = "\
With Even Better TOML or another editor that uses Taplo:
  trailsift schema > trailsift.schema.json
and as the first line of trailsift.toml and of each file in accounts/, with its path from there:
  #:schema ./trailsift.schema.json

It knows names, types, defaults and the values of closed sets; `trailsift check` also knows what goes together.";

const DOCTOR_HELP: &str = "\
Exit codes:
  0  nothing fails; there may be warnings
  1  something fails: events are not received, not read or not delivered
  2  wrong usage or configuration

It asks more than the service may: what it is not allowed to ask is a warning that names the right.
Every line is explained in DOCTOR.md.";

/// Sifts CloudTrail buckets for the events that matter, and delivers them.
///
/// trailsift listens to the notifications of CloudTrail buckets, reads each trail file as it lands,
/// keeps the events that its routes select (by default CodeGuru Reviewer's) and delivers them to
/// sinks, byte for byte and without losing one.
#[derive(Debug, Parser)]
#[command(name = "trailsift", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// Before or after the command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// What this process was called with. Where that is wrong, or asks for help, the process ends
    /// here.
    pub fn of_this_process() -> Self {
        Self::parse_from(sift::joined(std::env::args_os()))
    }
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// The configuration: a folder with trailsift.toml and accounts/*.toml, or one file with both
    /// parts [env: TRAILSIFT_CONFIG] [default: /etc/trailsift].
    #[arg(long, global = true)]
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    config: Option<PathBuf>,
    /// How logs are written to standard error [default: text on a terminal, else json].
    #[arg(long, global = true, value_enum, value_name = "FORMAT", hide_possible_values = false)]
    log_format: Option<LogFormat>,
    /// Log more; twice for everything of ours. RUST_LOG sets single targets instead.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

impl GlobalArgs {
    /// The configuration that was named, by option or by environment variable. An empty variable names
    /// none, as ever; an empty option is wrong usage.
    pub fn named_config(&self) -> Option<PathBuf> {
        let variable = || std::env::var_os("TRAILSIFT_CONFIG").filter(|path| !path.is_empty());
        self.config.clone().or_else(|| variable().map(PathBuf::from))
    }

    /// The configuration to use: the named one, or the default place.
    pub fn config(&self) -> PathBuf {
        self.named_config().unwrap_or_else(|| PathBuf::from(DEFAULT_PATH))
    }

    /// The format of logs.
    pub fn log_format(&self) -> LogFormat {
        let default = if stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json };
        self.log_format.unwrap_or(default)
    }
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line, for collectors.
    Json,
    /// For people.
    Text,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the service: receive notifications, read trail files, deliver selected events.
    Run(RunArgs),
    /// Sift files, folders or standard input for events. Needs no AWS and no configuration.
    Sift(SiftArgs),
    /// Validate the configuration: every mistake at once, each with file, line and a remedy.
    Check(CheckArgs),
    /// Ask AWS, this machine and the sinks whether the service can do its work: each answer ok, warn or fail,
    /// with the remedy. Changes nothing.
    #[command(after_help = DOCTOR_HELP)]
    Doctor(DoctorArgs),
    /// Announce parked messages, objects and records to the queues anew, once their cause is mended.
    Replay(ReplayArgs),
    /// Print the JSON Schema of the configuration, for editors and other validators.
    #[command(after_help = SCHEMA_HELP)]
    Schema,
    /// Print the completion script of a shell.
    Completions(CompletionsArgs),
}

/// Arguments of `run`.
#[derive(Clone, Copy, Debug, Args)]
pub struct RunArgs {
    /// End with exit code 0 once every queue is empty and everything is settled.
    #[arg(long)]
    pub until_empty: bool,
}

/// Arguments of `check`.
#[derive(Clone, Copy, Debug, Args)]
pub struct CheckArgs {
    /// Print the effective configuration, every default filled in and no secret shown.
    #[arg(long)]
    pub print: bool,
}

/// Arguments of `doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// Only this account, by name or number, and the sinks of its routes; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub account: Vec<String>,
    /// Write JSON Lines.
    #[arg(long)]
    pub json: bool,
    /// How long all of it may take, such as 30s or 2m: what has no answer by then is said to have none.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = some_time)]
    pub timeout: Duration,
}

/// A duration of a second or more, so that something can be answered.
fn some_time(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|duration| *duration >= Duration::from_secs(1))
        .ok_or_else(|| "it wants a duration of a second or more, such as 30s, 1m 30s".to_owned())
}

/// Arguments of `completions`.
#[derive(Clone, Copy, Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}
