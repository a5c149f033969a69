use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::corpus::Corpus;
use super::round::Figures;
use super::scenario::Scenario;
use crate::ui::Ui;

/// One scenario's result.
pub(super) struct Row {
    scenario: &'static str,
    binary: Option<String>,
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
        binary: Option<String>,
    ) -> Self {
        Self {
            scenario: scenario.name,
            binary,
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
        let name = match &self.binary {
            Some(binary) => format!("{}\n{binary}", self.scenario),
            None => self.scenario.to_owned(),
        };
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

const HEADER: [&str; 16] = [
    "scenario",
    "files",
    "records",
    "files/s",
    "CPU µs/file",
    "in kernel",
    "MB/CPU-s",
    "libdeflate",
    "ratio",
    "peak MiB",
    "idle MiB",
    "GET/file",
    "receive",
    "delete",
    "extend",
    "events",
];

/// Tells the results: a table to a person, JSON Lines to a pipe.
pub(super) struct Report {
    ui: Ui,
    rows: Vec<Row>,
}

impl Report {
    pub(super) fn new(ui: &Ui) -> Self {
        Self { ui: ui.clone(), rows: Vec::new() }
    }

    pub(super) fn add(&mut self, row: Row) {
        if !self.ui.results_are_shown() {
            self.ui.result(&row.json().to_string());
        }
        self.rows.push(row);
    }

    pub(super) fn finish(&self) {
        if self.ui.results_are_shown() {
            let mut table = table(&self.rows);
            if !self.ui.colour() {
                table.force_no_tty();
            }
            self.ui.result(&format!("\n{table}"));
        }
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(HEADER);
    for row in rows {
        table.add_row(row.cells());
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
