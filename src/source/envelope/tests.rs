//! Records of every kind, opened.

use super::*;
use crate::record::Header;
use crate::source::tests::config;
use proptest::prelude::*;

fn record(headers: &[(&str, &str)], key: Option<&'static str>, value: Option<&'static str>) -> Record {
    Record {
        headers: headers.iter().map(|(name, value)| Header::new(name, value.as_bytes().to_vec())).collect(),
        key: key.map(|key| Bytes::from_static(key.as_bytes())),
        value: value.map(|value| Bytes::from_static(value.as_bytes())),
        ..Record::default()
    }
}

fn opened(config: &SourceConfig, record: &Record) -> String {
    let headers = ControlHeaders::among(&record.headers, config);
    let plain = plain(config, record, &headers).expect("a charset and a format");
    match open(config, record, &headers, &plain) {
        Ok(None) => "nothing".to_owned(),
        Ok(Some(Envelope { upload, attempt, content, .. })) => {
            let attempt = attempt.map_or(String::new(), |attempt| format!(" attempt {attempt}"));
            match content {
                Content::Marker(marker, _) => format!("{upload}: {marker:?}{attempt}"),
                Content::Rows { first_row, .. } => format!("{upload}: rows {first_row:?}{attempt}"),
                Content::HeaderFollows => format!("{upload}: header follows{attempt}"),
                Content::UnfitHeader(rejection) => format!("{upload}: unfit header {}", rejection.reason),
            }
        }
        Err(Refusal { rejection, .. }) => rejection.reason.code().to_owned(),
    }
}

#[test]
fn upload_ids() {
    let header = |id| vec![("ss-upload", id)];
    for (from, headers, key, id) in [
        (UploadFrom::Auto, header("h"), Some("k"), "h"),
        (UploadFrom::Auto, vec![], Some("k"), "k"),
        (UploadFrom::Auto, vec![], None, ""),
        (UploadFrom::Key, header("h"), Some("k"), "k"),
        (UploadFrom::Key, header("h"), None, "record.no_id"),
        (UploadFrom::Header("file".into()), vec![("file", "f")], Some("k"), "f"),
        (UploadFrom::Header("file".into()), header("h"), Some("k"), "record.no_id"),
        (UploadFrom::Partition, header("h"), Some("k"), ""),
        (UploadFrom::Auto, vec![], Some("../../CON\u{0}😀"), "../../CON\u{0}😀"),
    ] {
        let config = SourceConfig { upload: from.clone(), ..config() };
        let found = opened(&config, &record(&headers, key, Some("1,2")));
        let expected = if id == "record.no_id" { id.to_owned() } else { format!("{id}: rows None") };
        assert_eq!(found, expected, "{from:?} {headers:?} {key:?}");
    }
}

#[test]
fn an_id_has_a_length_that_a_status_record_takes() {
    let id = |length: usize| {
        let key = Some(Bytes::from("x".repeat(length)));
        opened(&config(), &Record { key, value: Some(Bytes::from_static(b"1")), ..Record::default() })
    };
    assert!(id(ID_BYTES_MAX).ends_with(": rows None"));
    assert_eq!(id(ID_BYTES_MAX + 1), "record.no_id");
}

#[test]
fn a_key_that_is_no_text_names_no_upload() {
    let record =
        Record { key: Some(Bytes::from_static(b"\xff")), value: Some(Bytes::from_static(b"1")), ..Record::default() };
    assert_eq!(opened(&config(), &record), "record.no_id");
}

/// What a message quotes is copied and escaped: a term of many MiB would take many times as much memory.
#[test]
fn long_terms_and_headers_are_quoted_in_part_and_a_long_marker_is_refused() {
    let rejection = |headers: &[(&str, &str)], value: String| {
        let record = Record { value: Some(value.into()), ..record(headers, Some("k"), None) };
        let headers = ControlHeaders::among(&record.headers, &config());
        let found = plain(&config(), &record, &headers);
        let found = found.and_then(|plain| {
            open(&config(), &record, &headers, &plain).map_err(|refusal| refusal.rejection).map(drop)
        });
        found.expect_err("it is refused")
    };
    let long = "\u{1}".repeat(900_000);
    let terms = ["#BEGIN LONG", "#EOF rows=LONG", "#EOF sha256=LONG", "#BEGIN summary=LONG", "#BEGIN coordinates=LONG"];
    for marker in terms {
        let rejection = rejection(&[], marker.replace("LONG", &long));
        assert!(rejection.message.to_json().len() < 8 << 10, "{marker}");
    }
    for name in ["ss-type", "ss-row", "ss-delimiter", "ss-encoding", "ss-escape", "ss-format"] {
        let rejection = rejection(&[(name, &long)], "1".to_owned());
        assert!(rejection.message.to_json().len() < 8 << 10, "{name}");
    }
    let options = "a=b ".repeat(ROW_BYTES_MAX / 4);
    assert_eq!(rejection(&[], format!("#BEGIN {options}")).reason, Reason::RowTooBig);
    let lists = "[],".repeat(ROW_BYTES_MAX / 3);
    let json = format!("{{\"$ss\": \"eof\", \"a\": [{lists}[]]}}");
    assert!(opened(&config(), &Record { value: Some(json.into()), ..record(&[], Some("k"), None) }).contains("rows"));
}

#[test]
fn both_spellings_of_a_marker_mean_the_same() {
    let sum = "ab".repeat(32);
    let eof_text: &'static str = format!("#EOF rows=3 sha256={sum} attempt=7 partitions=1").leak();
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let pairs: [(Headers, &'static str, &'static str); 6] = [
        (
            &[
                ("ss-type", "eof"),
                ("ss-rows", "3"),
                ("ss-sha256-rows", &sum),
                ("ss-attempt", "7"),
                ("ss-partitions", "1"),
            ],
            "",
            eof_text,
        ),
        (&[("ss-type", "eof")], "", "#EOF\n"),
        (
            &[("ss-type", "begin"), ("ss-name", "a \"b\".csv"), ("ss-rows", "7"), ("ss-crs", "EPSG:5181")],
            "",
            "#BEGIN name=\"a \"\"b\"\".csv\" rows=7 crs=EPSG:5181 colour=red",
        ),
        (&[("ss-type", "header"), ("ss-attempt", "7")], "a,\"b,c\"", "#HEADER attempt=7\r\na,\"b,c\"\r\n"),
        (&[("ss-type", "header")], "a,x y", "#HEADER a,x y"),
        (&[("ss-type", "abort")], "", "#ABORT"),
    ];
    for (headers, value, text) in pairs {
        let by_headers = opened(&config(), &record(headers, Some("k"), Some(value)));
        assert_eq!(opened(&config(), &record(&[], Some("k"), Some(text))), by_headers, "{text}");
        assert!(by_headers.starts_with("k: "), "{by_headers}");
    }
    let config = config();
    assert_eq!(
        opened(&config, &record(&[], Some("k"), Some("#HEADER attempt=7 columns=a=b,c"))),
        opened(&config, &record(&[("ss-type", "header"), ("ss-attempt", "7")], Some("k"), Some("a=b,c"))),
    );
}

#[test]
fn names_and_attempts_have_a_length() {
    let long = |header: &'static str, bytes: usize| {
        let text: &'static str = "가".repeat(bytes / 3).leak();
        opened(&config(), &record(&[("ss-type", "begin"), (header, text)], Some("k"), Some("")))
    };
    let name = |bytes| long("ss-name", bytes).matches('가').count();
    assert_eq!((name(999), name(900_000)), (333, NAME_BYTES_MAX / 3), "a name is cut, between characters");
    assert!(long("ss-attempt", 999).ends_with(&"가".repeat(333)));
    assert_eq!(long("ss-attempt", 900_000), "marker.format");
}

#[test]
fn what_only_looks_like_a_marker_is_data() {
    let rows = "k: rows None";
    for value in ["\"#EOF\"", "#EOFX", "#eof", " #EOF", "##EOF", "1,2\n#EOF"] {
        assert_eq!(opened(&config(), &record(&[], Some("k"), Some(value))), rows, "{value}");
    }
    assert_eq!(opened(&config(), &record(&[("ss-type", "row")], Some("k"), Some("#EOF"))), rows);
    let headers_only = SourceConfig { markers: Markers::Headers, ..config() };
    assert_eq!(opened(&headers_only, &record(&[], Some("k"), Some("#EOF"))), rows);
}

#[test]
fn malformed_markers_are_refused() {
    for value in [
        "#EOF rows=x",
        "#EOF rows=-1",
        "#EOF three",
        "#EOF sha256=12",
        "#EOF\n1,2",
        "#BEGIN name=\"open",
        "#BEGIN rows=many",
    ] {
        assert_eq!(opened(&config(), &record(&[], Some("k"), Some(value))), "marker.format", "{value}");
    }
    let two_rows = record(&[("ss-type", "header")], Some("k"), Some("a,b\nc,d"));
    assert_eq!(opened(&config(), &two_rows), "marker.format");
    for headers in [("ss-type", "end"), ("ss-row", "0"), ("ss-row", "x"), ("ss-delimiter", "||")] {
        assert_eq!(opened(&config(), &record(&[headers], Some("k"), Some("1"))), "marker.format", "{headers:?}");
    }
}

#[test]
fn the_lines_below_a_marker_are_the_next_record() {
    for (value, content, below) in [
        ("#BEGIN name=a\r\n1,2\n3,4", "Begin", "1,2\n3,4"),
        ("#BEGIN\n\n", "Begin", ""),
        ("#HEADER a,b\n1,2", r#"Header(["a", "b"])"#, "1,2"),
        ("#HEADER\n\na,\"b\nc\"\n1,2", r#"Header(["a", "b\nc"])"#, "1,2"),
        ("#HEADER attempt=7\na,b\n", r#"Header(["a", "b"])"#, ""),
        ("#HEADER", "HeaderFollows", ""),
        ("#HEADER attempt=7\n", "HeaderFollows", ""),
    ] {
        let record = record(&[], Some("k"), Some(value));
        let config = config();
        let headers = ControlHeaders::among(&record.headers, &config);
        let plain = plain(&config, &record, &headers).expect("a charset and a format");
        let envelope = open(&config, &record, &headers, &plain).expect("it is understood").expect("it is something");
        assert!(format!("{:?}", envelope.content).contains(content), "{value}: {:?}", envelope.content);
        assert_eq!(envelope.below, below.as_bytes(), "{value}");
    }
}

#[test]
fn a_header_says_what_is_wrong_with_it() {
    for (value, reason) in [("#HEADER \"a", "csv.unclosed_quote"), ("#HEADER a,b\u{b}", "text.control")] {
        assert_eq!(
            opened(&config(), &record(&[], Some("k"), Some(value))),
            format!("k: unfit header {reason}"),
            "{value}"
        );
    }
}

#[test]
fn null_duplicate_and_unknown_headers_do_no_harm() {
    let mut record = record(&[("ss-row", "1"), ("x", "y"), ("ss-row", "5")], Some("k"), Some("1,2"));
    record.headers.push(Header { name: "ss-row".into(), value: None });
    record.headers.push(Header { name: "ss-type".into(), value: None });
    assert_eq!(opened(&config(), &record), "k: rows Some(5)");
}

#[test]
fn bytes_in_an_envelope_are_decoded() {
    let envelope = |value: &'static str| record(&[], Some("k"), Some(value));
    let inside = |config: &SourceConfig, record: &Record| {
        let plain = plain(config, record, &ControlHeaders::among(&record.headers, config)).expect("a value");
        String::from_utf8_lossy(&plain.value.expect("one")).into_owned()
    };
    let value = envelope(r#"{"schema":{"type":"bytes","optional":false},"payload":"YSxiCjEs67aA7IKw"}"#);
    assert_eq!(inside(&config(), &value), "a,b\n1,부산");
    let korean = SourceConfig { encoding: Some(Charset::EUC_KR), ..config() };
    let value = envelope(r#"{"schema":{"type":"bytes"},"payload":"us676iwx"}"#);
    assert_eq!(inside(&korean, &value), "부산,1");
    let text = r#"{"schema":{"type":"bytes"},"payload":"no base64"}"#;
    assert_eq!(inside(&config(), &envelope(text)), text);
    assert_eq!(inside(&config(), &envelope(r#"{"schema":{"type":"string"},"payload":"YSxi"}"#)), "YSxi");
}

#[test]
fn a_null_value_aborts_the_upload_of_its_key() {
    assert_eq!(opened(&config(), &record(&[], Some("k"), None)), "k: Abort");
    assert_eq!(opened(&config(), &record(&[], None, None)), "nothing");
    let partition = SourceConfig { upload: UploadFrom::Partition, ..config() };
    assert_eq!(opened(&partition, &record(&[], Some("k"), None)), "nothing");
}

proptest! {
    /// Any bytes in any place are read: as rows, as a marker or as a refusal with a reason.
    #[test]
    fn any_record_is_read(
        kind in prop::sample::select(vec!["", "#BEGIN", "#HEADER", "#EOF", "#ABORT", "#EO"]),
        rest in prop::collection::vec(
            prop::sample::select(vec![" ", "rows=", "sha256=", "name=", "crs=", "\"", "\"\"", "7", "x", "가", "\n", "=", "\0", "\u{feff}"]), 0..12),
        tail in prop::collection::vec(any::<u8>(), 0..12),
        headers in prop::collection::vec((
            prop::sample::select(vec!["ss-type", "ss-rows", "ss-sha256-rows", "ss-attempt", "ss-name", "ss-crs", "ss-row", "ss-partitions"]),
            prop::option::of(prop::collection::vec(any::<u8>(), 0..6)),
        ), 0..5),
    ) {
        let value = [kind.as_bytes(), rest.concat().as_bytes(), &tail].concat();
        let headers = headers.into_iter().map(|(name, value)| Header { name: name.into(), value: value.map(Into::into) });
        let record = Record { value: Some(value.into()), key: Some("k".into()), headers: headers.collect(), ..Record::default() };
        let config = config();
        let headers = ControlHeaders::among(&record.headers, &config);
        let plain = plain(&config, &record, &headers).expect("a charset and a format");
        match open(&config, &record, &headers, &plain) {
            Ok(envelope) => prop_assert_eq!(envelope.map(|envelope| envelope.upload), Some("k")),
            Err(refusal) => prop_assert!(!refusal.rejection.message.to_string().is_empty()),
        }
    }

    /// The two spellings say the same, whatever a name holds.
    #[test]
    fn a_name_reads_the_same_from_a_header_and_from_text(name in "[ -~가-힣\"]{1,20}", rows in prop::option::of(any::<u64>())) {
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        let rows_text = rows.map_or(String::new(), |rows| format!(" rows={rows}"));
        let text = Record { value: Some(format!("#BEGIN name={quoted}{rows_text}").into()), ..Record::default() };
        let mut headers = vec![Header::new("ss-type", "begin"), Header::new("ss-name", name)];
        headers.extend(rows.map(|rows| Header::new("ss-rows", rows.to_string())));
        let header = Record { value: Some(Bytes::new()), headers, ..Record::default() };
        let config = config();
        prop_assert_eq!(opened(&config, &text), opened(&config, &header));
    }
}
