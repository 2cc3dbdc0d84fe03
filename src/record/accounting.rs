//! The counts of an upload's rows, how they move from one fate to another, and how the ledger remembers an upload.

use serde::{Deserialize, Serialize};

use super::{Cuts, Offset};

/// Row counts of an upload. rows in = written + rejected + duplicate + late + filtered + voided + waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounting {
    /// Rows that arrived, blanks not counted.
    pub rows_in: u64,
    /// Rows that are, or will be, in the workbook.
    pub written: u64,
    /// Rows that failed.
    pub rejected: u64,
    /// Rows that came again.
    pub duplicate: u64,
    /// Rows that came after completion.
    pub late: u64,
    /// Rows that a filter took out.
    pub filtered: u64,
    /// Rows of an attempt that was given up.
    pub voided: u64,
    /// Rows that wait for a lower index, or for their header.
    pub waiting: u64,
    /// Of those written or waiting: rows whose place is far outside the area of use of the CRS that they were transformed to.
    #[serde(default)]
    pub distant: u64,
    /// Of those written or waiting: rows without coordinates, where the topology takes some.
    #[serde(default)]
    pub unplaced: u64,
}

impl Accounting {
    /// How many rows were rejected, if that is all of them.
    pub fn all_rejected(&self) -> Option<u64> {
        (self.written + self.filtered == 0 && self.rejected > 0).then_some(self.rejected)
    }

    /// Whether every row has exactly one fate.
    pub fn balances(&self) -> bool {
        let fates = [self.written, self.rejected, self.duplicate, self.late, self.filtered, self.voided, self.waiting];
        self.rows_in == fates.iter().sum::<u64>()
    }

    /// Different rows of the open attempt, whatever became of them: what an end-of-file marker counts.
    pub fn distinct(&self) -> u64 {
        self.written + self.rejected + self.filtered + self.waiting
    }

    /// The attempt is given up for another one: the workbook shows nothing of its rows, not even that they failed.
    pub fn void_attempt(&mut self) {
        self.voided += self.distinct();
        (self.written, self.rejected, self.filtered, self.waiting) = (0, 0, 0, 0);
        (self.distant, self.unplaced) = (0, 0);
    }

    /// There will be no workbook: rows that were meant for it are void; those that failed did fail.
    pub fn void_workbook(&mut self) {
        self.voided += self.written + self.waiting;
        (self.written, self.waiting, self.distant, self.unplaced) = (0, 0, 0, 0);
    }

    /// `rows` more came for an upload that has failed.
    pub fn void_rows(&mut self, rows: u64) {
        self.rows_in += rows;
        self.voided += rows;
    }

    /// One more row came after completion.
    pub fn late_row(&mut self) {
        self.rows_in += 1;
        self.late += 1;
    }
}

/// How an upload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// Its workbook was published.
    Published,
    /// It failed.
    Failed,
    /// Its publisher gave it up.
    Aborted,
    /// It was idle for too long.
    Expired,
    /// It was turned away, for too many were open. While its completion is its first record, its own end has not come, and whatever
    /// comes of it is turned away too.
    TurnedAway,
    /// There was no room for its columns or sheets. While its completion is its first record, its own end has not come, and whatever comes
    /// of it is passed over.
    NoRoom,
}

/// A finished upload, as the ledger remembers it (contract 13).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// The id as published.
    pub id: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Its revision.
    pub revision: u32,
    /// It has failed, for records of it are gone or were skipped: it may have begun before its first record that was read.
    pub is_rest: bool,
    /// Highest revision of its id in records that are no more; 0 if there was none.
    pub taken: u32,
    /// Offset of its first record.
    pub first_offset: Offset,
    /// Offset of the record that completed it (an idle timeout: the task's position then).
    pub completion_offset: Offset,
    /// SHA-256 of its rows; `None` when its workbook was flagged as incomplete, or there is none.
    pub rows_sha256: Option<[u8; 32]>,
    /// First 16 hex digits of SHA-256 over its column names, each followed by LF. Rows under another header are other content.
    pub header: Option<String>,
    /// CRS of its own. Rows under another one are other content, too.
    pub crs: Option<String>,
    /// Hash of the topology.
    pub topology: String,
    /// Where the upload ended in each source partition, if its rows could lie in several.
    pub cuts: Option<Cuts>,
    /// Rows written, for the answer to the same content.
    pub accounting: Accounting,
    /// The leader epoch as of which its records were in the log, if it was read from the status topic and says so.
    #[serde(skip)]
    pub leader_epoch: Option<i32>,
}

/// Offset of everything in a log that is no more.
const FORMER_LOG: Offset = Offset(-1);

impl LedgerEntry {
    /// The entry of a topic that was deleted and made anew: it counts revisions, and nothing in the new log comes before it or is the same
    /// content. One whose own end had not come has expired: the new log may have its rest.
    pub fn into_former_log(self) -> LedgerEntry {
        let outcome = if self.is_turned_away() { Outcome::Expired } else { self.outcome };
        LedgerEntry { outcome, first_offset: FORMER_LOG, completion_offset: FORMER_LOG, rows_sha256: None, ..self }
    }
    /// The entry in a log that was cut at `offset`, which lies before its end: others are in the place of the records from there on, or will
    /// be. Of one that began there, it counts revisions only.
    pub fn cut_at(self, offset: Offset) -> LedgerEntry {
        if offset <= self.first_offset {
            return LedgerEntry { outcome: Outcome::Failed, ..self.into_former_log() };
        }
        let completion_offset = match self.outcome {
            Outcome::TurnedAway | Outcome::NoRoom => self.first_offset, // its own end has not come
            _ if self.ends_before_completion() => offset,
            _ => Offset(offset.0 - 1),
        };
        LedgerEntry { completion_offset, ..self }
    }
    /// The highest revision that its id has had, up to it.
    pub fn highest_revision(&self) -> u32 {
        self.revision.max(self.taken)
    }
    /// First offset that is behind it.
    pub fn end(&self) -> Offset {
        if self.ends_before_completion() { self.completion_offset } else { self.completion_offset.next() }
    }
    /// An idle timeout comes before the record at its offset, every other end is a record. Where cuts show which records are its own, several
    /// revisions may end with one record.
    fn ends_before_completion(&self) -> bool {
        self.cuts.is_some() || self.outcome == Outcome::Expired
    }
    /// Whether it was turned away, or there was no room for it, and its own end has not come yet.
    pub fn is_turned_away(&self) -> bool {
        let is_open = self.completion_offset == self.first_offset && !self.is_of_former_log();
        is_open && matches!(self.outcome, Outcome::TurnedAway | Outcome::NoRoom)
    }
    /// Whether what comes of it is passed over until its own end.
    pub fn is_without_room(&self) -> bool {
        self.outcome == Outcome::NoRoom && self.is_turned_away()
    }
    /// Whether its log is no more.
    pub fn is_of_former_log(&self) -> bool {
        self.completion_offset == FORMER_LOG
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(outcome: Outcome, first: i64, completion: i64) -> LedgerEntry {
        LedgerEntry {
            id: "a".into(),
            outcome,
            revision: 2,
            is_rest: false,
            taken: 0,
            first_offset: Offset(first),
            completion_offset: Offset(completion),
            rows_sha256: None,
            header: None,
            crs: None,
            topology: "t".into(),
            cuts: None,
            accounting: Accounting::default(),
            leader_epoch: None,
        }
    }

    #[test]
    fn an_end_reaches_to_where_its_log_was_cut() {
        for (outcome, cut, left) in [
            (Outcome::Published, 7, (Outcome::Published, 5, 6)),
            (Outcome::Expired, 7, (Outcome::Expired, 5, 7)),
            (Outcome::TurnedAway, 7, (Outcome::TurnedAway, 5, 5)),
            (Outcome::Published, 5, (Outcome::Failed, -1, -1)),
            (Outcome::TurnedAway, 3, (Outcome::Failed, -1, -1)),
        ] {
            let entry = end(outcome, 5, 9).cut_at(Offset(cut));
            let found = (entry.outcome, entry.first_offset.0, entry.completion_offset.0);
            assert_eq!((found, entry.revision), (left, 2), "{outcome:?} cut at {cut}");
            assert!(entry.end() <= Offset(cut.max(6)), "{outcome:?} cut at {cut}");
        }
    }

    #[test]
    fn who_was_turned_away_in_a_former_topic_has_not_ended() {
        assert_eq!(end(Outcome::TurnedAway, 5, 5).into_former_log().outcome, Outcome::Expired);
        assert_eq!(end(Outcome::TurnedAway, 5, 9).into_former_log().outcome, Outcome::TurnedAway);
        assert_eq!(end(Outcome::Published, 5, 9).into_former_log().outcome, Outcome::Published);
    }

    #[test]
    fn every_move_keeps_the_balance() {
        let mut rows = Accounting {
            rows_in: 15,
            written: 5,
            rejected: 4,
            duplicate: 3,
            waiting: 2,
            filtered: 1,
            ..Default::default()
        };
        assert!(rows.balances());
        assert_eq!(rows.distinct(), 12);
        let mut failed = rows;
        failed.void_workbook();
        assert_eq!((failed.voided, failed.rejected, failed.balances()), (7, 4, true));
        rows.void_attempt();
        assert_eq!((rows.voided, rows.distinct(), rows.balances()), (12, 0, true));
        rows.void_rows(3);
        rows.late_row();
        assert_eq!((rows.rows_in, rows.balances()), (19, true));
    }
}
