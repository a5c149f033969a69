use trailsift_event::Event;
use trailsift_event::text::escaped;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// An event in one line: when, and in words who did what. Nothing in it can move the cursor.
pub(super) fn line(record: &[u8]) -> String {
    let event = Event::new(record);
    let time = event.text("eventTime").unwrap_or_else(|| "-".into());
    format!("{} {}", shortened(&time, 20), shortened(&event.sentence(), 105))
}

/// The text in at most so many cells of a terminal: some characters take two.
fn shortened(text: &str, most: usize) -> String {
    let escaped = escaped(text);
    if escaped.width() <= most {
        return escaped;
    }
    let mut room = most.saturating_sub(1);
    let fits = escaped.chars().take_while(|c| {
        let cells = c.width().unwrap_or(0);
        let fits = cells <= room;
        room = room.saturating_sub(cells);
        fits
    });
    fits.chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_when_who_and_what() {
        let record = br#"{"eventTime":"2026-01-15T00:05:09Z","eventSource":"codeguru-reviewer.amazonaws.com","eventName":"ListCodeReviews","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/ci/alice"}}"#;
        assert_eq!(
            line(record),
            "2026-01-15T00:05:09Z alice (assumed role ci) listed the code reviews"
        );
    }

    #[test]
    fn text_of_an_event_cannot_steer_the_terminal() {
        let hostile = "{\"eventName\":\"\\u001b[2J\\nforged\",\"eventTime\":\"\\u001b[2J\"}";
        assert!(!line(hostile.as_bytes()).contains(char::is_control));
        assert!(!line(b"\x1b[2J").contains(char::is_control));
    }
}
