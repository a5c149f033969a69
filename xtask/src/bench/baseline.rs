use std::time::Duration;

use anyhow::{Context, bail};
use libdeflater::Decompressor;
use rustix::time::{ClockId, clock_gettime};

use super::corpus::Corpus;

/// Long enough for a steady figure.
const LEAST: Duration = Duration::from_millis(300);
const TRIES: usize = 3;

/// How fast libdeflate alone inflates the corpus: MB of inflated bytes per second of CPU. The best
/// of a few tries.
pub(super) fn of(corpus: &Corpus) -> anyhow::Result<f64> {
    let longest = corpus.files.iter().map(|file| file.inflated).max().unwrap_or_default();
    let mut inflated = vec![0; longest];
    let mut decompressor = Decompressor::new();
    let mut best = 0.0_f64;
    for _ in 0..TRIES {
        let (started, mut bytes) = (thread_time()?, 0_u64);
        let used = loop {
            for file in &corpus.files {
                let size = decompressor
                    .gzip_decompress(&file.stored, &mut inflated)
                    .context("libdeflate cannot inflate a generated file")?;
                if size != file.inflated {
                    bail!("{} inflates to {size} bytes, not {}", file.key, file.inflated);
                }
                bytes += size as u64;
            }
            let used = thread_time()?.saturating_sub(started);
            if used >= LEAST {
                break used;
            }
        };
        best = best.max(bytes as f64 / 1e6 / used.as_secs_f64());
    }
    Ok(best)
}

/// CPU time of this thread.
fn thread_time() -> anyhow::Result<Duration> {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Ok(Duration::new(time.tv_sec.try_into()?, time.tv_nsec.try_into()?))
}
