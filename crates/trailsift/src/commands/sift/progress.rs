//! The progress bar on standard error, where that is a terminal.

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::work::{reason_to_skip, walk};

const TEMPLATE: &str =
    "{bar:30.cyan/blue} {bytes}/{total_bytes}  {files} files  {rate}  {eta} left";

/// What all threads report to. Without a terminal it does nothing.
#[derive(Clone)]
pub(super) struct Progress(Option<Arc<Shown>>);

struct Shown {
    bar: ProgressBar,
    files: Arc<AtomicU64>,
    inflated: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Progress {
    /// Starts the bar. A thread beside the work looks up how much there is to read; the time left
    /// is known once it is through.
    pub(super) fn start(paths: &[PathBuf]) -> Self {
        if !stderr().is_terminal() {
            return Self(None);
        }
        // A bar of length 0 would be full.
        let bar = ProgressBar::no_length();
        let (files, inflated) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let style = ProgressStyle::with_template(TEMPLATE);
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let (count, bytes) = (Arc::clone(&files), Arc::clone(&inflated));
        bar.set_style(
            style
                .with_key("files", move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
                    write!(out, "{}", count.load(Ordering::Relaxed)).unwrap_or_default();
                })
                .with_key("rate", move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    let seconds = state.elapsed().as_secs_f64().max(1e-3);
                    let rate = bytes.load(Ordering::Relaxed) as f64 / 1e6 / seconds;
                    write!(out, "{rate:.0} MB/s").unwrap_or_default();
                }),
        );
        bar.enable_steady_tick(Duration::from_millis(100));
        let stop = Arc::new(AtomicBool::new(false));
        let counting = count_bytes(paths.to_vec(), bar.clone(), Arc::clone(&stop));
        if counting.is_err() {
            bar.set_message("the total is unknown");
        }
        Self(Some(Arc::new(Shown { bar, files, inflated, stop })))
    }

    pub(super) fn read(&self, bytes: usize) {
        if let Some(shown) = &self.0 {
            shown.bar.inc(bytes as u64);
        }
    }

    pub(super) fn inflated(&self, bytes: u64) {
        if let Some(shown) = &self.0 {
            shown.inflated.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    pub(super) fn file_done(&self) {
        if let Some(shown) = &self.0 {
            shown.files.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Does something that writes to the terminal, with the bar out of its way.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(shown) => shown.bar.suspend(write),
            None => write(),
        }
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        if let Some(shown) = &self.0 {
            shown.stop.store(true, Ordering::Relaxed);
            shown.bar.finish_and_clear();
        }
    }
}

/// Sums the sizes of everything that will be read up to the bar's length. The thread ends by itself,
/// at the latest with the process, and touches nothing but the bar.
fn count_bytes(
    paths: Vec<PathBuf>,
    bar: ProgressBar,
    stop: Arc<AtomicBool>,
) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().name("count".into()).spawn(move || {
        let mut total = 0;
        let mut add = |bytes: u64| {
            total += bytes;
            bar.set_length(total);
        };
        for path in paths {
            if path.is_file() {
                add(path.metadata().map_or(0, |metadata| metadata.len()));
            } else if path.is_dir() {
                for entry in walk(&path).flatten() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    if entry.file_type().is_file() && reason_to_skip(entry.path()).is_none() {
                        add(entry.metadata().map_or(0, |metadata| metadata.len()));
                    }
                }
            }
        }
    })
}
