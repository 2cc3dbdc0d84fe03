//! Control records of an upload, and the elements that the source makes of records.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::{CoordinateForm, Offset, Record, Rejection, RowBatch, SourcePlace, UploadId};

/// An element that the source makes of records, in log order for each upload.
#[derive(Debug)]
pub enum StreamElement {
    /// Rows of one upload.
    Rows(Box<RowBatch>),
    /// A control record of one upload.
    Marker(MarkerRecord),
    /// The source found out that this upload cannot be read (no header, wrong delimiter, two headers).
    Failed {
        /// The upload to end as `FAILED`.
        upload: UploadId,
        /// Where it was found out.
        offset: Offset,
        /// Why, and what to do.
        rejection: Rejection,
    },
    /// No header came for the rows of this upload within the idle timeout. All of its rows and, where there were any, its
    /// [`StreamElement::Failed`] came before this; nothing more is waited for.
    Expired {
        /// The upload that ends, if it failed.
        upload: UploadId,
    },
    /// An upload is turned away with its first record, for too many are open. The record follows, refused.
    TooMany {
        /// The upload that was to begin.
        upload: UploadId,
        /// Where.
        offset: Offset,
    },
    /// An upload with a single record gives way to another one, for too many are open: it is turned away.
    GivesWay {
        /// The upload.
        upload: UploadId,
        /// First record of the other one.
        offset: Offset,
    },
    /// A record that belongs to no upload or cannot be read at all; it goes to the dead letters.
    Refused {
        /// The record, whatever could be read of it.
        record: Record,
        /// Upload it would belong to, if it said so.
        upload: Option<UploadId>,
        /// Why.
        rejection: Rejection,
    },
}

/// A control record of an upload.
#[derive(Clone, Debug, PartialEq)]
pub struct MarkerRecord {
    /// Whose marker it is.
    pub upload: UploadId,
    /// Its offset in its partition.
    pub offset: Offset,
    /// The record that it was read from: behind `offset` if rows waited for it.
    pub read_at: Offset,
    /// The marker.
    pub marker: Marker,
    /// `ss-attempt`, if it carries one.
    pub attempt: Option<Arc<str>>,
    /// `traceparent`, if it carries one.
    pub traceparent: Option<Arc<str>>,
    /// The record's key, for dead letters.
    pub key: Option<Bytes>,
    /// The record's value, for dead letters.
    pub value: Option<Bytes>,
    /// Where the record was passed on from, for dead letters.
    pub passed_from: Option<SourcePlace>,
}

/// Facts that a publisher gives about an upload before its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announcement {
    /// `ss-name`: the file's name.
    pub name: Option<Arc<str>>,
    /// `ss-rows`: how many rows will come, as far as it knows. For those who watch; the end-of-file marker decides.
    pub rows: Option<u64>,
    /// `ss-crs`: the CRS of its coordinates, where that is not the topology's.
    pub crs: Option<Arc<str>>,
    /// What its workbook is to have beside what the topology gives it.
    pub extras: Extras,
    /// `ss-coordinates`: how its coordinates are written.
    pub coordinates: CoordinateForm,
    /// `ss-titles`: what the workbook calls columns that are published under a name of the topology; by that name.
    pub titles: Arc<Titles>,
}

/// Names of columns in the workbook, by their names in the log.
pub type Titles = BTreeMap<String, String>;

/// Parts of a workbook that its publisher may ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Extras {
    /// `ss-summary`: the sheet *Summary*.
    pub summary: bool,
    /// `ss-map-link`: a column of links to the place of each row on a map.
    pub map_link: bool,
}

impl Extras {
    /// Those that are asked for: the name of each, and the header that asks for it.
    pub fn asked(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let all = [(self.summary, ("summary", "ss-summary")), (self.map_link, ("map_link", "ss-map-link"))];
        all.into_iter().filter_map(|(asked, names)| asked.then_some(names))
    }
}

impl Announcement {
    /// Takes over what only `other` says. Rows may have been read under the CRS and for the extras already, so that these stay.
    pub fn complete(&mut self, other: &Announcement) {
        self.name = self.name.take().or_else(|| other.name.clone());
        self.rows = self.rows.or(other.rows);
    }
}

/// The content of a marker.
#[derive(Clone, Debug, PartialEq)]
pub enum Marker {
    /// An attempt begins; rows of an older one are void.
    Begin(Announcement),
    /// Column names.
    Header(Arc<[String]>),
    /// The rows are complete.
    Eof {
        /// Number of data rows, if the publisher knows it.
        rows: Option<u64>,
        /// SHA-256 of the rows, each followed by LF.
        sha256: Option<[u8; 32]>,
        /// `partitions=1`: the publisher vouches that an anonymous upload lies in one partition.
        partitions: Option<u32>,
    },
    /// The publisher gives the upload up.
    Abort,
}
