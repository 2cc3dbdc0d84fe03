//! The sheet *Summary*: a line for each sheet with its rows and the extent of its numbers, and a line for all of them.

use std::sync::Arc;

use crate::page::{OpenPage, PageWriter, StyleId};
use crate::record::{ColumnLook, ColumnType, NumberRange, SheetName};
use crate::sink::formats::HeaderAlign;
use crate::sink::points::place;
use crate::sink::sheet::{Cell, RowSheet, write_row};
use crate::sink::skeleton::SheetTemplate;
use crate::sink::words::Words;
use crate::sink::{AboutFacts, CompletePage, CompleteUpload, WorkbookConfig};

/// The lines of *Summary*.
#[derive(Debug)]
pub(super) struct Summary {
    /// Names of the columns.
    names: Vec<String>,
    lines: CompletePage,
    looks: Vec<ColumnLook>,
    sheets: u32,
}

/// A line: the sheet, its rows, and of each column its range.
struct Line<'a> {
    sheet: &'a str,
    rows: u64,
    ranges: Vec<Option<NumberRange>>,
}

impl Summary {
    /// The summary of the sheets `data` of an upload.
    pub(super) fn new(
        words: &Words,
        config: &WorkbookConfig,
        facts: &AboutFacts,
        complete: &CompleteUpload,
        data: &[RowSheet<'_>],
        template: &SheetTemplate,
        writer: &mut PageWriter,
    ) -> Summary {
        let header = || complete.columns.iter().map(|(name, _)| name.as_str());
        let wanted = facts.coordinates.iter().flatten().chain(config.summary_numbers.iter());
        let columns: Vec<usize> = wanted.filter_map(|name| place(header(), name)).collect();
        let mut names: Vec<String> = words.summary_columns.map(String::from).into();
        for column in &columns {
            let name = complete.title(&complete.columns[*column].0);
            names.extend(words.least_and_greatest.map(|word| format!("{name} {word}")));
        }
        let mut lines = Vec::with_capacity(complete.sheets.len() + 1);
        let worksheets = data.chunk_by(|a, b| a.value == b.value);
        for (sheet, worksheets) in complete.sheets.iter().zip(worksheets) {
            let range = |column: &usize| sheet.ranges.get(*column).copied().flatten();
            lines.push(Line {
                sheet: worksheets[0].name.as_str(),
                rows: worksheets.iter().map(|worksheet| u64::from(worksheet.rows)).sum(),
                ranges: columns.iter().map(range).collect(),
            });
        }
        let sheets = lines.len() as u32;
        lines.push(total(words, &lines, columns.len()));
        let (xml, looks) = write(&lines, sheets, config, template);
        let rows = lines.len() as u32;
        let page = crate::page::CutPage { rows, ..writer.wrap(&xml) };
        Summary { names, lines: CompletePage::Inline(Arc::new(page)), looks, sheets }
    }

    /// Names of the columns, and how they are aligned.
    pub(super) fn columns(&self) -> Vec<(&str, HeaderAlign)> {
        let align = |at| if at == 0 { HeaderAlign::Left } else { HeaderAlign::Right };
        self.names.iter().enumerate().map(|(at, name)| (name.as_str(), align(at))).collect()
    }

    /// The worksheet.
    pub(super) fn sheet<'a>(&'a self, words: &Words) -> RowSheet<'a> {
        RowSheet {
            name: SheetName::parse(words.summary).expect("our own words are short"),
            value: "",
            rows: self.sheets + 1,
            filtered: self.sheets,
            pages: std::slice::from_ref(&self.lines),
            looks: &self.looks,
        }
    }
}

/// The line for all sheets.
fn total<'a>(words: &Words, lines: &[Line<'_>], columns: usize) -> Line<'a> {
    let range = |column: usize| {
        let ranges = lines.iter().filter_map(|line| line.ranges[column]);
        ranges.reduce(|a, b| NumberRange {
            min: a.min.min(b.min),
            max: a.max.max(b.max),
            decimals: a.decimals.max(b.decimals),
        })
    };
    Line {
        sheet: words.all_sheets,
        rows: lines.iter().map(|line| line.rows).sum(),
        ranges: (0..columns).map(range).collect(),
    }
}

/// The XML of the lines, of which the first `sheets` link to theirs.
fn write(
    lines: &[Line<'_>],
    sheets: u32,
    config: &WorkbookConfig,
    template: &SheetTemplate,
) -> (Vec<u8>, Vec<ColumnLook>) {
    let (mut xml, mut looks) = (Vec::new(), Vec::new());
    let [count, total_text, total_count, total_number] = template.summary_styles;
    for (number, line) in (0..).zip(lines) {
        let is_total = number == sheets;
        let mut shown = OpenPage::default();
        let rows = line.rows.to_string();
        shown.cell(line.sheet, ColumnType::Text);
        shown.cell(&format!("{rows}{}", ",".repeat(rows.len() / 3)), ColumnType::Text);
        let mut ends = Vec::with_capacity(2 * line.ranges.len());
        for range in &line.ranges {
            let decimals = range.map_or(0, |range| range.decimals);
            let style = if is_total { total_number } else { template.styles.index(StyleId::number(decimals)) };
            for end in range.map_or([None; 2], |range| [Some(range.min), Some(range.max)]) {
                shown.float(end.unwrap_or(f64::NAN), decimals);
                ends.push((end.map_or_else(String::new, |end| end.to_string()), style));
            }
        }
        shown.end_row();
        shown.looks(&mut looks);
        let mut cells = match is_total {
            true => vec![Cell::Text(line.sheet, total_text), Cell::Number(&rows, total_count)],
            false => {
                let link = template.styles.index(StyleId::LINK);
                vec![Cell::Sheet(line.sheet, link), Cell::Number(&rows, count)]
            }
        };
        cells.extend(ends.iter().map(|(text, style)| match text.as_str() {
            "" => Cell::Text("", *style),
            number => Cell::Number(number, *style),
        }));
        write_row(number + 2, None, &cells, config.cell_refs, &mut xml);
    }
    (xml, looks)
}
