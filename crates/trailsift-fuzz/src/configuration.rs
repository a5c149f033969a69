//! Any text is either a configuration or a list of mistakes with their places.

use std::cell::OnceCell;
use std::fs;
use std::path::Path;

use tempfile::TempDir;
use trailsift::config::{Findings, load, load_for_sift};

/// How many findings are shown at most.
const MOST: usize = 200;

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

/// The input is a file that holds a whole configuration.
pub(crate) fn check(input: &[u8]) {
    FOLDER.with(|folder| {
        let folder = folder.get_or_init(|| TempDir::new().expect("a folder can be made"));
        check_at(&folder.path().join("all.toml"), input);
    });
}

fn check_at(path: &Path, input: &[u8]) {
    let write = |bytes: &[u8]| fs::write(path, bytes).expect("a file can be written");
    write(input);
    let (loaded, for_sift) = (load(path), load_for_sift(path));
    if let Err(findings) = &for_sift {
        findings_are_right(path, input, findings);
    }
    match loaded {
        Err(findings) => {
            assert!(findings.errors() > 0, "it is refused for no reason");
            findings_are_right(path, input, &findings);
        }
        Ok(loaded) => {
            assert_eq!(loaded.warnings.errors(), 0);
            findings_are_right(path, input, &loaded.warnings);
            let for_sift = for_sift.expect("what can be run can be sifted with");
            let routes = loaded.config.routes.iter().map(|route| &route.spec);
            assert!(routes.eq(&for_sift.routes));
            let printed = loaded.config.to_string();
            write(printed.as_bytes());
            match load(path) {
                Ok(again) => assert_eq!(again.config, loaded.config, "{printed}"),
                Err(findings) => panic!("what is printed must load:\n{findings}\n{printed}"),
            }
        }
    }
}

/// Few, each with a place that is there, and fit for a terminal.
fn findings_are_right(path: &Path, input: &[u8], findings: &Findings) {
    let lines = findings.lines();
    assert!(lines.len() <= MOST, "{} findings", lines.len());
    assert_eq!(lines.len(), findings.errors() + findings.warnings());
    let text = String::from_utf8_lossy(input);
    let file: Vec<&str> = text.split('\n').collect();
    for (_, line) in &lines {
        let rest = line.strip_prefix(&*path.to_string_lossy()).expect("it begins with the file");
        let mut parts = rest.splitn(4, ':').skip(1);
        let place = parts.next().and_then(|row| row.parse::<usize>().ok());
        if let Some(row) = place {
            let column: usize = parts.next().and_then(|it| it.parse().ok()).expect("a column");
            assert!((1..=file.len()).contains(&row), "{line:?}");
            assert!((1..=file[row - 1].chars().count() + 1).contains(&column), "{line:?}");
        }
        assert!(!line.contains(char::is_control), "{line:?}");
    }
    let rendered = findings.render(false);
    assert!(!rendered.contains(|c: char| c.is_control() && c != '\n'), "{rendered:?}");
}
