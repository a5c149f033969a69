use std::error::Error;

/// An error with its causes, outermost first: the line that whoever handles it puts into a log or an
/// answer. Nothing is escaped.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
