//! A file of JSON: NDJSON, an array of objects or of arrays, objects one behind the other, pretty-printed or not. Its rows become the rows
//! of CSV with the same cells, so that nobody behind has to know; a row that cannot be read stays as it is, for the source to say why.

use std::sync::Arc;

use super::ready::Ready;
use super::{FileError, Options};
use crate::crs::geojson;
use crate::source::csv::{Fields, is_blank, write_row};
use crate::source::document::{self, array_name};
use crate::source::json::{
    CellReader, Element, Elements, Names, Nesting, begins_like_json, fault_instead_of_csv, is_mostly_json, names_of,
};
use crate::source::{Format, HeaderFrom, SourceConfig, check_names, clean_name, column_names, is_known, list_names};

/// Names that are collected: more are not columns, but data that is written as keys.
const NAMES_MAX: usize = 1_000;

/// The facts that the beginning of a file of JSON shows.
pub(super) struct JsonBeginning {
    /// Names of the columns.
    pub(super) names: Vec<String>,
    /// Whether they are the topology's own.
    pub(super) is_declared: bool,
    /// Where the rows begin.
    pub(super) rows_from: usize,
    /// What is around them there.
    pub(super) nesting: Nesting,
    /// Whether the first row is the header.
    pub(super) has_header_row: bool,
    /// EPSG's code of the CRS that the document around them names.
    pub(super) crs: Option<u32>,
    /// Remarks for the person.
    pub(super) notes: Vec<String>,
}

/// Reads the beginning of a file, if it is JSON. `cut` says that more text follows. `None` for a file that is none.
pub(super) fn read_beginning(text: &[u8], cut: bool, options: &Options) -> Result<Option<JsonBeginning>, FileError> {
    let config = &*options.source;
    let format = options.format.unwrap_or(config.format);
    if format == Format::Csv || (format == Format::Auto && !begins_like_json(text) && !is_mostly_json(text, cut)) {
        return Ok(None);
    }
    let document = document::look(text, cut, config).map_err(|table| FileError::Header(table.message.to_string()))?;
    let crs =
        document.and_then(|document| str::from_utf8(&text[..document.rows_from]).ok().and_then(geojson::named_code));
    let (text, nesting, mut notes, rows_from) = match document.map(|document| document.rows_from) {
        Some(from) => {
            let array = array_name(&text[..from]);
            let note = format!("it is one JSON document; its rows are the objects in its array {array}");
            (&text[from..], Nesting::among_rows(), vec![note], from)
        }
        None => (text, Nesting::default(), Vec::new(), 0),
    };
    let rows: Vec<Element> = Elements::resume(text, nesting, cut).collect();
    let is_empty = !rows.is_empty() && rows.iter().all(Element::is_blank) && !cut;
    let rows: Vec<Element> = rows.into_iter().filter(|row| !row.is_blank()).collect();
    let declared = match &config.header {
        HeaderFrom::First => None,
        HeaderFrom::Declared(names) => Some(names.to_vec()),
    };
    let Some(first) = rows.iter().find(|row| !row.is_broken()) else {
        if document.is_some_and(|document| document.is_empty) {
            let is_declared = declared.is_some();
            let names = declared.unwrap_or_else(|| vec!["column_1".to_owned()]);
            return Ok(Some(JsonBeginning {
                names,
                is_declared,
                rows_from,
                nesting,
                has_header_row: false,
                crs,
                notes,
            }));
        }
        return match fault_instead_of_csv(text) {
            Some(fault) => Err(FileError::Header(format!("{}; --format csv reads it as CSV", fault.message))),
            None if format == Format::Json || is_empty => {
                Err(FileError::Header("the file holds no row of JSON".to_owned()))
            }
            None => Ok(None),
        };
    };
    let whole = |name: &str| is_known(config, name);
    let own = if first.is_array() {
        names_of(text, first, &whole)
    } else {
        let mut names = Names::default();
        rows.iter().for_each(|row| names.add(text, row, &whole));
        names.columns()
    };
    let has_header_row = first.is_array()
        && !options.no_header
        && declared.as_ref().is_none_or(|declared| 2 * count_common(declared, &own, config) >= declared.len());
    let names = match &declared {
        Some(declared) if !has_header_row => declared.clone(),
        None if first.is_array() && options.no_header => {
            notes.push("it has no header row: its columns are named column_1, column_2 and so on".to_owned());
            (1..=own.len()).map(|column| format!("column_{column}")).collect()
        }
        _ => {
            let names = check_names(config, &own);
            names.map_err(|why| FileError::Header(format!("{}: {}", why.reason, why.message)))?
        }
    };
    if let Some(note) = declared.as_ref().filter(|_| first.is_object()).and_then(|names| left_out(names, &own, config))
    {
        notes.push(note);
    }
    let is_declared = declared.is_some_and(|declared| declared == column_names(&names, config.exact_names));
    Ok(Some(JsonBeginning { names, is_declared, rows_from, nesting, has_header_row, crs, notes }))
}

/// How many of the declared columns are among these names.
fn count_common(declared: &[String], names: &[String], config: &SourceConfig) -> usize {
    let names = column_names(names, config.exact_names);
    declared.iter().filter(|name| names.contains(name)).count()
}

/// The remark about keys that are no columns.
fn left_out(declared: &[String], names: &[String], config: &SourceConfig) -> Option<String> {
    let is_column = |name: &&String| {
        declared.contains(name) || (!config.exact_names && declared.iter().any(|known| *known == clean_name(name)))
    };
    let others: Vec<&String> = names.iter().filter(|name| !is_column(name)).collect();
    (!others.is_empty() && config.ignores_unknown_keys)
        .then(|| format!("keys that `header` of the topology does not list are left out: {}", list_names(others)))
}

/// Makes rows of the text of a file, piece by piece.
pub(super) struct JsonRows {
    cells: CellReader,
    nesting: Nesting,
    /// The next row is the header, and not data.
    skips_header: bool,
    fields: Fields,
    row: Vec<u8>,
    /// The names of all rows, if they are wanted.
    names: Option<(Names, Arc<SourceConfig>)>,
}

impl JsonRows {
    /// Reads rows of these columns, from where `nesting` says.
    pub(super) fn new(columns: &[String], config: &SourceConfig, nesting: Nesting, has_header_row: bool) -> JsonRows {
        JsonRows {
            cells: CellReader::new(columns, config.exact_names, config.ignores_unknown_keys),
            nesting,
            skips_header: has_header_row,
            fields: Fields::default(),
            row: Vec::new(),
            names: None,
        }
    }

    /// Collects the names of rows from here on.
    pub(super) fn collect_names(&mut self, config: &Arc<SourceConfig>) {
        self.names = Some((Names::default(), Arc::clone(config)));
    }

    /// The names of the columns of the rows that were read; `None` where these are not objects alone, or are more than anyone names.
    pub(super) fn names(&mut self) -> Option<Vec<String>> {
        let (names, config) = self.names.take()?;
        check_names(&config, &names.columns()).ok()
    }

    /// Appends the rows of the text to `ready`, as far as more text could not change them, and returns how much of it they were.
    pub(super) fn read(&mut self, text: &[u8], cut: bool, ready: &mut Ready) -> usize {
        let mut rows = Elements::resume(text, self.nesting, cut);
        for row in rows.by_ref().filter(|row| !row.is_blank()) {
            if !row.is_broken() && std::mem::take(&mut self.skips_header) {
                continue;
            }
            if let Some((names, config)) = &mut self.names {
                names.add(text, &row, &|name| is_known(config, name));
                self.names = self.names.take().filter(|(names, _)| !row.is_array() && names.count() <= NAMES_MAX);
            }
            if row.is_broken() || self.cells.read(text, &row, &mut self.fields).is_err() {
                ready.push_unread(row.bytes(text));
                continue;
            }
            if !self.fields.iter(text).all(is_blank) {
                self.row.clear();
                write_row(self.fields.iter(text), b',', &mut self.row);
                ready.push(&self.row);
            }
        }
        let (done, nesting) = rows.position();
        self.nesting = nesting;
        if cut { done } else { text.len() }
    }
}

#[cfg(test)]
mod documents;
#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use crate::file::Options;
    use crate::file::reader::CsvFile;
    use crate::file::upload::UploadRecords;
    use crate::record::{Offset, Record, StreamElement};
    use crate::source::csv::ROW_BYTES_MAX;
    use crate::source::tests::config;
    use crate::source::{Admission, Format, Source};

    fn open(bytes: &[u8], options: Options) -> CsvFile {
        CsvFile::from_reader(Box::new(std::io::Cursor::new(bytes.to_vec())), options).expect("rows of JSON")
    }

    fn as_json(block_bytes: usize) -> Options {
        Options { format: Some(Format::Json), block_bytes, ..Options::for_source(&config()) }
    }

    fn text(file: &mut CsvFile) -> String {
        let blocks = std::iter::from_fn(|| file.next_block().expect("memory can be read"));
        blocks.map(|block| String::from_utf8_lossy(&block.text).into_owned()).collect()
    }

    #[test]
    fn rows_become_csv_and_the_sample_names_the_columns() {
        let mut file = open(b"{\"a\":1}\n{\"b\":\"x, y\",\"a\":2}\n", Options::for_source(&config()));
        assert_eq!((file.header().join("|").as_str(), file.description().as_str()), ("a|b", "ASCII, JSON, 2 columns"));
        assert_eq!(text(&mut file), "1,\n2,\"x, y\"\n");
        let korean = "[[\"이름\",\"x\"],[\"서울\",1]]";
        let utf16 = korean.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        for bytes in [[b"\xef\xbb\xbf", korean.as_bytes()].concat(), [&b"\xff\xfe"[..], &utf16].concat()] {
            let mut file = open(&bytes, Options::for_source(&config()));
            assert_eq!(file.header(), ["이름", "x"]);
            assert_eq!(text(&mut file), "서울,1\n");
        }
    }

    #[test]
    fn a_file_that_only_looks_like_json_is_csv() {
        for (bytes, header) in [("{id},name\n1,2\n", "{id}|name"), ("[x],[y]\n1,2\n", "[x]|[y]")] {
            let file = open(bytes.as_bytes(), Options::for_source(&config()));
            assert_eq!(file.header().join("|"), header);
        }
        let csv = Options { format: Some(Format::Csv), ..Options::for_source(&config()) };
        assert_eq!(open(b"{a}\n{}\n", csv).header(), ["{a}"]);
    }

    #[test]
    fn a_line_of_junk_among_rows_of_json_is_a_row_that_cannot_be_read() {
        for (bytes, expected) in [
            ("INFO up\n{\"a\":1}\n\n{\"a\":2}\n", "INFO up\n1\n2\n"),
            ("{\"a\":1},\n[INFO] up\n{\"a\":2},\n", "1\n[INFO] up\n2\n"),
            ("\"a\":0}\r\n{\"a\":1}\r\n{\"a\":2}\r\n", "\"a\":0}\n1\n2\n"),
        ] {
            let mut file = open(bytes.as_bytes(), Options::for_source(&config()));
            assert_eq!(file.header(), ["a"]);
            assert_eq!(text(&mut file), expected);
        }
    }

    #[test]
    fn a_row_that_never_ends_costs_little() {
        let mut bytes = b"{\"a\":1}\n{\"a\":\"".to_vec();
        bytes.resize(5 * ROW_BYTES_MAX, b'x');
        bytes.extend_from_slice(b"\n{\"a\":3}\n");
        let mut file = open(&bytes, as_json(64 << 10));
        let read = text(&mut file);
        assert_eq!((file.rows(), read.starts_with("1\n{"), read.ends_with("x\n3\n")), (3, true, true));
        assert!(read.len() < 2 * ROW_BYTES_MAX);
    }

    proptest! {
        /// The reader counts and hashes the same rows that the source finds in its blocks, whatever the file is and however it is cut.
        #[test]
        fn the_source_reads_the_rows_that_were_published(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "{\"a\":1}", "{\"a\":\"x\",\"b\":2}\n", "{\"b\":null}", "{\"a\":\" \"}", "{\"a\":\"\\u0041\\n\"}", "{\"c\":{\"a\":1}}", "[1,2]", "[\"#EOF\"]", "[", "]", ",",
                "{", "}", "\n", "  ", "\"a\":", "{\"a\":1,\"a\":2}\n", "{\n  \"a\": 1,\n  \"b\": 2\n}\n", "{\n  \"a\": 1\n  \"b\": 2\n}\n", "nul", "가", "\u{feff}",
            ]), 0..24),
            block_bytes in 1_usize..60,
        ) {
            let bytes = format!("{{\"a\":0,\"b\":\"x\"}}\n{}", pieces.concat());
            let file = open(bytes.as_bytes(), as_json(block_bytes));
            let mut upload = UploadRecords::new(vec![file], "in.json", "1").expect("a header");
            let mut source = Source::new(Arc::new(config()), None);
            let (mut offset, mut announced) = (0, String::new());
            while let Some(record) = upload.next_record().expect("memory can be read") {
                if let Some(sum) = record.headers.iter().find(|header| &*header.name == "ss-sha256-rows") {
                    announced = String::from_utf8_lossy(sum.value.as_deref().unwrap_or_default()).into_owned();
                }
                let record = Record { offset: Offset(offset), value: Some(record.value), headers: record.headers, ..Record::default() };
                source.push(record, &mut |_| Admission::Read);
                offset += 1;
            }
            source.flush();
            let (mut rows, mut raw) = (0, Vec::new());
            while let Some(element) = source.pop() {
                if let StreamElement::Rows(batch) = element {
                    rows += batch.len() as u64;
                    raw.extend_from_slice(batch.raw.span(0..batch.len()));
                }
            }
            prop_assert_eq!(rows, upload.rows());
            use sha2::Digest as _;
            let sum = crate::sink::digest::Digest(sha2::Sha256::digest(&raw).into()).to_string();
            prop_assert_eq!(sum, announced, "{}", String::from_utf8_lossy(&raw));
        }
    }
}
