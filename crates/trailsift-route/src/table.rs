//! What a record's names and values are looked up in: few keys, asked for much more often than held.

/// A map from byte strings, built once. A string that is none of its keys mostly costs one look at
/// an empty slot.
#[derive(Clone, Debug)]
pub(crate) struct Table<V> {
    /// A power of two of them, more than there are keys.
    slots: Vec<Vec<(Vec<u8>, V)>>,
}

impl<V> Table<V> {
    /// A map of these keys, all different.
    pub(crate) fn new(entries: impl ExactSizeIterator<Item = (Vec<u8>, V)>) -> Self {
        let count = if entries.len() == 0 { 1 } else { (entries.len() * 4).next_power_of_two() };
        let mut slots: Vec<_> = std::iter::repeat_with(Vec::new).take(count).collect();
        for (key, value) in entries {
            let slot = slot(&key, count);
            slots[slot].push((key, value));
        }
        Self { slots }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&V> {
        let slot = &self.slots[slot(key, self.slots.len())];
        slot.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }
}

/// The slot of a key, by its length and three of its bytes: the keys are names of fields and of
/// services, which differ in these. Where they do not, they share a slot.
fn slot(key: &[u8], count: usize) -> usize {
    let ([first, ..], [.., last]) = (key, key) else { return 0 };
    let middle = key[key.len() / 2];
    let length = key.len().to_le_bytes()[0];
    let mixed = u32::from_le_bytes([*first, middle, *last, length]).wrapping_mul(0x9e37_79b1);
    (mixed >> 16) as usize & (count - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_and_nothing_else_is() {
        let keys = ["", "a", "ab", "ba", "abcdef", "abxdef", "axcdef", "eventName", "eventTime"];
        let table =
            Table::new(keys.iter().enumerate().map(|(n, key)| (key.as_bytes().to_vec(), n)));
        for (number, key) in keys.iter().enumerate() {
            assert_eq!(table.get(key.as_bytes()), Some(&number), "{key}");
        }
        for other in ["b", "abcdeg", "eventname", "eventNames", "axcdeg", "\0"] {
            assert_eq!(table.get(other.as_bytes()), None, "{other}");
        }
        assert_eq!(Table::<u8>::new([].into_iter()).get(b"a"), None);
    }
}
