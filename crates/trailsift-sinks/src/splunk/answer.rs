use reqwest::StatusCode;
use serde::Deserialize;
use trailsift_core::{Reason, SinkError};

use crate::narrow::Answer;
use crate::wire::{Reply, Wire, explain};

/// What the collector says in the body of its answers. Its text is not read: the code says as much.
#[derive(Default, Deserialize)]
struct Body {
    code: Option<u16>,
    #[serde(rename = "ackId")]
    ack_id: Option<u64>,
    #[serde(rename = "invalid-event-number")]
    invalid_event_number: Option<usize>,
}

/// An answer of the collector.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It has the events, or will have, under this number.
    Taken(Option<u64>),
    /// It refuses this request for one of its events, or for their number. Counted from 0, if known.
    Refused { event: Option<usize>, reason: Reason, what: &'static str },
    /// Nothing about the events.
    Later(String),
}

/// Reads an answer to a request with events. What nobody knows is asked again later.
pub(super) fn read(reply: &Reply) -> Said {
    let body: Body = reply
        .body
        .as_deref()
        .and_then(|body| serde_json::from_slice(body).ok())
        .unwrap_or_default();
    said(reply.status, &body)
}

fn said(status: StatusCode, body: &Body) -> Said {
    let refused = |what| Said::Refused {
        event: body.invalid_event_number,
        reason: Reason::SinkRejected,
        what,
    };
    match (status.as_u16(), body.code) {
        (200..=299, Some(0)) => Said::Taken(body.ack_id),
        (200..=299, _) => {
            Said::Later("the answer is not that of an HTTP Event Collector: check the url".into())
        }
        (413, _) => Said::Refused {
            event: None,
            reason: Reason::SinkRecordTooLarge,
            what: "the request is larger than the collector takes",
        },
        (400, Some(6)) => refused("the data is invalid (code 6)"),
        (400, Some(12)) => refused("the event is missing (code 12)"),
        (400, Some(13)) => refused("the event is blank (code 13)"),
        (400, Some(15)) => refused("the indexed fields are invalid (code 15)"),
        (_, Some(code)) => Said::Later(match remedy(code) {
            Some(remedy) => format!("the collector answers code {code}: {remedy}"),
            None => format!("{} with code {code}", explain(status)),
        }),
        (_, None) => Said::Later(explain(status)),
    }
}

/// What the collector's codes mean, and what to do about them.
fn remedy(code: u16) -> Option<&'static str> {
    Some(match code {
        1 => "the token is disabled: enable it in Splunk",
        2 => "it wants a token: check that nothing in between removes the Authorization header",
        3 => "the Authorization header is invalid: check the token",
        4 => "it does not know the token: check the token",
        5 => "it received no data: check what stands in between",
        7 => {
            "the token may not write to this index: allow the index for the token, or change index"
        }
        8 => "internal error",
        9 => "it is busy",
        10 => {
            "the token wants indexer acknowledgement: set acknowledge = true, or turn it off for the token"
        }
        11 => "it does not take the channel",
        14 => DISABLED,
        16 => "it takes the token in the query only, which is unsafe: allow the header",
        18..=20 => "its queues are full",
        21 => "the token is invalid: check the token",
        23 => "it is shutting down",
        _ => return None,
    })
}

/// What to do where the token does not acknowledge.
pub(super) const DISABLED: &str = "indexer acknowledgement is off for this token: turn it on in Splunk, \
     or set acknowledge = false and accept that Splunk may lose what it has accepted";

/// What an answer that takes nothing means for the events.
pub(super) async fn refusal(wire: &Wire, reply: &Reply, said: Said) -> Answer {
    match said {
        Said::Refused { event, reason, what } => {
            let error =
                SinkError::poison(reason, format!("the collector refuses this event: {what}"));
            match event {
                Some(event) => Answer::RefusedFor(event, error),
                None => Answer::Refused(error),
            }
        }
        Said::Later(message) => Answer::Later(wire.later(reply, message).await),
        Said::Taken(_) => Answer::Later(SinkError::retry("nothing counts as written")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(status: u16, body: &str) -> Said {
        let body: Body = serde_json::from_str(body).unwrap_or_default();
        said(StatusCode::from_u16(status).unwrap(), &body)
    }

    #[test]
    fn each_documented_answer_has_its_meaning() {
        assert_eq!(judge(200, r#"{"text":"Success","code":0}"#), Said::Taken(None));
        assert_eq!(judge(200, r#"{"text":"Success","code":0,"ackId":7}"#), Said::Taken(Some(7)));
        for (code, event) in [(6, Some(2)), (12, Some(0)), (13, None), (15, Some(1))] {
            let number =
                event.map(|n| format!(",\"invalid-event-number\":{n}")).unwrap_or_default();
            let body = format!("{{\"text\":\"…\",\"code\":{code}{number}}}");
            let Said::Refused { event: found, reason, .. } = judge(400, &body) else {
                panic!("{body}")
            };
            assert_eq!((found, reason), (event, Reason::SinkRejected), "{body}");
        }
        let large = judge(413, "");
        assert!(matches!(
            large,
            Said::Refused { event: None, reason: Reason::SinkRecordTooLarge, .. }
        ));
        for (status, code, hint) in [
            (403, 1, "enable it"),
            (401, 2, "wants a token"),
            (401, 3, "check the token"),
            (403, 4, "check the token"),
            (400, 5, "no data"),
            (400, 7, "allow the index"),
            (500, 8, "internal"),
            (503, 9, "busy"),
            (400, 10, "set acknowledge = true"),
            (400, 11, "channel"),
            (400, 14, "set acknowledge = false"),
            (400, 16, "query"),
            (503, 18, "queues are full"),
            (503, 19, "queues are full"),
            (503, 20, "queues are full"),
            (503, 23, "shutting down"),
            (400, 99, "with code 99"),
        ] {
            // A number beside these does not make them an event's fault: all share the index.
            let body = format!("{{\"code\":{code},\"invalid-event-number\":0}}");
            let Said::Later(message) = judge(status, &body) else { panic!("{body}") };
            assert!(message.contains(hint), "{message}");
        }
    }

    #[test]
    fn what_is_no_answer_of_a_collector_acknowledges_nothing() {
        for (status, body) in
            [(200, ""), (204, ""), (200, "<html>"), (200, r#"{"ackId":1}"#), (200, r#"{"code":1}"#)]
        {
            assert!(matches!(judge(status, body), Said::Later(_)), "{status} {body}");
        }
        for status in [301, 400, 401, 403, 404, 429, 502] {
            assert!(matches!(judge(status, "<html>"), Said::Later(_)), "{status}");
        }
    }
}
