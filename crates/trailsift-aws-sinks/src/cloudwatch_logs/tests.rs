use trailsift_core::Disposition;

use super::*;

const HOUR: i64 = 60 * 60 * 1000;

fn at(timestamps: &[i64]) -> Vec<Option<Message<'static>>> {
    timestamps.iter().map(|timestamp| Some(Message { text: "{}", timestamp: *timestamp })).collect()
}

/// Of a call with events of these times, in hours from now: `.` taken, `x` rejected, `?` in doubt.
fn verdicts_at(hours: &[i64], rejected: &RejectedLogEventsInfo) -> String {
    let now = 1_000_000 * HOUR;
    let sent: Vec<_> = hours.iter().enumerate().map(|(at, it)| (at, now + it * HOUR)).collect();
    let letter =
        |(_, result): (usize, Result<(), SinkError>)| match result.map_err(|it| it.disposition) {
            Ok(()) => '.',
            Err(Disposition::Poison { reason: Reason::SinkRejected }) => 'x',
            Err(Disposition::Retry { .. }) => '?',
            Err(_) => '!',
        };
    results(&sent, Some(rejected), now).into_iter().map(letter).collect()
}

fn verdicts(count: usize, rejected: &RejectedLogEventsInfo) -> String {
    verdicts_at(&vec![0; count], rejected)
}

#[test]
fn a_call_has_ascending_times_of_less_than_a_day() {
    let messages = at(&[30 * HOUR, HOUR, 2 * HOUR, HOUR, 24 * HOUR + 2, 25 * HOUR]);
    assert_eq!(calls(&messages), [vec![1, 3, 2, 4], vec![5, 0]]);
}

#[test]
fn a_call_has_no_more_bytes_than_the_service_takes() {
    let text = "x".repeat(MOST_BYTES / 2 - OVERHEAD);
    let half = || Some(Message { text: &text, timestamp: 0 });
    let small = Some(Message { text: "{}", timestamp: 0 });
    let messages = [half(), half(), small, None, half()];
    assert_eq!(calls(&messages), [vec![0, 1], vec![2, 4]]);
}

#[test]
fn what_the_answer_names_is_rejected_and_everything_else_is_taken() {
    let info = RejectedLogEventsInfo::builder;
    let new = info().too_new_log_event_start_index(3).build();
    assert_eq!(verdicts(4, &new), "...x");
    let both = info().too_old_log_event_end_index(1).too_new_log_event_start_index(3).build();
    assert_eq!(verdicts(4, &both), "x?.x");
    assert_eq!(verdicts(2, &info().build()), "..");
}

#[test]
fn an_event_at_the_end_of_those_that_are_rejected_is_sent_again_until_it_is_certain() {
    let old = |end| RejectedLogEventsInfo::builder().too_old_log_event_end_index(end).build();
    let expired = |end| RejectedLogEventsInfo::builder().expired_log_event_end_index(end).build();
    for rejected in [old, expired] {
        assert_eq!(verdicts(4, &rejected(2)), "xx?.");
        // Whether the end is meant or not, it can only be the first.
        assert_eq!(verdicts(4, &rejected(0)), "x...");
        assert_eq!(verdicts(1, &rejected(0)), "x");
        assert_eq!(verdicts(1, &rejected(1)), "x");
    }
}

/// LocalStack names the last one that is too new, not the first.
#[test]
fn an_event_far_ahead_that_the_answer_does_not_name_is_in_doubt_only_if_another_is_rejected_for_it()
{
    let new = RejectedLogEventsInfo::builder().too_new_log_event_start_index(3).build();
    assert_eq!(verdicts_at(&[0, 1, 5, 6], &new), "..?x");
    let old = RejectedLogEventsInfo::builder().too_old_log_event_end_index(1).build();
    assert_eq!(verdicts_at(&[-999, 0, 1, 5], &old), "x?..");
}

#[test]
fn an_index_that_makes_no_sense_acknowledges_nothing_that_it_may_mean() {
    let old = RejectedLogEventsInfo::builder().too_old_log_event_end_index(99).build();
    assert_eq!(verdicts(2, &old), "xx");
    let new = RejectedLogEventsInfo::builder().too_new_log_event_start_index(-1).build();
    assert_eq!(verdicts(2, &new), "xx");
}
