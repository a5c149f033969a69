//! What the test programs say, passed on as it comes; what failed is kept, so that it can be said again at the end. Of a
//! log that is cut off at its beginning the end is what somebody reads.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::oneshot;

use crate::process::Running;
use crate::ui::Ui;

/// How much is said again of what one test program told about its failures, from the end.
const LINES: usize = 120;

/// How long is listened for more after the end.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// The failures so far.
#[derive(Default)]
pub(super) struct Failures {
    /// What failed, by name: tests, and the programs that cargo names.
    names: Vec<String>,
    /// What the failed tests said.
    details: Vec<String>,
}

/// The part of a test program's output that is about its failures, while it is read.
#[derive(Default)]
struct Section {
    lines: Vec<String>,
    open: bool,
}

impl Failures {
    /// Runs the command to its end. Its output is passed on line by line.
    pub(super) async fn of(
        &mut self,
        ui: &Ui,
        command: &mut Command,
    ) -> anyhow::Result<ExitStatus> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running::spawn(command)?;
        let (said, complained) = (running.stdout()?, running.stderr()?);
        let (mut section, mut programs) = (Section::default(), Vec::new());
        let listening = each_line(BufReader::new(said), |line| {
            ui.result(line);
            if let Some(section) = section.ends_with(line) {
                self.names.extend(names(&section));
                let omitted = section.len().saturating_sub(LINES);
                self.details.extend(section.into_iter().skip(omitted));
            }
        });
        // Also of a program that ended without a word: a signal, an exit.
        let reading = each_line(BufReader::new(complained), |line| {
            ui.note(line);
            let named = line.strip_prefix("    `").and_then(|name| name.strip_suffix('`'));
            programs.extend(named.map(str::to_owned));
        });
        let (over, ended) = oneshot::channel();
        let waiting = async {
            let status = running.wait().await;
            // Whoever listened has ended before, with an error.
            over.send(()).unwrap_or_default();
            status
        };
        // What a test has left behind may hold the pipes open for ever.
        let too_long = async {
            if ended.await.is_ok() {
                tokio::time::sleep(LAST_WORDS).await;
            }
        };
        let hearing = async {
            // Cancel safety: each line is passed on before the next is read.
            tokio::select! {
                heard = async { tokio::try_join!(listening, reading) } => heard.map(drop),
                () = too_long => Ok(()),
            }
        };
        let (status, ()) = tokio::try_join!(waiting, hearing)?;
        self.names.extend(programs);
        Ok(status)
    }

    /// Says again what failed; the names come last.
    pub(super) fn say(&self, ui: &Ui) {
        if !self.details.is_empty() {
            ui.note(&format!("\nWhat the failed tests said:\n{}", self.details.join("\n")));
        }
        for name in &self.names {
            ui.note(&format!("failed: {name}"));
        }
    }
}

impl Section {
    /// Takes the next line; answers with the whole section where this line ends it.
    fn ends_with(&mut self, line: &str) -> Option<Vec<String>> {
        if line == "failures:" {
            self.open = true;
        }
        if self.open && line.starts_with("test result: ") {
            self.open = false;
            return Some(std::mem::take(&mut self.lines));
        }
        if self.open {
            self.lines.push(line.to_owned());
        }
        None
    }
}

/// The tests that a section names: it ends with a list of them.
fn names(section: &[String]) -> impl Iterator<Item = String> {
    let list = section.iter().rposition(|line| line == "failures:").unwrap_or(section.len());
    section.iter().skip(list).filter_map(|line| line.strip_prefix("    ")).map(str::to_owned)
}

async fn each_line(
    mut from: impl AsyncBufRead + Unpin,
    mut take: impl FnMut(&str),
) -> anyhow::Result<()> {
    let mut line = Vec::new();
    // Not `lines`: a test may say what is no text.
    while from.read_until(b'\n', &mut line).await? > 0 {
        take(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']));
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_with_the_names_of_what_failed() {
        let output = "test a::b ... ok\ntest c ... FAILED\n\nfailures:\n\n---- c stdout ----\n\
                      thread 'c' panicked\n    at the indented place\n\n\nfailures:\n    c\n    d::e\n\n\
                      test result: FAILED. 1 passed; 2 failed\n";
        let mut section = Section::default();
        let found: Vec<_> = output.lines().filter_map(|line| section.ends_with(line)).collect();
        assert_eq!(found.len(), 1);
        assert!(found[0].iter().any(|line| line == "thread 'c' panicked"));
        assert_eq!(names(&found[0]).collect::<Vec<_>>(), ["c", "d::e"]);
        assert!(section.lines.is_empty());
    }

    #[tokio::test]
    async fn lines_are_taken_whatever_their_bytes() {
        let mut lines = Vec::new();
        let bytes: &[u8] = b"one\r\n\xff\nlast";
        each_line(bytes, |line| lines.push(line.to_owned())).await.unwrap();
        assert_eq!(lines, ["one", "\u{fffd}", "last"]);
    }
}
