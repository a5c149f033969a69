//! Events as a person wants to see them: when, what, who, from where, and how it went. One line
//! each, never wider than the terminal, so that columns stay columns.

mod who;

use std::io::stdout;

use rustix::termios::tcgetwinsize;
use trailsift_event::{ActorKind, Event, Outcome};
use unicode_width::UnicodeWidthChar as _;

use crate::commands::wants_colour;
use crate::logging::escaped;

/// The width where nobody says: what terminals have been for half a century.
const USUAL_WIDTH: usize = 80;
/// A narrower terminal gets lines of this width all the same.
const LEAST_WIDTH: usize = 40;
/// A wider one gains nothing.
const MOST_WIDTH: usize = 1000;
/// From this width on the year and the zone are shown.
const WHOLE_TIME_WIDTH: usize = 100;
/// How much of a text is looked at, in characters: what takes no room on the screen could be as long
/// as it likes.
const LONGEST: usize = 512;
/// Between two columns.
const GAP: &str = "  ";

/// What a terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands) struct Look {
    /// In columns.
    pub(in crate::commands) width: usize,
    pub(in crate::commands) colour: bool,
}

impl Look {
    /// That of standard output: as wide as `COLUMNS` says, else as the terminal does.
    pub(in crate::commands) fn of_stdout() -> Self {
        let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let asked = || tcgetwinsize(stdout()).ok().map(|size| usize::from(size.ws_col));
        let width = said.filter(|width| *width > 0).or_else(asked).filter(|width| *width > 0);
        let width = width.unwrap_or(USUAL_WIDTH).clamp(LEAST_WIDTH, MOST_WIDTH);
        Self { width, colour: wants_colour(&stdout()) }
    }

    pub(in crate::commands) fn strong(self, text: &str) -> String {
        self.painted(text, "1")
    }

    fn alarming(self, text: &str) -> String {
        self.painted(text, "31")
    }

    pub(in crate::commands) fn painted(self, text: &str, code: &str) -> String {
        match self.colour {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

/// How wide the columns are. Fixed before the first event is seen: threads fill the table at once,
/// and nothing waits to be measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    look: Look,
    time: usize,
    action: usize,
    who: usize,
    from: usize,
    result: usize,
}

impl Table {
    pub(super) fn new(look: Look) -> Self {
        let is_whole = look.width >= WHOLE_TIME_WIDTH;
        let time = if is_whole { "2026-11-20T10:00:00Z".len() } else { "11-20 10:00:00".len() };
        let rest = look.width - time - 4 * GAP.len();
        // An IPv4 address is shown whole where that leaves the others some room.
        let from = (rest / 5).clamp(rest.min(50) * 3 / 10, 39);
        let rest = rest - from;
        let action = (rest * 9 / 20).min(48);
        let who = (rest * 3 / 10).min(48);
        Self { look, time, action, who, from, result: rest - action - who }
    }

    /// The names of the columns.
    pub(super) fn header(&self) -> Vec<u8> {
        let line = [
            padded("time", self.time),
            padded("action", self.action),
            padded("who", self.who),
            padded("from", self.from),
            cut("result", self.result),
        ];
        (self.look.strong(&line.join(GAP)) + "\n").into_bytes()
    }

    /// Appends the event as one line. What is not there is shown as a dash.
    pub(super) fn append(&self, out: &mut Vec<u8>, record: &[u8]) {
        let event = Event::new(record);
        let actor = event.actor();
        let mut who = padded(&who::text(&actor), self.who);
        if actor.kind == ActorKind::Root {
            who = self.look.strong(&who);
        }
        let result = match event.outcome() {
            Outcome::Success => "ok".to_owned(),
            Outcome::Failure { code, message } => {
                let said = code.or(message).unwrap_or_else(|| "failed".into());
                self.look.alarming(&cut(&said, self.result))
            }
        };
        let line = [
            padded(&self.time(&event), self.time),
            self.action(&event),
            who,
            padded(&from(&event), self.from),
            result,
        ];
        out.extend_from_slice(line.join(GAP).as_bytes());
        out.push(b'\n');
    }

    fn time(&self, event: &Event<'_>) -> String {
        let text = event.text("eventTime").unwrap_or_else(|| "-".into());
        let shape: Vec<u8> =
            text.bytes().map(|c| if c.is_ascii_digit() { b'0' } else { c }).collect();
        match shape == b"0000-00-00T00:00:00Z" && text.len() > self.time {
            true => text[5..19].replace('T', " "),
            false => text.into_owned(),
        }
    }

    /// As IAM writes it, `codeguru-reviewer:AssociateRepository`. Where there is no room for both, the
    /// service gives way.
    fn action(&self, event: &Event<'_>) -> String {
        let name = event.text("eventName").unwrap_or_else(|| "-".into());
        let Some(source) = event.text("eventSource") else { return padded(&name, self.action) };
        let name = escaped(&name.chars().take(LONGEST).collect::<String>());
        match self.action.saturating_sub(width(&name) + 1) {
            0 => padded(&name, self.action),
            rest => padded(&format!("{}:{name}", cut(short(&source), rest)), self.action),
        }
    }
}

/// An address, or the name of a service as the others have it.
fn from(event: &Event<'_>) -> String {
    let text = event.text("sourceIPAddress");
    text.map_or_else(|| "-".to_owned(), |text| short(&text).to_owned())
}

/// The name of a service without what all of them end with.
fn short(service: &str) -> &str {
    let name = service.strip_suffix(".amazonaws.com").unwrap_or(service);
    if name.is_empty() { service } else { name }
}

/// The text in at most so many columns of the terminal, without what could steer it.
pub(super) fn cut(text: &str, columns: usize) -> String {
    let mut rest = text.chars();
    let mut shown = escaped(&rest.by_ref().take(LONGEST).collect::<String>());
    if rest.next().is_none() && width(&shown) <= columns {
        return shown;
    }
    let (mut used, mut end) = (0, 0);
    for (at, c) in shown.char_indices() {
        used += c.width().unwrap_or(0);
        if used >= columns {
            break;
        }
        end = at + c.len_utf8();
    }
    shown.truncate(end);
    shown.push('…');
    shown
}

fn padded(text: &str, columns: usize) -> String {
    let mut text = cut(text, columns);
    let used = width(&text);
    text.extend(std::iter::repeat_n(' ', columns.saturating_sub(used)));
    text
}

/// How many columns the text takes: character by character, as terminals count.
fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests;
