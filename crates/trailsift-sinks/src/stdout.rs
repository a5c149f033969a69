use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use async_trait::async_trait;
use trailsift_core::{Batch, Limits, Sink, SinkError, WriteOutcome};

use crate::lines::ndjson;
use crate::worker::Worker;

/// Writes JSON Lines to standard output: one uninterrupted, flushed write per batch.
///
/// "Durable" means here that the reader's end of the pipe, or the kernel, has the bytes. A closed
/// pipe is fatal: nothing can be written in this process any more. A reader that stops reading
/// blocks the writer's own thread, never the runtime.
pub struct StdoutSink {
    name: String,
    worker: Worker<Out>,
}

impl fmt::Debug for StdoutSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StdoutSink").field("name", &self.name).finish_non_exhaustive()
    }
}

impl StdoutSink {
    /// The process's standard output.
    ///
    /// # Errors
    /// If the descriptor cannot be duplicated or the writing thread cannot be started.
    pub fn new(name: impl Into<String>) -> io::Result<Self> {
        // The descriptor itself, not `io::stdout()`: its line buffer would hide how much of a
        // failed write got through.
        let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Self::with_writer(name, Box::new(out))
    }

    /// Any writer in place of standard output. It should not buffer.
    ///
    /// # Errors
    /// If the writing thread cannot be started.
    pub fn with_writer(name: impl Into<String>, out: Box<dyn Write + Send>) -> io::Result<Self> {
        let worker = Worker::start(Out { out, broken_line: false })?;
        Ok(Self { name: name.into(), worker })
    }
}

#[async_trait]
impl Sink for StdoutSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn limits(&self) -> Limits {
        Limits::NONE
    }

    async fn check(&self) -> Result<(), SinkError> {
        // A reader that went away is found by writing, and only by writing.
        Ok(())
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        let bytes = ndjson(&batch.entries);
        self.worker.run(move |out| out.write(&bytes)).await??;
        Ok(WriteOutcome::default())
    }
}

struct Out {
    out: Box<dyn Write + Send>,
    /// Whether the last write broke off inside a line. The next one then begins with a line break,
    /// so that the fragment spoils no line but its own.
    broken_line: bool,
}

impl Out {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        let result = if self.broken_line { self.write_all(b"\n") } else { Ok(()) }
            .and_then(|()| self.write_all(bytes))
            .and_then(|()| self.out.flush());
        match result {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                Err(SinkError::fatal("the reader of standard output is gone").because(error))
            }
            Err(error) => Err(SinkError::retry("cannot write to standard output").because(error)),
        }
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.out.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.broken_line = bytes[count - 1] != b'\n';
                    bytes = &bytes[count..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Someone who shares the pipe made it non-blocking. Giving up here would tear a
                // line; this thread may wait.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
