//! Reasons in words, in the languages of workbooks and of the page. A [`Rejection`](super::Rejection) says what was found in English, for
//! logs, records and programs; here stands what each code means, and how a message is said in Korean without losing its values.

use super::Reason;

/// Language of what people read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lang {
    /// English.
    En,
    /// Korean.
    Ko,
}

impl Reason {
    /// One sentence: what the code means and what to do about it.
    pub fn explain(self, lang: Lang) -> &'static str {
        let [english, korean] = self.sentences();
        match lang {
            Lang::En => english,
            Lang::Ko => korean,
        }
    }

    /// A message of a rejection for this reason. A message that has no translation is led by the sentence of its code.
    pub fn say(self, lang: Lang, message: &str) -> String {
        match lang {
            Lang::En => message.to_owned(),
            Lang::Ko => in_korean(message).unwrap_or_else(|| format!("{} ({message})", self.explain(Lang::Ko))),
        }
    }

    fn sentences(self) -> [&'static str; 2] {
        match self {
            Reason::CsvUnclosedQuote => [
                "A quote is opened and not closed in its row: close it, or double quotes that are text.",
                "따옴표가 열린 뒤 같은 행에서 닫히지 않았습니다. 따옴표를 닫거나, 글자로 쓰인 따옴표는 두 번 쓰세요.",
            ],
            Reason::CsvBadQuote => [
                "A quote stands where none can be: put the whole field in quotes and double the quotes inside.",
                "따옴표가 있을 수 없는 자리에 있습니다. 필드 전체를 따옴표로 감싸고 안쪽 따옴표는 두 번 쓰세요.",
            ],
            Reason::CsvFieldCount => [
                "The row has more or fewer fields than the header: look for a missing or an unquoted delimiter.",
                "행의 필드 수가 머리글과 다릅니다. 빠진 구분자나 따옴표 없이 쓰인 구분자가 있는지 확인하세요.",
            ],
            Reason::CsvRepeatedHeader => [
                "The header stands among the rows again, as in files that were joined: take it out.",
                "머리글이 행 사이에 다시 나옵니다. 파일을 이어 붙인 경우 중복된 머리글을 지우세요.",
            ],
            Reason::CsvDelimiter => [
                "Nearly every row is one field: the file has another delimiter than the topology says.",
                "거의 모든 행이 필드 하나로 읽힙니다. 파일의 구분자가 토폴로지의 설정과 다릅니다.",
            ],
            Reason::CsvNoHeader => [
                "Rows came and no header: send a header marker first, or declare the columns in the topology.",
                "행은 왔지만 머리글이 없습니다. 머리글 표식을 먼저 보내거나 토폴로지에 열을 선언하세요.",
            ],
            Reason::HeaderConflict => [
                "One upload has two different headers: begin a new attempt, and publish it under one header.",
                "한 업로드에 서로 다른 머리글이 있습니다. 새로 시작하여 하나의 머리글로 다시 발행하세요.",
            ],
            Reason::TextControl => [
                "A control character cannot stand in a workbook: take it out, or set control = \"strip\".",
                "통합 문서에 넣을 수 없는 제어 문자가 있습니다. 지우거나 control = \"strip\"으로 설정하세요.",
            ],
            Reason::TextEncoding => [
                "The row is not UTF-8: publish the file with `sheetstream publish`, which finds its charset.",
                "행이 UTF-8이 아닙니다. 문자 집합을 찾아 주는 `sheetstream publish`로 파일을 발행하세요.",
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
                "값이 참이나 거짓이 아닙니다. true, false, yes, no, 1, 0 가운데 하나로 쓰세요.",
            ],
            Reason::CoordMissing => [
                "The row has no coordinates: fill them in, or leave the row out.",
                "행에 좌표가 없습니다. 좌표를 채우거나 행을 빼세요.",
            ],
            Reason::CoordRange => [
                "The point lies outside the area of its coordinate reference system: look for swapped columns or another system.",
                "점이 좌표계의 사용 범위 밖에 있습니다. 열이 뒤바뀌었거나 다른 좌표계인지 확인하세요.",
            ],
            Reason::GeometryFormat => [
                "The geometry cannot be read as a point: write WKT, hexadecimal WKB or GeoJSON.",
                "도형을 점으로 읽을 수 없습니다. WKT, 16진수 WKB 또는 GeoJSON으로 쓰세요.",
            ],
            Reason::ColumnMissing => [
                "A column that the topology needs is not in the header: rename the column, or name it in the topology.",
                "토폴로지에 필요한 열이 머리글에 없습니다. 열 이름을 바꾸거나 토폴로지에 그 이름을 적으세요.",
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
                "업로드가 끝난 뒤에 온 행입니다. 모든 행을 다시 발행하세요.",
            ],
            Reason::RowGap => [
                "Rows between others never came: publish them, or all again.",
                "사이에 빠진 행이 있습니다. 빠진 행이나 전체를 다시 발행하세요.",
            ],
            Reason::RecordNoId => [
                "No upload can be found for the record: give it a key, or the header ss-upload.",
                "레코드가 어느 업로드의 것인지 알 수 없습니다. 키나 ss-upload 헤더를 붙이세요.",
            ],
            Reason::RecordNotText => [
                "The value is no CSV text: publish rows as CSV in UTF-8.",
                "값이 CSV 글이 아닙니다. 행을 UTF-8 CSV로 발행하세요.",
            ],
            Reason::RecordMalformed => [
                "The record cannot be decoded: look for a broken producer.",
                "레코드를 해독할 수 없습니다. 프로듀서에 이상이 있는지 확인하세요.",
            ],
            Reason::RecordCorrupt => [
                "The checksum of a batch on the broker is wrong: look at the broker's disks, and publish again.",
                "브로커에 있는 배치의 체크섬이 틀립니다. 브로커의 디스크를 확인하고 다시 발행하세요.",
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
                "끝 표식의 행 수나 체크섬과 맞지 않습니다. 빠진 행이나 전체를 다시 발행하세요.",
            ],
            Reason::UploadCrs => [
                "The upload names a coordinate reference system that cannot be used: choose another one, or none.",
                "업로드가 지정한 좌표계를 쓸 수 없습니다. 다른 좌표계를 고르거나 지정하지 마세요.",
            ],
            Reason::UploadConflict => [
                "Two publishers use this id at once: give each its own, and publish again.",
                "두 발행자가 같은 아이디를 동시에 쓰고 있습니다. 아이디를 따로 쓰고 다시 발행하세요.",
            ],
            Reason::UploadExpired => [
                "Nothing came for the idle timeout and no end either: publish it again.",
                "제한 시간 동안 아무것도 오지 않았고 끝 표식도 없었습니다. 다시 발행하세요.",
            ],
            Reason::UploadAborted => [
                "Its publisher gave it up: publish it again when it is ready.",
                "발행자가 업로드를 중단했습니다. 준비되면 다시 발행하세요.",
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
                "업로드의 레코드가 로그에서 사라졌습니다. 다시 발행하고 토픽의 보존 기간을 늘리세요.",
            ],
            Reason::WorkbookTooLarge => [
                "The broker refuses records of this size: lower record_bytes_max, or raise max.message.bytes.",
                "브로커가 이 크기의 레코드를 받지 않습니다. record_bytes_max를 낮추거나 max.message.bytes를 올리세요.",
            ],
            Reason::WorkbookFailed => [
                "The workbook could not be put together, which is a fault of sheetstream: please report it.",
                "통합 문서를 만들지 못했습니다. sheetstream의 결함이니 알려 주세요.",
            ],
        }
    }
}

/// Messages of rows, of uploads that are held, and of their ends: `{}` is a value. In Korean `{0}` is the first value.
const PHRASES: &[(&str, &str)] = &[
    ("a quote is opened and not closed within the row", "따옴표가 열리고 행 안에서 닫히지 않았습니다"),
    ("text stands behind a closing quote", "닫는 따옴표 뒤에 글자가 있습니다"),
    ("a quote stands inside a field that is not quoted", "따옴표로 감싸지 않은 필드 안에 따옴표가 있습니다"),
    ("the row has {} fields, the header has {}", "행의 필드는 {0}개, 머리글은 {1}개입니다"),
    ("the row has {} bytes, more than {}", "행이 {0}바이트로 한도 {1}바이트를 넘습니다"),
    ("the header stands here again, as if it were data", "머리글이 데이터인 것처럼 여기에 다시 나옵니다"),
    ("the character {} cannot stand in a workbook", "문자 {0}은(는) 통합 문서에 넣을 수 없습니다"),
    (
        "byte {} of the row is not UTF-8; rows on the topic are UTF-8, `sheetstream publish` transcodes files",
        "행의 {0}번째 바이트가 UTF-8이 아닙니다. 토픽의 행은 UTF-8이며, 파일은 `sheetstream publish`가 변환합니다",
    ),
    ("the cell has {} characters, a workbook keeps {}", "셀이 {0}자입니다. 통합 문서에는 {1}자까지 들어갑니다"),
    ("'{}' is not a number", "'{0}'은(는) 숫자가 아닙니다"),
    ("'{}' is not a whole number", "'{0}'은(는) 정수가 아닙니다"),
    ("'{}' is not a date like {}", "'{0}'은(는) {1} 같은 날짜가 아닙니다"),
    ("'{}' is not a date and time like {}", "'{0}'은(는) {1} 같은 날짜와 시각이 아닙니다"),
    ("'{}' is not true or false", "'{0}'은(는) 참이나 거짓이 아닙니다"),
    ("{} is not a number", "{0}은(는) 숫자가 아닙니다"),
    ("{} is not a finite number", "{0}은(는) 유한한 수가 아닙니다"),
    ("{} is not finite", "{0}은(는) 유한하지 않습니다"),
    ("the coordinate is empty", "좌표가 비어 있습니다"),
    ("the geometry is empty", "도형이 비어 있습니다"),
    ("the point is empty", "점이 비어 있습니다"),
    ("cannot read {} as a point: only points are read", "{0}은(는) 점이 아닙니다. 점만 읽습니다"),
    ("cannot read {} as a point: {}", "{0}을(를) 점으로 읽을 수 없습니다: {1}"),
    ("(0, 0) is what empty cells become, not a place in {}", "(0, 0)은 빈 셀이 바뀐 값이며 {0}의 위치가 아닙니다"),
    (
        "({}) is at longitude {}, latitude {}, outside the area of {} (longitude {} to {}, latitude {} to {})",
        "({0})은 경도 {1}, 위도 {2}로 {3}의 사용 범위(경도 {4}~{5}, 위도 {6}~{7}) 밖입니다",
    ),
    ("({}) is no place in {}", "({0})은 {1}의 위치가 아닙니다"),
    ("no column {}; the header has {}", "{0} 열이 없습니다. 머리글의 열: {1}"),
    (
        "the sheet of a row is named by column '{}', which the header does not have; the nearest is '{}'",
        "시트 이름이 되는 '{0}' 열이 머리글에 없습니다. 가장 비슷한 열은 '{1}'입니다",
    ),
    (
        "{} of {} rows are here; missing: {}: publish the missing ones, or all again",
        "{1}행 가운데 {0}행이 왔습니다. 빠진 행: {2}. 빠진 행이나 전체를 다시 발행하세요",
    ),
    (
        "{} of {} rows are here: publish the missing ones, or all again",
        "{1}행 가운데 {0}행이 왔습니다. 빠진 행이나 전체를 다시 발행하세요",
    ),
    (
        "{} rows are here and the end-of-file marker announces {}: publish it again",
        "{0}행이 왔고 끝 표식은 {1}행을 알렸습니다. 다시 발행하세요",
    ),
    (
        "its {} rows have sha256 {} and the end-of-file marker says {}: it is over the rows in UTF-8, each followed by LF, without the \
         header; publish it again",
        "{0}행의 sha256은 {1}이고 끝 표식의 값은 {2}입니다. 머리글을 뺀 UTF-8 행마다 LF를 붙여 계산합니다. 다시 발행하세요",
    ),
    (
        "nothing came for {} s and it has no end: publish it again",
        "{0}초 동안 아무것도 오지 않았고 끝 표식이 없습니다. 다시 발행하세요",
    ),
    ("its publisher gave it up: publish it again when it is ready", "발행자가 중단했습니다. 준비되면 다시 발행하세요"),
    ("its own CRS (ss-crs) cannot be used: {}", "지정한 좌표계(ss-crs)를 쓸 수 없습니다: {0}"),
];

/// What may stand behind one of them.
const HINTS: &[(&str, &str)] = &[
    ("; a marker is a record of its own", ". 표식은 레코드 하나로 따로 보내야 합니다"),
    ("; with '{}' as the delimiter it would have {}", ". 구분자가 '{0}'이면 {1}개가 됩니다"),
    (
        "; write a decimal point and no thousands separators, 1234.5",
        ". 1234.5처럼 소수점을 쓰고 천 단위 구분 기호는 빼세요",
    ),
    ("; write decimal degrees, 127.5028", ". 127.5028처럼 십진수 도로 쓰세요"),
    ("; write the digits 0 to 9 in half width", ". 숫자 0~9를 반각으로 쓰세요"),
    ("; looks swapped: x is east, y is north", ". x와 y가 뒤바뀐 것 같습니다. x는 동쪽, y는 북쪽입니다"),
    ("; looks like degrees", ". 도(°) 단위 값 같습니다"),
    ("; looks like metres", ". 미터 단위 값 같습니다"),
];

fn in_korean(message: &str) -> Option<String> {
    let ends = message.match_indices("; ").map(|(at, _)| at);
    let hint = ends.into_iter().find_map(|at| Some((at, translate(HINTS, &message[at..])?)));
    let (body, hint) = hint.map_or((message, String::new()), |(at, hint)| (&message[..at], hint));
    Some(translate(PHRASES, body)? + &hint)
}

fn translate(phrases: &[(&str, &str)], text: &str) -> Option<String> {
    phrases.iter().find_map(|(english, korean)| {
        let values = values(english, text)?;
        let mut said = String::with_capacity(2 * text.len());
        let mut pieces = korean.split('{');
        said.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            let (number, rest) = piece.split_once('}')?;
            said.push_str(values.get(number.parse::<usize>().ok()?)?);
            said.push_str(rest);
        }
        Some(said)
    })
}

/// What stands in the place of each `{}`, if the text has this form.
fn values<'t>(form: &str, text: &'t str) -> Option<Vec<&'t str>> {
    let mut literals = form.split("{}").peekable();
    let mut rest = text.strip_prefix(literals.next()?)?;
    let mut values = Vec::new();
    while let Some(literal) = literals.next() {
        let (value, behind) = match literals.peek() {
            Some(_) => rest.split_once(literal)?,
            None => (rest.strip_suffix(literal)?, ""),
        };
        values.push(value);
        rest = behind;
    }
    rest.is_empty().then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_hangul(text: &str) -> bool {
        text.chars().any(|c| ('가'..='힣').contains(&c))
    }

    #[test]
    fn every_reason_has_a_sentence_in_both_languages() {
        let mut seen = std::collections::HashSet::new();
        for reason in Reason::ALL {
            let [english, korean] = [Lang::En, Lang::Ko].map(|lang| reason.explain(lang));
            assert!(english.ends_with('.') && english.is_ascii(), "{reason}");
            assert!(korean.ends_with('.') && has_hangul(korean), "{reason}");
            assert!(seen.insert(english) && seen.insert(korean), "{reason} has a sentence of its own");
        }
    }

    #[test]
    fn values_survive_a_translation() {
        let say = |message: &str| Reason::NumberFormat.say(Lang::Ko, message);
        assert_eq!(say("the row has 3 fields, the header has 5"), "행의 필드는 3개, 머리글은 5개입니다");
        assert_eq!(
            say("the row has 1 fields, the header has 5; with ';' as the delimiter it would have 5"),
            "행의 필드는 1개, 머리글은 5개입니다. 구분자가 ';'이면 5개가 됩니다"
        );
        assert_eq!(
            say("\"a; b is not a number\" is not a number; write decimal degrees, 127.5028"),
            "\"a; b is not a number\"은(는) 숫자가 아닙니다. 127.5028처럼 십진수 도로 쓰세요"
        );
        assert_eq!(
            say("(127.1, 37.5) is at longitude 1.0000, latitude 2.0000, outside the area of EPSG:5179 \
                 (longitude 122.71 to 134.28, latitude 28.6 to 40.27); looks like degrees"),
            "(127.1, 37.5)은 경도 1.0000, 위도 2.0000로 EPSG:5179의 사용 범위(경도 122.71~134.28, 위도 28.6~40.27) 밖입니다. 도(°) 단위 값 같습니다"
        );
        let unknown = say("something nobody translated");
        assert!(has_hangul(&unknown) && unknown.contains("something nobody translated"));
        assert_eq!(Reason::NumberFormat.say(Lang::En, "as it is"), "as it is");
    }
}
