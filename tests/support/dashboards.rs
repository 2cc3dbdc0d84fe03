//! The dashboards, alerts and runbooks as they are committed, read as far as tests need them.

#![allow(dead_code)] // each test binary uses its part

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A file of the repository.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Its text.
pub fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every dashboard, by the name of its file.
pub fn dashboards() -> Vec<(String, Value)> {
    let folder = fs::read_dir(path("grafana/dashboards/sheetstream")).expect("the dashboards");
    let mut all: Vec<(String, Value)> = folder
        .map(|entry| {
            let name = entry.expect("an entry").file_name().into_string().expect("ASCII");
            let text = read(&format!("grafana/dashboards/sheetstream/{name}"));
            (name, serde_json::from_str(&text).expect("JSON"))
        })
        .collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    assert_eq!(all.len(), 5);
    all
}

/// The elements of an array.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

/// A string.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// Its panels, those of collapsed rows included; headings of rows are none.
pub fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    list(&dashboard["panels"]).iter().flat_map(|panel| match text(&panel["type"]) {
        "row" => list(&panel["panels"]),
        _ => std::slice::from_ref(panel),
    })
}

/// Queries of all panels: dashboard and panel, and the query.
pub fn panel_queries() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            for target in list(&panel["targets"]) {
                let at = format!("{file}: {}", text(&panel["title"]));
                queries.push((at, text(&target["expr"]).to_owned()));
            }
        }
    }
    queries
}

/// `label_values` queries of all variables: dashboard and variable, the selector and the label.
pub fn variable_queries() -> Vec<(String, String, String)> {
    let mut queries = Vec::new();
    for (file, dashboard) in dashboards() {
        for variable in list(&dashboard["templating"]["list"]).iter().filter(|variable| variable["type"] == "query") {
            let query = text(&variable["definition"]);
            let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
            let (selector, label) = inner.and_then(|inner| inner.rsplit_once(", ")).expect("label_values(of, label)");
            queries.push((format!("{file}: {}", text(&variable["name"])), selector.to_owned(), label.to_owned()));
        }
    }
    assert!(queries.len() >= 9);
    queries
}

/// The files of `prometheus/rules` and of `prometheus/tests`.
pub const RULES: [&str; 2] = ["sheetstream.yml", "objectives.yml"];

/// An alert of `prometheus/rules`.
#[derive(Debug, Default)]
pub struct Alert {
    pub name: String,
    pub text: String,
}

/// Every alert.
pub fn alerts() -> Vec<Alert> {
    let rules = RULES.map(|file| read(&format!("prometheus/rules/{file}"))).concat();
    let alert = |text: &str| Alert { name: text.lines().next().expect("a name").to_owned(), text: text.to_owned() };
    rules.split("- alert: ").skip(1).map(alert).collect()
}

/// Runs a tool; `None`, loudly, where there is none.
pub fn tool(name: &str, arguments: &[&str]) -> Option<Output> {
    let ran = Command::new(name).args(arguments).current_dir(path("")).output();
    if ran.is_err() {
        eprintln!("skipped: {name} is not installed; script/bootstrap installs it on Debian");
        assert!(std::env::var_os("SHEETSTREAM_REQUIRE_TOOLS").is_none(), "{name} was required");
    }
    ran.ok()
}
