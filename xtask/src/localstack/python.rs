use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::SETTINGS;
use crate::process::{Running, create, into_log, tied};
use crate::ui::Ui;
use crate::workspace;

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

/// The pinned requirements.
pub(super) fn requirements() -> anyhow::Result<String> {
    let path = workspace::root().join("deploy/localstack/requirements.txt");
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// The Python of an environment that holds the requirements. Made once; made anew when the
/// requirements or the interpreter's version change, or when it was left unfinished.
pub(super) async fn environment(ui: &Ui, folder: &Path) -> anyhow::Result<PathBuf> {
    let requirements = requirements()?;
    let (interpreter, version) = interpreter().await?;
    let venv = folder.join("venv");
    let python = venv.join("bin/python");
    let stamp = venv.join("made-from.txt");
    let made_from = format!("Python {version}\n{requirements}");
    let lock = lock(ui, folder).await?;
    if std::fs::read_to_string(&stamp).is_ok_and(|text| text == made_from) {
        return Ok(python);
    }

    let log = folder.join("pip.log");
    let failed = |what: &str| {
        format!("{what}; the end of {}:\n{}", workspace::shown(&log), workspace::tail(&log, 20))
    };
    let step = ui.step("creating a Python environment");
    if venv.exists() {
        std::fs::remove_dir_all(&venv)
            .with_context(|| format!("cannot remove {}", venv.display()))?;
    }
    let (out, err) = into_log(&log)?;
    let mut command = Command::new(&interpreter);
    command.args(["-m", "venv"]).arg(&venv).stdout(out).stderr(err);
    if !Running::spawn(&mut command)?.wait().await?.success() {
        bail!(
            "{}\nOn Debian and Ubuntu the module is a package of its own: apt install python3-venv",
            failed(&format!("{interpreter} -m venv failed"))
        );
    }
    step.done(&format!("Python {version}"));

    let wanted = requirements.lines().filter(|line| line.contains("==")).count() as u64;
    let step = ui.counted("installing LocalStack by pip", wanted);
    let mut command = Command::new(&python);
    command.args(["-m", "pip", "install", "--no-input", "--progress-bar=off"]);
    command.args(["--disable-pip-version-check", "--requirement"]);
    command.arg(workspace::root().join("deploy/localstack/requirements.txt"));
    command.stdout(Stdio::piped()).stderr(create(&folder.join("pip-errors.log"))?);
    let mut pip = Running::spawn(&mut command)?;
    let mut lines = BufReader::new(pip.stdout()?).lines();
    let mut file = create(&log)?;
    while let Some(line) = lines.next_line().await? {
        std::io::Write::write_all(&mut file, format!("{line}\n").as_bytes())?;
        if let Some(package) = line.strip_prefix("Collecting ") {
            step.advance();
            step.detail(package.split(" (from").next().unwrap_or(package));
        } else if line.starts_with("Installing collected packages") {
            step.detail("unpacking");
        }
    }
    if !pip.wait().await?.success() {
        drop(step);
        let errors = workspace::tail(&folder.join("pip-errors.log"), 20);
        bail!(
            "{}\n{errors}\npip needs the Python package index, or a mirror named by PIP_INDEX_URL; \
             without either, start Docker or name a LocalStack by AWS_ENDPOINT_URL",
            failed("pip could not install LocalStack")
        );
    }
    step.done("");
    std::fs::write(&stamp, made_from)
        .with_context(|| format!("cannot write {}", stamp.display()))?;
    drop(lock);
    Ok(python)
}

/// Two tasks at once must not build the same environment.
async fn lock(ui: &Ui, folder: &Path) -> anyhow::Result<File> {
    let lock = create(&folder.join("venv.lock"))?;
    if lock.try_lock().is_ok() {
        return Ok(lock);
    }
    let step = ui.step("waiting for another task's set-up");
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
    step.done("");
    Ok(lock)
}

/// A Python that can run LocalStack: its command and version.
async fn interpreter() -> anyhow::Result<(String, String)> {
    let named = std::env::var("PYTHON").ok();
    let usual = ["python3.11", "python3", "python3.12", "python3.13"].map(str::to_owned);
    let mut seen = Vec::new();
    for candidate in named.into_iter().chain(usual) {
        let program = "import sys, platform; print(platform.python_version()); \
                       sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))";
        let output = Command::new(&candidate).args(["-c", program]).output().await;
        let Ok(output) = output else { continue };
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.status.success() {
            return Ok((candidate, version));
        }
        if !version.is_empty() {
            seen.push(format!("{candidate} is {version}"));
        }
    }
    let seen = if seen.is_empty() { "there is none".to_owned() } else { seen.join(", ") };
    bail!(
        "no Docker engine answers, and LocalStack needs Python 3.11 to 3.13 ({seen}); \
         install python3.11, or name one by PYTHON, or start Docker, \
         or name a running LocalStack by AWS_ENDPOINT_URL"
    )
}

/// Starts LocalStack; all that it writes lies in `files`.
pub(super) fn start(python: &Path, port: u16, files: &Path, log: &Path) -> anyhow::Result<Process> {
    std::fs::create_dir_all(files).with_context(|| format!("cannot create {}", files.display()))?;
    let (out, err) = into_log(log)?;
    let mut command = tied(python);
    command
        .args(["-m", "localstack.runtime.main"])
        .envs(SETTINGS)
        .env("GATEWAY_LISTEN", format!("127.0.0.1:{port}"))
        .env("LOCALSTACK_HOST", format!("127.0.0.1:{port}"))
        .env("FILESYSTEM_ROOT", files)
        .env("TMPDIR", files)
        .env("PYTHONUNBUFFERED", "1")
        .env_remove("AWS_PROFILE")
        .current_dir(files)
        .stdout(out)
        .stderr(err);
    Ok(Process { running: Running::spawn(&mut command)?, files: files.to_owned() })
}
