//! The real pipeline on paused time with seeded faults at every port: whatever happens, the oracle
//! checks the delivery rules D1 to D7 and D9. What it does and how to replay it is in README.md.

mod bugs;
mod dice;
mod history;
mod oracle;
mod port;
mod replica;
mod script;
mod setup;
mod weather;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bugs::Bug;
use oracle::{Broken, Verdict};
use setup::Play;
use world::World;

/// How many seeds every test run lives through.
const SEEDS: u64 = 5_000;
/// The seeds that `cargo xtask simulate` asks for: the first one, and how many.
const ASKED: &str = "TRAILSIFT_SIMULATE";

/// What came of a world.
struct Lived {
    result: Result<Verdict, Broken>,
    /// Everything that happened, as text.
    history: String,
}

/// Lives one world to its end, and judges it.
fn live(seed: u64, play: Play, bug: Option<Bug>, with_history: bool) -> Lived {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    // For whatever draws from this thread's generator: waits with jitter.
    fastrand::seed(seed);
    runtime.block_on(async {
        let mut world = World::new(seed, play, bug);
        let lived = world.live().await;
        // What the history shows comes first: it tells more than the clock does.
        let judged = oracle::judge(world.history(), world.setup(), lived.err());
        let with_history = with_history || judged.is_err();
        let told = || format!("{:#?}\n{}", world.setup(), world.history().tell());
        Lived { history: if with_history { told() } else { String::new() }, result: judged }
    })
}

/// After how many failed seeds nobody needs another.
const ENOUGH: usize = 10;

/// Lives every seed, on as many threads as there are cores, and sums up.
///
/// # Panics
/// If seeds break a rule: which, how to replay them, and where their histories are.
fn live_all(from: u64, count: u64, progress: impl Fn(u64) + Sync) -> Verdict {
    let (next, lived) = (AtomicU64::new(from), AtomicU64::new(0));
    let all = Mutex::new((Verdict::default(), BTreeMap::new()));
    let lock = || all.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from + count || lock().1.len() >= ENOUGH {
                return;
            }
            let living = || live(seed, Play::of(seed), None, false);
            match catch_unwind(AssertUnwindSafe(living)) {
                Ok(Lived { result: Ok(verdict), .. }) => lock().0 += verdict,
                Ok(Lived { result: Err(broken), history }) => {
                    let kept = keep(seed, &broken, &history);
                    lock().1.insert(seed, format!("{broken}\n  its history: {kept}"));
                }
                Err(_) => drop(lock().1.insert(seed, "it panicked, see above".to_owned())),
            }
            progress(lived.fetch_add(1, Ordering::Relaxed) + 1);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let (verdict, failed) = std::mem::take(&mut *lock());
    let told = failed.iter().map(|(seed, trouble)| {
        let play = Play::of(*seed);
        format!(
            "seed {seed} ({play:?}): {trouble}\n  \
             to replay it: cargo xtask simulate --seeds 1 --from {seed}\n"
        )
    });
    let told: String = told.collect();
    assert!(failed.is_empty(), "these seeds break a rule:\n{told}");
    verdict
}

/// Writes the history of a failed world down. Returns where.
fn keep(seed: u64, broken: &Broken, history: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("simulation-{seed}.txt"));
    let text = format!("seed {seed}: {broken}\n\n{history}");
    match std::fs::write(&path, text) {
        Ok(()) => path.display().to_string(),
        Err(error) => format!("could not be written to {}: {error}", path.display()),
    }
}

#[test]
fn whatever_happens_the_delivery_rules_hold() {
    let all = live_all(0, SEEDS, |_| {});
    // The faults were real ones, and yet most of the work got done.
    assert!(all.delivered > 10 * all.worlds && all.parked > all.worlds, "{all:?}");
    assert!(all.twice > all.worlds / 2 && all.twice < all.delivered, "{all:?}");
    assert!(all.crashes > all.worlds / 2 && all.redelivered > all.worlds, "{all:?}");
    assert!(all.spared > all.worlds && all.dead_lettered > 0, "{all:?}");
    assert!(all.deleted > all.sent * 9 / 10, "{all:?}");
}

/// Lives the seeds that `cargo xtask simulate` asks for; without being asked, none.
#[test]
fn the_seeds_that_are_asked_for() {
    let Ok(asked) = std::env::var(ASKED) else { return };
    let (from, count) = asked
        .split_once('+')
        .and_then(|(from, count)| Some((from.parse().ok()?, count.parse().ok()?)))
        .unwrap_or_else(|| panic!("{ASKED} is FROM+COUNT, not {asked}"));
    let all = live_all(from, count, |lived| println!("lived {lived}"));
    if count == 1 {
        println!("{}", live(from, Play::of(from), None, true).history);
    }
    println!("{all}");
}

#[test]
fn a_seed_decides_everything() {
    for seed in 0..40 {
        let tell = || live(seed, Play::of(seed), None, true).history;
        let (once, again) = (tell(), tell());
        let differ = once.lines().zip(again.lines()).position(|(a, b)| a != b);
        if let Some(line) = differ {
            let at = |history: &str| history.lines().nth(line).unwrap_or_default().to_owned();
            panic!("seed {seed}, line {line}:\n{}\n{}", at(&once), at(&again));
        }
        assert_eq!(once.len(), again.len(), "seed {seed}");
    }
}

/// In how many seeds of each play a planted bug must be noticed. A stop may come before it matters, so
/// that one seed does not tell.
const FEW: u64 = 20;

/// Plants the bug into a few worlds of each play. In one of them the oracle must say that this rule is
/// broken, in these words.
#[track_caller]
fn notices(bug: Bug, plays: &[Play], rule: &str, words: &str) {
    for play in plays {
        let mut told = Vec::new();
        let noticed = (0..FEW).any(|seed| {
            let Err(broken) = live(seed, *play, Some(bug), false).result else { return false };
            told.push(broken.to_string());
            broken.0.iter().any(|breach| breach.rule == rule && breach.what.contains(words))
        });
        assert!(noticed, "{bug:?}, {play:?}: {told:#?}");
    }
}

#[test]
fn the_oracle_notices_a_message_deleted_before_it_is_settled() {
    notices(Bug::DeletesAtReceive, &Play::ALL, "D1", "was deleted");
}

#[test]
fn the_oracle_notices_a_failed_write_that_counts_as_delivered() {
    notices(Bug::DropMeansDelivered, &[Play::Storm], "D1", "is lost");
    // Even before the message is deleted: it is in the ledger.
    notices(Bug::DropMeansDelivered, &[Play::Storm, Play::Stop], "D5", "and it has not");
}

#[test]
fn the_oracle_notices_acknowledgements_without_storing() {
    notices(Bug::SinkForgets, &Play::ALL, "D5", "siem has record");
    notices(Bug::QuarantineForgets, &[Play::Storm], "D1", "parked");
}

#[test]
fn the_oracle_notices_events_that_no_file_holds() {
    notices(Bug::Alters, &Play::ALL, "D2", "is in no file");
    notices(Bug::Misplaces, &Play::ALL, "D2", "is in no file");
}

#[test]
fn the_oracle_notices_stale_receipts() {
    notices(Bug::UsesStaleReceipts, &[Play::Storm, Play::Crashes], "D3", "the newest receipt");
}

#[test]
fn the_oracle_notices_more_messages_than_workers() {
    notices(Bug::ReceivesTooMany, &Play::ALL, "D4", "asks for 10 messages");
}

#[test]
fn the_oracle_notices_duplicates_that_no_fault_explains() {
    notices(Bug::Repeats, &[Play::Calm], "D5", "without a fault");
    notices(Bug::LedgerForgets, &Play::ALL, "D5", "which its ledger knows");
    notices(Bug::NotesNothing, &Play::ALL, "D5", "is not noted");
}

#[test]
fn the_oracle_notices_what_is_remembered_and_never_happened() {
    notices(Bug::LedgerRemembersTooMuch, &Play::ALL, "D1", "is lost");
    notices(Bug::NotesTooEarly, &Play::ALL, "D5", "and it has not");
}

#[test]
fn the_oracle_notices_a_backlog_that_does_not_drain() {
    notices(Bug::DeletesNothing, &[Play::Storm, Play::Crashes], "D7", "does not drain");
    notices(Bug::DeletesNothing, &[Play::Stuck], "D7", "holds up");
}
