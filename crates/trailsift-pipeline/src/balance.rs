//! Counts that must balance, counted so that no scrape ever sees them out of balance.

use std::sync::{Arc, PoisonError, RwLock};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, Opts};
use trailsift_trail::Counts;

/// What becomes of objects, records and deliveries.
///
/// Each of the three is a sum and its parts: objects notified = done + skipped + quarantined +
/// retried; records seen = selected + filtered + quarantined; deliveries owed = acknowledged +
/// quarantined + left + lost. A sum and its parts grow in one step as far as whoever collects them
/// can tell, so they are equal in every scrape, and a rule that says so needs no patience.
#[derive(Clone, Debug)]
pub(crate) struct Balance {
    /// Held for reading by whoever counts, for writing by whoever collects: many may count at once,
    /// and what they count never depends on what others have.
    gate: Arc<RwLock<()>>,
    notified: IntCounterVec,
    objects: IntCounterVec,
    records: IntCounterVec,
    deliveries: IntCounterVec,
}

impl Balance {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(name, help), labels)
        };
        Ok(Self {
            gate: Arc::default(),
            notified: counters(
                "trailsift_objects_notified_total",
                "Objects named by notifications, once for each delivery of a notification.",
                &["account"],
            )?,
            objects: counters(
                "trailsift_objects_total",
                "The same objects, by what became of them: done, skipped, quarantined, retried.",
                &["account", "outcome", "reason"],
            )?,
            records: counters(
                "trailsift_records_total",
                "Records of settled objects: seen = selected + filtered + quarantined.",
                &["account", "outcome"],
            )?,
            deliveries: counters(
                "trailsift_deliveries_total",
                "Events owed to a sink, once for each attempt at their object, and what became of \
                 that: owed = acknowledged + quarantined + left + lost.",
                &["sink", "outcome"],
            )?,
        })
    }

    /// Every series of the account that an alert may compare with what it was, from now on.
    pub(crate) fn account(&self, account: &str) {
        self.count_objects(account, "done", "", 0);
        self.count_objects(account, "retried", "", 0);
        self.count_records(account, &Counts::default());
    }

    /// Every series of the sink, from now on.
    pub(crate) fn sink(&self, sink: &str) {
        self.count_delivery(sink, &Delivery::default());
    }

    /// Counts objects together with what became of them.
    pub(crate) fn count_objects(&self, account: &str, outcome: &str, reason: &str, count: u64) {
        let _counting = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        self.notified.with_label_values(&[account]).inc_by(count);
        self.objects.with_label_values(&[account, outcome, reason]).inc_by(count);
    }

    /// Counts the records of a settled object.
    pub(crate) fn count_records(&self, account: &str, counts: &Counts) {
        let _counting = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        for (outcome, count) in [
            ("seen", counts.seen),
            ("selected", counts.selected),
            ("filtered", counts.filtered),
            ("quarantined", counts.quarantined),
        ] {
            self.records.with_label_values(&[account, outcome]).inc_by(count);
        }
    }

    /// Begins to count what becomes of so many events for this sink.
    pub(crate) fn delivery<'a>(&'a self, sink: &'a str, owed: usize) -> Delivering<'a> {
        let delivery = Delivery { owed: owed as u64, ..Delivery::default() };
        Delivering { balance: self, sink, delivery }
    }

    fn count_delivery(&self, sink: &str, delivery: &Delivery) {
        let Delivery { owed, acknowledged, quarantined, lost } = *delivery;
        let _counting = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        for (outcome, count) in [
            ("owed", owed),
            ("acknowledged", acknowledged),
            ("quarantined", quarantined),
            ("lost", lost),
            ("left", owed.saturating_sub(acknowledged + quarantined + lost)),
        ] {
            self.deliveries.with_label_values(&[sink, outcome]).inc_by(count);
        }
    }

    /// What became of objects.
    pub(crate) fn objects(&self) -> &IntCounterVec {
        &self.objects
    }

    /// What became of records.
    pub(crate) fn records(&self) -> &IntCounterVec {
        &self.records
    }

    fn all(&self) -> [&IntCounterVec; 4] {
        [&self.notified, &self.objects, &self.records, &self.deliveries]
    }
}

impl Collector for Balance {
    fn desc(&self) -> Vec<&Desc> {
        self.all().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _nobody_counts = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        self.all().into_iter().flat_map(Collector::collect).collect()
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Delivery {
    owed: u64,
    acknowledged: u64,
    quarantined: u64,
    lost: u64,
}

/// What becomes of the events of one attempt at one sink. Counted when this is dropped, however the
/// attempt ended; what nobody has accounted for by then is left to another one.
#[derive(Debug)]
pub(crate) struct Delivering<'a> {
    balance: &'a Balance,
    sink: &'a str,
    delivery: Delivery,
}

impl Delivering<'_> {
    /// The sink has so many of them, durably; a best-effort sink has taken them over.
    pub(crate) fn acknowledged(&mut self, events: usize) {
        self.delivery.acknowledged += events as u64;
    }

    /// So many are parked, since the sink will never take them.
    pub(crate) fn quarantined(&mut self, events: usize) {
        self.delivery.quarantined += events as u64;
    }

    /// A best-effort sink did not take so many of them, and nobody waits until it does.
    pub(crate) fn lost(&mut self, events: usize) {
        self.delivery.lost += events as u64;
    }
}

impl Drop for Delivering<'_> {
    fn drop(&mut self) {
        self.balance.count_delivery(self.sink, &self.delivery);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, Ordering};

    use prometheus::Registry;

    use super::*;

    /// The values of a family by their last label.
    fn values(registry: &Registry, name: &str) -> BTreeMap<String, u64> {
        let families = registry.gather();
        let family = families.iter().find(|family| family.name() == name).expect("registered");
        let metrics = family.get_metric().iter().map(|metric| {
            let outcome = metric.get_label().iter().find(|pair| pair.name() == "outcome");
            let name = outcome.map_or(String::new(), |pair| pair.value().to_owned());
            (name, format!("{:.0}", metric.get_counter().get_value()))
        });
        metrics.map(|(name, value)| (name, value.parse().expect("a count"))).collect()
    }

    #[test]
    fn what_nobody_accounts_for_is_left_also_where_the_attempt_is_dropped() {
        let (registry, balance) = (Registry::new(), Balance::new().expect("new"));
        registry.register(Box::new(balance.clone())).expect("fresh");
        let mut first = balance.delivery("siem", 10);
        first.acknowledged(4);
        first.quarantined(1);
        drop(first);
        drop(balance.delivery("siem", 3));
        let mut third = balance.delivery("siem", 2);
        third.lost(2);
        drop(third);
        let expected =
            [("acknowledged", 4), ("left", 8), ("lost", 2), ("owed", 15), ("quarantined", 1)];
        let expected = expected.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(values(&registry, "trailsift_deliveries_total"), expected.into());
    }

    #[test]
    fn a_scrape_in_the_middle_of_the_work_sees_a_balance() {
        let (registry, balance) = (Registry::new(), Balance::new().expect("new"));
        registry.register(Box::new(balance.clone())).expect("fresh");
        let (stop, begun) = (AtomicBool::new(false), Barrier::new(2));
        let counting = || {
            let counts =
                Counts { seen: 7, selected: 1, filtered: 4, quarantined: 2, ..Counts::default() };
            balance.count_records("production", &counts);
            begun.wait();
            while !stop.load(Ordering::Relaxed) {
                balance.count_records("production", &counts);
            }
        };
        let looking = || {
            begun.wait();
            let looks: Vec<_> =
                (0..200).map(|_| values(&registry, "trailsift_records_total")).collect();
            stop.store(true, Ordering::Relaxed);
            looks
        };
        let looks = std::thread::scope(|scope| {
            scope.spawn(counting);
            scope.spawn(looking).join().expect("it looks")
        });
        for look in looks {
            let parts = look["selected"] + look["filtered"] + look["quarantined"];
            assert_eq!(look["seen"], parts, "{look:?}");
        }
    }
}
