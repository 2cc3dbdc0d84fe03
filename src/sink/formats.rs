//! The cell formats of a workbook. All of them are in the font that spreadsheets of its language begin with, so that Hangul looks as people
//! know it.

use rust_xlsxwriter::{Color, Format, FormatAlign, FormatBorder, FormatUnderline};

use crate::page::StyleId;
use crate::sink::Lang;

const HEADER_FILL: &str = "#DDE7F3";
const HEADER_LINE: &str = "#8AA4C4";
const COUNT: &str = "#,##0";
/// Excel's colour of links.
const LINK: u32 = 0x05_63_C1;

/// Pixels of an empty row, as Excel writes it for files whose rows are as high as their text. Any other height would be kept for wrapped
/// text.
pub(super) const ROW_PIXELS: u32 = 20;

/// A font and what Excel makes of it, in pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Font {
    /// `None` is the library's own, Calibri, which follows the theme.
    name: Option<&'static str>,
    /// Width of a digit, of which column widths are multiples.
    pub digit: u32,
    /// Width of an empty column.
    pub column: u32,
}

const ENGLISH: Font = Font { name: None, digit: 7, column: 64 };
const KOREAN: Font = Font { name: Some("맑은 고딕"), digit: 8, column: 72 };

impl Font {
    /// The font of a language.
    pub(super) fn of(lang: Lang) -> Font {
        match lang {
            Lang::En => ENGLISH,
            Lang::Ko => KOREAN,
        }
    }
}

/// The formats in one font.
#[derive(Clone, Debug)]
pub(super) struct Formats {
    /// Cells without a format of their own.
    pub plain: Format,
    /// Names of columns, in the order of [`HeaderAlign`].
    pub headers: [Format; 3],
    /// Text that may take several lines.
    pub wrapped: Format,
    /// A number beside such text.
    pub number: Format,
    /// A count on *About*, with separators.
    pub count: Format,
    /// The label of a line of *About*.
    pub label: Format,
    /// The title of *About*.
    pub title: Format,
    /// A link.
    pub link: Format,
    /// On *Summary*: a count, and below all lines text, a count and any other number.
    pub summary: [Format; 4],
}

/// The alignment of a column's name, the same as that of its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderAlign {
    /// Text.
    Left,
    /// Numbers.
    Right,
    /// Days, and `TRUE` and `FALSE`.
    Center,
}

impl Formats {
    /// The formats in the font of a language.
    pub(super) fn of(lang: Lang) -> Formats {
        let plain = match Font::of(lang).name {
            Some(name) => Format::new().set_font_name(name),
            None => Format::new(),
        };
        let header = plain
            .clone()
            .set_bold()
            .set_background_color(HEADER_FILL)
            .set_border_bottom(FormatBorder::Thin)
            .set_border_bottom_color(HEADER_LINE);
        let top = plain.clone().set_align(FormatAlign::Top);
        let count = to_the_right(plain.clone()).set_num_format(COUNT);
        let total = plain.clone().set_bold().set_border_top(FormatBorder::Thin).set_border_top_color(HEADER_LINE);
        let total_number = to_the_right(total.clone());
        let left = top.clone().set_align(FormatAlign::Left);
        Formats {
            headers: [header.clone(), to_the_right(header.clone()), header.set_align(FormatAlign::Center)],
            wrapped: top.clone().set_text_wrap(),
            number: to_the_right(top.clone()).set_num_format("0"),
            count: left.set_num_format(COUNT),
            label: top.set_bold(),
            title: plain.clone().set_bold().set_font_size(16),
            summary: [count, total, total_number.clone().set_num_format(COUNT), total_number],
            link: plain.clone().set_font_color(Color::RGB(LINK)).set_underline(FormatUnderline::Single),
            plain,
        }
    }
    /// The cells of a style of pages.
    pub(super) fn of_style(&self, style: StyleId) -> Option<Format> {
        if style == StyleId::LINK {
            return Some(self.link.clone());
        }
        let format = self.plain.clone().set_num_format(style.num_format()?);
        Some(match style {
            StyleId::DATE | StyleId::DATETIME => format.set_align(FormatAlign::Center),
            _ => to_the_right(format),
        })
    }
}

/// Numbers keep clear of the text in the column to their right.
fn to_the_right(format: Format) -> Format {
    format.set_align(FormatAlign::Right).set_indent(1)
}
