//! What an object is, by its key alone.

/// The longest key that S3 stores, in bytes.
const MAX_KEY_BYTES: usize = 1024;

/// What a key says about its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyClass<'k> {
    /// A folder marker: the key ends with a slash.
    Folder,
    /// Not laid out as CloudTrail lays out its files: somebody else's object.
    Foreign,
    /// A file of CloudTrail's layout.
    Trail(TrailKey<'k>),
}

/// The parts of a key in CloudTrail's layout,
/// `[prefix/]AWSLogs/[o-<org>/]<account>/<kind>/<region>/YYYY/MM/DD/<file>`.
///
/// They are claims: whoever may write to the bucket chooses them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrailKey<'k> {
    /// What stands before `AWSLogs`, without the slash between them; empty if nothing does. Ends with
    /// a slash itself where the trail's was configured with one.
    pub prefix: &'k str,
    /// The organization's id (`o-…`), on an organization trail.
    pub organization: Option<&'k str>,
    /// The account whose activity the file holds: 12 digits.
    pub account: &'k str,
    /// What kind of file it is, by its folder.
    pub kind: LogKind,
    /// The region of the activity.
    pub region: &'k str,
    /// Year, month (1 to 12) and day (1 to 31) of the delivery.
    pub date: (u16, u8, u8),
    /// The file name.
    pub file: &'k str,
}

/// The kinds of files that CloudTrail writes. Only [`LogKind::CloudTrail`] holds the events of API
/// calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogKind {
    /// `CloudTrail`: management and data events.
    CloudTrail,
    /// `CloudTrail-Digest`: the hashes of an hour's files.
    Digest,
    /// `CloudTrail-Insight`: unusual activity.
    Insight,
    /// `CloudTrail-NetworkActivity`: calls through VPC endpoints.
    NetworkActivity,
    /// `CloudTrail-Aggregated`: summaries of data events.
    Aggregated,
    /// Another service's folder, or one that CloudTrail invents later.
    Unknown,
}

impl LogKind {
    /// The word used as a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CloudTrail => "cloudtrail",
            Self::Digest => "digest",
            Self::Insight => "insight",
            Self::NetworkActivity => "network_activity",
            Self::Aggregated => "aggregated",
            Self::Unknown => "unknown",
        }
    }

    fn of_folder(folder: &str) -> Self {
        match folder {
            "CloudTrail" => Self::CloudTrail,
            "CloudTrail-Digest" => Self::Digest,
            "CloudTrail-Insight" => Self::Insight,
            "CloudTrail-NetworkActivity" => Self::NetworkActivity,
            "CloudTrail-Aggregated" => Self::Aggregated,
            _ => Self::Unknown,
        }
    }
}

/// Says what the object with this (decoded) key is.
///
/// The layout is matched from the right, since the prefix is free text that may itself contain
/// `AWSLogs`. A key with an empty, `.` or `..` segment or a control character is foreign wherever
/// that stands, but for one empty segment in front of `AWSLogs`: that is how CloudTrail writes for a
/// trail whose prefix was configured with a slash at its end (`logs//AWSLogs/…`). The kind's folder decides, the file name must only look like a JSON file: archives
/// are re-packed, and a name that is new to us must not cost an event.
pub fn classify(key: &str) -> KeyClass<'_> {
    if key.ends_with('/') {
        return KeyClass::Folder;
    }
    match trail_key(key) {
        Some(parts) => KeyClass::Trail(parts),
        None => KeyClass::Foreign,
    }
}

fn trail_key(key: &str) -> Option<TrailKey<'_>> {
    if key.len() > MAX_KEY_BYTES || key.chars().any(char::is_control) {
        return None;
    }
    let (rest, file) = key.rsplit_once('/')?;
    let (rest, day) = rest.rsplit_once('/')?;
    let (rest, month) = rest.rsplit_once('/')?;
    let (rest, year) = rest.rsplit_once('/')?;
    let (rest, region) = rest.rsplit_once('/')?;
    let (rest, folder) = rest.rsplit_once('/')?;
    let (rest, account) = rest.rsplit_once('/')?;
    let (prefix, organization) = before_account(rest)?;

    let is_suspicious = |path: &str| path.split('/').any(|it| matches!(it, "" | "." | ".."));
    let (before, behind) = key.split_at(prefix.len());
    let before = before.strip_suffix('/').unwrap_or(before);
    let behind = behind.strip_prefix('/').unwrap_or(behind);
    if !prefix.is_empty() && is_suspicious(before) || is_suspicious(behind) {
        return None;
    }
    let kind = LogKind::of_folder(folder);
    let fits = account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && region.bytes().all(is_lower_digit_or_hyphen)
        && (kind == LogKind::Unknown || file.contains(".json"));
    let date = (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?);
    let date = (date.0, u8::try_from(date.1).ok()?, u8::try_from(date.2).ok()?);
    let dated = (1..=12).contains(&date.1) && (1..=31).contains(&date.2);
    (fits && dated).then_some(TrailKey { prefix, organization, account, kind, region, date, file })
}

/// The prefix and the organization in `[prefix/]AWSLogs[/o-<org>]`.
fn before_account(text: &str) -> Option<(&str, Option<&str>)> {
    let (head, last) = text.rsplit_once('/').unwrap_or(("", text));
    if last == "AWSLogs" {
        return Some((head, None));
    }
    let (prefix, folder) = head.rsplit_once('/').unwrap_or(("", head));
    (is_organization(last) && folder == "AWSLogs").then_some((prefix, Some(last)))
}

/// `^o-[a-z0-9]{10,32}$`, AWS Organizations API reference.
fn is_organization(text: &str) -> bool {
    text.strip_prefix("o-").is_some_and(|id| {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        (10..=32).contains(&id.len()) && id.bytes().all(legal)
    })
}

fn is_lower_digit_or_hyphen(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

/// A number of exactly `width` digits, padded as CloudTrail pads it.
fn digits(text: &str, width: usize) -> Option<u16> {
    (text.len() == width && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: &str = "111122223333_CloudTrail_us-east-1_20251122T1005Z_Ab3dEf6hIj9lMn2p.json.gz";

    fn layout(head: &str, kind: &str) -> String {
        format!("{head}111122223333/{kind}/us-east-1/2025/11/22/{FILE}")
    }

    fn parts(key: &str) -> TrailKey<'_> {
        match classify(key) {
            KeyClass::Trail(parts) => parts,
            other => panic!("{key}: {other:?}"),
        }
    }

    #[test]
    fn a_key_of_the_layout_yields_its_parts() {
        let expected = TrailKey {
            prefix: "",
            organization: None,
            account: "111122223333",
            kind: LogKind::CloudTrail,
            region: "us-east-1",
            date: (2025, 11, 22),
            file: FILE,
        };
        assert_eq!(parts(&layout("AWSLogs/", "CloudTrail")), expected);
        let organization = Some("o-a1b2c3d4e5");
        assert_eq!(
            parts(&layout("AWSLogs/o-a1b2c3d4e5/", "CloudTrail")),
            TrailKey { organization, ..expected }
        );
        assert_eq!(
            parts(&layout("team/é x/AWSLogs/o-a1b2c3d4e5/", "CloudTrail")),
            TrailKey { prefix: "team/é x", organization, ..expected }
        );
    }

    #[test]
    fn the_prefix_may_itself_look_like_the_layout() {
        assert_eq!(parts(&layout("AWSLogs/AWSLogs/", "CloudTrail")).prefix, "AWSLogs");
        let head = layout("AWSLogs/", "CloudTrail") + "/AWSLogs/";
        assert_eq!(parts(&layout(&head, "CloudTrail")).prefix, layout("AWSLogs/", "CloudTrail"));
        let inner = parts(
            "AWSLogs/444455556666/AWSLogs/111122223333/CloudTrail/us-east-1/2025/11/22/a.json.gz",
        );
        assert_eq!((inner.prefix, inner.account), ("AWSLogs/444455556666", "111122223333"));
        let twice = layout("o-a1b2c3d4e5/AWSLogs/o-a1b2c3d4e5/", "CloudTrail");
        assert_eq!(parts(&twice).prefix, "o-a1b2c3d4e5");
    }

    #[test]
    fn f38_a_trails_prefix_may_end_with_a_slash() {
        assert_eq!(parts(&layout("logs//AWSLogs/", "CloudTrail")).prefix, "logs/");
        assert_eq!(parts(&layout("a/b c//AWSLogs/o-a1b2c3d4e5/", "CloudTrail")).prefix, "a/b c/");
        assert_eq!(parts(&layout("AWSLogs//AWSLogs/", "CloudTrail")).prefix, "AWSLogs/");
        assert_eq!(parts(&layout("/AWSLogs/", "CloudTrail")).prefix, "");
        // Evidence, but also its digests: whatever the kind.
        assert_eq!(parts(&layout("logs//AWSLogs/", "CloudTrail-Digest")).kind, LogKind::Digest);
    }

    #[test]
    fn the_folder_names_the_kind() {
        for (folder, kind) in [
            ("CloudTrail", LogKind::CloudTrail),
            ("CloudTrail-Digest", LogKind::Digest),
            ("CloudTrail-Insight", LogKind::Insight),
            ("CloudTrail-NetworkActivity", LogKind::NetworkActivity),
            ("CloudTrail-Aggregated", LogKind::Aggregated),
            ("CloudTrail-Tomorrow", LogKind::Unknown),
            ("vpcflowlogs", LogKind::Unknown),
            ("cloudtrail", LogKind::Unknown),
        ] {
            assert_eq!(parts(&layout("AWSLogs/", folder)).kind, kind, "{folder}");
        }
    }

    #[test]
    fn a_file_name_needs_only_to_look_like_json() {
        let folder = "AWSLogs/111122223333/CloudTrail/us-east-1/2025/11/22/";
        for file in [FILE, "repacked.json.zst", "plain.json", "x.json"] {
            assert_eq!(parts(&format!("{folder}{file}")).file, file);
        }
        for file in ["_SUCCESS", "notes.txt", "111122223333_CloudTrail_us-east-1"] {
            assert_eq!(classify(&format!("{folder}{file}")), KeyClass::Foreign, "{file}");
        }
    }

    #[test]
    fn a_key_that_ends_with_a_slash_is_a_folder() {
        for key in ["/", "AWSLogs/", "AWSLogs/111122223333/CloudTrail/us-east-1/2025/11/22/"] {
            assert_eq!(classify(key), KeyClass::Folder, "{key}");
        }
    }

    #[test]
    fn f38_everything_else_is_foreign() {
        let long = layout(&format!("{}/AWSLogs/", "p".repeat(1024)), "CloudTrail");
        for key in [
            "",
            "AWSLogs",
            "notes.txt",
            "../../etc/passwd",
            &layout("", "CloudTrail"),
            &layout("awslogs/", "CloudTrail"),
            &layout("xAWSLogs/", "CloudTrail"),
            &layout("AWSLogs/o-short/", "CloudTrail"),
            &layout("AWSLogs/x/", "CloudTrail"),
            &layout("o-a1b2c3d4e5/", "CloudTrail"),
            &layout("AWSLogs/x/o-a1b2c3d4e5/", "CloudTrail"),
            &layout("//AWSLogs/", "CloudTrail"),
            &layout("a///AWSLogs/", "CloudTrail"),
            &layout("a//b/AWSLogs/", "CloudTrail"),
            &layout("/a/AWSLogs/", "CloudTrail"),
            &layout("a//AWSLogs/AWSLogs/", "CloudTrail"),
            &layout("AWSLogs//", "CloudTrail"),
            &layout("AWSLogs//o-a1b2c3d4e5/", "CloudTrail"),
            &layout("AWSLogs/o-a1b2c3d4e5//", "CloudTrail"),
            &layout("AWSLogs/", "/CloudTrail"),
            &layout("AWSLogs/", "CloudTrail/"),
            &layout("AWSLogs/", ""),
            "AWSLogs/111122223333/CloudTrail//2025/11/22/a.json.gz",
            "AWSLogs/111122223333/CloudTrail/us-east-1/2025/11/22//a.json.gz",
            &layout("../AWSLogs/", "CloudTrail"),
            &layout("..//AWSLogs/", "CloudTrail"),
            &layout(".//AWSLogs/", "CloudTrail"),
            &layout("AWSLogs/", ".."),
            &layout("a/./AWSLogs/", "CloudTrail"),
            &layout("a\nb/AWSLogs/", "CloudTrail"),
            &layout("a\u{7f}//AWSLogs/", "CloudTrail"),
            &layout("AWSLogs/", "CloudTrail/extra"),
            &long,
            "AWSLogs/11112222333/CloudTrail/us-east-1/2025/11/22/a.json.gz",
            "AWSLogs/11112222333x/CloudTrail/us-east-1/2025/11/22/a.json.gz",
            "AWSLogs/١١١١٢٢/CloudTrail/us-east-1/2025/11/22/a.json.gz",
            "AWSLogs/111122223333/CloudTrail/US EAST/2025/11/22/a.json.gz",
            "AWSLogs/111122223333/CloudTrail/us-east-1/2025/13/22/a.json.gz",
            "AWSLogs/111122223333/CloudTrail/us-east-1/2025/00/22/a.json.gz",
            "AWSLogs/111122223333/CloudTrail/us-east-1/2025/11/32/a.json.gz",
            "AWSLogs/111122223333/CloudTrail/us-east-1/2025/1/2/a.json.gz",
            "AWSLogs/111122223333/CloudTrail/us-east-1/+025/11/22/a.json.gz",
            "AWSLogs/111122223333/Config/us-east-1/2025/1/2/ConfigHistory/a.json.gz",
        ] {
            assert_eq!(classify(key), KeyClass::Foreign, "{key:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_classified(key in any::<String>()) {
            classify(&key);
        }

        #[test]
        fn the_parts_make_up_the_key_again(
            prefix in "([a-zA-Z0-9 é_-]{1,8}/){0,3}/?",
            organization in proptest::option::of("o-[a-z0-9]{10,32}"),
            account in "[0-9]{12}",
            region in "[a-z]{2}-[a-z]{4,9}-[1-9]",
            (year, month, day) in (0u16..=9999, 1u8..=12, 1u8..=31),
        ) {
            let between = organization.as_deref().map(|it| format!("{it}/")).unwrap_or_default();
            let key = format!(
                "{prefix}AWSLogs/{between}{account}/CloudTrail/{region}/{year:04}/{month:02}/{day:02}/{FILE}"
            );
            let parts = parts(&key);
            prop_assert_eq!(parts.prefix, prefix.strip_suffix('/').unwrap_or(&prefix));
            prop_assert_eq!(parts.organization, organization.as_deref());
            prop_assert_eq!((parts.account, parts.region), (&*account, &*region));
            prop_assert_eq!((parts.date, parts.file), ((year, month, day), FILE));
        }
    }
}
