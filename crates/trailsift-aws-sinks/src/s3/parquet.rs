//! A batch as one Parquet file: the columns that people search by, and the event itself.

use std::sync::Arc;

use parquet::basic::{Compression, GzipLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::ParquetCompression;
use super::row::Row;

/// Adding a column at the end is fine for readers that go by name; anything else is not.
const SCHEMA: &str = "message cloudtrail_event {
    optional int64 event_time (TIMESTAMP(MILLIS, true));
    optional binary event_id (STRING);
    optional binary event_source (STRING);
    optional binary event_name (STRING);
    optional binary aws_region (STRING);
    optional binary recipient_account_id (STRING);
    required binary actor_kind (STRING);
    optional binary actor_name (STRING);
    optional binary actor_arn (STRING);
    required binary credentials (STRING);
    optional binary source_ip (STRING);
    optional binary user_agent (STRING);
    optional binary error_code (STRING);
    optional boolean read_only;
    required binary source_bucket (STRING);
    required binary source_key (STRING);
    optional binary source_version_id (STRING);
    required int64 source_index;
    required binary event (STRING);
}";

/// Values that are written at once before the size of their page is looked at: events may be large.
const WRITE_BATCH: usize = 128;

/// The file. The same rows give the same bytes. An entry's data must be UTF-8.
///
/// # Errors
/// None that is known: everything stays in memory.
pub(super) fn file(
    rows: &[&Row<'_>],
    compression: ParquetCompression,
) -> Result<Vec<u8>, ParquetError> {
    let compression = match compression {
        ParquetCompression::None => Compression::UNCOMPRESSED,
        ParquetCompression::Snappy => Compression::SNAPPY,
        ParquetCompression::Gzip => Compression::GZIP(GzipLevel::default()),
    };
    let mut properties = WriterProperties::builder()
        .set_created_by("trailsift".to_owned())
        .set_compression(compression)
        .set_write_batch_size(WRITE_BATCH);
    // Each value is another one: no dictionary helps, and of events no order does.
    for unique in ["event", "event_id"] {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(unique), false);
    }
    let event = ColumnPath::from("event");
    let properties =
        properties.set_column_statistics_enabled(event, EnabledStatistics::None).build();
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    Columns { rows, group: file.next_row_group()? }.write()?;
    // Ends the file with its footer.
    file.into_inner()
}

/// Writes one column after the other, in the schema's order.
struct Columns<'c, 'e, 'w> {
    rows: &'c [&'c Row<'e>],
    group: SerializedRowGroupWriter<'w, Vec<u8>>,
}

impl Columns<'_, '_, '_> {
    fn write(mut self) -> Result<(), ParquetError> {
        self.optional::<Int64Type>(|row| {
            let milliseconds = row.time?.unix_timestamp_nanos().div_euclid(1_000_000);
            i64::try_from(milliseconds).ok()
        })?;
        self.text(|row| row.event_id.as_deref())?;
        self.text(|row| row.event_source.as_deref())?;
        self.text(|row| row.event_name.as_deref())?;
        self.text(|row| row.region.as_deref())?;
        self.text(|row| row.account.as_deref())?;
        self.required::<ByteArrayType>(|row| row.actor.kind.as_str().into())?;
        self.text(|row| row.actor.name.as_deref())?;
        self.text(|row| row.actor.arn.as_deref())?;
        self.required::<ByteArrayType>(|row| row.actor.credentials.as_str().into())?;
        self.text(|row| row.source_ip.as_deref())?;
        self.text(|row| row.user_agent.as_deref())?;
        self.text(|row| row.error_code.as_deref())?;
        self.optional::<BoolType>(|row| row.read_only)?;
        self.required::<ByteArrayType>(|row| row.entry.source.bucket.as_str().into())?;
        self.required::<ByteArrayType>(|row| row.entry.source.key.as_str().into())?;
        self.text(|row| row.entry.source.version_id.as_deref())?;
        self.required::<Int64Type>(|row| i64::try_from(row.entry.index).unwrap_or(i64::MAX))?;
        self.required::<ByteArrayType>(|row| row.entry.data.clone().into())?;
        self.group.close()?;
        Ok(())
    }

    fn text(
        &mut self,
        value: impl for<'r> Fn(&'r Row<'_>) -> Option<&'r str>,
    ) -> Result<(), ParquetError> {
        self.optional::<ByteArrayType>(|row| value(row).map(ByteArray::from))
    }

    fn optional<T: DataType>(
        &mut self,
        value: impl Fn(&Row<'_>) -> Option<T::T>,
    ) -> Result<(), ParquetError> {
        let values: Vec<Option<T::T>> = self.rows.iter().map(|row| value(row)).collect();
        let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
        let values: Vec<T::T> = values.into_iter().flatten().collect();
        self.column::<T>(&values, Some(&levels))
    }

    fn required<T: DataType>(
        &mut self,
        value: impl Fn(&Row<'_>) -> T::T,
    ) -> Result<(), ParquetError> {
        let values: Vec<T::T> = self.rows.iter().map(|row| value(row)).collect();
        self.column::<T>(&values, None)
    }

    fn column<T: DataType>(
        &mut self,
        values: &[T::T],
        levels: Option<&[i16]>,
    ) -> Result<(), ParquetError> {
        let missing = || ParquetError::General("there are more columns than the schema has".into());
        let mut column = self.group.next_column()?.ok_or_else(missing)?;
        column.typed::<T>().write_batch(values, levels, None)?;
        column.close()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use trailsift_core::Batch;
    use trailsift_testkit::conformance::batch;

    use super::*;

    const RECORD: &str = r#"{"eventTime":"2026-11-22T10:20:30.456Z","eventID":"e-1","eventSource":"iam.amazonaws.com","eventName":"ListUsers","awsRegion":"us-east-1","recipientAccountId":"111122223333","userIdentity":{"type":"IAMUser","userName":"alice","arn":"arn:aws:iam::111122223333:user/alice","accessKeyId":"AKIAX"},"sourceIPAddress":"203.0.113.7","userAgent":"cli \"2\"","errorCode":"AccessDenied","readOnly":true}"#;

    fn read(batch: &Batch, compression: ParquetCompression) -> Vec<serde_json::Value> {
        let rows: Vec<Row<'_>> = batch.entries.iter().map(Row::of).collect();
        let rows: Vec<&Row<'_>> = rows.iter().collect();
        let bytes = file(&rows, compression).expect("a file");
        assert_eq!(file(&rows, compression).expect("a file"), bytes, "the same rows, other bytes");
        let reader = SerializedFileReader::new(Bytes::from(bytes)).expect("a Parquet file");
        let rows = reader.get_row_iter(None).expect("rows");
        let text = |row: parquet::record::Row| {
            let columns = row.into_columns();
            let values = columns.into_iter().map(|(name, field)| {
                use parquet::record::Field;
                let value = match field {
                    Field::Null => serde_json::Value::Null,
                    Field::Str(text) => text.into(),
                    Field::Bool(flag) => flag.into(),
                    Field::Long(number) | Field::TimestampMillis(number) => number.into(),
                    other => panic!("{name}: {other:?}"),
                };
                (name, value)
            });
            serde_json::Value::Object(values.collect())
        };
        rows.map(|row| text(row.expect("a row"))).collect()
    }

    #[test]
    fn every_column_says_what_the_record_says_and_the_event_is_untouched() {
        let mut events = batch([RECORD, "{\n \"eventTime\":\"x\", \"readOnly\":7 }"]);
        let formatted = Bytes::from(format!("{{\"event\":{RECORD}}}"));
        events.entries[0].data = formatted.clone();
        for compression in
            [ParquetCompression::None, ParquetCompression::Snappy, ParquetCompression::Gzip]
        {
            let rows = read(&events, compression);
            let expected = serde_json::json!([{
                "event_time": 1_795_342_830_456_i64, "event_id": "e-1",
                "event_source": "iam.amazonaws.com", "event_name": "ListUsers",
                "aws_region": "us-east-1", "recipient_account_id": "111122223333",
                "actor_kind": "iam_user", "actor_name": "alice",
                "actor_arn": "arn:aws:iam::111122223333:user/alice", "credentials": "long_term",
                "source_ip": "203.0.113.7", "user_agent": "cli \"2\"",
                "error_code": "AccessDenied", "read_only": true, "source_bucket": "org-trail",
                "source_key": "AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/16/1.json.gz",
                "source_version_id": null, "source_index": 0,
                "event": String::from_utf8(formatted.to_vec()).expect("text"),
            }, {
                "event_time": null, "event_id": null, "event_source": null, "event_name": null,
                "aws_region": null, "recipient_account_id": null, "actor_kind": "unknown",
                "actor_name": null, "actor_arn": null, "credentials": "none", "source_ip": null,
                "user_agent": null, "error_code": null, "read_only": null,
                "source_bucket": "org-trail",
                "source_key": "AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/16/1.json.gz",
                "source_version_id": null, "source_index": 1,
                "event": "{\n \"eventTime\":\"x\", \"readOnly\":7 }",
            }]);
            assert_eq!(serde_json::Value::Array(rows), expected, "{compression:?}");
        }
    }

    #[test]
    fn thousands_of_large_events_are_read_back_in_their_order() {
        let text = |n: usize| format!("{{\"n\":{n},\"x\":\"{}\"}}", "y".repeat(n * 7 % 5000));
        let events = batch((0..3000).map(text));
        let rows = read(&events, ParquetCompression::Snappy);
        assert_eq!(rows.len(), 3000);
        for (n, row) in rows.iter().enumerate() {
            assert_eq!(row["event"], text(n), "{n}");
            assert_eq!(row["source_index"], n, "{n}");
        }
    }
}
