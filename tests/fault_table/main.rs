//! Holds `tests/README.md` to its word: every fault has its row, and every test that a row names exists.

mod source;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use source::Guard;

/// The faults are numbered from 1 to this.
const LAST: u32 = 120;

/// What is wrong with the table, each with the line or the row it is about.
fn problems(document: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let (rows, mut problems) = table::rows(document);
    for number in 1..=LAST {
        match rows.iter().filter(|row| row.number == number).count() {
            0 => problems.push(format!("F{number} has no row")),
            1 => {}
            count => problems.push(format!("F{number} has {count} rows")),
        }
    }
    let mut sources = Sources { read, tests: BTreeMap::new() };
    for row in &rows {
        let mut complain = |what: String| problems.push(format!("F{}: {what}", row.number));
        if row.number == 0 || row.number > LAST {
            complain("there is no such fault".into());
        }
        if row.guards.is_empty() && !row.has_reason() {
            complain(
                "neither a test nor a reason beginning with \"Not yet:\" or \"Does not apply:\""
                    .into(),
            );
        }
        row.guards.iter().filter_map(|guard| sources.missing(*guard)).for_each(complain);
    }
    problems.extend(table::elsewhere(document).into_iter().filter_map(|g| sources.missing(g)));
    problems
}

/// The tests of every file that was asked for.
struct Sources<'a, R> {
    read: R,
    tests: BTreeMap<&'a str, Option<BTreeMap<String, Guard>>>,
}

impl<'a, R: Fn(&str) -> Option<String>> Sources<'a, R> {
    /// Why this test guards nothing; `None` if it does.
    fn missing(&mut self, (file, name): (&'a str, &'a str)) -> Option<String> {
        let read = &self.read;
        let load = || read(file).map(|text| source::tests(&text));
        let tests = self.tests.entry(file).or_insert_with(load);
        if tests.is_some() && !source::is_compiled(file, read) {
            return Some(format!("no module has the file {file}, so its tests never run"));
        }
        match tests.as_ref().map(|tests| tests.get(name)) {
            None => Some(format!("there is no file {file}")),
            Some(None) => Some(format!("{file} has no test {name}")),
            Some(Some(Guard::Ignored)) => {
                Some(format!("{file}::{name} is ignored, and not for the want of an emulator"))
            }
            Some(Some(Guard::Runs)) => None,
        }
    }
}

#[test]
fn every_fault_has_a_row_and_every_test_that_it_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let document = fs::read_to_string(root.join("tests/README.md")).expect("the table is there");
    let found = problems(&document, |file| fs::read_to_string(root.join(file)).ok());
    assert!(found.is_empty(), "tests/README.md:\n  {}", found.join("\n  "));
}

/// A table in which every row is good.
fn good() -> Vec<String> {
    let row = |n| format!("| F{n} | torn | parks it | `crates/a/src/b.rs::it_parks` |");
    (1..=LAST).map(row).collect()
}

fn judge(rows: &[String]) -> Vec<String> {
    let source = "#[test]\nfn it_parks() {}\nfn helper() {}\n\
                  #[test]\n#[ignore = \"takes an hour\"]\nfn it_rests() {}\n";
    problems(&rows.join("\n"), |file| match file {
        "crates/a/src/b.rs" | "crates/a/src/left_over.rs" => Some(source.to_owned()),
        "crates/a/src/lib.rs" => Some("mod b;\n".to_owned()),
        _ => None,
    })
}

#[test]
fn a_complete_table_is_accepted() {
    assert_eq!(judge(&good()), Vec::<String>::new());
    let mut rows = good();
    rows[6] =
        "| F7 | torn | nothing | Not yet: nothing writes there, so nothing can tear. |".into();
    rows[7] =
        "| F8 | a \\| b | x | `crates/a/src/b.rs::it_parks`<br>`crates/a/src/b.rs::it_parks` |"
            .into();
    assert_eq!(judge(&rows), Vec::<String>::new());
}

#[test]
fn each_mistake_is_found() {
    let table = [
        ("", "F7 has no row"),
        ("| F6 | torn | x | `crates/a/src/b.rs::it_parks` |", "F6 has 2 rows"),
        ("| F121 | torn | x | `crates/a/src/b.rs::it_parks` |", "F121: there is no such fault"),
        (
            "| F7 | torn | x | `crates/a/src/c.rs::it_parks` |",
            "F7: there is no file crates/a/src/c.rs",
        ),
        (
            "| F7 | torn | x | `crates/a/src/b.rs::it_barks` |",
            "F7: crates/a/src/b.rs has no test it_barks",
        ),
        (
            "| F7 | torn | x | `crates/a/src/b.rs::helper` |",
            "F7: crates/a/src/b.rs has no test helper",
        ),
        ("| F7 | torn | x | `crates/a/src/b.rs::it_rests` |", "is ignored"),
        (
            "| F7 | torn | x | `crates/a/src/left_over.rs::it_parks` |",
            "F7: no module has the file crates/a/src/left_over.rs",
        ),
        ("| F7 | torn | x | |", "F7: neither a test nor a reason"),
        ("| F7 | torn | x | later |", "F7: neither a test nor a reason"),
        ("| F7 | torn | x | Not yet: no. |", "F7: neither a test nor a reason"),
        ("| F7 | torn | x | `it_parks` |", "F7: `it_parks` is not of the form"),
        ("| F7 | torn | `crates/a/src/b.rs::it_parks` |", "3 cells instead of 4"),
        ("| F7 | | x | `crates/a/src/b.rs::it_parks` |", "a cell is empty"),
        (
            "| F7 | torn | x | Not yet: the thing that could tear is not built. |\n\
          Besides, `crates/a/src/b.rs::it_hums`.",
            "crates/a/src/b.rs has no test it_hums",
        ),
        ("| Fx | torn | x | `crates/a/src/b.rs::it_parks` |", "`Fx` is no number of a fault"),
    ];
    for (row, expected) in table {
        let mut rows = good();
        row.clone_into(&mut rows[6]);
        let found = judge(&rows);
        assert!(found.iter().any(|problem| problem.contains(expected)), "{row}: {found:?}");
    }
}

/// What is wrong with a page whose tables of threats name their tests in the last cell.
fn problems_of_threats(document: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut sources = Sources { read, tests: BTreeMap::new() };
    let rows = document.lines().filter(|line| line.starts_with("| T"));
    for (place, row) in rows.enumerate() {
        let number = format!("T{}", place + 1);
        if !row.starts_with(&format!("| {number} |")) {
            problems.push(format!("{number} is not where it belongs: {row}"));
        }
        // Every other part stands between backticks; tests are those with a file before them.
        let quoted = row.rsplit_once(" | ").map_or("", |(_, last)| last);
        let tests: Vec<_> =
            quoted.split('`').skip(1).step_by(2).filter_map(|it| it.split_once("::")).collect();
        let is_reason = ["Not yet: ", "Does not apply: "].iter().any(|it| quoted.starts_with(it));
        if tests.is_empty() && !is_reason {
            problems.push(format!("{number} names no test and gives no reason"));
        }
        let missing = tests.into_iter().filter_map(|test| sources.missing(test));
        problems.extend(missing.map(|what| format!("{number}: {what}")));
    }
    problems
}

#[test]
fn every_threat_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let document = fs::read_to_string(root.join("deploy/THREATS.md")).expect("the page is there");
    let rows = document.lines().filter(|line| line.starts_with("| T")).count();
    assert!(rows > 30, "{rows} rows");
    let found = problems_of_threats(&document, |file| fs::read_to_string(root.join(file)).ok());
    assert!(found.is_empty(), "deploy/THREATS.md:\n  {}", found.join("\n  "));
}

#[test]
fn a_threat_without_a_test_that_runs_is_found() {
    let source = |file: &str| match file {
        "crates/a/src/lib.rs" => Some("#[test]\nfn it_holds() {}\n".to_owned()),
        _ => None,
    };
    let judged = |rows: &str| problems_of_threats(rows, source);
    let good = "| T1 | who | how | | `crates/a/src/lib.rs::it_holds` |";
    assert_eq!(judged(good), Vec::<String>::new());
    assert_eq!(judged("| T1 | who | how | | Not yet: nothing reads it. |"), Vec::<String>::new());
    for (row, problem) in [
        ("| T2 | who | how | | `crates/a/src/lib.rs::it_holds` |", "not where it belongs"),
        ("| T1 | who | how | | `crates/a/src/lib.rs::it_folds` |", "has no test it_folds"),
        ("| T1 | who | how | | `crates/b/src/lib.rs::it_holds` |", "there is no file"),
        ("| T1 | who | how | | |", "names no test"),
    ] {
        let found = judged(row);
        assert!(found.iter().any(|it| it.contains(problem)), "{row}: {found:?}");
    }
}
