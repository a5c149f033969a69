//! From a batch to the objects that it becomes.

use std::collections::BTreeMap;
use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::GzEncoder;
use trailsift_core::Entry;
use trailsift_delivery::facts;

use super::row::Row;
use super::{KeyTemplate, LineCompression, S3Body, parquet};

/// Hexadecimal digits of the hash that names an object: as many as no two batches in the world share by
/// accident.
const NAME_DIGITS: usize = 32;

/// One object to write, and the entries that are in it.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) key: String,
    pub(super) bytes: Bytes,
    /// Their places in the batch, ascending.
    pub(super) indexes: Vec<usize>,
}

/// What a batch becomes.
#[derive(Debug, Default)]
pub(super) struct Objects {
    /// One for each partition that events of the batch belong into.
    pub(super) objects: Vec<Object>,
    /// The places of entries that are no UTF-8, which a text in Parquet must be.
    pub(super) no_text: Vec<usize>,
}

/// Sorts the entries into partitions and encodes each of them. Busy for as long as compressing takes.
///
/// # Errors
/// None that is known: everything stays in memory.
pub(super) fn objects(
    entries: &[Entry],
    template: &KeyTemplate,
    body: S3Body,
) -> Result<Objects, Box<dyn std::error::Error + Send + Sync>> {
    let rows: Vec<Row<'_>> = entries.iter().map(Row::of).collect();
    let mut partitions: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut no_text = Vec::new();
    let needs_text = matches!(body, S3Body::Parquet(_));
    for (index, row) in rows.iter().enumerate() {
        if needs_text && str::from_utf8(&row.entry.data).is_err() {
            no_text.push(index);
        } else {
            partitions.entry(template.render(row)).or_default().push(index);
        }
    }
    let mut objects = Vec::with_capacity(partitions.len());
    for (prefix, indexes) in partitions {
        let rows: Vec<&Row<'_>> = indexes.iter().map(|index| &rows[*index]).collect();
        let bytes = match body {
            S3Body::JsonLines(compression) => lines(&rows, compression)?,
            S3Body::Parquet(compression) => parquet::file(&rows, compression)?,
        };
        let key = format!("{prefix}{}.{}", name(&rows), body.extension());
        objects.push(Object { key, bytes: bytes.into(), indexes });
    }
    Ok(Objects { objects, no_text })
}

/// The events, one a line.
fn lines(rows: &[&Row<'_>], compression: LineCompression) -> io::Result<Vec<u8>> {
    let size: usize = rows.iter().map(|row| row.entry.data.len() + 1).sum();
    match compression {
        LineCompression::None => {
            let mut lines = Vec::with_capacity(size);
            write_lines(rows, &mut lines)?;
            Ok(lines)
        }
        LineCompression::Gzip => {
            // No name and no time of its own: the same events give the same bytes.
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            write_lines(rows, &mut encoder)?;
            encoder.finish()
        }
        LineCompression::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3)?;
            encoder.include_checksum(true)?;
            write_lines(rows, &mut encoder)?;
            encoder.finish()
        }
    }
}

fn write_lines(rows: &[&Row<'_>], to: &mut impl Write) -> io::Result<()> {
    for row in rows {
        to.write_all(&row.entry.line())?;
        to.write_all(b"\n")?;
    }
    Ok(())
}

/// The name of the object that holds these events in this order: where each comes from, and its bytes.
/// Whoever writes them again, in this process or a later one, writes the same object; other events are
/// another object.
fn name(rows: &[&Row<'_>]) -> String {
    let mut name = facts::fingerprint(rows.iter().map(|row| (row.entry, &*row.entry.data)));
    name.truncate(NAME_DIGITS);
    name
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::bufread::GzDecoder;
    use trailsift_core::Batch;
    use trailsift_testkit::conformance::batch;

    use super::*;
    use crate::s3::ParquetCompression;

    const GZIP: S3Body = S3Body::JsonLines(LineCompression::Gzip);

    fn event(region: &str, n: usize) -> String {
        format!("{{\"awsRegion\":\"{region}\",\"n\":{n}}}")
    }

    fn made(batch: &Batch, body: S3Body) -> Vec<Object> {
        let template = "r={region}/".parse().expect("a template");
        objects(&batch.entries, &template, body).expect("objects").objects
    }

    fn inflated(bytes: &[u8]) -> String {
        let mut text = String::new();
        #[expect(clippy::disallowed_methods, reason = "the test wrote the one member itself")]
        let mut decoder = GzDecoder::new(bytes);
        decoder.read_to_string(&mut text).expect("gzip of text");
        assert!(decoder.into_inner().is_empty(), "one member");
        text
    }

    #[test]
    fn each_partition_is_one_object_with_its_events_in_their_order() {
        let events = batch((0..6).map(|n| event(["b", "a", "b"][n % 3], n)));
        let made = made(&events, GZIP);
        let places: Vec<_> = made.iter().map(|object| object.indexes.clone()).collect();
        assert_eq!(places, [vec![1, 4], vec![0, 2, 3, 5]]);
        assert!(made[0].key.starts_with("r=a/") && made[1].key.starts_with("r=b/"));
        let expected: String = [0, 2, 3, 5].map(|n| event("b", n) + "\n").concat();
        assert_eq!(inflated(&made[1].bytes), expected);
        let name = made[0].key["r=a/".len()..].strip_suffix(".jsonl.gz").expect("an extension");
        assert!(name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
    }

    #[test]
    fn the_same_events_are_the_same_object_to_the_byte_and_others_never_are() {
        let events = batch((0..50).map(|n| event("x", n)));
        let bodies = [
            (GZIP, "jsonl.gz"),
            (S3Body::JsonLines(LineCompression::Zstd), "jsonl.zst"),
            (S3Body::JsonLines(LineCompression::None), "jsonl"),
            (S3Body::Parquet(ParquetCompression::Snappy), "parquet"),
        ];
        for (body, extension) in bodies {
            let (one, again) = (made(&events, body), made(&events.clone(), body));
            assert_eq!(one[0].key, again[0].key);
            assert_eq!(one[0].bytes, again[0].bytes);
            assert!(one[0].key.ends_with(&format!(".{extension}")), "{}", one[0].key);
        }
        let mut keys = vec![made(&events, GZIP)[0].key.clone()];
        let mut other = |change: fn(&mut Batch)| {
            let mut events = events.clone();
            change(&mut events);
            keys.push(made(&events, GZIP)[0].key.clone());
        };
        other(|events| events.entries.truncate(49));
        other(|events| events.entries.swap(0, 1));
        other(|events| events.entries[7].index = 1000);
        other(|events| events.entries[7].data = Bytes::from_static(b"{\"awsRegion\":\"x\"}"));
        other(|events| {
            let mut source = (*events.entries[7].source).clone();
            source.version_id = Some("v2".into());
            events.entries[7].source = source.into();
        });
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    #[test]
    fn a_record_of_many_lines_is_one_line() {
        let made =
            made(&batch(["{\n \"a\": \"b\\n\"\r\n}"]), S3Body::JsonLines(LineCompression::None));
        assert_eq!(made[0].bytes, "{ \"a\": \"b\\n\"}\n");
    }

    #[test]
    fn zstd_is_read_back() {
        let events = batch((0..9).map(|n| event("x", n)));
        let made = made(&events, S3Body::JsonLines(LineCompression::Zstd));
        let text = zstd::stream::decode_all(&made[0].bytes[..]).expect("zstd");
        assert_eq!(text, (0..9).map(|n| event("x", n) + "\n").collect::<String>().into_bytes());
    }

    #[test]
    fn what_is_no_text_is_kept_out_of_parquet_and_its_neighbours_are_not() {
        let mut events = batch(["{\"a\":1}", "{\"a\":2}"]);
        events.entries[0].data = Bytes::from_static(b"{\"a\":\"\xff\"}");
        let template: KeyTemplate = "".parse().expect("a template");
        let body = S3Body::Parquet(ParquetCompression::Snappy);
        let Objects { objects, no_text } =
            objects(&events.entries, &template, body).expect("objects");
        assert_eq!((no_text, &objects[0].indexes), (vec![0], &vec![1]));
    }
}
