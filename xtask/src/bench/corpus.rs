use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use bytes::Bytes;
use trailsift_testkit::trail::{FileSpec, TrailFile};

use super::scenario::Scenario;
use super::tally::{Event, event};
use crate::ui::Ui;

/// What one scenario's bucket holds.
#[derive(Debug, Default)]
pub(super) struct Corpus {
    pub(super) files: Vec<File>,
    /// Of all files.
    pub(super) records: u64,
    /// Of all files, in bytes.
    pub(super) inflated: u64,
    /// The events that are to be delivered, each once.
    pub(super) expected: Vec<Event>,
}

#[derive(Debug)]
pub(super) struct File {
    pub(super) key: String,
    /// As stored: gzip.
    pub(super) stored: Bytes,
    /// The size of what is in it, in bytes.
    pub(super) inflated: usize,
}

struct Made {
    file: File,
    records: u64,
    expected: Vec<Event>,
}

/// Generates every file anew, so that no two events are the same, on all cores.
pub(super) async fn generate(ui: &Ui, scenario: &Scenario, count: usize) -> anyhow::Result<Corpus> {
    let step = ui.counted(&format!("{}: generating files", scenario.name), count as u64);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (sender, mut receiver) = tokio::sync::mpsc::channel(threads * 4);
    let next = Arc::new(AtomicUsize::new(0));
    let scenario = *scenario;
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..threads {
        let (sender, next) = (sender.clone(), Arc::clone(&next));
        workers.spawn_blocking(move || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count || sender.blocking_send(make(&scenario, number)).is_err() {
                    return;
                }
            }
        });
    }
    drop(sender);
    let mut corpus = Corpus::default();
    while let Some(made) = receiver.recv().await {
        let Made { file, records, expected } = made?;
        corpus.records += records;
        corpus.inflated += file.inflated as u64;
        corpus.expected.extend(expected);
        corpus.files.push(file);
        step.advance();
    }
    while let Some(ended) = workers.join_next().await {
        ended.context("generating a file panicked")?;
    }
    let (inflated, expected) = (corpus.inflated / 1_000_000, corpus.expected.len());
    step.done(&format!("{inflated} MB inflated, {expected} events to deliver"));
    Ok(corpus)
}

fn make(scenario: &Scenario, number: usize) -> anyhow::Result<Made> {
    let spec = FileSpec {
        seed: number as u64 + 1,
        records: scenario.records,
        selected_one_in: scenario.selected_one_in,
        ..FileSpec::default()
    };
    let file = TrailFile::generate(&spec);
    let expected = file.selected_records().map(event).collect::<Option<_>>();
    let stored = File { key: spec.key(""), stored: file.gzip().into(), inflated: file.json.len() };
    let expected = expected.context("a generated record without an eventID")?;
    Ok(Made { file: stored, records: file.records, expected })
}
