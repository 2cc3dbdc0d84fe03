//! Rows and fields of CSV text, sound and broken.

use super::*;
use proptest::prelude::*;

/// Rows that are not blank, their fields joined by `·`, broken ones as `!` and their bytes.
fn read(text: &[u8], expected: Option<usize>) -> Vec<String> {
    let mut rows = Rows::new(text, b',', expected);
    let mut fields = Fields::default();
    let mut read = Vec::new();
    while let Some(row) = rows.next_row(&mut fields) {
        let cells: Vec<_> = fields.iter(text).map(String::from_utf8_lossy).collect();
        match row.defect {
            _ if row.blank => {}
            None => read.push(cells.join("·")),
            Some(_) => read.push(format!("!{}", String::from_utf8_lossy(row.bytes))),
        }
    }
    read
}

#[test]
fn rows_and_fields() {
    for (text, rows) in [
        ("1,2,3", vec!["1·2·3"]),
        ("1,2\n3,4\n", vec!["1·2", "3·4"]),
        ("1,2\r\n3,4\r5,6", vec!["1·2", "3·4", "5·6"]),
        (" 1 , 2 ", vec![" 1 · 2 "]),
        ("a,\"x,y\",b", vec!["a·x,y·b"]),
        ("\"say \"\"hi\"\"\",2", vec!["say \"hi\"·2"]),
        ("\"two\nlines\",2\n3,4", vec!["two\nlines·2", "3·4"]),
        ("\"\",\"2\"\n", vec!["·2"]),
        ("1,\n,2\n", vec!["1·", "·2"]),
        ("1,2,\"\"\r\n", vec!["1·2·"]),
        ("\n\n1,2\n,\n\"\",\"\"\n\r\n", vec!["1·2"]),
        ("", vec![]),
        ("\u{feff}1,2\n\u{feff}\"3\",4\n\u{feff}", vec!["1·2", "3·4"]),
        ("#EOF,2", vec!["#EOF·2"]),
    ] {
        assert_eq!(read(text.as_bytes(), None), rows, "{text:?}");
    }
}

#[test]
fn broken_quotes_never_swallow_a_row_that_can_be_read() {
    for (text, rows) in [
        // Never closed.
        ("a,\"b\n1,2\n3,4", vec!["!a,\"b", "1·2", "3·4"]),
        ("a,\"b", vec!["!a,\"b"]),
        // Closed by the quote of a later row.
        ("a,\"b\n1,2\nc,\"d\"\n3,4", vec!["!a,\"b", "1·2", "c·d", "3·4"]),
        // Closed, but with the wrong number of fields.
        ("a,\"b\n1,2\n\",c,d\n3,4", vec!["!a,\"b", "1·2", "!\",c,d", "3·4"]),
        // A sound row over two lines, each of which would read alone.
        ("a,\"1,2\n3,4\"\n5,6", vec!["a·1,2\n3,4", "5·6"]),
        // A miscounted row over two lines that do not read alone stays one row.
        ("a,\"b\nc\",d\n1,2", vec!["a·b\nc·d", "1·2"]),
        // Within one line nothing is swallowed anyway.
        ("\"x\"y,2\n1,2", vec!["!\"x\"y,2", "1·2"]),
        ("x\"y,2\n1,2", vec!["!x\"y,2", "1·2"]),
    ] {
        assert_eq!(read(text.as_bytes(), Some(2)), rows, "{text:?}");
    }
}

#[test]
fn misplaced_quotes_can_be_read_as_text() {
    let text = b"\"x\"y,a\"b\n";
    let mut fields = Fields::default();
    let row = Rows::new(text, b',', None).next_row(&mut fields).map(|row| row.defect);
    assert_eq!(row, Some(Some((Defect::TextAfterQuote, 0))));
    assert_eq!(fields.iter(text).collect::<Vec<_>>(), [&b"xy"[..], b"a\"b"]);
}

#[test]
fn quoted_fields_behind_blanks_can_be_overlooked() {
    let mut fields = Fields::default();
    for (text, defect, cells) in [
        ("a, \"x, y\"\n", Some((Defect::BlanksBeforeQuote, 1)), vec!["a", "x, y"]),
        ("\t\"say \"\"hi\"\"\" ,b", Some((Defect::BlanksBeforeQuote, 0)), vec!["say \"hi\"", "b"]),
        ("a, \"x\" y", Some((Defect::StrayQuote, 1)), vec!["a", " \"x\" y"]),
        ("a, \"x\n\",b", Some((Defect::StrayQuote, 1)), vec!["a", " \"x"]),
        ("a, b", None, vec!["a", " b"]),
    ] {
        let row = Rows::new(text.as_bytes(), b',', None).next_row(&mut fields).map(|row| row.defect);
        assert_eq!(row, Some(defect), "{text:?}");
        let read: Vec<_> = fields.iter(text.as_bytes()).map(String::from_utf8_lossy).collect();
        assert_eq!(read, cells, "{text:?}");
    }
}

#[test]
fn a_row_of_blanks_and_quotes_takes_no_longer_than_its_length() {
    let mut text = " \"\"\",".repeat(ROW_BYTES_MAX / 5).into_bytes();
    text.extend_from_slice(b"x\n1,2\n");
    let mut fields = Fields::default();
    let mut rows = Rows::new(&text, b',', Some(2));
    assert_eq!(std::iter::from_fn(|| rows.next_row(&mut fields).map(|row| row.defect.is_some())).count(), 2);
}

#[test]
fn the_line_end_behind_a_quote_that_is_never_closed_is_none_of_the_row() {
    for text in ["\"a,b", "\"a,b\n", "\"a,b\r\n", "\"a,b\r"] {
        let row = Rows::new(text.as_bytes(), b',', Some(2)).next_row(&mut Fields::default());
        assert_eq!(row.map(|row| row.bytes), Some(&b"\"a,b"[..]), "{text:?}");
    }
}

#[test]
fn a_huge_field_that_is_never_closed_costs_one_row() {
    let mut text = b"\"".to_vec();
    text.resize(2 * ROW_BYTES_MAX, b'x');
    text.extend_from_slice(b"\n1,2\n");
    assert_eq!(read(&text, Some(2)).len(), 2);
}

/// Text in which everything that means something is frequent.
pub(crate) fn messy_text() -> impl Strategy<Value = Vec<u8>> {
    let piece =
        prop::sample::select(vec![",", ",", "\n", "\n", "\"", "\"", "\r\n", "\r", "1", "x", "가", "\"\"", "#EOF"]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
}

/// Start and end of every row, blank ones too.
fn extents(text: &[u8], expected: usize) -> Vec<(usize, usize)> {
    let mut rows = Rows::new(text, b',', Some(expected));
    let mut fields = Fields::default();
    let mut extents = Vec::new();
    loop {
        let start = rows.position();
        if rows.next_row(&mut fields).is_none() {
            return extents;
        }
        extents.push((start, rows.position()));
    }
}

proptest! {
    #[test]
    fn rows_cover_any_text(text in prop::collection::vec(any::<u8>(), 0..200), expected in 1_usize..4) {
        let extents = extents(&text, expected);
        prop_assert!(extents.windows(2).all(|pair| pair[0].1 == pair[1].0 && pair[1].0 < pair[1].1));
        prop_assert_eq!(extents.last().map_or(0, |last| last.1), text.len());
    }

    #[test]
    fn text_cut_at_any_row_boundary_gives_the_same_rows(text in messy_text(), expected in 1_usize..4) {
        let whole = extents(&text, expected);
        for &(_, cut) in &whole {
            let mut parts = extents(&text[..cut], expected);
            parts.extend(extents(&text[cut..], expected).into_iter().map(|(start, end)| (start + cut, end + cut)));
            prop_assert_eq!(&parts, &whole, "cut at {}", cut);
        }
    }

    #[test]
    fn what_is_written_reads_back(cells in prop::collection::vec("[a,;\"\n\r# 가]{0,6}", 1..6)) {
        let mut text = Vec::new();
        write_row(cells.iter().map(|cell| cell.as_bytes()), b',', &mut text);
        let mut fields = Fields::default();
        let row = Rows::new(&text, b',', Some(cells.len())).next_row(&mut fields);
        let row = row.map(|row| (row.bytes, row.defect));
        if text.is_empty() {
            prop_assert_eq!(row, None);
        } else {
            prop_assert_eq!(row, Some((&text[..], None)));
            let read: Vec<_> = fields.iter(&text).collect();
            prop_assert_eq!(read, cells.iter().map(|cell| cell.as_bytes()).collect::<Vec<_>>());
        }
    }
}
