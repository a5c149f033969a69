use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::HeaderValue;
use time::PrimitiveDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// What a collector's answer means for the events that were sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has them.
    Taken,
    /// It may take them later.
    Later,
    /// It refuses this very request: one of the events, or their number.
    Refused,
}

/// Unknown means later, as everywhere: an expired token or a wrong path must not park the stream.
pub(crate) fn judge(status: StatusCode) -> Verdict {
    match status.as_u16() {
        200..=299 => Verdict::Taken,
        400 | 413 | 422 => Verdict::Refused,
        _ => Verdict::Later,
    }
}

/// What to tell the operator about an answer that is not a success. Never quotes the answer's body
/// or its location: either may repeat events or credentials.
pub(crate) fn explain(status: StatusCode) -> String {
    let hint = match status.as_u16() {
        300..=399 => ": redirects are not followed, set url to the address that takes events",
        401 | 403 => ": check the credentials that it is sent",
        404 | 405 | 410 => ": check the path in its url",
        411 | 415 => ": check its body and compression settings",
        _ => "",
    };
    let name = status.canonical_reason().unwrap_or("no registered status");
    format!("the collector answers {} ({name}){hint}", status.as_u16())
}

/// What to say where a page for people is the answer: a login, or a proxy's.
pub(crate) const A_PAGE: &str =
    "a page for people answers in the place of the collector: check the url, and what is between";

/// The longest wait that is believed: no message can be held back for longer than this.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);

/// `Retry-After` as RFC 9110 section 10.2.3 has it: seconds, or a date. A date in the past is now.
pub(super) fn retry_after(value: Option<&HeaderValue>, now: SystemTime) -> Option<Duration> {
    const HTTP_DATE: &[BorrowedFormatItem<'_>] = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let text = value?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number holds is simply very long.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let date = PrimitiveDateTime::parse(text, HTTP_DATE).ok()?.assume_utc();
        // Compared as times of the system: no clock is too wrong for those.
        SystemTime::from(date).duration_since(now).unwrap_or_default()
    };
    Some(wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_verdict() {
        let table = [
            (200, Verdict::Taken),
            (204, Verdict::Taken),
            (301, Verdict::Later),
            (307, Verdict::Later),
            (400, Verdict::Refused),
            (401, Verdict::Later),
            (403, Verdict::Later),
            (404, Verdict::Later),
            (408, Verdict::Later),
            (409, Verdict::Later),
            (413, Verdict::Refused),
            (422, Verdict::Refused),
            (429, Verdict::Later),
            (500, Verdict::Later),
            (503, Verdict::Later),
            (599, Verdict::Later),
        ];
        for (status, verdict) in table {
            assert_eq!(judge(StatusCode::from_u16(status).unwrap()), verdict, "{status}");
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_420);
        let read = |text: &'static str| retry_after(Some(&HeaderValue::from_static(text)), now);
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(read("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::from_secs(60)));
        let broken_clock = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
        let date = HeaderValue::from_static("Wed, 21 Oct 2015 07:28:00 GMT");
        assert_eq!(retry_after(Some(&date), broken_clock), Some(Duration::ZERO));
        assert_eq!(read("Tue, 20 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("99999999999999999999999"), Some(LONGEST));
        assert_eq!(read("soon"), None);
        assert_eq!(read("-3"), None);
        assert_eq!(retry_after(None, now), None);
    }

    #[test]
    fn an_explanation_names_the_remedy() {
        let text = explain(StatusCode::MOVED_PERMANENTLY);
        assert_eq!(
            text,
            "the collector answers 301 (Moved Permanently): redirects are not followed, set url to the address that takes events"
        );
    }
}
