use std::fs;

use super::{check, read, root, text};

#[test]
fn trailsift_takes_every_sample_without_a_warning() {
    let folder = root().join("deploy/config/samples");
    let mut seen = 0;
    for entry in fs::read_dir(&folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let output = check(&path, &fs::read_to_string(&path).expect("text"));
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains(" is valid\n"), "{said}");
        seen += 1;
    }
    assert!(seen >= 2, "{seen}");
}

#[test]
fn the_page_names_every_sample_and_every_folder() {
    let page = read("deploy/README.md");
    for folder in ["deploy", "deploy/config/samples"] {
        for entry in fs::read_dir(root().join(folder)).expect("a folder") {
            let name = entry.expect("an entry").file_name().into_string().expect("text");
            assert!(
                name == "README.md" || page.contains(&name),
                "{folder}/{name} is not in the page"
            );
        }
    }
}
