use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use trailsift_core::{RecordFault, RouteSet, Selection};

use crate::actor::Values;
use crate::check::{self, RouteError};
use crate::literals;
use crate::plan::Plan;
use crate::reader::Reader;
use crate::spec::RouteSpec;

/// Compiled routes: decides which of them want a record. Cheap to clone, shared by all sifters.
#[derive(Clone)]
pub struct Routes {
    /// All routes of the configuration, also those that are not allowed: their numbers count.
    all: Arc<All>,
    allowed: RouteSet,
    plan: Arc<Plan>,
    literals: Arc<[Vec<u8>]>,
    digest: u64,
}

struct All {
    specs: Vec<RouteSpec>,
    names: Vec<String>,
}

impl Routes {
    /// Compiles the routes; a route's number in a [`RouteSet`] is its place in `specs`.
    ///
    /// # Errors
    /// Everything that is wrong with them, at once.
    pub fn compile(specs: &[RouteSpec]) -> Result<Self, Vec<RouteError>> {
        let errors = check::errors(specs);
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut allowed = RouteSet::EMPTY;
        (0..specs.len()).for_each(|route| allowed.insert(route));
        let names = specs.iter().map(|spec| spec.name.clone()).collect();
        Ok(Self::of(Arc::new(All { specs: specs.to_vec(), names }), allowed))
    }

    /// The names of all routes, by number.
    pub fn names(&self) -> &[String] {
        &self.all.names
    }

    /// The same routes with the same numbers, of which only these (and only those that were allowed
    /// before) can select. Fields that no allowed route looks at are no longer looked at.
    pub fn restricted_to(&self, allowed: RouteSet) -> Self {
        let mut both = RouteSet::EMPTY;
        let common = allowed.iter().filter(|route| self.allowed.contains(*route));
        common.for_each(|route| both.insert(route));
        Self::of(Arc::clone(&self.all), both)
    }

    fn of(all: Arc<All>, allowed: RouteSet) -> Self {
        let plan = Arc::new(Plan::new(&all.specs, allowed));
        let specs = all.specs.iter().enumerate();
        let specs = specs.filter(|(number, _)| allowed.contains(*number)).map(|(_, spec)| spec);
        let literals = literals::required(specs).into();
        let digest = digest(&all.specs, allowed);
        Self { all, allowed, plan, literals, digest }
    }
}

fn digest(specs: &[RouteSpec], allowed: RouteSet) -> u64 {
    let mut hasher = DefaultHasher::new();
    for route in allowed.iter() {
        // The text of the selectors says all of them; the route's name selects nothing.
        let selectors = specs.get(route).map(|spec| &spec.selectors);
        (route, format!("{selectors:?}")).hash(&mut hasher);
    }
    hasher.finish()
}

impl Selection for Routes {
    fn literals(&self) -> &[Vec<u8>] {
        &self.literals
    }

    fn select(&self, record: &[u8]) -> Result<RouteSet, RecordFault> {
        if self.allowed.is_empty() {
            return Ok(RouteSet::EMPTY);
        }
        let mut of_actor = Values::default();
        let found = Reader::read(&self.plan, record, &mut of_actor)?;
        Ok(self.plan.decide(found, &of_actor))
    }

    fn digest(&self) -> u64 {
        self.digest
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let allowed = self.allowed.iter().filter_map(|route| self.all.names.get(route));
        f.debug_tuple("Routes").field(&allowed.collect::<Vec<_>>()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Condition, FieldSpec, SelectorSpec, Value};

    fn route(name: &str, source: &str) -> RouteSpec {
        let conditions = vec![Condition::Equals(vec![Value::String(source.into())])];
        let fields = vec![FieldSpec { path: "eventSource".into(), conditions }];
        RouteSpec { name: name.into(), selectors: vec![SelectorSpec { fields }] }
    }

    fn digest(specs: &[RouteSpec]) -> u64 {
        Routes::compile(specs).expect("routes").digest()
    }

    #[test]
    fn the_digest_tells_what_is_selected_and_not_how_it_is_called() {
        let (a, b) = (route("a", "s3.amazonaws.com"), route("b", "kms.amazonaws.com"));
        let both = digest(&[a.clone(), b.clone()]);
        assert_eq!(both, digest(&[route("renamed", "s3.amazonaws.com"), b.clone()]));
        assert_ne!(both, digest(&[b.clone(), a.clone()]), "numbers count");
        assert_ne!(both, digest(std::slice::from_ref(&a)));
        assert_ne!(both, digest(&[route("a", "s3.amazonaws.co"), b.clone()]));
        let mut first = RouteSet::EMPTY;
        first.insert(0);
        let restricted = Routes::compile(&[a.clone(), b]).expect("routes").restricted_to(first);
        assert_ne!(both, restricted.digest());
        assert_eq!(restricted.digest(), digest(&[a]));
    }
}
