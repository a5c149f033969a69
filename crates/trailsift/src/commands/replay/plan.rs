//! What is to be sent for lines of the quarantine: one message for each object, however many lines name
//! it, and one for each message that could not be read.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sha2::{Digest as _, Sha256};
use trailsift_trail::{NotifiedObject, Replay, ReplayedRecords, announce};

use super::line::{About, Line, Object, Record, hex};

/// How many records one message asks for at most: some 100 KiB, which every queue takes.
const RECORDS: usize = 10_000;

/// The most that SQS takes in one message.
const MESSAGE_BYTES: usize = 1 << 20;

/// A message to send, and the lines that it is sent for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outgoing {
    /// The configured account whose queue gets it.
    pub(super) account: String,
    pub(super) body: String,
    /// Tells it from others, the same whenever it is made of the same lines.
    pub(super) id: String,
    pub(super) what: What,
    pub(super) reasons: BTreeSet<String>,
    /// The digests of its lines.
    pub(super) lines: Vec<String>,
}

/// What a message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Whatever the message asked for that was received once.
    Message { message_id: String },
    /// An object: as a whole, some records of it, or both.
    Object { object: Object, whole: bool, records: u64 },
}

/// What to send, and what cannot be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) messages: Vec<Outgoing>,
    /// The place of each line that cannot be replayed, and why.
    pub(super) refused: Vec<(String, String)>,
}

/// A record, by the sink that refused it and its place in the file.
type Place<'l> = (Option<&'l str>, u64);

/// The lines about one object.
#[derive(Default)]
struct Asked<'l> {
    whole: Vec<&'l Line>,
    records: BTreeMap<Place<'l>, Vec<&'l Line>>,
}

/// Plans the replay of the chosen lines. Bodies may stand in any of `all`: of a large message only the
/// first line has it. With `latest` no version is asked for.
pub(super) fn plan(chosen: &[&Line], all: &[Line], latest: bool) -> Plan {
    let mut plan = Plan::default();
    let mut objects: BTreeMap<(&str, Object), Asked<'_>> = BTreeMap::new();
    let mut messages: BTreeMap<(&str, &str), Vec<&Line>> = BTreeMap::new();
    for &line in chosen {
        match &line.about {
            About::Message => {
                messages.entry((&line.account, &line.message_id)).or_default().push(line);
            }
            About::Object { object, record } => {
                let mut object = object.clone();
                object.version_id = object.version_id.filter(|_| !latest);
                let asked = objects.entry((&line.account, object)).or_default();
                match record {
                    None => asked.whole.push(line),
                    Some(Record { index, sink }) => {
                        asked.records.entry((sink.as_deref(), *index)).or_default().push(line);
                    }
                }
            }
        }
    }
    let bodies: HashMap<(&str, &str), &str> = all
        .iter()
        .filter_map(|line| Some(((&*line.account, &*line.message_id), line.body.as_deref()?)))
        .collect();
    for ((account, message_id), lines) in messages {
        match bodies.get(&(account, message_id)) {
            Some(body) => plan.messages.push(Outgoing {
                account: account.to_owned(),
                body: (*body).to_owned(),
                id: id_of(&lines),
                what: What::Message { message_id: message_id.to_owned() },
                reasons: reasons(&lines),
                lines: digests(&lines),
            }),
            None => plan.refused.extend(lines.iter().map(|line| {
                let why = format!(
                    "none of the lines read holds the body of message {message_id}: name the file \
                     that has it, too"
                );
                (line.place.clone(), why)
            })),
        }
    }
    for ((account, object), asked) in objects {
        plan.messages.extend(of_object(account, &object, &asked));
    }
    refuse_what_no_queue_takes(&mut plan, chosen);
    plan
}

/// Takes out what SQS never takes: it may refuse the messages beside such a one too, at every replay.
fn refuse_what_no_queue_takes(plan: &mut Plan, chosen: &[&Line]) {
    let (refused, good): (Vec<_>, Vec<_>) =
        plan.messages.drain(..).partition(|message| unfit(&message.body).is_some());
    plan.messages = good;
    let why: HashMap<&str, &str> = refused
        .iter()
        .filter_map(|message| Some((&message.lines, unfit(&message.body)?)))
        .flat_map(|(lines, why)| lines.iter().map(move |line| (line.as_str(), why)))
        .collect();
    let places = chosen.iter().filter_map(|line| {
        Some((line.place.clone(), (*why.get(line.digest.as_str())?).to_owned()))
    });
    plan.refused.extend(places);
}

/// Why SQS would refuse a message with this body: the limits of its `SendMessage`.
fn unfit(body: &str) -> Option<&'static str> {
    let legal = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..);
    match body {
        "" => Some("its message is empty, and no queue takes that"),
        _ if body.len() > MESSAGE_BYTES => {
            Some("its message is above 1 MiB, and no queue takes that")
        }
        _ if !body.chars().all(legal) => {
            Some("its message holds a character that no queue takes: it never came from one")
        }
        _ => None,
    }
}

/// Usually one message. More only where so many records are asked for that they would not fit.
fn of_object(account: &str, object: &Object, asked: &Asked<'_>) -> Vec<Outgoing> {
    let records: Vec<_> = asked.records.iter().collect();
    let parts = records.chunks(RECORDS);
    // An object that is asked for as a whole only has no part of records at all.
    let parts: Vec<_> = if records.is_empty() { vec![&records[..]] } else { parts.collect() };
    let message = |(number, part): (usize, &[(&Place<'_>, &Vec<&Line>)])| {
        let whole = if number == 0 { &asked.whole[..] } else { &[] };
        let of_records = part.iter().flat_map(|(_, lines)| lines.iter());
        let lines: Vec<&Line> = whole.iter().chain(of_records).copied().collect();
        let id = id_of(&lines);
        let mut by_sink: BTreeMap<Option<&str>, BTreeSet<u64>> = BTreeMap::new();
        for ((sink, index), _) in part {
            by_sink.entry(*sink).or_default().insert(*index);
        }
        let by_sink = by_sink.into_iter();
        let records = by_sink
            .map(|(sink, indexes)| ReplayedRecords { sink: sink.map(Into::into), indexes })
            .collect();
        let of_records = Replay { id: id.clone(), records };
        let records = of_records.asked();
        // The object first: it may settle what its records are asked for after that.
        let of_whole = (!whole.is_empty()).then(|| Replay { id: id.clone(), records: Vec::new() });
        let replays = of_whole.into_iter().chain(of_records.is_of_records().then_some(of_records));
        let announced: Vec<_> = replays.map(|replay| announced(object, replay)).collect();
        Outgoing {
            account: account.to_owned(),
            body: announce(&announced),
            id,
            what: What::Object { object: object.clone(), whole: !whole.is_empty(), records },
            reasons: reasons(&lines),
            lines: digests(&lines),
        }
    };
    parts.into_iter().enumerate().map(message).collect()
}

fn announced(object: &Object, replay: Replay) -> NotifiedObject {
    NotifiedObject {
        bucket: object.bucket.clone(),
        key: object.key.clone(),
        version_id: object.version_id.clone(),
        etag: object.etag.clone(),
        size: None,
        event_time: None,
        replay: Some(replay),
    }
}

/// The same for the same lines, in whatever order they were read.
fn id_of(lines: &[&Line]) -> String {
    let digests: BTreeSet<&str> = lines.iter().map(|line| line.digest.as_str()).collect();
    let mut hasher = Sha256::new();
    digests.into_iter().for_each(|digest| hasher.update(digest));
    hex(&hasher.finalize()[..16])
}

fn reasons(lines: &[&Line]) -> BTreeSet<String> {
    lines.iter().map(|line| line.reason.clone()).collect()
}

fn digests(lines: &[&Line]) -> Vec<String> {
    lines.iter().map(|line| line.digest.clone()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use trailsift_trail::{Notification, decode};

    use super::*;

    fn line(number: usize, members: Value) -> Line {
        let mut line = json!({ "reason": "gzip_crc", "account": "a", "message_id": "m", "n": number,
            "bucket": "org-trail", "key": "k" });
        for (name, value) in members.as_object().expect("an object") {
            line[name] = value.clone();
        }
        Line::parse(line.to_string().as_bytes(), format!("f:{number}")).expect("a line")
    }

    fn planned(lines: &[Line]) -> Plan {
        plan(&lines.iter().collect::<Vec<_>>(), lines, false)
    }

    fn announced_by(message: &Outgoing) -> Vec<NotifiedObject> {
        let Ok(Notification::Objects(notified)) = decode(&message.body) else {
            panic!("{}", message.body)
        };
        notified.objects.into_iter().map(|object| object.expect("a good entry")).collect()
    }

    #[test]
    fn however_many_lines_name_an_object_one_message_does() {
        let lines = [
            line(1, json!({})),
            line(2, json!({ "index": 3, "sink": "siem" })),
            line(3, json!({ "index": 3, "sink": "siem" })),
            line(4, json!({ "index": 9 })),
            line(5, json!({ "reason": "too_many_bad_records" })),
        ];
        let plan = planned(&lines);
        assert_eq!((plan.messages.len(), plan.refused.len()), (1, 0));
        let message = &plan.messages[0];
        assert_eq!(message.lines.len(), 5);
        let object =
            Object { bucket: "org-trail".into(), key: "k".into(), version_id: None, etag: None };
        assert_eq!(message.what, What::Object { object, whole: true, records: 2 });
        let [whole, records] = &announced_by(message)[..] else { panic!("two entries") };
        let (whole, records) =
            (whole.replay.as_ref().expect("a replay"), records.replay.as_ref().expect("a replay"));
        assert!(!whole.is_of_records());
        let asked = records
            .records
            .iter()
            .map(|it| (it.sink.as_deref(), it.indexes.iter().copied().collect()));
        assert_eq!(asked.collect::<Vec<_>>(), [(None, vec![9]), (Some("siem"), vec![3])]);
    }

    #[test]
    fn accounts_versions_and_tags_are_objects_of_their_own() {
        let lines = [
            line(1, json!({})),
            line(2, json!({ "account": "b" })),
            line(3, json!({ "version_id": "v1" })),
            line(4, json!({ "version_id": "v2", "etag": "\"e\"" })),
        ];
        let plan = planned(&lines);
        assert_eq!(plan.messages.len(), 4);
        let ids: BTreeSet<_> = plan.messages.iter().map(|message| &message.id).collect();
        assert_eq!(ids.len(), 4);
        let latest = super::plan(&lines.iter().collect::<Vec<_>>(), &lines, true);
        assert!(latest.messages.iter().all(|m| announced_by(m)[0].version_id.is_none()));
    }

    #[test]
    fn what_cannot_be_read_is_sent_again_as_it_was_received_and_once() {
        let nothing = json!({ "bucket": null, "key": null, "reason": "bad_notification" });
        let mut with_body = nothing.clone();
        with_body["body"] = "not a notification \u{202e}[31m".into();
        let lines = [
            line(1, with_body),
            line(2, nothing.clone()),
            line(3, {
                let mut other = nothing;
                other["message_id"] = "m2".into();
                other
            }),
        ];
        let plan = planned(&lines);
        assert_eq!(plan.messages.len(), 1);
        assert_eq!(plan.messages[0].body, "not a notification \u{202e}[31m");
        assert_eq!(plan.messages[0].lines.len(), 2);
        let [(place, why)] = &plan.refused[..] else { panic!("one line") };
        assert!(place == "f:3" && why.contains("message m2"), "{place}: {why}");
        // The line with the body need not be chosen itself.
        assert_eq!(super::plan(&[&lines[1]], &lines, false).messages.len(), 1);
    }

    #[test]
    fn what_no_queue_takes_is_refused_and_its_neighbours_are_sent() {
        let of_message = |number: usize, body: &str| {
            let id = format!("m{number}");
            line(number, json!({ "bucket": null, "key": null, "message_id": id, "body": body }))
        };
        let lines = [
            of_message(1, ""),
            of_message(2, &"x".repeat(MESSAGE_BYTES + 1)),
            of_message(3, "a\u{0}b"),
            of_message(4, "a\u{FFFE}b"),
            of_message(5, "a\t\r\n\u{FFFD}\u{10FFFF}\u{FDD0}"),
            line(6, json!({ "key": "a\u{FFFE}\u{FFFF}\u{1}b" })),
        ];
        let plan = planned(&lines);
        let places: Vec<_> = plan.refused.iter().map(|(place, _)| place.as_str()).collect();
        assert_eq!(places, ["f:1", "f:2", "f:3", "f:4"]);
        assert!(plan.refused[0].1.contains("empty") && plan.refused[1].1.contains("1 MiB"));
        assert!(plan.refused[2].1.contains("character"));
        // A key travels encoded, whatever it is made of.
        assert_eq!(plan.messages.len(), 2);
    }

    #[test]
    fn a_message_is_the_same_whenever_it_is_made_of_the_same_lines() {
        let one = line(1, json!({ "index": 1, "sink": "siem" }));
        let two = line(2, json!({ "index": 2, "sink": "siem" }));
        let forth = planned(&[one.clone(), two.clone()]);
        let back = planned(&[two, one.clone()]);
        assert_eq!(forth.messages[0].body, back.messages[0].body);
        assert_ne!(forth.messages[0].id, planned(&[one]).messages[0].id);
    }

    #[test]
    fn very_many_records_are_asked_for_by_several_messages_each_with_its_own_lines() {
        let lines: Vec<_> = (0..RECORDS + 5)
            .map(|n| line(n, json!({ "index": n, "sink": if n % 2 == 0 { "a" } else { "b" } })))
            .collect();
        let plan = planned(&lines);
        assert_eq!(plan.messages.len(), 2);
        // Each message vouches for its own lines: one that cannot be sent takes none of the other's away.
        assert_eq!(plan.messages[0].lines.len(), RECORDS);
        assert_eq!(plan.messages[1].lines.len(), 5);
        assert!(plan.messages.iter().all(|message| message.body.len() < 200 << 10));
        let mut asked = BTreeSet::new();
        for message in &plan.messages {
            let replay = announced_by(message).remove(0).replay.expect("a replay");
            for records in replay.records {
                let sink = records.sink.expect("a sink");
                asked.extend(records.indexes.into_iter().map(|index| (index, sink.clone())));
            }
        }
        let sink = |n| if n % 2 == 0 { "a" } else { "b" };
        let expected = (0..lines.len() as u64).map(|n| (n, sink(n).to_owned()));
        assert_eq!(asked, expected.collect());
    }
}
