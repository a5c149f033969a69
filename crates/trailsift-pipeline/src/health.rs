use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Whether every account and every required sink was reachable lately. Shared, cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<String, Option<String>>>>);

impl Health {
    /// Notes how `part` (say `account production` or `sink siem`) fares: `None` is well.
    pub fn set(&self, part: &str, trouble: Option<String>) {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match parts.get_mut(part) {
            Some(known) => *known = trouble,
            None => drop(parts.insert(part.to_owned(), trouble)),
        }
    }

    /// The parts that are in trouble, with the reason. Empty: ready.
    pub fn troubles(&self) -> BTreeMap<String, String> {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().filter_map(|(part, trouble)| Some((part.clone(), trouble.clone()?))).collect()
    }
}
