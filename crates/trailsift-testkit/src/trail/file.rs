use std::io::Write;
use std::ops::Range;

use flate2::{Compression, GzBuilder};

use super::calls::{self, Call, Scene};
use super::key::{Delivery, timestamp};
use super::{alphanumeric, reviewer, uuid};

/// What one trail file is to hold.
#[derive(Clone, Debug)]
pub struct FileSpec {
    /// The same seed gives the same file.
    pub seed: u64,
    /// How many records.
    pub records: usize,
    /// One record in so many is selected, on average; 0 for none.
    pub selected_one_in: u32,
    /// The account whose events these are.
    pub account: String,
    /// The region whose events these are.
    pub region: String,
    /// When the file is delivered, in seconds since 1970: its events are up to 15 minutes older.
    pub delivered: i64,
}

impl Default for FileSpec {
    /// 300 records as CodeGuru Reviewer's users have them: one in a thousand is its own.
    fn default() -> Self {
        Self {
            seed: 1,
            records: 300,
            selected_one_in: 1000,
            account: "111122223333".to_owned(),
            region: "us-east-1".to_owned(),
            delivered: super::EPOCH,
        }
    }
}

impl FileSpec {
    /// The key under which CloudTrail would deliver the file, below `prefix`: that is empty or ends
    /// in a slash. Files of different seeds have different keys.
    pub fn key(&self, prefix: &str) -> String {
        let Self { account, region, delivered: at, .. } = self;
        let delivery = Delivery { prefix, organization: None, account, region, at: *at };
        let unique = alphanumeric(&mut fastrand::Rng::with_seed(self.seed), 16);
        delivery.key("CloudTrail", &unique)
    }
}

/// One trail file before compression, with its expected answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailFile {
    /// The document, on a single line: `{"Records":[…]}`.
    pub json: Vec<u8>,
    /// How many records it holds.
    pub records: u64,
    /// Where in `json` the selected records are, each from its opening brace to its closing one.
    pub selected: Vec<Range<usize>>,
}

impl TrailFile {
    /// Writes the file. About 1,400 bytes a record, whatever the count: nothing else is kept.
    pub fn generate(spec: &FileSpec) -> Self {
        let mut rng = fastrand::Rng::with_seed(spec.seed);
        let mut json = Vec::with_capacity(spec.records * 1500 + 16);
        let mut selected = Vec::new();
        json.extend_from_slice(br#"{"Records":["#);
        for index in 0..spec.records {
            if index > 0 {
                json.push(b',');
            }
            let scene = Scene {
                account: &spec.account,
                region: &spec.region,
                at: spec.delivered - rng.i64(60..900),
            };
            let wanted = spec.selected_one_in > 0 && rng.u32(..spec.selected_one_in) == 0;
            let call = if wanted {
                reviewer::call(&mut rng, scene)
            } else {
                calls::ordinary(&mut rng, scene)
            };
            let start = json.len();
            write_record(&mut json, &mut rng, scene, &call);
            if wanted {
                selected.push(start..json.len());
            }
        }
        json.extend_from_slice(b"]}");
        Self { json, records: spec.records as u64, selected }
    }

    /// The file as CloudTrail stores it: one gzip member.
    pub fn gzip(&self) -> Vec<u8> {
        gzip(&self.json)
    }

    /// The selected records' bytes, in the file's order.
    pub fn selected_records(&self) -> impl Iterator<Item = &[u8]> {
        self.selected.iter().map(|range| &self.json[range.clone()])
    }
}

/// One gzip member without a name or a time, so that equal bytes stay equal.
pub(super) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::new(5));
    let written = encoder.write_all(plain).and_then(|()| encoder.finish());
    written.unwrap_or_else(|error| unreachable!("a vector takes every byte: {error}"))
}

/// One record, its members in CloudTrail's usual order.
fn write_record(out: &mut Vec<u8>, rng: &mut fastrand::Rng, scene: Scene<'_>, call: &Call) {
    let version = super::pick(rng, &["1.08", "1.08", "1.09", "1.10", "1.11", "1.05"]);
    let old = version == "1.05";
    let caller = &call.caller;
    let agent = serde_json::Value::from(caller.user_agent.as_str()).to_string();
    let mut put = |parts: &[&str]| {
        for part in parts {
            out.extend_from_slice(part.as_bytes());
        }
    };
    put(&["{\"eventVersion\":\"", version, "\",\"userIdentity\":", &caller.identity]);
    put(&[",\"eventTime\":\"", &timestamp(scene.at), "\",\"eventSource\":\"", call.source]);
    put(&["\",\"eventName\":\"", &call.name, "\",\"awsRegion\":\"", scene.region]);
    put(&["\",\"sourceIPAddress\":\"", &caller.source_ip, "\",\"userAgent\":", &agent]);
    put(&[",\"requestParameters\":", &call.request, ",\"responseElements\":", &call.response]);
    put(&[&call.extra, ",\"requestID\":\"", &uuid(rng), "\",\"eventID\":\"", &uuid(rng)]);
    put(&["\",\"readOnly\":", if call.read_only { "true" } else { "false" }]);
    put(&[",\"eventType\":\"", call.kind, "\",\"recipientAccountId\":\"", scene.account, "\""]);
    if !old {
        put(&[",\"managementEvent\":true,\"eventCategory\":\"Management\""]);
        if rng.u8(..3) > 0 {
            put(&[
                ",\"tlsDetails\":{\"tlsVersion\":\"TLSv1.3\",\"cipherSuite\":\"TLS_AES_128_GCM_SHA256\",\"clientProvidedHostHeader\":\"",
                call.source,
                "\"}",
            ]);
        }
    }
    if caller.console {
        put(&[",\"sessionCredentialFromConsole\":\"true\""]);
    }
    put(&["}"]);
}
