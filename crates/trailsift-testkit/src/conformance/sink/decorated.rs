//! What is promised of a sink inside of its decorators.

use std::time::Duration;

use trailsift_core::{Disposition, Reason};

use super::{
    Checked, PATIENCE, SinkWorld, acknowledged, batch, numbered, record, record_of, shown, times,
};
use crate::conformance::report::{Gap, ensure};

pub(super) async fn everything_arrives_once_when_nothing_fails(world: &dyn SinkWorld) -> Checked {
    let sink = world.decorated(PATIENCE);
    let checked = sink.check().await;
    ensure!(checked.is_ok(), "the sink is well, and its check says {checked:?}");
    let mut sent = numbered(0..80);
    let batches: Vec<_> = sent.chunks(10).map(batch).collect();
    let writes = batches.iter().map(|batch| sink.write(batch));
    for (batch, answer) in batches.iter().zip(futures::future::join_all(writes).await) {
        ensure!(acknowledged(batch, &answer).len() == 10, "{answer:?}");
    }
    let mut arrived = world.arrived().await;
    arrived.sort();
    sent.sort();
    ensure!(arrived == sent, "of 80 events {} arrived: {arrived:?}", arrived.len());
    sink.close().await;
    Ok(None)
}

pub(super) async fn a_lost_answer_costs_a_duplicate_and_never_an_event(
    world: &dyn SinkWorld,
) -> Checked {
    if !world.lose_next_answer() {
        return Ok(Some(Gap::AnswersAreNeverLost));
    }
    let sent = numbered(100..103);
    let (sink, events) = (world.decorated(PATIENCE), batch(&sent));
    let answer = sink.write(&events).await;
    ensure!(acknowledged(&events, &answer).len() == 3, "{answer:?}");
    let arrived = world.arrived().await;
    for event in sent {
        let times = times(&arrived, &event);
        ensure!((1..=2).contains(&times), "arrived {times} times: {event}");
    }
    sink.close().await;
    Ok(None)
}

pub(super) async fn what_is_taken_in_part_is_completed_and_the_rest_is_not_sent_again(
    world: &dyn SinkWorld,
) -> Checked {
    if !world.take_first_only() {
        return Ok(Some(Gap::NeverTakesInPart));
    }
    let sent = numbered(150..154);
    let (sink, events) = (world.decorated(PATIENCE), batch(&sent));
    let answer = sink.write(&events).await;
    ensure!(acknowledged(&events, &answer).len() == 4, "{answer:?}");
    let arrived = world.arrived().await;
    for event in sent {
        let times = times(&arrived, &event);
        ensure!(times == 1, "arrived {times} times: {event}");
    }
    sink.close().await;
    Ok(None)
}

pub(super) async fn refused_events_are_poison_and_their_neighbours_arrive_once(
    world: &dyn SinkWorld,
) -> Checked {
    if !world.refuse("\"event\":202") {
        return Ok(Some(Gap::NeverRefusesOne));
    }
    let sent = numbered(200..209);
    let (sink, events) = (world.decorated(PATIENCE), batch(&sent));
    let outcome = sink.write(&events).await.map_err(|error| format!("no outcome: {error:?}"))?;
    let poison = Disposition::Poison { reason: Reason::SinkRejected };
    let named: Vec<_> =
        outcome.failures.iter().map(|failure| (failure.index, failure.error.disposition)).collect();
    ensure!(named == [(2, poison)], "{outcome:?}");
    let arrived = world.arrived().await;
    for (index, event) in sent.iter().enumerate() {
        let times = times(&arrived, event);
        ensure!(times == usize::from(index != 2), "arrived {times} times: {event}");
    }
    sink.close().await;
    Ok(None)
}

pub(super) async fn throttling_delays_and_loses_nothing(world: &dyn SinkWorld) -> Checked {
    if !world.throttle_next() {
        return Ok(Some(Gap::NeverThrottles));
    }
    let sent = numbered(300..303);
    let (sink, events) = (world.decorated(PATIENCE), batch(&sent));
    let answer = sink.write(&events).await;
    ensure!(acknowledged(&events, &answer).len() == 3, "{answer:?}");
    let arrived = world.arrived().await;
    for event in sent {
        let times = times(&arrived, &event);
        ensure!(times == 1, "arrived {times} times: {event}");
    }
    sink.close().await;
    Ok(None)
}

pub(super) async fn the_backlog_of_an_outage_drains_after_it(world: &dyn SinkWorld) -> Checked {
    let sent = numbered(400..410);
    let (sink, events) = (world.decorated(PATIENCE), batch(&sent));
    world.break_down();
    let write = sink.write(&events);
    let early = tokio::time::timeout(Duration::from_millis(200), write).await;
    let (again, ()) = tokio::join!(sink.write(&events), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.recover();
    });
    ensure!(early.is_err(), "an answer while the sink was down: {early:?}");
    ensure!(acknowledged(&events, &again).len() == 10, "{again:?}");
    let arrived = world.arrived().await;
    for event in sent {
        ensure!(times(&arrived, &event) >= 1, "lost: {event}");
    }
    let checked = sink.check().await;
    ensure!(checked.is_ok(), "the outage is over, and its check says {checked:?}");
    sink.close().await;
    Ok(None)
}

pub(super) async fn what_fails_until_the_deadline_is_given_back_and_not_acknowledged(
    world: &dyn SinkWorld,
) -> Checked {
    let sent = numbered(450..453);
    let (sink, events) = (world.decorated(Duration::from_millis(100)), batch(&sent));
    world.break_down();
    let answer = tokio::time::timeout(PATIENCE, sink.write(&events)).await;
    world.recover();
    let Ok(answer) = answer else {
        return Err("no answer long after the deadline".to_owned());
    };
    let lost = acknowledged(&events, &answer);
    ensure!(lost.is_empty(), "acknowledged while the sink was down: {lost:?}");
    let errors = match answer {
        Ok(outcome) => outcome.failures.into_iter().map(|failure| failure.error).collect(),
        Err(error) => vec![error],
    };
    for error in errors {
        ensure!(matches!(error.disposition, Disposition::Retry { .. }), "{error:?}");
    }
    sink.close().await;
    Ok(None)
}

pub(super) async fn what_is_larger_than_the_sink_takes_is_poison_and_never_sent(
    world: &dyn SinkWorld,
) -> Checked {
    let most = world.sink().limits().entry_bytes;
    if most == usize::MAX {
        return Ok(Some(Gap::NoLimit));
    }
    let Some(large) = record_of(most + 1, 502) else {
        return Err(format!("a sink of at most {most} bytes takes no event at all"));
    };
    let [first, last] = [500, 501].map(|n| record(n, ""));
    let (sink, events) = (world.decorated(PATIENCE), batch([&first, &large, &last]));
    let answer = sink.write(&events).await;
    let taken = acknowledged(&events, &answer);
    ensure!(taken == [first, last], "acknowledged {:?}", shown(&taken.concat()));
    let outcome = answer.map_err(|error| format!("no outcome: {error:?}"))?;
    let poison = Disposition::Poison { reason: Reason::SinkRecordTooLarge };
    let disposition = outcome.failures.first().map(|failure| failure.error.disposition);
    ensure!(disposition == Some(poison), "{outcome:?}");
    ensure!(times(&world.arrived().await, &large) == 0, "the large event arrived");
    sink.close().await;
    Ok(None)
}
