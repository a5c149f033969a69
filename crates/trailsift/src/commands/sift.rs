//! `trailsift sift`: events out of files, folders and standard input, without AWS.

mod choice;
mod condition;
mod object;
mod order;
mod progress;
mod summary;
pub(super) mod table;
mod tally;
mod work;

use std::io::{IsTerminal, stdin, stdout};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{available_parallelism, scope};
use std::time::Instant;

use anyhow::Context as _;
use trailsift_route::{Format, Formatter, Routes};
use trailsift_trail::{Judge, SiftLimits};

use super::{Exit, complain, counted, put, say, show_findings};
use crate::cli::{Count, GlobalArgs, SiftArgs};
use crate::config::{self, DEFAULT_PATH, SiftConfig};
use object::Shape;
use order::Output;
use progress::Progress;
use summary::Summary;
use table::{Look, Table};
use tally::Tally;
use work::{Job, Work};

/// What one thread holds of selected events before it must write them, in bytes.
const MAX_HELD: usize = 8 << 20;

/// Sifts everything that is named, on all cores.
pub(super) fn sift(args: &SiftArgs, global: &GlobalArgs) -> anyhow::Result<Exit> {
    let paths = match args.paths.is_empty() {
        false => args.paths.clone(),
        true if stdin().is_terminal() => {
            complain("name files or folders, or pipe a trail file in (see trailsift sift --help)");
            return Ok(Exit::Usage);
        }
        true => vec![PathBuf::from("-")],
    };
    if paths.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
        complain("standard input (-) can be read only once");
        return Ok(Exit::Usage);
    }
    let config = match configuration(global) {
        Ok(config) => config,
        Err(findings) => {
            show_findings(&findings);
            say(&counted(findings.errors(), "error"));
            return Ok(Exit::Usage);
        }
    };
    let mut warnings = Vec::new();
    let chosen = choice::routes(args, &config.routes, &mut warnings)
        .and_then(|routes| Ok((shape(args, &routes, &mut warnings)?, routes)));
    warnings.iter().for_each(|warning| complain(&format!("warning: {warning}")));
    let (shape, routes) = match chosen {
        Ok(chosen) => chosen,
        Err(errors) => {
            errors.iter().for_each(|error| complain(error));
            return Ok(Exit::Usage);
        }
    };
    let sieve = object::Sieve {
        shape,
        judge: Judge::new(Arc::new(routes)),
        multi_member: config.multi_member,
        limits: SiftLimits {
            max_inflated: config.max_inflated.bytes(),
            max_record: usize::try_from(config.max_record.bytes()).unwrap_or(usize::MAX),
            max_held: MAX_HELD,
        },
    };

    let begun = Instant::now();
    let progress = Progress::start(&paths);
    let header = match &sieve.shape {
        Shape::Table(table) => table.header(),
        _ => Vec::new(),
    };
    let output = Output::new(progress.clone(), header);
    let threads = available_parallelism().map_or(1, NonZero::get);
    let work = Work::new(paths);
    let shares: Vec<(Summary, Tally)> = scope(|scope| {
        let run = || work_off(&work, &sieve, object::Desk::new(threads), &output, &progress);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|_| (Summary::crashed(), Tally::default())))
            .collect()
    });
    progress.finish();

    let nothing = (Summary::default(), Tally::default());
    let (summary, tally) =
        shares.into_iter().fold(nothing, |sum, share| (sum.0.plus(share.0), sum.1.plus(share.1)));
    if output.reader_is_gone() {
        // Whoever read the events has seen enough (`| head`): that is no failure.
        return Ok(Exit::Done);
    }
    if let Some(error) = output.into_error() {
        complain(&format!("standard output cannot be written: {error}"));
        return Ok(Exit::Failed);
    }
    if sieve.is_overfull() {
        complain("--count: the field has more different values than can be held; count by another");
        return Ok(Exit::Failed);
    }
    let counts = counts(args, &sieve.shape, summary.selected, &tally);
    if !put(counts.as_bytes()).context("standard output cannot be written")? {
        return Ok(Exit::Done);
    }
    say(&summary.text(begun.elapsed()));
    Ok(if summary.is_clean() { Exit::Done } else { Exit::Failed })
}

/// One thread's share: job after job, until none is left or nobody reads the output any more.
fn work_off(
    work: &Work,
    sieve: &object::Sieve,
    mut desk: object::Desk,
    output: &Output,
    progress: &Progress,
) -> (Summary, Tally) {
    let mut summary = Summary::default();
    while let Some(Job { number, path }) = work.next(&mut summary, progress) {
        let mut turn = output.turn(number);
        sieve.sift(&path, &mut desk, &mut turn, &mut summary, progress);
        turn.end();
        progress.file_done();
        if output.is_closed() || sieve.is_overfull() {
            break;
        }
    }
    (summary, desk.tally)
}

/// What becomes of the events, or what is wrong with the wish.
fn shape(
    args: &SiftArgs,
    routes: &Routes,
    warnings: &mut Vec<String>,
) -> Result<Shape, Vec<String>> {
    Ok(match &args.count {
        Some(Count::All) => Shape::Nothing,
        Some(Count::By(path)) => Shape::Tally(choice::field(path, warnings)?),
        None if is_for_people(args) => Shape::Table(Table::new(Look::of_stdout())),
        None => {
            let format = args.format.unwrap_or(Format::Raw);
            Shape::Lines(Formatter::new(format, routes.names()))
        }
    })
}

/// What was counted, if that was asked for.
fn counts(args: &SiftArgs, shape: &Shape, selected: u64, tally: &Tally) -> String {
    match shape {
        Shape::Nothing if args.json => format!("{{\"count\":{selected}}}\n"),
        Shape::Nothing => format!("{selected}\n"),
        Shape::Tally(field) if is_for_people(args) => tally.table(field, Look::of_stdout()),
        Shape::Tally(field) => tally.lines(field),
        Shape::Lines(_) | Shape::Table(_) => String::new(),
    }
}

/// Whether a person looks at standard output who did not ask for lines.
fn is_for_people(args: &SiftArgs) -> bool {
    stdout().is_terminal() && !args.json && args.format.is_none()
}

/// The named configuration; else the one in the default place, if there is one; else the built-in
/// route.
fn configuration(global: &GlobalArgs) -> Result<SiftConfig, Box<config::Findings>> {
    let named = global.named_config();
    let path = named.as_deref().or(Some(Path::new(DEFAULT_PATH)).filter(|path| path.exists()));
    path.map_or_else(|| Ok(SiftConfig::built_in()), config::load_for_sift)
}
