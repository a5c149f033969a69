//! Where lines of the quarantine are read from.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::line::Line;
use crate::config::{Config, Quarantine, SinkKind};

/// The journal's name beside the quarantine's files.
const JOURNAL: &str = "replayed.journal";

/// Everything that was read.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) lines: Vec<Line>,
    /// What could not be read, and why.
    pub(super) failures: Vec<String>,
    /// Last lines that were left out because they end too early: the service may be writing them.
    pub(super) unfinished: Vec<String>,
}

/// The configured quarantine's files, or why there are none to be found.
pub(super) fn configured(config: &Config) -> Result<Vec<PathBuf>, String> {
    match &config.quarantine {
        Quarantine::Folder(folder) => Ok(vec![folder.clone()]),
        Quarantine::Redrive => {
            Err("the configuration leaves everything to the queue's redrive policy: nothing \
             is parked. Move messages back with `aws sqs start-message-move-task`"
                .to_owned())
        }
        Quarantine::Sink(name) => match config.sinks.get(name).map(|sink| &sink.kind) {
            Some(SinkKind::File(file)) => Ok(with_rotated(&file.path)),
            _ => Err(format!(
                "the quarantine is the sink {name}, which cannot be read from here: fetch its lines \
                 and give them to `trailsift replay -`"
            )),
        },
    }
}

/// Where replayed lines are noted: in the quarantine's folder, or the default one.
pub(super) fn journal(config: &Config) -> PathBuf {
    let folder = match &config.quarantine {
        Quarantine::Folder(folder) => folder.clone(),
        Quarantine::Sink(_) | Quarantine::Redrive => config.service.data_dir.join("quarantine"),
    };
    folder.join(JOURNAL)
}

/// The file of a file sink, and the full ones beside it: `events.jsonl`, `events-….jsonl`.
fn with_rotated(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (stem, suffix) = name.split_once('.').unwrap_or((&name, ""));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let is_rotated = |found: &Path| {
        let found = found.file_name().map(|name| name.to_string_lossy().into_owned());
        found.is_some_and(|found| {
            found.starts_with(&format!("{stem}-")) && found.ends_with(&format!(".{suffix}"))
        })
    };
    let beside = files_of(folder.unwrap_or_else(|| Path::new("."))).unwrap_or_default();
    let mut all: Vec<_> = beside.into_iter().filter(|found| is_rotated(found)).collect();
    all.push(path.to_owned());
    all
}

/// Reads every path: files, folders (their `*.jsonl` files, in the order of names) and `-`.
pub(super) fn read(paths: &[PathBuf]) -> Found {
    let mut found = Found::default();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut text = Vec::new();
            match io::stdin().lock().read_to_end(&mut text) {
                Ok(_) => take(&mut found, "standard input", &text, true),
                Err(error) => {
                    found.failures.push(format!("standard input cannot be read: {error}"));
                }
            }
            continue;
        }
        let is_folder = path.is_dir();
        let files = if is_folder { files_of(path) } else { Ok(vec![path.clone()]) };
        let files = files.unwrap_or_else(|error| {
            found.failures.push(format!("{} cannot be read: {error}", path.display()));
            Vec::new()
        });
        for file in files {
            // Whoever names a pipe means it; one in a folder would be waited for without end.
            if is_folder && fs::metadata(&file).is_ok_and(|found| !found.is_file()) {
                found.failures.push(format!("{} cannot be read: it is no file", file.display()));
                continue;
            }
            match fs::read(&file) {
                Ok(text) => take(&mut found, &file.display().to_string(), &text, false),
                Err(error) => {
                    found.failures.push(format!("{} cannot be read: {error}", file.display()));
                }
            }
        }
    }
    found
}

fn files_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    let mut files: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    Ok(files)
}

/// The lines of one text. The last one of a file may lack its line break, for the service may be writing it
/// at this moment: then it is a line if it is whole, and no beginning of a JSON object is one.
fn take(found: &mut Found, name: &str, text: &[u8], is_over: bool) {
    if is_packed(text) {
        found.failures.push(format!(
            "{name} is compressed: unpack it first, as in `zcat FILE | trailsift replay -`"
        ));
        return;
    }
    let mut lines = text.split(|byte| *byte == b'\n').enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let is_torn = lines.peek().is_none() && !is_over;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let place = format!("{name}:{}", number + 1);
        match Line::parse(line.trim_ascii(), place.clone()) {
            Ok(line) => found.lines.push(line),
            Err(_) if is_torn => {
                found.unfinished.push(format!("{place}: left out: it is not written to its end"));
            }
            Err(why) => found.failures.push(format!("{place}: {why}")),
        }
    }
}

/// Whether it is gzip or zstd.
fn is_packed(text: &[u8]) -> bool {
    text.starts_with(&[0x1F, 0x8B]) || text.starts_with(&[0x28, 0xB5, 0x2F, 0xFD])
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"reason":"gzip_crc","account":"a","message_id":"m"}"#;

    #[test]
    fn a_folder_yields_its_files_and_an_unfinished_line_is_none_yet() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).expect("written");
        };
        write("quarantine.jsonl", &format!("{LINE}\n\nnonsense\n{}", &LINE[..20]));
        write("quarantine-20260131T235959Z-0001.jsonl", &format!("{LINE}\r\n"));
        write("quarantine-20260131T235959Z-0001.jsonl.torn", "nonsense\n");
        write("replayed.journal", "{}\n");
        let found = read(&[folder.path().to_owned(), folder.path().join("missing.jsonl")]);
        assert_eq!(found.lines.len(), 2);
        let [nonsense, missing] = &found.failures[..] else { panic!("{:?}", found.failures) };
        assert!(nonsense.contains("quarantine.jsonl:3: ") && nonsense.contains("no JSON object"));
        assert!(missing.contains("missing.jsonl cannot be read"), "{missing}");
        // One line, however its break is written.
        assert_eq!(found.lines[0].digest, found.lines[1].digest);
        let [torn] = &found.unfinished[..] else { panic!("{:?}", found.unfinished) };
        assert!(torn.contains("quarantine.jsonl:4: left out"), "{torn}");
    }

    #[test]
    fn a_whole_line_at_the_end_needs_no_line_break() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("chosen.jsonl");
        fs::write(&path, format!("{LINE}\n{LINE}")).expect("written");
        let found = read(&[path]);
        assert_eq!((found.lines.len(), found.unfinished.len()), (2, 0));
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe.jsonl");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("it runs");
        assert!(made.success());
        fs::create_dir(folder.path().join("folder.jsonl")).expect("a folder");
        fs::write(folder.path().join("quarantine.jsonl"), format!("{LINE}\n")).expect("written");
        let found = read(&[folder.path().to_owned()]);
        assert_eq!((found.lines.len(), found.failures.len()), (1, 2));
        assert!(found.failures[1].contains("pipe.jsonl cannot be read"), "{:?}", found.failures);
    }

    #[test]
    fn what_is_compressed_is_named_with_the_remedy() {
        let mut found = Found::default();
        take(&mut found, "standard input", &[0x1F, 0x8B, 8, 0], true);
        assert!(found.failures[0].contains("zcat"), "{:?}", found.failures);
        take(&mut found, "standard input", LINE.as_bytes(), true);
        assert_eq!(found.lines.len(), 1);
    }

    #[test]
    fn the_rotated_files_of_a_sink_belong_to_it_and_its_neighbours_do_not() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["parked-20260131T235959Z-0001.jsonl", "parked.jsonl", "other.jsonl"] {
            fs::write(folder.path().join(name), "").expect("written");
        }
        let found = with_rotated(&folder.path().join("parked.jsonl"));
        let names: Vec<_> = found.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        assert_eq!(names, ["parked-20260131T235959Z-0001.jsonl", "parked.jsonl"]);
    }
}
