//! How fast records are selected, beside other ways to look at the same bytes in the same run.
//!
//! `cargo run --release -p trailsift-route --example read_speed`. The figures are MB of inflated
//! JSON a second on one core, the best of many short rounds. A word after it (`20`) measures only the
//! rows of routes that have it in their names.

#![expect(clippy::print_stdout, reason = "an example's answer goes to its terminal")]

mod panel;

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use trailsift_core::Selection;
use trailsift_route::{RouteSpec, Routes};
use trailsift_testkit::trail::{FileSpec, TrailFile};

const ROUNDS: usize = 200;

#[derive(Deserialize)]
struct Document<'d> {
    #[serde(borrow, rename = "Records")]
    records: Vec<&'d RawValue>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let spec = FileSpec { records: 1000, selected_one_in: 100, ..FileSpec::default() };
    let file = TrailFile::generate(&spec);
    let document: Document<'_> = serde_json::from_slice(&file.json)?;
    let records: Vec<&[u8]> = document.records.iter().map(|raw| raw.get().as_bytes()).collect();
    let bytes: usize = records.iter().map(|record| record.len()).sum();
    // Every record is read here, also those that a search for the literals would have rejected.
    println!("{} records of {} bytes", records.len(), bytes / records.len());
    let row = |name: &str, time: Duration, rest: String| {
        let speed = bytes as f64 / 1e6 / time.as_secs_f64();
        println!("{name:34} {speed:6.0} MB/s {rest}");
    };

    let time = best(|| records.iter().filter(|it| memchr::memchr(0, it).is_some()).count());
    row("one byte sought (memchr)", time, String::new());
    let parses = |record: &&&[u8]| serde_json::from_slice::<IgnoredAny>(record).is_ok();
    row(
        "parsed, ignored (serde_json)",
        best(|| records.iter().filter(parses).count()),
        String::new(),
    );

    let panel = panel::twenty();
    let actors = panel::twenty_of_actors();
    let crowd = panel::sixty_four();
    for (name, specs) in [
        ("1 route, by eventSource", &[RouteSpec::codeguru_reviewer()][..]),
        ("1 route without literals", &[panel::writes()][..]),
        ("19 routes, each with literals", &panel[..19]),
        ("20 routes on various fields", &panel[..]),
        ("1 route by actor and network", &[panel::people_outside()][..]),
        ("19 routes, some by actor", &actors[..19]),
        ("20 routes, some by actor", &actors[..]),
        ("64 routes on various fields", &crowd[..]),
    ] {
        if std::env::args().nth(1).is_some_and(|part| !name.contains(&part)) {
            continue;
        }
        let routes = Routes::compile(specs)
            .map_err(|errors| errors.first().map(ToString::to_string).unwrap_or_default())?;
        let wants = |record: &&&[u8]| routes.select(record).is_ok_and(|set| !set.is_empty());
        let selected = records.iter().filter(wants).count();
        let holds = |record: &&&[u8]| {
            let literals = routes.literals();
            let mut sought = literals.iter();
            literals.is_empty()
                || sought.any(|literal| memchr::memmem::find(record, literal).is_some())
        };
        let reached = records.iter().filter(holds).count();
        let literals = routes.literals().len();
        let rest = format!("selected {selected}; {literals} literals reach {reached}");
        row(name, best(|| records.iter().filter(wants).count()), rest);
    }
    Ok(())
}

/// The shortest time that the work took.
fn best(mut work: impl FnMut() -> usize) -> Duration {
    let rounds = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        black_box(work());
        start.elapsed()
    });
    rounds.min().unwrap_or_default()
}
