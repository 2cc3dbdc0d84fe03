//! One open upload on its way through the source: its header, the rows that wait for one, and the batch that grows.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::record::{
    Announcement, CoordinateForm, Marker, MarkerRecord, Message, Offset, Record, Rejection, RowBatch, StreamElement,
    UploadId,
};
use crate::source::columns::{Batch, Layout};
use crate::source::csv::Fields;
use crate::source::headerless::{HeaderlessRows, Origin};
use crate::source::json::{self, CellReader};
use crate::source::layouts::Layouts;
use crate::source::row_format::RowFormat;
use crate::source::{HeaderFrom, SourceConfig};

/// The state that all uploads share.
pub(super) struct SourceContext {
    pub(super) config: Arc<SourceConfig>,
    /// The header that the topology declares.
    pub(super) declared: Option<Result<Arc<Layout>, Rejection>>,
    /// The header of rows that cannot be read for want of one.
    pub(super) nameless: Arc<Layout>,
    /// Uploads of a topic mostly have the same header, and then they share it.
    pub(super) layouts: Layouts,
    pub(super) fields: Fields,
    pub(super) cells: CellReaders,
    /// A row of JSON as the row of CSV that it is.
    pub(super) scratch: Vec<u8>,
    pub(super) out: VecDeque<StreamElement>,
    /// Bytes that wait in all uploads.
    pub(super) waiting_bytes: usize,
}

impl SourceContext {
    pub(super) fn new(config: Arc<SourceConfig>) -> SourceContext {
        let nameless = Arc::new(Layout::nameless());
        let declared = match &config.header {
            HeaderFrom::First => None,
            HeaderFrom::Declared(names) => Some(Layout::new(names, &config).map(Arc::new)),
        };
        SourceContext {
            config,
            declared,
            nameless,
            layouts: Layouts::default(),
            fields: Fields::default(),
            cells: CellReaders::default(),
            scratch: Vec::new(),
            out: VecDeque::new(),
            waiting_bytes: 0,
        }
    }
}

/// Readers of the cells of JSON rows, for the layouts that were seen last.
#[derive(Default)]
pub(super) struct CellReaders(VecDeque<(Arc<Layout>, CellReader)>);

impl CellReaders {
    /// Layouts that are kept at hand.
    const KEPT_MAX: usize = 8;

    pub(super) fn of(&mut self, layout: &Arc<Layout>, config: &SourceConfig) -> &mut CellReader {
        let at = self.0.iter().position(|(known, _)| Arc::ptr_eq(known, layout)).unwrap_or_else(|| {
            self.0.truncate(CellReaders::KEPT_MAX - 1);
            let reader = CellReader::new(&layout.header, config.exact_names, config.ignores_unknown_keys);
            self.0.push_front((Arc::clone(layout), reader));
            0
        });
        &mut self.0[at].1
    }
}

/// An upload, as far as the source has to remember it. Small while nothing of it is on its way.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) id: UploadId,
    /// Offset of its only record, while no other one has come.
    pub(super) single_at: Option<Offset>,
    /// Of the last `begin`, else of the last rows.
    attempt: Option<Arc<str>>,
    /// Of the `begin` of this attempt.
    crs: Option<Arc<str>>,
    /// Whether that `begin` asks for links to places.
    coordinates: CoordinateForm,
    map_link: bool,
    pub(super) header: Option<HeaderRead>,
    /// `#HEADER` came as a line of its own: the next row names the columns.
    pub(super) header_follows: bool,
    /// The EOF came and rows are missing: the next one could be the last, so rows are handed over record by record.
    expects_rows: bool,
    /// Whether rows were read in this attempt; after a restart that is not known.
    pub(super) has_read_rows: Option<bool>,
    is_restored: bool,
    /// Why the upload cannot be read. Its rows are passed on unread.
    pub(super) failed: Option<Box<Rejection>>,
    pub(super) waiting: Option<Box<HeaderlessRows>>,
    pub(super) batch: Option<Box<Batch>>,
}

/// A header that was read.
#[derive(Debug)]
pub(super) struct HeaderRead {
    pub(super) layout: Arc<Layout>,
    /// `None` for a declared header, and after a restart.
    pub(super) offset: Option<Offset>,
    /// A header of one column that could be several under another delimiter. It is held back until rows have spoken, so that
    /// a restart finds it in the log.
    pub(super) doubted: Option<Box<Doubt>>,
}

/// Why a header of one column is not believed yet.
#[derive(Debug)]
pub(super) struct Doubt {
    /// The delimiter that it seems to be written with.
    pub(super) guess: u8,
    /// The one that it was read with.
    pub(super) delimiter: u8,
    /// The header, held back.
    pub(super) marker: MarkerRecord,
}

impl Upload {
    pub(super) fn new(id: UploadId) -> Upload {
        Upload {
            id,
            single_at: None,
            attempt: None,
            crs: None,
            coordinates: CoordinateForm::Columns,
            map_link: false,
            header: None,
            header_follows: false,
            expects_rows: false,
            has_read_rows: Some(false),
            is_restored: false,
            failed: None,
            waiting: None,
            batch: None,
        }
    }

    /// After a restart: the header is known to be right.
    pub(super) fn restored(
        id: UploadId,
        layout: Option<Arc<Layout>>,
        announced: Announcement,
        attempt: Option<Arc<str>>,
    ) -> Upload {
        let header = layout.map(|layout| HeaderRead { layout, offset: None, doubted: None });
        let Announcement { crs, coordinates, extras, .. } = announced;
        Upload {
            is_restored: header.is_some(),
            header,
            crs,
            coordinates,
            map_link: extras.map_link,
            attempt,
            has_read_rows: None,
            ..Upload::new(id)
        }
    }

    /// Rows of this upload, for the nodes that follow.
    pub(super) fn element(&self, batch: Batch) -> StreamElement {
        let rows = batch.finish(self.id.clone());
        let (crs, coordinates, map_link) = (self.crs.clone(), self.coordinates, self.map_link);
        StreamElement::Rows(Box::new(RowBatch { crs, coordinates, map_link, ..rows }))
    }

    /// The layout of its header.
    pub(super) fn own_layout(&self) -> Option<&Arc<Layout>> {
        self.header.as_ref().map(|header| &header.layout)
    }

    pub(super) fn id(&self) -> &UploadId {
        &self.id
    }

    /// A marker that was obeyed before the restart.
    pub(super) fn take_marker_again(&mut self, context: &mut SourceContext, marker: &MarkerRecord) {
        self.flush(context);
        match &marker.marker {
            Marker::Begin(_) => self.attempt.clone_from(&marker.attempt),
            Marker::Eof { rows, .. } => self.expects_rows |= rows.is_some(),
            Marker::Header(_) | Marker::Abort => {}
        }
    }

    /// True when its header is known from before a restart.
    pub(super) fn is_restored(&self) -> bool {
        self.is_restored
    }

    /// Ends the second reading after a restart. A record that was read again is no sign of rows: the header line was read again, too.
    pub(super) fn end_refill(&mut self) {
        if self.is_restored {
            self.has_read_rows = None;
        }
    }

    pub(super) fn expect_rows(&mut self) {
        self.expects_rows = true;
    }

    /// First record that has to be read again if all is lost now.
    pub(super) fn waiting_since(&self) -> Option<Offset> {
        let doubted = self.header.as_ref().filter(|header| header.doubted.is_some()).and_then(|header| header.offset);
        let first = self.waiting.as_ref().and_then(|waiting| waiting.since());
        doubted.into_iter().chain(first).min()
    }

    pub(super) fn waiting_rows(&self) -> u64 {
        self.waiting.as_ref().map_or(0, |waiting| waiting.rows)
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.bytes)
    }

    /// Whether something is read of it, or awaited, that has not come out.
    pub(super) fn is_under_way(&self) -> bool {
        let has_rows = self.batch.as_ref().is_some_and(|batch| !batch.is_empty());
        self.expects_rows || has_rows || self.waiting_since().is_some()
    }

    /// Rows that were taken and have not come out.
    pub(super) fn rows_under_way(&self) -> u64 {
        self.batch.as_ref().map_or(0, |batch| batch.len() as u64) + self.waiting_rows()
    }

    pub(super) fn has_batch(&self) -> bool {
        self.batch.is_some()
    }

    /// Hands over what has been read.
    pub(super) fn flush(&mut self, context: &mut SourceContext) {
        if let Some(batch) = self.batch.take() {
            context.out.push_back(self.element(*batch));
        }
    }

    /// Takes the rows of one record.
    pub(super) fn take_rows(&mut self, context: &mut SourceContext, origin: Origin<'_>, text: &[u8]) {
        self.adopt_attempt(origin.attempt);
        self.route_rows(context, origin, text);
        if self.expects_rows {
            self.settle_doubt(context, origin.offset);
            self.flush(context);
        }
    }

    fn route_rows(&mut self, context: &mut SourceContext, mut origin: Origin<'_>, mut text: &[u8]) {
        if let Some(reason) = self.failed.clone() {
            return self.pass_unread(context, origin, text, &reason);
        }
        if self.header.is_none() || self.header_follows {
            match context.declared.clone().filter(|_| !self.header_follows) {
                Some(Ok(layout)) => {
                    let Some((rows, behind)) = self.take_declared(context, layout, origin, text) else { return };
                    text = behind;
                    origin.line += rows;
                }
                Some(Err(rejection)) => {
                    self.fail(context, origin.offset, rejection.clone());
                    return self.pass_unread(context, origin, text, &rejection);
                }
                None => match origin.format {
                    RowFormat::Json if self.header.is_none() => {
                        let Some(rows) = self.take_keys(context, origin, text) else { return };
                        origin.line += rows;
                    }
                    RowFormat::Csv(delimiter) if origin.first_row.is_none() => {
                        let Some((rows, behind)) = self.take_head(context, origin, delimiter, text) else { return };
                        text = behind;
                        origin.line += rows;
                    }
                    RowFormat::Json | RowFormat::Csv(_) | RowFormat::Opaque => {}
                },
            }
        }
        match &self.header {
            Some(header) if header.doubted.is_none() => {
                let layout = Arc::clone(&header.layout);
                self.read_rows(context, layout, origin, text, None);
            }
            Some(_) | None => self.wait(context, origin, text),
        }
    }

    /// Takes a marker. Rows that were read before it are passed on before it.
    pub(super) fn take_marker(&mut self, context: &mut SourceContext, format: RowFormat, marker: MarkerRecord) {
        self.flush(context);
        match &marker.marker {
            Marker::Begin(announced) => {
                let is_same = self.attempt.is_some() && self.attempt == marker.attempt;
                if !is_same {
                    self.stop_waiting(context, marker.offset, Message::RestartedWithoutHeader {});
                    *self = Upload { single_at: self.single_at, ..Upload::new(self.id.clone()) };
                    self.crs.clone_from(&announced.crs);
                    self.coordinates = announced.coordinates;
                    self.map_link = announced.extras.map_link;
                }
                self.attempt.clone_from(&marker.attempt);
            }
            // It is no header and no end of the open attempt. The aggregate answers it, but not that of an attempt whose rows wait: it would
            // begin an upload by it.
            Marker::Header(_) | Marker::Eof { .. } | Marker::Abort if self.is_foreign(&marker) => {
                if self.waiting.is_some() {
                    return pass_over_foreign(context, marker);
                }
            }
            Marker::Header(_) if self.failed.is_none() => {
                self.adopt_attempt(marker.attempt.as_deref());
                return self.take_header(context, format, marker);
            }
            Marker::Header(_) => {}
            Marker::Eof { rows, .. } => {
                self.stop_waiting(context, marker.offset, Message::EndedWithoutHeader {});
                self.show_columns(context, &marker);
                self.expects_rows = rows.is_some();
            }
            Marker::Abort => {
                self.stop_waiting(context, marker.offset, Message::AbortedWithoutHeader {});
            }
        }
        context.out.push_back(StreamElement::Marker(marker));
    }

    /// Whether a marker belongs to another attempt than the open one.
    fn is_foreign(&self, marker: &MarkerRecord) -> bool {
        self.is_of_another_attempt(marker.attempt.as_deref())
    }

    /// Whether `attempt` is another one than the open one.
    pub(super) fn is_of_another_attempt(&self, attempt: Option<&str>) -> bool {
        matches!((&self.attempt, attempt), (Some(open), Some(theirs)) if **open != *theirs)
    }

    /// `attempt` is the open one if there was none.
    pub(super) fn adopt_attempt(&mut self, attempt: Option<&str>) {
        if self.attempt.is_none() {
            self.attempt = attempt.map(Arc::from);
        }
    }

    /// An upload without rows has columns too: a batch without rows shows them to the nodes that follow.
    fn show_columns(&mut self, context: &mut SourceContext, marker: &MarkerRecord) {
        let Some(header) = self.header.as_ref().filter(|_| self.has_read_rows != Some(true) && self.failed.is_none())
        else {
            return;
        };
        // Where an upload has its coordinates elsewhere than the topology says, or nowhere, the maps look for them.
        let missing = context.config.missing_in(&header.layout.header);
        if let Some(missing) = missing.filter(|_| self.coordinates == CoordinateForm::Columns) {
            return self.fail(context, marker.offset, missing);
        }
        let origin = Origin {
            offset: marker.offset,
            key: marker.key.as_ref(),
            attempt: self.attempt.as_deref(),
            traceparent: None,
            passed_from: marker.passed_from.as_ref(),
            first_row: None,
            line: 0,
            format: RowFormat::Csv(context.config.topic_delimiter()),
        };
        let batch = Batch::new(&header.layout, origin);
        context.out.push_back(self.element(batch));
    }

    /// Ends the reading of the upload. Rows that waited and rows that come later are passed on unread, after the failure.
    pub(super) fn fail(&mut self, context: &mut SourceContext, offset: Offset, rejection: Rejection) {
        self.flush(context);
        // The upload begins with its first row, though that waited.
        let offset = self.waiting_since().map_or(offset, |first| first.min(offset));
        if let Some(header) = &mut self.header {
            header.doubted = None;
        }
        self.failed = Some(Box::new(rejection.clone()));
        context.out.push_back(StreamElement::Failed { upload: self.id.clone(), offset, rejection: rejection.clone() });
        self.pass_waiting_unread(context, &rejection);
    }

    /// Whatever still waits is decided now: a doubt is settled, and rows whose header did not come fail the upload.
    pub(super) fn stop_waiting(&mut self, context: &mut SourceContext, offset: Offset, message: Message) {
        self.settle_doubt(context, offset);
        if let Some(waiting) = &self.waiting {
            // Where no row could be read as JSON, the first one says more than that none was a header.
            let first = waiting.records.first().and_then(|record| json::fault_instead_of_csv(&record.text));
            let first = first.map(|fault| fault.because(|why| Message::FirstRowIsNoHeader { why }));
            self.fail(context, offset, first.unwrap_or_else(|| Rejection::new(message)));
        }
        self.flush(context);
    }

    /// The rows that follow are read with another header.
    pub(super) fn forget_header(&mut self, context: &mut SourceContext) {
        self.flush(context);
        if self.waiting.is_none() {
            self.header = None;
        }
    }

    /// The upload is closed: rows that wait came too late for it.
    pub(super) fn close(&mut self, context: &mut SourceContext) {
        self.flush(context);
        self.pass_waiting_unread(context, &Rejection::new(Message::ClosedWithoutHeader {}));
        *self = Upload { single_at: self.single_at, ..Upload::new(self.id.clone()) };
    }

    fn pass_waiting_unread(&mut self, context: &mut SourceContext, reason: &Rejection) {
        for record in self.waiting.take().unwrap_or_default().records {
            self.pass_unread(context, record.origin(), &record.text, reason);
        }
        self.flush(context);
    }

    pub(super) fn pass_unread(
        &mut self,
        context: &mut SourceContext,
        origin: Origin<'_>,
        text: &[u8],
        reason: &Rejection,
    ) {
        let layout = Arc::clone(self.layout(context));
        self.read_rows(context, layout, origin, text, Some(reason));
    }

    /// Hands over rows that are not read, and keeps nothing of them.
    pub(super) fn pass_unread_at_once(
        mut self,
        context: &mut SourceContext,
        origin: Origin<'_>,
        text: &[u8],
        reason: &Rejection,
    ) {
        self.pass_unread(context, origin, text, reason);
        self.flush(context);
    }

    /// Fails the upload for a value that is not text, if it is the first one: the others will be the same. Its records are counted, and
    /// none is read. Returns false where rows could be read before: then only this record is bad.
    pub(super) fn take_opaque(
        &mut self,
        context: &mut SourceContext,
        origin: Origin<'_>,
        value: &[u8],
        rejection: &Rejection,
    ) -> bool {
        if self.header.is_some() && self.failed.is_none() {
            return false;
        }
        if self.failed.is_none() {
            self.fail(context, origin.offset, rejection.clone());
        }
        self.pass_unread(context, Origin { format: RowFormat::Opaque, ..origin }, value, rejection);
        true
    }

    fn layout<'a>(&'a self, context: &'a SourceContext) -> &'a Arc<Layout> {
        self.header.as_ref().map_or(&context.nameless, |header| &header.layout)
    }
}

/// A marker of another attempt does nothing; an end of file is said to be one.
fn pass_over_foreign(context: &mut SourceContext, marker: MarkerRecord) {
    if let Marker::Eof { .. } = marker.marker {
        let MarkerRecord { upload, offset, key, value, passed_from, .. } = marker;
        let record = Record { offset, key, value, passed_from, ..Record::default() };
        let rejection = Rejection::new(Message::EofOfOtherAttempt {});
        context.out.push_back(StreamElement::Refused { record, upload: Some(upload), rejection });
    }
}
