//! What is to be read: the named files, and the files in the named folders, found while others are
//! already being read. Holds one folder's names at a time, however many files there are.

use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use trailsift_trail::{KeyClass, LogKind, classify};
use walkdir::WalkDir;

use super::progress::Progress;
use super::summary::Summary;
use crate::commands::complain;

/// One file to read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Job {
    /// Its place in the output, counted from 0.
    pub(super) number: u64,
    /// The file, or `-`.
    pub(super) path: PathBuf,
}

/// Everything that is to be read, handed out in order to whoever asks.
pub(super) struct Work(Mutex<State>);

struct State {
    named: std::vec::IntoIter<PathBuf>,
    folder: Option<walkdir::IntoIter>,
    next: u64,
}

impl Work {
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        Self(Mutex::new(State { named: paths.into_iter(), folder: None, next: 0 }))
    }

    /// The next file. What is skipped, and what cannot be looked at, goes to the summary.
    pub(super) fn next(&self, summary: &mut Summary, progress: &Progress) -> Option<Job> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let path = state.find(summary, progress)?;
        let number = state.next;
        state.next += 1;
        Some(Job { number, path })
    }
}

impl State {
    fn find(&mut self, summary: &mut Summary, progress: &Progress) -> Option<PathBuf> {
        loop {
            let Some(folder) = &mut self.folder else {
                let path = self.named.next()?;
                if path.as_os_str() != "-" && path.is_dir() {
                    self.folder = Some(walk(&path));
                    continue;
                }
                return Some(path);
            };
            match folder.next() {
                None => self.folder = None,
                Some(Err(error)) => {
                    summary.failed("folder_unreadable");
                    progress.aside(|| complain(&error.to_string()));
                }
                Some(Ok(entry)) if entry.file_type().is_dir() => {}
                // Links, pipes and devices: not followed and not waited for, but not passed over either.
                Some(Ok(entry)) if entry.file_type().is_symlink() => summary.skipped("link"),
                Some(Ok(entry)) if !entry.file_type().is_file() => summary.skipped("special"),
                Some(Ok(entry)) => match reason_to_skip(entry.path()) {
                    None => return Some(entry.into_path()),
                    Some(reason) => summary.skipped(reason),
                },
            }
        }
    }
}

/// Files below a folder in the order of their names; links are not followed.
pub(super) fn walk(folder: &Path) -> walkdir::IntoIter {
    WalkDir::new(folder).sort_by_file_name().into_iter()
}

/// Why a file that was found in a folder is not read. A file of another kind than events is a
/// normal part of a synchronised bucket, as are other services' logs.
pub(super) fn reason_to_skip(path: &Path) -> Option<&'static str> {
    // account/kind/region/year/month/day/file
    const LAYOUT: usize = 7;
    let parts: Vec<_> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy()),
            _ => None,
        })
        .collect();
    let tail = &parts[parts.len().saturating_sub(LAYOUT)..];
    if let KeyClass::Trail(key) = classify(&format!("AWSLogs/{}", tail.join("/"))) {
        return (key.kind != LogKind::CloudTrail).then_some(key.kind.as_str());
    }
    let name = parts.last()?;
    let kinds = [
        ("_CloudTrail-Digest_", LogKind::Digest),
        ("_CloudTrail-Insight_", LogKind::Insight),
        ("_CloudTrail-NetworkActivity_", LogKind::NetworkActivity),
        ("_CloudTrail-Aggregated_", LogKind::Aggregated),
    ];
    if let Some((_, kind)) = kinds.iter().find(|(mark, _)| name.contains(mark)) {
        return Some(kind.as_str());
    }
    let readable = [".json", ".json.gz", ".json.zst"].iter().any(|ending| name.ends_with(ending));
    (!readable || name.starts_with('.')).then_some("other")
}

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

    use super::*;

    #[test]
    fn folders_yield_events_and_skip_what_is_known_to_be_something_else() {
        const DAY: &str = "us-east-1/2026/11/20";
        let read = [
            format!("/data/AWSLogs/111122223333/CloudTrail/{DAY}/a.json.gz"),
            format!("x/AWSLogs/o-abc/111122223333/CloudTrail/{DAY}/a.json.gz"),
            // Synchronised from below AWSLogs.
            format!("./trail/111122223333/CloudTrail/{DAY}/a.json.gz"),
            "111122223333_CloudTrail_us-east-1_20261120T1005Z_abcdefghijklmnop.json.gz".into(),
            "export.json".into(),
            "export.json.zst".into(),
        ];
        for path in read {
            assert_eq!(reason_to_skip(Path::new(&path)), None, "{path}");
        }
        for (path, reason) in [
            (format!("t/AWSLogs/111122223333/CloudTrail-Digest/{DAY}/a.json.gz"), "digest"),
            (format!("t/111122223333/CloudTrail-Insight/{DAY}/a.json.gz"), "insight"),
            (format!("t/AWSLogs/111122223333/elasticloadbalancing/{DAY}/a.log.gz"), "unknown"),
            ("111122223333_CloudTrail-Digest_us-east-1_t_us-east-1_x.json.gz".into(), "digest"),
            ("README.txt".into(), "other"),
            (".hidden.json".into(), "other"),
            ("events.log.gz".into(), "other"),
        ] {
            assert_eq!(reason_to_skip(Path::new(&path)), Some(reason), "{path}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_no_text_is_judged_like_any_other() {
        for (name, reason) in [
            (b"bad\xff.json".as_slice(), None),
            (b"x.json/bad\xff", Some("other")),
            (b"111122223333_CloudTrail-Digest_\xff.json.gz", Some("digest")),
        ] {
            assert_eq!(reason_to_skip(Path::new(OsStr::from_bytes(name))), reason, "{name:?}");
        }
    }
}
