//! Objects that are larger than a chunk, and read whole all the same.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;
use trailsift_core::{Batch, Limits, Sink, SinkError, StoreError, WriteOutcome};
use trailsift_testkit::StoreFault;

use crate::rig::{BUCKET, Rig, SECOND, gzip, key, notification, selected};

/// A file of records that hardly compress, and what is selected of it.
fn large(records: usize) -> (Vec<u8>, Vec<String>) {
    let mut noise = 1_u64;
    let mut record = |n: usize| {
        let padding: String = (0..100)
            .map(|_| {
                // An xorshift: the same bytes in each run, and nothing for a compressor.
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                format!("{noise:016x}")
            })
            .collect();
        let source = if n.is_multiple_of(7) { "codeguru-reviewer" } else { "s3" };
        format!(
            r#"{{"eventVersion":"1.08","eventSource":"{source}.amazonaws.com","eventID":"{n}","requestParameters":"{padding}"}}"#
        )
    };
    let records: Vec<String> = (0..records).map(&mut record).collect();
    let plain = format!(r#"{{"Records":[{}]}}"#, records.join(","));
    (plain.into_bytes(), records.into_iter().step_by(7).collect())
}

async fn run(mut rig: Rig, stored: Vec<u8>, faults: Vec<StoreFault>) -> Rig {
    let name = key("large");
    rig.store.put(BUCKET, &name, stored);
    for fault in faults {
        rig.store.fault(BUCKET, &name, fault);
    }
    rig.queue.send(notification(&[&name]));
    rig.run_until_empty().await;
    rig
}

#[tokio::test(start_paused = true)]
async fn a_large_file_is_delivered_once_however_its_body_breaks() {
    let (plain, wanted) = large(1500);
    let stored = gzip(&plain);
    assert!(stored.len() > 2 * (512 << 10) && stored.len() < 4 << 20, "{}", stored.len());
    let half = stored.len() / 2;
    let down = || StoreError::Unavailable("503".into());
    for (faults, requests) in [
        (vec![], 1),
        (vec![StoreFault::BreakAfter(half)], 2),
        (vec![StoreFault::EndAfter(half)], 2),
        (vec![StoreFault::StallAfter(half), StoreFault::Error(down())], 3),
        (vec![StoreFault::WrongChecksum], 2),
        (vec![StoreFault::Drip { bytes: 64 << 10, every: Duration::from_secs(8) }], 1),
    ] {
        let what = format!("{faults:?}");
        let rig = run(Rig::new(), stored.to_vec(), faults).await;
        assert_eq!(rig.events(), wanted, "{what}");
        assert!(rig.parked().is_empty(), "{what}");
        assert_eq!(rig.store.requests().len(), requests, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_file_is_delivered_whatever_there_is_room_for() {
    let (plain, wanted) = large(1500);
    let zstd = zstd::encode_all(&plain[..], 1).expect("it compresses");
    // Read whole, or in pieces; with records that leave in parts, or all at the end.
    for memory in [6 << 20, 64 << 20, 1 << 30] {
        for stored in [gzip(&plain).to_vec(), zstd.clone(), plain.clone()] {
            let mut rig = Rig::new();
            rig.settings.memory = memory;
            let rig = run(rig, stored, Vec::new()).await;
            assert_eq!(rig.events(), wanted, "{memory}");
            assert_eq!(rig.store.requests().len(), 1, "{memory}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_large_file_is_parked_and_delivers_nothing() {
    let (plain, _) = large(1500);
    let stored = gzip(&plain);
    let mut changed = stored.to_vec();
    let place = changed.len() / 2;
    changed[place] ^= 1;
    for damaged in [changed, stored[..stored.len() - 5].to_vec()] {
        let rig = run(Rig::new(), damaged, Vec::new()).await;
        assert!(rig.events().is_empty());
        assert_eq!(rig.parked().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_small_file_that_lies_about_its_size_is_judged_as_a_large_one_would_be() {
    // A mebibyte of spaces, in a few KiB.
    let padded = [br#"{"Records":["#.as_slice(), &[b' '; 1 << 20], b"]}"].concat();
    let honest = gzip(&padded);
    assert!(honest.len() < 16 << 10, "{}", honest.len());
    let rig = run(Rig::new(), honest.to_vec(), Vec::new()).await;
    assert!(rig.parked().is_empty());
    let mut lies = honest.to_vec();
    let place = lies.len() - 4;
    lies[place..].copy_from_slice(&100_u32.to_le_bytes());
    let rig = run(Rig::new(), lies, Vec::new()).await;
    assert_eq!(rig.parked().len(), 1);
}

/// Takes its time, and notes how much memory the process has while it does.
#[derive(Debug, Default)]
struct Slow {
    waiting: AtomicUsize,
    most_waiting: AtomicUsize,
    most_memory: AtomicUsize,
}

#[async_trait]
impl Sink for Slow {
    fn name(&self) -> &str {
        "siem"
    }

    fn limits(&self) -> Limits {
        Limits::NONE
    }

    async fn check(&self) -> Result<(), SinkError> {
        Ok(())
    }

    async fn write(&self, _: &Batch) -> Result<WriteOutcome, SinkError> {
        let waiting = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_waiting.fetch_max(waiting, Ordering::SeqCst);
        self.most_memory.fetch_max(resident_memory(), Ordering::SeqCst);
        sleep(3 * SECOND).await;
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        Ok(WriteOutcome::default())
    }
}

/// What the process has in memory, in bytes; nothing where the system does not say.
fn resident_memory() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

#[tokio::test(start_paused = true)]
async fn windows_are_given_up_before_a_sink_takes_its_time() {
    const WORKERS: usize = 16;
    // Each fills the largest window there is, of 8 MiB, and there is room for one.
    let plain = format!(r#"{{"Records":[{}{}]}}"#, selected("1"), " ".repeat(12 << 20));
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("level 1 exists");
    encoder.window_log(23).expect("a window of 8 MiB");
    encoder.write_all(plain.as_bytes()).expect("a Vec takes everything");
    let stored = encoder.finish().expect("a Vec takes everything");
    let mut rig = Rig::new();
    let sink = Arc::new(Slow::default());
    rig.sink_front = Some(Arc::clone(&sink) as _);
    rig.settings.workers = WORKERS;
    for number in 0..WORKERS {
        let name = key(&number.to_string());
        rig.store.put(BUCKET, &name, stored.clone());
        rig.queue.send(notification(&[&name]));
    }
    let before = resident_memory();
    rig.run_until_empty().await;
    assert_eq!(sink.most_waiting.load(Ordering::SeqCst), WORKERS);
    let grown = sink.most_memory.load(Ordering::SeqCst).saturating_sub(before);
    assert!(grown < WORKERS * (8 << 20) / 2, "{} MiB more than before", grown >> 20);
}

#[tokio::test(start_paused = true)]
async fn large_files_whose_bodies_drip_hardly_delay_others() {
    let (plain, _) = large(600);
    let stored = gzip(&plain);
    assert!((512 << 10..1 << 20).contains(&stored.len()), "{}", stored.len());
    let mut rig = Rig::new();
    // Room to read two such files whole.
    rig.settings.memory = 16 << 20;
    let put = |name: String| {
        let name = key(&name);
        rig.store.put(BUCKET, &name, stored.clone());
        rig.queue.send(notification(&[&name]));
        name
    };
    for number in 0..2 {
        let dripping = put(format!("dripping-{number}"));
        let drip = StoreFault::Drip { bytes: 16 << 10, every: 3 * SECOND };
        rig.store.fault(BUCKET, &dripping, drip);
    }
    let running = rig.start();
    // By now they have the room, since their first half MiB has come.
    sleep(100 * SECOND).await;
    (0..40).for_each(|number| drop(put(number.to_string())));
    sleep(20 * SECOND).await;
    assert_eq!(rig.queue.deleted().len(), 40);
    running.stop().await;
}
