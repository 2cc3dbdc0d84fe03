//! What is watched agrees with what is measured and written: dashboards follow the rules of Grafana's dashboard linter, every metric that
//! they and the alerts name exists, every alert has its runbook and its cases.

#[path = "support/dashboards.rs"]
mod dashboards;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use dashboards::{Alert, RULES, alerts, dashboards, list, panel_queries, panels, read, text, tool};
use serde_json::{Value, json};
use sheetstream::metrics;

/// Units that Grafana knows, of those that make sense here.
const UNITS: [&str; 11] =
    ["bool_yes_no", "Bps", "bytes", "ops", "percentunit", "recps", "reqps", "rowsps", "s", "short", "none"];
const FROM: &str = r#"job=~"$job", instance=~"$instance""#;

/// What Prometheus calls the kind of each metric that there is.
fn kinds() -> BTreeMap<String, String> {
    let ours = metrics::descriptions().into_iter().map(|metric| (metric.name.to_owned(), metric.kind.to_owned()));
    let scraped = metrics::render();
    let process = scraped.lines().filter_map(|line| line.strip_prefix("# TYPE process_")?.split_once(' '));
    let process = process.map(|(name, kind)| (format!("process_{name}"), kind.to_owned()));
    ours.chain(process).collect()
}

/// The kind of what a query names: of a part of a histogram, counter.
fn kind<'a>(kinds: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    let part = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
    let histogram = part.and_then(|base| kinds.get(base)).is_some_and(|kind| kind == "histogram");
    if histogram { Some("counter") } else { kinds.get(name).map(String::as_str).filter(|kind| *kind != "histogram") }
}

/// Metrics that a query names: the text before each, the name, the text behind.
fn metrics_in(query: &str) -> Vec<(&str, &str, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(begin) = query[at..].find(is_part).map(|begin| at + begin) {
        let end = query[begin..].find(|c| !is_part(c)).map_or(query.len(), |end| begin + end);
        let word = &query[begin..end];
        if ["sheetstream_", "kafka_", "process_"].iter().any(|prefix| word.starts_with(prefix)) {
            found.push((&query[..begin], word, &query[end..]));
        }
        at = end;
    }
    found
}

#[test]
fn the_dashboards_are_what_their_generator_writes() {
    let fresh = tempfile::tempdir().expect("a temporary folder");
    let folder = fresh.path().to_str().expect("a path");
    let Some(ran) = tool("python3", &["grafana/dashboards.py", folder]) else { return };
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    for (name, _) in dashboards() {
        let made = fs::read_to_string(fresh.path().join(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(made == read(&format!("grafana/dashboards/sheetstream/{name}")), "{name}: run grafana/dashboards.py");
    }
    assert_eq!(fs::read_dir(fresh.path()).expect("the folder").count(), 5);
}

#[test]
fn dashboards_have_the_variables_that_the_linter_asks_for() {
    let mut uids = BTreeSet::new();
    for (file, dashboard) in dashboards() {
        assert_eq!(dashboard["editable"], false, "{file}");
        assert!(uids.insert(text(&dashboard["uid"]).to_owned()), "{file}: its uid is another's");
        let variables = list(&dashboard["templating"]["list"]);
        let source = &variables[0];
        let described = [&source["name"], &source["label"], &source["type"], &source["query"]];
        assert_eq!(described, ["datasource", "Data source", "datasource", "prometheus"], "{file}");
        let names: Vec<&str> = variables[1..].iter().map(|variable| text(&variable["name"])).collect();
        assert_eq!(names, ["job", "instance", "topology", "docs"], "{file}");
        for variable in &variables[1..4] {
            assert_eq!(variable["type"], "query", "{file}: {variable}");
            assert_eq!(variable["datasource"]["uid"], "$datasource", "{file}: {variable}");
            assert_eq!((&variable["multi"], &variable["allValue"]), (&json!(true), &json!(".+")), "{file}: {variable}");
            assert_eq!(variable["refresh"], 2, "{file}: {variable} is asked again when the time changes");
            assert!(text(&variable["definition"]).starts_with("label_values("), "{file}: {variable}");
        }
        let documents = ["${docs}/runbooks", "${docs}/metrics"];
        let links: Vec<&Value> = list(&dashboard["links"]).iter().filter(|link| link["type"] == "link").collect();
        assert!(links.iter().map(|link| text(&link["url"])).eq(documents), "{file}");
    }
}

#[test]
fn annotations_are_of_metrics_that_exist() {
    let kinds = kinds();
    for (file, dashboard) in dashboards() {
        let annotations = list(&dashboard["annotations"]["list"]);
        assert_eq!(annotations.len(), 4, "{file}");
        for annotation in annotations {
            let query = text(&annotation["expr"]);
            for (_, name, behind) in metrics_in(query) {
                assert!(kind(&kinds, name).is_some() && behind.starts_with(&format!("{{{FROM}")), "{file}: {query}");
            }
        }
    }
}

#[test]
fn the_overview_is_red_where_nothing_runs() {
    let (_, overview) = dashboards().into_iter().find(|(file, _)| file == "overview.json").expect("the overview");
    let stats: Vec<&Value> = panels(&overview).filter(|panel| panel["type"] == "stat").collect();
    assert!(stats.len() >= 6);
    for stat in stats {
        let query = text(&stat["targets"][0]["expr"]);
        assert!(query.ends_with(" or vector(NaN)"), "{}: {query}", stat["title"]);
        let shown = &stat["fieldConfig"]["defaults"]["mappings"][0]["options"];
        assert_eq!((&shown["match"], &shown["result"]["text"]), (&json!("nan"), &json!("nothing runs")));
        assert_eq!(shown["result"]["color"], "#D55E00", "{}", stat["title"]);
    }
}

#[test]
fn every_panel_says_what_it_is_and_what_to_do() {
    for (file, dashboard) in dashboards() {
        let mut ids = BTreeSet::new();
        let mut titles = BTreeSet::new();
        for panel in panels(&dashboard) {
            let title = text(&panel["title"]);
            assert!(titles.insert(title) && ids.insert(panel["id"].as_i64()), "{file}: {title} is there twice");
            let description = text(&panel["description"]);
            assert!(description.len() > 60 && description.ends_with('.'), "{file}: {title}: {description}");
            let unit = text(&panel["fieldConfig"]["defaults"]["unit"]);
            assert!(UNITS.contains(&unit), "{file}: {title}: {unit}");
            assert_eq!(panel["datasource"]["uid"], "$datasource", "{file}: {title}");
            assert!(!list(&panel["targets"]).is_empty(), "{file}: {title}");
            let steps = list(&panel["fieldConfig"]["defaults"]["thresholds"]["steps"]);
            assert!(!steps.is_empty() && steps[0]["value"].is_null(), "{file}: {title}");
        }
    }
}

#[test]
fn panels_fit_the_grid_and_do_not_overlap() {
    for (file, dashboard) in dashboards() {
        let mut taken = BTreeSet::new();
        for panel in panels(&dashboard) {
            let of = |key: &str| panel["gridPos"][key].as_i64().expect("a number");
            let (x, y, width, height) = (of("x"), of("y"), of("w"), of("h"));
            // A column is about 50 px of 1280: narrower than four, not even a number with its title fits.
            assert!(x >= 0 && x + width <= 24 && width >= 4 && height >= 4, "{file}: {panel}");
            for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
                assert!(taken.insert(cell), "{file}: {} overlaps", panel["title"]);
            }
        }
    }
}

#[test]
fn every_query_is_of_metrics_that_exist_and_follows_the_linter() {
    let kinds = kinds();
    for (at, query) in panel_queries() {
        let named = metrics_in(&query);
        assert!(!named.is_empty() || query.starts_with("ALERTS{"), "{at}: {query}");
        for (before, name, behind) in named {
            let kind = kind(&kinds, name).unwrap_or_else(|| panic!("{at}: {name} is no metric"));
            assert!(behind.starts_with(&format!("{{{FROM}")), "{at}: {name} is not of $job and $instance");
            let rated = before.ends_with("rate(") || before.ends_with("increase(");
            assert_eq!(
                rated,
                kind == "counter",
                "{at}: rate or increase is taken of counters, and of no others: {name}"
            );
        }
        for (_, range) in query.match_indices('[').map(|(begin, _)| (begin, &query[begin + 1..])) {
            let known = ["$__rate_interval]", "$__range]", "1h]"];
            assert!(known.iter().any(|known| range.starts_with(known)), "{at}: {query}");
        }
    }
}

#[test]
fn every_metric_is_on_a_panel() {
    let queries = panel_queries();
    let named: BTreeSet<&str> =
        queries.iter().flat_map(|(_, query)| metrics_in(query)).map(|(_, name, _)| name).collect();
    for metric in metrics::descriptions() {
        let shown = named.iter().any(|name| {
            name.strip_prefix(metric.name).is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest))
        });
        assert!(shown, "{} is on no panel", metric.name);
    }
}

#[test]
fn every_alert_is_of_metrics_that_exist_and_has_a_runbook() {
    let kinds = kinds();
    let runbooks = read("docs/runbooks.md");
    let alerts = alerts();
    assert!(alerts.len() >= 27);
    for Alert { name, text } in &alerts {
        for (_, metric, _) in metrics_in(text) {
            assert!(kind(&kinds, metric).is_some(), "{name}: {metric} is no metric");
        }
        for part in ["severity: ", "summary: ", "description: "] {
            assert!(text.contains(part), "{name} has no {part}");
        }
        let anchor = name.to_ascii_lowercase();
        let url = format!("runbook_url: \"{{{{ $externalLabels.runbooks }}}}#{anchor}\"\n");
        assert!(text.contains(&url), "{name}: {url}");
        let section = runbooks.split("\n## ").find_map(|section| section.strip_prefix(&format!("{name}\n")));
        let section = section.unwrap_or_else(|| panic!("docs/runbooks.md says nothing of {name}"));
        for part in ["*Means:*", "*At risk:*", "*Look at:*", "*Do"] {
            assert!(section.contains(part), "docs/runbooks.md: {name} lacks {part}");
        }
    }
    let sections = runbooks.matches("\n## ").count();
    assert_eq!(sections, alerts.len(), "docs/runbooks.md has a section for an alert that is gone");
}

#[test]
fn every_alert_has_cases_in_which_it_fires_rests_and_flaps() {
    let cases = RULES.map(|file| read(&format!("prometheus/tests/{file}"))).concat();
    for Alert { name, .. } in alerts() {
        for kind in ["fires", "rests", "flaps"] {
            assert!(cases.contains(&format!("- name: '{name} {kind}: ")), "{name} has no case in which it {kind}");
        }
    }
    let of = |folder: &str| RULES.map(|file| format!("prometheus/{folder}/{file}"));
    let (rules, tests) = (of("rules"), of("tests"));
    let config = ["check", "config", "prometheus/prometheus.yml"];
    let [check_rules, test_rules] = [(["check", "rules"], &rules), (["test", "rules"], &tests)]
        .map(|(verbs, files)| verbs.into_iter().chain(files.iter().map(String::as_str)).collect::<Vec<_>>());
    for arguments in [&config[..], &check_rules, &test_rules] {
        let Some(ran) = tool("promtool", arguments) else { return };
        let out = [ran.stdout, ran.stderr].concat();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&out));
    }
    let Some(ran) = tool("amtool", &["check-config", "prometheus/alertmanager.yml"]) else { return };
    // `url_file` came with Alertmanager 0.26.
    let out = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
    assert!(ran.status.success() || out.contains("field url_file not found"), "{out}");
}

#[test]
fn runbooks_and_descriptions_name_panels_that_exist() {
    let dashboards = dashboards();
    let panels: Vec<&Value> = dashboards.iter().flat_map(|(_, dashboard)| panels(dashboard)).collect();
    let titles: BTreeSet<&str> = panels.iter().map(|panel| text(&panel["title"])).collect();
    let places: BTreeSet<&str> = dashboards.iter().map(|(_, dashboard)| text(&dashboard["title"])).collect();
    let known = |name: &str| titles.contains(name) || places.contains(name);
    for panel in panels {
        let description = text(&panel["description"]);
        for name in description.split('*').skip(1).step_by(2) {
            assert!(known(name), "{}: there is no panel {name}", panel["title"]);
        }
    }
    let runbooks = read("docs/runbooks.md");
    for intro in ["panel *", "panels *", "* and *"] {
        for rest in runbooks.split(intro).skip(1) {
            let name = rest.split('*').next().unwrap_or_default();
            assert!(known(name), "docs/runbooks.md: there is no panel {name}");
        }
    }
}

#[test]
fn runbooks_and_readmes_name_metrics_and_commands_that_exist() {
    let kinds = kinds();
    for file in ["docs/runbooks.md", "docs/operations.md", "README.md", "README.ko.md"] {
        let text = read(file);
        for (_, name, _) in metrics_in(&text) {
            assert!(kind(&kinds, name).is_some(), "{file}: {name} is no metric");
        }
        for rest in text.split("`sheetstream ").skip(1) {
            let command: Vec<&str> = rest.split('`').next().unwrap_or_default().split_whitespace().collect();
            let mut ask = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
            let help = ask.arg(command[0]).arg("--help").output().expect("sheetstream");
            assert!(help.status.success(), "{file}: there is no command {}", command[0]);
            let help = String::from_utf8_lossy(&help.stdout).into_owned();
            for option in command.iter().filter_map(|word| word.strip_prefix("--")) {
                assert!(help.contains(&format!("--{option}")), "{file}: {} has no --{option}", command[0]);
            }
        }
    }
}

/// Somebody who is woken up types them off. What they lack here is a broker and a file, and not an argument.
#[test]
fn commands_of_the_runbooks_are_whole() {
    const USAGE: i32 = 2;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let runbooks = read("docs/runbooks.md");
    let quoted = runbooks.split("`sheetstream ").skip(1).map(|rest| rest.split('`').next().unwrap_or_default());
    let lines = runbooks.lines().filter_map(|line| line.strip_prefix("sheetstream ")?.split('#').next());
    // Without a place for a name it is the command that is spoken of.
    let commands: Vec<&str> =
        quoted.chain(lines).filter(|command| command.contains(|c: char| c.is_ascii_uppercase())).collect();
    assert!(commands.len() >= 10, "{commands:?}");
    for command in commands {
        let command = command.replace("HOST:8080", "127.0.0.1:1");
        let mut run = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
        let ran = run.args(command.split_whitespace()).current_dir(folder.path()).output().expect("sheetstream");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.code().is_some_and(|code| code != USAGE), "sheetstream {command}: {said}");
    }
}
