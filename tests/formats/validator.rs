//! `tests/validators/validate.py`, run on a stream of events.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use bytes::Bytes;
use serde::Deserialize;
use trailsift_route::Format;

/// Those that others define. A raw event is the record, and is compared with it.
pub(crate) const FORMATS: [Format; 4] =
    [Format::Envelope, Format::CloudEvents, Format::Ocsf, Format::Ecs];

/// What is wrong with an event.
#[derive(Debug, Deserialize)]
pub(crate) struct Violation {
    /// Which event, counted from 1.
    pub(crate) line: usize,
    /// Where in it, as a JSON pointer.
    pub(crate) path: String,
    /// What.
    pub(crate) message: String,
}

/// Everything that is wrong with these events of one format.
pub(crate) fn judge(
    format: Format,
    events: impl ExactSizeIterator<Item = Bytes> + Send,
) -> Vec<Violation> {
    let python = std::env::var_os("TRAILSIFT_VALIDATORS").expect(
        "TRAILSIFT_VALIDATORS names a Python with tests/validators/requirements.txt; `cargo xtask test` makes one",
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/validators/validate.py");
    let mut child = Command::new(python)
        .arg(script)
        .arg(format.name())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the validator starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    let count = events.len();
    let output = thread::scope(|scope| {
        scope.spawn(move || {
            for event in events {
                // As line-oriented sinks do: a line break can only stand between tokens.
                let mut line = event.to_vec();
                line.retain(|byte| !matches!(byte, b'\n' | b'\r'));
                line.push(b'\n');
                // A validator that ends early says so by its exit code.
                if pipe.write_all(&line).is_err() {
                    return;
                }
            }
        });
        child.wait_with_output().expect("the validator ends")
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}: {said}", format.name());
    assert!(said.contains(&format!("{count} events")), "{}: {said}", format.name());
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let violations: Vec<Violation> =
        lines.map(|line| serde_json::from_slice(line).expect("a violation")).collect();
    assert_eq!(output.status.code() == Some(0), violations.is_empty(), "{}", format.name());
    violations
}

/// The text at the end of these names, found without reading what stands beside it: half a surrogate pair there is nothing
/// that `serde_json` reads.
pub(crate) fn text_at(event: &[u8], names: &[&str]) -> Option<String> {
    let text = trailsift_event::Json::new(event).at(names)?;
    serde_json::from_slice(text.raw()).ok()
}
