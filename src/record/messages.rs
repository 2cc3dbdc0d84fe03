//! The catalogue of messages. A message says, in every language, what was found and what to do, with the values that offended. The code
//! that finds something constructs the message; nobody else writes its words. [`Reason::explain`](super::Reason::explain) explains a
//! reason code in general.

mod declare;
mod values;

use super::lang::{Text, texts};
use super::{Lang, Offset, Reason};
use declare::messages;

pub use values::{
    AnyOf, Area, Binary, Delimiter, EarlierHeader, Hint, IdPlace, JsonFault, MapFormat, MissingRows, Names, Nearest,
    OpenAttempt, Part, Parts, Place, Quoted,
};

messages! {
    Reason::CsvUnclosedQuote => UnclosedQuote {}
        en "a quote is opened and not closed within the row; a quote inside a quoted cell is written twice"
        ko "따옴표가 열린 뒤 같은 행에서 닫히지 않았습니다. 따옴표로 감싼 칸 안의 따옴표는 두 번 씁니다";
    Reason::CsvBadQuote => TextAfterQuote {}
        en "there is text after a closing quote; quotes = \"lenient\" in the source takes such rows"
        ko "닫는 따옴표 뒤에 글자가 있습니다. 소스에 quotes = \"lenient\"를 쓰면 이런 행도 받습니다";
    Reason::CsvBadQuote => StrayQuote {}
        en "a quote is inside a field that is not quoted; quotes = \"lenient\" in the source takes such rows"
        ko "따옴표로 감싸지 않은 칸 안에 따옴표가 있습니다. 소스에 quotes = \"lenient\"를 쓰면 이런 행도 받습니다";
    Reason::CsvBadQuote => BlanksBeforeQuote {}
        en "there are blanks before an opening quote; quotes = \"lenient\" in the source takes such rows"
        ko "여는 따옴표 앞에 빈칸이 있습니다. 소스에 quotes = \"lenient\"를 쓰면 이런 행도 받습니다";
    Reason::CsvBadQuote => BackslashQuote {}
        en "a backslash is in front of a quote; escape = \"backslash\" in the source reads such rows, with `delimiter` beside it"
        ko "따옴표 앞에 역슬래시가 있습니다. 소스에 escape = \"backslash\"와 delimiter를 쓰면 이런 행도 받습니다";
    Reason::CsvBadQuote => ExcelTextQuote {}
        en "a field is =\"…\", as files make Excel keep leading zeros; excel_text = true, of the source or of its column, reads the text inside"
        ko "엑셀에서 앞자리 0을 지키려고 쓰는 =\"…\" 모양의 칸입니다. 소스나 열에 excel_text = true를 쓰면 따옴표 안의 글을 읽습니다";
    Reason::CsvFieldCount => FieldCount { have: usize, want: usize, hint: Option<Hint> }
        en "the row has {have} fields, the header has {want}{hint}"
        ko "제목 행은 {want}칸인데 이 행은 {have}칸입니다{hint}";
    Reason::CsvRepeatedHeader => RepeatedHeader {}
        en "the header is here again, as if it were data"
        ko "제목 행이 자료 사이에 다시 나옵니다";
    Reason::JsonFormat => JsonColumns {}
        en "it is one JSON object with the columns of a table, as pandas writes it; df.to_json(orient=\"records\", lines=True) writes rows"
        ko "표를 열별로 담은 JSON 객체 하나입니다(pandas의 기본 형식). df.to_json(orient=\"records\", lines=True)로 행마다 쓰세요";
    Reason::RowTotal => TotalsRow {}
        en "the row sums up others, and is no row of its own"
        ko "다른 행을 더한 합계 행입니다";
    Reason::CsvDelimiter => OtherDelimiter { delimiter: Delimiter, guess: Delimiter }
        en "the header is one column under the delimiter {delimiter}, and nearly every row holds a {guess}: the delimiter seems to be \
            {guess}; --delimiter names it for a file, `delimiter` in the source for the rows of a topic"
        ko "구분 기호를 {delimiter}{ro} 보면 제목 행이 한 칸이고, 거의 모든 행에 {guess}{i} 있습니다. 구분 기호가 {guess}인 것 같습니다. \
            파일은 --delimiter로, 토픽의 행은 소스의 delimiter로 지정하세요"
        [ro(delimiter), i(guess)];
    Reason::CsvDelimiter => SeparatorLine {}
        en "the first row is the line `sep=` of a spreadsheet and no header: leave it out; `sheetstream publish` and `convert` obey \
            it in a file"
        ko "첫 행이 제목 행이 아니라 엑셀의 `sep=` 줄입니다. 빼고 보내세요. 파일이라면 `sheetstream publish`와 `convert`가 그대로 따릅니다";
    Reason::CsvNoHeader => TooManyRowsWithoutHeader { rows: u64, bytes: usize }
        en "{rows} rows ({bytes} bytes) came and no header: send a header marker first, or declare the columns"
        ko "제목 행 없이 {rows}행({bytes}바이트)이 왔습니다. 제목 행 표식을 먼저 보내거나 열을 선언하세요";
    Reason::CsvNoHeader => NoHeader {}
        en "no header came: send a header marker first, or declare the columns"
        ko "제목 행이 오지 않았습니다. 제목 행 표식을 먼저 보내거나 열을 선언하세요";
    Reason::CsvNoHeader => EndedWithoutHeader {}
        en "the upload ended before a header came: send a header marker first, or declare the columns"
        ko "제목 행이 오기 전에 업로드가 끝났습니다. 제목 행 표식을 먼저 보내거나 열을 선언하세요";
    Reason::CsvNoHeader => HeaderNotFirst {}
        en "it is not clear which row is the header, for rows of several partitions have the time of the first one: send a header \
            marker, or declare the columns"
        ko "여러 파티션의 행이 같은 시각이라 어느 것이 제목 행인지 알 수 없습니다. 제목 행 표식을 보내거나 열을 선언하세요";
    Reason::CsvNoHeader => RestartedWithoutHeader {}
        en "another attempt began before the header of this one was known"
        ko "제목 행이 오기 전에 업로드가 새로 시작되었습니다";
    Reason::CsvNoHeader => AbortedWithoutHeader {}
        en "the upload was aborted before its header was known"
        ko "제목 행이 오기 전에 업로드가 중단되었습니다";
    Reason::CsvNoHeader => ClosedWithoutHeader {}
        en "the upload was closed before its header was known"
        ko "제목 행이 오기 전에 업로드가 닫혔습니다";
    Reason::HeaderConflict => OtherHeader { offset: Offset, earlier: Option<EarlierHeader> }
        en "the header at offset {offset} names other columns than the one before{earlier}: send #BEGIN first"
        ko "오프셋 {offset}의 제목 행이 앞선 제목 행{earlier}과 다릅니다. #BEGIN을 먼저 보내세요";
    Reason::HeaderConflict => OtherColumns {}
        en "its rows have different columns: publish it again under one header"
        ko "행마다 열이 다릅니다. 하나의 제목 행으로 다시 올리세요";
    Reason::TextControl => ControlCharacter { character: String }
        en "a workbook cannot hold the character {character}; control = \"strip\" in the source takes it out"
        ko "엑셀 파일에 넣을 수 없는 제어 문자 {character}{i} 있습니다. 소스에 control = \"strip\"을 쓰면 뺍니다"
        [i(character)];
    Reason::TextEncoding => NotOfTheCharset { characters: usize }
        en "behind its first {characters} characters the row is not text in the charset that it is read in; --charset names that of a \
            file, `encoding` in the source or the header ss-encoding that of rows on a topic"
        ko "행의 {characters}자 뒤에 이 인코딩으로 읽을 수 없는 글자가 있습니다. 파일은 --charset으로, 토픽의 행은 소스의 encoding이나 헤더 \
            ss-encoding으로 인코딩을 지정하세요";
    Reason::ExpressionUndefined => DivisionByZero {}
        en "the expression divides by zero; if(b = 0, 0, a / b) looks first"
        ko "식에서 0으로 나눕니다. if(b = 0, 0, a / b)처럼 먼저 확인할 수 있습니다";
    Reason::ExpressionUndefined => TooManyDigits {}
        en "the number has more than 38 digits; round(n, 2) has fewer"
        ko "숫자가 38자리를 넘습니다. round(n, 2)로 자릿수를 줄일 수 있습니다";
    Reason::CellTooLong => ComputedTooLong { limit: usize }
        en "the expression makes a text of more than {limit} characters, too long for a cell; substring(text, 1, 100) cuts it"
        ko "식으로 만든 문자열이 셀의 한도 {limit}자를 넘습니다. substring(text, 1, 100)처럼 자를 수 있습니다";
    Reason::CellTooLong => CellTooLong { characters: usize, limit: usize }
        en "the cell has {characters} characters, a workbook keeps {limit}; long_cells = \"truncate\" in the source cuts it"
        ko "칸의 글자가 {characters}자로, 엑셀의 한도 {limit}자를 넘습니다. 소스에 long_cells = \"truncate\"를 쓰면 자릅니다";
    Reason::RowTooBig => RowTooBig { limit: usize }
        en "the row has more than {limit} bytes"
        ko "행이 한도 {limit}바이트를 넘습니다";
    Reason::NumberFormat => NotANumber { value: Quoted, hint: Option<Hint> }
        en "{value} is not a number{hint}"
        ko "{value}{eun} 숫자가 아닙니다{hint}"
        [eun(value)];
    Reason::NumberFormat => NotAnInteger { value: Quoted, hint: Option<Hint> }
        en "{value} is not a whole number{hint}"
        ko "{value}{eun} 정수가 아닙니다{hint}"
        [eun(value)];
    Reason::NumberNotFinite => NotFinite { value: Quoted, hint: Option<Hint> }
        en "{value} is not a finite number{hint}"
        ko "{value}{eun} 유한한 수가 아닙니다{hint}"
        [eun(value)];
    Reason::DateFormat => NotADate { value: Quoted, hint: Option<Hint> }
        en "{value} is not a date like 2026-01-31{hint}"
        ko "{value}{eun} 2026-01-31 같은 날짜가 아닙니다{hint}"
        [eun(value)];
    Reason::DateFormat => DateBeforeCalendar { value: Quoted }
        en "{value} is before 1900, where the calendar of workbooks begins; type = \"text\" keeps it as it is"
        ko "{value}{eun} 1900년 이전이라 엑셀의 날짜로 쓸 수 없습니다. 열에 type = \"text\"를 쓰면 글 그대로 둡니다"
        [eun(value)];
    Reason::DateFormat => NotADateTime { value: Quoted, hint: Option<Hint> }
        en "{value} is not a date and time like 2026-01-31T09:30:00{hint}"
        ko "{value}{eun} 2026-01-31T09:30:00 같은 날짜와 시각이 아닙니다{hint}"
        [eun(value)];
    Reason::BooleanFormat => NotABoolean { value: Quoted, hint: Option<Hint> }
        en "{value} is not true or false{hint}"
        ko "{value}{eun} 참/거짓 값이 아닙니다{hint}"
        [eun(value)];
    Reason::CoordMissing => CoordinateEmpty {}
        en "the coordinate is empty"
        ko "좌표가 비어 있습니다";
    Reason::CoordMissing => GeometryEmpty {}
        en "the geometry is empty"
        ko "도형이 비어 있습니다";
    Reason::CoordMissing => PointEmpty {}
        en "the point is empty"
        ko "점에 좌표가 없습니다";
    Reason::CoordRange => NullIsland { crs: String }
        en "(0, 0) comes from empty cells and is not a place in {crs}"
        ko "(0, 0)은 빈 칸이 0으로 바뀐 값으로 보이며, {crs}의 위치가 아닙니다";
    Reason::CoordRange => OutsideArea { x: f64, y: f64, place: Place, crs: String, area: Area, hint: Option<Hint> }
        en "({x:?}, {y:?}) is at {place}, outside the area of {crs} ({area}){hint}"
        ko "({x:?}, {y:?}){eun} {place}{ro}, {crs}의 사용 범위({area}) 밖입니다{hint}"
        [eun(y), ro(place)];
    Reason::CoordRange => OutOfReach { x: f64, y: f64, from: String, to: String }
        en "({x:?}, {y:?}) in {from} is a place that {to} cannot hold: choose a target for this part of the world"
        ko "{from}의 ({x:?}, {y:?}){eun} {to}{ro} 나타낼 수 없는 곳입니다. 이 지역에 맞는 좌표계로 변환하세요"
        [eun(y), ro(to)];
    Reason::CoordRange => NoPlace { x: f64, y: f64, crs: String, hint: Option<Hint> }
        en "({x:?}, {y:?}) is not a place in {crs}{hint}"
        ko "({x:?}, {y:?}){eun} {crs}의 위치가 아닙니다{hint}"
        [eun(y)];
    Reason::CoordOperation => NoOperation { x: f64, y: f64, from: String, to: String }
        en "at ({x:?}, {y:?}) no operation from {from} to {to} is known, only in other parts of their areas: allow_ballpark = true in the \
            map takes the point without the shift between the datums, which can be hundreds of metres"
        ko "({x:?}, {y:?})에는 {from}에서 {to}{ro} 변환하는 방법이 없습니다. 다른 지역에만 있습니다. 측지계 사이의 이동량(수백 미터일 수 \
            있음)을 무시해도 된다면 맵에 allow_ballpark = true를 쓰세요"
        [ro(to)];
    Reason::CoordCrs => RowCrsEmpty {}
        en "the row has coordinates and names no CRS"
        ko "좌표는 있는데 좌표계가 적혀 있지 않습니다";
    Reason::CoordCrs => RowCrsUnusable { value: Quoted, why: String }
        en "the CRS {value} of the row cannot be used: {why}"
        ko "행의 좌표계 {value}{eul} 쓸 수 없습니다: {why}"
        [eul(value)];
    Reason::GeometryFormat => NotAPoint { value: Quoted }
        en "cannot read {value} as a point: only points are read"
        ko "{value}{eun} 점이 아닙니다. 점만 처리합니다"
        [eun(value)];
    Reason::GeometryFormat => OtherSrid { value: Quoted, srid: i64, epsg: i64 }
        en "cannot read {value} as a point: its SRID is {srid}, the topology reads EPSG:{epsg}"
        ko "{value}의 SRID는 {srid}인데 변환 설정은 EPSG:{epsg}{eul} 읽습니다"
        [eul(epsg)];
    Reason::GeometryFormat => NotTwoNumbers { value: Quoted }
        en "{value} is not two coordinates such as (37.57, 126.98)"
        ko "{value}{eun} (37.57, 126.98) 같은 좌표 두 개가 아닙니다"
        [eun(value)];
    Reason::GeometryFormat => GeometryUnreadable { value: Quoted, why: String }
        en "cannot read {value} as a point: {why}"
        ko "{value}{eul} 점으로 읽을 수 없습니다({why})"
        [eul(value)];
    Reason::ColumnMissing => ColumnMissing { candidates: AnyOf, header: Names, hint: Option<Hint> }
        en "no column {candidates}; the header has {header}{hint}"
        ko "{candidates} 열이 없습니다. 제목 행의 열: {header}{hint}";
    Reason::ColumnMissing => SheetColumnMissing { column: String, header: Names, nearest: Option<Nearest>, hint: Option<Hint> }
        en "the sheet of a row is named by column '{column}', which the header does not have; it has {header}{nearest}{hint}. Name the \
            column so, or say another one with `sheet` in the aggregate"
        ko "시트 이름으로 쓸 '{column}' 열이 제목 행에 없습니다. 제목 행의 열: {header}{nearest}{hint}. 열 이름을 그렇게 바꾸거나 [[aggregate]]의 \
            sheet에 다른 열을 쓰세요";
    Reason::SheetTooManyColumns => HeaderTooWide { columns: usize, limit: usize }
        en "the header has {columns} columns, a worksheet has {limit}: publish fewer columns"
        ko "제목 행의 열이 {columns}개로, 시트의 한도 {limit}개를 넘습니다. 열을 줄여서 다시 올리세요";
    Reason::SheetTooManyColumns => SheetTooWide { columns: usize, limit: usize }
        en "{columns} columns; a worksheet has {limit} at most: drop some with a select"
        ko "열이 {columns}개로, 시트의 한도 {limit}개를 넘습니다. select로 열을 줄이세요";
    Reason::SheetTooMany => TooManySheets { limit: u32 }
        en "its rows make more than {limit} sheets: is the sheet named by the right column? Else raise sheets_max"
        ko "시트가 {limit}개를 넘습니다. 시트를 나누는 열이 맞는지 확인하고, 맞으면 sheets_max를 올리세요";
    Reason::RowLate => RowLate {}
        en "the upload is complete: begin a new one with a #BEGIN marker, or correct the row and publish all again"
        ko "업로드가 이미 끝났습니다. #BEGIN 표식으로 새로 시작하거나, 행을 고쳐 전체를 다시 올리세요";
    Reason::RowGap => RowsMissingBetween { missing: Option<MissingRows> }
        en "rows are missing between others{missing}: publish them, or all again"
        ko "중간에 빠진 행이 있습니다{missing}. 빠진 행이나 전체를 다시 올리세요";
    Reason::RecordNoId => IdTooLong { place: IdPlace, bytes: usize, limit: usize }
        en "the {place} has {bytes} bytes, and an upload id {limit} at most: use a shorter one"
        ko "{place}{i} {bytes}바이트로, 업로드 아이디의 한도 {limit}바이트를 넘습니다. 더 짧은 아이디를 쓰세요"
        [i(place)];
    Reason::RecordNoId => IdNotUtf8 { place: IdPlace, bytes: String }
        en "the {place} is not UTF-8, so that it cannot name an upload: {bytes}"
        ko "{place}{i} UTF-8이 아니어서 업로드 아이디로 쓸 수 없습니다: {bytes}"
        [i(place)];
    Reason::RecordNoId => KeyMissing {}
        en "the record has no key, and upload = \"key\""
        ko "upload = \"key\"인데 레코드에 키가 없습니다";
    Reason::RecordNoId => IdHeaderMissing { name: String }
        en "the record has no header {name}, and upload = \"header:{name}\""
        ko "upload = \"header:{name}\"인데 레코드에 {name} 헤더가 없습니다";
    Reason::RecordNotText => NotText { kind: Binary }
        en "the value does not contain rows of text: {kind}"
        ko "값이 텍스트로 된 행이 아닙니다: {kind}";
    Reason::RecordNotText => JsonRows {}
        en "the value is JSON, and it is read as CSV: leave `format` of the source and the header ss-format out, or say json"
        ko "값이 JSON인데 CSV로 읽습니다. 소스의 format과 ss-format 헤더를 빼거나 json으로 쓰세요";
    Reason::JsonFormat => JsonSyntax { line: usize, character: usize, why: JsonFault }
        en "line {line}, character {character} of the JSON text: {why}"
        ko "JSON의 {line}번째 줄 {character}번째 글자: {why}";
    Reason::JsonDuplicateKey => JsonDuplicateKey { key: Quoted }
        en "the key {key} is there twice, or two keys name the same column: it is not clear which value counts"
        ko "{key} 키가 두 번 있거나 두 키가 같은 열을 가리킵니다. 어느 값을 쓸지 알 수 없습니다";
    Reason::JsonUnknownKey => JsonUnknownKey { key: Quoted }
        en "the key {key} names no column: name it in `header` of the source or in a header marker, or set unknown_keys = \"ignore\""
        ko "{key} 키에 해당하는 열이 없습니다. 소스의 header나 제목 행 표식에 넣거나 unknown_keys = \"ignore\"를 쓰세요";
    Reason::RecordTooBig => BatchTooBig { limit: usize }
        en "the batch of this record has more than {limit} bytes when it is unpacked: its producer sends smaller batches (batch.size)"
        ko "이 레코드가 든 배치는 압축을 풀면 {limit}바이트가 넘습니다. 프로듀서에서 배치를 더 작게 보내세요(batch.size)";
    Reason::RecordMalformed => RecordMalformed { why: String }
        en "{why}"
        ko "레코드를 해독할 수 없습니다({why})";
    Reason::RecordCorrupt => RecordCorrupt { why: String }
        en "{why}"
        ko "레코드가 손상되었습니다({why})";
    Reason::MarkerFormat => RowNumberFormat { value: String }
        en "ss-row is {value}, not a number from 1 on"
        ko "ss-row의 값 {value}{eun} 1부터 시작하는 번호가 아닙니다"
        [eun(value)];
    Reason::MarkerFormat => DelimiterHeader { value: String }
        en "ss-delimiter is {value}, not one ASCII character"
        ko "ss-delimiter의 값 {value}{eun} ASCII 문자 하나가 아닙니다"
        [eun(value)];
    Reason::MarkerFormat => EncodingHeader { value: String }
        en "ss-encoding is {value}, which names no charset of the WHATWG Encoding Standard"
        ko "ss-encoding의 값 {value}{eun} WHATWG Encoding Standard에 있는 인코딩이 아닙니다"
        [eun(value)];
    Reason::MarkerFormat => EscapeHeader { value: String }
        en "ss-escape is {value}, not none or backslash"
        ko "ss-escape의 값 {value}{eun} none이나 backslash가 아닙니다"
        [eun(value)];
    Reason::MarkerFormat => FormatHeader { value: String }
        en "ss-format is {value}, not csv or json"
        ko "ss-format의 값 {value}{eun} csv나 json이 아닙니다"
        [eun(value)];
    Reason::MarkerFormat => JsonMarker { name: String, value: String }
        en "{name} of the marker is {value}; a marker is \"$ss\": \"begin\", \"header\", \"eof\" or \"abort\", and its terms are texts or \
            numbers"
        ko "표식의 {name} 값이 {value}입니다. 표식은 \"$ss\": \"begin\", \"header\", \"eof\", \"abort\"이고 나머지 값은 문자열이나 숫자입니다";
    Reason::MarkerFormat => MarkerKind { value: String }
        en "ss-type is {value}, not begin, header, row, eof or abort"
        ko "ss-type의 값 {value}{eun} begin, header, row, eof, abort 가운데 하나가 아닙니다"
        [eun(value)];
    Reason::MarkerFormat => AttemptTooLong { bytes: usize, limit: usize }
        en "ss-attempt has {bytes} bytes, and {limit} at most: use a shorter one"
        ko "ss-attempt가 {bytes}바이트로, 한도 {limit}바이트를 넘습니다. 더 짧게 쓰세요";
    Reason::MarkerFormat => MarkerHeaderNotUtf8 { name: String }
        en "{name} is not UTF-8"
        ko "{name} 헤더가 UTF-8이 아닙니다";
    Reason::MarkerFormat => MarkerNotUtf8 {}
        en "the marker is not UTF-8"
        ko "표식이 UTF-8이 아닙니다";
    Reason::MarkerFormat => TextBelowMarker {}
        en "there is text below the marker: a marker is a record of its own"
        ko "표식 아래에 다른 내용이 더 있습니다. 표식은 레코드 하나로 따로 보내야 합니다";
    Reason::MarkerFormat => NotAPair { text: String }
        en "'{text}' is not a key=value pair"
        ko "'{text}'{eun} key=value 형식이 아닙니다"
        [eun(text)];
    Reason::MarkerFormat => MarkerNumber { name: String, text: String }
        en "{name}={text} is not a whole number"
        ko "{name}={text}에 정수가 아닌 값이 있습니다";
    Reason::MarkerFormat => MarkerFlag { name: String, text: String }
        en "{name}={text} is neither true nor false"
        ko "{name}={text}에 true나 false가 아닌 값이 있습니다";
    Reason::MarkerFormat => MarkerCoordinates { text: String }
        en "coordinates={text} is none of columns, xy, yx, geometry and none"
        ko "coordinates={text}에 columns, xy, yx, geometry, none이 아닌 값이 있습니다";
    Reason::MarkerFormat => MarkerTitles { limit: usize }
        en "titles is no JSON object of column names to texts, or has more than {limit} bytes"
        ko "titles 값이 열 이름과 문자열의 JSON 객체가 아니거나 {limit}바이트보다 깁니다";
    Reason::MarkerFormat => MarkerSha256 { text: String }
        en "sha256={text} is not 64 hexadecimal digits"
        ko "sha256={text}에 16진수 64자리가 아닌 값이 있습니다";
    Reason::MarkerFormat => SeveralHeaders {}
        en "the header marker holds more than one row"
        ko "제목 행 표식에 행이 둘 이상 있습니다";
    Reason::MarkerFormat => HeaderWithoutNames {}
        en "the header marker names no column"
        ko "제목 행 표식에 열 이름이 없습니다";
    Reason::EofUnknown => EofOfOtherAttempt {}
        en "it ends another attempt than the open one: two publishers use this id, or an old one still runs"
        ko "열려 있는 업로드가 아닌 다른 시도의 끝 표식입니다. 두 곳에서 같은 아이디를 쓰고 있거나, 이전에 보내던 프로그램이 아직 실행되고 있습니다";
    Reason::EofUnknown => EofAfterExpiry {}
        en "the upload expired before its end came: publish it again"
        ko "끝 표식이 오기 전에 업로드가 시간 초과로 끝났습니다. 다시 올리세요";
    Reason::EofUnknown => EofElsewhere { parts: Parts }
        en "the rows of this upload are in {parts}, and its end is not: give all of its records one key, the upload id, by one partitioner; \
            Java clients place a key by murmur2, librdkafka (kcat, Python, Go, C) by CRC32 unless partitioner=murmur2_random is set"
        ko "이 업로드의 행은 {parts}에 있는데 끝 표식은 그곳에 있지 않습니다. 모든 레코드에 업로드 아이디를 키로 붙이고 같은 파티셔너를 쓰세요. 키의 파티션을 \
            Java 클라이언트는 murmur2로, librdkafka(kcat, Python, Go, C)는 partitioner=murmur2_random이 아니면 CRC32로 정합니다";
    Reason::EofUnknown => EofBeforeBegin {}
        en "a begin came behind it, and before any row: it may be the end of an earlier publication whose rows are gone; \
            publish the end again, or give begin and end the same ss-attempt"
        ko "행보다 먼저 왔고 그 뒤에 시작 표식이 왔습니다. 행이 사라진 이전 업로드의 끝일 수 있습니다. 끝 표식을 다시 보내거나 시작과 끝에 같은 ss-attempt를 \
            붙이세요";
    Reason::EofUnknown => EofOfNothing {}
        en "no upload with this id is open in this partition; its rows may be in another one: Java clients place a key by murmur2, \
            librdkafka (kcat, Python, Go, C) by CRC32 unless partitioner=murmur2_random is set"
        ko "이 파티션에는 이 아이디로 열린 업로드가 없습니다. 행이 다른 파티션에 있을 수 있습니다. 키의 파티션을 Java 클라이언트는 murmur2로, \
            librdkafka(kcat, Python, Go, C)는 partitioner=murmur2_random이 아니면 CRC32로 정합니다";
    Reason::RejectedTooMany => TooManyRejected { rejected: u64, rows: u64, limit: String }
        en "{rejected} of {rows} rows were rejected, more than rejected_max = {limit}: the dead letters say why; correct them and publish \
            all again, or raise rejected_max"
        ko "{rows}행 가운데 {rejected}행이 제외되어 rejected_max = {limit}보다 많습니다. 이유는 실패 레코드에 있습니다. 고쳐서 전체를 다시 올리거나 \
            rejected_max를 올리세요";
    Reason::UploadIncomplete => RowsMissing { have: u64, want: u64, missing: Option<MissingRows> }
        en "{have} of {want} rows are here{missing}: publish the missing ones, or all again with #BEGIN first"
        ko "{want}행 가운데 {have}행이 왔습니다{missing}. 빠진 행을 마저 올리거나 #BEGIN부터 전체를 다시 올리세요";
    Reason::UploadIncomplete => TopicsNotEnded { topics: String }
        en "no end-of-file marker came in {topics}: publish one in each topic"
        ko "{topics}에 끝 표식이 오지 않았습니다. 토픽마다 끝 표식을 하나씩 보내세요";
    Reason::UploadIncomplete => CountOfSomeTopics {}
        en "the end-of-file markers of some topics say how many rows they end, and those of others do not: say it in all, or in none"
        ko "어떤 토픽의 끝 표식에는 행 수가 있고 어떤 것에는 없습니다. 모두 쓰거나 모두 빼세요";
    Reason::UploadIncomplete => ChecksumOfTopics {}
        en "a checksum is of all rows of an upload, and these come from several topics: leave it out, and say the number of rows"
        ko "체크섬은 업로드의 모든 행에 대한 것인데 행이 여러 토픽에서 옵니다. 체크섬을 빼고 행 수를 쓰세요";
    Reason::UploadIncomplete => NoRowsYet { want: u64 }
        en "its end came and none of its {want} rows: this partition waits for them; if they are in another one, two partitioners \
            placed the records: Java clients use murmur2, librdkafka (kcat, Python, Go, C) CRC32 unless \
            partitioner=murmur2_random is set"
        ko "끝 표식이 먼저 왔고 {want}행은 아직 하나도 오지 않아 이 파티션에서 기다립니다. 행이 다른 파티션에 있다면 파티셔너가 서로 다른 것입니다. Java \
            클라이언트는 murmur2를, librdkafka(kcat, Python, Go, C)는 partitioner=murmur2_random이 아니면 CRC32를 씁니다";
    Reason::UploadIncomplete => TooManyRows { have: u64, want: u64 }
        en "{have} rows are here and the end-of-file marker announces {want}: publish it again, #BEGIN first"
        ko "끝 표식은 {want}행이라고 알렸는데 {have}행이 왔습니다. #BEGIN부터 전체를 다시 올리세요";
    Reason::UploadIncomplete => OtherChecksum { rows: u64, have: String, want: String }
        en "its {rows} rows have sha256 {have} and the end-of-file marker says {want}: it is over the rows in UTF-8, each followed by \
            LF, without the header; publish it again, #BEGIN first"
        ko "{rows}행의 sha256은 {have}인데 끝 표식의 값은 {want}입니다. 제목 행을 뺀 UTF-8 행마다 LF를 붙여 계산합니다. #BEGIN부터 전체를 다시 올리세요";
    Reason::UploadIncomplete => PublishedIncomplete {}
        en "the end-of-file marker announced other rows than these; the workbook has the rows that came"
        ko "끝 표식이 알린 행과 다릅니다. 엑셀 파일에는 실제로 온 행이 들어 있습니다";
    Reason::UploadCrs => CrsTooLong { bytes: usize, limit: usize }
        en "its own CRS (ss-crs) has {bytes} bytes, more than {limit}: write its EPSG code"
        ko "지정한 좌표계(ss-crs)가 {bytes}바이트로, 한도 {limit}바이트를 넘습니다. EPSG 코드로 쓰세요";
    Reason::UploadCrs => CrsForm {}
        en "its own CRS (ss-crs) is not written in a known form: write a code such as EPSG:5186, WKT, PROJJSON, or a PROJ string"
        ko "지정한 좌표계(ss-crs)의 표기를 읽을 수 없습니다. EPSG:5186 같은 코드, WKT, PROJJSON, PROJ 문자열 가운데 하나로 쓰세요";
    Reason::UploadCrs => NothingToReproject {}
        en "it names a CRS of its own and the topology reprojects nothing, or by the CRS of each row: publish it without one (ss-crs)"
        ko "좌표계(ss-crs)를 지정했지만 변환 설정에 좌표 변환이 없거나 행마다 좌표계를 읽습니다. 좌표계를 지정하지 말고 다시 올리세요";
    Reason::UploadCrs => CrsUnusable { why: String }
        en "its own CRS (ss-crs) cannot be used: {why}"
        ko "지정한 좌표계(ss-crs)를 쓸 수 없습니다: {why}";
    Reason::UploadConflict => SomeRowsNumbered {}
        en "some of its rows carry ss-row and some do not: publish it again, from one publisher"
        ko "ss-row가 있는 행과 없는 행이 섞여 있습니다. 한 곳에서 다시 올리세요";
    Reason::UploadConflict => OtherAttempt { attempt: String, open: OpenAttempt }
        en "rows of attempt '{attempt}' came among rows {open}: two publishers use this id at once; give each its own, or publish it again"
        ko "{open} 행 사이에 시도 '{attempt}'의 행이 왔습니다. 두 곳에서 같은 아이디를 동시에 쓰고 있습니다. 서로 다른 아이디를 쓰거나 다시 올리세요";
    Reason::UploadExpired => Expired { seconds: u64 }
        en "nothing came for {seconds} s and it has no end: publish all of it again, #BEGIN first"
        ko "{seconds}초 동안 아무것도 오지 않았고 끝 표식도 없었습니다. #BEGIN부터 전체를 다시 올리세요";
    Reason::UploadExpired => ExpiredIncomplete { seconds: u64 }
        en "its end came, it is incomplete, and nothing came for {seconds} s: publish all of it again, #BEGIN first"
        ko "끝 표식은 왔지만 내용이 맞지 않은 채로 {seconds}초 동안 아무것도 오지 않았습니다. #BEGIN부터 전체를 다시 올리세요";
    Reason::UploadTooMany => TooManyOpen { limit: u32 }
        en "{limit} uploads of this partition are open, which is the limit (open_uploads_max): this one was turned away. End uploads with an \
            end-of-file marker, or raise the limit, then publish it again, #BEGIN first"
        ko "이 파티션에 열려 있는 업로드가 한도인 {limit}개(open_uploads_max)에 이르러 받지 않았습니다. 끝 표식으로 업로드를 끝내거나 한도를 늘린 뒤 \
            #BEGIN부터 다시 올리세요";
    Reason::UploadNoRoom => NoRoom { limit: usize }
        en "there is no room for it: the open uploads of this partition may have {limit} columns together, each header counted once, as \
            many sheets, and four times as many gaps between rows that came before their turn; end uploads with an end-of-file marker, or \
            raise open_uploads_max, then publish it again"
        ko "자리가 없어 받지 못했습니다. 이 파티션에 열려 있는 업로드는 서로 다른 제목 행의 열을 모두 합쳐 {limit}개까지, 시트도 모두 합쳐 그만큼까지, \
            순서보다 먼저 온 행 사이의 빈자리는 그 네 배까지 둘 수 있습니다. 끝 표식으로 업로드를 끝내거나 open_uploads_max를 늘린 뒤 다시 올리세요";
    Reason::UploadTooMany => KeyPerRow { uploads: u64, rows: u64 }
        en "{uploads} uploads were opened by {rows} rows and none was ended: the records seem to have a key per row; if one file has many \
            keys, set upload = \"partition\" or upload = \"header:NAME\" on the source"
        ko "{rows}행이 업로드 {uploads}개를 열었고 하나도 끝나지 않았습니다. 행마다 키가 다른 것 같습니다. 한 파일에 여러 키를 쓴다면 소스에 \
            upload = \"partition\"이나 upload = \"header:NAME\"을 설정하세요";
    Reason::UploadAborted => Aborted {}
        en "its publisher aborted it: publish it again when it is ready"
        ko "보내는 쪽에서 업로드를 중단했습니다. 준비되면 다시 올리세요";
    Reason::UploadSplit => SplitKeys {}
        en "not all of its records have the upload id as their key, so rows may be in other partitions: set the key of every record to the \
            upload id, or placement = \"spread\" in the source; or say how many rows there are with rows= on the end-of-file marker, or vouch for one partition with partitions=1"
        ko "업로드 아이디를 키로 쓰지 않은 레코드가 있어 다른 파티션에도 행이 있을 수 있습니다. 모든 레코드의 키를 업로드 아이디로 하거나 \
            소스에 placement = \"spread\"를 쓰세요. 또는 끝 표식에 rows=로 행 수를 알리거나, 모두 한 파티션에 있다면 partitions=1을 쓰세요";
    Reason::UploadSplit => SplitParts { parts: Parts }
        en "other rows of the upload are in {parts}: set the key of every record to the upload id, or placement = \"spread\" in the source, \
            and publish all of it again beginning with #BEGIN; keys move to other partitions when partitions are added"
        ko "이 업로드의 다른 행이 {parts}에 있습니다. 모든 레코드의 키를 업로드 아이디로 하거나 소스에 placement = \"spread\"를 쓰고, #BEGIN으로 시작하여 전체를 다시 올리세요. 파티션을 늘리면 키의 \
            파티션이 바뀝니다";
    Reason::UploadSplit => SplitRows { have: u64, want: u64, parts: Parts }
        en "{have} of {want} rows are here, and others are in {parts}: set the key of every record to the upload id, or placement = \"spread\" \
            in the source, and publish all of it again beginning with #BEGIN"
        ko "{want}행 가운데 {have}행이 이곳에 있고, 나머지는 {parts}에 있습니다. 모든 레코드의 키를 업로드 아이디로 하거나 소스에 placement = \"spread\"를 쓰고, #BEGIN으로 시작하여 전체를 다시 \
            올리세요";
    Reason::UploadSplit => Split {}
        en "an upload without an id on a topic with several partitions may have rows in the others: give its records a key, set placement = \"spread\" \
            in the source, or vouch for one partition with partitions=1 on the end-of-file marker"
        ko "파티션이 여럿인 토픽에 아이디 없이 온 업로드는 다른 파티션에도 행이 있을 수 있습니다. 레코드에 키를 붙이거나, 소스에 placement = \"spread\"를 쓰거나, 모두 한 파티션에 있다면 \
            끝 표식에 partitions=1을 쓰세요";
    Reason::UploadRemainder => Remainder { end: Offset }
        en "an upload with this id expired at offset {end}, and these rows may be the rest of it: publish all rows beginning with #BEGIN, or vouch \
            for them with rows= on the end-of-file marker"
        ko "이 아이디의 업로드가 오프셋 {end}에서 시간 초과로 끝났고, 이 행들은 그 나머지일 수 있습니다. #BEGIN으로 시작하여 전체를 다시 올리거나, 끝 표식에 \
            rows=로 행 수를 알리세요";
    Reason::UploadRemainder => RemainderOfFormer {}
        en "an upload with this id was not complete when the topic was deleted and made anew, and these rows may be the rest of it: publish all \
            rows beginning with #BEGIN, or vouch for them with rows= on the end-of-file marker"
        ko "토픽이 삭제되고 다시 만들어질 때 이 아이디의 업로드가 끝나지 않았고, 이 행들은 그 나머지일 수 있습니다. #BEGIN으로 시작하여 전체를 다시 올리거나, 끝 표식에 \
            rows=로 행 수를 알리세요";
    Reason::UploadAmbiguous => BorderGuessed {}
        en "records of another upload with this id were on the topic when an end was read, and only the publishers' timestamps, which \
            may be wrong, show which rows belong to which: publish it again with rows= on the end-of-file marker, or under an id of its own; \
            message.timestamp.type=LogAppendTime on the topic, or clock_tolerance in the source, makes timestamps count"
        ko "끝 표식을 읽을 때 아이디가 같은 다른 업로드의 레코드가 토픽에 함께 있었고, 어느 행이 어느 업로드의 것인지 보내는 쪽의 시각으로만 가릴 수 있어 틀릴 수 \
            있습니다. 끝 표식에 rows=로 행 수를 알리거나 업로드마다 다른 아이디로 다시 올리세요. 토픽에 message.timestamp.type=LogAppendTime을 쓰거나 소스에 \
            clock_tolerance를 정하면 시각으로 가릅니다";
    Reason::LogGap => FirstRowsLost { first: Offset }
        en "records before offset {first} are gone from the log, and first rows of this upload may have been among them: publish it again; #BEGIN \
            before the rows, ss-row on them or rows= on the end-of-file marker would show that none is missing"
        ko "오프셋 {first} 앞의 레코드가 로그에서 사라졌고, 이 업로드의 첫 행들이 그 가운데 있었을 수 있습니다. 다시 올리세요. 행 앞에 #BEGIN을 보내거나 행에 \
            ss-row를 붙이거나 끝 표식에 rows=를 쓰면 빠진 행이 없음을 알 수 있습니다";
    Reason::LogGap => RowsLost { first: Offset, last: Offset }
        en "offsets {first} to {last} are gone from the log (retention or compaction), and rows of this upload may have been among them: \
            publish it again, and keep the topic's retention above the time that an upload takes"
        ko "오프셋 {first}~{last}의 레코드가 로그에서 사라졌고(보존 기간이나 압축), 이 업로드의 행이 그 가운데 있었을 수 있습니다. 다시 올리고, \
            토픽의 보존 기간을 업로드에 걸리는 시간보다 길게 하세요";
    Reason::LogGap => RowsCutOff { at: Offset }
        en "the log was cut at offset {at}, below what had been read (an unclean leader election, or a restored broker), and rows of this upload \
            may have been behind it: publish it again, and set unclean.leader.election.enable=false"
        ko "로그가 이미 읽은 위치보다 앞선 오프셋 {at}에서 잘려(unclean leader election이나 브로커 복원) 이 업로드의 행이 함께 사라졌을 수 있습니다. \
            다시 올리고, unclean.leader.election.enable=false로 설정하세요";
    Reason::LogGap => SkippedByReset { first: Offset, next: Offset }
        en "the group's offset was set to {next} while this upload, which begins at offset {first}, was open, so that rows of it are not \
            read: publish it again"
        ko "이 업로드는 오프셋 {first}에서 시작해 아직 끝나지 않았는데 그룹의 오프셋이 {next}번으로 설정되어 일부 행을 읽지 않습니다. 다시 올리세요";
    Reason::TopicRecreated => OpenWhenRecreated {}
        en "the topic was deleted and made anew while this upload was open, and its rows went with the former topic: publish it again, #BEGIN first"
        ko "이 업로드가 끝나기 전에 토픽이 삭제되고 다시 만들어져, 행이 이전 토픽과 함께 사라졌습니다. #BEGIN부터 모두 다시 올리세요";
    Reason::DeadLetterRefused => OutputRefused { topic: String, refusal: String }
        en "{topic} does not take this record even when it is clipped, so it is not written: {refusal}"
        ko "{topic} 토픽이 줄인 레코드도 받지 않아 쓰지 못했습니다({refusal})";
    Reason::WorkbookTooLarge => RecordTooLarge { refusal: String }
        en "{refusal}, or lower record_bytes_max; then publish the upload again"
        ko "{refusal}. 또는 record_bytes_max를 낮춘 뒤 다시 올리세요";
    Reason::WorkbookFailed => WorkbookFailed { why: String }
        en "the workbook could not be put together ({why}); please report this"
        ko "엑셀 파일을 만들지 못했습니다({why}). sheetstream의 결함이니 알려 주세요";
    why.reason() => HeaderCell { cell: usize, value: Quoted, why: Box<Message> }
        en "cell {cell} of the header, {value}: {why}"
        ko "제목 행의 {cell}번째 칸 {value}: {why}";
    why.reason() => FirstRowIsNoHeader { why: Box<Message> }
        en "the first row cannot be the header: {why}"
        ko "첫 행을 제목 행으로 쓸 수 없습니다: {why}";
    why.reason() => RowFailsUpload { row: u64, why: Box<Message> }
        en "row {row} was rejected and on_error = \"fail\": {why}"
        ko "on_error = \"fail\"인데 {row}행이 제외되었습니다: {why}";
}

impl Message {
    /// The message as JSON, for records that others read.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain data always encodes")
    }

    /// Reads [`Message::to_json`]; `None` for a message that this release does not have.
    pub fn from_json(json: &str) -> Option<Message> {
        serde_json::from_str(json).ok()
    }

    /// The message in one language.
    pub fn say(&self, lang: Lang) -> String {
        Text::say(self, lang)
    }
}

#[cfg(test)]
mod tests;
