//! Children that never outlive their parent: each has a process group of its own that is killed
//! when its guard is dropped, and on Linux the kernel kills it when the parent itself is killed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// A command that will die with this process.
///
/// The link is made by [`become_tied`] in the child itself, since doing it between fork and exec
/// needs unsafe code. The program is named through `/proc`, because cargo may have replaced the
/// file of this very program in the meantime.
pub(crate) fn tied(program: impl AsRef<OsStr>) -> Command {
    if cfg!(target_os = "linux") {
        let mut command = Command::new("/proc/self/exe");
        command.arg("tied").arg(program);
        command
    } else {
        Command::new(program)
    }
}

/// Ties this process to its parent, then becomes the given command. Returns only if that fails.
pub(crate) fn become_tied(command: &[OsString]) -> anyhow::Error {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    let Some((program, arguments)) = command.split_first() else {
        return anyhow::anyhow!("no command to become");
    };
    let error = std::process::Command::new(program).args(arguments).exec();
    anyhow::Error::new(error).context(format!("cannot start {}", program.display()))
}

/// A running child. Dropping it kills its whole process group.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Starts the command with nothing on its standard input.
    pub(crate) fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {:?}", command.as_std()))?;
        Ok(Self { child })
    }

    /// Its standard output, if that was piped; once.
    pub(crate) fn stdout(&mut self) -> anyhow::Result<ChildStdout> {
        self.child.stdout.take().context("the child's standard output is not piped")
    }

    /// Its standard error, if that was piped; once.
    pub(crate) fn stderr(&mut self) -> anyhow::Result<ChildStderr> {
        self.child.stderr.take().context("the child's standard error is not piped")
    }

    /// Waits for its end.
    pub(crate) async fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// Its process id, until somebody has waited for its end.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The id is there only while nobody has waited for the child, so it is no one else's.
        let group = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(group) = group {
            // It may have ended a moment ago; then there is nothing left to kill.
            kill_process_group(group, Signal::KILL).unwrap_or_default();
        }
    }
}

/// Both output streams of a child into one file.
pub(crate) fn into_log(path: &Path) -> anyhow::Result<(Stdio, Stdio)> {
    let log = create(path)?;
    let twin = log.try_clone()?;
    Ok((log.into(), twin.into()))
}

/// A new file, its folder included.
pub(crate) fn create(path: &Path) -> anyhow::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    File::create(path).with_context(|| format!("cannot create {}", path.display()))
}
