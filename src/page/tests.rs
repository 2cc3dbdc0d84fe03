//! Pages against a naive renderer and an independent inflate.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::{CutPage, END, OpenPage, PageWriter, StyleId, Styles, cells, read, xml};
use crate::record::ColumnType;

/// A cell as the test feeds it.
#[derive(Clone, Debug)]
enum Fed {
    Text(String, ColumnType),
    Float(f64, u8),
    Blank,
}

fn styles() -> Styles {
    Styles::new(std::array::from_fn(|index| index as u16))
}

fn feed(rows: &[Vec<Fed>]) -> OpenPage {
    let mut page = OpenPage::default();
    for row in rows {
        for cell in row {
            match cell {
                Fed::Text(text, column) => page.cell(text, *column),
                Fed::Float(value, decimals) => page.float(*value, *decimals),
                Fed::Blank => page.blank(),
            }
        }
        page.end_row();
    }
    page
}

fn inflate(segments: &[&[u8]]) -> Vec<u8> {
    let mut xml = Vec::new();
    let stream = segments.concat();
    DeflateDecoder::new(&stream[..]).read_to_end(&mut xml).expect("a valid deflate stream");
    xml
}

/// Checks that a page unpacks to `xml` by itself.
fn check(page: &CutPage, xml: &[u8], rows: usize) {
    assert!(page.bytes.ends_with(&[0, 0, 0xff, 0xff]), "a page ends with a sync flush");
    let back = inflate(&[&page.bytes, &END]);
    assert_eq!(String::from_utf8_lossy(&back), String::from_utf8_lossy(xml));
    assert_eq!((page.xml_crc, page.xml_length as usize, page.rows as usize), (crc32fast::hash(xml), xml.len(), rows));
}

fn render(rows: &[Vec<Fed>], first_row: u32, cell_refs: bool) -> String {
    let mut out = String::new();
    for (row, cells) in (first_row..).zip(rows) {
        out += &if cell_refs { format!("<row r=\"{row}\">") } else { "<row>".to_owned() };
        for (column, cell) in (0..).zip(cells) {
            let Some((style, inner)) = render_value(cell) else {
                out += if cell_refs { "" } else { "<c/>" };
                continue;
            };
            let reference = if cell_refs { format!(" r=\"{}{row}\"", column_name(column)) } else { String::new() };
            let style = if style.index() == 0 { String::new() } else { format!(" s=\"{}\"", style.index()) };
            out += &format!("<c{reference}{style}{inner}</c>");
        }
        out += "</row>";
    }
    out
}

fn column_name(column: u32) -> String {
    let mut out = Vec::new();
    xml::column_name(column, &mut out);
    String::from_utf8(out).expect("letters")
}

/// Style, and the cell from behind its attributes up to its end.
fn render_value(cell: &Fed) -> Option<(StyleId, String)> {
    let number = |style, value: &str| Some((style, format!("><v>{value}</v>")));
    match cell {
        Fed::Blank => None,
        Fed::Float(value, _) if !value.is_finite() => None,
        Fed::Float(value, decimals) => {
            let fixed = format!("{value:.*}", usize::from(*decimals));
            let short = if fixed.contains('.') { fixed.trim_end_matches('0').trim_end_matches('.') } else { &fixed };
            number(StyleId::number(*decimals), if short == "-0" { "0" } else { short })
        }
        Fed::Text(text, _) if text.is_empty() => None,
        Fed::Text(text, column) => match column {
            ColumnType::Auto if cells::plain_number(text).is_some() => {
                let decimals = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
                number(StyleId::number(decimals as u8), text)
            }
            ColumnType::Integer if text.trim().parse::<i64>().is_ok() => {
                number(StyleId::number(0), &text.trim().parse::<i64>().expect("checked").to_string())
            }
            ColumnType::Date if cells::parse_date(text).is_some() => {
                number(StyleId::DATE, &cells::parse_date(text).expect("checked").to_string())
            }
            ColumnType::DateTime if cells::parse_datetime(text).is_some() => {
                number(StyleId::DATETIME, &cells::parse_datetime(text).expect("checked").to_string())
            }
            ColumnType::Boolean if cells::parse_boolean(text).is_some() => {
                let value = u8::from(cells::parse_boolean(text).expect("checked"));
                Some((StyleId::BOOLEAN, format!(" t=\"b\"><v>{value}</v>")))
            }
            ColumnType::Number if cells::parse_number(text).is_some() => {
                let digits = text.trim().trim_start_matches('+');
                number(StyleId::number(cells::decimal(text).expect("checked").decimals), digits)
            }
            _ => {
                let space = if xml::Classes::of(text.as_bytes()).must_preserve(text.as_bytes()) {
                    " xml:space=\"preserve\""
                } else {
                    ""
                };
                let mut escaped = Vec::new();
                xml::escape(text.as_bytes(), |bytes| escaped.extend_from_slice(bytes));
                let escaped = String::from_utf8(escaped).expect("UTF-8");
                Some((StyleId::TEXT, format!(" t=\"inlineStr\"><is><t{space}>{escaped}</t></is>")))
            }
        },
    }
}

const WORDS: &[&str] = &[
    "서울특별시",
    "강남구",
    "역삼동",
    "12-3",
    " ",
    "<b>",
    "&amp;",
    "_x0041_",
    "\r\n",
    "\u{ffff}",
    "\0",
    "=SUM(A1)",
    "</t>",
    "😀",
    "-",
    "@a",
    "\t",
];

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::collection::vec(prop::sample::select(WORDS), 0..8).prop_map(|words| words.concat()),
        any::<String>(),
        (0..30_usize, 1..400_usize).prop_map(|(word, times)| WORDS[word % WORDS.len()].repeat(times)),
    ]
}

fn any_cell() -> impl Strategy<Value = Fed> {
    let float =
        (-2_000_000_i64..2_000_000, 0..12_u8).prop_map(|(value, decimals)| Fed::Float(value as f64 / 3.0, decimals));
    prop_oneof![
        4 => any_text().prop_map(|text| Fed::Text(text, ColumnType::Auto)),
        1 => any_text().prop_map(|text| Fed::Text(text, ColumnType::Text)),
        4 => (-10_000_000_i64..10_000_000, 0..4_usize)
            .prop_map(|(value, decimals)| Fed::Text(format!("{:.decimals$}", value as f64 / 100.0), ColumnType::Auto)),
        2 => float,
        1 => Just(Fed::Float(f64::NAN, 3)),
        2 => Just(Fed::Blank),
        1 => (-9_999_999_i64..9_999_999).prop_map(|value| Fed::Text(format!(" {value}"), ColumnType::Integer)),
        1 => (1900..2100, 1..13, 1..32).prop_map(|(y, m, d)| Fed::Text(format!("{y}-{m:02}-{d:02}"), ColumnType::Date)),
        1 => (1900..2100, 0..24, 0..60).prop_map(|(y, h, m)| Fed::Text(format!("{y}-03-01 {h:02}:{m:02}"), ColumnType::DateTime)),
        1 => prop::sample::select(&["yes", "N", "1", "maybe"][..]).prop_map(|text| Fed::Text(text.to_owned(), ColumnType::Boolean)),
        1 => prop::sample::select(&["1e5", "+7", " 2.50", "x"][..]).prop_map(|text| Fed::Text(text.to_owned(), ColumnType::Number)),
    ]
}

/// Rows of their own, and rows that repeat earlier ones with a cell changed.
fn any_rows() -> impl Strategy<Value = Vec<Vec<Fed>>> {
    let row = prop::collection::vec(any_cell(), 0..9);
    (
        prop::collection::vec(row, 1..12),
        prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any_cell()), 0..40),
    )
        .prop_map(|(mut rows, changes)| {
            for (which, column, cell) in changes {
                let mut row = which.get(&rows).clone();
                if !row.is_empty() {
                    let column = column.index(row.len());
                    row[column] = cell;
                }
                rows.push(row);
            }
            rows
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_page_inflates_to_its_plainly_rendered_rows(rows in any_rows(), first_row in 2..1_048_000_u32, cell_refs: bool) {
        let mut writer = PageWriter::new(styles(), cell_refs);
        let mut page = feed(&rows);
        let cut = writer.cut(&mut page, first_row);
        check(&cut, render(&rows, first_row, cell_refs).as_bytes(), rows.len());
        prop_assert_eq!((page.rows(), page.bytes()), (0, 0));
    }

    #[test]
    fn a_page_does_not_depend_on_the_pages_before_it(before in any_rows(), rows in any_rows(), cell_refs: bool) {
        let alone = PageWriter::new(styles(), cell_refs).cut(&mut feed(&rows), 7);
        let mut writer = PageWriter::new(styles(), cell_refs);
        writer.cut(&mut feed(&before), 2);
        writer.wrap(b"<worksheet>");
        prop_assert_eq!(writer.cut(&mut feed(&rows), 7), alone);
    }

    #[test]
    fn a_concatenation_of_pages_is_one_stream(pages in prop::collection::vec(any_rows(), 1..4), cell_refs: bool) {
        let mut writer = PageWriter::new(styles(), cell_refs);
        let head = writer.wrap(b"<sheetData>");
        let (mut stream, mut xml, mut crc, mut row) = (head.bytes, b"<sheetData>".to_vec(), crc32fast::Hasher::new(), 2);
        crc.combine(&crc32fast::Hasher::new_with_initial_len(head.xml_crc, u64::from(head.xml_length)));
        for rows in &pages {
            let cut = writer.cut(&mut feed(rows), row);
            xml.extend_from_slice(render(rows, row, cell_refs).as_bytes());
            stream.extend_from_slice(&cut.bytes);
            crc.combine(&crc32fast::Hasher::new_with_initial_len(cut.xml_crc, u64::from(cut.xml_length)));
            row += cut.rows;
        }
        prop_assert_eq!(inflate(&[&stream, &END]), &xml[..]);
        prop_assert_eq!(crc.finalize(), crc32fast::hash(&xml));
    }

    #[test]
    fn rows_of_a_page_read_back_as_they_are_shown_while_it_is_open(
        rows in any_rows(), first_row in 2..1_048_000_u32, cell_refs: bool, rows_max in 0..60_usize,
    ) {
        let mut page = feed(&rows);
        let open = page.head(rows_max);
        let cut = PageWriter::new(styles(), cell_refs).cut(&mut page, first_row);
        let xml = read::inflate_rows(&cut.bytes, rows_max);
        let read = read::rows(&xml, |index| styles().style_of(index), rows_max).expect("our own cells");
        prop_assert_eq!(read.len(), rows.len().min(rows_max));
        prop_assert_eq!(read, open);
    }

    #[test]
    fn wrapped_xml_inflates_to_itself(parts in prop::collection::vec(any_text(), 0..20)) {
        let xml = parts.concat();
        check(&PageWriter::new(styles(), true).wrap(xml.as_bytes()), xml.as_bytes(), 0);
    }
}

/// A page much larger than zlib's would mean that matches are missed.
#[test]
fn pages_are_about_as_small_as_those_of_zlib() {
    for cell_refs in [true, false] {
        let rows = sample(1_024);
        let cut = PageWriter::new(styles(), cell_refs).cut(&mut feed(&rows), 2);
        let mut zlib = DeflateEncoder::new(Vec::new(), Compression::new(6));
        zlib.write_all(render(&rows, 2, cell_refs).as_bytes()).expect("writing to memory");
        let zlib = zlib.finish().expect("writing to memory").len();
        assert!(cut.bytes.len() * 25 < zlib * 26, "{} bytes, zlib {zlib}", cut.bytes.len());
    }
}

#[test]
fn rows_that_repeat_cost_next_to_nothing() {
    let row = vec![
        Fed::Text("서울특별시 강남구 역삼동".to_owned(), ColumnType::Text),
        Fed::Text("37.5".to_owned(), ColumnType::Auto),
    ];
    let rows = vec![row; 1_024];
    let cut = PageWriter::new(styles(), true).cut(&mut feed(&rows), 2);
    check(&cut, render(&rows, 2, true).as_bytes(), rows.len());
    assert!(cut.bytes.len() < 1_024 * 9, "{} bytes", cut.bytes.len());
}

/// State directories keep pages, and people compare workbooks by their hash: other bytes are another page format.
#[test]
fn the_bytes_of_a_page_are_fixed() {
    let digest = |cell_refs| {
        let cut = PageWriter::new(styles(), cell_refs).cut(&mut feed(&sample(1_024)), 2);
        let digest = Sha256::digest(&cut.bytes);
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    assert_eq!((digest(true).as_str(), digest(false).as_str()), ("37e8f914c8fa2d54", "daf0022b511ef8eb"));
}

/// Districts, numbers and codes, the same on every call.
fn sample(rows: u32) -> Vec<Vec<Fed>> {
    let auto = |text: String| Fed::Text(text, ColumnType::Auto);
    let mut seed = 88_172_645_463_325_252_u64;
    let mut next = |bound: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % bound
    };
    (1..=rows)
        .map(|id| {
            vec![
                auto(id.to_string()),
                auto(format!(
                    "{} {}호점",
                    ["강남구 약국", "해운대구 편의점", "애월읍 카페"][next(3) as usize],
                    next(1000)
                )),
                auto("서울".to_owned()),
                auto(format!("{}.{:02}", 900_000 + next(400_000), next(100))),
                Fed::Float(126.0 + next(4_000_000_000) as f64 / 1e9, 9),
                if next(3) == 0 { Fed::Blank } else { auto(format!("{:05}", next(100_000))) },
            ]
        })
        .collect()
}

#[test]
fn long_pages_are_whole() {
    for cell_refs in [true, false] {
        for rows in
            [sample(3_000), vec![(0..3_000).map(|value| Fed::Text(value.to_string(), ColumnType::Auto)).collect(); 20]]
        {
            let cut = PageWriter::new(styles(), cell_refs).cut(&mut feed(&rows), 2);
            check(&cut, render(&rows, 2, cell_refs).as_bytes(), rows.len());
        }
    }
}

#[test]
fn a_page_of_long_cells_is_whole() {
    let text: String = (0..32_767_u32).map(|at| char::from_u32(0xac00 + at * at % 11_172).unwrap_or('x')).collect();
    let rows =
        vec![vec![Fed::Text(text, ColumnType::Text), Fed::Blank, Fed::Text("&".repeat(32_767), ColumnType::Text)]; 9];
    let cut = PageWriter::new(styles(), true).cut(&mut feed(&rows), 2);
    check(&cut, render(&rows, 2, true).as_bytes(), rows.len());
}

#[test]
fn an_empty_page_is_an_empty_segment() {
    check(&PageWriter::new(styles(), true).cut(&mut OpenPage::default(), 2), b"", 0);
}

#[test]
fn formulas_are_text() {
    for text in ["=1+1", "+1", "-1-1", "@SUM(A1)", "-"] {
        let cut =
            PageWriter::new(styles(), false).cut(&mut feed(&[vec![Fed::Text(text.to_owned(), ColumnType::Auto)]]), 2);
        check(&cut, format!("<row><c t=\"inlineStr\"><is><t>{text}</t></is></c></row>").as_bytes(), 1);
    }
}
