//! What should have come out, from the log and from what publishers did, held against what a reader of committed records finds. Counts both
//! ways: nothing lost, nothing twice, nothing in part, no other bytes, and no upload without a fate.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};
use sheetstream::client::fetch::{ChunkHead, ChunkJoiner};
use sheetstream::record::{Offset, Record};
use sheetstream::sink::status::{StatusOffsets, StatusRecord, StatusWorkbook, UploadState};
use sheetstream::test_driver::{TopologyTestDriver, header};
use sheetstream::topology::Topology;
use sheetstream::transport::{Guarantee, OutRecord};

use super::cluster::{Cluster, Seen};
use super::log::Log;
use super::publisher::{Ending, Lane, Publication, RECREATED};
use super::world::{IDLE, PLENTY};

/// The statuses that a reader of committed records finds, in order.
pub fn statuses<'a>(cluster: &'a Cluster, topology: &'a Topology) -> impl Iterator<Item = StatusRecord> {
    seen(cluster, &topology.sink.status_topic).filter_map(|record| StatusRecord::parse(&record.value))
}

fn seen<'a>(cluster: &'a Cluster, topic: &'a str) -> impl Iterator<Item = &'a OutRecord> {
    let is_seen =
        move |written: &&super::cluster::Written| written.seen == Seen::Yes && *written.record.topic == *topic;
    cluster.written.iter().filter(is_seen).map(|written| &written.record)
}

/// A workbook that a reader finds.
struct Book {
    revision: u32,
    bytes: Vec<u8>,
}

impl Book {
    /// Whether a status of its upload names it.
    fn is_of(&self, status: &StatusRecord) -> bool {
        let sha256: [u8; 32] = Sha256::digest(&self.bytes).into();
        let is_it = |workbook: &StatusWorkbook| workbook.sha256.0 == sha256;
        status.revision == self.revision && status.workbook.as_ref().is_some_and(is_it)
    }
}

/// Everything that came out.
struct Found {
    guarantee: Guarantee,
    statuses: Vec<StatusRecord>,
    /// By upload, in order.
    books: BTreeMap<String, Vec<Book>>,
    letters: Vec<String>,
}

impl Found {
    fn of(cluster: &Cluster, topology: &Topology, guarantee: Guarantee) -> Result<Found, String> {
        let mut joiner = ChunkJoiner::default();
        let mut books: BTreeMap<String, Vec<Book>> = BTreeMap::new();
        let mut chunks: BTreeMap<(String, u32, String), (u32, u32)> = BTreeMap::new();
        for out in seen(cluster, &topology.sink.topic) {
            let (value, headers) = (Some(out.value.clone()), out.headers.to_vec());
            let record = Record { key: out.key.clone(), value, headers, ..Record::default() };
            let head = ChunkHead::of(&record).map_err(|error| error.to_string())?;
            let of = (head.upload.to_owned(), head.revision, head.sha256.to_owned());
            chunks.entry(of).or_insert((0, head.count)).0 += 1;
            if let Some(book) = joiner.join(&record).map_err(|error| error.to_string())? {
                let (revision, bytes) = (book.label.revision, book.chunks.concat());
                books.entry(book.label.upload).or_default().push(Book { revision, bytes });
            }
        }
        if guarantee == Guarantee::ExactlyOnceV2
            && let Some(((upload, revision, _), (have, count))) =
                chunks.iter().find(|(_, (have, count))| have % count != 0)
        {
            return Err(format!("partial: {upload}, revision {revision}: {have} chunks of a workbook of {count}"));
        }
        let letter = |letter: &OutRecord| {
            let named = |name| header(letter, name).unwrap_or_default();
            let at = (named("__streams.errors.partition"), named("__streams.errors.offset"));
            format!("{}-{} row {} line {} {}", at.0, at.1, named("ss-row"), named("ss-line"), named("ss-reason"))
        };
        let letters = seen(cluster, &topology.sink.dead_letter_topic).map(letter).collect();
        Ok(Found { guarantee, statuses: statuses(cluster, topology).collect(), books, letters })
    }

    /// Holds lines against those that should be there: each once; at least once, each of them.
    fn compare(&self, what: &str, mut expected: Vec<String>, mut found: Vec<String>) -> Result<(), String> {
        expected.sort();
        found.sort();
        if self.guarantee == Guarantee::AtLeastOnce {
            expected.dedup();
            found.dedup();
        }
        let mut left = found.clone();
        for line in &expected {
            match left.iter().position(|found| found == line) {
                Some(at) => drop(left.remove(at)),
                None => return Err(format!("lost: {what} {line}")),
            }
        }
        match left.first() {
            Some(line) if expected.contains(line) => Err(format!("doubled: {what} {line}")),
            Some(line) => Err(format!("wrong: {what} {line}")),
            None => Ok(()),
        }
    }
}

/// The workbook that `convert` would make of a publication.
fn converted(topology: &Topology, publication: &Publication) -> Option<Vec<u8>> {
    workbook(topology, &publication.id, &publication.records)
}

/// The workbook of an upload of these records alone.
fn workbook(topology: &Topology, upload: &str, records: &[Record]) -> Option<Vec<u8>> {
    let mut driver = TopologyTestDriver::new(topology.clone());
    records.iter().for_each(|record| {
        driver.append(record.clone());
    });
    driver.run(usize::MAX).expect("nothing disturbs it");
    driver.workbook(upload)
}

/// Looks at everything once all is at rest. `is_calm` says that nothing happened to the log or the clock, so that the log alone decides.
pub fn judge(
    cluster: &Cluster,
    topology: &Topology,
    guarantee: Guarantee,
    lanes: &[Lane],
    is_calm: bool,
) -> Result<(), String> {
    if let Some(id) = cluster.open_transactions().next() {
        return Err(format!("hanging: nobody ends the transaction of {id}"));
    }
    let found = Found::of(cluster, topology, guarantee)?;
    if let Some(status) = found.statuses.iter().find(|status| !status.accounting.balances()) {
        return Err(format!("wrong: the account of {} does not balance", status.upload));
    }
    nothing_but_whole_uploads(&found, cluster, topology, lanes)?;
    revisions(&found, lanes)?;
    ends(&found, cluster, topology)?;
    fates(&found, cluster, topology, lanes)?;
    if is_calm { the_log_alone_decides(&found, cluster, topology) } else { Ok(()) }
}

/// Every workbook is one of a whole publication, whatever happened.
fn nothing_but_whole_uploads(
    found: &Found,
    cluster: &Cluster,
    topology: &Topology,
    lanes: &[Lane],
) -> Result<(), String> {
    let mut whole: BTreeMap<&str, BTreeSet<Vec<u8>>> = BTreeMap::new();
    let publications = lanes.iter().flat_map(|lane| &lane.publications);
    for publication in publications.filter(|publication| publication.ending == Ending::Complete) {
        let all = whole.entry(&publication.id).or_default();
        all.extend(converted(topology, publication));
    }
    // Rows that an election lost before anybody read them, nobody misses unless somebody counts them. Where a count is not met, the rows of
    // the next publication are taken for the missing ones, unless it begins with a marker.
    let is_excused = |upload: &str| {
        let publications = lanes.iter().map(|lane| &lane.publications).find(|all| all.iter().any(|p| p.id == upload));
        let publications = publications.map_or(&[][..], Vec::as_slice);
        let is_cut = publications.iter().any(|p| !p.counted && p.disturbed().contains("cut"));
        let runs_on = publications.windows(2).any(|pair| !pair[0].disturbed().is_empty() && !pair[1].announced);
        // The other part of an upload that nobody counts may be in a partition that another process reads, or nobody yet.
        let is_split = publications.iter().any(|p| !p.counted && p.has_moved());
        // Who was set to an offset and has read nothing since, does not see that the log was cut below it.
        let log = |p: &Publication| cluster.source.partitions.get(p.place.as_ref()?.partition);
        let is_set = publications.iter().any(|p| !p.counted && log(p).is_some_and(Log::was_set_and_cut));
        // Of one whose records were all gone, or skipped, before anybody has said that it is there, nothing shows when its rest comes.
        let is_beheaded = publications.iter().any(|p| !p.counted && p.disturbed().contains("beheaded"));
        is_cut || runs_on || is_split || is_set || is_beheaded
    };
    // All that is left may be an end that counts no rows; or, where the log was cut, rows of one publication, and the last records of another
    // whose end happens to count as many.
    let is_left = |book: &Book, upload: &str| {
        let publications = || lanes.iter().flat_map(|lane| &lane.publications).filter(|p| p.id == upload);
        let is_it = |rows: &[Record], end: &[Record]| {
            workbook(topology, upload, &[rows, end].concat()).as_ref() == Some(&book.bytes)
        };
        let has_rows = |p: &Publication, end: &[Record]| {
            let mut parts = (0..p.records.len()).flat_map(|from| (from + 1..=p.records.len()).map(move |to| from..to));
            parts.any(|part| is_it(&p.records[part], end))
        };
        publications().filter(|p| p.ending == Ending::Complete).any(|p| {
            let mut ends = (0..p.records.len()).rev().map(|from| &p.records[from..]);
            let cut = || publications().filter(|p| p.disturbed().contains("cut"));
            is_it(&[], &p.records[p.records.len() - 1..]) || ends.any(|end| cut().any(|p| has_rows(p, end)))
        })
    };
    for (upload, books) in &found.books {
        for book in books {
            let is_whole = whole.get(upload.as_str()).is_some_and(|all| all.contains(&book.bytes));
            if !is_whole && !is_excused(upload) {
                let said = found.statuses.iter().find(|status| status.upload == *upload && book.is_of(status));
                if is_left(book, upload) || said.is_some_and(|status| status.accounting.rows_in == 0) {
                    continue;
                }
                let said = said.map(|status| (&status.topic_id, &status.offsets, &status.accounting));
                return Err(format!(
                    "partial or mixed: {upload}, revision {}, is no whole publication: {said:?}",
                    book.revision
                ));
            }
        }
    }
    Ok(())
}

/// Nobody waits for an upload for ever: the last that is said of it is an end.
fn ends(found: &Found, cluster: &Cluster, topology: &Topology) -> Result<(), String> {
    let mut last: BTreeMap<(i32, &str), &StatusRecord> = BTreeMap::new();
    last.extend(found.statuses.iter().map(|status| ((status.partition, status.upload.as_str()), status)));
    // What one that was put out says of a topic that is no more, or of an upload that has ended, the next that starts will read.
    let log = cluster.source.id.to_string();
    let late = cluster
        .written
        .iter()
        .filter(|written| written.is_late && *written.record.topic == *topology.sink.status_topic);
    let late: Vec<_> = late.filter_map(|written| StatusRecord::parse(&written.record.value)).collect();
    let is_of_log = |status: &StatusRecord| status.topic_id.as_deref() == Some(&log);
    let has_ended = |status: &StatusRecord| {
        let mut ends = found.statuses.iter().filter(|end| end.offsets.completion.is_some());
        ends.any(|end| end.upload == status.upload && end.offsets.first == status.offsets.first)
    };
    last.retain(|_, status| !late.contains(status) || (is_of_log(status) && !has_ended(status)));
    match last.values().find(|status| status.offsets.completion.is_none()) {
        Some(open) => Err(format!("no end: {} at {}-{}", open.upload, open.partition, open.offsets.first)),
        None => Ok(()),
    }
}

/// A revision is a number that only grows, and means one workbook: while the log reaches back to it, and the id stays in its partition.
fn revisions(found: &Found, lanes: &[Lane]) -> Result<(), String> {
    let is_forgotten = |upload: &str| {
        let mut publications = lanes.iter().flat_map(|lane| &lane.publications).filter(|p| p.id == upload);
        publications.any(|p| p.disturbed().contains("retention") || p.has_moved())
    };
    // At least once, a workbook whose status was not written may be of records that are gone since, and its revision another one's.
    let is_disturbed = |upload: &str| {
        let mut publications = lanes.iter().flat_map(|lane| &lane.publications).filter(|p| p.id == upload);
        publications.any(|p| !p.disturbed().is_empty())
    };
    let is_said =
        |upload: &str, book: &Book| found.statuses.iter().any(|status| status.upload == *upload && book.is_of(status));
    for (upload, books) in found.books.iter().filter(|(upload, _)| !is_forgotten(upload)) {
        let may_be_unsaid = found.guarantee == Guarantee::AtLeastOnce && is_disturbed(upload);
        let mut of: BTreeMap<u32, &[u8]> = BTreeMap::new();
        for book in books.iter().filter(|book| !may_be_unsaid || is_said(upload, book)) {
            let highest = of.last_key_value().map_or(0, |(revision, _)| *revision);
            match of.insert(book.revision, &book.bytes) {
                Some(before) if before != book.bytes => {
                    return Err(format!("different bytes: {upload}, revision {}", book.revision));
                }
                Some(_) if found.guarantee == Guarantee::ExactlyOnceV2 => {
                    return Err(format!("doubled: {upload}, revision {}", book.revision));
                }
                None if book.revision < highest => {
                    return Err(format!("wrong: {upload}, revision {} after {highest}", book.revision));
                }
                Some(_) | None => {}
            }
        }
    }
    for status in &found.statuses {
        let Some(workbook) = &status.workbook else { continue };
        let books = found.books.get(&status.upload).map_or(&[][..], Vec::as_slice);
        if !books.iter().any(|b| b.revision == status.revision && b.bytes.len() as u64 == workbook.bytes) {
            return Err(format!("lost: {}, revision {}, is PUBLISHED and nowhere", status.upload, status.revision));
        }
    }
    Ok(())
}

fn says(status: &StatusRecord, why: &str) -> bool {
    status.failure.as_ref().is_some_and(|failure| failure.reason == why)
}

/// Every publication that nothing happened to ended as its publisher wants, once; every other one that is in the log has an end.
fn fates(found: &Found, cluster: &Cluster, topology: &Topology, lanes: &[Lane]) -> Result<(), String> {
    let log = cluster.source.id.to_string();
    for lane in lanes {
        let mut disturbed = BTreeSet::new();
        for publication in &lane.publications {
            let Some(place) = publication.place.as_ref().filter(|place| place.log == cluster.source.id) else {
                continue;
            };
            // What is before it may run into it, unless it begins with a marker.
            let before = std::mem::take(&mut disturbed);
            disturbed.extend(&place.disturbed);
            if !publication.announced {
                disturbed.extend(&before);
            }
            let ends = found.statuses.iter().filter(|status| {
                status.upload == publication.id
                    && status.topic_id.as_deref() == Some(&log)
                    && status.partition == i32::try_from(place.partition).expect("few")
                    && status.offsets.completion.is_some()
            });
            let said = ends.clone().map(|end| {
                let (from, to) = (end.offsets.first.0, end.offsets.completion.map_or(-1, |offset| offset.0));
                format!("{:?} {from}..{to}", end.state)
            });
            let said = Vec::from_iter(said).join(", ");
            let what = format!("{} at {}-{} to {} ({said})", publication.id, place.partition, place.first, place.last);
            if !publication.is_in_one_log() {
                disturbed.insert("in two logs");
            }
            if !disturbed.is_empty() {
                let start = cluster.source.partitions[place.partition].start;
                // Of one whose first records are gone, the rest may be late rows of another, which are dead letters.
                // What a reset skips, or an election cut off, need not be known to anybody.
                let is_known = !disturbed.contains("reset") && !disturbed.contains("cut");
                let is_there = start <= place.first && place.first < place.last && publication.is_in_one_log();
                let covers = |end: &StatusRecord| {
                    end.offsets.first.0 <= place.last && end.offsets.completion >= Some(Offset(place.first))
                };
                // One that was turned away, of which nothing is read until its end.
                let is_away = |end: &StatusRecord| says(end, "upload.too_many") && end.offsets.first.0 <= place.last;
                if is_there && is_known && !ends.clone().any(|end| covers(end) || is_away(end)) {
                    return Err(format!("no fate: {what}, {disturbed:?}"));
                }
                continue;
            }
            // What was before may be open yet: a begin marker makes another attempt of it.
            let runs_on = |end: &StatusRecord| {
                !before.is_empty()
                    && end.offsets.first.0 < place.first
                    && end.offsets.completion >= Some(Offset(place.last))
            };
            let ours = ends.filter(|end| end.offsets.first.0 == place.first || runs_on(end));
            let mut ours: Vec<_> = ours.collect();
            // What was said of offsets that were cut off since was of other records.
            if before.contains("cut") {
                ours.drain(..ours.len().saturating_sub(1));
            }
            let expected = match publication.ending {
                _ if place.sent < publication.records.len() => UploadState::Expired,
                Ending::Complete => UploadState::Published,
                Ending::Aborted => UploadState::Aborted,
                Ending::Abandoned | Ending::Miscounted => UploadState::Expired,
            };
            // Its first rows may have been among those that are gone, as far as the log tells.
            let log = &cluster.source.partitions[place.partition];
            let is_doubtful = !publication.announced && !log.is_whole();
            if is_doubtful && ours.iter().any(|end| says(end, "log.gap")) {
                disturbed.insert("gap");
                continue;
            }
            // It may be the rest of one that was in a topic that is no more.
            let is_former = |p: &Publication| {
                p.disturbed().contains(RECREATED) || p.place.as_ref().is_some_and(|p| p.log != place.log)
            };
            let may_be_a_rest = !publication.announced && lane.publications.iter().any(is_former);
            let is_said = |why| {
                let is_ours = |status: &&StatusRecord| {
                    status.upload == publication.id && ours.iter().any(|end| end.offsets.first == status.offsets.first)
                };
                found.statuses.iter().filter(is_ours).any(|status| says(status, why))
            };
            if may_be_a_rest && is_said("upload.remainder") {
                disturbed.insert("remainder");
                continue;
            }
            // No other upload could be open. Its records until its end are not read.
            if topology.source.open_uploads_max < PLENTY as u32 && ours.iter().any(|end| says(end, "upload.too_many")) {
                disturbed.insert("turned away");
                continue;
            }
            // While another publication of the id is open in another partition, nobody knows that one without a count is whole.
            let has_parts = !publication.counted && lane.publications.iter().any(Publication::has_moved);
            if has_parts && is_said("upload.split") {
                disturbed.insert("split");
                continue;
            }
            match ours.as_slice() {
                [] => return Err(format!("lost: {what} has no end")),
                [_, _, ..] if found.guarantee == Guarantee::ExactlyOnceV2 => {
                    return Err(format!("doubled: {what} has {} ends", ours.len()));
                }
                ends => {
                    if let Some(end) = ends.iter().find(|end| end.state != expected) {
                        return Err(format!("wrong: {what} is {:?}: {:?}", end.state, end.failure));
                    }
                    if expected == UploadState::Published {
                        let book = converted(topology, publication);
                        let books = found.books.get(&publication.id).map_or(&[][..], Vec::as_slice);
                        let is_it = |b: &Book| {
                            ends.iter().any(|end| end.revision == b.revision) && Some(&b.bytes) == book.as_ref()
                        };
                        if !books.iter().any(is_it) {
                            return Err(format!("lost: {what}, revision {}, has no workbook", ends[0].revision));
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

/// Statuses, dead letters and workbooks are those of an undisturbed run over the log.
fn the_log_alone_decides(found: &Found, cluster: &Cluster, topology: &Topology) -> Result<(), String> {
    let line = |partition: i32, status: &StatusRecord| {
        let reason = status.failure.as_ref().map(|failure| failure.reason.as_str());
        let (upload, state, revision) = (&status.upload, status.state, status.revision);
        let StatusOffsets { first, completion, .. } = status.offsets;
        format!("{partition} {upload} {state:?} {revision} {reason:?} {:?} {first} {completion:?}", status.accounting)
    };
    let is_said = |status: &&StatusRecord| !matches!(status.state, UploadState::Receiving | UploadState::Stalled);
    let (mut statuses, mut letters, mut books) = (Vec::new(), Vec::new(), Vec::new());
    let partitions = cluster.source.partitions.len();
    for (partition, log) in cluster.source.partitions.iter().enumerate() {
        let mut driver =
            TopologyTestDriver::new(topology.clone()).with_partitions(i32::try_from(partitions).expect("few"));
        let mut records = log.records.iter().peekable();
        for offset in 0..log.end {
            match records.next_if(|record| record.offset.0 == offset) {
                Some(record) => drop(driver.append(record.clone())),
                None => driver.append_unseen(),
            }
        }
        driver.run(usize::MAX).expect("nothing disturbs it");
        driver.advance_wall_clock_time(IDLE + std::time::Duration::from_secs(1));
        let number = i32::try_from(partition).expect("few");
        statuses.extend(driver.statuses().iter().filter(is_said).map(|status| line(number, status)));
        letters.extend(driver.dead_letters().iter().map(|letter| {
            let named = |name| header(letter, name).unwrap_or_default();
            let (offset, row) = (named("__streams.errors.offset"), named("ss-row"));
            format!("{partition}-{offset} row {row} line {} {}", named("ss-line"), named("ss-reason"))
        }));
        let uploads: BTreeSet<String> = driver.statuses().into_iter().map(|status| status.upload).collect();
        for upload in uploads {
            books.extend(driver.workbooks(&upload).iter().map(|book| format!("of {upload}, {} bytes", book.len())));
        }
    }
    let found_books = found
        .books
        .iter()
        .flat_map(|(upload, books)| books.iter().map(move |book| format!("of {upload}, {} bytes", book.bytes.len())));
    found.compare("workbook", books, found_books.collect())?;
    let said = found.statuses.iter().filter(is_said).map(|status| line(status.partition, status));
    found.compare("status", statuses, said.collect())?;
    found.compare("dead letter", letters, found.letters.clone())
}
