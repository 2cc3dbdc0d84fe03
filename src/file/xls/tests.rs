use std::io::Write;

use super::*;

/// A record.
fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("a record is short").to_le_bytes();
    [&kind.to_le_bytes(), &length, data].concat()
}

fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn wide(text: &str) -> Vec<u8> {
    words(&text.encode_utf16().collect::<Vec<u16>>())
}

/// The text of a sheet's name, a label or a table: its length has one byte or two.
fn text(text: &str, short: bool) -> Vec<u8> {
    let length = text.encode_utf16().count() as u16;
    let head = if short { vec![length as u8] } else { words(&[length]) };
    [head, vec![1], wide(text)].concat()
}

/// Globals of Excel 97 with these records among them, and sheets with theirs.
fn stream(globals: &[Vec<u8>], sheets: &[(&str, Vec<Vec<u8>>)]) -> Vec<u8> {
    let begin = record(kind::BOF, &words(&[0x0600, 0x0005, 0, 0]));
    let end = record(kind::EOF, &[]);
    let mut bound: Vec<Vec<u8>> = sheets
        .iter()
        .map(|(name, _)| record(kind::BOUND_SHEET, &[vec![0, 0, 0, 0, 0, 0], text(name, true)].concat()))
        .collect();
    let mut at = [&begin, &globals.concat(), &bound.concat(), &end].map(|part| part.len()).iter().sum::<usize>();
    let mut bodies = Vec::new();
    for (bound, (_, records)) in bound.iter_mut().zip(sheets) {
        bound[4..8].copy_from_slice(&(at as u32).to_le_bytes());
        let body = [begin.clone(), records.concat(), end.clone()].concat();
        at += body.len();
        bodies.extend(body);
    }
    [begin, globals.concat(), bound.concat(), end, bodies].concat()
}

fn file(stream: &[u8]) -> File {
    let mut container = cfb::CompoundFile::create(tempfile::tempfile().expect("a file")).expect("a container");
    container.create_stream("Workbook").expect("a stream").write_all(stream).expect("room");
    container.flush().expect("room");
    container.into_inner()
}

fn rows(stream: &[u8], sheet: Option<&str>) -> Result<String, FileError> {
    let SheetRead { mut rows, .. } = read(&file(stream), sheet)?.expect("a workbook");
    let mut text = String::new();
    rows.read_to_string(&mut text)?;
    Ok(text)
}

fn number_at(row: u16, column: u16, style: u16, value: f64) -> Vec<u8> {
    record(kind::NUMBER, &[words(&[row, column, style]), value.to_le_bytes().to_vec()].concat())
}

#[test]
fn every_kind_of_cell_is_read() {
    let styles = [
        record(kind::XF, &words(&[0, 0])),
        record(kind::XF, &words(&[0, 14])),
        record(kind::XF, &words(&[0, 164])),
        record(kind::XF, &words(&[0, 165])),
        record(kind::FORMAT, &[words(&[164]), text("[h]:mm:ss", false)].concat()),
        record(kind::FORMAT, &[words(&[165]), text("\"년도\"0.00_m;[Red]", false)].concat()),
    ];
    // The second text continues in another record, narrow there; it has runs and something behind it.
    let table = [
        record(
            kind::SST,
            &[vec![2, 0, 0, 0, 2, 0, 0, 0], text("서울", false), vec![4, 0, 1 | 8 | 4, 1, 0, 2, 0, 0, 0], wide("대")]
                .concat(),
        ),
        record(kind::CONTINUE, b"\x00jon\x00\x00\x00\x00"),
        record(kind::CONTINUE, b"xx"),
    ];
    let formula = |column: u16, value: [u8; 8]| {
        record(kind::FORMULA, &[words(&[2, column, 0]), value.to_vec(), vec![0; 8]].concat())
    };
    let cells = vec![
        record(kind::LABEL_SST, &[words(&[0, 0, 0]), vec![0; 4]].concat()),
        record(kind::LABEL_SST, &[words(&[0, 1, 0]), vec![1, 0, 0, 0]].concat()),
        record(kind::LABEL, &[words(&[0, 2, 0]), text("a,\"b\"", false)].concat()),
        number_at(1, 0, 0, 0.5),
        number_at(1, 1, 1, 45_296.0),
        number_at(1, 2, 2, 1.5),
        number_at(1, 3, 3, 2_024.0),
        record(kind::BOOL_ERR, &[words(&[1, 4, 0]), vec![1, 0]].concat()),
        record(kind::BOOL_ERR, &[words(&[1, 5, 0]), vec![7, 1]].concat()),
        // 12, 1.23, then -1.5 and its hundredth.
        record(
            kind::MUL_RK,
            &[
                words(&[2, 0]),
                [(12 << 2) | 2, (123 << 2) | 3, 0xBFF8_0000_u32, 0xBFF8_0001]
                    .iter()
                    .flat_map(|rk| [vec![0, 0], rk.to_le_bytes().to_vec()].concat())
                    .collect(),
                words(&[3]),
            ]
            .concat(),
        ),
        formula(4, 2.5_f64.to_le_bytes()),
        formula(5, [0, 0, 0, 0, 0, 0, 0xFF, 0xFF]),
        record(kind::SHARED_FORMULA, &[0; 10]),
        record(kind::STRING, &text("합계", false)),
        formula(6, [1, 0, 1, 0, 0, 0, 0xFF, 0xFF]),
        formula(7, [3, 0, 0, 0, 0, 0, 0xFF, 0xFF]),
        // A chart in the sheet has records of its own.
        record(kind::BOF, &words(&[0x0600, 0x0020])),
        number_at(9, 9, 0, 9.0),
        record(kind::EOF, &[]),
        record(kind::RK, &[words(&[4, 1, 0]), ((7_u32 << 2) | 2).to_le_bytes().to_vec()].concat()),
    ];
    let book = stream(&[styles.concat(), table.concat()], &[("안내", vec![]), ("자료", cells)]);
    assert_eq!(
        rows(&book, Some("자료")).expect("rows"),
        "서울,대jon,\"a,\"\"b\"\"\",,,,,\n0.5,2024-01-05,36:00:00,2024,TRUE,#DIV/0!,,\n12,1.23,-1.5,-0.015,2.5,합계,TRUE,\n\n,7,,,,,,\n"
    );
    let named = rows(&book, Some("자료")).expect("rows");
    assert_eq!(rows(&book, None).expect("rows"), named, "a sheet without a table is a cover");
}

#[test]
fn cells_that_are_not_in_order_are_put_in_order() {
    let cells =
        vec![number_at(3, 1, 0, 4.0), number_at(0, 1, 0, 2.0), number_at(0, 0, 0, 1.0), number_at(3, 1, 0, 5.0)];
    assert_eq!(rows(&stream(&[], &[("a", cells)]), None).expect("rows"), "1,2\n\n\n,5\n");
}

#[test]
fn rows_and_columns_that_are_hidden_are_taken_and_said() {
    let row = |row: u16, flags: u16| record(kind::ROW, &words(&[row, 0, 2, 255, 0, 0, flags, 0]));
    let columns = |first: u16, last: u16, flags: u16| record(kind::COLUMNS, &words(&[first, last, 2_048, 0, flags, 0]));
    let numbers = (0..3).flat_map(|row| [number_at(row, 0, 0, 1.0), number_at(row, 1, 0, 2.0)]);
    let looks = [columns(0, 0, 0), columns(1, 255, 1), row(0, 0x100), row(1, 0x120), row(2, 0x120), row(3, 0x120)];
    let book = stream(&[], &[("자료", looks.into_iter().chain(numbers).collect())]);
    assert_eq!(rows(&book, None).expect("rows"), "1,2\n1,2\n1,2\n");
    let SheetRead { notes, .. } = read(&file(&book), None).expect("a workbook").expect("a workbook");
    let said = "2 hidden rows and 1 hidden column of sheet \"자료\" are taken too; to leave out";
    assert!(notes.len() == 1 && notes[0].starts_with(said), "{notes:?}");
}

/// As a table of all between them, a thousand sheets of 65,536 rows and 256 columns would take 500 GB.
#[test]
fn distant_cells_take_the_memory_of_two() {
    let corners = || vec![number_at(0, 0, 0, 1.0), number_at(65_535, 255, 0, 2.0)];
    let sheets: Vec<(String, Vec<Vec<u8>>)> = (0..1_000).map(|sheet| (sheet.to_string(), corners())).collect();
    let sheets: Vec<(&str, Vec<Vec<u8>>)> = sheets.iter().map(|(name, cells)| (name.as_str(), cells.clone())).collect();
    let book = stream(&[], &sheets);
    let text = rows(&book, Some("999")).expect("rows");
    assert!(text.starts_with("1,,") && text.ends_with(",2\n") && text.len() < 100_000, "{}", text.len());
}

#[test]
fn a_text_that_every_cell_has_is_there_once() {
    let long = "a".repeat(30_000);
    let head = [vec![1, 0, 0, 0, 1, 0, 0, 0], words(&[30_000]), vec![0]].concat();
    let mut table = record(kind::SST, &[&head[..], &long.as_bytes()[..8_000]].concat());
    for piece in long.as_bytes()[8_000..].chunks(8_000) {
        table.extend(record(kind::CONTINUE, &[b"\0", piece].concat()));
    }
    let cells = (0..50_000).map(|row| record(kind::LABEL_SST, &[words(&[row, 0, 0]), vec![0; 4]].concat()));
    let refused = rows(&stream(&[table], &[("a", cells.collect())]), None).expect_err("1.5 GB").to_string();
    assert!(refused.contains("save it as CSV"), "{refused}");
}

#[test]
fn what_cannot_be_read_is_said() {
    let book = stream(&[record(kind::FILE_PASS, &[1, 0, 1, 0])], &[("a", vec![])]);
    assert!(rows(&book, None).expect_err("a password").to_string().contains("password"));
    let book = stream(&[], &[("a", vec![number_at(0, 0, 0, 1.0)])]);
    for length in 0..book.len() {
        let refused = rows(&book[..length], None).expect_err("it is cut").to_string();
        assert!(refused.contains("cut off") || refused.contains("no sheet"), "{length}: {refused}");
    }
    let missing = record(kind::LABEL_SST, &[words(&[0, 0, 0]), vec![5, 0, 0, 0]].concat());
    assert!(rows(&stream(&[], &[("a", vec![missing])]), None).is_err(), "a text that is not there is no blank");
    // A document of Word is in the same container.
    let mut container = cfb::CompoundFile::create(tempfile::tempfile().expect("a file")).expect("a container");
    container.create_stream("WordDocument").expect("a stream");
    assert!(read(&container.into_inner(), None).expect("no workbook").is_none());
}

/// A list of sectors that names one of them a million times would be held as often.
#[test]
fn a_container_that_lists_its_sectors_over_and_over_is_refused() {
    let mut bytes = vec![0_u8; 512 * 20_001];
    let mut sound = file(&stream(&[], &[("a", vec![])]));
    sound.rewind().expect("a file");
    sound.read_exact(&mut bytes[..512]).expect("a header");
    for list in 1..20_000_u32 {
        let at = 512 * (list as usize + 1);
        bytes[at..at + 512].fill(0);
        bytes[at + 508..at + 512].copy_from_slice(&(list + 1).to_le_bytes());
    }
    bytes[68..72].copy_from_slice(&1_u32.to_le_bytes());
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&bytes).expect("room");
    assert!(!allocation_is_short(&file).expect("it can be read"));
    assert!(read(&file, None).expect("no workbook").is_none());
}

proptest::proptest! {
    /// Any records at all: rows or a refusal, and no panic.
    #[test]
    fn any_records_are_read_or_refused(
        kinds in proptest::collection::vec((0..23_usize, proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40)), 0..30),
        cut in 0..2_000_usize,
    ) {
        const KINDS: [u16; 23] = [
            kind::FORMULA, kind::EOF, kind::DATE_1904, kind::CONTINUE, kind::CODE_PAGE, kind::BOUND_SHEET, kind::MUL_RK, kind::RSTRING,
            kind::XF, kind::SST, kind::LABEL_SST, kind::NUMBER, kind::LABEL, kind::BOOL_ERR, kind::STRING, kind::ARRAY, kind::TABLE,
            kind::RK, kind::FORMAT, kind::SHARED_FORMULA, kind::BOF, 0, 0xFFFF,
        ];
        let records: Vec<Vec<u8>> = kinds.iter().map(|(kind, data)| record(KINDS[*kind], data)).collect();
        for book in [stream(&records, &[("a", vec![])]), stream(&[], &[("a", records.clone())]), records.concat()] {
            let _either = rows(&book[..book.len().saturating_sub(cut)], None);
        }
    }

    /// Any damage to a container: the same.
    #[test]
    fn any_container_is_read_or_refused(
        damage in proptest::collection::vec((0..6_000_usize, proptest::prelude::any::<u8>()), 1..20),
    ) {
        let cells = (0..300).map(|row| number_at(row, 0, 0, 1.0)).collect();
        let mut bytes = Vec::new();
        let mut sound = file(&stream(&[], &[("a", cells)]));
        sound.rewind()?;
        sound.read_to_end(&mut bytes)?;
        for (at, byte) in damage {
            let length = bytes.len();
            bytes[at % length] = byte;
        }
        let mut damaged = tempfile::tempfile()?;
        damaged.write_all(&bytes)?;
        let _either = read(&damaged, None);
    }
}

#[test]
fn cells_are_read_as_a_person_sees_them() {
    let styles = [
        record(kind::XF, &words(&[0, 0])),
        record(kind::XF, &words(&[0, 164])),
        record(kind::FORMAT, &[words(&[164]), text("00000", false)].concat()),
    ];
    let label =
        |row: u16, column: u16, of: &str| record(kind::LABEL, &[words(&[row, column, 0]), text(of, false)].concat());
    let cells = vec![
        label(0, 1, "구"),
        label(0, 2, "우편번호"),
        label(1, 1, "중구"),
        number_at(1, 2, 1, 4_519.0),
        number_at(2, 2, 0, 0.1 + 0.2),
        // B2 and B3 are one cell.
        record(kind::MERGED_CELLS, &words(&[1, 1, 2, 1, 1])),
    ];
    let other =
        vec![number_at(0, 0, 0, 1.0), number_at(0, 1, 0, 1.0), number_at(1, 0, 0, 1.0), number_at(1, 1, 0, 1.0)];
    let mut book = stream(&[styles.concat()], &[("숨김", other), ("자료", cells)]);
    assert_eq!(rows(&book, None).expect("rows"), "1,1\n1,1\n");
    let sheet = book.windows(2).position(|bytes| bytes == kind::BOUND_SHEET.to_le_bytes()).expect("the first sheet");
    book[sheet + 8] = 1; // hidden
    assert_eq!(rows(&book, None).expect("rows"), "구,우편번호\n중구,04519\n중구,0.3\n");
    assert_eq!(rows(&book, Some("숨김")).expect("rows"), "1,1\n1,1\n", "asked for, it is taken");
}
