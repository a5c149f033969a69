//! What a ledger costs: `cargo run --release -p trailsift-ledger --example ledger_speed -- [OBJECTS] [FOLDER]`.
//! 64 workers recall and settle objects of which nothing is selected; then all are pruned.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs, thread};

use rustix::time::{ClockId, clock_gettime};
use tokio::task::JoinSet;
use trailsift_core::{Ledger, LedgerError, ObjectId, Revision, Settlement};
use trailsift_ledger::{FILE_NAME, LedgerSettings, SqliteLedger};

const WORKERS: usize = 64;
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn object(number: usize) -> ObjectId {
    let (account, region, minute) = (number % 40, number / 40 % 8, number / 320);
    ObjectId {
        account: "production".to_owned(),
        bucket: "example-organization-cloudtrail".to_owned(),
        key: format!(
            "AWSLogs/o-exampleorgid/1111222233{account:02}/CloudTrail/us-east-{region}/2026/01/15/\
             1111222233{account:02}_CloudTrail_us-east-{region}_20260115T{minute:04}Z_{number:016x}.json.gz"
        ),
        revision: Revision::Etag(format!("{number:032x}")),
    }
}

fn settlement(number: usize) -> Settlement {
    Settlement {
        etag: Some(format!("{number:032x}")),
        version_id: None,
        sinks: vec!["siem".to_owned(), "archive".to_owned()],
        parked: None,
        inflated: 700_000,
        sha256: None,
        seen: 400,
        selected: 0,
        quarantined: 0,
        first_event: None,
        last_event: None,
        settled_at: SystemTime::now(),
    }
}

/// What the process has used of the processor.
fn cpu() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or(0))
}

/// Lets the workers do it for every object, and prints what one cost.
async fn measure<F>(
    what: &str,
    count: usize,
    each: impl Fn(usize) -> F + Send + Sync + 'static,
) -> Result<(), Box<dyn Error>>
where
    F: Future<Output = Result<(), LedgerError>> + Send,
{
    let (next, each) = (Arc::new(AtomicUsize::new(0)), Arc::new(each));
    let (began, used) = (Instant::now(), cpu());
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let (next, each) = (Arc::clone(&next), Arc::clone(&each));
        workers.spawn(async move {
            let mut longest = Duration::ZERO;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok::<_, LedgerError>(longest);
                }
                let began = Instant::now();
                each(number).await?;
                longest = longest.max(began.elapsed());
            }
        });
    }
    let mut longest = Duration::ZERO;
    while let Some(worker) = workers.join_next().await {
        longest = longest.max(worker??);
    }
    let (took, used) = (began.elapsed().as_secs_f64(), (cpu() - used).as_secs_f64());
    let (rate, micros) = (count as f64 / took, used * 1e6 / count as f64);
    println!(
        "{what:<28} {rate:>9.0}/s  {micros:>6.1} µs of CPU each, the longest took {longest:.1?}"
    );
    Ok(())
}

fn bytes(folder: &Path) -> u64 {
    let length = |name: &str| fs::metadata(folder.join(name)).map_or(0, |metadata| metadata.len());
    length(FILE_NAME) + length(&format!("{FILE_NAME}-wal"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let count: usize = arguments.next().map_or(Ok(200_000), |count| count.parse())?;
    let folder =
        PathBuf::from(arguments.next().unwrap_or_else(|| "target/ledger_speed".to_owned()));
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let ledger = Arc::new(SqliteLedger::open(&folder, LedgerSettings { retention: YEAR })?);

    let shared = Arc::clone(&ledger);
    measure("recall (unknown) and settle", count, move |number| {
        let ledger = Arc::clone(&shared);
        async move {
            ledger.recall(&object(number)).await?;
            ledger.settled(&object(number), &settlement(number)).await
        }
    })
    .await?;
    let per_object = bytes(&folder) / count as u64;
    println!("{:<28} {per_object:>9} bytes of disk each", "");
    let shared = Arc::clone(&ledger);
    measure("recall (settled)", count, move |number| {
        let ledger = Arc::clone(&shared);
        async move { ledger.recall(&object(number)).await.map(drop) }
    })
    .await?;
    let shared = Arc::clone(&ledger);
    measure("settle", count, move |number| {
        let ledger = Arc::clone(&shared);
        async move { ledger.settled(&object(count + number), &settlement(number)).await }
    })
    .await?;
    let shared = Arc::clone(&ledger);
    measure("acknowledge", count, move |number| {
        let ledger = Arc::clone(&shared);
        async move { ledger.acknowledged(&object(number % 1_000), "siem", number as u64).await }
    })
    .await?;
    drop(ledger);
    // Its threads end by themselves; what they still do is not to be counted below.
    let wal = folder.join(format!("{FILE_NAME}-wal"));
    while fs::metadata(&wal).map_or(0, |metadata| metadata.len()) > 0 {
        thread::sleep(Duration::from_millis(10));
    }

    // Everything is too old now, and is pruned while the workers go on.
    let retention = Duration::from_millis(1);
    let ledger = Arc::new(SqliteLedger::open(&folder, LedgerSettings { retention })?);
    measure("settle while pruning", count, move |number| {
        let ledger = Arc::clone(&ledger);
        async move { ledger.settled(&object(2 * count + number), &settlement(number)).await }
    })
    .await?;
    println!("{:<28} {:>9} bytes of disk in all", "", bytes(&folder));
    fs::remove_dir_all(&folder)?;
    Ok(())
}
