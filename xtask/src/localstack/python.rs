use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{SETTINGS, foreign_settings};
use crate::process::{Running, into_log, tied};
use crate::python::Environment;

/// What LocalStack runs in.
pub(super) const ENVIRONMENT: Environment = Environment {
    what: "LocalStack",
    folder: "localstack",
    requirements: "deploy/localstack/requirements.txt",
    minors: (11, Some(13)),
    exactly: false,
    remedy: "start Docker, or name a running LocalStack by AWS_ENDPOINT_URL",
};

/// LocalStack as a child process; dropping it ends that and removes its files.
pub(super) struct Process {
    running: Running,
    files: PathBuf,
}

impl Process {
    pub(super) fn running(&mut self) -> &mut Running {
        &mut self.running
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // What stays behind lies under target/ and is only in the way of nobody.
        let removed = std::fs::remove_dir_all(&self.files);
        drop(removed);
    }
}

/// Starts LocalStack; all that it writes lies in `files`.
pub(super) fn start(python: &Path, port: u16, files: &Path, log: &Path) -> anyhow::Result<Process> {
    std::fs::create_dir_all(files).with_context(|| format!("cannot create {}", files.display()))?;
    let (out, err) = into_log(log)?;
    let mut command = tied(python);
    for name in foreign_settings() {
        command.env_remove(name);
    }
    command
        .args(["-m", "localstack.runtime.main"])
        .envs(SETTINGS)
        .env("GATEWAY_LISTEN", format!("127.0.0.1:{port}"))
        .env("LOCALSTACK_HOST", format!("127.0.0.1:{port}"))
        .env("FILESYSTEM_ROOT", files)
        .env("TMPDIR", files)
        .env("PYTHONUNBUFFERED", "1")
        .current_dir(files)
        .stdout(out)
        .stderr(err);
    Ok(Process { running: Running::spawn(&mut command)?, files: files.to_owned() })
}
