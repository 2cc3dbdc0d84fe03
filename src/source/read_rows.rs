//! Reads the rows of one record into the batch of its upload, each with its cells or its fate.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::record::{Rejection, StreamElement};
use crate::source::SourceConfig;
use crate::source::columns::{Batch, Layout, RowText};
use crate::source::csv::{Fields, Row, Rows, is_blank, write_row};
use crate::source::fate::{self, Text};
use crate::source::headerless::Origin;
use crate::source::json::{self, CellReader, Elements};
use crate::source::row_format::RowFormat;
use crate::source::upload::{SourceContext, Upload};

impl Upload {
    /// Rows into the batch. With `unread` none of them is read: that is the fate of all.
    pub(super) fn read_rows(
        &mut self,
        context: &mut SourceContext,
        layout: Arc<Layout>,
        origin: Origin<'_>,
        text: &[u8],
        unread: Option<&Rejection>,
    ) {
        let batch = self.batch_for(context, &layout, origin);
        let SourceContext { config, fields, out, cells, scratch, .. } = context;
        let mut rows = BatchRows { upload: self, batch, layout: &layout, origin, line: origin.line, out };
        let text = Text::new(text);
        match (origin.format, unread) {
            (RowFormat::Csv(delimiter), _) => rows.read_csv(config, delimiter, text, unread, fields),
            (RowFormat::Json, _) => rows.read_json(config, cells.of(&layout, config), text, unread, fields, scratch),
            (RowFormat::Opaque, Some(reason)) => rows.reject(RowText::published(text.bytes), reason.clone()),
            (RowFormat::Opaque, None) => unreachable!("what is no text fails its upload before it is read"),
        }
        let BatchRows { batch, line, .. } = rows;
        if line > origin.line {
            self.has_read_rows = Some(true);
        }
        self.batch = (!batch.is_empty()).then_some(batch);
    }

    /// The batch that grows, if it may take rows of this record, else a new one.
    fn batch_for(&mut self, context: &mut SourceContext, layout: &Arc<Layout>, origin: Origin<'_>) -> Box<Batch> {
        if self.batch.as_ref().is_some_and(|batch| !batch.takes(layout, origin)) {
            self.flush(context);
        }
        match self.batch.take() {
            Some(mut batch) => {
                batch.begin_record(origin);
                batch
            }
            None => Box::new(Batch::new(layout, origin)),
        }
    }
}

/// The batch of an upload while rows of one record go into it.
struct BatchRows<'a> {
    upload: &'a Upload,
    batch: Box<Batch>,
    layout: &'a Arc<Layout>,
    origin: Origin<'a>,
    /// Rows of the record so far.
    line: u32,
    out: &'a mut VecDeque<StreamElement>,
}

impl BatchRows<'_> {
    fn read_csv(
        &mut self,
        config: &SourceConfig,
        delimiter: u8,
        text: Text<'_>,
        unread: Option<&Rejection>,
        fields: &mut Fields,
    ) {
        let layout = self.layout;
        let named = !layout.header.is_empty();
        let mut rows = Rows::new(text.bytes, delimiter, named.then_some(layout.header.len()));
        while let Some(row) = rows.next_row(fields) {
            if row.blank {
                continue;
            }
            let verdict = match unread {
                Some(reason) => Err(reason.clone()),
                None => fate::judge(config, layout, &row, delimiter, text, fields),
            };
            match verdict {
                Ok(()) => self.push(RowText::published(row.bytes), text.cells(fields)),
                Err(rejection) if self.line == self.origin.line && unread.is_none() => {
                    let Some(instead) = fate::json_instead(&rejection, text.bytes) else {
                        self.reject(RowText::published(row.bytes), rejection);
                        continue;
                    };
                    return self.reject(RowText::published(text.bytes.trim_ascii_end()), instead);
                }
                Err(rejection) => self.reject(RowText::published(row.bytes), rejection),
            }
        }
    }

    /// A row of JSON is kept as the row of CSV that it is, beside what was published.
    fn read_json(
        &mut self,
        config: &SourceConfig,
        cells: &mut CellReader,
        text: Text<'_>,
        unread: Option<&Rejection>,
        fields: &mut Fields,
        plain: &mut Vec<u8>,
    ) {
        // Rows that came before were the header.
        for element in Elements::new(text.bytes).filter(|row| !row.is_blank()).skip(self.line as usize) {
            let bytes = element.bytes(text.bytes);
            let fault = unread.cloned().or_else(|| json::fault_of(text.bytes, &element));
            let read = fault.map_or_else(|| cells.read(text.bytes, &element, fields), Err);
            let escapes = match read {
                Ok(escapes) => escapes,
                Err(rejection) => {
                    self.reject(RowText::published(bytes), rejection);
                    continue;
                }
            };
            if fields.iter(text.bytes).all(is_blank) {
                continue; // it has keys, but none that is a column
            }
            plain.clear();
            write_row(fields.iter(text.bytes), b',', plain);
            let row = Row { bytes, defect: None, blank: false, ended: true };
            let text = text.with_escapes(escapes);
            match fate::judge(config, self.layout, &row, b',', text, fields) {
                Ok(()) => self.push(RowText { plain, published: bytes }, text.cells(fields)),
                Err(rejection) => self.reject(RowText { plain, published: bytes }, rejection),
            }
        }
    }

    fn push<'c>(&mut self, text: RowText<'_>, cells: impl Iterator<Item = &'c str>) {
        self.batch.push(self.origin, self.line, text, cells);
        self.advance();
    }

    fn reject(&mut self, text: RowText<'_>, rejection: Rejection) {
        self.batch.push_rejected(self.origin, self.line, text, rejection);
        self.advance();
    }

    fn advance(&mut self) {
        self.line += 1;
        if self.batch.is_full() {
            let full = std::mem::replace(&mut self.batch, Box::new(Batch::new(self.layout, self.origin)));
            self.out.push_back(self.upload.element(*full));
        }
    }
}
