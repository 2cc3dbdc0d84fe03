//! What an open upload holds, for those who ask: how it stands, and the first rows of its sheets, from their first page wherever that is.

use super::sheets::Sheet;
use super::upload::OpenUpload;
use super::{Aggregate, SheetOrder, Standing, UploadStatus};
use crate::page::Styles;
use crate::page::read::{self, ShownCell, inflate_rows};
use crate::record::{UploadHash, UploadId};
use crate::state::{StateError, StateStore};

/// The first rows of an open upload.
#[derive(Clone, Debug)]
pub struct UploadPreview {
    /// How it stands.
    pub status: UploadStatus,
    /// Columns of every sheet; none before the first row.
    pub columns: Vec<String>,
    /// Values of all sheets, in the order of the workbook as far as it is known.
    pub values: Vec<String>,
    /// Rows so far and the first of them, for the first sheets.
    pub sheets: Vec<(u64, Vec<Vec<ShownCell>>)>,
}

impl Aggregate {
    /// How every open upload stands.
    pub fn standings(&self) -> impl Iterator<Item = UploadStatus> {
        self.open.values().map(|upload| upload.stands())
    }

    /// The first `rows_max` rows of the first `sheets_max` sheets of an upload; `None` unless it is open.
    pub fn preview(
        &mut self,
        id: &UploadId,
        (sheets_max, rows_max): (usize, usize),
        store: &mut dyn StateStore,
    ) -> Result<Option<UploadPreview>, StateError> {
        let Some(upload) = self.open.get(id) else { return Ok(None) };
        self.press.settle(store)?;
        let mut sheets: Vec<&Sheet> = upload.sheets.iter().collect();
        match self.settings.aggregate.sheet_order {
            SheetOrder::First => {}
            SheetOrder::Name => sheets.sort_by_key(|sheet| sheet.value()),
        }
        let styles = &self.settings.styles;
        let head = |sheet: &&Sheet| Ok((sheet.rows(), sheet.head(rows_max, upload.hash, styles, store)?));
        Ok(Some(UploadPreview {
            status: upload.stands(),
            columns: upload.columns.iter().flat_map(|columns| columns.iter()).map(|(name, _)| name.clone()).collect(),
            values: sheets.iter().map(|sheet| sheet.value().to_owned()).collect(),
            sheets: sheets.iter().take(sheets_max).map(head).collect::<Result<_, StateError>>()?,
        }))
    }
}

impl OpenUpload {
    fn stands(&self) -> UploadStatus {
        let standing = match self {
            OpenUpload { failed: Some(_), .. } => Standing::Failed,
            upload if upload.idle.stalled => Standing::Stalled,
            upload if upload.eof.is_some() => Standing::Incomplete,
            _ => Standing::Receiving,
        };
        self.status(standing, self.first_offset, self.failed.clone())
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
