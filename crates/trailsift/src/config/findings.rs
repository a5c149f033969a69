//! What was found wrong, where, and how it is shown.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::logging::escaped;

/// What in a key or header name makes its value a secret.
const SECRET_PARTS: [&str; 9] = [
    "authorization",
    "authentication",
    "credential",
    "passphrase",
    "password",
    "secret",
    "signature",
    "token",
    "cookie",
];
/// The same as whole words: as a part, each is in too many others.
const SECRET_WORDS: [&str; 5] = ["apikey", "auth", "key", "passwd", "sig"];

/// Whether what stands under this name must be kept out of configuration files and messages.
pub(super) fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    SECRET_PARTS.iter().any(|part| name.contains(part))
        || words.any(|word| SECRET_WORDS.contains(&word))
}

/// Whether a text is a secret by what it says, whatever it is called: the credentials of a header, such as
/// `Bearer abc`.
pub(super) fn is_a_credential(text: &str) -> bool {
    const SCHEMES: [&str; 4] = ["bearer", "basic", "splunk", "apikey"];
    let mut words = text.split_ascii_whitespace();
    let is_scheme = |word: &str| SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme));
    words.next().is_some_and(is_scheme) && words.next().is_some() && words.next().is_none()
}

/// A configuration file as read.
struct SourceFile {
    path: PathBuf,
    text: String,
    /// What must not be shown: literal secrets, apart from each other and in order.
    hidden: Vec<Range<usize>>,
}

/// A part of a source file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) file: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Something that stands at a place.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing runs with it.
    Error,
    /// It runs, but probably not as meant.
    Warning,
}

/// What kind of mistake it is: a syntax error makes others around it meaningless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    Syntax,
    Missing,
    Value,
}

#[derive(Debug)]
struct Finding {
    severity: Severity,
    nature: Nature,
    subject: Subject,
    message: String,
    hint: Option<String>,
}

#[derive(Debug)]
enum Subject {
    Place(Place),
    Path(PathBuf),
}

/// Everything that was found in one reading of the configuration. Shows no secret.
#[derive(Default)]
pub struct Findings {
    files: RefCell<Vec<SourceFile>>,
    list: RefCell<Vec<Finding>>,
    /// How many were left out because there were too many.
    left_out: Cell<usize>,
}

/// How many findings are kept: nobody mends more at a time, and a file that is not meant as a
/// configuration has one on every line.
const MOST: usize = 200;
/// How much of a line is shown before and behind what is marked, in characters.
const MARGIN: usize = 100;

impl fmt::Debug for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list.borrow().iter()).finish()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Findings {}

impl Findings {
    /// Takes a file in; findings name it by the number that comes back.
    pub(super) fn add_file(&self, path: &Path, text: &str) -> usize {
        let mut files = self.files.borrow_mut();
        files.push(SourceFile { path: path.to_owned(), text: text.to_owned(), hidden: Vec::new() });
        files.len() - 1
    }

    /// Never shows these parts of a file.
    pub(super) fn hide(&self, file: usize, parts: Vec<Range<usize>>) {
        let hidden = &mut self.files.borrow_mut()[file].hidden;
        hidden.extend(parts);
        hidden.sort_by_key(|part| part.start);
    }

    pub(super) fn error(&self, place: Place, message: impl Into<String>, hint: impl Into<String>) {
        self.add(Severity::Error, Nature::Value, Subject::Place(place), message, hint);
    }

    /// Something that must be there is not. Means nothing in a file that does not parse.
    pub(super) fn missing(
        &self,
        place: Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(Severity::Error, Nature::Missing, Subject::Place(place), message, hint);
    }

    /// Something is named that is not there. Means nothing if any file does not parse.
    pub(super) fn missing_reference(
        &self,
        place: Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        if !self.has_syntax_errors() {
            self.error(place, message, hint);
        }
    }

    pub(super) fn syntax(&self, place: Place, message: impl Into<String>) {
        let message = message.into();
        let hint = match message.starts_with("duplicate key") {
            true => "keep one of them: each key and each [heading] stands once",
            false => {
                "TOML is lines of `key = value` below a [heading], text in quotes: https://toml.io"
            }
        };
        self.add(Severity::Error, Nature::Syntax, Subject::Place(place), message, hint);
    }

    pub(super) fn warning(
        &self,
        place: Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(Severity::Warning, Nature::Value, Subject::Place(place), message, hint);
    }

    pub(super) fn about_path(
        &self,
        severity: Severity,
        path: &Path,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(severity, Nature::Value, Subject::Path(path.to_owned()), message, hint);
    }

    /// The errors for which no remedy is given: there should be none.
    #[cfg(test)]
    pub(super) fn without_remedy(&self) -> Vec<String> {
        let list = self.list.borrow();
        let bare = list.iter().filter(|it| it.severity == Severity::Error && it.hint.is_none());
        bare.map(|it| it.message.clone()).collect()
    }

    fn add(
        &self,
        severity: Severity,
        nature: Nature,
        subject: Subject,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        if self.list.borrow().len() >= MOST {
            self.left_out.set(self.left_out.get() + 1);
            return;
        }
        let hint = Some(hint.into()).filter(|hint| !hint.is_empty());
        self.list.borrow_mut().push(Finding {
            severity,
            nature,
            subject,
            message: message.into(),
            hint,
        });
    }

    /// Removes what only follows from a syntax error, and puts the rest in the order of the files.
    pub(super) fn settle(&mut self) {
        let files = self.files.get_mut();
        let list = self.list.get_mut();
        let broken: Vec<(usize, usize)> = list
            .iter()
            .filter(|finding| finding.nature == Nature::Syntax)
            .filter_map(|finding| finding.line(files))
            .collect();
        list.retain(|finding| match (finding.nature, finding.line(files)) {
            (Nature::Syntax, _) | (_, None) => true,
            (Nature::Missing, Some((file, _))) => !broken.iter().any(|(other, _)| *other == file),
            (Nature::Value, Some(line)) => !broken.contains(&line),
        });
        list.sort_by_key(|finding| {
            let place = match &finding.subject {
                Subject::Path(_) => None,
                Subject::Place(place) => Some((place.file, place.start)),
            };
            (place, finding.severity)
        });
    }

    /// Whether a syntax error makes a part of the configuration unknown.
    pub(super) fn has_syntax_errors(&self) -> bool {
        self.list.borrow().iter().any(|finding| finding.nature == Nature::Syntax)
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many warnings there are.
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    fn count(&self, severity: Severity) -> usize {
        self.list.borrow().iter().filter(|finding| finding.severity == severity).count()
    }

    /// Each finding without its quotation of the file, for logs: `file:line: message (hint)`.
    pub fn lines(&self) -> Vec<(Severity, String)> {
        let list = self.list.borrow();
        list.iter()
            .map(|finding| {
                let hint = finding.hint.as_deref();
                let hint = hint.map_or_else(String::new, |hint| format!(" ({hint})"));
                let place = finding.place_text(&self.files.borrow());
                (finding.severity, format!("{place}: {}{hint}", finding.message))
            })
            .collect()
    }

    /// Everything as a compiler would show it, ending with a line break unless it is empty.
    pub fn render(&self, colour: bool) -> String {
        let paint = Paint { colour };
        let mut out = String::new();
        for finding in self.list.borrow().iter() {
            finding.render(&self.files.borrow(), paint, &mut out);
        }
        if self.left_out.get() > 0 {
            out.push_str(&format!("{} more are left out\n\n", self.left_out.get()));
        }
        out
    }
}

impl Finding {
    /// The file and the line, counted from 0.
    fn line(&self, files: &[SourceFile]) -> Option<(usize, usize)> {
        match &self.subject {
            Subject::Path(_) => None,
            Subject::Place(place) => {
                let (line, _) = files.get(place.file)?.position(place.start);
                Some((place.file, line))
            }
        }
    }

    fn place_text(&self, files: &[SourceFile]) -> String {
        match &self.subject {
            Subject::Path(path) => escaped(&path.display().to_string()),
            Subject::Place(place) => {
                let file = &files[place.file];
                let (line, column) = file.position(place.start);
                let path = escaped(&file.path.display().to_string());
                format!("{path}:{}:{}", line + 1, column + 1)
            }
        }
    }

    fn render(&self, files: &[SourceFile], paint: Paint, out: &mut String) {
        let (word, style) = match self.severity {
            Severity::Error => ("error", Paint::RED),
            Severity::Warning => ("warning", Paint::YELLOW),
        };
        let head = format!("{}{}", paint.put(style, word), paint.put(Paint::BOLD, ": "));
        out.push_str(&format!("{head}{}\n", paint.put(Paint::BOLD, &self.message)));
        let mut margin = String::from(" ");
        let mut quotation = String::new();
        if let Subject::Place(place) = &self.subject {
            let file = &files[place.file];
            let (line, column) = file.position(place.start);
            let number = (line + 1).to_string();
            margin = " ".repeat(number.len());
            let (shown, column, width) = file.quote(line, column, place.end - place.start);
            let bar = paint.put(Paint::BLUE, "|");
            quotation.push_str(&format!("{margin} {bar}\n"));
            let number = paint.put(Paint::BLUE, &number);
            quotation.push_str(format!("{number} {bar} {shown}").trim_end());
            let marks = paint.put(style, &"^".repeat(width));
            quotation.push_str(&format!("\n{margin} {bar} {}{marks}\n", " ".repeat(column)));
        }
        let arrow = paint.put(Paint::BLUE, "-->");
        out.push_str(&format!("{margin}{arrow} {}\n{quotation}", self.place_text(files)));
        if let Some(hint) = &self.hint {
            let sign = paint.put(Paint::BLUE, "=");
            out.push_str(&format!("{margin} {sign} {} {hint}\n", paint.put(Paint::BOLD, "help:")));
        }
        out.push('\n');
    }
}

impl SourceFile {
    /// Line and column (in characters) of a byte, both counted from 0.
    fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.text.floor_char_boundary(offset.min(self.text.len()));
        let before = &self.text[..offset];
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count(), before[start..].chars().count())
    }

    /// The line as it may be shown, cut where it is very long; from which of its characters on to
    /// mark, and how many.
    fn quote(&self, line: usize, column: usize, length: usize) -> (String, usize, usize) {
        let start = match line {
            0 => 0,
            _ => self.text.match_indices('\n').nth(line - 1).map_or(0, |(at, _)| at + 1),
        };
        let end = self.text[start..].find('\n').map_or(self.text.len(), |at| start + at);
        let marked_from = self.text[start..end].char_indices().nth(column);
        let marked_from = marked_from.map_or(end, |(at, _)| start + at);
        let marked_to = self.text.floor_char_boundary((marked_from + length).min(end));
        let marked = self.text[marked_from..marked_to].chars().filter(|c| *c != '\r').count();
        // A line may be the whole file, and hold thousands of secrets: only what is shown is looked up.
        let is_hidden = |at: usize| {
            let begun = self.hidden.partition_point(|hidden| hidden.start <= at);
            self.hidden[..begun].last().is_some_and(|hidden| hidden.contains(&at))
        };
        let cut = column.saturating_sub(MARGIN);
        let shown = self.text[start..end].char_indices().filter(|(_, c)| *c != '\r').skip(cut);
        let mut shown = shown.map(|(at, c)| match c {
            _ if is_hidden(start + at) => '*',
            '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        });
        let marked = marked.clamp(1, MARGIN);
        let ellipsis = if cut > 0 { "…" } else { "" };
        let mut text: String = ellipsis.into();
        text.extend(shown.by_ref().take(column - cut + marked + MARGIN));
        if shown.next().is_some() {
            text.push('…');
        }
        (text, column - cut + usize::from(cut > 0), marked)
    }
}

#[derive(Clone, Copy)]
struct Paint {
    colour: bool,
}

impl Paint {
    const BOLD: &str = "1";
    const RED: &str = "1;31";
    const YELLOW: &str = "1;33";
    const BLUE: &str = "1;34";

    fn put(self, style: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
