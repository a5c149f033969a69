use std::collections::BTreeMap;

use bytes::Bytes;
use trailsift_core::Reason;

use super::digest::{Listed, digest};
use super::file::{FileSpec, TrailFile, gzip};
use super::key::Delivery;
use super::{EPOCH, alphanumeric};

const REGIONS: &[&str] = &["us-east-1", "eu-central-1", "ap-southeast-2"];
const ACCOUNTS: usize = 4;
/// Which file holds no record, and which one is delivered twice.
const EMPTY_FILE: usize = 5;
const REPEATED_FILE: usize = 6;
/// The name of the trail in digests' keys.
const TRAIL: &str = "management-events";

/// What a bucket is to hold.
#[derive(Clone, Debug)]
pub struct FleetSpec {
    /// The same seed gives the same bucket.
    pub seed: u64,
    /// The bucket's name, which digests repeat.
    pub bucket: String,
    /// How many good trail files.
    pub files: usize,
    /// Records per file on average; single files have a fifth to nearly twice as many.
    pub records_per_file: usize,
    /// One record in so many is selected, on average; 0 for none.
    pub selected_one_in: u32,
    /// Whether the bucket also holds what is no good trail file: digests, other kinds, foreign
    /// objects, and files that are damaged or forged.
    pub noise: bool,
}

impl Default for FleetSpec {
    /// 300 files of 300 records, one in a thousand selected, with noise.
    fn default() -> Self {
        Self {
            seed: 1,
            bucket: "trail-bucket".to_owned(),
            files: 300,
            records_per_file: 300,
            selected_one_in: 1000,
            noise: true,
        }
    }
}

/// What becomes of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nature {
    /// A good trail file.
    Trail {
        /// How many records it holds.
        records: u64,
        /// The selected ones, in the file's order.
        selected: Vec<Bytes>,
        /// Its size after inflating, in bytes.
        inflated_bytes: u64,
    },
    /// None of trailsift's business: acknowledged and counted under this word.
    Skipped(&'static str),
    /// A file of which nothing may be delivered, and why.
    Quarantined(Reason),
}

/// One object of the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailObject {
    /// Its key, not encoded.
    pub key: String,
    /// Its bytes as stored.
    pub stored: Bytes,
    /// What becomes of it.
    pub nature: Nature,
}

/// The answer: what a correct run over every object, each once, comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Good trail files.
    pub files: u64,
    /// Records in them.
    pub records: u64,
    /// Selected records in them.
    pub selected: u64,
    /// Objects that are skipped, by the word they are counted under.
    pub skipped: BTreeMap<&'static str, u64>,
    /// Objects that are quarantined, by reason.
    pub quarantined: BTreeMap<&'static str, u64>,
    /// Size of the good trail files as stored.
    pub stored_bytes: u64,
    /// Size of the good trail files after inflating.
    pub inflated_bytes: u64,
    /// Every selected record's exact bytes, sorted; a record of two files is here twice.
    pub selected_records: Vec<Bytes>,
}

/// A bucket's objects, each to be stored once, and the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// The objects.
    pub objects: Vec<TrailObject>,
    /// The answer.
    pub expected: Expected,
}

impl Fleet {
    /// Generates the bucket.
    ///
    /// Among the good files, as far as there are so many: one of an account whose prefix needs
    /// encoding in a notification, one without a record, and one delivered twice under two keys,
    /// the records of which are selected twice.
    pub fn generate(spec: &FleetSpec) -> Self {
        let mut builder = Builder::new(spec);
        // The repeated file counts as two.
        let distinct = if spec.files > REPEATED_FILE + 1 { spec.files - 1 } else { spec.files };
        for index in 0..distinct {
            builder.trail_file(index);
        }
        if spec.noise {
            builder.digests();
            builder.other_kinds();
            builder.foreign();
            builder.damaged();
        }
        let objects = builder.objects;
        let expected = Expected::of(&objects);
        Self { objects, expected }
    }
}

impl Expected {
    /// The answer for these objects.
    pub fn of(objects: &[TrailObject]) -> Self {
        let mut expected = Self::default();
        for object in objects {
            match &object.nature {
                Nature::Trail { records, selected, inflated_bytes } => {
                    expected.files += 1;
                    expected.records += records;
                    expected.selected += selected.len() as u64;
                    expected.stored_bytes += object.stored.len() as u64;
                    expected.inflated_bytes += inflated_bytes;
                    expected.selected_records.extend(selected.iter().cloned());
                }
                Nature::Skipped(kind) => *expected.skipped.entry(kind).or_default() += 1,
                Nature::Quarantined(reason) => {
                    *expected.quarantined.entry(reason.as_str()).or_default() += 1;
                }
            }
        }
        expected.selected_records.sort_unstable();
        expected
    }
}

/// One account's trail: what its keys have in common.
struct Trail {
    account: String,
    prefix: &'static str,
    organization: Option<String>,
}

impl Trail {
    fn delivery<'a>(&'a self, region: &'a str, at: i64) -> Delivery<'a> {
        Delivery {
            prefix: self.prefix,
            organization: self.organization.as_deref(),
            account: &self.account,
            region,
            at,
        }
    }
}

struct Builder<'a> {
    spec: &'a FleetSpec,
    rng: fastrand::Rng,
    trails: Vec<Trail>,
    objects: Vec<TrailObject>,
    /// What each account's and region's digest is to list.
    listed: BTreeMap<(usize, usize), Vec<Listed>>,
}

impl<'a> Builder<'a> {
    fn new(spec: &'a FleetSpec) -> Self {
        let mut rng = fastrand::Rng::with_seed(spec.seed);
        let organization = format!("o-{}", alphanumeric(&mut rng, 10).to_lowercase());
        let trails = (0..ACCOUNTS)
            .map(|index| Trail {
                account: rng.u64(100_000_000_000..1_000_000_000_000).to_string(),
                prefix: match index {
                    2 => "",
                    3 => "audit logs+eu/ümlaut/AWSLogs/",
                    _ => "org/",
                },
                organization: (index < 2).then(|| organization.clone()),
            })
            .collect();
        Self { spec, rng, trails, objects: Vec::new(), listed: BTreeMap::new() }
    }

    fn push(&mut self, key: String, stored: impl Into<Bytes>, nature: Nature) {
        self.objects.push(TrailObject { key, stored: stored.into(), nature });
    }

    fn file_spec(&mut self, trail: usize, region: usize, at: i64) -> FileSpec {
        let mean = self.spec.records_per_file;
        FileSpec {
            seed: self.rng.u64(..),
            records: self.rng.usize(mean.div_ceil(5)..=(mean * 9 / 5).max(1)),
            selected_one_in: self.spec.selected_one_in,
            account: self.trails[trail].account.clone(),
            region: REGIONS[region].to_owned(),
            delivered: at,
        }
    }

    /// Adds a good trail file. Which account and region it is of goes round with the index.
    fn trail_file(&mut self, index: usize) {
        let (trail, region) = (index % ACCOUNTS, index / ACCOUNTS % REGIONS.len());
        let round = i64::try_from(index / (ACCOUNTS * REGIONS.len())).unwrap_or_default();
        let at = EPOCH + 300 * round;
        let mut file_spec = self.file_spec(trail, region, at);
        if index == EMPTY_FILE {
            file_spec.records = 0;
        }
        let file = TrailFile::generate(&file_spec);
        let stored = Bytes::from(file.gzip());
        let json = Bytes::from(file.json);
        let nature = Nature::Trail {
            records: file.records,
            selected: file.selected.into_iter().map(|range| json.slice(range)).collect(),
            inflated_bytes: json.len() as u64,
        };
        // Delivery is at least once, and a file that is delivered again has another name.
        let copies =
            if index == REPEATED_FILE && self.spec.files > REPEATED_FILE + 1 { 2 } else { 1 };
        for _ in 0..copies {
            let unique = alphanumeric(&mut self.rng, 16);
            let key = self.trails[trail].delivery(REGIONS[region], at).key("CloudTrail", &unique);
            let listed = Listed::new(&key, &json, at);
            self.listed.entry((trail, region)).or_default().push(listed);
            self.push(key, stored.clone(), nature.clone());
        }
    }

    /// An hourly digest per account and region, and one for late files.
    fn digests(&mut self) {
        for ((trail, region), files) in std::mem::take(&mut self.listed) {
            let backfill = (trail, region) == (0, 0);
            let last = files.iter().map(|file| file.delivered).max().unwrap_or(EPOCH);
            let delivery = self.trails[trail].delivery(REGIONS[region], last + 3600);
            let mut keys = vec![delivery.digest_key(TRAIL, false)];
            if backfill {
                keys.push(delivery.digest_key(TRAIL, true));
            }
            let made: Vec<_> = keys
                .into_iter()
                .map(|key| {
                    let body = digest(&self.spec.bucket, &key, &delivery, &files);
                    (key, gzip(body.as_bytes()))
                })
                .collect();
            for (key, stored) in made {
                self.push(key, stored, Nature::Skipped("digest"));
            }
        }
    }

    /// Files of the kinds that hold no management events. Their records would be selected.
    fn other_kinds(&mut self) {
        let kinds = [
            ("CloudTrail-Insight", "insight", 3),
            ("CloudTrail-NetworkActivity", "network_activity", 2),
            ("CloudTrail-Aggregated", "aggregated", 1),
        ];
        for (folder, word, count) in kinds {
            for index in 0..count {
                let trail = index % ACCOUNTS;
                let unique = alphanumeric(&mut self.rng, 16);
                let stored = match word {
                    "insight" => insight(&mut self.rng, &self.trails[trail].account),
                    _ => self.file_of_selected(trail),
                };
                let key = self.trails[trail].delivery(REGIONS[0], EPOCH + 600).key(folder, &unique);
                self.push(key, stored, Nature::Skipped(word));
            }
        }
    }

    /// What other services and people put into the bucket.
    fn foreign(&mut self) {
        let unique = alphanumeric(&mut self.rng, 8);
        let log = "https 2026-01-15T00:01:02.345678Z app/web/50dc6c495c0c9188 198.51.100.7:2817 \
                   10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 \"GET https://www.example.com:443/ \
                   HTTP/1.1\" \"codeguru-reviewer.amazonaws.com\"\n";
        let key = self.trails[2].delivery(REGIONS[0], EPOCH).load_balancer_key(&unique);
        self.push(key, gzip(log.as_bytes()), Nature::Skipped("unknown"));
        let readme = "This bucket holds the organization's trail. Do not delete anything.\n";
        self.push("README.txt".to_owned(), readme, Nature::Skipped("key_mismatch"));
        let folder = format!("AWSLogs/{}/CloudTrail/", self.trails[2].account);
        self.push(folder, Bytes::new(), Nature::Skipped("folder_marker"));
    }

    /// Trail files of which nothing may be delivered, though every record in them would be selected.
    fn damaged(&mut self) {
        let whole = self.file_of_selected(0);
        let cut = whole[..whole.len() * 2 / 3].to_vec();
        self.damaged_file(0, cut, Reason::GzipTruncated);

        let mut flipped = self.file_of_selected(1);
        let trailer = flipped.len() - 8;
        flipped[trailer] ^= 1;
        self.damaged_file(1, flipped, Reason::GzipCrc);

        // A second member is how forged records are appended to a file that AWS wrote.
        let mut forged = self.file_of_selected(2);
        forged.extend(self.file_of_selected(2));
        self.damaged_file(2, forged, Reason::GzipTrailingMember);
    }

    fn damaged_file(&mut self, trail: usize, stored: Vec<u8>, reason: Reason) {
        let unique = alphanumeric(&mut self.rng, 16);
        let key = self.trails[trail].delivery(REGIONS[1], EPOCH + 900).key("CloudTrail", &unique);
        self.push(key, stored, Nature::Quarantined(reason));
    }

    /// A file that holds nothing but records that would be selected.
    fn file_of_selected(&mut self, trail: usize) -> Vec<u8> {
        let spec = self.file_spec(trail, 0, EPOCH + 900);
        TrailFile::generate(&FileSpec { records: 20, selected_one_in: 1, ..spec }).gzip()
    }
}

/// An Insight file: the start of a burst of CodeGuru Reviewer calls.
fn insight(rng: &mut fastrand::Rng, account: &str) -> Vec<u8> {
    let id = super::uuid(rng);
    let source = super::SELECTED_SOURCE;
    let json = format!(
        r#"{{"Records":[{{"eventVersion":"1.09","eventTime":"2026-01-15T00:07:00Z","awsRegion":"us-east-1","eventID":"{id}","eventType":"AwsCloudTrailInsight","recipientAccountId":"{account}","sharedEventID":"{id}","insightDetails":{{"state":"Start","eventSource":"{source}","eventName":"ListCodeReviews","insightType":"ApiCallRateInsight","insightContext":{{"statistics":{{"baseline":{{"average":0.0020833333}},"insight":{{"average":6}},"insightDuration":1}}}}}},"eventSource":"{source}","eventCategory":"Insight"}}]}}"#
    );
    gzip(json.as_bytes())
}
