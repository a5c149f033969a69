//! How fast one trail file of yours is sifted, against bare inflation of the same bytes in the same
//! run, and where to begin with a profiler. The bench measures generated ones.
//!
//! `cargo run --release -p trailsift-trail --example sift_speed [FILE.json.gz]`; without a file, a
//! made-up one of 2,000 records of which about two are selected. The figures are MB of inflated JSON
//! a second on one core, the best of several rounds.

#![expect(clippy::print_stdout, reason = "an example's answer goes to its terminal")]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};
use libdeflater::Decompressor;
use trailsift_core::{RecordFault, RouteSet, Selection};
use trailsift_testkit::trail::{FileSpec, TrailFile};
use trailsift_trail::{Counts, Judge, Progress, Scratch, SiftLimits, Sifter};

const ROUNDS: usize = 25;
const WANTED: &str = "codeguru-reviewer.amazonaws.com";

/// Takes what the literal search lets through: the judging of rare records is not measured.
#[derive(Debug)]
struct Literal(Vec<Vec<u8>>);

impl Selection for Literal {
    fn digest(&self) -> u64 {
        0
    }

    fn literals(&self) -> &[Vec<u8>] {
        &self.0
    }

    fn select(&self, _: &[u8]) -> Result<RouteSet, RecordFault> {
        let mut routes = RouteSet::EMPTY;
        routes.insert(0);
        Ok(routes)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let stored = match std::env::args_os().nth(1) {
        Some(path) => std::fs::read(path)?,
        None => {
            let spec = FileSpec { records: 2_000, ..FileSpec::default() };
            TrailFile::generate(&spec).gzip()
        }
    };
    let plain = Bytes::from(inflate(&stored)?);
    let stored = Bytes::from(stored);
    println!("{} bytes stored, {} inflated", stored.len(), plain.len());

    let judge = Judge::new(Arc::new(Literal(vec![WANTED.into()])));
    let (mut none, mut scratch) = (Scratch::new(0), Scratch::new(64 << 20));
    let mut buffer = vec![0; plain.len()];
    let libdeflate = best(|| Ok(Decompressor::new().gzip_decompress(&stored, &mut buffer)?))?;
    let bare = best(|| inflate_bare(&stored))?;
    let sifted = best(|| sift(&judge, &mut scratch, &stored, false))?;
    let hashed = best(|| sift(&judge, &mut scratch, &stored, true))?;
    let streamed = best(|| sift(&judge, &mut none, &stored, false))?;
    let split = best(|| sift(&judge, &mut none, &plain, false))?;
    let speed = |time: Duration| plain.len() as f64 / 1e6 / time.as_secs_f64();
    println!("{:?}", sift(&judge, &mut scratch, &stored, false)?);
    for (what, time) in [
        ("libdeflate, bare", libdeflate),
        ("zlib-rs, bare", bare),
        ("sifted at once", sifted),
        ("with SHA-256", hashed),
        ("sifted in pieces", streamed),
        ("without inflating", split),
    ] {
        let ratio = ratio(libdeflate, time);
        println!("{what:18} {:6.0} MB/s, {ratio:.2} of libdeflate", speed(time));
    }
    Ok(())
}

fn ratio(bare: Duration, sifted: Duration) -> f64 {
    bare.as_secs_f64() / sifted.as_secs_f64()
}

fn best<T>(
    mut work: impl FnMut() -> Result<T, Box<dyn Error>>,
) -> Result<Duration, Box<dyn Error>> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        std::hint::black_box(work()?);
        best = best.min(start.elapsed());
    }
    Ok(best)
}

fn sift(
    judge: &Judge,
    scratch: &mut Scratch,
    stored: &Bytes,
    is_hashed: bool,
) -> Result<Counts, Box<dyn Error>> {
    let limits = SiftLimits { max_inflated: 1 << 30, max_record: 1 << 20, max_held: 8 << 20 };
    let mut sifter = Sifter::new(limits, judge.clone());
    if is_hashed {
        sifter = sifter.with_sha256();
    }
    sifter.feed(stored.clone());
    sifter.end();
    match sifter.run(scratch)? {
        Progress::Done => Ok(sifter.counts()),
        other => Err(format!("the sifter stopped with {other:?}").into()),
    }
}

fn inflate_bare(stored: &[u8]) -> Result<u64, Box<dyn Error>> {
    let mut gzip = Decompress::new_gzip(15);
    let mut window = vec![0; 128 << 10];
    loop {
        let read = usize::try_from(gzip.total_in())?;
        if gzip.decompress(&stored[read..], &mut window, FlushDecompress::None)?
            == Status::StreamEnd
        {
            return Ok(gzip.total_out());
        }
    }
}

fn inflate(stored: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut gzip = Decompress::new_gzip(15);
    let mut plain = Vec::new();
    let mut status = Status::Ok;
    while status != Status::StreamEnd {
        plain.reserve(1 << 20);
        let read = usize::try_from(gzip.total_in())?;
        status = gzip.decompress_vec(&stored[read..], &mut plain, FlushDecompress::None)?;
    }
    Ok(plain)
}
