use std::fs;
use std::process::Command;

use super::{DRAIN_SECONDS, read, run, text};

/// What `systemd-analyze` says of the unit, if this machine has that. Where CI runs it must.
fn analyze(arguments: &[&str], unit: &str) -> Option<(bool, String)> {
    let there = Command::new("systemd-analyze").arg("--version").output().is_ok();
    if !there {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI needs systemd-analyze, of Debian's package systemd"
        );
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trailsift.service");
    fs::write(&path, unit).expect("written");
    let output = run(Command::new("systemd-analyze").args(arguments).arg(&path), b"");
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    Some((output.status.success(), said))
}

/// The unit, with a program that is there.
fn unit() -> String {
    let unit = read("deploy/systemd/trailsift.service");
    unit.replace("/usr/local/bin/trailsift", env!("CARGO_BIN_EXE_trailsift"))
}

fn seconds(unit: &str, key: &str) -> u64 {
    let value = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value.expect("it is there").parse().expect("seconds")
}

#[test]
fn systemd_takes_the_unit() {
    let Some((good, said)) = analyze(&["verify"], &unit()) else { return };
    // A verifier that is not root cannot look into every folder of the machine, and says so.
    let about_us: Vec<_> = said.lines().filter(|line| line.contains("trailsift.service")).collect();
    assert!(good && about_us.is_empty(), "{said}");
    let wrong = unit().replace("ProtectSystem=strict", "ProtectSystem=strictly");
    let (_, said) = analyze(&["verify"], &wrong).expect("it is there");
    assert!(said.contains("ignoring: strictly"), "{said}");
}

#[test]
fn the_unit_is_locked_down() {
    let threshold = ["security", "--offline=true", "--no-pager", "--threshold=16"];
    let Some((good, said)) = analyze(&threshold, &unit()) else { return };
    assert!(good, "{said}");
    let open =
        unit().replace("SystemCallFilter", "#SystemCallFilter").replace("Protect", "#Protect");
    let (good, _) = analyze(&threshold, &open).expect("it is there");
    assert!(!good, "the threshold bites");
}

#[test]
fn a_stop_leaves_time_for_the_drain() {
    assert!(seconds(&unit(), "TimeoutStopSec") > DRAIN_SECONDS);
}
