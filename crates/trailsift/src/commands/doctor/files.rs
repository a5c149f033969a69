//! Looks for the newest trail file in a bucket with few questions: a bucket may hold millions of them,
//! of hundreds of accounts in dozens of regions.

use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use trailsift_aws::diagnosis::{BucketExaminer, Listed, Listing, Refusal};
use trailsift_trail::{KeyClass, LogKind, TrailKey, classify};

use crate::config::AllowedAccounts;

/// How many questions it may take.
const QUESTIONS: usize = 60;
/// A file as young as this will do: nobody needs the very newest.
const YOUNG: Duration = Duration::from_secs(15 * 60);
/// How many folders deep `AWSLogs` may be.
const DEEPEST: usize = 12;

/// Lists a bucket. The seam for tests.
pub(super) trait Lister {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Listing, Refusal>;
}

impl Lister for BucketExaminer {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Listing, Refusal> {
        Self::list(self, prefix, after).await
    }
}

/// What to look for.
#[derive(Clone, Debug)]
pub(super) struct Sought<'a> {
    pub(super) prefix: &'a str,
    /// Where to look first.
    pub(super) account: &'a str,
    pub(super) region: &'a str,
    /// Whose files count.
    pub(super) accounts: &'a AllowedAccounts,
    pub(super) now: SystemTime,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The newest file, or one that is young enough.
    pub(super) newest: Option<Listed>,
    pub(super) digests: Digests,
    /// Whether everything was looked at, or enough was found.
    pub(super) complete: bool,
}

/// Digest files beside the newest file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Digests {
    /// There is no file beside which to look.
    NotAsked,
    /// There are some of today or yesterday.
    Seen,
    /// There are none in this folder.
    None(String),
}

/// Looks for the newest trail file, and for digests beside it.
pub(super) async fn look(lister: &impl Lister, sought: &Sought<'_>) -> Result<Found, Refusal> {
    let mut walk = Walk { lister, sought, left: QUESTIONS, newest: None };
    let complete = walk.everywhere().await?;
    let mut found = Found { newest: walk.newest.take(), digests: Digests::NotAsked, complete };
    if let Some(newest) = &found.newest
        && let Some(folder) = digest_folder(&newest.key)
    {
        found.digests = digests(lister, folder, sought.now).await?;
    }
    Ok(found)
}

struct Walk<'a, L> {
    lister: &'a L,
    sought: &'a Sought<'a>,
    left: usize,
    newest: Option<Listed>,
}

impl<L: Lister> Walk<'_, L> {
    /// Goes down from the prefix to each region's folder, the likeliest first, and to the newest day
    /// there. Returns whether that was all, or enough.
    async fn everywhere(&mut self) -> Result<bool, Refusal> {
        let mut ahead = vec![self.sought.prefix.to_owned()];
        while let Some(folder) = ahead.pop() {
            if self.left == 0 {
                return Ok(false);
            }
            if let Place::Region = place(&folder, self.sought.accounts) {
                self.newest_day(folder).await?;
                if self.is_young() {
                    return Ok(true);
                }
                continue;
            }
            let listing = self.ask(&folder, None).await?;
            self.note(&listing.objects);
            let mut next: Vec<String> = listing
                .folders
                .into_iter()
                .filter(|folder| !matches!(place(folder, self.sought.accounts), Place::Elsewhere))
                .collect();
            // The last one is looked at first.
            next.sort_by_key(|folder| self.likelihood(folder));
            ahead.extend(next);
        }
        Ok(true)
    }

    /// Goes down the greatest year, month and day.
    async fn newest_day(&mut self, mut folder: String) -> Result<(), Refusal> {
        let mut after = None;
        while self.left > 0 {
            let listing = self.ask(&folder, after.as_deref()).await?;
            self.note(&listing.objects);
            if let Some(last) = listing.folders.into_iter().max() {
                (folder, after) = (last, None);
            } else if listing.truncated
                && let Some(last) = listing.objects.last()
            {
                // The names of a day are in the order of their times.
                after = Some(last.key.clone());
            } else {
                break;
            }
        }
        Ok(())
    }

    async fn ask(&mut self, prefix: &str, after: Option<&str>) -> Result<Listing, Refusal> {
        self.left -= 1;
        self.lister.list(prefix, after).await
    }

    fn note(&mut self, objects: &[Listed]) {
        for object in objects {
            let is_newer =
                self.newest.as_ref().is_none_or(|known| object.modified > known.modified);
            if is_newer && self.is_sought(&object.key) {
                self.newest = Some(object.clone());
            }
        }
    }

    fn is_sought(&self, key: &str) -> bool {
        match classify(key) {
            KeyClass::Trail(TrailKey { kind: LogKind::CloudTrail, account, .. }) => {
                allows(self.sought.accounts, account)
            }
            _ => false,
        }
    }

    fn is_young(&self) -> bool {
        let modified = self.newest.as_ref().and_then(|newest| newest.modified);
        modified.is_some_and(|at| {
            self.sought.now.duration_since(at).is_ok_and(|age| age <= YOUNG) || at > self.sought.now
        })
    }

    fn likelihood(&self, folder: &str) -> (bool, bool) {
        let has = |word: &str| folder.split('/').any(|part| part == word);
        (has(self.sought.account), has(self.sought.region))
    }
}

fn allows(accounts: &AllowedAccounts, account: &str) -> bool {
    match accounts {
        AllowedAccounts::Any => true,
        AllowedAccounts::Set(allowed) => allowed.contains(account),
    }
}

/// Where a folder stands in CloudTrail's layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Files may be further down.
    Above,
    /// It is a region's folder, or one below it.
    Region,
    /// No trail file that counts is below.
    Elsewhere,
}

fn place(folder: &str, accounts: &AllowedAccounts) -> Place {
    let parts: Vec<&str> = folder.split('/').collect();
    // The last one is empty, or not whole: the prefix need not end with a folder.
    let whole = &parts[..parts.len() - 1];
    let Some(at) = whole.iter().rposition(|part| *part == "AWSLogs") else {
        return if whole.len() > DEEPEST { Place::Elsewhere } else { Place::Above };
    };
    let mut below = whole[at + 1..].iter();
    let mut next = below.next();
    if next.is_some_and(|part| part.starts_with("o-")) {
        next = below.next();
    }
    let Some(account) = next else { return Place::Above };
    let is_account = account.len() == 12 && account.bytes().all(|digit| digit.is_ascii_digit());
    if !is_account || !allows(accounts, account) {
        return Place::Elsewhere;
    }
    match below.next() {
        None => Place::Above,
        Some(&"CloudTrail") => below.next().map_or(Place::Above, |_| Place::Region),
        Some(_) => Place::Elsewhere,
    }
}

/// `…/<account>/CloudTrail-Digest/<region>/` beside a trail file.
fn digest_folder(key: &str) -> Option<String> {
    let KeyClass::Trail(TrailKey { region, .. }) = classify(key) else { return None };
    let (before, _) = key.rsplit_once(&format!("/CloudTrail/{region}/"))?;
    Some(format!("{before}/CloudTrail-Digest/{region}/"))
}

/// CloudTrail writes one an hour, also where nothing happened; a day's folder may be minutes old.
async fn digests(
    lister: &impl Lister,
    folder: String,
    now: SystemTime,
) -> Result<Digests, Refusal> {
    let yesterday = now.checked_sub(Duration::from_secs(24 * 60 * 60)).unwrap_or(now);
    for day in [now, yesterday] {
        let date = OffsetDateTime::from(day).date();
        let (year, month, day) = date.to_calendar_date();
        let day = format!("{folder}{year:04}/{:02}/{day:02}/", u8::from(month));
        if !lister.list(&day, None).await?.objects.is_empty() {
            return Ok(Digests::Seen);
        }
    }
    Ok(Digests::None(folder))
}

#[cfg(test)]
mod tests;
