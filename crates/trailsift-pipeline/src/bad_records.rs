use bytes::Bytes;
use trailsift_core::Reason;
use trailsift_trail::{Found, ObjectFault};

/// How many bad records of one file are parked one by one.
const BAD_RECORDS: u64 = 100;

/// Counts the bad records of one read. A file of them is cheap to make, and must not fill the disk
/// and keep its worker: beyond [`BAD_RECORDS`] they are parked as one, the file.
#[derive(Default)]
pub(crate) struct BadRecords {
    parked: u64,
    left_out: u64,
}

impl BadRecords {
    /// What is to be delivered and parked of what was found.
    pub(crate) fn limit(&mut self, mut found: Vec<Found>) -> Vec<Found> {
        found.retain(|found| match found {
            Found::Record(_) => true,
            Found::Fault(_) if self.parked < BAD_RECORDS => {
                self.parked += 1;
                true
            }
            Found::Fault(_) => {
                self.left_out += 1;
                false
            }
        });
        found
    }

    /// The fault of the file, in whose line the rest of the bad records are.
    pub(crate) fn fault(&self) -> Option<ObjectFault> {
        (self.left_out > 0).then(|| ObjectFault {
            reason: Reason::TooManyBadRecords,
            detail: format!(
                "{} records besides the {BAD_RECORDS} parked ones cannot be read; \
                 the good ones were delivered",
                self.left_out
            ),
            data: Bytes::new(),
        })
    }
}
