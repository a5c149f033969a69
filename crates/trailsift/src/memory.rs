//! How much memory this process may take, as its control group says.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::{ByteSize, Config};

/// What the process takes besides `service.memory`: code, stacks, clients, buffers of sinks.
const OVERHEAD: u64 = 64 << 20;
/// Where Linux shows control groups.
const CGROUPS: &str = "/sys/fs/cgroup";

/// What a budget means under a limit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// There is room, or no limit.
    Room,
    /// It leaves too little for everything else: under load the kernel may end the process.
    Tight(String),
    /// The budget alone is above the limit, or would not be kept.
    Above(String),
}

/// Whether `service.memory` fits into this machine's limit for the process, and feeds a worker of each
/// account.
pub(crate) fn fit(config: &Config) -> Fit {
    if let Some(why) = starving(config) {
        return Fit::Above(why);
    }
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    judge(config.service.memory, limit(&own, Path::new(CGROUPS)))
}

/// Why `service.memory` does not feed a worker of each account, if it does not: on no machine does it.
pub(crate) fn starving(config: &Config) -> Option<String> {
    let (service, accounts) = (&config.service, config.accounts.len());
    starved(service.memory, service.memory_per_worker(), accounts)
}

fn starved(memory: ByteSize, each: u64, accounts: usize) -> Option<String> {
    let least = ByteSize::new(each.saturating_mul(accounts as u64));
    (memory < least).then(|| {
        format!(
            "`service.memory` ({memory}) does not feed one worker of each of the {accounts} accounts: \
             raise it to {least}, or lower `service.max_record`"
        )
    })
}

fn judge(memory: ByteSize, limit: Option<ByteSize>) -> Fit {
    let Some(limit) = limit else { return Fit::Room };
    let says = |consequence| {
        format!(
            "`service.memory` ({memory}) {consequence} the memory limit of this process ({limit}, \
             from its control group): lower it to the limit less {}, or raise the limit",
            ByteSize::new(OVERHEAD)
        )
    };
    if memory.bytes() > limit.bytes() {
        Fit::Above(says("is above"))
    } else if memory.bytes().saturating_add(OVERHEAD) > limit.bytes() {
        Fit::Tight(says("leaves too little of"))
    } else {
        Fit::Room
    }
}

/// The smallest limit on the way from the process's own group to the root. `own` is the text of
/// `/proc/self/cgroup`: lines of `number:controllers:path`. Both hierarchies are looked at.
fn limit(own: &str, root: &Path) -> Option<ByteSize> {
    let groups = own.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        if controllers.is_empty() {
            Some((root.to_owned(), path, "memory.max"))
        } else if controllers.split(',').any(|name| name == "memory") {
            Some((root.join("memory"), path, "memory.limit_in_bytes"))
        } else {
            None
        }
    });
    groups.filter_map(|(root, path, file)| smallest(&root, path, file)).min().map(ByteSize::new)
}

fn smallest(root: &Path, path: &str, file: &str) -> Option<u64> {
    // In a container the path is the host's, which is not to be seen there: then its root counts.
    let group = root.join(path.trim_start_matches('/'));
    let limits =
        group.ancestors().take_while(|group| group.starts_with(root)).filter_map(|group| {
            let text = fs::read_to_string(PathBuf::from(group).join(file)).ok()?;
            // "max", or the older hierarchy's largest number, is no limit.
            text.trim().parse().ok().filter(|bytes| *bytes < 1 << 60)
        });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of control groups with these files.
    fn groups(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("written");
        }
        root
    }

    #[test]
    fn the_smallest_limit_above_the_process_counts() {
        let root = groups(&[
            ("memory.max", "max\n"),
            ("system.slice/memory.max", "536870912\n"),
            ("system.slice/trailsift.service/memory.max", "1073741824\n"),
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/docker/abc/memory.limit_in_bytes", "67108864\n"),
        ]);
        let mebibytes = |own| limit(own, root.path()).map(|limit| limit.bytes() >> 20);
        assert_eq!(mebibytes("0::/system.slice/trailsift.service\n"), Some(512));
        assert_eq!(mebibytes("0::/\n"), None);
        assert_eq!(mebibytes("0::/../elsewhere\n"), None);
        assert_eq!(mebibytes("4:cpu,memory:/docker/abc\n1:cpu:/x\n0::/\n"), Some(64));
        assert_eq!(mebibytes("4:memory:/not/to/be/seen\n"), None);
        assert_eq!(mebibytes("nonsense"), None);
        let container = groups(&[("memory.max", "268435456\n")]);
        assert_eq!(limit("0::/host/path\n", container.path()), Some(ByteSize::mebibytes(256)));
    }

    #[test]
    fn a_budget_must_feed_a_worker_of_each_account() {
        let starved = |accounts| starved(ByteSize::mebibytes(256), 4 << 20, accounts);
        assert_eq!(starved(64), None);
        let text = starved(65).expect("65 workers need more");
        assert!(text.contains("each of the 65 accounts: raise it to 260MiB"), "{text}");
    }

    #[test]
    fn a_budget_above_the_limit_is_told_from_one_that_leaves_too_little() {
        let judge = |limit| judge(ByteSize::mebibytes(256), limit);
        assert_eq!(judge(None), Fit::Room);
        assert_eq!(judge(Some(ByteSize::mebibytes(320))), Fit::Room);
        let Fit::Tight(text) = judge(Some(ByteSize::mebibytes(319))) else { panic!("tight") };
        assert!(text.contains("(256MiB) leaves too little of the memory limit"), "{text}");
        let Fit::Above(text) = judge(Some(ByteSize::mebibytes(255))) else { panic!("above") };
        assert!(text.contains("(256MiB) is above the memory limit"), "{text}");
        assert!(text.contains("(255MiB, from its control group)"), "{text}");
    }
}
