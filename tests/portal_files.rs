//! Thirty files as public data portals give them, names invented and quirks real: each goes from the drop to its workbook with three clicks at most
//! and without any topology file of its own, and its points are where its rows say.

#[path = "support/browser.rs"]
mod browser;
#[path = "support/http.rs"]
mod http;
#[path = "support/workbook.rs"]
mod workbook;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use browser::Browser;
use sheetstream::crs::{CrsPair, open};

/// Rows of data in each file.
const ROWS: usize = 48;
/// Rows without coordinates in files that have such: 8 %.
const BLANK_EVERY: usize = 12;
/// How far a point may be from the middle of its district, in degrees: what the files scatter, and the datum shift of a family.
const NEAR: f64 = 0.02;
/// Clicks from the drop to the workbook.
const CLICKS_MAX: u32 = 3;

/// Province, district, and a point in it.
type District = (&'static str, &'static str, f64, f64);

const SEOUL: [District; 3] = [
    ("서울특별시", "마포구", 126.91, 37.56),
    ("서울특별시", "송파구", 127.11, 37.51),
    ("서울특별시", "은평구", 126.92, 37.61),
];
const SOUTHEAST: [District; 3] = [
    ("부산광역시", "해운대구", 129.16, 35.17),
    ("울산광역시", "울주군", 129.14, 35.55),
    ("대구광역시", "수성구", 128.63, 35.85),
];
const JEJU: [District; 2] =
    [("제주특별자치도", "제주시", 126.53, 33.48), ("제주특별자치도", "서귀포시", 126.56, 33.26)];

/// A row before it is written: number, district, longitude and latitude as they are, x and y as the file has them.
struct Row {
    number: usize,
    district: District,
    x: String,
    y: String,
}

/// Rows around districts, in a CRS; `blanks` leaves out the coordinates of some.
fn rows(definition: &str, around: &[District], blanks: bool) -> Vec<Row> {
    let pair = CrsPair::resolve("OGC:CRS84", definition, true).expect("a known system");
    let proj = open(&pair.first_operation().pipeline).expect("a pipeline");
    let decimals = if definition == "EPSG:4326" { 6 } else { 2 };
    let row = |number: usize| {
        let district = around[number % around.len()];
        let scatter = |step: usize| ((number * step) % 17) as f64 / 17.0 * 0.02 - 0.01;
        let (x, y) = proj.convert((district.2 + scatter(5), district.3 + scatter(11))).expect("a place in it");
        let (x, y) =
            if definition == "EPSG:4326" { (district.2 + scatter(5), district.3 + scatter(11)) } else { (x, y) };
        let is_blank = blanks && number % BLANK_EVERY == 7;
        let text = |value: f64| if is_blank { String::new() } else { format!("{value:.decimals$}") };
        Row { number, district, x: text(x), y: text(y) }
    };
    (1..=ROWS).map(row).collect()
}

/// A file: its name, its bytes, how many rows its workbook has, and how many of them a point.
struct Portal {
    name: &'static str,
    bytes: Vec<u8>,
    kept: usize,
    points: usize,
}

/// A table with a header and a row each; `row` writes the cells of one.
fn table(header: &[&str], rows: &[Row], delimiter: &str, row: impl Fn(&Row) -> Vec<String>) -> String {
    let quoted = |cell: &str| {
        let needs = cell.contains([',', '"', '\n', ';', '|']);
        if needs { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
    };
    let line = |cells: Vec<String>| cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(delimiter) + "\r\n";
    let header = line(header.iter().map(|name| (*name).to_owned()).collect());
    header + &rows.iter().map(|one| line(row(one))).collect::<String>()
}

fn name_of(row: &Row) -> String {
    format!("한빛나루 {}호점", row.number)
}

fn address(row: &Row) -> String {
    format!("{} {} 새길 {} (가동)", row.district.0, row.district.1, row.number)
}

/// The usual cells: number, name, district, x, y.
fn usual(row: &Row) -> Vec<String> {
    vec![format!("{:05}", row.number), name_of(row), row.district.1.to_owned(), row.x.clone(), row.y.clone()]
}

fn cp949(text: &str) -> Vec<u8> {
    encoding_rs::EUC_KR.encode(text).0.into_owned()
}

fn utf16(text: &str) -> Vec<u8> {
    [vec![0xff, 0xfe], text.encode_utf16().flat_map(u16::to_le_bytes).collect()].concat()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).expect("memory");
    gzip.finish().expect("memory")
}

/// `126°54'36.00"E`.
fn dms(degrees: &str, mark: char) -> String {
    let value: f64 = degrees.parse().expect("a number");
    // Whole hundredths of a second, so that no second is 60.
    let hundredths = (value * 360_000.0).round() as u32;
    let (degrees, minutes) = (hundredths / 360_000, hundredths / 6_000 % 60);
    format!("{degrees}°{minutes:02}'{:05.2}\"{mark}", f64::from(hundredths % 6_000) / 100.0)
}

/// A workbook with a title above its header.
fn xlsx(title: Option<&str>, header: &[&str], rows: &[Row]) -> Vec<u8> {
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet().set_name("현황").expect("a name");
    let mut line = 0;
    if let Some(title) = title {
        sheet.write(0, 0, title).expect("a cell");
        line = 2;
    }
    for (column, name) in (0..).zip(header) {
        sheet.write(line, column, *name).expect("a cell");
    }
    for row in rows {
        line += 1;
        for (column, cell) in (0..).zip(usual(row)) {
            let written = match cell.parse::<f64>() {
                Ok(number) if column > 2 => sheet.write(line, column, number),
                _ => sheet.write(line, column, cell),
            };
            written.expect("a cell");
        }
    }
    book.save_to_buffer().expect("a workbook")
}

fn portal_files() -> Vec<Portal> {
    let whole = |name, bytes| Portal { name, bytes, kept: ROWS, points: ROWS };
    let header = ["관리번호", "시설명", "자치구", "X좌표", "Y좌표"];
    let plain = |header: &[&str], definition: &str, around: &[District]| {
        table(header, &rows(definition, around, false), ",", usual)
    };
    let licences = rows("EPSG:5174", &SEOUL, true);
    let blanks = licences.iter().filter(|row| row.x.is_empty()).count();
    let licence = |row: &Row| vec![name_of(row), address(row), row.x.clone(), row.y.clone(), "2024-01-05".to_owned()];
    let degrees = rows("EPSG:4326", &SEOUL, false);
    let swapped = |row: &Row| vec![row.number.to_string(), address(row), row.y.clone(), row.x.clone()];
    let noted =
        |row: &Row| vec![name_of(row), format!("{}\n2층, \"별관\"", address(row)), row.x.clone(), row.y.clone()];
    let headerless = rows("EPSG:5186", &SEOUL, false);
    let headerless: String =
        headerless.iter().map(|row| format!("{},{},{},{}\r\n", row.number, row.district.1, row.x, row.y)).collect();
    vec![
        Portal {
            name: "일반음식점_인허가.csv",
            bytes: cp949(&table(
                &["사업장명", "소재지전체주소", "좌표정보x(epsg5174)", "좌표정보y(epsg5174)", "인허가일자"],
                &licences,
                ",",
                licence,
            )),
            kept: ROWS,
            points: ROWS - blanks,
        },
        Portal {
            name: "미용업_인허가.csv",
            bytes: cp949(&table(
                &["사업장명", "소재지전체주소", "좌표정보(X)", "좌표정보(Y)", "인허가일자"],
                &licences,
                ",",
                licence,
            )),
            kept: ROWS,
            points: ROWS - blanks,
        },
        whole(
            "시설_현황.csv",
            cp949(&format!(
                "공공시설 현황,,,,\r\n(2024. 12. 31. 기준),,,,\r\n\r\n{}",
                plain(&header, "EPSG:5186", &SEOUL)
            )),
        ),
        Portal {
            name: "체육시설_합계.csv",
            bytes: cp949(&format!("{}합계,{ROWS}개소,,,\r\n", plain(&header, "EPSG:5179", &SEOUL))),
            kept: ROWS, // the row of totals is among the errors, and says so
            points: ROWS,
        },
        whole("주차장.txt", utf16(&table(&["관리번호", "주차장명", "자치구", "경도", "위도"], &degrees, "\t", usual))),
        whole(
            "등대.csv",
            table(&["번호", "이름", "소재지", "위도", "경도"], &degrees, ",", |row| {
                vec![row.number.to_string(), name_of(row), address(row), dms(&row.y, 'N'), dms(&row.x, 'E')]
            })
            .into_bytes(),
        ),
        whole("공원_현황.xlsx", xlsx(Some("공원 현황 (2024)"), &header, &rows("EPSG:5186", &SEOUL, false))),
        whole("도서관.xlsx", xlsx(None, &["관리번호", "도서관명", "자치구", "경도", "위도"], &degrees)),
        whole(
            "건물.csv",
            cp949(&plain(&["관리번호", "건물명", "시군구명", "엑스좌표_값", "와이좌표_값"], "EPSG:5181", &SEOUL)),
        ),
        whole(
            "shops.csv",
            [&b"\xef\xbb\xbf"[..], plain(&["id", "name", "district", "lon", "lat"], "EPSG:4326", &SEOUL).as_bytes()]
                .concat(),
        ),
        whole("정류장.csv", cp949(&plain(&["정류장번호", "정류장명", "구", " 경도 ", " 위도 "], "EPSG:4326", &SEOUL))),
        whole(
            "측량점_축바뀜.csv",
            cp949(&table(&["번호", "주소", "X좌표", "Y좌표"], &rows("EPSG:5186", &SEOUL, false), ",", swapped)),
        ),
        whole("수출.csv", table(&header, &rows("EPSG:5186", &SEOUL, false), ";", usual).into_bytes()),
        whole("제목없음.csv", cp949(&headerless)),
        whole("꾸러미.csv.gz", gzip(&plain(&header, "EPSG:5179", &SEOUL))),
        whole("부산권_시장.csv", cp949(&plain(&["번호", "시장명", "시군구", "X", "Y"], "EPSG:5187", &SOUTHEAST))),
        whole("옛_지적.csv", cp949(&plain(&["번호", "이름", "자치구", "TM_X", "TM_Y"], "EPSG:2097", &SEOUL))),
        whole("제주_관광지.csv", cp949(&plain(&["연번", "관광지명", "행정시", "x좌표", "y좌표"], "EPSG:5179", &JEJU))),
        whole(
            "메모가_긴_파일.csv",
            table(&["이름", "주소", "x", "y"], &rows("EPSG:5186", &SEOUL, false), ",", noted).into_bytes(),
        ),
        whole(
            "세로줄.txt",
            cp949(&table(&["번호", "이름", "자치구", "좌표X", "좌표Y"], &rows("EPSG:3857", &SEOUL, false), "|", usual)),
        ),
    ]
}

/// Files whose coordinates are elsewhere than in two columns of plain numbers, or nowhere.
fn odd_files() -> Vec<Portal> {
    let whole = |name, text: String| Portal { name, bytes: text.into_bytes(), kept: ROWS, points: ROWS };
    let degrees = rows("EPSG:4326", &SEOUL, false);
    let metres = rows("EPSG:5181", &SEOUL, false);
    let in_one = |header: &[&str], cell: fn(&Row) -> String| {
        table(header, &degrees, ",", |row| vec![name_of(row), row.district.1.to_owned(), cell(row)])
    };
    let one = ["시설명", "자치구", "위치"];
    let thousands = |number: &str| {
        let (whole, fraction) = number.split_once('.').expect("a fraction");
        format!("{},{}.{fraction}", &whole[..3], &whole[3..])
    };
    let two_lines = table(&["자치구", "시설명", "X좌표", "Y좌표", "인가"], &metres, ",", |row| {
        vec![row.district.1.to_owned(), name_of(row), thousands(&row.x), thousands(&row.y), "1,024".to_owned()]
    });
    let feature = |row: &Row| {
        serde_json::json!({
            "type": "Feature", "properties": { "이름": name_of(row), "자치구": row.district.1 },
            "geometry": { "type": "Point", "coordinates": [row.x.parse::<f64>().ok(), row.y.parse::<f64>().ok()] },
        })
    };
    let features: Vec<_> = degrees.iter().map(feature).collect();
    let no_places = table(&["연번", "시설명", "시군구", "주소", "정원", "", ""], &degrees, ",", |row| {
        let cells = [&row.number.to_string(), &name_of(row), row.district.1, &address(row), "20", "", ""];
        cells.map(str::to_owned).to_vec()
    });
    vec![
        Portal { name: "경로당_주소만.csv", bytes: cp949(&no_places), kept: ROWS, points: 0 },
        whole("화장실_한칸.csv", in_one(&one, |row| format!("({}, {})", row.y, row.x))),
        whole("보호수.csv", in_one(&["수목명", "자치구", "geom"], |row| format!("POINT({} {})", row.x, row.y))),
        whole("등대_한칸.csv", in_one(&one, |row| format!("{} {}", dms(&row.y, 'N'), dms(&row.x, 'E')))),
        Portal {
            name: "어린이집_두줄머리글.csv",
            bytes: cp949(&format!(
                "2024년 현황,,,,\r\n구분,,위치,,정원\r\n{two_lines}합계,{ROWS}개소,,,\"49,152\"\r\n"
            )),
            kept: ROWS,
            points: ROWS,
        },
        whole(
            "쉼터_단위.csv",
            table(&["쉼터명", "자치구", "경도", "위도"], &degrees, ",", |row| {
                vec![name_of(row), row.district.1.to_owned(), format!("{}°E", row.x), format!("{}°N", row.y)]
            }),
        ),
        whole(
            "주유소_축바뀜.csv",
            table(&["상호", "자치구", "경도", "위도"], &degrees, ",", |row| {
                vec![name_of(row), row.district.1.to_owned(), row.y.clone(), row.x.clone()]
            }),
        ),
        Portal {
            name: "상점_희귀글자.csv",
            bytes: cp949(&table(&["상호", "자치구", "상점경도", "상점위도"], &degrees, ",", |row| {
                vec!["똠뷁숍펲".to_owned(), row.district.1.to_owned(), row.x.clone(), row.y.clone()]
            })),
            kept: ROWS,
            points: ROWS,
        },
        whole(
            "유럽식.csv",
            table(&["이름", "자치구", "Länge", "Breite"], &degrees, ";", |row| {
                let comma = |number: &str| number.replace('.', ",");
                vec![name_of(row), row.district.1.to_owned(), comma(&row.x), comma(&row.y)]
            }),
        ),
        whole("공원.geojson", serde_json::json!({ "type": "FeatureCollection", "features": features }).to_string()),
    ]
}

/// `dev` as the README starts it; none of its topologies knows these files.
struct Dev(Child, SocketAddr);

impl Dev {
    fn start(folder: &Path) -> Dev {
        let mut dev = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
        dev.args(["dev", "--json", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        dev.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(fs::File::create(folder.join("log")).expect("a log"));
        let mut process = dev.spawn().expect("dev starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut line).expect("its first line");
        let first: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let page = first["page"].as_str().expect("an address").trim_start_matches("http://").trim_end_matches('/');
        Dev(process, page.parse().expect("an address"))
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// From the drop to the workbook as a person goes who follows what the page says: the clicks, and the workbook.
fn drive(browser: &Browser, page: SocketAddr, file: &Path) -> (u32, Vec<u8>) {
    let mut clicks = 0;
    browser.type_into("#file", &file.display().to_string());
    browser.wait_for(".card button[type=submit]", "만들기");
    let offered = browser.run("return document.querySelectorAll('.card .advice button').length").as_u64();
    if offered > Some(0) {
        browser.click(".card .advice button");
        clicks += 1;
        browser.wait_for(".card[aria-busy='false'] .name", ".");
    }
    browser.click(".card button[type=submit]");
    clicks += 1;
    browser.wait_for(".card .download", "내려받기");
    let path = browser.run("return new URL(document.querySelector('.card .download').href).pathname");
    let book = http::get(page, path.as_str().expect("a path"));
    clicks += 1;
    assert_eq!(book.status, 200, "{}", book.text());
    browser.click(".card .close");
    (clicks, book.body)
}

/// What is wrong with the workbook of a file.
fn judge(portal: &Portal, book: &[u8]) -> Option<String> {
    let mut sheets = workbook::sheets(book);
    let errors = sheets.remove("오류");
    sheets.remove("정보");
    let (mut kept, mut points) = (0, 0);
    for (name, rows) in &sheets {
        let header = &rows[0];
        let place =
            |names: [&str; 2]| header.iter().rposition(|column| names.iter().any(|name| column.starts_with(name)));
        let ours = if portal.points == 0 { "column_" } else { "시트" };
        if header.iter().any(|column| column.starts_with(ours)) {
            return Some(format!("{name} has columns that are not the file's: {header:?}"));
        }
        let (Some(lon), Some(lat)) = (place(["경도(WGS84)", "경도"]), place(["위도(WGS84)", "위도"])) else {
            if portal.points == 0 {
                kept += rows.len() - 1;
                continue;
            }
            return Some(format!("{name} has no coordinates: {header:?}"));
        };
        for row in &rows[1..] {
            kept += 1;
            let Ok((x, y)) = row[lon].parse::<f64>().and_then(|x| Ok((x, row[lat].parse::<f64>()?))) else { continue };
            points += 1;
            let said = row.join(" ");
            let district = SEOUL.iter().chain(&SOUTHEAST).chain(&JEJU).find(|district| said.contains(district.1));
            let is_near = |district: &&District| (district.2 - x).abs() < NEAR && (district.3 - y).abs() < NEAR;
            if district.is_none_or(|district| !is_near(&district)) {
                return Some(format!("a point of {district:?} is at {x}, {y}: {said}"));
            }
        }
    }
    let first = errors.and_then(|rows| rows.get(1).cloned());
    let is_right = (kept, points) == (portal.kept, portal.points);
    (!is_right)
        .then(|| format!("{kept} rows and {points} points, not {} and {}; {first:?}", portal.kept, portal.points))
}

#[test]
fn rows_without_coordinates_are_kept_in_one_click() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(browser) = Browser::start("ko-KR,ko", &folder.path().join("downloads")) else { return };
    let dev = Dev::start(folder.path());
    browser.open(&format!("http://{}/", dev.1));
    let file = rows("EPSG:5179", &SEOUL, true);
    let blanks = file.iter().filter(|row| row.x.is_empty()).count();
    let text = table(&["번호", "이름", "시군", "X좌표", "Y좌표"], &file, ",", usual);
    let path = folder.path().join("시설.csv");
    fs::write(&path, cp949(&text)).expect("written");
    browser.type_into("#file", &path.display().to_string());
    browser.wait_for(".trial", &format!("{blanks}행은 변환할 수 없어"));
    browser.click(".keep-blank");
    browser.wait_for(".trial", "모두 처리할 수 있습니다");
    browser.click(".card button[type=submit]");
    browser.wait_for(".verdict", &format!("{ROWS}행을 담았습니다"));
}

#[test]
fn thirty_files_become_workbooks_with_three_clicks_at_most() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(browser) = Browser::start("ko-KR,ko", &folder.path().join("downloads")) else { return };
    let dev = Dev::start(folder.path());
    browser.open(&format!("http://{}/", dev.1));
    browser.wait_for("#version", "sheetstream");
    let files: Vec<Portal> = portal_files().into_iter().chain(odd_files()).collect();
    assert_eq!(files.len(), 30);
    let (mut clicked, mut wrong) = (Vec::new(), Vec::new());
    for portal in &files {
        let path = folder.path().join(portal.name);
        fs::write(&path, &portal.bytes).expect("written");
        let begun = Instant::now();
        let (clicks, book) = drive(&browser, dev.1, &path);
        clicked.push(format!("{clicks} clicks, {:.2} s: {}", begun.elapsed().as_secs_f64(), portal.name));
        if clicks > CLICKS_MAX {
            wrong.push(format!("{}: {clicks} clicks", portal.name));
        }
        wrong.extend(judge(portal, &book).map(|why| format!("{}: {why}", portal.name)));
    }
    println!("{}", clicked.join("\n"));
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), clicked.join("\n"));
}
