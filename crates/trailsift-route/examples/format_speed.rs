//! What writing an event costs in each format, beside what `serde_json` takes to read a record and
//! write it again, in the same run.
//!
//! `cargo run --release -p trailsift-route --example format_speed`: microseconds an event on one
//! core, the best of many short rounds, and the event's size beside its record's.

#![expect(clippy::print_stdout, reason = "an example's answer goes to its terminal")]

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use trailsift_core::{Record, RouteSet};
use trailsift_route::{Format, Formatter, Origin};
use trailsift_testkit::trail::{FileSpec, TrailFile};

const ROUNDS: usize = 40;

#[derive(Deserialize)]
struct Document<'d> {
    #[serde(borrow, rename = "Records")]
    records: Vec<&'d RawValue>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let spec = FileSpec { records: 1000, selected_one_in: 2, ..FileSpec::default() };
    let file = TrailFile::generate(&spec);
    let document: Document<'_> = serde_json::from_slice(&file.json)?;
    let mut routes = RouteSet::EMPTY;
    routes.insert(0);
    let record = |(index, raw): (u64, &&RawValue)| {
        let bytes = Bytes::copy_from_slice(raw.get().as_bytes());
        Record { index, bytes, routes }
    };
    let records: Vec<_> = (0..).zip(&document.records).map(record).collect();
    let bytes: usize = records.iter().map(|record| record.bytes.len()).sum();
    println!("{} records of {} bytes", records.len(), bytes / records.len());

    let again = |record: &Record| {
        let value: Result<Value, _> = serde_json::from_slice(&record.bytes);
        value.and_then(|value| serde_json::to_vec(&value)).map_or(0, |text| text.len())
    };
    row("read and written (serde_json)", &records, bytes, again);
    let origin = Origin {
        account: Some("production"),
        bucket: Some("org-trail"),
        key: Some("AWSLogs/111122223333/CloudTrail/us-east-1/2026/01/15/x.json.gz"),
        ..Origin::default()
    };
    for format in Format::ALL {
        let formatter = Formatter::new(format, ["codeguru-reviewer".to_owned()]);
        let render = |record: &Record| formatter.render(record, routes, origin).len();
        row(format.name(), &records, bytes, render);
    }
    Ok(())
}

/// One line: `work` answers how many bytes it has made of a record.
fn row(name: &str, records: &[Record], bytes: usize, work: impl Fn(&Record) -> usize) {
    let mut best = Duration::MAX;
    let mut written = 0;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        written = records.iter().map(|record| black_box(work(record))).sum();
        best = best.min(begun.elapsed());
    }
    let each = best.as_secs_f64() * 1e6 / records.len() as f64;
    let size = written as f64 / bytes as f64;
    println!("{name:30} {each:6.2} µs  {size:4.1} × the record");
}
