//! Texts that people and databases write where there is no value.

/// The usual ones, in lower case and without blanks.
const WORDS: [&str; 29] = [
    "\\n",
    "null",
    "(null)",
    "<null>",
    "nil",
    "none",
    "nan",
    "na",
    "n/a",
    "n.a.",
    "#n/a",
    "#value!",
    "#ref!",
    "#div/0!",
    "unknown",
    "없음",
    "(없음)",
    "미상",
    "불명",
    "미확인",
    "확인불가",
    "미등록",
    "미입력",
    "미정",
    "해당없음",
    "해당사항없음",
    "정보없음",
    "자료없음",
    "좌표없음",
];

/// Whether a cell says that there is no value: it is empty, one of the usual words in any case, or dashes, dots or question marks alone.
pub fn is_no_value(cell: &str) -> bool {
    let is_mark = |c: char| "-–—―ㅡ－.?".contains(c);
    let text = cell.trim();
    if text.is_empty() || text.chars().all(is_mark) {
        return true;
    }
    // No word is longer, and most cells are numbers.
    if text.len() > 32 || text.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let word: String = text.to_lowercase().chars().filter(|c| !c.is_whitespace()).collect();
    WORDS.contains(&&*word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_marks_say_that_there_is_no_value() {
        for cell in [
            "",
            " ",
            "-",
            "--",
            "—",
            "?",
            ".",
            "NULL",
            "\\N",
            "N/A",
            "#N/A",
            "NaN",
            "없음",
            " 확인 불가 ",
            "해당 없음",
            "좌표 없음",
        ] {
            assert!(is_no_value(cell), "{cell:?}");
        }
        for cell in ["0", "-1", "37.5", ".5", "없음동", "Nan-do", "x", "미상리 12"] {
            assert!(!is_no_value(cell), "{cell:?}");
        }
    }
}
