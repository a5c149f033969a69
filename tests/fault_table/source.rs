//! Finds the tests in a Rust source file by their attributes.

use std::collections::BTreeMap;

/// A test, and whether it can guard anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// It runs with the others, or with those that `cargo xtask test` starts an emulator for.
    Runs,
    /// It is left out for another reason.
    Ignored,
}

/// What a test may be ignored for the want of and guard all the same.
const EMULATORS: [&str; 2] = ["needs LocalStack", "needs moto"];

/// The test functions of a file by name: those with an attribute `#[test]` or `#[….test…]`, also
/// within `proptest!`. What is commented out is no test.
pub(crate) fn tests(source: &str) -> BTreeMap<String, Guard> {
    let mut found = BTreeMap::new();
    let mut attributes = String::new();
    let mut open = false;
    for line in source.lines().map(str::trim) {
        if open || line.starts_with("#[") {
            attributes.push_str(line);
            attributes.push('\n');
            open = attributes.matches('[').count() > attributes.matches(']').count();
            // An attribute and its function may share a line.
            if open || !line.contains("fn ") {
                continue;
            }
        }
        if line.is_empty() || line.starts_with("//") {
            continue;
        }
        if let Some(name) = function(line)
            && attributes.lines().any(is_test)
        {
            let ignored = attributes.lines().find(|line| line.starts_with("#[ignore"));
            let guard = match ignored {
                Some(ignored) if !EMULATORS.iter().any(|it| ignored.contains(it)) => Guard::Ignored,
                _ => Guard::Runs,
            };
            found.insert(name.to_owned(), guard);
        }
        attributes.clear();
    }
    found
}

/// Whether the file is a target of its own or a module above it names it: a file that was left
/// behind is no longer compiled, and nobody complains.
pub(crate) fn is_compiled(file: &str, read: impl Fn(&str) -> Option<String>) -> bool {
    let Some((folder, name)) = file.rsplit_once('/') else { return false };
    let stem = name.trim_end_matches(".rs");
    let places = [format!("{folder}.rs"), format!("{folder}/main.rs"), format!("{folder}/lib.rs")];
    let above: Vec<String> = places.iter().filter_map(|place| read(place)).collect();
    let is_target =
        matches!(stem, "main" | "lib") || folder.ends_with("/tests") && above.is_empty();
    let declared = format!("mod {stem};");
    let mut lines = above.iter().flat_map(|text| text.lines());
    is_target || lines.any(|line| line.trim().trim_start_matches("pub ").starts_with(&declared))
}

fn is_test(attribute: &str) -> bool {
    let path = attribute.trim_start_matches("#[");
    let end = path.find(['(', ']']).unwrap_or(path.len());
    let path = &path[..end];
    path == "test" || path.ends_with("::test")
}

/// The name of the function that begins in this line.
fn function(line: &str) -> Option<&str> {
    let line = line.rsplit_once("] ").map_or(line, |(_, rest)| rest);
    let line = line.trim_start_matches("pub ").trim_start_matches("async ");
    let name = line.strip_prefix("fn ")?;
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    (end > 0).then(|| &name[..end])
}

#[test]
fn tests_are_told_from_other_functions() {
    let source = r#"
        #[test]
        fn plain() {}
        fn helper() {}
        #[tokio::test(start_paused = true)]
        async fn asynchronous() {}
        #[test]
        // Why it is so.
        #[expect(
            clippy::large_futures,
            reason = "it is large"
        )]
        fn explained() {}
        proptest! {
            #[test]
            fn property(n in 0..3) {}
            fn inner(n: u32) {}
        }
        #[test]
        #[ignore = "needs LocalStack: cargo xtask test"]
        fn emulated() {}
        #[test]
        #[ignore = "needs moto: cargo xtask test"]
        fn mocked() {}
        #[test]
        #[ignore = "takes an hour"]
        fn long() {}
        #[cfg(test)]
        fn only_in_tests() {}
        // #[test]
        fn no_longer() {}
        #[test] fn on_one_line() {}
    "#;
    let expected = [
        ("asynchronous", Guard::Runs),
        ("emulated", Guard::Runs),
        ("explained", Guard::Runs),
        ("long", Guard::Ignored),
        ("mocked", Guard::Runs),
        ("on_one_line", Guard::Runs),
        ("plain", Guard::Runs),
        ("property", Guard::Runs),
    ];
    assert_eq!(tests(source), expected.map(|(name, guard)| (name.to_owned(), guard)).into());
}
