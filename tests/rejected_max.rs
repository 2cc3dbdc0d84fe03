//! An upload of which more rows are rejected than `rejected_max` allows fails; what it is, follows from the log alone.

use sheetstream::sink::status::{StatusRecord, UploadState};
use sheetstream::test_driver::TopologyTestDriver;
use sheetstream::topology::Topology;

fn driver(limit: &str, more: &str) -> TopologyTestDriver {
    let text = format!(
        "name = \"t\"\n[[source]]\nname = \"rows\"\ncolumns = {{ n = \"integer\" }}\nrejected_max = {limit}\n{more}\n\
         [[map]]\nname = \"some\"\nfilter = \"empty(n) or n != 7\"\n\
         [[aggregate]]\nname = \"by\"\nsheet = \"s\"\n[[sink]]\nname = \"out\"\n"
    );
    TopologyTestDriver::new(Topology::parse(&text, "t.toml", &|_| None).unwrap_or_else(|problems| panic!("{problems}")))
}

fn row(n: usize, bad: &[usize]) -> String {
    if bad.contains(&n) { format!("a,row {n}") } else { format!("a,{n}") }
}

/// What became of an upload of 200 rows, of which these are bad, and one is filtered out.
fn end(limit: &str, bad: &[usize], numbered: bool, crash: Option<bool>) -> (StatusRecord, bool) {
    let mut driver = driver(limit, "");
    driver.pipe_with("a.csv", "s,n", &[("ss-type", "header")]);
    for n in 1..=200 {
        // With numbers, in pairs the wrong way round.
        let n = if numbered { ((n - 1) ^ 1) + 1 } else { n };
        match numbered {
            true => driver.pipe_with("a.csv", row(n, bad), &[("ss-row", &n.to_string())]),
            false => driver.pipe("a.csv", row(n, bad)),
        }
        if let (Some(keep_state), 120) = (crash, n) {
            driver.commit().expect("the driver's own world");
            driver.crash(keep_state);
        }
    }
    driver.pipe("a.csv", "#EOF rows=200");
    let status = driver.statuses().pop().expect("a status");
    let has_workbook = driver.workbook("a.csv").is_some();
    (status, has_workbook)
}

#[test]
fn a_share_is_judged_at_the_end_over_all_rows() {
    for numbered in [false, true] {
        for crash in [None, Some(true), Some(false)] {
            let (status, has_workbook) = end("\"1%\"", &[5, 150], numbered, crash);
            assert_eq!((status.state, has_workbook), (UploadState::Published, true));
            assert_eq!((status.accounting.rejected, status.accounting.filtered), (2, 1));

            let (status, has_workbook) = end("\"1%\"", &[5, 150, 151], numbered, crash);
            assert_eq!((status.state, has_workbook), (UploadState::Failed, false));
            let failure = status.failure.expect("it failed");
            assert_eq!(failure.reason, "rejected.too_many");
            assert!(
                failure.message.starts_with("3 of 200 rows were rejected, more than rejected_max = 1%"),
                "{}",
                failure.message
            );
            let rows = status.accounting;
            assert_eq!((rows.rows_in, rows.written, rows.rejected, rows.filtered, rows.voided), (200, 0, 3, 1, 196));
        }
    }
}

#[test]
fn a_number_fails_the_upload_at_the_row_that_is_one_too_many() {
    for crash in [None, Some(true), Some(false)] {
        let (status, has_workbook) = end("2", &[5, 150], false, crash);
        assert_eq!((status.state, has_workbook), (UploadState::Published, true));
        let (status, has_workbook) = end("2", &[5, 6, 110, 199], false, crash);
        assert_eq!((status.state, has_workbook), (UploadState::Failed, false));
        let failure = status.failure.expect("it failed");
        assert!(
            failure.message.starts_with("3 of 110 rows were rejected, more than rejected_max = 2"),
            "{}",
            failure.message
        );
        assert_eq!(status.accounting.rejected, 3, "rows behind it are void");
    }
}

#[test]
fn a_workbook_that_is_published_incomplete_is_judged_too() {
    let mut driver = driver("\"10%\"", "incomplete = \"emit\"");
    driver.pipe("a.csv", "s,n\na,1\na,x");
    driver.pipe("a.csv", "#EOF rows=9");
    assert_eq!(driver.statuses().pop().expect("a status").failure.expect("it failed").reason, "rejected.too_many");
    assert!(driver.workbook("a.csv").is_none());
}

#[test]
fn what_is_no_limit_is_refused_in_place() {
    for (limit, what) in [
        ("\"2 %\"", "t.toml:5:16: \"rejected_max\" cannot be 2 %; it is a whole number of rows, or a percentage"),
        ("-1", "\"rejected_max\" cannot be -1"),
        ("\"101%\"", "\"rejected_max\" cannot be 101%"),
        ("0.5", "\"rejected_max\" is a float; it must be a whole number of rows"),
    ] {
        let text = format!(
            "name = \"t\"\n[[source]]\nname = \"rows\"\n\nrejected_max = {limit}\n[[aggregate]]\nname = \"by\"\nsheet = \"s\"\n[[sink]]\nname = \"out\"\n"
        );
        let problems = Topology::parse(&text, "t.toml", &|_| None).expect_err(limit).to_string();
        assert!(problems.contains(what), "{problems}");
    }
}
