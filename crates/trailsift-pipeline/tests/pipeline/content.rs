//! What files may hold, from the notification to the sink: a bad record never takes its good
//! neighbours with it, and what is unusual is counted.

use bytes::Bytes;
use serde_json::Value;
use trailsift_trail::MultiMember;

use crate::rig::{BUCKET, Rig, gzip, key, notification, selected, trail_file};

const WANTED: &str = "codeguru-reviewer.amazonaws.com";

/// Delivers one file of these bytes and runs until all is settled.
async fn settle_file(rig: &mut Rig, stored: impl Into<Bytes>) -> String {
    let file = key("file");
    rig.store.put(BUCKET, &file, stored);
    rig.queue.send(notification(&[&file]));
    rig.run_until_empty().await;
    file
}

/// The document of these records, which need not be text.
fn document(records: &[&[u8]]) -> Vec<u8> {
    [&b"{\"Records\":["[..], &records.join(&b","[..]), b"]}"].concat()
}

#[tokio::test(start_paused = true)]
async fn f16_to_f29_a_bad_record_is_parked_under_its_reason_and_its_neighbours_are_delivered() {
    let source = format!(r#""eventSource":"{WANTED}""#);
    let deep = format!(r#"{{{source},"a":{}{}}}"#, "[".repeat(400_000), "]".repeat(400_000));
    let large = format!(r#"{{{source},"a":"{}"}}"#, "x".repeat(2 << 20));
    let mut not_utf8 = format!(r#"{{{source},"a":"?"}}"#).into_bytes();
    let at = not_utf8.len() - 3;
    not_utf8[at] = 0xFF;
    let text = |text: &str| text.replace("SOURCE", &source).into_bytes();
    let table: Vec<(Vec<u8>, &str)> = vec![
        (text("{SOURCE \"a\":1}"), "record_syntax"),   // F16
        (text("{SOURCE,\"a\":tru}"), "record_syntax"), // F16
        (text("null"), "record_type"),                 // F17
        (text("[{SOURCE}]"), "record_type"),           // F17
        (text(r#"{SOURCE,"eventSource":"x"}"#), "duplicate_key"), // F18
        (text(r#"{"eventSource":"x",SOURCE}"#), "duplicate_key"), // F18
        (text(r#"{SOURCE,"event\u0053ource":"x"}"#), "duplicate_key"), // F18
        (text(r#"{"event\u0053ource":"x",SOURCE}"#), "duplicate_key"), // F18
        (text(&format!(r#"{{"eventSource":null,"a":"{WANTED}"}}"#)), "event_source_type"), // F20
        (text(&format!(r#"{{"eventSource":["{WANTED}"]}}"#)), "event_source_type"), // F20
        (deep.into_bytes(), "too_deep"),               // F24
        (large.into_bytes(), "record_too_large"),      // F25
        (not_utf8, "invalid_utf8"),                    // F27
        (text("{SOURCE,\"a\":\"\0\"}"), "record_syntax"), // F29
        (text("{SOURCE,\"a\":\"\u{1f}\"}"), "record_syntax"), // F29
    ];
    let (before, after) = (selected("before"), selected("after"));
    for (bad, reason) in table {
        let mut rig = Rig::new();
        let plain = document(&[before.as_bytes(), &bad, after.as_bytes()]);
        let file = settle_file(&mut rig, gzip(&plain)).await;
        assert_eq!(rig.events(), [before.clone(), after.clone()], "{reason}");
        let parked = rig.parked();
        let line = &parked[0];
        assert_eq!((parked.len(), &line["reason"]), (1, &Value::from(reason)));
        assert_eq!((&line["key"], &line["index"]), (&Value::from(file), &Value::from(1)));
        let is_text = line["data_encoding"].is_null();
        assert_eq!(is_text, reason != "invalid_utf8", "what is no text is parked as base64");
        let records = |outcome| count(&rig, "trailsift_records_total", &[("outcome", outcome)]);
        let counted = [records("seen"), records("selected"), records("quarantined")];
        assert_eq!(counted, ["3", "2", "1"], "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn f16_where_the_structure_is_lost_the_records_before_are_delivered_and_the_rest_parked_as_one()
 {
    let (before, after) = (selected("before"), selected("after"));
    for rest in [format!(r#"{{"a":[1,2}},{after}]}}"#), format!(r#"{{"a":"b}},{after}]}}"#)] {
        let mut rig = Rig::new();
        let plain = format!(r#"{{"Records":[{before},{rest}"#);
        let file = settle_file(&mut rig, gzip(plain.as_bytes())).await;
        assert_eq!(rig.events(), std::slice::from_ref(&before), "{rest}");
        let parked = rig.parked();
        assert_eq!((parked.len(), &parked[0]["reason"]), (1, &Value::from("structure_lost")));
        assert_eq!((&parked[0]["key"], &parked[0]["data"]), (&file.into(), &rest.into()));
    }
}

#[tokio::test(start_paused = true)]
async fn f19_to_f23_look_alikes_are_filtered_and_escaped_spellings_are_not() {
    let like = [
        r#"{"eventName":"ListCodeReviews","note":"codeguru-reviewer.amazonaws.com"}"#, // F19
        r#"{"eventSource":"CodeGuru-Reviewer.amazonaws.com"}"#,
        r#"{"eventSource":"CODEGURU-REVIEWER.AMAZONAWS.COM"}"#,
        r#"{"eventSource":"codeguru-reviewer.amazonaws.com."}"#,
        r#"{"eventSource":" codeguru-reviewer.amazonaws.com"}"#,
        r#"{"eventSource":"codeguru-reviewer.amazonaws.com "}"#,
        r#"{"eventSource":"codeguru-reviewer.amazonaws.com\u0000"}"#,
        r#"{"eventSource":"codeguru-reviewer.amazonaws.com.cn"}"#,
        r#"{"eventSource":"codeguru-reviewer.amazonaws.com.evil.com"}"#,
        r#"{"eventSource":"x.codeguru-reviewer.amazonaws.com"}"#,
        r#"{"eventSource":"xcodeguru-reviewer.amazonaws.com"}"#,
        r#"{"eventSource":"codeguru-profiler.amazonaws.com"}"#,
        r#"{"eventSource":"codeguru-reviewer\u200b.amazonaws.com"}"#,
        r#"{"eventSource":"c\u043edeguru-reviewer.amazonaws.com"}"#,
        r#"{"eventSource":"codeguru\u2010reviewer.amazonaws.com"}"#,
        r#"{"eventsource":"codeguru-reviewer.amazonaws.com"}"#,
        r#"{"EventSource":"codeguru-reviewer.amazonaws.com"}"#,
        r#"{"eventSource":"s3.amazonaws.com","userIdentity":{"invokedBy":"codeguru-reviewer.amazonaws.com"}}"#,
        r#"{"eventSource":"s3.amazonaws.com","userAgent":"codeguru-reviewer.amazonaws.com"}"#,
        r#"{"eventSource":"s3.amazonaws.com","requestParameters":{"eventSource":"codeguru-reviewer.amazonaws.com"}}"#,
        r#"{"eventSource":"s3.amazonaws.com","a":"\",\"eventSource\":\"codeguru-reviewer.amazonaws.com\",\"b\":\""}"#,
        r#"{"eventSource":"s3.amazonaws.com","resources":[{"eventSource":"codeguru-reviewer.amazonaws.com"}]}"#,
    ];
    let same = [
        r#"{"eventSource":"codeguru\u002dreviewer.amazonaws.com"}"#,
        r#"{"eventSource":"codeguru\u002Dreviewer\u002eamazonaws.com","n":"a\/b"}"#,
        r#"{"event\u0053ource":"codeguru-reviewer.amazonaws.com"}"#,
        r#"{"\u0065ventSource" : "\u0063odeguru-reviewer.amazonaws.co\u006d"}"#,
        "{\n\t\"eventSource\"\r\n:\n\"codeguru-reviewer.amazonaws.com\"}",
    ];
    let records: Vec<_> = like.iter().chain(&same).map(|record| record.as_bytes()).collect();
    let mut rig = Rig::new();
    settle_file(&mut rig, gzip(&document(&records))).await;
    assert_eq!(rig.events(), same);
    assert_eq!(rig.parked(), Vec::<Value>::new());
}

#[tokio::test(start_paused = true)]
async fn f28_f29_f33_f42_odd_but_legal_records_pass_byte_for_byte() {
    let records = [
        format!(r#"{{"eventSource":"{WANTED}","a":"\ud800 \udc00\ud800 \u0000 \u001f"}}"#),
        format!(
            r#"{{"eventSource":"{WANTED}","n":[1574826395.6620,1e400,-0,1E+2,123456789012345678901234567890]}}"#
        ),
        format!(r#"{{"eventSource":"{WANTED}","twice":1,"twice":2,"\ud800":3}}"#),
        // An addendum repeats an event with more in it, under an eventID of its own; and what is
        // written twice is delivered twice.
        format!(
            r#"{{"eventSource":"{WANTED}","eventID":"2","addendum":{{"reason":"UPDATED_DATA","updatedFields":"responseElements","originalRequestID":"r","originalEventID":"1"}}}}"#
        ),
        selected("1"),
        selected("1"),
    ];
    let bytes: Vec<_> = records.iter().map(String::as_bytes).collect();
    let mut rig = Rig::new();
    settle_file(&mut rig, gzip(&document(&bytes))).await;
    assert_eq!(rig.events(), records);
    assert_eq!(rig.parked(), Vec::<Value>::new());
}

#[tokio::test(start_paused = true)]
async fn f9_a_file_without_records_is_done() {
    let mut rig = Rig::new();
    settle_file(&mut rig, trail_file(&[])).await;
    assert_eq!(count(&rig, "trailsift_objects_total", &[("outcome", "done")]), "1");
    assert_eq!((rig.events(), rig.parked()), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn f6_to_f15_and_f31_to_f35_a_file_of_another_kind_is_parked_whole() {
    let record = selected("inside");
    let good = document(&[record.as_bytes()]);
    let text = |plain: &str| gzip(plain.replace("RECORD", &record).as_bytes());
    for (stored, reason) in [
        (gzip(&gzip(&good)), "not_json"),                      // F6
        (Vec::new().into(), "empty_object"),                   // F7
        (gzip(b""), "empty_json"),                             // F8
        (text("{}"), "no_records"),                            // F10
        (text(r#"{"Records":null}"#), "no_records"),           // F11
        (text(r#"{"Records":{"a":RECORD}}"#), "records_type"), // F12
        (text("[RECORD]"), "toplevel_type"),                   // F13
        (text(r#"{"Records":[RECORD],"Records":[]}"#), "duplicate_records_key"), // F15
        (text(r#"{"Records":[RECORD],"\u0052ecords":[]}"#), "duplicate_records_key"), // F15
        (
            gzip(&"{\"Records\":[]}".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()),
            "not_json", // F31
        ),
        (text("{\"Records\":[RECORD]}\n{\"Records\":[RECORD]}"), "trailing_json"), // F32
        (text("RECORD\nRECORD\n"), "trailing_json"),                               // F32
        (b"BZh91AY&SY".to_vec().into(), "unsupported_codec"),                      // F35
    ] {
        let mut rig = Rig::new();
        let file = settle_file(&mut rig, stored).await;
        let parked = rig.parked();
        assert_eq!((parked.len(), &parked[0]["reason"]), (1, &Value::from(reason)));
        assert_eq!((&parked[0]["key"], rig.events()), (&Value::from(file), vec![]), "{reason}");
        let labels = [("outcome", "quarantined"), ("reason", reason)];
        assert_eq!(count(&rig, "trailsift_objects_total", &labels), "1");
    }
}

#[tokio::test(start_paused = true)]
async fn f1_to_f5_a_damaged_or_oversized_file_is_parked_whole_and_its_neighbour_is_delivered() {
    let stored = trail_file(&[&selected("inside")]);
    let mut damaged = stored.to_vec();
    let trailer = damaged.len() - 8;
    damaged[trailer] ^= 1;
    let bomb = gzip(&[&document(&[])[..], &vec![b' '; 2 << 20]].concat());
    for (stored, reason) in [
        (stored.slice(..stored.len() - 1), "gzip_truncated"),
        (stored.slice(..20), "gzip_truncated"),
        (damaged.into(), "gzip_crc"),
        (bomb, "too_large"),
    ] {
        let mut rig = Rig::new();
        rig.settings.max_inflated = 1 << 20;
        rig.deliver("neighbour", &[&selected("neighbour")]);
        let file = settle_file(&mut rig, stored).await;
        assert_eq!(rig.events(), [selected("neighbour")], "{reason}");
        let parked = rig.parked();
        assert_eq!((parked.len(), &parked[0]["reason"]), (1, &Value::from(reason)));
        assert_eq!(parked[0]["key"], file);
        assert_eq!(count(&rig, "trailsift_quarantined_total", &[("reason", reason)]), "1");
    }
}

/// The counters of this name and these labels, as a whole number.
fn count(rig: &Rig, name: &str, labels: &[(&str, &str)]) -> String {
    rig.metric(name, labels).abs().to_string()
}

/// What was counted as unusual, by its note.
fn noted(rig: &Rig, note: &str) -> String {
    count(rig, "trailsift_files_noted_total", &[("account", "production"), ("note", note)])
}

#[tokio::test(start_paused = true)]
async fn f30_f34_f35_unusual_files_are_read_and_noted() {
    let good = selected("1");
    let plain = document(&[good.as_bytes()]);
    let marked = [b"\xEF\xBB\xBF", &plain[..]].concat();
    let zstd = zstd::encode_all(&plain[..], 1).expect("it compresses");
    for (stored, notes) in [
        (plain.clone(), &["plain_json"][..]),
        (zstd, &["zstd"]),
        (gzip(&marked).to_vec(), &["byte_order_mark"]),
        (marked, &["plain_json", "byte_order_mark"]),
        (gzip(&plain).to_vec(), &[]),
    ] {
        let mut rig = Rig::new();
        settle_file(&mut rig, stored).await;
        assert_eq!(rig.events(), std::slice::from_ref(&good), "{notes:?}");
        for note in ["plain_json", "zstd", "byte_order_mark", "suspect", "unknown_major"] {
            let expected = if notes.contains(&note) { "1" } else { "0" };
            assert_eq!(noted(&rig, note), expected, "{note} of {notes:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn f3_f4_what_follows_the_first_stream_is_counted_and_rejected_unless_allowed() {
    let (one, two) = (selected("1"), selected("2"));
    let plain = document(&[one.as_bytes(), one.as_bytes(), two.as_bytes()]);
    let (head, tail) = plain.split_at(40);
    let members = [gzip(head), gzip(tail)].concat();
    let padded = [&members[..], &[0; 512]].concat();
    let garbage = [&gzip(&plain)[..], b"forged"].concat();
    use MultiMember::{Accept, Flag, Reject};
    for (mode, stored, is_read, counted) in [
        (Reject, &members, false, ["1", "0"]),
        (Reject, &garbage, false, ["0", "1"]),
        (Flag, &members, true, ["1", "0"]),
        (Flag, &padded, true, ["1", "1"]),
        (Flag, &garbage, false, ["0", "1"]),
        (Accept, &members, true, ["1", "0"]),
        (Accept, &padded, true, ["1", "1"]),
        (Accept, &garbage, false, ["0", "1"]),
    ] {
        let mut rig = Rig::new();
        rig.settings.multi_member = mode;
        settle_file(&mut rig, stored.clone()).await;
        let expected = if is_read { vec![one.clone(), one.clone(), two.clone()] } else { vec![] };
        assert_eq!(rig.events(), expected, "{mode:?}");
        let reasons: Vec<_> = rig.parked().iter().map(|line| line["reason"].clone()).collect();
        let parked = if is_read { vec![] } else { vec!["gzip_trailing_member"] };
        assert_eq!(reasons, parked, "{mode:?}");
        let kinds = ["member", "garbage"];
        let seen =
            kinds.map(|kind| count(&rig, "trailsift_gzip_trailing_total", &[("kind", kind)]));
        assert_eq!(seen, counted, "{mode:?}");
        let is_suspect = is_read && mode == Flag;
        assert_eq!(noted(&rig, "suspect"), if is_suspect { "1" } else { "0" }, "{mode:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn f39_f40_other_versions_accounts_and_regions_are_delivered_and_counted() {
    let record = |version: &str, account: &str, region: &str| {
        format!(
            r#"{{"eventVersion":"{version}","eventSource":"{WANTED}","recipientAccountId":"{account}","awsRegion":"{region}"}}"#
        )
    };
    let records = [
        record("1.08", "111122223333", "us-east-1"),
        record("2.0", "111122223333", "us-east-1"),
        record("2.1", "444455556666", "us-east-1"),
        record("1.11", "444455556666", "eu-west-1"),
    ];
    let bytes: Vec<_> = records.iter().map(String::as_bytes).collect();
    let mut rig = Rig::new();
    settle_file(&mut rig, gzip(&document(&bytes))).await;
    assert_eq!(rig.events(), records);
    let mismatches = ["recipientAccountId", "awsRegion"].map(|field| {
        let labels = [("account", "production"), ("field", field)];
        count(&rig, "trailsift_mismatches_total", &labels)
    });
    assert_eq!(mismatches, ["2", "1"]);
    assert_eq!(noted(&rig, "unknown_major"), "1", "once for the file");
}
