//! Selectors, compiled: a tree of the names that are looked at, and what is asked there.

use trailsift_core::RouteSet;

use crate::asked::{Asked, Find};
use crate::bits::Bits;
use crate::spec::{Condition, RouteSpec};
use crate::table::Table;

/// The only field of which the type matters before any condition does.
pub(crate) const EVENT_SOURCE: &str = "eventSource";

/// What to look for in a record, and what its finds mean. Plain data, built once.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The names that are looked at; the first node is the record itself.
    pub(crate) nodes: Vec<Node>,
    /// How many things can be found. A reader notes one bit for each.
    pub(crate) finds: usize,
    selectors: Vec<Selector>,
}

/// One name that is looked at, in the place that its parents give.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// By name: a number among the children, and the child's place in [`Plan::nodes`].
    pub(crate) children: Table<(usize, usize)>,
    pub(crate) children_count: usize,
    pub(crate) asked: Asked,
    /// Whether this is the record's own `eventSource`.
    pub(crate) is_event_source: bool,
}

/// Holds if each of the parts does.
#[derive(Clone, Debug)]
struct Selector {
    route: usize,
    parts: Vec<Part>,
}

/// Holds if of these 64 finds those that are looked at are just the wanted ones.
#[derive(Clone, Copy, Debug)]
struct Part {
    word: usize,
    looked_at: u64,
    wanted: u64,
}

impl Plan {
    /// Compiles those of the routes that are allowed. Their numbers stay.
    pub(crate) fn new(specs: &[RouteSpec], allowed: RouteSet) -> Self {
        let mut draft = Draft { nodes: vec![DraftNode::default()], finds: 0 };
        let mut selectors = Vec::new();
        for (route, spec) in specs.iter().enumerate().filter(|(it, _)| allowed.contains(*it)) {
            for selector in &spec.selectors {
                let mut tests = Vec::new();
                for field in &selector.fields {
                    let node = draft.node(&field.path);
                    let conditions = field.conditions.iter();
                    tests.extend(conditions.map(|condition| draft.test(node, condition)));
                }
                selectors.extend(Selector::new(route, &tests));
            }
        }
        let finds = draft.finds;
        Self { nodes: draft.nodes.into_iter().map(DraftNode::build).collect(), finds, selectors }
    }

    /// The routes that want a record in which these finds were made.
    pub(crate) fn decide(&self, found: &Bits) -> RouteSet {
        let mut wanted_by = RouteSet::EMPTY;
        for selector in &self.selectors {
            let holds = |part: &Part| found.word(part.word) & part.looked_at == part.wanted;
            if selector.parts.iter().all(holds) {
                wanted_by.insert(selector.route);
            }
        }
        wanted_by
    }
}

impl Selector {
    /// The selector of these finds, made or not made; none if it can never hold.
    fn new(route: usize, tests: &[(usize, bool)]) -> Option<Self> {
        let mut parts: Vec<Part> = Vec::new();
        for (find, wanted) in tests {
            let (word, bit) = (find / 64, 1 << (find % 64));
            let known = parts.iter().position(|part| part.word == word);
            let at = known.unwrap_or_else(|| {
                parts.push(Part { word, looked_at: 0, wanted: 0 });
                parts.len() - 1
            });
            let part = &mut parts[at];
            let contradicts = part.looked_at & bit != 0 && (part.wanted & bit != 0) != *wanted;
            if contradicts {
                return None;
            }
            part.looked_at |= bit;
            part.wanted |= if *wanted { bit } else { 0 };
        }
        Some(Self { route, parts })
    }
}

/// The tree while it grows.
struct Draft {
    nodes: Vec<DraftNode>,
    finds: usize,
}

#[derive(Default)]
struct DraftNode {
    name: String,
    is_event_source: bool,
    children: Vec<(String, usize)>,
    finds: Vec<(Find, usize)>,
}

impl Draft {
    /// The node of the path, made if it is not there yet.
    fn node(&mut self, path: &str) -> usize {
        let mut at = 0;
        for name in path.split('.') {
            let known = self.nodes[at].children.iter().find(|(child, _)| child == name);
            at = match known {
                Some((_, child)) => *child,
                None => {
                    let child = self.nodes.len();
                    let is_event_source = at == 0 && name == EVENT_SOURCE;
                    let name = name.to_owned();
                    self.nodes[at].children.push((name.clone(), child));
                    self.nodes.push(DraftNode { name, is_event_source, ..DraftNode::default() });
                    child
                }
            };
        }
        at
    }

    /// What the condition asks for, and whether it is to be found or not to be. Routes that ask the
    /// same share the find.
    fn test(&mut self, node: usize, condition: &Condition) -> (usize, bool) {
        let (find, wanted) = Find::of(condition);
        let finds = &mut self.nodes[node].finds;
        if let Some((_, number)) = finds.iter().find(|(known, _)| *known == find) {
            return (*number, wanted);
        }
        let number = self.finds;
        finds.push((find, number));
        self.finds += 1;
        (number, wanted)
    }
}

impl DraftNode {
    fn build(self) -> Node {
        let Self { name, is_event_source, children, finds } = self;
        let children_count = children.len();
        let children = children.into_iter().enumerate();
        let children = children.map(|(number, (name, place))| (name.into_bytes(), (number, place)));
        let children = Table::new(children);
        Node { name, children, children_count, asked: Asked::new(finds), is_event_source }
    }
}
