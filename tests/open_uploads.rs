//! Open uploads have a limit: another one is turned away whole, and nothing of it is taken for an upload of its own.

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
