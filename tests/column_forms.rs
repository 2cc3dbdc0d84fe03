//! Columns whose cells are written in another form than the plain one of their type, from the topology to the cells of the workbook.

#[path = "support/workbook.rs"]
mod workbook;

use sheetstream::test_driver::TopologyTestDriver;
use sheetstream::topology::Topology;

const TOPOLOGY: &str = include_str!("topology/column-forms.toml");
const HEADER: &str = "kind;code;price;people;lat;lon;seen;opened;open";

fn driver() -> TopologyTestDriver {
    let topology = Topology::parse(TOPOLOGY, "t.toml", &|_| None).unwrap_or_else(|problems| panic!("{problems}"));
    let mut driver = TopologyTestDriver::new(topology);
    driver.pipe("a.csv", HEADER);
    driver
}

#[test]
fn cells_are_read_as_their_column_says() {
    let mut driver = driver();
    driver.pipe("a.csv", "cafe;\"=\"\"0012\"\"\";1.234,50;1 234 567;\"37°33'59.2\"\"N\";\"126° 58' 40.8\"\" E\";2024-12-31T20:30:00Z;2024. 1. 5.;예");
    driver.pipe("a.csv", "cafe;0013;-0,5;12;N 37 33 59.2;126.978;2024-01-05 09:00:00.0;2024-1-5;X");
    driver.pipe("a.csv", "cafe;;;;;;;;");
    driver.pipe("a.csv", "#EOF");
    let letters: Vec<_> = driver.dead_letters().iter().map(|letter| format!("{:?}", letter.headers)).collect();
    assert!(letters.is_empty(), "{letters:?}");
    let sheets = workbook::sheets(&driver.workbook("a.csv").expect("a workbook"));
    let rows = &sheets["cafe"];
    let number = |row: usize, column: usize| rows[row][column].parse::<f64>().expect("a number");
    assert_eq!((rows[1][1].as_str(), rows[2][1].as_str()), ("0012", "0013"));
    assert_eq!((number(1, 2), number(2, 2), number(1, 3)), (1234.5, -0.5, 1_234_567.0));
    assert!((number(1, 4) - 37.566444).abs() < 1e-6 && (number(1, 5) - 126.978).abs() < 1e-9);
    assert!(
        (number(1, 9) - 953_900.0).abs() < 5.0 && number(1, 10) > 1_952_000.0,
        "they are coordinates for the map too"
    );
    assert_eq!(number(1, 9), number(2, 9));
    assert_eq!(rows[1].len(), 11);
    assert!(rows[3][9].is_empty() && rows[3][10].is_empty(), "a row without coordinates stays");
}

#[test]
fn what_is_written_otherwise_rejects_its_row_with_its_column() {
    for (cells, column, reason) in [
        ("1.5;1;37;127;;;", "price", "number.format"),
        ("1;1,5;37;127;;;", "people", "number.format"),
        ("1;1;37°60';127;;;", "lat", "number.format"),
        ("1;1;37;127;2024-01-05T25:00Z;;", "seen", "date.format"),
        ("1;1;37;127;;05/01/2024;", "opened", "date.format"),
        ("1;1;37;127;;;maybe", "open", "boolean.format"),
    ] {
        let mut driver = driver();
        driver.pipe("a.csv", format!("cafe;x;{cells}"));
        let letter = driver.dead_letters().pop().expect(cells);
        let header = |name: &str| {
            let found =
                letter.headers.iter().find(|header| &*header.name == name).and_then(|header| header.value.clone());
            String::from_utf8(found.expect(name).to_vec()).expect("text")
        };
        assert_eq!((header("ss-column").as_str(), header("ss-reason").as_str()), (column, reason), "{cells}");
    }
}

#[test]
fn options_that_contradict_the_type_are_refused_with_their_place() {
    for (options, what) in [
        ("{ type = \"text\", decimal = \"comma\" }", "are about numbers"),
        ("{ type = \"number\", decimal = \"comma\", thousands = \"comma\" }", "is the decimal separator"),
        ("{ type = \"number\", thousands = \"point\" }", "is the decimal separator"),
        ("{ type = \"number\", angle = \"dms\", decimal = \"comma\" }", "excludes"),
        ("{ type = \"date\", zone = \"Z\" }", "is about times"),
        ("{ type = \"datetime\", zone = \"KST\" }", "\"zone\" cannot be \"KST\""),
        ("{ typ = \"number\" }", "did you mean \"type\"?"),
    ] {
        let text = TOPOLOGY.replace(
            "price = { type = \"number\", decimal = \"comma\", thousands = \"point\" }",
            &format!("price = {options}"),
        );
        let problems = Topology::parse(&text, "t.toml", &|_| None).expect_err(options).to_string();
        assert!(problems.starts_with("t.toml:10:") && problems.contains(what), "{problems}");
    }
}

const MYSQL: &str = include_str!("topology/mysql.toml");

#[test]
fn rows_are_read_as_mysql_writes_them() {
    let topology = Topology::parse(MYSQL, "mysql.toml", &|_| None).unwrap_or_else(|problems| panic!("{problems}"));
    let mut driver = TopologyTestDriver::new(topology);
    driver.pipe("a.tsv", "a\tsay \\\"hi\\\"\tx\\ty\na\tback\\\\slash\t\\N\n");
    driver.pipe("a.tsv", "a\ttwo\\\nlines\t\"in \\\"quotes\\\"\"\na\tN\tdir\\\\N");
    // The publisher of this one quotes as RFC 4180 says.
    driver.pipe_with("a.tsv", "a\tC:\\new\t\"1\"\"\"", &[("ss-escape", "none")]);
    driver.pipe("a.tsv", "#EOF rows=5");
    let sheets = workbook::sheets(&driver.workbook("a.tsv").expect("a workbook"));
    let rows: Vec<_> = sheets["a"][1..].iter().map(|row| (row[1].as_str(), row[2].as_str())).collect();
    let expected = [
        ("say \"hi\"", "x\ty"),
        ("back\\slash", ""),
        ("two\nlines", "in \"quotes\""),
        ("N", "dir\\N"),
        ("C:\\new", "1\""),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn escapes_need_a_delimiter_and_rows_of_csv() {
    for (text, what) in [
        (MYSQL.replace("delimiter = \"\\t\"\n", ""), "\"escape\" needs \"delimiter\""),
        (MYSQL.replace("escape =", "format = \"json\"\nescape ="), "is about rows of CSV"),
        (MYSQL.replace("\"backslash\"", "\"\\\\\""), "it is one of"),
    ] {
        let problems = Topology::parse(&text, "t.toml", &|_| None).expect_err(what).to_string();
        assert!(problems.contains(what), "{problems}");
    }
}
