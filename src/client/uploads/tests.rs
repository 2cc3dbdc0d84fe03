//! Uploads from their first row to their workbook, as the index shows them.

use super::entries::UPLOADS_MAX;
use super::*;
use crate::record::Offset;
use crate::sink::status::StatusOffsets;

fn status(state: UploadState, revision: u32, rows_in: u64) -> StatusRecord {
    StatusRecord {
        state,
        upload: "a".into(),
        revision,
        name: Some("a.csv".into()),
        rows_announced: None,
        crs: None,
        traceparent: None,
        topology: "t".into(),
        topology_hash: "h".into(),
        partition: 0,
        offsets: StatusOffsets { first: Offset(0), completion: None, leader_epoch: None },
        topic_id: None,
        accounting: Accounting { rows_in, written: rows_in, ..Accounting::default() },
        header: None,
        rows_sha256: None,
        cuts: None,
        workbook: None,
        failure: None,
    }
}
fn record(status: &StatusRecord, timestamp_ms: i64) -> Record {
    Record { value: Some(status.to_record(&"s".into()).value), timestamp_ms, ..Record::default() }
}
fn key() -> UploadKey {
    UploadKey { topology: "t".into(), id: "a".into() }
}
fn claim(index: &Arc<UploadIndex>) -> Option<Publishing> {
    match index.claim(key(), "a.csv", None, "h", false, &Arc::default()) {
        Claim::New(publishing) => Some(publishing),
        Claim::Known(_) => None,
    }
}
fn state(index: &UploadIndex) -> UploadPhase {
    index.get(&key()).expect("known").state
}

#[test]
fn an_upload_in_parts_stays_incomplete_while_rows_come_in_another_partition() {
    let index = Arc::new(UploadIndex::default());
    let in_partition = |partition, state, rows_in| StatusRecord { partition, ..status(state, 1, rows_in) };
    for (partition, state_heard) in [(0, UploadState::Receiving), (1, UploadState::Incomplete)] {
        index.take(&record(&in_partition(partition, state_heard, 5), now_ms()));
    }
    for late in [UploadState::Receiving, UploadState::Stalled] {
        index.take(&record(&in_partition(0, late, 9), now_ms()));
        let known = index.get(&key()).expect("known");
        assert_eq!((known.state, known.accounting.rows_in), (UploadPhase::Incomplete, 5));
    }
    index.take(&record(&in_partition(1, UploadState::Receiving, 6), now_ms()));
    assert_eq!(state(&index), UploadPhase::Receiving, "its own partition continues");
}

#[test]
fn an_upload_is_followed_from_its_first_row_to_its_workbook() {
    let index = Arc::new(UploadIndex::default());
    let publishing = claim(&index).expect("unknown so far");
    publishing.rows(50);
    assert_eq!(state(&index), UploadPhase::Publishing);
    assert!(claim(&index).is_none(), "it is under way");
    publishing.complete(100);
    assert_eq!(state(&index), UploadPhase::Pending);

    index.take(&record(&status(UploadState::Receiving, 1, 40), now_ms()));
    index.take(&record(&status(UploadState::Receiving, 1, 60), now_ms() + 1_000));
    let upload = index.get(&key()).expect("known");
    assert_eq!(
        (upload.state, upload.rows_announced, upload.rows_published),
        (UploadPhase::Receiving, Some(100), Some(100))
    );
    let rate = upload.rows_per_second.expect("two samples");
    assert!((15.0..25.0).contains(&rate), "{rate}");
    let left = upload.estimated_end_ms.expect("a rate and a total") - upload.updated_at_ms;
    assert!((1_500..2_700).contains(&left), "{left}");

    index.take(&record(&status(UploadState::Published, 1, 100), now_ms() + 2_000));
    assert_eq!(state(&index), UploadPhase::Published);
    assert!(claim(&index).is_none(), "it is there");
}

#[test]
fn what_failed_or_was_given_up_is_published_again_under_the_next_revision() {
    let index = Arc::new(UploadIndex::default());
    index.take(&record(&status(UploadState::Failed, 3, 10), 1_000));
    let publishing = claim(&index).expect("it failed");
    assert_eq!(state(&index), UploadPhase::Publishing, "the failure is of the revision before");
    drop(publishing);
    assert_eq!(state(&index), UploadPhase::Failed);
    claim(&index).expect("it was given up").complete(10);
    index.take(&record(&status(UploadState::Receiving, 4, 5), now_ms()));
    assert_eq!(state(&index), UploadPhase::Receiving);
}

#[test]
fn another_topology_under_the_same_name_makes_the_workbook_anew() {
    let index = Arc::new(UploadIndex::default());
    index.take(&record(&status(UploadState::Published, 1, 10), 1_000));
    assert!(matches!(index.claim(key(), "a.csv", None, "h", false, &Arc::default()), Claim::Known(_)));
    assert!(matches!(index.claim(key(), "a.csv", None, "other", false, &Arc::default()), Claim::New(_)));
}

#[test]
fn somebody_elses_upload_is_left_alone_while_it_is_heard_of() {
    let index = Arc::new(UploadIndex::default());
    index.take(&record(&status(UploadState::Receiving, 1, 10), now_ms()));
    assert!(claim(&index).is_none());
    let index = Arc::new(UploadIndex::default());
    index.take(&record(&status(UploadState::Receiving, 1, 10), now_ms() - 2 * UNDER_WAY_MS));
    assert!(claim(&index).is_some(), "its publisher is gone");
}

#[test]
fn the_quietest_uploads_are_forgotten_first_and_the_latest_come_first() {
    let index = UploadIndex::default();
    for n in 0..UPLOADS_MAX as i64 + 5 {
        let status = StatusRecord { upload: n.to_string(), ..status(UploadState::Published, 1, 1) };
        index.take(&record(&status, n));
    }
    let latest = index.latest(|_| true, usize::MAX).uploads;
    assert_eq!(latest.len(), UPLOADS_MAX);
    assert_eq!((latest[0].id.as_str(), latest[UPLOADS_MAX - 1].id.as_str()), ("10004", "5"));
    assert!(index.latest(|name| name == "other", 10).uploads.is_empty());
}

/// An upload of topology `t` that is heard of at that time.
fn hear(index: &UploadIndex, id: &str, state: UploadState, timestamp_ms: i64) {
    index.take(&record(&StatusRecord { upload: id.into(), ..status(state, 1, 1) }, timestamp_ms));
}

#[test]
fn an_open_upload_is_remembered_however_many_end_after_it() {
    let index = UploadIndex::default();
    hear(&index, "open", UploadState::Receiving, 1);
    let remembered = i64::try_from(UPLOADS_MAX).expect("a few");
    for n in 1..remembered {
        hear(&index, &n.to_string(), UploadState::Published, 1 + n);
    }
    let has_forgotten = |listed: Listed| listed.has_forgotten;
    assert!(!has_forgotten(index.latest(|_| true, 1)));
    hear(&index, "last", UploadState::Published, 1 + remembered);
    assert!(index.find("open").is_some() && index.find("1").is_none() && index.find("2").is_some());
    let open = index.open(|_| true, 20);
    assert_eq!((open.uploads.len(), open.more, open.has_forgotten), (1, 0, false));
    let latest = index.latest(|_| true, 2);
    let ids: Vec<&str> = latest.uploads.iter().map(|upload| upload.id.as_str()).collect();
    assert_eq!((ids, latest.more, latest.has_forgotten), (vec!["last", "9999"], 9_998, true));

    hear(&index, "open", UploadState::Expired, 2 + remembered);
    assert_eq!(index.open(|_| true, 20).uploads.len(), 0, "it has ended");
}

#[test]
fn more_open_uploads_than_are_remembered_hide_none_that_end_and_are_said() {
    let index = UploadIndex::default();
    for n in 0..UPLOADS_MAX + 5 {
        hear(&index, &n.to_string(), UploadState::Receiving, i64::try_from(n).expect("a few"));
    }
    hear(&index, "ended", UploadState::Published, 20_000);
    assert!(index.find("ended").is_some());
    let open = index.open(|_| true, 1);
    assert_eq!((&*open.uploads[0].id, open.more, open.has_forgotten), ("6", 9_998, true));
}

#[test]
fn what_is_remembered_is_bounded_in_bytes_too() {
    let index = UploadIndex::default();
    hear(&index, "open", UploadState::Receiving, 1);
    let long = "x".repeat(16 << 10);
    for n in 0..2_500 {
        hear(&index, &format!("{n}{long}"), UploadState::Published, 2 + n);
    }
    let latest = index.latest(|_| true, 1);
    assert!((1_500..2_100).contains(&latest.more) && latest.has_forgotten, "{}", latest.more);
    assert!(index.find("open").is_some());
}
