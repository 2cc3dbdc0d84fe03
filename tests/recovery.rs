//! Crashes at every point: nothing is lost, nothing is doubled inside a workbook, and the bytes are those of an undisturbed run.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::prelude::*;
use sheetstream::record::{Header, Offset, Record};
use sheetstream::sink::status::UploadState;
use sheetstream::test_driver::{TopologyTestDriver, header};
use sheetstream::topology::Topology;
use sheetstream::transport::TransportError;

fn topology() -> Topology {
    let text = r#"
name = "t"
[[source]]
name = "rows"
header = "first"
[[map]]
name = "wgs84"
reproject = { from = "EPSG:5179", to = "EPSG:4326", x = "x", y = "y", into = ["lon", "lat"] }
[[aggregate]]
name = "by-kind"
sheet = "kind"
[[sink]]
name = "workbooks"
record_bytes_max = 65536
"#;
    Topology::parse(text, "t.toml", &|_| None).unwrap_or_else(|problems| panic!("{problems}"))
}

fn row(n: u64) -> String {
    let kind = ["museum", "park", "school"][usize::try_from(n * n % 7 % 3).expect("small")];
    // every 97th row is rejected
    let x = if n % 97 == 5 { "none".to_owned() } else { format!("{}.{:02}", 953_000 + n % 900, n % 100) };
    format!("{n},Place {},{kind},{x},{}", n % 13, 1_952_000 + n % 700)
}

fn record(key: &str, value: String, headers: &[(&str, String)]) -> Record {
    let headers = headers.iter().map(|(name, value)| Header::new(name, value.clone().into_bytes())).collect();
    Record { key: Some(Bytes::from(key.to_owned())), value: Some(value.into()), headers, ..Record::default() }
}

const HEADER: &str = "id,name,kind,x,y";

/// Three uploads that overlap: plain lines, a numbered one whose blocks come out of order and twice, and a short one in between.
fn log() -> Vec<Record> {
    let mut plain: Vec<Record> = vec![record("plain.csv", HEADER.into(), &[])];
    plain.extend((1..=60).map(|block| {
        let lines: Vec<String> = (block * 60 - 59..=block * 60).map(row).collect();
        record("plain.csv", lines.join("\n"), &[])
    }));
    plain.push(record("plain.csv", "#EOF rows=3600".into(), &[]));

    let attempt = ("ss-attempt", "one".to_owned());
    let marker = |kind: &str, extra: &[(&'static str, String)]| {
        let mut headers = vec![("ss-type", kind.to_owned()), attempt.clone()];
        headers.extend(extra.iter().cloned());
        headers
    };
    let mut numbered = vec![
        record("numbered.csv", String::new(), &marker("begin", &[("ss-name", "numbered.csv".into())])),
        record("numbered.csv", HEADER.into(), &marker("header", &[])),
    ];
    for block in (0..50u64).map(|n| n / 5 * 5 + [2, 0, 4, 1, 3][usize::try_from(n % 5).expect("small")]) {
        let lines: Vec<String> = (block * 50 + 1..=block * 50 + 50).map(row).collect();
        let again = if block % 11 == 3 { 2 } else { 1 };
        for _ in 0..again {
            let headers = marker("row", &[("ss-row", (block * 50 + 1).to_string())]);
            numbered.push(record("numbered.csv", lines.join("\n"), &headers));
        }
    }
    numbered.push(record("numbered.csv", String::new(), &marker("eof", &[("ss-rows", "2500".into())])));

    let mut all = Vec::new();
    let mut plain = plain.into_iter();
    for (n, record_) in numbered.into_iter().enumerate() {
        all.extend(plain.next());
        all.push(record_);
        if n == 20 {
            all.push(record("short.csv", format!("{HEADER}\n{}", row(1)), &[]));
            all.push(record("short.csv", "#EOF".into(), &[]));
        }
    }
    all.extend(plain);
    all
}

const UPLOADS: [&str; 3] = ["plain.csv", "numbered.csv", "short.csv"];

/// What an undisturbed run gives: the workbook and the final status of each upload, and the dead letters' places.
struct Expected {
    books: Vec<Vec<u8>>,
    statuses: Vec<String>,
    letters: BTreeSet<(String, String)>,
}

fn letters(driver: &TopologyTestDriver) -> BTreeSet<(String, String)> {
    let place =
        |letter| (header(&letter, "ss-upload").expect("always set"), header(&letter, "ss-row").expect("always set"));
    driver.dead_letters().into_iter().map(place).collect()
}

fn finals(driver: &TopologyTestDriver) -> Vec<String> {
    let last = |upload: &&str| {
        let status = driver.statuses().into_iter().rfind(|s| s.upload == **upload).expect("every upload has a status");
        assert_eq!(status.state, UploadState::Published);
        assert!(status.accounting.balances());
        format!("{:?} {:?}", status.accounting, status.rows_sha256)
    };
    UPLOADS.iter().map(last).collect()
}

fn expected() -> Expected {
    let mut driver = TopologyTestDriver::new(topology());
    log().into_iter().for_each(|record| {
        driver.append(record);
    });
    driver.run(usize::MAX).expect("an undisturbed run");
    let books = UPLOADS.iter().map(|upload| {
        let mut books = driver.workbooks(upload);
        assert_eq!(books.len(), 1, "{upload} is published once");
        books.remove(0)
    });
    Expected { books: books.collect(), statuses: finals(&driver), letters: letters(&driver) }
}

/// Runs to the end, in fetches of `fetch` records.
fn finish(driver: &mut TopologyTestDriver, fetch: usize, expected: &Expected) {
    driver.run(fetch).expect("the broker is back");
    for (upload, book) in UPLOADS.iter().zip(&expected.books) {
        let books = driver.workbooks(upload);
        assert!(!books.is_empty(), "{upload} is not lost");
        assert!(books.iter().all(|found| found == book), "{upload} is the same byte for byte");
    }
    assert_eq!(finals(driver), expected.statuses);
    assert_eq!(letters(driver), expected.letters);
}

#[test]
fn fetch_sizes_do_not_change_the_bytes() {
    let expected = expected();
    for fetch in [1, 2, 3, 7, 50] {
        let mut driver = TopologyTestDriver::new(topology());
        log().into_iter().for_each(|record| {
            driver.append(record);
        });
        finish(&mut driver, fetch, &expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn crashes_change_nothing(
        // (fetches before the crash, records a fetch, whether the last fetch is committed, whether the state survives)
        crashes in prop::collection::vec((1usize..12, 1usize..30, any::<bool>(), any::<bool>()), 1..8),
        fetch in 1usize..40,
    ) {
        let expected = expected();
        let mut driver = TopologyTestDriver::new(topology());
        log().into_iter().for_each(|record| { driver.append(record); });
        for (fetches, records, commit, keep) in crashes {
            for n in 0..fetches {
                driver.step(records).expect("the driver does not fail by itself");
                if commit || n + 1 < fetches {
                    driver.commit().expect("nor does its commit");
                }
            }
            driver.crash(keep);
        }
        finish(&mut driver, fetch, &expected);
    }

    #[test]
    fn a_broker_that_fails_in_the_middle_changes_nothing(
        failures in prop::collection::vec((0u32..60, 1usize..30, any::<bool>()), 1..6),
    ) {
        let expected = expected();
        let mut driver = TopologyTestDriver::new(topology());
        log().into_iter().for_each(|record| { driver.append(record); });
        for (calls, records, keep) in failures {
            driver.fail_broker_after(calls);
            // A task that failed is thrown away and started again from its last commit.
            driver.run(records).ok();
            driver.crash(keep);
        }
        finish(&mut driver, 20, &expected);
    }
}

#[test]
fn a_reset_offset_processes_everything_again_and_sends_nothing_twice() {
    let expected = expected();
    let mut driver = TopologyTestDriver::new(topology());
    log().into_iter().for_each(|record| {
        driver.append(record);
    });
    driver.run(10).expect("a first run");
    driver.crash(true);
    driver.reset_offset(Offset(0));
    driver.run(10).expect("a second run");
    for (upload, book) in UPLOADS.iter().zip(&expected.books) {
        assert_eq!(driver.workbooks(upload), std::slice::from_ref(book), "{upload}");
    }
    assert!(driver.statuses().iter().all(|status| status.revision == 1));
}

#[test]
fn the_last_word_of_an_id_is_the_same_after_a_reset() {
    let mut driver = TopologyTestDriver::new(topology());
    let whole = || format!("{HEADER}\n{}", row(1));
    for values in
        [[whole(), "#ABORT".into()], ["no,such,columns\n1,2,3".into(), "#EOF".into()], [whole(), "#EOF".into()]]
    {
        values.into_iter().for_each(|value| driver.pipe("a.csv", value));
    }
    let last = |driver: &TopologyTestDriver| driver.statuses().pop().map(|status| (status.state, status.revision));
    let published = Some((UploadState::Published, 3));
    assert_eq!(last(&driver), published);
    driver.crash(true);
    driver.reset_offset(Offset(0));
    driver.run(10).expect("a second run");
    assert_eq!(last(&driver), published);
}

/// Somebody set the offset for another log than the one that is there: what this one has is read, and nothing waits for that offset.
#[test]
fn an_offset_that_was_set_behind_the_end_of_the_log_says_nothing() {
    let mut driver = TopologyTestDriver::new(topology());
    driver.append(record("a.csv", format!("{HEADER}\n{}", row(1)), &[]));
    driver.append(record("a.csv", "#EOF".into(), &[]));
    driver.reset_offset(Offset(1_000));
    driver.run(1).expect("the driver's own world");
    driver.pipe("a.csv", format!("{HEADER}\n{}", row(2)));
    driver.pipe("a.csv", "#EOF");
    assert_eq!(driver.workbooks("a.csv").len(), 2);
}

/// Whoever keeps the workbook of the highest revision has that of the new topology.
#[test]
fn what_another_topology_makes_of_the_same_log_has_a_higher_revision() {
    let mut driver = TopologyTestDriver::new(topology());
    for value in
        [format!("{HEADER}\n{}", row(1)), "#EOF".to_owned(), format!("{HEADER}\n{}", row(2)), "#EOF".to_owned()]
    {
        driver.pipe("a.csv", value);
    }
    let revisions = |driver: &TopologyTestDriver| -> Vec<u32> {
        driver.statuses().iter().filter(|status| status.workbook.is_some()).map(|status| status.revision).collect()
    };
    assert_eq!(revisions(&driver), [1, 2]);
    let books = driver.workbooks("a.csv");
    let mut other = topology();
    other.hash = "fedcba9876543210".into();
    driver.crash(true);
    driver.replace_topology(other);
    driver.reset_offset(Offset(0));
    driver.run(1).expect("another run");
    assert_eq!(revisions(&driver), [1, 2, 3, 4]);
    assert_eq!(driver.workbooks("a.csv")[..2], books[..]);
}

#[test]
fn an_expired_commit_and_lost_state_publish_nothing_again() {
    let expected = expected();
    let mut driver = TopologyTestDriver::new(topology());
    log().into_iter().for_each(|record| {
        driver.append(record);
    });
    driver.run(10).expect("a first run");
    for keep in [true, false] {
        driver.crash(keep);
        driver.expire_offset();
        driver.run(10).expect("another run");
        for (upload, book) in UPLOADS.iter().zip(&expected.books) {
            assert_eq!(driver.workbooks(upload), std::slice::from_ref(book), "{upload}");
        }
    }
}

#[test]
fn an_upload_whose_header_was_deleted_has_lost_its_beginning() {
    let marker = |kind: &str| vec![("ss-type", kind.to_owned()), ("ss-attempt", "1".to_owned())];
    let numbered = |n: u64| {
        let headers = [marker("row"), vec![("ss-row", n.to_string())]].concat();
        record("a.csv", row(n), &headers)
    };
    let eof = [marker("eof"), vec![("ss-rows", "2".to_owned())]].concat();
    let by_marker = [
        record("a.csv", HEADER.into(), &marker("header")),
        numbered(1),
        numbered(2),
        record("a.csv", String::new(), &eof),
    ];
    let lines = |end: &str| [HEADER.into(), row(1), row(2), end.into()].map(|line: String| record("a.csv", line, &[]));
    for log in [by_marker, lines("#EOF"), lines("#EOF rows=2"), lines("#ABORT")] {
        let mut driver = TopologyTestDriver::new(topology());
        for record in &log {
            driver.append(record.clone());
        }
        driver.delete_records_before(Offset(1));
        driver.run(usize::MAX).expect("the driver's own world");
        let statuses = driver.statuses();
        let reasons: Vec<_> =
            statuses.iter().map(|s| (s.state, s.failure.as_ref().map(|f| f.reason.as_str()))).collect();
        assert!(!reasons.is_empty(), "{log:?}");
        assert!(reasons.iter().all(|reason| *reason == (UploadState::Failed, Some("log.gap"))), "{reasons:?}, {log:?}");
    }
}

/// The end of an upload says nothing of a row of another one that is still on its way out.
#[test]
fn a_dead_letter_from_before_the_first_commit_is_not_lost() {
    for calls in 0..10 {
        let mut driver = TopologyTestDriver::new(topology());
        driver.append(record("open.csv", format!("{HEADER}\n{}", row(5)), &[]));
        driver.append(record("a.csv", format!("{HEADER}\n{}", row(1)), &[]));
        driver.append(record("a.csv", "#EOF".into(), &[]));
        driver.fail_broker_after(calls);
        let ran = driver.run(usize::MAX);
        driver.crash(false);
        driver.run(usize::MAX).expect("the broker is back");
        let letters: BTreeSet<_> = driver.dead_letters().iter().map(|letter| header(letter, "ss-upload")).collect();
        assert_eq!(letters, [Some("open.csv".to_owned())].into(), "after {calls} calls: {ran:?}");
        assert!(driver.workbook("a.csv").is_some(), "after {calls} calls: {ran:?}");
    }
}

#[test]
fn retention_that_overtakes_an_open_upload_fails_it_and_no_other() {
    let mut driver = TopologyTestDriver::new(topology());
    driver.pipe("old.csv", format!("{HEADER}\n{}", row(1)));
    driver.pipe("old.csv", row(2));
    driver.crash(false);
    driver.delete_records_before(Offset(1));
    driver.pipe("old.csv", row(3));
    driver.pipe("new.csv", format!("{HEADER}\n{}", row(1)));
    driver.pipe("old.csv", "#EOF");
    driver.pipe("new.csv", "#EOF");
    assert!(driver.workbooks("old.csv").is_empty());
    assert_eq!(driver.workbooks("new.csv").len(), 1);
    let failed = driver.statuses().into_iter().find(|s| s.upload == "old.csv").expect("old.csv has a status");
    assert_eq!((failed.state, failed.failure.map(|f| f.reason)), (UploadState::Failed, Some("log.gap".into())));
}

/// A workbook that its topic refused was never sent: the same file gives it once the topic takes it, whatever happened to the state.
#[test]
fn no_workbook_is_remembered_that_was_never_sent() {
    for keep_state in [true, false] {
        let mut driver = TopologyTestDriver::new(topology());
        let publish = |driver: &mut TopologyTestDriver| {
            driver.pipe("a.csv", format!("{HEADER}\n{}\n{}", row(1), row(2)));
            driver.pipe("a.csv", "#EOF rows=2");
            driver.statuses().last().cloned().expect("an upload that ended has a status")
        };
        let refusal = "t.workbooks: a record of 4000123 bytes; the topic takes 1048588: raise its max.message.bytes";
        driver.fail_publish_with("t.workbooks", Some(TransportError::TooLarge(refusal.into())));
        for _ in 0..2 {
            let status = publish(&mut driver);
            let failure = status.failure.expect("a failure has a reason");
            assert_eq!((status.state, failure.reason.as_str()), (UploadState::Failed, "workbook.too_large"));
            assert_eq!(failure.message.matches("4000123").count(), 1, "{}", failure.message);
            assert_eq!((status.accounting.written, status.accounting.voided, status.workbook), (0, 2, None));
            driver.crash(keep_state);
        }
        assert!(driver.workbooks("a.csv").is_empty());
        driver.fail_publish_with("t.workbooks", None);
        let status = publish(&mut driver);
        assert_eq!((status.state, status.failure), (UploadState::Published, None));
        assert_eq!(status.workbook.expect("the workbook of this publication").chunks, 1);
        assert_eq!(driver.workbooks("a.csv").len(), 1);
        driver.crash(keep_state);
        let status = publish(&mut driver);
        assert_eq!((status.state, status.workbook), (UploadState::Published, None), "the same content again");
        assert_eq!(driver.workbooks("a.csv").len(), 1);
    }
}
