//! A value in brackets, 64 bytes at a time.
//!
//! A block becomes a few masks, one bit a byte. Strings are what lies between the quotes that no
//! backslash escapes: a running xor of their bits. The brackets outside are counted, and looked at
//! one by one only where so many close that the value might end, or where a backslash is outside.

use super::nested::{Nested, Scan, Text};

/// How many bytes are looked at together.
pub(super) const BLOCK: usize = 64;

/// What the bytes of a block are. Bit 0 is the first byte's.
pub(super) struct Masks {
    pub(super) quotes: u64,
    pub(super) backslashes: u64,
    /// `{` and `[`.
    pub(super) openers: u64,
    /// `}` and `]`.
    pub(super) closers: u64,
    /// Which of those four are braces. What it says of other bytes does not matter.
    pub(super) braces: u64,
}

/// Reads on in a value that has a bracket open, as far as there are whole blocks. Returns how many
/// bytes are used, and what came of the value: exactly what reading it byte by byte comes to.
///
/// `masks` looks at a block; `running_xor` gives each bit the parity of the bits up to it. They come
/// from a function that may use more of the processor than this one by itself, which must therefore
/// become a part of it.
#[inline(always)]
pub(super) fn scan(
    nested: &mut Nested,
    bytes: &[u8],
    masks: impl Fn(&[u8; BLOCK]) -> Masks,
    running_xor: impl Fn(u64) -> u64,
) -> (usize, Scan) {
    let Nested { mut depth, mut braces, mut has_backslash, .. } = *nested;
    let mut inside = if nested.text == Text::Tokens { 0 } else { u64::MAX };
    let mut is_escaped = nested.text == Text::Escape;
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    for (index, block) in blocks.iter().enumerate() {
        let found = masks(block);
        let mut quotes = found.quotes;
        if found.backslashes != 0 || is_escaped {
            quotes &= !escaped(found.backslashes, &mut is_escaped);
        }
        let strings = running_xor(quotes) ^ inside;
        let openers = found.openers & !strings;
        let closers = found.closers & !strings;
        let strays = found.backslashes & !strings;
        // Of braces, the openers; of the rest, the closers: with all closers taken off, the balance.
        let turned = (openers | closers) & found.braces ^ closers;
        if strays != 0 || u64::from(closers.count_ones()) >= depth {
            let end = last_closer(depth, openers, closers);
            let first = lowest(end | strays);
            if first != 0 {
                let before = index * BLOCK + first.trailing_zeros() as usize;
                if first != end {
                    return (before, Scan::Lost("a backslash outside a string"));
                }
                let upto = first | (first - 1);
                braces += balance(turned & upto, closers & upto);
                if (found.braces & end != 0) != nested.is_object() || braces != 0 {
                    return (before, Scan::Lost("brackets do not match"));
                }
                nested.has_backslash = has_backslash || found.backslashes & upto != 0;
                return (before + 1, Scan::End);
            }
        }
        has_backslash |= found.backslashes != 0;
        depth = depth + u64::from(openers.count_ones()) - u64::from(closers.count_ones());
        braces += balance(turned, closers);
        inside = 0_u64.wrapping_sub(strings >> 63);
    }
    let text = match (is_escaped, inside) {
        (true, _) => Text::Escape,
        (false, 0) => Text::Tokens,
        (false, _) => Text::String,
    };
    *nested = Nested { depth, braces, has_backslash, text, ..*nested };
    (blocks.len() * BLOCK, Scan::More)
}

/// Braces opened less braces closed.
#[inline(always)]
fn balance(turned: u64, closers: u64) -> i64 {
    i64::from(turned.count_ones()) - i64::from(closers.count_ones())
}

/// The characters that a backslash escapes, also one of the last block; and whether the next
/// block's first one is.
///
/// Every backslash that is not itself escaped escapes its neighbour. In a run of them that is every
/// other one from the first on; whether the first is an odd or an even bit, a subtraction carries
/// to the run's end. (After simdjson's `json_escape_scanner`.)
#[inline(always)]
fn escaped(backslashes: u64, is_escaped: &mut bool) -> u64 {
    const ODD: u64 = 0xAAAA_AAAA_AAAA_AAAA;
    let first = u64::from(*is_escaped);
    let runs = backslashes & !first;
    let escapes_and_escaped = ((runs << 1) | ODD).wrapping_sub(runs) ^ ODD;
    *is_escaped = (escapes_and_escaped & backslashes) >> 63 != 0;
    escapes_and_escaped ^ (backslashes | first)
}

/// The closer of the last open bracket, if it is here.
#[inline(always)]
fn last_closer(depth: u64, openers: u64, closers: u64) -> u64 {
    let mut rest = closers;
    let mut closed = 0;
    while rest != 0 {
        let closer = lowest(rest);
        closed += 1;
        if depth + u64::from((openers & (closer - 1)).count_ones()) == closed {
            return closer;
        }
        rest ^= closer;
    }
    0
}

#[inline(always)]
fn lowest(bits: u64) -> u64 {
    bits & bits.wrapping_neg()
}
