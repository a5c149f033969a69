//! The real binary as a user runs it, without LocalStack: its exit codes, its output, and the service
//! against a little AWS of its own.

mod aws;
mod check;
mod doctor;
mod encryption;
mod iam;
mod observed;
mod operating;
mod pages;
mod platform;
mod replay;
mod run;
mod schema;
mod sift;
mod surroundings;

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::thread;

/// Runs trailsift to its end, with `stdin` on its standard input.
fn trailsift<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>, stdin: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trailsift"));
    command.args(args).env_remove("TRAILSIFT_CONFIG").env_remove("RUST_LOG");
    to_its_end(&mut command, stdin)
}

/// Runs a command to its end, with `stdin` on its standard input.
fn to_its_end(command: &mut Command, stdin: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("trailsift starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    thread::scope(|scope| {
        // A process that ends without reading breaks the pipe, which is its right.
        scope.spawn(move || drop(pipe.write_all(stdin)));
        child.wait_with_output().expect("trailsift ends")
    })
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}
