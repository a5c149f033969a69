use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::bail;
use tokio::process::Command;

use super::{SETTINGS, VERSION};
use crate::process::{Running, into_log, tied};
use crate::ui::Ui;
use crate::workspace;

/// A container; dropping it removes it.
pub(super) struct Container {
    name: String,
    client: Running,
}

impl Container {
    /// The attached Docker client, which ends when the container does.
    pub(super) fn client(&mut self) -> &mut Running {
        &mut self.client
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // The container is the engine's child and not ours: killing the client would not end it.
        let removed = std::process::Command::new("docker")
            .args(["rm", "--force", &self.name])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        drop(removed);
    }
}

/// Whether there is a Docker engine that we may use.
pub(super) async fn engine_answers() -> bool {
    let mut command = Command::new("docker");
    command.arg("info").stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut running) = Running::spawn(&mut command) else { return false };
    let ended = tokio::time::timeout(Duration::from_secs(10), running.wait()).await;
    matches!(ended, Ok(Ok(status)) if status.success())
}

/// Makes sure that the image is there, and returns its name.
pub(super) async fn pull(ui: &Ui, folder: &Path) -> anyhow::Result<String> {
    let image = format!("localstack/localstack:{VERSION}");
    let mut inspect = Command::new("docker");
    inspect.args(["image", "inspect", &image]).stdout(Stdio::null()).stderr(Stdio::null());
    if Running::spawn(&mut inspect)?.wait().await?.success() {
        return Ok(image);
    }
    let step = ui.step("pulling LocalStack's image");
    step.detail(&image);
    let log = folder.join("pull.log");
    let (out, err) = into_log(&log)?;
    let mut pull = Command::new("docker");
    pull.args(["pull", &image]).stdout(out).stderr(err);
    if !Running::spawn(&mut pull)?.wait().await?.success() {
        drop(step);
        bail!(
            "docker pull {image} failed; the end of {}:\n{}\n\
             Pull it by hand, or stop the Docker engine to use Python instead",
            workspace::shown(&log),
            workspace::tail(&log, 20)
        );
    }
    step.done(&image);
    Ok(image)
}

/// Starts the container with its port on the loopback interface only.
pub(super) fn start(image: &str, port: u16, log: &Path) -> anyhow::Result<Container> {
    let name = format!("trailsift-localstack-{}", std::process::id());
    let mut command = tied("docker");
    command.args(["run", "--rm", "--name", &name]);
    command.args(["--publish", &format!("127.0.0.1:{port}:4566")]);
    command.args(["--env", &format!("LOCALSTACK_HOST=127.0.0.1:{port}")]);
    for (variable, value) in SETTINGS {
        command.args(["--env", &format!("{variable}={value}")]);
    }
    let (out, err) = into_log(log)?;
    command.arg(image).stdout(out).stderr(err);
    Ok(Container { name, client: Running::spawn(&mut command)? })
}
