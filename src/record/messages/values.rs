//! Values inside messages that read differently in each language, or that are made to be quoted.

use std::fmt::{self, Debug, Display, Formatter};

use serde::{Deserialize, Serialize};

use crate::record::lang::{Shown, texts};
use crate::record::{Lang, Offset};

texts! {
    /// A guess at the fault of a value, and the spelling to use instead.
    pub enum Hint {
        MarkerOfItsOwn {}
            en "; a marker is a record of its own"
            ko ". 표식은 레코드 하나로 따로 보내야 합니다";
        MarkerInQuotes {}
            en "; a marker in quotes is data: send it without them, or as JSON, {{\"$ss\": \"eof\"}}"
            ko ". 따옴표로 감싼 표식은 자료로 봅니다. 따옴표 없이 보내거나 JSON으로 {{\"$ss\": \"eof\"}}를 보내세요";
        WithDelimiter { delimiter: Delimiter, fields: usize }
            en "; with {delimiter} as the delimiter it would have {fields}"
            ko ". 구분 기호를 {delimiter}{ro} 보면 {fields}칸입니다"
            [ro(delimiter)];
        Pad {}
            en "; field_count = \"pad\" in the source takes such rows"
            ko ". 소스에 field_count = \"pad\"를 쓰면 이런 행도 받습니다";
        EscapeOption {}
            en "; escape = \"backslash\" in the source, with `delimiter` beside it, reads line ends behind a backslash"
            ko ". 소스에 escape = \"backslash\"와 delimiter를 쓰면 역슬래시 뒤의 줄바꿈을 칸의 글로 읽습니다";
        OneColumn {}
            en "; the header is one column: --delimiter names another delimiter for a file, `delimiter` in the source for the rows of a topic"
            ko ". 제목 행이 한 칸입니다. 구분 문자가 다르면 파일은 --delimiter로, 토픽의 행은 소스의 delimiter로 지정하세요";
        DataForHeader {}
            en "; the first row seems to be data: name the columns in `header` of the source, or in a header marker"
            ko ". 첫 행이 제목이 아니라 자료인 것 같습니다. 소스의 header에 열 이름을 적거나 제목 표식을 보내세요";
        NoCoordinates {}
            en "; if the rows have no coordinates, `sheetstream new --from FILE` writes a topology for them"
            ko ". 좌표가 없는 목록이라면 `sheetstream new --from 파일`로 변환 설정을 만드세요";
        BlankOption { value: String }
            en "; blank = ['{value}'] in the source takes such a cell for an empty one"
            ko ". 소스에 blank = ['{value}']라고 쓰면 이런 칸을 빈 칸으로 봅니다";
        NumberOptions {}
            en "; the options `decimal` and `thousands` of its column say how numbers are written"
            ko ". 열의 decimal, thousands 옵션으로 숫자를 쓰는 방식을 지정할 수 있습니다";
        AngleOption {}
            en "; the option angle = \"dms\" of its column reads degrees, minutes and seconds"
            ko ". 열에 angle = \"dms\"를 쓰면 도·분·초를 읽습니다";
        PackedOption {}
            en "; the option angle = \"packed\" of its column reads degrees, minutes and seconds without separators"
            ko ". 열에 angle = \"packed\"를 쓰면 구분 기호 없이 쓴 도·분·초를 읽습니다";
        ZoneOption {}
            en "; the option `zone` of its column says in which zone times are shown, zone = \"+09:00\""
            ko ". 열에 zone = \"+09:00\"처럼 시간대를 쓰면 그 시간대로 바꿔 보여 줍니다";
        HyphenMinus {}
            en "; write the minus as a hyphen, -"
            ko ". 음수 기호는 하이픈(-)으로 쓰세요";
        NumberAlone {}
            en "; write the number alone, without a unit or quotes"
            ko ". 단위나 따옴표를 빼고 숫자만 쓰세요";
        HalfWidthDigits {}
            en "; write the digits 0 to 9 in half width"
            ko ". 숫자 0~9를 반각으로 쓰세요";
        Swapped {}
            en "; looks swapped: x is east, y is north"
            ko ". x와 y가 뒤바뀐 것 같습니다. x에는 동서(가로), y에는 남북(세로) 좌표를 넣으세요";
        Degrees {}
            en "; looks like degrees"
            ko ". 미터가 아니라 도(°) 단위 값으로 보입니다";
        Metres {}
            en "; looks like metres"
            ko ". 도(°)가 아니라 미터 단위 값으로 보입니다";
    }
}

impl Hint {
    /// A guess at the fault of a header that lacks a column.
    pub fn of_header<N: AsRef<str>>(names: &[N]) -> Option<Hint> {
        let is_year = |name: &str| name.len() == 4 && (name.starts_with("19") || name.starts_with("20"));
        let numbers = || names.iter().map(AsRef::as_ref).filter(|name: &&str| name.trim().parse::<f64>().is_ok());
        match names.len() {
            1 => Some(Hint::OneColumn {}),
            // Years are names, too.
            _ => (numbers().count() >= 2 && !numbers().all(is_year)).then_some(Hint::DataForHeader {}),
        }
    }
}

texts! {
    /// Where the header is that came first.
    pub enum EarlierHeader {
        At { offset: Offset } en " at offset {offset}" ko "(오프셋 {offset})";
    }
}

texts! {
    /// A column whose name is close to one that is missing.
    pub enum Nearest {
        Column { name: String } en "; the nearest is '{name}'" ko ". 가장 비슷한 열은 '{name}'입니다";
    }
}

texts! {
    /// The place that an upload id was read from.
    pub enum IdPlace {
        Key {} en "key" ko "키";
        Header { name: String } en "header {name}" ko "{name} 헤더";
    }
}

texts! {
    /// The attempt that an upload is in.
    pub enum OpenAttempt {
        None {} en "without an attempt" ko "시도 표시가 없는";
        Named { attempt: String } en "of attempt '{attempt}'" ko "시도 '{attempt}'의";
    }
}

texts! {
    /// Numbers of rows that did not come, `3-4, 9`.
    pub enum MissingRows {
        Numbers { numbers: String } en "; missing: {numbers}" ko ". 빠진 행: {numbers}";
    }
}

texts! {
    /// The kind of a file or a value that does not contain rows of text, and the advice.
    pub enum Binary {
        Registry { schema: u32 }
            en "a value of a schema registry (magic byte 0, schema id {schema}: Avro, Protobuf or JSON Schema): let the producer write JSON or \
                CSV, in Kafka Connect value.converter=org.apache.kafka.connect.json.JsonConverter for columns, \
                value.converter=org.apache.kafka.connect.storage.StringConverter for lines of a file"
            ko "스키마 레지스트리의 값(매직 바이트 0, 스키마 번호 {schema}: Avro, Protobuf, JSON Schema). 프로듀서가 JSON이나 CSV를 보내게 \
                하세요. Kafka Connect라면 열은 value.converter=org.apache.kafka.connect.json.JsonConverter, 파일의 줄은 \
                value.converter=org.apache.kafka.connect.storage.StringConverter";
        ZeroByte {} en "binary data, it begins with a zero byte" ko "0바이트로 시작하는 이진 자료";
        Workbook {}
            en "an Excel workbook (.xlsx): open it and save it as CSV"
            ko "엑셀 파일(.xlsx). 열어서 CSV로 저장하세요";
        OpenDocument {}
            en "an OpenDocument spreadsheet (.ods): open it and save it as CSV"
            ko "OpenDocument 스프레드시트(.ods). 열어서 CSV로 저장하세요";
        Office {} en "an Office document" ko "오피스 문서";
        Zip {}
            en "a zip archive: unpack it, `unzip -p FILE | sheetstream convert -`"
            ko "zip 압축 파일. 압축을 풀어 보내세요. `unzip -p FILE | sheetstream convert -`";
        Packed { with: String, command: String }
            en "compressed with {with}: unpack it, `{command} FILE | sheetstream convert -`"
            ko "{with}로 압축한 자료. 압축을 풀어 보내세요. `{command} FILE | sheetstream convert -`";
        OldOffice {}
            en "an old Excel or Word file: open it and save it as CSV"
            ko "예전 형식의 엑셀이나 워드 파일. 열어서 CSV로 저장하세요";
        OldXmlWorkbook {}
            en "an Excel 2003 XML spreadsheet: open it and save it as CSV"
            ko "엑셀 2003 XML 스프레드시트. 열어서 CSV로 저장하세요";
        BinaryWorkbook {}
            en "a binary Excel workbook (.xlsb): open it and save it as .xlsx or CSV"
            ko "이진 형식의 엑셀 파일(.xlsb). 열어서 .xlsx나 CSV로 저장하세요";
        Map { format: MapFormat }
            en "{format}: open it in QGIS and export the layer as CSV, with GEOMETRY = AS_XY"
            ko "{format}. QGIS로 열어 레이어를 CSV로 내보내세요(GEOMETRY = AS_XY)";
        Sql {}
            en "an SQL script: load it into a database and export the table as CSV"
            ko "SQL 스크립트. 데이터베이스에 넣고 테이블을 CSV로 내보내세요";
        Utf32 {}
            en "UTF-32 text: save it as UTF-8"
            ko "UTF-32 글. UTF-8로 저장하세요";
        Html {}
            en "an HTML page, whatever its name says: open it in a spreadsheet and save it as CSV"
            ko "이름과 달리 HTML 페이지. 스프레드시트로 열어서 CSV로 저장하세요";
        Xml {} en "an XML document" ko "XML 문서";
        Other { format: String } en "{format} data" ko "{format} 자료";
        Utf16 {}
            en "UTF-16 text: name its charset in the header ss-encoding"
            ko "UTF-16 텍스트. 헤더 ss-encoding으로 인코딩을 지정하세요";
        JavaScript {}
            en "JavaScript around JSON: keep what is from its first bracket to its last one"
            ko "JSON을 감싼 JavaScript. 첫 괄호부터 마지막 괄호까지만 남기세요";
    }
}

texts! {
    /// A format of maps and their tables.
    pub enum MapFormat {
        Shapefile {} en "a shapefile (.shp)" ko "셰이프파일(.shp)";
        DBase {} en "the table of a shapefile (.dbf)" ko "셰이프파일의 속성표(.dbf)";
        GeoPackage {} en "a GeoPackage (.gpkg)" ko "GeoPackage 파일(.gpkg)";
        Kml {} en "a KML document" ko "KML 문서";
        Gpx {} en "a GPX document" ko "GPX 문서";
        Gml {} en "a GML document" ko "GML 문서";
    }
}

impl Binary {
    /// True for a value that a schema is needed for: its publisher writes all values so.
    pub fn is_of_a_registry(&self) -> bool {
        matches!(self, Binary::Registry { .. })
    }
}

texts! {
    /// A fault of JSON text.
    pub enum JsonFault {
        TextEnds {} en "the text ends within a value" ko "값이 끝나기 전에 내용이 끝났습니다";
        ValueExpected {} en "a value is expected" ko "값이 와야 할 자리입니다";
        KeyExpected {} en "a key in quotes is expected" ko "따옴표로 감싼 키가 와야 할 자리입니다";
        SingleQuotes {}
            en "a key in double quotes is expected: json.dumps(row) of Python writes them, str(row) does not"
            ko "키는 큰따옴표로 감싸야 합니다. 파이썬에서는 str(row)가 아니라 json.dumps(row)로 보내세요";
        ColonExpected {} en "a colon is expected" ko "쌍점(:)이 와야 할 자리입니다";
        CommaExpected {} en "a comma or a closing bracket is expected" ko "쉼표나 닫는 괄호가 와야 할 자리입니다";
        NumberFormat {} en "this is not a number in JSON" ko "JSON의 숫자 형식이 아닙니다";
        UnknownEscape {} en "the escape sequence is not a character" ko "이스케이프 표기가 나타내는 글자가 없습니다";
        ControlInString {}
            en "a line end or a control character is in a string; write it as an escape sequence"
            ko "문자열에 줄바꿈이나 제어 문자가 있습니다. 이스케이프 표기로 쓰세요";
        TooDeep { limit: usize }
            en "more than {limit} objects and arrays are within each other"
            ko "객체와 배열이 {limit}단계보다 깊게 겹쳐 있습니다";
        NoRow {} en "a row is an object or an array" ko "행은 객체나 배열이어야 합니다";
    }
}

texts! {
    /// A place in degrees.
    pub enum Place {
        At { longitude: f64, latitude: f64 }
            en "longitude {longitude:.4}, latitude {latitude:.4}"
            ko "경도 {longitude:.4}, 위도 {latitude:.4}";
    }
}

texts! {
    /// An area of use in degrees.
    pub enum Area {
        Bounds { west: f64, south: f64, east: f64, north: f64 }
            en "longitude {west} to {east}, latitude {south} to {north}"
            ko "경도 {west}~{east}, 위도 {south}~{north}";
    }
}

/// A value as messages quote it: at most 60 characters, those that cannot be seen escaped, and quotes and backslashes as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quoted(String);

impl Quoted {
    /// Quotes a cell.
    pub fn new(cell: &str) -> Quoted {
        const CHARS_MAX: usize = 60;
        let mut quoted = String::new();
        for character in cell.chars().take(CHARS_MAX) {
            match character {
                '\'' | '"' | '\\' => quoted.push(character),
                _ => quoted.extend(character.escape_debug()),
            }
        }
        if cell.chars().nth(CHARS_MAX).is_some() {
            quoted.push('…');
        }
        Quoted(quoted)
    }
}

impl Shown for Quoted {
    fn shown(&self, _lang: Lang) -> impl Display + Debug {
        self
    }
}

impl Display for Quoted {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// A character between fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delimiter(pub u8);

impl Shown for Delimiter {
    fn shown(&self, lang: Lang) -> impl Display + Debug {
        let names = match self.0 {
            b',' => ["comma", "쉼표"],
            b';' => ["semicolon", "세미콜론"],
            b'\t' => ["tab", "탭"],
            b'|' => ["pipe", "세로줄(|)"],
            other => return format!("'{}'", other.escape_ascii()),
        };
        names[lang as usize].to_owned()
    }
}

/// Names of which one was looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnyOf(pub Vec<String>);

impl Shown for AnyOf {
    fn shown(&self, lang: Lang) -> impl Display + Debug {
        quoted(&self.0).join([" or ", " 또는 "][lang as usize])
    }
}

texts! {
    /// A part of an upload that is open in another partition.
    pub enum Part {
        At { partition: i32, first: Offset, rows: u64 }
            en "partition {partition} from offset {first} ({rows} rows)"
            ko "파티션 {partition}의 오프셋 {first}부터({rows}행)";
        Elsewhere { partition: i32 }
            en "partition {partition}, which another process has"
            ko "다른 프로세스가 맡은 파티션 {partition}";
    }
}

/// Where an upload is open besides the partition that is talked about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Parts(pub Vec<Part>);

impl Parts {
    /// It is open nowhere else, as far as this process knows.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Shown for Parts {
    fn shown(&self, lang: Lang) -> impl Display + Debug {
        let parts: Vec<String> = self.0.iter().map(|part| part.shown(lang).to_string()).collect();
        parts.join(", ")
    }
}

/// Names of a header, the first of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    names: Vec<String>,
    more: usize,
}

impl Names {
    /// The first twenty of these names.
    pub fn of<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> Names {
        const LISTED_MAX: usize = 20;
        let more = names.len().saturating_sub(LISTED_MAX);
        Names { names: names.take(LISTED_MAX).map(str::to_owned).collect(), more }
    }
}

impl Shown for Names {
    fn shown(&self, lang: Lang) -> impl Display + Debug {
        let mut listed = quoted(&self.names);
        if self.more > 0 {
            let more = self.more;
            listed.push(match lang {
                Lang::En => format!("{more} more"),
                Lang::Ko => format!("그 밖에 {more}개"),
            });
        }
        listed.join(", ")
    }
}

fn quoted(names: &[String]) -> Vec<String> {
    names.iter().map(|name| format!("\"{name}\"")).collect()
}
