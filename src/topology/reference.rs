//! Describes all keys of a topology file: as a JSON Schema for editors and as a page of documentation, both made of the tables of
//! `keys.rs`.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::table::{Default, Key, Kind, Table};
use super::{expressions, keys, map_keys, shared_keys};
use crate::map::expression::functions;

/// The JSON Schema (draft 7) of a topology file, which editors check and complete TOML with.
pub fn schema() -> Value {
    let mut schema = object(&keys::TOPOLOGY);
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!("sheetstream topology");
    schema
}

fn object(table: &Table) -> Value {
    let required = table.keys.iter().filter(|key| matches!(key.default, Default::Required)).map(|key| key.name);
    let mut object = json!({
        "type": "object",
        "description": table.about,
        "additionalProperties": false,
        "required": required.collect::<Vec<_>>(),
        "properties": table.keys.iter().map(|key| (key.name.to_owned(), property(key))).collect::<Map<_, _>>(),
    });
    if !table.one_of.is_empty() {
        object["oneOf"] = table.one_of.iter().map(|keys| json!({ "required": keys })).collect();
    }
    object
}

fn property(key: &Key) -> Value {
    let mut property = values(key.kind);
    property["description"] = json!(key.about);
    match key.default {
        Default::Text(text) => property["default"] = json!(text),
        Default::Flag(flag) => property["default"] = json!(flag),
        Default::Integer(number) => property["default"] = json!(number),
        Default::Required | Default::Derived(_) => {}
    }
    property["examples"] = json!([example(key)]);
    property
}

/// The example of a key, out of its TOML.
fn example(key: &Key) -> Value {
    let table: BTreeMap<String, Value> =
        toml::from_str(&format!("value = {}", key.example)).expect("the examples of our own tables are TOML");
    table["value"].clone()
}

fn values(kind: Kind) -> Value {
    let text = || json!({ "type": "string" });
    let texts = || json!({ "type": "array", "items": text(), "minItems": 1 });
    // A variable may take the place of any word.
    let words = |words: &[&str]| json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": "\\$\\{" }] });
    match kind {
        Kind::Text | Kind::Expression => text(),
        Kind::RowsOrShare => json!({ "anyOf": [
            { "type": "integer", "minimum": 0 },
            { "type": "string", "pattern": "^[0-9]+([.][0-9]{1,4})?%$|^[0-9]+$|\\$\\{" },
        ] }),
        Kind::Names | Kind::Expressions => {
            json!({ "type": "object", "minProperties": 1, "additionalProperties": text() })
        }
        Kind::Duration => json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$|\\$\\{" }),
        Kind::TextOr(table) => json!({ "anyOf": [text(), object(table)] }),
        Kind::Columns | Kind::Texts => json!({ "anyOf": [text(), texts()] }),
        Kind::Topics => texts(),
        Kind::TwoColumns => json!({ "type": "array", "items": text(), "minItems": 2, "maxItems": 2 }),
        Kind::Choice(choices) => words(choices),
        Kind::Header => json!({ "anyOf": [words(&["first"]), texts()] }),
        Kind::ColumnTypes(types, table) => {
            json!({ "type": "object", "additionalProperties": { "anyOf": [words(types), object(table)] } })
        }
        Kind::Selected(table) => {
            json!({ "type": "array", "minItems": 1, "items": { "anyOf": [text(), object(table)] } })
        }
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Integer { min, max, .. } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Table(table) => object(table),
        Kind::Tables(table, most) => {
            json!({ "type": "array", "minItems": 1, "maxItems": most, "items": object(table) })
        }
    }
}

const OPENING: &str = "# The topology file

One TOML file says what flows: where rows come from, what happens to them, which sheets they become,
and where workbooks go. Where it runs (brokers, state, security) is given to the command.
`sheetstream validate` finds everything that is wrong with a file, `sheetstream describe` says what
it does.

This page is made of the tables that files are read by (`sheetstream schema --markdown`).
`sheetstream schema` prints the same as a JSON Schema, [topology.schema.json](topology.schema.json).
With this line at the top of a file, editors that know schemas of TOML (VS Code with Even Better
TOML, Neovim with taplo) check and complete it:

```toml
#:schema ../docs/topology.schema.json
```
";

/// The page `docs/topology.md`.
pub fn markdown() -> String {
    let mut page = OPENING.to_owned();
    for table in [
        &keys::TOPOLOGY,
        &keys::SOURCE,
        &shared_keys::COLUMN,
        &map_keys::MAP,
        &map_keys::REPROJECT,
        &map_keys::ROW_CRS,
        &map_keys::SELECTED,
        &map_keys::MAP_LINK,
        &keys::AGGREGATE,
        &keys::SINK,
        &keys::WORKBOOK,
    ] {
        let heading = table.place.strip_prefix("the ").map_or_else(|| format!("`{}`", table.place), capital);
        push(&mut page, format_args!("\n## {heading}\n\n{}", wrap(table.about)));
        table.keys.iter().for_each(|key| describe(key, &mut page));
    }
    page.push_str(expressions::SECTION);
    for (usage, gives, about) in functions() {
        page.push_str(&wrap(&format!("- `{usage}`: {gives}. {about}")));
    }
    page
}

fn describe(key: &Key, page: &mut String) {
    let default = match key.default {
        Default::Required => "required".to_owned(),
        Default::Text(text) => format!("default `{text:?}`"),
        Default::Flag(flag) => format!("default `{flag}`"),
        Default::Integer(number) => format!("default `{number}`"),
        Default::Derived(words) => format!("default: {words}"),
    };
    let kind = match key.kind {
        Kind::Text => "text".to_owned(),
        Kind::TextOr(table) => format!("text, or a table, see [`{0}`](#{0})", table.place),
        Kind::Columns => "column, or list of columns".to_owned(),
        Kind::Texts => "text, or list of texts".to_owned(),
        Kind::Topics => "list of topics".to_owned(),
        Kind::TwoColumns => "two columns".to_owned(),
        Kind::Choice(words) => one_of(words),
        Kind::Header => "`\"first\"` or list of columns".to_owned(),
        Kind::ColumnTypes(words, table) => {
            format!("table from column to {}, or to a table, see [{1}](#{1})", one_of(words), table.place)
        }
        Kind::Selected(_) => "list of columns and of tables `{ from, as }`".to_owned(),
        Kind::RowsOrShare => "number of rows, or percentage in quotes".to_owned(),
        Kind::Names => "table from column to name".to_owned(),
        Kind::Expression => "expression in quotes".to_owned(),
        Kind::Expressions => "table from column to expression".to_owned(),
        Kind::Flag => "`true` or `false`".to_owned(),
        Kind::Integer { min, max, unit } => format!("number of {unit}, {min} to {max}"),
        Kind::Duration => "length of time".to_owned(),
        Kind::Table(table) => format!("table, see [`{0}`](#{0})", table.place),
        Kind::Tables(..) => format!("tables `[[{}]]`", key.name),
    };
    let facts = wrap(&format!("{kind} · {default} · since {}", key.since));
    push(page, format_args!("\n### `{}`\n\n{facts}\n{}", key.name, wrap(key.about)));
    if !matches!(key.kind, Kind::Tables(..)) {
        push(page, format_args!("\n```toml\n{} = {}\n```\n", key.name, key.example));
    }
}

fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
    quoted.join(", ")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("The {}{}", first, letters.as_str()))
}

/// Lines of at most 100 characters, ended by a line feed.
pub(crate) fn wrap(text: &str) -> String {
    const WIDTH: usize = 100;
    let (mut wrapped, mut column) = (String::with_capacity(text.len() + 8), 0);
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > WIDTH {
            wrapped.push('\n');
            column = 0;
        } else if column > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += width;
    }
    wrapped.push('\n');
    wrapped
}

fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a String takes any text");
}
