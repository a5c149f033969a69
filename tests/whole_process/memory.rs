//! The process stays within `memory` and a fixed overhead, whatever the files inflate to.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use trailsift_testkit::trail::{FileSpec, Patch, Patchwork, TrailFile};

use crate::delivery::{file_sink, sorted};
use crate::stack::Stack;
use crate::stalling_proxy::StallingProxy;
use crate::trailsift::{Ended, Running, Trailsift};

const MIB: u64 = 1 << 20;
/// What the process may need besides `memory`: its code, connections, the allocator's own. A debug
/// build has 32 MiB while it is idle, 28 of them code; the tests print what it has at most.
const OVERHEAD: u64 = 64 * MIB;
/// Files that are read beside the large one.
const ORDINARY: u64 = 64;

/// The parts of which the files are made: records, each part with a comma at its end.
struct Parts {
    start: Patch,
    end: Patch,
    /// About 4 MiB of records as they are, none of them selected.
    lifelike: (Patch, u64),
    /// As much of the same record again and again: a thousandth of it is stored.
    monotonous: (Patch, u64),
}

/// A file, with its answer.
struct Made {
    key: String,
    stored: Vec<u8>,
    inflated: u64,
    records: u64,
    selected: Vec<Vec<u8>>,
}

/// The records of a file, without the document around them.
fn records(file: &TrailFile) -> &[u8] {
    &file.json[br#"{"Records":["#.len()..file.json.len() - 2]
}

fn patch(text: &[u8]) -> Patch {
    Patch::new(text).expect("it compresses")
}

impl Parts {
    fn make() -> Self {
        let spec = FileSpec { records: 3000, selected_one_in: 0, ..FileSpec::default() };
        let lifelike = TrailFile::generate(&spec);
        let one = TrailFile::generate(&FileSpec { records: 1, ..spec });
        let listed = |text: &[u8]| [text, b","].concat();
        Self {
            start: patch(br#"{"Records":["#),
            end: patch(b"]}"),
            lifelike: (patch(&listed(records(&lifelike))), lifelike.records),
            monotonous: (patch(&listed(records(&one)).repeat(3000)), 3000),
        }
    }

    /// A file of so many sections: in each, some selected records, then the next of these parts.
    fn file(&self, seed: u64, sections: usize, parts: &[&(Patch, u64)]) -> Made {
        self.file_with(16, seed, sections, parts)
    }

    /// The same with so many selected records in each section.
    fn file_with(
        &self,
        wanted: usize,
        seed: u64,
        sections: usize,
        parts: &[&(Patch, u64)],
    ) -> Made {
        let mut patchwork = Patchwork::default();
        let (mut count, mut selected) = (0, Vec::new());
        patchwork.push(&self.start);
        for section in 0..sections {
            let seed = (seed << 16) + section as u64;
            let spec =
                FileSpec { seed, records: wanted, selected_one_in: 1, ..FileSpec::default() };
            let wanted = TrailFile::generate(&spec);
            let (filler, fillers) = parts[section % parts.len()];
            if section > 0 {
                patchwork.push(&patch(b"\n"));
            }
            patchwork.push(filler);
            let comma: &[u8] = if section + 1 < sections { b"," } else { b"" };
            patchwork.push(&patch(&[records(&wanted), comma].concat()));
            count += fillers + wanted.records;
            selected.extend(wanted.selected_records().map(<[u8]>::to_vec));
        }
        patchwork.push(&self.end);
        let inflated = patchwork.inflated();
        let key = FileSpec { seed, ..FileSpec::default() }.key("");
        Made { key, stored: patchwork.finish(), inflated, records: count, selected }
    }
}

impl Running {
    /// Waits for its end; also the most that it ever had in memory at once, in bytes.
    async fn ended_with_peak(mut self) -> (Ended, u64) {
        let status = format!("/proc/{}/status", self.child.id().expect("it runs"));
        let mut peak = 0;
        while self.child.try_wait().expect("a status").is_none() {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            peak = peak.max(kib.unwrap_or(0) * 1024);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        (self.ended().await, peak)
    }
}

/// What became of the files.
struct Done {
    ended: Ended,
    /// What was delivered, sorted.
    events: Vec<Vec<u8>>,
    /// The most that the process ever had in memory at once, in bytes.
    peak: u64,
    parked: Vec<Value>,
}

/// Reads the files with this `memory` in MiB and so many workers: their bodies begin to come when
/// every worker has one, and then all at once.
async fn read_all(name: &str, memory: u64, workers: usize, service: &str, files: &[Made]) -> Done {
    let folder = tempfile::tempdir().expect("a folder");
    let sections = file_sink(&folder.path().display().to_string());
    read_all_to(folder.path(), &sections, name, memory, workers, service, files).await
}

/// The same with these routes and sinks, one of which writes `events.jsonl` in this folder.
async fn read_all_to(
    folder: &Path,
    sections: &str,
    name: &str,
    memory: u64,
    workers: usize,
    service: &str,
    files: &[Made],
) -> Done {
    let mut stack = Stack::create(name, 120).await;
    let objects = format!("GET /{}/", stack.bucket);
    let proxy = StallingProxy::start(&stack.endpoint, &objects, workers).await;
    stack.endpoint = proxy.url();
    let trailsift = Trailsift::configure(
        &stack,
        &format!("memory = \"{memory}MiB\"\nworkers = {workers}\n{service}"),
        sections,
    );
    for file in files {
        stack.put(&file.key, file.stored.clone()).await;
    }
    let (ended, peak) = trailsift.run(&["--until-empty"]).ended_with_peak().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert_eq!(stack.backlog().await, (0, 0));
    assert!(proxy.stalled() >= workers);
    assert!(peak > 0 && peak <= memory * MIB + OVERHEAD, "{} MiB", peak / MIB);
    let events = std::fs::read(folder.join("events.jsonl")).expect("events");
    let events = events.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let events = sorted(events.map(<[u8]>::to_vec).collect());
    Done { ended, events, peak, parked: trailsift.parked() }
}

fn ordinary_files(parts: &Parts) -> impl Iterator<Item = Made> {
    (1..=ORDINARY).map(|seed| parts.file(seed, 1, &[&parts.lifelike]))
}

fn all_selected<'a>(files: impl IntoIterator<Item = &'a Made>) -> Vec<Vec<u8>> {
    sorted(files.into_iter().flat_map(|file| file.selected.clone()).collect())
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn memory_holds_while_two_gibibytes_and_64_ordinary_files_are_read_at_once() {
    let parts = Parts::make();
    // An eighth of it compresses as trail files do, the rest to nothing; selected records
    // everywhere, more of them than a worker may hold.
    let of = [&parts.lifelike].into_iter().chain([&parts.monotonous; 7]).collect::<Vec<_>>();
    let large = parts.file(1000, 540, &of);
    assert!(large.inflated > 2048 * MIB, "{}", large.inflated);
    let files: Vec<_> = std::iter::once(large).chain(ordinary_files(&parts)).collect();
    let expected = all_selected(&files);
    for (memory, workers) in [(64, 16), (256, 64)] {
        let name = format!("memory-{memory}");
        let done = read_all(&name, memory, workers, "max_inflated = \"3GiB\"", &files).await;
        println!(
            "memory {memory} MiB, {workers} workers: {} MiB at most, {} GiB inflated, {} MiB stored",
            done.peak / MIB,
            files.iter().map(|file| file.inflated).sum::<u64>() / (1024 * MIB),
            files.iter().map(|file| file.stored.len() as u64).sum::<u64>() / MIB,
        );
        let totals = done.ended.totals();
        assert_eq!(totals["files"], files.len());
        assert_eq!(totals["records"], files.iter().map(|file| file.records).sum::<u64>());
        assert!(done.events == expected, "{} events of {}", done.events.len(), expected.len());
    }
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn memory_holds_while_a_bomb_is_found_out_and_its_neighbours_are_delivered() {
    let parts = Parts::make();
    // Eight times what may be inflated, and nothing wrong with it but its size.
    let bomb = parts.file(2000, 2048, &[&parts.monotonous]);
    assert!(bomb.inflated > 8 * 1024 * MIB, "{}", bomb.inflated);
    let key = bomb.key.clone();
    let files: Vec<_> = std::iter::once(bomb).chain(ordinary_files(&parts)).collect();
    let done = read_all("bomb", 64, 16, "", &files).await;
    println!("a bomb of {} GiB: {} MiB at most", files[0].inflated / (1024 * MIB), done.peak / MIB);
    assert_eq!(done.ended.totals()["quarantined"], json!({ "too_large": 1 }));
    let parked = &done.parked[0];
    assert_eq!((&parked["reason"], &parked["key"]), (&"too_large".into(), &key.into()));
    let expected = all_selected(&files[1..]);
    assert!(expected.iter().all(|event| done.events.binary_search(event).is_ok()));
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn memory_holds_while_every_worker_writes_many_events_in_three_formats() {
    const FORMATS: [&str; 3] = ["envelope", "ocsf", "ecs"];
    let parts = Parts::make();
    // More events in each file than a worker holds, before any format.
    let filler = [&parts.monotonous];
    let files: Vec<_> =
        (1..=20).map(|seed| parts.file_with(2000, 3000 + seed, 1, &filler)).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().display();
    let formatted = FORMATS.map(|format| {
        format!(
            "[sink.{format}]\ntype = \"file\"\npath = \"{path}/{format}.jsonl\"\n\
             format = \"{format}\"\nrotate = {{}}\n"
        )
    });
    let sections = file_sink(&path.to_string())
        .replace("[\"events\"]", "[\"events\", \"envelope\", \"ocsf\", \"ecs\"]")
        + &formatted.concat();
    let done = read_all_to(folder.path(), &sections, "memory-formats", 64, 16, "", &files).await;
    println!("three formats: {} MiB at most", done.peak / MIB);
    let expected = all_selected(&files);
    assert!(files.iter().all(|file| file.selected.concat().len() as u64 > MIB));
    assert!(done.events == expected, "{} events of {}", done.events.len(), expected.len());
    for format in FORMATS {
        let written = std::fs::read(folder.path().join(format!("{format}.jsonl"))).expect("events");
        let lines = written.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        assert_eq!(lines, expected.len(), "{format}");
    }
}
