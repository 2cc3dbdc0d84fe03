//! Recognizes rows that sum up others, as spreadsheets have them below a table.

/// Words for a total, in lower case.
const WORDS: [&str; 12] =
    ["합계", "총계", "소계", "누계", "총합계", "총합", "합", "계", "total", "totals", "subtotal", "sum"];

/// Letters of a unit behind a number.
const UNIT_CHARS_MAX: usize = 2;

/// True when a row has a word for a total, one number or more, and nothing else.
pub(super) fn is_total<'a>(cells: impl Iterator<Item = &'a str>) -> bool {
    let (mut words, mut numbers) = (0, 0);
    for cell in cells.map(str::trim).filter(|cell| !cell.is_empty()) {
        if is_number(cell) {
            numbers += 1;
        } else if names_a_total(cell) {
            words += 1;
        } else {
            return false;
        }
    }
    words > 0 && numbers > 0
}

/// `합 계`, `(총계)`, `Grand Total:`, `마포구 소계`.
fn names_a_total(cell: &str) -> bool {
    let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
    let is_word = |text: String| WORDS.contains(&&*text);
    // A word of one letter is none behind a name.
    let last = cell.rsplit(char::is_whitespace).next().map(letters).filter(|last| last.chars().count() > 1);
    is_word(letters(cell)) || last.is_some_and(is_word)
}

/// `1,234.5`, `-12%`, `₩5,000`, `30건`, `48개소`.
fn is_number(cell: &str) -> bool {
    let unit = |c: char| ('가'..='힣').contains(&c);
    let number = cell.trim_end_matches(unit);
    if cell[number.len()..].chars().count() > UNIT_CHARS_MAX {
        return false;
    }
    let is_part = |c: char| c.is_ascii_digit() || c.is_whitespace() || ",.+-%₩$€()".contains(c);
    number.contains(|c: char| c.is_ascii_digit()) && number.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_for_a_total_and_numbers_are_a_total() {
        for cells in [
            &["합계", "", "", "30"][..],
            &["", "합 계", "1,234.5", "12%"],
            &["(총계)", "30건"],
            &["합계", "48개소", "49,152명"],
            &["Grand Total:", "-5"],
            &["마포구 소계", " ₩5,000 "],
            &["TOTAL", "SUM", "1"],
        ] {
            assert!(is_total(cells.iter().copied()), "{cells:?}");
        }
        for cells in [
            &["합계", "", ""][..],
            &["", "", "30"],
            &["합계", "서울", "30"],
            &["회계", "30"],
            &["Total Coffee", "30"],
            &["홍 계", "30"],
            &["합계", "2024-01-05T00:00"],
            &[],
        ] {
            assert!(!is_total(cells.iter().copied()), "{cells:?}");
        }
    }
}
