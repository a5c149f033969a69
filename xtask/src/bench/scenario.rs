use clap::builder::PossibleValuesParser;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// How many files, where nothing else is asked for: a second of work or so.
    pub(super) files: usize,
    /// Records in each.
    pub(super) records: usize,
    /// One record in so many is selected; 0 for none.
    pub(super) selected_one_in: u32,
    /// Routes: the one that selects, and others that nothing matches.
    pub(super) routes: usize,
    /// Whether the SHA-256 of every file is kept.
    pub(super) hash_objects: bool,
}

/// Where the requests cost more than the data.
pub(super) const SMALL: Scenario = Scenario {
    name: "small",
    files: 3_000,
    records: 30,
    selected_one_in: 100,
    routes: 1,
    hash_objects: false,
};
const USUAL: Scenario = Scenario { name: "usual", files: 120, records: 2_000, ..SMALL };
const LARGE: Scenario = Scenario { name: "large", files: 32, records: 8_000, ..SMALL };

/// In the order in which they run.
pub(super) const ALL: [Scenario; 8] = [
    SMALL,
    Scenario { name: "small-20-routes", routes: 20, ..SMALL },
    Scenario { name: "small-hashed", hash_objects: true, ..SMALL },
    Scenario { name: "usual-none", selected_one_in: 0, ..USUAL },
    USUAL,
    Scenario { name: "usual-all", files: 40, selected_one_in: 1, ..USUAL },
    LARGE,
    Scenario { name: "large-hashed", hash_objects: true, ..LARGE },
];

pub(super) fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(ALL.map(|scenario| scenario.name))
}
