//! The command line.

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use crate::config::DEFAULT_PATH;

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

/// Options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// The configuration: a folder with trailsift.toml and accounts/*.toml, or one file with both
    /// parts [default: /etc/trailsift].
    #[arg(long, global = true, env = "TRAILSIFT_CONFIG", hide_env_values = true)]
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
    /// The configuration that was named, by option or by environment variable.
    pub fn named_config(&self) -> Option<PathBuf> {
        self.config.clone().filter(|path| !path.as_os_str().is_empty())
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

/// Arguments of `sift`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Plain, gzip and zstd files are told apart by their content. Without a configuration the events of \
CodeGuru Reviewer are selected. A folder is read recursively in the order of names: files laid out \
as CloudTrail lays them out are read if they hold events (digests and Insight files are skipped), \
others if their name ends in .json, .json.gz or .json.zst. A file that is named is always read.

A bad file is named on standard error, the others are still read, and the exit code is 1.

Examples:
  trailsift sift 111122223333_CloudTrail_us-east-1_20261120T1005Z_abcdefghijklmnop.json.gz
  aws s3 sync s3://org-trail/AWSLogs trail && trailsift sift trail > events.jsonl
  aws s3 cp s3://org-trail/KEY - | trailsift sift --count")]
pub struct SiftArgs {
    /// Files and folders; `-` is standard input, as is nothing at all.
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,
    /// Print only how many events are selected.
    #[arg(long, conflicts_with = "json")]
    pub count: bool,
    /// Print JSON Lines even on a terminal.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `check`.
#[derive(Clone, Copy, Debug, Args)]
pub struct CheckArgs {
    /// Print the effective configuration, every default filled in and no secret shown.
    #[arg(long)]
    pub print: bool,
}

/// Arguments of `completions`.
#[derive(Clone, Copy, Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}
