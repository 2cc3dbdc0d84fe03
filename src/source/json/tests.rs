//! JSON text into rows and cells, sound and broken.

use proptest::prelude::*;

use super::*;
use crate::record::Reason;
use crate::source::csv::Fields;

/// The rows of a text as their bytes, broken ones behind `!`, blank ones left out.
fn rows(text: &str) -> Vec<String> {
    let rows = Elements::new(text.as_bytes()).filter(|row| !row.is_blank());
    let show = |row: Element| {
        let bytes = String::from_utf8_lossy(row.bytes(text.as_bytes())).into_owned();
        if row.is_broken() { format!("!{bytes}") } else { bytes }
    };
    rows.map(show).collect()
}

/// The cells of each row under these columns, joined by `·`; the code and the column of one that is refused.
fn cells(columns: &[&str], text: &str) -> Vec<String> {
    let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
    let mut reader = CellReader::new(&columns, false, false);
    let mut fields = Fields::default();
    let rows = Elements::new(text.as_bytes()).filter(|row| !row.is_blank());
    rows.map(|row| match reader.read(text.as_bytes(), &row, &mut fields) {
        Ok(_) => fields.iter(text.as_bytes()).map(String::from_utf8_lossy).collect::<Vec<_>>().join("·"),
        Err(rejection) => format!("{} {}", rejection.reason, rejection.column.unwrap_or_default()),
    })
    .collect()
}

#[test]
fn rows_of_every_shape() {
    for (text, expected) in [
        (r#"{"a":1}"#, vec![r#"{"a":1}"#]),
        ("{\"a\":1}\n{\"a\":2}\n", vec![r#"{"a":1}"#, r#"{"a":2}"#]),
        (r#"{"a":1}{"a":2} {"a":3}"#, vec![r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#]),
        (r#"[{"a":1},{"a":2}]"#, vec![r#"{"a":1}"#, r#"{"a":2}"#]),
        (r#" [ {"a":1} , {"a":2} , ] "#, vec![r#"{"a":1}"#, r#"{"a":2}"#]),
        (r#"[["a","b"],[1,2]]"#, vec![r#"["a","b"]"#, "[1,2]"]),
        ("[{\"a\":1}]\n[{\"a\":2}]", vec![r#"{"a":1}"#, r#"{"a":2}"#]),
        ("{\n  \"a\": {\n    \"b\": 1\n  }\n}\n{\n}\n", vec!["{\n  \"a\": {\n    \"b\": 1\n  }\n}"]),
        ("\u{feff}{\"a\":1}\n\u{feff}{\"a\":2}", vec![r#"{"a":1}"#, r#"{"a":2}"#]),
        (r#"{"a":null,"b":"","c":{"d":null}}"#, vec![]),
        (r#"[1,[2,3]]"#, vec!["[1,[2,3]]"]),
        ("", vec![]),
    ] {
        assert_eq!(rows(text), expected, "{text}");
    }
}

#[test]
fn a_broken_row_never_swallows_a_row_that_can_be_read() {
    for (text, expected) in [
        ("{\"a\":1\n{\"a\":2}\n{\"a\":3}", vec!["!{\"a\":1", r#"{"a":2}"#, r#"{"a":3}"#]),
        ("{\"a\":\n{\"a\":2}\n{\"a\":3}", vec!["!{\"a\":", r#"{"a":2}"#, r#"{"a":3}"#]),
        ("{\"a\":\"x\n{\"a\":2}", vec!["!{\"a\":\"x", r#"{"a":2}"#]),
        ("nonsense\n{\"a\":2}", vec!["!nonsense", r#"{"a":2}"#]),
        // Text that is meant to be no row ends with its line, a log's brackets do not.
        (
            "INFO up\r\n\"a\":1}\n{\"a\":1}\n[INFO] up,\n{\"a\":2}\nbye \n",
            vec!["!INFO up", "!\"a\":1}", r#"{"a":1}"#, "![INFO] up,", r#"{"a":2}"#, "!bye"],
        ),
        (r#"{"a":1} nonsense"#, vec![r#"{"a":1}"#, "!nonsense"]),
        (
            "[\n  {\n    \"a\": 1 2,\n    \"b\": {\n    }\n  },\n  {\n    \"a\": 3\n  }\n]",
            vec!["!{\n    \"a\": 1 2,\n    \"b\": {\n    }\n  },", "{\n    \"a\": 3\n  }"],
        ),
        // An array that is not closed may have lost rows.
        (r#"[{"a":1},{"a":2}"#, vec![r#"{"a":1}"#, r#"{"a":2}"#, "!["]),
        (r#"[{"a":1},{"a":"#, vec![r#"{"a":1}"#, "!{\"a\":"]),
        // Commas between rows say nothing that the rows do not.
        (r#"[{"a":1} {"a":2},,{"a":3}]"#, vec![r#"{"a":1}"#, r#"{"a":2}"#, "!,{\"a\":3}]"]),
        (r#"[{"a":1},5]"#, vec![r#"{"a":1}"#, "!5"]),
        (
            r#"[{"a":0}, null, "x", {"a":1},5,{"a":2}]"#,
            vec![r#"{"a":0}"#, "!null", "!\"x\"", r#"{"a":1}"#, "!5", r#"{"a":2}"#],
        ),
        // What is wrong within the brackets of a row ends with them.
        (
            r#"[{"a":"\ud800"},{"a":{"b":x}, "c":[{"d":1}]} , {"a":3}]"#,
            vec![r#"!{"a":"\ud800"}"#, r#"!{"a":{"b":x}, "c":[{"d":1}]}"#, r#"{"a":3}"#],
        ),
        (r#"[{"a":"said "hi""},{"a":2}]"#, vec![r#"!{"a":"said "hi""}"#, r#"{"a":2}"#]),
        (r#"{"a":1,,} nonsense"#, vec![r#"!{"a":1,,} nonsense"#]),
        (r#"[{"a":[1},{"a":2}]"#, vec![r#"!{"a":[1},{"a":2}]"#]),
    ] {
        assert_eq!(rows(text), expected, "{text}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (text, said) in [
        (r#"{"a" 1}"#, "line 1, character 6 of the JSON text: a colon is expected"),
        ("{\"a\":1,\n \"가\":tru}", "line 2, character 6 of the JSON text: a value is expected"),
        (r#"{"a":01}"#, "line 1, character 8 of the JSON text: this is not a number in JSON"),
        (r#"{"a":1.}"#, "line 1, character 8 of the JSON text: this is not a number in JSON"),
        (r#"{"a":"\x"}"#, "line 1, character 7 of the JSON text: the escape sequence is not a character"),
        (r#"{"a":"\ud800 unpaired"}"#, "line 1, character 7 of the JSON text: the escape sequence is not a character"),
        (r#"{"a":1,}"#, "line 1, character 8 of the JSON text: a key in quotes is expected"),
        (r#"{"a":[1"#, "line 1, character 8 of the JSON text: the text ends within a value"),
        (
            "{\"a\":\"x\ny\"}",
            "line 1, character 8 of the JSON text: a line end or a control character is in a string; write it as an \
            escape sequence",
        ),
    ] {
        let row = Elements::new(text.as_bytes()).find(Element::is_broken).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(fault_of(text.as_bytes(), &row).map(|fault| fault.message.to_string()).as_deref(), Some(said));
    }
    let deep = "[".repeat(1_000_000);
    let text = format!("{{\"a\":{deep}}}");
    let row = Elements::new(text.as_bytes()).next().and_then(|row| fault_of(text.as_bytes(), &row));
    assert!(row.is_some_and(|fault| fault.message.to_string().contains("more than 128")));
    // Arrays around rows that never come are entered a few times, not once each.
    let rows: Vec<_> = Elements::new(deep.as_bytes()).map(|row| (row.start, row.is_broken())).collect();
    assert_eq!(rows, [(8, true)]);
}

#[test]
fn broken_text_is_read_a_few_times_however_deep_it_is() {
    let lines = |count: usize| "{\"a\":\n".repeat(count);
    for block in [
        "[{\"a\":\n".to_owned(),
        format!("{}x\n", lines(100)),
        format!("{}1{} x\n", lines(100), "}".repeat(100)),
        format!("{}\n", "[{\"a\":".repeat(64)),
    ] {
        let text = block.repeat(60_000 / block.len());
        let before = scan::VALUES_READ.get();
        assert!(Elements::new(text.as_bytes()).filter(Element::is_broken).count() > 0, "{block}");
        let read = scan::VALUES_READ.get() - before;
        assert!(read < text.len(), "{read} values are read of {} bytes: {block}", text.len());
    }
}

#[test]
fn cells_are_what_was_written() {
    for (columns, text, expected) in [
        (&["a", "b"][..], r#"{"a":12345678901234567.890,"b":1e400}"#, "12345678901234567.890·1e400"),
        (&["a", "b"], r#"{"b":-0.10,"a":true}"#, "true·-0.10"),
        (&["a", "b"], r#"{"b":0}"#, "·0"),
        (&["a", "b"], r#"{"a":"가\n\"\u0041\ud83d\ude00\/","b":NaN}"#, "가\n\"A😀/·NaN"),
        (&["a", "b"], r#"{"a":[1, {"x" : "y z"}],"b":{}}"#, r#"[1,{"x":"y z"}]·{}"#),
        (&["addr.city", "addr.at.x"], r#"{"addr":{"at":{"x":1},"city":"c"}}"#, "c·1"),
        (&["addr.city"], r#"{"addr.city":"c"}"#, "c"),
        (&["addr"], r#"{"addr": {"city": "c"}}"#, r#"{"city":"c"}"#),
        (&["addr.city"], r#"{"addr":null,"other":null,"addr.city":"c"}"#, "c"),
        (&["addr", "addr.city"], r#"{"addr":{"city":"c"}}"#, "·c"),
        (&["addr", "addr.city"], r#"{"addr":"c"}"#, "c·"),
        (&["addr", "addr.at.x"], r#"{"addr":{"at":{"x":1}}}"#, "·1"),
        (&["id", "addr.city"], r#"{"id":1,"addr":"","other":[ ],"addr.at":{}}"#, "1·"),
        (&["id", "addr.city"], r#"{"id":1,"addr":"c"}"#, "json.unknown_key addr"),
        (&["properties", "k"], r#"{"type":"Feature","properties":{"properties":"p","k":1}}"#, "p·1"),
        (&["properties"], r#"{"type":"Feature","properties":{"k":1}}"#, r#"{"k":1}"#),
        (&["k"], r#"{"type":"Feature","properties":null}"#, ""),
        (&["이름"], r#"{" \uc774\ub984 ":"x"}"#, "x"),
        (&["a", "b"], r#"[1,"x",[2],null]"#, "1·x·[2]·"),
        (&["a"], r#"{"a":1,"a":null}"#, "json.duplicate_key a"),
        (&["a"], r#"{"a":1," a":2}"#, "json.duplicate_key  a"),
        (&["p.a"], r#"{"p":{"a":1},"p":{"a":2}}"#, "json.duplicate_key p.a"),
        (&["a"], r#"{"a":1,"p":{"b":2}}"#, "json.unknown_key p.b"),
    ] {
        assert_eq!(cells(columns, text), [expected], "{text}");
    }
}

#[test]
fn keys_in_another_order_land_under_their_columns() {
    let text = r#"{"a":1,"p":{"b":2},"c":3} {"c":6,"p":{"b":5},"a":4} {"p":{"b":8,"c":9}} {"a":7,"c":9,"p":{"b":8}}"#;
    assert_eq!(cells(&["a", "p.b", "c"], text), ["1·2·3", "4·5·6", "json.unknown_key p.c", "7·8·9"]);
    let text = r#"{"a":{"x":1},"x":2} {"a":{"x":1,"b":3}} {"a":{"x":1},"b":3}"#;
    assert_eq!(cells(&["a.x", "x", "a.b", "b"], text), ["1·2··", "1··3·", "1···3"]);
}

#[test]
fn names_come_from_the_first_row() {
    let text = r#"{"id":1,"addr":{"city":"c","geo":{"x":1}},"tags":[1],"id":2}"#;
    let names = |is_whole: &dyn Fn(&str) -> bool| {
        let row = Elements::new(text.as_bytes()).next().expect("a row");
        names_of(text.as_bytes(), &row, is_whole)
    };
    assert_eq!(names(&|_| false), ["id", "addr.city", "addr.geo.x", "tags"]);
    assert_eq!(names(&|name| name == "addr.geo"), ["id", "addr.city", "addr.geo", "tags"]);
}

#[test]
fn what_is_blank_names_no_cell_where_others_have_cells_within() {
    let names = |text: &str| {
        let mut names = Names::default();
        let rows = Elements::new(text.as_bytes()).filter(|row| !row.is_blank());
        rows.for_each(|row| names.add(text.as_bytes(), &row, &|_| false));
        names.columns().join(" ")
    };
    for blank in ["null", "\"\"", "{}", "[]", "[ ]"] {
        let blank = format!(r#"{{"id":1,"addr":{blank},"b":{blank}}}"#);
        let filled = r#"{"id":2,"addr":{"city":"c"}}"#;
        for text in [format!("{blank}\n{filled}\n"), format!("{filled}\n{blank}\n")] {
            assert_eq!(names(&text).replace(" b", ""), "id addr.city", "{text}");
        }
    }
    assert_eq!(names(r#"{"a":null} {"a":{"b":null}} {"a":{"b":{"c":1}}}"#), "a.b.c");
    assert_eq!(names(r#"{"addr":"c"} {"addr":{"city":"c"}} {"id":3,"addr":null,"b":null}"#), "addr addr.city id b");
    let features = r#"{"type":"Feature","properties":null} {"type":"Feature","properties":{"k":1},"geometry":null}"#;
    assert_eq!(names(features), "k geometry");
    assert_eq!(names(r#"{"type":"Feature","properties":{"properties":"p","k":1}}"#), "properties k");
}

#[test]
fn only_what_is_json_as_a_whole_is_json_without_word_of_it() {
    for text in [
        r#"{"a":1}"#,
        " {} ",
        r#"[{"a":1}]"#,
        "[[1,2],[3,4]]",
        "{\"a\":1}\n{\"a\":2",
        "\n{\n\"a\" : 1\n}\n",
        "[]",
        "[ ]\n",
        "[1,2]",
        "[\"a\"]\n[\"b\"]",
        "\u{1e}{\"a\":1}\n",
        "{\"a\":1},\n{\"a\":2},\n",
        // Some of an array are broken, or its end is missing.
        r#"[{"a":1},{"a":x},{"a":2}]"#,
        r#"[{"a":"\ud800"},{"a":2}, null]"#,
        r#"[{"a":1},{"a":2"#,
        r#"[{"a":1}"#,
        // Most lines are rows.
        "INFO up\n{\"a\":1}\n\n{\"a\":2}\n",
        "{\"a\":1},\nINFO up\n{\"a\":2},\n",
        "[INFO] up\r\n{\"a\":1}\r\n{\"a\":2}\r\n",
        "{\"a\":1}\n\"a\":1}\n{\"a\":2}",
        "[\"a\",\"b\"]\nINFO up\n[\"x\",1]\n",
        "{\n  \"a\": 1\n}\nINFO up\n{\n  \"a\": 2\n}\n",
    ] {
        assert!(is_json(text.as_bytes()), "{text}");
    }
    for text in [
        "",
        "1,2",
        "[1]",
        "[x],[y]",
        "[1",
        "{x},{y}",
        r#"{"a":1},2"#,
        "{\"a\":1}\n1,2",
        "\"{}\"",
        "null",
        "{",
        "[[",
        "{'a':1}",
        "{}{,,",
        "{\"a\":1}{,,",
        "{}\n{,,",
        "[[1,2]],park",
        r#"[{"a":1}],park"#,
        // Half of the lines are rows, or the rows are cells of CSV.
        "INFO up\n{\"a\":1}",
        "k\n[1,2]\n[3,4]\n[5,6]",
        "id,k\n1,{\"a\":1}\n2,{\"a\":2}\n",
        "k,id\n{\"a\":1},1\n{\"a\":2},2\n{\"a\":3},3\n",
        "{\"a\":1},{\"b\":1},1\n{\"a\":2},{\"b\":2},2\n",
        "id,k\n1,\"\n{\"\"a\"\":1}\n{\"\"a\"\":2}\n\"\n",
    ] {
        assert!(!is_json(text.as_bytes()), "{text}");
    }
}

#[test]
fn a_fault_is_named_only_where_json_was_meant() {
    for (text, is_meant) in
        [("{\"a\":1,}", true), ("[{\"a\":}]", true), ("{\n", true), ("{x},y", false), ("[1,2", false)]
    {
        let fault = fault_instead_of_csv(text.as_bytes());
        assert_eq!(fault.map(|fault| fault.reason), is_meant.then_some(Reason::JsonFormat), "{text}");
    }
}

/// Text in which everything that means something is frequent.
fn messy_text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "{",
        "}",
        "}",
        "[",
        "]",
        ",",
        ",",
        ":",
        "\n",
        "\n",
        " ",
        "\"",
        "\"",
        "\"a\":",
        "\"a\":1",
        "1",
        "-",
        "1.5e3",
        "null",
        "tru",
        "가",
        "\\",
        "\\u00",
        "\\ud83d",
        "{\"a\":1}",
        "{\"a\":2}\n",
        "\u{feff}",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_filter("JSON has no other", |number| number.is_finite()).prop_map(Into::into),
        "[ -~가-힣\n\t\u{1}😀]{0,6}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec(("[a-c가]{0,2}", inner), 0..4)
                .prop_map(|members| { serde_json::Value::Object(members.into_iter().collect()) }),
        ]
    })
}

proptest! {
    /// This reader takes and refuses the same texts as serde_json, except NaN and Infinity, which no text here contains.
    #[test]
    fn syntax_is_that_of_serde_json(text in messy_text()) {
        let text = text.trim_start_matches('\u{feff}');
        let at = scan::behind_blanks(text.as_bytes(), 0);
        let whole = value(text.as_bytes(), at).is_ok_and(|extent| scan::behind_blanks(text.as_bytes(), extent.end) == text.len());
        prop_assert_eq!(whole, serde_json::from_str::<serde_json::Value>(text).is_ok());
    }

    #[test]
    fn rows_cover_any_text_in_order(bytes in prop::collection::vec(any::<u8>(), 0..100), text in messy_text()) {
        for text in [&bytes[..], text.as_bytes()] {
            let mut end = 0;
            for row in Elements::new(text) {
                prop_assert!(row.start >= end && (row.end > row.start || row.bytes(text) == b"["));
                end = row.end;
            }
            prop_assert!(end <= text.len());
        }
    }

    #[test]
    fn a_broken_row_holds_no_line_that_reads(text in messy_text()) {
        let bytes = text.as_bytes();
        for broken in Elements::new(bytes).filter(Element::is_broken) {
            let line = text[..broken.start].rfind('\n').map_or(0, |end| end + 1);
            for (end, _) in text[broken.start..broken.end].match_indices('\n') {
                let below = broken.start + end + 1;
                let first = below + bytes[below..].iter().take_while(|byte| **byte == b' ').count();
                let begins = first - below <= broken.start - line && matches!(bytes.get(first), Some(b'{' | b'['));
                let whole = value(bytes, first).ok().filter(|_| begins).map(|row| bytes[row.end..].trim_ascii_start());
                let reads = whole.is_some_and(|behind| matches!(behind.first(), None | Some(b',' | b']')));
                prop_assert!(!reads, "at {}", first);
            }
        }
    }

    /// A text in pieces gives the rows of the whole.
    #[test]
    fn pieces_give_the_rows_of_the_whole(text in messy_text(), cut in any::<prop::sample::Index>()) {
        let text = text.as_bytes();
        let cut = cut.index(text.len() + 1);
        let whole: Vec<_> = Elements::new(text).map(|row| (row.bytes(text).to_vec(), row.is_broken())).collect();
        let mut read = Vec::new();
        let mut first = Elements::resume(&text[..cut], Nesting::default(), true);
        for row in first.by_ref() {
            read.push((row.bytes(&text[..cut]).to_vec(), row.is_broken()));
        }
        let (at, nesting) = first.position();
        let rest = &text[at..];
        read.extend(Elements::resume(rest, nesting, false).map(|row| (row.bytes(rest).to_vec(), row.is_broken())));
        // Indentation is that of the line, of which the beginning may be gone: then a broken row may end elsewhere.
        if whole.iter().all(|(_, is_broken)| !is_broken) {
            prop_assert_eq!(read, whole);
        }
    }

    #[test]
    fn cells_are_those_of_serde_json(value in json_value(), pretty in any::<bool>()) {
        let row = serde_json::json!({ "c": value });
        let text = if pretty { serde_json::to_string_pretty(&row) } else { serde_json::to_string(&row) }.expect("it writes");
        let expected = match &value {
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let read = cells(&["c"], &text);
        let is_blank = Elements::new(text.as_bytes()).all(|row| row.is_blank());
        prop_assert_eq!(read, if is_blank { vec![] } else { vec![expected] });
    }
}
