//! The pages of metrics and of logs, read as a person does.

use std::collections::{BTreeMap, BTreeSet};

pub(super) const METRICS: &str = include_str!("../../../crates/trailsift/METRICS.md");
pub(super) const LOGS: &str = include_str!("../../../crates/trailsift/LOGS.md");

/// The names that the configuration of the run has.
const NAMES: [(&str, &[&str]); 4] = [
    ("account", &["production"]),
    ("sink", &["siem", "copy", "picky", "quarantine"]),
    ("what", &["account production", "sink siem", "sink picky", "sink quarantine"]),
    ("version", &[env!("CARGO_PKG_VERSION")]),
];

/// A documented metric: its type, and the values that each label may have.
pub(super) struct Metric {
    pub(super) kind: String,
    pub(super) labels: BTreeMap<String, BTreeSet<String>>,
}

/// The cells of every row of every table.
fn rows(page: &str) -> impl Iterator<Item = Vec<String>> {
    let rows = page.lines().filter(|line| line.starts_with("| `") || line.starts_with("| "));
    rows.map(|line| {
        let line = line.trim_matches('|').replace("\\|", "\u{1}");
        line.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
    })
}

/// What stands between backticks, outside brackets.
fn words(cell: &str) -> Vec<String> {
    let (mut depth, mut plain) = (0, String::new());
    for c in cell.chars() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if depth == 0 {
            plain.push(c);
        }
    }
    plain.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

pub(super) fn metrics() -> BTreeMap<String, Metric> {
    let mut sets: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, values) in NAMES {
        sets.insert(name.into(), values.iter().map(ToString::to_string).collect());
    }
    for row in rows(METRICS).filter(|row| row.len() == 2) {
        let [name] = &words(&row[0])[..] else { continue };
        let mut values: BTreeSet<_> = words(&row[1]).into_iter().collect();
        if row[1].starts_with("empty;") {
            values.insert(String::new());
        }
        sets.insert(name.clone(), values);
    }
    let parked = sets["parked"].clone();
    let reason = sets.get_mut("reason").expect("the set of reasons");
    assert!(reason.remove("parked"), "reasons to park are reasons");
    reason.extend(parked);
    let rows = rows(METRICS).filter(|row| row.len() == 4);
    let metrics = rows.filter_map(|row| {
        let [name] = &words(&row[0])[..] else { return None };
        let labels = words(&row[2]).into_iter().map(|label| {
            let (label, set) = label.split_once('=').unwrap_or((&label, &label));
            let values = sets.get(set).unwrap_or_else(|| panic!("{name}: no set {set}"));
            (label.to_owned(), values.clone())
        });
        Some((name.clone(), Metric { kind: row[1].clone(), labels: labels.collect() }))
    });
    metrics.collect()
}

/// The names of fields in log lines.
pub(super) fn log_fields() -> BTreeSet<String> {
    let rows = rows(LOGS).filter(|row| row.len() == 2);
    let fields = rows.flat_map(|row| words(&row[0]));
    fields.chain(["timestamp", "level", "message", "target"].map(str::to_owned)).collect()
}

/// How the messages of lines that ask something of a person begin, and the levels that they have.
pub(super) fn levels_of_lines() -> Vec<(String, BTreeSet<String>)> {
    let rows = rows(LOGS).filter(|row| row.len() == 3 && row[1].starts_with('`'));
    rows.map(|row| {
        let begin = row[0].split('…').next().unwrap_or_default().replace("\\`", "`");
        let levels = words(&format!("{} {}", row[1], row[2]));
        (begin, levels.into_iter().collect())
    })
    .collect()
}

/// The message of a log macro, whose arguments these are: its last literal, before the bracket closes.
pub(super) fn message_of(arguments: &str) -> String {
    let (mut depth, mut last, mut literal) = (1, String::new(), None::<String>);
    let mut chars = arguments.chars().peekable();
    while let Some(c) = chars.next() {
        match (&mut literal, c) {
            (Some(text), '\\') => match chars.next() {
                Some('\n') => while chars.next_if(|c| c.is_whitespace()).is_some() {},
                Some(escaped) => text.push(escaped),
                None => break,
            },
            (Some(_), '"') => last = literal.take().unwrap_or_default(),
            (Some(text), c) => text.push(c),
            (None, '"') => literal = Some(String::new()),
            (None, '(') => depth += 1,
            (None, ')') => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            (None, _) => {}
        }
    }
    last
}
