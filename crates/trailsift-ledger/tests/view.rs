//! What a person sees who opens the database: the view, and the queries that the README gives.

mod common;

use common::{beside, folder, object, open, settlement};
use trailsift_core::{Ledger, Reason, Settlement};

#[tokio::test]
async fn the_view_names_sinks_only_and_no_hash_where_there_is_none() {
    let (_root, folder) = folder();
    let ledger = open(&folder);
    let hashed = Settlement { sha256: Some([0xab; 32]), ..settlement(&["A", "[quarantine]", "b"]) };
    let parked = Settlement { parked: Some(Reason::TooLarge), ..settlement(&[]) };
    let settlements = [
        (hashed, r#"["A","b"]"#, Some("ab".repeat(32))),
        (settlement(&["[quarantine]", "b"]), r#"["b"]"#, None),
        (settlement(&["A", "[quarantine]"]), r#"["A"]"#, None),
        (settlement(&["[quarantine]"]), "[]", None),
        (settlement(&["b"]), r#"["b"]"#, None),
        (parked, "[]", None),
    ];
    for (number, (settlement, ..)) in settlements.iter().enumerate() {
        ledger.settled(&object(number), settlement).await.expect("noted");
    }
    let beside = beside(&folder);
    // As a careful person's shell is set up.
    beside.pragma_update(None, "trusted_schema", false).expect("set");
    for (number, (_, sinks, sha256)) in settlements.iter().enumerate() {
        let seen: (String, Option<String>) = beside
            .query_row(
                "SELECT sinks, sha256 FROM objects WHERE key = ?1",
                [&object(number).key],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .expect("a row");
        assert_eq!(seen, ((*sinks).to_owned(), sha256.clone()), "{number}");
    }
}

#[tokio::test]
async fn the_queries_of_the_readme_run() {
    let (_root, folder) = folder();
    let ledger = open(&folder);
    for number in 0..6 {
        common::note(&ledger, number).await.expect("noted");
    }
    let beside = beside(&folder);
    let readme = include_str!("../README.md");
    let mut queries = 0;
    for block in readme.split("```sql\n").skip(1) {
        let (block, _) = block.split_once("```").expect("the end of the block");
        beside.execute_batch(block).unwrap_or_else(|error| panic!("{error}: {block}"));
        queries += 1;
    }
    assert_eq!(queries, 3);
}
