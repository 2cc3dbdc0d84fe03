//! Workbooks read back by calamine, which is not ours.

use std::collections::BTreeMap;
use std::io::Cursor;

use calamine::{Data, Reader, Xlsx};

/// Sheet name -> rows of cell texts, header row included; numbers as Rust prints them.
pub fn sheets(xlsx: &[u8]) -> BTreeMap<String, Vec<Vec<String>>> {
    let mut book: Xlsx<_> = calamine::open_workbook_from_rs(Cursor::new(xlsx)).expect("calamine opens the workbook");
    let names = book.sheet_names().to_vec();
    let read = |name: String| {
        let range = book.worksheet_range(&name).expect("the sheet is there");
        let rows = range.rows().map(|row| row.iter().map(text).collect()).collect();
        (name, rows)
    };
    names.into_iter().map(read).collect()
}

fn text(cell: &Data) -> String {
    match cell {
        Data::Empty => String::new(),
        Data::String(s) => s.clone(),
        other => other.to_string(),
    }
}
