//! The page in a real Chromium, before a real `run`: what a person does with a file, in both languages.

#[path = "support/app.rs"]
mod app;
#[path = "support/browser.rs"]
mod browser;
#[path = "support/http.rs"]
mod http;
#[path = "support/kafka.rs"]
mod kafka;
#[path = "support/workbook.rs"]
mod workbook;

use std::fs;
use std::path::Path;
use std::time::Instant;

use app::{App, LIMIT, Running};
use browser::{Browser, OFFICE};
use kafka::Kafka;

/// What a page on the network asks for.
const TOKEN: &str = "a secret of the office";
const FILE: &str = "#file";

/// A browser before the page of an application that runs.
struct Visit {
    app: App,
    _running: Running,
    browser: Browser,
}

impl Visit {
    /// None where there is no browser.
    fn begin(language: &str) -> Option<Visit> {
        let visit = Visit::open(language, "127.0.0.1", &[])?;
        visit.browser.wait_for("#version", "sheetstream");
        Some(visit)
    }

    fn open(language: &str, host: &str, environment: &[(&str, &str)]) -> Option<Visit> {
        let kafka = Kafka::shared()?;
        let app = App::new(kafka, "page", 1);
        let downloads = app.folder.path().join("downloads");
        let browser = Browser::start(language, &downloads)?;
        let running = app.run_with("state", &["--http", "127.0.0.1:0", "--http-hosts", OFFICE], environment);
        browser.open(&format!("http://{host}:{}/", app.http_address("state").port()));
        Some(Visit { app, _running: running, browser })
    }

    fn choose(&self, file: &Path) {
        self.browser.type_into(FILE, &file.display().to_string());
    }

    /// The file that the browser saved, once it is whole.
    fn downloaded(&self, name: &str) -> Vec<u8> {
        let path = self.app.folder.path().join("downloads").join(name);
        let begun = Instant::now();
        while !path.exists() {
            assert!(begun.elapsed() < LIMIT, "{name} was not downloaded");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        fs::read(path).expect("a download")
    }

    /// Answers the question for the token, which must be there.
    fn enter_token(&self) {
        self.browser.wait_for("#token", "asks for its token");
        self.browser.run("document.querySelector('#token input').value = ''");
        self.browser.type_into("#token input", TOKEN);
        self.browser.click("#token button");
    }

    /// As another window of this browser would.
    fn sign_out(&self) {
        self.browser.run("return fetch('/session', { method: 'DELETE' }).then((answer) => answer.status)");
    }

    /// Sends the file of a card. The page may ask for its token by then, for a request of its own found out first: a click would meet that.
    fn send(&self) {
        self.browser.run("document.querySelector('.card button[type=submit]').click()");
    }

    fn uploads(&self) -> usize {
        let listed = http::get(self.app.http_address("state"), "/uploads").json();
        listed["uploads"].as_array().expect("a list").len()
    }
}

/// Opens the list of rejected rows, which is there when it has been asked for.
fn open_rejects(browser: &Browser) {
    browser.wait_for(".refused .actions", "CSV");
    browser.click(".rejects summary");
}

fn a_person_drops_a_file_and_takes_the_workbook() {
    let Some(visit) = Visit::begin("en-US,en") else { return };
    let Visit { app, browser, .. } = &visit;
    let file = app.csv("places.csv", 3_000);
    visit.choose(&file);
    assert!(browser.wait_for(".format", "commas").contains("5 columns"));
    assert!(browser.wait_for(".trial", "would be rejected").contains("4 would"), "rows 5, 1002, 1999 and 2996");
    assert!(browser.text(".coordinates").contains("KGD2002 / Unified CS"));
    for sheet in ["museum", "park", "school"] {
        browser.wait_for(".preview .tabs", sheet);
    }
    assert_eq!(visit.uploads(), 0, "nothing is published before it is asked for");
    let metrics = http::get(app.http_address("state"), "/metrics").text();
    assert!(!metrics.contains("trial") && !app.log("state").contains("published"), "a look is no upload: {metrics}");

    browser.click(".card button[type=submit]");
    browser.wait_for(".verdict", "Done: 2,996 rows in the workbook, 4 rejected");
    browser.wait_for(".refused h3", "4 rejected rows");
    open_rejects(browser);
    let rejects = browser.wait_for(".rejects", "number.format");
    assert!(rejects.contains("none"), "the row as it was: {rejects}");
    let tabs =
        "return [...document.querySelectorAll('.preview [role=tab]')].map((tab) => tab.firstChild.data.trim()).sort()";
    let begun = Instant::now();
    while browser.run(tabs) != serde_json::json!(["museum", "park", "school"]) {
        assert!(begun.elapsed() < LIMIT, "rejected rows are shown once: {}", browser.run(tabs));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    browser.wait_for(".download", ".xlsx");
    browser.click(".download");
    let book = visit.downloaded("places.xlsx");
    assert_eq!(book, app.converted(&file), "over the page, over Kafka or from the file: the same bytes");
    assert_eq!(workbook::sheets(&book)["Errors"].len(), 1 + 4);

    // What was uploaded is there for whoever comes back.
    browser.run("location.reload()");
    browser.wait_for("#recent tbody", "places.csv");
    browser.click("#recent tbody button");
    browser.wait_for(".verdict", "Done: 2,996 rows");
}

#[test]
fn a_person_drops_a_file_and_takes_the_workbook_over_apache_kafka() {
    a_person_drops_a_file_and_takes_the_workbook();
}

#[test]
fn a_person_drops_a_file_and_takes_the_workbook_over_the_in_process_broker() {
    kafka::in_process(a_person_drops_a_file_and_takes_the_workbook);
}

#[test]
fn the_page_speaks_korean_and_takes_another_crs_for_one_file() {
    kafka::in_process(|| {
        let Some(visit) = Visit::begin("ko-KR,ko") else { return };
        let Visit { app, browser, .. } = &visit;
        browser.wait_for("h1", "CSV를 올리면 엑셀 파일이 됩니다");
        let file = app.folder.path().join("중부원점.csv");
        fs::write(
            &file,
            "id,name,kind,x,y\n1,시청,공공,198056.37,451885.53\n2,\"광장, 남쪽\",공공,198100,451700\n3,빈칸,공공,198100,\n",
        )
        .expect("a file");
        visit.choose(&file);
        browser.wait_for(".trial", "처리할 수 있는 행이 없습니다"); // metres of another belt
        browser.run(
            "const crs = document.querySelector('[name=crs]'); crs.value = 'EPSG:5181'; crs.dispatchEvent(new Event('change'))",
        );
        browser.wait_for(".trial", "1행은 변환할 수 없어");
        browser.click(".card button[type=submit]");
        browser.wait_for(".verdict", "완료: 2행을 담았고 1행은 오류로 제외했습니다");
        browser.wait_for(".refused h3", "오류 행 1개");
        open_rejects(browser);
        let korean = browser.wait_for(".rejects", "coord.missing");
        assert!(korean.contains("좌표") && !korean.contains("empty"), "{korean}");
        browser.wait_for(".download", ".xlsx");
        browser.click(".download");
        let sheets = workbook::sheets(&visit.downloaded("중부원점.xlsx"));
        let longitude: f64 = sheets["공공"][1][5].parse().expect("a number");
        assert!((longitude - 126.978).abs() < 0.01, "{longitude}");
        browser.click("[data-language=en]");
        browser.wait_for(".verdict", "Done: 2 rows in the workbook, 1 rejected");
        browser.wait_for(".rejects", "the coordinate is empty");
    });
}

/// A file of 60 places in two districts of Seoul, in EPSG:5181; two rows have no number for a coordinate.
fn seoul_file(app: &App) -> std::path::PathBuf {
    let path = app.folder.path().join("서울.csv");
    let mut text = "id,name,kind,x,y\n".to_owned();
    for n in 0..60 {
        let (kind, x, y) = [("마포구", 192_500, 450_700), ("은평구", 193_000, 456_700)][n % 2];
        let x = if n % 30 == 7 { "미상".to_owned() } else { (x + n * 10).to_string() };
        text.push_str(&format!("{n},시설 {n},{kind},{x},{}\n", y + n * 7));
    }
    fs::write(&path, text).expect("a file");
    path
}

#[test]
fn a_crs_is_found_by_where_the_rows_say_they_are_and_the_points_are_on_a_map() {
    kafka::in_process(|| {
        let Some(visit) = Visit::begin("ko-KR,ko") else { return };
        let Visit { app, browser, .. } = &visit;
        visit.choose(&seoul_file(app));
        // In the topology's CRS nothing is in Korea.
        browser.wait_for(".trial", "처리할 수 있는 행이 없습니다");
        browser.wait_for(".plan button[type=submit]", "그래도 만들기");
        let advice = browser.wait_for(".advice", "EPSG:5181 적용: 서울");
        assert!(advice.contains("EPSG:5174") && advice.contains("구별할 수 없습니다"), "{advice}");
        assert!(!advice.contains("맞습니다"), "nothing is called right: {advice}");
        browser.wait_for(".map figcaption", "✕ 표시는 오류 행");

        browser.click(".advice button");
        browser.wait_for(".advice", "행에 적힌 지역과 위치가 일치합니다: 서울");
        browser.wait_for(".trial", "2행은 변환할 수 없어");
        browser.wait_for(".map figcaption", "점 58개: 서울 58.");
        browser.wait_for(".map .legend", "마포구 30");
        let spoken = browser.run("return document.querySelector('.map canvas').getAttribute('aria-label')");
        assert!(spoken.as_str().is_some_and(|text| text.contains("서울 58") && text.contains("화살표 키")), "{spoken}");
        let drawn = "const canvas = document.querySelector('.map canvas'); const { data } = canvas.getContext('2d').getImageData(0, 0, \
                     canvas.width, canvas.height); let points = 0; for (let n = 0; n < data.length; n += 4) points += data[n] === 0 && \
                     data[n + 1] > 90 && data[n + 2] > 90; return points";
        assert!(browser.run(drawn).as_u64().is_some_and(|points| points > 0), "points are drawn");
        // It is moved by keys, and shows all of them again.
        let picture = "return document.querySelector('.map canvas').toDataURL()";
        let wait_for_another = |before: serde_json::Value| {
            let begun = Instant::now();
            while browser.run(picture) == before {
                assert!(begun.elapsed() < LIMIT, "the map does not move");
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            browser.run(picture)
        };
        let first = browser.run(picture);
        browser.type_into(".map canvas", "+");
        let near = wait_for_another(first);
        browser.type_into(".map canvas", "\u{e012}"); // arrow left
        wait_for_another(near);

        browser.click(".card button[type=submit]");
        browser.wait_for(".verdict", "완료: 58행을 담았고 2행은 오류로 제외했습니다");
        browser.wait_for(".map figcaption", "점 58개: 서울 58.");
        browser.wait_for(".refused .reasons", "2행: 값이 숫자가 아닙니다");
        browser.click(".refused .save");
        let saved = String::from_utf8(visit.downloaded("서울 오류.csv")).expect("UTF-8");
        assert!(saved.starts_with("\u{feff}id,name,kind,x,y,자료 행,코드,이유\r\n"), "{saved}");
        assert!(saved.contains("7,시설 7,은평구,미상,456749,8,number.format,"), "{saved}");
    });
}

#[test]
fn a_file_with_other_column_names_is_no_dead_end() {
    kafka::in_process(|| {
        let Some(visit) = Visit::begin("ko-KR,ko") else { return };
        let Visit { app, browser, .. } = &visit;
        let path = app.folder.path().join("인허가.csv");
        let mut text = "번호,자치구명,업태,좌표정보x(epsg5174),좌표정보y(epsg5174)\n".to_owned();
        for n in 0..40 {
            let kind = ["한식", "중식"][n % 2];
            text.push_str(&format!("{n},마포구,{kind},{}.5,{}.25\n", 192_500 + n * 10, 450_700 + n * 7));
        }
        fs::write(&path, text).expect("a file");
        visit.choose(&path);
        // Its columns are found, and its CRS is named by their names.
        browser.wait_for(".advice", "열 이름으로 보면 EPSG:5174이고, 그 기준 위치는 서울입니다");
        let value = |name: &str| browser.run(&format!("return document.querySelector('[name={name}]').value"));
        assert_eq!(
            (value("x"), value("y"), value("sheet")),
            ("좌표정보x(epsg5174)".into(), "좌표정보y(epsg5174)".into(), "자치구명".into())
        );
        browser.click(".advice button");
        browser.wait_for(".trial", "모두 처리할 수 있습니다");
        browser.run("const sheet = document.querySelector('[name=sheet]'); sheet.value = '업태'; sheet.dispatchEvent(new Event('change'))");
        browser.wait_for(".sheets", "중식");
        browser.click(".swap");
        browser.wait_for(".advice", "x와 y 열이 서로 바뀐 것 같습니다");
        browser.click(".advice button");
        browser.wait_for(".trial", "모두 처리할 수 있습니다");
        browser.click(".card button[type=submit]");
        browser.wait_for(".verdict", "완료: 40행을 담았습니다");
        browser.click(".download");
        let sheets = workbook::sheets(&visit.downloaded("인허가.xlsx"));
        let columns = ["자치구명", "업태", "좌표정보x(epsg5174)", "좌표정보y(epsg5174)", "lon", "lat"];
        assert_eq!(sheets["한식"][0][1..], columns, "the file's own names");
        assert_eq!(sheets["한식"].len(), 1 + 20);
        let longitude: f64 = sheets["한식"][1][5].parse().expect("a number");
        assert!((longitude - 126.915).abs() < 0.01, "{longitude}");
    });
}

#[test]
fn a_file_without_coordinates_becomes_its_workbook_in_one_click() {
    kafka::in_process(|| {
        let Some(visit) = Visit::begin("ko-KR,ko") else { return };
        let Visit { app, browser, .. } = &visit;
        let path = app.folder.path().join("경로당.csv");
        let row = |n: usize| format!("{n},새봄경로당 {n},{},새길 {n},,\r\n", ["마포구", "은평구"][n % 2]);
        let rows: String = (0..20).map(row).collect();
        fs::write(&path, format!("번호,이름,자치구,주소,,\r\n{rows}")).expect("a file");
        visit.choose(&path);
        browser.wait_for(".advice", "좌표가 없어 지도와 좌표 변환 없이");
        browser.wait_for(".keep summary", "6개 중 4개 (이름과 값이 모두 없는 열 2개는 뺐습니다)");
        assert!(browser.text(".extras").contains("요약") && !browser.text(".extras").contains("지도"), "no places");
        browser.click(".card button[type=submit]");
        browser.wait_for(".verdict", "완료: 20행을 담았습니다");
        assert_eq!((browser.text(".map"), browser.text(".card .error")), (String::new(), String::new()));
        browser.click(".download");
        let sheets = workbook::sheets(&visit.downloaded("경로당.xlsx"));
        assert_eq!(sheets["은평구"][0], ["번호", "이름", "자치구", "주소"]);
        assert_eq!(sheets["은평구"].len(), 1 + 10);
    });
}

#[test]
fn both_coordinates_in_one_cell_are_found_and_may_be_chosen() {
    kafka::in_process(|| {
        let Some(visit) = Visit::begin("en-US,en") else { return };
        let Visit { app, browser, .. } = &visit;
        let path = app.folder.path().join("trees.csv");
        let row = |n: usize| format!("{n},oak,\"37.{}, 126.9{}\",\"126.9{1}, 37.{0}\"\n", 500 + n, n % 10);
        let rows: String = (0..20).map(row).collect();
        fs::write(&path, format!("id,kind,lat/lon,lon/lat\n{rows}")).expect("a file");
        visit.choose(&path);
        browser.wait_for(".into", "y (latitude) first");
        browser.click(".advice button"); // the topology takes metres, these are degrees
        browser.wait_for(".trial", "all of them can be converted");
        let choose = |name: &str, value: &str| {
            browser.run(&format!("const field = document.querySelector('[name={name}]'); field.value = '{value}'; field.dispatchEvent(new Event('change'))"))
        };
        choose("x", "lon/lat");
        browser.wait_for(".trial", "none of them can be converted");
        choose("y", "lon/lat");
        browser.wait_for(".into", "x first");
        browser.wait_for(".trial", "all of them can be converted");
        choose("x", "\\u0000");
        browser.wait_for(".advice", "No coordinates");
        choose("x", "lat/lon");
        choose("y", "lat/lon");
        browser.wait_for(".into", "y (latitude) first");
        browser.click(".card button[type=submit]");
        browser.wait_for(".verdict", "Done: 20 rows");
        browser.wait_for(".map", "20 points: Seoul");
        browser.click(".download");
        let sheets = workbook::sheets(&visit.downloaded("trees.xlsx"));
        assert_eq!(sheets["oak"][0], ["id", "kind", "lat/lon", "lon/lat", "lon", "lat"]);
    });
}

#[test]
fn a_table_below_titles_is_read_corrected_and_sent_again() {
    kafka::in_process(|| {
        let Some(visit) = Visit::begin("ko-KR,ko") else { return };
        let Visit { app, browser, .. } = &visit;
        let path = app.folder.path().join("현황.csv");
        let mut text = "한빛구 시설 현황;;;;\n\n번호;이름;자치구;좌표 X;좌표 Y\n".to_owned();
        for n in 0..30 {
            let x = if n == 7 { "미상".to_owned() } else { (953_900 + n).to_string() };
            text.push_str(&format!("{n};\"시설; {n}\";마포구;{x};{}\n", 1_952_030 + n));
        }
        fs::write(&path, encode(&text)).expect("a file");
        visit.choose(&path);
        browser.wait_for(".format", "제목 행은 3번째 줄");
        browser.wait_for(".trial", "1행은 변환할 수 없어");
        let set = |name: &str, value: &str| {
            browser.run(&format!("const field = document.querySelector('[name={name}]'); field.value = '{value}'; field.dispatchEvent(new Event('change'))"))
        };
        // Another header and another delimiter are tried at once, and the first ones again.
        set("header_line", "1");
        browser.wait_for(".format", "열 5개");
        set("delimiter", ",");
        browser.wait_for(".format", "열 1개");
        set("delimiter", ";");
        set("header_line", "3");
        browser.wait_for(".format", "제목 행은 3번째 줄");
        browser.wait_for(".trial", "1행은 변환할 수 없어");
        // A column that nobody needs is left out.
        browser.click(".keep summary");
        browser.click(".keep-list input[value=번호]");
        browser.wait_for(".keep summary", "5개 중 4개");
        browser.wait_for(".trial", "1행은 변환할 수 없어");

        browser.click(".draft");
        let draft = String::from_utf8(visit.downloaded("현황.toml")).expect("UTF-8");
        assert!(draft.contains("delimiter = \";\"") && draft.contains("skip_lines = 2"), "{draft}");
        assert!(draft.contains("x = \"좌표 X\"") && draft.contains("sheet = \"자치구\""), "{draft}");
        assert!(draft.contains("select = [\"이름\", \"자치구\""), "{draft}");

        browser.click(".card button[type=submit]");
        browser.wait_for(".verdict", "완료: 29행을 담았고 1행은 오류로 제외했습니다");
        open_rejects(browser);
        browser.click(".resend");
        browser.wait_for(".mend-error", "아직 고친 칸이 없습니다");
        let correct = |value: &str| {
            browser.run(&format!(
                "const field = document.querySelector('.rejects td.wrong input'); field.value = '{value}'; field.dispatchEvent(new Event('input', {{ bubbles: true }}))"
            ));
            browser.click(".resend");
        };
        correct("어딘가");
        browser.wait_for(".mend-error", "자료 8행이 아직 잘못되었습니다");
        correct("953907");
        browser.wait_for(".verdict", "완료: 30행을 담았습니다");
        browser.click(".download");
        let sheets = workbook::sheets(&visit.downloaded("현황.xlsx"));
        assert_eq!(sheets["마포구"][0][..4], ["이름", "자치구", "좌표 X", "좌표 Y"]);
        assert_eq!(sheets["마포구"][8][..3], ["시설; 7", "마포구", "953907"]);
        assert!(sheets["마포구"].len() == 1 + 30 && !sheets.contains_key("오류"));
        let listed = http::get(app.http_address("state"), "/uploads").json();
        assert_eq!(
            (&listed["uploads"][0]["revision"], listed["uploads"].as_array().map(Vec::len)),
            (&2.into(), Some(1))
        );
    });
}

#[test]
fn rows_are_corrected_one_after_the_other_and_none_of_it_is_lost() {
    kafka::in_process(|| {
        let Some(visit) = Visit::begin("en-US,en") else { return };
        let Visit { app, browser, .. } = &visit;
        let path = app.folder.path().join("three.csv");
        let mut text = "id,name,kind,x,y\n".to_owned();
        for n in 0..9 {
            let x = if n % 4 == 0 { "none".to_owned() } else { (953_900 + n).to_string() };
            text.push_str(&format!("{n},place {n},park,{x},1952030\n"));
        }
        fs::write(&path, text).expect("a file");
        visit.choose(&path);
        browser.wait_for(".trial", "3 would be rejected");
        browser.click(".card button[type=submit]");
        browser.wait_for(".verdict", "6 rows in the workbook, 3 rejected");
        let edit = |row: usize, cells: &str| {
            browser.run(&format!(
                "const row = document.querySelectorAll('.rejects tbody tr')[{row}]; for (const field of row.querySelectorAll('input')) \
                 {{ field.value = ({cells})(field); field.dispatchEvent(new Event('input', {{ bubbles: true }})); }}"
            ));
        };
        open_rejects(browser);
        // The first one is left out, the second one corrected; the network is away for a while.
        edit(0, "() => ''");
        edit(1, "(field) => field.value === 'none' ? '953904' : field.value");
        browser.offline(true);
        browser.click(".resend");
        browser.wait_for(".mend-error", "does not answer");
        browser.offline(false);
        browser.click(".resend");
        browser.wait_for(".verdict", "Done: 7 rows in the workbook, 1 rejected");
        edit(0, "(field) => field.value === 'none' ? '953908' : field.value");
        browser.click(".resend");
        browser.wait_for(".verdict", "Done: 8 rows in the workbook");
        browser.click(".download");
        let sheets = workbook::sheets(&visit.downloaded("three.xlsx"));
        let ids: Vec<&str> = sheets["park"][1..].iter().map(|row| row[0].as_str()).collect();
        assert_eq!(ids, ["1", "2", "3", "4", "5", "6", "7", "8"]);
    });
}

#[test]
fn a_workbook_gets_a_summary_and_links_to_a_map_where_a_person_ticks_them() {
    kafka::in_process(|| {
        let Some(visit) = Visit::begin("en-US,en") else { return };
        let Visit { app, browser, .. } = &visit;
        visit.choose(&app.csv("places.csv", 300));
        browser.wait_for(".trial", "would be rejected");
        assert!(
            browser.text(".extras").contains("(www.openstreetmap.org)"),
            "whoever follows a link tells this host the place"
        );
        browser.click(".extras [name=summary]");
        browser.wait_for(".preview .tabs", "Summary");
        browser.click(".extras [name=map_link]");
        browser.wait_for(".preview thead", "Map");
        browser.click(".preview [role=tab]");
        browser.wait_for(".preview thead", "lat greatest");
        browser.click(".draft");
        let draft = String::from_utf8(visit.downloaded("places.toml")).expect("UTF-8");
        assert!(
            draft.contains("summary = true") && draft.contains("map_link = \"https://www.openstreetmap.org/"),
            "{draft}"
        );
        browser.click(".card button[type=submit]");
        browser.wait_for(".verdict", "rows in the workbook");
        browser.click(".download");
        let sheets = workbook::sheets(&visit.downloaded("places.xlsx"));
        assert!(sheets.contains_key("Summary") && sheets["park"][0].contains(&"Map".to_owned()), "{sheets:?}");
    });
}

#[test]
fn a_large_archive_is_looked_at_whole_and_one_of_its_files_is_chosen() {
    kafka::in_process(|| {
        let Some(visit) = Visit::begin("ko-KR,ko") else { return };
        let Visit { app, browser, .. } = &visit;
        let path = app.folder.path().join("자료.zip");
        let mut zip = zip::ZipWriter::new(fs::File::create(&path).expect("a file"));
        let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        let rows = fs::read(app.csv("all.csv", 20_000)).expect("rows");
        for (name, content) in [("안내.pdf", &b"%PDF"[..]), ("둘.csv", b"a,b\n1,2\n"), ("하나.csv", &rows)] {
            zip.start_file(name, stored).expect("a file");
            std::io::Write::write_all(&mut zip, content).expect("written");
        }
        zip.finish().expect("an archive");
        assert!(fs::metadata(&path).expect("it is there").len() > 512 << 10);
        visit.choose(&path);
        browser.wait_for(".plan .error", "x와 y 열을 선택하세요");
        browser.click(".reading summary");
        browser.wait_for(".reading", "압축 안의 파일");
        browser.run("const list = document.querySelector('[name=worksheet]'); list.value = '하나.csv'; list.dispatchEvent(new Event('change'))");
        browser.wait_for(".trial", "행을 미리 변환해 보니");
        browser.click(".card button[type=submit]");
        browser.wait_for(".verdict", "완료: 19,9");
    });
}

#[test]
fn a_topology_without_coordinates_asks_for_no_columns_of_them() {
    kafka::in_process(|| {
        let Some(mut visit) = Visit::begin("en-US,en") else { return };
        let path = visit.app.topology();
        let text = fs::read_to_string(&path).expect("a topology");
        let (before, rest) = text.split_once("[[map]]").expect("a map");
        let (_, behind) = rest.split_once("[[aggregate]]").expect("an aggregate");
        fs::write(&path, format!("{before}[[aggregate]]{behind}")).expect("a topology");
        visit._running = visit.app.run_with("plain", &["--http", "127.0.0.1:0"], &[]);
        visit.browser.open(&format!("http://127.0.0.1:{}/", visit.app.http_address("plain").port()));
        visit.browser.wait_for("#version", "sheetstream");
        let file = visit.app.folder.path().join("list.csv");
        fs::write(&file, "id,kind\n1,a\n2,b\n").expect("a file");
        visit.choose(&file);
        visit.browser.wait_for(".trial", "all of them can be converted");
        let shown = |field: &str| {
            let field = format!("return document.querySelector('.card [name={field}]').checkVisibility()");
            visit.browser.run("document.querySelector('.card .reading').open = true");
            visit.browser.run(&field)
        };
        assert_eq!(["x", "y", "delimiter", "charset"].map(shown), [false, false, true, true]);
    });
}

/// CP949, as Korean spreadsheets write it.
fn encode(text: &str) -> Vec<u8> {
    encoding_rs::EUC_KR.encode(text).0.into_owned()
}

#[test]
fn enter_in_the_field_of_another_crs_shows_and_does_not_send() {
    kafka::in_process(|| {
        let Some(visit) = Visit::begin("en-US,en") else { return };
        let Visit { app, browser, .. } = &visit;
        visit.choose(&seoul_file(app));
        browser.wait_for(".trial", "none of them can be converted");
        browser.run(
            "const crs = document.querySelector('[name=crs]'); crs.value = 'other'; crs.dispatchEvent(new Event('change'))",
        );
        browser.type_into("[name=other-crs]", "5181\u{e007}");
        browser.wait_for(".trial", "2 would be rejected");
        assert_eq!(visit.uploads(), 0, "Enter shows what the CRS comes to");
        // What cannot be used is said alone, without what another choice came to.
        browser.run("document.querySelector('[name=other-crs]').value = ''");
        browser.type_into("[name=other-crs]", "nonsense\u{e007}");
        browser.wait_for(".plan .error", "is not written in a known form");
        assert_eq!(browser.text(".trial") + &browser.text(".advice") + &browser.text(".preview"), "");
        // A name finds its code.
        browser.run("document.querySelector('[name=other-crs]').value = ''");
        browser.type_into("[name=other-crs]", "lambert-93");
        let offered = "return [...document.querySelectorAll('datalist option')].map((option) => option.value).join()";
        let begun = Instant::now();
        while !browser.run(offered).as_str().is_some_and(|codes| codes.contains("EPSG:2154")) {
            assert!(begun.elapsed() < LIMIT, "{}", browser.run(offered));
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    });
}

#[test]
fn what_is_wrong_with_a_file_is_said_before_it_is_sent() {
    kafka::in_process(|| {
        let Some(visit) = Visit::begin("en-US,en") else { return };
        let Visit { app, browser, .. } = &visit;
        browser.run("document.getElementById('choose').requestSubmit()");
        browser.wait_for("#choose-error", "Choose a CSV file first");

        let file = |name: &str, content: &[u8]| {
            let path = app.folder.path().join(name);
            fs::write(&path, content).expect("a file");
            path
        };
        visit.choose(&file("columns.csv", b"a,b,c\n1,2,3\n"));
        browser.wait_for(".plan .error", "Choose its columns x and y");
        assert_eq!(browser.run("return document.querySelector('.card button[type=submit]').disabled"), true);
        // A row without coordinates does not make a file fit whose other rows are all rejected.
        visit.choose(&file("elsewhere.csv", b"id,kind,x,y\n1,a,126.9,37.5\n2,a,127.0,37.6\n3,a,,\n"));
        browser.wait_for(".trial", "2 would be rejected");
        browser.wait_for(".plan button[type=submit]", "Make it anyway");
        visit.choose(&file("book.csv", b"PK\x03\x04 this is a zip file"));
        browser.wait_for(".card .error", "unpack it");
        visit.choose(&file("empty.csv", b""));
        browser.wait_for(".card .error", "empty");

        // Names and cells are text, whatever they look like.
        let markup = "<img src=x onerror=document.title='owned'>";
        visit.choose(&file(
            "markup.csv",
            format!("id,{markup},kind,x,y\n1,{markup},{markup},953900,1952030\n").as_bytes(),
        ));
        browser.wait_for(".preview", markup);
        assert_eq!(browser.run("return document.querySelectorAll('main img').length"), 0);

        let foreign = browser.run(
            "return performance.getEntriesByType('resource').map((entry) => entry.name).filter((name) => !name.startsWith(location.origin))",
        );
        assert_eq!(foreign, serde_json::json!([]), "no other host is asked for anything");
        assert_eq!(visit.uploads(), 0);
    });
}

#[test]
fn over_an_offices_network_the_token_is_asked_for_once() {
    kafka::in_process(|| {
        let Some(visit) = Visit::open("en-US,en", OFFICE, &[("SHEETSTREAM_HTTP_TOKEN", TOKEN)]) else { return };
        let browser = &visit.browser;
        assert_eq!(browser.run("return window.isSecureContext"), false, "as over plain HTTP in an office");
        browser.wait_for("#token", "asks for its token");
        browser.type_into("#token input", "wrong");
        browser.click("#token button");
        browser.wait_for("#token-error", "not the token");
        visit.enter_token();
        browser.wait_for("#version", "sheetstream");
        let file = visit.app.csv("guarded.csv", 10);
        visit.choose(&file);
        browser.wait_for(".trial", "rejected");

        // Another window has signed out meanwhile.
        visit.sign_out();
        visit.send();
        browser.wait_for("#token", "asks for its token");
        visit.enter_token();
        browser.wait_for(".verdict", "Done: 9 rows");
        // A browser without a window saves nothing that came over plain HTTP, so the link is followed by the page.
        let bytes = browser.run("return fetch(document.querySelector('.download').href).then((answer) => answer.blob()).then((blob) => blob.size)");
        assert_eq!(bytes, visit.app.converted(&file).len());
    });
}

#[test]
fn a_cancel_reaches_the_try_after_the_token() {
    kafka::in_process(|| {
        let Some(visit) = Visit::open("en-US,en", OFFICE, &[("SHEETSTREAM_HTTP_TOKEN", TOKEN)]) else { return };
        let browser = &visit.browser;
        visit.enter_token();
        browser.wait_for("#version", "sheetstream");
        visit.choose(&visit.app.csv("regretted.csv", 3_000));
        browser.wait_for(".trial", "4 would be rejected");

        visit.sign_out();
        visit.send();
        browser.wait_for("#token", "asks for its token");
        browser.slow_uploads(1_000); // the file takes minutes
        visit.enter_token();
        browser.wait_for("body:not(:has(dialog[open])) .stage", "Sending");
        browser.click(".cancel");
        browser.wait_for(".trial", "4 would be rejected");
        let listed = browser.run("return fetch('/uploads').then((answer) => answer.json())");
        assert_eq!(listed["uploads"], serde_json::json!([]), "nothing of it was published");

        browser.slow_uploads(100_000_000);
        browser.click(".card button[type=submit]");
        browser.wait_for(".verdict", "Done: 2,996 rows");
    });
}
