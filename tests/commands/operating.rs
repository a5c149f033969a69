//! The operator's page, held to what it is about: every reason of the quarantine and every alert is on it. And every
//! link of every page leads somewhere.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use trailsift_core::Reason;

const PAGE: &str = include_str!("../../deploy/OPERATING.md");
const ALERTS: &str = include_str!("../../deploy/prometheus/alerts.yml");

fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    names.collect()
}

#[test]
fn every_reason_of_the_quarantine_is_explained() {
    let table = PAGE.split_once("### Reasons").expect("the table").1;
    let table = table.split_once("\n## ").expect("its end").0;
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let explained = sorted(rows.map(|(reason, _)| reason));
    assert_eq!(explained, sorted(Reason::ALL.iter().map(|reason| reason.as_str())));
}

#[test]
fn every_alert_has_its_paragraph() {
    let alerts = ALERTS.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let paragraphs = PAGE.split_once("\n## Alerts").expect("the alerts").1;
    let paragraphs = paragraphs.split_once("\n## ").expect("their end").0;
    let headings = paragraphs.lines().filter_map(|line| line.strip_prefix("### "));
    assert_eq!(sorted(headings), sorted(alerts));
}

/// The anchor that a heading has on GitHub.
fn anchor(heading: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let text: String = heading.to_lowercase().chars().filter(|c| kept(*c)).collect();
    text.replace(' ', "-")
}

/// Every page of Markdown below the folder, but for what tools made.
fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if path.is_dir() && !path.is_symlink() && name != "target" && !name.starts_with('.') {
            pages(&path, found);
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// The text without what stands in fences: code is no link, and a comment of a shell no heading.
fn prose(page: &str) -> String {
    let parts = page.split("```").step_by(2);
    parts.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_link_of_every_page_leads_somewhere() {
    let mut found = Vec::new();
    pages(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."), &mut found);
    assert!(found.len() > 30, "{found:?}");
    let mut dead = Vec::new();
    for page in found {
        let text = prose(&fs::read_to_string(&page).expect("text"));
        let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        for (link, _) in links.filter(|(link, _)| !link.contains("://")) {
            let (file, wanted) = link.split_once('#').unwrap_or((link, ""));
            let folder = page.parent().expect("a folder");
            let target = if file.is_empty() { page.clone() } else { folder.join(file) };
            let headings = prose(&fs::read_to_string(&target).unwrap_or_default());
            let mut headings = headings.lines().filter(|line| line.starts_with('#'));
            let is_there = wanted.is_empty()
                || headings.any(|heading| anchor(heading.trim_start_matches('#').trim()) == wanted);
            if !(target.exists() && is_there) {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}
