//! What an operator applies, `deploy/`, the Dockerfile and the compose file: judged by what others published about each kind of
//! file, and held against the binary that it starts.

mod cloudformation;
mod container;
mod helm;
mod localstack;
mod samples;
mod systemd;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{fs, thread};

use serde_json::Value;

/// The grace that every way to run it must exceed: the default of `service.drain_timeout`.
const DRAIN_SECONDS: u64 = 25;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A Python with tests/deploy/requirements.txt.
fn python() -> OsString {
    std::env::var_os("TRAILSIFT_DEPLOY_TOOLS").expect(
        "TRAILSIFT_DEPLOY_TOOLS names a Python with tests/deploy/requirements.txt; `cargo xtask test` makes one",
    )
}

/// Runs a command to its end, with `stdin` on its standard input.
fn run(command: &mut Command, stdin: &[u8]) -> Output {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut pipe = child.stdin.take().expect("a pipe");
    thread::scope(|scope| {
        // A process that ends without reading breaks the pipe, which is its right.
        scope.spawn(move || drop(pipe.write_all(stdin)));
        child.wait_with_output().expect("it ends")
    })
}

/// A program of the tools' Python.
fn tool(name: &str, arguments: &[&OsStr], stdin: &[u8]) -> Output {
    run(Command::new(Path::new(&python()).with_file_name(name)).args(arguments), stdin)
}

/// tools.py, which must succeed.
fn tools<S: AsRef<OsStr>>(arguments: &[S], stdin: &[u8]) -> String {
    let output = helped(arguments, stdin);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

/// tools.py, whatever it says.
fn helped<S: AsRef<OsStr>>(arguments: &[S], stdin: &[u8]) -> Output {
    let mut command = Command::new(python());
    command.arg(root().join("tests/deploy/tools.py")).args(arguments);
    run(command.env("PYTHONDONTWRITEBYTECODE", "1"), stdin)
}

/// The lines of JSON that tools.py writes.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

/// `trailsift check` of the configuration at this path, with a value in every environment variable that its text names.
fn check(path: &Path, config: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trailsift"));
    command.arg("check").env("TRAILSIFT_CONFIG", path);
    for after in config.split("env = \"").skip(1) {
        command.env(after.split('"').next().expect("a name"), "placeholder");
    }
    run(&mut command, b"")
}
