//! What the kernel says of a process.

use std::time::Duration;

use anyhow::{Context, bail};

/// The kernel's unit in `/proc/PID/stat`: 1/100 s on every Linux that is in use, whatever the
/// kernel's own tick.
const TICK: Duration = Duration::from_millis(10);

/// CPU time that a process has used, all its threads together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cpu {
    /// As exactly as the kernel tells.
    pub(super) total: Duration,
    /// In the program itself, to 10 ms.
    pub(super) user: Duration,
    /// In the kernel on its behalf, to 10 ms.
    pub(super) system: Duration,
}

impl Cpu {
    /// Of a running process.
    ///
    /// # Errors
    /// If there is no such process, or no Linux.
    pub(super) fn of(pid: u32) -> anyhow::Result<Self> {
        let path = format!("/proc/{pid}/stat");
        let stat = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let (user, system) = parse_stat(&stat).with_context(|| format!("{path} is {stat:?}"))?;
        // The first is exact, but leaves out threads that have ended; the second has them, but is
        // rounded down.
        let threads = threads(&pid.to_string(), |_| true);
        Ok(Self { total: threads.max(user + system), user, system })
    }

    /// What was used since then.
    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            total: self.total.saturating_sub(earlier.total),
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            total: self.total + other.total,
            user: self.user + other.user,
            system: self.system + other.system,
        }
    }
}

/// CPU time of this process's living threads of that name.
pub(super) fn own_threads(name: &str) -> Duration {
    threads("self", |comm| comm.trim_end() == name)
}

fn threads(pid: &str, wanted: impl Fn(&str) -> bool) -> Duration {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Duration::ZERO };
    let used = tasks.filter_map(|task| {
        let task = task.ok()?.path();
        let comm = std::fs::read_to_string(task.join("comm")).ok()?;
        if !wanted(&comm) {
            return None;
        }
        parse_schedstat(&std::fs::read_to_string(task.join("schedstat")).ok()?)
    });
    used.sum()
}

/// User and system time out of `/proc/PID/stat`.
fn parse_stat(stat: &str) -> Option<(Duration, Duration)> {
    // The program's name may hold anything, so count from behind its closing parenthesis.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some((TICK * ticks()?, TICK * ticks()?))
}

/// Time on a CPU out of a thread's `schedstat`.
fn parse_schedstat(schedstat: &str) -> Option<Duration> {
    schedstat.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// Memory of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// Resident now, in bytes.
    pub(super) resident: u64,
    /// The most that ever was, in bytes.
    pub(super) peak: u64,
}

impl Memory {
    /// Of a running process.
    ///
    /// # Errors
    /// If there is no such process, or no Linux.
    pub(super) fn of(pid: u32) -> anyhow::Result<Self> {
        let path = format!("/proc/{pid}/status");
        let status =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        match parse_status(&status) {
            Some(memory) => Ok(memory),
            None => bail!("{path} names no VmRSS and VmHWM"),
        }
    }
}

fn parse_status(status: &str) -> Option<Memory> {
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let number = line.strip_prefix(':')?.trim().strip_suffix(" kB")?;
        number.trim().parse::<u64>().ok()
    };
    Some(Memory { resident: kib("VmRSS")? * 1024, peak: kib("VmHWM")? * 1024 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "4242 (a) b (c) S 1 4242 4242 0 -1 4194304 1 2 3 4 150 25 7 8 20 0 9 0 100 1 2";
        let (user, system) = parse_stat(stat).unwrap();
        assert_eq!((user, system), (Duration::from_millis(1500), Duration::from_millis(250)));
        assert_eq!(parse_stat("1 (x) S 2"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn memory_is_in_bytes() {
        let status = "Name:\tx\nVmPeak:\t  99 kB\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let memory = parse_status(status).unwrap();
        assert_eq!(memory, Memory { resident: 1 << 20, peak: 2 << 20 });
        assert_eq!(parse_status("Name:\tzombie\n"), None);
    }

    #[test]
    fn a_threads_time_is_the_first_figure() {
        assert_eq!(parse_schedstat("1500 20 3\n"), Some(Duration::from_nanos(1500)));
        assert_eq!(parse_schedstat(""), None);
    }

    #[test]
    fn of_this_very_process_something_is_known() {
        let pid = std::process::id();
        assert!(Memory::of(pid).unwrap().peak > 0);
        assert!(Cpu::of(pid).is_ok());
    }
}
