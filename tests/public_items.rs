//! Public items that nobody uses but tests: what a library offers is what its command, its examples or its documentation show.

#[path = "support/sources.rs"]
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sources::{product, rust_files};

/// Files with public items for tests: the driver, and the faults that a broker can be made to have.
const FOR_TESTS: [&str; 2] = ["src/test_driver.rs", "src/broker/faults.rs"];

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
    let mut files: Vec<(PathBuf, String)> =
        ["src", "examples", "benches", "fuzz"].into_iter().flat_map(rust_files).collect();
    files.retain(|(path, _)| !path.components().any(|part| part.as_os_str() == "tests") && !path.ends_with("tests.rs"));
    let texts: Vec<(PathBuf, String)> = files.into_iter().map(|(path, text)| (path, product(&text))).collect();
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
    assert!(unused.is_empty(), "public, and used by tests alone or by nobody:\n{}", Vec::from_iter(unused).join("\n"));
}
