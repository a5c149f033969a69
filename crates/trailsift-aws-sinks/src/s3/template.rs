//! Where in the bucket an event belongs.

use std::fmt;
use std::str::FromStr;

use time::OffsetDateTime;

use super::row::Row;

/// The beginning of an object's key, with parts that each event fills in: what it belongs to and when it
/// happened.
///
/// `{account}` is the account that the trail recorded it for (`recipientAccountId`, or else the configured
/// account's name), `{region}` its
/// `awsRegion`, `{source}` its `eventSource`; `{yyyy}`, `{MM}`, `{dd}` and `{HH}` are its `eventTime` in UTC.
/// What an event does not say is `unknown`. Events are not trusted with keys: of their texts only ASCII
/// letters, digits, `-`, `_` and `.` are kept, at most 64 of them, and any other character is a `_`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyTemplate {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Field(Field),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Account,
    Region,
    Source,
    Year,
    Month,
    Day,
    Hour,
}

const FIELDS: [(&str, Field); 7] = [
    ("account", Field::Account),
    ("region", Field::Region),
    ("source", Field::Source),
    ("yyyy", Field::Year),
    ("MM", Field::Month),
    ("dd", Field::Day),
    ("HH", Field::Hour),
];

/// The most characters that one field of an event puts into a key.
const LONGEST_VALUE: usize = 64;
/// S3 takes keys of 1024 bytes; the rest is the object's own name.
const LONGEST_PREFIX: usize = 1024 - 64;
const UNKNOWN: &str = "unknown";

/// Why a template is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A field that events do not have.
    #[error(
        "has no field {0:?}: there are {{account}}, {{region}}, {{source}}, {{yyyy}}, {{MM}}, {{dd}} and {{HH}}"
    )]
    UnknownField(String),
    /// A brace without its partner.
    #[error("has a brace without its partner: fields look like {{account}}")]
    Brace,
    /// A character that is not safe in keys.
    #[error("holds {0:?}: use ASCII letters, digits and `/!_.*'()=-`")]
    Character(char),
    /// A segment that tools on file systems trip over.
    #[error("begins with a slash, or has an empty segment, `.` or `..` between slashes")]
    Segment,
    /// Keys could become longer than S3 takes.
    #[error("can become {0} bytes long, more than the {LONGEST_PREFIX} that S3's limit leaves")]
    TooLong(usize),
}

impl FromStr for KeyTemplate {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let literal = rest.find(['{', '}']).unwrap_or(rest.len());
            if literal > 0 {
                parts.push(Part::Literal(rest[..literal].to_owned()));
            }
            rest = &rest[literal..];
            if rest.is_empty() {
                break;
            }
            let inside = rest.strip_prefix('{').ok_or(TemplateError::Brace)?;
            let (name, after) = inside.split_once('}').ok_or(TemplateError::Brace)?;
            let field = FIELDS.iter().find(|(known, _)| *known == name);
            let (_, field) = field.ok_or_else(|| TemplateError::UnknownField(name.to_owned()))?;
            parts.push(Part::Field(*field));
            rest = after;
        }
        let template = Self { text: text.to_owned(), parts };
        template.judge()?;
        Ok(template)
    }
}

impl KeyTemplate {
    fn judge(&self) -> Result<(), TemplateError> {
        let mut longest = 0;
        let mut sample = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => {
                    let safe = |c: char| c.is_ascii_alphanumeric() || "/!_.*'()=-".contains(c);
                    if let Some(odd) = text.chars().find(|c| !safe(*c)) {
                        return Err(TemplateError::Character(odd));
                    }
                    longest += text.len();
                    sample.push_str(text);
                }
                Part::Field(_) => {
                    longest += LONGEST_VALUE;
                    sample.push('x');
                }
            }
        }
        // What follows the last slash is the beginning of the object's name, which may be empty.
        let mut folders = sample.split('/').collect::<Vec<_>>();
        folders.pop();
        if folders.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
            return Err(TemplateError::Segment);
        }
        if longest > LONGEST_PREFIX {
            return Err(TemplateError::TooLong(longest));
        }
        Ok(())
    }

    /// The beginning of the key of the object that this event belongs into.
    pub(super) fn render(&self, row: &Row<'_>) -> String {
        let mut key = String::with_capacity(self.text.len() + 32);
        for part in &self.parts {
            match part {
                Part::Literal(text) => key.push_str(text),
                Part::Field(field) => field.render(row, &mut key),
            }
        }
        key
    }
}

impl fmt::Display for KeyTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Field {
    fn render(self, row: &Row<'_>, key: &mut String) {
        let time = |part: fn(OffsetDateTime) -> String| match row.time {
            Some(time) => part(time),
            None => UNKNOWN.to_owned(),
        };
        let value = match self {
            Self::Account => safe(Some(&row.owner)),
            Self::Region => safe(row.region.as_deref()),
            Self::Source => safe(row.event_source.as_deref()),
            Self::Year => time(|time| format!("{:04}", time.year())),
            Self::Month => time(|time| format!("{:02}", u8::from(time.month()))),
            Self::Day => time(|time| format!("{:02}", time.day())),
            Self::Hour => time(|time| format!("{:02}", time.hour())),
        };
        key.push_str(&value);
    }
}

/// An event's text as a part of a key: it cannot add a segment, name another partition's key, or leave
/// its folder.
fn safe(text: Option<&str>) -> String {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return UNKNOWN.to_owned() };
    let keep = |c: char| match c {
        c if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') => c,
        _ => '_',
    };
    let value: String = text.chars().take(LONGEST_VALUE).map(keep).collect();
    match value.bytes().all(|byte| byte == b'.') {
        true => "_".repeat(value.len()),
        false => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: &str =
        "trailsift/account={account}/region={region}/date={yyyy}-{MM}-{dd}/hour={HH}/";

    fn render(template: &str, record: &str) -> String {
        let template: KeyTemplate = template.parse().expect("a template");
        let mut batch = trailsift_testkit::conformance::batch([record]);
        let entry = batch.entries.remove(0);
        template.render(&Row::of(&entry))
    }

    #[test]
    fn an_event_belongs_where_its_own_facts_say() {
        let record = r#"{"eventTime":"2026-11-22T23:59:59Z","awsRegion":"eu-west-1",
            "eventSource":"iam.amazonaws.com","recipientAccountId":"111122223333"}"#;
        assert_eq!(
            render(USUAL, record),
            "trailsift/account=111122223333/region=eu-west-1/date=2026-11-22/hour=23/"
        );
        assert_eq!(render("{source}-{yyyy}", record), "iam.amazonaws.com-2026");
        assert_eq!(render("", record), "");
        let elsewhere = r#"{"eventTime":"2026-11-23T01:30:00+02:00"}"#;
        assert_eq!(render("{yyyy}{MM}{dd}{HH}/", elsewhere), "2026112223/", "in UTC");
    }

    #[test]
    fn what_an_event_does_not_say_is_unknown() {
        for record in ["{}", r#"{"eventTime":7,"awsRegion":null,"recipientAccountId":""}"#, "[]"] {
            assert_eq!(
                render("{account}/{region}/{source}/{yyyy}-{MM}-{dd}/{HH}/", record),
                "production/unknown/unknown/unknown-unknown-unknown/unknown/",
                "{record}"
            );
        }
        assert_eq!(render("{yyyy}/", r#"{"eventTime":"yesterday"}"#), "unknown/");
    }

    #[test]
    fn an_events_text_cannot_choose_another_key() {
        let long = "x".repeat(1000);
        for (given, expected) in [
            ("../../etc", ".._.._etc"),
            ("..", "__"),
            (".", "_"),
            ("a/b", "a_b"),
            ("x/date=2026-01-01", "x_date_2026-01-01"),
            ("%2e%2e%2f", "_2e_2e_2f"),
            ("a\\nb\\u0000c", "a_b_c"),
            ("ü€", "__"),
            ("{account}", "_account_"),
            (" ", "_"),
            (&long, &long[..64]),
        ] {
            let record = format!(r#"{{"awsRegion":"{given}"}}"#);
            assert_eq!(render("{region}/", &record), format!("{expected}/"), "{given}");
        }
    }

    #[test]
    fn a_template_that_cannot_hold_is_refused() {
        let parse = |text: &str| text.parse::<KeyTemplate>().expect_err(text);
        assert_eq!(parse("{acount}/"), TemplateError::UnknownField("acount".into()));
        for text in ["{account", "account}", "{", "}", "a}{b"] {
            assert_eq!(parse(text), TemplateError::Brace, "{text}");
        }
        for (text, odd) in [("a b/", ' '), ("ü/", 'ü'), ("a\n", '\n'), ("a%2f", '%'), ("a?b", '?')]
        {
            assert_eq!(parse(text), TemplateError::Character(odd), "{text}");
        }
        for text in ["/a/", "a//b/", "./", "a/../b/", "../"] {
            assert_eq!(parse(text), TemplateError::Segment, "{text}");
        }
        assert_eq!(parse(&format!("{}/", "a".repeat(1000))), TemplateError::TooLong(1001));
        assert!(parse(&"{region}".repeat(16)).to_string().contains("1024 bytes long"));
        for text in ["", "a", "a/b", "{yyyy}/", "..a/", USUAL] {
            assert_eq!(text.parse::<KeyTemplate>().expect(text).to_string(), text);
        }
    }
}
