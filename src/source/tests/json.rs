//! The elements that a source gives for values that are JSON.

use super::*;

const OBJECTS: [&str; 3] = [r#"{"a":1,"b":"x"}"#, r#"{"b":"y","a":2}"#, r#"{"a":3}"#];

#[test]
fn the_first_object_names_the_columns_and_is_a_row() {
    let expected = ["k header a,b", "k 0.0 1|x", "k 1.0 2|y", "k 2.0 3|"];
    assert_eq!(run(config(), OBJECTS.map(row)), expected);
    let batch = OBJECTS.join("\n");
    let lines = ["k header a,b", "k 0.0 1|x", "k 0.1 2|y", "k 0.2 3|"];
    assert_eq!(run(config(), [row(batch)]), lines);
    assert_eq!(run(config(), [row(format!("[{}]", OBJECTS.join(",")))]), lines);
    assert_eq!(
        run(config(), [row(r#"[["a","b"],[1,"x"],[2,"y"],[3,""]]"#)]),
        ["k header a,b", "k 0.1 1|x", "k 0.2 2|y", "k 0.3 3|",]
    );
}

#[test]
fn a_pretty_printed_object_is_one_row_and_has_one_number() {
    let pretty = "{\n  \"a\": 1,\n  \"b\": {\n    \"c\": 2\n  }\n}\n";
    assert_eq!(run(config(), [numbered(1, pretty), numbered(2, pretty)]), ["k header a,b.c", "k 1.0 1|2", "k 2.0 1|2"]);
}

#[test]
fn declared_columns_are_found_by_name_and_other_keys_left_out() {
    let config = SourceConfig { ignores_unknown_keys: true, ..declared(&["b", "a"]) };
    assert_eq!(run(config, [row(r#"{"a":1,"c":{"d":2},"b":3}"#)]), ["k 0.0 3|1"]);
    let strict = declared(&["b", "a"]);
    assert_eq!(
        run(strict, [row(r#"{"a":1,"c":null}"#), row(r#"{"a":1,"c":2}"#)]),
        ["k 0.0 |1", "k 1.0 json.unknown_key in c"]
    );
}

#[test]
fn a_column_that_the_topology_knows_is_one_cell() {
    let config = SourceConfig { needed: Arc::new([vec!["geom".to_owned()]]), ..config() };
    let point = r#"{"geom":{"type":"Point","coordinates":[1, 2]},"p":{"q":3}}"#;
    assert_eq!(run(config, [row(point)]), ["k header geom,p.q", r#"k 0.0 {"type":"Point","coordinates":[1,2]}|3"#]);
}

#[test]
fn csv_and_json_go_into_the_same_columns() {
    assert_eq!(
        run(config(), [row("b,a\n1,2"), row(r#"{"a":3,"b":4}"#), row("5,6")]),
        ["k header b,a", "k 0.1 1|2", "k 1.0 4|3", "k 2.0 5|6"]
    );
}

#[test]
fn broken_json_costs_its_row() {
    let broken = r#"{"a":1,}"#;
    // Before the columns are known, it waits for them.
    assert_eq!(run(config(), [row(broken), row(OBJECTS[0])]), ["k header a,b", "k 0.0 json.format", "k 1.0 1|x"]);
    let lines = run(config(), [row(OBJECTS[0]), row(format!("{broken}\n{}\n{{\"a\":1,\"a\":2}}", OBJECTS[1]))]);
    assert_eq!(lines, ["k header a,b", "k 0.0 1|x", "k 1.0 json.format", "k 1.1 2|y", "k 1.2 json.duplicate_key in a"]);
    // Among rows of CSV the rejection names the format it was meant to be.
    assert_eq!(run(declared(&["a", "b", "c"]), [row(broken)]), ["k 0.0 json.format"]);
    // Where the upload ends with nothing else, nothing can be read; so it is with what Python's str(row) writes.
    for broken in [broken, "{'a': 1, 'b': 2}"] {
        assert_eq!(
            run(config(), [row(broken), row("#EOF")]),
            ["k failed json.format at 0", "k 0.0 json.format", "k eof None"]
        );
    }
    let json = SourceConfig { format: Format::Json, ..declared(&["a", "b"]) };
    assert_eq!(run(json, [row("1,2")]), ["k 0.0 json.format"]);
}

#[test]
fn a_line_of_junk_among_the_rows_of_a_record_costs_itself() {
    for junk in ["2026-01-05 INFO up", "[INFO] up", r#""a":9}"#, r#"{"a":9"#] {
        let [first, second, third] = OBJECTS;
        let junk_first = format!("{junk}\n{first}\n\n{second}\n{third}\n");
        let lines = ["k header a,b", "k 0.0 json.format", "k 0.1 1|x", "k 0.2 2|y", "k 0.3 3|", "k eof None"];
        assert_eq!(run(config(), [row(junk_first), row("#EOF")]), lines, "{junk}");
        let junk_inside = format!("{first},\r\n{second},\r\n{junk}\r\n\r\n{third},\r\n");
        let lines = ["k header a,b", "k 0.0 1|x", "k 0.1 2|y", "k 0.2 json.format", "k 0.3 3|", "k eof None"];
        assert_eq!(run(config(), [row(junk_inside), row("#EOF")]), lines, "{junk}");
    }
}

#[test]
fn an_array_that_is_no_row_of_the_header_is_refused_as_in_csv() {
    let json = SourceConfig { format: Format::Json, ..declared(&["a", "b"]) };
    assert_eq!(
        run(json.clone(), [row("[1]\n[1,2]\n[\"a\",\"b\"]")]),
        ["k 0.0 csv.field_count", "k 0.1 1|2", "k 0.2 csv.repeated_header"]
    );
    assert_eq!(run(SourceConfig { pad_fields: true, ..json }, [row("[1]")]), ["k 0.0 1|"]);
}

#[test]
fn an_array_of_cells_is_a_row() {
    let arrays = [r#"["a", "b"]"#, "[1, 2]", r#"[3, "x, y"]"#, "[4, null]\n[5, 6]"];
    assert_eq!(run(config(), arrays.map(row)), ["k header a,b", "k 1.0 1|2", "k 2.0 3|x, y", "k 3.0 4|", "k 3.1 5|6"]);
    // What could be cells of CSV is that.
    assert_eq!(run(declared(&["a"]), [row("[1]"), row("[]"), row("[x]")]), ["k 0.0 [1]", "k 2.0 [x]"]);
    assert_eq!(run(declared(&["a", "b"]), [row("[x],[y]")]), ["k 0.0 [x]|[y]"]);
}

#[test]
fn a_json_string_is_the_text_in_it() {
    let expected = ["k header a,b", "k 1.0 1|x", "k 2.0 2|y, z"];
    assert_eq!(run(config(), [r#""a,b""#, r#""1,x""#, r#"  "2,\"y, z\"" "#].map(row)), expected);
    let whole = r#""a,b\r\n1,x\r\n2,\"y, z\"\r\n""#;
    assert_eq!(run(config(), [row(whole)]), ["k header a,b", "k 0.1 1|x", "k 0.2 2|y, z"]);
    let twice = r#""[{\"a\": 1, \"b\": \"x\"}]""#;
    assert_eq!(run(config(), [row(twice)]), ["k header a,b", "k 0.0 1|x"]);
    // A quoted field is what it is in CSV, and so is everything where CSV is all there is.
    assert_eq!(run(config(), [row(r#""a""#), row(r#""\u0041""#)]), ["k header a", r"k 1.0 \u0041"]);
    let csv = SourceConfig { format: Format::Csv, ..declared(&["a"]) };
    assert_eq!(run(csv, [row(r#""1,x""#)]), ["k 0.0 1,x"]);
}

#[test]
fn a_document_with_rows_inside_is_these_rows() {
    let needed = SourceConfig { needed: Arc::new([vec!["k".to_owned()]]), ..config() };
    let items = r#"{"total":2,"body":{"items":{"item":[{"k":"a","v":1},{"k":"b","v":2}]}},"more":[{"k":"c"}]}"#;
    assert_eq!(
        run(needed.clone(), [row(items), row(items)]),
        ["k header k,v", "k 0.0 a|1", "k 0.1 b|2", "k 1.0 a|1", "k 1.1 b|2"]
    );
    let features =
        r#"{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"k":"a"},"geometry":null}]}"#;
    assert_eq!(run(needed.clone(), [row(features)]), ["k header k,geometry", "k 0.0 a|"]);
    // A row with rows inside is a row, and so is anything where no column is needed.
    let tagged = r#"{"k":"a","tags":[{"k":1}]}"#;
    assert_eq!(run(needed, [row(tagged)]), ["k header k,tags", r#"k 0.0 a|[{"k":1}]"#]);
    assert_eq!(run(config(), [row(r#"{"n":1,"list":[{"k":"a"}]}"#)]), ["k header n,list", r#"k 0.0 1|[{"k":"a"}]"#]);
}

#[test]
fn a_table_by_columns_fails_its_upload() {
    let needed = SourceConfig { needed: Arc::new([vec!["k".to_owned()]]), ..config() };
    for table in [
        r#"{"k":{"0":"a","1":"b"},"v":{"0":1,"1":2}}"#,
        r#"{"0":{"k":"a","v":1}}"#,
        r#"{"columns":["k","v"],"index":[0],"data":[["a",1]]}"#,
    ] {
        assert_eq!(
            run(needed.clone(), [row(table), row("#EOF")]),
            ["k failed json.format at 0", "k 0.0 json.format", "k eof None"]
        );
        assert_eq!(run(needed.clone(), [row("k,v"), row(table)]), ["k header k,v", "refused json.format"]);
    }
    assert_eq!(run(needed, [row(r#"{"k":"a","0":{"x":1}}"#)]), ["k header k,0.x", "k 0.0 a|1"]);
}

#[test]
fn cells_are_judged_as_those_of_csv() {
    let columns = [("a".to_owned(), ColumnType::Integer)].into();
    let config = SourceConfig { columns, ..declared(&["a", "b"]) };
    assert_eq!(
        run(config, [row(r#"{"a":1.5}"#), row(r#"{"a":1,"b":"\u0001"}"#), row(r#"{"a":1,"b":"\u00e9"}"#)]),
        ["k 0.0 number.format in a", "k 1.0 text.control in b", "k 2.0 1|é"]
    );
}

#[test]
fn a_row_keeps_what_was_published_and_what_it_is_as_csv() {
    let mut source = Source::new(Arc::new(declared(&["a", "b"])), None);
    for (offset, value) in [r#"{"b":"x, y","a":1}"#, r#"{"a":}"#].into_iter().enumerate() {
        let record = Record { offset: Offset(offset as i64), ..numbered(offset as u64 + 1, value) };
        let record = Record { headers: [record.headers, vec![Header::new("ss-format", "json")]].concat(), ..record };
        source.push(record, &mut |_| Admission::Read);
    }
    source.flush();
    let Some(StreamElement::Rows(batch)) = source.pop() else { panic!("rows") };
    let texts = [0, 1].map(|row| (batch.raw.get(row), batch.published(row)));
    assert_eq!(texts, [(&b"1,\"x, y\""[..], &br#"{"b":"x, y","a":1}"#[..]), (&br#"{"a":}"#[..], &br#"{"a":}"#[..])]);
}

#[test]
fn markers_are_json_too() {
    let lines = run(
        config(),
        [
            row(r#"{"$ss":"begin","name":"a.json","attempt":7}"#),
            row(r#"{"$ss":"header","columns":["b","a"]}"#),
            row(OBJECTS[0]),
            row(r#" {"rows":1,"$ss":"eof"} "#),
            row(r#"{"$ss":"abort"}"#),
        ],
    );
    assert_eq!(lines, ["k begin", "k header b,a", "k 2.0 x|1", "k eof Some(1)", "k abort"]);
    for broken in
        [r#"{"$ss":"end"}"#, r#"{"$ss":"eof","rows":"x"}"#, r#"{"$ss":"header","columns":"a"}"#, r#"{"$ss":["eof"]}"#]
    {
        assert_eq!(run(config(), [row(broken)]), ["refused marker.format"], "{broken}");
    }
    let headers_only = SourceConfig { markers: Markers::Headers, ..declared(&["a", "$ss"]) };
    assert_eq!(run(headers_only, [row(r#"{"$ss":"eof"}"#)]), ["k 0.0 |eof"]);
    let by_header = Record { headers: vec![Header::new("ss-type", "header")], ..row(r#"["a", "b,c"]"#) };
    assert_eq!(run(config(), [by_header, row("1,2")]), ["k header a,b,c", "k 1.0 1|2"]);
}

#[test]
fn connect_wraps_lines_and_objects() {
    let line = |text: &str| row(format!(r#"{{"schema":{{"type":"string","optional":false}},"payload":{text}}}"#));
    assert_eq!(
        run(config(), [line(r#""a,b""#), line(r#""1,\"x \"\"y\"\"\"""#), line(r##""#EOF rows=1""##)]),
        ["k header a,b", "k 1.0 1|x \"y\"", "k eof Some(1)"]
    );
    assert_eq!(run(config(), [line(r#"{"a":1,"b":{"c":2}}"#), line("null")]), ["k header a,b.c", "k 0.0 1|2"]);
    // With other keys, or as what a person says is CSV, it is a row.
    assert_eq!(run(config(), [row(r#"{"schema":1,"payload":2}"#)]), ["k header schema,payload", "k 0.0 1|2"]);
    // Without schemas a line of a file is a JSON string, which only JSON is.
    let json = SourceConfig { format: Format::Json, ..config() };
    assert_eq!(run(json, [row(r#""a,b""#), row(r#""1,2""#)]), ["k header a,b", "k 1.0 1|2"]);
}

#[test]
fn files_of_connectors_are_uploads() {
    let of_file = |name: &str, file: &str, value: &'static str| Record {
        headers: vec![Header::new(name, file.as_bytes().to_vec()), Header::new("file.offset", "17")],
        ..row(value)
    };
    let lines = run(
        declared(&["a", "b"]),
        [
            of_file("file.name", "x.csv", "1,2"),
            of_file("connect.file.name", "y.csv", "3,4"),
            of_file("file.path", "/in/z.csv", "5,6"),
        ],
    );
    assert_eq!(lines, ["x.csv 0.0 1|2", "y.csv 1.0 3|4", "/in/z.csv 2.0 5|6"]);
    let key = SourceConfig { upload: UploadFrom::Key, ..declared(&["a", "b"]) };
    assert_eq!(run(key, [of_file("file.name", "x.csv", "1,2")]), ["k 0.0 1|2"]);
}

proptest! {
    /// Rows as CSV, as JSON of every shape, and in Connect's envelope: the same cells, and the same text as CSV.
    #[test]
    fn every_form_of_a_row_is_the_same_row(
        rows in prop::collection::vec(prop::collection::vec("[ -~가-힣\n\t]{0,5}", 3), 1..8),
        form in 0..6,
        cut in prop::sample::select(vec![1_usize, 2, 100]),
    ) {
        // No cell is as long as one of these names: a first row that holds two of them is a header.
        let columns = ["column a", "column b", "column c"];
        let csv = |cells: &[String]| {
            let mut text = Vec::new();
            csv::write_row(cells.iter().map(String::as_bytes), b',', &mut text);
            String::from_utf8(text).expect("text")
        };
        let object = |cells: &[String]| {
            let members: serde_json::Map<_, _> =
                columns.iter().zip(cells).map(|(name, cell)| ((*name).to_owned(), cell.clone().into())).collect();
            serde_json::Value::Object(members)
        };
        let values: Vec<String> = rows.chunks(cut).map(|rows| {
            let objects: Vec<_> = rows.iter().map(|row| object(row)).collect();
            match form {
                0 => rows.iter().map(|row| csv(row) + "\n").collect(),
                1 => objects.iter().map(|object| format!("{object}\n")).collect(),
                2 => objects.iter().map(|object| format!("{object:#}")).collect(),
                3 => serde_json::Value::Array(objects).to_string(),
                4 => serde_json::json!(rows).to_string(),
                _ => {
                    let payload: String = rows.iter().map(|row| csv(row) + "\n").collect();
                    serde_json::json!({ "schema": null, "payload": payload }).to_string()
                }
            }
        }).collect();
        let read = |values: Vec<String>| {
            let mut source = Source::new(Arc::new(declared(&columns)), None);
            for (offset, value) in (0..).zip(values) {
                source.push(Record { offset: Offset(offset), ..row(value) }, &mut |_| Admission::Read);
            }
            source.flush();
            let mut read = Vec::new();
            while let Some(element) = source.pop() {
                let StreamElement::Rows(batch) = element else { panic!("{element:?}") };
                for row in 0..batch.len() {
                    let line = line_of_row(&batch, row);
                    let cells = line.splitn(3, ' ').last().unwrap_or_default().to_owned();
                    read.push((cells, String::from_utf8_lossy(batch.raw.get(row)).into_owned()));
                }
            }
            read
        };
        let plain = read(rows.iter().map(|row| csv(row)).collect());
        prop_assert_eq!(read(values), plain);
    }
}
