use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::SystemTime;

use trailsift_core::{Disposition, WriteOutcome};
use trailsift_testkit::conformance::batch;

use super::*;

mod crash;

/// A disk whose next steps fail as a test says.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Faults>>);

#[derive(Debug, Default)]
struct Faults {
    /// How many bytes the next append writes before it fails.
    append: Option<usize>,
    sync: bool,
    truncate: bool,
    panic: bool,
}

impl Disk {
    fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.0.lock().unwrap());
    }

    fn sink(&self, settings: FileSettings) -> FileSink {
        let disk = self.clone();
        FileSink::with_storage("file", settings, Arc::new(SystemClock), move |file| {
            Box::new(FaultyFile { file, disk: disk.clone() })
        })
        .expect("good settings")
    }
}

struct FaultyFile {
    file: File,
    disk: Disk,
}

impl Storage for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let fault = {
            let mut faults = self.disk.0.lock().unwrap();
            (faults.append.take(), std::mem::take(&mut faults.panic))
        };
        if fault.1 {
            self.file.append(&bytes[..bytes.len() / 2])?;
            std::panic::resume_unwind(Box::new(()));
        }
        if let Some(count) = fault.0 {
            self.file.append(&bytes[..count.min(bytes.len())])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.disk.0.lock().unwrap().sync) {
            return Err(io::Error::other("the disk lost it"));
        }
        self.file.sync()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        if std::mem::take(&mut self.disk.0.lock().unwrap().truncate) {
            return Err(io::Error::other("the disk refuses"));
        }
        self.file.truncate(length)
    }
}

/// A clock that a test sets, in seconds since the epoch.
#[derive(Debug, Default)]
struct SetClock(Mutex<u64>);

impl Clock for SetClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(*self.0.lock().unwrap())
    }
}

fn plain(folder: &Path) -> FileSettings {
    FileSettings::new(folder.join("events.jsonl"))
}

fn delivered(result: Result<WriteOutcome, SinkError>) {
    assert!(result.expect("written").failures.is_empty());
}

fn refused(result: Result<WriteOutcome, SinkError>) -> SinkError {
    let error = result.expect_err("not written");
    assert_eq!(error.disposition, Disposition::RETRY);
    error
}

/// The names in a folder, sorted, hidden ones left out.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    names
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn lines_are_appended_to_a_file_that_only_its_group_may_read() {
    let folder = tempfile::tempdir().unwrap();
    let settings = FileSettings::new(folder.path().join("a/b/events.jsonl"));
    let path = settings.path.clone();
    for round in 0..2 {
        let sink = FileSink::new("file", settings.clone()).unwrap();
        delivered(sink.write(&batch([format!("{{\"n\":{round},\n\"x\":1}}")])).await);
        delivered(sink.write(&batch(["[1]", "[2]"])).await);
        sink.close().await;
    }
    assert_eq!(read(&path), "{\"n\":0,\"x\":1}\n[1]\n[2]\n{\"n\":1,\"x\":1}\n[1]\n[2]\n");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&path) & !0o640, 0);
    assert_eq!(mode(path.parent().unwrap()) & !0o750, 0);
}

#[tokio::test]
async fn a_full_disk_leaves_no_torn_line_and_the_next_write_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let sink = disk.sink(plain(folder.path()));
    delivered(sink.write(&batch(["[1]"])).await);
    for count in 0..8 {
        disk.set(|faults| faults.append = Some(count));
        let error = refused(sink.write(&batch(["[2]", "[3]"])).await);
        assert!(error.to_string().starts_with("cannot write to "), "{error}");
        assert_eq!(read(&plain(folder.path()).path), "[1]\n", "nothing torn stays behind");
    }
    delivered(sink.write(&batch(["[2]", "[3]"])).await);
    assert_eq!(read(&plain(folder.path()).path), "[1]\n[2]\n[3]\n");
}

#[tokio::test]
async fn a_failed_sync_acknowledges_nothing_and_what_it_left_is_not_built_upon() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let sink = disk.sink(plain(folder.path()));
    delivered(sink.write(&batch(["[1]"])).await);
    // Even cutting back fails at first: then it is made good before anything else is written.
    disk.set(|faults| (faults.sync, faults.truncate) = (true, true));
    refused(sink.write(&batch(["[2]"])).await);
    assert_eq!(read(&plain(folder.path()).path), "[1]\n[2]\n");
    disk.set(|faults| faults.truncate = true);
    refused(sink.write(&batch(["[3]"])).await);
    delivered(sink.write(&batch(["[4]"])).await);
    assert_eq!(read(&plain(folder.path()).path), "[1]\n[4]\n");
    assert_eq!(names(folder.path()), ["events.jsonl"]);
}

#[tokio::test]
async fn a_panic_while_writing_acknowledges_nothing_and_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let sink = disk.sink(plain(folder.path()));
    delivered(sink.write(&batch(["[1]"])).await);
    disk.set(|faults| faults.panic = true);
    refused(sink.write(&batch(["[2]"])).await);
    delivered(sink.write(&batch(["[3]"])).await);
    assert_eq!(read(&plain(folder.path()).path), "[1]\n[3]\n");
}

#[tokio::test]
async fn a_file_is_rotated_before_it_grows_too_large_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let settings = FileSettings { rotate_bytes: Some(10), ..plain(folder.path()) };
    let clock = Arc::new(SetClock(Mutex::new(86_400)));
    let sink = FileSink::with_clock("file", settings, clock).unwrap();
    for text in ["[1]", "[2]", "[3]", "[\"larger than a file\"]", "[5]"] {
        delivered(sink.write(&batch([text])).await);
    }
    let expected = [
        ("events-19700102T000000Z-0001.jsonl", "[1]\n[2]\n"),
        ("events-19700102T000000Z-0002.jsonl", "[3]\n"),
        ("events-19700102T000000Z-0003.jsonl", "[\"larger than a file\"]\n"),
        ("events.jsonl", "[5]\n"),
    ];
    assert_eq!(names(folder.path()), expected.map(|(name, _)| name));
    for (name, text) in expected {
        assert_eq!(read(&folder.path().join(name)), text);
    }
}

#[tokio::test]
async fn a_file_holds_one_period() {
    let folder = tempfile::tempdir().unwrap();
    let hourly = Some(Duration::from_secs(3600));
    let settings = FileSettings { rotate_every: hourly, ..plain(folder.path()) };
    let clock = Arc::new(SetClock::default());
    let sink = FileSink::with_clock("file", settings, clock.clone()).unwrap();
    for seconds in [3599, 3600, 7199, 7200] {
        *clock.0.lock().unwrap() = seconds;
        delivered(sink.write(&batch([seconds])).await);
    }
    let expected = [
        ("events-19700101T010000Z-0001.jsonl", "3599\n"),
        ("events-19700101T020000Z-0001.jsonl", "3600\n7199\n"),
        ("events.jsonl", "7200\n"),
    ];
    assert_eq!(names(folder.path()), expected.map(|(name, _)| name));
    for (name, text) in expected {
        assert_eq!(read(&folder.path().join(name)), text);
    }
}

#[tokio::test]
async fn a_clock_that_jumps_about_overwrites_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let hourly = Some(Duration::from_secs(3600));
    let settings = FileSettings { rotate_every: hourly, ..plain(folder.path()) };
    let clock = Arc::new(SetClock::default());
    let sink = FileSink::with_clock("file", settings, clock.clone()).unwrap();
    // A week ahead, back to the epoch, the same second again and again, far beyond any calendar.
    let times = [604_800, 0, 604_800, 0, 0, 604_800, 3600, u64::from(u32::MAX) * 60, 0];
    for (number, seconds) in times.into_iter().enumerate() {
        *clock.0.lock().unwrap() = seconds;
        delivered(sink.write(&batch([number])).await);
    }
    let read_all = names(folder.path()).into_iter().map(|name| read(&folder.path().join(name)));
    let mut lines: Vec<String> =
        read_all.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    lines.sort();
    assert_eq!(lines, (0..times.len()).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_file_that_was_moved_deleted_or_truncated_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let settings = plain(folder.path());
    let sink = FileSink::new("file", settings.clone()).unwrap();
    delivered(sink.write(&batch(["[1]"])).await);
    let moved = folder.path().join("moved");
    fs::rename(&settings.path, &moved).unwrap();
    delivered(sink.write(&batch(["[2]"])).await);
    assert_eq!((read(&moved), read(&settings.path)), ("[1]\n".into(), "[2]\n".into()));
    fs::remove_file(&settings.path).unwrap();
    delivered(sink.write(&batch(["[3]"])).await);
    assert_eq!(read(&settings.path), "[3]\n");
    File::options().write(true).open(&settings.path).unwrap().set_len(0).unwrap();
    delivered(sink.write(&batch(["[4]"])).await);
    assert_eq!(read(&settings.path), "[4]\n");
    fs::remove_dir_all(folder.path()).unwrap();
    delivered(sink.write(&batch(["[5]"])).await);
    assert_eq!(read(&settings.path), "[5]\n");
}

#[tokio::test]
async fn a_second_writer_is_refused_until_the_first_lets_go() {
    let folder = tempfile::tempdir().unwrap();
    let first = FileSink::new("first", plain(folder.path())).unwrap();
    let second = FileSink::new("second", plain(folder.path())).unwrap();
    first.check().await.expect("writable");
    let error = refused(second.write(&batch(["[2]"])).await);
    assert!(error.to_string().contains("another process writes "), "{error}");
    assert!(second.check().await.is_err());
    first.close().await;
    delivered(second.write(&batch(["[2]"])).await);
}

#[tokio::test]
async fn check_says_why_a_file_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let sink = FileSink::new("file", FileSettings::new(folder.path().join("file/events"))).unwrap();
    let error = sink.check().await.expect_err("no folder");
    assert!(error.to_string().starts_with("cannot make the folder of "), "{error}");
    fs::create_dir(folder.path().join("events.jsonl")).unwrap();
    let sink = FileSink::new("file", plain(folder.path())).unwrap();
    assert!(sink.check().await.is_err());
}

#[test]
fn every_mistake_in_the_settings_is_named() {
    let settings = FileSettings {
        path: "/logs/".into(),
        compression: Compression::Gzip,
        rotate_bytes: Some(0),
        rotate_every: Some(Duration::ZERO),
    };
    let keys: Vec<&str> = settings.validate().iter().map(|problem| problem.key).collect();
    assert_eq!(keys, ["path", "rotate_bytes", "rotate_every"]);
    let error = FileSink::new("archive", settings).expect_err("refused");
    assert!(error.to_string().starts_with("the settings of sink archive do not hold: path: must"));
}
