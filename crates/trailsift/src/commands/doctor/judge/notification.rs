use trailsift_aws::diagnosis::{Notification, Refusal, Target};

use super::pattern::About;
use super::sender::sender;
use super::ways::{self, Ways};
use crate::commands::doctor::line::Line;

pub(super) const CHECK: &str = "notification";
/// How every trail file's name ends.
const SUFFIX: &str = ".json.gz";
/// CloudTrail puts its files; in parts, S3 calls it otherwise.
pub(super) const EVENTS: [&str; 2] =
    ["s3:ObjectCreated:Put", "s3:ObjectCreated:CompleteMultipartUpload"];
pub(super) const EVERY_EVENT: &str = "s3:ObjectCreated:*";

/// What the queue has to do with it, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub(in crate::commands::doctor) struct OurQueue<'a> {
    pub(in crate::commands::doctor) arn: &'a str,
    pub(in crate::commands::doctor) policy: Option<&'a str>,
}

/// Whether the queue is told of every file of the bucket below the prefix, and by whom it may be told.
pub(in crate::commands::doctor) fn notification(
    asked: &Result<Vec<Notification>, Refusal>,
    queue: Option<OurQueue<'_>>,
    ways: &Ways,
    about: &About<'_>,
    prefix: &str,
) -> Vec<Line> {
    let found = match asked {
        Ok(found) => found,
        Err(Refusal::Denied(said)) => {
            let what = "whom the bucket tells of new files";
            let action = "s3:GetBucketNotification on the bucket";
            return vec![Line::untold(CHECK, what, action, said)];
        }
        Err(refusal) => {
            let text = format!("cannot tell whom the bucket tells of new files: {refusal}");
            return vec![Line::warn(CHECK, text, "see the lines above")];
        }
    };
    let Some(queue) = queue else {
        return vec![Line::warn(
            CHECK,
            "cannot tell whether the bucket tells the queue of new files: the queue did not answer",
            "mend the queue first",
        )];
    };
    let ours = directly(found, queue);
    if ours.is_empty() {
        return ways::indirect(found, queue, ways, about, prefix);
    }
    let how = How {
        who: "the bucket tells the queue".to_owned(),
        place: "its notification to the queue".to_owned(),
    };
    let mut lines = vec![told(&ours, prefix, &how)];
    lines.extend(sender(queue, found, about.bucket, about.owner));
    lines
}

/// What the bucket tells the queue itself.
pub(super) fn directly(found: &[Notification], queue: OurQueue<'_>) -> Vec<Notification> {
    let ours = found.iter().filter(|it| it.to == Target::Queue(queue.arn.to_owned()));
    ours.cloned().collect()
}

/// Who tells the queue, and where that is written down.
#[derive(Clone, Debug)]
pub(super) struct How {
    /// `the bucket tells the queue`.
    pub(super) who: String,
    /// `its notification to the queue`.
    pub(super) place: String,
}

/// Whether this, at least one entry, is about every file below the prefix.
pub(super) fn told(ours: &[Notification], prefix: &str, how: &How) -> Line {
    let How { who, place } = how;
    let told: Vec<_> = ours.iter().filter(|it| !events(it).is_empty()).collect();
    if told.is_empty() {
        return Line::fail(
            CHECK,
            format!("{who} of other events than new objects"),
            format!("add {EVERY_EVENT} to {place}"),
        );
    }
    let whole: Vec<_> = told.iter().copied().filter(|it| SUFFIX.ends_with(&it.suffix)).collect();
    if let (true, Some(hides)) = (whole.is_empty(), told.first()) {
        return Line::fail(
            CHECK,
            format!(
                "{who} only of keys that end with \"{}\", and trail files end with {SUFFIX}",
                hides.suffix.escape_debug()
            ),
            "remove the filter's suffix: what is no trail file is skipped and counted, whereas a filter is silent",
        );
    }
    covered(&whole, prefix, how)
}

/// Which of the events that a new trail file causes are named.
pub(super) fn events(notification: &Notification) -> Vec<&'static str> {
    let named = |event: &str| notification.events.iter().any(|it| it == event);
    match named(EVERY_EVENT) {
        true => EVENTS.into(),
        false => EVENTS.into_iter().filter(|event| named(event)).collect(),
    }
}

fn covered(told: &[&Notification], prefix: &str, how: &How) -> Line {
    let How { who, place } = how;
    let begins = |prefix: &str| match prefix {
        "" => "every key".to_owned(),
        prefix => format!("keys that begin with \"{}\"", prefix.escape_debug()),
    };
    if let Some(whole) = told.iter().find(|it| prefix.starts_with(&it.prefix)) {
        if events(whole).len() < EVENTS.len() {
            return Line::warn(
                CHECK,
                format!("{who} of {} only", whole.events.join(", ")),
                format!(
                    "let {place} be about {EVERY_EVENT}: a large file may be put in parts, or copied"
                ),
            );
        }
        return Line::ok(CHECK, format!("{who} of {}", begins(&whole.prefix)));
    }
    let within: Vec<_> = told.iter().filter(|it| it.prefix.starts_with(prefix)).collect();
    let told_of = |some: &[&&Notification]| {
        some.iter().map(|it| begins(&it.prefix)).collect::<Vec<_>>().join(", ")
    };
    if within.is_empty() {
        let all: Vec<_> = told.iter().collect();
        return Line::fail(
            CHECK,
            format!("{who} of {}, but the configuration wants {}", told_of(&all), begins(prefix)),
            format!("make the filter's prefix ({place}) and the prefix in `buckets` agree"),
        );
    }
    // All that any trail without a prefix of its own writes is below AWSLogs/.
    if within.iter().any(|it| format!("/{}", it.prefix).ends_with("/AWSLogs/")) {
        return Line::ok(CHECK, format!("{who} of {}", told_of(&within)));
    }
    Line::warn(
        CHECK,
        format!(
            "{who} of {} only, where the configuration allows {}",
            told_of(&within),
            begins(prefix)
        ),
        format!(
            "if that is not all that the trail writes, widen the filter's prefix ({place}); if it is, name it as the \
             `prefix` in `buckets`"
        ),
    )
}
