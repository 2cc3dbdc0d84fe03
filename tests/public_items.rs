//! Public items that nobody uses but tests: what a library offers is what its command, its examples or its documentation show.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What is there for tests: the driver, and what a broker can be told to do wrong.
const FOR_TESTS: [&str; 2] = ["src/test_driver.rs", "src/broker/faults.rs"];

/// What tests alone use: a test is no reason for a public item, so the list shrinks.
const KNOWN: [&str; 8] = [
    "src/broker/mod.rs: bytes_held",
    "src/crs/columns.rs: coordinate_columns",
    "src/kafka/admin.rs: list_topics",
    "src/kafka/producer.rs: bytes_acknowledged",
    "src/kafka/producer.rs: partition_for",
    "src/kafka/producer.rs: records_acknowledged",
    "src/metrics/mod.rs: descriptions",
    "src/source/csv.rs: expect_fields",
];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// A file without its tests and comments.
fn product(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Names of the public functions, types and constants that a text declares.
fn declared(text: &str) -> impl Iterator<Item = &str> {
    const KINDS: [&str; 7] = ["fn", "struct", "enum", "trait", "type", "const", "static"];
    text.lines().filter_map(|line| {
        let mut words = words(line.trim_start().strip_prefix("pub ")?);
        let kind = words.by_ref().find(|word| !["async", "unsafe", "extern", "C"].contains(word))?;
        let name = words.find(|word| *word != "fn")?;
        KINDS.contains(&kind).then_some(name)
    })
}

#[test]
fn every_public_item_is_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "examples", "benches"] {
        sources(&root.join(folder), &mut files);
    }
    files.retain(|path| !path.components().any(|part| part.as_os_str() == "tests") && !path.ends_with("tests.rs"));
    let texts: Vec<(PathBuf, String)> =
        files.into_iter().map(|path| (path.clone(), product(&fs::read_to_string(&path).expect("text")))).collect();
    let mut uses: BTreeMap<&str, u32> = BTreeMap::new();
    for word in texts.iter().flat_map(|(_, text)| words(text)) {
        *uses.entry(word).or_default() += 1;
    }
    let mut unused = BTreeSet::new();
    for (path, text) in texts.iter().filter(|(path, _)| !FOR_TESTS.iter().any(|file| path.ends_with(file))) {
        for name in declared(text).filter(|name| uses[name] == 1) {
            unused.insert(format!("{}: {name}", path.strip_prefix(root).expect("below the root").display()));
        }
    }
    KNOWN.iter().for_each(|known| {
        unused.remove(*known);
    });
    assert!(unused.is_empty(), "public, and used by tests alone or by nobody:\n{}", Vec::from_iter(unused).join("\n"));
}
