//! What can be said of this machine without asking anybody.
//!
//! Nothing that a running service holds is touched: no lock is taken and no file of its is opened for
//! writing, so doctor may run beside it.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::disk;
use super::line::{Line, Section};
use crate::config::{Config, Quarantine, Service};
use crate::descriptors;
use crate::memory::{self, Fit};

/// How a database of SQLite begins.
const SQLITE: &[u8] = b"SQLite format 3\0";

/// Looks around, for so long.
pub(super) async fn section(config: &Config, deadline: Instant) -> Section {
    let config = config.clone();
    let looked = spawn_blocking(move || look(&config));
    let lines = match timeout_at(deadline, looked).await {
        Ok(Ok(lines)) => lines,
        // A disk that hangs, such as a network's, hangs whoever asks for it.
        Ok(Err(_)) | Err(_) => vec![Line::fail(
            "data-dir",
            "the folders that the configuration names did not answer in time",
            "see that the disks below service.data_dir and the other folders work",
        )],
    };
    Section { subject: "this machine".to_owned(), lines }
}

fn look(config: &Config) -> Vec<Line> {
    let mut lines = vec![budget(config), open_files(config)];
    let service = &config.service;
    lines.push(match writable(&service.data_dir) {
        Ok(()) => Line::ok("data-dir", format!("{} can be written", service.data_dir.display())),
        Err(why) => Line::fail(
            "data-dir",
            why,
            "set service.data_dir to a folder that this user may write to",
        ),
    });
    lines.push(ledger(service));
    if let Quarantine::Folder(folder) = &config.quarantine {
        lines.push(match writable(folder) {
            Ok(()) => Line::ok("quarantine", format!("{} can be written", folder.display())),
            Err(why) => Line::fail(
                "quarantine",
                why,
                "set service.data_dir to a folder that this user may write to, or name a sink in [quarantine]",
            ),
        });
    }
    lines.extend(disk::lines(config));
    lines
}

fn budget(config: &Config) -> Line {
    const REMEDY: &str = "it may differ on the machine that the service runs on: run doctor there";
    match memory::fit(config) {
        Fit::Room => {
            Line::ok("memory", format!("service.memory ({}) has room", config.service.memory))
        }
        Fit::Tight(why) => Line::warn("memory", why, REMEDY),
        Fit::Above(why) => Line::fail("memory", why, REMEDY),
    }
}

fn open_files(config: &Config) -> Line {
    let limit = descriptors::raise_limit();
    let wanted = config.service.workers;
    let fed = descriptors::affordable(limit, wanted, config.accounts.len(), config.sinks.len());
    let limit = limit.map_or_else(|| "without limit".to_owned(), |limit| format!("up to {limit}"));
    if fed < wanted {
        return Line::warn(
            "open-files",
            format!("{limit}: that feeds {fed} of {wanted} workers"),
            "raise the limit of open files (ulimit -n, LimitNOFILE), or lower service.workers",
        );
    }
    Line::ok("open-files", format!("{limit}: enough for {wanted} workers"))
}

/// Whether the folder, or the nearest one above it that there is, takes a new file.
pub(super) fn writable(folder: &Path) -> Result<(), String> {
    let there = folder.ancestors().find(|folder| folder.exists());
    let Some(there) = there else { return Err(format!("{} cannot be reached", folder.display())) };
    if !there.is_dir() {
        return Err(format!("a file stands where a folder is wanted: {}", there.display()));
    }
    let probe = there.join(format!(".trailsift-doctor-{}", std::process::id()));
    let written = fs::File::options().write(true).create_new(true).open(&probe);
    match written {
        Ok(_) => fs::remove_file(&probe)
            .map_err(|error| format!("{} cannot be removed again: {error}", probe.display())),
        Err(error) => Err(format!("{} cannot be written: {error}", there.display())),
    }
}

/// Looks at the ledger as a file. The service opens it, and mends what is wrong with it.
fn ledger(service: &Service) -> Line {
    const CHECK: &str = "ledger";
    let folder = service.ledger();
    let path = folder.join(trailsift_ledger::FILE_NAME);
    let mut begins = [0; SQLITE.len()];
    let opened = fs::File::options().read(true).open(&path);
    let read = opened.and_then(|mut file| file.read(&mut begins));
    match read {
        Ok(0) => Line::ok(CHECK, format!("{} is new", path.display())),
        Ok(_) if begins == SQLITE => Line::ok(CHECK, format!("{} is there", path.display())),
        Ok(_) => Line::warn(
            CHECK,
            format!("{} is no ledger", path.display()),
            "run moves it aside and begins a new one: what is delivered again is then sent again",
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => match writable(&folder) {
            Ok(()) => Line::ok(CHECK, format!("will be made in {}", folder.display())),
            Err(why) => Line::warn(CHECK, why, LOST),
        },
        Err(error) => {
            Line::warn(CHECK, format!("{} cannot be read: {error}", path.display()), LOST)
        }
    }
}

const LOST: &str = "set service.data_dir to a folder that this user may write to; without a ledger nothing is \
                    lost, but what is delivered again is sent again";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_probed_where_it_is_or_would_be_and_left_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(writable(&folder.path().join("not/yet/there")), Ok(()));
        assert_eq!(writable(folder.path()), Ok(()));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
        let file = folder.path().join("file");
        fs::write(&file, "").expect("a file");
        let why = writable(&file.join("data")).expect_err("a file");
        assert!(why.contains("a file stands where a folder is wanted"), "{why}");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}
