//! The moto that stands in for Kinesis and Firehose (`tests/moto`): one that the person named, or else a child process from a
//! Python environment of our own. It lives as long as its guard.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::localstack::{foreign_settings, free_port};
use crate::process::{Running, into_log, tied};
use crate::python::Environment;
use crate::ui::Ui;
use crate::{http, workspace};

const ENVIRONMENT: Environment = Environment {
    what: "moto",
    folder: "moto",
    requirements: "tests/moto/requirements.txt",
    minors: (10, None),
    exactly: false,
    remedy: "name a running moto by TRAILSIFT_MOTO_URL",
};

/// The packages whose tests need it.
pub(crate) const PACKAGES: [&str; 1] = ["trailsift-aws-sinks"];
/// How the tests find it.
pub(crate) const VARIABLE: &str = "TRAILSIFT_MOTO_URL";
/// How long it may take to answer. It needs about 2 s on two idle cores, but they compile meanwhile.
const STARTUP: Duration = Duration::from_secs(600);
/// What only moto answers.
const STATUS: &str = "/moto-api/data.json";

/// A moto that answers.
pub(crate) struct Moto {
    url: String,
    _process: Option<Running>,
}

impl Moto {
    /// `http://host:port`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// Finds or starts one, and waits until it answers.
pub(crate) async fn start(ui: &Ui) -> anyhow::Result<Moto> {
    if let Ok(named) = std::env::var(VARIABLE)
        && !named.is_empty()
    {
        let url = named.trim_end_matches('/').to_owned();
        let asked = http::get(&url, STATUS).await;
        asked.with_context(|| format!("{VARIABLE} names {url}, and no moto answers there"))?;
        return Ok(Moto { url, _process: None });
    }
    let python = ENVIRONMENT.python(ui).await?;
    let (port, run) = (free_port()?, std::process::id());
    let log = workspace::target(ENVIRONMENT.folder).join(format!("moto-{run}.log"));
    let step = ui.step("starting moto");
    let (out, err) = into_log(&log)?;
    let mut command = tied(python);
    for name in foreign_settings() {
        command.env_remove(name);
    }
    command
        .arg(workspace::root().join("tests/moto/serve.py"))
        .arg(port.to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUNBUFFERED", "1")
        .stdout(out)
        .stderr(err);
    let mut process = Running::spawn(&mut command)?;
    let (url, started) = (format!("http://127.0.0.1:{port}"), Instant::now());
    while http::get(&url, STATUS).await.is_err() {
        let problem = match process.ended()? {
            Some(status) => format!("moto ended before it answered ({status})"),
            None if started.elapsed() > STARTUP => {
                format!("moto did not answer within {} s", STARTUP.as_secs())
            }
            None => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        drop(step);
        bail!("{problem}; the end of {}:\n{}", workspace::shown(&log), workspace::tail(&log, 30));
    }
    step.done(&format!("at {url}"));
    Ok(Moto { url, _process: Some(process) })
}
