//! What is asked of all sinks together, apart from writes.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use trailsift_core::{Sink, chain};

use crate::dispatcher::Dispatcher;
use crate::health::Health;

/// How often sinks are told to wait for no company once no more is to come.
const HURRY: Duration = Duration::from_millis(100);
/// How often each required sink is asked whether it is well. Decides readiness alone.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// And the least time between two looks, however often a sink turns.
const CHECK_PAUSE: Duration = Duration::from_secs(1);

/// The outlets' and the quarantine's, which may be one of them.
fn all(dispatcher: &Dispatcher) -> impl Iterator<Item = &Arc<dyn Sink>> {
    let outlets = dispatcher.outlets().map(|outlet| &outlet.sink);
    outlets.chain(dispatcher.quarantine.as_sink())
}

/// What waits for company in a sink goes now.
pub(crate) fn hurry(dispatcher: &Dispatcher) {
    all(dispatcher).for_each(|sink| sink.hurry());
}

/// The same for as long as this runs: whoever still works will bring its events alone. Never returns.
pub(crate) async fn hurry_on(dispatcher: &Dispatcher) {
    loop {
        hurry(dispatcher);
        sleep(HURRY).await;
    }
}

/// The sinks that a message may have to wait for, each once: the required ones, and the quarantine's.
pub(crate) fn watched(dispatcher: &Dispatcher) -> Vec<Arc<dyn Sink>> {
    let required = dispatcher.outlets().filter(|outlet| outlet.required);
    let mut sinks: Vec<_> = required.map(|outlet| Arc::clone(&outlet.sink)).collect();
    let quarantine = dispatcher.quarantine.as_sink();
    sinks.extend(quarantine.filter(|it| sinks.iter().all(|s| s.name() != it.name())).cloned());
    sinks
}

/// Keeps the sink's part of the health. Never returns.
pub(crate) async fn watch(sink: Arc<dyn Sink>, health: Health) {
    let part = format!("sink {}", sink.name());
    health.set(&part, Some("not checked yet".into()));
    let mut was_ill = false;
    loop {
        let trouble = match timeout(CHECK_INTERVAL, sink.check()).await {
            Ok(checked) => checked.err().map(|error| chain(&error)),
            Err(_) => Some("the check does not end".into()),
        };
        match (&trouble, was_ill) {
            (Some(error), false) => tracing::warn!(sink = sink.name(), %error, "sink not ready"),
            (None, true) => tracing::info!(sink = sink.name(), "sink ready again"),
            _ => {}
        }
        was_ill = trouble.is_some();
        health.set(&part, trouble);
        sleep(CHECK_PAUSE).await;
        // Cancel safety: a turn that is not waited for is seen by the check.
        drop(timeout(CHECK_INTERVAL - CHECK_PAUSE, sink.turned()).await);
    }
}

/// Closes them all.
pub(crate) async fn close(dispatcher: &Dispatcher, by: Instant) {
    let closing = join_all(all(dispatcher).map(|sink| sink.close()));
    if timeout_at(by, closing).await.is_err() {
        tracing::warn!("a sink could not be closed in time: best-effort events may be lost");
    }
}
