//! Sinks that get events in a format: what arrives, how much of it there is at once, and what is
//! parked and remembered of it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::sleep;
use trailsift_core::{Batch, Limits, Reason, Record, RouteSet, Sink, SinkError, WriteOutcome};
use trailsift_pipeline::{Budget, Outlet};
use trailsift_route::{Format, Formatter, Origin, RouteSpec, Routes};
use trailsift_testkit::{Answer, ScriptedSink};

use crate::rig::{BUCKET, Rig, SECOND, filtered, selected, texts, within};

const NAMES: [&str; 3] = ["codeguru-reviewer", "everything", "unused"];
const FORMATTED: [Format; 4] = [Format::Envelope, Format::CloudEvents, Format::Ocsf, Format::Ecs];

fn formatter(format: Format) -> Formatter {
    Formatter::new(format, NAMES.map(str::to_owned))
}

fn routes(numbers: &[usize]) -> RouteSet {
    let mut routes = RouteSet::EMPTY;
    numbers.iter().for_each(|number| routes.insert(*number));
    routes
}

fn formatted(sink: impl Sink + 'static, format: Format, required: bool) -> Outlet {
    Outlet { sink: Arc::new(sink), formatter: formatter(format), routes: routes(&[0, 1]), required }
}

/// What this format makes of the record at this place of the file.
fn event(format: Format, key: &str, etag: Option<&str>, index: u64, record: &str) -> Bytes {
    let record = Record { index, bytes: Bytes::from(record.to_owned()), routes: routes(&[0]) };
    let origin = Origin {
        account: Some("production"),
        bucket: Some(BUCKET),
        key: Some(key),
        version_id: None,
        etag,
    };
    formatter(format).render(&record, routes(&[0]), origin)
}

/// As large as asked for, and growing as large events do: half of it is quotes.
fn large(id: &str, bytes: usize) -> String {
    let pad = "\\\"x".repeat(bytes / 3);
    selected(id).replacen('{', &format!(r#"{{"requestParameters":{{"pad":"{pad}"}},"#), 1)
}

/// A sink that takes a second for a write, and weighs what is being written, on a scale that others
/// may share.
#[derive(Debug)]
struct Weighed {
    sink: ScriptedSink,
    scale: Arc<Mutex<Scale>>,
}

#[derive(Debug, Default)]
struct Scale {
    writes: usize,
    bytes: usize,
    most_writes: usize,
    most_bytes: usize,
}

#[async_trait]
impl Sink for Weighed {
    fn name(&self) -> &str {
        self.sink.name()
    }

    fn limits(&self) -> Limits {
        self.sink.limits()
    }

    async fn check(&self) -> Result<(), SinkError> {
        Ok(())
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        {
            let mut scale = self.scale.lock().expect("not poisoned");
            scale.writes += 1;
            scale.bytes += batch.bytes();
            scale.most_writes = scale.most_writes.max(scale.writes);
            scale.most_bytes = scale.most_bytes.max(scale.bytes);
        }
        sleep(SECOND).await;
        {
            let mut scale = self.scale.lock().expect("not poisoned");
            scale.writes -= 1;
            scale.bytes -= batch.bytes();
        }
        self.sink.write(batch).await
    }
}

/// A rig with little room, so that little data is much.
fn small_rig() -> Rig {
    let mut rig = Rig::new();
    (rig.settings.memory, rig.settings.max_record) = (12 << 20, 128 << 10);
    rig
}

/// The rooms of this rig with so many formatted sinks.
fn budget(rig: &Rig, sinks: usize) -> Budget {
    let settings = &rig.settings;
    Budget::plan(settings.memory, settings.workers, 1, settings.max_record).formatting(
        sinks,
        1,
        settings.max_record,
    )
}

#[tokio::test(start_paused = true)]
async fn every_sink_gets_each_record_once_in_its_format_whichever_routes_select_it() {
    let mut rig = Rig::new();
    let again = RouteSpec { name: NAMES[1].into(), ..RouteSpec::codeguru_reviewer() };
    let both = [RouteSpec::codeguru_reviewer(), again];
    rig.selection = Arc::new(Routes::compile(&both).expect("routes"));
    let sinks = FORMATTED.map(|format| ScriptedSink::new(format.name()));
    rig.extra =
        sinks.iter().zip(FORMATTED).map(|(sink, it)| formatted(sink.clone(), it, true)).collect();
    let records = [selected("1"), filtered("2"), selected("3\\ud800").replace(':', " :\n ")];
    let key = rig.deliver("one", &records.each_ref().map(String::as_str));
    rig.run_until_empty().await;
    for (sink, format) in sinks.iter().zip(FORMATTED) {
        let entries = sink.acknowledged();
        let indexes: Vec<_> = entries.iter().map(|entry| entry.index).collect();
        assert_eq!(indexes, [0, 2], "{format:?}");
        for entry in entries {
            let source = &entry.source;
            assert_eq!((source.bucket.as_str(), &source.key), (BUCKET, &key));
            let etag = source.etag.as_deref().expect("the store names one").trim_matches('"');
            let index = usize::try_from(entry.index).expect("a place");
            let record = Bytes::from(records[index].clone());
            let record = Record { index: entry.index, bytes: record, routes: routes(&[0, 1]) };
            let origin = Origin {
                account: Some("production"),
                bucket: Some(BUCKET),
                key: Some(&key),
                version_id: None,
                etag: Some(etag),
            };
            let expected = formatter(format).render(&record, routes(&[0, 1]), origin);
            assert_eq!(entry.data, expected, "{format:?}");
        }
    }
    assert_eq!(rig.events(), [records[0].as_str(), &records[2]], "a raw sink beside them");
}

#[tokio::test(start_paused = true)]
async fn files_of_many_events_for_three_formatted_sinks_stay_within_the_budget_and_in_order() {
    let mut rig = small_rig();
    let budget = budget(&rig, 3);
    let scale = Arc::new(Mutex::new(Scale::default()));
    let sinks = FORMATTED.map(|format| ScriptedSink::new(format.name()));
    let weighed = |(sink, format): (&ScriptedSink, _)| {
        formatted(Weighed { sink: sink.clone(), scale: Arc::clone(&scale) }, format, true)
    };
    rig.extra = sinks.iter().zip(FORMATTED).take(3).map(weighed).collect();
    // More than a worker may hold, before any format.
    let events: Vec<_> = (0..80).map(|n| large(&n.to_string(), 4000)).collect();
    assert!(events.iter().map(String::len).sum::<usize>() > 2 * budget.held_bytes);
    let events: Vec<_> = events.iter().map(String::as_str).collect();
    let keys: Vec<_> = (0..6).map(|n| rig.deliver(&n.to_string(), &events)).collect();
    rig.run_until_empty().await;
    {
        let scale = scale.lock().expect("not poisoned");
        let most = rig.settings.workers * 3 * budget.portion_bytes;
        assert!(scale.most_bytes <= most, "{} of {most}", scale.most_bytes);
        // The measure measures: much of what there is room for was used.
        assert!(scale.most_bytes > most / 2, "{} of {most}", scale.most_bytes);
    }
    for sink in &sinks[..3] {
        for write in sink.writes() {
            let bytes: usize = write.entries.iter().map(|entry| entry.data.len()).sum();
            assert!(bytes <= budget.portion_bytes, "{bytes} at once for {}", sink.name());
        }
        for key in &keys {
            let entries = sink.acknowledged();
            let of_file = entries.iter().filter(|entry| entry.source.key == *key);
            let indexes: Vec<_> = of_file.map(|entry| entry.index).collect();
            assert_eq!(indexes, (0..80).collect::<Vec<u64>>(), "{}", sink.name());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_before_a_portion_failed_is_not_sent_again() {
    let mut rig = small_rig();
    let siem = ScriptedSink::new("enveloped");
    let mut portions = 0;
    siem.answer_by(move |_| {
        portions += 1;
        if portions == 3 { Answer::Fail(SinkError::retry("down")) } else { Answer::Accept }
    });
    rig.extra = vec![formatted(siem.clone(), Format::Envelope, true)];
    let events: Vec<_> = (0..300).map(|n| large(&n.to_string(), 4000)).collect();
    let events: Vec<_> = events.iter().map(String::as_str).collect();
    rig.deliver("one", &events);
    rig.run_until_empty().await;
    assert!(siem.writes().len() > 4);
    let indexes: Vec<_> = siem.acknowledged().iter().map(|entry| entry.index).collect();
    assert_eq!(indexes, (0..300).collect::<Vec<u64>>());
}

#[tokio::test(start_paused = true)]
async fn events_larger_than_a_portion_go_one_after_the_other_to_each_sink() {
    let mut rig = small_rig();
    let budget = budget(&rig, 2);
    let scales = [(); 2].map(|()| Arc::new(Mutex::new(Scale::default())));
    let sinks = [ScriptedSink::new("lake"), ScriptedSink::new("siem2")];
    rig.extra = (0..2)
        .map(|n| {
            let (sink, scale) = (sinks[n].clone(), Arc::clone(&scales[n]));
            formatted(Weighed { sink, scale }, FORMATTED[n + 2], true)
        })
        .collect();
    let huge = large("huge", rig.settings.max_record - 4000);
    assert!(huge.len() > budget.portion_bytes / 3 && huge.len() * 2 > budget.large_bytes / 2);
    for n in 0..8 {
        rig.deliver(&n.to_string(), &[&selected("a"), &huge, &selected("b"), &selected("c")]);
    }
    rig.run_until_empty().await;
    for (sink, scale) in sinks.iter().zip(scales) {
        let writes = sink.writes();
        let places = |write: &trailsift_testkit::Write| -> Vec<u64> {
            write.entries.iter().map(|entry| entry.index).collect()
        };
        // What is before it, it, and what is behind it.
        let mut placed: Vec<_> = writes.iter().map(places).collect();
        placed.sort();
        assert_eq!(placed, [vec![vec![0]; 8], vec![vec![1]; 8], vec![vec![2, 3]; 8]].concat());
        let scale = scale.lock().expect("not poisoned");
        let one = writes.iter().map(|w| w.entries[0].data.len()).max().expect("a write");
        assert!(scale.most_bytes < one + 8 * 20_000, "{} at once, {one} each", scale.most_bytes);
    }
}

#[tokio::test(start_paused = true)]
async fn large_events_for_a_stuck_sink_do_not_keep_any_from_another_one() {
    let mut rig = small_rig();
    let (stuck, lake) = (ScriptedSink::new("stuck"), ScriptedSink::new("lake"));
    stuck.answer_by(|_| Answer::Hang);
    rig.extra = vec![
        formatted(stuck.clone(), Format::Ocsf, true),
        formatted(lake.clone(), Format::Ecs, true),
    ];
    let huge = large("huge", rig.settings.max_record - 4000);
    for n in 0..30 {
        rig.deliver(&n.to_string(), &[&selected("a"), &huge]);
    }
    let running = rig.start();
    within(3600 * SECOND, lake.until_acknowledged(60)).await;
    assert!(rig.queue.deleted().is_empty() && stuck.acknowledged().is_empty());
    stuck.heal();
    within(1200 * SECOND, rig.queue.until_empty()).await;
    running.stop().await;
    assert_eq!((stuck.stored().len(), lake.stored().len()), (60, 60));
    assert_eq!(rig.unbalanced(), None);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_a_sink_will_never_take_is_parked_as_the_record_that_it_was() {
    for format in FORMATTED {
        let mut rig = Rig::new();
        let lake = ScriptedSink::new("lake");
        lake.answer_by(|batch| {
            let too_large = || SinkError::poison(Reason::SinkRecordTooLarge, "too large");
            let bad = batch.entries.iter().enumerate().filter(|(_, entry)| entry.index == 1);
            Answer::AcceptExcept(bad.map(|(place, _)| (place, too_large())).collect())
        });
        rig.extra = vec![formatted(lake.clone(), format, true)];
        let record = selected("\\u00e9 2").replace(':', ": ");
        rig.deliver("one", &[&selected("1"), &record, &selected("3")]);
        rig.run_until_empty().await;
        assert_eq!(lake.acknowledged().len(), 2);
        let parked = rig.parked();
        assert_eq!(parked.len(), 1);
        assert_eq!(parked[0]["data"], record, "{format:?}");
        assert_eq!(parked[0]["reason"], "sink_record_too_large");
        assert_eq!((&parked[0]["bucket"], &parked[0]["index"]), (&BUCKET.into(), &1.into()));
        let error = format!("sink lake (format {}): too large", format.name());
        assert_eq!(parked[0]["error"], error);
    }
}

#[tokio::test(start_paused = true)]
async fn a_best_effort_sink_gets_its_events_in_its_format_and_holds_nothing_back() {
    let mut rig = small_rig();
    let (slow, well) = (ScriptedSink::new("slow"), ScriptedSink::new("well"));
    slow.answer_by(|_| Answer::Hang);
    rig.extra = vec![
        formatted(slow.clone(), Format::Ecs, false),
        formatted(well.clone(), Format::Envelope, false),
    ];
    let key = rig.deliver("one", &[&selected("1"), &large("2", 100_000), &selected("3")]);
    rig.run_until_empty().await;
    assert_eq!((rig.events().len(), slow.acknowledged().len()), (3, 0));
    let entries = well.acknowledged();
    assert_eq!(entries.iter().map(|entry| entry.index).collect::<Vec<_>>(), [0, 1, 2]);
    let etag = entries[0].source.etag.as_deref().map(|etag| etag.trim_matches('"'));
    assert_eq!(entries[2].data, event(Format::Envelope, &key, etag, 2, &selected("3")));
}

#[tokio::test(start_paused = true)]
async fn another_format_is_for_what_is_still_owed_and_sends_nothing_again() {
    let mut rig = Rig::new();
    let lake = ScriptedSink::new("lake");
    let down = || SinkError::retry("down");
    lake.answer_by(move |batch| {
        Answer::AcceptExcept((1..batch.entries.len()).map(|place| (place, down())).collect())
    });
    rig.extra = vec![formatted(lake.clone(), Format::Envelope, true)];
    let records = [selected("1"), selected("2"), selected("3")];
    let key = rig.deliver("one", &records.each_ref().map(String::as_str));
    let running = rig.start();
    within(60 * SECOND, lake.until_writes(1)).await;
    running.stop().await;
    assert_eq!(texts(&lake).len(), 1);

    lake.heal();
    let mut again = Rig::new();
    again.queue = rig.queue.clone();
    again.store = rig.store.clone();
    again.sink = rig.sink.clone();
    again.ledger = rig.ledger.clone();
    again.extra = vec![formatted(lake.clone(), Format::CloudEvents, true)];
    again.run_until_empty().await;
    let entries = lake.acknowledged();
    let etag = entries[0].source.etag.as_deref().map(|etag| etag.trim_matches('"'));
    let formats = [Format::Envelope, Format::CloudEvents, Format::CloudEvents];
    assert_eq!(entries.len(), 3);
    for (place, (entry, format)) in entries.iter().zip(formats).enumerate() {
        let expected = event(format, &key, etag, place as u64, &records[place]);
        assert_eq!(entry.data, expected, "{place}");
    }
}
