use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// It works, but not as it should; or nobody can tell.
    Warn,
    /// Events are not received, not read or not delivered.
    Fail,
}

impl Level {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) level: Level,
    /// What was looked at: a word of DOCTOR.md.
    pub(super) check: &'static str,
    /// What was found.
    pub(super) text: String,
    /// What to do about it.
    pub(super) remedy: Option<String>,
}

impl Line {
    pub(super) fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Ok, check, text: text.into(), remedy: None }
    }

    pub(super) fn warn(
        check: &'static str,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { level: Level::Warn, check, text: text.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn fail(
        check: &'static str,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { level: Level::Fail, ..Self::warn(check, text, remedy) }
    }

    /// A question that we may not ask: no judgement about what it was for.
    pub(super) fn untold(check: &'static str, what: &str, action: &str, said: &str) -> Self {
        Self::warn(
            check,
            format!("cannot tell {what}: {said}"),
            format!(
                "allow {action} to whoever runs doctor; run does without, so this may stay as it is"
            ),
        )
    }
}

/// What was found about one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    /// `account production`, `sink siem`.
    pub(super) subject: String,
    pub(super) lines: Vec<Line>,
}
