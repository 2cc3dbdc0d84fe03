//! Rows of an upload anywhere (`placement = "spread"`): over partitions and topics, passed on in any order and more than once, with crashes
//! between: one workbook, whole, the same bytes.

#[path = "support/app.rs"]
mod app;
#[path = "support/kafka.rs"]
mod kafka;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use app::{App, LIMIT};
use bytes::Bytes;
use kafka::Kafka;
use proptest::prelude::*;
use sheetstream::kafka::admin::NewTopic;
use sheetstream::kafka::producer::ProducerConfig;
use sheetstream::record::{Header, Offset, Record, TopicPartition};
use sheetstream::sink::status::{StatusRecord, UploadState};
use sheetstream::source::spread::Router;
use sheetstream::test_driver::TopologyTestDriver;
use sheetstream::topology::Topology;

fn topology(source: &str, sheet: &str) -> Topology {
    let text = format!(
        r#"
name = "t"
[[source]]
name = "rows"
{source}
[[aggregate]]
name = "by-kind"
sheet = "{sheet}"
[[sink]]
name = "workbooks"
workbook = {{ about = false }}
"#
    );
    Topology::parse(&text, "t.toml", &|_| None).unwrap_or_else(|problems| panic!("{problems}"))
}

const SPREAD: &str = "placement = \"spread\"\n";
const DECLARED: &str = "placement = \"spread\"\nheader = [\"id\", \"kind\"]\n";
const TOPICS: &str = "placement = \"spread\"\ntopics = [\"b.rows\", \"a.rows\"]\n";

/// A source partition: its records, and how far it is passed on.
#[derive(Default)]
struct Partition {
    records: Vec<Record>,
    passed: usize,
    committed: usize,
}

/// Source topics, and the task behind the repartition topic, which has one partition here.
struct World {
    topology: Topology,
    sources: BTreeMap<(Arc<str>, i32), Partition>,
    driver: TopologyTestDriver,
    now_ms: i64,
    /// The brokers set timestamps (`message.timestamp.type=LogAppendTime`).
    is_append_time: bool,
    /// Number for the log that topic `a.rows` is.
    log: i64,
    /// How often an offset was set.
    era: i64,
}

impl World {
    fn new(topology: Topology, partitions: i32) -> World {
        let places = topology.source.topics().iter().flat_map(|topic| (0..partitions).map(move |p| (topic.clone(), p)));
        let sources = places.map(|place| (place, Partition::default())).collect();
        let driver = TopologyTestDriver::new(topology.clone());
        World { driver, topology, sources, now_ms: 1_000, is_append_time: false, log: 0, era: 0 }
    }

    fn publish_at(
        &mut self,
        place: (&str, i32),
        timestamp_ms: i64,
        id: Option<&str>,
        value: &str,
        headers: &[(&str, &str)],
    ) {
        let upload = id.map(|id| Header::new("ss-upload", id.to_owned()));
        let headers = headers.iter().map(|(name, value)| Header::new(name, value.to_string()));
        let source = self.sources.get_mut(&(place.0.into(), place.1)).expect("a partition");
        source.records.push(Record {
            offset: Offset(source.records.len() as i64),
            timestamp_ms,
            is_append_time: self.is_append_time,
            key: None,
            value: Some(Bytes::from(value.to_owned())),
            headers: upload.into_iter().chain(headers).collect(),
            passed_from: None,
        });
    }

    /// A millisecond later than everything before.
    fn publish(&mut self, place: (&str, i32), id: Option<&str>, value: &str) {
        self.now_ms += 1;
        self.publish_at(place, self.now_ms, id, value, &[]);
    }

    /// Records of a partition as a run of the repartition topic.
    fn run(&self, place: (&str, i32), records: Range<usize>) -> Record {
        let key: (Arc<str>, i32) = (place.0.into(), place.1);
        let source = &self.sources[&key];
        let partition = TopicPartition { topic: key.0.clone(), partition: key.1 };
        let config = Arc::new(self.topology.source.clone());
        let log = if place.0 == "a.rows" { self.log } else { 0 };
        let mut router = Router::new(config, partition, (log, self.era), 1, |_, _| 0);
        for record in &source.records[records.clone()] {
            router.push(record.clone());
        }
        let ends = self.sources.iter().filter(|((topic, _), _)| *topic == key.0);
        let ends =
            if router.has_end(0) { ends.map(|(_, source)| source.records.len() as i64).collect() } else { vec![] };
        let [from, to] = [records.start, records.end].map(|offset| Offset(offset as i64));
        let committed = Offset(source.committed.min(records.start) as i64);
        let value = router.seal(0, to, from.min(committed), ends);
        Record { value: Some(value), ..Record::default() }
    }

    /// Passes `count` more records on; none says that there are none.
    fn pass_on(&mut self, place: (&str, i32), count: usize) {
        let key = (place.0.into(), place.1);
        let (from, end) = (self.sources[&key].passed, self.sources[&key].records.len());
        let to = (from + count).min(end);
        let run = self.run(place, from..to);
        self.sources.get_mut(&key).expect("a partition").passed = to;
        self.driver.append(run);
    }

    fn pass_all_on(&mut self) {
        let places: Vec<_> = self.sources.keys().cloned().collect();
        for (topic, partition) in places {
            self.pass_on((&topic, partition), usize::MAX >> 1);
        }
        self.driver.run(1).expect("the driver's own world");
    }

    fn states(&self, upload: &str) -> Vec<(UploadState, u64, Option<String>)> {
        let statuses = self.driver.statuses();
        let ours = statuses.iter().filter(|status| status.upload == upload);
        ours.map(|s| (s.state, s.accounting.written, s.failure.as_ref().map(|failure| failure.reason.clone())))
            .collect()
    }

    fn sheets(&self, upload: &str) -> Vec<(String, Vec<String>)> {
        sheets(self.driver.workbook(upload).expect("a workbook"))
    }
}

/// The rows of each sheet of a workbook.
fn sheets(book: Vec<u8>) -> Vec<(String, Vec<String>)> {
    use calamine::Reader;
    let mut book = calamine::Xlsx::new(std::io::Cursor::new(book)).expect("a workbook");
    let row = |row: &[calamine::Data]| row.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let names = book.sheet_names();
    let mut rows = |name: &str| book.worksheet_range(name).expect("a sheet").rows().skip(1).map(row).collect();
    names.into_iter().map(|name| (name.clone(), rows(&name))).collect()
}

fn published(rows: u64) -> (UploadState, u64, Option<String>) {
    (UploadState::Published, rows, None)
}

#[test]
fn rows_without_keys_over_three_partitions_are_one_workbook_in_their_order() {
    for eof in ["#EOF", "#EOF rows=9"] {
        for id in [None, Some("a.csv")] {
            let mut world = World::new(topology(SPREAD, "kind"), 3);
            world.publish(("t.rows", 2), id, "id,kind");
            for n in 1..=9 {
                world.publish(("t.rows", n % 3), id, &format!("{n},park"));
            }
            world.publish(("t.rows", 1), id, eof);
            world.pass_all_on();
            let upload = id.unwrap_or_default();
            assert_eq!(world.states(upload), [published(9)], "{eof} {id:?}");
            let rows: Vec<_> = (1..=9).map(|n| format!("{n},park")).collect();
            assert_eq!(world.sheets(upload), [("park".to_owned(), rows)]);
        }
    }
}

#[test]
fn an_end_waits_for_everything_before_it_in_any_partition() {
    let mut world = World::new(topology(DECLARED, "kind"), 3);
    for n in 0..9 {
        world.publish(("t.rows", n % 3), Some("a.csv"), &format!("{n},park"));
    }
    world.publish(("t.rows", 0), Some("a.csv"), "#EOF");
    world.pass_on(("t.rows", 0), 9);
    world.pass_on(("t.rows", 1), 9);
    world.pass_on(("t.rows", 2), 2);
    world.driver.run(1).expect("the driver's own world");
    assert_eq!(world.states("a.csv"), []);
    world.driver.crash(false);
    // What came after the end was read is not waited for, and is no part of it.
    world.publish(("t.rows", 2), Some("a.csv"), "10,park");
    world.pass_on(("t.rows", 2), 1);
    world.driver.run(1).expect("the driver's own world");
    assert_eq!(world.states("a.csv"), [published(9)]);
    world.pass_on(("t.rows", 2), 1);
    world.publish(("t.rows", 1), Some("a.csv"), "#EOF rows=1");
    world.pass_all_on();
    assert_eq!(world.states("a.csv"), [published(9), published(1)]);
}

#[test]
fn files_without_a_name_that_follow_each_other_are_distinguished_though_all_of_them_are_there_already() {
    let mut world = World::new(topology(SPREAD, "kind"), 3);
    world.is_append_time = true;
    for (kind, rows) in [("park", 4), ("shop", 6), ("pool", 1)] {
        world.publish(("t.rows", 0), None, "id,kind");
        for n in 0..rows {
            world.publish(("t.rows", (n + rows) % 3), None, &format!("{n},{kind}"));
        }
        world.publish(("t.rows", rows % 3), None, "#EOF");
    }
    world.pass_all_on();
    assert_eq!(world.states(""), [published(4), published(6), published(1)]);
    assert_eq!(world.driver.workbooks("").len(), 3);
    assert_eq!(world.sheets(""), [("pool".to_owned(), vec!["0,pool".to_owned()])]);
    assert_eq!(world.driver.dead_letters().len(), 0);
}

/// A publication of one id: six rows over the partitions `places`, from `from_ms` on by the publisher's clock, and the end `eof` in partition
/// `at`, `after_ms` later.
fn publication(
    world: &mut World,
    id: Option<&str>,
    from_ms: i64,
    places: &[i32],
    (at, after_ms, eof): (i32, i64, &str),
) {
    for (n, place) in (0..).zip(places.iter().cycle().take(6)) {
        world.publish_at(("t.rows", *place), from_ms + n, id, &format!("{n},{from_ms}"), &[]);
    }
    world.publish_at(("t.rows", at), from_ms + 5 + after_ms, id, eof, &[]);
}

fn ambiguous() -> (UploadState, u64, Option<String>) {
    (UploadState::Failed, 0, Some("upload.ambiguous".to_owned()))
}

/// Publications that only clocks of publishers distinguish fail, however the clocks differ, and wherever the process is killed.
#[test]
fn publications_of_one_id_that_only_clocks_distinguish_are_no_workbooks() {
    for id in [None, Some("a.csv")] {
        for skew_ms in [-3_600_000, -20, -8, -3, 0, 8, 3_600_000] {
            for ends in [(0, 1), (0, 0), (2, 1)] {
                for killed in [false, true] {
                    let mut world = World::new(topology(DECLARED, "kind"), 3);
                    publication(&mut world, id, 10_000, &[0, 1, 2], (ends.0, 1, "#EOF"));
                    publication(&mut world, id, 10_010 + skew_ms, &[1, 2, 0], (ends.1, 1, "#EOF"));
                    world.pass_on(("t.rows", 0), 99);
                    world.pass_on(("t.rows", 1), 99);
                    if killed {
                        world.driver.run(1).expect("the driver's own world");
                        world.driver.crash(false);
                    }
                    world.pass_all_on();
                    let states = world.states(id.unwrap_or_default());
                    assert_eq!(states, [ambiguous(), ambiguous()], "{id:?} {skew_ms} {ends:?} {killed}");
                }
            }
        }
    }
}

/// The second publication ends long after the first one is decided: what it has may be a part.
#[test]
fn a_publication_that_began_before_the_last_end_was_read_is_no_workbook_either() {
    for killed in [false, true] {
        let mut world = World::new(topology(DECLARED, "kind"), 3);
        publication(&mut world, Some("a.csv"), 10_000, &[0, 1, 2], (0, 1, "#EOF"));
        // By a clock that is behind.
        world.publish_at(("t.rows", 1), 9_000, Some("a.csv"), "1,museum", &[]);
        world.publish_at(("t.rows", 0), 9_001, Some("a.csv"), "2,museum", &[]);
        world.pass_all_on();
        assert_eq!(world.states("a.csv"), [ambiguous()]);
        if killed {
            world.driver.crash(false);
        }
        world.publish_at(("t.rows", 2), 9_002, Some("a.csv"), "3,museum", &[]);
        world.publish_at(("t.rows", 1), 9_003, Some("a.csv"), "#EOF", &[]);
        world.pass_all_on();
        assert_eq!(world.states("a.csv"), [ambiguous(), ambiguous()], "killed: {killed}");
        // It is over with that.
        world.publish_at(("t.rows", 2), 9_004, Some("a.csv"), "1,museum", &[]);
        world.publish_at(("t.rows", 1), 9_005, Some("a.csv"), "#EOF", &[]);
        world.pass_all_on();
        assert_eq!(world.states("a.csv").last(), Some(&published(1)), "killed: {killed}");
    }
}

#[test]
fn publications_of_one_id_are_distinguished_by_counts_partitions_brokers_or_clocks_that_agree() {
    let tolerant = format!("{DECLARED}clock_tolerance = \"1s\"\n");
    for (what, source, is_append_time, places, eofs) in [
        ("counts", DECLARED, false, [0, 1, 2], [(1, "#EOF rows=6"), (1, "#EOF rows=6")]),
        ("the first one's count", DECLARED, false, [0, 1, 2], [(1, "#EOF rows=6"), (1, "#EOF")]),
        ("partition order", DECLARED, false, [0, 0, 0], [(1, "#EOF"), (1, "#EOF")]),
        ("the brokers' clocks", DECLARED, true, [0, 1, 2], [(1, "#EOF"), (1, "#EOF")]),
        ("clocks that agree", &tolerant, false, [0, 1, 2], [(1_001, "#EOF"), (1_001, "#EOF")]),
    ] {
        let mut world = World::new(topology(source, "kind"), 3);
        world.is_append_time = is_append_time;
        for (n, (after_ms, eof)) in (0..).zip(eofs) {
            publication(&mut world, Some("a.csv"), 10_000 + 5_000 * n, &places, (0, after_ms, eof));
        }
        world.pass_all_on();
        assert_eq!(world.states("a.csv"), [published(6), published(6)], "{what}");
    }
    // Clocks agree less than the topology says they do: nothing is that near.
    let mut world = World::new(topology(&tolerant, "kind"), 3);
    publication(&mut world, Some("a.csv"), 10_000, &[0, 1, 2], (0, 1_001, "#EOF"));
    publication(&mut world, Some("a.csv"), 11_500, &[0, 1, 2], (0, 1_001, "#EOF"));
    world.pass_all_on();
    assert_eq!(world.states("a.csv"), [ambiguous(), ambiguous()]);
}

/// Workers of one upload, of which one has a clock that is ahead.
#[test]
fn rows_that_are_held_are_shown_as_received() {
    for (source, header) in [(SPREAD, "id,kind"), (DECLARED, "")] {
        let mut world = World::new(topology(source, "kind"), 3);
        world.publish(("t.rows", 1), Some("a.csv"), header);
        for n in 0..6 {
            world.publish(("t.rows", n % 3), Some("a.csv"), &format!("{n},park\n{n},pool"));
        }
        world.pass_all_on();
        let open = world.driver.task().expect("it runs").open_uploads().pop().expect("an open upload");
        let shown = world.driver.receiving().pop().expect("a status in between");
        let counted = open.accounting;
        assert_eq!((counted.rows_in, counted.waiting, counted.balances()), (12, 12, true), "{source}: {open:?}");
        // One a second is sent: it had the rows of the first run.
        let counted = shown.accounting;
        assert!(counted.rows_in > 0 && counted.waiting == counted.rows_in && counted.balances(), "{source}: {shown:?}");
        world.publish(("t.rows", 0), Some("a.csv"), "#EOF rows=12");
        world.pass_all_on();
        assert_eq!(world.states("a.csv"), [published(12)], "{source}");
    }
}

#[test]
fn a_row_that_is_later_than_the_end_is_said_unless_clocks_may_differ_by_as_much() {
    for (source, expected) in
        [(DECLARED.to_owned(), ambiguous()), (format!("{DECLARED}clock_tolerance = \"5s\"\n"), published(2))]
    {
        let mut world = World::new(topology(&source, "kind"), 2);
        world.publish_at(("t.rows", 0), 1_000, Some("a.csv"), "1,park", &[]);
        world.publish_at(("t.rows", 1), 3_000, Some("a.csv"), "2,park", &[]);
        world.publish_at(("t.rows", 0), 1_100, Some("a.csv"), "#EOF", &[]);
        world.pass_all_on();
        assert_eq!(world.states("a.csv"), [expected], "{source}");
    }
}

#[test]
fn publications_that_cannot_be_distinguished_are_flagged_where_the_topology_says_so() {
    let mut world = World::new(topology(&format!("{DECLARED}incomplete = \"emit\"\n"), "kind"), 3);
    publication(&mut world, None, 10_000, &[0, 1, 2], (0, 1, "#EOF"));
    publication(&mut world, None, 10_010, &[0, 1, 2], (1, 1, "#EOF"));
    world.pass_all_on();
    let flagged = (UploadState::Published, 6, Some("upload.incomplete".to_owned()));
    let incomplete = (UploadState::Incomplete, 6, Some("upload.ambiguous".to_owned()));
    assert_eq!(world.states(""), [incomplete.clone(), flagged.clone(), incomplete, flagged]);
}

/// A producer that is not idempotent sends an end twice.
#[test]
fn an_end_that_is_sent_twice_is_one() {
    let mut world = World::new(topology(DECLARED, "kind"), 3);
    publication(&mut world, Some("a.csv"), 10_000, &[0, 1, 2], (0, 1, "#EOF"));
    world.publish_at(("t.rows", 0), 10_006, Some("a.csv"), "#EOF", &[]);
    world.pass_all_on();
    assert_eq!(world.states("a.csv"), [published(6)]);
}

#[test]
fn rows_of_one_millisecond_may_hide_their_header_and_then_it_is_found_or_the_upload_fails() {
    for (needed, expected) in
        [("kind", published(3)), ("{0}", (UploadState::Failed, 0, Some("csv.no_header".to_owned())))]
    {
        let mut world = World::new(topology(SPREAD, needed), 2);
        for (partition, value) in [(1, "id,kind"), (0, "1,park"), (1, "2,park"), (0, "3,park"), (0, "#EOF")] {
            world.publish_at(("t.rows", partition), 5, Some("a.csv"), value, &[]);
        }
        world.pass_all_on();
        assert_eq!(world.states("a.csv").last(), Some(&expected), "{needed}");
    }
}

#[test]
fn an_attempt_that_was_given_up_is_void() {
    let mut world = World::new(topology(DECLARED, "kind"), 2);
    let mut publish = |partition, value: &str, attempt: &str| {
        world.now_ms += 1;
        world.publish_at(("t.rows", partition), world.now_ms, Some("a.csv"), value, &[("ss-attempt", attempt)]);
    };
    publish(0, "#BEGIN", "1");
    publish(1, "1,park", "1");
    publish(1, "2,park", "1");
    publish(1, "#BEGIN", "2");
    publish(0, "3,park", "2");
    publish(1, "#EOF", "2");
    world.pass_all_on();
    assert_eq!(world.states("a.csv"), [published(1)]);
    let status = world.driver.statuses().pop().expect("a status");
    assert_eq!((status.accounting.rows_in, status.accounting.voided), (3, 2));
    assert_eq!(world.sheets("a.csv"), [("park".to_owned(), vec!["3,park".to_owned()])]);
}

#[test]
fn a_topic_a_sheet_with_an_end_in_each_is_one_workbook() {
    let mut world = World::new(topology(TOPICS, "topic"), 2);
    for topic in ["a.rows", "b.rows"] {
        world.publish((topic, 1), Some("a.csv"), "id,kind");
        for n in 0..3 {
            world.publish((topic, n % 2), Some("a.csv"), &format!("{n},{topic}"));
        }
    }
    world.publish(("a.rows", 0), Some("a.csv"), "#EOF rows=3");
    world.pass_all_on();
    let (state, _, reason) = world.states("a.csv").pop().expect("a status");
    assert_eq!((state, reason.as_deref()), (UploadState::Incomplete, Some("upload.incomplete")));
    let status = world.driver.statuses().pop().expect("a status");
    assert!(status.failure.expect("a reason").message.contains("b.rows"));
    world.publish(("b.rows", 1), Some("a.csv"), "#EOF rows=3");
    world.pass_all_on();
    assert_eq!(world.states("a.csv").last(), Some(&published(6)));
    let rows = |topic: &str| (0..3).map(|n| format!("{n},{topic}")).collect::<Vec<_>>();
    let expected = ["b.rows", "a.rows"].map(|topic| (topic.to_owned(), rows(topic)));
    assert_eq!(world.sheets("a.csv"), expected, "in the order of the topology");
}

#[test]
fn counts_are_said_by_all_topics_or_by_none() {
    for (ends, expected) in [
        (["#EOF", "#EOF"], published(2)),
        (["#EOF rows=1", "#EOF rows=1"], published(2)),
        (["#EOF rows=1", "#EOF"], (UploadState::Failed, 0, Some("upload.incomplete".to_owned()))),
        (["#EOF rows=2", "#EOF rows=1"], (UploadState::Incomplete, 2, Some("upload.incomplete".to_owned()))),
    ] {
        let source = format!("{TOPICS}header = [\"id\", \"kind\"]\n");
        let mut world = World::new(topology(&source, "topic"), 1);
        for (topic, end) in ["a.rows", "b.rows"].into_iter().zip(ends) {
            world.publish((topic, 0), Some("a.csv"), "1,park");
            world.publish((topic, 0), Some("a.csv"), end);
        }
        world.pass_all_on();
        assert_eq!(world.states("a.csv").last(), Some(&expected), "{ends:?}");
    }
}

#[test]
fn an_upload_that_does_not_end_expires_and_says_which_topics_are_missing() {
    let mut world = World::new(topology(&format!("{TOPICS}idle_timeout = \"1h\"\n"), "topic"), 1);
    world.publish(("a.rows", 0), Some("a.csv"), "id,kind");
    world.publish(("a.rows", 0), Some("a.csv"), "1,park");
    world.publish(("a.rows", 0), Some("a.csv"), "#EOF");
    world.pass_all_on();
    world.driver.advance_wall_clock_time(Duration::from_secs(3_600));
    let status = world.driver.statuses().pop().expect("a status");
    assert_eq!((status.state, status.accounting.rows_in, status.accounting.voided), (UploadState::Expired, 1, 1));
    assert!(status.failure.expect("a reason").message.contains("b.rows"));
    assert!(world.driver.task().is_some_and(|task| task.open_uploads().is_empty()));
    // The rest of it is not a revision of its own.
    let before = world.driver.statuses().len();
    world.driver.crash(false);
    world.pass_all_on();
    assert_eq!(world.driver.statuses().len(), before);
}

#[test]
fn rows_that_come_behind_a_counted_end_complete_it() {
    let mut world = World::new(topology(DECLARED, "kind"), 2);
    world.publish(("t.rows", 0), Some("a.csv"), "1,park");
    world.publish_at(("t.rows", 0), 9_000, Some("a.csv"), "#EOF rows=2", &[]);
    world.pass_all_on();
    assert_eq!(world.states("a.csv").last().map(|(state, ..)| *state), Some(UploadState::Incomplete));
    world.driver.crash(false);
    world.publish_at(("t.rows", 1), 8_999, Some("a.csv"), "2,park", &[]);
    world.pass_all_on();
    assert_eq!(world.states("a.csv").last(), Some(&published(2)));
}

#[test]
fn rows_that_are_gone_before_they_were_passed_on_fail_the_uploads_that_may_have_had_them() {
    let mut world = World::new(topology(DECLARED, "kind"), 1);
    for n in 0..6 {
        world.publish(("t.rows", 0), Some("a.csv"), &format!("{n},park"));
    }
    world.publish(("t.rows", 0), Some("a.csv"), "#EOF");
    world.pass_on(("t.rows", 0), 2);
    // The next run begins behind a gap.
    world.sources.values_mut().for_each(|source| (source.passed, source.committed) = (4, 4));
    world.pass_all_on();
    assert_eq!(world.states("a.csv").last(), Some(&(UploadState::Failed, 0, Some("log.gap".to_owned()))));
}

/// One topic of several is made anew while an upload has records in both: what is left of it is a part.
#[test]
fn an_upload_that_has_lost_a_topic_of_its_own_fails() {
    let mut world = World::new(topology(&format!("{TOPICS}header = [\"id\", \"kind\"]\n"), "topic"), 1);
    for topic in ["a.rows", "b.rows"] {
        world.publish((topic, 0), Some("a.csv"), "1,park");
    }
    world.pass_all_on();
    world.log = 1;
    world.sources.insert(("a.rows".into(), 0), Partition::default());
    for (topic, upload) in [("a.rows", "a.csv"), ("b.rows", "a.csv"), ("a.rows", "b.csv"), ("b.rows", "b.csv")] {
        world.publish((topic, 0), Some(upload), "2,park");
        world.publish((topic, 0), Some(upload), "#EOF");
    }
    world.pass_all_on();
    assert_eq!(world.states("a.csv").last(), Some(&(UploadState::Failed, 0, Some("log.gap".to_owned()))));
    assert_eq!(world.states("b.csv").last(), Some(&published(2)));
}

/// The only topic is made anew: what was held of an upload is gone, and its rest is no upload of its own.
#[test]
fn an_upload_whose_topic_was_made_anew_fails_and_so_does_its_rest() {
    let mut world = World::new(topology(&format!("{TOPICS}header = [\"id\", \"kind\"]\n"), "topic"), 1);
    world.publish(("a.rows", 0), Some("a.csv"), "1,park");
    world.pass_all_on();
    world.log = 1;
    world.sources.insert(("a.rows".into(), 0), Partition::default());
    world.publish(("a.rows", 0), Some("a.csv"), "2,park");
    for topic in ["a.rows", "b.rows"] {
        world.publish((topic, 0), Some("a.csv"), "#EOF");
    }
    world.pass_all_on();
    let states = world.states("a.csv");
    assert_eq!(states.first(), Some(&(UploadState::Failed, 0, Some("topic.recreated".to_owned()))));
    assert_eq!(states.last(), Some(&(UploadState::Incomplete, 1, Some("upload.remainder".to_owned()))));
}

/// Somebody sets the offset of a source partition behind records that were not passed on.
#[test]
fn an_upload_of_which_a_reset_skips_records_fails() {
    let mut world = World::new(topology(DECLARED, "kind"), 1);
    for n in 0..6 {
        world.publish(("t.rows", 0), Some("a.csv"), &format!("{n},park"));
    }
    world.publish(("t.rows", 0), Some("a.csv"), "#EOF");
    world.pass_on(("t.rows", 0), 2);
    world.era = 1;
    world.sources.values_mut().for_each(|source| (source.passed, source.committed) = (4, 4));
    world.pass_all_on();
    assert_eq!(world.states("a.csv").last(), Some(&(UploadState::Failed, 0, Some("log.gap".to_owned()))));
}

/// The repartition topic loses everything that was held while nothing ran.
#[test]
fn the_rest_of_an_upload_that_is_gone_from_the_repartition_topic_is_no_upload_of_its_own() {
    let mut world = World::new(topology(DECLARED, "kind"), 1);
    world.publish(("t.rows", 0), Some("a.csv"), "1,park");
    world.pass_all_on();
    world.driver.crash(true);
    world.driver.delete_records_before(Offset(1));
    world.publish(("t.rows", 0), Some("a.csv"), "2,park");
    world.publish(("t.rows", 0), Some("a.csv"), "#EOF");
    world.pass_all_on();
    assert_eq!(world.states("a.csv").last(), Some(&(UploadState::Failed, 0, Some("log.gap".to_owned()))));
}

#[test]
fn no_more_uploads_are_held_than_may_be_open() {
    let mut world = World::new(topology(&format!("{DECLARED}open_uploads_max = 2\n"), "kind"), 1);
    for id in ["a.csv", "b.csv", "c.csv"] {
        world.publish(("t.rows", 0), Some(id), "1,park");
    }
    world.pass_all_on();
    let turned_away = (UploadState::Failed, 0, Some("upload.too_many".to_owned()));
    assert_eq!(world.states("c.csv"), std::slice::from_ref(&turned_away));
    world.driver.crash(false);
    for id in ["c.csv", "a.csv", "b.csv"] {
        world.publish(("t.rows", 0), Some(id), "2,park");
        world.publish(("t.rows", 0), Some(id), "#EOF");
    }
    world.pass_all_on();
    assert_eq!([world.states("a.csv"), world.states("b.csv")], [[published(2)], [published(2)]]);
    assert!(world.states("c.csv").iter().all(|state| *state == turned_away), "{:?}", world.states("c.csv"));
    assert_eq!(world.driver.dead_letters().len(), 2);
    world.publish(("t.rows", 0), Some("c.csv"), "3,park");
    world.publish(("t.rows", 0), Some("c.csv"), "#EOF");
    world.pass_all_on();
    assert_eq!(world.states("c.csv").last(), Some(&published(1)));
}

/// The topic, the partition, the offset and the reason of each dead letter.
fn letters(world: &World) -> BTreeSet<(String, String, String, String)> {
    let letters = world.driver.dead_letters();
    let letter = |letter: &sheetstream::transport::OutRecord| {
        let said = |name: &str| {
            let header = letter.headers.iter().find(|header| &*header.name == name).expect(name);
            String::from_utf8(header.value.as_deref().expect("a value").to_vec()).expect("text")
        };
        assert!(said("ss-repartition").starts_with("0:"));
        let place = ["topic", "partition", "offset"].map(|part| said(&format!("__streams.errors.{part}")));
        let [topic, partition, offset] = place;
        (topic, partition, offset, said("ss-reason"))
    };
    letters.iter().map(letter).collect()
}

/// Rows, markers and records of any kind: where the publisher wrote them is where an operator looks for them.
#[test]
fn dead_letters_name_the_place_that_the_publisher_wrote_to() {
    let expected = |topic: &str, letters: &[(i32, i64, &str)]| {
        let letter = |(partition, offset, reason): &(i32, i64, &str)| {
            (topic.to_owned(), partition.to_string(), offset.to_string(), (*reason).to_owned())
        };
        letters.iter().map(letter).collect::<BTreeSet<_>>()
    };
    for killed in [false, true] {
        let mut world = World::new(topology(&format!("{DECLARED}open_uploads_max = 1\n"), "kind"), 3);
        world.publish(("t.rows", 0), Some("a.csv"), "1,park");
        world.publish(("t.rows", 2), Some("a.csv"), "2,park");
        world.publish(("t.rows", 2), Some("a.csv"), "3,park,one too many");
        world.publish(("t.rows", 1), Some("a.csv"), "4,park\n5,park,one too many");
        world.pass_all_on();
        world.publish(("t.rows", 1), Some("b.csv"), "1,park");
        world.pass_all_on();
        if killed {
            world.driver.crash(false);
        }
        world.publish(("t.rows", 2), Some("a.csv"), "#EOF rows=5");
        world.pass_all_on();
        world.publish(("t.rows", 0), Some("c.csv"), "#EOF");
        world.pass_all_on();
        let [row, line] = [(2, 1, "csv.field_count"), (1, 0, "csv.field_count")];
        let others = [(1, 1, "upload.too_many"), (0, 1, "eof.unknown")];
        let all: Vec<_> = [row, line].into_iter().chain(others).collect();
        assert_eq!(letters(&world), expected("t.rows", &all), "killed: {killed}");
    }
    let mut world = World::new(topology(&format!("{TOPICS}header = [\"id\", \"kind\"]\n"), "topic"), 2);
    for topic in ["a.rows", "b.rows"] {
        world.publish((topic, 1), Some("a.csv"), "1,park");
        world.publish((topic, 1), Some("a.csv"), if topic == "b.rows" { "2" } else { "2,park" });
        world.publish((topic, 0), Some("a.csv"), "#EOF rows=2");
    }
    world.pass_all_on();
    assert_eq!(letters(&world), expected("b.rows", &[(1, 1, "csv.field_count")]));
}

/// What is passed on when: which partition, how many records, and whether the same records come again.
#[derive(Clone, Debug)]
enum Event {
    PassOn { partition: i32, records: usize },
    Again { partition: i32, back: usize },
    Run { records: usize },
    Crash { keeps_state: bool },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..3, 0..9_usize).prop_map(|(partition, records)| Event::PassOn { partition, records }),
        2 => (0..3, 1..9_usize).prop_map(|(partition, back)| Event::Again { partition, back }),
        3 => (1..4_usize).prop_map(|records| Event::Run { records }),
        1 => any::<bool>().prop_map(|keeps_state| Event::Crash { keeps_state }),
    ]
}

/// Uploads with and without names, in two revisions, over three partitions.
fn sample() -> World {
    let mut world = World::new(topology(DECLARED, "kind"), 3);
    world.is_append_time = true;
    for revision in 0..2 {
        for n in 0..20 {
            for id in [None, Some("a.csv"), Some("b.csv")] {
                world.publish(("t.rows", (n * 7 + revision) % 3), id, &format!("{n},{revision}"));
            }
        }
        for (n, id) in [None, Some("a.csv"), Some("b.csv")].into_iter().enumerate() {
            world.publish(("t.rows", n as i32), id, if n == 2 { "#EOF rows=20" } else { "#EOF" });
        }
    }
    world
}

fn finish(world: &mut World) -> Vec<Vec<Vec<u8>>> {
    world.pass_all_on();
    ["", "a.csv", "b.csv"].map(|id| world.driver.workbooks(id)).into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The same rows make the same workbooks, each once, however they are passed on, and wherever the task is killed.
    #[test]
    fn the_log_alone_decides(events in prop::collection::vec(event(), 0..60)) {
        let expected = finish(&mut sample());
        prop_assert!(expected.iter().all(|books| books.len() == 2));
        let mut world = sample();
        for event in events {
            match event {
                Event::PassOn { partition, records } => world.pass_on(("t.rows", partition), records),
                Event::Again { partition, back } => {
                    let passed = world.sources[&("t.rows".into(), partition)].passed;
                    let run = world.run(("t.rows", partition), passed.saturating_sub(back)..passed);
                    world.driver.append(run);
                }
                Event::Run { records } => world.driver.run(records).expect("the driver's own world"),
                Event::Crash { keeps_state } => world.driver.crash(keeps_state),
            }
        }
        prop_assert_eq!(finish(&mut world), expected);
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let parse = |source: &str, sheet: &str| {
        let text = format!(
            "name = \"t\"\n[[source]]\nname = \"rows\"\n{source}\n[[aggregate]]\nname = \"a\"\nsheet = \"{sheet}\"\n[[sink]]\nname = \"s\"\n"
        );
        Topology::parse(&text, "t.toml", &|_| None).map_err(|problems| problems.to_string())
    };
    for (source, problem) in [
        ("topics = [\"a\", \"b\"]", "placement = \"spread\""),
        ("topics = []\nplacement = \"spread\"", "empty list"),
        ("topic = \"a\"\ntopics = [\"a\"]\nplacement = \"spread\"", "both there"),
        ("topics = [\"a\", \"a\"]\nplacement = \"spread\"", "and so is"),
        ("topics = [\"a\", \"t.status\"]\nplacement = \"spread\"", "and so is"),
        ("placement = \"here\"", "cannot be \"here\""),
        ("clock_tolerance = \"1s\"", "needs another placement"),
        ("placement = \"spread\"\nclock_tolerance = \"-1s\"", "not a length of time"),
    ] {
        let refused = parse(source, "kind").expect_err(source);
        assert!(refused.contains(problem), "{source}: {refused}");
    }
    let topics = parse("topics = [\"a\", \"b\"]\nplacement = \"spread\"", "topic").expect("a topology");
    assert_eq!(topics.read_topics().iter().map(AsRef::as_ref).collect::<Vec<&str>>(), ["a", "b", "t-a-repartition"]);
    let text = topics.describe().to_string();
    for said in ["topics: [a, b]", "t-a-repartition", "one for each topic", "their timestamp, then the partition"] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

/// An application on a broker, with topics of three partitions.
fn app(kafka: &'static Kafka, source: &str, sheet: &str) -> App {
    app_of(kafka, source, sheet, 3)
}

fn app_of(kafka: &'static Kafka, source: &str, sheet: &str, partitions: i32) -> App {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let app = App { kafka, folder, name: format!("spread-{}", uuid::Uuid::new_v4().simple()) };
    let text = format!(
        "name = \"{0}\"\n[[source]]\nname = \"rows\"\nplacement = \"spread\"\n{1}\n[[aggregate]]\nname = \"sheets\"\nsheet = \"{sheet}\"\n\
         [[sink]]\nname = \"workbooks\"\nworkbook = {{ about = false }}\n",
        app.name,
        source.replace("NAME", &app.name),
    );
    std::fs::write(app.topology(), text).expect("a topology");
    let created =
        app.command(&["topics", "create", "--partitions", &partitions.to_string(), "-t"]).arg(app.topology()).output();
    let created = created.expect("topics are created");
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    app
}

/// Publishes values, each to a partition.
fn publish(app: &App, topic: &str, upload: Option<&str>, values: impl IntoIterator<Item = (i32, String)>) {
    let topic: Arc<str> = format!("{}.{topic}", app.name).into();
    let mut producer = app.kafka.client("test").producer(ProducerConfig::default());
    let headers: Vec<_> = upload.into_iter().map(|upload| Header::new("ss-upload", upload.to_owned())).collect();
    for (partition, value) in values {
        producer.send(&topic, Some(partition), None, Some(value.as_bytes()), &headers).expect("sent");
    }
    producer.flush().expect("acknowledged");
}

/// Makes the topics that are not there.
fn create_topics(app: &App) {
    let begun = Instant::now();
    let create =
        || app.command(&["topics", "create", "-t"]).arg(app.topology()).output().expect("topics").status.success();
    while !create() {
        assert!(begun.elapsed() < LIMIT, "the topic is not made anew");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Waits until the last status of an upload is as `is_it` says.
fn wait_for(app: &App, upload: &str, is_it: impl Fn(&StatusRecord) -> bool) -> StatusRecord {
    let begun = Instant::now();
    loop {
        let statuses = app.statuses();
        let last = statuses.iter().rfind(|status| status.upload == upload);
        if let Some(status) = last.filter(|status| is_it(status)) {
            return status.clone();
        }
        assert!(begun.elapsed() < LIMIT, "{statuses:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn rows(upload: &str, rows: i32) -> Vec<(i32, String)> {
    (0..rows).map(|n| (n * 7 % 3, format!("{n},{upload}"))).collect()
}

/// The first column of all sheets of a workbook.
fn numbers(book: &[u8]) -> Vec<i32> {
    let sheets = sheets(book.to_vec());
    let rows = sheets.iter().flat_map(|(_, rows)| rows);
    rows.map(|row| row.split(',').next().and_then(|n| n.parse().ok()).expect("a number")).collect()
}

#[test]
fn lines_without_keys_become_a_workbook_and_what_was_consumed_is_deleted() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = app(kafka, "header = [\"id\", \"kind\"]", "kind");
    let _running = app.run("state");
    for n in 0..4 {
        publish(&app, "rows", None, rows("park", 300));
        // Time distinguishes files without a name.
        std::thread::sleep(Duration::from_millis(5));
        let eof = if n % 2 == 0 { "#EOF" } else { "#EOF rows=300" };
        publish(&app, "rows", None, [(n % 3, eof.to_owned())]);
        let begun = Instant::now();
        while app.statuses().iter().filter(|s| s.state == UploadState::Published).count() <= n as usize {
            assert!(begun.elapsed() < LIMIT, "{:?}", app.statuses());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let books = &app.workbooks()[""];
    let mut numbers = numbers(&books[0]);
    numbers.sort_unstable();
    assert_eq!(numbers, (0..300).collect::<Vec<_>>());
    let client = kafka.client("test");
    let topic: Arc<str> = format!("{}-sheets-repartition", app.name).into();
    let begun = Instant::now();
    let starts = || {
        (0..3)
            .map(|partition| client.bounds(&TopicPartition { topic: topic.clone(), partition }).expect("bounds").start)
    };
    while starts().all(|start| start == Offset(0)) {
        assert!(begun.elapsed() < LIMIT, "nothing is deleted");
        std::thread::sleep(Duration::from_millis(100));
    }
    let status = app.command(&["status"]).arg(app.topology()).output().expect("status");
    assert!(String::from_utf8_lossy(&status.stdout).contains("-sheets-repartition-0"), "{status:?}");
}

#[test]
fn a_topic_a_sheet_becomes_one_workbook() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = app(kafka, "topics = [\"NAME.shops\", \"NAME.parks\"]", "topic");
    let _running = app.run("state");
    for topic in ["parks", "shops"] {
        let header = [(0, "id,kind".to_owned())];
        publish(&app, topic, Some("a.csv"), header.into_iter().chain((0..30).map(|n| (0, format!("{n},{topic}")))));
        publish(&app, topic, Some("a.csv"), [(2, "#EOF rows=30".to_owned())]);
    }
    app.wait_for(&["a.csv"], "state");
    let sheets: Vec<_> =
        sheets(app.workbooks()["a.csv"][0].clone()).into_iter().map(|(name, rows)| (name, rows.len())).collect();
    let short = |topic: &str| format!("{}.{topic}", app.name).chars().take(31).collect::<String>();
    assert_eq!(sheets.len(), 2, "{sheets:?}");
    assert!(sheets.iter().all(|(name, rows)| *rows == 30 && name[..20] == short("shops")[..20]), "{sheets:?}");
}

/// Two processes share the partitions, and each is killed again and again.
fn survives_kills(guarantee: &str) {
    let Some(kafka) = Kafka::shared() else { return };
    let app = app(kafka, "header = [\"id\", \"kind\"]", "kind");
    let run = |state: &str| app.run_with(state, &["--guarantee", guarantee, "--instance-id", state], &[]);
    let mut running = [Some(run("one")), Some(run("two"))];
    let uploads: Vec<String> = (0..8).map(|n| format!("{n}.csv")).collect();
    for (n, upload) in uploads.iter().enumerate() {
        let all = rows("park", 400);
        publish(&app, "rows", Some(upload), all[..200].iter().cloned());
        if n % 2 == 0 {
            let (at, state) = if n % 4 == 0 { (0, "one") } else { (1, "two") };
            running[at] = None; // kill -9
            publish(&app, "rows", Some(upload), all[200..].iter().cloned());
            publish(&app, "rows", Some(upload), [(n as i32 % 3, "#EOF".to_owned())]);
            running[at] = Some(run(state));
        } else {
            publish(&app, "rows", Some(upload), all[200..].iter().cloned());
            publish(&app, "rows", Some(upload), [(n as i32 % 3, "#EOF rows=400".to_owned())]);
        }
    }
    let names: Vec<&str> = uploads.iter().map(String::as_str).collect();
    app.wait_for(&names, "one");
    let books = app.workbooks();
    for upload in &uploads {
        let books = &books[upload];
        let mut numbers = numbers(&books[0]);
        numbers.sort_unstable();
        assert_eq!(numbers, (0..400).collect::<Vec<_>>(), "{upload}");
        assert_eq!(books.iter().collect::<BTreeSet<_>>().len(), 1, "{upload}: the same bytes");
        if guarantee == "exactly_once_v2" {
            assert_eq!(books.len(), 1, "{upload}");
        }
    }
    let statuses = app.statuses();
    let published = statuses.iter().filter(|s| s.state == UploadState::Published);
    assert!(published.clone().all(|s| s.revision == 1 && s.accounting.written == 400), "{statuses:?}");
    assert!(statuses.iter().all(|s| s.state.outcome().is_none() || s.state == UploadState::Published), "{statuses:?}");
    drop(running);
}

#[test]
fn two_processes_that_are_killed_publish_each_upload_whole() {
    survives_kills("at_least_once");
}

#[test]
fn two_processes_that_are_killed_publish_each_upload_once() {
    survives_kills("exactly_once_v2");
}

#[test]
fn partitions_that_are_added_are_passed_on_too() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = app_of(kafka, "header = [\"id\", \"kind\"]", "kind", 1);
    let _running = app.run("state");
    publish(&app, "rows", Some("a.csv"), (0..30).map(|n| (0, format!("{n},park"))));
    kafka::add_partitions(&kafka.bootstrap, &format!("{}.rows", app.name), 3);
    publish(&app, "rows", Some("a.csv"), (30..60).map(|n| (n % 2 + 1, format!("{n},park"))));
    publish(&app, "rows", Some("a.csv"), [(1, "#EOF".to_owned())]);
    app.wait_for(&["a.csv"], "state");
    let mut numbers = numbers(&app.workbooks()["a.csv"][0]);
    numbers.sort_unstable();
    assert_eq!(numbers, (0..60).collect::<Vec<_>>());
}

#[test]
fn a_reset_reads_all_again_and_sends_no_workbook_a_second_time() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = app(kafka, "header = [\"id\", \"kind\"]", "kind");
    let running = app.run("state");
    for upload in ["a.csv", "b.csv"] {
        publish(&app, "rows", Some(upload), rows("park", 50));
        publish(&app, "rows", Some(upload), [(1, "#EOF".to_owned())]);
    }
    app.wait_for(&["a.csv", "b.csv"], "state");
    let replay = app.command(&["replay"]).arg(app.topology()).args(["--upload", "a.csv"]).output().expect("replay");
    let said = String::from_utf8_lossy(&replay.stderr);
    assert!(!replay.status.success() && said.contains("placement = \"spread\"") && said.contains("reset"), "{said}");
    assert_eq!(running.stop(), Some(0));
    let reset =
        app.command(&["reset"]).arg(app.topology()).arg("--state-dir").arg(app.folder.path().join("state")).output();
    let reset = reset.expect("reset");
    assert!(reset.status.success(), "{}", String::from_utf8_lossy(&reset.stderr));
    let _running = app.run("state");
    publish(&app, "rows", Some("c.csv"), rows("park", 50));
    publish(&app, "rows", Some("c.csv"), [(2, "#EOF".to_owned())]);
    app.wait_for(&["c.csv"], "state");
    let books = app.workbooks();
    assert_eq!(
        books.iter().map(|(id, books)| (id.as_str(), books.len())).collect::<Vec<_>>(),
        [("a.csv", 1), ("b.csv", 1), ("c.csv", 1)]
    );
}

#[test]
fn a_topic_that_is_made_anew_is_passed_on_from_its_start() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = app(kafka, "header = [\"id\", \"kind\"]", "kind");
    let _running = app.run("state");
    publish(&app, "rows", Some("a.csv"), rows("park", 50));
    publish(&app, "rows", Some("a.csv"), [(0, "#EOF".to_owned())]);
    app.wait_for(&["a.csv"], "state");
    publish(&app, "rows", Some("cut.csv"), rows("park", 30));
    std::thread::sleep(Duration::from_millis(500));
    let topic = format!("{}.rows", app.name);
    kafka::delete_topic(kafka, &topic);
    let new = NewTopic { name: topic, partitions: 3, replication: 1, configs: Vec::new() };
    let begun = Instant::now();
    while let Err(error) = kafka.client("test").create_topics(std::slice::from_ref(&new)) {
        assert!(begun.elapsed() < LIMIT, "{error}");
        std::thread::sleep(Duration::from_millis(200));
    }
    for upload in ["b.csv", "cut.csv"] {
        publish(&app, "rows", Some(upload), [(0, "#BEGIN".to_owned())]);
        publish(&app, "rows", Some(upload), rows("park", 20));
        publish(&app, "rows", Some(upload), [(1, "#EOF".to_owned())]);
    }
    app.wait_for(&["b.csv"], "state");
    let begun = Instant::now();
    let ends = loop {
        let statuses = app.statuses();
        if statuses.iter().any(|s| s.upload == "cut.csv" && s.state == UploadState::Published) {
            break statuses.into_iter().filter(|s| s.upload == "cut.csv" && s.state.outcome().is_some());
        }
        assert!(begun.elapsed() < LIMIT, "{statuses:?}");
        std::thread::sleep(Duration::from_millis(50));
    };
    let ends: Vec<_> = ends.map(|s| (s.state, s.accounting.written, s.failure.map(|why| why.reason))).collect();
    let gone = (UploadState::Failed, 0, Some("topic.recreated".to_owned()));
    assert_eq!(ends, [gone, (UploadState::Published, 20, None)], "what was open went with its log");
}

/// What was passed on is gone with its topic; the source has it.
#[test]
fn a_repartition_topic_that_is_made_anew_gets_all_rows_again() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = app(kafka, "header = [\"id\", \"kind\"]", "kind");
    let running = app.run("state");
    publish(&app, "rows", Some("whole.csv"), rows("park", 20));
    publish(&app, "rows", Some("whole.csv"), [(1, "#EOF".to_owned())]);
    publish(&app, "rows", Some("open.csv"), rows("park", 50)[..25].iter().cloned());
    app.wait_for(&["whole.csv"], "state");
    assert_eq!(running.stop(), Some(0));
    kafka::delete_topic(kafka, &format!("{}-sheets-repartition", app.name));
    create_topics(&app);
    let _running = app.run("state");
    publish(&app, "rows", Some("open.csv"), rows("park", 50)[25..].iter().cloned());
    publish(&app, "rows", Some("open.csv"), [(0, "#EOF".to_owned())]);
    app.wait_for(&["open.csv"], "state");
    let books = app.workbooks();
    assert_eq!(books["whole.csv"].len(), 1);
    let mut numbers = numbers(&books["open.csv"][0]);
    numbers.sort_unstable();
    assert_eq!(numbers, (0..50).collect::<Vec<_>>());
}

/// What was passed on is gone with its topic, and the source has it no more.
#[test]
fn what_neither_a_new_repartition_topic_nor_the_source_has_is_said_to_be_gone() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = app(kafka, "header = [\"id\", \"kind\"]", "kind");
    let running = app.run("state");
    for upload in ["gone.csv", "again.csv"] {
        publish(&app, "rows", Some(upload), rows("park", 50)[..25].iter().cloned());
    }
    wait_for(&app, "gone.csv", |status| status.state == UploadState::Receiving);
    wait_for(&app, "again.csv", |status| status.state == UploadState::Receiving);
    assert_eq!(running.stop(), Some(0));
    let client = kafka.client("test");
    for partition in 0..3 {
        let at = TopicPartition { topic: format!("{}.rows", app.name).into(), partition };
        kafka::delete_records(kafka, &at, client.bounds(&at).expect("bounds").end.0);
    }
    kafka::delete_topic(kafka, &format!("{}-sheets-repartition", app.name));
    create_topics(&app);
    let _running = app.run("state");
    let why = |status: &StatusRecord| status.failure.as_ref().map(|failure| failure.reason.clone());
    let is_gone = |status: &StatusRecord| why(status).as_deref() == Some("topic.recreated");
    let gone = wait_for(&app, "gone.csv", is_gone);
    assert_eq!((gone.state, gone.offsets.completion), (UploadState::Failed, None));
    // Nothing says that these are not all rows of it.
    publish(&app, "rows", Some("gone.csv"), rows("park", 50)[25..].iter().cloned());
    publish(&app, "rows", Some("gone.csv"), [(0, "#EOF".to_owned())]);
    publish(&app, "rows", Some("again.csv"), [(1, "#BEGIN".to_owned())]);
    publish(&app, "rows", Some("again.csv"), rows("park", 20));
    publish(&app, "rows", Some("again.csv"), [(2, "#EOF".to_owned())]);
    let end = wait_for(&app, "gone.csv", |status| status.offsets.completion.is_some());
    assert!(end.state == UploadState::Failed && is_gone(&end), "{end:?}");
    app.wait_for(&["again.csv"], "state");
    let books = app.workbooks();
    assert!(!books.contains_key("gone.csv"), "a part is published as the whole");
    assert_eq!(numbers(&books["again.csv"][0]).len(), 20);
}

/// What was passed on is gone with its topic, and so is a part of it in the source: the rest comes before or after it is known.
#[test]
fn an_upload_of_which_the_source_has_a_part_is_no_whole() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = app(kafka, "header = [\"id\", \"kind\"]", "kind");
    let running = app.run("state");
    publish(&app, "rows", Some("part.csv"), rows("park", 30));
    wait_for(&app, "part.csv", |status| status.accounting.rows_in == 30);
    assert_eq!(running.stop(), Some(0));
    let at = TopicPartition { topic: format!("{}.rows", app.name).into(), partition: 0 };
    kafka::delete_records(kafka, &at, kafka.client("test").bounds(&at).expect("bounds").end.0);
    kafka::delete_topic(kafka, &format!("{}-sheets-repartition", app.name));
    create_topics(&app);
    publish(&app, "rows", Some("part.csv"), [(1, "#EOF".to_owned())]);
    let _running = app.run("state");
    let is_decided =
        |status: &StatusRecord| status.offsets.completion.is_some() || status.state == UploadState::Incomplete;
    let end = wait_for(&app, "part.csv", is_decided);
    assert!(end.failure.is_some() && end.workbook.is_none(), "{end:?}");
}

#[test]
fn a_repartition_topic_with_other_partitions_is_refused() {
    let Some(kafka) = Kafka::shared() else { return };
    let app = app(kafka, "header = [\"id\", \"kind\"]", "kind");
    let running = app.run("state");
    publish(&app, "rows", Some("a.csv"), rows("park", 20));
    publish(&app, "rows", Some("a.csv"), [(1, "#EOF".to_owned())]);
    app.wait_for(&["a.csv"], "state");
    assert_eq!(running.stop(), Some(0));
    for topic in [format!("{}-sheets-repartition", app.name), format!("{}.status", app.name)] {
        kafka::add_partitions(&kafka.bootstrap, &topic, 5);
    }
    let _running = app.run("other");
    let begun = Instant::now();
    while !app.log("other").contains("had 3 partitions and has 5") {
        assert!(begun.elapsed() < LIMIT, "{}", app.log("other"));
        std::thread::sleep(Duration::from_millis(50));
    }
}

on_the_in_process_broker! {
    a_repartition_topic_that_is_made_anew_gets_all_rows_again,
    a_repartition_topic_with_other_partitions_is_refused,
    an_upload_of_which_the_source_has_a_part_is_no_whole,
    what_neither_a_new_repartition_topic_nor_the_source_has_is_said_to_be_gone,
    partitions_that_are_added_are_passed_on_too,
    a_reset_reads_all_again_and_sends_no_workbook_a_second_time,
    a_topic_that_is_made_anew_is_passed_on_from_its_start,
    lines_without_keys_become_a_workbook_and_what_was_consumed_is_deleted,
    a_topic_a_sheet_becomes_one_workbook,
    two_processes_that_are_killed_publish_each_upload_whole,
    two_processes_that_are_killed_publish_each_upload_once,
}
