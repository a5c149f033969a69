//! What operators see of a run with troubles: every metric, every log line, against their pages.

mod documented;
mod run;

use std::collections::{BTreeMap, BTreeSet};

use documented::{LOGS, Metric, levels_of_lines, log_fields, metrics};
use run::{Observed, observed};

/// Series by name, each with its labels and value.
type Scrape = Vec<(String, BTreeMap<String, String>, f64)>;

fn parse(text: &str) -> Scrape {
    let series = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    series
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let labels = labels.strip_suffix('}').expect("closed");
            let labels = labels.split("\",").filter(|pair| !pair.is_empty()).map(|pair| {
                let (name, value) = pair.split_once("=\"").expect("a label");
                (name.to_owned(), value.trim_end_matches('"').to_owned())
            });
            (name.to_owned(), labels.collect(), value.parse().expect("a number"))
        })
        .collect()
}

/// The name of the family that a series of this name belongs to.
fn family<'a>(name: &'a str, known: &BTreeMap<String, Metric>) -> &'a str {
    let of_histogram = ["_bucket", "_sum", "_count"].into_iter().find_map(|suffix| {
        let base = name.strip_suffix(suffix)?;
        known.get(base).is_some_and(|metric| metric.kind == "histogram").then_some(base)
    });
    of_histogram.unwrap_or(name)
}

fn sum(scrape: &Scrape, name: &str, labels: &[(&str, &str)]) -> f64 {
    let wanted = |have: &BTreeMap<String, String>| {
        labels.iter().all(|(name, value)| have.get(*name).is_some_and(|have| have == value))
    };
    scrape.iter().filter(|it| it.0 == name && wanted(&it.1)).map(|it| it.2).sum()
}

#[test]
fn every_metric_is_documented_with_its_type_and_labels_and_every_documented_one_is_exported() {
    let Observed { scrapes, .. } = observed();
    let known = metrics();
    let text = scrapes.last().expect("a scrape");
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').expect("a type");
        let metric = known.get(name).unwrap_or_else(|| panic!("{name} is not in METRICS.md"));
        assert_eq!(metric.kind, kind, "{name}");
        let help = format!("# HELP {name} ");
        let help = text.lines().find_map(|line| line.strip_prefix(&help));
        assert!(help.is_some_and(|help| help.ends_with('.')), "{name}: {help:?}");
    }
    let mut exported = BTreeSet::new();
    for (name, mut labels, _) in parse(text) {
        let family = family(&name, &known);
        exported.insert(family.to_owned());
        if name.ends_with("_bucket") {
            labels.remove("le");
        }
        let metric = &known[family];
        let names: Vec<_> = labels.keys().collect();
        assert_eq!(names, metric.labels.keys().collect::<Vec<_>>(), "{name}");
        for (label, value) in labels {
            let set = &metric.labels[&label];
            assert!(set.contains(&value), "{name}: {label}={value:?} is none of {set:?}");
        }
    }
    let missing: Vec<_> = known.keys().filter(|name| !exported.contains(*name)).collect();
    assert!(missing.is_empty(), "documented, but not exported: {missing:?}");
}

#[test]
fn sums_and_their_parts_are_equal_in_every_scrape() {
    let Observed { scrapes, .. } = observed();
    assert!(scrapes.len() > 2);
    for scrape in scrapes.iter().map(|text| parse(text)) {
        let notified = sum(&scrape, "trailsift_objects_notified_total", &[]);
        assert_eq!(notified, sum(&scrape, "trailsift_objects_total", &[]));
        let records = |outcome| sum(&scrape, "trailsift_records_total", &[("outcome", outcome)]);
        assert_eq!(
            records("seen"),
            records("selected") + records("filtered") + records("quarantined")
        );
        for sink in ["siem", "copy", "picky"] {
            let of = |outcome| {
                let labels = [("sink", sink), ("outcome", outcome)];
                sum(&scrape, "trailsift_deliveries_total", &labels)
            };
            let settled = of("acknowledged") + of("quarantined") + of("lost");
            assert_eq!(of("owed"), settled + of("left"), "{sink}");
        }
    }
}

#[test]
fn at_rest_the_pipeline_and_its_sinks_agree_and_everything_selected_is_with_each_sink() {
    let Observed { scrapes, collected, .. } = observed();
    let scrape = parse(scrapes.last().expect("a scrape"));
    let delivery = |sink, outcome| {
        sum(&scrape, "trailsift_deliveries_total", &[("sink", sink), ("outcome", outcome)])
    };
    let handed = |sink, outcome| {
        sum(&scrape, "trailsift_sink_events_total", &[("sink", sink), ("outcome", outcome)])
    };
    let selected = sum(&scrape, "trailsift_records_total", &[("outcome", "selected")]);
    assert!(selected > 0.0);
    assert_eq!(delivery("siem", "acknowledged"), selected, "each selected record, once");
    assert_eq!(handed("siem", "delivered"), selected);
    assert_eq!(*collected as f64, selected);
    // It takes nothing that is longer than a line of its own, and that is parked.
    let parked = [("reason", "sink_rejected")];
    let parked = sum(&scrape, "trailsift_quarantined_total", &parked);
    assert!(parked > 0.0);
    assert_eq!(delivery("picky", "quarantined"), parked);
    assert_eq!(handed("picky", "rejected"), parked);
    assert_eq!(delivery("picky", "acknowledged") + parked, selected);
    // Nobody is there: all of it is lost, and counted.
    let lost: f64 =
        ["failed", "dropped", "rejected"].map(|outcome| handed("copy", outcome)).iter().sum();
    assert_eq!(delivery("copy", "acknowledged"), selected);
    assert_eq!((lost, handed("copy", "delivered")), (selected, 0.0));
    assert_eq!(sum(&scrape, "trailsift_messages_in_flight", &[]), 0.0);
    assert_eq!(sum(&scrape, "trailsift_panics_total", &[]), 0.0);
}

#[test]
fn every_log_line_is_one_object_with_known_fields_and_what_asks_for_a_person_is_documented() {
    let Observed { log, .. } = observed();
    let (fields, lines) = (log_fields(), levels_of_lines());
    let mut seen = BTreeSet::new();
    for line in log.lines() {
        let line: serde_json::Map<_, _> = serde_json::from_str(line).expect("an object");
        let text = |name: &str| line.get(name).and_then(|value| value.as_str()).expect("a text");
        let (level, message) = (text("level"), text("message"));
        assert!(["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&level), "{line:?}");
        assert!(text("timestamp").ends_with('Z') && text("timestamp").contains('T'), "{line:?}");
        // Libraries speak in their own way.
        if !text("target").starts_with("trailsift") {
            continue;
        }
        let unknown: Vec<_> = line.keys().filter(|name| !fields.contains(*name)).collect();
        assert!(unknown.is_empty(), "not in LOGS.md: {unknown:?} of {line:?}");
        let begins = |begin: &str| message.starts_with(begin);
        let documented = lines.iter().find(|(begin, _)| begins(begin));
        match level {
            "ERROR" | "WARN" => {
                let (begin, levels) =
                    documented.unwrap_or_else(|| panic!("not in LOGS.md: {message}"));
                assert!(levels.contains(level), "{begin}: {level}");
                seen.insert(begin.clone());
            }
            _ => {}
        }
        if message == "quarantined" {
            for field in ["account", "sqs.message_id", "s3.bucket", "s3.key", "reason", "error"] {
                assert!(line.contains_key(field), "{field} is missing: {line:?}");
            }
        }
    }
    assert!(seen.len() >= 6, "too few troubles: {seen:?}");
}

#[test]
fn every_line_of_the_source_that_asks_for_a_person_is_documented() {
    let lines = levels_of_lines();
    let mut undocumented = Vec::new();
    for text in run::sources() {
        // With their path before them, or imported.
        let macros = ["warn!(", "error!("].into_iter().flat_map(|level| {
            let found = text.match_indices(level);
            found.map(move |(at, _)| (level, at)).filter(|(_, at)| {
                !text[..*at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            })
        });
        for (level, rest) in macros.map(|(level, at)| (level, &text[at + level.len()..])) {
            let message = documented::message_of(rest);
            let level = level.trim_end_matches("!(").to_uppercase();
            let is_documented = lines.iter().any(|(begin, levels)| {
                message.starts_with(begin.as_str()) && levels.contains(&level)
            });
            // What is only known when it runs is none of this test's.
            if !is_documented && !message.starts_with('{') {
                undocumented.push(message);
            }
        }
    }
    assert!(undocumented.is_empty(), "not in LOGS.md: {undocumented:#?}");
    assert!(LOGS.len() > 1000);
}

/// Every metric that rules and the dashboard ask for, their own recorded ones left out.
#[test]
fn rules_and_dashboard_ask_for_metrics_that_exist() {
    let known = metrics();
    let files = [
        ("recording.yml", include_str!("../../deploy/prometheus/recording.yml")),
        ("alerts.yml", include_str!("../../deploy/prometheus/alerts.yml")),
        ("tests.yml", include_str!("../../deploy/prometheus/tests.yml")),
        ("trailsift.json", include_str!("../../deploy/grafana/trailsift.json")),
    ];
    let recorded: BTreeSet<_> = files[0]
        .1
        .match_indices("record: ")
        .map(|(at, _)| files[0].1[at + "record: ".len()..].lines().next().expect("a line").trim())
        .collect();
    for (file, text) in files {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
        for word in
            words.filter(|word| word.starts_with("trailsift_") || word.starts_with("process_"))
        {
            let word = word.trim_end_matches(':');
            assert!(known.contains_key(family(word, &known)), "{file}: {word}");
        }
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
        for word in words.filter(|word| word.starts_with("trailsift:")) {
            assert!(recorded.contains(word), "{file}: {word} is not recorded");
        }
    }
}

/// promtool evaluates groups without an order at random, and the tests of alerts that read recorded rules fail now and then.
#[test]
fn tests_of_rules_evaluate_every_group_in_one_order() {
    let groups = |text: &'static str| -> Vec<&'static str> {
        text.lines().filter_map(|line| line.strip_prefix("  - name: ")).collect()
    };
    let mut all = groups(include_str!("../../deploy/prometheus/recording.yml"));
    all.extend(groups(include_str!("../../deploy/prometheus/alerts.yml")));
    assert!(all.len() > 1, "{all:?}");
    let order = format!("group_eval_order: [{}]\n", all.join(", "));
    assert!(include_str!("../../deploy/prometheus/tests.yml").contains(&order), "missing: {order}");
}
