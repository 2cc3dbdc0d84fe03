//! Runs an upload through the task of a topology, into a status and a workbook that nobody keeps.

use tracing::subscriber::{NoSubscriber, with_default};

use super::InspectError;
use crate::file::upload::UploadRecords;
use crate::record::Lang;
use crate::runtime::convert::{Converted, convert};
use crate::sink::preview::{SheetPreview, errors_sheet, read_sheets};
use crate::topology::Topology;

/// The outcome of an upload that nobody published.
#[derive(Debug)]
pub struct Made {
    /// Its status and its refused rows by reason.
    pub converted: Converted,
    /// Its workbook; empty where it has none.
    pub workbook: Vec<u8>,
}

impl Made {
    /// Takes an upload all the way through a topology. `progress` gets the number of rows read so far. The log does not mention such an
    /// upload, for nobody made it.
    ///
    /// # Errors
    /// The upload cannot be read, or there is no room for its workbook.
    pub fn of(topology: Topology, upload: UploadRecords, progress: &mut dyn FnMut(u64)) -> Result<Made, InspectError> {
        let failed = |error: &dyn std::fmt::Display| InspectError::Trial(error.to_string());
        let folder = tempfile::tempdir().map_err(|error| failed(&error))?;
        let out = folder.path().join("made.xlsx");
        let converted = with_default(NoSubscriber::default(), || convert(topology, "made", upload, &out, progress));
        let converted = converted.map_err(|error| failed(&error))?;
        let workbook =
            if converted.has_workbook { std::fs::read(&out).map_err(|error| failed(&error))? } else { vec![] };
        Ok(Made { converted, workbook })
    }

    /// The sheets of rows with their first `rows_max` rows, and the sheet of errors, if it has one, with its first `errors_max`. `lang` is
    /// that of the workbook.
    pub fn sheets(&self, lang: Lang, rows_max: usize, errors_max: usize) -> (Vec<SheetPreview>, Option<SheetPreview>) {
        let errors = errors_sheet(lang);
        let rows_max = |name: &str| if name == errors { errors_max } else { rows_max };
        let mut sheets = read_sheets(&self.workbook, usize::MAX, rows_max).unwrap_or_default();
        let errors = sheets.iter().position(|sheet| sheet.name == errors).map(|at| sheets.remove(at));
        (sheets, errors)
    }
}
