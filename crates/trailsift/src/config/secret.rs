//! Whether a secret can be had where the configuration says. Looks, and never keeps or shows it.

use std::fs;
use std::path::Path;

use super::kinds::Text;
use super::reader::Environment;

type Verdict = Result<(), (String, String)>;

/// A secret is a token or a password, not a document.
const LARGEST_FILE: u64 = 64 << 10;

/// The name of an environment variable.
pub(super) const ENV_NAME: Text = Text {
    what: "the name of an environment variable",
    judge: |text| {
        let legal = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
        let begins_well = text.bytes().next().is_some_and(|c| !c.is_ascii_digit());
        match begins_well && text.bytes().all(legal) {
            true => Ok(()),
            // The text is not shown: a secret may stand where its name should.
            false => Err((
                "is no name of an environment variable".into(),
                "use letters, digits and `_`; the secret itself does not belong here".into(),
            )),
        }
    },
};

/// Whether the environment variable holds something that a header can carry.
pub(super) fn judge_env(environment: Environment<'_>, name: &str) -> Verdict {
    match environment(name) {
        None => Err((
            format!("the environment variable {name} is not set, or is no text"),
            "set it for this process".into(),
        )),
        Some(value) => judge_value(&value, &format!("the environment variable {name}")),
    }
}

/// Whether the file holds something that a header can carry.
pub(super) fn judge_file(path: &Path) -> Verdict {
    let shown = path.display().to_string();
    let shown = shown.escape_debug();
    let unreadable = |error: std::io::Error| {
        let hint = "the file must exist and be readable for the user that trailsift runs as";
        (format!("the secret file {shown} cannot be read: {error}"), hint.to_owned())
    };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() || metadata.len() > LARGEST_FILE {
        let problem = format!("the secret file {shown} is no file of at most 64KiB");
        return Err((problem, "it must hold the secret and nothing else".into()));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    judge_value(text.trim_end_matches(['\n', '\r']), &format!("the secret file {shown}"))
}

fn judge_value(value: &str, what: &str) -> Verdict {
    if value.is_empty() {
        return Err((format!("{what} is empty"), "put the secret there, and nothing else".into()));
    }
    if value.bytes().any(|c| c != b'\t' && !(b' '..=b'~').contains(&c)) {
        let problem = format!("{what} holds a character that no header may hold");
        return Err((problem, "for example a line break or a control character".into()));
    }
    Ok(())
}
