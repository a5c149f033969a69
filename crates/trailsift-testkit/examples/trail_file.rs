//! Writes one generated trail file, gzip-compressed, to standard output:
//! `cargo run --package trailsift-testkit --example trail_file -- 50000 > trail.json.gz`
//! for 50,000 records of which about one in a thousand is CodeGuru Reviewer's.

use std::io::Write as _;

use trailsift_testkit::trail::{FileSpec, TrailFile};

fn main() -> std::io::Result<()> {
    let records = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(2000);
    let file = TrailFile::generate(&FileSpec { records, ..FileSpec::default() });
    std::io::stdout().write_all(&file.gzip())
}
