use std::ffi::OsStr;

use super::{DRAIN_SECONDS, lines, read, root, text, tool, tools};

fn hadolint(dockerfile: &str) -> Result<(), String> {
    let output = tool("hadolint", &[OsStr::new("-")], dockerfile.as_bytes());
    if output.status.success() { Ok(()) } else { Err(text(&output.stdout).to_owned()) }
}

#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn hadolint_finds_nothing_in_the_dockerfile() {
    let dockerfile = read("Dockerfile");
    hadolint(&dockerfile).unwrap_or_else(|said| panic!("{said}"));
    let said = hadolint(&dockerfile.replace(":nonroot", ":latest")).expect_err("a moving tag");
    assert!(said.contains("DL3007"), "{said}");
}

#[test]
fn the_image_runs_as_nobody_and_starts_the_service() {
    let dockerfile = read("Dockerfile");
    let instructions: Vec<_> = dockerfile.lines().collect();
    for instruction in
        ["USER 65532:65532", "ENTRYPOINT [\"/usr/local/bin/trailsift\"]", "CMD [\"run\"]"]
    {
        assert!(instructions.contains(&instruction), "{instruction}");
    }
}

#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn the_compose_file_is_one() {
    let path = root().join("docker-compose.yml");
    let judge =
        |path: &std::path::Path| lines(&tools(&["compose".as_ref(), path.as_os_str()], b""));
    assert_eq!(judge(&path), Vec::<serde_json::Value>::new());
    let compose = read("docker-compose.yml");
    let folder = tempfile::tempdir().expect("a folder");
    let wrong = folder.path().join("wrong.yml");
    std::fs::write(&wrong, compose.replace("stop_grace_period", "stop_grace")).expect("written");
    assert_eq!(judge(&wrong).len(), 1);
    let grace = compose.split("stop_grace_period: ").nth(1).expect("it has one");
    let grace: u64 = grace.split('s').next().expect("seconds").parse().expect("a number");
    assert!(grace > DRAIN_SECONDS);
}
