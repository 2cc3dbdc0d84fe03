//! Files that are one JSON document, read through.

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
        (r#"{"code":"00","body":{"items":{"item":[{"k":"a","v":1},{"k":"b","v":2}]},"total":2}}"#, "k|v", "a,1\nb,2\n"),
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
fn a_document_without_rows_has_no_row() {
    for text in [
        r#"{"type":"FeatureCollection","features":[]}"#,
        "\n{\"type\":\"FeatureCollection\",\"name\":\"n\",\"crs\":{\"a\":1},\"features\":[\n]}\n",
        r#"{"items":[]}"#,
        r#"{"places": [ ]}"#,
        r#"{"response": {"body": {"places": []}}}"#,
        r#"{"code":"00","total":0,"Items":[]}"#,
        r#"{"response":{"header":{"code":"00"},"body":{"items":{"item":[]},"total":0}}}"#,
    ] {
        assert_eq!(rows(text, &["k"]), ("column_1".to_owned(), String::new()), "{text}");
        assert_eq!(rows(text, &[]).1, "", "{text}");
    }
    for text in [
        r#"{"k":"a","items":[]}"#,
        r#"{"id":1,"tags":[]}"#,
        r#"{"id":1,"of":{"tags":[]}}"#,
        "{\"items\":[]}\n{\"items\":[]}\n",
    ] {
        assert_ne!(rows(text, &["k"]).1, "", "{text}");
    }
}

#[test]
fn a_document_of_any_length_is_read_piece_by_piece() {
    let features: Vec<String> = (0..40_000)
        .map(|n| {
            format!(
                r#"{{"type":"Feature","properties":{{"n":{n}}},"geometry":{{"type":"Point","coordinates":[127,37]}}}}"#
            )
        })
        .collect();
    let text =
        format!(r#"{{"type":"FeatureCollection","name":"[{{","features":[{}],"bbox":[1,2]}}"#, features.join(",\n"));
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
