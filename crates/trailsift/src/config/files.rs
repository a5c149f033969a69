//! Which files make up a configuration, and their text.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::findings::{Findings, Place, Severity, is_a_credential, names_a_secret};

/// A configuration is written by hand.
const LARGEST_FILE: u64 = 4 << 20;

/// The remedy where the system refuses a file.
const READABLE: &str = "it must be readable for the user that trailsift runs as";

/// The part that a file plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// `trailsift.toml`, or a single file that holds everything.
    Main,
    /// One of `accounts/*.toml`.
    Account,
}

/// One file as read.
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) role: Role,
    pub(super) text: String,
}

/// The files of a configuration.
pub(super) struct Sources {
    pub(super) files: Vec<Source>,
    /// Whether every file that should be there could be read.
    pub(super) complete: bool,
}

/// Reads the files of the configuration at `path` that play one of these parts. What cannot be read
/// is reported.
pub(super) fn sources(path: &Path, roles: &[Role], findings: &Findings) -> Sources {
    let read = |(path, role): (PathBuf, Role)| {
        read(&path, findings).map(|text| Source { path, role, text })
    };
    let files = find(path, findings)
        .into_iter()
        .filter(|(_, role)| roles.contains(role))
        .filter_map(read)
        .collect();
    Sources { files, complete: findings.errors() == 0 }
}

/// The files of the configuration at `path`, each with the part it plays. What cannot be found is
/// reported.
fn find(path: &Path, findings: &Findings) -> Vec<(PathBuf, Role)> {
    let fail = |path: &Path, problem: String, hint: &str| {
        findings.about_path(Severity::Error, path, problem, hint);
    };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            let hint = "name a file or a folder with --config or TRAILSIFT_CONFIG";
            fail(path, format!("the configuration cannot be read: {error}"), hint);
            return Vec::new();
        }
    };
    if !metadata.is_dir() {
        return vec![(path.to_owned(), Role::Main)];
    }
    let mut files = Vec::new();
    let main = path.join("trailsift.toml");
    if main.exists() {
        files.push((main, Role::Main));
    } else {
        let hint = "the folder must hold it; empty, it takes every default";
        fail(&main, "trailsift.toml is missing".into(), hint);
    }
    let folder = path.join("accounts");
    match account_files(&folder) {
        Ok(accounts) => files.extend(accounts.into_iter().map(|path| (path, Role::Account))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => fail(&folder, format!("the folder cannot be read: {error}"), READABLE),
    }
    files
}

/// `*.toml` in the order of their names. Hidden files are left alone, as are folders.
fn account_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let hidden = name.is_none_or(|name| name.starts_with('.'));
        let is_toml = path.extension().is_some_and(|extension| extension == "toml");
        // A link that leads nowhere is kept: it is then reported as unreadable.
        if is_toml && !hidden && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The text of a file, or a report why not.
fn read(path: &Path, findings: &Findings) -> Option<String> {
    let fail = |problem: String, hint: &str| {
        findings.about_path(Severity::Error, path, problem, hint);
    };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            fail(format!("the file cannot be read: {error}"), READABLE);
            return None;
        }
    };
    if !metadata.is_file() || metadata.len() > LARGEST_FILE {
        let problem = "this is no configuration file: it must be a regular file of at most 4MiB";
        fail(problem.into(), "name a file of TOML, or a folder that holds trailsift.toml");
        return None;
    }
    warn_if_anyone_may_write(path, &metadata, findings);
    match fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => Some(text),
        Ok(Err(error)) => {
            let at = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count();
            fail(format!("line {line} is not UTF-8"), "save the file as UTF-8");
            None
        }
        Err(error) => {
            fail(format!("the file cannot be read: {error}"), READABLE);
            None
        }
    }
}

#[cfg(unix)]
fn warn_if_anyone_may_write(path: &Path, metadata: &fs::Metadata, findings: &Findings) {
    use std::os::unix::fs::PermissionsExt;

    if metadata.permissions().mode() & 0o002 != 0 {
        let problem = "anyone on this machine may change this file";
        findings.about_path(Severity::Warning, path, problem, "chmod o-w takes the right away");
    }
}

#[cfg(not(unix))]
fn warn_if_anyone_may_write(_: &Path, _: &fs::Metadata, _: &Findings) {}

/// The parts of a file that must not be shown: literal secrets, wherever they stand.
fn secrets(table: &DeTable<'_>) -> Vec<Range<usize>> {
    let mut hidden = Vec::new();
    hide_in_table(table, false, true, &mut hidden);
    hidden
}

/// In a file that does not parse, what is a value is not known: everything behind the first `=`
/// of a line that looks like one with a secret.
fn perhaps_secrets(text: &str) -> Vec<Range<usize>> {
    let mut hidden = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if names_a_secret(line) || line.contains("env") || line.contains('@') {
            let from = line.find('=').map_or(0, |at| at + 1);
            hidden.push(start + from..start + line.len());
        }
        start += line.len();
    }
    hidden
}

fn hide_in_table(table: &DeTable<'_>, secret: bool, is_top: bool, hidden: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        let name = key.get_ref();
        if is_top && name == "route" {
            // Routes hold none, whatever the fields of their selectors are called
            // (`sessionCredentialFromConsole`).
            continue;
        }
        let refers =
            matches!(value.get_ref(), DeValue::String(_)) && (name == "env" || name == "file");
        let secret = (secret || names_a_secret(name)) && !refers;
        hide_in_value(value, secret, name == "env", hidden);
    }
}

fn hide_in_value(
    value: &toml::Spanned<DeValue<'_>>,
    secret: bool,
    is_env: bool,
    hidden: &mut Vec<Range<usize>>,
) {
    match value.get_ref() {
        DeValue::Table(table) => hide_in_table(table, secret, false, hidden),
        DeValue::Array(items) => {
            items.iter().for_each(|item| hide_in_value(item, secret, is_env, hidden));
        }
        DeValue::String(text) => {
            let credentials = text.contains("://") && (text.contains('@') || names_a_secret(text));
            let misplaced = is_env && !text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
            if secret || credentials || misplaced || is_a_credential(text) {
                hidden.push(value.span());
            }
        }
        _ if secret => hidden.push(value.span()),
        _ => {}
    }
}

/// How many syntax errors of one file are shown. One forgotten bracket can make every later line
/// an error; what is left open is named in any case, for that is then the cause.
const SYNTAX_ERRORS: usize = 5;

/// The table of a file's text. Its syntax errors are reported; what stands around them is returned
/// all the same.
pub(super) fn parse<'i>(path: &Path, text: &'i str, findings: &Findings) -> (usize, DeTable<'i>) {
    let file = findings.add_file(path, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let table = table.into_inner();
    findings.hide(file, if errors.is_empty() { secrets(&table) } else { perhaps_secrets(text) });
    let total = errors.len();
    let is_cause = |message: &str| message.starts_with("unclosed");
    let errors = errors.into_iter().enumerate();
    let shown: Vec<_> = errors
        .filter(|(number, error)| *number < SYNTAX_ERRORS || is_cause(error.message()))
        .map(|(_, error)| error)
        .collect();
    let left_out = total - shown.len();
    for (number, error) in shown.iter().enumerate() {
        let span = error.span().unwrap_or(0..0);
        let place = Place { file, start: span.start, end: span.end };
        if left_out > 0 && number + 1 == shown.len() {
            let more = format!("{} (and {left_out} more that may follow from it)", error.message());
            findings.syntax(place, &more);
        } else {
            findings.syntax(place, error.message());
        }
    }
    (file, table)
}
