//! `[service]` and `[quarantine]`.

use std::path::PathBuf;
use std::time::Duration;

use trailsift_trail::MultiMember;

use super::findings::At;
use super::kinds::{FilePath, Flag, Integer, OneOf, Parsed, Size, Span};
use super::names::NAME;
use super::reader::Section;
use super::{ByteSize, Service};

/// The default of `service.max_inflated`.
pub(super) const MAX_INFLATED: ByteSize = ByteSize::mebibytes(1024);
/// The default of `service.max_record`.
pub(super) const MAX_RECORD: ByteSize = ByteSize::mebibytes(1);

const DAY: u64 = 86_400;
/// The default of `service.ledger_retention`: the longest that SQS keeps a message.
const LEDGER_RETENTION: Duration = Duration::from_secs(14 * DAY);

/// The words of `service.multi_member`.
pub(super) const MULTI_MEMBER: [(&str, MultiMember); 3] =
    [("reject", MultiMember::Reject), ("flag", MultiMember::Flag), ("accept", MultiMember::Accept)];

/// Reads `[service]`; every key has a default.
pub(super) fn service(section: &mut Section<'_, '_>) -> Service {
    let size = |from: u64| Size(ByteSize::new(from)..=ByteSize::mebibytes(1 << 20));
    let service = Service {
        listen: section.get_or(
            "listen",
            Parsed::new("an address and port such as \"127.0.0.1:9180\""),
            ([127, 0, 0, 1], 9180).into(),
        ),
        data_dir: section.get_or("data_dir", FilePath, PathBuf::from("/var/lib/trailsift")),
        drain_timeout: section.get_or(
            "drain_timeout",
            Span::seconds(0, 3600),
            Duration::from_secs(25),
        ),
        memory: section.get_or("memory", size(1 << 20), ByteSize::mebibytes(256)),
        workers: section.get_or("workers", Integer(1..=4096), 64) as usize,
        startup_timeout: section.get_or(
            "startup_timeout",
            Span::seconds(0, 86_400),
            Duration::from_secs(60),
        ),
        max_receive: section.get_or("max_receive", Integer(1..=1000), 5),
        multi_member: section.get_or(
            "multi_member",
            OneOf { words: &MULTI_MEMBER, later: &[] },
            MultiMember::Reject,
        ),
        max_inflated: section.get_or("max_inflated", size(1 << 10), MAX_INFLATED),
        max_record: section.get_or(
            "max_record",
            Size(ByteSize::new(1 << 10)..=ByteSize::mebibytes(1024)),
            MAX_RECORD,
        ),
        hash_objects: section.get_or("hash_objects", Flag, false),
        ledger_retention: section.get_or(
            "ledger_retention",
            Span::seconds(3600, 3650 * DAY),
            LEDGER_RETENTION,
        ),
    };
    judge_limits(section, &service);
    service
}

/// Values that cannot go together. Reported where the section stands, for none of them is wrong
/// by itself.
fn judge_limits(section: &Section<'_, '_>, service: &Service) {
    let findings = section.scope.findings;
    if service.max_record > service.max_inflated {
        findings.error(
            section.place,
            format!(
                "`service.max_record` ({}) is above `service.max_inflated` ({})",
                service.max_record, service.max_inflated
            ),
            "a record is a part of an inflated file: lower the one or raise the other",
        );
    }
    let each = ByteSize::new(service.memory_per_worker());
    if service.memory < each {
        findings.error(
            section.place,
            format!("`service.memory` ({}) feeds not even one worker", service.memory),
            format!("with this max_record a worker needs {each}"),
        );
    } else if service.affordable_workers() < service.workers {
        let fed = service.affordable_workers();
        findings.warning(
            section.place,
            format!(
                "`service.memory` ({}) feeds {fed} of the {} workers: no more will run",
                service.memory, service.workers
            ),
            format!("with this max_record each worker needs {each}: raise memory or lower workers"),
        );
    }
}

/// What `[quarantine]` asks for.
pub(super) enum QuarantineWish {
    /// A sink, by name.
    Sink(At<String>),
    /// The queue's redrive policy.
    Redrive,
}

/// Reads `[quarantine]`; without a wish it is the folder in `data_dir`.
pub(super) fn quarantine(section: &mut Section<'_, '_>) -> Option<QuarantineWish> {
    let sink = section.get("sink", NAME);
    let policy = section.get("policy", OneOf { words: &[("redrive", ())], later: &[] });
    match (sink, policy) {
        (Some(_), Some(policy)) => {
            section.scope.findings.error(
                policy.place,
                "`quarantine.sink` and `quarantine.policy` contradict each other",
                "keep one of them",
            );
            None
        }
        (Some(sink), None) => Some(QuarantineWish::Sink(sink)),
        (None, Some(_)) => Some(QuarantineWish::Redrive),
        (None, None) => None,
    }
}
