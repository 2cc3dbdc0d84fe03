//! Turns records into [`StreamElement`]s: finds the upload of a record, recognizes markers, and puts rows into columns.
//!
//! A [`Source`] serves one partition. Elements of one upload come in log order, and every row that comes in goes out, with its fate if it
//! failed. The elements follow from the log alone; the number of rows in one batch does not.

mod admission;
mod budget;
pub mod charset;
mod columns;
mod config;
pub mod csv;
pub mod delimiter;
pub mod detect;
pub mod document;
mod envelope;
mod fate;
mod header;
mod header_row;
mod headerless;
pub mod json;
mod kind;
mod layouts;
mod names;
mod read_rows;
mod row_format;
pub mod spread;
pub mod table_head;
#[cfg(test)]
pub(crate) mod tests;
mod totals;
mod upload;

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::HashMap;
use bytes::Bytes;

pub use admission::{Admission, Applicant, ApplicantKind};
pub use budget::RejectedMax;
pub use columns::COLUMNS_MAX;
pub use config::{
    Format, HeaderFrom, Incomplete, Markers, OPEN_UPLOADS_MAX, OnError, Placement, SourceConfig, Spread, UploadFrom,
};
pub use envelope::NAME_BYTES_MAX;
pub use header_row::{check_names, is_known, read_names};
use kind::binary_kind;
pub use kind::{KIND_BYTES, file_kind, text_kind};
pub use names::{clean_name, column_names, list_names};

use crate::record::{Announcement, Marker, MarkerRecord, Message, Offset, Record, Rejection, StreamElement, UploadId};
use envelope::{Content, ControlHeaders, Envelope, Refusal};
use headerless::Origin;
use row_format::RowFormat;
use upload::{SourceContext, Upload};

/// The upload that a record belongs to; `None` for a record that belongs to none.
pub fn upload_of(config: &SourceConfig, record: &Record) -> Option<String> {
    let headers = ControlHeaders::among(&record.headers, config);
    let plain = envelope::plain(config, record, &headers).ok()?;
    Some(envelope::open(config, record, &headers, &plain).ok()??.upload.to_owned())
}

/// Makes the elements of one partition.
pub struct Source {
    context: SourceContext,
    uploads: HashMap<UploadId, Upload>,
    /// Uploads with a batch that grows, some more than once.
    growing: Vec<UploadId>,
    /// Uploads with a single record, by its offset: the first to give way when there is no room.
    singles: BTreeMap<Offset, UploadId>,
    /// Uploads with rows that wait for their header, by the first record that they cannot do without.
    waiting: BTreeMap<Offset, WaitingUpload>,
    partition_count: Option<i32>,
    /// While records are read again: whose, and from where on.
    refill: Option<HashMap<UploadId, Offset>>,
}

/// An upload with rows that wait for their header, and the clock that runs while no further row comes.
struct WaitingUpload {
    id: UploadId,
    /// Rows that waited when the clock was started.
    rows: u64,
    /// Start of the clock; `None` before the first tick.
    since_ms: Option<u64>,
}

impl WaitingUpload {
    fn new(id: UploadId) -> WaitingUpload {
        WaitingUpload { id, rows: 0, since_ms: None }
    }

    /// Milliseconds since the number of waiting rows changed last, as far as ticks can see it.
    fn idle_ms(&mut self, rows: u64, now_ms: u64) -> u64 {
        match self.since_ms {
            Some(since_ms) if self.rows == rows => now_ms.saturating_sub(since_ms),
            Some(_) | None => {
                (self.rows, self.since_ms) = (rows, Some(now_ms));
                0
            }
        }
    }
}

impl Source {
    /// `partition_count` is the topic's, if it is known. In a topic of one partition that partition has all of an anonymous upload.
    pub fn new(config: Arc<SourceConfig>, partition_count: Option<i32>) -> Source {
        Source {
            context: SourceContext::new(config),
            uploads: HashMap::default(),
            growing: Vec::new(),
            singles: BTreeMap::new(),
            waiting: BTreeMap::new(),
            partition_count,
            refill: None,
        }
    }

    /// Takes the next record of the partition. Elements come out of [`Source::pop`]. `admit` knows how uploads ended, so that what a record
    /// means follows from the log alone, and not from what this process happens to remember.
    pub fn push(&mut self, mut record: Record, admit: &mut dyn FnMut(Applicant) -> Admission) {
        loop {
            match self.take(&record, admit) {
                Ok(None) => return,
                Ok(below) => record.value = below,
                Err(Refusal { upload, rejection }) => {
                    return self.context.out.push_back(StreamElement::Refused { record, upload, rejection });
                }
            }
        }
    }

    /// Takes a record that exists and cannot be decoded.
    pub fn poisoned(&mut self, offset: Offset, rejection: Rejection) {
        let record = Record { offset, timestamp_ms: -1, ..Record::default() };
        self.context.out.push_back(StreamElement::Refused { record, upload: None, rejection });
    }

    /// Ends a fetch: whatever has been read comes out.
    pub fn flush(&mut self) {
        for id in std::mem::take(&mut self.growing) {
            if let Some(upload) = self.uploads.get_mut(&id) {
                upload.flush(&mut self.context);
            }
        }
    }

    /// The next element.
    pub fn pop(&mut self) -> Option<StreamElement> {
        self.context.out.pop_front()
    }

    /// The upload is closed: forgets its header. Rows that still wait for one come out unread, rejected as `csv.no_header`.
    pub fn forget(&mut self, upload: &UploadId) {
        self.attend(upload.as_str(), None, Upload::close);
        if let Some(first) = self.uploads.remove(upload).and_then(|upload| upload.single_at) {
            self.singles.remove(&first);
        }
        if let Some(refill) = &mut self.refill {
            refill.remove(upload);
        }
    }

    /// Ends the uploads whose rows have waited for their header for as long as an upload may be idle: each fails as `csv.no_header`, its
    /// rows come out unread, and [`StreamElement::Expired`] follows them. To be called at intervals while the task is live, and not in a
    /// replay, which obeys the ledger instead. `now_ms` is monotonic.
    pub fn tick(&mut self, now_ms: u64) {
        let timeout_ms = u64::try_from(self.context.config.idle_timeout.as_millis()).unwrap_or(u64::MAX);
        let mut due = Vec::new();
        for (first, waiting) in &mut self.waiting {
            let rows = self.uploads.get(&waiting.id).map_or(0, Upload::waiting_rows);
            if waiting.idle_ms(rows, now_ms) >= timeout_ms {
                due.push((*first, waiting.id.clone()));
            }
        }
        for (first, id) in due {
            self.attend(id.as_str(), None, |upload, context| upload.stop_waiting(context, first, Message::NoHeader {}));
            self.context.out.push_back(StreamElement::Expired { upload: id });
        }
    }

    /// After a restart, records that were processed before are read again: those of these uploads, each from this offset on. All others
    /// are passed over until [`Source::end_refill`].
    pub fn begin_refill(&mut self, uploads: Vec<(UploadId, Offset)>) {
        let mut refill = HashMap::default();
        for (upload, from) in uploads {
            let earliest = refill.entry(upload).or_insert(from);
            *earliest = from.min(*earliest);
        }
        self.refill = Some(refill);
    }

    /// After a restart, the upload is open, and its rows have this header, this CRS and this attempt, whatever markers are read again.
    /// `single_at` is the offset of its only record, if it has had no other one.
    pub fn restore(
        &mut self,
        upload: UploadId,
        header: Option<Arc<[String]>>,
        (announced, attempt): (Announcement, Option<Arc<str>>),
        single_at: Option<Offset>,
    ) {
        // A header that was read once is no wider than a worksheet.
        let layout = header.and_then(|names| self.context.layouts.of(&names, &self.context.config).ok());
        layout.iter().for_each(|layout| self.context.layouts.hold(layout));
        single_at.map(|first| self.singles.insert(first, upload.clone()));
        let mut restored = Upload::restored(upload.clone(), layout, announced, attempt);
        restored.single_at = single_at;
        self.uploads.insert(upload, restored);
    }

    /// The rows of an open upload that follow have a header of their own: they are of another topic.
    pub fn begin_topic(&mut self, upload: &UploadId) {
        if self.uploads.contains_key(upload) {
            self.attend(upload.as_str(), None, Upload::forget_header);
        }
    }

    /// The records that follow are new.
    pub fn end_refill(&mut self) {
        self.refill = None;
        self.uploads.values_mut().for_each(Upload::end_refill);
    }

    /// The upload's EOF came before the restart and rows are still missing: from here on every record's rows come out at once, so that
    /// nothing behind the last row is read as a part of this upload.
    ///
    /// `at` is the EOF, where it was read just now and counts no rows: an upload that nothing else has come of gives way to others.
    pub fn expect_rows(&mut self, upload: &UploadId, at: Option<Offset>) {
        self.attend(upload.as_str(), at, |upload, _| upload.expect_rows());
    }

    /// The first record that has to be read again after a restart because it is still undecided here.
    pub fn oldest_waiting(&self) -> Option<Offset> {
        self.waiting.first_key_value().map(|(offset, _)| *offset)
    }

    /// Uploads with rows that wait, oldest first: the aggregate may not have heard of them yet. One that is complete already
    /// is to be given to [`Source::forget`].
    pub fn waiting_uploads(&self) -> impl Iterator<Item = (&UploadId, Offset)> {
        self.waiting.iter().map(|(offset, waiting)| (&waiting.id, *offset))
    }

    /// Takes a record. Returns the lines below a marker in it, which the caller takes as if they were the next record.
    fn take(
        &mut self,
        record: &Record,
        admit: &mut dyn FnMut(Applicant) -> Admission,
    ) -> Result<Option<Bytes>, Refusal> {
        let config = &*self.context.config;
        let headers = ControlHeaders::among(&record.headers, config);
        let plain = envelope::plain(config, record, &headers);
        let plain = plain.map_err(|rejection| Refusal { upload: None, rejection })?;
        let Some(envelope) = envelope::open(config, record, &headers, &plain)? else { return Ok(None) };
        let id = envelope.upload;
        if let Some(refill) = &self.refill
            && refill.get(id).is_none_or(|from| record.offset < *from)
        {
            return Ok(None);
        }
        let kind = ApplicantKind::of(&envelope.content);
        let is_late = loop {
            let (is_known, open) = (self.uploads.contains_key(id), self.uploads.len());
            match admit(Applicant { upload: id, offset: record.offset, is_known, kind, open }) {
                Admission::Read => break false,
                Admission::Late => break true,
                Admission::PassOver => return Ok(None),
                Admission::Over => self.forget(&UploadId::new(id)),
                Admission::TooMany => {
                    let (upload, offset) = (UploadId::new(id), record.offset);
                    let Some(oldest) = self.singles.first_key_value().map(|(_, oldest)| oldest.clone()) else {
                        self.context.out.push_back(StreamElement::TooMany { upload, offset });
                        return Err(self.turned_away(id));
                    };
                    self.forget(&oldest);
                    self.context.out.push_back(StreamElement::GivesWay { upload: oldest, offset });
                }
                Admission::TurnedAway => return Err(self.turned_away(id)),
            }
        };
        self.take_content(record, plain.value.as_deref(), envelope, plain.format, is_late)
    }

    /// Takes what is in a record; `value` is in UTF-8.
    fn take_content(
        &mut self,
        record: &Record,
        value: Option<&Bytes>,
        envelope: Envelope<'_>,
        format: Format,
        is_late: bool,
    ) -> Result<Option<Bytes>, Refusal> {
        let (id, traceparent) = (envelope.upload, envelope.traceparent);
        let below = value.filter(|_| !envelope.below.is_empty());
        let below = below.map(|value| value.slice_ref(envelope.below));
        let origin = Origin {
            offset: record.offset,
            key: record.key.as_ref(),
            attempt: envelope.attempt.as_deref(),
            traceparent,
            passed_from: record.passed_from.as_ref(),
            first_row: None,
            line: 0,
            format: RowFormat::Opaque,
        };
        match envelope.content {
            Content::HeaderFollows => {
                let origin = Origin { format: RowFormat::Csv(self.context.config.topic_delimiter()), ..origin };
                let is_read_again = self.refill.is_some();
                self.attend(id, Some(record.offset), |upload, context| {
                    if !(is_read_again && upload.is_restored()) {
                        upload.expect_header(context, origin);
                    }
                });
            }
            Content::Marker(marker, format) => {
                let upload = UploadId::new(id);
                let marker = MarkerRecord {
                    marker: self.vouch(&upload, marker),
                    upload,
                    offset: record.offset,
                    read_at: record.offset,
                    attempt: origin.attempt.map(Arc::from),
                    traceparent: traceparent.map(Arc::from),
                    key: record.key.clone(),
                    value: value.cloned(),
                    passed_from: record.passed_from.clone(),
                };
                self.take_marker(marker, format);
            }
            Content::UnfitHeader(rejection) => {
                self.attend(id, Some(record.offset), |upload, context| {
                    upload.take_unfit_header(context, record.offset, rejection)
                });
            }
            Content::Rows { text, first_row, delimiter } => {
                let origin = Origin { first_row, ..origin };
                // A publisher who numbers rows has counted them: each of them gets a rejection of its own.
                if let (None, Some(kind)) = (first_row, binary_kind(text)) {
                    // What has no name of its own may be a stray record among the rows of others.
                    let is_of_an_upload = kind.is_of_a_registry() || !id.is_empty();
                    let rejection = Rejection::new(Message::NotText { kind });
                    return self.refuse_value(id, origin, text, rejection, is_of_an_upload && !is_late);
                }
                if text.is_empty() {
                    return Ok(None);
                }
                let origin = Origin { format: RowFormat::of(format, delimiter, text), ..origin };
                let inside = match origin.format {
                    RowFormat::Json => document::rows_of_value(text, &self.context.config),
                    RowFormat::Csv(_) | RowFormat::Opaque => Ok(text),
                };
                let text = match inside {
                    Ok(rows) => rows,
                    Err(rejection) => return self.refuse_value(id, origin, text, rejection, !is_late),
                };
                if is_late {
                    // Whoever comes late leaves nothing to remember.
                    let late = Rejection::new(Message::RowLate {});
                    Upload::new(UploadId::new(id)).pass_unread_at_once(&mut self.context, origin, text, &late);
                    return Ok(None);
                }
                let is_read_again = self.refill.is_some();
                self.attend(id, Some(record.offset), |upload, context| {
                    let (origin, text) = match is_read_again {
                        true => upload.pass_over_head(context, origin, text),
                        false => (origin, text),
                    };
                    upload.take_rows(context, origin, text)
                });
            }
        }
        Ok(below)
    }

    /// A value that nobody can read rows from. It fails its upload if that has none yet, and else is refused by itself.
    fn refuse_value(
        &mut self,
        id: &str,
        origin: Origin<'_>,
        value: &[u8],
        rejection: Rejection,
        may_fail_upload: bool,
    ) -> Result<Option<Bytes>, Refusal> {
        let mut is_taken = false;
        if may_fail_upload {
            self.attend(id, Some(origin.offset), |upload, context| {
                is_taken = upload.take_opaque(context, origin, value, &rejection);
            });
        }
        let upload = Some(UploadId::new(id));
        if is_taken { Ok(None) } else { Err(Refusal { upload, rejection }) }
    }

    fn turned_away(&self, id: &str) -> Refusal {
        let rejection = Rejection::new(Message::TooManyOpen { limit: self.context.config.open_uploads_max });
        Refusal { upload: Some(UploadId::new(id)), rejection }
    }

    /// The topic has `count` partitions from now on.
    pub fn set_partition_count(&mut self, count: i32) {
        self.partition_count = Some(count);
    }

    /// An anonymous upload lies in one partition when there is no other, and when the topology says that partitions are uploads.
    fn vouch(&self, upload: &UploadId, mut marker: Marker) -> Marker {
        if let Marker::Eof { partitions, .. } = &mut marker
            && upload.as_str().is_empty()
            && (self.partition_count == Some(1) || self.context.config.upload == UploadFrom::Partition)
        {
            *partitions = Some(1);
        }
        marker
    }

    fn take_marker(&mut self, marker: MarkerRecord, format: RowFormat) {
        let id = marker.upload.clone();
        // The end of an upload that is not open leaves nothing to remember.
        let passes = matches!(marker.marker, Marker::Eof { .. } | Marker::Abort);
        if passes && !self.uploads.contains_key(&id) {
            return self.context.out.push_back(StreamElement::Marker(marker));
        }
        let is_read_again = self.refill.is_some();
        self.attend(id.as_str(), Some(marker.offset), |upload, context| match is_read_again && upload.is_restored() {
            true => upload.take_marker_again(context, &marker),
            false => upload.take_marker(context, format, marker),
        });
    }

    /// Works on one upload, which is opened if it is not, and keeps the lists in step.
    /// `at` is the record that is taken, if one is.
    fn attend(&mut self, id: &str, at: Option<Offset>, work: impl FnOnce(&mut Upload, &mut SourceContext)) {
        let heard_of = self.context.out.len();
        let (is_new, upload) = match self.uploads.get_mut(id) {
            Some(upload) => (false, upload),
            None => {
                let id = UploadId::new(id);
                (true, self.uploads.entry(id.clone()).or_insert_with(|| Upload::new(id)))
            }
        };
        let (grew, since, bytes) = (upload.has_batch(), upload.waiting_since(), upload.waiting_bytes());
        let (rows, layout) = (upload.rows_under_way(), upload.own_layout().cloned());
        work(upload, &mut self.context);
        if upload.own_layout().map(Arc::as_ptr) != layout.as_ref().map(Arc::as_ptr) {
            layout.iter().for_each(|before| self.context.layouts.release(before));
            upload.own_layout().iter().for_each(|after| self.context.layouts.hold(after));
        }
        let is_heard_of = self.context.out.len() != heard_of;
        if is_new && !is_heard_of && !upload.is_under_way() {
            self.uploads.remove(id); // lines without a row begin no upload
            return;
        }
        match at {
            Some(offset) if is_new => {
                upload.single_at = Some(offset);
                self.singles.insert(offset, upload.id().clone());
            }
            // While records are read again, the only one comes once more; lines without a row are no record.
            Some(offset) if is_heard_of || upload.rows_under_way() != rows => {
                upload.single_at.take_if(|first| *first != offset).map(|first| self.singles.remove(&first));
            }
            Some(_) | None => {}
        }
        if !grew && upload.has_batch() {
            self.growing.push(upload.id().clone());
        }
        if since != upload.waiting_since() {
            since.map(|offset| self.waiting.remove(&offset));
            upload.waiting_since().map(|offset| self.waiting.insert(offset, WaitingUpload::new(upload.id().clone())));
        }
        self.context.waiting_bytes = self.context.waiting_bytes + upload.waiting_bytes() - bytes;
    }
}
