use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGaugeVec, Opts, Registry};

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

    /// Shows how each part fares as `trailsift_ready{what}`: 1 where it is well. All are where `/readyz`
    /// says so.
    ///
    /// # Errors
    /// If the registry already has a metric of this name.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let help =
            "1 while this account, or this sink that messages wait for, was reachable lately.";
        let gauge = IntGaugeVec::new(Opts::new("trailsift_ready", help), &["what"])?;
        registry.register(Box::new(Shown { health: self.clone(), gauge }))
    }

    /// How an account fares, from now on: well.
    pub(crate) fn of_account(&self, name: &str) -> AccountHealth {
        self.set(&account_part(name), None);
        AccountHealth { health: self.clone(), name: name.to_owned(), troubles: Mutex::default() }
    }
}

/// What is known of each part, brought up to date whenever somebody looks.
struct Shown {
    health: Health,
    gauge: IntGaugeVec,
}

impl Collector for Shown {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let parts = self.health.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (part, trouble) in parts.iter() {
            self.gauge.with_label_values(&[part]).set(i64::from(trouble.is_none()));
        }
        self.gauge.collect()
    }
}

/// What an account is called among the parts.
pub(crate) fn account_part(name: &str) -> String {
    format!("account {name}")
}

/// How one account fares. Its queue must do two things, and may be able to do only one of them: a
/// queue that hands out messages and deletes none is not well. Nor is an account whose files cannot be
/// read.
#[derive(Debug)]
pub(crate) struct AccountHealth {
    health: Health,
    name: String,
    troubles: Mutex<Troubles>,
}

#[derive(Debug, Default)]
struct Troubles {
    receives: Option<String>,
    deletes: Option<String>,
    reads: Option<String>,
}

impl AccountHealth {
    /// Notes how receiving fares.
    pub(crate) fn receives(&self, trouble: Option<String>) {
        self.note(|troubles| troubles.receives = trouble);
    }

    /// Notes how deleting fares; a change is logged.
    pub(crate) fn deletes(&self, trouble: Option<String>) {
        self.note(|troubles| {
            match (&troubles.deletes, &trouble) {
                (None, Some(error)) => tracing::warn!(
                    account = self.name,
                    %error,
                    "settled messages cannot be deleted: trying on"
                ),
                (Some(_), None) => {
                    tracing::info!(account = self.name, "messages are deleted again");
                }
                _ => {}
            }
            troubles.deletes = trouble;
        });
    }

    /// Notes how reading files fares; a change is logged.
    pub(crate) fn reads(&self, trouble: Option<String>) {
        self.note(|troubles| {
            match (&troubles.reads, &trouble) {
                (None, Some(error)) => tracing::warn!(
                    account = self.name,
                    %error,
                    "files cannot be read: trying on"
                ),
                (Some(_), None) => tracing::info!(account = self.name, "files are read again"),
                _ => {}
            }
            troubles.reads = trouble;
        });
    }

    fn note(&self, change: impl FnOnce(&mut Troubles)) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut troubles);
        let all = [&troubles.receives, &troubles.deletes, &troubles.reads];
        let all: Vec<&str> = all.into_iter().flatten().map(String::as_str).collect();
        // Under the lock, so that the last word is the last one said.
        self.health.set(&account_part(&self.name), (!all.is_empty()).then(|| all.join("; ")));
    }
}
