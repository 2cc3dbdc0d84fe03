//! Answers queries about open uploads: their state, and the first rows of their sheets, from the first page wherever that is.

use super::sheets::Sheet;
use super::upload::OpenUpload;
use super::{Aggregate, SheetOrder};
use crate::page::Styles;
use crate::page::read::{self, ShownCell, inflate_rows};
use crate::record::{UploadHash, UploadId};
use crate::sink::status::{StatusRecord, UploadState};
use crate::state::{StateError, StateStore};

/// The first rows of an open upload.
#[derive(Clone, Debug)]
pub struct UploadPreview {
    /// Its status.
    pub status: StatusRecord,
    /// Columns of every sheet; none before the first row.
    pub columns: Vec<String>,
    /// Values of all sheets, in the order of the workbook as far as it is known.
    pub values: Vec<String>,
    /// Rows so far and the first of them, for the first sheets.
    pub sheets: Vec<(u64, Vec<Vec<ShownCell>>)>,
}

impl Aggregate {
    /// The status of every open upload.
    pub fn open_statuses(&self) -> impl Iterator<Item = StatusRecord> {
        self.open.values().map(|upload| self.open_status(upload))
    }

    fn open_status(&self, upload: &OpenUpload) -> StatusRecord {
        self.status(upload, upload.open_state(), upload.attempt.failed.as_ref())
    }

    /// The first `rows_max` rows of the first `sheets_max` sheets of an upload; `None` unless it is open.
    pub fn preview(
        &mut self,
        id: &UploadId,
        (sheets_max, rows_max): (usize, usize),
        store: &mut dyn StateStore,
    ) -> Result<Option<UploadPreview>, StateError> {
        self.queue.settle(store)?;
        let Some(upload) = self.open.get(id) else { return Ok(None) };
        let mut sheets: Vec<&Sheet> = upload.attempt.sheets.iter().collect();
        match self.settings.aggregate.sheet_order {
            SheetOrder::First => {}
            SheetOrder::Name => sheets.sort_by_key(|sheet| sheet.value()),
        }
        let styles = &self.settings.styles;
        let head = |sheet: &&Sheet| Ok((sheet.rows(), sheet.head(rows_max, upload.hash, styles, store)?));
        Ok(Some(UploadPreview {
            status: self.open_status(upload),
            columns: upload
                .attempt
                .columns
                .iter()
                .flat_map(|columns| columns.iter())
                .map(|(name, _)| upload.attempt.announced.titles.get(name).unwrap_or(name).clone())
                .collect(),
            values: sheets.iter().map(|sheet| sheet.value().to_owned()).collect(),
            sheets: sheets.iter().take(sheets_max).map(head).collect::<Result<_, StateError>>()?,
        }))
    }
}

impl OpenUpload {
    /// The state of an upload while it is open.
    pub(super) fn open_state(&self) -> UploadState {
        match self {
            upload if upload.attempt.failed.is_some() => UploadState::Failed,
            upload if upload.idle.stalled => UploadState::Stalled,
            upload if upload.attempt.held => UploadState::Incomplete,
            _ => UploadState::Receiving,
        }
    }
}

impl Sheet {
    fn head(
        &self,
        rows_max: usize,
        segment: UploadHash,
        styles: &Styles,
        store: &dyn StateStore,
    ) -> Result<Vec<Vec<ShownCell>>, StateError> {
        let mut head = Vec::new();
        let mut page_bytes = Vec::new();
        for page in self.pages() {
            if head.len() >= rows_max {
                return Ok(head);
            }
            store.read(segment, page.at, &mut page_bytes)?;
            let xml = inflate_rows(&page_bytes, rows_max - head.len());
            head.extend(read::rows(&xml, |index| styles.style_of(index), rows_max - head.len()).unwrap_or_default());
        }
        head.extend(self.open_page(segment, store)?.head(rows_max - head.len()));
        Ok(head)
    }
}
