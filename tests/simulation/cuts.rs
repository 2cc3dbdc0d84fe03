//! What is known of a log that was cut since, or that lost records: state on a disk, a standby in memory, and statuses, of records that are
//! there no longer.

use sheetstream::record::Offset;
use sheetstream::sink::status::UploadState;
use sheetstream::transport::Guarantee;

use super::cluster::{Kind, Trouble};
use super::log::Topic;
use super::process::Process;
use super::scene::{GUARANTEES, Scene, failed};
use super::world::PLENTY;

/// One that was behind, on a disk or in memory, has records that were cut off; another process has published what came in their place, in
/// part. Then it becomes the owner.
fn becomes_the_owner_of_a_log_that_was_cut(guarantee: Guarantee, is_standby: bool) {
    let mut scene = Scene::new(guarantee, PLENTY);
    let [mut one, mut other] = [0, 1].map(|number| Process::new(number, 1));
    scene.write("cut", &["#BEGIN", "s,1,a", "s,2,a", "s,3,a"]);
    scene.hand_to(&mut one);
    if is_standby {
        scene.hand_over(&mut one, &mut other);
        one.stand_by(0, &scene.app);
        scene.rest(&mut other, Some(&mut one));
    } else {
        one.revoke(0);
    }
    scene.cut(2);
    scene.write("whole", &["#BEGIN", "s,1,b", "s,2,b"]);
    if !is_standby {
        scene.assign(&mut other);
    }
    scene.rest(&mut other, None);
    scene.write("whole", &["s,3,b", "#EOF"]);
    scene.hand_over(&mut other, &mut one);
    let whole = ("whole".to_owned(), UploadState::Published, 3);
    assert_eq!(scene.ends(), [failed("cut"), whole], "{guarantee:?}, standby: {is_standby}");
}

#[test]
fn state_of_a_log_that_was_cut_is_not_believed() {
    for guarantee in GUARANTEES {
        becomes_the_owner_of_a_log_that_was_cut(guarantee, false);
    }
}

#[test]
fn a_standby_of_a_log_that_was_cut_does_not_take_over() {
    for guarantee in GUARANTEES {
        becomes_the_owner_of_a_log_that_was_cut(guarantee, true);
    }
}

/// Its marker did not end it, for it counts more rows. Then its first record is gone, so that it has failed at the marker.
#[test]
fn an_upload_that_fails_in_a_replay_and_ends_in_it_has_an_end() {
    for guarantee in GUARANTEES {
        let mut scene = Scene::new(guarantee, PLENTY);
        let [mut one, mut other] = [0, 1].map(|number| Process::new(number, 1));
        scene.write("short", &["#BEGIN", "s,1,a", "s,2,a", "#EOF rows=3"]);
        scene.hand_to(&mut one);
        scene.delete_below(1);
        scene.hand_over(&mut one, &mut other);
        let last = scene.last_without_more(&mut other, "short");
        assert_eq!((last.state, last.offsets.completion), (UploadState::Failed, Some(Offset(3))), "{guarantee:?}");
    }
}

/// The log has grown again since, with nothing that anybody reads. The process that is given the partition is put out before it has read it.
#[test]
fn an_upload_whose_first_record_was_cut_off_is_missed_when_the_log_has_grown_again() {
    for guarantee in GUARANTEES {
        let mut scene = Scene::new(guarantee, PLENTY);
        let [mut one, mut other, mut third] = [0, 1, 2].map(|number| Process::new(number, 1));
        scene.write("whole", &["#BEGIN", "s,1,a", "#EOF"]);
        scene.write("cut", &["#BEGIN", "s,1,a"]);
        scene.hand_to(&mut one);
        scene.cut(3);
        scene.hand_over(&mut one, &mut other);
        other.revoke(0);
        scene.write_unseen(2);
        for _ in 0..2 {
            scene.assign(&mut third);
            (0..4).for_each(|_| drop(third.turn(0, &scene.app, scene.now_ms, 0, true)));
            third.revoke(0);
        }
        scene.hand_to(&mut third);
        let last = scene.last_without_more(&mut third, "cut");
        assert_eq!((last.state, last.offsets.completion), (UploadState::Expired, Some(Offset(5))), "{guarantee:?}");
    }
}

/// A task has started where the log was cut, and has not read it.
#[test]
fn a_log_that_is_cut_again_below_the_cut_is_noticed() {
    for guarantee in GUARANTEES {
        for (second_cut, unseen) in [(0, 1), (1, 0)] {
            let mut scene = Scene::new(guarantee, PLENTY);
            let [mut one, mut other] = [0, 1].map(|number| Process::new(number, 1));
            scene.write("cut", &["#BEGIN", "s,1,a", "s,2,a"]);
            scene.hand_to(&mut one);
            one.revoke(0);
            scene.cut(2);
            scene.assign(&mut other);
            other.turn(0, &scene.app, scene.now_ms, 0, true);
            scene.cut(second_cut);
            scene.write_unseen(unseen);
            scene.rest(&mut other, None);
            let last = scene.last_without_more(&mut other, "cut");
            assert!(last.offsets.completion.is_some(), "{guarantee:?}, cut at {second_cut}: {last:?}");
        }
    }
}

/// At least once, the state may be of the new topic where the commit is still of the former one. It is built again, and what it had is
/// sought.
#[test]
fn state_of_a_topic_that_was_made_anew_is_ahead_of_the_commit() {
    let mut scene = Scene::new(Guarantee::AtLeastOnce, PLENTY);
    let mut one = Process::new(0, 1);
    scene.hand_to(&mut one);
    scene.app.brokers.lock().source = Topic::new(2, 1);
    scene.write("open", &["s,1,a"]);
    scene.replace(&mut one, 50);
    scene.delete_below(1);
    scene.hand_to(&mut one);
    assert_eq!(scene.ends(), [failed("open")]);
}

/// It begins, by chance, at the offset that was committed in the former one: the leader epoch of that commit says nothing of it.
#[test]
fn a_topic_that_was_made_anew_is_not_taken_for_cut() {
    for guarantee in GUARANTEES {
        let mut scene = Scene::new(guarantee, PLENTY);
        let [mut one, mut other] = [0, 1].map(|number| Process::new(number, 1));
        scene.write("former", &["s,1,a", "#EOF"]);
        scene.hand_to(&mut one);
        scene.app.brokers.lock().source = Topic::new(2, 1);
        scene.cut(0);
        scene.write("gone", &["s,1,a", "#EOF"]);
        scene.delete_below(2);
        scene.write("new", &["#BEGIN", "s,1,a", "#EOF"]);
        scene.hand_over(&mut one, &mut other);
        assert_eq!(scene.last_of("new").state, UploadState::Published, "{guarantee:?}");
    }
}

/// It is the second of its id.
#[test]
fn an_upload_that_was_cut_off_with_the_one_before_it_is_missed() {
    for guarantee in GUARANTEES {
        let mut scene = Scene::new(guarantee, PLENTY);
        let [mut one, mut other] = [0, 1].map(|number| Process::new(number, 1));
        scene.write("again", &["#BEGIN", "s,1,a", "#EOF", "#BEGIN", "s,1,b"]);
        scene.hand_to(&mut one);
        scene.cut(0);
        scene.hand_over(&mut one, &mut other);
        let last = scene.last_without_more(&mut other, "again");
        assert!(last.offsets.completion.is_some(), "{guarantee:?}: {last:?}");
    }
}

/// It has failed where the log was cut, in front of the place of one before it. Then somebody sets the offset behind both.
#[test]
fn an_upload_that_failed_at_a_cut_has_an_end_although_one_before_it_ended_behind() {
    for guarantee in GUARANTEES {
        let mut scene = Scene::new(guarantee, PLENTY);
        let [mut one, mut other, mut third] = [0, 1, 2].map(|number| Process::new(number, 1));
        scene.write("again", &["#BEGIN", "s,1,a", "#EOF", "#BEGIN", "s,1,b", "#EOF", "#BEGIN", "s,1,c"]);
        scene.hand_to(&mut one);
        scene.cut(1);
        scene.hand_over(&mut one, &mut other);
        assert_eq!(
            (scene.last_of("again").state, scene.last_of("again").offsets.first),
            (UploadState::Failed, Offset(1))
        );
        other.revoke(0);
        scene.write_unseen(6);
        scene.set_offset(7);
        scene.hand_to(&mut third);
        let last = scene.last_without_more(&mut third, "again");
        assert!(last.offsets.completion.is_some(), "{guarantee:?}: {last:?}");
    }
}

/// The one before it has ended behind the cut, and the log is read from another open upload on.
#[test]
fn an_upload_that_was_cut_off_behind_another_of_its_id_has_an_end() {
    for guarantee in GUARANTEES {
        let mut scene = Scene::new(guarantee, PLENTY);
        let [mut one, mut other] = [0, 1].map(|number| Process::new(number, 1));
        scene.write("open", &["#BEGIN"]);
        scene.write("again", &["#BEGIN", "s,1,a", "#EOF", "#BEGIN", "s,1,b"]);
        scene.hand_to(&mut one);
        scene.cut(3);
        scene.hand_over(&mut one, &mut other);
        scene.fall_silent(&mut other);
        let last = scene.last_of("again");
        let end = (last.state, last.offsets.first, last.offsets.completion);
        assert_eq!(end, (UploadState::Expired, Offset(3), Some(Offset(3))), "{guarantee:?}: {last:?}");
    }
}

/// The process has read the upload `again` from its fourth record on, so that its rest has failed. Then somebody has set the offset back in
/// front of the upload, and the log was cut at `cut`.
fn after_a_rest_that_was_cut_off(guarantee: Guarantee, cut: i64) -> (Scene, Process) {
    let mut scene = Scene::new(guarantee, PLENTY);
    let mut one = Process::new(0, 1);
    scene.write("again", &["#BEGIN", "s,1,a", "s,2,a", "s,3,a", "#EOF"]);
    scene.set_offset(3);
    scene.hand_to(&mut one);
    assert_eq!(scene.ends(), [failed("again")], "{guarantee:?}");
    one.revoke(0);
    scene.set_offset(0);
    scene.cut(cut);
    (scene, one)
}

/// The beginning of the upload is cut off, too.
#[test]
fn the_end_of_a_rest_that_was_cut_off_is_not_that_of_the_whole() {
    for guarantee in GUARANTEES {
        let (mut scene, mut one) = after_a_rest_that_was_cut_off(guarantee, 2);
        let mut other = Process::new(1, 1);
        scene.hand_to(&mut other);
        other.die(false);
        scene.cut(0);
        scene.hand_to(&mut one);
        let last = scene.last_without_more(&mut one, "again");
        assert!(last.offsets.completion.is_some(), "{guarantee:?}: {last:?}");
    }
}

/// More rows of the upload come.
#[test]
fn an_upload_goes_on_over_the_place_of_an_end_that_was_cut_off() {
    for guarantee in GUARANTEES {
        let (mut scene, _one) = after_a_rest_that_was_cut_off(guarantee, 3);
        let mut other = Process::new(1, 1);
        scene.hand_to(&mut other);
        scene.write("again", &["s,3,b", "s,4,b", "s,5,b", "#EOF"]);
        scene.rest(&mut other, None);
        let last = scene.last_of("again");
        assert_eq!((last.state, last.accounting.written), (UploadState::Published, 5), "{guarantee:?}: {last:?}");
    }
}

/// Its records are there, and its end, too. Who reads it again without a state does not find it.
#[test]
fn an_upload_that_was_skipped_by_a_reset_has_an_end() {
    for guarantee in GUARANTEES {
        for had_failed in [false, true] {
            let mut scene = Scene::new(guarantee, PLENTY);
            let [mut one, mut other, mut third] = [0, 1, 2].map(|number| Process::new(number, 1));
            scene.write("skipped", &["#BEGIN", "s,1,a"]);
            scene.hand_to(&mut one);
            if had_failed {
                scene.delete_below(1);
                scene.hand_over(&mut one, &mut third);
                assert_eq!(scene.last_of("skipped").state, UploadState::Failed, "{guarantee:?}");
                third.revoke(0);
            }
            one.revoke(0);
            scene.write("skipped", &["#EOF"]);
            scene.set_offset(3);
            scene.hand_to(&mut other);
            other.die(false);
            scene.hand_to(&mut one);
            let last = scene.last_without_more(&mut one, "skipped");
            assert!(last.offsets.completion.is_some(), "{guarantee:?}, {had_failed}: {last:?}");
        }
    }
}

/// It fails there, and who said so dies before the commit.
#[test]
fn an_upload_that_fails_at_a_cut_below_the_oldest_that_is_committed_has_an_end() {
    for guarantee in GUARANTEES {
        for after in 0..4 {
            let mut scene = Scene::new(guarantee, PLENTY);
            let [mut one, mut other] = [0, 1].map(|number| Process::new(number, 1));
            scene.write_unseen(1);
            scene.write("cut", &["#BEGIN", "s,1,a"]);
            scene.hand_to(&mut one);
            one.revoke(0);
            scene.cut(0);
            scene.assign(&mut other);
            scene.app.brokers.lock().trouble = Some(Trouble { process: 1, after, kind: Kind::DiesBefore });
            (0..4).for_each(|_| drop(other.turn(0, &scene.app, scene.now_ms, 50, true)));
            other.die(false);
            scene.app.brokers.lock().trouble = None;
            scene.hand_to(&mut one);
            let last = scene.last_without_more(&mut one, "cut");
            assert!(last.offsets.completion.is_some(), "{guarantee:?}, after {after} calls: {last:?}");
        }
    }
}

/// Another upload of the id comes over its place, and its rows are read again without the state.
#[test]
fn an_end_that_was_cut_off_does_not_end_what_is_in_its_place() {
    for guarantee in GUARANTEES {
        for read_before in 0..=5 {
            let mut scene = Scene::new(guarantee, PLENTY);
            let [mut one, mut other] = [0, 1].map(|number| Process::new(number, 1));
            scene.write("again", &["#BEGIN", "s,1,a", "#EOF", "#BEGIN", "s,1,b", "#EOF"]);
            scene.hand_to(&mut one);
            scene.cut(2);
            let whole = ["#BEGIN", "s,1,c", "s,2,c", "s,3,c", "s,4,c", "#EOF"];
            scene.write("again", &whole[..read_before]);
            one.revoke(0);
            scene.hand_to(&mut other);
            other.die(false);
            scene.write("again", &whole[read_before..]);
            scene.hand_to(&mut one);
            let last = scene.last_of("again");
            let found = (last.state, last.revision, last.accounting.written);
            assert_eq!(found, (UploadState::Published, 3, 4), "{guarantee:?}, {read_before} read before: {last:?}");
        }
    }
}

/// It was turned away, and its first record is deleted while it is published. Its rest is none, with the state or without.
#[test]
fn the_rest_of_one_that_was_turned_away_before_the_log_begins_is_none() {
    for guarantee in GUARANTEES {
        for is_kept in [true, false] {
            let mut scene = Scene::new(guarantee, 1);
            let [mut one, mut other] = [0, 1].map(|number| Process::new(number, 1));
            scene.write("open", &["#BEGIN", "s,1,a"]);
            scene.write("away", &["#BEGIN", "s,1,a"]);
            scene.write("open", &["#EOF"]);
            scene.hand_to(&mut one);
            scene.delete_below(5);
            scene.write("away", &["s,2,a", "#EOF"]);
            if is_kept {
                one.revoke(0);
            } else {
                one.die(false);
            }
            let owner = if is_kept { &mut one } else { &mut other };
            scene.hand_to(owner);
            let last = scene.last_of("away");
            assert_eq!(last.state, UploadState::Failed, "{guarantee:?}, {is_kept}: {last:?}");
        }
    }
}

/// It was turned away in a topic that is no more, and the new one has its rest.
#[test]
fn the_rest_of_one_that_was_turned_away_in_a_former_topic_is_none() {
    for guarantee in GUARANTEES {
        let mut scene = Scene::new(guarantee, 1);
        let [mut one, mut other] = [0, 1].map(|number| Process::new(number, 1));
        scene.write("away", &["s,1,a"]);
        scene.write("open", &["#BEGIN", "s,1,a"]);
        scene.hand_to(&mut one);
        scene.app.brokers.lock().source = Topic::new(2, 1);
        scene.write("away", &["s,2,a", "#EOF"]);
        scene.hand_over(&mut one, &mut other);
        let last = scene.last_without_more(&mut other, "away");
        assert_ne!(last.state, UploadState::Published, "{guarantee:?}: {last:?}");
    }
}

#[test]
fn an_upload_whose_waiting_rows_were_deleted_is_missed() {
    for guarantee in GUARANTEES {
        let mut scene = Scene::new(guarantee, PLENTY);
        let mut one = Process::new(0, 1);
        scene.write_waiting("waits");
        scene.hand_to(&mut one);
        one.revoke(0);
        scene.delete_below(1);
        scene.hand_to(&mut one);
        let last = scene.last_without_more(&mut one, "waits");
        assert_eq!((last.state, last.offsets.completion), (UploadState::Expired, Some(Offset(1))), "{guarantee:?}");
    }
}

/// Its state ends where the log was cut later. Meanwhile another process has committed there, without a record in between, that an upload
/// has failed.
#[test]
fn a_state_that_is_as_far_as_the_commit_and_older_asks_for_statuses() {
    for guarantee in GUARANTEES {
        for before in [&[][..], &["#BEGIN", "s,1,a", "#EOF"]] {
            let mut scene = Scene::new(guarantee, PLENTY);
            let [mut one, mut other, mut third] = [0, 1, 2].map(|number| Process::new(number, 1));
            scene.write("before", before);
            scene.hand_to(&mut one);
            one.revoke(0);
            scene.write("cut", &["#BEGIN", "s,1,a"]);
            scene.hand_to(&mut other);
            scene.cut(before.len() as i64);
            scene.hand_over(&mut other, &mut third);
            let failed = scene.last_of("cut");
            assert_eq!(failed.state, UploadState::Failed, "{guarantee:?}");
            assert!(failed.failure.expect("a reason").message.contains("unclean leader election"), "{guarantee:?}");
            third.revoke(0);
            scene.hand_to(&mut one);
            let last = scene.last_without_more(&mut one, "cut");
            assert!(last.offsets.completion.is_some(), "{guarantee:?}, {before:?}: {last:?}");
        }
    }
}

/// At least once, somebody has said that it is open, and has not committed it. One before it under its id, at the same place, was cut off.
#[test]
fn an_upload_in_the_place_of_one_that_was_cut_off_has_a_revision_of_its_own() {
    let mut scene = Scene::new(Guarantee::AtLeastOnce, PLENTY);
    let [mut one, mut other] = [0, 1].map(|number| Process::new(number, 1));
    scene.write("again", &["s,1,a", "#EOF"]);
    scene.hand_to(&mut one);
    scene.cut(0);
    scene.hand_to(&mut one);
    scene.write("again", &["#BEGIN", "s,1,b"]);
    scene.replace(&mut one, 50);
    scene.write("again", &["s,2,b", "#EOF"]);
    scene.hand_to(&mut other);
    let last = scene.last_of("again");
    assert_eq!((last.state, last.revision, last.accounting.written), (UploadState::Published, 2, 2));
}

/// Its state has the upload, and the log no longer has its end, which another process has read.
#[test]
fn an_upload_that_ended_before_the_log_begins_is_not_missed() {
    for guarantee in GUARANTEES {
        let mut scene = Scene::new(guarantee, PLENTY);
        let [mut one, mut other] = [0, 1].map(|number| Process::new(number, 1));
        scene.write("open", &["#BEGIN"]);
        scene.write("whole", &["#BEGIN", "s,1,a"]);
        scene.hand_to(&mut one);
        scene.write("whole", &["#EOF"]);
        scene.hand_over(&mut one, &mut other);
        scene.delete_below(4);
        scene.hand_over(&mut other, &mut one);
        assert_eq!(scene.last_of("whole").state, UploadState::Published, "{guarantee:?}");
    }
}

/// At least once, a process that was put out says so once more when the upload has ended and the next one of its id is open.
#[test]
fn an_upload_is_not_void_because_the_one_before_it_was_turned_away() {
    let mut scene = Scene::new(Guarantee::AtLeastOnce, 1);
    let [mut one, mut other, mut third] = [0, 1, 2].map(|number| Process::new(number, 1));
    scene.write("room", &["#BEGIN", "s,1,a"]);
    scene.write("away", &["#BEGIN"]);
    scene.assign(&mut one);
    one.turn(0, &scene.app, scene.now_ms, 0, true);
    scene.write("away", &["s,1,a", "#EOF"]);
    scene.write("room", &["#EOF"]);
    scene.write("away", &["s,1,b"]);
    scene.hand_to(&mut other);
    other.revoke(0);
    scene.replace(&mut one, 3);
    scene.write("away", &["s,2,b", "#EOF"]);
    scene.hand_to(&mut third);
    let last = scene.last_of("away");
    assert_eq!((last.state, last.accounting.written), (UploadState::Published, 2), "{last:?}");
}

/// Its end counts more rows than came. The cut behind it makes its first rows doubtful for who reads it again.
#[test]
fn an_upload_that_was_held_below_a_cut_has_an_end() {
    for guarantee in GUARANTEES {
        let mut scene = Scene::new(guarantee, PLENTY);
        let [mut one, mut other, mut third] = [0, 1, 2].map(|number| Process::new(number, 1));
        scene.write("held", &["s,1,a", "#EOF rows=3"]);
        scene.write("cut", &["#BEGIN"]);
        scene.hand_to(&mut one);
        scene.cut(2);
        scene.hand_over(&mut one, &mut other);
        scene.hand_over(&mut other, &mut third);
        let last = scene.last_without_more(&mut third, "held");
        assert!(last.offsets.completion.is_some(), "{guarantee:?}: {last:?}");
    }
}
