//! Sinks as the service uses them: decorated, against real files, pipes and HTTP servers.

#![expect(clippy::unwrap_used, reason = "a test may panic, and says where")]

mod collector;
mod conformance;
mod http;

use std::sync::Arc;

use bytes::Bytes;
use trailsift_core::{Batch, Entry, SinkError, Source, WriteOutcome};

/// Entries with these texts, all of one file.
fn batch<T: ToString>(texts: impl IntoIterator<Item = T>) -> Batch {
    let source = Arc::new(Source {
        account: "production".into(),
        bucket: "org-trail".into(),
        key: "AWSLogs/1.json.gz".into(),
        version_id: None,
        etag: None,
    });
    let entry = |(index, text): (usize, T)| Entry {
        data: Bytes::from(text.to_string()),
        index: index as u64,
        source: Arc::clone(&source),
    };
    Batch { entries: texts.into_iter().enumerate().map(entry).collect(), more_follows: false }
}

/// The texts that an answer acknowledges.
fn acknowledged(batch: &Batch, answer: &Result<WriteOutcome, SinkError>) -> Vec<String> {
    let Ok(outcome) = answer else { return Vec::new() };
    let failed = |index| outcome.failures.iter().any(|failure| failure.index == index);
    let texts = batch.entries.iter().enumerate().filter(|(index, _)| !failed(*index));
    texts.map(|(_, entry)| String::from_utf8(entry.data.to_vec()).unwrap()).collect()
}
