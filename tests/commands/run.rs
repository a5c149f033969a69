use crate::{text, trailsift};

/// One account whose queue nobody will ask: `run` must end before that.
const ACCOUNT: &str = "[account]\nid = \"111122223333\"\nregion = \"us-east-1\"\n\
    queue_url = \"http://127.0.0.1:9/111122223333/trail\"\nendpoint_url = \"http://127.0.0.1:9\"\n\
    buckets = [{ name = \"org-trail\" }]\n";

#[test]
fn a_quarantine_that_cannot_be_written_is_named_before_anything_is_received() {
    let folder = tempfile::tempdir().expect("a folder");
    // A file where a folder is wanted: nobody can write there, root neither.
    let in_the_way = folder.path().join("file");
    std::fs::write(&in_the_way, "").expect("a file");
    let data_dir = in_the_way.join("data");
    let config = folder.path().join("trailsift.toml");
    let service =
        format!("[service]\nlisten = \"127.0.0.1:0\"\ndata_dir = \"{}\"\n", data_dir.display());
    std::fs::write(&config, format!("{service}{ACCOUNT}")).expect("a file");
    let output = trailsift(["run", "--config", &config.display().to_string()], b"");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot be written") && said.contains("service.data_dir"), "{said}");
    assert!(output.stdout.is_empty());
}
