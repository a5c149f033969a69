/// What to do with an object in which more than one compressed stream follow each other.
///
/// `gzip -dc` reads them as one. But other readers stop behind the first one, so whoever may append
/// to an object can show one content to an auditor and another to us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MultiMember {
    /// It cannot be read: [`Reason::GzipTrailingMember`](trailsift_core::Reason).
    #[default]
    Reject,
    /// It is read as one, and called suspect: [`Traits::is_suspect`].
    Flag,
    /// It is read as one.
    Accept,
}

/// What follows the first compressed stream of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trailing {
    /// Another stream of the same coding.
    Member,
    /// Anything else, zeros that pad it included.
    Garbage,
}

impl Trailing {
    /// The word used as a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Garbage => "garbage",
        }
    }
}

/// How an object is stored, as far as it is not the usual way: one gzip stream of a document without
/// a byte order mark. Known for certain once the object is read to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// Plain JSON, not compressed.
    pub is_plain: bool,
    /// Compressed with zstd.
    pub is_zstd: bool,
    /// The document begins with a byte order mark, which was skipped.
    pub has_mark: bool,
    /// Another stream of the same coding follows the first one.
    pub has_members: bool,
    /// Something else follows.
    pub has_garbage: bool,
    /// It was read beyond its first stream although nobody can tell who wrote the rest.
    pub is_suspect: bool,
}

impl Traits {
    /// The traits that an object which was read has, each by the word used as a metric label.
    pub fn notes(self) -> impl Iterator<Item = &'static str> {
        let notes = [
            (self.is_plain, "plain_json"),
            (self.is_zstd, "zstd"),
            (self.has_mark, "byte_order_mark"),
            (self.is_suspect, "suspect"),
        ];
        notes.into_iter().filter_map(|(has, note)| has.then_some(note))
    }

    /// What was found behind the first stream.
    pub fn trailing(self) -> impl Iterator<Item = Trailing> {
        let trailing =
            [(self.has_members, Trailing::Member), (self.has_garbage, Trailing::Garbage)];
        trailing.into_iter().filter_map(|(has, trailing)| has.then_some(trailing))
    }
}
