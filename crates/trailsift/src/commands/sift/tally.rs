//! How many events there are of each value of a field.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use trailsift_event::{ActorValue, Event, Json};

use super::table::{Look, cut};

/// What all threads together may hold of different values, in bytes.
const MAX_HELD: usize = 64 << 20;
/// What a value takes beside its text, in bytes, about.
const OVERHEAD: usize = 64;
/// What stands for a field that is not there.
const ABSENT: &str = "null";

/// The field by which is counted, and what is held of it. Shared by all threads.
#[derive(Debug)]
pub(super) struct Field {
    path: String,
    held: AtomicUsize,
    most: usize,
}

impl Field {
    pub(super) fn new(path: &str) -> Self {
        Self { path: path.to_owned(), held: AtomicUsize::new(0), most: MAX_HELD }
    }

    /// Whether there are more different values than can be held: then no count is right.
    pub(super) fn is_overfull(&self) -> bool {
        self.held.load(Ordering::Relaxed) > self.most
    }

    /// What the event says at the path, each different value once, as JSON.
    fn values(&self, record: &[u8]) -> Vec<String> {
        let event = Event::new(record);
        let mut values = match self.path.strip_prefix("actor.") {
            None => event.values(&self.path).into_iter().map(json).collect(),
            Some(field) => match event.actor().field(field) {
                Some(ActorValue::Text(text)) => vec![Value::from(text).to_string()],
                Some(ActorValue::Flag(flag)) => vec![flag.to_string()],
                None => Vec::new(),
            },
        };
        if values.is_empty() {
            values.push(ABSENT.into());
        }
        values.sort_unstable();
        values.dedup();
        values
    }
}

/// The value on one line; a text in the one way that we write it, however the record does.
fn json(value: Json<'_>) -> String {
    match value.text() {
        Some(text) => Value::from(text).to_string(),
        None => {
            let text = String::from_utf8_lossy(value.raw());
            text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect()
        }
    }
}

/// How many events there are of each value.
#[derive(Debug, Default)]
pub(super) struct Tally(HashMap<String, u64>);

impl Tally {
    /// Counts the event. One that has several values counts once for each.
    pub(super) fn add(&mut self, field: &Field, record: &[u8]) {
        for value in field.values(record) {
            if let Some(count) = self.0.get_mut(&value) {
                *count += 1;
            } else if !field.is_overfull() {
                field.held.fetch_add(value.len() + OVERHEAD, Ordering::Relaxed);
                self.0.insert(value, 1);
            }
        }
    }

    pub(super) fn plus(mut self, other: Self) -> Self {
        for (value, count) in other.0 {
            *self.0.entry(value).or_default() += count;
        }
        self
    }

    /// The most frequent value first, equally frequent ones in the order of their JSON.
    fn sorted(&self) -> Vec<(&str, u64)> {
        let mut rows: Vec<_> =
            self.0.iter().map(|(value, count)| (value.as_str(), *count)).collect();
        rows.sort_unstable_by_key(|(value, count)| (Reverse(*count), *value));
        rows
    }

    /// `{"eventName":"ListCodeReviews","count":57}` for each value, as JSON Lines.
    pub(super) fn lines(&self, field: &Field) -> String {
        let name = Value::from(field.path.as_str());
        let lines = self.sorted().into_iter();
        lines.map(|(value, count)| format!("{{{name}:{value},\"count\":{count}}}\n")).collect()
    }

    /// A table for people: counts, and behind them the values.
    pub(super) fn table(&self, field: &Field, look: Look) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let rows = self.sorted();
        let digits = rows.first().map_or(0, |(_, count)| count.to_string().len());
        let numbers = digits.max("count".len());
        let rest = look.width.saturating_sub(numbers + 2);
        let head = format!("{:>numbers$}  {}", "count", cut(&field.path, rest));
        let mut out = look.strong(&head);
        out.push('\n');
        for (value, count) in rows {
            out.push_str(&format!("{count:>numbers$}  {}\n", cut(&shown(value), rest)));
        }
        out
    }
}

/// A text without its quotes; what is not there as a dash.
fn shown(value: &str) -> String {
    match serde_json::from_str(value) {
        Ok(Value::Null) => "-".into(),
        Ok(Value::String(text)) => text,
        _ => value.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDS: [&str; 5] = [
        r#"{"eventName":"List","resources":[{"ARN":"a"},{"ARN":"b"},{"ARN":"a"}],"n":1.50}"#,
        r#"{"eventName":"L\u0069st","resources":[{"ARN":"b"}],"n":true}"#,
        r#"{"eventName":null,"userIdentity":{"type":"Root"}}"#,
        r#"{"eventName":"A\u001b\"", "n":{
            "x":1}}"#,
        r#"{"eventName":"null"}"#,
    ];

    fn tally(path: &str) -> (Field, Tally) {
        let field = Field::new(path);
        let mut halves = [Tally::default(), Tally::default()];
        for (number, record) in RECORDS.iter().enumerate() {
            halves[number % 2].add(&field, record.as_bytes());
        }
        let [one, other] = halves;
        (field, one.plus(other))
    }

    #[test]
    fn values_are_counted_once_an_event_and_the_most_frequent_comes_first() {
        for (path, lines) in [
            (
                "eventName",
                "{\"eventName\":\"List\",\"count\":2}\n{\"eventName\":\"A\\u001b\\\"\",\"count\":1}\n\
                 {\"eventName\":\"null\",\"count\":1}\n{\"eventName\":null,\"count\":1}\n",
            ),
            (
                "resources.ARN",
                "{\"resources.ARN\":null,\"count\":3}\n{\"resources.ARN\":\"b\",\"count\":2}\n\
                 {\"resources.ARN\":\"a\",\"count\":1}\n",
            ),
            (
                "n",
                "{\"n\":null,\"count\":2}\n{\"n\":1.50,\"count\":1}\n{\"n\":true,\"count\":1}\n\
                 {\"n\":{            \"x\":1},\"count\":1}\n",
            ),
            (
                "actor.kind",
                "{\"actor.kind\":\"unknown\",\"count\":4}\n{\"actor.kind\":\"root\",\"count\":1}\n",
            ),
        ] {
            let (field, tally) = tally(path);
            assert_eq!(tally.lines(&field), lines);
            for line in lines.lines() {
                assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
            }
        }
    }

    #[test]
    fn a_table_of_counts_fits_and_holds_no_commands() {
        let (field, counted) = tally("eventName");
        let look = Look { width: 10, colour: false };
        let table = "count  ev…\n    2  Li…\n    1  A\\…\n    1  nu…\n    1  -\n";
        assert_eq!(counted.table(&field, look), table);
        assert_eq!(Tally::default().table(&field, look), "");
    }

    #[test]
    fn more_values_than_can_be_held_are_noticed() {
        let field = Field { most: 100, ..Field::new("eventName") };
        let mut tally = Tally::default();
        for record in &RECORDS[..1] {
            tally.add(&field, record.as_bytes());
        }
        assert!(!field.is_overfull());
        for record in RECORDS {
            tally.add(&field, record.as_bytes());
        }
        assert!(field.is_overfull());
        assert_eq!(tally.0.len(), 2, "no more is taken in");
    }
}
