//! Where lines of the quarantine are read from.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::line::Line;
use super::packed;
use crate::config::{Config, Quarantine, SinkKind};

/// The journal's name beside the quarantine's files.
const JOURNAL: &str = "replayed.journal";
/// How many lines of a file are named that cannot be read: a file that is something else has millions of them,
/// the more so if it is compressed.
const NAMED: usize = 100;
/// How a file of Parquet begins.
const PARQUET: &[u8] = b"PAR1";

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
            Some(SinkKind::File(file)) => {
                let settings = file.settings();
                let shown = settings.path.display();
                settings.files().map_err(|error| {
                    format!("the files of the quarantine beside {shown} cannot be listed: {error}")
                })
            }
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

/// Reads every path: files, folders (their `*.jsonl` files, compressed or not, in the order of names) and
/// `-`.
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
    let names = [".jsonl", ".jsonl.gz", ".jsonl.zst"];
    files.retain(|path| {
        let name = path.file_name().map(|name| name.as_encoded_bytes()).unwrap_or_default();
        names.iter().any(|end| name.ends_with(end.as_bytes()))
    });
    files.sort();
    Ok(files)
}

/// The lines of one text. The last one of a file may lack its line break, for the service may be writing it
/// at this moment: then it is a line if it is whole, and no beginning of a JSON object is one.
fn take(found: &mut Found, name: &str, text: &[u8], is_over: bool) {
    let unpacked = packed::unpack(text);
    // A batch of lines is compressed as a whole.
    let (text, is_over) = match &unpacked {
        Some(unpacked) => (&*unpacked.text, true),
        None => (text, is_over),
    };
    if text.starts_with(PARQUET) {
        found.failures.push(format!(
            "{name} is Parquet: give the lines in its column `event`, each on a line of its own"
        ));
        return;
    }
    let mut strange = 0_usize;
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
            Err(why) => {
                strange += 1;
                if strange <= NAMED {
                    found.failures.push(format!("{place}: {why}"));
                }
            }
        }
    }
    if strange > NAMED {
        let more = strange - NAMED;
        found.failures.push(format!(
            "{name}: {more} more lines cannot be read: is this a file of the quarantine?"
        ));
    }
    if let Some(fault) = unpacked.and_then(|unpacked| unpacked.fault) {
        found.failures.push(format!("{name}: {fault}"));
    }
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
    fn a_folder_yields_compressed_files_too_and_each_line_counts_once_however_it_is_stored() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, bytes: &[u8]| {
            fs::write(folder.path().join(name), bytes).expect("written");
        };
        let text = format!("{LINE}\n{LINE}\n");
        write("a.jsonl", text.as_bytes());
        write("b.jsonl.zst", &zstd::encode_all(text.as_bytes(), 1).expect("in memory"));
        write("c.jsonl.zst.torn", b"nonsense");
        write("d.zst", b"nonsense");
        let found = read(&[folder.path().to_owned()]);
        assert!(found.failures.is_empty(), "{:?}", found.failures);
        let places: Vec<_> = found.lines.iter().map(|line| line.place.as_str()).collect();
        assert_eq!(places.len(), 4);
        assert!(places[3].ends_with("b.jsonl.zst:2"), "{places:?}");
        assert_eq!(found.lines[0].digest, found.lines[3].digest);
    }

    #[test]
    fn of_a_file_that_is_cut_off_the_whole_streams_are_read_and_the_place_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("parked.jsonl.zst");
        let one = zstd::encode_all(format!("{LINE}\n").as_bytes(), 1).expect("in memory");
        let cut = [&one[..], &one[..one.len() - 1]].concat();
        fs::write(&path, &cut).expect("written");
        let found = read(&[path]);
        assert_eq!(found.lines.len(), 1);
        let [fault] = &found.failures[..] else { panic!("{:?}", found.failures) };
        let expected =
            format!("begins at byte {} is cut off by the end, byte {}", one.len(), cut.len());
        assert!(fault.contains("parked.jsonl.zst: ") && fault.contains(&expected), "{fault}");
    }

    #[test]
    fn of_a_file_that_is_something_else_some_lines_are_named_and_the_others_counted() {
        let mut found = Found::default();
        let text = format!("{}{LINE}\n", "nonsense\n".repeat(NAMED + 250));
        take(&mut found, "other.log", text.as_bytes(), false);
        assert_eq!((found.lines.len(), found.failures.len()), (1, NAMED + 1));
        let last = found.failures.last().expect("one");
        assert!(last.starts_with("other.log: 250 more lines cannot be read"), "{last}");
    }

    #[test]
    fn parquet_is_named_as_what_it_is() {
        let mut found = Found::default();
        take(&mut found, "standard input", b"PAR1\x15\n\n\n", true);
        assert_eq!(found.failures.len(), 1);
        assert!(found.failures[0].contains("Parquet"), "{:?}", found.failures);
    }
}
