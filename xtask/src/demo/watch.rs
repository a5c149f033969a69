use std::io::Write;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::config::Written;
use super::{Account, event};
use crate::localstack::foreign_settings;
use crate::process::{Running, create, into_log, tied};
use crate::ui::{Step, Ui};
use crate::{http, workspace};

/// Without any progress for so long, something is stuck.
const PATIENCE: Duration = Duration::from_secs(90);

/// What the program did and said.
pub(super) struct Outcome {
    pub(super) status: ExitStatus,
    /// From its start to its end.
    pub(super) took: Duration,
    /// The lines of its standard output, without their line breaks.
    pub(super) delivered: Vec<Bytes>,
    /// The summary that ends its log.
    pub(super) totals: Value,
}

/// Runs `trailsift run --until-empty` and shows the selected events as they come.
pub(super) async fn run(
    ui: &Ui,
    program: &Path,
    config: &Written,
    accounts: &[Account],
) -> anyhow::Result<Outcome> {
    let objects: usize = accounts.iter().map(|account| account.fleet.objects.len()).sum();
    let mut command = command(program, config);
    command.arg("--until-empty").stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut trailsift = Running::spawn(&mut command)?;
    let events = BufReader::new(trailsift.stdout()?);
    let log = BufReader::new(trailsift.stderr()?);

    let step = ui.counted("trailsift", objects as u64);
    let outputs = async {
        let (delivered, totals) = tokio::try_join!(show(ui, events), keep(config, log))?;
        anyhow::Ok((delivered, totals, trailsift.wait().await?))
    };
    // Cancel safety: the program's end is what counts; the progress beside it never ends by itself.
    let (delivered, totals, status) = tokio::select! {
        ended = outputs => ended?,
        stuck = follow(&step, config) => {
            drop(step);
            return Err(stuck);
        }
    };
    let took = started.elapsed();
    let Some(totals) = totals else {
        drop(step);
        bail!(
            "trailsift ended ({status}) without the summary that ends its log; the end of {}:\n{}",
            workspace::shown(&config.log),
            workspace::tail(&config.log, 30)
        );
    };
    step.set(objects as u64);
    step.done(&format!("{} events", delivered.len()));
    Ok(Outcome { status, took, delivered, totals })
}

/// Starts the service for a look, its events going to the file only.
pub(super) fn serve(program: &Path, config: &Written) -> anyhow::Result<Running> {
    let (out, err) = into_log(&config.log.with_extension("keep.log"))?;
    Running::spawn(command(program, config).stdout(out).stderr(err))
}

fn command(program: &Path, config: &Written) -> Command {
    let mut command = tied(program);
    command
        .args(["run", "--log-format", "json", "--config"])
        .arg(&config.folder)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        // The configuration names LocalStack, as it would name any other endpoint.
        .env_remove("AWS_ENDPOINT_URL");
    for name in foreign_settings() {
        command.env_remove(name);
    }
    command
}

/// Takes the events from standard output as bytes and shows each in a line.
async fn show(
    ui: &Ui,
    mut events: BufReader<tokio::process::ChildStdout>,
) -> anyhow::Result<Vec<Bytes>> {
    let mut delivered = Vec::new();
    loop {
        let mut line = Vec::new();
        if events.read_until(b'\n', &mut line).await? == 0 {
            return Ok(delivered);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        ui.result(&event::line(&line));
        delivered.push(Bytes::from(line));
    }
}

/// Keeps the log in a file, and takes the summary out of it.
async fn keep(
    config: &Written,
    log: BufReader<tokio::process::ChildStderr>,
) -> anyhow::Result<Option<Value>> {
    let mut file = create(&config.log)?;
    let mut totals = None;
    let mut lines = log.split(b'\n');
    while let Some(line) = lines.next_segment().await? {
        file.write_all(&line)
            .and_then(|()| file.write_all(b"\n"))
            .with_context(|| format!("cannot write {}", config.log.display()))?;
        totals = summary(&line).or(totals);
    }
    Ok(totals)
}

/// The totals of the log line that says `stopped`.
fn summary(line: &[u8]) -> Option<Value> {
    let line: Value = serde_json::from_slice(line).ok()?;
    let fields = if line["fields"].is_object() { &line["fields"] } else { &line };
    if fields["message"] != "stopped" {
        return None;
    }
    match &fields["totals"] {
        Value::String(text) => serde_json::from_str(text).ok(),
        totals @ Value::Object(_) => Some(totals.clone()),
        _ => None,
    }
}

/// Follows the metrics for the progress bar. Returns only when there has been no progress for long.
async fn follow(step: &Step, config: &Written) -> anyhow::Error {
    let mut latest = (0, 0);
    let mut since = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        if let Ok(metrics) = http::get(&config.listen_url(), "/metrics").await {
            let objects = sum(&metrics, "trailsift_objects_total", "");
            let records = sum(&metrics, "trailsift_records_total", r#"outcome="seen""#);
            let inflated = sum(&metrics, "trailsift_bytes_total", r#"stage="inflated""#);
            step.set(objects);
            step.detail(&format!("objects, {records} records, {} MB", inflated / 1_000_000));
            if (objects, inflated) != latest {
                (latest, since) = ((objects, inflated), Instant::now());
            }
        }
        if since.elapsed() > PATIENCE {
            return anyhow::anyhow!(
                "trailsift has made no progress for {} s; the end of {}:\n{}",
                PATIENCE.as_secs(),
                workspace::shown(&config.log),
                workspace::tail(&config.log, 30)
            );
        }
    }
}

/// Adds up a counter over all label sets that hold `label`.
fn sum(metrics: &str, name: &str, label: &str) -> u64 {
    let values = metrics.lines().filter_map(|line| {
        let (labels, value) = line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once("} ")?;
        labels.contains(label).then(|| value.trim().parse::<u64>().ok())?
    });
    values.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_added_up_over_its_labels() {
        let metrics =
            "# TYPE a counter\na{x=\"1\",y=\"2\"} 3\na{x=\"2\",y=\"2\"} 4\nab{x=\"1\"} 9\n";
        assert_eq!(sum(metrics, "a", ""), 7);
        assert_eq!(sum(metrics, "a", "x=\"1\""), 3);
    }

    #[test]
    fn the_summary_is_found_as_an_object_or_as_text() {
        let found = Some(serde_json::json!({"files": 3}));
        assert_eq!(summary(br#"{"message":"stopped","totals":{"files":3}}"#), found);
        assert_eq!(summary(br#"{"fields":{"message":"stopped","totals":"{\"files\":3}"}}"#), found);
        assert_eq!(summary(br#"{"fields":{"message":"started"}}"#), None);
        assert_eq!(summary(b"panicked at"), None);
    }
}
