//! A real Chromium, driven through WebDriver (<https://www.w3.org/TR/webdriver2/>). Where it is not installed a test prints one `skipped:` line and
//! passes, or fails with `SHEETSTREAM_REQUIRE_TOOLS=1`.

#![allow(dead_code)] // each test binary uses its part

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::send;

/// A name of this machine that browsers do not know for it: over plain HTTP it is no secure context, as in an office.
macro_rules! office {
    () => {
        "sheetstream.test"
    };
}
/// The same for tests.
pub const OFFICE: &str = office!();

/// Longest wait for the page to show something.
const LIMIT: Duration = Duration::from_secs(60);
/// Key of an element in WebDriver's JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window; closed with the test.
pub struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
}

impl Browser {
    /// Starts one that asks for pages in `language` and saves what it downloads to `downloads`.
    pub fn start(language: &str, downloads: &Path) -> Option<Browser> {
        let driver = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let Ok(mut driver) = driver else {
            let test = std::thread::current().name().unwrap_or_default().to_owned();
            eprintln!("skipped: {test} needs Chromium and ChromeDriver; run script/bootstrap");
            assert!(std::env::var_os("SHEETSTREAM_REQUIRE_TOOLS").is_none(), "{test} was required to run");
            return None;
        };
        let output = BufReader::new(driver.stdout.take().expect("piped"));
        let port = output.lines().map_while(Result::ok).find_map(|line| {
            line.strip_prefix("ChromeDriver was started successfully on port ")?.trim_end_matches('.').parse().ok()
        });
        let address = SocketAddr::from(([127, 0, 0, 1], port.expect("chromedriver says its port")));
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,1000",
            concat!("--host-resolver-rules=MAP ", office!(), " 127.0.0.1"),
        ];
        let preferences = json!({ "intl.accept_languages": language, "download.default_directory": downloads });
        let options = json!({ "args": arguments, "prefs": preferences });
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let mut browser = Browser { driver, address, session: String::new() };
        let session = browser.call("POST", "", &wanted);
        browser.session = format!("/{}", session["sessionId"].as_str().expect("a session"));
        Some(browser)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let host = self.address.to_string();
        let headers = [("host", host.as_str()), ("content-type", "application/json")];
        let path = format!("/session{}{path}", self.session);
        let answer = send(self.address, method, &path, &headers, body.as_bytes());
        let value = answer.json()["value"].take();
        assert_eq!(answer.status, 200, "{method} {path}: {value}");
        value
    }

    /// Opens a page.
    pub fn open(&self, url: &str) {
        self.call("POST", "/url", &json!({ "url": url }));
    }

    /// From now on the network takes this much of what the page sends.
    pub fn slow_uploads(&self, bytes_per_second: u32) {
        let conditions = json!({
            "offline": false, "latency": 0, "download_throughput": 100_000_000, "upload_throughput": bytes_per_second
        });
        self.call("POST", "/chromium/network_conditions", &json!({ "network_conditions": conditions }));
    }

    /// From now on the page reaches nobody, or does so again.
    pub fn offline(&self, is_offline: bool) {
        let conditions = json!({
            "offline": is_offline, "latency": 0, "download_throughput": 100_000_000, "upload_throughput": 100_000_000
        });
        self.call("POST", "/chromium/network_conditions", &json!({ "network_conditions": conditions }));
    }

    /// A command of the DevTools protocol (<https://chromedevtools.github.io/devtools-protocol/>).
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.call("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// What JavaScript returns.
    pub fn run(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The text of the first element that `css` finds; empty where it is hidden or not there.
    pub fn text(&self, css: &str) -> String {
        let script =
            format!("const at = document.querySelector({css:?}); return at?.checkVisibility() ? at.innerText : ''");
        self.run(&script).as_str().unwrap_or_default().to_owned()
    }

    /// Waits until that text holds `part`; gives the text.
    pub fn wait_for(&self, css: &str, part: &str) -> String {
        let begun = Instant::now();
        loop {
            let text = self.text(css);
            if text.contains(part) {
                return text;
            }
            assert!(begun.elapsed() < LIMIT, "{css} never said {part:?}; the page:\n{}", self.text("body"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits for an element, then clicks it as a person would.
    pub fn click(&self, css: &str) {
        let element = self.element(css);
        self.call("POST", &format!("/element/{element}/click"), &json!({}));
    }

    /// Chooses files in a file field, or types into a text field.
    pub fn type_into(&self, css: &str, text: &str) {
        let element = self.element(css);
        self.call("POST", &format!("/element/{element}/value"), &json!({ "text": text }));
    }

    fn element(&self, css: &str) -> String {
        let found = self.call("POST", "/elements", &json!({ "using": "css selector", "value": css }));
        let first = found[0][ELEMENT].as_str();
        first.unwrap_or_else(|| panic!("no {css} on the page:\n{}", self.text("body"))).to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let headers = [("host", "localhost")];
            send(self.address, "DELETE", &format!("/session{}", self.session), &headers, b"");
        }
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}
