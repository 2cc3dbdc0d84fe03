//! The life of an upload, case by case.

use super::*;

fn eof_with(upload: &'static str, rows: Option<u64>, sha256: Option<[u8; 32]>, partitions: Option<u32>) -> Line {
    marker(upload, Marker::Eof { rows, sha256, partitions })
}

pub(super) fn with_source(change: impl FnOnce(&mut SourceConfig)) -> AggregateSettings {
    let mut settings = settings();
    let mut source = SourceConfig::clone(&settings.source);
    change(&mut source);
    settings.source = Arc::new(source);
    settings
}

fn run(log: &[Line]) -> Published {
    undisturbed(settings(), log, 3).published
}

pub(super) fn words(published: &Published) -> Vec<(UploadState, Option<Reason>)> {
    published.words.iter().map(|(_, word, reason)| (*word, *reason)).collect()
}

#[test]
fn positional_rows_are_written_to_their_sheets_until_the_eof() {
    let published = run(&[rows("a", 1..=3), rows("a", 4..=40), eof("a")]);
    let book = published.book("a", 1);
    assert_eq!(book.sheets.iter().map(|sheet| sheet.0.as_str()).collect::<Vec<_>>(), ["s1", "s2", "s0"]);
    assert_eq!(book.rows, [[13], [12], [13]]);
    assert_eq!((book.written, book.rejected, book.sha256), (38, 2, checksum(1..=40)));
    assert_eq!(
        book.errors.iter().map(|error| (error.row, error.cells.join(","))).collect::<Vec<_>>(),
        [(17, raw(17)), (34, raw(34))]
    );
    assert_eq!(book.source_name, "a");
    assert_eq!(book.columns[2], ("lon".to_owned(), ColumnType::Computed { decimals: 3 }));
    assert_eq!(published.dead_letters, [(1, Some(17), "number.format"), (1, Some(34), "number.format")].into());
    assert_eq!(published.ends[&("a".to_owned(), 0)].2, 2);
}

#[test]
fn sheets_are_sorted_by_name_when_the_topology_says_so() {
    let mut settings = settings();
    settings.aggregate =
        Arc::new(AggregateConfig { sheet_order: SheetOrder::Name, ..AggregateConfig::clone(&settings.aggregate) });
    let published = undisturbed(settings, &[rows("a", [1, 2, 3]), eof("a")], 9).published;
    assert_eq!(
        published.book("a", 1).sheets.iter().map(|sheet| sheet.0.as_str()).collect::<Vec<_>>(),
        ["s0", "s1", "s2"]
    );
}

#[test]
fn a_template_names_sheets_after_several_columns() {
    let mut settings = settings();
    let column = |name: &str| TemplatePart::Column(name.to_owned());
    let sheet = SheetKey::Template(vec![column("sheet"), TemplatePart::Literal(" at ".to_owned()), column("lon")]);
    settings.aggregate = Arc::new(AggregateConfig { sheet, ..AggregateConfig::clone(&settings.aggregate) });
    let published = undisturbed(settings, &[rows("a", [1, 2]), eof("a")], 9).published;
    let values: Vec<_> = published.book("a", 1).sheets.iter().map(|sheet| sheet.0.as_str()).collect();
    assert_eq!(values, ["s1 at 127.001", "s2 at 127.002"]);
}

#[test]
fn numbered_rows_complete_an_upload_whose_eof_came_first() {
    let log = [begin("a"), eof_of("a", 9), numbered("a", 7..=9), numbered("a", 1..=3), numbered("a", 4..=6)];
    let published = run(&log);
    assert_eq!(published.book("a", 1).sha256, checksum(1..=9));
    assert_eq!(published.ends[&("a".to_owned(), 0)].2, 4);
    assert_eq!(words(&published), [(UploadState::Incomplete, Some(Reason::UploadIncomplete))]);
}

#[test]
fn an_end_that_came_before_a_begin_is_not_the_end_of_that_attempt() {
    // The rows of the first publication are gone; its end must not make the next one of a part.
    let log = [eof_of("a", 3), begin("a"), rows("a", 1..=3), rows("a", 4..=4), eof_of("a", 4)];
    let published = run(&log);
    assert_eq!(published.book("a", 1).sha256, checksum(1..=4));
    assert_eq!(words(&published), [(UploadState::Incomplete, Some(Reason::UploadIncomplete))]);
    assert_eq!(published.dead_letters, [(0, None, "eof.unknown")].into());
}

#[test]
fn an_end_before_its_own_begin_is_known_by_its_attempt() {
    let with = |end: &'static str, begun: &'static str| {
        let rows = [rows("a", 1..=3).of(begun), rows("a", 4..=4).of(begun)];
        run(&[eof_of("a", 4).of(end), begin("a").of(begun), rows[0].clone(), rows[1].clone()])
    };
    let same = with("x", "x");
    assert_eq!((same.book("a", 1).sha256, same.dead_letters), (checksum(1..=4), [].into()));
    let other = with("x", "y");
    assert_eq!((other.books.len(), other.dead_letters), (0, [(0, None, "eof.unknown")].into()));
    let rows_alone = run(&[eof_of("a", 2).of("x"), rows("a", 1..=2).of("y")]);
    assert_eq!((rows_alone.books.len(), words(&rows_alone)[1].1), (0, Some(Reason::UploadConflict)));
}

#[test]
fn the_same_index_again_is_counted_and_changes_nothing() {
    let log = [numbered("a", 1..=5), numbered("a", 4..=8), numbered("a", 8..=8), eof_of("a", 8)];
    let (_, _, _, accounting) = run(&log).ends[&("a".to_owned(), 0)];
    assert_eq!((accounting.rows_in, accounting.written, accounting.duplicate), (11, 8, 3));
    assert_eq!(run(&log).book("a", 1), run(&[numbered("a", 1..=8), eof("a")]).book("a", 1));
}

#[test]
fn an_eof_alone_makes_an_empty_workbook_only_if_it_says_so() {
    let published = run(&[eof_of("a", 0), eof_of("c", 3)]);
    let book = published.book("a", 1);
    assert_eq!(book.sheets, [(String::new(), vec![], vec![], vec![])]);
    assert_eq!((book.written, book.sha256), (0, checksum([])));
    assert_eq!(published.dead_letters, [].into());
    assert_eq!(published.words, [("c".to_owned(), UploadState::Incomplete, Some(Reason::UploadIncomplete))]);
}

#[test]
fn an_upload_with_a_header_alone_has_its_columns() {
    let header = Marker::Header(Arc::new(["x".into(), "y".into()]));
    let published = run(&[marker("a", header), eof("a")]);
    assert_eq!(
        published.book("a", 1).columns,
        [("x".to_owned(), ColumnType::Auto), ("y".to_owned(), ColumnType::Auto)]
    );
}

#[test]
fn a_second_eof_changes_nothing_and_one_that_differs_is_a_dead_letter() {
    let published = run(&[rows("a", 1..=3), eof("a"), eof("a"), eof_of("a", 3), eof_of("a", 4)]);
    assert_eq!((published.books.len(), published.ends.len(), published.words.len()), (1, 1, 0));
    assert_eq!(published.dead_letters, [(4, None, "eof.unknown")].into());
}

#[test]
fn an_incomplete_upload_is_held_emitted_or_failed_as_the_topology_says() {
    let log = [numbered("a", 1..=3), numbered("a", 6..=7), eof_of("a", 7)];
    let of = |incomplete| undisturbed(with_source(|source| source.incomplete = incomplete), &log, 2).published;
    let held = of(Incomplete::Hold);
    assert_eq!((held.books.len(), held.ends.len()), (0, 0));
    let emitted = of(Incomplete::Emit);
    assert!(emitted.book("a", 1).incomplete);
    assert_eq!(emitted.book("a", 1).sha256, checksum([1, 2, 3, 6, 7]));
    assert_eq!(emitted.ledger[0].rows_sha256, None);
    let failed = of(Incomplete::Fail);
    let (outcome, _, _, accounting) = failed.ends[&("a".to_owned(), 0)];
    assert_eq!((outcome, accounting.voided, failed.books.len()), (Outcome::Failed, 5, 0));
    let incomplete = Some(Reason::UploadIncomplete);
    assert_eq!(words(&held), [(UploadState::Incomplete, incomplete)]);
    assert_eq!(words(&emitted), [(UploadState::Incomplete, incomplete)]);
    assert_eq!(words(&failed), [(UploadState::Incomplete, incomplete), (UploadState::Failed, incomplete)]);
}

#[test]
fn a_held_upload_completes_when_the_gap_fills() {
    let log = [numbered("a", 1..=3), numbered("a", 6..=7), eof("a"), numbered("a", 4..=4), numbered("a", 5..=5)];
    let published = run(&log);
    assert_eq!(words(&published), [(UploadState::Incomplete, Some(Reason::RowGap))]);
    assert_eq!(published.book("a", 1).sha256, checksum(1..=7));
}

#[test]
fn a_checksum_that_differs_is_incomplete() {
    let wrong = eof_with("a", Some(3), Some(checksum(1..=4)), None);
    let published = run(&[rows("a", 1..=3), wrong]);
    assert_eq!(words(&published), [(UploadState::Incomplete, Some(Reason::UploadIncomplete))]);
    let right = eof_with("a", Some(3), Some(checksum(1..=3)), None);
    assert_eq!(run(&[rows("a", 1..=3), right]).books.len(), 1);
}

#[test]
fn rows_beyond_the_count_in_the_completing_record_are_late() {
    let log = [begin("a"), eof_of("a", 3), rows("a", 1..=2), rows("a", 3..=5), rows("a", 6..=6), eof("a")];
    let published = run(&log);
    assert_eq!(published.book("a", 1).sha256, checksum(1..=3));
    assert_eq!(published.dead_letters, [(3, None, "row.late")].into());
    assert_eq!(published.book("a", 2).sha256, checksum([6]));
}

#[test]
fn a_new_attempt_voids_the_rows_of_the_open_one() {
    let log =
        [begin("a").of("x"), rows("a", 1..=20).of("x"), begin("a").of("y"), rows("a", 1..=5).of("y"), eof("a").of("y")];
    let published = run(&log);
    let (_, revision, _, accounting) = published.ends[&("a".to_owned(), 0)];
    assert_eq!((revision, accounting.rows_in, accounting.voided, accounting.written), (1, 25, 20, 5));
    assert_eq!(published.book("a", 1), run(&[rows("a", 1..=5), eof("a")]).book("a", 1));
}

#[test]
fn two_attempts_at_once_fail_the_upload_until_its_end() {
    let log = [
        begin("a").of("x"),
        rows("a", 1..=2).of("x"),
        rows("a", 3..=4).of("y"),
        rows("a", 5..=6).of("x"),
        eof("a").of("x"),
        rows("a", 7..=8),
        eof("a"),
    ];
    let published = run(&log);
    let conflict = Some(Reason::UploadConflict);
    assert_eq!(words(&published), [(UploadState::Failed, conflict), (UploadState::Failed, conflict)]);
    let (outcome, _, completion, accounting) = published.ends[&("a".to_owned(), 0)];
    assert_eq!((outcome, completion, accounting.rows_in, accounting.voided), (Outcome::Failed, 4, 6, 6));
    assert_eq!(published.book("a", 2).sha256, checksum([7, 8]));
}

#[test]
fn numbered_rows_of_a_complete_upload_are_late_and_positional_ones_begin_a_revision() {
    let log = [numbered("a", 1..=2), eof("a"), numbered("a", 2..=3), rows("a", 5..=6), eof("a")];
    let published = run(&log);
    assert_eq!(published.dead_letters, [(2, Some(2), "row.late"), (2, Some(3), "row.late")].into());
    assert_eq!(published.book("a", 2).sha256, checksum([5, 6]));
}

#[test]
fn the_same_content_again_is_answered_from_the_ledger() {
    let log = [rows("a", 1..=5), eof("a"), rows("a", 1..=5), eof("a"), rows("a", 1..=6), eof("a")];
    let published = run(&log);
    assert_eq!(published.books.len(), 2);
    let revisions: Vec<_> = published.ends.values().map(|end| end.1).collect();
    assert_eq!(revisions, [1, 1, 2]);
}

#[test]
fn an_abort_ends_an_open_upload_and_means_nothing_else() {
    let abort = || marker("a", Marker::Abort);
    let published = run(&[abort(), rows("a", 1..=3), abort(), abort()]);
    assert_eq!(words(&published), [(UploadState::Aborted, Some(Reason::UploadAborted))]);
    assert_eq!(published.ends[&("a".to_owned(), 1)].3.voided, 3);
}

#[test]
fn an_anonymous_upload_of_several_partitions_needs_somebody_who_vouches() {
    let log = [rows("", 1..=3), eof(""), eof_with("", None, None, Some(1))];
    let published = run(&log);
    assert_eq!(words(&published), [(UploadState::Incomplete, Some(Reason::UploadSplit))]);
    assert_eq!(published.book("", 1).source_name, "test");
    let single = AggregateSettings { partition_count: Some(1), ..settings() };
    assert_eq!(words(&undisturbed(single, &log[..2], 1).published), []);
}

#[test]
fn an_upload_that_is_held_as_split_is_so_after_the_state_is_lost() {
    for state_is_lost in [false, true] {
        let mut task = Task::new(settings());
        let log = [rows("a", 1..=3), eof("a"), rows("b", 1..=3), eof("b")];
        let other = task.settings.siblings.place(&UploadId::new("a"), 1, Offset(7));
        task.run(&log, 4, 1).unwrap();
        task.commit(3);
        // Whoever had the other part is gone when the log is read again.
        drop(other);
        task.kill(&log, state_is_lost, 1);
        task.run(&log, 4, 1).unwrap();
        assert_eq!(task.aggregate.open_uploads(), 1, "{state_is_lost}");
        task.tick(0);
        task.tick(100_000);
        assert_eq!(
            task.published.words.last(),
            Some(&("a".to_owned(), UploadState::Expired, Some(Reason::UploadExpired)))
        );
        assert_eq!(task.published.books.keys().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["b"]);
    }
}

#[test]
fn an_upload_that_was_whole_stays_so_when_its_id_is_open_elsewhere_later() {
    let mut task = Task::new(settings());
    let log = [rows("open", 1..=1), rows("a", 1..=3), eof("a")];
    task.run(&log, 2, 1).unwrap();
    task.commit(3);
    task.run(&log, 3, 1).unwrap();
    task.committed = (3, 0); // and the state is behind it
    let _later = task.settings.siblings.place(&UploadId::new("a"), 1, Offset(7));
    task.kill(&log, false, 1);
    task.run(&log, 3, 1).unwrap();
    assert_eq!((task.rebuilds, task.aggregate.open_uploads()), (0, 1), "the one that has no end");
}

#[test]
fn an_end_that_waits_for_rows_waits_for_them_in_a_replay_too() {
    let mut task = Task::new(settings());
    let log = [numbered("a", 1..=3), numbered("a", 5..=6), eof("a"), numbered("a", 4..=4)];
    task.run(&log, 3, 1).unwrap();
    task.commit(3);
    task.run(&log, 4, 1).unwrap();
    assert_eq!((task.published.books.len(), task.aggregate.open_uploads()), (1, 0));
    task.kill(&log, true, 1); // the end was sent and is not committed
    task.run(&log, 4, 1).unwrap();
    assert_eq!((task.published.books.len(), task.aggregate.open_uploads()), (1, 0));
}

#[test]
fn a_bad_row_fails_the_upload_when_the_topology_says_so() {
    let settings = with_source(|source| source.on_error = OnError::Fail);
    let published = undisturbed(settings, &[rows("a", 16..=19), rows("a", 20..=21), eof("a")], 1).published;
    let (outcome, _, completion, accounting) = published.ends[&("a".to_owned(), 0)];
    assert_eq!((outcome, completion, accounting.rejected, accounting.voided), (Outcome::Failed, 2, 1, 5));
    assert_eq!(published.dead_letters, [(0, Some(2), "number.format")].into());
}

#[test]
fn too_many_sheets_and_a_missing_sheet_column_fail_the_upload() {
    let with = |change: fn(&mut AggregateConfig)| {
        let mut settings = settings();
        let mut aggregate = AggregateConfig::clone(&settings.aggregate);
        change(&mut aggregate);
        settings.aggregate = Arc::new(aggregate);
        words(&undisturbed(settings, &[rows("a", 1..=3), eof("a")], 3).published)[0]
    };
    assert_eq!(with(|config| config.sheets_max = 2), (UploadState::Failed, Some(Reason::SheetTooMany)));
    let missing = with(|config| config.sheet = SheetKey::Column("sheat".to_owned()));
    assert_eq!(missing, (UploadState::Failed, Some(Reason::ColumnMissing)));
}

#[test]
fn the_source_can_fail_an_upload() {
    let mut task = Task::new(settings());
    let rejection = Rejection::new(Message::OtherDelimiter { delimiter: Delimiter(b','), guess: Delimiter(b';') });
    let phase = Phase::Live { emit_from: Offset(0) };
    task.call(0, phase, |aggregate, ctx| aggregate.fail(&UploadId::new("a"), Offset(0), rejection, ctx)).unwrap();
    assert_eq!(words(&task.published), [(UploadState::Failed, Some(Reason::CsvDelimiter))]);
    assert_eq!(task.aggregate.replay_from(), Some(Offset(0)));
    task.position = 1;
    let log = [rows("a", 1..=1), rows("a", 1..=3), eof("a")];
    task.run(&log, 3, 1).unwrap();
    assert_eq!((task.published.books.len(), task.aggregate.open_uploads()), (0, 0));
}

#[test]
fn a_gap_in_the_log_fails_the_uploads_that_began_before_it() {
    let mut task = Task::new(settings());
    let log = [rows("a", 1..=1), rows("a", 2..=2), rows("b", 1..=1), eof("a"), eof("b")];
    task.run(&log, 1, 1).unwrap();
    let phase = Phase::Live { emit_from: Offset(0) };
    task.call(1, phase, |aggregate, ctx| aggregate.log_gap(Offset(1)..Offset(2), ctx)).unwrap();
    task.position = 2;
    task.run(&log, 5, 1).unwrap();
    assert_eq!(task.published.words[0], ("a".to_owned(), UploadState::Failed, Some(Reason::LogGap)));
    assert_eq!(task.published.books.keys().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_workbook_that_was_flagged_keeps_its_revision_when_a_crash_makes_it_again() {
    for state_is_lost in [false, true] {
        let mut task = Task::new(with_source(|source| source.incomplete = Incomplete::Emit));
        let log = [rows("a", 1..=3), eof_of("a", 2)];
        task.run(&log, 2, 1).unwrap();
        task.kill(&log, state_is_lost, 1);
        task.run(&log, 2, 1).unwrap();
        assert_eq!(task.published.books.keys().map(|(_, revision)| *revision).collect::<Vec<_>>(), [1]);
    }
}

#[test]
fn an_upload_whose_beginning_the_log_has_lost_fails_when_the_state_is_lost_too() {
    let mut task = Task::new(settings());
    let log = [rows("a", 1..=1), rows("a", 2..=2), rows("b", 1..=1), eof("a"), eof("b")];
    task.run(&log, 2, 1).unwrap();
    task.commit(3);
    task.kill(&log, true, 1);
    let phase = Phase::at(Offset(0), Offset(2));
    task.call(0, phase, |aggregate, ctx| aggregate.log_gap(Offset(0)..Offset(1), ctx)).unwrap();
    task.position = 1;
    task.run(&log, 5, 1).unwrap();
    assert_eq!(words(&task.published)[0], (UploadState::Failed, Some(Reason::LogGap)));
    assert_eq!(task.published.books.keys().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_gap_in_front_of_the_open_attempt_takes_nothing_from_it() {
    let mut task = Task::new(settings());
    let log = [rows("a", 1..=2), begin("a"), rows("a", 3..=4), eof("a")];
    task.run(&log, 3, 1).unwrap();
    let phase = Phase::Live { emit_from: Offset(0) };
    task.call(3, phase, |aggregate, ctx| aggregate.log_gap(Offset(0)..Offset(1), ctx)).unwrap();
    task.run(&log, 4, 1).unwrap();
    assert_eq!((words(&task.published), task.published.book("a", 1).sha256), (vec![], checksum(3..=4)));
}

#[test]
fn a_gap_in_what_a_restore_reads_fails_what_began_before_it_and_no_other() {
    let mut task = Task::new(settings());
    let log = [rows("a", 1..=1), rows("a", 2..=2), rows("b", 1..=2), eof("a"), eof("b")];
    task.run(&log, 3, 1).unwrap();
    task.commit(3);
    task.store = task.store.crash();
    task.aggregate = Aggregate::new(settings());
    task.aggregate.restore(&mut task.store, Offset(0)).unwrap();
    let phase = Phase::Restoring { until: Offset(3), emit_from: Offset(3) };
    task.call(1, phase, |aggregate, ctx| aggregate.log_gap(Offset(0)..Offset(2), ctx)).unwrap();
    task.read(&log, 2, 3, phase).unwrap();
    task.aggregate.finish_restore().unwrap();
    task.run(&log, 5, 1).unwrap();
    assert_eq!(words(&task.published)[0], (UploadState::Failed, Some(Reason::LogGap)));
    assert_eq!(task.published.book("b", 1).sha256, checksum(1..=2));
}

#[test]
fn an_idle_upload_stalls_then_expires_and_a_replay_obeys() {
    let log =
        [rows("z", 1..=1), rows("a", 1..=3), rows("a", 4..=6), rows("b", 1..=1), rows("a", 7..=9), eof("a"), eof("b")];
    let mut task = Task::new(settings());
    task.run(&log, 3, 1).unwrap();
    task.tick(9_999);
    assert_eq!(words(&task.published), []);
    task.tick(10_000);
    task.tick(20_000);
    assert_eq!(words(&task.published), [(UploadState::Stalled, None), (UploadState::Stalled, None)]);
    task.run(&log, 4, 1).unwrap();
    task.tick(100_000);
    let (outcome, _, position, accounting) = task.published.ends[&("a".to_owned(), 1)];
    assert_eq!((outcome, position, accounting.voided), (Outcome::Expired, 4, 6));
    // The rest is another revision, now and for whoever replays from the first row of all.
    task.run(&log, log.len(), 1).unwrap();
    assert_eq!(task.published.book("a", 2).sha256, checksum(7..=9));
    let said = task.published.said.clone();
    for fetch in [1, 7] {
        task.kill(&log, true, fetch);
        task.run(&log, log.len(), fetch).unwrap();
        let live = task.position;
        task.call(live as usize, Phase::Live { emit_from: Offset(0) }, |aggregate, ctx| aggregate.tick(ctx)).unwrap();
        assert_eq!(task.aggregate.open_uploads(), 0);
        assert_eq!((task.published.books.len(), &task.published.said), (2, &said));
    }
}

#[test]
fn a_refused_workbook_is_a_failure_and_the_same_content_is_tried_again() {
    let mut task = Task::new(settings());
    let content = [rows("a", 1..=3), eof("a")];
    let log: Vec<_> = content.iter().cycle().take(8).cloned().collect();
    task.published.refuses = true;
    task.run(&log, 4, 1).unwrap();
    let refused = (UploadState::Failed, Some(Reason::WorkbookTooLarge));
    assert_eq!(words(&task.published), [refused, refused]);
    for (_, _, _, accounting) in task.published.ends.values() {
        assert_eq!((accounting.written, accounting.voided), (0, 3));
    }
    task.commit(3);
    task.kill(&log, true, 1);
    task.published.refuses = false;
    task.run(&log, 8, 1).unwrap();
    let revisions: Vec<_> = task.published.books.keys().map(|(_, revision)| *revision).collect();
    assert_eq!(revisions, [3], "the fourth has the same content as the third");
    assert_eq!(task.published.ends[&("a".to_owned(), 6)].1, 3);
}

#[test]
fn what_has_ended_is_deleted_after_the_commit() {
    let mut task = Task::new(settings());
    let log =
        [numbered("a", 2..=3_000), numbered("a", 1..=1), rows("b", 1..=5_000), eof("b"), eof("a"), rows("c", 1..=1)];
    task.run(&log, 3, 1).unwrap();
    task.commit(3);
    assert!(task.store.bytes() > 0);
    task.run(&log, 6, 1).unwrap();
    task.commit(2);
    assert!(task.store.bytes() > 0);
    task.commit(3);
    assert_eq!(task.store.bytes(), 0);
    let keys: Vec<_> = task.store.scan(&[]).unwrap().iter().map(|(key, _)| key[0]).collect();
    assert_eq!(keys, [1, 2, 5, 5], "the open upload with its sheet, and the ledger");
}

#[test]
fn ends_below_the_start_of_the_log_are_forgotten_and_leave_the_state_over_the_next_commits() {
    let mut task = Task::new(settings());
    let uploads = [("gone", 1), ("a", 2), ("b", 3), ("a", 4), ("b", 5)];
    let log = uploads.map(|(id, last)| [rows(id, 1..=last), eof(id)]).concat();
    task.run(&log, 6, 1).unwrap();
    task.commit(3);
    task.aggregate = Aggregate::new(settings());
    task.aggregate.restore(&mut task.store, Offset(4)).unwrap();
    task.published.books.clear();
    task.run(&log, 10, 1).unwrap();
    let revisions: Vec<_> = task.published.ends.iter().map(|((id, first), end)| (id.as_str(), *first, end.1)).collect();
    assert_eq!(revisions, [("a", 2, 1), ("a", 6, 1), ("b", 4, 1), ("b", 8, 2), ("gone", 0, 1)]);
    let stored = |task: &mut Task| {
        let ended = task.store.ended().unwrap();
        let is_stored = |id: &&str| ended.may_contain(UploadId::new(*id).hash());
        ["a", "b", "gone"].into_iter().filter(is_stored).collect::<Vec<_>>()
    };
    task.commit(3);
    assert_eq!(stored(&mut task), ["a", "b", "gone"]);
    (0..256).for_each(|_| task.commit(3));
    assert_eq!(stored(&mut task), ["a", "b"]);
}

#[test]
fn state_that_contradicts_itself_is_damaged() {
    let mut task = Task::new(settings());
    let log = [rows("a", 1..=5_000), rows("a", 17..=17)];
    task.run(&log, 2, 1).unwrap();
    task.commit(3);
    let entries = task.store.scan(&[]).unwrap();
    assert!(entries.len() > 5);
    for (key, _) in &entries {
        let mut batch = WriteBatch::default();
        batch.delete(key.clone());
        let mut store = task.store.crash();
        store.commit(batch).unwrap();
        let restored = Aggregate::new(settings()).restore(&mut store, Offset(0));
        assert!(matches!(restored, Err(StateError::Damaged(_))), "without {key:02x?}");
    }
    let mut aggregate = Aggregate::new(settings());
    assert_eq!(aggregate.restore(&mut task.store, Offset(0)).unwrap().len(), 1);
    assert!(matches!(aggregate.finish_restore(), Err(StateError::Damaged(_))), "its open pages were not read again");
}
