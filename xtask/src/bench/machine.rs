//! Where and when something was measured.

use std::fmt;

use anyhow::Context;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::workspace;

/// What a figure means nothing without.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
    /// The commit that the work tree is at, with `+` where it differs from it.
    commit: String,
    date: String,
}

impl Machine {
    /// This one, now.
    ///
    /// # Errors
    /// If the date cannot be written.
    pub(super) fn here() -> anyhow::Result<Self> {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let date = format_description!("[year]-[month]-[day]");
        Ok(Self {
            cpu: model(&read("/proc/cpuinfo")).unwrap_or("unknown CPU").to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            commit: commit().unwrap_or_else(|| "unknown".to_owned()),
            date: OffsetDateTime::now_utc().format(date).context("no date")?,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, cores, kernel, commit, date } = self;
        write!(f, "{cpu}, {cores} cores, Linux {kernel}; {date}, commit {commit}")
    }
}

fn model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim())
}

fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let mut git = std::process::Command::new("git");
        let output = git.args(arguments).current_dir(workspace::root()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short", "HEAD"])?;
    let clean = git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(if clean { commit } else { format!("{commit}+") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_processor_names_the_model() {
        let cpuinfo =
            "processor\t: 0\nmodel name\t: Some CPU @ 2.10GHz\nflags\t: a b\nmodel name\t: x";
        assert_eq!(model(cpuinfo), Some("Some CPU @ 2.10GHz"));
        assert_eq!(model("processor: 0"), None);
    }
}
