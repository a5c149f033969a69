use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use comfy_table::{Cell, CellAlignment, Color, Table, presets};
use serde_json::Value;
use trailsift_ledger::LedgerRow;
use trailsift_testkit::trail::{Expected, Nature};

use super::Account;
use super::config::Written;
use super::watch::Outcome;
use crate::ui::Ui;

/// Compares what was said and delivered with the known answer, and shows the table.
pub(super) async fn judge(
    ui: &Ui,
    accounts: &[Account],
    config: &Written,
    outcome: &Outcome,
) -> anyhow::Result<bool> {
    let expected = Expected::of(
        &accounts.iter().flat_map(|account| account.fleet.objects.clone()).collect::<Vec<_>>(),
    );
    let totals = &outcome.totals;
    let mut rows = Rows::default();
    rows.number("files", expected.files, count(&totals["files"]));
    rows.number("records", expected.records, count(&totals["records"]));
    rows.number("selected", expected.selected, count(&totals["selected"]));
    rows.by_word("skipped", &expected.skipped, &totals["skipped"]);
    rows.by_word("quarantined", &expected.quarantined, &totals["quarantined"]);
    let (compressed, inflated) =
        (count(&totals["compressed_bytes"]), count(&totals["inflated_bytes"]));
    rows.bytes("bytes compressed", read_bytes(accounts), compressed);
    rows.at_least("bytes inflated (damaged files add)", expected.inflated_bytes, inflated);
    rows.check("exit code", "0", &outcome.status.code().map_or("-".into(), |it| it.to_string()));
    rows.info("seconds", &format!("{:.1}", outcome.took.as_secs_f64()));

    let lines = lines_of(&config.events)?;
    rows.multiset("on standard output", &expected.selected_records, &outcome.delivered);
    rows.multiset("in the file sink", &expected.selected_records, &lines);
    let damaged = expected.quarantined.values().sum();
    rows.number("lines in quarantine", damaged, parked(config)?);
    rows.number("objects in the ledger", expected.files + damaged, settled(config)?);
    for (what, dead) in [("left in the queues", false), ("in dead-letter queues", true)] {
        let mut left = 0;
        for account in accounts {
            let stack = &account.stack;
            let queue = if dead { &stack.dead_letter_queue_url } else { &stack.queue_url };
            let backlog = account.site.backlog(queue).await?;
            left += backlog.visible + backlog.in_flight;
        }
        rows.number(what, 0, left);
    }
    rows.show(ui);
    Ok(rows.rows.iter().all(|row| row.agrees != Some(false)))
}

/// What the objects that are read hold as stored: the good files and the damaged ones.
fn read_bytes(accounts: &[Account]) -> u64 {
    let objects = accounts.iter().flat_map(|account| &account.fleet.objects);
    let read = objects.filter(|object| !matches!(object.nature, Nature::Skipped(_)));
    read.map(|object| object.stored.len() as u64).sum()
}

/// How many lines the quarantine holds.
fn parked(config: &Written) -> anyhow::Result<u64> {
    let folder = &config.quarantine;
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut lines = 0;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            lines += lines_of(&path)?.len() as u64;
        }
    }
    Ok(lines)
}

/// How many objects the ledger calls settled. What a sink is still owed something of is none of them.
fn settled(config: &Written) -> anyhow::Result<u64> {
    let mut settled = 0;
    trailsift_ledger::read(&config.ledger, |row| {
        settled += u64::from(matches!(row, LedgerRow::Settled(_)));
    })?;
    Ok(settled)
}

fn lines_of(path: &Path) -> anyhow::Result<Vec<Bytes>> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = Bytes::from(text);
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Ok(lines.map(|line| text.slice_ref(line)).collect())
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

#[derive(Default)]
struct Rows {
    rows: Vec<Row>,
}

struct Row {
    what: String,
    expected: String,
    found: String,
    /// `None` where there is nothing to agree with.
    agrees: Option<bool>,
}

impl Rows {
    fn row(&mut self, what: &str, expected: String, found: String, agrees: Option<bool>) {
        self.rows.push(Row { what: what.to_owned(), expected, found, agrees });
    }

    fn check(&mut self, what: &str, expected: &str, found: &str) {
        self.row(what, expected.to_owned(), found.to_owned(), Some(expected == found));
    }

    fn number(&mut self, what: &str, expected: u64, found: u64) {
        self.check(what, &grouped(expected), &grouped(found));
    }

    fn bytes(&mut self, what: &str, expected: u64, found: u64) {
        self.row(what, grouped(expected), grouped(found), Some(expected == found));
    }

    /// For what damaged files add to, by as much as can be read of them.
    fn at_least(&mut self, what: &str, expected: u64, found: u64) {
        self.row(what, format!("≥ {}", grouped(expected)), grouped(found), Some(found >= expected));
    }

    fn info(&mut self, what: &str, found: &str) {
        self.row(what, String::new(), found.to_owned(), None);
    }

    /// One row per word that either side knows.
    fn by_word(&mut self, what: &str, expected: &BTreeMap<&'static str, u64>, found: &Value) {
        let mut both: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (word, expected) in expected {
            both.entry(word).or_default().0 = *expected;
        }
        for (word, found) in found.as_object().into_iter().flatten() {
            both.entry(word).or_default().1 = count(found);
        }
        for (word, (expected, found)) in both {
            self.number(&format!("{what}: {word}"), expected, found);
        }
    }

    /// Every expected record once for each time it is expected, byte for byte, and nothing else.
    fn multiset(&mut self, what: &str, expected: &[Bytes], found: &[Bytes]) {
        let difference = difference(expected, found);
        let note = match difference {
            (0, 0) => "byte for byte".to_owned(),
            (missing, extra) => format!("{missing} missing, {extra} too many"),
        };
        let agrees = Some(difference == (0, 0));
        let found = format!("{} ({note})", grouped(found.len() as u64));
        self.row(what, grouped(expected.len() as u64), found, agrees);
    }

    fn show(&self, ui: &Ui) {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        if !ui.colour() {
            table.force_no_tty();
        }
        table.set_header(["", "expected", "trailsift says", ""]);
        for row in &self.rows {
            let mark = match row.agrees {
                Some(true) => Cell::new("✓").fg(Color::Green),
                Some(false) => Cell::new("✗").fg(Color::Red),
                None => Cell::new(""),
            };
            let texts = [&row.what, &row.expected, &row.found].map(Cell::new);
            table.add_row(texts.into_iter().chain([mark]));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        ui.result(&format!("\n{table}"));
    }
}

/// How many of `expected` are missing in `found`, and how many are there beyond them.
fn difference(expected: &[Bytes], found: &[Bytes]) -> (usize, usize) {
    let mut balance: BTreeMap<&[u8], i64> = BTreeMap::new();
    for record in expected {
        *balance.entry(record).or_default() += 1;
    }
    for record in found {
        *balance.entry(record).or_default() -= 1;
    }
    let add = |wanted: fn(i64) -> i64| balance.values().map(|count| wanted(*count)).sum::<i64>();
    let size = |sum: i64| usize::try_from(sum).unwrap_or(usize::MAX);
    (size(add(|count| count.max(0))), size(add(|count| (-count).max(0))))
}

/// `1234567` as `1 234 567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(texts: &[&'static str]) -> Vec<Bytes> {
        texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect()
    }

    #[test]
    fn a_record_counts_as_often_as_it_is_there() {
        let expected = records(&["a", "b", "b"]);
        assert_eq!(difference(&expected, &records(&["b", "a", "b"])), (0, 0));
        assert_eq!(difference(&expected, &records(&["a", "b"])), (1, 0));
        assert_eq!(difference(&expected, &records(&["a", "b", "b", "b", "c"])), (0, 2));
        assert_eq!(difference(&expected, &records(&["a", "b", "B"])), (1, 1));
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1 000", "1 234 567"]);
    }
}
