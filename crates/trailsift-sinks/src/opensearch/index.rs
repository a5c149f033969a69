use std::fmt;
use std::str::FromStr;

use trailsift_core::Entry;
use trailsift_delivery::facts;
use trailsift_event::Event;

/// The name of the index that an event goes to, with places for when and whose it was:
/// `{yyyy}`, `{MM}`, `{dd}`, `{account}` and `{region}`.
///
/// Any event makes a legal name of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexTemplate {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(Place),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Year,
    Month,
    Day,
    Account,
    Region,
}

const PLACES: [(&str, Place); 5] = [
    ("yyyy", Place::Year),
    ("MM", Place::Month),
    ("dd", Place::Day),
    ("account", Place::Account),
    ("region", Place::Region),
];

/// The longest value of a place: regions have 9 to 14 characters, accounts 12.
const LONGEST_VALUE: usize = 32;
/// The longest name of an index, in bytes.
const LONGEST_NAME: usize = 255;

/// Why a text is no template of an index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexTemplateError {
    /// There is a place that no event fills.
    #[error("has an unknown place {{{}}}: known are {{yyyy}}, {{MM}}, {{dd}}, {{account}}, {{region}}", .0.escape_debug())]
    UnknownPlace(String),
    /// A brace is not closed, or was not opened.
    #[error("has a brace without its other one")]
    Unbalanced,
    /// It makes no legal name.
    #[error(
        "makes no legal name of an index: at most {LONGEST_NAME} bytes, lower case, none of \\ / * ? \" < > | , # : \
         or white space, and no `-`, `_`, `+` or `.` at its start"
    )]
    Illegal,
}

impl Default for IndexTemplate {
    /// One index a day.
    fn default() -> Self {
        let place = |name: &str, place| (name.to_owned(), Part::Place(place));
        let text = |text: &str| (text.to_owned(), Part::Text(text.to_owned()));
        let parts = [
            text("cloudtrail-"),
            place("{yyyy}", Place::Year),
            text("."),
            place("{MM}", Place::Month),
            text("."),
            place("{dd}", Place::Day),
        ];
        let (texts, parts): (Vec<String>, Vec<Part>) = parts.into_iter().unzip();
        Self { text: texts.concat(), parts }
    }
}

impl FromStr for IndexTemplate {
    type Err = IndexTemplateError;

    fn from_str(text: &str) -> Result<Self, IndexTemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            if at > 0 {
                parts.push(Part::Text(rest[..at].to_owned()));
            }
            let inside = rest[at..].strip_prefix('{').ok_or(IndexTemplateError::Unbalanced)?;
            let (name, after) = inside.split_once('}').ok_or(IndexTemplateError::Unbalanced)?;
            let known = PLACES.iter().find(|(known, _)| *known == name);
            let (_, place) =
                known.ok_or_else(|| IndexTemplateError::UnknownPlace(name.to_owned()))?;
            parts.push(Part::Place(*place));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        let template = Self { text: text.to_owned(), parts };
        // Values are made legal; the longest of them stand for all.
        let name = template.fill(|_| "x".repeat(LONGEST_VALUE));
        if is_legal(&name) { Ok(template) } else { Err(IndexTemplateError::Illegal) }
    }
}

impl fmt::Display for IndexTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl IndexTemplate {
    /// The name for this event. What the event does not say is `unknown`, or in a date zeros.
    pub(super) fn render(&self, entry: &Entry, event: &Event<'_>) -> String {
        let date = facts::time(event).map(|time| time.date());
        self.fill(|place| match place {
            Place::Year => date.map_or_else(|| "0000".into(), |date| format!("{:04}", date.year())),
            Place::Month => {
                date.map_or_else(|| "00".into(), |date| format!("{:02}", u8::from(date.month())))
            }
            Place::Day => date.map_or_else(|| "00".into(), |date| format!("{:02}", date.day())),
            Place::Account => tame(Some(&facts::owner(entry, event))),
            Place::Region => tame(facts::region(event).as_deref()),
        })
    }

    fn fill(&self, value: impl Fn(Place) -> String) -> String {
        let fill = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Place(place) => value(*place),
        };
        self.parts.iter().map(fill).collect()
    }
}

/// A value of an event as part of a name: an event chooses neither other indexes nor the action
/// line's next member.
fn tame(value: Option<&str>) -> String {
    let legal = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_lowercase() || c.is_ascii_digit() => c,
        _ => '-',
    };
    let value: String = value.unwrap_or_default().chars().take(LONGEST_VALUE).map(legal).collect();
    match value.trim_matches('-') {
        "" => "unknown".to_owned(),
        value => value.to_owned(),
    }
}

fn is_legal(name: &str) -> bool {
    let illegal = |c: char| {
        c.is_control() || c.is_whitespace() || c.is_uppercase() || "\\/*?\"<>|,#:".contains(c)
    };
    !name.is_empty()
        && name.len() <= LONGEST_NAME
        && !name.contains(illegal)
        && !name.starts_with(['-', '_', '+', '.'])
}

#[cfg(test)]
mod tests {
    use trailsift_testkit::conformance::batch;

    use super::*;

    fn render(template: &str, record: &str) -> String {
        let template: IndexTemplate = template.parse().expect("a template");
        let entry = batch([record]).entries.remove(0);
        template.render(&entry, &Event::new(&entry.record))
    }

    #[test]
    fn an_event_goes_to_the_index_of_its_day_account_and_region() {
        let record = r#"{"eventTime":"2026-01-02T23:59:59Z","recipientAccountId":"111122223333",
            "awsRegion":"us-east-1"}"#;
        assert_eq!(
            render("trail-{account}-{region}-{yyyy}.{MM}.{dd}-v1", record),
            "trail-111122223333-us-east-1-2026.01.02-v1"
        );
        assert_eq!(render("cloudtrail", record), "cloudtrail");
        assert_eq!(IndexTemplate::default(), "cloudtrail-{yyyy}.{MM}.{dd}".parse().unwrap());
    }

    #[test]
    fn whatever_an_event_says_the_name_is_legal_and_no_other_index() {
        let odd = r#"{"recipientAccountId":"../_all\"},\u00c4","awsRegion":"US East*"}"#;
        let name = render("t-{account}-{region}-{yyyy}.{MM}.{dd}", odd);
        assert_eq!(name, "t-production-us-east-0000.00.00");
        let long = format!(r#"{{"awsRegion":"{}"}}"#, "a".repeat(900));
        assert_eq!(render("t-{region}", &long).len(), 34);
        assert_eq!(render("t-{account}", "{}"), "t-production", "in whose files it stands");
        assert_eq!(render("t-{region}", "{}"), "t-unknown");
        for nothing in ["{}", "", "[]", r#"{"eventTime":7}"#] {
            assert!(is_legal(&render("{yyyy}-{account}-{region}", nothing)));
        }
    }

    #[test]
    fn mistakes_in_a_template_are_named() {
        for (text, expected) in [
            ("t-{year}", IndexTemplateError::UnknownPlace("year".into())),
            ("t-{yyyy", IndexTemplateError::Unbalanced),
            ("t-yyyy}", IndexTemplateError::Unbalanced),
            ("", IndexTemplateError::Illegal),
            ("T", IndexTemplateError::Illegal),
            ("-t", IndexTemplateError::Illegal),
            (".t", IndexTemplateError::Illegal),
            ("a b", IndexTemplateError::Illegal),
            ("a\"b", IndexTemplateError::Illegal),
        ] {
            assert_eq!(text.parse::<IndexTemplate>(), Err(expected), "{text}");
        }
        assert_eq!("a".repeat(256).parse::<IndexTemplate>(), Err(IndexTemplateError::Illegal));
        assert!("a".repeat(255).parse::<IndexTemplate>().is_ok());
    }
}
