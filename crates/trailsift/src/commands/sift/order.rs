//! Standard output, written file by file in the order of the work however the threads finish.
//!
//! The thread whose file comes next writes at once. The others leave their file's events in a
//! bounded store and go on; when that is full they wait for their turn. This cannot deadlock: jobs
//! are handed out in order, so the file whose turn it is always has a thread, which never waits.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write, stdout};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::progress::Progress;

/// What finished files that wait for their turn may hold, in bytes.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// How many finished files may wait for their turn.
const MAX_WAITING_FILES: usize = 4096;

/// Standard output, shared by all threads.
pub(super) struct Output {
    state: Mutex<State>,
    moved: Condvar,
    progress: Progress,
    /// What is written before anything else, if anything is.
    header: Vec<u8>,
}

#[derive(Default)]
struct State {
    /// The file whose turn it is.
    turn: u64,
    /// Files that are finished before their turn.
    waiting: BTreeMap<u64, Vec<u8>>,
    waiting_bytes: usize,
    has_begun: bool,
    /// Set once; then nothing more is written.
    closed: Option<io::Error>,
}

impl Output {
    pub(super) fn new(progress: Progress, header: Vec<u8>) -> Self {
        Self { state: Mutex::default(), moved: Condvar::new(), progress, header }
    }

    /// The part of the output that belongs to one file.
    pub(super) fn turn(&self, number: u64) -> Turn<'_> {
        Turn { output: self, number, text: Vec::new(), ended: false }
    }

    /// Whether nothing more can be written.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed.is_some()
    }

    /// Whether the reader of standard output closed it.
    pub(super) fn reader_is_gone(&self) -> bool {
        self.lock().closed.as_ref().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    }

    /// Why nothing more can be written.
    pub(super) fn into_error(self) -> Option<io::Error> {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).closed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, state: &mut State, text: &[u8]) {
        if text.is_empty() || state.closed.is_some() {
            return;
        }
        let header = if state.has_begun { &[] } else { self.header.as_slice() };
        state.has_begun = true;
        let result = self.progress.aside(|| {
            let mut out = stdout().lock();
            crate::stdio::standard_output()?;
            out.write_all(header)?;
            out.write_all(text).and_then(|()| out.flush())
        });
        state.closed = result.err();
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.moved.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

/// One file's part of the output. If it is dropped without an end (a panic), what it still holds is
/// lost, but the others go on.
pub(super) struct Turn<'a> {
    output: &'a Output,
    number: u64,
    /// Whole lines that are not yet written.
    pub(super) text: Vec<u8>,
    ended: bool,
}

impl Turn<'_> {
    /// Writes what the file has so far, which takes its turn: for a file with more events than may
    /// be held. Whether more can be written.
    pub(super) fn flush(&mut self) -> bool {
        let mut state = self.output.lock();
        while state.turn != self.number && state.closed.is_none() {
            state = self.output.wait(state);
        }
        self.output.write(&mut state, &self.text);
        self.text.clear();
        state.closed.is_none()
    }

    /// The file is finished: its text is written when its turn comes.
    pub(super) fn end(mut self) {
        self.finish();
    }

    fn finish(&mut self) {
        self.ended = true;
        let text = std::mem::take(&mut self.text);
        let mut state = self.output.lock();
        let is_full = |state: &State| {
            state.waiting_bytes + text.len() > MAX_WAITING_BYTES
                || state.waiting.len() >= MAX_WAITING_FILES
        };
        while state.turn != self.number && is_full(&state) && state.closed.is_none() {
            state = self.output.wait(state);
        }
        if state.turn != self.number {
            state.waiting_bytes += text.len();
            state.waiting.insert(self.number, text);
            return;
        }
        self.output.write(&mut state, &text);
        state.turn += 1;
        loop {
            let turn = state.turn;
            let Some(text) = state.waiting.remove(&turn) else { break };
            state.waiting_bytes -= text.len();
            self.output.write(&mut state, &text);
            state.turn += 1;
        }
        self.output.moved.notify_all();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.text.clear();
            self.finish();
        }
    }
}
