//! Python environments of our own, each with pinned packages, made once.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::process::{Running, create, into_log};
use crate::ui::Ui;
use crate::workspace;

/// An environment as it is to be.
pub(crate) struct Environment {
    /// What it is for, as a person says it: `LocalStack`.
    pub(crate) what: &'static str,
    /// Its folder's name under cargo's target folder.
    pub(crate) folder: &'static str,
    /// The pinned requirements, from the workspace's root.
    pub(crate) requirements: &'static str,
    /// The oldest and the newest Python that it runs on, as minor versions of 3.
    pub(crate) minors: (u32, Option<u32>),
    /// Whether exactly these packages are installed, whatever others they ask for.
    pub(crate) exactly: bool,
    /// What a person can do who has no such Python, or no package index.
    pub(crate) remedy: &'static str,
}

impl Environment {
    /// The text of the pinned requirements.
    pub(crate) fn requirements(&self) -> anyhow::Result<String> {
        let path = workspace::root().join(self.requirements);
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// The Python of the environment. Made once; made anew when the requirements or the interpreter's
    /// version change, or when it was left unfinished.
    pub(crate) async fn python(&self, ui: &Ui) -> anyhow::Result<PathBuf> {
        let requirements = self.requirements()?;
        let (interpreter, version) = self.interpreter().await?;
        let folder = workspace::target(self.folder);
        let venv = folder.join("venv");
        let python = venv.join("bin/python");
        let stamp = venv.join("made-from.txt");
        let made_from = format!("Python {version}\n{requirements}");
        let lock = lock(ui, &folder).await?;
        if std::fs::read_to_string(&stamp).is_ok_and(|text| text == made_from) {
            return Ok(python);
        }
        let log = folder.join("pip.log");
        create_venv(ui, &interpreter, &version, &venv, &log).await?;
        let wanted = requirements.lines().filter(|line| line.contains("==")).count() as u64;
        self.install(ui, &python, wanted, &log).await?;
        std::fs::write(&stamp, made_from)
            .with_context(|| format!("cannot write {}", stamp.display()))?;
        drop(lock);
        Ok(python)
    }

    /// Installs the requirements.
    async fn install(&self, ui: &Ui, python: &Path, wanted: u64, log: &Path) -> anyhow::Result<()> {
        let step = ui.counted(&format!("installing {} by pip", self.what), wanted);
        let errors = log.with_file_name("pip-errors.log");
        let mut command = Command::new(python);
        command.args(["-m", "pip", "install", "--no-input", "--progress-bar=off"]);
        command.arg("--disable-pip-version-check");
        // Not its 5 and 15 s: an index that is slow, or away for a moment, is no reason to fail.
        command.args(["--retries=10", "--timeout=60"]);
        command.args(self.exactly.then_some("--no-deps"));
        command.arg("--requirement");
        command.arg(workspace::root().join(self.requirements));
        command.stdout(Stdio::piped()).stderr(create(&errors)?);
        let mut pip = Running::spawn(&mut command)?;
        let mut lines = BufReader::new(pip.stdout()?).lines();
        let mut file = create(log)?;
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
            bail!(
                "{}\n{}\npip needs the Python package index, or a mirror named by PIP_INDEX_URL; \
                 without either, {}",
                with_log(&format!("pip could not install {}", self.what), log),
                workspace::tail(&errors, 20),
                self.remedy
            );
        }
        step.done("");
        Ok(())
    }

    /// A Python that can run it: its command and version.
    async fn interpreter(&self) -> anyhow::Result<(String, String)> {
        let (oldest, newest) = self.minors;
        let program = format!(
            "import sys, platform; print(platform.python_version()); \
             sys.exit(not (3, {oldest}) <= sys.version_info[:2] <= (3, {}))",
            newest.unwrap_or(99)
        );
        let named = std::env::var("PYTHON").ok();
        let usual = ["python3.11", "python3", "python3.12", "python3.13"].map(str::to_owned);
        let mut seen = Vec::new();
        for candidate in named.into_iter().chain(usual) {
            let output = Command::new(&candidate).args(["-c", &program]).output().await;
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
        let newest = newest.map_or_else(|| "or newer".to_owned(), |minor| format!("to 3.{minor}"));
        bail!(
            "no Python 3.{oldest} {newest} for {} ({seen}); install one, or name one by PYTHON, or {}",
            self.what,
            self.remedy
        )
    }
}

/// A fresh environment without packages.
async fn create_venv(
    ui: &Ui,
    interpreter: &str,
    version: &str,
    venv: &Path,
    log: &Path,
) -> anyhow::Result<()> {
    let step = ui.step("creating a Python environment");
    if venv.exists() {
        std::fs::remove_dir_all(venv)
            .with_context(|| format!("cannot remove {}", venv.display()))?;
    }
    let (out, err) = into_log(log)?;
    let mut command = Command::new(interpreter);
    command.args(["-m", "venv"]).arg(venv).stdout(out).stderr(err);
    if !Running::spawn(&mut command)?.wait().await?.success() {
        bail!(
            "{}\nOn Debian and Ubuntu the module is a package of its own: apt install python3-venv",
            with_log(&format!("{interpreter} -m venv failed"), log)
        );
    }
    step.done(&format!("Python {version}"));
    Ok(())
}

fn with_log(what: &str, log: &Path) -> String {
    format!("{what}; the end of {}:\n{}", workspace::shown(log), workspace::tail(log, 20))
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
