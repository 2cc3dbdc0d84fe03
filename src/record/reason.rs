//! What each reason code means and what to do about it, in the languages of workbooks and of the page. What was found in one case is said by
//! a [`Message`](super::Message).

use super::{Lang, Reason};

impl Reason {
    /// One sentence: what the code means and what to do about it.
    pub fn explain(self, lang: Lang) -> &'static str {
        let [english, korean] = self.sentences();
        match lang {
            Lang::En => english,
            Lang::Ko => korean,
        }
    }

    fn sentences(self) -> [&'static str; 2] {
        match self {
            Reason::CsvUnclosedQuote => [
                "A quote is opened and not closed in its row: close it, or double quotes that are text.",
                "따옴표가 열린 뒤 같은 행에서 닫히지 않았습니다. 따옴표를 닫거나, 글자로 쓰인 따옴표는 두 번 쓰세요.",
            ],
            Reason::CsvBadQuote => [
                "A quote is where none can be: put the whole field in quotes and double the quotes inside.",
                "따옴표가 있을 수 없는 자리에 있습니다. 칸 전체를 따옴표로 감싸고 안쪽 따옴표는 두 번 쓰세요.",
            ],
            Reason::CsvFieldCount => [
                "The row has more or fewer fields than the header: look for a missing or an unquoted delimiter.",
                "행의 칸 수가 제목 행과 다릅니다. 빠진 구분 문자나 따옴표 없이 쓰인 구분 문자가 있는지 확인하세요.",
            ],
            Reason::CsvRepeatedHeader => [
                "The header is among the rows again, as in files that were joined: take it out.",
                "제목 행이 자료 사이에 다시 나옵니다. 파일을 이어 붙인 경우 중복된 제목 행을 지우세요.",
            ],
            Reason::CsvDelimiter => [
                "Nearly every row is one field: the file has another delimiter than the topology says.",
                "거의 모든 행이 한 칸으로 읽힙니다. 파일의 구분 문자가 토폴로지의 설정과 다릅니다.",
            ],
            Reason::CsvNoHeader => [
                "Rows came and no header: send a header marker first, or declare the columns in the topology.",
                "행은 왔지만 제목 행이 없습니다. 제목 행 표식을 먼저 보내거나 토폴로지에 열을 선언하세요.",
            ],
            Reason::HeaderConflict => [
                "One upload has two different headers: begin a new attempt, and publish it under one header.",
                "한 업로드에 서로 다른 제목 행이 있습니다. 새로 시작하여 하나의 제목 행으로 다시 올리세요.",
            ],
            Reason::TextControl => [
                "A workbook cannot hold a control character: take it out, or set control = \"strip\".",
                "엑셀 파일에 넣을 수 없는 제어 문자가 있습니다. 지우거나 control = \"strip\"으로 설정하세요.",
            ],
            Reason::TextEncoding => [
                "The row is not UTF-8: publish the file with `sheetstream publish`, which finds its charset.",
                "행이 UTF-8이 아닙니다. 문자 집합을 찾아 주는 `sheetstream publish`로 파일을 보내세요.",
            ],
            Reason::CellTooLong => [
                "A cell has more than Excel's 32,767 characters: shorten it, or set long_cells = \"truncate\".",
                "셀이 Excel의 한도인 32,767자를 넘습니다. 줄이거나 long_cells = \"truncate\"로 설정하세요.",
            ],
            Reason::RowTooBig => [
                "A row has more than 1 MiB, mostly because a quote is not closed: look at it in the file.",
                "행이 1MiB를 넘습니다. 대개 따옴표가 닫히지 않은 경우이니 파일에서 확인하세요.",
            ],
            Reason::NumberFormat => [
                "The value is not a number: write it with a decimal point and without thousands separators.",
                "값이 숫자가 아닙니다. 소수점을 쓰고 천 단위 구분 기호는 빼세요.",
            ],
            Reason::NumberNotFinite => [
                "The value is infinite or no number at all: leave the cell empty, or write a number.",
                "값이 무한대이거나 숫자가 아닙니다(NaN). 셀을 비우거나 숫자를 쓰세요.",
            ],
            Reason::DateFormat => [
                "The value is not a date: write 2026-01-31, with a time 2026-01-31T09:30:00.",
                "값이 날짜가 아닙니다. 2026-01-31, 시각이 있으면 2026-01-31T09:30:00처럼 쓰세요.",
            ],
            Reason::BooleanFormat => [
                "The value is neither true nor false: write true, false, yes, no, 1 or 0.",
                "참/거짓 값이 아닙니다. true, false, yes, no, 1, 0 가운데 하나로 쓰세요.",
            ],
            Reason::CoordMissing => [
                "The row has no coordinates: fill them in, or leave the row out.",
                "행에 좌표가 없습니다. 좌표를 채우거나 행을 빼세요.",
            ],
            Reason::CoordRange => [
                "The point lies outside the area of its coordinate reference system: look for swapped columns or another system.",
                "점이 좌표계의 사용 범위 밖에 있습니다. x·y 열이 바뀌었는지, 좌표계를 잘못 고르지 않았는지 확인하세요.",
            ],
            Reason::GeometryFormat => [
                "The geometry cannot be read as a point: write WKT, hexadecimal WKB or GeoJSON.",
                "도형을 점으로 읽을 수 없습니다. WKT, 16진수 WKB 또는 GeoJSON으로 쓰세요.",
            ],
            Reason::ColumnMissing => [
                "A column that the topology needs is not in the header: rename the column, or name it in the topology.",
                "토폴로지에 필요한 열이 제목 행에 없습니다. 열 이름을 바꾸거나 토폴로지에 그 이름을 적으세요.",
            ],
            Reason::SheetTooManyColumns => [
                "A worksheet has 16,384 columns at most: publish fewer, or choose some with a select map.",
                "시트에는 열이 16,384개까지만 들어갑니다. 열을 줄이거나 select 맵으로 고르세요.",
            ],
            Reason::SheetTooMany => [
                "The rows make more sheets than sheets_max: name the sheets by another column, or raise it.",
                "시트가 sheets_max보다 많아집니다. 다른 열로 시트를 나누거나 값을 올리세요.",
            ],
            Reason::RowDuplicate => [
                "A row with this number came before; the first one counts.",
                "같은 번호의 행이 이미 왔습니다. 먼저 온 행이 쓰입니다.",
            ],
            Reason::RowLate => [
                "The row came after its upload was complete: publish all rows again.",
                "업로드가 끝난 뒤에 온 행입니다. 모든 행을 다시 올리세요.",
            ],
            Reason::RowGap => [
                "Rows between others never came: publish them, or all again.",
                "사이에 빠진 행이 있습니다. 빠진 행이나 전체를 다시 올리세요.",
            ],
            Reason::RecordNoId => [
                "No upload can be found for the record: give it a key, or the header ss-upload.",
                "레코드가 어느 업로드의 것인지 알 수 없습니다. 키나 ss-upload 헤더를 붙이세요.",
            ],
            Reason::RecordNotText => [
                "The value is no CSV text: publish rows as CSV in UTF-8.",
                "값이 CSV가 아닙니다. 행을 UTF-8 CSV로 보내세요.",
            ],
            Reason::RecordMalformed => [
                "The record cannot be decoded: look for a broken producer.",
                "레코드를 해독할 수 없습니다. 프로듀서에 이상이 있는지 확인하세요.",
            ],
            Reason::RecordCorrupt => [
                "The checksum of a batch on the broker is wrong: look at the broker's disks, and publish again.",
                "브로커에 있는 배치의 체크섬이 틀립니다. 브로커의 디스크를 확인하고 다시 올리세요.",
            ],
            Reason::MarkerFormat => [
                "The marker cannot be read: write #EOF rows=20000, or the headers ss-type and ss-rows.",
                "표식을 읽을 수 없습니다. #EOF rows=20000처럼 쓰거나 ss-type, ss-rows 헤더를 쓰세요.",
            ],
            Reason::EofUnknown => [
                "The end belongs to no upload that is open here: its rows may be in another partition, or it has expired.",
                "이곳에 열려 있지 않은 업로드의 끝 표식입니다. 행이 다른 파티션에 있거나 업로드가 만료되었을 수 있습니다.",
            ],
            Reason::UploadIncomplete => [
                "Row count or checksum of the end-of-file marker are not met: publish the missing rows, or all again.",
                "끝 표식의 행 수나 체크섬과 맞지 않습니다. 빠진 행이나 전체를 다시 올리세요.",
            ],
            Reason::UploadCrs => [
                "The upload names a coordinate reference system that cannot be used: choose another one, or none.",
                "업로드가 지정한 좌표계를 쓸 수 없습니다. 다른 좌표계를 고르거나 지정하지 마세요.",
            ],
            Reason::UploadConflict => [
                "Two publishers use this id at once: give each its own, and publish again.",
                "두 곳에서 같은 아이디를 동시에 쓰고 있습니다. 서로 다른 아이디를 쓰고 다시 올리세요.",
            ],
            Reason::UploadExpired => [
                "Nothing came for the idle timeout and no end either: publish it again.",
                "제한 시간 동안 아무것도 오지 않았고 끝 표식도 없었습니다. 다시 올리세요.",
            ],
            Reason::UploadAborted => [
                "Its publisher aborted it: publish it again when it is ready.",
                "보내는 쪽에서 업로드를 중단했습니다. 준비되면 다시 올리세요.",
            ],
            Reason::UploadSplit => [
                "An upload without an id on several partitions may be a part only: give its records a key.",
                "파티션이 여럿인 토픽에 아이디 없이 온 업로드는 일부일 수 있습니다. 레코드에 키를 붙이세요.",
            ],
            Reason::UploadTooMany => [
                "Nearly every row opens an upload, as with a key per row: set upload on the source.",
                "거의 모든 행이 새 업로드를 엽니다(행마다 다른 키). 소스의 upload를 설정하세요.",
            ],
            Reason::LogGap => [
                "Records of the upload are gone from the log: publish it again, and keep the topic for longer.",
                "업로드의 레코드가 로그에서 사라졌습니다. 다시 올리고 토픽의 보존 기간을 늘리세요.",
            ],
            Reason::WorkbookTooLarge => [
                "The broker refuses records of this size: lower record_bytes_max, or raise max.message.bytes.",
                "브로커가 이 크기의 레코드를 받지 않습니다. record_bytes_max를 낮추거나 max.message.bytes를 올리세요.",
            ],
            Reason::WorkbookFailed => [
                "The workbook could not be put together, which is a fault of sheetstream: please report it.",
                "엑셀 파일를 만들지 못했습니다. sheetstream의 결함이니 알려 주세요.",
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_sentence_in_both_languages() {
        let mut seen = std::collections::HashSet::new();
        for reason in Reason::ALL {
            let [english, korean] = [Lang::En, Lang::Ko].map(|lang| reason.explain(lang));
            assert!(english.ends_with('.') && english.is_ascii(), "{reason}");
            assert!(korean.ends_with('.') && korean.chars().any(|c| ('가'..='힣').contains(&c)), "{reason}");
            assert!(seen.insert(english) && seen.insert(korean), "{reason} has a sentence of its own");
        }
    }
}
