use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use trailsift_core::Disposition;
use trailsift_testkit::conformance::batch;

use super::*;

/// A writer that takes as much of each write as its script says, then everything.
#[derive(Clone, Default)]
struct Pipe {
    written: Arc<Mutex<Vec<u8>>>,
    script: Arc<Mutex<VecDeque<io::Result<usize>>>>,
}

impl Pipe {
    fn scripted(script: impl IntoIterator<Item = io::Result<usize>>) -> Self {
        let pipe = Self::default();
        pipe.script.lock().unwrap().extend(script);
        pipe
    }

    fn text(&self) -> String {
        String::from_utf8(self.written.lock().unwrap().clone()).unwrap()
    }

    fn sink(&self) -> StdoutSink {
        StdoutSink::with_writer("stdout", Box::new(self.clone())).expect("a thread")
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let next = self.script.lock().unwrap().pop_front();
        let count = next.unwrap_or(Ok(bytes.len()))?.min(bytes.len());
        self.written.lock().unwrap().extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn each_event_is_one_line_whatever_breaks_it_holds() {
    let pipe = Pipe::default();
    let outcome = pipe.sink().write(&batch(["{\"a\":1}", "{\r\n\"b\": 2}"])).await;
    assert!(outcome.expect("written").failures.is_empty());
    assert_eq!(pipe.text(), "{\"a\":1}\n{\"b\": 2}\n");
}

#[tokio::test]
async fn a_reader_that_went_away_is_fatal() {
    let pipe = Pipe::scripted([Err(ErrorKind::BrokenPipe.into())]);
    let error = pipe.sink().write(&batch(["1"])).await.expect_err("fatal");
    assert_eq!(error.disposition, Disposition::Fatal);
    assert_eq!(error.to_string(), "the reader of standard output is gone");
}

#[tokio::test]
async fn a_full_or_interrupted_pipe_tears_no_line() {
    let busy = || Err(ErrorKind::WouldBlock.into());
    let pipe = Pipe::scripted([Ok(2), busy(), Err(ErrorKind::Interrupted.into()), Ok(1), busy()]);
    let outcome = pipe.sink().write(&batch(["\"one\"", "\"two\""])).await;
    assert!(outcome.expect("written").failures.is_empty());
    assert_eq!(pipe.text(), "\"one\"\n\"two\"\n");
}

#[tokio::test]
async fn a_fragment_of_a_failed_write_spoils_no_other_line() {
    let failed = || Err(ErrorKind::StorageFull.into());
    let pipe = Pipe::scripted([Ok(3), failed(), failed()]);
    let sink = pipe.sink();
    for _ in 0..2 {
        let error = sink.write(&batch(["\"one\""])).await.expect_err("not written");
        assert_eq!(error.disposition, Disposition::RETRY);
    }
    let again = sink.write(&batch(["\"one\""])).await;
    assert!(again.expect("written").failures.is_empty());
    assert_eq!(pipe.text(), "\"on\n\"one\"\n");
}

#[tokio::test]
async fn a_writer_that_panics_acknowledges_nothing_and_the_next_write_works() {
    struct Panics(bool, Pipe);
    impl Write for Panics {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            assert!(std::mem::replace(&mut self.0, true), "the first write");
            self.1.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let pipe = Pipe::default();
    let sink = StdoutSink::with_writer("stdout", Box::new(Panics(false, pipe.clone())));
    let sink = sink.expect("a thread");
    let error = sink.write(&batch(["1"])).await.expect_err("a panic");
    assert_eq!(error.disposition, Disposition::RETRY);
    assert!(sink.write(&batch(["2"])).await.expect("written").failures.is_empty());
    assert_eq!(pipe.text(), "2\n");
}

#[tokio::test]
async fn concurrent_batches_never_mix() {
    let pipe = Pipe::scripted((0..50).map(|_| Ok(3)));
    let sink = pipe.sink();
    let batches: Vec<Batch> =
        (0..8).map(|worker| batch((0..5).map(move |n| format!("[{worker},{n}]")))).collect();
    let results = futures::future::join_all(batches.iter().map(|batch| sink.write(batch))).await;
    assert!(results.iter().all(Result::is_ok));
    let text = pipe.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 40);
    for group in lines.chunks(5) {
        let worker = &group[0][..2];
        assert!(group.iter().all(|line| line.starts_with(worker)), "{group:?}");
    }
}

#[tokio::test]
async fn a_write_whose_caller_went_before_its_turn_is_left_out() {
    /// Writes only when it is told to.
    struct Held(std::sync::mpsc::Receiver<()>, Pipe);
    impl Write for Held {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(io::Error::other)?;
            self.1.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let pipe = Pipe::default();
    let (go, held) = std::sync::mpsc::sync_channel(10);
    let sink = StdoutSink::with_writer("stdout", Box::new(Held(held, pipe.clone()))).unwrap();
    let (first, second, third) = (batch(["1"]), batch(["2"]), batch(["3"]));
    let mut first = sink.write(&first);
    assert!(futures::poll!(first.as_mut()).is_pending());
    let mut gone = sink.write(&second);
    assert!(futures::poll!(gone.as_mut()).is_pending());
    drop(gone);
    for _ in 0..3 {
        go.send(()).unwrap();
    }
    assert!(first.await.is_ok());
    assert!(sink.write(&third).await.is_ok());
    assert_eq!(pipe.text(), "1\n3\n");
}
