//! `type = "s3"`.

use std::fmt::{self, Write};

use trailsift_aws_sinks::{
    KeyTemplate, LineCompression, ParquetCompression, S3Body, S3SinkSettings,
};

use super::aws::{AwsConfig, aws};
use crate::config::ByteSize;
use crate::config::kinds::{OneOf, Size, Text};
use crate::config::names::{ACCOUNT_ID, BUCKET};
use crate::config::print::quoted;
use crate::config::reader::Section;

/// Objects in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Config {
    /// Where S3 is called and as whom.
    pub aws: AwsConfig,
    /// What is written.
    pub settings: S3SinkSettings,
}

const PREFIX: &str = "trailsift/account={account}/region={region}/date={yyyy}-{MM}-{dd}/hour={HH}/";
const SMALLEST_PART: ByteSize = ByteSize::mebibytes(5);
const USUAL_PART: ByteSize = ByteSize::mebibytes(8);

const TEMPLATE: Text = Text {
    what: "the beginning of the objects' keys",
    judge: |text| match text.parse::<KeyTemplate>() {
        Ok(_) => Ok(()),
        Err(error) => Err((error.to_string(), format!("it looks like {PREFIX:?}"))),
    },
};

/// S3's own limit; what the key is called is KMS's to judge.
const KMS_KEY: Text = Text {
    what: "the ARN or id of a KMS key",
    judge: |text| match (1..=2048).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
    {
        true => Ok(()),
        false => Err((
            format!("is no KMS key: {text:?}"),
            "it looks like \"arn:aws:kms:us-east-1:111122223333:key/…\"".into(),
        )),
    },
};

#[derive(Clone, Copy)]
enum Body {
    JsonLines,
    Parquet,
}

const BODY: OneOf<Body> =
    OneOf { words: &[("jsonl", Body::JsonLines), ("parquet", Body::Parquet)], later: &[] };

#[derive(Clone, Copy)]
enum Compression {
    None,
    Gzip,
    Zstd,
    Snappy,
}

const COMPRESSION: OneOf<Compression> = OneOf {
    words: &[
        ("gzip", Compression::Gzip),
        ("zstd", Compression::Zstd),
        ("snappy", Compression::Snappy),
        ("none", Compression::None),
    ],
    later: &[],
};

/// What could not be read is reported, so a value that stands in for it is never used.
pub(super) fn s3(section: &mut Section<'_, '_>) -> S3Config {
    let aws = aws(section);
    let bucket = section.need("bucket", BUCKET);
    let owner = section.get("owner", ACCOUNT_ID);
    let prefix = section.get_or("prefix", TEMPLATE, PREFIX.to_owned());
    let body = section.get_or("body", BODY, Body::JsonLines);
    let body = body_of(section, body);
    let kms_key_id = section.get("kms_key_id", KMS_KEY);
    let part = Size(SMALLEST_PART..=ByteSize::mebibytes(64));
    let part_size = section.get_or("part_size", part, USUAL_PART);
    S3Config {
        aws,
        settings: S3SinkSettings {
            bucket: bucket.map_or_else(String::new, |at| at.value),
            owner: owner.map(|at| at.value),
            prefix: prefix.parse().unwrap_or_default(),
            body,
            kms_key_id: kms_key_id.map(|at| at.value),
            part_bytes: usize::try_from(part_size.bytes()).unwrap_or(usize::MAX),
        },
    }
}

/// The body with its compression: each has its own usual one.
fn body_of(section: &mut Section<'_, '_>, body: Body) -> S3Body {
    let (lines, parquet) = (S3Body::JsonLines, S3Body::Parquet);
    let Some(named) = section.get("compression", COMPRESSION) else {
        return match body {
            Body::JsonLines => lines(LineCompression::Gzip),
            Body::Parquet => parquet(ParquetCompression::Snappy),
        };
    };
    let refuse = |problem, hint, instead| {
        section.scope.findings.error(named.place, problem, hint);
        instead
    };
    match (body, named.value) {
        (Body::JsonLines, Compression::None) => lines(LineCompression::None),
        (Body::JsonLines, Compression::Gzip) => lines(LineCompression::Gzip),
        (Body::JsonLines, Compression::Zstd) => lines(LineCompression::Zstd),
        (Body::Parquet, Compression::None) => parquet(ParquetCompression::None),
        (Body::Parquet, Compression::Gzip) => parquet(ParquetCompression::Gzip),
        (Body::Parquet, Compression::Snappy) => parquet(ParquetCompression::Snappy),
        (Body::JsonLines, Compression::Snappy) => refuse(
            "JSON Lines cannot be packed with \"snappy\"",
            "use \"gzip\", \"zstd\" or \"none\", or body = \"parquet\"",
            lines(LineCompression::Gzip),
        ),
        (Body::Parquet, Compression::Zstd) => refuse(
            "Parquet cannot be packed with \"zstd\" here",
            "use \"snappy\", \"gzip\" or \"none\"",
            parquet(ParquetCompression::Snappy),
        ),
    }
}

impl S3Config {
    /// As keys of TOML.
    pub(in crate::config) fn print(&self, f: &mut impl Write) -> fmt::Result {
        let settings = &self.settings;
        writeln!(f, "type = \"s3\"\nbucket = {}", quoted(&settings.bucket))?;
        if let Some(owner) = &settings.owner {
            writeln!(f, "owner = {}", quoted(owner))?;
        }
        writeln!(f, "prefix = {}", quoted(&settings.prefix.to_string()))?;
        let (body, compression) = match settings.body {
            S3Body::JsonLines(LineCompression::None) => ("jsonl", "none"),
            S3Body::JsonLines(LineCompression::Gzip) => ("jsonl", "gzip"),
            S3Body::JsonLines(LineCompression::Zstd) => ("jsonl", "zstd"),
            S3Body::Parquet(ParquetCompression::None) => ("parquet", "none"),
            S3Body::Parquet(ParquetCompression::Gzip) => ("parquet", "gzip"),
            S3Body::Parquet(ParquetCompression::Snappy) => ("parquet", "snappy"),
        };
        writeln!(f, "body = \"{body}\"\ncompression = \"{compression}\"")?;
        if let Some(key) = &settings.kms_key_id {
            writeln!(f, "kms_key_id = {}", quoted(key))?;
        }
        writeln!(f, "part_size = \"{}\"", ByteSize::new(settings.part_bytes as u64))?;
        self.aws.print(f)
    }
}
