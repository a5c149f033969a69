//! How much room there is where the service writes.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::line::Line;
use crate::config::{Config, Quarantine, SinkKind};

const DISK: &str = "disk";
const MIB: u64 = 1 << 20;
/// A quarantine, a ledger or a file grows by less than this while somebody reads the warning.
const LITTLE: u64 = 1024 * MIB;
/// Less than a bad day's quarantine.
const NOTHING: u64 = 64 * MIB;

/// What a disk has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Room {
    bytes: u64,
    /// Files that can still be made. `None`: the disk does not count them.
    files: Option<u64>,
}

/// One line for each disk that is written to.
pub(super) fn lines(config: &Config) -> Vec<Line> {
    let mut folders: Vec<(String, &Path)> =
        vec![("service.data_dir".to_owned(), &config.service.data_dir)];
    if let Quarantine::Folder(folder) = &config.quarantine {
        folders.push(("the quarantine".to_owned(), folder));
    }
    for (name, sink) in &config.sinks {
        if let SinkKind::File(file) = &sink.kind {
            let folder = file.path.parent().unwrap_or(Path::new("."));
            folders.push((format!("sink {name}"), folder));
        }
    }
    let mut disks: BTreeMap<u64, (Vec<String>, Room)> = BTreeMap::new();
    for (name, folder) in folders {
        // A folder that is not there is made where its nearest ancestor is.
        let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
        let (Ok(metadata), Ok(found)) = (there.metadata(), rustix::fs::statvfs(there)) else {
            continue;
        };
        let room = Room {
            bytes: found.f_bavail.saturating_mul(found.f_frsize),
            files: (found.f_files > 0).then_some(found.f_favail),
        };
        disks.entry(metadata.dev()).or_insert((Vec::new(), room)).0.push(name);
    }
    disks.into_values().map(|(names, room)| judge(&names.join(", "), room)).collect()
}

fn judge(names: &str, room: Room) -> Line {
    const REMEDY: &str = "make room, or put it on a larger disk: while it is full, messages are held back, and SQS \
                          keeps them for its retention only";
    let bytes = match room.bytes / MIB {
        mib if mib >= 10 * 1024 => format!("{} GiB", mib / 1024),
        mib => format!("{mib} MiB"),
    };
    if room.files.is_some_and(|files| files < 16) {
        return Line::fail(
            DISK,
            format!("the disk of {names} takes no more files: its inodes are used up"),
            REMEDY,
        );
    }
    let text = format!("{bytes} are free for {names}");
    match room.bytes {
        0..NOTHING => Line::fail(DISK, text, REMEDY),
        NOTHING..LITTLE => Line::warn(DISK, text, REMEDY),
        _ => Line::ok(DISK, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::line::Level;

    #[test]
    fn a_disk_is_judged_by_what_it_has_left() {
        for (bytes, files, level, words) in [
            (20 * 1024 * MIB, Some(1000), Level::Ok, "20 GiB are free for the quarantine"),
            (LITTLE, None, Level::Ok, "1024 MiB"),
            (LITTLE - 1, None, Level::Warn, "1023 MiB"),
            (NOTHING, None, Level::Warn, "64 MiB"),
            (NOTHING - 1, None, Level::Fail, "63 MiB"),
            (LITTLE, Some(3), Level::Fail, "inodes"),
        ] {
            let line = judge("the quarantine", Room { bytes, files });
            assert_eq!(line.level, level, "{line:?}");
            assert!(line.text.contains(words), "{line:?}");
        }
    }
}
