//! Files of rows: charsets, delimiters, blocks, and any bytes at all.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::record::{Header, Offset, Record, StreamElement};
use crate::source::tests::config;
use crate::source::{Admission, HeaderFrom, Source, SourceConfig};

fn open(bytes: &[u8], options: Options) -> Result<CsvFile, FileError> {
    CsvFile::from_reader(Box::new(std::io::Cursor::new(bytes.to_vec())), options)
}

fn blocks(file: &mut CsvFile) -> Vec<Block> {
    std::iter::from_fn(|| file.next_block().expect("memory can be read")).collect()
}

fn plain() -> Options {
    Options::for_source(&config())
}

fn text(bytes: &[u8]) -> (CsvFile, Vec<u8>) {
    let mut file = open(bytes, plain()).expect("a header");
    let text = blocks(&mut file).iter().flat_map(|block| block.text.to_vec()).collect();
    (file, text)
}

fn utf16(text: &str, to_bytes: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
    "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(to_bytes).collect()
}

#[test]
fn charsets_and_delimiters_all_give_the_same_rows() {
    let csv = "이름,x\n\"똠방각하, 서울\",1\n청,2\n";
    let semicolons = "이름;x\n똠방각하, 서울;1\n청;2\n";
    let korean = |text: &str| encoding_rs::EUC_KR.encode(text).0.into_owned();
    for (bytes, description) in [
        (csv.as_bytes().to_vec(), "UTF-8, delimiter comma, 2 columns"),
        (format!("\u{feff}{csv}").into_bytes(), "UTF-8, delimiter comma, 2 columns"),
        (korean(csv), "EUC-KR (windows-949), delimiter comma, 2 columns"),
        (korean(semicolons), "EUC-KR (windows-949), delimiter semicolon, 2 columns"),
        (utf16(csv, u16::to_le_bytes), "UTF-16LE, delimiter comma, 2 columns"),
        (utf16(semicolons, u16::to_be_bytes), "UTF-16BE, delimiter semicolon, 2 columns"),
        (csv.replace('\n', "\r\n").into_bytes(), "UTF-8, delimiter comma, 2 columns"),
        (csv.replace('\n', "\r").into_bytes(), "UTF-8, delimiter comma, 2 columns"),
        (csv.replace('\n', "\n\n").trim_end().as_bytes().to_vec(), "UTF-8, delimiter comma, 2 columns"),
    ] {
        let (file, text) = text(&bytes);
        assert_eq!(file.header(), ["이름", "x"], "{description}");
        let rows = String::from_utf8_lossy(&text).replace(';', ",").replace('"', "");
        assert_eq!(rows, "똠방각하, 서울,1\n청,2\n", "{description}");
        assert_eq!((file.rows(), file.description().as_str()), (2, description));
    }
}

#[test]
fn a_header_beside_decimal_commas_is_no_title() {
    let needed = Arc::new([vec!["x".to_owned()]]);
    let source = Arc::new(SourceConfig { needed, ..config() });
    let options = Options { source, ..plain() };
    let rows = (10..30).map(|n| format!("a {n};b;\"126,{n}\";\"37,{n}\"\n")).collect::<String>();
    let file = open(format!("name;kind;Länge;Breite\n{rows}").as_bytes(), options).expect("a header");
    assert_eq!((file.delimiter(), file.header_line()), (b';', 1), "{:?}", file.header());
}

#[test]
fn ascii_alone_decides_nothing() {
    let mut bytes = "a,b\n".repeat(100_000).into_bytes();
    let mut file = open(&bytes, plain()).expect("a header");
    assert_eq!(file.charset(), None);
    assert_eq!(blocks(&mut file).iter().map(|block| u64::from(block.rows)).sum::<u64>(), 99_999);
    assert_eq!(file.charset(), None);
    bytes.extend_from_slice(&encoding_rs::EUC_KR.encode("서울,1\n").0);
    let (file, text) = text(&bytes);
    assert_eq!(file.charset(), Some(Charset::EUC_KR));
    assert!(text.ends_with("서울,1\n".as_bytes()));
}

#[test]
fn broken_bytes_stay_in_their_row_and_stay_broken() {
    let odd = [utf16("a,b\n서,1\n2,", u16::to_le_bytes), vec![0x33]].concat();
    for (bytes, expected) in [
        ("a,b\n서,1\n\u{ff},2\n".replace('\u{ff}', "?").into_bytes(), &b"\xec\x84\x9c,1\n?,2\n"[..]),
        (
            [&encoding_rs::EUC_KR.encode("a,b\n서울,1\n").0[..], b"\xc7,2\n3,4\n"].concat(),
            "서울,1\n\u{0},2\n3,4\n".as_bytes(),
        ),
        (odd, "서,1\n2,\u{0}\n".as_bytes()),
    ] {
        let expected: Vec<_> = expected.iter().map(|byte| if *byte == 0 { 0xFF } else { *byte }).collect();
        assert_eq!(text(&bytes).1.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }
    let utf8_with_a_broken_tail = "a,b\n서울,1\n서울".as_bytes();
    assert_eq!(text(&utf8_with_a_broken_tail[..utf8_with_a_broken_tail.len() - 1]).0.charset(), Some(Charset::UTF_8));
}

#[test]
fn given_settings_are_not_guessed() {
    let bytes = encoding_rs::EUC_KR.encode("a;b\n청;1,5\n").0.into_owned();
    let options = Options { charset: Some(Charset::EUC_KR), delimiter: Some(b','), ..plain() };
    let mut file = open(&bytes, options).expect("a header");
    assert_eq!(file.header(), ["a;b"]);
    assert_eq!(blocks(&mut file)[0].text, "청;1,5\n");
}

#[test]
fn a_header_of_merged_cells_is_two_rows() {
    let table = ",,,,\n번호,이름,위치,,비고\n,,경도,위도,\n1,가,127,37,\n";
    let needed = ["경도", "위도"].map(|name| vec![name.to_owned()]);
    let source = SourceConfig { needed: needed.into(), ..config() };
    for above in ["", "도서관 목록,,,,\n", "도서관 목록,,,,\n,,,(단위: 도),\n"] {
        let text = format!("{above}{table}");
        let mut file = open(text.as_bytes(), Options::for_source(&source)).expect("a header");
        assert_eq!(file.header(), ["번호", "이름", "경도", "위도", "비고"], "{above}");
        let left_out = file.notes().join("");
        assert_eq!(left_out.contains("도서관"), !above.is_empty(), "{left_out}");
        assert!(!left_out.contains("번호"), "the upper row of the header is used: {left_out}");
        assert_eq!(blocks(&mut file)[0].text, "1,가,127,37,\n");
    }
    // In a workbook, a name that is merged over both rows is in both.
    let file = open("번호,위치,,비고\n번호,경도,위도,비고\n1,127,37,\n".as_bytes(), Options::for_source(&source));
    assert_eq!(file.expect("a header").header(), ["번호", "경도", "위도", "비고"]);
    for rows in [
        "a,b\na,b\n",
        "a,b,\nc,d,e\n",
        "a,b,c\n,,\n",
        "a,b,\n,1,2\n",
        "a,,c\n,x,\n",
        "a,b,b\n,x,y\n",
        "a,b,b\na,x,1\n",
        "a,b,c\na,x,y\n",
    ] {
        let names: Vec<&str> = rows.split('\n').next().expect("a header").split(',').collect();
        assert_eq!(open(rows.as_bytes(), plain()).expect("a header").header(), names, "{rows}");
    }
}

#[test]
fn names_of_merged_cells_say_which_columns_they_are() {
    for (text, names) in [
        ("시설,2023,,2024,\n,상반기,하반기,상반기,하반기\n", "시설|2023 상반기|2023 하반기|2024 상반기|2024 하반기"),
        ("시설,인구,\n,2023,2024\n", "시설|인구 2023|인구 2024"),
        ("구분,인구수,인구수,좌표,좌표\n구분,남자,여자,X,Y\n", "구분|남자|여자|X|Y"),
        ("구역,2024.01,2024.01,2024.02\n구역,남자,여자,남자\n", "구역|2024.01 남자|여자|2024.02 남자"),
        (
            "구역,2024.01,2024.01,2024.02,2024.02\n구역,남,여,남,여\n",
            "구역|2024.01 남|2024.01 여|2024.02 남|2024.02 여",
        ),
        ("구분,위치,,\n구분,주소,좌표,\n구분,주소,X,Y\n", "구분|주소|X|Y"),
    ] {
        let file = open(format!("{text}\n가,1,2,3,4\n").as_bytes(), plain()).expect("a header");
        assert_eq!(file.header().join("|"), names);
    }
}

#[test]
fn a_first_row_with_few_cells_is_no_title_where_columns_are_declared() {
    let declared: Vec<String> = ["k", "a", "b", "c", "d"].map(str::to_owned).into();
    let needed = [vec!["k".to_owned()]].into();
    let source = SourceConfig { header: HeaderFrom::Declared(declared.into()), needed, ..config() };
    let read = |text: &str| {
        let mut file = open(text.as_bytes(), Options::for_source(&source)).expect("a file");
        blocks(&mut file)[0].text.clone()
    };
    assert_eq!(read("x,,,,\ny,p,q,r,s\n"), "x,,,,\ny,p,q,r,s\n");
    assert_eq!(read("Report,,,,\nK,A,B,C,D\ny,p,q,r,s\n"), "y,p,q,r,s\n");
}

#[test]
fn values_that_are_also_names_of_columns_are_no_header() {
    let needed = ["x", "y"].map(|name| vec![name.to_owned()]);
    let source = SourceConfig { needed: needed.into(), ..config() };
    let header = |text: &str| open(text.as_bytes(), Options::for_source(&source)).expect("a header").header().join(",");
    assert_eq!(header("k,h2,h3\na,x,y\nb,x,y\n"), "k,h2,h3");
    assert_eq!(header("k,h2,h3\na,x,y\n"), "k,h2,h3");
    assert_eq!(header("a1,a2,a3\nname,x,y\npark,127,37\n"), "name,x,y", "names for programs above");
    assert_eq!(header("Parks\nname,x,y\n"), "name,x,y");
}

#[test]
fn files_without_rows() {
    let mut file = open(b"a,b", plain()).expect("a header");
    assert_eq!((file.header().len(), file.next_block().expect("an end"), file.rows()), (2, None, 0));
    assert!(matches!(open(b"\n,\n", plain()), Err(FileError::Header(_))));
    assert!(matches!(open(b"", plain()), Err(FileError::Header(_))));
    assert!(matches!(open(b"PK\x03\x04zip", plain()), Err(FileError::NotText(_))));
    assert!(matches!(CsvFile::open(Path::new("/nowhere/at/all"), plain()), Err(FileError::Io(_))));
}

#[test]
fn blocks_hold_whole_rows() {
    let options = Options { block_bytes: 8, ..plain() };
    let mut file = open(b"a,b\n1,2\n\n3,4\n\"long\nrow\",5\n6,7\n", options).expect("a header");
    let blocks: Vec<_> = blocks(&mut file).into_iter().map(|block| (block.first_row, block.rows, block.text)).collect();
    let text = Bytes::from_static;
    assert_eq!(blocks, [(1, 2, text(b"1,2\n3,4\n")), (3, 1, text(b"\"long\nrow\",5\n")), (4, 1, text(b"6,7\n"))]);
}

#[test]
fn a_row_that_never_ends_costs_one_row_and_little_memory() {
    for quote in ["", "\""] {
        let mut bytes = format!("a,b\n1,2\n{quote}").into_bytes();
        bytes.resize(5 * ROW_BYTES_MAX, b'x');
        bytes.extend_from_slice(b"\n3,4\n");
        let mut file = open(&bytes, plain()).expect("a header");
        let blocks = blocks(&mut file);
        assert_eq!(file.rows(), 3);
        assert!(blocks.iter().all(|block| block.text.len() < ROW_BYTES_MAX + 1000));
        assert!(file.text.capacity() < 5 * ROW_BYTES_MAX);
    }
}

/// Fates of the rows of a file, block by block or as one value: (row as published, why it failed).
fn fates(file: &CsvFile, values: impl IntoIterator<Item = (u64, Bytes)>) -> Vec<(Vec<u8>, Option<&'static str>)> {
    let columns = file.header().len();
    let names = (0..columns).map(|column| format!("column {column}")).collect();
    let config = SourceConfig { header: HeaderFrom::Declared(names), ..config() };
    let mut source = Source::new(Arc::new(config), None);
    for (first_row, value) in values {
        let headers = vec![
            Header::new("ss-type", "row"),
            Header::new("ss-row", first_row.to_string()),
            Header::new("ss-delimiter", vec![file.delimiter()]),
        ];
        source.push(
            Record { offset: Offset(first_row as i64), value: Some(value), headers, ..Record::default() },
            &mut |_| Admission::Read,
        );
    }
    source.flush();
    let mut fates = Vec::new();
    while let Some(element) = source.pop() {
        let StreamElement::Rows(batch) = element else { panic!("{element:?}") };
        for (row, key) in batch.keys.iter().enumerate() {
            assert_eq!(key.index, fates.len() as u64 + 1, "rows are counted as the reader counts them");
            let rejected = batch.rejected.iter().find(|(rejected, _)| *rejected as usize == row);
            fates.push((batch.raw.get(row).to_vec(), rejected.map(|(_, rejection)| rejection.reason.code())));
        }
    }
    fates
}

proptest! {
    /// The promise that `publish` and the source agree on: the same rows, the same count, the same bytes to take the checksum of, in
    /// blocks of any size.
    #[test]
    fn the_source_reads_as_many_rows_as_were_published(
        pieces in prop::collection::vec(
            prop::sample::select(vec![",", ",", ";", ";", "\n", "\n", "\n", "\"", "\"", "\r\n", "1", "x y", "가", "\"\"", "#EOF", "\u{feff}"]), 0..80),
        columns in 1_usize..4,
        delimiter in prop::sample::select(vec![b',', b';']),
        block_bytes in 1_usize..60,
    ) {
        let header = vec!["h"; columns].join(std::str::from_utf8(&[delimiter]).unwrap_or_default());
        let bytes = format!("{header}\n{}", pieces.concat()).into_bytes();
        let options = Options { charset: Some(Charset::UTF_8), delimiter: Some(delimiter), block_bytes, ..plain() };
        let mut file = open(&bytes, options).expect("a header");
        let blocks = blocks(&mut file);
        let fates = fates(&file, blocks.iter().map(|block| (block.first_row, block.text.clone())));
        prop_assert_eq!(fates.len() as u64, file.rows());
        let rows: Vec<u8> = fates.iter().flat_map(|(row, _)| [row, &b"\n"[..]].concat()).collect();
        prop_assert_eq!(blocks.iter().flat_map(|block| block.text.to_vec()).collect::<Vec<u8>>(), rows);
    }

    /// Any bytes at all: no panic, and whatever is published is accounted for.
    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..300), block_bytes in 1_usize..60) {
        let options = Options { block_bytes, ..plain() };
        if let Ok(mut file) = open(&bytes, options) {
            let blocks = blocks(&mut file);
            let fates = fates(&file, blocks.iter().map(|block| (block.first_row, block.text.clone())));
            prop_assert_eq!(fates.len() as u64, file.rows());
        }
    }
}
