//! What is promised of a sink by itself. The decorators would hide part of it: they repeat what a
//! sink gives back, and believe what it says.

use std::time::Duration;

use futures::future::join_all;
use trailsift_core::{Disposition, Limits, Reason, Sink, SinkError};

use super::{
    Checked, PATIENCE, SinkWorld, acknowledged, batch, numbered, record, record_of, shown, times,
};
use crate::conformance::report::{Gap, ensure};

/// More than this is not sent only to see whether a limit holds.
const MOST_BYTES: usize = 16 << 20;
const MOST_EVENTS: usize = 1_000;

/// What became of each event; `None` is acknowledged.
type Settled = Vec<Option<SinkError>>;

/// Writes these events, in batches that the sink takes. What is acknowledged must have arrived.
async fn write(
    world: &dyn SinkWorld,
    sink: &dyn Sink,
    texts: &[String],
) -> Result<Settled, String> {
    let mut settled = Vec::new();
    for texts in texts.chunks(sink.limits().events.max(1)) {
        let answer = tokio::time::timeout(PATIENCE, sink.write(&batch(texts))).await;
        let answer = answer.map_err(|_| "a write never ends".to_owned())?;
        let mut of_these: Settled = texts.iter().map(|_| None).collect();
        match answer {
            Ok(outcome) => {
                let mut last = None;
                for failure in outcome.failures {
                    ensure!(
                        failure.index < texts.len() && last < Some(failure.index),
                        "of {} entries the outcome names {} after {last:?}",
                        texts.len(),
                        failure.index,
                    );
                    last = Some(failure.index);
                    of_these[failure.index] = Some(failure.error);
                }
            }
            Err(SinkError { disposition, message, .. }) => of_these.fill_with(|| {
                Some(SinkError { disposition, message: message.clone(), source: None })
            }),
        }
        settled.extend(of_these);
    }
    let arrived = world.arrived().await;
    for (text, error) in texts.iter().zip(&settled) {
        ensure!(
            error.is_some() || times(&arrived, text) > 0,
            "acknowledged, and never arrived: {}",
            shown(text)
        );
    }
    Ok(settled)
}

/// The same of a sink that is well: all of it is acknowledged.
async fn write_all(world: &dyn SinkWorld, sink: &dyn Sink, texts: &[String]) -> Result<(), String> {
    let settled = write(world, sink, texts).await?;
    let error = settled.into_iter().flatten().next();
    ensure!(error.is_none(), "the sink is well, and answers {error:?}");
    Ok(())
}

/// Nothing here is an event's fault.
fn condemns_nothing(settled: &Settled) -> Result<(), String> {
    let condemned = settled
        .iter()
        .flatten()
        .find(|error| !matches!(error.disposition, Disposition::Retry { .. }));
    ensure!(condemned.is_none(), "not to be retried: {condemned:?}");
    Ok(())
}

pub(super) async fn an_empty_batch_is_no_error_and_sends_nothing(world: &dyn SinkWorld) -> Checked {
    let before = world.arrived().await.len();
    for sink in [world.sink(), world.decorated(PATIENCE)] {
        let answer = sink.write(&batch([""; 0])).await;
        ensure!(answer.as_ref().is_ok_and(|outcome| outcome.failures.is_empty()), "{answer:?}");
        sink.close().await;
    }
    let after = world.arrived().await.len();
    ensure!(after == before, "{} events arrived", after.abs_diff(before));
    Ok(None)
}

pub(super) async fn every_byte_of_an_event_arrives(world: &dyn SinkWorld) -> Checked {
    let odd = [
        r#""a \"quoted\" \\ \/ word, \u0000 \u0041 \ud83d\ude00 \n""#,
        "\"Zürich, 東京, 👩‍🚀, \u{200f}\u{feff} and \u{7f}\"",
        "1.50,  \"spaced\"\t:  [ ],\"twice\":1,\"twice\":2",
        r#""<&>'%00%0a${jndi:ldap://x}{{x}}#""#,
        "12345678901234567890.10e+400",
    ];
    let texts: Vec<String> =
        (510..).zip(odd).map(|(n, odd)| record(n, &format!(",\"odd\":{odd}"))).collect();
    let sink = world.sink();
    write_all(world, sink.as_ref(), &texts).await?;
    sink.close().await;
    Ok(None)
}

pub(super) async fn writes_at_once_do_not_disturb_each_other(world: &dyn SinkWorld) -> Checked {
    let sink = world.sink();
    let count = sink.limits().events.clamp(1, 4);
    let texts: Vec<Vec<String>> =
        (0..8).map(|place| numbered(520 + place * 4..524 + place * 4)).collect();
    let batches: Vec<_> = texts.iter().map(|texts| batch(&texts[..count])).collect();
    let answers = join_all(batches.iter().map(|batch| sink.write(batch))).await;
    let arrived = world.arrived().await;
    for (batch, answer) in batches.iter().zip(answers) {
        let taken = acknowledged(batch, &answer);
        ensure!(taken.len() == count, "{answer:?}");
        for event in taken {
            let times = times(&arrived, &event);
            ensure!(times == 1, "arrived {times} times: {event}");
        }
    }
    sink.close().await;
    Ok(None)
}

pub(super) async fn a_batch_at_the_limits_is_taken(world: &dyn SinkWorld) -> Checked {
    let sink = world.sink();
    let Limits { events, bytes, entry_bytes } = sink.limits();
    ensure!(events > 0 && entry_bytes <= bytes, "{:?} contradict each other", sink.limits());
    let mut known = false;
    if events <= MOST_EVENTS {
        known = true;
        let many = (600..).map(|n| record(n, ""));
        let mut total = 0;
        let many: Vec<String> = many
            .take(events)
            .take_while(|text| {
                total += text.len();
                total <= bytes
            })
            .collect();
        write_all(world, sink.as_ref(), &many).await?;
    }
    if entry_bytes <= MOST_BYTES {
        known = true;
        let Some(large) = record_of(entry_bytes, 590) else {
            return Err(format!("an event of {entry_bytes} bytes is no event"));
        };
        write_all(world, sink.as_ref(), &[large]).await?;
    }
    if bytes <= MOST_BYTES {
        known = true;
        let (mut full, mut room) = (Vec::new(), bytes);
        while full.len() < events {
            let Some(text) = record_of(room.min(entry_bytes), 591) else { break };
            room -= text.len();
            full.push(text);
        }
        write_all(world, sink.as_ref(), &full).await?;
    }
    sink.close().await;
    Ok((!known).then_some(Gap::NoLimit))
}

pub(super) async fn what_is_acknowledged_of_a_write_in_part_has_arrived(
    world: &dyn SinkWorld,
) -> Checked {
    if !world.take_first_only() {
        return Ok(Some(Gap::NeverTakesInPart));
    }
    let sink = world.sink();
    let settled = write(world, sink.as_ref(), &numbered(530..534)).await?;
    condemns_nothing(&settled)?;
    ensure!(settled[0].is_none(), "the first event is taken, and the sink says {:?}", settled[0]);
    sink.close().await;
    Ok(None)
}

pub(super) async fn an_answer_that_is_lost_condemns_no_event(world: &dyn SinkWorld) -> Checked {
    if !world.lose_next_answer() {
        return Ok(Some(Gap::AnswersAreNeverLost));
    }
    let sink = world.sink();
    let settled = write(world, sink.as_ref(), &numbered(540..543)).await?;
    condemns_nothing(&settled)?;
    sink.close().await;
    Ok(None)
}

pub(super) async fn throttling_condemns_no_event(world: &dyn SinkWorld) -> Checked {
    if !world.throttle_next() {
        return Ok(Some(Gap::NeverThrottles));
    }
    let sink = world.sink();
    let settled = write(world, sink.as_ref(), &numbered(550..553)).await?;
    condemns_nothing(&settled)?;
    sink.close().await;
    Ok(None)
}

pub(super) async fn a_refused_event_is_poison_and_its_neighbours_are_not(
    world: &dyn SinkWorld,
) -> Checked {
    if !world.refuse("\"event\":561") {
        return Ok(Some(Gap::NeverRefusesOne));
    }
    let sink = world.sink();
    let settled = write(world, sink.as_ref(), &numbered(560..564)).await?;
    let poison = Disposition::Poison { reason: Reason::SinkRejected };
    for (place, error) in settled.iter().enumerate() {
        let disposition = error.as_ref().map(|error| error.disposition);
        if place == 1 {
            ensure!(disposition == Some(poison), "of the refused event the sink says {error:?}");
        } else {
            let innocent = matches!(disposition, None | Some(Disposition::Retry { .. }));
            ensure!(innocent, "of its neighbour the sink says {error:?}");
        }
    }
    sink.close().await;
    Ok(None)
}

pub(super) async fn an_outage_acknowledges_nothing_and_condemns_no_event(
    world: &dyn SinkWorld,
) -> Checked {
    let (sink, sent) = (world.sink(), numbered(570..573));
    world.break_down();
    let answer = tokio::time::timeout(PATIENCE, sink.write(&batch(&sent))).await;
    world.recover();
    let Ok(answer) = answer else {
        return Err("a write to a sink that is down never ends".to_owned());
    };
    let lost = acknowledged(&batch(&sent), &answer);
    ensure!(lost.is_empty(), "acknowledged while the sink was down: {lost:?}");
    let settled = match answer {
        Ok(outcome) => outcome.failures.into_iter().map(|failure| Some(failure.error)).collect(),
        Err(error) => vec![Some(error)],
    };
    condemns_nothing(&settled)?;
    let checked = sink.check().await;
    ensure!(checked.is_ok(), "the outage is over, and its check says {checked:?}");
    write_all(world, sink.as_ref(), &sent).await?;
    sink.close().await;
    Ok(None)
}

pub(super) async fn a_dropped_write_leaves_the_sink_well(world: &dyn SinkWorld) -> Checked {
    let sink = world.sink();
    for (first, after) in [(580, 0), (583, 1), (586, 10)] {
        let sent = numbered(first..first + 3);
        let sent = &sent[..sink.limits().events.clamp(1, 3)];
        let (events, after) = (batch(sent), Duration::from_millis(after));
        // Its answer, if it came to one, says nothing about what is sent next.
        drop(tokio::time::timeout(after, sink.write(&events)).await);
        write_all(world, sink.as_ref(), sent).await?;
    }
    sink.close().await;
    Ok(None)
}
