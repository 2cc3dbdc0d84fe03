//! Puts a workbook together: the parts of a skeleton, and for each sheet of rows a frame around its pages, which are taken as they are.
//! So the work grows with the sheets, not with the rows.

use std::sync::Arc;

use crate::page::{PageWriter, Styles};
use crate::record::{ColumnType, Message, Rejection};
use crate::sink::about::write_about;
use crate::sink::errors::{ErrorLook, ErrorRows, error_columns};
use crate::sink::formats::HeaderAlign;
use crate::sink::package::Package;
use crate::sink::sheet::{Frame, RowSheet};
use crate::sink::sheet_lists::{Listed, SheetList};
use crate::sink::sheet_names::SheetNamer;
use crate::sink::skeleton::{SheetTemplate, Skeleton, TEMPLATE_PART, broken, worksheet_number, worksheet_part};
use crate::sink::summary::Summary;
use crate::sink::words::Words;
use crate::sink::{AboutFacts, COLUMNS_MAX, CompleteUpload, SHEET_ROWS_MAX, SinkConfig};

pub use crate::sink::package::Workbook;

/// Makes the workbooks of one topology.
#[derive(Debug)]
pub struct WorkbookMaker {
    config: Arc<SinkConfig>,
    about: AboutFacts,
    template: SheetTemplate,
    template_crc: u32,
}

impl WorkbookMaker {
    /// Fixes the styles and all else that follows from the topology.
    ///
    /// # Errors
    /// `workbook.failed` if the library that makes skeletons does not work as expected.
    pub fn new(config: Arc<SinkConfig>, about: AboutFacts) -> Result<WorkbookMaker, Rejection> {
        let text = Skeleton::make(&config.workbook, "", |_, _| Ok(()))?.template()?;
        let template = SheetTemplate::parse(&text).ok_or_else(|| broken("unexpected template"))?;
        Ok(WorkbookMaker { config, about, template, template_crc: crc32fast::hash(text.as_bytes()) })
    }

    /// The styles that pages of these workbooks carry; the same for the same topology and release.
    pub fn styles(&self) -> &Styles {
        &self.template.styles
    }

    /// The workbook of an upload: the same bytes for the same content.
    ///
    /// # Errors
    /// `sheet.too_many_columns`; `workbook.failed` if pages contradict what is said of them.
    pub fn assemble(&self, complete: &CompleteUpload) -> Result<Workbook, Rejection> {
        self.assemble_with(complete, SHEET_ROWS_MAX)
    }

    /// As [`WorkbookMaker::assemble`], with worksheets of at most `rows_max` rows.
    pub(super) fn assemble_with(&self, complete: &CompleteUpload, rows_max: u64) -> Result<Workbook, Rejection> {
        let config = &self.config.workbook;
        let columns = complete.columns.len();
        if columns > COLUMNS_MAX {
            return Err(Rejection::new(Message::SheetTooWide { columns, limit: COLUMNS_MAX }));
        }
        let words = Words::of(config.lang);
        let mut writer = PageWriter::new(self.template.styles.clone(), config.cell_refs);
        let mut namer = SheetNamer::new(&words.reserved(), config.lang);
        let data = RowSheet::all(complete, &mut namer, rows_max)?;
        let names = complete.columns.iter().enumerate();
        let names: Vec<_> =
            names.map(|(at, (name, kind))| (complete.title(name), alignment(*kind, at, complete))).collect();
        let data_frame = Frame::new(&self.template, &names, config, &mut writer);

        let summary = (config.summary || complete.extras.summary).then(|| {
            let summary = Summary::new(words, config, &self.about, complete, &data, &self.template, &mut writer);
            let frame = Frame::new(&self.template, &summary.columns(), config, &mut writer);
            (summary, frame)
        });
        let summary_sheet = summary.as_ref().map(|(summary, frame)| (summary.sheet(words), frame));
        let mut sheets: Vec<(&RowSheet<'_>, &Frame)> = Vec::with_capacity(data.len() + 2);
        sheets.extend(summary_sheet.as_ref().map(|(sheet, frame)| (sheet, *frame)));
        sheets.extend(data.iter().map(|sheet| (sheet, &data_frame)));

        let errors = (complete.accounting.rejected > 0).then(|| {
            let frame = Frame::new(&self.template, &error_columns(words, complete), config, &mut writer);
            let look = ErrorLook { styles: self.template.wrapped_styles, cell_refs: config.cell_refs };
            (ErrorRows::new(words, complete, look, &mut writer), frame)
        });
        let error_sheet = errors.as_ref().map(|(rows, frame)| (rows.sheet(words, complete), frame));
        sheets.extend(error_sheet.as_ref().map(|(sheet, frame)| (sheet, *frame)));

        let list = |(sheet, frame): &(&RowSheet<'_>, &Frame)| Listed {
            name: sheet.name.to_string(),
            filter: frame.filter(sheet),
            repeats_header: frame.has_columns(),
        };
        let mut listed: Vec<Listed> = sheets.iter().map(list).collect();
        if config.about {
            listed.push(Listed { name: words.about.to_owned(), filter: None, repeats_header: false });
        }
        let skeleton = Skeleton::make(config, &complete.source_name, |workbook, formats| {
            if config.about {
                let sheet = workbook.add_worksheet().set_name(words.about)?;
                write_about(sheet, words, formats, &self.about, complete, &data)?;
            }
            Ok(())
        })?;

        let mut package = Package::default();
        for part in skeleton.parts() {
            if part.name == TEMPLATE_PART {
                if part.facts.crc != self.template_crc {
                    return Err(broken("the template depends on the upload"));
                }
                for (index, (sheet, frame)) in sheets.iter().enumerate() {
                    frame.add(sheet, &worksheet_part(index + 1), index == 0, &mut writer, &mut package);
                }
            } else if let Some(number) = worksheet_number(&part.name) {
                // The second worksheet of the skeleton is the first one behind ours.
                package.raw(&worksheet_part(sheets.len() + number - 1), &part.facts, skeleton.raw(part));
            } else if let Some(list) = SheetList::of(&part.name) {
                let xml = list.with_sheets(&skeleton.xml(part)?, &listed);
                let xml = xml.ok_or_else(|| broken(format_args!("unexpected {}", part.name)))?;
                package.xml(&part.name, &writer.wrap(xml.as_bytes()));
            } else {
                package.raw(&part.name, &part.facts, skeleton.raw(part));
            }
        }
        Ok(package.finish())
    }
}

/// Aligns the name of a column as its cells. For a column without a type, its first pages show the alignment.
fn alignment(kind: ColumnType, at: usize, complete: &CompleteUpload) -> HeaderAlign {
    let looks = || complete.sheets.iter().filter_map(|sheet| sheet.looks.get(at));
    match kind {
        ColumnType::Number | ColumnType::Integer | ColumnType::Computed { .. } => HeaderAlign::Right,
        ColumnType::Auto if looks().any(|look| look.has_numbers) && !looks().any(|look| look.has_texts) => {
            HeaderAlign::Right
        }
        ColumnType::Date | ColumnType::DateTime | ColumnType::Boolean => HeaderAlign::Center,
        ColumnType::Auto | ColumnType::Text | ColumnType::Link { .. } => HeaderAlign::Left,
    }
}
