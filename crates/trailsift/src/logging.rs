//! Logs: to standard error, for standard output belongs to events.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::LogFormat;

/// Starts logging. `verbose` counts the `-v`; the variable `RUST_LOG`, if it is set and legal,
/// decides instead. Does nothing where logging was started before.
pub fn init(format: LogFormat, verbose: u8) {
    let level = match verbose {
        0 => "warn,trailsift=info",
        1 => "info,trailsift=debug",
        2 => "debug,trailsift=trace",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    let started = match format {
        // serde_json escapes every control character.
        LogFormat::Json => {
            builder.json().flatten_event(true).with_span_list(false).finish().try_init()
        }
        LogFormat::Text => {
            let fields = debug_fn(|writer, field, value| {
                let value = escaped(&format!("{value:?}"));
                match field.name() {
                    "message" => write!(writer, "{value}"),
                    name => write!(writer, "{name}={value}"),
                }
            });
            let ansi = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            builder.fmt_fields(fields.delimited(" ")).with_ansi(ansi).finish().try_init()
        }
    };
    if started.is_err() {
        tracing::debug!("logging is already set up");
    }
}

/// The text without control characters: text from outside must not be able to forge a line, or
/// move the cursor of whoever reads it.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // Control characters, and those that reorder the text around them.
            c if c.is_control() || is_bidi_control(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_stays_on_its_line() {
        assert_eq!(escaped("a\nb\u{1b}[31m\u{202e}é"), "a\\nb\\u{1b}[31m\\u{202e}é");
    }
}
