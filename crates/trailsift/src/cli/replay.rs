//! Arguments of `replay`.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{Args, ValueHint};
use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime};

use crate::config::units::parse_duration;

const DETAILS: &str = "\
A line of the quarantine is never delivered as it stands. Its object is announced to the account's queue \
anew, and the service reads it from S3 again: what a line claims about an event reaches no sink.

  a line with an index    that record alone is read again, for the sink that refused it or, where it could \
not be read, for all; its neighbours are not sent again
  a line with a key       the object is read again; what sinks have of it is not sent again
  any other line          its message is sent again as it was received

What fails again is parked again, in a new line. Lines that were sent are noted in replayed.journal \
beside the quarantine and left out from then on; an interrupted replay is simply begun again.

The account's credentials need sqs:SendMessage on its queue, which the service itself does not.

Examples:
  trailsift replay --dry-run
  trailsift replay --reason access_denied --account production
  trailsift replay --since 24h --bucket org-trail --key 'AWSLogs/111122223333/*'
  aws s3 cp s3://parked/lines.jsonl.gz - | trailsift replay -";

/// Arguments of `replay`.
#[derive(Clone, Debug, Args)]
#[command(after_help = DETAILS)]
pub struct ReplayArgs {
    /// Files and folders with lines of the quarantine, plain, gzip or zstd; `-` is standard input
    /// [default: the configured quarantine, rotated files included].
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,
    /// Only lines with this reason. Repeatable.
    #[arg(long = "reason", value_name = "REASON")]
    pub reasons: Vec<String>,
    /// Only lines of this account of the configuration, by name or number. Repeatable.
    #[arg(long = "account", value_name = "ACCOUNT")]
    pub accounts: Vec<String>,
    /// Only lines since then: a duration back from now (24h, 7d), a date or a time (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<SystemTime>,
    /// Only lines about objects of this bucket.
    #[arg(long, value_name = "BUCKET")]
    pub bucket: Option<String>,
    /// Only lines about this key; with `*` at its end, about keys that begin so.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Ask for the current version of each object instead of the one that was parked, which may be
    /// deleted.
    #[arg(long)]
    pub latest: bool,
    /// Also lines that were replayed before.
    #[arg(long)]
    pub again: bool,
    /// Print what would be sent, and send nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON Lines even on a terminal.
    #[arg(long)]
    pub json: bool,
    /// Where the lines that were sent are noted [default: replayed.journal in the quarantine's folder].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub journal: Option<PathBuf>,
}

fn since(text: &str) -> Result<SystemTime, String> {
    let back = |duration: Duration| SystemTime::now().checked_sub(duration);
    if let Some(time) = parse_duration(text).and_then(back) {
        return Ok(time);
    }
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(time.into());
    }
    let day = time::macros::format_description!("[year]-[month]-[day]");
    match Date::parse(text, day) {
        Ok(date) => Ok(date.midnight().assume_utc().into()),
        Err(_) => Err("write 24h or 7d, 2026-01-31 or 2026-01-31T12:00:00Z".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_duration_a_date_or_an_instant() {
        let at = |seconds| Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(since("1970-01-02"), at(86_400));
        assert_eq!(since("1970-01-01T01:00:00+00:30"), at(1_800));
        let day = since("1d").and_then(|at| at.elapsed().map_err(|error| error.to_string()));
        assert!(day.is_ok_and(|day| (86_400..86_500).contains(&day.as_secs())));
        for text in ["", "yesterday", "24", "2026-13-01", "99999999999999d"] {
            assert!(since(text).is_err(), "{text}");
        }
    }
}
