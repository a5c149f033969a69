use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::Compression;

/// The names of a file and of all that stands beside it, by example:
/// `events.jsonl.gz` is written, `events-20260131T235959Z-0001.jsonl.gz` is full,
/// `events-20260131T235959Z-0001.jsonl.gz.torn` was cut off, `.events.jsonl.gz.lock` is the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    folder: PathBuf,
    stem: String,
    suffix: String,
}

impl Names {
    pub(super) fn new(path: &Path, compression: Compression) -> Result<Self, String> {
        if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err("must name a file, not a folder".into());
        }
        let name =
            path.file_name().ok_or("must name a file, as in /var/log/trailsift/events.jsonl")?;
        let name = name.to_str().ok_or("must be valid UTF-8")?;
        let packed = compression.extension();
        let bare = name.strip_suffix(packed).filter(|bare| !bare.is_empty()).unwrap_or(name);
        let other = [".gz", ".zst"].into_iter().find(|other| bare.ends_with(other));
        if let Some(other) = other {
            return Err(format!(
                "ends in {other}, but the compression is another one: change either"
            ));
        }
        let (stem, kind) = match bare.rfind('.') {
            Some(dot) if dot > 0 => bare.split_at(dot),
            _ => (bare, ""),
        };
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        Ok(Self { folder, stem: stem.to_owned(), suffix: format!("{kind}{packed}") })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file that is written.
    pub(super) fn active(&self) -> PathBuf {
        self.folder.join(format!("{}{}", self.stem, self.suffix))
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.folder.join(format!(".{}{}.lock", self.stem, self.suffix))
    }

    /// Every file of lines that there may be: the full ones, the oldest first, then the one that is
    /// written. What was cut off is none of them.
    pub(super) fn all(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => Some(entries),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mut all = Vec::new();
        for entry in entries.into_iter().flatten() {
            let name = entry?.file_name();
            if name.to_str().is_some_and(|name| self.is_rotated(name)) {
                all.push(self.folder.join(name));
            }
        }
        all.sort();
        all.push(self.active());
        Ok(all)
    }

    /// Whether [`Self::rotated`] may have given this name.
    fn is_rotated(&self, name: &str) -> bool {
        let rest = name.strip_prefix(&self.stem).and_then(|rest| rest.strip_prefix('-'));
        let rest = rest.and_then(|rest| rest.strip_suffix(&self.suffix));
        let (time, number) = rest.and_then(|rest| rest.split_once('-')).unwrap_or_default();
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
        let is_time = match time.strip_suffix('Z').and_then(|time| time.split_once('T')) {
            Some((day, hour)) => is_number(day) && is_number(hour),
            // A time that cannot be written is left out.
            None => time.is_empty(),
        };
        is_time && is_number(number)
    }

    /// A free name for the full file. Nobody else takes it meanwhile: the caller holds the lock.
    pub(super) fn rotated(&self, now: SystemTime) -> PathBuf {
        self.free(now, "")
    }

    /// A free name for what was cut off.
    pub(super) fn torn(&self, now: SystemTime) -> PathBuf {
        self.free(now, ".torn")
    }

    fn free(&self, now: SystemTime, end: &str) -> PathBuf {
        const UTC: &[BorrowedFormatItem<'_>] =
            format_description!("[year][month][day]T[hour][minute][second]Z");
        // Years beyond 9999 are all that cannot be written; the number still makes the name unique.
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let time = time::Duration::try_from(since).ok();
        let time = time.and_then(|since| OffsetDateTime::UNIX_EPOCH.checked_add(since));
        let time = time.and_then(|time| time.format(UTC).ok()).unwrap_or_default();
        let name = |number: u64| {
            self.folder.join(format!("{}-{time}-{number:04}{}{end}", self.stem, self.suffix))
        };
        // Not even a dangling link may be overwritten, so links are not followed.
        let taken = |path: &PathBuf| path.symlink_metadata().is_ok();
        let mut number = 1;
        loop {
            let path = name(number);
            if !taken(&path) {
                return path;
            }
            number += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str, compression: Compression) -> Names {
        Names::new(Path::new(path), compression).expect("a good path")
    }

    #[test]
    fn the_names_beside_a_file_follow_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("events.jsonl");
        let plain = Names::new(&path, Compression::Gzip).expect("a good path");
        assert_eq!(plain.active(), folder.path().join("events.jsonl.gz"));
        assert_eq!(plain.lock(), folder.path().join(".events.jsonl.gz.lock"));
        let first = folder.path().join("events-19700101T000000Z-0001.jsonl.gz");
        assert_eq!(plain.rotated(SystemTime::UNIX_EPOCH), first);
        std::fs::write(&first, "").expect("written");
        let second = folder.path().join("events-19700101T000000Z-0002.jsonl.gz");
        assert_eq!(plain.rotated(SystemTime::UNIX_EPOCH), second);
    }

    #[test]
    fn a_compression_that_the_name_already_has_is_not_added_again() {
        let given = names("/logs/events.jsonl.zst", Compression::Zstd);
        assert_eq!(given, names("/logs/events.jsonl", Compression::Zstd));
        assert_eq!(names("events", Compression::None).active(), Path::new("./events"));
        assert_eq!(
            names("/logs/.hidden", Compression::Gzip).active(),
            Path::new("/logs/.hidden.gz")
        );
    }

    #[test]
    fn names_that_mean_no_file_or_another_compression_are_refused() {
        for path in ["/", "/logs/", "..", ""] {
            assert!(Names::new(Path::new(path), Compression::None).is_err(), "{path}");
        }
        let problem = Names::new(Path::new("/logs/events.gz"), Compression::None);
        assert!(problem.expect_err("refused").contains("ends in .gz"));
    }

    #[test]
    fn all_files_are_found_the_oldest_first_and_their_neighbours_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let names = |compression| {
            Names::new(&folder.path().join("app.events.jsonl"), compression).expect("a good path")
        };
        let packed = names(Compression::Zstd);
        let later = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(86_400);
        let mut expected = Vec::new();
        for time in [SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH, later] {
            let rotated = packed.rotated(time);
            std::fs::write(&rotated, "").expect("written");
            expected.push(rotated);
        }
        expected.push(packed.active());
        for other in [
            packed.torn(later),
            packed.lock(),
            folder.path().join("app.events-copy.jsonl.zst"),
            folder.path().join("app.events-copy-19700101T000000Z-0001.jsonl.zst"),
            folder.path().join("app-19700101T000000Z-0001.jsonl.zst"),
        ] {
            std::fs::write(other, "").expect("written");
        }
        assert_eq!(packed.all().expect("listed"), expected);
        assert_eq!(names(Compression::None).all().expect("listed").len(), 1);
    }
}
