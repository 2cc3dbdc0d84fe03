//! Reason codes. Each has a meaning, a subject, a remedy, and the option that mends it, in the languages of workbooks and of the page.
//! A [`Message`](super::Message) says what was found in one case.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::Lang;

/// The subject of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Concern {
    /// A row; the others of its upload are not affected.
    Row,
    /// A record that is no row of an upload.
    Record,
    /// An upload as a whole.
    Upload,
    /// All uploads of a partition.
    Task,
}

/// Declares [`Reason`]: `Name = "code" for Concern, option`, then in each language what it means and what to do.
macro_rules! reasons {
    ($($name:ident = $code:literal for $concern:ident, $option:expr;
        en $means:literal $remedy:literal
        ko $means_ko:literal $remedy_ko:literal;)*) => {
        /// A reason code, as in `ss-reason`, in the status and on the *Errors* sheet. Stable over releases.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum Reason { $(#[doc = $means] #[serde(rename = $code)] $name,)* }

        impl Reason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &'static [Reason] = &[$(Reason::$name),*];

            /// The code as it is written, `csv.field_count`.
            pub fn code(self) -> &'static str {
                match self { $(Reason::$name => $code,)* }
            }
            /// Whom it concerns.
            pub fn concern(self) -> Concern {
                match self { $(Reason::$name => Concern::$concern,)* }
            }
            /// The key of the topology that decides about it, if there is one.
            pub fn option(self) -> Option<&'static str> {
                match self { $(Reason::$name => $option,)* }
            }
            /// Its meaning, in one sentence.
            pub fn meaning(self, lang: Lang) -> &'static str {
                match (self, lang) { $((Reason::$name, Lang::En) => $means, (Reason::$name, Lang::Ko) => $means_ko,)* }
            }
            /// The remedy, in one sentence.
            pub fn remedy(self, lang: Lang) -> &'static str {
                match (self, lang) { $((Reason::$name, Lang::En) => $remedy, (Reason::$name, Lang::Ko) => $remedy_ko,)* }
            }
        }
    };
}

reasons! {
    CsvUnclosedQuote = "csv.unclosed_quote" for Row, None;
        en "A quote is opened and not closed in its row." "Close it, or double quotes that are text."
        ko "따옴표가 열린 뒤 같은 행에서 닫히지 않았습니다." "따옴표를 닫거나, 글자로 쓰인 따옴표는 두 번 쓰세요.";
    CsvBadQuote = "csv.bad_quote" for Row, Some("source.quotes = \"lenient\"");
        en "A quote is where none can be." "Quote the whole field and double the quotes inside."
        ko "따옴표가 있을 수 없는 자리에 있습니다." "칸 전체를 따옴표로 감싸고 안쪽 따옴표는 두 번 쓰세요.";
    CsvFieldCount = "csv.field_count" for Row, Some("source.field_count = \"pad\"");
        en "The row has more or fewer fields than the header." "Look for a missing or an unquoted delimiter."
        ko "행의 칸 수가 제목 행과 다릅니다." "빠진 구분 기호나 따옴표 없이 쓰인 구분 기호가 있는지 확인하세요.";
    CsvRepeatedHeader = "csv.repeated_header" for Row, None;
        en "The header is among the rows again, as in files that were joined." "Take it out."
        ko "제목 행이 자료 사이에 다시 나옵니다." "파일을 이어 붙인 경우 중복된 제목 행을 지우세요.";
    CsvDelimiter = "csv.delimiter" for Upload, Some("source.delimiter");
        en "Nearly every row is one field." "Name the delimiter: --delimiter for a file, `delimiter` of the source for a topic."
        ko "거의 모든 행이 한 칸으로 읽힙니다." "구분 기호를 지정하세요. 파일은 --delimiter, 토픽은 소스의 delimiter입니다.";
    CsvNoHeader = "csv.no_header" for Upload, Some("source.header");
        en "Rows came and no header." "Send a header marker first, or declare the columns in the topology."
        ko "행은 왔지만 제목 행이 없습니다." "제목 행 표식을 먼저 보내거나 변환 설정에 열을 선언하세요.";
    JsonFormat = "json.format" for Row, Some("source.format");
        en "The row is broken JSON." "Look at the place that the message names, or set format = \"csv\" if rows are no JSON."
        ko "행의 JSON 형식이 잘못되었습니다." "메시지가 가리키는 곳을 고치거나, JSON이 아니라면 format = \"csv\"로 설정하세요.";
    JsonDuplicateKey = "json.duplicate_key" for Row, None;
        en "A JSON row has two values for one column." "Write each key once."
        ko "JSON 행에 한 열의 값이 두 개입니다." "키를 한 번씩만 쓰세요.";
    JsonUnknownKey = "json.unknown_key" for Row, Some("source.unknown_keys = \"ignore\"");
        en "A JSON row has a key that is no column." "Name all columns in `header`, or set unknown_keys = \"ignore\"."
        ko "JSON 행에 열이 아닌 키가 있습니다." "header에 모든 열을 적거나 unknown_keys = \"ignore\"로 설정하세요.";
    HeaderConflict = "header.conflict" for Upload, None;
        en "One upload has two different headers." "Begin a new attempt, and publish it under one header."
        ko "한 업로드에 서로 다른 제목 행이 있습니다." "새로 시작하여 하나의 제목 행으로 다시 올리세요.";
    TextControl = "text.control" for Row, Some("source.control = \"strip\"");
        en "A workbook cannot hold a control character." "Take it out."
        ko "엑셀 파일에 넣을 수 없는 제어 문자가 있습니다." "지우세요.";
    TextEncoding = "text.encoding" for Row, Some("source.encoding");
        en "The row is not text in the charset that it is read in." "Name it: --charset for a file, `encoding` of the source for a topic."
        ko "이 인코딩으로 읽을 수 없는 글자가 있습니다." "인코딩을 지정하세요. 파일은 --charset, 토픽은 소스의 encoding입니다.";
    CellTooLong = "cell.too_long" for Row, Some("source.long_cells = \"truncate\"");
        en "A cell has more than Excel's 32,767 characters." "Shorten it."
        ko "칸의 글자가 엑셀의 한도인 32,767자를 넘습니다." "줄이세요.";
    RowTotal = "row.total" for Row, Some("source.totals");
        en "The row sums up others, and is no row of its own." "Nothing is to be done."
        ko "다른 행을 더한 합계 행이라 자료에서 뺐습니다." "고칠 것은 없습니다.";
    RowTooBig = "row.too_big" for Row, None;
        en "A row has more than 1 MiB, mostly because a quote is not closed." "Look at it in the file."
        ko "행이 1MiB를 넘습니다." "대개 따옴표가 닫히지 않은 경우이니 파일에서 확인하세요.";
    NumberFormat = "number.format" for Row, Some("source.columns");
        en "The value is not a number." "Write it with a decimal point and without thousands separators."
        ko "값이 숫자가 아닙니다." "소수점을 쓰고 천 단위 구분 기호는 빼세요.";
    NumberNotFinite = "number.not_finite" for Row, None;
        en "The value is infinite or no number at all." "Leave the cell empty, or write a number."
        ko "값이 무한대이거나 숫자가 아닙니다(NaN)." "칸을 비우거나 숫자를 쓰세요.";
    DateFormat = "date.format" for Row, Some("source.columns");
        en "The value is not a date." "Write 2026-01-31, with a time 2026-01-31T09:30:00."
        ko "값이 날짜가 아닙니다." "2026-01-31, 시각이 있으면 2026-01-31T09:30:00처럼 쓰세요.";
    BooleanFormat = "boolean.format" for Row, Some("source.columns");
        en "The value is neither true nor false." "Write true, false, yes, no, 1 or 0."
        ko "참/거짓 값이 아닙니다." "true, false, yes, no, 1, 0 가운데 하나로 쓰세요.";
    CoordMissing = "coord.missing" for Row, None;
        en "The row has no coordinates." "Fill them in, or leave the row out."
        ko "행에 좌표가 없습니다." "좌표를 채우거나 행을 빼세요.";
    CoordRange = "coord.range" for Row, Some("map.reproject.from");
        en "The point lies outside the area of its coordinate reference system." "Look for swapped columns or another system."
        ko "점이 좌표계의 사용 범위 밖에 있습니다." "x·y 열이 바뀌었는지, 좌표계를 잘못 고르지 않았는지 확인하세요.";
    CoordOperation = "coord.operation" for Row, Some("map.reproject.allow_ballpark");
        en "No operation between the two coordinate reference systems is known where the point lies." "Choose systems of that part of the world, or set allow_ballpark = true to ignore the shift between the datums."
        ko "점이 있는 곳에서는 두 좌표계 사이의 변환 방법이 알려져 있지 않습니다." "그 지역에 맞는 좌표계를 고르거나, 측지계 사이의 이동량을 무시하려면 allow_ballpark = true로 설정하세요.";
    CoordCrs = "coord.crs" for Row, Some("map.reproject.from");
        en "The row names no coordinate reference system, or one that cannot be used." "Write its EPSG code, 5186 or EPSG:5186."
        ko "행에 좌표계가 없거나 쓸 수 없는 좌표계가 적혀 있습니다." "5186이나 EPSG:5186처럼 EPSG 코드를 쓰세요.";
    GeometryFormat = "geometry.format" for Row, Some("map.reproject.geometry, map.reproject.xy");
        en "The cell cannot be read as a point." "Write WKT, hexadecimal WKB or GeoJSON, or for xy and yx two numbers."
        ko "칸을 점으로 읽을 수 없습니다." "WKT, 16진수 WKB, GeoJSON으로 쓰고, xy와 yx에는 숫자 두 개를 쓰세요.";
    ExpressionUndefined = "expression.undefined" for Row, Some("map.compute, map.filter");
        en "An expression of the topology has no result for the row: it divides by zero, or needs more than 38 digits." "Correct the row, or let the expression look first: if(b = 0, 0, a / b)."
        ko "변환 설정의 식을 이 행에서 계산할 수 없습니다. 0으로 나누거나 38자리를 넘습니다." "행을 고치거나 식에서 먼저 확인하세요. 예: if(b = 0, 0, a / b).";
    ColumnMissing = "column.missing" for Upload, Some("map.reproject.x, aggregate.sheet");
        en "A column that the topology needs is not in the header." "Rename the column, or name it in the topology."
        ko "변환 설정에 필요한 열이 제목 행에 없습니다." "열 이름을 바꾸거나 변환 설정에 그 이름을 적으세요.";
    SheetTooManyColumns = "sheet.too_many_columns" for Upload, Some("map.select");
        en "A worksheet has 16,384 columns at most." "Publish fewer, or choose some with a select map."
        ko "시트에는 열이 16,384개까지만 들어갑니다." "열을 줄이거나 select 맵으로 고르세요.";
    SheetTooMany = "sheet.too_many" for Upload, Some("aggregate.sheets_max");
        en "The rows make more sheets than sheets_max." "Name the sheets by another column, or raise it."
        ko "시트가 sheets_max보다 많아집니다." "다른 열로 시트를 나누거나 값을 올리세요.";
    RowDuplicate = "row.duplicate" for Row, None;
        en "A row with this number came before." "Nothing: the first one counts."
        ko "같은 번호의 행이 이미 왔습니다." "먼저 온 행이 쓰이므로 할 일은 없습니다.";
    RowLate = "row.late" for Row, None;
        en "The row came after its upload was complete." "Publish all rows again."
        ko "업로드가 끝난 뒤에 온 행입니다." "모든 행을 다시 올리세요.";
    RowGap = "row.gap" for Upload, Some("source.incomplete");
        en "Rows between others never came." "Publish them, or all again."
        ko "사이에 빠진 행이 있습니다." "빠진 행이나 전체를 다시 올리세요.";
    RecordNoId = "record.no_id" for Record, Some("source.upload");
        en "No upload can be found for the record." "Give it a key, or the header ss-upload."
        ko "레코드가 어느 업로드의 것인지 알 수 없습니다." "키나 ss-upload 헤더를 붙이세요.";
    RecordNotText = "record.not_text" for Record, None;
        en "The value is neither CSV nor JSON." "Publish rows as CSV or JSON in UTF-8."
        ko "값이 CSV도 JSON도 아닙니다." "행을 UTF-8 CSV나 JSON으로 보내세요.";
    RecordTooBig = "record.too_big" for Record, None;
        en "The record is in a batch that is too large when it is unpacked." "Publish rows in smaller records or batches."
        ko "레코드가 든 배치는 압축을 풀면 한도를 넘습니다." "행을 더 작은 레코드나 배치로 보내세요.";
    RecordMalformed = "record.malformed" for Record, None;
        en "The record cannot be decoded." "Look for a broken producer."
        ko "레코드를 해독할 수 없습니다." "프로듀서에 이상이 있는지 확인하세요.";
    RecordCorrupt = "record.corrupt" for Record, None;
        en "The checksum of a batch on the broker is wrong." "Look at the broker's disks, and publish again."
        ko "브로커에 있는 배치의 체크섬이 틀립니다." "브로커의 디스크를 확인하고 다시 올리세요.";
    MarkerFormat = "marker.format" for Record, None;
        en "The marker cannot be read." "Write #EOF rows=20000, or the headers ss-type and ss-rows."
        ko "표식을 읽을 수 없습니다." "#EOF rows=20000처럼 쓰거나 ss-type, ss-rows 헤더를 쓰세요.";
    EofUnknown = "eof.unknown" for Record, None;
        en "The end belongs to no upload that is open here." "Look for its rows in another partition, or publish it again if it has expired."
        ko "이곳에 열려 있지 않은 업로드의 끝 표식입니다." "행이 다른 파티션에 있는지 확인하고, 시간 초과로 끝났다면 다시 올리세요.";
    RejectedTooMany = "rejected.too_many" for Upload, Some("source.rejected_max");
        en "More rows of the upload were rejected than rejected_max allows." "Correct the rows that the dead letters name and publish all again, or raise it."
        ko "오류 행이 rejected_max보다 많아 업로드가 실패했습니다." "실패 레코드에 있는 행을 고쳐 전체를 다시 올리거나 값을 올리세요.";
    UploadIncomplete = "upload.incomplete" for Upload, Some("source.incomplete");
        en "Row count or checksum of the end-of-file marker are not met." "Publish the missing rows, or all again with #BEGIN first."
        ko "끝 표식의 행 수나 체크섬과 맞지 않습니다." "빠진 행을 마저 올리거나 #BEGIN부터 전체를 다시 올리세요.";
    UploadCrs = "upload.crs" for Upload, None;
        en "The upload names a coordinate reference system that cannot be used." "Choose another one, or none."
        ko "업로드가 지정한 좌표계를 쓸 수 없습니다." "다른 좌표계를 고르거나 지정하지 마세요.";
    UploadConflict = "upload.conflict" for Upload, None;
        en "Two publishers use this id at once." "Give each its own, and publish again."
        ko "두 곳에서 같은 아이디를 동시에 쓰고 있습니다." "서로 다른 아이디를 쓰고 다시 올리세요.";
    UploadExpired = "upload.expired" for Upload, Some("source.idle_timeout");
        en "Nothing came for the idle timeout, and it is not complete." "Publish it again."
        ko "제한 시간 동안 아무것도 오지 않았고 업로드가 끝나지 않았습니다." "다시 올리세요.";
    UploadTooMany = "upload.too_many" for Upload, Some("source.open_uploads_max");
        en "The open uploads of the partition are as many as they may be, or nearly every row opens one, as with a key per row." "End uploads with an end-of-file marker, and publish again the uploads that were turned away. If every row has a key of its own, set upload on the source."
        ko "이 파티션에 열려 있는 업로드의 수가 한도에 이르렀거나, 거의 모든 행이 새 업로드를 엽니다(행마다 다른 키)." "끝 표식으로 업로드를 끝내고, 받지 않은 업로드는 다시 올리세요. 행마다 키가 다르다면 소스의 upload를 설정하세요.";
    UploadNoRoom = "upload.no_room" for Upload, Some("source.open_uploads_max");
        en "The open uploads of the partition have as many columns, sheets or gaps between rows together as they may." "End uploads with an end-of-file marker, then publish this one again."
        ko "이 파티션에 열려 있는 업로드의 열이나 시트, 행 사이의 빈자리가 모두 합쳐 한도에 이르렀습니다." "끝 표식으로 업로드를 끝낸 뒤 이 업로드를 다시 올리세요.";
    UploadAborted = "upload.aborted" for Upload, None;
        en "Its publisher aborted it." "Publish it again when it is ready."
        ko "보내는 쪽에서 업로드를 중단했습니다." "준비되면 다시 올리세요.";
    UploadSplit = "upload.split" for Upload, Some("source.upload");
        en "Rows of the upload are, or may be, in several partitions, and each has a part of it only." "Set the key of every record to the upload id, or placement = \"spread\"."
        ko "업로드의 행이 여러 파티션에 있거나 있을 수 있어, 한 파티션에는 일부만 있습니다." "모든 레코드의 키를 업로드 아이디로 하거나 placement = \"spread\"를 쓰세요.";
    UploadRemainder = "upload.remainder" for Upload, None;
        en "The id expired before, and these rows may be the rest of that upload." "Publish all rows again, #BEGIN first, or say rows= on the end-of-file marker."
        ko "이 아이디의 업로드가 시간 초과로 끝난 뒤여서, 그 나머지 행일 수 있습니다." "#BEGIN부터 모든 행을 다시 올리거나, 끝 표식에 rows=로 행 수를 알리세요.";
    UploadAmbiguous = "upload.ambiguous" for Upload, Some("source.clock_tolerance");
        en "Records of two uploads of one id are on the topic, and nothing but timestamps of publishers shows which row belongs to which." "Say rows= on the end-of-file marker, give each upload an id of its own, or let the brokers set timestamps (LogAppendTime)."
        ko "아이디가 같은 두 업로드의 레코드가 섞여 있고, 어느 행이 어느 업로드의 것인지 보내는 쪽의 시각으로만 가릴 수 있습니다." "끝 표식에 rows=로 행 수를 알리거나, 업로드마다 다른 아이디를 쓰거나, 토픽의 시각을 브로커가 정하게(LogAppendTime) 하세요.";
    LogGap = "log.gap" for Upload, None;
        en "Records of the upload are gone from the log." "Publish it again, and keep the topic for longer."
        ko "업로드의 레코드가 로그에서 사라졌습니다." "다시 올리고 토픽의 보존 기간을 늘리세요.";
    TopicRecreated = "topic.recreated" for Upload, None;
        en "The topic was deleted and made anew while the upload was open." "Publish it again, #BEGIN first."
        ko "업로드가 끝나기 전에 토픽이 삭제되고 다시 만들어졌습니다." "#BEGIN부터 모두 다시 올리세요.";
    DeadLetterRefused = "dead_letter.refused" for Record, None;
        en "The topic of dead letters, or that of statuses, does not take a record even when it is clipped; the log has it." "Raise max.message.bytes of the topic."
        ko "실패 레코드나 상태 토픽이 줄인 레코드도 받지 않았습니다. 로그에 남아 있습니다." "토픽의 max.message.bytes를 올리세요.";
    WorkbookTooLarge = "workbook.too_large" for Upload, Some("sink.record_bytes_max");
        en "The broker refuses records of this size." "Lower record_bytes_max, or raise max.message.bytes."
        ko "브로커가 이 크기의 레코드를 받지 않습니다." "record_bytes_max를 낮추거나 max.message.bytes를 올리세요.";
    WorkbookFailed = "workbook.failed" for Upload, None;
        en "The workbook could not be put together, which is a fault of sheetstream." "Please report it."
        ko "엑셀 파일을 만들지 못했습니다." "sheetstream의 결함이니 알려 주세요.";
}

impl Reason {
    /// The reason of this code; `None` for one of a later release.
    pub fn of_code(code: &str) -> Option<Reason> {
        Reason::ALL.iter().copied().find(|reason| reason.code() == code)
    }

    /// The facts about it, for programs: `concerns`, `option`, and the explanation in each language, `en` and `ko`.
    pub fn facts(self) -> BTreeMap<&'static str, String> {
        let said = [("en", Lang::En), ("ko", Lang::Ko)].map(|(code, lang)| (code, self.explain(lang)));
        let mut facts = BTreeMap::from(said);
        facts.insert("concerns", self.concern().to_string());
        facts.extend(self.option().map(|option| ("option", option.to_owned())));
        facts
    }

    /// The meaning of the code and the remedy.
    pub fn explain(self, lang: Lang) -> String {
        format!("{} {}", self.meaning(lang), self.remedy(lang))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Concern::Row => "row",
            Concern::Record => "record",
            Concern::Upload => "upload",
            Concern::Task => "task",
        })
    }
}

/// The page `docs/reasons.md`.
pub fn reasons_markdown() -> String {
    let mut page = REASONS_OPENING.to_owned();
    for reason in Reason::ALL {
        let option = reason.option().map_or_else(String::new, |option| format!("`{option}`"));
        let [meaning, remedy] =
            [reason.meaning(Lang::En), reason.remedy(Lang::En)].map(|text| text.replace('|', "\\|"));
        writeln!(page, "| `{reason}` | {} | {meaning} | {remedy} | {option} |", reason.concern())
            .expect("a String takes any text");
    }
    page
}

const REASONS_OPENING: &str = "# Reason codes

Why a row, a record or an upload did not make it. The code is in the header `ss-reason` of a dead
letter, in `failure.reason` of a status, in the column *Reason* of the *Errors* sheet, and in the
metrics. Codes are stable over releases. The message beside a code says what was found in that case,
with the values that offended.

A reason that concerns a **row** leaves the other rows of its upload alone. A **record** belongs to
no upload, or is none of its rows. An **upload** fails or is held as a whole. A **task** is a
partition of the source topic. The last column names the key of the [topology](topology.md) that
decides about it.

This page is made of the table that the program uses (`sheetstream reasons --markdown`); the page
and `GET /reasons` use the same table. `sheetstream reasons CODE` explains one.

| Code | Concerns | Meaning | What to do | Option |
|---|---|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_says_in_both_languages_what_it_means_and_what_to_do() {
        let mut seen = std::collections::HashSet::new();
        for reason in Reason::ALL {
            for text in [reason.meaning(Lang::En), reason.remedy(Lang::En)] {
                assert!(text.ends_with('.') && text.is_ascii(), "{reason}: {text}");
            }
            for text in [reason.meaning(Lang::Ko), reason.remedy(Lang::Ko)] {
                assert!(text.ends_with('.') && text.chars().any(|c| ('가'..='힣').contains(&c)), "{reason}: {text}");
            }
            assert!(seen.insert(reason.meaning(Lang::En)) && seen.insert(reason.meaning(Lang::Ko)), "{reason}");
            assert_eq!(Reason::of_code(reason.code()), Some(*reason));
        }
    }
}
