//! The code blocks of a document, so that a test runs what a reader copies.

#![allow(dead_code)] // each test binary uses its part

use std::path::Path;

/// A fenced block: "```sh kcat-lines" has the language `sh` and the name `kcat-lines`.
#[derive(Clone, Debug)]
pub struct Block {
    pub language: String,
    pub name: Option<String>,
    pub text: String,
}

/// A file of the repository.
pub fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every fenced block of `file`.
pub fn blocks(file: &str) -> Vec<Block> {
    let text = read(file);
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let mut words = info.split_whitespace().map(str::to_owned);
        let language = words.next().unwrap_or_default();
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        blocks.push(Block { language, name: words.next(), text: body.join("\n") + "\n" });
    }
    blocks
}

/// The block with this name.
pub fn block(file: &str, name: &str) -> Block {
    let found = blocks(file).into_iter().find(|block| block.name.as_deref() == Some(name));
    found.unwrap_or_else(|| panic!("{file} has no block named {name}"))
}
