use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;

/// A bucket of keys, each with the minutes since it was put. A page has at most three entries.
struct Bucket {
    keys: BTreeMap<String, u64>,
    asked: Mutex<Vec<String>>,
    now: SystemTime,
}

impl Bucket {
    fn of(keys: &[(&str, u64)]) -> Self {
        // 2026-11-22T23:30:00Z
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_390_200);
        let keys = keys.iter().map(|(key, age)| ((*key).to_owned(), *age)).collect();
        Self { keys, asked: Mutex::default(), now }
    }

    async fn look(&self, prefix: &str, accounts: &AllowedAccounts) -> Found {
        let sought = Sought {
            prefix,
            account: "111122223333",
            region: "us-east-1",
            accounts,
            now: self.now,
        };
        look(self, &sought).await.expect("answers")
    }

    async fn newest(&self, prefix: &str) -> Option<String> {
        self.look(prefix, &AllowedAccounts::Any).await.newest.map(|newest| newest.key)
    }

    fn asked(&self) -> usize {
        self.asked.lock().expect("no panic").len()
    }
}

impl Lister for Bucket {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Listing, Refusal> {
        self.asked.lock().expect("no panic").push(prefix.to_owned());
        let mut listing = Listing::default();
        for (key, minutes) in &self.keys {
            let Some(rest) = key.strip_prefix(prefix) else { continue };
            if after.is_some_and(|after| key.as_str() <= after) {
                continue;
            }
            if listing.objects.len() + listing.folders.len() == 3 {
                listing.truncated = true;
                break;
            }
            match rest.split_once('/') {
                Some((folder, _)) => {
                    let folder = format!("{prefix}{folder}/");
                    if !listing.folders.contains(&folder) {
                        listing.folders.push(folder);
                    }
                }
                None => listing.objects.push(Listed {
                    key: key.clone(),
                    modified: self.now.checked_sub(Duration::from_secs(60 * minutes)),
                }),
            }
        }
        Ok(listing)
    }
}

const OLD: &str = "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/11/20/a.json.gz";
const NEW: &str = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/22/b.json.gz";
const OTHERS: &str = "AWSLogs/999988887777/CloudTrail/us-east-1/2026/11/22/c.json.gz";
const DIGEST: &str = "AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2026/11/21/d.json.gz";

#[tokio::test]
async fn the_newest_file_is_found_with_few_questions() {
    let bucket = Bucket::of(&[(OLD, 4000), (NEW, 5), (OTHERS, 1), (DIGEST, 30)]);
    let found = bucket.look("", &AllowedAccounts::Any).await;
    // Young enough, and in the account and region that were asked for first.
    assert_eq!(found.newest.expect("a file").key, NEW);
    assert_eq!((found.digests, found.complete), (Digests::Seen, true));
    assert!(bucket.asked() <= 10, "{:?}", bucket.asked);
}

#[tokio::test]
async fn a_prefix_may_end_anywhere() {
    for prefix in ["AWS", "AWSLogs/1111", "AWSLogs/111122223333/CloudTrail/us-east-1/2026/", NEW] {
        let bucket = Bucket::of(&[(OLD, 4000), (NEW, 5)]);
        assert_eq!(bucket.newest(prefix).await.as_deref(), Some(NEW), "{prefix}");
    }
}

#[tokio::test]
async fn organization_trails_and_prefixes_of_trails_are_walked_too() {
    let key = "logs/AWSLogs/o-abcdefghij/111122223333/CloudTrail/us-east-1/2026/11/22/e.json.gz";
    assert_eq!(Bucket::of(&[(key, 5)]).newest("").await.as_deref(), Some(key));
    assert_eq!(Bucket::of(&[(key, 5)]).newest("logs/").await.as_deref(), Some(key));
}

#[tokio::test]
async fn a_day_of_many_files_is_read_page_by_page() {
    let day = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/22/";
    let keys: Vec<_> = (0..10).map(|n| (format!("{day}{n}.json.gz"), 100 - n)).collect();
    let keys: Vec<_> = keys.iter().map(|(key, age)| (key.as_str(), *age)).collect();
    let newest = Bucket::of(&keys).newest("").await;
    assert_eq!(newest, Some(format!("{day}9.json.gz")));
}

#[tokio::test]
async fn what_does_not_count_is_not_found() {
    let only = AllowedAccounts::Set(["111122223333".to_owned()].into());
    let bucket = Bucket::of(&[(OTHERS, 1), (DIGEST, 1), ("AWSLogs/readme.txt", 1)]);
    let found = bucket.look("", &only).await;
    assert_eq!(found, Found { newest: None, digests: Digests::NotAsked, complete: true });
}

#[tokio::test]
async fn no_digest_of_the_last_day_is_named_with_its_folder() {
    let old = DIGEST.replace("11/21", "11/19");
    let found = Bucket::of(&[(NEW, 5), (&old, 4000)]).look("", &AllowedAccounts::Any).await;
    let folder = "AWSLogs/111122223333/CloudTrail-Digest/us-east-1/";
    assert_eq!(found.digests, Digests::None(folder.into()));
}

#[tokio::test]
async fn the_questions_end_in_a_bucket_of_many_accounts() {
    let keys: Vec<_> = (0..300)
        .map(|n| format!("AWSLogs/{n:012}/CloudTrail/us-east-1/2026/11/01/x.json.gz"))
        .collect();
    let keys: Vec<_> = keys.iter().map(|key| (key.as_str(), 30_000)).collect();
    let bucket = Bucket::of(&keys);
    let found = bucket.look("AWSLogs/", &AllowedAccounts::Any).await;
    assert!(bucket.asked() <= QUESTIONS + 2, "{}", bucket.asked());
    assert!(found.newest.is_some());
}
