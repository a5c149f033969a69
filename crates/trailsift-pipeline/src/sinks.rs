//! What is asked of all sinks together, apart from writes.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, sleep, timeout_at};
use trailsift_core::Sink;

use crate::dispatcher::Dispatcher;

/// How often sinks are told to wait for no company once no more is to come.
const HURRY: Duration = Duration::from_millis(100);

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

/// Closes them all.
pub(crate) async fn close(dispatcher: &Dispatcher, by: Instant) {
    let closing = join_all(all(dispatcher).map(|sink| sink.close()));
    if timeout_at(by, closing).await.is_err() {
        tracing::warn!("a sink could not be closed in time: best-effort events may be lost");
    }
}
