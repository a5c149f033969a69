//! One target under libFuzzer, which chooses the inputs by the code that they reach.
//!
//! `cargo xtask fuzz TARGET` builds and starts it; the target's name comes in `TRAILSIFT_FUZZ`.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use trailsift_fuzz::Target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("TRAILSIFT_FUZZ").unwrap_or_default();
    Target::named(&name).unwrap_or_else(|| panic!("TRAILSIFT_FUZZ names no target: {name:?}"))
});

fuzz_target!(|input: &[u8]| (TARGET.check)(input));
