use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_config::{Region, SdkConfig};
use aws_sdk_s3::Client;

/// In which region each bucket is asked for, with one client for each region in use.
///
/// S3 may say that a bucket is elsewhere. It is believed only where the configuration mentions that
/// region: an answer must not lead our credentials' signatures to a place that nobody chose.
pub(super) struct Regions {
    /// What every client is made from, less its region. Its credentials are fetched once for all.
    config: SdkConfig,
    make: fn(&SdkConfig) -> Client,
    home: String,
    configured: BTreeMap<String, String>,
    known: BTreeSet<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    learned: HashMap<String, String>,
    clients: HashMap<String, Client>,
}

impl Regions {
    /// `config` holds the home region, `configured` the region of single buckets, and `known`
    /// whatever else the configuration mentions.
    pub(super) fn new(
        config: &SdkConfig,
        configured: BTreeMap<String, String>,
        known: &BTreeSet<String>,
        make: fn(&SdkConfig) -> Client,
    ) -> Self {
        let home = config.region().map(ToString::to_string).unwrap_or_default();
        let known = known.iter().chain(configured.values()).chain([&home]).cloned().collect();
        let config = config.clone();
        Self { config, make, home, configured, known, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the bucket is, as far as is known.
    pub(super) fn of(&self, bucket: &str) -> String {
        let learned = self.state().learned.get(bucket).cloned();
        learned
            .or_else(|| self.configured.get(bucket).cloned())
            .unwrap_or_else(|| self.home.clone())
    }

    /// Whether S3 may be followed from one region to another.
    pub(super) fn allow(&self, from: &str, to: &str) -> bool {
        from != to && self.known.contains(to)
    }

    /// The bucket has answered there. At most one entry for each allowed bucket.
    pub(super) fn learn(&self, bucket: &str, region: &str) {
        self.state().learned.insert(bucket.to_owned(), region.to_owned());
    }

    /// The region's client, made when it is first asked for.
    pub(super) fn client(&self, region: &str) -> Client {
        let mut state = self.state();
        if let Some(client) = state.clients.get(region) {
            return client.clone();
        }
        let there = self.config.to_builder().region(Region::new(region.to_owned())).build();
        let client = (self.make)(&there);
        state.clients.insert(region.to_owned(), client.clone());
        client
    }
}
