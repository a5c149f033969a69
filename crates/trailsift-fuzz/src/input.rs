//! Choices that depend on the input alone, so that an input is its own replay.

use fastrand::Rng;

/// A source of choices for this input.
pub(crate) fn choices(input: &[u8]) -> Rng {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    Rng::with_seed(input.iter().fold(0xcbf2_9ce4_8422_2325, mix))
}

/// The input in pieces of chosen sizes, none empty.
pub(crate) fn pieces(input: &[u8], mut choices: Rng) -> impl Iterator<Item = &[u8]> {
    let largest = [1, 8, 64, 4096][choices.usize(..4)];
    let mut rest = input;
    std::iter::from_fn(move || {
        let size = choices.usize(1..=largest).min(rest.len());
        let (piece, tail) = rest.split_at(size);
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}
