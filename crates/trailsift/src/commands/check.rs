use std::fmt::{self, Write};

use anyhow::Context;

use super::{Exit, counted, put, say, show_findings};
use crate::cli::{CheckArgs, GlobalArgs};
use crate::config::{self, Config, Quarantine, SinkKind, cost};
use crate::memory::{self, Fit};

/// Validates the configuration: what is wrong goes to standard error, a summary or the effective
/// configuration to standard output.
pub(super) fn check(args: CheckArgs, global: &GlobalArgs) -> anyhow::Result<Exit> {
    let path = global.config();
    let loaded = match config::load(&path) {
        Ok(loaded) => loaded,
        Err(findings) => {
            show_findings(&findings);
            let warnings = match findings.warnings() {
                0 => String::new(),
                count => format!(" and {}", counted(count, "warning")),
            };
            let errors = counted(findings.errors(), "error");
            say(&format!("{}: {errors}{warnings}", path.display()));
            return Ok(Exit::Usage);
        }
    };
    show_findings(&loaded.warnings);
    if let Some(why) = memory::starving(&loaded.config) {
        say(&format!("error: {why}\n{}: {}", path.display(), counted(1, "error")));
        return Ok(Exit::Usage);
    }
    // It may be checked on another machine than it runs on, so this alone is no error.
    if let Fit::Tight(why) | Fit::Above(why) = memory::fit(&loaded.config) {
        say(&format!("warning: on this machine {why}"));
    }
    let text = if args.print {
        loaded.config.to_string()
    } else {
        let warnings = match loaded.warnings.warnings() {
            0 => String::new(),
            count => format!(", with {}", counted(count, "warning")),
        };
        let summary = summary(&loaded.config)?;
        format!("{} is valid{warnings}\n{summary}", path.display())
    };
    put(text.as_bytes()).context("standard output cannot be written")?;
    Ok(Exit::Done)
}

/// Who sends, what is selected, and where it goes.
fn summary(config: &Config) -> Result<String, fmt::Error> {
    let mut out = String::new();
    for account in &config.accounts {
        let buckets: Vec<_> = account.buckets.iter().map(|bucket| bucket.name.as_str()).collect();
        let routes = match account.routes.len() == config.routes.len() {
            true => "every route".to_owned(),
            false => account.routes.join(", "),
        };
        writeln!(
            out,
            "  account     {} ({}, {}): {} → {routes}",
            account.name,
            account.id,
            account.region,
            buckets.join(", ")
        )?;
        let taken = config.routes_of(account).into_iter().map(|at| &config.routes[at].spec);
        if let Some(cost) = cost::of_account(taken) {
            writeln!(out, "    cost      {cost}")?;
        }
    }
    for route in &config.routes {
        let sinks: Vec<_> = route
            .sinks
            .iter()
            .map(|name| match config.sinks.get(name) {
                Some(sink) if !sink.required => format!("{name} (best effort)"),
                _ => name.clone(),
            })
            .collect();
        writeln!(out, "  route       {} → {}", route.name, sinks.join(", "))?;
        writeln!(out, "    cost      {}", cost::of_route(&route.spec))?;
    }
    for (name, sink) in &config.sinks {
        let what = match &sink.kind {
            SinkKind::Stdout => "standard output".to_owned(),
            SinkKind::File(file) => format!("file {}", file.path.display()),
            SinkKind::Http(http) => format!("http {}", origin(&http.connection.url)),
            SinkKind::SplunkHec(splunk) => {
                format!("splunk_hec {}", origin(&splunk.settings.connection.url))
            }
            SinkKind::OpenSearch(opensearch) => {
                format!("opensearch {}", origin(&opensearch.settings.connection.url))
            }
            SinkKind::Otlp(otlp) => format!("otlp {}", origin(&otlp.connection.url)),
            SinkKind::Kafka(kafka) => {
                let settings = &kafka.settings;
                format!("kafka topic {} at {}", settings.topic, settings.brokers.join(", "))
            }
            SinkKind::S3(s3) => {
                format!("s3://{}/{}", s3.settings.bucket, s3.settings.prefix)
            }
            SinkKind::Kinesis(kinesis) => format!("kinesis {}", kinesis.settings.stream),
            SinkKind::Firehose(firehose) => format!("firehose {}", firehose.stream),
            SinkKind::Sqs(sqs) => format!("sqs {}", sqs.settings.queue_url),
            SinkKind::Sns(sns) => format!("sns {}", sns.settings.topic_arn),
            SinkKind::EventBridge(bus) => format!("eventbridge {}", bus.settings.event_bus),
            SinkKind::CloudWatchLogs(logs) => {
                let settings = &logs.settings;
                format!("cloudwatch logs {}, stream {}", settings.log_group, settings.log_stream)
            }
        };
        writeln!(out, "  sink        {name}: {what}")?;
    }
    let quarantine = match &config.quarantine {
        Quarantine::Folder(path) => format!("in {}", path.display()),
        Quarantine::Sink(name) => format!("in the sink {name}"),
        Quarantine::Redrive => "nowhere: left to the redrive policy".to_owned(),
    };
    writeln!(out, "  quarantine  {quarantine}")?;
    let retention = config::duration_text(config.service.ledger_retention);
    writeln!(out, "  ledger      in {}, for {retention}", config.service.ledger().display())?;
    Ok(out)
}

/// Scheme, host and port: the path may be a credential, as webhooks have it.
fn origin(url: &str) -> String {
    url::Url::parse(url).map_or_else(|_| "-".into(), |url| url.origin().ascii_serialization())
}
