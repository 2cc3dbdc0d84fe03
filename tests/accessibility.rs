//! The page under the rules of axe-core (WCAG 2.2 A and AA, and good practice): light, dark and on a phone, empty, before and after an upload.
//! Where axe-core is not installed the test prints one `skipped:` line and passes, or fails with `SHEETSTREAM_REQUIRE_TOOLS=1`.

#[path = "support/app.rs"]
mod app;
#[path = "support/browser.rs"]
mod browser;
#[path = "support/http.rs"]
mod http;
#[path = "support/kafka.rs"]
mod kafka;

use std::fs;
use std::path::PathBuf;

use app::App;
use browser::Browser;
use kafka::Kafka;
use serde_json::json;

/// Version that `script/bootstrap` fetches.
const AXE: &str = "axe-core-4.14.1";

/// The program of axe-core, if it is here.
fn axe() -> Option<String> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or(home.join(".cache"), PathBuf::from);
    let found = fs::read_to_string(cache.join("sheetstream").join(AXE).join("axe.min.js")).ok();
    if found.is_none() {
        eprintln!("skipped: the_page_keeps_the_rules_of_accessibility needs {AXE}; script/bootstrap fetches it");
        assert!(std::env::var_os("SHEETSTREAM_REQUIRE_TOOLS").is_none(), "it was required to run");
    }
    found
}

/// What breaks a rule, in each way to look at the page.
fn broken(browser: &Browser, axe: &str, state: &str) -> Vec<String> {
    let mut broken = Vec::new();
    // Colours that are on their way from one scheme to the other keep no rule.
    for (way, scheme, width) in [("light", "light", 1_280), ("dark", "dark", 1_280), ("phone", "light", 390)] {
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        browser.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }));
        let metrics = json!({ "width": width, "height": 1_000, "deviceScaleFactor": 1, "mobile": width < 500 });
        browser.devtools("Emulation.setDeviceMetricsOverride", &metrics);
        browser.run(axe);
        let found = browser.run(
            "return axe.run(document).then(({ violations }) => \
             violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' | ')}`))",
        );
        let found = found.as_array().cloned().unwrap_or_default();
        broken.extend(found.iter().map(|rule| format!("{state}, {way}: {rule}")));
        let scrolls = browser.run("return document.documentElement.scrollWidth > innerWidth");
        if scrolls == true {
            broken.push(format!("{state}, {way}: the page is wider than its window"));
        }
    }
    browser.devtools("Emulation.clearDeviceMetricsOverride", &json!({}));
    broken
}

#[test]
fn the_page_keeps_the_rules_of_accessibility() {
    kafka::in_process(|| {
        let (Some(kafka), Some(axe)) = (Kafka::shared(), axe()) else { return };
        let app = App::new(kafka, "accessible", 1);
        let Some(browser) = Browser::start("ko-KR,ko", &app.folder.path().join("downloads")) else { return };
        let _running = app.run_with("state", &["--http", "127.0.0.1:0"], &[]);
        browser.open(&format!("http://{}/", app.http_address("state")));
        browser.wait_for("#version", "sheetstream");
        let mut wrong = broken(&browser, &axe, "empty");
        browser.type_into("#file", &app.csv("places.csv", 1_200).display().to_string());
        browser.wait_for(".trial", "행");
        browser.run("document.querySelectorAll('.card details').forEach((one) => (one.open = true))");
        wrong.extend(broken(&browser, &axe, "before the upload"));
        browser.click(".card button[type=submit]");
        browser.wait_for(".verdict", "완료");
        browser.wait_for(".refused .actions", "CSV");
        browser.run("document.querySelectorAll('.card details').forEach((one) => (one.open = true))");
        wrong.extend(broken(&browser, &axe, "after the upload"));
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}
