//! Words that were probably meant, and how words are shown.

/// The known word that was probably meant.
pub(crate) fn closest<'n>(word: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let word = word.to_lowercase();
    // What differs more in length is further away: a configuration may hold thousands of words.
    let length = word.chars().count();
    known
        .filter(|name| name.chars().count().abs_diff(length) <= 1 + name.len() / 4)
        .map(|name| (strsim::damerau_levenshtein(&word, &name.to_lowercase()), name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .map(|(_, name)| name)
}

/// The remedy for a word that is none of the known ones.
pub(crate) fn hint<'n>(word: &str, known: impl Iterator<Item = &'n str> + Clone) -> String {
    match closest(word, known.clone()) {
        Some(name) => format!("did you mean \"{name}\"?"),
        None => {
            let names: Vec<_> = known.map(|name| format!("\"{name}\"")).collect();
            format!("known here: {}", names.join(", "))
        }
    }
}

/// The text in quotes, escaped, and cut where it is long.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 120;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("\"{}…\"", text[..end].escape_debug()),
        None => format!("\"{}\"", text.escape_debug()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_meant_whatever_its_case_and_none_is_far_away() {
        let known = ["eventName", "eventSource", "type"];
        for (word, expected) in [
            ("eventname", Some("eventName")),
            ("evntName", Some("eventName")),
            ("Type", Some("type")),
            ("typ", Some("type")),
            ("bucketName", None),
            ("", None),
        ] {
            assert_eq!(closest(word, known.into_iter()), expected, "{word}");
        }
        assert_eq!(hint("tpye", known.into_iter()), "did you mean \"type\"?");
        assert_eq!(hint("x", ["aaaa", "bbbb"].into_iter()), "known here: \"aaaa\", \"bbbb\"");
        assert_eq!(shown("a\"\n"), r#""a\"\n""#);
        assert_eq!(shown(&"ä".repeat(121)), format!("\"{}…\"", "ä".repeat(120)));
    }
}
