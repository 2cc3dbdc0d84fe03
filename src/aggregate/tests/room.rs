//! Rows that came before their turn: what of them is in memory has limits for all open uploads of a task together.

use super::life::{with_source, words};
use super::*;

#[test]
fn the_uploads_with_the_most_waiting_rows_in_memory_go_to_disk_and_those_with_few_stay() {
    let mut task = Task::new(settings());
    task.aggregate.limits = MemoryLimits { upload: 200_000, task: 300_000, open: 30_000 };
    let uploads = ["a", "b", "c"];
    let mut log: Vec<Line> = uploads.into_iter().map(|upload| numbered(upload, 2..=1_200)).collect();
    log.push(numbered("few", 2..=2));
    for (end, _) in log.iter().enumerate() {
        task.run(&log, end + 1, 1).unwrap();
        assert!(task.aggregate.load.waiting <= 300_000);
    }
    let waiting = |upload: &str| task.aggregate.open[&UploadId::new(upload)].attempt.waiting.bytes();
    assert!(uploads.into_iter().any(|upload| waiting(upload) == 0), "one of them is on the disk");
    assert_ne!(waiting("few"), 0);
}

#[test]
fn gaps_between_waiting_rows_of_open_uploads_have_a_limit_together() {
    let settings = with_source(|source| source.open_uploads_max = 100);
    let limit = settings.source.numbers_open_max() as u64;
    // Every second row, so that each is a number of its own; the first is missing.
    let row = |upload, number| Line { content: Content::Rows { first: Some(number), seeds: vec![1] }, ..eof(upload) };
    let apart = |upload, rows: u64| (1..=rows).map(move |n| row(upload, 2 * n));
    let mut log: Vec<Line> = apart("a", limit).collect();
    log.extend(apart("few", 16));
    log.extend(apart("more", 17));
    let mut task = Task::new(settings);
    task.run(&log, log.len(), 10_000).unwrap();
    assert_eq!(words(&task.published), [(UploadState::Failed, Some(Reason::UploadNoRoom))]);
    assert_eq!(task.published.words[0].0, "more");
}
