use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::corpus::Corpus;
use super::idle::Idle;
use super::machine::Machine;
use super::round::Figures;
use super::scenario::Scenario;
use crate::ui::Ui;
use crate::workspace;

/// One scenario's result.
pub(super) struct Row {
    scenario: &'static str,
    /// Which program, if there are several.
    binary: Option<String>,
    replicas: u32,
    files: usize,
    records: u64,
    inflated: u64,
    expected: u64,
    /// libdeflate's MB per CPU-second on the same bytes.
    baseline: f64,
    figures: Figures,
}

impl Row {
    pub(super) fn new(
        scenario: &Scenario,
        corpus: &Corpus,
        baseline: f64,
        figures: Figures,
        replicas: u32,
        binary: Option<String>,
    ) -> Self {
        Self {
            scenario: scenario.name,
            binary,
            replicas,
            files: corpus.files.len(),
            records: corpus.records,
            inflated: corpus.inflated,
            expected: corpus.expected.len() as u64,
            baseline,
            figures,
        }
    }

    fn per_file(&self, count: u64) -> f64 {
        count as f64 / self.files as f64
    }

    fn micros_per_file(&self) -> f64 {
        self.figures.cpu.total.as_secs_f64() * 1e6 / self.files as f64
    }

    /// Inflated MB per CPU-second.
    fn rate(&self) -> f64 {
        self.inflated as f64 / 1e6 / self.figures.cpu.total.as_secs_f64()
    }

    /// The part of the CPU time that was spent in the kernel.
    fn system_share(&self) -> f64 {
        let (user, system) = (self.figures.cpu.user, self.figures.cpu.system);
        let both = (user + system).as_secs_f64();
        if both > 0.0 { system.as_secs_f64() / both } else { 0.0 }
    }

    fn files_per_second(&self) -> f64 {
        self.files as f64 / self.figures.took.as_secs_f64()
    }

    /// CPU of S3 and SQS per request.
    fn stub_micros(&self) -> f64 {
        let requests = self.figures.counts.requests().max(1);
        self.figures.stub.as_secs_f64() * 1e6 / requests as f64
    }

    fn json(&self) -> Value {
        let counts = &self.figures.counts;
        json!({
            "scenario": self.scenario,
            "binary": self.binary,
            "replicas": self.replicas,
            "files": self.files,
            "records": self.records,
            "inflated_bytes": self.inflated,
            "seconds": self.figures.took.as_secs_f64(),
            "files_per_second": self.files_per_second(),
            "cpu_seconds": self.figures.cpu.total.as_secs_f64(),
            "cpu_micros_per_file": self.micros_per_file(),
            "cpu_in_kernel": self.system_share(),
            "inflated_mb_per_cpu_second": self.rate(),
            "libdeflate_mb_per_cpu_second": self.baseline,
            "ratio": self.rate() / self.baseline,
            "peak_rss_bytes": self.figures.peak,
            "idle_rss_bytes": self.figures.idle,
            "requests_per_file": {
                "get_object": self.per_file(counts.get_object),
                "receive": self.per_file(counts.receive),
                "delete": self.per_file(counts.delete),
                "change_visibility": self.per_file(counts.change_visibility),
                "all": self.per_file(counts.requests()),
            },
            "events_expected": self.expected,
            "events_delivered": self.figures.delivered,
            "stub_cpu_micros_per_request": self.stub_micros(),
        })
    }

    fn cells(&self) -> Vec<String> {
        let counts = &self.figures.counts;
        let mut name = self.scenario.to_owned();
        if self.replicas > 1 {
            name.push_str(&format!(" × {}", self.replicas));
        }
        if let Some(binary) = &self.binary {
            name.push_str(&format!(" ({binary})"));
        }
        let mib = |bytes: u64| format!("{:.0}", bytes as f64 / f64::from(1 << 20));
        vec![
            name,
            self.files.to_string(),
            self.records.to_string(),
            format!("{:.0}", self.files_per_second()),
            format!("{:.0}", self.micros_per_file()),
            format!("{:.0} %", self.system_share() * 100.0),
            format!("{:.0}", self.rate()),
            format!("{:.0}", self.baseline),
            format!("{:.2}", self.rate() / self.baseline),
            mib(self.figures.peak),
            mib(self.figures.idle),
            format!("{:.3}", self.per_file(counts.get_object)),
            format!("{:.3}", self.per_file(counts.receive)),
            format!("{:.3}", self.per_file(counts.delete)),
            format!("{:.3}", self.per_file(counts.change_visibility)),
            format!("{} of {}", self.figures.delivered, self.expected),
        ]
    }
}

/// In two lines on a terminal, in one in a file.
const HEADER: [&str; 16] = [
    "scenario",
    "files",
    "records",
    "files\nper s",
    "CPU µs\nper file",
    "in\nkernel",
    "MB per\nCPU-s",
    "libdeflate\nalone",
    "ratio",
    "peak\nMiB",
    "idle\nMiB",
    "GET\nper file",
    "receive",
    "delete",
    "extend",
    "events",
];

/// Tells the results: a table to a person, JSON Lines to a pipe.
pub(super) struct Report {
    ui: Ui,
    machine: Machine,
    rows: Vec<Row>,
    idle: Vec<(Idle, Option<String>)>,
}

impl Report {
    pub(super) fn new(ui: &Ui) -> anyhow::Result<Self> {
        Ok(Self { ui: ui.clone(), machine: Machine::here()?, rows: Vec::new(), idle: Vec::new() })
    }

    pub(super) fn add(&mut self, row: Row) {
        if !self.ui.results_are_shown() {
            self.ui.result(&row.json().to_string());
        }
        self.rows.push(row);
    }

    pub(super) fn add_idle(&mut self, idle: Idle, binary: Option<String>) {
        if !self.ui.results_are_shown() {
            self.ui.result(&idle_json(&idle, binary.as_deref()).to_string());
        }
        self.idle.push((idle, binary));
    }

    /// Shows everything to a person.
    pub(super) fn show(&self) {
        self.ui.note(&format!("{}", self.machine));
        if !self.ui.results_are_shown() {
            return;
        }
        if !self.rows.is_empty() {
            let mut table = table(&self.rows, HEADER.map(str::to_owned));
            table.load_style(presets::UTF8_FULL_CONDENSED);
            if !self.ui.colour() {
                table.force_no_tty();
            }
            self.ui.result(&format!("\n{table}"));
        }
        for (idle, binary) in &self.idle {
            self.ui.result(&idle_text(idle, binary.as_deref()));
        }
    }

    /// Writes everything to where the project keeps it.
    pub(super) fn write(&self) -> anyhow::Result<()> {
        let path = workspace::root().join("crates/trailsift/BENCHMARKS.md");
        std::fs::write(&path, self.markdown())
            .with_context(|| format!("cannot write {}", path.display()))?;
        self.ui.note(&format!("The table is in {}.", workspace::shown(&path)));
        Ok(())
    }

    fn markdown(&self) -> String {
        let arguments: Vec<String> = std::env::args().skip(1).map(without_folders).collect();
        let mut table = table(&self.rows, HEADER.map(|name| name.replace('\n', " ")));
        table.load_style(presets::ASCII_MARKDOWN);
        table.force_no_tty();
        let mut text = format!(
            "# What a file costs\n\n{}. Written by `cargo xtask {}`.\n\n{table}\n\n",
            self.machine,
            arguments.join(" "),
        );
        for (idle, binary) in &self.idle {
            text.push_str(&idle_text(idle, binary.as_deref()));
            text.push_str("\n\n");
        }
        text.push_str(NOTES);
        text
    }
}

/// An argument of the command as others may read it: where a program lies here is nobody's business.
fn without_folders(argument: String) -> String {
    let Some((folders, name)) = argument.rsplit_once('/') else { return argument };
    match folders.split_once('=') {
        Some((option, _)) => format!("{option}={name}"),
        None => name.to_owned(),
    }
}

const NOTES: &str = "\
The real program, built for release, against S3, SQS and an HTTP collector in memory, over plain
HTTP on loopback, on the same machine. The best of the rounds by CPU time. Every event was compared
with the known answer.

- **CPU**: of the trailsift processes alone, from the first message to the last delete; their start
  and end do not count. **in kernel**: the part of it that is the kernel's, most of it the network.
- **MB per CPU-s**: inflated bytes per second of CPU. **libdeflate alone**: the same of bare
  inflation of the same files, in the same run. **ratio**: the one by the other.
- **files per s** is what this machine's cores allow, which S3, SQS and the collector share.
- **peak**, **idle**: resident memory at most, and before the first message, of one process.
- **GET**, **receive**, **delete**, **extend**: requests per file.
- TLS is not in it.
";

fn idle_text(idle: &Idle, binary: Option<&str>) -> String {
    format!(
        "Idle{}: {} requests within {} s, {:.1} ms of CPU, {:.0} MiB resident.",
        binary.map(|binary| format!(" ({binary})")).unwrap_or_default(),
        idle.counts.requests(),
        idle.window.as_secs(),
        idle.cpu.total.as_secs_f64() * 1e3,
        idle.resident as f64 / f64::from(1 << 20),
    )
}

fn idle_json(idle: &Idle, binary: Option<&str>) -> Value {
    json!({
        "scenario": "idle",
        "binary": binary,
        "seconds": idle.window.as_secs_f64(),
        "cpu_seconds": idle.cpu.total.as_secs_f64(),
        "idle_rss_bytes": idle.resident,
        "requests": idle.counts.requests(),
        "receives": idle.counts.receive,
    })
}

fn table(rows: &[Row], header: [String; 16]) -> Table {
    let mut table = Table::new();
    table.set_header(header);
    for row in rows {
        table.add_row(row.cells());
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

#[cfg(test)]
mod tests;
