//! Whether each sink could be written to, by its own check, built as the service builds it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use prometheus::Registry;
use tokio::time::timeout;
use trailsift_aws::Connector;
use trailsift_core::Sink;
use trailsift_delivery::SinkMetrics;

use super::line::{Level, Line, Section};
use super::machine::writable;
use crate::commands::run::wiring;
use crate::config::{Config, SinkKind};

const CHECK: &str = "reachable";
/// How long a sink may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(30);

/// One section for each of the named sinks.
pub(super) async fn sections(
    config: &Config,
    names: Vec<&str>,
    connector: &Connector,
) -> Vec<Section> {
    let mut wanted = config.clone();
    wanted.sinks.retain(|name, _| names.contains(&name.as_str()));
    let built = match build(&wanted, connector).await {
        Ok(built) => built,
        Err(error) => {
            let line =
                Line::fail(CHECK, format!("a sink cannot be made: {error:#}"), "mend its entry");
            return vec![Section { subject: "sinks".to_owned(), lines: vec![line] }];
        }
    };
    let checks = wanted.sinks.iter().filter_map(|(name, sink)| {
        let built = built.get(name)?;
        Some(async move {
            let found = match &sink.kind {
                SinkKind::File(file) => folder(&file.path),
                _ => ask(&**built).await,
            };
            let line = judge(found, sink.required);
            Section { subject: format!("sink {name}"), lines: vec![line] }
        })
    });
    join_all(checks).await
}

async fn build(
    config: &Config,
    connector: &Connector,
) -> anyhow::Result<BTreeMap<String, std::sync::Arc<dyn Sink>>> {
    let metrics = SinkMetrics::register(&Registry::new())?;
    wiring::sinks(config, 1, connector, &metrics).await
}

/// A running service holds the file: it is not asked to let go.
fn folder(path: &Path) -> Result<String, String> {
    let folder = path.parent().unwrap_or(Path::new("."));
    if path.is_dir() {
        return Err(format!("{} is a folder", path.display()));
    }
    writable(folder).map(|()| format!("{} can be written", folder.display()))
}

async fn ask(sink: &dyn Sink) -> Result<String, String> {
    match timeout(PATIENCE, sink.check()).await {
        Ok(Ok(())) => Ok("it answers".to_owned()),
        Ok(Err(error)) => Err(format!("{:#}", anyhow::Error::new(error))),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

fn judge(found: Result<String, String>, required: bool) -> Line {
    match (found, required) {
        (Ok(text), _) => Line::ok(CHECK, text),
        (Err(why), true) => Line::fail(
            CHECK,
            why,
            "mend it: messages wait for this sink, and no event that it is owed is settled without it",
        ),
        (Err(why), false) => {
            let line = Line::warn(
                CHECK,
                why,
                "mend it: events are dropped for this best-effort sink meanwhile",
            );
            Line { level: Level::Warn, ..line }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sink_that_messages_wait_for_fails() {
        assert_eq!(judge(Ok("it answers".into()), true).level, Level::Ok);
        assert_eq!(judge(Err("401".into()), true).level, Level::Fail);
        assert_eq!(judge(Err("401".into()), false).level, Level::Warn);
    }
}
