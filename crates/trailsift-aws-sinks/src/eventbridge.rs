//! Events on an event bus.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_smithy_types::DateTime;
use tokio::time::Instant;
use trailsift_aws::{AnswerLimit, Session};
use trailsift_core::{Batch, Entry, Limits, Reason, Sink, SinkError, WriteOutcome};
use trailsift_delivery::{Blame, facts};
use trailsift_event::Event;

use crate::answer::{Verdict, entry_failed, judge, later};
use crate::calls::{AT_ONCE, Answer, Settled, once, pack};
use crate::message::{fits, text};

/// One call takes ten entries (EventBridge API Reference, `PutEvents`).
const MOST: usize = 10;
/// What an entry's time counts for (EventBridge User Guide, "Calculating PutEvents event entry size").
const TIME_BYTES: usize = 14;
const DOING: &str = "cannot put events on the bus";
/// How long it is believed that a bus is there.
const BELIEVED: Duration = Duration::from_secs(10);

/// Which bus, and what the events are called there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventBridgeSettings {
    /// Its name or its ARN.
    pub event_bus: String,
    /// The entries' `Source`, 1 to 256 characters. Those that begin with `aws.` belong to AWS.
    pub source: String,
    /// The entries' `DetailType`, 1 to 128 characters: longer ones are accepted and thrown away.
    pub detail_type: String,
    /// What the entries of one call must have less than together, in bytes.
    pub call_bytes: usize,
}

impl EventBridgeSettings {
    /// "The total entry size must be less than 1MB" (`PutEvents`); 256 KB until 2025.
    pub const CALL_BYTES: usize = 1 << 20;
}

/// Puts each event on a bus: its `Detail` is the event, its `Time` the event's own, it has no
/// resources.
///
/// EventBridge reads the detail: what its targets get has the same value, not the same bytes. It also
/// acknowledges, and throws away, what is put on a bus that does not exist. So nothing is put on a bus
/// that was not seen within the last ten seconds; the account's own bus, `default`, is always there.
#[derive(Debug)]
pub struct EventBridgeSink {
    name: String,
    session: Session,
    client: Client,
    settings: EventBridgeSettings,
    seen: Mutex<Option<Instant>>,
    blame: Blame,
}

impl EventBridgeSink {
    /// Makes no call.
    pub fn new(name: impl Into<String>, session: &Session, settings: EventBridgeSettings) -> Self {
        let client = Client::from_conf(
            aws_sdk_eventbridge::config::Builder::from(&once(session))
                .interceptor(AnswerLimit::USUAL)
                .build(),
        );
        let seen = Mutex::default();
        let blame = Blame::new("what the region takes against max_call, source and detail_type");
        Self { name: name.into(), session: session.clone(), client, settings, seen, blame }
    }

    /// Asks for the bus unless it was seen a moment ago.
    async fn see_bus(&self) -> Result<(), SinkError> {
        // Only by that name: an ARN may have another account in it, or a mistake.
        let is_default = self.settings.event_bus == "default";
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if is_default || seen.is_some_and(|seen| seen.elapsed() < BELIEVED) {
            return Ok(());
        }
        self.ask_for_bus().await
    }

    async fn ask_for_bus(&self) -> Result<(), SinkError> {
        // From before it was asked, so that it errs on the safe side.
        let asked = Instant::now();
        let answer = self.client.describe_event_bus().name(&self.settings.event_bus).send().await;
        if let Err(error) = answer {
            return Err(later("cannot ask for the event bus", &self.session.fault(&error)));
        }
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
        Ok(())
    }

    /// What every entry counts for besides its detail.
    fn overhead(&self) -> usize {
        TIME_BYTES + self.settings.source.len() + self.settings.detail_type.len()
    }

    fn detail_bytes(&self) -> usize {
        self.settings.call_bytes.saturating_sub(1 + self.overhead())
    }

    fn detail<'e>(&self, entry: &'e Entry) -> Result<Detail<'e>, SinkError> {
        let text = text(entry)?;
        fits(text.len(), self.detail_bytes())?;
        if !text.trim_ascii_start().starts_with('{') {
            let message = "the event is no JSON object, and a detail must be one";
            return Err(SinkError::poison(Reason::SinkRejected, message));
        }
        let seconds =
            facts::time(&Event::new(&entry.record)).map(time::OffsetDateTime::unix_timestamp);
        // A time before 1970 is nobody's: not worth having a call refused for it, neighbours and all.
        let seconds = seconds.filter(|seconds| *seconds >= 0);
        Ok(Detail { text, time: seconds.map(DateTime::from_secs) })
    }

    async fn put(&self, part: Vec<usize>, details: &[Option<Detail<'_>>]) -> Answer {
        let EventBridgeSettings { event_bus, source, detail_type, .. } = &self.settings;
        let ready = part.iter().filter_map(|place| details.get(*place)?.as_ref());
        let entries = ready.map(|detail| {
            PutEventsRequestEntry::builder()
                .event_bus_name(event_bus)
                .source(source)
                .detail_type(detail_type)
                .detail(detail.text)
                .set_time(detail.time)
                .build()
        });
        let request = self.client.put_events().set_entries(Some(entries.collect()));
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return Answer::Failed(judge(DOING, &self.session.fault(&error))),
        };
        // The answer names no entry: their order is all there is.
        let (sent, named) = (part.len(), answer.entries().len());
        if sent != named {
            let message = format!("{DOING}: the answer speaks of {named} events instead of {sent}");
            return Answer::Failed(Verdict::Later(SinkError::retry(message)));
        }
        let results = answer.entries().iter().map(|entry| match entry.error_code() {
            None if entry.event_id().is_some_and(|id| !id.is_empty()) => Ok(()),
            code => {
                let message = entry.error_message().unwrap_or_default();
                Err(entry_failed(DOING, code.unwrap_or_default(), message, None))
            }
        });
        Answer::Of(part.into_iter().zip(results).collect())
    }
}

struct Detail<'e> {
    text: &'e str,
    time: Option<DateTime>,
}

#[async_trait]
impl Sink for EventBridgeSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn limits(&self) -> Limits {
        let most = self.detail_bytes();
        Limits { events: 500, bytes: most.saturating_mul(4), entry_bytes: most }
    }

    /// Asks for the bus.
    async fn check(&self) -> Result<(), SinkError> {
        self.ask_for_bus().await?;
        self.blame.check()
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        let mut settled = Settled::undecided(batch.entries.len());
        if batch.entries.is_empty() {
            return Ok(settled.outcome());
        }
        self.see_bus().await?;
        let details = settled.prepare(&batch.entries, |entry| self.detail(entry));
        let sizes = details.iter().enumerate();
        let sizes = sizes
            .filter_map(|(place, it)| Some((place, it.as_ref()?.text.len() + self.overhead())));
        let parts = pack(sizes, MOST, self.settings.call_bytes.saturating_sub(1));
        settled.deliver(parts, AT_ONCE, |part| self.put(part, &details)).await;
        Ok(settled.blaming(&self.blame).outcome())
    }
}
