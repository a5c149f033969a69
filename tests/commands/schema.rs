//! `trailsift schema` is a schema that others' validators take, and it agrees with `trailsift check`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, thread};

use serde_json::Value;

use super::{text, trailsift};

/// A Python with tests/validators/requirements.txt.
fn python() -> OsString {
    std::env::var_os("TRAILSIFT_VALIDATORS").expect(
        "TRAILSIFT_VALIDATORS names a Python with tests/validators/requirements.txt; `cargo xtask test` makes one",
    )
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every configuration of the project, by its path.
fn samples() -> Vec<PathBuf> {
    let config = root().join("deploy/config");
    let folders = ["accounts", "samples"].map(|name| config.join(name));
    let within = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("a folder"));
    let within = within.map(|entry| entry.expect("an entry").path());
    let tops = ["reference.toml", "trailsift.toml"].map(|name| config.join(name));
    let samples: Vec<_> = tops.into_iter().chain(within).collect();
    assert!(samples.len() >= 3, "{samples:?}");
    samples
}

fn written_schema(folder: &Path) -> PathBuf {
    let output = trailsift(["schema"], b"");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let path = folder.join("trailsift.schema.json");
    fs::write(&path, &output.stdout).expect("written");
    path
}

/// What Taplo, which editors use, says of a file under the schema.
fn taplo(schema: &Path, file: &Path) -> Result<(), String> {
    let program = Path::new(&python()).with_file_name("taplo");
    let output = Command::new(program)
        .args(["lint", "--schema", &format!("file://{}", schema.display())])
        .arg(file)
        .output()
        .expect("taplo starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("found files total=1"), "{said}");
    if output.status.success() { Ok(()) } else { Err(said) }
}

#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn taplo_accepts_every_sample_and_no_mistake() {
    let folder = tempfile::tempdir().expect("a folder");
    let schema = written_schema(folder.path());
    for sample in samples() {
        taplo(&schema, &sample).unwrap_or_else(|said| panic!("{}: {said}", sample.display()));
    }
    let wrong = folder.path().join("wrong.toml");
    for (config, place) in [
        ("[service]\nworkers = 0\n", "minimum of 1"),
        ("[service]\nlistne = \"127.0.0.1:1\"\n", "listne"),
        ("[service]\nmemory = \"lots\"\n", "lots"),
        ("[sink.a]\ntype = \"stdout\"\nformat = \"xml\"\n", "xml"),
    ] {
        fs::write(&wrong, config).expect("written");
        let said = taplo(&schema, &wrong).expect_err(config);
        assert!(said.contains(place), "{config}: {said}");
    }
    // The way that `trailsift schema --help` names.
    fs::write(&wrong, "#:schema ./trailsift.schema.json\n[service]\nworkers = 0\n")
        .expect("written");
    let program = Path::new(&python()).with_file_name("taplo");
    let mut lint = Command::new(program);
    let output = lint.arg("lint").arg("wrong.toml").current_dir(&folder).output().expect("taplo");
    assert!(!output.status.success(), "the schema that the file names is not read");
}

/// Which of these configurations the schema refuses, by their places.
fn refused_by_schema(configs: &[toml::Table]) -> Vec<usize> {
    let folder = tempfile::tempdir().expect("a folder");
    let schema = written_schema(folder.path());
    let mut child = Command::new(python())
        .arg(root().join("tests/validators/validate.py"))
        .arg(&schema)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the validator starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    let output = thread::scope(|scope| {
        scope.spawn(move || {
            for config in configs {
                serde_json::to_writer(&mut pipe, config).expect("written");
                std::io::Write::write_all(&mut pipe, b"\n").expect("written");
            }
        });
        child.wait_with_output().expect("the validator ends")
    });
    let said = text(&output.stderr);
    assert!(said.contains(&format!("{} events", configs.len())), "{said}");
    let mut refused: Vec<usize> = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a violation"))
        .map(|violation| violation["line"].as_u64().expect("a line") - 1)
        .map(|place| usize::try_from(place).expect("a place"))
        .collect();
    refused.dedup();
    refused
}

/// What may stand where something else stood.
fn substitutes() -> Vec<toml::Value> {
    let text = |text: &str| toml::Value::from(text);
    let mut values = vec![toml::Value::from(true), 0.into(), 7.into(), (-1).into(), 1.5.into()];
    values
        .extend(["", "x", "raw", "ocsf", "gzip", "zstd", "reject", "10.0.0.0/8", "root"].map(text));
    values.extend(["30s", "1h 30m", "64MiB", "500 KB", "us-west-2", "444455556666"].map(text));
    values.push(toml::Value::Array(vec![]));
    values.push(toml::Value::Array(vec!["x".into(), true.into(), 5.into()]));
    values.push(toml::Value::Array(vec!["10.0.0.0/8".into(), "2001:db8::1".into()]));
    values.push(toml::Value::Table(toml::Table::new()));
    values
}

/// The configuration with each of its values replaced by each substitute, left out, or with a key too many.
fn variants(config: &toml::Table) -> Vec<toml::Table> {
    fn places(value: &toml::Value, path: &mut Vec<String>, all: &mut Vec<Vec<String>>) {
        let below: Vec<(String, &toml::Value)> = match value {
            toml::Value::Table(table) => table.iter().map(|(key, it)| (key.clone(), it)).collect(),
            toml::Value::Array(items) => {
                items.iter().enumerate().map(|(at, it)| (at.to_string(), it)).collect()
            }
            _ => Vec::new(),
        };
        for (key, value) in below {
            path.push(key);
            all.push(path.clone());
            places(value, path, all);
            path.pop();
        }
    }
    fn parent<'v>(root: &'v mut toml::Value, path: &[String]) -> &'v mut toml::Value {
        path[..path.len() - 1].iter().fold(root, |value, key| match value {
            toml::Value::Array(items) => &mut items[key.parse::<usize>().expect("a place")],
            value => &mut value[key.as_str()],
        })
    }
    let whole = toml::Value::Table(config.clone());
    let mut all = Vec::new();
    places(&whole, &mut Vec::new(), &mut all);
    let mut variants = Vec::new();
    let mut add = |variant: toml::Value| variants.extend(variant.as_table().cloned());
    for path in all {
        let last = path.last().expect("a key");
        for value in substitutes().into_iter().map(Some).chain([None]) {
            let mut variant = whole.clone();
            match (parent(&mut variant, &path), value) {
                (toml::Value::Table(table), Some(value)) => drop(table.insert(last.clone(), value)),
                (toml::Value::Table(table), None) => {
                    table.remove(last);
                    table.insert("zzz".to_owned(), 1.into());
                }
                (toml::Value::Array(items), value) => {
                    let at: usize = last.parse().expect("a place");
                    items.remove(at);
                    items.extend(value);
                }
                _ => {}
            }
            add(variant);
        }
        let mut without = whole.clone();
        if let toml::Value::Table(table) = parent(&mut without, &path) {
            table.remove(last);
            add(without);
        }
    }
    variants
}

/// An editor must not mark what trailsift takes. (The other way round there is more that goes wrong than a schema can say.)
#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn the_schema_refuses_nothing_that_check_takes() {
    let samples = samples().into_iter().map(|path| fs::read_to_string(path).expect("a sample"));
    let samples: Vec<toml::Table> = samples.map(|text| text.parse().expect("TOML")).collect();
    assert_eq!(refused_by_schema(&samples), [0; 0]);
    let variants = variants(&samples[0]);
    let refused = refused_by_schema(&variants);
    // Enough of both, or the comparison says nothing.
    assert!(refused.len() > 500 && variants.len() - refused.len() > 100, "{}", refused.len());
    let folder = tempfile::tempdir().expect("a folder");
    let workers = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for part in refused.chunks(refused.len().div_ceil(workers)) {
            let (folder, variants) = (folder.path(), &variants);
            scope.spawn(move || {
                for number in part {
                    let path = folder.join(format!("{number}.toml"));
                    let config = variants[*number].to_string();
                    fs::write(&path, &config).expect("written");
                    let check = Command::new(env!("CARGO_BIN_EXE_trailsift"))
                        .args(["check", "--config"])
                        .arg(&path)
                        .env("SIEM_AUTHORIZATION", "x")
                        .output()
                        .expect("trailsift starts");
                    assert_eq!(
                        check.status.code(),
                        Some(2),
                        "check takes what the schema refuses:\n{config}"
                    );
                }
            });
        }
    });
}
