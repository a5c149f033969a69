//! The files that are sifted: different ones, so that no branch is learnt by heart.

use std::error::Error;

use bytes::Bytes;
use trailsift_testkit::trail::{FileSpec, TrailFile};

/// Files of one kind.
pub(crate) struct Corpus {
    /// What criterion calls it.
    pub(crate) name: String,
    /// Records of one file.
    pub(crate) records: usize,
    /// As they are stored.
    pub(crate) files: Vec<Bytes>,
    /// Bytes of all of them, inflated.
    pub(crate) inflated: u64,
    /// Bytes of the largest, inflated.
    pub(crate) largest: usize,
}

impl Corpus {
    /// Small, usual and large files of which nothing, one record in a hundred, or everything is
    /// CodeGuru Reviewer's; hardly any of each where nothing is measured.
    pub(crate) fn all(is_measured: bool) -> Result<Vec<Self>, Box<dyn Error>> {
        let sizes = match is_measured {
            true => [("small", 30, 200), ("usual", 2_000, 6), ("large", 8_000, 2)],
            false => [("small", 30, 1), ("usual", 40, 1), ("large", 50, 1)],
        };
        let mut corpora = Vec::new();
        for (size, records, files) in sizes {
            for (selected, selected_one_in) in [("0 %", 0), ("1 %", 100), ("100 %", 1)] {
                let spec = FileSpec { records, selected_one_in, ..FileSpec::default() };
                corpora.push(Self::new(format!("{size}, {selected}"), &spec, files)?);
            }
        }
        Ok(corpora)
    }

    fn new(name: String, spec: &FileSpec, files: u64) -> Result<Self, Box<dyn Error>> {
        let mut corpus =
            Self { name, records: spec.records, files: Vec::new(), inflated: 0, largest: 0 };
        for seed in 1..=files {
            let file = TrailFile::generate(&FileSpec { seed, ..spec.clone() });
            corpus.inflated += u64::try_from(file.json.len())?;
            corpus.largest = corpus.largest.max(file.json.len());
            corpus.files.push(file.gzip().into());
        }
        Ok(corpus)
    }
}
