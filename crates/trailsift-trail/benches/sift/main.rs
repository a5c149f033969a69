//! How fast trail files are sifted, each time beside bare inflation of the same bytes by libdeflate.
//!
//! `cargo bench -p trailsift-trail` measures and ends with a table of the ratios; a part of a row's
//! name behind `--` measures those rows only. `TRAILSIFT_BENCH_WRITE=1` writes the table to
//! `BENCHMARKS.md`. What is measured is the CPU time of one thread, so that other work on the machine
//! weighs little; each sample takes the sifter and the bare inflation in turn, and the table shows
//! the best of each.

mod board;
mod corpus;
mod cpu_time;
#[path = "../../tests/oracle/panel.rs"]
mod panel;

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use flate2::{Decompress, FlushDecompress, Status};
use libdeflater::Decompressor;
use trailsift_route::{RouteSpec, Routes};
use trailsift_trail::{Counts, Judge, Progress, Scratch, SiftLimits, Sifter};

use board::{Board, Row};
use corpus::Corpus;
use cpu_time::CpuTime;

const LIMITS: SiftLimits =
    SiftLimits { max_inflated: 1 << 30, max_record: 1 << 20, max_held: 64 << 20 };
/// As pieces come from the network.
const PIECE: usize = 64 << 10;

/// How a file is read.
#[derive(Clone, Copy)]
enum Way {
    AtOnce,
    InPieces,
    Hashed,
}

fn main() -> Result<(), Box<dyn Error>> {
    // `cargo test --all-targets` only looks whether it runs.
    let is_measured = std::env::args().any(|arg| arg == "--bench");
    let corpora = Corpus::all(is_measured)?;
    let mut criterion = Criterion::default()
        .with_measurement(CpuTime)
        .sample_size(15)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(1500))
        .configure_from_args();
    let judge = |specs: &[RouteSpec]| match Routes::compile(specs) {
        Ok(routes) => Ok(Judge::new(Arc::new(routes))),
        Err(errors) => Err(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
    };
    let one = judge(&panel::one())?;
    let rows = [
        ("1 route", &one, Way::AtOnce),
        ("20 routes", &judge(&panel::twenty())?, Way::AtOnce),
        ("20 routes, nothing to search for", &judge(&panel::twenty_reading_all())?, Way::AtOnce),
        ("20 routes, every actor", &judge(&panel::twenty_deriving())?, Way::AtOnce),
        ("1 route, in pieces", &one, Way::InPieces),
        ("1 route, with SHA-256", &one, Way::Hashed),
    ];
    let mut board = Board::default();
    for corpus in &corpora {
        let mut bare = Bare::new(corpus);
        let mut group = criterion.benchmark_group(&corpus.name);
        group.throughput(Throughput::BytesDecimal(corpus.inflated));
        for (name, judge, way) in rows {
            let mut scratch = Scratch::new(64 << 20);
            let mut row = Row::new(corpus, name);
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|rounds| {
                    let mut work = || row.count(sift_all(corpus, judge, &mut scratch, way));
                    let (base, own) = cpu_time::in_turn(rounds, || bare.libdeflate(), &mut work);
                    row.sample(rounds, base, own);
                    own
                });
            });
            board.add(row);
        }
        let mut row = Row::new(corpus, "zlib-rs, bare, in pieces");
        group.bench_function("zlib-rs, bare, in pieces", |bencher| {
            let stored = &corpus.files;
            bencher.iter_custom(|rounds| {
                let mut work = || stored.iter().for_each(|file| drop(black_box(zlib_rs(file))));
                let (base, own) = cpu_time::in_turn(rounds, || bare.libdeflate(), &mut work);
                row.sample(rounds, base, own);
                own
            });
        });
        board.add(row);
        group.finish();
    }
    criterion.final_summary();
    if is_measured { board.show() } else { Ok(()) }
}

/// Inflating and nothing else.
struct Bare<'a> {
    corpus: &'a Corpus,
    libdeflate: Decompressor,
    room: Vec<u8>,
}

impl<'a> Bare<'a> {
    fn new(corpus: &'a Corpus) -> Self {
        Self { corpus, libdeflate: Decompressor::new(), room: vec![0; corpus.largest] }
    }

    fn libdeflate(&mut self) {
        for file in &self.corpus.files {
            let inflated = self.libdeflate.gzip_decompress(file, &mut self.room);
            black_box(inflated.unwrap_or_else(|error| panic!("the corpus is sound: {error}")));
        }
    }
}

fn zlib_rs(stored: &[u8]) -> Result<u64, Box<dyn Error>> {
    let mut gzip = Decompress::new_gzip(15);
    let mut window = vec![0; 128 << 10];
    for piece in stored.chunks(PIECE) {
        let mut rest = piece;
        while !rest.is_empty() {
            let read = gzip.total_in();
            let status = gzip.decompress(rest, &mut window, FlushDecompress::None)?;
            rest = &rest[usize::try_from(gzip.total_in() - read)?..];
            if status == Status::StreamEnd {
                return Ok(gzip.total_out());
            }
        }
    }
    Err("the stream has no end".into())
}

/// What the files hold. They were sifted before: nothing can be wrong with them.
fn sift_all(corpus: &Corpus, judge: &Judge, scratch: &mut Scratch, way: Way) -> Counts {
    let mut all = Counts::default();
    for file in &corpus.files {
        let counts = sift(file, judge, scratch, way)
            .unwrap_or_else(|error| panic!("the corpus is sound: {error}"));
        all.seen += counts.seen;
        all.selected += counts.selected;
    }
    all
}

fn sift(
    stored: &Bytes,
    judge: &Judge,
    scratch: &mut Scratch,
    way: Way,
) -> Result<Counts, Box<dyn Error>> {
    let mut sifter = Sifter::new(LIMITS, judge.clone());
    match way {
        Way::AtOnce => sifter.feed(stored.clone()),
        Way::Hashed => {
            sifter = sifter.with_sha256();
            sifter.feed(stored.clone());
        }
        Way::InPieces => {
            for from in (0..stored.len()).step_by(PIECE) {
                sifter.feed(stored.slice(from..stored.len().min(from + PIECE)));
                if sifter.run(scratch)? != Progress::NeedInput {
                    return Err("the sifter stopped too early".into());
                }
            }
        }
    }
    sifter.end();
    match sifter.run(scratch)? {
        Progress::Done => drop(black_box(sifter.take())),
        other => return Err(format!("the sifter stopped with {other:?}").into()),
    }
    Ok(sifter.counts())
}
