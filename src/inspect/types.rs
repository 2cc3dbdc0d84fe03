//! Types of columns that the cells of a file show: codes, whose zeros must stay, days and times. A type is kept only if no cell contradicts
//! it, for nobody asked for it, and it must not reject a row.

use super::InspectError;
use super::table::Table;
use crate::file::reader::CsvFile;
use crate::page::cells::{parse_date, parse_datetime};
use crate::page::of_type;
use crate::record::ColumnType;
use crate::source::csv::{Fields, Rows};

/// The type of each column of a table, where its cells show one.
pub fn shown_types(table: &Table) -> Vec<Option<ColumnType>> {
    let cells = |column: usize| table.rows.iter().filter_map(move |row| row.get(column)).map(String::as_str);
    let shown = |column| shown_type(cells(column)).filter(|kind| cells(column).all(|cell| fits(*kind, cell)));
    (0..table.header.len()).map(shown).collect()
}

fn shown_type<'a>(cells: impl Iterator<Item = &'a str>) -> Option<ColumnType> {
    let cells: Vec<&str> = cells.map(str::trim).filter(|cell| !cell.is_empty()).collect();
    let is_code =
        |cell: &&str| cell.len() > 1 && cell.starts_with('0') && cell.bytes().all(|byte| byte.is_ascii_digit());
    let has_separator = |cell: &&str| cell.contains(['-', '.', '/']);
    match &cells[..] {
        [] => None,
        cells if cells.iter().any(is_code) => Some(ColumnType::Text),
        cells if cells.iter().all(|cell| parse_date(cell).is_some() && has_separator(cell)) => Some(ColumnType::Date),
        cells if cells.iter().all(|cell| parse_datetime(cell).is_some()) => Some(ColumnType::DateTime),
        _ => None,
    }
}

/// Drops the types that a cell of a file contradicts.
///
/// # Errors
/// The file cannot be read.
pub fn keep_fitting(types: &mut [Option<ColumnType>], mut file: CsvFile) -> Result<(), InspectError> {
    let mut fields = Fields::default();
    while types.iter().flatten().any(|kind| may_reject(*kind))
        && let Some(block) = file.next_block()?
    {
        let mut rows = Rows::new(&block.text, file.delimiter(), Some(types.len()));
        while !block.is_json && rows.next_row(&mut fields).is_some() {
            fields.unwrap_excel_text(&block.text);
            for (kind, cell) in types.iter_mut().zip(fields.iter(&block.text)) {
                *kind = kind.filter(|kind| fits(*kind, &String::from_utf8_lossy(cell)));
            }
        }
    }
    Ok(())
}

fn fits(kind: ColumnType, cell: &str) -> bool {
    of_type::read(cell, kind, None).is_ok()
}

/// Whether a cell can contradict a type.
pub fn may_reject(kind: ColumnType) -> bool {
    kind != ColumnType::Text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::Options;
    use crate::source::SourceConfig;

    #[test]
    fn a_type_is_kept_if_no_cell_contradicts_it() {
        let days = "가,001,2024-01-05,2024-01-05 10:00,2024.1.5\n".repeat(9);
        let header = ["이름", "번호", "개방일자", "시각", "폐업일자"].map(str::to_owned).to_vec();
        let row = days.lines().next().map(|row| row.split(',').map(str::to_owned).collect::<Vec<_>>());
        let table = Table { header: header.clone(), rows: row.into_iter().collect(), crs: None };
        let shown = shown_types(&table);
        use ColumnType::{Date, DateTime, Text};
        assert_eq!(shown, [None, Some(Text), Some(Date), Some(DateTime), Some(Date)]);
        let of_cells = |cells: [&str; 2]| {
            let rows = cells.iter().map(|cell| vec![(*cell).to_owned()]).collect();
            shown_types(&Table { header: vec!["a".to_owned()], rows, crs: None })
        };
        assert_eq!((of_cells(["2024-01-05", ""]), of_cells(["2024-01-05", "  "])), (vec![Some(Date)], vec![None]));
        let text = format!("{}\n{days}나,없음,미상,,\n다,,,오늘, 2024/1/5 \n", header.join(","));
        let options = Options::for_source(&SourceConfig::of_topic("t"));
        let file = CsvFile::from_reader(Box::new(std::io::Cursor::new(text)), options).expect("a header");
        let mut kept = shown;
        keep_fitting(&mut kept, file).expect("memory can be read");
        assert_eq!(kept, [None, Some(Text), None, None, Some(Date)]);
    }
}
