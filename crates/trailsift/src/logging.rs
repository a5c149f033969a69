//! Logs: to standard error, for standard output belongs to events.

use std::borrow::Cow;
use std::fmt::{self, Debug};
use std::io::{IsTerminal, stderr};

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, layer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry, registry};
pub(crate) use trailsift_event::text::escaped;
use trailsift_event::text::is_unseen;
use trailsift_pipeline::SPANS;

use crate::cli::LogFormat;

/// The most that is shown of one value, in bytes. Keys and bodies are as long as their senders like;
/// everything that we say ourselves is shorter.
const LONGEST_VALUE: usize = 8 * 1024;

/// Logging, and traces where this build knows them and the environment names a collector.
#[must_use = "what waits to be sent at the end is lost otherwise"]
#[derive(Debug, Default)]
pub struct Logging {
    #[cfg(feature = "otlp-traces")]
    traces: Option<crate::traces::Traces>,
}

impl Logging {
    /// Sends what waits to be sent; two seconds at most.
    pub fn end(self) {
        #[cfg(feature = "otlp-traces")]
        if let Some(traces) = self.traces {
            traces.end();
        }
    }
}

/// Starts logging. `verbose` counts the `-v`; the variable `RUST_LOG`, if it is set,
/// decides instead. Does nothing where logging was started before.
pub fn init(format: LogFormat, verbose: u8) -> Logging {
    let level = match verbose {
        // Where credentials are missing, the SDK tells of each place it has looked at, each time; where
        // something answers that speaks no HTTP, of each call, and so do we of what comes of them.
        0 => "warn,aws_config=error,aws_smithy_http_client=error,trailsift=info",
        1 => "info,trailsift=debug",
        2 => "debug,trailsift=trace",
        _ => "trace",
    };
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|asked| !asked.is_empty());
    let asked = asked.map(|asked| EnvFilter::builder().parse(asked)).transpose();
    let (filter, trouble) = match asked {
        Ok(filter) => (filter.unwrap_or_else(|| EnvFilter::new(level)), None),
        Err(error) => (EnvFilter::new(level), Some(error)),
    };
    // Spans are for traces alone.
    let filter = match format!("{SPANS}=off").parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
    let lines = layer().with_writer(stderr);
    let lines: Lines = match format {
        LogFormat::Json => lines.event_format(JsonLine).boxed(),
        LogFormat::Text => {
            let fields = debug_fn(|writer, field, value| {
                let value = escaped(&shortened(&format!("{value:?}")));
                match field.name() {
                    "message" => write!(writer, "{value}"),
                    name => write!(writer, "{name}={value}"),
                }
            });
            let ansi = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            lines.fmt_fields(fields.delimited(" ")).with_ansi(ansi).boxed()
        }
    };
    let logging = start(lines, filter);
    if let Some(error) = trouble {
        tracing::warn!(
            error = escaped(&error.to_string()),
            "RUST_LOG is left out: it cannot be read"
        );
    }
    logging
}

/// Log lines, however they are written.
type Lines = Box<dyn Layer<Registry> + Send + Sync>;

#[cfg(not(feature = "otlp-traces"))]
fn start(lines: Lines, filter: EnvFilter) -> Logging {
    note_start(registry().with(lines).with(filter).try_init());
    Logging::default()
}

/// Where nobody asks for traces everything is as in a build without them.
#[cfg(feature = "otlp-traces")]
fn start(lines: Lines, filter: EnvFilter) -> Logging {
    let (spans, trouble) = match crate::traces::start() {
        Ok(spans) => (spans, None),
        Err(error) => (None, Some(error)),
    };
    let traces = match spans {
        Some((spans, traces)) => {
            note_start(registry().with(vec![lines.with_filter(filter).boxed(), spans]).try_init());
            Some(traces)
        }
        None => {
            note_start(registry().with(lines).with(filter).try_init());
            None
        }
    };
    if let Some(error) = trouble {
        tracing::warn!(error = %error.escape_debug(), "traces cannot be sent: check the OTEL_ variables");
    }
    Logging { traces }
}

fn note_start(started: Result<(), TryInitError>) {
    if started.is_err() {
        tracing::debug!("logging is already set up");
    }
}

/// One JSON object per event: `timestamp`, `level`, the event's own fields, `target`.
struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let metadata = event.metadata();
        let mut line = Members(String::new());
        line.put("timestamp", &Value::from(timestamp));
        line.put("level", &Value::from(metadata.level().as_str()));
        // Some libraries give their events a name and no message.
        if metadata.fields().field("message").is_none() {
            line.put("message", &Value::from(metadata.name()));
        }
        event.record(&mut line);
        line.put("target", &Value::from(metadata.target()));
        writeln!(writer, "{{{}}}", line.0)
    }
}

/// The members of a JSON object, written one after the other.
struct Members(String);

impl Members {
    fn put(&mut self, name: &str, value: &Value) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        let member = format!("{}:{value}", Value::from(name));
        for c in member.chars() {
            // JSON lets pass what a terminal may obey: DEL, the C1 controls, changes of direction.
            if is_unseen(c) {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    self.0.push_str(&format!("\\u{unit:04x}"));
                }
            } else {
                self.0.push(c);
            }
        }
    }

    fn put_text(&mut self, field: &Field, text: &str) {
        self.put(name(field), &Value::from(shortened(text).as_ref()));
    }
}

/// A field that is named like a keyword has a prefix in the source only.
fn name(field: &Field) -> &'static str {
    field.name().strip_prefix("r#").unwrap_or(field.name())
}

impl Visit for Members {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put_text(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(name(field), &value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(name(field), &value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(name(field), &value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(name(field), &value.into());
    }
}

/// The text, or its beginning and how much is left out.
fn shortened(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST_VALUE {
        return text.into();
    }
    let end = text.floor_char_boundary(LONGEST_VALUE);
    format!("{}… and {} bytes more", &text[..end], text.len() - end).into()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_json_line_is_one_object_whatever_its_text_holds() {
        let mut line = Members(String::new());
        let hostile = "a\n\"}{\"level\":\"ERROR\"}\u{1b}[2J\u{9b}1m\u{7f}\u{202e}\u{e0041}é";
        line.put("s3.key", &hostile.into());
        line.put("index", &7.into());
        let text = format!("{{{}}}", line.0);
        let value: Value = serde_json::from_str(&text).expect("one object");
        assert_eq!((value["s3.key"].as_str(), &value["index"]), (Some(hostile), &7.into()));
        assert!(value.get("level").is_none());
        assert!(!text.chars().any(is_unseen), "{text}");
    }

    #[test]
    fn an_event_without_a_message_is_called_by_its_name() {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl std::io::Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().expect("no panic while it is held").write(bytes)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let to = lines.clone();
        let layer = layer().with_writer(move || to.clone()).event_format(JsonLine);
        tracing::subscriber::with_default(registry().with(layer), || {
            tracing::event!(name: "Exporter.Failed", tracing::Level::WARN, error = "gone");
            tracing::info!(error = "gone", "said");
        });
        let text = lines.0.lock().expect("no panic while it is held").clone();
        let lines: Vec<Value> = String::from_utf8(text)
            .expect("UTF-8")
            .lines()
            .map(|line| serde_json::from_str(line).expect("one object"))
            .collect();
        let messages: Vec<_> = lines.iter().map(|line| line["message"].as_str()).collect();
        assert_eq!(messages, [Some("Exporter.Failed"), Some("said")]);
    }

    #[test]
    fn a_long_value_is_shown_up_to_a_limit() {
        let short = "é".repeat(LONGEST_VALUE / 2);
        assert_eq!(shortened(&short), short);
        let long = format!("x{}", "é".repeat(LONGEST_VALUE));
        let shown = shortened(&long);
        assert!(shown.ends_with("éé… and 8194 bytes more"), "{}", &shown[shown.len() - 40..]);
        assert!(shown.len() < LONGEST_VALUE + 40);
    }
}
