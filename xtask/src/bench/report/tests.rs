use std::time::Duration;

use trailsift_stub::Counts;

use super::*;
use crate::bench::proc::Cpu;

/// 100 files of 1 MB in two seconds of CPU, a quarter of it the kernel's.
fn row() -> Row {
    let counts = Counts { get_object: 101, receive: 20, delete: 10, ..Counts::default() };
    let cpu = Cpu {
        total: Duration::from_secs(2),
        user: Duration::from_millis(1500),
        system: Duration::from_millis(500),
    };
    let figures = Figures {
        cpu,
        took: Duration::from_secs(4),
        peak: 64 << 20,
        idle: 16 << 20,
        counts,
        delivered: 7,
        stub: Duration::from_millis(1),
    };
    Row {
        scenario: "usual",
        binary: None,
        replicas: 1,
        files: 100,
        records: 70_000,
        inflated: 100_000_000,
        expected: 7,
        baseline: 200.0,
        figures,
    }
}

#[test]
fn every_figure_is_per_what_its_column_says() {
    let expected = [
        "usual", "100", "70000", "25", "20000", "25 %", "50", "200", "0.25", "64", "16", "1.010",
        "0.200", "0.100", "0.000", "7 of 7",
    ];
    assert_eq!(row().cells(), expected);
    let json = row().json();
    assert_eq!(json["ratio"], 0.25);
    assert_eq!(json["requests_per_file"]["all"], 1.31);
    assert_eq!(json["cpu_micros_per_file"], 20_000.0);
}

#[test]
fn several_processes_and_programs_are_named() {
    let row = Row { replicas: 2, binary: Some("a/b".into()), ..row() };
    assert_eq!(row.cells()[0], "usual × 2 (a/b)");
}

#[test]
fn every_row_has_a_cell_for_every_column() {
    assert_eq!(row().cells().len(), HEADER.len());
}

#[test]
fn a_table_in_a_file_has_one_line_per_row() {
    let mut table = table(&[row(), row()], HEADER.map(|name| name.replace('\n', " ")));
    table.load_style(presets::ASCII_MARKDOWN);
    assert_eq!(table.to_string().lines().count(), 4, "{table}");
}

#[test]
fn the_command_that_is_written_down_names_no_folder_of_this_machine() {
    let written = |argument: &str| without_folders(argument.to_owned());
    assert_eq!(written("--write"), "--write");
    assert_eq!(written("/somewhere/else/trailsift"), "trailsift");
    assert_eq!(written("--binary=../target/release/trailsift"), "--binary=trailsift");
}
