//! A file that is one JSON document with its rows inside: the answer of a web service, a GeoJSON collection, a table that pandas wrote.
//! Whether it is one is decided here; [`Elements`] finds the rows.

use super::FileError;
use crate::source::json::{Element, Elements, Nesting, end_of_value, first_member, names_of};
use crate::source::{HeaderFrom, SourceConfig, column_names, is_known};

/// Where the rows of a document begin.
pub(super) struct Document {
    /// The first byte of the first row.
    pub(super) rows_from: usize,
    /// The remark about it.
    pub(super) note: String,
}

/// The document that the beginning of a text is; `None` for any other text. `cut` says that more text follows.
///
/// # Errors
/// A table that pandas wrote by columns or by its index, whose rows are in no array.
pub(super) fn look(text: &[u8], cut: bool, config: &SourceConfig) -> Result<Option<Document>, FileError> {
    let mut values = Elements::resume(text, Nesting::default(), cut).filter(|row| !row.is_blank());
    let around = values.next();
    // A value that more text could change is not given: it is the document as far as it is known, or a very long row.
    let is_alone = values.next().is_none() && (around.is_some() || cut);
    if !is_alone || around.as_ref().is_some_and(|around| !around.is_object() && !around.is_broken()) {
        return Ok(None);
    }
    let whole = |name: &str| is_known(config, name);
    let Some((rows_from, named)) = rows(text, cut, |row| count(config, &names_of(text, row, &whole))) else {
        return if around.is_none_or(|around| around.is_object()) { refuse_columns(text) } else { Ok(None) };
    };
    let own = around.filter(Element::is_object).map_or(0, |around| count(config, &names_of(text, &around, &whole)));
    if own > named {
        return Ok(None);
    }
    let array = array_name(&text[..rows_from]);
    Ok(Some(Document {
        rows_from,
        note: format!("it is one JSON document; its rows are the objects in its array {array}"),
    }))
}

/// The first array whose objects name most of the columns that are needed: where its first object begins, and how many they name. What
/// describes the rows, `"schema"` in front of them, has no rows.
fn rows(text: &[u8], cut: bool, count: impl Fn(&Element) -> usize) -> Option<(usize, usize)> {
    let behind_schema =
        first_member(text, 0).filter(|(key, _)| *key == b"schema").map_or(0, |(_, at)| end_of_value(text, at));
    let mut arrays: Vec<(usize, usize)> = Vec::new();
    let mut end = 0;
    for row in Elements::resume(text, Nesting::document(), cut).filter(Element::is_object) {
        let between = &text[end..row.start()];
        let is_next = end > 0 && between.iter().all(|byte| *byte == b',' || byte.is_ascii_whitespace());
        end = row.start() + row.bytes(text).len();
        match arrays.last_mut().filter(|_| is_next) {
            Some((_, named)) => *named = count(&row).max(*named),
            None if row.start() >= behind_schema => arrays.push((row.start(), count(&row))),
            None => {}
        }
    }
    let most = arrays.iter().map(|(_, named)| *named).max()?;
    arrays.into_iter().find(|(_, named)| *named == most)
}

/// How many of the columns that the topology needs, or declares, are among these names.
fn count(config: &SourceConfig, names: &[String]) -> usize {
    let names = column_names(names, config.exact_names);
    let declared = match &config.header {
        HeaderFrom::Declared(declared) => declared.iter().filter(|name| names.contains(name)).count(),
        HeaderFrom::First => 0,
    };
    declared + config.needed.iter().filter(|needed| needed.iter().any(|name| names.contains(name))).count()
}

/// The key of the array that begins behind `before`, as it is written.
fn array_name(before: &[u8]) -> String {
    let before = String::from_utf8_lossy(before.trim_ascii_end());
    let key = before.strip_suffix('[').and_then(|before| before.trim_end().strip_suffix(':')).map(str::trim_end);
    let key = key.and_then(|key| key.strip_suffix('"')).and_then(|key| key.rsplit('"').next());
    key.map_or_else(String::new, |key| format!("\"{}\"", key.escape_debug()))
}

/// Refuses what `DataFrame.to_json` of pandas writes by default: an object of columns, each an object from the index.
fn refuse_columns(text: &[u8]) -> Result<Option<Document>, FileError> {
    let is_index = |key: &[u8]| !key.is_empty() && key.iter().all(u8::is_ascii_digit);
    let is_object = |at: usize| text.get(at) == Some(&b'{');
    let by_column = |at: usize| is_object(at) && first_member(text, at).is_some_and(|(key, _)| is_index(key));
    let is_split = |key: &[u8]| key == b"columns";
    let of_pandas = first_member(text, 0).is_some_and(|(key, at)| {
        (is_index(key) && is_object(at)) || by_column(at) || (is_split(key) && text[at] == b'[')
    });
    match of_pandas {
        false => Ok(None),
        true => {
            let advice = "it is one JSON object with the columns of a table, as pandas writes it; \
                          df.to_json(path, orient=\"records\", lines=True) writes rows";
            Err(FileError::Header(advice.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::file::reader::CsvFile;
    use crate::file::{FileError, Options};
    use crate::source::SourceConfig;
    use crate::source::tests::config;

    fn open(text: &str, needed: &[&str]) -> Result<CsvFile, FileError> {
        let needed = needed.iter().map(|name| vec![(*name).to_owned()]).collect();
        let options = Options::for_source(&SourceConfig { needed, ..config() });
        CsvFile::from_reader(Box::new(std::io::Cursor::new(text.to_owned().into_bytes())), options)
    }

    fn rows(text: &str, needed: &[&str]) -> (String, String) {
        let mut file = open(text, needed).expect("rows");
        let blocks = std::iter::from_fn(|| file.next_block().expect("memory can be read"));
        let rows = blocks.map(|block| String::from_utf8_lossy(&block.text).into_owned()).collect();
        (file.header().join("|"), rows)
    }

    #[test]
    fn rows_are_found_inside_a_document() {
        for (text, header, expected) in [
            (
                r#"{"code":"00","body":{"items":{"item":[{"k":"a","v":1},{"k":"b","v":2}]},"total":2}}"#,
                "k|v",
                "a,1\nb,2\n",
            ),
            (r#"{"note":"[{","data":[],"row":[{"k":"a"}],"more":[{"k":"b"}]}"#, "k", "a\nb\n"),
            ("{\"list\": [\n  {\"k\": \"a\"},\n  {\"k\": \"b\"}\n]}\n", "k", "a\nb\n"),
        ] {
            assert_eq!(rows(text, &["k"]), (header.to_owned(), expected.to_owned()), "{text}");
        }
        // What comes before the array that fits is none of the rows, what comes behind it is.
        let described =
            r#"{"schema":{"fields":[{"name":"k"}]},"notes":[{"n":1}],"data":[{"v":1},{"k":"a"}],"more":[{"k":"b"}]}"#;
        assert_eq!(rows(described, &["k"]), ("v|k".to_owned(), "1,\n,a\n,b\n".to_owned()));
        let connect = r#"{"schema":{"fields":[{"field":"k"}]},"payload":{"k":"a"}}"#;
        assert_eq!(rows(connect, &["k"]).0, "schema.fields|payload.k");
        let cut = rows(r#"{"row":[{"k":"a"},{"k":"b"#, &["k"]).1;
        assert!(cut.starts_with("a\n{"), "what is cut off is a row that cannot be read: {cut}");
    }

    #[test]
    fn a_row_with_objects_inside_is_a_row() {
        assert_eq!(rows(r#"{"k":"a","tags":[{"t":1}]}"#, &["k"]).0, "k|tags");
        assert_eq!(rows("{\"k\":\"a\",\"tags\":[{\"k\":1}]}\n{\"k\":\"b\"}\n", &["k"]).0, "k|tags");
    }

    #[test]
    fn a_document_of_any_length_is_read_piece_by_piece() {
        let features: Vec<String> = (0..40_000)
            .map(|n| format!(r#"{{"type":"Feature","properties":{{"n":{n}}},"geometry":{{"type":"Point","coordinates":[127,37]}}}}"#))
            .collect();
        let text = format!(
            r#"{{"type":"FeatureCollection","name":"[{{","features":[{}],"bbox":[1,2]}}"#,
            features.join(",\n")
        );
        let (header, rows) = rows(&text, &[]);
        assert_eq!((header.as_str(), rows.lines().count()), ("n|geometry", 40_000));
        assert!(rows.starts_with("0,\"{\"\"type\"\":\"\"Point\"\""), "{}", &rows[..60]);
    }

    #[test]
    fn tables_of_pandas_and_empty_files_are_named() {
        for text in [
            r#"{"k":{"0":"a","1":"b"},"v":{"0":1,"1":2}}"#,
            r#"{"0":{"k":"a","v":1},"1":{"k":"b","v":2}}"#,
            r#"{"columns":["k","v"],"index":[0],"data":[["a",1]]}"#,
        ] {
            assert!(
                open(text, &["k"]).err().is_some_and(|error| error.to_string().contains("orient=\"records\"")),
                "{text}"
            );
        }
        for text in ["[]", "[ ]\n", "{}"] {
            assert!(open(text, &[]).err().is_some_and(|error| error.to_string().contains("no row")), "{text}");
        }
    }
}
