//! What selectors mean, in one table: each line a name, selectors, a record, and whether they select
//! it. Selectors stand as a configuration has them, but for TOML's punctuation.

mod actors;
mod fields;
mod networks;
mod values;

use std::collections::HashSet;

use crate::common::{compile, route};
use crate::plain::wants;
use trailsift_core::{RouteSet, Selection};

/// Name, selectors, record, whether it is selected.
type Case = (&'static str, &'static str, &'static str, bool);

fn cases() -> impl Iterator<Item = &'static Case> {
    [fields::CASES, values::CASES, networks::CASES, actors::CASES].into_iter().flatten()
}

#[test]
fn selectors_select_what_the_table_says() {
    let mut names = HashSet::new();
    for (name, selectors, record, expected) in cases() {
        assert!(names.insert(name), "{name} is there twice");
        let routes = compile(selectors);
        let selected = routes.select(record.as_bytes()).map(|routes| routes != RouteSet::EMPTY);
        assert_eq!(selected, Ok(*expected), "{name}\n{selectors}\n{record}");
        // A search lets through what is selected, also where it is spelt with escapes.
        let literals = routes.literals();
        let is_read = literals.is_empty()
            || record.contains("\\u")
            || literals.iter().any(|it| memchr::memmem::find(record.as_bytes(), it).is_some());
        assert!(is_read || !expected, "{name}: {literals:?} rejects {record}");
    }
    assert!(names.len() >= 150, "only {} cases", names.len());
}

/// The judge that the generated records are held against is held against the table.
#[test]
fn a_plain_reading_says_what_the_table_says() {
    for (name, selectors, record, expected) in cases() {
        // serde_json takes no lone surrogates and no numbers beyond its own, and -0 for a fraction.
        let Ok(record) = serde_json::from_str(record) else { continue };
        if *name == "minus zero" {
            continue;
        }
        assert_eq!(wants(&route("r", selectors), &record), *expected, "{name}");
    }
}
