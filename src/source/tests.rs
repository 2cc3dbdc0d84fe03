//! The elements that a source gives for the records it takes.

mod json;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use bytes::Bytes;
use proptest::prelude::*;

use super::csv::ROW_BYTES_MAX;
use super::names::unique_names;
use super::*;
use crate::page::cells::CELL_UNITS_MAX;
use crate::record::{Announcement, ColumnType, Header, RowBatch};

/// A topology's source that changes nothing about the defaults.
pub(crate) fn config() -> SourceConfig {
    SourceConfig::of_topic("rows")
}

fn declared(names: &[&str]) -> SourceConfig {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    SourceConfig { header: HeaderFrom::Declared(names.into()), ..config() }
}

/// A record with key `k`; its offset comes from its place.
fn row(value: impl Into<Bytes>) -> Record {
    Record { key: Some(Bytes::from_static(b"k")), value: Some(value.into()), ..Record::default() }
}

fn numbered(index: u64, value: &'static str) -> Record {
    Record { headers: vec![Header::new("ss-row", index.to_string())], ..row(value) }
}

fn of(key: &'static str, record: Record) -> Record {
    Record { key: Some(Bytes::from_static(key.as_bytes())), ..record }
}

/// The elements, with the batches of an upload that follow each other as one.
fn run(config: SourceConfig, records: impl IntoIterator<Item = Record>) -> Vec<String> {
    let mut source = Source::new(Arc::new(config), Some(1));
    feed(&mut source, 0, records)
}

fn feed(source: &mut Source, from: i64, records: impl IntoIterator<Item = Record>) -> Vec<String> {
    for (offset, record) in (from..).zip(records) {
        source.push(Record { offset: Offset(offset), ..record }, &mut |_| Admission::Read);
    }
    source.flush();
    lines_of(std::iter::from_fn(|| source.pop()))
}

fn lines_of(elements: impl Iterator<Item = StreamElement>) -> Vec<String> {
    elements.flat_map(|element| lines_of_element(&element)).collect()
}

/// One line for every row, and for everything else.
fn lines_of_element(element: &StreamElement) -> Vec<String> {
    match element {
        StreamElement::Rows(batch) if batch.is_empty() => {
            vec![format!("{} columns {}", batch.upload, batch.header.join(","))]
        }
        StreamElement::Rows(batch) => (0..batch.len()).map(|row| line_of_row(batch, row)).collect(),
        StreamElement::Marker(MarkerRecord { upload, marker, .. }) => match marker {
            Marker::Header(names) => vec![format!("{upload} header {}", names.join(","))],
            Marker::Eof { rows, .. } => vec![format!("{upload} eof {rows:?}")],
            Marker::Begin(_) => vec![format!("{upload} begin")],
            Marker::Abort => vec![format!("{upload} abort")],
        },
        StreamElement::Failed { upload, offset, rejection } => {
            vec![format!("{upload} failed {} at {offset}", rejection.reason)]
        }
        StreamElement::Expired { upload } => vec![format!("{upload} expired")],
        StreamElement::TooMany { upload, .. } => vec![format!("{upload} too many")],
        StreamElement::GivesWay { upload, .. } => vec![format!("{upload} gives way")],
        StreamElement::Refused { rejection, .. } => vec![format!("refused {}", rejection.reason)],
    }
}

fn line_of_row(batch: &RowBatch, row: usize) -> String {
    let cells: Vec<_> = batch.columns.columns().iter().map(|column| column.as_string::<i32>().value(row)).collect();
    let rejected = batch.rejected.iter().find(|(rejected, _)| *rejected as usize == row);
    let key = batch.keys[row];
    match rejected {
        None => format!("{} {}.{} {}", batch.upload, key.index, key.line, cells.join("|")),
        Some((_, rejection)) => {
            assert!(cells.iter().all(|cell| cell.is_empty()), "a failed row has empty cells");
            let column = rejection.column.as_deref().map_or(String::new(), |column| format!(" in {column}"));
            format!("{} {}.{} {}{column}", batch.upload, key.index, key.line, rejection.reason)
        }
    }
}

/// The fate of one value under a header `a,b`: its cells, or why it failed.
fn fate(config: &SourceConfig, value: impl Into<Bytes>) -> Vec<String> {
    let config = SourceConfig { header: declared(&["a", "b"]).header, ..config.clone() };
    let rows = run(config, [row(value)]).into_iter();
    rows.map(|line| line.splitn(3, ' ').last().unwrap_or_default().to_owned()).collect()
}

#[test]
fn fates_of_rows() {
    let table: [(&[u8], &[&str]); 29] = [
        (b"1,2", &["1|2"]),
        (b"\xef\xbb\xbf1,2\r\n", &["1|2"]),
        (b"1,2\r3,4\n5,6\r\n", &["1|2", "3|4", "5|6"]),
        (b"\"x,\"\"y\",\"two\nlines\"", &["x,\"y|two\nlines"]),
        (b"", &[]),
        (b"\n,\n\"\",\r\n", &[]),
        (b"1", &["csv.field_count"]),
        (b"1,2,3", &["csv.field_count"]),
        (b"1,\"2", &["csv.unclosed_quote in b"]),
        (b"1,\"2\n3,4", &["csv.unclosed_quote in b", "3|4"]),
        (b"\"1\"x,2", &["csv.bad_quote in a"]),
        (b"1, \"2\"", &["csv.bad_quote in b"]),
        (b"1\",2", &["csv.bad_quote in a"]),
        (b"1,2\na,b", &["1|2", "csv.repeated_header"]),
        (b"1,\x002", &["text.control in b"]),
        (b"1,\x1b[31m", &["text.control in b"]),
        ("1,\u{fffe}".as_bytes(), &["text.control in b"]),
        ("1,\u{ff11}\u{202e}\u{200b}\u{fffd}".as_bytes(), &["1|\u{ff11}\u{202e}\u{200b}\u{fffd}"]),
        (b"1,\t2", &["1|\t2"]),
        (b"\xc3\xbb,\xff\n3,4", &["text.encoding", "3|4"]),
        (b"1,\xed\xa0\x80", &["text.encoding"]),
        (b"=1+1,@x", &["=1+1|@x"]),
        (b"0012,1e5", &["0012|1e5"]),
        (b"{\"a\":1,\"b\":2}", &["1|2"]),
        (b"{\n\"a\": 1,\n\"b\": 2\n}\n", &["1|2"]),
        (b"{x,y}", &["{x|y}"]),
        (b"{\"a\":1},\"b\"", &["csv.bad_quote in a"]),
        (b"<img onerror=alert(1)>,2", &["<img onerror=alert(1)>|2"]),
        (b"#EOFX,2", &["#EOFX|2"]),
    ];
    for (value, fates) in table {
        assert_eq!(fate(&config(), value), fates, "{}", value.escape_ascii());
    }
}

#[test]
fn fates_of_rows_that_are_too_large() {
    let cell = |length: usize| format!("1,{}", "x".repeat(length));
    assert_eq!(fate(&config(), cell(CELL_UNITS_MAX)), [format!("1|{}", "x".repeat(CELL_UNITS_MAX))]);
    assert_eq!(fate(&config(), cell(CELL_UNITS_MAX + 1)), ["cell.too_long in b"]);
    assert_eq!(fate(&config(), format!("1,{}", "가".repeat(CELL_UNITS_MAX))).len(), 1);
    assert_eq!(fate(&config(), format!("1,{}", "😀".repeat(CELL_UNITS_MAX / 2 + 1))), ["cell.too_long in b"]);
    assert_eq!(fate(&config(), format!("{}\n1,2", cell(ROW_BYTES_MAX))), ["row.too_big", "1|2"]);
}

#[test]
fn what_the_topology_wants_mended_is_mended() {
    let lenient = SourceConfig { lenient_quotes: true, ..config() };
    assert_eq!(fate(&lenient, "\"1\"x,2\"\n"), ["1x|2\""]);
    assert_eq!(fate(&lenient, "1, \"2, 3\" \n"), ["1|2, 3"]);
    assert_eq!(fate(&lenient, "1,\"quoted\n3,4\n"), ["1|\"quoted", "3|4"]);
    assert_eq!(fate(&lenient, "1,\"2,3\n"), ["csv.unclosed_quote in b"], "not as many fields as the header");
    let excel = SourceConfig { excel_text: true, ..config() };
    let rows = "=\"01\",=\"2,3\"\n\"=\"\"04\"\"\",=5\n=\"\",=\"6\n";
    assert_eq!(fate(&excel, rows), ["01|2,3", "04|=5", "csv.bad_quote in b"]);
    let both = SourceConfig { excel_text: true, lenient_quotes: true, ..config() };
    assert_eq!(fate(&both, "=\"01\",24\" Pizza\n24\",=\"01\"\n"), ["01|24\" Pizza", "24\"|01"]);
    let pad = SourceConfig { pad_fields: true, ..config() };
    assert_eq!(fate(&pad, "1\n1,2,,\n1,2,3"), ["1|", "1|2", "csv.field_count"]);
    let pad = SourceConfig { pad_fields: true, ..declared(&["id", "name", "kind"]) };
    let rows = run(pad, [row("1;a;b\n2,a\n3;a;b;c\n")]);
    assert_eq!(
        rows,
        ["k 0.0 csv.field_count", "k 0.1 2|a|", "k 0.2 3;a;b;c||"],
        "a row of another delimiter is no field"
    );
    let strip = SourceConfig { strip_control: true, ..config() };
    assert_eq!(fate(&strip, "1\u{0},\"\u{b}\"\"\u{ffff}\""), ["1|\""]);
    let truncate = SourceConfig { truncate_cells: true, ..config() };
    let long = format!("1,x{}", "😀".repeat(CELL_UNITS_MAX));
    assert_eq!(fate(&truncate, long), [format!("1|x{}", "😀".repeat(CELL_UNITS_MAX / 2))]);
}

#[test]
fn strict_columns_reject_what_does_not_parse() {
    for (kind, good, bad, reason) in [
        (ColumnType::Number, "-1.5e3", "1.234,5", "number.format"),
        (ColumnType::Number, " 127 ", "NaN", "number.not_finite"),
        (ColumnType::Number, ".5", "inf", "number.not_finite"),
        (ColumnType::Integer, "42", "4.2", "number.format"),
        (ColumnType::Date, "2026-01-31", "2026-02-30", "date.format"),
        (ColumnType::DateTime, "2026-01-31 09:30:00.0", "2026-01-31 25:00", "date.format"),
        (ColumnType::Boolean, "Yes", "maybe", "boolean.format"),
        (ColumnType::Date, "", "x", "date.format"),
    ] {
        let config = SourceConfig { columns: [("a".to_owned(), kind)].into(), ..config() };
        let quoted = |cell: &str| format!("\"{cell}\",x");
        assert_eq!(fate(&config, quoted(good)), [format!("{good}|x")]);
        assert_eq!(fate(&config, quoted(bad)), [format!("{reason} in a")]);
    }
}

#[test]
fn the_first_row_is_the_header() {
    let expected = ["k header a,b", "k 0.1 1|2", "k 1.0 3|4", "k eof None"];
    assert_eq!(run(config(), [row("a,b\n1,2"), row("3,4"), row("#EOF")]), expected);
}

#[test]
fn a_header_marker_beats_the_first_row_and_the_topology() {
    let expected = ["k header a,b", "k 1.0 1|2"];
    assert_eq!(run(config(), [row("#HEADER a,b"), row("1,2")]), expected);
    assert_eq!(run(declared(&["x"]), [row("#HEADER a,b"), row("1,2")]), expected);
}

#[test]
fn a_header_marker_without_names_is_followed_by_them() {
    let expected = ["k header a,b", "k 2.0 1|2"];
    for config in [config(), declared(&["x"])] {
        assert_eq!(run(config, [row("#HEADER"), row("a,b"), row("1,2")]), expected);
    }
    let again = [row("a,b\n1,2"), row("#HEADER"), row("a,b"), row("3,4")];
    assert_eq!(run(config(), again), ["k header a,b", "k 0.1 1|2", "k header a,b", "k 3.0 3|4"]);
    let other = [row("a,b\n1,2"), row("#HEADER"), row("a,c\n3,4")];
    assert_eq!(run(config(), other)[2..], ["k failed header.conflict at 1", "k 2.1 header.conflict"]);
    assert_eq!(run(declared(&["x"]), [row("#HEADER"), row("#EOF")])[..1], ["k failed csv.no_header at 0"]);
}

#[test]
fn a_record_that_holds_a_file_has_titles_above_its_header() {
    let needed = SourceConfig { needed: [vec!["a".to_owned()], vec!["c".to_owned()]].into(), ..config() };
    for (file, line) in [
        ("a,b,c\n1,2,3\n4,5,6\n", 1),
        ("Report of shops\n\na,b,c\n1,2,3\n4,5,6\n", 2),
        ("Report,,\n,2026,\na,b,c\n1,2,3\n4,5,6\n", 3),
        // A header of merged cells.
        ("a,two,\n,b,c\n1,2,3\n4,5,6\n", 2),
    ] {
        let rows = [format!("k 0.{line} 1|2|3"), format!("k 0.{} 4|5|6", line + 1), "k 1.0 7|8|9".to_owned()];
        let expected = [vec!["k header a,b,c".to_owned()], rows.to_vec()].concat();
        assert_eq!(run(needed.clone(), [row(file), row("7,8,9")]), expected, "{file}");
    }
    let both = run(needed.clone(), [row("Report,,,\na,two,,d\n,b,c,\n1,2,3,\n")]);
    assert_eq!(both, ["k header a,b,c,d", "k 0.3 1|2|3|"]);
    // What comes later is a row, and so is a line above what is no header.
    let later = run(needed.clone(), [row("a,b,c"), row("Report\na,b,c\n1,2,3")]);
    assert_eq!(later[1..], ["k 1.0 csv.field_count", "k 1.1 csv.repeated_header", "k 1.2 1|2|3"]);
    let other = run(needed, [row("x,y,z\n1,2,3")]);
    assert_eq!(other, ["k header x,y,z", "k 0.1 1|2|3"]);
}

#[test]
fn a_header_line_is_no_row_although_the_columns_are_declared() {
    let columns = || declared(&["id", "name", "kind", "size"]);
    for (line, expected) in [
        ("id,name,kind,size", vec!["k 0.1 1|2|3|4"]),
        (" ID ,Name,KIND,size", vec!["k 0.1 1|2|3|4"]),
        ("size,id,name,kind", vec!["k header size,id,name,kind", "k 0.1 1|2|3|4"]),
        ("id,name,note,more", vec!["k header id,name,note,more", "k 0.1 1|2|3|4"]),
        ("id,2,3,4", vec!["k 0.0 id|2|3|4", "k 0.1 1|2|3|4"]),
    ] {
        assert_eq!(run(columns(), [row(format!("{line}\n1,2,3,4"))]), expected, "{line}");
        let again = run(columns(), [row("5,6,7,8"), row(format!("{line}\n1,2,3,4"))]);
        assert_eq!(again.len(), 3, "only the first row can be one: {again:?}");
    }
    let exact = SourceConfig { exact_names: true, ..columns() };
    assert_eq!(run(exact, [row("ID,NAME,KIND,SIZE")]), ["k 0.0 ID|NAME|KIND|SIZE"]);
    // A title above it; and a first row with a cell or two, which is none.
    let titled = SourceConfig { needed: [vec!["kind".to_owned()]].into(), ..columns() };
    assert_eq!(run(titled.clone(), [row("Report,,,\nid,name,kind,size\n1,2,3,4")]), ["k 0.2 1|2|3|4"]);
    assert_eq!(run(titled, [row("1,,,\na,b,c,d")]), ["k 0.0 1|||", "k 0.1 a|b|c|d"]);
}

#[test]
fn a_page_is_named_as_what_it_is() {
    let page = run(config(), [row("<!DOCTYPE html><html><body>\n<p>a,b</p>")]);
    assert!(page.iter().all(|line| line.contains("record.not_text")) && page[0].starts_with("k failed"), "{page:?}");
}

#[test]
fn a_restart_reads_the_head_of_a_file_again() {
    let needed = SourceConfig { needed: [vec!["a".to_owned()]].into(), ..config() };
    let file = || row("Report,\nx,\na,b\n1,2\n3,4");
    let mut source = Source::new(Arc::new(needed), Some(1));
    source.begin_refill(vec![(UploadId::new("k"), Offset(0))]);
    let header: Arc<[String]> = ["a".to_owned(), "b".to_owned()].into();
    source.restore(UploadId::new("k"), Some(header), (Announcement::default(), None), None);
    let lines = feed(&mut source, 0, [file()]);
    assert_eq!(lines, ["k 0.3 1|2", "k 0.4 3|4"], "the titles are no rows");
    source.end_refill();
    assert_eq!(feed(&mut source, 1, [file()])[0], "k 1.0 Report|", "later they are");
}

#[test]
fn a_restart_reads_a_header_marker_without_names_again() {
    let mut source = Source::new(Arc::new(declared(&["x"])), Some(1));
    assert_eq!(feed(&mut source, 0, [row("#BEGIN"), row("#HEADER")]), ["k begin"]);
    assert_eq!(source.oldest_waiting(), Some(Offset(1)));
    let mut source = Source::new(Arc::new(declared(&["x"])), Some(1));
    source.begin_refill(vec![(UploadId::new("k"), Offset(0)), (UploadId::new("k"), Offset(1))]);
    source.restore(UploadId::new("k"), None, (Announcement::default(), None), None);
    assert_eq!(feed(&mut source, 1, [row("#HEADER")]), Vec::<String>::new());
    source.end_refill();
    assert_eq!(feed(&mut source, 2, [row("a,b"), row("1,2")]), ["k header a,b", "k 3.0 1|2"]);
}

#[test]
fn rows_below_a_marker_are_rows() {
    let expected = ["k begin", "k header a,b", "k 0.0 1|2", "k 0.1 3|4", "k eof None"];
    assert_eq!(run(config(), [row("#BEGIN name=a.csv\n#HEADER\na,b\n1,2\n3,4"), row("#EOF")]), expected);
    assert_eq!(run(config(), [row("#BEGIN\n#HEADER a,b\n1,2\n3,4\n"), row("#EOF")]), expected);
    let first = ["k begin", "k header a,b", "k 0.1 1|2"];
    assert_eq!(run(config(), [row("#BEGIN\na,b\n1,2")]), first);
    let deep = "#BEGIN\n".repeat(100_000);
    assert_eq!(run(config(), [row(deep)]).len(), 100_000);
}

#[test]
fn duplicate_and_empty_names_are_changed() {
    let names = |names: &[&str]| unique_names(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(names(&["x", "", "x", "x_2", "x", ""]), ["x", "column_2", "x_2", "x_2_2", "x_3", "column_6"]);
    let many = unique_names(&vec!["x".to_owned(); COLUMNS_MAX]);
    assert_eq!(unique_names(&many), many);
    // As published it is the header again all the same.
    assert_eq!(run(config(), [row("x,,x\nx,,x")]), ["k header x,,x", "k 0.1 csv.repeated_header"]);
}

#[test]
fn an_upload_without_rows_shows_its_columns() {
    assert_eq!(run(config(), [row("a,b"), row("#EOF rows=0")]), ["k header a,b", "k columns a,b", "k eof Some(0)"]);
}

#[test]
fn rows_that_come_before_their_header_wait_for_it() {
    let records = [numbered(1, "1,2"), numbered(2, "3,4\n5,6"), row("#HEADER a,b"), row("#EOF rows=3")];
    let expected = ["k header a,b", "k 1.0 1|2", "k 2.0 3|4", "k 3.0 5|6", "k eof Some(3)"];
    let mut source = Source::new(Arc::new(config()), None);
    assert_eq!(feed(&mut source, 0, records[..2].to_vec()), Vec::<String>::new());
    assert_eq!(source.oldest_waiting(), Some(Offset(0)));
    assert_eq!(feed(&mut source, 2, records[2..].to_vec()), expected);
    assert_eq!(source.oldest_waiting(), None);
}

#[test]
fn rows_without_a_header_fail_their_upload_at_its_end() {
    let expected = ["k failed csv.no_header at 0", "k 1.0 csv.no_header", "k eof None"];
    assert_eq!(run(config(), [numbered(1, "1,2"), row("#EOF")]), expected);
}

#[test]
fn a_blank_record_does_not_wait() {
    assert_eq!(run(config(), [numbered(1, ",\n"), row("#EOF rows=0")]), ["k eof Some(0)"]);
}

/// Length of [`config`]'s idle timeout.
const IDLE_MS: u64 = 86_400_000;

fn tick(source: &mut Source, now_ms: u64) -> Vec<String> {
    source.tick(now_ms);
    lines_of(std::iter::from_fn(|| source.pop()))
}

#[test]
fn rows_wait_for_their_header_as_long_as_an_upload_may_be_idle() {
    let mut source = Source::new(Arc::new(config()), None);
    feed(&mut source, 0, [numbered(1, "1,2")]);
    assert!(tick(&mut source, 5).is_empty() && tick(&mut source, 4 + IDLE_MS).is_empty());
    // Another row is news, and the clock starts again; rows of another upload are not.
    feed(&mut source, 1, [numbered(2, "3,4"), of("j", numbered(1, "1"))]);
    assert!(tick(&mut source, 5 + IDLE_MS).is_empty());
    feed(&mut source, 3, [of("j", numbered(2, "2"))]);
    assert!(tick(&mut source, 4 + 2 * IDLE_MS).is_empty());
    let expected = ["k failed csv.no_header at 0", "k 1.0 csv.no_header", "k 2.0 csv.no_header", "k expired"];
    assert_eq!(tick(&mut source, 5 + 2 * IDLE_MS), expected);
    assert_eq!(source.oldest_waiting(), Some(Offset(2)), "the other upload still waits");
    assert!(tick(&mut source, 6 + 2 * IDLE_MS).is_empty(), "an upload expires once");
}

#[test]
fn a_doubted_header_is_believed_when_no_row_speaks_against_it_in_time() {
    let mut source = Source::new(Arc::new(config()), None);
    feed(&mut source, 0, [row("a;b")]);
    assert_eq!(source.oldest_waiting(), Some(Offset(0)));
    assert!(tick(&mut source, 1).is_empty());
    assert_eq!(tick(&mut source, 1 + IDLE_MS), ["k header a;b", "k expired"]);
    assert_eq!(source.oldest_waiting(), None);
}

#[test]
fn only_so_many_rows_wait() {
    let records = (1..=10_001).map(|index| numbered(index, "1,2"));
    let lines = run(config(), records);
    assert_eq!(lines.len(), 10_002);
    assert_eq!(lines[0], "k failed csv.no_header at 0");
}

#[test]
fn a_header_that_conflicts_fails_the_upload_and_its_rows_pass_unread() {
    let records = [
        row("#HEADER a,b"),
        row("1,2"),
        row("#HEADER a,c"),
        row("3,4"),
        row("#EOF"),
        row("#BEGIN"),
        row("a,c"),
        row("5,6"),
    ];
    let expected = [
        "k header a,b",
        "k 1.0 1|2",
        "k failed header.conflict at 2",
        "k 3.0 header.conflict",
        "k eof None",
        "k begin",
        "k header a,c",
        "k 7.0 5|6",
    ];
    assert_eq!(run(config(), records), expected);
}

#[test]
fn the_same_header_again_is_no_conflict() {
    assert_eq!(
        run(config(), [row("a,b\n1,2"), row("#HEADER a,b"), row("3,4")]).last().map(String::as_str),
        Some("k 2.0 3|4")
    );
}

#[test]
fn too_many_columns_fail_the_upload() {
    let header = vec!["x"; COLUMNS_MAX + 1].join(",");
    assert_eq!(run(config(), [row(header)]), ["k failed sheet.too_many_columns at 0"]);
}

#[test]
fn a_first_row_that_cannot_be_read_fails_the_upload() {
    assert_eq!(run(config(), [row("a,\"b\"x\n1,2")]), ["k failed csv.bad_quote at 0", "k 0.1 csv.bad_quote"]);
    let csv = SourceConfig { format: Format::Csv, ..config() };
    assert_eq!(run(csv, [row("{\"a\":1}")]), ["k failed record.not_text at 0"]);
}

#[test]
fn a_wrong_delimiter_is_found_out() {
    let rows = || (0..150).map(|n| row(format!("{n};1,5;x")));
    let lines = run(config(), std::iter::once(row("a;b;c")).chain(rows()));
    assert_eq!(lines[0], "k failed csv.delimiter at 0");
    assert_eq!(lines.len(), 151);
    // Fewer rows: at the end.
    let lines = run(config(), [row("a;b\n1;2"), row("#EOF")]);
    assert_eq!(lines, ["k failed csv.delimiter at 0", "k 0.1 csv.delimiter", "k eof None"]);
}

#[test]
fn a_header_of_one_column_may_hold_a_semicolon() {
    let lines = run(config(), [row("name; remarks\nx\ny"), row("#EOF")]);
    assert_eq!(lines, ["k header name; remarks", "k 0.1 x", "k 0.2 y", "k eof None"]);
}

#[test]
fn values_that_are_no_text_are_refused() {
    let anonymous = |record: Record| Record { key: None, ..record };
    for value in [&b"PK\x03\x04"[..], b"\x1f\x8b\x08", b"\xff\xfea\0"] {
        let failed = ["k failed record.not_text at 0", "k 0.0 record.not_text", "k 1.0 record.not_text"];
        assert_eq!(run(declared(&["a"]), [row(value), row("1")]), failed);
        // Among rows it is one bad record, and so is what has no name of its own: it may be a stray one.
        assert_eq!(run(declared(&["a"]), [row("1"), row(value)]), ["refused record.not_text", "k 0.0 1"]);
        assert_eq!(run(declared(&["a"]), [row(value), row("1")].map(anonymous)), ["refused record.not_text", " 1.0 1"]);
    }
    // A publisher that uses a schema registry uses it for all of its rows.
    let avro = || row(&b"\0\0\0\0\x07\n\n"[..]);
    assert_eq!(
        run(declared(&["a"]), [avro(), avro(), row("#EOF")]),
        ["k failed record.not_text at 0", "k 0.0 record.not_text", "k 1.0 record.not_text", "k eof None"]
    );
    // With a number they are rows, or the upload would wait for them for ever.
    assert_eq!(run(declared(&["a"]), [numbered(7, "\0\u{1}\nb")]), ["k 7.0 text.control in a", "k 8.0 b"]);
}

#[test]
fn rows_in_other_charsets() {
    let korean = |text: &str| encoding_rs::EUC_KR.encode(text).0.into_owned();
    let expected = ["k header 이름,값", "k 1.0 서울|1", "k 2.0 text.encoding", "k eof None"];
    let values = || [korean("이름,값"), korean("서울,1"), b"\xc7,2".to_vec(), b"#EOF".to_vec()];
    let config = SourceConfig { encoding: Some(charset::Charset::EUC_KR), ..config() };
    assert_eq!(run(config.clone(), values().map(row)), expected);
    let encoded = |value: Vec<u8>| Record { headers: vec![Header::new("ss-encoding", "cp949")], ..row(value) };
    assert_eq!(run(super::tests::config(), values().map(encoded)), expected);
    // A header of the record beats the topology; a marker is ASCII in every charset.
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let encoded = |value: &str| Record { headers: vec![Header::new("ss-encoding", "utf-16")], ..row(utf16(value)) };
    let records = [encoded("\u{feff}이름,값\r\n서울,1\r\n"), row("#EOF")];
    assert_eq!(run(config, records), ["k header 이름,값", "k 0.1 서울|1", "k eof None"]);
    let unknown = Record { headers: vec![Header::new("ss-encoding", "klingon")], ..row("1") };
    assert_eq!(run(super::tests::config(), [unknown]), ["refused marker.format"]);
}

#[test]
fn rows_with_a_delimiter_of_their_own() {
    let separated = |delimiter: &str, value: &'static str| Record {
        headers: vec![Header::new("ss-delimiter", delimiter.as_bytes().to_vec())],
        ..row(value)
    };
    let records = [separated(";", "a;b"), separated("tab", "1,5\t2"), row("3,4"), separated(";", "\"5;6\";\"7\"\"\"")];
    let expected = ["k header a,b", "k 1.0 1,5|2", "k 2.0 3|4", "k 3.0 5;6|7\""];
    assert_eq!(run(config(), records), expected);
}

#[test]
fn rows_go_before_the_marker_that_follows_them() {
    let records = [row("a\n1"), of("j", row("a\n7")), row("2"), row("#EOF"), of("j", row("8"))];
    let lines = run(config(), records);
    let of_k: Vec<_> = lines.iter().filter(|line| line.starts_with('k')).collect();
    assert_eq!(of_k, ["k header a", "k 0.1 1", "k 2.0 2", "k eof None"]);
}

#[test]
fn the_aggregate_closes_an_upload_and_its_header_is_forgotten() {
    let mut source = Source::new(Arc::new(config()), None);
    feed(&mut source, 0, [row("a\n1"), row("#EOF")]);
    source.forget(&UploadId::new("k"));
    assert_eq!(feed(&mut source, 2, [row("b\n2")]), ["k header b", "k 2.1 2"]);
}

#[test]
fn rows_that_wait_come_out_when_their_upload_is_closed() {
    let mut source = Source::new(Arc::new(config()), None);
    feed(&mut source, 0, [numbered(1, "1,2"), of("j", numbered(1, "1,2"))]);
    let waiting: Vec<_> = source.waiting_uploads().map(|(id, from)| format!("{id} {from}")).collect();
    assert_eq!(waiting, ["k 0", "j 1"]);
    source.forget(&UploadId::new("k"));
    assert_eq!(feed(&mut source, 2, []), ["k 1.0 csv.no_header"]);
    assert_eq!(source.oldest_waiting(), Some(Offset(1)));
}

#[test]
fn once_the_end_is_known_rows_come_record_by_record() {
    let mut source = Source::new(Arc::new(declared(&["a"])), None);
    for (value, offset) in ["#BEGIN", "#EOF rows=2", "1", "2\n3"].into_iter().zip(0..) {
        source.push(Record { offset: Offset(offset), ..row(value) }, &mut |_| Admission::Read);
    }
    let batches = std::iter::from_fn(|| source.pop()).filter_map(|element| match element {
        StreamElement::Rows(batch) => Some(batch.len()),
        StreamElement::Marker(_)
        | StreamElement::Failed { .. }
        | StreamElement::Expired { .. }
        | StreamElement::TooMany { .. }
        | StreamElement::GivesWay { .. }
        | StreamElement::Refused { .. } => None,
    });
    assert_eq!(batches.collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn an_anonymous_upload_is_whole_where_there_is_one_partition() {
    let partitions = |config: SourceConfig, count| {
        let mut source = Source::new(Arc::new(config), count);
        source.push(Record { value: Some(Bytes::from_static(b"#EOF")), ..Record::default() }, &mut |_| Admission::Read);
        match source.pop() {
            Some(StreamElement::Marker(MarkerRecord { marker: Marker::Eof { partitions, .. }, .. })) => partitions,
            other => panic!("not an EOF: {other:?}"),
        }
    };
    assert_eq!(partitions(config(), Some(1)), Some(1));
    assert_eq!(partitions(config(), Some(3)), None);
    assert_eq!(partitions(SourceConfig { upload: UploadFrom::Partition, ..config() }, Some(3)), Some(1));
}

/// Whoever begins uploads does not know yet of one whose rows wait.
#[test]
fn markers_of_another_attempt_leave_rows_that_wait_alone() {
    let of_attempt = |attempt: &'static str, record: Record| {
        let headers = record.headers.into_iter().chain([Header::new("ss-attempt", attempt)]).collect();
        Record { headers, ..record }
    };
    let records = [
        of_attempt("x", numbered(1, "1")),
        of_attempt("y", row("#HEADER b")),
        of_attempt("y", row("#ABORT")),
        of_attempt("y", row("#EOF rows=1")),
        of_attempt("x", row("#HEADER a")),
        of_attempt("y", row("#EOF rows=1")),
    ];
    let lines = run(config(), records);
    assert_eq!(lines, ["refused eof.unknown", "k header a", "k 1.0 1", "k eof Some(1)"]);
}

#[test]
fn a_batch_has_keys_attempt_and_trace_of_its_rows() {
    let headers =
        |attempt: &str| vec![Header::new("ss-attempt", attempt.to_owned()), Header::new("traceparent", "00-ab-cd-01")];
    let config = SourceConfig { upload: UploadFrom::Partition, ..declared(&["a"]) };
    let mut source = Source::new(Arc::new(config), None);
    for (offset, (key, attempt)) in (0..).zip([("x", "1"), ("x", "1"), ("y", "1"), ("y", "2")]) {
        source.push(of(key, Record { offset: Offset(offset), headers: headers(attempt), ..row("1") }), &mut |_| {
            Admission::Read
        });
    }
    source.flush();
    let batches: Vec<_> = std::iter::from_fn(|| source.pop()).collect();
    let [StreamElement::Rows(first), StreamElement::Rows(second)] = &batches[..] else { panic!("{batches:?}") };
    assert_eq!((first.len(), first.attempt.as_deref(), second.attempt.as_deref()), (3, Some("1"), Some("2")));
    assert_eq!(first.traceparent.as_deref(), Some("00-ab-cd-01"));
    let keys = [0, 1, 2].map(|row| first.record_key(row).map(|key| key.to_vec()));
    assert_eq!(keys, [Some(b"x".to_vec()), Some(b"x".to_vec()), Some(b"y".to_vec())]);
    assert_eq!(first.raw.span(0..2), b"1\n1\n");
}

#[test]
fn ten_thousand_uploads_interleave() {
    let records = (0..30_000_u64).map(|n| {
        let key = Bytes::from(format!("upload-{}", n % 10_000));
        let value = if n < 10_000 { "a,b".to_owned() } else { format!("{n},x") };
        Record { key: Some(key), ..row(value) }
    });
    let lines = run(config(), records);
    assert_eq!(lines.len(), 30_000);
    assert_eq!(lines.iter().filter(|line| line.ends_with("|x")).count(), 20_000);
}

#[test]
fn records_read_again_belong_to_uploads_that_were_open() {
    let records = || [row("a\n1"), of("j", row("b\n7")), row("#EOF"), row("c\n2"), row("3"), of("i", row("d;e\n1;2"))];
    let mut source = Source::new(Arc::new(config()), None);
    // k's second upload is open since offset 3 and `i` waits since 5; j has ended.
    let [k, i] = ["k", "i"].map(UploadId::new);
    source.begin_refill(vec![(k.clone(), Offset(3)), (i, Offset(5))]);
    source.restore(k, Some(Arc::new(["c".to_owned()])), (Announcement::default(), None), None);
    assert_eq!(feed(&mut source, 0, records()), ["k 3.0 csv.repeated_header", "k 3.1 2", "k 4.0 3"]);
    assert_eq!(source.oldest_waiting(), Some(Offset(5)));
    source.end_refill();
    assert_eq!(feed(&mut source, 6, [row("4"), of("j", row("x\n8"))]), ["j header x", "k 6.0 4", "j 7.1 8"]);
}

#[test]
fn markers_read_again_change_nothing_about_a_header() {
    let mut source = Source::new(Arc::new(config()), None);
    let k = UploadId::new("k");
    source.begin_refill(vec![(k.clone(), Offset(0))]);
    source.restore(k, Some(Arc::new(["a".to_owned()])), (Announcement::default(), None), None);
    assert_eq!(feed(&mut source, 0, [row("#BEGIN"), row("#HEADER b"), row("1")]), ["k 2.0 1"]);
    source.end_refill();
    assert_eq!(feed(&mut source, 3, [row("#BEGIN"), row("#HEADER b"), row("1")]), ["k begin", "k header b", "k 5.0 1"]);
}

proptest! {
    /// Records are cut into fetches anyhow: the elements are the same, rows of neighbouring batches taken together.
    #[test]
    fn fetches_do_not_show(
        values in prop::collection::vec(
            prop::sample::select(vec!["a,b\n1,2", "3,4", "5,\"6", "#EOF", "#HEADER a,b", "#BEGIN", "\"7\n8\",9", "x;y", "1;2", "#EOF rows=3"]), 0..12),
        numbers in prop::collection::vec(prop::option::of(1_u64..9), 12),
        fetches in prop::collection::vec(any::<bool>(), 12),
    ) {
        let records: Vec<_> = values.iter().zip(&numbers).map(|(value, number)| match number {
            Some(number) if !value.starts_with('#') => numbered(*number, value),
            _ => row(*value),
        }).collect();
        let mut source = Source::new(Arc::new(config()), None);
        let mut cut = Vec::new();
        for ((offset, record), ends_fetch) in (0..).zip(&records).zip(fetches) {
            source.push(Record { offset: Offset(offset), ..record.clone() }, &mut |_| Admission::Read);
            if ends_fetch {
                source.flush();
            }
            cut.extend(lines_of(std::iter::from_fn(|| source.pop())));
        }
        source.flush();
        cut.extend(lines_of(std::iter::from_fn(|| source.pop())));
        prop_assert_eq!(cut, run(config(), records));
    }

    /// Whatever the bytes are, rows that come in come out: as cells, with a fate, as a header, or waiting.
    #[test]
    fn every_row_has_a_fate(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..8)) {
        let mut source = Source::new(Arc::new(declared(&["a", "b"])), None);
        for (offset, value) in (0..).zip(values) {
            source.push(Record { offset: Offset(offset), ..row(value.clone()) }, &mut |_| Admission::Read);
            source.flush();
            let elements: Vec<_> = std::iter::from_fn(|| source.pop()).collect();
            let rows: usize = elements.iter().map(|element| match element {
                StreamElement::Rows(batch) => batch.len(),
                StreamElement::Marker(_) | StreamElement::Failed { .. } | StreamElement::Expired { .. } | StreamElement::TooMany { .. } | StreamElement::GivesWay { .. } | StreamElement::Refused { .. } => 0,
            }).sum();
            let has_content = value.iter().any(|byte| !b",\"\r\n\xef\xbb\xbf \t\x1a\0".contains(byte));
            prop_assert!(rows > 0 || !elements.is_empty() || !has_content);
        }
    }
}

#[test]
fn a_header_without_rows_needs_the_columns_of_one_with_rows() {
    let needed =
        SourceConfig { needed: Arc::new([vec!["x".to_owned(), "lon".to_owned()], vec!["k".to_owned()]]), ..config() };
    assert_eq!(run(needed.clone(), [row("k,lon"), row("#EOF")]), ["k header k,lon", "k columns k,lon", "k eof None"]);
    assert_eq!(
        run(needed.clone(), [row("k,lat"), row("#EOF")]),
        ["k header k,lat", "k failed column.missing at 1", "k eof None"]
    );
    assert_eq!(run(needed, [row("#HEADER lon"), row("#EOF")])[1], "k failed column.missing at 1");
}

#[test]
fn rows_that_sum_up_others_are_rejected_where_a_topology_wants_it() {
    let needed = Arc::new([vec!["k".to_owned()], vec!["x".to_owned()]]);
    let config = SourceConfig { needed, rejects_totals: true, ..declared(&["k", "name", "x", "n"]) };
    let rows = "a,shop,1,10\n,합계,,10\n총계,,,\"1,010\"\na,Total,1,10\n,Total,,\na,합계,,x";
    assert_eq!(
        run(config.clone(), [row(rows)]),
        [
            "k 0.0 a|shop|1|10",
            "k 0.1 row.total",
            "k 0.2 row.total",
            "k 0.3 a|Total|1|10",
            "k 0.4 |Total||",
            "k 0.5 a|합계||x"
        ]
    );
    let kept = SourceConfig { rejects_totals: false, ..config.clone() };
    assert_eq!(run(kept, [row(",합계,,10")]), ["k 0.0 |합계||10"]);
    assert_eq!(run(config, [row(r#"{"name":"합 계","n":10}"#)]), ["k 0.0 row.total"]);
}
