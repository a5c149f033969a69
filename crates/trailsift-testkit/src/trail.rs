//! A seeded generator of what a CloudTrail bucket holds, with its expected answer.
//!
//! [`Fleet`] is a whole bucket: trail files of several accounts and regions under several prefixes,
//! and beside them the digests, Insight files, foreign objects and damaged files that a real one
//! collects. [`TrailFile`] is one file of any size, for tests and benches that need no bucket.
//! [`Patchwork`] makes files that inflate to gigabytes, in moments.
//!
//! The same specification gives the same bytes, whenever and wherever it runs. Every selected
//! record is known by its exact bytes: a test compares, it does not re-parse.

mod calls;
mod digest;
mod file;
mod fleet;
mod identity;
mod key;
mod patchwork;
mod reviewer;

pub use file::{FileSpec, TrailFile};
pub use fleet::{Expected, Fleet, FleetSpec, Nature, TrailObject};
pub use patchwork::{Patch, Patchwork};

/// The event source that the generator's answer selects: trailsift's built-in route.
pub const SELECTED_SOURCE: &str = "codeguru-reviewer.amazonaws.com";

/// 2026-01-15T00:00:00Z, when the first file of every fleet is delivered.
const EPOCH: i64 = 1_768_435_200;

/// `count` letters and digits, as at the end of a trail file's name.
fn alphanumeric(rng: &mut fastrand::Rng, count: usize) -> String {
    std::iter::repeat_with(|| rng.alphanumeric()).take(count).collect()
}

/// `count` capital letters and digits, as in access keys and principal ids.
fn capitals(rng: &mut fastrand::Rng, count: usize) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    std::iter::repeat_with(|| char::from(ALPHABET[rng.usize(..ALPHABET.len())]))
        .take(count)
        .collect()
}

/// A version 4 UUID.
fn uuid(rng: &mut fastrand::Rng) -> String {
    let bits = rng.u128(..) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// One of them, all equally likely.
fn pick<'a, T: ?Sized>(rng: &mut fastrand::Rng, from: &[&'a T]) -> &'a T {
    from[rng.usize(..from.len())]
}

#[cfg(test)]
mod tests;
