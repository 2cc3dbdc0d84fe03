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
        self.browser.type_into("#token input", "right");
        self.browser.click("#token button");
    }

    /// As another window of this browser would.
    fn sign_out(&self) {
        self.browser.run("return fetch('/session', { method: 'DELETE' }).then((answer) => answer.status)");
    }

    fn uploads(&self) -> usize {
        let listed = http::get(self.app.http_address("state"), "/uploads").json();
        listed["uploads"].as_array().expect("a list").len()
    }
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
    browser.wait_for(".rejects summary", "4 rejected rows");
    browser.click(".rejects summary");
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
            "id,name,kind,x,y\n1,시청,공공,198056.37,451885.53\n2,\"광장, 남쪽\",공공,198100,451700\n3,빈칸,공공,,\n",
        )
        .expect("a file");
        visit.choose(&file);
        browser.wait_for(".trial", "3행이 거절됩니다"); // metres of another belt
        browser.run(
            "const crs = document.querySelector('[name=crs]'); crs.value = 'EPSG:5181'; crs.dispatchEvent(new Event('change'))",
        );
        browser.wait_for(".trial", "1행이 거절됩니다");
        browser.click(".card button[type=submit]");
        browser.wait_for(".verdict", "완료: 2행이 담겼고 1행은 거절되었습니다");
        browser.wait_for(".rejects summary", "거절된 행 1개");
        browser.click(".rejects summary");
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
        browser.wait_for(".plan .error", "kind");
        assert_eq!(browser.run("return document.querySelector('.card button[type=submit]').disabled"), true);
        visit.choose(&file("book.csv", b"PK\x03\x04 this is a zip file"));
        browser.wait_for(".card .error", "save it as CSV");
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
        let Some(visit) = Visit::open("en-US,en", OFFICE, &[("SHEETSTREAM_HTTP_TOKEN", "right")]) else { return };
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
        browser.click(".card button[type=submit]");
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
        let Some(visit) = Visit::open("en-US,en", OFFICE, &[("SHEETSTREAM_HTTP_TOKEN", "right")]) else { return };
        let browser = &visit.browser;
        visit.enter_token();
        browser.wait_for("#version", "sheetstream");
        visit.choose(&visit.app.csv("regretted.csv", 3_000));
        browser.wait_for(".trial", "4 would be rejected");

        visit.sign_out();
        browser.click(".card button[type=submit]");
        browser.wait_for("#token", "asks for its token");
        browser.slow_uploads(1_000); // the file takes minutes
        visit.enter_token();
        browser.wait_for(".stage", "Sending");
        browser.click(".cancel");
        browser.wait_for(".trial", "4 would be rejected");
        let listed = browser.run("return fetch('/uploads').then((answer) => answer.json())");
        assert_eq!(listed["uploads"], serde_json::json!([]), "nothing of it was published");

        browser.slow_uploads(100_000_000);
        browser.click(".card button[type=submit]");
        browser.wait_for(".verdict", "Done: 2,996 rows");
    });
}
