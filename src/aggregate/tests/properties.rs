//! However rows come, and whenever the process dies, the same is published.

use proptest::prelude::*;

use super::*;

/// One upload of `count` numbered rows, cut into records and shuffled, with some of them sent twice.
fn shuffled(count: u64) -> impl Strategy<Value = Vec<Line>> {
    let cuts = prop::collection::btree_set(2..=count, 0..30);
    (cuts, prop::collection::vec(any::<prop::sample::Index>(), 0..4)).prop_flat_map(move |(cuts, again)| {
        let starts: Vec<u64> = std::iter::once(1).chain(cuts).collect();
        let ends = starts.iter().skip(1).map(|start| start - 1).chain([count]);
        let mut lines: Vec<_> = starts.iter().zip(ends).map(|(start, end)| numbered("n", *start..=end)).collect();
        for index in again {
            lines.push(lines[index.index(lines.len())].clone());
        }
        Just(lines).prop_shuffle()
    })
}

fn with_eof(mut lines: Vec<Line>, eof: Line, at: usize) -> Vec<Line> {
    lines.insert(0, begin("n"));
    let at = 1 + at.min(lines.len() - 1);
    lines.insert(at, eof);
    lines
}

/// A log of three uploads that do about everything that uploads do: `(upload, what, how much)`.
fn any_log() -> impl Strategy<Value = Vec<Line>> {
    prop::collection::vec((0..3_usize, 0..100_u8, 1..400_u64), 1..120).prop_map(|steps| {
        let mut next = [1_u64; 3];
        let mut seed = 1;
        let attempts = [None, Some("x"), Some("y")];
        let mut attempt = [None; 3];
        steps
            .into_iter()
            .map(|(n, what, much)| {
                let upload = ["p", "n", ""][n];
                let mut line = match (what, n) {
                    (0..=69, 1) => {
                        let first = next[n];
                        next[n] += much;
                        numbered(upload, first..=first + much - 1)
                    }
                    (70..=77, 1) => {
                        next[n] += much / 4; // a gap
                        numbered(upload, next[n] + 1..=next[n] + 1)
                    }
                    (78..=82, 1) => numbered(upload, (next[n].saturating_sub(much)).max(1)..=next[n]),
                    (0..=82, _) => {
                        seed += much;
                        rows(upload, seed..seed + much)
                    }
                    (83..=87, _) => eof(upload),
                    (88..=90, _) => eof_of(upload, much % 3),
                    (91..=93, _) => {
                        let rows = next[n] - 1;
                        marker(
                            upload,
                            Marker::Eof { rows: Some(rows), sha256: Some(checksum(1..=rows)), partitions: None },
                        )
                    }
                    (94, _) => marker(upload, Marker::Eof { rows: None, sha256: None, partitions: Some(1) }),
                    (95..=97, _) => {
                        next[n] = 1;
                        attempt[n] = attempts[(much % 3) as usize];
                        begin(upload)
                    }
                    (98, _) => marker(upload, Marker::Abort),
                    _ => marker(upload, Marker::Header(Arc::new(["sheet".into(), "value".into()]))),
                };
                line.attempt = attempt[n];
                if matches!(line.content, Content::Marker(Marker::Eof { .. })) {
                    next[n] = 1;
                }
                line
            })
            .collect()
    })
}

/// When the process commits and dies: after how many records, how far the commit goes, whether it then dies, whether its state is lost.
fn faults() -> impl Strategy<Value = Vec<(usize, u8, bool, bool)>> {
    let fault = (1..30_usize, 0..4_u8, prop::bool::weighted(0.6), prop::bool::weighted(0.3));
    prop::collection::vec(fault, 1..12)
}

fn disturbed(settings: AggregateSettings, log: &[Line], faults: &[(usize, u8, bool, bool)], fetch: usize) -> Task {
    let mut task = Task::new(settings);
    for &(records, commit_until, dies, state_is_lost) in faults {
        let end = (task.position as usize + records).min(log.len());
        task.run(log, end, fetch).expect("memory takes it");
        // A commit never goes back behind what was committed before.
        if task.position >= task.committed.0 {
            // Only a death comes between the Kafka commit and the deletion.
            task.commit(if commit_until == 2 && !dies { 3 } else { commit_until });
        }
        if dies {
            task.kill(log, state_is_lost, fetch);
        }
    }
    task.run(log, log.len(), fetch).expect("memory takes it");
    task
}

fn same_outputs(disturbed: &Published, undisturbed: &Published) {
    assert_eq!(disturbed.books.keys().collect::<Vec<_>>(), undisturbed.books.keys().collect::<Vec<_>>());
    assert_eq!(disturbed.books, undisturbed.books);
    assert_eq!(disturbed.ends, undisturbed.ends);
    assert_eq!(disturbed.dead_letters.symmetric_difference(&undisturbed.dead_letters).next(), None);
    assert_eq!(disturbed.said.symmetric_difference(&undisturbed.said).next(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_order_and_batching_of_numbered_rows_makes_the_same_pages(
        lines in shuffled(5_000),
        fetch in 1..20_usize,
        eof_at in 0..40_usize,
    ) {
        let sha256 = Some(checksum(1..=5_000));
        let eof = marker("n", Marker::Eof { rows: Some(5_000), sha256, partitions: None });
        let in_order = with_eof(vec![numbered("n", 1..=5_000)], eof.clone(), 1);
        let expected = undisturbed(settings(), &in_order, 1).published;
        let published = undisturbed(settings(), &with_eof(lines, eof, eof_at), fetch).published;
        prop_assert_eq!(published.book("n", 1), expected.book("n", 1));
        prop_assert!(expected.book("n", 1).rows.iter().all(|pages| pages.len() == 2));
    }

    #[test]
    fn a_kill_anywhere_changes_no_output_of_one_upload(
        lines in shuffled(5_000),
        positional in any::<bool>(),
        faults in faults(),
        fetch in 1..5_usize,
        eof_at in 0..40_usize,
    ) {
        let lines = if positional { (0..30).map(|n| rows("n", n * 170..(n + 1) * 170)).collect() } else { lines };
        let count = if positional { 30 * 170 } else { 5_000 };
        let log = with_eof(lines, eof_of("n", count), if positional { 31 } else { eof_at });
        let expected = undisturbed(settings(), &log, fetch);
        let task = disturbed(settings(), &log, &faults, fetch);
        same_outputs(&task.published, &expected.published);
        prop_assert_eq!(expected.published.books.len(), 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_kill_anywhere_changes_no_output_of_any_log(
        log in any_log(),
        faults in faults(),
        fetch in 1..12_usize,
        incomplete in prop::sample::select(vec![Incomplete::Hold, Incomplete::Emit, Incomplete::Fail]),
    ) {
        let mut settings = settings();
        let source = SourceConfig { incomplete, ..SourceConfig::clone(&settings.source) };
        settings.source = Arc::new(source);
        let expected = undisturbed(settings.clone(), &log, fetch);
        let task = disturbed(settings, &log, &faults, fetch);
        same_outputs(&task.published, &expected.published);
    }
}
