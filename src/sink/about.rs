//! The two sheets that explain a workbook, in the language of the topology: *About* says where its rows come from and what was done to
//! them, *Errors* lists the rows that failed. Both follow from the content alone.

use std::borrow::Cow;
use std::sync::Arc;

use rust_xlsxwriter::{Format, FormatAlign, Worksheet, XlsxError};

use crate::crs::{CrsInfo, CrsPair};
use crate::page::{OpenPage, PageWriter};
use crate::record::{ColumnType, SheetName};
use crate::sink::digest::Digest;
use crate::sink::sheet::RowSheet;
use crate::sink::{AboutFacts, CompletePage, CompleteUpload, Lang};

/// Longest cell text, in UTF-16 units.
const CELL_UNITS_MAX: usize = 32_767;

/// Every text that stands on the two sheets.
#[derive(Debug)]
pub(super) struct Words {
    lang: Lang,
    /// Name of the sheet about the workbook.
    pub about: &'static str,
    /// Name of the sheet of failed rows.
    pub errors: &'static str,
    source: &'static str,
    rows_written: &'static str,
    rows_rejected: &'static str,
    rows_sha256: &'static str,
    incomplete: [&'static str; 2],
    topology: &'static str,
    product: &'static str,
    coordinates: &'static str,
    from: &'static str,
    to: &'static str,
    operation: &'static str,
    accuracy: [&'static str; 3],
    sheets: [&'static str; 3],
    /// Columns of the sheet of failed rows.
    pub error_columns: [&'static str; 5],
    more_errors: [&'static str; 2],
}

const ENGLISH: Words = Words {
    lang: Lang::En,
    about: "About",
    errors: "Errors",
    source: "Source",
    rows_written: "Rows written",
    rows_rejected: "Rows rejected",
    rows_sha256: "SHA-256 of the rows",
    incomplete: ["Incomplete", "The publisher's row count or checksum was not met: rows may be missing."],
    topology: "Topology",
    product: "Made by",
    coordinates: "Coordinates",
    from: "From",
    to: "To",
    operation: "Operation",
    accuracy: ["Accuracy", "not stated", "approximate: the shift between the datums is unknown"],
    sheets: ["Sheet", "Value in the data", "Rows"],
    error_columns: ["Row", "Column", "Reason", "Message", "Row as published"],
    more_errors: ["and ", " more rejected rows, which are not listed"],
};

const KOREAN: Words = Words {
    lang: Lang::Ko,
    about: "정보",
    errors: "오류",
    source: "원본",
    rows_written: "기록된 행",
    rows_rejected: "거부된 행",
    rows_sha256: "행의 SHA-256",
    incomplete: ["불완전", "발행자가 알린 행 수 또는 체크섬과 일치하지 않습니다. 빠진 행이 있을 수 있습니다."],
    topology: "토폴로지",
    product: "작성 도구",
    coordinates: "좌표",
    from: "원본 좌표계",
    to: "대상 좌표계",
    operation: "변환 방법",
    accuracy: ["정확도", "명시되지 않음", "근사값: 두 측지계 사이의 이동량을 알 수 없음"],
    sheets: ["시트", "데이터의 값", "행 수"],
    error_columns: ["행", "열", "사유", "설명", "원본 행"],
    more_errors: ["이 밖에 거부된 행 ", "개는 표시하지 않았습니다"],
};

impl Words {
    /// The texts in this language.
    pub fn of(lang: Lang) -> &'static Words {
        match lang {
            Lang::En => &ENGLISH,
            Lang::Ko => &KOREAN,
        }
    }
}

/// The rows of *Errors*: the listed ones, and in the last line how many more there are.
#[derive(Debug)]
pub(super) struct ErrorRows {
    pages: Vec<CompletePage>,
    widths: Vec<u16>,
    rows: u32,
}

impl ErrorRows {
    /// Makes the rows below a header row of [`Words::error_columns`].
    pub fn new(words: &Words, complete: &CompleteUpload, writer: &mut PageWriter) -> ErrorRows {
        let mut made = ErrorRows { pages: Vec::new(), widths: Vec::new(), rows: 0 };
        let mut page = OpenPage::default();
        for error in &complete.errors {
            page.cell(itoa::Buffer::new().format(error.row), ColumnType::Integer);
            page.cell(&clip(error.column.as_deref().unwrap_or_default()), ColumnType::Text);
            page.cell(error.message.reason().code(), ColumnType::Text);
            page.cell(&clip(&error.message.say(words.lang)), ColumnType::Text);
            page.cell(&clip(&error.raw), ColumnType::Text);
            page.end_row();
            if page.is_full() {
                made.cut(&mut page, writer);
            }
        }
        let more = complete.accounting.rejected.saturating_sub(complete.errors.len() as u64);
        if more > 0 {
            let [before, after] = words.more_errors;
            (0..3).for_each(|_| page.blank());
            page.cell(&format!("{before}{more}{after}"), ColumnType::Text);
            page.end_row();
        }
        if page.rows() > 0 {
            made.cut(&mut page, writer);
        }
        made
    }

    /// The worksheet of these rows.
    pub fn sheet<'a>(&'a self, words: &Words, complete: &CompleteUpload) -> RowSheet<'a> {
        RowSheet {
            name: SheetName::parse(words.errors).expect("our own words are short"),
            value: "",
            rows: self.rows,
            filtered: complete.errors.len() as u32,
            pages: &self.pages,
            widths: &self.widths,
        }
    }

    fn cut(&mut self, page: &mut OpenPage, writer: &mut PageWriter) {
        page.widths(&mut self.widths);
        let cut = writer.cut(page, self.rows + 2);
        self.rows += cut.rows;
        self.pages.push(CompletePage::Inline(Arc::new(cut)));
    }
}

/// Writes *About*: one fact a line, then the coordinate operations, then which value became which sheet.
pub(super) fn write_about(
    sheet: &mut Worksheet,
    words: &Words,
    header: &Format,
    facts: &AboutFacts,
    complete: &CompleteUpload,
    data: &[RowSheet<'_>],
) -> Result<(), XlsxError> {
    sheet.set_screen_gridlines(false);
    for (column, width) in [(0, 32.0), (1, 68.0), (2, 12.0)] {
        sheet.set_column_width(column, width)?;
    }
    let mut page = Lines { sheet, next: 0, label: Format::new().set_bold().set_align(FormatAlign::Top) };
    page.text(words.source, &complete.source_name)?;
    page.number(words.rows_written, complete.accounting.written)?;
    page.number(words.rows_rejected, complete.accounting.rejected)?;
    page.text(words.rows_sha256, &Digest(complete.rows_sha256).to_string())?;
    if complete.incomplete {
        page.text(words.incomplete[0], words.incomplete[1])?;
    }
    page.text(words.topology, &format!("{} {}", facts.topology, facts.topology_hash))?;
    page.text(words.product, concat!("sheetstream ", env!("CARGO_PKG_VERSION")))?;

    for pair in complete.operations.as_ref().unwrap_or(&facts.crs) {
        page.next += 1;
        page.heading(&[words.coordinates, "", ""], header)?;
        page.text(words.from, &crs_text(&pair.from))?;
        page.text(words.to, &crs_text(&pair.to))?;
        page.text(words.operation, &pair.operation)?;
        page.text(words.accuracy[0], &accuracy_text(words, pair))?;
    }

    page.next += 1;
    page.heading(&words.sheets, header)?;
    for entry in data {
        let line = page.next;
        page.sheet.write_string(line, 0, entry.name.as_str())?;
        page.sheet.write_string(line, 1, clip(entry.value))?;
        page.sheet.write_number(line, 2, entry.rows)?;
        page.next += 1;
    }
    Ok(())
}

/// The next free line of *About*.
struct Lines<'a> {
    sheet: &'a mut Worksheet,
    next: u32,
    label: Format,
}

impl Lines<'_> {
    fn heading(&mut self, texts: &[&str], format: &Format) -> Result<(), XlsxError> {
        for (column, text) in (0..).zip(texts) {
            self.sheet.write_string_with_format(self.next, column, *text, format)?;
        }
        self.next += 1;
        Ok(())
    }
    fn text(&mut self, label: &str, text: &str) -> Result<(), XlsxError> {
        let wrapped = Format::new().set_text_wrap().set_align(FormatAlign::Top);
        self.sheet.write_string_with_format(self.next, 0, label, &self.label)?;
        self.sheet.write_string_with_format(self.next, 1, clip(text), &wrapped)?;
        self.next += 1;
        Ok(())
    }
    fn number(&mut self, label: &str, number: u64) -> Result<(), XlsxError> {
        let left = Format::new().set_align(FormatAlign::Left);
        self.sheet.write_string_with_format(self.next, 0, label, &self.label)?;
        self.sheet.write_number_with_format(self.next, 1, number as f64, &left)?;
        self.next += 1;
        Ok(())
    }
}

fn crs_text(crs: &CrsInfo) -> String {
    if crs.definition == crs.name { crs.name.clone() } else { format!("{} ({})", crs.name, crs.definition) }
}

fn accuracy_text(words: &Words, pair: &CrsPair) -> String {
    let [_, not_stated, ballpark] = words.accuracy;
    match pair.accuracy_m {
        _ if pair.ballpark => ballpark.to_owned(),
        Some(metres) => format!("{metres} m"),
        None => not_stated.to_owned(),
    }
}

/// As much of a text as a cell takes.
pub(super) fn clip(text: &str) -> Cow<'_, str> {
    if text.len() <= CELL_UNITS_MAX {
        return Cow::Borrowed(text);
    }
    let mut units = 0;
    let fits = |c: &char| {
        units += c.len_utf16();
        units <= CELL_UNITS_MAX
    };
    Cow::Owned(text.chars().take_while(fits).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_name_their_sheets_as_excel_allows() {
        for words in [&ENGLISH, &KOREAN] {
            assert!(SheetName::parse(words.about).is_some() && SheetName::parse(words.errors).is_some());
        }
    }

    #[test]
    fn long_texts_are_clipped_to_what_a_cell_takes() {
        for text in ["a".repeat(40_000), "한".repeat(40_000), "😀".repeat(40_000)] {
            let units = clip(&text).encode_utf16().count();
            assert!((CELL_UNITS_MAX - 1..=CELL_UNITS_MAX).contains(&units));
        }
        assert_eq!(clip(&"한".repeat(20_000)).chars().count(), 20_000);
    }
}
