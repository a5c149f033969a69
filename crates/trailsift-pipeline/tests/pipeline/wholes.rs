//! Objects that are larger than a chunk, and read whole all the same.

use std::time::Duration;

use trailsift_core::StoreError;
use trailsift_testkit::StoreFault;

use crate::rig::{BUCKET, Rig, gzip, key, notification};

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
