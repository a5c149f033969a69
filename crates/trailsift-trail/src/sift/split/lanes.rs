//! A value read with the vector instructions that the processor has, chosen once.
//!
//! The project's only unsafe code: two calls of what not every processor can do. No pointer is used.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "a call of what not every processor can do is never safe")
)]

use super::nested::{Nested, Scan};

/// What this processor reads values with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lanes(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Byte by byte.
    #[cfg(any(test, not(target_arch = "x86_64")))]
    Bytes,
    /// What every x86-64 has.
    #[cfg(target_arch = "x86_64")]
    Sse2,
    /// What [`x86::has_avx2`] stands for.
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Lanes {
    /// The fastest that this processor has.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn detect() -> Self {
        Self(if x86::has_avx2() { Kind::Avx2 } else { Kind::Sse2 })
    }

    /// The fastest that this processor has.
    #[cfg(not(target_arch = "x86_64"))]
    pub(super) fn detect() -> Self {
        Self(Kind::Bytes)
    }

    /// All that this processor has.
    #[cfg(test)]
    pub(super) fn all() -> Vec<Self> {
        let mut all = vec![Self(Kind::Bytes)];
        #[cfg(target_arch = "x86_64")]
        all.push(Self(Kind::Sse2));
        if !all.contains(&Self::detect()) {
            all.push(Self::detect());
        }
        all
    }

    /// Reads on in a value. Returns how many bytes are used.
    #[inline]
    pub(super) fn scan(self, nested: &mut Nested, bytes: &[u8]) -> (usize, Scan) {
        if !nested.is_in_brackets() {
            return nested.scan_bytes(bytes);
        }
        let (used, scan) = match self.0 {
            #[cfg(any(test, not(target_arch = "x86_64")))]
            Kind::Bytes => (0, Scan::More),
            // SAFETY: every processor of this architecture has SSE2.
            #[cfg(target_arch = "x86_64")]
            Kind::Sse2 => unsafe { x86::sse2(nested, bytes) },
            // SAFETY: `detect` alone makes this value, and only where the processor was found to
            // have all that the function is compiled for.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => unsafe { x86::avx2(nested, bytes) },
        };
        if scan != Scan::More {
            return (used, scan);
        }
        let (more, scan) = nested.scan_bytes(&bytes[used..]);
        (used + more, scan)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::super::blocks::{self, BLOCK, Masks};
    use super::{Nested, Scan};

    /// Whether [`avx2`] may be called. Whatever it is compiled for is asked for here.
    pub(super) fn has_avx2() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("pclmulqdq")
            && is_x86_feature_detected!("popcnt")
    }

    #[target_feature(enable = "avx2,bmi1,pclmulqdq,popcnt")]
    pub(super) fn avx2(nested: &mut Nested, bytes: &[u8]) -> (usize, Scan) {
        blocks::scan(nested, bytes, |block| masks_avx2(block), |bits| running_xor(bits))
    }

    #[target_feature(enable = "sse2")]
    pub(super) fn sse2(nested: &mut Nested, bytes: &[u8]) -> (usize, Scan) {
        let running_xor =
            |bits| [1, 2, 4, 8, 16, 32].iter().fold(bits, |bits: u64, shift| bits ^ bits << shift);
        blocks::scan(nested, bytes, |block| masks_sse2(block), running_xor)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn masks_avx2(block: &[u8; BLOCK]) -> Masks {
        let (words, _) = block.as_chunks().0.as_chunks::<4>();
        let halves: [__m256i; 2] = [0, 1].map(|half| {
            // One load: the compiler sees through it.
            let [a, b, c, d] = words[half].map(i64::from_le_bytes);
            _mm256_set_epi64x(d, c, b, a)
        });
        // A bracket and its brace differ in this bit only.
        let folded = halves.map(|half| _mm256_or_si256(half, _mm256_set1_epi8(0x20)));
        let signs = |halves: [__m256i; 2]| {
            let [low, high] =
                halves.map(|half| u64::from(_mm256_movemask_epi8(half).cast_unsigned()));
            low | high << 32
        };
        let equal = |halves: [__m256i; 2], byte: u8| {
            let byte = _mm256_set1_epi8(byte.cast_signed());
            signs(halves.map(|half| _mm256_cmpeq_epi8(half, byte)))
        };
        Masks {
            quotes: equal(halves, b'"'),
            backslashes: equal(halves, b'\\'),
            openers: equal(folded, b'{'),
            closers: equal(folded, b'}'),
            braces: signs(halves.map(|half| _mm256_slli_epi16::<2>(half))),
        }
    }

    /// A product without carries: every bit reaches all above it.
    #[target_feature(enable = "pclmulqdq")]
    #[inline]
    fn running_xor(bits: u64) -> u64 {
        let bits = _mm_cvtsi64_si128(bits.cast_signed());
        let product = _mm_clmulepi64_si128::<0>(bits, _mm_set1_epi8(-1));
        _mm_cvtsi128_si64(product).cast_unsigned()
    }

    /// As [`masks_avx2`].
    #[target_feature(enable = "sse2")]
    #[inline]
    fn masks_sse2(block: &[u8; BLOCK]) -> Masks {
        let (words, _) = block.as_chunks().0.as_chunks::<2>();
        let quarters: [__m128i; 4] = [0, 1, 2, 3].map(|quarter| {
            let [a, b] = words[quarter].map(i64::from_le_bytes);
            _mm_set_epi64x(b, a)
        });
        let folded = quarters.map(|quarter| _mm_or_si128(quarter, _mm_set1_epi8(0x20)));
        let signs = |quarters: [__m128i; 4]| {
            let [a, b, c, d] =
                quarters.map(|quarter| u64::from(_mm_movemask_epi8(quarter).cast_unsigned()));
            a | b << 16 | c << 32 | d << 48
        };
        let equal = |quarters: [__m128i; 4], byte: u8| {
            let byte = _mm_set1_epi8(byte.cast_signed());
            signs(quarters.map(|quarter| _mm_cmpeq_epi8(quarter, byte)))
        };
        Masks {
            quotes: equal(quarters, b'"'),
            backslashes: equal(quarters, b'\\'),
            openers: equal(folded, b'{'),
            closers: equal(folded, b'}'),
            braces: signs(quarters.map(|quarter| _mm_slli_epi16::<2>(quarter))),
        }
    }
}
