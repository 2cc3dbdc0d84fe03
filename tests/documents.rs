//! Documents: lines of at most 100 columns, links that resolve, and statements that the code can be asked about.

#[path = "support/document.rs"]
mod document;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use document::read;

const COLUMNS_MAX: usize = 100;

fn files(folder: &Path, extension: &str, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            files(&entry, extension, into);
        } else if entry.extension().is_some_and(|is| is == extension) {
            into.push(entry);
        }
    }
}

/// Every document, as a path from the root of the repository.
fn documents() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    files(&root.join("docs"), "md", &mut found);
    let in_root = fs::read_dir(root).expect("the root").map(|entry| entry.expect("an entry").path());
    found.extend(in_root.filter(|path| path.extension().is_some_and(|is| is == "md")));
    let name = |path: PathBuf| path.strip_prefix(root).expect("below the root").display().to_string();
    let mut names: Vec<String> = found.into_iter().map(name).collect();
    names.sort();
    names
}

/// Lines outside fenced blocks, with their numbers.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let outside = text.lines().enumerate().filter(|(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    });
    outside.map(|(index, line)| (index + 1, line)).collect()
}

/// Columns of a line as a terminal shows it: Hangul and its like take two.
fn width(line: &str) -> usize {
    let wide = |c: char| matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ff60}');
    line.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}

/// The name that a heading gets in a link: lower case, blanks to hyphens, without punctuation.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).into_iter().filter_map(|(_, line)| line.strip_prefix('#'));
    headings.map(|heading| anchor(heading.trim_start_matches('#').trim())).collect()
}

/// Targets of `[text](target)` in a line.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
}

#[test]
fn documents_are_wrapped_at_100_columns() {
    let mut long = Vec::new();
    for name in documents() {
        let text = read(&name);
        for (number, line) in prose(&text) {
            // A row of a table cannot be wrapped, and a link not either.
            let whole = line.starts_with('|') || !line.trim().trim_start_matches("- ").contains(' ');
            if width(line) > COLUMNS_MAX && !whole {
                long.push(format!("{name}:{number}: {} columns", width(line)));
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut broken = Vec::new();
    for name in documents() {
        let text = read(&name);
        let folder = root.join(&name).parent().expect("a folder").to_owned();
        for (number, line) in prose(&text) {
            for link in links(line).filter(|link| !link.contains("://")) {
                let (path, fragment) = link.split_once('#').map_or((link, None), |(path, name)| (path, Some(name)));
                let target = if path.is_empty() { root.join(&name) } else { folder.join(path) };
                let resolves = match (target.exists(), fragment) {
                    (true, Some(fragment)) => {
                        fs::read_to_string(&target).is_ok_and(|text| anchors(&text).contains(fragment))
                    }
                    (exists, _) => exists,
                };
                if !resolves {
                    broken.push(format!("{name}:{number}: {link}"));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Everything in `src/`, as text.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "rs", &mut found);
    found.into_iter().map(|path| (path.clone(), fs::read_to_string(path).expect("text"))).collect()
}

#[test]
fn comments_cite_sections_of_the_contract_that_exist() {
    let contract = read("docs/contract.md");
    let headings = contract.lines().filter_map(|line| line.strip_prefix("### ")?.split_once(". "));
    let sections: BTreeSet<u32> = headings.filter_map(|(number, _)| number.parse().ok()).collect();
    assert_eq!(sections, (1..=18).collect());
    let mut cited = 0;
    for (path, text) in sources() {
        for rest in text.split("(contract ").skip(1) {
            let numbers = rest.split(')').next().unwrap_or_default();
            for number in numbers.split(|c: char| !c.is_ascii_digit()).filter(|number| !number.is_empty()) {
                let number = number.parse().expect("digits");
                assert!(sections.contains(&number), "{}: there is no contract {number}", path.display());
                cited += 1;
            }
        }
    }
    assert!(cited > 0, "comments cite the contract as (contract N)");
}

#[test]
fn every_header_of_a_record_is_in_the_contract() {
    let contract = read("docs/contract.md");
    for (path, text) in
        sources().into_iter().filter(|(path, _)| !path.components().any(|part| part.as_os_str() == "http"))
    {
        let product = text.split("#[cfg(test)]").next().unwrap_or_default();
        for quoted in product.split('"').skip(1).step_by(2) {
            let is_header = quoted.strip_prefix("ss-").is_some_and(|rest| {
                !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            });
            let named = contract.contains(&format!("`{quoted}`")) || contract.contains(&format!("`{quoted}:"));
            assert!(!is_header || named, "{}: docs/contract.md does not have {quoted}", path.display());
        }
    }
}

#[test]
fn the_readmes_have_the_same_sections_and_commands() {
    let sections = |name: &str| prose(&read(name)).iter().filter(|(_, line)| line.starts_with("## ")).count();
    assert_eq!(sections("README.md"), sections("README.ko.md"));
    let blocks = |name: &str| {
        let names = document::blocks(name).into_iter().map(|block| (block.language, block.name));
        names.collect::<Vec<_>>()
    };
    assert_eq!(blocks("README.md"), blocks("README.ko.md"));
}

/// SHA-256 over names and contents, each behind its length: what `script/screenshots` records of a picture.
fn digest(parts: &BTreeMap<String, Vec<u8>>) -> String {
    use sha2::Digest as _;
    let mut sha256 = sha2::Sha256::new();
    for text in parts.iter().flat_map(|(name, content)| [name.as_bytes(), content]) {
        sha256.update((text.len() as u64).to_le_bytes());
        sha256.update(text);
    }
    sha256.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn pictures_show_the_page_and_the_workbook_as_they_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = fs::read_dir(root.join("src/http/page")).expect("the page");
    let page = entries.map(|entry| {
        let path = entry.expect("an entry").path();
        (path.file_name().expect("a name").to_string_lossy().into_owned(), fs::read(&path).expect("a part of the page"))
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let book = folder.path().join("places.xlsx");
    let mut convert = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
    convert.current_dir(root).args([
        "convert",
        "examples/data/places-cp949.csv",
        "-t",
        "topology/facilities.toml",
        "-o",
    ]);
    assert!(convert.arg(&book).output().expect("convert").status.success());
    let mut zip = zip::ZipArchive::new(fs::File::open(&book).expect("a workbook")).expect("a container");
    let mut part = |name: &str| {
        let mut content = Vec::new();
        zip.by_name(name).expect("a part").read_to_end(&mut content).expect("its content");
        (name.to_owned(), content)
    };
    let sheet = ["xl/styles.xml", "xl/worksheets/sheet1.xml"].map(&mut part);
    let recorded: serde_json::Value = serde_json::from_str(&read("docs/pictures.json")).expect("JSON");
    for (picture, shows) in [("page.png", digest(&page.collect())), ("workbook.png", digest(&sheet.into()))] {
        assert_eq!(recorded[picture], shows, "docs/{picture} is stale: script/screenshots makes it anew");
    }
}

/// Command lines of sheetstream in a document: in fenced blocks and between backticks, each from the name of the command on.
fn command_lines(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let mut is_fenced = false;
    let mut lines = Vec::new();
    for line in joined.lines() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
            continue;
        }
        let code: Vec<&str> = if is_fenced { vec![line] } else { line.split('`').skip(1).step_by(2).collect() };
        for code in code {
            let ends = |c: char| matches!(c, '|' | ';' | '#' | '&' | ')' | '>');
            let found =
                code.match_indices("sheetstream ").filter(|(at, _)| !code[..*at].ends_with(['-', '/', '.', ':']));
            lines.extend(
                found.map(|(at, name)| code[at + name.len()..].split(ends).next().unwrap_or_default().to_owned()),
            );
        }
    }
    lines
}

/// What a command says of itself.
fn help(command: &[&str]) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_sheetstream"));
    let said = program.args(command).arg("--help").output().expect("it runs");
    String::from_utf8_lossy(&said.stdout).into_owned()
}

/// Whether a help names a word at the beginning of a line, as it does commands, or anywhere, as it does options.
fn names(help: &str, word: &str) -> bool {
    let is_whole = |at: usize| !help[at + word.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '-');
    match word.starts_with('-') {
        true => help.match_indices(word).any(|(at, _)| is_whole(at)),
        false => help.lines().any(|line| line.starts_with("  ") && line.split_whitespace().next() == Some(word)),
    }
}

/// An operator at night types what is written.
#[test]
fn commands_and_options_in_documents_exist() {
    let all = help(&[]);
    let (mut problems, mut seen) = (Vec::new(), 0);
    for document in documents() {
        for line in command_lines(&read(&document)) {
            let mut words = line.split_whitespace();
            let Some(command) = words.next().filter(|word| word.chars().all(|c| c.is_ascii_lowercase())) else {
                continue;
            };
            if !names(&all, command) {
                problems.push(format!("{document}: sheetstream {line}: there is no command {command}"));
                continue;
            }
            let mut said = help(&[command]);
            let rest: Vec<&str> = words.collect();
            if let Some(inner) = rest.first().filter(|word| said.contains("Commands:") && names(&said, word)) {
                said = help(&[command, inner]);
            }
            for word in rest.iter().filter(|word| word.starts_with("--") && word.len() > 2) {
                seen += 1;
                let option = word.split('=').next().unwrap_or(word).trim_end_matches([',', '.', ']']);
                if !names(&said, option) {
                    problems.push(format!("{document}: sheetstream {line}: {command} has no {option}"));
                }
            }
        }
    }
    assert!(seen > 20, "{seen} options were found");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
