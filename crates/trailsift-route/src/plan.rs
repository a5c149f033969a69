//! Selectors, compiled: a tree of the names that are looked at, and what is asked there.

use trailsift_core::RouteSet;
use trailsift_event::Actor;

use crate::actor::{self, Values};
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
    /// What is asked of the actor's fields, and not of the record itself.
    actor: Vec<(&'static str, Asked)>,
    selectors: Vec<Selector>,
}

/// One name that is looked at, in the place that its parents give.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) children: Table<Child>,
    pub(crate) children_count: usize,
    pub(crate) asked: Asked,
    /// Whether this is the record's own `eventSource`.
    pub(crate) is_event_source: bool,
}

/// A name in an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Child {
    /// Its number among the children.
    pub(crate) number: usize,
    /// Its place in [`Plan::nodes`].
    pub(crate) node: usize,
    /// If an actor is derived from the value.
    pub(crate) of_actor: Option<OfActor>,
}

/// Which of the values this is that an actor is derived from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OfActor {
    /// Its place in [`Actor::PATHS`].
    pub(crate) number: usize,
    /// How many objects it lies in. If in more containers, there are arrays among them: then it is not
    /// where it belongs, and no actor sees it.
    pub(crate) depth: usize,
}

/// Holds if each of the parts does.
#[derive(Clone, Debug)]
struct Selector {
    route: usize,
    parts: Vec<Part>,
    /// The parts that the record does not hold, but the actor behind it: looked at when all others
    /// hold, so that hardly any actor is derived.
    of_actor: Vec<Part>,
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
        let mut draft = Draft::default();
        let mut selectors = Vec::new();
        for (route, spec) in specs.iter().enumerate().filter(|(it, _)| allowed.contains(*it)) {
            for selector in &spec.selectors {
                let (mut tests, mut of_actor) = (Vec::new(), Vec::new());
                for field in &selector.fields {
                    let conditions = field.conditions.iter();
                    if let Some(field) = actor::field(&field.path) {
                        of_actor.extend(conditions.map(|it| draft.test_actor(field, it)));
                    } else {
                        let node = draft.node(&field.path);
                        tests.extend(conditions.map(|it| draft.test(node, it)));
                    }
                }
                selectors.extend(Selector::new(route, &tests, &of_actor));
            }
        }
        if !draft.actor.is_empty() {
            // So a name that decides who the actor is must not be there twice, like any other that
            // decides.
            for (number, path) in Actor::PATHS.iter().enumerate() {
                let node = draft.node(path);
                let depth = path.split('.').count();
                draft.nodes[node].of_actor = Some(OfActor { number, depth });
            }
        }
        let of_actor: Vec<_> = draft.nodes.iter().map(|node| node.of_actor).collect();
        Self {
            nodes: draft.nodes.into_iter().map(|node| node.build(&of_actor)).collect(),
            finds: draft.finds,
            actor: draft.actor.into_iter().map(|(name, it)| (name, Asked::new(it))).collect(),
            selectors,
        }
    }

    /// The routes that want a record in which these finds were made and these values passed over.
    pub(crate) fn decide(&self, mut found: Bits, of_actor: &Values<'_>) -> RouteSet {
        let mut is_derived = false;
        let mut wanted_by = RouteSet::EMPTY;
        for selector in &self.selectors {
            if !hold(&selector.parts, &found) {
                continue;
            }
            if !selector.of_actor.is_empty() {
                if !is_derived {
                    actor::note(&self.actor, of_actor, &mut found);
                    is_derived = true;
                }
                if !hold(&selector.of_actor, &found) {
                    continue;
                }
            }
            wanted_by.insert(selector.route);
        }
        wanted_by
    }
}

fn hold(parts: &[Part], found: &Bits) -> bool {
    parts.iter().all(|part| found.word(part.word) & part.looked_at == part.wanted)
}

/// A find, and whether it is to be made.
type Test = (usize, bool);

impl Selector {
    /// The selector of these finds, in the record and of its actor; none if it can never hold.
    fn new(route: usize, tests: &[Test], of_actor: &[Test]) -> Option<Self> {
        Some(Self { route, parts: Part::all_of(tests)?, of_actor: Part::all_of(of_actor)? })
    }
}

impl Part {
    fn all_of(tests: &[Test]) -> Option<Vec<Self>> {
        let mut parts: Vec<Self> = Vec::new();
        for (find, wanted) in tests {
            let (word, bit) = (find / 64, 1 << (find % 64));
            let known = parts.iter().position(|part| part.word == word);
            let at = known.unwrap_or_else(|| {
                parts.push(Self { word, looked_at: 0, wanted: 0 });
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
        Some(parts)
    }
}

/// The tree while it grows.
struct Draft {
    nodes: Vec<DraftNode>,
    actor: Vec<(&'static str, Vec<(Find, usize)>)>,
    finds: usize,
}

impl Default for Draft {
    fn default() -> Self {
        Self { nodes: vec![DraftNode::default()], actor: Vec::new(), finds: 0 }
    }
}

#[derive(Default)]
struct DraftNode {
    name: String,
    is_event_source: bool,
    of_actor: Option<OfActor>,
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

    /// What the condition asks for at the node, and whether it is to be found or not to be.
    fn test(&mut self, node: usize, condition: &Condition) -> Test {
        test(&mut self.nodes[node].finds, &mut self.finds, condition)
    }

    /// What the condition asks for of the actor's field.
    fn test_actor(&mut self, field: &'static str, condition: &Condition) -> Test {
        let known = self.actor.iter().position(|(known, _)| *known == field);
        let at = known.unwrap_or_else(|| {
            self.actor.push((field, Vec::new()));
            self.actor.len() - 1
        });
        test(&mut self.actor[at].1, &mut self.finds, condition)
    }
}

/// What the condition asks for among the finds of its place. Routes that ask the same share the
/// find; a new one gets the next number.
fn test(finds: &mut Vec<(Find, usize)>, next: &mut usize, condition: &Condition) -> Test {
    let (find, wanted) = Find::of(condition);
    if let Some((_, number)) = finds.iter().find(|(known, _)| *known == find) {
        return (*number, wanted);
    }
    let number = *next;
    finds.push((find, number));
    *next += 1;
    (number, wanted)
}

impl DraftNode {
    /// The node, where `of_actor` says of each what an actor derives from it.
    fn build(self, of_actor: &[Option<OfActor>]) -> Node {
        let Self { name, is_event_source, children, finds, .. } = self;
        let children_count = children.len();
        let children = children.into_iter().enumerate().map(|(number, (name, node))| {
            (name.into_bytes(), Child { number, node, of_actor: of_actor[node] })
        });
        let children = Table::new(children);
        Node { name, children, children_count, asked: Asked::new(finds), is_event_source }
    }
}
