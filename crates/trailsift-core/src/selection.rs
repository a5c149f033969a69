use std::fmt;

use crate::Reason;

/// A set of routes, by their place in the configuration: at most [`RouteSet::MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RouteSet(u64);

impl RouteSet {
    /// How many routes one configuration can hold.
    pub const MAX: usize = 64;
    /// No route.
    pub const EMPTY: Self = Self(0);

    /// Adds the route with this number.
    ///
    /// # Panics
    /// If `route` is not below [`RouteSet::MAX`]; the configuration refuses more.
    pub fn insert(&mut self, route: usize) {
        assert!(route < Self::MAX, "route {route} does not fit a route set");
        self.0 |= 1 << route;
    }

    /// Whether the route is in the set.
    pub fn contains(self, route: usize) -> bool {
        route < Self::MAX && self.0 & (1 << route) != 0
    }

    /// The routes that are in both sets.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether no route is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The routes in ascending order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..Self::MAX).filter(move |route| self.contains(*route))
    }
}

/// Decides which routes want a record. Pure, total and shared by all sifters of an account.
pub trait Selection: fmt::Debug + Send + Sync {
    /// Byte strings of which every selected record has at least one, written as JSON writes them
    /// unescaped. A record that holds none of them, and no `\u` escape that could spell one, is
    /// filtered without being read further. Empty: every record must be read.
    ///
    /// None of them holds a character that JSON may escape in another way (`"`, `\`, `/`, controls).
    fn literals(&self) -> &[Vec<u8>];

    /// The routes that want this record; the empty set filters it out. `record` is one JSON value
    /// whose brackets and strings balance, nothing more is known of it.
    ///
    /// # Errors
    /// If the record is not well-formed JSON in UTF-8, anywhere, or cannot be decided otherwise: it
    /// is then parked, never filtered.
    fn select(&self, record: &[u8]) -> Result<RouteSet, RecordFault>;

    /// Tells this selection from others, also from those of other processes: where two have the same
    /// digest, `select` answers the same to every record.
    fn digest(&self) -> u64;
}

/// Why a record cannot be read. Its neighbours still can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordFault {
    /// The name of the fault.
    pub reason: Reason,
    /// What exactly is wrong, for a person. May quote the record: escape it before showing it.
    pub detail: String,
}
