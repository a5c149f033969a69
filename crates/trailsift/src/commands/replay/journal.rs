//! Which lines were replayed: a file that outlives every interruption.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};

/// The journal, locked for as long as it is held: two replays at a time would send everything twice.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: Option<File>,
    known: HashSet<String>,
}

impl Journal {
    /// Opens the journal, makes it where it is missing, and reads it. A last line that was cut off by a
    /// crash is none.
    ///
    /// # Errors
    /// If it cannot be read and written, is some other file, or another replay holds it.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("the folder of the journal {shown} cannot be made"))?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .with_context(|| {
                format!("the journal {shown} cannot be written: name another with --journal")
            })?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                anyhow::bail!("another replay holds the journal {shown}: wait for its end");
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("the journal {shown} cannot be locked"));
            }
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text)
            .with_context(|| format!("the journal {shown} cannot be read"))?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let known = digests(&text[..whole]);
        let is_torn_only = whole == 0 && text.starts_with(b"{\"");
        if known.is_empty() && !text.is_empty() && !is_torn_only {
            anyhow::bail!("{shown} is no journal of replays: name another file with --journal");
        }
        if whole < text.len() {
            file.set_len(whole as u64)
                .with_context(|| format!("cannot mend the journal {shown}"))?;
        }
        file.seek(SeekFrom::End(0)).with_context(|| format!("cannot read the journal {shown}"))?;
        Ok(Self { path: path.to_owned(), file: Some(file), known })
    }

    /// Only reads it; one that is missing is empty. For a dry run, which changes nothing.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub(super) fn look(path: &Path) -> anyhow::Result<Self> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                let what = format!("the journal {} cannot be read", path.display());
                return Err(error).context(what);
            }
        };
        Ok(Self { path: path.to_owned(), file: None, known: digests(&text) })
    }

    /// Whether the line with this digest was replayed.
    pub(super) fn has(&self, digest: &str) -> bool {
        self.known.contains(digest)
    }

    /// Notes durably that these lines were replayed, each by a message of the queue.
    ///
    /// # Errors
    /// If it cannot be written: then a next replay sends them again.
    pub(super) fn note(&mut self, time: &str, sent: &[(&str, &str)]) -> anyhow::Result<()> {
        let Some(file) = self.file.as_mut().filter(|_| !sent.is_empty()) else { return Ok(()) };
        let mut text = String::new();
        for (digest, message_id) in sent {
            let line = json!({ "time": time, "line": digest, "message_id": message_id });
            text.push_str(&line.to_string());
            text.push('\n');
        }
        file.write_all(text.as_bytes()).and_then(|()| file.sync_data()).with_context(|| {
            let path = self.path.display();
            format!(
                "messages were sent, but the journal {path} cannot be written: the next replay sends \
                 them again"
            )
        })?;
        self.known.extend(sent.iter().map(|(digest, _)| (*digest).to_owned()));
        Ok(())
    }
}

fn digests(text: &[u8]) -> HashSet<String> {
    let lines = text.split(|byte| *byte == b'\n');
    let values = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    values.filter_map(|value| value["line"].as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-01-15T00:00:00Z";

    #[test]
    fn what_was_noted_is_known_and_a_torn_line_is_cut_off() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("quarantine/replayed.journal");
        let mut journal = Journal::open(&path).expect("opened");
        journal.note(TIME, &[("aa", "m1"), ("bb", "m2")]).expect("noted");
        assert!(journal.has("aa") && !journal.has("cc"));
        assert!(Journal::open(&path).expect_err("held").to_string().contains("another replay"));
        drop(journal);

        let mut torn = OpenOptions::new().append(true).open(&path).expect("there");
        torn.write_all(br#"{"line":"cc","ti"#).expect("written");
        let mut journal = Journal::open(&path).expect("opened");
        assert!(journal.has("aa") && journal.has("bb") && !journal.has("cc"));
        journal.note(TIME, &[("dd", "m3")]).expect("noted");
        drop(journal);
        let journal = Journal::look(&path).expect("read");
        assert!(journal.has("bb") && journal.has("dd"));
    }

    #[test]
    fn a_file_that_is_something_else_stays_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("quarantine.jsonl");
        for other in ["{\"reason\":\"gzip_crc\"}\n{\"rea", "[service]\nlisten", "[service]"] {
            std::fs::write(&path, other).expect("written");
            let error = Journal::open(&path).expect_err("no journal").to_string();
            assert!(error.contains("is no journal"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).expect("there"), other);
        }
        std::fs::write(&path, br#"{"line":"aa","#).expect("written");
        assert!(!Journal::open(&path).expect("a torn journal").has("aa"));
    }

    #[test]
    fn a_look_makes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("replayed.journal");
        assert!(!Journal::look(&path).expect("empty").has("aa"));
        assert!(!path.exists());
    }
}
