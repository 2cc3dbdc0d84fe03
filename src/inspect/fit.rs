//! Checks that a topology and a file fit: runs the beginning of the file through the task, and compares its points with the CRS of the
//! topology.

use std::collections::BTreeMap;
use std::io::Cursor;

use serde::Serialize;

use super::InspectError;
use super::columns::ChosenColumns;
use super::made::Made;
use super::reading::Reading;
use super::sample::Sample;
use super::table::{Suggestion, Table};
use crate::crs::ranking::{Certainty, Ranking};
use crate::file::reader::CsvFile;
use crate::file::upload::UploadRecords;
use crate::sink::status::StatusFailure;
use crate::topology::Topology;

/// How a file fits a topology.
#[derive(Debug, Serialize)]
pub struct Fit {
    /// Rows of the beginning.
    pub rows: u64,
    /// Of them in sheets.
    pub written: u64,
    /// Of them refused, by reason code.
    pub rejected: BTreeMap<String, u64>,
    /// Why the upload would fail.
    pub failure: Option<StatusFailure>,
    /// Remarks for the person.
    pub notes: Vec<String>,
}

impl Fit {
    /// Tries the beginning of a file that is called `name`.
    ///
    /// # Errors
    /// The file cannot be read as the topology wants it read.
    pub fn of(sample: &Sample, name: &str, topology: &Topology) -> Result<Fit, InspectError> {
        let options = sample.reading(Reading::default()).options(&topology.source);
        let open = || CsvFile::from_reader(Box::new(Cursor::new(sample.bytes.clone())), options.clone());
        let file = open()?;
        let mut notes = file.notes().to_vec();
        let used = ChosenColumns::default().apply(topology, &file.columns())?.used;
        let made = Made::of(topology.clone(), UploadRecords::new(vec![file], name, "fit")?, &mut |_| ())?;
        let suggestion = Suggestion::of(&Table::read(open()?)?, &used, name);
        notes.extend(suggestion.ranking.and_then(|ranking| doubt(topology, &ranking)));
        let Made { converted, .. } = made;
        let rows = converted.status.accounting;
        Ok(Fit {
            rows: rows.rows_in,
            written: rows.written,
            rejected: converted.rejected,
            failure: converted.status.failure,
            notes,
        })
    }
}

/// The evidence of the points against the CRS of the topology.
fn doubt(topology: &Topology, ranking: &Ranking) -> Option<String> {
    let crs = topology.about().crs.first()?.clone();
    let family = ranking.families.first()?;
    let is_sure =
        matches!(ranking.certainty, Certainty::Declared | Certainty::Places | Certainty::Header | Certainty::Land);
    let is_ours = family.systems.iter().any(|system| system.definition.eq_ignore_ascii_case(&crs.from.definition));
    if !is_sure || (is_ours && !family.is_swapped) {
        return None;
    }
    if is_ours {
        return Some(
            "x and y seem to be swapped: only then the points are where their rows say, or on land".to_owned(),
        );
    }
    let fitting: Vec<&str> = family.systems.iter().take(3).map(|system| system.definition.as_str()).collect();
    let (ours, fitting) = (&crs.from.definition, fitting.join(", "));
    Some(format!("the points speak for {fitting}, and the topology says {ours}; `sheetstream inspect` says why"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPOLOGY: &str = r#"
name = "t"
[[source]]
name = "rows"
[[map]]
name = "wgs84"
reproject = { from = "EPSG:5186", to = "EPSG:4326", x = "x", y = "y", into = ["lon", "lat"] }
[[aggregate]]
name = "by-district"
sheet = "구"
[[sink]]
name = "workbooks"
"#;

    fn fit(header: &str) -> Fit {
        let topology = Topology::parse(TOPOLOGY, "t.toml", &|_| None).expect("a topology");
        let row = |n: i32| format!("마포구,{}.5,{}.25\n", 192_500 + n * 10, 450_700 + n * 7);
        let text = format!("{header}\n{}", (0..40).map(row).collect::<String>());
        let sample = Sample { bytes: text.into(), book: None, archive: None, is_whole: true };
        Fit::of(&sample, "a.csv", &topology).expect("a file")
    }

    #[test]
    fn points_that_speak_for_another_system_are_reported() {
        let found = fit("구,x,y");
        assert_eq!((found.rows, found.written, found.failure), (40, 40, None));
        assert!(
            found.notes.iter().any(|note| note.contains("EPSG:5181") && note.contains("EPSG:5186")),
            "{:?}",
            found.notes
        );
        let fails = fit("구,X,y").failure.expect("a column is not there");
        assert_eq!(fails.reason, "column.missing");
    }
}
