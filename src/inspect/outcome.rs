//! Writes the outcome of a file as a text: the facts about it, its rows, its reasons, every cell of every sheet. Two such texts are
//! compared line by line, so that files with expected outcomes test a topology.

use super::InspectError;
use super::made::Made;
use crate::file::FileError;
use crate::file::reader::CsvFile;
use crate::file::upload::UploadRecords;
use crate::sink::preview::SheetPreview;
use crate::topology::Topology;

/// Characters of a cell that are written.
const CELL_CHARS: usize = 200;
/// Rows that a sheet has at most (ECMA-376 part 1, annex on limits of spreadsheets).
const ROWS_MAX: usize = 1 << 20;
/// A line of an expectation that matches any lines.
const ANY_LINES: &str = "...";
/// Lines around a difference that are shown, and of the difference itself.
const DIFFERENCE_LINES: usize = 12;

/// The outcome of an opened file, or of one that cannot be opened.
///
/// # Errors
/// The temporary folder takes no workbook.
pub fn outcome(topology: &Topology, file: Result<CsvFile, FileError>, name: &str) -> Result<String, InspectError> {
    let mut text = String::new();
    let file = match file {
        Ok(file) => file,
        Err(error) => {
            text.push_str(&format!("unreadable: {error}\n"));
            return Ok(text);
        }
    };
    text.push_str(&format!("file: {}\n", file.description()));
    file.notes().iter().for_each(|note| text += &format!("note: {note}\n"));
    let upload = match UploadRecords::new(vec![file], name, "case") {
        Ok(upload) => upload,
        Err(error) => {
            text.push_str(&format!("unreadable: {error}\n"));
            return Ok(text);
        }
    };
    let made = Made::of(topology.clone(), upload, &mut |_| ())?;
    let status = &made.converted.status;
    let state = serde_json::to_value(status.state).unwrap_or_default();
    text.push_str(&format!("status: {}\n", state.as_str().unwrap_or_default()));
    if let Some(failure) = &status.failure {
        text.push_str(&format!("failure: {}: {}\n", failure.reason, failure.message));
    }
    let rows = status.accounting;
    text.push_str(&format!("rows: {} in, {} written, {} rejected\n", rows.rows_in, rows.written, rows.rejected));
    made.converted.rejected.iter().for_each(|(reason, count)| text += &format!("rejected: {count} {reason}\n"));
    let (sheets, errors) = made.sheets(topology.sink.workbook.lang, ROWS_MAX, ROWS_MAX);
    sheets.iter().chain(&errors).for_each(|sheet| write_sheet(sheet, &mut text));
    Ok(text)
}

fn write_sheet(sheet: &SheetPreview, text: &mut String) {
    let line = |cells: Vec<String>| format!("{}\n", cells.join(" | ").trim_end());
    *text += &format!("\n[{}]\n", sheet.name);
    *text += &line(sheet.columns.iter().map(|name| shown(name)).collect());
    sheet.head.iter().for_each(|row| *text += &line(row.iter().map(|cell| shown(&cell.text)).collect()));
    let left = usize::try_from(sheet.rows).unwrap_or(usize::MAX).saturating_sub(sheet.head.len());
    if left > 0 {
        *text += &format!("(and {left} rows more)\n");
    }
}

/// A cell on one line, a long one by its beginning.
fn shown(cell: &str) -> String {
    let mut shown = String::new();
    for c in cell.chars().take(CELL_CHARS) {
        match c {
            c if c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                shown.extend(c.escape_default());
            }
            c => shown.push(c),
        }
    }
    let left = cell.chars().count().saturating_sub(CELL_CHARS);
    if left > 0 { format!("{shown}… and {left} characters more") } else { shown }
}

/// The lines in which a text differs from the expected one: expected lines behind `-`, found lines behind `+`. A line `...` in `expected`
/// matches any lines. `None` when nothing differs.
pub fn difference(expected: &str, found: &str) -> Option<String> {
    let lines =
        |text: &'_ str| -> Vec<String> { text.trim_end().lines().map(|line| line.trim_end().to_owned()).collect() };
    let (expected, found) = (lines(expected), lines(found));
    if matches(&expected, &found) {
        return None;
    }
    let same = expected.iter().zip(&found).take_while(|(a, b)| a == b && *a != ANY_LINES).count();
    let (left, right) = (&expected[same..], &found[same..]);
    let same_end = left.iter().rev().zip(right.iter().rev()).take_while(|(a, b)| a == b && *a != ANY_LINES).count();
    let mut text = String::new();
    if same > 0 {
        text += &format!("  {}\n", expected[same - 1]);
    }
    for (mark, lines) in [('-', &left[..left.len() - same_end]), ('+', &right[..right.len() - same_end])] {
        lines.iter().take(DIFFERENCE_LINES).for_each(|line| text += &format!("{mark} {line}\n"));
        if lines.len() > DIFFERENCE_LINES {
            text += &format!("{mark} (and {} lines more)\n", lines.len() - DIFFERENCE_LINES);
        }
    }
    Some(text)
}

/// Whether lines are the expected ones. If `...` can match in several ways, one is enough.
fn matches(expected: &[String], found: &[String]) -> bool {
    // The place of the last `...`, and the number of lines that it matches so far.
    let (mut e, mut f, mut any) = (0, 0, None);
    while f < found.len() {
        if expected.get(e).is_some_and(|line| line == ANY_LINES) {
            e += 1;
            any = Some((e, f));
        } else if expected.get(e) == found.get(f) {
            (e, f) = (e + 1, f + 1);
        } else if let Some((after, stands_to)) = any {
            (e, f) = (after, stands_to + 1);
            any = Some((after, stands_to + 1));
        } else {
            return false;
        }
    }
    expected[e..].iter().all(|line| line == ANY_LINES)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::file::Options;

    const TOPOLOGY: &str = r#"
name = "t"
[[source]]
name = "rows"
[[map]]
name = "wgs84"
reproject = { from = "EPSG:5179", to = "EPSG:4326", x = "x", y = "y", into = ["lon", "lat"], missing = "reject" }
[[aggregate]]
name = "by-city"
sheet = "city"
[[sink]]
name = "workbooks"
"#;

    fn of(bytes: &'static [u8]) -> String {
        let topology = Topology::parse(TOPOLOGY, "t.toml", &|_| None).expect("a topology");
        let file = CsvFile::from_reader(Box::new(Cursor::new(bytes)), Options::for_source(&topology.source));
        outcome(&topology, file, "in.csv").expect("a folder")
    }

    #[test]
    fn the_outcome_of_a_file_is_complete() {
        let text = of("city,x,y\n서울,953900,1952030\n서울,,\n".as_bytes());
        for line in [
            "file: UTF-8, delimiter comma, 3 columns",
            "status: PUBLISHED",
            "rows: 2 in, 1 written, 1 rejected",
            "rejected: 1 coord.missing",
            "[서울]\ncity | x | y | lon | lat\n서울 | 953900 | 1952030 | 126.977986936 | 37.566481185\n",
            "[Errors]\n",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(of(b"a,b\n1,2\n").contains("status: FAILED\nfailure: "), "{}", of(b"a,b\n1,2\n"));
        assert!(of(b"%PDF-1.7\n").starts_with("unreadable: it is PDF data"), "{}", of(b"%PDF-1.7\n"));
    }

    #[test]
    fn dots_match_any_lines() {
        for (expected, found, is_same) in [
            ("a\nb\n", "a\nb", true),
            ("...\nb\n", "a\nb\n", true),
            ("a\n...\nd", "a\nb\nc\nd", true),
            ("...\nb\n...", "a\nb\nb\nc", true),
            ("...\nb\nc", "b\na\nb\nc", true),
            ("...", "", true),
            ("a\n...\nd", "a\nb\nc", false),
            ("a", "a\nb", false),
            ("", "a", false),
        ] {
            assert_eq!(difference(expected, found).is_none(), is_same, "{expected:?} {found:?}");
        }
    }

    #[test]
    fn a_difference_shows_the_lines_that_differ() {
        assert_eq!(difference("a\nb\nc\n", "a\nx\ny\nc\n").as_deref(), Some("  a\n- b\n+ x\n+ y\n"));
        let long = difference("a", &"x\n".repeat(40)).expect("it differs");
        assert!(long.ends_with("+ (and 28 lines more)\n"), "{long}");
    }
}
