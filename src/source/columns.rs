//! Puts fields into Arrow columns: the layout that a header gives, and the batch that grows row by row. Every cell stays text.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;

use crate::page::forms::CellForm;
use crate::record::{
    ColumnType, CoordinateForm, Message, Offset, RawRows, Rejection, RowBatch, RowKey, SourcePlace, UploadId,
};
use crate::source::SourceConfig;
use crate::source::csv::Fields;
use crate::source::headerless::Origin;
use crate::source::names::column_names;
use crate::source::row_format::RowFormat;

/// Columns of a worksheet (Excel specifications and limits).
pub const COLUMNS_MAX: usize = 16_384;
/// Rows of a batch.
const BATCH_ROWS_MAX: usize = 8_192;
/// Bytes of raw rows after which a batch is handed over.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// The layout that follows from a header: unique names, types, schema.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) header: Arc<[String]>,
    pub(super) types: Arc<[ColumnType]>,
    schema: SchemaRef,
    /// Columns whose cells have to be checked.
    pub(super) strict: Vec<(usize, ColumnType, Option<CellForm>)>,
    /// Columns that nodes behind the source need; all where they need none.
    needed: Vec<usize>,
    /// Whether a column is written as `="0012"`.
    pub(super) reads_excel_text: bool,
    exact_names: bool,
}

impl Layout {
    /// Names that are empty or taken are changed, see [`column_names`].
    pub(super) fn new(names: &[String], config: &SourceConfig) -> Result<Layout, Rejection> {
        if names.len() > COLUMNS_MAX {
            return Err(Rejection::new(Message::HeaderTooWide { columns: names.len(), limit: COLUMNS_MAX }));
        }
        let header = column_names(names, config.exact_names);
        let kind = |name: &String| config.columns.get(name).copied().unwrap_or(ColumnType::Auto);
        let types: Arc<[_]> = header.iter().map(kind).collect();
        let checked = |(column, name): (usize, &String)| {
            let (kind, form) = (types[column], config.forms.get(name).cloned());
            let is_free = matches!(kind, ColumnType::Auto | ColumnType::Text) && form.is_none();
            (!is_free).then_some((column, kind, form))
        };
        let strict: Vec<(_, _, Option<CellForm>)> = header.iter().enumerate().filter_map(checked).collect();
        let is_needed = |name: &String| config.needed.iter().any(|names| names.contains(name));
        let mut needed: Vec<usize> = (0..header.len()).filter(|column| is_needed(&header[*column])).collect();
        if needed.is_empty() {
            needed = (0..header.len()).collect();
        }
        let reads_excel_text = strict.iter().any(|(_, _, form)| form.as_ref().is_some_and(|form| form.excel_text));
        let fields: Vec<_> = header.iter().map(|name| Field::new(name, DataType::Utf8, false)).collect();
        let exact_names = config.exact_names;
        let schema = Arc::new(Schema::new(fields));
        Ok(Layout { header: header.into(), types, schema, strict, needed, reads_excel_text, exact_names })
    }

    /// No columns at all.
    pub(super) fn nameless() -> Layout {
        Layout {
            header: Arc::new([]),
            types: Arc::new([]),
            schema: Arc::new(Schema::empty()),
            strict: Vec::new(),
            needed: Vec::new(),
            reads_excel_text: false,
            exact_names: true,
        }
    }

    /// True when the fields are the header again.
    pub(super) fn is_repeated_by(&self, fields: &Fields, text: &[u8]) -> bool {
        fields.len() == self.header.len() && self.begins_like(fields.get(0, text)) && {
            let names: Vec<_> = fields.iter(text).map(String::from_utf8_lossy).collect();
            *column_names(&names, self.exact_names) == *self.header
        }
    }

    /// True when a row has nothing in a column that is needed.
    pub(super) fn lacks_needed(&self, fields: &Fields, text: &[u8]) -> bool {
        self.needed.iter().any(|column| fields.get(*column, text).trim_ascii().is_empty())
    }

    /// A quick look at the first field of a row: false when it cannot be the first column's name.
    fn begins_like(&self, field: &[u8]) -> bool {
        let Some(name) = self.header.first() else { return false };
        let first = field.first();
        field.is_empty() || first.is_some_and(|byte| !byte.is_ascii_graphic()) || first == name.as_bytes().first()
    }
}

/// The text of a row.
#[derive(Clone, Copy)]
pub(super) struct RowText<'a> {
    /// As CSV: what the checksum covers.
    pub(super) plain: &'a [u8],
    pub(super) published: &'a [u8],
}

impl<'a> RowText<'a> {
    /// A row that was published as CSV, or one that cannot be read.
    pub(super) fn published(text: &'a [u8]) -> RowText<'a> {
        RowText { plain: text, published: text }
    }
}

/// A batch that grows.
#[derive(Debug)]
pub(super) struct Batch {
    layout: Arc<Layout>,
    attempt: Option<Arc<str>>,
    numbered: bool,
    traceparent: Option<Arc<str>>,
    format: RowFormat,
    columns: Vec<StringBuilder>,
    keys: Vec<RowKey>,
    offsets: Vec<Offset>,
    raw: RawRows,
    /// Where rows are not published as CSV.
    published: Option<RawRows>,
    rejected: Vec<(u32, Rejection)>,
    record_keys: Vec<(u32, Option<Bytes>)>,
    passed_from: Vec<(u32, SourcePlace)>,
}

impl Batch {
    /// An empty batch for rows of this record.
    pub(super) fn new(layout: &Arc<Layout>, origin: Origin<'_>) -> Batch {
        Batch {
            layout: Arc::clone(layout),
            attempt: origin.attempt.map(Arc::from),
            numbered: origin.first_row.is_some(),
            traceparent: origin.traceparent.map(Arc::from),
            format: origin.format,
            columns: layout.header.iter().map(|_| StringBuilder::with_capacity(0, 0)).collect(),
            keys: Vec::new(),
            offsets: Vec::new(),
            raw: RawRows::default(),
            published: (origin.format == RowFormat::Json).then(RawRows::default),
            rejected: Vec::new(),
            record_keys: vec![(0, origin.key.cloned())],
            passed_from: origin.passed_from.map(|place| (0, place.clone())).into_iter().collect(),
        }
    }

    /// True when the batch may take rows of this record.
    pub(super) fn takes(&self, layout: &Arc<Layout>, origin: Origin<'_>) -> bool {
        Arc::ptr_eq(&self.layout, layout)
            && self.numbered == origin.first_row.is_some()
            && self.format == origin.format
            && self.attempt.as_deref() == origin.attempt
    }

    /// Rows of another record follow.
    pub(super) fn begin_record(&mut self, origin: Origin<'_>) {
        if self.traceparent.is_none() {
            self.traceparent = origin.traceparent.map(Arc::from);
        }
        if self.record_keys.last().is_none_or(|(_, last)| last.as_ref() != origin.key) {
            self.record_keys.push((self.keys.len() as u32, origin.key.cloned()));
        }
        self.passed_from.extend(origin.passed_from.map(|place| (self.keys.len() as u32, place.clone())));
    }

    /// Appends row `line` of the record as published, and its cells, as many as the header has.
    pub(super) fn push<'a>(
        &mut self,
        origin: Origin<'_>,
        line: u32,
        text: RowText<'_>,
        cells: impl Iterator<Item = &'a str>,
    ) {
        self.columns.iter_mut().zip(cells).for_each(|(column, cell)| column.append_value(cell));
        self.push_text(origin, line, text);
    }

    /// Appends a row that failed: its cells are empty.
    pub(super) fn push_rejected(&mut self, origin: Origin<'_>, line: u32, text: RowText<'_>, rejection: Rejection) {
        self.columns.iter_mut().for_each(|column| column.append_value(""));
        self.rejected.push((self.keys.len() as u32, rejection));
        self.push_text(origin, line, text);
    }

    fn push_text(&mut self, origin: Origin<'_>, line: u32, text: RowText<'_>) {
        self.raw.push(text.plain);
        if let Some(published) = &mut self.published {
            published.push(text.published);
        }
        self.keys.push(match origin.first_row {
            Some(first) => RowKey { index: first.saturating_add(u64::from(line)), line: 0 },
            None => RowKey { index: origin.offset.0.unsigned_abs(), line },
        });
        self.offsets.push(origin.offset);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Rows so far.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.keys.len() >= BATCH_ROWS_MAX || self.bytes_len() >= BATCH_BYTES_MAX
    }

    fn bytes_len(&self) -> usize {
        self.raw.bytes_len().max(self.published.as_ref().map_or(0, RawRows::bytes_len))
    }

    pub(super) fn finish(self, upload: UploadId) -> RowBatch {
        let rows = self.keys.len();
        let columns = self.columns.into_iter().map(|mut column| -> ArrayRef { Arc::new(column.finish()) });
        let schema = Arc::clone(&self.layout.schema);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let columns = RecordBatch::try_new_with_options(schema, columns.collect(), &options)
            .expect("as many columns as the schema has, each with a cell for every row");
        RowBatch {
            upload,
            attempt: self.attempt,
            crs: None,
            coordinates: CoordinateForm::Columns,
            map_link: false,
            traceparent: self.traceparent,
            numbered: self.numbered,
            header: Arc::clone(&self.layout.header),
            columns,
            types: Arc::clone(&self.layout.types),
            keys: self.keys,
            offsets: self.offsets,
            raw: self.raw,
            delimiter: self.format.delimiter(),
            published: self.published,
            rejected: self.rejected,
            filtered: Vec::new(),
            operations: Vec::new(),
            distant: Vec::new(),
            unplaced: Vec::new(),
            record_keys: self.record_keys,
            passed_from: self.passed_from,
        }
    }
}
