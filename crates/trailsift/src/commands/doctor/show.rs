//! How a report looks: for people on a terminal, one line for each check in a pipe, JSON Lines where
//! asked for.

use std::cell::RefCell;
use std::io;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::io::{IsTerminal as _, stderr, stdout};
use unicode_width::UnicodeWidthStr as _;

use super::line::{Level, Line, Section};
use crate::commands::sift::table::Look;
use crate::commands::{counted, put, say};
use crate::logging::escaped;

/// The column of the checks' names: as wide as the longest one.
const CHECK: usize = 12;
const LEVEL: usize = 4;

/// Shows sections as they come, and counts.
pub(super) struct Shown {
    form: Form,
    bar: Option<ProgressBar>,
    ok: usize,
    warnings: usize,
    failures: usize,
    is_first: bool,
}

enum Form {
    People(Look),
    Plain,
    Json,
}

/// Who has not answered yet: shown on a terminal while they are waited for.
pub(super) struct Awaited {
    names: RefCell<Vec<String>>,
    bar: Option<ProgressBar>,
}

impl Awaited {
    pub(super) fn of(names: Vec<String>) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.set_message(waiting_for(&names));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { names: RefCell::new(names), bar }
    }

    pub(super) fn bar(&self) -> Option<ProgressBar> {
        self.bar.clone()
    }

    pub(super) fn came(&self, name: &str) {
        let mut names = self.names.borrow_mut();
        if let Some(place) = names.iter().position(|it| it == name) {
            names.remove(place);
        }
        if let Some(bar) = &self.bar {
            bar.set_message(waiting_for(&names));
        }
    }
}

fn waiting_for(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = names.iter().take(SHOWN).map(|name| escaped(name)).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 if names.is_empty() => String::new(),
        0 => format!("waiting for {shown}"),
        more => format!("waiting for {shown} and {more} more"),
    }
}

impl Shown {
    pub(super) fn start(json: bool, bar: Option<ProgressBar>) -> Self {
        let form = match (json, stdout().is_terminal()) {
            (true, _) => Form::Json,
            (false, true) => Form::People(Look::of_stdout()),
            (false, false) => Form::Plain,
        };
        Self { form, bar, ok: 0, warnings: 0, failures: 0, is_first: true }
    }

    /// `Ok(false)`: nobody reads on.
    pub(super) fn section(&mut self, section: &Section) -> io::Result<bool> {
        for line in &section.lines {
            *match line.level {
                Level::Ok => &mut self.ok,
                Level::Warn => &mut self.warnings,
                Level::Fail => &mut self.failures,
            } += 1;
        }
        let text = match &self.form {
            Form::Json => json_lines(section),
            Form::Plain => plain(section),
            Form::People(look) => for_people(section, *look, self.is_first),
        };
        self.is_first = false;
        match &self.bar {
            Some(bar) => bar.suspend(|| put(text.as_bytes())),
            None => put(text.as_bytes()),
        }
    }

    /// The summary, on standard error. Returns whether anything failed.
    pub(super) fn finish(self) -> bool {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        say(&format!(
            "{} ok, {}, {}",
            self.ok,
            counted(self.warnings, "warning"),
            counted(self.failures, "failure")
        ));
        self.failures > 0
    }
}

fn json_lines(section: &Section) -> String {
    let mut out = String::new();
    for Line { level, check, text, remedy } in &section.lines {
        let mut line = json!({
            "level": level.as_str(), "subject": section.subject, "check": check, "text": text,
        });
        if let Some(remedy) = remedy {
            line["remedy"] = json!(remedy);
        }
        out.push_str(&line.to_string());
        out.push('\n');
    }
    out
}

fn plain(section: &Section) -> String {
    let mut out = String::new();
    for Line { level, check, text, remedy } in &section.lines {
        let subject = &section.subject;
        out.push_str(&format!("{level:LEVEL$}  {subject}  {check}: {}", escaped(text)));
        if let Some(remedy) = remedy {
            out.push_str(&format!(" | {}", escaped(remedy)));
        }
        out.push('\n');
    }
    out
}

fn for_people(section: &Section, look: Look, is_first: bool) -> String {
    let indent = 2 + LEVEL + 2 + CHECK + 2;
    let room = look.width.saturating_sub(indent).max(20);
    let mut out = if is_first { String::new() } else { "\n".to_owned() };
    out.push_str(&look.strong(&escaped(&section.subject)));
    out.push('\n');
    for Line { level, check, text, remedy } in &section.lines {
        let colour = match level {
            Level::Ok => "32",
            Level::Warn => "33",
            Level::Fail => "1;31",
        };
        let level = look.painted(&format!("{level:LEVEL$}"), colour);
        let mut begin = format!("  {level}  {check:CHECK$}  ");
        for row in wrapped(&escaped(text), room) {
            out.push_str(&begin);
            out.push_str(&row);
            out.push('\n');
            begin = " ".repeat(indent);
        }
        let mut begin = format!("{}→ ", " ".repeat(indent));
        for row in remedy.iter().flat_map(|it| wrapped(&escaped(it), room.saturating_sub(2))) {
            out.push_str(&begin);
            out.push_str(&row);
            out.push('\n');
            begin = " ".repeat(indent + 2);
        }
    }
    out
}

/// The text in rows of at most so many columns, broken at spaces; a longer word stands alone, so that
/// it can be copied whole.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    for word in text.split(' ') {
        let row = rows.last().map_or(0, |row| row.width());
        if row > 0 && row + 1 + word.width() > columns {
            rows.push(word.to_owned());
        } else if let Some(last) = rows.last_mut() {
            if row > 0 {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section() -> Section {
        let lines = vec![
            Line::ok("queue", "arn:aws:sqs:us-east-1:1:trail: 3 visible"),
            Line::fail(
                "redrive",
                "the policy\u{1b}[2J is missing",
                "give it one with a dead-letter queue",
            ),
        ];
        Section { subject: "account production".into(), lines }
    }

    #[test]
    fn people_get_rows_that_fit_and_a_remedy_below() {
        let shown = for_people(&section(), Look { width: 50, colour: false }, true);
        let expected = "account production\n  \
             ok    queue         arn:aws:sqs:us-east-1:1:trail:\n                      \
             3 visible\n  \
             fail  redrive       the policy\\u{1b}[2J is\n                      \
             missing\n                      \
             → give it one with a\n                        \
             dead-letter queue\n";
        assert_eq!(shown, expected);
        assert!(
            for_people(&section(), Look { width: 50, colour: true }, false)
                .contains("\u{1b}[1;31mfail\u{1b}[0m")
        );
    }

    #[test]
    fn a_pipe_gets_one_line_for_each_check() {
        let expected = "ok    account production  queue: arn:aws:sqs:us-east-1:1:trail: 3 visible\n\
             fail  account production  redrive: the policy\\u{1b}[2J is missing | give it one with a dead-letter queue\n";
        assert_eq!(plain(&section()), expected);
    }

    #[test]
    fn programs_get_json() {
        let lines = json_lines(&section());
        let lines: Vec<serde_json::Value> =
            lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines[0]["level"], "ok");
        assert_eq!(lines[0]["remedy"], serde_json::Value::Null);
        assert_eq!(lines[1]["subject"], "account production");
        assert_eq!(lines[1]["remedy"], "give it one with a dead-letter queue");
    }
}
