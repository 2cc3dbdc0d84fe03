//! Questions about a record before it is read: whether its upload may have it. The answer depends on how uploads ended, which others know.

use super::envelope::Content;
use crate::record::{Marker, Offset};

/// The decision about a record before it is read, by the history of its upload and the room for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The record is read.
    Read,
    /// The record belongs to an upload whose end was published: it is passed over.
    PassOver,
    /// The upload that the source knows is over: the source forgets it, and asks again.
    Over,
    /// The upload has ended. Numbered rows come out unread, for they are late.
    Late,
    /// The record would begin an upload, and as many are open as may be: the upload is turned away, with all that comes until its end.
    TooMany,
    /// The upload was turned away before.
    TurnedAway,
}

/// The kind of a record, as far as admission needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplicantKind {
    /// Rows; whether they carry `ss-row`.
    Rows {
        /// They do.
        is_numbered: bool,
    },
    /// The beginning of an attempt.
    Begin,
    /// A header of its own.
    Header,
    /// The end, or the wish to have none; whether it says that rows are to come.
    End {
        /// It does.
        announces_rows: bool,
    },
}

impl ApplicantKind {
    pub(super) fn of(content: &Content<'_>) -> ApplicantKind {
        match content {
            Content::Rows { first_row, .. } => ApplicantKind::Rows { is_numbered: first_row.is_some() },
            Content::Marker(Marker::Begin(_), _) => ApplicantKind::Begin,
            Content::Marker(Marker::Header(_), _) | Content::HeaderFollows | Content::UnfitHeader(_) => {
                ApplicantKind::Header
            }
            Content::Marker(Marker::Eof { rows, .. }, _) => {
                ApplicantKind::End { announces_rows: rows.is_none_or(|rows| rows > 0) }
            }
            Content::Marker(Marker::Abort, _) => ApplicantKind::End { announces_rows: false },
        }
    }
}

/// A record that asks for [`Admission`].
#[derive(Clone, Copy, Debug)]
pub struct Applicant<'a> {
    /// The upload that the record belongs to.
    pub upload: &'a str,
    /// Offset of the record.
    pub offset: Offset,
    /// Whether the source holds anything of the upload.
    pub is_known: bool,
    /// Its kind.
    pub kind: ApplicantKind,
    /// Uploads that the source holds: those that are open, and those whose rows wait for a header.
    pub open: usize,
}
