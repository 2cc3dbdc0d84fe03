//! Maps over columns, from the topology to the counts, the workbook and the dead letters: `filter`, `compute`, `cast`, `rename`, `drop`.

#[path = "support/workbook.rs"]
mod workbook;

use sheetstream::record::Accounting;
use sheetstream::test_driver::{TopologyTestDriver, header};
use sheetstream::topology::Topology;

const TOPOLOGY: &str = include_str!("topology/column-maps.toml");
const HEADER: &str = "이름,address,state,area,price,opened,x,y,phone";
/// Written; left out by its state, its area, its date, its place; rejected by a type, by a division, by its place.
const ROWS: [&str; 9] = [
    "한강식당,서울 마포구,open,33.5,\"1.234,50\",2021-05-01,953900,1952000,02-1",
    "폐업상회,서울 마포구,closed,33.5,\"1,5\",2021-05-01,953900,1952000,02-2",
    "쪽방,서울 마포구,open,9.99,\"1,5\",2021-05-01,953900,1952000,02-3",
    "옛집,서울 마포구,open,33.5,\"1,5\",2019-12-31,953900,1952000,02-4",
    "강릉집,강원 강릉시,open,33.5,\"1,5\",2021-05-01,1130000,1970000,033-1",
    "틀린집,서울 마포구,open,33.5,1.5,2021-05-01,953900,1952000,02-5",
    "먼집,서울 마포구,open,33.5,\"1,5\",2021-05-01,1,1,02-6",
    "빈집,인천 중구,open,,\"1,5\",2021-05-01,925000,1940000,032-1",
    "셋집,인천 중구,open,30,100,2022-02-02,925000,1940000,032-2",
];

fn driver(topology: &str) -> TopologyTestDriver {
    TopologyTestDriver::new(
        Topology::parse(topology, "t.toml", &|_| None).unwrap_or_else(|problems| panic!("{problems}")),
    )
}

fn accounting(driver: &TopologyTestDriver) -> Accounting {
    driver.statuses().last().expect("a status").accounting
}

#[test]
fn rows_are_filtered_computed_cast_renamed_and_dropped() {
    let mut driver = driver(TOPOLOGY);
    driver.pipe("a.csv", format!("{HEADER}\n{}", ROWS.join("\n")));
    driver.pipe("a.csv", "#EOF rows=9");
    let rows = accounting(&driver);
    assert_eq!((rows.rows_in, rows.written, rows.rejected, rows.filtered), (9, 3, 2, 4));
    let letters: Vec<_> =
        driver.dead_letters().iter().map(|letter| (header(letter, "ss-column"), header(letter, "ss-reason"))).collect();
    let letter = |column: Option<&str>, reason: &str| (column.map(str::to_owned), Some(reason.to_owned()));
    assert_eq!(letters, [letter(Some("price"), "number.format"), letter(None, "coord.range")]);

    let sheets = workbook::sheets(&driver.workbook("a.csv").expect("a workbook"));
    let columns =
        ["name", "address", "area", "price", "opened", "x", "y", "unit_price", "district", "year", "lon", "lat"];
    assert_eq!(sheets["서울"][0], columns);
    assert_eq!(sheets["서울"].len(), 2);
    assert_eq!(sheets["서울"][1][..4], ["한강식당", "서울 마포구", "33.5", "1234.5"]);
    assert_eq!(sheets["서울"][1][7..10], ["36.85", "서울", "2021"]);
    let incheon: Vec<&[String]> = sheets["인천"][1..].iter().map(|row| &row[7..10]).collect();
    assert_eq!(incheon, [["", "인천", "2021"], ["3.33", "인천", "2022"]]);
    let about: Vec<_> = sheets["About"].iter().map(|row| row.join("|")).collect();
    assert!(about.iter().any(|line| line.starts_with("Rows left out by a filter|4")), "{about:?}");
}

/// Rows out of order, in any batches, with a crash in between: the same counts and the same bytes as in order.
#[test]
fn filtered_rows_keep_their_place_in_count_order_and_checksum() {
    let mut plain = driver(TOPOLOGY);
    plain.pipe_with("a.csv", HEADER, &[("ss-type", "header")]);
    let number = |at: usize| (at + 1).to_string();
    for (at, row) in ROWS.iter().enumerate() {
        plain.pipe_with("a.csv", *row, &[("ss-row", &number(at))]);
    }
    let checksum = {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(ROWS.map(|row| format!("{row}\n")).concat());
        digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let end = format!("#EOF rows=9 sha256={checksum}");
    plain.pipe("a.csv", end.clone());
    let expected = plain.workbook("a.csv").expect("a workbook");

    for keep_state in [true, false] {
        let mut driver = driver(TOPOLOGY);
        driver.pipe_with("a.csv", HEADER, &[("ss-type", "header")]);
        for at in [1, 4, 3, 8, 7, 0, 2, 2, 6, 5] {
            driver.pipe_with("a.csv", ROWS[at], &[("ss-row", &number(at))]);
            if at == 7 {
                driver.commit().expect("the driver's own world");
                driver.crash(keep_state);
            }
        }
        driver.pipe("a.csv", end.clone());
        let rows = accounting(&driver);
        assert_eq!((rows.written, rows.rejected, rows.filtered, rows.duplicate), (3, 2, 4, 1), "{rows:?}");
        assert!(driver.workbook("a.csv").expect("a workbook") == expected, "the same bytes, state kept: {keep_state}");
    }
}

#[test]
fn an_upload_of_filtered_rows_alone_is_published_and_a_missing_column_fails_it() {
    let mut driver = driver(TOPOLOGY);
    driver.pipe("a.csv", format!("{HEADER}\n{}\n{}", ROWS[1], ROWS[2]));
    driver.pipe("a.csv", "#EOF");
    assert_eq!((accounting(&driver).written, accounting(&driver).filtered), (0, 2));
    assert!(driver.workbook("a.csv").is_some());

    let without_state = HEADER.replace("state", "status");
    driver.pipe("b.csv", format!("{without_state}\n{}", ROWS[0]));
    driver.pipe("b.csv", "#EOF");
    let status = driver.statuses().pop().expect("a status");
    let failure = status.failure.expect("it failed");
    assert_eq!(failure.reason, "column.missing");
    assert!(failure.message.contains("\"state\""), "{}", failure.message);
}

#[test]
fn a_computed_column_whose_name_a_file_has_becomes_the_second_of_that_name() {
    let topology = "name = \"t\"\n[[source]]\nname = \"rows\"\n[[map]]\nname = \"c\"\ncompute = { n = \"number(a) / 3\", b = \"a\" }\n\
                    [[aggregate]]\nname = \"by\"\nsheet = \"s\"\n[[sink]]\nname = \"out\"\n";
    let mut driver = driver(topology);
    driver.pipe("a.csv", "s,a,n\nx,1,kept\ny,0.3,kept\nz,one,kept");
    driver.pipe("a.csv", "#EOF");
    let sheets = workbook::sheets(&driver.workbook("a.csv").expect("a workbook"));
    assert_eq!(sheets["x"], [vec!["s", "a", "n", "n_2", "b"], vec!["x", "1", "kept", "0.333333333333333", "1"]]);
    assert_eq!(sheets["y"][1][3], "0.1");
    let letter = driver.dead_letters().pop().expect("a dead letter");
    assert_eq!(header(&letter, "ss-column").as_deref(), Some("a"));
    assert_eq!(header(&letter, "ss-reason").as_deref(), Some("number.format"));
}

#[test]
fn a_row_may_name_its_crs_and_write_both_coordinates_in_one_cell() {
    let topology = Topology::parse(include_str!("topology/row-crs.toml"), "t.toml", &|_| None).expect("it is right");
    let described = topology.describe().to_string();
    for line in [
        "reproject: the CRS that epsg or 좌표계 names in each row to EPSG:4326 (WGS 84)",
        "coordinates: y and x, in one cell, from 위치",
        "axes: EPSG:2053 itself counts westing and southing; here x is east, its westing with the other sign",
    ] {
        assert!(described.contains(line), "{described}");
    }
    let mut driver = TopologyTestDriver::new(topology);
    driver.pipe("a.csv", "kind,위치,epsg,lon_lat\na,\"(1952030, 953900)\",5179,\"29.5, -25\"\na,\"451885.03 198056.37\",5181,\"29.5 -25\"\na,\"1, 1\",12,\"29.5 -25\"");
    driver.pipe("a.csv", "#EOF");
    let sheets = workbook::sheets(&driver.workbook("a.csv").expect("a workbook"));
    let number = |row: usize, column: usize| sheets["a"][row][column].parse::<f64>().expect("a number");
    for row in [1, 2] {
        assert!((number(row, 4) - 126.978).abs() < 1e-4 && (number(row, 5) - 37.5665).abs() < 1e-4);
        assert!(number(row, 6) > 50_000.0 && number(row, 7) < -2_000_000.0);
    }
    let letter = driver.dead_letters().pop().expect("a dead letter");
    assert_eq!(header(&letter, "ss-reason").as_deref(), Some("coord.crs"));
    assert_eq!(header(&letter, "ss-column").as_deref(), Some("epsg"));
}

/// The shipped topology of this kind, with the sample that its first lines name.
#[test]
fn open_shops_are_typed_filtered_computed_and_cleaned() {
    let mut driver = driver(include_str!("../topology/open-shops.toml"));
    driver.pipe("shops.csv", include_str!("../examples/data/shops.csv"));
    driver.pipe("shops.csv", "#EOF rows=9");
    let rows = accounting(&driver);
    assert_eq!((rows.rows_in, rows.written, rows.rejected, rows.filtered), (9, 5, 1, 3));
    let sheets = workbook::sheets(&driver.workbook("shops.csv").expect("a workbook"));
    let columns = [
        "가게",
        "인허가일자",
        "소재지면적",
        "월임대료",
        "주소",
        "자치구",
        "면적당임대료",
        "개업연도",
        "경도",
        "위도",
        "지도",
    ];
    assert_eq!(sheets["종로구"][0], columns);
    assert!(sheets["종로구"][1..].iter().all(|row| row[10] == "지도"), "{:?}", sheets["종로구"]);
    let summary = &sheets["요약"];
    assert_eq!(summary[0][..4], ["시트", "행 수", "경도 최솟값", "경도 최댓값"]);
    assert_eq!(summary[0][6..], ["면적당임대료 최솟값", "면적당임대료 최댓값"]);
    let line = |line: usize| [0, 1, 6, 7].map(|column: usize| summary[line][column].as_str());
    assert_eq!(line(1), ["마포구", "2", "20000", "35821"]);
    assert_eq!(line(2), ["종로구", "3", "30000", "30000"]);
    assert_eq!(line(3), ["전체", "5", "20000", "35821"]);
    let shown = |district: &str| -> Vec<[String; 4]> {
        sheets[district][1..].iter().map(|row| [0, 3, 6, 7].map(|column: usize| row[column].clone())).collect()
    };
    let row = |cells: [&str; 4]| cells.map(str::to_owned);
    assert_eq!(
        shown("종로구"),
        [
            row(["푸른문 서점", "1980000", "30000", "2011"]),
            row(["솔숲 찻집", "850000", "", "2021"]),
            row(["별마루 약국", "2169000", "30000", "2017"])
        ]
    );
    assert_eq!(
        shown("마포구"),
        [row(["붉은연 식당", "1200000", "35821", "2019"]), row(["달빛 공방", "1000000", "20000", "2023"])]
    );
    let rejected = &sheets["오류"][1];
    assert_eq!((rejected[2].as_str(), rejected[3].as_str()), ("월임대료", "number.format"), "{rejected:?}");
    let about: Vec<String> = sheets["정보"].iter().map(|row| row[..2].join("|")).collect();
    let links = "지도 링크|map.kakao.com (링크를 열면 그 위치가 이 사이트에 전달됩니다)";
    assert!(about.contains(&links.to_owned()), "{about:?}");
    assert!(about.contains(&"조건에 맞지 않아 뺀 행|3".to_owned()), "{about:?}");
}
