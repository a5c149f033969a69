use serde_json::Value;
use trailsift_core::Entry;
use trailsift_delivery::facts;
use trailsift_event::Event;

use super::SplunkSettings;

/// What stands beside each event.
#[derive(Debug)]
pub(super) struct Labels {
    /// Members of the object, each followed by a comma.
    fixed: String,
    /// Whether the source is the object that the event was read from.
    source_is_object: bool,
}

impl Labels {
    pub(super) fn new(settings: &SplunkSettings) -> Self {
        let labels = [
            ("sourcetype", Some(&settings.sourcetype)),
            ("index", settings.index.as_ref()),
            ("host", settings.host.as_ref()),
            ("source", settings.source.as_ref()),
        ];
        let mut fixed = String::new();
        for (name, text) in labels {
            if let Some(text) = text {
                fixed.push_str(&format!("\"{name}\":{},", quoted(text)));
            }
        }
        Self { fixed, source_is_object: settings.source.is_none() }
    }

    /// The events as the collector takes them: objects one after the other, in each the event in its
    /// own bytes.
    pub(super) fn body(&self, entries: &[Entry]) -> Vec<u8> {
        let size =
            |entry: &Entry| entry.data.len() + self.fixed.len() + entry.source.key.len() + 96;
        let mut body = Vec::with_capacity(entries.iter().map(size).sum());
        for entry in entries {
            body.push(b'{');
            let time = facts::time(&Event::new(&entry.record));
            // Splunk takes no time before 1970. Without one it takes the time of arrival.
            if let Some(time) = time.filter(|time| time.unix_timestamp() >= 0) {
                let (seconds, milliseconds) = (time.unix_timestamp(), time.millisecond());
                body.extend_from_slice(format!("\"time\":{seconds}.{milliseconds:03},").as_bytes());
            }
            body.extend_from_slice(self.fixed.as_bytes());
            // What is parked without an object has no source to name.
            if self.source_is_object && !entry.source.bucket.is_empty() {
                let source = format!("s3://{}/{}", entry.source.bucket, entry.source.key);
                body.extend_from_slice(format!("\"source\":{},", quoted(&source)).as_bytes());
            }
            body.extend_from_slice(b"\"event\":");
            body.extend_from_slice(&entry.data);
            body.extend_from_slice(b"}\n");
        }
        body
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use trailsift_testkit::conformance::batch;

    use super::*;
    use crate::SecretSource;

    fn body(settings: SplunkSettings, events: &[&str]) -> String {
        String::from_utf8(Labels::new(&settings).body(&batch(events).entries)).unwrap()
    }

    #[test]
    fn each_event_stands_in_its_own_bytes_beside_its_time_and_labels() {
        let settings = SplunkSettings::new("https://h/", SecretSource::Env("T".into()));
        let event = "{\"eventTime\":\"2026-01-31T23:59:59.25Z\",\n \"a\": 1.50}";
        assert_eq!(
            body(settings.clone(), &[event, "[2]"]),
            format!(
                "{{\"time\":1769903999.250,\"sourcetype\":\"aws:cloudtrail\",\
                 \"source\":\"s3://org-trail/AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/16/1.json.gz\",\"event\":{event}}}\n\
                 {{\"sourcetype\":\"aws:cloudtrail\",\
                 \"source\":\"s3://org-trail/AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/16/1.json.gz\",\"event\":[2]}}\n"
            )
        );
        let settings = SplunkSettings {
            index: Some("main".into()),
            host: Some("a\"b".into()),
            source: Some("trail".into()),
            sourcetype: "json".into(),
            ..settings
        };
        assert_eq!(
            body(settings, &["{\"eventTime\":\"1960-01-01T00:00:00Z\"}"]),
            "{\"sourcetype\":\"json\",\"index\":\"main\",\"host\":\"a\\\"b\",\"source\":\"trail\",\
             \"event\":{\"eventTime\":\"1960-01-01T00:00:00Z\"}}\n"
        );
    }
}
