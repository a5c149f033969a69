#![doc = include_str!("../README.md")]

mod configuration;
mod event;
mod input;
mod json;
mod mutator;
mod notification;
mod object_key;
mod selector;
mod sifter;

use std::path::PathBuf;

pub use mutator::{Mutator, inputs};

/// One way in for untrusted bytes, and all that must hold of any of them.
#[derive(Debug)]
pub struct Target {
    /// Its name: of the folders of its inputs, and for `cargo xtask fuzz`.
    pub name: &'static str,
    /// Panics if a property does not hold of this input. Depends on nothing else.
    pub check: fn(&[u8]),
}

/// Every target.
pub const TARGETS: [Target; 6] = [
    Target { name: "sifter", check: sifter::check },
    Target { name: "notification", check: notification::check },
    Target { name: "object_key", check: object_key::check },
    Target { name: "configuration", check: configuration::check },
    Target { name: "selector", check: selector::check },
    Target { name: "event", check: event::check },
];

impl Target {
    /// The target of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// The folder of the inputs to begin with.
    pub fn corpus(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(self.name)
    }

    /// The folder of the inputs that once broke a property.
    pub fn regressions(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("regressions").join(self.name)
    }

    /// The words of its language, in libFuzzer's form: a file of quoted lines.
    pub fn dictionary(&self) -> PathBuf {
        self.corpus().with_extension("dict")
    }
}
