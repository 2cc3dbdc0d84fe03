//! Open uploads have a limit: another one is turned away whole, and nothing of it is taken for an upload of its own.

use sheetstream::record::Record;
use sheetstream::sink::status::UploadState;
use sheetstream::test_driver::{TopologyTestDriver, header};
use sheetstream::topology::Topology;

fn driver(limit: u32) -> TopologyTestDriver {
    let text = format!(
        r#"
name = "t"
[[source]]
name = "rows"
header = ["id", "kind"]
open_uploads_max = {limit}
[[aggregate]]
name = "by-kind"
sheet = "kind"
[[sink]]
name = "workbooks"
"#
    );
    TopologyTestDriver::new(Topology::parse(&text, "t.toml", &|_| None).unwrap_or_else(|problems| panic!("{problems}")))
}

/// State, revision and reason of every status of an upload.
fn statuses(driver: &TopologyTestDriver, upload: &str) -> Vec<(UploadState, u32, Option<String>)> {
    let statuses = driver.statuses().into_iter().filter(|status| status.upload == upload);
    statuses.map(|status| (status.state, status.revision, status.failure.map(|failure| failure.reason))).collect()
}

fn letters(driver: &TopologyTestDriver) -> Vec<(String, String)> {
    let letters = driver.dead_letters();
    let named = |name, letter| header(letter, name).unwrap_or_default();
    letters.iter().map(|letter| (named("ss-upload", letter), named("ss-reason", letter))).collect()
}

#[test]
fn another_upload_is_turned_away_with_all_its_rows_until_its_end_and_may_come_again() {
    let mut driver = driver(2);
    for upload in ["a", "b"] {
        driver.pipe(upload, "1,museum");
        driver.pipe(upload, "2,museum");
    }
    driver.pipe("c", "1,museum");
    let too_many = Some("upload.too_many".to_owned());
    assert_eq!(statuses(&driver, "c"), [(UploadState::Failed, 1, too_many.clone())], "it is reported at once");
    driver.pipe("a", "#EOF");
    driver.pipe("c", "2,museum");
    assert_eq!(
        letters(&driver),
        [("c".to_owned(), "upload.too_many".to_owned()), ("c".to_owned(), "upload.too_many".to_owned())]
    );
    assert_eq!(driver.task().expect("it runs").open_uploads().len(), 1, "the rest of an upload is none");
    driver.pipe("c", "#EOF");
    assert_eq!(statuses(&driver, "c").len(), 2);
    for row in ["1,museum", "2,museum", "#EOF"] {
        driver.pipe("c", row);
    }
    assert_eq!(statuses(&driver, "c").pop(), Some((UploadState::Published, 2, None)));
    driver.pipe("b", "#EOF");
    assert_eq!(statuses(&driver, "b"), [(UploadState::Published, 1, None)]);
}

/// The slip of a key for each row: the file that is open beside it is served, and so is one that begins behind it.
#[test]
fn a_key_for_each_row_opens_no_more_than_the_limit_and_files_beside_it_are_served() {
    let mut driver = driver(50);
    driver.pipe("open", "1,museum");
    driver.pipe("open", "2,museum");
    for row in 0..500 {
        driver.append(sheetstream::record::Record {
            key: Some(format!("{row}").into()),
            value: Some(format!("{row},museum").into()),
            ..Default::default()
        });
    }
    driver.run(7).expect("the driver's own world");
    assert_eq!(driver.task().expect("it runs").open_uploads().len(), 50);
    let too_many = Some("upload.too_many".to_owned());
    assert_eq!(statuses(&driver, "7"), [(UploadState::Failed, 1, too_many)], "the oldest give way");
    assert!(statuses(&driver, "499").is_empty(), "the newest are open");
    for line in ["1,museum", "2,museum", "3,museum", "#EOF rows=3"] {
        driver.pipe("behind", line);
    }
    driver.pipe("open", "#EOF rows=2");
    for upload in ["open", "behind"] {
        assert_eq!(statuses(&driver, upload), [(UploadState::Published, 1, None)]);
    }
}

/// Lines without a row would otherwise take places that nobody gives back.
#[test]
fn lines_without_a_row_open_nothing() {
    let mut driver = driver(2);
    for upload in ["a", "b", "c", "d"] {
        driver.pipe(upload, "\n\n");
        driver.pipe(upload, "#EOF");
        driver.pipe(upload, ",\n");
    }
    for line in ["1,museum", "#EOF"] {
        driver.pipe("e", line);
    }
    assert_eq!(statuses(&driver, "e"), [(UploadState::Published, 1, None)]);
}

/// An end that comes before its rows is awaited, and no more than that: it gives way, also after a restart.
#[test]
fn ends_of_nothing_give_way_to_uploads() {
    for restarts in [None, Some(true), Some(false)] {
        let mut driver = driver(2);
        for upload in ["a", "b", "c", "d"] {
            driver.pipe(upload, "#EOF");
        }
        if let Some(keeps_state) = restarts {
            driver.crash(keeps_state);
        }
        for line in ["1,museum", "2,museum", "#EOF"] {
            driver.pipe("e", line);
        }
        assert_eq!(statuses(&driver, "e"), [(UploadState::Published, 1, None)], "{restarts:?}");
    }
}

fn driver_of_headers() -> TopologyTestDriver {
    let text = r#"
name = "t"
[[source]]
name = "rows"
header = "first"
open_uploads_max = 20
[[aggregate]]
name = "by-kind"
sheet = "kind"
[[sink]]
name = "workbooks"
"#;
    TopologyTestDriver::new(Topology::parse(text, "t.toml", &|_| None).unwrap_or_else(|problems| panic!("{problems}")))
}

/// A header of so many columns, and a row; both of the upload alone if it is given.
fn wide(columns: usize, of: &str) -> String {
    let names: Vec<String> = (1..columns).map(|column| format!("{of}{column}")).collect();
    format!("kind,{}\nmuseum{}", names.join(","), ",".repeat(columns - 1))
}

/// 65,536 columns are the limit where few uploads may be open: four headers of 16,000 fit, and a fifth does not.
#[test]
fn headers_of_open_uploads_have_a_limit_together_and_the_same_header_counts_once() {
    for restarts in [None, Some(true)] {
        let mut driver = driver_of_headers();
        for upload in ["a", "b", "c", "d"] {
            driver.pipe(upload, wide(16_000, upload));
            driver.pipe(&format!("{upload} again"), wide(16_000, upload));
        }
        if let Some(keeps_state) = restarts {
            driver.crash(keeps_state);
        }
        driver.pipe("e", wide(16_000, "e"));
        let no_room = Some("upload.no_room".to_owned());
        assert_eq!(statuses(&driver, "e"), [(UploadState::Failed, 1, no_room)], "{restarts:?}");
        driver.pipe("small", wide(10, "small"));
        driver.pipe("a", "#EOF");
        driver.pipe("f", wide(16_000, "f"));
        assert_eq!(statuses(&driver, "f").pop().and_then(|(.., reason)| reason).as_deref(), Some("upload.no_room"));
        driver.pipe("a again", "#EOF");
        driver.pipe("g", wide(16_000, "g"));
        for upload in ["b", "b again", "small", "g"] {
            driver.pipe(upload, "#EOF");
            assert_eq!(statuses(&driver, upload).pop(), Some((UploadState::Published, 1, None)), "{upload}");
        }
    }
}

/// The same of sheets: 32 uploads of 2,048 have them all, and the next one may have 16.
#[test]
fn sheets_of_open_uploads_have_a_limit_together() {
    let rows = |sheets: usize| (0..sheets).map(|sheet| format!("{sheet},{sheet}\n")).collect::<String>();
    let mut driver = driver(100);
    for upload in 0..32 {
        driver.pipe(&upload.to_string(), rows(2_048));
    }
    driver.pipe("more", rows(17));
    driver.pipe("few", rows(16));
    let no_room = Some("upload.no_room".to_owned());
    assert_eq!(statuses(&driver, "more"), [(UploadState::Failed, 1, no_room)]);
    driver.pipe("0", "#EOF");
    driver.pipe("after", rows(2_000));
    for upload in ["few", "after", "1"] {
        driver.pipe(upload, "#EOF");
        assert_eq!(statuses(&driver, upload).pop(), Some((UploadState::Published, 1, None)), "{upload}");
    }
}

#[test]
fn a_commit_is_due_when_many_bytes_of_rejected_rows_are_new() {
    let mut driver = driver(100);
    let too_long = format!("1,{},x\n", "w".repeat(4_000)).repeat(100);
    for (records, is_due) in [(10, false), (20, true)] {
        for _ in 0..records {
            driver.append(Record { key: Some("a".into()), value: Some(too_long.clone().into()), ..Record::default() });
        }
        driver.step(records).unwrap();
        assert_eq!(driver.task().expect("it runs").commit_due(), is_due, "after {records} more");
    }
    driver.commit().unwrap();
    assert!(!driver.task().expect("it runs").commit_due());
}

/// The process is killed while it does so, too.
#[test]
fn rejected_rows_do_not_wait_in_memory_for_the_end_of_a_rebuild() {
    let too_long = format!("1,{},x\n", "w".repeat(4_000)).repeat(100);
    let driver = || {
        let mut driver = driver(100);
        for value in [&too_long; 60] {
            driver.append(Record { key: Some("a".into()), value: Some(value.clone().into()), ..Record::default() });
        }
        driver.append(Record { key: Some("a".into()), value: Some("1,kept\n".into()), ..Record::default() });
        driver.run(10).unwrap();
        driver.commit().unwrap();
        driver
    };
    let end = |driver: &mut TopologyTestDriver| {
        driver.pipe("a", "#EOF");
        driver.workbook("a").expect("a workbook")
    };
    let mut rebuilt = driver();
    rebuilt.crash(false);
    rebuilt.step(30).unwrap();
    let entries = rebuilt.state_entries();
    assert!(entries >= 2_000, "{entries} entries");
    rebuilt.crash(true);
    assert_eq!(end(&mut rebuilt), end(&mut driver()));
}
