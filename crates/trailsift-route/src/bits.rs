//! A set of small numbers that costs no allocation while they are below 64.

/// Which of the numbers below a bound are in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bits {
    first: u64,
    /// Those from 64 on, 64 to a word.
    rest: Vec<u64>,
}

impl Bits {
    /// An empty set for numbers below `bound`.
    pub(crate) fn new(bound: usize) -> Self {
        let words = bound.div_ceil(64).saturating_sub(1);
        // `vec!` of nothing is cheap, but not free.
        Self { first: 0, rest: if words == 0 { Vec::new() } else { vec![0; words] } }
    }

    /// Adds the number, and says whether it was new.
    pub(crate) fn insert(&mut self, number: usize) -> bool {
        let word = match number / 64 {
            0 => &mut self.first,
            word => &mut self.rest[word - 1],
        };
        let is_new = *word & (1 << (number % 64)) == 0;
        *word |= 1 << (number % 64);
        is_new
    }

    /// The numbers from `64 * word` on, 64 of them.
    pub(crate) fn word(&self, word: usize) -> u64 {
        if word == 0 { self.first } else { self.rest[word - 1] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_new_once_wherever_it_lies() {
        for bound in [1, 63, 64, 65, 128, 129, 1000] {
            let mut bits = Bits::new(bound);
            let numbers = [0, 1, 62, 63, 64, 65, 127, 128, 999];
            for number in numbers.into_iter().filter(|number| *number < bound) {
                assert_eq!(bits.word(number / 64) >> (number % 64) & 1, 0);
                assert!(bits.insert(number), "{number} of {bound}");
                assert!(!bits.insert(number), "{number} of {bound}");
                assert_eq!(bits.word(number / 64) >> (number % 64) & 1, 1);
            }
        }
    }
}
