//! The table that a run ends with.

#![expect(clippy::print_stdout, reason = "a benchmark's answer goes to its terminal")]

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use trailsift_trail::Counts;

use crate::corpus::Corpus;

/// One line of the table. Of all samples the best counts: the rest of the machine disturbed it least.
pub(crate) struct Row {
    name: String,
    records: usize,
    inflated: u64,
    selected: Option<f64>,
    base: Duration,
    own: Duration,
}

impl Row {
    pub(crate) fn new(corpus: &Corpus, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            records: corpus.records,
            inflated: corpus.inflated,
            selected: None,
            base: Duration::MAX,
            own: Duration::MAX,
        }
    }

    /// What was found, which is the same in every round.
    pub(crate) fn count(&mut self, counts: Counts) {
        self.selected = Some(100.0 * counts.selected as f64 / counts.seen as f64);
    }

    /// The time of so many rounds over the corpus.
    pub(crate) fn sample(&mut self, rounds: u64, base: Duration, own: Duration) {
        let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
        self.base = self.base.min(base / rounds);
        self.own = self.own.min(own / rounds);
    }

    fn rate(&self, time: Duration) -> f64 {
        self.inflated as f64 / 1e6 / time.as_secs_f64()
    }
}

/// All rows that were measured.
#[derive(Default)]
pub(crate) struct Board {
    rows: Vec<Row>,
    is_part: bool,
}

impl Board {
    /// Adds a row, unless it was filtered out on the command line.
    pub(crate) fn add(&mut self, row: Row) {
        if row.own == Duration::MAX {
            self.is_part = true;
        } else {
            self.rows.push(row);
        }
    }

    /// Prints the table, and writes it down where that is asked for.
    pub(crate) fn show(&self) -> Result<(), Box<dyn Error>> {
        let table = self.table()?;
        println!("{table}");
        if std::env::var_os("TRAILSIFT_BENCH_WRITE").is_none_or(|it| it != "1") {
            return Ok(());
        }
        if self.is_part {
            return Err("only all rows together are written down: leave the filter out".into());
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("BENCHMARKS.md");
        fs::write(&path, page(&table)?)?;
        println!("written to {}", path.display());
        Ok(())
    }

    fn table(&self) -> Result<String, Box<dyn Error>> {
        let mut out = String::from(
            "| records | sifted for | selected | MB/s | libdeflate, MB/s | ratio |\n\
             |--:|---|--:|--:|--:|--:|\n",
        );
        for row in &self.rows {
            let selected = row.selected.map_or_else(String::new, |share| format!("{share:.1} %"));
            let (own, base) = (row.rate(row.own), row.rate(row.base));
            let Row { records, name, .. } = row;
            let ratio = own / base;
            writeln!(
                out,
                "| {records} | {name} | {selected} | {own:.0} | {base:.0} | {ratio:.2} |"
            )?;
        }
        Ok(out)
    }
}

fn page(table: &str) -> Result<String, Box<dyn Error>> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism()?;
    let compiler = said_by("rustc", &["--version"]);
    let mut commit = said_by("git", &["rev-parse", "--short", "HEAD"]);
    if !said_by(
        "git",
        &["status", "--porcelain", "--untracked-files=no", "--", ".", "../trailsift-route"],
    )
    .is_empty()
    {
        commit.push_str(" and uncommitted changes");
    }
    Ok(format!(
        "# How fast a file is sifted\n\n\
         MB of inflated trail per second of CPU time on one core, beside libdeflate inflating the same\n\
         bytes in the same run and doing nothing else; the best of 15 samples of each, in which they\n\
         take turns. Written by\n\n\
         ```sh\nTRAILSIFT_BENCH_WRITE=1 cargo bench -p trailsift-trail\n```\n\n\
         on {date}, commit {commit}: {cpu}, {cores} cores, Linux {kernel}, {compiler}.\n\n\
         {table}\n\
         The files are generated (`trailsift_testkit::trail::TrailFile`): 200 of 30 records, 6 of 2,000 and\n\
         2 of 8,000, about 1,400 bytes a record, compressed with level 5. Of them nothing, 1 % or\n\
         everything is CodeGuru Reviewer's, which is what the one route wants. The twenty look at various\n\
         fields; where there is *nothing to search for*, one of them asks for something that no text\n\
         answers, so that every record is read; with *every actor*, one asks who is behind each record\n\
         from outside, so that hardly any `userIdentity` is left alone. *In pieces* is the way of files that\n\
         are too large to be inflated at once, 64 KiB at a time: it cannot be faster than zlib-rs, which\n\
         stands below it.\n",
        date = time::OffsetDateTime::now_utc().date(),
        cpu = cpu.unwrap_or("an unknown processor").trim(),
        kernel = kernel.trim(),
    ))
}

/// What a program prints, in one line; nothing if it does not run.
fn said_by(program: &str, args: &[&str]) -> String {
    let said = Command::new(program).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    said.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned()).unwrap_or_default()
}
