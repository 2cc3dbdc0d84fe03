//! How wide a cell is on the screen.

use super::link;
use super::styles::StyleId;

/// Characters that a column is made wide for at most.
const WIDTH_MAX: u16 = 60;

/// Characters that a cell takes on the screen, counted up to the widest column.
pub fn width(style: StyleId, value: &[u8]) -> u16 {
    match style {
        StyleId::TEXT => {
            let mut width = 0;
            for character in std::str::from_utf8(value).unwrap_or_default().chars() {
                width += if is_wide(character) { 2 } else { 1 };
                if width >= WIDTH_MAX {
                    return WIDTH_MAX;
                }
            }
            width
        }
        StyleId::LINK => columns_of(link::shown(&String::from_utf8_lossy(value))) as u16,
        StyleId::BOOLEAN if value == b"1" => 4,
        StyleId::BOOLEAN => 5,
        StyleId::DATE => 10,
        StyleId::DATETIME => 19,
        number => {
            // "0.00" shows a point and two decimals, whatever the cell contains.
            let whole = value.iter().position(|byte| *byte == b'.').unwrap_or(value.len());
            let behind = number.num_format().map_or(0, |format| format.len() - 1);
            u16::try_from(whole + behind).map_or(WIDTH_MAX, |width| width.min(WIDTH_MAX))
        }
    }
}

/// Columns of a terminal that a text takes.
pub fn columns_of(text: &str) -> usize {
    text.chars().map(|character| if is_wide(character) { 2 } else { 1 }).sum()
}

/// The blocks of East Asian wide and full-width characters (UAX #11) that are met in practice.
fn is_wide(character: char) -> bool {
    matches!(character,
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{303e}' | '\u{3041}'..='\u{a4cf}' | '\u{a960}'..='\u{a97c}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff01}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}' | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}')
}
