//! Whole workbooks: made of pages, then read by readers of other people.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::sync::Arc;

use calamine::{Data, Reader, Xlsx};
use flate2::read::DeflateDecoder;
use sha2::{Digest as _, Sha256};

use crate::crs::{CrsInfo, CrsKind, CrsPair, Operation};
use crate::page::{OpenPage, PAGE_ROWS, PageWriter};
use crate::record::{Accounting, ColumnType, CoordinateForm, Extras, Message, Offset, Quoted, Reason, UploadId};
use crate::sink::chunk::Chunks;
use crate::sink::workbook::{Workbook, WorkbookMaker};
use crate::sink::zip::{Method, read_directory};
use crate::sink::{
    AboutFacts, CompletePage, CompleteSheet, CompleteUpload, Lang, RejectedRow, SHEET_ROWS_MAX, SinkConfig,
    WorkbookConfig,
};
use crate::state::keys::PageState;
use crate::state::{InMemoryStore, StateError, StateStore};

/// The look of the workbooks that are tested.
pub(super) const LOOK: WorkbookConfig = WorkbookConfig {
    freeze_header: true,
    autofilter: true,
    cell_refs: true,
    about: true,
    summary: false,
    summary_numbers: Vec::new(),
    lang: Lang::En,
};

fn config(workbook: WorkbookConfig) -> Arc<SinkConfig> {
    Arc::new(SinkConfig {
        node: "workbooks".into(),
        topic: "t.workbooks".into(),
        partitions: None,
        record_bytes_max: 921_600,
        status_topic: "t.status".into(),
        dead_letter_topic: "t.dead-letters".into(),
        workbook,
    })
}

fn maker(workbook: WorkbookConfig) -> WorkbookMaker {
    let crs = |definition: &str, name: &str, kind| CrsInfo {
        definition: definition.into(),
        name: name.into(),
        epsg: None,
        kind,
        axes: None,
        area: None,
        area_description: None,
    };
    let pair = CrsPair {
        from: crs("EPSG:5181", "KGD2002 / Central Belt", CrsKind::Projected),
        to: crs("EPSG:4326", "WGS 84", CrsKind::Geographic),
        operations: vec![Operation {
            name: "Inverse of Korea Central Belt + Korea 2000 to WGS 84 (1)".into(),
            accuracy_m: Some(1.0),
            area: None,
            ballpark: false,
            pipeline: String::new(),
        }],
        row_column: None,
        lon_lat: None,
    };
    let about = AboutFacts {
        topology: "seoul".into(),
        topology_hash: "0123456789abcdef".into(),
        crs: vec![Arc::new(pair)],
        coordinates: Some(["lon".into(), "lat".into()]),
        links: Vec::new(),
        link_on_request: None,
    };
    WorkbookMaker::new(config(workbook), about).expect("a maker")
}

/// An upload of text and number columns, its pages in `store`.
struct Upload<'a> {
    writer: PageWriter,
    store: &'a mut InMemoryStore,
    complete: CompleteUpload,
}

impl<'a> Upload<'a> {
    fn new(maker: &WorkbookMaker, store: &'a mut InMemoryStore, columns: &[&str]) -> Upload<'a> {
        let complete = CompleteUpload {
            upload: UploadId::new("seoul.csv"),
            revision: 1,
            source_name: "seoul.csv".into(),
            key: None,
            traceparent: None,
            columns: columns.iter().map(|name| ((*name).to_owned(), ColumnType::Auto)).collect(),
            sheets: Vec::new(),
            header: columns.iter().map(|name| (*name).to_owned()).collect(),
            errors: Vec::new(),
            crs: None,
            extras: Extras::default(),
            coordinates: CoordinateForm::Columns,
            titles: Arc::default(),
            pairs: None,
            operations: Vec::new(),
            accounting: Accounting::default(),
            rows_sha256: [0xab; 32],
            incomplete: false,
            first_offset: Offset(0),
            completion_offset: Offset(1),
        };
        Upload { writer: PageWriter::new(maker.styles().clone(), true), store, complete }
    }

    /// Adds a sheet of these rows, all pages but the last in the store; a page never crosses a multiple of `rows_max`.
    fn sheet(&mut self, value: &str, rows: &[Vec<&str>], rows_max: usize) {
        let mut sheet = CompleteSheet { value: value.into(), pages: Vec::new(), looks: Vec::new(), ranges: Vec::new() };
        let mut done = 0;
        while done < rows.len() {
            let in_worksheet = done % rows_max;
            let count = (PAGE_ROWS as usize).min(rows.len() - done).min(rows_max - in_worksheet);
            let mut page = OpenPage::default();
            for row in &rows[done..done + count] {
                row.iter().for_each(|cell| page.cell(cell, ColumnType::Auto));
                page.end_row();
            }
            if done == 0 {
                page.looks(&mut sheet.looks);
            }
            page.ranges(&mut sheet.ranges);
            let cut = self.writer.cut(&mut page, in_worksheet as u32 + 2);
            done += count;
            sheet.pages.push(if done == rows.len() {
                CompletePage::Inline(Arc::new(cut))
            } else {
                let upload = self.complete.upload.hash();
                let at = self.store.append(upload, &cut.bytes).expect("room");
                let (xml_crc, xml_length, rows) = (cut.xml_crc, cut.xml_length, cut.rows);
                CompletePage::Stored(upload, PageState { at, xml_crc, xml_length, rows })
            });
        }
        self.complete.accounting.rows_in += rows.len() as u64;
        self.complete.accounting.written += rows.len() as u64;
        self.complete.sheets.push(sheet);
    }

    fn error(&mut self, row: u64, value: &str, cells: &[&str]) {
        let message = Message::NotANumber { value: Quoted::new(value), hint: None };
        let cells = cells.iter().map(|cell| (*cell).to_owned()).collect();
        self.complete.errors.push(RejectedRow { row, column: Some("x".into()), message, cells });
        self.complete.accounting.rows_in += 1;
        self.complete.accounting.rejected += 1;
    }
}

fn file(workbook: &Workbook, store: &dyn StateStore) -> Vec<u8> {
    let mut file = Vec::new();
    let write = workbook.write(store, &mut |bytes| {
        file.extend_from_slice(bytes);
        Ok::<(), StateError>(())
    });
    write.expect("all pages are there");
    assert_eq!(file.len() as u64, workbook.length());
    file
}

/// Every part by name, after checking what the container says of it.
fn parts(file: &[u8]) -> BTreeMap<String, String> {
    let mut parts = BTreeMap::new();
    for part in read_directory(file).expect("a container") {
        let mut text = String::new();
        assert_eq!(part.facts.method, Method::Deflated);
        DeflateDecoder::new(&file[part.bytes.clone()]).read_to_string(&mut text).expect("a deflate stream");
        assert_eq!(part.facts.size, text.len() as u64, "{}", part.name);
        assert_eq!(part.facts.crc, crc32fast::hash(text.as_bytes()), "{}", part.name);
        assert!(parts.insert(part.name, text).is_none());
    }
    parts
}

/// The cells of a sheet, as calamine reads them.
fn cells(file: &[u8], sheet: &str) -> Vec<Vec<Data>> {
    let mut xlsx: Xlsx<_> = Xlsx::new(Cursor::new(file)).expect("a workbook");
    xlsx.worksheet_range(sheet).expect(sheet).rows().map(<[Data]>::to_vec).collect()
}

fn names(file: &[u8]) -> Vec<String> {
    let xlsx: Xlsx<_> = Xlsx::new(Cursor::new(file)).expect("a workbook");
    xlsx.sheet_names()
}

fn text(text: &str) -> Data {
    Data::String(text.into())
}

#[test]
fn rows_of_all_sheets_read_back_below_their_header() {
    let (maker, mut store) = (maker(LOOK), InMemoryStore::new());
    let mut upload = Upload::new(&maker, &mut store, &["이름", "x & <y>"]);
    let numbers: Vec<String> = (0..3_000).map(|n| n.to_string()).collect();
    upload.sheet("강남구", &numbers.iter().map(|n| vec!["상가", n.as_str()]).collect::<Vec<_>>(), usize::MAX);
    upload.sheet("a/b", &[vec!["one", "1.50"]], usize::MAX);
    upload.sheet("A:B", &[], usize::MAX);
    let complete = upload.complete;
    let file = file(&maker.assemble(&complete).expect("a workbook"), &store);
    assert_eq!(names(&file), ["강남구", "a_b", "A_B (2)", "About"]);

    let first = cells(&file, "강남구");
    assert_eq!(first.len(), 3_001);
    assert_eq!(first[0], [text("이름"), text("x & <y>")]);
    assert!(first[1..].iter().zip(0..).all(|(row, n)| *row == [text("상가"), Data::Float(f64::from(n))]));
    assert_eq!(cells(&file, "a_b")[1], [text("one"), Data::Float(1.5)]);
    assert_eq!(cells(&file, "A_B (2)").len(), 1);

    let parts = parts(&file);
    let sheet = &parts["xl/worksheets/sheet1.xml"];
    assert!(sheet.contains("<dimension ref=\"A1:B3001\"/>"));
    assert!(sheet.contains("state=\"frozen\"") && sheet.contains("tabSelected=\"1\""));
    assert!(sheet.contains("</sheetData><autoFilter ref=\"A1:B3001\"/>"));
    assert!(!parts["xl/worksheets/sheet2.xml"].contains("tabSelected"));
    assert!(parts["docProps/core.xml"].contains("2000-01-01T00:00:00Z"));
}

#[test]
fn an_upload_without_rows_is_an_empty_sheet() {
    let (maker, mut store) = (maker(LOOK), InMemoryStore::new());
    let mut upload = Upload::new(&maker, &mut store, &["a", "b", "c"]);
    upload.sheet("", &[], usize::MAX);
    let complete = upload.complete;
    let with_header = file(&maker.assemble(&complete).expect("a workbook"), &store);
    assert_eq!(names(&with_header), ["(blank)", "About"]);
    assert_eq!(cells(&with_header, "(blank)"), [[text("a"), text("b"), text("c")]]);

    let without = CompleteUpload { columns: [].into(), ..complete };
    let without = file(&maker.assemble(&without).expect("a workbook"), &store);
    assert!(cells(&without, "(blank)").is_empty());
    assert!(parts(&without)["xl/worksheets/sheet1.xml"].contains("<sheetData></sheetData><pageMargins"));
}

#[test]
fn a_sheet_continues_where_a_worksheet_is_full() {
    let rows_max = 1_500;
    let (maker, mut store) = (maker(LOOK), InMemoryStore::new());
    let mut upload = Upload::new(&maker, &mut store, &["n"]);
    let numbers: Vec<String> = (0..3_200).map(|n| n.to_string()).collect();
    let rows: Vec<Vec<&str>> = numbers.iter().map(|n| vec![n.as_str()]).collect();
    upload.sheet("s", &rows, rows_max);
    upload.sheet("S (2)", &rows[..rows_max], rows_max);
    let workbook = maker.assemble_with(&upload.complete, rows_max as u64).expect("a workbook");
    let file = file(&workbook, &store);
    assert_eq!(names(&file), ["s", "s (2)", "s (3)", "S (2) (2)", "About"]);
    let mut next = 0.0;
    for (name, rows) in [("s", 1_500), ("s (2)", 1_500), ("s (3)", 200)] {
        let cells = cells(&file, name);
        assert_eq!((cells.len(), &cells[0][0]), (rows + 1, &text("n")));
        for row in &cells[1..] {
            assert_eq!(row[0], Data::Float(next));
            next += 1.0;
        }
    }
    let misplaced = maker.assemble_with(&upload_of(&rows, &maker), rows_max as u64);
    assert_eq!(misplaced.expect_err("a page crosses").reason, Reason::WorkbookFailed);
}

fn upload_of(rows: &[Vec<&str>], maker: &WorkbookMaker) -> CompleteUpload {
    let mut store = InMemoryStore::new();
    let mut upload = Upload::new(maker, &mut store, &["n"]);
    upload.sheet("s", rows, usize::MAX);
    upload.complete
}

#[test]
fn excels_last_row_is_used_and_not_crossed() {
    let maker = maker(WorkbookConfig { cell_refs: false, ..LOOK });
    let mut writer = PageWriter::new(maker.styles().clone(), false);
    let mut page = |rows| {
        let mut page = OpenPage::default();
        for _ in 0..rows {
            page.cell("7", ColumnType::Auto);
            page.end_row();
        }
        CompletePage::Inline(Arc::new(writer.cut(&mut page, 2)))
    };
    // Without references all full pages are alike.
    let full = page(PAGE_ROWS);
    let count = (SHEET_ROWS_MAX / u64::from(PAGE_ROWS)) as usize;
    let mut pages = vec![full; count];
    pages.push(page((SHEET_ROWS_MAX % u64::from(PAGE_ROWS)) as u32));
    pages.push(page(1));
    let mut store = InMemoryStore::new();
    let mut complete = Upload::new(&maker, &mut store, &["n"]).complete;
    complete.sheets = vec![CompleteSheet { value: "s".into(), pages, looks: Vec::new(), ranges: Vec::new() }];
    let parts = parts(&file(&maker.assemble(&complete).expect("a workbook"), &store));
    let rows = |sheet: &str| parts[sheet].matches("<row>").count();
    assert_eq!(rows("xl/worksheets/sheet1.xml"), 1_048_576);
    assert_eq!(rows("xl/worksheets/sheet2.xml"), 2);
    assert!(parts["xl/worksheets/sheet1.xml"].contains("<autoFilter ref=\"A1:A1048576\"/>"));
    assert!(parts["xl/workbook.xml"].contains("<sheet name=\"s (2)\""));
}

#[test]
fn the_same_content_is_the_same_file_wherever_its_pages_are() {
    let rows: Vec<Vec<&str>> = (0..2_500).map(|_| vec!["가나다", "12.5"]).collect();
    let make = |inline: bool| {
        let (maker, mut store) = (maker(LOOK), InMemoryStore::new());
        let mut upload = Upload::new(&maker, &mut store, &["a", "b"]);
        upload.sheet("s", &rows, usize::MAX);
        upload.error(7, "no number", &["x", "y"]);
        let mut complete = upload.complete;
        if inline {
            // The workbook must not show the upload's id and offsets.
            (complete.upload, complete.revision) = (UploadId::new("other"), 9);
            (complete.first_offset, complete.completion_offset) = (Offset(500), Offset(900));
            for page in &mut complete.sheets[0].pages {
                if let CompletePage::Stored(upload, state) = *page {
                    let mut bytes = Vec::new();
                    store.read(upload, state.at, &mut bytes).expect("a page");
                    let (xml_crc, xml_length, rows) = (state.xml_crc, state.xml_length, state.rows);
                    *page = CompletePage::Inline(Arc::new(crate::page::CutPage { bytes, xml_crc, xml_length, rows }));
                }
            }
        }
        let workbook = maker.assemble(&complete).expect("a workbook");
        let file = file(&workbook, &store);
        assert_eq!(workbook.sha256(&store).expect("all pages"), <[u8; 32]>::from(Sha256::digest(&file)));
        file
    };
    assert!(make(false) == make(true));
}

#[test]
fn nothing_in_a_cell_becomes_a_formula_or_a_link() {
    let (maker, mut store) = (maker(LOOK), InMemoryStore::new());
    let nasty =
        ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "=HYPERLINK(\"http://x\")", "http://x.org", "</t></is><f>1</f>"];
    let mut upload = Upload::new(&maker, &mut store, &nasty);
    upload.sheet("=1+1", &[nasty.to_vec()], usize::MAX);
    for text in nasty {
        upload.error(1, text, &nasty);
    }
    upload.complete.source_name = "=cmd|' /C calc'!A0".into();
    let complete = upload.complete;
    let file = file(&maker.assemble(&complete).expect("a workbook"), &store);
    for (name, xml) in parts(&file) {
        // The links of About lead to sheets of this workbook and nowhere else.
        for forbidden in ["<f>", "<f ", "calcChain", "externalLink", "<hyperlink ref=\"A1\" r:id", "TargetMode"] {
            assert!(!xml.contains(forbidden), "{forbidden} in {name}");
        }
        assert!(xml.matches("<hyperlink ").count() == xml.matches("\" location=\"").count(), "{name}");
    }
    let sheet = cells(&file, "=1+1");
    assert_eq!(sheet[0], sheet[1]);
    assert_eq!(sheet[1], nasty.map(text));
}

#[test]
fn rejected_rows_are_on_the_errors_sheet() {
    let (maker, mut store) = (maker(LOOK), InMemoryStore::new());
    let mut upload = Upload::new(&maker, &mut store, &["x"]);
    upload.sheet("s", &[vec!["1"]], usize::MAX);
    upload.error(2, "a", &["a\u{1}\u{fffe}_x0041_"]);
    upload.error(5, &"b".repeat(40_000), &["1", "", "a field too many"]);
    upload.complete.errors[1].column = None;
    upload.complete.accounting.rejected = 12_002;
    upload.complete.incomplete = true;
    let complete = upload.complete;
    let file = file(&maker.assemble(&complete).expect("a workbook"), &store);
    assert_eq!(names(&file), ["s", "Errors", "About"]);
    let errors = cells(&file, "Errors");
    assert_eq!(errors[0][..5], ["Data row", "Reason", "Column", "Code", "x"].map(text));
    let reason = text("\"a\" is not a number");
    assert_eq!(errors[1][..4], [Data::Float(2.0), reason, text("x"), text("number.format")]);
    assert_eq!((&errors[2][0], &errors[2][2]), (&Data::Float(5.0), &Data::Empty));
    assert_eq!(errors[2][4..], [text("1"), Data::Empty, text("a field too many")]);
    assert_eq!(errors[3][1], text("and 12000 more rejected rows, which are not listed"));
    let parts = parts(&file);
    assert!(parts["xl/worksheets/sheet2.xml"].contains("<autoFilter ref=\"A1:G3\"/>"));
    assert!(parts["xl/worksheets/sheet2.xml"].contains("a_x0001__xFFFE__x005F_x0041_"));
    let about = cells(&file, "About");
    assert!(about.iter().any(|row| row[0] == text("Incomplete")));
}

#[test]
fn about_explains_the_workbook_in_both_languages() {
    for (lang, sheet, rejected, value) in
        [(Lang::En, "About", "Rows rejected", "Value in the data"), (Lang::Ko, "정보", "오류 행", "원본 값")]
    {
        let maker = maker(WorkbookConfig { lang, ..LOOK });
        let mut store = InMemoryStore::new();
        let mut upload = Upload::new(&maker, &mut store, &["x"]);
        upload.sheet("a/b", &[vec!["1"], vec!["2"]], usize::MAX);
        upload.sheet(sheet, &[], usize::MAX);
        upload.error(3, "m", &["r"]);
        let complete = upload.complete;
        let file = file(&maker.assemble(&complete).expect("a workbook"), &store);
        assert_eq!(names(&file)[1], format!("{sheet} (2)"));
        let about = cells(&file, sheet);
        let find = |label: &str| about.iter().find(|row| row[0] == text(label)).map(|row| row[1].clone());
        assert_eq!(about[2][1], text("seoul.csv"));
        assert_eq!(about.last().map(|row| row[1].clone()), Some(text(&"ab".repeat(32))), "hashes come last");
        assert_eq!(find(rejected), Some(Data::Float(1.0)));
        assert_eq!(find("a_b"), Some(text("a/b")));
        assert_eq!(find(&format!("{sheet} (2)")), Some(text(sheet)));
        let all: Vec<String> = about.iter().flatten().map(ToString::to_string).collect();
        for fact in [
            &*"ab".repeat(32),
            "seoul 0123456789abcdef",
            concat!("sheetstream ", env!("CARGO_PKG_VERSION")),
            "KGD2002 / Central Belt (EPSG:5181)",
            "Inverse of Korea Central Belt + Korea 2000 to WGS 84 (1)",
            "1 m",
            value,
        ] {
            assert!(all.iter().any(|cell| cell == fact), "{fact}");
        }
    }
}

#[test]
fn every_sheet_is_ready_to_be_printed() {
    for (lang, font, blank) in [(Lang::En, "Calibri", "(blank)"), (Lang::Ko, "맑은 고딕", "(빈 값)")] {
        let (maker, mut store) = (maker(WorkbookConfig { lang, ..LOOK }), InMemoryStore::new());
        let mut upload = Upload::new(&maker, &mut store, &["name", "size"]);
        upload.sheet("", &[vec!["a", "1.5"]], usize::MAX);
        upload.error(2, "none", &["b", "none"]);
        let file = file(&maker.assemble(&upload.complete).expect("a workbook"), &store);
        assert_eq!(names(&file)[0], blank);
        let parts = parts(&file);
        for number in 1..=3 {
            let sheet = &parts[&format!("xl/worksheets/sheet{number}.xml")];
            assert!(sheet.contains("<pageSetUpPr fitToPage=\"1\"/>"), "one page wide: {sheet}");
            assert!(
                sheet.contains("paperSize=\"9\"") && sheet.contains("fitToHeight=\"0\""),
                "A4, as many as it takes"
            );
            assert_eq!(sheet.contains("orientation=\"landscape\""), number < 3);
            assert!(sheet.contains("<oddFooter>&amp;L&amp;A&amp;R&amp;P / &amp;N</oddFooter>"));
        }
        let (data, errors) = (&parts["xl/worksheets/sheet1.xml"], &parts["xl/worksheets/sheet2.xml"]);
        let titles = |sheet: &str| format!("localSheetId=\"{sheet}\">");
        let workbook = &parts["xl/workbook.xml"];
        assert!(workbook.contains(&titles("0")) && workbook.contains(&titles("1")) && !workbook.contains(&titles("2")));
        assert_eq!(workbook.matches("_xlnm.Print_Titles").count(), 2);
        // The name of a column of numbers is aligned right, and a rejected row is wrapped, under the file's own columns.
        let styles = &parts["xl/styles.xml"];
        let (_, formats) = styles.split_once("<cellXfs ").expect("formats");
        let formats: Vec<&str> = formats.split("<xf ").skip(1).collect();
        let style = |sheet: &str, cell: &str| {
            let (_, rest) = sheet.split_once(&format!("<c r=\"{cell}\" s=\"")).expect(cell);
            let index: usize = rest.split_once('"').and_then(|(index, _)| index.parse().ok()).expect("an index");
            formats[index].to_owned()
        };
        assert!(!style(data, "A1").contains("right") && style(data, "B1").contains("horizontal=\"right\""));
        assert!(style(errors, "F2").contains("wrapText=\"1\""));
        let (fonts, _) = styles.split_once("</fonts>").expect("fonts");
        assert_eq!(fonts.matches("<name val=").count(), fonts.matches(&format!("<name val=\"{font}\"/>")).count());
    }
}

#[test]
fn a_workbook_can_do_without_its_extras() {
    let maker = maker(WorkbookConfig {
        freeze_header: false,
        autofilter: false,
        cell_refs: false,
        about: false,
        summary: false,
        summary_numbers: Vec::new(),
        lang: Lang::En,
    });
    let mut store = InMemoryStore::new();
    let mut complete = Upload::new(&maker, &mut store, &["x"]).complete;
    complete.sheets =
        vec![CompleteSheet { value: "s".into(), pages: Vec::new(), looks: Vec::new(), ranges: Vec::new() }];
    let file = file(&maker.assemble(&complete).expect("a workbook"), &store);
    assert_eq!(names(&file), ["s"]);
    let parts = parts(&file);
    let sheet = &parts["xl/worksheets/sheet1.xml"];
    assert!(!sheet.contains("frozen") && !sheet.contains("autoFilter") && sheet.contains("<row><c s="));
    assert!(!parts["xl/workbook.xml"].contains("_FilterDatabase"));
    assert!(!parts.contains_key("xl/sharedStrings.xml"));
    assert_eq!(cells(&file, "s"), [[text("x")]]);
}

#[test]
fn too_many_columns_fail_the_upload() {
    let maker = maker(LOOK);
    let complete = upload_of(&[], &maker);
    let columns = |count: usize| (0..count).map(|n| (n.to_string(), ColumnType::Auto)).collect();
    assert!(maker.assemble(&CompleteUpload { columns: columns(16_384), ..complete.clone() }).is_ok());
    let refused = maker.assemble(&CompleteUpload { columns: columns(16_385), ..complete });
    assert_eq!(refused.expect_err("too many").reason, Reason::SheetTooManyColumns);
}

/// A workbook of some pages and what is needed to send it.
fn sendable() -> (SinkConfig, AboutFacts, CompleteUpload, Workbook, InMemoryStore) {
    let (maker, mut store) = (maker(LOOK), InMemoryStore::new());
    let numbers: Vec<String> = (0..20_000u64).map(|n| (n * 7_919 % 99_991).to_string()).collect();
    let mut upload = Upload::new(&maker, &mut store, &["n"]);
    upload.sheet("s", &numbers.iter().map(|n| vec![n.as_str()]).collect::<Vec<_>>(), usize::MAX);
    upload.complete.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
    let complete = upload.complete;
    let workbook = maker.assemble(&complete).expect("a workbook");
    let about = AboutFacts {
        topology: "seoul".into(),
        topology_hash: "0123".into(),
        crs: Vec::new(),
        coordinates: None,
        links: Vec::new(),
        link_on_request: None,
    };
    ((*config(LOOK)).clone(), about, complete, workbook, store)
}

#[test]
fn chunks_joined_are_the_file() {
    let (mut config, about, complete, workbook, store) = sendable();
    let file = file(&workbook, &store);
    let sha256 = workbook.sha256(&store).expect("all pages");
    let length = file.len();
    for bytes_max in [1_000, 4_096, length / 2 + 1, length - 1, length, length + 1] {
        config.record_bytes_max = bytes_max;
        let mut chunks = Chunks::new(&config, &about, &complete, &workbook, sha256, &store);
        let records: Vec<_> = chunks.by_ref().collect();
        assert_eq!(records.len(), length.div_ceil(bytes_max));
        assert_eq!(chunks.total() as usize, records.len());
        chunks.finish().expect("no error");
        assert!(records.iter().all(|record| (1..=bytes_max).contains(&record.value.len())));
        assert!(records.iter().flat_map(|record| record.value.iter()).eq(&file));
        for (n, record) in (1..).zip(&records) {
            assert_eq!((record.partition, record.key.as_deref()), (None, Some(&b"seoul.csv"[..])));
            let header = |name: &str| {
                let header = record.headers.iter().find(|header| &*header.name == name)?;
                Some(String::from_utf8(header.value.clone()?.to_vec()).expect("text"))
            };
            let number = (records.len() > 1).then(|| format!("{n}/{}", records.len()));
            assert_eq!(header("ss-chunk"), number);
            assert_eq!(header("content-type").as_deref(), Some(crate::sink::chunk::CONTENT_TYPE));
            assert_eq!(header("ss-filename").as_deref(), Some("seoul.xlsx"));
            assert_eq!(header("ss-rows").as_deref(), Some("20000"));
            assert_eq!(header("ss-bytes"), Some(length.to_string()));
            assert_eq!(header("ss-topology").as_deref(), Some("seoul 0123"));
            assert_eq!(header("traceparent").as_deref(), complete.traceparent.as_deref());
        }
    }
}

#[test]
fn a_page_that_cannot_be_read_ends_the_chunks_with_its_error() {
    let (mut config, about, complete, workbook, store) = sendable();
    config.record_bytes_max = 2_000;
    let empty = InMemoryStore::new();
    assert!(workbook.sha256(&empty).is_err());
    let mut chunks = Chunks::new(&config, &about, &complete, &workbook, [0; 32], &empty);
    let sent = chunks.by_ref().count();
    assert!(sent < chunks.total() as usize);
    assert!(chunks.next().is_none());
    assert!(chunks.finish().is_err());
    drop(store);
}

#[test]
fn a_summary_names_the_sheets_their_rows_and_their_extent() {
    let config = WorkbookConfig { summary: true, summary_numbers: vec!["size".into(), "none".into()], ..LOOK };
    let (maker, mut store) = (maker(config), InMemoryStore::new());
    let mut upload = Upload::new(&maker, &mut store, &["lon", "lat", "size"]);
    upload.sheet("가", &[vec!["126.5", "37.25", "7"], vec!["127", "36.5", "x"]], usize::MAX);
    upload.sheet("it's \"B\"", &[vec!["", "", ""]], usize::MAX);
    upload.sheet("Summary", &(0..2_500).map(|_| vec!["128", "35", "-1.5"]).collect::<Vec<_>>(), 2_048);
    let workbook = maker.assemble_with(&upload.complete, 2_048).expect("a workbook");
    let file = file(&workbook, &store);
    assert_eq!(names(&file), ["Summary", "가", "it's \"B\"", "Summary (2)", "Summary (3)", "About"]);
    let header =
        ["Sheet", "Rows", "lon least", "lon greatest", "lat least", "lat greatest", "size least", "size greatest"];
    let number = |value: f64| Data::Float(value);
    let line = |sheet: &str, numbers: &[f64]| {
        let blank = std::iter::repeat_n(Data::Empty, 7 - numbers.len());
        [text(sheet)].into_iter().chain(numbers.iter().map(|value| number(*value))).chain(blank).collect::<Vec<_>>()
    };
    assert_eq!(
        cells(&file, "Summary"),
        [
            header.map(text).to_vec(),
            line("가", &[2.0, 126.5, 127.0, 36.5, 37.25, 7.0, 7.0]),
            line("it's \"B\"", &[1.0]),
            line("Summary (2)", &[2_500.0, 128.0, 128.0, 35.0, 35.0, -1.5, -1.5]),
            line("All sheets", &[2_503.0, 126.5, 128.0, 35.0, 37.25, -1.5, 7.0]),
        ]
    );
    let xml = &parts(&file)["xl/worksheets/sheet1.xml"];
    assert!(xml.contains("tabSelected=\"1\"") && xml.contains("<autoFilter ref=\"A1:H4\"/>"));
    assert!(xml.contains("<f>HYPERLINK(\"#'it''s \"\"B\"\"'!A1\",\"it's \"\"B\"\"\")</f>"), "{xml}");
}
