use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use time::OffsetDateTime;
use time::macros::format_description;

/// What S3 leaves as it is in the keys of its notifications.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'/');

/// The body of the message with which S3 tells a queue of a new object of `size` bytes.
pub fn notification(bucket: &str, key: &str, size: usize, etag: &str) -> String {
    // Form-encoded, as S3 does it: a space is a plus.
    let key = utf8_percent_encode(key, KEPT).to_string().replace("%20", "+");
    let etag = etag.trim_matches('"');
    let now = OffsetDateTime::now_utc();
    let sequencer = format!("{:016X}", now.unix_timestamp_nanos());
    let time = timestamp(now);
    format!(
        r#"{{"Records":[{{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"us-east-1","eventTime":"{time}","eventName":"ObjectCreated:Put","userIdentity":{{"principalId":"AWS:AROAEXAMPLEEXAMPLE123:CloudTrail"}},"requestParameters":{{"sourceIPAddress":"203.0.113.77"}},"responseElements":{{"x-amz-request-id":"C3D13FE58DE4C810","x-amz-id-2":"FMyUVURIY8/IgAtTv8xRjskZQpcIZ9KG4V5Wp6S7S/JRWeUWerMUE5JgHvANOjpD"}},"s3":{{"s3SchemaVersion":"1.0","configurationId":"trailsift","bucket":{{"name":"{bucket}","ownerIdentity":{{"principalId":"A3NL1KOZZKExample"}},"arn":"arn:aws:s3:::{bucket}"}},"object":{{"key":"{key}","size":{size},"eTag":"{etag}","sequencer":"{sequencer}"}}}}}}]}}"#
    )
}

/// `2026-01-15T00:05:00.123Z`.
fn timestamp(at: OffsetDateTime) -> String {
    let form =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    at.format(form).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_form_encoded_and_the_rest_is_json() {
        let body = notification("b", "AWSLogs/a b+c/é.json.gz", 7, "\"e\"");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let object = &body["Records"][0]["s3"]["object"];
        assert_eq!(object["key"], "AWSLogs/a+b%2Bc/%C3%A9.json.gz");
        assert_eq!((object["size"].as_u64(), object["eTag"].as_str()), (Some(7), Some("e")));
    }

    #[test]
    fn the_time_is_written_to_the_millisecond() {
        let at = time::macros::datetime!(2026-01-15 00:07:09.0456 UTC);
        assert_eq!(timestamp(at), "2026-01-15T00:07:09.045Z");
    }
}
