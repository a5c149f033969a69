//! A LocalStack for one task: one that the person named, or else a container, or else a child
//! process from a Python environment of our own. It lives as long as its guard.

mod container;
mod python;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::process::Running;
use crate::ui::{Step, Ui};
use crate::{http, workspace};

/// The version that everything here is tried with. The Python requirements pin the same.
const VERSION: &str = "4.13.1";
/// How long it may take to answer. It needs about 12 s on two idle cores, but they compile meanwhile.
const STARTUP: Duration = Duration::from_secs(600);
/// Where its port is looked for.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// What every kind of LocalStack is started with: no telemetry, no downloads, no name server (which asks others for names at the
/// start), queue addresses by path.
const SETTINGS: [(&str, &str); 5] = [
    ("ACTIVATE_PRO", "0"),
    ("DNS_ADDRESS", "0"),
    ("DISABLE_EVENTS", "1"),
    ("SKIP_SSL_CERT_DOWNLOAD", "1"),
    ("SQS_ENDPOINT_STRATEGY", "path"),
];

/// A LocalStack that answers.
pub(crate) struct LocalStack {
    endpoint: String,
    log: Option<PathBuf>,
    named: bool,
    _guard: Option<Guard>,
}

/// What runs a LocalStack of our own; dropping it ends that.
enum Guard {
    Container { _container: container::Container },
    Process { _process: python::Process },
}

impl LocalStack {
    /// `http://host:port`.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Whether somebody else runs it, and will want it back as it was.
    pub(crate) fn is_somebody_elses(&self) -> bool {
        self.named
    }

    /// Where it writes its log, if it is our own.
    pub(crate) fn log(&self) -> Option<String> {
        self.log.as_deref().map(workspace::shown)
    }
}

/// What other programs need to find the LocalStack, as environment variables.
pub(crate) fn environment(endpoint: &str) -> [(&'static str, String); 5] {
    [
        ("AWS_ENDPOINT_URL", endpoint.to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
    ]
}

/// What a child must not inherit: the person's own way to AWS and to the network, and what changes what trailsift says. Names of
/// variables that are set, other than those of [`environment`].
pub(crate) fn foreign_settings() -> Vec<OsString> {
    std::env::vars_os().map(|(name, _)| name).filter(|name| is_foreign(name)).collect()
}

fn is_foreign(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let ours = environment("").map(|(ours, _)| ours);
    let upper = name.to_ascii_uppercase();
    (name.starts_with("AWS_") && !ours.contains(&name.as_ref()))
        || ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "RUST_LOG", "TRAILSIFT_CONFIG"]
            .contains(&upper.as_str())
        || ["OTEL_", "PYTHON"].iter().any(|kind| name.starts_with(kind))
}

/// Finds or starts one, and waits until it answers.
pub(crate) async fn start(ui: &Ui) -> anyhow::Result<LocalStack> {
    if let Ok(endpoint) = std::env::var("AWS_ENDPOINT_URL")
        && !endpoint.is_empty()
    {
        return named(ui, endpoint.trim_end_matches('/')).await;
    }
    let run = std::process::id();
    let folder = workspace::target("localstack");
    let log = folder.join(format!("localstack-{run}.log"));
    // The port is looked for at last: what comes before takes its time, in which others could come to it.
    let at = |port| format!("http://127.0.0.1:{port}");
    let (endpoint, guard) = if container::engine_answers().await {
        let image = container::pull(ui, &folder).await?;
        let step = ui.step("starting LocalStack (Docker)");
        let port = free_port()?;
        let endpoint = at(port);
        let mut container = container::start(&image, port, &log)?;
        wait(step, &endpoint, &log, container.client()).await?;
        (endpoint, Guard::Container { _container: container })
    } else {
        let python = python::ENVIRONMENT.python(ui).await?;
        let step = ui.step("starting LocalStack (Python)");
        let port = free_port()?;
        let endpoint = at(port);
        let mut process = python::start(&python, port, &folder.join(format!("run-{run}")), &log)?;
        wait(step, &endpoint, &log, process.running()).await?;
        (endpoint, Guard::Process { _process: process })
    };
    Ok(LocalStack { endpoint, log: Some(log), named: false, _guard: Some(guard) })
}

/// The one that the person named. Nothing else may be there: what follows creates and deletes.
async fn named(ui: &Ui, endpoint: &str) -> anyhow::Result<LocalStack> {
    let step = ui.step("asking LocalStack");
    let health = http::get(endpoint, "/_localstack/health").await.with_context(|| {
        format!(
            "AWS_ENDPOINT_URL names {endpoint}, and no LocalStack answers there; \
             start it, or unset the variable to have one started"
        )
    })?;
    let version = version(&health).with_context(|| {
        format!("AWS_ENDPOINT_URL names {endpoint}, which is something else than LocalStack")
    })?;
    step.done(&format!("{version} at {endpoint}, as AWS_ENDPOINT_URL says"));
    let endpoint = endpoint.to_owned();
    Ok(LocalStack { endpoint, log: None, named: true, _guard: None })
}

/// Waits until it answers, as long as what runs it lives.
async fn wait(
    step: Step,
    endpoint: &str,
    log: &std::path::Path,
    running: &mut Running,
) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        if let Ok(health) = http::get(endpoint, "/_localstack/health").await
            && let Ok(version) = version(&health)
        {
            step.done(&format!("{version} at {endpoint}"));
            return Ok(());
        }
        let problem = match running.ended()? {
            Some(status) => format!("LocalStack ended before it answered ({status})"),
            None if started.elapsed() > STARTUP => {
                format!("LocalStack did not answer within {} s", STARTUP.as_secs())
            }
            None => {
                step.detail("waiting for its health check");
                tokio::time::sleep(Duration::from_millis(250)).await;
                continue;
            }
        };
        drop(step);
        bail!("{problem}; the end of {}:\n{}", workspace::shown(log), workspace::tail(log, 30));
    }
}

/// The version in the answer of `/_localstack/health`.
fn version(health: &str) -> anyhow::Result<String> {
    let health: Value = serde_json::from_str(health).context("the health check is no JSON")?;
    health["services"].as_object().context("the health check names no services")?;
    Ok(health["version"].as_str().unwrap_or("of no version").to_owned())
}

/// A port that nobody listens on right now, and that no connection and no program which takes any port will be given: the
/// kernel takes those from higher ones (32768 on Linux). The process id keeps two runs apart.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    static ASKED: AtomicU16 = AtomicU16::new(0);
    for _ in 0..PORTS.len() {
        let next = u32::from(ASKED.fetch_add(1, Ordering::Relaxed));
        // A large step, for process ids follow each other.
        let from_first =
            (std::process::id().wrapping_mul(37) + next) % u32::from(PORTS.end - PORTS.start);
        let port = PORTS.start + u16::try_from(from_first)?;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port between {} and {} is free", PORTS.start, PORTS.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_localstack_passes_for_localstack() {
        let health =
            r#"{"services": {"s3": "available"}, "edition": "community", "version": "4.13.1"}"#;
        assert_eq!(version(health).unwrap(), "4.13.1");
        assert!(version("<html>").is_err());
        assert!(version(r#"{"status":"ok"}"#).is_err());
    }

    #[test]
    fn a_child_has_our_way_to_aws_and_no_other() {
        let foreign =
            ["AWS_PROFILE", "AWS_ENDPOINT_URL_S3", "https_proxy", "RUST_LOG", "OTEL_SDK_DISABLED"];
        assert!(foreign.iter().all(|name| is_foreign(OsStr::new(name))));
        let others = ["AWS_ENDPOINT_URL", "AWS_REGION", "PATH", "TRAILSIFT_KILLS", "NO_PROXY"];
        assert!(!others.iter().any(|name| is_foreign(OsStr::new(name))));
    }

    #[test]
    fn the_python_requirements_pin_the_version_of_the_image() {
        let requirements = python::ENVIRONMENT.requirements().unwrap();
        assert!(requirements.lines().any(|line| line == format!("localstack-core=={VERSION}")));
    }
}
