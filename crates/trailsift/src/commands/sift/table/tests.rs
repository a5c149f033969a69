use serde_json::json;

use super::*;

fn line(width: usize, record: &str) -> String {
    let mut out = Vec::new();
    Table::new(Look { width, colour: false }).append(&mut out, record.as_bytes());
    String::from_utf8(out).expect("text")
}

const EVENT: &str = r#"{"eventTime":"2026-11-20T10:00:00Z","awsRegion":"us-east-1",
    "eventSource":"codeguru-reviewer.amazonaws.com","eventName":"AssociateRepository",
    "sourceIPAddress":"203.0.113.7","errorCode":"AccessDenied",
    "userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/Admin/alice",
    "accessKeyId":"ASIAEXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","userName":"Admin"},
    "attributes":{"mfaAuthenticated":"true"}}}}"#;

#[test]
fn an_event_tells_when_what_who_from_where_and_how_it_went() {
    let header = |width| Table::new(Look { width, colour: false }).header();
    assert_eq!(
        String::from_utf8(header(120)).expect("text") + &line(120, EVENT),
        "time                  action                             who                     from                result\n\
         2026-11-20T10:00:00Z  codeguru-rev…:AssociateRepository  alice (Admin, MFA)      203.0.113.7         AccessDenied\n"
    );
    assert_eq!(
        String::from_utf8(header(80)).expect("text") + &line(80, EVENT),
        "time            action               who           from             result\n\
         11-20 10:00:00  AssociateRepository  alice (Admi…  203.0.113.7      AccessDenied\n"
    );
}

#[test]
fn an_event_cannot_forge_a_line_or_move_the_cursor() {
    let line = line(
        140,
        r#"{"eventName":"a\nb\u001b[2J","errorCode":"\u202ex\u009b","userIdentity":null}"#,
    );
    assert!(line.contains("a\\nb\\u{1b}[2J"), "{line}");
    assert!(line.contains("\\u{202e}x\\u{9b}"), "{line}");
    assert_eq!(line.matches('\n').count(), 1);
    assert!(!line.trim_end().contains(char::is_control), "{line:?}");
}

#[test]
fn what_other_views_cannot_hold_is_shown_all_the_same() {
    for value in ["1e999", r#""\ud800""#, &format!("{}1{}", "[".repeat(500), "]".repeat(500))] {
        let line = line(140, &format!(r#"{{"eventName":"X","requestParameters":{value}}}"#));
        assert!(line.contains("  X  ") && line.contains("  ok"), "{line}");
    }
    assert!(line(140, "{}").starts_with("-   "), "{}", line(140, "{}"));
}

/// Whatever an event holds, its line is never wider than the terminal, and its columns begin where
/// the header says.
#[test]
fn no_line_is_wider_than_the_terminal() {
    let long = "x".repeat(5_000);
    let texts = [
        "",
        "x",
        "漢字漢字漢字漢字漢字漢字漢字漢字漢字",
        "👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦",
        "e\u{301}\u{301}\u{301}",
        &long,
    ];
    for width in [40, 57, 80, 99, 100, 123, 300] {
        let table = Table::new(Look { width, colour: false });
        let header = String::from_utf8(table.header()).expect("text");
        assert!(self::width(header.trim_end()) <= width);
        for text in texts {
            let record = json!({
                "eventTime": text, "eventName": text, "eventSource": text,
                "sourceIPAddress": text, "errorCode": text,
                "userIdentity": {"type": "IAMUser", "userName": text},
            });
            let line = line(width, &record.to_string());
            let line = line.strip_suffix('\n').expect("a line");
            assert!(self::width(line) <= width, "{width}: {line}");
            let begin = table.time + GAP.len() + table.action;
            let mut used = 0;
            let at = line.char_indices().find(|(_, c)| {
                used += c.width().unwrap_or(0);
                used > begin
            });
            let (at, _) = at.expect("more columns");
            assert!(line[at..].starts_with(GAP), "{width}: {line}");
        }
    }
}

#[test]
fn colours_mark_failures_and_root_and_take_no_room() {
    let table = Table::new(Look { width: 100, colour: true });
    let root = r#"{"eventName":"X","errorMessage":"Failed authentication","userIdentity":{"type":"Root"}}"#;
    let mut out = Vec::new();
    table.append(&mut out, root.as_bytes());
    let line = String::from_utf8(out).expect("text");
    assert!(line.contains("  \x1b[1mroot   "), "{line:?}");
    assert!(line.ends_with("\x1b[31mFailed authent…\x1b[0m\n"), "{line:?}");
    let bare = line.replace("\x1b[1m", "").replace("\x1b[31m", "").replace("\x1b[0m", "");
    assert_eq!(bare, self::line(100, root));
}

#[test]
fn people_stand_before_what_lends_them_their_powers() {
    for (identity, expected) in [
        (json!(null), "unknown"),
        (json!({"type": "Root"}), "root"),
        (
            json!({"type": "IAMUser", "userName": "alice", "accessKeyId": "AKIAIOSFODNN7EXAMPLE"}),
            "alice (long-term key)",
        ),
        (
            json!({"type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/Admin/i-0abc",
            "sessionContext": {"sourceIdentity": "bob"}}),
            "bob (Admin)",
        ),
        (
            json!({"type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/Admin/carol",
            "invokedBy": "codecommit.amazonaws.com"}),
            "carol (Admin, via codecommit)",
        ),
        (json!({"type": "AWSService", "invokedBy": "autoscaling.amazonaws.com"}), "autoscaling"),
        (json!({"type": "AWSAccount", "accountId": "444455556666"}), "444455556666"),
        // Their sessions are named by whoever is there.
        (
            json!({"type": "AWSAccount", "accountId": "444455556666", "principalId": "AROAX:alice"}),
            "444455556666 (alice)",
        ),
        (
            json!({"type": "Root", "userName": "acme", "invokedBy": "athena.amazonaws.com"}),
            "root (via athena)",
        ),
        (
            json!({"type": "IAMUser", "userName": "athena.amazonaws.com", "invokedBy": "athena.amazonaws.com"}),
            "athena.amazonaws.com (via athena)",
        ),
        (json!({"type": "Martian"}), "unknown"),
        (json!({"type": "AWSService", "invokedBy": "AWS Internal"}), "\"AWS Internal\""),
        (json!({"type": "IAMUser", "userName": "Root"}), "\"Root\""),
        (json!({"type": "SAMLUser", "userName": "root (MFA)"}), "\"root (MFA)\""),
        (json!({"type": "IAMUser", "userName": "root\u{1160}"}), "\"root\u{1160}\""),
        (json!({"type": "IAMUser", "userName": "root\u{5b0}"}), "\"root\u{5b0}\""),
        (json!({"type": "IAMUser", "userName": "José"}), "José"),
    ] {
        let record = json!({"userIdentity": identity}).to_string();
        let event = Event::new(record.as_bytes());
        assert_eq!(who::text(&event.actor()), expected, "{record}");
    }
}
