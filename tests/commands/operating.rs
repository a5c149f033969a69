//! The operator's page, held to what it is about: every reason of the quarantine and every alert is on it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use trailsift_core::Reason;

const PAGE: &str = include_str!("../../deploy/OPERATING.md");
const ALERTS: &str = include_str!("../../deploy/prometheus/alerts.yml");
const PAGES: [&str; 3] = ["OPERATING.md", "THREATS.md", "README.md"];

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

#[test]
fn every_link_of_the_operators_pages_leads_somewhere() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    for page in PAGES {
        let text = read(&folder.join(page));
        let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        for (link, _) in links.filter(|(link, _)| !link.contains("://")) {
            let (file, wanted) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { folder.join(page) } else { folder.join(file) };
            assert!(target.exists(), "{page}: {link}");
            let headings = read(&target);
            let mut headings = headings.lines().filter(|line| line.starts_with('#'));
            let is_there = wanted.is_empty()
                || headings.any(|heading| anchor(heading.trim_start_matches('#').trim()) == wanted);
            assert!(is_there, "{page}: {link} names no heading");
        }
    }
}
