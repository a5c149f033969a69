//! One module per command.

mod check;
mod completions;
mod doctor;
mod exit;
mod replay;
mod run;
pub(crate) mod schema;
mod sift;

use std::io::{self, ErrorKind, IsTerminal, Write, stderr, stdout};

pub use exit::Exit;

use crate::cli::{Cli, Command, GlobalArgs, LogFormat};
use crate::config::{self, Config, Findings, Severity};

/// Does what the command line asks for.
///
/// # Errors
/// If something failed that the command does not report by itself.
pub fn dispatch(cli: Cli) -> anyhow::Result<Exit> {
    match cli.command {
        Command::Run(args) => run::run(&args, &cli.global),
        Command::Sift(args) => sift::sift(&args, &cli.global),
        Command::Check(args) => check::check(args, &cli.global),
        Command::Doctor(args) => doctor::doctor(&args, &cli.global),
        Command::Replay(args) => replay::replay(&args, &cli.global),
        Command::Schema => schema::schema(),
        Command::Completions(args) => completions::completions(args),
    }
}

/// Names a failure on standard error.
pub fn complain(message: &str) {
    say(&format!("trailsift: {}", crate::logging::escaped(message)));
}

/// The configuration that the command line names, for a command that runs with it. Warnings, or
/// errors, are reported: as log lines where logs are read by machines.
fn load_config(global: &GlobalArgs) -> Result<Config, Exit> {
    let logged = |findings: &Findings| match global.log_format() {
        LogFormat::Json => log_findings(findings),
        LogFormat::Text => show_findings(findings),
    };
    match config::load(&global.config()) {
        Ok(loaded) => {
            logged(&loaded.warnings);
            Ok(loaded.config)
        }
        Err(findings) => {
            logged(&findings);
            Err(Exit::Usage)
        }
    }
}

fn log_findings(findings: &Findings) {
    for (severity, line) in findings.lines() {
        match severity {
            Severity::Error => tracing::error!("configuration: {line}"),
            Severity::Warning => tracing::warn!("configuration: {line}"),
        }
    }
}

/// Shows findings as a compiler does, on standard error.
fn show_findings(findings: &Findings) {
    let text = findings.render(wants_colour(&stderr()));
    if !text.is_empty() {
        say(text.trim_end_matches('\n'));
    }
}

/// Whether what is written there may be coloured.
fn wants_colour(to: &impl IsTerminal) -> bool {
    to.is_terminal()
        && std::env::var_os("NO_COLOR").is_none()
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// One line, or a block of them, on standard error. If that is gone, there is nobody to tell.
fn say(text: &str) {
    drop(writeln!(stderr().lock(), "{text}"));
}

/// Writes text to standard output. `Ok(false)`: whoever read it has gone, which is no failure.
fn put(text: &[u8]) -> io::Result<bool> {
    let mut out = stdout().lock();
    let written = crate::stdio::standard_output().and_then(|()| out.write_all(text));
    match written.and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// `1 file`, `2 files`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
