//! What a record says about itself that objects are sorted and searched by.

use std::borrow::Cow;

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};
use trailsift_core::Entry;
use trailsift_event::{Actor, Event, Outcome};

/// An entry and what its record says. What is not there, or is no value of AWS's, is `None`.
#[derive(Debug)]
pub(super) struct Row<'e> {
    pub(super) entry: &'e Entry,
    /// `eventTime`, in UTC.
    pub(super) time: Option<OffsetDateTime>,
    pub(super) event_id: Option<Cow<'e, str>>,
    pub(super) event_source: Option<Cow<'e, str>>,
    pub(super) event_name: Option<Cow<'e, str>>,
    /// `awsRegion`.
    pub(super) region: Option<Cow<'e, str>>,
    /// `recipientAccountId`.
    pub(super) account: Option<Cow<'e, str>>,
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
        let time = event.text("eventTime");
        let time = time.and_then(|time| OffsetDateTime::parse(&time, &Rfc3339).ok());
        let error_code = match event.outcome() {
            Outcome::Failure { code, .. } => code,
            Outcome::Success => None,
        };
        Self {
            entry,
            time: time.and_then(|time| time.checked_to_offset(UtcOffset::UTC)),
            event_id: event.text("eventID"),
            event_source: event.text("eventSource"),
            event_name: event.text("eventName"),
            region: event.text("awsRegion"),
            account: event.text("recipientAccountId"),
            actor: event.actor(),
            source_ip: event.text("sourceIPAddress"),
            user_agent: event.text("userAgent"),
            error_code,
            read_only: event.get("readOnly").and_then(|value| value.flag_or_word()),
        }
    }

    /// The account that it belongs to: the record's own word, or else the configured account in whose
    /// files it stands.
    pub(super) fn owner(&self) -> &str {
        self.account.as_deref().unwrap_or(&self.entry.source.account)
    }
}
