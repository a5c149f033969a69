use trailsift_core::Entry;

/// The entries as JSON Lines: each on a line of its own, ended by a line break.
pub(crate) fn ndjson(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size(entries));
    for entry in entries {
        bytes.extend_from_slice(&entry.line());
        bytes.push(b'\n');
    }
    bytes
}

/// The entries as one JSON array, each exactly as it is.
pub(crate) fn json_array(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size(entries) + 2);
    bytes.push(b'[');
    for (place, entry) in entries.iter().enumerate() {
        if place > 0 {
            bytes.push(b',');
        }
        bytes.extend_from_slice(&entry.data);
    }
    bytes.push(b']');
    bytes
}

/// Room for each entry and one byte after it.
fn size(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| entry.data.len() + 1).sum()
}
