//! What the person sees: progress on standard error, results on standard output. Bars and colour
//! only on a terminal; a pipe gets plain lines, and not many of them.

use std::cell::Cell;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// How often a step tells a pipe that it is still at work.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// The screen. Cheap to clone: all clones draw on the same one.
#[derive(Clone)]
pub(crate) struct Ui {
    bars: MultiProgress,
    terminal: bool,
    colour: bool,
}

impl Ui {
    pub(crate) fn new() -> Self {
        let terminal = stderr().is_terminal();
        Self {
            bars: MultiProgress::new(),
            terminal,
            colour: stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        }
    }

    /// Whether results may be coloured.
    pub(crate) fn colour(&self) -> bool {
        self.colour
    }

    /// Whether results are read by a person.
    pub(crate) fn results_are_shown(&self) -> bool {
        stdout().is_terminal()
    }

    /// A line that begins a part of the task.
    pub(crate) fn heading(&self, text: &str) {
        let (on, off) =
            if self.terminal && self.colour { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        self.note(&format!("{on}{text}{off}"));
    }

    /// A line about what goes on.
    pub(crate) fn note(&self, text: &str) {
        self.bars.suspend(|| write_line(stderr(), text));
    }

    /// A line of the result.
    pub(crate) fn result(&self, text: &str) {
        self.bars.suspend(|| write_line(stdout(), text));
    }

    /// A step whose length nobody knows.
    pub(crate) fn step(&self, label: &str) -> Step {
        self.begin(label, None)
    }

    /// A step of `total` parts.
    pub(crate) fn counted(&self, label: &str, total: u64) -> Step {
        self.begin(label, Some(total))
    }

    fn begin(&self, label: &str, total: Option<u64>) -> Step {
        let bar = if self.terminal {
            let bar = self.bars.add(total.map_or_else(ProgressBar::new_spinner, ProgressBar::new));
            let template = match total {
                Some(_) => "  {spinner} {prefix:34} {bar:24} {pos}/{len} {msg}",
                None => "  {spinner} {prefix:34} {elapsed:>4} {wide_msg}",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_prefix(label.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        } else {
            self.note(&format!("  … {label}"));
            ProgressBar::hidden()
        };
        Step {
            ui: self.clone(),
            bar,
            label: label.to_owned(),
            total,
            count: Cell::new(0),
            started: Instant::now(),
            told: Cell::new(Instant::now()),
            done: false,
        }
    }
}

/// Something under way. Dropped before it is done, it says that it failed.
pub(crate) struct Step {
    ui: Ui,
    bar: ProgressBar,
    label: String,
    total: Option<u64>,
    count: Cell<u64>,
    started: Instant,
    told: Cell<Instant>,
    done: bool,
}

impl Step {
    /// What it is at right now.
    pub(crate) fn detail(&self, text: &str) {
        self.bar.set_message(text.to_owned());
        self.tell(text);
    }

    /// How many parts are done.
    pub(crate) fn set(&self, count: u64) {
        self.count.set(count);
        self.bar.set_position(count);
        self.tell("");
    }

    /// One more part is done.
    pub(crate) fn advance(&self) {
        self.set(self.count.get() + 1);
    }

    /// It is done; `text` says what came of it.
    pub(crate) fn done(mut self, text: &str) {
        self.done = true;
        self.finish("✓", text);
    }

    fn tell(&self, text: &str) {
        if !self.ui.terminal && self.told.get().elapsed() >= PLAIN_INTERVAL {
            self.told.set(Instant::now());
            let count = self.total.map(|total| format!(" {}/{total}", self.count.get()));
            let elapsed = self.started.elapsed().as_secs();
            let colon = if text.is_empty() { "" } else { ": " };
            let count = count.unwrap_or_default();
            self.ui.note(&format!("    {}{count} after {elapsed} s{colon}{text}", self.label));
        }
    }

    fn finish(&self, mark: &str, text: &str) {
        self.bar.finish_and_clear();
        let elapsed = self.started.elapsed().as_secs_f64();
        let colon = if text.is_empty() { "" } else { ": " };
        self.ui.note(&format!("  {mark} {}{colon}{text} ({elapsed:.1} s)", self.label));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.done {
            self.finish("✗", "stopped");
        }
    }
}

/// The one line that says why the task failed.
pub(crate) fn complain(text: &str) {
    write_line(stderr(), &format!("error: {text}"));
}

/// A screen that went away is no reason to fail: the exit code still tells.
fn write_line(mut to: impl Write, text: &str) {
    let written = writeln!(to, "{text}");
    drop(written);
}
