//! Never a part as the whole: what of an upload is not there, or may be elsewhere, is said, and no workbook pretends to be all of it.

#[path = "support/kafka.rs"]
mod kafka;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kafka::Kafka;
use sheetstream::client::doctor;
use sheetstream::kafka::admin::NewTopic;
use sheetstream::kafka::producer::ProducerConfig;
use sheetstream::record::{Header, Offset, Record, TopicPartition, UploadId};
use sheetstream::runtime::config::StreamsConfig;
use sheetstream::runtime::streams::Streams;
use sheetstream::sink::status::{StatusRecord, UploadState};
use sheetstream::test_driver::{TopologyTestDriver, header};
use sheetstream::topology::Topology;
use sheetstream::transport::{Committed, Guarantee};

const LIMIT: Duration = Duration::from_secs(60);

fn topology(name: &str, source: &str) -> Topology {
    let text = format!(
        r#"
name = "{name}"
[[source]]
name = "rows"
{source}
[[aggregate]]
name = "by-kind"
sheet = "kind"
[[sink]]
name = "workbooks"
"#
    );
    Topology::parse(&text, "t.toml", &|_| None).unwrap_or_else(|problems| panic!("{problems}"))
}

const DECLARED: &str = "header = [\"id\", \"kind\"]";

fn driver(source: &str) -> TopologyTestDriver {
    TopologyTestDriver::new(topology("t", source))
}

fn last(driver: &TopologyTestDriver, upload: &str) -> (UploadState, u64, Option<String>) {
    let statuses = driver.statuses();
    let status = statuses.iter().rfind(|status| status.upload == upload).expect("a status");
    (status.state, status.accounting.written, status.failure.as_ref().map(|failure| failure.reason.clone()))
}

fn append(driver: &mut TopologyTestDriver, key: &str, value: &str) {
    let (key, value) = (Some(key.as_bytes().to_vec().into()), Some(value.as_bytes().to_vec().into()));
    driver.append(Record { key, value, ..Record::default() });
}

fn append_rows(driver: &mut TopologyTestDriver, upload: &str, rows: std::ops::RangeInclusive<u32>) {
    rows.for_each(|row| append(driver, upload, &format!("{row},museum")));
}

/// Uploads of four rows of which the log has lost the first two, before the log was read for the first time.
#[test]
fn an_upload_whose_first_rows_may_be_gone_fails_unless_something_shows_that_none_is() {
    for (what, before, after, expected) in [
        ("plain", None, "#EOF", (UploadState::Failed, 0, Some("log.gap"))),
        ("a count that is not met", None, "#EOF rows=4", (UploadState::Failed, 0, Some("log.gap"))),
        ("a count that is met", None, "#EOF rows=2", (UploadState::Published, 2, None)),
        ("announced", Some("#BEGIN"), "#EOF", (UploadState::Published, 2, None)),
    ] {
        for restarts in [false, true] {
            let mut driver = driver(DECLARED);
            append_rows(&mut driver, "a.csv", 1..=2);
            driver.delete_records_before(Offset(2));
            before.into_iter().for_each(|marker| append(&mut driver, "a.csv", marker));
            append_rows(&mut driver, "a.csv", 3..=3);
            driver.run(1).expect("the driver's own world");
            if restarts {
                driver.crash(false);
            }
            append_rows(&mut driver, "a.csv", 4..=4);
            append(&mut driver, "a.csv", after);
            driver.run(1).expect("the driver's own world");
            let (state, written, reason) = expected;
            assert_eq!(last(&driver, "a.csv"), (state, written, reason.map(str::to_owned)), "{what}, {restarts}");
        }
    }
}

/// All that is left of it is its end, which counts its rows. The next one under its id has more rows, as many of which must not be taken for
/// them; or it says how it is to be told apart.
#[test]
fn an_end_whose_rows_are_gone_does_not_end_the_next_upload_of_its_id() {
    for numbered in [false, true] {
        let mut driver = driver(DECLARED);
        append_rows(&mut driver, "a.csv", 1..=2);
        driver.delete_records_before(Offset(2));
        append(&mut driver, "a.csv", "#EOF rows=2");
        driver.run(1).expect("the driver's own world");
        assert_eq!(last(&driver, "a.csv"), log_gap());
        for row in [3, 2, 1] {
            let headers = numbered.then(|| Header::new("ss-row", row.to_string())).into_iter().collect();
            let (key, value) = (Some("a.csv".into()), Some(format!("{row},park").into_bytes().into()));
            driver.append(Record { key, value, headers, ..Record::default() });
        }
        append(&mut driver, "a.csv", "#EOF rows=3");
        driver.run(1).expect("the driver's own world");
        let published = driver.statuses().into_iter().filter(|status| status.state == UploadState::Published);
        let published: Vec<_> = published.map(|status| status.accounting.written).collect();
        assert!(published.iter().all(|written| *written == 3), "numbered: {numbered}, {published:?}");
    }
}

/// So many rows as the end counts, but with other numbers: some of them are of another upload.
#[test]
fn numbered_rows_are_counted_from_1_on() {
    let mut driver = driver(DECLARED);
    let numbered = |driver: &mut TopologyTestDriver, row: u32| {
        let (key, value) = (Some("a.csv".into()), Some(format!("{row},park").into_bytes().into()));
        driver.append(Record {
            key,
            value,
            headers: vec![Header::new("ss-row", row.to_string())],
            ..Record::default()
        });
    };
    append(&mut driver, "a.csv", "#EOF rows=3");
    (2..=4).for_each(|row| numbered(&mut driver, row));
    driver.run(1).expect("the driver's own world");
    assert_eq!(last(&driver, "a.csv").0, UploadState::Incomplete);
    numbered(&mut driver, 1);
    append(&mut driver, "a.csv", "#EOF rows=4");
    driver.run(1).expect("the driver's own world");
    assert_eq!(last(&driver, "a.csv"), (UploadState::Published, 4, None));
}

fn log_gap() -> (UploadState, u64, Option<String>) {
    (UploadState::Failed, 0, Some("log.gap".to_owned()))
}

/// All records of an open upload were deleted while nothing ran: its status says that it was open. What comes then is its rest.
#[test]
fn the_rest_of_an_open_upload_that_is_gone_as_a_whole_is_no_upload_of_its_own() {
    for source in [DECLARED, "header = \"first\""] {
        for (keeps_state, again) in [(false, None), (false, Some(false)), (false, Some(true)), (true, None)] {
            let mut driver = driver(source);
            if source != DECLARED {
                append(&mut driver, "a.csv", "id,kind");
            }
            append_rows(&mut driver, "a.csv", 1..=2);
            driver.run(1).expect("the driver's own world");
            driver.crash(keeps_state);
            driver.delete_records_before(Offset(if source == DECLARED { 2 } else { 3 }));
            if let Some(keeps_state) = again {
                driver.run(1).expect("the driver's own world");
                driver.crash(keeps_state);
            }
            append_rows(&mut driver, "a.csv", 3..=4);
            append(&mut driver, "a.csv", "#EOF");
            ["#BEGIN", "#HEADER id,kind", "1,museum", "#EOF"]
                .iter()
                .for_each(|value| append(&mut driver, "b.csv", value));
            driver.run(1).expect("the driver's own world");
            assert_eq!(last(&driver, "a.csv"), log_gap(), "{source}, {keeps_state}, {again:?}");
            assert_eq!(last(&driver, "b.csv"), (UploadState::Published, 1, None), "it lost nothing");
            let failures = driver.statuses().iter().filter(|status| status.upload == "a.csv").count();
            assert_eq!(failures, 2, "said when it was found, and at its end");
            ["#BEGIN", "#HEADER id,kind", "1,museum", "2,park", "#EOF"]
                .iter()
                .for_each(|value| append(&mut driver, "a.csv", value));
            driver.run(1).expect("the driver's own world");
            assert_eq!(last(&driver, "a.csv"), (UploadState::Published, 2, None), "published again");
        }
    }
}

/// Nothing comes any more of an upload that is gone: it ends by the clock.
#[test]
fn an_open_upload_that_is_gone_as_a_whole_ends() {
    let mut driver = driver(&format!("{DECLARED}\nidle_timeout = \"60s\""));
    append_rows(&mut driver, "a.csv", 1..=2);
    driver.run(1).expect("the driver's own world");
    driver.crash(false);
    driver.delete_records_before(Offset(2));
    driver.advance_wall_clock_time(Duration::from_secs(1));
    assert_eq!(last(&driver, "a.csv"), log_gap());
    driver.advance_wall_clock_time(Duration::from_secs(61));
    assert_eq!(last(&driver, "a.csv"), (UploadState::Expired, 0, Some("log.gap".to_owned())));
}

/// The owner has the rows in its state; a standby that begins later finds none of them.
#[test]
fn a_standby_that_never_saw_an_open_upload_does_not_publish_its_rest() {
    let mut driver = driver(DECLARED);
    append_rows(&mut driver, "a.csv", 1..=2);
    driver.run(1).expect("the driver's own world");
    driver.delete_records_before(Offset(2));
    driver.stand_by().expect("the driver's own world");
    driver.fail_over().expect("the driver's own world");
    append_rows(&mut driver, "a.csv", 3..=4);
    append(&mut driver, "a.csv", "#EOF");
    driver.run(1).expect("the driver's own world");
    assert_eq!(last(&driver, "a.csv"), log_gap());
}

/// Somebody sets the offset behind an open upload: that is said, and its rest is no upload of its own. Set back, all of it is read.
#[test]
fn an_upload_that_a_reset_skips_is_said_and_may_be_read_after_all() {
    for keeps_state in [false, true] {
        let mut driver = driver(DECLARED);
        append_rows(&mut driver, "a.csv", 1..=2);
        driver.run(1).expect("the driver's own world");
        driver.crash(keeps_state);
        driver.reset_offset(Offset(2));
        driver.run(1).expect("the driver's own world");
        driver.commit().expect("the driver's own world");
        assert_eq!(last(&driver, "a.csv"), log_gap(), "{keeps_state}");
        append_rows(&mut driver, "a.csv", 3..=4);
        append(&mut driver, "a.csv", "#EOF");
        driver.run(1).expect("the driver's own world");
        assert_eq!(last(&driver, "a.csv"), log_gap(), "{keeps_state}");
        assert_eq!(driver.workbooks("a.csv").len(), 0);
        driver.crash(keeps_state);
        driver.reset_offset(Offset(0));
        driver.run(1).expect("the driver's own world");
        assert_eq!(last(&driver, "a.csv"), (UploadState::Published, 4, None), "{keeps_state}");
    }
}

#[test]
fn an_upload_that_begins_after_the_log_was_first_read_is_whole() {
    let mut driver = driver(DECLARED);
    append_rows(&mut driver, "old.csv", 1..=3);
    driver.delete_records_before(Offset(2));
    driver.run(1).expect("the driver's own world");
    append_rows(&mut driver, "new.csv", 1..=3);
    append(&mut driver, "new.csv", "#EOF");
    driver.run(1).expect("the driver's own world");
    assert_eq!(last(&driver, "new.csv"), (UploadState::Published, 3, None));
}

#[test]
fn numbered_rows_show_themselves_that_none_is_missing() {
    for (first, expected) in [(1, UploadState::Published), (2, UploadState::Incomplete)] {
        let mut driver = driver(DECLARED);
        append(&mut driver, "gone.csv", "1,museum");
        driver.delete_records_before(Offset(1));
        for row in first..=3 {
            let headers = vec![Header::new("ss-row", row.to_string())];
            let (key, value) = (Some("a.csv".into()), Some(format!("{row},museum").into()));
            driver.append(Record { key, value, headers, ..Record::default() });
        }
        append(&mut driver, "a.csv", "#EOF");
        driver.run(10).expect("the driver's own world");
        assert_eq!(last(&driver, "a.csv").0, expected);
    }
}

/// Rows were deleted while nothing ran; the upload begins behind them, as far as the log still shows.
#[test]
fn an_upload_behind_a_gap_fails_with_the_state_kept_or_lost() {
    for keeps_state in [true, false] {
        let mut driver = driver(DECLARED);
        append_rows(&mut driver, "open.csv", 1..=2);
        driver.run(10).expect("the driver's own world");
        driver.crash(keeps_state);
        append_rows(&mut driver, "mid.csv", 1..=4);
        driver.delete_records_before(Offset(4));
        append(&mut driver, "mid.csv", "#EOF");
        append(&mut driver, "open.csv", "#EOF");
        append_rows(&mut driver, "later.csv", 1..=1);
        driver.run(1).expect("the driver's own world");
        append_rows(&mut driver, "new.csv", 1..=1);
        append(&mut driver, "new.csv", "#EOF");
        driver.run(1).expect("the driver's own world");
        let gap = Some("log.gap".to_owned());
        assert_eq!(last(&driver, "mid.csv"), (UploadState::Failed, 0, gap), "state {keeps_state}");
        assert_eq!(last(&driver, "new.csv"), (UploadState::Published, 1, None), "state {keeps_state}");
    }
}

/// Somebody set the group's offset into the middle of an upload: the rest of it is not the whole.
#[test]
fn an_upload_that_is_read_from_its_middle_on_fails_and_the_next_one_does_not() {
    let mut driver = driver(DECLARED);
    append_rows(&mut driver, "a.csv", 1..=4);
    append(&mut driver, "a.csv", "#EOF");
    append(&mut driver, "b.csv", "#BEGIN");
    append_rows(&mut driver, "b.csv", 1..=2);
    append(&mut driver, "b.csv", "#EOF");
    driver.reset_offset(Offset(2));
    driver.run(1).expect("the driver's own world");
    assert_eq!(last(&driver, "a.csv"), (UploadState::Failed, 0, Some("log.gap".to_owned())));
    assert_eq!(last(&driver, "b.csv"), (UploadState::Published, 2, None), "its begin was read");
    append_rows(&mut driver, "c.csv", 1..=1);
    append(&mut driver, "c.csv", "#EOF");
    driver.run(1).expect("the driver's own world");
    assert_eq!(last(&driver, "c.csv"), (UploadState::Published, 1, None));
    driver.crash(false);
    driver.reset_offset(Offset(0));
    driver.run(1).expect("the driver's own world");
    assert_eq!(last(&driver, "a.csv"), (UploadState::Published, 4, None), "all of it was read");
}

#[test]
fn the_rest_of_an_expired_upload_is_no_revision_of_its_own() {
    let expired = |source: &str| {
        let mut driver = driver(&format!("{source}\nidle_timeout = \"60s\""));
        if source.contains("first") {
            append(&mut driver, "a.csv", "id,kind");
        }
        append_rows(&mut driver, "a.csv", 1..=2);
        driver.run(1).expect("the driver's own world");
        driver.advance_wall_clock_time(Duration::from_secs(61));
        assert_eq!(last(&driver, "a.csv").0, UploadState::Expired);
        driver
    };
    let remainder = || Some("upload.remainder".to_owned());
    for restarts in [false, true] {
        let mut driver = expired(DECLARED);
        append_rows(&mut driver, "a.csv", 3..=4);
        driver.run(1).expect("the driver's own world");
        if restarts {
            driver.crash(true);
        }
        append(&mut driver, "a.csv", "#EOF");
        driver.run(1).expect("the driver's own world");
        assert_eq!(last(&driver, "a.csv"), (UploadState::Incomplete, 2, remainder()));
        driver.pipe("a.csv", "#EOF rows=2");
        assert_eq!(last(&driver, "a.csv"), (UploadState::Published, 2, None), "somebody vouches");
    }
    let mut driver = expired(DECLARED);
    ["#BEGIN", "1,museum", "2,museum", "#EOF"].iter().for_each(|value| driver.pipe("a.csv", *value));
    assert_eq!(last(&driver, "a.csv"), (UploadState::Published, 2, None), "it begins");
    let mut driver = expired("header = \"first\"");
    ["id,kind", "1,museum", "2,museum", "#EOF"].iter().for_each(|value| driver.pipe("a.csv", *value));
    assert_eq!(last(&driver, "a.csv"), (UploadState::Published, 2, None), "it begins with its header");
}

#[test]
fn an_end_that_comes_before_its_rows_waits_for_them_if_it_counts_them() {
    for source in [DECLARED, "header = \"first\""] {
        for restarts in [false, true] {
            let mut driver = driver(source);
            driver.pipe("a.csv", "#EOF rows=3");
            let incomplete = Some("upload.incomplete".to_owned());
            assert_eq!(last(&driver, "a.csv"), (UploadState::Incomplete, 0, incomplete));
            if source.contains("first") {
                driver.pipe("a.csv", "id,kind");
            }
            driver.pipe("a.csv", "1,museum\n2,museum");
            if restarts {
                driver.crash(true);
            }
            // The last row, and a file that follows it at once.
            append(&mut driver, "a.csv", "3,museum");
            if source.contains("first") {
                append(&mut driver, "a.csv", "kind,id,x");
                append(&mut driver, "a.csv", "museum,1,2");
            } else {
                append(&mut driver, "a.csv", "4,museum");
            }
            append(&mut driver, "a.csv", "#EOF rows=1");
            driver.run(10).expect("the driver's own world");
            let statuses = driver.statuses();
            let published = statuses.iter().filter(|status| status.state == UploadState::Published);
            let published: Vec<_> = published.map(|status| (status.revision, status.accounting.written)).collect();
            assert_eq!(published, [(1, 3), (2, 1)], "{source} {restarts}: {statuses:?}");
            assert_eq!(driver.dead_letters().len(), 0);
        }
    }
}

fn append_at(driver: &mut TopologyTestDriver, timestamp_ms: i64, key: &str, value: &str) {
    let (key, value) = (Some(key.as_bytes().to_vec().into()), Some(value.as_bytes().to_vec().into()));
    driver.append(Record { timestamp_ms, key, value, ..Record::default() });
    driver.run(1).expect("the driver's own world");
}

fn reasons(driver: &TopologyTestDriver) -> Vec<String> {
    driver.dead_letters().iter().filter_map(|letter| header(letter, "ss-reason")).collect()
}

/// The end overtook its rows; another record shows that nothing more of the upload comes.
#[test]
fn an_end_that_comes_before_its_rows_waits_until_the_log_shows_that_no_more_come() {
    for source in [DECLARED, "header = \"first\""] {
        for keeps_state in [None, Some(true), Some(false)] {
            let mut driver = driver(source);
            append_at(&mut driver, 1_000, "a.csv", "#EOF");
            if source.contains("first") {
                append_at(&mut driver, 998, "a.csv", "id,kind");
            }
            append_at(&mut driver, 999, "a.csv", "1,museum");
            append_at(&mut driver, 2_500, "a.csv", "2,museum");
            keeps_state.into_iter().for_each(|keeps_state| driver.crash(keeps_state));
            append_at(&mut driver, 4_500, "other.csv", "#BEGIN");
            append_at(&mut driver, 4_500, "other.csv", "#HEADER id,kind");
            assert!(driver.statuses().is_empty() && driver.dead_letters().is_empty(), "{source}: it waits");
            append_at(&mut driver, 4_501, "other.csv", "1,museum");
            assert_eq!(last(&driver, "a.csv"), (UploadState::Published, 2, None), "{source} {keeps_state:?}");
            // What comes now is another upload.
            if source.contains("first") {
                append_at(&mut driver, 4_502, "a.csv", "id,kind");
            }
            append_at(&mut driver, 4_503, "a.csv", "3,museum");
            append_at(&mut driver, 4_504, "a.csv", "#EOF");
            assert_eq!(last(&driver, "a.csv"), (UploadState::Published, 1, None), "{source} {keeps_state:?}");
            assert_eq!(driver.dead_letters().len(), 0);
        }
    }
}

/// On a silent partition the clock decides, and a row that comes at once afterwards changes nothing, wherever the process is killed.
#[test]
fn an_end_that_came_before_its_rows_ends_its_upload_on_a_silent_partition() {
    let pause = Duration::from_secs(2);
    for killed in 0..5 {
        for keeps_state in [true, false] {
            let mut driver = driver(DECLARED);
            let mut step = 0..;
            let mut may_die = |driver: &mut TopologyTestDriver| {
                if step.next() == Some(killed) {
                    driver.crash(keeps_state);
                    driver.run(1).expect("the driver's own world");
                }
            };
            append_at(&mut driver, 1_000, "pins.csv", "1,museum");
            append_at(&mut driver, 1_000, "a.csv", "#EOF");
            append_at(&mut driver, 1_000, "a.csv", "1,museum");
            may_die(&mut driver);
            driver.advance_wall_clock_time(pause);
            may_die(&mut driver);
            driver.advance_wall_clock_time(pause);
            may_die(&mut driver);
            driver.advance_wall_clock_time(pause);
            assert_eq!(last(&driver, "a.csv"), (UploadState::Published, 1, None), "{killed} {keeps_state}");
            may_die(&mut driver);
            append_at(&mut driver, 1_001, "a.csv", "2,museum");
            may_die(&mut driver);
            driver.advance_wall_clock_time(pause);
            assert_eq!(driver.workbooks("a.csv").len(), 1, "{killed} {keeps_state}");
            append_at(&mut driver, 1_002, "a.csv", "#EOF");
            assert_eq!(last(&driver, "a.csv"), (UploadState::Published, 1, None), "{killed} {keeps_state}");
            let revisions: Vec<_> = driver.statuses().iter().map(|status| status.revision).collect();
            assert_eq!(revisions, [1, 2], "{killed} {keeps_state}");
        }
    }
}

/// The clock has decided and its word is not committed: a row that was sent in time still belongs to the upload.
#[test]
fn a_decision_of_the_clock_that_is_not_committed_was_none() {
    let mut driver = driver(DECLARED);
    append_at(&mut driver, 1_000, "a.csv", "#EOF");
    append_at(&mut driver, 1_000, "a.csv", "1,museum");
    driver.task().expect("it runs").tick(3_000).expect("nothing is sent");
    driver.crash(true);
    append_at(&mut driver, 1_500, "a.csv", "2,museum");
    append_at(&mut driver, 9_000, "other.csv", "1,museum");
    assert_eq!(last(&driver, "a.csv"), (UploadState::Published, 2, None));
}

#[test]
fn an_end_without_any_row_is_a_dead_letter_when_it_has_waited() {
    for silent in [true, false] {
        for keeps_state in [None, Some(true), Some(false)] {
            let mut driver = driver(DECLARED);
            append_at(&mut driver, 1_000, "a.csv", "#EOF");
            append_at(&mut driver, 1_001, "a.csv", "#EOF");
            assert_eq!(reasons(&driver), ["eof.unknown"], "the second end");
            if silent {
                driver.advance_wall_clock_time(Duration::from_secs(2));
            } else {
                append_at(&mut driver, 3_002, "other.csv", "1,museum");
            }
            keeps_state.into_iter().for_each(|keeps_state| driver.crash(keeps_state));
            append_at(&mut driver, 3_003, "a.csv", "1,museum");
            assert_eq!(reasons(&driver)[..2], ["eof.unknown", "eof.unknown"], "{silent} {keeps_state:?}");
            assert!(driver.statuses().is_empty(), "{silent} {keeps_state:?}: {:?}", driver.statuses());
            append_at(&mut driver, 3_004, "a.csv", "#EOF");
            assert_eq!(last(&driver, "a.csv"), (UploadState::Published, 1, None), "{silent} {keeps_state:?}");
        }
    }
}

#[test]
fn records_without_the_id_as_their_key_are_a_part_unless_somebody_vouches() {
    let header_of = |upload: &str| [("ss-upload", upload.to_owned())];
    for (partitions, key, eof, expected) in [
        (3, "", "#EOF", Some("upload.split")),
        (3, "museum", "#EOF", Some("upload.split")),
        (3, "a.csv", "#EOF", None),
        (3, "", "#EOF partitions=1", None),
        (3, "", "#EOF rows=1", None),
        (1, "", "#EOF", None),
    ] {
        let mut driver = TopologyTestDriver::new(topology("t", DECLARED)).with_partitions(partitions);
        for value in ["1,museum", eof] {
            let headers = header_of("a.csv").map(|(name, value)| Header::new(name, value)).to_vec();
            let key = (!key.is_empty()).then(|| key.as_bytes().to_vec().into());
            driver.pipe_record(Record { key, value: Some(value.into()), headers, ..Record::default() });
        }
        let state = if expected.is_some() { UploadState::Incomplete } else { UploadState::Published };
        let case = format!("{partitions} {key:?} {eof}");
        assert_eq!(last(&driver, "a.csv"), (state, 1, expected.map(str::to_owned)), "{case}");
    }
}

/// What the tests below run over: a topology with three partitions.
struct Cluster {
    kafka: &'static Kafka,
    name: String,
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
    _state: tempfile::TempDir,
}

impl Cluster {
    fn start(kafka: &'static Kafka, partitions: i32) -> Cluster {
        Cluster::of_processes(kafka, partitions, 1, Guarantee::AtLeastOnce)
    }
    fn of_processes(kafka: &'static Kafka, partitions: i32, processes: usize, guarantee: Guarantee) -> Cluster {
        let name = format!("parts-{}", uuid::Uuid::new_v4().simple());
        let topic =
            |of: &str| NewTopic { name: format!("{name}.{of}"), partitions, replication: 1, configs: Vec::new() };
        kafka
            .client("test")
            .create_topics(&["rows", "workbooks", "status", "dead-letters"].map(topic))
            .expect("topics");
        let state = tempfile::tempdir().expect("a temporary folder");
        let stop = Arc::new(AtomicBool::new(false));
        let process = |n| {
            let mut config = StreamsConfig::new(kafka.config("run"), state.path().join(format!("state-{n}")));
            (config.commit_interval, config.guarantee) = (Duration::from_millis(100), Some(guarantee));
            let streams = Streams::new(vec![topology(&name, DECLARED)], config);
            let flag = stop.clone();
            std::thread::spawn(move || streams.run(&flag).expect("it runs until it is stopped"))
        };
        let threads = (0..processes).map(process).collect();
        Cluster { kafka, name, stop, threads, _state: state }
    }
    fn publish(&self, records: &[(i32, Option<&str>, &str)], upload: &str) {
        let topic: Arc<str> = format!("{}.rows", self.name).into();
        let mut producer = self.kafka.client("test").producer(ProducerConfig::default());
        for (partition, key, value) in records {
            let headers = [Header::new("ss-upload", upload.to_owned())];
            let key = key.map(str::as_bytes);
            producer.send(&topic, Some(*partition), key, Some(value.as_bytes()), &headers).expect("sent");
            producer.flush().expect("acknowledged");
        }
    }
    fn records(&self, of: &str) -> Vec<Record> {
        let (client, topic): (_, Arc<str>) = (self.kafka.client("test"), format!("{}.{of}", self.name).into());
        let mut records = Vec::new();
        for partition in 0..client.partitions(&topic).expect("the topic is there") {
            let at = TopicPartition { topic: topic.clone(), partition };
            client.read_all(&at, &mut |record| records.push(record)).expect("read");
        }
        records
    }
    fn wait_for(&self, upload: &str, is_it: impl Fn(&StatusRecord) -> bool) -> StatusRecord {
        let begun = Instant::now();
        loop {
            let all = self.records("status").into_iter();
            let all: Vec<_> = all.filter_map(|record| record.value.as_deref().and_then(StatusRecord::parse)).collect();
            if let Some(found) = all.iter().rfind(|status| status.upload == upload && is_it(status)) {
                return found.clone();
            }
            assert!(begun.elapsed() < LIMIT, "{upload}: {all:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("stopped in order"));
    }
}

#[test]
fn an_upload_over_several_partitions_names_the_others() {
    let Some(kafka) = Kafka::shared() else { return };
    let cluster = Cluster::start(kafka, 3);
    let parts = [(0, None, "1,museum"), (1, None, "2,museum"), (2, None, "3,museum"), (2, None, "4,museum")];
    for (upload, eof) in [("counted.csv", "#EOF rows=4"), ("plain.csv", "#EOF")] {
        cluster.publish(&parts, upload);
        // All of it is read before the end comes, as by a publisher that is not in a hurry.
        for partition in 0..3 {
            cluster.wait_for(upload, |status| status.partition == partition && status.accounting.written > 0);
        }
        cluster.publish(&[(0, None, eof)], upload);
        let status = cluster.wait_for(upload, |status| status.state == UploadState::Incomplete);
        let failure = status.failure.expect("a reason");
        assert_eq!((status.partition, failure.reason.as_str()), (0, "upload.split"));
        for part in ["partition 1 from offset", "partition 2 from offset", "(2 rows)"] {
            assert!(failure.message.contains(part), "{part} is not in: {}", failure.message);
        }
    }
    assert_eq!(cluster.records("workbooks").len(), 0);
    cluster.stop();
}

/// Two clients place one key differently, and two processes have a partition each.
fn a_part_in_another_process_is_seen(guarantee: Guarantee) {
    let Some(kafka) = Kafka::shared() else { return };
    let cluster = Cluster::of_processes(kafka, 2, 2, guarantee);
    let group = kafka.client("test").group(&cluster.name);
    let other = TopicPartition { topic: format!("{}.rows", cluster.name).into(), partition: 1 };
    let knows = |upload: &str| match group.fetch_committed([other.clone()]).expect("commits").remove(&other) {
        Some(Committed::Ours(progress)) => {
            progress.open().is_some_and(|open| open.contains(UploadId::new(upload).hash()))
        }
        _ => false,
    };
    let begun = Instant::now();
    for n in 0.. {
        let upload = format!("{n}.csv");
        let key = Some(upload.as_str());
        cluster.publish(&[(0, key, "1,museum"), (1, key, "2,museum")], &upload);
        while !knows(&upload) {
            assert!(begun.elapsed() < LIMIT, "{upload} is in no commit");
            std::thread::sleep(Duration::from_millis(20));
        }
        cluster.publish(&[(0, key, "#EOF")], &upload);
        let status =
            cluster.wait_for(&upload, |status| status.state != UploadState::Receiving && status.partition == 0);
        let failure = status.failure.expect("a reason");
        assert_eq!((status.state, failure.reason.as_str()), (UploadState::Incomplete, "upload.split"));
        assert!(failure.message.contains("partition 1"), "{}", failure.message);
        // Until the group is in balance one process has both.
        if failure.message.contains("another process") {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "one process has both partitions");
    }
    assert_eq!(cluster.records("workbooks").len(), 0);
    cluster.publish(&[(0, Some("whole.csv"), "1,museum"), (0, Some("whole.csv"), "#EOF")], "whole.csv");
    cluster.wait_for("whole.csv", |status| status.state == UploadState::Published);
    cluster.stop();
}

#[test]
fn a_part_in_another_process_is_seen_at_least_once() {
    a_part_in_another_process_is_seen(Guarantee::AtLeastOnce);
}

#[test]
fn a_part_in_another_process_is_seen_exactly_once() {
    a_part_in_another_process_is_seen(Guarantee::ExactlyOnceV2);
}

#[test]
fn an_end_in_another_partition_than_its_rows_names_where_they_are() {
    let Some(kafka) = Kafka::shared() else { return };
    let cluster = Cluster::start(kafka, 2);
    cluster.publish(&[(0, Some("a.csv"), "1,museum")], "a.csv");
    cluster.wait_for("a.csv", |status| status.accounting.written == 1);
    cluster.publish(&[(1, Some("a.csv"), "#EOF rows=1")], "a.csv");
    let begun = Instant::now();
    let letter = loop {
        if let Some(letter) = cluster.records("dead-letters").pop() {
            break letter;
        }
        assert!(begun.elapsed() < LIMIT, "no dead letter");
        std::thread::sleep(Duration::from_millis(20));
    };
    let of = |name: &str| {
        let found = letter.headers.iter().find(|header| &*header.name == name).and_then(|header| header.value.as_ref());
        String::from_utf8_lossy(found.expect("a header")).into_owned()
    };
    assert_eq!(of("ss-reason"), "eof.unknown");
    assert!(of("__streams.errors.message").contains("partition 0 from offset 0 (1 rows)"));
    cluster.stop();
}

/// Keys move when partitions are added: what comes behind is a second half.
#[test]
fn an_upload_that_is_open_while_partitions_are_added_is_not_published_in_part() {
    let Some(kafka) = Kafka::shared() else { return };
    let cluster = Cluster::start(kafka, 1);
    cluster.publish(&[(0, Some("a.csv"), "1,museum")], "a.csv");
    cluster.wait_for("a.csv", |status| status.accounting.written == 1);
    for topic in ["status", "rows"] {
        kafka::add_partitions(&kafka.bootstrap, &format!("{}.{topic}", cluster.name), 2);
    }
    cluster.publish(&[(1, Some("a.csv"), "2,museum"), (1, Some("a.csv"), "#EOF")], "a.csv");
    let status = cluster.wait_for("a.csv", |status| status.state == UploadState::Incomplete);
    let failure = status.failure.expect("a reason");
    assert_eq!((status.partition, failure.reason.as_str()), (1, "upload.split"));
    assert!(failure.message.contains("partition 0 from offset 0 (1 rows)"), "{}", failure.message);
    assert_eq!(cluster.records("workbooks").len(), 0);
    cluster.stop();
}

#[test]
fn a_key_per_row_is_noticed_over_all_partitions() {
    let Some(kafka) = Kafka::shared() else { return };
    let cluster = Cluster::start(kafka, 3);
    let topic: Arc<str> = format!("{}.rows", cluster.name).into();
    let mut producer = kafka.client("test").producer(ProducerConfig::default());
    for row in 0..120 {
        let key = format!("key-{row}");
        producer.send(&topic, None, Some(key.as_bytes()), Some(b"1,museum"), &[]).expect("sent");
    }
    producer.flush().expect("acknowledged");
    let begun = Instant::now();
    let message = loop {
        let statuses = cluster.records("status").into_iter();
        let mut statuses = statuses.filter_map(|record| record.value.as_deref().and_then(StatusRecord::parse));
        let found = statuses.find_map(|status| status.failure.filter(|failure| failure.reason == "upload.too_many"));
        if let Some(failure) = found {
            break failure.message;
        }
        assert!(begun.elapsed() < LIMIT, "it is not noticed");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(message.contains("upload = \"partition\""), "{message}");
    let findings = doctor::examine(&kafka.client("doctor"), &[topology(&cluster.name, DECLARED)], None);
    assert!(findings.iter().any(|finding| finding.check == "keys" && finding.what == message), "{findings:?}");
    cluster.stop();
}

on_the_in_process_broker! {
    an_upload_over_several_partitions_names_the_others,
    an_end_in_another_partition_than_its_rows_names_where_they_are,
    a_part_in_another_process_is_seen_at_least_once,
    a_part_in_another_process_is_seen_exactly_once,
    an_upload_that_is_open_while_partitions_are_added_is_not_published_in_part,
    a_key_per_row_is_noticed_over_all_partitions,
}
