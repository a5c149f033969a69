use std::collections::HashMap;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::adversary::Adversary;
use crate::copies::Copies;
use crate::trailsift::Trailsift;

/// One route to a file in this folder and to the collector, in small batches. The file is rotated
/// often.
pub(crate) fn both_sinks(folder: &Path, collector: &Adversary) -> String {
    format!(
        "[[route]]\nname = \"codeguru-reviewer\"\nsinks = [\"events\", \"siem\"]\n\
         [[route.selector]]\neventSource = {{ equals = [\"codeguru-reviewer.amazonaws.com\"] }}\n\
         [sink.events]\ntype = \"file\"\npath = \"{}/events.jsonl\"\n\
         rotate = {{ size = \"64KiB\" }}\nbatch = {{ events = 20, linger = \"20ms\" }}\n{}",
        folder.display(),
        collector.sink("siem")
    )
}

/// What the service has written to the disk, read after every run: so whatever is new was written
/// by that run.
pub(crate) struct Disk {
    pub(crate) events: GrowingFile,
    pub(crate) quarantine: GrowingFile,
    /// Every copy of every event.
    pub(crate) written: Copies,
    /// Every copy of every parked file's key.
    pub(crate) parked: Copies,
}

impl Disk {
    /// The file sink's folder and the quarantine of this service.
    pub(crate) fn new(events: &Path, trailsift: &Trailsift) -> Self {
        let file = |folder, stem| GrowingFile { folder, stem, read: HashMap::new() };
        Self {
            events: file(events.to_owned(), "events"),
            quarantine: file(trailsift.path("data/quarantine"), "quarantine"),
            written: Copies::default(),
            parked: Copies::default(),
        }
    }

    /// Reads what this run has added.
    ///
    /// # Panics
    /// If it has taken back a whole line.
    pub(crate) fn read(&mut self, run: u32) {
        for line in self.events.fresh() {
            self.written.add(run, line);
        }
        for line in self.quarantine.fresh() {
            let line: serde_json::Value = serde_json::from_slice(&line).expect("a JSON line");
            let key = line["key"].as_str().expect("the key of a parked file");
            self.parked.add(run, key.as_bytes().to_vec());
        }
    }

    /// A kill leaves what the kernel has taken, so the lines are whole; a power cut would tear the
    /// last one. No process may run.
    pub(crate) fn tear(&self) {
        self.events.tear();
        self.quarantine.tear();
    }

    /// How many torn ends were cut off and kept aside.
    pub(crate) fn torn(&self) -> usize {
        self.events.torn() + self.quarantine.torn()
    }

    /// Whether every last line is whole.
    pub(crate) fn ends_well(&self) -> bool {
        self.events.ends_well() && self.quarantine.ends_well()
    }
}

/// A file of JSON Lines and what was rotated away from it, read while it grows.
pub(crate) struct GrowingFile {
    folder: PathBuf,
    /// `FOLDER/STEM.jsonl`.
    stem: &'static str,
    /// By inode, for rotation renames: how many bytes of whole lines were read.
    read: HashMap<u64, u64>,
}

impl GrowingFile {
    /// The whole lines that came since the last call.
    ///
    /// # Panics
    /// If a whole line was taken back.
    fn fresh(&mut self) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for path in self.files("jsonl") {
            let mut file = std::fs::File::open(&path).expect("it is there");
            let metadata = file.metadata().expect("its size");
            let done = self.read.entry(metadata.ino()).or_default();
            assert!(metadata.len() >= *done, "{} lost whole lines", path.display());
            file.seek(SeekFrom::Start(*done)).expect("it has so many bytes");
            let mut text = Vec::new();
            file.read_to_end(&mut text).expect("it can be read");
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            *done += whole as u64;
            let fresh = text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            lines.extend(fresh.map(<[u8]>::to_vec));
        }
        lines
    }

    /// How many torn lines were cut off and kept aside.
    fn torn(&self) -> usize {
        self.files("torn").len()
    }

    /// Whether the last line is whole.
    fn ends_well(&self) -> bool {
        self.files("jsonl").into_iter().all(|path| {
            let text = std::fs::read(path).expect("it can be read");
            text.is_empty() || text.ends_with(b"\n")
        })
    }

    /// Waits until something is written.
    pub(crate) async fn grows(&self) {
        let path = self.path();
        let state =
            || std::fs::metadata(&path).map(|metadata| (metadata.ino(), metadata.len())).ok();
        let before = state();
        while state() == before {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Leaves half a line at the end, as a power cut does.
    fn tear(&self) {
        let file = std::fs::OpenOptions::new().append(true).open(self.path());
        // It may just have been rotated away.
        if let Ok(mut file) = file {
            file.write_all(br#"{"eventVersion":"1.0"#).expect("it takes it");
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(format!("{}.jsonl", self.stem))
    }

    fn files(&self, extension: &str) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let ours = |name: &str| name.starts_with(self.stem) && name.ends_with(extension);
        let mut files: Vec<_> = entries
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(ours))
            .collect();
        files.sort();
        files
    }
}
