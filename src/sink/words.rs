//! The words of the sheets that explain a workbook, in every language.

use std::borrow::Cow;

use crate::page::cells::CELL_UNITS_MAX;
use crate::sink::Lang;

/// The columns of *Errors* before those of the file: row, reason, column, code.
pub const EXPLAINING_COLUMNS: usize = 4;

/// Every text of the two sheets.
#[derive(Debug)]
pub(super) struct Words {
    pub lang: Lang,
    /// Name of the sheet about the workbook.
    pub about: &'static str,
    /// Name of the sheet of failed rows.
    pub errors: &'static str,
    /// Name of the sheet that lists the others.
    pub summary: &'static str,
    pub summary_columns: [&'static str; 2],
    /// Behind the name of a column: its least and its greatest number.
    pub least_and_greatest: [&'static str; 2],
    pub all_sheets: &'static str,
    pub title: &'static str,
    pub source: &'static str,
    pub rows_written: &'static str,
    pub rows_rejected: &'static str,
    pub rows_filtered: &'static str,
    pub rows_distant: [&'static str; 2],
    pub rows_unplaced: &'static str,
    pub incomplete: [&'static str; 2],
    pub coordinates: &'static str,
    /// In the place of what was done with coordinates.
    pub no_coordinates: [&'static str; 2],
    pub from: &'static str,
    /// In the place of a CRS, where a column of each row names it.
    pub row_crs: &'static str,
    pub to: &'static str,
    pub accuracy: [&'static str; 3],
    pub sheets: [&'static str; 3],
    /// Where the links of rows lead, and what that means.
    pub links: [&'static str; 2],
    pub details: &'static str,
    pub operation: &'static str,
    pub row_operation: &'static str,
    pub topology: &'static str,
    pub rows_sha256: &'static str,
    pub product: &'static str,
    /// Columns of the sheet of failed rows, before those of the file.
    pub error_columns: [&'static str; EXPLAINING_COLUMNS],
    pub more_errors: [&'static str; 2],
}

const ENGLISH: Words = Words {
    lang: Lang::En,
    about: "About",
    errors: "Errors",
    summary: "Summary",
    summary_columns: ["Sheet", "Rows"],
    least_and_greatest: ["least", "greatest"],
    all_sheets: "All sheets",
    title: "About this workbook",
    source: "Made from",
    rows_written: "Rows in this workbook",
    rows_rejected: "Rows rejected",
    rows_filtered: "Rows left out by a filter",
    rows_distant: [
        "Rows in a distant place",
        "far outside the area that the target system is for: look at their coordinates",
    ],
    rows_unplaced: "Rows without coordinates",
    incomplete: ["Incomplete", "The publisher's row count or checksum was not met: rows may be missing."],
    coordinates: "Coordinates",
    no_coordinates: ["None", "The file has no coordinates; its columns are as they came."],
    from: "From",
    row_crs: "the system that {column} names in each row",
    to: "To",
    accuracy: ["Accuracy", "not stated", "approximate: the shift between the datums is unknown"],
    sheets: ["Sheet", "Value in the data", "Rows"],
    links: ["Links lead to", "whoever follows a link tells this site the place"],
    details: "Details",
    operation: "Operation",
    row_operation: "the best one of each system",
    topology: "Topology",
    rows_sha256: "SHA-256 of the rows",
    product: "Made by",
    error_columns: ["Data row", "Reason", "Column", "Code"],
    more_errors: ["and ", " more rejected rows, which are not listed"],
};

const KOREAN: Words = Words {
    lang: Lang::Ko,
    about: "정보",
    errors: "오류",
    summary: "요약",
    summary_columns: ["시트", "행 수"],
    least_and_greatest: ["최솟값", "최댓값"],
    all_sheets: "전체",
    title: "이 엑셀 파일에 대하여",
    source: "원본 파일",
    rows_written: "담긴 행",
    rows_rejected: "오류 행",
    rows_filtered: "조건에 맞지 않아 뺀 행",
    rows_distant: ["먼 곳에 있는 행", "변환 좌표계를 쓰는 지역에서 멀리 벗어났으니 좌표를 확인하세요"],
    rows_unplaced: "좌표가 없는 행",
    incomplete: ["불완전", "보낸 쪽이 알린 행 수 또는 검증값과 일치하지 않습니다. 빠진 행이 있을 수 있습니다."],
    coordinates: "좌표",
    no_coordinates: ["없음", "파일에 좌표가 없어 열을 원본 그대로 담았습니다."],
    from: "원본 좌표계",
    row_crs: "행마다 {column} 열에 적힌 좌표계",
    to: "변환 좌표계",
    accuracy: ["정확도", "명시되지 않음", "근사값: 두 측지계 사이의 이동량을 알 수 없음"],
    sheets: ["시트", "원본 값", "행 수"],
    links: ["지도 링크", "링크를 열면 그 위치가 이 사이트에 전달됩니다"],
    details: "세부 정보",
    operation: "변환 방법",
    row_operation: "좌표계마다 가장 정확한 방법",
    topology: "변환 설정",
    rows_sha256: "자료 검증값(SHA-256)",
    product: "작성 도구",
    error_columns: ["자료 행", "이유", "열", "코드"],
    more_errors: ["이 밖의 오류 행 ", "개는 표시하지 않았습니다"],
};

impl Words {
    /// The names of our own sheets: no sheet of rows has them.
    pub(super) fn reserved(&self) -> [&'static str; 3] {
        [self.about, self.errors, self.summary]
    }
    /// The texts in this language.
    pub(super) fn of(lang: Lang) -> &'static Words {
        match lang {
            Lang::En => &ENGLISH,
            Lang::Ko => &KOREAN,
        }
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
    use crate::record::SheetName;

    #[test]
    fn both_languages_name_their_sheets_as_excel_allows() {
        for words in [&ENGLISH, &KOREAN] {
            assert!([words.about, words.errors, words.summary].iter().all(|name| SheetName::parse(name).is_some()));
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
