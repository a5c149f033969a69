//! Selectors, compiled: a tree of the names that are looked at, and what is asked there.

use trailsift_core::RouteSet;

use crate::spec::{Condition, RouteSpec, Value};

/// The only field of which the type matters before any condition does.
pub(crate) const EVENT_SOURCE: &str = "eventSource";

/// What to look for in a record, and what its finds mean. Plain data, built once.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The names that are looked at; the first node is the record itself.
    pub(crate) nodes: Vec<Node>,
    /// Everything that can be found. A reader notes one bit for each.
    pub(crate) finds: Vec<Find>,
    routes: Vec<Route>,
}

/// One name that is looked at, in the place that its parents give.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) children: Vec<usize>,
    /// What can be found at its value (by place in [`Plan::finds`]).
    pub(crate) finds: Vec<usize>,
    /// Whether this is the record's own `eventSource`.
    pub(crate) is_event_source: bool,
}

/// Something that a value may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Find {
    Equal(Vec<Value>),
    Start(Vec<String>),
    End(Vec<String>),
    Any,
}

#[derive(Clone, Debug)]
struct Route {
    number: usize,
    selectors: Vec<Vec<Test>>,
}

/// Holds if the find was made, or if it was not.
#[derive(Clone, Copy, Debug)]
struct Test {
    find: usize,
    wanted: bool,
}

impl Plan {
    /// Compiles those of the routes that are allowed. Their numbers stay.
    pub(crate) fn new(specs: &[RouteSpec], allowed: RouteSet) -> Self {
        let mut plan = Self { nodes: vec![Node::new("")], finds: Vec::new(), routes: Vec::new() };
        for (number, spec) in specs.iter().enumerate() {
            if allowed.contains(number) {
                let selectors = spec.selectors.iter().map(|selector| {
                    let fields = selector.fields.iter();
                    fields.flat_map(|field| plan.tests(&field.path, &field.conditions)).collect()
                });
                let selectors = selectors.collect();
                plan.routes.push(Route { number, selectors });
            }
        }
        plan
    }

    /// The routes that want a record in which these finds were made.
    pub(crate) fn decide(&self, found: &[bool]) -> RouteSet {
        let mut wanted_by = RouteSet::EMPTY;
        for route in &self.routes {
            let holds = |test: &Test| found[test.find] == test.wanted;
            if route.selectors.iter().any(|tests| tests.iter().all(holds)) {
                wanted_by.insert(route.number);
            }
        }
        wanted_by
    }

    fn tests(&mut self, path: &str, conditions: &[Condition]) -> Vec<Test> {
        let node = self.node(path);
        let tests = conditions.iter().map(|condition| {
            let (find, wanted) = match condition.clone() {
                Condition::Equals(values) => (Find::Equal(values), true),
                Condition::NotEquals(values) => (Find::Equal(values), false),
                Condition::StartsWith(values) => (Find::Start(values), true),
                Condition::NotStartsWith(values) => (Find::Start(values), false),
                Condition::EndsWith(values) => (Find::End(values), true),
                Condition::NotEndsWith(values) => (Find::End(values), false),
                Condition::Exists(wanted) => (Find::Any, wanted),
            };
            Test { find: self.find(node, find), wanted }
        });
        tests.collect()
    }

    /// The node of the path, made if it is not there yet.
    fn node(&mut self, path: &str) -> usize {
        let mut at = 0;
        for name in path.split('.') {
            let known = self.nodes[at].children.iter().copied();
            at = match known.into_iter().find(|child| self.nodes[*child].name == name) {
                Some(child) => child,
                None => {
                    let child = self.nodes.len();
                    let is_event_source = at == 0 && name == EVENT_SOURCE;
                    self.nodes.push(Node { is_event_source, ..Node::new(name) });
                    self.nodes[at].children.push(child);
                    child
                }
            };
        }
        at
    }

    /// The find's place; routes that ask the same share it.
    fn find(&mut self, node: usize, find: Find) -> usize {
        let known = self.nodes[node].finds.iter().copied();
        if let Some(place) = known.into_iter().find(|place| self.finds[*place] == find) {
            return place;
        }
        let place = self.finds.len();
        self.finds.push(find);
        self.nodes[node].finds.push(place);
        place
    }
}

impl Node {
    fn new(name: &str) -> Self {
        let name = name.to_owned();
        Self { name, children: Vec::new(), finds: Vec::new(), is_event_source: false }
    }
}
