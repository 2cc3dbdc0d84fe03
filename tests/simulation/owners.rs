//! What an owner, a standby or a state on a disk does not know of what others have done meanwhile.

use sheetstream::record::Offset;
use sheetstream::sink::status::UploadState;
use sheetstream::transport::Guarantee;

use super::process::Process;
use super::scene::{GUARANTEES, Scene, failed};
use super::world::PLENTY;

/// It read the ledger from the beginning while its state was still being restored: what the state knew is not forgotten by that.
#[test]
fn a_standby_that_stands_down_before_it_has_restored_its_state_leaves_the_ledger_as_it_was() {
    for guarantee in GUARANTEES {
        let mut scene = Scene::new(guarantee, 1);
        let [mut one, mut other] = [0, 1].map(|number| Process::new(number, 1));
        scene.write("away", &["#BEGIN", "s,1,a", "#EOF"]);
        scene.write("open", &["#BEGIN", "s,1,a"]);
        scene.write("away", &["#BEGIN", "s,1,a"]);
        scene.hand_to(&mut one);
        one.revoke(0);
        scene.assign(&mut other);
        one.stand_by(0, &scene.app);
        one.stand_down(0);
        other.revoke(0);
        scene.assign(&mut one);
        scene.write("away", &["#EOF"]);
        scene.write("open", &["#EOF"]);
        scene.rest(&mut one, None);
        let ends =
            [("away", UploadState::Published, 1), ("away", UploadState::Failed, 0), ("away", UploadState::Failed, 0)];
        let ends = [&ends[..], &[("open", UploadState::Published, 1)]].concat();
        let ends: Vec<_> =
            ends.into_iter().map(|(upload, state, written)| (upload.to_owned(), state, written)).collect();
        assert_eq!(scene.ends(), ends, "{guarantee:?}");
    }
}

/// The end of an upload is committed, and what the state has of it is not deleted yet. Then its records are.
#[test]
fn a_state_whose_upload_has_ended_is_restored_behind_it() {
    for guarantee in GUARANTEES {
        let mut scene = Scene::new(guarantee, PLENTY);
        let mut one = Process::new(0, 1);
        scene.write("whole", &["#BEGIN", "s,1,a"]);
        scene.hand_to(&mut one);
        scene.write("whole", &["#EOF"]);
        one.turn(0, &scene.app, scene.now_ms, 50, true);
        assert_eq!(scene.committed(), Some(Offset(3)), "{guarantee:?}");
        one.die(true);
        one.restart();
        scene.delete_below(3);
        scene.hand_to(&mut one);
        assert_eq!(scene.ends(), [("whole".to_owned(), UploadState::Published, 1)], "{guarantee:?}");
    }
}

/// One that was behind has an upload of a single record in its state, which has made room for another one since.
#[test]
fn an_upload_that_gave_way_elsewhere_is_not_open() {
    for guarantee in GUARANTEES {
        let mut scene = Scene::new(guarantee, 2);
        let [mut one, mut other] = [0, 1].map(|number| Process::new(number, 1));
        scene.write("single", &["#BEGIN"]);
        scene.write("open", &["#BEGIN", "s,1,a"]);
        scene.hand_to(&mut one);
        one.revoke(0);
        scene.write("third", &["#BEGIN", "s,1,a"]);
        scene.hand_to(&mut other);
        other.revoke(0);
        scene.write("single", &["s,1,a", "#EOF"]);
        scene.write("third", &["#EOF"]);
        scene.hand_to(&mut one);
        let third = ("third".to_owned(), UploadState::Published, 1);
        assert_eq!(scene.ends(), [failed("single"), failed("single"), third], "{guarantee:?}");
    }
}

/// Somebody sets the offset back, below an upload that had failed before it expired.
#[test]
fn nothing_is_said_of_an_upload_after_its_end() {
    for guarantee in GUARANTEES {
        let mut scene = Scene::new(guarantee, PLENTY);
        let mut one = Process::new(0, 1);
        scene.write("failed", &["#BEGIN", "#HEADER a,b", "1,2"]);
        scene.hand_to(&mut one);
        assert_eq!(scene.last_of("failed").state, UploadState::Failed);
        scene.fall_silent(&mut one);
        one.revoke(0);
        scene.set_offset(0);
        scene.hand_to(&mut one);
        assert_eq!(scene.last_of("failed").state, UploadState::Expired, "{guarantee:?}");
    }
}

/// The owner has missed an upload of which no record is left. A standby has nothing that shows it.
#[test]
fn a_standby_keeps_no_state_that_lacks_an_open_upload() {
    for guarantee in GUARANTEES {
        let mut scene = Scene::new(guarantee, PLENTY);
        let [mut one, mut other, mut third] = [0, 1, 2].map(|number| Process::new(number, 1));
        scene.write("lost", &["#BEGIN", "s,1,a"]);
        scene.hand_to(&mut one);
        one.revoke(0);
        scene.delete_below(2);
        scene.hand_to(&mut other);
        third.stand_by(0, &scene.app);
        scene.rest(&mut other, Some(&mut third));
        third.stand_down(0);
        scene.hand_over(&mut other, &mut third);
        let last = scene.last_without_more(&mut third, "lost");
        assert!(last.offsets.completion.is_some(), "{guarantee:?}: {last:?}");
    }
}

/// Both have read what there is of an upload. One of them reads on and says so, and the group has put it out before it commits.
fn end_unseen(scene: &mut Scene, [one, other]: [&mut Process; 2], upload: &'static str, rest: &[&'static str]) {
    for process in [&mut *one, other] {
        scene.hand_to(process);
        process.revoke(0);
    }
    scene.assign(one);
    one.turn(0, &scene.app, scene.now_ms, 0, true);
    scene.write(upload, rest);
    scene.replace(one, 50);
}

/// Its end is sent and in the state, and not committed. Who is the owner meanwhile does not know of it, and says that the upload stalls. The
/// next one has the end in its state, or has read of it as a standby.
#[test]
fn an_end_that_another_owner_did_not_know_is_said_again() {
    for is_standby in [false, true] {
        let mut scene = Scene::new(Guarantee::AtLeastOnce, PLENTY);
        let [mut one, mut other, mut third] = [0, 1, 2].map(|number| Process::new(number, 1));
        scene.write("whole", &["#BEGIN", "s,1,a"]);
        end_unseen(&mut scene, [&mut one, &mut other], "whole", &["#EOF"]);
        assert_eq!(scene.last_of("whole").state, UploadState::Published);
        if is_standby {
            third.stand_by(0, &scene.app);
            third.follow(0, scene.now_ms, 50);
        }
        scene.assign(&mut other);
        scene.pause(&mut other);
        assert_eq!(scene.last_of("whole").state, UploadState::Stalled);
        scene.hand_to(if is_standby { &mut third } else { &mut one });
        assert_eq!(scene.last_of("whole").state, UploadState::Published, "{is_standby}");
    }
}

/// The same id ends twice, sent and in no commit, and its first upload stalls with an owner who knows of neither. The second end is said again,
/// too: known, it would give the first one a number behind its own, for the same bytes.
#[test]
fn ends_that_are_said_again_keep_their_revisions() {
    let mut scene = Scene::new(Guarantee::AtLeastOnce, PLENTY);
    let [mut one, mut other, mut third] = [0, 1, 2].map(|number| Process::new(number, 1));
    scene.write("twice", &["#BEGIN", "s,1,a"]);
    end_unseen(&mut scene, [&mut one, &mut other], "twice", &["#EOF", "#BEGIN", "s,2,a", "#EOF"]);
    scene.assign(&mut other);
    scene.pause(&mut other);
    assert_eq!(scene.last_of("twice").state, UploadState::Stalled);
    scene.hand_to(&mut third);
    assert_eq!(scene.revisions("twice"), [(0, 1), (3, 2), (0, 1), (3, 2)]);
}

/// What a transaction shows, nobody sees before its end: it needs no other record for that.
#[test]
fn an_upload_that_pauses_is_shown_with_all_rows_that_came() {
    for guarantee in GUARANTEES {
        let mut scene = Scene::new(guarantee, PLENTY);
        let mut one = Process::new(0, 1);
        scene.write("open", &["#BEGIN", "s,1,a"]);
        scene.hand_to(&mut one);
        scene.write("open", &["s,2,a"]);
        one.turn(0, &scene.app, scene.now_ms, 50, true);
        scene.write("open", &["s,3,a"]);
        scene.rest(&mut one, None);
        assert_eq!(scene.last_of("open").accounting.rows_in, 3, "{guarantee:?}");
    }
}
