//! What the operating system says of this process, and which program it is.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, IntGaugeVec, Opts, Registry};
use rustix::process::{Resource, getrlimit};

/// A registry that knows the program's version and what it takes of the machine. The names are those
/// that Prometheus' own clients use; what this system does not tell stays 0.
///
/// # Errors
/// Never, unless two of the names below are equal.
pub(crate) fn registry() -> prometheus::Result<Registry> {
    let registry = Registry::new();
    let help = "1, and the version of the running program.";
    let build = IntGaugeVec::new(Opts::new("trailsift_build_info", help), &["version"])?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    registry.register(Box::new(build))?;
    registry.register(Box::new(Process::new()?))?;
    Ok(registry)
}

/// Looks whenever somebody asks: a few files of `/proc`.
struct Process {
    cpu: Counter,
    resident: Gauge,
    open_files: Gauge,
    max_files: Gauge,
    started: Gauge,
}

/// Seconds of CPU, and bytes in memory.
type Usage = (f64, f64);

impl Process {
    fn new() -> prometheus::Result<Self> {
        let started = Gauge::new("process_start_time_seconds", "When it started, as Unix time.")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        started.set(now.as_secs_f64());
        Ok(Self {
            cpu: Counter::new("process_cpu_seconds_total", "CPU time, in user and system mode.")?,
            resident: Gauge::new(
                "process_resident_memory_bytes",
                "Memory that it has of its own.",
            )?,
            open_files: Gauge::new("process_open_fds", "File descriptors that are open.")?,
            max_files: Gauge::new("process_max_fds", "File descriptors that may be open.")?,
            started,
        })
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        let gauges = [&self.resident, &self.open_files, &self.max_files, &self.started];
        gauges.into_iter().flat_map(Collector::desc).chain(self.cpu.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        if let Some((cpu, resident)) = usage(&stat) {
            self.cpu.inc_by((cpu - self.cpu.get()).max(0.0));
            self.resident.set(resident);
        }
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            // One of them is the folder itself.
            let open = open.count().saturating_sub(1);
            self.open_files.set(u32::try_from(open).map_or(f64::INFINITY, f64::from));
        }
        #[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 of them")]
        let limit = getrlimit(Resource::Nofile).current.map_or(f64::INFINITY, |limit| limit as f64);
        self.max_files.set(limit);
        let gauges = [&self.resident, &self.open_files, &self.max_files, &self.started];
        gauges.into_iter().flat_map(Collector::collect).chain(self.cpu.collect()).collect()
    }
}

/// What `/proc/self/stat` says.
#[expect(clippy::cast_precision_loss, reason = "no process has so many pages, or lives so long")]
fn usage(stat: &str) -> Option<Usage> {
    // The second field is the program's name, in brackets, and may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    // By their numbers in proc(5), less those before: 14 and 15 are ticks of CPU, 24 is pages.
    let number = |place: usize| fields.get(place - 3)?.parse::<u64>().ok();
    let ticks = number(14)? + number(15)?;
    let pages = number(24)?;
    let cpu = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    Some((cpu, pages as f64 * rustix::param::page_size() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_program_does_not_confuse_the_fields_behind_it() {
        let line =
            "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 3 0 12345 999 10 184";
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let page = rustix::param::page_size() as f64;
        assert_eq!(usage(line), Some((200.0 / ticks, 10.0 * page)));
        assert_eq!(usage(""), None);
        assert_eq!(usage("7 (a) S 1"), None);
    }

    #[test]
    fn the_registry_tells_the_version_and_what_the_process_takes() {
        let registry = registry().expect("distinct names");
        let text =
            prometheus::TextEncoder::new().encode_to_string(&registry.gather()).expect("text");
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
            line.expect("a value").parse().expect("a number")
        };
        assert!(
            text.contains(concat!("{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1")),
            "{text}"
        );
        assert!(value("process_start_time_seconds") > 1.7e9);
        assert!(value("process_max_fds") >= 1.0);
        #[cfg(target_os = "linux")]
        assert!(value("process_resident_memory_bytes") > 1e6 && value("process_open_fds") >= 3.0);
    }
}
