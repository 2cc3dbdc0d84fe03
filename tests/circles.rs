//! Files that import each other in circles: what they share wants a file of its own.

#[path = "support/sources.rs"]
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sources::{product, rust_files};

/// `a::{b, c::{d, e as f}}` as its paths `a::b`, `a::c::d`, `a::c::e`.
fn expand(tree: &str, prefix: &[String], into: &mut Vec<Vec<String>>) {
    let mut depth = 0;
    let mut from = 0;
    let mut parts = Vec::new();
    for (at, c) in tree.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&tree[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&tree[from..]);
    for part in parts.into_iter().map(str::trim).filter(|part| !part.is_empty()) {
        let (path, inner) = match part.split_once('{') {
            Some((path, inner)) => (path, Some(inner.trim_end().trim_end_matches('}'))),
            None => (part.split(" as ").next().unwrap_or_default(), None),
        };
        let mut names = prefix.to_vec();
        names.extend(path.split("::").map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned));
        match inner {
            Some(inner) => expand(inner, &names, into),
            None => into.push(names),
        }
    }
}

/// Every path that a text imports or writes out, from `crate`, `super` or `self` on, or of a `use` of any kind.
fn paths(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("use ") {
        let starts = text[..at].ends_with(['\n', ' ', ')']) || at == 0;
        if let (true, Some(end)) = (starts, text[at..].find(';')) {
            expand(&text[at + 4..at + end], &[], &mut found);
        }
    }
    for root in ["crate::", "super::", "self::"] {
        for (at, _) in text.match_indices(root) {
            let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':');
            let before = text[..at].chars().next_back();
            if before.is_some_and(inside) {
                continue;
            }
            let path: String = text[at..].chars().take_while(|c| inside(*c)).collect();
            found.push(path.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect());
        }
    }
    found
}

/// The modules of the library, by path: `state::sled` is `src/state/sled.rs`, `state` is `src/state/mod.rs`.
struct Modules {
    texts: BTreeMap<Vec<String>, String>,
}

impl Modules {
    fn read() -> Modules {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut texts = BTreeMap::new();
        for (path, text) in rust_files("src") {
            let inside = path.strip_prefix(&root).expect("below src").with_extension("");
            let mut module: Vec<String> =
                inside.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
            if module.last().is_some_and(|last| last == "mod") {
                module.pop();
            }
            let is_test = module.iter().any(|part| part == "tests");
            if !is_test && !["lib", "main"].contains(&module[0].as_str()) {
                texts.insert(module, product(&text));
            }
        }
        Modules { texts }
    }

    /// The module that a path out of `module` ends in, through at most a few re-exports.
    fn target(&self, module: &[String], path: &[String], hops: u32) -> Option<Vec<String>> {
        let mut at: Vec<String> = module.to_vec();
        let mut rest = path;
        match rest.first().map(String::as_str)? {
            "crate" => {
                at.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|first| first == "super") {
                    at.pop();
                    rest = &rest[1..];
                }
            }
            // `use child::Name` of a module file.
            child => {
                at.push(child.to_owned());
                if !self.texts.contains_key(&at) {
                    return None;
                }
                rest = &rest[1..];
            }
        }
        while let Some(name) = rest.first() {
            at.push(name.clone());
            if !self.texts.contains_key(&at) {
                at.pop();
                break;
            }
            rest = &rest[1..];
        }
        let (Some(name), Some(text)) = (rest.first(), self.texts.get(&at)) else {
            return self.texts.contains_key(&at).then_some(at);
        };
        // A re-export has its home elsewhere.
        let exported = paths(text).into_iter().find(|path| path.last() == Some(name) && path[..] != rest[..]);
        let home = exported.filter(|_| hops > 0).and_then(|path| self.target(&at, &path, hops - 1));
        Some(home.unwrap_or(at))
    }

    /// Which modules each module needs. What a module file says of its own parts does not count: it puts them together.
    fn needs(&self) -> BTreeMap<&[String], BTreeSet<&[String]>> {
        let mut needs: BTreeMap<&[String], BTreeSet<&[String]>> = BTreeMap::new();
        for (module, text) in &self.texts {
            let entry = needs.entry(module).or_default();
            for path in paths(text) {
                let Some(target) = self.target(module, &path, 3) else { continue };
                if let Some((target, _)) = self.texts.get_key_value(&target)
                    && !target.starts_with(module)
                {
                    entry.insert(target);
                }
            }
        }
        needs
    }
}

#[test]
fn files_do_not_import_each_other_in_circles() {
    let modules = Modules::read();
    let needs = modules.needs();
    let reach = |from: &[String]| {
        let mut seen: BTreeSet<&[String]> = BTreeSet::new();
        let mut open: Vec<&[String]> = needs[from].iter().copied().collect();
        while let Some(next) = open.pop() {
            if seen.insert(next) {
                open.extend(needs[next].iter().copied());
            }
        }
        seen
    };
    let reached: BTreeMap<&[String], BTreeSet<&[String]>> =
        needs.keys().map(|module| (*module, reach(module))).collect();
    let mut circles: BTreeSet<Vec<String>> = BTreeSet::new();
    for (module, others) in &reached {
        if others.contains(module) {
            let circle = others.iter().filter(|other| reached[*other].contains(module));
            circles.insert(circle.map(|module| module.join("/")).collect());
        }
    }
    assert!(circles.is_empty(), "files that import each other; give what they share a file of its own: {circles:#?}");
}
