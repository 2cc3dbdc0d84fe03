//! The layers of `src/lib.rs`: modules import from lower layers only. And one home for each library.

#[path = "support/sources.rs"]
mod sources;

use std::path::{Path, PathBuf};

use sources::rust_files;

const LAYERS: [&[&str]; 7] = [
    &["record"],
    &["transport", "page", "crs", "state", "metrics", "traces"],
    &["source", "map", "aggregate", "sink"],
    &["topology", "kafka", "file"],
    &["runtime", "client", "broker"],
    &["inspect"],
    &["test_driver", "http", "cli", "main", "lib"],
];

/// The two imports between siblings that are meant: the aggregate makes what the sink publishes, and obeys settings of the source (errors,
/// idle timeout, incomplete uploads).
const ALLOWED: [(&str, &str); 2] = [("aggregate", "sink"), ("aggregate", "source")];

fn layer(module: &str) -> usize {
    LAYERS.iter().position(|layer| layer.contains(&module)).unwrap_or_else(|| panic!("{module} is in no layer"))
}

fn all() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let with_module = |(path, text): (PathBuf, String)| {
        let inside = path.strip_prefix(&root).expect("below src");
        let module = inside.components().next().expect("a name").as_os_str().to_string_lossy();
        (module.trim_end_matches(".rs").to_owned(), path, text)
    };
    rust_files("src").into_iter().map(with_module).collect()
}

#[test]
fn imports_go_down_only() {
    let mut broken = Vec::new();
    for (module, path, text) in all() {
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for import in line.match_indices("crate::").map(|(at, found)| &line[at + found.len()..]) {
                let to: String = import.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if to.is_empty() || to == module || !LAYERS.iter().any(|layer| layer.contains(&to.as_str())) {
                    continue;
                }
                let allowed = ALLOWED.contains(&(module.as_str(), to.as_str()));
                if layer(&to) >= layer(&module) && !allowed {
                    broken.push(format!("{}: {}", path.display(), line.trim()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "imports that do not go down:\n{}", broken.join("\n"));
}

#[test]
fn every_library_has_one_home() {
    let homes: [(&str, &[&str]); 10] = [
        ("rskafka::", &["kafka"]),
        ("kafka_protocol::", &["kafka", "broker"]),
        ("geozero::", &["map"]),
        ("rust_xlsxwriter::", &["sink"]),
        ("::sled::", &["state"]),
        ("proj_sys::", &["crs"]),
        ("prometheus::", &["metrics"]),
        ("axum::", &["http"]),
        ("calamine::", &["file", "sink"]), // tests of the sink read workbooks back with it
        ("cfb::", &["file"]),
    ];
    for (module, path, text) in all() {
        for (library, home) in homes {
            let used = text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(library));
            assert!(!used || home.contains(&module.as_str()), "{} uses {library}", path.display());
        }
    }
}

#[test]
fn unsafe_code_is_in_one_file() {
    for (_, path, text) in all() {
        let allows = text.contains("allow(unsafe_code)");
        assert!(!allows || path.ends_with("src/crs.rs"), "{}", path.display());
    }
}

#[test]
fn tests_that_ask_for_a_broker_run_on_both() {
    let tests = rust_files("tests").into_iter();
    for (path, text) in tests.filter(|(path, _)| !path.ends_with("support/kafka.rs") && !path.ends_with("layers.rs")) {
        let listed = text.split_once("on_the_in_process_broker! {").map_or("", |(_, list)| list);
        // A function's name is between `fn ` and `(`, its body ends with `}` in the first column.
        for test in text.split("\n#[test]\nfn ").skip(1) {
            let (name, rest) = test.split_once('(').expect("a function");
            let body = rest.split_once("\n}").map_or(rest, |(body, _)| body);
            let asks =
                body.contains("Kafka::shared(") || body.contains("Kafka::start(") || body.contains("Kafka::prepare(");
            // One that asks for the in-process broker by itself is about something that no broker changes.
            let asks = asks && !body.contains("kafka::in_process(");
            assert!(!asks || listed.contains(name), "{}: {name} is missing in its list at the end", path.display());
        }
    }
}
