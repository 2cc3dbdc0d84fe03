//! Every kind of bad input that a topic can carry, with the fate and the reason code it gets.

#[path = "support/workbook.rs"]
mod workbook;

use sheetstream::record::{Message, Record, Rejection};
use sheetstream::test_driver::{TopologyTestDriver, header};
use sheetstream::topology::Topology;

const COLUMNS: &str = r#"header = ["id", "name", "kind", "x", "y"]"#;

fn topology(source: &str) -> Topology {
    Topology::parse(&topology_text(source), "t.toml", &|_| None).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Its last table is the sink.
fn topology_text(source: &str) -> String {
    format!(
        r#"
name = "t"
[[source]]
name = "rows"
{source}
[[map]]
name = "wgs84"
reproject = {{ from = "EPSG:5179", to = "EPSG:4326", x = "x", y = "y", into = ["lon", "lat"] }}
[[aggregate]]
name = "by-kind"
sheet = "kind"
[[sink]]
name = "workbooks"
"#
    )
}

fn driver(source: &str) -> TopologyTestDriver {
    TopologyTestDriver::new(topology(source))
}

/// Reason codes of the dead letters, in order.
fn reasons(driver: &TopologyTestDriver) -> Vec<String> {
    driver.dead_letters().iter().map(|letter| header(letter, "ss-reason").unwrap_or_default()).collect()
}

/// (status, reason code) of every status record of an upload.
fn statuses(driver: &TopologyTestDriver, upload: &str) -> Vec<String> {
    let of = driver.statuses().into_iter().filter(|status| status.upload == upload);
    of.map(|status| match status.failure {
        Some(failure) => format!("{:?} {}", status.state, failure.reason),
        None => format!("{:?}", status.state),
    })
    .collect()
}

const GOOD: &str = "1,Blue House,museum,953900,1952030";

/// The sheet of errors in a Korean workbook says what the English message says: its fixed part translated, its values as they are.
#[test]
fn reasons_are_given_in_korean() {
    for (reason, row) in bad_rows() {
        let text = topology_text(COLUMNS) + "workbook = { lang = \"ko\" }";
        let mut driver =
            TopologyTestDriver::new(Topology::parse(&text, "t.toml", &|_| None).unwrap_or_else(|p| panic!("{p}")));
        driver.pipe("a.csv", GOOD);
        driver.pipe("a.csv", row);
        driver.pipe("a.csv", "#EOF");
        let english = header(&driver.dead_letters()[0], "__streams.errors.message").expect("a message");
        let sheets = workbook::sheets(&driver.workbook("a.csv").expect("a workbook"));
        let error = &sheets["오류"][1];
        let korean = &error[1];
        assert_eq!(error[3], reason);
        assert!(korean.chars().any(|c| ('가'..='힣').contains(&c)) && !korean.contains(&english), "{korean}");
        let numbers = |text: &str| {
            let found = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).map(str::to_owned);
            found.collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(numbers(korean), numbers(&english), "{english}");
    }
}

/// One row between two good ones: its fate, and the two good rows in the workbook whatever it is.
fn row_fate(source: &str, row: impl Into<Vec<u8>>) -> (Vec<String>, usize) {
    let mut driver = driver(source);
    driver.pipe("a.csv", GOOD);
    driver.pipe("a.csv", row.into());
    driver.pipe("a.csv", "3,Red House,museum,953901,1952031");
    driver.pipe("a.csv", "#EOF");
    let sheets = workbook::sheets(&driver.workbook("a.csv").expect("a bad row never costs the workbook"));
    let rows = sheets
        .iter()
        .filter(|(name, _)| !["About", "Errors"].contains(&name.as_str()))
        .map(|(_, rows)| rows.len() - 1)
        .sum();
    let status = driver.statuses().pop().expect("a status");
    let sum = status.accounting;
    assert!(sum.balances(), "{sum:?}");
    assert_eq!(sum.written as usize, rows, "the status agrees with the workbook");
    assert!(sheets["museum"].iter().any(|row| row[1] == "Blue House"));
    assert!(sheets["museum"].iter().any(|row| row[1] == "Red House"));
    (reasons(&driver), rows)
}

/// Rows that are rejected, each with its reason.
fn bad_rows() -> Vec<(&'static str, Vec<u8>)> {
    let long = format!("2,{},museum,953900,1952030", "x".repeat(32_768));
    let huge = format!("2,{},museum,953900,1952030", "x".repeat(1 << 20));
    let cases: &[(&str, &[u8])] = &[
        ("csv.unclosed_quote", b"2,\"Green House,museum,953900,1952030"),
        ("csv.bad_quote", b"2,\"Green\" House,museum,953900,1952030"),
        ("csv.bad_quote", b"2,Green \"House,museum,953900,1952030"),
        ("csv.field_count", b"2,Green House,museum,953900"),
        ("csv.field_count", b"2,Green House,museum,953900,1952030,more"),
        ("csv.repeated_header", b"id,name,kind,x,y"),
        ("text.control", b"2,Green\x00House,museum,953900,1952030"),
        ("text.control", b"2,Green\x1bHouse,museum,953900,1952030"),
        ("text.control", "2,Green\u{fffe}House,museum,953900,1952030".as_bytes()),
        ("text.encoding", b"2,\xb6\xca\xb9\xe6\xb0\xa2\xc7\xcf,museum,953900,1952030"),
        ("text.encoding", b"2,Green \xed\xa0\x80 House,museum,953900,1952030"),
        ("cell.too_long", long.as_bytes()),
        ("row.too_big", huge.as_bytes()),
        ("number.format", b"2,Green House,museum,\"953,900\",1952030"),
        ("number.format", b"2,Green House,museum,\"37,5665\",1952030"),
        ("number.format", b"2,Green House,museum,0x1F,1952030"),
        ("number.format", "2,Green House,museum,１２７,1952030".as_bytes()),
        ("number.format", "2,Green House,museum,127°30'10,1952030".as_bytes()),
        ("number.format", b"2,Green House,museum,12 6.9,1952030"),
        ("number.format", b"2,Green House,museum,abc,1952030"),
        ("number.not_finite", b"2,Green House,museum,NaN,1952030"),
        ("number.not_finite", b"2,Green House,museum,inf,1952030"),
        ("coord.missing", b"2,Green House,museum,,1952030"),
        ("coord.range", b"2,Green House,museum,0,0"),
        ("coord.range", b"2,Green House,museum,1952030,953900"),
        ("coord.range", b"2,Green House,museum,127.1,37.5"),
        ("coord.range", b"2,Green House,museum,9e99,1952030"),
    ];
    cases.iter().map(|(reason, row)| (*reason, row.to_vec())).collect()
}

#[test]
fn a_bad_row_is_rejected_with_its_reason_and_nothing_else_is_lost() {
    for (reason, row) in bad_rows() {
        let (reasons, rows) = row_fate(COLUMNS, row.clone());
        let shown = String::from_utf8_lossy(&row[..row.len().min(60)]);
        assert_eq!((reasons, rows), (vec![reason.to_string()], 2), "{shown}");
    }
}

#[test]
fn an_odd_row_is_taken_as_it_is() {
    let cases: &[&[u8]] = &[
        b"2,\"Green, House\",museum,953900,1952030",
        b"2,\"Green \"\"House\"\"\",museum,953900,1952030",
        b"2,\"Green\nHouse\",museum,953900,1952030",
        b"2,\"\",museum,953900,1952030",
        b"2,Green House,museum,953900,1952030\r\n",
        b"2,Green House,museum,953900,1952030\n",
        b"2, Green House ,museum, 953900 ,1952030",
        b"2,Green House,museum,9.539e5,1952030",
        b"\xef\xbb\xbf2,Green House,museum,953900,1952030",
        "2,\u{202e}Green\u{200b}House,museum,953900,1952030".as_bytes(),
        b"2,=cmd|' /C calc'!A0,museum,953900,1952030",
        b"2,_x0041_,museum,953900,1952030",
        b"2,<![CDATA[ & ]]>,museum,953900,1952030",
    ];
    for row in cases {
        let (reasons, rows) = row_fate(COLUMNS, *row);
        assert_eq!((reasons, rows), (vec![], 3), "{}", String::from_utf8_lossy(row));
    }
}

#[test]
fn a_blank_is_no_row() {
    for blank in ["", "\n", "\r\n", ",,,,"] {
        let (reasons, rows) = row_fate(COLUMNS, blank);
        assert_eq!((reasons, rows), (vec![], 2), "{blank:?}");
    }
}

#[test]
fn options_make_bad_rows_good() {
    let cases: &[(&str, &[u8])] = &[
        ("quotes = \"lenient\"", b"2,Green \"House,museum,953900,1952030"),
        ("field_count = \"pad\"", b"2,Green House,museum,953900,1952030,"),
        ("control = \"strip\"", b"2,Green\x00House,museum,953900,1952030"),
    ];
    for (option, row) in cases {
        let (reasons, rows) = row_fate(&format!("{COLUMNS}\n{option}"), *row);
        assert_eq!((reasons, rows), (vec![], 3), "{option}");
    }
    let long = format!("2,{},museum,953900,1952030", "x".repeat(40_000));
    let (reasons, rows) = row_fate(&format!("{COLUMNS}\nlong_cells = \"truncate\""), long);
    assert_eq!((reasons, rows), (vec![], 3));
}

#[test]
fn strict_columns_reject_what_does_not_parse() {
    let cases = [
        ("number", "1e3x", "number.format"),
        ("integer", "1.5", "number.format"),
        ("date", "2024-02-30", "date.format"),
        ("datetime", "2024-02-03 25:00", "date.format"),
        ("boolean", "maybe", "boolean.format"),
    ];
    for (kind, value, reason) in cases {
        let source = format!("{COLUMNS}\ncolumns = {{ name = \"{kind}\" }}");
        let mut driver = driver(&source);
        driver.pipe("a.csv", format!("1,{value},museum,953900,1952030"));
        driver.pipe("a.csv", "#EOF");
        let letter = driver.dead_letters().pop().expect("a dead letter");
        assert_eq!(header(&letter, "ss-reason").as_deref(), Some(reason), "{kind} {value}");
        assert_eq!(header(&letter, "ss-column").as_deref(), Some("name"));
    }
}

#[test]
fn dead_letters_say_where_the_row_was_and_carry_it_whole() {
    let mut driver = driver(COLUMNS);
    driver.pipe("a.csv", GOOD);
    driver.pipe("a.csv", "2,Green House,museum,abc,1952030");
    let letter = driver.dead_letters().pop().expect("a dead letter");
    assert_eq!(&letter.value[..], b"2,Green House,museum,abc,1952030");
    assert_eq!(letter.key.as_deref(), Some(&b"a.csv"[..]));
    let expected = [
        ("__streams.errors.topic", "t.rows"),
        ("__streams.errors.partition", "0"),
        ("__streams.errors.offset", "1"),
        ("ss-reason", "number.format"),
        ("ss-upload", "a.csv"),
        ("ss-row", "2"),
        ("ss-column", "x"),
    ];
    for (name, value) in expected {
        assert_eq!(header(&letter, name).as_deref(), Some(value), "{name}");
    }
    assert!(header(&letter, "__streams.errors.message").is_some_and(|text| text.contains("abc")));
}

/// (what, source settings, records as (key, value), final statuses of a.csv)
type Life = (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

#[test]
fn the_life_of_an_upload_ends_as_the_contract_says() {
    const ROW: (&str, &str) = ("a.csv", GOOD);
    const ROW2: (&str, &str) = ("a.csv", "2,Red House,museum,953901,1952031");
    const EOF: (&str, &str) = ("a.csv", "#EOF");
    let cases: &[Life] = &[
        ("rows and an end", COLUMNS, &[ROW, ROW2, EOF], &["Published"]),
        ("a count that is met", COLUMNS, &[ROW, ROW2, ("a.csv", "#EOF rows=2")], &["Published"]),
        (
            "the end before the rows",
            COLUMNS,
            &[ROW, ("a.csv", "#EOF rows=2"), ROW2],
            &["Incomplete upload.incomplete", "Published"],
        ),
        ("no rows at all", COLUMNS, &[("a.csv", "#EOF rows=0")], &["Published"]),
        ("a second end", COLUMNS, &[ROW, EOF, EOF], &["Published"]),
        ("rows after the end", COLUMNS, &[ROW, EOF, ROW2, EOF], &["Published", "Published"]),
        ("too few rows, held", COLUMNS, &[ROW, ("a.csv", "#EOF rows=2")], &["Incomplete upload.incomplete"]),
        (
            "too few rows, emitted",
            "header = [\"id\", \"name\", \"kind\", \"x\", \"y\"]\nincomplete = \"emit\"",
            &[ROW, ("a.csv", "#EOF rows=2")],
            &["Incomplete upload.incomplete", "Published upload.incomplete"],
        ),
        (
            "too few rows, failed",
            "header = [\"id\", \"name\", \"kind\", \"x\", \"y\"]\nincomplete = \"fail\"",
            &[ROW, ("a.csv", "#EOF rows=2")],
            &["Incomplete upload.incomplete", "Failed upload.incomplete"],
        ),
        (
            "another checksum",
            "header = [\"id\", \"name\", \"kind\", \"x\", \"y\"]\nincomplete = \"fail\"",
            &[ROW, ("a.csv", "#EOF rows=1 sha256=0000000000000000000000000000000000000000000000000000000000000000")],
            &["Incomplete upload.incomplete", "Failed upload.incomplete"],
        ),
        ("given up", COLUMNS, &[ROW, ("a.csv", "#ABORT")], &["Aborted upload.aborted"]),
        ("no header", "header = \"first\"", &[("a.csv", "#EOF")], &[]),
        ("a header only", "header = \"first\"", &[("a.csv", "id,name,kind,x,y"), EOF], &["Published"]),
        ("a header and a row", "header = \"first\"", &[("a.csv", "id,name,kind,x,y"), ROW, EOF], &["Published"]),
        (
            "a bad row fails it",
            "header = [\"id\", \"name\", \"kind\", \"x\", \"y\"]\non_error = \"fail\"",
            &[ROW, ("a.csv", "2,short"), EOF],
            &["Failed csv.field_count", "Failed csv.field_count"], // at once, and for the ledger when it ends
        ),
    ];
    for (what, source, records, expected) in cases {
        let mut driver = driver(source);
        for (key, value) in *records {
            driver.pipe(key, *value);
        }
        assert_eq!(statuses(&driver, "a.csv"), *expected, "{what}");
        for status in driver.statuses() {
            assert!(status.accounting.balances(), "{what}: {:?}", status.accounting);
        }
    }
}

#[test]
fn an_unknown_end_goes_to_the_dead_letters_with_a_hint() {
    let mut driver = driver(COLUMNS);
    driver.pipe("b.csv", "#EOF");
    driver.advance_wall_clock_time(std::time::Duration::from_secs(2));
    assert_eq!(reasons(&driver), ["eof.unknown"]);
    let letter = driver.dead_letters().pop().expect("a dead letter");
    assert!(header(&letter, "__streams.errors.message").is_some_and(|text| text.contains("partition")));
}

#[test]
fn a_quoted_marker_is_data() {
    let mut driver = driver("header = [\"note\", \"kind\", \"x\", \"y\"]");
    driver.pipe("a.csv", "\"#EOF\",museum,953900,1952030");
    driver.pipe("a.csv", "#EOF rows=1");
    let sheets = workbook::sheets(&driver.workbook("a.csv").expect("a workbook"));
    assert_eq!(sheets["museum"][1][0], "#EOF");
    // json.dumps("#EOF") is no end either, and its dead letter says so.
    driver.pipe("b.csv", GOOD);
    driver.pipe("b.csv", "\"#EOF\"");
    let message = header(driver.dead_letters().last().expect("a dead letter"), "__streams.errors.message");
    assert!(message.is_some_and(|message| message.contains("a marker in quotes is data")));
}

#[test]
fn odd_records_harm_nobody() {
    use bytes::Bytes;
    use sheetstream::record::Header;
    let text = |s: &str| Some(Bytes::copy_from_slice(s.as_bytes()));
    let mut driver = driver(COLUMNS);
    driver.pipe("a.csv", GOOD);
    // a tombstone for somebody who has nothing open
    driver.pipe_record(Record { key: text("nobody.csv"), value: None, ..Record::default() });
    // unknown, repeated and null headers
    let headers = vec![
        Header { name: "unknown".into(), value: text("x") },
        Header { name: "unknown".into(), value: text("y") },
        Header { name: "null".into(), value: None },
    ];
    driver.pipe_record(Record {
        key: text("a.csv"),
        value: text("2,Red House,museum,953901,1952031"),
        headers,
        ..Record::default()
    });
    // times that cannot be
    for timestamp_ms in [-1, 0, i64::MAX, i64::MIN] {
        let value = text("3,Old House,museum,953901,1952031");
        driver.pipe_record(Record { key: text("a.csv"), value, timestamp_ms, ..Record::default() });
    }
    // a key that is no text, and a value that is none
    driver.pipe_record(Record { key: Some(Bytes::from_static(b"\xff\xfe")), value: text(GOOD), ..Record::default() });
    driver.pipe_record(Record {
        key: text("a.csv"),
        value: Some(Bytes::from_static(b"\0\0\0\0\x01avro")),
        ..Record::default()
    });
    // a record that no client can decode
    driver.append_poisoned(Rejection::new(Message::RecordMalformed { why: "truncated varint".to_owned() }));
    driver.pipe("a.csv", "#EOF rows=6");
    assert_eq!(reasons(&driver), ["record.no_id", "record.not_text", "record.malformed"]);
    assert_eq!(statuses(&driver, "a.csv"), ["Published"]);
    assert_eq!(workbook::sheets(&driver.workbook("a.csv").expect("a workbook"))["museum"].len(), 7);
}

/// Numbers of strangers reach to the last one that there is.
#[test]
fn numbers_at_their_limits_harm_nobody() {
    use bytes::Bytes;
    use sheetstream::record::Header;
    let most = [u64::MAX, u64::MAX - 1, i64::MAX as u64 + 1, i64::MAX as u64, 1 << 53];
    for incomplete in ["hold", "emit", "fail"] {
        for row in most {
            let mut driver = driver(&format!("{COLUMNS}\nincomplete = \"{incomplete}\""));
            let mut rows = |upload: &str, row: u64| {
                driver.pipe_record(Record {
                    key: Some(Bytes::copy_from_slice(upload.as_bytes())),
                    value: Some([GOOD, GOOD, GOOD].join("\n").into()),
                    headers: vec![Header::new("ss-type", "row"), Header::new("ss-row", row.to_string())],
                    ..Record::default()
                });
            };
            ["far", "both", "count"].iter().for_each(|upload| rows(upload, row));
            rows("both", 1);
            for rows in most {
                driver.pipe("count", format!("#EOF rows={rows}"));
                driver.pipe("none", format!("#BEGIN rows={rows}"));
                driver.pipe("none", format!("#EOF rows={rows} partitions={rows}"));
            }
            ["far", "both"].iter().for_each(|upload| driver.pipe(upload, "#EOF"));
            driver.pipe("good", GOOD);
            driver.crash(row % 2 == 0);
            driver.pipe("good", "#EOF");
            assert_eq!(statuses(&driver, "good"), ["Published"], "{incomplete} {row}");
        }
    }
}

#[test]
fn ids_are_data_and_never_paths() {
    let long = "가".repeat(3000);
    for id in ["../../x", "CON", "a/b", "\u{1f5fa}", "각", long.as_str(), " "] {
        let mut driver = driver(COLUMNS);
        driver.pipe(id, GOOD);
        driver.pipe(id, "#EOF");
        assert_eq!(statuses(&driver, id), ["Published"], "{id}");
    }
}

#[test]
fn silence_stalls_and_then_expires_an_upload() {
    use std::time::Duration;
    let mut driver = driver(&format!("{COLUMNS}\nidle_timeout = \"100s\""));
    driver.pipe("a.csv", GOOD);
    driver.advance_wall_clock_time(Duration::from_secs(9));
    assert_eq!(statuses(&driver, "a.csv"), [""; 0]);
    driver.advance_wall_clock_time(Duration::from_secs(2));
    assert_eq!(statuses(&driver, "a.csv"), ["Stalled"]);
    driver.advance_wall_clock_time(Duration::from_secs(100));
    assert_eq!(statuses(&driver, "a.csv"), ["Stalled", "Expired upload.expired"]);
}

/// Their header is one of another attempt.
#[test]
fn rows_that_wait_for_their_header_end_with_their_upload() {
    use std::time::Duration;
    let mut driver = driver("idle_timeout = \"100s\"");
    driver.pipe_with("a.csv", GOOD, &[("ss-row", "1"), ("ss-attempt", "one")]);
    driver.pipe_with("a.csv", "id,name,kind,x,y", &[("ss-type", "header"), ("ss-attempt", "two")]);
    for _ in 0..3 {
        driver.advance_wall_clock_time(Duration::from_secs(101));
    }
    assert_eq!(statuses(&driver, "a.csv"), ["Failed csv.no_header", "Expired csv.no_header"]);
    assert_eq!(driver.statuses()[1].accounting.voided, 1);
}

#[test]
fn a_tombstone_aborts_the_open_upload_of_its_key() {
    let mut driver = driver(COLUMNS);
    driver.pipe("a.csv", GOOD);
    driver.pipe_record(Record { key: Some("a.csv".into()), value: None, ..Record::default() });
    assert_eq!(statuses(&driver, "a.csv"), ["Aborted upload.aborted"]);
}

#[test]
fn two_publishers_under_one_id_fail_it() {
    let mut driver = driver(COLUMNS);
    driver.pipe_with("a.csv", "", &[("ss-type", "begin"), ("ss-attempt", "one")]);
    driver.pipe_with("a.csv", GOOD, &[("ss-row", "1"), ("ss-attempt", "one")]);
    driver.pipe_with("a.csv", GOOD, &[("ss-row", "1"), ("ss-attempt", "two")]);
    assert_eq!(statuses(&driver, "a.csv"), ["Failed upload.conflict"]);
}

#[test]
fn a_new_attempt_voids_the_rows_of_the_old_one() {
    let mut driver = driver(COLUMNS);
    for attempt in ["one", "two"] {
        driver.pipe_with("a.csv", "", &[("ss-type", "begin"), ("ss-attempt", attempt)]);
        driver.pipe_with("a.csv", GOOD, &[("ss-row", "1"), ("ss-attempt", attempt)]);
    }
    driver.pipe_with("a.csv", "", &[("ss-type", "eof"), ("ss-rows", "1"), ("ss-attempt", "two")]);
    let status = driver.statuses().pop().expect("a status");
    assert_eq!((status.accounting.written, status.accounting.voided), (1, 1));
}

#[test]
fn an_upload_on_its_way_is_reported_once_a_second_and_never_after_its_end() {
    use std::time::Duration;
    let mut driver = driver(COLUMNS);
    driver.pipe("a.csv", "#BEGIN name=places.csv rows=3");
    driver.pipe("a.csv", GOOD);
    driver.pipe("a.csv", "2,Red House,museum,953901,1952031");
    let receiving = |driver: &TopologyTestDriver| {
        let records = driver.receiving().into_iter().map(|status| (status.accounting.rows_in, status.rows_announced));
        records.collect::<Vec<_>>()
    };
    assert_eq!(receiving(&driver), [(1, Some(3))]);
    driver.advance_wall_clock_time(Duration::from_millis(900));
    assert_eq!(receiving(&driver).len(), 1);
    driver.advance_wall_clock_time(Duration::from_millis(100));
    driver.advance_wall_clock_time(Duration::from_secs(5));
    assert_eq!(receiving(&driver), [(1, Some(3)), (2, Some(3))], "again only when more has come");
    let last = driver.receiving().pop().expect("a status");
    assert_eq!((last.name.as_deref(), last.accounting.written), (Some("places.csv"), 2));
    driver.pipe("a.csv", "3,White House,museum,953901,1952031");
    driver.pipe("a.csv", "#EOF rows=4");
    driver.advance_wall_clock_time(Duration::from_secs(5));
    assert_eq!(statuses(&driver, "a.csv"), ["Incomplete upload.incomplete"]);
    assert_eq!(receiving(&driver).len(), 3, "the other status has reported it already");
    driver.pipe("a.csv", "4,Black House,museum,953901,1952031");
    driver.advance_wall_clock_time(Duration::from_secs(5));
    assert_eq!(receiving(&driver).len(), 3);
    let end = driver.statuses().pop().expect("an end");
    assert_eq!((end.name.as_deref(), end.rows_announced), (Some("places.csv"), Some(4)));
}

#[test]
fn an_incomplete_upload_stays_so_in_all_that_is_said_of_it() {
    use std::time::Duration;
    let mut driver = driver(&format!("{COLUMNS}\nidle_timeout = \"100s\""));
    let said_of_a = |driver: &TopologyTestDriver| {
        let said = driver.receiving().into_iter().filter(|status| status.upload == "a.csv");
        said.count()
    };
    for end in ["#EOF rows=2", "#EOF rows=1 sha256=0000000000000000000000000000000000000000000000000000000000000000"] {
        driver.pipe("a.csv", "#BEGIN");
        driver.pipe("a.csv", GOOD);
        driver.pipe("a.csv", end);
        let said = said_of_a(&driver);
        for keep_state in [true, false] {
            driver.advance_wall_clock_time(Duration::from_secs(5));
            driver.pipe("b.csv", "#EOF rows=3");
            driver.advance_wall_clock_time(Duration::from_secs(5));
            driver.crash(keep_state);
        }
        driver.run(1).expect("the driver's own world");
        driver.advance_wall_clock_time(Duration::from_secs(1));
        assert_eq!(said_of_a(&driver), said, "{end}");
    }
    driver.advance_wall_clock_time(Duration::from_secs(11));
    driver.advance_wall_clock_time(Duration::from_secs(100));
    let states = ["Incomplete upload.incomplete", "Incomplete upload.incomplete", "Expired upload.expired"];
    assert_eq!(statuses(&driver, "a.csv"), states);
    let end = driver.statuses().into_iter().rfind(|status| status.upload == "a.csv").expect("an end");
    assert!(end.failure.is_some_and(|failure| failure.message.starts_with("its end came")));
}

#[test]
fn a_count_that_the_begin_announces_is_checked() {
    let mut driver = driver(COLUMNS);
    driver.pipe("a.csv", "#BEGIN rows=2");
    driver.pipe("a.csv", GOOD);
    driver.pipe("a.csv", "#EOF");
    driver.pipe("b.csv", "#EOF rows=1");
    driver.pipe("b.csv", "#EOF");
    for upload in ["a.csv", "b.csv"] {
        assert!(statuses(&driver, upload).iter().all(|state| state == "Incomplete upload.incomplete"), "{upload}");
        driver.pipe(upload, "2,Red House,museum,953901,1952031");
        assert_eq!(statuses(&driver, upload).pop().as_deref(), Some("Published"), "{upload}");
    }
}

#[test]
fn rows_without_a_header_line_are_told_from_a_wrong_header() {
    for (first, is_data) in [
        ("1,Blue House,museum,953900,1952030", true),
        ("id,name,class,east,north", false),
        ("place,2024,2025,2026", false),
    ] {
        let mut driver = driver("");
        driver.pipe("a.csv", first);
        driver.pipe("a.csv", GOOD);
        driver.pipe("a.csv", "#EOF");
        let failure = driver.statuses().pop().and_then(|status| status.failure).expect("it fails");
        assert_eq!(failure.reason, "column.missing");
        assert_eq!(failure.message.contains("the first row seems to be data"), is_data, "{}", failure.message);
    }
}

#[test]
fn rows_whose_header_never_comes_do_not_pin_the_replay_offset() {
    use std::time::Duration;
    let mut driver = driver("header = \"first\"\nidle_timeout = \"100s\"");
    driver.pipe_with("a.csv", GOOD, &[("ss-row", "1")]);
    let pinned = driver.task().expect("it runs").progress().replay_from;
    assert_eq!(pinned.0, 0);
    driver.advance_wall_clock_time(Duration::from_secs(60));
    driver.pipe_with("a.csv", GOOD, &[("ss-row", "2")]);
    driver.advance_wall_clock_time(Duration::from_secs(1)); // notices the row
    driver.advance_wall_clock_time(Duration::from_secs(99));
    assert_eq!(statuses(&driver, "a.csv"), [""; 0], "something came meanwhile");
    driver.advance_wall_clock_time(Duration::from_secs(1));
    assert_eq!(statuses(&driver, "a.csv"), ["Failed csv.no_header", "Expired csv.no_header"]);
    let progress = driver.task().expect("it runs").progress();
    assert_eq!(progress.replay_from, progress.next);
    let end = driver.statuses().pop().expect("an end").accounting;
    assert_eq!((end.rows_in, end.voided, end.balances()), (2, 2, true));

    driver.crash(false);
    driver.pipe("b.csv", "id,name,kind,x,y");
    driver.pipe("b.csv", GOOD);
    driver.pipe("b.csv", "#EOF");
    driver.expire_offset();
    driver.crash(false);
    driver.advance_wall_clock_time(Duration::from_secs(1));
    let progress = driver.task().expect("it runs").progress();
    assert_eq!(progress.replay_from, progress.next, "a replay obeys the ledger");
    assert_eq!(statuses(&driver, "a.csv").len(), 2);
    driver.pipe("a.csv", "#BEGIN");
    driver.pipe("a.csv", "id,name,kind,x,y");
    driver.pipe("a.csv", GOOD);
    driver.pipe("a.csv", "#EOF");
    assert_eq!(statuses(&driver, "a.csv").pop().as_deref(), Some("Published"));
}

#[test]
fn an_id_of_10_kb_works_and_one_of_20_kb_is_refused() {
    for (length, statuses_of, refused) in
        [(10_000, vec!["Published"], vec![]), (20_000, vec![], vec!["record.no_id"; 2])]
    {
        let id = "각".repeat(length / 3);
        let mut driver = driver(COLUMNS);
        driver.pipe(&id, GOOD);
        driver.crash(true);
        driver.pipe(&id, "#EOF");
        assert_eq!(statuses(&driver, &id), statuses_of);
        assert_eq!(reasons(&driver), refused);
    }
}

/// The final statuses and the dead letters of an upload under a topology that is changed in one place.
fn fate(
    (place, instead): (&str, &str),
    source: &str,
    records: &[(&[(&str, &str)], String)],
) -> (Vec<String>, Vec<String>, TopologyTestDriver) {
    let text = topology_text(source);
    assert!(text.contains(place), "{text}");
    let topology = Topology::parse(&text.replace(place, instead), "t.toml", &|_| None);
    let mut driver = TopologyTestDriver::new(topology.unwrap_or_else(|problems| panic!("{problems}")));
    for (headers, value) in records {
        driver.pipe_with("a.csv", value.clone(), headers);
    }
    for status in driver.statuses() {
        assert!(status.accounting.balances(), "{status:?}");
    }
    (statuses(&driver, "a.csv"), reasons(&driver), driver)
}

#[test]
fn an_upload_that_cannot_become_a_workbook_fails_with_its_reason() {
    const AS_IT_IS: (&str, &str) = ("name = \"t\"", "name = \"t\"");
    const FIRST: &str = "header = \"first\"";
    let plain = |values: &[&str]| values.iter().map(|value| (&[][..], (*value).to_owned())).collect::<Vec<_>>();
    let wide = format!("#HEADER {}", (0..16_385).map(|n| format!("c{n}")).collect::<Vec<_>>().join(","));
    let semicolons = ["id;name;kind;x;y", "1;Blue House;museum;1;2", "2;Red House;museum;1;2", "#EOF"];
    type Attempts<'a> = &'a [(&'a str, &'a str)];
    let attempt = |name: &'static str| -> Attempts<'static> {
        match name {
            "one" => &[("ss-attempt", "one")],
            _ => &[("ss-attempt", "two")],
        }
    };
    let cases = [
        ("csv.delimiter", AS_IT_IS, FIRST, plain(&semicolons)),
        ("header.conflict", AS_IT_IS, FIRST, plain(&["#HEADER id,name,kind,x,y", "#HEADER id,name,kind", "#EOF"])),
        ("column.missing", AS_IT_IS, FIRST, plain(&["id,name,x,y", "1,Blue House,953900,1952030", "#EOF"])),
        ("sheet.too_many_columns", AS_IT_IS, FIRST, plain(&[&wide, "#EOF"])),
        (
            "sheet.too_many",
            ("sheet = \"kind\"", "sheet = \"kind\"\nsheets_max = 1"),
            COLUMNS,
            plain(&[GOOD, "2,Red House,park,953900,1952030", "#EOF"]),
        ),
        (
            "upload.conflict",
            AS_IT_IS,
            COLUMNS,
            vec![(attempt("one"), GOOD.to_owned()), (attempt("two"), GOOD.to_owned()), (&[][..], "#EOF".to_owned())],
        ),
    ];
    for (reason, change, source, records) in cases {
        let (statuses, _, driver) = fate(change, source, &records);
        assert_eq!(statuses, vec![format!("Failed {reason}"); 2], "at once, and for the ledger");
        assert!(driver.workbook("a.csv").is_none());
        let message = driver.statuses().pop().and_then(|status| status.failure).expect("a reason").message;
        assert!(message.contains([':', ';', '?']), "it says what to do: {message}");
    }
}

#[test]
fn rows_and_markers_out_of_place_have_the_fate_of_the_contract() {
    const SAME: (&str, &str) = ("name = \"t\"", "name = \"t\"");
    let numbered = |row: &'static str| -> &'static [(&'static str, &'static str)] {
        match row {
            "1" => &[("ss-row", "1")],
            "2" => &[("ss-row", "2")],
            _ => &[("ss-row", "3")],
        }
    };
    let row = |number: &'static str| (numbered(number), GOOD.to_owned());
    let marker = |text: &str| (&[][..], text.to_owned());

    let (ends, letters, driver) = fate(SAME, COLUMNS, &[row("1"), row("2"), row("1"), marker("#EOF rows=2")]);
    assert_eq!((ends, letters.len()), (vec!["Published".to_owned()], 0));
    assert_eq!(driver.statuses()[0].accounting.duplicate, 1, "row.duplicate is counted");

    let (ends, letters, _) = fate(SAME, COLUMNS, &[row("1"), marker("#EOF rows=1"), row("2")]);
    assert_eq!((ends, letters), (vec!["Published".to_owned()], vec!["row.late".to_owned()]));

    let (ends, _, driver) = fate(SAME, COLUMNS, &[row("1"), row("3"), marker("#EOF")]);
    assert_eq!(ends, ["Incomplete row.gap"]);
    let message = driver.statuses().pop().and_then(|status| status.failure).expect("a reason").message;
    assert!(message.contains("missing: 2"), "{message}");

    let (ends, letters, _) = fate(SAME, COLUMNS, &[row("1"), marker("#EOF rows=one"), marker("#EOF rows=1")]);
    assert_eq!((ends, letters), (vec!["Published".to_owned()], vec!["marker.format".to_owned()]));

    let (ends, letters, _) = fate(
        ("x = \"x\"", "x = [\"east\", \"동쪽\"]"),
        "header = \"first\"",
        &[marker("id,name,kind,x,y"), marker(GOOD), marker("#EOF")],
    );
    assert_eq!((ends, letters), (vec!["Failed column.missing".to_owned(); 2], vec![]), "once, and not for each row");

    let geometry = ("x = \"x\", y = \"y\"", "geometry = \"name\"");
    let (ends, letters, driver) = fate(
        geometry,
        COLUMNS,
        &[
            marker("1,POINT(953900 1952030),museum,,"),
            marker("2,nonsense,museum,,"),
            marker("3,\"LINESTRING(1 2,3 4)\",museum,,"),
            marker("#EOF"),
        ],
    );
    assert_eq!((ends, letters), (vec!["Published".to_owned()], vec!["geometry.format".to_owned(); 2]));
    assert_eq!(driver.statuses()[0].accounting.written, 1);
}

#[test]
fn an_anonymous_upload_of_many_partitions_is_not_taken_for_a_whole() {
    let anonymous = |value: &'static str| Record { value: Some(value.into()), ..Record::default() };
    let mut driver = driver(COLUMNS).with_partitions(3);
    driver.pipe_record(anonymous(GOOD));
    driver.pipe_record(anonymous("#EOF"));
    assert_eq!(statuses(&driver, ""), ["Incomplete upload.split"]);
    driver.pipe_record(anonymous("#EOF partitions=1"));
    assert_eq!(statuses(&driver, "").pop().as_deref(), Some("Published"));
}

#[test]
fn a_thousand_uploads_at_once_are_a_thousand_workbooks() {
    let mut driver = driver(COLUMNS);
    let ids: Vec<String> = (0..1_000).map(|n| format!("{n}.csv")).collect();
    for row in [GOOD, "2,Red House,park,953901,1952031", "#EOF rows=2"] {
        for id in &ids {
            driver.append(Record {
                key: Some(id.clone().into_bytes().into()),
                value: Some(row.into()),
                ..Record::default()
            });
        }
    }
    driver.run(500).expect("the driver's own world");
    let statuses = driver.statuses();
    assert_eq!(statuses.len(), ids.len());
    assert!(statuses.iter().all(|status| status.accounting.written == 2 && status.failure.is_none()));
    assert_eq!(driver.records("t.workbooks").len(), ids.len());
}

#[test]
fn a_dead_letter_that_its_topic_does_not_take_stops_nobody() {
    let mut driver = driver(COLUMNS);
    let refusal = sheetstream::transport::TransportError::TooLarge("the test says so".into());
    driver.fail_publish_with("t.dead-letters", Some(refusal));
    ["one field", GOOD, "#EOF"].iter().for_each(|value| driver.pipe("a.csv", *value));
    assert_eq!(statuses(&driver, "a.csv"), ["Published"]);
    assert_eq!(driver.dead_letters().len(), 0);
}

/// In the log, once, and in the status of the upload at which it was noticed.
#[test]
fn a_key_per_row_is_reported() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let log = std::sync::Arc::new(file.reopen().expect("the file"));
    let mut driver = driver(COLUMNS);
    for n in 0..150 {
        driver.append(Record {
            key: Some(n.to_string().into_bytes().into()),
            value: Some(GOOD.into()),
            ..Record::default()
        });
    }
    let subscriber = tracing_subscriber::fmt().with_writer(log).finish();
    tracing::subscriber::with_default(subscriber, || {
        driver.run(1_000).expect("the driver's own world");
        driver.advance_wall_clock_time(std::time::Duration::from_secs(1));
    });
    let text = std::fs::read_to_string(file.path()).expect("the log");
    let warnings: Vec<_> = text.lines().filter(|line| line.contains("upload.too_many")).collect();
    assert_eq!(warnings.len(), 1, "{text}");
    assert!(warnings[0].contains("upload = \"partition\""), "it says what to do: {}", warnings[0]);
    assert_eq!(driver.statuses().len(), 1);
    assert_eq!(statuses(&driver, "149"), ["Receiving upload.too_many"]);
}
