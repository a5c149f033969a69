//! The short run: every input that once broke a property, every input to begin with, and as many
//! made of them as a few seconds allow. The same inputs every time.
//!
//! `TRAILSIFT_FUZZ_INPUTS=FIRST..END` runs other numbers, or one again.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use trailsift_fuzz::{Mutator, Target, inputs};

/// Which inputs are made, unless the environment says it.
fn numbers(usual: u64) -> Range<u64> {
    let Ok(asked) = std::env::var("TRAILSIFT_FUZZ_INPUTS") else { return 0..usual };
    let (first, end) = asked.split_once("..").expect("FIRST..END");
    first.parse().expect("a number")..end.parse().expect("a number")
}

/// Runs the check; if it fails, says how to do that again.
#[expect(clippy::print_stderr, reason = "a failing test's words")]
fn check(target: &Target, input: &[u8], again: impl FnOnce() -> String) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.check)(input))) {
        eprintln!("\n{}: {}", target.name, again());
        resume_unwind(panic);
    }
}

fn short_run(name: &str, usual: u64) {
    let target = Target::named(name).expect("it is a target");
    for folder in [target.regressions(), target.corpus()] {
        for (file, input) in inputs(&folder).expect("the folder can be read") {
            check(target, &input, || format!("this input is {}", folder.join(file).display()));
        }
    }
    let mutator = Mutator::new(target).expect("there is a corpus and a dictionary");
    for number in numbers(usual) {
        let input = mutator.input(number);
        check(target, &input, || {
            let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{number}"));
            std::fs::write(&kept, &input).expect("the input can be kept");
            format!(
                "this input is {}. Once more:\n    TRAILSIFT_FUZZ_INPUTS={number}..{} cargo test -p \
                 trailsift-fuzz --test short {name}\nTo keep it as a regression test, copy it to {}",
                kept.display(),
                number + 1,
                target.regressions().display(),
            )
        });
    }
}

#[test]
fn sifter_holds_for_thousands_of_objects() {
    short_run("sifter", 8_000);
}

#[test]
fn notification_holds_for_thousands_of_bodies() {
    short_run("notification", 50_000);
}

#[test]
fn object_key_holds_for_thousands_of_keys() {
    short_run("object_key", 20_000);
}

#[test]
fn configuration_holds_for_thousands_of_files() {
    short_run("configuration", 1_000);
}

#[test]
fn selector_holds_for_thousands_of_records() {
    short_run("selector", 10_000);
}

#[test]
fn event_holds_for_thousands_of_records() {
    short_run("event", 20_000);
}

#[test]
fn an_input_is_the_same_every_time_and_differs_from_the_next() {
    let target = Target::named("sifter").expect("it is a target");
    let [one, two] = [(); 2].map(|()| Mutator::new(target).expect("there is a corpus"));
    let made: Vec<_> = (0..100).map(|number| one.input(number)).collect();
    assert!((0..100).map(|number| two.input(number)).eq(made.iter().cloned()));
    let distinct: std::collections::BTreeSet<_> = made.iter().collect();
    assert!(distinct.len() > 90, "{} of 100 are distinct", distinct.len());
}
