//! What a record says about itself that objects are sorted and searched by.

use std::borrow::Cow;

use time::OffsetDateTime;
use trailsift_core::Entry;
use trailsift_delivery::facts;
use trailsift_event::{Actor, Event, Outcome};

/// An entry and what its record says. What is not there, or is no value of AWS's, is `None`.
#[derive(Debug)]
pub(super) struct Row<'e> {
    pub(super) entry: &'e Entry,
    /// When it was, in UTC.
    pub(super) time: Option<OffsetDateTime>,
    pub(super) event_id: Option<Cow<'e, str>>,
    pub(super) event_source: Option<Cow<'e, str>>,
    pub(super) event_name: Option<Cow<'e, str>>,
    /// `awsRegion`.
    pub(super) region: Option<Cow<'e, str>>,
    /// `recipientAccountId`.
    pub(super) account: Option<Cow<'e, str>>,
    /// The account that it belongs to.
    pub(super) owner: Cow<'e, str>,
    pub(super) actor: Actor<'e>,
    pub(super) source_ip: Option<Cow<'e, str>>,
    pub(super) user_agent: Option<Cow<'e, str>>,
    pub(super) error_code: Option<Cow<'e, str>>,
    pub(super) read_only: Option<bool>,
}

impl<'e> Row<'e> {
    /// Reads an entry's record; total.
    pub(super) fn of(entry: &'e Entry) -> Self {
        let event = Event::new(&entry.record);
        let error_code = match event.outcome() {
            Outcome::Failure { code, .. } => code,
            Outcome::Success => None,
        };
        Self {
            entry,
            time: facts::time(&event),
            event_id: event.text("eventID"),
            event_source: event.text("eventSource"),
            event_name: event.text("eventName"),
            region: facts::region(&event),
            account: facts::account(&event),
            owner: facts::owner(entry, &event),
            actor: event.actor(),
            source_ip: event.text("sourceIPAddress"),
            user_agent: event.text("userAgent"),
            error_code,
            read_only: event.get("readOnly").and_then(|value| value.flag_or_word()),
        }
    }
}
