//! How often memory is asked for: a few times a file, never for a record that no route wants.

use std::sync::Arc;

use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use trailsift_route::{RouteSpec, Routes};
use trailsift_testkit::trail::{FileSpec, TrailFile};
use trailsift_trail::{Judge, Progress, Scratch, SiftLimits, Sifter};

const LIMITS: SiftLimits =
    SiftLimits { max_inflated: 1 << 30, max_record: 1 << 20, max_held: 8 << 20 };
/// As pieces come from the network.
const PIECE: usize = 64 << 10;

fn file(records: usize, selected_one_in: u32) -> TrailFile {
    TrailFile::generate(&FileSpec { records, selected_one_in, ..FileSpec::default() })
}

fn judge() -> Judge {
    let routes = Routes::compile(&[RouteSpec::codeguru_reviewer()]).expect("it is right");
    Judge::new(Arc::new(routes))
}

fn at_once(judge: &Judge, scratch: &mut Scratch, stored: &Bytes) -> u64 {
    let mut sifter = Sifter::new(LIMITS, judge.clone());
    sifter.feed(stored.clone());
    sifter.end();
    assert_eq!(sifter.run(scratch), Ok(Progress::Done));
    drop(sifter.take());
    sifter.counts().selected
}

fn in_pieces(judge: &Judge, scratch: &mut Scratch, stored: &Bytes) -> u64 {
    let mut sifter = Sifter::new(LIMITS, judge.clone());
    for from in (0..stored.len()).step_by(PIECE) {
        sifter.feed(stored.slice(from..stored.len().min(from + PIECE)));
        assert_eq!(sifter.run(scratch), Ok(Progress::NeedInput));
    }
    sifter.end();
    assert_eq!(sifter.run(scratch), Ok(Progress::Done));
    drop(sifter.take());
    sifter.counts().selected
}

/// What one more file costs a thread that has sifted such a file before.
fn warm(stored: &Bytes, sift: fn(&Judge, &mut Scratch, &Bytes) -> u64) -> (AllocationInfo, u64) {
    let (judge, mut scratch) = (judge(), Scratch::new(64 << 20));
    sift(&judge, &mut scratch, stored);
    let mut selected = 0;
    (measure(|| selected = sift(&judge, &mut scratch, stored)), selected)
}

#[test]
fn a_file_without_a_match_allocates_the_same_whatever_its_size() {
    for records in [30, 2_000, 8_000] {
        let stored = Bytes::from(file(records, 0).gzip());
        let (whole, selected) = warm(&stored, at_once);
        assert_eq!(selected, 0);
        let (pieces, selected) = warm(&stored, in_pieces);
        assert_eq!(selected, 0);
        println!("{records} records: {whole:?}; in pieces: {pieces:?}");
        assert_eq!(whole.count_total, 3, "{records} records: {whole:?}");
        assert!(whole.bytes_total < 2_000, "{records} records: {whole:?}");
        assert_eq!(pieces.count_total, 7, "{records} records: {pieces:?}");
        assert!(pieces.bytes_total < 256 << 10, "{records} records: {pieces:?}");
        assert_eq!((whole.count_current, pieces.count_current), (0, 0), "nothing is left behind");
    }
}

#[test]
fn only_what_is_selected_allocates_for_a_record() {
    let file = file(8_000, 100);
    let stored = Bytes::from(file.gzip());
    for sift in [at_once, in_pieces] {
        let (info, selected) = warm(&stored, sift);
        assert_eq!(selected, file.selected.len() as u64);
        // Its bytes, what shares them, and a list that grows by doubling.
        assert!(info.count_total <= 2 * selected + 20, "{selected} selected: {info:?}");
    }
}
