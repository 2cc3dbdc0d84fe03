//! The floors of `src/lib.rs`: modules import from lower floors only. And one home for each library.

use std::fs;
use std::path::{Path, PathBuf};

const FLOORS: [&[&str]; 6] = [
    &["record"],
    &["processor", "transport", "page", "crs", "state", "metrics"],
    &["source", "map", "aggregate", "sink"],
    &["topology", "kafka", "file"],
    &["runtime", "client", "broker"],
    &["test_driver", "http", "cli", "main", "lib"],
];

/// The two imports between siblings that are meant: the aggregate makes what the sink publishes, and obeys settings of the source (errors,
/// idle timeout, incomplete uploads).
const ALLOWED: [(&str, &str); 2] = [("aggregate", "sink"), ("aggregate", "source")];

fn floor(module: &str) -> usize {
    FLOORS.iter().position(|floor| floor.contains(&module)).unwrap_or_else(|| panic!("{module} stands on no floor"))
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

fn all() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let read = |path: PathBuf| {
        let inside = path.strip_prefix(&root).expect("below src");
        let module = inside.components().next().expect("a name").as_os_str().to_string_lossy();
        let module = module.trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(&path).expect("text");
        (module, path, text)
    };
    files.into_iter().map(read).collect()
}

#[test]
fn imports_go_down_only() {
    let mut broken = Vec::new();
    for (module, path, text) in all() {
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for import in line.match_indices("crate::").map(|(at, found)| &line[at + found.len()..]) {
                let to: String = import.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if to.is_empty() || to == module || !FLOORS.iter().any(|floor| floor.contains(&to.as_str())) {
                    continue;
                }
                let allowed = ALLOWED.contains(&(module.as_str(), to.as_str()));
                if floor(&to) >= floor(&module) && !allowed {
                    broken.push(format!("{}: {}", path.display(), line.trim()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "imports that do not go down:\n{}", broken.join("\n"));
}

#[test]
fn every_library_has_one_home() {
    let homes: [(&str, &[&str]); 8] = [
        ("rskafka::", &["kafka"]),
        ("kafka_protocol::", &["kafka", "broker"]),
        ("geozero::", &["map"]),
        ("rust_xlsxwriter::", &["sink"]),
        ("::sled::", &["state"]),
        ("proj_sys::", &["crs"]),
        ("prometheus::", &["metrics"]),
        ("axum::", &["http"]),
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
    let mut tests = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"), &mut tests);
    for path in tests.iter().filter(|path| !path.ends_with("support/kafka.rs") && !path.ends_with("floors.rs")) {
        let text = fs::read_to_string(path).expect("text");
        let listed = text.split_once("on_the_in_process_broker! {").map_or("", |(_, list)| list);
        // A function's name stands between `fn ` and `(`, its body ends with `}` in the first column.
        for test in text.split("\n#[test]\nfn ").skip(1) {
            let (name, rest) = test.split_once('(').expect("a function");
            let body = rest.split_once("\n}").map_or(rest, |(body, _)| body);
            let asks =
                body.contains("Kafka::shared(") || body.contains("Kafka::start(") || body.contains("Kafka::prepare(");
            assert!(!asks || listed.contains(name), "{}: {name} is missing in its list at the end", path.display());
        }
    }
}
