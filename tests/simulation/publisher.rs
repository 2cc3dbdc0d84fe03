//! Who publishes: uploads of several kinds, one after another under one id, and what should become of each.

use std::collections::BTreeSet;

use bytes::Bytes;
use sheetstream::record::{Header, LogId, Record};

use super::dice::Dice;

/// What happens to an upload of which a part goes to another partition.
pub const ELSEWHERE: &str = "another partition";
/// What happens to one that is under way when its topic is made anew.
pub const RECREATED: &str = "recreated";

/// One publication of an upload.
pub struct Publication {
    pub id: String,
    pub records: Vec<Record>,
    pub ending: Ending,
    /// It begins with a marker: nothing before it can be taken for a part of it.
    pub announced: bool,
    /// Its end says how many rows it has, or they are numbered: what is missing shows.
    pub counted: bool,
    pub place: Option<Place>,
    /// Records of it that went to a topic that is no more: only the rest is in this one.
    elsewhere: usize,
    /// What happened to it in a topic that is no more.
    past: BTreeSet<&'static str>,
    /// The partition that its id was in at first.
    home: usize,
}

impl Publication {
    /// It went to another partition, as partitions were added.
    pub fn has_moved(&self) -> bool {
        self.place.as_ref().is_some_and(|place| place.partition != self.home || place.disturbed.contains(ELSEWHERE))
    }
    /// Whether all of it is there that was sent.
    pub fn is_in_one_log(&self) -> bool {
        self.elsewhere == 0
    }
    /// Records that are not sent yet.
    pub fn is_under_way(&self) -> bool {
        self.place.as_ref().is_some_and(|place| self.elsewhere + place.sent < self.records.len())
    }
    /// Everything that happened to its log.
    pub fn disturbed(&self) -> BTreeSet<&'static str> {
        let place = self.place.iter().flat_map(|place| &place.disturbed);
        self.past.iter().chain(place).copied().collect()
    }
}

/// How its publisher ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Complete,
    Aborted,
    /// Its publisher died.
    Abandoned,
    /// Its end says that there are more rows.
    Miscounted,
}

/// Where it stands, as far as it was sent.
#[derive(Clone, Debug)]
pub struct Place {
    pub log: LogId,
    pub partition: usize,
    pub first: i64,
    pub last: i64,
    pub sent: usize,
    /// What happened to its log meanwhile, so that it may end in another way than its publisher wants.
    pub disturbed: BTreeSet<&'static str>,
}

/// The publications under one id, in order.
pub struct Lane {
    pub publications: Vec<Publication>,
    /// The one that is being sent.
    pub at: usize,
    pub partition_count: usize,
    hash: usize,
}

impl Lane {
    pub fn new(id: &str, header: HeaderFrom, partition_count: usize, dice: &mut Dice) -> Lane {
        let count = dice.between(1, 4);
        let mut publications: Vec<Publication> = Vec::new();
        let mut tag = dice.below(1_000);
        for n in 0..count {
            if n > 0 && !dice.once_in(3) {
                tag += 1; // else the same content again
            }
            let is_last = n + 1 == count;
            publications.push(publication(id, (n, tag), header, is_last, dice));
        }
        let lane = Lane { publications, at: 0, partition_count, hash: id.bytes().map(usize::from).sum() };
        let home = lane.partition();
        let at_home = |publication| Publication { home, ..publication };
        Lane { publications: lane.publications.into_iter().map(at_home).collect(), ..lane }
    }
    pub fn partition(&self) -> usize {
        self.hash % self.partition_count
    }
    /// The record that is sent next.
    pub fn next(&self) -> Option<&Record> {
        let publication = self.publications.get(self.at)?;
        publication.records.get(publication.elsewhere + publication.place.as_ref().map_or(0, |place| place.sent))
    }
    /// It was written.
    pub fn sent(&mut self, log: LogId, partition: usize, offset: i64) {
        let publication = &mut self.publications[self.at];
        let place = publication.place.get_or_insert(Place {
            log,
            partition,
            first: offset,
            last: offset,
            sent: 0,
            disturbed: BTreeSet::new(),
        });
        if place.partition != partition {
            place.disturbed.insert(ELSEWHERE);
        }
        (place.last, place.sent) = (offset, place.sent + 1);
        if publication.elsewhere + place.sent == publication.records.len() {
            self.at += 1;
        }
    }
    /// The topic was made anew: the publisher starts again with what it was sending, or does not notice.
    pub fn meet_another_log(&mut self, notices: bool) {
        if let Some(publication) = self.publications.get_mut(self.at) {
            publication.past = publication.disturbed();
            let place = publication.place.take();
            publication.past.extend(place.is_some().then_some(RECREATED));
            publication.elsewhere += place.filter(|_| !notices).map_or(0, |place| place.sent);
            if notices {
                publication.elsewhere = 0;
            }
        }
    }
}

/// Where columns come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum HeaderFrom {
    FirstRow,
    Topology,
}

const COLUMNS: &str = "sheet,a,b";

fn record(id: &str, value: String, headers: &[(&str, String)]) -> Record {
    let headers = headers.iter().map(|(name, value)| Header::new(name, value.clone().into_bytes())).collect();
    let (key, value) = (Some(Bytes::copy_from_slice(id.as_bytes())), Some(value.into()));
    Record { key, value, headers, ..Record::default() }
}

/// A record in a few words.
pub fn shown(record: &Record) -> String {
    let headers = record.headers.iter().filter(|header| &*header.name != "ss-attempt");
    let of = |header: &Header| String::from_utf8_lossy(header.value.as_deref().unwrap_or_default()).into_owned();
    let headers: Vec<String> = headers.map(of).collect();
    let value = String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned();
    let lines = value.lines().count();
    let more = if lines > 1 { format!(" and {} more", lines - 1) } else { String::new() };
    format!("{} {:?}{more}", headers.join(" "), value.lines().next().unwrap_or_default())
}

/// A row; now and then one with too many fields.
fn row(tag: usize, n: usize) -> String {
    let more = if (tag + n) % 7 == 3 { ",one,too,many" } else { "" };
    format!("s{},{n},of {tag}{more}", n % 3)
}

/// The `n`th publication under an id, whose rows show `tag`.
fn publication(id: &str, (n, tag): (usize, usize), header: HeaderFrom, is_last: bool, dice: &mut Dice) -> Publication {
    let ending = match dice.below(12) {
        0 => Ending::Aborted,
        1 if is_last => Ending::Abandoned,
        2 if is_last => Ending::Miscounted,
        _ => Ending::Complete,
    };
    let is_large = dice.once_in(40);
    let rows = if is_large { dice.between(1_000, 2_200) } else { dice.below(14) };
    let block = if is_large { 300 } else { dice.between(1, 4) };
    match dice.below(3) {
        0 => numbered((id, n), (tag, rows, block), ending, dice),
        _ => lines(id, (tag, rows, block), (header, ending), dice),
    }
}

/// Lines of text, and markers that are text.
fn lines(
    id: &str,
    (tag, rows, block): (usize, usize, usize),
    (header, ending): (HeaderFrom, Ending),
    dice: &mut Dice,
) -> Publication {
    let announced = dice.once_in(2) || rows == 0;
    let counted = ending == Ending::Miscounted || dice.once_in(2);
    let mut values: Vec<String> = Vec::new();
    if announced {
        values.push("#BEGIN".into());
    }
    let mut all: Vec<String> = (1..=rows).map(|n| row(tag, n)).collect();
    if header == HeaderFrom::FirstRow {
        all.insert(0, COLUMNS.into());
    }
    values.extend(all.chunks(block).map(|rows| rows.join("\n")));
    match ending {
        Ending::Complete if counted => values.push(format!("#EOF rows={rows}")),
        Ending::Complete => values.push("#EOF".into()),
        Ending::Miscounted => values.push(format!("#EOF rows={}", rows + 1)),
        Ending::Aborted => values.push("#ABORT".into()),
        Ending::Abandoned => {}
    }
    let records = values.into_iter().map(|value| record(id, value, &[])).collect();
    Publication {
        id: id.into(),
        records,
        ending,
        announced,
        counted,
        place: None,
        elsewhere: 0,
        past: BTreeSet::new(),
        home: 0,
    }
}

/// Rows with numbers, out of order and twice; a publisher that starts again now and then.
fn numbered(
    (id, n): (&str, usize),
    (tag, rows, block): (usize, usize, usize),
    ending: Ending,
    dice: &mut Dice,
) -> Publication {
    let mut records = Vec::new();
    let attempts = if dice.once_in(4) { 2 } else { 1 };
    for attempt in 1..=attempts {
        let is_last = attempt == attempts;
        let attempt = ("ss-attempt", format!("{n}-{attempt}"));
        let marker = |kind: &str, value: &str| record(id, value.into(), &[("ss-type", kind.into()), attempt.clone()]);
        records.extend([marker("begin", ""), marker("header", COLUMNS)]);
        let rows_of = |first: usize, count: usize| {
            let lines: Vec<String> = (first..first + count).map(|n| row(tag, n)).collect();
            let headers = [("ss-type", "row".into()), ("ss-row", first.to_string()), attempt.clone()];
            record(id, lines.join("\n"), &headers)
        };
        let mut blocks: Vec<Record> =
            (1..=rows).step_by(block).map(|first| rows_of(first, block.min(rows + 1 - first))).collect();
        if !is_last {
            blocks.truncate(dice.below(blocks.len() + 1));
        }
        for _ in 0..blocks.len() / 3 {
            let (one, other) = (dice.below(blocks.len()), dice.below(blocks.len()));
            blocks.swap(one, other);
            if dice.once_in(2) {
                blocks.push(blocks[one].clone());
            }
        }
        records.extend(blocks);
        let end = |rows: usize| {
            let headers = [("ss-type", "eof".into()), ("ss-rows", rows.to_string()), attempt.clone()];
            record(id, String::new(), &headers)
        };
        match ending {
            _ if !is_last => {}
            Ending::Complete => records.push(end(rows)),
            Ending::Miscounted => records.push(end(rows + 1)),
            Ending::Aborted => records.push(marker("abort", "")),
            Ending::Abandoned => {}
        }
    }
    Publication {
        id: id.into(),
        records,
        ending,
        announced: true,
        counted: true,
        place: None,
        elsewhere: 0,
        past: BTreeSet::new(),
        home: 0,
    }
}
