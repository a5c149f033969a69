use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::{Either, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderMap, RANGE};
use hyper::{Method, Request, Response};
use percent_encoding::percent_decode_str;
use trailsift_core::{LogFile, ObjectStore as _, OpenObject, Resume, StoreError};

use crate::counts::{add, count};
use crate::server::{Answer, Chunks, whole};
use crate::stub::Shared;

/// Answers a request that is not SQS's: `GetObject` or `HeadObject`, path style.
pub(crate) async fn answer(shared: &Arc<Shared>, request: &Request<Incoming>) -> Answer {
    let is_head = match *request.method() {
        Method::GET => false,
        Method::HEAD => true,
        _ => {
            count(&shared.counters.unknown);
            shared.asks_for(format!("unknown {} of S3", request.method()));
            let text = "the stub serves GetObject and HeadObject only";
            return refusal(501, "NotImplemented", text, &[], false);
        }
    };
    count(if is_head { &shared.counters.head_object } else { &shared.counters.get_object });
    let Some(file) = named(request) else {
        return refusal(400, "InvalidURI", "not /bucket/key", &[], is_head);
    };
    // HeadObject is allowed by the same actions.
    let versioned = file.version_id.is_some();
    shared.asks_for(if versioned { "s3:GetObjectVersion" } else { "s3:GetObject" });
    match open(shared, &file, request.headers()).await {
        Ok((object, part)) => {
            let size = object.remaining.unwrap_or_default();
            if !is_head {
                add(&shared.counters.object_bytes, size);
            }
            found(shared, object, part, request.headers(), is_head)
        }
        Err(error) => refused(&error, &file, is_head),
    }
}

/// `/bucket/key?versionId=v`.
fn named(request: &Request<Incoming>) -> Option<LogFile> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().ok().map(String::from);
    let (bucket, key) = request.uri().path().strip_prefix('/')?.split_once('/')?;
    let query = request.uri().query().unwrap_or_default();
    let version = query.split('&').find_map(|pair| pair.strip_prefix("versionId="));
    let owner = request.headers().get("x-amz-expected-bucket-owner");
    Some(LogFile {
        bucket: decoded(bucket)?,
        key: decoded(key).filter(|key| !key.is_empty())?,
        version_id: version.and_then(decoded),
        expected_owner: owner.and_then(|owner| owner.to_str().ok()).map(str::to_owned),
    })
}

/// The bytes of the object that were asked for, if not all of them.
type Part = Option<Range<u64>>;

async fn open(
    shared: &Shared,
    file: &LogFile,
    headers: &HeaderMap,
) -> Result<(OpenObject, Part), StoreError> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let etag = header("if-match").map(str::to_owned);
    let range = header(RANGE.as_str()).and_then(|range| range.strip_prefix("bytes="));
    let Some((from, to)) = range.and_then(|range| range.split_once('-')) else {
        let from = etag.map(|etag| Resume { offset: 0, etag });
        return Ok((shared.store.open(file, from.as_ref()).await?, None));
    };
    let object = if let (Some(etag), Ok(offset), "") = (&etag, from.parse(), to) {
        // The one that readers go on with: a single question to the store.
        shared.store.open(file, Some(&Resume { offset, etag: etag.clone() })).await?
    } else {
        let object = shared.store.open(file, None).await?;
        let size = object.size.unwrap_or_default();
        let offset = match (from.parse::<u64>(), to.parse::<u64>()) {
            (Ok(from), _) => from,
            (Err(_), Ok(last)) => size.saturating_sub(last),
            (Err(_), Err(_)) => return Ok((object, None)),
        };
        let etag = etag.or(object.etag).unwrap_or_default();
        shared.store.open(file, Some(&Resume { offset, etag })).await?
    };
    let size = object.size.unwrap_or_default();
    let start = size - object.remaining.unwrap_or_default();
    let end = match to.parse::<u64>() {
        Ok(last) if !from.is_empty() => last.saturating_add(1).min(size),
        _ => size,
    };
    if start >= end {
        return Err(StoreError::Interrupted(format!("InvalidRange: {file}")));
    }
    Ok((object, Some(start..end)))
}

fn found(
    shared: &Shared,
    object: OpenObject,
    part: Part,
    headers: &HeaderMap,
    is_head: bool,
) -> Answer {
    let size = object.size.unwrap_or_default();
    let etag = object.etag.unwrap_or_default();
    let length = part.as_ref().map_or(size, |part| part.end - part.start);
    let mut answer = Response::builder()
        .status(if part.is_some() { 206 } else { 200 })
        .header("x-amz-id-2", "FMyUVURIY8/IgAtTv8xRjskZQpcIZ9KG4V5Wp6S7S/JRWeUWerMUE5JgHvANOjpD")
        .header("x-amz-request-id", "C3D13FE58DE4C810")
        .header("last-modified", "Thu, 15 Jan 2026 00:07:00 GMT")
        .header("etag", &etag)
        .header("x-amz-server-side-encryption", "AES256")
        .header("accept-ranges", "bytes")
        .header("content-encoding", "gzip")
        .header("content-type", "application/json")
        .header("content-length", length)
        .header("server", "AmazonS3");
    if let Some(version) = &object.version_id {
        answer = answer.header("x-amz-version-id", version);
    }
    // A sum of the whole says nothing of a part, so S3 leaves it out.
    let asked = headers.get("x-amz-checksum-mode").is_some_and(|mode| mode == "ENABLED");
    if let Some((name, sum)) = shared.checksum(&etag).filter(|_| asked && part.is_none()) {
        answer = answer.header(name, sum).header("x-amz-checksum-type", "FULL_OBJECT");
    }
    if let Some(part) = &part {
        let range = format!("bytes {}-{}/{size}", part.start, part.end - 1);
        answer = answer.header("content-range", range);
    }
    let chunks: Chunks =
        if is_head { futures::stream::empty().boxed() } else { limited(object.body, length) };
    let built = answer.body(Either::Right(StreamBody::new(chunks)));
    built.unwrap_or_else(|error| refusal(500, "InternalError", &error.to_string(), &[], is_head))
}

/// The first `length` bytes.
fn limited(body: trailsift_core::Body, length: u64) -> Chunks {
    let chunks = futures::stream::unfold((body, length), |(mut body, left)| async move {
        if left == 0 {
            return None;
        }
        match body.next().await? {
            Ok(mut chunk) => {
                chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - chunk.len() as u64;
                Some((Ok(Frame::data(chunk)), (body, left)))
            }
            Err(error) => Some((Err(error), (body, left))),
        }
    });
    chunks.boxed()
}

/// What S3 answers where the store answers this error.
fn refused(error: &StoreError, file: &LogFile, is_head: bool) -> Answer {
    let text = error.to_string();
    let refusal =
        |status, code: &str, headers: &[_]| refusal(status, code, &text, headers, is_head);
    match error {
        StoreError::NotFound(what) if what.starts_with("NoSuchBucket") => {
            refusal(404, "NoSuchBucket", &[])
        }
        StoreError::NotFound(_) => refusal(404, "NoSuchKey", &[]),
        StoreError::DeletedVersion(what) if what.starts_with("NoSuchVersion") => {
            refusal(404, "NoSuchVersion", &[])
        }
        StoreError::DeletedVersion(_) => {
            let marker = [("x-amz-delete-marker", "true")];
            match file.version_id {
                None => refusal(404, "NoSuchKey", &marker),
                Some(_) => refusal(405, "MethodNotAllowed", &marker),
            }
        }
        StoreError::Denied(_) | StoreError::WrongOwner { .. } => refusal(403, "AccessDenied", &[]),
        StoreError::KmsDenied(_) => refusal(400, "KMS.DisabledException", &[]),
        StoreError::WrongRegion { region, .. } => match region {
            Some(region) => {
                refusal(301, "PermanentRedirect", &[("x-amz-bucket-region", region.as_str())])
            }
            None => refusal(301, "PermanentRedirect", &[]),
        },
        StoreError::Archived(_) => refusal(403, "InvalidObjectState", &[]),
        StoreError::Changed(_) => refusal(412, "PreconditionFailed", &[]),
        StoreError::Throttled { after, .. } => match after {
            Some(after) => {
                refusal(503, "SlowDown", &[("retry-after", after.as_secs().to_string().as_str())])
            }
            None => refusal(503, "SlowDown", &[]),
        },
        StoreError::Interrupted(what) if what.starts_with("InvalidRange") => {
            refusal(416, "InvalidRange", &[])
        }
        _ => refusal(500, "InternalError", &[]),
    }
}

fn refusal(status: u16, code: &str, text: &str, headers: &[(&str, &str)], is_head: bool) -> Answer {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{escaped}</Message><RequestId>C3D13FE58DE4C810</RequestId></Error>"
    );
    let mut all = vec![
        ("content-type", "application/xml"),
        ("x-amz-request-id", "C3D13FE58DE4C810"),
        ("server", "AmazonS3"),
    ];
    all.extend_from_slice(headers);
    whole(status, &all, if is_head { Bytes::new() } else { Bytes::from(body) })
}
