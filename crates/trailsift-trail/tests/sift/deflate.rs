//! Deflate streams made bit by bit, as no encoder makes them: RFC 1951.

/// Bits as deflate packs them: RFC 1951, section 3.1.1.
#[derive(Default)]
pub(crate) struct Bits {
    pub(crate) bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    /// A number, its lowest bit first.
    pub(crate) fn put(&mut self, number: u32, count: u32) {
        for bit in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if number >> bit & 1 == 1 {
                *self.bytes.last_mut().expect("there is one") |= 1 << (self.used % 8);
            }
            self.used += 1;
        }
    }

    /// A Huffman code, its highest bit first.
    pub(crate) fn code(&mut self, code: u32, length: u32) {
        (0..length).rev().for_each(|bit| self.put(code >> bit & 1, 1));
    }
}

/// How many bits each symbol's code has, and the codes that follow from that: RFC 1951, section 3.2.2.
pub(crate) fn codes(lengths: &[u32]) -> Vec<u32> {
    let mut next = 0;
    let mut codes = vec![0; lengths.len()];
    for length in 1..16 {
        next <<= 1;
        for (symbol, _) in lengths.iter().enumerate().filter(|(_, it)| **it == length) {
            codes[symbol] = next;
            next += 1;
        }
    }
    codes
}

/// Header of a last dynamic block whose code lengths are spelt out one by one.
pub(crate) fn dynamic(literals: &[u32], distances: &[u32]) -> Bits {
    // Every length from 0 to 15 has a code of four bits.
    let mut bits = Bits::default();
    bits.put(0b101, 3);
    bits.put(u32::try_from(literals.len() - 257).expect("it is small"), 5);
    bits.put(u32::try_from(distances.len() - 1).expect("it is small"), 5);
    bits.put(15, 4);
    for symbol in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15] {
        bits.put(if symbol < 16 { 4 } else { 0 }, 3);
    }
    for length in literals.iter().chain(distances) {
        bits.code(*length, 4);
    }
    bits
}

/// Code lengths for all bytes of a text, the end of the block and these symbols: a complete code.
pub(crate) fn lengths(count: usize, also: &[usize]) -> Vec<u32> {
    // 128 codes of eight bits and 256 of nine are complete: of those, ASCII gets the short ones.
    let mut lengths = vec![0; count];
    lengths[..128].fill(8);
    let mut left = 256;
    for symbol in [256].iter().chain(also) {
        lengths[*symbol] = 9;
        left -= 1;
    }
    // What is left of the nine-bit codes goes to bytes beyond ASCII, in pairs as codes of eight.
    for (symbol, length) in (128_u32..).zip(&mut lengths[128..256]) {
        let bits = if left >= 2 * (256 - symbol) { 8 } else { 9 };
        let takes = if bits == 8 { 2 } else { 1 };
        if left >= takes {
            *length = bits;
            left -= takes;
        }
    }
    let used: u32 = lengths.iter().filter(|it| **it > 0).map(|it| 512 >> it).sum();
    assert_eq!(used, 512, "the code is complete");
    lengths
}

/// A dynamic block of the text in literals, and then whatever `more` puts before its end.
pub(crate) fn dynamic_text(
    plain: &[u8],
    literals: &[u32],
    distances: &[u32],
    more: impl Fn(&mut Bits),
) -> Vec<u8> {
    let mut bits = dynamic(literals, distances);
    let codes = codes(literals);
    for byte in plain {
        bits.code(codes[usize::from(*byte)], literals[usize::from(*byte)]);
    }
    more(&mut bits);
    bits.code(codes[256], literals[256]);
    bits.bytes
}

/// Four empty fixed blocks: 40 bits, whole bytes.
pub(crate) fn empty_fixed_blocks() -> Vec<u8> {
    let mut bits = Bits::default();
    (0..4).for_each(|_| {
        bits.put(0b010, 3);
        bits.put(0, 7);
    });
    bits.bytes
}

/// A block, not the last, in which the end alone has a code, of one bit.
pub(crate) fn dynamic_header_of_one_end() -> Bits {
    let mut bits = Bits::default();
    bits.put(0b100, 3);
    bits.put(0, 10);
    bits.put(15, 4);
    for symbol in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15] {
        bits.put(if matches!(symbol, 18 | 1 | 0 | 2) { 2 } else { 0 }, 3);
    }
    // In order of the symbols: 0, 1, 2, 18. 256 zeros, a one for the end, and no distance.
    for repeats in [127, 107] {
        bits.code(3, 2);
        bits.put(repeats, 7);
    }
    bits.code(1, 2);
    bits.code(0, 2);
    bits
}

/// The text in a stored block, the last one, whose header begins here.
pub(crate) fn stored_tail(bits: &mut Bits, plain: &[u8]) {
    while !bits.used.is_multiple_of(8) {
        bits.put(0, 1);
    }
    let length = u16::try_from(plain.len()).expect("it is short");
    bits.bytes.extend([length.to_le_bytes(), (!length).to_le_bytes()].concat());
    bits.bytes.extend(plain);
}
