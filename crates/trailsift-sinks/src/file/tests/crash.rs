//! The file is cut at every byte, as a crash may cut it, and then written to again.

use std::collections::BTreeSet;
use std::io::Read;

use super::*;

fn settings(folder: &Path, compression: Compression) -> FileSettings {
    FileSettings { compression, ..plain(folder) }
}

fn active(folder: &Path, compression: Compression) -> PathBuf {
    folder.join(format!("events.jsonl{}", compression.extension()))
}

fn unpack(bytes: &[u8], compression: Compression) -> String {
    let mut text = String::new();
    if bytes.is_empty() {
        return text;
    }
    match compression {
        Compression::None => text.push_str(std::str::from_utf8(bytes).unwrap()),
        Compression::Gzip => {
            #[expect(clippy::disallowed_methods, reason = "one member per batch is what is tested")]
            let mut members = flate2::read::MultiGzDecoder::new(bytes);
            members.read_to_string(&mut text).expect("complete members only");
        }
        Compression::Zstd => {
            let bytes = zstd::stream::decode_all(bytes).expect("complete frames only");
            text = String::from_utf8(bytes).unwrap();
        }
    }
    text
}

/// Writes three batches and returns the bytes of the file after each.
async fn three_batches(compression: Compression) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let sink = FileSink::new("file", settings(folder.path(), compression)).unwrap();
    let mut states = vec![Vec::new()];
    for number in 0..3 {
        let events = (0..3).map(|event| format!("{{\"batch\":{number},\"event\":{event}}}"));
        delivered(sink.write(&batch(events)).await);
        states.push(fs::read(active(folder.path(), compression)).unwrap());
    }
    states
}

async fn survives_a_cut_at_every_byte(compression: Compression) {
    let states = three_batches(compression).await;
    let whole = &states[3];
    let all: BTreeSet<String> = unpack(whole, compression).lines().map(str::to_owned).collect();
    let folder = tempfile::tempdir().unwrap();
    for cut in 0..=whole.len() {
        let folder = folder.path().join(cut.to_string());
        fs::create_dir(&folder).unwrap();
        let path = active(&folder, compression);
        fs::write(&path, &whole[..cut]).unwrap();
        let sink = FileSink::new("file", settings(&folder, compression)).unwrap();
        delivered(sink.write(&batch(["{\"after\":\"the crash\"}"])).await);
        sink.close().await;

        let text = unpack(&fs::read(&path).unwrap(), compression);
        assert!(text.ends_with("\n{\"after\":\"the crash\"}\n") || cut < states[1].len());
        for line in text.lines() {
            let known = all.contains(line) || line == "{\"after\":\"the crash\"}";
            assert!(known, "cut at {cut}: {line}");
        }
        // Every batch that was acknowledged before the cut is still there, in full.
        let safe = states.iter().rfind(|state| state.len() <= cut).unwrap();
        assert!(text.starts_with(&unpack(safe, compression)), "cut at {cut}");
        // And what was cut off stands beside it.
        let torn = names(&folder).into_iter().find(|name| name.ends_with(".torn"));
        let torn = torn.map(|name| fs::read(folder.join(name)).unwrap()).unwrap_or_default();
        let kept = whole[..cut].strip_suffix(torn.as_slice()).expect("the tail of the file");
        assert!(fs::read(&path).unwrap().starts_with(kept), "cut at {cut}");
        assert_eq!(torn.is_empty(), is_whole(&whole[..cut], &states, compression), "cut at {cut}");
    }
}

fn is_whole(bytes: &[u8], states: &[Vec<u8>], compression: Compression) -> bool {
    match compression {
        Compression::None => bytes.is_empty() || bytes.ends_with(b"\n"),
        _ => states.iter().any(|state| state == bytes),
    }
}

#[tokio::test]
async fn a_plain_file_cut_at_any_byte_keeps_complete_lines_only() {
    survives_a_cut_at_every_byte(Compression::None).await;
}

#[tokio::test]
async fn a_gzip_file_cut_at_any_byte_keeps_complete_members_only() {
    survives_a_cut_at_every_byte(Compression::Gzip).await;
}

#[tokio::test]
async fn a_zstd_file_cut_at_any_byte_keeps_complete_frames_only() {
    survives_a_cut_at_every_byte(Compression::Zstd).await;
}

#[tokio::test]
async fn zeros_that_a_crash_left_at_the_end_are_cut_off() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let states = three_batches(compression).await;
        let folder = tempfile::tempdir().unwrap();
        let path = active(folder.path(), compression);
        fs::write(&path, [states[2].as_slice(), &[0; 5000]].concat()).unwrap();
        let sink = FileSink::new("file", settings(folder.path(), compression)).unwrap();
        delivered(sink.write(&batch(["[3]"])).await);
        let expected = unpack(&states[2], compression) + "[3]\n";
        assert_eq!(unpack(&fs::read(&path).unwrap(), compression), expected);
    }
}
